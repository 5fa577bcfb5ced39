/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of an object, and where everything stands in its memory. */
#include "cachecrypt_internal.h"

#define ALIGN 4096u
#define LINE  64u

#define NODES_MIN     16u
#define STATE_DEFAULT 1024u

/** The parameters with their defaults filled in, and an offset a part. */
struct layout {
    struct gn_cachecrypt_params params;
    struct gn_cachecrypt_ops ops;
    uint64_t regions, windows, table, buckets, view, flags, nodes, node_buckets, colours, scratch,
        path, keys, frames, total;
    uint32_t bucket_count, view_count, node_buckets_count, colour_count, frame_shift;
};

void gn_cachecrypt__broken(struct gn_cachecrypt *cc, const char *what)
{
    if (cc->ops.panic)
        cc->ops.panic(cc->ctx, what);
    __builtin_trap();
}

uint32_t gn_cachecrypt_version(void)
{
    return (uint32_t)GN_CACHECRYPT_VERSION_MAJOR << 16 | GN_CACHECRYPT_VERSION_MINOR;
}

size_t gn_cachecrypt_align(void)
{
    return ALIGN;
}

static int is_power(uint64_t n)
{
    return n && !(n & (n - 1));
}

static uint32_t power_from(uint64_t n)
{
    uint32_t power = 1;

    while (power < n)
        power <<= 1;
    return power;
}

static void fill_in(struct gn_cachecrypt_params *p)
{
    const uint32_t four = p->frames < GN_CACHECRYPT_FRAMES_MAX ? 4 * p->frames : 0;

    if (!p->frame_bytes)
        p->frame_bytes = GN_CACHECRYPT_PAGE_MAX;
    if (!p->regions)
        p->regions = 1;
    if (!p->nodes)
        p->nodes = four < 64 ? 64 : four > 4096 ? 4096 : four;
    if (!p->windows)
        p->windows = 8;
    if (!p->state_bytes)
        p->state_bytes = STATE_DEFAULT;
    if (!p->cache.bytes)
        return;
    if (!p->cache.line_bytes)
        p->cache.line_bytes = LINE;
    if (!p->cache.pool_ways)
        p->cache.pool_ways = p->cache.ways > 1 ? p->cache.ways / 2 : 1;
}

static int check(const struct gn_cachecrypt_params *p)
{
    const struct gn_cachecrypt_cache *cache = &p->cache;

    if (!p->frames || p->frames > GN_CACHECRYPT_FRAMES_MAX || !is_power(p->frame_bytes) ||
        p->frame_bytes < GN_CACHECRYPT_PAGE_MIN || p->frame_bytes > GN_CACHECRYPT_PAGE_MAX)
        return -GN_ERR_INVAL;
    if (p->regions > GN_CACHECRYPT_REGIONS_MAX || p->windows > GN_CACHECRYPT_WINDOWS_MAX ||
        p->nodes < NODES_MIN || p->nodes > GN_CACHECRYPT_NODES_MAX ||
        p->state_bytes > GN_CACHECRYPT_STATE_BYTES_MAX || p->reserved)
        return -GN_ERR_INVAL;
    if (!cache->bytes)
        return 0;
    if (!cache->ways || cache->bytes % cache->ways || !is_power(cache->line_bytes) ||
        cache->bytes / cache->ways % cache->line_bytes || cache->pool_ways > cache->ways ||
        cache->bytes / cache->ways > (uint64_t)1 << 32)
        return -GN_ERR_INVAL;
    return 0;
}

static int check_ops(const struct gn_cachecrypt_ops *ops)
{
    return !ops->random || !ops->lock != !ops->unlock ? -GN_ERR_INVAL : 0;
}

static uint64_t place(uint64_t *at, uint64_t bytes, uint64_t align)
{
    const uint64_t here = (*at + align - 1) & ~(align - 1);

    *at = here + bytes;
    return here;
}

