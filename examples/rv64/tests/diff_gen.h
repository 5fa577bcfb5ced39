/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TEST_DIFF_GEN_H
#define RV64_TEST_DIFF_GEN_H

/*
 * Random programs for the differential test. A program is a number of blocks; each loads all
 * registers from a table of values, executes random instructions, and stores all registers in a
 * record. At the end it writes the records and the scratch memory to file 1 with Linux's system
 * calls and exits, so that it is the same program for an emulator of user programs and for ours.
 */

#include <stdint.h>

#define DIFF_BASE    UINT64_C(0x100000) /* where the image goes */
#define DIFF_ENTRY   (DIFF_BASE + 0x1000)
#define DIFF_CODE    0x40000u
#define DIFF_BLOCKS  256u
#define DIFF_WORDS   64u /* of a table or a record: fcsr, x1 to x31, f0 to f31 */
#define DIFF_TABLES  (0x1000u + DIFF_CODE)
#define DIFF_RECORDS (DIFF_TABLES + DIFF_BLOCKS * DIFF_WORDS * 8)
#define DIFF_SCRATCH (DIFF_RECORDS + DIFF_BLOCKS * DIFF_WORDS * 8)
#define DIFF_SIZE    (DIFF_SCRATCH + 0x1000u)
#define DIFF_OUTPUT  (DIFF_SIZE - DIFF_RECORDS) /* bytes written: records and scratch memory */

#define DIFF_SYS_WRITE 64
#define DIFF_SYS_EXIT  93

struct diff_program {
    uint8_t image[DIFF_SIZE];
    uint32_t block_start[DIFF_BLOCKS + 1]; /* offsets in the image */
};

/** Makes the program of a seed. */
void diff_generate(struct diff_program *program, uint64_t seed);

#endif /* RV64_TEST_DIFF_GEN_H */
