/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random programs, translated and interpreted: the registers that each block of theirs leaves, and
 * memory, must be the same.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "diff_gen.h"
#include "fake_mmu.h"
#include "translate_loop.h"

#define MSTATUS_FS_INITIAL (UINT64_C(1) << 13)
#define IMAGE              ((DIFF_SIZE + GN_PAGE_MASK) & ~GN_PAGE_MASK)
#define BUDGET             1000000u

static struct diff_program program;
static struct loop loop;

static void system_call(void *machine, struct rv64_cpu *cpu)
{
    (void)machine;
    if (cpu->x[17] == DIFF_SYS_EXIT)
        cpu->stop = true;
}

static const struct rv64_cpu_ops ops = {.sbi_call = system_call};

static void start(struct rv64_cpu *cpu, struct fake_mmu *m)
{
    memcpy(m->memory, program.image, DIFF_SIZE);
    assert_int_equal(rv64_cpu_init(cpu, &m->mmu, &ops, NULL), 0);
    rv64_cpu_start_supervisor(cpu, DIFF_ENTRY, 0);
    cpu->mstatus |= MSTATUS_FS_INITIAL;
}

static uint64_t word_at(const uint8_t *bytes, uint32_t index)
{
    uint64_t value;

    memcpy(&value, bytes + index * sizeof value, sizeof value);
    return value;
}

static void print_block(uint32_t number)
{
    for (uint32_t at = program.block_start[number]; at < program.block_start[number + 1];) {
        uint32_t low = program.image[at] | (uint32_t)program.image[at + 1] << 8;
        uint32_t high = program.image[at + 2] | (uint32_t)program.image[at + 3] << 8;

        if ((low & 3) == 3)
            print_error("    .4byte 0x%08x\n", (unsigned)(high << 16 | low));
        else
            print_error("    .2byte 0x%04x\n", (unsigned)low);
        at += (low & 3) == 3 ? 4 : 2;
    }
}

/* Names the first block that went wrong, and what differs there. */
static void compare(const uint8_t *got, const uint8_t *expected, uint64_t seed)
{
    uint32_t words = DIFF_BLOCKS * DIFF_WORDS;
    uint32_t i = 0;

    if (memcmp(got, expected, DIFF_OUTPUT) == 0)
        return;
    while (i < words && word_at(got, i) == word_at(expected, i))
        i++;
    print_error("seed %llu, ", (unsigned long long)seed);
    if (i == words)
        fail_msg("scratch memory differs");
    print_error("block %u:\n", (unsigned)(i / DIFF_WORDS));
    print_block(i / DIFF_WORDS);
    for (uint32_t end = i / DIFF_WORDS * DIFF_WORDS + DIFF_WORDS; i < end; i++)
        if (word_at(got, i) != word_at(expected, i))
            print_error("%s%u: got %016llx, expected %016llx\n",
                        i % DIFF_WORDS < 32 ? i % DIFF_WORDS ? "x" : "fcsr" : "f",
                        (unsigned)(i % 32), (unsigned long long)word_at(got, i),
                        (unsigned long long)word_at(expected, i));
    fail();
}

/* How the translated one runs. */
struct way {
    bool probe_hits;
    bool link;
    uint64_t slice;
};

static void one_program(struct fake_mmu *reference, struct fake_mmu *m, const struct way *way,
                        uint64_t seed)
{
    struct rv64_cpu cpu;
    struct rv64_cpu translated;
    int why;

    diff_generate(&program, seed);
    start(&cpu, reference);
    assert_int_equal(rv64_cpu_run(&cpu, BUDGET), RV64_RUN_STOP);
    start(&translated, m);
    assert_true(loop_init(&loop, &translated, way->link));
    do {
        why = rv64_cpu_run(&translated, way->slice);
    } while (why == RV64_RUN_BUDGET && translated.stats.instructions < BUDGET);
    compare(m->memory + DIFF_RECORDS, reference->memory + DIFF_RECORDS, seed);
    assert_int_equal(why, RV64_RUN_STOP);
    assert_memory_equal(translated.x, cpu.x, 32 * sizeof *cpu.x);
    assert_memory_equal(translated.f, cpu.f, sizeof cpu.f);
    assert_int_equal(translated.pc, cpu.pc);
    assert_int_equal(translated.fcsr, cpu.fcsr);
    assert_int_equal(translated.mstatus, cpu.mstatus);
    assert_int_equal(translated.stats.instructions, cpu.stats.instructions);
    /*
     * Left to the interpreter are instructions that cross a page's end, rounding that hosts do not
     * have, singles that are not boxed, and ends of slices.
     */
    assert_true(loop.translated > DIFF_BLOCKS);
    if (way->slice == BUDGET)
        assert_in_range(loop.interpreted, 0, cpu.stats.instructions / 20);
    loop_fini(&loop);
    rv64_cpu_fini(&translated);
    rv64_cpu_fini(&cpu);
}

