/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the pool is, as far as that can be shown. Each claim rests on something that is looked at
 * when it is made: sizes, addresses, what the machine says, what a probe measured. What is not
 * shown is not claimed.
 */
#include "cachecrypt_internal.h"

#define PAGE 4096u

#define SAMPLES 31u
/** The far read must take this many eighths of the near one for a threshold to mean anything. */
#define CONTRAST 16u

/** Most lines of the pool in one set, by the machine addresses of its pages; 0: not known. */
static uint32_t fullest_set(struct gn_cachecrypt *cc)
{
    const uint64_t way = cc->cache.bytes / cc->cache.ways;
    const uint32_t more = way < PAGE ? (uint32_t)(PAGE / way) : 1; /* lines a page has in a set */
    uint32_t max = 0;
    size_t at;

    if (!cc->ops.hpa || (way < PAGE ? PAGE % way : way % PAGE))
        return 0;
    memset(cc->colours, 0, cc->colour_count * sizeof *cc->colours);
    for (at = 0; at < cc->bytes; at += PAGE) {
        uint32_t *colour;
        gn_hpa_t hpa;

        if (cc->ops.hpa(cc->ctx, gn_hva((uintptr_t)cc + at), &hpa))
            return 0;
        colour = &cc->colours[hpa.v / PAGE % cc->colour_count];
        *colour += more;
        max = *colour > max ? *colour : max;
    }
    return max;
}

static void judge(struct gn_cachecrypt *cc, struct gn_cachecrypt_residency_report *report)
{
    const struct gn_cachecrypt_cache *cache = &cc->cache;

    report->pool_bytes = cc->bytes;
    report->probed = cc->probed;
    report->probe_slow_permille = cc->probe_slow;
    if (cache->bytes) {
        report->cache_bytes = cache->bytes;
        report->share_permille = (uint32_t)(cc->bytes * 1000 / cache->bytes);
        report->set_limit = cache->pool_ways;
        report->set_max = fullest_set(cc);
        if (cc->bytes <= cache->bytes / cache->ways * cache->pool_ways)
            report->kind = GN_CACHECRYPT_RESIDENCY_BOUNDED;
        if (report->set_max && report->set_max <= cache->pool_ways)
            report->kind = GN_CACHECRYPT_RESIDENCY_COLOURED;
    }
    if (cc->ops.cache_locked && cc->ops.cache_locked(cc->ctx, gn_hva((uintptr_t)cc), cc->bytes) > 0)
        report->kind = GN_CACHECRYPT_RESIDENCY_LOCKED;
    /* What was measured outweighs what should be. */
    if (cc->probed && cc->probe_slow > GN_CACHECRYPT_PROBE_SLOW_MAX)
        report->kind = GN_CACHECRYPT_RESIDENCY_NONE;
}

int gn_cachecrypt_residency(struct gn_cachecrypt *cc, struct gn_cachecrypt_residency_report *report)
{
    const uint32_t size = report ? report->size : 0;

    if (!cc || size < sizeof *report)
        return -GN_ERR_INVAL;
    memset(report, 0, size);
    report->size = size;
    gn_cachecrypt__lock(cc);
    judge(cc, report);
    return gn_cachecrypt__leave(cc, 0);
}

/* ---- the probe --------------------------------------------------------------------------- */

static uint32_t ticks(struct gn_cachecrypt *cc, const volatile uint8_t *at)
{
    const uint64_t begin = cc->ops.clock(cc->ctx);
    uint64_t took;

    (void)*at;
    took = cc->ops.clock(cc->ctx) - begin;
    return took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
}

/** The median read of a byte, flushed before each or not. */
static uint32_t median(struct gn_cachecrypt *cc, const volatile uint8_t *at, int flushed)
{
    uint32_t sample[SAMPLES], i, j;

    (void)*at;
    for (i = 0; i < SAMPLES; i++) {
        uint32_t took;

        if (flushed)
            cc->ops.cache_flush(cc->ctx, gn_hva((uintptr_t)at));
        took = ticks(cc, at);
        for (j = i; j > 0 && sample[j - 1] > took; j--)
            sample[j] = sample[j - 1];
        sample[j] = took;
    }
    return sample[SAMPLES / 2];
}

static void probe_line(struct gn_cachecrypt *cc, size_t at, struct gn_cachecrypt_probe_result *p)
{
    const uint32_t took = ticks(cc, (const volatile uint8_t *)cc + at);
    uint32_t column = 0;

    while (took >> (column + 1) && column + 1 < GN_CACHECRYPT_PROBE_COLUMNS)
        column++;
    p->histogram[column]++;
    p->lines++;
    p->slow += took > p->threshold;
}

static int probe(struct gn_cachecrypt *cc, gn_hva_t bait, struct gn_cachecrypt_probe_result *p)
{
    const size_t line = cc->cache.line_bytes ? cc->cache.line_bytes : 64;
    const volatile uint8_t *at = (const volatile uint8_t *)(uintptr_t)bait.v;
    uint64_t misses;
    size_t column, page;

    p->near_ticks = median(cc, at, 0);
    p->far_ticks = median(cc, at, 1);
    if ((uint64_t)p->far_ticks * 8 < (uint64_t)p->near_ticks * CONTRAST || !p->far_ticks)
        return -GN_ERR_NOTSUP;
    p->threshold = p->near_ticks + (p->far_ticks - p->near_ticks) / 2;
    misses = cc->ops.cache_misses ? cc->ops.cache_misses(cc->ctx) : 0;
    /* A page further each time: no prefetcher follows. */
    for (column = 0; column < PAGE; column += line)
        for (page = 0; page < cc->bytes; page += PAGE)
            probe_line(cc, page + column, p);
    if (cc->ops.cache_misses)
        p->misses = cc->ops.cache_misses(cc->ctx) - misses;
    cc->probed = 1;
    cc->probe_slow = (uint32_t)((uint64_t)p->slow * 1000 / p->lines);
    return 0;
}

int gn_cachecrypt_probe(struct gn_cachecrypt *cc, gn_hva_t bait,
                        struct gn_cachecrypt_probe_result *ret_probe)
{
    struct gn_cachecrypt_probe_result result = {0};
    const uint32_t size = ret_probe ? ret_probe->size : 0;
    int r;

    if (!cc || size < sizeof result || !bait.v || !gn_cachecrypt__addressable(bait.v, 64) ||
        gn_cachecrypt__in_pool(cc, bait.v, 64))
        return -GN_ERR_INVAL;
    if (!cc->ops.clock || !cc->ops.cache_flush)
        return -GN_ERR_NOTSUP;
    gn_cachecrypt__lock(cc);
    r = gn_cachecrypt__leave(cc, probe(cc, bait, &result));
    if (r)
        return r;
    memset(ret_probe, 0, size);
    *ret_probe = result;
    ret_probe->size = size;
    return 0;
}
