/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TEST_TWO_WAYS_H
#define RV64_TEST_TWO_WAYS_H

/*
 * Random programs that run twice: `expected` is interpreted, `got` is translated. Each program of
 * tests has the two, and the dice.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fake_mmu.h"
#include "translate_loop.h"

#define INSN_ECALL 0x00000073u

struct state {
    struct fake_mmu mmu;
    struct rv64_cpu cpu;
    struct rv64_cpu fresh;
};

static struct state expected, got;
static struct loop loop; /* of got */
static uint64_t random_state;

static inline void random_begin(uint64_t seed)
{
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static inline uint32_t below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 24) % limit;
}

static inline void sbi_call(void *machine, struct rv64_cpu *cpu)
{
    (void)machine;
    cpu->stop = true;
}

/* What lies at base, of size bytes, is code that nobody has seen, and runs from its begin. */
static inline void restart(struct state *s, uint64_t base, uint64_t size)
{
    s->cpu = s->fresh;
    rv64_cpu_code_changed(&s->cpu, base, size);
    rv64_cpu_start_supervisor(&s->cpu, base, 0);
}

static inline void run(struct state *s, uint64_t slice, uint64_t most)
{
    while (rv64_cpu_run(&s->cpu, slice) != RV64_RUN_STOP)
        assert_true(s->cpu.stats.instructions < most);
}

/* Is what every program has the same? */
static inline bool alike(uint64_t size)
{
    return !memcmp(got.cpu.x, expected.cpu.x, 32 * sizeof *got.cpu.x) &&
           !memcmp(got.mmu.memory, expected.mmu.memory, size);
}

static inline void assert_alike(uint64_t size)
{
    assert_memory_equal(got.cpu.x, expected.cpu.x, 32 * sizeof *got.cpu.x);
    assert_memory_equal(got.mmu.memory, expected.mmu.memory, size);
    assert_int_equal(got.cpu.sepc, expected.cpu.sepc);
    assert_int_equal(got.cpu.scause, expected.cpu.scause);
    assert_int_equal(got.cpu.stats.instructions, expected.cpu.stats.instructions);
}

static inline void state_make(struct state *s, uint64_t base, uint64_t size, bool probe_hits)
{
    static const struct rv64_cpu_ops ops = {.sbi_call = sbi_call};

    assert_true(fake_mmu_init(&s->mmu, base, size, probe_hits));
    assert_int_equal(rv64_cpu_init(&s->fresh, &s->mmu.mmu, &ops, NULL), 0);
}

/* Makes both, with memory of size bytes at base; the probes of got hit, or all miss. */
static inline void both_make(uint64_t base, uint64_t size, bool probe_hits)
{
    state_make(&expected, base, size, true);
    state_make(&got, base, size, probe_hits);
}

static inline void both_destroy(void)
{
    rv64_cpu_fini(&got.fresh);
    fake_mmu_fini(&got.mmu);
    rv64_cpu_fini(&expected.fresh);
    fake_mmu_fini(&expected.mmu);
}

/* The seed of the first of so many programs, printed; with GN_TEST_SEED, of the only one. */
static inline uint64_t first_seed(uint32_t programs, uint32_t *ret_count)
{
    const char *given = getenv("GN_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * programs;

    print_message("GN_TEST_SEED=%llu and on\n", (unsigned long long)seed);
    *ret_count = given ? 1 : programs;
    return seed;
}

#endif /* RV64_TEST_TWO_WAYS_H */
