/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Every combination of leaf bits, bits of one upper entry, controls, privilege and access kind,
 * for x86 4-level and for Sv39, against the naive machines: outcome, code, address, permissions,
 * and the A and D bits left in the tables.
 *
 * The one pruning: where the upper entry already ends the walk, the leaf takes few values.
 */

#include "agree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define LEVELS    4
#define PAGES     6
#define X86_ALL   (1ull << 63 | 0x67ull)   /* NX, D, A, U/S, R/W, P */
#define X86_NAMED (X86_ALL & ~(uint64_t)1) /* without P */
#define X86_RSVD  (1ull << 40)             /* with MAXPHYADDR 40 */
#define X86_KEY1  (1ull << 59)
#define ADDRESS   0x0000000812345678ull

/* Twin memories, in which only the entries on the path of ADDRESS are used. */
struct twin {
    uint64_t ours[PAGES * 512], theirs[PAGES * 512];
    struct guest guest;
    struct naive_memory memory;
    uint64_t entry[LEVELS]; /* what a trial starts with, a level */
    uint32_t top;           /* level of the root */
    struct trial trial;
    uint64_t trials;
};

static struct twin twin;

static size_t slot(uint32_t level)
{
    return (level + 1) * 512 + (ADDRESS >> (12 + 9 * level) & 511);
}

static void twin_init(uint32_t format, uint32_t top)
{
    memset(&twin, 0, sizeof twin);
    twin.guest = (struct guest){.words = twin.ours, .bytes = sizeof twin.ours};
    twin.memory = (struct naive_memory){twin.theirs, sizeof twin.theirs};
    twin.top = top;
    twin.trial.format = format;
    twin.trial.address = ADDRESS;
    twin.trial.x86.cr3 = (uint64_t)(top + 1) << 12;
    twin.trial.x86.maxphyaddr = 40;
    twin.trial.riscv.satp_ppn = top + 1;
    twin.trial.riscv.levels = (int)top + 1;
}

static void twin_fail(const char *what, const struct gn_paging_walk *r,
                      const struct naive_result *n)
{
    for (uint32_t level = twin.top + 1; level-- > 0;)
        printf("  level %u: started as %016llx, ours %016llx, theirs %016llx\n", level,
               (unsigned long long)twin.entry[level], (unsigned long long)twin.ours[slot(level)],
               (unsigned long long)twin.theirs[slot(level)]);
    trial_print(&twin.trial, what, r, n);
    fail();
}

static void twin_try(void)
{
    struct gn_paging_walk r = {0};
    struct naive_result n = {.kind = NAIVE_OK};
    const char *what;

    for (uint32_t level = 0; level <= twin.top; level++)
        twin.ours[slot(level)] = twin.theirs[slot(level)] = twin.entry[level];
    what = trial_run(&twin.trial, &twin.guest, &twin.memory, &r, &n);
    for (uint32_t level = 0; level <= twin.top; level++)
        if (twin.ours[slot(level)] != twin.theirs[slot(level)])
            what = "an entry left behind";
    if (what)
        twin_fail(what, &r, &n);
    twin.trials++;
}

/* All accesses under the controls that are set. */
static void x86_accesses(int probes)
{
    for (int op = 0; op < 3; op++)
        for (int who = 0; who < 4; who++)
            for (int probe = 0; probe <= probes; probe++) {
                twin.trial.x86.op = "rwx"[op];
                twin.trial.x86.cpl = who & 1 ? 3 : 0;
                twin.trial.x86.implicit = who >> 1;
                twin.trial.x86.probe = probe;
                if (who != 3 || op == 0) /* implicit at CPL 3 is but one more implicit */
                    twin_try();
            }
}

