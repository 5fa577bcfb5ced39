/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SEALED_POOL_H
#define SEALED_POOL_H

/* Within sealed memory: the pool's memory, and where it lies. */

#include "sealed.h"

/** What the kernel says of the cache; zeros: nothing. */
struct gn_cachecrypt_cache sealed_cache(const char *folder);

/** Ways for the process, as the parameters want them. @return NULL, or why not */
const char *sealed_ways_get(struct sealed *s);

/** Memory for the pool, as the parameters want it. @return NULL, or why not */
const char *sealed_pool_get(struct sealed *s, uint64_t bytes);

void sealed_pool_put(struct sealed *s);

/** The library's report, with what is known now of where the pool lies. */
int sealed_pool_report(struct sealed *s, struct gn_cachecrypt_residency_report *report);

/* What the library asks for that; ctx is the sealed. */
int sealed_on_hpa(void *ctx, gn_hva_t at, gn_hpa_t *ret_hpa);
int sealed_on_cache_locked(void *ctx, gn_hva_t base, uint64_t bytes);
uint64_t sealed_on_clock(void *ctx);
void sealed_on_cache_flush(void *ctx, gn_hva_t at);
uint64_t sealed_on_cache_misses(void *ctx);

#define SEALED_POOL_OPS                                                                     \
    .hpa = sealed_on_hpa, .cache_locked = sealed_on_cache_locked, .clock = sealed_on_clock, \
    .cache_flush = sealed_on_cache_flush, .cache_misses = sealed_on_cache_misses

#endif /* SEALED_POOL_H */
