/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What memory costs that is ciphertext but for a pool: against the raw calls of the same cipher,
 * and against plain memory.
 *
 *   bench_cachecrypt [--quick] [CIPHER]     a number as in GN_CACHECRYPT_CIPHER_*; 0: the best here
 *
 * 16384 pages of 4 KiB, 256 frames. Everything is measured once a round, one after the other; a
 * ratio is that of two values of one round, so that a machine whose speed drifts moves both. A
 * value is the best of seven tries of a fraction of a millisecond. The raw calls work on one page
 * in the first-level cache, which is the least that they can cost; the library's pages come from a
 * store of 64 MiB, in `near` of 4 MiB, which the last-level cache holds. The work of `rare` is a
 * checksum of a page, which 999 times of 1000 is of a set that the pool holds; `thrash` loads a
 * word of any page at all.
 */
#include <gnomon/cachecrypt_inline.h>
#include <gnomon/cachecrypt_sodium.h>

#include "gn_bench.h"

#define PAGES  16384u
#define FRAMES 256u
#define BYTES  4096u
#define WORDS  (BYTES / 8)
#define SMALL  32u /* pages of the region whose store the second-level cache holds */
#define NEAR   1024u
/** Pages that are in the pool together, with room for a few that pass through. */
#define SET 224u

static const struct gn_cachecrypt_cipher *cipher;
static struct gn_cachecrypt *cc;
static struct gn_cachecrypt_view view;
static uint32_t region, small, near;
static uint8_t *plain; /* as large as the region */
static _Alignas(64) uint8_t key_state[1024], text[BYTES], sealed[BYTES];
static uint8_t tag[GN_CACHECRYPT_TAG_MAX], ad[32], nonce[GN_CACHECRYPT_NONCE_MAX];
static uint64_t at; /* of a walk over pages that never comes back soon */
static volatile uint64_t sink;

static void must(int r)
{
    if (r) {
        fprintf(stderr, "bench_cachecrypt: %s\n", gn_base_status_name(r));
        exit(1);
    }
}

/** Pages in an order that has no neighbours and repeats after all of them. */
static uint64_t next_page(void)
{
    at = (at + 6151) % PAGES;
    return at;
}

static void touch(uint64_t page, uint32_t access)
{
    void *where;

    must(gn_cachecrypt_at(cc, region, &view, page * BYTES, access, &where));
    sink += *(uint64_t *)where;
    if (access == GN_ACCESS_WRITE)
        ++*(uint64_t *)where;
}

/* ---- raw --------------------------------------------------------------------------------- */

static double raw_seal(uint32_t n)
{
    const double begin = gn_bench_now();

    for (uint32_t i = 0; i < n; i++) {
        memcpy(nonce, &i, sizeof i);
        must(cipher->seal(key_state, sealed, tag, text, BYTES, ad, sizeof ad, nonce));
    }
    return gn_bench_now() - begin;
}

static double raw_open(uint32_t n)
{
    double begin;

    (void)raw_seal(1);
    begin = gn_bench_now();
    for (uint32_t i = 0; i < n; i++)
        must(cipher->open(key_state, text, sealed, tag, BYTES, ad, sizeof ad, nonce));
    return gn_bench_now() - begin;
}

/** The same, of pages that come from DRAM. */
static double raw_seal_far(uint32_t n)
{
    const double begin = gn_bench_now();

    for (uint32_t i = 0; i < n; i++) {
        memcpy(nonce, &i, sizeof i);
        must(cipher->seal(key_state, sealed, tag, plain + next_page() * BYTES, BYTES, ad, sizeof ad,
                          nonce));
    }
    return gn_bench_now() - begin;
}

/* ---- a page's way ------------------------------------------------------------------------ */

static void empty_pool(void)
{
    must(gn_cachecrypt_evict(cc, region, 0, (uint64_t)PAGES * BYTES));
    must(gn_cachecrypt_evict(cc, small, 0, SMALL * BYTES));
    must(gn_cachecrypt_evict(cc, near, 0, NEAR * BYTES));
}

