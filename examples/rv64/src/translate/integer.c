/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Integer computation. A guest register is an operand in a host register or in memory, and
 * x86-64 takes one of the latter an instruction; results are computed in their home, if they have
 * one and no operand is still needed from there, else in RAX.
 */

#include "emit.h"

static void load_constant(struct rv64_emit *e, const struct rv64_insn *d, uint64_t value)
{
    rv64_emit_constant(e, d->rd, value);
}

static void move(struct rv64_emit *e, uint32_t rd, uint32_t rs)
{
    if (rd == rs)
        return;
    if (rs == 0)
        rv64_emit_constant(e, rd, 0);
    else if (emit_has_home(rd))
        emit_get(e, rv64_emit_home[rd], rs);
    else
        emit_put(e, rd, emit_in_reg(e, rs, X86_RAX));
}

static void add_imm(struct rv64_emit *e, const struct rv64_insn *d)
{
    uint32_t to = emit_target(d->rd, X86_RAX);

    if (d->rs1 == 0) {
        rv64_emit_constant(e, d->rd, (uint64_t)(int64_t)d->imm);
    } else if (d->imm == 0) {
        move(e, d->rd, d->rs1);
    } else if (d->rd == d->rs1) {
        x86_arith_imm(&e->a, X86_I_ADD, X86_W, emit_rm(d->rd), d->imm);
    } else if (emit_has_home(d->rs1)) {
        x86_op(&e->a, X86_LEA | X86_W, to, x86_mem(rv64_emit_home[d->rs1], d->imm));
        emit_put(e, d->rd, to);
    } else {
        emit_get(e, to, d->rs1);
        x86_arith_imm(&e->a, X86_I_ADD, X86_W, x86_reg(to), d->imm);
        emit_put(e, d->rd, to);
    }
}

static void logic_imm(struct rv64_emit *e, const struct rv64_insn *d, uint32_t kind)
{
    uint32_t to = emit_target(d->rd, X86_RAX);

    if (d->op == RV64_OP_ANDI && d->imm == 0xff) {
        if (emit_has_home(d->rs1))
            x86_rr(&e->a, X86_MOVZX_8 | X86_8, to, rv64_emit_home[d->rs1]);
        else
            x86_op(&e->a, X86_MOVZX_8, to, emit_rm(d->rs1));
        emit_put(e, d->rd, to);
        return;
    }
    if (d->op == RV64_OP_XORI && d->imm == -1) {
        emit_get(e, to, d->rs1);
        x86_unary(&e->a, X86_NOT, X86_W, x86_reg(to));
        emit_put(e, d->rd, to);
        return;
    }
    if (d->rd == d->rs1) {
        x86_arith_imm(&e->a, kind, X86_W, emit_rm(d->rd), d->imm);
        return;
    }
    emit_get(e, to, d->rs1);
    /* A mask that is not negative leaves 32 bits. */
    x86_arith_imm(&e->a, kind, kind == X86_I_AND && d->imm >= 0 ? 0 : X86_W, x86_reg(to), d->imm);
    emit_put(e, d->rd, to);
}

static void shift_imm(struct rv64_emit *e, const struct rv64_insn *d, uint32_t kind)
{
    uint32_t to = emit_target(d->rd, X86_RAX);

    emit_get(e, to, d->rs1);
    if (d->imm)
        x86_shift_imm(&e->a, kind, X86_W, x86_reg(to), (uint32_t)d->imm);
    emit_put(e, d->rd, to);
}

