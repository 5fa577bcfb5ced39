/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Table pages that are left alone and re-read at coherence points. Invariants 2, 5 and 6 as they
 * stand there; the random runs do the same everywhere.
 */

#include "policies.h"

static void reread_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);

    assert_int_equal(write_entry(m, root, entry, 0, leaf(m, 5)), COMPLETED);
    assert_int_equal(write_entry(m, root, entry, 1, 0), COMPLETED);
    assert_int_equal(stats(m).pages_unsync, 1);
    assert_int_equal(stats(m).trapped_writes, 0);
    /* Nothing was flushed: the old is allowed. */
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE);
    assert_int_equal(gn_shadow_coherence_page(m->sh, root, gn_gva(GVA + 5)), 0);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 5 * 4096);
    assert_int_equal(access_at(m, root, GVA + 4096, READ).gpa, PAGE + 4096);
    assert_int_equal(gn_shadow_coherence_root(m->sh, root), 0);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), GN_SHADOW_GUEST_FAULT);
    /* It stays unsync: the next write costs nothing, and is found by the next flush. */
    assert_int_equal(access_at(m, root, SELF, WRITE).answers, 0);
    assert_int_equal(write_entry(m, root, entry, 0, leaf(m, 6)), COMPLETED);
    coherence_check(m);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 6 * 4096);
    assert_int_equal(stats(m).pages_unsync, 1);
    assert_int_equal(stats(m).pages_resynced, 0);
}

static void inv2_an_unsync_table_is_reread_at_coherence_points(void **state)
{
    (void)state;
    under(UNSYNC, reread_situation);
}

static void narrow_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);

    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    write_entry(m, root, entry, 0, leaf_value(m, 0, PAGE, GN_PAGING_R | GN_PAGING_A));
    assert_int_equal(gn_shadow_coherence_root(m->sh, root), 0);
    m->olds = 0;
    assert_int_equal(outcome(m, root, GVA, WRITE), GN_SHADOW_GUEST_FAULT);
    /* An upgrade needs no flush. */
    write_entry(m, root, entry, 0, leaf(m, 0));
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    /* Nor does D that the guest clears, once it has flushed. */
    write_entry(m, root, entry, 0, leaf_value(m, 0, PAGE, KERNEL | GN_PAGING_A));
    assert_int_equal(gn_shadow_coherence_page(m->sh, GN_SHADOW_ROOT_ANY, gn_gva(GVA)), 0);
    m->olds = 0;
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(guest_read(m, entry), leaf(m, 0));
}

static void inv2_permissions_taken_from_an_unsync_entry_are_gone_after_the_flush(void **state)
{
    (void)state;
    under(UNSYNC, narrow_situation);
}

static void marker_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root;

    slot_add(m, GN_SHADOW_SLOT_MMIO, MMIO, 0x4000, 0);
    m->markers = 1;
    guest_map(m, ROOT, GVA + 0x9000, MMIO, 0, KERNEL | AD);
    root = begin(m, &entry);
    assert_int_equal(outcome(m, root, GVA + 0x5000, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, GVA + 0x9000, READ), GN_SHADOW_MMIO);
    assert_int_not_equal(marker_at(m, root, GVA + 0x5000), 0);
    assert_int_not_equal(marker_at(m, root, GVA + 0x9000), 0);
    assert_int_equal(write_entry(m, root, entry, 0, leaf(m, 0)), COMPLETED);
    assert_int_equal(marker_at(m, root, GVA + 0x5000), 0);
    assert_int_equal(marker_at(m, root, GVA + 0x9000), 0);
    /* x86: an entry that becomes present is used without a flush. So no new marker, either. */
    assert_int_equal(outcome(m, root, GVA + 0x6000, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, GVA + 0x9000, READ), GN_SHADOW_MMIO);
    assert_int_equal(marker_at(m, root, GVA + 0x6000), 0);
    assert_int_equal(marker_at(m, root, GVA + 0x9000), 0);
    assert_int_equal(write_entry(m, root, entry, 6, leaf(m, 6)), COMPLETED);
    assert_int_equal(access_at(m, root, GVA + 0x6000, READ).gpa, PAGE + 0x6000);
    device_store(m, nth(m, entry, 6), 0);
    assert_int_equal(marker_at(m, root, GVA + 0x6000), 0);
    /* Nor in a second role of the table, made while the page is unsync. */
    guest_write(m, guest_entry(m, ROOT2, GVA, 1),
                encode(m, 1, GN_PAGING_ENTRY_TABLE, entry & ~GN_PAGE_MASK, KERNEL));
    root = root_get(m, ROOT2);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(marker_at(m, root, GVA + 0x6000), 0);
    assert_int_equal(write_entry(m, root, entry, 0, leaf(m, 3)), COMPLETED);
    assert_int_equal(gn_shadow_coherence_root(m->sh, root), 0);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 3 * 4096);
}

