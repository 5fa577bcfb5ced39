/* SPDX-License-Identifier: BSD-3-Clause */
#include "compose_parts.h"

/* A build without asid: every switch of address spaces flushes. */

bool rv64_asid_built(void)
{
    return false;
}

struct rv64_asid *rv64_asid_create(uint32_t first, uint32_t count,
                                   void (*purge)(void *ctx, uint32_t id), void *ctx)
{
    (void)first;
    (void)count;
    (void)purge;
    (void)ctx;
    return NULL;
}

void rv64_asid_destroy(struct rv64_asid *asid)
{
    (void)asid;
}

uint32_t rv64_asid_activate(struct rv64_asid *asid, uint64_t space)
{
    (void)asid;
    (void)space;
    return 0;
}

bool rv64_asid_lookup(struct rv64_asid *asid, uint64_t space, uint32_t *ret_id)
{
    (void)asid;
    (void)space;
    (void)ret_id;
    return false;
}

void rv64_asid_release(struct rv64_asid *asid, uint64_t space)
{
    (void)asid;
    (void)space;
}

void rv64_asid_stats(const struct rv64_asid *asid, rv64_counter each, void *ctx)
{
    (void)asid;
    (void)each;
    (void)ctx;
}