/* ADDIW and shifts of words: 32 bits, sign-extended. */
static void word_imm(struct rv64_emit *e, const struct rv64_insn *d)
{
    uint32_t to = emit_target(d->rd, X86_RAX);
    struct rv64_insn add = *d;

    if (d->op == RV64_OP_ADDIW && d->rs1 == 0) {
        add_imm(e, &add);
        return;
    }
    if (d->imm == 0 && e->words >> d->rs1 & 1) {
        move(e, d->rd, d->rs1);
        return;
    }
    if (d->imm == 0) {
        x86_op(&e->a, X86_MOVSXD | X86_W, to, emit_rm(d->rs1));
        emit_put(e, d->rd, to);
        return;
    }
    if (d->op == RV64_OP_ADDIW && emit_has_home(d->rs1) && d->rs1 != d->rd) {
        x86_op(&e->a, X86_LEA, to, x86_mem(rv64_emit_home[d->rs1], d->imm));
    } else {
        if (!emit_has_home(d->rs1) || rv64_emit_home[d->rs1] != to)
            x86_op(&e->a, X86_MOV, to, emit_rm(d->rs1));
        switch (d->op) {
        case RV64_OP_ADDIW: x86_arith_imm(&e->a, X86_I_ADD, 0, x86_reg(to), d->imm); break;
        case RV64_OP_SLLIW: x86_shift_imm(&e->a, X86_SHL, 0, x86_reg(to), (uint32_t)d->imm); break;
        case RV64_OP_SRLIW: x86_shift_imm(&e->a, X86_SHR, 0, x86_reg(to), (uint32_t)d->imm); break;
        default: x86_shift_imm(&e->a, X86_SAR, 0, x86_reg(to), (uint32_t)d->imm); break;
        }
    }
    /* What was shifted right is not negative, and is extended by zeros. */
    if (d->op != RV64_OP_SRLIW)
        x86_rr(&e->a, X86_MOVSXD | X86_W, to, to);
    emit_put(e, d->rd, to);
}

static void swap_sources(struct rv64_insn *d)
{
    uint8_t rs1 = d->rs1;

    d->rs1 = d->rs2;
    d->rs2 = rs1;
}

/* rd = rs1 op rs2, in 64 bits or in 32 sign-extended. */
static void arith(struct rv64_emit *e, struct rv64_insn d, int32_t op, bool word)
{
    int32_t w = word ? 0 : X86_W;
    uint32_t to = emit_target(d.rd, X86_RAX);

    if (d.rd == d.rs2 && op != X86_SUB)
        swap_sources(&d);
    if (!word && d.rd == d.rs1 && !emit_has_home(d.rd) && emit_has_home(d.rs2)) {
        x86_op(&e->a, op + X86_ARITH_STORE + w, rv64_emit_home[d.rs2], emit_rm(d.rd));
        return;
    }
    if (op == X86_ADD && d.rd != d.rs1 && emit_has_home(d.rs1) && emit_has_home(d.rs2)) {
        x86_op(&e->a, X86_LEA | w, to,
               x86_mem_index(rv64_emit_home[d.rs1], rv64_emit_home[d.rs2], 0, 0));
    } else {
        if (d.rd == d.rs2 && d.rd != d.rs1)
            to = X86_RAX;
        if (!emit_has_home(d.rs1) || rv64_emit_home[d.rs1] != to)
            x86_op(&e->a, X86_MOV | w, to, emit_rm(d.rs1));
        x86_op(&e->a, op | w, to, emit_rm(d.rs2));
    }
    if (word) {
        uint32_t last = emit_target(d.rd, to);

        x86_rr(&e->a, X86_MOVSXD | X86_W, last, to);
        to = last;
    }
    emit_put(e, d.rd, to);
}

static void add(struct rv64_emit *e, const struct rv64_insn *d)
{
    if (d->rs1 == 0)
        move(e, d->rd, d->rs2);
    else if (d->rs2 == 0)
        move(e, d->rd, d->rs1);
    else
        arith(e, *d, X86_ADD, false);
}

static void sub(struct rv64_emit *e, const struct rv64_insn *d, bool word)
{
    uint32_t to = emit_target(d->rd, X86_RAX);

    if (d->rs1 != 0) {
        arith(e, *d, X86_SUB, word);
        return;
    }
    emit_get(e, to, d->rs2);
    x86_unary(&e->a, X86_NEG, word ? 0 : X86_W, x86_reg(to));
    if (word)
        x86_rr(&e->a, X86_MOVSXD | X86_W, to, to);
    emit_put(e, d->rd, to);
}

