/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libsodium's ciphers through the table: known answers, and the pool with each of them. A cipher
 * that is not here is named in the output.
 *
 * Known answers: AES-256-GCM, McGrew and Viega, "The Galois/Counter Mode of Operation", test cases
 * 14 and 16; XChaCha20-Poly1305, draft-irtf-cfrg-xchacha-03 §A.3.1; AEGIS-256, draft-irtf-cfrg-
 * aegis-aead §A.4, test vectors 2 and 4 with 256-bit tags. The hash of the tree, against
 * libsodium's own.
 */
#define _GNU_SOURCE
#include <sodium.h>

#include <gnomon/cachecrypt_sodium.h>
#include <pthread.h>

#include "cachecrypt_internal.h"
#include "gn_test.h"
#include "known.h"

static const uint32_t ids[] = {GN_CACHECRYPT_CIPHER_AEGIS256, GN_CACHECRYPT_CIPHER_AES256GCM,
                               GN_CACHECRYPT_CIPHER_XCHACHA20};
static const char *const names[] = {"", "AEGIS-256", "AES-256-GCM", "XChaCha20-Poly1305"};

static const struct gn_cachecrypt_cipher *get(uint32_t id)
{
    const struct gn_cachecrypt_cipher *cipher = NULL;
    const int r = gn_cachecrypt_sodium_cipher(id, &cipher);

    if (r == -GN_ERR_NOTSUP) {
        assert_null(cipher);
        print_message("not here: %s\n", names[id]);
        return NULL;
    }
    assert_int_equal(r, 0);
    assert_int_equal(cipher->id, id);
    return cipher;
}

static void each_cipher_gives_the_known_answers(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < KNOWN; i++) {
        const struct gn_cachecrypt_cipher *cipher = get(known[i].id);

        if (cipher)
            assert_int_equal(known_wrong(cipher, &known[i]), 0);
    }
}

