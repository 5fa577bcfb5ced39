/* SPDX-License-Identifier: BSD-3-Clause */

/* Every fault of a walk, one at a time, with the code that the manuals say. */

#include "path.h"

#define X86_GVA 0x00007fedcba98765ull
#define RV_GVA  0x0000002fedcba985ull
#define PAGE    0x0000000abcde7000ull
#define LEAF_4K (PAGE | X86_P | X86_RW | X86_US)

static const uint32_t riscv_formats[] = {GN_PAGING_SV39, GN_PAGING_SV48, GN_PAGING_SV57};

static void each_page_size_translates_with_its_offset(void **state)
{
    static const uint32_t x86[] = {GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL};
    struct path p;

    (void)state;
    for (int i = 0; i < 2; i++)
        for (uint32_t level = 0; level < 3; level++) {
            uint64_t offset = X86_GVA & ((1ull << (12 + 9 * level)) - 1);

            path_init(&p, x86[i], X86_GVA, level, 0x4000000000 | 7 | (level ? X86_PS : 0));
            p.context.controls = GN_PAGING_X86_1G;
            assert_translates(&p, READ, 0x4000000000 | offset);
            assert_int_equal(p.r.shift, 12 + 9 * level);
            assert_int_equal(p.r.level, level);
            assert_int_equal(p.r.top, p.levels - 1);
            assert_int_equal(p.r.entries, p.levels - level);
        }
    for (int i = 0; i < 3; i++)
        for (uint32_t level = 0; level < 3u + i; level++) {
            uint64_t offset = RV_GVA & ((1ull << (12 + 9 * level)) - 1);

            path_init(&p, riscv_formats[i], RV_GVA, level, 1ull << 53 | RV_V | RV_R | RV_A);
            assert_translates(&p, READ, 1ull << 55 | offset);
            assert_int_equal(p.r.shift, 12 + 9 * level);
            assert_int_equal(p.r.level, level);
            assert_int_equal(p.r.entries, p.levels - level);
        }
}

static void a_walk_tells_the_entries_that_it_passed(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_5LEVEL, X86_GVA, 1, 0x40000000 | 7 | X86_PS);
    assert_translates(&p, WRITE, 0x40000000 | (X86_GVA & 0x1fffff));
    for (uint32_t level = 1; level < 5; level++) {
        assert_int_equal(p.r.step[level].value, *path_entry(&p, level));
        assert_ptr_equal(guest_word(&p.guest, p.r.step[level].gpa.v), path_entry(&p, level));
        assert_true(p.r.step[level].value & X86_A);
    }
    assert_true(p.r.step[1].value & X86_D);
}

static void permissions_are_those_of_all_levels_together(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t spoiled = 0; spoiled < 4; spoiled++) {
        const uint32_t all = GN_PAGING_RWXU | GN_PAGING_A;

        path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K);
        p.context.controls = GN_PAGING_X86_NXE;
        assert_translates(&p, READ, PAGE | 0x765);
        assert_int_equal(p.r.permissions, all);
        *path_entry(&p, spoiled) ^= X86_RW;
        assert_translates(&p, READ, PAGE | 0x765);
        assert_int_equal(p.r.permissions, all & ~GN_PAGING_W);
        *path_entry(&p, spoiled) ^= X86_RW | X86_US;
        assert_translates(&p, READ, PAGE | 0x765);
        assert_int_equal(p.r.permissions, all & ~GN_PAGING_U);
        *path_entry(&p, spoiled) ^= X86_US | X86_NX;
        assert_translates(&p, READ, PAGE | 0x765);
        assert_int_equal(p.r.permissions, all & ~GN_PAGING_X);
    }
    /* RISC-V has no permissions in its tables. */
    path_init(&p, GN_PAGING_SV48, RV_GVA, 0, PAGE >> 2 | 0xff);
    assert_translates(&p, READ | USER, PAGE | 0x985);
    assert_int_equal(p.r.permissions, GN_PAGING_RWXU | GN_PAGING_G | GN_PAGING_A | GN_PAGING_D);
}

