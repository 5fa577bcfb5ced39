/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_X86_H
#define RV64_TRANSLATE_X86_H

/*
 * An assembler for what the translator needs of x86-64: Intel SDM vol. 2, chapter 2 (formats) and
 * chapters 3 to 5 (opcodes). An instruction is an opcode, a register, and an operand that is a
 * register or memory. There are no checks: room is made sure of before, a block at a time.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_R9,
    X86_R10,
    X86_R11,
    X86_R12,
    X86_R13,
    X86_R14,
    X86_R15,
    X86_NONE
};

/** Condition codes: of Jcc, SETcc, CMOVcc. The opposite is the one with bit 0 changed. */
enum {
    X86_B = 2,
    X86_AE = 3,
    X86_E = 4,
    X86_NE = 5,
    X86_BE = 6,
    X86_A = 7,
    X86_S = 8,
    X86_NS = 9,
    X86_P = 10,
    X86_NP = 11,
    X86_L = 12,
    X86_GE = 13,
    X86_LE = 14,
    X86_G = 15,
};

/** Opcodes, to be combined with flags. Those with two operands have the register first. */
enum {
    X86_ADD = 0x03,
    X86_OR = 0x0b,
    X86_AND = 0x23,
    X86_SUB = 0x2b,
    X86_XOR = 0x33,
    X86_CMP = 0x3b,
    X86_ARITH_STORE = -2, /**< added to one of those: the operand is the destination */
    X86_TEST = 0x85,
    X86_MOV = 0x8b,
    X86_MOV_STORE = 0x89,
    X86_MOV_STORE_8 = 0x88 | 1 << 18,
    X86_LEA = 0x8d,
    X86_MOVSXD = 0x63,
    X86_MOVZX_8 = 0x0fb6,
    X86_MOVZX_16 = 0x0fb7,
    X86_MOVSX_8 = 0x0fbe,
    X86_MOVSX_16 = 0x0fbf,
    X86_IMUL = 0x0faf,
    X86_CMOV = 0x0f40, /**< plus the condition */
    X86_SET = 0x0f90,  /**< plus the condition; register 0 */
    X86_XCHG = 0x87,
};

#define X86_W  (1 << 16) /**< 64 bits */
#define X86_16 (1 << 17) /**< 16 bits: prefix 66 */
#define X86_8  (1 << 18) /**< byte registers: SIL and DIL need a REX prefix */
#define X86_F2 (1 << 19)
#define X86_F3 (1 << 20)

/** Extensions of opcodes: the register of 0x81 and 0x83, of shifts, and of 0xf7. */
enum { X86_I_ADD = 0, X86_I_OR = 1, X86_I_AND = 4, X86_I_SUB = 5, X86_I_XOR = 6, X86_I_CMP = 7 };
enum { X86_SHL = 4, X86_SHR = 5, X86_SAR = 7, X86_ROL = 0 };
enum { X86_NOT = 2, X86_NEG = 3, X86_MUL = 4, X86_IMUL1 = 5, X86_DIV = 6, X86_IDIV = 7 };

/** Where code goes. */
struct x86 {
    uint8_t *at;
};

/** A register, or memory at base + index * 2^scale + disp. */
struct x86_rm {
    uint8_t memory;
    uint8_t base; /**< the register, if it is one */
    uint8_t index;
    uint8_t scale;
    int32_t disp;
};

static inline struct x86_rm x86_reg(uint32_t reg)
{
    return (struct x86_rm){.base = (uint8_t)reg};
}

static inline struct x86_rm x86_mem(uint32_t base, int32_t disp)
{
    return (struct x86_rm){
        .memory = 1, .base = (uint8_t)base, .index = X86_NONE, .scale = 0, .disp = disp};
}

static inline struct x86_rm x86_mem_index(uint32_t base, uint32_t index, uint32_t scale,
                                          int32_t disp)
{
    return (struct x86_rm){.memory = 1,
                           .base = (uint8_t)base,
                           .index = (uint8_t)index,
                           .scale = (uint8_t)scale,
                           .disp = disp};
}

static inline void x86_u8(struct x86 *a, uint32_t value)
{
    *a->at++ = (uint8_t)value;
}

static inline void x86_u32(struct x86 *a, uint32_t value)
{
    memcpy(a->at, &value, sizeof value);
    a->at += sizeof value;
}

static inline void x86_u64(struct x86 *a, uint64_t value)
{
    memcpy(a->at, &value, sizeof value);
    a->at += sizeof value;
}

/* ModR/M, SIB and displacement. Base 5 has no form without displacement, index 4 means none. */
static inline void x86_modrm(struct x86 *a, uint32_t reg, struct x86_rm rm)
{
    uint32_t mod;

    reg = (reg & 7) << 3;
    if (!rm.memory) {
        x86_u8(a, 0xc0 | reg | (rm.base & 7));
        return;
    }
    mod = rm.disp == 0 && (rm.base & 7) != 5 ? 0 : rm.disp == (int8_t)rm.disp ? 0x40 : 0x80;
    if (rm.index != X86_NONE || (rm.base & 7) == 4) {
        uint32_t index = rm.index == X86_NONE ? 4 : rm.index & 7u;

        x86_u8(a, mod | reg | 4);
        x86_u8(a, (uint32_t)rm.scale << 6 | index << 3 | (rm.base & 7));
    } else {
        x86_u8(a, mod | reg | (rm.base & 7));
    }
    if (mod == 0x40)
        x86_u8(a, (uint32_t)rm.disp);
    else if (mod == 0x80)
        x86_u32(a, (uint32_t)rm.disp);
}

