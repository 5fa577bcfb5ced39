/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Atomics. There is one hart, and devices run on its thread between instructions, so that a plain
 * read and a plain write are atomic to all who can look. The reservation is the hart's, as the
 * interpreter keeps it. A misaligned address, and what the probe does not find, are C's.
 */

#include "emit.h"

static void slow_jump(struct rv64_emit *e, struct emit_slow *slow, uint32_t cc)
{
    slow->from[slow->from_count++] = x86_jcc_later(&e->a, cc);
}

/* RAX = the address, aligned. */
static struct emit_slow *begin(struct rv64_emit *e, uint32_t size)
{
    struct emit_slow *slow = rv64_emit_slow(e);

    emit_get(e, X86_RAX, e->insns[e->at].d.rs1);
    x86_u8(&e->a, 0xa8); /* TEST AL, imm8 */
    x86_u8(&e->a, size - 1);
    slow_jump(e, slow, X86_NE);
    return slow;
}

/* RAX = the old value; the host address is RCX + RAX before. */
static void load_old(struct rv64_emit *e, uint32_t size, struct x86_rm from)
{
    x86_op(&e->a, size == 8 ? X86_MOV | X86_W : X86_MOVSXD | X86_W, X86_RAX, from);
}

static void load_reserved(struct rv64_emit *e, const struct rv64_insn *d, uint32_t size)
{
    struct emit_slow *slow = begin(e, size);

    rv64_emit_probe(e, slow, 1, GN_ACCESS_READ);
    x86_op(&e->a, X86_MOV_STORE | X86_W, X86_RAX, CPU_MEM(reservation));
    x86_op(&e->a, 0xc6, 0, CPU_MEM(reservation_valid)); /* MOV byte, imm8 */
    x86_u8(&e->a, 1);
    load_old(e, size, x86_mem_index(X86_RCX, X86_RAX, 0, 0));
    emit_put(e, d->rd, X86_RAX);
    emit_slow_back(e, slow);
}

/* One that fails is C's, too: it is rare. */
static void store_conditional(struct rv64_emit *e, const struct rv64_insn *d, uint32_t size)
{
    struct emit_slow *slow = begin(e, size);

    x86_op(&e->a, 0x80, X86_I_CMP, CPU_MEM(reservation_valid));
    x86_u8(&e->a, 0);
    slow_jump(e, slow, X86_E);
    x86_op(&e->a, X86_CMP | X86_W, X86_RAX, CPU_MEM(reservation));
    slow_jump(e, slow, X86_NE);
    rv64_emit_probe(e, slow, 1, GN_ACCESS_WRITE);
    x86_op(&e->a, size == 8 ? X86_MOV_STORE | X86_W : X86_MOV_STORE,
           emit_in_reg(e, d->rs2, X86_RDX), x86_mem_index(X86_RCX, X86_RAX, 0, 0));
    x86_op(&e->a, 0xc6, 0, CPU_MEM(reservation_valid));
    x86_u8(&e->a, 0);
    rv64_emit_constant(e, d->rd, 0);
    emit_slow_back(e, slow);
}

/* RDX = what is stored, of the old value in RAX and the operand in RDX. */
static void combine(struct rv64_emit *e, int32_t funct5, int32_t w)
{
    uint32_t keep = 0;

    switch (funct5) {
    case 0x00: x86_rr(&e->a, X86_ADD | w, X86_RDX, X86_RAX); return;
    case 0x01: return;
    case 0x04: x86_rr(&e->a, X86_XOR | w, X86_RDX, X86_RAX); return;
    case 0x08: x86_rr(&e->a, X86_OR | w, X86_RDX, X86_RAX); return;
    case 0x0c: x86_rr(&e->a, X86_AND | w, X86_RDX, X86_RAX); return;
    case 0x10: keep = X86_L; break;
    case 0x14: keep = X86_G; break;
    case 0x18: keep = X86_B; break;
    default: keep = X86_A; break;
    }
    x86_rr(&e->a, X86_CMP | w, X86_RAX, X86_RDX);
    x86_rr(&e->a, (X86_CMOV + (int32_t)keep) | w, X86_RDX, X86_RAX);
}

static void amo(struct rv64_emit *e, const struct rv64_insn *d, uint32_t size)
{
    int32_t w = size == 8 ? X86_W : 0;
    struct emit_slow *slow = begin(e, size);

    rv64_emit_probe(e, slow, 1, GN_ACCESS_WRITE);
    x86_rr(&e->a, X86_ADD | X86_W, X86_RCX, X86_RAX);
    load_old(e, size, x86_mem(X86_RCX, 0));
    emit_get(e, X86_RDX, d->rs2);
    combine(e, d->imm, w);
    x86_op(&e->a, X86_MOV_STORE | w, X86_RDX, x86_mem(X86_RCX, 0));
    emit_put(e, d->rd, X86_RAX);
    emit_slow_back(e, slow);
}

uint32_t rv64_emit_atomic(struct rv64_emit *e)
{
    const struct rv64_insn *d = &e->insns[e->at].d;

    switch (d->op) {
    case RV64_OP_LR_W: load_reserved(e, d, 4); return 1;
    case RV64_OP_LR_D: load_reserved(e, d, 8); return 1;
    case RV64_OP_SC_W: store_conditional(e, d, 4); return 1;
    case RV64_OP_SC_D: store_conditional(e, d, 8); return 1;
    case RV64_OP_AMO_W: amo(e, d, 4); return 1;
    case RV64_OP_AMO_D: amo(e, d, 8); return 1;
    default: return 0;
    }
}