static void x86_absent_at_any_level_is_a_fault_without_p(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t level = 0; level < 5; level++) {
        path_init(&p, GN_PAGING_X86_5LEVEL, X86_GVA, 0, LEAF_4K);
        *path_entry(&p, level) &= ~X86_P;
        assert_page_faults(&p, READ, 0, ABSENT, level);
        assert_page_faults(&p, WRITE, 2, ABSENT, level);
        assert_page_faults(&p, READ | USER, 4, ABSENT, level);
        assert_page_faults(&p, WRITE | USER, 6, ABSENT, level);
        assert_page_faults(&p, EXEC | USER, 4, ABSENT, level);
        p.context.controls = GN_PAGING_X86_NXE;
        assert_page_faults(&p, EXEC | USER, 0x14, ABSENT, level);
        p.context.controls = GN_PAGING_X86_SMEP;
        assert_page_faults(&p, EXEC, 0x10, ABSENT, level);
        assert_int_equal(p.r.entries, 5 - level);
    }
}

static void x86_user_needs_us_at_every_level(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t level = 0; level < 4; level++) {
        path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K);
        assert_translates(&p, READ | USER, PAGE | 0x765);
        *path_entry(&p, level) &= ~X86_US;
        assert_page_faults(&p, READ | USER, 5, PERMISSION, 0);
        assert_page_faults(&p, WRITE | USER, 7, PERMISSION, 0);
        assert_page_faults(&p, EXEC | USER, 5, PERMISSION, 0);
        assert_translates(&p, READ, PAGE | 0x765);
    }
}

static void x86_wp_makes_the_supervisor_obey_rw(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t level = 0; level < 4; level++) {
        path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K);
        *path_entry(&p, level) &= ~X86_RW;
        assert_page_faults(&p, WRITE | USER, 7, PERMISSION, 0);
        p.context.controls = GN_PAGING_X86_WP;
        assert_page_faults(&p, WRITE | USER, 7, PERMISSION, 0);
        assert_page_faults(&p, WRITE, 3, PERMISSION, 0);
        p.context.controls = 0;
        assert_translates(&p, WRITE, PAGE | 0x765);
        assert_true(*path_entry(&p, 0) & X86_D);
    }
}

static void x86_nx_forbids_fetches_with_nxe_and_is_reserved_without(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t level = 0; level < 4; level++) {
        path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K);
        *path_entry(&p, level) |= X86_NX;
        p.context.controls = GN_PAGING_X86_NXE;
        assert_page_faults(&p, EXEC | USER, 0x15, PERMISSION, 0);
        assert_page_faults(&p, EXEC, 0x11, PERMISSION, 0);
        assert_translates(&p, READ, PAGE | 0x765);
        path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K);
        *path_entry(&p, level) |= X86_NX;
        assert_page_faults(&p, READ, 9, RESERVED, level);
        assert_page_faults(&p, WRITE | USER, 0xf, RESERVED, level);
        assert_page_faults(&p, EXEC | USER, 0xd, RESERVED, level);
    }
}

static void x86_smep_keeps_the_supervisor_from_fetching_user_pages(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K);
    p.context.controls = GN_PAGING_X86_SMEP;
    assert_page_faults(&p, EXEC, 0x11, PERMISSION, 0);
    assert_translates(&p, EXEC | USER, PAGE | 0x765);
    assert_translates(&p, READ, PAGE | 0x765);
    *path_entry(&p, 3) &= ~X86_US; /* one supervisor entry makes a supervisor page */
    assert_translates(&p, EXEC, PAGE | 0x765);
}

