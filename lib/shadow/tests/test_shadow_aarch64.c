/* SPDX-License-Identifier: BSD-3-Clause */

/* Guests of AArch64: two roots, and permissions of their own. tests/access has all of those. */

#include "situations.h"

#define EXEC GN_ACCESS_EXEC
#define EL0  USERS
#define HIGH (0 - ((uint64_t)1 << 30))
#define DATA (GN_PAGING_R | GN_PAGING_W | AD)

/* TTBR0 is at ROOT, TTBR1 at another table. */
static uint32_t root_of(struct machine *m, uint64_t high)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    uint32_t id;

    key.table_high = gn_gpa(high);
    assert_int_equal(root_try(m, key, &id), 0);
    return id;
}

static uint64_t map(struct machine *m, uint64_t root, uint64_t gva, uint64_t gpa, uint32_t p)
{
    uint64_t entry = guest_entry(m, root, gva, 0);

    guest_write(m, entry, leaf_value(m, 0, gpa, p));
    return entry;
}

static void roots_situation(struct machine *m)
{
    uint64_t low = map(m, ROOT, GVA, PAGE, DATA | GN_PAGING_U);
    uint64_t high = map(m, ROOT2, HIGH, PAGE + 4096, DATA);
    uint32_t one;
    uint32_t two;

    map(m, ROOT3, HIGH, PAGE + 8192, DATA);
    one = root_of(m, ROOT2);
    two = root_of(m, ROOT3);
    assert_int_not_equal(one, two);
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(access_at(m, one, GVA, WRITE | EL0).gpa, PAGE);
        assert_int_equal(access_at(m, one, HIGH, WRITE).gpa, PAGE + 4096);
        assert_int_equal(access_at(m, two, GVA, READ | EL0).gpa, PAGE);
        assert_int_equal(access_at(m, two, HIGH, READ).gpa, PAGE + 8192);
        assert_int_equal(outcome(m, one, HIGH, READ | EL0), GN_SHADOW_GUEST_FAULT);
        coherence_check(m);
    }
    device_store(m, high, 0);
    assert_int_equal(outcome(m, one, HIGH, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, two, HIGH, READ), COMPLETED);
    device_store(m, low, leaf_value(m, 0, PAGE + 0x3000, DATA | GN_PAGING_U));
    assert_int_equal(access_at(m, one, GVA, READ | EL0).gpa, PAGE + 0x3000);
    assert_int_equal(access_at(m, two, GVA, READ | EL0).gpa, PAGE + 0x3000);
    /* The topmost tables are followed as well. */
    device_store(m, guest_entry(m, ROOT3, HIGH, 3), 0);
    assert_int_equal(outcome(m, two, HIGH, READ), GN_SHADOW_GUEST_FAULT);
    device_store(m, guest_entry(m, ROOT, GVA, 3), 0);
    assert_int_equal(outcome(m, one, GVA, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv2_each_of_two_roots_has_its_half(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_AARCH64_4K, roots_situation);
}

static void pan_situation(struct machine *m)
{
    uint32_t root;

    map(m, ROOT, GVA, PAGE, DATA | GN_PAGING_U | GN_PAGING_UX);
    map(m, ROOT, GVA + 4096, PAGE, DATA | GN_PAGING_X);
    root = root_of(m, ROOT2);
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
        m->controls |= GN_PAGING_AARCH64_PAN;
        assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, root, GVA, READ | EL0), COMPLETED);
        assert_int_equal(outcome(m, root, GVA + 4096, WRITE), COMPLETED);
        m->controls &= ~GN_PAGING_AARCH64_PAN;
        assert_int_equal(outcome(m, root, GVA, EXEC | EL0), COMPLETED);
        assert_int_equal(outcome(m, root, GVA, EXEC), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, root, GVA + 4096, EXEC), COMPLETED);
        assert_int_equal(outcome(m, root, GVA + 4096, EXEC | EL0), GN_SHADOW_GUEST_FAULT);
    }
}

static void inv7_pan_changes_without_a_word_and_holds(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_AARCH64_4K, pan_situation);
}

