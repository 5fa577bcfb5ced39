/* SPDX-License-Identifier: BSD-3-Clause */

/* What is mapped, and how it follows the guest's tables: invariants 1, 2, 4 and 6. */

#include "situations.h"

/* ---- 1, 2: what is mapped, and how it changes
 * ------------------------------------------------------- */

static void fill_situation(struct machine *m)
{
    struct result r;
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, USER);
    root = root_get(m, ROOT);
    r = access_at(m, root, GVA + 5, WRITE | USERS);
    assert_int_equal(r.outcome, COMPLETED);
    assert_int_equal(r.gpa, PAGE + 5);
    assert_int_equal(r.answers, 1);
    assert_int_equal(access_at(m, root, GVA + 8, WRITE | USERS).answers, 0);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, (uint64_t)1 << 60, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv1_an_access_is_filled_once_and_then_completes(void **state)
{
    (void)state;
    everywhere(fill_situation);
}

static void combined_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    uint64_t above = guest_entry(m, ROOT, GVA, 1);
    uint32_t root = root_get(m, ROOT);

    (void)entry;
    if (!is_x86(m->guest))
        return;
    /* Tables hand down: without W in one of them, nothing below is writable. */
    device_store(
        m, above,
        encode(m, 1, GN_PAGING_ENTRY_TABLE, guest_read(m, above) & 0xff000, USER & ~GN_PAGING_W));
    assert_int_equal(outcome(m, root, GVA, READ | USERS), COMPLETED);
    assert_int_equal(mapped(m, root, GVA, NULL) & USER, USER & ~GN_PAGING_W);
    assert_int_equal(outcome(m, root, GVA, WRITE | USERS), GN_SHADOW_GUEST_FAULT);
    device_store(m, above,
                 encode(m, 1, GN_PAGING_ENTRY_TABLE, guest_read(m, above) & 0xff000, KERNEL));
    assert_int_equal(outcome(m, root, GVA, READ | USERS), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
}

static void inv1_permissions_are_those_of_all_levels_together(void **state)
{
    (void)state;
    everywhere(combined_situation);
}

static void downgrade_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint32_t root = root_get(m, ROOT);

    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    device_store(m, entry, leaf_value(m, 0, PAGE, (KERNEL & ~GN_PAGING_W) | AD));
    assert_int_equal(outcome(m, root, GVA, WRITE), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    device_store(m, entry, leaf_value(m, 0, PAGE + 4096, KERNEL | AD));
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 4096);
    device_store(m, entry, 0);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv2_after_a_sync_nothing_old_is_used(void **state)
{
    (void)state;
    everywhere(downgrade_situation);
}

static void upgrade_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, (KERNEL & ~GN_PAGING_W) | AD);
    uint32_t root = root_get(m, ROOT);
    uint32_t flushes;

    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    flushes = m->invalidated_ranges;
    device_store(m, entry, leaf_value(m, 0, PAGE, KERNEL | AD));
    assert_true(mapped(m, root, GVA, NULL) & GN_PAGING_W);
    /* The sync told nobody; the TLB still says read-only; one fault, and it does not. */
    assert_int_equal(m->invalidated_ranges, flushes);
    assert_int_equal(access_at(m, root, GVA, WRITE).answers, 1);
    assert_int_equal(access_at(m, root, GVA, WRITE).answers, 0);
}

static void inv2_an_upgrade_converges_without_a_flush(void **state)
{
    (void)state;
    everywhere(upgrade_situation);
}

static void other_table_situation(struct machine *m)
{
    uint64_t next = GVA + guest_span(m, 1);
    uint64_t entry;
    uint64_t other;
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    guest_map(m, ROOT, next, PAGE + 4096, 0, KERNEL | AD);
    entry = guest_entry(m, ROOT, GVA, 1);
    other = guest_read(m, guest_entry(m, ROOT, next, 1));
    root = root_get(m, ROOT);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE);
    device_store(m, entry, other);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 4096);
    /* The table is now found in two places of one address space. */
    assert_int_equal(access_at(m, root, next, WRITE).gpa, PAGE + 4096);
    device_store(m, guest_entry(m, ROOT, GVA, 0), 0);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, next, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv2_an_entry_that_leads_to_another_table_takes_all_below_with_it(void **state)
{
    (void)state;
    everywhere(other_table_situation);
}

