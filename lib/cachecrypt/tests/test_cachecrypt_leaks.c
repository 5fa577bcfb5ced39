/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whoever makes the library say too much: counters rolled back, pages moved, stale plaintext,
 * guesses, content that was not verified.
 */
#define _GNU_SOURCE
#include "attack.h"

/* ---- 4: counters rolled back before a write ----------------------------------------------- */

static void a_word_rolled_back_before_an_eviction_repeats_no_nonce(void **state)
{
    uint64_t old;

    (void)state;
    begin();
    put_page(&w, &land, 7, 1);
    put_away(&w, &land);
    old = land_words(&land)[7];
    put_page(&w, &land, 7, 2);
    put_away(&w, &land);
    /* The page is in the pool and changed, its leaf is not; the seal would take the next word. */
    want_page(&w, &land, 7, 2);
    put_page(&w, &land, 7, 3);
    gn_cachecrypt__tree_drop(w.cc, &w.cc->regions[land.region]);
    land_words(&land)[7] = old;
    toy_seals = 0;
    assert_int_equal(gn_cachecrypt_flush(w.cc, land.region), -GN_ERR_BADMSG);
    assert_int_equal(toy_seals, 0);
    assert_int_equal(toy_log.repeats, 0);
    want_dead();
    end();
}

/** Puts back as much of an old meta as is said: the tags and words, those and the nodes, all. */
static void roll_back(const uint8_t *old, uint32_t parts)
{
    const size_t tags = PAGES * 16, words = tags + (PAGES + 15) / 16 * NODE_BYTES;

    memcpy(land.meta, old, parts == 0 ? tags : parts == 1 ? words : land.meta_bytes);
}

/** One round: pages are sealed, changed in the pool, the store goes back, they leave the pool. */
static void roll_back_before_writes(uint32_t parts, uint32_t nodes_known)
{
    uint8_t *old;
    int r;

    begin();
    furnish();
    old = gn_test_memory(64, land.meta_bytes);
    memcpy(old, land.meta, land.meta_bytes);
    for (uint8_t page = 1; page <= 40; page++)
        put_page(&w, &land, page, (uint8_t)(page + 1)); /* again, under new words */
    put_away(&w, &land);
    for (uint8_t page = 1; page <= 4; page++)
        put_page(&w, &land, page, 77); /* in the pool, dirty */
    if (!nodes_known)
        gn_cachecrypt__tree_drop(w.cc, &w.cc->regions[land.region]);
    roll_back(old, parts);
    toy_seals = 0;
    r = gn_cachecrypt_evict(w.cc, land.region, 0, land.data_bytes);
    /* Tags alone are overwritten; known nodes are better than the store; else nothing is sealed. */
    assert_int_equal(r, parts == 0 || nodes_known ? 0 : -GN_ERR_BADMSG);
    assert_int_equal(toy_seals, r ? 0 : 4);
    assert_int_equal(toy_log.repeats, 0);
    free(old);
    end();
}

static void a_store_rolled_back_before_evictions_repeats_no_nonce(void **state)
{
    (void)state;
    for (uint32_t parts = 0; parts < 3; parts++)
        for (uint32_t nodes_known = 0; nodes_known < 2; nodes_known++)
            roll_back_before_writes(parts, nodes_known);
}

static void a_seal_that_fails_uses_its_word_up(void **state)
{
    (void)state;
    begin();
    put_page(&w, &land, 7, 1);
    for (uint32_t i = 0; i < 5; i++) {
        fail_seal_in = 0;
        assert_int_equal(gn_cachecrypt_flush(w.cc, land.region), -GN_ERR_IO);
        assert_int_equal(land_info(&w, &land).dirty, 1);
    }
    put_away(&w, &land);
    assert_int_equal(land_words(&land)[7] & WORD_SEALS, 6);
    want_page(&w, &land, 7, 1);
    end(); /* which looks at the log */
}

/* ---- 5: relocation ----------------------------------------------------------------------- */

