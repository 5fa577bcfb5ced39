/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Floating-point instructions: see fpu.h. Sections cited are those of the RISC-V Unprivileged ISA
 * 20191213.
 */

#include "fpu.h"

#include <math.h>
#include <string.h>

#include "csr.h"
#include "fpu_host.h"

#if defined(__clang__)
#pragma STDC FENV_ACCESS ON
#endif

#define NAN_D   UINT64_C(0x7ff8000000000000)
#define NAN_S   UINT64_C(0x7fc00000)
#define BOX     UINT64_C(0xffffffff00000000)
#define SIGN_D  UINT64_C(0x8000000000000000)
#define SIGN_S  UINT64_C(0x80000000)
#define QUIET_D UINT64_C(0x0008000000000000)
#define QUIET_S UINT64_C(0x00400000)
#define INF_D   UINT64_C(0x7ff0000000000000)
#define INF_S   UINT64_C(0x7f800000)

/* What sets the two formats apart, for code that works on their bits. */
struct layout {
    uint64_t sign;
    uint64_t infinity;
    uint64_t quiet;
    uint64_t nan;
};

static const struct layout layouts[2] = {
    {SIGN_S, INF_S, QUIET_S, NAN_S},
    {SIGN_D, INF_D, QUIET_D, NAN_D},
};

/* An instruction and what it works on. Values of both formats are kept as bits. */
struct operation {
    struct rv64_cpu *cpu;
    uint32_t raw;
    uint32_t rm; /* resolved: not RV64_DYN */
    bool d;      /* double precision */
    uint32_t flags;
};

