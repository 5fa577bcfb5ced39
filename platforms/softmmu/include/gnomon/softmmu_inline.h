/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SOFTMMU_INLINE_H
#define GN_SOFTMMU_INLINE_H

/*
 * gnomon/softmmu_inline.h - the TLB probe of the software MMU, to be inlined into an interpreter
 * or emitted by a translator. Outside the ABI: it changes with the library, compile against the
 * version you link.
 *
 * An entry is two words, four to a cache line:
 *
 *      63                                    12 11                    0
 *      +---------------------------------------+-----------------------+
 *  tag | virtual page, all 52 bits             | what is allowed       |
 *      +---------------------------------------+-----------------------+
 *  data| host address of the page - virtual page| shadow ASID          |
 *      +---------------------------------------+-----------------------+
 *
 * "What is allowed" has a bit for each pair of access kind and privilege view, so that a change of
 * privilege, SUM or MXR selects other bits and flushes nothing. The ASID sits in the entry, so
 * that a switch of address spaces selects another number and flushes nothing.
 *
 * A page marked traced has the traced bit and no write bit: its writes leave the fast path, are
 * completed, and are recorded.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Privilege views: which of an entry's permission bits an access is held against. */
#define GN_SOFTMMU_VIEW_USER 0 /**< user mode */
#define GN_SOFTMMU_VIEW_SUPERVISOR \
    1                         /**< supervisor, user pages forbidden (SUM=0; SMAP with AC=0) */
#define GN_SOFTMMU_VIEW_SUM 2 /**< supervisor, data access to user pages allowed */
#define GN_SOFTMMU_VIEWS    3

/** The permission bit of an access kind under a view; a fetch under SUM is a supervisor's. */
#define GN_SOFTMMU_ALLOW(view, access) ((uint64_t)1 << ((view)*4 + (access)))

/** The permission bit of a read under a view with MXR: what is executable is readable. */
#define GN_SOFTMMU_ALLOW_MXR(view) ((uint64_t)1 << ((view)*4 + 3))

/** The entry's page is traced. (The place of a fetch under SUM, which has no bit of its own.) */
#define GN_SOFTMMU_TRACED GN_SOFTMMU_ALLOW(GN_SOFTMMU_VIEW_SUM, GN_ACCESS_EXEC)

/** Width of a shadow ASID in a TLB entry, in bits. */
#define GN_SOFTMMU_ASID_BITS 12
#define GN_SOFTMMU_ASID_MASK ((1u << GN_SOFTMMU_ASID_BITS) - 1)

/** One cached translation of a 4 KiB page. */
struct gn_softmmu_entry {
    uint64_t tag;
    uint64_t data;
};

/**
 * What one virtual CPU's probe needs: its TLB, the ASID in force, and the bits an access of each
 * kind must find. Kept by the library, read by the probe. One cache line.
 */
struct gn_softmmu_window {
    struct gn_softmmu_entry *tlb; /**< entries; index_mask + 1 of them */
    uint64_t index_mask;
    uint64_t asid;                  /**< shadow ASID in force */
    uint64_t asid_hash;             /**< what the ASID adds to the index */
    uint64_t need[GN_ACCESS_KINDS]; /**< permission bit, by GN_ACCESS_* */
    uint64_t reserved;              /**< zero; fills the line */
};

/** Index of the TLB entry that may hold a page: neighbours do not collide, strides are folded. */
static inline uint64_t gn_softmmu_index(const struct gn_softmmu_window *w, uint64_t va)
{
    uint64_t vpn = va >> GN_PAGE_SHIFT;

    return (vpn ^ (vpn >> 11) ^ w->asid_hash) & w->index_mask;
}

/**
 * Translates an access if the TLB has it and nothing is to be recorded for it.
 *
 * @param w       the vCPU's window
 * @param va      virtual address, in bytes, of the access
 * @param size    bytes accessed, 1 to 4096; an access that leaves its page is a miss
 * @param access  GN_ACCESS_READ, GN_ACCESS_WRITE or GN_ACCESS_EXEC, under the view in force
 * @return host address of the first byte; NULL on a miss, which gn_softmmu_access() resolves
 *
 * Context: any; O(1), no memory written. Thread-safety: only the thread that runs this vCPU.
 * Ownership: the pointer holds until the next call that may invalidate (gn_softmmu_access,
 * gn_softmmu_invalidate_..., gn_softmmu_context_set).
 */
static inline void *gn_softmmu_probe(const struct gn_softmmu_window *w, gn_gva_t va, uint32_t size,
                                     uint32_t access)
{
    /* gn_softmmu_index(), in bytes: the address goes through one operation less. */
    uint64_t at = ((va.v >> 8) ^ (va.v >> 19) ^ (w->asid_hash << 4)) & (w->index_mask << 4);
    const struct gn_softmmu_entry *e =
        (const struct gn_softmmu_entry *)(const void *)((const uint8_t *)w->tlb + at);
    uint64_t need = w->need[access];
    uint64_t page = va.v & ~GN_PAGE_MASK;
    uint64_t host = va.v - w->asid + e->data;

    if ((va.v & GN_PAGE_MASK) + size > GN_PAGE_SIZE)
        return NULL;
    /* The low bits of data are the entry's ASID; they cancel exactly when it is the one in force.
     */
    if ((e->tag & (~GN_PAGE_MASK | need)) != (page | need) ||
        ((e->data ^ w->asid) & GN_SOFTMMU_ASID_MASK))
        return NULL;
    return (void *)(uintptr_t)host;
}

#ifdef __cplusplus
}
#endif

#endif /* GN_SOFTMMU_INLINE_H */
