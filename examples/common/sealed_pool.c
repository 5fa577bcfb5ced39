/* SPDX-License-Identifier: BSD-3-Clause */
#include "sealed_pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Pages to choose from, for each that is wanted. */
#define CANDIDATES 4u

/* ---- What the library asks for ------------------------------------------------------------- */

uint64_t sealed_on_clock(void *ctx)
{
    (void)ctx;
    return gn_linux_cache_clock();
}

void sealed_on_cache_flush(void *ctx, gn_hva_t at)
{
    (void)ctx;
    /* Where it does nothing, the probe finds no difference and says so. */
    (void)gn_linux_cache_flush((const void *)(uintptr_t)at.v);
}

uint64_t sealed_on_cache_misses(void *ctx)
{
    const struct sealed *s = ctx;

    return s->counter >= 0 ? gn_linux_cache_counter_read(s->counter) : 0;
}

/*
 * Of a huge page that lies nobody knows where, the lower bits of an address are right. They give
 * the set within a way of as many bytes or fewer; in a larger way, huge pages are taken to lie over
 * one another, which is the worst that can be. Neither holds where a way is no power of two.
 */
static bool lower_bits_suffice(const struct sealed *s)
{
    uint64_t way = s->cache.ways ? s->cache.bytes / s->cache.ways : 0;

    return way && !(way & (way - 1));
}

int sealed_on_hpa(void *ctx, gn_hva_t at, gn_hpa_t *ret_hpa)
{
    const struct sealed *s = ctx;

    if (!s->places.known || (s->places.known == GN_LINUX_PLACES_HUGE && !lower_bits_suffice(s)))
        return -GN_ERR_NOTSUP;
    return gn_linux_places_hpa(&s->places, (const void *)(uintptr_t)at.v, ret_hpa);
}

int sealed_on_cache_locked(void *ctx, gn_hva_t base, uint64_t bytes)
{
    const struct sealed *s = ctx;
    uint64_t offset = base.v - (uintptr_t)s->pool.base;

    return s->pool.kind == GN_LINUX_MEMORY_LOCKED && offset < s->pool.bytes &&
           bytes <= s->pool.bytes - offset && gn_linux_lock_holds(&s->lock);
}

struct gn_cachecrypt_cache sealed_cache(const char *folder)
{
    struct gn_linux_cache c = {GN_LINUX_CACHE_INIT};

    if (gn_linux_cache_get(folder, &c))
        return (struct gn_cachecrypt_cache){.bytes = 0};
    return (struct gn_cachecrypt_cache){
        .bytes = c.bytes, .ways = c.ways, .line_bytes = c.line_bytes};
}

/* ---- Ways ---------------------------------------------------------------------------------- */

const char *sealed_ways_get(struct sealed *s)
{
    struct gn_linux_cache c = {GN_LINUX_CACHE_INIT};
    struct gn_linux_ways_params p = {GN_LINUX_WAYS_PARAMS_INIT, .level = 3, .ways = s->params.ways,
                                     .root = s->params.locking ? s->params.locking->root : NULL};

    if (!p.ways)
        return NULL;
    if (!gn_linux_cache_get(s->params.cache, &c))
        p.level = c.level;
    switch (gn_linux_ways_get(&p, &s->ways)) {
    case 0: break;
    case -GN_ERR_PERM: return "ways of the cache take root";
    case -GN_ERR_NOTSUP: return "no resctrl here, by which ways of the cache are taken";
    case -GN_ERR_RANGE:
    case -GN_ERR_NOSPC: return "the cache has not so many ways to give, or not so few";
    default: return "the kernel refuses: see /sys/fs/resctrl/info/last_cmd_status";
    }
    s->ways_owner = getpid();
    s->cache.pool_ways = p.ways;
    return NULL;
}

void sealed_ways_put(struct sealed *s)
{
    if (s->ways_owner == getpid())
        (void)gn_linux_ways_put(&s->ways);
}

/* ---- Memory -------------------------------------------------------------------------------- */

/*
 * Mappings of memfd_secret count as locked memory, each of them: the pool, its pages in the window,
 * and a child's copy. A pool for which there is no room would fail in the midst of things.
 */
static bool room_for_mappings(const struct gn_linux_memory *m)
{
    void *second = mmap(NULL, m->bytes, PROT_READ, MAP_SHARED, m->fd, 0);
    void *third = mmap(NULL, m->bytes, PROT_READ, MAP_SHARED, m->fd, 0);
    bool room = second != MAP_FAILED && third != MAP_FAILED;

    if (second != MAP_FAILED)
        munmap(second, m->bytes);
    if (third != MAP_FAILED)
        munmap(third, m->bytes);
    return room;
}

