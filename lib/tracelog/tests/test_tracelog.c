/* SPDX-License-Identifier: BSD-3-Clause */
#include <gnomon/tracelog_inline.h>

#include "make.h"

/* Layout: sizes and offsets are ABI. */
GN_TEST_SIZE(gn_tracelog_params, 40);
GN_TEST_AT(gn_tracelog_params, vcpus, 4);
GN_TEST_AT(gn_tracelog_params, ring_entries, 8);
GN_TEST_AT(gn_tracelog_params, filter_entries, 12);
GN_TEST_AT(gn_tracelog_params, pending_entries, 16);
GN_TEST_AT(gn_tracelog_params, flags, 20);
GN_TEST_AT(gn_tracelog_params, page_base, 24);
GN_TEST_AT(gn_tracelog_params, page_count, 32);
GN_TEST_SIZE(gn_tracelog_item, 24);
GN_TEST_AT(gn_tracelog_item, vcpu, 4);
GN_TEST_AT(gn_tracelog_item, gpa, 8);
GN_TEST_AT(gn_tracelog_item, bytes, 16);
GN_TEST_SIZE(gn_tracelog_drain, 32);
GN_TEST_AT(gn_tracelog_drain, word, 8);
GN_TEST_AT(gn_tracelog_drain, bits, 16);
GN_TEST_AT(gn_tracelog_drain, vcpu, 24);
GN_TEST_AT(gn_tracelog_drain, phase, 28);
GN_TEST_SIZE(gn_tracelog_stats, 88);
GN_TEST_AT(gn_tracelog_stats, appended, 8);
GN_TEST_AT(gn_tracelog_stats, again, 80);
/* Outside the ABI, but groups that different threads write share no cache line. */
GN_TEST_SIZE(gn_tracelog_record, 16);
GN_TEST_SIZE(gn_tracelog_ring, 192);
GN_TEST_AT(gn_tracelog_ring, taken, 64);
GN_TEST_AT(gn_tracelog_ring, records, 128);
GN_TEST_SIZE(gn_tracelog, 256);
GN_TEST_AT(gn_tracelog, marks, 64);
GN_TEST_AT(gn_tracelog, hand, 128);

static struct gn_tracelog_stats stats_of(const struct gn_tracelog *log)
{
    struct gn_tracelog_stats stats = {GN_TRACELOG_STATS_INIT};

    assert_int_equal(gn_tracelog_stats_get(log, &stats), 0);
    return stats;
}

/* Expects one more item of the drain. */
static void expect(struct gn_tracelog *log, struct gn_tracelog_drain *d, uint32_t kind,
                   uint64_t gpa, uint64_t bytes, uint32_t vcpu)
{
    struct gn_tracelog_item item;

    assert_int_equal(gn_tracelog_drain_next(log, d, &item), 1);
    assert_int_equal(item.kind, kind);
    assert_int_equal(item.gpa.v, gpa);
    assert_int_equal(item.bytes, bytes);
    assert_int_equal(item.vcpu, vcpu);
}

static void expect_end(struct gn_tracelog *log, struct gn_tracelog_drain *d)
{
    struct gn_tracelog_item item;

    assert_int_equal(gn_tracelog_drain_next(log, d, &item), 0);
    assert_int_equal(gn_tracelog_drain_next(log, d, &item), 0);
}

static int init_result(struct gn_tracelog_params params)
{
    static _Alignas(64) uint8_t mem[1 << 16];
    struct gn_tracelog *log = (void *)mem;
    const int r = gn_tracelog_init(mem, sizeof mem, &params, &log);

    /* A result parameter stays as it was on failure, and size agrees with init. */
    if (r && r != -GN_ERR_NOMEM)
        assert_int_equal(gn_tracelog_size(&params), 0);
    return r;
}