static void each_bit_that_is_authenticated_counts(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        const struct gn_cachecrypt_cipher *cipher = get(ids[i]);
        uint8_t text[64] = "a page", sealed[64], opened[64], tag[GN_CACHECRYPT_TAG_MAX];
        uint8_t ad[32] = {1}, nonce[GN_CACHECRYPT_NONCE_MAX] = {2},
                key[GN_CACHECRYPT_KEY_MAX] = {3};
        uint8_t *const part[] = {sealed, tag, ad, nonce};
        static _Alignas(64) uint8_t expanded[1024];

        if (!cipher)
            continue;
        const uint32_t bytes[] = {64, cipher->tag_bytes, 32, cipher->nonce_bytes};
        assert_in_range(cipher->state_bytes, 1, sizeof expanded);
        assert_int_equal(cipher->expand(expanded, key), 0);
        assert_int_equal(cipher->seal(expanded, sealed, tag, text, 64, ad, 32, nonce), 0);
        for (uint32_t p = 0; p < 4; p++)
            for (uint32_t bit = 0; bit < 8 * bytes[p]; bit++) {
                part[p][bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_not_equal(cipher->open(expanded, opened, sealed, tag, 64, ad, 32, nonce),
                                     0);
                part[p][bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
        /* In place, as the pool does it. */
        assert_int_equal(cipher->open(expanded, sealed, sealed, tag, 64, ad, 32, nonce), 0);
        assert_memory_equal(sealed, text, 64);
    }
}

/* Of the tree: the same function as libsodium's, of which neither is made of the other. */
static void the_hash_of_nodes_is_siphash_with_128_bits(void **state)
{
    uint64_t key[2], word[40], got[2];
    uint8_t want[16];

    (void)state;
    for (uint32_t n = 0; n <= 40; n++) {
        randombytes_buf(key, sizeof key);
        randombytes_buf(word, sizeof word);
        gn_cachecrypt__siphash(key, word, n, got);
        crypto_shorthash_siphashx24(want, (const uint8_t *)word, n * 8, (const uint8_t *)key);
        assert_memory_equal(got, want, 16);
        word[0] = n % 3;
        word[1] = n * 1000;
        gn_cachecrypt__node_hash(key, n % 3, n * 1000, word + 2, got);
        crypto_shorthash_siphashx24(want, (const uint8_t *)word, 18 * 8, (const uint8_t *)key);
        assert_memory_equal(got, want, 16);
    }
}

static void the_best_cipher_is_one_of_these_and_others_are_unknown(void **state)
{
    const struct gn_cachecrypt_cipher *best = NULL, *none = NULL;

    (void)state;
    assert_int_equal(gn_cachecrypt_sodium_cipher(0, &best), 0);
    for (uint32_t i = 0; i < 3; i++) {
        const struct gn_cachecrypt_cipher *cipher = get(ids[i]);

        if (cipher) {
            assert_ptr_equal(cipher, best);
            break;
        }
    }
    assert_int_equal(gn_cachecrypt_sodium_cipher(0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_sodium_cipher(77, &none), -GN_ERR_NOTSUP);
    assert_null(none);
}

/* ---- the pool with each of them ------------------------------------------------------------ */

#define PAGES 100u

struct place {
    struct gn_cachecrypt *cc;
    uint8_t *pool, *data, *meta;
    size_t pool_bytes;
    uint64_t meta_bytes;
    uint32_t region;
};

static void begin(struct place *p, const struct gn_cachecrypt_cipher *cipher)
{
    const struct gn_cachecrypt_ops ops = {GN_CACHECRYPT_OPS_INIT,
                                          .random = gn_cachecrypt_sodium_random};
    const struct gn_cachecrypt_params params = {GN_CACHECRYPT_PARAMS_INIT, .frames = 4,
                                                .ops = &ops};
    struct gn_cachecrypt_region_params region = {GN_CACHECRYPT_REGION_PARAMS_INIT, .pages = PAGES,
                                                 .cipher = cipher};

    p->pool_bytes = gn_cachecrypt_size(&params);
    p->pool = gn_test_memory(4096, p->pool_bytes);
    assert_int_equal(gn_cachecrypt_init(p->pool, p->pool_bytes, &params, &p->cc), 0);
    region.data = p->data = gn_test_memory(64, PAGES * 4096);
    region.data_bytes = PAGES * 4096;
    region.meta_bytes = p->meta_bytes = gn_cachecrypt_meta_size(PAGES, cipher);
    region.meta = p->meta = gn_test_memory(64, p->meta_bytes);
    assert_int_equal(gn_cachecrypt_region_add(p->cc, &region, &p->region), 0);
}

static void end(struct place *p)
{
    gn_cachecrypt_fini(p->cc);
    for (size_t i = 0; i < p->pool_bytes; i++)
        assert_int_equal(p->pool[i], 0);
    free(p->pool);
    free(p->data);
    free(p->meta);
}

static void pages_come_back_by_each_cipher_and_no_false_ones(void **state)
{
    char text[4096], back[4096];

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        const struct gn_cachecrypt_cipher *cipher = get(ids[i]);
        struct place p;

        if (!cipher)
            continue;
        begin(&p, cipher);
        for (uint32_t page = 0; page < PAGES; page++) {
            snprintf(text, sizeof text, "a secret of page %u, and of nobody else", page);
            assert_int_equal(gn_cachecrypt_write(p.cc, p.region, page * 4096, text, sizeof text),
                             0);
        }
        for (uint32_t page = 0; page < PAGES; page++) {
            snprintf(text, sizeof text, "a secret of page %u, and of nobody else", page);
            assert_int_equal(gn_cachecrypt_read(p.cc, p.region, page * 4096, back, sizeof back), 0);
            assert_string_equal(text, back);
        }
        assert_int_equal(gn_cachecrypt_rekey(p.cc, p.region), 0);
        assert_int_equal(gn_cachecrypt_rekey_step(p.cc, p.region, 0, NULL), 0);
        assert_int_equal(gn_cachecrypt_evict(p.cc, p.region, 0, PAGES * 4096), 0);
        assert_null(memmem(p.data, PAGES * 4096, "a secret of page", 16));
        assert_null(memmem(p.pool, p.pool_bytes, "a secret of page", 16));
        p.data[5 * 4096 + 7] ^= 1;
        assert_int_equal(gn_cachecrypt_read(p.cc, p.region, 4 * 4096, back, 1), 0);
        assert_int_equal(gn_cachecrypt_read(p.cc, p.region, 5 * 4096, back, 1), -GN_ERR_BADMSG);
        end(&p);
    }
}

/* ---- attack class 1: ciphers that work on the store itself --------------------------------- */

static uint8_t shared[4096]; /* a page of the store, which somebody else changes */
static _Atomic int vandal_stop;

static void *vandal(void *unused)
{
    volatile uint8_t *at = shared;

    (void)unused;
    for (uint64_t x = 1; !vandal_stop; x = x * 6364136223846793005u + 1442695040888963407u) {
        at[x >> 52] ^= 1;
        at[x >> 52] ^= 1;
    }
    return NULL;
}

/** Seals and opens in memory that changes: the tag is that of undisturbed work, the text too. */
static void want_one_pass(const struct gn_cachecrypt_cipher *cipher)
{
    static _Alignas(64) uint8_t key_state[1024];
    static uint8_t text[4096], quiet[4096], back[4096];
    const uint8_t key[GN_CACHECRYPT_KEY_MAX] = {3}, nonce[GN_CACHECRYPT_NONCE_MAX] = {4};
    uint8_t want[GN_CACHECRYPT_TAG_MAX], tag[GN_CACHECRYPT_TAG_MAX], ad[32] = {5};

    for (uint32_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 31 + i / 256);
    assert_int_equal(cipher->expand(key_state, key), 0);
    assert_int_equal(cipher->seal(key_state, quiet, want, text, sizeof text, ad, 32, nonce), 0);
    for (uint32_t i = 0; i < 3000; i++) {
        assert_int_equal(cipher->seal(key_state, shared, tag, text, sizeof text, ad, 32, nonce), 0);
        assert_memory_equal(tag, want, cipher->tag_bytes);
        memcpy(shared, quiet, sizeof quiet);
        if (!cipher->open(key_state, back, shared, want, sizeof back, ad, 32, nonce))
            assert_memory_equal(back, text, sizeof text);
    }
}

__attribute__((no_sanitize("thread"))) static void
a_cipher_that_says_one_pass_is_not_misled_by_changes_underway(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        const struct gn_cachecrypt_cipher *cipher = get(ids[i]);
        pthread_t thread;

        if (!cipher || !(cipher->flags & GN_CACHECRYPT_CIPHER_ONE_PASS))
            continue;
        vandal_stop = 0;
        assert_int_equal(pthread_create(&thread, NULL, vandal, NULL), 0);
        want_one_pass(cipher);
        vandal_stop = 1;
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

/* ---- attack class 9: what a call leaves behind ----------------------------------------------- */

/* Under the address sanitizer frames are elsewhere, and below the stack pointer is its business. */
#if defined(__SANITIZE_ADDRESS__)
#define STACK_IS_INSTRUMENTED 1
#elif defined(__has_feature)
#define STACK_IS_INSTRUMENTED __has_feature(address_sanitizer)
#else
#define STACK_IS_INSTRUMENTED 0
#endif

/** What stands below the stack pointer of its caller. */
__attribute__((noinline)) static void copy_dead_stack(uint8_t *to, size_t bytes)
{
    const uint8_t *top = __builtin_frame_address(0);

    __asm__ volatile("" : "+r"(top));
    for (size_t i = 0; i < bytes; i++)
        to[i] = *(const volatile uint8_t *)(top - bytes + i);
}

__attribute__((no_sanitize("address"))) static void no_key_stays_on_the_stack(void **state)
{
    static uint8_t stack[16384];
    char text[4096] = "a marker of sixteen bytes and more";

    (void)state;
    if (STACK_IS_INSTRUMENTED)
        skip();
    for (uint32_t i = 0; i < 3; i++) {
        const struct gn_cachecrypt_cipher *cipher = get(ids[i]);
        struct place p;

        if (!cipher)
            continue;
        begin(&p, cipher);
        assert_int_equal(gn_cachecrypt_write(p.cc, p.region, 0, text, sizeof text), 0);
        assert_int_equal(gn_cachecrypt_evict(p.cc, p.region, 0, 4096), 0);
        copy_dead_stack(stack, sizeof stack);
        /* What looks random and stands in the pool as well is of a key, or of the tree. */
        for (size_t b = 0; b + 16 <= sizeof stack; b += 8) {
            uint64_t words[2];

            memcpy(words, stack + b, 16);
            if (words[0] > UINT32_MAX && words[1] > UINT32_MAX && words[0] >> 48 &&
                words[1] >> 48 && memmem(p.pool, p.pool_bytes, stack + b, 16))
                fail_msg("%s: sixteen bytes of the pool lie %zu bytes below the stack pointer",
                         names[ids[i]], sizeof stack - b);
        }
        end(&p);
    }
}

static const uint8_t stain[16] = "\xa5 stain, stained";

/** Leaves its first byte all over the stack that will be used. */
__attribute__((noinline)) static void stain_stack(void)
{
    uint8_t dead[73728];

    memset(dead, stain[0], sizeof dead);
    __asm__ volatile("" : : "r"(dead) : "memory");
}

#ifdef __x86_64__
/** Loads a register with the stain, calls, and looks. */
__attribute__((noinline)) static int register_keeps_stain(void (*scrub)(void))
{
    uint8_t after[16] = {0};

    __asm__ volatile("movdqu %0, %%xmm9" : : "m"(stain) : "xmm9");
    scrub();
    __asm__ volatile("movdqu %%xmm9, %0" : "=m"(after));
    return !memcmp(after, stain, 16);
}
#else
static int register_keeps_stain(void (*scrub)(void))
{
    scrub();
    return 0;
}
#endif

/** How many zeros end, downwards, the dead stack that is no longer stained; 0: none. */
static size_t cleared(void)
{
    static uint8_t stack[65536];
    size_t deepest = 0, zeros = 0;

    copy_dead_stack(stack, sizeof stack);
    assert_int_equal(stack[0], stain[0]); /* deeper than anything */
    while (deepest < sizeof stack && stack[deepest] == stain[0])
        deepest++;
    /* Where the scrub itself calls, a return address is the deepest of all. */
    for (size_t i = 0; i < 64 && stack[deepest]; i++)
        deepest++;
    while (deepest + zeros < sizeof stack && !stack[deepest + zeros])
        zeros++;
    return zeros >= 256 ? zeros : 0;
}

__attribute__((no_sanitize("address"))) static void
a_scrub_clears_the_dead_stack_and_vector_registers(void **state)
{
    (void)state;
    if (STACK_IS_INSTRUMENTED)
        skip();
    for (uint32_t i = 0; i < 3; i++) {
        const struct gn_cachecrypt_cipher *cipher = get(ids[i]);

        if (!cipher)
            continue;
        stain_stack();
        cipher->scrub();
        assert_int_not_equal(cleared(), 0);
        assert_int_equal(register_keeps_stain(cipher->scrub), 0);
    }
}

/** The way of the library to the cipher and back that is the deepest: out with one, in with
 * another. */
__attribute__((noinline)) static int go_deep(struct place *p, uint32_t page)
{
    uint8_t byte = 1;

    return gn_cachecrypt_write(p->cc, p->region, page * 4096, &byte, 1);
}

__attribute__((no_sanitize("address"))) static void
a_scrub_reaches_as_deep_as_its_cipher(void **state)
{
    (void)state;
    if (STACK_IS_INSTRUMENTED)
        skip();
    for (uint32_t i = 0; i < 3; i++) {
        const struct gn_cachecrypt_cipher *cipher = get(ids[i]);
        struct place p;

        if (!cipher)
            continue;
        begin(&p, cipher);
        for (uint32_t page = 0; page < 2 * PAGES; page++) {
            stain_stack();
            assert_int_equal(go_deep(&p, page % PAGES), 0);
            if (page < PAGES) /* nothing was there to open */
                continue;
            /* The deepest that was changed is what the scrub cleared: it went beyond the cipher. */
            if (!cleared())
                fail_msg("%s: its stack is deeper than its scrub", names[ids[i]]);
        }
        end(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cipher_gives_the_known_answers),
        cmocka_unit_test(each_bit_that_is_authenticated_counts),
        cmocka_unit_test(the_hash_of_nodes_is_siphash_with_128_bits),
        cmocka_unit_test(the_best_cipher_is_one_of_these_and_others_are_unknown),
        cmocka_unit_test(pages_come_back_by_each_cipher_and_no_false_ones),
        cmocka_unit_test(a_cipher_that_says_one_pass_is_not_misled_by_changes_underway),
        cmocka_unit_test(no_key_stays_on_the_stack),
        cmocka_unit_test(a_scrub_clears_the_dead_stack_and_vector_registers),
        cmocka_unit_test(a_scrub_reaches_as_deep_as_its_cipher),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
