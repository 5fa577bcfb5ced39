/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The dirty log: invariant 14. Every write is reported once by the next harvest, whoever made it,
 * and nothing else is. dirty_harvest() compares each page with a naive log; the random runs
 * interleave harvests with everything.
 */

#include "log.h"
#include "situations.h"

#define RAM_PAGES (RAM_BYTES >> GN_PAGE_SHIFT)

static uint64_t harvest(struct machine *m)
{
    return dirty_harvest(m, 0, 0, RAM_PAGES);
}

static void once_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint32_t root = root_get(m, ROOT);

    guest_map(m, ROOT, GVA + 4096, PAGE + 4096, 0, KERNEL | AD);
    (void)entry;
    /* A mapping from before is writable, in the TLB, too. */
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    dirty_start(m, 0);
    harvest(m);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), COMPLETED);
    assert_int_equal(harvest(m), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(access_at(m, root, GVA, WRITE).answers, 1);
        assert_int_equal(access_at(m, root, GVA + 8, WRITE).answers, 0);
        assert_int_equal(harvest(m), 1);
        assert_int_equal(harvest(m), 0);
    }
    dirty_stop(m, 0);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(access_at(m, root, GVA, WRITE).answers, 0);
}

static void inv14_the_first_write_after_a_harvest_is_reported_once(void **state)
{
    (void)state;
    everywhere(once_situation);
}

static void walker_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL);
    uint32_t root = root_get(m, ROOT);

    dirty_start(m, 0);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(m->dirty[entry >> GN_PAGE_SHIFT], 1);
    /* x86 sets A in the tables above as well, but in no PDPTE of PAE: each is a page of its own. */
    assert_int_equal(harvest(m),
                     is_x86(m->guest) ? m->geometry.levels - (m->guest == GN_PAGING_X86_PAE) : 1);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(harvest(m), 2); /* the page, and D in its entry */
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(harvest(m), 1);
}

static void inv14_a_and_d_that_the_walk_sets_are_writes_to_tables(void **state)
{
    (void)state;
    everywhere(walker_situation);
}

static void table_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint64_t table = entry & ~GN_PAGE_MASK;
    uint64_t self = GVA + 8 * 4096;
    uint64_t value = leaf_value(m, 0, PAGE + 4096, KERNEL | AD);
    uint32_t root;

    guest_map(m, ROOT, self, table, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    guest_store(m, root, self + (entry & GN_PAGE_MASK), &value, 8);
    coherence_point(m);
    dirty_start(m, 0);
    harvest(m);
    guest_store(m, root, self + 256, &value, 8);
    assert_int_equal(m->dirty[table >> GN_PAGE_SHIFT], 1);
    if (m->policy == GN_SHADOW_POLICY_TRACED)
        assert_true(mapped(m, root, self, NULL) & GN_SHADOW_TRACED);
    assert_true(harvest(m) >= 1);
    /* A record that is drained after the harvest is a write once more; then there is none. */
    coherence_point(m);
    (void)harvest(m);
    assert_int_equal(harvest(m), 0);
    guest_store(m, root, self + 264, &value, 8);
    assert_true(harvest(m) >= 1);
}

static void inv14_a_write_to_a_table_is_reported_be_it_trapped_or_traced(void **state)
{
    (void)state;
    everywhere(table_situation);
}

static void not_yet_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint64_t table = entry & ~GN_PAGE_MASK;
    uint32_t root;

    guest_map(m, ROOT, GVA + 4096, table, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    dirty_start(m, 0);
    /* The fault that makes the page a table traps the write: nobody has written anything yet. */
    if (outcome(m, root, GVA + 4096, WRITE) == GN_SHADOW_TRAPPED)
        assert_int_equal(m->dirty[table >> GN_PAGE_SHIFT], 0);
    (void)harvest(m);
}

static void inv14_a_write_that_traps_is_not_reported_before_it_is_made(void **state)
{
    (void)state;
    everywhere(not_yet_situation);
}

