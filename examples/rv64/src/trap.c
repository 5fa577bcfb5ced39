/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Traps, their return, interrupts, and the life of a hart. Sections cited are those of the RISC-V
 * Privileged Architecture 20211203.
 */

#include <string.h>

#include "csr.h"
#include "decode.h"

/* mtvec and stvec: interrupts go to base + 4 * cause in vectored mode (§3.1.7). */
static uint64_t vector(uint64_t tvec, uint64_t cause)
{
    uint64_t base = tvec & ~UINT64_C(3);

    return tvec & 1 && cause & RV64_INTERRUPT ? base + 4 * (cause & ~RV64_INTERRUPT) : base;
}

static uint64_t move_bit(uint64_t value, uint64_t from, uint64_t to)
{
    return value & from ? value | to : value & ~to;
}

static void enter_supervisor(struct rv64_cpu *cpu, uint64_t cause, uint64_t value)
{
    cpu->scause = cause;
    cpu->sepc = cpu->pc;
    cpu->stval = value;
    cpu->mstatus = move_bit(cpu->mstatus, RV64_MSTATUS_SIE, RV64_MSTATUS_SPIE);
    cpu->mstatus &= ~(RV64_MSTATUS_SIE | RV64_MSTATUS_SPP);
    if (cpu->priv != RV64_PRIV_U)
        cpu->mstatus |= RV64_MSTATUS_SPP;
    cpu->priv = RV64_PRIV_S;
    cpu->pc = vector(cpu->stvec, cause);
}

static void enter_machine(struct rv64_cpu *cpu, uint64_t cause, uint64_t value)
{
    cpu->mcause = cause;
    cpu->mepc = cpu->pc;
    cpu->mtval = value;
    cpu->mstatus = move_bit(cpu->mstatus, RV64_MSTATUS_MIE, RV64_MSTATUS_MPIE);
    cpu->mstatus &= ~(RV64_MSTATUS_MIE | RV64_MSTATUS_MPP);
    cpu->mstatus |= (uint64_t)cpu->priv << RV64_MSTATUS_MPP_SHIFT;
    cpu->priv = RV64_PRIV_M;
    cpu->pc = vector(cpu->mtvec, cause);
}

/* Delegation holds for traps from S and U only (§3.1.8). */
static void enter(struct rv64_cpu *cpu, uint64_t cause, uint64_t value)
{
    uint64_t delegated = cause & RV64_INTERRUPT ? cpu->mideleg : cpu->medeleg;

    cpu->reservation_valid = false;
    cpu->wfi = false;
    if (cpu->priv != RV64_PRIV_M && delegated >> (cause & 63) & 1)
        enter_supervisor(cpu, cause, value);
    else
        enter_machine(cpu, cause, value);
    rv64_cpu_context_update(cpu);
}

void rv64_cpu_trap(struct rv64_cpu *cpu, const struct rv64_trap *trap)
{
    cpu->stats.exceptions++;
    if (trap->cause == RV64_CAUSE_FETCH_PAGE_FAULT || trap->cause == RV64_CAUSE_LOAD_PAGE_FAULT ||
        trap->cause == RV64_CAUSE_STORE_PAGE_FAULT)
        cpu->stats.page_faults++;
    enter(cpu, trap->cause, trap->value);
}

/* §3.1.9: M-mode's interrupts first, which mideleg does not hand down; none for a mode above. */
uint64_t rv64_cpu_interrupts(const struct rv64_cpu *cpu)
{
    uint64_t pending = cpu->mip & cpu->mie;
    uint64_t machine = pending & ~cpu->mideleg;
    uint64_t supervisor = pending & cpu->mideleg;

    if (!pending)
        return 0;
    if (machine && (cpu->priv < RV64_PRIV_M || cpu->mstatus & RV64_MSTATUS_MIE))
        return machine;
    if (cpu->priv < RV64_PRIV_S || (cpu->priv == RV64_PRIV_S && cpu->mstatus & RV64_MSTATUS_SIE))
        return supervisor;
    return 0;
}

bool rv64_cpu_interrupt(struct rv64_cpu *cpu)
{
    static const uint8_t priority[] = {RV64_IRQ_MEI, RV64_IRQ_MSI, RV64_IRQ_MTI,
                                       RV64_IRQ_SEI, RV64_IRQ_SSI, RV64_IRQ_STI};
    uint64_t ready = rv64_cpu_interrupts(cpu);
    uint32_t i;

    for (i = 0; i < sizeof priority; i++) {
        if (!(ready >> priority[i] & 1))
            continue;
        cpu->stats.interrupts++;
        enter(cpu, RV64_INTERRUPT | priority[i], 0);
        return true;
    }
    return false;
}

/* What SRET and MRET have in common: MPRV ends where M-mode does (§3.1.6.3). */
static void return_to(struct rv64_cpu *cpu, uint8_t priv, uint64_t pc)
{
    cpu->priv = priv;
    cpu->pc = pc;
    if (priv != RV64_PRIV_M)
        cpu->mstatus &= ~RV64_MSTATUS_MPRV;
    cpu->reservation_valid = false;
    rv64_cpu_context_update(cpu);
}

