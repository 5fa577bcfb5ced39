/* SPDX-License-Identifier: BSD-3-Clause */
#include "paging_internal.h"

/* The way into the walk of a format: what of the arguments can be judged without looking at any
 * table. The walk itself stands in walk.h. */

#define ACCESS_KNOWN \
    (GN_PAGING_ACCESS_KIND | GN_PAGING_AS_USER | GN_PAGING_IMPLICIT | GN_PAGING_NO_UPDATE)

/* The sizes, where one of them is not what this release has. */
static int walk_check_sizes(const struct gn_paging_context *context,
                            const struct gn_paging_ops *ops)
{
    int rc = gn_paging__size_check(context, context->size, GN_PAGING__CONTEXT_MIN, sizeof *context);

    return rc ? rc : gn_paging__size_check(ops, ops->size, sizeof *ops, sizeof *ops);
}

int gn_paging_walk(const struct gn_paging_context *context, const struct gn_paging_ops *ops,
                   void *ops_ctx, gn_gva_t gva, uint32_t access, struct gn_paging_walk *ret_walk)
{
    const struct gn_paging__format *format;

    if (!context || !ops || !ret_walk)
        return -GN_ERR_INVAL;
    if (context->size != sizeof *context || ops->size != sizeof *ops) {
        int rc = walk_check_sizes(context, ops);

        if (rc)
            return rc;
    }
    if (access & ~ACCESS_KNOWN || (access & GN_PAGING_ACCESS_KIND) >= GN_ACCESS_KINDS)
        return -GN_ERR_INVAL;
    if (context->extensions & ~GN_PAGING__EXTENSIONS)
        return -GN_ERR_INVAL;
    if (!ops->load || (!ops->cmpxchg && !(access & GN_PAGING_NO_UPDATE)))
        return -GN_ERR_INVAL;
    format = gn_paging__format_find(context->format);
    if (!format)
        return -GN_ERR_NOTSUP;
    return format->arch->walk(context, ops, ops_ctx, gva, access, ret_walk);
}

/* No translation: nothing is checked, nothing is denied. */
static int bare_walk(const struct gn_paging_context *context, const struct gn_paging_ops *ops,
                     void *ops_ctx, gn_gva_t gva, uint32_t access, struct gn_paging_walk *r)
{
    (void)ops;
    (void)ops_ctx;
    (void)access;
    if (context->root.v & GN_PAGE_MASK)
        return -GN_ERR_INVAL;
    memset(r, 0, sizeof *r);
    r->outcome = GN_PAGING_TRANSLATED;
    r->permissions = GN_PAGING_RWXU | GN_PAGING_A | GN_PAGING_D;
    r->shift = 63;
    r->gpa = gn_gpa(gva.v);
    return 0;
}

static int bare_allows(const struct gn_paging_context *context, uint32_t permissions,
                       uint32_t access)
{
    (void)context;
    (void)permissions;
    (void)access;
    return 1;
}

/* There is nothing to fault; RISC-V's causes, should anybody ask. */
static uint32_t bare_fault_code(const struct gn_paging_context *context, uint32_t access,
                                uint32_t reason, uint32_t level)
{
    return gn_paging__riscv.fault_code(context, access, reason, level);
}

const struct gn_paging__arch gn_paging__bare = {
    .walk = bare_walk,
    .allows = bare_allows,
    .fault_code = bare_fault_code,
};
