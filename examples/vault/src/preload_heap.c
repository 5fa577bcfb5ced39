/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* malloc() and its family. What is small, and what finds no room, is glibc's own. */

/* glibc's, by names that nobody replaces. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *block);

static uint32_t page_of(const void *at)
{
    return (uint32_t)(((uintptr_t)at - PRELOAD_BASE) >> GN_PAGE_SHIFT);
}

static void *at_page(uint32_t page)
{
    return (void *)(uintptr_t)(PRELOAD_BASE + ((uint64_t)page << GN_PAGE_SHIFT));
}

static uint32_t pages_for(size_t bytes)
{
    uint64_t pages = ((uint64_t)bytes + GN_PAGE_MASK) >> GN_PAGE_SHIFT;

    return pages > preload.blocks.pages ? BLOCKS_NONE : (uint32_t)pages;
}

static bool large(size_t bytes)
{
    return preload.ready && bytes >= preload.threshold;
}

static void own(uint32_t first, uint32_t pages)
{
    for (uint32_t i = 0; i < pages; i++)
        preload.owner[first + i] = first;
}

const void *preload_block_end(const void *at)
{
    uint32_t first = preload.owner[page_of(at)];
    uint32_t length = blocks_length(&preload.blocks, first);

    return page_of(at) - first < length ? at_page(first + length) : at;
}

/* @return zeros, as whatever was there before was discarded; NULL: no room */
static void *sealed_malloc(size_t bytes)
{
    uint32_t pages = pages_for(bytes);
    uint32_t first = BLOCKS_NONE;

    gn_linux_window_enter(preload.sealed.window);
    if (pages != BLOCKS_NONE)
        first = blocks_alloc(&preload.blocks, pages);
    if (first != BLOCKS_NONE) {
        own(first, pages);
        preload.blocks_made++;
        preload.bytes_made += bytes;
    }
    gn_linux_window_leave(preload.sealed.window);
    return first == BLOCKS_NONE ? NULL : at_page(first);
}

static int wipe(uint32_t first, uint32_t pages)
{
    return gn_cachecrypt_discard(preload.sealed.cc, preload.sealed.region,
                                 (uint64_t)first << GN_PAGE_SHIFT,
                                 (uint64_t)pages << GN_PAGE_SHIFT);
}

static void sealed_free(void *block)
{
    uint32_t first = page_of(block);
    uint32_t pages;

    gn_linux_window_enter(preload.sealed.window);
    pages = blocks_length(&preload.blocks, first);
    /* A page that cannot be wiped is not given to anybody else. */
    if (!pages || wipe(first, pages))
        preload.stuck++;
    else
        blocks_free(&preload.blocks, first);
    gn_linux_window_leave(preload.sealed.window);
}

/* Longer or shorter where it is. @return whether that could be done */
static bool sealed_resize(void *block, size_t bytes)
{
    uint32_t first = page_of(block);
    uint32_t pages = pages_for(bytes);
    uint32_t old;
    bool done;

    if (pages == BLOCKS_NONE)
        return false;
    gn_linux_window_enter(preload.sealed.window);
    old = blocks_length(&preload.blocks, first);
    done = old && (pages >= old || !wipe(first + pages, old - pages)) &&
           !blocks_resize(&preload.blocks, first, pages);
    if (done)
        own(first, pages);
    gn_linux_window_leave(preload.sealed.window);
    return done;
}

static size_t sealed_bytes(const void *block)
{
    return (size_t)blocks_length(&preload.blocks, page_of(block)) << GN_PAGE_SHIFT;
}

/* A large block that found no room: glibc's, if that has any. */
static void *plain(void *block)
{
    if (block)
        __atomic_fetch_add(&preload.overflowed, 1, __ATOMIC_RELAXED);
    return block;
}

/* ---- What the program calls ---------------------------------------------------------------- */

void *malloc(size_t bytes)
{
    void *block;

    if (!large(bytes))
        return __libc_malloc(bytes);
    block = sealed_malloc(bytes);
    return block ? block : plain(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t bytes)
{
    size_t all;
    void *block;

    if (__builtin_mul_overflow(count, bytes, &all) || !large(all))
        return __libc_calloc(count, bytes);
    block = sealed_malloc(all);
    return block ? block : plain(__libc_calloc(count, bytes));
}

void free(void *block)
{
    int saved = errno;

    if (preload_inside(block))
        sealed_free(block);
    else
        __libc_free(block);
    errno = saved;
}

/* From one kind of block to the other. */
static void *move(void *block, size_t old, size_t bytes)
{
    void *to = malloc(bytes);

    if (!to)
        return NULL;
    memcpy(to, block, old < bytes ? old : bytes);
    free(block);
    return to;
}

size_t malloc_usable_size(void *block)
{
    static size_t (*next)(void *);

    if (preload_inside(block))
        return sealed_bytes(block);
    /* Not the next one's: a program may have brought a heap of its own, which we stand before. */
    if (!next)
        *(void **)&next = preload_libc("malloc_usable_size");
    return next(block);
}

void *realloc(void *block, size_t bytes)
{
    if (!block)
        return malloc(bytes);
    if (preload_inside(block)) {
        if (!bytes) {
            free(block);
            return NULL;
        }
        if (large(bytes) && sealed_resize(block, bytes))
            return block;
        return move(block, sealed_bytes(block), bytes);
    }
    return large(bytes) ? move(block, malloc_usable_size(block), bytes)
                        : __libc_realloc(block, bytes);
}

void *reallocarray(void *block, size_t count, size_t bytes)
{
    size_t all;

    if (__builtin_mul_overflow(count, bytes, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, all);
}

void *memalign(size_t align, size_t bytes)
{
    void *block;

    if (!large(bytes))
        return __libc_memalign(align, bytes);
    block = align <= GN_PAGE_SIZE ? sealed_malloc(bytes) : NULL;
    return block ? block : plain(__libc_memalign(align, bytes));
}

void *aligned_alloc(size_t align, size_t bytes)
{
    return memalign(align, bytes);
}

void *valloc(size_t bytes)
{
    return memalign(GN_PAGE_SIZE, bytes);
}

void *pvalloc(size_t bytes)
{
    return memalign(GN_PAGE_SIZE, (bytes + GN_PAGE_MASK) & ~GN_PAGE_MASK);
}

int posix_memalign(void **ret_block, size_t align, size_t bytes)
{
    int saved = errno;
    void *block;

    if (align < sizeof(void *) || align & (align - 1))
        return EINVAL;
    block = memalign(align, bytes);
    errno = saved;
    if (!block)
        return ENOMEM;
    *ret_block = block;
    return 0;
}
