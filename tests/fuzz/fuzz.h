/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_FUZZ_H
#define GN_TEST_FUZZ_H

/*
 * The differential fuzzer: a machine of several virtual CPUs, wired from paging, shadow, softmmu,
 * tracelog, nonpresent and asid as a VMM would, with limits so small that everything overflows;
 * against a naive walker that knows every value each word of guest memory has had, and when each
 * vCPU last flushed what.
 *
 *      generate.c  random operations            shrink.c  the shortest trace that still fails
 *          |                                        ^
 *          v                                        | a failure
 *      operate.c   performs one ------> model.c  is the result one of those that may be?
 *          |                                ^
 *          v                                | versions, by word
 *      world.c     the composition ---> memory.c  guest memory
 *      spaces.c    its slots and address spaces
 *      coherence.c drains and flushes   dirty.c   the dirty log, and a naive one
 *      config.c    what the seed decides      main.c     episodes, until one fails
 *
 *      threads.c   each vCPU a thread with operations of its own, over locks.c; then, when all
 * stand still, everything must be what the guest's tables say
 *
 * What may be. A translation that a vCPU uses may come from any values that the entries on the way
 * have had since that vCPU's last flush which covers them, in any combination: so do a TLB and
 * caches of table entries behave (SDM vol. 3A §4.10.2, §4.10.3; RISC-V Privileged Architecture
 * §4.2.1). A fault must be one that the guest's tables give now, at the entry that stops the walk:
 * x86 caches no absent entry. Only a RISC-V guest under the fenced rule of markers may see an old
 * absence until its fence. A and D are set by accesses that succeed, where they pass, and by
 * nothing else; what is used has them. A harvest of a dirty log names the pages that were written
 * since the last one and no others.
 *
 * All is a function of the seed and the operations: a trace can be cut and replayed.
 */

#include <gnomon/asid.h>
#include <gnomon/nonpresent.h>
#include <gnomon/shadow.h>
#include <gnomon/softmmu.h>
#include <gnomon/tracelog.h>

#include "../access/oracle.h"

#define VCPUS        3u
#define SPACES       10u
#define BARE         9u /**< the space without translation */
#define ROOT_PAGES   4u
#define ORDERLY      6u /**< roots of spaces below lie in RAM; then a slot that goes, MMIO, a hole */
#define POOL_FIRST   8u  /**< page numbers: tables that the guest edits */
#define POOL_PAGES   24u /**< divisible by the levels below any root */
#define DATA_FIRST   32u
#define DATA_PAGES   48u
#define GUEST_BYTES  ((uint64_t)6 << 20)
#define GUEST_WORDS  (GUEST_BYTES / 8)
#define GUEST_PAGES  (GUEST_BYTES >> GN_PAGE_SHIFT)
#define TABLES_MAX   320u
#define FRAMES_MAX   336u /**< of shadow tables, and of roots that have one each: below RAM_HPA */
#define FRAMES_FEW   48u
#define RAM_HPA      ((uint64_t)2 << 20) /**< so that superpages may be mapped as such */
#define ROOTS_MAX    16u
#define FAR_TABLES   UINT64_C(0x200000) /**< a region that seldom holds tables */
#define SLOT_TABLES  UINT64_C(0x400000) /**< the slots that come and go */
#define DEVICES      UINT64_C(0x5c0000)
#define NOWHERE      UINT64_C(0x5e0000) /**< in no slot, ever */
#define LINEAR       3u /**< index in every root table of the map of all guest memory */
#define SLOTS        5u
#define DYNAMIC      1u /**< slots from here to DYNAMIC + 2 come and go */
#define NO_SLOT      UINT32_MAX
#define VERSIONS     6144u
#define VERSIONS_OP  2112u /**< more than one operation makes */
#define RUN_MAX      600u  /**< entries that a run of stores writes */
#define HOLDS        16u
#define SHIFT_PAGES  16u
#define MEMORY_BYTES (RAM_HPA + GUEST_BYTES + SHIFT_PAGES * GN_PAGE_SIZE)
#define CALLS_MAX    200000u /**< of one that stops at a limit, before it is said not to end */
#define MEANWHILE    8u      /**< of those: between which others do something */
#define SWAPS        16u
#define ADDRESSES    32u

