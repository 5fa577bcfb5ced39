/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_CACHECRYPT_H
#define GN_CACHECRYPT_H

/*
 * gnomon/cachecrypt.h - memory that is ciphertext, but for a small pool of plaintext.
 *
 * Whoever can read DRAM (a probe on the bus, a module pulled out cold, a device with DMA) reads
 * everything a machine works on. Here a region of memory is kept encrypted and authenticated; its
 * pages are plaintext only while they stand in one of F frames of a pool, which is small enough to
 * live in the CPU's cache.
 *
 *      the pool: trusted, mem given to gn_cachecrypt_init       the store: anybody may read it,
 *      +-----------------------------------------------+        write it, put back old content
 *      | F frames of plaintext   dirty, referenced     |        +---------------------------+
 *      |   [page 7] [page 2] [   ] [page 9]            | evict  | data: page after page     |
 *      | keys, their schedules, the tree's key         |------->|   ciphertext              |
 *      | root of the tree    some verified tree nodes  |<-------| meta: a tag and a version |
 *      +-----------------------------------------------+  miss  |   word a page, the tree   |
 *          ^             ^              ^                       +---------------------------+
 *      hit, read,    gn_cachecrypt  plaintext windows           also here: plaintext windows,
 *      write, pin    _fault         dma_in, dma_out <---------- which devices read and write
 *
 * A page in the store is bound by its tag to (region, page, version word, length, cipher). The
 * version words are the leaves of a tree of keyed hashes whose root never leaves the pool: so a
 * page is accepted only if it is the very one that was written there last. A page that was never
 * written has a version word that says so, under the same tree, and reads as zeros. The nonce of
 * a seal is made of the page and its next version, which is taken from a *verified* word; a new
 * epoch has a new random key. No (key, nonce) pair is used twice, whatever the store holds.
 *
 * The first check that fails poisons the region: that call and each later one return
 * -GN_ERR_BADMSG, and what the region had in the pool is wiped. There is no way back but
 * gn_cachecrypt_region_remove.
 *
 * Two ways in:
 *  - software translation: gn_cachecrypt_read, _write, _pin, and the inlined hit path of
 *    <gnomon/cachecrypt_inline.h>;
 *  - faults: the embedder leaves absent pages unmapped, calls gn_cachecrypt_fault from its fault
 *    handler, and is asked by ops.unmap to take a page's mapping away before it is sealed.
 *
 * Rules of use:
 *  - mem is where no device, dump, swap or other process sees it. The library cannot check that;
 *    what the machine offers to keep it in the cache is told by gn_cachecrypt_residency, which
 *    reports no more than was shown.
 *  - data and meta of a region belong to the library while the region exists; reading them is
 *    harmless, and what writes them is found out.
 *  - Where ops.map maps a copy of a frame and not the frame itself, a page is reached by faults or
 * by calls, not by both at a time: gn_cachecrypt_evict stands in between.
 *  - Nobody flushes pool memory from the cache: that writes plaintext to DRAM.
 *  - A copy of the pool (fork, a snapshot of the machine) would use nonces twice. Where that can
 *    happen, ops.generation tells a copy from its original, which then refuses to seal.
 *
 * This header has the pool, regions, and the ways in. It includes what surrounds a pool, devices
 * and caches, from <gnomon/cachecrypt_machine.h>, and the tables that others fill from
 * <gnomon/cachecrypt_ops.h>.
 *
 * It is no cipher (those come through gn_cachecrypt_cipher; an adapter for libsodium stands in
 * <gnomon/cachecrypt_sodium.h>), hides no access pattern, and has no state that survives the
 * machine: the keys are made at random and go with the pool.
 *
 * Sources: US 9,164,924 and 9,639,482 (software cryptoprocessor), 9,734,092 (its I/O); B. Rogers
 * et al., MICRO 2007 (tree over counters, tags bind data); Intel SDM vol. 3D (EWB: version and
 * address in the authenticated header); J.-P. Aumasson and D. Bernstein, SipHash, 2012; NIST SP
 * 800-38D §8 (uniqueness of nonces, limits of a key).
 */

#include <gnomon/base.h>
#include <gnomon/cachecrypt_machine.h>
#include <gnomon/cachecrypt_ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this library's interface; the soname carries MAJOR. */
#define GN_CACHECRYPT_VERSION_MAJOR 0
#define GN_CACHECRYPT_VERSION_MINOR 1

/** The library in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant. */
GN_API uint32_t gn_cachecrypt_version(void);

