/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GN_ASID_POLICY_ADAPTIVE: does a new pair come to stay? The lock is held.
 *
 * Where a little more than the pool runs in turn, whatever goes by recency takes each ID from the
 * pair that needs it next. Better to let most new pairs pass through one place, and keep the rest:
 * bimodal insertion. Elsewhere that is worse. So two directories, each of as many pairs as there
 * are IDs, find out what each would have done: they see every activation, hold no IDs, and miss.
 *
 *      activation --> directory 0: new pairs come to stay       (second chance) --+-- misses -->
 * score directory 1: one new pair in 32 does so   (the same)      --+
 *
 * The score, which saturates, says which of them has missed less often lately, and that is how new
 * pairs are treated by the clock. What runs keeps its place in a directory, as it does in the pool.
 *
 * Nothing here can break an invariant: it has an opinion of pairs, and of the clock's next victim.
 *
 * Bimodal and dynamic insertion: M. Qureshi et al., "Adaptive insertion policies for high
 * performance caching", ISCA 2007. Choosing between two policies by what both would have missed:
 * R. Subramanian et al., "Adaptive caches: effective shaping of cache behavior to workloads",
 * MICRO 2006. Second chance: F. Corbato, "A paging experiment with the Multics system", 1968.
 */
#include "asid_internal.h"

/** One new pair in so many comes to stay nevertheless, or a directory would never change. */
#define THROTTLE 32u

#define BIMODAL 1u /* the directory that lets new pairs pass */

void gn_asid__duel_init(struct gn_asid *asid, struct gn_asid__ghost *ghosts, uint32_t *buckets)
{
    struct gn_asid__duel *duel = &asid->duel;
    uint32_t count = asid->count * GN_ASID__DIRECTORIES, i;

    duel->ghosts = ghosts;
    duel->buckets = buckets;
    for (i = 0; i <= asid->bucket_mask; i++)
        buckets[i] = NONE;
    for (i = 0; i < count; i++)
        ghosts[i].hash_next = i + 1 < count ? i + 1 : NONE;
    for (i = 0; i < GN_ASID__DIRECTORIES; i++)
        duel->queue[i] = (struct gn_asid__list){NONE, NONE};
    for (i = 0; i < GN_ASID__LATE; i++)
        duel->late[i] = NONE;
}

/* ---- ghosts ------------------------------------------------------------------------------ */

static uint32_t ghost_find(const struct gn_asid *asid, uint32_t vm, uint64_t guest)
{
    const struct gn_asid__ghost *ghosts = asid->duel.ghosts;
    uint32_t g = asid->duel.buckets[gn_asid__bucket(asid, vm, guest)];

    while (g != NONE && (ghosts[g].guest != guest || ghosts[g].vm != vm))
        g = ghosts[g].hash_next;
    return g;
}

/** Each directory has room for one more, so there is a ghost that neither holds. */
static uint32_t ghost_new(struct gn_asid *asid, uint32_t vm, uint64_t guest, uint32_t id)
{
    struct gn_asid__duel *duel = &asid->duel;
    uint32_t *bucket = &duel->buckets[gn_asid__bucket(asid, vm, guest)];
    uint32_t g = duel->free;

    duel->free = duel->ghosts[g].hash_next;
    duel->ghosts[g] =
        (struct gn_asid__ghost){.guest = guest, .vm = vm, .hash_next = *bucket, .id = id};
    *bucket = g;
    if (id != NONE)
        asid->ids[id].ghost = g;
    return g;
}

static void ghost_free(struct gn_asid *asid, uint32_t g)
{
    struct gn_asid__duel *duel = &asid->duel;
    struct gn_asid__ghost *ghost = &duel->ghosts[g];
    uint32_t *link = &duel->buckets[gn_asid__bucket(asid, ghost->vm, ghost->guest)];

    while (*link != g)
        link = &duel->ghosts[*link].hash_next;
    *link = ghost->hash_next;
    if (ghost->id != NONE)
        asid->ids[ghost->id].ghost = NONE;
    ghost->hash_next = duel->free;
    duel->free = g;
}

void gn_asid__duel_link(struct gn_asid *asid, uint32_t id)
{
    const uint32_t g = ghost_find(asid, asid->ids[id].vm, asid->ids[id].guest);

    asid->ids[id].ghost = g;
    if (g != NONE)
        asid->duel.ghosts[g].id = id;
}

void gn_asid__duel_unlink(struct gn_asid *asid, uint32_t id)
{
    const uint32_t g = asid->ids[id].ghost;

    if (g != NONE)
        asid->duel.ghosts[g].id = NONE;
    asid->ids[id].ghost = NONE;
}

/* ---- directories ------------------------------------------------------------------------- */

/** Puts a ghost behind another, or NONE: first. */
static void queue_insert(struct gn_asid__duel *duel, uint32_t d, uint32_t g, uint32_t behind)
{
    struct gn_asid__list *queue = &duel->queue[d];
    struct gn_asid__ghost *ghost = &duel->ghosts[g];

    ghost->prev[d] = behind;
    ghost->next[d] = behind == NONE ? queue->head : duel->ghosts[behind].next[d];
    if (behind == NONE)
        queue->head = g;
    else
        duel->ghosts[behind].next[d] = g;
    if (ghost->next[d] == NONE)
        queue->tail = g;
    else
        duel->ghosts[ghost->next[d]].prev[d] = g;
}