/* The count is taken modulo the width by both architectures. */
static void shift(struct rv64_emit *e, const struct rv64_insn *d, uint32_t kind, bool word)
{
    int32_t w = word ? 0 : X86_W;
    uint32_t to = d->rd == d->rs2 ? X86_RAX : emit_target(d->rd, X86_RAX);

    x86_op(&e->a, X86_MOV, X86_RCX, emit_rm(d->rs2));
    if (!emit_has_home(d->rs1) || rv64_emit_home[d->rs1] != to)
        x86_op(&e->a, X86_MOV | w, to, emit_rm(d->rs1));
    x86_shift_cl(&e->a, kind, w, x86_reg(to));
    if (word)
        x86_rr(&e->a, X86_MOVSXD | X86_W, to, to);
    emit_put(e, d->rd, to);
}

void rv64_emit_compare(struct rv64_emit *e, uint32_t rs1, uint32_t rs2)
{
    if (rs2 == 0) {
        if (emit_has_home(rs1))
            x86_rr(&e->a, X86_TEST | X86_W, rv64_emit_home[rs1], rv64_emit_home[rs1]);
        else
            x86_arith_imm(&e->a, X86_I_CMP, X86_W, emit_rm(rs1), 0);
    } else if (!emit_has_home(rs1) && emit_has_home(rs2)) {
        x86_op(&e->a, (X86_CMP + X86_ARITH_STORE) | X86_W, rv64_emit_home[rs2], emit_rm(rs1));
    } else {
        uint32_t a = emit_in_reg(e, rs1, X86_RAX);

        x86_op(&e->a, X86_CMP | X86_W, a, emit_rm(rs2));
    }
}

/* Sets rd to a condition; leaves the flags, for a branch that asks the same. */
static void set(struct rv64_emit *e, uint32_t rd, uint32_t cc)
{
    uint32_t to = emit_target(rd, X86_RAX);

    x86_op(&e->a, X86_SET + (int32_t)cc, 0, x86_reg(X86_RAX));
    x86_rr(&e->a, X86_MOVZX_8, to, X86_RAX);
    emit_put(e, rd, to);
}

/* Leaves word of the flags for a branch that asks whether rd is zero. */
static void set_less(struct rv64_emit *e, const struct rv64_insn *d)
{
    uint32_t cc;

    switch (d->op) {
    case RV64_OP_SLT:
        rv64_emit_compare(e, d->rs1, d->rs2);
        cc = X86_L;
        break;
    case RV64_OP_SLTU:
        cc = X86_B;
        if (d->rs1 == 0) { /* SNEZ */
            rv64_emit_compare(e, d->rs2, 0);
            cc = X86_NE;
        } else {
            rv64_emit_compare(e, d->rs1, d->rs2);
        }
        break;
    case RV64_OP_SLTI:
        x86_arith_imm(&e->a, X86_I_CMP, X86_W, emit_rm(d->rs1), d->imm);
        cc = X86_L;
        break;
    default:
        cc = X86_B;
        if (d->imm == 1) { /* SEQZ */
            rv64_emit_compare(e, d->rs1, 0);
            cc = X86_E;
        } else {
            x86_arith_imm(&e->a, X86_I_CMP, X86_W, emit_rm(d->rs1), d->imm);
        }
        break;
    }
    set(e, d->rd, cc);
    e->flags_of = d->rd;
    e->flags_cc = cc;
}

