/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_ORACLE_H
#define GN_TEST_ORACLE_H

/*
 * What the manuals say of one entry at a time: the table test walks with it, and so does the
 * fuzzer's model of a TLB, which has several values to choose from at each step. Nothing here
 * comes from the libraries but the names of formats and controls.
 *
 *  - x86-64: Intel SDM vol. 3A §4.5 (entries), §4.6 (access rights, keys), §4.7 (error code),
 *    §4.8 (accessed and dirty flags).
 *    32-bit: §4.3, tables 4-4 to 4-6; PAE: §4.4, table 4-8.
 *  - RISC-V: Privileged Architecture 20211203 §4.3.2, steps 1 to 8.
 *  - AArch64 stage 1, EL1&0, granule 4 KiB, 48 bits: Arm DDI 0487 D8.2 to D8.4, in the order of
 *    the pseudocode (AArch64.S1Walk, S1DirectBasePermissions, S1CheckPermissions): oracle_arm.c.
 */

#include <stdint.h>

/** A processor and one access. */
struct oracle {
    char family; /**< 'x': x86, 'r': RISC-V, 'a': AArch64 */
    int levels;
    int bytes; /**< of an entry */
    int bits;  /**< of an address that choose an entry of a table, but for PAE's topmost */
    int pae;   /**< PAE paging: four PDPTEs on top, 32-bit addresses */
    int pse;   /**< CR4.PSE: 32-bit x86, whose physical addresses have at most 40 bits */
    int wp, nxe, smep, smap, ac, pke, page1g; /**< x86 */
    uint32_t pkru;
    int maxphyaddr;
    int sum, mxr, adue; /**< RISC-V */
    int ha, hd, pan, epan, wxn;
    int tbi[2], epd[2]; /**< AArch64: of TTBR0 and TTBR1 */
    int user;           /**< user mode */
    int implicit;       /**< x86: a supervisor's access whatever the mode */
    char op;            /**< 'r', 'w' or 'x' */
};

/** What the entries passed so far allow together, and whether one was global. AArch64: x is of
 *  EL1, and of tables alone. */
struct oracle_path {
    int w, u, x, g, ux;
};

#define ORACLE_PATH ((struct oracle_path){1, 1, 1, 0, 1})

enum oracle_step { ORACLE_TABLE, ORACLE_LEAF, ORACLE_ABSENT, ORACLE_RESERVED };

enum oracle_kind { ORACLE_OK, ORACLE_PAGE_FAULT, ORACLE_ACCESS_FAULT, ORACLE_NONCANONICAL };

/** How the whole walk ends. */
struct oracle_result {
    enum oracle_kind kind;
    unsigned code;
    int level;         /**< of the leaf, or of the entry that stopped it */
    int absent;        /**< stopped by an absent or reserved entry */
    uint64_t pa;       /**< OK */
    uint64_t at[5];    /**< where the entries lie, by level */
    uint64_t value[5]; /**< what they hold afterwards */
};

/** Fills family, levels and controls for a format of gnomon/paging.h. @return 0: none we know */
int oracle_init(struct oracle *o, uint32_t format, uint32_t controls, uint32_t access);

/** Is the address of the format's width, and of a part that is translated? */
int oracle_canonical(const struct oracle *o, uint64_t va);

/** Which of two roots does an address belong to? 0 where there is but one. */
int oracle_half(const struct oracle *o, uint64_t va);

/** log2 of what an entry maps. */
int oracle_shift(const struct oracle *o, int level);

/** Where the entry for an address lies in a table. */
uint64_t oracle_at(const struct oracle *o, int level, uint64_t base, uint64_t va);

/** An entry out of the 8 bytes around it. */
uint64_t oracle_entry(const struct oracle *o, uint64_t at, uint64_t word);

/** Passes an entry; the path starts as ORACLE_PATH. */
enum oracle_step oracle_step(const struct oracle *o, struct oracle_path *path, int level,
                             uint64_t entry, uint64_t *ret_address);

/** Judges a leaf. @return 1: allowed; ret_wanted is the leaf with A and D as they are then */
int oracle_judge(const struct oracle *o, const struct oracle_path *path, int level, uint64_t leaf,
                 unsigned *ret_code, uint64_t *ret_wanted);

/** The code of a page fault for an absent or a reserved entry. */
unsigned oracle_code(const struct oracle *o, enum oracle_step why, int level);

/** The cause of an access that finds no memory for a table; 0 on x86. */
unsigned oracle_access_code(const struct oracle *o, int level);

/** An entry that leads to a table, once an access went through it. */
uint64_t oracle_passed(const struct oracle *o, int level, uint64_t entry);

/** Address of a byte of a page. */
uint64_t oracle_address(const struct oracle *o, int level, uint64_t base, uint64_t va);

/** Walks from the root of the address's half. `load` loads the 8 bytes around, and returns 0 where
 *  there is no memory. */
struct oracle_result oracle_walk(const struct oracle *o, const uint64_t root[2], uint64_t va,
                                 int (*load)(void *ctx, uint64_t gpa, uint64_t *ret_value),
                                 void *ctx);

static inline int oracle_bit(uint64_t value, int n)
{
    return (int)(value >> n & 1);
}

static inline int oracle_any_bit(uint64_t value, int first, int last)
{
    for (int i = first; i <= last; i++)
        if (oracle_bit(value, i))
            return 1;
    return 0;
}

/* oracle_arm.c */
enum oracle_step oracle_arm_step(const struct oracle *o, struct oracle_path *path, int level,
                                 uint64_t entry, uint64_t *ret_address);
int oracle_arm_judge(const struct oracle *o, const struct oracle_path *path, int level,
                     uint64_t leaf, unsigned *ret_code, uint64_t *ret_wanted);
unsigned oracle_arm_code(const struct oracle *o, unsigned status, int level);

#endif /* GN_TEST_ORACLE_H */
