/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * gn_nonpresent_hit(), which compares under a mask, against what gn_nonpresent_decode() reads bit
 * by bit and what the header says of belief; and gn_nonpresent_lookup() against both.
 */

#include <gnomon/nonpresent_inline.h>

#include "gn_test.h"

static int pending_answer;
static uint64_t pending_asked;
static uint32_t pending_calls;

static int pending_op(void *ctx, gn_gpa_t table)
{
    assert_ptr_equal(ctx, &pending_answer);
    pending_asked = table.v;
    pending_calls++;
    return pending_answer;
}

struct world {
    struct gn_nonpresent *np;
    uint32_t encoding, guest, rule, generation;
};

static struct world make(uint32_t encoding, uint32_t guest, uint32_t rule)
{
    static const struct gn_nonpresent_ops ops = {GN_NONPRESENT_OPS_INIT, .pending = pending_op};
    const struct gn_nonpresent_params params = {
        GN_NONPRESENT_PARAMS_INIT, encoding, guest, rule, &ops, &pending_answer};
    struct world w = {.encoding = encoding, .guest = guest, .rule = rule};
    void *mem = malloc(gn_nonpresent_size(&params));

    assert_non_null(mem);
    assert_int_equal(gn_nonpresent_init(mem, gn_nonpresent_size(&params), &params, &w.np), 0);
    pending_answer = 0;
    return w;
}

static void destroy(struct world *w)
{
    gn_nonpresent_fini(w->np);
    free(w->np);
}

/* SDM vol. 3A §4.7; Privileged Architecture, table 3.6. */
static uint32_t code_of(const struct world *w, uint32_t access)
{
    const uint32_t kind = access & GN_NONPRESENT_ACCESS_KIND;

    if (w->guest == GN_NONPRESENT_GUEST_RISCV)
        return kind == GN_ACCESS_EXEC ? 12 : kind == GN_ACCESS_READ ? 13 : 15;
    return (kind == GN_ACCESS_WRITE ? 2 : 0) | (access & GN_NONPRESENT_AS_USER ? 4 : 0) |
           (kind == GN_ACCESS_EXEC && access & GN_NONPRESENT_X86_FETCH_BIT ? 16 : 0);
}

static void compare(struct world *w, uint64_t entry, uint32_t access)
{
    struct gn_nonpresent_window *window = gn_nonpresent_window(w->np);
    struct gn_nonpresent_marker marker;
    struct gn_nonpresent_answer answer;
    uint32_t code = 99;
    int hit, believed;

    assert_int_equal(gn_nonpresent_decode(w->encoding, entry, &marker), 0);
    believed = marker.kind == GN_NONPRESENT_GUEST_ABSENT && marker.generation == w->generation &&
               !(w->rule == GN_NONPRESENT_RULE_IMMEDIATE && pending_answer);
    pending_calls = 0;
    hit = gn_nonpresent_hit(window, entry, access, &code);
    assert_int_equal(hit, believed);
    assert_int_equal(code, hit ? code_of(w, access) : 99);
    if (pending_calls)
        assert_true(pending_asked == marker.gpa.v);
    if (hit)
        assert_int_equal(pending_calls, w->rule == GN_NONPRESENT_RULE_IMMEDIATE);
    assert_int_equal(gn_nonpresent_lookup(w->np, entry, access, &answer), 0);
    assert_int_equal(answer.kind == GN_NONPRESENT_GUEST_ABSENT, believed);
    if (!hit)
        return;
    assert_int_equal(answer.code, code);
    assert_int_equal(answer.level, marker.level);
    assert_int_equal(answer.allow, 0);
    assert_true(answer.gpa.v == marker.gpa.v);
}

static uint64_t marker_make(const struct world *w, uint64_t r)
{
    const struct gn_nonpresent_marker marker = {
        .kind = r & 7 ? GN_NONPRESENT_GUEST_ABSENT : GN_NONPRESENT_MMIO,
        .level = r & 7 ? (uint32_t)(r >> 8) % 5 : 0,
        .allow = r & 7 ? 0 : (uint32_t)(r >> 8) & GN_NONPRESENT_ALLOW_ALL,
        .generation = r >> 16 & 3 ? w->generation : (uint32_t)(r >> 18) & 2047,
        .gpa = gn_gpa(r >> 24 << GN_PAGE_SHIFT)};
    uint64_t entry = 0;

    assert_int_equal(gn_nonpresent_encode(w->encoding, &marker, &entry), 0);
    return entry;
}

