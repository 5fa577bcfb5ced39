/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * f registers in a block, what a block needs of MXCSR and FS, and slow paths: see fp.h, fp_mode.h.
 */

#include "fp_emit.h"

/* Where an f register has its place. */
#define F_AT(n)  ((uint32_t)offsetof(struct rv64_cpu, f) + 8 * (n))
#define F_MEM(n) CPU_AT(F_AT(n))

_Static_assert(offsetof(struct rv64_cpu, jit.f_unsaved) ==
                   offsetof(struct rv64_cpu, jit.f_valid) + 4,
               "one word of 64 bits");

/* A state as two sets: what has a home, and what of that is written. */
#define STATE(homes, written) ((homes) | (uint64_t)(written) << 32)
#define STATE_HOMES(state)    ((uint32_t)(state))
#define STATE_WRITTEN(state)  ((uint32_t)((state) >> 32))

struct fp_insn rv64_fp_take_apart(const struct emit_insn *insn)
{
    uint32_t raw = (uint32_t)insn->d.imm;

    return (struct fp_insn){
        .raw = raw,
        .rd = raw >> 7 & 31,
        .rs1 = raw >> 15 & 31,
        .rs2 = raw >> 20 & 31,
        .rs3 = raw >> 27,
        .rm = raw >> 12 & 7,
        .d = raw >> 25 & 1,
    };
}

/* Which of the fields are f registers; too many do no harm. @return whether rd is one of them */
static bool count_uses(const struct emit_insn *insn, uint32_t uses[32])
{
    struct fp_insn i = rv64_fp_take_apart(insn);
    uint32_t funct5 = i.raw >> 27;

    if ((i.raw & 0x7f) != 0x53) {
        uses[i.rs3]++;
    } else if (funct5 >= 0x10) {
        /* Conversions and moves: one side is an integer register. Of comparisons, rd is. */
        uses[funct5 & 2 ? i.rd : i.rs1]++;
        uses[i.rs2] += funct5 == 0x14;
        return funct5 & 2;
    }
    uses[i.rd]++;
    uses[i.rs1]++;
    uses[i.rs2]++;
    return true;
}

/* @return registers that are written */
static uint32_t count_all(struct rv64_emit *e, uint32_t uses[32])
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < e->count; i++) {
        const struct rv64_insn *d = &e->insns[i].d;

        switch (d->op) {
        case RV64_OP_FLW:
        case RV64_OP_FLD:
            uses[d->rd & 31]++;
            written |= 1u << (d->rd & 31);
            break;
        case RV64_OP_FSW:
        case RV64_OP_FSD: uses[d->rs2]++; break;
        case RV64_OP_FP:
            if (count_uses(&e->insns[i], uses))
                written |= 1u << ((uint32_t)d->imm >> 7 & 31);
            break;
        default: break;
        }
    }
    return written;
}

/* Those that share homes with these. */
static uint32_t sharers(uint32_t homes)
{
    uint32_t taken = 0, all = 0;

    for (uint32_t f = 0; f < 32; f++)
        taken |= (homes >> f & 1) << rv64_emit_f_home[f];
    for (uint32_t f = 0; f < 32; f++)
        all |= (taken >> rv64_emit_f_home[f] & 1) << f;
    return all & ~homes;
}

/* What a block with this state declares. */
static struct gn_regstate_block declaration(uint64_t state)
{
    const uint32_t homes = STATE_HOMES(state), others = sharers(homes);

    return (struct gn_regstate_block){
        .needs = {.valid = {{homes, 0}}, .saved = {{others, 0}}},
        .effect = {.writes = {{STATE_WRITTEN(state), 0}}, .loses = {{others, 0}}},
    };
}

/* The entry would do nothing: all is valid that must be, and known not to be saved. */
bool rv64_tr_fits(uint64_t from, uint64_t to)
{
    const struct gn_regstate_block before = declaration(from), next = declaration(to);
    const struct gn_regstate_set all = gn_regstate_first(32);
    struct gn_regstate_bounds bounds = {.most = {.valid = all, .saved = all}};
    struct gn_regstate_plan plan;

    return !gn_regstate_bounds_apply(&bounds, &before, &bounds) &&
           gn_regstate_edge(&bounds, &next.needs, &plan) == GN_REGSTATE_EDGE_FITS &&
           !(bounds.most.saved.word[0] & next.effect.writes.word[0]);
}

