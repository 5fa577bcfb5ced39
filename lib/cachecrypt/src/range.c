/* SPDX-License-Identifier: BSD-3-Clause */
/* What is done to many pages at once: flush, evict, discard. */
#include "cachecrypt_internal.h"

/** The page of this region in a frame, or the number of pages: none. */
static uint64_t page_in(const struct gn_cachecrypt *cc, const struct gn_cachecrypt__region *reg,
                        uint32_t f)
{
    const struct gn_cachecrypt__frame *frame = &cc->table[f];

    if (!frame->used || frame->orphan || frame->key >> 32 != gn_cachecrypt__number(cc, reg))
        return reg->pages;
    return frame->key & UINT32_MAX;
}

static int flush(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg)
{
    uint32_t f, busy = 0, sealed = 0;
    int r;

    for (f = 0; f < cc->frame_count; f++) {
        if (!*gn_cachecrypt__dirty(cc, f) || page_in(cc, reg, f) == reg->pages)
            continue;
        r = gn_cachecrypt__seal(cc, f);
        if (r && r != -GN_ERR_BUSY)
            return r;
        busy |= r != 0;
        sealed += r == 0;
    }
    /* Else a region whose pages never miss could not come to the end of a sweep. */
    if (sealed && reg->sweeping) {
        r = gn_cachecrypt__sweep(cc, reg, (uint64_t)sealed * reg->pace);
        if (r == -GN_ERR_BADMSG || r == -GN_ERR_PERM)
            return r;
    }
    gn_cachecrypt__tree_flush(cc, reg);
    return busy ? -GN_ERR_BUSY : 0;
}

int gn_cachecrypt_flush(struct gn_cachecrypt *cc, uint32_t region)
{
    struct gn_cachecrypt__region *reg;
    const int r = gn_cachecrypt__enter(cc, region, &reg);

    return r ? r : gn_cachecrypt__leave(cc, flush(cc, reg));
}

/** Evicts a page; that it is pinned is noted, and no reason to stop. */
static int evict_one(struct gn_cachecrypt *cc, uint32_t f, uint32_t *busy)
{
    const int r = gn_cachecrypt__evict(cc, f);

    if (r != -GN_ERR_BUSY)
        return r;
    *busy = 1;
    return 0;
}

static int evict(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t offset,
                 uint64_t len)
{
    const uint64_t number = gn_cachecrypt__number(cc, reg);
    uint64_t page = offset >> reg->page_shift, end;
    uint32_t f, busy = 0;
    int r = 0;

    if (!gn_cachecrypt__within(reg, offset, len))
        return -GN_ERR_RANGE;
    if (!len)
        return 0;
    end = ((offset + len - 1) >> reg->page_shift) + 1;
    if (end - page < cc->frame_count) {
        for (; !r && page < end; page++) {
            f = gn_cachecrypt__find(cc, number << 32 | page);
            if (f != NONE)
                r = evict_one(cc, f, &busy);
        }
    } else {
        for (f = 0; !r && f < cc->frame_count; f++) {
            const uint64_t here = page_in(cc, reg, f);

            if (here != reg->pages && here >= page && here < end)
                r = evict_one(cc, f, &busy);
        }
    }
    return r ? r : busy ? -GN_ERR_BUSY : 0;
}

int gn_cachecrypt_evict(struct gn_cachecrypt *cc, uint32_t region, uint64_t offset, uint64_t len)
{
    struct gn_cachecrypt__region *reg;
    const int r = gn_cachecrypt__enter(cc, region, &reg);

    return r ? r : gn_cachecrypt__leave(cc, evict(cc, reg, offset, len));
}

static int discard_page(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t page)
{
    const uint64_t key = (uint64_t)gn_cachecrypt__number(cc, reg) << 32 | page;
    const uint32_t f = gn_cachecrypt__find(cc, key);
    struct gn_cachecrypt__node *leaf;
    uint64_t *word;
    int r;

    if (f != NONE && cc->table[f].pins)
        return -GN_ERR_BUSY;
    r = gn_cachecrypt__leaf(cc, reg, page, &leaf);
    if (!r && f != NONE)
        r = gn_cachecrypt__unmap(cc, f);
    if (r)
        return r;
    if (f != NONE)
        gn_cachecrypt__drop(cc, f);
    word = gn_cachecrypt__word(leaf, page);
    /* The count of seals stays: the next one goes on from it. */
    if (*word & WORD_DATA) {
        *word &= ~WORD_DATA;
        gn_cachecrypt__node_changed(cc, reg, leaf);
    }
    return 0;
}

static int discard(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t offset,
                   uint64_t len)
{
    uint64_t page, end;
    int r = 0;

    if (!gn_cachecrypt__within(reg, offset, len))
        return -GN_ERR_RANGE;
    if ((offset | len) & (reg->page_bytes - 1))
        return -GN_ERR_INVAL;
    page = offset >> reg->page_shift;
    end = page + (len >> reg->page_shift);
    for (; !r && page < end; page++)
        r = discard_page(cc, reg, page);
    return r;
}

int gn_cachecrypt_discard(struct gn_cachecrypt *cc, uint32_t region, uint64_t offset, uint64_t len)
{
    struct gn_cachecrypt__region *reg;
    const int r = gn_cachecrypt__enter(cc, region, &reg);

    return r ? r : gn_cachecrypt__leave(cc, discard(cc, reg, offset, len));
}
