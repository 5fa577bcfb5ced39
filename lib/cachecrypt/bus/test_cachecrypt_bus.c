/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library in front of a cache and a bus: what DRAM gets to see. Plaintext is marked in every 16
 * bytes, so each line of it is known when it passes; so is each word of a key. What the cipher of
 * the tests touches it reports itself. The stack is not modelled: the adapter's tests look there.
 */
#define _GNU_SOURCE
#include "bus.h"
#include "world.h"

#define FRAMES  16u
#define PAGES   200u
#define WAYS    8u
#define COLOURS (sets * BUS_LINE / BUS_PAGE)

static const char marker[16] = "not for the bus.";

static struct world w;
static struct land land;
static uint64_t pool_hpa[256], data_hpa[PAGES], meta_hpa[16];
static uint32_t pool_range, locked;
static uint32_t sets = 1024; /* of 64 bytes: 16 colours; with 8 ways, 512 KiB */
static uint64_t rng;

static int marked(const uint8_t *line)
{
    for (uint32_t i = 0; i < BUS_LINE; i += 16)
        if (!memcmp(line + i, marker, 16))
            return 1;
    return 0;
}

static int secret(const uint8_t *line)
{
    const struct gn_cachecrypt__region *reg;

    if (marked(line))
        return 1;
    if (!w.cc) /* init is at work: there are no keys yet */
        return 0;
    reg = &w.cc->regions[land.region];
    for (uint32_t i = 0; i < BUS_LINE; i += 8)
        for (uint32_t k = 0; k < TOY_KEY; k += 8) {
            const uint64_t zero = 0;

            for (uint32_t which = 0; which < 2; which++)
                if (memcmp(reg->keys[which] + k, &zero, 8) &&
                    !memcmp(line + i, reg->keys[which] + k, 8))
                    return 1;
            if (k < 16 && memcmp(&reg->tree_key[k / 8], &zero, 8) &&
                !memcmp(line + i, &reg->tree_key[k / 8], 8))
                return 1;
        }
    return 0;
}

static int bus_expand(void *state, const uint8_t *key)
{
    bus_access(key, TOY_KEY, 0);
    bus_access(state, TOY_KEY, 1);
    return toy_expand(state, key);
}

static int bus_seal(const void *state, uint8_t *to, uint8_t *tag, const uint8_t *from, size_t len,
                    const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    for (size_t i = 0; i < len; i += BUS_LINE) {
        bus_access(state, TOY_KEY, 0);
        bus_access(from + i, BUS_LINE, 0);
        bus_access(to + i, BUS_LINE, 1);
    }
    bus_access(tag, 16, 1);
    return toy_seal(state, to, tag, from, len, ad, ad_len, nonce);
}

static int bus_open(const void *state, uint8_t *to, const uint8_t *from, const uint8_t *tag,
                    size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    for (size_t i = 0; i < len; i += BUS_LINE) {
        bus_access(state, TOY_KEY, 0);
        bus_access(from + i, BUS_LINE, 0);
        bus_access(to + i, BUS_LINE, 1);
    }
    bus_access(tag, 16, 0);
    return toy_open(state, to, from, tag, len, ad, ad_len, nonce);
}

static int hpa(void *ctx, gn_hva_t at, gn_hpa_t *ret_hpa)
{
    (void)ctx;
    *ret_hpa = gn_hpa(pool_hpa[(at.v - (uintptr_t)w.pool) / BUS_PAGE]);
    return 0;
}

static int cache_locked(void *ctx, gn_hva_t base, uint64_t bytes)
{
    (void)ctx;
    (void)base;
    (void)bytes;
    return (int)locked;
}

/** Machine addresses of pages that are of these colours, and nobody else's. */
static void place(uint64_t *pages, uint32_t n, uint32_t colours_from, uint32_t colours_to,
                  uint64_t *taken)
{
    uint64_t random = *taken + 4242;

    for (uint32_t i = 0; i < n; i++) {
        const uint64_t colour =
            colours_from + gn_test_random(&random) % (colours_to - colours_from);

        pages[i] = ((*taken)++ * COLOURS + colour) * BUS_PAGE;
    }
}

