/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_BENCH_H
#define RV64_BENCH_H

/*
 * The guest's side of the benchmark suite: one static program, the guest's first process. It runs
 * entries, each of which repeats a round: a fixed piece of work that gives the same checksum every
 * time, so that wrong execution is seen. How often follows from a first, short run.
 *
 * What it prints, for ../suite.py to read:
 *
 *      bench: N entries, svXX
 *      B name                  the timed run begins
 *      E name OPS NS SUM       and ended: operations, nanoseconds of the guest's clock, checksum
 *      X name SUM EXPECTED     a checksum was wrong
 *      bench: end
 *
 * On the kernel command line: only=NAME,NAME,...; scale=FACTOR of the run time; sync=1 to wait for
 * a line from the console after each B and E, which makes time for whoever measures from outside.
 */

#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/** An entry. */
struct bench {
    const char *name;
    uint64_t (*round)(void); /**< does `ops` operations and gives a checksum */
    uint64_t ops;
    uint64_t expected;   /**< the checksum; 0: whatever the first round gave */
    void (*begin)(void); /**< before the first round, untimed; may be NULL */
    void (*end)(void);   /**< after the last; may be NULL */
};

/** A file's entries. */
struct bench_group {
    const struct bench *entries;
    size_t count;
};

extern const struct bench_group bench_compute;
extern const struct bench_group bench_floats;
extern const struct bench_group bench_calls;
extern const struct bench_group bench_memory;
extern const struct bench_group bench_system;
extern const struct bench_group bench_faults;
extern const struct bench_group bench_busybox;

/** The next of a sequence of random numbers that is the same in every run; *state is not 0. */
static inline uint64_t bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/** Folds a value into a checksum. */
static inline uint64_t bench_fold(uint64_t sum, uint64_t value)
{
    return ((sum << 5 | sum >> 59) ^ value) * UINT64_C(0x9e3779b97f4a7c15);
}

/** Ends the program, and so the machine, with a message. */
_Noreturn void bench_die(const char *what);

/** Zeroed pages of its own, at a multiple of `align` bytes; stays mapped. */
void *bench_pages(size_t bytes, size_t align);

/** The path of this program; as "/init exit" it ends at once. */
extern char bench_path[];

#endif /* RV64_BENCH_H */
