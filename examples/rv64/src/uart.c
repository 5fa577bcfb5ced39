/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NS16550A. Names and numbers are those of the PC16550D data sheet, section 8 "Registers".
 */

#include "uart.h"

#include <string.h>

/* Register offsets; 0 and 1 are the divisor latch while LCR.DLAB is set. */
enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define WINDOW 0x100

#define IER_RDA  0x01
#define IER_THRE 0x02
#define IER_RLS  0x04
#define IER_MSI  0x08

#define IIR_NONE     0x01
#define IIR_THRE     0x02
#define IIR_RDA      0x04
#define IIR_RLS      0x06
#define IIR_TIMEOUT  0x0c
#define IIR_MSI      0x00
#define IIR_FIFOS_ON 0xc0

#define FCR_ENABLE   0x01
#define FCR_RX_RESET 0x02
#define FCR_TRIGGER  0xc0

#define LCR_DLAB 0x80

/*
 * Reading LSR this often without anything in between is polling for input: before a write, one
 * look is enough here.
 */
#define LOOKS_OF_A_POLLER 16

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10

#define LSR_DR   0x01
#define LSR_OE   0x02
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI  0x40
#define MSR_DCD 0x80

static uint32_t fifo_size(const struct rv64_uart *uart)
{
    return uart->fcr & FCR_ENABLE ? RV64_UART_FIFO : 1;
}

/* How many bytes raise "received data available" rather than the character timeout. */
static uint32_t trigger(const struct rv64_uart *uart)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return uart->fcr & FCR_ENABLE ? levels[uart->fcr >> 6] : 1;
}

/* The interrupt of highest priority, as IIR names it: table "Interrupt Control Functions". */
static uint8_t interrupt(const struct rv64_uart *uart)
{
    if (uart->ier & IER_RLS && uart->line_errors)
        return IIR_RLS;
    if (uart->ier & IER_RDA && uart->rx_count >= trigger(uart))
        return IIR_RDA;
    /* No byte is on its way while we look, so four character times have always passed. */
    if (uart->ier & IER_RDA && uart->rx_count)
        return IIR_TIMEOUT;
    if (uart->ier & IER_THRE && uart->thre_pending)
        return IIR_THRE;
    if (uart->ier & IER_MSI && uart->modem_deltas)
        return IIR_MSI;
    return IIR_NONE;
}

static void update(struct rv64_uart *uart)
{
    rv64_line_set(&uart->irq, interrupt(uart) != IIR_NONE);
}

