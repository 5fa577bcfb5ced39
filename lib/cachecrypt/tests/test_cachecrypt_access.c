/* SPDX-License-Identifier: BSD-3-Clause */
/* Hits, pins, faults, replacement, flush and discard. */
#define _GNU_SOURCE
#include "world.h"

static void a_clean_page_leaves_without_a_seal_and_without_a_write(void **state)
{
    struct world w;
    struct land land;
    uint8_t *before;

    (void)state;
    world_with(&w, &land, 4, 4096, 32);
    for (uint64_t page = 0; page < 32; page++)
        put_page(&w, &land, page, (uint8_t)page);
    put_away(&w, &land);
    before = gn_test_memory(64, land.data_bytes + land.meta_bytes);
    memcpy(before, land.data, land.data_bytes);
    memcpy(before + land.data_bytes, land.meta, land.meta_bytes);
    toy_seals = 0;
    for (uint64_t page = 0; page < 32; page++)
        want_page(&w, &land, page, (uint8_t)page);
    put_away(&w, &land);
    assert_int_equal(toy_seals, 0);
    assert_int_equal(world_stats(&w).evictions_clean, 32);
    assert_memory_equal(before, land.data, land.data_bytes);
    assert_memory_equal(before + land.data_bytes, land.meta, land.meta_bytes);
    free(before);
    world_without(&w, &land);
}

static void a_page_that_is_overwritten_whole_is_not_opened(void **state)
{
    struct world w;
    struct land land;

    (void)state;
    world_with(&w, &land, 2, 4096, 16);
    put_page(&w, &land, 5, 1);
    put_away(&w, &land);
    toy_opens = 0;
    put_page(&w, &land, 5, 2);
    assert_int_equal(toy_opens, 0);
    put_away(&w, &land);
    want_page(&w, &land, 5, 2);
    world_without(&w, &land);
}

static void copies_cross_pages(void **state)
{
    struct world w;
    struct land land;
    uint8_t in[2000], out[2000];

    (void)state;
    world_with(&w, &land, 2, 256, 64);
    for (uint32_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 13 + i / 256);
    assert_int_equal(gn_cachecrypt_write(w.cc, land.region, 777, in, sizeof in), 0);
    assert_int_equal(gn_cachecrypt_read(w.cc, land.region, 777, out, sizeof out), 0);
    assert_memory_equal(in, out, sizeof in);
    assert_int_equal(gn_cachecrypt_read(w.cc, land.region, 776, out, 1), 0);
    assert_int_equal(out[0], 0);
    world_without(&w, &land);
}

/* ---- pins -------------------------------------------------------------------------------- */

static void a_pinned_page_stays_and_its_span_ends_with_the_page(void **state)
{
    struct gn_cachecrypt_span span, again;
    struct world w;
    struct land land;

    (void)state;
    world_with(&w, &land, 3, 1024, 64);
    assert_int_equal(
        gn_cachecrypt_pin(w.cc, land.region, 5 * 1024 + 1000, 9999, GN_ACCESS_WRITE, &span), 0);
    assert_int_equal(span.bytes, 24);
    memset(span.at, 0x5a, span.bytes);
    for (uint64_t page = 0; page < 64; page++)
        if (page != 5)
            put_page(&w, &land, page, (uint8_t)page);
    assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, 0, land.data_bytes), -GN_ERR_BUSY);
    assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, 5 * 1024, 1), -GN_ERR_BUSY);
    assert_int_equal(gn_cachecrypt_flush(w.cc, land.region), -GN_ERR_BUSY);
    assert_int_equal(gn_cachecrypt_discard(w.cc, land.region, 5 * 1024, 1024), -GN_ERR_BUSY);
    assert_int_equal(gn_cachecrypt_region_remove(w.cc, land.region), -GN_ERR_BUSY);
    assert_int_equal(land_info(&w, &land).pinned, 1);
    assert_int_equal(gn_cachecrypt_pin(w.cc, land.region, 5 * 1024, 10, GN_ACCESS_READ, &again), 0);
    assert_int_equal(again.bytes, 10);
    assert_ptr_equal((uint8_t *)again.at + 1000, span.at);
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &span), 0);
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &span), -GN_ERR_INVAL); /* not for writing */
    assert_int_equal(gn_cachecrypt_flush(w.cc, land.region), 0);       /* readers do not hinder */
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &again), 0);
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &again), -GN_ERR_INVAL);
    put_away(&w, &land);
    assert_int_equal(gn_cachecrypt_read(w.cc, land.region, 5 * 1024 + 1000, &again, 24), 0);
    for (uint32_t i = 0; i < 24; i++)
        assert_int_equal(((uint8_t *)&again)[i], 0x5a);
    world_without(&w, &land);
}

