/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random tables in every format, against the naive machines. All pages are tables of all levels at
 * once, so that walks meet pointers to themselves, shared tables and entries of the wrong level.
 */

#include "agree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define PAGES  16
#define WORDS  (PAGES * 512)
#define ROUNDS 200
#define WALKS  2000

static uint64_t ours[WORDS], theirs[WORDS];
static uint64_t seed;
static uint64_t translated, faulted;

static uint64_t random_below(uint64_t n)
{
    return (guest_random(&seed) >> 16) % n;
}

static int one_in(uint64_t n)
{
    return random_below(n) == 0;
}

/* A page that is a table, or now and then something else. */
static uint64_t random_page(void)
{
    if (one_in(6))
        return (guest_random(&seed) & 0x000000ffc0000000ull) | (one_in(16) ? 1ull << 13 : 0);
    return random_below(one_in(64) ? PAGES * 2 : PAGES) << 12; /* may be a hole */
}

static uint64_t random_x86_entry(uint64_t bits)
{
    uint64_t named = one_in(4) ? bits : bits | 0x27;

    return random_page() | (named & 0x167) | (one_in(12) ? 0x80 : 0) | (one_in(32) ? 0 : 1) |
           (one_in(24) ? 1ull << 63 : 0) | (bits & 0x7ffull << 52) |
           (one_in(64) ? 1ull << (32 + bits % 20) : 0);
}

/* Half of them as a PDPTE would have it, and all without what PAE reserves; but for some. */
static uint64_t random_pae_entry(uint64_t bits)
{
    uint64_t entry = random_x86_entry(bits);

    if (!one_in(32))
        entry &= ~(0x7ffull << 52);
    return one_in(2) ? entry : entry & ~(1ull << 63 | 0x1e6);
}

/* Two entries. */
static uint64_t random_x86_32_entries(uint64_t bits)
{
    uint64_t entries = 0;

    for (int i = 0; i < 2; i++, bits >>= 32) {
        uint64_t page = one_in(6) ? bits & 0xffdfe000 : random_below(PAGES + one_in(16)) << 12;

        entries = entries << 32 | page | (bits & 0x7ff) | (one_in(4) ? 0 : 7) |
                  (one_in(64) ? 1u << 21 : 0);
        if (page < PAGES << 12 && !one_in(8))
            entries &= ~0x80ull;
    }
    return entries;
}

static uint64_t random_riscv_entry(uint64_t bits)
{
    uint64_t page = random_page();

    if (!one_in(4)) /* a pointer */
        return page >> 2 | (one_in(48) ? 0 : 1) | (bits & 0x320) | (one_in(48) ? bits & 0xd0 : 0);
    if (one_in(2)) /* aligned as some level wants it */
        page = (bits >> 8 & 0xff) << (12 + 9 * random_below(5));
    if (one_in(8)) /* 64 KiB, or nearly */
        page = (page & ~0xf000ull) | 0x8000 | 1ull << 63 << 2 | (one_in(8) ? 0x1000 : 0);
    return page >> 2 | 1 | (bits & 0x3fe) | (one_in(2) ? 0xde : 0) | (one_in(8) ? 1ull << 63 : 0) |
           (one_in(8) ? bits & 3ull << 61 : 0) | (one_in(32) ? 1ull << (54 + bits % 10) : 0);
}

static uint64_t random_aarch64_entry(uint64_t bits)
{
    uint64_t page = random_page();

    if (!one_in(5)) /* a table, or at the last level a page */
        return page | (one_in(48) ? 0 : 1) | 2 | (bits & 0xfff0000000000ffcull & ~(31ull << 59)) |
               (one_in(4) ? bits & 31ull << 59 : 0) | (one_in(64) ? 1ull << (32 + bits % 20) : 0);
    return page | 1 | (bits & 0xffff000000000ffcull) | (one_in(8) ? 0x3f000 : 0) |
           (one_in(2) ? 0x400 : 0);
}

/* A present entry that is probably good, or garbage. */
static uint64_t random_entry(uint32_t format)
{
    uint64_t bits = guest_random(&seed);

    if (one_in(48))
        return bits;
    switch (format) {
    case GN_PAGING_X86_32: return random_x86_32_entries(bits);
    case GN_PAGING_X86_PAE: return random_pae_entry(bits);
    case GN_PAGING_X86_4LEVEL:
    case GN_PAGING_X86_5LEVEL: return random_x86_entry(bits);
    case GN_PAGING_AARCH64_4K: return random_aarch64_entry(bits);
    default: return random_riscv_entry(bits);
    }
}

/* An address of the format's width, or a little wider. */
static uint64_t random_address(uint32_t format)
{
    static const uint8_t tops[] = {0, 32, 32, 47, 56, 38, 47, 56, 48};
    int top = tops[format];
    uint64_t address = guest_random(&seed) << (63 - top);

    address = top == 32 ? address >> 32 : (uint64_t)((int64_t)address >> (63 - top));
    if (one_in(32))
        address ^= 1ull << (top + (int)random_below((uint64_t)(64 - top)));
    return address;
}

