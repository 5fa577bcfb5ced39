/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Exits of blocks, as tcache wants them. The hart that executes them is the thread that writes, so
 * that the order of the two words does not matter here.
 */

#include <string.h>

#include "runtime.h"

void rv64_tr_link(struct rv64_translator *tr, const struct rv64_tr_way *way,
                  const struct gn_tcache_block *to)
{
    bool fits = way->count && !tr->thunks.eager &&
                rv64_tr_fits(tr->exit_states[tr->cpu->jit.token], to->cookie);

    tr->link_entry = fits ? to->entry_fast : to->entry;
    tr->stats.edges_checked += way->count && !fits;
    for (uint32_t i = 0; i < way->count; i++)
        if (gn_tcache_exit_link(tr->tcache, 0, way->exits[i], to->handle) == 1)
            return;
    for (uint32_t i = 0; i < way->count; i++)
        (void)!gn_tcache_exit_close(tr->tcache, way->exits[i]);
}

static void patch_slot(const struct gn_tcache_patch *patch, uint64_t target)
{
    const struct rv64_tr_slot slot = {
        .jump = patch->jump,
        .jump_exec = (const uint8_t *)(uintptr_t)patch->jump_exec,
        .pc = patch->pc,
        .target = target,
        .id = patch->id,
        .guard = patch->guard,
    };

    if (patch->linked)
        rv64_tr_slot_link(&slot);
    else if (patch->flags & GN_TCACHE_EXIT_CLOSED)
        rv64_tr_slot_close(&slot);
    else
        rv64_tr_slot_unlink(&slot);
}

void rv64_tr_patch(void *ctx, const struct gn_tcache_patch *patch)
{
    const struct rv64_translator *tr = ctx;
    uint64_t target = patch->linked ? tr->link_entry : patch->target;
    uint32_t distance = (uint32_t)(target - (patch->jump_exec + 4));

    if (patch->flags & GN_TCACHE_EXIT_OPEN) {
        patch_slot(patch, target);
        return;
    }
    memcpy(patch->jump, &distance, sizeof distance);
    if (patch->guard)
        memcpy(patch->guard, &patch->id, sizeof patch->id);
}
