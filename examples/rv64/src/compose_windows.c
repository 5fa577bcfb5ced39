/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Windows: host memory that the guest's virtual addresses are mapped in as they are, so that a load
 * needs no more than the window's base to be added. A place of the TLB has one, of the lower half
 * of what Sv39 addresses; the upper half is the kernel's, whose pages are mostly one after the
 * other in memory anyhow. A mapping takes microseconds, so pages come in here that loads strayed in
 * often, 4 KiB each, and stay when the guest maps something else there: that is seen when they are
 * asked for again. Until then no TLB entry leads to them.
 *
 *     window of a place:   ......[page]........[page][page].......
 *                                  |              |     |
 *     guest RAM:           [ 2 MiB, anonymous | 2 MiB, shared | ... ]  large pages, both
 *
 * What is mapped twice is shared memory. RAM is anonymous until a window needs a piece of it, since
 * hosts seldom give large pages to shared memory by themselves; a piece that becomes shared is made
 * to be one (MADV_COLLAPSE), and is copied. Its place in the file is its place in RAM.
 *
 * All that is bounded: mappings, and how often anybody asks. When more pages are hot than may be
 * mapped, the windows are emptied, and it takes longer each time until a page is mapped again.
 */

#define _GNU_SOURCE /* memfd_create, fallocate */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compose_parts.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* A piece of RAM that is shared or not, as large as the host's large pages. */
#define PIECE_SHIFT 21
#define PIECE       (UINT64_C(1) << PIECE_SHIFT)

#define SPAN    (UINT64_C(1) << 38)
#define WINDOWS 16u

/*
 * Pages mapped at a time: each makes two mappings of the host at most, which grants 65,530 unless
 * told otherwise. The host's own TLB has no room for many more.
 */
#define PAGES_MAX 4096u

/* Mappings that the host has, for each page: half of them are for others. */
#define MAPPINGS_SHARE 4u

#define SLOTS (2 * PAGES_MAX)

/*
 * Strays of a page, of those that are told of, until it is worth a mapping; and all strays of such
 * pages, in hundreds or so, until their piece is worth a copy.
 */
#define PAGE_HOT  6u
#define PIECE_HOT 128u

/* A piece is shared. */
#define SHARED UINT8_MAX

/* Loads that stray for one that is told of: at least, at first, and at most. */
#define PAUSE_MIN   256u
#define PAUSE_FIRST 512u
#define PAUSE_MAX   (1u << 16)

/*
 * Too much is walked, or it is used up soon, if what is told of in vain is so much more than what
 * is mapped for it, each page being worth so many.
 */
#define BARREN 2048
#define FRUIT  256

/*
 * Pages cool down: half of it, every so often. So a page becomes hot if it is one of some thousand,
 * and not if it is one of many more.
 */
#define HEATS 32768u
#define COOL  8192u

/* It is forgotten that windows were used up, so much of it every so many times. */
#define FORGIVE 16u

/* Failures of the host to give a piece, before it is not asked any more. */
#define FAILURES_MAX 4u

/* A mapped page: where in which window, and what of RAM. */
struct page {
    uint64_t name; /* number of the window << 26 | virtual page; NO_NAME: none */
    uint64_t at;
};

#define NO_NAME UINT64_MAX

struct rv64_windows {
    uint8_t *ram;
    uint64_t pieces;
    int fd;
    uint8_t *reserved; /* windows, then room for two pieces */
    uint8_t *stage;    /* a piece is made here */
    void (*forget)(void *ctx);
    void *ctx;
    uint32_t places[WINDOWS]; /* whose windows */
    uint32_t windows;         /* in use */
    uint32_t pages;           /* mapped */
    uint32_t pages_max;
    uint32_t pause;
    uint32_t least; /* that the pause may be: more, the more often the windows were used up */
    uint32_t random;
    int32_t barren;
    uint32_t failures;
    uint8_t heat[HEATS];
    struct page slots[SLOTS];
    uint64_t told;
    uint64_t strays;
    uint64_t maps;
    uint64_t shared;
    uint64_t begun_again;
    uint8_t piece[]; /* heat of each, or SHARED */
};

#define RESERVED (WINDOWS * SPAN + 2 * PIECE)

