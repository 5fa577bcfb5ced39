/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attack class 14: threads that miss the same pages, evict one another's, pin, flush and re-key.
 * Each thread has bytes of its own in every page, and knows what they must be. Under the thread
 * sanitizer (.ci/run tsan) no access may race, those of spans included.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "world.h"

#define PAGES   48u
#define BYTES   256u
#define FRAMES  8u
#define THREADS 4u
#define LANE    (BYTES / THREADS)

static struct world w;
static struct land land;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint32_t wrong; /* atomic */
static uint32_t rounds;

static void lock(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&mutex);
}

static void unlock(void *ctx)
{
    (void)ctx;
    pthread_mutex_unlock(&mutex);
}

static void check(int right)
{
    if (!right)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
}

/** Its own lane of a page, through a span. */
static void by_span(uint64_t page, uint32_t lane, uint8_t *mine)
{
    struct gn_cachecrypt_span span;
    const int r = gn_cachecrypt_pin(w.cc, land.region, page * BYTES + lane * LANE, LANE,
                                    GN_ACCESS_WRITE, &span);

    check(!r);
    if (r)
        return;
    for (uint32_t i = 0; i < LANE; i++)
        check(((uint8_t *)span.at)[i] == mine[page]);
    mine[page]++;
    memset(span.at, mine[page], LANE);
    check(!gn_cachecrypt_unpin(w.cc, &span));
}

static void by_copy(uint64_t page, uint32_t lane, uint8_t *mine)
{
    const uint64_t at = page * BYTES + lane * LANE;
    uint8_t buffer[LANE];

    check(!gn_cachecrypt_read(w.cc, land.region, at, buffer, LANE));
    for (uint32_t i = 0; i < LANE; i++)
        check(buffer[i] == mine[page]);
    mine[page]++;
    memset(buffer, mine[page], LANE);
    check(!gn_cachecrypt_write(w.cc, land.region, at, buffer, LANE));
}

static void *work(void *arg)
{
    const uint32_t lane = (uint32_t)(uintptr_t)arg;
    uint64_t random = 77 + lane;
    uint8_t mine[PAGES] = {0};

    for (uint32_t i = 0; i < rounds; i++) {
        const uint64_t page = gn_test_random(&random) % PAGES;
        int r;

        switch (gn_test_random(&random) % 8) {
        case 0: by_span(page, lane, mine); break;
        case 1:
            r = gn_cachecrypt_evict(w.cc, land.region, page * BYTES, 3);
            check(!r || r == -GN_ERR_BUSY);
            break;
        case 2:
            r = gn_cachecrypt_flush(w.cc, land.region);
            check(!r || r == -GN_ERR_BUSY);
            break;
        case 3:
            r = i % 64 ? 0 : gn_cachecrypt_rekey(w.cc, land.region);
            check(!r || r == -GN_ERR_AGAIN);
            break;
        default: by_copy(page, lane, mine); break;
        }
    }
    return NULL;
}

static void threads_that_miss_the_same_pages_lose_nothing(void **state)
{
    const char *given = getenv("GN_TEST_OPS");
    pthread_t thread[THREADS];

    (void)state;
    rounds = given ? (uint32_t)strtoul(given, NULL, 0) : 4000;
    world_plan(&w, FRAMES, BYTES);
    w.ops.lock = lock;
    w.ops.unlock = unlock;
    world_begin(&w);
    land_add(&w, &land, PAGES, BYTES);
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)i), 0);
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(wrong, 0);
    assert_int_equal(pthread_mutex_trylock(&mutex), 0); /* no call kept it */
    assert_int_equal(pthread_mutex_unlock(&mutex), 0);
    world_without(&w, &land);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_that_miss_the_same_pages_lose_nothing),
    };

    return world_run(tests);
}
