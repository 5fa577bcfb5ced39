/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Worlds of several VMs and CPUs, at random, under every policy and with purges that fail: what a
 * TLB that keeps all it may still holds is never another pair's, and never older than a flush.
 */

#include "machine.h"

/* ---- long runs against the adversary ------------------------------------------------------- */

struct pair {
    uint64_t since; /* translations made before it are forbidden */
    int live;       /* has run since it was released */
};

struct world {
    struct gn_asid *asid;
    struct pair pairs[VMS][KEYS];
    int running[CPUS];
    uint32_t id[CPUS], vm[CPUS], key[CPUS];
    uint64_t rng;
};

/* Guests differ in high bits, too. */
static uint64_t guest_of(uint32_t key)
{
    return (uint64_t)(key % 3) << 60 | key;
}

/* A guest access: a hit in the TLB must be the running pair's, and not older than its flush. */
static void world_access(struct world *w, uint32_t cpu)
{
    const struct pair *pair = &w->pairs[w->vm[cpu]][w->key[cpu]];
    struct tlb_entry *e = &machine.tlb[cpu][w->id[cpu] - FIRST];

    if (e->there) {
        assert_int_equal(e->vm, w->vm[cpu]);
        assert_true(e->guest == guest_of(w->key[cpu]));
        assert_true(e->made >= pair->since);
        return;
    }
    *e = (struct tlb_entry){1, w->vm[cpu], guest_of(w->key[cpu]), machine.clock};
}

static void world_flushed(struct world *w, uint32_t cpu, int r, uint32_t id)
{
    assert_true(r == 0 || r == 1);
    if (r == 1) {
        assert_true(cpu != GN_ASID_NO_CPU && w->running[cpu]);
        w->id[cpu] = id;
    }
}

static void world_activate(struct world *w, uint32_t cpu, uint32_t vm, uint32_t key)
{
    uint32_t id;
    const int r = gn_asid_activate(w->asid, cpu, vm, guest_of(key), &id);

    if (r) {
        assert_true(machine.fail_one_in && r != -GN_ERR_NOSPC);
        return;
    }
    w->running[cpu] = 1;
    w->id[cpu] = id;
    w->vm[cpu] = vm;
    w->key[cpu] = key;
    w->pairs[vm][key].live = 1;
}

static int world_runs(const struct world *w, uint32_t vm, uint32_t key)
{
    uint32_t cpu;

    for (cpu = 0; cpu < CPUS; cpu++)
        if (w->running[cpu] && w->vm[cpu] == vm && (key == KEYS || w->key[cpu] == key))
            return 1;
    return 0;
}

static void world_flush(struct world *w, uint32_t cpu, uint32_t vm, uint32_t key)
{
    uint32_t id = 0, k;
    const uint64_t now = ++machine.clock;
    const int r = key == KEYS ? gn_asid_vm_flush(w->asid, cpu, vm, &id)
                              : gn_asid_flush(w->asid, cpu, vm, guest_of(key), &id);

    if (r < 0) {
        assert_true(machine.fail_one_in != 0);
        return;
    }
    world_flushed(w, cpu, r, id);
    for (k = 0; k < KEYS; k++)
        if (key == KEYS || key == k)
            w->pairs[vm][k].since = now;
}

static void world_release(struct world *w, uint32_t vm, uint32_t key)
{
    const int busy = world_runs(w, vm, key);
    const int r =
        key == KEYS ? gn_asid_vm_release(w->asid, vm) : gn_asid_release(w->asid, vm, guest_of(key));
    uint32_t k;

    assert_int_equal(r, busy ? -GN_ERR_BUSY : 0);
    if (r)
        return;
    machine.clock++;
    for (k = 0; k < KEYS; k++)
        if (key == KEYS || key == k)
            w->pairs[vm][k] = (struct pair){machine.clock, 0};
}

/* No two live pairs share an ID, running ones have the ID that they were told. */
static void world_check(struct world *w)
{
    int owner[IDS] = {0};
    uint32_t vm, key, id, cpu;

    for (vm = 0; vm < VMS; vm++)
        for (key = 0; key < KEYS; key++) {
            if (gn_asid_lookup(w->asid, vm, guest_of(key), &id) == 0)
                continue;
            assert_true(w->pairs[vm][key].live);
            assert_int_equal(owner[id - FIRST]++, 0);
            assert_int_equal(info_of(w->asid, id).vm, vm);
        }
    for (cpu = 0; cpu < CPUS; cpu++)
        if (w->running[cpu]) {
            assert_int_equal(gn_asid_lookup(w->asid, w->vm[cpu], guest_of(w->key[cpu]), &id), 1);
            assert_int_equal(id, w->id[cpu]);
        }
}

static void world_reserve(struct world *w, uint32_t id)
{
    const int r = gn_asid_reserve(w->asid, id);
    uint32_t cpu;

    if (r == -GN_ERR_EXIST) {
        assert_int_equal(gn_asid_unreserve(w->asid, id), 0);
        return;
    }
    if (r)
        return;
    for (cpu = 0; cpu < CPUS; cpu++)
        assert_false(machine.tlb[cpu][id - FIRST].there);
}

