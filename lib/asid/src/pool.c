/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool: which ID is whose, where it may be held, and how it becomes clean. The lock is held.
 *
 * One mask an ID says on which CPUs the TLB may hold entries of it. A bit is set when a pair begins
 * to run there, and cleared when a purge has completed there and the pair does not run there. An ID
 * is clean, and may be given away, only while its mask is empty. That is the whole of the second
 * invariant; gn_asid__assign checks it.
 */
#include "asid_internal.h"

void gn_asid__broken(struct gn_asid *asid, const char *what)
{
    if (asid->ops.panic)
        asid->ops.panic(asid->ctx, what);
}

/* ---- masks ------------------------------------------------------------------------------- */

void gn_asid__let_go(struct gn_asid *asid, uint32_t id, uint32_t cpu)
{
    gn_asid__mask(asid, id)[cpu / 64] &= ~((uint64_t)1 << cpu % 64);
}

uint32_t gn_asid__holders(const struct gn_asid *asid, uint32_t id)
{
    const uint64_t *mask = gn_asid__mask(asid, id);
    uint32_t n = 0, i;
    uint64_t left;

    for (i = 0; i < asid->mask_words; i++)
        for (left = mask[i]; left; left &= left - 1)
            n++;
    return n;
}

int gn_asid__held_elsewhere(const struct gn_asid *asid, uint32_t id, uint32_t cpu)
{
    const uint64_t *mask = gn_asid__mask(asid, id);
    uint32_t i;

    for (i = 0; i < asid->mask_words; i++)
        if (mask[i] & ~(i == cpu / 64 ? (uint64_t)1 << cpu % 64 : 0))
            return 1;
    return 0;
}

static int held_anywhere(const struct gn_asid *asid, uint32_t id)
{
    return gn_asid__held_elsewhere(asid, id, NONE);
}

/* ---- lists and chains -------------------------------------------------------------------- */

static void list_remove(struct gn_asid *asid, uint32_t id)
{
    struct gn_asid__id *it = &asid->ids[id];
    struct gn_asid__list *list = &asid->lists[it->state];

    if (it->prev == NONE)
        list->head = it->next;
    else
        asid->ids[it->prev].next = it->next;
    if (it->next == NONE)
        list->tail = it->prev;
    else
        asid->ids[it->next].prev = it->prev;
}

static void list_append(struct gn_asid *asid, uint32_t id, uint32_t state)
{
    struct gn_asid__id *it = &asid->ids[id];
    struct gn_asid__list *list = &asid->lists[state];

    it->state = state;
    it->next = NONE;
    it->prev = list->tail;
    if (list->tail == NONE)
        list->head = id;
    else
        asid->ids[list->tail].next = id;
    list->tail = id;
}

void gn_asid__move(struct gn_asid *asid, uint32_t id, uint32_t state)
{
    if (asid->ids[id].state != GN_ASID_STATE_RESERVED)
        list_remove(asid, id);
    asid->ids[id].state = state;
    if (state != GN_ASID_STATE_RESERVED)
        list_append(asid, id, state);
}

static uint32_t *bucket_of(const struct gn_asid *asid, uint32_t vm, uint64_t guest)
{
    return &asid->buckets[gn_asid__bucket(asid, vm, guest)];
}

static uint32_t *vm_bucket_of(const struct gn_asid *asid, uint32_t vm)
{
    return &asid->vm_buckets[(vm * 0x9e3779b1u >> 8) & asid->vm_bucket_mask];
}

uint32_t gn_asid__vm_first(const struct gn_asid *asid, uint32_t vm)
{
    return *vm_bucket_of(asid, vm);
}

void gn_asid__assign(struct gn_asid *asid, uint32_t id, uint32_t vm, uint64_t guest)
{
    struct gn_asid__id *it = &asid->ids[id];
    uint32_t *bucket = bucket_of(asid, vm, guest);
    uint32_t *vm_bucket = vm_bucket_of(asid, vm);

    if (it->state != GN_ASID_STATE_CLEAN || held_anywhere(asid, id))
        gn_asid__broken(asid, "asid: an ID passes on before its purge completed");
    gn_asid__move(asid, id, GN_ASID_STATE_USED);
    it->vm = vm;
    it->guest = guest;
    it->running = 0;
    it->referenced = 1;
    it->hash_next = *bucket;
    *bucket = id;
    it->vm_prev = NONE;
    it->vm_next = *vm_bucket;
    if (*vm_bucket != NONE)
        asid->ids[*vm_bucket].vm_prev = id;
    *vm_bucket = id;
    if (gn_asid__duels(asid))
        gn_asid__duel_link(asid, id);
}

void gn_asid__drop(struct gn_asid *asid, uint32_t id)
{
    struct gn_asid__id *it = &asid->ids[id];
    uint32_t *link = bucket_of(asid, it->vm, it->guest);

    if (it->state != GN_ASID_STATE_USED || it->running)
        gn_asid__broken(asid, "asid: a running pair loses its ID");
    if (gn_asid__duels(asid))
        gn_asid__duel_unlink(asid, id);
    while (*link != id)
        link = &asid->ids[*link].hash_next;
    *link = it->hash_next;
    if (it->vm_prev == NONE)
        *vm_bucket_of(asid, it->vm) = it->vm_next;
    else
        asid->ids[it->vm_prev].vm_next = it->vm_next;
    if (it->vm_next != NONE)
        asid->ids[it->vm_next].vm_prev = it->vm_prev;
    gn_asid__move(asid, id, held_anywhere(asid, id) ? GN_ASID_STATE_DIRTY : GN_ASID_STATE_CLEAN);
}

