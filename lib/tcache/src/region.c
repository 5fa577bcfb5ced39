/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Code memory: regions are filled, evicted in the order they were filled in, and used again when
 * nobody can be inside any more.
 *
 *      clean --> filling --> sealed --> retired --> clean
 *        one a vCPU    FIFO    blocks dropped   the moment has passed on every vCPU online
 */
#include "tcache_internal.h"

static void queue_put(struct gn_tcache *tc, struct gn_tcache__queue *queue, uint32_t region)
{
    tc->regions[region].next = NONE;
    if (queue->tail == NONE)
        queue->head = region;
    else
        tc->regions[queue->tail].next = region;
    queue->tail = region;
}

static uint32_t queue_take(struct gn_tcache *tc, struct gn_tcache__queue *queue)
{
    const uint32_t region = queue->head;

    if (region == NONE)
        return NONE;
    queue->head = tc->regions[region].next;
    if (queue->head == NONE)
        queue->tail = NONE;
    return region;
}

int gn_tcache__passed(const struct gn_tcache *tc, uint64_t moment)
{
    uint32_t i;

    for (i = 0; i < tc->vcpu_count; i++) {
        const uint64_t seen = __atomic_load_n(&tc->vcpus[i].seen, __ATOMIC_ACQUIRE);

        if (seen && seen < moment)
            return 0;
    }
    return 1;
}

uint64_t gn_tcache__moment(struct gn_tcache *tc)
{
    /* Release: who reads this epoch at a quiescent point sees what was done before it. */
    return __atomic_add_fetch(&tc->epoch, 1, __ATOMIC_ACQ_REL);
}

int gn_tcache_passed(const struct gn_tcache *tcache, uint64_t moment)
{
    return tcache && gn_tcache__passed(tcache, moment);
}

uint64_t gn_tcache_moment(struct gn_tcache *tcache)
{
    return tcache ? gn_tcache__moment(tcache) : 0;
}

static void retire(struct gn_tcache *tc, uint32_t region)
{
    struct gn_tcache__region *r = &tc->regions[region];
    const uint32_t first = region * tc->region_blocks;
    uint32_t i;

    for (i = first; i < first + r->blocks; i++) {
        if (tc->blocks[i].state != BLOCK_LIVE)
            continue;
        gn_tcache__drop(tc, i);
        tc->stats.blocks_evicted++;
    }
    r->state = REGION_RETIRED;
    r->moment = gn_tcache__moment(tc);
    queue_put(tc, &tc->retired, region);
}

int gn_tcache__evict(struct gn_tcache *tc)
{
    const uint32_t region = queue_take(tc, &tc->sealed);

    if (region == NONE)
        return 0;
    retire(tc, region);
    tc->stats.regions_evicted++;
    return 1;
}

static void reclaim(struct gn_tcache *tc)
{
    while (tc->retired.head != NONE &&
           gn_tcache__passed(tc, tc->regions[tc->retired.head].moment)) {
        const uint32_t region = queue_take(tc, &tc->retired);
        struct gn_tcache__region *r = &tc->regions[region];

        r->code = r->blocks = r->exits = 0;
        r->generation++; /* handles of what it held name nothing now */
        r->state = REGION_CLEAN;
        r->next = tc->clean;
        tc->clean = region;
    }
}

static void seal(struct gn_tcache *tc, struct gn_tcache__vcpu *v)
{
    if (v->region == NONE)
        return;
    tc->regions[v->region].state = REGION_SEALED;
    queue_put(tc, &tc->sealed, v->region);
    v->region = NONE;
}

/* The caller is at a quiescent point, so it waits for nobody but other vCPUs. */
static void quiesce(struct gn_tcache *tc, struct gn_tcache__vcpu *v)
{
    if (v->view != NONE)
        gn_tcache__catch_up(tc, v, v->view);
    __atomic_store_n(&v->seen, __atomic_load_n(&tc->epoch, __ATOMIC_RELAXED), __ATOMIC_RELEASE);
}

static int take_clean(struct gn_tcache *tc, struct gn_tcache__vcpu *v)
{
    reclaim(tc);
    if (tc->clean == NONE) {
        gn_tcache__evict(tc);
        quiesce(tc, v);
        reclaim(tc);
    }
    if (tc->clean == NONE)
        return -GN_ERR_AGAIN;
    v->region = tc->clean;
    tc->clean = tc->regions[v->region].next;
    tc->regions[v->region].state = REGION_FILLING;
    /* With others to wait for, the next one is evicted now, to be clean by the time it is needed.
     */
    if (tc->vcpu_count > 1 && tc->clean == NONE && tc->retired.head == NONE)
        gn_tcache__evict(tc);
    return 0;
}

static int fits(const struct gn_tcache *tc, uint32_t region)
{
    const struct gn_tcache__region *r = &tc->regions[region];

    return r->code <= tc->region_size - tc->block_size && r->blocks < tc->region_blocks &&
           r->exits <= tc->region_exits - tc->block_exits;
}

/* Pages are fewer than blocks may need: then blocks go until one is free, the oldest first. */
static void pages_make(struct gn_tcache *tc)
{
    uint32_t i;

    while (!tc->pages_left && gn_tcache__evict(tc))
        continue;
    for (i = 0; i < tc->vcpu_count && !tc->pages_left; i++) {
        if (tc->vcpus[i].begun)
            continue;
        seal(tc, &tc->vcpus[i]);
        gn_tcache__evict(tc);
    }
}

int gn_tcache__room(struct gn_tcache *tc, struct gn_tcache__vcpu *v)
{
    pages_make(tc);
    quiesce(tc, v);
    if (v->region != NONE && !fits(tc, v->region))
        seal(tc, v);
    if (tc->pages_left && (v->region != NONE || !take_clean(tc, v)))
        return 0;
    tc->stats.waits++;
    return -GN_ERR_AGAIN;
}

int gn_tcache_flush(struct gn_tcache *tcache)
{
    uint32_t i, j;

    if (!tcache)
        return -GN_ERR_INVAL;
    gn_tcache__lock(tcache);
    while (gn_tcache__evict(tcache))
        continue;
    for (i = 0; i < tcache->region_count; i++) {
        const uint32_t first = i * tcache->region_blocks;

        for (j = first; j < first + tcache->regions[i].blocks; j++)
            if (tcache->blocks[j].state == BLOCK_LIVE)
                gn_tcache__drop(tcache, j);
    }
    tcache->stats.flushes++;
    gn_tcache__unlock(tcache);
    return 0;
}