static void run_for_a_second(const struct way *way)
{
    const char *given = getenv("GN_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    clock_t end = clock() + CLOCKS_PER_SEC;
    struct fake_mmu reference;
    struct fake_mmu m;
    uint32_t programs = 0;

    assert_true(fake_mmu_init(&reference, DIFF_BASE, IMAGE, true));
    assert_true(fake_mmu_init(&m, DIFF_BASE, IMAGE, way->probe_hits));
    while (!programs || (!given && clock() < end))
        one_program(&reference, &m, way, seed + programs++);
    print_message("first seed %llu, %u programs\n", (unsigned long long)seed, (unsigned)programs);
    fake_mmu_fini(&reference);
    fake_mmu_fini(&m);
}

static void programs_end_as_interpreted(void **state)
{
    (void)state;
    run_for_a_second(&(struct way){.probe_hits = true, .link = true, .slice = BUDGET});
}

static void programs_end_as_interpreted_when_every_probe_misses(void **state)
{
    (void)state;
    run_for_a_second(&(struct way){.probe_hits = false, .link = true, .slice = BUDGET});
}

static void programs_end_as_interpreted_without_links(void **state)
{
    (void)state;
    run_for_a_second(&(struct way){.probe_hits = true, .link = false, .slice = BUDGET});
}

static void programs_end_as_interpreted_in_short_slices(void **state)
{
    (void)state;
    run_for_a_second(&(struct way){.probe_hits = true, .link = true, .slice = 37});
}

/* FADD.D f1, f1, f2; ADDI x5, x5, 1 and then 2, two bytes before a page's end; ECALL. */
static void a_straddling_instruction_is_executed_as_it_stands(void **state)
{
    const uint64_t pc = DIFF_BASE + 2 * GN_PAGE_SIZE - 6;
    const uint64_t one = UINT64_C(0x3ff0000000000000);
    struct rv64_cpu cpu;
    struct fake_mmu m;

    (void)state;
    assert_true(fake_mmu_init(&m, DIFF_BASE, IMAGE, true));
    start(&cpu, &m);
    assert_true(loop_init(&loop, &cpu, true));
    cpu.f[1] = one;
    cpu.f[2] = one;
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t insns[] = {0x0220f0d3, (i < 2 ? 1u : 2u) << 20 | 5 << 15 | 5 << 7 | 0x13,
                                  0x73};

        memcpy(fake_mmu_at(&m, pc), insns, sizeof insns);
        cpu.pc = pc;
        cpu.x[17] = DIFF_SYS_EXIT;
        cpu.stop = false;
        assert_int_equal(rv64_cpu_run(&cpu, 10), RV64_RUN_STOP);
        assert_int_equal(loop.interpreted, i == 2);
    }
    assert_int_equal(cpu.x[5], 4);
    loop.views[RV64_PRIV_S].pages[rv64_view_page_index(pc + 6)]++; /* another page there */
    cpu.pc = pc;
    cpu.stop = false;
    assert_int_equal(rv64_cpu_run(&cpu, 10), RV64_RUN_STOP);
    assert_int_equal(loop.interpreted, 2);
    assert_int_equal(cpu.x[5], 6);
    assert_int_equal(cpu.f[1], UINT64_C(0x4014000000000000)); /* 5 */
    loop_fini(&loop);
    rv64_cpu_fini(&cpu);
    fake_mmu_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_end_as_interpreted),
        cmocka_unit_test(programs_end_as_interpreted_when_every_probe_misses),
        cmocka_unit_test(programs_end_as_interpreted_without_links),
        cmocka_unit_test(programs_end_as_interpreted_in_short_slices),
        cmocka_unit_test(a_straddling_instruction_is_executed_as_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
