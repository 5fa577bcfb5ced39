/* SPDX-License-Identifier: BSD-3-Clause */

/* Writes to tables: none goes unknown, whatever its form. Invariants 5 and 13. */

#include "situations.h"

/* ---- 5: writes to tables are known
 * ------------------------------------------------------------------------ */

/* Writable mappings of a page, in two roots and by a large page, before it becomes a table. */
static void becomes_table_situation(struct machine *m)
{
    uint64_t page = 0x205000; /* will be a table; there is none near it yet */
    uint64_t gva[] = {GVA, GVA + 0x200000, FAR};
    uint32_t root[3];
    uint32_t level;

    if (guest_span(m, 1) != span_of(1))
        return;
    guest_map(m, ROOT, gva[0], page, 0, KERNEL | AD);
    guest_map(m, ROOT2, gva[1], page, 0, KERNEL | AD);
    guest_map(m, ROOT2, gva[2], 0x200000, 1, KERNEL | AD);
    root[0] = root_get(m, ROOT);
    root[1] = root[2] = root_get(m, ROOT2);
    m->olds = 0;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(outcome(m, root[i], gva[i] + 16, WRITE), COMPLETED);
        assert_int_equal(mapped(m, root[i], gva[i], NULL) & (GN_PAGING_W | GN_SHADOW_TRACED),
                         GN_PAGING_W);
    }
    assert_int_equal(outcome(m, root[2], gva[2] + 0x5010, WRITE), COMPLETED);
    (void)mapped(m, root[2], gva[2], &level);
    assert_int_equal(level, 1);
    guest_write(m, page, leaf_value(m, 0, PAGE, KERNEL | AD));
    device_store(m, guest_entry(m, ROOT, GVA + ((uint64_t)1 << 30), 1), table_value(m, page));
    assert_int_equal(outcome(m, root[0], (GVA & ~(uint64_t)0x1fffff) + ((uint64_t)1 << 30), READ),
                     COMPLETED);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(page)), 1);
    assert_int_equal(m->table_page[page >> GN_PAGE_SHIFT], 1);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(mapped(m, root[i], gva[i], NULL) & (GN_PAGING_W | GN_SHADOW_TRACED),
                         m->policy == GN_SHADOW_POLICY_TRACED ? GN_PAGING_W | GN_SHADOW_TRACED : 0);
    /* By whatever way, a write is trapped or recorded; access_at() insists. */
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t at = i < 2 ? gva[i] + 16 : gva[2] + 0x5010;
        struct result r = access_at(m, root[i], at, WRITE);

        assert_int_equal(r.gpa, page + 16);
        assert_int_equal(r.outcome, first_write(m, 1));
        (void)mapped(m, root[i], at, &level);
        assert_true(level == 0 || level == UINT32_MAX);
    }
}

static void inv5_what_was_writable_before_is_trapped_or_marked_in_every_root(void **state)
{
    (void)state;
    everywhere(becomes_table_situation);
}

static void large_over_table_situation(struct machine *m)
{
    uint64_t gva = FAR;
    uint32_t root;
    uint32_t level;

    if (guest_span(m, 1) != span_of(1))
        return;
    slot_add(m, GN_SHADOW_SLOT_RAM, (uint64_t)4 << 20, (uint64_t)4 << 20, (uint64_t)8 << 30);
    guest_map(m, ROOT, gva, 0, 1, KERNEL | AD);
    guest_map(m, ROOT, gva + 0x200000, (uint64_t)4 << 20, 1, KERNEL | AD);
    root = root_get(m, ROOT);
    /* The tables just walked lie in the page: no piece of it is mapped large. */
    assert_int_equal(outcome(m, root, gva + PAGE, WRITE), COMPLETED);
    (void)mapped(m, root, gva + PAGE, &level);
    assert_int_equal(level, 0);
    assert_int_equal(outcome(m, root, gva + 0x200000, WRITE), COMPLETED);
    (void)mapped(m, root, gva + 0x200000, &level);
    assert_int_equal(level, 1);
    assert_true(stats(m).splinters >= 1);
    assert_int_equal(stats(m).large_leaves, 1);
}

static void inv5_no_large_leaf_lies_over_a_table(void **state)
{
    (void)state;
    everywhere(large_over_table_situation);
}

static void ceases_situation(struct machine *m)
{
    uint64_t above;
    uint64_t page;
    uint32_t root = table_at_far(m, &above, &page);

    assert_int_equal(outcome(m, root, FAR, WRITE), first_write(m, 1));
    device_store(m, above, 0);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(page)), 0);
    assert_int_equal(m->table_page[page >> GN_PAGE_SHIFT], 0);
    assert_int_equal(outcome(m, root, FAR, WRITE), COMPLETED);
    assert_int_equal(mapped(m, root, FAR, NULL) & (GN_PAGING_W | GN_SHADOW_TRACED), GN_PAGING_W);
}

static void inv5_a_page_that_holds_no_table_any_more_is_plainly_writable(void **state)
{
    (void)state;
    everywhere(ceases_situation);
}

