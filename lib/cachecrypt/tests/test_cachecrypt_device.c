/* SPDX-License-Identifier: BSD-3-Clause */
/* Attack class 7 (devices) and 17 (residency). */
#define _GNU_SOURCE
#include "world.h"

#define BYTES 1024u

static struct world w;
static struct land land;
static uint8_t window[8192];

static int check(const void *at, uint64_t bytes)
{
    return gn_cachecrypt_dma_check(w.cc, gn_hva((uintptr_t)at), bytes);
}

static uint32_t windows_open; /* by ops.dma_window */

static int dma_window(void *ctx, gn_hva_t base, uint64_t bytes, uint32_t allow)
{
    struct world *world = ctx;

    (void)base;
    (void)bytes;
    if (falls_due(&world->fail_dma_in))
        return -GN_ERR_NOTSUP;
    windows_open += allow ? 1u : (uint32_t)-1;
    return 0;
}

static void begin(void)
{
    world_plan(&w, 4, BYTES);
    w.params.windows = 2;
    w.ops.dma_window = dma_window;
    world_begin(&w);
    land_add(&w, &land, 64, BYTES);
}

static void end(void)
{
    world_without(&w, &land);
}

static void a_device_gets_to_windows_and_nowhere_else(void **state)
{
    (void)state;
    begin();
    assert_int_equal(check(window, 1), -GN_ERR_NOENT);
    assert_int_equal(gn_cachecrypt_window_add(w.cc, gn_hva((uintptr_t)window), 4096), 0);
    assert_int_equal(windows_open, 1);
    assert_int_equal(check(window, 4096), 0);
    assert_int_equal(check(window + 4095, 1), 0);
    assert_int_equal(check(window, 4097), -GN_ERR_NOENT);
    assert_int_equal(check(window + 4096, 1), -GN_ERR_NOENT);
    assert_int_equal(check(window + 1, 4096), -GN_ERR_NOENT);
    assert_int_equal(check(window, 0), -GN_ERR_INVAL);
    assert_int_equal(check(window, UINT64_MAX), -GN_ERR_RANGE);
    assert_int_equal(check((void *)-1, 2), -GN_ERR_RANGE);
    /* Frames, keys, tree, tables: any byte of the pool. */
    for (size_t at = 0; at < w.pool_bytes; at += 64)
        assert_int_equal(check(w.pool + at, 1), -GN_ERR_PERM);
    assert_int_equal(check(w.pool - 64, 65), -GN_ERR_PERM);
    assert_int_equal(check(w.pool + w.pool_bytes - 1, 4096), -GN_ERR_PERM);
    assert_int_equal(check(land.data, 1), -GN_ERR_NOENT);
    assert_int_equal(check(land.meta, 1), -GN_ERR_NOENT);
    assert_true(world_stats(&w).dma_refusals > w.pool_bytes / 64);
    assert_int_equal(gn_cachecrypt_window_remove(w.cc, gn_hva((uintptr_t)window)), 0);
    assert_int_equal(windows_open, 0);
    assert_int_equal(check(window, 1), -GN_ERR_NOENT);
    assert_int_equal(gn_cachecrypt_window_remove(w.cc, gn_hva((uintptr_t)window)), -GN_ERR_NOENT);
    end();
}

static int add_window(const void *at, uint64_t bytes)
{
    return gn_cachecrypt_window_add(w.cc, gn_hva((uintptr_t)at), bytes);
}

