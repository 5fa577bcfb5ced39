/* SPDX-License-Identifier: BSD-3-Clause */
#include <gnomon/regstate_inline.h>

#include <stdbool.h>

#include "gn_test.h"

/* Layout: sizes and offsets are ABI. */
GN_TEST_SIZE(gn_regstate_set, 16);
GN_TEST_SIZE(gn_regstate_status, 32);
GN_TEST_AT(gn_regstate_status, saved, 16);
GN_TEST_SIZE(gn_regstate_effect, 64);
GN_TEST_AT(gn_regstate_effect, saves, 16);
GN_TEST_AT(gn_regstate_effect, restores, 32);
GN_TEST_AT(gn_regstate_effect, loses, 48);
GN_TEST_SIZE(gn_regstate_block, 96);
GN_TEST_AT(gn_regstate_block, effect, 32);
GN_TEST_SIZE(gn_regstate_plan, 32);
GN_TEST_AT(gn_regstate_plan, restore, 16);
GN_TEST_SIZE(gn_regstate_bounds, 64);
GN_TEST_AT(gn_regstate_bounds, most, 32);
GN_TEST_SIZE(gn_regstate_ops, 24);
GN_TEST_AT(gn_regstate_ops, save, 8);
GN_TEST_AT(gn_regstate_ops, restore, 16);
GN_TEST_SIZE(gn_regstate_params, 24);
GN_TEST_AT(gn_regstate_params, registers, 4);
GN_TEST_AT(gn_regstate_params, ops, 8);
GN_TEST_AT(gn_regstate_params, ctx, 16);
GN_TEST_SIZE(gn_regstate_stats, 48);
GN_TEST_AT(gn_regstate_stats, fitted, 8);
GN_TEST_AT(gn_regstate_stats, faults, 40);

/* What the ops were called with, summed up. */
struct heard {
    struct gn_regstate_set saved, restored;
    uint32_t calls;
};

static void hear_save(void *ctx, const struct gn_regstate_set *set)
{
    struct heard *h = ctx;

    assert_true(set->word[0] | set->word[1]);
    h->saved = *set;
    h->calls++;
}

static void hear_restore(void *ctx, const struct gn_regstate_set *set)
{
    struct heard *h = ctx;

    assert_true(set->word[0] | set->word[1]);
    h->restored = *set;
    h->calls++;
}

static const struct gn_regstate_ops ops = {GN_REGSTATE_OPS_INIT, .save = hear_save,
                                           .restore = hear_restore};

static struct gn_regstate *make(uint32_t registers, struct heard *heard)
{
    const struct gn_regstate_params p = {GN_REGSTATE_PARAMS_INIT, .registers = registers,
                                         .ops = &ops, .ctx = heard};
    const size_t size = gn_regstate_size(&p);
    struct gn_regstate *rs = NULL;

    memset(heard, 0, sizeof *heard);
    assert_int_equal(gn_regstate_init(gn_test_memory(gn_regstate_align(), size), size, &p, &rs), 0);
    return rs;
}

static struct gn_regstate_status status_of(const struct gn_regstate *rs)
{
    struct gn_regstate_status s;

    assert_int_equal(gn_regstate_query(rs, &s), 0);
    return s;
}

static int init_result(struct gn_regstate_params params)
{
    static _Alignas(16) uint8_t mem[512];
    struct gn_regstate *rs;
    const int r = gn_regstate_init(mem, sizeof mem, &params, &rs);

    assert_int_equal(r == 0, gn_regstate_size(&params) != 0);
    return r;
}