static void init_refuses_what_is_out_of_range(void **state)
{
    struct gn_tracelog_params p = {GN_TRACELOG_PARAMS_INIT};
    _Alignas(64) uint8_t mem[256];
    struct gn_tracelog *log = NULL;

    (void)state;
    assert_int_equal(init_result(p), 0);
    assert_int_equal(gn_tracelog_init(NULL, 1, &p, &log), -GN_ERR_INVAL);
    assert_int_equal(gn_tracelog_init(mem, sizeof mem, NULL, &log), -GN_ERR_INVAL);
    assert_int_equal(gn_tracelog_init(mem, sizeof mem, &p, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_tracelog_init(mem + 8, sizeof mem - 8, &p, &log), -GN_ERR_INVAL);
    assert_int_equal(gn_tracelog_init(mem, sizeof mem, &p, &log), -GN_ERR_NOMEM);
    assert_null(log);
    p.ring_entries = 3;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.ring_entries = 1;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.ring_entries = GN_TRACELOG_RING_MAX * 2;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.ring_entries = 2;
    assert_int_equal(init_result(p), 0);
    p.filter_entries = 7;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.filter_entries = 1;
    p.pending_entries = 7;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.pending_entries = 1;
    p.vcpus = GN_TRACELOG_VCPUS_MAX + 1;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.vcpus = 2;
    p.flags = 4;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.flags = 0;
    p.page_base = gn_gpa(0x800);
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.page_base = gn_gpa(~GN_PAGE_MASK);
    p.page_count = 2;
    assert_int_equal(init_result(p), -GN_ERR_RANGE);
    p.page_count = 1;
    assert_int_equal(init_result(p), 0);
    p.size = 8;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
}

static void a_longer_params_is_accepted_while_its_tail_is_zero(void **state)
{
    struct {
        struct gn_tracelog_params p;
        uint64_t tail;
    } longer = {{GN_TRACELOG_PARAMS_INIT}, 0};

    (void)state;
    longer.p.size = sizeof longer;
    assert_int_not_equal(gn_tracelog_size(&longer.p), 0);
    longer.tail = 1;
    assert_int_equal(gn_tracelog_size(&longer.p), 0);
}

static void fini_accepts_null_and_version_is_the_headers(void **state)
{
    (void)state;
    gn_tracelog_fini(NULL);
    assert_int_equal(gn_tracelog_version(),
                     GN_TRACELOG_VERSION_MAJOR << 16 | GN_TRACELOG_VERSION_MINOR);
}

static void records_come_out_vcpu_by_vcpu_in_order(void **state)
{
    struct gn_tracelog *log = make((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, 2});
    struct gn_tracelog_drain d;

    (void)state;
    gn_tracelog_append(log, 1, gn_gpa(0x2000), 8);
    gn_tracelog_append(log, 0, gn_gpa(0x1008), 4);
    gn_tracelog_append(log, 0, gn_gpa(0x1000), 1);
    assert_false(gn_tracelog_empty(log));
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x1008, 4, 0);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x1000, 1, 0);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x2000, 8, 1);
    assert_false(gn_tracelog_empty(log));
    expect_end(log, &d);
    assert_true(gn_tracelog_empty(log));
    destroy(log);
}

static void a_drain_hands_out_only_what_was_there_when_it_began(void **state)
{
    struct gn_tracelog *log = make((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, 1, 8});
    struct gn_tracelog_drain d;

    (void)state;
    gn_tracelog_append(log, 0, gn_gpa(0), 8);
    gn_tracelog_drain_begin(log, &d);
    gn_tracelog_append(log, 0, gn_gpa(8), 8);
    expect(log, &d, GN_TRACELOG_ENTRY, 0, 8, 0);
    gn_tracelog_append(log, 0, gn_gpa(16), 8);
    expect_end(log, &d);
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ENTRY, 8, 8, 0);
    expect(log, &d, GN_TRACELOG_ENTRY, 16, 8, 0);
    expect_end(log, &d);
    destroy(log);
}

static void a_duplicate_is_dropped_until_its_record_is_taken(void **state)
{
    struct gn_tracelog *log = make((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT});
    struct gn_tracelog_drain d;

    (void)state;
    gn_tracelog_append(log, 0, gn_gpa(0x40), 8);
    gn_tracelog_append(log, 0, gn_gpa(0x40), 8);
    gn_tracelog_append(log, 0, gn_gpa(0x40), 4);
    assert_int_equal(stats_of(log).filtered, 1);
    gn_tracelog_drain_begin(log, &d);
    /* The drain may be about to re-read this very entry, or may have done so. */
    gn_tracelog_append(log, 0, gn_gpa(0x40), 4);
    assert_int_equal(stats_of(log).filtered, 1);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x40, 8, 0);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x40, 4, 0);
    expect_end(log, &d);
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x40, 4, 0);
    expect_end(log, &d);
    destroy(log);
}

