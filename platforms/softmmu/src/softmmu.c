/* SPDX-License-Identifier: BSD-3-Clause */
#include "softmmu_internal.h"

#define VCPUS_MAX        256u
#define TLB_DEFAULT      16384u
#define TLB_MIN          64u
#define TLB_MAX          (1u << 20)
#define CONTEXTS_DEFAULT 64u
#define CONTEXTS_MIN     4u
#define CONTEXTS_MAX     4096u

uint32_t gn_softmmu_version(void)
{
    return GN_SOFTMMU_VERSION_MAJOR << 16 | GN_SOFTMMU_VERSION_MINOR;
}

size_t gn_softmmu_align(void)
{
    return 64;
}

static int params_normalize(const struct gn_softmmu_params *params, struct gn_softmmu_params *ret)
{
    struct gn_softmmu_params p;
    int rc = gn_base_params_copy(&p, sizeof p, params, sizeof p);

    if (rc)
        return rc;
    p.vcpus = p.vcpus ? p.vcpus : 1;
    p.tlb_entries = p.tlb_entries ? p.tlb_entries : TLB_DEFAULT;
    p.contexts = p.contexts ? p.contexts : CONTEXTS_DEFAULT;
    if (p.contexts < CONTEXTS_MIN || p.contexts > CONTEXTS_MAX || p.reserved)
        return -GN_ERR_INVAL;
    if (p.vcpus > VCPUS_MAX || p.tlb_entries < TLB_MIN || p.tlb_entries > TLB_MAX ||
        p.tlb_entries & (p.tlb_entries - 1))
        return -GN_ERR_INVAL;
    if (!p.memory || (uintptr_t)p.memory & GN_PAGE_MASK || !p.memory_size ||
        p.memory_size & GN_PAGE_MASK)
        return -GN_ERR_INVAL;
    p.size = sizeof p; /* the copy is no longer than that, whatever the caller's was */
    *ret = p;
    return 0;
}

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* Where the parts lie in the caller's memory, in bytes from its start. */
struct layout {
    size_t vcpus;
    size_t keys;
    size_t slabs;
    size_t end;
};

static struct layout layout_of(const struct gn_softmmu_params *p)
{
    uint64_t offset[GN_ACCESS_KINDS];
    struct layout l = {.vcpus = round_up(sizeof(struct gn_softmmu))};

    l.keys = l.vcpus + round_up(p->vcpus * sizeof(struct gn_softmmu__vcpu));
    l.slabs = l.keys + round_up((size_t)p->vcpus * p->contexts * sizeof(uint32_t));
    l.end =
        l.slabs + (size_t)p->vcpus * p->contexts * gn_softmmu__slab_layout(p->tlb_entries, offset);
    return l;
}

size_t gn_softmmu_size(const struct gn_softmmu_params *params)
{
    struct gn_softmmu_params p;

    return params_normalize(params, &p) ? 0 : layout_of(&p).end;
}

/* Tabulates the privilege rules, so that a fill need not ask them one by one. */
static void vcpu_controls_set(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v, uint32_t controls)
{
    static const uint32_t sum = GN_PAGING_RISCV_SUM | GN_PAGING_X86_AC;

    for (uint32_t permissions = 0; permissions < 16; permissions++) {
        uint32_t allowed = 0;

        for (uint32_t view = 0; view < GN_SOFTMMU_VIEWS; view++) {
            struct gn_paging_context c = mmu->format;
            uint32_t user = view == GN_SOFTMMU_VIEW_USER ? GN_PAGING_AS_USER : 0;

            c.controls = (controls & ~sum) | (view == GN_SOFTMMU_VIEW_SUM ? sum : 0);
            for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++)
                if (gn_paging_allows(&c, permissions, kind | user))
                    allowed |= GN_SOFTMMU__ALLOW(view, kind);
            c.controls |= GN_PAGING_RISCV_MXR;
            if (gn_paging_allows(&c, permissions, GN_ACCESS_READ | user))
                allowed |= GN_SOFTMMU__ALLOW_MXR(view);
        }
        v->allowed[permissions] = (uint16_t)allowed;
    }
    v->controls = controls;
}

