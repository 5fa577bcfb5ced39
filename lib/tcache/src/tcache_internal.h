/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TCACHE_INTERNAL_H
#define GN_TCACHE_INTERNAL_H

#include <gnomon/tcache.h>

/* A freestanding compiler may call it anyway; there is no <string.h> for it. */
void *memset(void *to, int byte, size_t n);

/** No block, exit, page, view or region: ends chains and lists, which hold indices. */
#define NONE UINT32_MAX

/** Granules of a page: a bit each in gn_tcache__page.granules. */
#define GRANULE_SHIFT 6u

/** Drops that views which were not loaded can catch up on; after more they forget all jumps. */
#define LOG_SIZE 1024u

/** Remembered pairs (GVA page, GPA page). One that is displaced gets another ID when it is back. */
#define ID_PAIRS 4096u

/** Jumps of a view that are looked through together, so that there is a bit for each in a word. */
#define JUMPS_GROUP (GN_TCACHE_VIEW_JUMPS / 32)

/* gn_tcache__block.state */
#define BLOCK_LIVE 1u
#define BLOCK_DEAD 2u

/**
 * A block. What lookups without lock read (the key, chain, state) stays readable until the region
 * is used again, so that a walk that stands on a dropped block goes on from there.
 */
struct gn_tcache__block {
    /* One cache line for lookups. */
    _Alignas(64) uint64_t pc;
    uint64_t gpa;
    uint64_t cookie;
    uint32_t mode;
    uint32_t chain; /* atomic: next in the bucket */
    uint32_t state; /* atomic */
    uint32_t code;  /* offset in code memory */
    uint32_t code_size;
    uint32_t entry, entry_fast; /* offsets in the block */
    uint32_t guest;             /* offset in the guest page | bytes << 16 */
    uint32_t exit_first;
    uint32_t exit_count;
    uint32_t in;   /* first exit that is linked to it */
    uint32_t page; /* whose list it is on, doubly linked: prev, next */
    uint32_t prev, next;
};

/** A direct exit. On its target's list while it is linked. */
struct gn_tcache__exit {
    uint64_t target; /* guest PC */
    uint64_t moment; /* guarded: may be linked anew when this has passed */
    uint32_t block;
    uint32_t to; /* block it is linked to, or NONE */
    uint32_t prev, next;
    uint32_t jump, guard, stub; /* offsets in code memory */
    uint32_t flags;
    uint32_t id; /* of the guard, while it is linked */
    uint32_t pad;
};

/** A guest page that holds code, or is being translated. */
struct gn_tcache__page {
    uint64_t gpa;
    uint64_t granules; /* those that code was made from; a block's eviction leaves its bits */
    uint32_t chain;    /* of its bucket, or of free pages */
    uint32_t blocks;   /* first of its list */
    uint32_t pins;     /* vCPUs that translate from it */
    uint32_t used;
};

/* gn_tcache__region.state */
#define REGION_CLEAN   0u
#define REGION_FILLING 1u /* by a vCPU */
#define REGION_SEALED  2u /* full; queued by age */
#define REGION_RETIRED 3u /* its blocks are dropped; clean when its moment has passed */

/** A part of code memory, with as many block and exit records as belong to it. */
struct gn_tcache__region {
    uint64_t moment;
    uint32_t state;
    uint32_t generation; /* part of handles: grows when the region is used again */
    uint32_t code;       /* bytes used */
    uint32_t blocks;     /* records used */
    uint32_t exits;
    uint32_t next; /* in its queue */
};

struct gn_tcache__queue {
    uint32_t head, tail;
};

/** A pair that has an ID. */
struct gn_tcache__pair {
    uint64_t gva;
    uint64_t gpa;
    uint32_t id; /* 0: empty */
    uint32_t pad;
};

/** What a slot of ids in a view stands for, while its ID is not 0. */
struct gn_tcache__mapping {
    uint64_t gva;
    uint64_t gpa;
    uint32_t jumps;  /* where the view may have some to the page: a bit for JUMPS_GROUP of them */
    uint32_t listed; /* the slot is listed, whether it has an ID or not */
};

