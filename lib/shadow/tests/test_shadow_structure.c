/* SPDX-License-Identifier: BSD-3-Clause */

/* What holds it together: invariants 8, 9, 10 and 12, and guests without translation. */

#include "situations.h"

/* ---- 8: large pages
 * --------------------------------------------------------------------------------------------------
 */

static void large_situation(struct machine *m)
{
    static const struct {
        uint64_t gpa, length, hpa;
        uint32_t level; /* of the leaf at the middle of the guest's 1 GiB page */
    } slots[] = {
        {(uint64_t)4 << 30, (uint64_t)1 << 30, (uint64_t)64 << 30, 2},
        {(uint64_t)4 << 30, (uint64_t)1 << 30, ((uint64_t)64 << 30) + 0x200000, 1},
        {(uint64_t)4 << 30, (uint64_t)1 << 30, ((uint64_t)64 << 30) + 0x1000, 0},
        {((uint64_t)4 << 30) + 0x1000, ((uint64_t)1 << 30) - 0x1000, ((uint64_t)64 << 30) + 0x1000,
         1},
        {((uint64_t)9 << 29) - 0x1000, 0x3000, (uint64_t)64 << 30, 0},
    };
    uint64_t gva = FAR;
    uint32_t root;
    uint32_t level;
    uint32_t slot;

    if (!(m->geometry.leaf_levels >> 2 & 1))
        return;
    guest_map(m, ROOT, gva, (uint64_t)4 << 30, 2, KERNEL);
    root = root_get(m, ROOT);
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t at = gva + ((uint64_t)1 << 29);

        slot = slot_add(m, GN_SHADOW_SLOT_RAM, slots[i].gpa, slots[i].length, slots[i].hpa);
        assert_int_equal(access_at(m, root, at, READ).gpa, ((uint64_t)9 << 29));
        (void)mapped(m, root, at, &level);
        assert_int_equal(level, slots[i].level);
        assert_int_equal(outcome(m, root, at, WRITE), COMPLETED);
        (void)access_at(m, root, gva, READ);
        coherence_check(m);
        slot_remove(m, slot);
    }
}

static void inv8_a_large_page_is_mapped_as_large_as_slot_and_backing_allow(void **state)
{
    (void)state;
    everywhere(large_situation);
}

static void large_dirty_situation(struct machine *m)
{
    uint64_t gva = FAR;
    uint64_t entry = guest_map(m, ROOT, gva, (uint64_t)4 << 20, 1, KERNEL);
    uint32_t root = root_get(m, ROOT);

    slot_add(m, GN_SHADOW_SLOT_RAM, (uint64_t)4 << 20, 0x100000, (uint64_t)8 << 30);
    assert_int_equal(outcome(m, root, gva + 0x1000, READ), COMPLETED);
    assert_int_equal(outcome(m, root, gva + 0x2000, READ), COMPLETED);
    assert_int_equal(outcome(m, root, gva + 0x1000, WRITE), COMPLETED);
    assert_int_equal(outcome(m, root, gva + 0x2000, WRITE), COMPLETED);
    /* Splintered, yet one page of the guest's: cleaned once, every piece is clean. */
    device_store(m, entry, leaf_value(m, 1, (uint64_t)4 << 20, KERNEL | GN_PAGING_A));
    assert_int_equal(mapped(m, root, gva + 0x1000, NULL) & GN_PAGING_W, 0);
    assert_int_equal(mapped(m, root, gva + 0x2000, NULL) & GN_PAGING_W, 0);
    assert_int_equal(outcome(m, root, gva + 0x101000, READ), GN_SHADOW_HOLE);
    device_store(m, entry, leaf_value(m, 1, (uint64_t)12 << 20, KERNEL | AD));
    assert_int_equal(outcome(m, root, gva + 0x1000, READ), GN_SHADOW_HOLE);
}

static void inv8_pieces_of_a_large_page_change_together(void **state)
{
    (void)state;
    everywhere(large_dirty_situation);
}

/* ---- 9, 10: reverse map and slots
 * ---------------------------------------------------------------------------------------- */

