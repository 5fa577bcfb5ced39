/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs to learn that a page fault is the guest's: from a marker, and from a walk of three
 * levels of guest tables. All of it is predicted well here: these are the least costs.
 *
 * The marker is where the MMU has just read it: 64 of them, in the first-level cache. walk_3_levels
 * is as bare as a walk can be: pointers into host memory, no access rights, no A and D bits.
 * walk_3_levels_slots finds each table through a memory-slot op, as a hypervisor must, whose guest
 * names its tables by guest physical addresses. Both run over the tables of as many pages, which
 * the same cache holds; walk_3_levels_warm over 64 tables; walk_3_levels_cold over 32 MiB of them.
 *
 * What a hypervisor really does for such a fault is more than a walk: see examples/nonpresent,
 * whose bench_worth measures it in a composition.
 */
#include <gnomon/nonpresent_inline.h>

#include "gn_bench.h"

#define LEAFS 8192       /* leaf tables of the guest: 32 MiB */
#define HOT   64         /* pages of the hottest runs, in one leaf table */
#define WARM  (64 * 512) /* pages of the warm runs: 256 KiB of entries */

static struct {
    uint64_t base, bytes;
} slots[4] = {{0, 1}, {1, 1}, {2, 1}, {4096, ~(uint64_t)4095}};
static _Alignas(4096) uint64_t root[512];
static uint64_t *middle, *leaf;
static uint64_t shadow[HOT]; /* a marker a page */
static struct gn_nonpresent *fenced, *immediate;
static uint32_t rounds;
static volatile uint64_t sink;

/* The same pages for all: far apart, so that neither side lives on one cache line. */
static uint32_t page_of(uint32_t i)
{
    return i * 2654435761u % HOT;
}

static uint32_t warm_page_of(uint32_t i)
{
    return i * 2654435761u % WARM;
}

static uint32_t cold_page_of(uint32_t i)
{
    return (i * 2654435761u >> 7) % (LEAFS * 512);
}

static int none_pending(void *ctx, gn_gpa_t table)
{
    return ((const uint8_t *)ctx)[table.v >> GN_PAGE_SHIFT & 63];
}

static void look(struct gn_nonpresent *np, uint32_t n)
{
    struct gn_nonpresent_answer answer;
    uint32_t i, last = 0;

    for (i = 0; i < n; i++) {
        if (gn_nonpresent_lookup(np, shadow[page_of(i + last)], GN_ACCESS_WRITE, &answer))
            exit(1);
        last = answer.code == 15 ? 0 : answer.code;
    }
    sink += last;
}

static void hit(struct gn_nonpresent *np, uint32_t n)
{
    struct gn_nonpresent_window *window = gn_nonpresent_window(np);
    uint32_t i, last = 0, code = 0;

    for (i = 0; i < n; i++) {
        if (!gn_nonpresent_hit(window, shadow[page_of(i + last)], GN_ACCESS_WRITE, &code))
            exit(1);
        last = code == 15 ? 0 : code;
    }
    sink += last;
}

static void hit_fenced(uint32_t n)
{
    hit(fenced, n);
}

static void hit_immediate(uint32_t n)
{
    hit(immediate, n);
}

static void lookup_fenced(uint32_t n)
{
    look(fenced, n);
}

static void lookup_immediate(uint32_t n)
{
    look(immediate, n);
}

static void lookup_unknown(uint32_t n)
{
    struct gn_nonpresent_answer answer;
    uint32_t i;

    for (i = 0; i < n; i++)
        if (gn_nonpresent_lookup(fenced, 0, GN_ACCESS_WRITE, &answer) == 0)
            sink += answer.kind;
}

static void encode(uint32_t n)
{
    uint64_t value;
    uint32_t i;

    for (i = 0; i < n; i++)
        if (gn_nonpresent_encode_absent(fenced, 0, gn_gpa((uint64_t)i << 12), &value) == 0)
            sink += value;
}

/* Follows entries as a walk must: each load needs the one before. */
static uint32_t naive_walk(uint32_t page)
{
    const uint64_t *table = root;
    uint64_t entry = table[page >> 18 & 511];

    if (!(entry & 1))
        return 15;
    table = (const uint64_t *)(uintptr_t)(entry & ~(uint64_t)1);
    entry = table[page >> 9 & 511];
    if (!(entry & 1))
        return 15;
    table = (const uint64_t *)(uintptr_t)(entry & ~(uint64_t)1);
    entry = table[page & 511];
    return entry & 1 ? 0 : 15;
}

static void walk(uint32_t n)
{
    uint32_t i, last = 0;

    for (i = 0; i < n; i++)
        last = naive_walk(page_of(i + last)) - 15;
    sink += last;
}

