/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest pages that hold code, and writes to them.
 *
 * A page's granules say where its blocks came from, so that data beside code is written at the cost
 * of a look. Bits of blocks that were evicted stay until a write finds none of them: never too few.
 */
#include "tcache_internal.h"

static uint32_t *bucket_of(const struct gn_tcache *tc, uint64_t gpa)
{
    const uint64_t page = gpa >> GN_PAGE_SHIFT;

    return &tc->page_buckets[gn_tcache__mix(page ^ tc->seed) & tc->page_mask];
}

uint32_t gn_tcache__page_find(const struct gn_tcache *tc, uint64_t gpa)
{
    uint32_t i = *bucket_of(tc, gpa);

    while (i != NONE && tc->pages[i].gpa >> GN_PAGE_SHIFT != gpa >> GN_PAGE_SHIFT)
        i = tc->pages[i].chain;
    return i;
}

uint32_t gn_tcache__page_pin(struct gn_tcache *tc, uint64_t gpa)
{
    uint32_t page = gn_tcache__page_find(tc, gpa);
    uint32_t *bucket = bucket_of(tc, gpa);

    if (page == NONE) {
        page = tc->page_free;
        if (page == NONE)
            gn_tcache__broken(tc, "tcache: no page is free");
        tc->page_free = tc->pages[page].chain;
        tc->pages_left--;
        tc->pages[page] = (struct gn_tcache__page){
            .gpa = gpa & ~GN_PAGE_MASK, .chain = *bucket, .blocks = NONE, .used = 1};
        *bucket = page;
        tc->stats.watches++;
        if (tc->ops.watch)
            tc->ops.watch(tc->ctx, gn_gpa(gpa & ~GN_PAGE_MASK), 1);
    }
    tc->pages[page].pins++;
    return page;
}

static void release_if_empty(struct gn_tcache *tc, uint32_t page)
{
    struct gn_tcache__page *p = &tc->pages[page];
    uint32_t *link = bucket_of(tc, p->gpa);

    if (p->pins || p->blocks != NONE)
        return;
    while (*link != page)
        link = &tc->pages[*link].chain;
    *link = p->chain;
    p->used = 0;
    p->chain = tc->page_free;
    tc->page_free = page;
    tc->pages_left++;
    if (tc->ops.watch)
        tc->ops.watch(tc->ctx, gn_gpa(p->gpa), 0);
}

void gn_tcache__page_unpin(struct gn_tcache *tc, uint32_t page)
{
    tc->pages[page].pins--;
    release_if_empty(tc, page);
}

/* Granules of size bytes from an offset in a page; size is 1 to the page's end. */
static uint64_t granules_of(uint32_t first, uint32_t size)
{
    const uint32_t low = first >> GRANULE_SHIFT;
    const uint32_t high = (first + size - 1) >> GRANULE_SHIFT;

    return UINT64_MAX >> (63 - high) & UINT64_MAX << low;
}

static uint32_t guest_first(const struct gn_tcache__block *b)
{
    return b->guest & GN_PAGE_MASK;
}

static uint32_t guest_size(const struct gn_tcache__block *b)
{
    return b->guest >> 16;
}

void gn_tcache__page_add(struct gn_tcache *tc, uint32_t page, uint32_t block)
{
    struct gn_tcache__page *p = &tc->pages[page];
    struct gn_tcache__block *b = &tc->blocks[block];

    b->page = page;
    b->prev = NONE;
    b->next = p->blocks;
    if (p->blocks != NONE)
        tc->blocks[p->blocks].prev = block;
    p->blocks = block;
    p->granules |= granules_of(guest_first(b), guest_size(b));
}

void gn_tcache__page_remove(struct gn_tcache *tc, uint32_t block)
{
    const struct gn_tcache__block *b = &tc->blocks[block];

    if (b->prev != NONE)
        tc->blocks[b->prev].next = b->next;
    else
        tc->pages[b->page].blocks = b->next;
    if (b->next != NONE)
        tc->blocks[b->next].prev = b->prev;
    release_if_empty(tc, b->page);
}

/* Who is translating from the page reads what may be old. */
static void begun_spoil(struct gn_tcache *tc, uint32_t page)
{
    uint32_t i;

    for (i = 0; i < tc->vcpu_count; i++)
        if (tc->vcpus[i].begun && tc->vcpus[i].page == page)
            tc->vcpus[i].dirty = 1;
}

/* Bytes [first, first + size) of a page were written. @return whether blocks were dropped. */
static int page_written(struct gn_tcache *tc, uint32_t page, uint32_t first, uint32_t size)
{
    struct gn_tcache__page *p = &tc->pages[page];
    uint64_t granules = 0;
    uint32_t block, next;
    int dropped = 0;

    tc->stats.writes++;
    if (p->pins)
        begun_spoil(tc, page);
    if (!(p->granules & granules_of(first, size))) {
        tc->stats.writes_filtered++;
        return 0;
    }
    p->pins++; /* so that it does not go with its last block */
    for (block = p->blocks; block != NONE; block = next) {
        const struct gn_tcache__block *b = &tc->blocks[block];

        next = b->next;
        if (guest_first(b) < first + size && first < guest_first(b) + guest_size(b)) {
            gn_tcache__drop(tc, block);
            tc->stats.blocks_written++;
            dropped = 1;
        } else {
            granules |= granules_of(guest_first(b), guest_size(b));
        }
    }
    p->granules = granules;
    tc->stats.writes_missed += !dropped;
    gn_tcache__page_unpin(tc, page);
    return dropped;
}

/* The part of [first, last] that lies in a page. */
static int page_overlap(struct gn_tcache *tc, uint32_t page, uint64_t first, uint64_t last)
{
    const uint64_t from = tc->pages[page].gpa;
    const uint64_t low = first > from ? first : from;
    const uint64_t high = last < from + GN_PAGE_MASK ? last : from + GN_PAGE_MASK;

    return low <= high &&
           page_written(tc, page, (uint32_t)(low - from), (uint32_t)(high - low + 1));
}

int gn_tcache_written(struct gn_tcache *tcache, gn_gpa_t gpa, uint64_t length)
{
    const uint64_t last = length > UINT64_MAX - gpa.v ? UINT64_MAX : gpa.v + length - 1;
    uint64_t at;
    uint32_t page;
    int dropped = 0;

    if (!tcache)
        return -GN_ERR_INVAL;
    if (!length)
        return 0;
    gn_tcache__lock(tcache);
    if ((last >> GN_PAGE_SHIFT) - (gpa.v >> GN_PAGE_SHIFT) >= tcache->page_count) {
        for (page = 0; page < tcache->page_count; page++)
            if (tcache->pages[page].used)
                dropped |= page_overlap(tcache, page, gpa.v, last);
    } else {
        for (at = gpa.v >> GN_PAGE_SHIFT; at <= last >> GN_PAGE_SHIFT; at++) {
            page = gn_tcache__page_find(tcache, at << GN_PAGE_SHIFT);
            if (page != NONE)
                dropped |= page_overlap(tcache, page, gpa.v, last);
        }
    }
    gn_tcache__unlock(tcache);
    return dropped;
}
