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

#define DIFF_COUNTER (DIFF_TABLES - 8) /* of the passes through the program */

#define DIFF_SYS_WRITE 64
#define DIFF_SYS_EXIT  93

struct diff_program {
    uint8_t image[DIFF_SIZE];
    uint32_t block_start[DIFF_BLOCKS + 1]; /* offsets in the image */
};

/* Registers that random instructions read, but write only as said here. */
#define DIFF_LINK   28u /* of the calls of the routines; holds addresses within an operation */
#define DIFF_MEMORY 29u /* the middle of the scratch page */

struct diff_gen;

/** What a caller adds to the programs. */
struct diff_extra {
    uint32_t passes;                       /**< how often the whole program is executed */
    void (*operation)(struct diff_gen *g); /**< one instruction of seven is made by this */
};

/** Makes the program of a seed. */
void diff_generate(struct diff_program *program, uint64_t seed);

/** The same with what the caller adds. */
void diff_generate_with(struct diff_program *program, uint64_t seed,
                        const struct diff_extra *extra);

/* For operations. */

/** A random number below the limit. */
uint32_t diff_below(struct diff_gen *g, uint32_t limit);

/** A register that may be written. */
uint32_t diff_destination(struct diff_gen *g);

/** Adds an instruction of 4 bytes, or of 2. */
void diff_word(struct diff_gen *g, uint32_t code);
void diff_half(struct diff_gen *g, uint32_t code);

/** Adds what loads an address below 2 GiB into a register. */
void diff_load_address(struct diff_gen *g, uint32_t rd, uint32_t address);

#endif /* RV64_TEST_DIFF_GEN_H */
