/* SPDX-License-Identifier: BSD-3-Clause */

/* Direct exits and open ones: whom they lead to, and when no more. */

#include "box.h"
#include "tcache_internal.h"

static gn_tcache_handle_t exit_of(struct box *box, const struct gn_tcache_block *block)
{
    return gn_tcache_exit_get(box->tc, block->exit_first);
}

static void links_lead_to_live_blocks(void **state)
{
    struct gn_tcache_block a, b, c;
    gn_tcache_handle_t exit;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x5000, 0x1040, &a), 0);
    assert_int_equal(make(&box, 0, 0x1040, 0x5040, 0x1000, &b), 0);
    assert_int_equal(make(&box, 0, 0x1040, 0x6040, 0x1000, &c), 0);
    exit = exit_of(&box, &a);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, a.handle), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, c.handle), 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 1);
    assert_int_equal(box.target, b.entry_fast);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 1);
    assert_int_equal(box.patched, 1);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5040), 1), 1);
    assert_int_equal(box.patched, 2);
    assert_int_equal(box.linked, 0);
    assert_int_equal(box.target, a.code + 32);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 0);
    assert_int_equal(gn_tcache_exit_get(box.tc, b.exit_first), 0);
    box_end(&box);
}

static void links_stay_within_a_mode(void **state)
{
    const struct gn_tcache_key key = {{0x1040}, {0x5040}, 1, 0};
    const struct gn_tcache_code code = {GN_TCACHE_CODE_INIT, .code_size = 64, .guest_first = 0x40,
                                        .guest_size = 4};
    struct gn_tcache_block a, b;
    struct gn_tcache_room room;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x5000, 0x1040, &a), 0);
    assert_int_equal(gn_tcache_block_begin(box.tc, 0, &key, &room), 0);
    assert_int_equal(gn_tcache_block_commit(box.tc, 0, &code, &b), 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit_of(&box, &a), b.handle), 0);
    box_end(&box);
}

static void what_is_dropped_leads_nowhere(void **state)
{
    struct gn_tcache_block a, b;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x5000, 0x1040, &a), 0);
    assert_int_equal(make(&box, 0, 0x1040, 0x5040, 0x1000, &b), 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit_of(&box, &a), b.handle), 1);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5000), 1), 1);
    assert_int_equal(box.target, a.code + 32);
    assert_int_equal(box.tc->blocks[b.index].in, NONE);
    box_end(&box);
}

/* A block as make()'s, whose exits are two open ones. */
static void make_open(struct box *box, uint64_t pc, uint64_t gpa, struct gn_tcache_block *ret_block)
{
    const struct gn_tcache_key key = {{pc}, {gpa}, 0, 0};
    const uint32_t flags = GN_TCACHE_EXIT_GUARDED | GN_TCACHE_EXIT_OPEN;
    const struct gn_tcache_exit exits[] = {
        {.jump = 8, .guard = 16, .stub = 32, .flags = flags},
        {.jump = 40, .guard = 48, .stub = 32, .flags = flags},
    };
    const struct gn_tcache_code code = {
        GN_TCACHE_CODE_INIT, .code_size = 64, .guest_first = (uint32_t)(pc & GN_PAGE_MASK),
        .guest_size = 4,     .exit_count = 2, .exits = exits};
    struct gn_tcache_room room;

    assert_int_equal(gn_tcache_block_begin(box->tc, 0, &key, &room), 0);
    assert_int_equal(gn_tcache_block_commit(box->tc, 0, &code, ret_block), 0);
}

static void open_exits_keep_the_targets_they_have(void **state)
{
    struct gn_tcache_block a, b, c;
    gn_tcache_handle_t exits[2];
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    make_open(&box, 0x1000, 0x5000, &a);
    assert_int_equal(make(&box, 0, 0x1040, 0x5040, 0x1000, &b), 0);
    assert_int_equal(make(&box, 0, 0x1080, 0x5080, 0x1000, &c), 0);
    exits[0] = exit_of(&box, &a);
    exits[1] = gn_tcache_exit_get(box.tc, a.exit_first + 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exits[0], b.handle), 1);
    assert_int_equal(box.pc, 0x1040);
    assert_int_equal(box.target, b.entry_fast);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exits[0], b.handle), 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exits[0], c.handle), 0);
    assert_int_equal(box.patched, 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exits[1], c.handle), 1);
    assert_int_equal(box.pc, 0x1080);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5040), 1), 1);
    assert_int_equal(box.linked, 0);
    assert_int_equal(box.pc, 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exits[0], a.handle), 1);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5000), 1), 1);
    assert_int_equal(box.tc->blocks[c.index].in, NONE);
    box_end(&box);
}

static void open_exits_are_guarded_to_other_pages_alone(void **state)
{
    struct gn_tcache_block a, near, far, other;
    gn_tcache_handle_t exit;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    make_open(&box, 0x1000, 0x5000, &a);
    assert_int_equal(make(&box, 0, 0x1040, 0x5040, 0x1000, &near), 0);
    assert_int_equal(make(&box, 0, 0x2040, 0x6040, 0x1000, &far), 0);
    assert_int_equal(make(&box, 0, 0x2040, 0x7040, 0x1000, &other), 0);
    exit = exit_of(&box, &a);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, near.handle), 1);
    assert_int_equal(box.guarded, 0);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5040), 1), 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, far.handle), 1);
    assert_int_equal(box.guarded, 1);
    assert_int_equal(box.id, gn_tcache__id(box.tc, 0x2000, 0x6000));
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, other.handle), 1); /* of the same PC */
    assert_int_equal(box.id, gn_tcache__id(box.tc, 0x2000, 0x7000));
    assert_int_equal(box.tc->blocks[far.index].in, NONE);
    box_end(&box);
}

