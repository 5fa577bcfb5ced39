/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "fake_tree.h"
#include "linux_internal.h"

static void index_make(int number, const char *level, const char *type, const char *line,
                       const char *ways, const char *sets)
{
    const char *const names[] = {"level", "type", "coherency_line_size", "ways_of_associativity",
                                 "number_of_sets"};
    const char *const texts[] = {level, type, line, ways, sets};
    char name[64];

    snprintf(name, sizeof name, "index%d", number);
    fake_folder(name);
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "index%d/%s", number, names[i]);
        fake_file(name, texts[i]);
    }
}

static void the_last_cache_for_data_is_found(void **state)
{
    struct gn_linux_cache c = {GN_LINUX_CACHE_INIT};

    (void)state;
    index_make(0, "1\n", "Data\n", "64\n", "8\n", "64\n");
    index_make(1, "2\n", "Unified\n", "64\n", "8\n", "2048\n");
    index_make(2, "3\n", "Instruction\n", "64\n", "16\n", "4096\n");
    assert_int_equal(gn_linux_cache_get(fake_root, &c), 0);
    assert_int_equal(c.level, 2);
    assert_int_equal(c.ways, 8);
    assert_int_equal(c.line_bytes, 64);
    assert_int_equal(c.bytes, 1 << 20);
}

/* Each is the only one of its level 3, beside a good one of level 1 without newlines. */
static void a_description_that_makes_no_sense_is_passed_over(void **state)
{
    static const char digits[] = "99999999999999999999999999999999999999999999999999";
    static const char *const bad[][5] = {
        {"3\n", "Unified\n", "63\n", "16\n", "1024\n"},
        {"3\n", "Unified\n", "0\n", "16\n", "1024\n"},
        {"3\n", "Unified\n", "64\n", "0\n", "1024\n"},
        {"3\n", "Unified\n", "64\n", "16\n", "0\n"},
        {"3\n", "Unified\n", "64\n", "16\n", "-1\n"},
        {"3\n", "Unified\n", "64\n", "16\n", digits},
        {"3\n", "Unified\n", "64\n", "18446744073709551617\n", "1024\n"},
        {"3\n", "Unified\n", "64\n", "16\n", "67108864\n"},
        {"3\n", "Unified\n", "64\n", "16 ways\n", "1024\n"},
        {"3\n", "Unified\n", "64\n", "16\n\n", "1024\n"},
        {"9\n", "Unified\n", "64\n", "16\n", "1024\n"},
        {"", "", "", "", ""},
        {"3\n", digits, "64\n", "16\n", "1024\n"},
    };
    struct gn_linux_cache c = {GN_LINUX_CACHE_INIT};

    (void)state;
    for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++)
        index_make(1 + i, bad[i][0], bad[i][1], bad[i][2], bad[i][3], bad[i][4]);
    assert_int_equal(gn_linux_cache_get(fake_root, &c), -GN_ERR_NOTSUP);
    assert_int_equal(c.level, 0);
    index_make(0, "1", "Data", "64", "8", "64");
    fake_file("index1/coherency_line_size", "64\n");
    fake_bytes("index1/level", "3\0\n", 3);
    assert_int_equal(gn_linux_cache_get(fake_root, &c), 0);
    assert_int_equal(c.level, 1);
    assert_int_equal(c.bytes, 32 << 10);
}

static void a_machine_that_says_nothing_has_no_cache(void **state)
{
    struct gn_linux_cache c = {GN_LINUX_CACHE_INIT};
    char path[512];

    (void)state;
    assert_int_equal(gn_linux_cache_get(fake_path("none"), &c), -GN_ERR_NOTSUP);
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = 0;
    assert_int_equal(gn_linux_cache_get(path, &c), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_cache_get(NULL, NULL), -GN_ERR_INVAL);
    c.size = 4;
    assert_int_equal(gn_linux_cache_get(NULL, &c), -GN_ERR_INVAL);
}

static void the_clock_goes_forward_and_a_flush_keeps_the_line(void **state)
{
    static volatile uint64_t line = 5;
    uint64_t before = gn_linux_cache_clock();
    int rc = gn_linux_cache_flush((const void *)(uintptr_t)&line);

    (void)state;
    assert_true(rc == 0 || rc == -GN_ERR_NOTSUP);
    assert_int_equal(line, 5);
    assert_true(gn_linux_cache_clock() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_cache_for_data_is_found, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(a_description_that_makes_no_sense_is_passed_over,
                                        fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(a_machine_that_says_nothing_has_no_cache, fake_begin,
                                        fake_end),
        cmocka_unit_test(the_clock_goes_forward_and_a_flush_keeps_the_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
