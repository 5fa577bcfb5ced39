/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Conversions, comparisons, and moves between integer and f registers.
 *
 * Where x86-64 cannot convert to an integer it gives the least one and accrues "invalid" alone, as
 * RISC-V does: C is then asked for the value. Unsigned formats are converted as 64 signed bits; so
 * what they do not hold is kept from the conversion, which would accrue "inexact".
 */

#include "fp_emit.h"

#define SCALAR(i)   ((i)->d ? X86_F2 : X86_F3)
#define COMPARED(i) ((i)->d ? SSE_PACKED_D : 0)
#define F_MEM(n)    CPU_AT((uint32_t)offsetof(struct rv64_cpu, f) + 8 * (n))

/* An integer result that is in RAX. */
static void put_x(struct rv64_emit *e, const struct fp_insn *i)
{
    if (i->rd)
        emit_put(e, i->rd, X86_RAX);
}

/* 2^63 and 2^32 - 1 as doubles: from, or above that, C converts. */
#define LIMIT_LU UINT64_C(0x43e0000000000000)
#define LIMIT_WU UINT64_C(0x41efffffffe00000)

/* Keeps from the conversion what is negative, even -0, or too large, or no number. */
static uint32_t check_unsigned(struct rv64_emit *e, const struct fp_insn *i, uint32_t from)
{
    bool is_long = i->rs2 == 3;

    if (!i->d) {
        x86_rr(&e->a, SSE_CVT_FORMAT | X86_F3, FP_T0, from);
        from = FP_T0;
    }
    x86_rr(&e->a, SSE_TO_GPR | X86_W, from, X86_RAX);
    x86_rr(&e->a, X86_TEST | X86_W, X86_RAX, X86_RAX);
    rv64_fp_slow(e, FP_SLOW_EXECUTE, x86_jcc_later(&e->a, X86_S));
    rv64_fp_constant(e, FP_T1, is_long ? LIMIT_LU : LIMIT_WU);
    x86_rr(&e->a, SSE_UCOMI | SSE_PACKED_D, FP_T1, from);
    rv64_fp_slow(e, FP_SLOW_EXECUTE, x86_jcc_later(&e->a, is_long ? X86_BE : X86_B));
    return from;
}

static bool to_integer(struct rv64_emit *e, const struct fp_insn *i)
{
    int32_t prefix = SCALAR(i);
    int32_t op = i->rm == RV64_RTZ ? SSE_TO_INT_RTZ : SSE_TO_INT;
    bool wide = i->rs2 != 0;
    uint32_t from;

    if (i->rs2 > 3)
        return false;
    rv64_fp_unbox(e, i->rs1, i->d);
    if (i->rm == RV64_RTZ)
        rv64_fp_need(e, RV64_FP_LIVE);
    else if (!rv64_fp_need_rounding(e, i->rm))
        return false;
    from = rv64_fp_in(e, i->rs1, FP_T0);
    if (i->rs2 & 1) {
        from = check_unsigned(e, i, from);
        prefix = X86_F2;
    }
    x86_rr(&e->a, op | prefix | (wide ? X86_W : 0), X86_RAX, from);
    if (i->rs2 == 0) {
        x86_arith_imm(&e->a, X86_I_CMP, 0, x86_reg(X86_RAX), INT32_MIN);
        rv64_fp_slow(e, FP_SLOW_EXECUTE, x86_jcc_later(&e->a, X86_E));
    } else if (i->rs2 == 2) {
        x86_mov_imm(&e->a, X86_RCX, UINT64_C(1) << 63);
        x86_rr(&e->a, X86_CMP | X86_W, X86_RAX, X86_RCX);
        rv64_fp_slow(e, FP_SLOW_EXECUTE, x86_jcc_later(&e->a, X86_E));
    }
    if (i->rs2 < 2)
        x86_rr(&e->a, X86_MOVSXD | X86_W, X86_RAX, X86_RAX);
    put_x(e, i);
    return true;
}

/* To double, 32 bits are exact, whatever the rounding. */
static bool from_integer(struct rv64_emit *e, const struct fp_insn *i)
{
    bool exact = i->d && i->rs2 < 2;
    uint32_t to = rv64_fp_target(e, i->rd, FP_T0);

    if (i->rs2 > 3 || i->rm == 5 || i->rm == 6)
        return false;
    if (exact && i->rm != RV64_DYN)
        rv64_fp_need(e, RV64_FP_DIRTY);
    else if (!rv64_fp_need_rounding(e, i->rm))
        return false;
    if (i->rs2 == 1) {
        x86_op(&e->a, X86_MOV, X86_RAX, emit_rm(i->rs1));
    } else {
        emit_get(e, X86_RAX, i->rs1);
    }
    if (i->rs2 == 3) {
        x86_rr(&e->a, X86_TEST | X86_W, X86_RAX, X86_RAX);
        rv64_fp_slow(e, FP_SLOW_EXECUTE, x86_jcc_later(&e->a, X86_S));
    }
    x86_rr(&e->a, SSE_EQUAL_32, to, to); /* boxed, if it is a single */
    x86_rr(&e->a, SSE_FROM_INT | SCALAR(i) | (i->rs2 ? X86_W : 0), to, X86_RAX);
    rv64_fp_result(e, i->rd, to, i->d);
    return true;
}

