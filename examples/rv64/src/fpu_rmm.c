/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Rounding to nearest, ties to max magnitude (RMM). The operation is done in long double, truncated
 * and with the inexact exception noted; that has at least two bits more than the result and a wider
 * exponent, so the pair says exactly on which side of a midpoint the true result lies.
 */

#include <fenv.h>
#include <float.h>
#include <math.h>

#include "fpu.h"
#include "fpu_host.h"

#if defined(__clang__)
#pragma STDC FENV_ACCESS ON
#endif

#if LDBL_MANT_DIG < DBL_MANT_DIG + 2
#error "long double must have two bits more than double"
#endif

/* A truncated result; what was cut off is zero or not. */
struct truncated {
    long double value;
    bool sticky;
};

/* The format to round to. */
struct format {
    long double largest;
    long double
        tiny; /* smaller magnitudes underflow: with any exponent range they were subnormal */
    long double overflow; /* magnitudes from here on round to infinity */
};

static const struct format formats[2] = {
    {DBL_MAX, 0x1.fffffffffffff8p-1023L, 0x1.fffffffffffff8p1023L},
    {FLT_MAX, 0x1.ffffffp-127L, 0x1.ffffffp127L},
};

/* The magnitude in the format that is next below or equal, and the one next above that. */
static void neighbours(long double magnitude, bool single, long double *ret_low,
                       long double *ret_high)
{
    if (single) {
        float low = (float)magnitude;

        if (low > magnitude)
            low = nextafterf(low, 0);
        *ret_low = low;
        *ret_high = nextafterf(low, INFINITY);
    } else {
        double low = (double)magnitude;

        if (low > magnitude)
            low = nextafter(low, 0);
        *ret_low = low;
        *ret_high = nextafter(low, INFINITY);
    }
}

/* Called with the host's default environment, and may raise what it likes there. */
static double round_away(const struct truncated *exact, bool single, uint32_t *flags)
{
    const struct format *format = &formats[single];
    long double magnitude = fabsl(exact->value);
    long double low;
    long double high;
    long double result;
    bool inexact;

    if (isnan(exact->value) || isinf(exact->value))
        return (double)exact->value;
    if (magnitude >= format->overflow) {
        *flags |= RV64_FFLAG_OF | RV64_FFLAG_NX;
        return copysign((double)INFINITY, (double)copysignl(1, exact->value));
    }
    if (magnitude >= format->largest) {
        low = high = format->largest;
    } else {
        neighbours(magnitude, single, &low, &high);
    }
    inexact = exact->sticky || magnitude != low;
    /* The midpoint is exact in long double, and truncation does not cross it. */
    result = magnitude >= low + (high - low) / 2 ? high : low;
    if (magnitude == low)
        result = low;
    if (inexact)
        *flags |= RV64_FFLAG_NX | (magnitude < format->tiny ? RV64_FFLAG_UF : 0);
    return (double)copysignl(result, exact->value);
}

/* Flags other than inexact are exact in the wider format: invalid and division by zero. */
static struct truncated finish(long double value, uint32_t *flags)
{
    struct truncated result = {value, fetestexcept(FE_INEXACT) != 0};

    if (fetestexcept(FE_INVALID))
        *flags |= RV64_FFLAG_NV;
    if (fetestexcept(FE_DIVBYZERO))
        *flags |= RV64_FFLAG_DZ;
    fesetround(FE_TONEAREST);
    feclearexcept(FE_ALL_EXCEPT);
    return result;
}

static struct truncated truncate_op(uint32_t op, long double a, long double b, long double c,
                                    uint32_t *flags)
{
    long double r = 0;

    fesetround(FE_TOWARDZERO);
    feclearexcept(FE_ALL_EXCEPT);
    RV64_FP_PIN(a);
    RV64_FP_PIN(b);
    RV64_FP_PIN(c);
    switch (op) {
    case RV64_FP_ADD: r = a + b; break;
    case RV64_FP_SUB: r = a - b; break;
    case RV64_FP_MUL: r = a * b; break;
    case RV64_FP_DIV: r = a / b; break;
    case RV64_FP_SQRT: r = sqrtl(a); break;
    default: r = fmal(a, b, c); break;
    }
    RV64_FP_PIN(r);
    return finish(r, flags);
}

double rv64_fpu_rmm(uint32_t op, double a, double b, double c, bool single, uint32_t *flags)
{
    struct truncated exact = truncate_op(op, a, b, c, flags);

    return round_away(&exact, single, flags);
}

double rv64_fpu_rmm_integer(uint64_t magnitude, bool negative, bool single, uint32_t *flags)
{
    /* 32 bits at a time: no conversion from uint64_t is trusted to leave the environment alone. */
    long double value = (long double)(int64_t)(magnitude >> 32) * 4294967296.0L +
                        (long double)(int64_t)(magnitude & 0xffffffff);
    struct truncated exact = {negative ? -value : value, false};

    return round_away(&exact, single, flags);
}
