/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SHADOW_INTERNAL_H
#define GN_SHADOW_INTERNAL_H

/*
 * The parts of a shadow, and who does what:
 *
 *   shadow.c  life cycle, counters       table.c  shadow tables: find, make, link, free, reclaim
 *   slot.c    guest memory, frames       rmap.c   chains: who maps this page, who links this table
 *   root.c    cached roots               fault.c  resolving an access
 *   sync.c    coherence, revoke, flush   audit.c  the checker
 *   dirty.c   the dirty log              policy.c table pages: trapped, traced or unsync
 *   around.c  pages around a fault          locks.c  who may do what at the same time
 *   role.c    what a table stands for    view.c   what a leaf may say of a page
 *   watch.c   pages that others watch    part.c   what one call does not come to the end of
 *   walk.c    walks of the guest's tables  seam.c  guests wider than the shadow
 *
 * An entry of a shadow table is named by one number: table index * 512 + index in the table. Each
 * entry that is present stands in exactly one chain: a leaf in the chain of the page it maps, a
 * link in the chain of the table it leads to. The chains are doubly linked through one array of
 * links parallel to the entries, so adding and removing are O(1) and need no allocation.
 */

#include <string.h>

#include <gnomon/paging.h>
#include <gnomon/shadow.h>

#define GN_SHADOW__ENTRIES    512u
#define GN_SHADOW__INDEX_BITS 9u
#define GN_SHADOW__NIL        UINT32_MAX
#define GN_SHADOW__NO_FRAME   UINT32_MAX

/* A chain's first entry points back to its head: a page's or a table's. */
#define GN_SHADOW__HEAD       0x80000000u
#define GN_SHADOW__HEAD_TABLE 0x40000000u
#define GN_SHADOW__HEAD_INDEX 0x3fffffffu

/* Highest level at which a shadow leaf is written: 1 GiB. */
#define GN_SHADOW__LEAF_LEVELS 3u

/* Words of a bit an entry. */
#define GN_SHADOW__BELOW_WORDS (GN_SHADOW__ENTRIES / 64u)

/* Tables kept ready with a frame, beyond what a fault needs. */
#define GN_SHADOW__SPARE 8u

/* Bytes that a CPU takes from another's cache at a time, and so keeps from it. */
#define GN_SHADOW__LINE 64

/* Counters are kept so many times, each by some of the threads. */
#define GN_SHADOW__LANES 16u

/* What a function says that shares the shadow, and would have to have it for itself. */
#define GN_SHADOW__LATER 1

/* What gn_shadow__sync_entry() finds, or-ed. */
#define GN_SHADOW__SYNC_USEFUL  1u /* the shadow had a use for the entry */
#define GN_SHADOW__SYNC_CHANGED 2u /* it was not what it should be */
#define GN_SHADOW__SYNC_LATER   4u /* it is not yet: the call must have the shadow for itself */

/* Formats that gn_paging may know: their numbers are below this. */
#define GN_SHADOW__FORMATS 16u

/* Pages that may be in the state of gn_shadow__shut at a time. */
#define GN_SHADOW__SHUTS 16u

/* States of a table: part.c. */
#define GN_SHADOW__LOOSE 1u /**< neither a link nor a root leads to it */

/* What stands behind a shadow table: gn_shadow__role.direct. */
#define GN_SHADOW__GUEST  0u /* a guest table, or a part of one */
#define GN_SHADOW__DIRECT 1u /* no guest table: part of a larger guest page, or BARE */
#define GN_SHADOW__GLUE   2u /* no guest table: leads to the guest's root, which has fewer levels */

/*
 * The protection key of a guest's leaf (x86, 4 and 5 levels), in a word of its permissions. It
 * stands above all that gn_paging defines there.
 */
#define GN_SHADOW__KEY       0xf000u
#define GN_SHADOW__KEY_SHIFT 12

/** What a shadow table stands for. Two tables never have the same role. */
struct gn_shadow__role {
    uint64_t gpa;         /**< the guest table; glue: the root; direct: the first byte mapped */
    uint64_t gpa_high;    /**< glue above two roots: the other one; else 0 */
    uint32_t format;      /**< of the guest's tables */
    uint32_t controls;    /**< those that change what entries mean */
    uint32_t pkru;        /**< where keys are not the MMU's business; else 0 */
    uint16_t permissions; /**< inherited from above; direct: of the guest's leaf */
    uint8_t phys_bits;
    uint8_t level;
    uint8_t direct;   /**< GN_SHADOW__GUEST, _DIRECT or _GLUE */
    uint8_t quadrant; /**< which part of a guest table that maps more than a shadow table does */
    uint8_t half;     /**< below glue: 1 the lower, 2 the upper half of the addresses; else 0 */
    uint8_t unused[5];
};

