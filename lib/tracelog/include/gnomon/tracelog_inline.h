/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TRACELOG_INLINE_H
#define GN_TRACELOG_INLINE_H

/*
 * gnomon/tracelog_inline.h - the append, and what a lookup asks of the log, inline.
 *
 * Outside the ABI: who includes this must link the library of the same version, because the layout
 * of the log is compiled into the caller. Semantics are those of the functions without _inline in
 * <gnomon/tracelog.h>; why the order of loads and stores is right stands in its essay.
 *
 *     ring:   applied        taken                 head
 *               |              |                     |
 *      .........[ handed out   | un-taken records    ) free ...
 *                 or in hand ] [
 *
 *      applied <= taken <= head, all three only grow. A position is never reused; a record lies at
 *      position & mask. Filter and pending tables hold positions too, so that draining a record
 *      makes every entry that names it void without touching the tables.
 */

#include <gnomon/tracelog.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One write. */
struct gn_tracelog_record {
    gn_gpa_t gpa;   /**< first byte written */
    uint32_t bytes; /**< 1 to 4096 */
    uint32_t vcpu;  /**< who wrote */
};

/** A position that no record has. */
#define GN_TRACELOG_NOWHERE UINT64_MAX

/** One vCPU's part of the log. The three groups lie in cache lines of their own. */
struct gn_tracelog_ring {
    uint64_t head;         /**< producer: position of the next record; release */
    uint64_t applied_seen; /**< producer: an old value of applied, good enough to find room */
    uint64_t filtered;     /**< producer: counter */
    uint64_t overflowed;   /**< producer: counter */
    uint64_t pad0[4];
    uint64_t taken;   /**< consumer: records below it are void for the filter; only ever RMW */
    uint64_t applied; /**< consumer: records below it are acknowledged; release */
    uint64_t limit;   /**< consumer alone: where the current drain ends */
    uint64_t pad1[5];
    struct gn_tracelog_record *records; /**< constant from here on */
    uint64_t *filter;                   /**< producer alone: position of the record last put */
    uint64_t *pending;                  /**< position of the last record to a class of pages */
    uint64_t mask;                      /**< ring_entries - 1 */
    uint64_t filter_mask;               /**< filter_entries - 1 */
    uint64_t filter_void;               /**< all ones: no filter */
    uint64_t pending_mask;              /**< pending_entries - 1 */
    uint64_t pad2;
};

/* gn_tracelog.hand: the PAGE or ALL item being dealt with, 0 for none. */
#define GN_TRACELOG_HAND_ALL  0x1u /**< all pages are pending */
#define GN_TRACELOG_HAND_PAGE 0x2u /**< or-ed to the page's address */

/** The log. */
struct gn_tracelog {
    struct gn_tracelog_ring *rings; /**< constant, as all of this group */
    uint64_t *words;                /**< a bit a page */
    uint64_t *summary;              /**< a bit a word of `words` */
    uint64_t page_first;            /**< number of the first page with a bit */
    uint64_t page_count;            /**< how many have one */
    uint64_t word_count;            /**< length of `words` */
    uint32_t vcpus;                 /**< length of rings */
    uint32_t flags;                 /**< GN_TRACELOG_SERIAL, ... */
    uint64_t pad0;
    uint64_t marks;          /**< any thread, RMW: counts bits set in `words`, once set */
    uint64_t pages_appended; /**< any thread: counter */
    uint64_t all_set;        /**< any thread: counter */
    uint32_t all;            /**< any thread, RMW: the everything flag */
    uint32_t pad1;
    uint64_t pad2[4];
    uint64_t hand;       /**< consumer: GN_TRACELOG_HAND_*; release */
    uint64_t marks_seen; /**< consumer: bits of so many marks are acknowledged; release */
    uint64_t marks_now;  /**< consumer alone, as the rest: marks when the scan began */
    uint64_t serial;     /**< number of the current drain */
    uint32_t hand_ring;  /**< vCPU whose record is in hand, plus 1 */
    uint32_t open;       /**< the current drain has not ended */
    uint64_t pad3[3];
    uint64_t drains; /**< counters */
    uint64_t entries;
    uint64_t pages;
    uint64_t alls;
    uint64_t again;
    uint64_t pad4[3];
};

/** The part of gn_tracelog_append that is not hot; exported for the inline one alone. */
GN_API void gn_tracelog_append_slow(struct gn_tracelog *log, uint32_t vcpu, gn_gpa_t gpa,
                                    uint32_t bytes);

/** Which filter entry an address has: neighbouring entries of a table differ. */
static inline uint64_t gn_tracelog_filter_slot(const struct gn_tracelog_ring *ring, gn_gpa_t gpa)
{
    return ((gpa.v >> 3) ^ (gpa.v >> GN_PAGE_SHIFT)) & ring->filter_mask;
}

/** Which pending class a page number has. */
static inline uint64_t gn_tracelog_pending_slot(const struct gn_tracelog_ring *ring, uint64_t page)
{
    return (page ^ (page >> 9)) & ring->pending_mask;
}