static void inv6_no_marker_stands_in_an_unsync_table(void **state)
{
    (void)state;
    under(UNSYNC, marker_situation);
}

static void upper_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);
    uint64_t above = guest_entry(m, ROOT, GVA, 1);
    uint64_t table = entry & ~GN_PAGE_MASK;
    uint64_t far = GVA + ((uint64_t)99 << 21); /* by entry 100 of a level-1 table */
    uint64_t value = guest_read(m, above);

    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(guest_store(m, root, UPPER + (above & GN_PAGE_MASK), &value, 8),
                         GN_SHADOW_TRAPPED);
    /* An unsync page that becomes an upper-level table as well is trapped from then on. */
    assert_int_equal(write_entry(m, root, entry, 0, leaf(m, 4)), COMPLETED);
    guest_write(m, guest_entry(m, ROOT2, GVA, 2), table_value(m, table));
    root = root_get(m, ROOT2);
    guest_map(m, ROOT2, far, PAGE, 0, KERNEL | AD);
    assert_int_equal(outcome(m, root, far, READ), COMPLETED);
    assert_int_equal(stats(m).pages_resynced, 1);
    m->olds = 0;
    tlb_is_within_the_guest(m);
    root = root_get(m, ROOT);
    assert_int_equal(write_entry(m, root, entry, 0, leaf(m, 5)), GN_SHADOW_TRAPPED);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 5 * 4096);
}

static void inv5_an_upper_level_table_never_goes_unsync(void **state)
{
    (void)state;
    under(UNSYNC, upper_situation);
}

/* Many processes, each with an unsync table: a flush of one looks at its own. */
static void cost_situation(struct machine *m)
{
    uint64_t kernel = FAR;
    uint64_t entry[6];
    uint32_t root[6];

    for (uint32_t i = 0; i < 6; i++) {
        uint64_t at = ROOT + i * 4096;

        entry[i] = guest_map(m, at, GVA, PAGE + i * 4096, 0, KERNEL | AD);
        guest_map(m, at, kernel, entry[i] & ~GN_PAGE_MASK, 0, KERNEL | AD);
        root[i] = root_get(m, at);
        assert_int_equal(outcome(m, root[i], GVA, READ), COMPLETED);
    }
    for (uint32_t i = 0; i < 6; i++) {
        uint64_t value = leaf(m, 20 + i);

        assert_int_equal(guest_store(m, root[i], kernel + (entry[i] & GN_PAGE_MASK), &value, 8),
                         COMPLETED);
    }
    for (uint32_t i = 0; i < 6; i++) {
        uint64_t rereads = stats(m).unsync_rereads;
        uint64_t entries = stats(m).sync_entries;

        assert_int_equal(gn_shadow_coherence_root(m->sh, root[i]), 0);
        assert_int_equal(stats(m).unsync_rereads, rereads + 1);
        assert_int_equal(stats(m).sync_entries, entries + 1);
        assert_int_equal(access_at(m, root[i], GVA, READ).gpa, PAGE + (20 + i) * 4096);
        /* The others are as stale as they were. */
        for (uint32_t j = i + 1; j < 6; j++)
            assert_int_equal(access_at(m, root[j], GVA, READ).gpa, PAGE + j * 4096);
    }
}

static void inv12_a_flush_rereads_the_unsync_tables_of_its_root_and_no_others(void **state)
{
    (void)state;
    under(UNSYNC, cost_situation);
}

