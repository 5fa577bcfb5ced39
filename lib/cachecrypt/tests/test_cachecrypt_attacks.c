/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whoever writes the store at will: tampering, splicing, replay, truncation. Each is found out or
 * does no harm; then the region is dead.
 */
#define _GNU_SOURCE
#include "attack.h"

/* ---- 1: tamper --------------------------------------------------------------------------- */

/** Flips bits at an offset of data or meta, in a new world each time, and looks at a page. */
static void flip(int in_meta, uint64_t at, uint8_t mask, uint64_t page)
{
    begin();
    furnish();
    (in_meta ? land.meta : land.data)[at] ^= mask;
    want_detected(page);
    end();
}

static void each_bit_of_a_ciphertext_and_of_its_tag_counts(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 8 * BYTES; bit++)
        flip(0, 7 * BYTES + bit / 8, (uint8_t)(1u << bit % 8), 7);
    for (uint32_t bit = 0; bit < 8 * 16; bit++)
        flip(1, 7 * 16 + bit / 8, (uint8_t)(1u << bit % 8), 7);
    flip(0, 7 * BYTES + 31, 0xa5, 7);
}

static void each_bit_of_the_path_to_the_root_counts(void **state)
{
    struct gn_cachecrypt__meta meta;

    (void)state;
    gn_cachecrypt__meta_make(PAGES, 16, &meta);
    assert_int_equal(meta.levels, 3);
    for (uint32_t level = 0; level < meta.levels; level++)
        for (uint32_t bit = 0; bit < 8 * NODE_BYTES; bit += level ? 1 : 3)
            flip(1, meta.level[level] + bit / 8, (uint8_t)(1u << bit % 8), 7);
    /* The last page, whose nodes are not full. */
    for (uint32_t level = 0; level < meta.levels; level++)
        flip(1, (level + 1 < meta.levels ? meta.level[level + 1] : meta.total) - NODE_BYTES + 8, 1,
             PAGES - 1);
}

static void each_bit_of_the_root_counts(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 128; bit++) {
        begin();
        furnish();
        w.cc->regions[land.region].root[bit / 64] ^= (uint64_t)1 << bit % 64;
        want_detected(7);
        end();
    }
}

static void pages_of_zeros_and_of_ones_are_not_what_was_written(void **state)
{
    (void)state;
    for (uint32_t ones = 0; ones < 2; ones++) {
        begin();
        furnish();
        memset(land_page(&land, 7), ones ? 0xff : 0, BYTES);
        memset(land_tag(&land, 7), ones ? 0xff : 0, 16);
        want_detected(7);
        end();
        begin();
        furnish();
        memset(land.meta, ones ? 0xff : 0, land.meta_bytes);
        want_detected(7);
        end();
    }
}

static void a_page_that_was_never_written_cannot_be_given_content(void **state)
{
    (void)state;
    begin();
    furnish();
    memset(land_page(&land, 300), 0x5a, BYTES); /* harmless: nobody reads it */
    memset(land_tag(&land, 300), 0x5a, 16);
    want_page(&w, &land, 300, 0);
    put_away(&w, &land);
    land_words(&land)[300] = land_words(&land)[7];
    want_detected(300);
    end();
}

static void a_page_cannot_be_made_never_written(void **state)
{
    (void)state;
    begin();
    furnish();
    land_words(&land)[7] = 0;
    want_detected(7);
    end();
    begin();
    furnish();
    land_words(&land)[7] &= ~WORD_DATA;
    want_detected(7);
    end();
}

/* ---- 1, between the check and the use ----------------------------------------------------- */

static uint8_t *race_at;
static uint32_t race_bytes;

/** What a bus attacker does while a page is under way: everything in the store changes. */
static void race(void)
{
    for (uint32_t i = 0; i < race_bytes; i++)
        race_at[i] ^= 0xff;
}

static int racing_open(const void *state, uint8_t *to, const uint8_t *from, const uint8_t *tag,
                       size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    int r;

    race();
    r = toy_open(state, to, from, tag, len, ad, ad_len, nonce);
    race();
    return r;
}

static int racing_seal(const void *state, uint8_t *to, uint8_t *tag, const uint8_t *from,
                       size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    /* As a cipher does that encrypts first, then hashes its own output. */
    toy_log_note(state, nonce);
    toy_stream(state, to, from, len, nonce);
    race();
    toy_tag(state, tag, to, len, ad, ad_len, nonce);
    race();
    return 0;
}

