/* SPDX-License-Identifier: BSD-3-Clause */
#include "sealed.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gn_marker.h"
#include "gn_test.h"

#define PAGES  200u
#define FRAMES 8u

/* ---- A window, its faults, and what is in the store ---------------------------------------- */

static struct sealed s;

/* @return whether there is such memory here; else the test is skipped */
static void make(uint32_t kinds, void (*refused)(void *, int))
{
    const struct sealed_params params = {
        .pages = PAGES, .frames = FRAMES, .kinds = kinds, .window = true, .refused = refused};
    const char *error;

    if (sealed_create(&params, &s, &error)) {
        print_message("skipped: %s\n", error);
        skip();
    }
}

static uint64_t *word(uint64_t page)
{
    return (uint64_t *)(void *)(s.base + (page << GN_PAGE_SHIFT) + 8 * (page % 512));
}

static void random_accesses(uint32_t kinds)
{
    uint64_t random = gn_test_seed();
    uint64_t model[PAGES] = {0};
    struct gn_cachecrypt_stats stats;

    make(kinds, NULL);
    for (int i = 0; i < 4000; i++) {
        uint64_t page = gn_test_random(&random) % PAGES;

        assert_int_equal(*word(page), model[page]);
        if (gn_test_random(&random) & 1)
            *word(page) = model[page] = gn_test_random(&random);
    }
    stats = sealed_stats(&s);
    assert_true(stats.misses > 1000 && stats.evictions_clean > 0 && stats.evictions_dirty > 0);
    sealed_destroy(&s);
}

static void loads_and_stores_are_as_of_plain_memory_secret(void **state)
{
    (void)state;
    random_accesses(GN_LINUX_MEMORY_SECRET);
}

static void loads_and_stores_are_as_of_plain_memory_shared(void **state)
{
    (void)state;
    random_accesses(GN_LINUX_MEMORY_SHARED);
}

static void loads_and_stores_are_as_of_plain_memory_private(void **state)
{
    (void)state;
    random_accesses(GN_LINUX_MEMORY_PRIVATE);
}

static void the_store_has_nothing_that_was_written(void **state)
{
    static const char secret[] = "this is in every page of it";
    uint64_t found = 0;

    (void)state;
    make(0, NULL);
    for (uint64_t page = 0; page < PAGES; page++)
        for (uint64_t at = 0; at < GN_PAGE_SIZE; at += 64)
            memcpy(s.base + (page << GN_PAGE_SHIFT) + at, secret, sizeof secret);
    for (uint64_t i = 0; i + 8 <= s.store_bytes; i++)
        found += !memcmp(s.store + i, secret, 8);
    assert_int_equal(found, 0);
    sealed_destroy(&s);
}

/* ---- Refusal ------------------------------------------------------------------------------- */

static void on_refused(void *ctx, int error)
{
    (void)ctx;
    _exit(-error);
}

