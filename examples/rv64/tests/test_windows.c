/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Windows, held against the memory that they show: whatever is mapped where, in whatever order, and
 * however much of it.
 */

#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "compose_parts.h"

#define LARGE  (UINT64_C(2) << 20)
#define RAM    (8 * LARGE)
#define PAGES  (RAM / GN_PAGE_SIZE)
#define PLACES 6u
#define LOW    (UINT64_C(1) << 38)

/* What is mapped at most: as said in compose_windows.c. */
#define MOST 4096u

static uint8_t *ram;
static struct rv64_windows *windows;
static uint32_t forgotten;
static uint64_t random_state;

static uint64_t below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 16) % limit;
}

static void on_forget(void *ctx)
{
    assert_ptr_equal(ctx, &windows);
    forgotten++;
}

static uint8_t *map_ram(void)
{
    uint8_t *at = mmap(NULL, RAM + LARGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(at != MAP_FAILED);
    return at + (-(uintptr_t)at & (LARGE - 1));
}

static void begin(void)
{
    const char *given = getenv("GN_TEST_SEED");

    random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("GN_TEST_SEED=%llu\n", (unsigned long long)random_state);
    random_state = random_state * UINT64_C(0x9e3779b97f4a7c15) | 1;
    ram = map_ram();
    for (uint64_t i = 0; i < PAGES; i++)
        *(uint64_t *)(void *)(ram + i * GN_PAGE_SIZE) = i;
    forgotten = 0;
    windows = rv64_windows_create(ram, RAM, on_forget, &windows);
}

static void end(void)
{
    rv64_windows_destroy(windows);
}

static void take(void *ctx, const char *group, const char *name, uint64_t value)
{
    const char *const *wanted = ((void **)ctx)[0];

    assert_string_equal(group, "windows");
    if (!strcmp(name, *wanted))
        *(uint64_t *)((void **)ctx)[1] = value;
}

static uint64_t counter(const char *name)
{
    uint64_t value = UINT64_MAX;
    void *ctx[] = {&name, &value};

    rv64_windows_stats(windows, take, ctx);
    assert_int_not_equal(value, UINT64_MAX);
    return value;
}

/* Asks until it is mapped, or for long. @return the page, or NULL */
static uint64_t *conform(uint32_t place, uint64_t gva, uint64_t page)
{
    uint64_t window;

    for (uint32_t i = 0; i < 1000; i++)
        if (rv64_windows_conform(windows, place, gva, page * GN_PAGE_SIZE, &window))
            return (uint64_t *)(uintptr_t)(window + gva);
    return NULL;
}

/* Does the host have what it takes? */
static bool usable(void)
{
    return windows && conform(0, 0, 0);
}

/* Mappings of this process. */
static uint32_t mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    uint32_t lines = 0;
    int c;

    assert_non_null(f);
    while ((c = getc(f)) != EOF)
        lines += c == '\n';
    fclose(f);
    return lines;
}

static void a_page_is_the_same_in_a_window_and_in_memory(void **state)
{
    static uint64_t *at[PLACES][16];
    static uint64_t is[PLACES][16];

    (void)state;
    begin();
    if (!usable()) {
        end();
        skip();
    }
    for (uint32_t i = 0; i < 3000; i++) {
        const uint32_t place = (uint32_t)below(PLACES), page = (uint32_t)below(16);
        uint64_t *host = at[place][page];

        if (!host || !below(4)) {
            is[place][page] = below(PAGES);
            host = conform(place, (UINT64_C(3) << 36) + page * 5 * GN_PAGE_SIZE, is[place][page]);
            assert_non_null(host);
            at[place][page] = host;
        }
        assert_int_equal(*host >> 32 ? (uint32_t)*host : *host, is[place][page]);
        if (below(2))
            *host = below(1000) << 32 | is[place][page];
        else
            *(uint64_t *)(void *)(ram + is[place][page] * GN_PAGE_SIZE) = is[place][page];
        assert_int_equal(*host, *(uint64_t *)(void *)(ram + is[place][page] * GN_PAGE_SIZE));
    }
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(*(uint32_t *)(void *)(ram + i * GN_PAGE_SIZE), i);
    assert_int_equal(forgotten, 0);
    end();
}

static void mappings_are_bounded_and_then_it_begins_again(void **state)
{
    uint32_t before;

    (void)state;
    begin();
    if (!usable()) {
        end();
        skip();
    }
    before = mappings();
    /* One beside no other: two mappings each. */
    for (uint64_t i = 0; i < 2 * MOST; i++) {
        uint64_t *host = conform(0, i * 2 * GN_PAGE_SIZE, i * 7 % PAGES);

        assert_int_equal(*host, i * 7 % PAGES);
        assert_true(counter("pages") <= MOST);
        if (i % 512 == 0)
            assert_true(mappings() <= before + 2 * MOST + 32);
    }
    assert_int_not_equal(forgotten, 0);
    assert_int_equal(counter("begun_again"), forgotten);
    /* Nor are there more windows than there may be: each place has one. */
    forgotten = 0;
    for (uint32_t place = 0; place < 64; place++)
        assert_int_equal(*conform(place, 0, place), place);
    assert_int_not_equal(forgotten, 0);
    end();
}

static void what_no_window_has_is_refused(void **state)
{
    (void)state;
    begin();
    if (!usable()) {
        end();
        skip();
    }
    assert_null(conform(0, LOW, 1));
    assert_null(conform(0, UINT64_MAX & ~GN_PAGE_MASK, 1));
    assert_null(conform(0, 0, PAGES)); /* behind RAM, where shadow tables are */
    assert_non_null(conform(0, LOW - GN_PAGE_SIZE, PAGES - 1));
    end();
}

static void it_takes_longer_while_nothing_comes_of_it(void **state)
{
    uint64_t window, first = 0, later = 0;

    (void)state;
    begin();
    if (!windows)
        skip();
    for (uint32_t i = 0; i < 1000; i++)
        first += rv64_windows_pause(windows);
    for (uint64_t i = 0; i < 200000; i++)
        (void)rv64_windows_conform(windows, 0, below(LOW) & ~GN_PAGE_MASK, 0, &window);
    for (uint32_t i = 0; i < 1000; i++) {
        const uint32_t pause = rv64_windows_pause(windows);

        assert_in_range(pause, 1, 1u << 30);
        later += pause;
    }
    assert_true(later > 16 * first);
    end();
}

static void without_room_for_windows_there_are_none(void **state)
{
    struct rlimit was, small;
    void *probe;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_AS, &was), 0);
    small = (struct rlimit){UINT64_C(1) << 36, was.rlim_max};
    if (setrlimit(RLIMIT_AS, &small))
        skip();
    probe = mmap(NULL, 2 * RAM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe == MAP_FAILED) { /* what a sanitizer maps is more */
        assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
        skip();
    }
    munmap(probe, 2 * RAM);
    begin();
    assert_null(windows);
    end();
    assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_the_same_in_a_window_and_in_memory),
        cmocka_unit_test(mappings_are_bounded_and_then_it_begins_again),
        cmocka_unit_test(what_no_window_has_is_refused),
        cmocka_unit_test(it_takes_longer_while_nothing_comes_of_it),
        cmocka_unit_test(without_room_for_windows_there_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
