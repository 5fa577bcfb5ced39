/* SPDX-License-Identifier: BSD-3-Clause */
/* The contract: arguments, life cycle, what stays in the pool and what leaves it. */
#define _GNU_SOURCE
#include "world.h"

/* Layout: sizes and offsets are ABI. */
#define AT(type, member, offset) \
    _Static_assert(offsetof(struct type, member) == (offset), #type "." #member)
#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
SIZE(gn_cachecrypt_cipher, 56);
AT(gn_cachecrypt_cipher, state_bytes, 20);
AT(gn_cachecrypt_cipher, expand, 24);
AT(gn_cachecrypt_cipher, scrub, 48);
SIZE(gn_cachecrypt_ops, 128);
AT(gn_cachecrypt_ops, random, 8);
AT(gn_cachecrypt_ops, map, 32);
AT(gn_cachecrypt_ops, generation, 56);
AT(gn_cachecrypt_ops, panic, 120);
SIZE(gn_cachecrypt_cache, 24);
SIZE(gn_cachecrypt_params, 72);
AT(gn_cachecrypt_params, ops, 32);
AT(gn_cachecrypt_params, cache, 48);
SIZE(gn_cachecrypt_region_params, 80);
AT(gn_cachecrypt_region_params, pages, 8);
AT(gn_cachecrypt_region_params, key_budget, 56);
AT(gn_cachecrypt_region_params, sweep_pace, 72);
SIZE(gn_cachecrypt_region_info, 72);
SIZE(gn_cachecrypt_span, 32);
SIZE(gn_cachecrypt_mapping, 24);
SIZE(gn_cachecrypt_stats, 144);
SIZE(gn_cachecrypt_residency_report, 48);
SIZE(gn_cachecrypt_probe_result, 96);

static int init_result(const struct world *w)
{
    static _Alignas(4096) uint8_t mem[1 << 17];
    struct gn_cachecrypt *cc;
    const int r = gn_cachecrypt_init(mem, sizeof mem, &w->params, &cc);

    if (!r)
        gn_cachecrypt_fini(cc);
    assert_int_equal(r == 0, gn_cachecrypt_size(&w->params) != 0);
    return r;
}

#define REFUSED(member, value, status)                       \
    do {                                                     \
        world_plan(&w, 4, 4096);                             \
        w.member = (value);                                  \
        assert_int_equal(init_result(&w), -GN_ERR_##status); \
    } while (0)

static void init_refuses_what_is_out_of_range(void **state)
{
    static _Alignas(4096) uint8_t mem[1 << 17];
    struct gn_cachecrypt *cc = NULL;
    struct world w;

    (void)state;
    world_plan(&w, 4, 4096);
    assert_int_equal(init_result(&w), 0);
    assert_int_equal(gn_cachecrypt_init(NULL, sizeof mem, &w.params, &cc), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_init(mem, sizeof mem, NULL, &cc), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_init(mem, sizeof mem, &w.params, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_init(mem + 64, sizeof mem, &w.params, &cc), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_init(mem, 4096, &w.params, &cc), -GN_ERR_NOMEM);
    assert_null(cc);
    REFUSED(params.frames, 0, INVAL);
    REFUSED(params.frames, GN_CACHECRYPT_FRAMES_MAX + 1, INVAL);
    REFUSED(params.frame_bytes, 128, INVAL);
    REFUSED(params.frame_bytes, 3000, INVAL);
    REFUSED(params.frame_bytes, 8192, INVAL);
    REFUSED(params.regions, GN_CACHECRYPT_REGIONS_MAX + 1, INVAL);
    REFUSED(params.nodes, 15, INVAL);
    REFUSED(params.nodes, GN_CACHECRYPT_NODES_MAX + 1, INVAL);
    REFUSED(params.windows, GN_CACHECRYPT_WINDOWS_MAX + 1, INVAL);
    REFUSED(params.state_bytes, GN_CACHECRYPT_STATE_BYTES_MAX + 1, INVAL);
    REFUSED(params.reserved, 1, INVAL);
    REFUSED(params.ops, NULL, INVAL);
    REFUSED(params.size, 8, INVAL);
    REFUSED(params.cache.bytes, 4096, INVAL); /* without ways */
    REFUSED(ops.random, NULL, INVAL);
    REFUSED(ops.size, 8, INVAL);
}

static void init_refuses_a_lock_without_unlock_and_a_tail_it_does_not_know(void **state)
{
    struct {
        struct gn_cachecrypt_params p;
        uint64_t tail;
    } longer = {.tail = 1};
    static _Alignas(4096) uint8_t mem[1 << 17];
    struct gn_cachecrypt *cc;
    struct world w;

    (void)state;
    world_plan(&w, 4, 4096);
    w.ops.lock = (void (*)(void *))(uintptr_t)1;
    assert_int_equal(init_result(&w), -GN_ERR_INVAL);
    world_plan(&w, 4, 4096);
    w.ops.unlock = (void (*)(void *))(uintptr_t)1;
    assert_int_equal(init_result(&w), -GN_ERR_INVAL);
    world_plan(&w, 4, 4096);
    longer.p = w.params;
    longer.p.size = sizeof longer;
    assert_int_equal(gn_cachecrypt_init(mem, sizeof mem, &longer.p, &cc), -GN_ERR_2BIG);
    longer.tail = 0;
    assert_int_equal(gn_cachecrypt_init(mem, sizeof mem, &longer.p, &cc), 0);
    gn_cachecrypt_fini(cc);
    gn_cachecrypt_fini(NULL);
    assert_int_equal(gn_cachecrypt_version(), 1);
}

static void a_new_region_reads_as_zeros_without_any_decryption(void **state)
{
    struct world w;
    struct land land;

    (void)state;
    world_plan(&w, 4, 4096);
    world_begin(&w);
    land_add(&w, &land, 40, 4096);
    toy_opens = 0;
    for (uint64_t page = 0; page < 40; page++)
        want_page(&w, &land, page, 0);
    assert_int_equal(toy_opens, 0);
    assert_int_equal(world_stats(&w).zero_fills, 40);
    assert_int_equal(world_stats(&w).seals, 0);
    land_remove(&w, &land);
    world_end(&w);
}

static void what_was_written_is_read_after_it_left_the_pool(void **state)
{
    struct world w;
    struct land land;

    (void)state;
    for (uint32_t bytes = 256; bytes <= 4096; bytes *= 2) {
        world_plan(&w, 3, 4096);
        world_begin(&w);
        land_add(&w, &land, 300, bytes);
        for (uint64_t page = 0; page < 300; page++)
            put_page(&w, &land, page, (uint8_t)(page * 7 + 1));
        for (uint64_t page = 0; page < 300; page++)
            want_page(&w, &land, page, (uint8_t)(page * 7 + 1));
        assert_int_equal(world_stats(&w).evictions_dirty, 300);
        land_remove(&w, &land);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_refuses_what_is_out_of_range),
        cmocka_unit_test(init_refuses_a_lock_without_unlock_and_a_tail_it_does_not_know),
        cmocka_unit_test(a_new_region_reads_as_zeros_without_any_decryption),
        cmocka_unit_test(what_was_written_is_read_after_it_left_the_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
