/* SPDX-License-Identifier: BSD-3-Clause */

#include "syscon.h"

#define WINDOW 0x1000

static int syscon_read(void *state, uint64_t offset, uint32_t size, uint64_t *ret_value)
{
    (void)state;
    (void)offset;
    (void)size;
    *ret_value = 0;
    return 0;
}

static int syscon_write(void *state, uint64_t offset, uint32_t size, uint64_t value)
{
    struct rv64_syscon *syscon = state;
    uint32_t what = value & 0xffff;

    if (size == 1 || offset)
        return 0;
    if (what == RV64_SYSCON_FAIL || what == RV64_SYSCON_PASS || what == RV64_SYSCON_RESET)
        syscon->finish(syscon->ctx, what, (uint32_t)value >> 16);
    return 0;
}

int rv64_syscon_attach(struct rv64_syscon *syscon, struct rv64_bus *bus, uint64_t base)
{
    const struct rv64_device device = {.name = "syscon",
                                       .base = base,
                                       .length = WINDOW,
                                       .state = syscon,
                                       .read = syscon_read,
                                       .write = syscon_write};

    return rv64_bus_add(bus, &device);
}
