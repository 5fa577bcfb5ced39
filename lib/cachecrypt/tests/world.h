/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WORLD_H
#define WORLD_H

/*
 * What the tests share: a pool with one region or more, a cipher of the tests' own, ops that fail
 * when told to, and a log of every (key, nonce) that sealed anything.
 *
 * The cipher is a keystream and a keyed hash: far too weak to be used, but whatever is not what was
 * sealed does not open, and its plaintext is not in its ciphertext. libsodium's have tests of their
 * own beside the adapter.
 */
#include "cachecrypt_internal.h"
#include "gn_test.h"

#define TOY_KEY 32u

/** Sealed (key, nonce) pairs, as hashes of 64 bits: open addressing, grows. */
static struct {
    uint64_t *slot;
    uint64_t size, used, repeats;
} toy_log;

/* Calls that are still to succeed, before one fails; UINT64_MAX: none does. */
static uint64_t fail_seal_in = UINT64_MAX, fail_expand_in = UINT64_MAX;
static uint64_t toy_seals, toy_opens, toy_scrubs;

static inline int falls_due(uint64_t *in)
{
    if (*in == UINT64_MAX)
        return 0;
    if (*in) {
        --*in;
        return 0;
    }
    *in = UINT64_MAX;
    return 1;
}

static inline void toy_log_put(uint64_t pair)
{
    uint64_t i = pair & (toy_log.size - 1);

    while (toy_log.slot[i] && toy_log.slot[i] != pair)
        i = (i + 1) & (toy_log.size - 1);
    toy_log.repeats += toy_log.slot[i] == pair;
    toy_log.used += toy_log.slot[i] != pair;
    toy_log.slot[i] = pair;
}

static inline void toy_log_note(const void *state, const uint8_t *nonce)
{
    uint64_t words[8], hash[2];
    const uint64_t fixed[2] = {1, 2};

    memcpy(words, state, TOY_KEY);
    memcpy(words + 4, nonce, 24);
    words[7] = 0;
    gn_cachecrypt__siphash(fixed, words, 8, hash);
    if (2 * (toy_log.used + 1) > toy_log.size) {
        uint64_t *old = toy_log.slot, n = toy_log.size, i;

        toy_log.size = n ? 2 * n : 1024;
        toy_log.slot = calloc(toy_log.size, sizeof(uint64_t));
        toy_log.used = 0;
        for (i = 0; i < n; i++)
            if (old[i])
                toy_log_put(old[i]);
        free(old);
    }
    toy_log_put(hash[0] | 1);
}

static inline void toy_log_reset(void)
{
    free(toy_log.slot);
    memset(&toy_log, 0, sizeof toy_log);
}

static inline int toy_expand(void *state, const uint8_t *key)
{
    if (falls_due(&fail_expand_in))
        return -GN_ERR_IO;
    memcpy(state, key, TOY_KEY);
    return 0;
}

static inline void toy_stream(const void *state, uint8_t *to, const uint8_t *from, size_t len,
                              const uint8_t *nonce)
{
    uint64_t key[4], n[3], x, word;

    memcpy(key, state, sizeof key);
    memcpy(n, nonce, sizeof n);
    x = (key[0] ^ n[0]) * 0x9e3779b97f4a7c15u ^ key[1] ^ n[1] << 17;
    for (size_t i = 0; i < len; i += 8) {
        x += 0x9e3779b97f4a7c15u;
        word = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
        word = (word ^ word >> 27 ^ key[2]) * 0x94d049bb133111ebu;
        word ^= word >> 31;
        uint64_t v;
        memcpy(&v, from + i, 8);
        v ^= word;
        memcpy(to + i, &v, 8);
    }
}

/** Over ad, nonce, then a text eight words at a time. */
static inline void toy_tag(const void *state, uint8_t *tag, const uint8_t *text, size_t len,
                           const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    uint64_t key[4], block[16] = {len}, hash[2];

    memcpy(key, state, sizeof key);
    memcpy(block + 1, nonce, 24);
    memcpy(block + 4, ad, ad_len);
    gn_cachecrypt__siphash(key + 2, block, 8, hash);
    for (size_t i = 0; i < len; i += 64) {
        memcpy(block, hash, 16);
        memcpy(block + 2, text + i, 64);
        gn_cachecrypt__siphash(key + 2, block, 10, hash);
    }
    memcpy(tag, hash, 16);
}

