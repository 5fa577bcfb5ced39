/* SPDX-License-Identifier: BSD-3-Clause */
#include "softmmu_internal.h"

/* Invalidation. A tag of 0 allows nothing, so it matches no access. */

void gn_softmmu__tlb_clear(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v)
{
    memset(v->tlb, 0, mmu->params.tlb_entries * sizeof *v->tlb);
}

static int matches(const struct gn_softmmu_entry *e, uint32_t asid)
{
    return asid == GN_MMU_ASID_ANY || (e->data & GN_SOFTMMU_ASID_MASK) == asid;
}

/* Few pages: look where they would be. */
static void probe_range(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v, uint32_t asid,
                        uint64_t gva, uint64_t pages)
{
    struct gn_softmmu_window w = v->window[0];
    uint32_t places = asid == GN_MMU_ASID_ANY ? GN_SOFTMMU__ASID_PLACES : 1;

    for (uint32_t place = 0; place < places; place++) {
        w.asid_hash = gn_softmmu__asid_hash(mmu, asid == GN_MMU_ASID_ANY ? place : asid);
        for (uint64_t i = 0; i < pages; i++) {
            uint64_t page = gva + (i << GN_PAGE_SHIFT);
            struct gn_softmmu_entry *e = &v->tlb[gn_softmmu_index(&w, page)];

            if (((e->tag ^ page) & ~GN_PAGE_MASK) == 0 && matches(e, asid))
                e->tag = 0;
        }
    }
}

/* Many pages, or all: look at every entry. `last` is in the range: no length says "all of 2^64". */
static void sweep(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v, uint32_t asid, uint64_t first,
                  uint64_t last)
{
    for (uint32_t i = 0; i < mmu->params.tlb_entries; i++) {
        struct gn_softmmu_entry *e = &v->tlb[i];

        if ((e->tag & ~GN_PAGE_MASK) - first <= last - first && matches(e, asid))
            e->tag = 0;
    }
}

void gn_softmmu_invalidate_range(struct gn_softmmu *mmu, uint32_t asid, gn_gva_t gva,
                                 uint64_t length)
{
    uint64_t first = gva.v & ~GN_PAGE_MASK;
    uint64_t end = gva.v + (length - 1);
    uint64_t last = (end < gva.v ? UINT64_MAX : end) & ~GN_PAGE_MASK;
    uint64_t pages = ((last - first) >> GN_PAGE_SHIFT) + 1;
    uint64_t probes = asid == GN_MMU_ASID_ANY ? pages * GN_SOFTMMU__ASID_PLACES : pages;

    mmu->stats.invalidations++;
    if (!length)
        return;
    for (uint32_t i = 0; i < mmu->params.vcpus; i++) {
        if (probes <= mmu->params.tlb_entries / 4)
            probe_range(mmu, &mmu->vcpus[i], asid, first, pages);
        else
            sweep(mmu, &mmu->vcpus[i], asid, first, last);
    }
}

void gn_softmmu_invalidate_asid(struct gn_softmmu *mmu, uint32_t asid)
{
    mmu->stats.asid_flushes++;
    for (uint32_t i = 0; i < mmu->params.vcpus; i++)
        for (uint32_t j = 0; j < mmu->params.tlb_entries; j++)
            if (matches(&mmu->vcpus[i].tlb[j], asid))
                mmu->vcpus[i].tlb[j].tag = 0;
}

void gn_softmmu_invalidate_all(struct gn_softmmu *mmu)
{
    mmu->stats.full_flushes++;
    for (uint32_t i = 0; i < mmu->params.vcpus; i++)
        gn_softmmu__tlb_clear(mmu, &mmu->vcpus[i]);
}
