/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which bytes were blocks made from? Stores become visible to fetches by FENCE.I (Unprivileged ISA
 * §3), and until then blocks may be older than memory. There are two ways to know of them:
 *
 *  - The page is watched: each write is told, at the latest before FENCE.I is over, and drops the
 *    blocks that were made from what it changed. Such writes are slower, and so data beside code
 *    are not worth it.
 *  - The page is compared: FENCE.I begins an epoch, in which views know no page; one that a view
 *    learns of is compared with the copy that was made when its first block was.
 *
 *    UNKNOWN --its first block is made--> WATCHED --writes in vain--> COMPARED, until its last
 *       |                                                             block has gone
 *       +--writes are not told, or were in vain twice---------------> COMPARED
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
    tr->compared -= tr->copies[i - 1].how == RV64_TR_COMPARED;
    *link = tr->copies[i - 1].next;
    tr->copies[i - 1].next = tr->copy_free;
    tr->copy_free = i;
}

/* ---- Watched pages ------------------------------------------------------------------------ */

/* Writes in a row that drop no block: then the page is one of data, too. */
#define VAIN_MOST 32u

/* Watches of a page that ended so, after which it is not watched any more. */
#define TIRED_MOST 2u

static uint8_t *tired_of(struct rv64_translator *tr, uint64_t gpa)
{
    return &tr->tired[(gpa >> GN_PAGE_SHIFT) % RV64_TR_PAGES];
}

static void copy_take(struct rv64_translator *tr, uint32_t i)
{
    struct rv64_tr_copy *c = &tr->copies[i - 1];

    memcpy(tr->copy_bytes + (size_t)(i - 1) * GN_PAGE_SIZE, c->page, GN_PAGE_SIZE);
    c->epoch = tr->epoch;
    c->how = RV64_TR_COMPARED;
    tr->compared++;
}

/* What a page's blocks are made from is about to be read for the first time. */
static void begin(struct rv64_translator *tr, uint32_t i)
{
    struct rv64_tr_copy *c = &tr->copies[i - 1];

    if (*tired_of(tr, c->gpa) >= TIRED_MOST || rv64_mmu_watch(tr->cpu->mmu, c->gpa, true)) {
        copy_take(tr, i);
        return;
    }
    c->how = RV64_TR_WATCHED;
    c->vain = 0;
    tr->stats.watches++;
}

/* Its writes are not worth being told. What is still to be told of it will be. */
static void unwatch(struct rv64_translator *tr, uint32_t i)
{
    struct rv64_tr_copy *c = &tr->copies[i - 1];

    (void)rv64_mmu_watch(tr->cpu->mmu, c->gpa, false);
    if (c->code)
        copy_take(tr, i);
    else
        drop(tr, c->gpa);
}

static void vain_write(struct rv64_translator *tr, uint32_t i)
{
    struct rv64_tr_copy *c = &tr->copies[i - 1];

    if (++c->vain < VAIN_MOST)
        return;
    *tired_of(tr, c->gpa) += *tired_of(tr, c->gpa) < TIRED_MOST;
    tr->stats.watches_ended++;
    unwatch(tr, i);
}

void rv64_tr_written(struct rv64_translator *tr, uint64_t gpa, uint64_t length)
{
    int dropped = gn_tcache_written(tr->tcache, gn_gpa(gpa), length);
    uint32_t i = find(tr, gpa);

    if (!i || tr->copies[i - 1].how != RV64_TR_WATCHED)
        return;
    tr->stats.watched_writes++;
    if (dropped)
        tr->copies[i - 1].vain = 0;
    else
        vain_write(tr, i);
}

void rv64_tr_linger_end(struct rv64_translator *tr)
{
    while (tr->linger_count > RV64_TR_LINGER) {
        uint32_t i = find(tr, tr->linger[tr->linger_first]);

        tr->linger_first = (tr->linger_first + 1) % RV64_TR_COPIES;
        tr->linger_count--;
        if (!i)
            continue;
        tr->copies[i - 1].lingers = false;
        if (tr->copies[i - 1].how == RV64_TR_WATCHED && !tr->copies[i - 1].code)
            unwatch(tr, i);
    }
}

/* There are as many copies as tcache has pages, and some for what lingers. */
void rv64_tr_watch(void *ctx, gn_gpa_t page, uint32_t on)
{
    struct rv64_translator *tr = ctx;
    uint32_t i = find(tr, page.v);

    if (on && !i) {
        add(tr, page.v);
        i = find(tr, page.v);
    }
    if (!i)
        return;
    tr->copies[i - 1].code = on;
    if (on)
        return;
    if (tr->copies[i - 1].how != RV64_TR_WATCHED) {
        drop(tr, page.v);
    } else if (!tr->copies[i - 1].lingers) {
        tr->copies[i - 1].lingers = true;
        tr->linger[(tr->linger_first + tr->linger_count++) % RV64_TR_COPIES] = page.v;
    }
}

/* ---- Compared pages ----------------------------------------------------------------------- */

void rv64_tr_compare(struct rv64_translator *tr, uint64_t gpa, const uint8_t *page)
{
    uint64_t base = gpa & ~GN_PAGE_MASK;
    uint32_t i = find(tr, gpa);
    uint8_t *copy;
    bool changed = false;

    if (!i || tr->copies[i - 1].how == RV64_TR_WATCHED)
        return;
    if (tr->copies[i - 1].how == RV64_TR_UNKNOWN) {
        tr->copies[i - 1].page = page;
        begin(tr, i);
        return;
    }
    copy = tr->copy_bytes + (size_t)(i - 1) * GN_PAGE_SIZE;
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

    return !i || tr->copies[i - 1].how == RV64_TR_WATCHED || tr->copies[i - 1].epoch == tr->epoch;
}