void rv64_emit_fp_begin(struct rv64_emit *e)
{
    struct emit_fp *fp = &e->fp;
    uint32_t uses[32] = {0}, taken = 0, homes = 0, written;

    memset(fp, 0, offsetof(struct emit_fp, slow));
    fp->slow_count = 0;
    fp->slow_first = 0;
    written = count_all(e, uses);
    for (;;) {
        uint32_t most = 0;

        for (uint32_t f = 1; f < 32; f++)
            if (uses[f] > uses[most])
                most = f;
        if (!uses[most])
            break;
        uses[most] = 0;
        if (taken >> rv64_emit_f_home[most] & 1)
            continue;
        taken |= 1u << rv64_emit_f_home[most];
        fp->home[most] = rv64_emit_f_home[most];
        homes |= 1u << most;
    }
    fp->state = STATE(homes, written & homes);
    e->block->state = fp->state;
}

static void emit_sets(struct x86 *a, uint32_t reg, uint32_t not_in, uint32_t in, struct x86_rm to)
{
    x86_arith_imm(a, X86_I_AND, 0, x86_reg(reg), (int32_t)~not_in);
    x86_arith_imm(a, X86_I_OR, 0, x86_reg(reg), (int32_t)in);
    x86_op(a, X86_MOV_STORE, reg, to);
}

/*
 * The plan of what is missing, found and carried out when it runs: what is needed and not valid is
 * loaded, once who shares its home is saved. To be called; writes RAX and RDX.
 */
static void emit_plan(struct rv64_emit *e)
{
    const uint32_t homes = STATE_HOMES(e->fp.state), others = sharers(homes);
    struct x86 *a = &e->a;

    e->fp.fix = a->at;
    x86_op(a, 0xff | X86_W, 0, CPU_MEM(jit.f_fixes)); /* INC */
    x86_op(a, X86_MOV, X86_RAX, CPU_MEM(jit.f_valid));
    x86_op(a, X86_MOV, X86_RDX, CPU_MEM(jit.f_unsaved));
    x86_unary(a, X86_NOT, 0, x86_reg(X86_RAX));
    for (uint32_t f = 0; f < 32; f++) {
        uint8_t *valid;

        if (!(homes >> f & 1))
            continue;
        valid = x86_unless_bit(a, X86_RAX, f);
        for (uint32_t g = 0; g < 32; g++)
            if (g != f && rv64_emit_f_home[g] == rv64_emit_f_home[f]) {
                uint8_t *saved = x86_unless_bit(a, X86_RDX, g);

                x86_op(a, SSE_STORE_D, rv64_emit_f_home[f], F_MEM(g));
                x86_short_here(a, saved);
            }
        x86_op(a, SSE_LOAD_D, rv64_emit_f_home[f], F_MEM(f));
        x86_short_here(a, valid);
    }
    x86_unary(a, X86_NOT, 0, x86_reg(X86_RAX));
    emit_sets(a, X86_RAX, others, homes, CPU_MEM(jit.f_valid));
    emit_sets(a, X86_RDX, others, STATE_WRITTEN(e->fp.state), CPU_MEM(jit.f_unsaved));
    x86_u8(a, 0xc3); /* RET */
}

void rv64_emit_fp_enter(struct rv64_emit *e)
{
    struct emit_fp *fp = &e->fp;

    if (!fp->state)
        return;
    emit_plan(e);
    e->block->entry = (uint32_t)(e->a.at - e->start);
    if (e->thunks->eager)
        return;
    /* All ones, or something is missing. */
    x86_mov_imm(&e->a, X86_RCX, ~fp->state);
    x86_op(&e->a, X86_OR | X86_W, X86_RCX, CPU_MEM(jit.f_valid));
    x86_op(&e->a, 0xff | X86_W, 0, x86_reg(X86_RCX)); /* INC */
    fp->missing = x86_jcc_later(&e->a, X86_NE);
}