static inline int toy_seal(const void *state, uint8_t *to, uint8_t *tag, const uint8_t *from,
                           size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    toy_seals++;
    toy_log_note(state, nonce);
    if (falls_due(&fail_seal_in))
        return -GN_ERR_IO;
    toy_stream(state, to, from, len, nonce);
    toy_tag(state, tag, to, len, ad, ad_len, nonce);
    return 0;
}

static inline int toy_open(const void *state, uint8_t *to, const uint8_t *from, const uint8_t *tag,
                           size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    uint8_t want[16];
    uint32_t differ = 0;

    toy_opens++;
    toy_tag(state, want, from, len, ad, ad_len, nonce);
    for (uint32_t i = 0; i < sizeof want; i++)
        differ |= want[i] ^ tag[i];
    /* A careless cipher: what is not authentic stands in the frame. The library must not mind. */
    toy_stream(state, to, from, len, nonce);
    return differ ? -1 : 0;
}

static inline void toy_scrub(void)
{
    toy_scrubs++;
}

static const struct gn_cachecrypt_cipher toy = {
    GN_CACHECRYPT_CIPHER_INIT, .id = GN_CACHECRYPT_CIPHER_OWN,
    .key_bytes = TOY_KEY,      .nonce_bytes = 24,
    .tag_bytes = 16,           .state_bytes = TOY_KEY,
    .expand = toy_expand,      .seal = toy_seal,
    .open = toy_open,          .scrub = toy_scrub,
};

/*
 * The same with the tag over the plaintext, which is always in the pool: so it works on the store
 * itself.
 */

static inline int toy_seal_once(const void *state, uint8_t *to, uint8_t *tag, const uint8_t *from,
                                size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    toy_seals++;
    toy_log_note(state, nonce);
    toy_tag(state, tag, from, len, ad, ad_len, nonce);
    toy_stream(state, to, from, len, nonce);
    return falls_due(&fail_seal_in) ? -GN_ERR_IO : 0; /* after half of its work */
}

static inline int toy_open_once(const void *state, uint8_t *to, const uint8_t *from,
                                const uint8_t *tag, size_t len, const uint8_t *ad, size_t ad_len,
                                const uint8_t *nonce)
{
    uint8_t want[16];
    uint32_t differ = 0;

    toy_opens++;
    toy_stream(state, to, from, len, nonce);
    toy_tag(state, want, to, len, ad, ad_len, nonce);
    for (uint32_t i = 0; i < sizeof want; i++)
        differ |= want[i] ^ tag[i];
    return differ ? -1 : 0;
}

static const struct gn_cachecrypt_cipher toy_once = {
    GN_CACHECRYPT_CIPHER_INIT,
    .id = GN_CACHECRYPT_CIPHER_OWN + 1,
    .key_bytes = TOY_KEY,
    .nonce_bytes = 24,
    .tag_bytes = 16,
    .state_bytes = TOY_KEY,
    .expand = toy_expand,
    .seal = toy_seal_once,
    .open = toy_open_once,
    .scrub = toy_scrub,
    .flags = GN_CACHECRYPT_CIPHER_ONE_PASS,
};

/** What land_plan takes. */
static const struct gn_cachecrypt_cipher *world_cipher = &toy;

/** Runs a group of tests twice: then with a cipher that works on the store itself. */
#define world_run(tests)                                                 \
    ((world_cipher = &toy, cmocka_run_group_tests(tests, NULL, NULL)) || \
     (world_cipher = &toy_once, cmocka_run_group_tests(tests, NULL, NULL)))

/* ---- the world --------------------------------------------------------------------------- */

/** A region and its store. */
struct land {
    uint32_t region, page_bytes;
    uint64_t pages;
    uint8_t *data, *meta;
    uint64_t data_bytes, meta_bytes;
};

