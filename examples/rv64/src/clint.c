/* SPDX-License-Identifier: BSD-3-Clause */
/* CLINT: the registers are at the offsets of the SiFive FU540-C000 manual, table "CLINT". */

#include "clint.h"

#include <string.h>
#include <time.h>

#define WINDOW   0x10000
#define MSIP     0x0
#define MTIMECMP 0x4000
#define MTIME    0xbff8

#define NS_PER_TICK (1000000000 / RV64_TIMEBASE_HZ)

uint64_t rv64_clint_host_clock(void *ctx)
{
    struct timespec now;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * RV64_TIMEBASE_HZ + (uint64_t)now.tv_nsec / NS_PER_TICK;
}

uint64_t rv64_clint_time(const struct rv64_clint *clint)
{
    return clint->clock(clint->clock_ctx) + clint->time_offset;
}

void rv64_clint_update(struct rv64_clint *clint)
{
    rv64_line_set(&clint->timer, rv64_clint_time(clint) >= clint->mtimecmp);
}

/* The part of a 64-bit register that an aligned access of 4 or 8 bytes at `offset` sees. */
static uint64_t part_get(uint64_t whole, uint64_t offset, uint32_t size)
{
    return size == 8 ? whole : (uint32_t)(whole >> (offset & 4) * 8);
}

static uint64_t part_set(uint64_t whole, uint64_t offset, uint32_t size, uint64_t value)
{
    uint64_t shift = (offset & 4) * 8;

    if (size == 8)
        return value;
    return (whole & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)(uint32_t)value << shift;
}

static int clint_read(void *state, uint64_t offset, uint32_t size, uint64_t *ret_value)
{
    struct rv64_clint *clint = state;

    if (size < 4)
        return -1;
    switch (offset & ~UINT64_C(7)) {
    case MSIP: *ret_value = part_get(clint->msip, offset, size); break;
    case MTIMECMP: *ret_value = part_get(clint->mtimecmp, offset, size); break;
    case MTIME: *ret_value = part_get(rv64_clint_time(clint), offset, size); break;
    default: *ret_value = 0; break; /* harts that do not exist */
    }
    return 0;
}

static int clint_write(void *state, uint64_t offset, uint32_t size, uint64_t value)
{
    struct rv64_clint *clint = state;
    uint64_t time;

    if (size < 4)
        return -1;
    switch (offset & ~UINT64_C(7)) {
    case MSIP:
        clint->msip = part_set(clint->msip, offset, size, value) & 1;
        rv64_line_set(&clint->software, clint->msip);
        break;
    case MTIMECMP: clint->mtimecmp = part_set(clint->mtimecmp, offset, size, value); break;
    case MTIME:
        time = rv64_clint_time(clint);
        clint->time_offset += part_set(time, offset, size, value) - time;
        break;
    default: break;
    }
    rv64_clint_update(clint);
    return 0;
}

void rv64_clint_init(struct rv64_clint *clint, const struct rv64_line *software,
                     const struct rv64_line *timer, uint64_t (*clock)(void *ctx), void *ctx)
{
    memset(clint, 0, sizeof *clint);
    clint->software = *software;
    clint->timer = *timer;
    clint->clock = clock ? clock : rv64_clint_host_clock;
    clint->clock_ctx = ctx;
    clint->time_offset = -clint->clock(ctx);
    clint->mtimecmp = UINT64_MAX;
}

int rv64_clint_attach(struct rv64_clint *clint, struct rv64_bus *bus, uint64_t base)
{
    const struct rv64_device device = {.name = "clint",
                                       .base = base,
                                       .length = WINDOW,
                                       .state = clint,
                                       .read = clint_read,
                                       .write = clint_write};

    return rv64_bus_add(bus, &device);
}
