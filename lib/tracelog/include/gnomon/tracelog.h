/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TRACELOG_H
#define GN_TRACELOG_H

/*
 * gnomon/tracelog.h - the guest write buffer: writes to page tables, recorded instead of trapped.
 *
 * A hypervisor that shadows page tables must learn of every write to them. The classical way is a
 * trap a write. Here whoever completes a write to a *traced* page appends one record and goes on;
 * at the next coherence point the virtualization software drains the log and brings its shadow up
 * to date. The records say *where* was written, never what: the consumer re-reads guest memory, so
 * that order between vCPUs does not matter and duplicates are harmless.
 *
 *     vCPU 0 --append--> [ ring 0: gpa,bytes,vcpu | ... ] --+
 *     vCPU 1 --append--> [ ring 1: ...                  ] --+--> drain --> ENTRY gpa, bytes
 *        :        |                                         |              PAGE  gpa
 *        :        +-- full --> [ a bit a guest page ]       +              ALL
 *     any thread --append_page--------^    |               -+
 *                                          +-- page outside the range --> "everything" flag
 *
 * The contract in one sentence: no write whose append returned before gn_tracelog_drain_begin is
 * unknown to the consumer when that drain has returned 0. A full ring degrades to whole pages, a
 * page outside the stated range degrades to "re-read everything"; nothing is lost, nothing traps.
 *
 * Order, and why it is right. A producer first completes the write to guest memory, then appends.
 *
 *  - A record is published by a release store of the ring's head and taken by an acquire load: a
 *    consumer that got the record sees the write (and any older one) when it re-reads.
 *  - The duplicate filter drops a record when an equal one is still in the ring. It believes its
 *    entry only while that record has not been *taken*: drain_begin moves a ring's `taken` mark
 *    over all it is about to hand out, before the consumer re-reads anything. Moving the mark and
 *    looking at it from the filter are both read-modify-writes of the one variable. So either the
 *    filter's look comes first, and the re-read sees its write; or it comes second, finds the
 *    record taken, and appends anew. A plain look would not do: the write to guest memory might
 *    still sit in a store buffer while an old mark is read.
 *  - An overflow bit is set by an unconditional atomic OR after the write and cleared by an atomic
 *    AND before the page is re-read, for the same reason.
 *  - gn_tracelog_pending() and gn_tracelog_empty() speak of what is not yet *acknowledged*: an item
 *    stays pending while the consumer works on it, and stops being so when it asks for the next.
 *
 * Rules of use:
 *  - One thread at a time appends for a vCPU. append_page and append_range: any thread.
 *  - One drain at a time; the embedder serialises consumers. Producers never wait for them.
 *  - A write that completes without an append (a debugger, a device) breaks the contract: route
 *    such writes through append_range.
 *  - The library never reads guest memory and knows no page-table format.
 *
 * It is not a dirty log for migration: it forgets what was drained, and filters by address.
 *
 * Sources: US 8,060,722, 8,219,779, 8,838,914 (traced writes); Intel SDM vol. 3C, page-modification
 * logging; Linux PAGEMAP_SCAN. The host must have lock-free 64-bit atomics.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this library's interface; the soname carries MAJOR. */
#define GN_TRACELOG_VERSION_MAJOR 0
#define GN_TRACELOG_VERSION_MINOR 1

/** The version of the library in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant.
 */
GN_API uint32_t gn_tracelog_version(void);

/** A trace log; lives in memory that the embedder gives. */
struct gn_tracelog;

/* Defaults and limits of the parameters. */
#define GN_TRACELOG_RING_DEFAULT    512      /**< records a vCPU */
#define GN_TRACELOG_FILTER_DEFAULT  16       /**< filter entries a vCPU */
#define GN_TRACELOG_PENDING_DEFAULT 64       /**< pending classes a vCPU */
#define GN_TRACELOG_VCPUS_MAX       4096     /**< most vCPUs of one log */
#define GN_TRACELOG_RING_MAX        0x100000 /**< most records a vCPU */
#define GN_TRACELOG_TABLE_MAX       0x10000  /**< most filter entries or pending classes a vCPU */