/* Limits. */
#define GN_CACHECRYPT_FRAMES_MAX  0x200000u                 /**< most frames of a pool */
#define GN_CACHECRYPT_NODES_MAX   0x100000u                 /**< most cached tree nodes */
#define GN_CACHECRYPT_REGIONS_MAX 256u                      /**< most regions of a pool */
#define GN_CACHECRYPT_WINDOWS_MAX 1024u                     /**< most plaintext windows */
#define GN_CACHECRYPT_PAGE_MIN    256u                      /**< smallest page or frame, in bytes */
#define GN_CACHECRYPT_PAGE_MAX    4096u                     /**< largest page or frame, in bytes */
#define GN_CACHECRYPT_PAGES_MAX   ((uint64_t)1 << 32)       /**< most pages of a region */
#define GN_CACHECRYPT_SEALS_MAX   (((uint64_t)1 << 48) - 1) /**< seals of a page in an epoch */
#define GN_CACHECRYPT_EPOCHS_MAX  0x7fffu                   /**< epochs of a region */

/** What a pool is. */
struct gn_cachecrypt_params {
    uint32_t size;        /**< GN_CACHECRYPT_PARAMS_INIT sets it */
    uint32_t frames;      /**< F, 1 to GN_CACHECRYPT_FRAMES_MAX */
    uint32_t frame_bytes; /**< power of two, GN_CACHECRYPT_PAGE_MIN to _MAX; 0: 4096 */
    uint32_t regions;     /**< most regions at a time, to GN_CACHECRYPT_REGIONS_MAX; 0: 1 */
    uint32_t nodes;       /**< cached tree nodes of 128 bytes, from 16; 0: 4 a frame, 64 to 4096 */
    uint32_t windows;     /**< most plaintext windows at a time; 0: 8 */
    uint32_t state_bytes; /**< room for an expanded key, of which a region has two; 0: 1024 */
    uint32_t reserved;    /**< zero */
    const struct gn_cachecrypt_ops *ops; /**< copied */
    void *ctx;                           /**< passed to ops */
    struct gn_cachecrypt_cache cache;    /**< for gn_cachecrypt_residency; zeros: not known */
};

/** First initializer of a gn_cachecrypt_params. */
#define GN_CACHECRYPT_PARAMS_INIT .size = sizeof(struct gn_cachecrypt_params)

/** What a region is. */
struct gn_cachecrypt_region_params {
    uint32_t size;       /**< GN_CACHECRYPT_REGION_PARAMS_INIT sets it */
    uint32_t page_bytes; /**< power of two, GN_CACHECRYPT_PAGE_MIN to frame_bytes; 0: frame_bytes */
    uint64_t pages;      /**< 1 to GN_CACHECRYPT_PAGES_MAX */
    const struct gn_cachecrypt_cipher *cipher; /**< copied */
    void *data;                                /**< store of the ciphertext, any alignment */
    uint64_t data_bytes;                       /**< at least pages * page_bytes */
    void *meta;          /**< store of tags, versions and tree; 8-byte aligned */
    uint64_t meta_bytes; /**< at least gn_cachecrypt_meta_size() */
    /**
     * Bytes that one key may seal before the next epoch begins by itself; 0: 64 GiB, well below
     * what libsodium's manual gives AES-256-GCM. At least 64 pages. What a sweep re-seals comes on
     * top, by the region's bytes at most. With half of these or more and a pace of 2, a sweep
     * always ends before the next is due.
     */
    uint64_t key_budget;
    uint64_t page_seals; /**< seals of one page in an epoch, to GN_CACHECRYPT_SEALS_MAX; 0: that */
    uint32_t sweep_pace; /**< pages that each miss looks at while a sweep is due; 0: 2 */
    uint32_t reserved;   /**< zero */
};

/** First initializer of a gn_cachecrypt_region_params. */
#define GN_CACHECRYPT_REGION_PARAMS_INIT .size = sizeof(struct gn_cachecrypt_region_params)

/* What a region is now: gn_cachecrypt_region_info.state. */
#define GN_CACHECRYPT_STATE_LIVE     1u /**< in use */
#define GN_CACHECRYPT_STATE_POISONED 2u /**< a check failed: -GN_ERR_BADMSG for ever */
#define GN_CACHECRYPT_STATE_ERASED   3u /**< its keys are gone: -GN_ERR_PERM for ever */

