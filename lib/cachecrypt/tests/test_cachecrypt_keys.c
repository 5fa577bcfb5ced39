/* SPDX-License-Identifier: BSD-3-Clause */
/* Epochs, budgets, sweeps; where keys are, and that they go. */
#define _GNU_SOURCE
#include "world.h"

#define PAGES 64u
#define BYTES 256u

static struct world w;
static struct land land;

static void begin_with(uint32_t frames, uint64_t budget, uint64_t seals, uint32_t pace)
{
    struct gn_cachecrypt_region_params p;

    world_plan(&w, frames, BYTES);
    world_begin(&w);
    p = land_plan(&land, PAGES, BYTES);
    p.key_budget = budget;
    p.page_seals = seals;
    p.sweep_pace = pace;
    assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, &land.region), 0);
}

static void end(void)
{
    world_without(&w, &land);
}

static uint32_t epoch_of(uint64_t page)
{
    return gn_cachecrypt__word_epoch(land_words(&land)[page]);
}

static void a_sweep_brings_all_pages_over_and_the_old_key_goes(void **state)
{
    uint8_t old_key[TOY_KEY];
    uint64_t left = 99;

    (void)state;
    begin_with(4, 0, 0, 0);
    for (uint8_t page = 0; page < 50; page++)
        put_page(&w, &land, page, page);
    put_away(&w, &land);
    memcpy(old_key, w.cc->regions[land.region].keys[0], TOY_KEY);
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), 0);
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), -GN_ERR_AGAIN);
    assert_true(holds(w.pool, w.pool_bytes, old_key, TOY_KEY));
    assert_int_equal(land_info(&w, &land).sweep_left, PAGES);
    assert_int_equal(gn_cachecrypt_rekey_step(w.cc, land.region, 10, &left), 0);
    assert_int_equal(left, PAGES - 10);
    /* In the middle: pages of both epochs are read. */
    want_page(&w, &land, 5, 5);
    want_page(&w, &land, 45, 45);
    assert_int_equal(gn_cachecrypt_rekey_step(w.cc, land.region, 0, &left), 0);
    assert_int_equal(left, 0);
    assert_int_equal(land_info(&w, &land).sweeping, 0);
    assert_false(holds(w.pool, w.pool_bytes, old_key, TOY_KEY));
    put_away(&w, &land);
    for (uint8_t page = 0; page < 50; page++) {
        assert_int_equal(epoch_of(page), 2);
        want_page(&w, &land, page, page);
    }
    assert_int_equal(world_stats(&w).sweep_seals, 50);
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), 0);
    end();
}

static void misses_and_flushes_drive_a_sweep(void **state)
{
    struct gn_cachecrypt_span span;

    (void)state;
    begin_with(4, 0, 0, 4);
    for (uint8_t page = 0; page < PAGES; page++)
        put_page(&w, &land, page, page);
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), 0);
    for (uint8_t i = 0; i < PAGES; i++)
        want_page(&w, &land, i * 13 % PAGES, i * 13 % PAGES);
    assert_int_equal(land_info(&w, &land).sweeping, 0);
    /* Without a miss: one page is written and flushed, over and over. */
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), 0);
    assert_int_equal(gn_cachecrypt_pin(w.cc, land.region, 0, 1, GN_ACCESS_READ, &span), 0);
    for (uint8_t i = 0; i < PAGES; i++) {
        put_page(&w, &land, 0, i);
        assert_int_equal(gn_cachecrypt_flush(w.cc, land.region), 0);
    }
    assert_int_equal(land_info(&w, &land).sweeping, 0);
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &span), 0);
    end();
}

static void a_page_pinned_for_writing_holds_a_sweep_up(void **state)
{
    struct gn_cachecrypt_span span;
    uint64_t left;

    (void)state;
    begin_with(4, 0, 0, 0);
    for (uint8_t page = 0; page < 20; page++)
        put_page(&w, &land, page, page);
    put_away(&w, &land);
    assert_int_equal(gn_cachecrypt_pin(w.cc, land.region, 9 * BYTES, 1, GN_ACCESS_WRITE, &span), 0);
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), 0);
    assert_int_equal(gn_cachecrypt_rekey_step(w.cc, land.region, 0, &left), -GN_ERR_BUSY);
    assert_int_equal(land_info(&w, &land).sweep_left, PAGES - 9);
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &span), 0);
    assert_int_equal(gn_cachecrypt_rekey_step(w.cc, land.region, 0, &left), 0);
    assert_int_equal(left, 0);
    want_page(&w, &land, 9, 9);
    end();
}

