/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Branches, jumps, and the ways out of a block. An exit into the page that the block is in needs
 * nothing but a jump, since both are the same page wherever it is mapped. An exit into another page
 * asks the view whether that page is still the one that was linked.
 */

#include "emit.h"

/* Adds an exit that the jump at `from` takes, after `done` instructions. */
static void add_exit(struct rv64_emit *e, uint8_t *from, uint64_t target, uint32_t done)
{
    e->exits[e->exit_count++] =
        (struct emit_exit){.from = from, .target = target, .refund = emit_refund(e, done)};
}

void rv64_emit_exit(struct rv64_emit *e, uint64_t target, uint32_t done)
{
    add_exit(e, x86_jmp_later(&e->a), target, done);
}

void rv64_emit_exit_from(struct rv64_emit *e, uint8_t *from, uint64_t target)
{
    add_exit(e, from, target, e->count);
}

void rv64_emit_exit_returned(struct rv64_emit *e, uint8_t *from, uint64_t target)
{
    e->exits[e->exit_count++] =
        (struct emit_exit){.from = from, .target = target, .returned = true};
}

static bool is_near(const struct rv64_emit *e, uint64_t target)
{
    return (target & ~GN_PAGE_MASK) == (e->source->pc & ~GN_PAGE_MASK);
}

/* The guard: is the page where it was? The ID it compares with is the link's, none at first. */
static uint8_t *guard(struct rv64_emit *e, uint64_t target, uint32_t *ret_id)
{
    int32_t at = (int32_t)(offsetof(struct rv64_view, pages) + 4 * rv64_view_page_index(target));

    x86_op(&e->a, X86_MOV | X86_W, X86_RCX, CPU_MEM(jit.view));
    x86_op(&e->a, 0x81, X86_I_CMP, x86_mem(X86_RCX, at));
    *ret_id = (uint32_t)(e->a.at - e->start);
    x86_u32(&e->a, RV64_PAGE_ID_NONE);
    return x86_jcc_later(&e->a, X86_NE);
}

static void finish_exit(struct rv64_emit *e, const struct emit_exit *exit)
{
    uint32_t index = e->block->exit_count++;
    struct rv64_tr_exit *ret = &e->block->exits[index];
    uint8_t *patch = exit->from;
    uint8_t *guards = NULL;

    *ret = (struct rv64_tr_exit){
        .target = exit->target, .kind = RV64_EXIT_NEAR, .returned = exit->returned};
    if (exit->refund || e->thunks->eager || !is_near(e, exit->target)) {
        x86_patch(exit->from, e->a.at);
        if (!exit->returned)
            rv64_emit_eager_exit(e);
        if (exit->refund)
            x86_arith_imm(&e->a, X86_I_ADD, X86_W, x86_reg(REG_LEFT), (int32_t)exit->refund);
        if (!is_near(e, exit->target)) {
            ret->kind = RV64_EXIT_FAR;
            guards = guard(e, exit->target, &ret->guard);
        }
        patch = x86_jmp_later(&e->a);
    }
    ret->patch = (uint32_t)(patch - e->start);
    ret->stub = (uint32_t)(e->a.at - e->start);
    x86_patch(patch, e->a.at);
    if (guards)
        x86_patch(guards, e->a.at);
    x86_mov_imm(&e->a, X86_RCX, exit->target);
    x86_mov_imm(&e->a, X86_RAX, e->source->token + index);
    emit_jmp_thunk(e, THUNK_LEAVE_EDGE);
}

void rv64_emit_skips(struct rv64_emit *e)
{
    for (uint32_t i = 0; i < e->skip_count; i++) {
        const struct emit_skip *skip = &e->skips[i];

        x86_patch(skip->from, e->a.at);
        x86_arith_imm(&e->a, X86_I_ADD, X86_W, x86_reg(REG_LEFT), (int32_t)skip->refund);
        x86_patch(x86_jmp_later(&e->a), e->insns[skip->to].code);
    }
}

void rv64_emit_exits(struct rv64_emit *e)
{
    for (uint32_t i = 0; i < e->exit_count && !emit_full(e); i++) {
        const struct emit_exit *exit = &e->exits[i];

        /* A loop: no link, for nothing can come between a block and itself. */
        if (exit->target == e->source->pc && !exit->refund && !e->thunks->eager)
            x86_patch(exit->from, e->loop);
        else
            finish_exit(e, exit);
    }
}

/* Branches, by RV64_OP_ less BEQ_FAR. */
static const uint8_t conditions[] = {X86_E, X86_NE, X86_L, X86_GE, X86_B, X86_AE};

/* The condition of 0 < x and 0 >= x, by the sign of a test of x. */
static uint32_t condition_of(struct rv64_emit *e, const struct rv64_insn *d)
{
    uint32_t cc = conditions[d->op - RV64_OP_BEQ_FAR];

    if (e->flags_of && d->rs1 == e->flags_of && d->rs2 == 0 && (cc == X86_E || cc == X86_NE))
        return e->flags_cc ^ (cc == X86_E);
    if (d->rs1 == 0 && d->rs2 != 0) {
        static const uint8_t swapped[16] = {
            [X86_E] = X86_E,   [X86_NE] = X86_NE, [X86_L] = X86_G,
            [X86_GE] = X86_LE, [X86_B] = X86_A,   [X86_AE] = X86_BE};

        rv64_emit_compare(e, d->rs2, 0);
        return swapped[cc];
    }
    rv64_emit_compare(e, d->rs1, d->rs2);
    return cc;
}

