/* SPDX-License-Identifier: BSD-3-Clause */
/* The contract: arguments, life cycle, what stays in the pool and what leaves it. */
#define _GNU_SOURCE
#include "world.h"

/* Layout: sizes and offsets are ABI. */
#define AT(type, member, offset) \
    _Static_assert(offsetof(struct type, member) == (offset), #type "." #member)
#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
SIZE(gn_cachecrypt_cipher, 64);
AT(gn_cachecrypt_cipher, state_bytes, 20);
AT(gn_cachecrypt_cipher, expand, 24);
AT(gn_cachecrypt_cipher, scrub, 48);
AT(gn_cachecrypt_cipher, flags, 56);
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
    world_with(&w, &land, 4, 4096, 40);
    toy_opens = 0;
    for (uint64_t page = 0; page < 40; page++)
        want_page(&w, &land, page, 0);
    assert_int_equal(toy_opens, 0);
    assert_int_equal(world_stats(&w).zero_fills, 40);
    assert_int_equal(world_stats(&w).seals, 0);
    world_without(&w, &land);
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

/* ---- regions ----------------------------------------------------------------------------- */

static int add_result(struct world *w, const struct gn_cachecrypt_region_params *p)
{
    uint32_t region = 77;
    const int r = gn_cachecrypt_region_add(w->cc, p, &region);

    if (r) {
        assert_int_equal(region, 77);
        return r;
    }
    assert_int_equal(gn_cachecrypt_region_remove(w->cc, region), 0);
    return 0;
}

#define ADD_REFUSED(member, value, status)                      \
    do {                                                        \
        struct gn_cachecrypt_region_params q = p;               \
        q.member = (value);                                     \
        assert_int_equal(add_result(&w, &q), -GN_ERR_##status); \
    } while (0)

static void a_region_is_refused_what_is_out_of_range(void **state)
{
    struct gn_cachecrypt_region_params p;
    struct land land;
    struct world w;

    (void)state;
    world_plan(&w, 4, 2048);
    world_begin(&w);
    p = land_plan(&land, 100, 1024);
    assert_int_equal(add_result(&w, &p), 0);
    assert_int_equal(gn_cachecrypt_region_add(NULL, &p, &land.region), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_region_add(w.cc, NULL, &land.region), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, NULL), -GN_ERR_INVAL);
    ADD_REFUSED(page_bytes, 128, INVAL);
    ADD_REFUSED(page_bytes, 1000, INVAL);
    ADD_REFUSED(page_bytes, 4096, INVAL); /* larger than a frame */
    ADD_REFUSED(pages, 0, INVAL);
    ADD_REFUSED(pages, GN_CACHECRYPT_PAGES_MAX + 1, INVAL);
    ADD_REFUSED(cipher, NULL, INVAL);
    ADD_REFUSED(data, NULL, INVAL);
    ADD_REFUSED(meta, NULL, INVAL);
    ADD_REFUSED(meta, land.meta + 4, INVAL);
    ADD_REFUSED(key_budget, 64 * 1024 - 1, INVAL);
    ADD_REFUSED(page_seals, GN_CACHECRYPT_SEALS_MAX + 1, INVAL);
    ADD_REFUSED(reserved, 1, INVAL);
    ADD_REFUSED(size, 16, INVAL);
    land_free(&land);
    world_end(&w);
}

#define CIPHER_REFUSED(member, value, status)                   \
    do {                                                        \
        struct gn_cachecrypt_cipher c = toy;                    \
        c.member = (value);                                     \
        p.cipher = &c;                                          \
        assert_int_equal(add_result(&w, &p), -GN_ERR_##status); \
    } while (0)

static void a_cipher_is_refused_that_is_none(void **state)
{
    struct gn_cachecrypt_region_params p;
    struct land land;
    struct world w;

    (void)state;
    world_plan(&w, 4, 4096);
    world_begin(&w);
    p = land_plan(&land, 100, 4096);
    CIPHER_REFUSED(size, 8, INVAL);
    CIPHER_REFUSED(id, 0, INVAL);
    CIPHER_REFUSED(key_bytes, 15, INVAL);
    CIPHER_REFUSED(key_bytes, GN_CACHECRYPT_KEY_MAX + 1, INVAL);
    CIPHER_REFUSED(nonce_bytes, 11, INVAL);
    CIPHER_REFUSED(nonce_bytes, GN_CACHECRYPT_NONCE_MAX + 1, INVAL);
    CIPHER_REFUSED(tag_bytes, 12, INVAL);
    CIPHER_REFUSED(tag_bytes, GN_CACHECRYPT_TAG_MAX + 1, INVAL);
    CIPHER_REFUSED(state_bytes, 0, INVAL);
    CIPHER_REFUSED(state_bytes, 4096, NOMEM);
    CIPHER_REFUSED(expand, NULL, INVAL);
    CIPHER_REFUSED(seal, NULL, INVAL);
    CIPHER_REFUSED(open, NULL, INVAL);
    CIPHER_REFUSED(flags, 2, INVAL);
    CIPHER_REFUSED(reserved, 1, INVAL);
    land_free(&land);
    world_end(&w);
}

/* Attack class 6 at the edge: sizes that do not fit one another, or the address space. */
static void a_store_that_is_too_short_or_somebody_elses_is_refused(void **state)
{
    struct gn_cachecrypt_region_params p, q;
    struct land land, other;
    struct world w;
    uint32_t region;

    (void)state;
    world_plan(&w, 4, 4096);
    world_begin(&w);
    p = land_plan(&land, 100, 4096);
    ADD_REFUSED(data_bytes, land.data_bytes - 1, NOMEM);
    ADD_REFUSED(meta_bytes, land.meta_bytes - 1, NOMEM);
    ADD_REFUSED(pages, 101, NOMEM);
    ADD_REFUSED(data, (void *)(uintptr_t)-4096, RANGE);
    ADD_REFUSED(meta, (void *)(uintptr_t)-1024, RANGE);
    ADD_REFUSED(data, w.pool, INVAL);
    ADD_REFUSED(data, w.pool + w.pool_bytes - 1, INVAL);
    ADD_REFUSED(meta, w.pool + 64, INVAL);
    ADD_REFUSED(meta, land.data + 4096, INVAL);
    assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, &land.region), 0);
    q = land_plan(&other, 100, 4096);
    q.data = land.data + 50 * 4096;
    assert_int_equal(add_result(&w, &q), -GN_ERR_EXIST);
    q.data = other.data;
    q.meta = land.data;
    assert_int_equal(add_result(&w, &q), -GN_ERR_EXIST);
    q.meta = land.meta;
    assert_int_equal(add_result(&w, &q), -GN_ERR_EXIST);
    q.meta = other.meta;
    assert_int_equal(gn_cachecrypt_window_add(w.cc, gn_hva((uintptr_t)other.data + 64), 64), 0);
    assert_int_equal(add_result(&w, &q), -GN_ERR_EXIST);
    assert_int_equal(gn_cachecrypt_window_remove(w.cc, gn_hva((uintptr_t)other.data + 64)), 0);
    assert_int_equal(gn_cachecrypt_region_add(w.cc, &q, &region), 0);
    assert_int_equal(gn_cachecrypt_region_remove(w.cc, region), 0);
    land_free(&other);
    world_without(&w, &land);
}

