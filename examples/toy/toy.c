/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A translator for a machine of eleven instructions, on gnomon-tcache alone. It translates to
 * threaded code, an array of steps that name a function each, so that it runs on every host. The
 * cache does not mind: code is bytes with an entry and exits.
 *
 * Read from the bottom: main(), run(), enter(), translate(), then what a step is.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnomon/tcache.h>

/* ---- The guest: 16 registers, 64 KiB of memory, instructions of op, a, b, c: a byte each --- */

enum { HALT, OUT, LI, ADD, SUB, LOAD, STORE, BNE, CALL, RETURN, FENCE };

#define MEMORY 0x10000u
#define CODE   0x8000u /* bytes of translated code */

#define INSN(op, a, b, c) \
    ((uint32_t)(op) | (uint32_t)(a) << 8 | (uint32_t)(b) << 16 | (uint32_t)(c) << 24)
#define OP(i)  ((i)&0xff)
#define A(i)   ((i) >> 8 & 15)
#define B(i)   ((i) >> 16 & 15)
#define C(i)   ((i) >> 24 & 15)
#define IMM(i) ((i) >> 16) /* LI, CALL: b and c together */
#define REL(i) ((uint64_t)(int64_t)(int8_t)(uint8_t)((i) >> 24) * 4) /* BNE: c, in instructions */

struct toy;
struct step;

/** Executes a step. @return the next one; NULL: back to the dispatcher, toy->pc is next */
typedef const struct step *(*run_t)(struct toy *toy, const struct step *step);

/** One instruction in translated code, or a way out of a block. */
struct step {
    run_t run;
    uint32_t insn;
    uint32_t exit;   /**< exits: the number by which the cache knows it */
    uint64_t target; /**< exits: guest PC; calls: the return address */
    uint64_t link;   /**< exits: the step of the block it is linked to, or itself: none */
    uint32_t guard;  /**< exits: ID of the page that the target was on when it was linked */
    uint32_t far;    /**< exits: the target is on another page: ask the guard */
};

struct toy {
    uint64_t r[16];
    uint64_t pc;
    uint8_t memory[MEMORY];
    int halted;
    struct gn_tcache *tc;
    const struct gn_tcache_view *view;
    uint32_t left_by; /**< the exit that was not linked; UINT32_MAX: it was no exit */
    uint64_t entered; /**< times that the dispatcher entered translated code */
};

/* ---- Steps -------------------------------------------------------------------------------- */

static const struct step *run_out(struct toy *toy, const struct step *s)
{
    printf("%lld\n", (long long)toy->r[A(s->insn)]);
    return s + 1;
}

static const struct step *run_li(struct toy *toy, const struct step *s)
{
    toy->r[A(s->insn)] = IMM(s->insn);
    return s + 1;
}

static const struct step *run_add(struct toy *toy, const struct step *s)
{
    toy->r[A(s->insn)] = toy->r[B(s->insn)] + toy->r[C(s->insn)];
    return s + 1;
}

static const struct step *run_sub(struct toy *toy, const struct step *s)
{
    toy->r[A(s->insn)] = toy->r[B(s->insn)] - toy->r[C(s->insn)];
    return s + 1;
}

static const struct step *run_load(struct toy *toy, const struct step *s)
{
    uint32_t word;

    memcpy(&word, &toy->memory[toy->r[B(s->insn)] % (MEMORY - 3)], sizeof word);
    toy->r[A(s->insn)] = word;
    return s + 1;
}

/* A write may hit code. The blocks are dropped at once; that this one is, is known at its end. */
static const struct step *run_store(struct toy *toy, const struct step *s)
{
    const uint64_t to = toy->r[B(s->insn)] % (MEMORY - 3);
    const uint32_t word = (uint32_t)toy->r[A(s->insn)];

    memcpy(&toy->memory[to], &word, sizeof word);
    if (gn_tcache_written(toy->tc, gn_gpa(to), sizeof word) < 0)
        abort();
    return s + 1;
}

/* Two exits follow: not taken, taken. */
static const struct step *run_bne(struct toy *toy, const struct step *s)
{
    return toy->r[A(s->insn)] != toy->r[B(s->insn)] ? s + 2 : s + 1;
}

static const struct step *run_call(struct toy *toy, const struct step *s)
{
    toy->r[A(s->insn)] = s->target;
    return s + 1;
}

/* A jump to a register: the view knows where it led the last time. */
static const struct step *run_return(struct toy *toy, const struct step *s)
{
    toy->pc = toy->r[A(s->insn)] % MEMORY & ~UINT64_C(3);
    return (const struct step *)(uintptr_t)gn_tcache_probe(toy->view, gn_gva(toy->pc));
}