static void flush_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint64_t top = guest_entry(m, ROOT, GVA, m->geometry.levels - 1);
    uint32_t root;
    uint32_t other;

    guest_map(m, ROOT, GVA + 4096, PAGE, 0, KERNEL | AD);
    guest_write(m, ROOT2 + (top - ROOT), guest_read(m, top));
    root = root_get(m, ROOT);
    other = root_get(m, ROOT2);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), COMPLETED);
    assert_int_equal(outcome(m, other, GVA, READ), COMPLETED);
    /* An embedder without traps or log: nobody reports the write. */
    guest_write(m, entry, leaf_value(m, 0, PAGE + 4096, KERNEL | AD));
    guest_write(m, nth(m, entry, 1), leaf_value(m, 0, PAGE + 8192, KERNEL | AD));
    assert_int_equal(gn_shadow_flush(m->sh, root), 0);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 4096);
    assert_int_equal(access_at(m, root, GVA + 4096, READ).gpa, PAGE + 8192);
    assert_int_equal(gn_shadow_flush(m->sh, GN_SHADOW_ROOT_ANY), 0);
    assert_int_equal(mapped(m, other, GVA, NULL), 0);
}

static void inv2_a_flush_of_one_root_forgets_what_it_shares_with_others(void **state)
{
    (void)state;
    everywhere(flush_situation);
}

/* Another vCPU writes the entry after the walk read it, before anybody could have recorded it. */
static uint64_t race_entry;
static uint64_t race_value;

static void race(struct machine *m, uint64_t page)
{
    if (page == (race_entry & ~GN_PAGE_MASK)) {
        guest_write(m, race_entry, race_value);
        m->on_table_page = NULL;
    }
}

static void race_situation(struct machine *m)
{
    struct gn_shadow_answer answer;
    uint32_t root;

    /* A root is known as a table before any fault. */
    for (uint32_t level = 0; level < 2 && level + 1 < m->geometry.levels; level++) {
        uint64_t gva = GVA + ((uint64_t)level << 30);

        guest_map(m, ROOT, gva, PAGE, 0, KERNEL | AD);
        race_entry = guest_entry(m, ROOT, gva, level);
        race_value = level ? 0 : leaf_value(m, 0, PAGE + 4096, KERNEL | AD);
        root = root_get(m, ROOT);
        m->on_table_page = race;
        assert_int_equal(shadow_fault(m, root, gva, READ, &answer), -GN_ERR_AGAIN);
        assert_null(m->on_table_page);
        assert_int_equal(audit(m), 0);
        if (level)
            assert_int_equal(outcome(m, root, gva, READ), GN_SHADOW_GUEST_FAULT);
        else
            assert_int_equal(access_at(m, root, gva, READ).gpa, PAGE + 4096);
    }
}

static void inv2_a_write_just_before_its_page_is_known_as_a_table_is_seen(void **state)
{
    (void)state;
    everywhere(race_situation);
}

/* ---- 4: accessed and dirty
 * ---------------------------------------------------------------------------- */

static void dirty_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL);
    uint32_t root = root_get(m, ROOT);
    uint64_t clean = leaf_value(m, 0, PAGE, KERNEL | GN_PAGING_A);

    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(guest_read(m, entry), clean);
    assert_int_equal(mapped(m, root, GVA, NULL) & GN_PAGING_W, 0);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(guest_read(m, entry), leaf_value(m, 0, PAGE, KERNEL | AD));
    assert_true(mapped(m, root, GVA, NULL) & GN_PAGING_W);
    /* Cleaned by the guest: the next write must be seen again. */
    device_store(m, entry, clean);
    assert_int_equal(mapped(m, root, GVA, NULL) & GN_PAGING_W, 0);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(guest_read(m, entry), leaf_value(m, 0, PAGE, KERNEL | AD));
}

static void inv4_a_page_is_read_only_until_its_first_write_sets_d(void **state)
{
    (void)state;
    everywhere(dirty_situation);
}