static void two_pages_with_all_that_is_theirs_cannot_be_swapped(void **state)
{
    (void)state;
    begin();
    furnish();
    swap(land_page(&land, 7), land_page(&land, 8), BYTES);
    swap(land_tag(&land, 7), land_tag(&land, 8), 16);
    /* Their words are equal already: both were sealed once. */
    assert_int_equal(land_words(&land)[7], land_words(&land)[8]);
    want_detected(7);
    end();
}

static void a_page_of_another_region_is_none_of_this(void **state)
{
    struct land other;

    (void)state;
    begin();
    land_add(&w, &other, PAGES, BYTES);
    put_page(&w, &land, 7, 7);
    put_page(&w, &other, 7, 7);
    put_away(&w, &land);
    put_away(&w, &other);
    assert_int_not_equal(memcmp(land.data + 7 * BYTES, other.data + 7 * BYTES, BYTES), 0);
    memcpy(land.data, other.data, land.data_bytes);
    memcpy(land.meta, other.meta, land.meta_bytes);
    want_detected(7);
    want_page(&w, &other, 7, 7); /* it has not suffered */
    land_remove(&w, &other);
    end();
}

/* Even two regions under one key, which a broken random source would make. */
static int same_random(void *ctx, void *to, size_t bytes)
{
    (void)ctx;
    memset(to, 0x42, bytes);
    return 0;
}

static void the_region_is_bound_even_under_the_same_key(void **state)
{
    struct land other;

    (void)state;
    world_plan(&w, 4, BYTES);
    w.ops.random = same_random;
    world_begin(&w);
    land_add(&w, &land, PAGES, BYTES);
    land_add(&w, &other, PAGES, BYTES);
    put_page(&w, &land, 7, 7);
    put_page(&w, &other, 7, 8);
    put_away(&w, &land);
    put_away(&w, &other);
    memcpy(land_page(&land, 7), land_page(&other, 7), BYTES);
    memcpy(land_tag(&land, 7), land_tag(&other, 7), 16);
    want_detected(7);
    toy_log.repeats = 0; /* that random source repeats them, indeed */
    land_remove(&w, &other);
    end();
}

static uint64_t bound[4]; /* what was authenticated with the last page */
static uint8_t bound_nonce[24];

static int noting_seal(const void *state, uint8_t *to, uint8_t *tag, const uint8_t *from,
                       size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    assert_int_equal(ad_len, sizeof bound);
    memcpy(bound, ad, sizeof bound);
    memcpy(bound_nonce, nonce, sizeof bound_nonce);
    return toy_seal(state, to, tag, from, len, ad, ad_len, nonce);
}

static void a_tag_is_over_region_page_word_length_and_cipher(void **state)
{
    struct gn_cachecrypt_cipher noting = toy;
    struct gn_cachecrypt_region_params p;
    uint64_t serial = 0;
    uint32_t page;

    (void)state;
    noting.seal = noting_seal;
    noting.id = GN_CACHECRYPT_CIPHER_OWN + 77;
    world_plan(&w, 4, BYTES);
    world_begin(&w);
    for (uint32_t round = 1; round < 4; round++) {
        p = land_plan(&land, PAGES, BYTES);
        p.cipher = &noting;
        assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, &land.region), 0);
        put_page(&w, &land, 100 + round, 1);
        put_away(&w, &land);
        assert_true(bound[0] > serial); /* the same number of a region, but not the same region */
        serial = bound[0];
        assert_int_equal(bound[1], 100 + round);
        assert_int_equal(bound[2], land_words(&land)[100 + round]);
        assert_int_equal(bound[3], (uint64_t)BYTES << 32 | noting.id);
        memcpy(&page, bound_nonce + 8, sizeof page);
        assert_int_equal(page, 100 + round);
        assert_int_equal(memcmp(bound_nonce, &bound[2], 8), 0);
        land_remove(&w, &land);
    }
    world_end(&w);
}

/* ---- 11: stale plaintext ----------------------------------------------------------------- */

static const char marker[] = "marker-of-16-byte";

static void put_marker(uint64_t page)
{
    for (uint32_t at = 0; at + sizeof marker < BYTES; at += sizeof marker)
        assert_int_equal(
            gn_cachecrypt_write(w.cc, land.region, page * BYTES + at, marker, sizeof marker), 0);
}

