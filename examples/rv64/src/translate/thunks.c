/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Code that all blocks share: the way in, the ways out, and the calls of C. Calls follow the System
 * V ABI. In blocks the stack pointer is a multiple of 8; a thunk that calls C makes it one of 16.
 */

#include "../csr.h"
#include "emit.h"
#include "fp_emit.h"

/* Where thunks go on in others, as written. */
struct shared {
    const uint8_t *leave;
    const uint8_t *go;
    const uint8_t *f_save;
};

/* What call.c has on the stack: a return address. */
#define FRAME 8

/* What enter() saves for its caller. */
static const uint8_t callee_saved[] = {X86_RBX, X86_RBP, X86_R12, X86_R13, X86_R14, X86_R15};

static void push(struct x86 *a, uint32_t reg)
{
    if (reg & 8)
        x86_u8(a, 0x41);
    x86_u8(a, 0x50 | (reg & 7));
}

static void pop(struct x86 *a, uint32_t reg)
{
    if (reg & 8)
        x86_u8(a, 0x41);
    x86_u8(a, 0x58 | (reg & 7));
}

/* Frames are as what is mapped from here on. */
static void emit_fresh(struct x86 *a)
{
    x86_op(a, 0xc6, 0, CPU_MEM(jit.stale)); /* MOV of a byte */
    x86_u8(a, 0);
}

/* The frame at the end of all: see call.c. */
static void emit_frames(struct x86 *a, uint64_t end)
{
    x86_mov_imm(a, X86_RCX, end);
    push(a, X86_RCX);
    x86_op(a, X86_MOV_STORE | X86_W, X86_RSP, CPU_MEM(jit.frames));
    emit_fresh(a);
}

/* The stack is what it was when enter() jumped to the block. */
static void emit_frames_drop(struct x86 *a)
{
    x86_op(a, X86_MOV | X86_W, X86_RSP, CPU_MEM(jit.frames));
}

/*
 * uint32_t enter(struct rv64_cpu *cpu, const uint8_t *entry)
 * @param end  where the last frame returns to, in the executable mapping
 */
static void emit_enter(struct x86 *a, uint64_t end)
{
    for (uint32_t i = 0; i < sizeof callee_saved; i++)
        push(a, callee_saved[i]);
    x86_op(a, X86_LEA | X86_W, REG_CPU, x86_mem(X86_RDI, CPU_BIAS));
    x86_rr(a, X86_MOV | X86_W, X86_RAX, X86_RSI);
    emit_frames(a, end);
    rv64_emit_state_load(a);
    x86_op(a, 0xff, 4, x86_reg(X86_RAX)); /* JMP */
}

static void settle(struct rv64_cpu *cpu)
{
    rv64_fp_settle(cpu);
}

/* Back to enter()'s caller; EAX is RV64_LEFT_*, all state is in memory. */
static void emit_return(struct x86 *a)
{
    uint8_t *settled;

    emit_frames_drop(a);
    x86_arith_imm(a, X86_I_ADD, X86_W, x86_reg(X86_RSP), FRAME);
    /* Six registers and the return address: the stack is 8 off. */
    x86_op(a, 0xf6, 0, CPU_MEM(jit.fp)); /* TEST with a byte */
    x86_u8(a, 0xff);
    settled = x86_jcc_short(a, X86_E);
    push(a, X86_RAX);
    x86_op(a, X86_LEA | X86_W, X86_RDI, x86_mem(REG_CPU, -CPU_BIAS));
    x86_mov_imm(a, X86_RAX, (uintptr_t)settle);
    x86_op(a, 0xff, 2, x86_reg(X86_RAX)); /* CALL */
    pop(a, X86_RAX);
    x86_short_here(a, settled);
    for (uint32_t i = sizeof callee_saved; i-- > 0;)
        pop(a, callee_saved[i]);
    x86_u8(a, 0xc3); /* RET */
}

/* Stores the state and leaves. */
static void emit_leave(struct x86 *a, uint32_t pc, uint32_t why, const struct shared *shared)
{
    x86_op(a, X86_MOV_STORE | X86_W, pc, CPU_MEM(pc));
    rv64_emit_state_save(a, shared->f_save);
    x86_mov_imm(a, X86_RAX, why);
    x86_patch(x86_jmp_later(a), shared->leave);
}