static void x86_smap_keeps_the_supervisor_from_user_data_but_for_ac(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K);
    p.context.controls = GN_PAGING_X86_SMAP;
    assert_page_faults(&p, READ, 1, PERMISSION, 0);
    assert_page_faults(&p, WRITE, 3, PERMISSION, 0);
    assert_page_faults(&p, READ | GN_PAGING_IMPLICIT, 1, PERMISSION, 0);
    assert_page_faults(&p, WRITE | USER | GN_PAGING_IMPLICIT, 3, PERMISSION, 0);
    assert_translates(&p, EXEC, PAGE | 0x765);
    assert_translates(&p, WRITE | USER, PAGE | 0x765);
    p.context.controls |= GN_PAGING_X86_AC;
    assert_translates(&p, READ, PAGE | 0x765);
    assert_translates(&p, WRITE, PAGE | 0x765);
    assert_page_faults(&p, READ | GN_PAGING_IMPLICIT, 1, PERMISSION, 0);
    *path_entry(&p, 2) &= ~X86_US;
    assert_translates(&p, READ | GN_PAGING_IMPLICIT, PAGE | 0x765);
    assert_translates(&p, READ | GN_PAGING_IMPLICIT | USER, PAGE | 0x765);
}

static void x86_keys_rule_data_accesses_to_user_pages(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t key = 0; key < 16; key++) {
        path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K | (uint64_t)key << X86_KEY);
        p.context.pkru = 1u << (2 * key); /* AD */
        assert_translates(&p, READ | USER, PAGE | 0x765);
        p.context.controls = GN_PAGING_X86_PKE;
        assert_page_faults(&p, READ | USER, 0x25, PERMISSION, 0);
        assert_page_faults(&p, READ, 0x21, PERMISSION, 0);
        assert_page_faults(&p, WRITE | USER, 0x27, PERMISSION, 0);
        assert_translates(&p, EXEC | USER, PAGE | 0x765);
        p.context.pkru = 2u << (2 * key); /* WD */
        assert_translates(&p, READ | USER, PAGE | 0x765);
        assert_page_faults(&p, WRITE | USER, 0x27, PERMISSION, 0);
        assert_translates(&p, WRITE, PAGE | 0x765);
        p.context.controls |= GN_PAGING_X86_WP;
        assert_page_faults(&p, WRITE, 0x23, PERMISSION, 0);
        p.context.pkru = ~(3u << (2 * key)); /* the other keys are not this page's */
        assert_translates(&p, WRITE | USER, PAGE | 0x765);
        p.context.pkru = UINT32_MAX;
        *path_entry(&p, 1) &= ~X86_US; /* keys do not rule supervisor pages */
        assert_translates(&p, WRITE, PAGE | 0x765);
    }
}

static void x86_a_denying_key_shows_beside_other_violations(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, PAGE | X86_P | X86_US);
    p.context.controls = GN_PAGING_X86_PKE | GN_PAGING_X86_WP;
    p.context.pkru = 3;
    assert_page_faults(&p, WRITE | USER, 0x27, PERMISSION, 0);
    assert_page_faults(&p, WRITE, 0x23, PERMISSION, 0);
    p.context.pkru = 0;
    assert_page_faults(&p, WRITE | USER, 7, PERMISSION, 0);
    p.context.pkru = 3;
    *path_entry(&p, 0) |= 1ull << 45;
    p.context.phys_bits = 40; /* but a reserved bit stops the walk before any key is looked at */
    assert_page_faults(&p, WRITE | USER, 0xf, RESERVED, 0);
}

static void x86_a_key_of_a_table_entry_means_nothing(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K);
    p.context.controls = GN_PAGING_X86_PKE;
    p.context.pkru = ~3u;
    for (uint32_t level = 1; level < 4; level++)
        *path_entry(&p, level) |= 5ull << X86_KEY;
    assert_translates(&p, WRITE | USER, PAGE | 0x765);
}

static void x86_reserved_bits_fault_at_their_level(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t level = 0; level < 5; level++) {
        path_init(&p, GN_PAGING_X86_5LEVEL, X86_GVA, 0, LEAF_4K);
        p.context.phys_bits = 40;
        assert_translates(&p, READ, PAGE | 0x765);
        *path_entry(&p, level) |= 1ull << 40;
        assert_page_faults(&p, READ, 9, RESERVED, level);
        assert_page_faults(&p, WRITE | USER, 0xf, RESERVED, level);
        *path_entry(&p, level) &= ~X86_P; /* an absent entry has no reserved bits */
        assert_page_faults(&p, READ, 0, ABSENT, level);
    }
    for (uint32_t level = 3; level < 5; level++) {
        path_init(&p, GN_PAGING_X86_5LEVEL, X86_GVA, 0, LEAF_4K);
        *path_entry(&p, level) |= X86_PS;
        assert_page_faults(&p, READ, 9, RESERVED, level);
    }
}