/* A constant in two instructions: LUI or AUIPC, and an addition to the same register. */
static uint32_t upper(struct rv64_emit *e, const struct emit_insn *insn)
{
    const struct emit_insn *second = emit_next(e);
    const struct rv64_insn *next = &insn[1].d;
    uint64_t value = (uint64_t)(int64_t)insn->d.imm;
    bool more = second && next->rd == insn->d.rd && next->rs1 == insn->d.rd;

    if (insn->d.op == RV64_OP_AUIPC)
        value += insn->pc;
    if (more && next->op == RV64_OP_ADDI) {
        load_constant(e, &insn->d, value + (uint64_t)(int64_t)next->imm);
        return 2;
    }
    if (more && next->op == RV64_OP_ADDIW) {
        load_constant(e, &insn->d, (uint64_t)(int32_t)(uint32_t)(value + (uint64_t)next->imm));
        return 2;
    }
    load_constant(e, &insn->d, value);
    return 1;
}

/* SLLI and SRLI or SRAI by as much or less: an extension, which may then be shifted left. */
static uint32_t shift_pair(struct rv64_emit *e, const struct emit_insn *insn)
{
    const struct rv64_insn *d = &insn->d;
    const struct rv64_insn *next = &insn[1].d;
    uint32_t to = emit_target(d->rd, X86_RAX);
    bool is_signed = next->op == RV64_OP_SRAI;
    int32_t op;

    if (!emit_next(e) || next->rd != d->rd || next->rs1 != d->rd ||
        (next->op != RV64_OP_SRLI && !is_signed) || next->imm > d->imm)
        return 0;
    switch (d->imm) {
    case 32: op = is_signed ? X86_MOVSXD | X86_W : X86_MOV; break;
    case 48: op = is_signed ? X86_MOVSX_16 | X86_W : X86_MOVZX_16; break;
    case 56: op = is_signed ? X86_MOVSX_8 | X86_W | X86_8 : X86_MOVZX_8 | X86_8; break;
    default: return 0;
    }
    x86_op(&e->a, op, to, emit_rm(d->rs1));
    if (d->imm != next->imm)
        x86_shift_imm(&e->a, X86_SHL, X86_W, x86_reg(to), (uint32_t)(d->imm - next->imm));
    emit_put(e, d->rd, to);
    return 2;
}

/* SLLI by 1 to 3 and ADD to the same register: an address computation. */
static uint32_t scaled_add(struct rv64_emit *e, const struct emit_insn *insn)
{
    const struct rv64_insn *d = &insn->d;
    const struct rv64_insn *next = &insn[1].d;
    uint32_t other;
    uint32_t to = emit_target(d->rd, X86_RAX);
    uint32_t index;

    if (!emit_next(e) || next->op != RV64_OP_ADD || next->rd != d->rd || d->imm < 1 || d->imm > 3 ||
        (next->rs1 == d->rd) == (next->rs2 == d->rd))
        return 0;
    other = next->rs1 == d->rd ? next->rs2 : next->rs1;
    index = emit_in_reg(e, d->rs1, X86_RAX);
    x86_op(&e->a, X86_LEA | X86_W, to,
           x86_mem_index(emit_in_reg(e, other, X86_RCX), index, (uint32_t)d->imm, 0));
    emit_put(e, d->rd, to);
    return 2;
}

static uint32_t pairs(struct rv64_emit *e, const struct emit_insn *insn)
{
    uint32_t count = shift_pair(e, insn);

    return count ? count : scaled_add(e, insn);
}

/* Is the result a word, sign-extended? Of some that are, by what they are computed from. */
static bool gives_word(const struct rv64_insn *d)
{
    switch (d->op) {
    case RV64_OP_LB:
    case RV64_OP_LH:
    case RV64_OP_LW:
    case RV64_OP_LBU:
    case RV64_OP_LHU:
    case RV64_OP_LUI:
    case RV64_OP_SLT:
    case RV64_OP_SLTU:
    case RV64_OP_SLTI:
    case RV64_OP_SLTIU:
    case RV64_OP_ADDIW:
    case RV64_OP_SLLIW:
    case RV64_OP_SRLIW:
    case RV64_OP_SRAIW:
    case RV64_OP_ADDW:
    case RV64_OP_SUBW:
    case RV64_OP_SLLW:
    case RV64_OP_SRLW:
    case RV64_OP_SRAW:
    case RV64_OP_MULW:
    case RV64_OP_DIVW:
    case RV64_OP_DIVUW:
    case RV64_OP_REMW:
    case RV64_OP_REMUW: return true;
    case RV64_OP_ANDI: return d->imm >= 0;
    case RV64_OP_SRLI: return d->imm > 32;
    case RV64_OP_ADDI: return d->rs1 == 0;
    default: return false;
    }
}

