/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SHADOW_H
#define GN_SHADOW_H

/*
 * gnomon/shadow.h - shadow page tables.
 *
 * The guest builds page tables (GPT) from guest virtual to guest physical addresses. An MMU that
 * knows nothing of the guest needs tables from guest virtual to host physical addresses: shadow
 * page tables (SPT). This library builds them on demand and keeps them true.
 *
 *          guest's tables                               shadow tables: what the MMU walks
 *
 *    satp -> [root] -> [table T] -> GPA                 [S(root)] -> [S(T)] -> HPA
 *                         ^                                            ^
 *        the guest writes |            gn_shadow_sync(GPA of the entry)| re-reads that entry and
 *        an entry of T    +--- trapped, or recorded in a log ----------+ brings S(T) up to date
 *
 * A shadow table stands for one guest table *in one role*: its level, the permissions inherited
 * from above, the format and the control bits that change what entries mean. Roots and shadow
 * tables are shared by all who use them in the same role. A guest page larger than what can be
 * mapped in one piece (it crosses a memory slot's edge, a table lies inside it) is splintered
 * through shadow tables that stand for no guest table at all.
 *
 * What may go wrong between the two worlds, and what keeps it from going wrong:
 *
 *  - The guest changes an entry. Every page that holds a shadowed table is either write-protected
 *    (policy TRAP: the write comes to the embedder, who performs it and calls gn_shadow_sync()
 *    at once) or marked traced (policy TRACED: the MMU completes and records the write, the
 *    embedder drains the record at the next coherence point and calls gn_shadow_sync() for each),
 *    or left alone (UNSYNC, for leaf-level tables: nobody records the write, and what the table
 *    maps is re-read by gn_shadow_coherence_page() and gn_shadow_coherence_root()). ADAPT begins
 *    with TRAP and changes a page as it is written. On x86 an entry that becomes present is used
 *    without a flush: that needs no record, since an absent shadow entry faults, and an unsync
 *    table holds no absent markers, which would answer instead. RISC-V orders every change by
 *    SFENCE.VMA, so that all policies are open to it, and a guest that flushes all can do without.
 *  - The MMU has cached what an SPT said. Every change that takes something away from an SPT
 *    entry calls invalidate_... before the library's function returns: at every moment, what the
 *    MMU caches is what the SPT says or less. So an embedder's own flushes are needed for nothing
 *    but the coherence point itself.
 *  - Memory runs out. The number of tables is fixed at init. A fault reserves what it may need
 *    before it changes anything; what was not used for longest (second chance) makes room.
 *
 * Invariant: at every coherence point, after the log is drained, for every address and access
 * kind, MMU-with-SPT and a fresh walk of the GPT agree. gn_shadow_audit() checks it.
 *
 * Rules of use:
 *
 *     gn_shadow_slot_add()                    what backs guest physical memory
 *     gn_shadow_root_get()  -> root.hpa       on a change of address space; load it, then
 *     gn_shadow_root_put()                    give back the one that was loaded before
 *     gn_shadow_fault()                       whenever the MMU could not complete an access
 *     gn_shadow_sync()                        for every write to guest memory that was trapped,
 *                                             logged, or done behind the MMU (devices)
 *
 *     gn_shadow_coherence_page(), ..._root()  at coherence points, under UNSYNC and ADAPT
 *
 * That is the side of the guest and its MMU. Two headers that this one includes have the others:
 *
 *     <gnomon/shadow_memory.h>   the host's: slots; pages that it takes away (gn_shadow_revoke());
 *                                the dirty log, for migration (gn_shadow_dirty_harvest()); pages
 *                                whose writes somebody else must know of (gn_shadow_watch())
 *     <gnomon/shadow_inspect.h>  the onlooker's: counters, gn_shadow_audit()
 *
 * Threads. Without lock ops, calls on one shadow are serialized by the embedder. With them, any
 * thread may call at any time, and calls go on side by side: "shares" below says of a function that
 * it lets others in that share, too; "excludes" that it waits until it is alone, and the others
 * meanwhile. A call that shares may find that it has to exclude (a fault that makes a table), and
 * begins anew then. gn_shadow_init() and gn_shadow_fini() are for one thread, in every case.
 *
 *     lock 0          readers and writers: calls that share take it by lock_shared, others by lock
 *     locks 1 ..      by lock: within calls that share, for as long as an entry is written
 *
 * A call takes locks in the order of their numbers, three at most, each once, and gives them back
 * before it returns. Numbers from 1 up are held while guest, absent_encode, invalidate_... and
 * dirty run, lock 0 while any op does. So:
 *  - No op calls into the same shadow, and none waits for a thread that does, unless that thread
 *    answers while it waits for a lock. This is about invalidate_...: a CPU that is to forget a
 *    translation may be inside gn_shadow_fault(), waiting for a lock that the caller holds. A CPU
 *    that runs no guest code and walks no shadow table meanwhile may be told by a message, which it
 *    sees to before it does so again.
 *  - guest, absent_encode, invalidate_..., dirty and panic may be called by several threads at
 *    once. All other ops are called by one at a time.
 *  - A function whose context is "any" may still wait for lock 0.
 *  - A flush is over when all writes that it must see are synced, those too that another thread has
 *    taken out of a log and not reported yet: let one thread drain at a time, and others wait.
 *  - A lock may spin. Lock 0 should let a writer in sooner or later: readers come all the time.
 *
 * It is not a TLB, does not emulate instructions, and knows neither nested paging nor devices.
 *
 * Formats. The guest's tables and the shadow's may be of different formats, widths and
 * architectures. Where the guest's addresses are narrower, what lies between its halves faults in
 * the guest and is never mapped. What differs in the rules of access is made up for by
 * the controls of the MMU that walks the shadow, which gn_shadow_mmu_controls() tells:
 *
 *     guest in shadow     the MMU's controls                       where one entry cannot say it
 *     x86 in x86          the guest's, with WP and NXE set;        WP = 0: see below
 *                         PKE clear, but for 4 and 5 levels
 *     RISC-V in RISC-V    the guest's
 *     RISC-V in x86       WP, NXE, SMEP, SMAP set; AC = SUM        execute-only, MXR
 *     x86 in RISC-V       MXR clear; SUM = AC, or set if SMAP is   supervisor fetch of a user page;
 *                         clear; SUM clear for implicit accesses   WP = 0
 *                         under SMAP
 *     AArch64 in x86      WP, NXE, SMEP, SMAP set; AC = not PAN    execution without reading
 *     AArch64 in RISC-V   MXR clear; SUM = not PAN
 *
 * Then a leaf shows one view of the page, which allows less than the guest does, and another access
 * faults and flips it: with CR0.WP = 0 a read-only user page that the supervisor writes becomes a
 * writable supervisor page (never executable with SMEP) until a user comes; and in a RISC-V shadow
 * a user page that the supervisor runs becomes a supervisor page (with SMAP, one that can only be
 * executed). An execute-only page of a RISC-V guest is readable in an x86 shadow under MXR, which
 * is a part of the root's key there, and never else. What no view can say is answered with
 * GN_SHADOW_EMULATE, each time: an execution of an execute-only page in an x86 shadow without MXR,
 * and, with WP = 0 and SMAP, a supervisor's write to a read-only user page.
 *
 * A page of 4 MiB (32-bit x86) is mapped by two leaves of 2 MiB. The root of a PAE guest is its
 * four PDPTEs, 32 bytes, read as memory: where the machine would have them in registers, name a
 * copy in no slot, and call gn_shadow_sync() for it at each MOV to CR3.
 *
 * AArch64 (stage 1, 4 KiB granule): TTBR0 and TTBR1 are halves of one root. A page that EL1 may run
 * and EL0 read, or EL0 run and not read, has two views in a RISC-V shadow; in an x86 shadow its
 * execution by the other is answered with GN_SHADOW_EMULATE. So is, under SCTLR_EL1.EPAN, EL1's
 * access to the data of a page that EL0 may run and not read: PSTATE.PAN decides about it, which is
 * no matter of such a page for our MMU. No leaf is global. Tags (TBI) make an address one that the
 * MMU cannot be asked for: strip them, or see below. Where a walk under TCR_EL1.HD makes a page
 * dirty, roots without HD learn of it at once.
 *
 * Protection keys (x86 of 4 and 5 levels with CR4.PKE). In an x86 shadow each leaf has the key of
 * the guest's, and the MMU judges by the guest's PKRU, which the guest may change without a word. A
 * RISC-V MMU has no keys: there PKRU is a part of the root's key, so that WRPKRU loads another
 * root, whose leaves say what PKRU leaves of a page; one whose data are denied can still be
 * executed. (No such guest runs WRPKRU unseen there, and answering each access to a page that PKRU
 * restricts with GN_SHADOW_EMULATE would cost a fault each.) With WP = 0, in an x86 shadow, a
 * supervisor's write to a read-only or write-disabled user page is answered with GN_SHADOW_EMULATE
 * under PKE.
 *
 * Global pages. Without GN_SHADOW_MMU_GLOBAL no leaf has G, and the MMU need not know of it. With
 * it, G passes where a leaf says just what the guest's entry does, for that may be used through
 * roots of all controls (not in a flipped view; not of a user page of a guest with keys in a RISC-V
 * shadow). Whatever is taken away from such a leaf, or from a link, is invalidated for
 * GN_SHADOW_ROOT_ANY, and a root that leaves the cache takes all translations along
 * (invalidate_all). So a global translation survives a change of roots and is never stale. What is
 * left to the embedder: the MMU heeds G only while the guest has it enabled (CR4.PGE), forgets what
 * is global where the guest's machine does (CR4.PGE toggled), and between guests and roots of
 * different formats. Where a guest makes an address global in one root and maps it otherwise in
 * another, an access may fault twice before it completes.
 *
 * Guests wider than the shadow. The MMU can only be asked for addresses of the shadow's width: the
 * lowest and the highest of the guest's, which hang on different tables of it; what is loaded for
 * such a root is a frame beside its tables (params.tables does not count it). An access elsewhere,
 * which whoever runs the guest must not give to the MMU with bits cut off, is answered by
 * gn_shadow_fault() each time: with the guest's own fault, as MMIO, HOLE or ROM_WRITE, or with
 * GN_SHADOW_EMULATE and where it leads.
 *
 * Sources: US 8,060,722, 8,219,779 and 8,838,914 (traced writes); K. Adams and O. Agesen, "A
 * comparison of software and hardware techniques for x86 virtualization", ASPLOS 2006; Linux,
 * Documentation/virt/kvm/x86/mmu.rst (roles, reverse map); RISC-V Privileged Architecture 20211203
 * §4.2.1 (SFENCE.VMA); Intel SDM vol. 3A §4.10.
 */