/* Of the first kind that will do and can be had. @return 0, or -1 */
static int memory_get(struct sealed *s, const uint32_t *kinds, uint64_t bytes, uint32_t flags)
{
    for (; *kinds; kinds++) {
        const struct gn_linux_memory_params p = {GN_LINUX_MEMORY_PARAMS_INIT, .kinds = *kinds,
                                                 .bytes = bytes, .flags = flags};

        if ((s->params.kinds && !(s->params.kinds & *kinds)) || gn_linux_memory_get(&p, &s->pool))
            continue;
        if (!s->params.window || *kinds != GN_LINUX_MEMORY_SECRET || room_for_mappings(&s->pool))
            return 0;
        gn_linux_memory_put(&s->pool);
    }
    return -1;
}

static const char *any_get(struct sealed *s, uint64_t bytes)
{
    static const uint32_t by_window[] = {GN_LINUX_MEMORY_SECRET, GN_LINUX_MEMORY_SHARED,
                                         GN_LINUX_MEMORY_PRIVATE, 0};
    static const uint32_t by_calls[] = {GN_LINUX_MEMORY_SECRET, GN_LINUX_MEMORY_PRIVATE,
                                        GN_LINUX_MEMORY_SHARED, 0};

    return memory_get(s, s->params.window ? by_window : by_calls, bytes, 0)
               ? "no memory for the pool"
               : NULL;
}

/* By userfaultfd plaintext would lie in the window, not in what is huge. */
static const char *huge_get(struct sealed *s, uint64_t bytes)
{
    static const uint32_t by_window[] = {GN_LINUX_MEMORY_SHARED, 0};
    static const uint32_t by_calls[] = {GN_LINUX_MEMORY_PRIVATE, GN_LINUX_MEMORY_SHARED, 0};

    return memory_get(s, s->params.window ? by_window : by_calls, bytes, GN_LINUX_MEMORY_HUGE)
               ? "no huge pages for the pool (they are not memfd_secret, and not by userfaultfd)"
               : NULL;
}

static const char *locked_get(struct sealed *s, uint64_t bytes)
{
    struct gn_linux_cache c = {GN_LINUX_CACHE_INIT};
    struct gn_linux_lock_params p = {GN_LINUX_LOCK_PARAMS_INIT, .level = 3};

    if (s->params.window)
        return "a pseudo-locked pool can be reached by calls alone: the kernel wipes it when its "
               "pages are mapped again";
    if (s->params.locking)
        p = *s->params.locking;
    else if (!gn_linux_cache_get(s->params.cache, &c))
        p.level = c.level;
    p.bytes = bytes;
    switch (gn_linux_lock_get(&p, &s->lock, &s->pool)) {
    case 0: return NULL;
    case -GN_ERR_PERM: return "pseudo-locking takes root";
    case -GN_ERR_NOSPC: return "the cache has not so many ways to lock";
    case -GN_ERR_NOTSUP: return "no resctrl here, which pseudo-locking is part of";
    default: return "the kernel refuses to pseudo-lock: see /sys/fs/resctrl/info/last_cmd_status";
    }
}

/* ---- Choosing pages ------------------------------------------------------------------------ */

/* The fewer of a set, the better: up to half of its ways, or all that the pool has. */
static int pick(const struct sealed *s, const gn_hpa_t *hpa, uint32_t count, uint32_t want,
                uint32_t *picked)
{
    struct gn_cachecrypt_cache cache = s->cache;
    uint32_t limit = cache.pool_ways ? cache.pool_ways : cache.ways / 2;
    int rc = -GN_ERR_NOSPC;

    for (uint32_t ways = 1; rc == -GN_ERR_NOSPC && (ways == 1 || ways <= limit); ways++) {
        cache.pool_ways = ways;
        rc = gn_cachecrypt_colour_pick(&cache, GN_PAGE_SIZE, hpa, count, want, picked, NULL);
    }
    return rc;
}

