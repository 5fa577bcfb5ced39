/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Exits of blocks, as tcache wants them. The hart that executes them is the thread that writes, so
 * that the order of the two words does not matter here.
 */

#include <string.h>

#include "runtime.h"

void rv64_tr_link(struct rv64_translator *tr, gn_tcache_handle_t exit,
                  const struct gn_tcache_block *to)
{
    bool fits = !tr->thunks.eager && rv64_tr_fits(tr->exit_states[tr->cpu->jit.token], to->cookie);

    tr->link_entry = fits ? to->entry_fast : to->entry;
    tr->stats.edges_checked += !fits;
    (void)!gn_tcache_exit_link(tr->tcache, 0, exit, to->handle);
}

void rv64_tr_patch(void *ctx, const struct gn_tcache_patch *patch)
{
    const struct rv64_translator *tr = ctx;
    uint64_t target = patch->linked ? tr->link_entry : patch->target;
    uint32_t distance = (uint32_t)(target - (patch->jump_exec + 4));

    memcpy(patch->jump, &distance, sizeof distance);
    if (patch->guard)
        memcpy(patch->guard, &patch->id, sizeof patch->id);
}
