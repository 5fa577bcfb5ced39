/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_ASID_INTERNAL_H
#define GN_ASID_INTERNAL_H

#include <gnomon/asid.h>

/* A freestanding compiler may call it anyway; there is no <string.h> for it. */
void *memset(void *to, int byte, size_t n);

/** No ID: ends chains and lists. IDs are indices into the pool here, ID minus first. */
#define NONE UINT32_MAX

/** An ID. Is on exactly one of the lists, by state; a reserved one on none. */
struct gn_asid__id {
    uint64_t guest;     /* the pair, if used */
    uint32_t vm;        /* ditto */
    uint32_t hash_next; /* chain of the pair's bucket */
    uint32_t vm_prev;   /* chain of the VM's bucket */
    uint32_t vm_next;
    uint32_t prev; /* list */
    uint32_t next;
    uint32_t running;    /* CPUs on which the pair runs */
    uint32_t state;      /* GN_ASID_STATE_* */
    uint32_t referenced; /* activated since the clock's hand last passed */
    uint32_t pad;
};

struct gn_asid__list {
    uint32_t head, tail;
};

/** A CPU. `id`, `vm` and `guest` are written by that CPU alone, under the lock. */
struct gn_asid__cpu {
    _Alignas(64) uint64_t guest; /* what runs there, if id is not NONE */
    uint32_t vm;
    uint32_t id;
    uint64_t activations; /* atomic, relaxed: the fast path counts without the lock */
    uint64_t hits;
    uint64_t last_hits;
    uint32_t used; /* something ran since its last purge of everything */
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
    struct gn_asid_stats stats;                         /* but what the CPUs count */
};

/** An invariant does not hold: tells the embedder, who does not come back. */
void gn_asid__broken(struct gn_asid *asid, const char *what);

/** The ID of a pair, or NONE. */
uint32_t gn_asid__find(const struct gn_asid *asid, uint32_t vm, uint64_t guest);

/** First ID in the chain of a VM's bucket; other VMs may be in it. */
uint32_t gn_asid__vm_first(const struct gn_asid *asid, uint32_t vm);

/** Gives a clean ID to a pair. */
void gn_asid__assign(struct gn_asid *asid, uint32_t id, uint32_t vm, uint64_t guest);

/** Takes an ID from a pair that runs nowhere: it becomes dirty, or clean if no TLB holds it. */
void gn_asid__drop(struct gn_asid *asid, uint32_t id);

/** Moves an ID to the end of the list of a state. */
void gn_asid__move(struct gn_asid *asid, uint32_t id, uint32_t state);

/** Finds a clean ID; makes one if need be. */
int gn_asid__allocate(struct gn_asid *asid, uint32_t *ret_id);

/** Purges an ID wherever it may be held; CPUs that run it may hold it again at once. */
int gn_asid__purge(struct gn_asid *asid, uint32_t id);

/** Makes all IDs that do not run clean. */
int gn_asid__rollover(struct gn_asid *asid);

/** A CPU's TLB may hold entries of an ID from now on. */
void gn_asid__hold(struct gn_asid *asid, uint32_t id, uint32_t cpu);

/** How many CPUs may hold entries of an ID. */
uint32_t gn_asid__holders(const struct gn_asid *asid, uint32_t id);

/** May a CPU other than this one hold entries of it? */
int gn_asid__held_elsewhere(const struct gn_asid *asid, uint32_t id, uint32_t cpu);

/** Nothing on this CPU holds entries of the ID. */
void gn_asid__let_go(struct gn_asid *asid, uint32_t id, uint32_t cpu);

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