/* A virtual CPU in no context: its windows look at a slab that is nobody's, and empty. */
static void vcpu_init(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v, uint32_t *keys,
                      uint8_t *slabs)
{
    v->keys = keys;
    v->slabs = slabs;
    memset(keys, 0, mmu->params.contexts * sizeof *keys);
    vcpu_controls_set(mmu, v, 0);
    keys[0] = GN_SOFTMMU__KEY_NONE;
    v->used = 1;
    gn_softmmu__slab_reset(mmu, gn_softmmu__slab(mmu, v, 0));
    for (uint32_t port = 0; port < GN_SOFTMMU__PORTS; port++) {
        v->window[port].slab = gn_softmmu__slab(mmu, v, 0);
        memcpy(v->window[port].offset, mmu->offset, sizeof mmu->offset);
    }
}

int gn_softmmu_init(void *mem, size_t len, const struct gn_softmmu_params *params,
                    struct gn_softmmu **ret_mmu)
{
    struct gn_softmmu *mmu = mem;
    struct gn_softmmu_params p;
    struct gn_softmmu_ops ops = {0};
    struct gn_paging_geometry geometry;
    struct layout l;
    int rc;

    if (!mem || !ret_mmu || (uintptr_t)mem & (gn_softmmu_align() - 1))
        return -GN_ERR_INVAL;
    rc = params_normalize(params, &p);
    if (!rc && p.ops)
        rc = gn_base_params_copy(&ops, sizeof ops, p.ops, sizeof ops);
    if (rc)
        return rc;
    rc = gn_paging_geometry(p.format, &geometry);
    if (rc)
        return rc;
    /* Tables of several shapes, or two roots, have no index_bits. */
    if (!geometry.levels || geometry.entry_bytes != 8 || !geometry.index_bits)
        return -GN_ERR_NOTSUP;
    if (len < gn_softmmu_size(&p))
        return -GN_ERR_NOMEM;
    l = layout_of(&p);
    memset(mmu, 0, l.keys);
    mmu->params = p;
    mmu->ops = ops;
    mmu->geometry = geometry;
    mmu->format = (struct gn_paging_context){GN_PAGING_CONTEXT_INIT, .format = p.format,
                                             .controls = UINT32_MAX};
    mmu->slab_bytes = gn_softmmu__slab_layout(p.tlb_entries, mmu->offset);
    mmu->vcpus = (void *)((uint8_t *)mem + l.vcpus);
    /* A slab's memory is touched when a context has it, and as far as it is used. */
    for (uint32_t i = 0; i < p.vcpus; i++)
        vcpu_init(mmu, &mmu->vcpus[i],
                  (uint32_t *)(void *)((uint8_t *)mem + l.keys) + i * p.contexts,
                  (uint8_t *)mem + l.slabs + (size_t)i * p.contexts * mmu->slab_bytes);
    *ret_mmu = mmu;
    return 0;
}

void gn_softmmu_fini(struct gn_softmmu *mmu)
{
    (void)mmu;
}

const struct gn_softmmu_window *gn_softmmu_window(const struct gn_softmmu *mmu, uint32_t vcpu,
                                                  uint32_t port)
{
    if (!mmu || vcpu >= mmu->params.vcpus || port >= GN_SOFTMMU__PORTS)
        return NULL;
    return &mmu->vcpus[vcpu].window[port];
}

/* Control state that the permission bits of an entry depend on; RISC-V has all of it in views. */
static uint32_t controls_known(const struct gn_softmmu *mmu)
{
    return gn_softmmu__is_x86(mmu)
               ? GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_SMEP | GN_PAGING_X86_SMAP
               : 0;
}

