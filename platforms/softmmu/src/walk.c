/* SPDX-License-Identifier: BSD-3-Clause */
#include "softmmu_internal.h"

/* Misses: what the probe did not find is looked for in the shadow tables. */

/* A leaf found by a walk. */
struct leaf {
    uint64_t value;
    uint64_t address;     /**< of the page at the leaf's size */
    uint32_t permissions; /**< of all levels combined, marks of the leaf */
    uint32_t level;
};

static int canonical(const struct gn_softmmu *mmu, uint64_t gva)
{
    uint64_t above = gva >> (mmu->geometry.va_bits - 1);

    return above == 0 || above == ~(uint64_t)0 >> (mmu->geometry.va_bits - 1);
}

static uint32_t stop(struct gn_softmmu_answer *r, uint32_t outcome, uint64_t entry)
{
    r->mmu.outcome = outcome;
    r->mmu.entry = entry;
    return outcome;
}

/* @return GN_MMU_DONE with the leaf, or GN_MMU_ABSENT or _BAD_TABLE with the entry, or the root */
static uint32_t walk(const struct gn_softmmu *mmu, gn_hpa_t root, uint64_t gva,
                     struct leaf *ret_leaf, struct gn_softmmu_answer *r)
{
    uint32_t inherited = mmu->geometry.inherited;
    uint32_t index_mask = ((uint32_t)1 << mmu->geometry.index_bits) - 1;
    struct gn_paging_entry e = {.address = root.v};
    uint64_t value = root.v;

    for (uint32_t level = mmu->geometry.levels; level-- > 0;) {
        uint32_t shift = GN_PAGE_SHIFT + level * mmu->geometry.index_bits;
        uint64_t at = e.address + (gva >> shift & index_mask) * 8;

        if (e.address > mmu->params.memory_size - GN_PAGE_SIZE)
            return stop(r, GN_MMU_BAD_TABLE, value);
        value = __atomic_load_n((uint64_t *)((uint8_t *)mmu->params.memory + at), __ATOMIC_ACQUIRE);
        if (gn_paging_entry_decode(&mmu->format, level, value, &e) ||
            e.kind == GN_PAGING_ENTRY_ABSENT)
            return stop(r, GN_MMU_ABSENT, value);
        if (e.kind == GN_PAGING_ENTRY_LEAF) {
            ret_leaf->value = value;
            ret_leaf->address = e.address;
            ret_leaf->permissions = e.permissions & (inherited | ~mmu->geometry.inherited);
            ret_leaf->level = level;
            return GN_MMU_DONE;
        }
        if (e.kind != GN_PAGING_ENTRY_TABLE)
            return stop(r, GN_MMU_BAD_TABLE, value);
        inherited &= e.permissions;
    }
    /* Not reached: no format decodes a table at level 0. */
    return stop(r, GN_MMU_BAD_TABLE, value);
}

static void done(struct gn_softmmu *mmu, struct gn_softmmu_answer *r, uint64_t hpa, int traced)
{
    r->mmu.outcome = GN_MMU_DONE;
    r->hpa = gn_hpa(hpa);
    r->host = (uint8_t *)mmu->params.memory + hpa;
    r->traced = (uint32_t)traced;
}

/* A write to a traced page whose translation is cached: no probe finds it, but we do. */
static int traced_hit(struct gn_softmmu *mmu, const struct gn_softmmu_window *w, uint64_t gva,
                      struct gn_softmmu_answer *r)
{
    const struct gn_softmmu_entry *e = gn_softmmu_entry_at(w, gva, GN_ACCESS_WRITE);

    if (e->page != ((gva & ~GN_PAGE_MASK) | GN_SOFTMMU_TRACED))
        return 0;
    done(mmu, r, gva + e->delta - (uint64_t)(uintptr_t)mmu->params.memory, 1);
    return 1;
}

/* Is there nothing in the place of this page, or this page itself? */
static int place_empty(const struct gn_softmmu_window *w, uint64_t gva, uint32_t access)
{
    uint64_t page = gn_softmmu_entry_at(w, gva, access)->page;

    return page == GN_SOFTMMU_NO_PAGE || (page & ~GN_PAGE_MASK) == (gva & ~GN_PAGE_MASK);
}

/*
 * Caches what the access needed, and of data pages what the next one may: a page that is read will
 * often be written. That crowds nobody out.
 */
static void fill(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v, uint32_t port, uint64_t gva,
                 uint32_t access, uint64_t page, uint32_t allowed, int traced)
{
    const struct gn_softmmu_window *w = &v->window[port];
    uint64_t gva_page = gva & ~GN_PAGE_MASK;
    uint64_t delta = (uint64_t)(uintptr_t)mmu->params.memory + page - gva_page;
    uint32_t other = access == GN_ACCESS_READ ? GN_ACCESS_WRITE : GN_ACCESS_READ;
    uint64_t mark = traced ? GN_SOFTMMU_TRACED : 0;

    v->stats.fills++;
    gn_softmmu__slab_fill(mmu, w->slab, access, gva_page | (access == GN_ACCESS_WRITE ? mark : 0),
                          delta);
    if (access != GN_ACCESS_EXEC && allowed & v->need[port][other] && place_empty(w, gva, other))
        gn_softmmu__slab_fill(mmu, w->slab, other, gva_page | (other == GN_ACCESS_WRITE ? mark : 0),
                              delta);
}

