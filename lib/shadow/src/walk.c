/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * The walk of the guest's tables, and what is to be known of the bits that it sets. A and D are
 * writes to memory, for the dirty log. And they may change what the entry says to a walk by other
 * rules, which nobody is told of but by us:
 *  - a word serves as a PDPTE of PAE and as an entry of another table: A is a reserved bit of the
 *    PDPTE (SDM vol. 3A table 4-8);
 *  - the second half of an entry of 8 bytes serves as one of 4 bytes, whose A and D are then bits
 *    of an address;
 *  - AArch64 sets D by clearing AP[2]: where TCR_EL1.HD is clear, the page becomes writable, and
 *    then perhaps none that EL1, or under WXN anybody, may execute (Arm DDI 0487 D8.4).
 */

struct walker {
    struct gn_shadow *sh;
    uint64_t root;       /**< of the walk itself, whose entries may be set as others of it */
    uint64_t root_bytes; /**< those of them that A would spoil: PDPTEs */
    int spoilt;          /**< an entry that was of use is not what it was */
};

static int walker_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    struct gn_shadow *sh = ((struct walker *)ctx)->sh;

    return sh->ops.guest->load(sh->params.ops_ctx, gpa, bytes, ret_value);
}

/* Is there a table to which A or D, set in an entry of so many bytes, may be more than that? */
static int is_touchy(const struct gn_shadow *sh, uint32_t bytes)
{
    return sh->touchy || (sh->wide && bytes == 4);
}

static int walker_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                          uint64_t desired)
{
    struct walker *w = ctx;
    struct gn_shadow *sh = w->sh;
    int touch = is_touchy(sh, bytes) ? gn_shadow__touch(sh, gpa, bytes, expected, desired)
                                     : GN_SHADOW__TOUCH_NOTHING;
    int rc;

    /* Links may be dropped. */
    if (touch && !sh->alone)
        return -GN_ERR_BUSY;
    rc = sh->ops.guest->cmpxchg(sh->params.ops_ctx, gpa, bytes, expected, desired);
    if (rc)
        return rc;
    gn_shadow__dirty_mark(sh, gpa);
    if (touch)
        gn_shadow__sync_alone(sh, gpa, bytes);
    w->spoilt |= touch == GN_SHADOW__TOUCH_SPOILS || gpa.v - w->root < w->root_bytes;
    return 0;
}

static const struct gn_paging_ops walker_ops = {GN_PAGING_OPS_INIT, .load = walker_load,
                                                .cmpxchg = walker_cmpxchg};

int gn_shadow__walk(struct gn_shadow *sh, const struct gn_paging_context *context, gn_gva_t gva,
                    uint32_t access, struct gn_paging_walk *ret_walk)
{
    int pae = context->format == GN_PAGING_X86_PAE;
    struct walker w = {.sh = sh, .root = context->root.v, .root_bytes = pae ? 32 : 0};
    uint32_t bytes = gn_shadow__guest(sh, context->format)->entry_bytes;
    int rc;

    if (!sh->logged && !pae && !is_touchy(sh, bytes))
        return gn_paging_walk(context, sh->ops.guest, sh->params.ops_ctx, gva, access, ret_walk);
    rc = gn_paging_walk(context, &walker_ops, &w, gva, access, ret_walk);
    if (rc == -GN_ERR_BUSY && !sh->alone)
        return GN_SHADOW__LATER;
    return rc || !w.spoilt ? rc : -GN_ERR_AGAIN;
}
