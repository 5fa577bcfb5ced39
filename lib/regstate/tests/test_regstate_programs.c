/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random programs of blocks and edges, run twice at once: eagerly, on one array of registers, and
 * lazily, on homes and memory that hold rubbish wherever the status says nothing. Every value that
 * the guest could see is compared: what instructions read, and all of memory at faults.
 */
#include <gnomon/regstate_inline.h>

#include <stdbool.h>

#include "gn_test.h"

#define BLOCKS       12
#define INSTRUCTIONS 10
#define STEPS        300
#define PROGRAMS     120

enum { READ_HOME, READ_MEMORY, WRITE, STORE, LOAD, CLOBBER, REPLACE, KINDS };

struct instruction {
    uint32_t kind, to, from;
    uint64_t value;
};

struct block {
    struct instruction code[INSTRUCTIONS];
    struct gn_regstate_block sum[INSTRUCTIONS + 1]; /* sum[k] is of the first k instructions */
    uint32_t length;
    uint32_t next[2];
    bool target; /* the dispatcher may jump here */
    /* What a translator knows when it emits: bounds at the entry, or the exact status there. */
    struct gn_regstate_bounds before, after;
    struct gn_regstate_status entry, exit;
};

struct world {
    uint64_t random;
    uint32_t registers;
    struct gn_regstate_set all;
    struct block blocks[BLOCKS];
    uint64_t eager[GN_REGSTATE_REGISTERS_MAX];
    uint64_t home[GN_REGSTATE_REGISTERS_MAX];
    uint64_t memory[GN_REGSTATE_REGISTERS_MAX];
    uint64_t saves, restores, fits, fixes, checks;
};

static uint32_t below(struct world *w, uint32_t n)
{
    return (uint32_t)(gn_test_random(&w->random) >> 20) % n;
}

static bool has(const struct gn_regstate_set *set, uint32_t r)
{
    return set->word[r / 64] >> r % 64 & 1;
}

static void save(void *ctx, const struct gn_regstate_set *set)
{
    struct world *w = ctx;

    for (uint32_t r = 0; r < GN_REGSTATE_REGISTERS_MAX; r++)
        if (has(set, r)) {
            w->memory[r] = w->home[r];
            w->saves++;
        }
}

static void restore(void *ctx, const struct gn_regstate_set *set)
{
    struct world *w = ctx;

    for (uint32_t r = 0; r < GN_REGSTATE_REGISTERS_MAX; r++)
        if (has(set, r)) {
            w->home[r] = w->memory[r];
            w->restores++;
        }
}

static struct gn_regstate_block declared(const struct instruction *i)
{
    const struct gn_regstate_set to = gn_regstate_one(i->to), from = gn_regstate_one(i->from);
    struct gn_regstate_block b = {0};

    switch (i->kind) {
    case READ_HOME: b.needs.valid = from; break;
    case READ_MEMORY: b.needs.saved = from; break;
    case WRITE:
        b.needs.valid = from;
        b.effect.writes = to;
        break;
    case STORE: b.needs.valid = b.effect.saves = to; break;
    case LOAD: b.needs.saved = b.effect.restores = to; break;
    case CLOBBER: b.needs.saved = b.effect.loses = to; break;
    default: b.effect.saves = b.effect.loses = to; break;
    }
    return b;
}

static uint64_t computed(uint64_t value)
{
    return (value ^ value >> 29) * UINT64_C(0xbf58476d1ce4e5b9) + 1;
}

static void step(struct world *w, const struct instruction *i)
{
    switch (i->kind) {
    case READ_HOME: assert_true(w->home[i->from] == w->eager[i->from]); break;
    case READ_MEMORY: assert_true(w->memory[i->from] == w->eager[i->from]); break;
    case WRITE:
        w->home[i->to] = computed(w->home[i->from]);
        w->eager[i->to] = computed(w->eager[i->from]);
        break;
    case STORE: w->memory[i->to] = w->home[i->to]; break;
    case LOAD: w->home[i->to] = w->memory[i->to]; break;
    case CLOBBER: w->home[i->to] = gn_test_random(&w->random); break;
    default:
        w->memory[i->to] = w->eager[i->to] = i->value;
        w->home[i->to] = gn_test_random(&w->random);
        break;
    }
}