static void init_refuses_what_is_out_of_range(void **state)
{
    struct gn_regstate_ops some = ops;
    struct gn_regstate_params p = {GN_REGSTATE_PARAMS_INIT, .ops = &some};
    struct gn_regstate *rs = NULL;
    uint64_t mem[64];

    (void)state;
    assert_int_equal(gn_regstate_version(), 1);
    assert_int_equal(init_result(p), 0);
    assert_int_equal(gn_regstate_init(NULL, sizeof mem, &p, &rs), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_init(mem, sizeof mem, NULL, &rs), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_init(mem, sizeof mem, &p, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_init((uint8_t *)mem + 1, 400, &p, &rs), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_init(mem, 8, &p, &rs), -GN_ERR_NOMEM);
    assert_null(rs);
    p.registers = GN_REGSTATE_REGISTERS_MAX;
    assert_int_equal(init_result(p), 0);
    p.registers++;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.registers = 1;
    some.restore = NULL;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    some.restore = hear_restore;
    some.save = NULL;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.ops = NULL;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.size = 8;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.size = sizeof p;
    p.ops = (struct gn_regstate_ops *)(uint64_t[]){32, 1, 1, 1};
    assert_int_equal(init_result(p), -GN_ERR_2BIG);
    gn_regstate_fini(NULL);
}

static void null_arguments_are_refused(void **state)
{
    struct gn_regstate_block b = {0};
    struct gn_regstate_status s = {0};
    struct gn_regstate_bounds bounds = {0};
    struct gn_regstate_set set = {{0}};
    struct gn_regstate_plan plan;

    (void)state;
    assert_int_equal(gn_regstate_block_check(NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_fits(NULL, &s), 0);
    assert_int_equal(gn_regstate_fits(&s, NULL), 0);
    assert_int_equal(gn_regstate_plan(NULL, &s, &plan), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_plan(&s, NULL, &plan), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_plan(&s, &s, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_apply(NULL, &b.effect, &s), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_apply(&s, NULL, &s), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_apply(&s, &b.effect, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_block_then(NULL, &b, &b), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_block_then(&b, NULL, &b), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_block_then(&b, &b, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_join(NULL, &s, &s), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_join(&s, NULL, &s), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_join(&s, &s, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_edge(NULL, &s, &plan), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_edge(&bounds, NULL, &plan), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_edge(&bounds, &s, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_bounds_apply(NULL, &b, &bounds), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_bounds_apply(&bounds, NULL, &bounds), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_bounds_apply(&bounds, &b, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_bounds_join(NULL, &bounds, &bounds), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_bounds_join(&bounds, NULL, &bounds), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_bounds_join(&bounds, &bounds, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_point(NULL, NULL, &set, &set), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_point(&s, NULL, NULL, &set), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_point(&s, NULL, &set, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_query(NULL, &s), -GN_ERR_INVAL);
}

static void sets_are_of_128_registers(void **state)
{
    const uint64_t all = ~(uint64_t)0;

    (void)state;
    assert_true(gn_regstate_one(0).word[0] == 1 && !gn_regstate_one(0).word[1]);
    assert_true(gn_regstate_one(127).word[1] == (uint64_t)1 << 63 && !gn_regstate_one(127).word[0]);
    assert_false(gn_regstate_one(128).word[0] | gn_regstate_one(128).word[1]);
    assert_true(gn_regstate_first(0).word[0] == 0 && gn_regstate_first(63).word[0] == all >> 1);
    assert_true(gn_regstate_first(64).word[0] == all && gn_regstate_first(64).word[1] == 0);
    assert_true(gn_regstate_first(65).word[0] == all && gn_regstate_first(65).word[1] == 1);
    assert_true(gn_regstate_first(128).word[1] == all && gn_regstate_first(500).word[1] == all);
}

/*
 * One register. Everything the library does is the same for each, so one is tried out whole: all
 * programs of these instructions up to a length, from each status there can be, against a machine
 * that has a home, a memory and the value that the guest should see.
 */

enum { USE, READ_MEMORY, WRITE, STORE, LOAD, CLOBBER, REPLACE, KINDS };

#define LENGTH 5

struct one {
    bool home, memory; /* have the contents */
};

/* Does it? @return false: it has used or destroyed what it must not. */
static bool one_step(struct one *m, int kind)
{
    switch (kind) {
    case USE: return m->home;
    case READ_MEMORY: return m->memory;
    case WRITE: *m = (struct one){true, false}; return true;
    case STORE: m->memory = true; return m->home;
    case LOAD: m->home = true; return m->memory;
    case CLOBBER: m->home = false; return m->memory;
    default: *m = (struct one){false, true}; return true;
    }
}

static struct gn_regstate_block declared(int kind, uint32_t r)
{
    const struct gn_regstate_set set = gn_regstate_one(r);
    struct gn_regstate_block b = {0};

    switch (kind) {
    case USE: b.needs.valid = set; break;
    case READ_MEMORY: b.needs.saved = set; break;
    case WRITE: b.effect.writes = set; break;
    case STORE: b.needs.valid = b.effect.saves = set; break;
    case LOAD: b.needs.saved = b.effect.restores = set; break;
    case CLOBBER: b.needs.saved = b.effect.loses = set; break;
    default: b.effect.saves = b.effect.loses = set; break;
    }
    assert_int_equal(gn_regstate_block_check(&b), 0);
    return b;
}

static struct gn_regstate_status status_made(struct one m, uint32_t r)
{
    const struct gn_regstate_set none = {{0, 0}}, set = gn_regstate_one(r);

    return (struct gn_regstate_status){m.home ? set : none, m.memory ? set : none};
}

/* What the declaration says of a program, against what the program does. */
static void one_program(const int *kinds, int length, uint32_t r)
{
    static const struct one entries[3] = {{true, false}, {false, true}, {true, true}};
    struct gn_regstate_block sum = {0};
    struct gn_regstate_status after;
    bool composed = true;

    for (int i = 0; i < length && composed; i++) {
        const struct gn_regstate_block next = declared(kinds[i], r);
        const int status = gn_regstate_block_then(&sum, &next, &sum);

        composed = status == 0;
        assert_true(composed || status == -GN_ERR_PERM);
    }
    assert_int_equal(gn_regstate_block_check(&sum), 0);
    for (int e = 0; e < 3; e++) {
        const struct gn_regstate_status before = status_made(entries[e], r);
        struct gn_regstate_status expected;
        struct one m = entries[e];
        bool works = true;

        for (int i = 0; i < length; i++)
            works = works && one_step(&m, kinds[i]);
        assert_int_equal(works, composed && gn_regstate_fits(&before, &sum.needs));
        if (!works)
            continue;
        assert_int_equal(gn_regstate_apply(&before, &sum.effect, &after), 0);
        expected = status_made(m, r);
        assert_memory_equal(&after, &expected, sizeof after);
    }
}

static void declarations_of_one_register_say_what_its_programs_do(void **state)
{
    static const uint32_t registers[] = {0, 63, 64, 127};

    (void)state;
    for (int length = 0; length <= LENGTH; length++) {
        int kinds[LENGTH] = {0}, at;
        uint32_t n = 0;

        do {
            one_program(kinds, length, registers[n++ % 4]);
            for (at = 0; at < length && ++kinds[at] == KINDS; at++)
                kinds[at] = 0;
        } while (at < length);
    }
}

static void declarations_that_lose_or_invent_contents_are_refused(void **state)
{
    const struct gn_regstate_set set = gn_regstate_one(70);
    struct gn_regstate_block b = {0};

    (void)state;
    b.effect.loses = set; /* memory need not have it */
    assert_int_equal(gn_regstate_block_check(&b), -GN_ERR_INVAL);
    b.needs.saved = set;
    assert_int_equal(gn_regstate_block_check(&b), 0);
    b.effect.writes = set; /* memory has what was before */
    assert_int_equal(gn_regstate_block_check(&b), -GN_ERR_INVAL);
    b.effect.saves = set;
    assert_int_equal(gn_regstate_block_check(&b), 0);
    memset(&b, 0, sizeof b);
    b.effect.saves = set; /* from a home that need not have it */
    assert_int_equal(gn_regstate_block_check(&b), -GN_ERR_INVAL);
    b.needs.valid = set;
    assert_int_equal(gn_regstate_block_check(&b), 0);
    memset(&b, 0, sizeof b);
    b.effect.restores = set; /* from memory that need not have it */
    assert_int_equal(gn_regstate_block_check(&b), -GN_ERR_INVAL);
    b.needs.saved = set;
    assert_int_equal(gn_regstate_block_check(&b), 0);
}

/* A status in which each register is valid, saved or both. */
static struct gn_regstate_status random_status(uint64_t *random)
{
    struct gn_regstate_status s;

    for (uint32_t i = 0; i < GN_REGSTATE_WORDS; i++) {
        s.valid.word[i] = gn_test_random(random);
        s.saved.word[i] = gn_test_random(random) | ~s.valid.word[i];
    }
    return s;
}

static struct gn_regstate_status random_need(uint64_t *random)
{
    struct gn_regstate_status s;

    for (uint32_t i = 0; i < GN_REGSTATE_WORDS; i++) {
        s.valid.word[i] = gn_test_random(random) & gn_test_random(random);
        s.saved.word[i] = gn_test_random(random) & gn_test_random(random);
    }
    return s;
}

static bool has(const struct gn_regstate_set *set, uint32_t r)
{
    return set->word[r / 64] >> r % 64 & 1;
}

static void a_plan_is_exactly_what_is_missing(void **state)
{
    uint64_t random = gn_test_seed();

    (void)state;
    for (int n = 0; n < 2000; n++) {
        const struct gn_regstate_status have = random_status(&random);
        const struct gn_regstate_status need = random_need(&random);
        struct gn_regstate_plan plan;

        assert_int_equal(gn_regstate_plan(&have, &need, &plan), 0);
        for (uint32_t r = 0; r < GN_REGSTATE_REGISTERS_MAX; r++) {
            assert_int_equal(has(&plan.save, r), has(&need.saved, r) && !has(&have.saved, r));
            assert_int_equal(has(&plan.restore, r), has(&need.valid, r) && !has(&have.valid, r));
            assert_false(has(&plan.save, r) && has(&plan.restore, r));
        }
        assert_int_equal(
            gn_regstate_fits(&have, &need),
            !(plan.save.word[0] | plan.save.word[1] | plan.restore.word[0] | plan.restore.word[1]));
    }
}

static void contents_that_are_nowhere_cannot_be_planned(void **state)
{
    const struct gn_regstate_status nothing = {0};
    const struct gn_regstate_status need = {.valid = gn_regstate_one(100)};
    const struct gn_regstate_set all = gn_regstate_first(128);
    struct gn_regstate_plan plan = {.save = {{7, 7}}};
    struct gn_regstate_set save = {{7, 7}};

    (void)state;
    assert_int_equal(gn_regstate_plan(&nothing, &need, &plan), -GN_ERR_NOENT);
    assert_int_equal(plan.save.word[0], 7);
    assert_int_equal(gn_regstate_point(&nothing, NULL, &all, &save), -GN_ERR_NOENT);
    assert_int_equal(save.word[0], 7);
}

static void a_joined_status_is_legal_and_within_both(void **state)
{
    uint64_t random = gn_test_seed();

    (void)state;
    for (int n = 0; n < 2000; n++) {
        const struct gn_regstate_status a = random_status(&random), b = random_status(&random);
        struct gn_regstate_status joined;
        struct gn_regstate_plan plan[2];

        assert_int_equal(gn_regstate_join(&a, &b, &joined), 0);
        assert_int_equal(gn_regstate_plan(&a, &joined, &plan[0]), 0);
        assert_int_equal(gn_regstate_plan(&b, &joined, &plan[1]), 0);
        for (uint32_t r = 0; r < GN_REGSTATE_REGISTERS_MAX; r++) {
            const bool apart = (has(&a.valid, r) && !has(&a.saved, r) && !has(&b.valid, r)) ||
                               (has(&b.valid, r) && !has(&b.saved, r) && !has(&a.valid, r));

            assert_true(has(&joined.valid, r) || has(&joined.saved, r));
            assert_int_equal(has(&joined.valid, r), has(&a.valid, r) && has(&b.valid, r));
            assert_int_equal(has(&joined.saved, r),
                             (has(&a.saved, r) && has(&b.saved, r)) || apart);
            assert_int_equal(has(&plan[0].save, r) || has(&plan[1].save, r), apart);
            assert_false(has(&plan[0].restore, r) || has(&plan[1].restore, r));
        }
    }
}

static void an_edge_skips_the_check_only_when_it_cannot_fail(void **state)
{
    const struct gn_regstate_set set = gn_regstate_one(3), none = {{0, 0}};
    const struct gn_regstate_status need = {.valid = set};
    const struct gn_regstate_bounds unknown = {{none, none}, {set, set}};
    const struct gn_regstate_bounds absent = {{none, set}, {none, set}};
    const struct gn_regstate_bounds present = {{set, none}, {set, set}};
    struct gn_regstate_plan plan;

    (void)state;
    assert_int_equal(gn_regstate_edge(&unknown, &need, &plan), GN_REGSTATE_EDGE_CHECK);
    assert_memory_equal(&plan.restore, &set, sizeof set);
    assert_int_equal(gn_regstate_edge(&absent, &need, &plan), GN_REGSTATE_EDGE_FIX);
    assert_memory_equal(&plan.restore, &set, sizeof set);
    assert_memory_equal(&plan.save, &none, sizeof none);
    assert_int_equal(gn_regstate_edge(&present, &need, &plan), GN_REGSTATE_EDGE_FITS);
    assert_memory_equal(&plan.restore, &none, sizeof none);
}

static void the_object_repairs_what_is_missing_and_counts_it(void **state)
{
    struct heard heard;
    struct gn_regstate *rs = make(70, &heard);
    struct gn_regstate_status need = {.valid = {{0x0f, 0xff}}};
    struct gn_regstate_effect effect = {.writes = {{0x3, 0}}};
    struct gn_regstate_stats stats = {GN_REGSTATE_STATS_INIT};

    (void)state;
    assert_true(status_of(rs).saved.word[1] == 0x3f && status_of(rs).valid.word[0] == 0);
    gn_regstate_enter(rs, &need);
    assert_true(heard.restored.word[0] == 0x0f && heard.restored.word[1] == 0x3f);
    gn_regstate_enter_inline(rs, &need); /* registers 70 and 71 are not there: once for all */
    gn_regstate_leave_inline(rs, &effect);
    assert_int_equal(heard.calls, 1);
    need = (struct gn_regstate_status){.saved = {{0x5, 0}}};
    gn_regstate_enter_inline(rs, &need);
    assert_true(heard.saved.word[0] == 1 && heard.saved.word[1] == 0);
    gn_regstate_fault(rs, &effect);
    assert_true(heard.saved.word[0] == 3 && status_of(rs).saved.word[0] == ~(uint64_t)0);
    assert_int_equal(heard.calls, 3);
    gn_regstate_fault(rs, NULL);
    assert_int_equal(heard.calls, 3);
    assert_int_equal(gn_regstate_stats_get(rs, &stats), 0);
    assert_int_equal(stats.fixed, 2);
    assert_int_equal(stats.fitted, 1);
    assert_int_equal(stats.saves, 3);
    assert_int_equal(stats.restores, 10);
    assert_int_equal(stats.faults, 2);
    gn_regstate_fini(rs);
    free(rs);
}

static void released_homes_are_saved_first_and_replaced_ones_are_not(void **state)
{
    struct heard heard;
    struct gn_regstate *rs = make(8, &heard);
    const struct gn_regstate_effect effect = {.writes = {{0x3f, 0}}};
    const struct gn_regstate_set mine = {{0x03, 0}}, theirs = {{0x104, 1}};

    (void)state;
    gn_regstate_leave(rs, &effect);
    gn_regstate_release(rs, &mine);
    assert_int_equal(heard.saved.word[0], 0x03);
    assert_int_equal(status_of(rs).valid.word[0], 0x3c);
    gn_regstate_replace(rs, &theirs);
    assert_int_equal(heard.calls, 1);
    assert_int_equal(status_of(rs).valid.word[0], 0x38);
    assert_int_equal(status_of(rs).saved.word[0], 0xc7);
    assert_int_equal(status_of(rs).saved.word[1], 0);
    free(rs);
}

static void stats_of_another_size_are_filled_as_far_as_known(void **state)
{
    struct heard heard;
    struct gn_regstate *rs = make(8, &heard);
    struct {
        struct gn_regstate_stats known;
        uint64_t more;
    } stats = {{.size = sizeof stats}, 5};

    (void)state;
    assert_int_equal(gn_regstate_stats_get(rs, &stats.known), 0);
    assert_int_equal(stats.more, 0);
    assert_int_equal(stats.known.size, sizeof stats);
    stats.known.size = sizeof stats.known - 1;
    assert_int_equal(gn_regstate_stats_get(rs, &stats.known), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_stats_get(NULL, &stats.known), -GN_ERR_INVAL);
    assert_int_equal(gn_regstate_stats_get(rs, NULL), -GN_ERR_INVAL);
    free(rs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_refuses_what_is_out_of_range),
        cmocka_unit_test(null_arguments_are_refused),
        cmocka_unit_test(sets_are_of_128_registers),
        cmocka_unit_test(declarations_of_one_register_say_what_its_programs_do),
        cmocka_unit_test(declarations_that_lose_or_invent_contents_are_refused),
        cmocka_unit_test(a_plan_is_exactly_what_is_missing),
        cmocka_unit_test(contents_that_are_nowhere_cannot_be_planned),
        cmocka_unit_test(a_joined_status_is_legal_and_within_both),
        cmocka_unit_test(an_edge_skips_the_check_only_when_it_cannot_fail),
        cmocka_unit_test(the_object_repairs_what_is_missing_and_counts_it),
        cmocka_unit_test(released_homes_are_saved_first_and_replaced_ones_are_not),
        cmocka_unit_test(stats_of_another_size_are_filled_as_far_as_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
