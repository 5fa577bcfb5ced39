/* SPDX-License-Identifier: BSD-3-Clause */

/* What hardware does not do: writes completed and recorded, absent entries that say why. */

#include "machine.h"

#define GVA  0x123000ull
#define PAGE 0x5000ull

/* Sets virtual CPU 0 up over one page. */
static struct machine *one_page(uint32_t permissions, uint32_t view, uint64_t *ret_root)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 2, 64);

    *ret_root = machine_table(m);
    machine_map(m, *ret_root, GVA, PAGE, permissions);
    for (uint32_t vcpu = 0; vcpu < 2; vcpu++) {
        machine_port(m, vcpu, DATA, 1, *ret_root, view);
        machine_port(m, vcpu, FETCH, 1, *ret_root, view);
    }
    return m;
}

static uint32_t op_access(struct machine *m, uint32_t vcpu, uint64_t gva, uint32_t access,
                          void *data, uint32_t bytes)
{
    struct gn_mmu_answer r;

    memset(&r, 0x5a, sizeof r);
    assert_int_equal(
        gn_softmmu_mmu_ops()->access(m->mmu, vcpu, gn_gva(gva), access, data, bytes, &r), 0);
    return r.outcome;
}

static void a_traced_write_completes_and_is_recorded_with_its_address_and_size(void **state)
{
    uint64_t root;
    struct machine *m = one_page(R | W | U | TRACED, GN_SOFTMMU_VIEW_USER, &root);
    uint8_t data[4096];
    uint32_t expected = 0;

    (void)state;
    memset(data, 0, sizeof data);
    for (uint32_t bytes = 1; bytes <= 4096; bytes *= 2)
        for (uint32_t vcpu = 0; vcpu < 2; vcpu++) {
            uint64_t offset = (4096 - bytes) / 2;

            data[0] = (uint8_t)(0x80 + expected);
            assert_int_equal(op_access(m, vcpu, GVA + offset, WRITE, data, bytes), GN_MMU_DONE);
            assert_int_equal(m->logged, expected + 1);
            assert_int_equal(m->log[expected].vcpu, vcpu);
            assert_int_equal(m->log[expected].hpa, PAGE + offset);
            assert_int_equal(m->log[expected].bytes, bytes);
            /* After it completed: who reads the record finds the new value. */
            assert_int_equal(m->log[expected].found, data[0]);
            expected++;
        }
    assert_int_equal(machine_stats(m).traced_writes, expected);
    assert_int_equal(machine_stats(m).exits, 0);
    /* Of those, the first on each virtual CPU walked. */
    assert_int_equal(machine_stats(m).walks, 2);
    machine_free(m);
}

static void the_probe_serves_reads_of_a_traced_page_and_never_a_write(void **state)
{
    uint64_t root;
    struct machine *m = one_page(R | W | X | U | TRACED, GN_SOFTMMU_VIEW_USER, &root);

    (void)state;
    for (uint32_t first = 0; first < GN_ACCESS_KINDS; first++) {
        gn_softmmu_invalidate_all(m->mmu);
        assert_int_equal(machine_outcome(m, GVA, first), GN_MMU_DONE);
        if (first == EXEC)
            assert_non_null(machine_probe(m, 0, GVA, EXEC));
        else
            assert_non_null(machine_probe(m, 0, GVA, READ));
        assert_null(machine_probe(m, 0, GVA, WRITE));
        assert_int_equal(machine_access(m, 0, GVA, WRITE, 8).traced, 1);
        assert_null(machine_probe(m, 0, GVA, WRITE));
    }
    assert_int_equal(m->logged, 0);
    machine_free(m);
}

static void the_probe_for_traced_writes_finds_those_and_no_others(void **state)
{
    uint64_t root;
    struct machine *m = one_page(R | W | U | TRACED, GN_SOFTMMU_VIEW_USER, &root);
    const struct gn_softmmu_window *w = gn_softmmu_window(m->mmu, 0, DATA);
    struct gn_softmmu_answer r;

    (void)state;
    assert_null(gn_softmmu_probe_traced(w, gn_gva(GVA), 8));
    r = machine_access(m, 0, GVA + 8, WRITE, 8);
    assert_ptr_equal(gn_softmmu_probe_traced(w, gn_gva(GVA + 8), 8), r.host);
    assert_null(gn_softmmu_probe_traced(w, gn_gva(GVA + 4092), 8));
    assert_null(gn_softmmu_probe_traced(w, gn_gva(GVA + 4096), 1));
    machine_map(m, root, GVA, PAGE, R | W | U);
    gn_softmmu_invalidate_all(m->mmu);
    assert_null(gn_softmmu_probe_traced(w, gn_gva(GVA), 8));
    assert_int_equal(machine_outcome(m, GVA, WRITE), GN_MMU_DONE);
    assert_non_null(machine_probe(m, 0, GVA, WRITE));
    assert_null(gn_softmmu_probe_traced(w, gn_gva(GVA), 8));
    machine_free(m);
}

