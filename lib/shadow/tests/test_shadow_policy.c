/* SPDX-License-Identifier: BSD-3-Clause */

/* The policy that adapts: pages go unsync, or traced, and back; and what a fault maps around it. */

#include "policies.h"

/* ---- The policy that adapts
 * ---------------------------------------------------------------------- */

static void adapt_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);
    uint32_t rereads = 0;

    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(write_entry(m, root, entry, 0, leaf(m, i)), GN_SHADOW_TRAPPED);
    assert_int_equal(write_entry(m, root, entry, 0, leaf(m, 3)), COMPLETED);
    assert_int_equal(stats(m).pages_unsync, 1);
    /* As long as flushes find it written, it stays. */
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
        assert_int_equal(write_entry(m, root, entry, 0, leaf(m, i)), COMPLETED);
        coherence_point(m);
    }
    assert_int_equal(stats(m).pages_resynced, 0);
    while (stats(m).pages_resynced == 0 && rereads++ < 10)
        coherence_point(m);
    assert_int_equal(rereads, 4);
    tlb_is_within_the_spt(m);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(write_entry(m, root, entry, 0, leaf(m, i)), GN_SHADOW_TRAPPED);
    assert_int_equal(write_entry(m, root, entry, 0, leaf(m, 7)), COMPLETED);
    assert_int_equal(stats(m).pages_unsync, 2);
    assert_int_equal(stats(m).pages_traced, 0);
}

static void a_page_goes_unsync_when_written_often_and_back_when_not(void **state)
{
    (void)state;
    under(ADAPT, adapt_situation);
}

static void used_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);

    /* Each write is followed by a fault through the table: it is a table that is used. */
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(write_entry(m, root, entry, 0, leaf_value(m, 0, PAGE + i * 4096, KERNEL)),
                         GN_SHADOW_TRAPPED);
        assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    }
    assert_int_equal(stats(m).pages_unsync, 0);
}

static void a_page_whose_table_serves_faults_between_writes_stays_trapped(void **state)
{
    (void)state;
    under(ADAPT, used_situation);
}

static void traced_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);
    uint64_t above = guest_entry(m, ROOT, GVA, 1);
    uint64_t value = guest_read(m, above);

    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(write_entry(m, root, entry, 0, leaf(m, i)), GN_SHADOW_TRAPPED);
    assert_int_equal(write_entry(m, root, entry, 0, leaf(m, 3)), COMPLETED);
    assert_int_equal(m->logged, 1);
    assert_true(mapped(m, root, SELF, NULL) & GN_SHADOW_TRACED);
    /* Upper levels may be traced, too. */
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(guest_store(m, root, UPPER + (above & GN_PAGE_MASK), &value, 8),
                         GN_SHADOW_TRAPPED);
    assert_int_equal(guest_store(m, root, UPPER + (above & GN_PAGE_MASK), &value, 8), COMPLETED);
    assert_int_equal(stats(m).pages_traced, 2);
    assert_int_equal(stats(m).pages_unsync, 0);
    coherence_point(m);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 3 * 4096);
}

/* What a traced page costs is what is written there: it has no reason to go back. */
static void quiet_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);
    struct gn_shadow_stats was;
    struct gn_shadow_stats is;

    for (uint64_t i = 0; i < 6; i++)
        write_entry(m, root, entry, 0, leaf(m, i));
    coherence_point(m);
    was = stats(m);
    assert_int_equal(was.pages_traced, 1);
    assert_int_equal(was.traced_pages, 1);
    assert_int_equal(was.unsync_pages, 0);
    for (uint32_t i = 0; i < 100; i++)
        coherence_point(m);
    is = stats(m);
    assert_int_equal(is.syncs, was.syncs);
    assert_int_equal(is.sync_entries, was.sync_entries);
    assert_int_equal(is.unsync_rereads, 0);
    assert_int_equal(is.invalidated_ranges + is.invalidated_all + is.invalidated_writes,
                     was.invalidated_ranges + was.invalidated_all + was.invalidated_writes);
    assert_int_equal(is.traced_pages, 1);
    assert_int_equal(gn_shadow_flush(m->sh, GN_SHADOW_ROOT_ANY), 0);
    assert_int_equal(stats(m).traced_pages, 0);
    assert_int_equal(stats(m).table_pages, 1); /* the root's */
}