struct world {
    struct gn_cachecrypt *cc;
    uint8_t *pool;
    size_t pool_bytes;
    struct gn_cachecrypt_ops ops;
    struct gn_cachecrypt_params params;
    uint64_t random;
    uint64_t fail_random_in, fail_unmap_in, fail_map_in, fail_dma_in;
    uint64_t generation;
    int refuse_unmap; /* ops.unmap fails until told otherwise */
    uint64_t maps, unmaps;
    uint8_t *mapped[64]; /* frame at each page of land 0, by ops.map */
    uint32_t accessed;   /* what ops.accessed answers */
    const char *broken;
};

static inline int world_random(void *ctx, void *to, size_t bytes)
{
    struct world *w = ctx;
    uint8_t *out = to;

    if (falls_due(&w->fail_random_in))
        return -GN_ERR_IO;
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(gn_test_random(&w->random) >> 32);
    return 0;
}

static inline void world_panic(void *ctx, const char *what)
{
    (void)ctx;
    fail_msg("%s", what);
}

/** Frames may be mapped anywhere: the tests look through them. */
static inline int world_map(void *ctx, uint32_t region, uint64_t page, void *frame, uint32_t access)
{
    struct world *w = ctx;

    (void)access;
    if (falls_due(&w->fail_map_in))
        return -GN_ERR_NOMEM;
    w->maps++;
    if (region == 0 && page < 64)
        w->mapped[page] = frame;
    return 0;
}

static inline int world_unmap(void *ctx, uint32_t region, uint64_t page, void *frame)
{
    struct world *w = ctx;

    if (w->refuse_unmap || falls_due(&w->fail_unmap_in))
        return -GN_ERR_IO;
    w->unmaps++;
    if (region == 0 && page < 64) {
        assert_ptr_equal(w->mapped[page], frame);
        w->mapped[page] = NULL;
    }
    return 0;
}

/** A world of so many frames; the caller may change params and ops before world_begin. */
static inline void world_plan(struct world *w, uint32_t frames, uint32_t frame_bytes)
{
    memset(w, 0, sizeof *w);
    toy_log_reset();
    w->random = 0x1234567;
    w->fail_random_in = w->fail_unmap_in = w->fail_map_in = w->fail_dma_in = UINT64_MAX;
    fail_seal_in = fail_expand_in = UINT64_MAX;
    w->ops = (struct gn_cachecrypt_ops){
        GN_CACHECRYPT_OPS_INIT,
        .random = world_random,
        .panic = world_panic,
    };
    w->params = (struct gn_cachecrypt_params){
        GN_CACHECRYPT_PARAMS_INIT,
        .frames = frames,
        .frame_bytes = frame_bytes,
        .regions = 4,
        .nodes = 16,
        .ops = &w->ops,
        .ctx = w,
    };
}

static inline void world_begin(struct world *w)
{
    w->pool_bytes = gn_cachecrypt_size(&w->params);
    w->pool = gn_test_memory(gn_cachecrypt_align(), w->pool_bytes);
    assert_int_equal(gn_cachecrypt_init(w->pool, w->pool_bytes, &w->params, &w->cc), 0);
}

static inline void world_end(struct world *w)
{
    gn_cachecrypt_fini(w->cc);
    for (size_t i = 0; i < w->pool_bytes; i++)
        assert_int_equal(w->pool[i], 0);
    free(w->pool);
    assert_int_equal(toy_log.repeats, 0);
    toy_log_reset();
}

/** Parameters of a region whose store is new. */
static inline struct gn_cachecrypt_region_params land_plan(struct land *land, uint64_t pages,
                                                           uint32_t page_bytes)
{
    land->pages = pages;
    land->page_bytes = page_bytes;
    land->data_bytes = pages * page_bytes;
    land->meta_bytes = gn_cachecrypt_meta_size(pages, &toy);
    land->data = gn_test_memory(64, land->data_bytes);
    land->meta = gn_test_memory(64, land->meta_bytes);
    return (struct gn_cachecrypt_region_params){
        GN_CACHECRYPT_REGION_PARAMS_INIT,
        .page_bytes = page_bytes,
        .pages = pages,
        .cipher = world_cipher,
        .data = land->data,
        .data_bytes = land->data_bytes,
        .meta = land->meta,
        .meta_bytes = land->meta_bytes,
    };
}

