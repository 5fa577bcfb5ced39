/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <gnomon/base.h>

/* A structure as its library knows it: a first release of 8 bytes, and a member added since. */
struct params {
    uint32_t size;
    uint32_t first;
    uint64_t added;
};

#define PARAMS_MIN_SIZE 8

/* The same structure as a header of the future has it. */
struct params_longer {
    struct params known;
    uint64_t unknown;
};

/* As in a library: the compiler does not see the caller's structure. */
__attribute__((noinline)) static int copy(struct params *to, const void *from)
{
    return gn_base_params_copy(to, sizeof *to, from, PARAMS_MIN_SIZE);
}

static void addresses_keep_their_number_and_cost_no_more_than_it(void **state)
{
    (void)state;
    assert_int_equal(gn_gva(UINT64_MAX).v, UINT64_MAX);
    assert_int_equal(gn_gpa(1).v, 1);
    assert_int_equal(gn_hpa(2).v, 2);
    assert_int_equal(gn_hva(3).v, 3);
    assert_int_equal(sizeof(gn_gva_t), 8);
    assert_int_equal(sizeof(gn_gpa_t), 8);
    assert_int_equal(sizeof(gn_hpa_t), 8);
    assert_int_equal(sizeof(gn_hva_t), 8);
}

static void status_codes_are_errno_values(void **state)
{
    (void)state;
    assert_int_equal(GN_ERR_PERM, EPERM);
    assert_int_equal(GN_ERR_NOENT, ENOENT);
    assert_int_equal(GN_ERR_IO, EIO);
    assert_int_equal(GN_ERR_2BIG, E2BIG);
    assert_int_equal(GN_ERR_AGAIN, EAGAIN);
    assert_int_equal(GN_ERR_NOMEM, ENOMEM);
    assert_int_equal(GN_ERR_FAULT, EFAULT);
    assert_int_equal(GN_ERR_BUSY, EBUSY);
    assert_int_equal(GN_ERR_EXIST, EEXIST);
    assert_int_equal(GN_ERR_INVAL, EINVAL);
    assert_int_equal(GN_ERR_NOSPC, ENOSPC);
    assert_int_equal(GN_ERR_RANGE, ERANGE);
    assert_int_equal(GN_ERR_BADMSG, EBADMSG);
    assert_int_equal(GN_ERR_OVERFLOW, EOVERFLOW);
    assert_int_equal(GN_ERR_NOTSUP, EOPNOTSUPP);
}

static void status_names_are_known_or_say_that_they_are_not(void **state)
{
    (void)state;
    assert_string_equal(gn_base_status_name(0), "OK");
    assert_string_equal(gn_base_status_name(-GN_ERR_2BIG), "GN_ERR_2BIG");
    assert_string_equal(gn_base_status_name(-GN_ERR_NOTSUP), "GN_ERR_NOTSUP");
    assert_string_equal(gn_base_status_name(GN_ERR_2BIG), "unknown");
    assert_string_equal(gn_base_status_name(-4095), "unknown");
}

static void a_page_is_4096_bytes(void **state)
{
    (void)state;
    assert_int_equal(GN_PAGE_SIZE, 4096);
    assert_int_equal(GN_PAGE_MASK, 4095);
    assert_int_equal(UINT64_C(1) << GN_PAGE_SHIFT, GN_PAGE_SIZE);
    assert_int_equal(GN_ACCESS_KINDS, 3);
}

static void params_of_the_same_size_are_copied_whole(void **state)
{
    const struct params from = {.size = sizeof from, .first = 7, .added = 9};
    struct params to;

    (void)state;
    memset(&to, 0xff, sizeof to);
    assert_int_equal(copy(&to, &from), 0);
    assert_memory_equal(&to, &from, sizeof to);
}

static void params_of_an_older_header_are_completed_with_zeros(void **state)
{
    const struct params from = {.size = PARAMS_MIN_SIZE, .first = 7, .added = 9};
    struct params to;

    (void)state;
    memset(&to, 0xff, sizeof to);
    assert_int_equal(copy(&to, &from), 0);
    assert_int_equal(to.first, 7);
    assert_int_equal(to.added, 0);
}

static void params_cut_within_a_member_are_completed_with_zeros(void **state)
{
    const struct params from = {.size = 12, .added = UINT64_C(0x1111111122222222)};
    struct params to;

    (void)state;
    assert_int_equal(copy(&to, &from), 0);
    assert_memory_equal(&to.added, &from.added, 4);
    assert_memory_equal((char *)&to.added + 4, "\0\0\0\0", 4);
}

static void params_of_a_newer_header_are_taken_while_their_tail_is_zero(void **state)
{
    struct params_longer from = {.known = {.size = sizeof from, .first = 7, .added = 9}};
    struct params to;

    (void)state;
    assert_int_equal(copy(&to, &from), 0);
    assert_int_equal(to.first, 7);
    assert_int_equal(to.added, 9);
}

static void each_byte_of_an_unknown_tail_is_2big_and_writes_nothing(void **state)
{
    struct params untouched;
    size_t i;

    (void)state;
    memset(&untouched, 0xa5, sizeof untouched);
    for (i = sizeof(struct params); i < sizeof(struct params_longer); i++) {
        struct params_longer from = {.known = {.size = sizeof from, .first = 7}};
        struct params to = untouched;

        ((uint8_t *)&from)[i] = 1;
        assert_int_equal(copy(&to, &from), -GN_ERR_2BIG);
        assert_memory_equal(&to, &untouched, sizeof to);
    }
}

static void params_shorter_than_the_first_release_are_inval(void **state)
{
    uint32_t size;

    (void)state;
    for (size = 0; size < PARAMS_MIN_SIZE; size++) {
        const struct params from = {.size = size, .first = 7};
        struct params to;

        assert_int_equal(copy(&to, &from), -GN_ERR_INVAL);
    }
}

static void no_params_are_inval(void **state)
{
    struct params to;

    (void)state;
    assert_int_equal(copy(&to, NULL), -GN_ERR_INVAL);
}

static void params_may_lie_at_any_address(void **state)
{
    const struct params from = {.size = sizeof from, .first = 7, .added = 9};
    uint8_t bytes[sizeof from + 1];
    struct params to;

    (void)state;
    memcpy(bytes + 1, &from, sizeof from);
    assert_int_equal(copy(&to, bytes + 1), 0);
    assert_memory_equal(&to, &from, sizeof to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_keep_their_number_and_cost_no_more_than_it),
        cmocka_unit_test(status_codes_are_errno_values),
        cmocka_unit_test(status_names_are_known_or_say_that_they_are_not),
        cmocka_unit_test(a_page_is_4096_bytes),
        cmocka_unit_test(params_of_the_same_size_are_copied_whole),
        cmocka_unit_test(params_of_an_older_header_are_completed_with_zeros),
        cmocka_unit_test(params_cut_within_a_member_are_completed_with_zeros),
        cmocka_unit_test(params_of_a_newer_header_are_taken_while_their_tail_is_zero),
        cmocka_unit_test(each_byte_of_an_unknown_tail_is_2big_and_writes_nothing),
        cmocka_unit_test(params_shorter_than_the_first_release_are_inval),
        cmocka_unit_test(no_params_are_inval),
        cmocka_unit_test(params_may_lie_at_any_address),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
