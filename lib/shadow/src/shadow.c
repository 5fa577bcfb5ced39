/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

#define TABLES_DEFAULT  1024u
#define TABLES_MIN      16u
#define TABLES_MAX      (1u << 20)
#define ROOTS_DEFAULT   64u
#define ROOTS_MAX       65536u
#define SLOTS_DEFAULT   32u
#define SLOTS_MAX       256u
#define FLOOD_DEFAULT   64u
#define UNSYNC_DEFAULT  3u
#define SYNC_DEFAULT    3u
#define STRIPES_MAX     4096u
#define STRIPES_DEFAULT 64u

/* Where the parts of the object lie in the caller's memory, in bytes from its start. */
struct layout {
    size_t tables;
    size_t links;
    size_t by_gpa;
    size_t by_hpa;
    size_t roots;
    size_t slots;
    size_t lanes;
    size_t end;
    uint32_t buckets;
};

uint32_t gn_shadow_version(void)
{
    return GN_SHADOW_VERSION_MAJOR << 16 | GN_SHADOW_VERSION_MINOR;
}

size_t gn_shadow_align(void)
{
    return 64;
}

static int params_normalize(const struct gn_shadow_params *params, struct gn_shadow_params *ret)
{
    struct gn_shadow_params p;
    int rc = gn_base_params_copy(&p, sizeof p, params, sizeof p);

    if (rc)
        return rc;
    p.tables = p.tables ? p.tables : TABLES_DEFAULT;
    p.roots = p.roots ? p.roots : ROOTS_DEFAULT;
    p.slots = p.slots ? p.slots : SLOTS_DEFAULT;
    p.flood_limit = p.flood_limit ? p.flood_limit : FLOOD_DEFAULT;
    p.unsync_after = p.unsync_after ? p.unsync_after : UNSYNC_DEFAULT;
    p.sync_after = p.sync_after ? p.sync_after : SYNC_DEFAULT;
    p.lock_stripes = p.lock_stripes ? p.lock_stripes : STRIPES_DEFAULT;
    if (p.tables < TABLES_MIN || p.tables > TABLES_MAX || p.roots < 2 || p.roots > ROOTS_MAX ||
        p.slots > SLOTS_MAX || p.policy > GN_SHADOW_POLICY_ADAPT || p.reserved ||
        p.lock_stripes > STRIPES_MAX || p.lock_stripes & (p.lock_stripes - 1) ||
        p.step_limit == UINT32_MAX || p.fault_around > GN_SHADOW__ENTRIES ||
        p.fault_around & (p.fault_around - 1) ||
        p.flags & ~(GN_SHADOW_MMU_TRACES | GN_SHADOW_MMU_GLOBAL | GN_SHADOW_MMU_LEAVES))
        return -GN_ERR_INVAL;
    *ret = p;
    return 0;
}

static size_t layout_take(size_t *end, size_t bytes)
{
    size_t at = (*end + 63) & ~(size_t)63;

    *end = at + bytes;
    return at;
}

static struct layout layout_of(const struct gn_shadow_params *p)
{
    struct layout l = {.end = sizeof(struct gn_shadow), .buckets = 16};

    while (l.buckets < p->tables)
        l.buckets <<= 1;
    l.tables = layout_take(&l.end, (size_t)p->tables * sizeof(struct gn_shadow__table));
    l.links = layout_take(&l.end,
                          (size_t)p->tables * GN_SHADOW__ENTRIES * sizeof(struct gn_shadow__link));
    l.by_gpa = layout_take(&l.end, (size_t)l.buckets * sizeof(uint32_t));
    l.by_hpa = layout_take(&l.end, (size_t)l.buckets * sizeof(uint32_t));
    l.roots = layout_take(&l.end, (size_t)p->roots * sizeof(struct gn_shadow__root));
    l.slots = layout_take(&l.end, (size_t)p->slots * sizeof(struct gn_shadow__slot));
    l.lanes = layout_take(&l.end, GN_SHADOW__LANES * sizeof(struct gn_shadow__lane));
    return l;
}

