/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Control and status registers. Sections cited are those of the RISC-V Privileged Architecture
 * 20211203.
 */

#include "csr.h"

#include "decode.h"

#define MISA                                                                                     \
    (UINT64_C(2) << 62 | 1u << 0 | 1u << 2 | 1u << 3 | 1u << 5 | 1u << 8 | 1u << 12 | 1u << 18 | \
     1u << 20) /* A C D F I M S U */

#define MSTATUS_WRITABLE                                                           \
    (RV64_MSTATUS_SIE | RV64_MSTATUS_MIE | RV64_MSTATUS_SPIE | RV64_MSTATUS_MPIE | \
     RV64_MSTATUS_SPP | RV64_MSTATUS_MPP | RV64_MSTATUS_FS | RV64_MSTATUS_MPRV |   \
     RV64_MSTATUS_SUM | RV64_MSTATUS_MXR | RV64_MSTATUS_TVM | RV64_MSTATUS_TW | RV64_MSTATUS_TSR)

#define SSTATUS_WRITABLE                                                         \
    (RV64_MSTATUS_SIE | RV64_MSTATUS_SPIE | RV64_MSTATUS_SPP | RV64_MSTATUS_FS | \
     RV64_MSTATUS_SUM | RV64_MSTATUS_MXR)

#define SSTATUS_READABLE (SSTATUS_WRITABLE | RV64_MSTATUS_UXL | RV64_MSTATUS_SD)

#define SATP_MODE_SHIFT 60
#define SATP_MODE_SV39  8

#define MENVCFG_FIOM (UINT64_C(1) << 0)
#define MENVCFG_ADUE (UINT64_C(1) << 61)

#define COUNTER_CY 1u
#define COUNTER_TM 2u
#define COUNTER_IR 4u

#define FCSR_MASK 0xffu

static bool in_range(uint32_t csr, uint32_t first, uint32_t last)
{
    return csr >= first && csr <= last;
}

/* §2.1: the number says who may access it, and whether it can be written. */
static bool accessible(const struct rv64_cpu *cpu, uint32_t csr, bool write)
{
    if (cpu->priv < (csr >> 8 & 3) || (write && csr >> 10 == 3))
        return false;
    if (csr <= RV64_CSR_FCSR)
        return (cpu->mstatus & RV64_MSTATUS_FS) != 0;
    if (csr == RV64_CSR_SATP) /* §3.1.6.5 */
        return cpu->priv == RV64_PRIV_M || !(cpu->mstatus & RV64_MSTATUS_TVM);
    if (in_range(csr, RV64_CSR_CYCLE, RV64_CSR_HPMCOUNTER31)) { /* §3.1.11, §4.1.5 */
        uint32_t bit = 1u << (csr & 31);

        if (cpu->priv < RV64_PRIV_M && !(cpu->mcounteren & bit))
            return false;
        return cpu->priv > RV64_PRIV_U || (cpu->scounteren & bit);
    }
    return true;
}

static uint64_t mstatus_read(const struct rv64_cpu *cpu)
{
    uint64_t value = cpu->mstatus | RV64_MSTATUS_XLEN;

    if ((value & RV64_MSTATUS_FS) == RV64_MSTATUS_FS)
        value |= RV64_MSTATUS_SD;
    return value;
}

/* An enabled interrupt that waits for this write, if any, is taken before the next instruction. */
static void check_interrupts(struct rv64_cpu *cpu)
{
    if (rv64_cpu_interrupts(cpu))
        cpu->attention = true;
}

static void mstatus_write(struct rv64_cpu *cpu, uint64_t value, uint64_t mask)
{
    /* MPP is WARL: there is no mode 2 (§3.1.6.1). */
    if ((value & RV64_MSTATUS_MPP) == (UINT64_C(2) << RV64_MSTATUS_MPP_SHIFT))
        mask &= ~RV64_MSTATUS_MPP;
    cpu->mstatus = (cpu->mstatus & ~mask) | (value & mask);
    rv64_cpu_context_update(cpu);
    check_interrupts(cpu);
}

/* §4.1.11: a write of an unsupported mode has no effect; in mode Bare the rest must be zero. */
static void satp_write(struct rv64_cpu *cpu, uint64_t value)
{
    uint64_t mode = value >> SATP_MODE_SHIFT;

    if (mode != 0 && mode != SATP_MODE_SV39)
        return;
    cpu->satp = mode ? value : 0;
    cpu->stats.satp_writes++;
    cpu->attention = true; /* the next instruction comes from the new address space */
    rv64_cpu_context_update(cpu);
}

