/* SPDX-License-Identifier: BSD-3-Clause */
/* SBI as a supervisor calls it, with good arguments and with hostile ones. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "sbi.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE 0x4000

#define BASE   0x10
#define TIME   0x54494d45
#define IPI    0x735049
#define RFENCE 0x52464e43
#define HSM    0x48534d
#define SRST   0x53525354
#define DBCN   0x4442434e

#define ALL_HARTS UINT64_MAX

static uint8_t ram[RAM_SIZE];
static struct rv64_bus bus = {.ram = ram, .ram_base = RAM_BASE, .ram_size = RAM_SIZE};
static struct rv64_cpu cpu;
static uint64_t timer, fences, full_fences, code_changes, printed, wrote;
static uint32_t reset_what;
static int resets, reset_failed;
static bool ssi;

/* What the hart and the composition would do. */

void rv64_cpu_irq_set(struct rv64_cpu *hart, uint32_t irq, bool level)
{
    (void)hart;
    if (irq == RV64_IRQ_SSI)
        ssi = level;
}

void rv64_cpu_code_changed(struct rv64_cpu *hart, uint64_t gpa, uint64_t length)
{
    (void)hart;
    assert_int_equal(gpa, RAM_BASE);
    assert_int_equal(length, RAM_SIZE);
    code_changes++;
}

void rv64_mmu_sfence_vma(struct rv64_mmu *mmu, const uint64_t *va, const uint64_t *asid)
{
    (void)mmu;
    if (asid)
        assert_true(*asid <= UINT16_MAX);
    fences++;
    if (!va)
        full_fences++;
}

static void timer_set(void *ctx, uint64_t when)
{
    (void)ctx;
    timer = when;
}

static void console_put(void *ctx, uint8_t byte)
{
    (void)ctx;
    (void)byte;
    printed++;
}

static int console_get(void *ctx)
{
    int *left = ctx;

    return *left ? 'a' + --*left : -1;
}

static void reset(void *ctx, uint32_t what, bool failed)
{
    (void)ctx;
    reset_what = what;
    reset_failed = failed;
    resets++;
}

static void dma_wrote(void *ctx, uint64_t gpa, uint64_t length)
{
    (void)ctx;
    (void)gpa;
    wrote += length;
}

static int typed;
static struct rv64_sbi sbi = {.bus = &bus,
                              .timer_set = timer_set,
                              .console_put = console_put,
                              .console_get = console_get,
                              .reset = reset,
                              .ctx = &typed};

static int64_t call(uint64_t id, uint64_t function, uint64_t a0, uint64_t a1, uint64_t a2,
                    uint64_t a3, uint64_t a4)
{
    cpu.x[10] = a0;
    cpu.x[11] = a1;
    cpu.x[12] = a2;
    cpu.x[13] = a3;
    cpu.x[14] = a4;
    cpu.x[16] = function;
    cpu.x[17] = id;
    rv64_sbi_call(&sbi, &cpu);
    return (int64_t)cpu.x[10];
}

static int clear(void **state)
{
    (void)state;
    bus.dma_wrote = dma_wrote;
    timer = fences = full_fences = code_changes = printed = wrote = 0;
    resets = typed = 0;
    ssi = false;
    return 0;
}

static void base_says_what_there_is(void **state)
{
    static const uint64_t present[] = {BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, 0, 1, 8};
    size_t i;

    (void)state;
    assert_int_equal(call(BASE, 0, 0, 0, 0, 0, 0), 0);
    assert_int_equal(cpu.x[11], 0x02000000);
    for (i = 0; i < sizeof present / sizeof present[0]; i++) {
        assert_int_equal(call(BASE, 3, present[i], 0, 0, 0, 0), 0);
        assert_int_equal(cpu.x[11], 1);
    }
    assert_int_equal(call(BASE, 3, 0x12345678, 0, 0, 0, 0), 0);
    assert_int_equal(cpu.x[11], 0);
    assert_int_equal(call(BASE, 7, 0, 0, 0, 0, 0), -2);
    assert_int_equal(call(0x12345678, 0, 0, 0, 0, 0, 0), -2);
}

