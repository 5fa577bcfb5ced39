/* SPDX-License-Identifier: BSD-3-Clause */

/* Who shares what with whom: roles of tables, and roots. Invariants 7 and 11. */

#include "situations.h"

/* ---- 7: roles
 * -----------------------------------------------------------------------------------------------------
 */

static void one_table_under_two_parents(struct machine *m)
{
    uint64_t above;
    uint64_t table;
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    above = guest_entry(m, ROOT, GVA, 1);
    table = guest_entry(m, ROOT, GVA, 0) & ~GN_PAGE_MASK;
    guest_write(m, nth(m, above, 1), encode(m, 1, GN_PAGING_ENTRY_TABLE, table, GN_PAGING_X));
    root = root_get(m, ROOT);
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(outcome(m, root, GVA, WRITE | USERS), COMPLETED);
        assert_int_equal(outcome(m, root, GVA + guest_span(m, 1), READ | USERS),
                         is_x86(m->guest) ? GN_SHADOW_GUEST_FAULT : COMPLETED);
        assert_int_equal(outcome(m, root, GVA + guest_span(m, 1), WRITE),
                         is_x86(m->guest) ? GN_SHADOW_GUEST_FAULT : GN_SHADOW_GUEST_FAULT);
        if (is_x86(m->guest))
            assert_int_equal(outcome(m, root, GVA + guest_span(m, 1), READ), COMPLETED);
        /* Both shadows of the table follow one write to it. */
        device_store(m, guest_entry(m, ROOT, GVA, 0), leaf_value(m, 0, PAGE + 4096, USER | AD));
        tlb_is_within_the_guest(m);
    }
}

static void inv7_one_table_under_parents_of_other_permissions_has_other_shadows(void **state)
{
    (void)state;
    everywhere(one_table_under_two_parents);
}

/* Unmaps a page, then its table. @return the invalidations that the table took */
static uint64_t invalidations_of_an_empty_table(uint32_t flags)
{
    struct gn_shadow_params params = machine_params(GN_PAGING_SV39, GN_SHADOW_POLICY_TRACED, 64);
    struct machine *m;
    uint64_t before;
    uint32_t root;

    params.flags = flags;
    m = machine_new_params(params);
    machine_guest(m, GN_PAGING_SV39);
    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, WRITE | USERS), COMPLETED);
    device_store(m, guest_entry(m, ROOT, GVA, 0), 0);
    before = stats(m).invalidated_ranges;
    device_store(m, guest_entry(m, ROOT, GVA, 1), 0);
    assert_int_equal(outcome(m, root, GVA, WRITE | USERS), GN_SHADOW_GUEST_FAULT);
    before = stats(m).invalidated_ranges - before;
    coherence_check(m);
    machine_free(m);
    return before;
}

static void an_empty_table_goes_unsaid_where_the_mmu_caches_leaves_only(void **state)
{
    (void)state;
    assert_int_equal(invalidations_of_an_empty_table(0), 1);
    assert_int_equal(invalidations_of_an_empty_table(GN_SHADOW_MMU_LEAVES), 0);
}

/* The guest's entry says this now. @return how the MMU was told: 1 of writes, 2 of all */
static uint32_t told_of(struct machine *m, uint32_t root, uint32_t permissions)
{
    struct gn_shadow_stats before = stats(m);
    struct gn_shadow_stats after;

    guest_map(m, ROOT, GVA, PAGE, 0, permissions);
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(guest_entry(m, ROOT, GVA, 0)), 8), 0);
    after = stats(m);
    tlb_is_within_the_spt(m);
    coherence_check(m);
    assert_int_equal(outcome(m, root, GVA, READ | USERS), COMPLETED);
    return (after.invalidated_writes != before.invalidated_writes ? 1 : 0) |
           (after.invalidated_ranges != before.invalidated_ranges ? 2 : 0);
}

static uint32_t rights_taken(const struct gn_shadow_ops *ops, uint32_t permissions)
{
    struct gn_shadow_params params = machine_params(GN_PAGING_SV39, GN_SHADOW_POLICY_TRACED, 64);
    struct machine *m;
    uint32_t told;
    uint32_t root;

    params.ops = ops;
    m = machine_new_params(params);
    machine_guest(m, GN_PAGING_SV39);
    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, WRITE | USERS), COMPLETED);
    assert_int_equal(outcome(m, root, GVA, GN_ACCESS_EXEC | USERS), COMPLETED);
    told = told_of(m, root, permissions);
    machine_free(m);
    return told;
}