/* gn_tracelog_params.flags */
/**
 * The embedder drains only while no producer runs, or on the producer's own thread. Filter hits
 * then need no read-modify-write, which is the larger part of what they cost.
 */
#define GN_TRACELOG_SERIAL    0x1u
#define GN_TRACELOG_NO_FILTER 0x2u /**< record duplicates too */

/** What a log is to hold. */
struct gn_tracelog_params {
    uint32_t size;            /**< GN_TRACELOG_PARAMS_INIT sets it */
    uint32_t vcpus;           /**< producers, 1 to GN_TRACELOG_VCPUS_MAX; 0 means 1 */
    uint32_t ring_entries;    /**< records a vCPU, a power of two from 2; 0: the default */
    uint32_t filter_entries;  /**< filter entries a vCPU, a power of two; 0: the default */
    uint32_t pending_entries; /**< classes of pages that pending() tells apart, ditto */
    uint32_t flags;           /**< GN_TRACELOG_SERIAL, GN_TRACELOG_NO_FILTER */
    gn_gpa_t page_base;       /**< first page with an overflow bit of its own; 4 KiB aligned */
    uint64_t page_count;      /**< how many pages have one; 0: every overflow is "everything" */
};

/** First initializer of a gn_tracelog_params: `{GN_TRACELOG_PARAMS_INIT, .vcpus = 4}`. */
#define GN_TRACELOG_PARAMS_INIT .size = sizeof(struct gn_tracelog_params)

/* Kinds of item that a drain yields. */
#define GN_TRACELOG_ENTRY 1 /**< [gpa, gpa + bytes) was written; may reach into the next page */
#define GN_TRACELOG_PAGE  2 /**< something in the 4 KiB page at gpa was written */
#define GN_TRACELOG_ALL   3 /**< something was written anywhere: re-read, or forget, everything */

/** What a drain yields. */
struct gn_tracelog_item {
    uint32_t kind;  /**< GN_TRACELOG_ENTRY, _PAGE or _ALL */
    uint32_t vcpu;  /**< ENTRY: who wrote; else 0 */
    gn_gpa_t gpa;   /**< ENTRY: first byte written; PAGE: the page; ALL: 0 */
    uint64_t bytes; /**< ENTRY: 1 to 4096; PAGE: 4096; ALL: 0 */
};

/** The state of a drain. Filled by gn_tracelog_drain_begin; its members are the library's. */
struct gn_tracelog_drain {
    uint64_t serial; /**< which drain of the log this is */
    uint64_t word;   /**< next word of the page bitmap */
    uint64_t bits;   /**< what is left to hand out of that word */
    uint32_t vcpu;   /**< ring being handed out */
    uint32_t phase;  /**< everything flag, rings, pages, done */
};

/** Event counters since init. Sums over vCPUs, each exact when its producer rests. */
struct gn_tracelog_stats {
    uint32_t size;           /**< GN_TRACELOG_STATS_INIT sets it */
    uint32_t reserved;       /**< zero */
    uint64_t appended;       /**< records put into rings */
    uint64_t filtered;       /**< appends dropped as duplicates */
    uint64_t overflowed;     /**< appends that found their ring full */
    uint64_t pages_appended; /**< pages named by append_page and append_range */
    uint64_t all_set;        /**< times a page outside the range set the everything flag */
    uint64_t drains;         /**< gn_tracelog_drain_begin calls */
    uint64_t entries;        /**< ENTRY items handed out */
    uint64_t pages;          /**< PAGE items handed out */
    uint64_t alls;           /**< ALL items handed out */
    uint64_t again;          /**< items handed out a second time, after an abandoned drain */
};