static void there_are_as_many_regions_as_said_and_numbers_come_back(void **state)
{
    struct land land[4], one_more;
    struct gn_cachecrypt_region_params p;
    struct world w;

    (void)state;
    world_plan(&w, 4, 4096);
    world_begin(&w);
    for (uint32_t i = 0; i < 4; i++) {
        land_add(&w, &land[i], 20, 4096 >> i);
        put_page(&w, &land[i], 3, (uint8_t)(i + 1));
    }
    p = land_plan(&one_more, 20, 4096);
    assert_int_equal(add_result(&w, &p), -GN_ERR_NOSPC);
    for (uint32_t i = 0; i < 4; i++)
        want_page(&w, &land[i], 3, (uint8_t)(i + 1));
    assert_int_equal(gn_cachecrypt_region_remove(w.cc, land[2].region), 0);
    assert_int_equal(look(&w, &land[2], 0), -GN_ERR_NOENT);
    assert_int_equal(gn_cachecrypt_region_remove(w.cc, land[2].region), -GN_ERR_NOENT);
    assert_int_equal(gn_cachecrypt_region_remove(w.cc, 99), -GN_ERR_NOENT);
    assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, &one_more.region), 0);
    assert_int_equal(one_more.region, land[2].region);
    want_page(&w, &one_more, 3, 0);
    land_free(&land[2]);
    land[2] = one_more;
    for (uint32_t i = 0; i < 4; i++)
        land_remove(&w, &land[i]);
    world_end(&w);
}