/* @return a child's exit status, or 256 and the signal that ended it */
static int wait_for(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In a child, which makes all of it, since it will end. */
static void a_changed_store_ends_the_process_at_the_access(void **state)
{
    pid_t child;

    (void)state;
    for (int tell = 0; tell < 2; tell++) {
        child = fork();
        if (!child) {
            const struct sealed_params params = {.pages = PAGES,
                                                 .frames = FRAMES,
                                                 .window = true,
                                                 .refused = tell ? on_refused : NULL};
            const char *error;

            signal(SIGSEGV, SIG_DFL);
            if (sealed_create(&params, &s, &error))
                _exit(77);
            for (uint64_t page = 0; page < PAGES; page++)
                *word(page) = page;
            s.store[5] ^= 4;
            _exit(*word(0) == 0 ? 0 : 1);
        }
        assert_int_equal(wait_for(child), tell ? GN_ERR_BADMSG : 256 + SIGSEGV);
    }
}

/* ---- Holding ------------------------------------------------------------------------------- */

static void held_pages_stay_for_the_kernel(void **state)
{
    struct gn_cachecrypt_span spans[FRAMES];
    uint8_t *at;
    int zero = open("/dev/zero", O_RDONLY);

    (void)state;
    make(0, NULL);
    at = s.base + 7 * GN_PAGE_SIZE + 100;
    memset(at, 1, 3 * GN_PAGE_SIZE);
    assert_int_equal(sealed_hold(&s, at, 3 * GN_PAGE_SIZE, GN_ACCESS_WRITE, spans, FRAMES), 4);
    for (uint64_t page = 100; page < 150; page++)
        *word(page) = page;
    assert_int_equal(read(zero, at, 3 * GN_PAGE_SIZE), 3 * GN_PAGE_SIZE);
    sealed_release(&s, spans, 4);
    for (uint64_t page = 100; page < 150; page++)
        assert_int_equal(*word(page), page);
    for (uint64_t i = 0; i < 3 * GN_PAGE_SIZE; i++)
        assert_int_equal(at[i], 0);
    /* No more than there is. */
    assert_int_equal(sealed_hold(&s, s.base, 100 * GN_PAGE_SIZE, GN_ACCESS_READ, spans, FRAMES),
                     FRAMES);
    sealed_release(&s, spans, FRAMES);
    close(zero);
    sealed_destroy(&s);
}

/* ---- Fork ---------------------------------------------------------------------------------- */

static uint32_t epoch(void)
{
    struct gn_cachecrypt_region_info info = {GN_CACHECRYPT_REGION_INFO_INIT};

    return gn_cachecrypt_region_query(s.cc, s.region, &info) ? 0 : info.epoch;
}

static pid_t forked(void)
{
    struct gn_linux_memory copy;
    pid_t child;

    sealed_fork_prepare(&s, &copy);
    child = fork();
    if (child)
        sealed_fork_parent(&s, &copy);
    else
        sealed_fork_child(&s, &copy);
    return child;
}

/* Each page is read, counted up, and read again: all of them change hands many times. */
static int counts(uint64_t from)
{
    for (uint64_t round = 0; round < 3; round++)
        for (uint64_t page = 0; page < PAGES; page++)
            if ((*word(page))++ != page + from + round)
                return 1;
    return 0;
}

static void parent_and_child_go_on_under_different_keys(void **state)
{
    pid_t child;

    (void)state;
    make(0, NULL);
    for (uint64_t page = 0; page < PAGES; page++)
        *word(page) = page;
    assert_int_equal(epoch(), 1);
    child = forked();
    if (!child) {
        pid_t grandchild;

        if (epoch() != 2 || counts(0))
            _exit(1);
        grandchild = forked();
        if (!grandchild)
            _exit(epoch() != 3 || counts(3) ? 2 : 0);
        _exit(counts(3) || wait_for(grandchild) || epoch() != 2 ? 3 : 0);
    }
    assert_int_equal(counts(0), 0);
    assert_int_equal(wait_for(child), 0);
    assert_int_equal(epoch(), 1);
    assert_int_equal(counts(3), 0);
    sealed_destroy(&s);
}

/*
 * They share the key of the tree's hashes, and for a while that of the pages: but what one has put
 * into its store since is nothing to the other. In a child, since it ends there.
 */
static void what_the_parent_sealed_since_is_not_accepted_by_its_child(void **state)
{
    enum { DATA = 1, META = 2 };
    static const int parts[] = {DATA, META, DATA | META};
    uint64_t data = PAGES << GN_PAGE_SHIFT;
    uint8_t *parent;
    int ready[2];

    (void)state;
    for (int i = 0; i < 3; i++) {
        pid_t child;

        make(0, on_refused);
        parent =
            mmap(NULL, s.store_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(parent != MAP_FAILED);
        assert_int_equal(pipe(ready), 0);
        for (uint64_t page = 0; page < PAGES; page++)
            *word(page) = page;
        child = forked();
        if (!child) {
            char byte;

            if (read(ready[0], &byte, 1) != 1)
                _exit(1);
            memcpy(s.store, parent, parts[i] & DATA ? data : 0);
            memcpy(s.store + data, parent + data, parts[i] & META ? s.store_bytes - data : 0);
            for (uint64_t page = 0; page < PAGES; page++)
                if (*word(page) != page)
                    _exit(2); /* taken for its own */
            _exit(3);
        }
        assert_int_equal(counts(0), 0);
        memcpy(parent, s.store, s.store_bytes);
        assert_int_equal(write(ready[1], "", 1), 1);
        assert_int_equal(wait_for(child), GN_ERR_BADMSG);
        close(ready[0]);
        close(ready[1]);
        munmap(parent, s.store_bytes);
        sealed_destroy(&s);
    }
}

/* No memory for a copy, or a fork that nobody prepared. */
static void a_child_without_a_copy_ends_when_it_touches_the_window(void **state)
{
    pid_t child;

    (void)state;
    signal(SIGSEGV, SIG_DFL);
    make(0, NULL);
    *word(3) = 3;
    child = fork();
    if (!child)
        _exit((int)*word(3));
    assert_int_equal(wait_for(child), 256 + SIGSEGV);
    sealed_destroy(&s);
}

/* ---- What it says -------------------------------------------------------------------------- */

static void on_line(void *ctx, const char *text)
{
    assert_true(strlen(text) > 10);
    ++*(int *)ctx;
}

static void what_is_missing_is_said(void **state)
{
    int lines = 0;
    int fewer = 0;

    (void)state;
    make(GN_LINUX_MEMORY_SHARED, NULL);
    assert_true(sealed_degraded(&s) & GN_LINUX_DEGRADED_SECRET);
    assert_true(sealed_degraded(&s) & GN_LINUX_DEGRADED_SYSCALLS);
    sealed_report(&s, 0, on_line, &lines);
    sealed_report(&s, GN_LINUX_DEGRADED_SYSCALLS, on_line, &fewer);
    assert_true(lines >= 3); /* and nothing keeps the pool in the cache */
    assert_int_equal(fewer, lines - 1);
    sealed_destroy(&s);
}

/* ---- Signals in the miss path -------------------------------------------------------------- */

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

static void alarm_every(suseconds_t microseconds)
{
    const struct itimerval timer = {.it_interval = {.tv_usec = microseconds},
                                    .it_value = {.tv_usec = microseconds}};

    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* Misses, most of whose pages have the marker, for as long as it takes to be interrupted often. */
static void miss_under_alarms(void)
{
    alarms = 0;
    alarm_every(300);
    for (int round = 0; round < 2000 && alarms < 100; round++)
        for (uint64_t page = 0; page < PAGES; page += FRAMES / 2)
            (void)*(volatile uint8_t *)(s.base + (page << GN_PAGE_SHIFT));
    alarm_every(0);
}

/* The handlers' stack has what a miss leaves on it, and what the kernel saved of its registers. */
static void signals_in_misses_leave_nothing_outside_the_pool(void **state)
{
    enum { STACK = 256 << 10 };
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK};
    uint8_t *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const stack_t ours = {.ss_sp = stack, .ss_size = STACK};
    struct sigaction action_before;
    stack_t before;

    (void)state;
    make(GN_LINUX_MEMORY_SECRET | GN_LINUX_MEMORY_SHARED, NULL);
    for (uint64_t page = 0; page < PAGES; page++)
        gn_marker_fill(0, s.base + (page << GN_PAGE_SHIFT), GN_PAGE_SIZE);
    assert_true(stack != MAP_FAILED);
    assert_int_equal(sigaltstack(&ours, &before), 0);
    assert_int_equal(sigaction(SIGALRM, &action, &action_before), 0);
    miss_under_alarms();
    assert_true(alarms > 0);
    assert_true(gn_marker_count(0, s.pool.base, s.pool.bytes) > 0);
    assert_int_equal(gn_marker_count(0, stack, STACK), 0);
    assert_int_equal(gn_marker_count(0, s.store, s.store_bytes), 0);
    sigaction(SIGALRM, &action_before, NULL);
    sigaltstack(&before, NULL);
    munmap(stack, STACK);
    sealed_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_and_stores_are_as_of_plain_memory_secret),
        cmocka_unit_test(loads_and_stores_are_as_of_plain_memory_shared),
        cmocka_unit_test(loads_and_stores_are_as_of_plain_memory_private),
        cmocka_unit_test(the_store_has_nothing_that_was_written),
        cmocka_unit_test(a_changed_store_ends_the_process_at_the_access),
        cmocka_unit_test(held_pages_stay_for_the_kernel),
        cmocka_unit_test(parent_and_child_go_on_under_different_keys),
        cmocka_unit_test(what_the_parent_sealed_since_is_not_accepted_by_its_child),
        cmocka_unit_test(a_child_without_a_copy_ends_when_it_touches_the_window),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(signals_in_misses_leave_nothing_outside_the_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
