/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SHADOW_INSPECT_H
#define GN_SHADOW_INSPECT_H

/*
 * gnomon/shadow_inspect.h - what a shadow tells of itself: counters, and an audit.
 *
 * A part of <gnomon/shadow.h>, which includes it and says what a shadow is. The counters are always
 * on: they say what the mechanism is worth. The audit asks whether the shadow says what the guest's
 * tables say, and whether its own structures contradict one another. It holds where nothing is
 * pending: after a coherence point, once all recorded writes are synced.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gn_shadow;

/** Counters since init; they do not wrap in practice (64 bits). */
struct gn_shadow_stats {
    uint32_t size;               /**< set by the caller; at most that many bytes are written */
    uint32_t tables;             /**< shadow tables in use now */
    uint64_t faults;             /**< gn_shadow_fault() calls */
    uint64_t fills;              /**< of those: FILLED */
    uint64_t guest_faults;       /**< of those: GUEST_FAULT */
    uint64_t mmio;               /**< of those: MMIO or HOLE */
    uint64_t trapped_writes;     /**< of those: TRAPPED */
    uint64_t walks;              /**< walks of guest tables */
    uint64_t walk_entries;       /**< guest entries read by them */
    uint64_t syncs;              /**< gn_shadow_sync() calls */
    uint64_t sync_entries;       /**< guest entries re-read by sync */
    uint64_t sync_unchanged;     /**< of those: the shadow entry was right already */
    uint64_t sync_prefills;      /**< of those: filled before any access asked for it */
    uint64_t sync_zaps;          /**< of those: the shadow entry was dropped */
    uint64_t invalidated_ranges; /**< invalidate_range calls */
    uint64_t invalidated_all;    /**< invalidate_all calls */
    uint64_t tables_created;
    uint64_t tables_freed;
    uint64_t tables_reclaimed;   /**< of those: to make room */
    uint64_t tables_flooded;     /**< of those: written so often that they are no tables */
    uint64_t tables_peak;        /**< most in use at a time */
    uint64_t root_hits;          /**< gn_shadow_root_get() found it cached */
    uint64_t root_misses;        /**< ... built it */
    uint64_t large_leaves;       /**< leaves written above level 0 */
    uint64_t splinters;          /**< guest pages mapped by smaller leaves */
    uint64_t dirty_pages;        /**< pages that became dirty */
    uint64_t dirty_overflows;    /**< of those: the dirty op had no room */
    uint64_t pages_unsync;       /**< table pages that went from trapped to unsync */
    uint64_t pages_traced;       /**< ... from trapped to traced, by ADAPT */
    uint64_t pages_resynced;     /**< ... from unsync back to trapped */
    uint64_t unsync_rereads;     /**< unsync tables re-read */
    uint64_t around_fills;       /**< pages mapped along with another's fault */
    uint64_t emulated;           /**< faults with the outcome EMULATE */
    uint64_t table_pages;        /**< pages that hold tables now */
    uint64_t unsync_pages;       /**< of those: unsync now */
    uint64_t traced_pages;       /**< of those: traced now; the rest is trapped */
    uint64_t unsync_gone;        /**< unsync pages that ceased to hold tables */
    uint64_t invalidated_writes; /**< invalidate_writes calls */
};

/** First initializer of a gn_shadow_stats. */
#define GN_SHADOW_STATS_INIT .size = sizeof(struct gn_shadow_stats)

/* What an audit finds. */
#define GN_SHADOW_AUDIT_MAPPING    1 /**< a leaf leads elsewhere than the guest's tables */
#define GN_SHADOW_AUDIT_PERMISSION 2 /**< a leaf allows what the guest's tables forbid */
#define GN_SHADOW_AUDIT_ABSENT     3 /**< an absent marker stands for a mapping that exists */
#define GN_SHADOW_AUDIT_RMAP       4 /**< a leaf or link is not in its chain, or a chain is broken */
#define GN_SHADOW_AUDIT_TRACE      5 /**< a writable, unmarked mapping of a table page */
#define GN_SHADOW_AUDIT_DIRTY      6 /**< a writable mapping of a page that counts as clean */

/** One difference. */
struct gn_shadow_difference {
    uint32_t size;     /**< of this structure, as the library knows it */
    uint32_t kind;     /**< GN_SHADOW_AUDIT_... */
    uint32_t root;     /**< root through which it is seen; ANY for RMAP */
    uint32_t level;    /**< level of the shadow entry */
    gn_gva_t gva;      /**< first address that it translates */
    uint64_t entry;    /**< the shadow entry */
    gn_gpa_t expected; /**< MAPPING: what the guest's tables say; else 0 */
};

/**
 * Compares every leaf and marker reachable from a root with a fresh walk of the guest's tables
 * (which sets nothing), and the reverse map with the tables. A checker, for tests and debugging.
 *
 * @param root             a root's id, or GN_SHADOW_ROOT_ANY for all that are cached
 * @param report           called for each difference; may be NULL
 * @param report_ctx       passed to it
 * @param ret_differences  their number
 * @param ret_leaves       leaves compared; may be NULL
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: ret_differences is NULL
 *  - -GN_ERR_NOENT: no such root
 *
 * Context: where guest->load may be called; O(leaves x levels + tables + pages of all slots).
 * Thread-safety: excludes.
 */
GN_API GN_NODISCARD int
gn_shadow_audit(struct gn_shadow *shadow, uint32_t root,
                void (*report)(void *ctx, const struct gn_shadow_difference *difference),
                void *report_ctx, uint64_t *ret_differences, uint64_t *ret_leaves);

/**
 * Copies the counters.
 *
 * @param ret_stats  its size member says how much of it the caller knows
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or size below 4
 *
 * Context: any; O(1). Thread-safety: any, and takes no lock.
 */
GN_API GN_NODISCARD int gn_shadow_stats_get(const struct gn_shadow *shadow,
                                            struct gn_shadow_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif /* GN_SHADOW_INSPECT_H */
