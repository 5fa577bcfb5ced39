/* SPDX-License-Identifier: BSD-3-Clause */

/* Floating point, by calls of C. */

#include "emit.h"

uint32_t rv64_emit_fp(struct rv64_emit *e)
{
    const struct emit_insn *insn = &e->insns[e->at];
    uint32_t thunk;

    switch (insn->d.op) {
    case RV64_OP_FP: thunk = THUNK_FP; break;
    case RV64_OP_FLW:
    case RV64_OP_FLD: thunk = THUNK_FP_LOAD; break;
    case RV64_OP_FSW:
    case RV64_OP_FSD: thunk = THUNK_FP_STORE; break;
    default: return 0;
    }
    x86_mov_imm(&e->a, X86_RAX, insn->raw);
    rv64_emit_call(e, thunk, e->at);
    return 1;
}
