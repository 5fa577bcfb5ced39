/* SPDX-License-Identifier: BSD-3-Clause */
#include <gnomon/tcache.h>

#include "gn_test.h"

#define CODE_SIZE 0x10000u

static _Alignas(64) uint8_t code[CODE_SIZE];

static void op_patch(void *ctx, const struct gn_tcache_patch *patch)
{
    (void)ctx;
    memcpy(patch->jump, &patch->target, sizeof patch->target);
}

static const struct gn_tcache_ops ops = {GN_TCACHE_OPS_INIT, .patch = op_patch};

static void a_block_is_found_where_it_was_committed(void **state)
{
    const struct gn_tcache_params params = {GN_TCACHE_PARAMS_INIT, .code = code,
                                            .code_size = sizeof code, .regions = 4, .ops = &ops};
    const struct gn_tcache_key key = {{0x1040}, {0x9040}, 3, 0};
    const struct gn_tcache_code made = {GN_TCACHE_CODE_INIT, .code_size = 100, .guest_first = 0x40,
                                        .guest_size = 8};
    const size_t size = gn_tcache_size(&params);
    void *mem = gn_test_memory(gn_tcache_align(), size);
    const struct gn_tcache_view *view;
    struct gn_tcache *tc;
    struct gn_tcache_room room;
    struct gn_tcache_block block;

    (void)state;
    assert_int_equal(gn_tcache_init(mem, size, &params, &tc), 0);
    assert_int_equal(gn_tcache_online(tc, 0), 0);
    assert_int_equal(gn_tcache_view_load(tc, 0, 7, 3, &view), 0);
    assert_int_equal(gn_tcache_lookup(tc, 0, key.pc, &block), GN_TCACHE_UNMAPPED);
    assert_int_equal(gn_tcache_view_map(tc, 0, key.pc, key.gpa), 0);
    assert_int_equal(gn_tcache_lookup(tc, 0, key.pc, &block), GN_TCACHE_MISSING);
    assert_int_equal(gn_tcache_block_begin(tc, 0, &key, &room), 0);
    assert_int_equal(gn_tcache_block_commit(tc, 0, &made, &block), 0);
    assert_int_equal(gn_tcache_probe(view, key.pc), 0);
    assert_int_equal(gn_tcache_lookup(tc, 0, key.pc, &block), GN_TCACHE_FOUND);
    assert_int_equal(gn_tcache_probe(view, key.pc), room.exec);
    assert_int_equal(gn_tcache_written(tc, gn_gpa(0x9048), 8), 0);
    assert_int_equal(gn_tcache_written(tc, gn_gpa(0x9047), 1), 1);
    assert_int_equal(gn_tcache_quiesce(tc, 0), 0);
    assert_int_equal(gn_tcache_probe(view, key.pc), 0);
    gn_tcache_fini(tc);
    free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_found_where_it_was_committed),
    };

    return cmocka_run_group_tests_name("tcache", tests, NULL, NULL);
}
