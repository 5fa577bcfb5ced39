/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Decoding of 32-bit instructions, and of compressed ones by way of the instruction they stand
 * for. RISC-V Unprivileged ISA 20191213, chapter 24 (instruction listings); Privileged
 * Architecture 20211203, §3.3 and §4.2.
 */

#include "decode.h"

#define ILLEGAL RV64_OP_ILLEGAL
#define SINK    32 /* the register that stands for x0 as a destination */

static uint32_t bits(uint32_t raw, unsigned low, unsigned count)
{
    return raw >> low & ((1u << count) - 1);
}

static int32_t imm_i(uint32_t raw)
{
    return (int32_t)raw >> 20;
}

static int32_t imm_s(uint32_t raw)
{
    return (int32_t)((uint32_t)((int32_t)raw >> 25) << 5 | bits(raw, 7, 5));
}

static int32_t imm_b(uint32_t raw)
{
    return (int32_t)((uint32_t)((int32_t)raw >> 31) << 12 | bits(raw, 7, 1) << 11 |
                     bits(raw, 25, 6) << 5 | bits(raw, 8, 4) << 1);
}

static int32_t imm_j(uint32_t raw)
{
    return (int32_t)((uint32_t)((int32_t)raw >> 31) << 20 | bits(raw, 12, 8) << 12 |
                     bits(raw, 20, 1) << 11 | bits(raw, 21, 10) << 1);
}

/* Has the jump its target in the page it is in? Then its immediate becomes a distance in entries.
 */
static bool make_near(struct rv64_insn *insn, uint32_t offset)
{
    int64_t target = (int64_t)offset + insn->imm;

    if (offset >= GN_PAGE_SIZE || target < 0 || target >= (int64_t)GN_PAGE_SIZE)
        return false;
    insn->imm *= 1 << RV64_INSN_SHIFT;
    return true;
}

static uint8_t decode_load(uint32_t raw, struct rv64_insn *insn)
{
    static const uint8_t ops[8] = {RV64_OP_LB,  RV64_OP_LH,  RV64_OP_LW,  RV64_OP_LD,
                                   RV64_OP_LBU, RV64_OP_LHU, RV64_OP_LWU, ILLEGAL};

    insn->imm = imm_i(raw);
    return ops[bits(raw, 12, 3)];
}

static uint8_t decode_store(uint32_t raw, struct rv64_insn *insn)
{
    static const uint8_t ops[8] = {RV64_OP_SB, RV64_OP_SH, RV64_OP_SW, RV64_OP_SD,
                                   ILLEGAL,    ILLEGAL,    ILLEGAL,    ILLEGAL};

    insn->imm = imm_s(raw);
    return ops[bits(raw, 12, 3)];
}

static uint8_t decode_load_fp(uint32_t raw, struct rv64_insn *insn)
{
    insn->rd = (uint8_t)bits(raw, 7, 5);
    insn->imm = imm_i(raw);
    switch (bits(raw, 12, 3)) {
    case 2: return RV64_OP_FLW;
    case 3: return RV64_OP_FLD;
    default: return ILLEGAL;
    }
}

static uint8_t decode_store_fp(uint32_t raw, struct rv64_insn *insn)
{
    insn->imm = imm_s(raw);
    switch (bits(raw, 12, 3)) {
    case 2: return RV64_OP_FSW;
    case 3: return RV64_OP_FSD;
    default: return ILLEGAL;
    }
}

/* Hints, which are computations into x0, become no operation. */
static uint8_t unless_hint(uint8_t op, const struct rv64_insn *insn)
{
    return op != ILLEGAL && insn->rd == SINK ? RV64_OP_NOP : op;
}

