/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SOFTMMU_H
#define GN_SOFTMMU_H

/*
 * gnomon/softmmu.h - an MMU in software, with the extensions that shadow paging wishes for.
 *
 * It does what a hardware MMU does: walks tables from a root, caches what it finds by ASID, and
 * refuses what an entry does not permit. And three things that hardware does not:
 *
 *  - A leaf may carry the *traced* mark. A write through it is completed and recorded, and does
 *    not trap. The mark is kept in the TLB entry.
 *  - An absent entry may say why it is absent. The MMU asks, and gives the guest's fault without
 *    an exit.
 *  - Neither a switch of address spaces nor one of privilege flushes anything.
 *
 *        gva, access
 *           |
 *           v          hit                     <gnomon/softmmu_inline.h>, inlined
 *       [ window ] -----------> host address
 *           | miss
 *           v                      leaf                    traced?
 *   gn_softmmu_access(): walk SPT -------> fill TLB, done ----------> write, then ops->traced_write
 *           |
 *           +-- absent: ops->absent says why: guest's fault, device, or unknown: a shadow fault
 *
 * The machine's memory is one array; a host physical address is an offset in it. Shadow tables lie
 * there beside guest RAM, and an entry that points outside of it is refused.
 *
 * A virtual CPU has a TLB for each of the contexts it ran in last, an ASID under a privilege view,
 * and two windows, one for data and one for instruction fetches, since they may be made with
 * different privileges and address spaces (RISC-V MPRV). A window looks at one context's TLB.
 *
 * Walks of chains of dependent loads wait for the TLB at each link, unless the host's address of
 * each page is as far from the guest's as that of the one before. gn_softmmu_stray() makes it so.
 *
 * A and D bits of the tables it walks are neither looked at nor set: the shadow sets them in the
 * guest's tables, and maps clean pages read-only.
 *
 * Sources: US 8,060,722, 8,219,779 and 8,838,914 (traced writes); US 8,015,388 (absent entries
 * that say why).
 */

#include <gnomon/base.h>
#include <gnomon/mmu.h>
#include <gnomon/softmmu_inline.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this platform's interface; the soname carries MAJOR. */
#define GN_SOFTMMU_VERSION_MAJOR 0
#define GN_SOFTMMU_VERSION_MINOR 1

/** The version in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant. */
GN_API uint32_t gn_softmmu_version(void);

/** An MMU. */
struct gn_softmmu;

/** What the MMU asks of the embedder. */
struct gn_softmmu_ops {
    uint32_t size;     /**< GN_SOFTMMU_OPS_INIT sets it */
    uint32_t reserved; /**< zero */
    /**
     * Optional. An absent entry, other than zero, stopped an access: does it say why? Fills
     * outcome with GN_MMU_GUEST_FAULT and code, or GN_MMU_MMIO and gpa (of the 4 KiB page: the
     * offset in it is added, so a device's marker belongs in a table of level 0), and returns 1;
     * or returns 0: unknown. `access` is GN_ACCESS_* | GN_PAGING_AS_USER. May be called at every
     * access that the TLB does not hold; must not call the MMU.
     */
    int (*absent)(void *ctx, uint32_t vcpu, uint64_t entry, uint32_t access,
                  struct gn_mmu_answer *ret_answer);
    /**
     * Required if leaves carry the traced mark, GN_PAGING_SOFT0. A write of this many bytes at hpa
     * has completed. Called by gn_softmmu_written() and by the platform's access.
     */
    void (*traced_write)(void *ctx, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes);
    /**
     * Optional. Loads of a context stray in this page: see gn_softmmu_stray(). Can it be had, to be
     * read and written, at *ret_window + gva in the host's memory? The window is not 0, and the
     * same for all pages of a place until gn_softmmu_window_forget() is called for it, which this
     * op may do. From then on until the op is asked of the same gva and place, or the place is
     * forgotten, the page stays there. `place` is a small number: that of the slab, below
     * params.contexts, which is another context's later. Returns 1, or 0: it cannot, or is not
     * worth it.
     */
    int (*conform)(void *ctx, uint32_t vcpu, uint32_t place, gn_gva_t gva, gn_hpa_t hpa,
                   uint64_t *ret_window);
};

/** First initializer of a gn_softmmu_ops. */
#define GN_SOFTMMU_OPS_INIT .size = sizeof(struct gn_softmmu_ops)