static void a_right_to_write_that_goes_leaves_reads_and_fetches_cached(void **state)
{
    static const struct gn_shadow_ops without = {MACHINE_OPS};
    const uint32_t read_only = (USER & ~GN_PAGING_W) | AD;

    (void)state;
    assert_int_equal(rights_taken(&machine_ops, read_only), 1);
    assert_int_equal(rights_taken(&machine_ops, USER | GN_PAGING_A), 1);
    assert_int_equal(rights_taken(&machine_ops, (USER & ~GN_PAGING_X) | AD), 2);
    assert_int_equal(rights_taken(&machine_ops, read_only & ~GN_PAGING_X), 2);
    assert_int_equal(rights_taken(&without, read_only), 2);
}

/* A table that the guest has at more than one address. */
static void two_ways_situation(struct machine *m)
{
    uint64_t above, away = guest_span(m, 1);
    struct gn_shadow_stats before;
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    above = guest_entry(m, ROOT, GVA, 1);
    guest_write(m, nth(m, above, 1), guest_read(m, above));
    root = root_get(m, ROOT);
    for (uint32_t round = 0; round < 3; round++) {
        assert_int_equal(outcome(m, root, GVA, WRITE | USERS), COMPLETED);
        assert_int_equal(outcome(m, root, GVA + away, WRITE | USERS), COMPLETED);
        before = stats(m);
        device_store(m, guest_entry(m, ROOT, GVA, 0),
                     leaf_value(m, 0, PAGE + (round & 1 ? 0 : 4096), USER | AD));
        assert_int_equal(stats(m).invalidated_all, before.invalidated_all);
        assert_int_equal(stats(m).invalidated_ranges, before.invalidated_ranges + 2);
        tlb_is_within_the_spt(m);
        tlb_is_within_the_guest(m);
    }
}

static void what_is_mapped_at_two_addresses_is_invalidated_at_both_and_nowhere_else(void **state)
{
    (void)state;
    everywhere(two_ways_situation);
}

/* What two roots share is not withdrawn from one since the other comes by. */
static void shared_way_situation(struct machine *m)
{
    struct gn_shadow_stats before;
    uint32_t root;
    uint32_t other;

    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    guest_write(m, ROOT2 + (guest_entry(m, ROOT, GVA, m->geometry.levels - 1) - ROOT),
                guest_read(m, guest_entry(m, ROOT, GVA, m->geometry.levels - 1)));
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, WRITE | USERS), COMPLETED);
    other = root_get(m, ROOT2);
    before = stats(m);
    assert_int_equal(outcome(m, other, GVA, WRITE | USERS), COMPLETED);
    assert_int_equal(stats(m).fills, before.fills + 1);
    assert_int_equal(stats(m).invalidated_ranges, before.invalidated_ranges);
}

