/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Arithmetic, minimum and maximum, sign injection. x86-64 computes and accrues exceptions as RISC-V
 * does, tininess after rounding included, except that a NaN result is to be the canonical one. So
 * each result is compared with itself, and what is unordered goes behind the block.
 *
 * Scalar instructions leave the upper bits of their first operand alone: a result computed in a
 * register that has a boxed single is boxed.
 */

#include "fp_emit.h"

#define SCALAR(i)   ((i)->d ? X86_F2 : X86_F3)
#define COMPARED(i) ((i)->d ? SSE_PACKED_D : 0)

static bool has_fma(void)
{
    return __builtin_cpu_supports("avx") && __builtin_cpu_supports("fma");
}

/* The canonical NaN is in place of any other. */
static void canonical(struct rv64_emit *e, const struct fp_insn *i, uint32_t xmm)
{
    uint8_t *unordered;

    x86_rr(&e->a, SSE_UCOMI | COMPARED(i), xmm, xmm);
    unordered = x86_jcc_later(&e->a, X86_P);
    rv64_fp_slow_nan(e, unordered, xmm, i->d);
}

static bool binary(struct rv64_emit *e, const struct fp_insn *i, int32_t op)
{
    bool commutes = op == SSE_ADD || op == SSE_MUL;
    uint32_t a = i->rs1;
    uint32_t b = i->rs2;
    uint32_t to;

    rv64_fp_unbox(e, a, i->d);
    rv64_fp_unbox(e, b, i->d);
    if (!rv64_fp_need_rounding(e, i->rm))
        return false;
    if (commutes && b == i->rd) {
        b = a;
        a = i->rd;
    }
    to = a != i->rd && b == i->rd ? FP_T0 : rv64_fp_target(e, i->rd, FP_T0);
    rv64_fp_move(e, to, rv64_fp_in(e, a, to));
    x86_op(&e->a, op | SCALAR(i), to, rv64_fp_operand(e, b));
    canonical(e, i, to);
    rv64_fp_result(e, i->rd, to, i->d);
    return true;
}

static bool square_root(struct rv64_emit *e, const struct fp_insn *i)
{
    uint32_t to = rv64_fp_target(e, i->rd, FP_T0);

    if (i->rs2)
        return false;
    rv64_fp_unbox(e, i->rs1, i->d);
    if (!rv64_fp_need_rounding(e, i->rm))
        return false;
    rv64_fp_move(e, to, rv64_fp_in(e, i->rs1, to));
    x86_rr(&e->a, SSE_SQRT | SCALAR(i), to, to);
    canonical(e, i, to);
    rv64_fp_result(e, i->rd, to, i->d);
    return true;
}

/*
 * The operands stay as they are until it is known that C is not needed: infinity times zero plus a
 * quiet NaN is invalid for RISC-V.
 */
static bool fused(struct rv64_emit *e, const struct fp_insn *i)
{
    static const uint8_t ops[4] = {FMA_MADD, FMA_MSUB, FMA_NMADD, FMA_NMSUB};
    uint32_t a;
    uint32_t b;

    if (!has_fma())
        return false;
    rv64_fp_unbox(e, i->rs1, i->d);
    rv64_fp_unbox(e, i->rs2, i->d);
    rv64_fp_unbox(e, i->rs3, i->d);
    if (!rv64_fp_need_rounding(e, i->rm))
        return false;
    a = rv64_fp_in(e, i->rs1, FP_T1);
    b = rv64_fp_in(e, i->rs2, FP_T2);
    rv64_fp_move(e, FP_T0, rv64_fp_in(e, i->rs3, FP_T0));
    fma_rrr(&e->a, ops[i->raw >> 2 & 3], i->d, FP_T0, a, b);
    x86_rr(&e->a, SSE_UCOMI | COMPARED(i), FP_T0, FP_T0);
    rv64_fp_slow(e, FP_SLOW_EXECUTE, x86_jcc_later(&e->a, X86_P));
    rv64_fp_result(e, i->rd, FP_T0, i->d);
    return true;
}

/*
 * MINSD and MAXSD give the second operand for a NaN, and for zeros of whatever sign, and signal for
 * quiet NaNs; so the comparison comes first. Of equal operands, or-ed together the one with the
 * sign is the minimum, and-ed the one without is the maximum.
 */