int rv64_cpu_sret(struct rv64_cpu *cpu)
{
    uint8_t priv = cpu->mstatus & RV64_MSTATUS_SPP ? RV64_PRIV_S : RV64_PRIV_U;

    if (cpu->priv == RV64_PRIV_U || (cpu->priv == RV64_PRIV_S && cpu->mstatus & RV64_MSTATUS_TSR))
        return -1;
    cpu->mstatus = move_bit(cpu->mstatus, RV64_MSTATUS_SPIE, RV64_MSTATUS_SIE);
    cpu->mstatus |= RV64_MSTATUS_SPIE;
    cpu->mstatus &= ~RV64_MSTATUS_SPP;
    return_to(cpu, priv, cpu->sepc);
    return 0;
}

int rv64_cpu_mret(struct rv64_cpu *cpu)
{
    uint8_t priv = (uint8_t)((cpu->mstatus & RV64_MSTATUS_MPP) >> RV64_MSTATUS_MPP_SHIFT);

    if (cpu->priv != RV64_PRIV_M)
        return -1;
    cpu->mstatus = move_bit(cpu->mstatus, RV64_MSTATUS_MPIE, RV64_MSTATUS_MIE);
    cpu->mstatus |= RV64_MSTATUS_MPIE;
    cpu->mstatus &= ~RV64_MSTATUS_MPP;
    return_to(cpu, priv, cpu->mepc);
    return 0;
}

/* §3.3.3: an interrupt that is enabled in mie ends the wait, whatever mstatus says. */
int rv64_cpu_wfi(struct rv64_cpu *cpu)
{
    if (cpu->priv == RV64_PRIV_U || (cpu->priv == RV64_PRIV_S && cpu->mstatus & RV64_MSTATUS_TW))
        return -1;
    cpu->wfi = !(cpu->mip & cpu->mie);
    return 0;
}

void rv64_cpu_context_update(struct rv64_cpu *cpu)
{
    struct rv64_mmu_context *known = &cpu->context;
    uint8_t data_priv = cpu->priv;
    bool sum = cpu->mstatus & RV64_MSTATUS_SUM;
    bool mxr = cpu->mstatus & RV64_MSTATUS_MXR;
    bool same_code =
        cpu->context_known && known->satp == cpu->satp && known->fetch_priv == cpu->priv;

    if (cpu->mstatus & RV64_MSTATUS_MPRV)
        data_priv = (uint8_t)((cpu->mstatus & RV64_MSTATUS_MPP) >> RV64_MSTATUS_MPP_SHIFT);
    if (same_code && known->data_priv == data_priv && known->sum == sum && known->mxr == mxr)
        return;
    known->satp = cpu->satp;
    known->fetch_priv = cpu->priv;
    known->data_priv = data_priv;
    known->sum = sum;
    known->mxr = mxr;
    cpu->context_known = true;
    rv64_mmu_context_set(cpu->mmu, known);
    /* A kernel changes SUM for every word of a user's, and what it executes is the same. */
    if (same_code)
        return;
    cpu->decode->key = rv64_decode_key(cpu->satp, cpu->priv);
    if (cpu->engine)
        cpu->engine->context(cpu);
}

int rv64_cpu_init(struct rv64_cpu *cpu, struct rv64_mmu *mmu, const struct rv64_cpu_ops *ops,
                  void *machine)
{
    memset(cpu, 0, sizeof *cpu);
    cpu->priv = RV64_PRIV_M;
    cpu->mmu = mmu;
    cpu->ops = ops;
    cpu->machine = machine;
    cpu->decode = rv64_decode_cache_new(RV64_DECODE_PAGES_DEFAULT);
    return cpu->decode ? 0 : -1;
}

void rv64_cpu_fini(struct rv64_cpu *cpu)
{
    rv64_decode_cache_free(cpu->decode);
    cpu->decode = NULL;
}

static void start(struct rv64_cpu *cpu, uint8_t priv, uint64_t pc, uint64_t dtb)
{
    cpu->priv = priv;
    cpu->pc = pc;
    cpu->x[10] = 0; /* hart id */
    cpu->x[11] = dtb;
    cpu->context_known = false;
    rv64_cpu_context_update(cpu);
}

/*
 * Everything is delegated but the ECALL that asks firmware, which is answered by ops->sbi_call.
 * Counters are open to U-mode too: OpenSBI leaves scounteren so, and Linux without a PMU driver,
 * whose vDSO reads the time CSR, relies on it.
 */
void rv64_cpu_start_supervisor(struct rv64_cpu *cpu, uint64_t pc, uint64_t dtb)
{
    cpu->medeleg = RV64_MEDELEG_MASK & ~(UINT64_C(1) << RV64_CAUSE_ECALL_S);
    cpu->mideleg = RV64_IRQS_S;
    cpu->mcounteren = 7;
    cpu->scounteren = 7;
    start(cpu, RV64_PRIV_S, pc, dtb);
}

void rv64_cpu_start_machine(struct rv64_cpu *cpu, uint64_t pc, uint64_t dtb)
{
    start(cpu, RV64_PRIV_M, pc, dtb);
}

void rv64_cpu_fetch_flush(struct rv64_cpu *cpu)
{
    rv64_decode_flush_jumps(cpu->decode);
}

void rv64_cpu_code_changed(struct rv64_cpu *cpu, uint64_t gpa, uint64_t length)
{
    rv64_decode_code_changed(cpu->decode, gpa, length);
    if (cpu->engine)
        cpu->engine->fence_i(cpu);
    cpu->attention = true;
}

int rv64_cpu_run(struct rv64_cpu *cpu, uint64_t budget)
{
    return cpu->engine ? cpu->engine->run(cpu, budget) : rv64_cpu_interpret(cpu, budget);
}