#include <gnomon/base.h>
#include <gnomon/paging.h>
#include <gnomon/shadow_inspect.h>
#include <gnomon/shadow_memory.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this library's interface; the soname carries MAJOR. */
#define GN_SHADOW_VERSION_MAJOR 0
#define GN_SHADOW_VERSION_MINOR 1

/** The version of the library in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant.
 */
GN_API uint32_t gn_shadow_version(void);

/** The shadow of one virtual machine. */
struct gn_shadow;

/* How the library learns that the guest wrote to one of its tables. */
#define GN_SHADOW_POLICY_TRAP   0 /**< table pages are mapped read-only; writes come as TRAPPED */
#define GN_SHADOW_POLICY_TRACED 1 /**< table pages are mapped writable and marked traced */
/**
 * A leaf-level table's page is trapped until it is first written, then left alone and re-read at
 * coherence points: gn_shadow_coherence_page(), gn_shadow_coherence_root(). Others are trapped.
 */
#define GN_SHADOW_POLICY_UNSYNC 2
/**
 * Trapped, but a page trapped often is left to be unsync, or traced: see params.unsync_after. An
 * unsync page that is not written costs a re-read at each coherence point, and is trapped again
 * (params.sync_after). A traced page that is not written costs nothing, and one that is costs less
 * than a trap: it stays traced as long as tables lie there.
 */
