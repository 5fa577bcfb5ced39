/* SPDX-License-Identifier: BSD-3-Clause */

/* Blocks and what they are found by, arguments, views, memory that runs out. */

#include "box.h"
#include "tcache_internal.h"

/* Layout: sizes and offsets are ABI. */
GN_TEST_SIZE(gn_tcache_ops, 64);
GN_TEST_AT(gn_tcache_ops, patch, 8);
GN_TEST_AT(gn_tcache_ops, panic, 56);
GN_TEST_SIZE(gn_tcache_params, 88);
GN_TEST_AT(gn_tcache_params, code, 8);
GN_TEST_AT(gn_tcache_params, exec, 16);
GN_TEST_AT(gn_tcache_params, regions, 24);
GN_TEST_AT(gn_tcache_params, seed, 64);
GN_TEST_AT(gn_tcache_params, ctx, 80);
GN_TEST_SIZE(gn_tcache_key, 24);
GN_TEST_SIZE(gn_tcache_room, 32);
GN_TEST_SIZE(gn_tcache_exit, 24);
GN_TEST_SIZE(gn_tcache_code, 48);
GN_TEST_SIZE(gn_tcache_block, 80);
GN_TEST_SIZE(gn_tcache_patch, 56);
GN_TEST_AT(gn_tcache_patch, pc, 48);

static void a_block_is_found_by_its_key_until_it_is_written(void **state)
{
    const gn_gva_t pc = {0x1040};
    const struct gn_tcache_view *view;
    struct gn_tcache_block made, block;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, pc, &block), -GN_ERR_PERM);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, pc, &block), GN_TCACHE_UNMAPPED);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, pc, gn_gpa(0x9fff)), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, pc, &block), GN_TCACHE_MISSING);
    assert_int_equal(make(&box, 0, pc.v, 0x9040, 0x1080, &made), 0);
    assert_int_equal(gn_tcache_probe(view, pc), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, pc, &block), GN_TCACHE_FOUND);
    assert_int_equal(block.handle, made.handle);
    assert_int_equal(gn_tcache_probe(view, pc), made.entry);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x9044), 0x1000), 0);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x9000), 0x40), 0);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x9043), 1), 1);
    assert_int_equal(gn_tcache_quiesce(box.tc, 0), 0);
    assert_int_equal(gn_tcache_probe(view, pc), 0);
    assert_int_equal(gn_tcache_block_get(box.tc, made.handle, &block), 0);
    box_end(&box);
}

/* The next address of the page whose jumps are kept where those of pc are. */
static uint64_t same_place(uint64_t pc)
{
    uint64_t other = pc + 64;

    while (gn_tcache_jump_index(other) != gn_tcache_jump_index(pc))
        other += 4;
    return other;
}

static void jumps_of_one_place_have_two_and_lose_both(void **state)
{
    const gn_gva_t first = {0x10040}, second = {same_place(0x10040)};
    const struct gn_tcache_view *view;
    struct gn_tcache_block made[2], block;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, first, gn_gpa(0x9000)), 0);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, second, gn_gpa(0xa000)), 0);
    assert_int_equal(make(&box, 0, first.v, 0x9040, first.v, &made[0]), 0);
    assert_int_equal(
        make(&box, 0, second.v, 0xa000 | (second.v & GN_PAGE_MASK), second.v, &made[1]), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, first, &block), GN_TCACHE_FOUND);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, second, &block), GN_TCACHE_FOUND);
    assert_int_equal(gn_tcache_probe(view, first), made[0].entry);
    assert_int_equal(gn_tcache_probe(view, second), made[1].entry);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x9040), 4), 1);
    assert_int_equal(gn_tcache_quiesce(box.tc, 0), 0);
    assert_int_equal(gn_tcache_probe(view, first), 0);
    assert_int_equal(gn_tcache_probe(view, second), made[1].entry);
    box_end(&box);
}

static void an_empty_view_matches_no_pc(void **state)
{
    const struct gn_tcache_view *view;
    struct box box;
    uint64_t pc;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    for (pc = 0; pc < 0x4000; pc++)
        assert_int_equal(gn_tcache_probe(view, gn_gva(pc)), 0);
    for (pc = 0; pc < GN_TCACHE_VIEW_JUMPS; pc++)
        assert_true((gn_tcache_jump_index(view->jumps[pc].pc) ^ pc) > 1);
    box_end(&box);
}

static void params_out_of_range_are_refused(void **state)
{
    struct gn_tcache_params good, bad;
    struct gn_tcache_ops few = {GN_TCACHE_OPS_INIT};
    struct gn_tcache *tc;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 2, 0);
    good = box.params;
