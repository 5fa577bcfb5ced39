/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A drain that takes a record while an append compares itself with it. Chance seldom brings that
 * about, so the record's memory does: it is out of reach, and whoever reads it stands still in a
 * signal handler, which drains.
 */

#include <gnomon/tracelog_inline.h>

#include <signal.h>
#include <sys/mman.h>

#include "gn_test.h"

#define RECORDS 1024u /* of 16 bytes: four pages, of which one is all records */

static struct {
    struct gn_tracelog *log;
    void *page;
    struct gn_tracelog_drain drain;
    struct gn_tracelog_item item;
    uint32_t times;
} between;

static void stand_still(int signal)
{
    (void)signal;
    between.times++;
    if (mprotect(between.page, GN_PAGE_SIZE, PROT_READ | PROT_WRITE))
        abort();
    gn_tracelog_drain_begin(between.log, &between.drain);
    if (gn_tracelog_drain_next(between.log, &between.drain, &between.item) != 1)
        abort();
}

static uint32_t drain_rest(struct gn_tracelog *log, struct gn_tracelog_drain *d, uint64_t gpa)
{
    struct gn_tracelog_item item;
    uint32_t found = 0;

    while (gn_tracelog_drain_next(log, d, &item) == 1)
        found += item.kind == GN_TRACELOG_ENTRY && item.gpa.v == gpa;
    return found;
}

static void a_record_that_is_taken_meanwhile_filters_no_write(void **state)
{
    const struct gn_tracelog_params params = {GN_TRACELOG_PARAMS_INIT, .ring_entries = RECORDS};
    void *mem = gn_test_memory(GN_PAGE_SIZE, gn_tracelog_size(&params));
    const struct sigaction handler = {.sa_handler = stand_still};
    const uint64_t again = UINT64_C(0x12345678);
    struct gn_tracelog_drain d;
    struct sigaction before;
    uintptr_t records;
    uint64_t position;

    (void)state;
    assert_int_equal(gn_tracelog_init(mem, gn_tracelog_size(&params), &params, &between.log), 0);
    records = (uintptr_t)between.log->rings[0].records;
    between.page = (void *)((records + GN_PAGE_MASK) & ~(uintptr_t)GN_PAGE_MASK);
    position = ((uintptr_t)between.page - records) / sizeof(struct gn_tracelog_record);
    for (uint64_t i = 0; i < position; i++)
        gn_tracelog_append(between.log, 0, gn_gpa(i * 64), 8);
    gn_tracelog_append(between.log, 0, gn_gpa(again), 8);
    assert_int_equal(sigaction(SIGSEGV, &handler, &before), 0);
    assert_int_equal(mprotect(between.page, GN_PAGE_SIZE, PROT_NONE), 0);
    gn_tracelog_append(between.log, 0, gn_gpa(again), 8);
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    assert_int_equal(between.times, 1);
    /* What the drain took was read, perhaps, before the second write: the next has that. */
    drain_rest(between.log, &between.drain, again);
    gn_tracelog_drain_begin(between.log, &d);
    assert_int_equal(drain_rest(between.log, &d, again), 1);
    assert_true(gn_tracelog_empty(between.log));
    gn_tracelog_fini(between.log);
    free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_is_taken_meanwhile_filters_no_write),
    };

    return cmocka_run_group_tests_name("tracelog_between", tests, NULL, NULL);
}
