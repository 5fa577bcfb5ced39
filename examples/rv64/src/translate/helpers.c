/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What blocks call. A helper finds all registers in cpu->x and may write them there. It is given
 * what its instruction was decoded to, and how many instructions of the block, from this one on,
 * were charged but not yet executed.
 */

#include "emit.h"

#include "../csr.h"
#include "../fpu.h"
#include "../insn.h"
#include "fp_mode.h"

/* cpu->pc and the count of instructions are made what they are before the instruction. */
static void begin(struct rv64_cpu *cpu, uint32_t info, uint64_t pc)
{
    cpu->pc = pc;
    cpu->stats.instructions = cpu->jit.end - (uint64_t)cpu->jit.left - INFO_REFUND(info);
}

static bool wanted(const struct rv64_cpu *cpu)
{
    return cpu->attention | cpu->stop | cpu->wfi;
}

/* The instruction is done and the block goes on, unless somebody wants to look. */
static uint32_t done(struct rv64_cpu *cpu, uint32_t info)
{
    if (!wanted(cpu))
        return 0;
    cpu->pc += INFO_LENGTH(info);
    cpu->jit.left += INFO_REFUND(info) - 1;
    return RV64_LEFT_ATTENTION;
}

/* The instruction is done, and has set cpu->pc. */
static uint32_t go(struct rv64_cpu *cpu, uint32_t info)
{
    cpu->jit.left += INFO_REFUND(info) - 1;
    return wanted(cpu) ? RV64_LEFT_ATTENTION : HELPER_GO;
}

/*
 * Takes the trap. It takes its toll of the slice, or a trap that traps would go on forever; it is
 * not counted as retired.
 */
static uint32_t trap(struct rv64_cpu *cpu, uint32_t info)
{
    rv64_cpu_trap(cpu, &cpu->trap);
    cpu->jit.left += INFO_REFUND(info) - 1;
    cpu->jit.end--;
    return wanted(cpu) ? RV64_LEFT_ATTENTION : HELPER_GO;
}

static uint32_t exception(struct rv64_cpu *cpu, uint32_t info, uint64_t cause, uint64_t value)
{
    cpu->trap.cause = cause;
    cpu->trap.value = value;
    return trap(cpu, info);
}

static uint64_t extend(uint64_t value, uint32_t op)
{
    switch (op) {
    case RV64_OP_LB: return (uint64_t)(int8_t)value;
    case RV64_OP_LH: return (uint64_t)(int16_t)value;
    case RV64_OP_LW: return (uint64_t)(int32_t)value;
    default: return value;
    }
}

static uint32_t load(struct rv64_cpu *cpu, uint64_t va, uint32_t info, uint64_t pc)
{
    uint32_t op = INFO_OP(info);
    uint64_t value;

    begin(cpu, info, pc);
    if (rv64_mmu_load(cpu->mmu, va, rv64_emit_size(op), &value, &cpu->trap))
        return trap(cpu, info);
    cpu->x[INFO_RD(info)] = extend(value, op);
    return done(cpu, info);
}

/* What is at the address is loaded by the block, later. */
static uint32_t stray(struct rv64_cpu *cpu, uint64_t va, uint32_t info, uint64_t pc)
{
    begin(cpu, info, pc);
    cpu->jit.strays = (int32_t)rv64_mmu_stray(cpu->mmu, va) - 1;
    return 0;
}

static uint32_t store(struct rv64_cpu *cpu, uint64_t va, uint32_t info, uint64_t pc)
{
    begin(cpu, info, pc);
    if (rv64_mmu_store(cpu->mmu, va, rv64_emit_size(INFO_OP(info)), cpu->x[INFO_RS2(info)],
                       &cpu->trap))
        return trap(cpu, info);
    return done(cpu, info);
}

static uint32_t atomic(struct rv64_cpu *cpu, uint64_t funct5, uint32_t info, uint64_t pc)
{
    const struct rv64_insn insn = {.op = INFO_OP(info),
                                   .rd = INFO_RD(info),
                                   .rs1 = INFO_RS1(info),
                                   .rs2 = INFO_RS2(info),
                                   .imm = (int32_t)funct5};

    begin(cpu, info, pc);
    if (rv64_insn_atomic(cpu, &insn))
        return trap(cpu, info);
    return done(cpu, info);
}

