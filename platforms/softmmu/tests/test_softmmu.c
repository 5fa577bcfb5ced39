/* SPDX-License-Identifier: BSD-3-Clause */

/* The contract of the interface: arguments, errors, layouts, counters, the table of operations. */

#include "machine.h"

/* Layout: sizes and offsets are ABI. */
GN_TEST_SIZE(gn_mmu_answer, 24);
GN_TEST_AT(gn_mmu_answer, outcome, 0);
GN_TEST_AT(gn_mmu_answer, code, 4);
GN_TEST_AT(gn_mmu_answer, entry, 8);
GN_TEST_AT(gn_mmu_answer, gpa, 16);
GN_TEST_SIZE(gn_mmu_context, 24);
GN_TEST_AT(gn_mmu_context, asid, 4);
GN_TEST_AT(gn_mmu_context, root, 8);
GN_TEST_AT(gn_mmu_context, user, 16);
GN_TEST_AT(gn_mmu_context, controls, 20);
GN_TEST_SIZE(gn_mmu_ops, 96);
GN_TEST_AT(gn_mmu_ops, caps, 4);
GN_TEST_AT(gn_mmu_ops, asid_bits, 8);
GN_TEST_AT(gn_mmu_ops, context_set, 16);
GN_TEST_AT(gn_mmu_ops, map, 24);
GN_TEST_AT(gn_mmu_ops, unmap, 32);
GN_TEST_AT(gn_mmu_ops, invalidate_range, 40);
GN_TEST_AT(gn_mmu_ops, invalidate_asid, 48);
GN_TEST_AT(gn_mmu_ops, invalidate_all, 56);
GN_TEST_AT(gn_mmu_ops, track_set, 64);
GN_TEST_AT(gn_mmu_ops, track_drain, 72);
GN_TEST_AT(gn_mmu_ops, access, 80);
GN_TEST_AT(gn_mmu_ops, invalidate_writes, 88);
GN_TEST_SIZE(gn_softmmu_ops, 32);
GN_TEST_AT(gn_softmmu_ops, absent, 8);
GN_TEST_AT(gn_softmmu_ops, traced_write, 16);
GN_TEST_AT(gn_softmmu_ops, conform, 24);
GN_TEST_SIZE(gn_softmmu_params, 56);
GN_TEST_AT(gn_softmmu_params, format, 4);
GN_TEST_AT(gn_softmmu_params, vcpus, 8);
GN_TEST_AT(gn_softmmu_params, tlb_entries, 12);
GN_TEST_AT(gn_softmmu_params, memory, 16);
GN_TEST_AT(gn_softmmu_params, memory_size, 24);
GN_TEST_AT(gn_softmmu_params, ops, 32);
GN_TEST_AT(gn_softmmu_params, ops_ctx, 40);
GN_TEST_AT(gn_softmmu_params, contexts, 48);
GN_TEST_SIZE(gn_softmmu_context, 32);
GN_TEST_AT(gn_softmmu_context, asid, 4);
GN_TEST_AT(gn_softmmu_context, root, 8);
GN_TEST_AT(gn_softmmu_context, view, 16);
GN_TEST_AT(gn_softmmu_context, mxr, 20);
GN_TEST_AT(gn_softmmu_context, controls, 24);
GN_TEST_SIZE(gn_softmmu_answer, 48);
GN_TEST_AT(gn_softmmu_answer, host, 24);
GN_TEST_AT(gn_softmmu_answer, hpa, 32);
GN_TEST_AT(gn_softmmu_answer, traced, 40);
GN_TEST_SIZE(gn_softmmu_stats, 112);
GN_TEST_AT(gn_softmmu_stats, walks, 8);
GN_TEST_AT(gn_softmmu_stats, context_sets, 80);
GN_TEST_AT(gn_softmmu_stats, contexts_evicted, 88);
GN_TEST_AT(gn_softmmu_stats, strays, 96);
GN_TEST_AT(gn_softmmu_stats, conformed, 104);
GN_TEST_SIZE(gn_softmmu_cached, 40);
GN_TEST_AT(gn_softmmu_cached, access, 4);
GN_TEST_AT(gn_softmmu_cached, gva, 24);
GN_TEST_AT(gn_softmmu_cached, hpa, 32);
/* Outside the ABI, but a window is a cache line, and a line holds four entries. */
GN_TEST_SIZE(gn_softmmu_entry, 16);
GN_TEST_SIZE(gn_softmmu_slab, 64);
GN_TEST_SIZE(gn_softmmu_window, 64);

