/* SPDX-License-Identifier: BSD-3-Clause */

/* Guests whose addresses are wider than the shadow's: what hangs on which guest table. */

#include "situations.h"

static void wider(void (*situation)(struct machine *m))
{
    for (uint32_t f = 0; f < GUESTS * FORMATS; f++) {
        for (uint32_t policy = 0; policy < POLICIES; policy++) {
            struct machine *m;

            if (pair(guests[f / FORMATS], formats[f % FORMATS]))
                continue;
            m = machine_new(formats[f % FORMATS], policy);
            machine_guest(m, guests[f / FORMATS]);
            situation(m);
            coherence_check(m);
            machine_free(m);
        }
    }
}

/* First address of the highest half that the MMU can be asked for. */
static uint64_t high(const struct machine *m)
{
    return 0 - ((uint64_t)1 << (m->shadow.va_bits - 1));
}

static void halves_situation(struct machine *m)
{
    uint32_t top = m->geometry.levels - 1;
    uint64_t last = 0 - (uint64_t)GN_PAGE_SIZE;
    uint64_t below = 0 - high(m) - GN_PAGE_SIZE;
    uint64_t lower = guest_entry(m, ROOT, 0, top);
    uint64_t upper = guest_entry(m, ROOT, last, top);
    uint64_t value;
    uint32_t root;

    m->markers = 1;
    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    guest_map(m, ROOT, below, PAGE + 0x1000, 0, USER | AD);
    guest_map(m, ROOT, high(m), PAGE + 0x2000, 0, USER | AD);
    guest_map(m, ROOT, last, PAGE + 0x3000, 0, USER | AD);
    root = root_get(m, ROOT);
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(access_at(m, root, GVA, USERS).gpa, PAGE);
        assert_int_equal(access_at(m, root, below, USERS).gpa, PAGE + 0x1000);
        assert_int_equal(access_at(m, root, high(m), USERS).gpa, PAGE + 0x2000);
        assert_int_equal(access_at(m, root, last, USERS).gpa, PAGE + 0x3000);
        assert_int_equal(access_at(m, root, last, USERS).answers, 0);
        coherence_check(m);
        /* An entry above all that the MMU knows: the half that hangs on it goes, the other stays.
         */
        value = guest_read(m, round ? upper : lower);
        device_store(m, round ? upper : lower, 0);
        tlb_is_within_the_spt(m);
        assert_int_equal(mapped(m, root, round ? last : GVA, NULL), 0);
        assert_int_not_equal(mapped(m, root, round ? GVA : last, NULL), 0);
        assert_int_equal(outcome(m, root, round ? high(m) : below, USERS), GN_SHADOW_GUEST_FAULT);
        device_store(m, round ? upper : lower, value);
    }
    /* And an entry of the table whose shadow the MMU walks a half of. */
    value = guest_entry(m, ROOT, last, m->shadow.levels - 1);
    assert_int_equal(outcome(m, root, last, USERS), COMPLETED);
    device_store(m, value, 0);
    assert_int_equal(outcome(m, root, last, USERS), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, high(m), USERS), COMPLETED);
}

static void inv2_each_half_hangs_on_a_guest_table_of_its_own(void **state)
{
    (void)state;
    wider(halves_situation);
}

/* One table for both halves; each is seen at its own place only. */
static void same_situation(struct machine *m)
{
    uint32_t top = m->geometry.levels - 1;
    uint64_t at = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint64_t mirror;
    uint32_t root;

    for (uint32_t level = top; level >= m->shadow.levels; level--) {
        uint64_t entry = guest_entry(m, ROOT, GVA, level);

        guest_write(m, (entry & ~GN_PAGE_MASK) + 511 * 8, guest_read(m, entry));
    }
    guest_map(m, ROOT, high(m), PAGE + 4096, 0, KERNEL | AD);
    mirror = guest_entry(m, ROOT, high(m), 0);
    root = root_get(m, ROOT);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE);
    assert_int_equal(access_at(m, root, high(m), READ).gpa, PAGE + 4096);
    device_store(m, at, leaf_value(m, 0, PAGE + 8192, KERNEL | AD));
    device_store(m, mirror, 0);
    assert_int_equal(access_at(m, root, GVA, READ).gpa, PAGE + 8192);
    assert_int_equal(outcome(m, root, high(m), READ), GN_SHADOW_GUEST_FAULT);
}

