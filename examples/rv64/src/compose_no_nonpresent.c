/* SPDX-License-Identifier: BSD-3-Clause */
#include "compose_parts.h"

/* A build without nonpresent: every guest fault walks the guest's tables. */

bool rv64_nonpresent_built(void)
{
    return false;
}

struct rv64_nonpresent *rv64_nonpresent_create(int (*pending)(void *ctx, gn_gpa_t page), void *ctx)
{
    (void)pending;
    (void)ctx;
    return NULL;
}

void rv64_nonpresent_destroy(struct rv64_nonpresent *np)
{
    (void)np;
}

uint64_t rv64_nonpresent_encode(struct rv64_nonpresent *np, const struct gn_shadow_absent *absent)
{
    (void)np;
    (void)absent;
    return 0;
}

bool rv64_nonpresent_explain(struct rv64_nonpresent *np, uint64_t entry, uint32_t access,
                             struct gn_mmu_answer *ret_answer)
{
    (void)np;
    (void)entry;
    (void)access;
    (void)ret_answer;
    return false;
}

void rv64_nonpresent_stats(const struct rv64_nonpresent *np, rv64_counter each, void *ctx)
{
    (void)np;
    (void)each;
    (void)ctx;
}