static uint8_t memory[1 << 20] __attribute__((aligned(4096)));
static uint8_t object[1 << 20] __attribute__((aligned(64)));

static struct gn_softmmu_params good_params(void)
{
    return (struct gn_softmmu_params){GN_SOFTMMU_PARAMS_INIT,       .format = GN_PAGING_SV39,
                                      .tlb_entries = 1024,          .memory = memory,
                                      .memory_size = sizeof memory, .contexts = 4};
}

static int init(const struct gn_softmmu_params *params)
{
    struct gn_softmmu *mmu = (void *)memory;
    int rc = gn_softmmu_init(object, sizeof object, params, &mmu);

    assert_ptr_equal(mmu, rc ? (void *)memory : (void *)object);
    return rc;
}

static void version_is_that_of_the_header(void **state)
{
    (void)state;
    assert_int_equal(gn_softmmu_version(),
                     GN_SOFTMMU_VERSION_MAJOR << 16 | GN_SOFTMMU_VERSION_MINOR);
}

static void init_refuses_null_and_unaligned_arguments(void **state)
{
    struct gn_softmmu_params p = good_params();
    struct gn_softmmu *mmu = NULL;

    (void)state;
    assert_int_equal(gn_softmmu_init(NULL, sizeof object, &p, &mmu), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_init(object, sizeof object, NULL, &mmu), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_init(object, sizeof object, &p, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_init(object + 32, sizeof object - 32, &p, &mmu), -GN_ERR_INVAL);
    assert_null(mmu);
    assert_int_equal(gn_softmmu_size(NULL), 0);
    p.size = 8;
    assert_int_equal(init(&p), -GN_ERR_INVAL);
}

static void init_refuses_values_out_of_range(void **state)
{
    static const struct {
        uint32_t vcpus, tlb_entries;
        uint64_t memory_offset, memory_size;
    } bad[] = {
        {257, 0, 0, 1 << 20}, {1, 32, 0, 1 << 20},      {1, 1 << 21, 0, 1 << 20},
        {1, 96, 0, 1 << 20},  {1, 0, 8, 1 << 19},       {1, 0, 0, 0},
        {1, 0, 0, 4097},      {UINT32_MAX, 0, 0, 4096}, {1, UINT32_MAX, 0, 4096},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gn_softmmu_params p = good_params();

        p.vcpus = bad[i].vcpus;
        p.tlb_entries = bad[i].tlb_entries;
        p.memory = memory + bad[i].memory_offset;
        p.memory_size = bad[i].memory_size;
        assert_int_equal(gn_softmmu_size(&p), 0);
        assert_int_equal(init(&p), -GN_ERR_INVAL);
    }
}

static void init_refuses_contexts_that_are_too_few_or_too_many(void **state)
{
    static const uint32_t bad[] = {1, 3, 4097, UINT32_MAX};
    struct gn_softmmu_params p = good_params();

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        p.contexts = bad[i];
        assert_int_equal(gn_softmmu_size(&p), 0);
        assert_int_equal(init(&p), -GN_ERR_INVAL);
    }
    p.contexts = 4;
    p.reserved = 1;
    assert_int_equal(init(&p), -GN_ERR_INVAL);
}

static void init_refuses_a_null_memory(void **state)
{
    struct gn_softmmu_params p = good_params();

    (void)state;
    p.memory = NULL;
    assert_int_equal(gn_softmmu_size(&p), 0);
    assert_int_equal(init(&p), -GN_ERR_INVAL);
}