#define GN_SHADOW_POLICY_ADAPT 3

/* gn_shadow_params.flags */
#define GN_SHADOW_MMU_TRACES 1 /**< ADAPT: the MMU heeds GN_SHADOW_TRACED; prefer it to unsync */
/** The MMU heeds G: what it translated through one root it may use through others. See "Global
 *  pages"; without this flag, no leaf is global. */
#define GN_SHADOW_MMU_GLOBAL 2
/** The MMU keeps leaves only: it begins each walk at the root, having cached no table on the way,
 *  and no CPU walks while the library is called. Then a table that has become empty leaves without
 *  an invalidation: of each of its leaves the MMU was told. */
#define GN_SHADOW_MMU_LEAVES 4

/** The bit of a shadow leaf that marks a traced page, as gn_paging decodes it. */
#define GN_SHADOW_TRACED GN_PAGING_SOFT0

/** In place of a root's id: every root. */
#define GN_SHADOW_ROOT_ANY UINT32_MAX

/* Why a shadow entry is left absent: gn_shadow_absent.kind. */
#define GN_SHADOW_ABSENT_GUEST 0 /**< the guest's entry is not present */
/** The guest's page lies in an MMIO slot, and its permissions alone say who may access it: neither
 *  PKRU nor, under EPAN, PAN has a say. */
