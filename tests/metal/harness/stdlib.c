/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * A heap: one stretch of memory, cut into blocks that follow each other. Each block begins with a
 * header; in front of what malloc returned stands where that is.
 */
struct block {
    size_t bytes; /* with the header */
    size_t used;
};

#define GRAIN 32u

static uint8_t *heap;
static size_t heap_bytes;

/* The most that there is in one piece, below what is left for frames. */
static int heap_open(void)
{
    for (uint64_t frames = gn_x86_64_frames_left() / 4 * 3; frames; frames -= frames / 8 + 1) {
        gn_hpa_t at;

        if (gn_x86_64_frames_alloc(frames, GN_PAGE_SIZE, &at))
            continue;
        heap = gn_x86_64_direct(at);
        heap_bytes = frames << GN_PAGE_SHIFT;
        *(struct block *)(void *)heap = (struct block){heap_bytes, 0};
        return 1;
    }
    return 0;
}

static struct block *next(const struct block *b)
{
    return (struct block *)(void *)((uint8_t *)(uintptr_t)b + b->bytes);
}

static int is_end(const struct block *b)
{
    return (const uint8_t *)b >= heap + heap_bytes;
}

/* A free block, joined with those behind it. */
static void join(struct block *b)
{
    while (!is_end(next(b)) && !next(b)->used)
        b->bytes += next(b)->bytes;
}

static void split(struct block *b, size_t bytes)
{
    if (b->bytes - bytes < 2 * GRAIN)
        return;
    *(struct block *)(void *)((uint8_t *)b + bytes) = (struct block){b->bytes - bytes, 0};
    b->bytes = bytes;
}

void *aligned_alloc(size_t align, size_t bytes)
{
    const size_t a = align < GRAIN ? GRAIN : align;
    const size_t need = (bytes + sizeof(struct block) + a + 2 * GRAIN) & ~(size_t)(GRAIN - 1);
    const uint64_t flags = metal_guard();
    uint8_t *result = NULL;

    if (bytes < SIZE_MAX / 2 && (heap || heap_open()))
        for (struct block *b = (struct block *)(void *)heap; !is_end(b); b = next(b)) {
            if (b->used)
                continue;
            join(b);
            if (b->bytes < need)
                continue;
            split(b, need);
            b->used = 1;
            result = (uint8_t *)(((uintptr_t)(b + 1) + sizeof b + a - 1) & ~(uintptr_t)(a - 1));
            ((struct block **)(void *)result)[-1] = b;
            break;
        }
    metal_unguard(flags);
    return result;
}

void *malloc(size_t bytes)
{
    return aligned_alloc(16, bytes);
}

void *calloc(size_t n, size_t bytes)
{
    void *memory = bytes && n > SIZE_MAX / bytes ? NULL : malloc(n * bytes);

    return memory ? memset(memory, 0, n * bytes) : NULL;
}

void free(void *memory)
{
    const uint64_t flags = metal_guard();

    if (memory)
        ((struct block **)memory)[-1]->used = 0;
    metal_unguard(flags);
}

static void swap(uint8_t *a, uint8_t *b, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        const uint8_t kept = a[i];

        a[i] = b[i];
        b[i] = kept;
    }
}

static void sift(uint8_t *base, size_t at, size_t n, size_t bytes,
                 int (*compare)(const void *, const void *))
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && compare(base + child * bytes, base + (child + 1) * bytes) < 0)
            child++;
        if (compare(base + at * bytes, base + child * bytes) >= 0)
            return;
        swap(base + at * bytes, base + child * bytes, bytes);
    }
}

/* By a heap: no recursion, and no bad case. */
void qsort(void *base, size_t n, size_t bytes, int (*compare)(const void *, const void *))
{
    for (size_t i = n / 2; i--;)
        sift(base, i, n, bytes, compare);
    for (size_t i = n; i-- > 1;) {
        swap(base, (uint8_t *)base + i * bytes, bytes);
        sift(base, 0, i, bytes, compare);
    }
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

unsigned long long strtoull(const char *text, char **end, int base)
{
    unsigned long long value = 0;
    int any = 0;
    const char *at = text;

    while (*at == ' ')
        at++;
    if ((base == 0 || base == 16) && at[0] == '0' && (at[1] | 0x20) == 'x') {
        at += 2;
        base = 16;
    }
    base = base ? base : *at == '0' ? 8 : 10;
    for (; digit_of(*at) < base; at++, any = 1)
        value = value * (unsigned)base + (unsigned)digit_of(*at);
    if (end)
        *end = (char *)(uintptr_t)(any ? at : text);
    return value;
}

unsigned long strtoul(const char *text, char **end, int base)
{
    return (unsigned long)strtoull(text, end, base);
}

void exit(int status)
{
    gn_x86_64_exit((uint32_t)status);
}

void abort(void)
{
    exit(98);
}
