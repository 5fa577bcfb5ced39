/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Multiplication and division (Unprivileged ISA 20191213, chapter 7). Where x86-64 traps, RISC-V
 * has results: those of divisors 0 and -1 are made apart. RAX, RDX and RCX are no homes.
 */

#include "emit.h"

/* The low half: any form of multiplication has the same. */
static void multiply(struct rv64_emit *e, const struct rv64_insn *d, bool word)
{
    int32_t w = word ? 0 : X86_W;
    uint32_t to = d->rd == d->rs2 ? X86_RAX : emit_target(d->rd, X86_RAX);

    if (!emit_has_home(d->rs1) || rv64_emit_home[d->rs1] != to)
        x86_op(&e->a, X86_MOV | w, to, emit_rm(d->rs1));
    x86_op(&e->a, X86_IMUL | w, to, emit_rm(d->rs2));
    if (word)
        x86_rr(&e->a, X86_MOVSXD | X86_W, to, to);
    emit_put(e, d->rd, to);
}

/* The high half. A signed times an unsigned: what the sign's weight adds is taken off. */
static void multiply_high(struct rv64_emit *e, const struct rv64_insn *d)
{
    emit_get(e, X86_RAX, d->rs1);
    x86_unary(&e->a, d->op == RV64_OP_MULH ? X86_IMUL1 : X86_MUL, X86_W, emit_rm(d->rs2));
    if (d->op == RV64_OP_MULHSU) {
        emit_get(e, X86_RCX, d->rs1);
        x86_shift_imm(&e->a, X86_SAR, X86_W, x86_reg(X86_RCX), 63);
        x86_op(&e->a, X86_AND | X86_W, X86_RCX, emit_rm(d->rs2));
        x86_rr(&e->a, X86_SUB | X86_W, X86_RDX, X86_RCX);
    }
    emit_put(e, d->rd, X86_RDX);
}

/* Divisor 0 or -1, in RCX: leaves the result in RAX. */
static void divide_specially(struct rv64_emit *e, const struct rv64_insn *d, bool rem, int32_t w)
{
    if (rem) { /* 0 if the divisor is -1, the dividend if it is 0 */
        x86_rr(&e->a, X86_XOR, X86_RAX, X86_RAX);
        x86_rr(&e->a, X86_TEST | w, X86_RCX, X86_RCX);
        x86_op(&e->a, (X86_CMOV + X86_E) | w, X86_RAX, emit_rm(d->rs1));
    } else { /* -dividend, or -1 */
        x86_op(&e->a, X86_MOV | w, X86_RAX, emit_rm(d->rs1));
        x86_unary(&e->a, X86_NEG, w, x86_reg(X86_RAX));
        x86_op(&e->a, X86_LEA | w, X86_RDX, x86_mem(X86_RCX, -1));
        x86_rr(&e->a, X86_TEST | w, X86_RCX, X86_RCX);
        x86_rr(&e->a, (X86_CMOV + X86_E) | w, X86_RAX, X86_RDX);
    }
}

static void divide_signed(struct rv64_emit *e, const struct rv64_insn *d, bool rem, int32_t w)
{
    uint8_t *special;
    uint8_t *end;

    x86_op(&e->a, X86_MOV | w, X86_RCX, emit_rm(d->rs2));
    x86_op(&e->a, X86_LEA | w, X86_RDX, x86_mem(X86_RCX, 1));
    x86_arith_imm(&e->a, X86_I_CMP, w, x86_reg(X86_RDX), 1);
    special = x86_jcc_short(&e->a, X86_BE);
    x86_op(&e->a, X86_MOV | w, X86_RAX, emit_rm(d->rs1));
    if (w)
        x86_u8(&e->a, 0x48);
    x86_u8(&e->a, 0x99); /* CQO, CDQ */
    x86_unary(&e->a, X86_IDIV, w, x86_reg(X86_RCX));
    if (rem)
        x86_rr(&e->a, X86_MOV | w, X86_RAX, X86_RDX);
    end = x86_jmp_short(&e->a);
    x86_short_here(&e->a, special);
    divide_specially(e, d, rem, w);
    x86_short_here(&e->a, end);
}

static void divide_unsigned(struct rv64_emit *e, const struct rv64_insn *d, bool rem, int32_t w)
{
    uint8_t *zero;
    uint8_t *end;

    x86_op(&e->a, X86_MOV | w, X86_RCX, emit_rm(d->rs2));
    x86_op(&e->a, X86_MOV | w, X86_RAX, emit_rm(d->rs1));
    x86_rr(&e->a, X86_TEST | w, X86_RCX, X86_RCX);
    zero = x86_jcc_short(&e->a, X86_E);
    x86_rr(&e->a, X86_XOR, X86_RDX, X86_RDX);
    x86_unary(&e->a, X86_DIV, w, x86_reg(X86_RCX));
    if (rem)
        x86_rr(&e->a, X86_MOV | w, X86_RAX, X86_RDX);
    end = x86_jmp_short(&e->a);
    x86_short_here(&e->a, zero);
    if (!rem) /* all ones; the remainder is the dividend, which RAX has */
        x86_op(&e->a, X86_LEA | w, X86_RAX, x86_mem(X86_RCX, -1));
    x86_short_here(&e->a, end);
}

static void divide(struct rv64_emit *e, const struct rv64_insn *d, bool is_signed, bool rem,
                   bool word)
{
    int32_t w = word ? 0 : X86_W;

    if (is_signed)
        divide_signed(e, d, rem, w);
    else
        divide_unsigned(e, d, rem, w);
    if (word)
        x86_rr(&e->a, X86_MOVSXD | X86_W, X86_RAX, X86_RAX);
    emit_put(e, d->rd, X86_RAX);
}

uint32_t rv64_emit_muldiv(struct rv64_emit *e)
{
    const struct rv64_insn *d = &e->insns[e->at].d;

    switch (d->op) {
    case RV64_OP_MUL: multiply(e, d, false); return 1;
    case RV64_OP_MULW: multiply(e, d, true); return 1;
    case RV64_OP_MULH:
    case RV64_OP_MULHSU:
    case RV64_OP_MULHU: multiply_high(e, d); return 1;
    case RV64_OP_DIV: divide(e, d, true, false, false); return 1;
    case RV64_OP_DIVU: divide(e, d, false, false, false); return 1;
    case RV64_OP_REM: divide(e, d, true, true, false); return 1;
    case RV64_OP_REMU: divide(e, d, false, true, false); return 1;
    case RV64_OP_DIVW: divide(e, d, true, false, true); return 1;
    case RV64_OP_DIVUW: divide(e, d, false, false, true); return 1;
    case RV64_OP_REMW: divide(e, d, true, true, true); return 1;
    case RV64_OP_REMUW: divide(e, d, false, true, true); return 1;
    default: return 0;
    }
}