static double to_double(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t from_double(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float to_float(uint64_t bits)
{
    uint32_t word = (uint32_t)bits;
    float value;

    memcpy(&value, &word, sizeof value);
    return value;
}

static uint64_t from_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static const struct layout *layout_of(const struct operation *o)
{
    return &layouts[o->d];
}

static bool is_nan(const struct layout *l, uint64_t v)
{
    return (v & ~l->sign) > l->infinity;
}

static bool is_snan(const struct layout *l, uint64_t v)
{
    return is_nan(l, v) && !(v & l->quiet);
}

/* §12.2: a single that is not NaN-boxed is the canonical NaN. */
static uint64_t read_as(const struct rv64_cpu *cpu, uint32_t reg, bool d)
{
    uint64_t value = cpu->f[reg];

    if (d)
        return value;
    return (value & BOX) == BOX ? value & ~BOX : NAN_S;
}

static uint64_t operand(const struct operation *o, uint32_t low_bit)
{
    return read_as(o->cpu, o->raw >> low_bit & 31, o->d);
}

#define RS1(o) operand(o, 15)
#define RS2(o) operand(o, 20)
#define RS3(o) operand(o, 27)

static void write_f(struct operation *o, uint64_t value, bool d)
{
    o->cpu->f[o->raw >> 7 & 31] = d ? value : BOX | value;
}

static void write_x(struct operation *o, uint64_t value)
{
    uint32_t rd = o->raw >> 7 & 31;

    if (rd)
        o->cpu->x[rd] = value;
}

/* §11.3: NaN results are the canonical NaN. */
static uint64_t canonical_d(double value)
{
    return value != value ? NAN_D : from_double(value);
}

static uint64_t canonical_s(float value)
{
    return value != value ? NAN_S : from_float(value);
}

static uint64_t arithmetic_d(struct operation *o, uint32_t op, double a, double b, double c)
{
    double r = 0;

    rv64_fp_begin(o->rm);
    RV64_FP_PIN(a);
    RV64_FP_PIN(b);
    switch (op) {
    case RV64_FP_ADD: r = a + b; break;
    case RV64_FP_SUB: r = a - b; break;
    case RV64_FP_MUL: r = a * b; break;
    case RV64_FP_DIV: r = a / b; break;
    case RV64_FP_SQRT: r = sqrt(a); break;
    default: r = fma(a, b, c); break;
    }
    RV64_FP_PIN(r);
    o->flags |= rv64_fp_end(o->rm);
    return canonical_d(r);
}

static uint64_t arithmetic_s(struct operation *o, uint32_t op, float a, float b, float c)
{
    float r = 0;

    rv64_fp_begin(o->rm);
    RV64_FP_PIN(a);
    RV64_FP_PIN(b);
    switch (op) {
    case RV64_FP_ADD: r = a + b; break;
    case RV64_FP_SUB: r = a - b; break;
    case RV64_FP_MUL: r = a * b; break;
    case RV64_FP_DIV: r = a / b; break;
    case RV64_FP_SQRT: r = sqrtf(a); break;
    default: r = fmaf(a, b, c); break;
    }
    RV64_FP_PIN(r);
    o->flags |= rv64_fp_end(o->rm);
    return canonical_s(r);
}

/* A NaN operand decides the result before any rounding, so RMM code sees none. */
static uint64_t arithmetic_rmm(struct operation *o, uint32_t op, uint64_t a, uint64_t b, uint64_t c)
{
    double r;

    if (o->d)
        return canonical_d(
            rv64_fpu_rmm(op, to_double(a), to_double(b), to_double(c), false, &o->flags));
    r = rv64_fpu_rmm(op, (double)to_float(a), (double)to_float(b), (double)to_float(c), true,
                     &o->flags);
    return canonical_s((float)r);
}

/*
 * Operands an operation does not have are given as zero. NaN operands are dealt with here: hosts
 * differ in how a fused multiply-add treats infinity times zero plus a quiet NaN, which RISC-V
 * says is invalid (§11.6).
 */
static void arithmetic(struct operation *o, uint32_t op, uint64_t a, uint64_t b, uint64_t c)
{
    const struct layout *l = layout_of(o);
    uint64_t abs_a = a & ~l->sign;
    uint64_t abs_b = b & ~l->sign;
    uint64_t result;

    if (is_nan(l, a) || is_nan(l, b) || is_nan(l, c)) {
        if (is_snan(l, a) || is_snan(l, b) || is_snan(l, c) ||
            (op == RV64_FP_FMA &&
             ((abs_a == l->infinity && !abs_b) || (abs_b == l->infinity && !abs_a))))
            o->flags |= RV64_FFLAG_NV;
        result = l->nan;
    } else if (o->rm == RV64_RMM) {
        result = arithmetic_rmm(o, op, a, b, c);
    } else if (o->d) {
        result = arithmetic_d(o, op, to_double(a), to_double(b), to_double(c));
    } else {
        result = arithmetic_s(o, op, to_float(a), to_float(b), to_float(c));
    }
    write_f(o, result, o->d);
}

/* FMADD, FMSUB, FNMSUB, FNMADD: by the signs of the product and of the addend. */
static void fused(struct operation *o)
{
    const struct layout *l = layout_of(o);
    uint32_t kind = o->raw >> 2 & 3;
    uint64_t a = RS1(o);
    uint64_t c = RS3(o);

    if (kind == 2 || kind == 3)
        a ^= l->sign;
    if (kind == 1 || kind == 3)
        c ^= l->sign;
    arithmetic(o, RV64_FP_FMA, a, RS2(o), c);
}

static int sign_inject(struct operation *o)
{
    uint64_t sign = layout_of(o)->sign;
    uint64_t a = RS1(o);
    uint64_t b = RS2(o);

    switch (o->raw >> 12 & 7) {
    case 0: b &= sign; break;
    case 1: b = ~b & sign; break;
    case 2: b = (a ^ b) & sign; break;
    default: return -1;
    }
    write_f(o, (a & ~sign) | b, o->d);
    return 0;
}

/* a < b for what is no NaN; -0 and 0 are equal. */
static bool less(const struct operation *o, uint64_t a, uint64_t b)
{
    return o->d ? to_double(a) < to_double(b) : to_float(a) < to_float(b);
}

/* §11.6: minimumNumber and maximumNumber of IEEE 754-2019, with -0 less than 0. */
static int min_max(struct operation *o)
{
    const struct layout *l = layout_of(o);
    uint32_t max = o->raw >> 12 & 7;
    uint64_t a = RS1(o);
    uint64_t b = RS2(o);
    bool a_less;

    if (max > 1)
        return -1;
    if (is_snan(l, a) || is_snan(l, b))
        o->flags |= RV64_FFLAG_NV;
    if (is_nan(l, a) || is_nan(l, b)) {
        if (is_nan(l, a))
            a = is_nan(l, b) ? l->nan : b;
        write_f(o, a, o->d);
        return 0;
    }
    a_less = ((a | b) & ~l->sign) == 0 ? (a & l->sign) != 0 : less(o, a, b);
    write_f(o, a_less != (max == 1) ? a : b, o->d);
    return 0;
}

/* §11.8: FEQ is quiet, FLT and FLE signal for every NaN. */
static int compare(struct operation *o)
{
    const struct layout *l = layout_of(o);
    uint32_t kind = o->raw >> 12 & 7;
    uint64_t a = RS1(o);
    uint64_t b = RS2(o);
    bool equal;

    if (kind > 2)
        return -1;
    if (is_nan(l, a) || is_nan(l, b)) {
        if (kind != 2 || is_snan(l, a) || is_snan(l, b))
            o->flags |= RV64_FFLAG_NV;
        write_x(o, 0);
        return 0;
    }
    equal = a == b || ((a | b) & ~l->sign) == 0;
    switch (kind) {
    case 0: write_x(o, equal || less(o, a, b)); break;
    case 1: write_x(o, less(o, a, b)); break;
    default: write_x(o, equal); break;
    }
    return 0;
}

/* §11.9 */
static uint64_t classify(const struct layout *l, uint64_t v)
{
    uint64_t magnitude = v & ~l->sign;
    bool negative = v & l->sign;

    if (is_nan(l, v))
        return is_snan(l, v) ? 1u << 8 : 1u << 9;
    if (magnitude == l->infinity)
        return negative ? 1u << 0 : 1u << 7;
    if (magnitude & l->infinity)
        return negative ? 1u << 1 : 1u << 6;
    if (magnitude)
        return negative ? 1u << 2 : 1u << 5;
    return negative ? 1u << 3 : 1u << 4;
}

/* FMV.X.W, FMV.X.D, FCLASS */
static int move_to_x(struct operation *o)
{
    uint64_t bits = o->cpu->f[o->raw >> 15 & 31];

    if (o->raw >> 20 & 31)
        return -1;
    switch (o->raw >> 12 & 7) {
    case 0: write_x(o, o->d ? bits : (uint64_t)(int32_t)bits); return 0;
    case 1: write_x(o, classify(layout_of(o), RS1(o))); return 0;
    default: return -1;
    }
}

/* FMV.W.X, FMV.D.X */
static int move_from_x(struct operation *o)
{
    uint64_t bits = o->cpu->x[o->raw >> 15 & 31];

    if (o->raw >> 20 & 31 || o->raw >> 12 & 7)
        return -1;
    write_f(o, o->d ? bits : bits & ~BOX, o->d);
    return 0;
}

static double round_integral(double value, uint32_t rm)
{
    switch (rm) {
    case RV64_RTZ: return trunc(value);
    case RV64_RDN: return floor(value);
    case RV64_RUP: return ceil(value);
    case RV64_RMM: return round(value);
    default: return nearbyint(value);
    }
}

/* The four integer formats, by rs2 of the conversion: W, WU, L, LU. */
struct integer {
    double low;  /* least value */
    double high; /* first value that is too large */
    uint64_t min;
    uint64_t max;
};

static const struct integer integers[4] = {
    {-0x1p31, 0x1p31, UINT64_C(0xffffffff80000000), INT32_MAX},
    {0, 0x1p32, 0, UINT64_MAX}, /* 32-bit results are sign-extended (§11.7) */
    {-0x1p63, 0x1p63, UINT64_C(1) << 63, INT64_MAX},
    {0, 0x1p64, 0, UINT64_MAX},
};

static uint64_t integer_of(double value, uint32_t kind)
{
    if (kind == 3 && value >= 0x1p63)
        return (uint64_t)(int64_t)(value - 0x1p63) + (UINT64_C(1) << 63);
    return kind < 2 ? (uint64_t)(int32_t)(int64_t)value : (uint64_t)(int64_t)value;
}

/* §11.7: out of range saturates, and is invalid and not inexact; NaN is the largest value. */
static int to_integer(struct operation *o)
{
    uint32_t kind = o->raw >> 20 & 31;
    uint64_t bits = RS1(o);
    const struct integer *to = &integers[kind & 3];
    double value;
    double rounded;

    if (kind > 3)
        return -1;
    if (is_nan(layout_of(o), bits)) {
        o->flags |= RV64_FFLAG_NV;
        write_x(o, to->max);
        return 0;
    }
    value = o->d ? to_double(bits) : (double)to_float(bits);
    rounded = round_integral(value, o->rm);
    if (rounded < to->low || rounded >= to->high) {
        o->flags |= RV64_FFLAG_NV;
        write_x(o, rounded < to->low ? to->min : to->max);
        return 0;
    }
    if (rounded != value)
        o->flags |= RV64_FFLAG_NX;
    write_x(o, integer_of(rounded, kind));
    return 0;
}

/*
 * The sign is applied to the operand, so that directed rounding goes the right way. A magnitude
 * that int64_t cannot hold is halved with its lost bit kept sticky; doubling is exact.
 */
static uint64_t convert_integer(struct operation *o, uint64_t magnitude, bool negative)
{
    bool large = magnitude >> 63;
    int64_t value = (int64_t)(large ? magnitude >> 1 | (magnitude & 1) : magnitude);
    uint64_t result;
    double d;
    float s;

    if (o->rm == RV64_RMM) {
        d = rv64_fpu_rmm_integer(magnitude, negative, !o->d, &o->flags);
        return o->d ? from_double(d) : from_float((float)d);
    }
    value = negative ? -value : value;
    rv64_fp_begin(o->rm);
    RV64_FP_PIN(value);
    if (o->d) {
        d = (double)value;
        d = large ? d * 2 : d;
        RV64_FP_PIN(d);
        result = from_double(d);
    } else {
        s = (float)value;
        s = large ? s * 2 : s;
        RV64_FP_PIN(s);
        result = from_float(s);
    }
    o->flags |= rv64_fp_end(o->rm);
    return result;
}

static int from_integer(struct operation *o)
{
    uint32_t kind = o->raw >> 20 & 31;
    uint64_t value = o->cpu->x[o->raw >> 15 & 31];
    bool negative;

    if (kind > 3)
        return -1;
    if (kind < 2)
        value = kind ? (uint32_t)value : (uint64_t)(int32_t)value;
    negative = !(kind & 1) && value >> 63;
    write_f(o, convert_integer(o, negative ? 0 - value : value, negative), o->d);
    return 0;
}

/* FCVT.S.D */
static uint64_t narrow(struct operation *o, uint64_t bits)
{
    const struct layout *l = &layouts[1];
    double value = to_double(bits);
    float result;

    if (is_nan(l, bits)) {
        if (is_snan(l, bits))
            o->flags |= RV64_FFLAG_NV;
        return NAN_S;
    }
    if (o->rm == RV64_RMM)
        return from_float((float)rv64_fpu_rmm(RV64_FP_MUL, value, 1, 0, true, &o->flags));
    rv64_fp_begin(o->rm);
    RV64_FP_PIN(value);
    result = (float)value;
    RV64_FP_PIN(result);
    o->flags |= rv64_fp_end(o->rm);
    return from_float(result);
}

/* FCVT.D.S */
static uint64_t widen(struct operation *o, uint64_t bits)
{
    const struct layout *l = &layouts[0];

    if (!is_nan(l, bits))
        return from_double((double)to_float(bits));
    if (is_snan(l, bits))
        o->flags |= RV64_FFLAG_NV;
    return NAN_D;
}

/* The format of the source is in rs2, that of the result in fmt. */
static int convert_format(struct operation *o)
{
    uint32_t from = o->raw >> 20 & 31;

    if (from != (o->d ? 0u : 1u))
        return -1;
    if (o->d)
        write_f(o, widen(o, read_as(o->cpu, o->raw >> 15 & 31, false)), true);
    else
        write_f(o, narrow(o, read_as(o->cpu, o->raw >> 15 & 31, true)), false);
    return 0;
}

static int square_root(struct operation *o)
{
    if (o->raw >> 20 & 31)
        return -1;
    arithmetic(o, RV64_FP_SQRT, RS1(o), 0, 0);
    return 0;
}

/* Instructions in which funct3 is no rounding mode. */
static int execute_unrounded(struct operation *o)
{
    switch (o->raw >> 27) {
    case 0x04: return sign_inject(o);
    case 0x05: return min_max(o);
    case 0x14: return compare(o);
    case 0x1c: return move_to_x(o);
    case 0x1e: return move_from_x(o);
    default: return -1;
    }
}

static int execute_rounded(struct operation *o)
{
    if ((o->raw & 0x7f) != 0x53) {
        fused(o);
        return 0;
    }
    switch (o->raw >> 27) {
    case 0x00: arithmetic(o, RV64_FP_ADD, RS1(o), RS2(o), 0); return 0;
    case 0x01: arithmetic(o, RV64_FP_SUB, RS1(o), RS2(o), 0); return 0;
    case 0x02: arithmetic(o, RV64_FP_MUL, RS1(o), RS2(o), 0); return 0;
    case 0x03: arithmetic(o, RV64_FP_DIV, RS1(o), RS2(o), 0); return 0;
    case 0x0b: return square_root(o);
    case 0x08: return convert_format(o);
    case 0x18: return to_integer(o);
    case 0x1a: return from_integer(o);
    default: return -1;
    }
}

static bool is_rounded(uint32_t raw)
{
    static const uint32_t unrounded =
        1u << 0x04 | 1u << 0x05 | 1u << 0x14 | 1u << 0x1c | 1u << 0x1e;

    return (raw & 0x7f) != 0x53 || !(unrounded >> (raw >> 27) & 1);
}

int rv64_fpu_execute(struct rv64_cpu *cpu, uint32_t raw)
{
    struct operation o = {.cpu = cpu, .raw = raw, .rm = raw >> 12 & 7, .d = raw >> 25 & 1};

    if (!(cpu->mstatus & RV64_MSTATUS_FS) || raw >> 26 & 1)
        return -1;
    if (!is_rounded(raw)) {
        if (execute_unrounded(&o))
            return -1;
    } else {
        if (o.rm == RV64_DYN)
            o.rm = cpu->fcsr >> 5 & 7;
        if (o.rm > RV64_RMM || execute_rounded(&o))
            return -1;
    }
    cpu->fcsr |= o.flags;
    cpu->mstatus |= RV64_MSTATUS_FS; /* Dirty: more often than need be, which is allowed */
    return 0;
}