static uint8_t decode_op_imm(uint32_t raw, struct rv64_insn *insn)
{
    static const uint8_t ops[8] = {RV64_OP_ADDI, RV64_OP_SLLI, RV64_OP_SLTI, RV64_OP_SLTIU,
                                   RV64_OP_XORI, RV64_OP_SRLI, RV64_OP_ORI,  RV64_OP_ANDI};
    uint8_t op = ops[bits(raw, 12, 3)];

    insn->imm = imm_i(raw);
    if (op == RV64_OP_SLLI || op == RV64_OP_SRLI) {
        insn->imm = (int32_t)bits(raw, 20, 6);
        if (op == RV64_OP_SRLI && bits(raw, 26, 6) == 0x10)
            op = RV64_OP_SRAI;
        else if (bits(raw, 26, 6) != 0)
            op = ILLEGAL;
    }
    return unless_hint(op, insn);
}

static uint8_t decode_op_imm_32(uint32_t raw, struct rv64_insn *insn)
{
    uint8_t op = ILLEGAL;

    insn->imm = imm_i(raw);
    if (bits(raw, 12, 3) == 0)
        return unless_hint(RV64_OP_ADDIW, insn);
    insn->imm = (int32_t)bits(raw, 20, 5);
    switch (bits(raw, 25, 7) << 3 | bits(raw, 12, 3)) {
    case 0x00 << 3 | 1: op = RV64_OP_SLLIW; break;
    case 0x00 << 3 | 5: op = RV64_OP_SRLIW; break;
    case 0x20 << 3 | 5: op = RV64_OP_SRAIW; break;
    }
    return unless_hint(op, insn);
}

/* Operations on two registers, by funct3: those of funct7 0, 0x20 and 1. */
static uint8_t decode_registers(uint32_t raw, const struct rv64_insn *insn, const uint8_t ops[3][8])
{
    uint32_t funct3 = bits(raw, 12, 3);

    switch (bits(raw, 25, 7)) {
    case 0x00: return unless_hint(ops[0][funct3], insn);
    case 0x20: return unless_hint(ops[1][funct3], insn);
    case 0x01: return unless_hint(ops[2][funct3], insn);
    default: return ILLEGAL;
    }
}

static uint8_t decode_op(uint32_t raw, const struct rv64_insn *insn)
{
    static const uint8_t ops[3][8] = {
        {RV64_OP_ADD, RV64_OP_SLL, RV64_OP_SLT, RV64_OP_SLTU, RV64_OP_XOR, RV64_OP_SRL, RV64_OP_OR,
         RV64_OP_AND},
        {RV64_OP_SUB, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, RV64_OP_SRA, ILLEGAL, ILLEGAL},
        {RV64_OP_MUL, RV64_OP_MULH, RV64_OP_MULHSU, RV64_OP_MULHU, RV64_OP_DIV, RV64_OP_DIVU,
         RV64_OP_REM, RV64_OP_REMU}};

    return decode_registers(raw, insn, ops);
}

static uint8_t decode_op_32(uint32_t raw, const struct rv64_insn *insn)
{
    static const uint8_t ops[3][8] = {
        {RV64_OP_ADDW, RV64_OP_SLLW, ILLEGAL, ILLEGAL, ILLEGAL, RV64_OP_SRLW, ILLEGAL, ILLEGAL},
        {RV64_OP_SUBW, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, RV64_OP_SRAW, ILLEGAL, ILLEGAL},
        {RV64_OP_MULW, ILLEGAL, ILLEGAL, ILLEGAL, RV64_OP_DIVW, RV64_OP_DIVUW, RV64_OP_REMW,
         RV64_OP_REMUW}};

    return decode_registers(raw, insn, ops);
}

static uint8_t decode_amo(uint32_t raw, struct rv64_insn *insn)
{
    uint32_t funct5 = bits(raw, 27, 5);
    bool d = bits(raw, 12, 3) == 3;

    insn->imm = (int32_t)funct5;
    if (bits(raw, 12, 3) != 2 && !d)
        return ILLEGAL;
    switch (funct5) {
    case 0x02:
        if (insn->rs2)
            return ILLEGAL;
        return d ? RV64_OP_LR_D : RV64_OP_LR_W;
    case 0x03: return d ? RV64_OP_SC_D : RV64_OP_SC_W;
    case 0x00: /* AMOADD */
    case 0x01: /* AMOSWAP */
    case 0x04: /* AMOXOR */
    case 0x08: /* AMOOR */
    case 0x0c: /* AMOAND */
    case 0x10: /* AMOMIN */
    case 0x14: /* AMOMAX */
    case 0x18: /* AMOMINU */
    case 0x1c: /* AMOMAXU */ return d ? RV64_OP_AMO_D : RV64_OP_AMO_W;
    default: return ILLEGAL;
    }
}

