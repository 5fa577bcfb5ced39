/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What each decoded instruction does: the inside of execute() in interp.c, and included nowhere
 * else. A body ends in a jump to the next one; the macros are explained there.
 */

/* Not instructions. */

OP(UNDECODED)
{
    rv64_decode_entry(cpu, e);
    DISPATCH();
}

OP(PAGE_END)
{
    target = PC;
    goto jump_far;
}

OP(STRADDLE)
{
    SYNC();
    e = fetch_straddling(cpu, e, cpu->pc);
    if (!e)
        goto trap;
    bias = cpu->pc - ((uintptr_t)e >> RV64_INSN_SHIFT);
    page_va = NO_PAGE;
    DISPATCH();
}

OP(ILLEGAL)
{
    SYNC();
    goto illegal;
}

/* Constants, and jumps. */

OP(NOP) NEXT(4);
OP(C_NOP) NEXT(2);
ALU_OP(LUI, 4, IMM);
ALU_OP(C_LUI, 2, IMM);
ALU_OP(AUIPC, 4, PC + IMM);

OP(J) JUMP_NEAR();
OP(J_FAR)
{
    target = PC + IMM;
    JUMP_FAR();
}
OP(JAL)
{
    RD = PC + 4;
    JUMP_NEAR();
}
OP(JAL_FAR)
{
    target = PC + IMM;
    RD = PC + 4;
    JUMP_FAR();
}
OP(JR)
{
    target = (RS1 + IMM) & ~UINT64_C(1);
    JUMP();
}
OP(JALR)
{
    target = (RS1 + IMM) & ~UINT64_C(1);
    RD = PC + 4;
    JUMP();
}
OP(C_JALR)
{
    target = RS1 & ~UINT64_C(1);
    RD = PC + 2;
    JUMP();
}

BRANCH_OP(BEQ, 4, RS1 == RS2);
BRANCH_OP(BNE, 4, RS1 != RS2);
BRANCH_OP(BLT, 4, (int64_t)RS1 < (int64_t)RS2);
BRANCH_OP(BGE, 4, (int64_t)RS1 >= (int64_t)RS2);
BRANCH_OP(BLTU, 4, RS1 < RS2);
BRANCH_OP(BGEU, 4, RS1 >= RS2);
BRANCH_OP(C_BEQZ, 2, RS1 == 0);
BRANCH_OP(C_BNEZ, 2, RS1 != 0);
BRANCH_FAR_OP(BEQ_FAR, 4, RS1 == RS2);
BRANCH_FAR_OP(BNE_FAR, 4, RS1 != RS2);
BRANCH_FAR_OP(BLT_FAR, 4, (int64_t)RS1 < (int64_t)RS2);
BRANCH_FAR_OP(BGE_FAR, 4, (int64_t)RS1 >= (int64_t)RS2);
BRANCH_FAR_OP(BLTU_FAR, 4, RS1 < RS2);
BRANCH_FAR_OP(BGEU_FAR, 4, RS1 >= RS2);
BRANCH_FAR_OP(C_BEQZ_FAR, 2, RS1 == 0);
BRANCH_FAR_OP(C_BNEZ_FAR, 2, RS1 != 0);

/* Loads and stores. */

LOAD_OP(LB, 4, int8_t, RD, SIGNED);
LOAD_OP(LH, 4, int16_t, RD, SIGNED);
LOAD_OP(LW, 4, int32_t, RD, SIGNED);
LOAD_OP(LD, 4, uint64_t, RD, UNSIGNED);
LOAD_OP(LBU, 4, uint8_t, RD, UNSIGNED);
LOAD_OP(LHU, 4, uint16_t, RD, UNSIGNED);
LOAD_OP(LWU, 4, uint32_t, RD, UNSIGNED);
LOAD_OP(C_LW, 2, int32_t, RD, SIGNED);
LOAD_OP(C_LD, 2, uint64_t, RD, UNSIGNED);

