/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "fake_tree.h"
#include "linux_internal.h"

#define PRESENT (UINT64_C(1) << 63)
#define SOFT    (UINT64_C(1) << 55) /* not of the frame's number */

static struct gn_linux_memory get(uint32_t kind, uint32_t flags, uint64_t bytes)
{
    const struct gn_linux_memory_params params = {GN_LINUX_MEMORY_PARAMS_INIT, .kinds = kind,
                                                  .bytes = bytes, .flags = flags};
    struct gn_linux_memory m = {.kind = 0};

    if (gn_linux_memory_get(&params, &m)) {
        print_message("skipped: no such memory here\n");
        skip();
    }
    assert_int_equal(m.kind, kind);
    return m;
}

/* A pagemap that says this of each page of the memory. */
static const char *pagemap(const struct gn_linux_memory *m, const uint64_t *entries, size_t count)
{
    int fd = open(fake_path("pagemap"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, entries, count * 8, (off_t)((uintptr_t)m->base / 4096 * 8)),
                     count * 8);
    close(fd);
    return fake_path("pagemap");
}

static void a_page_lies_where_the_kernel_says(void **state)
{
    const uint64_t entries[] = {PRESENT | SOFT | 0x1234, PRESENT | 7, 0x55, PRESENT};
    struct gn_linux_memory m = get(GN_LINUX_MEMORY_PRIVATE, 0, 5 * GN_PAGE_SIZE);
    struct gn_linux_places p = {.known = 0};
    const uint8_t *at = m.base;
    gn_hpa_t hpa = gn_hpa(99);

    (void)state;
    assert_int_equal(gn_linux__places_get(&m, 0, false, pagemap(&m, entries, 4), &p), 0);
    assert_int_equal(p.known, GN_LINUX_PLACES_MACHINE);
    assert_int_equal(gn_linux_places_hpa(&p, at + 0x321, &hpa), 0);
    assert_int_equal(hpa.v, 0x1234321);
    assert_int_equal(gn_linux_places_hpa(&p, at + 0x1000, &hpa), 0);
    assert_int_equal(hpa.v, 0x7000);
    assert_int_equal(gn_linux_places_hpa(&p, at + 0x2000, &hpa), -GN_ERR_NOENT);
    assert_int_equal(gn_linux_places_hpa(&p, at + 0x3000, &hpa), -GN_ERR_PERM);
    assert_int_equal(gn_linux_places_hpa(&p, at + 0x4000, &hpa), -GN_ERR_IO);
    assert_int_equal(gn_linux_places_hpa(&p, at + 0x5000, &hpa), -GN_ERR_RANGE);
    assert_int_equal(gn_linux_places_hpa(&p, at - 1, &hpa), -GN_ERR_RANGE);
    assert_int_equal(hpa.v, 0x7000);
    gn_linux_places_put(&p);
    assert_int_equal(gn_linux_places_hpa(&p, at, &hpa), -GN_ERR_RANGE);
    gn_linux_places_put(&p);
    gn_linux_places_put(NULL);
    gn_linux_memory_put(&m);
}

static void who_is_not_told_knows_nothing(void **state)
{
    const uint64_t hidden = PRESENT;
    struct gn_linux_memory m = get(GN_LINUX_MEMORY_PRIVATE, 0, GN_PAGE_SIZE);
    struct gn_linux_memory none = {.kind = 0};
    struct gn_linux_places p = {.known = 0};

    (void)state;
    assert_int_equal(gn_linux__places_get(&m, 0, false, pagemap(&m, &hidden, 1), &p), -GN_ERR_PERM);
    assert_int_equal(gn_linux__places_get(&m, 0, false, "/nonexistent", &p), -GN_ERR_IO);
    assert_int_equal(gn_linux__places_get(&m, 0, false, "/dev/null", &p), -GN_ERR_IO);
    assert_int_equal(gn_linux_places_get(NULL, 0, &p), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_places_get(&none, 0, &p), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_places_get(&m, 2, &p), -GN_ERR_INVAL);
    assert_int_equal(p.known, 0);
    gn_linux_memory_put(&m);
}

static void a_virtual_machine_s_addresses_count_only_when_asked_for(void **state)
{
    struct gn_linux_memory m = get(GN_LINUX_MEMORY_PRIVATE, 0, GN_PAGE_SIZE);
    const uint64_t entry = PRESENT | 3;
    struct gn_linux_places p = {.known = 0};
    const char *path = pagemap(&m, &entry, 1);

    (void)state;
    assert_int_equal(gn_linux__places_get(&m, 0, true, path, &p), -GN_ERR_NOTSUP);
    assert_int_equal(p.known, 0);
    assert_int_equal(gn_linux__places_get(&m, GN_LINUX_PLACES_GUEST, true, path, &p), 0);
    assert_int_equal(p.known, GN_LINUX_PLACES_MACHINE);
    gn_linux_places_put(&p);
    if (gn_linux__virtual())
        assert_int_equal(gn_linux_places_get(&m, 0, &p), -GN_ERR_NOTSUP);
    gn_linux_memory_put(&m);
}

