/* SPDX-License-Identifier: BSD-3-Clause */
#include "softmmu_internal.h"

/* Invalidation. */

/* Loads of contexts after which one that was not among them is taken for one that is over. */
#define IDLE 4096u

/* What is to be forgotten. */
struct range {
    uint64_t first; /* pages' addresses; the last is in the range: no length says "all of 2^64" */
    uint64_t last;
    uint32_t asid;
    uint32_t first_kind; /* GN_ACCESS_...: this kind of access, to last_kind */
    uint32_t last_kind;
};

/* Few pages: look where they would be. */
static void probe_range(const struct gn_softmmu *mmu, struct gn_softmmu_slab *slab,
                        const struct range *r, uint64_t pages)
{
    uint64_t mask = gn_softmmu__entries(slab) - 1;

    for (uint64_t i = 0; i < pages; i++) {
        uint64_t page = r->first + (i << GN_PAGE_SHIFT);

        for (uint32_t access = r->first_kind; access <= r->last_kind; access++) {
            struct gn_softmmu_entry *e =
                gn_softmmu__entry(mmu, slab, access, page >> GN_PAGE_SHIFT & mask);

            if ((e->page & ~GN_SOFTMMU_TRACED) == page)
                e->page = GN_SOFTMMU_NO_PAGE;
        }
    }
}

/* Many pages, or all: look at every entry. */
static void sweep(const struct gn_softmmu *mmu, struct gn_softmmu_slab *slab, const struct range *r)
{
    for (uint32_t access = r->first_kind; access <= r->last_kind; access++)
        for (uint64_t i = 0; i < gn_softmmu__entries(slab); i++) {
            struct gn_softmmu_entry *e = gn_softmmu__entry(mmu, slab, access, i);

            if ((e->page & ~GN_PAGE_MASK) - r->first <= r->last - r->first)
                e->page = GN_SOFTMMU_NO_PAGE;
        }
}

/*
 * Dead processes leave contexts that nobody names any more, while whatever is in all address spaces
 * has every one looked at. One that was not loaded for long is forgotten whole at such a time.
 */
static int is_idle(const struct gn_softmmu__vcpu *v, const struct gn_softmmu_slab *slab,
                   uint32_t asid)
{
    return asid == GN_MMU_ASID_ANY && v->clock - slab->stamp > IDLE &&
           !gn_softmmu__in_force(v, slab);
}

static void vcpu_range(const struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v,
                       const struct range *r)
{
    uint64_t pages = ((r->last - r->first) >> GN_PAGE_SHIFT) + 1;

    for (uint32_t i = 0; i < v->used; i++) {
        struct gn_softmmu_slab *slab = gn_softmmu__slab(mmu, v, i);

        if (!gn_softmmu__key_matches(v->keys[i], r->asid))
            continue;
        if (is_idle(v, slab, r->asid))
            v->keys[i] = 0;
        else if (pages <= gn_softmmu__entries(slab))
            probe_range(mmu, slab, r, pages);
        else
            sweep(mmu, slab, r);
    }
}

/* Forgets accesses from one kind to another. */
static void invalidate(struct gn_softmmu *mmu, uint32_t asid, gn_gva_t gva, uint64_t length,
                       uint32_t first_kind, uint32_t last_kind)
{
    uint64_t end = gva.v + (length - 1);
    const struct range r = {.first = gva.v & ~GN_PAGE_MASK,
                            .last = (end < gva.v ? UINT64_MAX : end) & ~GN_PAGE_MASK,
                            .asid = asid,
                            .first_kind = first_kind,
                            .last_kind = last_kind};

    mmu->stats.invalidations++;
    if (!length)
        return;
    for (uint32_t i = 0; i < mmu->params.vcpus; i++)
        vcpu_range(mmu, &mmu->vcpus[i], &r);
}

void gn_softmmu_invalidate_range(struct gn_softmmu *mmu, uint32_t asid, gn_gva_t gva,
                                 uint64_t length)
{
    invalidate(mmu, asid, gva, length, 0, GN_ACCESS_KINDS - 1);
}

void gn_softmmu_invalidate_writes(struct gn_softmmu *mmu, uint32_t asid, gn_gva_t gva,
                                  uint64_t length)
{
    invalidate(mmu, asid, gva, length, GN_ACCESS_WRITE, GN_ACCESS_WRITE);
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
