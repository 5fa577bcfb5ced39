/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SOFTMMU_INTERNAL_H
#define GN_SOFTMMU_INTERNAL_H

/*
 *   softmmu.c  life cycle, contexts, counters      tlb.c  invalidation
 *   walk.c     misses                              ops.c  the platform interface
 */

#include <string.h>

#include <gnomon/paging.h>
#include <gnomon/softmmu.h>

#define GN_SOFTMMU__PORTS 2u

/* An ASID moves an entry to one of this many places, so that "every ASID" is as many probes. */
#define GN_SOFTMMU__ASID_PLACES 16u

/** One virtual CPU. */
struct gn_softmmu__vcpu {
    _Alignas(64) struct gn_softmmu_window window[GN_SOFTMMU__PORTS];
    struct gn_softmmu_context context[GN_SOFTMMU__PORTS];
    struct gn_softmmu_entry *tlb;
    uint16_t allowed[16];          /**< what R, W, X, U of a leaf allow: GN_SOFTMMU_ALLOW... bits */
    uint32_t controls;             /**< under which `allowed` was made */
    struct gn_softmmu_stats stats; /**< here, since virtual CPUs may run on threads of their own */
};

struct gn_softmmu {
    struct gn_softmmu_params params;
    struct gn_softmmu_ops ops;
    struct gn_paging_geometry geometry;
    struct gn_paging_context format; /**< for decoding entries */
    struct gn_softmmu_stats stats;   /**< of what concerns all virtual CPUs */
    uint32_t index_bits;
    struct gn_softmmu__vcpu *vcpus;
};

/** What an ASID adds to the index of its entries. */
static inline uint64_t gn_softmmu__asid_hash(const struct gn_softmmu *mmu, uint32_t asid)
{
    /* Multiples of the golden ratio: however many ASIDs are in use, they lie far from another. */
    return ((asid % GN_SOFTMMU__ASID_PLACES) * 0x9e3779b1u) >> (32 - mmu->index_bits);
}

static inline int gn_softmmu__is_x86(const struct gn_softmmu *mmu)
{
    return mmu->params.format == GN_PAGING_X86_4LEVEL || mmu->params.format == GN_PAGING_X86_5LEVEL;
}

/** Empties a vCPU's TLB. */
void gn_softmmu__tlb_clear(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v);

#endif /* GN_SOFTMMU_INTERNAL_H */