/* A table that is unsync before a root begins to share it, in a place that had none below. */
static void shared_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);
    uint32_t levels = m->geometry.levels;
    uint32_t other;

    write_entry(m, root, entry, 0, leaf(m, 1));
    for (uint32_t level = levels - 1; level; level--) {
        uint64_t page = ROOT2 + level * 4096;
        uint64_t from = guest_entry(m, ROOT, GVA, level);

        guest_write(m, page + (from & GN_PAGE_MASK), guest_read(m, from));
        other = level == levels - 1 ? root_get(m, page) : root;
        assert_int_equal(outcome(m, other, GVA, READ), COMPLETED);
        write_entry(m, root, entry, 0, leaf(m, 10 + level));
        assert_int_equal(gn_shadow_coherence_root(m->sh, other), 0);
        m->olds = 0;
        assert_int_equal(access_at(m, other, GVA, READ).gpa, PAGE + (10 + level) * 4096);
        tlb_is_within_the_guest(m);
    }
}

/* The other root is flushed after the write, and comes to lead to the table only then. */
static void late_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);
    uint32_t top = m->geometry.levels - 1;

    for (uint32_t i = 0; i < 2; i++) {
        uint32_t level = i ? top : 1;
        uint64_t page = i ? ROOT2 : ROOT3;
        uint32_t other = root_get(m, page);

        *ram_word(m, guest_entry(m, page, GVA, level)) =
            *ram_word(m, guest_entry(m, ROOT, GVA, level));
        write_entry(m, root, entry, 0, leaf(m, 10 + i));
        assert_int_equal(gn_shadow_coherence_root(m->sh, other), 0);
        assert_int_equal(outcome(m, other, GVA + 4096, READ), COMPLETED);
        assert_int_equal(access_at(m, other, GVA, READ).gpa, PAGE + (10 + i) * 4096);
    }
}

static void inv2_a_table_linked_after_the_flush_is_reread_first(void **state)
{
    (void)state;
    under(UNSYNC, late_situation);
}

/* An address space without a root cannot be flushed: it is when it gets one. */
static void anew_situation(struct machine *m)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    uint64_t entry;
    uint32_t root = begin(m, &entry);
    uint32_t other;

    write_entry(m, root, entry, 0, leaf(m, 10));
    key.tag = 1;
    assert_int_equal(root_try(m, key, &other), 0);
    assert_int_equal(access_at(m, other, GVA, READ).gpa, PAGE + 10 * 4096);
}

static void inv2_a_new_root_over_unsync_tables_rereads_them(void **state)
{
    (void)state;
    under(UNSYNC, anew_situation);
}

static void inv2_a_root_that_comes_to_share_an_unsync_table_rereads_it(void **state)
{
    (void)state;
    under(UNSYNC, shared_situation);
}

static void data_situation(struct machine *m)
{
    uint64_t entry;
    uint32_t root = begin(m, &entry);

    /* The guest makes data of the page, which it maps elsewhere. */
    guest_map(m, ROOT, FAR, entry & ~GN_PAGE_MASK, 0, KERNEL | AD);
    assert_int_equal(outcome(m, root, FAR, WRITE), COMPLETED);
    memset(ram_word(m, entry & ~GN_PAGE_MASK), 0, 4096);
    for (uint32_t i = 0; i < 70; i++)
        assert_int_equal(gn_shadow_coherence_root(m->sh, root), 0);
    assert_int_equal(stats(m).tables_flooded, 1);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(entry & ~GN_PAGE_MASK)), 0);
}

static void inv12_an_unsync_page_that_is_no_table_any_more_is_dropped(void **state)
{
    (void)state;
    under(UNSYNC, data_situation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv2_an_unsync_table_is_reread_at_coherence_points),
        cmocka_unit_test(inv2_permissions_taken_from_an_unsync_entry_are_gone_after_the_flush),
        cmocka_unit_test(inv6_no_marker_stands_in_an_unsync_table),
        cmocka_unit_test(inv5_an_upper_level_table_never_goes_unsync),
        cmocka_unit_test(inv12_a_flush_rereads_the_unsync_tables_of_its_root_and_no_others),
        cmocka_unit_test(inv2_a_root_that_comes_to_share_an_unsync_table_rereads_it),
        cmocka_unit_test(inv2_a_table_linked_after_the_flush_is_reread_first),
        cmocka_unit_test(inv2_a_new_root_over_unsync_tables_rereads_them),
        cmocka_unit_test(inv12_an_unsync_page_that_is_no_table_any_more_is_dropped),
    };

    return cmocka_run_group_tests_name("shadow_unsync", tests, NULL, NULL);
}
