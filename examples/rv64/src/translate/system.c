/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * CSRs, traps and fences: C does them. What changes the mode, or what is mapped, ends the block,
 * and its helper goes on elsewhere.
 */

#include "emit.h"

/* The argument of the helper: the instruction, which an illegal one has in xtval. */
static void call_with_raw(struct rv64_emit *e, uint32_t thunk)
{
    x86_mov_imm(&e->a, X86_RAX, e->insns[e->at].raw);
    rv64_emit_call(e, thunk, e->at);
}

/* The helper never comes back. */
static uint32_t leave(struct rv64_emit *e, uint32_t thunk)
{
    call_with_raw(e, thunk);
    e->ended = true;
    return 1;
}

uint32_t rv64_emit_system(struct rv64_emit *e)
{
    switch (e->insns[e->at].d.op) {
    case RV64_OP_CSR: call_with_raw(e, THUNK_CSR); return 1;
    case RV64_OP_ECALL: return leave(e, THUNK_ECALL);
    case RV64_OP_EBREAK:
    case RV64_OP_ILLEGAL: return leave(e, THUNK_EXCEPTION);
    case RV64_OP_SRET:
    case RV64_OP_MRET: return leave(e, THUNK_RETURN);
    case RV64_OP_SFENCE_VMA: return leave(e, THUNK_FENCE);
    case RV64_OP_FENCE_I: return leave(e, THUNK_FENCE_I);
    case RV64_OP_WFI: return leave(e, THUNK_WFI);
    default: return 0;
    }
}
