/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * CSRs, traps and fences. C does them, but for CSRs that are nothing but a word of the hart, and
 * for what the kernel does all the time: looking at sstatus, and changing its SIE. What changes the
 * mode, or what is mapped, ends the block, and its helper goes on elsewhere.
 */

#include "../csr.h"
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

/* A CSR that is read and written as it stands, but for bits that stay 0. */
struct plain {
    uint16_t csr;
    uint16_t offset;
    int32_t mask; /* what can be written */
};

#define PLAIN(name, member, writable)                                                           \
    {                                                                                           \
        .csr = RV64_CSR_##name, .offset = offsetof(struct rv64_cpu, member), .mask = (writable) \
    }

static const struct plain plains[] = {
    PLAIN(SSCRATCH, sscratch, -1), PLAIN(SEPC, sepc, -2),     PLAIN(SCAUSE, scause, -1),
    PLAIN(STVAL, stval, -1),       PLAIN(STVEC, stvec, -3),   PLAIN(MSCRATCH, mscratch, -1),
    PLAIN(MEPC, mepc, -2),         PLAIN(MCAUSE, mcause, -1), PLAIN(MTVAL, mtval, -1),
};

static const struct plain *find_plain(uint32_t csr)
{
    for (uint32_t i = 0; i < sizeof plains / sizeof *plains; i++)
        if (plains[i].csr == csr)
            return &plains[i];
    return NULL;
}

/* What a CSR instruction does. */
struct csr_use {
    uint32_t csr;
    uint32_t kind; /* 1: swap, 2: set, 3: clear */
    bool immediate;
    uint32_t rd;     /* 0: the value is not wanted */
    uint32_t source; /* a register, or the immediate */
};

static struct csr_use csr_use(uint32_t raw)
{
    return (struct csr_use){.csr = raw >> 20,
                            .kind = raw >> 12 & 3,
                            .immediate = raw >> 14 & 1,
                            .rd = raw >> 7 & 31,
                            .source = raw >> 15 & 31};
}

/* Swaps and reads of plain CSRs. @return whether it was one */
static bool csr_plain(struct rv64_emit *e, const struct csr_use *use)
{
    const struct plain *p = find_plain(use->csr);

    if (!p || (use->kind != 1 && use->source) || (use->kind == 1 && use->immediate))
        return false;
    if (use->kind == 1)
        emit_get(e, X86_RCX, use->source);
    if (use->rd) {
        x86_op(&e->a, X86_MOV | X86_W, X86_RAX, CPU_AT(p->offset));
        emit_put(e, use->rd, X86_RAX);
    }
    if (use->kind != 1)
        return true;
    if (p->mask != -1)
        x86_arith_imm(&e->a, X86_I_AND, X86_W, x86_reg(X86_RCX), p->mask);
    x86_op(&e->a, X86_MOV_STORE | X86_W, X86_RCX, CPU_AT(p->offset));
    return true;
}

static void call_sstatus(struct rv64_emit *e, uint32_t rd)
{
    if (!rd)
        return;
    emit_call_thunk(e, THUNK_SSTATUS);
    emit_put(e, rd, X86_RAX);
}

/* Interrupts may become enabled: one that is pending is C's affair. */
static void none_pending(struct rv64_emit *e, struct emit_slow *slow)
{
    x86_op(&e->a, X86_MOV | X86_W, X86_RAX, CPU_MEM(mip));
    x86_op(&e->a, X86_TEST | X86_W, X86_RAX, CPU_MEM(mie));
    slow->from[slow->from_count++] = x86_jcc_later(&e->a, X86_NE);
}

/* CSRRSI and CSRRCI of SIE alone. */
static void change_sie(struct rv64_emit *e, const struct csr_use *use)
{
    struct emit_slow *slow;

    if (use->kind == 3) {
        call_sstatus(e, use->rd);
        x86_arith_imm(&e->a, X86_I_AND, X86_W, CPU_MEM(mstatus), ~(int32_t)RV64_MSTATUS_SIE);
        return;
    }
    slow = rv64_emit_slow(e);
    none_pending(e, slow);
    call_sstatus(e, use->rd);
    x86_arith_imm(&e->a, X86_I_OR, X86_W, CPU_MEM(mstatus), (int32_t)RV64_MSTATUS_SIE);
    emit_slow_back(e, slow);
}

/* CSRRS and CSRRC by a register, without a result: SIE alone is changed here, other bits by C. */
static void change_by(struct rv64_emit *e, const struct csr_use *use)
{
    struct emit_slow *slow = rv64_emit_slow(e);

    emit_get(e, X86_RCX, use->source);
    x86_op(&e->a, 0xf7 | X86_W, 0, x86_reg(X86_RCX)); /* TEST r/m64, imm32 */
    x86_u32(&e->a, ~(uint32_t)RV64_MSTATUS_SIE);
    slow->from[slow->from_count++] = x86_jcc_later(&e->a, X86_NE);
    if (use->kind == 2) {
        none_pending(e, slow);
        x86_op(&e->a, (X86_OR + X86_ARITH_STORE) | X86_W, X86_RCX, CPU_MEM(mstatus));
    } else {
        x86_unary(&e->a, X86_NOT, X86_W, x86_reg(X86_RCX));
        x86_op(&e->a, (X86_AND + X86_ARITH_STORE) | X86_W, X86_RCX, CPU_MEM(mstatus));
    }
    emit_slow_back(e, slow);
}

/* @return whether the instruction is one of these */
static bool csr_sstatus(struct rv64_emit *e, const struct csr_use *use)
{
    if (use->csr != RV64_CSR_SSTATUS || use->kind == 1)
        return false;
    if (!use->source)
        call_sstatus(e, use->rd);
    else if (use->immediate && use->source == RV64_MSTATUS_SIE)
        change_sie(e, use);
    else if (!use->immediate && !use->rd)
        change_by(e, use);
    else
        return false;
    return true;
}

static void csr(struct rv64_emit *e)
{
    const struct csr_use use = csr_use(e->insns[e->at].raw);
    bool allowed = (e->source->mode & RV64_MODE_PRIV) >= (use.csr >> 8 & 3);

    if (rv64_emit_fp_flags(e, e->insns[e->at].raw))
        return;
    if (!allowed || (!csr_plain(e, &use) && !csr_sstatus(e, &use)))
        call_with_raw(e, THUNK_CSR);
    /* Its slow path may have come back with another FS. */
    e->fp.known = 0;
}

uint32_t rv64_emit_system(struct rv64_emit *e)
{
    switch (e->insns[e->at].d.op) {
    case RV64_OP_CSR: csr(e); return 1;
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
