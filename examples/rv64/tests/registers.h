/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TEST_REGISTERS_H
#define RV64_TEST_REGISTERS_H

/* Registers of devices on a bus, and lines that they raise. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bus.h"
#include "line.h"

static bool lines[64];

static inline void set_line(void *ctx, uint32_t number, bool level)
{
    (void)ctx;
    lines[number] = level;
}

static inline struct rv64_line line(uint32_t number)
{
    const struct rv64_line l = {.set = set_line, .number = number};

    return l;
}

/* A bus without anything, and all lines low. */
static inline void registers_begin(struct rv64_bus *bus)
{
    memset(bus, 0, sizeof *bus);
    memset(lines, 0, sizeof lines);
}

static inline uint64_t get(struct rv64_bus *bus, uint64_t gpa, uint32_t size)
{
    uint64_t value = 0;

    assert_int_equal(rv64_bus_read(bus, gpa, size, &value), 0);
    return value;
}

static inline void put(struct rv64_bus *bus, uint64_t gpa, uint32_t size, uint64_t value)
{
    assert_int_equal(rv64_bus_write(bus, gpa, size, value), 0);
}

#endif /* RV64_TEST_REGISTERS_H */