/* Adds a way over the next count - 1 instructions. */
static void add_skip(struct rv64_emit *e, uint8_t *from, uint32_t count)
{
    struct emit_insn *to = &e->insns[e->at + count];

    to->words &= e->words;
    to->known &= e->fp.known;
    to->boxed &= e->fp.boxed;
    e->skips[e->skip_count++] =
        (struct emit_skip){.from = from, .to = e->at + count, .refund = count - 1};
}

static void branch(struct rv64_emit *e, const struct emit_insn *insn)
{
    uint32_t cc = condition_of(e, &insn->d);
    uint64_t target = insn->pc + (uint64_t)(int64_t)insn->d.imm;

    if (insn->skips)
        add_skip(e, x86_jcc_later(&e->a, cc), insn->skips);
    else
        add_exit(e, x86_jcc_later(&e->a, cc), target, e->at + 1);
}

static void jump_register(struct rv64_emit *e, const struct emit_insn *insn)
{
    const struct rv64_insn *d = &insn->d;
    const uint64_t behind = insn->pc + insn->length;

    if (d->imm && emit_has_home(d->rs1)) {
        x86_op(&e->a, X86_LEA | X86_W, X86_RAX, x86_mem(rv64_emit_home[d->rs1], d->imm));
    } else {
        emit_get(e, X86_RAX, d->rs1);
        if (d->imm)
            x86_arith_imm(&e->a, X86_I_ADD, X86_W, x86_reg(X86_RAX), d->imm);
    }
    if (rv64_emit_is_return(e, d)) {
        rv64_emit_eager_exit(e);
        rv64_emit_return(e);
        return;
    }
    x86_arith_imm(&e->a, X86_I_AND, X86_W, x86_reg(X86_RAX), -2);
    if (d->op == RV64_OP_JALR) {
        x86_mov_imm(&e->a, X86_RCX, behind);
        emit_put(e, d->rd, X86_RCX);
    }
    rv64_emit_eager_exit(e);
    if (d->op == RV64_OP_JALR && rv64_emit_is_call(e, d->rd))
        rv64_emit_call_indirect(e, behind);
    else
        rv64_emit_site(e);
    e->ended = true;
}

/* AUIPC and JALR through the same register: a call or a tail call of anything. */
static bool is_direct(const struct rv64_emit *e, const struct emit_insn *insn)
{
    const struct rv64_insn *next = &insn[1].d;

    return emit_next(e) && (next->op == RV64_OP_JALR || next->op == RV64_OP_JR) &&
           next->rs1 == insn->d.rd;
}

/* A jump or call that ends the block. */
static void leave(struct rv64_emit *e, const struct emit_insn *last, uint64_t target, bool links)
{
    uint64_t behind = last->pc + last->length;

    if (links)
        rv64_emit_constant(e, last->d.rd, behind);
    if (links && rv64_emit_is_call(e, last->d.rd))
        rv64_emit_call_direct(e, target, behind);
    else
        rv64_emit_exit(e, target, e->count);
    e->ended = true;
}

static uint32_t jump_pair(struct rv64_emit *e, const struct emit_insn *insn)
{
    const struct emit_insn *jump = &insn[1];
    uint64_t upper = insn->pc + (uint64_t)(int64_t)insn->d.imm;

    if (!is_direct(e, insn))
        return 0;
    if (jump->d.rd != insn->d.rd)
        rv64_emit_constant(e, insn->d.rd, upper);
    leave(e, jump, (upper + (uint64_t)(int64_t)jump->d.imm) & ~UINT64_C(1),
          jump->d.op == RV64_OP_JALR);
    return 2;
}

/* A jump that the block follows leaves nothing to do. */
static void jump(struct rv64_emit *e, const struct emit_insn *insn)
{
    uint64_t target = insn->pc + (uint64_t)(int64_t)insn->d.imm;

    if (e->at + 1 < e->count && e->insns[e->at + 1].pc == target)
        return;
    leave(e, insn, target, insn->d.op == RV64_OP_JAL_FAR);
}

uint32_t rv64_emit_jump(struct rv64_emit *e)
{
    const struct emit_insn *insn = &e->insns[e->at];

    switch (insn->d.op) {
    case RV64_OP_AUIPC: return jump_pair(e, insn);
    case RV64_OP_J_FAR:
    case RV64_OP_JAL_FAR: jump(e, insn); return 1;
    case RV64_OP_JR:
    case RV64_OP_JALR: jump_register(e, insn); return 1;
    case RV64_OP_BEQ_FAR:
    case RV64_OP_BNE_FAR:
    case RV64_OP_BLT_FAR:
    case RV64_OP_BGE_FAR:
    case RV64_OP_BLTU_FAR:
    case RV64_OP_BGEU_FAR: branch(e, insn); return 1;
    default: return 0;
    }
}
