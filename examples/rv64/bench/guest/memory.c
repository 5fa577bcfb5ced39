/* SPDX-License-Identifier: BSD-3-Clause */

/* Memory: chains of dependent loads, and streams over arrays. */

#include <sys/mman.h>

#include "bench.h"

#define PAGE  4096u
#define ARRAY (8u << 20)

static char *memory;
static size_t memory_size;

static void release(void)
{
    munmap(memory, memory_size);
}

/* ---- Chains: a round is some turns of one cycle through all of the lines ------------------- */

static void **chain;
static uint64_t chain_loads;

/* One random cycle (Sattolo's shuffle) through `count` lines, `stride` bytes apart. */
static void chain_make(uint64_t count, uint64_t stride, uint64_t turns)
{
    static uint32_t order[1 << 20];
    uint64_t random = 7;

    memory_size = count * stride;
    memory = bench_pages(memory_size, PAGE);
    for (uint64_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (uint64_t i = count - 1; i > 0; i--) {
        uint64_t j = bench_random(&random) % i;
        uint32_t t = order[i];

        order[i] = order[j];
        order[j] = t;
    }
    for (uint64_t i = 0; i < count; i++) {
        /* Lines of different pages are not to fall into one set of the host's caches. */
        uint64_t from = order[i] * stride, to = order[(i + 1) % count] * stride;

        if (stride == PAGE) {
            from += order[i] % 64 * 64;
            to += order[(i + 1) % count] % 64 * 64;
        }
        *(void **)(void *)(memory + from) = memory + to;
    }
    chain =
        (void **)(void *)(memory + order[0] * stride + (stride == PAGE ? order[0] % 64 * 64 : 0));
    chain_loads = count * turns;
}

static uint64_t chase(void)
{
    void **p = chain;

    for (uint64_t i = chain_loads; i; i -= 4) {
        p = *p;
        p = *p;
        p = *p;
        p = *p;
    }
    return p == chain ? 1 : 2;
}

static void chase16k_begin(void)
{
    chain_make(256, 64, 40);
}

static void chase4m_pg_begin(void)
{
    chain_make(1024, PAGE, 4);
}

static void chase64m_begin(void)
{
    chain_make(1 << 20, 64, 1);
}

static void chase64m_pg_begin(void)
{
    chain_make(16384, PAGE, 1);
}

/* ---- Streams ------------------------------------------------------------------------------- */

static uint64_t *a, *b, *c;

/* Three arrays: each begins where the one before ends, and `stagger` bytes later. */
static void arrays_make(size_t stagger)
{
    memory_size = 3 * (ARRAY + stagger);
    memory = bench_pages(memory_size, ARRAY);
    a = (uint64_t *)(void *)memory;
    b = (uint64_t *)(void *)(memory + ARRAY + stagger);
    c = (uint64_t *)(void *)(memory + 2 * (ARRAY + stagger));
    for (size_t i = 0; i < ARRAY / 8; i++) {
        a[i] = i * 3;
        ((double *)b)[i] = (double)i;
        ((double *)c)[i] = (double)(i & 15);
    }
}

static void arrays_begin(void)
{
    arrays_make(0);
}

static void arrays_staggered_begin(void)
{
    arrays_make(67 * PAGE);
}

static uint64_t copy(void)
{
    uint64_t *to = b;
    const uint64_t *from = a;

    for (size_t i = 0; i < ARRAY / 8; i += 4) {
        uint64_t v0 = from[i];
        uint64_t v1, v2, v3;

        to[i] = v0;
        v1 = from[i + 1];
        to[i + 1] = v1;
        v2 = from[i + 2];
        to[i + 2] = v2;
        v3 = from[i + 3];
        to[i + 3] = v3;
    }
    return bench_fold(b[ARRAY / 8 - 1], b[4097]);
}

static uint64_t triad(void)
{
    double *to = (double *)a;
    const double *x = (const double *)b, *y = (const double *)c;

    for (size_t i = 0; i < ARRAY / 8; i++)
        to[i] = x[i] + 3 * y[i];
    return bench_fold(a[ARRAY / 8 - 1], a[4097]);
}

/* Updates at random places of 8 MiB: all of them, and once more, which undoes them. */
static uint64_t update(void)
{
    uint64_t sum = 0;

    for (int pass = 0; pass < 2; pass++) {
        uint64_t random = 9;

        for (size_t i = 0; i < 50000; i++)
            a[bench_random(&random) % (ARRAY / 8)] ^= i * i;
        for (size_t i = 0; i < 64; i++)
            sum = bench_fold(sum, a[i]);
    }
    return sum;
}

static const struct bench entries[] = {
    {"chase16k", chase, 256 * 40, 1, chase16k_begin, release},
    {"chase4m_pg", chase, 1024 * 4, 1, chase4m_pg_begin, release},
    {"chase64m", chase, 1 << 20, 1, chase64m_begin, release},
    {"chase64m_pg", chase, 16384, 1, chase64m_pg_begin, release},
    {"memcpy8m", copy, ARRAY, UINT64_C(0x7801bea748acfc5f), arrays_begin, release},
    {"triad", triad, 3 * ARRAY, UINT64_C(0x8de5ed4bfa53e0a8), arrays_begin, release},
    {"memcpy8m_st", copy, ARRAY, UINT64_C(0x7801bea748acfc5f), arrays_staggered_begin, release},
    {"triad_st", triad, 3 * ARRAY, UINT64_C(0x8de5ed4bfa53e0a8), arrays_staggered_begin, release},
    {"update8m", update, 100000, UINT64_C(0xc6a3253893218fef), arrays_begin, release},
};

const struct bench_group bench_memory = {entries, COUNT(entries)};