/* A walk found a leaf: is the access allowed, is its memory there? */
static void resolve(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v, uint32_t port, uint64_t gva,
                    uint32_t access, const struct leaf *leaf, struct gn_softmmu_answer *r)
{
    uint32_t shift = GN_PAGE_SHIFT + leaf->level * mmu->geometry.index_bits;
    uint64_t hpa = leaf->address | (gva & (((uint64_t)1 << shift) - 1));
    uint64_t page = hpa & ~GN_PAGE_MASK;
    uint32_t allowed = v->allowed[leaf->permissions & GN_PAGING_RWXU];
    int traced = (leaf->permissions & GN_PAGING_SOFT0) != 0;

    if (page > mmu->params.memory_size - GN_PAGE_SIZE) {
        stop(r, GN_MMU_BAD_TABLE, leaf->value);
        v->stats.exits++;
        return;
    }
    if (!(allowed & v->need[port][access])) {
        stop(r, GN_MMU_DENIED, leaf->value);
        v->stats.exits++;
        return;
    }
    fill(mmu, v, port, gva, access, page, allowed, traced);
    done(mmu, r, hpa, traced && access == GN_ACCESS_WRITE);
}

/* An absent entry may say why. */
static void explain(struct gn_softmmu *mmu, uint32_t vcpu, uint32_t view, uint64_t gva,
                    uint32_t access, struct gn_softmmu_answer *r)
{
    struct gn_softmmu_stats *stats = &mmu->vcpus[vcpu].stats;
    uint32_t user = view == GN_SOFTMMU_VIEW_USER ? GN_PAGING_AS_USER : 0;
    struct gn_mmu_answer why = {.entry = r->mmu.entry};

    if (r->mmu.outcome == GN_MMU_ABSENT && r->mmu.entry && mmu->ops.absent &&
        mmu->ops.absent(mmu->params.ops_ctx, vcpu, r->mmu.entry, access | user, &why)) {
        if (why.outcome == GN_MMU_MMIO) {
            stats->marker_mmio++;
            why.gpa = gn_gpa((why.gpa.v & ~GN_PAGE_MASK) | (gva & GN_PAGE_MASK));
            r->mmu = why;
            return;
        }
        if (why.outcome == GN_MMU_GUEST_FAULT) {
            stats->marker_faults++;
            r->mmu = why;
            return;
        }
        /* Any other answer is none: an op cannot make an absent page present. */
    }
    stats->exits++;
}

int gn_softmmu_access(struct gn_softmmu *mmu, uint32_t vcpu, gn_gva_t gva, uint32_t access,
                      uint32_t bytes, struct gn_softmmu_answer *ret_answer)
{
    struct gn_softmmu_answer r = {0};
    struct gn_softmmu__vcpu *v;
    uint32_t port = access == GN_ACCESS_EXEC ? GN_SOFTMMU_PORT_FETCH : GN_SOFTMMU_PORT_DATA;
    uint32_t view;
    struct leaf leaf;

    if (!mmu || !ret_answer || vcpu >= mmu->params.vcpus || access >= GN_ACCESS_KINDS || !bytes ||
        (gva.v & GN_PAGE_MASK) + bytes > GN_PAGE_SIZE)
        return -GN_ERR_INVAL;
    v = &mmu->vcpus[vcpu];
    if (!v->context[port].size)
        return -GN_ERR_PERM;
    view = v->context[port].view;
    if (access == GN_ACCESS_WRITE && traced_hit(mmu, &v->window[port], gva.v, &r)) {
        *ret_answer = r;
        return 0;
    }
    if (!canonical(mmu, gva.v)) {
        stop(&r, GN_MMU_ABSENT, 0);
        v->stats.exits++;
        *ret_answer = r;
        return 0;
    }
    v->stats.walks++;
    if (walk(mmu, v->context[port].root, gva.v, &leaf, &r) == GN_MMU_DONE)
        resolve(mmu, v, port, gva.v, access, &leaf, &r);
    else
        explain(mmu, vcpu, view, gva.v, access, &r);
    *ret_answer = r;
    return 0;
}

void gn_softmmu_written(struct gn_softmmu *mmu, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes)
{
    if (!mmu || vcpu >= mmu->params.vcpus)
        return;
    mmu->vcpus[vcpu].stats.traced_writes++;
    if (mmu->ops.traced_write)
        mmu->ops.traced_write(mmu->params.ops_ctx, vcpu, hpa, bytes);
}
