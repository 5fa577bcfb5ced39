/* SPDX-License-Identifier: BSD-3-Clause */

/* Arguments, encodings, answers. */

#include "ask.h"

/* Layout: sizes and offsets are ABI. */
GN_TEST_SIZE(gn_nonpresent_ops, 16);
GN_TEST_AT(gn_nonpresent_ops, pending, 8);
GN_TEST_SIZE(gn_nonpresent_params, 32);
GN_TEST_AT(gn_nonpresent_params, encoding, 4);
GN_TEST_AT(gn_nonpresent_params, guest, 8);
GN_TEST_AT(gn_nonpresent_params, rule, 12);
GN_TEST_AT(gn_nonpresent_params, ops, 16);
GN_TEST_AT(gn_nonpresent_params, ctx, 24);
GN_TEST_SIZE(gn_nonpresent_marker, 24);
GN_TEST_AT(gn_nonpresent_marker, level, 4);
GN_TEST_AT(gn_nonpresent_marker, allow, 8);
GN_TEST_AT(gn_nonpresent_marker, generation, 12);
GN_TEST_AT(gn_nonpresent_marker, gpa, 16);
GN_TEST_SIZE(gn_nonpresent_answer, 24);
GN_TEST_AT(gn_nonpresent_answer, code, 4);
GN_TEST_AT(gn_nonpresent_answer, level, 8);
GN_TEST_AT(gn_nonpresent_answer, allow, 12);
GN_TEST_AT(gn_nonpresent_answer, gpa, 16);
GN_TEST_SIZE(gn_nonpresent_stats, 104);
GN_TEST_AT(gn_nonpresent_stats, encoded_absent, 8);
GN_TEST_AT(gn_nonpresent_stats, mmio_generation, 96);

#define LAST_PAGE ((((uint64_t)1 << GN_NONPRESENT_GFN_BITS) - 1) << GN_PAGE_SHIFT)

static int pending_answer;
static uint64_t pending_asked;

static int pending_op(void *ctx, gn_gpa_t table)
{
    assert_ptr_equal(ctx, &pending_answer);
    pending_asked = table.v;
    return pending_answer;
}

static const struct gn_nonpresent_ops ops = {GN_NONPRESENT_OPS_INIT, .pending = pending_op};

static struct gn_nonpresent *make(uint32_t encoding, uint32_t guest, uint32_t rule)
{
    struct gn_nonpresent_params params = {
        GN_NONPRESENT_PARAMS_INIT, encoding, guest, rule, &ops, &pending_answer};
    const size_t size = gn_nonpresent_size(&params);
    struct gn_nonpresent *np = NULL;
    void *mem = malloc(size);

    assert_int_not_equal(size, 0);
    assert_non_null(mem);
    memset(mem, 0xa5, size);
    assert_int_equal(gn_nonpresent_init(mem, size, &params, &np), 0);
    pending_answer = 0;
    return np;
}

static void destroy(struct gn_nonpresent *np)
{
    gn_nonpresent_fini(np);
    free(np);
}

static int init_result(struct gn_nonpresent_params params)
{
    static uint64_t mem[64];
    struct gn_nonpresent *np;
    const int r = gn_nonpresent_init(mem, sizeof mem, &params, &np);

    assert_int_equal(r == 0, gn_nonpresent_size(&params) != 0);
    return r;
}

