/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Floating point at its edges: values written down from the manual and from IEEE 754. The
 * differential test against QEMU covers the rest.
 */

#include "cpu_fixture.h"
#include "fpu.h"

#define BOXED(x) (UINT64_C(0xffffffff00000000) | (x))
#define NAN_S    BOXED(0x7fc00000)
#define NAN_D    UINT64_C(0x7ff8000000000000)
#define ONE_D    UINT64_C(0x3ff0000000000000)
#define INF_D    UINT64_C(0x7ff0000000000000)
#define SNAN_D   UINT64_C(0x7ff0000000000001)
#define MAX_D    UINT64_C(0x7fefffffffffffff)
#define MIN_D    UINT64_C(0x0010000000000000)
#define SIGN_D   UINT64_C(0x8000000000000000)
#define EPS_D    UINT64_C(0x3ca0000000000000) /* half of an ulp of 1 */

#define NX RV64_FFLAG_NX
#define UF RV64_FFLAG_UF
#define OF RV64_FFLAG_OF
#define DZ RV64_FFLAG_DZ
#define NV RV64_FFLAG_NV

/* Operands are f1, f2, f3; the result is f4. */
#define OP_D(funct5, rm) (0x02208253u | (uint32_t)(funct5) << 27 | (uint32_t)(rm) << 12)
#define OP_S(funct5, rm) (0x00208253u | (uint32_t)(funct5) << 27 | (uint32_t)(rm) << 12)
#define FMADD_D(rm)      (0x1a208243u | (uint32_t)(rm) << 12)

struct computation {
    uint32_t code;
    uint64_t a;
    uint64_t b;
    uint64_t c;
    uint64_t result;
    uint64_t flags;
};

static const struct computation computations[] = {
    /* 1 + half an ulp is a tie, in each rounding mode. */
    {OP_D(0, RV64_RNE), ONE_D, EPS_D, 0, ONE_D, NX},
    {OP_D(0, RV64_RTZ), ONE_D, EPS_D, 0, ONE_D, NX},
    {OP_D(0, RV64_RDN), ONE_D, EPS_D, 0, ONE_D, NX},
    {OP_D(0, RV64_RUP), ONE_D, EPS_D, 0, ONE_D + 1, NX},
    {OP_D(0, RV64_RMM), ONE_D, EPS_D, 0, ONE_D + 1, NX},
    {OP_D(0, RV64_RMM), ONE_D | SIGN_D, EPS_D | SIGN_D, 0, (ONE_D + 1) | SIGN_D, NX},
    {OP_D(0, RV64_RMM), ONE_D, EPS_D - 1, 0, ONE_D, NX},
    /* x - x is -0 only when rounding down. */
    {OP_D(1, RV64_RNE), ONE_D, ONE_D, 0, 0, 0},
    {OP_D(1, RV64_RDN), ONE_D, ONE_D, 0, SIGN_D, 0},
    {OP_D(1, RV64_RMM), ONE_D, ONE_D, 0, 0, 0},
    /* Overflow goes where the mode says. */
    {OP_D(0, RV64_RNE), MAX_D, MAX_D, 0, INF_D, OF | NX},
    {OP_D(0, RV64_RTZ), MAX_D, MAX_D, 0, MAX_D, OF | NX},
    {OP_D(0, RV64_RMM), MAX_D, MAX_D, 0, INF_D, OF | NX},
    /* Tininess is detected after rounding. */
    {OP_D(2, RV64_RUP), MIN_D, ONE_D - 1, 0, MIN_D, UF | NX},
    {OP_D(2, RV64_RMM), MIN_D, ONE_D - 1, 0, MIN_D, UF | NX},
    {OP_D(2, RV64_RNE), MIN_D, UINT64_C(0x3fe0000000000000), 0, MIN_D / 2, 0},
    {OP_D(2, RV64_RMM), 1, UINT64_C(0x3fe0000000000000), 0, 1, UF | NX},
    {OP_D(2, RV64_RNE), 1, UINT64_C(0x3fe0000000000000), 0, 0, UF | NX},
    /* Division, and what is no number. */
    {OP_D(3, RV64_RNE), ONE_D, SIGN_D, 0, INF_D | SIGN_D, DZ},
    {OP_D(3, RV64_RMM), ONE_D, SIGN_D, 0, INF_D | SIGN_D, DZ},
    {OP_D(3, RV64_RNE), 0, 0, 0, NAN_D, NV},
    {OP_D(3, RV64_RMM), 0, 0, 0, NAN_D, NV},
    {OP_D(0, RV64_RNE), NAN_D | SIGN_D | 5, ONE_D, 0, NAN_D, 0},
    {OP_D(0, RV64_RNE), SNAN_D, ONE_D, 0, NAN_D, NV},
    {OP_D(0, RV64_RMM), SNAN_D, ONE_D, 0, NAN_D, NV},
    {FMADD_D(RV64_RNE), INF_D, 0, NAN_D, NAN_D, NV},
    {FMADD_D(RV64_RMM), INF_D, 0, NAN_D, NAN_D, NV},
    {FMADD_D(RV64_RNE), ONE_D + 1, ONE_D + 1, (ONE_D + 2) | SIGN_D, UINT64_C(0x3970000000000000),
     0},
    /* Minimum and maximum: -0 is less than 0, a number beats NaN. */
    {OP_D(5, 0), 0, SIGN_D, 0, SIGN_D, 0},
    {OP_D(5, 1), SIGN_D, 0, 0, 0, 0},
    {OP_D(5, 0), NAN_D, ONE_D, 0, ONE_D, 0},
    {OP_D(5, 1), ONE_D, SNAN_D, 0, ONE_D, NV},
    {OP_D(5, 1), NAN_D | 1, NAN_D | 2, 0, NAN_D, 0},
    /* A single that is not boxed is NaN. */
    {OP_S(0, RV64_RNE), BOXED(0x3f800000), BOXED(0x3f800000), 0, BOXED(0x40000000), 0},
    {OP_S(0, RV64_RNE), 0x3f800000, BOXED(0x3f800000), 0, NAN_S, 0},
    {OP_S(4, 0), 0x3f800000, BOXED(0x80000000), 0, BOXED(0xffc00000), 0},
    {OP_S(0, RV64_RMM), BOXED(0x3f800000), BOXED(0x33800000), 0, BOXED(0x3f800001), NX},
};