/* Without the right to see addresses: the place in a huge page is known all the same. */
static void in_huge_pages_the_place_there_is_known(void **state)
{
    static const uint32_t kinds[] = {GN_LINUX_MEMORY_SHARED, GN_LINUX_MEMORY_PRIVATE};
    const uint64_t hidden = PRESENT;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct gn_linux_memory m = get(kinds[i], GN_LINUX_MEMORY_HUGE, 3 << 20);
        struct gn_linux_places p = {.known = 0};
        gn_hpa_t hpa;

        assert_int_equal(m.bytes, 2 * GN_LINUX_HUGE_BYTES);
        assert_int_equal((uintptr_t)m.base % GN_LINUX_HUGE_BYTES, 0);
        assert_int_equal(gn_linux__places_get(&m, 0, false, pagemap(&m, &hidden, 1), &p), 0);
        assert_int_equal(p.known, GN_LINUX_PLACES_HUGE);
        assert_int_equal(gn_linux_places_hpa(&p, (uint8_t *)m.base + 0x212345, &hpa), 0);
        assert_int_equal(hpa.v, 0x12345);
        gn_linux_places_put(&p);
        gn_linux_memory_put(&m);
    }
}

static void a_huge_page_that_is_no_more_is_not_claimed(void **state)
{
    struct gn_linux_memory m = get(GN_LINUX_MEMORY_SHARED, GN_LINUX_MEMORY_HUGE, 4 << 20);

    (void)state;
    assert_true(gn_linux__huge(&m));
    assert_int_equal(mprotect((uint8_t *)m.base + 0x201000, GN_PAGE_SIZE, PROT_READ), 0);
    assert_false(gn_linux__huge(&m));
    m.bytes = GN_LINUX_HUGE_BYTES; /* the mapping of which goes further, to what is none */
    assert_false(gn_linux__huge(&m));
    m.bytes = 2 * GN_LINUX_HUGE_BYTES;
    gn_linux_memory_forget(&m);
}

static void secret_memory_is_never_huge(void **state)
{
    const struct gn_linux_memory_params params = {GN_LINUX_MEMORY_PARAMS_INIT,
                                                  .kinds = GN_LINUX_MEMORY_SECRET, .bytes = 1,
                                                  .flags = GN_LINUX_MEMORY_HUGE};
    struct gn_linux_memory m = {.kind = 0};

    (void)state;
    assert_int_equal(gn_linux_memory_get(&params, &m), -GN_ERR_NOMEM);
    assert_int_equal(m.kind, 0);
}

/* The kernel's own word, where this process may have it: a huge page is in one piece. */
static void machine_addresses_of_a_huge_page_follow_one_another(void **state)
{
    struct gn_linux_memory m = get(GN_LINUX_MEMORY_SHARED, GN_LINUX_MEMORY_HUGE, 2 << 20);
    struct gn_linux_places p = {.known = 0};
    int rc = gn_linux_places_get(&m, GN_LINUX_PLACES_GUEST, &p);
    gn_hpa_t first, hpa;

    (void)state;
    if (rc || p.known != GN_LINUX_PLACES_MACHINE) {
        print_message("skipped: no CAP_SYS_ADMIN\n");
        skip();
    }
    assert_int_equal(gn_linux_places_hpa(&p, m.base, &first), 0);
    for (uint64_t at = 0; at < m.bytes; at += GN_PAGE_SIZE) {
        assert_int_equal(gn_linux_places_hpa(&p, (uint8_t *)m.base + at, &hpa), 0);
        assert_int_equal(hpa.v, first.v + at);
    }
    gn_linux_places_put(&p);
    gn_linux_memory_put(&m);
}

/* ---- Arranging ----------------------------------------------------------------------------- */

static uint32_t *word(const struct gn_linux_memory *m, uint64_t page)
{
    return (uint32_t *)(void *)((uint8_t *)m->base + page * GN_PAGE_SIZE);
}

static void arranged(uint32_t kind)
{
    static const uint32_t pages[] = {0, 2, 3, 7, 15};
    struct gn_linux_memory m = get(kind, 0, 16 * GN_PAGE_SIZE);
    uint32_t degraded = m.degraded;

    for (uint32_t i = 0; i < 16; i++)
        *word(&m, i) = i + 1;
    assert_int_equal(gn_linux_memory_arrange(&m, pages, 5), 0);
    assert_int_equal(m.bytes, 5 * GN_PAGE_SIZE);
    assert_int_equal(m.degraded, degraded);
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t *same =
            mmap(NULL, GN_PAGE_SIZE, PROT_READ, MAP_SHARED, m.fd, (off_t)(pages[i] * GN_PAGE_SIZE));

        assert_int_equal(*word(&m, i), 0);
        *word(&m, i) = i + 100;
        assert_ptr_not_equal(same, MAP_FAILED);
        assert_int_equal(*same, i + 100);
        munmap(same, GN_PAGE_SIZE);
    }
    assert_int_equal(gn_linux_memory_arrange(&m, pages, 1), -GN_ERR_INVAL); /* once */
    gn_linux_memory_put(&m);
}

