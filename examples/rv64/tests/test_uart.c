/* SPDX-License-Identifier: BSD-3-Clause */
/* The UART as a driver sees it: through its registers. */

#include "registers.h"
#include "uart.h"

static uint8_t sent[64];
static size_t sent_count;

#define UART 0x10000000

static void transmit(void *ctx, uint8_t byte)
{
    (void)ctx;
    if (sent_count < sizeof sent)
        sent[sent_count++] = byte;
}

static void new_uart(struct rv64_bus *bus, struct rv64_uart *uart)
{
    const struct rv64_line irq = line(1);

    registers_begin(bus);
    sent_count = 0;
    rv64_uart_init(uart, &irq, transmit, NULL);
    assert_int_equal(rv64_uart_attach(uart, bus, UART), 0);
}

static void uart_sends_at_once_and_is_always_ready(void **state)
{
    struct rv64_bus bus;
    struct rv64_uart uart;

    (void)state;
    new_uart(&bus, &uart);
    assert_int_equal(get(&bus, UART + 5, 1), 0x60);
    put(&bus, UART, 1, 'G');
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent[0], 'G');
    assert_int_equal(get(&bus, UART + 5, 1), 0x60);
}

static void uart_divisor_latch_hides_the_data_register(void **state)
{
    struct rv64_bus bus;
    struct rv64_uart uart;

    (void)state;
    new_uart(&bus, &uart);
    put(&bus, UART + 3, 1, 0x80);
    put(&bus, UART, 1, 0x12);
    put(&bus, UART + 1, 1, 0x34);
    assert_int_equal(sent_count, 0);
    assert_int_equal(get(&bus, UART, 1), 0x12);
    assert_int_equal(get(&bus, UART + 1, 1), 0x34);
    put(&bus, UART + 3, 1, 0x03);
    assert_int_equal(get(&bus, UART + 1, 1), 0);
}

static void uart_interrupts_when_a_byte_arrives_and_not_after_it_is_read(void **state)
{
    struct rv64_bus bus;
    struct rv64_uart uart;

    (void)state;
    new_uart(&bus, &uart);
    rv64_uart_receive(&uart, 'a');
    assert_false(lines[1]);
    put(&bus, UART + 1, 1, 1);
    assert_true(lines[1]);
    assert_int_equal(get(&bus, UART + 2, 1), 0x04);
    assert_int_equal(get(&bus, UART + 5, 1) & 1, 1);
    assert_int_equal(get(&bus, UART, 1), 'a');
    assert_false(lines[1]);
    assert_int_equal(get(&bus, UART + 2, 1), 0x01);
}

static void uart_fifo_below_its_trigger_times_out(void **state)
{
    struct rv64_bus bus;
    struct rv64_uart uart;
    int i;

    (void)state;
    new_uart(&bus, &uart);
    put(&bus, UART + 2, 1, 0x81); /* trigger at 8 */
    put(&bus, UART + 1, 1, 1);
    rv64_uart_receive(&uart, 0);
    assert_int_equal(get(&bus, UART + 2, 1), 0xcc);
    for (i = 1; i < 8; i++)
        rv64_uart_receive(&uart, (uint8_t)i);
    assert_int_equal(get(&bus, UART + 2, 1), 0xc4);
    for (i = 0; i < 8; i++)
        assert_int_equal(get(&bus, UART, 1), i);
    assert_int_equal(get(&bus, UART + 2, 1), 0xc1);
}

static void uart_overrun_keeps_the_old_bytes_and_says_so_once(void **state)
{
    struct rv64_bus bus;
    struct rv64_uart uart;
    int i;

    (void)state;
    new_uart(&bus, &uart);
    put(&bus, UART + 1, 1, 4 | 1);
    assert_int_equal(rv64_uart_room(&uart), 1);
    put(&bus, UART + 2, 1, 0x01);
    assert_int_equal(rv64_uart_room(&uart), 16);
    for (i = 0; i < 17; i++)
        rv64_uart_receive(&uart, (uint8_t)i);
    assert_int_equal(rv64_uart_room(&uart), 0);
    assert_true(lines[1]);
    assert_int_equal(get(&bus, UART + 2, 1), 0xc6);
    assert_int_equal(get(&bus, UART + 5, 1) & 3, 3);
    assert_int_equal(get(&bus, UART + 5, 1) & 3, 1);
    assert_int_equal(get(&bus, UART + 2, 1), 0xc4); /* what remains is data */
    assert_int_equal(get(&bus, UART, 1), 0);
    put(&bus, UART + 2, 1, 0x03);
    assert_int_equal(get(&bus, UART + 5, 1) & 1, 0);
}

