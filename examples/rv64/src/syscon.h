/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_SYSCON_H
#define RV64_SYSCON_H

/*
 * The "test finisher" of SiFive's boards, through which QEMU's virt board is powered off: the
 * guest writes how it wants to end.
 */

#include "bus.h"

#define RV64_SYSCON_FAIL  0x3333 /**< the exit code is in the upper 16 bits */
#define RV64_SYSCON_PASS  0x5555 /**< power off */
#define RV64_SYSCON_RESET 0x7777

/** The finisher. */
struct rv64_syscon {
    /** Told of RV64_SYSCON_* and of the upper 16 bits. */
    void (*finish)(void *ctx, uint32_t what, uint32_t code);
    void *ctx;
};

/** Puts the finisher on the bus. @return 0, or -1 as rv64_bus_add(). */
int rv64_syscon_attach(struct rv64_syscon *syscon, struct rv64_bus *bus, uint64_t base);

#endif /* RV64_SYSCON_H */