/* Attack class 8: the bytes of a key. */
static void a_budget_that_is_used_up_begins_an_epoch(void **state)
{
    (void)state;
    begin_with(2, 64 * BYTES, 0, 2);
    for (uint32_t round = 0; round < 40; round++)
        for (uint8_t page = 0; page < PAGES; page++)
            put_page(&w, &land, page, (uint8_t)(page + round));
    for (uint8_t page = 0; page < PAGES; page++)
        want_page(&w, &land, page, (uint8_t)(page + 39));
    assert_true(land_info(&w, &land).epoch > 20);
    /* Never more than the budget, and what a sweep needs. */
    assert_true(land_info(&w, &land).key_bytes_sealed <= (64 + PAGES) * BYTES);
    end();
}

/* Attack class 8: the seals of a page, two below their end. */
static void a_count_of_seals_begins_an_epoch_and_never_wraps(void **state)
{
    (void)state;
    begin_with(2, 0, 3, 1);
    for (uint8_t i = 0; i < 3; i++) {
        put_page(&w, &land, 7, i);
        put_away(&w, &land);
        assert_int_equal(land_words(&land)[7] & WORD_SEALS, i + 1);
    }
    assert_int_equal(land_info(&w, &land).epoch, 1);
    put_page(&w, &land, 7, 3);
    assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, 7 * BYTES, 1), 0);
    assert_int_equal(land_info(&w, &land).epoch, 2);
    /* While its sweep is under way, the page can use up the new key's seals as well. */
    want_page(&w, &land, 7, 3);
    for (uint8_t i = 4; i < 6; i++) {
        put_page(&w, &land, 7, i);
        assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, 7 * BYTES, 1), 0);
        want_page(&w, &land, 7, i);
    }
    put_page(&w, &land, 7, 6);
    assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, 7 * BYTES, 1), -GN_ERR_OVERFLOW);
    want_page(&w, &land, 7, 6); /* it has stayed */
    assert_int_equal(gn_cachecrypt_rekey_step(w.cc, land.region, 0, NULL), 0);
    assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, 7 * BYTES, 1), 0);
    assert_int_equal(land_info(&w, &land).epoch, 3);
    want_page(&w, &land, 7, 6);
    end();
}

static void the_last_epoch_is_followed_by_none(void **state)
{
    struct gn_cachecrypt__region *reg;

    (void)state;
    begin_with(2, 0, 2, 0);
    reg = &w.cc->regions[land.region];
    reg->epoch = GN_CACHECRYPT_EPOCHS_MAX - 1;
    put_page(&w, &land, 7, 1);
    put_away(&w, &land);
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), 0);
    assert_int_equal(gn_cachecrypt_rekey_step(w.cc, land.region, 0, NULL), 0);
    assert_int_equal(epoch_of(7) | land_info(&w, &land).epoch, GN_CACHECRYPT_EPOCHS_MAX);
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), -GN_ERR_RANGE);
    put_page(&w, &land, 7, 2);
    put_away(&w, &land);
    put_page(&w, &land, 7, 3);
    assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, 0, land.data_bytes), -GN_ERR_RANGE);
    want_page(&w, &land, 7, 3);
    end();
}

static void the_largest_count_of_seals_and_the_largest_epoch_fit_the_word(void **state)
{
    uint64_t next = 0;
    const uint64_t last = WORD_DATA | (uint64_t)1 << WORD_EPOCH_SHIFT;

    (void)state;
    begin_with(2, 0, 0, 0);
    assert_int_equal(
        gn_cachecrypt__next_word(w.cc, &w.cc->regions[land.region], last | (WORD_SEALS - 1), &next),
        0);
    assert_int_equal(next, last | WORD_SEALS);
    assert_int_equal(
        gn_cachecrypt__next_word(w.cc, &w.cc->regions[land.region], last | WORD_SEALS, &next), 0);
    assert_int_equal(next, WORD_DATA | (uint64_t)2 << WORD_EPOCH_SHIFT | 1);
    end();
}