uint32_t gn_shadow_locks(const struct gn_shadow_params *params)
{
    struct gn_shadow_params p;

    return params_normalize(params, &p) ? 0 : 1 + 2 * p.lock_stripes;
}

size_t gn_shadow_size(const struct gn_shadow_params *params)
{
    struct gn_shadow_params p;

    return params_normalize(params, &p) ? 0 : layout_of(&p).end;
}

static int ops_check(const struct gn_shadow_params *p, struct gn_shadow_ops *ret_ops)
{
    int rc = gn_base_params_copy(ret_ops, sizeof *ret_ops, p->ops, sizeof *ret_ops);

    if (rc)
        return rc;
    if (!ret_ops->guest || !ret_ops->guest->load || !ret_ops->guest->cmpxchg ||
        !ret_ops->frame_alloc || !ret_ops->frame_free || !ret_ops->invalidate_range ||
        !ret_ops->invalidate_all || !ret_ops->lock != !ret_ops->unlock ||
        !ret_ops->lock_shared != !ret_ops->unlock_shared ||
        (ret_ops->lock_shared && !ret_ops->lock))
        return -GN_ERR_INVAL;
    return 0;
}

static void tables_init(struct gn_shadow *sh, uint32_t buckets)
{
    sh->bucket_mask = buckets - 1;
    memset(sh->by_gpa, 0xff, buckets * sizeof *sh->by_gpa);
    memset(sh->by_hpa, 0xff, buckets * sizeof *sh->by_hpa);
    memset(sh->tables, 0, sh->params.tables * sizeof *sh->tables);
    for (uint32_t i = 0; i < sh->params.tables; i++) {
        sh->tables[i].hash_next = i + 1 < sh->params.tables ? i + 1 : GN_SHADOW__NIL;
        sh->tables[i].parents = GN_SHADOW__NIL;
    }
    sh->free_list = 0;
}

int gn_shadow_init(void *mem, size_t len, const struct gn_shadow_params *params,
                   struct gn_shadow **ret_shadow)
{
    struct gn_shadow *sh = mem;
    struct gn_shadow_params p;
    struct gn_shadow_ops ops;
    struct gn_paging_geometry geometry;
    struct layout l;
    int rc;

    if (!mem || !ret_shadow || (uintptr_t)mem & (gn_shadow_align() - 1))
        return -GN_ERR_INVAL;
    rc = params_normalize(params, &p);
    if (rc)
        return rc;
    rc = ops_check(&p, &ops);
    if (rc)
        return rc;
    rc = gn_paging_geometry(p.format, &geometry);
    if (rc)
        return rc;
    if (!geometry.levels || geometry.entry_bytes != 8 ||
        geometry.index_bits != GN_SHADOW__INDEX_BITS)
        return -GN_ERR_NOTSUP;
    l = layout_of(&p);
    if (len < l.end)
        return -GN_ERR_NOMEM;
    memset(sh, 0, sizeof *sh);
    sh->params = p;
    sh->ops = ops;
    sh->geometry = geometry;
    sh->context = gn_shadow__guest_context(p.format, gn_gpa(0), UINT32_MAX, 0);
    sh->tables = (void *)((uint8_t *)mem + l.tables);
    sh->links = (void *)((uint8_t *)mem + l.links);
    sh->by_gpa = (void *)((uint8_t *)mem + l.by_gpa);
    sh->by_hpa = (void *)((uint8_t *)mem + l.by_hpa);
    sh->roots = (void *)((uint8_t *)mem + l.roots);
    sh->slots = (void *)((uint8_t *)mem + l.slots);
    sh->lanes = (void *)((uint8_t *)mem + l.lanes);
    sh->stripe_mask = p.lock_stripes - 1;
    sh->alone = !ops.lock;
    sh->victim = GN_SHADOW__NIL;
    sh->steps_most = p.step_limit ? p.step_limit : UINT32_MAX;
    tables_init(sh, l.buckets);
    /* What is not known stays zero; the roots' keys are checked before it is used. */
    for (uint32_t i = 0; i < GN_SHADOW__FORMATS; i++)
        if (gn_paging_geometry(i, &sh->guests[i]))
            sh->guests[i].levels = 0;
    memset(sh->roots, 0, p.roots * sizeof *sh->roots);
    memset(sh->slots, 0, p.slots * sizeof *sh->slots);
    memset(sh->lanes, 0, GN_SHADOW__LANES * sizeof *sh->lanes);
    *ret_shadow = sh;
    return 0;
}