static uint32_t plan(uint32_t pool_ways)
{
    world_plan(&w, FRAMES, BUS_PAGE);
    w.params.regions = 1;
    w.params.windows = 1;
    w.params.nodes = 32;
    w.params.cache = (struct gn_cachecrypt_cache){
        .bytes = (uint64_t)sets * BUS_LINE * WAYS, .ways = WAYS, .pool_ways = pool_ways};
    w.ops.hpa = hpa;
    w.ops.cache_locked = cache_locked;
    return (uint32_t)(gn_cachecrypt_size(&w.params) / BUS_PAGE);
}

/** Begins with the pool where pool_hpa says, the store where data_hpa and meta_hpa say. */
static void begin(uint32_t pool_ways, uint32_t store_first, uint32_t store_ways)
{
    static struct gn_cachecrypt_cipher on_bus;
    struct gn_cachecrypt_region_params p;

    w.pool_bytes = gn_cachecrypt_size(&w.params);
    w.pool = gn_test_memory(BUS_PAGE, w.pool_bytes);
    on_bus = toy;
    on_bus.expand = bus_expand;
    on_bus.seal = bus_seal;
    on_bus.open = bus_open;
    p = land_plan(&land, PAGES, BUS_PAGE);
    free(land.data);
    free(land.meta);
    p.cipher = &on_bus;
    p.data = land.data = gn_test_memory(BUS_PAGE, land.data_bytes);
    p.meta_bytes = land.meta_bytes = (land.meta_bytes + BUS_PAGE - 1) & ~(uint64_t)(BUS_PAGE - 1);
    p.meta = land.meta = gn_test_memory(BUS_PAGE, land.meta_bytes);
    assert_in_range(land.meta_bytes / BUS_PAGE, 1, 16);
    bus_reset(sets, WAYS, secret);
    pool_range = bus_add(w.pool, w.pool_bytes, pool_hpa, 0, store_first ? pool_ways : WAYS);
    (void)bus_add(land.data, land.data_bytes, data_hpa, store_first, store_ways);
    (void)bus_add(land.meta, land.meta_bytes, meta_hpa, store_first, store_ways);
    bus.on = 1;
    assert_int_equal(gn_cachecrypt_init(w.pool, w.pool_bytes, &w.params, &w.cc), 0);
    assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, &land.region), 0);
}

/** Random work on marked pages: copies, spans, hits, flushes, a new key now and then. */
static void work(uint32_t ops)
{
    struct gn_cachecrypt_span span;
    struct gn_cachecrypt_view view;
    uint8_t buffer[256];
    void *at;

    assert_int_equal(gn_cachecrypt_view_get(w.cc, land.region, &view), 0);
    for (uint32_t i = 0; i < sizeof buffer; i += 16)
        memcpy(buffer + i, marker, 16);
    for (uint32_t i = 0; i < ops; i++) {
        const uint64_t offset = gn_test_random(&rng) % (PAGES * 16) * 256;

        switch (gn_test_random(&rng) % 10) {
        case 0:
            assert_int_equal(gn_cachecrypt_pin(w.cc, land.region, offset, 256, 1, &span), 0);
            memcpy(span.at, buffer, 256);
            bus_access(span.at, 256, 1);
            assert_int_equal(gn_cachecrypt_unpin(w.cc, &span), 0);
            break;
        case 1:
            assert_int_equal(gn_cachecrypt_at(w.cc, land.region, &view, offset, 1, &at), 0);
            memcpy(at, buffer, 256);
            bus_access(at, 256, 1);
            break;
        case 2: assert_int_equal(i % 16 ? 0 : gn_cachecrypt_flush(w.cc, land.region), 0); break;
        case 3:
            if (i % 32 == 0)
                (void)!gn_cachecrypt_rekey(w.cc, land.region);
            break;
        case 4:
        case 5:
        case 6:
            assert_int_equal(gn_cachecrypt_read(w.cc, land.region, offset, buffer + 16, 64), 0);
            memcpy(buffer + 16, marker, 16);
            memcpy(buffer + 32, marker, 16);
            memcpy(buffer + 48, marker, 16);
            memcpy(buffer + 64, marker, 16);
            break;
        default:
            assert_int_equal(gn_cachecrypt_write(w.cc, land.region, offset, buffer, 256), 0);
            break;
        }
    }
}

