/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_CLINT_H
#define RV64_CLINT_H

/*
 * The core-local interruptor of one hart: machine software interrupt, machine timer, and the
 * clock that the time CSR reads (SiFive FU540-C000 manual, chapter "CLINT").
 */

#include "bus.h"
#include "line.h"

#define RV64_TIMEBASE_HZ 10000000

/** The CLINT. */
struct rv64_clint {
    struct rv64_line software;    /**< MSI */
    struct rv64_line timer;       /**< MTI */
    uint64_t (*clock)(void *ctx); /**< ticks of the timebase since some moment */
    void *clock_ctx;
    uint64_t time_offset; /**< mtime - clock: the guest may set mtime */
    uint64_t mtimecmp;
    bool msip;
};

/** Ticks of the timebase from the host's CLOCK_MONOTONIC; the context is not used. */
uint64_t rv64_clint_host_clock(void *ctx);

/** Resets the CLINT. A NULL clock stands for rv64_clint_host_clock(). mtime begins at 0. */
void rv64_clint_init(struct rv64_clint *clint, const struct rv64_line *software,
                     const struct rv64_line *timer, uint64_t (*clock)(void *ctx), void *ctx);

/** Puts the CLINT on the bus. @return 0, or -1 as rv64_bus_add(). */
int rv64_clint_attach(struct rv64_clint *clint, struct rv64_bus *bus, uint64_t base);

/** mtime. */
uint64_t rv64_clint_time(const struct rv64_clint *clint);

/** Raises or lowers the timer line according to mtime. Called when time has passed. */
void rv64_clint_update(struct rv64_clint *clint);

#endif /* RV64_CLINT_H */