/** Parameters. */
struct gn_softmmu_params {
    uint32_t size;                    /**< GN_SOFTMMU_PARAMS_INIT sets it */
    uint32_t format;                  /**< GN_PAGING_... of the tables it walks; not BARE */
    uint32_t vcpus;                   /**< 1 to 256; 0 means 1 */
    uint32_t tlb_entries;             /**< a context and access kind, at most; power of two, 64 to
                                           2^20; 0 means 16,384 */
    void *memory;                     /**< the machine's memory, 4 KiB aligned */
    uint64_t memory_size;             /**< bytes, a multiple of 4 KiB */
    const struct gn_softmmu_ops *ops; /**< copied */
    void *ops_ctx;                    /**< passed to ops */
    /**
     * Contexts, each an ASID and a view of it, whose translations are kept, a vCPU: 4 to 4,096; 0
     * means 64. Beyond that the one loaded longest ago is forgotten. A context takes 48 bytes times
     * tlb_entries and 3.4 KiB, of which memory is touched as its pages need it, 12 KiB at least.
     */
    uint32_t contexts;
    uint32_t reserved; /**< zero */
};

/** First initializer of a gn_softmmu_params. */
#define GN_SOFTMMU_PARAMS_INIT .size = sizeof(struct gn_softmmu_params)

/** The two windows of a virtual CPU. */
#define GN_SOFTMMU_PORT_DATA  0 /**< reads and writes */
#define GN_SOFTMMU_PORT_FETCH 1 /**< instruction fetches */

/** What a port runs on. */
struct gn_softmmu_context {
    uint32_t size;     /**< GN_SOFTMMU_CONTEXT_INIT sets it */
    uint32_t asid;     /**< shadow ASID, below 2^GN_SOFTMMU_ASID_BITS */
    gn_hpa_t root;     /**< root table, 4 KiB aligned */
    uint32_t view;     /**< GN_SOFTMMU_VIEW_... */
    uint32_t mxr;      /**< 1: executable pages are readable (RISC-V MXR) */
    uint32_t controls; /**< x86 formats: GN_PAGING_X86_WP, _NXE, _SMEP, _SMAP, the same for both
                            ports; a change flushes the vCPU's TLB. Other bits are ignored */
    uint32_t reserved; /**< zero */
};

/** First initializer of a gn_softmmu_context. */
#define GN_SOFTMMU_CONTEXT_INIT .size = sizeof(struct gn_softmmu_context)

/** A translation, or why there is none. */
struct gn_softmmu_answer {
    struct gn_mmu_answer mmu; /**< GN_MMU_DONE here means: translated, nothing transferred yet */
    void *host;               /**< DONE: where the first byte lies */
    gn_hpa_t hpa;             /**< DONE: the same as an offset in the machine's memory */
    uint32_t traced;          /**< DONE, write: once written, call gn_softmmu_written() */
    uint32_t reserved;
};

/** Counters since init. */
struct gn_softmmu_stats {
    uint32_t size;          /**< set by the caller; at most that many bytes are written */
    uint32_t reserved;      /**< zero */
    uint64_t walks;         /**< walks of shadow tables: TLB misses */
    uint64_t fills;         /**< TLB entries written */
    uint64_t exits;         /**< ABSENT, DENIED and BAD_TABLE answers: shadow faults */
    uint64_t marker_faults; /**< guest faults given without an exit */
    uint64_t marker_mmio;   /**< device accesses found without an exit */
    uint64_t traced_writes; /**< writes completed and recorded */
    uint64_t invalidations; /**< ranges invalidated */
    uint64_t asid_flushes;  /**< ASIDs invalidated */
    uint64_t full_flushes;  /**< whole TLBs invalidated */
    uint64_t context_sets;
    uint64_t contexts_evicted; /**< contexts forgotten for want of room */
    uint64_t strays;           /**< calls of gn_softmmu_stray() that found their page */
    uint64_t conformed;        /**< entries made to conform */
};

/** First initializer of a gn_softmmu_stats. */
#define GN_SOFTMMU_STATS_INIT .size = sizeof(struct gn_softmmu_stats)

/** Bytes that gn_softmmu_init() needs, or 0 if the parameters are invalid. Context: any. */
GN_API size_t gn_softmmu_size(const struct gn_softmmu_params *params);