static void block_make(struct world *w, struct block *b)
{
    memset(b, 0, sizeof *b);
    for (uint32_t n = below(w, INSTRUCTIONS + 1); b->length < n;) {
        struct instruction *i = &b->code[b->length];
        struct gn_regstate_block one;

        i->kind = below(w, KINDS + 3); /* more of WRITE */
        i->kind = i->kind < KINDS ? i->kind : WRITE;
        i->to = below(w, w->registers);
        i->from = below(w, w->registers);
        i->value = gn_test_random(&w->random);
        one = declared(i);
        /* One that needs a save or a restore in the middle would end the block. */
        if (gn_regstate_block_then(&b->sum[b->length], &one, &b->sum[b->length + 1]) == 0)
            b->length++;
        else
            n--;
    }
    assert_int_equal(gn_regstate_block_check(&b->sum[b->length]), 0);
    b->next[0] = below(w, BLOCKS);
    b->next[1] = below(w, BLOCKS);
    b->target = below(w, 4) == 0;
}

static void world_make(struct world *w, uint64_t random)
{
    static const uint32_t counts[] = {1, 5, 32, 64, 65, 128};

    memset(w, 0, sizeof *w);
    w->random = random;
    w->registers = counts[below(w, 6)];
    w->all = gn_regstate_first(w->registers);
    for (uint32_t i = 0; i < BLOCKS; i++)
        block_make(w, &w->blocks[i]);
    w->blocks[0].target = true;
    for (uint32_t r = 0; r < GN_REGSTATE_REGISTERS_MAX; r++) {
        w->eager[r] = w->memory[r] = gn_test_random(&w->random);
        w->home[r] = gn_test_random(&w->random);
    }
}

static void memory_is_precise(const struct world *w)
{
    for (uint32_t r = 0; r < w->registers; r++)
        assert_true(w->memory[r] == w->eager[r]);
}

/* What a trap handler does to registers in memory; which it did. */
static struct gn_regstate_set handle(struct world *w)
{
    struct gn_regstate_set set = {{0, 0}};

    for (uint32_t n = below(w, 4); n > 0; n--) {
        const uint32_t r = below(w, w->registers);

        w->memory[r] = w->eager[r] = gn_test_random(&w->random);
        set.word[r / 64] |= (uint64_t)1 << r % 64;
    }
    return set;
}

static uint32_t some_target(struct world *w)
{
    uint32_t b;

    do
        b = below(w, BLOCKS);
    while (!w->blocks[b].target);
    return b;
}

/*
 * With an object, and edges that skip the check where bounds prove that they can.
 */

/* Bounds of every block's entry, the greatest fixed point: from "all that is possible" down. */
static void bounds_solve(struct world *w)
{
    const struct gn_regstate_set none = {{0, 0}};
    const struct gn_regstate_bounds anything = {{none, none}, {w->all, w->all}};
    const struct gn_regstate_bounds nothing = {{w->all, w->all}, {none, none}};
    bool changed = true;

    for (uint32_t i = 0; i < BLOCKS; i++) {
        w->blocks[i].before = w->blocks[i].target ? anything : nothing;
        w->blocks[i].after = nothing;
    }
    while (changed) {
        changed = false;
        for (uint32_t i = 0; i < BLOCKS; i++) {
            struct block *b = &w->blocks[i];
            struct gn_regstate_bounds after;

            assert_int_equal(gn_regstate_bounds_apply(&b->before, &b->sum[b->length], &after), 0);
            changed = changed || memcmp(&after, &b->after, sizeof after) != 0;
            b->after = after;
            for (uint32_t k = 0; k < 2; k++) {
                struct gn_regstate_bounds *before = &w->blocks[b->next[k]].before;

                assert_int_equal(gn_regstate_bounds_join(before, &after, before), 0);
            }
        }
    }
}