static void a_read_of_a_traced_page_records_nothing(void **state)
{
    uint64_t root, data;
    struct machine *m = one_page(R | W | X | U | TRACED, GN_SOFTMMU_VIEW_USER, &root);

    (void)state;
    assert_int_equal(op_access(m, 0, GVA, READ, &data, 8), GN_MMU_DONE);
    assert_int_equal(op_access(m, 0, GVA, READ, &data, 8), GN_MMU_DONE);
    assert_int_equal(op_access(m, 0, GVA, EXEC, &data, 8), GN_MMU_DONE);
    assert_int_equal(machine_access(m, 0, GVA, READ, 8).traced, 0);
    assert_int_equal(m->logged, 0);
    machine_free(m);
}

static void a_cached_traced_page_is_written_without_a_walk(void **state)
{
    uint64_t root;
    struct machine *m = one_page(R | W | U | TRACED, GN_SOFTMMU_VIEW_USER, &root);

    (void)state;
    assert_int_equal(machine_outcome(m, GVA, READ), GN_MMU_DONE);
    for (uint64_t offset = 0; offset < 4096; offset += 8) {
        struct gn_softmmu_answer r = machine_access(m, 0, GVA + offset, WRITE, 8);

        assert_int_equal(r.mmu.outcome, GN_MMU_DONE);
        assert_int_equal(r.hpa.v, PAGE + offset);
        assert_int_equal(r.traced, 1);
    }
    assert_int_equal(machine_stats(m).walks, 1);
    machine_free(m);
}

static void a_cached_traced_page_is_written_by_those_who_may(void **state)
{
    uint64_t root, data = 0;
    struct machine *m = one_page(R | W | U | TRACED, GN_SOFTMMU_VIEW_USER, &root);

    (void)state;
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DONE);
    machine_port(m, 0, DATA, 1, root, GN_SOFTMMU_VIEW_SUPERVISOR);
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DENIED);
    machine_port(m, 0, DATA, 1, root, GN_SOFTMMU_VIEW_SUM);
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DONE);
    assert_int_equal(m->logged, 2);
    machine_free(m);
}

static void a_read_only_traced_page_is_not_written_once_cached(void **state)
{
    /* So a shadow maps a clean page that holds guest entries: the first write must be seen. */
    uint64_t root, data = 7;
    struct machine *m = one_page(R | U | TRACED, GN_SOFTMMU_VIEW_USER, &root);

    (void)state;
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DENIED);
    assert_int_equal(op_access(m, 0, GVA, READ, &data, 8), GN_MMU_DONE);
    data = 7;
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DENIED);
    assert_int_equal(m->memory[PAGE], 0);
    assert_int_equal(m->logged, 0);
    machine_free(m);
}

static void a_supervisor_without_write_protection_is_recorded_too(void **state)
{
    struct machine *m = machine_new(GN_PAGING_X86_4LEVEL, 1, 64);
    struct gn_mmu_context c = {GN_MMU_CONTEXT_INIT, .asid = 1};
    const struct gn_mmu_ops *ops = gn_softmmu_mmu_ops();
    uint64_t data = 0;

    (void)state;
    c.root = gn_hpa(machine_table(m));
    machine_map(m, c.root.v, GVA, PAGE, R | U | TRACED);
    assert_int_equal(ops->context_set(m->mmu, 0, &c), 0);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DONE);
        assert_int_equal(m->logged, i);
    }
    c.user = 1; /* may read what the supervisor wrote, and not write it */
    assert_int_equal(ops->context_set(m->mmu, 0, &c), 0);
    assert_int_equal(op_access(m, 0, GVA, READ, &data, 8), GN_MMU_DONE);
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DENIED);
    assert_int_equal(m->logged, 3);
    machine_free(m);
}