static void x86_a_reserved_bit_wins_over_a_permission_above_it(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K | 1ull << 51);
    p.context.phys_bits = 51;
    *path_entry(&p, 2) &= ~X86_US;
    assert_page_faults(&p, READ | USER, 0xd, RESERVED, 0);
}

static void x86_large_pages_exist_where_the_processor_says(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 2, 0x40000000 | 7 | X86_PS);
    assert_page_faults(&p, READ, 9, RESERVED, 2);
    p.context.controls = GN_PAGING_X86_1G;
    assert_translates(&p, READ, 0x40000000 | (X86_GVA & 0x3fffffff));
    *path_entry(&p, 2) |= 1u << 13;
    assert_page_faults(&p, READ, 9, RESERVED, 2);
    *path_entry(&p, 2) ^= 1u << 13 | 1u << 12; /* PAT */
    assert_translates(&p, READ, 0x40000000 | (X86_GVA & 0x3fffffff));
}

static void x86_noncanonical_addresses_are_no_page_faults(void **state)
{
    static const uint64_t bad[] = {0x0000800000000000, 0xffff7fffffffffff, 0x8000000000000000,
                                   0x7fffffffffffffff, 0x0001000000000000};
    struct path p;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        path_init(&p, GN_PAGING_X86_4LEVEL, bad[i], 0, LEAF_4K);
        assert_faults(&p, WRITE, GN_PAGING_FAULT_NONCANONICAL, 0, ADDRESS, 3);
        assert_int_equal(p.guest.loads, 0);
    }
    path_init(&p, GN_PAGING_X86_4LEVEL, 0xffff800000000000, 0, LEAF_4K);
    assert_translates(&p, WRITE, PAGE);
    path_init(&p, GN_PAGING_X86_5LEVEL, 0x0000800000000000, 0, LEAF_4K);
    assert_translates(&p, WRITE, PAGE);
    path_init(&p, GN_PAGING_X86_5LEVEL, 0xff00000000000000, 0, LEAF_4K);
    assert_translates(&p, WRITE, PAGE);
    path_init(&p, GN_PAGING_X86_5LEVEL, 0x0100000000000000, 0, LEAF_4K);
    assert_faults(&p, READ, GN_PAGING_FAULT_NONCANONICAL, 0, ADDRESS, 4);
}

static void x86_a_table_in_a_hole_is_an_access_fault(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t level = 1; level < 4; level++) {
        path_init(&p, GN_PAGING_X86_4LEVEL, X86_GVA, 0, LEAF_4K);
        *path_entry(&p, level) = 0x7ffff000 | 7;
        assert_faults(&p, WRITE | USER, GN_PAGING_FAULT_ACCESS, 0, MEMORY, level - 1);
    }
}

static void riscv_invalid_entries_fault_with_the_cause_of_the_access(void **state)
{
    /* Absent; W alone; W and X; N; PBMT; a reserved bit; a pointer with U, A or D. */
    static const uint64_t bad[] = {0,
                                   ~1ull,
                                   RV_V | RV_W,
                                   RV_V | RV_W | RV_X,
                                   1ull << 63 | 0xcf,
                                   1ull << 61 | 0xcf,
                                   1ull << 54 | 0xcf,
                                   RV_V | RV_U,
                                   RV_V | RV_A,
                                   RV_V | RV_D};
    struct path p;

    (void)state;
    for (int f = 0; f < 3; f++)
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
            for (uint32_t level = 0; level < 3u + f; level++) {
                path_init(&p, riscv_formats[f], RV_GVA, level, bad[i]);
                if (bad[i] & RV_V) {
                    assert_page_faults(&p, READ, 13, RESERVED, level);
                    assert_page_faults(&p, WRITE, 15, RESERVED, level);
                    assert_page_faults(&p, EXEC, 12, RESERVED, level);
                } else {
                    assert_page_faults(&p, READ, 13, ABSENT, level);
                    assert_page_faults(&p, WRITE, 15, ABSENT, level);
                    assert_page_faults(&p, EXEC, 12, ABSENT, level);
                }
            }
}

