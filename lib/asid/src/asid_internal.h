/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_ASID_INTERNAL_H
#define GN_ASID_INTERNAL_H

#include <gnomon/asid.h>

/* A freestanding compiler may call it anyway; there is no <string.h> for it. */
void *memset(void *to, int byte, size_t n);

/** No ID: ends chains and lists. IDs are indices into the pool here, ID minus first. */
#define NONE UINT32_MAX

/** An ID, on a cache line of its own. On exactly one of the lists, by state; if reserved on none.
 */
struct gn_asid__id {
    _Alignas(64) uint64_t guest; /* the pair, if used */
    uint32_t vm;                 /* ditto */
    uint32_t hash_next;          /* chain of the pair's bucket */
    uint32_t vm_prev;            /* chain of the VM's bucket */
    uint32_t vm_next;
    uint32_t prev; /* list */
    uint32_t next;
    uint32_t running;    /* CPUs on which the pair runs */
    uint32_t state;      /* GN_ASID_STATE_* */
    uint32_t referenced; /* activated since the clock's hand last passed */
    uint32_t ghost;      /* of the pair, in the directories of duel.c; or NONE */
};

/** The two directories of duel.c. */
#define GN_ASID__DIRECTORIES 2u
#define GN_ASID__BOTH        3u

/** A pair that a directory holds, with an ID or without. On the chain of its bucket. */
struct gn_asid__ghost {
    uint64_t guest;
    uint32_t vm;
    uint32_t hash_next;
    uint32_t id;         /* that the pair has, or NONE */
    uint16_t in;         /* bit d: directory d holds it */
    uint16_t referenced; /* bit d: activated since it last came to the front there */
    uint32_t prev[GN_ASID__DIRECTORIES];
    uint32_t next[GN_ASID__DIRECTORIES];
};

struct gn_asid__list {
    uint32_t head, tail;
};

/** A CPU. `id`, `vm` and `guest` are written by that CPU alone, under the lock. */
struct gn_asid__cpu {
    _Alignas(64) uint64_t guest; /* what runs there, if id is not NONE */
    uint32_t vm;
    uint32_t id;
    uint64_t last_hits; /* atomic, relaxed: the fast path counts without the lock */
    uint64_t other_hits;
    uint32_t used; /* something ran since its last purge of everything */
};

/** How many of the last IDs that did not come to stay the clock takes back first. */
#define GN_ASID__LATE 4u

/** What GN_ASID_POLICY_ADAPTIVE keeps: see duel.c. */
struct gn_asid__duel {
    struct gn_asid__ghost *ghosts; /* NULL under the other policies */
    uint32_t *buckets;             /* as many as of the pool's pairs */
    uint32_t free;                 /* chain of unused ghosts */
    uint32_t size[GN_ASID__DIRECTORIES];
    uint32_t inserted[GN_ASID__DIRECTORIES];
    struct gn_asid__list queue[GN_ASID__DIRECTORIES];
    int32_t score; /* above 0: of late, directory 1 has missed less often */
    uint32_t given;
    uint32_t late[GN_ASID__LATE];
};

struct gn_asid {
    struct gn_asid_ops ops;
    void *ctx;
    struct gn_asid__id *ids;
    struct gn_asid__cpu *cpus;
    uint64_t *masks;      /* mask_words an ID: CPUs whose TLB may hold entries of it */
    uint32_t *buckets;    /* by pair */
    uint32_t *vm_buckets; /* by VM */
    uint64_t seed;
    uint32_t bucket_mask, vm_bucket_mask;
    uint32_t first, count, cpu_count, mask_words;
    uint32_t policy, rename;
    uint32_t rolls;  /* IDs become clean by rollover alone */
    uint32_t usable; /* IDs that are not reserved */
    uint32_t hand;   /* of the clock */
    uint32_t pad;
    struct gn_asid__list lists[GN_ASID_STATE_RESERVED]; /* by state */
    struct gn_asid__duel duel;
    struct gn_asid_stats stats; /* but what the CPUs count */
};

/** An invariant does not hold: tells the embedder, who does not come back. */
void gn_asid__broken(struct gn_asid *asid, const char *what);

/** Guests choose `guest`, and mix badly; a chain is never longer than what it holds, whatever. */
static inline uint32_t gn_asid__bucket(const struct gn_asid *asid, uint32_t vm, uint64_t guest)
{
    uint64_t h = (guest ^ asid->seed) * 0x9e3779b97f4a7c15u;

    h ^= h >> 29;
    h = (h + vm) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)(h >> 32) & asid->bucket_mask;
}

/** The ID of a pair, or NONE. */
static inline uint32_t gn_asid__find(const struct gn_asid *asid, uint32_t vm, uint64_t guest)
{
    uint32_t id = asid->buckets[gn_asid__bucket(asid, vm, guest)];

    while (id != NONE && (asid->ids[id].guest != guest || asid->ids[id].vm != vm))
        id = asid->ids[id].hash_next;
    return id;
}

/** First ID in the chain of a VM's bucket; other VMs may be in it. */
uint32_t gn_asid__vm_first(const struct gn_asid *asid, uint32_t vm);