/* mip.SEIP reads as what the PLIC drives or what M-mode software wrote (§3.1.9). */
static void seip_update(struct rv64_cpu *cpu)
{
    uint64_t bit = UINT64_C(1) << RV64_IRQ_SEI;

    cpu->mip = cpu->seip_line || cpu->seip_soft ? cpu->mip | bit : cpu->mip & ~bit;
}

static void mip_write(struct rv64_cpu *cpu, uint64_t value, uint64_t mask)
{
    uint64_t seip = UINT64_C(1) << RV64_IRQ_SEI;

    cpu->mip = (cpu->mip & ~mask) | (value & mask);
    if (mask & seip)
        cpu->seip_soft = value & seip;
    seip_update(cpu);
    check_interrupts(cpu);
}

static void mie_write(struct rv64_cpu *cpu, uint64_t value, uint64_t mask)
{
    cpu->mie = (cpu->mie & ~mask) | (value & mask);
    check_interrupts(cpu);
}

void rv64_cpu_irq_set(struct rv64_cpu *cpu, uint32_t irq, bool level)
{
    uint64_t bit = UINT64_C(1) << irq;

    cpu->mip = level ? cpu->mip | bit : cpu->mip & ~bit;
    if (irq == RV64_IRQ_SEI)
        cpu->seip_line = level;
    seip_update(cpu);
    check_interrupts(cpu);
}

static uint64_t counter_read(const struct rv64_cpu *cpu, uint32_t bit)
{
    uint64_t offset = bit == COUNTER_CY ? cpu->cycle_offset : cpu->instret_offset;

    return cpu->mcountinhibit & bit ? offset : cpu->stats.instructions + offset;
}

/* Counting resumes after the instruction that writes the counter, which itself does not count. */
static void counter_write(struct rv64_cpu *cpu, uint32_t bit, uint64_t value)
{
    uint64_t *offset = bit == COUNTER_CY ? &cpu->cycle_offset : &cpu->instret_offset;

    *offset = cpu->mcountinhibit & bit ? value : value - (cpu->stats.instructions + 1);
}

static void mcountinhibit_write(struct rv64_cpu *cpu, uint64_t value)
{
    uint64_t cycle = counter_read(cpu, COUNTER_CY);
    uint64_t instret = counter_read(cpu, COUNTER_IR);

    cpu->mcountinhibit = value & (COUNTER_CY | COUNTER_IR);
    counter_write(cpu, COUNTER_CY, cycle);
    counter_write(cpu, COUNTER_IR, instret);
}

static uint64_t time_read(const struct rv64_cpu *cpu)
{
    return cpu->ops && cpu->ops->time ? cpu->ops->time(cpu->machine) : 0;
}

/* Registers that exist and read zero: no PMP entry, no trigger, no event counter, no vendor. */
static bool reads_zero(uint32_t csr)
{
    if (in_range(csr, RV64_CSR_PMPCFG0, RV64_CSR_PMPCFG15))
        return !(csr & 1); /* §3.7.1: RV64 has the even ones */
    return in_range(csr, RV64_CSR_MHPMEVENT3, RV64_CSR_MHPMEVENT31) ||
           in_range(csr, RV64_CSR_PMPADDR0, RV64_CSR_PMPADDR63) ||
           in_range(csr, RV64_CSR_TSELECT, RV64_CSR_TDATA3) ||
           in_range(csr, RV64_CSR_MHPMCOUNTER3, RV64_CSR_MHPMCOUNTER31) ||
           in_range(csr, RV64_CSR_INSTRET + 1, RV64_CSR_HPMCOUNTER31) ||
           in_range(csr, RV64_CSR_MVENDORID, RV64_CSR_MCONFIGPTR);
}

static uint64_t menvcfg_read(const struct rv64_cpu *cpu)
{
    return (cpu->menvcfg & MENVCFG_FIOM) | (cpu->svade ? 0 : MENVCFG_ADUE);
}

