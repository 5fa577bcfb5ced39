/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Where guest registers are. Between blocks: in their homes, if they have one, and memory is stale.
 * Before C looks: in memory.
 */

#include "emit.h"

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

void rv64_emit_state_save(struct x86 *a)
{
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
    x86_op(a, X86_MOV | X86_W, REG_DATA, CPU_MEM(jit.data));
    x86_op(a, X86_MOV | X86_W, REG_DATA,
           x86_mem(REG_DATA, offsetof(struct gn_softmmu_window, slab)));
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