#define GN_SHADOW_ABSENT_MMIO 1

/** What the library knows about an entry that stays absent. */
struct gn_shadow_absent {
    uint32_t size;        /**< of this structure, as the library knows it */
    uint32_t kind;        /**< GN_SHADOW_ABSENT_... */
    uint32_t level;       /**< level of the shadow entry, and of the guest entry it stands for */
    uint32_t permissions; /**< MMIO: GN_PAGING_R|W|X|U|D of the guest's mapping; else 0 */
    gn_gpa_t entry;       /**< GUEST: address of the guest entry that is not present */
    gn_gpa_t gpa;         /**< MMIO: guest physical address of the page */
};

/** What the library asks of the embedder. Called on the thread that called the library. */
struct gn_shadow_ops {
    uint32_t size;     /**< GN_SHADOW_OPS_INIT sets it */
    uint32_t reserved; /**< zero */
    /** Required. How to read guest entries and to set A and D in them. Must not re-enter. */
    const struct gn_paging_ops *guest;
    /**
     * Required. Gives a 4 KiB frame for a shadow table: where the MMU finds it, and where the
     * library may write it. Contents are unspecified.
     * @return 0, or a negative status: the library makes do with the tables it has
     */
    int (*frame_alloc)(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame);
    /** Required. Takes a frame back. No MMU entry leads to it any more. */
    void (*frame_free)(void *ctx, gn_hpa_t hpa, void *frame);
    /**
     * Required. The MMU must forget translations of [gva, gva + length) made through this root, or
     * through every root if it is GN_SHADOW_ROOT_ANY, on every CPU, before it returns.
     * Length is a multiple of 4 KiB; gva is aligned to 4 KiB.
     */
    void (*invalidate_range)(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length);
    /** Required. The MMU must forget every translation, of every root. */
    void (*invalidate_all)(void *ctx);
    /**
     * Optional. A root has left the cache: its id and its cookie mean nothing any more, and
     * translations made through it must be forgotten before the op returns. Whoever tags the MMU's
     * entries with an ASID for this root gives the ASID back here.
     */
    void (*root_gone)(void *ctx, uint32_t root, uint64_t cookie);
    /**
     * Optional. An encoding, absent for the MMU, that says why an entry is absent; 0 says nothing.
     * The library stores it, clears it when the guest's entry is reported as written, and never
     * interprets it.
     */
    uint64_t (*absent_encode)(void *ctx, const struct gn_shadow_absent *absent);
    /** Optional. A page begins (1) or ceases (0) to hold shadowed tables: for page-granular logs.
     */
    void (*table_page)(void *ctx, gn_gpa_t page, uint32_t traced);
    /** Optional. An invariant is broken; `what` is a constant string. Does not return. */
    void (*panic)(void *ctx, const char *what);
    /**
     * Optional. A page of a logged slot is written for the first time since it was harvested: for
     * an embedder that keeps a ring of such pages. Its bit is set already.
     * @return 0, or a negative status if there is no room: counted, and found by the next harvest
     */
    int (*dirty)(void *ctx, uint32_t slot, gn_gpa_t page);
    /**
     * Optional, both or none: lock n, below gn_shadow_locks(), for one thread alone. See "Threads"
     * above. With none, the embedder serializes the calls on this shadow.
     */
    void (*lock)(void *ctx, uint32_t n);
    void (*unlock)(void *ctx, uint32_t n);
    /**
     * Optional, both or none, and not without lock: lock 0 for any number of threads at a time,
     * while lock(0) shuts them all out. With none, every call takes lock 0 alone, and no other.
     */
    void (*lock_shared)(void *ctx, uint32_t n);
    void (*unlock_shared)(void *ctx, uint32_t n);
    /**
     * Optional; with none, invalidate_range is called. As that, of leaves that have lost nothing
     * but the right to be written, or whose mark has changed: the MMU must forget translations that
     * serve writes, and may go on with others, to read and execute.
     */
    void (*invalidate_writes)(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length);
};

