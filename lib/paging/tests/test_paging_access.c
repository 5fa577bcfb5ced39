/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Every combination of leaf bits, bits of one upper entry, controls, privilege and access kind,
 * for x86 with 4 and 5 levels and for RISC-V, against the naive machines: outcome, code, address,
 * permissions, and the A and D bits left in the tables.
 *
 * The one pruning: where the upper entry already ends the walk, the leaf takes few values.
 */

#include "twin.h"

#define X86_ALL   (1ull << 63 | 0x67ull)   /* NX, D, A, U/S, R/W, P */
#define X86_NAMED (X86_ALL & ~(uint64_t)1) /* without P */
#define X86_RSVD  (1ull << 40)             /* with MAXPHYADDR 40 */
#define X86_KEY1  (1ull << 59)
#define ADDRESS   0x0000000812345678ull

static int five_levels; /* CR4.LA57 */

/* All of CR0.WP, EFER.NXE, CR4.SMEP, SMAP, RFLAGS.AC; PKE with all rights of key 1; Page1GB. */
static void x86_controls(uint32_t leaf, uint32_t upper)
{
    struct naive_x86 *x = &twin.trial.x86;

    for (unsigned bits = 0; bits < 32; bits++)
        for (unsigned rights = 0; rights < 5; rights++) {
            x->cr0 = bits & 1 ? 1ull << 16 : 0;
            x->efer = bits & 2 ? 1ull << 11 : 0;
            x->cr4 = (bits & 4 ? 1ull << 20 : 0) | (bits & 8 ? 1ull << 21 : 0) |
                     (rights < 4 ? 1ull << 22 : 0) | (five_levels ? 1u << 12 : 0);
            x->rflags = bits & 16 ? 1ull << 18 : 0;
            x->pkru = (rights & 3) << 2;
            x->page1gb = 1;
            twin_x86_accesses(leaf == 0 && upper == 1 && rights > 2);
            if (rights == 4 && (leaf == 2 || upper == 2)) {
                x->page1gb = 0;
                twin_x86_accesses(0);
            }
        }
}

/* Value number n of a leaf: its named bits, key 1, and the odd ones. */
static int x86_leaf(int n, uint32_t level, uint64_t *ret_value)
{
    static const uint64_t bit[] = {1ull << 1, 1ull << 2,  1ull << 5,
                                   1ull << 6, 1ull << 63, X86_KEY1};
    static const uint64_t odd[] = {0, X86_NAMED, X86_RSVD | 1, X86_RSVD | X86_ALL};
    uint64_t value = 0x40000000 | 1;

    if (n >= 64 + 4)
        return 0;
    for (int i = 0; i < 6; i++)
        value |= n >> i & 1 ? bit[i] : 0;
    if (n >= 64)
        value = odd[n - 64];
    *ret_value = value | (level ? 1u << 7 : 0);
    return 1;
}

/* Value number n of an upper entry: R/W, U/S, A, NX, PS, and the odd ones. */
static int x86_upper(int n, uint32_t level, uint64_t *ret_value)
{
    static const uint64_t bit[] = {1ull << 1, 1ull << 2, 1ull << 5, 1ull << 63, 1ull << 7};
    static const uint64_t odd[] = {0,
                                   X86_NAMED,
                                   X86_RSVD | 1,
                                   X86_RSVD | X86_ALL,
                                   X86_ALL | 1ull << 7 | 1ull << 13,
                                   1ull << 6 | 1ull << 7 | 7};
    uint64_t value = 1;

    if (n >= 32 + 6)
        return 0;
    for (int i = 0; i < 5; i++)
        value |= n >> i & 1 ? bit[i] : 0;
    if (n >= 32)
        value = odd[n - 32];
    else if (n < 16)
        value |= (uint64_t)level << 12; /* the table below; PS maps page 0 instead */
    *ret_value = value;
    return 1;
}

static void x86_permute(uint32_t leaf, uint32_t upper)
{
    twin_init(five_levels ? GN_PAGING_X86_5LEVEL : GN_PAGING_X86_4LEVEL, 3u + five_levels, ADDRESS);
    for (uint32_t level = leaf + 1; level <= twin.top; level++)
        twin.entry[level] = (uint64_t)level << 12 | 7;
    for (int u = 0; x86_upper(u, upper, &twin.entry[upper]); u++)
        for (int l = 0; x86_leaf(l, leaf, &twin.entry[leaf]); l++)
            if (u < 16 || l == 7 || l == 64)
                x86_controls(leaf, upper);
    twin_tell(leaf, upper);
}

static void x86_accesses_agree_with_the_manual_for_4k_pages(void **state)
{
    (void)state;
    x86_permute(0, 1);
    x86_permute(0, 2);
    x86_permute(0, 3);
}

static void x86_accesses_agree_with_the_manual_for_2m_pages(void **state)
{
    (void)state;
    x86_permute(1, 2);
    x86_permute(1, 3);
}

static void x86_accesses_agree_with_the_manual_for_1g_pages(void **state)
{
    (void)state;
    x86_permute(2, 3);
}