/* Markers of all kinds, as they are and with one or two bits turned, and any numbers at all. */
static void compare_many(struct world *w, uint64_t *rng)
{
    for (uint32_t i = 0; i < 20000; i++) {
        const uint64_t r = gn_test_random(rng), s = gn_test_random(rng);
        const uint32_t access =
            (uint32_t)(s % GN_ACCESS_KINDS) |
            ((uint32_t)s & (GN_NONPRESENT_AS_USER | GN_NONPRESENT_X86_FETCH_BIT));
        uint64_t entry = marker_make(w, r);

        pending_answer = (s >> 16 & 3) == 0;
        entry ^= s >> 20 & 1 ? (uint64_t)1 << (s >> 24 & 63) : 0;
        entry ^= (s >> 21 & 3) == 3 ? (uint64_t)1 << (s >> 32 & 63) : 0;
        compare(w, s >> 60 ? entry : r, access);
        if (i % 1000 == 999)
            w->generation = (w->generation + 1) & 2047,
            assert_int_equal(gn_nonpresent_bump(w->np, GN_NONPRESENT_GUEST_ABSENT), 0);
        if (i % 1000 == 500)
            assert_int_equal(gn_nonpresent_bump(w->np, GN_NONPRESENT_MMIO), 0);
    }
}

static void a_hit_is_what_decode_reads_and_the_rules_believe(void **state)
{
    static const uint32_t encodings[] = {GN_NONPRESENT_RISCV,      GN_NONPRESENT_AARCH64,
                                         GN_NONPRESENT_X86_64(36), GN_NONPRESENT_X86_64(39),
                                         GN_NONPRESENT_X86_64(46), GN_NONPRESENT_X86_64(52)};
    uint64_t rng = gn_test_seed();

    (void)state;
    for (uint32_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++)
        for (uint32_t mode = 0; mode < 3; mode++) {
            struct world w =
                make(encodings[i], mode ? GN_NONPRESENT_GUEST_RISCV : GN_NONPRESENT_GUEST_X86,
                     mode == 2 ? GN_NONPRESENT_RULE_FENCED : GN_NONPRESENT_RULE_IMMEDIATE);

            compare_many(&w, &rng);
            destroy(&w);
        }
}

static void a_hit_counts_like_a_lookups(void **state)
{
    struct world w = make(GN_NONPRESENT_RISCV, GN_NONPRESENT_GUEST_RISCV, 0);
    struct gn_nonpresent_stats stats = {GN_NONPRESENT_STATS_INIT};
    struct gn_nonpresent_answer answer;
    uint64_t entry = 0;
    uint32_t code;

    (void)state;
    assert_null(gn_nonpresent_window(NULL));
    assert_int_equal(gn_nonpresent_encode_absent(w.np, 1, gn_gpa(0x5000), &entry), 0);
    assert_int_equal(gn_nonpresent_hit(gn_nonpresent_window(w.np), entry, 0, &code), 1);
    assert_int_equal(gn_nonpresent_hit(gn_nonpresent_window(w.np), 0, 0, &code), 0);
    assert_int_equal(gn_nonpresent_lookup(w.np, entry, 0, &answer), 0);
    assert_int_equal(gn_nonpresent_stats_get(w.np, &stats), 0);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.unknown, 0);
    destroy(&w);
}

static void of_an_aarch64_guest_nothing_is_a_hit(void **state)
{
    struct world w =
        make(GN_NONPRESENT_AARCH64, GN_NONPRESENT_GUEST_AARCH64, GN_NONPRESENT_RULE_IMMEDIATE);
    uint64_t entry = 0;
    uint32_t code;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(gn_nonpresent_encode_absent(w.np, 0, gn_gpa(0x5000), &entry), 0);
        assert_int_equal(gn_nonpresent_hit(gn_nonpresent_window(w.np), entry, 0, &code), 0);
        assert_int_equal(gn_nonpresent_hit(gn_nonpresent_window(w.np), 0, 0, &code), 0);
        assert_int_equal(gn_nonpresent_bump(w.np, GN_NONPRESENT_GUEST_ABSENT), 0);
    }
    destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hit_is_what_decode_reads_and_the_rules_believe),
        cmocka_unit_test(a_hit_counts_like_a_lookups),
        cmocka_unit_test(of_an_aarch64_guest_nothing_is_a_hit),
    };

    return cmocka_run_group_tests_name("nonpresent_inline", tests, NULL, NULL);
}
