/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * Watched pages: somebody beside the shadow has derived something from a page and must know of its
 * writes. It is treated as a page of tables is, without any table: its count has a bit for it.
 */

static int watch(struct gn_shadow *sh, gn_gpa_t page, uint32_t on)
{
    const struct gn_shadow__slot *s = gn_shadow__slot_find(sh, page);
    uint32_t count;

    if (!s || s->slot.kind == GN_SHADOW_SLOT_MMIO)
        return -GN_ERR_NOENT;
    if (on && gn_shadow__page_close(sh, page))
        return -GN_ERR_AGAIN;
    count = gn_shadow__frame_tables(sh, page, 0);
    if (!(count & GN_SHADOW__WATCHED) == !on)
        return on ? gn_shadow__shut_run(sh, page) : 0;
    if (on) {
        (void)gn_shadow__frame_count(sh, page, GN_SHADOW__WATCHED);
        if (!count)
            gn_shadow__shut_begin(sh, page);
        return gn_shadow__shut_run(sh, page);
    }
    if (!gn_shadow__frame_count(sh, page, -(int)GN_SHADOW__WATCHED))
        gn_shadow__page_untrack(sh, page, gn_shadow__frame(sh, page, 0));
    return 0;
}

int gn_shadow_watch(struct gn_shadow *sh, gn_gpa_t page, uint32_t on)
{
    int rc;

    if (!sh || page.v & GN_PAGE_MASK || on > 1)
        return -GN_ERR_INVAL;
    gn_shadow__enter(sh);
    rc = watch(sh, page, on);
    gn_shadow__leave(sh);
    return rc;
}
