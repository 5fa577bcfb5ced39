/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_FPU_HOST_H
#define RV64_FPU_HOST_H

/*
 * The host's floating-point environment around one operation: rounding mode set and exceptions
 * clear before, exceptions collected after. Between operations the host rounds to nearest.
 *
 * Neither gcc nor clang 14 orders arithmetic against accesses to the environment, so operands and
 * results go through RV64_FP_PIN(), which the compiler cannot see through.
 */

#include <stdint.h>

#include "fpu.h"

#define RV64_FP_PIN(value) __asm__ volatile("" : "+m"(value) : : "memory")

#ifdef __SSE2__

#include <xmmintrin.h>

#define RV64_MXCSR_DEFAULT 0x1f80u /* all exceptions masked, none pending, round to nearest */

/** Prepares for an operation that rounds as rm says: RNE, RTZ, RDN or RUP. */
static inline void rv64_fp_begin(uint32_t rm)
{
    static const uint16_t modes[4] = {0x0000, 0x6000, 0x2000, 0x4000};
    uint32_t want = RV64_MXCSR_DEFAULT | modes[rm & 3];

    if (_mm_getcsr() != want)
        _mm_setcsr(want);
}

/** The exceptions since rv64_fp_begin(), which was given the same rm, as RV64_FFLAG_*. */
static inline uint32_t rv64_fp_end(uint32_t rm)
{
    uint32_t now = _mm_getcsr();

    if (rm != RV64_RNE)
        _mm_setcsr(RV64_MXCSR_DEFAULT);
    /* IE, DE, ZE, OE, UE and PE are bits 0 to 5; DE, denormal operand, is no RISC-V exception. */
    return (now & 1) << 4 | (now & 4) << 1 | (now & 8) >> 1 | (now & 16) >> 3 | (now & 32) >> 5;
}

#else

#include <fenv.h>

static inline void rv64_fp_begin(uint32_t rm)
{
    static const int modes[4] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

    fesetround(modes[rm & 3]);
    feclearexcept(FE_ALL_EXCEPT);
}

static inline uint32_t rv64_fp_end(uint32_t rm)
{
    int now = fetestexcept(FE_ALL_EXCEPT);

    if (rm != RV64_RNE)
        fesetround(FE_TONEAREST);
    return (now & FE_INVALID ? RV64_FFLAG_NV : 0) | (now & FE_DIVBYZERO ? RV64_FFLAG_DZ : 0) |
           (now & FE_OVERFLOW ? RV64_FFLAG_OF : 0) | (now & FE_UNDERFLOW ? RV64_FFLAG_UF : 0) |
           (now & FE_INEXACT ? RV64_FFLAG_NX : 0);
}

#endif

#endif /* RV64_FPU_HOST_H */