static void a_window_is_not_opened_onto_the_pool_or_a_store(void **state)
{
    (void)state;
    begin();
    assert_int_equal(add_window(w.pool, 64), -GN_ERR_PERM);
    assert_int_equal(add_window(w.pool - 64, 65), -GN_ERR_PERM);
    assert_int_equal(add_window(w.pool - 64, w.pool_bytes + 128), -GN_ERR_PERM);
    assert_int_equal(add_window(land.data + 5, 64), -GN_ERR_EXIST);
    assert_int_equal(add_window(land.meta, 64), -GN_ERR_EXIST);
    assert_int_equal(add_window(window, 0), -GN_ERR_INVAL);
    assert_int_equal(add_window((void *)-8, 64), -GN_ERR_RANGE);
    assert_int_equal(add_window(window, 100), 0);
    assert_int_equal(add_window(window + 99, 100), -GN_ERR_EXIST);
    w.fail_dma_in = 0;
    assert_int_equal(add_window(window + 100, 100), -GN_ERR_NOTSUP);
    assert_int_equal(check(window + 100, 1), -GN_ERR_NOENT);
    assert_int_equal(add_window(window + 100, 100), 0);
    assert_int_equal(check(window, 200), -GN_ERR_NOENT); /* two are not one */
    assert_int_equal(add_window(window + 500, 100), -GN_ERR_NOSPC);
    w.fail_dma_in = 0;
    assert_int_equal(gn_cachecrypt_window_remove(w.cc, gn_hva((uintptr_t)window)), -GN_ERR_NOTSUP);
    assert_int_equal(check(window, 100), 0);
    end();
}

static void data_goes_through_windows_both_ways(void **state)
{
    uint8_t back[3000];

    (void)state;
    begin();
    for (uint32_t i = 0; i < sizeof window; i++)
        window[i] = (uint8_t)(i * 11);
    assert_int_equal(add_window(window, 4096), 0);
    assert_int_equal(
        gn_cachecrypt_dma_in(w.cc, land.region, 500, gn_hva((uintptr_t)window + 9), 3000), 0);
    assert_int_equal(gn_cachecrypt_read(w.cc, land.region, 500, back, 3000), 0);
    assert_memory_equal(back, window + 9, 3000);
    memset(window, 0, sizeof window);
    assert_int_equal(
        gn_cachecrypt_dma_out(w.cc, land.region, 500, gn_hva((uintptr_t)window + 9), 3000), 0);
    assert_memory_equal(back, window + 9, 3000);
    assert_int_equal(world_stats(&w).bounced_in, 3000);
    assert_int_equal(world_stats(&w).bounced_out, 3000);
    assert_int_equal(
        gn_cachecrypt_dma_out(w.cc, land.region, 0, gn_hva((uintptr_t)window + 4096), 1),
        -GN_ERR_NOENT);
    assert_int_equal(gn_cachecrypt_dma_out(w.cc, land.region, 0, gn_hva((uintptr_t)w.pool), 1),
                     -GN_ERR_PERM);
    assert_int_equal(gn_cachecrypt_dma_in(w.cc, land.region, 0, gn_hva((uintptr_t)w.pool), 1),
                     -GN_ERR_PERM);
    end();
}

static void what_a_device_changes_after_the_copy_does_not_matter(void **state)
{
    uint8_t back[64];

    (void)state;
    begin();
    memset(window, 1, 64);
    assert_int_equal(add_window(window, 64), 0);
    assert_int_equal(gn_cachecrypt_dma_in(w.cc, land.region, 0, gn_hva((uintptr_t)window), 64), 0);
    memset(window, 2, 64);
    put_away(&w, &land);
    assert_int_equal(gn_cachecrypt_read(w.cc, land.region, 0, back, 64), 0);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(back[i], 1);
    end();
}

static void a_device_that_writes_to_the_store_is_found_out(void **state)
{
    (void)state;
    begin();
    put_page(&w, &land, 5, 5);
    put_away(&w, &land);
    memset(land_page(&land, 5) + 64, 0x5a, 64);
    assert_int_equal(look(&w, &land, 5), -GN_ERR_BADMSG);
    end();
}

/* ---- residency --------------------------------------------------------------------------- */

static uint64_t hpa_stride;
static int hpa_known, locked;

static int hpa(void *ctx, gn_hva_t at, gn_hpa_t *ret_hpa)
{
    struct world *world = ctx;

    if (!hpa_known)
        return -GN_ERR_NOENT;
    *ret_hpa = gn_hpa((at.v - (uintptr_t)world->pool) / 4096 * hpa_stride);
    return 0;
}

