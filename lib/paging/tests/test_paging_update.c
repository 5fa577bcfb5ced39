/* SPDX-License-Identifier: BSD-3-Clause */

/* A and D: when they are set, by what, and what happens while the guest writes its tables. */

#include "path.h"

#define PAGE 0x0000000abcde7000ull
#define GVA  0x0000002fedcba985ull

/* WALK_RESTARTS restarts after the first try. */
#define TRIES 17

static void x86_sets_a_at_every_level_and_d_at_the_leaf_of_a_write(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t leaf = 0; leaf < 3; leaf++) {
        path_init(&p, GN_PAGING_X86_5LEVEL, GVA, leaf, 0x4000000000 | 7 | (leaf ? X86_PS : 0));
        p.context.controls = GN_PAGING_X86_1G;
        assert_int_equal(path_walk(&p, READ), 0);
        assert_int_equal(p.guest.swaps, 5 - leaf);
        for (uint32_t level = leaf; level < 5; level++)
            assert_int_equal(*path_entry(&p, level) & (X86_A | X86_D), X86_A);
        assert_int_equal(p.r.permissions & (GN_PAGING_A | GN_PAGING_D), GN_PAGING_A);
        assert_int_equal(path_walk(&p, EXEC), 0);
        assert_int_equal(p.guest.swaps, 0);
        assert_int_equal(path_walk(&p, WRITE), 0);
        assert_int_equal(p.guest.swaps, 1);
        for (uint32_t level = leaf; level < 5; level++)
            assert_int_equal(*path_entry(&p, level) & (X86_A | X86_D),
                             level == leaf ? X86_A | X86_D : X86_A);
        assert_int_equal(p.r.permissions & GN_PAGING_D, GN_PAGING_D);
    }
}

static void riscv_sets_a_and_d_at_the_leaf_alone(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t leaf = 0; leaf < 5; leaf++) {
        path_init(&p, GN_PAGING_SV57, GVA, leaf, RV_V | RV_RWX);
        p.context.controls = GN_PAGING_RISCV_ADUE;
        assert_int_equal(path_walk(&p, EXEC), 0);
        assert_int_equal(*path_entry(&p, leaf), RV_V | RV_RWX | RV_A);
        assert_int_equal(path_walk(&p, READ), 0);
        assert_int_equal(*path_entry(&p, leaf), RV_V | RV_RWX | RV_A);
        assert_int_equal(p.guest.swaps, 0);
        assert_int_equal(path_walk(&p, WRITE), 0);
        assert_int_equal(*path_entry(&p, leaf), RV_V | RV_RWX | RV_A | RV_D);
        assert_int_equal(p.guest.swaps, 1);
        for (uint32_t level = leaf + 1; level < 5; level++)
            assert_int_equal(*path_entry(&p, level) & 0xff, RV_V);
    }
}

static void svade_faults_where_hardware_would_have_set_a_or_d(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_SV39, GVA, 0, PAGE >> 2 | RV_V | RV_RWX);
    assert_page_faults(&p, READ, 13, AD, 0);
    assert_page_faults(&p, WRITE, 15, AD, 0);
    assert_page_faults(&p, EXEC, 12, AD, 0);
    *path_entry(&p, 0) |= RV_D; /* D without A */
    assert_page_faults(&p, WRITE, 15, AD, 0);
    *path_entry(&p, 0) ^= RV_D | RV_A;
    assert_translates(&p, READ, PAGE | 0x985);
    assert_translates(&p, EXEC, PAGE | 0x985);
    assert_page_faults(&p, WRITE, 15, AD, 0);
    *path_entry(&p, 0) |= RV_D;
    assert_translates(&p, WRITE, PAGE | 0x985);
    *path_entry(&p, 0) = PAGE >> 2 | RV_V | RV_R; /* permission comes before A and D */
    assert_page_faults(&p, WRITE, 15, PERMISSION, 0);
}