/* SUM, MXR, A and D, mode, probe; and, where bits above the page number are there to be judged,
 * Svpbmt and Svnapot. */
static void riscv_controls(int extensions)
{
    struct naive_riscv *v = &twin.trial.riscv;

    for (int bits = 0; bits < (extensions ? 128 : 32); bits++)
        for (int op = 0; op < 3; op++) {
            v->sum = bits & 1;
            v->mxr = bits >> 1 & 1;
            v->hardware_ad = bits >> 2 & 1;
            v->mode = bits >> 3 & 1 ? 'u' : 's';
            v->probe = bits >> 4 & 1;
            v->pbmte = bits >> 5 & 1;
            v->svnapot = bits >> 6 & 1;
            v->op = "rwx"[op];
            twin_try();
        }
}

/* All low bytes, alone and with bits that are reserved, misalign, are software's, or are those of
 * Svpbmt and Svnapot. */
static const uint64_t riscv_more[] = {0,
                                      1u << 10,
                                      3u << 8,
                                      1ull << 54,
                                      1ull << 60,
                                      1ull << 61,
                                      2ull << 61,
                                      3ull << 61,
                                      1ull << 63,
                                      1ull << 63 | 8u << 10,
                                      1ull << 63 | 9u << 10,
                                      1ull << 63 | 0x18u << 10,
                                      5ull << 61 | 8u << 10,
                                      7ull << 61 | 8u << 10};

#define RISCV_MORE   (sizeof riscv_more / sizeof riscv_more[0])
#define RISCV_VALUES ((int)RISCV_MORE * 256)

static uint64_t riscv_value(int n, uint64_t page)
{
    return page >> 2 | (unsigned)(n & 255) | riscv_more[n >> 8];
}

static int riscv_is_extended(int n)
{
    return riscv_more[n >> 8] >> 61 != 0;
}

static void riscv_permute(uint32_t format, uint32_t leaf)
{
    uint32_t top = format - GN_PAGING_SV39 + 2;

    twin_init(format, top, ADDRESS);
    for (uint32_t level = leaf + 1; level <= top; level++)
        twin.entry[level] = (uint64_t)level << 10 | 1;
    for (int n = 0; n < RISCV_VALUES; n++) {
        twin.entry[leaf] = riscv_value(n, 0x40000000);
        riscv_controls(riscv_is_extended(n));
    }
    /* And the entry above it, over some leaves; few where it ends the walk anyway. */
    for (int n = 0; leaf < top && n < 2 * RISCV_VALUES; n++)
        for (int l = 1; l < 256; l += riscv_is_extended(n % RISCV_VALUES) ? 2 * 63 : 2 * 11) {
            twin.entry[leaf] = riscv_value(l, 0x40000000);
            twin.entry[leaf + 1] =
                riscv_value(n % RISCV_VALUES, n < RISCV_VALUES ? (uint64_t)(leaf + 1) << 12 : 0);
            riscv_controls(riscv_is_extended(n % RISCV_VALUES));
        }
    twin_tell(leaf, leaf + 1);
}

static void sv39_accesses_agree_with_the_manual_for_4k_pages(void **state)
{
    (void)state;
    riscv_permute(GN_PAGING_SV39, 0);
}

static void sv39_accesses_agree_with_the_manual_for_2m_pages(void **state)
{
    (void)state;
    riscv_permute(GN_PAGING_SV39, 1);
}

static void sv39_accesses_agree_with_the_manual_for_1g_pages(void **state)
{
    (void)state;
    riscv_permute(GN_PAGING_SV39, 2);
}

static void sv48_accesses_agree_with_the_manual_at_every_level(void **state)
{
    (void)state;
    for (uint32_t leaf = 0; leaf < 4; leaf++)
        riscv_permute(GN_PAGING_SV48, leaf);
}

static void sv57_accesses_agree_with_the_manual_at_every_level(void **state)
{
    (void)state;
    for (uint32_t leaf = 0; leaf < 5; leaf++)
        riscv_permute(GN_PAGING_SV57, leaf);
}

static void x86_5level_accesses_agree_with_the_manual(void **state)
{
    (void)state;
    five_levels = 1;
    x86_permute(0, 4);
    x86_permute(1, 4);
    x86_permute(2, 4);
    five_levels = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x86_accesses_agree_with_the_manual_for_4k_pages),
        cmocka_unit_test(x86_accesses_agree_with_the_manual_for_2m_pages),
        cmocka_unit_test(x86_accesses_agree_with_the_manual_for_1g_pages),
        cmocka_unit_test(sv39_accesses_agree_with_the_manual_for_4k_pages),
        cmocka_unit_test(sv39_accesses_agree_with_the_manual_for_2m_pages),
        cmocka_unit_test(sv39_accesses_agree_with_the_manual_for_1g_pages),
        cmocka_unit_test(sv48_accesses_agree_with_the_manual_at_every_level),
        cmocka_unit_test(sv57_accesses_agree_with_the_manual_at_every_level),
        cmocka_unit_test(x86_5level_accesses_agree_with_the_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
