/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_STDIO_H
#define METAL_STDIO_H

#include <stdarg.h>
#include <stddef.h>

/** There is one place to print to. */
typedef struct metal_file FILE;
#define stdout ((FILE *)0)
#define stderr ((FILE *)0)

int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fprintf(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
int snprintf(char *to, size_t n, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vprintf(const char *format, va_list args);
int vfprintf(FILE *file, const char *format, va_list args);
int vsnprintf(char *to, size_t n, const char *format, va_list args);
int puts(const char *text);
int fflush(FILE *file);

#endif /* METAL_STDIO_H */
