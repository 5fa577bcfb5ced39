/* SPDX-License-Identifier: BSD-3-Clause */

/* Does the adversary keep what it may, and nothing that it may not? */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adversary.h"

#define MEMORY ((uint64_t)4 << 20)
#define ROOT   0x1000u /* and tables of level 1 and 0 behind it */
#define OTHER  0x8000u /* another root, or other tables */
#define PAGE   0x100000u
#define GVA    UINT64_C(0x40203000)
#define R      GN_PAGING_R
#define W      GN_PAGING_W

static const struct gn_mmu_ops *ops;
static struct adversary *mmu;
static uint8_t *memory;
static uint32_t traced;

static void on_traced_write(void *ctx, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes)
{
    (void)ctx, (void)vcpu, (void)hpa, (void)bytes;
    traced++;
}

static int setup_around(uint32_t around)
{
    struct adversary_params params = {.format = GN_PAGING_SV39,
                                      .vcpus = 2,
                                      .memory_size = MEMORY,
                                      .around = around,
                                      .traced_write = on_traced_write};

    memory = aligned_alloc(4096, MEMORY);
    if (!memory)
        return -1;
    memset(memory, 0, MEMORY);
    for (uint64_t page = PAGE; page < MEMORY; page += GN_PAGE_SIZE)
        memcpy(memory + page, &page, 8); /* it says where it is */
    params.memory = memory;
    traced = 0;
    ops = adversary_mmu_ops();
    mmu = adversary_new(&params);
    return mmu ? 0 : -1;
}

static int setup(void **state)
{
    (void)state;
    return setup_around(0);
}

static int setup_8(void **state)
{
    (void)state;
    return setup_around(8);
}

static int teardown(void **state)
{
    (void)state;
    adversary_free(mmu);
    free(memory);
    return 0;
}

static void put(uint64_t table, uint32_t level, uint64_t gva, uint32_t kind, uint32_t permissions,
                uint64_t address)
{
    const struct gn_paging_entry e = {.kind = kind, .permissions = permissions, .address = address};
    uint64_t value = 0;

    assert_int_equal(gn_paging_entry_encode(GN_PAGING_SV39, level, &e, &value), 0);
    memcpy(memory + table + (gva >> (12 + 9 * level) & 511) * 8, &value, 8);
}

/* A path of tables below a root, in the pages behind it. */
static void tables(uint64_t root)
{
    put(root, 2, GVA, GN_PAGING_ENTRY_TABLE, 0, root + 0x1000);
    put(root + 0x1000, 1, GVA, GN_PAGING_ENTRY_TABLE, 0, root + 0x2000);
}

static void map(uint64_t root, uint64_t gva, uint64_t page, uint32_t permissions)
{
    put(root + 0x2000, 0, gva, page ? GN_PAGING_ENTRY_LEAF : GN_PAGING_ENTRY_ABSENT, permissions,
        page);
}

static void load(uint32_t vcpu, uint32_t asid, uint64_t root)
{
    const struct gn_mmu_context c = {GN_MMU_CONTEXT_INIT, .asid = asid, .root = gn_hpa(root)};

    assert_int_equal(ops->context_set(mmu, vcpu, &c), 0);
}

/* Where a read leads: the page, or 0. */
static uint64_t read_at(uint32_t vcpu, uint64_t gva)
{
    struct gn_mmu_answer r;
    uint64_t data = 0;

    assert_int_equal(ops->access(mmu, vcpu, gn_gva(gva), GN_ACCESS_READ, &data, 8, &r), 0);
    return r.outcome == GN_MMU_DONE ? data : 0;
}

static uint32_t write_at(uint64_t gva)
{
    struct gn_mmu_answer r;
    uint64_t data = 0;

    memcpy(&data, memory + PAGE, 8);
    assert_int_equal(ops->access(mmu, 0, gn_gva(gva), GN_ACCESS_WRITE, &data, 8, &r), 0);
    return r.outcome;
}

static void a_page_is_kept_until_an_invalidation_covers_it(void **state)
{
    (void)state;
    tables(ROOT);
    map(ROOT, GVA, PAGE, R);
    load(0, 1, ROOT);
    assert_int_equal(read_at(0, GVA), PAGE);
    map(ROOT, GVA, 0, 0);
    assert_int_equal(read_at(0, GVA), PAGE);
    load(0, 2, ROOT); /* another ASID has nothing of it */
    assert_int_equal(read_at(0, GVA), 0);
    for (uint32_t i = 0; i < 100; i++)
        load(0, 3 + i, ROOT);
    load(0, 1, ROOT);
    ops->invalidate_range(mmu, 1, gn_gva(GVA + 4096), 4096);
    ops->invalidate_range(mmu, 2, gn_gva(GVA), 4096);
    ops->invalidate_asid(mmu, 2);
    assert_int_equal(read_at(0, GVA), PAGE);
    assert_true(adversary_stats(mmu).stale >= 2);
    ops->invalidate_range(mmu, 1, gn_gva(GVA + 4095), 1);
    assert_int_equal(read_at(0, GVA), 0);
}