static void device_situation(struct machine *m)
{
    dirty_start(m, 0);
    machine_sync(m, PAGE + 4095, 2);
    assert_int_equal(harvest(m), 2);
    machine_sync(m, PAGE, 0);
    machine_sync(m, RAM_BYTES - 4096, 8192); /* and beyond the slot */
    assert_int_equal(dirty_harvest(m, 0, RAM_PAGES - 1, 1), 1);
    machine_sync(m, PAGE, 8);
    machine_sync(m, PAGE, 8);
    assert_int_equal(stats(m).dirty_pages, 4);
    /* Only what is asked for is taken. */
    assert_int_equal(dirty_harvest(m, 0, 0, PAGE >> GN_PAGE_SHIFT), 0);
    assert_int_equal(dirty_harvest(m, 0, (PAGE >> GN_PAGE_SHIFT) + 1, 64), 0);
    assert_int_equal(dirty_harvest(m, 0, PAGE >> GN_PAGE_SHIFT, 1), 1);
}

static void inv14_what_a_device_wrote_is_reported_by_the_sync(void **state)
{
    (void)state;
    everywhere(device_situation);
}

static void large_situation(struct machine *m)
{
    uint32_t root;
    uint32_t level;

    if (guest_span(m, 1) != span_of(1))
        return;
    guest_map(m, ROOT, FAR, 0x200000, 1, KERNEL | AD);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, FAR, WRITE), COMPLETED);
    (void)mapped(m, root, FAR, &level);
    assert_int_equal(level, 1);
    dirty_start(m, 0);
    /* Not the large page is reported, but each of its parts that is written. */
    assert_int_equal(outcome(m, root, FAR + 0x3000, WRITE), COMPLETED);
    assert_int_equal(outcome(m, root, FAR + 0x7000, READ), COMPLETED);
    assert_int_equal(outcome(m, root, FAR + 0x9008, WRITE), COMPLETED);
    (void)mapped(m, root, FAR + 0x3000, &level);
    assert_int_equal(level, 0);
    assert_int_equal(dirty_harvest(m, 0, 512, 512), 2);
    assert_int_equal(access_at(m, root, FAR + 0x3000, WRITE).answers, 1);
    assert_int_equal(dirty_harvest(m, 0, 512, 512), 1);
    dirty_stop(m, 0);
    assert_int_equal(outcome(m, root, FAR + 0x3000, WRITE), COMPLETED);
    (void)mapped(m, root, FAR + 0x3000, &level);
    assert_int_equal(level, 1);
}

static void inv14_a_large_page_is_reported_by_the_page(void **state)
{
    (void)state;
    everywhere(large_situation);
}

static void alias_situation(struct machine *m)
{
    uint32_t root[2];

    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    guest_map(m, ROOT2, GVA + 0x200000, PAGE, 0, USER | AD);
    root[0] = root_get(m, ROOT);
    root[1] = root_get(m, ROOT2);
    dirty_start(m, 0);
    m->controls |= GN_PAGING_RISCV_SUM;
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(outcome(m, root[0], GVA, WRITE), COMPLETED);
        assert_int_equal(outcome(m, root[1], GVA + 0x200000, WRITE | USERS), COMPLETED);
        assert_int_equal(dirty_harvest(m, 0, PAGE >> GN_PAGE_SHIFT, 1), 1);
        tlb_is_within_the_spt(m);
        /* Either way in must be seen again. */
        if (i & 1)
            assert_int_equal(access_at(m, root[0], GVA, WRITE).answers, 1);
        else
            assert_int_equal(access_at(m, root[1], GVA + 0x200000, WRITE | USERS).answers, 1);
        assert_int_equal(dirty_harvest(m, 0, PAGE >> GN_PAGE_SHIFT, 1), 1);
    }
}

static void inv14_every_mapping_of_a_page_is_watched(void **state)
{
    (void)state;
    everywhere(alias_situation);
}

static void prefill_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint32_t root = root_get(m, ROOT);

    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    dirty_start(m, 0);
    device_store(m, nth(m, entry, 1), leaf_value(m, 0, PAGE + 4096, KERNEL | AD));
    assert_int_equal(mapped(m, root, GVA + 4096, NULL) & GN_PAGING_W, 0);
    assert_int_equal(harvest(m), 1);
    assert_int_equal(outcome(m, root, GVA + 4096, WRITE), COMPLETED);
    assert_true(mapped(m, root, GVA + 4096, NULL) & GN_PAGING_W);
    /* The same page by another entry: known to be dirty, so no fault is needed. */
    device_store(m, nth(m, entry, 2), leaf_value(m, 0, PAGE + 4096, KERNEL | AD));
    assert_int_equal(access_at(m, root, GVA + 8192, WRITE).answers, 0);
    assert_int_equal(harvest(m), 2);
}