/* n is a multiple of FRAMES, and of SMALL. */

static void touch_small(uint64_t page, uint32_t access)
{
    void *where;

    must(gn_cachecrypt_touch(cc, small, page * BYTES, access, &where));
}

static double lib_seal(uint32_t n)
{
    double ns = 0, begin;

    empty_pool();
    for (uint32_t done = 0; done < n; done += SMALL) {
        for (uint32_t i = 0; i < SMALL; i++)
            touch_small(i, GN_ACCESS_WRITE);
        begin = gn_bench_now();
        must(gn_cachecrypt_flush(cc, small));
        ns += gn_bench_now() - begin;
    }
    return ns;
}

static double lib_open(uint32_t n)
{
    double ns = 0, begin;

    empty_pool();
    for (uint32_t done = 0; done < n; done += SMALL) {
        must(gn_cachecrypt_evict(cc, small, 0, SMALL * BYTES));
        begin = gn_bench_now();
        for (uint32_t i = 0; i < SMALL; i++)
            touch_small(i, GN_ACCESS_READ);
        ns += gn_bench_now() - begin;
    }
    return ns;
}

static double read_miss(uint32_t n)
{
    double begin;

    empty_pool();
    for (uint32_t i = 0; i < FRAMES; i++)
        touch(next_page(), GN_ACCESS_READ);
    begin = gn_bench_now();
    for (uint32_t i = 0; i < n; i++)
        touch(next_page(), GN_ACCESS_READ);
    return gn_bench_now() - begin;
}

static double write_miss(uint32_t n)
{
    double begin;

    for (uint32_t i = 0; i < FRAMES; i++)
        touch(next_page(), GN_ACCESS_WRITE);
    begin = gn_bench_now();
    for (uint32_t i = 0; i < n; i++)
        touch(next_page(), GN_ACCESS_WRITE);
    return gn_bench_now() - begin;
}

/** Misses in the near region, whose victims are of it as well. */
static double miss_near(uint32_t n, uint32_t access)
{
    uint64_t page = 0;
    double begin = 0;
    void *where;

    empty_pool();
    for (uint32_t i = 0; i < FRAMES + n; i++) {
        if (i == FRAMES)
            begin = gn_bench_now();
        page = (page + 389) % NEAR;
        must(gn_cachecrypt_touch(cc, near, page * BYTES, access, &where));
    }
    return gn_bench_now() - begin;
}

static double read_miss_near(uint32_t n)
{
    return miss_near(n, GN_ACCESS_READ);
}

static double write_miss_near(uint32_t n)
{
    return miss_near(n, GN_ACCESS_WRITE);
}

static double evict(uint32_t n, uint32_t access)
{
    double ns = 0, begin;

    for (uint32_t done = 0; done < n; done += FRAMES) {
        empty_pool();
        for (uint32_t i = 0; i < FRAMES; i++)
            touch(next_page(), access);
        begin = gn_bench_now();
        must(gn_cachecrypt_evict(cc, region, 0, (uint64_t)PAGES * BYTES));
        ns += gn_bench_now() - begin;
    }
    return ns;
}

static double evict_clean(uint32_t n)
{
    return evict(n, GN_ACCESS_READ);
}

static double evict_dirty(uint32_t n)
{
    return evict(n, GN_ACCESS_WRITE);
}

static double resweep(uint32_t n)
{
    const double begin = gn_bench_now();
    uint64_t left = 1;
    double ns;

    for (uint32_t done = 0; done < n; done += 64) {
        const int r = gn_cachecrypt_rekey(cc, region);

        if (r != -GN_ERR_AGAIN)
            must(r);
        must(gn_cachecrypt_rekey_step(cc, region, 64, &left));
    }
    ns = gn_bench_now() - begin;
    must(gn_cachecrypt_rekey_step(cc, region, 0, &left));
    return ns;
}

/* ---- hits -------------------------------------------------------------------------------- */