static uint32_t reported(void)
{
    struct gn_cachecrypt_residency_report report = {GN_CACHECRYPT_RESIDENCY_REPORT_INIT};

    assert_int_equal(gn_cachecrypt_residency(w.cc, &report), 0);
    return report.kind;
}

/** What is in DRAM, all of it, after everything was flushed: nothing that the pool held. */
static void end(int clean)
{
    assert_int_equal(gn_cachecrypt_region_remove(w.cc, land.region), 0);
    bus.secret = marked; /* the keys to know are gone */
    gn_cachecrypt_fini(w.cc);
    bus_flush();
    for (uint32_t r = 0; r < bus.range_count; r++)
        if (clean)
            assert_false(holds(bus.range[r].dram, bus.range[r].bytes, marker, 16));
    free(w.pool);
    land_free(&land);
    bus_free();
    toy_log_reset();
}

static void in_locked_ways_no_byte_of_plaintext_or_key_reaches_dram(void **state)
{
    uint64_t taken = 0;
    uint32_t pages, picked[256];
    gn_hpa_t candidate[512];

    (void)state;
    pages = plan(4);
    for (uint32_t i = 0; i < 512; i++)
        candidate[i] = gn_hpa((uint64_t)i * 7919 % 5000 * BUS_PAGE);
    assert_int_equal(
        gn_cachecrypt_colour_pick(&w.params.cache, BUS_PAGE, candidate, 512, pages, picked, NULL),
        0);
    for (uint32_t i = 0; i < pages; i++)
        pool_hpa[i] = candidate[picked[i]].v;
    taken = 100000;
    place(data_hpa, PAGES, 0, COLOURS, &taken);
    place(meta_hpa, 16, 0, COLOURS, &taken);
    locked = 1;
    begin(4, 4, 4);
    work(20000);
    assert_int_equal(bus.range[pool_range].evicted, 0);
    assert_int_equal(bus.secrets, 0);
    assert_true(bus.range[1].written > 100000); /* ciphertext did pass */
    assert_int_equal(reported(), GN_CACHECRYPT_RESIDENCY_LOCKED);
    locked = 0;
    assert_int_equal(reported(), GN_CACHECRYPT_RESIDENCY_COLOURED);
    end(1);
}

static void a_coloured_pool_never_evicts_itself_and_nobody_else_does(void **state)
{
    uint64_t taken = 100000;
    uint32_t pages, picked[256], colours;
    gn_hpa_t candidate[512];

    (void)state;
    pages = plan(WAYS);
    for (uint32_t i = 0; i < 512; i++)
        candidate[i] = gn_hpa((uint64_t)i * 7919 % 5000 * BUS_PAGE);
    assert_int_equal(gn_cachecrypt_colour_pick(&w.params.cache, BUS_PAGE, candidate, 512, pages,
                                               picked, &colours),
                     0);
    assert_in_range(colours, 1, COLOURS - 1);
    for (uint32_t i = 0; i < pages; i++)
        pool_hpa[i] = candidate[picked[i]].v;
    /* Everything else keeps off these colours. */
    place(data_hpa, PAGES, colours, COLOURS, &taken);
    place(meta_hpa, 16, colours, COLOURS, &taken);
    begin(WAYS, 0, WAYS);
    assert_int_equal(reported(), GN_CACHECRYPT_RESIDENCY_COLOURED);
    work(20000);
    assert_int_equal(bus.range[pool_range].evicted, 0);
    assert_int_equal(bus.secrets, 0);
    end(1);
}