/* Where each page lies, and which of them to take: both in `count` of room. @return 0 or -1 */
static int pages_choose(struct sealed *s, gn_hpa_t *hpa, uint32_t *picked, uint32_t count,
                        uint32_t want)
{
    int rc = gn_linux_places_get(&s->pool, s->params.guest ? GN_LINUX_PLACES_GUEST : 0, &s->places);

    if (!rc && s->places.known != GN_LINUX_PLACES_MACHINE)
        rc = -GN_ERR_PERM;
    for (uint32_t i = 0; i < count && !rc; i++)
        rc = gn_linux_places_hpa(&s->places, (uint8_t *)s->pool.base + (uint64_t)i * GN_PAGE_SIZE,
                                 &hpa[i]);
    gn_linux_places_put(&s->places);
    if (!rc)
        rc = pick(s, hpa, count, want, picked);
    return rc ? -1 : gn_linux_memory_arrange(&s->pool, picked, want);
}

/* More than a pool may have of the cache will not fit, however it is chosen. */
static bool too_large(const struct sealed *s, uint64_t bytes)
{
    return !s->cache.bytes || bytes > s->cache.bytes / 2;
}

static const char *physical_get(struct sealed *s, uint64_t bytes)
{
    static const uint32_t kinds[] = {GN_LINUX_MEMORY_SECRET, GN_LINUX_MEMORY_SHARED, 0};
    uint32_t want = (uint32_t)((bytes + GN_PAGE_MASK) >> GN_PAGE_SHIFT);
    uint32_t count = want * CANDIDATES;
    uint64_t room = count * (sizeof(gn_hpa_t) + sizeof(uint32_t));
    gn_hpa_t *hpa;
    int rc;

    if (too_large(s, bytes))
        return "the pool is more than its share of the cache, or the cache is not known";
    if (memory_get(s, kinds, (uint64_t)count << GN_PAGE_SHIFT, 0))
        return "no memory to choose the pool from (RLIMIT_MEMLOCK, for memfd_secret)";
    hpa = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    rc = -1;
    if (hpa != MAP_FAILED) {
        rc = pages_choose(s, hpa, (uint32_t *)(void *)(hpa + count), count, want);
        munmap(hpa, room);
    }
    if (!rc)
        return NULL;
    sealed_pool_put(s);
    return "machine addresses are not known: it takes CAP_SYS_ADMIN, and no virtual machine";
}

int sealed_place_parse(const char *name)
{
    static const char *const names[] = {"any", "huge", "physical", "locked"};

    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i]))
            return i;
    return -1;
}

const char *sealed_pool_get(struct sealed *s, uint64_t bytes)
{
    static const char *(*const places[])(struct sealed *, uint64_t) = {any_get, huge_get,
                                                                       physical_get, locked_get};

    return s->params.place < sizeof places / sizeof *places ? places[s->params.place](s, bytes)
                                                            : "no such place for a pool";
}

void sealed_pool_put(struct sealed *s)
{
    if (s->lock.level)
        (void)gn_linux_lock_put(&s->lock, &s->pool);
    else
        gn_linux_memory_put(&s->pool);
}

const char *sealed_pool_name(const struct sealed *s)
{
    switch (s->pool.kind) {
    case GN_LINUX_MEMORY_SECRET: return "memfd_secret";
    case GN_LINUX_MEMORY_SHARED:
        return s->pool.flags & GN_LINUX_MEMORY_HUGE ? "huge memfd" : "memfd";
    case GN_LINUX_MEMORY_LOCKED: return "pseudo-locked cache";
    default: return s->pool.flags & GN_LINUX_MEMORY_HUGE ? "private huge pages" : "private memory";
    }
}

/* ---- Residency ----------------------------------------------------------------------------- */

/* By userfaultfd the plaintext is in the window, and where frames lie says nothing of it. */
static bool moves(const struct sealed *s)
{
    return s->window && s->pool.kind == GN_LINUX_MEMORY_PRIVATE;
}

static int places_get(struct sealed *s)
{
    if (moves(s))
        return -GN_ERR_NOTSUP;
    return gn_linux_places_get(&s->pool, s->params.guest ? GN_LINUX_PLACES_GUEST : 0, &s->places);
}

int sealed_pool_report(struct sealed *s, struct gn_cachecrypt_residency_report *report)
{
    int rc;

    (void)places_get(s);
    rc = gn_cachecrypt_residency(s->cc, report);
    gn_linux_places_put(&s->places);
    return rc;
}

