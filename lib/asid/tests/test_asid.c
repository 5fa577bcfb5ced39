/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

/* Layout: sizes and offsets are ABI. */
GN_TEST_SIZE(gn_asid_ops, 48);
GN_TEST_AT(gn_asid_ops, caps, 4);
GN_TEST_AT(gn_asid_ops, purge, 8);
GN_TEST_AT(gn_asid_ops, purge_all, 16);
GN_TEST_AT(gn_asid_ops, lock, 24);
GN_TEST_AT(gn_asid_ops, unlock, 32);
GN_TEST_AT(gn_asid_ops, panic, 40);
GN_TEST_SIZE(gn_asid_params, 56);
GN_TEST_AT(gn_asid_params, first, 4);
GN_TEST_AT(gn_asid_params, count, 8);
GN_TEST_AT(gn_asid_params, cpus, 12);
GN_TEST_AT(gn_asid_params, policy, 16);
GN_TEST_AT(gn_asid_params, rename, 20);
GN_TEST_AT(gn_asid_params, seed, 24);
GN_TEST_AT(gn_asid_params, ops, 32);
GN_TEST_AT(gn_asid_params, ctx, 40);
GN_TEST_AT(gn_asid_params, reserved, 48);
GN_TEST_SIZE(gn_asid_info, 24);
GN_TEST_AT(gn_asid_info, vm, 4);
GN_TEST_AT(gn_asid_info, guest, 8);
GN_TEST_AT(gn_asid_info, running, 16);
GN_TEST_AT(gn_asid_info, holders, 20);
GN_TEST_SIZE(gn_asid_stats, 104);
GN_TEST_AT(gn_asid_stats, activations, 8);
GN_TEST_AT(gn_asid_stats, failures, 96);

/* ---- contract ---------------------------------------------------------------------------- */

static int init_result(struct gn_asid_params params)
{
    static _Alignas(64) uint8_t mem[1 << 16];
    struct gn_asid *asid;
    const int r = gn_asid_init(mem, sizeof mem, &params, &asid);

    assert_int_equal(r == 0, gn_asid_size(&params) != 0);
    return r;
}