/* ---- purging ----------------------------------------------------------------------------- */

static int purge_on(struct gn_asid *asid, uint32_t id, uint32_t cpu)
{
    const int one = asid->ops.caps & GN_ASID_CAP_PURGE_ONE;
    const int r = one ? asid->ops.purge(asid->ctx, cpu, asid->first + id)
                      : asid->ops.purge_all(asid->ctx, cpu);

    if (r)
        asid->stats.failures++;
    else if (one)
        asid->stats.purges++;
    else
        asid->stats.purge_alls++;
    return r;
}

int gn_asid__purge(struct gn_asid *asid, uint32_t id)
{
    uint32_t i, cpu;
    uint64_t left;
    int r;

    for (i = 0; i < asid->mask_words; i++) {
        left = gn_asid__mask(asid, id)[i];
        for (cpu = i * 64; left; left >>= 1, cpu++) {
            if (!(left & 1))
                continue;
            r = purge_on(asid, id, cpu);
            if (r)
                return r;
            /* What runs there goes on filling the TLB under this ID. */
            if (asid->cpus[cpu].id != id)
                gn_asid__let_go(asid, id, cpu);
        }
    }
    if (asid->ids[id].state == GN_ASID_STATE_DIRTY)
        gn_asid__move(asid, id, GN_ASID_STATE_CLEAN);
    return 0;
}

int gn_asid__rollover(struct gn_asid *asid)
{
    uint32_t i;
    int r;

    for (i = 0; i < asid->cpu_count; i++) {
        if (!asid->cpus[i].used)
            continue;
        r = asid->ops.purge_all(asid->ctx, i);
        if (r) {
            /* Masks still name the CPUs before it: they are purged once more, and no harm done. */
            asid->stats.failures++;
            return r;
        }
        asid->stats.purge_alls++;
    }
    asid->stats.rollovers++;
    memset(asid->masks, 0, (size_t)asid->count * asid->mask_words * sizeof *asid->masks);
    for (i = 0; i < asid->count; i++) {
        if (asid->ids[i].state == GN_ASID_STATE_USED && !asid->ids[i].running) {
            gn_asid__drop(asid, i);
            asid->stats.reassigned++;
        } else if (asid->ids[i].state == GN_ASID_STATE_DIRTY) {
            gn_asid__move(asid, i, GN_ASID_STATE_CLEAN);
        }
    }
    /* Running pairs keep their IDs, and fill their CPU's TLB again. */
    for (i = 0; i < asid->cpu_count; i++) {
        asid->cpus[i].used = 0;
        if (asid->cpus[i].id != NONE)
            gn_asid__hold(asid, asid->cpus[i].id, i);
    }
    return 0;
}

/* ---- allocation -------------------------------------------------------------------------- */

/* The second round finds whatever the first one spared. */
static uint32_t clock_victim(struct gn_asid *asid)
{
    uint32_t i, id;

    for (i = 0; i < 2 * asid->count; i++) {
        id = asid->hand;
        asid->hand = id + 1 == asid->count ? 0 : id + 1;
        if (!gn_asid__is_victim(asid, id))
            continue;
        if (!asid->ids[id].referenced)
            return id;
        asid->ids[id].referenced = 0;
    }
    return NONE;
}

/* At most one ID a CPU runs, so the walk ends soon. */
static uint32_t lru_victim(const struct gn_asid *asid)
{
    uint32_t id = asid->lists[GN_ASID_STATE_USED].head;

    while (id != NONE && !gn_asid__is_victim(asid, id))
        id = asid->ids[id].next;
    return id;
}

/** Makes one ID clean; the pair that it was taken from loses it even if the purge then fails. */
static int reclaim_one(struct gn_asid *asid)
{
    uint32_t id = asid->lists[GN_ASID_STATE_DIRTY].head;

    if (id != NONE)
        return gn_asid__purge(asid, id);
    id = gn_asid__duels(asid) ? gn_asid__duel_victim(asid) : NONE;
    if (id == NONE)
        id = asid->policy == GN_ASID_POLICY_LRU ? lru_victim(asid) : clock_victim(asid);
    if (id == NONE)
        return -GN_ERR_NOSPC;
    gn_asid__drop(asid, id);
    asid->stats.reassigned++;
    return asid->ids[id].state == GN_ASID_STATE_DIRTY ? gn_asid__purge(asid, id) : 0;
}

int gn_asid__allocate(struct gn_asid *asid, uint32_t *ret_id)
{
    int r;

    if (asid->lists[GN_ASID_STATE_CLEAN].head == NONE) {
        r = asid->rolls ? gn_asid__rollover(asid) : reclaim_one(asid);
        if (r)
            return r;
    }
    *ret_id = asid->lists[GN_ASID_STATE_CLEAN].head;
    if (*ret_id == NONE)
        return -GN_ERR_NOSPC;
    asid->stats.allocations++;
    return 0;
}
