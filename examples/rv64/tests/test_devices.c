/* SPDX-License-Identifier: BSD-3-Clause */
/* Bus, CLINT, PLIC and finisher, as a driver sees them: through their registers. */

#include "clint.h"
#include "plic.h"
#include "registers.h"
#include "syscon.h"

#define RAM_BASE 0x80000000
#define RAM_SIZE 0x4000

static uint8_t ram[RAM_SIZE];
static uint64_t ticks;
static uint64_t told_gpa, told_length;

static void dma_wrote(void *ctx, uint64_t gpa, uint64_t length)
{
    (void)ctx;
    told_gpa = gpa;
    told_length = length;
}

static void new_bus(struct rv64_bus *bus)
{
    registers_begin(bus);
    bus->ram = ram;
    bus->ram_base = RAM_BASE;
    bus->ram_size = RAM_SIZE;
    bus->dma_wrote = dma_wrote;
    told_gpa = told_length = 0;
}

/* A device that answers with what it was asked. */
static int echo_read(void *state, uint64_t offset, uint32_t size, uint64_t *ret_value)
{
    (void)state;
    *ret_value = offset << 8 | size;
    return 0;
}

static int echo_write(void *state, uint64_t offset, uint32_t size, uint64_t value)
{
    (void)offset;
    (void)size;
    *(uint64_t *)state = value;
    return 0;
}

static int add(struct rv64_bus *bus, uint64_t base, uint64_t length)
{
    const struct rv64_device device = {
        .name = "echo", .base = base, .length = length, .read = echo_read, .write = echo_write};

    return rv64_bus_add(bus, &device);
}

static void a_device_may_overlap_neither_ram_nor_another_device(void **state)
{
    struct rv64_bus bus;

    (void)state;
    new_bus(&bus);
    assert_int_equal(add(&bus, 0x1000, 0x1000), 0);
    assert_int_equal(add(&bus, 0x1fff, 1), -1);
    assert_int_equal(add(&bus, 0xfff, 2), -1);
    assert_int_equal(add(&bus, 0, UINT64_MAX), -1);
    assert_int_equal(add(&bus, 0x2000, 1), 0);
    assert_int_equal(add(&bus, 0xfff, 1), 0);
    assert_int_equal(add(&bus, RAM_BASE + RAM_SIZE - 1, 8), -1);
    assert_int_equal(add(&bus, RAM_BASE - 8, 9), -1);
    assert_int_equal(add(&bus, RAM_BASE - 8, 8), 0);
    assert_int_equal(add(&bus, RAM_BASE + RAM_SIZE, 8), 0);
    assert_int_equal(add(&bus, 0x9000, 0), -1);
    assert_int_equal(add(&bus, UINT64_MAX - 3, 8), -1);
    assert_int_equal(add(&bus, UINT64_MAX - 3, 4), 0);
}

static void the_bus_takes_as_many_devices_as_it_says(void **state)
{
    struct rv64_bus bus;
    uint64_t i;

    (void)state;
    new_bus(&bus);
    for (i = 0; i < RV64_BUS_DEVICES_MAX; i++)
        assert_int_equal(add(&bus, i * 16, 16), 0);
    assert_int_equal(add(&bus, i * 16, 16), -1);
}

static void an_access_is_aligned_and_lies_in_one_device(void **state)
{
    struct rv64_bus bus;
    uint64_t value = 77;

    (void)state;
    new_bus(&bus);
    assert_int_equal(add(&bus, 0x1000, 12), 0);
    assert_int_equal(get(&bus, 0x1004, 4), 0x404);
    assert_int_equal(rv64_bus_read(&bus, 0x1002, 4, &value), -1);
    assert_int_equal(rv64_bus_read(&bus, 0x1008, 8, &value), -1);
    assert_int_equal(rv64_bus_read(&bus, 0x100c, 1, &value), -1);
    assert_int_equal(rv64_bus_read(&bus, 0x1000, 3, &value), -1);
    assert_int_equal(rv64_bus_read(&bus, 0x1000, 0, &value), -1);
    assert_int_equal(rv64_bus_read(&bus, 0x1000, 16, &value), -1);
    assert_int_equal(rv64_bus_write(&bus, 0x5000, 4, 1), -1);
    assert_int_equal(rv64_bus_read(&bus, UINT64_MAX & ~UINT64_C(7), 8, &value), -1);
    assert_int_equal(value, 77);
}