/* FCVT.S.D and FCVT.D.S; the latter is exact. */
static bool convert_format(struct rv64_emit *e, const struct fp_insn *i)
{
    uint32_t from;
    uint8_t *unordered;

    if (i->rs2 != (i->d ? 0u : 1u) || i->rm == 5 || i->rm == 6)
        return false;
    rv64_fp_unbox(e, i->rs1, !i->d);
    if (i->d && i->rm != RV64_DYN)
        rv64_fp_need(e, RV64_FP_LIVE);
    else if (!rv64_fp_need_rounding(e, i->rm))
        return false;
    from = rv64_fp_in(e, i->rs1, FP_T1);
    x86_rr(&e->a, SSE_EQUAL_32, FP_T0, FP_T0);
    x86_rr(&e->a, SSE_CVT_FORMAT | (i->d ? X86_F3 : X86_F2), FP_T0, from);
    x86_rr(&e->a, SSE_UCOMI | COMPARED(i), FP_T0, FP_T0);
    unordered = x86_jcc_later(&e->a, X86_P);
    rv64_fp_slow_nan(e, unordered, FP_T0, i->d);
    rv64_fp_result(e, i->rd, FP_T0, i->d);
    return true;
}

/* FMV.X.W and FMV.X.D: bits, boxed or not. */
static bool move_to_x(struct rv64_emit *e, const struct fp_insn *i)
{
    if (i->rs2 || i->rm)
        return false; /* FCLASS among them */
    rv64_fp_need(e, RV64_FP_DIRTY);
    if (!i->rd)
        return true;
    if (e->fp.home[i->rs1])
        x86_rr(&e->a, SSE_TO_GPR | X86_W, rv64_fp_in(e, i->rs1, FP_T0), X86_RAX);
    else
        x86_op(&e->a, X86_MOV | X86_W, X86_RAX, F_MEM(i->rs1));
    if (!i->d)
        x86_rr(&e->a, X86_MOVSXD | X86_W, X86_RAX, X86_RAX);
    put_x(e, i);
    return true;
}

/* FMV.W.X and FMV.D.X */
static bool move_from_x(struct rv64_emit *e, const struct fp_insn *i)
{
    uint32_t to = rv64_fp_target(e, i->rd, FP_T0);

    if (i->rs2 || i->rm)
        return false;
    rv64_fp_need(e, RV64_FP_DIRTY);
    if (i->d) {
        emit_get(e, X86_RAX, i->rs1);
    } else {
        x86_op(&e->a, X86_MOV, X86_RAX, emit_rm(i->rs1));
        x86_mov_imm(&e->a, X86_RCX, UINT64_C(0xffffffff00000000));
        x86_rr(&e->a, X86_OR | X86_W, X86_RAX, X86_RCX);
    }
    x86_rr(&e->a, SSE_FROM_GPR | X86_W, to, X86_RAX);
    rv64_fp_result(e, i->rd, to, i->d);
    return true;
}

bool rv64_fp_convert(struct rv64_emit *e, const struct fp_insn *i)
{
    if (i->raw >> 26 & 1 || (i->raw & 0x7f) != 0x53)
        return false;
    switch (i->raw >> 27) {
    case 0x08: return convert_format(e, i);
    case 0x18: return to_integer(e, i);
    case 0x1a: return from_integer(e, i);
    case 0x1c: return move_to_x(e, i);
    case 0x1e: return move_from_x(e, i);
    default: return false;
    }
}

/*
 * FEQ is quiet, FLT and FLE signal for every NaN, as UCOMISD and COMISD. Unordered sets ZF, PF and
 * CF: "above" and "above or equal" of the operands in turn are false then, "equal" needs PF clear.
 */
bool rv64_fp_compare(struct rv64_emit *e, const struct fp_insn *i)
{
    uint32_t a;
    uint32_t b;

    if (i->raw >> 26 & 1 || (i->raw & 0x7f) != 0x53 || i->raw >> 27 != 0x14 || i->rm > 2)
        return false;
    rv64_fp_unbox(e, i->rs1, i->d);
    rv64_fp_unbox(e, i->rs2, i->d);
    rv64_fp_need(e, RV64_FP_LIVE);
    a = rv64_fp_in(e, i->rs1, FP_T0);
    b = rv64_fp_in(e, i->rs2, FP_T1);
    x86_rr(&e->a, X86_XOR, X86_RAX, X86_RAX);
    if (i->rm == 2) {
        x86_rr(&e->a, X86_XOR, X86_RCX, X86_RCX);
        x86_rr(&e->a, SSE_UCOMI | COMPARED(i), a, b);
        x86_rr(&e->a, (X86_SET + X86_E) | X86_8, 0, X86_RAX);
        x86_rr(&e->a, (X86_SET + X86_NP) | X86_8, 0, X86_RCX);
        x86_rr(&e->a, X86_AND, X86_RAX, X86_RCX);
    } else {
        x86_rr(&e->a, SSE_COMI | COMPARED(i), b, a);
        x86_rr(&e->a, (X86_SET + (i->rm == 1 ? X86_A : X86_AE)) | X86_8, 0, X86_RAX);
    }
    put_x(e, i);
    return true;
}