static void meta_size_is_below_seven_thousandths_and_knows_its_limits(void **state)
{
    struct gn_cachecrypt_cipher c = toy;

    (void)state;
    assert_int_equal(gn_cachecrypt_meta_size(0, NULL), 0);
    assert_int_equal(gn_cachecrypt_meta_size(GN_CACHECRYPT_PAGES_MAX + 1, NULL), 0);
    assert_int_equal(gn_cachecrypt_meta_size(1, NULL), 16 + 128);
    assert_int_equal(gn_cachecrypt_meta_size(17, &toy), 17 * 16 + 2 * 128 + 128);
    assert_true(gn_cachecrypt_meta_size(GN_CACHECRYPT_PAGES_MAX, NULL) <
                GN_CACHECRYPT_PAGES_MAX * 4096 / 1000 * 7);
    assert_true(gn_cachecrypt_meta_size(16384, NULL) < (uint64_t)16384 * 4096 / 1000 * 7);
    c.tag_bytes = 33;
    assert_int_equal(gn_cachecrypt_meta_size(1, &c), 0);
    c.tag_bytes = 15;
    assert_int_equal(gn_cachecrypt_meta_size(1, &c), 0);
}

static void a_range_beyond_the_region_is_refused(void **state)
{
    const uint64_t size = (uint64_t)100 * 256;
    struct gn_cachecrypt_span span;
    struct gn_cachecrypt_view view;
    struct land land;
    struct world w;
    uint8_t byte[512];
    void *at;

    (void)state;
    world_plan(&w, 4, 4096);
    world_begin(&w);
    land_add(&w, &land, 100, 256);
    assert_int_equal(gn_cachecrypt_read(w.cc, land.region, size - 2, byte, 2), 0);
    assert_int_equal(gn_cachecrypt_read(w.cc, land.region, size, byte, 0), 0);
    assert_int_equal(gn_cachecrypt_read(w.cc, land.region, size - 1, byte, 2), -GN_ERR_RANGE);
    assert_int_equal(gn_cachecrypt_read(w.cc, land.region, size + 1, byte, 0), -GN_ERR_RANGE);
    assert_int_equal(gn_cachecrypt_write(w.cc, land.region, UINT64_MAX, byte, 2), -GN_ERR_RANGE);
    assert_int_equal(gn_cachecrypt_write(w.cc, land.region, (uint64_t)1 << 40, byte, 1),
                     -GN_ERR_RANGE);
    assert_int_equal(gn_cachecrypt_pin(w.cc, land.region, size - 1, 2, 0, &span), -GN_ERR_RANGE);
    assert_int_equal(gn_cachecrypt_touch(w.cc, land.region, size, 0, &at), -GN_ERR_RANGE);
    assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, size, 1), -GN_ERR_RANGE);
    assert_int_equal(gn_cachecrypt_discard(w.cc, land.region, size, 256), -GN_ERR_RANGE);
    assert_int_equal(gn_cachecrypt_discard(w.cc, land.region, 1, 256), -GN_ERR_INVAL);
    /* The inlined path: a page number whose low bits are those of a resident page. */
    assert_int_equal(gn_cachecrypt_view_get(w.cc, land.region, &view), 0);
    assert_int_equal(gn_cachecrypt_touch(w.cc, land.region, 5 * 256, 0, &at), 0);
    assert_ptr_equal(gn_cachecrypt_hit(&view, 5 * 256 + 3, 0), (uint8_t *)at + 3);
    for (uint32_t bit = 32; bit < 56; bit++)
        assert_null(gn_cachecrypt_hit(&view, 5 * 256 + ((uint64_t)256 << bit), 0));
    assert_null(gn_cachecrypt_hit(&view, 6 * 256, 0));
    world_without(&w, &land);
}

