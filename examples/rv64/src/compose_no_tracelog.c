/* SPDX-License-Identifier: BSD-3-Clause */
#include "compose_parts.h"

/* A build without tracelog: writes to guest tables trap. */

bool rv64_tracelog_built(void)
{
    return false;
}

struct rv64_tracelog *rv64_tracelog_create(uint64_t base, uint64_t size)
{
    (void)base;
    (void)size;
    return NULL;
}

void rv64_tracelog_destroy(struct rv64_tracelog *log)
{
    (void)log;
}

void rv64_tracelog_append(struct rv64_tracelog *log, gn_gpa_t gpa, uint32_t bytes)
{
    (void)log;
    (void)gpa;
    (void)bytes;
}

void rv64_tracelog_drain(struct rv64_tracelog *log,
                         void (*sync)(void *ctx, gn_gpa_t gpa, uint64_t length), void *ctx)
{
    (void)log;
    (void)sync;
    (void)ctx;
}

bool rv64_tracelog_pending(const struct rv64_tracelog *log, gn_gpa_t page)
{
    (void)log;
    (void)page;
    return false;
}

void rv64_tracelog_stats(const struct rv64_tracelog *log, rv64_counter each, void *ctx)
{
    (void)log;
    (void)each;
    (void)ctx;
}
