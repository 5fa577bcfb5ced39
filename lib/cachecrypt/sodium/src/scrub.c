/* SPDX-License-Identifier: BSD-3-Clause */
/* Round keys and plaintext stay in vector registers and in dead stack frames after a call. */
#include "sodium_internal.h"

__attribute__((noinline)) static void clear_stack(size_t bytes)
{
    void *dead = __builtin_alloca(bytes);

    __builtin_memset(dead, 0, bytes);
    __asm__ volatile("" : : "r"(dead) : "memory");
}

void gn_cachecrypt_sodium__scrub(size_t stack_bytes)
{
    clear_stack(stack_bytes);
    gn_cachecrypt_sodium__clear_registers();
}
