/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which bytes were blocks made from? Writes to code are not watched; FENCE.I is what makes them
 * visible to fetches (Unprivileged ISA §3). It begins an epoch, in which views know no page; a page
 * that a view learns of is compared with the copy that was made when its first block was, and
 * blocks whose bytes are others now are dropped.
 */

#include <string.h>

#include "runtime.h"

/* Bytes that are compared at a time. */
#define PIECE 64u

static uint32_t *bucket_of(struct rv64_translator *tr, uint64_t gpa)
{
    uint64_t frame = gpa >> GN_PAGE_SHIFT;

    return &tr->copy_buckets[(frame ^ frame >> 12) % RV64_TR_PAGES];
}

static uint32_t find(const struct rv64_translator *tr, uint64_t gpa)
{
    uint32_t i = *bucket_of((struct rv64_translator *)tr, gpa);

    while (i && tr->copies[i - 1].gpa != (gpa & ~GN_PAGE_MASK))
        i = tr->copies[i - 1].next;
    return i;
}

static void add(struct rv64_translator *tr, uint64_t gpa)
{
    uint32_t i = tr->copy_free;
    uint32_t *bucket = bucket_of(tr, gpa);

    tr->copy_free = tr->copies[i - 1].next;
    /* Epoch 0: the bytes are not known yet. */
    tr->copies[i - 1] = (struct rv64_tr_copy){.gpa = gpa, .next = *bucket};
    *bucket = i;
}

static void drop(struct rv64_translator *tr, uint64_t gpa)
{
    uint32_t *link = bucket_of(tr, gpa);
    uint32_t i;

    while (*link && tr->copies[*link - 1].gpa != gpa)
        link = &tr->copies[*link - 1].next;
    i = *link;
    if (!i)
        return;
    *link = tr->copies[i - 1].next;
    tr->copies[i - 1].next = tr->copy_free;
    tr->copy_free = i;
}

/* There are as many copies as tcache has pages. */
void rv64_tr_watch(void *ctx, gn_gpa_t page, uint32_t on)
{
    if (on)
        add(ctx, page.v);
    else
        drop(ctx, page.v);
}

void rv64_tr_compare(struct rv64_translator *tr, uint64_t gpa, const uint8_t *page)
{
    uint64_t base = gpa & ~GN_PAGE_MASK;
    uint32_t i = find(tr, gpa);
    uint8_t *copy;
    bool changed = false;

    if (!i)
        return;
    copy = tr->copy_bytes + (size_t)(i - 1) * GN_PAGE_SIZE;
    if (!tr->copies[i - 1].epoch) {
        memcpy(copy, page, GN_PAGE_SIZE);
        tr->copies[i - 1].epoch = tr->epoch;
        return;
    }
    tr->stats.pages_compared++;
    tr->copies[i - 1].epoch = tr->epoch;
    if (!memcmp(copy, page, GN_PAGE_SIZE))
        return;
    tr->stats.pages_changed++;
    for (uint32_t at = 0; at < GN_PAGE_SIZE; at += PIECE) {
        if (!memcmp(copy + at, page + at, PIECE))
            continue;
        memcpy(copy + at, page + at, PIECE);
        /* The page and its copy may go with the last block: what follows is nobody's then. */
        changed |= gn_tcache_written(tr->tcache, gn_gpa(base + at), PIECE) > 0;
        if (changed && find(tr, gpa) != i)
            return;
    }
}

bool rv64_tr_is_current(const struct rv64_translator *tr, uint64_t gpa)
{
    uint32_t i = find(tr, gpa);

    return !i || tr->copies[i - 1].epoch == tr->epoch;
}