static void no_update_leaves_tables_alone_and_does_not_fault_for_them(void **state)
{
    static const uint32_t formats[] = {GN_PAGING_X86_4LEVEL, GN_PAGING_SV39};
    uint64_t leaves[] = {PAGE | 7, PAGE >> 2 | RV_V | RV_RWX};
    struct path p, before;

    (void)state;
    for (int i = 0; i < 2; i++)
        for (uint32_t adue = 0; adue <= GN_PAGING_RISCV_ADUE; adue += GN_PAGING_RISCV_ADUE) {
            path_init(&p, formats[i], GVA, 0, leaves[i]);
            p.context.controls = adue;
            before = p;
            assert_translates(&p, WRITE | GN_PAGING_NO_UPDATE, PAGE | 0x985);
            assert_int_equal(p.guest.swaps, 0);
            assert_int_equal(p.r.permissions & (GN_PAGING_A | GN_PAGING_D), 0);
            assert_memory_equal(p.words, before.words, sizeof p.words);
        }
}

static void a_faulting_access_sets_no_bit_anywhere(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_4LEVEL, GVA, 0, PAGE | X86_P);
    p.context.controls = GN_PAGING_X86_WP;
    assert_page_faults(&p, WRITE, 3, PERMISSION, 0);
    assert_page_faults(&p, READ | USER, 5, PERMISSION, 0);
    *path_entry(&p, 0) = 0;
    assert_page_faults(&p, READ, 0, ABSENT, 0);
    path_init(&p, GN_PAGING_SV39, GVA, 0, PAGE >> 2 | RV_V | RV_X);
    p.context.controls = GN_PAGING_RISCV_ADUE;
    assert_page_faults(&p, READ, 13, PERMISSION, 0);
    assert_int_equal(p.guest.swaps, 0);
}

static void tables_in_read_only_memory_are_left_alone(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_4LEVEL, GVA, 0, PAGE | 7);
    p.guest.odd_gpa = 1 << 12 | (GVA >> 12 & 511) << 3;
    p.guest.odd_swap = GUEST_IGNORES;
    assert_translates(&p, WRITE, PAGE | 0x985);
    assert_int_equal(*path_entry(&p, 0), PAGE | 7);
    assert_true(*path_entry(&p, 1) & X86_A);
    assert_int_equal(p.guest.swaps, 4);
}

static void a_swap_into_a_hole_is_an_access_fault_at_its_level(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_SV39, GVA, 0, PAGE >> 2 | RV_V | RV_RWX);
    p.context.controls = GN_PAGING_RISCV_ADUE;
    p.guest.odd_gpa = 1 << 12 | (GVA >> 12 & 511) << 3;
    p.guest.odd_swap = -GN_ERR_FAULT;
    assert_faults(&p, WRITE, GN_PAGING_FAULT_ACCESS, 7, MEMORY, 0);
    assert_faults(&p, READ, GN_PAGING_FAULT_ACCESS, 5, MEMORY, 0);
    assert_faults(&p, EXEC, GN_PAGING_FAULT_ACCESS, 1, MEMORY, 0);
}

static void what_an_op_fails_with_comes_back_and_the_result_is_untouched(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_SV39, GVA, 0, PAGE >> 2 | RV_V | RV_RWX);
    p.context.controls = GN_PAGING_RISCV_ADUE;
    p.guest.odd_gpa = 1 << 12 | (GVA >> 12 & 511) << 3;
    p.r.code = 77;
    p.guest.odd_swap = -GN_ERR_IO;
    assert_int_equal(path_walk(&p, READ), -GN_ERR_IO);
    p.guest.odd_load = -GN_ERR_BUSY;
    assert_int_equal(path_walk(&p, READ), -GN_ERR_BUSY);
    assert_int_equal(p.r.code, 77);
}

/* What a guest does to its tables while the walker is about to set a bit. */
static void race_soft_bit(struct guest *guest, uint64_t gpa)
{
    *guest_word(guest, gpa) ^= 1u << 9;
}

static void race_clear(struct guest *guest, uint64_t gpa)
{
    *guest_word(guest, gpa) = 0;
}

static void race_read_only(struct guest *guest, uint64_t gpa)
{
    *guest_word(guest, gpa) &= ~RV_W;
}

static void race_move(struct guest *guest, uint64_t gpa)
{
    *guest_word(guest, gpa) += 1u << 10;
}