static void emit_fix(struct rv64_emit *e)
{
    x86_u8(&e->a, 0xe8); /* CALL */
    e->a.at += 4;
    x86_patch(e->a.at - 4, e->fp.fix);
}

void rv64_emit_fp_missing(struct rv64_emit *e)
{
    if (!e->fp.missing)
        return;
    x86_patch(e->fp.missing, e->a.at);
    emit_fix(e);
    x86_patch(x86_jmp_later(&e->a), e->loop);
}

void rv64_emit_fp_called(struct rv64_emit *e)
{
    if (e->fp.fix)
        emit_fix(e);
    e->fp.boxed = 0;
    e->fp.known = 0;
}

static struct fp_slow *slow_add(struct rv64_emit *e, uint32_t kind, uint8_t *from)
{
    struct fp_slow *slow = &e->fp.slow[e->fp.slow_count++];

    *slow = (struct fp_slow){.from = {from}, .from_count = 1, .kind = (uint8_t)kind, .insn = e->at};
    return slow;
}

void rv64_fp_slow(struct rv64_emit *e, uint32_t kind, uint8_t *from)
{
    for (uint32_t i = e->fp.slow_count; i-- > e->fp.slow_first;) {
        struct fp_slow *slow = &e->fp.slow[i];

        if (slow->kind == kind) {
            slow->from[slow->from_count++] = from;
            return;
        }
    }
    slow_add(e, kind, from);
}

void rv64_fp_slow_nan(struct rv64_emit *e, uint8_t *from, uint32_t xmm, bool d)
{
    struct fp_slow *slow = slow_add(e, FP_SLOW_NAN, from);

    slow->xmm = (uint8_t)xmm;
    slow->d = d;
    slow->back = e->a.at;
}

void rv64_fp_slow_here(struct rv64_emit *e)
{
    for (uint32_t i = e->fp.slow_count; i-- > e->fp.slow_first;)
        if (e->fp.slow[i].kind == FP_SLOW_EXECUTE || e->fp.slow[i].kind >= FP_SLOW_ACCESS)
            e->fp.slow[i].back = e->a.at;
}

static void test_fp(struct rv64_emit *e, uint32_t bits)
{
    x86_op(&e->a, 0xf6, 0, CPU_MEM(jit.fp)); /* TEST with a byte */
    x86_u8(&e->a, bits);
}

void rv64_fp_need(struct rv64_emit *e, uint32_t bits)
{
    if ((e->fp.known & bits) == bits)
        return;
    test_fp(e, bits & RV64_FP_LIVE ? RV64_FP_LIVE : bits); /* live implies dirty */
    slow_add(e, FP_SLOW_REVIVE, x86_jcc_later(&e->a, X86_E))->d = bits & RV64_FP_LIVE;
    e->fp.slow[e->fp.slow_count - 1].back = e->a.at;
    e->fp.known |= RV64_FP_DIRTY | bits;
}

bool rv64_fp_need_rounding(struct rv64_emit *e, uint32_t rm)
{
    if (rm != RV64_DYN && rm > RV64_RUP)
        return false;
    rv64_fp_need(e, RV64_FP_LIVE);
    if (rm != RV64_DYN) {
        x86_op(&e->a, 0x80, X86_I_CMP, CPU_MEM(jit.fp));
        x86_u8(&e->a, RV64_FP_DIRTY | RV64_FP_LIVE | rm);
        rv64_fp_slow(e, FP_SLOW_EXECUTE, x86_jcc_later(&e->a, X86_NE));
    }
    return true;
}

uint32_t rv64_fp_in(struct rv64_emit *e, uint32_t f, uint32_t temporary)
{
    if (e->fp.home[f])
        return e->fp.home[f];
    x86_op(&e->a, SSE_LOAD_D, temporary, F_MEM(f));
    return temporary;
}

struct x86_rm rv64_fp_operand(struct rv64_emit *e, uint32_t f)
{
    return e->fp.home[f] ? x86_reg(e->fp.home[f]) : F_MEM(f);
}

