/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_CACHECRYPT_INTERNAL_H
#define GN_CACHECRYPT_INTERNAL_H

#include <gnomon/cachecrypt_inline.h>

/* A freestanding compiler may call them anyway; there is no <string.h> for it. */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);

/** No frame, no node: ends chains. */
#define NONE UINT32_MAX

/*
 * The version word of a page, a leaf of the tree:
 *   63: the store has ciphertext; else the page is zeros   62..48: epoch   47..0: seals in it
 */
#define WORD_DATA        ((uint64_t)1 << 63)
#define WORD_EPOCH_SHIFT 48
#define WORD_SEALS       (((uint64_t)1 << WORD_EPOCH_SHIFT) - 1)

static inline uint32_t gn_cachecrypt__word_epoch(uint64_t word)
{
    return (uint32_t)(word >> WORD_EPOCH_SHIFT) & GN_CACHECRYPT_EPOCHS_MAX;
}

/* A tree node has 128 bytes: 16 version words at level 0, 8 hashes above. */
#define NODE_WORDS 16u
#define NODE_BYTES (NODE_WORDS * sizeof(uint64_t))
#define LEAF_SHIFT 4u
#define NODE_SHIFT 3u
/** 2^32 pages are 2^28 leaves; each level has an eighth, up to one node. */
#define LEVELS_MAX 11u

/** A node of a tree, verified. Its parent is cached, too: so it can always be written back. */
struct gn_cachecrypt__node {
    _Alignas(64) uint64_t word[NODE_WORDS];
    uint64_t key;          /* region << 40 | level << 32 | index */
    uint32_t next;         /* chain of the bucket, or of unused ones */
    uint32_t parent;       /* NONE: the top */
    uint32_t children;     /* cached ones: it stays while there are any */
    uint32_t newer, older; /* changed nodes of the same region and level; of one that is changed */
    uint8_t used, dirty, referenced, pad;
};

/** What stands in a frame. */
struct gn_cachecrypt__frame {
    uint64_t key;  /* region << 32 | page */
    uint32_t next; /* chain of the bucket, or of free ones */
    uint32_t pins;
    uint32_t write_pins; /* of these: for writing */
    uint8_t used;        /* holds a page */
    uint8_t mapped;      /* by gn_cachecrypt_fault */
    uint8_t orphan;      /* its region is no longer live: wiped when unpinned */
    uint8_t pad;
};

/* gn_cachecrypt__region.state, beyond GN_CACHECRYPT_STATE_*. */
#define STATE_FREE 0u

struct gn_cachecrypt__region {
    uint32_t state;
    uint32_t page_bytes, page_shift;
    uint32_t levels;
    uint64_t pages;
    uint64_t serial; /* no two regions of a pool, in all its time, have the same */
    uint8_t *data;
    uint64_t data_bytes;
    uint8_t *tags; /* meta begins with them */
    uint64_t meta_bytes;
    uint64_t *level[LEVELS_MAX];
    uint32_t changed[LEVELS_MAX]; /* the newest changed node of each level, or NONE */
    struct gn_cachecrypt_cipher cipher;
    uint64_t tree_key[2];
    uint64_t root[2];  /* hash of the top node, as it is in the store */
    uint8_t *keys[2];  /* expanded; [0]: of the epoch that seals, [1]: of the one before */
    uint32_t epoch;    /* that seals */
    uint32_t sweeping; /* keys[1] is in use */
    uint64_t cursor;   /* of the sweep: no page below is of the epoch before */
    uint64_t sealed;   /* bytes under keys[0] */
    uint64_t swept;    /* of these: while a sweep was at work */
    uint64_t budget;
    uint64_t page_seals;
    uint32_t pace;
    uint32_t in_sweep; /* a sweep is at work: its misses do not begin another */
};

struct gn_cachecrypt__window {
    uint64_t base, bytes; /* bytes 0: unused */
};