static void fill_set(void)
{
    for (uint32_t i = 0; i < SET; i++)
        touch(i, GN_ACCESS_READ);
    for (uint32_t i = 0; i < SET; i++)
        if (!gn_cachecrypt_hit(&view, (uint64_t)i * BYTES, 0))
            touch(i, GN_ACCESS_READ);
}

/** Where the next random load goes: it depends on the one before, as in a chain of pointers. */
static uint64_t chain(uint64_t x, uint64_t loaded)
{
    return (x + loaded) * 6364136223846793005u + 1442695040888963407u;
}

static double hit_plain(uint32_t n)
{
    uint64_t x = 1;
    double begin;

    fill_set();
    begin = gn_bench_now();
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t offset = ((x >> 32) * (SET * BYTES) >> 32) & ~(uint64_t)7;

        x = chain(x, *(uint64_t *)(plain + offset));
    }
    sink += x;
    return gn_bench_now() - begin;
}

static double hit_pool(uint32_t n)
{
    uint64_t x = 1;
    double begin;

    fill_set();
    begin = gn_bench_now();
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t offset = ((x >> 32) * (SET * BYTES) >> 32) & ~(uint64_t)7;
        void *where;

        must(gn_cachecrypt_at(cc, region, &view, offset, GN_ACCESS_READ, &where));
        x = chain(x, *(uint64_t *)where);
    }
    sink += x;
    return gn_bench_now() - begin;
}

/** A checksum whose steps depend on one another. */
static uint64_t checksum(const uint64_t *word)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < WORDS; i++)
        sum = (sum ^ word[i]) * 0x100000001b3u;
    return sum;
}

static double span_plain(uint32_t n)
{
    double begin;

    fill_set();
    begin = gn_bench_now();
    for (uint32_t i = 0; i < n; i++)
        sink += checksum((const uint64_t *)(plain + (uint64_t)(i % SET) * BYTES));
    return gn_bench_now() - begin;
}

static double span_pool(uint32_t n)
{
    struct gn_cachecrypt_span span;
    double begin;

    fill_set();
    begin = gn_bench_now();
    for (uint32_t i = 0; i < n; i++) {
        must(gn_cachecrypt_pin(cc, region, (uint64_t)(i % SET) * BYTES, BYTES, GN_ACCESS_READ,
                               &span));
        sink += checksum(span.at);
        must(gn_cachecrypt_unpin(cc, &span));
    }
    return gn_bench_now() - begin;
}

/* ---- whole workloads --------------------------------------------------------------------- */

static uint64_t rare_page(uint32_t i)
{
    return i % 1000 == 999 ? SET + next_page() % (PAGES - SET) : i * 131 % SET;
}

static double rare_plain(uint32_t n)
{
    double begin;

    fill_set();
    begin = gn_bench_now();
    for (uint32_t i = 0; i < n; i++)
        sink += checksum((const uint64_t *)(plain + rare_page(i) * BYTES));
    return gn_bench_now() - begin;
}

static double rare_pool(uint32_t n)
{
    double begin;
    void *where;

    fill_set();
    begin = gn_bench_now();
    for (uint32_t i = 0; i < n; i++) {
        must(gn_cachecrypt_at(cc, region, &view, rare_page(i) * BYTES, GN_ACCESS_READ, &where));
        sink += checksum(where);
    }
    return gn_bench_now() - begin;
}

static double thrash_plain(uint32_t n)
{
    const double begin = gn_bench_now();

    for (uint32_t i = 0; i < n; i++)
        sink += *(uint64_t *)(plain + next_page() * BYTES);
    return gn_bench_now() - begin;
}

static double thrash_pool(uint32_t n)
{
    const double begin = gn_bench_now();

    for (uint32_t i = 0; i < n; i++)
        touch(next_page(), GN_ACCESS_READ);
    return gn_bench_now() - begin;
}

/* ---- all of it ---------------------------------------------------------------------------- */

