/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A block, from guest bytes to host code:
 *
 *     entry:  sub r13, instructions ; js budget
 *             ... the instructions, one after the other or in pairs ...
 *             jump to what follows
 *     behind: slow paths of memory accesses, budget, exits
 */

#include "emit.h"

static uint32_t emit_one(struct rv64_emit *e)
{
    static uint32_t (*const parts[])(struct rv64_emit *) = {
        rv64_emit_jump,   rv64_emit_integer,  rv64_emit_group,  rv64_emit_access, rv64_emit_muldiv,
        rv64_emit_atomic, rv64_emit_fp_quiet, rv64_emit_system, rv64_emit_fp,
    };

    for (uint32_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint32_t count = parts[i](e);

        if (count)
            return count;
    }
    return 0;
}

/*
 * The next page must be the one that was read, and say the same: else the instruction is
 * interpreted. So nobody needs to know that the block was made from bytes of that page.
 */
static void emit_straddle(struct rv64_emit *e)
{
    const struct emit_insn *insn = &e->insns[e->at];
    uint32_t index = rv64_view_page_index(insn->pc + 2);

    x86_op(&e->a, X86_MOV | X86_W, X86_RCX, CPU_MEM(jit.view));
    x86_op(&e->a, 0x81, X86_I_CMP,
           x86_mem(X86_RCX, (int32_t)(offsetof(struct rv64_view, pages) + 4 * index)));
    x86_u32(&e->a, e->source->next_id);
    e->straddle[0] = x86_jcc_later(&e->a, X86_NE);
    x86_mov_imm(&e->a, X86_RCX, (uintptr_t)e->source->next_page);
    x86_op(&e->a, 0x81 | X86_16, X86_I_CMP, x86_mem(X86_RCX, 0));
    x86_u8(&e->a, insn->raw >> 16);
    x86_u8(&e->a, insn->raw >> 24);
    e->straddle[1] = x86_jcc_later(&e->a, X86_NE);
}

static void emit_straddle_otherwise(struct rv64_emit *e)
{
    const uint32_t last = e->count - 1;

    if (!e->insns[last].straddles)
        return;
    x86_patch(e->straddle[0], e->a.at);
    x86_patch(e->straddle[1], e->a.at);
    x86_arith_imm(&e->a, X86_I_ADD, X86_W, x86_reg(REG_LEFT), (int32_t)emit_refund(e, last));
    x86_mov_imm(&e->a, X86_RCX, e->insns[last].pc);
    emit_jmp_thunk(e, THUNK_LEAVE_INTERPRET);
}

/* Other ways lead here: what is known is what they all know. */
static void emit_join(struct rv64_emit *e)
{
    const struct emit_insn *insn = &e->insns[e->at];

    e->words &= insn->words;
    e->fp.known &= insn->known;
    e->fp.boxed &= insn->boxed;
    e->flags_of = 0;
}

/* @return false: an instruction that nobody emits */
static bool emit_instructions(struct rv64_emit *e)
{
    while (e->at < e->count && !e->ended) {
        uint32_t flags_of;
        uint32_t words;
        uint32_t count;

        emit_here(e);
        if (e->insns[e->at].joined)
            emit_join(e);
        flags_of = e->flags_of;
        words = e->words;
        if (e->insns[e->at].straddles)
            emit_straddle(e);
        count = emit_one(e);
        if (!count || emit_full(e))
            return false;
        e->words = words;
        for (uint32_t i = e->at; i < e->at + count; i++)
            rv64_emit_note(e, &e->insns[i].d);
        /* The flags' word holds for one instruction. */
        if (e->flags_of == flags_of)
            e->flags_of = 0;
        e->at += count;
    }
    if (!e->ended) {
        const struct emit_insn *last = &e->insns[e->count - 1];

        rv64_emit_exit(e, last->pc + last->length, e->count);
    }
    return true;
}