/** First initializer of a gn_shadow_ops. */
#define GN_SHADOW_OPS_INIT .size = sizeof(struct gn_shadow_ops)

/** Parameters of a shadow. */
struct gn_shadow_params {
    uint32_t size;   /**< GN_SHADOW_PARAMS_INIT sets it */
    uint32_t format; /**< GN_PAGING_..., of the shadow tables; not BARE */
    uint32_t policy; /**< GN_SHADOW_POLICY_... */
    uint32_t tables; /**< at most, 16 to 2^20: gn_shadow_tables_for(RAM); 0 means 1,024 */
    uint32_t roots;  /**< cached roots at most, 2 to 65,536; 0 means 64 */
    uint32_t slots;  /**< memory slots at most, 1 to 256; 0 means 32 */
    /**
     * Entries of a table that were synced since it last served a fault, while no sync mapped,
     * changed or dropped anything, after which it is taken to be no table any more and dropped; 0
     * means 64.
     */
    uint32_t flood_limit;
    uint32_t reserved;               /**< zero */
    const struct gn_shadow_ops *ops; /**< copied */
    void *ops_ctx;                   /**< passed to ops */
    uint32_t flags;                  /**< GN_SHADOW_MMU_... */
    /**
     * ADAPT: a page goes unsync, or traced, with the write that comes after so many trapped ones
     * since its tables last served a fault; 0 means 3.
     */
    uint32_t unsync_after;
    /**
     * ADAPT: an unsync table that so many coherence points found unchanged is trapped again by the
     * next that does; 0 means 3.
     */
    uint32_t sync_after;
    /**
     * Pages, aligned among themselves, that a fault maps along with its own where the guest's
     * entries have A (and D, to be writable) already: a power of two, up to 512; 0 means none. A
     * and D are set by no more than the access, and no other table is looked at.
     */
    uint32_t fault_around;
    /**
     * Steps that one call makes at most before it returns -GN_ERR_AGAIN; below 2^32 - 1; 0 means
     * no limit. A step is an entry dropped, changed or re-read, or a page; looking at what is empty
     * or clean already is none. A call that has returned -GN_ERR_AGAIN has come nearer to the end,
     * so repeating it ends, as long as faults in between do not make work as fast as it is done.
     * What a small limit costs: absent entries are said to be so when they are used, a page goes
     * unsync only if all that depends on it can be told in one call, and what a coherence point has
     * not the steps to re-read is dropped.
     *
     * Not bounded by it: gn_shadow_fini() and gn_shadow_audit(), and gn_shadow_sync(), which does
     * its whole range, page by page (gn_shadow_sync_part() is). gn_shadow_slot_add() clears its
     * bookkeeping, gn_shadow_revoke() and gn_shadow_dirty_harvest() look at each page of the range
     * they are given; a step of a sync is one for all the roles of a table.
     */
    uint32_t step_limit;
    /**
     * Locks of each kind but the first: a power of two, up to 4,096; 0 means 64. More of them keep
     * more faults apart. See gn_shadow_locks().
     */
    uint32_t lock_stripes;
};

/** First initializer of a gn_shadow_params. */
#define GN_SHADOW_PARAMS_INIT .size = sizeof(struct gn_shadow_params)

/** What names a root: an address space of the guest. */
struct gn_shadow_root_key {
    uint32_t size;      /**< GN_SHADOW_ROOT_KEY_INIT sets it */
    uint32_t format;    /**< GN_PAGING_..., of the guest's tables */
    gn_gpa_t table;     /**< root table, 4 KiB aligned, X86_PAE: 32 bytes; 0 for BARE */
    uint32_t controls;  /**< GN_PAGING_...; those that only concern an access (SUM, MXR, AC, PAN)
                             do not distinguish roots, but for MXR in an x86 shadow */
    uint32_t phys_bits; /**< x86 MAXPHYADDR, AArch64's TCR_EL1.IPS: as in gn_paging_context */
    uint64_t tag;       /**< distinguishes roots over one table: the guest's ASID, say */
    uint32_t pkru; /**< x86 with PKE, in a RISC-V shadow: PKRU, which is a part of the root there */
    uint32_t reserved;   /**< zero */
    gn_gpa_t table_high; /**< AArch64: TTBR1, of the upper half; `table` is TTBR0. Else ignored */
};

/** First initializer of a gn_shadow_root_key. */
#define GN_SHADOW_ROOT_KEY_INIT .size = sizeof(struct gn_shadow_root_key)