/* A root that shares a way with another has it without a fault; one that does not has nothing. */
static void adopted_situation(struct machine *m)
{
    uint32_t top = m->geometry.levels - 1;
    uint32_t links[2] = {9, 9};
    uint32_t root, other, third, guests;
    uint64_t faults;

    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    root = root_get(m, ROOT);
    guests = m->sh->tables[m->sh->roots[root].table].role.direct == GN_SHADOW__GUEST;
    assert_int_equal(outcome(m, root, GVA, WRITE | USERS), COMPLETED);
    guest_write(m, ROOT2 + (guest_entry(m, ROOT, GVA, top) - ROOT),
                guest_read(m, guest_entry(m, ROOT, GVA, top)));
    other = root_get(m, ROOT2);
    third = root_get(m, ROOT3);
    assert_int_equal(gn_shadow_root_adopt(m->sh, other, root, &links[0]), 0);
    assert_int_equal(gn_shadow_root_adopt(m->sh, third, root, &links[1]), 0);
    assert_int_equal(links[0], guests);
    assert_int_equal(links[1], 0);
    faults = stats(m).faults;
    assert_int_equal(outcome(m, other, GVA, WRITE | USERS), COMPLETED);
    assert_int_equal(stats(m).faults, faults + !guests);
    assert_int_equal(outcome(m, third, GVA, READ | USERS), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(gn_shadow_root_adopt(m->sh, ROOTS_MAX, root, NULL), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_root_adopt(m->sh, other, ROOTS_MAX, NULL), 0);
    assert_int_equal(gn_shadow_root_adopt(NULL, other, root, NULL), -GN_ERR_INVAL);
}

static void a_new_root_adopts_the_tables_that_the_guest_shares(void **state)
{
    (void)state;
    everywhere(adopted_situation);
}

/* The same entries, to which other controls give another meaning: a fault, here. */
static void unlike_situation(struct machine *m)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    uint32_t links = 9;
    uint32_t root, other;

    if (!is_x86(m->guest) || m->geometry.entry_bytes == 4)
        return;
    guest_map(m, ROOT, GVA, PAGE, 0, GN_PAGING_R | GN_PAGING_W | AD);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    key.controls &= ~GN_PAGING_X86_NXE;
    assert_int_equal(root_try(m, key, &other), 0);
    assert_int_equal(gn_shadow_root_adopt(m->sh, other, root, &links), 0);
    assert_int_equal(links, 0);
    assert_int_equal(outcome(m, other, GVA, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv7_a_root_adopts_no_table_that_goes_by_other_controls(void **state)
{
    (void)state;
    everywhere(unlike_situation);
}

static void a_table_that_is_linked_takes_no_invalidation_of_what_it_maps(void **state)
{
    (void)state;
    everywhere(shared_way_situation);
}

static void controls_situation(struct machine *m)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    struct gn_shadow_root_key other = key;
    uint32_t a;
    uint32_t b;

    other.controls |= GN_PAGING_X86_SMEP;
    assert_int_equal(root_try(m, key, &a), 0);
    assert_int_equal(root_try(m, other, &b), 0);
    assert_int_equal(a == b, !is_x86(m->guest));
    other = key;
    other.controls |= judged(m);
    assert_int_equal(root_try(m, other, &b), 0);
    assert_int_equal(a, b);
    other.controls |= GN_PAGING_RISCV_MXR;
    assert_int_equal(root_try(m, other, &b), 0);
    assert_int_equal(a == b, (judged(m) & GN_PAGING_RISCV_MXR) != 0);
    other = key;
    other.phys_bits = 36;
    assert_int_equal(root_try(m, other, &b), 0);
    assert_int_equal(m->root_hpa[a] == m->root_hpa[b], !is_x86(m->guest));
    /* 36 + 256 is no width: it means 52, and not 36 in eight bits. */
    other.phys_bits = 36 + 256;
    assert_int_equal(root_try(m, other, &b), 0);
    assert_int_equal(a, b);
    other.tag = 1;
    assert_int_equal(root_try(m, other, &b), 0);
    assert_int_not_equal(a, b);
    assert_int_equal(m->root_hpa[a], m->root_hpa[b]);
}

static void inv7_controls_that_change_entries_separate_roots_and_others_do_not(void **state)
{
    (void)state;
    everywhere(controls_situation);
}

static void nx_situation(struct machine *m)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    uint32_t with;
    uint32_t without;

    if (m->guest == GN_PAGING_X86_32)
        return;
    guest_map(m, ROOT, GVA, PAGE, 0, GN_PAGING_R | AD);
    assert_int_equal(root_try(m, key, &with), 0);
    key.controls &= ~GN_PAGING_X86_NXE;
    assert_int_equal(root_try(m, key, &without), 0);
    /* Bit 63 of an entry forbids execution in one of them, and is reserved in the other. */
    assert_int_equal(outcome(m, with, GVA, READ), COMPLETED);
    assert_int_equal(outcome(m, without, GVA, READ),
                     is_x86(m->guest) ? GN_SHADOW_GUEST_FAULT : COMPLETED);
    assert_int_equal(outcome(m, with, GVA, READ), COMPLETED);
}

static void inv7_an_entry_that_other_controls_make_reserved_is_not_shared(void **state)
{
    (void)state;
    everywhere(nx_situation);
}

/* ---- 11: roots
 * -----------------------------------------------------------------------------------------------------------
 */

static void cache_situation(struct machine *m)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    struct gn_shadow_root first;
    struct gn_shadow_root again;
    uint32_t id;

    assert_int_equal(gn_shadow_root_get(m->sh, &key, &first), 0);
    assert_int_equal(gn_shadow_root_put(m->sh, first.id), 0);
    m->root_hpa[first.id] = first.hpa.v;
    m->root_key[first.id] = key;
    for (uint64_t tag = 1; tag < ROOTS_MAX; tag++) {
        key.tag = tag;
        assert_int_equal(root_try(m, key, &id), 0);
        assert_int_equal(gn_shadow_root_put(m->sh, id), 0);
    }
    key.tag = 0;
    assert_int_equal(gn_shadow_root_get(m->sh, &key, &again), 0);
    assert_memory_equal(&first, &again, sizeof first);
    assert_int_equal(m->roots_gone, 0);
    /* The least recently used goes: tag 1, since tag 0 was got again and is held. */
    key.tag = 100;
    assert_int_equal(root_try(m, key, &id), 0);
    assert_int_equal(m->roots_gone, 1);
    assert_int_equal(m->last_cookie_gone, first.cookie + 1);
    for (key.tag = 200; key.tag < 200 + ROOTS_MAX - 2; key.tag++)
        assert_int_equal(root_try(m, key, &id), 0);
    key.tag = 300;
    assert_int_equal(root_try(m, key, &id), -GN_ERR_NOSPC);
    assert_int_equal(m->root_hpa[first.id], first.hpa.v);
}