static void an_entry_that_changes_now_and_then_delays_the_walk(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t n = 0; n < TRIES; n++) {
        path_init(&p, GN_PAGING_SV48, GVA, 0, PAGE >> 2 | RV_V | RV_RWX);
        p.context.controls = GN_PAGING_RISCV_ADUE;
        p.guest.race = race_soft_bit;
        p.guest.races = n;
        assert_translates(&p, WRITE, PAGE | 0x985);
        assert_int_equal(p.guest.loads, 4 * (n + 1));
        assert_int_equal(p.r.entries, 4 * (n + 1));
        assert_int_equal(*path_entry(&p, 0) & 0xff, RV_V | RV_RWX | RV_A | RV_D);
        assert_int_equal(p.r.step[0].value, *path_entry(&p, 0));
    }
}

static void an_entry_that_changes_for_ever_ends_in_eagain(void **state)
{
    static const uint32_t formats[] = {GN_PAGING_X86_5LEVEL, GN_PAGING_SV57};
    struct path p;

    (void)state;
    for (int i = 0; i < 2; i++) {
        path_init(&p, formats[i], GVA, 0, i ? PAGE >> 2 | RV_V | RV_RWX : PAGE | 7);
        p.context.controls = GN_PAGING_RISCV_ADUE;
        p.guest.race = race_soft_bit;
        p.guest.races = UINT32_MAX;
        p.r.code = 77;
        assert_int_equal(path_walk(&p, WRITE), -GN_ERR_AGAIN);
        assert_int_equal(p.guest.loads, 5 * TRIES);
        assert_int_equal(p.guest.swaps, TRIES);
        assert_int_equal(p.r.code, 77);
        p.guest.races = 0;
        assert_translates(&p, WRITE, PAGE | 0x985);
    }
}

static void an_entry_that_vanishes_under_the_walk_faults(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_SV39, GVA, 0, PAGE >> 2 | RV_V | RV_RWX);
    p.context.controls = GN_PAGING_RISCV_ADUE;
    p.guest.race = race_clear;
    p.guest.races = 1;
    assert_int_equal(path_walk(&p, WRITE), 0);
    assert_int_equal(p.r.outcome, GN_PAGING_FAULT_PAGE);
    assert_int_equal(p.r.code, 15);
    assert_int_equal(p.r.reason, GN_PAGING_REASON_ABSENT);
    assert_int_equal(p.r.permissions, 0); /* nothing of the first try is left */
    assert_int_equal(p.r.gpa.v, 0);
    assert_int_equal(*path_entry(&p, 0), 0);
    assert_int_equal(p.r.step[0].value, 0);
}

static void an_entry_that_loses_its_permission_under_the_walk_faults(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_SV39, GVA, 0, PAGE >> 2 | RV_V | RV_RWX);
    p.context.controls = GN_PAGING_RISCV_ADUE;
    p.guest.race = race_read_only;
    p.guest.races = 1;
    assert_int_equal(path_walk(&p, WRITE), 0);
    assert_int_equal(p.r.outcome, GN_PAGING_FAULT_PAGE);
    assert_int_equal(p.r.reason, GN_PAGING_REASON_PERMISSION);
    assert_int_equal(*path_entry(&p, 0), PAGE >> 2 | RV_V | RV_R | RV_X);
}

static void an_entry_that_moves_under_the_walk_translates_to_the_new_page(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_SV39, GVA, 0, PAGE >> 2 | RV_V | RV_RWX);
    p.context.controls = GN_PAGING_RISCV_ADUE;
    p.guest.race = race_move;
    p.guest.races = 1;
    assert_translates(&p, WRITE, PAGE + 0x1000 + 0x985);
}

static void an_x86_table_that_changes_under_the_walk_is_walked_again(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_4LEVEL, GVA, 0, PAGE | 7);
    p.guest.race = race_clear; /* the root's entry is the first that is swapped */
    p.guest.races = 1;
    assert_int_equal(path_walk(&p, READ), 0);
    assert_int_equal(p.r.outcome, GN_PAGING_FAULT_PAGE);
    assert_int_equal(p.r.code, 0);
    assert_int_equal(p.r.level, 3);
    for (uint32_t level = 0; level < 3; level++)
        assert_false(*path_entry(&p, level) & X86_A);
}

