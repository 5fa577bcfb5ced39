/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random operations against a plain array, with an attacker on the store and ops that fail; and
 * each op failing at each of its calls. GN_TEST_OPS says how many random operations (default
 * 320000; the option `soak` makes ten million of them by its seeds).
 */
#define _GNU_SOURCE
#include "world.h"

#define PAGES  300u
#define BYTES  256u
#define FRAMES 6u
#define PINS   3u

static struct world w;
static struct land land;
static uint8_t naive[PAGES * BYTES];
static uint64_t rng;
static uint32_t attacked, failing;
static struct {
    struct gn_cachecrypt_span span;
    uint64_t offset;
    uint32_t held;
} pins[PINS];
static uint8_t *old_data, *old_meta; /* the store as it once was */

static uint64_t pick(uint64_t n)
{
    return gn_test_random(&rng) % n;
}

static void region_begin(void)
{
    struct gn_cachecrypt_region_params p = {
        GN_CACHECRYPT_REGION_PARAMS_INIT,
        .page_bytes = BYTES,
        .pages = PAGES,
        .cipher = pick(2) ? &toy : &toy_once,
        .data = land.data,
        .data_bytes = land.data_bytes,
        .meta = land.meta,
        .meta_bytes = land.meta_bytes,
        .key_budget = 1000 * BYTES,
        .page_seals = 50,
        .sweep_pace = 1 + (uint32_t)pick(4),
    };

    assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, &land.region), 0);
    memset(naive, 0, sizeof naive);
    attacked = 0;
}

static void quiet(void)
{
    fail_seal_in = fail_expand_in = w.fail_random_in = UINT64_MAX;
    failing = 0;
}

/** The region is dead, as it may be after an attack: a new one in the same store. */
static void region_again(void)
{
    quiet();
    for (uint32_t i = 0; i < PINS; i++)
        if (pins[i].held)
            assert_int_equal(gn_cachecrypt_unpin(w.cc, &pins[i].span), 0);
    memset(pins, 0, sizeof pins);
    assert_int_equal(gn_cachecrypt_region_remove(w.cc, land.region), 0);
    region_begin();
}

/** Judges a status: 0, or an error that there is a reason for. Nonzero: the operation did not run.
 */
static int judge(int r)
{
    if (r == -GN_ERR_BADMSG) {
        assert_true(attacked);
        region_again();
    } else if (r == -GN_ERR_IO) {
        assert_true(failing);
        quiet();
    } else if (r && r != -GN_ERR_OVERFLOW) {
        fail_msg("%s", gn_base_status_name(r));
    }
    return r;
}

static void do_read(void)
{
    uint8_t buffer[3 * BYTES];
    const uint64_t len = 1 + pick(pick(8) ? 32 : sizeof buffer);
    const uint64_t at = pick(sizeof naive - len + 1);

    if (!judge(gn_cachecrypt_read(w.cc, land.region, at, buffer, len)))
        assert_memory_equal(buffer, naive + at, len);
}

static void do_write(void)
{
    uint8_t buffer[3 * BYTES];
    const uint64_t len = 1 + pick(pick(8) ? 32 : sizeof buffer);
    uint64_t at = pick(sizeof naive - len + 1);
    int r;

    memset(buffer, (int)pick(256), len);
    /* A page at a time, so that it is known what a failure has written. */
    for (uint64_t done = 0; done < len;) {
        const uint64_t rest = BYTES - at % BYTES;
        const uint64_t part = rest < len - done ? rest : len - done;

        r = judge(gn_cachecrypt_write(w.cc, land.region, at, buffer, part));
        if (r)
            return;
        memcpy(naive + at, buffer, part);
        at += part;
        done += part;
    }
}

static void do_inline(void)
{
    struct gn_cachecrypt_view view;
    const uint64_t at = pick(sizeof naive);
    const uint32_t access = pick(2) ? GN_ACCESS_WRITE : GN_ACCESS_READ;
    void *byte;

    if (judge(gn_cachecrypt_view_get(w.cc, land.region, &view)) ||
        judge(gn_cachecrypt_at(w.cc, land.region, &view, at, access, &byte)))
        return;
    assert_int_equal(*(uint8_t *)byte, naive[at]);
    if (access == GN_ACCESS_WRITE)
        *(uint8_t *)byte = naive[at] = (uint8_t)pick(256);
}