static inline void land_add(struct world *w, struct land *land, uint64_t pages, uint32_t page_bytes)
{
    const struct gn_cachecrypt_region_params p = land_plan(land, pages, page_bytes);

    assert_int_equal(gn_cachecrypt_region_add(w->cc, &p, &land->region), 0);
}

static inline void land_free(struct land *land)
{
    free(land->data);
    free(land->meta);
}

static inline void land_remove(struct world *w, struct land *land)
{
    assert_int_equal(gn_cachecrypt_region_remove(w->cc, land->region), 0);
    land_free(land);
}

/** A world with one land, whose pages are as long as the frames. */
static inline void world_with(struct world *w, struct land *land, uint32_t frames,
                              uint32_t page_bytes, uint64_t pages)
{
    world_plan(w, frames, page_bytes);
    world_begin(w);
    land_add(w, land, pages, page_bytes);
}

static inline void world_without(struct world *w, struct land *land)
{
    land_remove(w, land);
    world_end(w);
}

/** Where things are in the store. */
static inline uint8_t *land_page(const struct land *land, uint64_t page)
{
    return land->data + page * land->page_bytes;
}

static inline uint8_t *land_tag(const struct land *land, uint64_t page)
{
    return land->meta + page * 16;
}

static inline uint64_t *land_words(const struct land *land)
{
    return (uint64_t *)(land->meta + land->pages * 16);
}

/** A page of one byte, written whole. */
static inline void put_page(struct world *w, const struct land *land, uint64_t page, uint8_t byte)
{
    uint8_t buffer[GN_CACHECRYPT_PAGE_MAX];

    memset(buffer, byte, land->page_bytes);
    assert_int_equal(
        gn_cachecrypt_write(w->cc, land->region, page * land->page_bytes, buffer, land->page_bytes),
        0);
}

/** Reads a page and demands that it holds one byte all over. */
static inline void want_page(struct world *w, const struct land *land, uint64_t page, uint8_t byte)
{
    uint8_t buffer[GN_CACHECRYPT_PAGE_MAX];

    assert_int_equal(
        gn_cachecrypt_read(w->cc, land->region, page * land->page_bytes, buffer, land->page_bytes),
        0);
    for (uint32_t i = 0; i < land->page_bytes; i++)
        assert_int_equal(buffer[i], byte);
}

/** Reads one byte of a page; the status. */
static inline int look(struct world *w, const struct land *land, uint64_t page)
{
    uint8_t byte;

    return gn_cachecrypt_read(w->cc, land->region, page * land->page_bytes, &byte, 1);
}

/** Everything out of the pool, into the store. */
static inline void put_away(struct world *w, const struct land *land)
{
    assert_int_equal(gn_cachecrypt_evict(w->cc, land->region, 0, land->data_bytes), 0);
    assert_int_equal(gn_cachecrypt_flush(w->cc, land->region), 0);
    /* No cached node hides what is in the store. */
    gn_cachecrypt__tree_drop(w->cc, &w->cc->regions[land->region]);
}

static inline struct gn_cachecrypt_stats world_stats(struct world *w)
{
    struct gn_cachecrypt_stats stats = {GN_CACHECRYPT_STATS_INIT};

    assert_int_equal(gn_cachecrypt_stats_get(w->cc, &stats), 0);
    return stats;
}

static inline struct gn_cachecrypt_region_info land_info(struct world *w, const struct land *land)
{
    struct gn_cachecrypt_region_info info = {GN_CACHECRYPT_REGION_INFO_INIT};

    assert_int_equal(gn_cachecrypt_region_query(w->cc, land->region, &info), 0);
    return info;
}

/** Does memory hold these bytes? */
static inline int holds(const void *at, size_t bytes, const void *what, size_t n)
{
    return memmem(at, bytes, what, n) != NULL;
}

#endif /* WORLD_H */