static void init_refuses_what_is_out_of_range(void **state)
{
    struct gn_nonpresent_params p = {GN_NONPRESENT_PARAMS_INIT};
    struct gn_nonpresent_ops none = {GN_NONPRESENT_OPS_INIT};
    struct gn_nonpresent *np = NULL;
    uint64_t mem[2];

    (void)state;
    assert_int_equal(init_result(p), 0);
    assert_int_equal(gn_nonpresent_init(NULL, 8, &p, &np), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_init(mem, 8, NULL, &np), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_init(mem, 8, &p, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_init((uint8_t *)mem + 1, 8, &p, &np), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_init(mem, 8, &p, &np), -GN_ERR_NOMEM);
    assert_null(np);
    p.encoding = 4;
    assert_int_equal(init_result(p), -GN_ERR_NOTSUP);
    p.encoding = GN_NONPRESENT_X86_64_ID;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.encoding = GN_NONPRESENT_X86_64(35);
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.encoding = GN_NONPRESENT_X86_64(53);
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.encoding = GN_NONPRESENT_X86_64(52);
    assert_int_equal(init_result(p), 0);
    p.guest = 4;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.guest = 0;
    p.rule = 3;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.rule = 0;
    none.size = sizeof none + 1; /* the byte beyond is not zero */
    p.ops = (struct gn_nonpresent_ops *)(uint64_t[]){none.size, 0, 1};
    assert_int_equal(init_result(p), -GN_ERR_2BIG);
}

static void the_rule_follows_from_the_guest(void **state)
{
    struct gn_nonpresent_params p = {GN_NONPRESENT_PARAMS_INIT};

    (void)state;
    p.guest = GN_NONPRESENT_GUEST_X86;
    assert_int_equal(init_result(p), -GN_ERR_INVAL); /* immediate, and nobody to ask */
    p.ops = &ops;
    assert_int_equal(init_result(p), 0);
    p.rule = GN_NONPRESENT_RULE_FENCED;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.guest = GN_NONPRESENT_GUEST_AARCH64;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.guest = GN_NONPRESENT_GUEST_RISCV;
    assert_int_equal(init_result(p), 0);
    p.rule = GN_NONPRESENT_RULE_IMMEDIATE; /* stricter than RISC-V asks, as for Svvptc */
    assert_int_equal(init_result(p), 0);
    p.ops = NULL;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
}

static void fini_accepts_null_and_version_is_the_headers(void **state)
{
    (void)state;
    gn_nonpresent_fini(NULL);
    assert_int_equal(gn_nonpresent_version(),
                     GN_NONPRESENT_VERSION_MAJOR << 16 | GN_NONPRESENT_VERSION_MINOR);
}

static void arguments_are_checked(void **state)
{
    struct gn_nonpresent *np = make(0, 0, 0);
    struct gn_nonpresent_marker m = {.kind = 3};
    struct gn_nonpresent_answer answer;
    struct gn_nonpresent_stats stats = {.size = 16};
    uint64_t value = 5;

    (void)state;
    assert_int_equal(gn_nonpresent_encode_absent(np, 5, gn_gpa(0), &value), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_encode_absent(np, 0, gn_gpa(0), NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_encode_absent(NULL, 0, gn_gpa(0), &value), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_encode_absent(np, 0, gn_gpa(LAST_PAGE + 4096), &value),
                     -GN_ERR_RANGE);
    assert_int_equal(gn_nonpresent_encode_mmio(np, gn_gpa(0), 0x20, &value), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_encode_mmio(np, gn_gpa(~(uint64_t)0), 0, &value), -GN_ERR_RANGE);
    assert_int_equal(stats_of(np).refused, 2);
    assert_int_equal(gn_nonpresent_encode(GN_NONPRESENT_RISCV, &m, &value), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_encode(0, &m, &value), -GN_ERR_NOTSUP);
    m = (struct gn_nonpresent_marker){.kind = 1, .gpa = gn_gpa(LAST_PAGE + 4096)};
    assert_int_equal(gn_nonpresent_encode(GN_NONPRESENT_RISCV, &m, &value), -GN_ERR_RANGE);
    assert_int_equal(value, 5);
    m.kind = GN_NONPRESENT_UNKNOWN;
    assert_int_equal(gn_nonpresent_encode(GN_NONPRESENT_RISCV, &m, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(gn_nonpresent_decode(GN_NONPRESENT_RISCV, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_decode(99, 0, &m), -GN_ERR_NOTSUP);
    assert_int_equal(gn_nonpresent_lookup(np, 0, 3, &answer), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_lookup(np, 0, 0, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_bump(np, GN_NONPRESENT_UNKNOWN), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_bump(np, 3), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_bump(NULL, 1), -GN_ERR_INVAL);
    assert_int_equal(gn_nonpresent_stats_get(np, &stats), -GN_ERR_INVAL);
    destroy(np);
}

/* ---- encodings --------------------------------------------------------------------------- */

static uint32_t encoding_number(uint32_t i)
{
    return i == 0   ? GN_NONPRESENT_RISCV
           : i == 1 ? GN_NONPRESENT_AARCH64
                    : GN_NONPRESENT_X86_64(34 + i);
}
#define ENCODINGS 19

static struct gn_nonpresent_marker random_marker(uint64_t *rng)
{
    const uint64_t r = gn_test_random(rng);
    struct gn_nonpresent_marker m = {.kind = 1 + (r & 1), .generation = r >> 1 & 0x7ff};

    if (m.kind == GN_NONPRESENT_GUEST_ABSENT)
        m.level = (r >> 12 & 0xff) % 5;
    else
        m.allow = r >> 12 & 0x1f;
    m.gpa = gn_gpa(gn_test_random(rng) & LAST_PAGE);
    if ((r >> 20 & 7) == 0)
        m.gpa = gn_gpa(r >> 23 & 1 ? LAST_PAGE : 0);
    return m;
}

static void every_marker_comes_back_as_it_was_in_every_encoding(void **state)
{
    uint64_t rng = gn_test_seed(), value;
    uint32_t i, k;

    (void)state;
    for (i = 0; i < ENCODINGS; i++)
        for (k = 0; k < 20000; k++) {
            const struct gn_nonpresent_marker m = random_marker(&rng);
            struct gn_nonpresent_marker back;

            assert_int_equal(gn_nonpresent_encode(encoding_number(i), &m, &value), 0);
            assert_int_equal(gn_nonpresent_decode(encoding_number(i), value, &back), 0);
            assert_memory_equal(&m, &back, sizeof m);
            assert_int_equal(value & 1, 0);
            assert_int_not_equal(value, 0);
        }
}

static void no_x86_marker_names_memory_that_a_cache_could_hold(void **state)
{
    uint64_t rng = gn_test_seed(), value;
    uint32_t bits, k;

    (void)state;
    for (bits = 36; bits <= 52; bits++)
        for (k = 0; k < 20000; k++) {
            const struct gn_nonpresent_marker m = random_marker(&rng);
            uint64_t address;

            assert_int_equal(gn_nonpresent_encode(GN_NONPRESENT_X86_64(bits), &m, &value), 0);
            address = value & (((uint64_t)1 << bits) - 1) & ~GN_PAGE_MASK;
            assert_true(address >= (((uint64_t)1 << bits) - ((uint64_t)1 << (bits - 5))));
        }
}

static void a_value_that_no_encoder_makes_is_unknown(void **state)
{
    const struct gn_nonpresent_marker nothing = {0};
    uint64_t rng = gn_test_seed(), again;
    uint32_t i, k, known = 0;

    (void)state;
    for (i = 0; i < ENCODINGS; i++) {
        for (k = 0; k < 50000; k++) {
            struct gn_nonpresent_marker m;
            uint64_t value = gn_test_random(&rng);

            if (k & 1) /* close to a marker: one bit of it flipped */
            {
                struct gn_nonpresent_marker near = random_marker(&rng);

                assert_int_equal(gn_nonpresent_encode(encoding_number(i), &near, &value), 0);
                value ^= (uint64_t)1 << (gn_test_random(&rng) % 64);
            }
            assert_int_equal(gn_nonpresent_decode(encoding_number(i), value, &m), 0);
            if (m.kind == GN_NONPRESENT_UNKNOWN) {
                assert_memory_equal(&m, &nothing, sizeof m);
                continue;
            }
            known++;
            assert_int_equal(gn_nonpresent_encode(encoding_number(i), &m, &again), 0);
            assert_true(again == value);
            assert_int_equal(value & 1, 0);
        }
    }
    assert_true(known > 0);
}

static void a_present_entry_and_zero_say_nothing(void **state)
{
    struct gn_nonpresent *np = make(GN_NONPRESENT_X86_64(46), GN_NONPRESENT_GUEST_X86, 0);
    uint64_t value;

    (void)state;
    assert_int_equal(gn_nonpresent_encode_absent(np, 0, gn_gpa(0x1000), &value), 0);
    assert_int_equal(look(np, value, GN_ACCESS_READ).kind, GN_NONPRESENT_GUEST_ABSENT);
    assert_int_equal(look(np, value | 1, GN_ACCESS_READ).kind, GN_NONPRESENT_UNKNOWN);
    assert_int_equal(look(np, 0, GN_ACCESS_READ).kind, GN_NONPRESENT_UNKNOWN);
    assert_int_equal(look(np, ~(uint64_t)0, GN_ACCESS_READ).kind, GN_NONPRESENT_UNKNOWN);
    assert_int_equal(stats_of(np).unknown, 3);
    assert_int_equal(stats_of(np).hits, 1);
    destroy(np);
}

/* ---- answers ----------------------------------------------------------------------------- */

static void the_fault_code_is_that_of_the_access_at_hand(void **state)
{
    static const struct {
        uint32_t access, riscv, x86;
    } rows[] = {
        {GN_ACCESS_READ, 13, 0x00},
        {GN_ACCESS_WRITE, 15, 0x02},
        {GN_ACCESS_EXEC, 12, 0x00},
        {GN_ACCESS_READ | GN_NONPRESENT_AS_USER, 13, 0x04},
        {GN_ACCESS_WRITE | GN_NONPRESENT_AS_USER, 15, 0x06},
        {GN_ACCESS_EXEC | GN_NONPRESENT_AS_USER, 12, 0x04},
        {GN_ACCESS_READ | GN_NONPRESENT_X86_FETCH_BIT, 13, 0x00},
        {GN_ACCESS_EXEC | GN_NONPRESENT_X86_FETCH_BIT, 12, 0x10},
        {GN_ACCESS_EXEC | GN_NONPRESENT_X86_FETCH_BIT | GN_NONPRESENT_AS_USER, 12, 0x14},
    };
    struct gn_nonpresent *r = make(0, GN_NONPRESENT_GUEST_RISCV, 0);
    struct gn_nonpresent *x = make(0, GN_NONPRESENT_GUEST_X86, 0);
    uint64_t value;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gn_nonpresent_answer a;

        assert_int_equal(gn_nonpresent_encode_absent(r, 2, gn_gpa(0x5678), &value), 0);
        a = look(r, value, rows[i].access);
        assert_int_equal(a.kind, GN_NONPRESENT_GUEST_ABSENT);
        assert_int_equal(a.code, rows[i].riscv);
        assert_int_equal(a.level, 2);
        assert_int_equal(a.gpa.v, 0x5000);
        assert_int_equal(look(x, value, rows[i].access).code, rows[i].x86);
    }
    destroy(r);
    destroy(x);
}

static void the_fault_code_of_an_aarch64_guest_tells_the_level(void **state)
{
    struct gn_nonpresent *np = make(0, GN_NONPRESENT_GUEST_AARCH64, 0);
    uint64_t value = 0;

    (void)state;
    for (uint32_t level = 0; level < 4; level++) {
        const uint32_t code = 0x04 + (3 - level);

        assert_int_equal(gn_nonpresent_encode_absent(np, level, gn_gpa(0x5678), &value), 0);
        assert_int_equal(look(np, value, GN_ACCESS_READ).code, code);
        assert_int_equal(look(np, value, GN_ACCESS_WRITE).code, code | 0x40);
        assert_int_equal(look(np, value, GN_ACCESS_EXEC | GN_NONPRESENT_AS_USER).code, code);
        assert_int_equal(look(np, value, GN_ACCESS_READ).level, level);
    }
    assert_int_equal(stats_of(np).hits, 16);
    assert_int_equal(gn_nonpresent_encode_absent(np, 4, gn_gpa(0), &value), -GN_ERR_INVAL);
    pending_answer = 1;
    assert_int_equal(look(np, value, GN_ACCESS_READ).kind, GN_NONPRESENT_UNKNOWN);
    assert_int_equal(pending_asked, 0x5000);
    destroy(np);
}

static void the_immediate_rule_asks_for_the_page_of_the_guest_entry(void **state)
{
    struct gn_nonpresent *np = make(0, GN_NONPRESENT_GUEST_X86, 0);
    uint64_t value;

    (void)state;
    assert_int_equal(gn_nonpresent_encode_absent(np, 1, gn_gpa(LAST_PAGE + 8), &value), 0);
    pending_answer = 1;
    assert_int_equal(look(np, value, GN_ACCESS_READ).kind, GN_NONPRESENT_UNKNOWN);
    assert_true(pending_asked == LAST_PAGE);
    pending_answer = 0;
    assert_int_equal(look(np, value, GN_ACCESS_READ).kind, GN_NONPRESENT_GUEST_ABSENT);
    assert_int_equal(stats_of(np).disbelieved, 1);
    destroy(np);
}

static void the_fenced_rule_does_not_ask(void **state)
{
    struct gn_nonpresent *np = make(0, GN_NONPRESENT_GUEST_RISCV, 0);
    uint64_t value;

    (void)state;
    assert_int_equal(gn_nonpresent_encode_absent(np, 1, gn_gpa(0x1000), &value), 0);
    pending_answer = 1;
    assert_int_equal(look(np, value, GN_ACCESS_READ).kind, GN_NONPRESENT_GUEST_ABSENT);
    destroy(np);
}

static void an_mmio_marker_answers_only_what_it_allows(void **state)
{
    struct gn_nonpresent *np = make(0, 0, 0);
    uint32_t allow, kind, user;
    uint64_t value;

    (void)state;
    for (allow = 0; allow <= GN_NONPRESENT_ALLOW_ALL; allow++)
        for (kind = 0; kind < GN_ACCESS_KINDS; kind++)
            for (user = 0; user < 2; user++) {
                const int allowed = allow >> kind & 1 && allow >> (3 + user) & 1;
                struct gn_nonpresent_answer a;

                assert_int_equal(gn_nonpresent_encode_mmio(np, gn_gpa(0xfe001234), allow, &value),
                                 0);
                a = look(np, value, kind | (user ? GN_NONPRESENT_AS_USER : 0));
                assert_int_equal(a.kind, allowed ? GN_NONPRESENT_MMIO : GN_NONPRESENT_UNKNOWN);
                assert_int_equal(a.gpa.v, allowed ? 0xfe001000 : 0);
                assert_int_equal(a.code, 0);
            }
    destroy(np);
}

static void a_bump_ends_the_markers_of_its_kind_and_tells_when_it_wraps(void **state)
{
    struct gn_nonpresent *np = make(GN_NONPRESENT_X86_64(39), 0, 0);
    uint64_t mmio, absent;
    uint32_t kind, i;

    (void)state;
    for (kind = GN_NONPRESENT_GUEST_ABSENT; kind <= GN_NONPRESENT_MMIO; kind++) {
        const uint32_t other = 3 - kind;

        assert_int_equal(
            gn_nonpresent_encode_mmio(np, gn_gpa(0x1000), GN_NONPRESENT_ALLOW_ALL, &mmio), 0);
        assert_int_equal(gn_nonpresent_encode_absent(np, 0, gn_gpa(0x1000), &absent), 0);
        for (i = 1; i < 1u << GN_NONPRESENT_GENERATION_BITS; i++) {
            assert_int_equal(gn_nonpresent_bump(np, kind), 0);
            assert_int_equal(look(np, kind == 1 ? absent : mmio, 0).kind, GN_NONPRESENT_UNKNOWN);
            assert_int_equal(look(np, kind == 1 ? mmio : absent, 0).kind, other);
        }
        assert_int_equal(gn_nonpresent_bump(np, kind), 1);
        /* Why the embedder must have zapped it by now. */
        assert_int_equal(look(np, kind == 1 ? absent : mmio, 0).kind, kind);
    }
    assert_int_equal(stats_of(np).mmio_generation, 2048);
    assert_int_equal(stats_of(np).absent_stale, 2047);
    assert_int_equal(stats_of(np).mmio_stale, 2047);
    destroy(np);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_refuses_what_is_out_of_range),
        cmocka_unit_test(the_rule_follows_from_the_guest),
        cmocka_unit_test(fini_accepts_null_and_version_is_the_headers),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(every_marker_comes_back_as_it_was_in_every_encoding),
        cmocka_unit_test(no_x86_marker_names_memory_that_a_cache_could_hold),
        cmocka_unit_test(a_value_that_no_encoder_makes_is_unknown),
        cmocka_unit_test(a_present_entry_and_zero_say_nothing),
        cmocka_unit_test(the_fault_code_is_that_of_the_access_at_hand),
        cmocka_unit_test(the_fault_code_of_an_aarch64_guest_tells_the_level),
        cmocka_unit_test(the_immediate_rule_asks_for_the_page_of_the_guest_entry),
        cmocka_unit_test(the_fenced_rule_does_not_ask),
        cmocka_unit_test(an_mmio_marker_answers_only_what_it_allows),
        cmocka_unit_test(a_bump_ends_the_markers_of_its_kind_and_tells_when_it_wraps),
    };

    return cmocka_run_group_tests_name("nonpresent", tests, NULL, NULL);
}
