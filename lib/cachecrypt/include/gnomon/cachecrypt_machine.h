/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_CACHECRYPT_MACHINE_H
#define GN_CACHECRYPT_MACHINE_H

/*
 * gnomon/cachecrypt_machine.h - the machine around a pool: which memory its devices may reach, and
 * how surely its cache holds the pool. <gnomon/cachecrypt.h> includes it.
 *
 *      devices <----> windows        dma_in, dma_out copy between a window and a region; a
 *         |                          transfer that touches anything else is refused: dma_check,
 *         X pool, stores             and ops.dma_deny, ops.dma_window for an IOMMU
 *
 *      cache: locked > coloured > bounded > none: the least that all who know something agree on
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A pool and its regions; all of it lives in memory that the embedder gives. */
struct gn_cachecrypt;

/** The cache that the pool is to live in: the largest that no other socket shares. */
struct gn_cachecrypt_cache {
    uint64_t bytes;      /**< 0: not known */
    uint32_t ways;       /**< associativity */
    uint32_t line_bytes; /**< 0: 64 */
    /**
     * Ways, of each set, that pool pages may fill; 0: half. With ways reserved for the pool: those.
     */
    uint32_t pool_ways;
    uint32_t reserved; /**< zero */
};

/* How surely the pool is in the cache, from none up. */
#define GN_CACHECRYPT_RESIDENCY_NONE     0u /**< not known to be: take it to be in DRAM */
#define GN_CACHECRYPT_RESIDENCY_BOUNDED  1u /**< it fills no more than its ways' share by size */
#define GN_CACHECRYPT_RESIDENCY_COLOURED 2u /**< and no set of the cache gets more than that */
#define GN_CACHECRYPT_RESIDENCY_LOCKED   3u /**< the machine holds it there: ops.cache_locked */

/** What is known of the pool's place. */
struct gn_cachecrypt_residency_report {
    uint32_t size;           /**< GN_CACHECRYPT_RESIDENCY_REPORT_INIT sets it */
    uint32_t kind;           /**< GN_CACHECRYPT_RESIDENCY_*: the least that was shown */
    uint64_t pool_bytes;     /**< all of mem: frames, keys, tables */
    uint64_t cache_bytes;    /**< as given; 0: not known */
    uint32_t share_permille; /**< pool_bytes of cache_bytes; 0: not known */
    uint32_t set_max;        /**< lines of the pool in the fullest set; 0: addresses not known */
    uint32_t set_limit;      /**< lines that a set may get: pool_ways */
    uint32_t probed;         /**< 1: gn_cachecrypt_probe ran; it lowers kind when lines were slow */
    uint32_t probe_slow_permille; /**< lines that were slow in the last probe */
    uint32_t reserved;
};

/** First initializer of a gn_cachecrypt_residency_report. */
#define GN_CACHECRYPT_RESIDENCY_REPORT_INIT .size = sizeof(struct gn_cachecrypt_residency_report)

/** Columns of a probe's histogram: column i counts lines whose read took 2^i to 2^(i+1) - 1. */
#define GN_CACHECRYPT_PROBE_COLUMNS 16u

/** Share of slow lines, in thousandths, above which a probe lowers the residency to none. */
#define GN_CACHECRYPT_PROBE_SLOW_MAX 20u

/** What a probe measured; times in ticks of ops.clock. */
struct gn_cachecrypt_probe_result {
    uint32_t size;       /**< GN_CACHECRYPT_PROBE_RESULT_INIT sets it */
    uint32_t lines;      /**< lines of the pool that were read */
    uint32_t slow;       /**< of these: not from a cache, by the threshold */
    uint32_t threshold;  /**< between a line just read and a line just flushed */
    uint64_t misses;     /**< by ops.cache_misses while reading; 0 without it */
    uint32_t near_ticks; /**< median read of a line that was just read */
    uint32_t far_ticks;  /**< median read of a line that was just flushed */
    uint32_t histogram[GN_CACHECRYPT_PROBE_COLUMNS];
};

/** First initializer of a gn_cachecrypt_probe_result. */
#define GN_CACHECRYPT_PROBE_RESULT_INIT .size = sizeof(struct gn_cachecrypt_probe_result)

/* ---- devices ----------------------------------------------------------------------------- */

/**
 * Declares memory that is plaintext for everybody, for devices to read and write.
 *
 * @param cc    the object
 * @param base  where it begins
 * @param bytes its length
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: cc is NULL, or bytes is 0
 *  - -GN_ERR_RANGE: its end is beyond the address space
 *  - -GN_ERR_PERM: it overlaps the pool
 *  - -GN_ERR_EXIST: it overlaps a store or another window
 *  - -GN_ERR_NOSPC: there are params.windows already
 *  - what ops.dma_window returned, if it failed
 *
 * Context: any in which the ops may be called; O(windows + regions). Thread-safety: as
 * gn_cachecrypt_region_add. Ownership: stays the embedder's.
 */
GN_API GN_NODISCARD int gn_cachecrypt_window_add(struct gn_cachecrypt *cc, gn_hva_t base,
                                                 uint64_t bytes);

