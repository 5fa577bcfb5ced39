/* SPDX-License-Identifier: BSD-3-Clause */
#include <gnomon/tracelog_inline.h>

#include <pthread.h>
#include <sched.h>

#include "gn_test.h"

/* Layout: sizes and offsets are ABI. */
#define AT(type, member, offset) \
    _Static_assert(offsetof(struct type, member) == (offset), #type "." #member)
#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
SIZE(gn_tracelog_params, 40);
AT(gn_tracelog_params, vcpus, 4);
AT(gn_tracelog_params, ring_entries, 8);
AT(gn_tracelog_params, filter_entries, 12);
AT(gn_tracelog_params, pending_entries, 16);
AT(gn_tracelog_params, flags, 20);
AT(gn_tracelog_params, page_base, 24);
AT(gn_tracelog_params, page_count, 32);
SIZE(gn_tracelog_item, 24);
AT(gn_tracelog_item, vcpu, 4);
AT(gn_tracelog_item, gpa, 8);
AT(gn_tracelog_item, bytes, 16);
SIZE(gn_tracelog_drain, 32);
AT(gn_tracelog_drain, word, 8);
AT(gn_tracelog_drain, bits, 16);
AT(gn_tracelog_drain, vcpu, 24);
AT(gn_tracelog_drain, phase, 28);
SIZE(gn_tracelog_stats, 88);
AT(gn_tracelog_stats, appended, 8);
AT(gn_tracelog_stats, again, 80);
/* Outside the ABI, but groups that different threads write share no cache line. */
SIZE(gn_tracelog_record, 16);
SIZE(gn_tracelog_ring, 192);
AT(gn_tracelog_ring, taken, 64);
AT(gn_tracelog_ring, records, 128);
SIZE(gn_tracelog, 256);
AT(gn_tracelog, marks, 64);
AT(gn_tracelog, hand, 128);

static struct gn_tracelog *make(struct gn_tracelog_params params)
{
    const size_t size = gn_tracelog_size(&params);
    struct gn_tracelog *log = NULL;
    void *mem;

    mem = gn_test_memory(gn_tracelog_align(), size);
    assert_int_equal(gn_tracelog_init(mem, size, &params, &log), 0);
    assert_ptr_equal(log, mem);
    assert_true(gn_tracelog_empty(log));
    return log;
}

static void destroy(struct gn_tracelog *log)
{
    gn_tracelog_fini(log);
    free(log);
}

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

/* ---- long runs against a naive model ---------------------------------------------------- */

#define MODEL_PAGES 8
#define MODEL_WORDS (MODEL_PAGES * 512)

/* Guest memory and what the consumer knows of it. */
struct model {
    struct gn_tracelog *log;
    uint64_t memory[MODEL_WORDS + 1];
    uint64_t known[MODEL_WORDS + 1];
    uint64_t when[MODEL_WORDS + 1]; /* number of the write that was last */
    uint64_t writes;
};

static void model_apply(struct model *m, const struct gn_tracelog_item *item)
{
    uint64_t from = item->gpa.v / 8, to = (item->gpa.v + item->bytes + 7) / 8, i;

    if (item->kind == GN_TRACELOG_ALL) {
        from = 0;
        to = MODEL_WORDS;
    }
    assert_true(to <= MODEL_WORDS);
    for (i = from; i < to; i++)
        m->known[i] = m->memory[i];
}

static void model_write(struct model *m, uint64_t *rng)
{
    /* A few hot words, so that duplicates and full rings are common. */
    const uint64_t r = gn_test_random(rng);
    const uint64_t i = r & 1 ? r / 2 % 32 * 129 % (MODEL_WORDS - 1) : r / 2 % (MODEL_WORDS - 1);
    const uint32_t vcpu = (r >> 40) % 3;

    m->memory[i] = m->when[i] = ++m->writes;
    if (r >> 45 & 1) { /* a write of two words, across pages at times */
        m->memory[i + 1] = m->when[i + 1] = m->writes;
        gn_tracelog_append(m->log, vcpu, gn_gpa(i * 8 + 4), 8);
    } else if ((r >> 46 & 15) == 0) {
        gn_tracelog_append_page(m->log, gn_gpa(i * 8));
    } else {
        gn_tracelog_append(m->log, vcpu, gn_gpa(i * 8), 8);
    }
}

/* What is unknown is pending, and what the last whole drain had to know is known. */
static void model_check(const struct model *m, uint64_t writes_at_begin, int ended)
{
    int differs = 0;
    uint64_t i;

    for (i = 0; i < MODEL_WORDS; i++) {
        if (m->known[i] == m->memory[i])
            continue;
        differs = 1;
        assert_true(gn_tracelog_pending(m->log, gn_gpa(i * 8)));
        if (ended)
            assert_true(m->when[i] > writes_at_begin);
    }
    if (differs)
        assert_false(gn_tracelog_empty(m->log));
}

static void model_drain(struct model *m, uint64_t *rng)
{
    const uint64_t writes_at_begin = m->writes;
    const uint64_t manner = gn_test_random(rng) % 16;
    struct gn_tracelog_drain d;
    struct gn_tracelog_item item;
    uint64_t steps = 0;
    int r;

    gn_tracelog_drain_begin(m->log, &d);
    for (;;) {
        r = manner == 1 && steps == 3 ? gn_tracelog_drain_rest(m->log, &d, &item)
                                      : gn_tracelog_drain_next(m->log, &d, &item);
        if (r != 1)
            break;
        steps++;
        /* Bounded: three rings of 16, every page, the everything flag. */
        assert_true(steps <= 3 * 16 + MODEL_PAGES + 1);
        if (gn_test_random(rng) % 4 == 0)
            model_write(m, rng);
        if (gn_test_random(rng) % 32 == 0)
            model_check(m, 0, 0); /* with an item in hand that the shadow does not show */
        if (manner == 0 && steps == 5)
            return; /* abandoned, the item not applied */
        model_apply(m, &item);
        if (gn_test_random(rng) % 4 == 0)
            model_write(m, rng);
        if (manner == 2 && steps == 4) {
            gn_tracelog_drain_end(m->log, &d);
            return;
        }
    }
    assert_int_equal(r, 0);
    model_check(m, writes_at_begin, 1);
}

static void no_write_that_completed_before_a_drain_began_is_unknown_after_it(void **state)
{
    static struct model m;
    uint64_t rng = gn_test_seed();
    const uint64_t counts[] = {MODEL_PAGES, MODEL_PAGES / 2, 0};
    int i, k;

    (void)state;
    for (k = 0; k < 6; k++) {
        memset(&m, 0, sizeof m);
        m.log = make((struct gn_tracelog_params){
            GN_TRACELOG_PARAMS_INIT, .vcpus = 3, .ring_entries = 16, .filter_entries = 8,
            .pending_entries = 4, .flags = k < 3 ? 0 : GN_TRACELOG_SERIAL,
            .page_count = counts[k % 3]});
        for (i = 0; i < 4000; i++) {
            uint64_t n = gn_test_random(&rng) % 40;

            while (n--)
                model_write(&m, &rng);
            if (i % 8 == 0)
                model_check(&m, 0, 0);
            model_drain(&m, &rng);
        }
        destroy(m.log);
    }
}

/* ---- a producer and a consumer at the same time ----------------------------------------- */

#define RACE_WORDS 4

struct race {
    struct gn_tracelog *log;
    uint64_t memory[64 * RACE_WORDS]; /* one word a cache line and page class */
    uint64_t known[64 * RACE_WORDS];
    uint64_t burst; /* bursts that the producer completed */
    uint64_t seen;  /* bursts that the consumer checked */
    uint64_t last;  /* the consumer: no burst after this one */
    uint64_t lost;
};

static uint64_t race_gpa(uint64_t word)
{
    return word * 4096 + word * 8;
}

static void *race_producer(void *arg)
{
    struct race *race = arg;
    uint64_t rng = 88172645463325252u, value = 0, n, w;

    for (n = 1; n <= __atomic_load_n(&race->last, __ATOMIC_ACQUIRE); n++) {
        uint64_t left = gn_test_random(&rng) % 12 + 1;

        while (left--) {
            w = gn_test_random(&rng) % RACE_WORDS;
            /* Relaxed: the log alone orders it before the consumer's reading. */
            __atomic_store_n(&race->memory[w * 64], ++value, __ATOMIC_RELAXED);
            gn_tracelog_append_inline(race->log, 0, gn_gpa(race_gpa(w)), 8);
        }
        __atomic_store_n(&race->burst, n, __ATOMIC_RELEASE);
        while (__atomic_load_n(&race->seen, __ATOMIC_ACQUIRE) < n)
            sched_yield();
    }
    return NULL;
}

static void race_drain(struct race *race)
{
    struct gn_tracelog_drain d;
    struct gn_tracelog_item item;
    uint64_t w;

    gn_tracelog_drain_begin(race->log, &d);
    while (gn_tracelog_drain_next(race->log, &d, &item) == 1)
        for (w = 0; w < RACE_WORDS; w++)
            if (item.kind == GN_TRACELOG_ALL ||
                item.gpa.v >> GN_PAGE_SHIFT == race_gpa(w) >> GN_PAGE_SHIFT)
                race->known[w * 64] = __atomic_load_n(&race->memory[w * 64], __ATOMIC_RELAXED);
}

static void race_run(struct gn_tracelog_params params, uint64_t bursts)
{
    static struct race race;
    const time_t until = time(NULL) + 2;
    pthread_t producer;
    uint64_t burst, w;

    memset(&race, 0, sizeof race);
    race.log = make(params);
    race.last = bursts;
    assert_int_equal(pthread_create(&producer, NULL, race_producer, &race), 0);
    do {
        burst = __atomic_load_n(&race.burst, __ATOMIC_ACQUIRE);
        race_drain(&race);
        if (burst > race.seen) {
            /* All writes of the burst completed before this drain began, and no other did. */
            for (w = 0; w < RACE_WORDS; w++)
                race.lost +=
                    race.known[w * 64] != __atomic_load_n(&race.memory[w * 64], __ATOMIC_RELAXED);
            /* A machine that is busy elsewhere makes each burst a wait for the scheduler. */
            if (time(NULL) > until)
                __atomic_store_n(&race.last, burst, __ATOMIC_RELEASE);
            __atomic_store_n(&race.seen, burst, __ATOMIC_RELEASE);
        }
    } while (burst < race.last);
    assert_int_equal(pthread_join(producer, NULL), 0);
    assert_int_equal(race.lost, 0);
    assert_true(gn_tracelog_empty(race.log));
    destroy(race.log);
}

static uint64_t race_bursts(void)
{
    const char *given = getenv("GN_TEST_BURSTS");

    return given ? strtoull(given, NULL, 0) : 150000;
}

static void no_write_is_lost_while_a_drain_runs_beside_the_producer(void **state)
{
    (void)state;
    race_run((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, .page_count = 16}, race_bursts());
}

static void no_write_is_lost_while_rings_overflow_beside_a_drain(void **state)
{
    (void)state;
    race_run((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, .ring_entries = 2,
                                         .page_count = 16, .flags = GN_TRACELOG_NO_FILTER},
             race_bursts());
}

static void no_write_is_lost_while_everything_overflows_beside_a_drain(void **state)
{
    (void)state;
    race_run((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, .ring_entries = 2},
             race_bursts());
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
        cmocka_unit_test(no_write_that_completed_before_a_drain_began_is_unknown_after_it),
        cmocka_unit_test(no_write_is_lost_while_a_drain_runs_beside_the_producer),
        cmocka_unit_test(no_write_is_lost_while_rings_overflow_beside_a_drain),
        cmocka_unit_test(no_write_is_lost_while_everything_overflows_beside_a_drain),
    };

    return cmocka_run_group_tests_name("tracelog", tests, NULL, NULL);
}
