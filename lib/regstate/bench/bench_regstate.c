/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same trace of blocks, with registers kept eagerly and lazily. Eager is what a translator does
 * that keeps guest registers in memory between blocks: each loads what it needs and stores what it
 * wrote. Lazy is the object; proven is the lazy run in which edges that are known to fit skip the
 * check, as chained blocks do. A block's own work is left out of all three.
 *
 * Traces: loops of a few blocks over some of 64 registers; now and then a call to the world
 * outside, which wants its host registers: the 24 upper ones.
 */
#include <gnomon/regstate_inline.h>

#include "gn_bench.h"

#define REGISTERS 64
#define BLOCKS    64
#define TRACE     4096

struct block {
    struct gn_regstate_block declared;
    uint32_t fits[BLOCKS]; /* by block before: needs are always met on this edge */
};

static struct block blocks[BLOCKS];
static uint8_t trace[TRACE];
static uint64_t home[REGISTERS], memory[REGISTERS];
static uint64_t saves, restores;
static struct gn_regstate *rs;
static volatile uint64_t sink;

static void save(void *ctx, const struct gn_regstate_set *set)
{
    (void)ctx;
    for (uint64_t w = set->word[0]; w; w &= w - 1) {
        const int r = __builtin_ctzll(w);

        memory[r] = home[r];
        saves++;
    }
}

static void restore(void *ctx, const struct gn_regstate_set *set)
{
    (void)ctx;
    for (uint64_t w = set->word[0]; w; w &= w - 1) {
        const int r = __builtin_ctzll(w);

        home[r] = memory[r];
        restores++;
    }
}

static void eager(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct gn_regstate_block *b = &blocks[trace[i % TRACE]].declared;

        restore(NULL, &b->needs.valid);
        save(NULL, &b->effect.writes);
    }
    sink += memory[0];
}

static void lazy(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct gn_regstate_block *b = &blocks[trace[i % TRACE]].declared;

        gn_regstate_enter_inline(rs, &b->needs);
        gn_regstate_leave_inline(rs, &b->effect);
    }
    sink += rs->status.valid.word[0];
}

static void proven(uint32_t n)
{
    uint32_t before = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t at = trace[i % TRACE];
        const struct block *b = &blocks[at];

        if (!b->fits[before])
            gn_regstate_enter_inline(rs, &b->declared.needs);
        gn_regstate_leave_inline(rs, &b->declared.effect);
        before = at;
    }
    sink += rs->status.valid.word[0];
}

static void check_alone(uint32_t n)
{
    const struct gn_regstate_status *have = &rs->status;
    uint64_t fits = 0;

    for (uint32_t i = 0; i < n; i++) {
        fits += (uint64_t)gn_regstate_fits_inline(have, &blocks[i % BLOCKS].declared.needs);
        __asm__ volatile("" : : : "memory");
    }
    sink += fits;
}

static void plan_alone(uint32_t n)
{
    const struct gn_regstate_status none = {.saved = {{~(uint64_t)0, 0}}};
    struct gn_regstate_plan plan;

    for (uint32_t i = 0; i < n; i++)
        if (gn_regstate_plan(&none, &blocks[i % BLOCKS].declared.needs, &plan) == 0)
            sink += plan.restore.word[0];
}

static uint64_t random_state = 88172645463325252u;

static uint32_t below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 20) % n;
}

/* A block of loop i: two to five registers read, one or two written, of eight that the loop has. */
static void block_make(uint32_t i)
{
    struct gn_regstate_block *b = &blocks[i].declared;
    const uint32_t base = i / 8 * 7;

    if (i == 0) { /* the call outside */
        b->needs.saved.word[0] = ~(uint64_t)0 << 40;
        b->effect.loses = b->needs.saved;
        return;
    }
    for (uint32_t n = 2 + below(4); n > 0; n--)
        b->needs.valid.word[0] |= (uint64_t)1 << (base + below(8));
    for (uint32_t n = 1 + below(2); n > 0; n--)
        b->effect.writes.word[0] |= (uint64_t)1 << (base + below(8));
}

/* Does the block before leave, whatever came before it, what this one needs? */
static void edges_make(void)
{
    const struct gn_regstate_bounds anything = {.most = {{{~(uint64_t)0, 0}}, {{~(uint64_t)0, 0}}}};

    for (uint32_t from = 0; from < BLOCKS; from++)
        for (uint32_t to = 0; to < BLOCKS; to++) {
            struct gn_regstate_bounds after;
            struct gn_regstate_plan plan;

            if (gn_regstate_bounds_apply(&anything, &blocks[from].declared, &after))
                exit(1);
            blocks[to].fits[from] = gn_regstate_edge(&after, &blocks[to].declared.needs, &plan) ==
                                    GN_REGSTATE_EDGE_FITS;
        }
}

static void trace_make(void)
{
    uint32_t at = 0;

    while (at < TRACE) {
        const uint32_t loop = below(BLOCKS / 8), length = 1 + below(4), turns = 4 + below(60);

        for (uint32_t i = 0; i < length * turns && at < TRACE; i++)
            trace[at++] = (uint8_t)(loop * 8 + i % length);
        if (at < TRACE && below(4) == 0)
            trace[at++] = 0;
    }
}

/* Registers moved for each block of the trace. */
static void moved(const char *name, void (*run)(uint32_t n))
{
    saves = restores = 0;
    run(TRACE);
    gn_bench_value(name, "moves", 3, (double)(saves + restores) / TRACE, TRACE);
}

int main(int argc, char **argv)
{
    static uint64_t mem[64];
    const struct gn_regstate_ops ops = {GN_REGSTATE_OPS_INIT, .save = save, .restore = restore};
    const struct gn_regstate_params params = {GN_REGSTATE_PARAMS_INIT, .registers = REGISTERS,
                                              .ops = &ops};
    const uint32_t rounds = gn_bench_quick(argc, argv) ? TRACE : 100 * TRACE;
    struct gn_bench_result e, l, p;

    for (uint32_t i = 0; i < BLOCKS; i++)
        block_make(i);
    edges_make();
    trace_make();
    if (gn_regstate_init(mem, sizeof mem, &params, &rs))
        return 1;
    gn_bench_header();
    moved("eager_moves", eager);
    moved("lazy_moves", lazy);
    e = gn_bench_time("eager", eager, rounds);
    l = gn_bench_time("lazy", lazy, rounds);
    p = gn_bench_time("lazy_proven", proven, rounds);
    gn_bench_ratio("eager/lazy", e, l);
    gn_bench_ratio("eager/lazy_proven", e, p);
    gn_bench_time("check", check_alone, rounds);
    gn_bench_time("plan", plan_alone, rounds);
    gn_regstate_fini(rs);
    return 0;
}