static void init_refuses_formats_that_it_cannot_walk(void **state)
{
    struct gn_softmmu_params p = good_params();

    (void)state;
    p.format = GN_PAGING_BARE;
    assert_int_equal(init(&p), -GN_ERR_NOTSUP);
    p.format = 4711;
    assert_int_equal(init(&p), -GN_ERR_NOTSUP);
    p.format = GN_PAGING_X86_32; /* entries of 4 bytes */
    assert_int_equal(init(&p), -GN_ERR_NOTSUP);
    p.format = GN_PAGING_X86_PAE; /* a topmost table of four */
    assert_int_equal(init(&p), -GN_ERR_NOTSUP);
    p.format = GN_PAGING_AARCH64_4K; /* two roots */
    assert_int_equal(init(&p), -GN_ERR_NOTSUP);
}

static void init_refuses_memory_that_is_too_small_by_a_byte(void **state)
{
    struct gn_softmmu_params p = good_params();
    struct gn_softmmu *mmu = NULL;
    size_t size = gn_softmmu_size(&p);

    (void)state;
    assert_in_range(size, 1, sizeof object);
    assert_int_equal(gn_softmmu_init(object, size - 1, &p, &mmu), -GN_ERR_NOMEM);
    assert_int_equal(gn_softmmu_init(object, size, &p, &mmu), 0);
}

static void a_longer_params_is_accepted_while_its_tail_is_zero(void **state)
{
    struct {
        struct gn_softmmu_params params;
        uint64_t tail[64];
    } p = {good_params(), {0}};
    struct gn_softmmu *mmu = NULL;
    size_t size;

    (void)state;
    size = gn_softmmu_size(&p.params);
    p.params.size = sizeof p;
    assert_int_equal(gn_softmmu_size(&p.params), size);
    assert_int_equal(gn_softmmu_init(object, size - 1, &p.params, &mmu), -GN_ERR_NOMEM);
    assert_int_equal(gn_softmmu_init(object, size, &p.params, &mmu), 0);
    p.tail[63] = 1;
    assert_int_equal(gn_softmmu_size(&p.params), 0);
    assert_int_equal(init(&p.params), -GN_ERR_2BIG);
}

static void ops_are_size_checked_and_copied(void **state)
{
    struct {
        struct gn_softmmu_ops ops;
        uint64_t tail;
    } o = {{GN_SOFTMMU_OPS_INIT, 0, NULL, NULL}, 1};
    struct gn_softmmu_params p = good_params();

    (void)state;
    p.ops = &o.ops;
    assert_int_equal(init(&p), 0);
    o.ops.size = sizeof o;
    assert_int_equal(init(&p), -GN_ERR_2BIG);
    o.tail = 0;
    assert_int_equal(init(&p), 0);
    o.ops.size = 8;
    assert_int_equal(init(&p), -GN_ERR_INVAL);
}

static void init_works_at_the_limits(void **state)
{
    struct gn_softmmu_params p = good_params();
    void *mem;
    struct gn_softmmu *mmu;

    (void)state;
    p.vcpus = 256;
    p.tlb_entries = 64;
    p.memory_size = 4096;
    mem = gn_test_memory(gn_softmmu_align(), gn_softmmu_size(&p));
    assert_int_equal(gn_softmmu_init(mem, gn_softmmu_size(&p), &p, &mmu), 0);
    assert_non_null(gn_softmmu_window(mmu, 255, FETCH));
    assert_null(gn_softmmu_window(mmu, 256, DATA));
    gn_softmmu_fini(mmu);
    gn_softmmu_fini(NULL);
    free(mem);
    p.tlb_entries = 1 << 20;
    assert_true(gn_softmmu_size(&p) > (size_t)256 << 24);
}

static void a_window_exists_for_each_vcpu_and_port_and_is_a_line_of_its_own(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 2, 64);

    (void)state;
    for (uint32_t vcpu = 0; vcpu < 2; vcpu++)
        for (uint32_t port = 0; port < 2; port++)
            assert_int_equal((uintptr_t)gn_softmmu_window(m->mmu, vcpu, port) % 64, 0);
    assert_ptr_not_equal(gn_softmmu_window(m->mmu, 0, DATA), gn_softmmu_window(m->mmu, 0, FETCH));
    assert_null(gn_softmmu_window(m->mmu, 2, DATA));
    assert_null(gn_softmmu_window(m->mmu, 0, 2));
    assert_null(gn_softmmu_window(NULL, 0, DATA));
    machine_free(m);
}