static void layout_place(struct layout *l)
{
    const struct gn_cachecrypt_params *p = &l->params;
    uint64_t at = sizeof(struct gn_cachecrypt);

    l->bucket_count = power_from(p->frames);
    l->view_count = power_from(2 * (uint64_t)p->frames);
    l->node_buckets_count = power_from(p->nodes);
    l->colour_count =
        p->cache.bytes ? (uint32_t)((p->cache.bytes / p->cache.ways + ALIGN - 1) / ALIGN) : 0;
    l->frame_shift = (uint32_t)__builtin_ctz(p->frame_bytes);
    l->regions = place(&at, p->regions * sizeof(struct gn_cachecrypt__region), LINE);
    l->windows = place(&at, p->windows * sizeof(struct gn_cachecrypt__window), LINE);
    l->table = place(&at, p->frames * sizeof(struct gn_cachecrypt__frame), LINE);
    l->buckets = place(&at, (uint64_t)l->bucket_count * sizeof(uint32_t), LINE);
    l->view = place(&at, (uint64_t)l->view_count * 2 * sizeof(uint64_t), LINE);
    l->flags = place(&at, (uint64_t)p->frames * 2, LINE);
    l->nodes = place(&at, p->nodes * sizeof(struct gn_cachecrypt__node), LINE);
    l->node_buckets = place(&at, (uint64_t)l->node_buckets_count * sizeof(uint32_t), LINE);
    l->colours = place(&at, (uint64_t)l->colour_count * sizeof(uint32_t), LINE);
    l->path = place(&at, LEVELS_MAX * NODE_BYTES, LINE);
    l->keys = place(&at, (uint64_t)p->regions * 2 * p->state_bytes, LINE);
    l->scratch = place(&at, p->frame_bytes, LINE);
    l->frames = place(&at, (uint64_t)p->frames << l->frame_shift, ALIGN);
    l->total = (at + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static int layout_make(const struct gn_cachecrypt_params *params, struct layout *l)
{
    int r = gn_base_params_copy(&l->params, sizeof l->params, params, sizeof l->params);

    if (r)
        return r;
    r = gn_base_params_copy(&l->ops, sizeof l->ops, l->params.ops, sizeof l->ops);
    if (r)
        return r;
    fill_in(&l->params);
    r = check(&l->params);
    if (!r)
        r = check_ops(&l->ops);
    if (r)
        return r;
    l->params.state_bytes = (l->params.state_bytes + LINE - 1) & ~(LINE - 1);
    layout_place(l);
    return l->total > SIZE_MAX ? -GN_ERR_NOMEM : 0;
}

size_t gn_cachecrypt_size(const struct gn_cachecrypt_params *params)
{
    struct layout l;

    return layout_make(params, &l) ? 0 : (size_t)l.total;
}

static void point(struct gn_cachecrypt *cc, const struct layout *l)
{
    uint8_t *base = (uint8_t *)cc;

    cc->regions = (struct gn_cachecrypt__region *)(base + l->regions);
    cc->windows = (struct gn_cachecrypt__window *)(base + l->windows);
    cc->table = (struct gn_cachecrypt__frame *)(base + l->table);
    cc->buckets = (uint32_t *)(base + l->buckets);
    cc->view = (uint64_t *)(base + l->view);
    cc->flags = base + l->flags;
    cc->nodes = (struct gn_cachecrypt__node *)(base + l->nodes);
    cc->node_buckets = (uint32_t *)(base + l->node_buckets);
    cc->colours = (uint32_t *)(base + l->colours);
    cc->scratch = base + l->scratch;
    cc->path = base + l->path;
    cc->keys = base + l->keys;
    cc->frames = base + l->frames;
}

static void tables_init(struct gn_cachecrypt *cc)
{
    uint32_t i;

    memset(cc->buckets, 0xff, ((size_t)cc->bucket_mask + 1) * sizeof(uint32_t));
    memset(cc->node_buckets, 0xff, ((size_t)cc->node_mask + 1) * sizeof(uint32_t));
    for (i = 0; i < cc->frame_count; i++)
        cc->table[i].next = i + 1 < cc->frame_count ? i + 1 : NONE;
    for (i = 0; i < cc->node_count; i++)
        cc->nodes[i].next = i + 1 < cc->node_count ? i + 1 : NONE;
    for (i = 0; i < cc->region_count; i++) {
        cc->regions[i].keys[0] = cc->keys + (size_t)2 * i * cc->state_bytes;
        cc->regions[i].keys[1] = cc->regions[i].keys[0] + cc->state_bytes;
    }
}

int gn_cachecrypt_init(void *mem, size_t len, const struct gn_cachecrypt_params *params,
                       struct gn_cachecrypt **ret_cc)
{
    struct gn_cachecrypt *cc = mem;
    struct layout l;
    int r;

    if (!mem || !ret_cc || (uintptr_t)mem % ALIGN)
        return -GN_ERR_INVAL;
    r = layout_make(params, &l);
    if (r)
        return r;
    if (len < l.total)
        return -GN_ERR_NOMEM;
    memset(mem, 0, (size_t)l.total);
    cc->ops = l.ops;
    cc->ctx = l.params.ctx;
    cc->cache = l.params.cache;
    cc->bytes = (size_t)l.total;
    cc->frame_count = l.params.frames;
    cc->frame_bytes = l.params.frame_bytes;
    cc->frame_shift = l.frame_shift;
    cc->bucket_mask = l.bucket_count - 1;
    cc->view_mask = l.view_count - 1;
    cc->view_fold = (uint32_t)__builtin_ctz(l.view_count);
    cc->region_count = l.params.regions;
    cc->window_count = l.params.windows;
    cc->node_count = l.params.nodes;
    cc->node_mask = l.node_buckets_count - 1;
    cc->state_bytes = l.params.state_bytes;
    cc->colour_count = l.colour_count;
    point(cc, &l);
    tables_init(cc);
    if (cc->ops.generation)
        cc->generation = cc->ops.generation(cc->ctx);
    if (cc->ops.dma_deny) {
        r = cc->ops.dma_deny(cc->ctx, gn_hva((uintptr_t)mem), cc->bytes);
        if (r) {
            gn_cachecrypt_fini(cc);
            return r;
        }
    }
    *ret_cc = cc;
    return 0;
}

void gn_cachecrypt_fini(struct gn_cachecrypt *cc)
{
    if (!cc)
        return;
    /* Keys first: should this be interrupted for ever, they are what matters. */
    gn_cachecrypt__wipe(cc->keys, (size_t)2 * cc->region_count * cc->state_bytes);
    gn_cachecrypt__wipe(cc->key, sizeof cc->key);
    gn_cachecrypt__wipe(cc, cc->bytes);
}

int gn_cachecrypt__usable(const struct gn_cachecrypt *cc, uint32_t region)
{
    if (cc->copied)
        return -GN_ERR_PERM;
    if (region >= cc->region_count)
        return -GN_ERR_NOENT;
    switch (cc->regions[region].state) {
    case GN_CACHECRYPT_STATE_LIVE: return 0;
    case GN_CACHECRYPT_STATE_POISONED: return -GN_ERR_BADMSG;
    case GN_CACHECRYPT_STATE_ERASED: return -GN_ERR_PERM;
    default: return -GN_ERR_NOENT;
    }
}

int gn_cachecrypt__enter(struct gn_cachecrypt *cc, uint32_t region,
                         struct gn_cachecrypt__region **ret_reg)
{
    int r;

    if (!cc)
        return -GN_ERR_INVAL;
    gn_cachecrypt__lock(cc);
    r = gn_cachecrypt__usable(cc, region);
    if (r)
        return gn_cachecrypt__leave(cc, r);
    *ret_reg = &cc->regions[region];
    return 0;
}

int gn_cachecrypt_stats_get(struct gn_cachecrypt *cc, struct gn_cachecrypt_stats *stats)
{
    const uint32_t size = stats ? stats->size : 0;

    if (!cc || size < sizeof *stats)
        return -GN_ERR_INVAL;
    memset(stats, 0, size);
    gn_cachecrypt__lock(cc);
    *stats = cc->stats;
    stats->size = size;
    return gn_cachecrypt__leave(cc, 0);
}