/* All of CR0.WP, EFER.NXE, CR4.SMEP, SMAP, RFLAGS.AC; PKE with all rights of key 1; Page1GB. */
static void x86_controls(uint32_t leaf, uint32_t upper)
{
    struct naive_x86 *x = &twin.trial.x86;

    for (unsigned bits = 0; bits < 32; bits++)
        for (unsigned rights = 0; rights < 5; rights++) {
            x->cr0 = bits & 1 ? 1ull << 16 : 0;
            x->efer = bits & 2 ? 1ull << 11 : 0;
            x->cr4 = (bits & 4 ? 1ull << 20 : 0) | (bits & 8 ? 1ull << 21 : 0) |
                     (rights < 4 ? 1ull << 22 : 0);
            x->rflags = bits & 16 ? 1ull << 18 : 0;
            x->pkru = (rights & 3) << 2;
            x->page1gb = 1;
            x86_accesses(leaf == 0 && upper == 1 && rights > 2);
            if (rights == 4 && (leaf == 2 || upper == 2)) {
                x->page1gb = 0;
                x86_accesses(0);
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
    twin_init(GN_PAGING_X86_4LEVEL, 3);
    for (uint32_t level = leaf + 1; level < LEVELS; level++)
        twin.entry[level] = (uint64_t)level << 12 | 7;
    for (int u = 0; x86_upper(u, upper, &twin.entry[upper]); u++)
        for (int l = 0; x86_leaf(l, leaf, &twin.entry[leaf]); l++)
            if (u < 16 || l == 7 || l == 64)
                x86_controls(leaf, upper);
    print_message("leaf level %u, upper level %u: %llu accesses\n", leaf, upper,
                  (unsigned long long)twin.trials);
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

static void riscv_controls(void)
{
    struct naive_riscv *v = &twin.trial.riscv;

    for (int bits = 0; bits < 32; bits++)
        for (int op = 0; op < 3; op++) {
            v->sum = bits & 1;
            v->mxr = bits >> 1 & 1;
            v->hardware_ad = bits >> 2 & 1;
            v->mode = bits >> 3 & 1 ? 'u' : 's';
            v->probe = bits >> 4 & 1;
            v->op = "rwx"[op];
            twin_try();
        }
}

/* All low bytes, alone and with a bit that is reserved, misaligns, or is software's. */
static uint64_t riscv_value(int n, uint64_t page)
{
    static const uint64_t more[] = {0, 1ull << 54, 1ull << 60, 1ull << 63, 1u << 10, 3u << 8};

    return page >> 2 | (unsigned)(n & 255) | more[n >> 8];
}

#define RISCV_VALUES (6 * 256)

static void sv39_permute(uint32_t leaf)
{
    twin_init(GN_PAGING_SV39, 2);
    for (uint32_t level = leaf + 1; level < 3; level++)
        twin.entry[level] = (uint64_t)level << 10 | 1;
    for (int n = 0; n < RISCV_VALUES; n++) {
        twin.entry[leaf] = riscv_value(n, 0x40000000);
        riscv_controls();
    }
    /* And the entry above it, over some leaves. */
    for (int n = 0; leaf < 2 && n < 2 * RISCV_VALUES; n++)
        for (int l = 1; l < 256; l += 2 * 11) {
            twin.entry[leaf] = riscv_value(l, 0x40000000);
            twin.entry[leaf + 1] =
                riscv_value(n % RISCV_VALUES, n < RISCV_VALUES ? (uint64_t)(leaf + 1) << 12 : 0);
            riscv_controls();
        }
    print_message("leaf level %u: %llu accesses\n", leaf, (unsigned long long)twin.trials);
}

static void sv39_accesses_agree_with_the_manual_for_4k_pages(void **state)
{
    (void)state;
    sv39_permute(0);
}

static void sv39_accesses_agree_with_the_manual_for_2m_pages(void **state)
{
    (void)state;
    sv39_permute(1);
}

static void sv39_accesses_agree_with_the_manual_for_1g_pages(void **state)
{
    (void)state;
    sv39_permute(2);
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