static void riscv_a_pointer_at_the_last_level_is_a_fault(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_SV39, RV_GVA, 0, 0x1000 >> 2 | RV_V);
    assert_page_faults(&p, READ, 13, RESERVED, 0);
    assert_int_equal(p.guest.loads, 3);
}

static void riscv_a_misaligned_superpage_is_a_fault(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t level = 1; level < 5; level++)
        for (uint32_t bit = 10; bit < 10 + 9 * level; bit++) {
            path_init(&p, GN_PAGING_SV57, RV_GVA, level, 1ull << bit | 0xcf);
            assert_page_faults(&p, EXEC, 12, RESERVED, level);
        }
}

static void riscv_permissions_are_r_w_and_x(void **state)
{
    /* For V|R.., what may be done; MXR aside. */
    static const struct {
        uint64_t bits;
        int r, w, x;
    } rows[] = {{RV_R, 1, 0, 0},
                {RV_R | RV_W, 1, 1, 0},
                {RV_X, 0, 0, 1},
                {RV_R | RV_X, 1, 0, 1},
                {RV_RWX, 1, 1, 1}};
    struct path p;

    (void)state;
    for (size_t i = 0; i < 5; i++)
        for (uint32_t user = 0; user <= USER; user += USER) {
            uint64_t leaf = PAGE >> 2 | RV_V | rows[i].bits | RV_A | RV_D | (user ? RV_U : 0);

            path_init(&p, GN_PAGING_SV39, RV_GVA, 0, leaf);
            if (rows[i].r)
                assert_translates(&p, READ | user, PAGE | 0x985);
            else
                assert_page_faults(&p, READ | user, 13, PERMISSION, 0);
            if (rows[i].w)
                assert_translates(&p, WRITE | user, PAGE | 0x985);
            else
                assert_page_faults(&p, WRITE | user, 15, PERMISSION, 0);
            if (rows[i].x)
                assert_translates(&p, EXEC | user, PAGE | 0x985);
            else
                assert_page_faults(&p, EXEC | user, 12, PERMISSION, 0);
        }
}

static void riscv_mxr_lets_loads_read_what_may_be_executed(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_SV39, RV_GVA, 0, PAGE >> 2 | RV_V | RV_X | RV_A | RV_D);
    assert_page_faults(&p, READ, 13, PERMISSION, 0);
    p.context.controls = GN_PAGING_RISCV_MXR;
    assert_translates(&p, READ, PAGE | 0x985);
    assert_page_faults(&p, WRITE, 15, PERMISSION, 0);
}

static void riscv_sum_opens_user_data_and_never_user_code(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, GN_PAGING_SV39, RV_GVA, 0, PAGE >> 2 | 0xff);
    assert_page_faults(&p, READ, 13, PERMISSION, 0);
    assert_page_faults(&p, WRITE, 15, PERMISSION, 0);
    assert_page_faults(&p, EXEC, 12, PERMISSION, 0);
    p.context.controls = GN_PAGING_RISCV_SUM;
    assert_translates(&p, READ, PAGE | 0x985);
    assert_translates(&p, WRITE, PAGE | 0x985);
    assert_page_faults(&p, EXEC, 12, PERMISSION, 0);
    assert_translates(&p, EXEC | USER, PAGE | 0x985);
    *path_entry(&p, 0) &= ~RV_U;
    assert_page_faults(&p, READ | USER, 13, PERMISSION, 0);
    assert_page_faults(&p, EXEC | USER, 12, PERMISSION, 0);
    assert_translates(&p, EXEC, PAGE | 0x985);
}