/** Any instruction of the form: opcode and flags, register or extension, operand. */
static inline void x86_op(struct x86 *a, int32_t op, uint32_t reg, struct x86_rm rm)
{
    uint32_t rex = (op & X86_W ? 8u : 0) | (reg & 8) >> 1 | (rm.base & 8u) >> 3;
    bool byte_regs = op & X86_8 && (reg >= 4 || (!rm.memory && rm.base >= 4));

    if (rm.memory && rm.index != X86_NONE)
        rex |= (rm.index & 8u) >> 2;
    if (op & X86_16)
        x86_u8(a, 0x66);
    if (op & X86_F2)
        x86_u8(a, 0xf2);
    if (op & X86_F3)
        x86_u8(a, 0xf3);
    if (rex || byte_regs)
        x86_u8(a, 0x40 | rex);
    if (op & 0xff00)
        x86_u8(a, (uint32_t)op >> 8);
    x86_u8(a, (uint32_t)op);
    x86_modrm(a, reg, rm);
}

/** Register to register. */
static inline void x86_rr(struct x86 *a, int32_t op, uint32_t reg, uint32_t rm)
{
    x86_op(a, op, reg, x86_reg(rm));
}

/** ADD, OR, AND, SUB, XOR or CMP of an immediate; kind is X86_I_*, flags X86_W or 0. */
static inline void x86_arith_imm(struct x86 *a, uint32_t kind, int32_t flags, struct x86_rm rm,
                                 int32_t imm)
{
    if (imm == (int8_t)imm) {
        x86_op(a, 0x83 | flags, kind, rm);
        x86_u8(a, (uint32_t)imm);
    } else {
        x86_op(a, 0x81 | flags, kind, rm);
        x86_u32(a, (uint32_t)imm);
    }
}

/** A shift by a constant; kind is X86_SHL, X86_SHR or X86_SAR. */
static inline void x86_shift_imm(struct x86 *a, uint32_t kind, int32_t flags, struct x86_rm rm,
                                 uint32_t count)
{
    x86_op(a, 0xc1 | flags, kind, rm);
    x86_u8(a, count);
}

/** A shift by CL. */
static inline void x86_shift_cl(struct x86 *a, uint32_t kind, int32_t flags, struct x86_rm rm)
{
    x86_op(a, 0xd3 | flags, kind, rm);
}

/** NOT, NEG, MUL, IMUL1, DIV, IDIV. */
static inline void x86_unary(struct x86 *a, uint32_t kind, int32_t flags, struct x86_rm rm)
{
    x86_op(a, 0xf7 | flags, kind, rm);
}

/** Loads a constant in the fewest bytes; leaves the flags alone. */
static inline void x86_mov_imm(struct x86 *a, uint32_t reg, uint64_t value)
{
    if (value <= UINT32_MAX) {
        if (reg & 8)
            x86_u8(a, 0x41);
        x86_u8(a, 0xb8 | (reg & 7));
        x86_u32(a, (uint32_t)value);
    } else if ((int64_t)value == (int32_t)value) {
        x86_op(a, 0xc7 | X86_W, 0, x86_reg(reg));
        x86_u32(a, (uint32_t)value);
    } else {
        x86_u8(a, reg & 8 ? 0x49 : 0x48);
        x86_u8(a, 0xb8 | (reg & 7));
        x86_u64(a, value);
    }
}

/** MOV of a sign-extended constant to an operand of 64 bits. */
static inline void x86_store_imm(struct x86 *a, struct x86_rm rm, int32_t value)
{
    x86_op(a, 0xc7 | X86_W, 0, rm);
    x86_u32(a, (uint32_t)value);
}

/** A jump whose distance comes later: returns the place of its 32 bits. */
static inline uint8_t *x86_jmp_later(struct x86 *a)
{
    x86_u8(a, 0xe9);
    a->at += 4;
    return a->at - 4;
}

static inline uint8_t *x86_call_later(struct x86 *a)
{
    x86_u8(a, 0xe8);
    a->at += 4;
    return a->at - 4;
}

static inline uint8_t *x86_jcc_later(struct x86 *a, uint32_t cc)
{
    x86_u8(a, 0x0f);
    x86_u8(a, 0x80 | cc);
    a->at += 4;
    return a->at - 4;
}

/** A conditional jump forward over less than 128 bytes: returns the place of its distance. */
static inline uint8_t *x86_jcc_short(struct x86 *a, uint32_t cc)
{
    x86_u8(a, 0x70 | cc);
    a->at++;
    return a->at - 1;
}

static inline uint8_t *x86_jmp_short(struct x86 *a)
{
    x86_u8(a, 0xeb);
    a->at++;
    return a->at - 1;
}

/** BT of a register, and a short jump if the bit is clear. */
static inline uint8_t *x86_unless_bit(struct x86 *a, uint32_t reg, uint32_t bit)
{
    x86_op(a, 0x0fba, 4, x86_reg(reg));
    x86_u8(a, bit);
    return x86_jcc_short(a, 3);
}

/** Has a short jump end here. */
static inline void x86_short_here(struct x86 *a, uint8_t *place)
{
    *place = (uint8_t)(a->at - (place + 1));
}

/** Sets the distance at a place so that the jump ends at a target. */
static inline void x86_patch(uint8_t *place, const uint8_t *target)
{
    int32_t distance = (int32_t)(target - (place + 4));

    memcpy(place, &distance, sizeof distance);
}

#endif /* RV64_TRANSLATE_X86_H */
