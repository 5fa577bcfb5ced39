/* SPDX-License-Identifier: BSD-3-Clause */
#include "compose_internal.h"

/* The counters of every library in the composition: what each mechanism does, and what it saves. */

static void count_shadow(const struct gn_shadow *shadow, rv64_counter each, void *ctx)
{
    struct gn_shadow_stats s = {GN_SHADOW_STATS_INIT};

    if (gn_shadow_stats_get(shadow, &s))
        return;
    each(ctx, "shadow", "faults", s.faults);
    each(ctx, "shadow", "fills", s.fills);
    each(ctx, "shadow", "guest_faults", s.guest_faults);
    each(ctx, "shadow", "mmio", s.mmio);
    each(ctx, "shadow", "trapped_writes", s.trapped_writes);
    each(ctx, "shadow", "walks", s.walks);
    each(ctx, "shadow", "walk_entries", s.walk_entries);
    each(ctx, "shadow", "syncs", s.syncs);
    each(ctx, "shadow", "sync_entries", s.sync_entries);
    each(ctx, "shadow", "sync_unchanged", s.sync_unchanged);
    each(ctx, "shadow", "sync_prefills", s.sync_prefills);
    each(ctx, "shadow", "sync_zaps", s.sync_zaps);
    each(ctx, "shadow", "invalidated_ranges", s.invalidated_ranges);
    each(ctx, "shadow", "invalidated_writes", s.invalidated_writes);
    each(ctx, "shadow", "invalidated_all", s.invalidated_all);
    each(ctx, "shadow", "tables", s.tables);
    each(ctx, "shadow", "tables_peak", s.tables_peak);
    each(ctx, "shadow", "tables_created", s.tables_created);
    each(ctx, "shadow", "tables_reclaimed", s.tables_reclaimed);
    each(ctx, "shadow", "tables_flooded", s.tables_flooded);
    each(ctx, "shadow", "root_hits", s.root_hits);
    each(ctx, "shadow", "root_misses", s.root_misses);
    each(ctx, "shadow", "large_leaves", s.large_leaves);
    each(ctx, "shadow", "splinters", s.splinters);
}

static void count_softmmu(const struct gn_softmmu *softmmu, rv64_counter each, void *ctx)
{
    struct gn_softmmu_stats s = {GN_SOFTMMU_STATS_INIT};

    if (gn_softmmu_stats_get(softmmu, &s))
        return;
    each(ctx, "softmmu", "walks", s.walks);
    each(ctx, "softmmu", "fills", s.fills);
    each(ctx, "softmmu", "exits", s.exits);
    each(ctx, "softmmu", "marker_faults", s.marker_faults);
    each(ctx, "softmmu", "marker_mmio", s.marker_mmio);
    each(ctx, "softmmu", "traced_writes", s.traced_writes);
    each(ctx, "softmmu", "invalidations", s.invalidations);
    each(ctx, "softmmu", "asid_flushes", s.asid_flushes);
    each(ctx, "softmmu", "full_flushes", s.full_flushes);
    each(ctx, "softmmu", "context_sets", s.context_sets);
    each(ctx, "softmmu", "strays", s.strays);
    each(ctx, "softmmu", "conformed", s.conformed);
}

void rv64_compose_stats(const struct rv64_compose *c, rv64_counter each, void *ctx)
{
    count_softmmu(c->softmmu, each, ctx);
    count_shadow(c->shadow, each, ctx);
    if (c->tracelog)
        rv64_tracelog_stats(c->tracelog, each, ctx);
    if (c->nonpresent)
        rv64_nonpresent_stats(c->nonpresent, each, ctx);
    if (c->asid)
        rv64_asid_stats(c->asid, each, ctx);
    else
        each(ctx, "compose", "switch_flushes", c->switch_flushes);
    if (c->windows)
        rv64_windows_stats(c->windows, each, ctx);
    if (c->encrypt)
        rv64_encrypt_stats(c->encrypt, each, ctx);
    if (c->audit) {
        each(ctx, "audit", "audits", c->audits);
        each(ctx, "audit", "leaves", c->audit_leaves);
        each(ctx, "audit", "differences", c->audit_differences);
    }
}
