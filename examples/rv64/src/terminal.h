/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TERMINAL_H
#define RV64_TERMINAL_H

/*
 * Standard input and output as the guest's console. There is one of it in a process, as there is
 * one set of signal handlers, which is why this module has state of its own.
 *
 * A terminal on standard input is put into raw mode and Ctrl-A is an escape character; anything
 * else is passed to the guest byte for byte, and its end is not the end of the guest: it is said on
 * standard error when the guest seems to wait for more. Whatever ends the process, the terminal's
 * modes are restored.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Has crashes restore the terminal. To be called first: a platform that lives on faults passes what
 * is not its own on to the actions that were there before.
 */
void rv64_terminal_prepare(void);

/** Installs signal handlers and sets raw mode if standard input is a terminal. */
void rv64_terminal_open(void);

/** Flushes the output and restores the terminal. Harmless when nothing was opened. */
void rv64_terminal_close(void);

/** The signal that asks us to end, or 0. */
int rv64_terminal_signal(void);

/** Whether the user asked to quit with Ctrl-A x. */
bool rv64_terminal_quit(void);

/** Stops the process if SIGTSTP came, and sets raw mode again after SIGCONT. */
void rv64_terminal_job_control(void);

/** Adds a byte to the output. */
void rv64_terminal_put(uint8_t byte);

/** Writes what was put. @return 0, or -1 with errno: standard output is broken. */
int rv64_terminal_flush(void);

/** Reads what was typed, if there is room for it; never waits. */
void rv64_terminal_poll(void);

/** What was typed and not yet consumed. */
const uint8_t *rv64_terminal_peek(size_t *ret_length);

/** Forgets the first `length` bytes of it. */
void rv64_terminal_consume(size_t length);

/** Waits for input, a signal, or `nanoseconds` (UINT64_MAX: without limit). */
void rv64_terminal_wait(uint64_t nanoseconds);

#endif /* RV64_TERMINAL_H */