static void results_and_flags_are_exact(void **state)
{
    struct fixture *f = *state;
    uint32_t i;

    f->cpu.mstatus |= RV64_MSTATUS_FS;
    for (i = 0; i < sizeof computations / sizeof *computations; i++) {
        const struct computation *c = &computations[i];

        f->cpu.f[1] = c->a;
        f->cpu.f[2] = c->b;
        f->cpu.f[3] = c->c;
        f->cpu.fcsr = 0;
        assert_int_equal(rv64_fpu_execute(&f->cpu, c->code), 0);
        if (f->cpu.f[4] != c->result || f->cpu.fcsr != c->flags)
            print_error("computation %u\n", i);
        assert_int_equal(f->cpu.f[4], c->result);
        assert_int_equal(f->cpu.fcsr, c->flags);
    }
}

struct conversion {
    uint32_t kind; /* W, WU, L, LU */
    uint32_t rm;
    double value;
    uint64_t result;
    uint64_t flags;
};

static const struct conversion conversions[] = {
    {0, RV64_RTZ, -1.5, UINT64_MAX, NX},
    {0, RV64_RDN, -1.5, UINT64_MAX - 1, NX},
    {0, RV64_RNE, 2.5, 2, NX},
    {0, RV64_RMM, 2.5, 3, NX},
    {0, RV64_RMM, -2.5, UINT64_MAX - 2, NX},
    {0, RV64_RNE, 2147483647.0, INT32_MAX, 0},
    {0, RV64_RTZ, 2147483647.5, INT32_MAX, NX},
    {0, RV64_RUP, 2147483647.5, INT32_MAX, NV},
    {0, RV64_RTZ, -2147483649.0, UINT64_C(0xffffffff80000000), NV},
    {1, RV64_RTZ, -0.5, 0, NX},
    {1, RV64_RDN, -0.5, 0, NV},
    {1, RV64_RTZ, 4294967295.0, UINT64_MAX, 0},
    {1, RV64_RTZ, 4294967296.0, UINT64_MAX, NV},
    {2, RV64_RTZ, 0x1p63, INT64_MAX, NV},
    {2, RV64_RTZ, -0x1p63, UINT64_C(1) << 63, 0},
    {3, RV64_RTZ, 0x1.8p63, UINT64_C(3) << 62, 0},
    {3, RV64_RTZ, 0x1p64, UINT64_MAX, NV},
    {3, RV64_RTZ, -1, 0, NV},
};

static void conversions_saturate(void **state)
{
    struct fixture *f = *state;
    uint32_t i;

    f->cpu.mstatus |= RV64_MSTATUS_FS;
    for (i = 0; i < sizeof conversions / sizeof *conversions; i++) {
        const struct conversion *c = &conversions[i];

        memcpy(&f->cpu.f[1], &c->value, 8);
        f->cpu.fcsr = 0;
        assert_int_equal(rv64_fpu_execute(&f->cpu, 0xc2008253 | c->kind << 20 | c->rm << 12), 0);
        assert_int_equal(f->cpu.x[4], c->result);
        assert_int_equal(f->cpu.fcsr, c->flags);
    }
}