/** Alignment, in bytes, of the memory for init. Context: any. Thread-safety: reentrant. */
GN_API size_t gn_softmmu_align(void);

/**
 * Builds an MMU in the caller's memory.
 *
 * @param mem      memory of at least gn_softmmu_size(params) bytes, aligned to gn_softmmu_align()
 * @param len      its length, in bytes
 * @param params   see there
 * @param ret_mmu  the object, within mem
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, something unaligned, a value out of range
 *  - -GN_ERR_2BIG: params or ops are longer than known and not zero there
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_NOTSUP: the format is unknown, BARE, or not one of 8-byte entries and tables that are
 *    all alike
 *
 * Context: any; O(size). Thread-safety: one thread. Ownership: mem and params->memory stay the
 * caller's, and must stay where they are until gn_softmmu_fini().
 */
GN_API GN_NODISCARD int gn_softmmu_init(void *mem, size_t len,
                                        const struct gn_softmmu_params *params,
                                        struct gn_softmmu **ret_mmu);

/** Forgets the object; NULL is accepted. Context: any. Thread-safety: the last call. */
GN_API void gn_softmmu_fini(struct gn_softmmu *mmu);

/**
 * The window that a port's probe reads: see <gnomon/softmmu_inline.h>. NULL if there is no such
 * vCPU or port. It stays at one address until fini. Context: any; O(1).
 */
GN_API const struct gn_softmmu_window *gn_softmmu_window(const struct gn_softmmu *mmu,
                                                         uint32_t vcpu, uint32_t port);

/**
 * A new context begins with what another has cached: of all addresses whose entries in the two root
 * tables are the same, and present. An operating system's own half is alike in all address spaces.
 *
 * What was invalidated in `from` is not there to be copied; that the tables below one entry mean
 * the same in both contexts is what walks rely on, too.
 *
 * @param context  the new one; same view, mxr and controls as from, else nothing is copied
 * @param from     one whose ASID still stands for its root; one that has nothing cached gives
 *                 nothing, nor does one that has very much
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, no such vCPU, view or ASID, an unaligned root
 *  - -GN_ERR_2BIG: a structure is longer than known and not zero there
 *
 * Context: any; O(entries of from). Thread-safety: the vCPU's thread.
 */
GN_API GN_NODISCARD int gn_softmmu_context_inherit(struct gn_softmmu *mmu, uint32_t vcpu,
                                                   const struct gn_softmmu_context *context,
                                                   const struct gn_softmmu_context *from);

/**
 * Loads an address space and a view of it. The TLB keeps everything, unless controls change. Those
 * belong to the virtual CPU: what the last call said holds for both ports.
 *
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, no such vCPU, port, view or ASID, an unaligned root
 *  - -GN_ERR_2BIG: the structure is longer than known and not zero there
 *
 * Context: any; O(1) for a context loaded lately, else O(contexts). Thread-safety: the vCPU's
 * thread.
 */
GN_API GN_NODISCARD int gn_softmmu_context_set(struct gn_softmmu *mmu, uint32_t vcpu, uint32_t port,
                                               const struct gn_softmmu_context *context);

/**
 * Translates an access that the probe missed, and caches what it finds. EXEC uses the fetch port.
 *
 * What is no translation: ABSENT, with the entry, or with 0 for an address that is not of the
 * format's width; DENIED, with the leaf; BAD_TABLE, with the entry that has reserved bits set or
 * leads outside of the machine's memory (or the root that does).
 *
 * @param gva         first byte
 * @param access      GN_ACCESS_*; privilege is the port's view
 * @param bytes       1 to 4096, within one page
 * @param ret_answer  filled on success, for all outcomes
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, no such vCPU, unknown access, an access that leaves its page
 *  - -GN_ERR_PERM: no context was set for the port
 *
 * Context: where ops->absent may be called; O(levels). Thread-safety: the vCPU's thread; tables
 * may be written meanwhile, an entry at a time.
 */
GN_API GN_NODISCARD int gn_softmmu_access(struct gn_softmmu *mmu, uint32_t vcpu, gn_gva_t gva,
                                          uint32_t access, uint32_t bytes,
                                          struct gn_softmmu_answer *ret_answer);