static void an_epoch_that_cannot_begin_leaves_the_one_before(void **state)
{
    (void)state;
    begin_with(2, 0, 0, 0);
    put_page(&w, &land, 7, 7);
    put_away(&w, &land);
    w.fail_random_in = 0;
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), -GN_ERR_IO);
    fail_expand_in = 0;
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), -GN_ERR_IO);
    assert_int_equal(land_info(&w, &land).epoch, 1);
    assert_int_equal(land_info(&w, &land).sweeping, 0);
    want_page(&w, &land, 7, 7);
    end();
}

/* ---- 9: keys are in the pool, and nowhere when they went --------------------------------------
 */

static struct {
    uint8_t key[4][TOY_KEY];
    uint64_t tree[2][2];
} secrets;

static void learn_secrets(void)
{
    const struct gn_cachecrypt__region *reg = &w.cc->regions[land.region];

    memcpy(secrets.key[0], reg->keys[0], TOY_KEY);
    memcpy(secrets.tree[0], reg->tree_key, 16);
}

/** Eight bytes of a key, of a schedule, of the tree's key: in this memory? */
static int any_secret(const void *at, size_t bytes)
{
    for (uint32_t i = 0; i + 8 <= TOY_KEY; i++)
        if (holds(at, bytes, secrets.key[0] + i, 8))
            return 1;
    return holds(at, bytes, secrets.tree[0], 8) || holds(at, bytes, &secrets.tree[0][1], 8);
}

static void erasure_leaves_no_byte_of_a_key_and_opens_nothing(void **state)
{
    struct gn_cachecrypt_span span;

    (void)state;
    begin_with(4, 0, 0, 0);
    for (uint8_t page = 0; page < 20; page++)
        put_page(&w, &land, page, page);
    learn_secrets();
    assert_true(any_secret(w.pool, w.pool_bytes));
    assert_false(any_secret(land.data, land.data_bytes));
    assert_false(any_secret(land.meta, land.meta_bytes));
    assert_int_equal(gn_cachecrypt_pin(w.cc, land.region, 3 * BYTES, 1, 0, &span), 0);
    assert_int_equal(gn_cachecrypt_region_erase(w.cc, land.region), 0);
    assert_false(any_secret(w.pool, w.pool_bytes));
    for (uint8_t page = 0; page < 20; page++)
        assert_int_equal(look(&w, &land, page), -GN_ERR_PERM);
    assert_int_equal(land_info(&w, &land).state, GN_CACHECRYPT_STATE_ERASED);
    assert_int_equal(gn_cachecrypt_region_remove(w.cc, land.region), -GN_ERR_BUSY);
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &span), 0);
    assert_int_equal(gn_cachecrypt_region_erase(w.cc, land.region), 0);
    assert_int_equal(gn_cachecrypt_region_erase(w.cc, 99), -GN_ERR_NOENT);
    end();
}

static void a_region_that_was_poisoned_or_did_not_begin_leaves_no_key(void **state)
{
    struct gn_cachecrypt_region_params p;
    struct land other;
    uint32_t region;

    (void)state;
    begin_with(4, 0, 0, 0);
    put_page(&w, &land, 3, 3);
    put_away(&w, &land);
    learn_secrets();
    land_tag(&land, 3)[0] ^= 1;
    assert_int_equal(look(&w, &land, 3), -GN_ERR_BADMSG);
    assert_false(any_secret(w.pool, w.pool_bytes));
    p = land_plan(&other, PAGES, BYTES);
    fail_expand_in = 0;
    toy_scrubs = 0;
    assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, &region), -GN_ERR_IO);
    assert_int_equal(toy_scrubs, 1);
    for (uint64_t fail = 0; fail < 2; fail++) {
        w.fail_random_in = fail;
        assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, &region), -GN_ERR_IO);
        for (size_t i = 0; i < (size_t)4 * 2 * w.cc->state_bytes; i++)
            assert_int_equal(w.cc->keys[i], 0);
        for (uint32_t i = 0; i < GN_CACHECRYPT_KEY_MAX; i++)
            assert_int_equal(w.cc->key[i], 0);
    }
    w.fail_random_in = UINT64_MAX;
    land_free(&other);
    end();
}