/* Whatever else was given IDs since. */
static void a_guard_holds_in_the_view_it_was_linked_in(void **state)
{
    const struct gn_tcache_view *view;
    struct gn_tcache_block a, far;
    struct box box;
    uint32_t id;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    make_open(&box, 0x1000, 0x5000, &a);
    assert_int_equal(make(&box, 0, 0x2040, 0x6040, 0x1000, &far), 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, gn_gva(0x2000), gn_gpa(0x6000)), 0);
    id = view->ids[gn_tcache_page_index(0x2000)];
    for (uint64_t i = 0; i < 16 * ID_PAIRS; i++)
        (void)gn_tcache__id(box.tc, i << 12, 0x8000);
    assert_int_not_equal(gn_tcache__id(box.tc, 0x2000, 0x6000), id);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit_of(&box, &a), far.handle), 1);
    assert_int_equal(box.id, id);
    assert_int_equal(view->ids[gn_tcache_page_index(0x2000)], id);
    /* A page that the view does not know has the ID that it will be given. */
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, 7, gn_gva(0x2000), 4096), 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit_of(&box, &a), far.handle), 1);
    assert_int_equal(box.id, gn_tcache__id(box.tc, 0x2000, 0x6000));
    box_end(&box);
}

static void exits_that_are_closed_are_linked_no_more(void **state)
{
    struct gn_tcache_stats stats = {GN_TCACHE_STATS_INIT};
    struct gn_tcache_block a, b;
    gn_tcache_handle_t exit;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    make_open(&box, 0x1000, 0x5000, &a);
    assert_int_equal(make(&box, 0, 0x1040, 0x5040, 0x1000, &b), 0);
    exit = exit_of(&box, &a);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 1);
    assert_int_equal(gn_tcache_exit_close(NULL, exit), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_exit_close(box.tc, exit_of(&box, &b)), 0);
    assert_int_equal(gn_tcache_exit_close(box.tc, exit), 1);
    assert_int_equal(box.flags & GN_TCACHE_EXIT_CLOSED, GN_TCACHE_EXIT_CLOSED);
    assert_int_equal(box.linked, 0);
    assert_int_equal(box.target, a.code + 32);
    assert_int_equal(box.tc->blocks[b.index].in, NONE);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 0);
    assert_int_equal(gn_tcache_exit_close(box.tc, exit), 0);
    assert_int_equal(gn_tcache_stats_get(box.tc, &stats), 0);
    assert_int_equal(stats.links_open, 1);
    assert_int_equal(stats.closes, 1);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5000), 1), 1);
    assert_int_equal(gn_tcache_exit_close(box.tc, exit), 0);
    box_end(&box);
}

static void a_guard_that_changes_over_waits_for_other_vcpus(void **state)
{
    struct gn_tcache_block a, b, c;
    gn_tcache_handle_t exit;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 2, 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x5000, 0x2000, &a), 0);
    assert_int_equal(make(&box, 0, 0x2000, 0x6000, 0x1000, &b), 0);
    assert_int_equal(make(&box, 0, 0x2000, 0x7000, 0x1000, &c), 0);
    exit = exit_of(&box, &a);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, c.handle), 0);
    assert_int_equal(box.id, GN_TCACHE_ID_NONE);
    assert_int_equal(gn_tcache_quiesce(box.tc, 0), 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, c.handle), 0);
    assert_int_equal(gn_tcache_quiesce(box.tc, 1), 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, c.handle), 1);
    assert_int_equal(box.target, c.entry_fast);
    box_end(&box);
}

static void ids_that_run_out_begin_anew(void **state)
{
    const struct gn_tcache_view *view;
    struct gn_tcache_block a, b;
    gn_tcache_handle_t exit;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x5000, 0x2000, &a), 0);
    assert_int_equal(make(&box, 0, 0x2000, 0x6000, 0x1000, &b), 0);
    exit = exit_of(&box, &a);
    box.tc->id_next = GN_TCACHE_ID_NONE - 1;
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 1);
    assert_int_equal(box.id, GN_TCACHE_ID_NONE - 1);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, gn_gva(0x2000), gn_gpa(0x6000)), 0);
    assert_int_equal(view->ids[gn_tcache_page_index(0x2000)], GN_TCACHE_ID_NONE - 1);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, gn_gva(0x3000), gn_gpa(0x6000)), 0);
    assert_int_equal(view->ids[gn_tcache_page_index(0x3000)], 1);
    assert_int_equal(view->ids[gn_tcache_page_index(0x2000)], 0);
    assert_int_equal(box.id, GN_TCACHE_ID_NONE);
    assert_int_equal(box.linked, 0);
    box_end(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_lead_to_live_blocks),
        cmocka_unit_test(links_stay_within_a_mode),
        cmocka_unit_test(what_is_dropped_leads_nowhere),
        cmocka_unit_test(open_exits_keep_the_targets_they_have),
        cmocka_unit_test(open_exits_are_guarded_to_other_pages_alone),
        cmocka_unit_test(a_guard_holds_in_the_view_it_was_linked_in),
        cmocka_unit_test(exits_that_are_closed_are_linked_no_more),
        cmocka_unit_test(a_guard_that_changes_over_waits_for_other_vcpus),
        cmocka_unit_test(ids_that_run_out_begin_anew),
    };

    return cmocka_run_group_tests_name("tcache_links", tests, NULL, NULL);
}