struct gn_cachecrypt {
    struct gn_cachecrypt_ops ops;
    void *ctx;
    struct gn_cachecrypt_cache cache;
    uint64_t generation;
    uint64_t serial; /* of the last region */
    size_t bytes;    /* of mem */
    struct gn_cachecrypt__region *regions;
    struct gn_cachecrypt__window *windows;
    struct gn_cachecrypt__frame *table; /* of frames */
    uint32_t *buckets;                  /* of frames */
    uint64_t *view;                     /* see cachecrypt_inline.h */
    uint8_t *flags;                     /* referenced and dirty, a frame */
    struct gn_cachecrypt__node *nodes;
    uint32_t *node_buckets;
    uint32_t *colours; /* lines in the sets of each colour, while a report is made */
    uint8_t *scratch;  /* a page, on its way to the store */
    uint8_t *path;     /* nodes of a tree that is being built, and one being verified */
    uint8_t *keys;     /* expanded keys of all regions */
    uint8_t *frames;
    const struct gn_cachecrypt_cipher *used; /* by this call: to be scrubbed */
    uint32_t frame_count, frame_bytes, frame_shift;
    uint32_t bucket_mask, view_mask, view_fold;
    uint32_t region_count, window_count;
    uint32_t node_count, node_mask;
    uint32_t state_bytes, colour_count;
    uint32_t free_frame, free_node;
    uint32_t hand, node_hand;
    uint32_t copied; /* this pool is a copy of another: no more */
    uint32_t probed, probe_slow;
    uint32_t pad;
    struct gn_cachecrypt_stats stats;
    uint8_t key[GN_CACHECRYPT_KEY_MAX]; /* while it is expanded */
    uint8_t tag[GN_CACHECRYPT_TAG_MAX]; /* copied before it is looked at */
};

/** An invariant does not hold: tells the embedder, who does not come back. */
void gn_cachecrypt__broken(struct gn_cachecrypt *cc, const char *what);

/** Overwrites with zeros, even what nobody reads any more. */
static inline void gn_cachecrypt__wipe(void *at, size_t n)
{
    memset(at, 0, n);
    __asm__ volatile("" : : "r"(at) : "memory");
}

static inline void gn_cachecrypt__lock(struct gn_cachecrypt *cc)
{
    if (cc->ops.lock)
        cc->ops.lock(cc->ctx);
}

/** Nothing of the cipher that was used stays in registers and on the stack. */
static inline void gn_cachecrypt__scrub(struct gn_cachecrypt *cc)
{
    if (cc->used && cc->used->scrub)
        cc->used->scrub();
    cc->used = NULL;
}

/** Ends a call. */
static inline int gn_cachecrypt__leave(struct gn_cachecrypt *cc, int r)
{
    gn_cachecrypt__scrub(cc);
    if (cc->ops.lock)
        cc->ops.unlock(cc->ctx);
    return r;
}

/** May the region be used? */
int gn_cachecrypt__usable(const struct gn_cachecrypt *cc, uint32_t region);

/**
 * Takes the lock and finds a region that can be used; on failure the lock is not held. An object
 * that is NULL is -GN_ERR_INVAL.
 */
int gn_cachecrypt__enter(struct gn_cachecrypt *cc, uint32_t region,
                         struct gn_cachecrypt__region **ret_reg);

static inline uint32_t gn_cachecrypt__number(const struct gn_cachecrypt *cc,
                                             const struct gn_cachecrypt__region *reg)
{
    return (uint32_t)(reg - cc->regions);
}

static inline struct gn_cachecrypt__region *gn_cachecrypt__region_of(const struct gn_cachecrypt *cc,
                                                                     uint64_t key)
{
    return &cc->regions[key >> 32];
}

/** Is offset .. offset + len within the region? */
static inline int gn_cachecrypt__within(const struct gn_cachecrypt__region *reg, uint64_t offset,
                                        uint64_t len)
{
    const uint64_t size = reg->pages << reg->page_shift;

    return offset <= size && len <= size - offset;
}

/** Do two ranges of addresses share a byte? Both end within the address space. */
static inline int gn_cachecrypt__overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

/** Does base + bytes stay within the address space? */
static inline int gn_cachecrypt__addressable(uint64_t base, uint64_t bytes)
{
    return bytes <= UINTPTR_MAX && base <= UINTPTR_MAX - bytes;
}

/** Does the range overlap data or meta of a region? */
int gn_cachecrypt__in_store(const struct gn_cachecrypt *cc, uint64_t base, uint64_t bytes);

/** Does the range overlap a window? */
int gn_cachecrypt__in_window(const struct gn_cachecrypt *cc, uint64_t base, uint64_t bytes);

/** Does the range overlap the pool? */
static inline int gn_cachecrypt__in_pool(const struct gn_cachecrypt *cc, uint64_t base,
                                         uint64_t bytes)
{
    return gn_cachecrypt__overlap((uintptr_t)cc, cc->bytes, base, bytes);
}

/* ---- region.c ---------------------------------------------------------------------------- */

/** A check failed: the region is dead, and what it has in the pool is wiped. -GN_ERR_BADMSG. */
int gn_cachecrypt__poison(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg);