static void timer_and_ipi_reach_hart_0(void **state)
{
    (void)state;
    assert_int_equal(call(TIME, 0, 1234, 0, 0, 0, 0), 0);
    assert_int_equal(timer, 1234);
    assert_int_equal(call(TIME, 1, 0, 0, 0, 0, 0), -2);
    assert_int_equal(call(IPI, 0, 0, 0, 0, 0, 0), 0);
    assert_false(ssi);
    assert_int_equal(call(IPI, 0, 2, 0, 0, 0, 0), -3);
    assert_int_equal(call(IPI, 0, 1, 1, 0, 0, 0), -3);
    assert_int_equal(call(IPI, 0, 3, 0, 0, 0, 0), -3);
    assert_false(ssi);
    assert_int_equal(call(IPI, 0, 1, 0, 0, 0, 0), 0);
    assert_true(ssi);
    ssi = false;
    assert_int_equal(call(IPI, 0, 0, ALL_HARTS, 0, 0, 0), 0);
    assert_true(ssi);
}

static void remote_fences_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(call(RFENCE, 0, 1, 0, 0, 0, 0), 0);
    assert_int_equal(code_changes, 1);
    assert_int_equal(call(RFENCE, 1, 1, 0, 0x1fff, 2, 0), 0);
    assert_int_equal(fences, 2); /* two bytes in two pages */
    assert_int_equal(call(RFENCE, 1, 1, 0, 0, 0, 0), 0);
    assert_int_equal(full_fences, 1);
    assert_int_equal(call(RFENCE, 2, 1, 0, 0x1000, UINT64_MAX, 7), 0);
    assert_int_equal(full_fences, 2);
    assert_int_equal(call(RFENCE, 1, 1, 0, 0, UINT64_MAX - 1, 0), 0);
    assert_int_equal(full_fences, 3);
    assert_int_equal(fences, 5);
    assert_int_equal(call(RFENCE, 1, 1, 0, UINT64_MAX - 4095, 4096, 0), 0);
    assert_int_equal(fences, 6);
}

static void bad_fences_are_refused(void **state)
{
    (void)state;
    assert_int_equal(call(RFENCE, 1, 2, 0, 0, 4096, 0), -3);
    assert_int_equal(call(RFENCE, 2, 1, 0, 0, 4096, 0x10000), -3);
    assert_int_equal(call(RFENCE, 1, 1, 0, UINT64_MAX - 4095, 4097, 0), -5);
    assert_int_equal(call(RFENCE, 3, 1, 0, 0, 0, 0), -2);
    assert_int_equal(call(RFENCE, UINT64_C(0xffffffff), 1, 0, 0, 0, 0), -2);
    assert_int_equal(call(RFENCE, 1, 0, 0, 0, 4096, 0), 0);
    assert_int_equal(fences, 0);
}

static void hart_0_is_started_and_the_only_one(void **state)
{
    (void)state;
    assert_int_equal(call(HSM, 0, 0, RAM_BASE, 0, 0, 0), -6);
    assert_int_equal(call(HSM, 0, 1, RAM_BASE, 0, 0, 0), -3);
    assert_int_equal(call(HSM, 1, 0, 0, 0, 0, 0), -1);
    assert_int_equal(call(HSM, 2, 0, 0, 0, 0, 0), 0);
    assert_int_equal(cpu.x[11], 0);
    assert_int_equal(call(HSM, 2, 1, 0, 0, 0, 0), -3);
    assert_int_equal(call(HSM, 3, 0, 0, 0, 0, 0), 0);
    assert_int_equal(call(HSM, 3, 0x80000000, 0, 0, 0, 0), -2);
    assert_int_equal(call(HSM, 3, 1, 0, 0, 0, 0), -3);
    assert_int_equal(call(HSM, 4, 0, 0, 0, 0, 0), -2);
}

static void reset_takes_what_the_specification_names(void **state)
{
    (void)state;
    assert_int_equal(call(SRST, 0, 3, 0, 0, 0, 0), -3);
    assert_int_equal(call(SRST, 0, 0, 2, 0, 0, 0), -3);
    assert_int_equal(call(SRST, 1, 0, 0, 0, 0, 0), -2);
    assert_int_equal(resets, 0);
    call(SRST, 0, 0, 0, 0, 0, 0);
    assert_int_equal(reset_what, RV64_SBI_SHUTDOWN);
    assert_false(reset_failed);
    call(SRST, 0, 1, 1, 0, 0, 0);
    assert_int_equal(reset_what, RV64_SBI_REBOOT);
    assert_true(reset_failed);
}