/* One that is not boxed leaves the block, so that behind this it is known to be. */
void rv64_fp_unbox(struct rv64_emit *e, uint32_t f, bool d)
{
    if (d || e->fp.boxed >> f & 1)
        return;
    if (e->fp.home[f]) {
        x86_rr(&e->a, SSE_TO_GPR | X86_W, e->fp.home[f], X86_RAX);
        x86_shift_imm(&e->a, X86_SHR, X86_W, x86_reg(X86_RAX), 32);
        x86_arith_imm(&e->a, X86_I_CMP, 0, x86_reg(X86_RAX), -1);
    } else {
        x86_arith_imm(&e->a, X86_I_CMP, 0, CPU_AT(F_AT(f) + 4), -1);
    }
    rv64_fp_slow(e, FP_SLOW_INTERPRET, x86_jcc_later(&e->a, X86_NE));
    e->fp.boxed |= 1u << f;
}

uint32_t rv64_fp_target(struct rv64_emit *e, uint32_t rd, uint32_t temporary)
{
    return e->fp.home[rd] ? e->fp.home[rd] : temporary;
}

void rv64_fp_move(struct rv64_emit *e, uint32_t to, uint32_t from)
{
    if (to != from)
        x86_rr(&e->a, SSE_MOVE, to, from);
}

void rv64_fp_result(struct rv64_emit *e, uint32_t rd, uint32_t xmm, bool d)
{
    uint32_t home = e->fp.home[rd];

    if (home)
        rv64_fp_move(e, home, xmm);
    else
        x86_op(&e->a, SSE_STORE_D, xmm, F_MEM(rd));
    e->fp.boxed = d ? e->fp.boxed & ~(1u << rd) : e->fp.boxed | 1u << rd;
}

void rv64_fp_constant(struct rv64_emit *e, uint32_t xmm, uint64_t value)
{
    x86_mov_imm(&e->a, X86_RAX, value);
    x86_rr(&e->a, SSE_FROM_GPR | X86_W, xmm, X86_RAX);
}

static void load(struct rv64_emit *e, uint32_t f, bool d, struct x86_rm from)
{
    uint32_t xmm = rv64_fp_target(e, f, FP_T0);

    if (d) {
        x86_op(&e->a, SSE_LOAD_D, xmm, from);
    } else {
        /* All ones, and the lowest 32 bits from memory. */
        x86_op(&e->a, SSE_LOAD_S, FP_T1, from);
        x86_rr(&e->a, SSE_EQUAL_32, xmm, xmm);
        x86_rr(&e->a, SSE_LOAD_S, xmm, FP_T1);
    }
    rv64_fp_result(e, f, xmm, d);
}

bool rv64_emit_fp_is_access(uint32_t op)
{
    return op >= RV64_OP_FLW && op <= RV64_OP_FSD;
}

bool rv64_emit_fp_is_store(uint32_t op)
{
    return op == RV64_OP_FSW || op == RV64_OP_FSD;
}

bool rv64_emit_fp_is_on(const struct rv64_emit *e)
{
    return e->fp.known & RV64_FP_DIRTY;
}

/* Sums, differences, products, quotients; and signs. */
bool rv64_emit_fp_is_neutral(const struct rv64_emit *e, const struct rv64_insn *d)
{
    const uint32_t raw = (uint32_t)d->imm;
    const uint32_t rm = raw >> 12 & 7;

    if (d->op != RV64_OP_FP || (raw & 0x7f) != 0x53 || raw >> 26 & 1 ||
        !(e->fp.known & RV64_FP_LIVE))
        return false;
    return raw >> 27 == 0x04 ? rm < 3 : raw >> 27 < 4 && rm == RV64_DYN;
}

void rv64_emit_fp_transfer(struct rv64_emit *e, const struct rv64_insn *d, struct x86_rm host)
{
    bool wide = d->op == RV64_OP_FLD || d->op == RV64_OP_FSD;

    if (rv64_emit_fp_is_store(d->op))
        x86_op(&e->a, wide ? SSE_STORE_D : SSE_STORE_S, rv64_fp_in(e, d->rs2, FP_T0), host);
    else
        load(e, d->rd, wide, host);
}

