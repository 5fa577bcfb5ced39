/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a compiler calls for each load and store under -fsanitize=thread, and the two mem functions
 * of the traced library: each tells the bus. Both GCC's and clang's names are here.
 */
#include <string.h>

#include "bus.h"

#define HOOK(name, bytes, write)      \
    void name(void *at);              \
    void name(void *at)               \
    {                                 \
        bus_access(at, bytes, write); \
    }

#define HOOKS(bytes)                              \
    HOOK(__tsan_read##bytes, bytes, 0)            \
    HOOK(__tsan_write##bytes, bytes, 1)           \
    HOOK(__tsan_unaligned_read##bytes, bytes, 0)  \
    HOOK(__tsan_unaligned_write##bytes, bytes, 1) \
    HOOK(__tsan_volatile_read##bytes, bytes, 0)   \
    HOOK(__tsan_volatile_write##bytes, bytes, 1)  \
    HOOK(__tsan_read_write##bytes, bytes, 1)      \
    HOOK(__tsan_unaligned_read_write##bytes, bytes, 1)

HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read_range(void *at, size_t bytes);
void __tsan_read_range(void *at, size_t bytes)
{
    bus_access(at, bytes, 0);
}

void __tsan_write_range(void *at, size_t bytes);
void __tsan_write_range(void *at, size_t bytes)
{
    bus_access(at, bytes, 1);
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

void *bus_memcpy(void *to, const void *from, size_t n);
void *bus_memcpy(void *to, const void *from, size_t n)
{
    /* Line by line, as the machine would; the memory changes with the cache. */
    for (size_t i = 0; i < n;) {
        const size_t rest = BUS_LINE - (uintptr_t)((uint8_t *)to + i) % BUS_LINE;
        const size_t part = rest < n - i ? rest : n - i;

        bus_access((const uint8_t *)from + i, part, 0);
        bus_access((uint8_t *)to + i, part, 1);
        memcpy((uint8_t *)to + i, (const uint8_t *)from + i, part);
        i += part;
    }
    return to;
}

void *bus_memset(void *to, int byte, size_t n);
void *bus_memset(void *to, int byte, size_t n)
{
    bus_access(to, n, 1);
    return memset(to, byte, n);
}
