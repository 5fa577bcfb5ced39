/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * Who may do what at the same time.
 *
 *   lock 0                    the structure: which tables, links, roots, slots and logs there are,
 *                             what mode a page has, how many tables lie in it. Shared by whoever
 *                             changes none of that; alone (sh->alone) by whoever does
 *   1 .. stripes              tables: of table i the leaves and markers in it, the links of those
 *                             leaves, and `present`; by i
 *   stripes + 1 .. 2 stripes  chains: the chain of leaves that map a frame, and its head; by where
 *                             the frame is
 *
 * Order: 0, a table, a chain; a call holds one of each at most. A call that is alone takes none of
 * the others, since nobody else is in. Without lock ops every call is alone. A call never goes from
 * shared to alone with what it has learned: GN_SHADOW__LATER makes it let go and begin anew.
 *
 * What shared calls do: walk the guest's tables, follow links, and make, change or drop leaves and
 * markers of tables that exist. All else waits for a call that is alone: links are not made or
 * dropped in a shared call, so no table that it has reached can go away.
 *
 * No lock: the dirty bits and held counts (read-modify-write), the counters (lanes), and what
 * nothing depends on (gn_shadow__peek, gn_shadow__poke): ages, floods, traps. Steps are counted by
 * calls that are alone. The cursor of a page that is being shut (part.c) moves under the lock of
 * the page's chain: of the leaves that it may stand at, none is removed without.
 *
 * Why a fault that shares may fill. It walks the guest's tables, then writes a leaf that follows
 * from the entry which the walk saw, while another CPU writes that entry and reports it (traps and
 * syncs, logs and drains, or comes to a coherence point: gn_shadow__sync_entry() each time, under
 * the table's lock). The fault takes the table's lock, reads the guest's entry again, and fills
 * only if it is what the walk saw. Either the report takes the lock first: then the write came
 * before, and the fault reads it. Or the fault does: then the report finds the leaf, and what is in
 * memory, and drops the one if it does not fit the other. An entry that has been changed and
 * changed back is no trouble: the leaf follows from its value, not from its history. Linux's
 * Documentation/virt/kvm/locking.rst tells the race, and why there only direct tables are filled
 * so.
 *
 * That is all it takes, as a leaf says something of one guest entry alone, in the role of its
 * table:
 *  - What is above: a change up there is seen to by a call that is alone (it drops a link). It
 *    comes after this fault, or before, and then the fault does not find its way down.
 *  - What the role says of inherited permissions and control bits is a part of the table.
 *  - Below a direct table there is no guest entry: its leaves follow from its role.
 *  - What backs the frame, and whether tables lie there, does not change in a shared call.
 *  - A page whose writes are not known yet has no shadow table, and becomes a table's only in a
 *    call that is alone, which reads again what its walk had read before (fault.c, path_settle).
 *
 * A fault that is alone needs not read again. It excludes the report, not the write; but then the
 * report is still to come.
 *
 * The re-read of a whole unsync table holds its lock from the first entry to the last look at
 * whether there is an entry: one that is filled in behind its back would be missed.
 */

/* An address of a frame, or the number of a page, spread over the stripes. */
static uint32_t stripe(const struct gn_shadow *sh, uint64_t of)
{
    return (uint32_t)(of * UINT64_C(0x9e3779b97f4a7c15) >> 40) & sh->stripe_mask;
}

void gn_shadow__lock_alone(struct gn_shadow *sh)
{
    sh->ops.lock(sh->params.ops_ctx, 0);
    sh->alone = 1;
}

void gn_shadow__lock_shared(struct gn_shadow *sh)
{
    if (sh->ops.lock_shared)
        sh->ops.lock_shared(sh->params.ops_ctx, 0);
    else
        gn_shadow__lock_alone(sh);
}

void gn_shadow__unlock(struct gn_shadow *sh)
{
    if (!sh->alone) {
        sh->ops.unlock_shared(sh->params.ops_ctx, 0);
        return;
    }
    sh->alone = 0;
    sh->ops.unlock(sh->params.ops_ctx, 0);
}

static uint32_t table_number(const struct gn_shadow *sh, uint32_t table)
{
    return 1 + (table & sh->stripe_mask);
}

void gn_shadow__lock_table(struct gn_shadow *sh, uint32_t table)
{
    sh->ops.lock(sh->params.ops_ctx, table_number(sh, table));
}

void gn_shadow__unlock_table(struct gn_shadow *sh, uint32_t table)
{
    sh->ops.unlock(sh->params.ops_ctx, table_number(sh, table));
}

static uint32_t chain_number(const struct gn_shadow *sh, uint64_t leaf)
{
    struct gn_paging_entry e = {0};
    /* Leaves of different sizes have different chains; that one lock serves both does no harm. */
    int rc = gn_paging_entry_decode(&sh->context, 0, leaf, &e);

    gn_shadow__check(sh, rc == 0, "shadow: a leaf does not decode");
    return sh->stripe_mask + 2 + stripe(sh, e.address >> GN_PAGE_SHIFT);
}

uint32_t gn_shadow__lock_chain(struct gn_shadow *sh, uint64_t leaf)
{
    uint32_t n = chain_number(sh, leaf);

    sh->ops.lock(sh->params.ops_ctx, n);
    return n;
}

void gn_shadow__unlock_chain(struct gn_shadow *sh, uint32_t n)
{
    sh->ops.unlock(sh->params.ops_ctx, n);
}