static void walk_warm(uint32_t n)
{
    uint32_t i, last = 0;

    for (i = 0; i < n; i++)
        last = naive_walk(warm_page_of(i + last)) - 15;
    sink += last;
}

static void walk_cold(uint32_t n)
{
    uint32_t i, last = 0;

    for (i = 0; i < n; i++)
        last = naive_walk(cold_page_of(i + last)) - 15;
    sink += last;
}

/* Four slots, the last of which has the tables; "guest physical" is the host address here. */
static const uint64_t *slot_find(uint64_t gpa)
{
    uint32_t i;

    for (i = 0; i < 4; i++)
        if (gpa - slots[i].base < slots[i].bytes)
            return (const uint64_t *)(uintptr_t)(slots[i].base + (gpa - slots[i].base));
    return NULL;
}

static const uint64_t *(*volatile slot_op)(uint64_t gpa) = slot_find;

static uint32_t slot_walk(uint32_t page)
{
    uint64_t entry = (uint64_t)(uintptr_t)root | 1;
    uint32_t level;

    for (level = 3; level-- > 0;) {
        const uint64_t *table = slot_op(entry & ~(uint64_t)1);

        if (!table)
            return 5;
        entry = table[page >> (9 * level) & 511];
        if (!(entry & 1))
            return 15;
    }
    return 0;
}

static void walk_slots(uint32_t n)
{
    uint32_t i, last = 0;

    for (i = 0; i < n; i++)
        last = slot_walk(page_of(i + last)) - 15;
    sink += last;
}

/* Markers, and tables of three levels in which nothing is present but tables. */
static int open_all(void)
{
    static uint64_t mem[2][64];
    static uint8_t quiet[64];
    const struct gn_nonpresent_ops ops = {GN_NONPRESENT_OPS_INIT, .pending = none_pending};
    struct gn_nonpresent_params params = {GN_NONPRESENT_PARAMS_INIT, .ops = &ops, .ctx = quiet};
    uint32_t i;

    middle = aligned_alloc(4096, LEAFS * sizeof *middle);
    leaf = aligned_alloc(4096, LEAFS * (size_t)4096);
    if (!middle || !leaf || gn_nonpresent_init(mem[0], sizeof mem[0], &params, &fenced))
        return -1;
    params.guest = GN_NONPRESENT_GUEST_X86;
    if (gn_nonpresent_init(mem[1], sizeof mem[1], &params, &immediate))
        return -1;
    memset(leaf, 2, LEAFS * (size_t)4096); /* absent, and not one page of zeroes */
    for (i = 0; i < LEAFS; i++)
        middle[i] = (uint64_t)(uintptr_t)(leaf + (size_t)i * 512) | 1;
    for (i = 0; i < LEAFS / 512; i++)
        root[i] = (uint64_t)(uintptr_t)(middle + (size_t)i * 512) | 1;
    for (i = 0; i < HOT; i++)
        if (gn_nonpresent_encode_absent(fenced, 0, gn_gpa((uint64_t)i << 12), &shadow[i]))
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    struct gn_bench_result walks[4], hits[2];
    uint32_t i;

    rounds = gn_bench_quick(argc, argv) ? 1000 : 200000;
    if (open_all())
        return 1;
    gn_bench_header();
    hits[0] = gn_bench_time("hit_fenced", hit_fenced, rounds);
    hits[1] = gn_bench_time("hit_immediate", hit_immediate, rounds);
    gn_bench_time("lookup_fenced", lookup_fenced, rounds);
    gn_bench_time("lookup_immediate", lookup_immediate, rounds);
    gn_bench_time("lookup_unknown", lookup_unknown, rounds);
    gn_bench_time("encode_absent", encode, rounds);
    walks[0] = gn_bench_time("walk_3_levels", walk, rounds);
    walks[1] = gn_bench_time("walk_3_levels_slots", walk_slots, rounds);
    walks[2] = gn_bench_time("walk_3_levels_warm", walk_warm, rounds);
    walks[3] = gn_bench_time("walk_3_levels_cold", walk_cold, rounds);
    for (i = 0; i < 4; i++) {
        static const char *const names[4][2] = {
            {"walk_3_levels/hit_fenced", "walk_3_levels/hit_immediate"},
            {"walk_3_levels_slots/hit_fenced", "walk_3_levels_slots/hit_immediate"},
            {"walk_3_levels_warm/hit_fenced", "walk_3_levels_warm/hit_immediate"},
            {"walk_3_levels_cold/hit_fenced", "walk_3_levels_cold/hit_immediate"}};

        gn_bench_ratio(names[i][0], walks[i], hits[0]);
        gn_bench_ratio(names[i][1], walks[i], hits[1]);
    }
    gn_nonpresent_fini(fenced);
    gn_nonpresent_fini(immediate);
    free(middle);
    free(leaf);
    return 0;
}