static void revoke_situation(struct machine *m)
{
    uint64_t large = FAR;
    uint32_t root[3];

    slot_add(m, GN_SHADOW_SLOT_RAM, (uint64_t)4 << 20, (uint64_t)4 << 20, (uint64_t)8 << 30);
    for (uint32_t r = 0; r < 3; r++) {
        guest_map(m, ROOT + r * 0x1000, large, (uint64_t)4 << 20, 1, KERNEL | AD);
        for (uint64_t i = 0; i < 512; i++)
            guest_map(m, ROOT + r * 0x1000, (GVA & ~(guest_span(m, 1) - 1)) + i * 4096,
                      ((uint64_t)4 << 20) + 0x3000, 0, KERNEL | AD);
        root[r] = root_get(m, ROOT + r * 0x1000);
    }
    for (uint32_t r = 0; r < 3; r++) {
        assert_int_equal(outcome(m, root[r], large + 0x3000, WRITE), COMPLETED);
        for (uint64_t i = 0; i < 512; i++)
            assert_int_equal(outcome(m, root[r], (GVA & ~(guest_span(m, 1) - 1)) + i * 4096, WRITE),
                             COMPLETED);
    }
    /* One root is cached and not held. */
    assert_int_equal(gn_shadow_root_put(m->sh, root[2]), 0);
    assert_int_equal(gn_shadow_revoke(m->sh, gn_gpa(((uint64_t)4 << 20) + 0x3000), 4096), 0);
    for (uint32_t r = 0; r < 3; r++) {
        assert_int_equal(mapped(m, root[r], large + 0x3000, NULL), 0);
        for (uint64_t i = 0; i < 512; i++)
            assert_int_equal(mapped(m, root[r], (GVA & ~(guest_span(m, 1) - 1)) + i * 4096, NULL),
                             0);
    }
    for (uint32_t i = 0; i < TLB_SIZE; i++)
        assert_false(m->tlb[i].valid && m->tlb[i].hpa == ((uint64_t)8 << 30) + 0x3000);
    /* The slot still stands. */
    assert_int_equal(outcome(m, root[0], large + 0x3000, WRITE), COMPLETED);
}

static void inv9_a_revoked_page_is_mapped_in_no_root(void **state)
{
    (void)state;
    everywhere(revoke_situation);
}

/* Tables in ROM: the access succeeds, and A stays clear where it cannot be set. */
static void rom_table_situation(struct machine *m)
{
    uint64_t *entry = ram_word(m, guest_map(m, ROOT, GVA, PAGE, 0, USER));
    uint64_t as_burnt = *entry;
    uint64_t differences;
    uint64_t as_set;

    slot_remove(m, 0);
    slot_add(m, GN_SHADOW_SLOT_ROM, 0, RAM_BYTES, RAM_HPA);
    assert_int_equal(outcome(m, root_get(m, ROOT), GVA, READ | USERS), COMPLETED);
    as_set = *entry;
    assert_true(as_set != as_burnt);
    *entry = as_burnt;
    assert_int_equal(gn_shadow_audit(m->sh, GN_SHADOW_ROOT_ANY, NULL, NULL, &differences, NULL), 0);
    assert_int_equal(differences, 0);
    *entry = as_set;
}

static void inv4_the_audit_asks_no_a_bit_of_tables_in_rom(void **state)
{
    (void)state;
    everywhere(rom_table_situation);
}

static void slot_situation(struct machine *m)
{
    uint64_t gpa = (uint64_t)4 << 20;
    uint32_t root;
    uint32_t slot;
    uint32_t flushes;

    m->markers = 1;
    guest_map(m, ROOT, GVA, gpa, 0, KERNEL);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_HOLE);
    flushes = m->invalidated_all;
    slot = slot_add(m, GN_SHADOW_SLOT_MMIO, gpa, 0x1000, 0);
    assert_int_equal(m->invalidated_all, flushes + 1);
    assert_int_equal(outcome(m, root, GVA, WRITE), GN_SHADOW_MMIO);
    slot_remove(m, slot);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_HOLE);
    slot = slot_add(m, GN_SHADOW_SLOT_ROM, gpa, 0x1000, (uint64_t)8 << 30);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(mapped(m, root, GVA, NULL) & GN_PAGING_W, 0);
    assert_int_equal(outcome(m, root, GVA, WRITE), GN_SHADOW_ROM_WRITE);
    slot_remove(m, slot);
    assert_int_equal(mapped(m, root, GVA, NULL), 0);
    slot = slot_add(m, GN_SHADOW_SLOT_RAM, gpa, 0x1000, (uint64_t)9 << 30);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    slot_remove(m, slot);
    assert_int_equal(mapped(m, root, GVA, NULL), 0);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_HOLE);
}

