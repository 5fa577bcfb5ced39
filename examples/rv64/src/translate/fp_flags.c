/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * FRFLAGS and FSFLAGS, which compilers put around each comparison that is to be quiet. While MXCSR
 * is the guest's the flags are those in it and those in fcsr. One that writes back what was read
 * finds nothing to clear in MXCSR, and leaves it as it is, which is most of what it would cost.
 */

#include "fp_emit.h"

#define SCRATCH x86_mem(X86_RSP, -8)
#define STMXCSR 3
#define LDMXCSR 2

/* EAX = the flags in MXCSR; RDX is written. The table stands behind the thunk. */
static uint8_t *mxcsr_flags(struct x86 *a)
{
    uint8_t *table;

    x86_op(a, 0x0fae, STMXCSR, SCRATCH);
    x86_op(a, X86_MOV, X86_RAX, SCRATCH);
    x86_arith_imm(a, X86_I_AND, 0, x86_reg(X86_RAX), 63);
    x86_u8(a, 0x48); /* LEA RDX, [RIP + distance] */
    x86_u8(a, 0x8d);
    x86_u8(a, 0x15);
    table = a->at;
    a->at += 4;
    x86_op(a, X86_MOVZX_8, X86_RAX, x86_mem_index(X86_RDX, X86_RAX, 0, 0));
    return table;
}

static void table_here(struct x86 *a, uint8_t *place)
{
    x86_patch(place, a->at);
    for (uint32_t mxcsr = 0; mxcsr < 64; mxcsr++)
        x86_u8(a, rv64_fp_flags(mxcsr));
}

void rv64_fp_thunk_read_flags(struct x86 *a)
{
    uint8_t *table = mxcsr_flags(a);

    x86_op(a, X86_OR, X86_RAX, CPU_MEM(fcsr));
    x86_arith_imm(a, X86_I_AND, 0, x86_reg(X86_RAX), 31);
    x86_u8(a, 0xc3); /* RET */
    table_here(a, table);
}

void rv64_fp_thunk_write_flags(struct x86 *a)
{
    uint8_t *table;
    uint8_t *done;

    x86_arith_imm(a, X86_I_AND, 0, x86_reg(X86_RCX), 31);
    table = mxcsr_flags(a);
    x86_rr(a, X86_MOV, X86_RDX, X86_RCX);
    x86_unary(a, X86_NOT, 0, x86_reg(X86_RDX));
    x86_rr(a, X86_TEST, X86_RAX, X86_RDX);
    done = x86_jcc_short(a, X86_E);
    x86_arith_imm(a, X86_I_AND, 0, SCRATCH, -64);
    x86_op(a, 0x0fae, LDMXCSR, SCRATCH);
    x86_short_here(a, done);
    x86_op(a, X86_MOV, X86_RAX, CPU_MEM(fcsr));
    x86_arith_imm(a, X86_I_AND, 0, x86_reg(X86_RAX), -32);
    x86_rr(a, X86_OR, X86_RAX, X86_RCX);
    x86_op(a, X86_MOV_STORE | X86_W, X86_RAX, CPU_MEM(fcsr));
    x86_u8(a, 0xc3); /* RET */
    table_here(a, table);
}

/* C does it while MXCSR is not the guest's: FRFLAGS is not to make FS Dirty. */
static struct emit_slow *when_live(struct rv64_emit *e)
{
    struct emit_slow *slow;

    if (e->fp.known & RV64_FP_LIVE)
        return NULL;
    slow = rv64_emit_slow(e);
    x86_op(&e->a, 0xf6, 0, CPU_MEM(jit.fp)); /* TEST with a byte */
    x86_u8(&e->a, RV64_FP_LIVE);
    slow->from[slow->from_count++] = x86_jcc_later(&e->a, X86_E);
    return slow;
}