static void dma_reaches_ram_and_nothing_else(void **state)
{
    struct rv64_bus bus;
    uint8_t bytes[16] = {1, 2, 3};

    (void)state;
    new_bus(&bus);
    assert_non_null(rv64_bus_ram(&bus, RAM_BASE, RAM_SIZE));
    assert_non_null(rv64_bus_ram(&bus, RAM_BASE + RAM_SIZE, 0));
    assert_null(rv64_bus_ram(&bus, RAM_BASE, RAM_SIZE + 1));
    assert_null(rv64_bus_ram(&bus, RAM_BASE - 1, 2));
    assert_null(rv64_bus_ram(&bus, RAM_BASE + 1, UINT64_MAX));
    assert_null(rv64_bus_ram(&bus, RAM_BASE + RAM_SIZE + 1, 0));
    assert_int_equal(rv64_bus_dma_write(&bus, RAM_BASE + RAM_SIZE - 15, bytes, 16), -1);
    assert_int_equal(told_length, 0);
    assert_int_equal(rv64_bus_dma_write(&bus, RAM_BASE + RAM_SIZE - 16, bytes, 16), 0);
    assert_int_equal(told_gpa, RAM_BASE + RAM_SIZE - 16);
    assert_int_equal(told_length, 16);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(rv64_bus_dma_read(&bus, RAM_BASE + RAM_SIZE - 16, bytes, 16), 0);
    assert_int_equal(bytes[2], 3);
    assert_int_equal(rv64_bus_dma_read(&bus, 0, bytes, 16), -1);
}

/* CLINT */

#define CLINT 0x2000000

static uint64_t test_clock(void *ctx)
{
    (void)ctx;
    return ticks;
}

static void clint_timer_rises_when_mtime_reaches_mtimecmp(void **state)
{
    struct rv64_line software = line(3), timer = line(7);
    struct rv64_clint clint;
    struct rv64_bus bus;

    (void)state;
    new_bus(&bus);
    ticks = 1000;
    rv64_clint_init(&clint, &software, &timer, test_clock, NULL);
    assert_int_equal(rv64_clint_attach(&clint, &bus, CLINT), 0);
    assert_int_equal(get(&bus, CLINT + 0xbff8, 8), 0);
    put(&bus, CLINT + 0x4000, 8, 50);
    ticks = 1049;
    rv64_clint_update(&clint);
    assert_false(lines[7]);
    ticks = 1050;
    rv64_clint_update(&clint);
    assert_true(lines[7]);
    put(&bus, CLINT + 0x4004, 4, 1);
    assert_false(lines[7]);
    assert_int_equal(get(&bus, CLINT + 0x4000, 8), UINT64_C(0x100000032));
    assert_int_equal(get(&bus, CLINT + 0x4000, 4), 50);
}

static void clint_mtime_can_be_set_and_goes_on_from_there(void **state)
{
    struct rv64_line software = line(3), timer = line(7);
    struct rv64_clint clint;
    struct rv64_bus bus;

    (void)state;
    new_bus(&bus);
    ticks = 5;
    rv64_clint_init(&clint, &software, &timer, test_clock, NULL);
    assert_int_equal(rv64_clint_attach(&clint, &bus, CLINT), 0);
    put(&bus, CLINT + 0xbff8, 8, UINT64_C(0x1ffffffff));
    ticks++;
    assert_int_equal(get(&bus, CLINT + 0xbff8, 8), UINT64_C(0x200000000));
    assert_int_equal(get(&bus, CLINT + 0xbffc, 4), 2);
    put(&bus, CLINT + 0xbffc, 4, 7);
    assert_int_equal(rv64_clint_time(&clint), UINT64_C(0x700000000));
}

