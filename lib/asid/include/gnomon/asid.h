/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_ASID_H
#define GN_ASID_H

/*
 * gnomon/asid.h - shadow ASIDs: few identifiers in the MMU for many guest address spaces.
 *
 * A TLB tagged with address-space identifiers keeps the translations of several address spaces.
 * Guests have identifiers of their own (satp.ASID, PCID), chosen without regard for one another,
 * so the hypervisor puts another one into the MMU: the shadow ASID of the pair (VM, guest context).
 *
 *      (VM, guest context)            shadow ASID             CPUs whose TLB may hold entries
 *      (1, 7)  running on 0  ------>   3  in use              { 0, 2 }
 *      (1, 9)  not running   ------>   4  in use              { 2 }
 *      (2, 7)  running on 2  ------>   5  in use              { 2 }
 *           (nobody)                   6  dirty: was used     { 1, 2 }   purged before reuse
 *           (nobody)                   7  clean               { }        taken first
 *           (others)                   8  reserved
 *
 * The guest context is 64 bits that the library compares and never interprets: an ASID, a PCID, a
 * table address, with whatever else tells address spaces of one VM apart.
 *
 * Two invariants, whatever is called in whatever order and whichever op fails:
 *  - no two pairs that live share a shadow ASID;
 *  - an ID never passes to another pair, and a pair whose flush has returned never finds an old
 *    translation, before a purge has *completed* on every CPU that could hold entries of the ID.
 *
 * When all IDs are in use, a pair that runs nowhere loses its own. Which one, is a policy:
 *  - GN_ASID_POLICY_ADAPTIVE: the clock below, which learns whether pairs come to stay. Where a
 *    little more than the pool runs in turn, recency takes each ID from who needs it next; then
 *    most new pairs pass through a few IDs, and the others keep theirs (dynamic insertion).
 *  - GN_ASID_POLICY_CLOCK: second chance, at most two rounds; activation costs no list work.
 *  - GN_ASID_POLICY_LRU: the one that was activated longest ago.
 *  - GN_ASID_POLICY_GENERATION: all of them. One purge of everything on each CPU in use (a
 *    rollover) makes all their IDs clean; pairs that run keep theirs. An MMU that cannot purge one
 *    ID (no GN_ASID_CAP_PURGE_ONE) gets rollovers under every policy.
 *
 * Rules of use:
 *  - A CPU's argument `cpu` is used by one thread at a time: by that CPU.
 *  - The ID that gn_asid_activate returns is loaded into the MMU before the next guest access, and
 *    stays valid on that CPU until its next activate or deactivate, or a flush that it makes itself
 *    and that returns 1.
 *  - Hardware walks ahead of the program: until the new ID is loaded, a CPU may fill its TLB under
 *    the one that it ran before the call. No purge for that CPU may complete in between. Purges
 *    that come as an interrupt keep this by themselves while the CPU calls with interrupts off and
 *    loads before it lets them in; where purges are broadcast, load a reserved ID before the call.
 *  - To change what a pair's translations should be: first change the tables, then flush.
 *  - There are more IDs than CPUs: then one can always be found. init and reserve see to it.
 *
 * It does not program the MMU, and keeps no page tables.
 *
 * Sources: US 7,409,487 (virtualization of address-space identifiers); RISC-V Privileged
 * Architecture 20211203 §4.2.1; Intel SDM vol. 3A §4.10 (PCID, INVPCID); AMD APM vol. 2 §15.16.
 * The rollover that spares running contexts is the scheme of Linux on ARM64. Adaptive insertion:
 * M. Qureshi et al., ISCA 2007; the duel of whole directories: R. Subramanian et al., MICRO 2006.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this library's interface; the soname carries MAJOR. */
#define GN_ASID_VERSION_MAJOR 0
#define GN_ASID_VERSION_MINOR 1

/** The version of the library in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant.
 */
GN_API uint32_t gn_asid_version(void);

/** An allocator; lives in memory that the embedder gives. */
struct gn_asid;

/** For `cpu`: the caller is on no CPU of the pool, or runs no guest now. */
#define GN_ASID_NO_CPU UINT32_MAX