/** A root that may be loaded. */
struct gn_shadow_root {
    uint32_t id;       /**< for gn_shadow_fault() and the ops; below params.roots */
    uint32_t reserved; /**< zero */
    gn_hpa_t hpa;      /**< what to put into the MMU's root register */
    uint64_t cookie;   /**< never given to another root: a name for an ASID allocator */
};

/** An access that the MMU could not complete. */
struct gn_shadow_access {
    uint32_t size;     /**< GN_SHADOW_ACCESS_INIT sets it */
    uint32_t root;     /**< id of the root in force */
    gn_gva_t gva;      /**< a byte of the access */
    uint32_t access;   /**< GN_ACCESS_* | GN_PAGING_AS_USER | GN_PAGING_IMPLICIT */
    uint32_t controls; /**< GN_PAGING_... in force, all of them */
    uint32_t vcpu;     /**< the virtual CPU; for statistics and future fairness, any number */
    uint32_t pkru;     /**< x86: PKRU in force */
};

/** First initializer of a gn_shadow_access. */
#define GN_SHADOW_ACCESS_INIT .size = sizeof(struct gn_shadow_access)

/* What became of it. */
#define GN_SHADOW_FILLED      0 /**< the shadow maps it now: let the MMU try again */
#define GN_SHADOW_GUEST_FAULT 1 /**< deliver the fault to the guest: see fault and code */
#define GN_SHADOW_MMIO        2 /**< a device: emulate the access at gpa */
#define GN_SHADOW_HOLE        3 /**< nothing is there: an access fault, or reads as ones */
#define GN_SHADOW_ROM_WRITE   4 /**< a write to a read-only slot at gpa */
#define GN_SHADOW_TRAPPED     5 /**< a write to a table: perform it at gpa, then gn_shadow_sync() */
/** Allowed, but no shadow entry can say so and nothing else: perform it at gpa; if it is a write,
 *  gn_shadow_sync() then */
#define GN_SHADOW_EMULATE 6

/** The answer to an access. */
struct gn_shadow_answer {
    uint32_t outcome;     /**< GN_SHADOW_FILLED, ... */
    uint32_t fault;       /**< GUEST_FAULT: GN_PAGING_FAULT_... */
    uint32_t code;        /**< GUEST_FAULT: error code or cause, as in gn_paging_walk */
    uint32_t level;       /**< FILLED: level of the leaf written; GUEST_FAULT: where it arose */
    gn_gpa_t gpa;         /**< where the access leads; not set by GUEST_FAULT */
    uint32_t permissions; /**< GN_PAGING_R|W|X|U|UX|D of the guest's mapping; not GUEST_FAULT */
    uint32_t reserved;    /**< zero */
};

/** Bytes that a table takes at most: its frame, 4 KiB, and its part of gn_shadow_size(). */
#define GN_SHADOW_TABLE_BYTES 8500u

/**
 * The budget of tables for a guest: as many as a fiftieth of its RAM has room for, bookkeeping
 * included (from 64 MiB up; small guests get a little more), 16 to 2^20. Whatever the guest does,
 * there will not be more: tables that served no fault lately give way.
 *
 * @param ram_bytes  of all RAM slots
 * @return for gn_shadow_params.tables
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
static inline uint32_t gn_shadow_tables_for(uint64_t ram_bytes)
{
    const uint64_t tables = ram_bytes / 50 / GN_SHADOW_TABLE_BYTES;

    return tables < 16 ? 16 : tables > (1u << 20) ? 1u << 20 : (uint32_t)tables;
}

/**
 * Bytes that gn_shadow_init() needs for these parameters, or 0 if they are invalid. About 4.2 KiB
 * a table (two 4-byte links an entry are the reverse map) and 80 bytes a root.
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API size_t gn_shadow_size(const struct gn_shadow_params *params);

/**
 * How many locks a shadow of these parameters uses, if ops give any: 1 + 2 x params.lock_stripes.
 * 0 if the parameters are invalid.
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API uint32_t gn_shadow_locks(const struct gn_shadow_params *params);

/** Alignment, in bytes, of the memory for init. Context: any. Thread-safety: reentrant. */
GN_API size_t gn_shadow_align(void);