static void a_span_that_is_not_from_pin_is_refused(void **state)
{
    struct gn_cachecrypt_span span, false_one;
    struct world w;
    struct land land;

    (void)state;
    world_with(&w, &land, 3, 1024, 64);
    assert_int_equal(gn_cachecrypt_pin(w.cc, land.region, 0, 1, GN_ACCESS_READ, &span), 0);
    false_one = span;
    false_one.frame = 3;
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &false_one), -GN_ERR_INVAL);
    false_one.frame = span.frame == 1 ? 2 : 1;
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &false_one), -GN_ERR_INVAL);
    false_one = span;
    false_one.region = 1;
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &false_one), -GN_ERR_INVAL);
    false_one = span;
    false_one.at = (uint8_t *)span.at + 1024;
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &false_one), -GN_ERR_INVAL);
    false_one = span;
    false_one.access = GN_ACCESS_WRITE;
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &false_one), -GN_ERR_INVAL);
    false_one.access = 7;
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &false_one), -GN_ERR_INVAL);
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &span), 0);
    world_without(&w, &land);
}

/* ---- replacement ------------------------------------------------------------------------- */

static void a_page_that_was_used_has_a_second_chance(void **state)
{
    struct gn_cachecrypt_view view;
    struct world w;
    struct land land;

    (void)state;
    world_with(&w, &land, 8, 256, 1000);
    assert_int_equal(gn_cachecrypt_view_get(w.cc, land.region, &view), 0);
    for (uint64_t page = 0; page < 8; page++)
        assert_int_equal(look(&w, &land, page), 0);
    /* A hit of the inlined path keeps page 3; the others pass through. */
    for (uint64_t page = 8; page < 1000; page++) {
        assert_non_null(gn_cachecrypt_hit(&view, 3 * 256, 0));
        assert_int_equal(look(&w, &land, page), 0);
        assert_non_null(gn_cachecrypt_hit(&view, 3 * 256, 0));
    }
    world_without(&w, &land);
}

static void a_write_by_the_inlined_path_is_not_lost(void **state)
{
    struct gn_cachecrypt_view view;
    struct world w;
    struct land land;
    void *at;

    (void)state;
    world_with(&w, &land, 5, 512, 200);
    assert_int_equal(gn_cachecrypt_view_get(w.cc, land.region, &view), 0);
    for (uint32_t round = 1; round < 4; round++)
        for (uint64_t page = 0; page < 200; page++) {
            /* Read first: then the page is there, and clean. */
            assert_int_equal(
                gn_cachecrypt_at(w.cc, land.region, &view, page * 512, GN_ACCESS_READ, &at), 0);
            assert_int_equal(*(uint8_t *)at, round == 1 ? 0 : (uint8_t)(page + round - 1));
            at = gn_cachecrypt_hit(&view, page * 512, 1);
            assert_non_null(at);
            *(uint8_t *)at = (uint8_t)(page + round);
        }
    for (uint64_t page = 0; page < 200; page++) {
        assert_int_equal(
            gn_cachecrypt_at(w.cc, land.region, &view, page * 512, GN_ACCESS_READ, &at), 0);
        assert_int_equal(*(uint8_t *)at, (uint8_t)(page + 3));
    }
    world_without(&w, &land);
}