static void random_x86(struct trial *t, uint64_t bits)
{
    t->x86 = (struct naive_x86){.cr0 = bits & 1ull << 16,
                                .cr3 = random_below(PAGES) << 12,
                                .cr4 = (bits & 7ull << 20) | (bits & 1u << 4),
                                .efer = one_in(6) ? 0 : 1ull << 11,
                                .rflags = bits & 1ull << 18,
                                .pkru = (uint32_t)(guest_random(&seed) & guest_random(&seed)),
                                .maxphyaddr = one_in(2) ? 52 : 32 + (int)random_below(21),
                                .page1gb = !one_in(4),
                                .cpl = bits & 1 ? 3 : 0,
                                .implicit = one_in(8),
                                .op = "rwx"[random_below(3)],
                                .probe = one_in(4)};
    if (t->format == GN_PAGING_X86_5LEVEL)
        t->x86.cr4 |= 1ull << 12;
    if (t->format == GN_PAGING_X86_PAE) {
        t->x86.cr4 |= 1ull << 5;
        t->x86.cr3 |= random_below(128) << 5;
    }
}

static void random_trial(struct trial *t)
{
    uint64_t bits = guest_random(&seed);

    t->address = random_address(t->format);
    random_x86(t, bits);
    t->riscv = (struct naive_riscv){.levels = (int)t->format - GN_PAGING_SV39 + 3,
                                    .satp_ppn = random_below(PAGES),
                                    .sum = bits >> 1 & 1,
                                    .mxr = bits >> 2 & 1,
                                    .hardware_ad = bits >> 3 & 1,
                                    .pbmte = bits >> 5 & 1,
                                    .svnapot = bits >> 6 & 1,
                                    .mode = bits & 16 ? 'u' : 's',
                                    .op = t->x86.op,
                                    .probe = t->x86.probe};
    t->arm = (struct naive_aarch64){.ttbr0 = random_below(PAGES) << 12,
                                    .ttbr1 = random_below(PAGES) << 12,
                                    .ha = !one_in(3),
                                    .hd = bits >> 1 & 1,
                                    .epd0 = one_in(32),
                                    .epd1 = one_in(32),
                                    .tbi0 = bits >> 2 & 1,
                                    .tbi1 = bits >> 3 & 1,
                                    .oasize = one_in(2) ? 48 : 32 + (int)random_below(17),
                                    .wxn = one_in(3),
                                    .pan = one_in(3),
                                    .epan = one_in(2),
                                    .el = bits >> 4 & 1,
                                    .op = t->x86.op,
                                    .probe = t->x86.probe};
}

static void random_round(uint32_t format)
{
    struct guest guest = {
        .words = ours, .bytes = sizeof ours, .entry_bytes = format == GN_PAGING_X86_32 ? 4 : 8};
    struct naive_memory memory = {theirs, sizeof theirs};
    struct trial t = {.format = format};

    for (int i = 0; i < WORDS; i++)
        ours[i] = theirs[i] = random_entry(format);
    for (int i = 0; i < WALKS; i++) {
        struct gn_paging_walk r = {0};
        struct naive_result n = {.kind = NAIVE_OK};
        const char *what;

        random_trial(&t);
        what = trial_run(&t, &guest, &memory, &r, &n);
        if (!what && (i % 16 == 15 || i == WALKS - 1) && memcmp(ours, theirs, sizeof ours))
            what = "the memory";
        if (what) {
            trial_print(&t, what, &r, &n);
            fail();
        }
        if (n.kind == NAIVE_OK)
            translated++;
        else
            faulted++;
    }
}

static void agree_on_random_tables(uint32_t format)
{
    translated = faulted = 0;
    for (int i = 0; i < ROUNDS; i++)
        random_round(format);
    print_message("%s: %llu translated, %llu faulted\n", gn_paging_format_name(format),
                  (unsigned long long)translated, (unsigned long long)faulted);
    assert_true(translated > ROUNDS * WALKS / 32); /* else the tables were not worth the walk */
    assert_true(faulted > ROUNDS * WALKS / 32);
}

static void x86_32_agrees_with_the_manual_on_random_tables(void **state)
{
    (void)state;
    agree_on_random_tables(GN_PAGING_X86_32);
}

static void pae_agrees_with_the_manual_on_random_tables(void **state)
{
    (void)state;
    agree_on_random_tables(GN_PAGING_X86_PAE);
}

static void aarch64_agrees_with_the_manual_on_random_tables(void **state)
{
    (void)state;
    agree_on_random_tables(GN_PAGING_AARCH64_4K);
}

static void x86_4level_agrees_with_the_manual_on_random_tables(void **state)
{
    (void)state;
    agree_on_random_tables(GN_PAGING_X86_4LEVEL);
}

static void x86_5level_agrees_with_the_manual_on_random_tables(void **state)
{
    (void)state;
    agree_on_random_tables(GN_PAGING_X86_5LEVEL);
}

static void sv39_agrees_with_the_manual_on_random_tables(void **state)
{
    (void)state;
    agree_on_random_tables(GN_PAGING_SV39);
}

static void sv48_agrees_with_the_manual_on_random_tables(void **state)
{
    (void)state;
    agree_on_random_tables(GN_PAGING_SV48);
}

static void sv57_agrees_with_the_manual_on_random_tables(void **state)
{
    (void)state;
    agree_on_random_tables(GN_PAGING_SV57);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x86_32_agrees_with_the_manual_on_random_tables),
        cmocka_unit_test(pae_agrees_with_the_manual_on_random_tables),
        cmocka_unit_test(aarch64_agrees_with_the_manual_on_random_tables),
        cmocka_unit_test(x86_4level_agrees_with_the_manual_on_random_tables),
        cmocka_unit_test(x86_5level_agrees_with_the_manual_on_random_tables),
        cmocka_unit_test(sv39_agrees_with_the_manual_on_random_tables),
        cmocka_unit_test(sv48_agrees_with_the_manual_on_random_tables),
        cmocka_unit_test(sv57_agrees_with_the_manual_on_random_tables),
    };

    seed = guest_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