static void a_traced_page_that_is_not_written_costs_nothing_and_stays(void **state)
{
    (void)state;
    under(POLICY_ADAPT_TRACED, quiet_situation);
}

/* How many pages are in which mode, after each change. */
static void modes_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);
    uint32_t pages = m->geometry.levels;

    assert_int_equal(stats(m).table_pages, pages);
    assert_int_equal(stats(m).unsync_pages, 0);
    for (uint64_t i = 0; i < 6; i++)
        write_entry(m, root, entry, 0, leaf(m, i));
    assert_int_equal(stats(m).unsync_pages, 1);
    assert_int_equal(stats(m).traced_pages, 0);
    for (uint32_t i = 0; i < 5; i++)
        coherence_point(m);
    assert_int_equal(stats(m).pages_resynced, 1);
    assert_int_equal(stats(m).unsync_pages, 0);
    assert_int_equal(stats(m).table_pages, pages);
    for (uint64_t i = 0; i < 6; i++)
        write_entry(m, root, entry, 0, leaf(m, i));
    assert_int_equal(stats(m).unsync_pages, 1);
    assert_int_equal(gn_shadow_flush(m->sh, GN_SHADOW_ROOT_ANY), 0);
    m->olds = 0;
    assert_int_equal(stats(m).unsync_pages, 0);
    assert_int_equal(stats(m).unsync_gone, 1);
    assert_int_equal(stats(m).table_pages, 1); /* the root's */
}

static void the_counters_say_how_many_pages_are_in_which_mode(void **state)
{
    (void)state;
    under(ADAPT, modes_situation);
}

static void a_page_written_often_is_traced_where_the_mmu_can(void **state)
{
    (void)state;
    under(POLICY_ADAPT_TRACED, traced_situation);
}

/* A write between the walk of a fault and the moment its page is trapped again. */
static uint64_t late_entry;
static uint64_t late_value;

static void late_write(struct machine *m)
{
    if (late_entry)
        guest_write(m, late_entry, late_value);
    late_entry = 0;
}

static void close_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);

    m->on_invalidate = late_write;
    for (uint32_t i = 0; i < 4; i++)
        (void)write_entry(m, root, entry, 0, leaf(m, i));
    coherence_point(m);
    for (uint32_t i = 0; stats(m).pages_resynced == 0; i++) {
        assert_true(i < 100);
        /* Another vCPU writes until the very moment at which the MMU forgets W. */
        late_entry = nth(m, entry, 1);
        late_value = leaf(m, 9);
        assert_int_equal(gn_shadow_coherence_root(m->sh, root), 0);
    }
    assert_int_equal(late_entry, 0);
    assert_int_equal(audit(m), 0);
    tlb_is_within_the_guest(m);
    assert_int_equal(access_at(m, root, GVA + 4096, READ).gpa, PAGE + 9 * 4096);
}

static void inv2_a_write_just_before_its_page_is_trapped_again_is_seen(void **state)
{
    (void)state;
    under(ADAPT, close_situation);
}

/* ---- Fault-around
 * ---------------------------------------------------------------------------------- */

