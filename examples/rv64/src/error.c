/* SPDX-License-Identifier: BSD-3-Clause */

#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int rv64_error_set(struct rv64_error *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return -1;
}

void rv64_error_print(const struct rv64_error *error)
{
    char line[sizeof error->text];
    size_t i;

    /* A file name may hold newlines and escape sequences: neither belongs on a terminal. */
    for (i = 0; i < sizeof line - 1 && error->text[i]; i++) {
        unsigned char c = (unsigned char)error->text[i];

        line[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    line[i] = '\0';
    fprintf(stderr, "rv64: %s\n", line);
}
