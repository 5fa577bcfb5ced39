/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Atomics and fences: see insn.h. Sections cited are those of the RISC-V Privileged Architecture
 * 20211203.
 */

#include "insn.h"

#include <string.h>

#include "csr.h"

static int misaligned(struct rv64_cpu *cpu, uint64_t cause, uint64_t va)
{
    cpu->trap.cause = cause;
    cpu->trap.value = va;
    return -1;
}

static uint64_t sign_extend(uint64_t value, uint32_t size)
{
    return size == 4 ? (uint64_t)(int32_t)value : value;
}

static int load_reserved(struct rv64_cpu *cpu, const struct rv64_insn *insn, uint32_t size)
{
    uint64_t va = cpu->x[insn->rs1];
    const void *host = rv64_mmu_probe(cpu->mmu, va, size, GN_ACCESS_READ);
    uint64_t value = 0;

    if (va & (size - 1))
        return misaligned(cpu, RV64_CAUSE_LOAD_MISALIGNED, va);
    if (host)
        memcpy(&value, host, size);
    else if (rv64_mmu_load(cpu->mmu, va, size, &value, &cpu->trap))
        return -1;
    cpu->reservation_valid = true;
    cpu->reservation = va;
    cpu->x[insn->rd] = sign_extend(value, size);
    return 0;
}

static int store_conditional(struct rv64_cpu *cpu, const struct rv64_insn *insn, uint32_t size)
{
    uint64_t va = cpu->x[insn->rs1];
    uint64_t value = cpu->x[insn->rs2];
    bool reserved = cpu->reservation_valid && cpu->reservation == va;
    void *host = reserved ? rv64_mmu_probe(cpu->mmu, va, size, GN_ACCESS_WRITE) : NULL;

    if (va & (size - 1))
        return misaligned(cpu, RV64_CAUSE_STORE_MISALIGNED, va);
    if (host)
        memcpy(host, &value, size);
    else if (reserved && rv64_mmu_store(cpu->mmu, va, size, value, &cpu->trap))
        return -1;
    cpu->reservation_valid = false;
    cpu->x[insn->rd] = !reserved;
    return 0;
}

/* funct5 says which; for 32 bits, a and b are sign-extended, which keeps unsigned order too. */
static uint64_t combine(int32_t funct5, uint64_t a, uint64_t b)
{
    switch (funct5) {
    case 0x00: return a + b;
    case 0x01: return b;
    case 0x04: return a ^ b;
    case 0x08: return a | b;
    case 0x0c: return a & b;
    case 0x10: return (int64_t)a < (int64_t)b ? a : b;
    case 0x14: return (int64_t)a > (int64_t)b ? a : b;
    case 0x18: return a < b ? a : b;
    default: return a > b ? a : b;
    }
}

static int amo(struct rv64_cpu *cpu, const struct rv64_insn *insn, uint32_t size)
{
    uint64_t va = cpu->x[insn->rs1];
    void *host = rv64_mmu_probe(cpu->mmu, va, size, GN_ACCESS_WRITE);
    uint64_t old = 0;
    uint64_t value;

    if (va & (size - 1))
        return misaligned(cpu, RV64_CAUSE_STORE_MISALIGNED, va);
    if (host)
        memcpy(&old, host, size);
    else if (rv64_mmu_amo_load(cpu->mmu, va, size, &old, &cpu->trap))
        return -1;
    old = sign_extend(old, size);
    value = combine(insn->imm, old, sign_extend(cpu->x[insn->rs2], size));
    if (host)
        memcpy(host, &value, size);
    else if (rv64_mmu_store(cpu->mmu, va, size, value, &cpu->trap))
        return -1;
    cpu->x[insn->rd] = old;
    return 0;
}

int rv64_insn_atomic(struct rv64_cpu *cpu, const struct rv64_insn *insn)
{
    switch (insn->op) {
    case RV64_OP_LR_W: return load_reserved(cpu, insn, 4);
    case RV64_OP_LR_D: return load_reserved(cpu, insn, 8);
    case RV64_OP_SC_W: return store_conditional(cpu, insn, 4);
    case RV64_OP_SC_D: return store_conditional(cpu, insn, 8);
    case RV64_OP_AMO_W: return amo(cpu, insn, 4);
    default: return amo(cpu, insn, 8);
    }
}

/* §4.2.1: illegal in U-mode, and in S-mode under TVM. */
int rv64_insn_sfence_vma(struct rv64_cpu *cpu, const struct rv64_insn *insn)
{
    uint64_t va = cpu->x[insn->rs1];
    uint64_t asid = cpu->x[insn->rs2] & 0xffff;

    if (cpu->priv == RV64_PRIV_U || (cpu->priv == RV64_PRIV_S && cpu->mstatus & RV64_MSTATUS_TVM))
        return -1;
    cpu->stats.sfences++;
    rv64_mmu_sfence_vma(cpu->mmu, insn->rs1 ? &va : NULL, insn->rs2 ? &asid : NULL);
    rv64_decode_flush_jumps(cpu->decode);
    return 0;
}

void rv64_insn_fence_i(struct rv64_cpu *cpu)
{
    cpu->stats.fence_is++;
    cpu->decode->epoch++;
    rv64_decode_flush_jumps(cpu->decode);
    if (cpu->engine)
        cpu->engine->fence_i(cpu);
}
