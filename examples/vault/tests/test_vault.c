/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>

#include <gnomon/base.h>

#include "gn_test.h"
#include "vault.h"

#define BLOCKS 24
#define BYTES  20000u

static struct vault *small_vault(void)
{
    const struct vault_params params = {.bytes = 1 << 20, .pool = 16 << 10};
    struct vault *v;

    assert_int_equal(vault_open(&params, &v), 0);
    return v;
}

static void a_block_keeps_what_is_written_to_it(void **state)
{
    struct vault *v = small_vault();
    vault_block b;
    char text[16] = {0};

    (void)state;
    assert_int_equal(vault_alloc(v, 10000, &b), 0);
    assert_int_equal(vault_write(v, b, 4090, "across a page", 14), 0);
    assert_int_equal(vault_read(v, b, 4090, text, 14), 0);
    assert_string_equal(text, "across a page");
    assert_int_equal(vault_free(v, b), 0);
    vault_close(v);
}

static void what_is_no_block_is_refused(void **state)
{
    const struct vault_params tiny = {.pool = 1};
    const struct vault_params huge = {.bytes = UINT64_MAX};
    struct vault *v = small_vault();
    struct vault *other;
    vault_block b;
    char byte = 0;

    (void)state;
    assert_int_equal(vault_open(&tiny, &other), -GN_ERR_INVAL);
    assert_int_equal(vault_open(&huge, &other), -GN_ERR_INVAL);
    assert_int_equal(vault_alloc(v, 0, &b), -GN_ERR_INVAL);
    assert_int_equal(vault_alloc(v, UINT64_MAX, &b), -GN_ERR_NOMEM);
    assert_int_equal(vault_alloc(v, (1 << 20) + 1, &b), -GN_ERR_NOMEM);
    assert_int_equal(vault_alloc(v, 5000, &b), 0);
    assert_int_equal(vault_read(v, b, 5000, &byte, 1), -GN_ERR_RANGE);
    assert_int_equal(vault_write(v, b, UINT64_MAX, &byte, 1), -GN_ERR_RANGE);
    assert_int_equal(vault_read(v, b + 1, 0, &byte, 1), -GN_ERR_NOENT);
    assert_int_equal(vault_read(v, 0, 0, &byte, 1), -GN_ERR_NOENT);
    assert_int_equal(vault_free(v, 12345678), -GN_ERR_NOENT);
    assert_int_equal(vault_free(v, b), 0);
    assert_int_equal(vault_free(v, b), -GN_ERR_NOENT);
    assert_int_equal(vault_read(v, b, 0, &byte, 1), -GN_ERR_NOENT);
    vault_close(v);
    vault_close(NULL);
}

static void a_new_block_is_zero_where_another_was(void **state)
{
    struct vault *v = small_vault();
    uint8_t bytes[4096];
    vault_block b;

    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(vault_alloc(v, 1 << 20, &b), 0);
        for (uint64_t at = 0; at < 1 << 20; at += sizeof bytes) {
            assert_int_equal(vault_read(v, b, at, bytes, sizeof bytes), 0);
            for (size_t i = 0; i < sizeof bytes; i++)
                assert_int_equal(bytes[i], 0);
            memset(bytes, 0x5a, sizeof bytes);
            assert_int_equal(vault_write(v, b, at, bytes, sizeof bytes), 0);
        }
        assert_int_equal(vault_free(v, b), 0);
    }
    vault_close(v);
}

static void random_blocks_are_as_plain_arrays_are(void **state)
{
    static uint8_t model[BLOCKS][BYTES];
    static uint8_t bytes[BYTES];
    vault_block block[BLOCKS] = {0};
    struct vault *v = small_vault();
    uint64_t random = gn_test_seed();

    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint32_t which = gn_test_random(&random) % BLOCKS;
        uint64_t offset = gn_test_random(&random) % BYTES;
        size_t length = gn_test_random(&random) % (BYTES - offset) % 300 + 1;

        if (!block[which]) {
            assert_int_equal(vault_alloc(v, BYTES, &block[which]), 0);
            memset(model[which], 0, BYTES);
        }
        switch (gn_test_random(&random) % 50) {
        case 0:
            assert_int_equal(vault_free(v, block[which]), 0);
            block[which] = 0;
            break;
        case 1 ... 24:
            memset(model[which] + offset, i, length);
            memset(bytes, i, length);
            assert_int_equal(vault_write(v, block[which], offset, bytes, length), 0);
            break;
        default:
            assert_int_equal(vault_read(v, block[which], offset, bytes, length), 0);
            assert_memory_equal(bytes, model[which] + offset, length);
        }
    }
    vault_close(v);
}

static void a_changed_ciphertext_is_never_given_out(void **state)
{
    struct vault *v = small_vault();
    struct vault_about about;
    uint8_t byte = 0;
    vault_block b;
    int rc = 0;

    (void)state;
    vault_about(v, &about);
    assert_int_equal(vault_alloc(v, 1 << 20, &b), 0);
    for (uint64_t at = 0; at < 1 << 20; at += 4096)
        assert_int_equal(vault_write(v, b, at, "x", 1), 0);
    /* The first page went out long ago. */
    ((uint8_t *)(uintptr_t)about.store_at)[77] ^= 1;
    rc = vault_read(v, b, 0, &byte, 1);
    assert_true(rc < 0);
    assert_int_equal(byte, 0);
    assert_int_equal(vault_read(v, b, 8192, &byte, 1), rc);
    vault_close(v);
}

static void *turn(void *arg)
{
    struct vault *v = arg;
    uint32_t number = 0;
    vault_block b;

    if (vault_alloc(v, 100000, &b))
        return v;
    for (uint32_t i = 0; i < 2000; i++) {
        uint64_t at = i * 7919 % 99996;
        uint32_t got;

        if (vault_write(v, b, at, &number, 4) || vault_read(v, b, at, &got, 4) || got != number++)
            return v;
    }
    return vault_free(v, b) ? v : NULL;
}

static void threads_have_blocks_at_the_same_time(void **state)
{
    struct vault *v = small_vault();
    pthread_t threads[4];
    void *failed;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, turn, v), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    vault_close(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_keeps_what_is_written_to_it),
        cmocka_unit_test(what_is_no_block_is_refused),
        cmocka_unit_test(a_new_block_is_zero_where_another_was),
        cmocka_unit_test(random_blocks_are_as_plain_arrays_are),
        cmocka_unit_test(a_changed_ciphertext_is_never_given_out),
        cmocka_unit_test(threads_have_blocks_at_the_same_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
