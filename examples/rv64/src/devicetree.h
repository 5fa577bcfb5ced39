/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_DEVICETREE_H
#define RV64_DEVICETREE_H

/* The flattened device tree (Devicetree Specification 0.4) that describes the machine. */

#include <stdint.h>

#include "error.h"
#include "loader.h"

#define RV64_FDT_MAX (UINT64_C(1) << 20)

/** What /chosen says, and the memory. Addresses are guest physical; 0 is absent. */
struct rv64_fdt_chosen {
    const char *bootargs; /**< NULL: leave what is there */
    uint64_t initrd_start, initrd_end;
};

/** Makes the tree of the machine, without /chosen's variable part. */
int rv64_fdt_build(uint64_t ram_base, uint64_t ram_size, struct rv64_file *ret,
                   struct rv64_error *error);

/** Checks a tree that the user gave: all of it must be there and well-formed. */
int rv64_fdt_check(const struct rv64_file *file, struct rv64_error *error);

/** Overwrites /chosen's rng-seed, if there is one: for runs that are to be alike. */
void rv64_fdt_fix_seed(struct rv64_file *tree);

/** How many bytes the tree may need once /chosen is set. */
size_t rv64_fdt_room(const struct rv64_file *tree, const struct rv64_fdt_chosen *chosen);

/** Makes room (rv64_fdt_room() bytes) and sets /chosen. */
int rv64_fdt_choose(struct rv64_file *tree, const struct rv64_fdt_chosen *chosen,
                    struct rv64_error *error);

#endif /* RV64_DEVICETREE_H */