STORE_OP(SB, 4, uint8_t, RS2);
STORE_OP(SH, 4, uint16_t, RS2);
STORE_OP(SW, 4, uint32_t, RS2);
STORE_OP(SD, 4, uint64_t, RS2);
STORE_OP(C_SW, 2, uint32_t, RS2);
STORE_OP(C_SD, 2, uint64_t, RS2);

OP(FLW)
{
    NEED_FPU();
    LOAD(4, uint32_t, f[e->rd], BOXED);
}
OP(FLD)
{
    NEED_FPU();
    LOAD(4, uint64_t, f[e->rd], UNSIGNED);
}
OP(C_FLD)
{
    NEED_FPU();
    LOAD(2, uint64_t, f[e->rd], UNSIGNED);
}
OP(FSW)
{
    NEED_FPU_CLEAN();
    STORE(4, uint32_t, f[e->rs2]);
}
OP(FSD)
{
    NEED_FPU_CLEAN();
    STORE(4, uint64_t, f[e->rs2]);
}
OP(C_FSD)
{
    NEED_FPU_CLEAN();
    STORE(2, uint64_t, f[e->rs2]);
}

/* Integer computation. */

ALU_OP(ADDI, 4, RS1 + IMM);
ALU_OP(SLTI, 4, (int64_t)RS1 < e->imm);
ALU_OP(SLTIU, 4, RS1 < IMM);
ALU_OP(XORI, 4, RS1 ^ IMM);
ALU_OP(ORI, 4, RS1 | IMM);
ALU_OP(ANDI, 4, bits_of(RS1, IMM));
ALU_OP(SLLI, 4, RS1 << e->imm);
ALU_OP(SRLI, 4, RS1 >> e->imm);
ALU_OP(SRAI, 4, (int64_t)RS1 >> e->imm);
ALU_OP(C_ADDI, 2, RS1 + IMM);
ALU_OP(C_ANDI, 2, bits_of(RS1, IMM));
ALU_OP(C_SLLI, 2, RS1 << e->imm);
ALU_OP(C_SRLI, 2, RS1 >> e->imm);
ALU_OP(C_SRAI, 2, (int64_t)RS1 >> e->imm);
ALU_OP(ADDIW, 4, WORD(RS1 + IMM));
ALU_OP(C_ADDIW, 2, WORD(RS1 + IMM));
ALU_OP(SLLIW, 4, WORD(RS1 << e->imm));
ALU_OP(SRLIW, 4, WORD((uint32_t)RS1 >> e->imm));
ALU_OP(SRAIW, 4, (int32_t)RS1 >> e->imm);

ALU_OP(ADD, 4, RS1 + RS2);
ALU_OP(SUB, 4, RS1 - RS2);
ALU_OP(SLL, 4, RS1 << (RS2 & 63));
ALU_OP(SLT, 4, (int64_t)RS1 < (int64_t)RS2);
ALU_OP(SLTU, 4, RS1 < RS2);
ALU_OP(XOR, 4, RS1 ^ RS2);
ALU_OP(SRL, 4, RS1 >> (RS2 & 63));
ALU_OP(SRA, 4, (int64_t)RS1 >> (RS2 & 63));
ALU_OP(OR, 4, RS1 | RS2);
ALU_OP(AND, 4, bits_of(RS1, RS2));
ALU_OP(C_ADD, 2, RS1 + RS2);
ALU_OP(C_SUB, 2, RS1 - RS2);
ALU_OP(C_XOR, 2, RS1 ^ RS2);
ALU_OP(C_OR, 2, RS1 | RS2);
ALU_OP(C_AND, 2, bits_of(RS1, RS2));
ALU_OP(C_MV, 2, RS2);
ALU_OP(ADDW, 4, WORD(RS1 + RS2));
ALU_OP(SUBW, 4, WORD(RS1 - RS2));
ALU_OP(C_ADDW, 2, WORD(RS1 + RS2));
ALU_OP(C_SUBW, 2, WORD(RS1 - RS2));
ALU_OP(SLLW, 4, WORD(RS1 << (RS2 & 31)));
ALU_OP(SRLW, 4, WORD((uint32_t)RS1 >> (RS2 & 31)));
ALU_OP(SRAW, 4, (int32_t)RS1 >> (RS2 & 31));