static void init_refuses_what_is_out_of_range(void **state)
{
    struct gn_asid_ops ops = ops_one;
    struct gn_asid_params p = {GN_ASID_PARAMS_INIT, .count = 64, .cpus = 4, .ops = &ops};
    _Alignas(64) uint8_t mem[64];
    struct gn_asid *asid = NULL;

    (void)state;
    assert_int_equal(init_result(p), 0);
    assert_int_equal(gn_asid_init(NULL, 64, &p, &asid), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_init(mem, 64, NULL, &asid), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_init(mem, 64, &p, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_init(mem + 8, 64, &p, &asid), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_init(mem, 64, &p, &asid), -GN_ERR_NOMEM);
    assert_null(asid);
    p.count = 1;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.count = GN_ASID_COUNT_MAX + 1;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.count = 64;
    p.cpus = GN_ASID_CPUS_MAX + 1;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.cpus = 4;
    p.policy = 5;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.policy = 0;
    p.rename = 4;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.rename = 0;
    p.first = UINT32_MAX - 62;
    assert_int_equal(init_result(p), -GN_ERR_RANGE);
    p.first = UINT32_MAX - 63;
    assert_int_equal(init_result(p), 0);
    ops.caps = 3;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    ops.caps = 0;
    ops.purge = NULL;
    assert_int_equal(init_result(p), 0);
    ops.purge_all = NULL;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    ops = ops_one;
    ops.purge_all = NULL;
    assert_int_equal(init_result(p), 0);
    p.policy = GN_ASID_POLICY_GENERATION;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.policy = 0;
    ops.unlock = NULL;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.ops = NULL;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
}

static void init_wants_more_ids_than_cpus(void **state)
{
    const uint64_t reserved[1] = {0x7};
    struct gn_asid_params p = {GN_ASID_PARAMS_INIT, .count = 8, .cpus = 7, .ops = &ops_one};

    (void)state;
    assert_int_equal(init_result(p), 0);
    p.cpus = 8;
    assert_int_equal(init_result(p), -GN_ERR_NOSPC);
    p.cpus = 5;
    p.reserved = reserved;
    assert_int_equal(init_result(p), -GN_ERR_NOSPC);
    p.cpus = 4;
    assert_int_equal(init_result(p), 0);
}

static void arguments_are_checked(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT});
    struct gn_asid_stats stats = {.size = 16};
    struct gn_asid_info info;
    uint32_t id = 7;

    (void)state;
    gn_asid_fini(NULL);
    assert_int_equal(gn_asid_version(), GN_ASID_VERSION_MAJOR << 16 | GN_ASID_VERSION_MINOR);
    assert_int_equal(gn_asid_activate(asid, CPUS, 0, 0, &id), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_activate(asid, GN_ASID_NO_CPU, 0, 0, &id), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_activate(asid, 0, 0, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_activate(NULL, 0, 0, 0, &id), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_deactivate(asid, CPUS), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_flush(asid, CPUS, 0, 0, &id), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_flush(asid, 0, 0, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_flush(asid, GN_ASID_NO_CPU, 0, 0, NULL), 0);
    assert_int_equal(gn_asid_vm_flush(asid, 0, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_release(NULL, 0, 0), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_release(asid, 0, 0), 0);
    assert_int_equal(gn_asid_vm_release(asid, 0), 0);
    assert_int_equal(gn_asid_vm_release(NULL, 0), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_lookup(asid, 0, 0, &id), 0);
    assert_int_equal(gn_asid_lookup(asid, 0, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_query(asid, FIRST - 1, &info), -GN_ERR_NOENT);
    assert_int_equal(gn_asid_query(asid, FIRST + IDS, &info), -GN_ERR_NOENT);
    assert_int_equal(gn_asid_query(asid, FIRST, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_reserve(asid, FIRST - 1), -GN_ERR_NOENT);
    assert_int_equal(gn_asid_unreserve(asid, FIRST), -GN_ERR_NOENT);
    assert_int_equal(gn_asid_cpu_reset(asid, CPUS), -GN_ERR_INVAL);
    assert_int_equal(gn_asid_stats_get(asid, &stats), -GN_ERR_INVAL);
    assert_int_equal(id, 7);
    destroy(asid);
}

/* ---- single steps ------------------------------------------------------------------------ */

static void a_pair_keeps_its_id_while_nobody_needs_it(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT});
    const uint32_t a = run(asid, 0, 1, 7), b = run(asid, 0, 2, 7);
    uint32_t id;

    (void)state;
    assert_int_not_equal(a, b);
    assert_int_equal(run(asid, 1, 1, 7), a);
    assert_int_equal(run(asid, 0, 1, 7), a);
    assert_int_equal(run(asid, 0, 1, 7), a);
    assert_int_equal(gn_asid_lookup(asid, 2, 7, &id), 1);
    assert_int_equal(id, b);
    assert_int_equal(gn_asid_lookup(asid, 2, 8, &id), 0);
    assert_int_equal(info_of(asid, a).running, 2);
    assert_int_equal(info_of(asid, a).holders, 2);
    assert_int_equal(info_of(asid, b).running, 0);
    assert_int_equal(info_of(asid, b).state, GN_ASID_STATE_USED);
    assert_int_equal(stats_of(asid).activations, 5);
    assert_int_equal(stats_of(asid).hits, 3);
    assert_int_equal(stats_of(asid).last_hits, 1);
    assert_int_equal(stats_of(asid).allocations, 2);
    assert_int_equal(machine.purges, 0);
    destroy(asid);
}

static void an_exhausted_pool_purges_one_id_where_it_may_be_held(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT});
    uint64_t i;

    (void)state;
    run(asid, 1, 1, 0);
    run(asid, 2, 1, 0);
    for (i = 0; i < IDS; i++) {
        run(asid, 1, 1, i);
        run(asid, 2, 1, i);
    }
    assert_int_equal(machine.purges, 0);
    run(asid, 3, 1, IDS);
    assert_int_equal(machine.purges, 2);
    assert_int_equal(machine.purge_alls, 0);
    assert_int_equal(stats_of(asid).reassigned, 1);
    destroy(asid);
}

static void lru_takes_the_one_that_was_activated_longest_ago(void **state)
{
    struct gn_asid *asid =
        make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .policy = GN_ASID_POLICY_LRU});
    uint64_t i;
    uint32_t id, oldest;

    (void)state;
    for (i = 0; i < IDS; i++)
        run(asid, 0, 1, i);
    run(asid, 0, 1, 0);
    run(asid, 0, 1, 5); /* what runs is spared anyway */
    assert_int_equal(gn_asid_lookup(asid, 1, 1, &oldest), 1);
    assert_int_equal(run(asid, 0, 1, 99), oldest);
    assert_int_equal(gn_asid_lookup(asid, 1, 0, &id), 1);
    assert_int_equal(gn_asid_lookup(asid, 1, 1, &id), 0);
    destroy(asid);
}

