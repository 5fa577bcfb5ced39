/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_MMU_H
#define GN_MMU_H

/*
 * gnomon/mmu.h - what a platform does for a composition.
 *
 * A platform executes guest accesses: a software MMU, the MMU of a Linux process, a bare machine.
 * What differs between them is behind one table of operations, and one conformance suite runs
 * against every platform. The software MMU is the reference.
 *
 *       composition --- context_set, invalidate_... ---> platform --- walks ---> SPT
 *            ^                                              |
 *            +-------- the answer to an access -------------+
 *
 * A platform that walks the shadow tables itself (GN_MMU_CAP_WALKS) needs no map and unmap; one
 * that does not is told of every leaf. Capability bits say what there is; an op whose bit is clear
 * is NULL.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this interface. */
#define GN_MMU_VERSION_MAJOR 0
#define GN_MMU_VERSION_MINOR 1

/* Capabilities. */
#define GN_MMU_CAP_WALKS   0x01u /**< walks shadow tables from context.root; no map, unmap */
#define GN_MMU_CAP_ASID    0x02u /**< keeps translations of several ASIDs: asid_bits of them */
#define GN_MMU_CAP_TRACED  0x04u /**< completes and records writes through marked leaves itself */
#define GN_MMU_CAP_TRACK   0x08u /**< records writes page by page: track_set, track_drain */
#define GN_MMU_CAP_MARKERS 0x10u /**< answers absent entries that say why without an exit */
#define GN_MMU_CAP_WRITES  0x20u /**< forgets writes alone: invalidate_writes */

/** In place of an ASID: every one. */
#define GN_MMU_ASID_ANY UINT32_MAX

/* Outcomes of an access. */
#define GN_MMU_DONE        0 /**< performed */
#define GN_MMU_ABSENT      1 /**< no translation: a shadow fault */
#define GN_MMU_DENIED      2 /**< a translation that forbids it: a shadow fault */
#define GN_MMU_GUEST_FAULT 3 /**< an absent entry named the guest's own fault: see code */
#define GN_MMU_MMIO        4 /**< an absent entry named a device page: see gpa */
#define GN_MMU_BAD_TABLE   5 /**< an entry leads outside the machine's memory */

/** The answer to an access. */
struct gn_mmu_answer {
    uint32_t outcome; /**< GN_MMU_DONE, ... */
    uint32_t code;    /**< GUEST_FAULT: x86 error code, RISC-V cause */
    uint64_t entry;   /**< ABSENT, DENIED: the entry that stopped it, 0 if unknown */
    gn_gpa_t gpa;     /**< MMIO: guest physical address of the access */
};

/** What a virtual CPU runs on. */
struct gn_mmu_context {
    uint32_t size;     /**< GN_MMU_CONTEXT_INIT sets it */
    uint32_t asid;     /**< shadow ASID */
    gn_hpa_t root;     /**< root of the shadow tables */
    uint32_t user;     /**< 1: accesses are made with user privilege */
    uint32_t controls; /**< GN_PAGING_..., for the shadow's format */
};

/** First initializer of a gn_mmu_context. */
#define GN_MMU_CONTEXT_INIT .size = sizeof(struct gn_mmu_context)

/** The operations of a platform. `mmu` is its object. */
struct gn_mmu_ops {
    uint32_t size;      /**< sizeof this structure as the platform knows it */
    uint32_t caps;      /**< GN_MMU_CAP_... */
    uint32_t asid_bits; /**< width of an ASID; 0 without GN_MMU_CAP_ASID */
    uint32_t reserved;  /**< zero */
    /** Loads an address space and a view of it on a virtual CPU. Flushes nothing. */
    int (*context_set)(void *mmu, uint32_t vcpu, const struct gn_mmu_context *context);
    /** Without CAP_WALKS: a leaf appeared or changed; `entry` as it stands in the SPT. */
    int (*map)(void *mmu, uint32_t asid, gn_gva_t gva, uint32_t level, uint64_t entry);
    /** Without CAP_WALKS: leaves in the range are gone. */
    int (*unmap)(void *mmu, uint32_t asid, gn_gva_t gva, uint64_t length);
    /** Forgets translations of a range, for one ASID or GN_MMU_ASID_ANY, on every virtual CPU. */
    void (*invalidate_range)(void *mmu, uint32_t asid, gn_gva_t gva, uint64_t length);
    /** Forgets every translation of an ASID, on every virtual CPU. */
    void (*invalidate_asid)(void *mmu, uint32_t asid);
    /** Forgets every translation, on every virtual CPU. */
    void (*invalidate_all)(void *mmu);
    /** With CAP_TRACK: begins (1) or ceases (0) to record writes to a page of the machine. */
    int (*track_set)(void *mmu, gn_hpa_t page, uint32_t on);
    /** With CAP_TRACK: calls `each` for every page written since, and records anew. */
    int (*track_drain)(void *mmu, void (*each)(void *ctx, gn_hpa_t page), void *ctx);
    /**
     * Performs one guest access that stays within a page: reads (or fetches) into data, or writes
     * from it. Nothing is transferred unless the answer is GN_MMU_DONE.
     */
    int (*access)(void *mmu, uint32_t vcpu, gn_gva_t gva, uint32_t access, void *data,
                  uint32_t bytes, struct gn_mmu_answer *ret_answer);
    /**
     * With CAP_WRITES: as invalidate_range, of leaves that may be read and executed as before:
     * forgets what lets them be written, or written without a record.
     */
    void (*invalidate_writes)(void *mmu, uint32_t asid, gn_gva_t gva, uint64_t length);
};

#ifdef __cplusplus
}
#endif

#endif /* GN_MMU_H */
