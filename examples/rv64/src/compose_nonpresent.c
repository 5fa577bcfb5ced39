/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include <gnomon/nonpresent.h>
#include <gnomon/paging.h>

#include "compose_parts.h"

struct rv64_nonpresent {
    struct gn_nonpresent *np;
    void *memory;
};

bool rv64_nonpresent_built(void)
{
    return true;
}

struct rv64_nonpresent *rv64_nonpresent_create(int (*pending)(void *ctx, gn_gpa_t page), void *ctx)
{
    /*
     * RISC-V would allow a marker to hold until SFENCE.VMA. Kernels were written on machines that
     * cache no absent entries, though, and some touch a new kernel mapping without a fence: the
     * stricter rule runs those, too, and costs a look at the log.
     */
    const struct gn_nonpresent_ops ops = {GN_NONPRESENT_OPS_INIT, .pending = pending};
    const struct gn_nonpresent_params params = {GN_NONPRESENT_PARAMS_INIT,
                                                .encoding = GN_NONPRESENT_RISCV,
                                                .guest = GN_NONPRESENT_GUEST_RISCV,
                                                .rule = GN_NONPRESENT_RULE_IMMEDIATE,
                                                .ops = &ops,
                                                .ctx = ctx};
    struct rv64_nonpresent *n = calloc(1, sizeof *n);

    if (!n)
        return NULL;
    n->memory = aligned_alloc(gn_nonpresent_align(),
                              (gn_nonpresent_size(&params) + gn_nonpresent_align() - 1) &
                                  ~(gn_nonpresent_align() - 1));
    if (n->memory && !gn_nonpresent_init(n->memory, gn_nonpresent_size(&params), &params, &n->np))
        return n;
    rv64_nonpresent_destroy(n);
    return NULL;
}

void rv64_nonpresent_destroy(struct rv64_nonpresent *n)
{
    if (!n)
        return;
    gn_nonpresent_fini(n->np);
    free(n->memory);
    free(n);
}

/* What a guest's mapping of a device permits whatever SUM and MXR are. */
static uint32_t allow(uint32_t permissions)
{
    return (permissions & GN_PAGING_R ? GN_NONPRESENT_ALLOW_READ : 0) |
           (permissions & GN_PAGING_W && permissions & GN_PAGING_D ? GN_NONPRESENT_ALLOW_WRITE
                                                                   : 0) |
           (permissions & GN_PAGING_U ? GN_NONPRESENT_ALLOW_USER : GN_NONPRESENT_ALLOW_SUPERVISOR);
}

uint64_t rv64_nonpresent_encode(struct rv64_nonpresent *n, const struct gn_shadow_absent *absent)
{
    uint64_t marker = 0;
    int rc =
        absent->kind == GN_SHADOW_ABSENT_GUEST
            ? gn_nonpresent_encode_absent(n->np, absent->level, absent->entry, &marker)
            : gn_nonpresent_encode_mmio(n->np, absent->gpa, allow(absent->permissions), &marker);

    return rc ? 0 : marker;
}

bool rv64_nonpresent_explain(struct rv64_nonpresent *n, uint64_t entry, uint32_t access,
                             struct gn_mmu_answer *ret_answer)
{
    uint32_t user = access & GN_PAGING_AS_USER ? GN_NONPRESENT_AS_USER : 0;
    struct gn_nonpresent_answer a;

    if (gn_nonpresent_lookup(n->np, entry, (access & GN_PAGING_ACCESS_KIND) | user, &a) ||
        a.kind == GN_NONPRESENT_UNKNOWN)
        return false;
    ret_answer->outcome = a.kind == GN_NONPRESENT_MMIO ? GN_MMU_MMIO : GN_MMU_GUEST_FAULT;
    ret_answer->code = a.code;
    ret_answer->gpa = a.gpa;
    return true;
}

void rv64_nonpresent_stats(const struct rv64_nonpresent *n, rv64_counter each, void *ctx)
{
    struct gn_nonpresent_stats s = {GN_NONPRESENT_STATS_INIT};

    if (gn_nonpresent_stats_get(n->np, &s))
        return;
    each(ctx, "nonpresent", "encoded_absent", s.encoded_absent);
    each(ctx, "nonpresent", "encoded_mmio", s.encoded_mmio);
    each(ctx, "nonpresent", "hits", s.hits);
    each(ctx, "nonpresent", "disbelieved", s.disbelieved);
    each(ctx, "nonpresent", "mmio_hits", s.mmio_hits);
    each(ctx, "nonpresent", "unknown", s.unknown);
}
