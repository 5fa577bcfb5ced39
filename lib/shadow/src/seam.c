/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * Guests whose addresses are wider than the shadow's. The MMU can only be asked for the lowest and
 * the highest part of theirs, so that the table in its root register stands for two halves, which
 * hang on different guest tables:
 *
 *     S(root) [0]   -> S(T)  entries 0 .. 255    -+
 *             [511] -> S(T') entries 256 .. 511  -+-> the seam: what the MMU walks
 *
 * The tables from the guest's root down to T and T' have shadows as all others have, with levels
 * that the MMU does not know, in the encoding of its topmost level. Whatever brings tables up to
 * date works on those: roles, links, chains, syncs, flushes. No MMU sees them; it sees the seam, a
 * frame beside the tables, one a root. It is a copy of the two halves, and each write to an entry
 * that it shows, or that decides what it shows, is copied before anything else happens.
 */

/* The shadow of the half's table at the MMU's topmost level, or NIL. */
static uint32_t seam_table(struct gn_shadow *sh, const struct gn_shadow__root *r, int upper)
{
    uint32_t table = r->table;

    while (sh->tables[table].role.level >= sh->geometry.levels) {
        uint64_t entry = sh->tables[table].entries[upper ? GN_SHADOW__ENTRIES - 1 : 0];

        if (gn_shadow__kind(sh, sh->tables[table].role.level, entry) != GN_PAGING_ENTRY_TABLE)
            return GN_SHADOW__NIL;
        table = gn_shadow__link_table(sh, entry);
    }
    return table;
}

/* One store an entry, ordered after what was written to the table that it links. */
static void seam_write(struct gn_shadow__root *r, uint32_t i, uint64_t value)
{
    if (r->seam[i] != value)
        __atomic_store_n(&r->seam[i], value, __ATOMIC_RELEASE);
}

void gn_shadow__seam_copy(struct gn_shadow *sh, struct gn_shadow__root *r)
{
    for (int upper = 0; upper < 2; upper++) {
        uint32_t table = seam_table(sh, r, upper);
        uint32_t first = upper ? GN_SHADOW__ENTRIES / 2 : 0;

        for (uint32_t i = first; i < first + GN_SHADOW__ENTRIES / 2; i++)
            seam_write(r, i, table == GN_SHADOW__NIL ? 0 : sh->tables[table].entries[i]);
    }
}

int gn_shadow__seam_make(struct gn_shadow *sh, struct gn_shadow__root *r)
{
    void *frame;

    while (sh->ops.frame_alloc(sh->params.ops_ctx, &r->seam_hpa, &frame)) {
        /* What the tables keep ready may do, or what they need less. */
        int rc = sh->spare ? 0 : gn_shadow__reclaim(sh);

        if (rc)
            return rc;
        gn_shadow__spare_trim(sh, 0);
    }
    gn_shadow__check(sh, !((r->seam_hpa.v | (uintptr_t)frame) & GN_PAGE_MASK),
                     "shadow: an unaligned frame was given");
    r->seam = frame;
    memset(r->seam, 0, GN_PAGE_SIZE);
    sh->seams++;
    return 0;
}

void gn_shadow__seam_free(struct gn_shadow *sh, struct gn_shadow__root *r)
{
    if (!r->seam)
        return;
    sh->ops.frame_free(sh->params.ops_ctx, r->seam_hpa, r->seam);
    r->seam = NULL;
    sh->seams--;
}

void gn_shadow__seam_written(struct gn_shadow *sh, uint32_t id)
{
    uint32_t table = id / GN_SHADOW__ENTRIES;
    uint32_t i = id % GN_SHADOW__ENTRIES;
    uint32_t level = sh->tables[table].role.level;

    if (level + 1 < sh->geometry.levels)
        return;
    for (uint32_t n = 0; n < sh->params.roots; n++) {
        struct gn_shadow__root *r = &sh->roots[n];

        if (!r->key.size || !r->seam)
            continue;
        /* Up there a call that shares the shadow writes markers only, which are not shown. */
        if (level >= sh->geometry.levels && sh->alone)
            gn_shadow__seam_copy(sh, r);
        else if (level < sh->geometry.levels &&
                 seam_table(sh, r, i >= GN_SHADOW__ENTRIES / 2) == table)
            seam_write(r, i, sh->tables[table].entries[i]);
    }
}

int gn_shadow__seam_right(struct gn_shadow *sh, const struct gn_shadow__root *r, uint32_t i)
{
    uint32_t table = seam_table(sh, r, i >= GN_SHADOW__ENTRIES / 2);

    return r->seam[i] == (table == GN_SHADOW__NIL ? 0 : sh->tables[table].entries[i]);
}
