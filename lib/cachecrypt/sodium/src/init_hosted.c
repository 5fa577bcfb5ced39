/* SPDX-License-Identifier: BSD-3-Clause */
#include <sodium/core.h>
#include <sodium/randombytes.h>

#include "sodium_internal.h"

int gn_cachecrypt_sodium__start(void)
{
    return sodium_init() < 0;
}

int gn_cachecrypt_sodium_random(void *ctx, void *to, size_t bytes)
{
    (void)ctx;
    randombytes_buf(to, bytes);
    return 0;
}