static uint8_t decode_branch(uint32_t raw, uint32_t offset, struct rv64_insn *insn)
{
    static const uint8_t near[8] = {RV64_OP_BEQ, RV64_OP_BNE, ILLEGAL,      ILLEGAL,
                                    RV64_OP_BLT, RV64_OP_BGE, RV64_OP_BLTU, RV64_OP_BGEU};
    static const uint8_t far[8] = {RV64_OP_BEQ_FAR,  RV64_OP_BNE_FAR, ILLEGAL,
                                   ILLEGAL,          RV64_OP_BLT_FAR, RV64_OP_BGE_FAR,
                                   RV64_OP_BLTU_FAR, RV64_OP_BGEU_FAR};

    insn->imm = imm_b(raw);
    return make_near(insn, offset) ? near[bits(raw, 12, 3)] : far[bits(raw, 12, 3)];
}

static uint8_t decode_jal(uint32_t raw, uint32_t offset, struct rv64_insn *insn)
{
    bool near;

    insn->imm = imm_j(raw);
    near = make_near(insn, offset);
    if (insn->rd == SINK)
        return near ? RV64_OP_J : RV64_OP_J_FAR;
    return near ? RV64_OP_JAL : RV64_OP_JAL_FAR;
}

static uint8_t decode_jalr(uint32_t raw, struct rv64_insn *insn)
{
    insn->imm = imm_i(raw);
    if (bits(raw, 12, 3) != 0)
        return ILLEGAL;
    return insn->rd == SINK ? RV64_OP_JR : RV64_OP_JALR;
}

static uint8_t decode_misc_mem(uint32_t raw)
{
    switch (bits(raw, 12, 3)) {
    case 0: return RV64_OP_NOP; /* FENCE: one hart, and devices run on its thread */
    case 1: return RV64_OP_FENCE_I;
    default: return ILLEGAL;
    }
}

static uint8_t decode_system(uint32_t raw, struct rv64_insn *insn)
{
    insn->imm = (int32_t)raw;
    if (bits(raw, 12, 3) == 4)
        return ILLEGAL;
    if (bits(raw, 12, 3) != 0)
        return RV64_OP_CSR;
    if (bits(raw, 25, 7) == 0x09 && bits(raw, 7, 5) == 0)
        return RV64_OP_SFENCE_VMA;
    switch (raw) {
    case 0x00000073: return RV64_OP_ECALL;
    case 0x00100073: return RV64_OP_EBREAK;
    case 0x10200073: return RV64_OP_SRET;
    case 0x30200073: return RV64_OP_MRET;
    case 0x10500073: return RV64_OP_WFI;
    default: return ILLEGAL;
    }
}

static uint8_t decode_upper(uint32_t raw, uint8_t op, struct rv64_insn *insn)
{
    insn->imm = (int32_t)(raw & 0xfffff000);
    return unless_hint(op, insn);
}

