/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Calls and returns. A call of the guest is a call of the host, so that the host predicts where the
 * return leads, which is a return of the host, too. What a call has behind it asks whether the
 * guest returns there:
 *
 *     call:    call block                       return:  mov rax, ra ; ret
 *     behind:  cmp rax, PC ; je block at PC
 *              drops the frames, and asks the jump cache
 *
 * A frame, the host's return address, is no more than a prediction. It is right whoever returns
 * there, in whatever order, as long as the view is the one that was in force at the call and the
 * page of the PC is mapped as it was, since what is behind a call is an exit of its block as others
 * are: linked, and unlinked when one of the two blocks is dropped. So whatever leaves drops the
 * frames, and so does what C does that goes on elsewhere (traps, fences), if the view is another
 * then, or knows less than before: cpu->jit.stale. Memory of blocks is not used again, and a view
 * maps nothing anew, before translated code is left.
 * The frames lie on the stack of C, and are as many as there are instructions to the slice at most:
 * RV64_TR_SLICE. Below them is one that drops the frames, and asks the jump cache, too.
 */

#include "emit.h"

/* RA and T0 hold return addresses (RISC-V ISA manual vol. I, 2.5.1). */
static bool is_link(uint32_t reg)
{
    return reg == 1 || reg == 5;
}

bool rv64_emit_is_call(const struct rv64_emit *e, uint32_t rd)
{
    return is_link(rd) && !(e->thunks->without & RV64_TR_WITHOUT_RETURNS);
}

bool rv64_emit_is_return(const struct rv64_emit *e, const struct rv64_insn *d)
{
    return d->op == RV64_OP_JR && is_link(d->rs1) &&
           !(e->thunks->without & RV64_TR_WITHOUT_RETURNS);
}

/* What a return comes back to: RAX is the PC that it wants. */
static void behind_call(struct rv64_emit *e, uint64_t pc)
{
    if (e->thunks->counts)
        x86_op(&e->a, 0xff | X86_W, 0, CPU_MEM(jit.returns)); /* INC */
    if ((int64_t)pc == (int32_t)pc) {
        x86_arith_imm(&e->a, X86_I_CMP, X86_W, x86_reg(X86_RAX), (int32_t)pc);
    } else {
        x86_mov_imm(&e->a, X86_RCX, pc);
        x86_rr(&e->a, X86_CMP | X86_W, X86_RAX, X86_RCX);
    }
    rv64_emit_exit_returned(e, x86_jcc_later(&e->a, X86_E), pc);
    emit_jmp_thunk(e, THUNK_RETURN_MISSED);
    e->ended = true;
}

void rv64_emit_call_direct(struct rv64_emit *e, uint64_t target, uint64_t behind)
{
    rv64_emit_exit_from(e, x86_call_later(&e->a), target);
    behind_call(e, behind);
}

void rv64_emit_call_indirect(struct rv64_emit *e, uint64_t behind)
{
    uint8_t *place = x86_call_later(&e->a);

    behind_call(e, behind);
    x86_patch(place, e->a.at);
    rv64_emit_site(e);
}

void rv64_emit_return(struct rv64_emit *e)
{
    x86_u8(&e->a, 0xc3); /* RET */
    e->ended = true;
}
