/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * The walk of the guest's tables, and what is to be known of the bits that it sets: A and D are
 * writes to memory, for the dirty log. In one place they change what another entry says: where a
 * word serves as a PDPTE of PAE and as an entry of another table, A is a reserved bit of the PDPTE
 * (SDM vol. 3A table 4-8).
 */

struct walker {
    struct gn_shadow *sh;
    int spoilt; /**< a PDPTE is not what it was */
};

static int walker_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    struct gn_shadow *sh = ((struct walker *)ctx)->sh;

    return sh->ops.guest->load(sh->params.ops_ctx, gpa, bytes, ret_value);
}

static int walker_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                          uint64_t desired)
{
    struct walker *w = ctx;
    struct gn_shadow *sh = w->sh;
    int pdpte = sh->pdpts && gn_shadow__is_pdpte(sh, gpa);
    int rc;

    /* The link that the PDPTE is will be dropped. */
    if (pdpte && !sh->alone)
        return -GN_ERR_BUSY;
    rc = sh->ops.guest->cmpxchg(sh->params.ops_ctx, gpa, bytes, expected, desired);
    if (rc)
        return rc;
    gn_shadow__dirty_mark(sh, gpa);
    if (pdpte)
        gn_shadow__sync_alone(sh, gpa, bytes);
    w->spoilt |= pdpte;
    return 0;
}

static const struct gn_paging_ops walker_ops = {GN_PAGING_OPS_INIT, .load = walker_load,
                                                .cmpxchg = walker_cmpxchg};

int gn_shadow__walk(struct gn_shadow *sh, const struct gn_paging_context *context, gn_gva_t gva,
                    uint32_t access, struct gn_paging_walk *ret_walk)
{
    struct walker w = {.sh = sh};
    int rc;

    if (!sh->logged && !sh->pdpts)
        return gn_paging_walk(context, sh->ops.guest, sh->params.ops_ctx, gva, access, ret_walk);
    rc = gn_paging_walk(context, &walker_ops, &w, gva, access, ret_walk);
    if (rc == -GN_ERR_BUSY && !sh->alone)
        return GN_SHADOW__LATER;
    return rc || !w.spoilt ? rc : -GN_ERR_AGAIN;
}