static uint8_t decode_32(uint32_t raw, uint32_t offset, struct rv64_insn *insn)
{
    uint8_t rd = (uint8_t)bits(raw, 7, 5);

    insn->rd = rd ? rd : SINK;
    insn->rs1 = (uint8_t)bits(raw, 15, 5);
    insn->rs2 = (uint8_t)bits(raw, 20, 5);
    insn->imm = (int32_t)raw;
    switch (raw & 0x7f) {
    case 0x03: return decode_load(raw, insn);
    case 0x07: return decode_load_fp(raw, insn);
    case 0x0f: return decode_misc_mem(raw);
    case 0x13: return decode_op_imm(raw, insn);
    case 0x17: return decode_upper(raw, RV64_OP_AUIPC, insn);
    case 0x1b: return decode_op_imm_32(raw, insn);
    case 0x23: return decode_store(raw, insn);
    case 0x27: return decode_store_fp(raw, insn);
    case 0x2f: return decode_amo(raw, insn);
    case 0x33: return decode_op(raw, insn);
    case 0x37: return decode_upper(raw, RV64_OP_LUI, insn);
    case 0x3b: return decode_op_32(raw, insn);
    case 0x43: /* FMADD */
    case 0x47: /* FMSUB */
    case 0x4b: /* FNMSUB */
    case 0x4f: /* FNMADD */
    case 0x53: /* OP-FP */ return RV64_OP_FP;
    case 0x63: return decode_branch(raw, offset, insn);
    case 0x67: return decode_jalr(raw, insn);
    case 0x6f: return decode_jal(raw, offset, insn);
    case 0x73: return decode_system(raw, insn);
    default: return ILLEGAL;
    }
}

/* The two-byte form of what a compressed instruction expands to. Jumps without link have one form.
 */
static uint8_t compressed_form(uint8_t op, const struct rv64_insn *insn)
{
    static const uint8_t forms[RV64_OP_COUNT] = {
        [RV64_OP_NOP] = RV64_OP_C_NOP,
        [RV64_OP_LUI] = RV64_OP_C_LUI,
        [RV64_OP_J] = RV64_OP_J,
        [RV64_OP_J_FAR] = RV64_OP_J_FAR,
        [RV64_OP_JR] = RV64_OP_JR,
        [RV64_OP_JALR] = RV64_OP_C_JALR,
        [RV64_OP_BEQ] = RV64_OP_C_BEQZ,
        [RV64_OP_BNE] = RV64_OP_C_BNEZ,
        [RV64_OP_BEQ_FAR] = RV64_OP_C_BEQZ_FAR,
        [RV64_OP_BNE_FAR] = RV64_OP_C_BNEZ_FAR,
        [RV64_OP_LW] = RV64_OP_C_LW,
        [RV64_OP_LD] = RV64_OP_C_LD,
        [RV64_OP_SW] = RV64_OP_C_SW,
        [RV64_OP_SD] = RV64_OP_C_SD,
        [RV64_OP_FLD] = RV64_OP_C_FLD,
        [RV64_OP_FSD] = RV64_OP_C_FSD,
        [RV64_OP_ADDI] = RV64_OP_C_ADDI,
        [RV64_OP_ANDI] = RV64_OP_C_ANDI,
        [RV64_OP_SLLI] = RV64_OP_C_SLLI,
        [RV64_OP_SRLI] = RV64_OP_C_SRLI,
        [RV64_OP_SRAI] = RV64_OP_C_SRAI,
        [RV64_OP_ADDIW] = RV64_OP_C_ADDIW,
        [RV64_OP_ADD] = RV64_OP_C_ADD,
        [RV64_OP_SUB] = RV64_OP_C_SUB,
        [RV64_OP_XOR] = RV64_OP_C_XOR,
        [RV64_OP_OR] = RV64_OP_C_OR,
        [RV64_OP_AND] = RV64_OP_C_AND,
        [RV64_OP_ADDW] = RV64_OP_C_ADDW,
        [RV64_OP_SUBW] = RV64_OP_C_SUBW,
        [RV64_OP_EBREAK] = RV64_OP_C_EBREAK,
        [RV64_OP_ILLEGAL] = RV64_OP_ILLEGAL,
    };

    if (op == RV64_OP_ADD && insn->rs1 == 0)
        return RV64_OP_C_MV;
    return forms[op];
}

void rv64_decode(uint32_t raw, uint32_t offset, struct rv64_insn *ret_insn)
{
    struct rv64_insn insn = {0};
    uint32_t wide = raw;
    bool compressed = (raw & 3) != 3;

    if (compressed)
        wide = rv64_decode_expand((uint16_t)raw);
    insn.op = decode_32(wide, offset, &insn);
    if (compressed)
        insn.op = compressed_form(insn.op, &insn);
    *ret_insn = insn;
}