/* The counter-proof: the model does see plaintext, where the report says that it may. */
static void a_pool_of_one_colour_is_seen_on_the_bus_and_not_called_coloured(void **state)
{
    uint64_t taken = 0;
    uint32_t pages;

    (void)state;
    pages = plan(4);
    place(pool_hpa, pages, 3, 4, &taken);
    place(data_hpa, PAGES, 4, COLOURS, &taken);
    place(meta_hpa, 16, 4, COLOURS, &taken);
    begin(4, 0, WAYS);
    assert_int_equal(reported(), GN_CACHECRYPT_RESIDENCY_BOUNDED);
    work(5000);
    assert_true(bus.range[pool_range].evicted > 1000);
    assert_true(bus.secrets > 100);
    end(0);
}

static void a_pool_that_shares_its_colours_is_seen_on_the_bus(void **state)
{
    uint64_t taken = 0;
    uint32_t pages;

    (void)state;
    sets = 256; /* a smaller cache: what streams by comes round sooner */
    pages = plan(2);
    place(pool_hpa, pages, 0, COLOURS, &taken);
    place(data_hpa, PAGES, 0, COLOURS, &taken);
    place(meta_hpa, 16, 0, COLOURS, &taken);
    begin(2, 0, WAYS);
    assert_in_range(reported(), GN_CACHECRYPT_RESIDENCY_NONE, GN_CACHECRYPT_RESIDENCY_BOUNDED);
    work(5000);
    assert_true(bus.secrets > 0);
    end(0);
    sets = 1024;
}

/* Attack class 7: devices on the bus. */
static void a_device_reads_no_plaintext_and_writes_nothing_that_is_believed(void **state)
{
    uint64_t taken = 100000, random = 99;
    uint32_t pages, found = 0;

    (void)state;
    pages = plan(4);
    for (uint32_t i = 0; i < pages; i++) /* four of each colour */
        pool_hpa[i] =
            (uint64_t)(i / 4 % COLOURS + i % 4 * COLOURS + i / 4 / COLOURS * 4 * COLOURS) *
            BUS_PAGE;
    place(data_hpa, PAGES, 0, COLOURS, &taken);
    place(meta_hpa, 16, 0, COLOURS, &taken);
    begin(4, 4, 4);
    for (uint32_t round = 0; round < 30; round++) {
        work(300);
        assert_false(holds(bus.range[0].dram, bus.range[0].bytes, marker, 16));
        assert_false(holds(bus.range[1].dram, bus.range[1].bytes, marker, 16));
        for (uint32_t i = 0; i < 20; i++)
            assert_int_equal(
                gn_cachecrypt_dma_check(
                    w.cc, gn_hva((uintptr_t)w.pool + gn_test_random(&random) % w.pool_bytes), 1),
                -GN_ERR_PERM);
    }
    assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, 0, land.data_bytes), 0);
    for (uint64_t page = 0; page < PAGES && !found; page++) {
        uint8_t *at = land.data + page * BUS_PAGE + gn_test_random(&random) % BUS_PAGE;

        bus_device_write(at, (uint8_t)(*at ^ 0x40));
        found = look(&w, &land, page) == -GN_ERR_BADMSG;
        /* A page that was never written has no ciphertext to change. */
        assert_true(found || !(w.cc->stats.opens && land_words(&land)[page] & WORD_DATA));
    }
    assert_true(found);
    assert_int_equal(bus.secrets, 0);
    end(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_locked_ways_no_byte_of_plaintext_or_key_reaches_dram),
        cmocka_unit_test(a_coloured_pool_never_evicts_itself_and_nobody_else_does),
        cmocka_unit_test(a_pool_of_one_colour_is_seen_on_the_bus_and_not_called_coloured),
        cmocka_unit_test(a_pool_that_shares_its_colours_is_seen_on_the_bus),
        cmocka_unit_test(a_device_reads_no_plaintext_and_writes_nothing_that_is_believed),
    };

    rng = gn_test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