/** This pool is a copy: wipes all keys. */
void gn_cachecrypt__disown(struct gn_cachecrypt *cc);

/* ---- pool.c ------------------------------------------------------------------------------ */

static inline uint8_t *gn_cachecrypt__frame_at(const struct gn_cachecrypt *cc, uint32_t frame)
{
    return cc->frames + ((size_t)frame << cc->frame_shift);
}

static inline uint8_t *gn_cachecrypt__referenced(const struct gn_cachecrypt *cc, uint32_t frame)
{
    return &cc->flags[2 * (size_t)frame];
}

static inline uint8_t *gn_cachecrypt__dirty(const struct gn_cachecrypt *cc, uint32_t frame)
{
    return &cc->flags[2 * (size_t)frame + 1];
}

/** The frame of a page, or NONE. */
uint32_t gn_cachecrypt__find(const struct gn_cachecrypt *cc, uint64_t key);

/* How a page is wanted. */
#define GET_READ      0u
#define GET_OVERWRITE 1u /* its content does not matter: it is not opened */

/** Brings a page in. The region may have been poisoned or not; the frame is good until the next. */
int gn_cachecrypt__get(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t page,
                       uint32_t how, uint32_t *ret_frame);

/** Takes a page's mapping away; its frame holds what was written last. */
int gn_cachecrypt__unmap(struct gn_cachecrypt *cc, uint32_t frame);

/** Puts a page's frame among the free ones, wiped. The page is not mapped, nor pinned. */
void gn_cachecrypt__drop(struct gn_cachecrypt *cc, uint32_t frame);

/** The page cannot be found any more. */
void gn_cachecrypt__forget(struct gn_cachecrypt *cc, uint32_t frame);

/** Seals a page into the store, where it will be the newest; it stays in its frame, clean. */
int gn_cachecrypt__seal(struct gn_cachecrypt *cc, uint32_t frame);

/** Takes a page out, sealed if dirty. -GN_ERR_BUSY: it is pinned. */
int gn_cachecrypt__evict(struct gn_cachecrypt *cc, uint32_t frame);

/* ---- tree.c ------------------------------------------------------------------------------ */

/** Where the parts of meta are. */
struct gn_cachecrypt__meta {
    uint64_t level[LEVELS_MAX]; /* offset of each */
    uint64_t total;
    uint32_t levels;
};

void gn_cachecrypt__meta_make(uint64_t pages, uint32_t tag_bytes, struct gn_cachecrypt__meta *meta);

/** Writes the tree of a region of pages that were never written; reads nothing of the store. */
void gn_cachecrypt__tree_init(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg);

/** The verified leaf that holds a page's version word. Good until the next call for a leaf. */
int gn_cachecrypt__leaf(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t page,
                        struct gn_cachecrypt__node **ret_leaf);

static inline uint64_t *gn_cachecrypt__word(struct gn_cachecrypt__node *leaf, uint64_t page)
{
    return &leaf->word[page & (NODE_WORDS - 1)];
}

/** A node of a region was changed in the pool. */
void gn_cachecrypt__node_changed(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg,
                                 struct gn_cachecrypt__node *node);

/** Writes changed nodes of a region to the store. */
void gn_cachecrypt__tree_flush(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg);

/** Forgets the nodes of a region. */
void gn_cachecrypt__tree_drop(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg);

/* ---- siphash.c --------------------------------------------------------------------------- */

/** SipHash-2-4 with 128 bits of result, over n words in the order of a little-endian machine. */
void gn_cachecrypt__siphash(const uint64_t key[2], const uint64_t *word, uint32_t n,
                            uint64_t ret_hash[2]);

/** The hash of a node in its place. */
void gn_cachecrypt__node_hash(const uint64_t key[2], uint32_t level, uint64_t index,
                              const uint64_t word[NODE_WORDS], uint64_t ret_hash[2]);

/* ---- epoch.c ----------------------------------------------------------------------------- */

/** Draws the key of a new epoch. */
int gn_cachecrypt__epoch_begin(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg);

/** Wipes the keys of a region. */
void gn_cachecrypt__keys_wipe(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg);

/** Looks at some pages of a sweep, if there is one. */
int gn_cachecrypt__sweep(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg,
                         uint64_t pages);

/** The word under which a page is to be sealed next; 0: there is none, and why. */
int gn_cachecrypt__next_word(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg,
                             uint64_t word, uint64_t *ret_word);

#endif /* GN_CACHECRYPT_INTERNAL_H */
