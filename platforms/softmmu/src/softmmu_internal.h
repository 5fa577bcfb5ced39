/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SOFTMMU_INTERNAL_H
#define GN_SOFTMMU_INTERNAL_H

/*
 *   softmmu.c  life cycle, contexts, counters      slab.c  which context has which slab
 *   walk.c     misses                              tlb.c   filling and invalidation
 *   ops.c      the platform interface      window.c  entries that lead where loads expect it
 */

#include <string.h>

#include <gnomon/paging.h>
#include <gnomon/softmmu.h>

#define GN_SOFTMMU__PORTS 2u

/* Entries that a slab begins with, an array; it doubles as pages crowd one another out. */
#define GN_SOFTMMU__ENTRIES_FIRST 256u

/* Places that remember which slab a context was last seen in. */
#define GN_SOFTMMU__HINTS 256u

/* What whose slab is: ASID, view, MXR; the slab is free without this bit. */
#define GN_SOFTMMU__KEY_LIVE 0x80000000u
#define GN_SOFTMMU__KEY_NONE (GN_SOFTMMU__KEY_LIVE | 0x7fffffffu) /**< of no context */

/* Bits of gn_softmmu__vcpu.allowed: an access kind under a view; a read under MXR. */
#define GN_SOFTMMU__ALLOW(view, access) ((uint16_t)(1u << ((view)*4 + (access))))
#define GN_SOFTMMU__ALLOW_MXR(view)     ((uint16_t)(1u << ((view)*4 + 3)))

/** One virtual CPU. */
struct gn_softmmu__vcpu {
    _Alignas(64) struct gn_softmmu_window window[GN_SOFTMMU__PORTS];
    struct gn_softmmu_context context[GN_SOFTMMU__PORTS];
    uint16_t need[GN_SOFTMMU__PORTS][GN_ACCESS_KINDS]; /**< what `allowed` must have */
    uint16_t allowed[16]; /**< what R, W, X, U of a leaf allow: GN_SOFTMMU__ALLOW bits */
    uint32_t controls;    /**< under which `allowed` was made */
    uint64_t clock;       /**< stamps of slabs */
    uint32_t used;        /**< slabs from here on were never used */
    uint32_t *keys;       /**< of the slabs: GN_SOFTMMU__KEY_... */
    uint8_t *slabs;       /**< params.contexts of them, mmu->slab_bytes apart */
    uint16_t hint[GN_SOFTMMU__HINTS];
    struct gn_softmmu_stats stats; /**< here, since virtual CPUs may run on threads of their own */
};

struct gn_softmmu {
    struct gn_softmmu_params params;
    struct gn_softmmu_ops ops;
    struct gn_paging_geometry geometry;
    struct gn_paging_context format;  /**< for decoding entries */
    struct gn_softmmu_stats stats;    /**< of what concerns all virtual CPUs */
    uint64_t offset[GN_ACCESS_KINDS]; /**< of the arrays in a slab */
    uint64_t slab_bytes;
    struct gn_softmmu__vcpu *vcpus;
};

static inline int gn_softmmu__is_x86(const struct gn_softmmu *mmu)
{
    return mmu->params.format == GN_PAGING_X86_4LEVEL || mmu->params.format == GN_PAGING_X86_5LEVEL;
}

/* slab.c */

/** Bytes of a slab, and where its arrays begin. */
uint64_t gn_softmmu__slab_layout(uint32_t entries, uint64_t ret_offset[GN_ACCESS_KINDS]);

/** The slab of this number. */
static inline struct gn_softmmu_slab *gn_softmmu__slab(const struct gn_softmmu *mmu,
                                                       const struct gn_softmmu__vcpu *v, uint32_t i)
{
    return (struct gn_softmmu_slab *)(void *)(v->slabs + i * mmu->slab_bytes);
}

/** An entry of one of its arrays. */
static inline struct gn_softmmu_entry *gn_softmmu__entry(const struct gn_softmmu *mmu,
                                                         struct gn_softmmu_slab *slab,
                                                         uint32_t access, uint64_t i)
{
    return (struct gn_softmmu_entry *)(void *)((uint8_t *)slab + mmu->offset[access]) + i;
}

/** Entries in use of each of its arrays. */
static inline uint64_t gn_softmmu__entries(const struct gn_softmmu_slab *slab)
{
    return slab->mask / sizeof(struct gn_softmmu_entry) + 1;
}

/** Does an entry lead into the slab's window? Then it is of the window's place only. */
static inline int gn_softmmu__conforms(const struct gn_softmmu_slab *slab,
                                       const struct gn_softmmu_entry *e)
{
    return slab->window && e->delta == slab->window;
}

/** Whose slab this is. */
static inline uint32_t gn_softmmu__key(uint32_t asid, uint32_t view, uint32_t mxr)
{
    return GN_SOFTMMU__KEY_LIVE | (mxr ? 1u : 0u) << 14 | view << 12 | asid;
}

/** Is this a slab of the ASID, or any live one for GN_MMU_ASID_ANY? */
static inline int gn_softmmu__key_matches(uint32_t key, uint32_t asid)
{
    return key & GN_SOFTMMU__KEY_LIVE &&
           (asid == GN_MMU_ASID_ANY ||
            (key != GN_SOFTMMU__KEY_NONE && (key & GN_SOFTMMU_ASID_MASK) == asid));
}

/** Is it that of a context that is loaded? */
static inline int gn_softmmu__in_force(const struct gn_softmmu__vcpu *v,
                                       const struct gn_softmmu_slab *slab)
{
    return v->window[0].slab == slab || v->window[1].slab == slab;
}

/** Empties a slab: it is as small as at first. */
void gn_softmmu__slab_reset(const struct gn_softmmu *mmu, struct gn_softmmu_slab *slab);

/** The slab of a context; a new one takes a free place, or that of who was loaded longest ago. */
struct gn_softmmu_slab *gn_softmmu__slab_get(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v,
                                             uint32_t key);

/** Forgets all of an ASID, or of GN_MMU_ASID_ANY: its slabs are free, but for those in force. */
void gn_softmmu__slabs_drop(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v, uint32_t asid);

/** Writes an entry: `page` may have GN_SOFTMMU_TRACED. The slab may grow. */
void gn_softmmu__slab_fill(struct gn_softmmu *mmu, struct gn_softmmu_slab *slab, uint32_t access,
                           uint64_t page, uint64_t delta);

#endif /* GN_SOFTMMU_INTERNAL_H */
