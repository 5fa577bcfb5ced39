/* SPDX-License-Identifier: BSD-3-Clause */
#include "softmmu_internal.h"

/*
 * Slabs: one TLB for each context that a virtual CPU runs in. They are few and of fixed room; a
 * slab uses as much of its room as its pages need, so that a process of few pages costs few cache
 * lines, and a new context is made by emptying little.
 */

/* Arrays begin at different lines, so that the same page's entries do not all want one set. */
#define STAGGER (17 * 64)

uint64_t gn_softmmu__slab_layout(uint32_t entries, uint64_t ret_offset[GN_ACCESS_KINDS])
{
    uint64_t array = (uint64_t)entries * sizeof(struct gn_softmmu_entry) + STAGGER;

    for (uint32_t access = 0; access < GN_ACCESS_KINDS; access++)
        ret_offset[access] = sizeof(struct gn_softmmu_slab) + access * array;
    return sizeof(struct gn_softmmu_slab) + GN_ACCESS_KINDS * array;
}

/* A slab grows when pages crowded out since it last did are more than one such part of it. */
#define CROWDED 4

/* An address that no page has: all bits set. */
static void entries_clear(const struct gn_softmmu *mmu, struct gn_softmmu_slab *slab, uint64_t from,
                          uint64_t to)
{
    for (uint32_t access = 0; access < GN_ACCESS_KINDS; access++)
        memset(gn_softmmu__entry(mmu, slab, access, from), 0xff,
               (to - from) * sizeof(struct gn_softmmu_entry));
}

void gn_softmmu__slab_reset(const struct gn_softmmu *mmu, struct gn_softmmu_slab *slab)
{
    uint64_t entries = mmu->params.tlb_entries < GN_SOFTMMU__ENTRIES_FIRST
                           ? mmu->params.tlb_entries
                           : GN_SOFTMMU__ENTRIES_FIRST;

    slab->mask = (entries - 1) * sizeof(struct gn_softmmu_entry);
    slab->stamp = 0;
    slab->evicted = 0;
    slab->expected = 0;
    slab->window = 0;
    slab->agreed = 0;
    entries_clear(mmu, slab, 0, entries);
}

/* Twice the entries: one that does not belong where it is moves into the new half. */
static void slab_grow(struct gn_softmmu *mmu, struct gn_softmmu_slab *slab)
{
    uint64_t entries = gn_softmmu__entries(slab);

    entries_clear(mmu, slab, entries, 2 * entries);
    for (uint32_t access = 0; access < GN_ACCESS_KINDS; access++)
        for (uint64_t i = 0; i < entries; i++) {
            struct gn_softmmu_entry *e = gn_softmmu__entry(mmu, slab, access, i);

            if (e->page == GN_SOFTMMU_NO_PAGE || !(e->page >> GN_PAGE_SHIFT & entries))
                continue;
            *gn_softmmu__entry(mmu, slab, access, i + entries) = *e;
            e->page = GN_SOFTMMU_NO_PAGE;
        }
    slab->mask = (2 * entries - 1) * sizeof(struct gn_softmmu_entry);
    slab->evicted = 0;
}

void gn_softmmu__slab_fill(struct gn_softmmu *mmu, struct gn_softmmu_slab *slab, uint32_t access,
                           uint64_t page, uint64_t delta)
{
    uint64_t index = page >> GN_PAGE_SHIFT & (gn_softmmu__entries(slab) - 1);
    struct gn_softmmu_entry *e = gn_softmmu__entry(mmu, slab, access, index);

    if (e->page != GN_SOFTMMU_NO_PAGE && (e->page ^ page) & ~GN_PAGE_MASK &&
        ++slab->evicted > gn_softmmu__entries(slab) / CROWDED &&
        gn_softmmu__entries(slab) < mmu->params.tlb_entries) {
        slab_grow(mmu, slab);
        index = page >> GN_PAGE_SHIFT & (gn_softmmu__entries(slab) - 1);
        e = gn_softmmu__entry(mmu, slab, access, index);
    }
    e->page = page;
    e->delta = delta;
}

/* A place that is free, or that of the slab loaded longest ago: there are more than ports. */
static uint32_t place_find(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v)
{
    uint32_t oldest = UINT32_MAX;

    for (uint32_t i = 0; i < mmu->params.contexts; i++) {
        const struct gn_softmmu_slab *slab = gn_softmmu__slab(mmu, v, i);

        if (!v->keys[i])
            return i;
        if (!gn_softmmu__in_force(v, slab) &&
            (oldest == UINT32_MAX || slab->stamp < gn_softmmu__slab(mmu, v, oldest)->stamp))
            oldest = i;
    }
    v->stats.contexts_evicted++;
    return oldest;
}

struct gn_softmmu_slab *gn_softmmu__slab_get(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v,
                                             uint32_t key)
{
    uint16_t *hint = &v->hint[(key ^ key >> 9) % GN_SOFTMMU__HINTS];
    uint32_t i = *hint;
    struct gn_softmmu_slab *slab;

    if (v->keys[i] != key) {
        for (i = 0; i < v->used && v->keys[i] != key; i++)
            ;
        if (i == v->used) {
            i = place_find(mmu, v);
            v->keys[i] = key;
            gn_softmmu__slab_reset(mmu, gn_softmmu__slab(mmu, v, i));
            v->used = i < v->used ? v->used : i + 1;
        }
        *hint = (uint16_t)i;
    }
    slab = gn_softmmu__slab(mmu, v, i);
    slab->stamp = ++v->clock;
    return slab;
}

void gn_softmmu__slabs_drop(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v, uint32_t asid)
{
    for (uint32_t i = 0; i < v->used; i++) {
        struct gn_softmmu_slab *slab = gn_softmmu__slab(mmu, v, i);

        if (!gn_softmmu__key_matches(v->keys[i], asid))
            continue;
        if (gn_softmmu__in_force(v, slab))
            gn_softmmu__slab_reset(mmu, slab);
        else
            v->keys[i] = 0; /* emptied when it is somebody's again */
    }
}
