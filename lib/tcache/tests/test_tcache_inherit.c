/* SPDX-License-Identifier: BSD-3-Clause */

/* What a new view takes over from another, and what it must not. */

#include <gnomon/tcache.h>

#include "gn_test.h"

#define MODE 3u
#define A    ((uint64_t)0x1000)
#define B    ((uint64_t)0x2000)

struct box {
    struct gn_tcache *tc;
    void *memory;
    uint8_t *code;
    uint64_t entry[3]; /* of the blocks at A, B, by page number */
    uint64_t alike;    /* bit of each page that is mapped alike */
    uint32_t asked;
    uint64_t withdraw;                 /* a page to be withdrawn when it is asked for */
    const struct gn_tcache_view *view; /* loaded */
};

static void op_patch(void *ctx, const struct gn_tcache_patch *patch)
{
    (void)ctx;
    (void)patch;
}

static int same(void *ctx, gn_gva_t page, gn_gpa_t gpa)
{
    struct box *box = ctx;

    assert_int_equal(gpa.v, page.v + 0x8000);
    box->asked++;
    if (page.v == box->withdraw)
        assert_in_range(gn_tcache_invalidate(box->tc, 0, GN_TCACHE_SPACE_ANY, page, 4096), 0, 1);
    return (int)(box->alike >> (page.v >> GN_PAGE_SHIFT) & 1);
}

static void load(struct box *box, uint64_t space)
{
    assert_int_equal(gn_tcache_view_load(box->tc, 0, space, MODE, &box->view), 0);
}

static uint32_t inherit(struct box *box, uint64_t space)
{
    uint32_t pages = UINT32_MAX;

    assert_int_equal(gn_tcache_view_inherit(box->tc, 0, space, same, box, &pages), 0);
    return pages;
}

static void make(struct box *box, uint64_t page)
{
    const struct gn_tcache_key key = {{page + 0x40}, {page + 0x8040}, MODE, 0};
    const struct gn_tcache_code made = {GN_TCACHE_CODE_INIT, .code_size = 64, .guest_first = 0x40,
                                        .guest_size = 8};
    struct gn_tcache_room room;
    struct gn_tcache_block block;

    assert_int_equal(gn_tcache_view_map(box->tc, 0, key.pc, key.gpa), 0);
    assert_int_equal(gn_tcache_block_begin(box->tc, 0, &key, &room), 0);
    assert_int_equal(gn_tcache_block_commit(box->tc, 0, &made, &block), 0);
    assert_int_equal(gn_tcache_lookup(box->tc, 0, key.pc, &block), GN_TCACHE_FOUND);
    box->entry[page >> GN_PAGE_SHIFT] = block.entry;
}

/* A view of space 7 that knows both pages, and one of space 8 that is new and loaded. */
static void box_new(struct box *box)
{
    static const struct gn_tcache_ops ops = {GN_TCACHE_OPS_INIT, .patch = op_patch};
    struct gn_tcache_params params = {GN_TCACHE_PARAMS_INIT, .code_size = 0x10000, .regions = 4,
                                      .ops = &ops};

    *box = (struct box){.alike = 1u << 1 | 1u << 2, .withdraw = UINT64_MAX};
    box->code = gn_test_memory(64, 0x10000);
    params.code = box->code;
    box->memory = gn_test_memory(gn_tcache_align(), gn_tcache_size(&params));
    assert_int_equal(gn_tcache_init(box->memory, gn_tcache_size(&params), &params, &box->tc), 0);
    assert_int_equal(gn_tcache_online(box->tc, 0), 0);
    load(box, 7);
    make(box, A);
    make(box, B);
    load(box, 8);
}

static void box_free(struct box *box)
{
    gn_tcache_fini(box->tc);
    free(box->memory);
    free(box->code);
}

static uint64_t probe(const struct box *box, uint64_t page)
{
    return gn_tcache_probe(box->view, gn_gva(page + 0x40));
}

static void a_new_view_inherits_pages_and_jumps(void **state)
{
    struct box box;

    (void)state;
    box_new(&box);
    assert_int_equal(probe(&box, A), 0);
    assert_int_equal(inherit(&box, 7), 2);
    assert_int_equal(box.asked, 2);
    assert_int_equal(probe(&box, A), box.entry[1]);
    assert_int_equal(probe(&box, B), box.entry[2]);
    box_free(&box);
}

