/* SPDX-License-Identifier: BSD-3-Clause */
/* What takes a second thread that races by design, or a second process. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"

/** A store that a second thread changes all the time: never a wrong byte without an error. */
static uint32_t stop; /* atomic */

static void *vandal(void *arg)
{
    uint64_t random = 4711;

    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        const uint64_t at = gn_test_random(&random);
        uint8_t *byte = at >> 63 ? &land.meta[at % land.meta_bytes] : &land.data[at % (48 * BYTES)];

        __atomic_fetch_xor(byte, 0x10, __ATOMIC_RELAXED);
        __atomic_fetch_xor(byte, 0x10, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void a_vandal_on_the_store_is_found_out_or_does_no_harm(void **state)
{
    pthread_t thread;
    uint32_t worlds;

    (void)state;
    for (worlds = 0; worlds < 20; worlds++) {
        world_cipher = worlds % 2 ? &toy_once : &toy;
        begin();
        stop = 0;
        assert_int_equal(pthread_create(&thread, NULL, vandal, NULL), 0);
        for (uint32_t i = 0; i < 2000; i++) {
            const uint64_t page = i * 31 % 48;
            uint8_t byte = (uint8_t)page, got = 0;
            int r = gn_cachecrypt_write(w.cc, land.region, page * BYTES + 9, &byte, 1);

            if (!r)
                r = gn_cachecrypt_evict(w.cc, land.region, page * BYTES, 1);
            if (!r)
                r = gn_cachecrypt_read(w.cc, land.region, page * BYTES + 9, &got, 1);
            if (r == -GN_ERR_BADMSG)
                break;
            assert_int_equal(r, 0);
            assert_int_equal(got, byte);
        }
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        end();
    }
}

static uint64_t process(void *ctx)
{
    (void)ctx;
    return (uint64_t)getpid();
}

/* Attack class 14: fork while pages are dirty; two children of one pool would seal alike. */
static void a_forked_child_seals_nothing(void **state)
{
    int status;
    pid_t child;

    (void)state;
    world_plan(&w, 2, BYTES);
    w.ops.generation = process;
    world_begin(&w);
    land_add(&w, &land, PAGES, BYTES);
    put_page(&w, &land, 1, 1);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        toy_seals = 0;
        status = gn_cachecrypt_flush(w.cc, land.region);
        _exit(status == -GN_ERR_PERM && toy_seals == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    put_away(&w, &land);
    want_page(&w, &land, 1, 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vandal_on_the_store_is_found_out_or_does_no_harm),
        cmocka_unit_test(a_forked_child_seals_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