static void each_invalidation_ends_what_it_covers_on_every_cpu(void **state)
{
    (void)state;
    tables(ROOT);
    load(0, 1, ROOT);
    load(1, 1, ROOT);
    for (uint32_t how = 0; how < 4; how++) {
        map(ROOT, GVA, PAGE, R);
        assert_int_equal(read_at(0, GVA), PAGE);
        assert_int_equal(read_at(1, GVA), PAGE);
        map(ROOT, GVA, 0, 0);
        assert_int_equal(read_at(1, GVA), PAGE);
        switch (how) {
        case 0: ops->invalidate_range(mmu, 1, gn_gva(GVA), 4096); break;
        case 1: ops->invalidate_range(mmu, GN_MMU_ASID_ANY, gn_gva(0), UINT64_MAX); break;
        case 2: ops->invalidate_asid(mmu, 1); break;
        default: ops->invalidate_all(mmu); break;
        }
        assert_int_equal(read_at(0, GVA), 0);
        assert_int_equal(read_at(1, GVA), 0);
    }
}

static void an_invalidation_of_writes_leaves_stale_reads(void **state)
{
    (void)state;
    tables(ROOT);
    map(ROOT, GVA, PAGE, R | W);
    load(0, 1, ROOT);
    assert_int_equal(write_at(GVA), GN_MMU_DONE);
    map(ROOT, GVA, 0, 0);
    ops->invalidate_writes(mmu, 1, gn_gva(GVA + 4096), 4096);
    ops->invalidate_writes(mmu, 2, gn_gva(GVA), 4096);
    assert_int_equal(write_at(GVA), GN_MMU_DONE);
    ops->invalidate_writes(mmu, 1, gn_gva(GVA + 4095), 1);
    assert_int_equal(write_at(GVA), GN_MMU_ABSENT);
    assert_int_equal(read_at(0, GVA), PAGE);
    map(ROOT, GVA, PAGE + 0x1000, R | W); /* what is found from now on is another version */
    assert_int_equal(write_at(GVA), GN_MMU_DONE);
    assert_memory_equal(memory + PAGE + 0x1000, memory + PAGE, 8);
    assert_int_equal(read_at(0, GVA), PAGE);
    ops->invalidate_range(mmu, 1, gn_gva(GVA), 4096);
    assert_int_equal(read_at(0, GVA), PAGE);
}

static void the_oldest_version_that_permits_is_used(void **state)
{
    (void)state;
    tables(ROOT);
    map(ROOT, GVA, PAGE, R);
    load(0, 1, ROOT);
    assert_int_equal(read_at(0, GVA), PAGE);
    map(ROOT, GVA, PAGE + 0x1000, R | W);
    assert_int_equal(read_at(0, GVA), PAGE);
    assert_int_equal(write_at(GVA), GN_MMU_DONE); /* the new one, which the old one outlives */
    assert_memory_equal(memory + PAGE + 0x1000, memory + PAGE, 8);
    memset(memory + PAGE + 0x1000, 0xff, 8);
    assert_int_equal(read_at(0, GVA), PAGE);
    map(ROOT, GVA, 0, 0);
    assert_int_equal(write_at(GVA), GN_MMU_DONE);
    ops->invalidate_range(mmu, 1, gn_gva(GVA), 4096);
    assert_int_equal(write_at(GVA), GN_MMU_ABSENT);
}

/* A page that was never touched, through a table that is no more. */
static void a_table_is_kept_until_an_invalidation_covers_it(void **state)
{
    (void)state;
    tables(ROOT);
    tables(OTHER);
    map(ROOT, GVA, PAGE, R);
    map(ROOT, GVA + 4096, PAGE + 0x1000, R);
    map(OTHER, GVA + 4096, PAGE + 0x2000, R);
    load(0, 1, ROOT);
    assert_int_equal(read_at(0, GVA), PAGE);
    put(ROOT + 0x1000, 1, GVA, GN_PAGING_ENTRY_TABLE, 0, OTHER + 0x2000);
    assert_int_equal(read_at(0, GVA + 4096), PAGE + 0x1000);
    ops->invalidate_range(mmu, 1, gn_gva(GVA + 4096), 4096);
    assert_int_equal(read_at(0, GVA + 4096), PAGE + 0x2000);
    assert_int_equal(read_at(0, GVA), PAGE);
}

