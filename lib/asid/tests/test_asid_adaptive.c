/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * GN_ASID_POLICY_ADAPTIVE: what its two directories hold, against arrays that are searched; and
 * what the clock makes of it.
 */

#include "../src/asid_internal.h"
#include "machine.h"

#define PAIRS 40u

/* ---- the directories, naively ------------------------------------------------------------ */

struct entry {
    uint32_t pair;
    int referenced;
};

struct directory {
    struct entry entry[IDS]; /* from the front on */
    uint32_t size, inserted;
};

struct model {
    struct directory directory[2];
    int score;
    int runs[CPUS]; /* the pair, or -1 */
};

static uint32_t vm_of(uint32_t pair)
{
    return pair % VMS;
}

static uint64_t guest_of(uint32_t pair)
{
    return (uint64_t)(pair % 5) << 60 | pair;
}

static int runs(const struct model *m, uint32_t pair)
{
    for (int cpu = 0; cpu < CPUS; cpu++)
        if (m->runs[cpu] == (int)pair)
            return 1;
    return 0;
}

static void entry_remove(struct directory *d, uint32_t at)
{
    d->size--;
    memmove(&d->entry[at], &d->entry[at + 1], (d->size - at) * sizeof d->entry[0]);
}

static void entry_insert(struct directory *d, uint32_t at, struct entry e)
{
    memmove(&d->entry[at + 1], &d->entry[at], (d->size - at) * sizeof d->entry[0]);
    d->entry[at] = e;
    d->size++;
}

static int entry_find(const struct directory *d, uint32_t pair)
{
    for (uint32_t i = 0; i < d->size; i++)
        if (d->entry[i].pair == pair)
            return (int)i;
    return -1;
}

/* The first from the front that does not run and was not referenced; those go to the end, once. */
static void entry_evict(const struct model *m, struct directory *d)
{
    for (uint32_t i = 0;;) {
        struct entry e = d->entry[i];

        if (runs(m, e.pair)) {
            i++;
            continue;
        }
        entry_remove(d, i);
        if (!e.referenced)
            return;
        e.referenced = 0;
        entry_insert(d, d->size, e);
    }
}

static void model_activate(struct model *m, uint32_t cpu, uint32_t pair)
{
    int missed[2];

    if (m->runs[cpu] == (int)pair)
        return;
    for (int i = 0; i < 2; i++) {
        struct directory *d = &m->directory[i];
        const int at = entry_find(d, pair);

        missed[i] = at < 0;
        if (at >= 0) {
            d->entry[at].referenced = 1;
            continue;
        }
        if (d->size == IDS)
            entry_evict(m, d);
        if (i == 0 || ++d->inserted % 32 == 0)
            entry_insert(d, d->size, (struct entry){pair, 1});
        else
            entry_insert(d, 0, (struct entry){pair, 0});
    }
    m->score += missed[0] - missed[1];
    m->score = m->score > IDS ? IDS : m->score < -IDS ? -IDS : m->score;
    m->runs[cpu] = (int)pair;
}

static void model_forget(struct model *m, uint32_t pair)
{
    for (int i = 0; i < 2; i++) {
        const int at = entry_find(&m->directory[i], pair);

        if (at >= 0)
            entry_remove(&m->directory[i], (uint32_t)at);
    }
}

/* ---- the two compared -------------------------------------------------------------------- */

static void directory_compare(const struct gn_asid *asid, const struct directory *d, uint32_t i)
{
    const struct gn_asid__duel *duel = &asid->duel;
    uint32_t g = duel->queue[i].head, before = NONE;

    assert_int_equal(duel->size[i], d->size);
    for (uint32_t at = 0; at < d->size; at++) {
        const struct gn_asid__ghost *ghost = &duel->ghosts[g];

        assert_int_not_equal(g, NONE);
        assert_true(ghost->guest == guest_of(d->entry[at].pair));
        assert_int_equal(ghost->vm, vm_of(d->entry[at].pair));
        assert_int_equal(ghost->prev[i], before);
        assert_int_equal(ghost->in >> i & 1, 1);
        assert_int_equal(ghost->referenced >> i & 1, d->entry[at].referenced);
        before = g;
        g = ghost->next[i];
    }
    assert_int_equal(g, NONE);
    assert_int_equal(duel->queue[i].tail, before);
}

