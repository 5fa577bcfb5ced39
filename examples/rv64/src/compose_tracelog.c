/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include <gnomon/tracelog_inline.h>

#include "compose_parts.h"

struct rv64_tracelog {
    struct gn_tracelog *log;
    void *memory;
};

bool rv64_tracelog_built(void)
{
    return true;
}

struct rv64_tracelog *rv64_tracelog_create(uint64_t base, uint64_t size)
{
    /* One thread executes the guest and drains the log. */
    const struct gn_tracelog_params params = {
        GN_TRACELOG_PARAMS_INIT, .vcpus = 1, .flags = GN_TRACELOG_SERIAL, .page_base = gn_gpa(base),
        .page_count = size >> GN_PAGE_SHIFT};
    struct rv64_tracelog *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->memory =
        aligned_alloc(gn_tracelog_align(), (gn_tracelog_size(&params) + gn_tracelog_align() - 1) &
                                               ~(gn_tracelog_align() - 1));
    if (t->memory && !gn_tracelog_init(t->memory, gn_tracelog_size(&params), &params, &t->log))
        return t;
    rv64_tracelog_destroy(t);
    return NULL;
}

void rv64_tracelog_destroy(struct rv64_tracelog *t)
{
    if (!t)
        return;
    gn_tracelog_fini(t->log);
    free(t->memory);
    free(t);
}

void rv64_tracelog_append(struct rv64_tracelog *t, gn_gpa_t gpa, uint32_t bytes)
{
    gn_tracelog_append_inline(t->log, 0, gpa, bytes);
}

void rv64_tracelog_drain(struct rv64_tracelog *t,
                         void (*sync)(void *ctx, gn_gpa_t gpa, uint64_t length), void *ctx)
{
    struct gn_tracelog_drain drain;
    struct gn_tracelog_item item;
    /* A guest that changes a range writes one entry after the other: they are synced together. */
    gn_gpa_t first = gn_gpa(0);
    uint64_t length = 0;
    uint64_t bytes;

    if (gn_tracelog_empty(t->log))
        return;
    gn_tracelog_drain_begin(t->log, &drain);
    while (gn_tracelog_drain_next(t->log, &drain, &item) == 1) {
        bytes = item.kind == GN_TRACELOG_ALL ? UINT64_MAX : item.bytes;
        if (length && length != UINT64_MAX && item.gpa.v == first.v + length &&
            bytes != UINT64_MAX) {
            length += bytes;
            continue;
        }
        if (length)
            sync(ctx, first, length);
        first = item.gpa;
        length = bytes;
    }
    if (length)
        sync(ctx, first, length);
}

bool rv64_tracelog_pending(const struct rv64_tracelog *t, gn_gpa_t page)
{
    return gn_tracelog_pending(t->log, page);
}

void rv64_tracelog_stats(const struct rv64_tracelog *t, rv64_counter each, void *ctx)
{
    struct gn_tracelog_stats s = {GN_TRACELOG_STATS_INIT};

    if (gn_tracelog_stats_get(t->log, &s))
        return;
    each(ctx, "tracelog", "appended", s.appended);
    each(ctx, "tracelog", "filtered", s.filtered);
    each(ctx, "tracelog", "overflowed", s.overflowed);
    each(ctx, "tracelog", "drains", s.drains);
    each(ctx, "tracelog", "entries", s.entries);
    each(ctx, "tracelog", "pages", s.pages);
    each(ctx, "tracelog", "alls", s.alls);
}