static void views_situation(struct machine *m)
{
    uint32_t by_hand = is_x86(m->format) ? GN_SHADOW_EMULATE : COMPLETED;
    uint32_t root;

    /* EL0 may run what only EL1 may read; EL1 may run what EL0 may read and nobody write. */
    map(m, ROOT, GVA, PAGE, GN_PAGING_R | GN_PAGING_UX | GN_PAGING_A);
    map(m, ROOT, GVA + 4096, PAGE, GN_PAGING_R | GN_PAGING_U | GN_PAGING_X | GN_PAGING_A);
    root = root_of(m, ROOT2);
    m->controls |= GN_PAGING_AARCH64_PAN;
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(outcome(m, root, GVA, EXEC | EL0), by_hand);
        assert_int_equal(outcome(m, root, GVA, READ | EL0), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
        assert_int_equal(outcome(m, root, GVA + 4096, EXEC), by_hand);
        assert_int_equal(outcome(m, root, GVA + 4096, READ), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, root, GVA + 4096, READ | EL0), COMPLETED);
        tlb_is_within_the_guest(m);
    }
}

static void inv7_a_page_is_run_by_those_whose_data_it_is_not(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_AARCH64_4K, views_situation);
}

/* ---- D that a walk sets: AP[2], which is all that others know of it ----------------------------
 */

/* The roots over one table under TCR_EL1.HD and without, where a clean page is a read-only one. */
struct two {
    uint32_t hd;
    uint32_t plain;
};

static struct two two_of(struct machine *m, uint32_t more)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    struct two two;

    key.controls |= more;
    assert_int_equal(root_try(m, key, &two.hd), 0);
    key.controls &= ~GN_PAGING_AARCH64_HD;
    assert_int_equal(root_try(m, key, &two.plain), 0);
    return two;
}

/* Maps a page or a block that the first write makes dirty. */
static void map_clean(struct machine *m, uint64_t gva, uint64_t gpa, uint32_t level, uint32_t p)
{
    struct gn_paging_entry e = {.kind = GN_PAGING_ENTRY_LEAF,
                                .permissions = p | GN_PAGING_R | GN_PAGING_W | GN_PAGING_A,
                                .address = gpa,
                                .attributes = GN_PAGING_AARCH64_DBM};
    uint64_t value = 0;

    assert_int_equal(gn_paging_entry_encode(m->guest, level, &e, &value), 0);
    guest_write(m, guest_entry(m, ROOT, gva, level), value);
}

static void touched_situation(struct machine *m)
{
    uint64_t pages[] = {GVA, GVA + 4096, FAR + 0x5000, FAR + ((uint64_t)2 << 20) + 0x5000};
    uint32_t level;
    struct two two;

    map_clean(m, pages[0], PAGE, 0, GN_PAGING_X);
    map_clean(m, pages[1], PAGE + 4096, 0, GN_PAGING_X | GN_PAGING_U);
    /* Blocks, one of them in pieces: the first page of its memory is a table's. */
    map_clean(m, pages[2], (uint64_t)2 << 20, 1, GN_PAGING_X);
    map_clean(m, pages[3], 0, 1, GN_PAGING_X);
    two = two_of(m, GN_PAGING_AARCH64_WXN);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t runs = is_x86(m->format) && i == 1 ? GN_SHADOW_EMULATE : COMPLETED;

        assert_int_equal(outcome(m, two.plain, pages[i], WRITE), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, two.plain, pages[i], EXEC), runs);
        assert_int_equal(outcome(m, two.hd, pages[i], EXEC), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, two.plain, pages[i], EXEC), runs);
        assert_int_equal(outcome(m, two.hd, pages[i], WRITE), COMPLETED);
        /* No coherence point is needed: there is no guest to know of one. */
        assert_int_equal(audit(m), 0);
        tlb_is_within_the_guest(m);
        assert_int_equal(outcome(m, two.plain, pages[i], EXEC), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, two.plain, pages[i], WRITE), COMPLETED);
    }
    assert_int_not_equal(mapped(m, two.plain, pages[3], &level), 0);
    assert_int_equal(level, 0);
}

static void inv1_a_page_that_a_walk_makes_dirty_is_writable_where_d_is_unknown(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_AARCH64_4K, touched_situation);
}