/* Limits of the parameters. */
#define GN_ASID_COUNT_MAX 0x100000 /**< most IDs in a pool */
#define GN_ASID_CPUS_MAX  4096     /**< most CPUs */

/* Policies: who loses an ID when all are in use. */
#define GN_ASID_POLICY_CLOCK      1 /**< second chance */
#define GN_ASID_POLICY_LRU        2 /**< least recently activated */
#define GN_ASID_POLICY_GENERATION 3 /**< everyone who does not run, at once */
#define GN_ASID_POLICY_ADAPTIVE   4 /**< second chance, with what pairs of late have been like */

/* What a flush of a pair that runs on the calling CPU alone does. */
#define GN_ASID_RENAME_AUTO \
    1 /**< renames if a clean ID is at hand and the purge is not a local one */
#define GN_ASID_RENAME_ALWAYS 2 /**< renames if a clean ID is at hand */
#define GN_ASID_RENAME_NEVER  3 /**< purges */

/** gn_asid_ops.caps: the MMU can purge one ID; else purge is not called and may be NULL. */
#define GN_ASID_CAP_PURGE_ONE 0x1u

/**
 * What the library asks of the MMU. Ops are called with the object's lock held, so they must not
 * re-enter it, nor wait for a CPU that may be spinning for that lock with interrupts off.
 */
struct gn_asid_ops {
    uint32_t size; /**< GN_ASID_OPS_INIT sets it */
    uint32_t caps; /**< GN_ASID_CAP_* */
    /**
     * Required with GN_ASID_CAP_PURGE_ONE. Drops all entries that a CPU's TLB holds under one ID.
     * @param cpu  which CPU; may be another than the caller's
     * @param id   the shadow ASID
     * @return 0 once it has *completed*: no later access of that CPU uses such an entry. Else a
     * negative GN_ERR_*, which the caller of the library gets; the ID stays out of use.
     */
    int (*purge)(void *ctx, uint32_t cpu, uint32_t id);
    /**
     * Required without GN_ASID_CAP_PURGE_ONE or with GN_ASID_POLICY_GENERATION, else optional and
     * not called. Drops all entries that a CPU's TLB holds under the IDs of this pool. A context
     * that runs there goes on under its ID.
     * @return as purge
     */
    int (*purge_all)(void *ctx, uint32_t cpu);
    /** Optional (NULL: the embedder serialises all calls). Takes the embedder's lock. */
    void (*lock)(void *ctx);
    /** Required with lock. Releases it. */
    void (*unlock)(void *ctx);
    /** Optional. An invariant of the library is broken; must not return. `what` is a constant. */
    void (*panic)(void *ctx, const char *what);
};

/** First initializer of a gn_asid_ops. */
#define GN_ASID_OPS_INIT .size = sizeof(struct gn_asid_ops)

/** What a pool is. */
struct gn_asid_params {
    uint32_t size;   /**< GN_ASID_PARAMS_INIT sets it */
    uint32_t first;  /**< lowest ID of the pool */
    uint32_t count;  /**< IDs in the pool, 2 to GN_ASID_COUNT_MAX, reserved ones included */
    uint32_t cpus;   /**< CPUs, 1 to GN_ASID_CPUS_MAX; 0 means 1 */
    uint32_t policy; /**< GN_ASID_POLICY_*; 0: ADAPTIVE */
    uint32_t rename; /**< GN_ASID_RENAME_*; 0: AUTO */
    uint64_t seed;   /**< of the hash, so that guests cannot choose colliding contexts; may be 0 */
    const struct gn_asid_ops *ops; /**< copied */
    void *ctx;                     /**< passed to ops */
    /**
     * IDs that others use: bit i % 64 of word i / 64 stands for ID first + i, (count + 63) / 64
     * words. Read by init alone. NULL: none.
     */
    const uint64_t *reserved;
};

/** First initializer of a gn_asid_params: `{GN_ASID_PARAMS_INIT, .first = 1, .count = 63}`. */
#define GN_ASID_PARAMS_INIT .size = sizeof(struct gn_asid_params)