static void do_pin(void)
{
    const uint32_t i = (uint32_t)pick(PINS);

    if (pins[i].held) {
        if (pins[i].span.access == GN_ACCESS_WRITE) {
            memset(pins[i].span.at, (int)i + 9, pins[i].span.bytes);
            memset(naive + pins[i].offset, (int)i + 9, pins[i].span.bytes);
        }
        assert_int_equal(gn_cachecrypt_unpin(w.cc, &pins[i].span), 0);
        pins[i].held = 0;
        return;
    }
    pins[i].offset = pick(sizeof naive - 40);
    if (judge(gn_cachecrypt_pin(w.cc, land.region, pins[i].offset, 1 + pick(40), (uint32_t)pick(2),
                                &pins[i].span)))
        return;
    assert_memory_equal(pins[i].span.at, naive + pins[i].offset, pins[i].span.bytes);
    pins[i].held = 1;
}

static void do_range(void)
{
    const uint64_t page = pick(PAGES), pages = 1 + pick(PAGES - page);
    const uint64_t what = pick(8);
    int r;

    if (what == 0) {
        r = gn_cachecrypt_flush(w.cc, land.region);
    } else if (what < 6) {
        r = gn_cachecrypt_evict(w.cc, land.region, page * BYTES, pages * BYTES);
    } else {
        r = gn_cachecrypt_discard(w.cc, land.region, page * BYTES, BYTES);
        if (!r)
            memset(naive + page * BYTES, 0, BYTES);
    }
    if (r != -GN_ERR_BUSY)
        (void)judge(r);
}

static void do_keys(void)
{
    const int r = pick(4) ? gn_cachecrypt_rekey_step(w.cc, land.region, 1 + pick(PAGES), NULL)
                          : gn_cachecrypt_rekey(w.cc, land.region);

    if (r != -GN_ERR_AGAIN && r != -GN_ERR_BUSY)
        (void)judge(r);
}

static void do_attack(void)
{
    const uint64_t page = pick(PAGES), other = pick(PAGES);

    attacked = 1;
    switch (pick(6)) {
    case 0: land.data[pick(land.data_bytes)] ^= (uint8_t)(1u << pick(8)); break;
    case 1: land.meta[pick(land.meta_bytes)] ^= (uint8_t)(1u << pick(8)); break;
    case 2:
        memcpy(land_page(&land, page), old_data + page * BYTES, BYTES);
        memcpy(land_tag(&land, page), old_meta + page * 16, 16);
        break;
    case 3:
        memcpy(land.data, old_data, land.data_bytes);
        memcpy(land.meta, old_meta, land.meta_bytes);
        break;
    case 4:
        memcpy(land_page(&land, page), land_page(&land, other), BYTES);
        memcpy(land_tag(&land, page), land_tag(&land, other), 16);
        break;
    default: land_words(&land)[page] = ((uint64_t *)(old_meta + PAGES * 16))[other]; break;
    }
}

static void do_failure(void)
{
    failing = 1;
    switch (pick(3)) {
    case 0: fail_seal_in = pick(4); break;
    case 1: fail_expand_in = 0; break;
    default: w.fail_random_in = 0; break;
    }
}

static void step(void)
{
    const uint64_t what = pick(2000);

    if (what < 600)
        do_read();
    else if (what < 1100)
        do_write();
    else if (what < 1600)
        do_inline();
    else if (what < 1800)
        do_pin();
    else if (what < 1960)
        do_range();
    else if (what < 1980)
        do_keys();
    else if (what < 1990)
        do_failure();
    else if (what < 1996) {
        memcpy(old_data, land.data, land.data_bytes);
        memcpy(old_meta, land.meta, land.meta_bytes);
    } else if (what < 1998)
        do_attack();
}

static void random_operations_agree_with_an_array_or_say_why_not(void **state)
{
    const char *given = getenv("GN_TEST_OPS");
    const uint64_t ops = given ? strtoull(given, NULL, 0) : 320000;

    (void)state;
    rng = gn_test_seed();
    world_plan(&w, FRAMES, BYTES);
    w.params.nodes = 16 + (uint32_t)pick(20);
    world_begin(&w);
    (void)land_plan(&land, PAGES, BYTES);
    old_data = gn_test_memory(64, land.data_bytes);
    old_meta = gn_test_memory(64, land.meta_bytes);
    region_begin();
    for (uint64_t i = 0; i < ops; i++) {
        step();
        assert_int_equal(toy_log.repeats, 0);
    }
    /* Something was attacked and found out, something failed, keys came and went. */
    if (ops >= 100000) {
        assert_true(world_stats(&w).auth_failures > 0);
        assert_true(world_stats(&w).epochs > 2);
        assert_true(world_stats(&w).node_writebacks > 0);
    }
    region_again();
    land_remove(&w, &land);
    free(old_data);
    free(old_meta);
    world_end(&w);
}