static void the_raw_key_is_wiped_once_it_is_expanded(void **state)
{
    (void)state;
    begin_with(4, 0, 0, 0);
    for (uint32_t i = 0; i < GN_CACHECRYPT_KEY_MAX; i++)
        assert_int_equal(w.cc->key[i], 0);
    end();
}

static void each_call_that_used_the_cipher_scrubs_once(void **state)
{
    (void)state;
    begin_with(4, 0, 0, 0);
    for (uint8_t page = 0; page < 20; page++)
        put_page(&w, &land, page, page);
    put_away(&w, &land);
    toy_scrubs = 0;
    assert_int_equal(look(&w, &land, 3), 0);
    assert_int_equal(toy_scrubs, 1);
    assert_int_equal(look(&w, &land, 3), 0); /* a hit has nothing to scrub */
    assert_int_equal(toy_scrubs, 1);
    for (uint8_t page = 0; page < 3; page++)
        put_page(&w, &land, page, page);
    toy_scrubs = 0;
    assert_int_equal(gn_cachecrypt_flush(w.cc, land.region), 0);
    assert_int_equal(toy_scrubs, 1);
    /* A page of zeros is not opened, but its word was verified under the tree's key. */
    put_away(&w, &land);
    toy_scrubs = 0;
    toy_opens = 0;
    want_page(&w, &land, 60, 0);
    assert_int_equal(toy_opens, 0);
    assert_int_equal(toy_scrubs, 1);
    end();
}

/* ---- copies of the pool -------------------------------------------------------------------- */

static uint64_t generation(void *ctx)
{
    return ((struct world *)ctx)->generation;
}

static void a_copy_of_the_pool_refuses_to_seal_and_has_no_keys(void **state)
{
    struct gn_cachecrypt_region_params p;
    struct land other;
    uint32_t region;

    (void)state;
    world_plan(&w, 2, BYTES);
    w.ops.generation = generation;
    w.generation = 7;
    world_begin(&w);
    land_add(&w, &land, PAGES, BYTES);
    put_page(&w, &land, 1, 1);
    put_page(&w, &land, 2, 2);
    put_page(&w, &land, 3, 3);
    learn_secrets();
    w.generation = 8;
    toy_seals = 0;
    assert_int_equal(look(&w, &land, 9), -GN_ERR_PERM);
    assert_int_equal(toy_seals, 0);
    assert_false(any_secret(w.pool, w.pool_bytes));
    w.generation = 7; /* too late */
    assert_int_equal(look(&w, &land, 3), -GN_ERR_PERM);
    p = land_plan(&other, PAGES, BYTES);
    assert_int_equal(gn_cachecrypt_region_add(w.cc, &p, &region), -GN_ERR_PERM);
    land_free(&other);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sweep_brings_all_pages_over_and_the_old_key_goes),
        cmocka_unit_test(misses_and_flushes_drive_a_sweep),
        cmocka_unit_test(a_page_pinned_for_writing_holds_a_sweep_up),
        cmocka_unit_test(a_budget_that_is_used_up_begins_an_epoch),
        cmocka_unit_test(a_count_of_seals_begins_an_epoch_and_never_wraps),
        cmocka_unit_test(the_last_epoch_is_followed_by_none),
        cmocka_unit_test(the_largest_count_of_seals_and_the_largest_epoch_fit_the_word),
        cmocka_unit_test(an_epoch_that_cannot_begin_leaves_the_one_before),
        cmocka_unit_test(erasure_leaves_no_byte_of_a_key_and_opens_nothing),
        cmocka_unit_test(a_region_that_was_poisoned_or_did_not_begin_leaves_no_key),
        cmocka_unit_test(the_raw_key_is_wiped_once_it_is_expanded),
        cmocka_unit_test(each_call_that_used_the_cipher_scrubs_once),
        cmocka_unit_test(a_copy_of_the_pool_refuses_to_seal_and_has_no_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