static void uart_has_room_only_for_a_guest_that_listens(void **state)
{
    struct rv64_bus bus;
    struct rv64_uart uart;
    int i;

    (void)state;
    new_uart(&bus, &uart);
    assert_int_equal(rv64_uart_room(&uart), 0);
    put(&bus, UART + 1, 1, 1);
    assert_int_equal(rv64_uart_room(&uart), 1);
    put(&bus, UART + 1, 1, 0);
    assert_int_equal(rv64_uart_room(&uart), 0);
    for (i = 0; i < 20; i++) { /* a guest that writes looks once a byte */
        get(&bus, UART + 5, 1);
        put(&bus, UART, 1, 'w');
    }
    assert_int_equal(rv64_uart_room(&uart), 0);
    for (i = 0; i < 20; i++)
        get(&bus, UART + 5, 1);
    assert_int_equal(rv64_uart_room(&uart), 1);
}

static void uart_transmitter_interrupt_is_acknowledged_by_reading_iir(void **state)
{
    struct rv64_bus bus;
    struct rv64_uart uart;

    (void)state;
    new_uart(&bus, &uart);
    put(&bus, UART + 1, 1, 2);
    assert_true(lines[1]);
    assert_int_equal(get(&bus, UART + 2, 1), 0x02);
    assert_false(lines[1]);
    put(&bus, UART, 1, 'x');
    assert_true(lines[1]);
    /* Enabling anew while the transmitter is empty raises it again. */
    assert_int_equal(get(&bus, UART + 2, 1), 0x02);
    put(&bus, UART + 1, 1, 0);
    put(&bus, UART + 1, 1, 2);
    assert_true(lines[1]);
}

/* What Linux's 8250 driver does to find out whether a UART is there. */
static void uart_is_found_by_the_probe_of_linux(void **state)
{
    struct rv64_bus bus;
    struct rv64_uart uart;

    (void)state;
    new_uart(&bus, &uart);
    put(&bus, UART + 1, 1, 0);
    assert_int_equal(get(&bus, UART + 1, 1), 0);
    put(&bus, UART + 1, 1, 0xff);
    assert_int_equal(get(&bus, UART + 1, 1), 0x0f);
    put(&bus, UART + 1, 1, 0);
    put(&bus, UART + 4, 1, 0x10 | 0x0a);
    assert_int_equal(get(&bus, UART + 6, 1) & 0xf0, 0x90);
    assert_int_equal(rv64_uart_room(&uart), 0);
    put(&bus, UART, 1, 'L');
    assert_int_equal(sent_count, 0);
    assert_int_equal(get(&bus, UART, 1), 'L');
    put(&bus, UART + 4, 1, 0x08);
    assert_int_equal(get(&bus, UART + 6, 1) & 0xf0, 0xb0);
    put(&bus, UART + 2, 1, 1);
    assert_int_equal(get(&bus, UART + 2, 1) & 0xc0, 0xc0);
    put(&bus, UART + 7, 1, 0x5a);
    assert_int_equal(get(&bus, UART + 7, 1), 0x5a);
    assert_int_equal(get(&bus, UART + 0x20, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uart_sends_at_once_and_is_always_ready),
        cmocka_unit_test(uart_divisor_latch_hides_the_data_register),
        cmocka_unit_test(uart_interrupts_when_a_byte_arrives_and_not_after_it_is_read),
        cmocka_unit_test(uart_fifo_below_its_trigger_times_out),
        cmocka_unit_test(uart_overrun_keeps_the_old_bytes_and_says_so_once),
        cmocka_unit_test(uart_has_room_only_for_a_guest_that_listens),
        cmocka_unit_test(uart_transmitter_interrupt_is_acknowledged_by_reading_iir),
        cmocka_unit_test(uart_is_found_by_the_probe_of_linux),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
