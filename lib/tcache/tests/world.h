/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TCACHE_WORLD_H
#define TCACHE_WORLD_H

/*
 * A guest without instructions, and "code" that tests can execute by reading it. Guest memory is a
 * version a byte; what a block was made from is a sum of versions, so that a block is stale if its
 * sum is not today's. Code of a block:
 *
 *      serial | exit 0: jump, guard | exit 1: ...          64-bit words; a guard is 32 bits of one
 *
 * A jump holds a host address: that of a block's serial, or of itself, which is the stub.
 */

#include <gnomon/tcache.h>

#include "gn_test.h"

#define WORLD_PAGES  24u /* guest physical pages */
#define WORLD_SPACES 5u
#define WORLD_VPAGES 12u /* virtual pages a space */
#define WORLD_VBASE  UINT64_C(0xffffffff80000000)
#define WORLD_MODES  2u
#define WORLD_EXITS  4u
#define WORLD_MADE   (1u << 16) /* blocks ever made, at most */

struct world_exit {
    uint64_t target;
    uint32_t guarded;
};

/** What the model knows of a block. */
struct world_block {
    uint64_t pc, gpa, sum;
    uint32_t mode, bytes, exit_first, exit_count;
    gn_tcache_handle_t handle;
    struct world_exit exits[WORLD_EXITS];
};

struct world {
    struct gn_tcache *tc;
    void *memory;
    uint8_t *code;
    uint32_t code_size;
    uint8_t versions[WORLD_PAGES * GN_PAGE_SIZE];
    uint64_t map[WORLD_SPACES][WORLD_VPAGES]; /* GPA of each page */
    uint64_t names[WORLD_SPACES];             /* of the spaces, never used twice */
    uint64_t next_name;
    uint8_t watched[WORLD_PAGES];
    struct world_block *made; /* by serial, from 1 */
    uint64_t serial;
    uint32_t space, mode;
    const struct gn_tcache_view *view;
    uint64_t rng;
    uint32_t locked, opened, use_open, patches;
    uint64_t entered, linked, found_stale_links;
};

#endif /* TCACHE_WORLD_H */