/* What an ID is, in gn_asid_info.state. */
#define GN_ASID_STATE_CLEAN    0 /**< no pair has it, no TLB holds it */
#define GN_ASID_STATE_DIRTY    1 /**< no pair has it, a TLB may hold it */
#define GN_ASID_STATE_USED     2 /**< a pair has it */
#define GN_ASID_STATE_RESERVED 3 /**< others use it */

/** One ID, as gn_asid_query tells it. */
struct gn_asid_info {
    uint32_t state;   /**< GN_ASID_STATE_* */
    uint32_t vm;      /**< USED: the pair; else 0 */
    uint64_t guest;   /**< USED: the pair; else 0 */
    uint32_t running; /**< CPUs on which the pair runs now */
    uint32_t holders; /**< CPUs whose TLB may hold entries of the ID */
};

/** Event counters since init. */
struct gn_asid_stats {
    uint32_t size;        /**< GN_ASID_STATS_INIT sets it */
    uint32_t reserved;    /**< zero */
    uint64_t activations; /**< gn_asid_activate calls that succeeded */
    uint64_t hits;        /**< of these: the pair had its ID; TLB entries were kept */
    uint64_t last_hits;   /**< of the hits: the pair was running on that CPU already */
    uint64_t allocations; /**< times a pair without an ID got one */
    uint64_t reassigned;  /**< times a pair lost its ID to another */
    uint64_t purges;      /**< purge ops that completed, one a CPU */
    uint64_t purge_alls;  /**< purge_all ops that completed, one a CPU */
    uint64_t rollovers;   /**< rollovers of the whole pool */
    uint64_t flushes;     /**< gn_asid_flush calls, and pairs in gn_asid_vm_flush, that found the
                               pair with an ID */
    uint64_t renames;     /**< of these: done by another ID, without a purge */
    uint64_t releases;    /**< pairs released, those of released VMs included */
    uint64_t failures;    /**< purge or purge_all ops that failed */
};

/** First initializer of a gn_asid_stats. */
#define GN_ASID_STATS_INIT .size = sizeof(struct gn_asid_stats)

/**
 * How much memory an allocator needs.
 *
 * @param params  what the pool is
 * @return bytes, or 0 when gn_asid_init would refuse the parameters
 *
 * Context: any; O(count). Thread-safety: reentrant. Ownership: params is only read.
 */
GN_API size_t gn_asid_size(const struct gn_asid_params *params);

/** The alignment of that memory, in bytes. Context: any. Thread-safety: reentrant. */
GN_API size_t gn_asid_align(void);

/**
 * Builds an allocator in the embedder's memory. The TLBs must hold nothing under the pool's IDs.
 *
 * @param mem       aligned to gn_asid_align(); its content does not matter
 * @param len       its length in bytes, at least gn_asid_size(params)
 * @param params    what the pool is
 * @param ret_asid  the allocator; no pair has an ID
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or no ops; mem unaligned; a count, policy, rename or
 * capability out of range; an op that is required is missing, or lock without unlock
 *  - -GN_ERR_RANGE: first + count is above 2^32
 *  - -GN_ERR_NOSPC: not more IDs, reserved ones left out, than CPUs
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_2BIG: params or ops has a non-zero tail that this version does not know
 *
 * Context: any; O(memory); no op is called. Thread-safety: none needed before it returns.
 * Ownership: mem belongs to the allocator until gn_asid_fini; params, ops, reserved are only read.
 */
GN_API GN_NODISCARD int gn_asid_init(void *mem, size_t len, const struct gn_asid_params *params,
                                     struct gn_asid **ret_asid);

/**
 * Ends an allocator; its memory is the embedder's again. Purges nothing: the TLBs may still hold
 * entries under the pool's IDs.
 *
 * @param asid  an allocator, or NULL
 *
 * Context: any; O(1). Thread-safety: no other call on the allocator may run.
 */
GN_API void gn_asid_fini(struct gn_asid *asid);