static void memory_becomes_those_of_its_pages_that_are_wanted(void **state)
{
    (void)state;
    arranged(GN_LINUX_MEMORY_SHARED);
    arranged(GN_LINUX_MEMORY_SECRET);
}

static void what_cannot_be_arranged_is_refused(void **state)
{
    static const uint32_t bad[][2] = {{1, 1}, {2, 1}, {0, 4}};
    struct gn_linux_memory m = get(GN_LINUX_MEMORY_SHARED, 0, 4 * GN_PAGE_SIZE);
    struct gn_linux_memory other = get(GN_LINUX_MEMORY_PRIVATE, 0, 4 * GN_PAGE_SIZE);

    (void)state;
    *word(&m, 1) = 5;
    for (int i = 0; i < 3; i++)
        assert_int_equal(gn_linux_memory_arrange(&m, bad[i], 2), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_memory_arrange(&m, bad[0], 0), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_memory_arrange(&other, bad[0], 1), -GN_ERR_INVAL);
    assert_int_equal(*word(&m, 1), 5);
    gn_linux_memory_put(&m);
    gn_linux_memory_put(&other);
}

static int on_fault(void *ctx, uint64_t page, uint32_t access)
{
    (void)ctx;
    (void)page;
    (void)access;
    return -1;
}

static void a_window_maps_the_frames_that_were_chosen(void **state)
{
    static const uint32_t pages[] = {1, 4, 6};
    static const struct gn_linux_window_ops ops = {GN_LINUX_WINDOW_OPS_INIT, .fault = on_fault};
    struct gn_linux_memory m = get(GN_LINUX_MEMORY_SHARED, 0, 8 * GN_PAGE_SIZE);
    const struct gn_linux_window_params params = {GN_LINUX_WINDOW_PARAMS_INIT, .pages = 4,
                                                  .memory = &m, .ops = &ops};
    struct gn_linux_window_state s = {GN_LINUX_WINDOW_STATE_INIT};
    static _Alignas(64) uint8_t room[4096];
    struct gn_linux_window *w;

    (void)state;
    assert_int_equal(gn_linux_memory_arrange(&m, pages, 3), 0);
    assert_int_equal(gn_linux_window_init(room, sizeof room, &params, &w), 0);
    assert_int_equal(gn_linux_window_state(w, &s), 0);
    gn_linux_window_enter(w);
    for (uint32_t i = 0; i < 3; i++) {
        *word(&m, i) = 50 + i;
        assert_int_equal(gn_linux_window_map(w, 3 - i, word(&m, i), 0), 0);
    }
    gn_linux_window_leave(w);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(*(uint32_t *)(void *)((uint8_t *)s.base + (3 - i) * GN_PAGE_SIZE), 50 + i);
    gn_linux_window_fini(w);
    gn_linux_memory_put(&m);
}

/* ---- The counter --------------------------------------------------------------------------- */

static void the_counter_counts_or_says_that_there_is_none(void **state)
{
    static uint8_t bait[64 * 64];
    int32_t counter = -1;
    int rc = gn_linux_cache_counter_get(&counter);
    uint64_t before;

    (void)state;
    if (rc) {
        print_message("no counter: %d\n", rc);
        assert_true(rc == -GN_ERR_NOTSUP || rc == -GN_ERR_PERM);
        assert_int_equal(counter, -1);
    } else {
        before = gn_linux_cache_counter_read(counter);
        for (size_t i = 0; i < sizeof bait; i += 64) {
            gn_linux_cache_flush(bait + i);
            (void)*(volatile uint8_t *)(bait + i);
        }
        assert_true(gn_linux_cache_counter_read(counter) >= before);
    }
    gn_linux_cache_counter_put(counter);
    assert_int_equal(gn_linux_cache_counter_read(-1), 0);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, fake_begin, fake_end)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_page_lies_where_the_kernel_says),
        IN_A_FOLDER(who_is_not_told_knows_nothing),
        IN_A_FOLDER(a_virtual_machine_s_addresses_count_only_when_asked_for),
        IN_A_FOLDER(in_huge_pages_the_place_there_is_known),
        cmocka_unit_test(a_huge_page_that_is_no_more_is_not_claimed),
        cmocka_unit_test(secret_memory_is_never_huge),
        cmocka_unit_test(machine_addresses_of_a_huge_page_follow_one_another),
        cmocka_unit_test(memory_becomes_those_of_its_pages_that_are_wanted),
        cmocka_unit_test(what_cannot_be_arranged_is_refused),
        cmocka_unit_test(a_window_maps_the_frames_that_were_chosen),
        cmocka_unit_test(the_counter_counts_or_says_that_there_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
