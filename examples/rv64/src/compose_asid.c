/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include <gnomon/asid.h>

#include "compose_parts.h"

struct rv64_asid {
    struct gn_asid *pool;
    void *memory;
    void (*purge)(void *ctx, uint32_t id);
    void *purge_ctx;
};

bool rv64_asid_built(void)
{
    return true;
}

static int on_purge(void *ctx, uint32_t cpu, uint32_t id)
{
    struct rv64_asid *a = ctx;

    (void)cpu;
    a->purge(a->purge_ctx, id);
    return 0;
}

struct rv64_asid *rv64_asid_create(uint32_t first, uint32_t count,
                                   void (*purge)(void *ctx, uint32_t id), void *ctx)
{
    static const struct gn_asid_ops ops = {GN_ASID_OPS_INIT, .caps = GN_ASID_CAP_PURGE_ONE,
                                           .purge = on_purge};
    struct rv64_asid *a = calloc(1, sizeof *a);
    struct gn_asid_params params = {GN_ASID_PARAMS_INIT, .first = first, .count = count, .cpus = 1,
                                    .ops = &ops};

    if (!a)
        return NULL;
    params.ctx = a;
    a->purge = purge;
    a->purge_ctx = ctx;
    a->memory = aligned_alloc(gn_asid_align(), (gn_asid_size(&params) + gn_asid_align() - 1) &
                                                   ~(gn_asid_align() - 1));
    if (a->memory && !gn_asid_init(a->memory, gn_asid_size(&params), &params, &a->pool))
        return a;
    rv64_asid_destroy(a);
    return NULL;
}

void rv64_asid_destroy(struct rv64_asid *a)
{
    if (!a)
        return;
    gn_asid_fini(a->pool);
    free(a->memory);
    free(a);
}

uint32_t rv64_asid_activate(struct rv64_asid *a, uint64_t space)
{
    uint32_t id;

    /* One CPU, more than one ID, and a purge that cannot fail: neither can this. */
    if (gn_asid_activate(a->pool, 0, 0, space, &id))
        abort();
    return id;
}

bool rv64_asid_lookup(struct rv64_asid *a, uint64_t space, uint32_t *ret_id)
{
    return gn_asid_lookup(a->pool, 0, space, ret_id) == 1;
}

void rv64_asid_release(struct rv64_asid *a, uint64_t space)
{
    /* Busy: it is what ran last, and nothing else runs yet. */
    if (gn_asid_release(a->pool, 0, space) == -GN_ERR_BUSY &&
        (gn_asid_deactivate(a->pool, 0) || gn_asid_release(a->pool, 0, space)))
        abort();
}

void rv64_asid_stats(const struct rv64_asid *a, rv64_counter each, void *ctx)
{
    struct gn_asid_stats s = {GN_ASID_STATS_INIT};

    if (gn_asid_stats_get(a->pool, &s))
        return;
    each(ctx, "asid", "activations", s.activations);
    each(ctx, "asid", "hits", s.hits);
    each(ctx, "asid", "allocations", s.allocations);
    each(ctx, "asid", "reassigned", s.reassigned);
    each(ctx, "asid", "purges", s.purges);
    each(ctx, "asid", "releases", s.releases);
}