/* With locks a fault that shares the shadow comes to such a write. */
static void inv1_nor_does_a_walk_that_shares_the_shadow_keep_it_a_secret(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < FORMATS; f++) {
        struct gn_shadow_params params = machine_params(formats[f], GN_SHADOW_POLICY_TRAP, 64);
        struct machine *m;

        params.ops = &machine_locks_ops;
        m = machine_new_params(params);
        machine_guest(m, GN_PAGING_AARCH64_4K);
        touched_situation(m);
        coherence_check(m);
        machine_free(m);
    }
}

static void touched_device_situation(struct machine *m)
{
    uint32_t both = GN_PAGING_R | GN_PAGING_W;
    struct two two;

    m->markers = 1;
    slot_add(m, GN_SHADOW_SLOT_MMIO, MMIO, 0x10000, 0);
    map_clean(m, GVA, MMIO, 0, 0);
    two = two_of(m, 0);
    assert_int_equal(access_at(m, two.plain, GVA, READ).answer.permissions & both, GN_PAGING_R);
    assert_int_equal(outcome(m, two.hd, GVA, WRITE), GN_SHADOW_MMIO);
    assert_int_equal(marker_at(m, two.plain, GVA), 0);
    assert_int_equal(access_at(m, two.plain, GVA, READ).answer.permissions & both, both);
    assert_int_equal(outcome(m, two.plain, GVA, WRITE), GN_SHADOW_MMIO);
}

static void inv6_a_device_page_made_dirty_is_not_remembered_as_read_only(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_AARCH64_4K, touched_device_situation);
}

/* ---- Roots -------------------------------------------------------------------------------------
 */

/* One table as both roots, and a half that is not walked. */
static void same_situation(struct machine *m)
{
    uint64_t upper = HIGH & (((uint64_t)1 << 48) - 1);
    uint32_t both;
    uint32_t low;
    uint32_t high;

    m->markers = 1;
    map(m, ROOT, GVA, PAGE, DATA);
    map(m, ROOT, HIGH, PAGE + 4096, DATA);
    both = root_of(m, ROOT);
    m->controls |= GN_PAGING_AARCH64_EPD1;
    low = root_of(m, ROOT);
    m->controls ^= GN_PAGING_AARCH64_EPD1 | GN_PAGING_AARCH64_EPD0;
    high = root_of(m, ROOT);
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(access_at(m, both, HIGH, WRITE).gpa, PAGE + 4096);
        assert_int_equal(access_at(m, both, GVA - ((uint64_t)1 << 48), WRITE).gpa, PAGE);
        assert_int_equal(access_at(m, low, GVA, WRITE).gpa, PAGE);
        assert_int_equal(access_at(m, high, HIGH, WRITE).gpa, PAGE + 4096);
        assert_int_equal(access_at(m, both, GVA, WRITE).gpa, PAGE);
        assert_int_equal(access_at(m, both, upper, READ).gpa, PAGE + 4096);
        assert_int_equal(outcome(m, low, HIGH, READ), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, high, GVA, READ), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, high, 0, READ), GN_SHADOW_GUEST_FAULT);
        coherence_check(m);
    }
    m->controls &= ~GN_PAGING_AARCH64_EPD0;
}

static void inv7_one_table_may_be_both_roots_and_a_half_may_not_be_walked(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_AARCH64_4K, same_situation);
}

/* What EL1 runs and EL0 reads comes to be EL0's to write. */
static void writable_situation(struct machine *m)
{
    uint32_t p = GN_PAGING_R | GN_PAGING_U | GN_PAGING_X | GN_PAGING_A;
    uint64_t entry = map(m, ROOT, GVA, PAGE, p);
    uint32_t root = root_of(m, ROOT2);

    assert_int_equal(outcome(m, root, GVA, EXEC),
                     is_x86(m->format) ? GN_SHADOW_EMULATE : COMPLETED);
    device_store(m, entry, leaf_value(m, 0, PAGE, p | GN_PAGING_W | GN_PAGING_D));
    assert_int_equal(outcome(m, root, GVA, EXEC), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, GVA, WRITE | EL0), COMPLETED);
}

