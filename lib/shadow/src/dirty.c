/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * The dirty log: one bit a page of a slot, set at the first write since the last harvest.
 *
 * The rule that makes it complete: in a logged slot a leaf is writable only if it maps a single
 * page whose bit is set. So the first write through any mapping faults, and the fault sets the bit
 * before it gives W. A harvest takes W from every leaf of a page before it clears the bit, and the
 * MMU has forgotten W when it returns: what a guest wrote before that is in the page that the
 * embedder then copies, what it writes after that faults. What does not pass a leaf is reported by
 * who does it: A and D by the walk below, all else by gn_shadow_sync().
 */

#define WORD_BITS 64u

size_t gn_shadow_dirty_size(uint64_t length)
{
    uint64_t pages = length >> GN_PAGE_SHIFT;

    if (!gn_shadow_slot_size(length))
        return 0;
    return (size_t)((pages + WORD_BITS - 1) / WORD_BITS * sizeof(uint64_t));
}

static uint64_t page_of(const struct gn_shadow__slot *s, gn_gpa_t gpa)
{
    return (gpa.v - s->slot.gpa.v) >> GN_PAGE_SHIFT;
}

int gn_shadow__dirty_test(const struct gn_shadow__slot *s, gn_gpa_t gpa)
{
    uint64_t page = page_of(s, gpa);

    return (int)(gn_shadow__peek(&s->dirty[page / WORD_BITS]) >> page % WORD_BITS & 1);
}

void gn_shadow__dirty_mark(struct gn_shadow *sh, gn_gpa_t gpa)
{
    struct gn_shadow__slot *s = sh->logged ? gn_shadow__slot_find(sh, gpa) : NULL;
    uint64_t page;
    uint64_t bit;

    if (!s || !s->dirty || gn_shadow__dirty_test(s, gpa))
        return;
    page = page_of(s, gpa);
    bit = (uint64_t)1 << page % WORD_BITS;
    /* The leaf that follows from the bit is written after it, and read by a call that is alone. */
    if (__atomic_fetch_or(&s->dirty[page / WORD_BITS], bit, __ATOMIC_RELAXED) & bit)
        return;
    gn_shadow__count(sh, dirty_pages, 1);
    /* The bit is set whatever the op says: a ring that is full has lost nothing. */
    if (sh->ops.dirty &&
        sh->ops.dirty(sh->params.ops_ctx, (uint32_t)(s - sh->slots), gn_gpa(gpa.v & ~GN_PAGE_MASK)))
        gn_shadow__count(sh, dirty_overflows, 1);
}

void gn_shadow__page_protect(struct gn_shadow *sh, gn_gpa_t page)
{
    for (uint32_t id = *gn_shadow__frame_head(sh, gn_shadow__frame(sh, page, 0));
         id != GN_SHADOW__NIL; id = sh->links[id].next) {
        uint64_t value = sh->tables[id / GN_SHADOW__ENTRIES].entries[id % GN_SHADOW__ENTRIES];
        struct gn_paging_entry e;

        if (gn_paging_entry_decode(&sh->context, 0, value, &e) || !(e.permissions & GN_PAGING_W))
            continue;
        e.permissions &= ~(GN_PAGING_W | GN_PAGING_D | GN_SHADOW_TRACED);
        if (gn_paging_entry_encode(sh->params.format, 0, &e, &value) == 0)
            gn_shadow__leaf_update(sh, id, value);
    }
}

/*
 * gn_shadow__page_protect(), as far as steps go. A chain that is longer than that is shortened from
 * its front: what is dropped need not be looked at again, so work in parts comes to its end.
 */
static int page_protect_part(struct gn_shadow *sh, gn_gpa_t page)
{
    uint32_t *head = gn_shadow__frame_head(sh, gn_shadow__frame(sh, page, 0));
    uint32_t members = 0;

    for (uint32_t id = *head; id != GN_SHADOW__NIL && members <= sh->steps; id = sh->links[id].next)
        members++;
    if (!gn_shadow__steps(sh, members ? members : 1)) {
        while (*head != GN_SHADOW__NIL && gn_shadow__step(sh))
            gn_shadow__entry_drop(sh, *head);
        return -GN_ERR_AGAIN;
    }
    gn_shadow__page_protect(sh, page);
    return 0;
}

/*
 * What a slot has had mapped before its log began. Larger leaves have no bit of their own: they go,
 * and come back in pieces when written. Leaves made meanwhile are as they must be.
 */