static void the_clock_spares_what_was_activated_since_its_last_round(void **state)
{
    struct gn_asid *asid =
        make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .policy = GN_ASID_POLICY_CLOCK});
    uint64_t i;
    uint32_t id;

    (void)state;
    for (i = 0; i <= IDS; i++) /* the last one sends the hand round once */
        run(asid, 0, 1, i);
    assert_int_equal(gn_asid_lookup(asid, 1, 0, &id), 0);
    run(asid, 0, 1, 1);
    run(asid, 0, 1, 3); /* what runs is spared anyway */
    run(asid, 0, 1, 50);
    assert_int_equal(gn_asid_lookup(asid, 1, 1, &id), 1);
    assert_int_equal(gn_asid_lookup(asid, 1, 2, &id), 0);
    destroy(asid);
}

static void a_rollover_spares_running_pairs_and_purges_every_cpu_in_use(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .ops = &ops_all});
    const uint32_t stays = run(asid, 3, 2, 5);
    uint32_t round, id;
    uint64_t i;

    (void)state;
    for (round = 0; round < 3; round++) {
        for (i = 0; stats_of(asid).rollovers == round; i++)
            run(asid, 0, 1, round * 100 + i);
        /* CPUs 1 and 2 never ran anything. */
        assert_int_equal(machine.purge_alls, 2 * (round + 1));
        assert_int_equal(run(asid, 3, 2, 5), stays);
        assert_int_equal(gn_asid_lookup(asid, 2, 5, &id), 1);
        assert_int_equal(id, stays);
        assert_int_equal(gn_asid_lookup(asid, 1, round * 100, &id), 0);
    }
    destroy(asid);
}

static void the_generation_policy_never_purges_one(void **state)
{
    struct gn_asid *asid =
        make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .policy = GN_ASID_POLICY_GENERATION});
    uint64_t i;

    (void)state;
    for (i = 0; i < 100; i++)
        run(asid, 0, 1, i);
    assert_int_equal(machine.purges, 0);
    assert_true(machine.purge_alls > 0 && machine.purge_alls < 12);
    destroy(asid);
}

static void a_flush_of_what_runs_nowhere_just_takes_the_id(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT});
    const uint32_t a = run(asid, 0, 1, 1);
    uint32_t id;

    (void)state;
    run(asid, 0, 1, 2);
    assert_int_equal(gn_asid_flush(asid, 0, 1, 1, &id), 0);
    assert_int_equal(info_of(asid, a).state, GN_ASID_STATE_DIRTY);
    assert_int_equal(info_of(asid, a).holders, 1);
    assert_int_equal(gn_asid_lookup(asid, 1, 1, &id), 0);
    assert_int_not_equal(run(asid, 0, 1, 1), a);
    assert_int_equal(machine.purges, 0);
    assert_int_equal(stats_of(asid).renames, 1);
    destroy(asid);
}

static void a_flush_renames_or_purges_what_runs_here_as_told(void **state)
{
    static const struct {
        const struct gn_asid_ops *ops;
        uint32_t rename;
        int elsewhere, renamed;
    } rows[] = {
        {&ops_one, GN_ASID_RENAME_AUTO, 0, 0},   {&ops_one, GN_ASID_RENAME_AUTO, 1, 1},
        {&ops_one, GN_ASID_RENAME_ALWAYS, 0, 1}, {&ops_one, GN_ASID_RENAME_NEVER, 1, 0},
        {&ops_all, GN_ASID_RENAME_AUTO, 0, 1},   {&ops_all, GN_ASID_RENAME_NEVER, 0, 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .ops = rows[i].ops,
                                                            .rename = rows[i].rename});
        uint32_t a, b = 0;

        if (rows[i].elsewhere) {
            run(asid, 2, 1, 1);
            assert_int_equal(gn_asid_deactivate(asid, 2), 0);
        }
        a = run(asid, 0, 1, 1);
        assert_int_equal(gn_asid_flush(asid, 0, 1, 1, &b), rows[i].renamed);
        assert_int_equal(machine.purges + machine.purge_alls,
                         rows[i].renamed ? 0 : 1 + rows[i].elsewhere);
        if (rows[i].renamed) {
            assert_int_not_equal(a, b);
            assert_int_equal(info_of(asid, a).state, GN_ASID_STATE_DIRTY);
            assert_int_equal(run(asid, 0, 1, 1), b);
        } else {
            assert_int_equal(b, 0);
            assert_int_equal(info_of(asid, a).holders, 1); /* it runs here */
        }
        destroy(asid);
    }
}

