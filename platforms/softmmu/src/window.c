/* SPDX-License-Identifier: BSD-3-Clause */
#include "softmmu_internal.h"

/*
 * Chains of loads. An entry conforms if its delta is what the loads of its slab expect: that of the
 * slab's window, once there is one. A page has one entry at most in each array of a slab, and when
 * the embedder is asked for the page, both are seen to. So it may put another page in its place in
 * the window, and nobody relies on the one before.
 *
 * Writes go where reads go: a host that sees one line at two addresses forwards no store from one
 * to the other, and predicts the wrong way of its cache.
 */

/* Strays in a row that find the same, until that is what is expected. */
#define AGREED 3

static uint32_t place_of(const struct gn_softmmu *mmu, const struct gn_softmmu__vcpu *v,
                         const struct gn_softmmu_slab *slab)
{
    return (uint32_t)(((uint64_t)(uintptr_t)slab - (uint64_t)(uintptr_t)v->slabs) /
                      mmu->slab_bytes);
}

/*
 * The page is in the window from now on. A write entry of the same page of memory goes there, too,
 * unless its writes are recorded: then its delta says where. One that is in the window already is
 * of what was there before.
 */
static void conform(struct gn_softmmu_slab *slab, struct gn_softmmu_entry *read,
                    struct gn_softmmu_entry *write, uint64_t window)
{
    if (write->page == read->page && gn_softmmu__conforms(slab, write))
        write->page = GN_SOFTMMU_NO_PAGE;
    if (write->page == read->page && write->delta == read->delta)
        write->delta = window;
    read->delta = window;
    slab->window = window;
    slab->expected = window;
}

/*
 * Where memory is mapped as it lies, most deltas are the same. Where only some are, to expect one
 * of them would be worse than to expect none: a branch that goes either way is not predicted.
 */
static void learn(struct gn_softmmu_slab *slab, uint64_t delta)
{
    slab->agreed = delta == slab->strayed ? slab->agreed + 1 : 0;
    slab->strayed = delta;
    if (slab->agreed >= AGREED)
        slab->expected = delta;
    else if (!slab->agreed)
        slab->expected = 0;
}

void gn_softmmu_stray(struct gn_softmmu *mmu, uint32_t vcpu, gn_gva_t gva)
{
    const uint64_t page = gva.v & ~GN_PAGE_MASK;
    struct gn_softmmu_entry *e;
    struct gn_softmmu_slab *slab;
    struct gn_softmmu__vcpu *v;
    uint64_t window = 0;
    uint64_t hpa;

    if (!mmu || vcpu >= mmu->params.vcpus)
        return;
    v = &mmu->vcpus[vcpu];
    slab = v->window[GN_SOFTMMU_PORT_DATA].slab;
    e = gn_softmmu_entry_at(&v->window[GN_SOFTMMU_PORT_DATA], page, GN_ACCESS_READ);
    if (e->page != page || gn_softmmu__conforms(slab, e))
        return;
    v->stats.strays++;
    hpa = page + e->delta - (uint64_t)(uintptr_t)mmu->params.memory;
    if (mmu->ops.conform && mmu->ops.conform(mmu->params.ops_ctx, vcpu, place_of(mmu, v, slab),
                                             gn_gva(page), gn_hpa(hpa), &window)) {
        v->stats.conformed++;
        conform(slab, e,
                gn_softmmu_entry_at(&v->window[GN_SOFTMMU_PORT_DATA], page, GN_ACCESS_WRITE),
                window);
    } else if (!slab->window) {
        learn(slab, e->delta);
    }
}

static void forget(struct gn_softmmu *mmu, struct gn_softmmu_slab *slab)
{
    for (uint32_t access = 0; access < GN_ACCESS_KINDS; access++)
        for (uint64_t i = 0; i < gn_softmmu__entries(slab); i++) {
            struct gn_softmmu_entry *e = gn_softmmu__entry(mmu, slab, access, i);

            if (gn_softmmu__conforms(slab, e))
                e->page = GN_SOFTMMU_NO_PAGE;
        }
    slab->window = 0;
    slab->expected = 0;
}

void gn_softmmu_window_forget(struct gn_softmmu *mmu, uint32_t vcpu, uint32_t place)
{
    struct gn_softmmu__vcpu *v;

    if (!mmu || vcpu >= mmu->params.vcpus)
        return;
    v = &mmu->vcpus[vcpu];
    for (uint32_t i = 0; i < v->used; i++)
        if (place == i || place == GN_SOFTMMU_PLACE_ANY)
            forget(mmu, gn_softmmu__slab(mmu, v, i));
}
