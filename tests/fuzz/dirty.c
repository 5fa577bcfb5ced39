/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/*
 * The dirty log beside a naive one: a byte a page, set by whoever writes. A harvest must name every
 * page that was written since the last one, and no other; the dirty op names each once.
 */

void dirty_mark(struct world *w, uint64_t gpa, uint64_t length, uint8_t how)
{
    for (uint64_t at = gpa & ~GN_PAGE_MASK; at < gpa + length; at += GN_PAGE_SIZE)
        if (at < GUEST_BYTES)
            w->dirty[at >> GN_PAGE_SHIFT] |= how;
}

int on_dirty(void *ctx, uint32_t slot, gn_gpa_t page)
{
    struct world *w = ctx;
    const struct gn_shadow_slot *s = slot_at(w, page.v);
    uint32_t i = s ? (uint32_t)(s - w->slot) : 0;

    if (!s || !w->logging[i] || w->slot_id[i] != slot || page.v & GN_PAGE_MASK)
        fail("dirty: a page of no logged slot: %#" PRIx64, page.v);
    /* Between the parts of a harvest it may be written once more, and is reported once. */
    if (w->dirty[page.v >> GN_PAGE_SHIFT] & DIRTY_KNOWN && !w->harvesting)
        fail("dirty: page %#" PRIx64 " is announced twice", page.v);
    w->dirty[page.v >> GN_PAGE_SHIFT] |= DIRTY_KNOWN;
    if (w->ring_used >= w->c.dirty_ring) {
        w->done[DONE_RING_FULL]++;
        return -GN_ERR_NOSPC;
    }
    w->ring_used++;
    return 0;
}

void dirty_gone(struct world *w, uint32_t slot)
{
    w->logging[slot] = 0;
    free(w->log_bits[slot]);
    w->log_bits[slot] = NULL;
}

void dirty_toggle(struct world *w, uint32_t slot)
{
    const struct gn_shadow_slot *s = &w->slot[slot];
    size_t bytes = gn_shadow_dirty_size(s->length);
    uint32_t calls = 0;

    if (!s->length || s->kind != GN_SHADOW_SLOT_RAM)
        return;
    if (w->logging[slot]) {
        if (gn_shadow_dirty_stop(w->shadow, w->slot_id[slot]))
            fail("dirty: a log was not stopped");
        dirty_gone(w, slot);
        return;
    }
    w->log_bits[slot] = aligned(64, bytes);
    memset(w->log_bits[slot], 0xcc, bytes);
    /* From here on: a start that stops in the middle logs already. */
    w->logging[slot] = 1;
    memset(w->dirty + (s->gpa.v >> GN_PAGE_SHIFT), 0, s->length >> GN_PAGE_SHIFT);
    while (again(w, gn_shadow_dirty_start(w->shadow, w->slot_id[slot], w->log_bits[slot], bytes),
                 &calls, "dirty: a log was not started"))
        ;
    /* A page that was written before it was seen to need not be known. */
    for (uint64_t i = 0; i < s->length >> GN_PAGE_SHIFT; i++) {
        uint8_t *page = &w->dirty[(s->gpa.v >> GN_PAGE_SHIFT) + i];

        if (*page & DIRTY_MUST)
            *page ^= DIRTY_MUST | DIRTY_MAY;
    }
}

void dirty_harvest(struct world *w, uint32_t slot, uint64_t first, uint64_t pages)
{
    uint64_t bitmap[GUEST_PAGES / 64 + 1] = {0};
    const struct gn_shadow_slot *s = &w->slot[slot];
    uint8_t *naive = w->dirty + (s->gpa.v >> GN_PAGE_SHIFT);
    uint64_t total = s->length >> GN_PAGE_SHIFT;
    uint64_t found = UINT64_MAX;
    uint64_t seen = 0;
    uint32_t calls = 0;

    if (!w->logging[slot])
        return;
    first %= total;
    pages = 1 + pages % (total - first);
    w->harvesting = 1;
    while (again(w,
                 gn_shadow_dirty_harvest(w->shadow, w->slot_id[slot], first, pages, bitmap, &found),
                 &calls, "dirty: a harvest was refused"))
        ;
    w->harvesting = 0;
    for (uint64_t i = 0; i < pages; i++) {
        uint8_t *page = &naive[first + i];
        int is = (int)(bitmap[i / 64] >> i % 64 & 1);

        if ((!is && *page & DIRTY_MUST) || (is && !(*page & (DIRTY_MUST | DIRTY_MAY))))
            fail("dirty: page %#" PRIx64 " was%s written, and%s harvested",
                 s->gpa.v + ((first + i) << GN_PAGE_SHIFT), *page & DIRTY_MUST ? "" : " not",
                 is ? "" : " not");
        if (is != ((*page & DIRTY_KNOWN) != 0))
            fail("dirty: page %#" PRIx64 " was%s harvested, and%s announced",
                 s->gpa.v + ((first + i) << GN_PAGE_SHIFT), is ? "" : " not", is ? " not" : "");
        *page = 0;
        seen += (uint64_t)is;
    }
    if (found != seen)
        fail("dirty: %" PRIu64 " pages were harvested, %" PRIu64 " were said", seen, found);
    w->done[DONE_HARVESTED] += seen;
    w->ring_used = 0;
}