/* Asks the view for the block of the guest PC in RAX. */
static void emit_lookup(struct x86 *a, const uint8_t *miss)
{
    x86_op(a, X86_MOV | X86_W, X86_RCX, CPU_MEM(jit.view));
    x86_rr(a, X86_MOV, X86_RDX, X86_RAX);
    x86_shift_imm(a, X86_SHR, 0, x86_reg(X86_RDX), 7);
    x86_rr(a, X86_XOR, X86_RDX, X86_RAX);
    x86_arith_imm(a, X86_I_AND, 0, x86_reg(X86_RDX), (RV64_VIEW_JUMPS - 1) << 1);
    x86_op(a, X86_CMP | X86_W, X86_RAX, x86_mem_index(X86_RCX, X86_RDX, 3, 0));
    x86_patch(x86_jcc_later(a, X86_NE), miss);
    x86_op(a, 0xff, 4, x86_mem_index(X86_RCX, X86_RDX, 3, 8)); /* JMP */
}

/* What a lookup that missed does next: a jump may be at the other place of its pair. */
static void emit_second_lookup(struct x86 *a)
{
    uint8_t *missed;

    x86_arith_imm(a, X86_I_XOR, 0, x86_reg(X86_RDX), 2);
    x86_op(a, X86_CMP | X86_W, X86_RAX, x86_mem_index(X86_RCX, X86_RDX, 3, 0));
    missed = x86_jcc_short(a, X86_NE);
    x86_op(a, 0xff, 4, x86_mem_index(X86_RCX, X86_RDX, 3, 8)); /* JMP */
    x86_short_here(a, missed);
}

/*
 * Goes on at cpu->pc, all state being in memory. Frames stay if all that was mapped is, in the same
 * view.
 */
static void emit_go(struct x86 *a, const uint8_t *miss)
{
    x86_op(a, 0x80, X86_I_CMP, CPU_MEM(jit.stale)); /* a byte */
    x86_u8(a, 0);
    x86_op(a, X86_MOV | X86_W, X86_RSP, CPU_MEM(jit.stack));
    x86_op(a, X86_LEA | X86_W, X86_RSP, x86_mem(X86_RSP, 8)); /* the return to the block */
    x86_op(a, (X86_CMOV + X86_NE) | X86_W, X86_RSP, CPU_MEM(jit.frames));
    emit_fresh(a);
    rv64_emit_state_load(a);
    x86_op(a, X86_MOV | X86_W, X86_RAX, CPU_MEM(pc));
    emit_lookup(a, miss);
}

/* What rv64_emit_probe() does in line. */
static void emit_probe(struct x86 *a, const struct rv64_tr_thunks *thunks, uint32_t access)
{
    rv64_backend_find(a, thunks, X86_RCX, X86_RDX, 0, access);
    x86_op(a, X86_MOV | X86_W, X86_RCX, rv64_backend_delta(thunks, X86_RCX, access));
    x86_u8(a, 0xc3); /* RET */
}

/* RAX = sstatus: its part of mstatus, UXL, and SD if FS is Dirty. */
static void emit_sstatus(struct x86 *a)
{
    const uint64_t part = RV64_MSTATUS_SIE | RV64_MSTATUS_SPIE | RV64_MSTATUS_SPP |
                          RV64_MSTATUS_FS | RV64_MSTATUS_SUM | RV64_MSTATUS_MXR;
    const uint64_t uxl = UINT64_C(2) << 32;

    x86_op(a, X86_MOV, X86_RAX, CPU_MEM(mstatus));
    x86_arith_imm(a, X86_I_AND, 0, x86_reg(X86_RAX), (int32_t)part);
    x86_mov_imm(a, X86_RDX, uxl);
    x86_mov_imm(a, X86_RCX, uxl | RV64_MSTATUS_SD);
    x86_rr(a, X86_OR | X86_W, X86_RDX, X86_RAX);
    x86_rr(a, X86_OR | X86_W, X86_RCX, X86_RAX);
    x86_unary(a, X86_NOT, 0, x86_reg(X86_RAX));
    x86_op(a, 0xf7, 0, x86_reg(X86_RAX)); /* TEST r/m32, imm32 */
    x86_u32(a, (uint32_t)RV64_MSTATUS_FS);
    x86_rr(a, X86_MOV | X86_W, X86_RAX, X86_RDX);
    x86_rr(a, (X86_CMOV + X86_E) | X86_W, X86_RAX, X86_RCX);
    x86_u8(a, 0xc3); /* RET */
}