/** A region, as gn_cachecrypt_region_query tells it. */
struct gn_cachecrypt_region_info {
    uint32_t size;   /**< GN_CACHECRYPT_REGION_INFO_INIT sets it */
    uint32_t state;  /**< GN_CACHECRYPT_STATE_* */
    uint32_t cipher; /**< GN_CACHECRYPT_CIPHER_* */
    uint32_t page_bytes;
    uint64_t pages;
    uint32_t epoch;            /**< of the key that seals now, from 1 */
    uint32_t sweeping;         /**< 1: pages of the epoch before are left */
    uint64_t sweep_left;       /**< pages that the sweep has still to look at */
    uint64_t key_bytes_sealed; /**< under the present key */
    uint64_t key_budget;
    uint32_t resident; /**< pages in frames */
    uint32_t dirty;    /**< of these: newer than the store */
    uint32_t pinned;   /**< of these: pinned */
    uint32_t tree_levels;
};

/** First initializer of a gn_cachecrypt_region_info. */
#define GN_CACHECRYPT_REGION_INFO_INIT .size = sizeof(struct gn_cachecrypt_region_info)

/** A part of a page that stays in the pool until gn_cachecrypt_unpin. */
struct gn_cachecrypt_span {
    void *at;        /**< the plaintext */
    uint64_t bytes;  /**< that may be used there: up to the end of the page, or what was asked */
    uint32_t region; /**< whose it is */
    uint32_t frame;  /**< the library's */
    uint32_t access; /**< GN_ACCESS_READ or GN_ACCESS_WRITE, as asked */
    uint32_t reserved;
};

/** What gn_cachecrypt_fault found. */
struct gn_cachecrypt_mapping {
    void *frame;     /**< the page's plaintext, page_bytes long */
    uint64_t page;   /**< its number in the region */
    uint32_t access; /**< map it for this: GN_ACCESS_READ, or GN_ACCESS_WRITE for both */
    uint32_t reserved;
};

/** Event counters since init. Hits of the inlined path are not counted: that is what it costs. */
struct gn_cachecrypt_stats {
    uint32_t size;            /**< GN_CACHECRYPT_STATS_INIT sets it */
    uint32_t reserved;        /**< zero */
    uint64_t hits;            /**< pages looked for by a call and found in the pool */
    uint64_t misses;          /**< and not found */
    uint64_t opens;           /**< pages that were decrypted */
    uint64_t zero_fills;      /**< pages that had never been written: zeros, no decryption */
    uint64_t seals;           /**< pages that were encrypted */
    uint64_t evictions_clean; /**< frames taken from a page without a seal */
    uint64_t evictions_dirty; /**< frames taken from a page after a seal */
    uint64_t node_hits;       /**< version words found in a cached tree node */
    uint64_t node_fetches;    /**< tree nodes read from the store and verified */
    uint64_t node_writebacks; /**< changed tree nodes hashed and written to the store */
    uint64_t auth_failures;   /**< checks that failed: at most one a region */
    uint64_t epochs;          /**< keys made */
    uint64_t sweep_seals;     /**< pages re-sealed by sweeps; they count as seals, too */
    uint64_t bounced_in;      /**< bytes copied from windows */
    uint64_t bounced_out;     /**< bytes copied to windows */
    uint64_t dma_refusals;    /**< ranges that gn_cachecrypt_dma_check refused */
    uint64_t faults;          /**< gn_cachecrypt_fault calls that mapped a page */
};

/** First initializer of a gn_cachecrypt_stats. */
#define GN_CACHECRYPT_STATS_INIT .size = sizeof(struct gn_cachecrypt_stats)

/* ---- life cycle -------------------------------------------------------------------------- */

/**
 * How much pool memory an object needs: frames, keys, tables, everything that must not be seen.
 *
 * @param params  what the pool is
 * @return bytes, or 0 when gn_cachecrypt_init would refuse the parameters
 *
 * Context: any; O(1). Thread-safety: reentrant. Ownership: params is only read.
 */
GN_API size_t gn_cachecrypt_size(const struct gn_cachecrypt_params *params);

/** The alignment of that memory, in bytes: 4096. Context: any. Thread-safety: reentrant. */
GN_API size_t gn_cachecrypt_align(void);

/**
 * Builds a pool in the embedder's memory.
 *
 * @param mem     aligned to gn_cachecrypt_align(); its content does not matter
 * @param len     its length in bytes, at least gn_cachecrypt_size(params)
 * @param params  what the pool is
 * @param ret_cc  the object, without regions
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or no ops; mem unaligned; a member of params out of range; no
 *    random op; lock without unlock, or the other way round; a cache that is none
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_2BIG: params or ops has a non-zero tail that this version does not know
 *  - what ops.dma_deny returned, if it failed; mem is wiped
 *
 * Context: any in which the ops may be called; O(memory). Thread-safety: none needed before it
 * returns. Ownership: mem belongs to the object until gn_cachecrypt_fini; params and ops are only
 * read.
 */
