/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_ORACLE_ANY_H
#define GN_TEST_ORACLE_ANY_H

/*
 * The oracle for every format: those of oracle.h, whose entries can be passed one at a time, and
 * two that only whole walks know.
 *
 *  - x86 with CR4.PAE = 0: Intel SDM vol. 3A §4.3, tables 4-4 to 4-6. Entries have 4 bytes.
 *  - AArch64 stage 1, EL1&0, granule 4 KiB, 48 bits: Arm DDI 0487 D8.2 to D8.4, in the order of
 *    the pseudocode (AArch64.S1Walk, S1DirectBasePermissions, S1CheckPermissions).
 */

#include "oracle.h"

/** A processor of any family, and one access. */
struct oracle_any {
    struct oracle o; /**< family 'a': AArch64, of which levels, op and user are in force */
    int bytes;       /**< of an entry */
    int bits;        /**< of an address that choose an entry of a table, but for PAE's topmost */
    int pse;         /**< CR4.PSE; 32-bit x86, whose physical addresses have at most 40 bits */
    int arm_ha, arm_hd, arm_pan, arm_epan, arm_wxn;
    int arm_tbi[2], arm_epd[2]; /**< of TTBR0 and TTBR1 */
};

/** Fills in what a format of gnomon/paging.h has in force. @return 0: none we know */
int oracle_any_init(struct oracle_any *any, uint32_t format, uint32_t controls, uint32_t access);

/** Where the entry for an address lies in a table. */
uint64_t oracle_any_at(const struct oracle_any *any, int level, uint64_t base, uint64_t va);

/** log2 of what an entry maps. */
int oracle_any_shift(const struct oracle_any *any, int level);

/** As oracle_walk(). AArch64: both roots are at `root`. `load` loads the 8 bytes around. */
struct oracle_result oracle_any_walk(const struct oracle_any *any, uint64_t root, uint64_t va,
                                     int (*load)(void *ctx, uint64_t gpa, uint64_t *ret_value),
                                     void *ctx);

#endif /* GN_TEST_ORACLE_ANY_H */
