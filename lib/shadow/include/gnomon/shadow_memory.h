/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SHADOW_MEMORY_H
#define GN_SHADOW_MEMORY_H

/*
 * gnomon/shadow_memory.h - guest physical memory, as the host of a shadowed guest sees it.
 *
 * A part of <gnomon/shadow.h>, which includes it and says what a shadow is. There stands what the
 * guest and its MMU ask: roots, faults, writes to tables, coherence points. Here stands what the
 * host does with the memory behind them, whatever the guest maps it by:
 *
 *      guest physical    |   slot 0: RAM   |  hole  | slot 1: MMIO |  slot 2: ROM  |
 *                             |  |  |                                     |
 *      what is known          |  |  +- watch: of every write of a page    +- a write is told
 *      of a page's use        |  +---- dirty log: a first write of a page since the last harvest
 *                             +------- revoke: whoever maps a page maps it no more
 *
 *     gn_shadow_slot_add()      memory begins, with what backs it; ..._slot_remove(): it ends
 *     gn_shadow_revoke()        the host takes pages of the backing away, or gives others
 *     gn_shadow_dirty_start()   a slot's writes are logged, ..._harvest(): and taken: migration
 *     gn_shadow_watch()         a page whose writes somebody else must know of
 *     gn_shadow_is_table()      whether the guest's tables lie there
 *
 * Threads, and what "shares" and "excludes" mean: <gnomon/shadow.h>.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gn_shadow;

/* Kinds of memory slot. */
#define GN_SHADOW_SLOT_RAM  0 /**< read, write, execute */
#define GN_SHADOW_SLOT_ROM  1 /**< writes come as GN_SHADOW_ROM_WRITE */
#define GN_SHADOW_SLOT_MMIO 2 /**< every access comes as GN_SHADOW_MMIO; nothing is mapped */

/** A range of guest physical memory and what backs it. What no slot covers is a hole. */
struct gn_shadow_slot {
    uint32_t size;   /**< GN_SHADOW_SLOT_INIT sets it */
    uint32_t kind;   /**< GN_SHADOW_SLOT_... */
    gn_gpa_t gpa;    /**< first byte; 4 KiB aligned */
    uint64_t length; /**< bytes; a multiple of 4 KiB, not 0 */
    gn_hpa_t hpa;    /**< RAM, ROM: first byte of the backing, 4 KiB aligned, contiguous */
};

/** First initializer of a gn_shadow_slot. */
#define GN_SHADOW_SLOT_INIT .size = sizeof(struct gn_shadow_slot)

/**
 * Bytes of bookkeeping for a slot of this many bytes: about 6 bytes a 4 KiB page. 0 for a length
 * that is no slot's.
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API size_t gn_shadow_slot_size(uint64_t length);

/**
 * Adds a slot of guest physical memory.
 *
 * @param slot      see there
 * @param mem       gn_shadow_slot_size(slot->length) bytes, aligned to 8; NULL for MMIO
 * @param len       its length, in bytes; 0 for MMIO
 * @param ret_slot  the slot's id
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, an unaligned or empty range, an unknown kind
 *  - -GN_ERR_2BIG: the structure is longer than known and not zero there
 *  - -GN_ERR_RANGE: the range wraps, or its backing is wider than the shadow format's addresses
 *  - -GN_ERR_EXIST: it overlaps another slot, or its backing that of another RAM or ROM slot
 *  - -GN_ERR_NOSPC: no slot is free, or more than 2^30 pages are covered in all
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_AGAIN: params.step_limit is reached: to be called again; there is no slot until then
 *
 * Context: where the ops may be called (cached MMIO answers for the range are dropped);
 * O(pages). Thread-safety: excludes. Ownership: mem is
 * the library's until gn_shadow_slot_remove() or gn_shadow_fini().
 */
GN_API GN_NODISCARD int gn_shadow_slot_add(struct gn_shadow *shadow,
                                           const struct gn_shadow_slot *slot, void *mem, size_t len,
                                           uint32_t *ret_slot);

/**
 * Removes a slot: no mapping of it survives, in any root; tables that lay in it are forgotten, and
 * what its dirty log holds.
 *
 * @return
 *  - 0
 *  - -GN_ERR_NOENT: no such slot
 *  - -GN_ERR_AGAIN: params.step_limit is reached: to be called again; the slot stands until then
 *
 * Context: where the ops may be called; O(tables). Thread-safety: excludes.
 */
GN_API GN_NODISCARD int gn_shadow_slot_remove(struct gn_shadow *shadow, uint32_t slot);

/**
 * The host takes pages away: after this no root maps [gpa, gpa + length). Accesses fault and are
 * mapped again if the slot still stands.
 *
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: gpa or length is not a multiple of 4 KiB
 *  - -GN_ERR_RANGE: the range wraps
 *  - -GN_ERR_AGAIN: params.step_limit is reached: to be called again
 *
 * Context: where the ops may be called; O(pages + mappings). Thread-safety: excludes.
 */
GN_API GN_NODISCARD int gn_shadow_revoke(struct gn_shadow *shadow, gn_gpa_t gpa, uint64_t length);

