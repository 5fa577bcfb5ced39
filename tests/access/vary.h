/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_VARY_H
#define GN_TEST_VARY_H

/*
 * What the table varies, by the format of the guest's tables: bits of the leaf, bits of one entry
 * above it, controls, accesses.
 */

#include "oracle.h"

#define LIST_MAX 256u

struct list {
    uint64_t value[LIST_MAX];
    uint32_t count;
};

/** Where the tables lie, a level each: below DATA_PAGE, and not aligned for a larger page. */
uint64_t vary_table(int level);

/** The bits of an entry that hold an address. */
uint64_t vary_address(const struct oracle *known, uint64_t address);

/** An entry for the table below, that takes nothing away. */
uint64_t vary_permissive(const struct oracle *known, int level);

/** A leaf of level 0 that allows everything, A and D set. */
uint64_t vary_open_leaf(const struct oracle *known, uint64_t address);

/** Leaves, to be xor-ed with an address of the level's alignment. */
void vary_leaves(const struct oracle *known, int level, struct list *ret);

/** Entries above, to be xor-ed with the address of the table of the level below. */
void vary_uppers(const struct oracle *known, int level, struct list *ret);

void vary_controls(const struct oracle *known, struct list *ret);
void vary_accesses(const struct oracle *known, struct list *ret);

#endif /* GN_TEST_VARY_H */
