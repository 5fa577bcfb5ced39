/* SPDX-License-Identifier: BSD-3-Clause */

/* x86 guests with addresses of 32 bits: two levels of 4-byte entries, or three of 8. */

#include "situations.h"

#define MIB4 ((uint64_t)4 << 20)
#define MIB2 ((uint64_t)2 << 20)

static uint32_t root_under(struct machine *m, uint32_t format, uint32_t controls)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    uint32_t id;

    key.format = format;
    key.controls = controls;
    assert_int_equal(root_try(m, key, &id), 0);
    return id;
}

/* ---- 4 MiB pages ------------------------------------------------------------------------------
 */

static void pair_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, FAR, 4 * MIB4, 1, KERNEL | AD);
    uint64_t parts[] = {FAR, FAR + MIB2 - 4096, FAR + MIB2, FAR + MIB4 - 4096};
    uint32_t root = root_get(m, ROOT);
    uint32_t level;

    slot_add(m, GN_SHADOW_SLOT_RAM, 4 * MIB4, 2 * MIB4, (uint64_t)8 << 30);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(access_at(m, root, parts[i] + 5, WRITE).gpa,
                             4 * MIB4 + (round & 1) * MIB4 + (parts[i] - FAR) + 5);
            assert_int_not_equal(mapped(m, root, parts[i], &level), 0);
            assert_int_equal(level, 1);
        }
        /* Whatever part the guest then flushes: no part of the old page is left. */
        device_store(m, entry, leaf_value(m, 1, 4 * MIB4 + (~round & 1) * MIB4, KERNEL | AD));
        assert_int_equal(gn_shadow_coherence_page(m->sh, root, gn_gva(parts[round])), 0);
        m->olds = 0;
        tlb_is_within_the_guest(m);
    }
    assert_int_equal(stats(m).large_leaves, 8);
}

static void inv8_a_4_mib_page_is_two_leaves_that_change_together(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, pair_situation);
}

static void unchanged_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, FAR, 4 * MIB4, 1, KERNEL | AD);
    uint32_t root = root_get(m, ROOT);
    uint64_t zaps;

    slot_add(m, GN_SHADOW_SLOT_RAM, 4 * MIB4, MIB4, (uint64_t)8 << 30);
    assert_int_equal(outcome(m, root, FAR, WRITE), COMPLETED);
    assert_int_equal(outcome(m, root, FAR + MIB2, WRITE), COMPLETED);
    zaps = stats(m).sync_zaps;
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(entry), 4), 0);
    assert_int_equal(stats(m).sync_zaps, zaps);
    assert_int_not_equal(mapped(m, root, FAR, NULL), 0);
    assert_int_not_equal(mapped(m, root, FAR + MIB2, NULL), 0);
}

static void inv8_both_halves_of_a_4_mib_page_stay_while_its_entry_does(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, unchanged_situation);
}

/* As a guest's store, which the log reports at the flush or the trap at once. */
static void invlpg_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, FAR, 4 * MIB4, 1, KERNEL | AD);
    uint64_t table = GVA + 16 * 4096;
    uint32_t none = 0;
    uint32_t root;

    guest_map(m, ROOT, table, ROOT, 0, KERNEL | AD);
    slot_add(m, GN_SHADOW_SLOT_RAM, 4 * MIB4, MIB4, (uint64_t)8 << 30);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, FAR, READ), COMPLETED);
    assert_int_equal(outcome(m, root, FAR + MIB2, READ), COMPLETED);
    assert_int_equal(outcome(m, root, table, READ), COMPLETED);
    guest_store(m, root, table + (entry & GN_PAGE_MASK), &none, 4);
    coherence_point(m);
    assert_int_equal(outcome(m, root, FAR, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, FAR + MIB2, READ), GN_SHADOW_GUEST_FAULT);
    tlb_is_within_the_spt(m);
}

static void inv8_a_flush_of_any_part_of_a_4_mib_page_drops_all_of_it(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, invlpg_situation);
}

