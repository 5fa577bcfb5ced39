/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of an allocator, activation, and queries.
 */
#include "asid_internal.h"

/** The parameters with defaults filled in, and where everything lies in the memory. */
struct layout {
    struct gn_asid_params params;
    struct gn_asid_ops ops;
    uint32_t usable, mask_words, buckets, vm_buckets;
    uint32_t duels;     /* directories are kept */
    uint64_t cpus, ids; /* offsets in bytes, as all below */
    uint64_t masks, bucket_at, vm_bucket_at, ghosts, ghost_buckets, total;
};

#define ALIGN          64
#define VM_BUCKETS_MAX 1024

uint32_t gn_asid_version(void)
{
    return GN_ASID_VERSION_MAJOR << 16 | GN_ASID_VERSION_MINOR;
}

static uint64_t align_up(uint64_t n)
{
    return (n + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static uint32_t power_from(uint32_t n, uint32_t most)
{
    uint32_t p = 1;

    while (p < n && p < most)
        p *= 2;
    return p;
}

static int is_reserved(const struct gn_asid_params *p, uint32_t id)
{
    return p->reserved && (p->reserved[id / 64] >> id % 64 & 1);
}

static int ops_check(const struct gn_asid_ops *ops, uint32_t policy)
{
    const int one = ops->caps & GN_ASID_CAP_PURGE_ONE;

    if (ops->caps & ~GN_ASID_CAP_PURGE_ONE || (one && !ops->purge) || (ops->lock && !ops->unlock))
        return -GN_ERR_INVAL;
    if ((!one || policy == GN_ASID_POLICY_GENERATION) && !ops->purge_all)
        return -GN_ERR_INVAL;
    return 0;
}

static int params_take(const struct gn_asid_params *params, struct layout *l)
{
    struct gn_asid_params *p = &l->params;
    uint32_t i;
    int r = gn_base_params_copy(p, sizeof *p, params, sizeof *p);

    if (r == 0)
        r = gn_base_params_copy(&l->ops, sizeof l->ops, p->ops, sizeof l->ops);
    if (r)
        return r;
    p->cpus = p->cpus ? p->cpus : 1;
    p->policy = p->policy ? p->policy : GN_ASID_POLICY_ADAPTIVE;
    p->rename = p->rename ? p->rename : GN_ASID_RENAME_AUTO;
    if (p->count < 2 || p->count > GN_ASID_COUNT_MAX || p->cpus > GN_ASID_CPUS_MAX ||
        p->policy > GN_ASID_POLICY_ADAPTIVE || p->rename > GN_ASID_RENAME_NEVER ||
        ops_check(&l->ops, p->policy))
        return -GN_ERR_INVAL;
    if (p->count - 1 > UINT32_MAX - p->first)
        return -GN_ERR_RANGE;
    l->usable = 0;
    for (i = 0; i < p->count; i++)
        l->usable += !is_reserved(p, i);
    /* Every CPU may run a pair, and one more must be able to get an ID. */
    return l->usable > p->cpus ? 0 : -GN_ERR_NOSPC;
}

static int layout_make(const struct gn_asid_params *params, struct layout *l)
{
    const struct gn_asid_params *p = &l->params;
    int r = params_take(params, l);

    if (r)
        return r;
    l->mask_words = (p->cpus + 63) / 64;
    l->buckets = power_from(p->count, GN_ASID_COUNT_MAX);
    l->vm_buckets = power_from(p->count, VM_BUCKETS_MAX);
    l->cpus = align_up(sizeof(struct gn_asid));
    l->ids = l->cpus + (uint64_t)p->cpus * sizeof(struct gn_asid__cpu);
    l->masks = align_up(l->ids + (uint64_t)p->count * sizeof(struct gn_asid__id));
    l->bucket_at = align_up(l->masks + (uint64_t)p->count * l->mask_words * sizeof(uint64_t));
    l->vm_bucket_at = align_up(l->bucket_at + (uint64_t)l->buckets * sizeof(uint32_t));
    l->ghosts = align_up(l->vm_bucket_at + (uint64_t)l->vm_buckets * sizeof(uint32_t));
    l->ghost_buckets = l->total = l->ghosts;
    /* Where IDs become clean by rollover alone, nobody chooses a victim. */
    l->duels = p->policy == GN_ASID_POLICY_ADAPTIVE && l->ops.caps & GN_ASID_CAP_PURGE_ONE ? 1 : 0;
    if (l->duels) {
        l->ghost_buckets =
            l->ghosts + (uint64_t)p->count * GN_ASID__DIRECTORIES * sizeof(struct gn_asid__ghost);
        l->total = align_up(l->ghost_buckets + (uint64_t)l->buckets * sizeof(uint32_t));
    }
    return l->total > SIZE_MAX ? -GN_ERR_NOMEM : 0;
}

size_t gn_asid_size(const struct gn_asid_params *params)
{
    struct layout l;

    return layout_make(params, &l) ? 0 : (size_t)l.total;
}

size_t gn_asid_align(void)
{
    return ALIGN;
}

static void tables_init(struct gn_asid *asid, const struct gn_asid_params *p)
{
    uint32_t i;

    for (i = 0; i <= asid->bucket_mask; i++)
        asid->buckets[i] = NONE;
    for (i = 0; i <= asid->vm_bucket_mask; i++)
        asid->vm_buckets[i] = NONE;
    for (i = 0; i < GN_ASID_STATE_RESERVED; i++)
        asid->lists[i] = (struct gn_asid__list){NONE, NONE};
    for (i = 0; i < asid->cpu_count; i++)
        asid->cpus[i].id = NONE;
    for (i = 0; i < asid->count; i++) {
        asid->ids[i].state = GN_ASID_STATE_RESERVED;
        asid->ids[i].ghost = NONE;
        if (!is_reserved(p, i))
            gn_asid__move(asid, i, GN_ASID_STATE_CLEAN);
    }
}

int gn_asid_init(void *mem, size_t len, const struct gn_asid_params *params,
                 struct gn_asid **ret_asid)
{
    struct gn_asid *asid = mem;
    uint8_t *base = mem;
    struct layout l;
    int r;

    if (!mem || !ret_asid || (uintptr_t)mem % ALIGN)
        return -GN_ERR_INVAL;
    r = layout_make(params, &l);
    if (r)
        return r;
    if (len < l.total)
        return -GN_ERR_NOMEM;
    memset(mem, 0, (size_t)l.total);
    asid->ops = l.ops;
    asid->ctx = l.params.ctx;
    asid->cpus = (struct gn_asid__cpu *)(base + l.cpus);
    asid->ids = (struct gn_asid__id *)(base + l.ids);
    asid->masks = (uint64_t *)(base + l.masks);
    asid->buckets = (uint32_t *)(base + l.bucket_at);
    asid->vm_buckets = (uint32_t *)(base + l.vm_bucket_at);
    asid->seed = l.params.seed;
    asid->bucket_mask = l.buckets - 1;
    asid->vm_bucket_mask = l.vm_buckets - 1;
    asid->first = l.params.first;
    asid->count = l.params.count;
    asid->cpu_count = l.params.cpus;
    asid->mask_words = l.mask_words;
    asid->policy = l.params.policy;
    asid->rename = l.params.rename;
    asid->rolls =
        !(l.ops.caps & GN_ASID_CAP_PURGE_ONE) || l.params.policy == GN_ASID_POLICY_GENERATION;
    asid->usable = l.usable;
    tables_init(asid, &l.params);
    if (l.duels)
        gn_asid__duel_init(asid, (struct gn_asid__ghost *)(base + l.ghosts),
                           (uint32_t *)(base + l.ghost_buckets));
    *ret_asid = asid;
    return 0;
}

void gn_asid_fini(struct gn_asid *asid)
{
    if (asid)
        memset(asid, 0, sizeof *asid);
}

/* Each CPU counts its own, so that the fast path shares no line and needs no lock. */
static void count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/** Replaces what runs on a CPU; NONE: nothing. */
static void run_on(struct gn_asid *asid, uint32_t cpu, uint32_t id)
{
    struct gn_asid__cpu *c = &asid->cpus[cpu];

    if (c->id != NONE) {
        if (!asid->ids[c->id].running)
            gn_asid__broken(asid, "asid: a pair runs on fewer CPUs than say so");
        asid->ids[c->id].running--;
    }
    c->id = id;
    if (id == NONE)
        return;
    c->vm = asid->ids[id].vm;
    c->guest = asid->ids[id].guest;
    asid->ids[id].running++;
    gn_asid__hold(asid, id, cpu);
    if (asid->policy == GN_ASID_POLICY_LRU)
        gn_asid__used_last(asid, id);
}

static int activate_slow(struct gn_asid *asid, uint32_t cpu, uint32_t vm, uint64_t guest,
                         uint32_t *ret_id)
{
    uint32_t id = gn_asid__find(asid, vm, guest);
    int r;

    if (gn_asid__duels(asid))
        gn_asid__duel_activate(asid, vm, guest, id);
    if (id == NONE) {
        /* What ran here still counts as running: after a failure it goes on under its ID. */
        r = gn_asid__allocate(asid, &id);
        if (r)
            return r;
        gn_asid__assign(asid, id, vm, guest);
        if (gn_asid__duels(asid))
            gn_asid__duel_insert(asid, id);
    } else {
        asid->ids[id].referenced = 1;
        count(&asid->cpus[cpu].other_hits);
    }
    run_on(asid, cpu, id);
    *ret_id = asid->first + id;
    return 0;
}

int gn_asid_activate(struct gn_asid *asid, uint32_t cpu, uint32_t vm, uint64_t guest,
                     uint32_t *ret_id)
{
    struct gn_asid__cpu *c;
    int r;

    if (!asid || !ret_id || cpu >= asid->cpu_count)
        return -GN_ERR_INVAL;
    c = &asid->cpus[cpu];
    /* Nobody but this CPU changes what runs here, so that it may look without the lock. */
    if (c->id != NONE && c->guest == guest && c->vm == vm) {
        count(&c->last_hits);
        *ret_id = asid->first + c->id;
        return 0;
    }
    gn_asid__lock(asid);
    r = activate_slow(asid, cpu, vm, guest, ret_id);
    gn_asid__unlock(asid);
    return r;
}

int gn_asid_deactivate(struct gn_asid *asid, uint32_t cpu)
{
    if (!asid || cpu >= asid->cpu_count)
        return -GN_ERR_INVAL;
    gn_asid__lock(asid);
    run_on(asid, cpu, NONE);
    gn_asid__unlock(asid);
    return 0;
}

int gn_asid_lookup(struct gn_asid *asid, uint32_t vm, uint64_t guest, uint32_t *ret_id)
{
    uint32_t id;

    if (!asid || !ret_id)
        return -GN_ERR_INVAL;
    gn_asid__lock(asid);
    id = gn_asid__find(asid, vm, guest);
    gn_asid__unlock(asid);
    if (id == NONE)
        return 0;
    *ret_id = asid->first + id;
    return 1;
}

int gn_asid_query(struct gn_asid *asid, uint32_t id, struct gn_asid_info *ret_info)
{
    const struct gn_asid__id *it;

    if (!asid || !ret_info)
        return -GN_ERR_INVAL;
    if (id - asid->first >= asid->count)
        return -GN_ERR_NOENT;
    it = &asid->ids[id - asid->first];
    gn_asid__lock(asid);
    *ret_info = (struct gn_asid_info){.state = it->state};
    ret_info->holders = gn_asid__holders(asid, id - asid->first);
    if (it->state == GN_ASID_STATE_USED) {
        ret_info->vm = it->vm;
        ret_info->guest = it->guest;
        ret_info->running = it->running;
    }
    gn_asid__unlock(asid);
    return 0;
}

int gn_asid_stats_get(struct gn_asid *asid, struct gn_asid_stats *stats)
{
    const uint32_t size = stats ? stats->size : 0;
    uint32_t i;

    if (!asid || size < sizeof *stats)
        return -GN_ERR_INVAL;
    memset(stats, 0, size);
    gn_asid__lock(asid);
    *stats = asid->stats;
    for (i = 0; i < asid->cpu_count; i++) {
        const struct gn_asid__cpu *c = &asid->cpus[i];

        stats->last_hits += __atomic_load_n(&c->last_hits, __ATOMIC_RELAXED);
        stats->hits += __atomic_load_n(&c->other_hits, __ATOMIC_RELAXED);
    }
    stats->hits += stats->last_hits;
    stats->activations = stats->hits + stats->allocations; /* nobody else allocates */
    gn_asid__unlock(asid);
    stats->size = size;
    return 0;
}