static void without_a_filter_duplicates_are_recorded(void **state)
{
    struct gn_tracelog *log =
        make((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, .flags = GN_TRACELOG_NO_FILTER});

    (void)state;
    gn_tracelog_append(log, 0, gn_gpa(0x40), 8);
    gn_tracelog_append(log, 0, gn_gpa(0x40), 8);
    assert_int_equal(stats_of(log).appended, 2);
    assert_int_equal(stats_of(log).filtered, 0);
    destroy(log);
}

static void a_full_ring_becomes_pages_and_loses_nothing(void **state)
{
    struct gn_tracelog *log =
        make((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, .ring_entries = 2,
                                         .page_base = gn_gpa(0x10000), .page_count = 130});
    struct gn_tracelog_drain d;

    (void)state;
    gn_tracelog_append(log, 0, gn_gpa(0x10000), 8);
    gn_tracelog_append(log, 0, gn_gpa(0x10008), 8);
    gn_tracelog_append(log, 0, gn_gpa(0x10010), 8);
    gn_tracelog_append(log, 0, gn_gpa(0x10000 + 129 * GN_PAGE_SIZE), 8);
    gn_tracelog_append(log, 0, gn_gpa(0x10000 + 64 * GN_PAGE_SIZE - 4), 8);
    assert_int_equal(stats_of(log).overflowed, 3);
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x10000, 8, 0);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x10008, 8, 0);
    expect(log, &d, GN_TRACELOG_PAGE, 0x10000, 4096, 0);
    expect(log, &d, GN_TRACELOG_PAGE, 0x10000 + 63 * GN_PAGE_SIZE, 4096, 0);
    expect(log, &d, GN_TRACELOG_PAGE, 0x10000 + 64 * GN_PAGE_SIZE, 4096, 0);
    expect(log, &d, GN_TRACELOG_PAGE, 0x10000 + 129 * GN_PAGE_SIZE, 4096, 0);
    expect_end(log, &d);
    assert_true(gn_tracelog_empty(log));
    gn_tracelog_append(log, 0, gn_gpa(0x10010), 8);
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x10010, 8, 0);
    expect_end(log, &d);
    destroy(log);
}

static void a_page_outside_the_range_sets_the_everything_flag(void **state)
{
    struct gn_tracelog *log = make((struct gn_tracelog_params){
        GN_TRACELOG_PARAMS_INIT, .ring_entries = 2, .page_base = gn_gpa(0x10000), .page_count = 2});
    struct gn_tracelog_drain d;
    const uint64_t outside[] = {0, 0xf000, 0x12000, ~(uint64_t)0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof outside / sizeof *outside; i++) {
        gn_tracelog_append_page(log, gn_gpa(outside[i]));
        assert_false(gn_tracelog_empty(log));
        assert_true(gn_tracelog_pending(log, gn_gpa(0x5000)));
        gn_tracelog_drain_begin(log, &d);
        expect(log, &d, GN_TRACELOG_ALL, 0, 0, 0);
        assert_true(gn_tracelog_pending(log, gn_gpa(0x5000)));
        expect_end(log, &d);
        assert_false(gn_tracelog_pending(log, gn_gpa(0x5000)));
        assert_true(gn_tracelog_empty(log));
    }
    assert_int_equal(stats_of(log).all_set, 4);
    assert_int_equal(stats_of(log).alls, 4);
    destroy(log);
}

static void a_write_across_pages_makes_both_pending(void **state)
{
    struct gn_tracelog *log = make((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT});
    struct gn_tracelog_drain d;

    (void)state;
    gn_tracelog_append(log, 0, gn_gpa(0x4ffc), 8);
    assert_true(gn_tracelog_pending(log, gn_gpa(0x4000)));
    assert_true(gn_tracelog_pending(log, gn_gpa(0x5000)));
    assert_false(gn_tracelog_pending(log, gn_gpa(0x6000)));
    gn_tracelog_append(log, 0, gn_gpa(0x4ffc), 8);
    assert_int_equal(stats_of(log).filtered, 1);
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x4ffc, 8, 0);
    assert_true(gn_tracelog_pending(log, gn_gpa(0x5fff)));
    expect_end(log, &d);
    assert_false(gn_tracelog_pending(log, gn_gpa(0x4000)));
    assert_false(gn_tracelog_pending(log, gn_gpa(0x5000)));
    destroy(log);
}