static void inv10_no_mapping_survives_a_change_of_its_slot(void **state)
{
    (void)state;
    everywhere(slot_situation);
}

static void tables_without_memory(struct machine *m)
{
    struct gn_shadow_answer answer;
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(m->table_page[ROOT >> GN_PAGE_SHIFT], 1);
    slot_remove(m, 0);
    /* The root is still held, but its page is none of ours: nothing can be promised of it. */
    assert_int_equal(m->table_page[ROOT >> GN_PAGE_SHIFT], 0);
    assert_int_equal(shadow_fault(m, root, GVA, READ, &answer), -GN_ERR_FAULT);
    slot_add(m, GN_SHADOW_SLOT_RAM, 0, RAM_BYTES, RAM_HPA);
    /* Glue above it is all that is held where the guest has fewer levels. */
    assert_int_equal(m->table_page[ROOT >> GN_PAGE_SHIFT], m->geometry.levels == m->shadow.levels);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(m->table_page[ROOT >> GN_PAGE_SHIFT], 1);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(ROOT)), 1);
}

static void inv10_the_table_of_a_held_root_may_lose_its_memory_and_get_it_back(void **state)
{
    (void)state;
    everywhere(tables_without_memory);
}

/* ---- 12: budget
 * -------------------------------------------------------------------------------------------------------------
 */

/* A table that is its own child at every level, one page mapped thousands of times by that. */
static void recursive_situation(struct machine *m)
{
    uint32_t levels = m->geometry.levels;
    uint64_t span = span_of(levels - 1);
    uint32_t root;

    /* Five tables, each of which has all five as children, and maps one page and a large one. */
    for (uint64_t i = 0; i < 5 * 5; i++)
        guest_write(m, ROOT + i / 5 * 4096 + i % 5 * 8, table_value(m, ROOT + i % 5 * 4096));
    for (uint64_t i = 0; i < 5; i++)
        guest_write(m, ROOT + i * 4096 + 40, leaf_value(m, 0, PAGE, KERNEL | AD));
    root = root_get(m, ROOT);
    for (uint32_t i = 0; i < 6000; i++) {
        uint64_t gva = (i & 3) * span;

        for (uint32_t level = 0, rest = i >> 2; level + 1 < levels; level++, rest /= 5)
            gva += (uint64_t)(rest % 5 + (level == 0)) << (GN_PAGE_SHIFT + 9 * level);
        (void)access_at(m, root, gva, i % 3);
        if (i % 50 == 0)
            device_store(m, ROOT + 8 * (1 + i % 3), table_value(m, ROOT + i % 5 * 4096));
        if (i % 100 == 0)
            coherence_check(m);
    }
    assert_in_range(m->frames_peak, levels, 16);
}

static void inv12_few_tables_and_tables_that_are_their_own_children(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < 5; f++) {
        for (uint32_t policy = 0; policy < 2; policy++) {
            struct machine *m = machine_new_params(machine_params(formats[f], policy, 16));

            m->markers = (int)policy;
            recursive_situation(m);
            assert_true(stats(m).tables_reclaimed > 0 || m->geometry.levels < 5);
            machine_free(m);
        }
    }
}

static void many_situation(struct machine *m)
{
    uint64_t page = table_new(m);
    uint64_t gva = FAR;
    int traced = m->policy == GN_SHADOW_POLICY_TRACED;
    uint32_t root;

    for (uint64_t i = 0; i < 4096; i++)
        guest_map(m, ROOT, gva + i * 4096, page, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    for (uint64_t i = 0; i < 4096; i++)
        assert_int_equal(outcome(m, root, gva + i * 4096, WRITE), COMPLETED);
    guest_write(m, page, leaf_value(m, 0, PAGE, KERNEL | AD));
    device_store(m, guest_entry(m, ROOT, GVA, 1), table_value(m, page));
    assert_int_equal(outcome(m, root, GVA & ~(guest_span(m, 1) - 1), READ), COMPLETED);
    for (uint64_t i = 0; i < 4096; i++)
        assert_int_equal(mapped(m, root, gva + i * 4096, NULL) &
                             (traced ? GN_SHADOW_TRACED : GN_PAGING_W),
                         traced ? GN_SHADOW_TRACED : 0);
}

static void inv12_one_page_mapped_thousands_of_times(void **state)
{
    (void)state;
    everywhere(many_situation);
}

static void reclaim_situation(struct machine *m)
{
    struct gn_shadow_answer answer;
    struct gn_shadow_root root;
    uint32_t got = 0;

    /* Held roots are not reclaimed, others are; when nothing is left, the call says so. */
    m->frames_limit = 6;
    for (; got < ROOTS_MAX; got++) {
        struct gn_shadow_root_key key = root_key(m, ROOT + got * 0x1000);

        if (gn_shadow_root_get(m->sh, &key, &root))
            break;
        m->root_hpa[root.id] = root.hpa.v;
        m->root_key[root.id] = key;
    }
    assert_int_equal(got, 6);
    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(ROOT), 4096), 0);
    assert_int_equal(shadow_fault(m, 0, GVA, READ, &answer), -GN_ERR_NOMEM);
    for (uint32_t i = 1; i < got; i++)
        assert_int_equal(gn_shadow_root_put(m->sh, i), 0);
    assert_int_equal(outcome(m, 0, GVA, READ), COMPLETED);
    assert_true(m->roots_gone >= m->geometry.levels - 1);
}