enum {
    RAW_SEAL,
    RAW_OPEN,
    RAW_SEAL_FAR,
    LIB_SEAL,
    LIB_OPEN,
    READ_MISS,
    WRITE_MISS,
    READ_NEAR,
    WRITE_NEAR,
    EVICT_CLEAN,
    EVICT_DIRTY,
    RESWEEP,
    HIT_PLAIN,
    HIT_POOL,
    SPAN_PLAIN,
    SPAN_POOL,
    RARE_PLAIN,
    RARE_POOL,
    THRASH_PLAIN,
    THRASH_POOL,
    BODIES
};

static const struct {
    const char *name;
    double (*body)(uint32_t n);
    uint32_t n;
} bodies[BODIES] = {
    [RAW_SEAL] = {"raw_seal", raw_seal, 256},
    [RAW_OPEN] = {"raw_open", raw_open, 256},
    [RAW_SEAL_FAR] = {"raw_seal_far", raw_seal_far, 256},
    [LIB_SEAL] = {"seal", lib_seal, 128},
    [LIB_OPEN] = {"open", lib_open, 128},
    [READ_MISS] = {"read_miss_clean_victim", read_miss, 256},
    [WRITE_MISS] = {"write_miss_dirty_victim", write_miss, 256},
    [READ_NEAR] = {"near_read_miss_clean_victim", read_miss_near, 256},
    [WRITE_NEAR] = {"near_write_miss_dirty_victim", write_miss_near, 256},
    [EVICT_CLEAN] = {"evict_clean", evict_clean, 256},
    [EVICT_DIRTY] = {"evict_dirty", evict_dirty, 256},
    [RESWEEP] = {"rekey_page", resweep, 256},
    [HIT_PLAIN] = {"plain_random_load", hit_plain, 20000},
    [HIT_POOL] = {"hit", hit_pool, 20000},
    [SPAN_PLAIN] = {"plain_page", span_plain, 448},
    [SPAN_POOL] = {"span_page", span_pool, 448},
    [RARE_PLAIN] = {"plain_rare", rare_plain, 1000},
    [RARE_POOL] = {"rare", rare_pool, 1000},
    [THRASH_PLAIN] = {"plain_thrash", thrash_plain, 256},
    [THRASH_POOL] = {"thrash", thrash_pool, 256},
};

/** Tries of a sample. */
#define TRIES 7u

static double samples[BODIES][GN_BENCH_RUNS];

/** Prints (a + plus) / (b + b2), round by round. */
static void ratio(const char *name, uint32_t a, uint32_t b, uint32_t b2, uint32_t runs)
{
    double sample[GN_BENCH_RUNS];

    for (uint32_t i = 0; i < runs; i++)
        sample[i] = samples[a][i] / (samples[b][i] + (b2 < BODIES ? samples[b2][i] : 0));
    gn_bench_print(name, "ratio", 3, gn_bench_summary(sample, runs), runs);
}

static void print_all(uint32_t runs)
{
    ratio("seal_per_raw_seal", LIB_SEAL, RAW_SEAL, BODIES, runs);
    ratio("open_per_raw_open", LIB_OPEN, RAW_OPEN, BODIES, runs);
    ratio("read_miss_per_raw_open", READ_MISS, RAW_OPEN, BODIES, runs);
    ratio("read_miss_per_raw_far", READ_MISS, RAW_SEAL_FAR, BODIES, runs);
    ratio("write_miss_per_raw_seal_and_open", WRITE_MISS, RAW_SEAL, RAW_OPEN, runs);
    ratio("near_read_miss_per_raw_open", READ_NEAR, RAW_OPEN, BODIES, runs);
    ratio("near_write_miss_per_raw_seal_and_open", WRITE_NEAR, RAW_SEAL, RAW_OPEN, runs);
    ratio("evict_clean_per_dirty", EVICT_CLEAN, EVICT_DIRTY, BODIES, runs);
    ratio("rekey_page_per_raw_seal_and_open", RESWEEP, RAW_SEAL, RAW_OPEN, runs);
    ratio("hit_per_plain_load", HIT_POOL, HIT_PLAIN, BODIES, runs);
    ratio("span_per_plain_page", SPAN_POOL, SPAN_PLAIN, BODIES, runs);
    ratio("rare_misses_per_plain", RARE_POOL, RARE_PLAIN, BODIES, runs);
    ratio("thrash_per_plain", THRASH_POOL, THRASH_PLAIN, BODIES, runs);
    for (uint32_t i = 0; i < BODIES; i++)
        gn_bench_print(bodies[i].name, "ns", 2, gn_bench_summary(samples[i], runs),
                       (uint64_t)runs * bodies[i].n);
    gn_bench_value("metadata", "permille", 3,
                   1000.0 * (double)gn_cachecrypt_meta_size(PAGES, cipher) / PAGES / BYTES, PAGES);
}