/* What stale tables do not have is looked for in those that are there. */
static void what_was_refused_is_looked_up_anew(void **state)
{
    (void)state;
    tables(ROOT);
    tables(OTHER);
    load(0, 1, ROOT);
    assert_int_equal(read_at(0, GVA), 0);
    map(ROOT, GVA, PAGE, R);
    assert_int_equal(read_at(0, GVA), PAGE);
    assert_int_equal(write_at(GVA), GN_MMU_DENIED);
    map(ROOT, GVA, PAGE, R | W);
    assert_int_equal(write_at(GVA), GN_MMU_DONE);
    map(OTHER, GVA + 4096, PAGE, R);
    put(ROOT + 0x1000, 1, GVA, GN_PAGING_ENTRY_TABLE, 0, OTHER + 0x2000);
    assert_int_equal(read_at(0, GVA + 4096), PAGE);
}

/* An ASID that passes on without a purge brings its pages along. */
static void a_reused_asid_shows(void **state)
{
    (void)state;
    tables(ROOT);
    tables(OTHER);
    map(ROOT, GVA, PAGE, R);
    map(OTHER, GVA, PAGE + 0x1000, R);
    load(0, 1, ROOT);
    assert_int_equal(read_at(0, GVA), PAGE);
    load(0, 1, OTHER);
    assert_int_equal(read_at(0, GVA), PAGE);
    ops->invalidate_asid(mmu, 1);
    assert_int_equal(read_at(0, GVA), PAGE + 0x1000);
}

static void a_large_page_is_kept_in_pieces(void **state)
{
    const uint64_t large = GVA & ~UINT64_C(0x1fffff);

    (void)state;
    tables(ROOT);
    put(ROOT + 0x1000, 1, GVA, GN_PAGING_ENTRY_LEAF, R, 0x200000);
    load(0, 1, ROOT);
    assert_int_equal(read_at(0, large + 0x3000), 0x203000);
    assert_int_equal(read_at(0, large + 0x5000), 0x205000);
    put(ROOT + 0x1000, 1, GVA, GN_PAGING_ENTRY_ABSENT, 0, 0);
    ops->invalidate_range(mmu, 1, gn_gva(large + 0x3000), 4096);
    assert_int_equal(read_at(0, large + 0x3000), 0);
    assert_int_equal(read_at(0, large + 0x5000), 0x205000);
    assert_int_equal(read_at(0, large + 0x7000), 0);
}

static void a_processor_walks_ahead(void **state)
{
    (void)state;
    tables(ROOT);
    for (uint32_t i = 0; i < 16; i++)
        map(ROOT, GVA + i * 4096, PAGE + i * 4096, R);
    load(0, 1, ROOT);
    assert_int_equal(read_at(0, GVA), PAGE); /* page 3 of the table: 0 to 7 are looked at */
    adversary_speculate(mmu, 0, gn_gva(GVA + 14 * 4096)); /* 17, and so 16 to 23 */
    for (uint32_t i = 0; i < 16; i++)
        map(ROOT, GVA + i * 4096, 0, 0);
    assert_int_equal(read_at(0, GVA + 4 * 4096), PAGE + 4 * 4096);
    assert_int_equal(read_at(0, GVA + 5 * 4096), 0);
    assert_int_equal(read_at(0, GVA + 13 * 4096), PAGE + 13 * 4096);
}

static void count_page(void *ctx, const struct adversary_page *page)
{
    assert_int_equal(page->asid, 1);
    assert_int_equal(page->hpa.v - PAGE, page->gva.v - GVA);
    assert_int_equal(page->permissions & (R | W), R);
    ++*(uint32_t *)ctx;
}

static void audits_see_every_page_and_traced_writes_are_told(void **state)
{
    uint32_t pages = 0;

    (void)state;
    tables(ROOT);
    for (uint32_t i = 0; i < 3; i++)
        map(ROOT, GVA + i * 4096, PAGE + i * 4096, R);
    load(0, 1, ROOT);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(read_at(0, GVA + i * 4096), PAGE + i * 4096);
    adversary_each(mmu, 0, count_page, &pages);
    assert_int_equal(pages, 3);
    adversary_each(mmu, 1, count_page, &pages);
    assert_int_equal(pages, 3);
    map(ROOT, GVA + 0x8000, PAGE, R | W | GN_PAGING_SOFT0);
    assert_int_equal(write_at(GVA + 0x8000), GN_MMU_DONE);
    assert_int_equal(traced, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_page_is_kept_until_an_invalidation_covers_it),
        TEST(each_invalidation_ends_what_it_covers_on_every_cpu),
        TEST(an_invalidation_of_writes_leaves_stale_reads),
        TEST(the_oldest_version_that_permits_is_used),
        TEST(a_table_is_kept_until_an_invalidation_covers_it),
        TEST(what_was_refused_is_looked_up_anew),
        TEST(a_reused_asid_shows),
        TEST(a_large_page_is_kept_in_pieces),
        cmocka_unit_test_setup_teardown(a_processor_walks_ahead, setup_8, teardown),
        TEST(audits_see_every_page_and_traced_writes_are_told),
    };

    return cmocka_run_group_tests_name("adversary", tests, NULL, NULL);
}