static void accessed_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint32_t root = root_get(m, ROOT);
    uint64_t prefills;

    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    prefills = stats(m).sync_prefills;
    device_store(m, entry, leaf_value(m, 0, PAGE, KERNEL | GN_PAGING_D));
    assert_int_equal(mapped(m, root, GVA, NULL), 0);
    device_store(m, nth(m, entry, 1), leaf_value(m, 0, PAGE + 4096, KERNEL));
    assert_int_equal(mapped(m, root, GVA + 4096, NULL), 0);
    assert_int_equal(stats(m).sync_prefills, prefills);
    assert_int_equal(guest_read(m, entry), leaf_value(m, 0, PAGE, KERNEL | GN_PAGING_D));
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(guest_read(m, entry), leaf_value(m, 0, PAGE, KERNEL | AD));
    /* With A set already, the sync maps it, and no fault is needed. */
    device_store(m, nth(m, entry, 2), leaf_value(m, 0, PAGE + 8192, KERNEL | GN_PAGING_A));
    assert_int_equal(stats(m).sync_prefills, prefills + 1);
    assert_int_equal(mapped(m, root, GVA + 8192, NULL) & GN_PAGING_W, 0);
    assert_int_equal(access_at(m, root, GVA + 8192, READ).answers, 0);
}

static void inv4_a_is_never_set_by_a_sync_and_what_lacks_it_is_not_mapped(void **state)
{
    (void)state;
    everywhere(accessed_situation);
}

static void table_accessed_situation(struct machine *m)
{
    uint64_t above;
    uint32_t root;
    uint64_t value;

    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    above = guest_entry(m, ROOT, GVA, 1);
    root = root_get(m, ROOT);
    value = guest_read(m, above);
    m->markers = 1;
    /* A fault that sets no A makes no way that a later access could take without setting it. */
    assert_int_equal(outcome(m, root, GVA + 4096, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(guest_read(m, above), value);
    device_store(m, nth(m, guest_entry(m, ROOT, GVA, 0), 1),
                 leaf_value(m, 0, PAGE + 4096, KERNEL | AD));
    assert_int_equal(outcome(m, root, GVA + 4096, READ), COMPLETED);
    if (!is_x86(m->guest))
        return;
    assert_int_not_equal(guest_read(m, above), value);
    device_store(m, above, value);
    assert_int_equal(mapped(m, root, GVA + 4096, NULL), 0);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), COMPLETED);
    assert_int_not_equal(guest_read(m, above), value);
}

static void inv4_x86_a_is_set_in_every_table_entry_on_the_way(void **state)
{
    (void)state;
    everywhere(table_accessed_situation);
}

static void svade_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root;

    m->controls &= ~GN_PAGING_RISCV_ADUE;
    entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | GN_PAGING_A);
    guest_map(m, ROOT, GVA + 4096, PAGE, 0, KERNEL);
    root = root_get(m, ROOT);
    m->markers = 1;
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    if (is_x86(m->guest))
        return;
    assert_int_equal(outcome(m, root, GVA, WRITE), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(marker_at(m, root, GVA + 4096), 0);
    device_store(m, entry, leaf_value(m, 0, PAGE, KERNEL | AD));
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
}

static void inv4_svade_faults_where_the_machine_may_not_set_a_and_d(void **state)
{
    (void)state;
    everywhere(svade_situation);
}

/* ---- 6: markers
 * -----------------------------------------------------------------------------------------------
 */

static void marker_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root;

    m->markers = 1;
    slot_add(m, GN_SHADOW_SLOT_MMIO, MMIO, 0x200000, 0);
    entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    guest_map(m, ROOT, GVA + 8192, PAGE, 0, (KERNEL & ~GN_PAGING_W) | AD);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(marker_at(m, root, GVA + 4096), nth(m, entry, 1) << 8 | 4);
    /* A table that is not there, too. */
    assert_int_equal(outcome(m, root, GVA + guest_span(m, 1), READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(marker_at(m, root, GVA + guest_span(m, 1)),
                     guest_entry(m, ROOT, GVA + guest_span(m, 1), 1) << 8 | 1 << 3 | 4);
    /* Absent becomes a device, a device becomes absent, absent becomes a page. */
    device_store(m, nth(m, entry, 1), leaf_value(m, 0, MMIO, KERNEL | AD));
    assert_int_equal(marker_at(m, root, GVA + 4096), 0);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), GN_SHADOW_MMIO);
    assert_int_equal(marker_at(m, root, GVA + 4096),
                     MMIO << 8 | (uint64_t)(KERNEL | MARKER_D) << 3 | 4 | 2);
    device_store(m, nth(m, entry, 1), 0);
    assert_int_equal(marker_at(m, root, GVA + 4096) & 2, 0);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), GN_SHADOW_GUEST_FAULT);
    device_store(m, nth(m, entry, 1), leaf_value(m, 0, PAGE, KERNEL | AD));
    assert_int_equal(outcome(m, root, GVA + 4096, READ), COMPLETED);
    assert_int_equal(outcome(m, root, GVA + 8192, WRITE), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(marker_at(m, root, GVA + 8192), 0);
}