static void queue_remove(struct gn_asid__duel *duel, uint32_t d, uint32_t g)
{
    struct gn_asid__list *queue = &duel->queue[d];
    const struct gn_asid__ghost *ghost = &duel->ghosts[g];

    if (ghost->prev[d] == NONE)
        queue->head = ghost->next[d];
    else
        duel->ghosts[ghost->prev[d]].next[d] = ghost->next[d];
    if (ghost->next[d] == NONE)
        queue->tail = ghost->prev[d];
    else
        duel->ghosts[ghost->next[d]].prev[d] = ghost->prev[d];
}

/** Takes a pair out of a directory, and forgets it if the other one does not hold it. */
static void directory_remove(struct gn_asid *asid, uint32_t d, uint32_t g)
{
    struct gn_asid__ghost *ghost = &asid->duel.ghosts[g];

    queue_remove(&asid->duel, d, g);
    asid->duel.size[d]--;
    ghost->in &= (uint16_t) ~(1u << d);
    if (!ghost->in)
        ghost_free(asid, g);
}

/**
 * Makes room for one. Everyone gets a second chance but once, and there are fewer running pairs
 * than pairs in a full directory: so this finds one, within two rounds.
 */
static void directory_shrink(struct gn_asid *asid, uint32_t d)
{
    struct gn_asid__duel *duel = &asid->duel;
    uint32_t g = duel->queue[d].head, next;

    for (; g != NONE; g = next) {
        struct gn_asid__ghost *ghost = &duel->ghosts[g];

        next = ghost->next[d];
        if (ghost->id != NONE && asid->ids[ghost->id].running)
            continue;
        if (!(ghost->referenced >> d & 1)) {
            directory_remove(asid, d, g);
            return;
        }
        ghost->referenced &= (uint16_t) ~(1u << d);
        queue_remove(duel, d, g);
        queue_insert(duel, d, g, duel->queue[d].tail);
        next = next == NONE ? g : next; /* it was the last: its turn comes again */
    }
}

/** A new pair: at the end with its second chance, or in front without. */
static void directory_insert(struct gn_asid *asid, uint32_t d, uint32_t g)
{
    struct gn_asid__duel *duel = &asid->duel;
    const int stays = d != BIMODAL || ++duel->inserted[d] % THROTTLE == 0;

    queue_insert(duel, d, g, stays ? duel->queue[d].tail : NONE);
    duel->ghosts[g].in |= (uint16_t)(1u << d);
    if (stays)
        duel->ghosts[g].referenced |= (uint16_t)(1u << d);
    duel->size[d]++;
}

void gn_asid__duel_see(struct gn_asid *asid, uint32_t vm, uint64_t guest, uint32_t id)
{
    struct gn_asid__duel *duel = &asid->duel;
    const int32_t most = (int32_t)asid->count;
    uint32_t g = ghost_find(asid, vm, guest), d, missed;

    missed = GN_ASID__BOTH & ~(g == NONE ? 0u : duel->ghosts[g].in);
    if (g != NONE)
        duel->ghosts[g].referenced |= duel->ghosts[g].in;
    if (missed == 1u && duel->score < most)
        duel->score++;
    if (missed == 2u && duel->score > -most)
        duel->score--;
    /* Room is made first: the pair itself is in neither of the directories that lack it. */
    for (d = 0; d < GN_ASID__DIRECTORIES; d++)
        if (missed >> d & 1 && duel->size[d] >= asid->usable)
            directory_shrink(asid, d);
    if (missed && g == NONE)
        g = ghost_new(asid, vm, guest, id);
    for (d = 0; d < GN_ASID__DIRECTORIES; d++)
        if (missed >> d & 1)
            directory_insert(asid, d, g);
}

static void forget(struct gn_asid *asid, uint32_t g)
{
    const uint32_t in = asid->duel.ghosts[g].in;
    uint32_t d;

    for (d = 0; d < GN_ASID__DIRECTORIES; d++)
        if (in >> d & 1)
            directory_remove(asid, d, g);
}

void gn_asid__duel_forget(struct gn_asid *asid, uint32_t vm, uint64_t guest)
{
    const uint32_t g = ghost_find(asid, vm, guest);

    if (g != NONE)
        forget(asid, g);
}

void gn_asid__duel_forget_vm(struct gn_asid *asid, uint32_t vm)
{
    uint32_t g;

    for (g = 0; g < asid->count * GN_ASID__DIRECTORIES; g++)
        if (asid->duel.ghosts[g].in && asid->duel.ghosts[g].vm == vm)
            forget(asid, g);
}

/* ---- what the clock makes of it ----------------------------------------------------------- */

void gn_asid__duel_insert(struct gn_asid *asid, uint32_t id)
{
    struct gn_asid__duel *duel = &asid->duel;
    uint32_t i = 0;

    if (++duel->given % THROTTLE == 0 || duel->score <= 0)
        return;
    asid->ids[id].referenced = 0;
    while (i < GN_ASID__LATE - 1 && duel->late[i] != id)
        i++;
    for (; i > 0; i--)
        duel->late[i] = duel->late[i - 1];
    duel->late[0] = id;
}

uint32_t gn_asid__duel_victim(struct gn_asid *asid)
{
    uint32_t *late = asid->duel.late;
    uint32_t i, id;

    for (i = 0; i < GN_ASID__LATE; i++) {
        id = late[i];
        if (id != NONE && gn_asid__is_victim(asid, id) && !asid->ids[id].referenced) {
            late[i] = NONE;
            return id;
        }
    }
    return NONE;
}