/** First initializer of a gn_tracelog_stats. */
#define GN_TRACELOG_STATS_INIT .size = sizeof(struct gn_tracelog_stats)

/**
 * How much memory a log needs.
 *
 * @param params  what it is to hold
 * @return bytes, or 0 when gn_tracelog_init would refuse the parameters
 *
 * Context: any; O(1). Thread-safety: reentrant. Ownership: params is only read.
 */
GN_API size_t gn_tracelog_size(const struct gn_tracelog_params *params);

/** The alignment of that memory, in bytes. Context: any. Thread-safety: reentrant. */
GN_API size_t gn_tracelog_align(void);

/**
 * Builds a log in the embedder's memory.
 *
 * @param mem     aligned to gn_tracelog_align(); its content does not matter
 * @param len     its length in bytes, at least gn_tracelog_size(params)
 * @param params  what it is to hold
 * @param ret_log the log, empty
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument; mem unaligned; a count that is no power of two or above its
 *    limit; page_base unaligned; an unknown flag
 *  - -GN_ERR_RANGE: the page range does not end below 2^64, or its bitmap does not fit a size_t
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_2BIG: params has a non-zero tail that this version does not know
 *
 * Context: any; O(memory). Thread-safety: none needed before it returns. Ownership: mem belongs to
 * the log until gn_tracelog_fini; params is only read.
 */
GN_API GN_NODISCARD int gn_tracelog_init(void *mem, size_t len,
                                         const struct gn_tracelog_params *params,
                                         struct gn_tracelog **ret_log);

/**
 * Ends a log; its memory is the embedder's again.
 *
 * @param log  a log, or NULL
 *
 * Context: any; O(1). Thread-safety: no other call on the log may run.
 */
GN_API void gn_tracelog_fini(struct gn_tracelog *log);

/**
 * Records a write that has completed. <gnomon/tracelog_inline.h> has it inline.
 *
 * @param log    the log
 * @param vcpu   who wrote, below params.vcpus (else the page is recorded, as by append_page)
 * @param gpa    first byte written
 * @param bytes  1 to 4096; 0 records nothing; more records whole pages, as append_range does
 *
 * Context: any, interrupts and signal handlers of that vCPU included while they do not interrupt
 * another append of it; O(1), never blocks. Thread-safety: one thread at a time for a vCPU,
 * concurrent with all other calls.
 */
GN_API void gn_tracelog_append(struct gn_tracelog *log, uint32_t vcpu, gn_gpa_t gpa,
                               uint32_t bytes);

/**
 * Records that something in a page was written: for producers that know no more (Linux write
 * tracking, PML).
 *
 * @param log  the log
 * @param gpa  any address in the page; outside the stated range it sets the everything flag
 *
 * Context: any; O(1), never blocks. Thread-safety: any thread, concurrent with all other calls.
 */
GN_API void gn_tracelog_append_page(struct gn_tracelog *log, gn_gpa_t gpa);

/**
 * Records a write of any length (DMA, a loader, a debugger) as whole pages.
 *
 * @param log    the log
 * @param gpa    first byte written
 * @param bytes  how many; 0 records nothing
 *
 * Context: any; O(pages touched, but at most params.page_count), never blocks. Thread-safety: any
 * thread, concurrent with all other calls.
 */
GN_API void gn_tracelog_append_range(struct gn_tracelog *log, gn_gpa_t gpa, uint64_t bytes);

/**
 * Begins a drain: what the rings hold now is what it will hand out. An earlier drain that was
 * neither followed to its end nor ended is abandoned, and its last item will be handed out again.
 *
 * @param log    the log
 * @param drain  filled; its old content does not matter
 *
 * Context: any; O(vcpus), one read-modify-write for each ring that is not empty. Thread-safety:
 * one consumer at a time, concurrent with producers. Ownership: drain stays the caller's.
 */
GN_API void gn_tracelog_drain_begin(struct gn_tracelog *log, struct gn_tracelog_drain *drain);