/* Slots that have an ID are listed, so that nobody looks at all to find the few there are. */
struct gn_tcache__view {
    struct gn_tcache_view shared;
    struct gn_tcache__mapping pages[GN_TCACHE_VIEW_IDS];
    uint32_t listed;
    uint16_t list[GN_TCACHE_VIEW_IDS];
};

/* gn_tcache__head.state */
#define VIEW_FREE 0u
#define VIEW_USED 1u

/** What is known of a view; apart from it, so that a search touches no view. */
struct gn_tcache__head {
    uint64_t space;
    uint64_t seen;   /* drops that it took notice of */
    uint64_t stamp;  /* when it was loaded last */
    uint64_t wrap;   /* gn_tcache.wraps when its IDs were given */
    uint64_t forget; /* gn_tcache__vcpu.forget when it last knew nothing, or later */
    uint32_t mode;
    uint32_t state;
    uint32_t chain;
    uint32_t fresh; /* made, and nothing was inherited since */
    uint32_t born;  /* its memory was written */
};

/** A vCPU. All but `seen` is its thread's, or under the lock. */
struct gn_tcache__vcpu {
    _Alignas(64) uint64_t seen; /* atomic: the epoch of its last quiescent point; 0: offline */
    uint64_t clock;             /* counts loads of views */
    uint64_t forget;            /* counts times that all views forget everything */
    struct gn_tcache__head *heads;
    struct gn_tcache__view *views;
    uint32_t *buckets; /* of views, by space */
    uint32_t view;     /* loaded, or NONE */
    uint32_t region;   /* that it fills, or NONE */
    uint32_t begun;    /* a block is begun */
    uint32_t page;     /* that it comes from */
    uint32_t dirty;    /* the page was written since */
    uint32_t room;     /* offset of its code in code memory */
    struct gn_tcache_key key;
    uint64_t lookups, found, unmapped; /* atomic, relaxed: counted without the lock */
    uint64_t maps, invalidations, views_made;
    uint16_t knowing[GN_TCACHE_VIEW_IDS]; /* views that have an ID in a slot */
};

struct gn_tcache {
    struct gn_tcache_ops ops;
    void *ctx;
    uint8_t *code;
    uint64_t exec;
    struct gn_tcache__block *blocks;
    struct gn_tcache__exit *exits;
    struct gn_tcache__page *pages;
    struct gn_tcache__region *regions;
    struct gn_tcache__pair *pairs;
    struct gn_tcache__vcpu *vcpus;
    uint32_t *buckets;      /* atomic: of blocks */
    uint32_t *page_buckets; /* of pages */
    uint64_t *log;          /* PCs of dropped blocks, LOG_SIZE of them */
    uint64_t seed;
    uint32_t bucket_mask, page_mask, view_mask;
    uint32_t region_count, region_size, region_blocks, region_exits;
    uint32_t page_count, vcpu_count, view_count;
    uint32_t block_size, block_exits, align;
    uint32_t page_free; /* first free page */
    uint32_t pages_left;
    uint32_t begun;     /* vCPUs that have a block begun */
    uint32_t opened;    /* open was called, close was not */
    uint32_t id_next;   /* the next ID to give */
    uint64_t id_moment; /* guards are linked when this has passed */
    uint64_t epoch;     /* atomic: counts what vCPUs must take notice of */
    uint64_t drops;     /* atomic: entries ever put into the log */
    uint64_t wraps;     /* atomic: times that IDs began anew */
    uint32_t clean;     /* first clean region */
    struct gn_tcache__queue sealed, retired;
    struct gn_tcache_stats stats; /* but what vCPUs count */
};

/* ---- tcache.c ----------------------------------------------------------------------------- */

/** An invariant does not hold: tells the embedder, who does not come back. */
void gn_tcache__broken(struct gn_tcache *tc, const char *what);

/** Takes the lock. */
void gn_tcache__lock(struct gn_tcache *tc);

/** Closes code memory if it was opened and nobody translates; releases the lock. */
void gn_tcache__unlock(struct gn_tcache *tc);

/** Code memory is about to be written, under the lock. */
void gn_tcache__open(struct gn_tcache *tc);

/** The vCPU of a number if it is online, else NULL. */
struct gn_tcache__vcpu *gn_tcache__online(struct gn_tcache *tc, uint32_t vcpu);