/* A store leaves FS as it is; if nothing is known of that, C does it. */
static void access(struct rv64_emit *e, const struct rv64_insn *insn)
{
    bool store = rv64_emit_fp_is_store(insn->op);
    struct emit_slow missed = {.from_count = 0};

    if (!store) {
        rv64_fp_need(e, RV64_FP_DIRTY);
    } else if (!rv64_emit_fp_is_on(e)) {
        test_fp(e, RV64_FP_DIRTY);
        rv64_fp_slow(e, FP_SLOW_ACCESS, x86_jcc_later(&e->a, X86_E));
    }
    rv64_emit_address(e, insn->rs1, insn->imm);
    rv64_emit_probe(e, &missed, rv64_emit_size(insn->op), store ? GN_ACCESS_WRITE : GN_ACCESS_READ);
    for (uint32_t i = 0; i < missed.from_count; i++)
        rv64_fp_slow(e, FP_SLOW_ACCESS, missed.from[i]);
    rv64_emit_fp_transfer(e, insn, x86_mem_index(X86_RCX, X86_RAX, 0, 0));
}

void rv64_fp_execute(struct rv64_emit *e)
{
    x86_mov_imm(&e->a, X86_RAX, (uint32_t)e->insns[e->at].d.imm);
    rv64_emit_call(e, THUNK_FP, e->at);
}

uint32_t rv64_emit_fp(struct rv64_emit *e)
{
    const struct emit_insn *insn = &e->insns[e->at];
    struct fp_insn i = rv64_fp_take_apart(insn);

    /* A group has an instruction twice: what the other one's homes were is nothing to this one. */
    e->fp.slow_first = e->fp.slow_count;
    if (rv64_emit_fp_is_access(insn->d.op)) {
        access(e, &insn->d);
        rv64_fp_slow_here(e);
        return 1;
    }
    if (insn->d.op != RV64_OP_FP)
        return 0;
    if (!rv64_fp_arith(e, &i) && !rv64_fp_convert(e, &i) && !rv64_fp_compare(e, &i))
        rv64_fp_execute(e);
    rv64_fp_slow_here(e);
    return 1;
}

static void interpret(struct rv64_emit *e, uint32_t insn)
{
    x86_arith_imm(&e->a, X86_I_ADD, X86_W, x86_reg(REG_LEFT), (int32_t)emit_refund(e, insn));
    x86_mov_imm(&e->a, X86_RCX, e->insns[insn].pc);
    emit_jmp_thunk(e, THUNK_LEAVE_INTERPRET);
}

static void call(struct rv64_emit *e, const struct fp_slow *slow, uint32_t thunk, uint64_t argument)
{
    x86_mov_imm(&e->a, X86_RAX, argument);
    rv64_emit_call(e, thunk, slow->insn);
}

static void slow_path(struct rv64_emit *e, const struct fp_slow *slow)
{
    const struct emit_insn *insn = &e->insns[slow->insn];
    bool store = rv64_emit_fp_is_store(insn->d.op);

    switch (slow->kind) {
    case FP_SLOW_REVIVE: call(e, slow, slow->d ? THUNK_FP_LIVE : THUNK_FP_ON, insn->raw); return;
    case FP_SLOW_EXECUTE: call(e, slow, THUNK_FP, (uint32_t)insn->d.imm); return;
    case FP_SLOW_ACCESS: call(e, slow, store ? THUNK_FP_STORE : THUNK_FP_LOAD, insn->raw); return;
    case FP_SLOW_QUIET: rv64_fp_slow_quiet(e, slow->insn); return;
    case FP_SLOW_NAN: rv64_fp_constant(e, slow->xmm, slow->d ? FP_NAN_D : FP_NAN_S); return;
    default: interpret(e, slow->insn); return;
    }
}

void rv64_emit_fp_slow_paths(struct rv64_emit *e)
{
    for (uint32_t n = 0; n < e->fp.slow_count && !emit_full(e); n++) {
        const struct fp_slow *slow = &e->fp.slow[n];

        for (uint32_t i = 0; i < slow->from_count; i++)
            x86_patch(slow->from[i], e->a.at);
        slow_path(e, slow);
        if (slow->kind != FP_SLOW_INTERPRET)
            x86_patch(x86_jmp_later(&e->a), slow->back);
    }
}