static void world_step(struct world *w)
{
    static const char choice[] = "ffffffFrrrRdddxzaaaaaaaaaaaaaaaaaaaaaaaa........................";
    const uint64_t r = gn_test_random(&w->rng);
    const uint32_t cpu = r % CPUS, vm = (r >> 8) % VMS, key = (r >> 16) % KEYS;
    const uint32_t caller = r >> 24 & 1 ? cpu : GN_ASID_NO_CPU;
    const uint32_t own = w->running[cpu] && r >> 25 & 1; /* flush what runs here */

    switch (choice[(r >> 32) % (sizeof choice - 1)]) {
    case 'f': world_flush(w, caller, own ? w->vm[cpu] : vm, own ? w->key[cpu] : key); break;
    case 'F': world_flush(w, caller, own ? w->vm[cpu] : vm, KEYS); break;
    case 'r': world_release(w, vm, key); break;
    case 'R': world_release(w, vm, KEYS); break;
    case 'd':
        assert_int_equal(gn_asid_deactivate(w->asid, cpu), 0);
        w->running[cpu] = 0;
        break;
    case 'x': world_reserve(w, FIRST + (uint32_t)(r >> 40) % IDS); break;
    case 'z':
        if (gn_asid_cpu_reset(w->asid, cpu) == 0)
            memset(machine.tlb[cpu], 0, sizeof machine.tlb[cpu]);
        break;
    case 'a': world_activate(w, cpu, vm, key); break;
    default:
        if (w->running[cpu])
            world_access(w, cpu);
        break;
    }
}

static void run_world(uint64_t fail_one_in)
{
    const uint64_t seed = gn_test_seed();
    uint32_t policy, rename, k, i;

    for (k = 0; k < 2; k++)
        for (policy = GN_ASID_POLICY_CLOCK; policy <= GN_ASID_POLICY_ADAPTIVE; policy++)
            for (rename = GN_ASID_RENAME_AUTO; rename <= GN_ASID_RENAME_NEVER; rename++) {
                static struct world w;

                memset(&w, 0, sizeof w);
                w.asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .policy = policy,
                                                      .rename = rename, .seed = seed,
                                                      .ops = k ? &ops_all : &ops_one});
                w.rng = seed + policy;
                machine.fail_one_in = fail_one_in;
                for (i = 0; i < 40000; i++) {
                    world_step(&w);
                    if (i % 16 == 0)
                        world_check(&w);
                }
                assert_true(stats_of(w.asid).hits > 0);
                assert_true(stats_of(w.asid).reassigned > 0);
                destroy(w.asid);
            }
}

static void no_two_live_pairs_share_an_id_and_none_is_reused_before_its_purge(void **state)
{
    (void)state;
    run_world(0);
}

static void the_invariants_hold_when_every_third_purge_fails(void **state)
{
    (void)state;
    run_world(3);
}

/* ---- several CPUs at once ---------------------------------------------------------------- */

struct cpu_thread {
    struct gn_asid *asid;
    uint32_t cpu;
    uint32_t wrong;
};

static void cpu_access(struct cpu_thread *t, uint32_t id, uint32_t vm, uint64_t guest,
                       uint64_t since)
{
    struct tlb_entry *e = &machine.tlb[t->cpu][id - FIRST];

    pthread_mutex_lock(&machine.tlb_lock[t->cpu]);
    if (e->there)
        t->wrong += e->vm != vm || e->guest != guest || e->made < since;
    else
        *e = (struct tlb_entry){1, vm, guest, since};
    pthread_mutex_unlock(&machine.tlb_lock[t->cpu]);
}

static void *cpu_run(void *arg)
{
    struct cpu_thread *t = arg;
    uint64_t rng = t->cpu * 7919 + 1, flushed = 0, r;
    uint32_t i, id;

    for (i = 0; i < 20000; i++) {
        r = gn_test_random(&rng);
        if (r % 8 == 0) { /* a pair that no other CPU runs: its flushes are ours alone */
            t->wrong += gn_asid_activate(t->asid, t->cpu, 1000, t->cpu, &id) != 0;
            cpu_access(t, id, 1000, t->cpu, flushed);
            t->wrong += gn_asid_flush(t->asid, t->cpu, 1000, t->cpu, &id) < 0;
            cpu_access(t, id, 1000, t->cpu, ++flushed);
        } else if (r % 8 == 1) {
            t->wrong += gn_asid_deactivate(t->asid, t->cpu) != 0;
            r = (uint64_t)gn_asid_release(t->asid, 0, r >> 8 & 15); /* or busy elsewhere */
        } else {
            t->wrong += gn_asid_activate(t->asid, t->cpu, 0, r >> 8 & 15, &id) != 0;
            cpu_access(t, id, 0, r >> 8 & 15, 0);
            t->wrong += gn_asid_activate(t->asid, t->cpu, 0, r >> 8 & 15, &id) != 0;
            cpu_access(t, id, 0, r >> 8 & 15, 0);
        }
    }
    return NULL;
}

static void the_invariants_hold_with_cpus_that_run_at_the_same_time(void **state)
{
    uint32_t k, i;

    (void)state;
    for (k = 0; k < 4; k++) {
        struct gn_asid *asid =
            make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .ops = k & 1 ? &ops_all : &ops_one,
                                         .rename = k & 2 ? GN_ASID_RENAME_ALWAYS : 0});
        struct cpu_thread t[CPUS];
        pthread_t thread[CPUS];

        for (i = 0; i < CPUS; i++) {
            t[i] = (struct cpu_thread){asid, i, 0};
            assert_int_equal(pthread_create(&thread[i], NULL, cpu_run, &t[i]), 0);
        }
        for (i = 0; i < CPUS; i++) {
            assert_int_equal(pthread_join(thread[i], NULL), 0);
            assert_int_equal(t[i].wrong, 0);
        }
        destroy(asid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_live_pairs_share_an_id_and_none_is_reused_before_its_purge),
        cmocka_unit_test(the_invariants_hold_when_every_third_purge_fails),
        cmocka_unit_test(the_invariants_hold_with_cpus_that_run_at_the_same_time),
    };

    return cmocka_run_group_tests_name("asid_random", tests, NULL, NULL);
}