/* Code that was written is executed from here on: through the dispatcher. */
static const struct step *run_fence(struct toy *toy, const struct step *s)
{
    toy->pc = s->target;
    return NULL;
}

static const struct step *run_halt(struct toy *toy, const struct step *s)
{
    (void)s;
    toy->halted = 1;
    return NULL;
}

static const struct step *run_exit(struct toy *toy, const struct step *s)
{
    if (s->link != (uintptr_t)s &&
        (!s->far || toy->view->ids[gn_tcache_page_index(s->target)] == s->guard))
        return (const struct step *)(uintptr_t)s->link;
    toy->pc = s->target;
    toy->left_by = s->exit;
    return NULL;
}

/* ---- Translation: from pc to what leaves the block, or the page's end ---------------------- */

static const run_t runs[] = {run_halt,  run_out, run_li,   run_add,    run_sub,  run_load,
                             run_store, run_bne, run_call, run_return, run_fence};

struct translation {
    const struct gn_tcache_room *room;
    struct gn_tcache_exit exits[2];
    uint32_t steps, exit_count;
};

static struct step *add_step(struct translation *t, run_t run)
{
    struct step *s = (struct step *)(void *)t->room->code + t->steps++;

    *s = (struct step){.run = run};
    return s;
}

static void add_exit(struct translation *t, uint64_t from, uint64_t target)
{
    const uint32_t at = t->steps * (uint32_t)sizeof(struct step);
    struct step *s = add_step(t, run_exit);

    s->target = target % MEMORY;
    s->exit = t->room->exit_first + t->exit_count;
    s->link = t->room->exec + at;
    s->guard = GN_TCACHE_ID_NONE;
    s->far = from >> GN_PAGE_SHIFT != s->target >> GN_PAGE_SHIFT;
    t->exits[t->exit_count++] = (struct gn_tcache_exit){
        .target = gn_gva(s->target),
        .jump = at + (uint32_t)offsetof(struct step, link),
        .guard = at + (uint32_t)offsetof(struct step, guard),
        .stub = at,
        .flags = s->far ? GN_TCACHE_EXIT_GUARDED : 0,
    };
}

/* @return the address after the instructions that were translated */
static uint64_t emit(struct toy *toy, struct translation *t, uint64_t pc)
{
    const uint64_t start = pc;

    for (;;) {
        struct step *s;
        uint32_t insn;

        memcpy(&insn, &toy->memory[pc], sizeof insn);
        s = add_step(t, OP(insn) <= FENCE ? runs[OP(insn)] : run_halt);
        s->insn = insn;
        pc += 4;
        s->target = pc;
        if (OP(insn) == BNE || OP(insn) == CALL)
            add_exit(t, start, OP(insn) == CALL ? IMM(insn) & ~3u : pc);
        if (OP(insn) == BNE)
            add_exit(t, start, pc - 4 + REL(insn));
        if (OP(insn) == HALT || OP(insn) > STORE)
            return pc;
        if (pc % GN_PAGE_SIZE == 0 || t->steps >= 32) {
            add_exit(t, start, pc);
            return pc;
        }
    }
}

static void translate(struct toy *toy, struct gn_tcache_block *block)
{
    const struct gn_tcache_key key = {{toy->pc}, {toy->pc}, 0, 0};
    struct gn_tcache_room room;
    struct translation t = {.room = &room};
    struct gn_tcache_code code = {GN_TCACHE_CODE_INIT};

    if (gn_tcache_block_begin(toy->tc, 0, &key, &room))
        abort(); /* with one vCPU there always is room */
    code.guest_first = (uint32_t)(toy->pc & GN_PAGE_MASK);
    code.guest_size = (uint32_t)(emit(toy, &t, toy->pc) - toy->pc);
    code.code_size = t.steps * (uint32_t)sizeof(struct step);
    code.exit_count = t.exit_count;
    code.exits = t.exits;
    if (gn_tcache_block_commit(toy->tc, 0, &code, block))
        abort();
}

/* The op by which the cache links and unlinks exits. */
static void patch(void *ctx, const struct gn_tcache_patch *p)
{
    (void)ctx;
    memcpy(p->jump, &p->target, sizeof p->target);
    if (p->guard)
        memcpy(p->guard, &p->id, sizeof p->id);
}

/* ---- The dispatcher ------------------------------------------------------------------------ */

