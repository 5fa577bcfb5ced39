/* SPDX-License-Identifier: BSD-3-Clause */
#include "softmmu_internal.h"

/* The platform interface: one address space and one privilege for both ports. */

static int ops_context_set(void *mmu, uint32_t vcpu, const struct gn_mmu_context *context)
{
    struct gn_mmu_context c;
    struct gn_softmmu_context s = {GN_SOFTMMU_CONTEXT_INIT};
    uint32_t sum;
    int rc = gn_base_params_copy(&c, sizeof c, context, sizeof c);

    if (rc)
        return rc;
    if (!mmu)
        return -GN_ERR_INVAL;
    /* Bits of the other architecture are ignored. */
    sum = gn_softmmu__is_x86(mmu) ? GN_PAGING_X86_AC : GN_PAGING_RISCV_SUM;
    s.asid = c.asid;
    s.root = c.root;
    s.mxr = (c.controls & GN_PAGING_RISCV_MXR) != 0;
    s.view = c.user             ? GN_SOFTMMU_VIEW_USER
             : c.controls & sum ? GN_SOFTMMU_VIEW_SUM
                                : GN_SOFTMMU_VIEW_SUPERVISOR;
    s.controls = c.controls;
    rc = gn_softmmu_context_set(mmu, vcpu, GN_SOFTMMU_PORT_DATA, &s);
    return rc ? rc : gn_softmmu_context_set(mmu, vcpu, GN_SOFTMMU_PORT_FETCH, &s);
}

static void ops_invalidate_range(void *mmu, uint32_t asid, gn_gva_t gva, uint64_t length)
{
    gn_softmmu_invalidate_range(mmu, asid, gva, length);
}

static void ops_invalidate_writes(void *mmu, uint32_t asid, gn_gva_t gva, uint64_t length)
{
    gn_softmmu_invalidate_writes(mmu, asid, gva, length);
}

static void ops_invalidate_asid(void *mmu, uint32_t asid)
{
    gn_softmmu_invalidate_asid(mmu, asid);
}

static void ops_invalidate_all(void *mmu)
{
    gn_softmmu_invalidate_all(mmu);
}

static int ops_access(void *mmu, uint32_t vcpu, gn_gva_t gva, uint32_t access, void *data,
                      uint32_t bytes, struct gn_mmu_answer *ret_answer)
{
    struct gn_softmmu_answer r = {0};
    uint32_t port = access == GN_ACCESS_EXEC ? GN_SOFTMMU_PORT_FETCH : GN_SOFTMMU_PORT_DATA;
    const struct gn_softmmu_window *w = gn_softmmu_window(mmu, vcpu, port);
    int rc;

    if (!w || !data || !ret_answer || access >= GN_ACCESS_KINDS || !bytes ||
        (gva.v & GN_PAGE_MASK) + bytes > GN_PAGE_SIZE)
        return -GN_ERR_INVAL;
    r.host = gn_softmmu_probe(w, gva, bytes, access);
    if (!r.host) {
        rc = gn_softmmu_access(mmu, vcpu, gva, access, bytes, &r);
        if (rc)
            return rc;
    }
    if (r.mmu.outcome == GN_MMU_DONE && access == GN_ACCESS_WRITE)
        memcpy(r.host, data, bytes);
    else if (r.mmu.outcome == GN_MMU_DONE)
        memcpy(data, r.host, bytes);
    /* Recorded after it completed: who drains the record must find the new value. */
    if (r.traced)
        gn_softmmu_written(mmu, vcpu, r.hpa, bytes);
    *ret_answer = r.mmu;
    return 0;
}

const struct gn_mmu_ops *gn_softmmu_mmu_ops(void)
{
    static const struct gn_mmu_ops ops = {
        .size = sizeof ops,
        .caps = GN_MMU_CAP_WALKS | GN_MMU_CAP_ASID | GN_MMU_CAP_TRACED | GN_MMU_CAP_MARKERS |
                GN_MMU_CAP_WRITES,
        .asid_bits = GN_SOFTMMU_ASID_BITS,
        .context_set = ops_context_set,
        .invalidate_range = ops_invalidate_range,
        .invalidate_asid = ops_invalidate_asid,
        .invalidate_all = ops_invalidate_all,
        .access = ops_access,
        .invalidate_writes = ops_invalidate_writes,
    };

    return &ops;
}