static void context_set_refuses_what_is_out_of_range(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    const struct gn_softmmu_context good = {GN_SOFTMMU_CONTEXT_INIT, .asid = 4095,
                                            .root = gn_hpa(TABLES)};
    struct gn_softmmu_context c = good;
    struct {
        struct gn_softmmu_context context;
        uint64_t tail;
    } longer = {good, 0};

    (void)state;
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, 0, &good), 0);
    assert_int_equal(gn_softmmu_context_set(NULL, 0, 0, &good), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_context_set(m->mmu, 1, 0, &good), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, 2, &good), -GN_ERR_INVAL);
    c.asid = 4096;
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, 0, &c), -GN_ERR_INVAL);
    c.asid = GN_MMU_ASID_ANY;
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, 0, &c), -GN_ERR_INVAL);
    c = good;
    c.view = GN_SOFTMMU_VIEWS;
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, 0, &c), -GN_ERR_INVAL);
    c = good;
    c.root = gn_hpa(TABLES + 8);
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, 0, &c), -GN_ERR_INVAL);
    c = good;
    c.size = 4;
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, 0, &c), -GN_ERR_INVAL);
    longer.context.size = sizeof longer;
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, 0, &longer.context), 0);
    longer.tail = 1;
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, 0, &longer.context), -GN_ERR_2BIG);
    assert_int_equal(machine_stats(m).context_sets, 2);
    machine_free(m);
}

static void access_refuses_what_is_out_of_range_and_leaves_the_answer_alone(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    struct gn_softmmu_answer r, before;
    uint64_t root = machine_table(m);

    (void)state;
    machine_map(m, root, 0x1000, 0x2000, R | W);
    machine_load(m, 1, root);
    memset(&r, 0x5a, sizeof r);
    before = r;
    assert_int_equal(gn_softmmu_access(NULL, 0, gn_gva(0x1000), READ, 8, &r), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1000), READ, 8, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_access(m->mmu, 1, gn_gva(0x1000), READ, 8, &r), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1000), 3, 8, &r), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1000), READ, 0, &r), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1ff9), READ, 8, &r), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1000), READ, 4097, &r), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1001), READ, UINT32_MAX, &r),
                     -GN_ERR_INVAL);
    assert_memory_equal(&r, &before, sizeof r);
    assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1ff8), READ, 8, &r), 0);
    assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1000), READ, 4096, &r), 0);
    machine_free(m);
}

static void nothing_is_translated_before_a_context_is_set(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    struct gn_softmmu_answer r;

    (void)state;
    /* What a walk from address 0 would find. */
    *(uint64_t *)m->memory = machine_encode(m, 2, GN_PAGING_ENTRY_LEAF, R | W | X | U, 0);
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
        assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1000), kind, 8, &r), -GN_ERR_PERM);
        assert_null(machine_probe(m, 0, 0x1000, kind));
        assert_null(machine_probe(m, 0, 8, kind)); /* what an empty entry is tagged with */
    }
    machine_port(m, 0, DATA, 1, 0, GN_SOFTMMU_VIEW_USER);
    assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1000), READ, 8, &r), 0);
    assert_int_equal(gn_softmmu_access(m->mmu, 0, gn_gva(0x1000), EXEC, 8, &r), -GN_ERR_PERM);
    assert_null(machine_probe(m, 0, 0x1000, EXEC));
    machine_free(m);
}

static void a_refused_context_leaves_the_old_one_in_force(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m);
    struct gn_softmmu_context bad = {GN_SOFTMMU_CONTEXT_INIT, .asid = 4096};

    (void)state;
    machine_map(m, root, 0x1000, 0x2000, R | W | U);
    machine_load(m, 7, root);
    assert_int_equal(machine_outcome(m, 0x1000, READ), GN_MMU_DONE);
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, DATA, &bad), -GN_ERR_INVAL);
    assert_ptr_equal(machine_probe(m, 0, 0x1000, READ), m->memory + 0x2000);
    machine_free(m);
}

