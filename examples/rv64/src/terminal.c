/* SPDX-License-Identifier: BSD-3-Clause */

#define _GNU_SOURCE 1 /* ppoll() */

#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ESCAPE 0x01 /* Ctrl-A, as QEMU has it */

#define NS_PER_SECOND UINT64_C(1000000000)

/* A guest that says nothing for so long after its input has ended probably waits for more. */
#define QUIET_NS (3 * NS_PER_SECOND)

static const char help_text[] = "\r\nCtrl-A h    this help\r\n"
                                "Ctrl-A x    end the machine\r\n"
                                "Ctrl-A a    send Ctrl-A to the guest\r\n";

static struct {
    bool open;
    bool tty;                    /* standard input is a terminal */
    volatile sig_atomic_t raw;   /* its modes are ours at the moment */
    struct termios saved, modes; /* what it was, and raw mode */
    volatile sig_atomic_t ending, stopping, continued;
    bool eof, escaped, quit, broken;
    bool told;            /* that the guest probably waits for what does not come */
    uint64_t quiet_since; /* end of input, or the last output after it */
    uint8_t in[4096], out[4096];
    size_t in_length, out_length;
} terminal;

/* A terminal's modes are ours to set only while our process group is in its foreground. */
static bool foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* Called from signal handlers: tcsetattr() and tcgetpgrp() are async-signal-safe (POSIX). */
static void restore(void)
{
    if (terminal.raw && foreground())
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
    terminal.raw = 0;
}

static void set_raw(void)
{
    if (terminal.tty && foreground() && !tcsetattr(STDIN_FILENO, TCSANOW, &terminal.modes))
        terminal.raw = 1;
}

static void die(int number)
{
    restore();
    signal(number, SIG_DFL);
    raise(number);
}

/* The first request ends the machine in order; a second one finds it stuck and ends the process. */
static void on_ending(int number)
{
    int saved = errno;

    if (terminal.ending)
        die(number);
    terminal.ending = number;
    errno = saved;
}

static void on_job_control(int number)
{
    if (number == SIGTSTP)
        terminal.stopping = 1;
    else
        terminal.continued = 1;
}

static void handle(int number, void (*handler)(int), bool only_default)
{
    struct sigaction action, old;

    /* What our parent ignores (nohup, a background job) stays ignored. */
    if (sigaction(number, NULL, &old) || old.sa_handler == SIG_IGN ||
        (only_default && old.sa_handler != SIG_DFL))
        return;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void rv64_terminal_prepare(void)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    size_t i;

    for (i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        handle(crashes[i], die, true);
}

static void install_handlers(void)
{
    static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    size_t i;

    for (i = 0; i < sizeof endings / sizeof endings[0]; i++)
        handle(endings[i], on_ending, false);
    handle(SIGTSTP, on_job_control, false);
    handle(SIGCONT, on_job_control, false);
    /* Errors of write(2) tell us, and let us restore the terminal. */
    signal(SIGPIPE, SIG_IGN);
}

void rv64_terminal_open(void)
{
    terminal.open = true;
    terminal.tty = isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &terminal.saved);
    if (terminal.tty) {
        terminal.modes = terminal.saved;
        cfmakeraw(&terminal.modes);
        /* Our own messages still need their carriage returns. */
        terminal.modes.c_oflag = terminal.saved.c_oflag;
        atexit(restore);
    }
    install_handlers();
    set_raw();
}

void rv64_terminal_close(void)
{
    if (!terminal.open)
        return;
    rv64_terminal_flush();
    restore();
    terminal.open = false;
}

int rv64_terminal_signal(void)
{
    return terminal.ending;
}

bool rv64_terminal_quit(void)
{
    return terminal.quit;
}

