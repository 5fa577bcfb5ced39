/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Chains: loads from addresses that were loaded, as in a walk of a list. The latency of a link is
 * what the walk takes, and the TLB's entry would be a load more in it. So a link adds what its
 * context expects, which waits for nobody, and a branch makes sure that the entry says the same
 * (<gnomon/softmmu_inline.h>). One that strays takes what the entry says, and tells the MMU now and
 * then.
 */

#include "emit.h"

/* Does an instruction write the register? More may seem to than do. */
static bool writes(const struct rv64_insn *d, uint32_t reg)
{
    return !emit_is_store(d->op) && d->op != RV64_OP_FP && !rv64_emit_fp_is_access(d->op) &&
           d->rd == reg;
}

/* The last of [first, end) that writes a register, or end. */
static uint32_t writer_of(const struct rv64_emit *e, uint32_t reg, uint32_t first, uint32_t end)
{
    uint32_t i = end;

    while (i > first)
        if (writes(&e->insns[--i].d, reg))
            return i;
    return end;
}

/* Does the block come back to its begin? */
static bool is_loop(const struct rv64_emit *e)
{
    const struct emit_insn *last = &e->insns[e->count - 1];
    const bool jumps = last->d.op == RV64_OP_J_FAR ||
                       (last->d.op >= RV64_OP_BEQ_FAR && last->d.op <= RV64_OP_BGEU_FAR);

    return jumps && last->pc + (uint64_t)(int64_t)last->d.imm == e->source->pc;
}

/*
 * The base is looked for where it comes from: earlier in the loop, or in the turn before. Out of
 * loops, latency is hidden by what comes after, and a link is longer than another load.
 */
bool rv64_emit_is_link(const struct rv64_emit *e, uint32_t index)
{
    const struct rv64_insn *d = &e->insns[index].d;
    uint32_t from;

    if (d->op != RV64_OP_LD || e->thunks->without & RV64_TR_WITHOUT_WINDOWS || !is_loop(e))
        return false;
    from = writer_of(e, d->rs1, 0, index);
    if (from == index)
        from = writer_of(e, d->rs1, index, e->count);
    return from < e->count && e->insns[from].d.op == RV64_OP_LD;
}

void rv64_emit_link(struct rv64_emit *e, struct emit_slow *slow, struct emit_stray stray)
{
    x86_op(&e->a, X86_MOV | X86_W, stray.to, rv64_backend_expected());
    x86_op(&e->a, X86_CMP | X86_W, stray.to, stray.entry);
    stray.from = x86_jcc_later(&e->a, X86_NE);
    stray.back = e->a.at;
    slow->stray[slow->stray_count++] = stray;
}

static void emit_stray(struct rv64_emit *e, const struct emit_stray *stray, uint32_t index)
{
    x86_patch(stray->from, e->a.at);
    x86_op(&e->a, X86_MOV | X86_W, stray->to, stray->entry);
    x86_arith_imm(&e->a, X86_I_SUB, 0, CPU_MEM(jit.strays), 1);
    x86_patch(x86_jcc_later(&e->a, X86_NS), stray->back);
    rv64_emit_address(e, stray->base, stray->offset);
    rv64_emit_call(e, THUNK_STRAY, index);
    rv64_emit_address(e, stray->base, stray->offset);
}

/* The MMU having been told, all of it is done again, by the slow path. */
void rv64_emit_strays(struct rv64_emit *e, const struct emit_slow *slow)
{
    uint8_t *told[sizeof slow->stray / sizeof *slow->stray];

    for (uint32_t i = 0; i < slow->stray_count; i++) {
        emit_stray(e, &slow->stray[i], slow->insn);
        if (i + 1 < slow->stray_count)
            told[i] = x86_jmp_later(&e->a);
    }
    for (uint32_t i = 0; i + 1 < slow->stray_count; i++)
        x86_patch(told[i], e->a.at);
}
