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
 *  - RISC-V: Privileged Architecture 20211203 §4.3.2, steps 1 to 8.
 */

#include <stdint.h>

/** A processor and one access. */
struct oracle {
    char family; /**< 'x': x86-64, 'r': RISC-V */
    int levels;
    int pae; /**< PAE paging: four PDPTEs on top, 32-bit addresses */
    int wp, nxe, smep, smap, ac, pke, page1g; /**< x86 */
    uint32_t pkru;
    int maxphyaddr;
    int sum, mxr, adue; /**< RISC-V */
    int user;           /**< user mode */
    int implicit;       /**< x86: a supervisor's access whatever the mode */
    char op;            /**< 'r', 'w' or 'x' */
};

/** What the entries passed so far allow together (x86), and whether one was global. */
struct oracle_path {
    int w, u, x, g;
};

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

/** Is the address of the format's width? */
int oracle_canonical(const struct oracle *o, uint64_t va);

/** Passes an entry; the path starts as {1, 1, 1, 0}. */
enum oracle_step oracle_step(const struct oracle *o, struct oracle_path *path, int level,
                             uint64_t entry, uint64_t *ret_address);

/** Judges a leaf. @return 1: allowed; ret_wanted is the leaf with A and D as they are then */
int oracle_judge(const struct oracle *o, const struct oracle_path *path, uint64_t leaf,
                 unsigned *ret_code, uint64_t *ret_wanted);

/** The code of a page fault for an absent or a reserved entry. */
unsigned oracle_code(const struct oracle *o, enum oracle_step why);

/** The cause of an access that finds no memory for a table; 0 on x86. */
unsigned oracle_access_code(const struct oracle *o);

/** An entry that leads to a table, once an access went through it. */
uint64_t oracle_passed(const struct oracle *o, uint64_t entry);

/** Address of a byte of a page. */
uint64_t oracle_address(int level, uint64_t base, uint64_t va);

/** Walks. `load` returns 0 where there is no memory. */
struct oracle_result oracle_walk(const struct oracle *o, uint64_t root, uint64_t va,
                                 int (*load)(void *ctx, uint64_t gpa, uint64_t *ret_value),
                                 void *ctx);

#endif /* GN_TEST_ORACLE_H */