/* What begin() allocates, for end(). */
static void *held[8];
static uint32_t held_count;

static void *hold(uint64_t bytes)
{
    void *memory = aligned_alloc(4096, (bytes + 4095) & ~(uint64_t)4095);

    held[held_count++] = memory;
    return memory;
}

static void end(void)
{
    gn_cachecrypt_fini(cc);
    while (held_count)
        free(held[--held_count]);
}

static void add(uint64_t pages, uint32_t *ret_region)
{
    struct gn_cachecrypt_region_params r = {GN_CACHECRYPT_REGION_PARAMS_INIT, .pages = pages,
                                            .cipher = cipher};

    r.data_bytes = pages * BYTES;
    r.meta_bytes = gn_cachecrypt_meta_size(pages, cipher);
    r.data = hold(r.data_bytes);
    r.meta = hold(r.meta_bytes);
    must(gn_cachecrypt_region_add(cc, &r, ret_region));
    for (uint64_t page = 0; page < pages; page++)
        must(gn_cachecrypt_write(cc, *ret_region, page * BYTES, plain + page * BYTES, BYTES));
}

static void begin(uint32_t id)
{
    static const struct gn_cachecrypt_ops ops = {GN_CACHECRYPT_OPS_INIT,
                                                 .random = gn_cachecrypt_sodium_random};
    const struct gn_cachecrypt_params params = {GN_CACHECRYPT_PARAMS_INIT, .frames = FRAMES,
                                                .regions = 3, .ops = &ops};
    const size_t bytes = gn_cachecrypt_size(&params);
    const uint8_t key[GN_CACHECRYPT_KEY_MAX] = {1};

    must(gn_cachecrypt_sodium_cipher(id, &cipher));
    must(cipher->expand(key_state, key));
    must(gn_cachecrypt_init(hold(bytes), bytes, &params, &cc));
    plain = hold((uint64_t)PAGES * BYTES);
    memset(plain, 0x5a, (uint64_t)PAGES * BYTES);
    add(PAGES, &region);
    add(SMALL, &small);
    add(NEAR, &near);
    must(gn_cachecrypt_view_get(cc, region, &view));
}

/** The best of a few short tries: whoever else uses the processor is not in all of them. */
static double sample(uint32_t which, uint32_t tries)
{
    double best = bodies[which].body(bodies[which].n);

    while (--tries) {
        const double ns = bodies[which].body(bodies[which].n);

        best = ns < best ? ns : best;
    }
    return best / bodies[which].n;
}

int main(int argc, char **argv)
{
    const int quick = gn_bench_quick(argc, argv);
    const uint32_t runs = quick ? 1 : GN_BENCH_RUNS;

    begin(argc > 1 + quick ? (uint32_t)atoi(argv[1 + quick]) : 0);
    gn_bench_header();
    gn_bench_value("cipher", "id", 0, cipher->id, 1);
    for (uint32_t run = 0; run < runs; run++)
        for (uint32_t i = 0; i < BODIES; i++)
            samples[i][run] = sample(i, quick ? 1 : TRIES);
    print_all(runs);
    end();
    return 0;
}