static bool keeps_words(uint32_t op)
{
    return op == RV64_OP_AND || op == RV64_OP_OR || op == RV64_OP_XOR;
}

/* Fields that are no destination are taken for one, too: that forgets more than it must. */
void rv64_emit_note(struct rv64_emit *e, const struct rv64_insn *d)
{
    const uint32_t words = e->words | 1; /* x0 */
    bool is_word = gives_word(d);

    if (keeps_words(d->op))
        is_word = words >> d->rs1 & words >> d->rs2 & 1;
    else if (d->op == RV64_OP_ADDI && d->imm == 0)
        is_word = words >> d->rs1 & 1;
    if (d->rd < 32)
        e->words &= ~(UINT32_C(1) << d->rd);
    if (d->rd < 32 && is_word)
        e->words |= UINT32_C(1) << d->rd;
}

uint32_t rv64_emit_integer(struct rv64_emit *e)
{
    const struct emit_insn *insn = &e->insns[e->at];
    const struct rv64_insn *d = &insn->d;
    uint32_t count;

    switch (d->op) {
    case RV64_OP_NOP: return 1;
    case RV64_OP_LUI:
    case RV64_OP_AUIPC: return upper(e, insn);
    case RV64_OP_ADDI: add_imm(e, d); return 1;
    case RV64_OP_SLTI:
    case RV64_OP_SLTIU:
    case RV64_OP_SLT:
    case RV64_OP_SLTU: set_less(e, d); return 1;
    case RV64_OP_XORI: logic_imm(e, d, X86_I_XOR); return 1;
    case RV64_OP_ORI: logic_imm(e, d, X86_I_OR); return 1;
    case RV64_OP_ANDI: logic_imm(e, d, X86_I_AND); return 1;
    case RV64_OP_SLLI:
        count = pairs(e, insn);
        if (count)
            return count;
        shift_imm(e, d, X86_SHL);
        return 1;
    case RV64_OP_SRLI: shift_imm(e, d, X86_SHR); return 1;
    case RV64_OP_SRAI: shift_imm(e, d, X86_SAR); return 1;
    case RV64_OP_ADDIW:
    case RV64_OP_SLLIW:
    case RV64_OP_SRLIW:
    case RV64_OP_SRAIW: word_imm(e, d); return 1;
    case RV64_OP_ADD: add(e, d); return 1;
    case RV64_OP_SUB: sub(e, d, false); return 1;
    case RV64_OP_SLL: shift(e, d, X86_SHL, false); return 1;
    case RV64_OP_SRL: shift(e, d, X86_SHR, false); return 1;
    case RV64_OP_SRA: shift(e, d, X86_SAR, false); return 1;
    case RV64_OP_XOR: arith(e, *d, X86_XOR, false); return 1;
    case RV64_OP_OR: arith(e, *d, X86_OR, false); return 1;
    case RV64_OP_AND: arith(e, *d, X86_AND, false); return 1;
    case RV64_OP_ADDW: arith(e, *d, X86_ADD, true); return 1;
    case RV64_OP_SUBW: sub(e, d, true); return 1;
    case RV64_OP_SLLW: shift(e, d, X86_SHL, true); return 1;
    case RV64_OP_SRLW: shift(e, d, X86_SHR, true); return 1;
    case RV64_OP_SRAW: shift(e, d, X86_SAR, true); return 1;
    default: return 0;
    }
}