static void a_view_sees_its_own_region_only(void **state)
{
    struct gn_cachecrypt_view view[2];
    struct land land[2];
    struct world w;
    void *at;

    (void)state;
    world_plan(&w, 8, 256);
    world_begin(&w);
    for (uint32_t i = 0; i < 2; i++) {
        land_add(&w, &land[i], 8, 256);
        assert_int_equal(gn_cachecrypt_view_get(w.cc, land[i].region, &view[i]), 0);
        assert_int_equal(gn_cachecrypt_touch(w.cc, land[i].region, 256 * (2 + i), 1, &at), 0);
        *(uint8_t *)at = (uint8_t)(i + 1);
    }
    assert_non_null(gn_cachecrypt_hit(&view[0], 512, 0));
    assert_null(gn_cachecrypt_hit(&view[0], 768, 0));
    assert_null(gn_cachecrypt_hit(&view[1], 512, 0));
    assert_non_null(gn_cachecrypt_hit(&view[1], 768, 0));
    /* Gone with the page, and with the region. */
    assert_int_equal(gn_cachecrypt_evict(w.cc, land[0].region, 512, 1), 0);
    assert_null(gn_cachecrypt_hit(&view[0], 512, 0));
    assert_int_equal(gn_cachecrypt_region_erase(w.cc, land[1].region), 0);
    assert_null(gn_cachecrypt_hit(&view[1], 768, 0));
    land_remove(&w, &land[0]);
    land_remove(&w, &land[1]);
    world_end(&w);
}

/* Whatever way pages come in, the table of the inlined path never names a frame of another. */
static void the_table_of_hits_never_names_another_page(void **state)
{
    struct gn_cachecrypt_view view;
    uint64_t random = gn_test_seed();
    struct world w;
    struct land land;

    (void)state;
    world_with(&w, &land, 6, 256, 512);
    assert_int_equal(gn_cachecrypt_view_get(w.cc, land.region, &view), 0);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(look(&w, &land, gn_test_random(&random) % 512), 0);
        for (uint64_t page = 0; page < 512; page++) {
            const uint32_t f = gn_cachecrypt__find(w.cc, page);
            const uint8_t *at = gn_cachecrypt_hit(&view, page * 256, 0);

            if (at)
                assert_ptr_equal(at, gn_cachecrypt__frame_at(w.cc, f));
        }
    }
    world_without(&w, &land);
}

/* Attack class 15: all frames pinned; then one is not. */
static void with_all_frames_pinned_a_miss_is_refused_and_hits_go_on(void **state)
{
    struct gn_cachecrypt_span span[4];
    struct world w;
    struct land land;

    (void)state;
    world_with(&w, &land, 4, 256, 40);
    for (uint64_t page = 0; page < 4; page++)
        assert_int_equal(
            gn_cachecrypt_pin(w.cc, land.region, page * 256, 256, page & 1, &span[page]), 0);
    for (uint64_t page = 4; page < 40; page++)
        assert_int_equal(look(&w, &land, page), -GN_ERR_BUSY);
    assert_int_equal(look(&w, &land, 2), 0);
    assert_int_equal(gn_cachecrypt_unpin(w.cc, &span[1]), 0);
    for (uint64_t page = 4; page < 40; page++)
        assert_int_equal(look(&w, &land, page), 0);
    for (uint32_t i = 0; i < 4; i++)
        if (i != 1)
            assert_int_equal(gn_cachecrypt_unpin(w.cc, &span[i]), 0);
    world_without(&w, &land);
}

static void one_frame_and_the_smallest_node_cache_suffice(void **state)
{
    struct world w;
    struct land land;

    (void)state;
    world_plan(&w, 1, 256);
    world_begin(&w);
    land_add(&w, &land, 40000, 256); /* more nodes than are cached */
    assert_int_equal(land_info(&w, &land).tree_levels, 5);
    for (uint64_t i = 0; i < 4000; i++)
        put_page(&w, &land, i * 7919 % 40000, (uint8_t)i);
    for (uint64_t i = 0; i < 4000; i++)
        want_page(&w, &land, i * 7919 % 40000, (uint8_t)i);
    world_without(&w, &land);
}