/**
 * A pair begins to run on a CPU, in place of what ran there. It gets an ID if it has none, for
 * which another pair may lose its own.
 *
 * @param asid    the allocator
 * @param cpu     the calling CPU, below params.cpus
 * @param vm      which VM; any value
 * @param guest   which of its address spaces; any value
 * @param ret_id  what to load into the MMU, in first .. first + count - 1
 * @return
 *  - 0; ret_id needs no purge by the caller
 *  - -GN_ERR_INVAL: a NULL argument, or no such CPU
 *  - -GN_ERR_NOSPC: every ID runs on some CPU or is being kept back after a failed purge
 *  - what purge or purge_all returned, if it failed; nothing changed but that a pair which ran
 *    nowhere may have lost its ID
 *
 * Context: any in which the ops may be called; O(1) for a pair that has an ID, without taking the
 * lock if it runs on that CPU already; else amortised O(1) and the purge ops, O(count + cpus) for a
 * rollover. Thread-safety: concurrent with all but fini, given lock ops; one thread a CPU.
 */
GN_API GN_NODISCARD int gn_asid_activate(struct gn_asid *asid, uint32_t cpu, uint32_t vm,
                                         uint64_t guest, uint32_t *ret_id);

/**
 * Nothing of the pool runs on a CPU any more. Its TLB may keep its entries.
 *
 * @param asid  the allocator
 * @param cpu   the calling CPU
 * @return
 *  - 0, also if nothing ran there
 *  - -GN_ERR_INVAL: asid is NULL, or no such CPU
 *
 * Context: any; O(1); no purge. Thread-safety: as gn_asid_activate.
 */
GN_API GN_NODISCARD int gn_asid_deactivate(struct gn_asid *asid, uint32_t cpu);

/**
 * Forgets every translation of a pair, on all CPUs: when it returns 0 or 1 no later access of the
 * pair uses one that was cached before. The pair stays known and running.
 *
 * A pair that runs nowhere just loses its ID. One that runs on the calling CPU alone may be renamed
 * (params.rename). Else its ID is purged where it may be held, by purge_all if need be.
 *
 * @param asid    the allocator
 * @param cpu     the calling CPU, or GN_ASID_NO_CPU
 * @param vm      the pair
 * @param guest   the pair
 * @param ret_id  written when 1 is returned; may be NULL if cpu is GN_ASID_NO_CPU
 * @return
 *  - 0: done; a pair that has no ID is flushed already
 *  - 1: done, given that the caller loads ret_id before its next guest access
 *  - -GN_ERR_INVAL: a NULL argument, or no such CPU
 *  - what purge or purge_all returned, if it failed: old translations may be in use; call again
 *
 * Context: any in which the ops may be called; O(1) and the purge ops. Thread-safety: as
 * gn_asid_activate.
 */
GN_API GN_NODISCARD int gn_asid_flush(struct gn_asid *asid, uint32_t cpu, uint32_t vm,
                                      uint64_t guest, uint32_t *ret_id);

/**
 * gn_asid_flush for every pair of a VM: its memory slots changed, or a guest flushed global
 * translations.
 *
 * @param asid    the allocator
 * @param cpu     the calling CPU, or GN_ASID_NO_CPU
 * @param vm      the VM
 * @param ret_id  written when 1 is returned; may be NULL if cpu is GN_ASID_NO_CPU
 * @return as gn_asid_flush. On failure some of the pairs have been flushed; call again
 *
 * Context: any in which the ops may be called; O(pairs of the VM that have IDs). Thread-safety: as
 * gn_asid_activate.
 */
GN_API GN_NODISCARD int gn_asid_vm_flush(struct gn_asid *asid, uint32_t cpu, uint32_t vm,
                                         uint32_t *ret_id);

/**
 * An address space is gone: its ID returns to the pool, to be purged before its next use.
 *
 * @param asid   the allocator
 * @param vm     the pair
 * @param guest  the pair
 * @return
 *  - 0, also if the pair has no ID
 *  - -GN_ERR_INVAL: asid is NULL
 *  - -GN_ERR_BUSY: it runs on a CPU; nothing changed
 *
 * Context: any; O(1); no purge. Thread-safety: as gn_asid_activate.
 */
GN_API GN_NODISCARD int gn_asid_release(struct gn_asid *asid, uint32_t vm, uint64_t guest);

