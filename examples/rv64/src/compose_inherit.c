/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A new address space begins with what it has in common with the one before it. A kernel has its
 * own half alike in all of them: the shadow links the tables of that, and where the entries of two
 * root tables are the same, so is everything below them.
 */

#include <string.h>

#include "compose_internal.h"

/* Sv39: the part of a virtual address that one entry of the root maps. */
#define ROOT_SHIFT 30
#define ROOT_MASK  511u

void rv64_compose_inherit(struct rv64_compose *c, const struct rv64_before *before)
{
    uint32_t asid;

    (void)gn_shadow_root_adopt(c->shadow, c->guest.id, before->root.id, NULL);
    c->before = before->root;
    /* Its ID may have been wanted for the new one. */
    if (!rv64_asid_lookup(c->asid, before->root.cookie, &asid) || asid != before->asid)
        return;
    for (uint32_t view = GN_SOFTMMU_VIEW_SUPERVISOR; view < GN_SOFTMMU_VIEWS; view++) {
        struct gn_softmmu_context from = c->guest_context[view];

        from.asid = asid;
        from.root = before->root.hpa;
        (void)!gn_softmmu_context_inherit(c->softmmu, 0, &c->guest_context[view], &from);
    }
}

bool rv64_mmu_is_shared(const struct rv64_mmu *mmu, uint64_t space, uint64_t va)
{
    const struct rv64_compose *c = (const struct rv64_compose *)mmu;
    uint64_t at = (va >> ROOT_SHIFT & ROOT_MASK) * sizeof(uint64_t);
    uint64_t entry;

    if (!space || c->before.cookie != space || c->guest.cookie != mmu->space)
        return false;
    memcpy(&entry, c->memory + c->guest.hpa.v + at, sizeof entry);
    return entry & 1 && !memcmp(&entry, c->memory + c->before.hpa.v + at, sizeof entry);
}