GN_API GN_NODISCARD int gn_cachecrypt_init(void *mem, size_t len,
                                           const struct gn_cachecrypt_params *params,
                                           struct gn_cachecrypt **ret_cc);

/**
 * Ends an object: wipes the whole pool, keys first; its memory is the embedder's again. What was
 * not flushed is lost, and so is what was: no key is left. Calls no op. This is also what a panic
 * handler calls: it takes no lock and waits for nobody.
 *
 * @param cc  an object, or NULL
 *
 * Context: any, a fault handler included; O(memory). Thread-safety: no other call on the object may
 * run, or its outcome does not matter.
 */
GN_API void gn_cachecrypt_fini(struct gn_cachecrypt *cc);

/* ---- regions ----------------------------------------------------------------------------- */

/**
 * How much store a region's tags, versions and tree need.
 *
 * @param pages   of the region, 1 to GN_CACHECRYPT_PAGES_MAX
 * @param cipher  its cipher; may be NULL: 16-byte tags
 * @return bytes, 0 for arguments out of range; about 25.2 a page with 16-byte tags
 *
 * Context: any; O(1). Thread-safety: reentrant. Ownership: cipher is only read.
 */
GN_API uint64_t gn_cachecrypt_meta_size(uint64_t pages, const struct gn_cachecrypt_cipher *cipher);

/**
 * Adds a region, which reads as zeros. Draws its keys and writes meta.
 *
 * @param cc          the object
 * @param params      what the region is
 * @param ret_region  its number, below params.regions of the pool
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument; a member of params or of the cipher out of range; meta
 *    unaligned; data, meta and the pool overlap
 *  - -GN_ERR_NOMEM: data_bytes or meta_bytes is too small, or the pool's state_bytes
 *  - -GN_ERR_RANGE: a size overflows, or an end of data or meta is beyond the address space
 *  - -GN_ERR_EXIST: data or meta overlaps those of another region, or a window
 *  - -GN_ERR_NOSPC: the pool has all its regions
 *  - -GN_ERR_PERM: the object is a copy: see ops.generation
 *  - -GN_ERR_2BIG: params or cipher has a non-zero tail that this version does not know
 *  - what ops.random or cipher.expand returned, if it failed
 *
 * Context: any in which the ops may be called; O(pages). Thread-safety: concurrent with all but
 * fini, given lock ops. Ownership: data and meta belong to the region until it is removed; params
 * and cipher are only read.
 */
GN_API GN_NODISCARD int gn_cachecrypt_region_add(struct gn_cachecrypt *cc,
                                                 const struct gn_cachecrypt_region_params *params,
                                                 uint32_t *ret_region);

/**
 * Crypto-erase: wipes the region's keys, then what it has in the pool. From the first on nothing of
 * it can be opened again; the second is why this is not O(1): plaintext does not outlive the call.
 * The region stays, answering -GN_ERR_PERM, until gn_cachecrypt_region_remove.
 *
 * @param cc      the object
 * @param region  a region, poisoned or not
 * @return
 *  - 0; the keys are gone, also when pages are pinned: their frames are wiped when unpinned
 *  - -GN_ERR_INVAL: cc is NULL
 *  - -GN_ERR_NOENT: no such region
 *  - what ops.unmap returned, if it failed: the keys are gone, that page stays in its frame
 *
 * Context: any in which the ops may be called; O(frames + nodes), whatever the region's size.
 * Thread-safety: as gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_region_erase(struct gn_cachecrypt *cc, uint32_t region);

/**
 * Erases a region and forgets it; data and meta are the embedder's again.
 *
 * @param cc      the object
 * @param region  the region
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: cc is NULL
 *  - -GN_ERR_NOENT: no such region
 *  - -GN_ERR_BUSY: pages are pinned; nothing changed
 *  - what ops.unmap returned, if it failed: erased, but not removed
 *
 * Context: any in which the ops may be called; O(frames + nodes). Thread-safety: as
 * gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_region_remove(struct gn_cachecrypt *cc, uint32_t region);

/**
 * Tells what a region is now. Works for poisoned and erased ones.
 *
 * @param cc      the object
 * @param region  the region
 * @param info    with its size set; filled as far as both sides know, unknown members become zero
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or a size below that of the first version
 *  - -GN_ERR_NOENT: no such region
 *
 * Context: any; O(frames). Thread-safety: as gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_region_query(struct gn_cachecrypt *cc, uint32_t region,
                                                   struct gn_cachecrypt_region_info *info);

/* ---- access ------------------------------------------------------------------------------ */