static void a_page_that_becomes_traced_is_recorded_after_its_invalidation(void **state)
{
    uint64_t root, data = 1;
    struct machine *m = one_page(R | W | U, GN_SOFTMMU_VIEW_USER, &root);

    (void)state;
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DONE);
    machine_map(m, root, GVA, PAGE, R | W | U | TRACED);
    gn_softmmu_invalidate_range(m->mmu, 1, gn_gva(GVA), 4096);
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DONE);
    assert_int_equal(m->logged, 1);
    machine_map(m, root, GVA, PAGE, R | W | U);
    gn_softmmu_invalidate_range(m->mmu, 1, gn_gva(GVA), 4096);
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DONE);
    assert_non_null(machine_probe(m, 0, GVA, WRITE));
    assert_int_equal(m->logged, 1);
    machine_free(m);
}

static void a_traced_large_leaf_is_traced_in_all_of_its_pages(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m), data = 1;

    (void)state;
    machine_map_large(m, root, 0x400000, 1, 0x200000, R | W | U | TRACED);
    machine_load(m, 1, root);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(op_access(m, 0, 0x400ff8 + i * 0x7000, WRITE, &data, 8), GN_MMU_DONE);
        assert_int_equal(m->logged, i + 1);
        assert_int_equal(m->log[i].hpa, 0x200ff8 + i * 0x7000);
    }
    machine_free(m);
}

static void an_embedder_without_ops_gets_writes_done_and_faults_unexplained(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    struct gn_softmmu_params p = {GN_SOFTMMU_PARAMS_INIT, .format = m->format, .tlb_entries = 64,
                                  .memory = m->memory, .memory_size = MEMORY_SIZE};
    uint64_t root = machine_table(m), data = 0x1234;

    (void)state;
    assert_int_equal(gn_softmmu_init(m->object, gn_softmmu_size(&p), &p, &m->mmu), 0);
    machine_map(m, root, GVA, PAGE, R | W | U | TRACED);
    *machine_map(m, root, GVA + 4096, PAGE, R) = 0xabcdef0;
    machine_load(m, 1, root);
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DONE);
    assert_memory_equal(m->memory + PAGE, &data, 8);
    assert_int_equal(machine_stats(m).traced_writes, 1);
    assert_int_equal(op_access(m, 0, GVA + 4096, READ, &data, 8), GN_MMU_ABSENT);
    machine_free(m);
}

static void a_marker_gives_the_guests_fault_without_an_exit(void **state)
{
    uint64_t root;
    struct machine *m = one_page(R, GN_SOFTMMU_VIEW_USER, &root);
    struct gn_softmmu_answer r;

    (void)state;
    m->absent_knows = 1;
    m->absent_says.outcome = GN_MMU_GUEST_FAULT;
    for (uint32_t level = 0; level < 3; level++)
        for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
            uint64_t *entry = machine_entry(m, root, GVA, level), saved = *entry;

            *entry = 0xabc000 + level * 2;
            m->absent_says.code = 12 + kind;
            r = machine_access(m, 1, GVA + 5, kind, 1);
            assert_int_equal(r.mmu.outcome, GN_MMU_GUEST_FAULT);
            assert_int_equal(r.mmu.code, 12 + kind);
            assert_int_equal(m->absent_vcpu, 1);
            assert_int_equal(m->absent_access, kind | GN_PAGING_AS_USER);
            assert_int_equal(m->absent_entry, 0xabc000 + level * 2);
            *entry = saved;
        }
    machine_port(m, 1, DATA, 1, root, GN_SOFTMMU_VIEW_SUM);
    *machine_entry(m, root, GVA, 0) = 2;
    machine_access(m, 1, GVA, WRITE, 1);
    assert_int_equal(m->absent_access, WRITE);
    assert_int_equal(machine_stats(m).marker_faults, 10);
    assert_int_equal(machine_stats(m).marker_mmio, 0);
    assert_int_equal(machine_stats(m).exits, 0);
    assert_int_equal(machine_stats(m).fills, 0);
    machine_free(m);
}