/**
 * Hands out the next item, and takes the one before as dealt with.
 *
 * The consumer re-reads the guest memory that the item names *after* this call returned. A drain
 * ends although producers keep appending: rings are followed up to where they were at begin, each
 * page is handed out at most once. It may be left and resumed at any time.
 *
 * @param log       the log
 * @param drain     from gn_tracelog_drain_begin
 * @param ret_item  filled when 1 is returned
 * @return
 *  - 1: an item
 *  - 0: the end; everything handed out is acknowledged
 *  - -GN_ERR_INVAL: a NULL argument
 *  - -GN_ERR_PERM: drain is not the log's current drain, or has been ended
 *
 * Context: any; O(1), and O(page_count / 4096) once a drain in which pages overflowed.
 * Thread-safety: one consumer at a time, concurrent with producers.
 */
GN_API GN_NODISCARD int gn_tracelog_drain_next(struct gn_tracelog *log,
                                               struct gn_tracelog_drain *drain,
                                               struct gn_tracelog_item *ret_item);

/**
 * Hands out all that is left as one ALL item: for a consumer that would rather forget its whole
 * shadow than follow many records. Takes the item before as dealt with; call gn_tracelog_drain_next
 * or gn_tracelog_drain_end when everything has been re-read or forgotten.
 *
 * @param log       the log
 * @param drain     from gn_tracelog_drain_begin
 * @param ret_item  filled when 1 is returned
 * @return
 *  - 1: an item of kind GN_TRACELOG_ALL
 *  - 0: nothing was left
 *  - -GN_ERR_INVAL: a NULL argument
 *  - -GN_ERR_PERM: drain is not the log's current drain, or has been ended
 *
 * Context: any; O(vcpus + page_count / 4096 + words with overflow bits). Thread-safety: one
 * consumer at a time, concurrent with producers.
 */
GN_API GN_NODISCARD int gn_tracelog_drain_rest(struct gn_tracelog *log,
                                               struct gn_tracelog_drain *drain,
                                               struct gn_tracelog_item *ret_item);

/**
 * Ends a drain early and takes its last item as dealt with; what it did not hand out stays in the
 * log. Of a drain that is not the current one, or has ended: does nothing.
 *
 * @param log    the log
 * @param drain  from gn_tracelog_drain_begin
 *
 * Context: any; O(1). Thread-safety: one consumer at a time, concurrent with producers.
 */
GN_API void gn_tracelog_drain_end(struct gn_tracelog *log, struct gn_tracelog_drain *drain);

/**
 * Is a write to this page possibly not dealt with yet?
 *
 * @param log   the log
 * @param page  any address in the page
 * @return 0: every write to it whose append is visible to the caller has been handed out and
 * acknowledged. 1: not so, or another page of the same class (params.pending_entries) is pending.
 *
 * Context: any; O(vcpus): two loads each, and three for overflow. Thread-safety: reentrant,
 * concurrent with producers and the consumer.
 */
GN_API int gn_tracelog_pending(const struct gn_tracelog *log, gn_gpa_t page);

/**
 * Is there nothing to drain, and no item being dealt with?
 *
 * @param log  the log
 * @return 1 or 0, of the appends that are visible to the caller
 *
 * Context: any; O(vcpus). Thread-safety: reentrant, concurrent with producers and the consumer.
 */
GN_API int gn_tracelog_empty(const struct gn_tracelog *log);

/**
 * Tells the counters.
 *
 * @param log    the log
 * @param stats  with its size set; filled as far as both sides know, unknown members become zero
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or a size below that of the first version
 *
 * Context: any; O(vcpus). Thread-safety: concurrent with all but fini; a counter that is being
 * advanced may be told before or after.
 */
GN_API GN_NODISCARD int gn_tracelog_stats_get(const struct gn_tracelog *log,
                                              struct gn_tracelog_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* GN_TRACELOG_H */