/*
 * What every call that brings pages in may return besides its own:
 *  - -GN_ERR_INVAL: a NULL argument
 *  - -GN_ERR_NOENT: no such region
 *  - -GN_ERR_RANGE: offset or offset + len is beyond the region
 *  - -GN_ERR_BADMSG: the region is poisoned, by this very call or before
 *  - -GN_ERR_PERM: the region is erased, or the object is a copy
 *  - -GN_ERR_BUSY: each frame is pinned, or is kept back by ops.unmap
 *  - -GN_ERR_OVERFLOW: a page to be evicted has no version left, or its region's key no budget,
 *    and a sweep is not finished: gn_cachecrypt_rekey makes room
 *  - what cipher.seal, ops.unmap or ops.random returned, if it failed; no content is lost
 * -GN_ERR_BUSY, _OVERFLOW and the last may stem from another region, whose page was to make room.
 * A page that belongs to a poisoned region is dropped, and never keeps others from a frame.
 */

/**
 * Copies out of a region.
 *
 * @param cc      the object
 * @param region  the region
 * @param offset  in bytes
 * @param to      where to; not in the pool or a store
 * @param len     bytes; 0 is allowed
 * @return 0, or as above; on failure bytes of `to` before the page that failed may have been
 * written
 *
 * Context: any in which the ops may be called; O(len), a page in the pool costs no cipher.
 * Thread-safety: concurrent with all but fini, given lock ops; bytes of one page are copied in one
 * piece. Ownership: to is only written.
 */
GN_API GN_NODISCARD int gn_cachecrypt_read(struct gn_cachecrypt *cc, uint32_t region,
                                           uint64_t offset, void *to, size_t len);

/**
 * Copies into a region. A page that is overwritten whole is not opened first, but its version is
 * verified.
 *
 * @param cc      the object
 * @param region  the region
 * @param offset  in bytes
 * @param from    what; not in the pool or a store
 * @param len     bytes; 0 is allowed
 * @return 0, or as above; on failure the pages before the one that failed have been written
 *
 * Context and thread-safety: as gn_cachecrypt_read. Ownership: from is only read, each byte once.
 */
GN_API GN_NODISCARD int gn_cachecrypt_write(struct gn_cachecrypt *cc, uint32_t region,
                                            uint64_t offset, const void *from, size_t len);

/**
 * Brings a page in, to stay until unpinned. Pins count: the same page may be pinned more than once.
 *
 * @param cc        the object
 * @param region    the region
 * @param offset    in bytes
 * @param len       bytes that are wanted, 1 or more; the span ends with the page at the latest
 * @param access    GN_ACCESS_READ or GN_ACCESS_WRITE; a write pin makes the page dirty at once
 * @param ret_span  the span; to be given back to gn_cachecrypt_unpin unchanged
 * @return 0, or as above, and -GN_ERR_INVAL for another access or len 0, -GN_ERR_BUSY for 2^32 - 1
 * pins of the page
 *
 * Context: as gn_cachecrypt_read, O(1) but for a miss. Thread-safety: concurrent with all but fini;
 * who uses a span's bytes together with others orders that. Ownership: the bytes are the caller's
 * to use until the unpin.
 */
GN_API GN_NODISCARD int gn_cachecrypt_pin(struct gn_cachecrypt *cc, uint32_t region,
                                          uint64_t offset, uint64_t len, uint32_t access,
                                          struct gn_cachecrypt_span *ret_span);

/**
 * Ends a pin. After the last one of a region that was poisoned or erased the frame is wiped.
 *
 * @param cc    the object
 * @param span  from gn_cachecrypt_pin
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument; the span is not of a pinned page, or not pinned for this
 * access
 *
 * Context: any; O(1). Thread-safety: concurrent with all but fini, given lock ops.
 */
GN_API GN_NODISCARD int gn_cachecrypt_unpin(struct gn_cachecrypt *cc,
                                            const struct gn_cachecrypt_span *span);

