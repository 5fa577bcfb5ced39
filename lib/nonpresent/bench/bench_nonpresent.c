/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs to learn that a page fault is the guest's: from a marker, and from a walk of three
 * levels of guest tables. The walk is as bare as it can be: no access rights, no A and D bits, no
 * slot lookup a level, tables in host memory; a real one costs more.
 */
#include <gnomon/nonpresent.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS  31
#define LEAFS 512 /* leaf tables: 2 MiB of entries, more than a first-level cache */

struct result {
    double min, median, max;
};

static uint64_t root[512], *middle, *leaf;
static uint64_t *shadow; /* a marker a page */
static struct gn_nonpresent *fenced, *immediate;
static uint32_t rounds;
static volatile uint64_t sink;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int order(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct result measure(const char *name, void (*body)(uint32_t n))
{
    double sample[RUNS];
    struct result r;
    uint32_t i;

    for (i = 0; i < RUNS; i++) {
        const double begin = now_ns();

        body(rounds);
        sample[i] = (now_ns() - begin) / rounds;
    }
    qsort(sample, RUNS, sizeof *sample, order);
    r = (struct result){sample[0], sample[RUNS / 2], sample[RUNS - 1]};
    printf("%s,ns,%.2f,%.2f,%.2f,%u\n", name, r.min, r.median, r.max, RUNS * rounds);
    return r;
}

static void ratio(const char *name, struct result a, struct result b)
{
    printf("%s,ratio,%.3f,%.3f,%.3f,1\n", name, a.min / b.max, a.median / b.median, a.max / b.min);
}

/* The same pages for all: far apart, so that neither side lives on one cache line. */
static uint32_t page_of(uint32_t i)
{
    return i * 2654435761u % (LEAFS * 512);
}

static int none_pending(void *ctx, gn_gpa_t table)
{
    return ((const uint8_t *)ctx)[table.v >> GN_PAGE_SHIFT & 63];
}

static void look(struct gn_nonpresent *np, uint32_t n)
{
    struct gn_nonpresent_answer answer;
    uint32_t i;

    for (i = 0; i < n; i++)
        if (gn_nonpresent_lookup(np, shadow[page_of(i)], GN_ACCESS_WRITE, &answer) == 0)
            sink += answer.code;
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
static uint64_t naive_walk(uint32_t page)
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
    uint32_t i;

    for (i = 0; i < n; i++)
        sink += naive_walk(page_of(i));
}

int main(int argc, char **argv)
{
    static uint64_t mem[2][64];
    static uint8_t quiet[64];
    const struct gn_nonpresent_ops ops = {GN_NONPRESENT_OPS_INIT, .pending = none_pending};
    struct gn_nonpresent_params params = {GN_NONPRESENT_PARAMS_INIT, .ops = &ops, .ctx = quiet};
    struct result r;
    uint32_t i;

    rounds = argc > 1 && !strcmp(argv[1], "--quick") ? 1000 : 200000;
    middle = aligned_alloc(4096, 4096);
    leaf = aligned_alloc(4096, LEAFS * 4096);
    shadow = aligned_alloc(4096, LEAFS * 4096);
    if (!middle || !leaf || !shadow || gn_nonpresent_init(mem[0], sizeof mem[0], &params, &fenced))
        return 1;
    params.guest = GN_NONPRESENT_GUEST_X86;
    if (gn_nonpresent_init(mem[1], sizeof mem[1], &params, &immediate))
        return 1;
    memset(leaf, 0, LEAFS * 4096);
    root[0] = (uint64_t)(uintptr_t)middle | 1;
    for (i = 0; i < 512; i++)
        middle[i] = (uint64_t)(uintptr_t)(leaf + i * 512) | 1;
    for (i = 0; i < LEAFS * 512; i++)
        if (gn_nonpresent_encode_absent(fenced, 0, gn_gpa((uint64_t)(i / 512) << 12), &shadow[i]))
            return 1;
    printf("name,unit,min,median,max,n\n");
    r = measure("walk_3_levels", walk);
    ratio("walk_3_levels/lookup_fenced", r, measure("lookup_fenced", lookup_fenced));
    ratio("walk_3_levels/lookup_immediate", r, measure("lookup_immediate", lookup_immediate));
    measure("lookup_unknown", lookup_unknown);
    measure("encode_absent", encode);
    gn_nonpresent_fini(fenced);
    gn_nonpresent_fini(immediate);
    free(middle);
    free(leaf);
    free(shadow);
    return 0;
}