#define REFUSED(member, value)                                                           \
    do {                                                                                 \
        bad = good;                                                                      \
        bad.member = (value);                                                            \
        assert_int_equal(gn_tcache_size(&bad), 0);                                       \
        assert_int_equal(gn_tcache_init(box.memory, 1 << 30, &bad, &tc), -GN_ERR_INVAL); \
    } while (0)
    REFUSED(code, NULL);
    REFUSED(code, good.code + 1);
    REFUSED(code_size, 4095);
    REFUSED(code_size, GN_TCACHE_CODE_MAX + 1);
    REFUSED(regions, 5);
    REFUSED(vcpus, GN_TCACHE_VCPUS_MAX + 1);
    REFUSED(views, GN_TCACHE_VIEWS_MAX + 1);
    REFUSED(blocks, GN_TCACHE_BLOCKS_MAX + 1);
    REFUSED(blocks, 3);
    REFUSED(block_exits, GN_TCACHE_EXITS_MAX + 1);
    REFUSED(block_size, 0x10000);
    REFUSED(align, 48);
    REFUSED(reserved, 1);
    REFUSED(ops, &few);
    assert_int_equal(gn_tcache_init(box.memory, gn_tcache_size(&good) - 1, &good, &tc),
                     -GN_ERR_NOMEM);
    box_end(&box);
}

static void commits_out_of_range_leave_the_block_begun(void **state)
{
    const struct gn_tcache_key key = {{0x1ff0}, {0x5ff0}, 0, 0};
    const struct gn_tcache_key askew = {{0x1ff0}, {0x5fe0}, 0, 0};
    const struct gn_tcache_exit exit = {.jump = 64};
    const struct gn_tcache_code good = {GN_TCACHE_CODE_INIT, .code_size = 64, .guest_first = 0xff0,
                                        .guest_size = 16};
    struct gn_tcache_code bad;
    struct gn_tcache_block block;
    struct gn_tcache_room room;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_block_commit(box.tc, 0, &good, &block), -GN_ERR_PERM);
    assert_int_equal(gn_tcache_block_begin(box.tc, 0, &askew, &room), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_block_begin(box.tc, 0, &key, &room), 0);
    assert_int_equal(gn_tcache_block_begin(box.tc, 0, &key, &room), -GN_ERR_PERM);
    assert_int_equal(gn_tcache_offline(box.tc, 0), -GN_ERR_BUSY);
#define BAD(member, value)                                                                \
    do {                                                                                  \
        bad = good;                                                                       \
        bad.member = (value);                                                             \
        assert_int_equal(gn_tcache_block_commit(box.tc, 0, &bad, &block), -GN_ERR_INVAL); \
    } while (0)
    BAD(code_size, 0);
    BAD(code_size, 129);
    BAD(entry, 64);
    BAD(entry_fast, 64);
    BAD(guest_size, 0);
    BAD(guest_size, 17);
    BAD(guest_first, 0x1000);
    BAD(exit_count, 1);
    BAD(exit_count, 17);
    bad = good;
    bad.exit_count = 1;
    bad.exits = &exit;
    assert_int_equal(gn_tcache_block_commit(box.tc, 0, &bad, &block), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_block_commit(box.tc, 0, &good, &block), 0);
    box_end(&box);
}

/* ---- Views -------------------------------------------------------------------------------- */

static void a_view_that_missed_many_drops_forgets_all_jumps(void **state)
{
    const struct gn_tcache_view *view, *other;
    struct gn_tcache_block block;
    struct box box;
    uint64_t i;

    (void)state;
    box_make(&box, 0x40000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, gn_gva(0x1000), gn_gpa(0x1000)), 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x1000, 0, &block), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, gn_gva(0x1000), &block), GN_TCACHE_FOUND);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 8, 0, &other), 0);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x1000), 1), 1);
    for (i = 0; i < LOG_SIZE; i++) {
        assert_int_equal(make(&box, 0, 0x2000, 0x2000, 0, &block), 0);
        assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x2000), 1), 1);
    }
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_probe(view, gn_gva(0x1000)), 0);
    box_end(&box);
}

static void jumps_go_with_the_page_that_gives_way(void **state)
{
    const gn_gva_t first = {UINT64_C(1) << 12}, second = {UINT64_C(0x800) << 12};
    const struct gn_tcache_view *view;
    struct gn_tcache_block block;
    struct box box;

    (void)state;
    assert_int_equal(gn_tcache_page_index(first.v), gn_tcache_page_index(second.v));
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, first, gn_gpa(0x5000)), 0);
    assert_int_equal(make(&box, 0, first.v, 0x5000, 0, &block), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, first, &block), GN_TCACHE_FOUND);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, second, gn_gpa(0x6000)), 0);
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, 7, first, 1), 0);
    assert_int_equal(gn_tcache_probe(view, first), 0);
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, 8, second, 1), 0);
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, 7, second, 1), 1);
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, 7, second, 1), 0);
    box_end(&box);
}