static void splintered_pair_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, FAR, 4 * MIB4, 1, KERNEL);
    uint32_t root = root_get(m, ROOT);
    uint32_t level;

    /* One half is whole, the other is cut by the slot's edge. */
    slot_add(m, GN_SHADOW_SLOT_RAM, 4 * MIB4, MIB4 - 0x3000, (uint64_t)8 << 30);
    assert_int_equal(outcome(m, root, FAR + 0x1000, READ), COMPLETED);
    assert_int_equal(outcome(m, root, FAR + MIB2 + 0x1000, READ), COMPLETED);
    (void)mapped(m, root, FAR + 0x1000, &level);
    assert_int_equal(level, 1);
    (void)mapped(m, root, FAR + MIB2 + 0x1000, &level);
    assert_int_equal(level, 0);
    assert_int_equal(outcome(m, root, FAR + MIB4 - 0x1000, READ), GN_SHADOW_HOLE);
    assert_int_equal(outcome(m, root, FAR + MIB2 + 0x1000, WRITE), COMPLETED);
    assert_int_equal(guest_read(m, entry), leaf_value(m, 1, 4 * MIB4, KERNEL | AD));
    assert_int_equal(outcome(m, root, FAR + 0x1000, WRITE), COMPLETED);
    device_store(m, entry, leaf_value(m, 1, 4 * MIB4, KERNEL | GN_PAGING_A));
    assert_int_equal(mapped(m, root, FAR + 0x1000, NULL) & GN_PAGING_W, 0);
    assert_int_equal(mapped(m, root, FAR + MIB2 + 0x1000, NULL) & GN_PAGING_W, 0);
}

static void inv8_each_half_of_a_4_mib_page_is_as_large_as_its_slot_allows(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, splintered_pair_situation);
}

static void pse36_situation(struct machine *m)
{
    uint64_t high = ((uint64_t)0x5a << 32) + 3 * MIB4;
    uint64_t entry = guest_map(m, ROOT, FAR, high, 1, USER | AD);
    struct gn_shadow_root_key narrow = root_key(m, ROOT);
    uint32_t root = root_get(m, ROOT);
    uint32_t other;

    slot_add(m, GN_SHADOW_SLOT_RAM, high, MIB4, (uint64_t)8 << 30);
    assert_int_equal(access_at(m, root, FAR + MIB2 + 0x123, WRITE | USERS).gpa,
                     high + MIB2 + 0x123);
    assert_int_equal(access_at(m, root, FAR + 0x123, READ | USERS).gpa, high + 0x123);
    /* With 36 bits of physical address, those above are reserved. */
    narrow.phys_bits = 36;
    assert_int_equal(root_try(m, narrow, &other), 0);
    assert_int_equal(outcome(m, other, FAR, READ | USERS), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(access_at(m, other, FAR, READ | USERS).answer.code,
                     GN_PAGING_X86_PF_P | GN_PAGING_X86_PF_U | GN_PAGING_X86_PF_RSVD);
    device_store(m, entry, leaf_value(m, 1, high & ~((uint64_t)0x50 << 32), USER | AD));
    assert_int_equal(outcome(m, root, FAR, READ), GN_SHADOW_HOLE);
    assert_int_equal(outcome(m, other, FAR, READ), GN_SHADOW_HOLE);
}

static void a_4_mib_page_above_4_gib_is_found_by_pse_36(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, pse36_situation);
}

/* ---- Entries that are written in parts ----------------------------------------------------------
 */

static void halves_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint64_t table = GVA + 16 * 4096;
    uint64_t value;
    uint32_t half;
    uint32_t root;

    slot_add(m, GN_SHADOW_SLOT_RAM, (uint64_t)5 << 32, 0x4000, (uint64_t)8 << 30);
    guest_map(m, ROOT, table, entry & ~GN_PAGE_MASK, 0, KERNEL | AD);
    table += entry & GN_PAGE_MASK;
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    value = leaf_value(m, 0, ((uint64_t)5 << 32) + 0x1000, KERNEL | AD);
    half = 0;
    guest_store(m, root, table, &half, 4);
    coherence_check(m);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
    half = (uint32_t)(value >> 32);
    guest_store(m, root, table + 4, &half, 4);
    coherence_check(m);
    half = (uint32_t)value;
    guest_store(m, root, table, &half, 4);
    coherence_check(m);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, ((uint64_t)5 << 32) + 0x1000);
    /* The other way round it is another page for a moment. */
    half = 0;
    guest_store(m, root, table + 4, &half, 4);
    coherence_check(m);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, 0x1000);
}

static void inv13_an_8_byte_entry_may_be_written_in_two_halves(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_PAE, halves_situation);
}

static void neighbours_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA - 4096, PAGE, 0, KERNEL | AD);
    uint64_t table = GVA + 16 * 4096;
    uint32_t values[2];
    uint32_t root;

    /* Two entries in one word: an access of 8 bytes is of both, one of 4 bytes of one. */
    assert_int_equal(entry & 7, 0);
    guest_map(m, ROOT, GVA, PAGE + 4096, 0, KERNEL | AD);
    guest_map(m, ROOT, table, entry & ~GN_PAGE_MASK, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    assert_int_equal(access_at(m, root, GVA - 4096, READ).gpa, PAGE);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 4096);
    values[0] = (uint32_t)leaf_value(m, 0, PAGE + 8192, KERNEL | AD);
    values[1] = 0;
    guest_store(m, root, table + (entry & GN_PAGE_MASK), values, 4);
    coherence_check(m);
    assert_int_equal(access_at(m, root, GVA - 4096, READ).gpa, PAGE + 8192);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 4096);
    guest_store(m, root, table + (entry & GN_PAGE_MASK), values, 8);
    coherence_check(m);
    assert_int_equal(access_at(m, root, GVA - 4096, READ).gpa, PAGE + 8192);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
    /* The last byte of one and the first of the other. */
    guest_store(m, root, table + (entry & GN_PAGE_MASK) + 3, "\0\1", 2);
    coherence_check(m);
}