static void inv12_exhaustion_evicts_and_never_breaks(void **state)
{
    (void)state;
    everywhere(reclaim_situation);
}

/* ---- No translation
 * --------------------------------------------------------------------------------------------------------------
 */

static void bare_situation(struct machine *m)
{
    struct gn_shadow_root_key key = {GN_SHADOW_ROOT_KEY_INIT, .format = GN_PAGING_BARE};
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint32_t translating;
    uint32_t level;
    uint32_t root;

    slot_add(m, GN_SHADOW_SLOT_RAM, (uint64_t)1 << 30, (uint64_t)1 << 30, (uint64_t)8 << 30);
    slot_add(m, GN_SHADOW_SLOT_MMIO, MMIO, 0x1000, 0);
    assert_int_equal(root_try(m, key, &root), 0);
    translating = root_get(m, ROOT);
    assert_int_equal(outcome(m, translating, GVA, READ), COMPLETED);
    for (uint32_t access = 0; access < 3; access++) {
        assert_int_equal(access_at(m, root, ((uint64_t)1 << 30) + 5, access).gpa,
                         ((uint64_t)1 << 30) + 5);
        assert_int_equal(outcome(m, root, ((uint64_t)1 << 30) + 5, access | USERS), COMPLETED);
        /* An implicit access is a supervisor's, whoever runs. */
        assert_int_equal(outcome(m, root, PAGE, access | USERS), COMPLETED);
        assert_int_equal(outcome(m, root, PAGE, access | USERS | GN_PAGING_IMPLICIT), COMPLETED);
        assert_int_equal(outcome(m, root, MMIO, access), GN_SHADOW_MMIO);
        assert_int_equal(outcome(m, root, MMIO + 4096, access), GN_SHADOW_HOLE);
        assert_int_equal(outcome(m, root, (uint64_t)1 << 62, access), GN_SHADOW_HOLE);
    }
    (void)mapped(m, root, (uint64_t)1 << 30, &level);
    assert_int_equal(level, 2);
    assert_int_equal(outcome(m, root, entry, WRITE), first_write(m, 1));
    assert_int_equal(outcome(m, root, PAGE, WRITE), COMPLETED);
}

static void a_guest_without_translation_reaches_memory_at_its_own_address(void **state)
{
    (void)state;
    everywhere(bare_situation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv8_a_large_page_is_mapped_as_large_as_slot_and_backing_allow),
        cmocka_unit_test(inv8_pieces_of_a_large_page_change_together),
        cmocka_unit_test(inv9_a_revoked_page_is_mapped_in_no_root),
        cmocka_unit_test(inv4_the_audit_asks_no_a_bit_of_tables_in_rom),
        cmocka_unit_test(inv10_no_mapping_survives_a_change_of_its_slot),
        cmocka_unit_test(inv10_the_table_of_a_held_root_may_lose_its_memory_and_get_it_back),
        cmocka_unit_test(inv12_few_tables_and_tables_that_are_their_own_children),
        cmocka_unit_test(inv12_one_page_mapped_thousands_of_times),
        cmocka_unit_test(inv12_exhaustion_evicts_and_never_breaks),
        cmocka_unit_test(a_guest_without_translation_reaches_memory_at_its_own_address),
    };

    return cmocka_run_group_tests_name("shadow_structure", tests, NULL, NULL);
}