/* ---- Memory that runs out ----------------------------------------------------------------- */

static void memory_waits_for_every_vcpu(void **state)
{
    struct gn_tcache_block block;
    struct box box;
    uint32_t made = 0;

    (void)state;
    box_make(&box, 0x4000, 2, 8);
    while (make(&box, 0, 0x1000 + 16 * made, 0x1000 + 16 * made, 0, &block) == 0)
        assert_in_range(++made, 1, 0x4000 / 64);
    assert_int_equal(make(&box, 0, 0x1000, 0x9000, 0, &block), -GN_ERR_AGAIN);
    assert_int_equal(gn_tcache_quiesce(box.tc, 1), 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x9000, 0, &block), 0);
    /* Nobody waits for one that is away. */
    assert_int_equal(gn_tcache_offline(box.tc, 1), 0);
    for (made = 0; made < 2000; made++)
        assert_int_equal(make(&box, 0, 16 * made, 16 * made, 0, &block), 0);
    box_end(&box);
}

static void pages_run_out_before_blocks(void **state)
{
    struct gn_tcache_stats stats = {GN_TCACHE_STATS_INIT};
    struct gn_tcache_block block;
    struct box box;
    uint64_t i;

    (void)state;
    box_make(&box, 0x10000, 1, 4);
    for (i = 0; i < 5000; i++)
        assert_int_equal(make(&box, 0, i << GN_PAGE_SHIFT, i << GN_PAGE_SHIFT, 0, &block), 0);
    assert_int_equal(gn_tcache_stats_get(box.tc, &stats), 0);
    assert_true(stats.pages <= box.tc->page_count && stats.regions_evicted > 10);
    box_end(&box);
}

/* A guest that jumps through more places than anything holds. */
static void millions_of_targets_stay_bounded(void **state)
{
    struct gn_tcache_stats stats = {GN_TCACHE_STATS_INIT};
    const struct gn_tcache_view *view;
    struct gn_tcache_block block;
    struct box box;
    uint64_t i, pc;

    (void)state;
    box_make(&box, 0x40000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    for (i = 0; i < 2000000; i++) {
        pc = i << 4;
        if (gn_tcache_lookup(box.tc, 0, gn_gva(pc), &block) == GN_TCACHE_UNMAPPED)
            assert_int_equal(gn_tcache_view_map(box.tc, 0, gn_gva(pc), gn_gpa(pc)), 0);
        if (make(&box, 0, pc, pc, pc, &block))
            fail();
    }
    assert_int_equal(gn_tcache_stats_get(box.tc, &stats), 0);
    assert_int_equal(stats.blocks_made, 2000000);
    assert_int_equal(stats.blocks_made - stats.blocks_evicted, stats.blocks);
    assert_true(stats.blocks <= 0x40000 / 64 && stats.code_used <= 0x40000);
    box_end(&box);
}

/* The page's list is as long as the cache is large, and its end costs no more than its length. */
static void a_code_page_at_many_addresses_stays_bounded(void **state)
{
    struct gn_tcache_stats stats = {GN_TCACHE_STATS_INIT};
    struct gn_tcache_block block;
    struct box box;
    uint64_t i;

    (void)state;
    box_make(&box, 0x200000, 1, 0);
    for (i = 0; i < 200000; i++)
        assert_int_equal(make(&box, 0, i << GN_PAGE_SHIFT | 0x40, 0x7040, 0, &block), 0);
    assert_int_equal(gn_tcache_stats_get(box.tc, &stats), 0);
    assert_int_equal(stats.pages, 1);
    assert_true(stats.blocks > 1000);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x7041), 1), 1);
    assert_int_equal(gn_tcache_stats_get(box.tc, &stats), 0);
    assert_int_equal(stats.blocks, 0);
    assert_int_equal(stats.pages, 0);
    box_end(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_found_by_its_key_until_it_is_written),
        cmocka_unit_test(an_empty_view_matches_no_pc),
        cmocka_unit_test(jumps_of_one_place_have_two_and_lose_both),
        cmocka_unit_test(params_out_of_range_are_refused),
        cmocka_unit_test(commits_out_of_range_leave_the_block_begun),
        cmocka_unit_test(a_view_that_missed_many_drops_forgets_all_jumps),
        cmocka_unit_test(jumps_go_with_the_page_that_gives_way),
        cmocka_unit_test(memory_waits_for_every_vcpu),
        cmocka_unit_test(pages_run_out_before_blocks),
        cmocka_unit_test(millions_of_targets_stay_bounded),
        cmocka_unit_test(a_code_page_at_many_addresses_stays_bounded),
    };

    return cmocka_run_group_tests_name("tcache", tests, NULL, NULL);
}