/* Counts loads of a memory that is garbage, or points to itself. */
static void walks_of_garbage_are_bounded(void **state)
{
    static const uint32_t formats[] = {GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL, GN_PAGING_SV39,
                                       GN_PAGING_SV48, GN_PAGING_SV57};
    uint64_t seed = guest_seed();
    static struct path p;

    (void)state;
    for (int n = 0; n < 100000; n++) {
        uint64_t inside = sizeof p.words - 1;
        uint32_t access;

        path_init(&p, formats[n % 5], (uint64_t)((int64_t)guest_random(&seed) >> (n % 32)), 0, 0);
        p.context.controls = (uint32_t)guest_random(&seed) & 0x77f;
        p.context.pkru = (uint32_t)guest_random(&seed);
        for (uint32_t level = 0; level < p.levels; level++) {
            uint64_t garbage = guest_random(&seed);

            if (n & 64) /* pointers into the tables themselves, present */
                garbage = path_is_x86(&p) ? (garbage & inside & ~0x80ull) | X86_P
                                          : ((garbage & inside) >> 12 << 10) | RV_V;
            for (uint32_t page = 0; page < 8; page++)
                p.words[page * 512 + (p.gva >> (12 + 9 * level) & 511)] = garbage;
        }
        access = (uint32_t)n % 3 | (n & 8 ? USER : 0);
        assert_int_equal(path_walk(&p, access | GN_PAGING_NO_UPDATE), 0);
        assert_true(p.guest.loads <= p.levels);
        /* An entry met at two levels changes under the walk by the walk's own hand: each such
         * restart has set one bit more. */
        assert_int_equal(path_walk(&p, access), 0);
        assert_true(p.guest.loads <= p.levels * (p.levels + 1));
        assert_int_equal(p.r.entries, p.guest.loads);
    }
}

static void a_table_that_is_its_own_child_is_walked_once_a_level(void **state)
{
    static struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_5LEVEL, 0, 4, 0);
    p.words[5 * 512] = 5 << 12 | 7;
    assert_translates(&p, WRITE | GN_PAGING_NO_UPDATE, 5 << 12);
    assert_int_equal(p.guest.loads, 5);
    /* One entry plays all parts: setting A in the root's changes the others', so once more. */
    assert_translates(&p, WRITE, 5 << 12);
    assert_int_equal(p.guest.loads, 10);
    assert_int_equal(p.words[5 * 512], 5 << 12 | 7 | X86_A | X86_D);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x86_sets_a_at_every_level_and_d_at_the_leaf_of_a_write),
        cmocka_unit_test(riscv_sets_a_and_d_at_the_leaf_alone),
        cmocka_unit_test(svade_faults_where_hardware_would_have_set_a_or_d),
        cmocka_unit_test(no_update_leaves_tables_alone_and_does_not_fault_for_them),
        cmocka_unit_test(a_faulting_access_sets_no_bit_anywhere),
        cmocka_unit_test(tables_in_read_only_memory_are_left_alone),
        cmocka_unit_test(a_swap_into_a_hole_is_an_access_fault_at_its_level),
        cmocka_unit_test(what_an_op_fails_with_comes_back_and_the_result_is_untouched),
        cmocka_unit_test(an_entry_that_changes_now_and_then_delays_the_walk),
        cmocka_unit_test(an_entry_that_changes_for_ever_ends_in_eagain),
        cmocka_unit_test(an_entry_that_vanishes_under_the_walk_faults),
        cmocka_unit_test(an_entry_that_loses_its_permission_under_the_walk_faults),
        cmocka_unit_test(an_entry_that_moves_under_the_walk_translates_to_the_new_page),
        cmocka_unit_test(an_x86_table_that_changes_under_the_walk_is_walked_again),
        cmocka_unit_test(walks_of_garbage_are_bounded),
        cmocka_unit_test(a_table_that_is_its_own_child_is_walked_once_a_level),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