/**
 * Takes a window back.
 *
 * @param cc    the object
 * @param base  as it was added
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: cc is NULL
 *  - -GN_ERR_NOENT: no window begins there
 *  - what ops.dma_window returned, if it failed: the window stays
 *
 * Context and thread-safety: as gn_cachecrypt_window_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_window_remove(struct gn_cachecrypt *cc, gn_hva_t base);

/**
 * May a device access this range? Software devices ask before each transfer; for others
 * ops.dma_deny and ops.dma_window keep an IOMMU in step.
 *
 * @param cc    the object
 * @param base  where the transfer begins
 * @param bytes its length
 * @return
 *  - 0: it lies in one window
 *  - -GN_ERR_INVAL: cc is NULL, or bytes is 0
 *  - -GN_ERR_RANGE: its end is beyond the address space
 *  - -GN_ERR_PERM: it overlaps the pool: frames, keys, tables
 *  - -GN_ERR_NOENT: it does not lie in one window; a store is none, either
 *
 * Context: any; O(windows). Thread-safety: as gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_dma_check(struct gn_cachecrypt *cc, gn_hva_t base,
                                                uint64_t bytes);

/**
 * Copies from a window into a region. Each byte of the window is read once: what a device changes
 * after that does not matter.
 *
 * @param cc      the object
 * @param region  the region
 * @param offset  in bytes
 * @param from    in a window
 * @param len     bytes
 * @return as gn_cachecrypt_write, or as gn_cachecrypt_dma_check when it refuses `from`
 *
 * Context and thread-safety: as gn_cachecrypt_write.
 */
GN_API GN_NODISCARD int gn_cachecrypt_dma_in(struct gn_cachecrypt *cc, uint32_t region,
                                             uint64_t offset, gn_hva_t from, size_t len);

/**
 * Copies from a region to a window: this makes it plaintext for everybody.
 *
 * @param cc      the object
 * @param region  the region
 * @param offset  in bytes
 * @param to      in a window
 * @param len     bytes
 * @return as gn_cachecrypt_read, or as gn_cachecrypt_dma_check when it refuses `to`
 *
 * Context and thread-safety: as gn_cachecrypt_read.
 */
GN_API GN_NODISCARD int gn_cachecrypt_dma_out(struct gn_cachecrypt *cc, uint32_t region,
                                              uint64_t offset, gn_hva_t to, size_t len);

/* ---- residency --------------------------------------------------------------------------- */

/**
 * What is known of the pool's place now: the least that the cache given at init, ops.hpa,
 * ops.cache_locked and the last probe agree on.
 *
 * @param cc      the object
 * @param report  with its size set; filled as far as both sides know, unknown members become zero
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or a size below that of the first version
 *
 * Context: any in which the ops may be called; O(pool pages) when ops.hpa is there.
 * Thread-safety: as gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_residency(struct gn_cachecrypt *cc,
                                                struct gn_cachecrypt_residency_report *report);

/**
 * Reads each line of the pool once and tells how long that took. Nothing is flushed but a line of
 * `bait`.
 *
 * @param cc         the object
 * @param bait       64 bytes outside pool and stores, to learn what a read from DRAM costs
 * @param ret_probe  with its size set; filled as far as both sides know
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument; a size below that of the first version; bait in the pool
 *  - -GN_ERR_NOTSUP: no ops.clock or ops.cache_flush, or they show no difference between near and
 *    far: the report stays as it was
 *
 * Context: any in which the ops may be called, best not interrupted; O(pool). Thread-safety: as
 * gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_probe(struct gn_cachecrypt *cc, gn_hva_t bait,
                                            struct gn_cachecrypt_probe_result *ret_probe);

/**
 * Picks pool pages that cannot conflict in a cache: no set gets more than pool_ways of them. With
 * `colours`, only such pages are taken whose sets are of the lowest colours that suffice: whoever
 * keeps other memory off these colours has reserved the cache's sets for the pool. Pure.
 *
 * @param cache       the cache; sets are indexed by machine address, bits as they are
 * @param page_bytes  of a candidate, 4096 or a larger power of two
 * @param candidates  machine addresses of pages that could be taken
 * @param count       how many
 * @param want        how many to take
 * @param ret_picked  want indices into candidates, ascending
 * @param ret_colours colours used: a page's is (address / page_bytes) % (bytes / ways /
 *                    page_bytes), and those below this number are used. May be NULL
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument; bytes, ways, page_bytes that do not fit one another
 *  - -GN_ERR_NOSPC: there are not so many that fit
 *
 * Context: any; O(count * colours). Thread-safety: reentrant.
 */
GN_API GN_NODISCARD int gn_cachecrypt_colour_pick(const struct gn_cachecrypt_cache *cache,
                                                  uint64_t page_bytes, const gn_hpa_t *candidates,
                                                  uint32_t count, uint32_t want,
                                                  uint32_t *ret_picked, uint32_t *ret_colours);

#ifdef __cplusplus
}
#endif

#endif /* GN_CACHECRYPT_MACHINE_H */