/**
 * A VM is gone: all of its IDs return to the pool.
 *
 * @param asid  the allocator
 * @param vm    the VM
 * @return
 *  - 0, also if none of its pairs has an ID
 *  - -GN_ERR_INVAL: asid is NULL
 *  - -GN_ERR_BUSY: one of its pairs runs on a CPU; nothing changed
 *
 * Context: any; O(pairs of the VM that have IDs), under GN_ASID_POLICY_ADAPTIVE O(count); no purge.
 * Thread-safety: as gn_asid_activate.
 */
GN_API GN_NODISCARD int gn_asid_vm_release(struct gn_asid *asid, uint32_t vm);

/**
 * Which ID has a pair? Changes nothing, counts nothing, and is no promise about the next moment
 * unless the pair runs on the calling CPU.
 *
 * @param asid    the allocator
 * @param vm      the pair
 * @param guest   the pair
 * @param ret_id  written when 1 is returned
 * @return
 *  - 1: ret_id
 *  - 0: the pair has none
 *  - -GN_ERR_INVAL: a NULL argument
 *
 * Context: any; O(1). Thread-safety: as gn_asid_activate.
 */
GN_API GN_NODISCARD int gn_asid_lookup(struct gn_asid *asid, uint32_t vm, uint64_t guest,
                                       uint32_t *ret_id);

/**
 * What is known of an ID: for tools and tests.
 *
 * @param asid      the allocator
 * @param id        an ID of the pool
 * @param ret_info  filled on success
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument
 *  - -GN_ERR_NOENT: not an ID of the pool
 *
 * Context: any; O(cpus / 64). Thread-safety: as gn_asid_activate.
 */
GN_API GN_NODISCARD int gn_asid_query(struct gn_asid *asid, uint32_t id,
                                      struct gn_asid_info *ret_info);

/**
 * Takes an ID out of the pool, for another use. A pair that runs nowhere loses it. When the call
 * returns no TLB holds entries of the pool's under it.
 *
 * @param asid  the allocator
 * @param id    an ID of the pool
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: asid is NULL
 *  - -GN_ERR_NOENT: not an ID of the pool
 *  - -GN_ERR_EXIST: it is reserved already
 *  - -GN_ERR_BUSY: its pair runs on a CPU
 *  - -GN_ERR_NOSPC: there would not be more IDs than CPUs left
 *  - what purge or purge_all returned, if it failed: the ID stays in the pool, without a pair
 *
 * Context: any in which the ops may be called; O(cpus), without GN_ASID_CAP_PURGE_ONE that of a
 * rollover. Thread-safety: as gn_asid_activate.
 */
GN_API GN_NODISCARD int gn_asid_reserve(struct gn_asid *asid, uint32_t id);

/**
 * Gives a reserved ID back. The TLBs must hold nothing under it: its user purged them.
 *
 * @param asid  the allocator
 * @param id    an ID of the pool
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: asid is NULL
 *  - -GN_ERR_NOENT: not an ID of the pool, or not reserved
 *
 * Context: any; O(1). Thread-safety: as gn_asid_activate.
 */
GN_API GN_NODISCARD int gn_asid_unreserve(struct gn_asid *asid, uint32_t id);

/**
 * A CPU's TLB holds nothing of the pool, by the embedder's own doing: it was reset, or unplugged,
 * or purged whole. Saves the purges that are owed to it.
 *
 * @param asid  the allocator
 * @param cpu   which CPU; nothing of the pool may run there
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: asid is NULL, or no such CPU
 *  - -GN_ERR_BUSY: something runs there: deactivate first
 *
 * Context: any; O(count). Thread-safety: as gn_asid_activate.
 */
GN_API GN_NODISCARD int gn_asid_cpu_reset(struct gn_asid *asid, uint32_t cpu);

/**
 * Tells the counters.
 *
 * @param asid   the allocator
 * @param stats  with its size set; filled as far as both sides know, unknown members become zero
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or a size below that of the first version
 *
 * Context: any; O(cpus). Thread-safety: as gn_asid_activate; the counts of CPUs that are activating
 * may be told before or after.
 */
GN_API GN_NODISCARD int gn_asid_stats_get(struct gn_asid *asid, struct gn_asid_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* GN_ASID_H */