static void clint_software_interrupt_is_one_bit(void **state)
{
    struct rv64_line software = line(3), timer = line(7);
    struct rv64_clint clint;
    struct rv64_bus bus;
    uint64_t value;

    (void)state;
    new_bus(&bus);
    rv64_clint_init(&clint, &software, &timer, test_clock, NULL);
    assert_int_equal(rv64_clint_attach(&clint, &bus, CLINT), 0);
    put(&bus, CLINT, 4, 0xffffffff);
    assert_true(lines[3]);
    assert_int_equal(get(&bus, CLINT, 4), 1);
    put(&bus, CLINT + 4, 4, 0); /* hart 1 does not exist */
    assert_true(lines[3]);
    put(&bus, CLINT, 4, 0xfffffffe);
    assert_false(lines[3]);
    assert_int_equal(rv64_bus_read(&bus, CLINT, 1, &value), -1);
}

/* PLIC */

#define PLIC      0xc000000
#define THRESHOLD (PLIC + 0x201000)
#define CLAIM     (PLIC + 0x201004)
#define ENABLE    (PLIC + 0x2080)
#define PENDING   (PLIC + 0x1000)
#define SEI       9

static void new_plic(struct rv64_bus *bus, struct rv64_plic *plic)
{
    const struct rv64_line outputs[2] = {line(11), line(SEI)};

    new_bus(bus);
    rv64_plic_init(plic, outputs);
    assert_int_equal(rv64_plic_attach(plic, bus, PLIC), 0);
}

static void plic_interrupts_only_what_is_enabled_and_above_the_threshold(void **state)
{
    struct rv64_plic plic;
    struct rv64_bus bus;

    (void)state;
    new_plic(&bus, &plic);
    rv64_plic_set(&plic, 10, true);
    assert_int_equal(get(&bus, PENDING, 4), 1 << 10);
    put(&bus, ENABLE, 4, 1 << 10);
    assert_false(lines[SEI]); /* priority 0 is never */
    put(&bus, PLIC + 40, 4, 3);
    assert_true(lines[SEI]);
    assert_false(lines[11]);
    put(&bus, THRESHOLD, 4, 3);
    assert_false(lines[SEI]);
    put(&bus, THRESHOLD, 4, 2);
    assert_true(lines[SEI]);
    put(&bus, ENABLE, 4, 0);
    assert_false(lines[SEI]);
}

static void plic_claims_the_highest_priority_and_then_the_lowest_number(void **state)
{
    struct rv64_plic plic;
    struct rv64_bus bus;

    (void)state;
    new_plic(&bus, &plic);
    put(&bus, ENABLE, 4, 0xffffffff);
    put(&bus, ENABLE + 8, 4, 0xffffffff);
    put(&bus, ENABLE + 12, 4, 0xffffffff);
    put(&bus, PLIC + 4 * 3, 4, 1);
    put(&bus, PLIC + 4 * 5, 4, 1);
    put(&bus, PLIC + 4 * 96, 4, 7);
    rv64_plic_set(&plic, 5, true);
    rv64_plic_set(&plic, 3, true);
    rv64_plic_set(&plic, 96, true);
    assert_int_equal(get(&bus, CLAIM, 4), 96);
    assert_int_equal(get(&bus, CLAIM, 4), 3);
    assert_int_equal(get(&bus, CLAIM, 4), 5);
    assert_int_equal(get(&bus, CLAIM, 4), 0);
    assert_false(lines[SEI]);
}