/** The guest entry that a shadow entry stands for, or a part of. */
struct gn_shadow__place {
    gn_gpa_t gpa;
    uint32_t bytes;
    uint64_t offset; /**< of the shadow entry's first byte in what the guest's maps */
};

/** Where an entry stands in its chain. */
struct gn_shadow__link {
    uint32_t next;
    uint32_t prev;
};

/** A shadow table. */
struct gn_shadow__table {
    struct gn_shadow__role role;
    uint64_t *entries; /**< the frame, as the library writes it; NULL: no frame yet */
    uint64_t visited;  /**< stamp of the last flush that came by */
    gn_hpa_t hpa;
    uint32_t hash_next; /**< next in the bucket of its gpa; next free table while unused */
    uint32_t hpa_next;  /**< next in the bucket of its hpa */
    uint32_t parents;   /**< chain of the entries that link here */
    uint32_t roots;     /**< cached roots that begin here */
    uint32_t root;      /**< one of them, the last that came */
    uint32_t present;   /**< entries that are present */
    uint32_t flood;     /**< useless syncs since it last served a fault */
    uint32_t frame;     /**< frame index of the page that holds the guest table */
    uint32_t traps;     /**< writes that trapped since it last served a fault */
    uint32_t idle;      /**< re-reads in a row that found nothing changed */
    uint64_t below[GN_SHADOW__BELOW_WORDS]; /**< entries behind which a table may be unsync */
    uint8_t live;
    uint8_t referenced; /**< second chance */
    uint8_t mode;       /**< GN_SHADOW_POLICY_TRAP, _TRACED or _UNSYNC; policy.c */
    uint8_t state;      /**< GN_SHADOW__LOOSE, _RAW: part.c */
} __attribute__((aligned(GN_SHADOW__LINE)));

/** A cached root. */
struct gn_shadow__root {
    struct gn_shadow_root_key key; /**< size 0: this slot is free */
    uint64_t cookie;
    uint64_t stamp; /**< when it was last got: least recently used goes first */
    uint32_t table;
    uint32_t held;
    uint64_t *seam; /**< of a guest wider than the shadow: what the MMU walks; seam.c */
    gn_hpa_t seam_hpa;
};

/** Counters, apart from those of other threads. */
struct gn_shadow__lane {
    struct gn_shadow_stats stats;
} __attribute__((aligned(GN_SHADOW__LINE)));

/** A memory slot with its bookkeeping. */
struct gn_shadow__slot {
    struct gn_shadow_slot slot;              /**< size 0: free */
    uint32_t frame_base;                     /**< frame index of its first page */
    uint32_t frames[GN_SHADOW__LEAF_LEVELS]; /**< pages, 2 MiB and 1 GiB regions it touches */
    uint32_t *heads;                         /**< chain heads, level 0 first, then 1, then 2 */
    uint32_t *tables; /**< of levels 1 and 2: pages inside that hold tables */
    uint16_t *traced; /**< of level 0: shadow tables that stand for this page */
    uint64_t found;   /**< pages harvested by calls that have not come to their end */
    uint64_t left;    /**< pages and regions that the start of the log has yet to protect */
    uint64_t *dirty;  /**< a bit a page, set by its first write since a harvest; NULL: no log */
};

/** A page whose writes are to be known, while the leaves that map it are seen to: part.c. */
struct gn_shadow__shut {
    gn_gpa_t page;
    uint32_t cursor; /**< the next leaf in the page's chain, or NIL */
    uint32_t used;
};

struct gn_shadow {
    struct gn_shadow_params params;
    struct gn_shadow_ops ops;
    struct gn_paging_geometry geometry;
    struct gn_paging_geometry guests[GN_SHADOW__FORMATS]; /**< by format; unknown ones are zero */
    struct gn_paging_context context; /**< of the shadow tables, for decoding them */
    struct gn_shadow__lane *lanes;    /**< counters, in the lane of whoever counts */
    uint32_t stripe_mask;
    uint32_t alone; /**< the call that runs has the shadow for itself: locks.c */

    struct gn_shadow__table *tables;
    struct gn_shadow__link *links;
    uint32_t *by_gpa; /**< buckets */
    uint32_t *by_hpa;
    uint32_t bucket_mask;
    uint32_t free_list; /**< tables not in use, those with a frame first */
    uint32_t spare;     /**< tables on the free list that have a frame */
    uint32_t clock_hand;
    uint32_t scanned;    /**< tables that the hand has passed since one was last reclaimed */
    uint32_t victim;     /**< table that is being reclaimed, or NIL */
    uint32_t loose;      /**< tables in use that nothing leads to: part.c */
    uint32_t steps;      /**< that the call which is alone may still make; UINT32_MAX: any number */
    uint32_t steps_most; /**< that such a call may make */
    uint32_t shuts;      /**< how many of the following are in use */
    uint32_t shut_next;
    struct gn_shadow__shut shut[GN_SHADOW__SHUTS];
    uint32_t live;   /**< tables in use */
    uint32_t touchy; /**< of those: where A and D may say more; walk.c */
    uint32_t wide;   /**< of those: of x86, with entries of 8 bytes */
    uint32_t global; /**< there is, or has been, a global leaf */
    uint32_t seams;  /**< roots that have one */
    uint32_t live_peak;
    uint32_t freed;   /**< counts frees, so that loops over buckets see them */
    uint32_t tracked; /**< counts pages that became table pages */

