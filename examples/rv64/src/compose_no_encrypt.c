/* SPDX-License-Identifier: BSD-3-Clause */
#include "compose_parts.h"

/* Without cachecrypt, the Linux platform or libsodium: guest RAM is plain. */

bool rv64_encrypt_built(void)
{
    return false;
}

struct rv64_encrypt *rv64_encrypt_create(void *at, uint64_t ram_base, uint64_t ram_size,
                                         uint64_t pool, const char *how, const char **ret_error)
{
    (void)at;
    (void)ram_base;
    (void)ram_size;
    (void)pool;
    (void)how;
    (void)ret_error;
    return NULL;
}

void rv64_encrypt_destroy(struct rv64_encrypt *e)
{
    (void)e;
}

const struct rv64_bounce *rv64_encrypt_bounce(const struct rv64_encrypt *e)
{
    (void)e;
    return NULL;
}

void rv64_encrypt_stats(struct rv64_encrypt *e, rv64_counter each, void *ctx)
{
    (void)e;
    (void)each;
    (void)ctx;
}