static void a_log_of_overflow_bits_alone_is_not_empty(void **state)
{
    struct gn_tracelog *log = make((struct gn_tracelog_params){
        GN_TRACELOG_PARAMS_INIT, .page_base = gn_gpa(0x10000), .page_count = 16});
    struct gn_tracelog_drain d;

    (void)state;
    gn_tracelog_append_page(log, gn_gpa(0x12000));
    assert_false(gn_tracelog_empty(log));
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_PAGE, 0x12000, 4096, 0);
    assert_false(gn_tracelog_empty(log));
    expect_end(log, &d);
    assert_true(gn_tracelog_empty(log));
    destroy(log);
}

static void odd_appends_are_taken_page_by_page(void **state)
{
    struct gn_tracelog *log = make((struct gn_tracelog_params){
        GN_TRACELOG_PARAMS_INIT, .page_base = gn_gpa(0x10000), .page_count = 16});
    struct gn_tracelog_drain d;

    (void)state;
    gn_tracelog_append(log, 0, gn_gpa(0x10000), 0);
    gn_tracelog_append_range(log, gn_gpa(0x10000), 0);
    assert_true(gn_tracelog_empty(log));
    gn_tracelog_append(log, 0, gn_gpa(0x10800), 8192);
    gn_tracelog_append(log, 9, gn_gpa(0x15000), 8);
    gn_tracelog_append(log, 0, gn_gpa(0x16000), 4096);
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ENTRY, 0x16000, 4096, 0);
    expect(log, &d, GN_TRACELOG_PAGE, 0x10000, 4096, 0);
    expect(log, &d, GN_TRACELOG_PAGE, 0x11000, 4096, 0);
    expect(log, &d, GN_TRACELOG_PAGE, 0x12000, 4096, 0);
    expect(log, &d, GN_TRACELOG_PAGE, 0x15000, 4096, 0);
    expect_end(log, &d);
    /* Beyond the end of the address space, and across an end of the range. */
    gn_tracelog_append(log, 0, gn_gpa(~(uint64_t)3), 8);
    gn_tracelog_append_range(log, gn_gpa(0x1f000), ~(uint64_t)0);
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ALL, 0, 0, 0);
    expect(log, &d, GN_TRACELOG_PAGE, 0x1f000, 4096, 0);
    expect_end(log, &d);
    destroy(log);
}

static void an_abandoned_drain_loses_no_item(void **state)
{
    struct gn_tracelog *log =
        make((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, .page_count = 100});
    struct gn_tracelog_drain d, old;
    struct gn_tracelog_item item;
    int i;

    (void)state;
    gn_tracelog_append(log, 0, gn_gpa(0), 8);
    gn_tracelog_append_page(log, gn_gpa(0x3000));
    gn_tracelog_append_page(log, gn_gpa(0x4000));
    gn_tracelog_append_page(log, gn_gpa(0x100000));
    for (i = 0; i < 4; i++) {
        int k;

        gn_tracelog_drain_begin(log, &d);
        for (k = 0; k <= i; k++)
            assert_int_equal(gn_tracelog_drain_next(log, &d, &item), 1);
        assert_false(gn_tracelog_empty(log));
        old = d;
        gn_tracelog_drain_begin(log, &d);
        assert_int_equal(gn_tracelog_drain_next(log, &old, &item), -GN_ERR_PERM);
        assert_int_equal(gn_tracelog_drain_rest(log, &old, &item), -GN_ERR_PERM);
        gn_tracelog_drain_end(log, &old);
        /* Whatever was in hand comes first, or later, but comes. */
        assert_int_equal(gn_tracelog_drain_next(log, &d, &item), 1);
        if (i == 0)
            assert_int_equal(item.gpa.v, 0);
        gn_tracelog_drain_begin(log, &d);
        while (gn_tracelog_drain_next(log, &d, &item) == 1)
            continue;
        assert_true(gn_tracelog_empty(log));
        gn_tracelog_append(log, 0, gn_gpa(0), 8);
        gn_tracelog_append_page(log, gn_gpa(0x3000));
        gn_tracelog_append_page(log, gn_gpa(0x4000));
        gn_tracelog_append_page(log, gn_gpa(0x100000));
    }
    destroy(log);
}