/* A comparison that signals for NaNs, FLT or FLE: its x register, or 32 if it is none. */
static uint32_t compared_to(const struct emit_insn *insn)
{
    const uint32_t raw = (uint32_t)insn->d.imm;

    if (insn->d.op != RV64_OP_FP || (raw & 0x7f) != 0x53 || raw >> 27 != 0x14 || raw >> 26 & 1 ||
        (raw >> 12 & 7) > 1)
        return 32;
    return raw >> 7 & 31;
}

static bool is_alone(const struct emit_insn *insn)
{
    return insn->straddles || insn->joined;
}

/* FRFLAGS t; FLT or FLE; FSFLAGS t: a comparison that leaves the flags as they were. */
static bool is_quiet(const struct rv64_emit *e)
{
    const struct emit_insn *insn = &e->insns[e->at];
    const uint32_t raw = insn->raw, t = raw >> 7 & 31;

    return e->at + 2 < e->count && insn->d.op == RV64_OP_CSR && t &&
           (raw & 0xfffff07f) == 0x00102073 && !insn->straddles && !is_alone(insn + 1) &&
           !is_alone(insn + 2) && compared_to(insn + 1) < 32 && compared_to(insn + 1) != t &&
           insn[2].raw == (0x00101073 | t << 15);
}

/*
 * UCOMISD changes no flag of the guest's unless an operand is a NaN: then the result is 0, and the
 * flags are written back behind the block.
 */
uint32_t rv64_emit_fp_quiet(struct rv64_emit *e)
{
    struct fp_insn i;
    uint32_t a;
    uint32_t b;

    if (!is_quiet(e))
        return 0;
    i = rv64_fp_take_apart(&e->insns[e->at + 1]);
    e->fp.slow_first = e->fp.slow_count;
    rv64_fp_need(e, RV64_FP_LIVE);
    rv64_fp_unbox(e, i.rs1, i.d);
    rv64_fp_unbox(e, i.rs2, i.d);
    emit_call_thunk(e, THUNK_READ_FLAGS);
    emit_put(e, e->insns[e->at].raw >> 7 & 31, X86_RAX);
    a = rv64_fp_in(e, i.rs1, FP_T0);
    b = rv64_fp_in(e, i.rs2, FP_T1);
    x86_rr(&e->a, X86_XOR, X86_RAX, X86_RAX);
    x86_rr(&e->a, SSE_UCOMI | (i.d ? SSE_PACKED_D : 0), b, a);
    rv64_fp_slow(e, FP_SLOW_QUIET, x86_jcc_later(&e->a, X86_P));
    x86_rr(&e->a, (X86_SET + (i.rm == 1 ? X86_A : X86_AE)) | X86_8, 0, X86_RAX);
    if (i.rd)
        emit_put(e, i.rd, X86_RAX);
    rv64_fp_slow_here(e);
    return 3;
}

void rv64_fp_slow_quiet(struct rv64_emit *e, uint32_t index)
{
    const uint32_t rd = compared_to(&e->insns[index + 1]);

    emit_get(e, X86_RCX, e->insns[index].raw >> 7 & 31);
    emit_call_thunk(e, THUNK_WRITE_FLAGS);
    if (rd)
        rv64_emit_constant(e, rd, 0);
}

bool rv64_emit_fp_flags(struct rv64_emit *e, uint32_t raw)
{
    const uint32_t kind = raw >> 12 & 3, rd = raw >> 7 & 31, source = raw >> 15 & 31;
    bool write = kind == 1;
    struct emit_slow *slow;

    if (raw >> 20 != RV64_CSR_FFLAGS || (!write && source))
        return false;
    slow = when_live(e);
    if (rd)
        emit_call_thunk(e, THUNK_READ_FLAGS);
    if (write && raw >> 14 & 1)
        x86_mov_imm(&e->a, X86_RCX, source);
    else if (write)
        emit_get(e, X86_RCX, source);
    if (rd)
        emit_put(e, rd, X86_RAX);
    if (write)
        emit_call_thunk(e, THUNK_WRITE_FLAGS);
    if (slow) {
        emit_slow_back(e, slow);
        e->fp.known = 0;
    }
    return true;
}