/* Called by blocks: argument in RAX, information in EDX, guest PC in RCX. */
static void emit_helper(struct x86 *a, emit_helper_t helper, const struct shared *shared)
{
    uint8_t *leaves;

    rv64_emit_state_save(a, shared->f_save);
    x86_op(a, X86_MOV_STORE | X86_W, X86_RSP, CPU_MEM(jit.stack));
    x86_arith_imm(a, X86_I_AND, X86_W, x86_reg(X86_RSP), -16);
    x86_op(a, X86_LEA | X86_W, X86_RDI, x86_mem(REG_CPU, -CPU_BIAS));
    x86_rr(a, X86_MOV | X86_W, X86_RSI, X86_RAX);
    x86_mov_imm(a, X86_RAX, (uintptr_t)helper);
    x86_op(a, 0xff, 2, x86_reg(X86_RAX)); /* CALL */
    x86_rr(a, X86_TEST, X86_RAX, X86_RAX);
    leaves = x86_jcc_short(a, X86_NE);
    x86_op(a, X86_MOV | X86_W, X86_RSP, CPU_MEM(jit.stack));
    rv64_emit_state_load(a);
    x86_u8(a, 0xc3); /* RET */
    x86_short_here(a, leaves);
    x86_arith_imm(a, X86_I_CMP, 0, x86_reg(X86_RAX), HELPER_GO);
    x86_patch(x86_jcc_later(a, X86_E), shared->go);
    x86_patch(x86_jmp_later(a), shared->leave);
}

uint32_t rv64_tr_emit_thunks(struct rv64_tr_thunks *thunks, const struct gn_softmmu_window *data,
                             const struct rv64_tr_code *code)
{
    struct x86 a = {.at = code->write};
    ptrdiff_t exec = code->exec - code->write;
    struct shared shared;
    const uint8_t *lookup;
    const uint8_t *end;

#define HERE(thunk) (thunks->at[thunk] = a.at + exec, a.at)
    memset(thunks, 0, sizeof *thunks);
    for (uint32_t i = 0; i < GN_ACCESS_KINDS; i++)
        thunks->data_offset[i] = (int32_t)data->offset[i];
    shared.f_save = HERE(THUNK_F_SAVE);
    rv64_emit_f_thunk(&a);
    shared.leave = a.at;
    emit_return(&a);
    (void)HERE(THUNK_LEAVE_EDGE);
    x86_op(&a, X86_MOV_STORE, X86_RAX, CPU_MEM(jit.token));
    emit_leave(&a, X86_RCX, RV64_LEFT_EDGE, &shared);
    (void)HERE(THUNK_LEAVE_SITE);
    x86_op(&a, X86_MOV_STORE, X86_RCX, CPU_MEM(jit.token));
    emit_leave(&a, X86_RAX, RV64_LEFT_SITE, &shared);
    lookup = HERE(THUNK_LEAVE_LOOKUP);
    emit_second_lookup(&a);
    emit_leave(&a, X86_RAX, RV64_LEFT_LOOKUP, &shared);
    (void)HERE(THUNK_LEAVE_BUDGET);
    emit_leave(&a, X86_RCX, RV64_LEFT_BUDGET, &shared);
    (void)HERE(THUNK_LEAVE_INTERPRET);
    emit_leave(&a, X86_RCX, RV64_LEFT_INTERPRET, &shared);
    end = HERE(THUNK_RETURN_MISSED);
    x86_op(&a, 0xff | X86_W, 0, CPU_MEM(jit.returns_missed)); /* INC */
    emit_frames_drop(&a);
    x86_arith_imm(&a, X86_I_AND, X86_W, x86_reg(X86_RAX), -2);
    emit_lookup(&a, lookup);
    memcpy(&thunks->enter, &(const uint8_t *){a.at + exec}, sizeof thunks->enter);
    emit_enter(&a, (uintptr_t)(end + exec));
    shared.go = HERE(THUNK_GO);
    emit_go(&a, lookup);
    (void)HERE(THUNK_PROBE_READ);
    emit_probe(&a, thunks, GN_ACCESS_READ);
    (void)HERE(THUNK_PROBE_WRITE);
    emit_probe(&a, thunks, GN_ACCESS_WRITE);
    (void)HERE(THUNK_SSTATUS);
    emit_sstatus(&a);
    (void)HERE(THUNK_READ_FLAGS);
    rv64_fp_thunk_read_flags(&a);
    (void)HERE(THUNK_WRITE_FLAGS);
    rv64_fp_thunk_write_flags(&a);
    for (uint32_t i = 0; i < EMIT_HELPERS; i++) {
        (void)HERE(i);
        emit_helper(&a, rv64_emit_helpers[i], &shared);
    }
#undef HERE
    return (uint32_t)(a.at - code->write);
}

/* jump.c's, here since it is what emit_lookup() is, in each block: so each has its own prediction.
 */
void rv64_emit_hash(struct rv64_emit *e)
{
    if (e->thunks->counts)
        x86_op(&e->a, 0xff | X86_W, 0, CPU_MEM(jit.hashed)); /* INC */
    emit_lookup(&e->a, e->thunks->at[THUNK_LEAVE_LOOKUP] - (e->exec - e->start));
}
