/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_CSR_H
#define RV64_CSR_H

/*
 * Numbers and fields of control and status registers: RISC-V Privileged Architecture 20211203,
 * tables 2.2 to 2.6, and §3.1, §4.1.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cpu.h"

#define RV64_CSR_FFLAGS        0x001
#define RV64_CSR_FRM           0x002
#define RV64_CSR_FCSR          0x003
#define RV64_CSR_SSTATUS       0x100
#define RV64_CSR_SIE           0x104
#define RV64_CSR_STVEC         0x105
#define RV64_CSR_SCOUNTEREN    0x106
#define RV64_CSR_SENVCFG       0x10a
#define RV64_CSR_SSCRATCH      0x140
#define RV64_CSR_SEPC          0x141
#define RV64_CSR_SCAUSE        0x142
#define RV64_CSR_STVAL         0x143
#define RV64_CSR_SIP           0x144
#define RV64_CSR_SATP          0x180
#define RV64_CSR_MSTATUS       0x300
#define RV64_CSR_MISA          0x301
#define RV64_CSR_MEDELEG       0x302
#define RV64_CSR_MIDELEG       0x303
#define RV64_CSR_MIE           0x304
#define RV64_CSR_MTVEC         0x305
#define RV64_CSR_MCOUNTEREN    0x306
#define RV64_CSR_MENVCFG       0x30a
#define RV64_CSR_MCOUNTINHIBIT 0x320
#define RV64_CSR_MHPMEVENT3    0x323
#define RV64_CSR_MHPMEVENT31   0x33f
#define RV64_CSR_MSCRATCH      0x340
#define RV64_CSR_MEPC          0x341
#define RV64_CSR_MCAUSE        0x342
#define RV64_CSR_MTVAL         0x343
#define RV64_CSR_MIP           0x344
#define RV64_CSR_PMPCFG0       0x3a0
#define RV64_CSR_PMPCFG15      0x3af
#define RV64_CSR_PMPADDR0      0x3b0
#define RV64_CSR_PMPADDR63     0x3ef
#define RV64_CSR_TSELECT       0x7a0
#define RV64_CSR_TDATA3        0x7a3
#define RV64_CSR_MCYCLE        0xb00
#define RV64_CSR_MINSTRET      0xb02
#define RV64_CSR_MHPMCOUNTER3  0xb03
#define RV64_CSR_MHPMCOUNTER31 0xb1f
#define RV64_CSR_CYCLE         0xc00
#define RV64_CSR_TIME          0xc01
#define RV64_CSR_INSTRET       0xc02
#define RV64_CSR_HPMCOUNTER31  0xc1f
#define RV64_CSR_MVENDORID     0xf11
#define RV64_CSR_MCONFIGPTR    0xf15

#define RV64_MSTATUS_SIE  (UINT64_C(1) << 1)
#define RV64_MSTATUS_MIE  (UINT64_C(1) << 3)
#define RV64_MSTATUS_SPIE (UINT64_C(1) << 5)
#define RV64_MSTATUS_MPIE (UINT64_C(1) << 7)
#define RV64_MSTATUS_SPP  (UINT64_C(1) << 8)
#define RV64_MSTATUS_MPP  (UINT64_C(3) << 11)
#define RV64_MSTATUS_FS   (UINT64_C(3) << 13)
#define RV64_MSTATUS_MPRV (UINT64_C(1) << 17)
#define RV64_MSTATUS_SUM  (UINT64_C(1) << 18)
#define RV64_MSTATUS_MXR  (UINT64_C(1) << 19)
#define RV64_MSTATUS_TVM  (UINT64_C(1) << 20)
#define RV64_MSTATUS_TW   (UINT64_C(1) << 21)
#define RV64_MSTATUS_TSR  (UINT64_C(1) << 22)
#define RV64_MSTATUS_UXL  (UINT64_C(3) << 32)
#define RV64_MSTATUS_SD   (UINT64_C(1) << 63)

/* UXL and SXL, fixed: 64 bits. */
#define RV64_MSTATUS_XLEN (UINT64_C(2) << 32 | UINT64_C(2) << 34)

#define RV64_MSTATUS_MPP_SHIFT 11

#define RV64_INTERRUPT (UINT64_C(1) << 63) /* in mcause and scause */

/** Interrupts that exist, and those of them that belong to S-mode. */
#define RV64_IRQS_S (1u << RV64_IRQ_SSI | 1u << RV64_IRQ_STI | 1u << RV64_IRQ_SEI)
#define RV64_IRQS   (RV64_IRQS_S | 1u << RV64_IRQ_MSI | 1u << RV64_IRQ_MTI | 1u << RV64_IRQ_MEI)

/** Causes that medeleg can delegate: all but ECALL from M-mode. */
#define RV64_MEDELEG_MASK UINT64_C(0xb3ff)

/** Executes a CSR instruction of Zicsr, given whole. @return 0, or -1: illegal instruction. */
int rv64_csr_execute(struct rv64_cpu *cpu, uint32_t raw);

/** Interrupts that would be taken now. */
uint64_t rv64_cpu_interrupts(const struct rv64_cpu *cpu);

/** Returns from a trap. @return 0, or -1: illegal instruction. */
int rv64_cpu_sret(struct rv64_cpu *cpu);

/** Returns from a trap to M-mode. @return 0, or -1: illegal instruction. */
int rv64_cpu_mret(struct rv64_cpu *cpu);

/** WFI. @return 0, or -1: illegal instruction. */
int rv64_cpu_wfi(struct rv64_cpu *cpu);

#endif /* RV64_CSR_H */