/**
 * For a page-fault handler: brings the page in and maps it by ops.map. A page that is in the pool
 * is mapped again, with more rights if the access asks for them; write access makes it dirty.
 *
 * @param cc           the object
 * @param region       the region
 * @param offset       of the access, in bytes
 * @param access       GN_ACCESS_READ, _WRITE or _EXEC (which is mapped as a read)
 * @param ret_mapping  what to map, or what ops.map mapped
 * @return 0, or as above; -GN_ERR_INVAL for another access; -GN_ERR_NOTSUP without ops.unmap; what
 * ops.map returned, if it failed
 *
 * Context: as gn_cachecrypt_read, one page. Thread-safety: concurrent with all but fini, given lock
 * ops; without ops.map, the embedder maps before any other call on the object.
 */
GN_API GN_NODISCARD int gn_cachecrypt_fault(struct gn_cachecrypt *cc, uint32_t region,
                                            uint64_t offset, uint32_t access,
                                            struct gn_cachecrypt_mapping *ret_mapping);

/**
 * Seals the dirty pages of a region, which stay in the pool, and writes its tree back.
 *
 * @param cc      the object
 * @param region  the region
 * @return 0, or as above; -GN_ERR_BUSY: pages that are pinned for writing are dirty still, all
 * others are done
 *
 * Context: any in which the ops may be called; O(frames + nodes). Thread-safety: as
 * gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_flush(struct gn_cachecrypt *cc, uint32_t region);

/**
 * Takes the pages of a range out of the pool, sealed if dirty. Pages that the range touches in part
 * count as whole.
 *
 * @param cc      the object
 * @param region  the region
 * @param offset  in bytes
 * @param len     bytes
 * @return 0, or as above; -GN_ERR_BUSY: pinned pages stay, all others are out
 *
 * Context: any in which the ops may be called; O(frames) or O(len), what is less. Thread-safety: as
 * gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_evict(struct gn_cachecrypt *cc, uint32_t region,
                                            uint64_t offset, uint64_t len);

/**
 * Makes the pages of a range read as zeros, as if never written: frames are wiped, no old
 * ciphertext can come back. Versions go on, they do not restart.
 *
 * @param cc      the object
 * @param region  the region
 * @param offset  in bytes, a multiple of the page size
 * @param len     bytes, a multiple of the page size
 * @return 0, or as above; -GN_ERR_INVAL: unaligned; -GN_ERR_BUSY: a page is pinned, those before it
 * are done
 *
 * Context: any in which the ops may be called; O(len). Thread-safety: as gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_discard(struct gn_cachecrypt *cc, uint32_t region,
                                              uint64_t offset, uint64_t len);

/* ---- keys -------------------------------------------------------------------------------- */

/**
 * Begins a new epoch with a new key. Pages are re-sealed by gn_cachecrypt_rekey_step, and by each
 * miss and flush a little; the old key is wiped when none is left.
 *
 * @param cc      the object
 * @param region  the region
 * @return
 *  - 0
 *  - -GN_ERR_INVAL, _NOENT, _BADMSG, _PERM: as above
 *  - -GN_ERR_AGAIN: the sweep of the epoch before is not finished
 *  - -GN_ERR_RANGE: GN_CACHECRYPT_EPOCHS_MAX were used
 *  - what ops.random or cipher.expand returned, if it failed; the epoch before goes on
 *
 * Context: any in which the ops may be called; O(1). Thread-safety: as gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_rekey(struct gn_cachecrypt *cc, uint32_t region);

/**
 * Goes on with the sweep of a new epoch.
 *
 * @param cc        the object
 * @param region    the region
 * @param pages     most pages to look at; 0: all
 * @param ret_left  pages that are left to look at; 0: done, the old key is gone. May be NULL
 * @return 0, or as above; -GN_ERR_BUSY: the next page is pinned for writing; what was done is kept
 *
 * Context: any in which the ops may be called; O(pages). Thread-safety: as
 * gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_rekey_step(struct gn_cachecrypt *cc, uint32_t region,
                                                 uint64_t pages, uint64_t *ret_left);

/* ---- what happened ----------------------------------------------------------------------- */

/**
 * Tells the counters.
 *
 * @param cc     the object
 * @param stats  with its size set; filled as far as both sides know, unknown members become zero
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or a size below that of the first version
 *
 * Context: any; O(1). Thread-safety: as gn_cachecrypt_region_add.
 */
GN_API GN_NODISCARD int gn_cachecrypt_stats_get(struct gn_cachecrypt *cc,
                                                struct gn_cachecrypt_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* GN_CACHECRYPT_H */
