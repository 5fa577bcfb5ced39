/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a walk costs, warm: tables in the cache, A and D set already.
 *
 *  - walk: gn_paging_walk
 *  - op:   a walk written for one format, through the same load op
 *  - hand: the same, reading guest memory itself: what one would write without a library
 *
 * All three judge permissions and find out whether A or D would have to be set. Samples of the
 * three alternate, so that a change of the clock hits all of them; ratios are of medians. Then
 * what is asked of entries alone.
 */

#include <gnomon/paging.h>

#include "gn_bench.h"

#define PAGES   8
#define SAMPLES 101
#define GVA     0x0000002fedc00000ull

static uint64_t words[PAGES * 512];

static int op_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    (void)ctx;
    if (gpa.v >= sizeof words || bytes != 8)
        return -GN_ERR_FAULT;
    *ret_value = __atomic_load_n(&words[gpa.v / 8], __ATOMIC_RELAXED);
    return 0;
}

static int op_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected, uint64_t desired)
{
    (void)ctx;
    if (gpa.v >= sizeof words || bytes != 8)
        return -GN_ERR_FAULT;
    if (!__atomic_compare_exchange_n(&words[gpa.v / 8], &expected, desired, 0, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        return -GN_ERR_AGAIN;
    return 0;
}

static const struct gn_paging_ops ops = {GN_PAGING_OPS_INIT, .load = op_load,
                                         .cmpxchg = op_cmpxchg};

static int hand_load(uint64_t gpa, uint64_t *ret_value)
{
    if (gpa >= sizeof words)
        return 1;
    *ret_value = __atomic_load_n(&words[gpa / 8], __ATOMIC_RELAXED);
    return 0;
}

/* A volatile pointer keeps the compiler from seeing through the op. */
static int (*volatile hidden_load)(void *, gn_gpa_t, uint32_t, uint64_t *) = op_load;

/* Sv39, supervisor, data, hardware A and D; ~0 for a fault or where A or D is to be set. */
static inline uint64_t sv39_once(uint64_t gva, int write, int through_op)
{
    int (*load)(void *, gn_gpa_t, uint32_t, uint64_t *) = through_op ? hidden_load : NULL;
    uint64_t table = 3 << 12, pte, need = write ? 0xc5 : 0x43;

    if ((uint64_t)((int64_t)gva << 25 >> 25) != gva)
        return ~(uint64_t)0;
    for (int shift = 30; shift >= 12; shift -= 9) {
        uint64_t gpa = table + (gva >> shift & 511) * 8;

        if (through_op ? load(NULL, gn_gpa(gpa), 8, &pte) : hand_load(gpa, &pte))
            return ~(uint64_t)0;
        if (!(pte & 1) || (pte & 6) == 4 || pte >> 54)
            return ~(uint64_t)0;
        table = pte >> 10 << 12;
        if (pte & 10) {
            uint64_t offset = ((uint64_t)1 << shift) - 1;

            if (table & offset || pte & 0x10 || (pte & need) != need)
                return ~(uint64_t)0;
            return table | (gva & offset);
        }
        if (pte & 0xd0)
            return ~(uint64_t)0;
    }
    return ~(uint64_t)0;
}

/* x86 4-level, supervisor, data, WP and NXE set, MAXPHYADDR 52. */
static inline uint64_t x86_once(uint64_t gva, int write, int through_op)
{
    int (*load)(void *, gn_gpa_t, uint32_t, uint64_t *) = through_op ? hidden_load : NULL;
    uint64_t table = 4 << 12, pte, all = ~(uint64_t)0;

    if ((uint64_t)((int64_t)gva << 16 >> 16) != gva)
        return ~(uint64_t)0;
    for (int shift = 39; shift >= 12; shift -= 9) {
        uint64_t gpa = table + (gva >> shift & 511) * 8;

        if (through_op ? load(NULL, gn_gpa(gpa), 8, &pte) : hand_load(gpa, &pte))
            return ~(uint64_t)0;
        all &= pte;
        if (!(pte & 1))
            return ~(uint64_t)0;
        table = pte & 0x000ffffffffff000ull;
        if (shift == 12 || pte & 0x80) {
            uint64_t offset = ((uint64_t)1 << shift) - 1;

            if (shift == 39 || (shift > 12 && table & offset & ~(uint64_t)0x1000))
                return ~(uint64_t)0;
            if (!(all & 0x20) || (write && (!(all & 2) || !(pte & 0x40))))
                return ~(uint64_t)0;
            return (table & ~offset) | (gva & offset);
        }
    }
    return ~(uint64_t)0;
}

enum how { WALK, OP, HAND, HOWS };

static const char *const how_name[] = {"walk", "op", "hand"};

struct row {
    uint32_t format;
    uint32_t level;
    uint32_t access;
};

/* 512 neighbouring pages below one path; all accesses are of the supervisor, A and D are set. */
static void build(const struct row *row)
{
    uint32_t x86 = row->format == GN_PAGING_X86_4LEVEL, top = x86 ? 3 : 2;

    memset(words, 0, sizeof words);
    for (uint32_t level = row->level + 1; level <= top; level++)
        words[(level + 1) * 512 + (GVA >> (12 + 9 * level) & 511)] =
            x86 ? (uint64_t)level << 12 | 0x23 : (uint64_t)level << 10 | 1;
    for (uint64_t i = 0; i < 512; i++) {
        uint64_t page = i << (12 + 9 * row->level);

        words[(row->level + 1) * 512 + i] =
            x86 ? page | 0x63 | (row->level ? 0x80 : 0) : page >> 2 | 0xcf;
    }
}

/* The sum is returned so that nobody can skip the work; all hows must give the same. */
static uint64_t run(const struct row *row, enum how how, uint32_t count)
{
    struct gn_paging_context context = {
        GN_PAGING_CONTEXT_INIT, .format = row->format,
        .root = gn_gpa(row->format == GN_PAGING_X86_4LEVEL ? 4 << 12 : 3 << 12),
        .controls = GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_1G | GN_PAGING_RISCV_ADUE};
    uint32_t shift = 12 + 9 * row->level;
    int x86 = row->format == GN_PAGING_X86_4LEVEL, write = row->access == GN_ACCESS_WRITE;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < count; i++) {
        /* 64 different entries: those of level 0 and 1 must not run out of their table. */
        uint64_t gva =
            (GVA & ~((uint64_t)0x1ff << shift)) | (uint64_t)(i * 7 % 64) << shift | (i & 0xff8);
        struct gn_paging_walk r;

        if (how == WALK)
            sum += gn_paging_walk(&context, &ops, NULL, gn_gva(gva), row->access, &r) ||
                           r.outcome != GN_PAGING_TRANSLATED
                       ? ~(uint64_t)0
                       : r.gpa.v;
        else if (x86)
            sum += how == OP ? x86_once(gva, write, 1) : x86_once(gva, write, 0);
        else
            sum += how == OP ? sv39_once(gva, write, 1) : sv39_once(gva, write, 0);
    }
    return sum;
}

/* Prints the rows of one case, and keeps their medians. */
static int measure(const struct row *row, int samples, uint32_t count, double *median)
{
    static double ns[HOWS][SAMPLES];
    uint64_t sum[HOWS];

    build(row);
    for (int how = 0; how < HOWS; how++)
        sum[how] = run(row, (enum how)how, count);
    if (sum[WALK] != sum[OP] || sum[WALK] != sum[HAND]) {
        fprintf(stderr, "the walks disagree\n");
        return 1;
    }
    for (int i = 0; i < samples; i++)
        for (int how = 0; how < HOWS; how++) {
            double start = gn_bench_now();

            if (run(row, (enum how)how, count) != sum[how])
                return 1;
            ns[how][i] = (gn_bench_now() - start) / count;
        }
    for (int how = 0; how < HOWS; how++) {
        struct gn_bench_result r = gn_bench_summary(ns[how], (uint32_t)samples);
        char name[64];

        median[how] = r.median;
        snprintf(name, sizeof name, "%s_level%u_%s_%s", gn_paging_format_name(row->format),
                 row->level, row->access == GN_ACCESS_WRITE ? "write" : "read", how_name[how]);
        gn_bench_print(name, "ns", 1, r, (uint64_t)samples);
    }
    return 0;
}

/* --- Entries alone -------------------------------------------------------------------------- */

enum ask { DECODE, ENCODE, ALLOWS, ASKS };

static const char *const ask_name[] = {"decode", "encode", "allows"};

static uint64_t ask(uint32_t format, enum ask what, uint32_t count)
{
    struct gn_paging_context context = {GN_PAGING_CONTEXT_INIT, .format = format,
                                        .controls = GN_PAGING_X86_WP | GN_PAGING_X86_NXE |
                                                    GN_PAGING_RISCV_SUM};
    struct gn_paging_entry e = {.kind = GN_PAGING_ENTRY_LEAF, .permissions = GN_PAGING_R};
    uint64_t sum = 0, value = 0;

    for (uint32_t i = 0; i < count; i++) {
        e.address = (uint64_t)(i & 0xff) << 12;
        switch (what) {
        case DECODE:
            sum +=
                (uint64_t)gn_paging_entry_decode(&context, 0, (uint64_t)(i & 63) << 12 | 0x43, &e);
            sum += e.address;
            break;
        case ENCODE: sum += (uint64_t)gn_paging_entry_encode(format, 0, &e, &value) + value; break;
        default: sum += (uint64_t)gn_paging_allows(&context, i & 15, i >> 4 & 1); break;
        }
    }
    return sum;
}

static int measure_asks(uint32_t format, int samples, uint32_t count)
{
    static double ns[SAMPLES];
    char name[64];

    for (int what = 0; what < ASKS; what++) {
        uint64_t sum = ask(format, (enum ask)what, count);

        for (int i = 0; i < samples; i++) {
            double start = gn_bench_now();

            if (ask(format, (enum ask)what, count) != sum)
                return 1;
            ns[i] = (gn_bench_now() - start) / count;
        }
        snprintf(name, sizeof name, "%s_%s", gn_paging_format_name(format), ask_name[what]);
        gn_bench_print(name, "ns", 1, gn_bench_summary(ns, (uint32_t)samples), (uint64_t)samples);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct row rows[] = {
        {GN_PAGING_SV39, 0, GN_ACCESS_READ},       {GN_PAGING_SV39, 1, GN_ACCESS_READ},
        {GN_PAGING_SV39, 2, GN_ACCESS_READ},       {GN_PAGING_SV39, 0, GN_ACCESS_WRITE},
        {GN_PAGING_X86_4LEVEL, 0, GN_ACCESS_READ}, {GN_PAGING_X86_4LEVEL, 1, GN_ACCESS_READ},
        {GN_PAGING_X86_4LEVEL, 2, GN_ACCESS_READ}, {GN_PAGING_X86_4LEVEL, 0, GN_ACCESS_WRITE},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    int quick = gn_bench_quick(argc, argv);
    double median[ROWS][HOWS];

    gn_bench_header();
    for (int i = 0; i < ROWS; i++)
        if (measure(&rows[i], quick ? 3 : SAMPLES, quick ? 500 : 20000, median[i]))
            return 1;
    if (measure_asks(GN_PAGING_SV39, quick ? 3 : SAMPLES, quick ? 500 : 20000) ||
        measure_asks(GN_PAGING_X86_4LEVEL, quick ? 3 : SAMPLES, quick ? 500 : 20000))
        return 1;
    for (int i = 0; i < ROWS; i++)
        printf("# %s level %u %s: walk/hand %.2f, walk/op %.2f\n",
               gn_paging_format_name(rows[i].format), rows[i].level,
               rows[i].access == GN_ACCESS_WRITE ? "write" : "read",
               median[i][WALK] / median[i][HAND], median[i][WALK] / median[i][OP]);
    return 0;
}