static void inv1_one_table_may_serve_both_halves(void **state)
{
    (void)state;
    wider(same_situation);
}

static void outside_situation(struct machine *m)
{
    uint64_t out[] = {0 - high(m) + GVA, high(m) - GN_PAGE_SIZE};
    uint64_t value = 5;
    uint32_t root;

    m->markers = 1;
    slot_add(m, GN_SHADOW_SLOT_MMIO, MMIO, 0x1000, 0);
    slot_add(m, GN_SHADOW_SLOT_ROM, 2 * MMIO, 0x1000, (uint64_t)8 << 30);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t entry = guest_map(m, ROOT, out[i], PAGE, 0, USER);
        struct result r;

        root = root_get(m, ROOT);
        r = access_at(m, root, out[i] + 5, WRITE | USERS);
        assert_int_equal(r.outcome, GN_SHADOW_EMULATE);
        assert_int_equal(r.gpa, PAGE + 5);
        assert_int_equal(guest_read(m, entry), leaf_value(m, 0, PAGE, USER | AD));
        m->controls |= GN_PAGING_RISCV_SUM;
        assert_int_equal(guest_store(m, root, out[i], &value, 8), GN_SHADOW_EMULATE);
        m->controls &= ~GN_PAGING_RISCV_SUM;
        assert_int_equal(*ram_word(m, PAGE), 5);
        /* What is no memory is no memory there, either; the guest's faults are its own. */
        device_store(m, entry, leaf_value(m, 0, MMIO, KERNEL | AD));
        assert_int_equal(outcome(m, root, out[i], READ), GN_SHADOW_MMIO);
        device_store(m, entry, leaf_value(m, 0, 2 * MMIO, KERNEL | AD));
        assert_int_equal(outcome(m, root, out[i], WRITE), GN_SHADOW_ROM_WRITE);
        device_store(m, entry, leaf_value(m, 0, 3 * MMIO, KERNEL | AD));
        assert_int_equal(outcome(m, root, out[i], READ), GN_SHADOW_HOLE);
        device_store(m, entry, 0);
        assert_int_equal(outcome(m, root, out[i], READ), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(access_at(m, root, out[i], READ).answer.fault, GN_PAGING_FAULT_PAGE);
        /* Where it would be if bits were cut off, there is nothing. */
        assert_int_equal(mapped(m, root, out[i] ^ high(m), NULL), 0);
    }
    assert_int_equal(stats(m).emulated, 4);
}

static void inv3_an_access_that_no_mmu_entry_can_be_for_is_answered_each_time(void **state)
{
    (void)state;
    wider(outside_situation);
}

