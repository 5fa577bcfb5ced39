/* SPDX-License-Identifier: BSD-3-Clause */
/* The dead stack only: which registers a cipher uses is not known here. */
#include "sodium_internal.h"

#define STACK_BYTES 2048

void gn_cachecrypt_sodium__scrub(void)
{
    uint8_t dead[STACK_BYTES];

    __builtin_memset(dead, 0, sizeof dead);
    __asm__ volatile("" : : "r"(dead) : "memory");
}
