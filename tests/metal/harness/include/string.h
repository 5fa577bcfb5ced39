/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_STRING_H
#define METAL_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strstr(const char *text, const char *part);
void *memmem(const void *text, size_t n, const void *part, size_t bytes);

#endif /* METAL_STRING_H */