static void inv13_two_4_byte_entries_share_a_word_and_no_fate(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, neighbours_situation);
}

/* ---- 7: roles -----------------------------------------------------------------------------------
 */

/* One page as the root of three formats: what each makes of it is its own. */
static void toggles_situation(struct machine *m)
{
    static const uint32_t kinds[] = {GN_PAGING_X86_32, GN_PAGING_X86_PAE, GN_PAGING_X86_4LEVEL};
    uint64_t pd = 0x50000;
    uint64_t low = 0x51000;
    uint32_t root[3];
    uint32_t gpa[3];

    if (m->shadow.va_bits < 48)
        return;
    /* Bits 4:3 of a PDPTE are free, 8:5 are not: no A in the first entry, so that all accept it. */
    *ram_word(m, ROOT) = pd | 1;
    *ram_word(m, pd) = low | 0x23;
    *ram_word(m, pd + 8) = low | 0x23;
    *ram_word(m, low) = 0x60063;
    *ram_word(m, low + 8) = 0x61063;
    *ram_word(m, 0x60000) = 0x70063;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 3; i++) {
            machine_guest(m, kinds[i]);
            root[i] = root_under(m, kinds[i], m->controls);
            gpa[i] = (uint32_t)access_at(m, root[i], 0x123, READ).gpa;
            /* 4 levels set A in the root's entry: now it is no PDPTE. */
            *ram_word(m, ROOT) = pd | 1;
            machine_sync(m, ROOT, 8);
        }
        assert_int_equal(gpa[0], low + 0x123);
        assert_int_equal(gpa[1], 0x60123);
        assert_int_equal(gpa[2], 0x70123);
    }
    /* Bits of an entry may be reserved in one and not in another: no 32-bit guest has more. */
    machine_guest(m, GN_PAGING_X86_4LEVEL);
    assert_int_equal(outcome(m, root[2], 0x123, READ), COMPLETED);
    tlb_is_within_the_spt(m);
    for (uint32_t i = 0; i < 9; i++)
        assert_int_equal(gn_shadow_root_put(m->sh, root[i % 3]), 0);
    assert_int_equal(gn_shadow_flush(m->sh, GN_SHADOW_ROOT_ANY), 0);
}

static void inv7_a_page_is_read_by_each_format_in_its_own_way(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, toggles_situation);
}