static void riscv_an_address_too_wide_is_a_page_fault(void **state)
{
    static const uint32_t bits[] = {39, 48, 57};
    struct path p;

    (void)state;
    for (int f = 0; f < 3; f++) {
        path_init(&p, riscv_formats[f], 1ull << (bits[f] - 1), 0, PAGE >> 2 | 0xff);
        assert_faults(&p, EXEC | USER, GN_PAGING_FAULT_PAGE, 12, ADDRESS, p.levels - 1);
        p.gva = 1ull << bits[f];
        assert_faults(&p, READ | USER, GN_PAGING_FAULT_PAGE, 13, ADDRESS, p.levels - 1);
        p.gva = ~(1ull << (bits[f] - 1));
        assert_faults(&p, WRITE | USER, GN_PAGING_FAULT_PAGE, 15, ADDRESS, p.levels - 1);
        assert_int_equal(p.guest.loads, 0);
        path_init(&p, riscv_formats[f], ~0ull << (bits[f] - 1), 0, PAGE >> 2 | 0xff);
        assert_translates(&p, WRITE | USER, PAGE);
    }
}

static void riscv_a_table_in_a_hole_is_an_access_fault(void **state)
{
    struct path p;

    (void)state;
    for (uint32_t level = 1; level < 3; level++) {
        path_init(&p, GN_PAGING_SV39, RV_GVA, 0, PAGE >> 2 | 0xff);
        *path_entry(&p, level) = 0x7ffff000 >> 2 | RV_V;
        assert_faults(&p, READ | USER, GN_PAGING_FAULT_ACCESS, 5, MEMORY, level - 1);
        assert_faults(&p, WRITE | USER, GN_PAGING_FAULT_ACCESS, 7, MEMORY, level - 1);
        assert_faults(&p, EXEC | USER, GN_PAGING_FAULT_ACCESS, 1, MEMORY, level - 1);
    }
    path_init(&p, GN_PAGING_SV39, RV_GVA, 0, PAGE >> 2 | 0xff);
    p.context.root = gn_gpa(0x7ffff000);
    assert_faults(&p, READ | USER, GN_PAGING_FAULT_ACCESS, 5, MEMORY, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_page_size_translates_with_its_offset),
        cmocka_unit_test(a_walk_tells_the_entries_that_it_passed),
        cmocka_unit_test(permissions_are_those_of_all_levels_together),
        cmocka_unit_test(x86_absent_at_any_level_is_a_fault_without_p),
        cmocka_unit_test(x86_user_needs_us_at_every_level),
        cmocka_unit_test(x86_wp_makes_the_supervisor_obey_rw),
        cmocka_unit_test(x86_nx_forbids_fetches_with_nxe_and_is_reserved_without),
        cmocka_unit_test(x86_smep_keeps_the_supervisor_from_fetching_user_pages),
        cmocka_unit_test(x86_smap_keeps_the_supervisor_from_user_data_but_for_ac),
        cmocka_unit_test(x86_keys_rule_data_accesses_to_user_pages),
        cmocka_unit_test(x86_a_denying_key_shows_beside_other_violations),
        cmocka_unit_test(x86_a_key_of_a_table_entry_means_nothing),
        cmocka_unit_test(x86_reserved_bits_fault_at_their_level),
        cmocka_unit_test(x86_a_reserved_bit_wins_over_a_permission_above_it),
        cmocka_unit_test(x86_large_pages_exist_where_the_processor_says),
        cmocka_unit_test(x86_noncanonical_addresses_are_no_page_faults),
        cmocka_unit_test(x86_a_table_in_a_hole_is_an_access_fault),
        cmocka_unit_test(riscv_invalid_entries_fault_with_the_cause_of_the_access),
        cmocka_unit_test(riscv_a_pointer_at_the_last_level_is_a_fault),
        cmocka_unit_test(riscv_a_misaligned_superpage_is_a_fault),
        cmocka_unit_test(riscv_permissions_are_r_w_and_x),
        cmocka_unit_test(riscv_mxr_lets_loads_read_what_may_be_executed),
        cmocka_unit_test(riscv_sum_opens_user_data_and_never_user_code),
        cmocka_unit_test(riscv_an_address_too_wide_is_a_page_fault),
        cmocka_unit_test(riscv_a_table_in_a_hole_is_an_access_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
