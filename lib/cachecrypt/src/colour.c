/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page colouring: a physically indexed cache puts the lines of a page in the sets that the page's
 * address names. Pages of one colour compete for the same sets; as many of them as the pool has
 * ways there never do.
 */
#include "cachecrypt_internal.h"

/** Takes up to `ways` candidates of each colour below a number of colours. */
static uint32_t take(uint64_t page_bytes, const gn_hpa_t *candidates, uint32_t count, uint32_t want,
                     uint64_t all, uint64_t colours, uint32_t ways, uint32_t *picked)
{
    uint32_t n = 0, i, j;

    for (i = 0; i < count && n < want; i++) {
        const uint64_t colour = candidates[i].v / page_bytes % all;
        uint32_t same = 0;

        if (colour >= colours)
            continue;
        for (j = 0; j < n; j++)
            same += candidates[picked[j]].v / page_bytes % all == colour;
        if (same < ways)
            picked[n++] = i;
    }
    return n;
}

int gn_cachecrypt_colour_pick(const struct gn_cachecrypt_cache *cache, uint64_t page_bytes,
                              const gn_hpa_t *candidates, uint32_t count, uint32_t want,
                              uint32_t *ret_picked, uint32_t *ret_colours)
{
    uint64_t all, colours;
    uint32_t ways;

    if (!cache || !candidates || !ret_picked || !cache->bytes || !cache->ways ||
        cache->pool_ways > cache->ways || page_bytes < 4096 || (page_bytes & (page_bytes - 1)) ||
        cache->bytes % (cache->ways * page_bytes))
        return -GN_ERR_INVAL;
    all = cache->bytes / cache->ways / page_bytes;
    ways = cache->pool_ways ? cache->pool_ways : cache->ways > 1 ? cache->ways / 2 : 1;
    for (colours = (want + ways - 1) / ways; colours <= all; colours++) {
        if (take(page_bytes, candidates, count, want, all, colours, ways, ret_picked) < want)
            continue;
        if (ret_colours)
            *ret_colours = (uint32_t)colours;
        return 0;
    }
    return -GN_ERR_NOSPC;
}