static bool min_max(struct rv64_emit *e, const struct fp_insn *i)
{
    bool max = i->rm == 1;
    uint32_t b;
    uint8_t *differ;
    uint8_t *done;

    if (i->rm > 1)
        return false;
    rv64_fp_unbox(e, i->rs1, i->d);
    rv64_fp_unbox(e, i->rs2, i->d);
    rv64_fp_need(e, RV64_FP_LIVE);
    b = rv64_fp_in(e, i->rs2, FP_T1);
    rv64_fp_move(e, FP_T0, rv64_fp_in(e, i->rs1, FP_T0));
    x86_rr(&e->a, SSE_UCOMI | COMPARED(i), FP_T0, b);
    rv64_fp_slow(e, FP_SLOW_EXECUTE, x86_jcc_later(&e->a, X86_P));
    differ = x86_jcc_short(&e->a, X86_NE);
    x86_rr(&e->a, max ? SSE_AND : SSE_OR, FP_T0, b);
    done = x86_jmp_short(&e->a);
    x86_short_here(&e->a, differ);
    x86_rr(&e->a, (max ? SSE_MAX : SSE_MIN) | SCALAR(i), FP_T0, b);
    x86_short_here(&e->a, done);
    rv64_fp_result(e, i->rd, FP_T0, i->d);
    return true;
}

/* A register with itself: a copy, the opposite, the magnitude. */
static void sign_own(struct rv64_emit *e, const struct fp_insn *i)
{
    if (i->rm == 0) {
        rv64_fp_result(e, i->rd, rv64_fp_in(e, i->rs1, FP_T0), i->d);
        return;
    }
    x86_rr(&e->a, i->rm == 1 ? SSE_XOR : SSE_ANDN, FP_T0, rv64_fp_in(e, i->rs1, FP_T1));
    rv64_fp_result(e, i->rd, FP_T0, i->d);
}

/* rm is 0: copy b's sign, 1: its opposite, 2: a's sign where b has none, else its opposite. */
static bool sign_inject(struct rv64_emit *e, const struct fp_insn *i)
{
    uint64_t sign = i->d ? UINT64_C(1) << 63 : UINT64_C(1) << 31;
    uint32_t a;

    if (i->rm > 2)
        return false;
    rv64_fp_unbox(e, i->rs1, i->d);
    rv64_fp_unbox(e, i->rs2, i->d);
    rv64_fp_need(e, RV64_FP_DIRTY);
    if (i->rm || i->rs1 != i->rs2)
        rv64_fp_constant(e, FP_T0, sign);
    if (i->rs1 == i->rs2) {
        sign_own(e, i);
        return true;
    }
    rv64_fp_move(e, FP_T2, rv64_fp_in(e, i->rs2, FP_T2));
    a = rv64_fp_in(e, i->rs1, FP_T1);
    if (i->rm == 1)
        x86_rr(&e->a, SSE_XOR, FP_T2, FP_T0);
    x86_rr(&e->a, SSE_AND, FP_T2, FP_T0);
    if (i->rm == 2) {
        x86_rr(&e->a, SSE_XOR, FP_T2, a);
    } else {
        x86_rr(&e->a, SSE_ANDN, FP_T0, a);
        x86_rr(&e->a, SSE_OR, FP_T2, FP_T0);
    }
    rv64_fp_result(e, i->rd, FP_T2, i->d);
    return true;
}

bool rv64_fp_arith(struct rv64_emit *e, const struct fp_insn *i)
{
    if (i->raw >> 26 & 1)
        return false; /* neither single nor double */
    if ((i->raw & 0x7f) != 0x53)
        return fused(e, i);
    switch (i->raw >> 27) {
    case 0x00: return binary(e, i, SSE_ADD);
    case 0x01: return binary(e, i, SSE_SUB);
    case 0x02: return binary(e, i, SSE_MUL);
    case 0x03: return binary(e, i, SSE_DIV);
    case 0x04: return sign_inject(e, i);
    case 0x05: return min_max(e, i);
    case 0x0b: return square_root(e, i);
    default: return false;
    }
}