static void a_flush_purges_what_runs_on_another_cpu(void **state)
{
    struct gn_asid *asid =
        make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .rename = GN_ASID_RENAME_ALWAYS});
    uint32_t id = 0;

    (void)state;
    run(asid, 0, 1, 1);
    run(asid, 1, 1, 1);
    assert_int_equal(gn_asid_flush(asid, 0, 1, 1, &id), 0);
    assert_int_equal(machine.purges, 2);
    assert_int_equal(gn_asid_flush(asid, GN_ASID_NO_CPU, 1, 1, NULL), 0);
    assert_int_equal(machine.purges, 4);
    destroy(asid);
}

static void a_released_id_is_purged_before_its_next_use(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT});
    uint64_t i;

    (void)state;
    run(asid, 0, 1, 1);
    assert_int_equal(gn_asid_release(asid, 1, 1), -GN_ERR_BUSY);
    assert_int_equal(gn_asid_deactivate(asid, 0), 0);
    assert_int_equal(gn_asid_release(asid, 1, 1), 0);
    assert_int_equal(machine.purges, 0);
    for (i = 0; i < IDS - 1; i++)
        run(asid, 0, 2, i);
    assert_int_equal(machine.purges, 0);
    run(asid, 0, 2, i);
    assert_int_equal(machine.purges, 1);
    assert_int_equal(stats_of(asid).reassigned, 0);
    destroy(asid);
}

static void the_end_of_a_vm_returns_all_of_its_ids(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT});
    uint32_t i, used = 0, id;

    (void)state;
    for (i = 0; i < IDS; i++)
        run(asid, 0, i % VMS, i);
    assert_int_equal(gn_asid_vm_release(asid, (IDS - 1) % VMS), -GN_ERR_BUSY);
    assert_int_equal(gn_asid_vm_release(asid, 0), 0);
    for (i = 0; i < IDS; i++) {
        used += info_of(asid, FIRST + i).state == GN_ASID_STATE_USED;
        assert_int_equal(gn_asid_lookup(asid, i % VMS, i, &id), i % VMS != 0);
    }
    assert_int_equal(used, IDS - IDS / VMS);
    assert_int_equal(stats_of(asid).releases, IDS / VMS);
    destroy(asid);
}

/* In a pool of twelve, chains of the hash tables are sure to hold pairs of several VMs. */
static void vms_that_share_a_guest_asid_share_nothing_else(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT});
    uint32_t id_of[IDS], vm, other, id;

    (void)state;
    for (vm = 0; vm < IDS; vm++) {
        id_of[vm] = run(asid, 0, vm * 97, 1);
        for (other = 0; other < vm; other++)
            assert_int_not_equal(id_of[vm], id_of[other]);
    }
    run(asid, 0, (IDS - 1) * 97, 1);
    for (vm = 0; vm < IDS - 1; vm++) {
        assert_int_equal(gn_asid_vm_release(asid, vm * 97), 0);
        for (other = 0; other < IDS; other++) {
            assert_int_equal(gn_asid_lookup(asid, other * 97, 1, &id), other > vm);
            if (other > vm)
                assert_int_equal(id, id_of[other]);
        }
    }
    destroy(asid);
}

static void a_reserved_id_is_never_given_out(void **state)
{
    const uint64_t reserved[1] = {1u << 0 | 1u << 5};
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .reserved = reserved});
    uint64_t i;
    uint32_t id;

    (void)state;
    for (i = 0; i < 3 * IDS; i++) {
        id = run(asid, 0, 1, i);
        assert_int_not_equal(id, FIRST);
        assert_int_not_equal(id, FIRST + 5);
    }
    assert_int_equal(gn_asid_reserve(asid, FIRST + 5), -GN_ERR_EXIST);
    assert_int_equal(gn_asid_reserve(asid, id), -GN_ERR_BUSY);
    machine.purges = 0;
    for (i = 1; info_of(asid, FIRST + i).running || i == 5; i++)
        continue;
    assert_int_equal(gn_asid_reserve(asid, FIRST + i), 0);
    assert_int_equal(machine.purges, 1);
    assert_int_equal(info_of(asid, FIRST + i).state, GN_ASID_STATE_RESERVED);
    assert_int_equal(gn_asid_unreserve(asid, FIRST + 5), 0);
    assert_int_equal(run(asid, 0, 1, 1000), FIRST + 5);
    destroy(asid);
}