static void integers_round_as_they_are_told(void **state)
{
    struct fixture *f = *state;

    f->cpu.mstatus |= RV64_MSTATUS_FS;
    f->cpu.x[1] = 0x1000001; /* a tie between two singles */
    assert_int_equal(rv64_fpu_execute(&f->cpu, 0xd0208253), 0);
    assert_int_equal(f->cpu.f[4], BOXED(0x4b800000));
    assert_int_equal(rv64_fpu_execute(&f->cpu, 0xd0208253 | RV64_RMM << 12), 0);
    assert_int_equal(f->cpu.f[4], BOXED(0x4b800001));
    f->cpu.x[1] = UINT64_MAX;
    assert_int_equal(rv64_fpu_execute(&f->cpu, 0xd2308253), 0); /* FCVT.D.LU */
    assert_int_equal(f->cpu.f[4], UINT64_C(0x43f0000000000000));
    assert_int_equal(rv64_fpu_execute(&f->cpu, 0xd2308253 | RV64_RTZ << 12), 0);
    assert_int_equal(f->cpu.f[4], UINT64_C(0x43efffffffffffff));
    f->cpu.x[1] = 0;
    assert_int_equal(rv64_fpu_execute(&f->cpu, 0xd2308253 | RV64_RDN << 12), 0);
    assert_int_equal(f->cpu.f[4], 0);
}

static void comparisons_know_nan(void **state)
{
    static const struct {
        uint32_t funct3;
        uint64_t b;
        uint64_t result;
        uint64_t flags;
    } cases[] = {{2, NAN_D, 0, 0},  {2, SNAN_D, 0, NV}, {1, NAN_D, 0, NV},
                 {0, NAN_D, 0, NV}, {2, ONE_D, 1, 0},   {0, ONE_D, 1, 0},
                 {1, ONE_D, 0, 0},  {1, INF_D, 1, 0},   {0, SIGN_D, 0, 0}};
    struct fixture *f = *state;
    uint32_t i;

    f->cpu.mstatus |= RV64_MSTATUS_FS;
    f->cpu.f[1] = ONE_D;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        f->cpu.f[2] = cases[i].b;
        f->cpu.fcsr = 0;
        assert_int_equal(rv64_fpu_execute(&f->cpu, OP_D(0x14, cases[i].funct3)), 0);
        assert_int_equal(f->cpu.x[4], cases[i].result);
        assert_int_equal(f->cpu.fcsr, cases[i].flags);
    }
}

static void every_class_is_told_apart(void **state)
{
    static const uint64_t values[] = {INF_D | SIGN_D, ONE_D | SIGN_D, 1 | SIGN_D, SIGN_D, 0, 1,
                                      ONE_D,          INF_D,          SNAN_D,     NAN_D};
    struct fixture *f = *state;
    uint32_t i;

    f->cpu.mstatus |= RV64_MSTATUS_FS;
    for (i = 0; i < 10; i++) {
        f->cpu.f[1] = values[i];
        assert_int_equal(rv64_fpu_execute(&f->cpu, 0xe2009253), 0);
        assert_int_equal(f->cpu.x[4], 1u << i);
    }
}

static void rounding_modes_that_are_none_are_illegal(void **state)
{
    struct fixture *f = *state;
    uint32_t rm;

    f->cpu.mstatus |= RV64_MSTATUS_FS;
    assert_int_equal(rv64_fpu_execute(&f->cpu, OP_D(0, 5)), -1);
    assert_int_equal(rv64_fpu_execute(&f->cpu, OP_D(0, 6)), -1);
    for (rm = 0; rm < 8; rm++) {
        f->cpu.fcsr = (uint64_t)rm << 5;
        assert_int_equal(rv64_fpu_execute(&f->cpu, OP_D(0, RV64_DYN)), rm > RV64_RMM ? -1 : 0);
    }
}

static void encodings_that_are_none_are_illegal(void **state)
{
    static const uint32_t codes[] = {
        OP_D(0, 0) | 1u << 26,   /* format Q or H */
        OP_D(0x0b, 0),           /* FSQRT with rs2 */
        OP_D(0x04, 3),           /* FSGNJ with funct3 3 */
        OP_D(0x05, 2),           /* FMIN with funct3 2 */
        OP_D(0x14, 3),           /* FLE with funct3 3 */
        OP_D(0x08, 0),           /* FCVT.D from format 2 */
        0x42108253,              /* FCVT.D.D */
        OP_D(0x18, 0) | 4 << 20, /* FCVT to integer 6 */
        OP_D(0x1c, 0),           /* FMV.X.D with rs2 */
        OP_D(0x10, 0),
    };
    struct fixture *f = *state;
    uint32_t i;

    f->cpu.mstatus |= RV64_MSTATUS_FS;
    for (i = 0; i < sizeof codes / sizeof *codes; i++)
        assert_int_equal(rv64_fpu_execute(&f->cpu, codes[i]), -1);
}

#define HIT(test)                                              \
    {                                                          \
#test, test, fixture_setup_hit, fixture_teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        HIT(results_and_flags_are_exact),         HIT(conversions_saturate),
        HIT(integers_round_as_they_are_told),     HIT(comparisons_know_nan),
        HIT(every_class_is_told_apart),           HIT(rounding_modes_that_are_none_are_illegal),
        HIT(encodings_that_are_none_are_illegal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
