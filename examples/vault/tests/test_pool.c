/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "sealed_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include "fake_tree.h"
#include "gn_test.h"

/* Where the pool of sealed memory lies, and what is said of it. */

#define PAGES  200u
#define FRAMES 8u

static struct sealed s;

static uint64_t *word(uint64_t page)
{
    return (uint64_t *)(void *)(s.base + (page << GN_PAGE_SHIFT) + 8 * (page % 512));
}

static void on_line(void *ctx, const char *text)
{
    assert_true(strlen(text) > 10);
    ++*(int *)ctx;
}

/* A folder with nothing in it: the cache is not known, and nothing is claimed. */
static void residency_is_no_more_than_was_shown(void **state)
{
    const struct sealed_params blind = {
        .pages = PAGES, .frames = FRAMES, .kinds = GN_LINUX_MEMORY_SHARED, .cache = "/nonexistent"};
    struct sealed_params shared = blind;
    struct sealed_residency r;
    const char *error;
    int lines = 0;

    shared.cache = NULL;
    shared.window = true;
    (void)state;
    assert_int_equal(sealed_create(&shared, &s, &error), 0);
    *word(7) = 7;
    assert_int_equal(sealed_residency(&s, &r), 0);
    assert_true(r.report.kind <=
                (r.places ? GN_CACHECRYPT_RESIDENCY_BOUNDED : GN_CACHECRYPT_RESIDENCY_COLOURED));
    assert_int_equal(r.report.probed, !r.error);
    if (!r.error)
        assert_int_equal(r.probe.lines, r.report.pool_bytes / 64);
    if (!r.error && r.report.probe_slow_permille > GN_CACHECRYPT_PROBE_SLOW_MAX)
        assert_int_equal(r.report.kind, GN_CACHECRYPT_RESIDENCY_NONE);
    assert_int_equal(*word(7), 7);
    sealed_residency_tell(&s, on_line, &lines);
    assert_int_equal(lines, 2);
    sealed_destroy(&s);
    assert_int_equal(sealed_create(&blind, &s, &error), 0);
    assert_int_equal(sealed_residency(&s, &r), 0);
    assert_int_equal(r.report.kind, GN_CACHECRYPT_RESIDENCY_NONE);
    assert_int_equal(r.report.cache_bytes, 0);
    sealed_destroy(&s);
}

/* ---- Where the pool lies ------------------------------------------------------------------- */

/* A last cache of so many ways of 64-byte lines, under the test's folder. */
static void cache_make(const char *ways, const char *sets)
{
    fake_folder("index0");
    fake_file("index0/type", "Unified\n");
    fake_file("index0/level", "3\n");
    fake_file("index0/coherency_line_size", "64\n");
    fake_file("index0/ways_of_associativity", ways);
    fake_file("index0/number_of_sets", sets);
}

/* @return NULL, or why there is no such pool */
static const char *place(uint32_t where, uint32_t frames, bool guest)
{
    const struct sealed_params params = {.pages = PAGES,
                                         .frames = frames,
                                         .window = true,
                                         .place = where,
                                         .guest = guest,
                                         .cache = fake_root};
    const char *error;

    return sealed_create(&params, &s, &error) ? error : NULL;
}

static struct sealed_residency residency(void)
{
    struct sealed_residency r;

    assert_int_equal(sealed_residency(&s, &r), 0);
    /* What lies where it should, and was slow all the same, is not claimed. */
    if (!r.error && r.report.probe_slow_permille > GN_CACHECRYPT_PROBE_SLOW_MAX)
        assert_int_equal(r.report.kind, GN_CACHECRYPT_RESIDENCY_NONE);
    return r;
}

static bool probed_well(const struct sealed_residency *r)
{
    return r->error || r->report.probe_slow_permille <= GN_CACHECRYPT_PROBE_SLOW_MAX;
}

static void needs(const char *error)
{
    if (error) {
        print_message("skipped: %s\n", error);
        skip();
    }
}