ALU_OP(MUL, 4, product(RS1, RS2));
ALU_OP(MULH, 4, mulh((int64_t)RS1, (int64_t)RS2));
ALU_OP(MULHSU, 4, mulhsu((int64_t)RS1, RS2));
ALU_OP(MULHU, 4, mulhu(RS1, RS2));
ALU_OP(DIV, 4, divide((int64_t)RS1, (int64_t)RS2));
ALU_OP(DIVU, 4, RS2 ? RS1 / RS2 : UINT64_MAX);
ALU_OP(REM, 4, remainder_of((int64_t)RS1, (int64_t)RS2));
ALU_OP(REMU, 4, RS2 ? RS1 % RS2 : RS1);
ALU_OP(MULW, 4, WORD(product(RS1, RS2)));
ALU_OP(DIVW, 4, WORD(divide((int32_t)RS1, (int32_t)RS2)));
ALU_OP(DIVUW, 4, (uint32_t)RS2 ? WORD((uint32_t)RS1 / (uint32_t)RS2) : UINT64_MAX);
ALU_OP(REMW, 4, WORD(remainder_of((int32_t)RS1, (int32_t)RS2)));
ALU_OP(REMUW, 4, (uint32_t)RS2 ? WORD((uint32_t)RS1 % (uint32_t)RS2) : WORD(RS1));

/* Atomics, CSRs, floating point. */

SLOW_OP(LR_W, rv64_insn_atomic(cpu, e));
SLOW_OP(LR_D, rv64_insn_atomic(cpu, e));
SLOW_OP(SC_W, rv64_insn_atomic(cpu, e));
SLOW_OP(SC_D, rv64_insn_atomic(cpu, e));
SLOW_OP(AMO_W, rv64_insn_atomic(cpu, e));
SLOW_OP(AMO_D, rv64_insn_atomic(cpu, e));

OP(CSR)
{
    SYNC();
    if (UNLIKELY(rv64_csr_execute(cpu, (uint32_t)e->imm)))
        goto illegal;
    NEXT_SLOW(4);
}

OP(FP)
{
    if (UNLIKELY(rv64_fpu_execute(cpu, (uint32_t)e->imm))) {
        SYNC();
        goto illegal;
    }
    NEXT(4);
}

/* Fences. What is mapped where, or what is there, may have changed: look the next page up. */

OP(FENCE_I)
{
    rv64_insn_fence_i(cpu);
    target = PC + 4;
    JUMP_FAR();
}

OP(SFENCE_VMA)
{
    SYNC();
    if (rv64_insn_sfence_vma(cpu, e))
        goto illegal;
    target = cpu->pc + 4;
    JUMP_FAR();
}

/* Into and out of privilege: these leave the block, having set cpu->pc. */

OP(ECALL)
{
    SYNC();
    if (cpu->priv != RV64_PRIV_S || !cpu->ops || !cpu->ops->sbi_call) {
        cpu->trap.cause = (uint64_t)RV64_CAUSE_ECALL_U + cpu->priv;
        cpu->trap.value = 0;
        goto trap;
    }
    cpu->ops->sbi_call(cpu->machine, cpu);
    cpu->pc += 4;
    n--;
    goto out;
}

OP(EBREAK)
OP(C_EBREAK)
{
    SYNC();
    cpu->trap.cause = RV64_CAUSE_BREAKPOINT;
    cpu->trap.value = cpu->pc;
    goto trap;
}

OP(SRET)
{
    SYNC();
    if (rv64_cpu_sret(cpu))
        goto illegal;
    n--;
    goto out;
}

OP(MRET)
{
    SYNC();
    if (rv64_cpu_mret(cpu))
        goto illegal;
    n--;
    goto out;
}

OP(WFI)
{
    SYNC();
    if (rv64_cpu_wfi(cpu))
        goto illegal;
    cpu->pc += 4;
    n--;
    goto out;
}