static void around_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD); /* index 1 of its table */
    uint32_t root;

    guest_map(m, ROOT, GVA + 0x1000, PAGE + 0x1000, 0, KERNEL | AD);
    guest_map(m, ROOT, GVA + 0x2000, PAGE + 0x2000, 0, KERNEL | GN_PAGING_A);
    guest_map(m, ROOT, GVA + 0x3000, PAGE + 0x3000, 0, KERNEL);
    guest_map(m, ROOT, GVA + 0x5000, MMIO, 0, KERNEL | AD);
    guest_map(m, ROOT, GVA + 0x6000, PAGE + 0x6000, 0, KERNEL | AD);
    guest_map(m, ROOT, GVA + 0x7000, PAGE + 0x7000, 0, KERNEL | AD);
    guest_map(m, ROOT, GVA - 0x2000, PAGE + 0x8000, 0, KERNEL | AD); /* the table before */
    root = root_get(m, ROOT);
    m->swap_count = 0;
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(stats(m).around_fills, 3);
    /* What has A is mapped, writable with D; nothing got A or D. */
    assert_int_equal(mapped(m, root, GVA + 0x1000, NULL) & KERNEL, KERNEL);
    assert_int_equal(mapped(m, root, GVA + 0x2000, NULL) & KERNEL, KERNEL & ~GN_PAGING_W);
    assert_int_equal(mapped(m, root, GVA + 0x3000, NULL), 0);
    assert_int_equal(mapped(m, root, GVA + 0x5000, NULL), 0);
    assert_int_equal(mapped(m, root, GVA + 0x6000, NULL) & KERNEL, KERNEL);
    assert_int_equal(guest_read(m, nth(m, entry, 2)),
                     leaf_value(m, 0, PAGE + 0x2000, KERNEL | GN_PAGING_A));
    assert_int_equal(guest_read(m, nth(m, entry, 3)), leaf_value(m, 0, PAGE + 0x3000, KERNEL));
    /* Not beyond the eight, nor into another table. */
    assert_int_equal(mapped(m, root, GVA + 0x7000, NULL), 0);
    assert_int_equal(mapped(m, root, GVA - 0x2000, NULL), 0);
    assert_int_equal(access_at(m, root, GVA + 0x6000, WRITE).answers, 0);
    assert_int_equal(access_at(m, root, GVA + 0x2000, WRITE).answers, 1);
    assert_int_equal(outcome(m, root, GVA + 0x3000, READ), COMPLETED);
    assert_int_equal(outcome(m, root, GVA + 0x5000, READ), GN_SHADOW_HOLE);
    coherence_check(m);
}

static void inv4_a_fault_maps_pages_around_it_and_sets_a_and_d_of_none(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < 5; f++) {
        for (uint32_t policy = 0; policy < POLICIES; policy++) {
            struct gn_shadow_params p = machine_params(formats[f], policy, 256);
            struct machine *m;

            p.fault_around = 8;
            m = machine_new_params(p);
            around_situation(m);
            machine_free(m);
        }
    }
}

static void arguments_are_checked(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, UNSYNC);
    struct gn_shadow_params p = machine_params(GN_PAGING_SV39, ADAPT, 16);

    (void)state;
    assert_int_equal(gn_shadow_coherence_root(NULL, 0), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_coherence_root(m->sh, 0), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_coherence_root(m->sh, ROOTS_MAX), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_coherence_page(m->sh, 0, gn_gva(GVA)), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_coherence_page(m->sh, GN_SHADOW_ROOT_ANY, gn_gva(GVA)), 0);
    assert_int_equal(gn_shadow_coherence_root(m->sh, GN_SHADOW_ROOT_ANY), 0);
    p.flags = 8;
    assert_int_equal(gn_shadow_size(&p), 0);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_goes_unsync_when_written_often_and_back_when_not),
        cmocka_unit_test(a_page_whose_table_serves_faults_between_writes_stays_trapped),
        cmocka_unit_test(a_page_written_often_is_traced_where_the_mmu_can),
        cmocka_unit_test(a_traced_page_that_is_not_written_costs_nothing_and_stays),
        cmocka_unit_test(the_counters_say_how_many_pages_are_in_which_mode),
        cmocka_unit_test(inv2_a_write_just_before_its_page_is_trapped_again_is_seen),
        cmocka_unit_test(inv4_a_fault_maps_pages_around_it_and_sets_a_and_d_of_none),
        cmocka_unit_test(arguments_are_checked),
    };

    return cmocka_run_group_tests_name("shadow_policy", tests, NULL, NULL);
}