static uint32_t csr(struct rv64_cpu *cpu, uint64_t raw, uint32_t info, uint64_t pc)
{
    begin(cpu, info, pc);
    if (rv64_fp_concerns((uint32_t)raw >> 20))
        rv64_fp_settle(cpu);
    if (rv64_csr_execute(cpu, (uint32_t)raw))
        return exception(cpu, info, RV64_CAUSE_ILLEGAL, raw);
    if ((uint32_t)raw >> 20 != RV64_CSR_SATP || !cpu->attention)
        return done(cpu, info);
    /* It asked for attention since the next instruction is elsewhere: that is looked up. */
    cpu->attention = rv64_cpu_interrupts(cpu) != 0;
    cpu->pc += 4;
    return go(cpu, info);
}

/* What is in MXCSR stays there, since the block relies on it. */
static uint32_t fp(struct rv64_cpu *cpu, uint64_t raw, uint32_t info, uint64_t pc)
{
    const uint32_t mxcsr = _mm_getcsr();
    int status;

    begin(cpu, info, pc);
    _mm_setcsr(RV64_FP_MXCSR_HOST);
    status = rv64_fpu_execute(cpu, (uint32_t)raw);
    _mm_setcsr(mxcsr);
    return status ? exception(cpu, info, RV64_CAUSE_ILLEGAL, raw) : 0;
}

/* FS is to be on before the instruction, which is executed then. */
static uint32_t fp_on(struct rv64_cpu *cpu, uint64_t raw, uint32_t info, uint64_t pc)
{
    begin(cpu, info, pc);
    return rv64_fp_revive(cpu) ? 0 : exception(cpu, info, RV64_CAUSE_ILLEGAL, raw);
}

/* MXCSR is to be the guest's, too; if its rounding mode is none of the host's, C computes. */
static uint32_t fp_live(struct rv64_cpu *cpu, uint64_t raw, uint32_t info, uint64_t pc)
{
    begin(cpu, info, pc);
    if (!rv64_fp_revive(cpu))
        return exception(cpu, info, RV64_CAUSE_ILLEGAL, raw);
    if (cpu->jit.fp & RV64_FP_LIVE)
        return 0;
    cpu->jit.left += INFO_REFUND(info);
    return RV64_LEFT_INTERPRET;
}

/* RAX has the instruction, which is what an illegal one has in stval; the address is computed. */
static uint64_t fp_address(const struct rv64_cpu *cpu, uint32_t info, uint64_t raw)
{
    struct rv64_insn insn;
    uint32_t wide = (raw & 3) == 3 ? (uint32_t)raw : rv64_decode_expand((uint16_t)raw);

    rv64_decode(wide, RV64_OFFSET_NONE, &insn);
    return cpu->x[INFO_RS1(info)] + (uint64_t)insn.imm;
}

static uint32_t fp_load(struct rv64_cpu *cpu, uint64_t raw, uint32_t info, uint64_t pc)
{
    uint32_t size = rv64_emit_size(INFO_OP(info));
    uint64_t value;

    begin(cpu, info, pc);
    if (!(cpu->mstatus & RV64_MSTATUS_FS))
        return exception(cpu, info, RV64_CAUSE_ILLEGAL, raw);
    cpu->mstatus |= RV64_MSTATUS_FS;
    if (rv64_mmu_load(cpu->mmu, fp_address(cpu, info, raw), size, &value, &cpu->trap))
        return trap(cpu, info);
    cpu->f[INFO_RD(info)] = size == 4 ? value | UINT64_C(0xffffffff00000000) : value;
    return done(cpu, info);
}

