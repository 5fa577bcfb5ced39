/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_FP_MODE_H
#define RV64_TRANSLATE_FP_MODE_H

/*
 * The guest's rounding mode and accrued exceptions, kept lazily in MXCSR; mstatus.FS with them.
 *
 *     cpu->jit.fp   0                nothing is known: MXCSR is C's
 *                   RV64_FP_DIRTY    mstatus.FS is Dirty
 *                   and RV64_FP_LIVE + rm: MXCSR rounds as frm says, rm; exceptions of translated
 *                   code accrue there, beside those in cpu->fcsr
 *
 * Code asks for what it needs by a test of one byte, and calls C if it is not so. Who reads or
 * writes fcsr or mstatus.FS, or computes in floating point, settles first. Other C may run with
 * the guest's MXCSR: all exceptions are masked.
 */

#include <xmmintrin.h>

#include "../cpu.h"
#include "../csr.h"
#include "../fpu.h"

#define RV64_FP_DIRTY   0x10u
#define RV64_FP_LIVE    0x08u
#define RV64_FP_RM_MASK 0x07u

#define RV64_FP_MXCSR_HOST 0x1f80u

/** RV64_FFLAG_* of MXCSR; a denormal operand is no exception of RISC-V. */
static inline uint32_t rv64_fp_flags(uint32_t mxcsr)
{
    return (mxcsr & 1) << 4 | (mxcsr & 4) << 1 | (mxcsr & 8) >> 1 | (mxcsr & 16) >> 3 |
           (mxcsr & 32) >> 5;
}

/** Has fcsr complete and MXCSR the host's. To be called by whoever comes from translated code. */
static inline void rv64_fp_settle(struct rv64_cpu *cpu)
{
    if (cpu->jit.fp & RV64_FP_LIVE) {
        cpu->fcsr |= rv64_fp_flags(_mm_getcsr());
        _mm_setcsr(RV64_FP_MXCSR_HOST);
    }
    cpu->jit.fp = 0;
}

/**
 * Has MXCSR the guest's, if it can have that, and FS Dirty.
 * @return false: FS is Off
 */
static inline bool rv64_fp_revive(struct rv64_cpu *cpu)
{
    static const uint16_t modes[4] = {0x0000, 0x6000, 0x2000, 0x4000};
    uint32_t rm = cpu->fcsr >> 5 & 7;

    if (!(cpu->mstatus & RV64_MSTATUS_FS))
        return false;
    if (cpu->jit.fp)
        return true;
    cpu->mstatus |= RV64_MSTATUS_FS;
    cpu->jit.fp = RV64_FP_DIRTY;
    if (rm <= RV64_RUP) {
        _mm_setcsr(RV64_FP_MXCSR_HOST | modes[rm]);
        cpu->jit.fp |= RV64_FP_LIVE | rm;
    }
    return true;
}

/** Does this CSR have to do with all that? */
static inline bool rv64_fp_concerns(uint32_t csr)
{
    return csr <= RV64_CSR_FCSR || csr == RV64_CSR_SSTATUS || csr == RV64_CSR_MSTATUS;
}

#endif /* RV64_TRANSLATE_FP_MODE_H */