static int read_unchecked(struct rv64_cpu *cpu, uint32_t csr, uint64_t *ret_value)
{
    switch (csr) {
    case RV64_CSR_FFLAGS: *ret_value = cpu->fcsr & 31; return 0;
    case RV64_CSR_FRM: *ret_value = cpu->fcsr >> 5 & 7; return 0;
    case RV64_CSR_FCSR: *ret_value = cpu->fcsr; return 0;
    case RV64_CSR_SSTATUS: *ret_value = mstatus_read(cpu) & SSTATUS_READABLE; return 0;
    case RV64_CSR_SIE: *ret_value = cpu->mie & cpu->mideleg; return 0;
    case RV64_CSR_STVEC: *ret_value = cpu->stvec; return 0;
    case RV64_CSR_SCOUNTEREN: *ret_value = cpu->scounteren; return 0;
    case RV64_CSR_SENVCFG: *ret_value = cpu->senvcfg; return 0;
    case RV64_CSR_SSCRATCH: *ret_value = cpu->sscratch; return 0;
    case RV64_CSR_SEPC: *ret_value = cpu->sepc; return 0;
    case RV64_CSR_SCAUSE: *ret_value = cpu->scause; return 0;
    case RV64_CSR_STVAL: *ret_value = cpu->stval; return 0;
    case RV64_CSR_SIP: *ret_value = cpu->mip & cpu->mideleg; return 0;
    case RV64_CSR_SATP: *ret_value = cpu->satp; return 0;
    case RV64_CSR_MSTATUS: *ret_value = mstatus_read(cpu); return 0;
    case RV64_CSR_MISA: *ret_value = MISA; return 0;
    case RV64_CSR_MEDELEG: *ret_value = cpu->medeleg; return 0;
    case RV64_CSR_MIDELEG: *ret_value = cpu->mideleg; return 0;
    case RV64_CSR_MIE: *ret_value = cpu->mie; return 0;
    case RV64_CSR_MTVEC: *ret_value = cpu->mtvec; return 0;
    case RV64_CSR_MCOUNTEREN: *ret_value = cpu->mcounteren; return 0;
    case RV64_CSR_MENVCFG: *ret_value = menvcfg_read(cpu); return 0;
    case RV64_CSR_MCOUNTINHIBIT: *ret_value = cpu->mcountinhibit; return 0;
    case RV64_CSR_MSCRATCH: *ret_value = cpu->mscratch; return 0;
    case RV64_CSR_MEPC: *ret_value = cpu->mepc; return 0;
    case RV64_CSR_MCAUSE: *ret_value = cpu->mcause; return 0;
    case RV64_CSR_MTVAL: *ret_value = cpu->mtval; return 0;
    case RV64_CSR_MIP: *ret_value = cpu->mip; return 0;
    case RV64_CSR_CYCLE:
    case RV64_CSR_MCYCLE: *ret_value = counter_read(cpu, COUNTER_CY); return 0;
    case RV64_CSR_TIME: *ret_value = time_read(cpu); return 0;
    case RV64_CSR_INSTRET:
    case RV64_CSR_MINSTRET: *ret_value = counter_read(cpu, COUNTER_IR); return 0;
    default: *ret_value = 0; return reads_zero(csr) ? 0 : -1;
    }
}

static void fcsr_write(struct rv64_cpu *cpu, uint64_t value)
{
    cpu->fcsr = value & FCSR_MASK;
    cpu->mstatus |= RV64_MSTATUS_FS; /* Dirty */
}

static void menvcfg_write(struct rv64_cpu *cpu, uint64_t value)
{
    cpu->menvcfg = value & MENVCFG_FIOM;
    cpu->svade = !(value & MENVCFG_ADUE);
}

/* tvec modes are 0, direct, and 1, vectored (§3.1.7). */
#define TVEC_WRITABLE (~UINT64_C(2))

/* Instructions are aligned to two bytes (§3.1.14). */
#define EPC_WRITABLE (~UINT64_C(1))

#define COUNTEREN_WRITABLE (COUNTER_CY | COUNTER_TM | COUNTER_IR)