/* A page so large that all the MMU's addresses of a half lie in it. */
static void huge_situation(struct machine *m)
{
    uint32_t level = m->geometry.levels - 1;
    uint64_t entry;
    uint32_t root;

    if (!(m->geometry.leaf_levels >> level & 1))
        return;
    entry = guest_map(m, ROOT, 0, 0, level, KERNEL | AD);
    guest_map(m, ROOT, high(m), PAGE, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    assert_int_equal(access_at(m, root, PAGE + 5, WRITE).gpa, PAGE + 5);
    assert_int_equal(access_at(m, root, 0x5000, READ).gpa, 0x5000);
    assert_int_equal(access_at(m, root, high(m), READ).gpa, PAGE);
    coherence_check(m);
    device_store(m, entry, leaf_value(m, level, 0, KERNEL | GN_PAGING_A));
    assert_int_equal(mapped(m, root, PAGE, NULL) & GN_PAGING_W, 0);
    device_store(m, entry, 0);
    assert_int_equal(outcome(m, root, PAGE, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, high(m), READ), COMPLETED);
}

static void inv8_a_page_larger_than_all_that_the_mmu_reaches_is_splintered(void **state)
{
    (void)state;
    wider(huge_situation);
}

static void shared_situation(struct machine *m)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint64_t top = guest_entry(m, ROOT, GVA, m->geometry.levels - 1);
    uint32_t root[3];

    root[0] = root_get(m, ROOT);
    key.tag = 1;
    assert_int_equal(root_try(m, key, &root[1]), 0);
    guest_write(m, ROOT2 + (top - ROOT), guest_read(m, top));
    root[2] = root_get(m, ROOT2);
    /* The MMU walks another table for each, and each follows. */
    assert_int_not_equal(m->root_hpa[root[0]], m->root_hpa[root[1]]);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(access_at(m, root[i], GVA, READ).gpa, PAGE);
    device_store(m, entry, leaf_value(m, 0, PAGE + 4096, KERNEL | AD));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(access_at(m, root[i], GVA, READ).gpa, PAGE + 4096);
    assert_int_equal(gn_shadow_root_put(m->sh, root[1]), 0);
    device_store(m, guest_entry(m, ROOT, GVA, m->shadow.levels - 1), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(mapped(m, root[i], GVA, NULL), 0);
    tlb_is_within_the_spt(m);
}

static void inv11_each_root_has_its_own_and_all_follow_the_tables_they_share(void **state)
{
    (void)state;
    wider(shared_situation);
}

static void inv12_a_root_for_which_no_frame_is_left_is_enomem(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, GN_SHADOW_POLICY_TRAP);
    uint32_t id;

    (void)state;
    machine_guest(m, GN_PAGING_SV57);
    m->frames_limit = 1;
    assert_int_equal(root_try(m, root_key(m, ROOT), &id), -GN_ERR_NOMEM);
    m->frames_limit = 2;
    assert_int_equal(root_try(m, root_key(m, ROOT), &id), 0);
    assert_int_equal(audit(m), 0);
    machine_free(m);
}

/* All frames are tables' below one root: another's is taken from them. */
static void inv12_a_root_takes_the_frame_of_a_table_where_none_is_left(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, GN_SHADOW_POLICY_TRAP);
    uint32_t root;

    (void)state;
    machine_guest(m, GN_PAGING_SV48);
    for (uint64_t i = 0; i < 32; i++)
        guest_map(m, ROOT, GVA + (i << 21), PAGE, 0, KERNEL | AD);
    guest_map(m, ROOT2, GVA, PAGE + 4096, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    for (uint64_t i = 0; i < 32; i++) {
        assert_int_equal(outcome(m, root, GVA + (i << 21), READ), COMPLETED);
        m->frames_limit = i < 16 ? FRAMES_MAX : m->frames_out;
    }
    assert_int_equal(m->frames_out, m->frames_limit);
    /* Until nothing is ready, neither a table nor its frame. */
    for (uint64_t i = 0; i < 4; i++) {
        (void)root_get(m, ROOT3 + i * GN_PAGE_SIZE);
        m->frames_limit = m->frames_out;
    }
    m->frames_limit += 8;
    assert_int_equal(access_at(m, root_get(m, ROOT2), GVA, READ).gpa, PAGE + 4096);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    coherence_check(m);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv2_each_half_hangs_on_a_guest_table_of_its_own),
        cmocka_unit_test(inv1_one_table_may_serve_both_halves),
        cmocka_unit_test(inv3_an_access_that_no_mmu_entry_can_be_for_is_answered_each_time),
        cmocka_unit_test(inv8_a_page_larger_than_all_that_the_mmu_reaches_is_splintered),
        cmocka_unit_test(inv11_each_root_has_its_own_and_all_follow_the_tables_they_share),
        cmocka_unit_test(inv12_a_root_for_which_no_frame_is_left_is_enomem),
        cmocka_unit_test(inv12_a_root_takes_the_frame_of_a_table_where_none_is_left),
    };

    return cmocka_run_group_tests_name("shadow_wide", tests, NULL, NULL);
}