/** No copy of the marker anywhere: the pool, the store. */
static void want_no_marker(void)
{
    assert_false(holds(w.pool, w.pool_bytes, marker, 16));
    assert_false(holds(land.data, land.data_bytes, marker, 16));
    assert_false(holds(land.meta, land.meta_bytes, marker, 16));
}

static void no_plaintext_stays_after_evict_discard_unpin_erase_or_a_failed_open(void **state)
{
    struct gn_cachecrypt_span span;

    (void)state;
    begin();
    put_marker(3);
    assert_true(holds(w.pool, w.pool_bytes, marker, 16));
    put_away(&w, &land);
    want_no_marker();
    put_marker(3);
    assert_int_equal(gn_cachecrypt_discard(w.cc, land.region, 3 * BYTES, BYTES), 0);
    want_no_marker();
    put_marker(3);
    put_away(&w, &land);
    /* Evicted by others, and then those by zeros that were never written. */
    put_marker(3);
    for (uint64_t page = 10; page < 30; page++)
        want_page(&w, &land, page, 0);
    want_no_marker();
    /* Pinned while its region dies. */
    assert_int_equal(gn_cachecrypt_pin(w.cc, land.region, 3 * BYTES, 1, 0, &span), 0);
    put_page(&w, &land, 100, 1);
    assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, 100 * BYTES, 1), 0);
    land_tag(&land, 100)[0] ^= 1;
    assert_int_equal(look(&w, &land, 100), -GN_ERR_BADMSG);
    assert_true(holds(w.pool, w.pool_bytes, marker, 16)); /* who pinned it may go on */
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &span), 0);
    want_no_marker();
    want_dead();
    end();
    begin();
    put_marker(3);
    assert_int_equal(gn_cachecrypt_region_erase(w.cc, land.region), 0);
    want_no_marker();
    end();
}

static void a_fresh_page_is_zeros_though_its_frame_held_a_secret(void **state)
{
    struct land small;

    (void)state;
    world_with(&w, &land, 1, 4096, 16);
    land_add(&w, &small, 16, 256);
    put_page(&w, &land, 3, 0xee);
    want_page(&w, &land, 4, 0);
    put_page(&w, &land, 3, 0xee);
    want_page(&w, &small, 4, 0);
    for (uint32_t i = 0; i < 4096; i++) /* behind the small page, too */
        assert_int_equal(w.cc->frames[i], 0);
    land_remove(&w, &small);
    end();
}

/* ---- 12: guessing ------------------------------------------------------------------------ */

static void equal_pages_have_unrelated_ciphertexts_and_tags(void **state)
{
    (void)state;
    begin();
    for (uint64_t page = 0; page < 50; page++)
        put_page(&w, &land, page, 0x11);
    put_away(&w, &land);
    for (uint64_t a = 0; a < 50; a++)
        for (uint64_t b = a + 1; b < 50; b++) {
            uint32_t same = 0;

            for (uint32_t i = 0; i < BYTES; i++)
                same += land_page(&land, a)[i] == land_page(&land, b)[i];
            assert_in_range(same, 0, 12);
            assert_int_not_equal(memcmp(land_tag(&land, a), land_tag(&land, b), 16), 0);
        }
    end();
}

static void a_page_evicted_unchanged_is_not_written_and_rewritten_it_is_fresh(void **state)
{
    uint8_t first[BYTES];

    (void)state;
    begin();
    put_page(&w, &land, 7, 1);
    put_away(&w, &land);
    memcpy(first, land_page(&land, 7), BYTES);
    want_page(&w, &land, 7, 1);
    put_away(&w, &land);
    assert_memory_equal(first, land_page(&land, 7), BYTES);
    put_page(&w, &land, 7, 1);
    put_away(&w, &land);
    assert_int_not_equal(memcmp(first, land_page(&land, 7), 16), 0);
    end();
}