static int write_unchecked(struct rv64_cpu *cpu, uint32_t csr, uint64_t value)
{
    switch (csr) {
    case RV64_CSR_FFLAGS: fcsr_write(cpu, (cpu->fcsr & ~UINT64_C(31)) | (value & 31)); return 0;
    case RV64_CSR_FRM: fcsr_write(cpu, (cpu->fcsr & 31) | (value & 7) << 5); return 0;
    case RV64_CSR_FCSR: fcsr_write(cpu, value); return 0;
    case RV64_CSR_SSTATUS: mstatus_write(cpu, value, SSTATUS_WRITABLE); return 0;
    case RV64_CSR_SIE: mie_write(cpu, value, cpu->mideleg); return 0;
    case RV64_CSR_STVEC: cpu->stvec = value & TVEC_WRITABLE; return 0;
    case RV64_CSR_SCOUNTEREN: cpu->scounteren = value & COUNTEREN_WRITABLE; return 0;
    case RV64_CSR_SENVCFG: cpu->senvcfg = value & MENVCFG_FIOM; return 0;
    case RV64_CSR_SSCRATCH: cpu->sscratch = value; return 0;
    case RV64_CSR_SEPC: cpu->sepc = value & EPC_WRITABLE; return 0;
    case RV64_CSR_SCAUSE: cpu->scause = value; return 0;
    case RV64_CSR_STVAL: cpu->stval = value; return 0;
    case RV64_CSR_SIP: mip_write(cpu, value, cpu->mideleg & 1u << RV64_IRQ_SSI); return 0;
    case RV64_CSR_SATP: satp_write(cpu, value); return 0;
    case RV64_CSR_MSTATUS: mstatus_write(cpu, value, MSTATUS_WRITABLE); return 0;
    case RV64_CSR_MISA: return 0;
    case RV64_CSR_MEDELEG: cpu->medeleg = value & RV64_MEDELEG_MASK; return 0;
    case RV64_CSR_MIDELEG:
        cpu->mideleg = value & RV64_IRQS_S;
        check_interrupts(cpu);
        return 0;
    case RV64_CSR_MIE: mie_write(cpu, value, RV64_IRQS); return 0;
    case RV64_CSR_MTVEC: cpu->mtvec = value & TVEC_WRITABLE; return 0;
    case RV64_CSR_MCOUNTEREN: cpu->mcounteren = value & COUNTEREN_WRITABLE; return 0;
    case RV64_CSR_MENVCFG: menvcfg_write(cpu, value); return 0;
    case RV64_CSR_MCOUNTINHIBIT: mcountinhibit_write(cpu, value); return 0;
    case RV64_CSR_MSCRATCH: cpu->mscratch = value; return 0;
    case RV64_CSR_MEPC: cpu->mepc = value & EPC_WRITABLE; return 0;
    case RV64_CSR_MCAUSE: cpu->mcause = value; return 0;
    case RV64_CSR_MTVAL: cpu->mtval = value; return 0;
    case RV64_CSR_MIP: mip_write(cpu, value, RV64_IRQS_S); return 0;
    case RV64_CSR_MCYCLE: counter_write(cpu, COUNTER_CY, value); return 0;
    case RV64_CSR_MINSTRET: counter_write(cpu, COUNTER_IR, value); return 0;
    default: return reads_zero(csr) ? 0 : -1;
    }
}

int rv64_csr_read(struct rv64_cpu *cpu, uint32_t csr, uint64_t *ret_value)
{
    return accessible(cpu, csr, false) ? read_unchecked(cpu, csr, ret_value) : -1;
}

int rv64_csr_write(struct rv64_cpu *cpu, uint32_t csr, uint64_t value)
{
    return accessible(cpu, csr, true) ? write_unchecked(cpu, csr, value) : -1;
}

/* What CSRRS and CSRRC modify: in mip, not what the PLIC drives (§3.1.9). */
static uint64_t modified_value(const struct rv64_cpu *cpu, uint32_t csr, uint64_t old)
{
    uint64_t seip = UINT64_C(1) << RV64_IRQ_SEI;

    if (csr != RV64_CSR_MIP)
        return old;
    return cpu->seip_soft ? old | seip : old & ~seip;
}

int rv64_csr_execute(struct rv64_cpu *cpu, uint32_t raw)
{
    uint32_t csr = raw >> 20;
    uint32_t rd = raw >> 7 & 31;
    uint32_t rs1 = raw >> 15 & 31;
    uint64_t operand = raw & 0x4000 ? rs1 : cpu->x[rs1];
    bool swap = (raw >> 12 & 3) == 1;
    bool write = swap || rs1 != 0;
    uint64_t old = 0;
    uint64_t value;

    if (!accessible(cpu, csr, write))
        return -1;
    /* No instruction needs the side effects of a read, and there are none (Unprivileged §9.1). */
    if (read_unchecked(cpu, csr, &old))
        return -1;
    if (write) {
        value = modified_value(cpu, csr, old);
        if (swap)
            value = operand;
        else
            value = (raw >> 12 & 3) == 2 ? value | operand : value & ~operand;
        if (write_unchecked(cpu, csr, value))
            return -1;
    }
    if (rd)
        cpu->x[rd] = old;
    return 0;
}