    struct gn_shadow__root *roots;
    uint64_t cookie; /**< last given */

    struct gn_shadow__slot *slots;
    uint32_t slot_hint;
    uint32_t logged; /**< slots with a dirty log */

    /* Apart from what all read: calls that share write it. */
    uint64_t clock __attribute__((aligned(GN_SHADOW__LINE))); /**< stamps of roots and flushes */
};

/* shadow.c */

/** Calls the panic op if a condition that must hold does not. */
static inline void gn_shadow__check(const struct gn_shadow *sh, int holds, const char *what)
{
    if (!holds && sh->ops.panic)
        sh->ops.panic(sh->params.ops_ctx, what);
}

/** May the call, which is alone, make one step more? One that has no limit always may. */
static inline int gn_shadow__step(struct gn_shadow *sh)
{
    if (sh->steps == UINT32_MAX)
        return 1;
    if (!sh->steps)
        return 0;
    sh->steps--;
    return 1;
}

/** The same, of several steps, all or none. */
static inline int gn_shadow__steps(struct gn_shadow *sh, uint32_t count)
{
    if (sh->steps == UINT32_MAX)
        return 1;
    if (sh->steps < count)
        return 0;
    sh->steps -= count;
    return 1;
}

/** Is this one of the x86 formats? */
static inline int gn_shadow__is_x86(uint32_t format)
{
    return format > GN_PAGING_BARE && format <= GN_PAGING_X86_5LEVEL;
}

/** Do its leaves have protection keys? */
static inline int gn_shadow__has_keys(uint32_t format)
{
    return format == GN_PAGING_X86_4LEVEL || format == GN_PAGING_X86_5LEVEL;
}

/** Geometry of a guest's format. */
static inline const struct gn_paging_geometry *gn_shadow__guest(const struct gn_shadow *sh,
                                                                uint32_t format)
{
    return &sh->guests[format];
}

/**
 * May a shadow link stand for this guest entry? x86 sets A in entries that lead to tables, too: a
 * walk must have done so (SDM vol. 3A §4.8). A PDPTE of PAE has no such bit, nor has RISC-V.
 */
static inline int gn_shadow__may_link(uint32_t format, uint32_t level, uint32_t permissions)
{
    return !gn_shadow__is_x86(format) || (format == GN_PAGING_X86_PAE && level == 2) ||
           permissions & GN_PAGING_A;
}

/** Is it a root table of PAE? */
static inline int gn_shadow__is_pdpt(const struct gn_shadow__role *role)
{
    return role->format == GN_PAGING_X86_PAE && role->level == 2 && !role->direct;
}

/** A table to whose entries a walk by other rules, that sets A and D in them, does more than that.
 */
static inline int gn_shadow__is_touchy(const struct gn_shadow__role *role)
{
    const uint32_t both = GN_PAGING_AARCH64_HA | GN_PAGING_AARCH64_HD;

    return gn_shadow__is_pdpt(role) || (role->format == GN_PAGING_AARCH64_4K && !role->direct &&
                                        (role->controls & both) != both);
}

/** Is it a guest's table of x86, with entries of 8 bytes? */
static inline int gn_shadow__is_wide(const struct gn_shadow__role *role)
{
    return role->format > GN_PAGING_X86_32 && gn_shadow__is_x86(role->format) && !role->direct;
}

/** log2 of what an entry at this level maps. */
static inline uint32_t gn_shadow__shift(uint32_t level)
{
    return GN_PAGE_SHIFT + level * GN_SHADOW__INDEX_BITS;
}

/** Bytes that an entry at this level maps. */
static inline uint64_t gn_shadow__span(uint32_t level)
{
    return (uint64_t)1 << gn_shadow__shift(level);
}

/** Index in a table at this level of the entry that translates gva. */
static inline uint32_t gn_shadow__index(uint64_t gva, uint32_t level)
{
    return gva >> gn_shadow__shift(level) & (GN_SHADOW__ENTRIES - 1);
}

/** The context for walking a guest's tables under a role or a root's key. */
struct gn_paging_context gn_shadow__guest_context(uint32_t format, gn_gpa_t root, uint32_t controls,
                                                  uint32_t phys_bits);

/** The context for walking the guest's tables of a root. */
struct gn_paging_context gn_shadow__root_context(const struct gn_shadow_root_key *key,
                                                 uint32_t controls);

#include "locks.h"
#include "parts.h"

#endif /* GN_SHADOW_INTERNAL_H */