/* A PIN in a page is not found by whoever tries all of them against what is in the store. */
static void nothing_in_the_store_is_an_unkeyed_function_of_plaintext(void **state)
{
    struct land twin[2];
    struct world other[2];

    (void)state;
    /* The same writes with other keys: no eight bytes of meta but words agree. */
    for (uint32_t i = 0; i < 2; i++) {
        world_plan(&other[i], 4, BYTES);
        other[i].random = 1000 + i;
        world_begin(&other[i]);
        land_add(&other[i], &twin[i], 64, BYTES);
        for (uint64_t page = 0; page < 64; page++)
            put_page(&other[i], &twin[i], page, 0x31);
        put_away(&other[i], &twin[i]);
    }
    for (uint64_t at = 0; at < twin[0].meta_bytes; at += 8)
        if (at < 64 * 16 || at >= 64 * 16 + 64 * 8)
            if (holds(twin[0].meta + at, 8, "\0\0\0\0\0\0\0", 8) == 0)
                assert_int_not_equal(memcmp(twin[0].meta + at, twin[1].meta + at, 8), 0);
    for (uint64_t at = 0; at < twin[0].data_bytes; at += 8)
        assert_int_not_equal(memcmp(twin[0].data + at, twin[1].data + at, 8), 0);
    for (uint32_t i = 0; i < 2; i++) {
        land_remove(&other[i], &twin[i]);
        gn_cachecrypt_fini(other[i].cc);
        free(other[i].pool);
    }
    toy_log_reset();
}

/* ---- 13: release of what was not verified -------------------------------------------------- */

static void a_cipher_that_leaves_candidate_plaintext_leaves_none_in_a_frame(void **state)
{
    (void)state;
    begin();
    put_marker(3);
    put_away(&w, &land);
    land_tag(&land, 3)[0] ^= 1; /* the toy decrypts nevertheless */
    assert_int_equal(look(&w, &land, 3), -GN_ERR_BADMSG);
    want_no_marker();
    want_dead();
    for (uint32_t i = 0; i < 3; i++)
        want_dead(); /* for ever */
    land_tag(&land, 3)[0] ^= 1;
    want_dead(); /* even if the store is healed */
    end();
}

static void a_poisoned_region_hinders_no_other(void **state)
{
    struct land other;

    (void)state;
    begin();
    land_add(&w, &other, 64, BYTES);
    for (uint64_t page = 0; page < 4; page++)
        put_page(&w, &land, page, 1); /* all frames, dirty */
    gn_cachecrypt__tree_drop(w.cc, &w.cc->regions[land.region]);
    land_words(&land)[0] ^= 1;
    /* The other region's miss finds it out, and has its frame. */
    want_page(&w, &other, 3, 0);
    put_page(&w, &other, 3, 3);
    assert_int_equal(land_info(&w, &land).state, GN_CACHECRYPT_STATE_POISONED);
    put_away(&w, &other);
    want_page(&w, &other, 3, 3);
    land_remove(&w, &other);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_rolled_back_before_an_eviction_repeats_no_nonce),
        cmocka_unit_test(a_store_rolled_back_before_evictions_repeats_no_nonce),
        cmocka_unit_test(a_seal_that_fails_uses_its_word_up),
        cmocka_unit_test(two_pages_with_all_that_is_theirs_cannot_be_swapped),
        cmocka_unit_test(a_page_of_another_region_is_none_of_this),
        cmocka_unit_test(the_region_is_bound_even_under_the_same_key),
        cmocka_unit_test(a_tag_is_over_region_page_word_length_and_cipher),
        cmocka_unit_test(no_plaintext_stays_after_evict_discard_unpin_erase_or_a_failed_open),
        cmocka_unit_test(a_fresh_page_is_zeros_though_its_frame_held_a_secret),
        cmocka_unit_test(equal_pages_have_unrelated_ciphertexts_and_tags),
        cmocka_unit_test(a_page_evicted_unchanged_is_not_written_and_rewritten_it_is_fresh),
        cmocka_unit_test(nothing_in_the_store_is_an_unkeyed_function_of_plaintext),
        cmocka_unit_test(a_cipher_that_leaves_candidate_plaintext_leaves_none_in_a_frame),
        cmocka_unit_test(a_poisoned_region_hinders_no_other),
    };

    return world_run(tests);
}