static void what_is_not_mapped_alike_is_not_inherited(void **state)
{
    struct gn_tcache_block block;
    struct box box;

    (void)state;
    box_new(&box);
    box.alike = 1u << 2;
    assert_int_equal(inherit(&box, 7), 1);
    assert_int_equal(probe(&box, A), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, gn_gva(A + 0x40), &block), GN_TCACHE_UNMAPPED);
    assert_int_equal(probe(&box, B), box.entry[2]);
    box_free(&box);
}

static void inherited_pages_are_withdrawn_from_each_view_by_itself(void **state)
{
    struct box box;

    (void)state;
    box_new(&box);
    assert_int_equal(inherit(&box, 7), 2);
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, 8, gn_gva(A), 4096), 1);
    assert_int_equal(probe(&box, A), 0);
    assert_int_equal(probe(&box, B), box.entry[2]);
    load(&box, 7);
    assert_int_equal(probe(&box, A), box.entry[1]);
    box_free(&box);
}

static void a_page_withdrawn_while_it_is_asked_for_is_not_inherited(void **state)
{
    struct box box;

    (void)state;
    box_new(&box);
    box.withdraw = A;
    assert_int_equal(inherit(&box, 7), 1);
    assert_int_equal(probe(&box, A), 0);
    assert_int_equal(probe(&box, B), box.entry[2]);
    box_free(&box);
}

static void a_dropped_block_is_not_inherited_nor_kept(void **state)
{
    struct box box;

    (void)state;
    box_new(&box);
    /* The other view was not loaded since: it still has the jump. */
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(A + 0x8040), 1), 1);
    assert_int_equal(inherit(&box, 7), 2);
    assert_int_equal(probe(&box, A), 0);
    assert_int_equal(probe(&box, B), box.entry[2]);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(B + 0x8040), 1), 1);
    assert_int_equal(gn_tcache_quiesce(box.tc, 0), 0);
    assert_int_equal(probe(&box, B), 0);
    box_free(&box);
}

static void a_view_that_is_not_new_inherits_nothing(void **state)
{
    struct box box;

    (void)state;
    box_new(&box);
    assert_int_equal(inherit(&box, 9), 0); /* nobody's: but it was asked for */
    assert_int_equal(inherit(&box, 7), 0);
    assert_int_equal(probe(&box, A), 0);
    load(&box, 7);
    assert_int_equal(inherit(&box, 7), 0);
    box_free(&box);
}

static void what_has_to_be_forgotten_is_not_inherited(void **state)
{
    struct box box;

    (void)state;
    box_new(&box);
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, GN_TCACHE_SPACE_ANY, gn_gva(0), UINT64_MAX),
                     1);
    assert_int_equal(inherit(&box, 7), 0);
    assert_int_equal(box.asked, 0);
    assert_int_equal(probe(&box, A), 0);
    box_free(&box);
}

static void inheriting_refuses_what_is_no_vcpu_or_has_no_view(void **state)
{
    struct box box;

    (void)state;
    box_new(&box);
    assert_int_equal(gn_tcache_view_inherit(NULL, 0, 7, same, &box, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_view_inherit(box.tc, 1, 7, same, &box, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_view_inherit(box.tc, 0, 7, NULL, &box, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_view_inherit(box.tc, 0, 7, same, &box, NULL), 0);
    box_free(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_view_inherits_pages_and_jumps),
        cmocka_unit_test(what_is_not_mapped_alike_is_not_inherited),
        cmocka_unit_test(inherited_pages_are_withdrawn_from_each_view_by_itself),
        cmocka_unit_test(a_page_withdrawn_while_it_is_asked_for_is_not_inherited),
        cmocka_unit_test(a_dropped_block_is_not_inherited_nor_kept),
        cmocka_unit_test(a_view_that_is_not_new_inherits_nothing),
        cmocka_unit_test(what_has_to_be_forgotten_is_not_inherited),
        cmocka_unit_test(inheriting_refuses_what_is_no_vcpu_or_has_no_view),
    };

    return cmocka_run_group_tests_name("tcache: inheritance", tests, NULL, NULL);
}
