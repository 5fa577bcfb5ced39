/* SPDX-License-Identifier: BSD-3-Clause */
#include "softmmu_internal.h"

/* A new context begins with what another one knows of the tables that both have. */

/* Entries of a root table, in any format that is walked here. */
#define ROOT_ENTRIES 512u

/* A slab that has grown beyond this is dearer to look through than what is shared is to walk. */
#define ENTRIES_MAX 1024u

/* Which entries of two root tables are the same: a bit each. */
struct shared {
    uint64_t bits[ROOT_ENTRIES / 64];
};

static int root_valid(const struct gn_softmmu *mmu, const struct gn_softmmu_context *c)
{
    return c->asid <= GN_SOFTMMU_ASID_MASK && c->view < GN_SOFTMMU_VIEWS &&
           !(c->root.v & GN_PAGE_MASK) && c->root.v <= mmu->params.memory_size - GN_PAGE_SIZE;
}

static struct shared shared_by(const struct gn_softmmu *mmu, uint64_t a, uint64_t b)
{
    const uint64_t *one = (const void *)((const uint8_t *)mmu->params.memory + a);
    const uint64_t *other = (const void *)((const uint8_t *)mmu->params.memory + b);
    struct shared s = {{0}};

    for (uint32_t i = 0; i < ROOT_ENTRIES; i++) {
        uint64_t entry = __atomic_load_n(&one[i], __ATOMIC_ACQUIRE);

        if (entry & 1 && entry == __atomic_load_n(&other[i], __ATOMIC_ACQUIRE))
            s.bits[i / 64] |= (uint64_t)1 << i % 64;
    }
    return s;
}

static int is_shared(const struct gn_softmmu *mmu, const struct shared *s, uint64_t page)
{
    uint32_t shift = GN_PAGE_SHIFT + (mmu->geometry.levels - 1) * mmu->geometry.index_bits;
    uint32_t i = (uint32_t)(page >> shift) & (ROOT_ENTRIES - 1);

    return s->bits[i / 64] >> i % 64 & 1;
}

/* The slab of a context, if it has one. */
static struct gn_softmmu_slab *slab_find(const struct gn_softmmu *mmu,
                                         const struct gn_softmmu__vcpu *v, uint32_t key)
{
    for (uint32_t i = 0; i < v->used; i++)
        if (v->keys[i] == key)
            return gn_softmmu__slab(mmu, v, i);
    return NULL;
}

static void copy(struct gn_softmmu *mmu, struct gn_softmmu_slab *to, struct gn_softmmu_slab *from,
                 const struct shared *s)
{
    for (uint32_t access = 0; access < GN_ACCESS_KINDS; access++)
        for (uint64_t i = 0; i < gn_softmmu__entries(from); i++) {
            const struct gn_softmmu_entry e = *gn_softmmu__entry(mmu, from, access, i);

            if (e.page != GN_SOFTMMU_NO_PAGE && is_shared(mmu, s, e.page) &&
                !gn_softmmu__conforms(from, &e))
                gn_softmmu__slab_fill(mmu, to, access, e.page, e.delta);
        }
    if (!from->window && !to->window)
        to->expected = from->expected;
}

int gn_softmmu_context_inherit(struct gn_softmmu *mmu, uint32_t vcpu,
                               const struct gn_softmmu_context *context,
                               const struct gn_softmmu_context *from)
{
    struct gn_softmmu_context to, of;
    struct gn_softmmu_slab *source;
    struct gn_softmmu__vcpu *v;
    struct shared s;
    int rc = gn_base_params_copy(&to, sizeof to, context, sizeof to);

    if (!rc)
        rc = gn_base_params_copy(&of, sizeof of, from, sizeof of);
    if (rc)
        return rc;
    if (!mmu || vcpu >= mmu->params.vcpus || !root_valid(mmu, &to) || !root_valid(mmu, &of))
        return -GN_ERR_INVAL;
    v = &mmu->vcpus[vcpu];
    source = slab_find(mmu, v, gn_softmmu__key(of.asid, of.view, of.mxr));
    if (!source || to.asid == of.asid || to.view != of.view || !to.mxr != !of.mxr ||
        to.controls != of.controls || gn_softmmu__entries(source) > ENTRIES_MAX)
        return 0;
    s = shared_by(mmu, to.root.v, of.root.v);
    source->stamp = ++v->clock; /* or the new one might take its place */
    copy(mmu, gn_softmmu__slab_get(mmu, v, gn_softmmu__key(to.asid, to.view, to.mxr)), source, &s);
    return 0;
}