static void reserving_leaves_more_ids_than_cpus(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT});
    uint32_t i;

    (void)state;
    for (i = 0; i < IDS - CPUS - 1; i++)
        assert_int_equal(gn_asid_reserve(asid, FIRST + i), 0);
    assert_int_equal(gn_asid_reserve(asid, FIRST + i), -GN_ERR_NOSPC);
    destroy(asid);
}

static void every_cpu_may_run_a_pair_of_its_own_and_switch(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .count = CPUS + 1});
    uint32_t cpu;
    uint64_t i;

    (void)state;
    for (i = 0; i < 100; i++)
        for (cpu = 0; cpu < CPUS; cpu++)
            run(asid, cpu, cpu, i);
    destroy(asid);
}

static void a_reset_cpu_is_owed_no_purge(void **state)
{
    struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT});
    const uint32_t a = run(asid, 0, 1, 1);

    (void)state;
    assert_int_equal(gn_asid_cpu_reset(asid, 0), -GN_ERR_BUSY);
    assert_int_equal(gn_asid_deactivate(asid, 0), 0);
    assert_int_equal(gn_asid_release(asid, 1, 1), 0);
    assert_int_equal(info_of(asid, a).state, GN_ASID_STATE_DIRTY);
    assert_int_equal(gn_asid_cpu_reset(asid, 0), 0);
    assert_int_equal(info_of(asid, a).state, GN_ASID_STATE_CLEAN);
    destroy(asid);
}

static void a_failed_purge_keeps_the_id_out_of_use(void **state)
{
    const struct gn_asid_ops *both[] = {&ops_one, &ops_all};
    size_t k;

    (void)state;
    for (k = 0; k < 2; k++) {
        struct gn_asid *asid = make((struct gn_asid_params){GN_ASID_PARAMS_INIT, .ops = both[k]});
        uint32_t id = 77, before;
        uint64_t i;

        for (i = 0; i < IDS; i++)
            before = run(asid, 0, 1, i);
        machine.fail_one_in = 1;
        assert_int_equal(gn_asid_activate(asid, 0, 2, 0, &id), k ? -GN_ERR_BUSY : -GN_ERR_IO);
        assert_int_equal(id, 77);
        assert_int_equal(gn_asid_lookup(asid, 2, 0, &id), 0);
        /* What ran goes on under its ID. */
        assert_int_equal(run(asid, 0, 1, IDS - 1), before);
        assert_int_equal(stats_of(asid).failures, 1);
        assert_int_equal(gn_asid_flush(asid, GN_ASID_NO_CPU, 1, IDS - 1, NULL),
                         k ? -GN_ERR_BUSY : -GN_ERR_IO);
        machine.fail_one_in = 0;
        run(asid, 0, 2, 0);
        destroy(asid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_refuses_what_is_out_of_range),
        cmocka_unit_test(init_wants_more_ids_than_cpus),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(a_pair_keeps_its_id_while_nobody_needs_it),
        cmocka_unit_test(an_exhausted_pool_purges_one_id_where_it_may_be_held),
        cmocka_unit_test(lru_takes_the_one_that_was_activated_longest_ago),
        cmocka_unit_test(the_clock_spares_what_was_activated_since_its_last_round),
        cmocka_unit_test(a_rollover_spares_running_pairs_and_purges_every_cpu_in_use),
        cmocka_unit_test(the_generation_policy_never_purges_one),
        cmocka_unit_test(a_flush_of_what_runs_nowhere_just_takes_the_id),
        cmocka_unit_test(a_flush_renames_or_purges_what_runs_here_as_told),
        cmocka_unit_test(a_flush_purges_what_runs_on_another_cpu),
        cmocka_unit_test(a_released_id_is_purged_before_its_next_use),
        cmocka_unit_test(the_end_of_a_vm_returns_all_of_its_ids),
        cmocka_unit_test(vms_that_share_a_guest_asid_share_nothing_else),
        cmocka_unit_test(a_reserved_id_is_never_given_out),
        cmocka_unit_test(reserving_leaves_more_ids_than_cpus),
        cmocka_unit_test(every_cpu_may_run_a_pair_of_its_own_and_switch),
        cmocka_unit_test(a_reset_cpu_is_owed_no_purge),
        cmocka_unit_test(a_failed_purge_keeps_the_id_out_of_use),
    };

    return cmocka_run_group_tests_name("asid", tests, NULL, NULL);
}