static void a_marker_gives_the_address_of_a_device_with_its_offset(void **state)
{
    uint64_t root;
    struct machine *m = one_page(R, GN_SOFTMMU_VIEW_USER, &root);
    struct gn_softmmu_answer r;

    (void)state;
    *machine_entry(m, root, GVA, 0) = 0xabc000;
    m->absent_knows = 1;
    m->absent_says.outcome = GN_MMU_MMIO;
    m->absent_says.gpa = gn_gpa(0x10000000);
    for (uint64_t offset = 0; offset < 4096; offset += 5) {
        r = machine_access(m, 0, GVA + offset, offset & 1, 1);
        assert_int_equal(r.mmu.outcome, GN_MMU_MMIO);
        assert_int_equal(r.mmu.gpa.v, 0x10000000 + offset);
    }
    m->absent_says.gpa = gn_gpa(0x10000123); /* the page counts */
    assert_int_equal(machine_access(m, 0, GVA + 8, READ, 8).mmu.gpa.v, 0x10000008);
    assert_int_equal(machine_stats(m).marker_mmio, 821);
    assert_int_equal(machine_stats(m).marker_faults, 0);
    assert_int_equal(machine_stats(m).exits, 0);
    assert_null(machine_probe(m, 0, GVA, READ));
    machine_free(m);
}

static void who_is_not_asked_or_does_not_know_leaves_a_shadow_fault(void **state)
{
    uint64_t root;
    struct machine *m = one_page(R, GN_SOFTMMU_VIEW_USER, &root);
    struct gn_softmmu_answer r;

    (void)state;
    machine_outcome(m, GVA, READ); /* denied: a user, and no user page */
    machine_outcome(m, 1ull << 50, READ);
    *machine_entry(m, root, GVA, 0) = 0; /* absent, and says nothing */
    machine_outcome(m, GVA, READ);
    *machine_entry(m, root, GVA, 0) = ~(uint64_t)0; /* present, and reserved */
    machine_outcome(m, GVA, READ);
    assert_int_equal(m->absent_asked, 0);
    *machine_entry(m, root, GVA, 0) = 0xabc000;
    r = machine_access(m, 0, GVA, READ, 8);
    assert_int_equal(m->absent_asked, 1);
    assert_int_equal(r.mmu.outcome, GN_MMU_ABSENT);
    assert_int_equal(r.mmu.entry, 0xabc000);
    /* An answer that is none makes nothing present. */
    m->absent_knows = 1;
    m->absent_says = (struct gn_mmu_answer){.outcome = GN_MMU_DONE};
    r = machine_access(m, 0, GVA, READ, 8);
    assert_int_equal(r.mmu.outcome, GN_MMU_ABSENT);
    assert_int_equal(machine_stats(m).exits, 6);
    machine_free(m);
}

static void nothing_is_transferred_unless_done(void **state)
{
    uint64_t root, data = 0x1122334455667788, before = data;
    struct machine *m = one_page(R | U, GN_SOFTMMU_VIEW_USER, &root);

    (void)state;
    assert_int_equal(op_access(m, 0, GVA, WRITE, &data, 8), GN_MMU_DENIED);
    assert_int_equal(m->memory[PAGE], 0);
    assert_int_equal(op_access(m, 0, GVA, EXEC, &data, 8), GN_MMU_DENIED);
    assert_int_equal(op_access(m, 0, GVA + 4096, READ, &data, 8), GN_MMU_ABSENT);
    *machine_entry(m, root, GVA, 0) = ~(uint64_t)0;
    assert_int_equal(op_access(m, 0, GVA, READ, &data, 8), GN_MMU_BAD_TABLE);
    assert_int_equal(data, before);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_traced_write_completes_and_is_recorded_with_its_address_and_size),
        cmocka_unit_test(the_probe_serves_reads_of_a_traced_page_and_never_a_write),
        cmocka_unit_test(the_probe_for_traced_writes_finds_those_and_no_others),
        cmocka_unit_test(a_read_of_a_traced_page_records_nothing),
        cmocka_unit_test(a_cached_traced_page_is_written_without_a_walk),
        cmocka_unit_test(a_cached_traced_page_is_written_by_those_who_may),
        cmocka_unit_test(a_read_only_traced_page_is_not_written_once_cached),
        cmocka_unit_test(a_supervisor_without_write_protection_is_recorded_too),
        cmocka_unit_test(a_page_that_becomes_traced_is_recorded_after_its_invalidation),
        cmocka_unit_test(a_traced_large_leaf_is_traced_in_all_of_its_pages),
        cmocka_unit_test(an_embedder_without_ops_gets_writes_done_and_faults_unexplained),
        cmocka_unit_test(a_marker_gives_the_guests_fault_without_an_exit),
        cmocka_unit_test(a_marker_gives_the_address_of_a_device_with_its_offset),
        cmocka_unit_test(who_is_not_asked_or_does_not_know_leaves_a_shadow_fault),
        cmocka_unit_test(nothing_is_transferred_unless_done),
    };

    return cmocka_run_group_tests_name("softmmu: extensions", tests, NULL, NULL);
}