static void inv14_what_a_sync_maps_is_writable_only_if_dirty(void **state)
{
    (void)state;
    everywhere(prefill_situation);
}

static void full_situation(struct machine *m)
{
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    guest_map(m, ROOT, GVA + 4096, PAGE + 4096, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    dirty_start(m, 0);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(m->announced[PAGE >> GN_PAGE_SHIFT], 1);
    m->ring_full = 1;
    assert_int_equal(outcome(m, root, GVA + 4096, WRITE), COMPLETED);
    assert_int_equal(stats(m).dirty_overflows, 1);
    assert_int_equal(dirty_harvest(m, 0, PAGE >> GN_PAGE_SHIFT, 2), 2);
}

static void inv14_a_ring_without_room_loses_nothing(void **state)
{
    (void)state;
    everywhere(full_situation);
}

/* ---- 12: calls in parts -------------------------------------------------------------------------
 */

static void parts_situation(struct machine *m, uint32_t limit)
{
    uint64_t gva = FAR;
    uint64_t length = 3 * 4096;
    gn_gpa_t at = gn_gpa(0x1000);
    uint32_t calls = 1;
    uint32_t root;

    for (uint64_t i = 0; i < 100; i++)
        guest_map(m, ROOT, gva + i * 4096, PAGE + i / 50 * 4096, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    dirty_start(m, 0);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(outcome(m, root, gva + i * 4096, WRITE), COMPLETED);
    assert_in_range(harvest(m), 2, 6); /* x86: and tables, for their A */
    tlb_is_within_the_spt(m);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(mapped(m, root, gva + i * 4096, NULL) & GN_PAGING_W, 0);
    while (gn_shadow_revoke(m->sh, gn_gpa(PAGE), 8192) == -GN_ERR_AGAIN)
        calls++;
    assert_in_range(calls, 1, limit ? 100 / limit + 1 : 1);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(mapped(m, root, gva + i * 4096, NULL), 0);
        assert_int_equal(outcome(m, root, gva + i * 4096, READ), COMPLETED);
    }
    /* Pages of tables, word by word. */
    for (calls = 1; gn_shadow_sync_part(m->sh, &at, &length) == -GN_ERR_AGAIN; calls++)
        assert_int_equal(at.v + length, 0x4000);
    assert_int_equal(length, 0);
    assert_in_range(calls, limit ? 3 : 1, limit ? 3 * 512 / limit + 1 : 1);
    coherence_check(m);
    for (calls = 1; gn_shadow_flush(m->sh, root) == -GN_ERR_AGAIN; calls++)
        tlb_is_within_the_spt(m);
    assert_in_range(calls, limit ? 100 / limit : 1, limit ? 110 / limit + 1 : 1);
    assert_int_equal(mapped(m, root, gva, NULL), 0);
    assert_int_equal(outcome(m, root, gva, READ), COMPLETED);
    slot_remove(m, 0);
    assert_int_equal(gn_shadow_root_put(m->sh, root), 0);
}

static void inv12_calls_in_parts_do_what_whole_ones_do(void **state)
{
    static const uint32_t limits[] = {0, 1, 2, 7, 64};

    (void)state;
    for (uint32_t i = 0; i < 5 * 5 * 2; i++) {
        struct gn_shadow_params p = machine_params(formats[i % 5], i / 5 % 2, 256);
        struct machine *m;

        p.step_limit = limits[i / 10];
        m = machine_new_params(p);
        parts_situation(m, p.step_limit);
        machine_free(m);
    }
}

/* Between two parts of a harvest the guest writes a page that the first has taken already. */
static void again_situation(struct machine *m)
{
    uint64_t bitmap[DIRTY_PAGES / 64] = {0};
    uint64_t found = UINT64_MAX;
    uint32_t root;

    for (uint64_t i = 0; i < 3; i++)
        guest_map(m, ROOT, GVA + i * 4096, PAGE + i * 4096, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    dirty_start(m, 0);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(outcome(m, root, GVA + i * 4096, WRITE), COMPLETED);
    harvest(m);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(outcome(m, root, GVA + i * 4096, WRITE), COMPLETED);
    assert_int_equal(gn_shadow_dirty_harvest(m->sh, 0, 0, RAM_PAGES, bitmap, &found),
                     -GN_ERR_AGAIN);
    m->announced[PAGE >> GN_PAGE_SHIFT] = 0;
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    UNTIL_DONE(gn_shadow_dirty_harvest(m->sh, 0, 0, RAM_PAGES, bitmap, &found));
    assert_int_equal(found, 3);
    assert_int_equal(bitmap[(PAGE >> GN_PAGE_SHIFT) / 64], 7);
}

static void inv14_a_page_written_again_between_parts_of_a_harvest_counts_once(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        struct gn_shadow_params p = machine_params(formats[i], GN_SHADOW_POLICY_TRAP, 256);
        struct machine *m;

        p.step_limit = 2;
        m = machine_new_params(p);
        again_situation(m);
        machine_free(m);
    }
}

static void arguments_are_checked(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, GN_SHADOW_POLICY_TRAP);
    uint32_t rom = slot_add(m, GN_SHADOW_SLOT_ROM, MMIO, 0x4000, (uint64_t)1 << 33);
    uint64_t words[16 + 1];

    (void)state;
    assert_int_equal(gn_shadow_dirty_size(RAM_BYTES), 128);
    assert_int_equal(gn_shadow_dirty_size(65 * 4096), 16);
    assert_int_equal(gn_shadow_dirty_size(0), 0);
    assert_int_equal(gn_shadow_dirty_size(4095), 0);
    assert_int_equal(gn_shadow_dirty_start(NULL, 0, words, 128), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_dirty_start(m->sh, 7, words, 128), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_dirty_start(m->sh, SLOTS_MAX, words, 128), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_dirty_start(m->sh, rom, words, 128), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_dirty_start(m->sh, 0, NULL, 128), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_dirty_start(m->sh, 0, (uint8_t *)words + 4, 128), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_dirty_start(m->sh, 0, words, 127), -GN_ERR_NOMEM);
    assert_int_equal(gn_shadow_dirty_harvest(m->sh, 0, 0, 1, words, NULL), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_dirty_stop(m->sh, 0), -GN_ERR_NOENT);
    dirty_start(m, 0);
    assert_int_equal(gn_shadow_dirty_start(m->sh, 0, words, 128), -GN_ERR_EXIST);
    assert_int_equal(gn_shadow_dirty_harvest(m->sh, 0, 0, 1, NULL, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_dirty_harvest(m->sh, 0, 1, RAM_PAGES, words, NULL), -GN_ERR_RANGE);
    assert_int_equal(gn_shadow_dirty_harvest(m->sh, 0, UINT64_MAX, 2, words, NULL), -GN_ERR_RANGE);
    assert_int_equal(gn_shadow_dirty_harvest(m->sh, 0, RAM_PAGES, 0, words, NULL), 0);
    slot_remove(m, 0);
    assert_int_equal(gn_shadow_dirty_stop(m->sh, 0), -GN_ERR_NOENT);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv14_the_first_write_after_a_harvest_is_reported_once),
        cmocka_unit_test(inv14_a_and_d_that_the_walk_sets_are_writes_to_tables),
        cmocka_unit_test(inv14_a_write_to_a_table_is_reported_be_it_trapped_or_traced),
        cmocka_unit_test(inv14_a_write_that_traps_is_not_reported_before_it_is_made),
        cmocka_unit_test(inv14_what_a_device_wrote_is_reported_by_the_sync),
        cmocka_unit_test(inv14_a_large_page_is_reported_by_the_page),
        cmocka_unit_test(inv14_every_mapping_of_a_page_is_watched),
        cmocka_unit_test(inv14_what_a_sync_maps_is_writable_only_if_dirty),
        cmocka_unit_test(inv14_a_ring_without_room_loses_nothing),
        cmocka_unit_test(inv14_a_page_written_again_between_parts_of_a_harvest_counts_once),
        cmocka_unit_test(inv12_calls_in_parts_do_what_whole_ones_do),
        cmocka_unit_test(arguments_are_checked),
    };

    return cmocka_run_group_tests_name("shadow_dirty", tests, NULL, NULL);
}