/* ---- each op fails at each of its calls ------------------------------------------------------ */

/** A bit of everything; the statuses do not matter, the content does. */
static void scenario(void)
{
    struct gn_cachecrypt_mapping mapping;
    uint8_t byte;

    for (uint32_t i = 0; i < 40; i++) {
        const uint64_t page = i * 7 % 32, at = page * BYTES + i;

        byte = (uint8_t)(i + 1);
        if (!gn_cachecrypt_write(w.cc, land.region, at, &byte, 1))
            naive[at] = byte;
        if (i % 5 == 0 &&
            !gn_cachecrypt_fault(w.cc, land.region, at + BYTES, GN_ACCESS_WRITE, &mapping)) {
            ((uint8_t *)mapping.frame)[3] = byte;
            naive[mapping.page * BYTES + 3] = byte;
        }
        if (i == 20)
            (void)!gn_cachecrypt_rekey(w.cc, land.region);
        if (i == 30)
            (void)!gn_cachecrypt_rekey_step(w.cc, land.region, 0, NULL);
        if (i % 11 == 0)
            (void)!gn_cachecrypt_flush(w.cc, land.region);
    }
}

/** Lets one call after so many fail; 1: it came to that. */
static int scenario_failing(uint64_t *in, uint64_t after)
{
    int reached;

    memset(naive, 0, sizeof naive);
    world_plan(&w, 3, BYTES);
    w.ops.map = world_map;
    w.ops.unmap = world_unmap;
    world_begin(&w);
    land_add(&w, &land, PAGES, BYTES);
    *in = after;
    scenario();
    reached = *in == UINT64_MAX;
    *in = UINT64_MAX;
    for (uint64_t page = 0; page < PAGES; page++) {
        uint8_t buffer[BYTES];

        assert_int_equal(gn_cachecrypt_read(w.cc, land.region, page * BYTES, buffer, BYTES), 0);
        assert_memory_equal(buffer, naive + page * BYTES, BYTES);
    }
    assert_int_equal(land_info(&w, &land).state, GN_CACHECRYPT_STATE_LIVE);
    world_without(&w, &land);
    return reached;
}

static void no_op_that_fails_costs_a_byte(void **state)
{
    uint64_t *ops[] = {&w.fail_random_in, &fail_expand_in, &fail_seal_in, &w.fail_map_in,
                       &w.fail_unmap_in};

    (void)state;
    for (uint32_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        uint64_t after = 0;

        while (scenario_failing(ops[i], after))
            after++;
        assert_true(after > 0);
    }
}

static int deny(void *ctx, gn_hva_t base, uint64_t bytes)
{
    struct world *world = ctx;

    assert_ptr_equal((void *)(uintptr_t)base.v, world->pool);
    assert_int_equal(bytes, world->pool_bytes);
    return falls_due(&world->fail_dma_in) ? -GN_ERR_NOTSUP : 0;
}

static void a_pool_that_devices_may_reach_is_not_begun(void **state)
{
    (void)state;
    world_plan(&w, 3, BYTES);
    w.ops.dma_deny = deny;
    world_begin(&w);
    gn_cachecrypt_fini(w.cc);
    w.cc = NULL;
    w.fail_dma_in = 0;
    assert_int_equal(gn_cachecrypt_init(w.pool, w.pool_bytes, &w.params, &w.cc), -GN_ERR_NOTSUP);
    assert_null(w.cc);
    for (size_t i = 0; i < w.pool_bytes; i++)
        assert_int_equal(w.pool[i], 0);
    free(w.pool);
}

int main(void)
{
    const struct CMUnitTest random[] = {
        cmocka_unit_test(random_operations_agree_with_an_array_or_say_why_not),
    };
    const struct CMUnitTest failures[] = {
        cmocka_unit_test(no_op_that_fails_costs_a_byte),
        cmocka_unit_test(a_pool_that_devices_may_reach_is_not_begun),
    };

    return cmocka_run_group_tests(random, NULL, NULL) + world_run(failures);
}
