/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_RUNTIME_H
#define RV64_TRANSLATE_RUNTIME_H

/* What the files of the run time share. */

#include <stdio.h>

#include <gnomon/tcache.h>

#include "dump.h"
#include "run.h"
#include "translate.h"

/** Guest pages that hold code, at most: each has a copy of its bytes. */
#define RV64_TR_PAGES 4096u

/** Bytes of code to an exit that tcache has: blocks with calls and indirect jumps have several. */
#define RV64_TR_EXIT_BYTES 128u

/** Exits that tcache numbers, at most. */
#define RV64_TR_EXIT_NUMBERS (RV64_TR_CODE_MAX / RV64_TR_EXIT_BYTES)

/**
 * Places whose visits are counted, before they are translated: sets, and how many are in each. One
 * that comes takes the count of the coldest of its set: so what is visited once is not translated,
 * be it ever so much. With one to a set, two that took turns were never translated.
 */
#define RV64_TR_HEAT_SETS 16384u
#define RV64_TR_HEAT_WAYS 4u

struct rv64_tr_heat {
    uint32_t tag; /**< of the place */
    uint32_t visits;
};

/** Pages that have no code any more, and are watched still, since it often comes back. */
#define RV64_TR_LINGER 64u

/** Those, beside the ones with code; a few more in between. */
#define RV64_TR_COPIES (RV64_TR_PAGES + 2 * RV64_TR_LINGER)

/** How what is known of a page's bytes is kept true. */
#define RV64_TR_UNKNOWN  0u /**< it is not yet */
#define RV64_TR_COMPARED 1u /**< a copy of them is compared in each epoch */
#define RV64_TR_WATCHED  2u /**< whoever writes them tells */

/** A page that blocks were made from. */
struct rv64_tr_copy {
    uint64_t gpa;
    const uint8_t *page; /**< its bytes in memory */
    uint64_t epoch;      /**< COMPARED: the copy is known to be as memory since */
    uint32_t next;       /**< in its bucket, or free: index + 1, 0 ends */
    uint8_t how;         /**< RV64_TR_... */
    bool code;           /**< there are blocks */
    bool lingers;        /**< it is in the ring of those that had none */
    uint8_t vain;        /**< WATCHED: writes in a row that dropped none */
};

struct rv64_tr_stats {
    uint64_t dispatches;  /**< times that translated code was entered */
    uint64_t edges;       /**< of the ways out: exits that were not linked, or whose guard failed */
    uint64_t sites;       /**< indirect jumps that had no slot for their target */
    uint64_t lookups;     /**< indirect jumps that the view did not know */
    uint64_t cold;        /**< stretches of cold code that were interpreted */
    uint64_t interpreted; /**< instructions that were interpreted */
    uint64_t translated;  /**< instructions of the guest in blocks that were made */
    uint64_t guest_bytes; /**< bytes of them */
    uint64_t host_bytes;  /**< bytes of code that was made */
    uint64_t nanoseconds; /**< spent in emission */
    uint64_t edges_checked; /**< exits linked to the entry that checks f registers */
    uint64_t pages_compared;
    uint64_t pages_changed; /**< of those, not as their blocks were made */
    uint64_t watches;       /**< pages that began to be watched */
    uint64_t watches_ended; /**< since data are written there */
    uint64_t watched_writes;
};

/** Notes of pages whose last instruction straddles into a page that was not known. */
#define RV64_TR_UNREAD 64u

struct rv64_translator {
    struct gn_tcache *tcache;
    struct rv64_cpu *cpu;
    struct rv64_tr_thunks thunks;
    struct rv64_tr_stats stats;
    uint64_t epoch;        /**< counts FENCE.I */
    uint64_t kernel_space; /**< in which the supervisor ran last */
    uint64_t slice_begin;  /**< instructions retired then */
    uint32_t heat_limit;
    uint64_t unread[RV64_TR_UNREAD]; /**< guest frame numbers; 0: none */
    bool unchained;
    struct rv64_tr_heat heat[RV64_TR_HEAT_SETS][RV64_TR_HEAT_WAYS];
    struct rv64_tr_copy *copies; /**< RV64_TR_COPIES, with as many pages of bytes */
    uint8_t *copy_bytes;
    uint32_t compared; /**< how many are */
    uint32_t linger_first, linger_count;
    uint64_t linger[RV64_TR_COPIES]; /**< pages without code: a ring */
    uint8_t tired[RV64_TR_PAGES];    /**< watches that were in vain, by page */
    uint64_t *exit_states;           /**< by number of the exit: for rv64_tr_fits() */
    uint64_t link_entry;             /**< of the block that an exit is being linked to */
    uint32_t copy_free;
    uint32_t copy_buckets[RV64_TR_PAGES];
    void *tcache_memory;
    uint8_t *write; /**< code memory, twice mapped: thunks, then what tcache has */
    uint8_t *exec;
    size_t code_size;
    FILE *perf_map;
    struct rv64_tr_dumper *dumper; /**< or NULL */
};

/* link.c */

/** The exits by which a block was left: none, one, or all of an indirect jump. */
struct rv64_tr_way {
    uint32_t count;
    gn_tcache_handle_t exits[RV64_TR_SLOTS];
};

/**
 * Links an exit, of the block that was left last, to the entry of a block that it fits. An indirect
 * jump that has each of its exits linked elsewhere asks the jump cache from now on.
 */
void rv64_tr_link(struct rv64_translator *tr, const struct rv64_tr_way *way,
                  const struct gn_tcache_block *to);

/** The op by which tcache changes exits of blocks. */
void rv64_tr_patch(void *ctx, const struct gn_tcache_patch *patch);

/* copy.c: which bytes blocks were made from. */

/** tcache's op: a page begins or ceases to hold code. */
void rv64_tr_watch(void *ctx, gn_gpa_t page, uint32_t on);

/**
 * Drops the blocks of a page that were not made from these bytes.
 * @param page  the guest's 4096 bytes at gpa
 */
void rv64_tr_compare(struct rv64_translator *tr, uint64_t gpa, const uint8_t *page);

/** Watched pages that have no code cease to be, but for a few. Not to be called by tcache. */
void rv64_tr_linger_end(struct rv64_translator *tr);

/** Bytes were written: drops the blocks that were made from them. */
void rv64_tr_written(struct rv64_translator *tr, uint64_t gpa, uint64_t length);

/** Is what was made from a page known to be current? */
bool rv64_tr_is_current(const struct rv64_translator *tr, uint64_t gpa);

#endif /* RV64_TRANSLATE_RUNTIME_H */
