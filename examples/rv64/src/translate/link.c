/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Exits of blocks, as tcache wants them. The hart that executes them is the thread that writes, so
 * that the order of the two words does not matter here.
 */

#include <string.h>

#include "runtime.h"

void rv64_tr_patch(void *ctx, const struct gn_tcache_patch *patch)
{
    uint32_t distance = (uint32_t)(patch->target - (patch->jump_exec + 4));

    (void)ctx;
    memcpy(patch->jump, &distance, sizeof distance);
    if (patch->guard)
        memcpy(patch->guard, &patch->id, sizeof patch->id);
}
