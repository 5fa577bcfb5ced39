/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_STDLIB_H
#define METAL_STDLIB_H

#include <stddef.h>

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1

void *malloc(size_t bytes);
void *calloc(size_t n, size_t bytes);
void *aligned_alloc(size_t align, size_t bytes);
void free(void *memory);
void qsort(void *base, size_t n, size_t bytes, int (*compare)(const void *, const void *));
char *getenv(const char *name);
unsigned long strtoul(const char *text, char **end, int base);
unsigned long long strtoull(const char *text, char **end, int base);
_Noreturn void exit(int status);
_Noreturn void abort(void);

#endif /* METAL_STDLIB_H */