/** splitmix64. */
struct dice {
    uint64_t state;
};

uint64_t dice_next(struct dice *d);
uint32_t dice_below(struct dice *d, uint32_t n);

/** Kinds of operation; operate.c has their names and what the members mean. */
enum op_kind {
    OP_ACCESS,
    OP_STORE,
    OP_FLUSH_ADDRESS,
    OP_FLUSH_SPACE,
    OP_FLUSH_ALL,
    OP_BARRIER,
    OP_SWITCH,
    OP_DMA,
    OP_SLOT,
    OP_REVOKE,
    OP_CONTROL,
    OP_FORGET,
    OP_FILL,
    OP_INVPCID,
    OP_LOG,
    OP_HARVEST,
    OP_HOLD,
    OP_WATCH,
    OP_KINDS
};

/** An operation: all that it needs, so that others can be cut from around it. */
struct op {
    uint32_t kind, vcpu, a, b;
    uint64_t x, y, z;
};

/** What the seed decides about a world. */
struct config {
    uint32_t format, guest; /**< of the shadow and of the guest's tables */
    uint32_t policy, flags, unsync_after, sync_after, around, steps;
    uint32_t markers, tables, roots, flood_limit;
    uint32_t frames_fail; /**< one in so many frames is refused; 0: none */
    uint32_t dirty_ring;  /**< pages it holds */
    uint64_t shift;       /**< of the backing, so that large pages may not fit */
    uint64_t edge;        /**< where two slots of RAM meet */
    uint32_t ring, filter, pending, log_flags, log_pages, tlb;
    uint32_t asids, asid_policy, asid_rename, asid_caps;
    int calm;  /**< an orderly guest: few tables, much shared, flushed by address space */
    int split; /**< an MMU a vCPU, so that a purge for one CPU leaves the others alone */
    int bump;  /**< slot changes bump the generation of MMIO markers; else the shadow drops them */
    int flushes; /**< flushes of an address space go to the ASID allocator, too */
    int rest;    /**< drains take what is left as one ALL item */
};

/** A value that a word of guest memory had until `to`. */
struct version {
    uint64_t value, to;
    uint32_t next, word;
};

/** Of a world whose vCPUs are threads: locks.c. */
struct locks;

/** A flush of one page. */
struct flushed {
    uint64_t page, time;
    uint32_t space;   /**< SPACES: every one */
    uint32_t globals; /**< those of every space, too */
};

struct vcpu {
    struct world *world;
    uint32_t number, space, controls, asid;
    int user; /**< privilege loaded into the MMU, -1: none */
    int held; /**< it has a root */
    struct gn_shadow_root root;
    uint64_t flushed_all, flushed_space[SPACES];
    struct flushed flushed[ADDRESSES];
    uint32_t flushed_next;
};

#define NO_ROOM 7u /**< among the outcomes: the shadow had too few tables, and may say so */

/** What an access came to. */
struct result {
    uint32_t outcome; /**< GN_SHADOW_FILLED: done; else GN_SHADOW_..., or NO_ROOM */
    uint32_t fault, code;
    uint64_t gpa;
    void *host;
    gn_hpa_t hpa;
    uint32_t traced, marker;
};

/** What is counted beside the outcomes of accesses. */
enum done {
    DONE_AGAIN,     /**< calls that stopped at the step limit */
    DONE_HARVESTED, /**< dirty pages */
    DONE_RING_FULL, /**< of those: without a place in the ring */
    DONE_UNSYNC,    /**< pages that the shadow left unsync */
    DONE_TRACED,    /**< ... had traced, by its own decision */
    DONE_RESYNCED,  /**< ... trapped again */
    DONE_RECLAIMED, /**< tables */
    DONE_AROUND,    /**< pages that faults mapped beside their own */
    DONE_SPLINTERS,
    DONE_LARGE,
    DONE
};

#define DIRTY_MAY   1u /**< an access was about to write the page, and did not */
#define DIRTY_MUST  2u
#define DIRTY_KNOWN 4u /**< the dirty op has named it */