static uint32_t hash(uint64_t name)
{
    return (uint32_t)(name * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

/* The slot of a name, or the free one where it would be: there always is one. */
static struct page *slot_of(struct rv64_windows *w, uint64_t name)
{
    uint32_t i = hash(name) % SLOTS;

    while (w->slots[i].name != name && w->slots[i].name != NO_NAME)
        i = (i + 1) % SLOTS;
    return &w->slots[i];
}

/* Of what is reserved, nothing is mapped. */
static bool reserve(struct rv64_windows *w)
{
    void *want = w->reserved;
    void *at = mmap(want, RESERVED, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (want ? MAP_FIXED : 0), -1, 0);

    if (at == MAP_FAILED)
        return false;
    w->reserved = at;
    memset(w->slots, 0xff, sizeof w->slots);
    w->windows = 0;
    w->pages = 0;
    return true;
}

/* @return false: there are no windows any more */
static bool begin_again(struct rv64_windows *w)
{
    w->begun_again++;
    w->least = w->least < PAUSE_MAX / 4 ? 4 * w->least : PAUSE_MAX;
    w->pause = w->pause > w->least ? w->pause : w->least;
    memset(w->heat, 0, sizeof w->heat);
    w->forget(w->ctx);
    if (!reserve(w))
        w->failures = FAILURES_MAX;
    return w->failures < FAILURES_MAX;
}

static uint32_t pages_max(void)
{
    FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
    unsigned most = 65530;

    if (f) {
        if (fscanf(f, "%u", &most) != 1)
            most = 0;
        fclose(f);
    }
    return most / MAPPINGS_SHARE < PAGES_MAX ? most / MAPPINGS_SHARE : PAGES_MAX;
}

struct rv64_windows *rv64_windows_create(uint8_t *ram, uint64_t ram_size, void (*forget)(void *ctx),
                                         void *ctx)
{
    const uint64_t pieces = ram_size >> PIECE_SHIFT;
    struct rv64_windows *w;

    /* A host of 32 bits has no room for them. */
    if (RESERVED > SIZE_MAX)
        return NULL;
    w = calloc(1, sizeof *w + pieces);
    if (!w)
        return NULL;
    w->ram = ram;
    w->pieces = pieces;
    w->forget = forget;
    w->ctx = ctx;
    w->pages_max = pages_max();
    w->pause = PAUSE_FIRST;
    w->least = PAUSE_MIN;
    w->random = 1;
    w->fd = memfd_create("guest RAM", MFD_CLOEXEC);
    if (w->fd < 0 || ftruncate(w->fd, (off_t)(pieces << PIECE_SHIFT)) || !reserve(w)) {
        rv64_windows_destroy(w);
        return NULL;
    }
    w->stage = w->reserved + WINDOWS * SPAN;
    w->stage += -(uintptr_t)w->stage & (PIECE - 1);
    return w;
}

void rv64_windows_destroy(struct rv64_windows *w)
{
    if (!w)
        return;
    if (w->reserved)
        munmap(w->reserved, RESERVED);
    if (w->fd >= 0)
        close(w->fd);
    free(w);
}

/* A large page of the file, or nothing of it. */
static bool stage_fill(struct rv64_windows *w, uint64_t offset)
{
    /* One small page, of which the kernel makes a large one, the rest being empty. */
    if (mmap(w->stage, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->fd,
             (off_t)offset) != w->stage ||
        madvise(w->stage, 1, MADV_POPULATE_WRITE))
        return false;
    if (!madvise(w->stage, PIECE, MADV_COLLAPSE))
        return true;
    (void)!fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                     (off_t)PIECE);
    return false;
}

/* A piece of RAM becomes shared: the same bytes at the same place. */
static bool piece_share(struct rv64_windows *w, uint64_t piece)
{
    const uint64_t offset = piece << PIECE_SHIFT;
    bool filled = stage_fill(w, offset);

    if (filled) {
        memcpy(w->stage, w->ram + offset, PIECE);
        if (mmap(w->ram + offset, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->fd,
                 (off_t)offset) != w->ram + offset) {
            perror("rv64: guest RAM");
            abort();
        }
        w->piece[piece] = SHARED;
        w->shared++;
    } else {
        w->failures++;
        w->piece[piece] = 0;
    }
    if (mmap(w->stage, PIECE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
             -1, 0) != w->stage)
        w->failures = FAILURES_MAX;
    return filled;
}

/* Is the page's piece of RAM shared, or worth it now? */
static bool is_shared(struct rv64_windows *w, uint64_t at)
{
    const uint64_t piece = at >> PIECE_SHIFT;

    uint32_t heat = w->piece[piece] + w->pause / PAUSE_MIN;

    if (w->piece[piece] == SHARED)
        return true;
    w->piece[piece] = (uint8_t)(heat < PIECE_HOT ? heat : PIECE_HOT);
    return heat >= PIECE_HOT && piece_share(w, piece);
}

/* The window of a place. @return WINDOWS: there is none for it */
static uint32_t window_of(const struct rv64_windows *w, uint32_t place)
{
    for (uint32_t i = 0; i < w->windows; i++)
        if (w->places[i] == place)
            return i;
    return WINDOWS;
}

/* Time has passed, as loads that were told of. */
static void cool(struct rv64_windows *w)
{
    for (uint32_t i = 0; i < HEATS; i++)
        w->heat[i] /= 2;
    if (w->told % (FORGIVE * COOL) == 0 && w->least > PAUSE_MIN)
        w->least /= 2;
}

static bool is_hot(struct rv64_windows *w, uint32_t place, uint64_t gva)
{
    uint8_t *heat = &w->heat[hash((uint64_t)place << 32 ^ gva >> GN_PAGE_SHIFT) % HEATS];

    if (++w->told % COOL == 0)
        cool(w);
    *heat += *heat < PAGE_HOT;
    return *heat >= PAGE_HOT;
}

static bool page_map(struct rv64_windows *w, uint32_t window, uint64_t gva, uint64_t at)
{
    uint8_t *to = w->reserved + window * SPAN + gva;
    struct page *slot = slot_of(w, (uint64_t)window << 26 | gva >> GN_PAGE_SHIFT);

    if (mmap(to, GN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, w->fd,
             (off_t)at) != to) {
        w->failures = FAILURES_MAX;
        return false;
    }
    w->pages += slot->name == NO_NAME;
    slot->name = (uint64_t)window << 26 | gva >> GN_PAGE_SHIFT;
    slot->at = at;
    w->maps++;
    return true;
}

/* What it came to that it was told of a load; that decides when it is to be told again. */
static bool conclude(struct rv64_windows *w, bool mapped)
{
    w->barren += mapped ? -FRUIT : 1;
    if (w->barren >= BARREN) {
        w->barren = 0;
        w->pause = w->pause < PAUSE_MAX / 2 ? 2 * w->pause : PAUSE_MAX;
    } else if (w->barren <= -BARREN) {
        w->barren = 0;
        w->pause = w->pause / 2 > w->least ? w->pause / 2 : w->least;
    }
    return mapped;
}

bool rv64_windows_conform(struct rv64_windows *w, uint32_t place, uint64_t gva, uint64_t at,
                          uint64_t *ret_window)
{
    uint32_t window = window_of(w, place);

    if (gva >= SPAN || at >> PIECE_SHIFT >= w->pieces || w->failures >= FAILURES_MAX)
        return false;
    if (window == WINDOWS || slot_of(w, (uint64_t)window << 26 | gva >> GN_PAGE_SHIFT)->at != at) {
        if (!is_hot(w, place, gva) || !is_shared(w, at))
            return conclude(w, false);
        if ((window == WINDOWS && w->windows == WINDOWS) || w->pages >= w->pages_max)
            return begin_again(w) && false;
        if (window == WINDOWS) {
            window = w->windows++;
            w->places[window] = place;
        }
        if (!conclude(w, page_map(w, window, gva, at)))
            return false;
    }
    *ret_window = (uintptr_t)w->reserved + window * SPAN;
    return true;
}

uint32_t rv64_windows_pause(struct rv64_windows *w)
{
    uint32_t pause = w->failures < FAILURES_MAX ? w->pause : PAUSE_MAX;

    /* As regular as the loads themselves, it would find the same pages again and again. */
    w->random = w->random * 1664525 + 1013904223;
    pause = pause / 2 + (w->random >> 8) % pause;
    w->strays += pause;
    return pause;
}

void rv64_windows_stats(const struct rv64_windows *w, rv64_counter each, void *ctx)
{
    each(ctx, "windows", "strays", w->strays);
    each(ctx, "windows", "maps", w->maps);
    each(ctx, "windows", "pages", w->pages);
    each(ctx, "windows", "pieces_shared", w->shared);
    each(ctx, "windows", "begun_again", w->begun_again);
    each(ctx, "windows", "refused", w->failures);
}