static inline void gn_tcache__count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/** Spreads a number over 64 bits (the finalizer of MurmurHash3). */
static inline uint64_t gn_tcache__mix(uint64_t n)
{
    n = (n ^ n >> 33) * UINT64_C(0xff51afd7ed558ccd);
    n = (n ^ n >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return n ^ n >> 33;
}

/* ---- region.c ----------------------------------------------------------------------------- */

/** Finds room for a block in the region that a vCPU fills, or another. @return 0 or -GN_ERR_AGAIN
 */
int gn_tcache__room(struct gn_tcache *tc, struct gn_tcache__vcpu *v);

/** Evicts the region filled longest ago, if any is full. @return whether one was. */
int gn_tcache__evict(struct gn_tcache *tc);

/** Has each vCPU that is online passed a quiescent point since? */
int gn_tcache__passed(const struct gn_tcache *tc, uint64_t moment);

/** What was done so far is before the moment that this returns. */
uint64_t gn_tcache__moment(struct gn_tcache *tc);

static inline struct gn_tcache__region *gn_tcache__region_of(const struct gn_tcache *tc,
                                                             uint32_t block)
{
    return &tc->regions[block / tc->region_blocks];
}

/* ---- block.c ------------------------------------------------------------------------------ */

/** Tells a block. */
void gn_tcache__tell(const struct gn_tcache *tc, uint32_t block, struct gn_tcache_block *ret_block);

/** Finds a live block, without lock. @return it, or NONE */
uint32_t gn_tcache__find(const struct gn_tcache *tc, uint64_t pc, uint64_t gpa, uint32_t mode);

/** Takes a live block out of everything that leads to it, and unlinks its exits. */
void gn_tcache__drop(struct gn_tcache *tc, uint32_t block);

/** The block that a handle names, or NONE. */
uint32_t gn_tcache__block_of(const struct gn_tcache *tc, gn_tcache_handle_t handle);

/* ---- link.c ------------------------------------------------------------------------------- */

/** Unlinks an exit that is linked. */
void gn_tcache__unlink(struct gn_tcache *tc, uint32_t exit);

/* ---- page.c ------------------------------------------------------------------------------- */

/** The page of an address, or NONE. */
uint32_t gn_tcache__page_find(const struct gn_tcache *tc, uint64_t gpa);

/** The page of an address, pinned; there is a free one. Begins to be watched if it is new. */
uint32_t gn_tcache__page_pin(struct gn_tcache *tc, uint64_t gpa);

/** Unpins a page. Without pins and blocks it is free. */
void gn_tcache__page_unpin(struct gn_tcache *tc, uint32_t page);

/** Puts a block on the list of a page. */
void gn_tcache__page_add(struct gn_tcache *tc, uint32_t page, uint32_t block);

/** Takes a block off the list of its page, which may become free. */
void gn_tcache__page_remove(struct gn_tcache *tc, uint32_t block);

/* ---- view.c ------------------------------------------------------------------------------- */

/** Gives an empty slot of a view an ID. */
void gn_tcache__page_know(struct gn_tcache__vcpu *v, uint32_t view, uint32_t slot, uint64_t gva,
                          uint64_t gpa, uint32_t id);

/** The ID of a pair of pages. Under the lock. */
uint32_t gn_tcache__id(struct gn_tcache *tc, uint64_t gva, uint64_t gpa);

/** The loaded view takes notice of drops since its last. Under the lock. */
void gn_tcache__catch_up(struct gn_tcache *tc, struct gn_tcache__vcpu *v, uint32_t view);

/** Has a view missed nothing? */
static inline int gn_tcache__is_current(const struct gn_tcache *tc,
                                        const struct gn_tcache__head *head)
{
    return head->seen == __atomic_load_n(&tc->drops, __ATOMIC_ACQUIRE) &&
           head->wrap == __atomic_load_n(&tc->wraps, __ATOMIC_ACQUIRE);
}

/** The view of a space and mode, or NONE. */
uint32_t gn_tcache__view_find(const struct gn_tcache *tc, const struct gn_tcache__vcpu *v,
                              uint64_t space, uint32_t mode);

#endif /* GN_TCACHE_INTERNAL_H */