/**
 * Bytes of a dirty log for a slot of this many bytes: a bit a page, in 64-bit words. 0 for a length
 * that is no slot's.
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API size_t gn_shadow_dirty_size(uint64_t length);

/**
 * Begins to log the pages of a RAM slot that are written. All count as clean at first. What counts
 * as a write: the guest's through any mapping, A and D bits that gn_shadow_fault() sets in tables,
 * and every range that gn_shadow_sync() is told of: trapped, recorded and device writes. (A
 * recorded write reported after a harvest is reported once more by the next.) While a slot is
 * logged, a large page in it is writable only in 4 KiB pieces.
 *
 * @param slot  the id of a RAM slot
 * @param mem   gn_shadow_dirty_size() bytes for the slot's length, aligned to 8
 * @param len   its length, in bytes
 * @return
 *  - 0
 *  - -GN_ERR_NOENT: no such slot
 *  - -GN_ERR_INVAL: not RAM; mem is NULL or unaligned
 *  - -GN_ERR_EXIST: it is logged already
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_AGAIN: params.step_limit is reached: to be called again with the same arguments, or
 *    ended by gn_shadow_dirty_stop(). The log begins when 0 is returned; nothing is harvested
 * before
 *
 * Context: where the ops may be called; O(pages + mappings of the slot). Thread-safety: excludes.
 * Ownership: mem is the library's until gn_shadow_dirty_stop(), gn_shadow_slot_remove() or
 * gn_shadow_fini().
 */
GN_API GN_NODISCARD int gn_shadow_dirty_start(struct gn_shadow *shadow, uint32_t slot, void *mem,
                                              size_t len);

/**
 * Ends the log of a slot; what was not harvested is lost.
 *
 * @return
 *  - 0
 *  - -GN_ERR_NOENT: no such slot, or it is not logged
 *
 * Context: any; O(1). Thread-safety: excludes.
 */
GN_API GN_NODISCARD int gn_shadow_dirty_stop(struct gn_shadow *shadow, uint32_t slot);

/**
 * Takes the dirty pages among [first, first + pages) of a slot: they count as clean from here on,
 * and the next write to each is reported again. Copy what they hold after this returns: then no
 * write is lost, even of guest CPUs that run meanwhile.
 *
 * @param slot       the id of a logged slot
 * @param first      page number within the slot
 * @param pages      how many
 * @param bitmap     (pages + 63) / 64 words; the bit of page first + i, bit i % 64 of word i / 64,
 *                   is set if it was dirty; other bits are left alone
 * @param ret_pages  how many bits it has set that were not set before; may be NULL
 * @return
 *  - 0
 *  - -GN_ERR_NOENT: no such slot, or it is not logged
 *  - -GN_ERR_INVAL: bitmap is NULL
 *  - -GN_ERR_RANGE: the slot has fewer pages
 *  - -GN_ERR_AGAIN: params.step_limit is reached: to be called again with the same bitmap, in which
 *    bits are set already; ret_pages will tell those of all calls since one that returned 0
 *
 * Context: where the ops may be called; O(pages / 64 + mappings of dirty pages). Thread-safety:
 * excludes.
 */
GN_API GN_NODISCARD int gn_shadow_dirty_harvest(struct gn_shadow *shadow, uint32_t slot,
                                                uint64_t first, uint64_t pages, uint64_t *bitmap,
                                                uint64_t *ret_pages);

/**
 * Watches a page: its writes become known as those of a page of tables do, though it need not hold
 * any. Under TRACED its mappings are marked, and the MMU records the writes; otherwise they come as
 * GN_SHADOW_TRAPPED, each time, also under UNSYNC (and ADAPT, unless the MMU traces). For who
 * derives something else from guest memory, and has to be told when it changes: a binary
 * translator, of the pages it has translated. Whoever performs or finds a write tells the shadow by
 * gn_shadow_sync() as ever, which is cheap where no table lies.
 *
 * A watch ends with its slot. It is a bit: pages watched twice are watched no more after one end.
 *
 * @param page  4 KiB aligned, in a RAM or ROM slot
 * @param on    1: begins, 0: ceases; nothing happens if it is so already
 * @return
 *  - 0: no write that completes from here on goes unknown
 *  - -GN_ERR_INVAL: a NULL argument, an unaligned page, another value of on
 *  - -GN_ERR_NOENT: no RAM or ROM slot holds the page
 *  - -GN_ERR_AGAIN: params.step_limit is reached: to be called again
 *
 * Context: where the ops may be called; O(mappings of the page). Thread-safety: excludes.
 */
GN_API GN_NODISCARD int gn_shadow_watch(struct gn_shadow *shadow, gn_gpa_t page, uint32_t on);

/**
 * Does this page hold a table that is shadowed now?
 *
 * @return 1 or 0
 *
 * Context: any; O(1). Thread-safety: shares.
 */
GN_API int gn_shadow_is_table(const struct gn_shadow *shadow, gn_gpa_t gpa);

#ifdef __cplusplus
}
#endif

#endif /* GN_SHADOW_MEMORY_H */
