/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Compressed instructions, as the 32-bit instructions they stand for: RISC-V Unprivileged ISA
 * 20191213, chapter 16. Reserved encodings give 0, which is no instruction; hints come out as
 * computations into x0.
 */

#include "decode.h"

#define RA 1u
#define SP 2u

static uint32_t bits(uint32_t raw, unsigned low, unsigned count)
{
    return raw >> low & ((1u << count) - 1);
}

static uint32_t i_type(uint32_t opcode, uint32_t funct3, uint32_t rd, uint32_t rs1, uint32_t imm)
{
    return imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static uint32_t r_type(uint32_t opcode, uint32_t funct3, uint32_t funct7, uint32_t rd, uint32_t rs1,
                       uint32_t rs2)
{
    return funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static uint32_t s_type(uint32_t opcode, uint32_t funct3, uint32_t rs1, uint32_t rs2, uint32_t imm)
{
    return r_type(opcode, funct3, imm >> 5, imm & 31, rs1, rs2);
}

/* Registers x8 to x15, in the three bits at 2 and at 7. */
static uint32_t low_reg(uint32_t raw)
{
    return 8 + bits(raw, 2, 3);
}

static uint32_t high_reg(uint32_t raw)
{
    return 8 + bits(raw, 7, 3);
}

/* The six-bit immediate of CI instructions, sign-extended. */
static uint32_t imm_ci(uint32_t raw)
{
    return (0u - bits(raw, 12, 1)) << 5 | bits(raw, 2, 5);
}

static uint32_t imm_word(uint32_t raw)
{
    return bits(raw, 5, 1) << 6 | bits(raw, 10, 3) << 3 | bits(raw, 6, 1) << 2;
}

static uint32_t imm_double(uint32_t raw)
{
    return bits(raw, 5, 2) << 6 | bits(raw, 10, 3) << 3;
}

static uint32_t quadrant_0(uint32_t raw)
{
    uint32_t imm =
        bits(raw, 7, 4) << 6 | bits(raw, 11, 2) << 4 | bits(raw, 5, 1) << 3 | bits(raw, 6, 1) << 2;

    switch (bits(raw, 13, 3)) {
    case 0: /* C.ADDI4SPN */ return imm ? i_type(0x13, 0, low_reg(raw), SP, imm) : 0;
    case 1: /* C.FLD */ return i_type(0x07, 3, low_reg(raw), high_reg(raw), imm_double(raw));
    case 2: /* C.LW */ return i_type(0x03, 2, low_reg(raw), high_reg(raw), imm_word(raw));
    case 3: /* C.LD */ return i_type(0x03, 3, low_reg(raw), high_reg(raw), imm_double(raw));
    case 5: /* C.FSD */ return s_type(0x27, 3, high_reg(raw), low_reg(raw), imm_double(raw));
    case 6: /* C.SW */ return s_type(0x23, 2, high_reg(raw), low_reg(raw), imm_word(raw));
    case 7: /* C.SD */ return s_type(0x23, 3, high_reg(raw), low_reg(raw), imm_double(raw));
    default: return 0;
    }
}

/* C.LUI, and C.ADDI16SP, which has the encoding of C.LUI to x2. */
static uint32_t lui_addi16sp(uint32_t raw)
{
    uint32_t rd = bits(raw, 7, 5);
    uint32_t imm = (0u - bits(raw, 12, 1)) << 9 | bits(raw, 3, 2) << 7 | bits(raw, 5, 1) << 6 |
                   bits(raw, 2, 1) << 5 | bits(raw, 6, 1) << 4;

    if (rd == SP)
        return imm ? i_type(0x13, 0, SP, SP, imm) : 0;
    return imm_ci(raw) ? imm_ci(raw) << 12 | rd << 7 | 0x37 : 0;
}

static uint32_t arithmetic(uint32_t raw)
{
    static const uint8_t funct3[4] = {0, 4, 6, 7}; /* SUB, XOR, OR, AND */
    uint32_t rd = high_reg(raw);
    uint32_t shift = bits(raw, 12, 1) << 5 | bits(raw, 2, 5);
    uint32_t which = bits(raw, 5, 2);

    switch (bits(raw, 10, 2)) {
    case 0: /* C.SRLI */ return i_type(0x13, 5, rd, rd, shift);
    case 1: /* C.SRAI */ return i_type(0x13, 5, rd, rd, shift | 0x400);
    case 2: /* C.ANDI */ return i_type(0x13, 7, rd, rd, imm_ci(raw));
    default: break;
    }
    if (!bits(raw, 12, 1))
        return r_type(0x33, funct3[which], which ? 0 : 0x20, rd, rd, low_reg(raw));
    if (which > 1)
        return 0;
    /* C.SUBW, C.ADDW */
    return r_type(0x3b, 0, which ? 0 : 0x20, rd, rd, low_reg(raw));
}

static uint32_t jump(uint32_t raw)
{
    uint32_t sign = 0u - bits(raw, 12, 1);
    uint32_t imm = sign << 11 | bits(raw, 8, 1) << 10 | bits(raw, 9, 2) << 8 |
                   bits(raw, 6, 1) << 7 | bits(raw, 7, 1) << 6 | bits(raw, 2, 1) << 5 |
                   bits(raw, 11, 1) << 4 | bits(raw, 3, 3) << 1;

    return bits(imm, 20, 1) << 31 | bits(imm, 1, 10) << 21 | bits(imm, 11, 1) << 20 |
           bits(imm, 12, 8) << 12 | 0x6f;
}

static uint32_t branch(uint32_t raw, uint32_t funct3)
{
    uint32_t sign = 0u - bits(raw, 12, 1);
    uint32_t imm = sign << 8 | bits(raw, 5, 2) << 6 | bits(raw, 2, 1) << 5 | bits(raw, 10, 2) << 3 |
                   bits(raw, 3, 2) << 1;

    return r_type(0x63, funct3, bits(imm, 12, 1) << 6 | bits(imm, 5, 6),
                  bits(imm, 1, 4) << 1 | bits(imm, 11, 1), high_reg(raw), 0);
}

static uint32_t quadrant_1(uint32_t raw)
{
    uint32_t rd = bits(raw, 7, 5);

    switch (bits(raw, 13, 3)) {
    case 0: /* C.ADDI */ return i_type(0x13, 0, rd, rd, imm_ci(raw));
    case 1: /* C.ADDIW */ return rd ? i_type(0x1b, 0, rd, rd, imm_ci(raw)) : 0;
    case 2: /* C.LI: LUI's decoded form takes any value, but this is what it expands to */
        return i_type(0x13, 0, rd, 0, imm_ci(raw));
    case 3: return lui_addi16sp(raw);
    case 4: return arithmetic(raw);
    case 5: return jump(raw);
    case 6: /* C.BEQZ */ return branch(raw, 0);
    default: /* C.BNEZ */ return branch(raw, 1);
    }
}

/* C.JR, C.MV, C.EBREAK, C.JALR, C.ADD */
static uint32_t jump_move_add(uint32_t raw)
{
    uint32_t rd = bits(raw, 7, 5);
    uint32_t rs2 = bits(raw, 2, 5);

    if (rs2)
        return r_type(0x33, 0, 0, rd, bits(raw, 12, 1) ? rd : 0, rs2);
    if (rd)
        return i_type(0x67, 0, bits(raw, 12, 1) ? RA : 0, rd, 0);
    return bits(raw, 12, 1) ? 0x00100073 : 0;
}

static uint32_t quadrant_2(uint32_t raw)
{
    uint32_t rd = bits(raw, 7, 5);
    uint32_t rs2 = bits(raw, 2, 5);
    uint32_t load_w = bits(raw, 2, 2) << 6 | bits(raw, 12, 1) << 5 | bits(raw, 4, 3) << 2;
    uint32_t load_d = bits(raw, 2, 3) << 6 | bits(raw, 12, 1) << 5 | bits(raw, 5, 2) << 3;
    uint32_t store_w = bits(raw, 7, 2) << 6 | bits(raw, 9, 4) << 2;
    uint32_t store_d = bits(raw, 7, 3) << 6 | bits(raw, 10, 3) << 3;

    switch (bits(raw, 13, 3)) {
    case 0: /* C.SLLI */ return i_type(0x13, 1, rd, rd, bits(raw, 12, 1) << 5 | rs2);
    case 1: /* C.FLDSP */ return i_type(0x07, 3, rd, SP, load_d);
    case 2: /* C.LWSP */ return rd ? i_type(0x03, 2, rd, SP, load_w) : 0;
    case 3: /* C.LDSP */ return rd ? i_type(0x03, 3, rd, SP, load_d) : 0;
    case 4: return jump_move_add(raw);
    case 5: /* C.FSDSP */ return s_type(0x27, 3, SP, rs2, store_d);
    case 6: /* C.SWSP */ return s_type(0x23, 2, SP, rs2, store_w);
    default: /* C.SDSP */ return s_type(0x23, 3, SP, rs2, store_d);
    }
}

uint32_t rv64_decode_expand(uint16_t raw)
{
    switch (raw & 3) {
    case 0: return quadrant_0(raw);
    case 1: return quadrant_1(raw);
    default: return quadrant_2(raw);
    }
}