static int probe(struct sealed *s, struct sealed_residency *ret)
{
    _Alignas(64) uint8_t bait[64] = {0};
    int rc;

    ret->counter = gn_linux_cache_counter_get(&s->counter);
    ret->places = places_get(s);
    ret->known = s->places.known;
    ret->error = gn_cachecrypt_probe(s->cc, gn_hva((uintptr_t)bait), &ret->probe);
    rc = gn_cachecrypt_residency(s->cc, &ret->report);
    gn_linux_places_put(&s->places);
    gn_linux_cache_counter_put(s->counter);
    s->counter = -1;
    return rc;
}

int sealed_residency(struct sealed *s, struct sealed_residency *ret)
{
    int rc;

    *ret = (struct sealed_residency){.report = {GN_CACHECRYPT_RESIDENCY_REPORT_INIT},
                                     .probe = {GN_CACHECRYPT_PROBE_RESULT_INIT}};
    if (s->window)
        gn_linux_window_enter(s->window);
    rc = probe(s, ret);
    if (s->window)
        gn_linux_window_leave(s->window);
    return rc;
}

/* Thousandths as per cent with a decimal. */
#define PER_CENT(permille) (permille) / 10, (permille) % 10

static const char *places_unknown(const struct sealed *s, int error)
{
    if (moves(s))
        return "userfaultfd copies them";
    switch (error) {
    case 0: return "their sets do not follow from their addresses";
    case -GN_ERR_PERM: return "no CAP_SYS_ADMIN, no huge page";
    case -GN_ERR_NOTSUP: return "a virtual machine";
    default: return "the kernel does not say";
    }
}

/* What is known of where the pool's pages lie. */
static void places_tell(const struct sealed *s, const struct sealed_residency *r, char *to,
                        size_t size)
{
    const char *by = r->known == GN_LINUX_PLACES_HUGE ? "huge pages"
                     : s->params.guest                ? "addresses"
                                                      : "machine addresses";

    if (r->report.set_max)
        snprintf(to, size,
                 "; by %s%s, %" PRIu32 " of its lines in the fullest set (limit %" PRIu32 ")", by,
                 s->params.guest ? ", of a virtual machine if this is one" : "", r->report.set_max,
                 r->report.set_limit);
    else
        snprintf(to, size, "; where its pages lie is not known (%s)", places_unknown(s, r->places));
}

static void residency_tell(const struct sealed *s, const struct sealed_residency *r, char *to,
                           size_t size)
{
    static const char *const kinds[] = {"none", "bounded", "coloured", "locked"};
    int length;

    if (!r->report.cache_bytes) {
        snprintf(to, size, "residency: %s; the cache is not known", kinds[r->report.kind]);
        return;
    }
    length = snprintf(to, size,
                      "residency: %s; pool of %" PRIu64 " KiB, %" PRIu32 ".%" PRIu32
                      " %% of a cache of %" PRIu64 " KiB",
                      kinds[r->report.kind], r->report.pool_bytes >> 10,
                      PER_CENT(r->report.share_permille), r->report.cache_bytes >> 10);
    if (s->ways.level)
        length += snprintf(to + length, size - (size_t)length,
                           "; %" PRIu32 " ways of it are this process's", s->params.ways);
    places_tell(s, r, to + length, size - (size_t)length);
}

static void probe_tell(const struct sealed_residency *r, char *to, size_t size)
{
    char counter[64] = "no counter of cache misses here";

    if (r->error) {
        snprintf(to, size, "probe: none; near and far memory cannot be told apart");
        return;
    }
    if (r->counter == -GN_ERR_PERM)
        snprintf(counter, sizeof counter, "the counter of cache misses is not allowed");
    else if (!r->counter)
        snprintf(counter, sizeof counter, "cache misses counted %" PRIu64, r->probe.misses);
    snprintf(to, size,
             "probe: %" PRIu32 " lines of the pool, %" PRIu32 " slow (%" PRIu32 ".%" PRIu32
             " %%); ticks: cache %" PRIu32 ", DRAM %" PRIu32 "; %s",
             r->probe.lines, r->probe.slow, PER_CENT(r->report.probe_slow_permille),
             r->probe.near_ticks, r->probe.far_ticks, counter);
}

void sealed_residency_tell(struct sealed *s, void (*line)(void *ctx, const char *text), void *ctx)
{
    struct sealed_residency r;
    char text[320];

    if (sealed_residency(s, &r) || r.report.kind > GN_CACHECRYPT_RESIDENCY_LOCKED)
        return;
    residency_tell(s, &r, text, sizeof text);
    line(ctx, text);
    probe_tell(&r, text, sizeof text);
    line(ctx, text);
}