/* The modem's lines: a connected terminal, or in loopback our own outputs. */
static uint8_t modem_lines(uint8_t mcr)
{
    uint8_t lines = 0;

    if (!(mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    if (mcr & MCR_RTS)
        lines |= MSR_CTS;
    if (mcr & MCR_DTR)
        lines |= MSR_DSR;
    if (mcr & MCR_OUT1)
        lines |= MSR_RI;
    if (mcr & MCR_OUT2)
        lines |= MSR_DCD;
    return lines;
}

static void write_mcr(struct rv64_uart *uart, uint8_t value)
{
    uint8_t before = modem_lines(uart->mcr);
    uint8_t after = modem_lines(value & 0x1f);

    uart->mcr = value & 0x1f;
    uart->modem_deltas |= ((before ^ after) & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;
    /* RI is reported at its trailing edge only. */
    uart->modem_deltas |= (before & ~after & MSR_RI) >> 4;
}

static void enqueue(struct rv64_uart *uart, uint8_t byte)
{
    if (uart->rx_count >= fifo_size(uart)) {
        uart->line_errors |= LSR_OE;
        return;
    }
    uart->rx[(uart->rx_head + uart->rx_count) % RV64_UART_FIFO] = byte;
    uart->rx_count++;
}

static uint8_t dequeue(struct rv64_uart *uart)
{
    uint8_t byte;

    if (!uart->rx_count)
        return 0;
    byte = uart->rx[uart->rx_head];
    uart->rx_head = (uart->rx_head + 1) % RV64_UART_FIFO;
    uart->rx_count--;
    return byte;
}

static void write_thr(struct rv64_uart *uart, uint8_t byte)
{
    if (uart->mcr & MCR_LOOP) {
        enqueue(uart, byte);
    } else {
        uart->transmitted++;
        if (uart->transmit)
            uart->transmit(uart->transmit_ctx, byte);
    }
    /* The byte is gone: the holding register became empty again. */
    uart->thre_pending = true;
}

static void write_fcr(struct rv64_uart *uart, uint8_t value)
{
    bool toggled = (uart->fcr ^ value) & FCR_ENABLE;

    /* Changing the mode clears the FIFOs; without bit 0 the other bits are not programmed. */
    if (toggled || value & FCR_RX_RESET)
        uart->rx_count = 0;
    uart->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

static void write_ier(struct rv64_uart *uart, uint8_t value)
{
    uint8_t enabled = value & ~uart->ier;

    uart->ier = value & 0x0f;
    /* Enabling the interrupt while the transmitter is empty raises it: drivers rely on that. */
    if (enabled & IER_THRE)
        uart->thre_pending = true;
}

static uint8_t read_iir(struct rv64_uart *uart)
{
    uint8_t value = interrupt(uart);

    if (value == IIR_THRE)
        uart->thre_pending = false;
    return value | (uart->fcr & FCR_ENABLE ? IIR_FIFOS_ON : 0);
}

static uint8_t read_lsr(struct rv64_uart *uart)
{
    uint8_t value = LSR_THRE | LSR_TEMT | uart->line_errors;

    if (uart->rx_count)
        value |= LSR_DR;
    uart->line_errors = 0;
    if (uart->looks < LOOKS_OF_A_POLLER)
        uart->looks++;
    return value;
}

static uint8_t read_msr(struct rv64_uart *uart)
{
    uint8_t value = modem_lines(uart->mcr) | uart->modem_deltas;

    uart->modem_deltas = 0;
    return value;
}

static int uart_read(void *state, uint64_t offset, uint32_t size, uint64_t *ret_value)
{
    struct rv64_uart *uart = state;
    bool dlab = uart->lcr & LCR_DLAB;

    (void)size; /* a wider access sees the one register that it addresses */
    *ret_value = 0;
    switch (offset) {
    case RBR_THR: *ret_value = dlab ? uart->dll : dequeue(uart); break;
    case IER: *ret_value = dlab ? uart->dlm : uart->ier; break;
    case IIR_FCR: *ret_value = read_iir(uart); break;
    case LCR: *ret_value = uart->lcr; break;
    case MCR: *ret_value = uart->mcr; break;
    case LSR: *ret_value = read_lsr(uart); break;
    case MSR: *ret_value = read_msr(uart); break;
    case SCR: *ret_value = uart->scr; break;
    default: break;
    }
    update(uart);
    return 0;
}

static void write_divisor(struct rv64_uart *uart, uint64_t offset, uint8_t value)
{
    if (offset == RBR_THR)
        uart->dll = value;
    else
        uart->dlm = value;
}

static int uart_write(void *state, uint64_t offset, uint32_t size, uint64_t value)
{
    struct rv64_uart *uart = state;
    uint8_t byte = (uint8_t)value;

    (void)size;
    uart->looks = 0;
    if (uart->lcr & LCR_DLAB && offset <= IER) {
        write_divisor(uart, offset, byte);
        return 0;
    }
    switch (offset) {
    case RBR_THR: write_thr(uart, byte); break;
    case IER: write_ier(uart, byte); break;
    case IIR_FCR: write_fcr(uart, byte); break;
    case LCR: uart->lcr = byte; break;
    case MCR: write_mcr(uart, byte); break;
    case SCR: uart->scr = byte; break;
    default: break; /* LSR and MSR are read-only; beyond them is nothing */
    }
    update(uart);
    return 0;
}

void rv64_uart_init(struct rv64_uart *uart, const struct rv64_line *irq,
                    void (*transmit)(void *ctx, uint8_t byte), void *ctx)
{
    memset(uart, 0, sizeof *uart);
    uart->irq = *irq;
    uart->transmit = transmit;
    uart->transmit_ctx = ctx;
    uart->thre_pending = true;
}

int rv64_uart_attach(struct rv64_uart *uart, struct rv64_bus *bus, uint64_t base)
{
    const struct rv64_device device = {.name = "uart",
                                       .base = base,
                                       .length = WINDOW,
                                       .state = uart,
                                       .read = uart_read,
                                       .write = uart_write};

    return rv64_bus_add(bus, &device);
}

size_t rv64_uart_room(const struct rv64_uart *uart)
{
    /* In loopback the receiver is cut off from the wire; what waits there is not lost. */
    if (uart->mcr & MCR_LOOP || uart->rx_count >= fifo_size(uart))
        return 0;
    if (!(uart->ier & IER_RDA) && uart->looks < LOOKS_OF_A_POLLER)
        return 0;
    return fifo_size(uart) - uart->rx_count;
}

void rv64_uart_receive(struct rv64_uart *uart, uint8_t byte)
{
    uart->received++;
    enqueue(uart, byte);
    update(uart);
}