static void the_store_is_not_read_again_after_the_check(void **state)
{
    struct gn_cachecrypt_cipher racing = toy;
    struct gn_cachecrypt_region_params p;

    (void)state;
    racing.open = racing_open;
    racing.seal = racing_seal;
    world_plan(&w, 4, BYTES);
    world_begin(&w);
    p = land_plan(&land, PAGES, BYTES);
    p.cipher = &racing;
    race_at = land.data;
    race_bytes = 20 * BYTES;
    assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, &land.region), 0);
    for (uint8_t page = 0; page < 20; page++)
        put_page(&w, &land, page, page);
    put_away(&w, &land);
    for (uint8_t page = 0; page < 20; page++)
        want_page(&w, &land, page, page);
    /* Tags and the tree, too. */
    race_at = land.meta;
    race_bytes = (uint32_t)land.meta_bytes;
    put_away(&w, &land);
    for (uint8_t page = 0; page < 20; page++)
        want_page(&w, &land, page, page);
    end();
}

/* ---- 2: splice --------------------------------------------------------------------------- */

static void the_ciphertext_of_one_page_is_none_of_another(void **state)
{
    (void)state;
    begin();
    furnish();
    memcpy(land_page(&land, 7), land_page(&land, 8), BYTES);
    want_detected(7);
    end();
    begin(); /* half of each */
    furnish();
    memcpy(land_page(&land, 7) + BYTES / 2, land_page(&land, 8) + BYTES / 2, BYTES / 2);
    want_detected(7);
    end();
    begin(); /* the tag alone */
    furnish();
    memcpy(land_tag(&land, 7), land_tag(&land, 8), 16);
    want_detected(7);
    end();
}

static void a_node_of_another_subtree_is_refused(void **state)
{
    struct gn_cachecrypt__meta meta;

    (void)state;
    gn_cachecrypt__meta_make(PAGES, 16, &meta);
    begin();
    furnish();
    /* Leaves 10 and 11 are equal, but for where they are. */
    swap(land.meta + meta.level[0], land.meta + meta.level[0] + NODE_BYTES, NODE_BYTES);
    want_detected(7);
    end();
    begin();
    furnish();
    memcpy(land.meta + meta.level[1] + NODE_BYTES, land.meta + meta.level[1], NODE_BYTES);
    want_detected(128 + 7);
    end();
}

static void equal_nodes_of_two_places_have_unlike_hashes(void **state)
{
    const uint64_t key[2] = {3, 4};
    uint64_t word[NODE_WORDS] = {0}, a[2], b[2], c[2];

    (void)state;
    gn_cachecrypt__node_hash(key, 0, 10, word, a);
    gn_cachecrypt__node_hash(key, 0, 11, word, b);
    gn_cachecrypt__node_hash(key, 1, 10, word, c);
    assert_true(a[0] != b[0] && a[0] != c[0] && b[0] != c[0]);
    assert_true(a[1] != b[1] && a[1] != c[1] && b[1] != c[1]);
}

/* ---- 3: replay --------------------------------------------------------------------------- */

static uint8_t *old_data, *old_meta;

static void take_snapshot(void)
{
    old_data = gn_test_memory(64, land.data_bytes);
    old_meta = gn_test_memory(64, land.meta_bytes);
    memcpy(old_data, land.data, land.data_bytes);
    memcpy(old_meta, land.meta, land.meta_bytes);
}

static void free_snapshot(void)
{
    free(old_data);
    free(old_meta);
}

/** Puts back a part of what was there before page 7 was written again. */
static void replay(int page, int tag, int word, int whole)
{
    begin();
    furnish();
    take_snapshot();
    put_page(&w, &land, 7, 70);
    put_away(&w, &land);
    if (page)
        memcpy(land_page(&land, 7), old_data + 7 * BYTES, BYTES);
    if (tag)
        memcpy(land_tag(&land, 7), old_meta + 7 * 16, 16);
    if (word)
        land_words(&land)[7] = ((uint64_t *)(old_meta + PAGES * 16))[7];
    if (whole) {
        memcpy(land.data, old_data, land.data_bytes);
        memcpy(land.meta, old_meta, land.meta_bytes);
    }
    want_detected(7);
    free_snapshot();
    end();
}

static void an_old_page_is_refused_with_its_tag_its_word_and_the_whole_store(void **state)
{
    (void)state;
    replay(1, 0, 0, 0);
    replay(1, 1, 0, 0);
    replay(1, 1, 1, 0);
    replay(0, 0, 1, 0);
    replay(0, 0, 0, 1);
}

static void an_old_subtree_is_refused(void **state)
{
    struct gn_cachecrypt__meta meta;

    (void)state;
    gn_cachecrypt__meta_make(PAGES, 16, &meta);
    begin();
    furnish();
    take_snapshot();
    put_page(&w, &land, 7, 70);
    put_away(&w, &land);
    memcpy(land_page(&land, 7), old_data + 7 * BYTES, BYTES);
    memcpy(land_tag(&land, 7), old_meta + 7 * 16, 16);
    memcpy(land.meta + meta.level[0], old_meta + meta.level[0], 8 * NODE_BYTES);
    memcpy(land.meta + meta.level[1], old_meta + meta.level[1], NODE_BYTES);
    want_detected(7);
    free_snapshot();
    end();
}