static int cache_locked(void *ctx, gn_hva_t base, uint64_t bytes)
{
    struct world *world = ctx;

    assert_int_equal(base.v, (uintptr_t)world->pool);
    assert_int_equal(bytes, world->pool_bytes);
    return locked;
}

static struct gn_cachecrypt_residency_report report(void)
{
    struct gn_cachecrypt_residency_report r = {GN_CACHECRYPT_RESIDENCY_REPORT_INIT};

    assert_int_equal(gn_cachecrypt_residency(w.cc, &r), 0);
    return r;
}

static void begin_residency(uint64_t cache_bytes)
{
    world_plan(&w, 16, 4096);
    w.params.cache.bytes = cache_bytes;
    w.params.cache.ways = cache_bytes ? 8 : 0;
    w.ops.hpa = hpa;
    w.ops.cache_locked = cache_locked;
    hpa_known = locked = 0;
    world_begin(&w);
}

static void residency_is_no_more_than_was_shown(void **state)
{
    struct gn_cachecrypt_residency_report r = {GN_CACHECRYPT_RESIDENCY_REPORT_INIT};

    (void)state;
    begin_residency(0);
    assert_int_equal(report().kind, GN_CACHECRYPT_RESIDENCY_NONE);
    assert_int_equal(report().share_permille, 0);
    locked = 1;
    assert_int_equal(report().kind, GN_CACHECRYPT_RESIDENCY_LOCKED);
    locked = 0; /* asked anew each time */
    assert_int_equal(report().kind, GN_CACHECRYPT_RESIDENCY_NONE);
    locked = -GN_ERR_NOTSUP;
    assert_int_equal(report().kind, GN_CACHECRYPT_RESIDENCY_NONE);
    r.size = 8;
    assert_int_equal(gn_cachecrypt_residency(w.cc, &r), -GN_ERR_INVAL);
    world_end(&w);

    begin_residency(64 << 10); /* too small */
    hpa_known = 1;
    hpa_stride = 4096;
    assert_int_equal(report().kind, GN_CACHECRYPT_RESIDENCY_NONE);
    assert_true(report().set_max > report().set_limit);
    world_end(&w);

    begin_residency(1 << 20); /* 32 colours, 4 of 8 ways */
    assert_int_equal(report().kind, GN_CACHECRYPT_RESIDENCY_BOUNDED);
    assert_int_equal(report().set_max, 0);
    hpa_known = 1;
    hpa_stride = 4096;
    assert_int_equal(report().kind, GN_CACHECRYPT_RESIDENCY_COLOURED);
    assert_int_equal(report().set_limit, 4);
    hpa_stride = 4096 * 32; /* all of one colour */
    assert_int_equal(report().kind, GN_CACHECRYPT_RESIDENCY_BOUNDED);
    assert_int_equal(report().set_max, w.pool_bytes / 4096);
    world_end(&w);
}

static uint64_t now;
static uint32_t flushed, slow_every;

/** A clock that goes on by what the read between two looks would have cost. */
static uint64_t clock_ticks(void *ctx)
{
    static uint64_t looks;

    (void)ctx;
    looks++;
    now += flushed ? 300 : slow_every && looks % (2 * slow_every) == 0 ? 300 : 20;
    if (looks % 2 == 0)
        flushed = 0;
    return now;
}

static void cache_flush(void *ctx, gn_hva_t at)
{
    const struct world *world = ctx;

    assert_false(at.v >= (uintptr_t)world->pool &&
                 at.v < (uintptr_t)world->pool + world->pool_bytes);
    flushed = 1;
}