static void is_within(const struct gn_regstate *rs, const struct gn_regstate_bounds *bounds)
{
    assert_true(gn_regstate_fits(&rs->status, &bounds->least));
    assert_true(gn_regstate_fits(&bounds->most, &rs->status));
}

static void edge_follow(struct world *w, struct gn_regstate *rs, const struct block *from,
                        const struct block *to)
{
    const struct gn_regstate_status *need = &to->sum[to->length].needs;
    struct gn_regstate_plan plan, exact;
    struct gn_regstate_effect done = {0};

    switch (gn_regstate_edge(&from->after, need, &plan)) {
    case GN_REGSTATE_EDGE_FITS: w->fits++; break;
    case GN_REGSTATE_EDGE_FIX:
        w->fixes++;
        assert_int_equal(gn_regstate_plan(&rs->status, need, &exact), 0);
        assert_memory_equal(&plan, &exact, sizeof plan);
        save(w, &plan.save);
        restore(w, &plan.restore);
        done.saves = plan.save;
        done.restores = plan.restore;
        gn_regstate_leave(rs, &done);
        break;
    default:
        w->checks++;
        gn_regstate_enter_inline(rs, need);
        break;
    }
    assert_true(gn_regstate_fits(&rs->status, need));
}

static void run_with_object(struct world *w, struct gn_regstate *rs)
{
    uint32_t at = some_target(w);

    gn_regstate_enter_inline(rs, &w->blocks[at].sum[w->blocks[at].length].needs);
    for (uint32_t n = 0; n < STEPS; n++) {
        const struct block *b = &w->blocks[at];
        const bool faults = below(w, 8) == 0;
        const uint32_t end = faults ? below(w, b->length + 1) : b->length;

        for (uint32_t i = 0; i < end; i++)
            step(w, &b->code[i]);
        if (faults) {
            struct gn_regstate_set changed;

            gn_regstate_fault(rs, &b->sum[end].effect);
            memory_is_precise(w);
            changed = handle(w);
            gn_regstate_replace(rs, &changed);
            at = some_target(w);
            if (below(w, 2)) { /* somebody else ran on the host registers */
                gn_regstate_release(rs, &w->all);
                for (uint32_t r = 0; r < w->registers; r++)
                    w->home[r] = gn_test_random(&w->random);
            }
            gn_regstate_enter(rs, &w->blocks[at].sum[w->blocks[at].length].needs);
            continue;
        }
        gn_regstate_leave_inline(rs, &b->sum[end].effect);
        is_within(rs, &b->after);
        at = b->next[below(w, 2)];
        edge_follow(w, rs, b, &w->blocks[at]);
    }
    gn_regstate_fault(rs, NULL);
    memory_is_precise(w);
}

static void lazy_runs_with_an_object_equal_eager_ones(void **state)
{
    static const struct gn_regstate_ops ops = {GN_REGSTATE_OPS_INIT, .save = save,
                                               .restore = restore};
    static struct world w;
    uint64_t random = gn_test_seed(), fits = 0, fixes = 0, checks = 0;

    (void)state;
    for (uint32_t n = 0; n < PROGRAMS; n++) {
        struct gn_regstate_params params = {GN_REGSTATE_PARAMS_INIT, .ops = &ops, .ctx = &w};
        struct gn_regstate_stats stats = {GN_REGSTATE_STATS_INIT};
        struct gn_regstate *rs;
        uint64_t by_hand;
        void *mem;

        world_make(&w, gn_test_random(&random));
        params.registers = w.registers;
        mem = gn_test_memory(gn_regstate_align(), gn_regstate_size(&params));
        assert_int_equal(gn_regstate_init(mem, gn_regstate_size(&params), &params, &rs), 0);
        bounds_solve(&w);
        run_with_object(&w, rs);
        assert_int_equal(gn_regstate_stats_get(rs, &stats), 0);
        by_hand = w.saves + w.restores - stats.saves - stats.restores;
        assert_true(w.fixes ? by_hand >= w.fixes : by_hand == 0);
        fits += w.fits;
        fixes += w.fixes;
        checks += w.checks;
        gn_regstate_fini(rs);
        free(mem);
    }
    assert_true(fits && fixes && checks);
}

