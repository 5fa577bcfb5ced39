/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <stdint.h>

/* The four functions that every library may call, and a few for the tests. */

/* Sixteen bytes at a time: in an emulator, a string instruction goes byte by byte. */
typedef uint64_t wide __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t word __attribute__((aligned(1), may_alias));

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *d = to;
    const uint8_t *s = from;

    for (; n >= 16; n -= 16, d += 16, s += 16)
        *(wide *)(void *)d = *(const wide *)(const void *)s;
    while (n--)
        *d++ = *s++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *d = to;
    const uint8_t *s = from;

    if ((uintptr_t)to - (uintptr_t)from >= n)
        return memcpy(to, from, n);
    while (n--)
        d[n] = s[n];
    return to;
}

void *memset(void *to, int value, size_t n)
{
    const uint64_t bytes = (uint8_t)value * UINT64_C(0x0101010101010101);
    uint8_t *d = to;

    for (; n >= 16; n -= 16, d += 16)
        *(wide *)(void *)d = (wide){bytes, bytes};
    while (n--)
        *d++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    size_t i = 0;

    while (n - i >= 8 &&
           *(const word *)(const void *)(x + i) == *(const word *)(const void *)(y + i))
        i += 8;
    for (; i < n; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

size_t strlen(const char *text)
{
    size_t n = 0;

    while (text[n])
        n++;
    return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] || !a[i])
            return (uint8_t)a[i] - (uint8_t)b[i];
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strstr(const char *text, const char *part)
{
    const size_t n = strlen(part);

    for (; *text; text++)
        if (!strncmp(text, part, n))
            return (char *)(uintptr_t)text;
    return n ? NULL : (char *)(uintptr_t)text;
}

void *memmem(const void *text, size_t n, const void *part, size_t bytes)
{
    const uint8_t *at = text;

    for (; n >= bytes; at++, n--)
        if (!bytes || (*at == *(const uint8_t *)part && !memcmp(at, part, bytes)))
            return (void *)(uintptr_t)at;
    return NULL;
}
