/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_PLIC_H
#define RV64_PLIC_H

/*
 * The platform-level interrupt controller (RISC-V Platform-Level Interrupt Controller
 * Specification 1.0.0) with level-triggered sources and two contexts: M-mode and S-mode of hart 0.
 */

#include "bus.h"
#include "line.h"

#define RV64_PLIC_SOURCES  96 /**< 1 to 96; source 0 does not exist */
#define RV64_PLIC_CONTEXTS 2
#define RV64_PLIC_WORDS    (RV64_PLIC_SOURCES / 32 + 1)

/** The PLIC. */
struct rv64_plic {
    struct rv64_line outputs[RV64_PLIC_CONTEXTS]; /**< MEI, SEI */
    uint8_t priority[RV64_PLIC_SOURCES + 1];
    uint8_t threshold[RV64_PLIC_CONTEXTS];
    uint32_t level[RV64_PLIC_WORDS];   /**< the sources' wires */
    uint32_t pending[RV64_PLIC_WORDS]; /**< forwarded by the gateway, not yet claimed */
    uint32_t claimed[RV64_PLIC_WORDS]; /**< claimed, not yet completed: the gateway is shut */
    uint32_t enable[RV64_PLIC_CONTEXTS][RV64_PLIC_WORDS];
    uint64_t claims; /**< for --stats */
};

/** Resets the PLIC. */
void rv64_plic_init(struct rv64_plic *plic, const struct rv64_line outputs[RV64_PLIC_CONTEXTS]);

/** Puts the PLIC on the bus. @return 0, or -1 as rv64_bus_add(). */
int rv64_plic_attach(struct rv64_plic *plic, struct rv64_bus *bus, uint64_t base);

/** Sets the level of a source's wire. */
void rv64_plic_set(struct rv64_plic *plic, uint32_t source, bool level);

/** The wire into a source. */
struct rv64_line rv64_plic_line(struct rv64_plic *plic, uint32_t source);

#endif /* RV64_PLIC_H */
