/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The command line: NAME=VALUE ... -- ARGUMENT ... */

#define WORDS 64

static char text[1024];
static char *word[WORDS];
static int words, marker;

/* The tests' own; its prototype is whichever of the two they chose. */
extern int main(int argc, char **argv);

static void split(void)
{
    const char *line = gn_x86_64_command_line();
    int inside = 0;

    for (size_t i = 0; i < sizeof text - 1 && line[i]; i++) {
        text[i] = line[i] == ' ' ? 0 : line[i];
        if (text[i] && !inside && words < WORDS)
            word[words++] = text + i;
        inside = text[i] != 0;
    }
    for (marker = 0; marker < words && strcmp(word[marker], "--"); marker++)
        ;
}

char *getenv(const char *name)
{
    const size_t n = strlen(name);

    for (int i = 0; i < marker; i++)
        if (!strncmp(word[i], name, n) && word[i][n] == '=')
            return word[i] + n + 1;
    return NULL;
}

int gn_x86_64_main(void)
{
    static char *argv[WORDS + 1];
    int argc = 1;

    metal_thread_local(0);
    split();
    argv[0] = text + sizeof text - 1; /* "" */
    for (int i = marker + 1; i < words; i++)
        argv[argc++] = word[i];
    return main(argc, argv);
}

int clock_gettime(int clock, struct timespec *ret)
{
    const uint64_t hz = gn_x86_64_tsc_hz(), now = gn_x86_64_tsc();

    (void)clock;
    ret->tv_sec = (time_t)(now / hz);
    ret->tv_nsec = (long)(now % hz * 1000000 / (hz / 1000));
    return 0;
}

/* The real-time clock counts seconds, minutes and hours, in decimal digits. */
time_t time(time_t *ret)
{
    time_t seconds = 0;

    for (int port = 4; port >= 0; port -= 2) {
        uint8_t value;

        __asm__ volatile("outb %1, $0x70; inb $0x71, %0" : "=a"(value) : "a"((uint8_t)port));
        seconds = seconds * 60 + (value >> 4) * 10 + (value & 15);
    }
    if (ret)
        *ret = seconds;
    return seconds;
}
