/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_HARNESS_H
#define METAL_HARNESS_H

#include <gnomon/x86_64.h>

/** Keeps other threads out, until metal_unguard() with what this returned. */
static inline uint64_t metal_guard(void)
{
    uint64_t flags;

    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
    return flags;
}

static inline void metal_unguard(uint64_t flags)
{
    __asm__ volatile("pushq %0; popfq" : : "r"(flags) : "memory", "cc");
}

void metal_thread_local(uint32_t thread);

#endif /* METAL_HARNESS_H */
