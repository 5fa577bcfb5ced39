/* SPDX-License-Identifier: BSD-3-Clause */
#include "blocks.h"
#include "gn_test.h"

#define PAGES 257u

static void *memory;

static struct blocks make(uint32_t pages)
{
    struct blocks b;

    memory = calloc(1, blocks_size(pages));
    assert_non_null(memory);
    blocks_init(&b, pages, memory);
    return b;
}

static void all_of_it_is_one_block_at_most(void **state)
{
    struct blocks b = make(PAGES);

    (void)state;
    assert_int_equal(blocks_alloc(&b, 0), BLOCKS_NONE);
    assert_int_equal(blocks_alloc(&b, PAGES + 1), BLOCKS_NONE);
    assert_int_equal(blocks_alloc(&b, PAGES), 0);
    assert_int_equal(blocks_alloc(&b, 1), BLOCKS_NONE);
    assert_int_equal(blocks_free(&b, 1), 0);
    assert_int_equal(blocks_free(&b, PAGES), 0);
    assert_int_equal(blocks_free(&b, 0), PAGES);
    assert_int_equal(blocks_free(&b, 0), 0);
    assert_int_equal(blocks_alloc(&b, PAGES), 0);
    free(memory);
}

static void a_block_grows_into_what_is_free_behind_it(void **state)
{
    struct blocks b = make(10);

    (void)state;
    assert_int_equal(blocks_alloc(&b, 3), 0);
    assert_int_equal(blocks_alloc(&b, 3), 3);
    assert_int_equal(blocks_resize(&b, 0, 4), -1);
    assert_int_equal(blocks_resize(&b, 3, 8), -1);
    assert_int_equal(blocks_resize(&b, 3, 7), 0);
    assert_int_equal(blocks_resize(&b, 3, 1), 0);
    assert_int_equal(blocks_alloc(&b, 6), 4);
    assert_int_equal(blocks_resize(&b, 1, 1), -1);
    assert_int_equal(b.used, 10);
    free(memory);
}

/* Each page's owner by a plain array. */
static void random_blocks_never_share_a_page(void **state)
{
    struct blocks b = make(PAGES);
    uint32_t owner[PAGES] = {0}; /* first page of the block + 1 */
    uint64_t random = gn_test_seed();

    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint32_t at = gn_test_random(&random) % PAGES;
        uint32_t pages = 1 + gn_test_random(&random) % 24;
        uint32_t old = owner[at] == at + 1 ? blocks_length(&b, at) : 0;
        uint32_t used = 0;

        if (!old) {
            at = blocks_alloc(&b, pages);
        } else if (gn_test_random(&random) & 1) {
            assert_int_equal(blocks_free(&b, at), old);
            pages = 0;
        } else if (blocks_resize(&b, at, pages)) {
            pages = old;
        }
        if (at == BLOCKS_NONE)
            continue;
        for (uint32_t p = at; p < at + old; p++)
            owner[p] = 0;
        for (uint32_t p = at; p < at + pages; p++) {
            assert_true(p < PAGES);
            assert_int_equal(owner[p], 0);
            owner[p] = at + 1;
        }
        for (uint32_t p = 0; p < PAGES; p++)
            used += owner[p] != 0;
        assert_int_equal(b.used, used);
    }
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_is_one_block_at_most),
        cmocka_unit_test(a_block_grows_into_what_is_free_behind_it),
        cmocka_unit_test(random_blocks_never_share_a_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