static void content_that_comes_back_is_not_the_old_page(void **state)
{
    (void)state;
    begin();
    furnish();
    take_snapshot();
    put_page(&w, &land, 7, 70);
    put_away(&w, &land);
    put_page(&w, &land, 7, 7);
    put_away(&w, &land);
    assert_int_not_equal(memcmp(land_page(&land, 7), old_data + 7 * BYTES, BYTES), 0);
    memcpy(land_page(&land, 7), old_data + 7 * BYTES, BYTES);
    memcpy(land_tag(&land, 7), old_meta + 7 * 16, 16);
    want_detected(7);
    free_snapshot();
    end();
}

static void what_was_discarded_does_not_come_back(void **state)
{
    (void)state;
    begin();
    furnish();
    take_snapshot();
    assert_int_equal(gn_cachecrypt_discard(w.cc, land.region, 7 * BYTES, BYTES), 0);
    put_away(&w, &land);
    memcpy(land.meta, old_meta, land.meta_bytes);
    want_detected(7);
    free_snapshot();
    end();
    /* Nor does it under a count of seals that began anew. */
    begin();
    put_page(&w, &land, 7, 7);
    put_away(&w, &land);
    take_snapshot();
    assert_int_equal(gn_cachecrypt_discard(w.cc, land.region, 7 * BYTES, BYTES), 0);
    put_page(&w, &land, 7, 8);
    put_away(&w, &land);
    memcpy(land_page(&land, 7), old_data + 7 * BYTES, BYTES);
    memcpy(land_tag(&land, 7), old_meta + 7 * 16, 16);
    want_detected(7);
    free_snapshot();
    end();
}

static void nothing_comes_back_after_a_new_key_or_in_a_new_region(void **state)
{
    (void)state;
    begin();
    furnish();
    take_snapshot();
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), 0);
    assert_int_equal(gn_cachecrypt_rekey_step(w.cc, land.region, 0, NULL), 0);
    put_away(&w, &land);
    want_page(&w, &land, 7, 7);
    put_away(&w, &land);
    memcpy(land.data, old_data, land.data_bytes);
    memcpy(land.meta, old_meta, land.meta_bytes);
    want_detected(7);
    /* The same memory again. */
    land_remove(&w, &land);
    land_add(&w, &land, PAGES, BYTES);
    put_away(&w, &land);
    memcpy(land.data, old_data, land.data_bytes);
    memcpy(land.meta, old_meta, land.meta_bytes);
    assert_int_equal(look(&w, &land, 7), -GN_ERR_BADMSG);
    free_snapshot();
    end();
}

/* ---- 6: truncation ----------------------------------------------------------------------- */

static void the_last_page_its_tag_and_its_node_cannot_be_missing(void **state)
{
    (void)state;
    begin();
    furnish();
    memset(land_page(&land, PAGES - 1), 0, BYTES);
    want_detected(PAGES - 1);
    end();
    begin();
    furnish();
    memset(land_tag(&land, PAGES - 1), 0, 16);
    want_detected(PAGES - 1);
    end();
    begin();
    furnish();
    memset(land.meta + land.meta_bytes - NODE_BYTES, 0, NODE_BYTES); /* the top */
    want_detected(0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bit_of_a_ciphertext_and_of_its_tag_counts),
        cmocka_unit_test(each_bit_of_the_path_to_the_root_counts),
        cmocka_unit_test(each_bit_of_the_root_counts),
        cmocka_unit_test(pages_of_zeros_and_of_ones_are_not_what_was_written),
        cmocka_unit_test(a_page_that_was_never_written_cannot_be_given_content),
        cmocka_unit_test(a_page_cannot_be_made_never_written),
        cmocka_unit_test(the_store_is_not_read_again_after_the_check),
        cmocka_unit_test(the_ciphertext_of_one_page_is_none_of_another),
        cmocka_unit_test(a_node_of_another_subtree_is_refused),
        cmocka_unit_test(equal_nodes_of_two_places_have_unlike_hashes),
        cmocka_unit_test(an_old_page_is_refused_with_its_tag_its_word_and_the_whole_store),
        cmocka_unit_test(an_old_subtree_is_refused),
        cmocka_unit_test(content_that_comes_back_is_not_the_old_page),
        cmocka_unit_test(what_was_discarded_does_not_come_back),
        cmocka_unit_test(nothing_comes_back_after_a_new_key_or_in_a_new_region),
        cmocka_unit_test(the_last_page_its_tag_and_its_node_cannot_be_missing),
    };

    return world_run(tests);
}