struct world {
    struct config c;
    uint64_t seed;
    struct oracle guest; /**< the guest's format */
    int levels, bytes, x86, arm;
    int shadow_levels, shadow_x86;
    int wide; /**< the guest has more levels than the shadow */
    uint64_t ram_hpa;
    struct dice chance; /**< for what others do meanwhile */
    uint8_t *memory;    /**< frames of shadow tables, then guest memory */
    gn_hpa_t frames[FRAMES_MAX];
    uint32_t frame_count, frames_all;
    struct gn_shadow *shadow;
    struct gn_tracelog *log;
    struct gn_nonpresent *np;
    struct gn_asid *asid;
    struct gn_softmmu *mmu[VCPUS]; /**< all the same one, unless split */
    void *shadow_memory, *log_memory, *np_memory, *asid_memory, *mmu_memory[VCPUS];
    uint64_t cookies[ROOTS_MAX];
    uint32_t root_space[ROOTS_MAX]; /**< of those that have a cookie */
    uint32_t holds[HOLDS];          /**< roots that are held for no vCPU */
    uint32_t hold_count;
    struct gn_shadow_slot slot[SLOTS]; /**< length 0: not there */
    uint32_t slot_id[SLOTS];
    void *slot_memory[SLOTS];
    struct vcpu vcpu[VCPUS];
    /* memory.c */
    uint64_t now;
    uint32_t *history; /**< by word: newest of its old versions, 0: none */
    struct version version[VERSIONS];
    uint32_t versions;
    /* A and D updates of the access at hand. */
    int in_access;
    struct {
        uint64_t gpa, value;
    } swap[SWAPS];
    uint32_t swaps;
    uint64_t counts[16]; /**< of results, by outcome */
    uint64_t done[DONE]; /**< what else has come to pass */
    /* dirty.c */
    uint64_t *log_bits[SLOTS]; /**< the shadow's */
    int logging[SLOTS];
    uint8_t dirty[GUEST_PAGES]; /**< DIRTY_... since the last harvest */
    uint32_t ring_used;
    int harvesting;
    uint8_t watched[GUEST_PAGES];
    int quiet; /**< nobody does anything meanwhile */
    /* threads.c */
    struct locks *locks; /**< NULL: one thread does all */
    int running;         /**< threads run: memory has no history, and nothing is counted */
};

/** Ends the run: what is wrong, in printf's words. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* memory.c */
uint64_t *memory_word(struct world *w, uint64_t gpa);
const struct gn_shadow_slot *slot_at(const struct world *w, uint64_t gpa);
int memory_load(void *ctx, uint64_t gpa, uint64_t *ret_value);
void memory_store(struct world *w, uint64_t gpa, const void *bytes, uint32_t length);
int memory_protected(const struct world *w, uint64_t gpa, uint32_t length);
void memory_forget(struct world *w);
extern const struct gn_paging_ops memory_ops;

/* world.c */
void *aligned(size_t align, size_t size);
/** threads: 1: vCPUs will be threads, with locks and an MMU each. */
void world_open(struct world *w, uint64_t seed, int threads);
void world_close(struct world *w);
void world_free(struct world *w);
struct gn_softmmu *mmu_of(const struct world *w, uint32_t vcpu, uint32_t *ret_index);

/* spaces.c */
uint64_t slot_bytes(const struct world *w, uint32_t i);
void world_slot_set(struct world *w, uint32_t i, uint32_t kind);
int world_switch(struct world *w, uint32_t vcpu, uint32_t space, uint32_t controls);
void world_hold(struct world *w, uint32_t space, uint32_t controls);
/** Gives a vCPU a root that it holds. */
void world_load(struct world *w, uint32_t vcpu, const struct gn_shadow_root *root, uint32_t space,
                uint32_t controls);
struct gn_shadow_root_key world_key(const struct world *w, uint32_t space, uint32_t controls);
/** May the shadow be out of tables? */
int world_no_room(const struct world *w);
/** Format of a space's tables, or BARE. */
uint32_t world_format(const struct world *w, uint32_t space);
/** After a call: 1 if it is to be repeated; others have done something meanwhile. */
int again(struct world *w, int rc, uint32_t *calls, const char *what);

/* locks.c */
/** Around all use of a vCPU's MMU, since others invalidate; without threads nothing. No other lock
 *  is taken within. */