static void pse_situation(struct machine *m)
{
    uint32_t without = m->controls & ~GN_PAGING_X86_PSE;
    uint64_t table = table_new(m);
    uint64_t gva = (uint64_t)1 << 30;
    uint64_t entry = guest_place(m, ROOT, 1, gva);
    uint32_t root[2];

    /* With PSE, a page of 4 MiB; without, bit 7 is nothing and a table begins there. */
    assert_int_equal(table, 0x1000); /* bit 12: PAT of the one, an address of the other */
    guest_write(m, entry, leaf_value(m, 1, 0, USER | AD) | table);
    guest_write(m, table, leaf_value(m, 0, PAGE, USER | AD));
    for (uint32_t round = 0; round < 2; round++) {
        root[0] = root_under(m, m->guest, m->controls);
        root[1] = root_under(m, m->guest, without);
        assert_int_not_equal(root[0], root[1]);
        assert_int_equal(access_at(m, root[0], gva + 0x123, USERS).gpa, 0x123);
        assert_int_equal(access_at(m, root[1], gva + 0x123, USERS).gpa, PAGE + 0x123);
    }
    device_store(m, entry, 0);
    assert_int_equal(outcome(m, root[0], gva, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root[1], gva, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv7_pse_decides_what_an_entry_is_and_parts_the_roots(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, pse_situation);
}

static void controls_situation(struct machine *m)
{
    /* What a format has no use for makes no other root of it. */
    assert_int_equal(root_under(m, m->guest, m->controls),
                     root_under(m, m->guest, m->controls ^ GN_PAGING_X86_1G));
    if (m->guest == GN_PAGING_X86_32)
        assert_int_equal(root_under(m, m->guest, m->controls),
                         root_under(m, m->guest, m->controls ^ GN_PAGING_X86_NXE));
    else
        assert_int_equal(root_under(m, m->guest, m->controls),
                         root_under(m, m->guest, m->controls ^ GN_PAGING_X86_PSE));
}

static void roots_are_parted_by_the_controls_of_their_own_format_alone(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, controls_situation);
    in_every_shadow(GN_PAGING_X86_PAE, controls_situation);
}

/* ---- Addresses ----------------------------------------------------------------------------------
 */

static void wide_situation(struct machine *m)
{
    uint64_t last = ((uint64_t)1 << 32) - GN_PAGE_SIZE;
    uint64_t beyond[] = {(uint64_t)1 << 32, ((uint64_t)1 << 32) + GVA, 0 - (uint64_t)GN_PAGE_SIZE,
                         ((uint64_t)1 << 38) + GVA};
    uint32_t root;

    m->markers = 1;
    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    guest_map(m, ROOT, 0, PAGE, 0, USER | AD);
    guest_map(m, ROOT, last, PAGE + 4096, 0, USER | AD);
    root = root_get(m, ROOT);
    assert_int_equal(access_at(m, root, last + 5, USERS).gpa, PAGE + 4096 + 5);
    assert_int_equal(outcome(m, root, 0, USERS), COMPLETED);
    assert_int_equal(outcome(m, root, GVA, USERS), COMPLETED);
    for (uint32_t i = 0; i < 4; i++) {
        struct result r = access_at(m, root, beyond[i], USERS);

        assert_int_equal(r.outcome, GN_SHADOW_GUEST_FAULT);
        assert_int_equal(r.answer.fault, GN_PAGING_FAULT_NONCANONICAL);
        assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(ROOT), GN_PAGE_SIZE), 0);
        assert_int_equal(mapped(m, root, beyond[i], NULL), 0);
        assert_int_equal(marker_at(m, root, beyond[i]), 0);
    }
}

static void inv3_there_is_nothing_at_4_gib_and_above(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, wide_situation);
    in_every_shadow(GN_PAGING_X86_PAE, wide_situation);
}

/* ---- More roles than can be counted -------------------------------------------------------------
 */

static void inv5_a_page_of_uncountably_many_tables_is_a_table_to_the_end(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, GN_SHADOW_POLICY_TRAP);
    uint16_t *count = &m->sh->slots[0].traced[ROOT >> GN_PAGE_SHIFT];
    struct gn_shadow_root_key key;
    uint32_t id[3];

    (void)state;
    machine_guest(m, GN_PAGING_X86_PAE);
    key = root_key(m, ROOT);
    assert_int_equal(root_try(m, key, &id[0]), 0);
    assert_int_equal(*count, 1);
    *count = GN_SHADOW__TABLES_OF - 1;
    for (uint32_t i = 1; i < 3; i++) {
        key.table = gn_gpa(ROOT + 32 * i);
        assert_int_equal(root_try(m, key, &id[i]), 0);
        assert_int_equal(*count, GN_SHADOW__TABLES_OF);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(ROOT)), 1);
        assert_int_equal(gn_shadow_root_put(m->sh, id[i]), 0);
        assert_int_equal(gn_shadow_flush(m->sh, GN_SHADOW_ROOT_ANY), 0);
        assert_int_equal(*count, 2 - i);
    }
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv8_a_4_mib_page_is_two_leaves_that_change_together),
        cmocka_unit_test(inv8_both_halves_of_a_4_mib_page_stay_while_its_entry_does),
        cmocka_unit_test(inv8_a_flush_of_any_part_of_a_4_mib_page_drops_all_of_it),
        cmocka_unit_test(inv8_each_half_of_a_4_mib_page_is_as_large_as_its_slot_allows),
        cmocka_unit_test(a_4_mib_page_above_4_gib_is_found_by_pse_36),
        cmocka_unit_test(inv13_an_8_byte_entry_may_be_written_in_two_halves),
        cmocka_unit_test(inv13_two_4_byte_entries_share_a_word_and_no_fate),
        cmocka_unit_test(inv7_a_page_is_read_by_each_format_in_its_own_way),
        cmocka_unit_test(inv7_pse_decides_what_an_entry_is_and_parts_the_roots),
        cmocka_unit_test(roots_are_parted_by_the_controls_of_their_own_format_alone),
        cmocka_unit_test(inv3_there_is_nothing_at_4_gib_and_above),
        cmocka_unit_test(inv5_a_page_of_uncountably_many_tables_is_a_table_to_the_end),
    };

    return cmocka_run_group_tests_name("shadow_legacy", tests, NULL, NULL);
}