static void inv6_markers_are_placed_and_end_with_the_write(void **state)
{
    (void)state;
    everywhere(marker_situation);
}

static void no_marker_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint32_t root = root_get(m, ROOT);

    m->markers = 1;
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    device_store(m, entry, leaf_value(m, 0, PAGE, KERNEL | GN_PAGING_D));
    assert_int_equal(marker_at(m, root, GVA), 0);
    /* W without R, or an address beyond the CPU's: reserved. */
    m->root_key[root].phys_bits = 0;
    device_store(m, entry, is_x86(m->guest) ? ~(uint64_t)0 : 5);
    if (!is_x86(m->guest))
        assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(marker_at(m, root, GVA), 0);
}

static void inv6_there_is_no_marker_for_what_is_present_but_faults(void **state)
{
    (void)state;
    everywhere(no_marker_situation);
}

static void large_mmio_situation(struct machine *m)
{
    uint64_t gva = FAR;
    uint64_t entry = guest_map(m, ROOT, gva, MMIO, 1, KERNEL);
    uint32_t root = root_get(m, ROOT);
    struct result r;

    m->markers = 1;
    slot_add(m, GN_SHADOW_SLOT_MMIO, MMIO + 0x1000, 0x1000, 0);
    assert_int_equal(outcome(m, root, gva, READ), GN_SHADOW_HOLE);
    assert_int_equal(marker_at(m, root, gva), 0);
    r = access_at(m, root, gva + 0x1008, READ);
    assert_int_equal(r.outcome, GN_SHADOW_MMIO);
    assert_int_equal(r.gpa, MMIO + 0x1008);
    assert_true(marker_at(m, root, gva + 0x1000) & 2);
    assert_int_equal(outcome(m, root, gva + 0x1000, WRITE), GN_SHADOW_MMIO);
    assert_true(marker_at(m, root, gva + 0x1000) >> 3 & MARKER_D);
    device_store(m, entry, leaf_value(m, 1, MMIO + guest_span(m, 1), KERNEL | AD));
    assert_int_equal(marker_at(m, root, gva + 0x1000), 0);
}

static void inv6_a_device_inside_a_large_page_is_marked_by_itself(void **state)
{
    (void)state;
    everywhere(large_mmio_situation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv1_an_access_is_filled_once_and_then_completes),
        cmocka_unit_test(inv1_permissions_are_those_of_all_levels_together),
        cmocka_unit_test(inv2_after_a_sync_nothing_old_is_used),
        cmocka_unit_test(inv2_an_upgrade_converges_without_a_flush),
        cmocka_unit_test(inv2_an_entry_that_leads_to_another_table_takes_all_below_with_it),
        cmocka_unit_test(inv2_a_flush_of_one_root_forgets_what_it_shares_with_others),
        cmocka_unit_test(inv2_a_write_just_before_its_page_is_known_as_a_table_is_seen),
        cmocka_unit_test(inv4_a_page_is_read_only_until_its_first_write_sets_d),
        cmocka_unit_test(inv4_a_is_never_set_by_a_sync_and_what_lacks_it_is_not_mapped),
        cmocka_unit_test(inv4_x86_a_is_set_in_every_table_entry_on_the_way),
        cmocka_unit_test(inv4_svade_faults_where_the_machine_may_not_set_a_and_d),
        cmocka_unit_test(inv6_markers_are_placed_and_end_with_the_write),
        cmocka_unit_test(inv6_there_is_no_marker_for_what_is_present_but_faults),
        cmocka_unit_test(inv6_a_device_inside_a_large_page_is_marked_by_itself),
    };

    return cmocka_run_group_tests_name("shadow_coherence", tests, NULL, NULL);
}
