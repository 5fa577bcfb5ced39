/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CMOCKA_H
#define CMOCKA_H

/*
 * cmocka's words on the bare machine: what the project's tests use of its interface, with an
 * implementation of our own, so that their sources run here as they stand.
 */

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
    const char *name;
    CMUnitTestFunction test_func;
    CMFixtureFunction setup_func;
    CMFixtureFunction teardown_func;
    void *initial_state;
};

#define cmocka_unit_test(f)     \
    {                           \
#f, f, NULL, NULL, NULL \
    }
#define cmocka_unit_test_setup_teardown(f, setup, teardown) \
    {                                                       \
#f, f, setup, teardown, NULL                        \
    }

#define cmocka_run_group_tests(tests, setup, teardown) \
    cmocka_run_group_tests_name(#tests, tests, setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown) \
    metal_run(name, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

int metal_run(const char *name, const struct CMUnitTest *tests, size_t count,
              CMFixtureFunction setup, CMFixtureFunction teardown);

/* Each ends the test if it does not hold. */
void metal_true(uint64_t value, const char *what, const char *file, int line);
void metal_equal(uint64_t a, uint64_t b, int equal, const char *file, int line);
void metal_range(uint64_t value, uint64_t low, uint64_t high, const char *file, int line);
void metal_memory(const void *a, const void *b, size_t bytes, const char *file, int line);
void metal_string(const char *a, const char *b, const char *file, int line);
_Noreturn void metal_fail(const char *file, int line);
_Noreturn void metal_skip(void);
void print_message(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define metal_number(v)  ((uint64_t)(v))
#define metal_pointer(p) ((uint64_t)(uintptr_t)(p))

#define assert_true(c)         metal_true(metal_number(c), #c, __FILE__, __LINE__)
#define assert_false(c)        metal_true(!metal_number(c), "not " #c, __FILE__, __LINE__)
#define assert_non_null(p)     metal_true(metal_pointer(p), #p, __FILE__, __LINE__)
#define assert_null(p)         metal_true(!metal_pointer(p), "not " #p, __FILE__, __LINE__)
#define assert_int_equal(a, b) metal_equal(metal_number(a), metal_number(b), 1, __FILE__, __LINE__)
#define assert_int_not_equal(a, b) \
    metal_equal(metal_number(a), metal_number(b), 0, __FILE__, __LINE__)
#define assert_ptr_equal(a, b) \
    metal_equal(metal_pointer(a), metal_pointer(b), 1, __FILE__, __LINE__)
#define assert_ptr_not_equal(a, b) \
    metal_equal(metal_pointer(a), metal_pointer(b), 0, __FILE__, __LINE__)
#define assert_in_range(v, a, b) \
    metal_range(metal_number(v), metal_number(a), metal_number(b), __FILE__, __LINE__)
#define assert_memory_equal(a, b, n) metal_memory(a, b, n, __FILE__, __LINE__)
#define assert_string_equal(a, b)    metal_string(a, b, __FILE__, __LINE__)
#define fail()                       metal_fail(__FILE__, __LINE__)
#define skip()                       metal_skip()
#define fail_msg(...)                       \
    do {                                    \
        print_error("ERROR: " __VA_ARGS__); \
        print_error("\n");                  \
        fail();                             \
    } while (0)

#endif /* CMOCKA_H */