static void stats_give_as_much_as_the_caller_knows(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    struct {
        struct gn_softmmu_stats stats;
        uint64_t tail;
    } s;

    (void)state;
    machine_load(m, 1, machine_table(m));
    memset(&s, 0xff, sizeof s);
    s.stats.size = 16;
    assert_int_equal(gn_softmmu_stats_get(m->mmu, &s.stats), 0);
    assert_int_equal(s.stats.size, 16);
    assert_int_equal(s.stats.walks, 0);
    assert_int_equal(s.stats.fills, UINT64_MAX);
    s.stats.size = sizeof s;
    assert_int_equal(gn_softmmu_stats_get(m->mmu, &s.stats), 0);
    assert_int_equal(s.stats.size, sizeof s.stats);
    assert_int_equal(s.stats.context_sets, 2);
    assert_int_equal(s.tail, UINT64_MAX);
    s.stats.size = 3;
    assert_int_equal(gn_softmmu_stats_get(m->mmu, &s.stats), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_stats_get(m->mmu, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_stats_get(NULL, &s.stats), -GN_ERR_INVAL);
    machine_free(m);
}

static void counters_count_what_they_say(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m);
    struct gn_softmmu_stats s;

    (void)state;
    machine_map(m, root, 0x1000, 0x2000, R | W);
    machine_load(m, 1, root);
    machine_outcome(m, 0x1000, READ);     /* a walk and a fill */
    machine_outcome(m, 0x1000, EXEC);     /* a walk and an exit: denied */
    machine_outcome(m, 0x5000, READ);     /* a walk and an exit: absent */
    machine_outcome(m, 1ull << 40, READ); /* an exit without a walk */
    gn_softmmu_invalidate_range(m->mmu, 1, gn_gva(0x1000), 1);
    gn_softmmu_invalidate_asid(m->mmu, 1);
    gn_softmmu_invalidate_all(m->mmu);
    gn_softmmu_written(m->mmu, 0, gn_hpa(0x2000), 8);
    gn_softmmu_written(m->mmu, 1, gn_hpa(0x2000), 8); /* no such virtual CPU */
    s = machine_stats(m);
    assert_int_equal(s.walks, 3);
    assert_int_equal(s.fills, 1);
    assert_int_equal(s.exits, 3);
    assert_int_equal(s.invalidations, 1);
    assert_int_equal(s.asid_flushes, 1);
    assert_int_equal(s.full_flushes, 1);
    assert_int_equal(s.traced_writes, 1);
    assert_int_equal(s.marker_faults + s.marker_mmio, 0);
    assert_int_equal(s.context_sets, 2);
    assert_int_equal(m->logged, 1);
    machine_free(m);
}

static void the_ops_table_has_what_its_capabilities_say(void **state)
{
    const struct gn_mmu_ops *ops = gn_softmmu_mmu_ops();

    (void)state;
    assert_int_equal(ops->size, sizeof *ops);
    assert_int_equal(ops->caps, GN_MMU_CAP_WALKS | GN_MMU_CAP_ASID | GN_MMU_CAP_TRACED |
                                    GN_MMU_CAP_MARKERS | GN_MMU_CAP_WRITES);
    assert_int_equal(ops->asid_bits, 12);
    assert_null(ops->map);
    assert_null(ops->unmap);
    assert_null(ops->track_set);
    assert_null(ops->track_drain);
}