static void null_arguments_are_refused(void **state)
{
    struct gn_cachecrypt_region_info info = {GN_CACHECRYPT_REGION_INFO_INIT};
    struct gn_cachecrypt_stats stats = {GN_CACHECRYPT_STATS_INIT};
    struct gn_cachecrypt_mapping mapping;
    struct gn_cachecrypt_span span = {0};
    struct gn_cachecrypt_view view;
    struct land land;
    struct world w;
    uint8_t byte;
    void *at;

    (void)state;
    world_with(&w, &land, 4, 4096, 4);
    assert_int_equal(gn_cachecrypt_read(NULL, 0, 0, &byte, 1), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_read(w.cc, 0, 0, NULL, 1), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_write(NULL, 0, 0, &byte, 1), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_write(w.cc, 0, 0, NULL, 1), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_pin(w.cc, 0, 0, 1, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_pin(w.cc, 0, 0, 0, 0, &span), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_pin(w.cc, 0, 0, 1, GN_ACCESS_EXEC, &span), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_unpin(w.cc, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_unpin(NULL, &span), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_fault(w.cc, 0, 0, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_fault(w.cc, 0, 0, 3, &mapping), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_fault(w.cc, 0, 0, 0, &mapping), -GN_ERR_NOTSUP);
    assert_int_equal(gn_cachecrypt_touch(w.cc, 0, 0, 2, &at), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_touch(w.cc, 0, 0, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_view_get(w.cc, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_view_get(w.cc, 1, &view), -GN_ERR_NOENT);
    assert_int_equal(gn_cachecrypt_flush(NULL, 0), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_evict(NULL, 0, 0, 0), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_discard(NULL, 0, 0, 0), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_rekey(NULL, 0), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_rekey_step(NULL, 0, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_region_erase(NULL, 0), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_region_remove(NULL, 0), -GN_ERR_INVAL);
    info.size = 8;
    stats.size = 8;
    assert_int_equal(gn_cachecrypt_region_query(w.cc, 0, &info), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_stats_get(w.cc, &stats), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_stats_get(w.cc, NULL), -GN_ERR_INVAL);
    world_without(&w, &land);
}

static int depth; /* of locks */

static void lock(void *ctx)
{
    (void)ctx;
    assert_int_equal(depth++, 0);
}

static void unlock(void *ctx)
{
    (void)ctx;
    assert_int_equal(--depth, 0);
}

static void each_call_takes_the_lock_once_and_gives_it_back(void **state)
{
    struct gn_cachecrypt_region_info info = {GN_CACHECRYPT_REGION_INFO_INIT};
    struct gn_cachecrypt_span span;
    struct land land;
    struct world w;
    uint8_t byte = 1;
    void *at;

    (void)state;
    world_plan(&w, 2, 256);
    w.ops.lock = lock;
    w.ops.unlock = unlock;
    world_begin(&w);
    land_add(&w, &land, 64, 256);
    for (uint32_t round = 0; round < 3; round++) {
        /* Live, then poisoned, then erased; and always a region that is not there. */
        for (uint32_t i = 0; i < 2; i++) {
            const uint32_t region = i ? 3 : land.region;

            (void)!gn_cachecrypt_read(w.cc, region, 0, &byte, 1);
            (void)!gn_cachecrypt_read(w.cc, region, UINT64_MAX, &byte, 1);
            (void)!gn_cachecrypt_write(w.cc, region, 700, &byte, 1);
            (void)!gn_cachecrypt_write(w.cc, region, 9999999, &byte, 1);
            if (!gn_cachecrypt_pin(w.cc, region, 0, 1, 0, &span))
                assert_int_equal(gn_cachecrypt_unpin(w.cc, &span), 0);
            (void)!gn_cachecrypt_touch(w.cc, region, 0, 0, &at);
            (void)!gn_cachecrypt_flush(w.cc, region);
            (void)!gn_cachecrypt_evict(w.cc, region, 0, 256);
            (void)!gn_cachecrypt_discard(w.cc, region, 0, 256);
            (void)!gn_cachecrypt_rekey(w.cc, region);
            (void)!gn_cachecrypt_rekey_step(w.cc, region, 0, NULL);
            (void)!gn_cachecrypt_region_query(w.cc, region, &info);
            (void)!gn_cachecrypt_dma_check(w.cc, gn_hva(64), 64);
            (void)!gn_cachecrypt_window_remove(w.cc, gn_hva(64));
            assert_int_equal(depth, 0);
        }
        if (round == 0) {
            put_page(&w, &land, 5, 5);
            put_away(&w, &land);
            land_tag(&land, 5)[0] ^= 1;
            assert_int_equal(look(&w, &land, 5), -GN_ERR_BADMSG);
        } else if (round == 1) {
            assert_int_equal(gn_cachecrypt_region_erase(w.cc, land.region), 0);
        }
        assert_int_equal(depth, 0);
    }
    land_remove(&w, &land);
    assert_int_equal(depth, 0);
    world_end(&w);
}

/* Attack class 6: the largest region there can be; nothing of the store but what is used exists. */
static void the_last_page_of_two_to_the_thirty_two_is_one_of_its_own(void **state)
{
    struct gn_cachecrypt__meta meta;

    (void)state;
    gn_cachecrypt__meta_make(GN_CACHECRYPT_PAGES_MAX, 16, &meta);
    assert_int_equal(meta.levels, LEVELS_MAX);
    for (uint32_t i = 0; i + 1 < meta.levels; i++)
        assert_true(meta.level[i] < meta.level[i + 1]);
    assert_int_equal(meta.total - meta.level[LEVELS_MAX - 1], NODE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_refuses_what_is_out_of_range),
        cmocka_unit_test(init_refuses_a_lock_without_unlock_and_a_tail_it_does_not_know),
        cmocka_unit_test(a_new_region_reads_as_zeros_without_any_decryption),
        cmocka_unit_test(what_was_written_is_read_after_it_left_the_pool),
        cmocka_unit_test(a_region_is_refused_what_is_out_of_range),
        cmocka_unit_test(a_cipher_is_refused_that_is_none),
        cmocka_unit_test(a_store_that_is_too_short_or_somebody_elses_is_refused),
        cmocka_unit_test(there_are_as_many_regions_as_said_and_numbers_come_back),
        cmocka_unit_test(meta_size_is_below_seven_thousandths_and_knows_its_limits),
        cmocka_unit_test(a_range_beyond_the_region_is_refused),
        cmocka_unit_test(null_arguments_are_refused),
        cmocka_unit_test(each_call_takes_the_lock_once_and_gives_it_back),
        cmocka_unit_test(the_last_page_of_two_to_the_thirty_two_is_one_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