static uint32_t fp_store(struct rv64_cpu *cpu, uint64_t raw, uint32_t info, uint64_t pc)
{
    begin(cpu, info, pc);
    if (!(cpu->mstatus & RV64_MSTATUS_FS))
        return exception(cpu, info, RV64_CAUSE_ILLEGAL, raw);
    if (rv64_mmu_store(cpu->mmu, fp_address(cpu, info, raw), rv64_emit_size(INFO_OP(info)),
                       cpu->f[INFO_RS2(info)], &cpu->trap))
        return trap(cpu, info);
    return done(cpu, info);
}

static uint32_t ecall(struct rv64_cpu *cpu, uint64_t unused, uint32_t info, uint64_t pc)
{
    (void)unused;
    begin(cpu, info, pc);
    if (cpu->priv != RV64_PRIV_S || !cpu->ops || !cpu->ops->sbi_call)
        return exception(cpu, info, (uint64_t)RV64_CAUSE_ECALL_U + cpu->priv, 0);
    cpu->ops->sbi_call(cpu->machine, cpu);
    cpu->pc += 4;
    return go(cpu, info);
}

/* SRET and MRET: interrupts may have become enabled. */
static uint32_t return_from_trap(struct rv64_cpu *cpu, uint64_t raw, uint32_t info, uint64_t pc)
{
    begin(cpu, info, pc);
    if (INFO_OP(info) == RV64_OP_SRET ? rv64_cpu_sret(cpu) : rv64_cpu_mret(cpu))
        return exception(cpu, info, RV64_CAUSE_ILLEGAL, raw);
    if (rv64_cpu_interrupts(cpu))
        cpu->attention = true;
    return go(cpu, info);
}

/* EBREAK, and what is no instruction. */
static uint32_t always(struct rv64_cpu *cpu, uint64_t raw, uint32_t info, uint64_t pc)
{
    begin(cpu, info, pc);
    if (INFO_OP(info) == RV64_OP_EBREAK)
        return exception(cpu, info, RV64_CAUSE_BREAKPOINT, pc);
    return exception(cpu, info, RV64_CAUSE_ILLEGAL, raw);
}

static uint32_t fence(struct rv64_cpu *cpu, uint64_t raw, uint32_t info, uint64_t pc)
{
    const struct rv64_insn insn = {
        .op = RV64_OP_SFENCE_VMA, .rs1 = INFO_RS1(info), .rs2 = INFO_RS2(info)};

    begin(cpu, info, pc);
    if (rv64_insn_sfence_vma(cpu, &insn))
        return exception(cpu, info, RV64_CAUSE_ILLEGAL, raw);
    cpu->pc += 4;
    return go(cpu, info);
}

static uint32_t fence_i(struct rv64_cpu *cpu, uint64_t unused, uint32_t info, uint64_t pc)
{
    (void)unused;
    begin(cpu, info, pc);
    rv64_insn_fence_i(cpu);
    cpu->pc += 4;
    cpu->jit.left += INFO_REFUND(info) - 1;
    return RV64_LEFT_FENCE_I;
}

static uint32_t wfi(struct rv64_cpu *cpu, uint64_t raw, uint32_t info, uint64_t pc)
{
    begin(cpu, info, pc);
    if (rv64_cpu_wfi(cpu))
        return exception(cpu, info, RV64_CAUSE_ILLEGAL, raw);
    cpu->pc += 4;
    return go(cpu, info);
}

const emit_helper_t rv64_emit_helpers[EMIT_HELPERS] = {
    [THUNK_LOAD] = load,        [THUNK_STORE] = store,       [THUNK_STRAY] = stray,
    [THUNK_ATOMIC] = atomic,    [THUNK_CSR] = csr,           [THUNK_FP] = fp,
    [THUNK_FP_LOAD] = fp_load,  [THUNK_FP_STORE] = fp_store, [THUNK_FP_ON] = fp_on,
    [THUNK_FP_LIVE] = fp_live,  [THUNK_ECALL] = ecall,       [THUNK_RETURN] = return_from_trap,
    [THUNK_EXCEPTION] = always, [THUNK_FENCE] = fence,       [THUNK_FENCE_I] = fence_i,
    [THUNK_WFI] = wfi,
};
