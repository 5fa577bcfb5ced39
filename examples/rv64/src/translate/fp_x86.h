/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_FP_X86_H
#define RV64_TRANSLATE_FP_X86_H

/*
 * SSE2 and FMA3 for x86.h. Opcodes are those of x86_op(): the XMM register is first, or both are.
 */

#include "x86.h"

enum {
    SSE_LOAD_D = 0x0f10 | X86_F2, /**< MOVSD; from memory the upper half becomes zero */
    SSE_LOAD_S = 0x0f10 | X86_F3,
    SSE_STORE_D = 0x0f11 | X86_F2,
    SSE_STORE_S = 0x0f11 | X86_F3,
    SSE_MOVE = 0x0f28,              /**< MOVAPS */
    SSE_FROM_GPR = 0x0f6e | X86_16, /**< MOVD; MOVQ with X86_W; operand: the general register */
    SSE_TO_GPR = 0x0f7e | X86_16,   /**< the same, to the operand */
    SSE_AND = 0x0f54,               /**< ANDPS */
    SSE_ANDN = 0x0f55,              /**< ANDNPS: ~register & operand */
    SSE_OR = 0x0f56,                /**< ORPS */
    SSE_XOR = 0x0f57,               /**< XORPS */
    SSE_EQUAL_32 = 0x0f76 | X86_16, /**< PCMPEQD: of a register with itself, all ones */
    SSE_UCOMI = 0x0f2e,             /**< plus SSE_PACKED_D for doubles */
    SSE_COMI = 0x0f2f,
    SSE_PACKED_D = X86_16,
    SSE_SQRT = 0x0f51, /**< the following: plus X86_F2 for doubles, X86_F3 for singles */
    SSE_ADD = 0x0f58,
    SSE_MUL = 0x0f59,
    SSE_CVT_FORMAT = 0x0f5a, /**< the prefix says the source */
    SSE_SUB = 0x0f5c,
    SSE_MIN = 0x0f5d,
    SSE_DIV = 0x0f5e,
    SSE_MAX = 0x0f5f,
    SSE_FROM_INT = 0x0f2a, /**< CVTSI2SD; X86_W for 64 bits */
    SSE_TO_INT_RTZ = 0x0f2c,
    SSE_TO_INT = 0x0f2d,
};

/** VFMADD231 and its like: to = +-(a * b) +- to. The opcode is of the scalar form. */
enum { FMA_MADD = 0xb9, FMA_MSUB = 0xbb, FMA_NMADD = 0xbd, FMA_NMSUB = 0xbf };

static inline void fma_rrr(struct x86 *a, uint32_t op, bool d, uint32_t to, uint32_t x, uint32_t y)
{
    x86_u8(a, 0xc4);
    x86_u8(a, (to & 8 ? 0 : 0x80u) | 0x40 | (y & 8 ? 0 : 0x20u) | 2);
    x86_u8(a, (d ? 0x80u : 0) | (~x & 15) << 3 | 1);
    x86_u8(a, op);
    x86_u8(a, 0xc0 | (to & 7) << 3 | (y & 7));
}

#endif /* RV64_TRANSLATE_FP_X86_H */