static void debug_console_moves_bytes_of_ram_only(void **state)
{
    (void)state;
    assert_int_equal(call(DBCN, 0, 5, RAM_BASE, 0, 0, 0), 0);
    assert_int_equal(cpu.x[11], 5);
    assert_int_equal(printed, 5);
    assert_int_equal(call(DBCN, 0, RAM_SIZE, RAM_BASE, 0, 0, 0), 0);
    assert_true(cpu.x[11] && cpu.x[11] <= RAM_SIZE);
    printed = 0;
    assert_int_equal(call(DBCN, 0, RAM_SIZE + 1, RAM_BASE, 0, 0, 0), -3);
    assert_int_equal(call(DBCN, 0, UINT64_MAX, RAM_BASE, 0, 0, 0), -3);
    assert_int_equal(call(DBCN, 0, 1, RAM_BASE - 1, 0, 0, 0), -3);
    assert_int_equal(call(DBCN, 0, 1, RAM_BASE, 1, 0, 0), -3);
    assert_int_equal(call(DBCN, 1, 2, RAM_BASE + RAM_SIZE - 1, 0, 0, 0), -3);
    assert_int_equal(call(DBCN, 3, 1, RAM_BASE, 0, 0, 0), -2);
    assert_int_equal(printed, 0);
    typed = 3;
    assert_int_equal(call(DBCN, 1, 10, RAM_BASE, 0, 0, 0), 0);
    assert_int_equal(cpu.x[11], 3);
    assert_memory_equal(ram, "cba", 3);
    assert_int_equal(wrote, 3);
    assert_int_equal(call(DBCN, 2, 'x', 0, 0, 0, 0), 0);
    assert_int_equal(printed, 1);
}

static void legacy_calls_change_a0_only(void **state)
{
    (void)state;
    assert_int_equal(call(0, 0, 99, 42, 0, 0, 0), 0);
    assert_int_equal(timer, 99);
    assert_int_equal(cpu.x[11], 42);
    assert_int_equal(call(1, 0, 'x', 0, 0, 0, 0), 0);
    assert_int_equal(printed, 1);
    assert_int_equal(call(2, 0, 0, 0, 0, 0, 0), -1);
    typed = 1;
    assert_int_equal(call(2, 0, 0, 0, 0, 0, 0), 'a');
    assert_int_equal(call(4, 0, 0xdead, 0, 0, 0, 0), 0);
    assert_true(ssi);
    assert_int_equal(call(3, 0, 0, 0, 0, 0, 0), 0);
    assert_false(ssi);
    assert_int_equal(call(5, 0, 0, 0, 0, 0, 0), 0);
    assert_int_equal(call(6, 0, 0, 1, UINT64_MAX - 1, 0, 0), 0);
    assert_int_equal(call(7, 0, 0, UINT64_MAX, 2, UINT64_MAX, 0), 0);
    assert_true(fences < 200);
    assert_int_equal(resets, 0);
    call(8, 0, 0, 0, 0, 0, 0);
    assert_int_equal(resets, 1);
}

static uint64_t random_value(void)
{
    static const uint64_t edges[] = {0, 1, 2, RAM_BASE, RAM_BASE + RAM_SIZE, UINT64_MAX, 4096};

    if (random() % 2)
        return edges[(size_t)random() % (sizeof edges / sizeof edges[0])];
    return (uint64_t)random() << (random() % 34);
}

static void random_calls_end(void **state)
{
    static const uint64_t ids[] = {0,    1,   2,      3,   4,    5,    6,         7,
                                   BASE, IPI, RFENCE, HSM, TIME, DBCN, 0x12345678};
    const char *given = getenv("RV64_SEED");
    unsigned int seed = given ? (unsigned int)strtoul(given, NULL, 0) : (unsigned int)time(NULL);
    int i;

    (void)state;
    print_message("seed %u (RV64_SEED)\n", seed);
    srandom(seed);
    for (i = 0; i < 100000; i++) {
        fences = 0;
        call(ids[(size_t)random() % (sizeof ids / sizeof ids[0])], (uint64_t)random() % 8,
             random_value(), random_value(), random_value(), random_value(), random_value());
        assert_true(fences <= 65);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(base_says_what_there_is, clear),
        cmocka_unit_test_setup(timer_and_ipi_reach_hart_0, clear),
        cmocka_unit_test_setup(remote_fences_are_bounded, clear),
        cmocka_unit_test_setup(bad_fences_are_refused, clear),
        cmocka_unit_test_setup(hart_0_is_started_and_the_only_one, clear),
        cmocka_unit_test_setup(reset_takes_what_the_specification_names, clear),
        cmocka_unit_test_setup(debug_console_moves_bytes_of_ram_only, clear),
        cmocka_unit_test_setup(legacy_calls_change_a0_only, clear),
        cmocka_unit_test_setup(random_calls_end, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