static void plic_level_source_interrupts_again_after_completion(void **state)
{
    struct rv64_plic plic;
    struct rv64_bus bus;

    (void)state;
    new_plic(&bus, &plic);
    put(&bus, ENABLE, 4, 1 << 1);
    put(&bus, PLIC + 4, 4, 1);
    rv64_plic_set(&plic, 1, true);
    assert_int_equal(get(&bus, CLAIM, 4), 1);
    rv64_plic_set(&plic, 1, false);
    rv64_plic_set(&plic, 1, true);
    assert_false(lines[SEI]); /* the gateway is shut until completion */
    put(&bus, CLAIM, 4, 2);   /* not the one in service, and not enabled */
    assert_false(lines[SEI]);
    put(&bus, CLAIM, 4, 1);
    assert_true(lines[SEI]);
    assert_int_equal(get(&bus, CLAIM, 4), 1);
    rv64_plic_set(&plic, 1, false);
    put(&bus, CLAIM, 4, 1);
    assert_false(lines[SEI]);
}

static void plic_ignores_sources_and_contexts_that_do_not_exist(void **state)
{
    struct rv64_plic plic;
    struct rv64_bus bus;
    uint64_t value, offset;

    (void)state;
    new_plic(&bus, &plic);
    rv64_plic_set(&plic, 0, true);
    rv64_plic_set(&plic, 97, true);
    rv64_plic_set(&plic, UINT32_MAX, true);
    put(&bus, CLAIM, 4, UINT32_MAX);
    put(&bus, PLIC, 4, 7);
    assert_int_equal(get(&bus, PLIC, 4), 0);
    put(&bus, ENABLE, 4, UINT32_MAX);
    assert_int_equal(get(&bus, ENABLE, 4), 0xfffffffe);
    put(&bus, ENABLE + 12, 4, UINT32_MAX);
    assert_int_equal(get(&bus, ENABLE + 12, 4), 1);
    for (offset = 0; offset < 0x600000; offset += 4) {
        put(&bus, PLIC + offset, 4, UINT32_MAX);
        get(&bus, PLIC + offset, 4);
    }
    assert_int_equal(rv64_bus_read(&bus, PLIC, 8, &value), -1);
    assert_int_equal(rv64_bus_read(&bus, PLIC, 1, &value), -1);
}

/* Finisher */

static uint32_t finish_what, finish_code;

static void on_finish(void *ctx, uint32_t what, uint32_t code)
{
    (void)ctx;
    finish_what = what;
    finish_code = code;
}

static void finisher_knows_pass_fail_and_reset(void **state)
{
    struct rv64_syscon syscon = {.finish = on_finish};
    struct rv64_bus bus;

    (void)state;
    new_bus(&bus);
    finish_what = 0;
    assert_int_equal(rv64_syscon_attach(&syscon, &bus, 0x100000), 0);
    put(&bus, 0x100000, 4, 0x1234);
    put(&bus, 0x100004, 4, 0x5555);
    put(&bus, 0x100000, 1, 0x55);
    assert_int_equal(finish_what, 0);
    put(&bus, 0x100000, 4, 0x5555);
    assert_int_equal(finish_what, RV64_SYSCON_PASS);
    put(&bus, 0x100000, 4, 0x002a3333);
    assert_int_equal(finish_what, RV64_SYSCON_FAIL);
    assert_int_equal(finish_code, 42);
    put(&bus, 0x100000, 2, 0x7777);
    assert_int_equal(finish_what, RV64_SYSCON_RESET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_may_overlap_neither_ram_nor_another_device),
        cmocka_unit_test(the_bus_takes_as_many_devices_as_it_says),
        cmocka_unit_test(an_access_is_aligned_and_lies_in_one_device),
        cmocka_unit_test(dma_reaches_ram_and_nothing_else),
        cmocka_unit_test(clint_timer_rises_when_mtime_reaches_mtimecmp),
        cmocka_unit_test(clint_mtime_can_be_set_and_goes_on_from_there),
        cmocka_unit_test(clint_software_interrupt_is_one_bit),
        cmocka_unit_test(plic_interrupts_only_what_is_enabled_and_above_the_threshold),
        cmocka_unit_test(plic_claims_the_highest_priority_and_then_the_lowest_number),
        cmocka_unit_test(plic_level_source_interrupts_again_after_completion),
        cmocka_unit_test(plic_ignores_sources_and_contexts_that_do_not_exist),
        cmocka_unit_test(finisher_knows_pass_fail_and_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