static void inv1_el1_runs_nothing_that_el0_may_write(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_AARCH64_4K, writable_situation);
}

/* No MMU is asked for an address with a tag: the embedder strips it, or performs the access. */
static void tags_situation(struct machine *m)
{
    uint64_t tagged = GVA | (uint64_t)0xab << 56;
    uint32_t root;

    map(m, ROOT, GVA, PAGE, DATA | GN_PAGING_U);
    root = root_of(m, ROOT2);
    assert_int_equal(outcome(m, root, tagged, READ), GN_SHADOW_GUEST_FAULT);
    m->controls |= GN_PAGING_AARCH64_TBI0;
    assert_int_equal(root_of(m, ROOT2), root);
    assert_int_equal(outcome(m, root, tagged, READ), GN_SHADOW_EMULATE);
    assert_int_equal(access_at(m, root, tagged + 5, WRITE).gpa, PAGE + 5);
    assert_int_equal(outcome(m, root, tagged | HIGH, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv3_an_address_with_a_tag_is_answered_by_hand(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_AARCH64_4K, tags_situation);
}

static void epan_situation(struct machine *m)
{
    uint32_t data = is_x86(m->format) ? GN_SHADOW_EMULATE : COMPLETED;
    uint32_t root;

    /* EL0 may run it and not read it: under EPAN, PAN closes its data to EL1. */
    m->controls |= GN_PAGING_AARCH64_EPAN;
    map(m, ROOT, GVA, PAGE, DATA | GN_PAGING_UX);
    root = root_of(m, ROOT2);
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_EMULATE);
        assert_int_equal(outcome(m, root, GVA, EXEC | EL0), data);
        assert_int_equal(outcome(m, root, GVA, READ | EL0), GN_SHADOW_GUEST_FAULT);
        m->controls |= GN_PAGING_AARCH64_PAN;
        assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, root, GVA, WRITE), GN_SHADOW_GUEST_FAULT);
        m->controls &= ~GN_PAGING_AARCH64_PAN;
    }
}

/* A device there: a marker would know nothing of PAN. */
static void epan_device_situation(struct machine *m)
{
    uint32_t root;

    slot_add(m, GN_SHADOW_SLOT_MMIO, MMIO, 0x4000, 0);
    m->markers = 1;
    m->controls |= GN_PAGING_AARCH64_EPAN;
    map(m, ROOT, GVA, MMIO, DATA | GN_PAGING_UX);
    map(m, ROOT, GVA + 4096, MMIO, DATA);
    root = root_of(m, ROOT2);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_MMIO);
    assert_int_equal(marker_at(m, root, GVA), 0);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), GN_SHADOW_MMIO);
    assert_int_not_equal(marker_at(m, root, GVA + 4096), 0);
}

static void inv6_no_marker_stands_for_a_device_that_epan_may_close(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_AARCH64_4K, epan_device_situation);
}

static void inv7_what_el0_may_only_run_is_closed_to_el1_by_epan(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_AARCH64_4K, epan_situation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv2_each_of_two_roots_has_its_half),
        cmocka_unit_test(inv7_pan_changes_without_a_word_and_holds),
        cmocka_unit_test(inv6_no_marker_stands_for_a_device_that_epan_may_close),
        cmocka_unit_test(inv7_a_page_is_run_by_those_whose_data_it_is_not),
        cmocka_unit_test(inv1_el1_runs_nothing_that_el0_may_write),
        cmocka_unit_test(inv3_an_address_with_a_tag_is_answered_by_hand),
        cmocka_unit_test(inv7_what_el0_may_only_run_is_closed_to_el1_by_epan),
        cmocka_unit_test(inv1_a_page_that_a_walk_makes_dirty_is_writable_where_d_is_unknown),
        cmocka_unit_test(inv1_nor_does_a_walk_that_shares_the_shadow_keep_it_a_secret),
        cmocka_unit_test(inv6_a_device_page_made_dirty_is_not_remembered_as_read_only),
        cmocka_unit_test(inv7_one_table_may_be_both_roots_and_a_half_may_not_be_walked),
    };

    return cmocka_run_group_tests_name("shadow_aarch64", tests, NULL, NULL);
}