static void inv11_the_root_cache_evicts_the_least_recently_used_and_never_a_held_one(void **state)
{
    (void)state;
    everywhere(cache_situation);
}

static void shared_root_situation(struct machine *m)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint64_t page = table_new(m);
    uint32_t first;
    uint32_t last;
    uint32_t id;

    guest_map(m, ROOT, GVA + 0x5000, page, 0, KERNEL | AD);
    assert_int_equal(root_try(m, key, &first), 0);
    key.tag = 1;
    assert_int_equal(root_try(m, key, &last), 0);
    assert_int_equal(outcome(m, first, GVA, WRITE), COMPLETED);
    assert_int_equal(outcome(m, last, GVA, WRITE), COMPLETED);
    assert_int_equal(outcome(m, first, GVA + 0x5000, WRITE), COMPLETED);
    device_store(m, entry, leaf_value(m, 0, PAGE + 4096, KERNEL | AD));
    tlb_is_within_the_guest(m);
    assert_int_equal(gn_shadow_root_put(m->sh, last), 0);
    key.table = gn_gpa(ROOT2);
    for (key.tag = 2; key.tag < ROOTS_MAX; key.tag++)
        assert_int_equal(root_try(m, key, &id), 0);
    assert_int_equal(m->roots_gone, 0);
    /* In the place of `last` comes a root over a page that `first` maps writable. */
    key.table = gn_gpa(page);
    assert_int_equal(root_try(m, key, &id), 0);
    assert_int_equal(id, last);
    assert_int_equal(m->roots_gone, 1);
    assert_int_equal(outcome(m, id, GVA, READ), GN_SHADOW_GUEST_FAULT);
    tlb_is_within_the_spt(m);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(page)), 1);
    assert_int_equal(outcome(m, first, GVA + 0x5000, WRITE), first_write(m, 0));
}

static void inv11_roots_over_one_table_are_told_of_changes_as_long_as_they_live(void **state)
{
    (void)state;
    everywhere(shared_root_situation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv7_one_table_under_parents_of_other_permissions_has_other_shadows),
        cmocka_unit_test(an_empty_table_goes_unsaid_where_the_mmu_caches_leaves_only),
        cmocka_unit_test(a_right_to_write_that_goes_leaves_reads_and_fetches_cached),
        cmocka_unit_test(what_is_mapped_at_two_addresses_is_invalidated_at_both_and_nowhere_else),
        cmocka_unit_test(a_new_root_adopts_the_tables_that_the_guest_shares),
        cmocka_unit_test(inv7_a_root_adopts_no_table_that_goes_by_other_controls),
        cmocka_unit_test(a_table_that_is_linked_takes_no_invalidation_of_what_it_maps),
        cmocka_unit_test(inv7_controls_that_change_entries_separate_roots_and_others_do_not),
        cmocka_unit_test(inv7_an_entry_that_other_controls_make_reserved_is_not_shared),
        cmocka_unit_test(inv11_the_root_cache_evicts_the_least_recently_used_and_never_a_held_one),
        cmocka_unit_test(inv11_roots_over_one_table_are_told_of_changes_as_long_as_they_live),
    };

    return cmocka_run_group_tests_name("shadow_roots", tests, NULL, NULL);
}