/* Each pair with an ID knows its ghost, and the other way round; each ghost is free or in use. */
static void ghosts_check(const struct gn_asid *asid)
{
    const struct gn_asid__duel *duel = &asid->duel;
    uint32_t used = 0, unused = 0, i, g;

    for (i = 0; i < IDS; i++) {
        g = asid->ids[i].ghost;
        if (g == NONE)
            continue;
        assert_int_equal(asid->ids[i].state, GN_ASID_STATE_USED);
        assert_int_equal(duel->ghosts[g].id, i);
        assert_true(duel->ghosts[g].guest == asid->ids[i].guest);
        assert_int_equal(duel->ghosts[g].vm, asid->ids[i].vm);
        assert_int_not_equal(duel->ghosts[g].in, 0);
    }
    for (g = 0; g < 2 * IDS; g++)
        if (duel->ghosts[g].in) {
            used++;
            i = gn_asid__find(asid, duel->ghosts[g].vm, duel->ghosts[g].guest);
            assert_int_equal(duel->ghosts[g].id, i);
        }
    for (g = duel->free; g != NONE; g = duel->ghosts[g].hash_next) {
        assert_int_equal(duel->ghosts[g].in, 0);
        unused++;
    }
    assert_int_equal(used + unused, 2 * IDS);
}

static void compare(const struct gn_asid *asid, const struct model *m)
{
    assert_int_equal(asid->duel.score, m->score);
    for (uint32_t i = 0; i < 2; i++)
        directory_compare(asid, &m->directory[i], i);
    ghosts_check(asid);
}

static void step(struct gn_asid *asid, struct model *m, uint64_t *rng)
{
    const uint64_t r = gn_test_random(rng);
    const uint32_t cpu = r % CPUS, range = r >> 62 ? PAIRS : IDS + 2, pair = (r >> 8) % range;
    const uint32_t vm = vm_of(pair);
    uint32_t id;
    int busy;

    switch (r >> 32 & 31) {
    case 0: /* an address space is gone */
        assert_int_equal(gn_asid_release(asid, vm, guest_of(pair)),
                         runs(m, pair) ? -GN_ERR_BUSY : 0);
        if (!runs(m, pair))
            model_forget(m, pair);
        break;
    case 1: /* rarely, a VM */
        if (r >> 40 & 7)
            break;
        busy = 0;
        for (uint32_t p = vm; p < PAIRS; p += VMS)
            busy |= runs(m, p);
        assert_int_equal(gn_asid_vm_release(asid, vm), busy ? -GN_ERR_BUSY : 0);
        for (uint32_t p = vm; p < PAIRS && !busy; p += VMS)
            model_forget(m, p);
        break;
    case 2:
        assert_int_equal(gn_asid_deactivate(asid, cpu), 0);
        m->runs[cpu] = -1;
        break;
    case 3: /* takes IDs, or gives others: the directories do not mind */
        assert_true(gn_asid_flush(asid, cpu, vm, guest_of(pair), &id) >= 0);
        break;
    default:
        run(asid, cpu, vm, guest_of(pair));
        model_activate(m, cpu, pair);
        break;
    }
}

static void the_directories_hold_what_each_kind_of_insertion_would(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){
        GN_ASID_PARAMS_INIT, .policy = GN_ASID_POLICY_ADAPTIVE, .rename = GN_ASID_RENAME_ALWAYS});
    struct model m = {.runs = {-1, -1, -1, -1}};
    uint64_t rng = gn_test_seed();

    (void)state;
    for (int i = 0; i < 100000; i++) {
        step(asid, &m, &rng);
        if (i % 8 == 0)
            compare(asid, &m);
    }
    destroy(asid);
}

/* ---- what comes of it -------------------------------------------------------------------- */

static uint64_t ring_misses(uint32_t policy, uint32_t length, uint32_t rounds)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .policy = policy});
    uint64_t misses;

    for (uint32_t i = 0; i < rounds * length; i++)
        run(asid, 0, 1, i % length);
    misses = stats_of(asid).allocations;
    destroy(asid);
    return misses;
}

