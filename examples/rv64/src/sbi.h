/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_SBI_H
#define RV64_SBI_H

/*
 * The supervisor binary interface of a machine that boots without firmware: RISC-V SBI 2.0 with
 * the extensions base, TIME, IPI, RFENCE, HSM, SRST and DBCN, and of the legacy ones all.
 */

#include "bus.h"
#include "cpu.h"

#define RV64_SBI_SHUTDOWN 0
#define RV64_SBI_REBOOT   1

/** What SBI needs of the machine. */
struct rv64_sbi {
    struct rv64_bus *bus;
    /** Sets the time of the next S-mode timer interrupt, in ticks; UINT64_MAX is never. */
    void (*timer_set)(void *ctx, uint64_t when);
    void (*console_put)(void *ctx, uint8_t byte);
    /** A byte that was typed, or -1. */
    int (*console_get)(void *ctx);
    /** RV64_SBI_SHUTDOWN or RV64_SBI_REBOOT; failed: the guest gives an error as the reason. */
    void (*reset)(void *ctx, uint32_t what, bool failed);
    void *ctx;
    uint64_t calls; /**< for --stats */
};

/** Serves an ECALL from S-mode: a0-a7 are x[10] to x[17]. */
void rv64_sbi_call(struct rv64_sbi *sbi, struct rv64_cpu *cpu);

#endif /* RV64_SBI_H */