void rv64_terminal_job_control(void)
{
    if (terminal.stopping) {
        terminal.stopping = 0;
        restore();
        raise(SIGSTOP);
    }
    if (terminal.continued) {
        terminal.continued = 0;
        set_raw();
    }
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

/*
 * QEMU's machines run on without a word when their input has ended, and so do ours: the guest may
 * have work. But whoever gave none (a script, with </dev/null) should not wonder for ever.
 * @return how long the guest may still be quiet, in nanoseconds
 */
static uint64_t quiet_left(void)
{
    static const char text[] =
        "rv64: standard input has ended, and the guest is quiet: it may wait for more. It runs on; "
        "Ctrl-C or --timeout ends it\n";
    uint64_t quiet;

    if (!terminal.eof || terminal.tty || terminal.told || terminal.in_length)
        return UINT64_MAX;
    quiet = now() - terminal.quiet_since;
    if (quiet < QUIET_NS)
        return QUIET_NS - quiet;
    terminal.told = true;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    return UINT64_MAX;
}

void rv64_terminal_put(uint8_t byte)
{
    if (terminal.eof && !terminal.told)
        terminal.quiet_since = now();
    if (terminal.out_length == sizeof terminal.out)
        rv64_terminal_flush();
    if (terminal.out_length < sizeof terminal.out)
        terminal.out[terminal.out_length++] = byte;
}

/* Waits until standard output takes bytes; not for longer than the user wants to wait. */
static int wait_writable(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};

    while (poll(&output, 1, 1000) <= 0)
        if (terminal.ending)
            return -1;
    return 0;
}

/* Waiting first keeps write(2) from blocking, so that a signal is seen between two writes. */
int rv64_terminal_flush(void)
{
    size_t done = 0;

    while (done < terminal.out_length && !terminal.broken) {
        ssize_t written;

        if (wait_writable())
            break;
        written = write(STDOUT_FILENO, terminal.out + done, terminal.out_length - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno != EINTR && errno != EAGAIN)
            terminal.broken = true;
    }
    terminal.out_length = 0;
    return terminal.broken ? -1 : 0;
}

static void put_text(const char *text)
{
    while (*text)
        rv64_terminal_put((uint8_t)*text++);
}

/* The byte after Ctrl-A. @return whether the guest gets it. */
static bool escape(uint8_t byte)
{
    terminal.escaped = false;
    switch (byte) {
    case 'x': terminal.quit = true; return false;
    case 'h':
    case '?': put_text(help_text); return false;
    default: return true;
    }
}

static void typed(uint8_t byte)
{
    if (terminal.tty && terminal.escaped) {
        if (!escape(byte))
            return;
        if (byte == 'a')
            byte = ESCAPE;
    } else if (terminal.tty && byte == ESCAPE) {
        terminal.escaped = true;
        return;
    }
    terminal.in[terminal.in_length++] = byte;
}

void rv64_terminal_poll(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    uint8_t bytes[256];
    size_t room = sizeof terminal.in - terminal.in_length;
    ssize_t got, i;

    if (terminal.eof || !room || poll(&input, 1, 0) <= 0)
        return;
    got = read(STDIN_FILENO, bytes, room < sizeof bytes ? room : sizeof bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) {
        terminal.eof = true;
        terminal.quiet_since = now();
    }
    for (i = 0; i < got; i++)
        typed(bytes[i]);
}

const uint8_t *rv64_terminal_peek(size_t *ret_length)
{
    *ret_length = terminal.in_length;
    return terminal.in;
}

void rv64_terminal_consume(size_t length)
{
    terminal.in_length -= length;
    memmove(terminal.in, terminal.in + length, terminal.in_length);
}

void rv64_terminal_wait(uint64_t nanoseconds)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT};
    bool reading = !terminal.eof && terminal.in_length < sizeof terminal.in;
    struct pollfd input = {.fd = reading ? STDIN_FILENO : -1, .events = POLLIN};
    uint64_t quiet = quiet_left();
    struct timespec limit;
    sigset_t blocked, old;
    size_t i;

    nanoseconds = nanoseconds < quiet ? nanoseconds : quiet;
    limit = (struct timespec){.tv_sec = (time_t)(nanoseconds / NS_PER_SECOND),
                              .tv_nsec = (long)(nanoseconds % NS_PER_SECOND)};

    /* A signal that comes between the look at the flags and ppoll() must end the wait. */
    sigemptyset(&blocked);
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&blocked, numbers[i]);
    sigprocmask(SIG_BLOCK, &blocked, &old);
    if (!terminal.ending && !terminal.stopping && !terminal.continued)
        ppoll(&input, 1, nanoseconds == UINT64_MAX ? NULL : &limit, &old);
    sigprocmask(SIG_SETMASK, &old, NULL);
}
