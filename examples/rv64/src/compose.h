/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_COMPOSE_H
#define RV64_COMPOSE_H

/*
 * The composition: the one place of this VMM where the libraries meet. It owns the machine's
 * memory (guest RAM and shadow tables), and is what stands behind mmu.h.
 */

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "cpu.h"
#include "mmu.h"

/* Libraries that a run can do without. */
#define RV64_WITHOUT_TRACELOG   1u
#define RV64_WITHOUT_NONPRESENT 2u
#define RV64_WITHOUT_ASID       4u

/* Mechanisms of the translator that it can do without. */
#define RV64_WITHOUT_CHAIN    8u
#define RV64_WITHOUT_REGSTATE 16u
#define RV64_WITHOUT_RETURNS  32u
#define RV64_WITHOUT_SITES    64u
#define RV64_WITHOUT_WINDOWS  128u

struct rv64_compose;

struct rv64_compose_params {
    uint64_t ram_size;       /**< bytes, a multiple of 4096 */
    uint64_t encrypt_ram;    /**< bytes of it that are plaintext at a time; 0: all */
    const char *encrypt_how; /**< where these are to lie; NULL: anywhere */
    const char *mmu;         /**< "softmmu" */
    uint32_t without;        /**< RV64_WITHOUT_* */
    bool audit;              /**< check the shadow at every coherence point */
    const char *asid_trace;  /**< file for a record of activated address spaces; NULL: none */
    struct rv64_bus *bus;
    struct rv64_cpu *cpu;
};

/**
 * Builds the memory system, and fills bus->ram, ram_base, ram_size and dma_wrote.
 * @return 0, or -1 with a reason in *ret_error: a string constant
 */
int rv64_compose_create(const struct rv64_compose_params *params, struct rv64_compose **ret_compose,
                        const char **ret_error);

/** What the CPU accesses memory through. */
struct rv64_mmu *rv64_compose_mmu(struct rv64_compose *compose);

void rv64_compose_destroy(struct rv64_compose *compose);

/** Calls `each` with every counter of every library in the composition. */
void rv64_compose_stats(const struct rv64_compose *compose,
                        void (*each)(void *ctx, const char *group, const char *name,
                                     uint64_t value),
                        void *ctx);

/** Differences that the audits found so far. */
uint64_t rv64_compose_audit_differences(const struct rv64_compose *compose);

#endif /* RV64_COMPOSE_H */
