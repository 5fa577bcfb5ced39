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
 *
 * What may be. A translation that a vCPU uses may come from any values that the entries on the way
 * have had since that vCPU's last flush which covers them, in any combination: so do a TLB and
 * caches of table entries behave (SDM vol. 3A §4.10.2, §4.10.3; RISC-V Privileged Architecture
 * §4.2.1). A fault must be one that the guest's tables give now, at the entry that stops the walk:
 * x86 caches no absent entry. Only a RISC-V guest under the fenced rule of markers may see an old
 * absence until its fence.
 *
 * All is a function of the seed and the operations: a trace can be cut and replayed.
 */

#include <gnomon/asid.h>
#include <gnomon/nonpresent.h>
#include <gnomon/shadow.h>
#include <gnomon/softmmu.h>
#include <gnomon/tracelog.h>

#include "../access/oracle.h"

#define VCPUS       3u
#define SPACES      6u
#define ROOT_PAGES  4u
#define POOL_FIRST  8u  /**< page numbers: tables that the guest edits */
#define POOL_PAGES  24u /**< divisible by the levels below any root */
#define DATA_FIRST  32u
#define DATA_PAGES  48u
#define GUEST_BYTES ((uint64_t)6 << 20)
#define GUEST_WORDS (GUEST_BYTES / 8)
#define FRAMES_MAX  48u
#define RAM_HPA     ((uint64_t)2 << 20) /**< so that superpages may be mapped as such */
#define ROOTS_MAX   16u
#define FAR_TABLES  UINT64_C(0x200000) /**< a region that seldom holds tables */
#define SLOT_TABLES UINT64_C(0x400000) /**< the slots that come and go */
#define DEVICES     UINT64_C(0x5c0000)
#define LINEAR      3u /**< index in every root table of the map of all guest memory */
#define SLOTS       4u
#define DYNAMIC     1u /**< slots from here to DYNAMIC + 1 come and go */
#define NO_SLOT     UINT32_MAX
#define VERSIONS    4096u
#define SWAPS       16u
#define ADDRESSES   32u

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
    OP_KINDS
};

/** An operation: all that it needs, so that others can be cut from around it. */
struct op {
    uint32_t kind, vcpu, a, b;
    uint64_t x, y, z;
};

/** What the seed decides about a world. */
struct config {
    uint32_t format, policy, markers, tables, roots, flood_limit;
    uint32_t ring, filter, pending, log_flags, log_pages, tlb;
    uint32_t asids, asid_policy, asid_rename, asid_caps;
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

/** A flush of one page. */
struct flushed {
    uint64_t page, time;
    uint32_t space; /**< SPACES: every one */
};

struct vcpu {
    struct world *world;
    uint32_t number, space, controls, asid;
    int user; /**< privilege loaded into the MMU, -1: none */
    struct gn_shadow_root root;
    uint64_t flushed_all, flushed_space[SPACES];
    struct flushed flushed[ADDRESSES];
    uint32_t flushed_next;
};

/** What an access came to. */
struct result {
    uint32_t outcome; /**< GN_SHADOW_FILLED: done; else GN_SHADOW_... */
    uint32_t fault, code;
    uint64_t gpa;
    void *host;
    gn_hpa_t hpa;
    uint32_t traced, marker;
};

struct world {
    struct config c;
    uint64_t seed;
    int levels, x86;
    uint8_t *memory; /**< frames of shadow tables, then guest memory */
    gn_hpa_t frames[FRAMES_MAX];
    uint32_t frame_count;
    struct gn_shadow *shadow;
    struct gn_tracelog *log;
    struct gn_nonpresent *np;
    struct gn_asid *asid;
    struct gn_softmmu *mmu[VCPUS]; /**< all the same one, unless split */
    void *shadow_memory, *log_memory, *np_memory, *asid_memory, *mmu_memory[VCPUS];
    uint64_t cookies[ROOTS_MAX];
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
void config_make(struct config *c, uint64_t seed);
void config_print(const struct config *c);
void world_open(struct world *w, uint64_t seed);
void world_close(struct world *w);
void world_drain(struct world *w);
void world_sync(struct world *w, uint64_t gpa, uint64_t length);
void world_slot_set(struct world *w, uint32_t i, uint32_t kind);
int world_switch(struct world *w, uint32_t vcpu, uint32_t space, uint32_t controls);
void world_guest_make(struct world *w, struct dice *d);
struct gn_softmmu *mmu_of(const struct world *w, uint32_t vcpu, uint32_t *ret_index);

/* generate.c */
uint64_t space_root(uint32_t space);
uint64_t entry_any(const struct world *w, struct dice *d, uint64_t place);
uint64_t edit_place(const struct world *w, struct dice *d);
void generate(const struct world *w, struct dice *d, struct op *ret_op);

/* operate.c */
void operate(struct world *w, const struct op *op);
void op_print(const struct op *op);
int op_parse(const char *line, struct op *ret_op);
/** An address at which accesses have lately succeeded. */
uint64_t worked_at(uint32_t i);

/* model.c */
void model_check(struct world *w, uint32_t vcpu, uint64_t gva, uint32_t access,
                 const struct oracle_result *fresh, const struct result *result);
struct oracle_result model_fresh(struct world *w, uint32_t vcpu, uint64_t gva, uint32_t access);
void model_flush(struct world *w, uint32_t vcpu, uint32_t space, const uint64_t *page);
void model_sweep(struct world *w, uint32_t vcpu);
void model_unmapped(struct world *w, uint64_t gpa, uint64_t length);

/* shrink.c */
/** Runs a trace in a fresh world. @return how many operations until it fails, 0 if it does not */
uint32_t trace_run(uint64_t seed, const struct op *ops, uint32_t count, char *ret_why, size_t size);
uint32_t trace_shrink(uint64_t seed, struct op *ops, uint32_t count);
/** An episode of random operations, kept in ops. @return as trace_run */
uint32_t episode_run(uint64_t seed, struct op *ops, uint32_t count, char *ret_why, size_t size,
                     uint64_t *counts);

#endif /* GN_TEST_FUZZ_H */