/**
 * A write through a traced translation has completed: records it. Calls ops->traced_write, if
 * there is such a vCPU.
 * Context: where that op may be called; O(1). Thread-safety: the vCPU's thread.
 */
GN_API void gn_softmmu_written(struct gn_softmmu *mmu, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes);

/**
 * A load found another delta in the TLB than its context expects (<gnomon/softmmu_inline.h>): makes
 * its page conform, by ops->conform; a context that has no page in a window expects from then on
 * what this one has. It is right for a program to call this for one such load of many. What is not
 * in the TLB is let be.
 * Context: where ops->conform may be called; O(1). Thread-safety: the vCPU's thread.
 */
GN_API void gn_softmmu_stray(struct gn_softmmu *mmu, uint32_t vcpu, gn_gva_t gva);

/** All places, for gn_softmmu_window_forget(). */
#define GN_SOFTMMU_PLACE_ANY UINT32_MAX

/**
 * Forgets the translations that were made to conform in a place: its window is to be another, or
 * none. Nothing happens where there is no such vCPU or place.
 * Context: any; O(TLB of a context), or of all. Thread-safety: the vCPU's thread.
 */
GN_API void gn_softmmu_window_forget(struct gn_softmmu *mmu, uint32_t vcpu, uint32_t place);

/**
 * Forgets cached translations of the 4 KiB pages that [gva, gva + length) touches, of one ASID or
 * GN_MMU_ASID_ANY, in the TLBs of all vCPUs. A range that runs past the highest address ends there.
 * The TLB knows no larger pages: to forget a large leaf, name all that it maps.
 * Context: any; O(contexts of the ASID x pages), at most O(TLB). Thread-safety: no vCPU runs, or it
 * is the caller's.
 */
GN_API void gn_softmmu_invalidate_range(struct gn_softmmu *mmu, uint32_t asid, gn_gva_t gva,
                                        uint64_t length);

/**
 * As gn_softmmu_invalidate_range(), of what serves writes alone: what was cached for reads and
 * fetches stays. For leaves that may be written no more, or are traced now.
 */
GN_API void gn_softmmu_invalidate_writes(struct gn_softmmu *mmu, uint32_t asid, gn_gva_t gva,
                                         uint64_t length);

/**
 * Forgets all of an ASID, or of GN_MMU_ASID_ANY.
 * Context: any; O(contexts). Thread-safety: as gn_softmmu_invalidate_range.
 */
GN_API void gn_softmmu_invalidate_asid(struct gn_softmmu *mmu, uint32_t asid);

/** Forgets everything. Context: any; O(contexts). Thread-safety: as gn_softmmu_invalidate_range. */
GN_API void gn_softmmu_invalidate_all(struct gn_softmmu *mmu);

/** The platform as a table of operations; `mmu` in them is a struct gn_softmmu. Context: any. */
GN_API const struct gn_mmu_ops *gn_softmmu_mmu_ops(void);

/** A cached translation. */
struct gn_softmmu_cached {
    uint32_t size;   /**< of this structure, as the library knows it */
    uint32_t access; /**< GN_ACCESS_* that it serves */
    uint32_t asid;
    uint32_t view; /**< GN_SOFTMMU_VIEW_... */
    uint32_t mxr;
    uint32_t traced; /**< 1: writes through it are recorded */
    gn_gva_t gva;    /**< of the page */
    gn_hpa_t hpa;    /**< UINT64_MAX: in a window, where ops->conform was asked to have it */
};

/**
 * Calls `each` with every cached translation of a virtual CPU, those of ASIDs that are not in force
 * included: for audits, which compare them with what tables say. Nothing for a vCPU that is none.
 * Context: any; O(TLB). Thread-safety: as gn_softmmu_invalidate_range.
 */
GN_API void gn_softmmu_each(const struct gn_softmmu *mmu, uint32_t vcpu,
                            void (*each)(void *ctx, const struct gn_softmmu_cached *cached),
                            void *ctx);

/**
 * Copies the counters.
 *
 * @param ret_stats  its size member says how much of it the caller knows
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or size below 4
 *
 * Context: any; O(1). Thread-safety: as gn_softmmu_invalidate_range.
 */
GN_API GN_NODISCARD int gn_softmmu_stats_get(const struct gn_softmmu *mmu,
                                             struct gn_softmmu_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif /* GN_SOFTMMU_H */