/* ---- faults ------------------------------------------------------------------------------ */

static void plan_faults(struct world *w, uint32_t frames)
{
    world_plan(w, frames, 256);
    w->ops.map = world_map;
    w->ops.unmap = world_unmap;
}

static void a_mapped_page_is_unmapped_before_it_is_sealed(void **state)
{
    struct gn_cachecrypt_mapping mapping;
    struct world w;
    struct land land;

    (void)state;
    plan_faults(&w, 4);
    world_begin(&w);
    land_add(&w, &land, 64, 256);
    for (uint32_t round = 0; round < 3; round++)
        for (uint64_t page = 0; page < 64; page++) {
            assert_int_equal(
                gn_cachecrypt_fault(w.cc, land.region, page * 256 + 7, GN_ACCESS_READ, &mapping),
                0);
            assert_int_equal(mapping.page, page);
            assert_int_equal(mapping.access, GN_ACCESS_READ);
            assert_ptr_equal(mapping.frame, w.mapped[page]);
            assert_int_equal(*w.mapped[page], round ? (uint8_t)(page + round - 1) : 0);
            assert_int_equal(
                gn_cachecrypt_fault(w.cc, land.region, page * 256, GN_ACCESS_WRITE, &mapping), 0);
            assert_int_equal(mapping.access, GN_ACCESS_WRITE);
            *w.mapped[page] = (uint8_t)(page + round);
        }
    /* A flush takes the mapping: a write after it would be lost otherwise. */
    assert_int_equal(gn_cachecrypt_flush(w.cc, land.region), 0);
    for (uint64_t page = 0; page < 64; page++)
        assert_null(w.mapped[page]);
    assert_int_equal(land_info(&w, &land).dirty, 0);
    assert_int_equal(gn_cachecrypt_fault(w.cc, land.region, 63 * 256, GN_ACCESS_EXEC, &mapping), 0);
    assert_int_equal(mapping.access, GN_ACCESS_READ);
    assert_int_equal(world_stats(&w).faults, 3 * 64 * 2 + 1);
    land_remove(&w, &land);
    assert_null(w.mapped[63]);
    world_end(&w);
}

static int accessed(void *ctx, uint32_t region, uint64_t page)
{
    (void)region;
    return page == 3 || ((struct world *)ctx)->accessed;
}

static void a_mapped_page_that_is_accessed_has_a_second_chance(void **state)
{
    struct gn_cachecrypt_mapping mapping;
    struct world w;
    struct land land;

    (void)state;
    plan_faults(&w, 4);
    w.ops.accessed = accessed;
    world_begin(&w);
    land_add(&w, &land, 64, 256);
    for (uint64_t page = 0; page < 64; page++) {
        assert_int_equal(gn_cachecrypt_fault(w.cc, land.region, page * 256, 0, &mapping), 0);
        if (page >= 3)
            assert_non_null(w.mapped[3]);
    }
    w.accessed = 1; /* all of them, always: one has to go nevertheless */
    for (uint64_t page = 0; page < 64; page++)
        assert_int_equal(gn_cachecrypt_fault(w.cc, land.region, page * 256, 0, &mapping), 0);
    world_without(&w, &land);
}

