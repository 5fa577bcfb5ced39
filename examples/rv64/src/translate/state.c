/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Where guest registers are. Between blocks x registers are in their homes, if they have one, and
 * memory is stale; f registers are where cpu->jit says, two bits each. Before C looks: in memory.
 */

#include "emit.h"
#include "fp_emit.h"

/*
 * Homes go to the registers that compiled code uses most. Base registers do not get R12, which
 * takes a byte more as one; those of 32-bit computation get what needs no REX prefix.
 */
const uint8_t rv64_emit_home[33] = {
    X86_NONE, X86_NONE, X86_R11,  X86_NONE, X86_NONE, X86_NONE, X86_NONE, X86_NONE, /* zero .. t2 */
    X86_R14,  X86_R12,  X86_RDI,  X86_R10,  X86_R9,   X86_R8,   X86_RSI,  X86_RBX,  /* s0 .. a5 */
    X86_NONE, X86_NONE, X86_NONE, X86_NONE, X86_NONE, X86_NONE, X86_NONE, X86_NONE, /* a6 .. s7 */
    X86_NONE, X86_NONE, X86_NONE, X86_NONE, X86_NONE, X86_NONE, X86_NONE, X86_NONE, /* s8 .. t6 */
    X86_NONE,
};

/*
 * More f registers than homes, so that two or three share one. What compilers use first (fa5 down
 * to fa0, then the other temporaries) shares with what they use last.
 */
#define F(n) (FP_HOME_FIRST + (n))
const uint8_t rv64_emit_f_home[32] = {
    F(8), F(9), F(10), F(11), F(12), F(5), F(4), F(3), /* ft0 .. ft7 */
    F(7), F(6), F(5),  F(4),  F(3),  F(2), F(1), F(0), /* fs0, fs1, fa0 .. fa5 */
    F(6), F(7), F(12), F(11), F(10), F(9), F(8), F(4), /* fa6, fa7, fs2 .. fs7 */
    F(3), F(2), F(1),  F(0),  F(6),  F(7), F(5), F(2), /* fs8 .. fs11, ft8 .. ft11 */
};
#undef F

/* Where an f register has its place. */
#define F_MEM(n) CPU_AT((uint32_t)offsetof(struct rv64_cpu, f) + 8 * (n))

/* Homes to memory, of the registers in EAX. */
static void emit_f_stores(struct x86 *a)
{
    for (uint32_t group = 0; group < 32; group += 8) {
        uint8_t *none;

        x86_u8(a, 0xa9); /* TEST EAX, imm32 */
        x86_u32(a, 0xffu << group);
        none = x86_jcc_later(a, X86_E);
        for (uint32_t f = group; f < group + 8; f++) {
            uint8_t *next = x86_unless_bit(a, X86_RAX, f);

            x86_op(a, SSE_STORE_D, rv64_emit_f_home[f], F_MEM(f));
            x86_short_here(a, next);
        }
        x86_patch(none, a->at);
    }
}

static void emit_call(struct x86 *a, const uint8_t *to)
{
    x86_u8(a, 0xe8);
    a->at += 4;
    x86_patch(a->at - 4, to);
}

/* Has memory all, and homes nothing: they are lost next. RAX is kept. */
void rv64_emit_f_thunk(struct x86 *a)
{
    x86_u8(a, 0x50);                                  /* PUSH RAX */
    x86_op(a, 0xff | X86_W, 0, CPU_MEM(jit.f_saves)); /* INC */
    x86_op(a, X86_MOV, X86_RAX, CPU_MEM(jit.f_unsaved));
    emit_f_stores(a);
    x86_store_imm(a, CPU_MEM(jit.f_valid), 0);
    x86_u8(a, 0x58); /* POP RAX */
    x86_u8(a, 0xc3); /* RET */
}

void rv64_emit_f_save(struct x86 *a, const uint8_t *f_save)
{
    uint8_t *none;

    x86_arith_imm(a, X86_I_CMP, X86_W, CPU_MEM(jit.f_valid), 0);
    none = x86_jcc_short(a, X86_E);
    emit_call(a, f_save);
    x86_short_here(a, none);
}

void rv64_emit_state_save(struct x86 *a, const uint8_t *f_save)
{
    rv64_emit_f_save(a, f_save);
    for (uint32_t reg = 1; reg < 32; reg++)
        if (emit_has_home(reg))
            x86_op(a, X86_MOV_STORE | X86_W, rv64_emit_home[reg], CPU_AT(reg * 8));
    x86_op(a, X86_MOV_STORE | X86_W, REG_LEFT, CPU_MEM(jit.left));
}

void rv64_emit_state_load(struct x86 *a)
{
    for (uint32_t reg = 1; reg < 32; reg++)
        if (emit_has_home(reg))
            x86_op(a, X86_MOV | X86_W, rv64_emit_home[reg], CPU_AT(reg * 8));
    x86_op(a, X86_MOV | X86_W, REG_LEFT, CPU_MEM(jit.left));
    rv64_backend_load(a);
}

static uint32_t written_x(const struct emit_insn *insn)
{
    uint32_t rd = insn->d.rd;

    /* These two are not taken apart; what is no x register does no harm. */
    if (insn->d.op == RV64_OP_FP || insn->d.op == RV64_OP_CSR)
        rd = insn->raw >> 7 & 31;
    return rd < 32 ? UINT32_C(1) << rd : 0;
}

static void emit_eager(struct x86 *a, int32_t x_op, uint32_t x, int32_t f_op, uint32_t f)
{
    for (uint32_t reg = 0; reg < 32; reg++) {
        if (x >> reg & 1 && emit_has_home(reg))
            x86_op(a, x_op | X86_W, rv64_emit_home[reg], CPU_AT(reg * 8));
        if (f >> reg & 1)
            x86_op(a, f_op, rv64_emit_f_home[reg], F_MEM(reg));
    }
}

void rv64_emit_eager_entry(struct rv64_emit *e)
{
    uint32_t used = 0;

    if (!e->thunks->eager)
        return;
    e->eager_written = 0;
    for (uint32_t i = 0; i < e->count; i++) {
        const struct rv64_insn *d = &e->insns[i].d;

        e->eager_written |= written_x(&e->insns[i]);
        used |= UINT32_C(1) << (d->rs1 & 31) | UINT32_C(1) << (d->rs2 & 31);
    }
    emit_eager(&e->a, X86_MOV, used | e->eager_written, SSE_LOAD_D, (uint32_t)e->fp.state);
    if (e->fp.state) {
        x86_mov_imm(&e->a, X86_RCX, e->fp.state);
        x86_op(&e->a, X86_MOV_STORE | X86_W, X86_RCX, CPU_MEM(jit.f_valid));
    }
}

void rv64_emit_eager_exit(struct rv64_emit *e)
{
    if (!e->thunks->eager)
        return;
    emit_eager(&e->a, X86_MOV_STORE, e->eager_written, SSE_STORE_D, (uint32_t)(e->fp.state >> 32));
    if (e->fp.state)
        x86_store_imm(&e->a, CPU_MEM(jit.f_valid), 0);
}

void rv64_emit_constant(struct rv64_emit *e, uint32_t rd, uint64_t value)
{
    if (emit_has_home(rd)) {
        x86_mov_imm(&e->a, rv64_emit_home[rd], value);
    } else if ((int64_t)value == (int32_t)value) {
        x86_store_imm(&e->a, emit_rm(rd), (int32_t)value);
    } else {
        x86_mov_imm(&e->a, X86_RAX, value);
        emit_put(e, rd, X86_RAX);
    }
}