/* 64 KiB a way: huge pages are in one piece, so a pool of less has one line in a set. */
static void a_pool_in_huge_pages_is_coloured(void **state)
{
    struct sealed_residency r;

    (void)state;
    cache_make("4\n", "2048\n");
    needs(place(SEALED_PLACE_HUGE, 8, true));
    assert_int_equal(s.pool.kind, GN_LINUX_MEMORY_SHARED);
    assert_true(sealed_degraded(&s) & GN_LINUX_DEGRADED_SECRET);
    *word(7) = 7;
    r = residency();
    assert_int_equal(r.places, 0);
    assert_int_equal(r.report.set_max, 1);
    if (probed_well(&r))
        assert_int_equal(r.report.kind, GN_CACHECRYPT_RESIDENCY_COLOURED);
    assert_int_equal(*word(7), 7);
    sealed_destroy(&s);
}

static void a_pool_that_displaces_itself_is_not_coloured(void **state)
{
    struct sealed_residency r;

    (void)state;
    cache_make("4\n", "1024\n"); /* 64 KiB a way, of which it may have two */
    needs(place(SEALED_PLACE_HUGE, 60, true));
    r = residency();
    assert_true(r.report.set_max > r.report.set_limit);
    assert_true(r.report.kind < GN_CACHECRYPT_RESIDENCY_COLOURED);
    sealed_destroy(&s);
    assert_non_null(place(SEALED_PLACE_PHYSICAL, 60, true));
}

/* Guest addresses are not the machine's: nothing is claimed of them unasked. */
static void a_virtual_machine_s_huge_page_is_not_claimed(void **state)
{
    struct gn_linux_places p = {.known = 0};
    struct sealed_residency r;

    (void)state;
    cache_make("16\n", "32768\n");
    needs(place(SEALED_PLACE_HUGE, 8, false));
    if (gn_linux_places_get(&s.pool, 0, &p) == -GN_ERR_NOTSUP) {
        r = residency();
        assert_int_equal(r.places, -GN_ERR_NOTSUP);
        assert_int_equal(r.report.set_max, 0);
        assert_true(r.report.kind <= GN_CACHECRYPT_RESIDENCY_BOUNDED);
    }
    gn_linux_places_put(&p);
    sealed_destroy(&s);
}

static void pages_are_chosen_by_their_addresses(void **state)
{
    struct sealed_residency r;

    (void)state;
    cache_make("2\n", "4096\n"); /* 64 colours, one page of each at most */
    needs(place(SEALED_PLACE_PHYSICAL, 8, true));
    for (uint64_t page = 0; page < PAGES; page++)
        *word(page) = page;
    r = residency();
    assert_int_equal(r.known, GN_LINUX_PLACES_MACHINE);
    assert_int_equal(r.report.set_max, 1);
    if (probed_well(&r))
        assert_int_equal(r.report.kind, GN_CACHECRYPT_RESIDENCY_COLOURED);
    for (uint64_t page = 0; page < PAGES; page++)
        assert_int_equal(*word(page), page);
    sealed_destroy(&s);
}

/* Lower bits of an address do not give its set where a way is no power of two. */
static void a_place_in_a_huge_page_is_used_only_where_it_gives_the_set(void **state)
{
    gn_hpa_t hpa;

    (void)state;
    cache_make("4\n", "3072\n");
    needs(place(SEALED_PLACE_HUGE, 8, true));
    s.places = (struct gn_linux_places){.known = GN_LINUX_PLACES_HUGE, .fd = -1, .memory = &s.pool};
    assert_int_equal(sealed_on_hpa(&s, gn_hva((uintptr_t)s.pool.base), &hpa), -GN_ERR_NOTSUP);
    s.cache.ways = 6;
    assert_int_equal(sealed_on_hpa(&s, gn_hva((uintptr_t)s.pool.base), &hpa), 0);
    s.places.known = 0;
    sealed_destroy(&s);
}

/* The machine is a file here: what it says goes, and no more than it says now. */
static void locked_is_what_the_kernel_says_is_locked(void **state)
{
    struct sealed_residency r;
    uint32_t kind;

    (void)state;
    assert_non_null(place(SEALED_PLACE_LOCKED, FRAMES, true)); /* no window over it */
    cache_make("16\n", "32768\n");
    needs(place(SEALED_PLACE_ANY, FRAMES, false));
    kind = s.pool.kind;
    s.lock = (struct gn_linux_lock){.level = 3};
    snprintf(s.lock.group, sizeof s.lock.group, "%s", fake_root);
    fake_file("mode", "pseudo-locked\n");
    assert_true(residency().report.kind < GN_CACHECRYPT_RESIDENCY_LOCKED);
    s.pool.kind = GN_LINUX_MEMORY_LOCKED;
    r = residency();
    if (probed_well(&r))
        assert_int_equal(r.report.kind, GN_CACHECRYPT_RESIDENCY_LOCKED);
    fake_file("mode", "shareable\n");
    assert_true(residency().report.kind < GN_CACHECRYPT_RESIDENCY_LOCKED);
    s.pool.kind = kind;
    s.lock.level = 0;
    sealed_destroy(&s);
}

