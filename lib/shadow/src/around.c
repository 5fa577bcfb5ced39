/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * Fault-around: pages beside the one that faulted are mapped with it, where the guest's tables have
 * said already all that a walk would say: the leaf entry has A, so mapping it sets nothing, and it
 * is mapped writable only if it has D. Only absent entries of the table that stands for the
 * guest's leaf entries are looked at: their path is the path of the fault, A in every entry of it.
 * What is filled here is what gn_shadow_sync() would fill, had the entry been written just now.
 */

void gn_shadow__around(struct gn_shadow *sh, uint32_t id)
{
    struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];
    uint32_t first = id % GN_SHADOW__ENTRIES & ~(sh->params.fault_around - 1);
    uint32_t left = sh->params.step_limit ? sh->params.step_limit : UINT32_MAX;

    /* A direct table splinters one guest page: there is no entry for each of its parts. */
    if (t->role.level || t->role.direct)
        return;
    for (uint32_t i = first; i < first + sh->params.fault_around && left; i++, left--)
        if (!(t->entries[i] & 1))
            gn_shadow__count(sh, around_fills,
                             (uint64_t)gn_shadow__sync_fill(
                                 sh, id / GN_SHADOW__ENTRIES * GN_SHADOW__ENTRIES + i));
}