/* What is to be executed at toy->pc. */
static const struct step *enter(struct toy *toy)
{
    const gn_gva_t pc = gn_gva(toy->pc);
    gn_tcache_handle_t exit = gn_tcache_exit_get(toy->tc, toy->left_by);
    struct gn_tcache_block block;
    int found = gn_tcache_lookup(toy->tc, 0, pc, &block);

    if (found == GN_TCACHE_UNMAPPED) {
        /* Here a real guest's page tables would be walked. This one has none. */
        if (gn_tcache_view_map(toy->tc, 0, pc, gn_gpa(pc.v)))
            abort();
        found = gn_tcache_lookup(toy->tc, 0, pc, &block);
    }
    if (found != GN_TCACHE_FOUND)
        translate(toy, &block);
    if (exit && gn_tcache_exit_link(toy->tc, 0, exit, block.handle) < 0)
        abort();
    toy->entered++;
    return (const struct step *)(uintptr_t)block.entry;
}

static void run(struct toy *toy)
{
    while (!toy->halted) {
        const struct step *step;

        if (gn_tcache_quiesce(toy->tc, 0))
            abort();
        step = enter(toy);
        toy->left_by = UINT32_MAX;
        while (step)
            step = step->run(toy, step);
    }
}

/* Adds up 1 to 1000 by a function on another page; makes its ADD a SUB; takes all off again. */
static void load_program(struct toy *toy)
{
    static const uint32_t program[] = {
        INSN(LI, 1, 0xe8, 0x03),       /*  0: r1 = 1000 */
        INSN(LI, 2, 1, 0),             /*  4: r2 = 1 */
        INSN(CALL, 15, 0x00, 0x20),    /*  8: r3 += r1, by the function at 0x2000 */
        INSN(SUB, 1, 1, 2),            /* 12: r1 -= r2 */
        INSN(BNE, 1, 0, (uint8_t)-2),  /* 16: until it is r0, which is 0: to 8 */
        INSN(OUT, 3, 0, 0),            /* 20 */
        INSN(BNE, 7, 0, 9),            /* 24: the second time: to 60 */
        INSN(LI, 4, 64, 0),            /* 28 */
        INSN(LOAD, 5, 4, 0),           /* 32: r5 = the instruction at 64 */
        INSN(LI, 6, 0x00, 0x20),       /* 36 */
        INSN(STORE, 5, 6, 0),          /* 40: the function begins with it from now on */
        INSN(FENCE, 0, 0, 0),          /* 44 */
        INSN(LI, 7, 1, 0),             /* 48 */
        INSN(LI, 1, 0xe8, 0x03),       /* 52: r1 = 1000 */
        INSN(BNE, 1, 0, (uint8_t)-12), /* 56: to 8 */
        INSN(HALT, 0, 0, 0),           /* 60 */
        INSN(SUB, 3, 3, 1),            /* 64: not executed here */
    };
    static const uint32_t function[] = {INSN(ADD, 3, 3, 1), INSN(RETURN, 15, 0, 0)};

    memcpy(toy->memory, program, sizeof program);
    memcpy(toy->memory + 0x2000, function, sizeof function);
}

int main(void)
{
    static _Alignas(64) uint8_t code[CODE];
    static struct toy toy = {.left_by = UINT32_MAX};
    static const struct gn_tcache_ops ops = {GN_TCACHE_OPS_INIT, .patch = patch};
    const struct gn_tcache_params params = {GN_TCACHE_PARAMS_INIT,
                                            .code = code,
                                            .code_size = CODE,
                                            .regions = 4,
                                            .block_size = 40 * sizeof(struct step),
                                            .views = 1,
                                            .ops = &ops};
    struct gn_tcache_stats stats = {GN_TCACHE_STATS_INIT};
    void *memory = aligned_alloc(gn_tcache_align(), gn_tcache_size(&params));

    if (!memory || gn_tcache_init(memory, gn_tcache_size(&params), &params, &toy.tc) ||
        gn_tcache_online(toy.tc, 0) || gn_tcache_view_load(toy.tc, 0, 0, 0, &toy.view))
        return 1;
    load_program(&toy);
    run(&toy);
    if (gn_tcache_stats_get(toy.tc, &stats))
        return 1;
    printf("%llu blocks, %llu links, %llu of them guarded; %llu blocks dropped since they were "
           "written; the dispatcher was needed %llu times\n",
           (unsigned long long)stats.blocks_made, (unsigned long long)stats.links,
           (unsigned long long)stats.links_guarded, (unsigned long long)stats.blocks_written,
           (unsigned long long)toy.entered);
    gn_tcache_fini(toy.tc);
    free(memory);
    return toy.r[3] == 0 && stats.blocks_written == 1 ? 0 : 1;
}