static void own_path_situation(struct machine *m)
{
    uint64_t entry = guest_entry(m, ROOT, GVA, 0);
    struct gn_shadow_answer answer;
    uint32_t root;

    /* The table that maps the page is the page: it is no known table before this very access. */
    guest_write(m, entry, leaf_value(m, 0, entry & ~GN_PAGE_MASK, KERNEL | AD));
    root = root_get(m, ROOT);
    assert_int_equal(shadow_fault(m, root, GVA, WRITE, &answer), 0);
    assert_int_equal(answer.outcome,
                     m->policy == GN_SHADOW_POLICY_TRACED ? GN_SHADOW_FILLED : GN_SHADOW_TRAPPED);
    assert_int_equal(answer.gpa.v, entry & ~GN_PAGE_MASK);
}

static void inv5_a_write_to_the_table_that_maps_it_is_trapped_at_once(void **state)
{
    (void)state;
    everywhere(own_path_situation);
}

static void data_situation(struct machine *m)
{
    uint64_t gva = FAR;
    uint64_t zero = 0;
    uint64_t page;
    uint32_t root;
    uint32_t stores = 0;

    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    page = guest_entry(m, ROOT, GVA, 0) & ~GN_PAGE_MASK;
    guest_map(m, ROOT, gva, page, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    m->markers = 1;
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    device_store(m, guest_entry(m, ROOT, GVA, 0), 0);
    /* The guest uses the page for something else; not even odd words keep it a table for ever. */
    while (gn_shadow_is_table(m->sh, gn_gpa(page))) {
        uint64_t word = stores & 1 ? ~(uint64_t)0 : zero;

        guest_store(m, root, gva + (guest_entry(m, ROOT, GVA, 0) & 0x800) + 8 * (stores % 100 / 2),
                    &word, 8);
        coherence_point(m);
        assert_true(stores++ < 200);
    }
    assert_int_equal(stats(m).tables_flooded, 1);
    assert_in_range(stores, 32, 130);
}

static void a_table_that_is_written_and_never_used_is_dropped(void **state)
{
    (void)state;
    everywhere(data_situation);
}

static void cleared_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint64_t page = entry & ~GN_PAGE_MASK;
    uint64_t other = page + (entry & 0x800) + (~entry & 0x400);
    uint32_t root = root_get(m, ROOT);

    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    device_store(m, entry, 0);
    machine_sync(m, other, 0x100);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(page)), 1);
    machine_sync(m, other, 0x400);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(page)), 0);
}

static void a_page_that_is_written_in_one_go_is_soon_no_table(void **state)
{
    (void)state;
    everywhere(cleared_situation);
}

/* ---- 13: forms of a write
 * -----------------------------------------------------------------------------------------------------
 */

static void forms_situation(struct machine *m)
{
    uint64_t linear = FAR;
    uint64_t values[5]; /* 32 bytes, from any of the first eight */
    uint64_t table;
    uint32_t root;

    table = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD) & ~GN_PAGE_MASK;
    guest_map(m, ROOT, linear, 0, 1, KERNEL | AD);
    root = root_get(m, ROOT);
    for (uint32_t i = 0; i < 5; i++)
        values[i] = leaf_value(m, 0, PAGE + i * 4096, KERNEL | AD);
    for (uint64_t i = 0; i < 3; i++) {
        /* 1, 2, 4, 8, 16, 32 bytes at every offset, over two entries and over two pages. */
        for (uint64_t offset = 0; offset < 16; offset++) {
            uint64_t at = i == 2 ? 4096 - offset : offset;

            for (uint64_t length = 1; length <= 32; length *= 2) {
                for (uint64_t page = 0; page < 6; page++)
                    (void)access_at(m, root, (GVA & ~(uint64_t)0x1fffff) + page * 4096, READ);
                guest_store(m, root, linear + table + at,
                            (uint8_t *)values + (i == 1 ? offset % 8 : 0), length);
                coherence_check(m);
                memset((uint8_t *)m->ram + table + 4096 - 16, 0, 48);
                assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(table + 4096 - 16), 48), 0);
            }
        }
    }
}

static void inv13_writes_of_every_size_and_alignment_are_understood(void **state)
{
    (void)state;
    everywhere(forms_situation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv5_what_was_writable_before_is_trapped_or_marked_in_every_root),
        cmocka_unit_test(inv5_no_large_leaf_lies_over_a_table),
        cmocka_unit_test(inv5_a_page_that_holds_no_table_any_more_is_plainly_writable),
        cmocka_unit_test(inv5_a_write_to_the_table_that_maps_it_is_trapped_at_once),
        cmocka_unit_test(a_table_that_is_written_and_never_used_is_dropped),
        cmocka_unit_test(a_page_that_is_written_in_one_go_is_soon_no_table),
        cmocka_unit_test(inv13_writes_of_every_size_and_alignment_are_understood),
    };

    return cmocka_run_group_tests_name("shadow_writes", tests, NULL, NULL);
}