/* The first instruction crosses into the next page, or is not emitted. */
static void emit_interpret(struct rv64_emit *e)
{
    x86_mov_imm(&e->a, X86_RCX, e->source->pc);
    emit_jmp_thunk(e, THUNK_LEAVE_INTERPRET);
}

static void emit_budget(struct rv64_emit *e, uint8_t *from)
{
    x86_patch(from, e->a.at);
    x86_arith_imm(&e->a, X86_I_ADD, X86_W, x86_reg(REG_LEFT), (int32_t)e->count);
    x86_mov_imm(&e->a, X86_RCX, e->source->pc);
    emit_jmp_thunk(e, THUNK_LEAVE_BUDGET);
}

static bool emit_block(struct rv64_emit *e)
{
    uint8_t *budget;

    if (emit_full(e))
        return false;
    if (!e->count) {
        emit_interpret(e);
        return true;
    }
    rv64_emit_fp_enter(e);
    rv64_emit_eager_entry(e);
    e->loop = e->a.at;
    e->block->fast = (uint32_t)(e->a.at - e->start);
    x86_arith_imm(&e->a, X86_I_SUB, X86_W, x86_reg(REG_LEFT), (int32_t)e->count);
    budget = x86_jcc_later(&e->a, X86_S);
    if (!emit_instructions(e))
        return false;
    e->cold = true;
    e->behind = e->a.at;
    emit_straddle_otherwise(e);
    rv64_emit_slow_paths(e);
    rv64_emit_fp_slow_paths(e);
    if (emit_full(e))
        return false;
    rv64_emit_fp_missing(e);
    emit_budget(e, budget);
    rv64_emit_skips(e);
    rv64_emit_exits(e);
    return !emit_full(e);
}

/* What is known before the first byte: the instructions, at most so many, and their f registers. */
static void begin(struct rv64_emit *e, const struct rv64_tr_code *code, uint32_t most)
{
    e->a.at = code->write;
    e->start = code->write;
    e->limit = code->write + code->room;
    e->exec = code->exec;
    e->most = most;
    e->count = 0;
    e->at = 0;
    e->flags_of = 0;
    e->words = 0;
    e->cold = false;
    e->ended = false;
    e->slow_count = 0;
    e->exit_count = 0;
    e->skip_count = 0;
    memset(e->block, 0, offsetof(struct rv64_tr_block, exits));
    rv64_emit_form(e);
    rv64_emit_fp_begin(e);
}

/* What is made of several instructions stands with the last of them. */
static void list(const struct rv64_emit *e, struct rv64_tr_listing *listing)
{
    const uint8_t *begin = e->start;

    listing->count = e->count;
    for (uint32_t i = 0; i < e->count; i++) {
        const struct emit_insn *insn = &e->insns[i];
        const uint8_t *next = i + 1 < e->count ? insn[1].code : e->behind;

        begin = insn->code ? insn->code : begin;
        listing->lines[i].pc = insn->pc;
        listing->lines[i].raw = insn->raw;
        listing->lines[i].length = insn->length;
        listing->lines[i].begin = (uint32_t)(begin - e->start);
        listing->lines[i].end = (uint32_t)((next ? next : begin) - e->start);
    }
}

int rv64_tr_emit_block(const struct rv64_tr_thunks *thunks, const struct rv64_tr_source *source,
                       const struct rv64_tr_code *code, struct rv64_tr_block *ret_block)
{
    uint32_t most = BLOCK_MAX - 1;
    struct rv64_emit e;

    e.thunks = thunks;
    e.source = source;
    e.block = ret_block;
    begin(&e, code, most);
    /* What is too large is made of fewer instructions. */
    while (!emit_block(&e)) {
        most /= 2;
        if (!most)
            return -1;
        begin(&e, code, most);
    }
    ret_block->size = (uint32_t)(e.a.at - code->write);
    ret_block->instructions = e.count;
    if (source->listing)
        list(&e, source->listing);
    return 0;
}