/*
 * Without an object: each block is emitted for one status at its entry, edges do what is missing.
 */

/* What the edges that reach a block have in common, or any legal status; and what it needs. */
static struct gn_regstate_status entry_choose(struct world *w, uint32_t to)
{
    const struct block *target = &w->blocks[to];
    const struct gn_regstate_status *needs = &target->sum[target->length].needs;
    struct gn_regstate_status s = {.saved = w->all};
    bool first = below(w, 4) != 0;

    for (uint32_t i = 0; i < GN_REGSTATE_WORDS; i++)
        s.valid.word[i] = gn_test_random(&w->random) & w->all.word[i];
    for (uint32_t from = 0; from < to; from++)
        if (w->blocks[from].next[0] == to || w->blocks[from].next[1] == to) {
            if (first)
                s = w->blocks[from].exit;
            first = false;
            assert_int_equal(gn_regstate_join(&s, &w->blocks[from].exit, &s), 0);
        }
    for (uint32_t i = 0; i < GN_REGSTATE_WORDS; i++) {
        s.valid.word[i] |= needs->valid.word[i];
        s.saved.word[i] |= needs->saved.word[i];
    }
    return s;
}

static void fit(struct world *w, const struct gn_regstate_status *have, const struct block *to)
{
    struct gn_regstate_plan plan;

    assert_int_equal(gn_regstate_plan(have, &to->entry, &plan), 0);
    save(w, &plan.save);
    restore(w, &plan.restore);
}

static void run_without_object(struct world *w)
{
    const struct gn_regstate_status in_memory = {.saved = w->all};
    uint32_t at = below(w, BLOCKS);

    fit(w, &in_memory, &w->blocks[at]);
    for (uint32_t n = 0; n < STEPS; n++) {
        const struct block *b = &w->blocks[at];
        const bool faults = below(w, 8) == 0;
        const uint32_t end = faults ? below(w, b->length + 1) : b->length;
        struct gn_regstate_set set;

        for (uint32_t i = 0; i < end; i++)
            step(w, &b->code[i]);
        at = faults ? below(w, BLOCKS) : b->next[below(w, 2)];
        if (faults) {
            assert_int_equal(gn_regstate_point(&b->entry, &b->sum[end].effect, &w->all, &set), 0);
            save(w, &set);
            memory_is_precise(w);
            handle(w);
            for (uint32_t r = 0; r < w->registers; r++)
                w->home[r] = gn_test_random(&w->random);
        }
        fit(w, faults ? &in_memory : &b->exit, &w->blocks[at]);
    }
}

static void lazy_runs_by_plan_alone_equal_eager_ones(void **state)
{
    static struct world w;
    uint64_t random = gn_test_seed();

    (void)state;
    for (uint32_t n = 0; n < PROGRAMS; n++) {
        world_make(&w, gn_test_random(&random));
        for (uint32_t i = 0; i < BLOCKS; i++) {
            struct block *b = &w.blocks[i];

            b->entry = entry_choose(&w, i);
            assert_int_equal(gn_regstate_apply(&b->entry, &b->sum[b->length].effect, &b->exit), 0);
        }
        run_without_object(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lazy_runs_with_an_object_equal_eager_ones),
        cmocka_unit_test(lazy_runs_by_plan_alone_equal_eager_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
