/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a recorded write costs, beside a plain store and beside a trap.
 *
 * The trap is a real one of a hosted hypervisor: a store to a write-protected page, SIGSEGV, a
 * handler that opens the page, the store again, and mprotect to close it. A trap from a guest under
 * hardware virtualization is cheaper, and is followed by decoding and emulating the instruction,
 * which this one is not.
 */
#include <gnomon/tracelog_inline.h>

#include <signal.h>
#include <sys/mman.h>

#include "gn_bench.h"

static struct gn_tracelog *bench_log;
static uint64_t *page; /* 4096 bytes of guest page table */
static uint32_t rounds;

static uint32_t drain(void)
{
    struct gn_tracelog_drain d;
    struct gn_tracelog_item item;
    uint32_t n = 0;

    gn_tracelog_drain_begin(bench_log, &d);
    while (gn_tracelog_drain_next(bench_log, &d, &item) == 1)
        n++;
    return n;
}

static void store(uint32_t i)
{
    __atomic_store_n(&page[i % 512], (uint64_t)i, __ATOMIC_RELAXED);
}

static double plain_store(uint32_t *ret_n)
{
    const double begin = gn_bench_now();
    uint32_t i, k;

    for (k = 0; k < rounds; k++)
        for (i = 0; i < 512; i++)
            store(i);
    *ret_n = rounds * 512;
    return gn_bench_now() - begin;
}

/* 512 entries of one table, each once: nothing for the filter. Drains are not timed. */
static double append_distinct(uint32_t *ret_n)
{
    double ns = 0, begin;
    uint32_t i, k;

    for (k = 0; k < rounds; k++) {
        begin = gn_bench_now();
        for (i = 0; i < 512; i++) {
            store(i);
            gn_tracelog_append_inline(bench_log, 0, gn_gpa(0x8000 + i * 8), 8);
        }
        ns += gn_bench_now() - begin;
        drain();
    }
    *ret_n = rounds * 512;
    return ns;
}

static double append_call(uint32_t *ret_n)
{
    double ns = 0, begin;
    uint32_t i, k;

    for (k = 0; k < rounds; k++) {
        begin = gn_bench_now();
        for (i = 0; i < 512; i++) {
            store(i);
            gn_tracelog_append(bench_log, 0, gn_gpa(0x8000 + i * 8), 8);
        }
        ns += gn_bench_now() - begin;
        drain();
    }
    *ret_n = rounds * 512;
    return ns;
}

/* Four entries again and again: all but four appends are dropped by the filter. */
static double append_filtered(uint32_t *ret_n)
{
    const double begin = gn_bench_now();
    uint32_t i;

    for (i = 0; i < rounds * 512; i++) {
        store(i % 4);
        gn_tracelog_append_inline(bench_log, 0, gn_gpa(0x8000 + i % 4 * 8), 8);
    }
    *ret_n = rounds * 512;
    drain();
    return gn_bench_now() - begin;
}

static double append_overflowing(uint32_t *ret_n)
{
    double begin;
    uint32_t i;

    for (i = 0; i < 512; i++)
        gn_tracelog_append_inline(bench_log, 0, gn_gpa(0x8000 + i * 8), 8);
    begin = gn_bench_now();
    for (i = 0; i < rounds * 64; i++)
        gn_tracelog_append_inline(bench_log, 0, gn_gpa(0x100000 + i * 8 % 0x100000), 8);
    *ret_n = rounds * 64;
    begin = gn_bench_now() - begin;
    drain();
    return begin;
}

static double drain_record(uint32_t *ret_n)
{
    double ns = 0, begin;
    uint32_t i, k;

    *ret_n = 0;
    for (k = 0; k < rounds; k++) {
        for (i = 0; i < 512; i++)
            gn_tracelog_append_inline(bench_log, 0, gn_gpa(0x8000 + i * 8), 8);
        begin = gn_bench_now();
        *ret_n += drain();
        ns += gn_bench_now() - begin;
    }
    return ns;
}

static double drain_empty(uint32_t *ret_n)
{
    const double begin = gn_bench_now();
    uint32_t k;

    for (k = 0; k < rounds * 16; k++)
        drain();
    *ret_n = rounds * 16;
    return gn_bench_now() - begin;
}

static double pending(uint32_t *ret_n)
{
    const double begin = gn_bench_now();
    uint32_t k;
    volatile int sink = 0;

    for (k = 0; k < rounds * 64; k++)
        sink += gn_tracelog_pending_inline(bench_log, gn_gpa(k * 4096));
    *ret_n = rounds * 64;
    (void)sink;
    return gn_bench_now() - begin;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static double trap(uint32_t *ret_n)
{
    struct sigaction action, old;
    double begin;
    uint32_t k;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, &old);
    begin = gn_bench_now();
    for (k = 0; k < rounds; k++) {
        mprotect(page, 4096, PROT_READ);
        store(k);
    }
    begin = gn_bench_now() - begin;
    sigaction(SIGSEGV, &old, NULL);
    *ret_n = rounds;
    return begin;
}

int main(int argc, char **argv)
{
    struct gn_tracelog_params params = {GN_TRACELOG_PARAMS_INIT, .page_count = 1 << 18};
    struct gn_bench_result plain, append;
    size_t size = gn_tracelog_size(&params);
    void *mem = aligned_alloc(gn_tracelog_align(), size);

    rounds = gn_bench_quick(argc, argv) ? 4 : 1000;
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!mem || page == MAP_FAILED || gn_tracelog_init(mem, size, &params, &bench_log))
        return 1;
    gn_bench_header();
    plain = gn_bench_timed("store", plain_store);
    append = gn_bench_timed("store_append", append_distinct);
    gn_bench_timed("store_append_call", append_call);
    gn_bench_timed("store_append_filtered", append_filtered);
    gn_bench_timed("append_overflowing", append_overflowing);
    gn_bench_timed("drain_record", drain_record);
    gn_bench_timed("drain_empty", drain_empty);
    gn_bench_timed("pending", pending);
    gn_bench_ratio("store_append/store", append, plain);
    gn_bench_ratio("store_trap/store_append", gn_bench_timed("store_trap", trap), append);
    gn_tracelog_fini(bench_log);
    params.flags = GN_TRACELOG_SERIAL;
    if (gn_tracelog_init(mem, size, &params, &bench_log))
        return 1;
    gn_bench_timed("store_append_filtered_serial", append_filtered);
    gn_tracelog_fini(bench_log);
    free(mem);
    return 0;
}
