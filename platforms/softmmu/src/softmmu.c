/* SPDX-License-Identifier: BSD-3-Clause */
#include "softmmu_internal.h"

#define VCPUS_MAX   256u
#define TLB_DEFAULT 8192u
#define TLB_MIN     64u
#define TLB_MAX     (1u << 20)

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

static size_t tlb_offset(const struct gn_softmmu_params *p)
{
    return round_up(sizeof(struct gn_softmmu)) +
           round_up(p->vcpus * sizeof(struct gn_softmmu__vcpu));
}

size_t gn_softmmu_size(const struct gn_softmmu_params *params)
{
    struct gn_softmmu_params p;

    if (params_normalize(params, &p))
        return 0;
    return tlb_offset(&p) + (size_t)p.vcpus * p.tlb_entries * sizeof(struct gn_softmmu_entry);
}

/* Tabulates the privilege rules, so that a fill need not ask them one by one. */
static void vcpu_controls_set(struct gn_softmmu *mmu, struct gn_softmmu__vcpu *v, uint32_t controls)
{
    static const uint32_t sum = GN_PAGING_RISCV_SUM | GN_PAGING_X86_AC;

    for (uint32_t permissions = 0; permissions < 16; permissions++) {
        uint64_t allowed = 0;

        for (uint32_t view = 0; view < GN_SOFTMMU_VIEWS; view++) {
            struct gn_paging_context c = mmu->format;
            uint32_t user = view == GN_SOFTMMU_VIEW_USER ? GN_PAGING_AS_USER : 0;

            c.controls = (controls & ~sum) | (view == GN_SOFTMMU_VIEW_SUM ? sum : 0);
            for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++)
                if (gn_paging_allows(&c, permissions, kind | user))
                    allowed |= GN_SOFTMMU_ALLOW(view, kind);
            c.controls |= GN_PAGING_RISCV_MXR;
            if (gn_paging_allows(&c, permissions, GN_ACCESS_READ | user))
                allowed |= GN_SOFTMMU_ALLOW_MXR(view);
        }
        v->allowed[permissions] = (uint16_t)(allowed & ~GN_SOFTMMU_TRACED);
    }
    v->controls = controls;
}

int gn_softmmu_init(void *mem, size_t len, const struct gn_softmmu_params *params,
                    struct gn_softmmu **ret_mmu)
{
    struct gn_softmmu *mmu = mem;
    struct gn_softmmu_params p;
    struct gn_softmmu_ops ops = {0};
    struct gn_paging_geometry geometry;
    uint8_t *tlbs;
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
    if (!geometry.levels || geometry.entry_bytes != 8)
        return -GN_ERR_NOTSUP;
    if (len < gn_softmmu_size(&p))
        return -GN_ERR_NOMEM;
    memset(mmu, 0, tlb_offset(&p));
    mmu->params = p;
    mmu->ops = ops;
    mmu->geometry = geometry;
    mmu->format = (struct gn_paging_context){GN_PAGING_CONTEXT_INIT, .format = p.format,
                                             .controls = UINT32_MAX};
    while ((uint32_t)1 << mmu->index_bits < p.tlb_entries)
        mmu->index_bits++;
    mmu->vcpus = (void *)((uint8_t *)mem + round_up(sizeof *mmu));
    tlbs = (uint8_t *)mem + tlb_offset(&p);
    for (uint32_t i = 0; i < p.vcpus; i++) {
        struct gn_softmmu__vcpu *v = &mmu->vcpus[i];

        v->tlb = (void *)(tlbs + (size_t)i * p.tlb_entries * sizeof *v->tlb);
        gn_softmmu__tlb_clear(mmu, v);
        vcpu_controls_set(mmu, v, 0);
        for (uint32_t port = 0; port < GN_SOFTMMU__PORTS; port++) {
            v->window[port].tlb = v->tlb;
            v->window[port].index_mask = p.tlb_entries - 1;
            /* Before a context is set nothing matches: no entry has all bits. */
            for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++)
                v->window[port].need[kind] = GN_PAGE_MASK;
        }
    }
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
    struct gn_softmmu_window *w;
    int rc = gn_base_params_copy(&c, sizeof c, context, sizeof c);

    if (rc)
        return rc;
    if (!mmu || vcpu >= mmu->params.vcpus || port >= GN_SOFTMMU__PORTS ||
        c.asid > GN_SOFTMMU_ASID_MASK || c.view >= GN_SOFTMMU_VIEWS || c.root.v & GN_PAGE_MASK)
        return -GN_ERR_INVAL;
    v = &mmu->vcpus[vcpu];
    w = &v->window[port];
    c.controls &= controls_known(mmu);
    if (c.controls != v->controls) {
        gn_softmmu__tlb_clear(mmu, v);
        vcpu_controls_set(mmu, v, c.controls);
        v->stats.full_flushes++;
    }
    v->context[port] = c;
    w->asid = c.asid;
    w->asid_hash = gn_softmmu__asid_hash(mmu, c.asid);
    w->need[GN_ACCESS_READ] =
        c.mxr ? GN_SOFTMMU_ALLOW_MXR(c.view) : GN_SOFTMMU_ALLOW(c.view, GN_ACCESS_READ);
    w->need[GN_ACCESS_WRITE] = GN_SOFTMMU_ALLOW(c.view, GN_ACCESS_WRITE);
    w->need[GN_ACCESS_EXEC] = GN_SOFTMMU_ALLOW(
        c.view == GN_SOFTMMU_VIEW_SUM ? GN_SOFTMMU_VIEW_SUPERVISOR : c.view, GN_ACCESS_EXEC);
    v->stats.context_sets++;
    return 0;
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