static void the_ops_refuse_bad_arguments(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    const struct gn_mmu_ops *ops = gn_softmmu_mmu_ops();
    struct gn_mmu_context c = {GN_MMU_CONTEXT_INIT, .asid = 1, .root = gn_hpa(TABLES)};
    struct gn_mmu_answer r;
    uint64_t data;

    (void)state;
    assert_int_equal(ops->access(m->mmu, 0, gn_gva(0), READ, &data, 8, &r), -GN_ERR_PERM);
    assert_int_equal(ops->context_set(m->mmu, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(ops->context_set(NULL, 0, &c), -GN_ERR_INVAL);
    assert_int_equal(ops->context_set(m->mmu, 1, &c), -GN_ERR_INVAL);
    assert_int_equal(ops->context_set(m->mmu, 0, &c), 0);
    c.asid = 4096;
    assert_int_equal(ops->context_set(m->mmu, 0, &c), -GN_ERR_INVAL);
    assert_int_equal(ops->access(NULL, 0, gn_gva(0), READ, &data, 8, &r), -GN_ERR_INVAL);
    assert_int_equal(ops->access(m->mmu, 1, gn_gva(0), READ, &data, 8, &r), -GN_ERR_INVAL);
    assert_int_equal(ops->access(m->mmu, 0, gn_gva(0), 3, &data, 8, &r), -GN_ERR_INVAL);
    assert_int_equal(ops->access(m->mmu, 0, gn_gva(0), READ, NULL, 8, &r), -GN_ERR_INVAL);
    assert_int_equal(ops->access(m->mmu, 0, gn_gva(0), READ, &data, 0, &r), -GN_ERR_INVAL);
    assert_int_equal(ops->access(m->mmu, 0, gn_gva(4095), READ, &data, 2, &r), -GN_ERR_INVAL);
    assert_int_equal(ops->access(m->mmu, 0, gn_gva(0), READ, &data, 8, NULL), -GN_ERR_INVAL);
    machine_free(m);
}

static void the_ops_ignore_control_bits_of_the_other_architecture(void **state)
{
    static const uint32_t foreign[2] = {GN_PAGING_X86_AC, GN_PAGING_RISCV_SUM};
    static const uint32_t own[2] = {GN_PAGING_RISCV_SUM, GN_PAGING_X86_AC};
    static const uint32_t format[2] = {GN_PAGING_SV39, GN_PAGING_X86_4LEVEL};
    const struct gn_mmu_ops *ops = gn_softmmu_mmu_ops();

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct machine *m = machine_new(format[i], 1, 64);
        uint64_t root = machine_table(m), data;
        struct gn_mmu_context c = {GN_MMU_CONTEXT_INIT, .asid = 1, .root = gn_hpa(root)};
        struct gn_mmu_answer r;

        machine_map(m, root, 0x1000, 0x2000, R | W | U);
        c.controls = GN_PAGING_X86_SMAP | foreign[i];
        assert_int_equal(ops->context_set(m->mmu, 0, &c), 0);
        assert_int_equal(ops->access(m->mmu, 0, gn_gva(0x1000), READ, &data, 8, &r), 0);
        assert_int_equal(r.outcome, GN_MMU_DENIED);
        c.controls = GN_PAGING_X86_SMAP | own[i];
        assert_int_equal(ops->context_set(m->mmu, 0, &c), 0);
        assert_int_equal(ops->access(m->mmu, 0, gn_gva(0x1000), READ, &data, 8, &r), 0);
        assert_int_equal(r.outcome, GN_MMU_DONE);
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_is_that_of_the_header),
        cmocka_unit_test(init_refuses_null_and_unaligned_arguments),
        cmocka_unit_test(init_refuses_values_out_of_range),
        cmocka_unit_test(init_refuses_contexts_that_are_too_few_or_too_many),
        cmocka_unit_test(init_refuses_a_null_memory),
        cmocka_unit_test(init_refuses_formats_that_it_cannot_walk),
        cmocka_unit_test(init_refuses_memory_that_is_too_small_by_a_byte),
        cmocka_unit_test(a_longer_params_is_accepted_while_its_tail_is_zero),
        cmocka_unit_test(ops_are_size_checked_and_copied),
        cmocka_unit_test(init_works_at_the_limits),
        cmocka_unit_test(a_window_exists_for_each_vcpu_and_port_and_is_a_line_of_its_own),
        cmocka_unit_test(context_set_refuses_what_is_out_of_range),
        cmocka_unit_test(access_refuses_what_is_out_of_range_and_leaves_the_answer_alone),
        cmocka_unit_test(nothing_is_translated_before_a_context_is_set),
        cmocka_unit_test(a_refused_context_leaves_the_old_one_in_force),
        cmocka_unit_test(stats_give_as_much_as_the_caller_knows),
        cmocka_unit_test(counters_count_what_they_say),
        cmocka_unit_test(the_ops_table_has_what_its_capabilities_say),
        cmocka_unit_test(the_ops_refuse_bad_arguments),
        cmocka_unit_test(the_ops_ignore_control_bits_of_the_other_architecture),
    };

    return cmocka_run_group_tests_name("softmmu", tests, NULL, NULL);
}