int gn_softmmu_context_set(struct gn_softmmu *mmu, uint32_t vcpu, uint32_t port,
                           const struct gn_softmmu_context *context)
{
    struct gn_softmmu_context c;
    struct gn_softmmu__vcpu *v;
    uint32_t controls;
    int rc = gn_base_params_copy(&c, sizeof c, context, sizeof c);

    if (rc)
        return rc;
    if (!mmu || vcpu >= mmu->params.vcpus || port >= GN_SOFTMMU__PORTS ||
        c.asid > GN_SOFTMMU_ASID_MASK || c.view >= GN_SOFTMMU_VIEWS || c.root.v & GN_PAGE_MASK)
        return -GN_ERR_INVAL;
    v = &mmu->vcpus[vcpu];
    controls = c.controls & controls_known(mmu);
    if (controls != v->controls) {
        gn_softmmu__slabs_drop(mmu, v, GN_MMU_ASID_ANY);
        vcpu_controls_set(mmu, v, controls);
        v->stats.full_flushes++;
    }
    /* A kernel that opens and shuts a user's pages comes by often: what is read was not just
     * written.
     */
    v->context[port] = c;
    v->context[port].controls = controls;
    v->window[port].slab = gn_softmmu__slab_get(mmu, v, gn_softmmu__key(c.asid, c.view, c.mxr));
    v->need[port][GN_ACCESS_READ] =
        c.mxr ? GN_SOFTMMU__ALLOW_MXR(c.view) : GN_SOFTMMU__ALLOW(c.view, GN_ACCESS_READ);
    v->need[port][GN_ACCESS_WRITE] = GN_SOFTMMU__ALLOW(c.view, GN_ACCESS_WRITE);
    v->need[port][GN_ACCESS_EXEC] = GN_SOFTMMU__ALLOW(
        c.view == GN_SOFTMMU_VIEW_SUM ? GN_SOFTMMU_VIEW_SUPERVISOR : c.view, GN_ACCESS_EXEC);
    v->stats.context_sets++;
    return 0;
}

static void slab_each(const struct gn_softmmu *mmu, const struct gn_softmmu__vcpu *v, uint32_t i,
                      void (*each)(void *ctx, const struct gn_softmmu_cached *cached), void *ctx)
{
    struct gn_softmmu_slab *slab = gn_softmmu__slab(mmu, v, i);
    struct gn_softmmu_cached c = {.size = sizeof c,
                                  .asid = v->keys[i] & GN_SOFTMMU_ASID_MASK,
                                  .view = v->keys[i] >> 12 & 3,
                                  .mxr = v->keys[i] >> 14 & 1};

    for (c.access = 0; c.access < GN_ACCESS_KINDS; c.access++)
        for (uint64_t j = 0; j < gn_softmmu__entries(slab); j++) {
            const struct gn_softmmu_entry *e = gn_softmmu__entry(mmu, slab, c.access, j);

            if (e->page == GN_SOFTMMU_NO_PAGE)
                continue;
            c.traced = (uint32_t)(e->page & GN_SOFTMMU_TRACED);
            c.gva = gn_gva(e->page & ~GN_PAGE_MASK);
            c.hpa = gn_hpa(gn_softmmu__conforms(slab, e)
                               ? UINT64_MAX
                               : c.gva.v + e->delta - (uint64_t)(uintptr_t)mmu->params.memory);
            each(ctx, &c);
        }
}

void gn_softmmu_each(const struct gn_softmmu *mmu, uint32_t vcpu,
                     void (*each)(void *ctx, const struct gn_softmmu_cached *cached), void *ctx)
{
    const struct gn_softmmu__vcpu *v;

    if (!mmu || vcpu >= mmu->params.vcpus || !each)
        return;
    v = &mmu->vcpus[vcpu];
    for (uint32_t i = 0; i < v->used; i++)
        if (v->keys[i] && v->keys[i] != GN_SOFTMMU__KEY_NONE)
            slab_each(mmu, v, i, each, ctx);
}

static void stats_add(struct gn_softmmu_stats *to, const struct gn_softmmu_stats *s)
{
    to->walks += s->walks;
    to->fills += s->fills;
    to->exits += s->exits;
    to->marker_faults += s->marker_faults;
    to->marker_mmio += s->marker_mmio;
    to->traced_writes += s->traced_writes;
    to->full_flushes += s->full_flushes;
    to->context_sets += s->context_sets;
    to->contexts_evicted += s->contexts_evicted;
    to->strays += s->strays;
    to->conformed += s->conformed;
}

int gn_softmmu_stats_get(const struct gn_softmmu *mmu, struct gn_softmmu_stats *ret_stats)
{
    struct gn_softmmu_stats stats;
    uint32_t size;

    if (!mmu || !ret_stats || ret_stats->size < sizeof ret_stats->size)
        return -GN_ERR_INVAL;
    size = ret_stats->size < sizeof stats ? ret_stats->size : (uint32_t)sizeof stats;
    stats = mmu->stats;
    for (uint32_t i = 0; i < mmu->params.vcpus; i++)
        stats_add(&stats, &mmu->vcpus[i].stats);
    stats.size = size;
    memcpy(ret_stats, &stats, size);
    return 0;
}