void mmu_enter(struct world *w, uint32_t vcpu);
void mmu_leave(struct world *w, uint32_t vcpu);
struct locks *locks_new(void);
void locks_free(struct locks *l);
void locks_shadow_ops(struct gn_shadow_ops *ops, int shared);
void locks_asid_ops(struct gn_asid_ops *ops);
/** One thread drains the log at a time, and others wait. */
void locks_drain(struct world *w, int begins);

/* config.c */
void config_make(struct config *c, uint64_t seed);
void config_print(const struct config *c);

/* coherence.c */
/** Guest memory was written: by a store that trapped, or a device. */
void world_sync(struct world *w, uint64_t gpa, uint64_t length);
/** Coherence of one space, or SPACES, and of one address, or NULL. The log is drained first. */
void coherence(struct world *w, uint32_t space, const uint64_t *gva);
void barrier(struct world *w);
void op_flush(struct world *w, const struct op *op);
void world_flush(struct world *w, uint32_t root);

/* dirty.c */
void dirty_mark(struct world *w, uint64_t gpa, uint64_t length, uint8_t how);
int on_dirty(void *ctx, uint32_t slot, gn_gpa_t page);
void dirty_toggle(struct world *w, uint32_t slot);
void dirty_harvest(struct world *w, uint32_t slot, uint64_t first, uint64_t pages);
void dirty_gone(struct world *w, uint32_t slot);

/* generate.c */
/** The root table of a space, or its other one, of the upper half. */
uint64_t space_root(uint32_t space);
uint64_t space_root_high(uint32_t space);
/** Where all guest memory is mapped, in an orderly space. */
uint64_t linear(const struct world *w, uint64_t gpa);
/** The same, for a vCPU: without translation every address is its own. */
uint64_t linear_of(const struct world *w, uint32_t vcpu, uint64_t gpa);
/** Index in a table at a level. */
uint32_t index_at(const struct world *w, int level, uint64_t gva);
/** A guest wider than the shadow: the table of the lower half at the MMU's topmost level. */
uint64_t wide_table(const struct world *w);
uint64_t entry_any(const struct world *w, struct dice *d, uint64_t place);
uint64_t edit_place(const struct world *w, struct dice *d);
uint64_t gva_any(const struct world *w, struct dice *d);
uint64_t page_any(struct dice *d);
uint32_t control_any(const struct world *w, struct dice *d);
void generate(const struct world *w, struct dice *d, struct op *ret_op);

/* operate.c */
/** The guest's own tables at the start. */
void world_guest_make(struct world *w, struct dice *d);
void operate(struct world *w, const struct op *op);
/** Loads what an access needs into the MMU of a vCPU. */
void context_load(struct world *w, struct vcpu *v, int user, int implicit);
/** Asks the MMU. @return 1: it has the answer */
int mmu_access(struct world *w, struct vcpu *v, uint64_t gva, uint32_t kind, uint32_t bytes,
               struct result *r);
/** An access somewhere, while something else stands still in the middle. */
void meanwhile(struct world *w);
void op_print(const struct op *op);
int op_parse(const char *line, struct op *ret_op);
/** An address at which accesses have lately succeeded. */
uint64_t worked_at(uint32_t i);

/* model.c */
void model_check(struct world *w, uint32_t vcpu, uint64_t gva, uint32_t access,
                 const struct oracle_result *fresh, const struct result *result);
struct oracle_result model_fresh(struct world *w, uint32_t vcpu, uint64_t gva, uint32_t access);
/** A vCPU flushes a space, or SPACES; one address, or NULL; and the globals of the others, or not.
 */
void model_flush(struct world *w, uint32_t vcpu, uint32_t space, const uint64_t *gva, int globals,
                 uint64_t time);
void model_sweep(struct world *w, uint32_t vcpu);
void model_unmapped(struct world *w, uint64_t gpa, uint64_t length);

/* shrink.c */
/** Runs a trace in a fresh world. @return how many operations until it fails, 0 if it does not */
uint32_t trace_run(uint64_t seed, const struct op *ops, uint32_t count, char *ret_why, size_t size);
uint32_t trace_shrink(uint64_t seed, struct op *ops, uint32_t count);
/** An episode of random operations, kept in ops. @return as trace_run */
uint32_t episode_run(uint64_t seed, struct op *ops, uint32_t count, char *ret_why, size_t size,
                     uint64_t *counts, uint64_t *done);

#endif /* GN_TEST_FUZZ_H */