/* Recency serves nobody in a ring longer than the pool. The best are 3 misses a round, or 4. */
static void most_of_a_ring_longer_than_the_pool_keeps_its_ids(void **state)
{
    (void)state;
    assert_int_equal(ring_misses(GN_ASID_POLICY_CLOCK, IDS + 2, 200), 200 * (IDS + 2));
    assert_in_range(ring_misses(GN_ASID_POLICY_ADAPTIVE, IDS + 2, 200), 3 * 200, 5 * 200);
    assert_int_equal(ring_misses(GN_ASID_POLICY_ADAPTIVE, IDS, 200), IDS);
}

/* Each pair comes three times within what the pool holds, and no more: here recency is right. */
static void where_recency_is_right_it_is_the_clock(void **state)
{
    struct gn_asid *clock =
        make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .policy = GN_ASID_POLICY_CLOCK});
    struct gn_asid *adaptive =
        make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .policy = GN_ASID_POLICY_ADAPTIVE});

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        const uint64_t guest = IDS + i / 3 - i % 3 * 2;

        assert_int_equal(run(clock, 0, 1, guest), run(adaptive, 0, 1, guest));
    }
    assert_true(stats_of(clock).reassigned > 1000);
    destroy(clock);
    destroy(adaptive);
}

/* While most new pairs pass, one that is activated again is a new one no more. */
static void a_pair_that_comes_back_keeps_its_id(void **state)
{
    struct gn_asid *asid =
        make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .policy = GN_ASID_POLICY_ADAPTIVE});
    uint64_t i, other = 0;
    uint32_t id, theirs;

    (void)state;
    for (i = 0; i < 50 * (IDS + 2); i++)
        run(asid, 0, 1, i % (IDS + 2));
    assert_int_equal(asid->duel.score, IDS);
    id = run(asid, 0, 2, 0);
    while (!gn_asid_lookup(asid, 1, other, &theirs))
        other++;
    run(asid, 0, 1, other);
    run(asid, 0, 2, 0);
    for (i = 1; i < 4; i++)
        assert_int_not_equal(run(asid, 0, 2, i), id);
    assert_int_equal(run(asid, 0, 2, 0), id);
    destroy(asid);
}

/* After a ring, pairs that come to stay do so soon, and those of the ring go. */
static void it_changes_its_mind(void **state)
{
    struct gn_asid *asid =
        make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .policy = GN_ASID_POLICY_ADAPTIVE});
    uint64_t before, i;

    (void)state;
    for (i = 0; i < 50 * (IDS + 2); i++)
        run(asid, 0, 1, i % (IDS + 2));
    for (i = 0; i < 200 * (IDS / 2); i++)
        run(asid, 0, 2, i % (IDS / 2));
    before = stats_of(asid).allocations;
    for (i = 0; i < 200 * (IDS / 2); i++)
        run(asid, 0, 2, i % (IDS / 2));
    assert_int_equal(stats_of(asid).allocations, before);
    destroy(asid);
}

static void it_is_the_default_and_keeps_nothing_where_ids_become_clean_by_rollover(void **state)
{
    struct gn_asid_params p = {GN_ASID_PARAMS_INIT, .count = 64, .cpus = 4, .ops = &ops_one};
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT});
    size_t with = gn_asid_size(&p), without;

    (void)state;
    assert_int_equal(asid->policy, GN_ASID_POLICY_ADAPTIVE);
    assert_true(gn_asid__duels(asid));
    destroy(asid);
    p.policy = GN_ASID_POLICY_CLOCK;
    without = gn_asid_size(&p);
    assert_true(with >= without + 2 * 64 * sizeof(struct gn_asid__ghost));
    p.policy = 0;
    p.ops = &ops_all;
    assert_int_equal(gn_asid_size(&p), without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_directories_hold_what_each_kind_of_insertion_would),
        cmocka_unit_test(most_of_a_ring_longer_than_the_pool_keeps_its_ids),
        cmocka_unit_test(where_recency_is_right_it_is_the_clock),
        cmocka_unit_test(a_pair_that_comes_back_keeps_its_id),
        cmocka_unit_test(it_changes_its_mind),
        cmocka_unit_test(it_is_the_default_and_keeps_nothing_where_ids_become_clean_by_rollover),
    };

    return cmocka_run_group_tests_name("asid_adaptive", tests, NULL, NULL);
}