/**
 * Builds a shadow in the caller's memory. No op is called.
 *
 * @param mem         memory of at least gn_shadow_size(params) bytes, aligned to gn_shadow_align()
 * @param len         its length, in bytes
 * @param params      see there
 * @param ret_shadow  the object, within mem
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, an unaligned mem, a required op missing, a value out of range
 *  - -GN_ERR_2BIG: params or ops are longer than known and not zero there
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_NOTSUP: the format is unknown, BARE, or not one of 8-byte entries
 *
 * Context: any; O(size). Thread-safety: one thread. Ownership: mem stays the caller's, and must
 * stay where it is until gn_shadow_fini().
 */
GN_API GN_NODISCARD int gn_shadow_init(void *mem, size_t len, const struct gn_shadow_params *params,
                                       struct gn_shadow **ret_shadow);

/**
 * Gives all frames back through frame_free (after invalidate_all) and forgets the object. NULL is
 * accepted. root_gone is called for each cached root, loaded or not.
 *
 * Context: where the ops may be called; O(tables). Thread-safety: one thread, and the last call.
 */
GN_API void gn_shadow_fini(struct gn_shadow *shadow);

/**
 * Finds or makes the root of an address space, and holds it: it will not be reclaimed before as
 * many gn_shadow_root_put() calls. A root that nobody holds stays cached until the room is needed,
 * the least recently used first.
 *
 * @param key       see there
 * @param ret_root  what to load
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, an unaligned table
 *  - -GN_ERR_2BIG: the structure is longer than known and not zero there
 *  - -GN_ERR_NOTSUP: the guest's format is unknown
 *  - -GN_ERR_NOSPC: every root is held
 *  - -GN_ERR_NOMEM: no table can be had although nothing that can be reclaimed is left
 *  - -GN_ERR_AGAIN: params.step_limit is reached: to be called again
 *
 * Context: where the ops may be called; O(roots) on a miss. Thread-safety: shares if it is cached,
 * else excludes.
 */
GN_API GN_NODISCARD int gn_shadow_root_get(struct gn_shadow *shadow,
                                           const struct gn_shadow_root_key *key,
                                           struct gn_shadow_root *ret_root);

/**
 * The controls under which the MMU must run to walk shadow tables for a guest: those by which it
 * judges an access, of the shadow's architecture. The rules are in "Formats" above.
 *
 * @param format    GN_PAGING_..., of the guest's tables; BARE: controls are the shadow's, WP and
 * NXE are set
 * @param controls  GN_PAGING_... that the guest has in force, all of them
 * @param access    GN_PAGING_IMPLICIT matters: a RISC-V MMU is then asked with supervisor privilege
 * @return GN_PAGING_X86_... or GN_PAGING_RISCV_...
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API uint32_t gn_shadow_mmu_controls(const struct gn_shadow *shadow, uint32_t format,
                                       uint32_t controls, uint32_t access);

/**
 * Gives a root the tables of another's that the guest's two roots share: an operating system has
 * its own half alike in each address space, and a new one would fault for each part of it. Nothing
 * but links to tables that are there already is made, each if the guest's entry says so now.
 *
 * @param root       id of a root that is held
 * @param from       id of another; where there is none, or it is of another kind, nothing is done
 * @param ret_links  how many links were made; may be NULL
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: no shadow
 *  - -GN_ERR_NOENT: nobody holds the root
 *
 * Context: where the ops may be called; O(entries of a table). Thread-safety: excludes.
 */
GN_API int gn_shadow_root_adopt(struct gn_shadow *shadow, uint32_t root, uint32_t from,
                                uint32_t *ret_links);

/**
 * Lets go of a root.
 *
 * @return
 *  - 0
 *  - -GN_ERR_NOENT: no such root, or nobody holds it
 *
 * Context: any; O(1). Thread-safety: shares.
 */
GN_API GN_NODISCARD int gn_shadow_root_put(struct gn_shadow *shadow, uint32_t root);

/**
 * Resolves an access that the MMU could not complete. Sets A and D in the guest's tables as the
 * machine would. After GN_SHADOW_FILLED the MMU succeeds with this access unless the guest or
 * another vCPU changes something first, but see "Global pages".
 *
 * @param access      see there
 * @param ret_answer  filled on success
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, an unknown access kind
 *  - -GN_ERR_2BIG: the structure is longer than known and not zero there
 *  - -GN_ERR_NOENT: no such root, or nobody holds it
 *  - -GN_ERR_AGAIN: the guest's entries changed under the walk at each of its restarts, or while
 *    their page became one whose writes are known, or an A bit that the walk set is a PDPTE's
 *    reserved bit, or params.step_limit is reached; nothing was promised to the guest, call again
 *  - -GN_ERR_NOMEM: no table can be had although nothing that can be reclaimed is left
 *  - what guest->load or guest->cmpxchg failed with
 *
 * Context: where the ops may be called; O(levels), and O(entries of a table) for each table that
 * is made or reclaimed. Thread-safety: shares, unless it makes a table.
 */
