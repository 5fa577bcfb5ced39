/* SPDX-License-Identifier: BSD-3-Clause */
#include "softmmu_internal.h"

/* Invalidation. */

/* Few pages: look where they would be. */
static void probe_range(const struct gn_softmmu *mmu, struct gn_softmmu_slab *slab, uint64_t first,
                        uint64_t pages)
{
    uint64_t mask = gn_softmmu__entries(slab) - 1;

    for (uint64_t i = 0; i < pages; i++) {
        uint64_t page = first + (i << GN_PAGE_SHIFT);

        for (uint32_t access = 0; access < GN_ACCESS_KINDS; access++) {
            struct gn_softmmu_entry *e =
                gn_softmmu__entry(mmu, slab, access, page >> GN_PAGE_SHIFT & mask);

            if ((e->page & ~GN_SOFTMMU_TRACED) == page)
                e->page = GN_SOFTMMU_NO_PAGE;
        }
    }
}

/* Many pages, or all: look at every entry. `last` is in the range: no length says "all of 2^64". */
static void sweep(const struct gn_softmmu *mmu, struct gn_softmmu_slab *slab, uint64_t first,
                  uint64_t last)
{
    for (uint32_t access = 0; access < GN_ACCESS_KINDS; access++)
        for (uint64_t i = 0; i < gn_softmmu__entries(slab); i++) {
            struct gn_softmmu_entry *e = gn_softmmu__entry(mmu, slab, access, i);

            if ((e->page & ~GN_PAGE_MASK) - first <= last - first)
                e->page = GN_SOFTMMU_NO_PAGE;
        }
}

static void vcpu_range(const struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v, uint32_t asid,
                       uint64_t first, uint64_t last)
{
    uint64_t pages = ((last - first) >> GN_PAGE_SHIFT) + 1;

    for (uint32_t i = 0; i < v->used; i++) {
        struct gn_softmmu_slab *slab = gn_softmmu__slab(mmu, v, i);

        if (!gn_softmmu__key_matches(v->keys[i], asid))
            continue;
        if (pages <= gn_softmmu__entries(slab))
            probe_range(mmu, slab, first, pages);
        else
            sweep(mmu, slab, first, last);
    }
}

void gn_softmmu_invalidate_range(struct gn_softmmu *mmu, uint32_t asid, gn_gva_t gva,
                                 uint64_t length)
{
    uint64_t first = gva.v & ~GN_PAGE_MASK;
    uint64_t end = gva.v + (length - 1);
    uint64_t last = (end < gva.v ? UINT64_MAX : end) & ~GN_PAGE_MASK;

    mmu->stats.invalidations++;
    if (!length)
        return;
    for (uint32_t i = 0; i < mmu->params.vcpus; i++)
        vcpu_range(mmu, &mmu->vcpus[i], asid, first, last);
}

void gn_softmmu_invalidate_asid(struct gn_softmmu *mmu, uint32_t asid)
{
    mmu->stats.asid_flushes++;
    for (uint32_t i = 0; i < mmu->params.vcpus; i++)
        gn_softmmu__slabs_drop(mmu, &mmu->vcpus[i], asid);
}

void gn_softmmu_invalidate_all(struct gn_softmmu *mmu)
{
    mmu->stats.full_flushes++;
    for (uint32_t i = 0; i < mmu->params.vcpus; i++)
        gn_softmmu__slabs_drop(mmu, &mmu->vcpus[i], GN_MMU_ASID_ANY);
}
