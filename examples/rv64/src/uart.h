/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_UART_H
#define RV64_UART_H

/*
 * A National Semiconductor 16550A UART (data sheet PC16550D), byte registers, as QEMU's virt board
 * has it. Transmission takes no time: what is written is handed on at once.
 */

#include <stddef.h>

#include "bus.h"
#include "line.h"

#define RV64_UART_FIFO 16

/** The UART. */
struct rv64_uart {
    struct rv64_line irq;
    void (*transmit)(void *ctx, uint8_t byte);
    void *transmit_ctx;
    uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
    uint8_t line_errors;  /**< LSR bits that reading LSR clears */
    uint8_t modem_deltas; /**< MSR bits 0-3, which reading MSR clears */
    bool thre_pending;    /**< the transmitter-empty interrupt was not yet acknowledged */
    uint8_t rx[RV64_UART_FIFO];
    uint32_t rx_head, rx_count;
    uint32_t looks;                 /**< LSR was read so many times in a row */
    uint64_t received, transmitted; /**< bytes, for --stats */
};

/** Resets the UART. Transmit is called for every byte the guest sends. */
void rv64_uart_init(struct rv64_uart *uart, const struct rv64_line *irq,
                    void (*transmit)(void *ctx, uint8_t byte), void *ctx);

/** Puts the UART on the bus. @return 0, or -1 as rv64_bus_add(). */
int rv64_uart_attach(struct rv64_uart *uart, struct rv64_bus *bus, uint64_t base);

/**
 * How many bytes can be received now without an overrun, by a guest that listens: it has enabled
 * the interrupt, or it polls. Others reset the FIFO when they begin, and what was piped into the
 * machine would be lost.
 */
size_t rv64_uart_room(const struct rv64_uart *uart);

/** A byte arrives on the wire. */
void rv64_uart_receive(struct rv64_uart *uart, uint8_t byte);

#endif /* RV64_UART_H */