/* A folder of resctrl's has its files at once, and takes them along when it goes. */
static const char *const group_files[] = {"schemata", "mode", "tasks"};

int mkdir(const char *path, mode_t mode)
{
    char file[512];

    if (mkdirat(AT_FDCWD, path, mode))
        return -1;
    for (int i = 0; i < 3 && strstr(path, "/gnomon-") != strrchr(path, '/'); i++) {
        snprintf(file, sizeof file, "%s/%s", path, group_files[i]);
        close(open(file, O_WRONLY | O_CREAT, 0600));
    }
    return 0;
}

int rmdir(const char *path)
{
    char file[512];

    for (int i = 0; i < 3 && strstr(path, "/gnomon-") != strrchr(path, '/'); i++) {
        snprintf(file, sizeof file, "%s/%s", path, group_files[i]);
        unlink(file);
    }
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

static void ways_are_the_pool_s_limit_and_are_given_back(void **state)
{
    const struct gn_linux_lock_params folders = {GN_LINUX_LOCK_PARAMS_INIT, .root = fake_root};
    struct sealed_params params = {.pages = PAGES,
                                   .frames = FRAMES,
                                   .window = true,
                                   .cache = fake_root,
                                   .ways = 3,
                                   .locking = &folders};
    struct gn_cachecrypt_residency_report r = {GN_CACHECRYPT_RESIDENCY_REPORT_INIT};
    char text[64];
    const char *error;
    int lines = 0;

    (void)state;
    assert_int_equal(sealed_create(&params, &s, &error), -1); /* no resctrl */
    cache_make("16\n", "32768\n");
    fake_folder("info");
    fake_folder("info/L3");
    fake_file("info/L3/cbm_mask", "ffff\n");
    fake_file("info/L3/shareable_bits", "0\n");
    fake_file("info/L3/min_cbm_bits", "1\n");
    fake_file("info/L3/num_closids", "4\n");
    fake_file("mode", "shareable\n");
    fake_file("schemata", "L3:0=ffff\n");
    needs(sealed_create(&params, &s, &error) ? error : NULL);
    fake_read("schemata", text, sizeof text);
    assert_string_equal(text, "L3:0=fff8\n");
    assert_int_equal(sealed_pool_report(&s, &r), 0);
    assert_int_equal(r.set_limit, 3);
    assert_true(r.kind < GN_CACHECRYPT_RESIDENCY_LOCKED);
    sealed_residency_tell(&s, on_line, &lines);
    assert_int_equal(lines, 2);
    sealed_destroy(&s);
    fake_read("schemata", text, sizeof text);
    assert_string_equal(text, "L3:0=ffff\n");
}

static void places_have_names(void **state)
{
    (void)state;
    assert_int_equal(sealed_place_parse("any"), SEALED_PLACE_ANY);
    assert_int_equal(sealed_place_parse("huge"), SEALED_PLACE_HUGE);
    assert_int_equal(sealed_place_parse("physical"), SEALED_PLACE_PHYSICAL);
    assert_int_equal(sealed_place_parse("locked"), SEALED_PLACE_LOCKED);
    assert_int_equal(sealed_place_parse("here"), -1);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, fake_begin, fake_end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(residency_is_no_more_than_was_shown),
        IN_A_FOLDER(a_pool_in_huge_pages_is_coloured),
        IN_A_FOLDER(a_pool_that_displaces_itself_is_not_coloured),
        IN_A_FOLDER(a_virtual_machine_s_huge_page_is_not_claimed),
        IN_A_FOLDER(pages_are_chosen_by_their_addresses),
        IN_A_FOLDER(a_place_in_a_huge_page_is_used_only_where_it_gives_the_set),
        IN_A_FOLDER(locked_is_what_the_kernel_says_is_locked),
        IN_A_FOLDER(ways_are_the_pool_s_limit_and_are_given_back),
        cmocka_unit_test(places_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