/** Gives a clean ID to a pair. */
void gn_asid__assign(struct gn_asid *asid, uint32_t id, uint32_t vm, uint64_t guest);

/** Takes an ID from a pair that runs nowhere: it becomes dirty, or clean if no TLB holds it. */
void gn_asid__drop(struct gn_asid *asid, uint32_t id);

/** Moves an ID to the end of the list of a state. */
void gn_asid__move(struct gn_asid *asid, uint32_t id, uint32_t state);

/** What an activation costs LRU: an ID in use becomes the last of them. */
static inline void gn_asid__used_last(struct gn_asid *asid, uint32_t id)
{
    struct gn_asid__list *used = &asid->lists[GN_ASID_STATE_USED];
    struct gn_asid__id *it = &asid->ids[id];

    if (it->next == NONE)
        return;
    asid->ids[it->next].prev = it->prev;
    if (it->prev == NONE)
        used->head = it->next;
    else
        asid->ids[it->prev].next = it->next;
    it->prev = used->tail;
    it->next = NONE;
    asid->ids[used->tail].next = id;
    used->tail = id;
}

/** May its pair lose it? */
static inline int gn_asid__is_victim(const struct gn_asid *asid, uint32_t id)
{
    return asid->ids[id].state == GN_ASID_STATE_USED && !asid->ids[id].running;
}

/** Finds a clean ID; makes one if need be. */
int gn_asid__allocate(struct gn_asid *asid, uint32_t *ret_id);

/** Purges an ID wherever it may be held; CPUs that run it may hold it again at once. */
int gn_asid__purge(struct gn_asid *asid, uint32_t id);

/** Makes all IDs that do not run clean. */
int gn_asid__rollover(struct gn_asid *asid);

/** CPUs that may hold entries of an ID: mask_words words. */
static inline uint64_t *gn_asid__mask(const struct gn_asid *asid, uint32_t id)
{
    return &asid->masks[(size_t)id * asid->mask_words];
}

/** A CPU's TLB may hold entries of an ID from now on. */
static inline void gn_asid__hold(struct gn_asid *asid, uint32_t id, uint32_t cpu)
{
    gn_asid__mask(asid, id)[cpu / 64] |= (uint64_t)1 << cpu % 64;
    asid->cpus[cpu].used = 1;
}

/** How many CPUs may hold entries of an ID. */
uint32_t gn_asid__holders(const struct gn_asid *asid, uint32_t id);

/** May a CPU other than this one hold entries of it? */
int gn_asid__held_elsewhere(const struct gn_asid *asid, uint32_t id, uint32_t cpu);

/** Nothing on this CPU holds entries of the ID. */
void gn_asid__let_go(struct gn_asid *asid, uint32_t id, uint32_t cpu);

/** A pair is activated that not both directories hold: they miss, and the score moves. */
void gn_asid__duel_see(struct gn_asid *asid, uint32_t vm, uint64_t guest, uint32_t id);

/** A pair that the directories know got an ID. */
void gn_asid__duel_link(struct gn_asid *asid, uint32_t id);

/** The pair loses its ID. */
void gn_asid__duel_unlink(struct gn_asid *asid, uint32_t id);

/** A new ID: does it come to stay? If not, the clock will take it back first. */
void gn_asid__duel_insert(struct gn_asid *asid, uint32_t id);

/** An ID that did not come to stay, and has not been activated since; or NONE. */
uint32_t gn_asid__duel_victim(struct gn_asid *asid);

/** The pair is gone. */
void gn_asid__duel_forget(struct gn_asid *asid, uint32_t vm, uint64_t guest);

/** All pairs of the VM are gone. */
void gn_asid__duel_forget_vm(struct gn_asid *asid, uint32_t vm);

/** Makes empty directories of `count` pairs each; the memory is zero. */
void gn_asid__duel_init(struct gn_asid *asid, struct gn_asid__ghost *ghosts, uint32_t *buckets);

static inline int gn_asid__duels(const struct gn_asid *asid)
{
    return asid->duel.ghosts != NULL;
}

/** A pair is activated; `id` is its own, or NONE. The running ones run still. */
static inline void gn_asid__duel_activate(struct gn_asid *asid, uint32_t vm, uint64_t guest,
                                          uint32_t id)
{
    struct gn_asid__ghost *ghost;

    if (id == NONE || asid->ids[id].ghost == NONE) {
        gn_asid__duel_see(asid, vm, guest, id);
        return;
    }
    ghost = &asid->duel.ghosts[asid->ids[id].ghost];
    if (ghost->in == GN_ASID__BOTH)
        ghost->referenced = GN_ASID__BOTH;
    else
        gn_asid__duel_see(asid, vm, guest, id);
}

static inline void gn_asid__lock(struct gn_asid *asid)
{
    if (asid->ops.lock)
        asid->ops.lock(asid->ctx);
}

static inline void gn_asid__unlock(struct gn_asid *asid)
{
    if (asid->ops.lock)
        asid->ops.unlock(asid->ctx);
}

#endif /* GN_ASID_INTERNAL_H */