static void a_mapping_that_cannot_be_taken_away_keeps_its_page(void **state)
{
    struct gn_cachecrypt_mapping mapping;
    struct world w;
    struct land land;

    (void)state;
    plan_faults(&w, 1);
    world_begin(&w);
    land_add(&w, &land, 64, 256);
    w.fail_map_in = 0;
    assert_int_equal(gn_cachecrypt_fault(w.cc, land.region, 0, 1, &mapping), -GN_ERR_NOMEM);
    assert_int_equal(gn_cachecrypt_fault(w.cc, land.region, 0, 1, &mapping), 0);
    *w.mapped[0] = 9;
    w.refuse_unmap = 1;
    assert_int_equal(look(&w, &land, 1), -GN_ERR_IO);
    assert_int_equal(*w.mapped[0], 9);
    w.refuse_unmap = 0;
    assert_int_equal(look(&w, &land, 1), 0);
    assert_int_equal(gn_cachecrypt_fault(w.cc, land.region, 0, 1, &mapping), 0);
    assert_int_equal(*w.mapped[0], 9);
    /* Erasure: the keys go all the same; the page goes with the next attempt. */
    w.fail_unmap_in = 0;
    assert_int_equal(gn_cachecrypt_region_erase(w.cc, land.region), -GN_ERR_IO);
    assert_int_equal(look(&w, &land, 0), -GN_ERR_PERM);
    assert_non_null(w.mapped[0]);
    assert_int_equal(gn_cachecrypt_region_erase(w.cc, land.region), 0);
    assert_null(w.mapped[0]);
    world_without(&w, &land);
}

/* ---- discard ----------------------------------------------------------------------------- */

static void discarded_pages_are_zeros_and_their_versions_go_on(void **state)
{
    struct world w;
    struct land land;
    uint64_t word;

    (void)state;
    world_with(&w, &land, 4, 256, 64);
    for (uint32_t round = 0; round < 5; round++) {
        put_page(&w, &land, 9, 7);
        put_page(&w, &land, 10, 8);
        put_away(&w, &land);
        if (round & 1)
            want_page(&w, &land, 9, 7); /* in the pool or not */
        word = land_words(&land)[9];
        assert_int_equal(word & WORD_SEALS, round + 1);
        assert_int_equal(gn_cachecrypt_discard(w.cc, land.region, 9 * 256, 256), 0);
        want_page(&w, &land, 9, 0);
        want_page(&w, &land, 10, 8);
        put_away(&w, &land);
        assert_int_equal(land_words(&land)[9], word & ~WORD_DATA);
    }
    world_without(&w, &land);
}

/** Nodes make room while others are changed: in what order they go, none is forgotten. */
static void a_flush_writes_every_changed_node(void **state)
{
    uint64_t random = 5;
    struct world w;
    struct land land;

    (void)state;
    world_with(&w, &land, 2, 256, 600);
    for (uint32_t round = 0; round < 300; round++) {
        for (uint64_t n = gn_test_random(&random) % 20; n; n--)
            put_page(&w, &land, gn_test_random(&random) % 600, (uint8_t)round);
        assert_int_equal(gn_cachecrypt_flush(w.cc, land.region), 0);
        for (uint32_t n = 0; n < w.cc->node_count; n++)
            assert_false(w.cc->nodes[n].used && w.cc->nodes[n].dirty);
    }
    world_without(&w, &land);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_page_leaves_without_a_seal_and_without_a_write),
        cmocka_unit_test(a_page_that_is_overwritten_whole_is_not_opened),
        cmocka_unit_test(copies_cross_pages),
        cmocka_unit_test(a_pinned_page_stays_and_its_span_ends_with_the_page),
        cmocka_unit_test(a_span_that_is_not_from_pin_is_refused),
        cmocka_unit_test(a_page_that_was_used_has_a_second_chance),
        cmocka_unit_test(a_write_by_the_inlined_path_is_not_lost),
        cmocka_unit_test(a_view_sees_its_own_region_only),
        cmocka_unit_test(the_table_of_hits_never_names_another_page),
        cmocka_unit_test(with_all_frames_pinned_a_miss_is_refused_and_hits_go_on),
        cmocka_unit_test(one_frame_and_the_smallest_node_cache_suffice),
        cmocka_unit_test(a_mapped_page_is_unmapped_before_it_is_sealed),
        cmocka_unit_test(a_mapped_page_that_is_accessed_has_a_second_chance),
        cmocka_unit_test(a_mapping_that_cannot_be_taken_away_keeps_its_page),
        cmocka_unit_test(discarded_pages_are_zeros_and_their_versions_go_on),
        cmocka_unit_test(a_flush_writes_every_changed_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