GN_API GN_NODISCARD int gn_shadow_fault(struct gn_shadow *shadow,
                                        const struct gn_shadow_access *access,
                                        struct gn_shadow_answer *ret_answer);

/**
 * The guest's memory [gpa, gpa + length) may have changed: re-reads the table entries in it, and
 * brings every shadow of them up to date. Nothing happens if no shadowed table lies there. It is
 * as gn_shadow_sync_part() repeated to its end: for a length that the caller bounds.
 *
 * @param gpa     any alignment
 * @param length  bytes; 0 does nothing
 * @return
 *  - 0
 *  - -GN_ERR_RANGE: the range wraps
 *
 * Context: where the ops may be called; O(entries in the range x roles of their tables).
 * Thread-safety: shares, unless a table is dropped.
 */
GN_API GN_NODISCARD int gn_shadow_sync(struct gn_shadow *shadow, gn_gpa_t gpa, uint64_t length);

/**
 * gn_shadow_sync() in parts: params.step_limit entries of tables, or pages without any, at most.
 *
 * @param gpa     moved to the first byte that was not looked at yet
 * @param length  the bytes that are left; 0 at the end
 * @return
 *  - 0: all is done
 *  - -GN_ERR_AGAIN: to be called again with what is left
 *  - -GN_ERR_INVAL: a NULL argument
 *  - -GN_ERR_RANGE: the range wraps
 *
 * Context: where the ops may be called; O(step_limit x roles). Thread-safety: as gn_shadow_sync().
 */
GN_API GN_NODISCARD int gn_shadow_sync_part(struct gn_shadow *shadow, gn_gpa_t *gpa,
                                            uint64_t *length);

/**
 * Forgets everything that was derived from the guest's tables through one root, or every root:
 * the eager answer to a flush, for an embedder without traps or log, and the baseline of benches.
 *
 * @param root  a root's id, or GN_SHADOW_ROOT_ANY
 * @return
 *  - 0
 *  - -GN_ERR_NOENT: no such root
 *  - -GN_ERR_AGAIN: params.step_limit is reached: to be called again
 *
 * Context: where the ops may be called; O(tables). Thread-safety: excludes.
 */
GN_API GN_NODISCARD int gn_shadow_flush(struct gn_shadow *shadow, uint32_t root);

/**
 * A coherence point of one address (INVLPG, SFENCE.VMA or TLBI with an address), under the
 * policies UNSYNC and ADAPT: what an unsync table says of it is re-read; the table stays unsync.
 * Under the others, and for pages that are not unsync, nothing is to be done.
 *
 * @param root  a root's id, or GN_SHADOW_ROOT_ANY, where the flush concerns every address space
 * @param gva   any address of the page
 * @return
 *  - 0
 *  - -GN_ERR_NOENT: no such root
 *
 * Context: where the ops may be called; O(levels), for each root. Thread-safety: shares.
 */
GN_API GN_NODISCARD int gn_shadow_coherence_page(struct gn_shadow *shadow, uint32_t root,
                                                 gn_gva_t gva);

/**
 * A coherence point of an address space (MOV to CR3, a write to satp, SFENCE.VMA without an
 * address): re-reads what is unsync and can be reached from the root. To be called when a root is
 * loaded, too, unless the machine would keep its translations (PCID with NOFLUSH).
 *
 * @param root  a root's id, or GN_SHADOW_ROOT_ANY
 * @return
 *  - 0
 *  - -GN_ERR_NOENT: no such root
 *  - -GN_ERR_AGAIN: params.step_limit is reached: to be called again. The coherence point has come
 *    to pass when 0 is returned
 *
 * Context: where the ops may be called; O(unsync tables of the root x entries they map).
 * Thread-safety: shares, unless a table changes its policy, or many are unsync.
 */
GN_API GN_NODISCARD int gn_shadow_coherence_root(struct gn_shadow *shadow, uint32_t root);

#ifdef __cplusplus
}
#endif

#endif /* GN_SHADOW_H */
