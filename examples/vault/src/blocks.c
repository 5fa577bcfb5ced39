/* SPDX-License-Identifier: BSD-3-Clause */
#include "blocks.h"

#include <string.h>

/* No two free extents touch, so there are at most half as many as pages, and one. */
uint64_t blocks_size(uint32_t pages)
{
    return ((uint64_t)pages + 2 * ((uint64_t)pages / 2 + 1)) * sizeof(uint32_t);
}

void blocks_init(struct blocks *b, uint32_t pages, void *memory)
{
    *b = (struct blocks){.pages = pages, .length = memory};
    b->start = b->length + pages;
    b->extent = b->start + pages / 2 + 1;
    b->start[0] = 0;
    b->extent[0] = pages;
    b->extents = 1;
}

/* The first free extent that begins at or behind a page. */
static uint32_t extent_at(const struct blocks *b, uint32_t page)
{
    uint32_t low = 0;
    uint32_t high = b->extents;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (b->start[middle] < page)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void extent_remove(struct blocks *b, uint32_t i)
{
    uint32_t behind = --b->extents - i;

    memmove(b->start + i, b->start + i + 1, behind * sizeof *b->start);
    memmove(b->extent + i, b->extent + i + 1, behind * sizeof *b->extent);
}

static void extent_insert(struct blocks *b, uint32_t i, uint32_t start, uint32_t length)
{
    uint32_t behind = b->extents++ - i;

    memmove(b->start + i + 1, b->start + i, behind * sizeof *b->start);
    memmove(b->extent + i + 1, b->extent + i, behind * sizeof *b->extent);
    b->start[i] = start;
    b->extent[i] = length;
}

/* Takes pages from the front of an extent. */
static void extent_take(struct blocks *b, uint32_t i, uint32_t pages)
{
    b->start[i] += pages;
    b->extent[i] -= pages;
    if (!b->extent[i])
        extent_remove(b, i);
}

static void extent_give(struct blocks *b, uint32_t start, uint32_t length)
{
    uint32_t i = extent_at(b, start);
    int before = i > 0 && b->start[i - 1] + b->extent[i - 1] == start;
    int behind = i < b->extents && start + length == b->start[i];

    if (before && behind) {
        b->extent[i - 1] += length + b->extent[i];
        extent_remove(b, i);
    } else if (before) {
        b->extent[i - 1] += length;
    } else if (behind) {
        b->start[i] = start;
        b->extent[i] += length;
    } else {
        extent_insert(b, i, start, length);
    }
}

uint32_t blocks_alloc(struct blocks *b, uint32_t pages)
{
    uint32_t best = BLOCKS_NONE;
    uint32_t first;

    for (uint32_t i = 0; pages && i < b->extents; i++)
        if (b->extent[i] >= pages && (best == BLOCKS_NONE || b->extent[i] < b->extent[best]))
            best = i;
    if (best == BLOCKS_NONE)
        return BLOCKS_NONE;
    first = b->start[best];
    extent_take(b, best, pages);
    b->length[first] = pages;
    b->used += pages;
    b->count++;
    return first;
}

int blocks_resize(struct blocks *b, uint32_t first, uint32_t pages)
{
    uint32_t old = blocks_length(b, first);
    uint32_t i;

    if (!old || !pages)
        return -1;
    if (pages < old) {
        extent_give(b, first + pages, old - pages);
    } else if (pages > old) {
        i = extent_at(b, first + old);
        if (i == b->extents || b->start[i] != first + old || b->extent[i] < pages - old)
            return -1;
        extent_take(b, i, pages - old);
    }
    b->length[first] = pages;
    b->used = b->used - old + pages;
    return 0;
}

uint32_t blocks_length(const struct blocks *b, uint32_t first)
{
    return first < b->pages ? b->length[first] : 0;
}

uint32_t blocks_free(struct blocks *b, uint32_t first)
{
    uint32_t length = blocks_length(b, first);

    if (!length)
        return 0;
    b->length[first] = 0;
    b->used -= length;
    b->count--;
    extent_give(b, first, length);
    return length;
}
