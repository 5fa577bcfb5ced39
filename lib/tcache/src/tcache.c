/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a cache, vCPUs, and counters.
 */
#include "tcache_internal.h"

/** The parameters with defaults filled in, and where everything lies in the memory. */
struct layout {
    struct gn_tcache_params params;
    struct gn_tcache_ops ops;
    uint32_t buckets, page_buckets, view_buckets;
    uint32_t region_size, region_blocks, region_exits;
    /* Offsets in bytes. */
    uint64_t vcpus, regions, blocks, exits, pages, pairs, bucket_at, page_bucket_at, log;
    uint64_t heads, view_bucket_at, cleared, views, total;
};

#define ALIGN 64u

uint32_t gn_tcache_version(void)
{
    return GN_TCACHE_VERSION_MAJOR << 16 | GN_TCACHE_VERSION_MINOR;
}

static uint64_t align_up(uint64_t n)
{
    return (n + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static uint32_t power_from(uint32_t n)
{
    uint32_t p = 1;

    while (p < n)
        p *= 2;
    return p;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

static uint32_t greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static int ops_check(const struct gn_tcache_ops *ops)
{
    return ops->flags || !ops->patch || (ops->open && !ops->close) || (ops->lock && !ops->unlock)
               ? -GN_ERR_INVAL
               : 0;
}

static void defaults_fill(struct layout *l)
{
    struct gn_tcache_params *p = &l->params;

    p->vcpus = or_default(p->vcpus, 1);
    p->views = or_default(p->views, 64);
    if (p->vcpus > GN_TCACHE_VCPUS_MAX)
        return; /* refused below; what follows would overflow */
    p->regions = or_default(p->regions, greater(32, 4 * p->vcpus));
    p->blocks = or_default(p->blocks, greater(p->code_size / 512, p->regions));
    p->pages = greater(or_default(p->pages, p->blocks / 4), 4 * p->vcpus);
    p->block_exits = or_default(p->block_exits, 16);
    p->align = or_default(p->align, 16);
    if (!p->exec)
        p->exec = (uint64_t)(uintptr_t)p->code;
}

static int params_check(const struct gn_tcache_params *p)
{
    if (!p->code || p->code_size < GN_PAGE_SIZE || p->code_size > GN_TCACHE_CODE_MAX ||
        p->vcpus > GN_TCACHE_VCPUS_MAX || p->views > GN_TCACHE_VIEWS_MAX || p->reserved)
        return -GN_ERR_INVAL;
    if (p->regions < 2 * p->vcpus + 2 || p->regions > GN_TCACHE_REGIONS_MAX ||
        p->blocks > GN_TCACHE_BLOCKS_MAX || p->blocks < p->regions ||
        p->pages > 2 * GN_TCACHE_BLOCKS_MAX || p->exits > 4 * GN_TCACHE_BLOCKS_MAX)
        return -GN_ERR_INVAL;
    if (p->block_exits > GN_TCACHE_EXITS_MAX || p->align > ALIGN || p->align & (p->align - 1) ||
        (uintptr_t)p->code % ALIGN || p->exec % ALIGN)
        return -GN_ERR_INVAL;
    return 0;
}

static int params_take(const struct gn_tcache_params *params, struct layout *l)
{
    struct gn_tcache_params *p = &l->params;
    int r = gn_base_params_copy(p, sizeof *p, params, sizeof *p);

    if (r == 0)
        r = gn_base_params_copy(&l->ops, sizeof l->ops, p->ops, sizeof l->ops);
    if (r == 0)
        r = ops_check(&l->ops);
    if (r)
        return r;
    defaults_fill(l);
    r = params_check(p);
    if (r)
        return r;
    l->region_size = p->code_size / p->regions & ~(ALIGN - 1);
    l->region_blocks = (p->blocks + p->regions - 1) / p->regions;
    /* A region has room for a block with all its exits, whatever was asked for. */
    l->region_exits = or_default(p->exits, 2 * p->blocks) / p->regions;
    l->region_exits = greater(l->region_exits, p->block_exits);
    if (!p->block_size)
        p->block_size = l->region_size < 16384 ? l->region_size : 16384;
    return l->region_size < ALIGN || p->block_size > l->region_size ? -GN_ERR_INVAL : 0;
}

static int layout_make(const struct gn_tcache_params *params, struct layout *l)
{
    const struct gn_tcache_params *p = &l->params;
    uint64_t views;
    int r = params_take(params, l);

    if (r)
        return r;
    views = (uint64_t)p->vcpus * p->views;
    l->buckets = power_from(l->region_blocks * p->regions);
    l->page_buckets = power_from(p->pages);
    l->view_buckets = power_from(p->views);
    l->vcpus = align_up(sizeof(struct gn_tcache));
    l->regions = l->vcpus + (uint64_t)p->vcpus * sizeof(struct gn_tcache__vcpu);
    l->blocks = align_up(l->regions + (uint64_t)p->regions * sizeof(struct gn_tcache__region));
    l->exits = align_up(l->blocks +
                        (uint64_t)l->region_blocks * p->regions * sizeof(struct gn_tcache__block));
    l->pages = align_up(l->exits +
                        (uint64_t)l->region_exits * p->regions * sizeof(struct gn_tcache__exit));
    l->pairs = align_up(l->pages + (uint64_t)p->pages * sizeof(struct gn_tcache__page));
    l->bucket_at = align_up(l->pairs + ID_PAIRS * sizeof(struct gn_tcache__pair));
    l->page_bucket_at = align_up(l->bucket_at + (uint64_t)l->buckets * sizeof(uint32_t));
    l->log = align_up(l->page_bucket_at + (uint64_t)l->page_buckets * sizeof(uint32_t));
    l->heads = align_up(l->log + LOG_SIZE * sizeof(uint64_t));
    l->view_bucket_at = align_up(l->heads + views * sizeof(struct gn_tcache__head));
    l->views =
        align_up(l->view_bucket_at + (uint64_t)p->vcpus * l->view_buckets * sizeof(uint32_t));
    l->total = align_up(l->views + views * sizeof(struct gn_tcache__view));
    return l->total > SIZE_MAX ? -GN_ERR_NOMEM : 0;
}

size_t gn_tcache_size(const struct gn_tcache_params *params)
{
    struct layout l;

    return layout_make(params, &l) ? 0 : (size_t)l.total;
}

size_t gn_tcache_align(void)
{
    return ALIGN;
}

static void none_fill(uint32_t *table, uint32_t count)
{
    uint32_t i;

    for (i = 0; i < count; i++)
        table[i] = NONE;
}

/* Records of blocks and exits are written when they are used; views, too. */
static void tables_init(struct gn_tcache *tc)
{
    uint32_t i;

    none_fill(tc->buckets, tc->bucket_mask + 1);
    none_fill(tc->page_buckets, tc->page_mask + 1);
    memset(tc->pairs, 0, ID_PAIRS * sizeof *tc->pairs);
    tc->sealed = tc->retired = (struct gn_tcache__queue){NONE, NONE};
    tc->clean = tc->page_free = NONE;
    for (i = tc->region_count; i-- > 0;) {
        tc->regions[i] = (struct gn_tcache__region){.generation = 1, .next = tc->clean};
        tc->clean = i;
    }
    for (i = tc->page_count; i-- > 0;) {
        tc->pages[i] = (struct gn_tcache__page){.chain = tc->page_free, .blocks = NONE};
        tc->page_free = i;
    }
    tc->pages_left = tc->page_count;
}

static void vcpus_init(struct gn_tcache *tc, uint8_t *base, const struct layout *l)
{
    struct gn_tcache__head *heads = (struct gn_tcache__head *)(base + l->heads);
    struct gn_tcache__view *views = (struct gn_tcache__view *)(base + l->views);
    uint32_t *buckets = (uint32_t *)(base + l->view_bucket_at);
    uint32_t i;

    memset(heads, 0, (size_t)tc->vcpu_count * tc->view_count * sizeof *heads);
    none_fill(buckets, tc->vcpu_count * (tc->view_mask + 1));
    for (i = 0; i < tc->vcpu_count; i++) {
        struct gn_tcache__vcpu *v = &tc->vcpus[i];

        memset(v, 0, sizeof *v);
        v->heads = heads + (size_t)i * tc->view_count;
        v->views = views + (size_t)i * tc->view_count;
        v->buckets = buckets + (size_t)i * (tc->view_mask + 1);
        v->view = v->region = NONE;
    }
}

static void sizes_take(struct gn_tcache *tc, const struct layout *l)
{
    const struct gn_tcache_params *p = &l->params;

    tc->ops = l->ops;
    tc->ctx = p->ctx;
    tc->code = p->code;
    tc->exec = p->exec;
    tc->seed = p->seed;
    tc->bucket_mask = l->buckets - 1;
    tc->page_mask = l->page_buckets - 1;
    tc->view_mask = l->view_buckets - 1;
    tc->region_count = p->regions;
    tc->region_size = l->region_size;
    tc->region_blocks = l->region_blocks;
    tc->region_exits = l->region_exits;
    tc->page_count = p->pages;
    tc->vcpu_count = p->vcpus;
    tc->view_count = p->views;
    tc->block_size = p->block_size;
    tc->block_exits = p->block_exits;
    tc->align = p->align;
    tc->id_next = 1;
    tc->epoch = 1;
}

int gn_tcache_init(void *mem, size_t len, const struct gn_tcache_params *params,
                   struct gn_tcache **ret_tcache)
{
    struct gn_tcache *tc = mem;
    uint8_t *base = mem;
    struct layout l;
    int r;

    if (!mem || !ret_tcache || (uintptr_t)mem % ALIGN)
        return -GN_ERR_INVAL;
    r = layout_make(params, &l);
    if (r)
        return r;
    if (len < l.total)
        return -GN_ERR_NOMEM;
    memset(tc, 0, sizeof *tc);
    sizes_take(tc, &l);
    tc->vcpus = (struct gn_tcache__vcpu *)(base + l.vcpus);
    tc->regions = (struct gn_tcache__region *)(base + l.regions);
    tc->blocks = (struct gn_tcache__block *)(base + l.blocks);
    tc->exits = (struct gn_tcache__exit *)(base + l.exits);
    tc->pages = (struct gn_tcache__page *)(base + l.pages);
    tc->pairs = (struct gn_tcache__pair *)(base + l.pairs);
    tc->buckets = (uint32_t *)(base + l.bucket_at);
    tc->page_buckets = (uint32_t *)(base + l.page_bucket_at);
    tc->log = (uint64_t *)(base + l.log);
    tables_init(tc);
    vcpus_init(tc, base, &l);
    *ret_tcache = tc;
    return 0;
}

void gn_tcache_fini(struct gn_tcache *tcache)
{
    uint32_t i;

    if (!tcache)
        return;
    for (i = 0; i < tcache->page_count && tcache->ops.watch; i++)
        if (tcache->pages[i].used)
            tcache->ops.watch(tcache->ctx, gn_gpa(tcache->pages[i].gpa), 0);
    memset(tcache, 0, sizeof *tcache);
}

void gn_tcache__broken(struct gn_tcache *tc, const char *what)
{
    if (tc->ops.panic)
        tc->ops.panic(tc->ctx, what);
    for (;;)
        __builtin_trap();
}

void gn_tcache__lock(struct gn_tcache *tc)
{
    if (tc->ops.lock)
        tc->ops.lock(tc->ctx);
}

void gn_tcache__unlock(struct gn_tcache *tc)
{
    if (tc->opened && !tc->begun) {
        tc->opened = 0;
        tc->ops.close(tc->ctx);
    }
    if (tc->ops.lock)
        tc->ops.unlock(tc->ctx);
}

void gn_tcache__open(struct gn_tcache *tc)
{
    if (tc->opened || !tc->ops.open)
        return;
    tc->ops.open(tc->ctx);
    tc->opened = 1;
}

struct gn_tcache__vcpu *gn_tcache__online(struct gn_tcache *tc, uint32_t vcpu)
{
    if (!tc || vcpu >= tc->vcpu_count)
        return NULL;
    return __atomic_load_n(&tc->vcpus[vcpu].seen, __ATOMIC_RELAXED) ? &tc->vcpus[vcpu] : NULL;
}

/*
 * Under the lock: memory is reclaimed under it, too, by whoever sees a vCPU offline. So what this
 * one reads from now on was not reclaimed before.
 */
int gn_tcache_online(struct gn_tcache *tcache, uint32_t vcpu)
{
    struct gn_tcache__vcpu *v;

    if (!tcache || vcpu >= tcache->vcpu_count)
        return -GN_ERR_INVAL;
    v = &tcache->vcpus[vcpu];
    gn_tcache__lock(tcache);
    __atomic_store_n(&v->seen, __atomic_load_n(&tcache->epoch, __ATOMIC_RELAXED), __ATOMIC_RELEASE);
    if (v->view != NONE)
        gn_tcache__catch_up(tcache, v, v->view);
    gn_tcache__unlock(tcache);
    return 0;
}

int gn_tcache_offline(struct gn_tcache *tcache, uint32_t vcpu)
{
    int r = 0;

    if (!tcache || vcpu >= tcache->vcpu_count)
        return -GN_ERR_INVAL;
    gn_tcache__lock(tcache);
    if (tcache->vcpus[vcpu].begun)
        r = -GN_ERR_BUSY;
    else
        __atomic_store_n(&tcache->vcpus[vcpu].seen, 0, __ATOMIC_RELEASE);
    gn_tcache__unlock(tcache);
    return r;
}

int gn_tcache_quiesce(struct gn_tcache *tcache, uint32_t vcpu)
{
    struct gn_tcache__vcpu *v = gn_tcache__online(tcache, vcpu);
    uint64_t epoch;

    if (!v)
        return -GN_ERR_INVAL;
    /* First the epoch: what is dropped behind it waits for the next quiescent point. */
    epoch = __atomic_load_n(&tcache->epoch, __ATOMIC_ACQUIRE);
    if (v->view != NONE && !gn_tcache__is_current(tcache, &v->heads[v->view])) {
        gn_tcache__lock(tcache);
        gn_tcache__catch_up(tcache, v, v->view);
        gn_tcache__unlock(tcache);
    }
    __atomic_store_n(&v->seen, epoch, __ATOMIC_RELEASE);
    return 0;
}

int gn_tcache_stats_get(struct gn_tcache *tcache, struct gn_tcache_stats *stats)
{
    const uint32_t size = stats ? stats->size : 0;
    uint32_t i;

    if (!tcache || size < sizeof *stats)
        return -GN_ERR_INVAL;
    memset(stats, 0, size);
    gn_tcache__lock(tcache);
    *stats = tcache->stats;
    for (i = 0; i < tcache->vcpu_count; i++) {
        const struct gn_tcache__vcpu *v = &tcache->vcpus[i];

        stats->lookups += __atomic_load_n(&v->lookups, __ATOMIC_RELAXED);
        stats->found += __atomic_load_n(&v->found, __ATOMIC_RELAXED);
        stats->unmapped += __atomic_load_n(&v->unmapped, __ATOMIC_RELAXED);
        stats->maps += __atomic_load_n(&v->maps, __ATOMIC_RELAXED);
        stats->invalidations += __atomic_load_n(&v->invalidations, __ATOMIC_RELAXED);
        stats->views_made += __atomic_load_n(&v->views_made, __ATOMIC_RELAXED);
    }
    for (i = 0; i < tcache->region_count; i++)
        stats->code_used += tcache->regions[i].code;
    stats->pages = tcache->page_count - tcache->pages_left;
    gn_tcache__unlock(tcache);
    stats->size = size;
    return 0;
}