void gn_shadow_fini(struct gn_shadow *sh)
{
    if (!sh)
        return;
    gn_shadow__enter(sh);
    sh->steps = UINT32_MAX;
    for (uint32_t i = 0; i < sh->params.roots; i++) {
        if (!sh->roots[i].key.size)
            continue;
        sh->roots[i].held = 0;
        gn_shadow__root_evict(sh, i);
    }
    while (gn_shadow__loose_free(sh))
        ;
    sh->ops.invalidate_all(sh->params.ops_ctx);
    gn_shadow__spare_trim(sh, 0);
    gn_shadow__leave(sh);
}

struct gn_paging_context gn_shadow__guest_context(uint32_t format, gn_gpa_t root, uint32_t controls,
                                                  uint32_t phys_bits)
{
    struct gn_paging_context context = {GN_PAGING_CONTEXT_INIT, .format = format, .root = root,
                                        .controls = controls, .phys_bits = phys_bits};

    return context;
}

struct gn_paging_context gn_shadow__root_context(const struct gn_shadow_root_key *key,
                                                 uint32_t controls)
{
    struct gn_paging_context context =
        gn_shadow__guest_context(key->format, key->table, controls, key->phys_bits);

    context.root_high = key->table_high;
    return context;
}

/* All members behind the first two are counters of 64 bits. */
static void stats_add(struct gn_shadow_stats *sum, const struct gn_shadow_stats *lane)
{
    for (size_t at = offsetof(struct gn_shadow_stats, faults); at < sizeof *sum; at += 8)
        *(uint64_t *)(void *)((uint8_t *)sum + at) +=
            gn_shadow__peek((const uint64_t *)(const void *)((const uint8_t *)lane + at));
}

int gn_shadow_stats_get(const struct gn_shadow *sh, struct gn_shadow_stats *ret_stats)
{
    struct gn_shadow_stats stats = {0};
    uint32_t size;

    if (!sh || !ret_stats || ret_stats->size < sizeof ret_stats->size)
        return -GN_ERR_INVAL;
    size = ret_stats->size < sizeof stats ? ret_stats->size : (uint32_t)sizeof stats;
    for (uint32_t i = 0; i < GN_SHADOW__LANES; i++)
        stats_add(&stats, &sh->lanes[i].stats);
    stats.size = size;
    stats.tables = gn_shadow__peek(&sh->live);
    stats.tables_peak = gn_shadow__peek(&sh->live_peak);
    memcpy(ret_stats, &stats, size);
    return 0;
}

int gn_shadow_is_table(const struct gn_shadow *shadow, gn_gpa_t gpa)
{
    /* The lookup keeps a hint of the last slot, which is no state that anybody could tell. */
    union {
        const struct gn_shadow *given;
        struct gn_shadow *used;
    } sh = {.given = shadow};
    int is;

    if (!shadow)
        return 0;
    gn_shadow__enter_shared(sh.used);
    is = (gn_shadow__frame_tables(sh.used, gpa, 0) & GN_SHADOW__TABLES_OF) != 0 &&
         !gn_shadow__shutting(shadow, gpa, 0);
    gn_shadow__leave(sh.used);
    return is;
}