static void a_drain_may_end_early_and_the_rest_stays(void **state)
{
    struct gn_tracelog *log = make((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT});
    struct gn_tracelog_drain d;
    struct gn_tracelog_item item;

    (void)state;
    gn_tracelog_append(log, 0, gn_gpa(0), 8);
    gn_tracelog_append(log, 0, gn_gpa(8), 8);
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ENTRY, 0, 8, 0);
    gn_tracelog_drain_end(log, &d);
    assert_int_equal(gn_tracelog_drain_next(log, &d, &item), -GN_ERR_PERM);
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ENTRY, 8, 8, 0);
    expect_end(log, &d);
    assert_int_equal(stats_of(log).again, 0);
    destroy(log);
}

static void the_rest_of_a_drain_is_one_item(void **state)
{
    struct gn_tracelog *log =
        make((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, .page_count = 100});
    struct gn_tracelog_drain d;
    struct gn_tracelog_item item;

    (void)state;
    gn_tracelog_drain_begin(log, &d);
    assert_int_equal(gn_tracelog_drain_rest(log, &d, &item), 0);
    gn_tracelog_append(log, 0, gn_gpa(0), 8);
    gn_tracelog_append(log, 0, gn_gpa(0x1000), 8);
    gn_tracelog_append_page(log, gn_gpa(0x50000));
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ENTRY, 0, 8, 0);
    assert_int_equal(gn_tracelog_drain_rest(log, &d, &item), 1);
    assert_int_equal(item.kind, GN_TRACELOG_ALL);
    assert_true(gn_tracelog_pending(log, gn_gpa(0x1000)));
    assert_false(gn_tracelog_empty(log));
    gn_tracelog_drain_begin(log, &d);
    expect(log, &d, GN_TRACELOG_ALL, 0, 0, 0);
    expect_end(log, &d);
    assert_true(gn_tracelog_empty(log));
    assert_false(gn_tracelog_pending(log, gn_gpa(0x1000)));
    assert_int_equal(stats_of(log).again, 1);
    destroy(log);
}

static void arguments_are_checked_and_stats_know_their_size(void **state)
{
    struct gn_tracelog *log = make((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT});
    struct gn_tracelog_stats stats = {.size = 8};
    struct gn_tracelog_drain d;
    struct gn_tracelog_item item;

    (void)state;
    gn_tracelog_drain_begin(log, &d);
    assert_int_equal(gn_tracelog_drain_next(NULL, &d, &item), -GN_ERR_INVAL);
    assert_int_equal(gn_tracelog_drain_next(log, NULL, &item), -GN_ERR_INVAL);
    assert_int_equal(gn_tracelog_drain_next(log, &d, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_tracelog_drain_rest(log, &d, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_tracelog_stats_get(log, &stats), -GN_ERR_INVAL);
    assert_int_equal(gn_tracelog_stats_get(log, NULL), -GN_ERR_INVAL);
    assert_int_equal(stats_of(log).drains, 1);
    destroy(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_refuses_what_is_out_of_range),
        cmocka_unit_test(a_longer_params_is_accepted_while_its_tail_is_zero),
        cmocka_unit_test(fini_accepts_null_and_version_is_the_headers),
        cmocka_unit_test(records_come_out_vcpu_by_vcpu_in_order),
        cmocka_unit_test(a_drain_hands_out_only_what_was_there_when_it_began),
        cmocka_unit_test(a_duplicate_is_dropped_until_its_record_is_taken),
        cmocka_unit_test(without_a_filter_duplicates_are_recorded),
        cmocka_unit_test(a_full_ring_becomes_pages_and_loses_nothing),
        cmocka_unit_test(a_page_outside_the_range_sets_the_everything_flag),
        cmocka_unit_test(a_write_across_pages_makes_both_pending),
        cmocka_unit_test(a_log_of_overflow_bits_alone_is_not_empty),
        cmocka_unit_test(odd_appends_are_taken_page_by_page),
        cmocka_unit_test(an_abandoned_drain_loses_no_item),
        cmocka_unit_test(a_drain_may_end_early_and_the_rest_stays),
        cmocka_unit_test(the_rest_of_a_drain_is_one_item),
        cmocka_unit_test(arguments_are_checked_and_stats_know_their_size),
    };

    return cmocka_run_group_tests_name("tracelog", tests, NULL, NULL);
}