static int slot_protect(struct gn_shadow *sh, struct gn_shadow__slot *s)
{
    for (; s->left; s->left--) {
        uint32_t i = (uint32_t)s->left - 1;

        if (i < s->frames[0]) {
            if (page_protect_part(sh, gn_gpa(s->slot.gpa.v + ((uint64_t)i << GN_PAGE_SHIFT))))
                return -GN_ERR_AGAIN;
            continue;
        }
        while (s->heads[i] != GN_SHADOW__NIL) {
            if (!gn_shadow__step(sh))
                return -GN_ERR_AGAIN;
            gn_shadow__entry_drop(sh, s->heads[i]);
        }
    }
    return 0;
}

static struct gn_shadow__slot *slot_given(struct gn_shadow *sh, uint32_t slot)
{
    return slot < sh->params.slots && sh->slots[slot].slot.size ? &sh->slots[slot] : NULL;
}

static int dirty_start(struct gn_shadow *sh, uint32_t slot, void *mem, size_t len)
{
    struct gn_shadow__slot *s = slot_given(sh, slot);

    if (!s)
        return -GN_ERR_NOENT;
    if (s->slot.kind != GN_SHADOW_SLOT_RAM || !mem || (uintptr_t)mem & 7)
        return -GN_ERR_INVAL;
    if (s->dirty && s->left && s->dirty == mem)
        return slot_protect(sh, s);
    if (s->dirty)
        return -GN_ERR_EXIST;
    if (len < gn_shadow_dirty_size(s->slot.length))
        return -GN_ERR_NOMEM;
    memset(mem, 0, gn_shadow_dirty_size(s->slot.length));
    s->dirty = mem;
    s->left = (uint64_t)s->frames[0] + s->frames[1] + s->frames[2];
    sh->logged++;
    return slot_protect(sh, s);
}

int gn_shadow_dirty_start(struct gn_shadow *sh, uint32_t slot, void *mem, size_t len)
{
    int rc;

    if (!sh)
        return -GN_ERR_NOENT;
    gn_shadow__enter(sh);
    rc = dirty_start(sh, slot, mem, len);
    gn_shadow__leave(sh);
    return rc;
}

int gn_shadow_dirty_stop(struct gn_shadow *sh, uint32_t slot)
{
    struct gn_shadow__slot *s;
    int rc = -GN_ERR_NOENT;

    if (!sh)
        return rc;
    gn_shadow__enter(sh);
    s = slot_given(sh, slot);
    if (s && s->dirty) {
        s->dirty = NULL;
        s->left = 0;
        sh->logged--;
        rc = 0;
    }
    gn_shadow__leave(sh);
    return rc;
}

static int harvest(struct gn_shadow *sh, uint32_t slot, uint64_t first, uint64_t pages,
                   uint64_t *bitmap, uint64_t *ret_pages)
{
    struct gn_shadow__slot *s = slot_given(sh, slot);
    uint64_t total = s ? s->slot.length >> GN_PAGE_SHIFT : 0;

    if (!s || !s->dirty || s->left)
        return -GN_ERR_NOENT;
    if (!bitmap)
        return -GN_ERR_INVAL;
    if (first > total || pages > total - first)
        return -GN_ERR_RANGE;
    for (uint64_t page = first; page < first + pages; page++) {
        uint64_t *word = &bitmap[(page - first) / WORD_BITS];
        uint64_t bit = (uint64_t)1 << (page - first) % WORD_BITS;
        uint64_t rest = s->dirty[page / WORD_BITS] >> page % WORD_BITS;

        if (!rest) {
            page |= WORD_BITS - 1;
            continue;
        }
        if (!(rest & 1))
            continue;
        if (page_protect_part(sh, gn_gpa(s->slot.gpa.v + (page << GN_PAGE_SHIFT))))
            return -GN_ERR_AGAIN;
        s->dirty[page / WORD_BITS] &= ~((uint64_t)1 << page % WORD_BITS);
        /* A page that was written again since the last part is dirty once. */
        s->found += !(*word & bit);
        *word |= bit;
    }
    if (ret_pages)
        *ret_pages = s->found;
    s->found = 0;
    return 0;
}

int gn_shadow_dirty_harvest(struct gn_shadow *sh, uint32_t slot, uint64_t first, uint64_t pages,
                            uint64_t *bitmap, uint64_t *ret_pages)
{
    int rc;

    if (!sh)
        return -GN_ERR_NOENT;
    gn_shadow__enter(sh);
    rc = harvest(sh, slot, first, pages, bitmap, ret_pages);
    gn_shadow__leave(sh);
    return rc;
}