static void a_probe_lowers_what_is_claimed(void **state)
{
    static _Alignas(64) uint8_t bait[64];
    struct gn_cachecrypt_probe_result p = {GN_CACHECRYPT_PROBE_RESULT_INIT};
    uint32_t sum = 0;

    (void)state;
    world_plan(&w, 16, 4096);
    w.ops.cache_locked = cache_locked;
    world_begin(&w);
    assert_int_equal(gn_cachecrypt_probe(w.cc, gn_hva((uintptr_t)bait), &p), -GN_ERR_NOTSUP);
    gn_cachecrypt_fini(w.cc);
    w.ops.clock = clock_ticks;
    w.ops.cache_flush = cache_flush;
    locked = 1;
    assert_int_equal(gn_cachecrypt_init(w.pool, w.pool_bytes, &w.params, &w.cc), 0);
    assert_int_equal(gn_cachecrypt_probe(w.cc, gn_hva(0), &p), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_probe(w.cc, gn_hva((uintptr_t)w.pool), &p), -GN_ERR_INVAL);
    slow_every = 0;
    assert_int_equal(gn_cachecrypt_probe(w.cc, gn_hva((uintptr_t)bait), &p), 0);
    assert_int_equal(p.lines, w.pool_bytes / 64);
    assert_int_equal(p.slow, 0);
    assert_int_equal(p.near_ticks, 20);
    assert_int_equal(p.far_ticks, 300);
    for (uint32_t i = 0; i < GN_CACHECRYPT_PROBE_COLUMNS; i++)
        sum += p.histogram[i];
    assert_int_equal(sum, p.lines);
    assert_int_equal(report().probed, 1);
    assert_int_equal(report().kind, GN_CACHECRYPT_RESIDENCY_LOCKED);
    slow_every = 10;
    assert_int_equal(gn_cachecrypt_probe(w.cc, gn_hva((uintptr_t)bait), &p), 0);
    assert_in_range(p.slow, p.lines / 11, p.lines / 9);
    assert_int_equal(report().kind, GN_CACHECRYPT_RESIDENCY_NONE);
    world_end(&w);
}

/* ---- colours ----------------------------------------------------------------------------- */

static void picked_pages_fill_no_set_and_the_fewest_colours(void **state)
{
    const struct gn_cachecrypt_cache cache = {.bytes = 1 << 20, .ways = 8, .pool_ways = 3};
    gn_hpa_t page[400];
    uint32_t picked[96], colours = 0, of[32] = {0};
    uint64_t random = gn_test_seed();

    (void)state;
    for (uint32_t i = 0; i < 400; i++)
        page[i] = gn_hpa(gn_test_random(&random) % 100000 * 4096);
    assert_int_equal(gn_cachecrypt_colour_pick(&cache, 4096, page, 400, 20, picked, &colours), 0);
    assert_in_range(colours, 7, 12); /* at least 20 / 3 */
    for (uint32_t i = 0; i < 20; i++) {
        const uint64_t colour = page[picked[i]].v / 4096 % 32;

        assert_true(i == 0 || picked[i] > picked[i - 1]);
        assert_true(colour < colours);
        assert_true(++of[colour] <= 3);
    }
    assert_int_equal(gn_cachecrypt_colour_pick(&cache, 4096, page, 400, 97, picked, &colours),
                     -GN_ERR_NOSPC);
    assert_int_equal(gn_cachecrypt_colour_pick(&cache, 2048, page, 400, 9, picked, NULL),
                     -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_colour_pick(NULL, 4096, page, 400, 9, picked, NULL),
                     -GN_ERR_INVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_gets_to_windows_and_nowhere_else),
        cmocka_unit_test(a_window_is_not_opened_onto_the_pool_or_a_store),
        cmocka_unit_test(data_goes_through_windows_both_ways),
        cmocka_unit_test(what_a_device_changes_after_the_copy_does_not_matter),
        cmocka_unit_test(a_device_that_writes_to_the_store_is_found_out),
        cmocka_unit_test(residency_is_no_more_than_was_shown),
        cmocka_unit_test(a_probe_lowers_what_is_claimed),
        cmocka_unit_test(picked_pages_fill_no_set_and_the_fewest_colours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