/** Does an un-taken record say the same? Then the append may be dropped. */
static inline int gn_tracelog_is_duplicate(const struct gn_tracelog *log,
                                           struct gn_tracelog_ring *ring, uint64_t head,
                                           gn_gpa_t gpa, uint32_t bytes)
{
    const uint64_t at = ring->filter[gn_tracelog_filter_slot(ring, gpa)];
    const struct gn_tracelog_record *record;

    if (at >= head || at < __atomic_load_n(&ring->taken, __ATOMIC_RELAXED))
        return 0;
    record = &ring->records[at & ring->mask];
    if (record->gpa.v != gpa.v || record->bytes != bytes)
        return 0;
    if (log->flags & GN_TRACELOG_SERIAL)
        return 1;
    /* Orders the write to guest memory before the look at the mark; see the essay. */
    return at >= __atomic_fetch_or(&ring->taken, 0, __ATOMIC_ACQ_REL);
}

/** Makes a page pending until the record at `head` is acknowledged. Comes before the record. */
static inline void gn_tracelog_pending_mark(struct gn_tracelog_ring *ring, uint64_t page,
                                            uint64_t head)
{
    __atomic_store_n(&ring->pending[gn_tracelog_pending_slot(ring, page)], head, __ATOMIC_RELEASE);
}

/** Puts a record at `head`, where there is room, and publishes it. */
static inline void gn_tracelog_put(struct gn_tracelog_ring *ring, uint64_t head, uint32_t vcpu,
                                   gn_gpa_t gpa, uint32_t bytes)
{
    struct gn_tracelog_record *record = &ring->records[head & ring->mask];

    record->gpa = gpa;
    record->bytes = bytes;
    record->vcpu = vcpu;
    ring->filter[gn_tracelog_filter_slot(ring, gpa)] = head | ring->filter_void;
    __atomic_store_n(&ring->head, head + 1, __ATOMIC_RELEASE);
}

/** gn_tracelog_append, inline. */
static inline void gn_tracelog_append_inline(struct gn_tracelog *log, uint32_t vcpu, gn_gpa_t gpa,
                                             uint32_t bytes)
{
    const uint64_t in_page = gpa.v & GN_PAGE_MASK;
    struct gn_tracelog_ring *ring;
    uint64_t head;

    /* One test for 0, for more than a page and for crossing into the next one. */
    if (vcpu >= log->vcpus || (uint64_t)bytes - 1 >= GN_PAGE_SIZE - in_page) {
        gn_tracelog_append_slow(log, vcpu, gpa, bytes);
        return;
    }
    ring = &log->rings[vcpu];
    head = ring->head;
    if (gn_tracelog_is_duplicate(log, ring, head, gpa, bytes)) {
        __atomic_store_n(&ring->filtered, ring->filtered + 1, __ATOMIC_RELAXED);
        return;
    }
    if (head - ring->applied_seen > ring->mask) {
        gn_tracelog_append_slow(log, vcpu, gpa, bytes);
        return;
    }
    gn_tracelog_pending_mark(ring, gpa.v >> GN_PAGE_SHIFT, head);
    gn_tracelog_put(ring, head, vcpu, gpa, bytes);
}

/** gn_tracelog_empty, inline. */
static inline int gn_tracelog_empty_inline(const struct gn_tracelog *log)
{
    uint32_t i;

    /* The hand last: the consumer fills it before it clears the flag. */
    if (__atomic_load_n(&log->marks, __ATOMIC_ACQUIRE) !=
            __atomic_load_n(&log->marks_seen, __ATOMIC_ACQUIRE) ||
        __atomic_load_n(&log->all, __ATOMIC_ACQUIRE) ||
        __atomic_load_n(&log->hand, __ATOMIC_ACQUIRE))
        return 0;
    for (i = 0; i < log->vcpus; i++) {
        const struct gn_tracelog_ring *ring = &log->rings[i];

        if (__atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) !=
            __atomic_load_n(&ring->applied, __ATOMIC_ACQUIRE))
            return 0;
    }
    return 1;
}

/** Is the page in overflow state, or being dealt with as an item of kind PAGE or ALL? */
static inline int gn_tracelog_pending_overflow(const struct gn_tracelog *log, uint64_t page)
{
    const uint64_t bit = page - log->page_first;
    uint64_t hand;

    if (__atomic_load_n(&log->all, __ATOMIC_ACQUIRE))
        return 1;
    if (bit < log->page_count &&
        (__atomic_load_n(&log->words[bit / 64], __ATOMIC_ACQUIRE) >> (bit % 64) & 1))
        return 1;
    /* The hand last: the consumer fills it before it clears a bit. */
    hand = __atomic_load_n(&log->hand, __ATOMIC_ACQUIRE);
    return hand == GN_TRACELOG_HAND_ALL || hand == (page << GN_PAGE_SHIFT | GN_TRACELOG_HAND_PAGE);
}

/** gn_tracelog_pending, inline. */
static inline int gn_tracelog_pending_inline(const struct gn_tracelog *log, gn_gpa_t gpa)
{
    const uint64_t page = gpa.v >> GN_PAGE_SHIFT;
    uint32_t i;

    for (i = 0; i < log->vcpus; i++) {
        const struct gn_tracelog_ring *ring = &log->rings[i];
        const uint64_t at =
            __atomic_load_n(&ring->pending[gn_tracelog_pending_slot(ring, page)], __ATOMIC_ACQUIRE);

        if (at != GN_TRACELOG_NOWHERE && at >= __atomic_load_n(&ring->applied, __ATOMIC_ACQUIRE))
            return 1;
    }
    return gn_tracelog_pending_overflow(log, page);
}

#ifdef __cplusplus
}
#endif

#endif /* GN_TRACELOG_INLINE_H */
