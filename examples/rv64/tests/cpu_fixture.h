/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TEST_CPU_FIXTURE_H
#define RV64_TEST_CPU_FIXTURE_H

/*
 * A hart with flat memory, and instructions to put there. Each test is run twice: with a probe
 * that hits and with one that never does.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cpu.h"
#include "csr.h"
#include "decode.h"
#include "fake_mmu.h"

#define BASE    UINT64_C(0x80000000)
#define SIZE    UINT64_C(0x40000)
#define DATA    (BASE + 0x10000)
#define HANDLER (BASE + 0x20000) /* where traps go; WFI is there */

struct fixture {
    struct fake_mmu m;
    struct rv64_cpu cpu;
    uint64_t at; /* where put16() and put32() write next */
    uint32_t sbi_calls;
    uint64_t sbi_pc;
    bool sbi_stops;
    uint64_t now;
    void *engine; /* fixture_engine()'s */
};

int fixture_setup_hit(void **state);
int fixture_setup_miss(void **state);
int fixture_teardown(void **state);

/** Gives the hart what it is run by: nothing for the interpreter, see fixture_interpret.c. */
void fixture_engine(struct fixture *f);
void fixture_engine_end(struct fixture *f);

/** Writes instructions at f->at and advances it. */
void put16(struct fixture *f, uint32_t code);
void put32(struct fixture *f, uint32_t code);

/** Runs exactly what was put from BASE on, one budget, to the WFI that this adds. */
void run(struct fixture *f);

/** Runs from BASE after having it in a mode, with traps to S-mode delegated or not. */
void run_in(struct fixture *f, uint8_t priv);

/* Instruction formats: what the manual calls them. */

static inline uint32_t i_insn(uint32_t opcode, uint32_t funct3, uint32_t rd, uint32_t rs1,
                              uint32_t imm)
{
    return imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static inline uint32_t r_insn(uint32_t opcode, uint32_t funct3, uint32_t funct7, uint32_t rd,
                              uint32_t rs1, uint32_t rs2)
{
    return funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static inline uint32_t s_insn(uint32_t opcode, uint32_t funct3, uint32_t rs1, uint32_t rs2,
                              uint32_t imm)
{
    return r_insn(opcode, funct3, imm >> 5 & 127, imm & 31, rs1, rs2);
}

static inline uint32_t addi(uint32_t rd, uint32_t rs1, int32_t imm)
{
    return i_insn(0x13, 0, rd, rs1, (uint32_t)imm);
}

static inline uint32_t csrrw(uint32_t rd, uint32_t csr, uint32_t rs1)
{
    return i_insn(0x73, 1, rd, rs1, csr);
}

static inline uint32_t csrrs(uint32_t rd, uint32_t csr, uint32_t rs1)
{
    return i_insn(0x73, 2, rd, rs1, csr);
}

static inline uint32_t jal(uint32_t rd, int32_t offset)
{
    uint32_t imm = (uint32_t)offset;

    return (imm >> 20 & 1) << 31 | (imm >> 1 & 1023) << 21 | (imm >> 11 & 1) << 20 |
           (imm >> 12 & 255) << 12 | rd << 7 | 0x6f;
}

static inline uint32_t branch(uint32_t funct3, uint32_t rs1, uint32_t rs2, int32_t offset)
{
    uint32_t imm = (uint32_t)offset;

    return r_insn(0x63, funct3, (imm >> 12 & 1) << 6 | (imm >> 5 & 63),
                  (imm >> 1 & 15) << 1 | (imm >> 11 & 1), rs1, rs2);
}

#define INSN_ECALL   0x00000073u
#define INSN_EBREAK  0x00100073u
#define INSN_SRET    0x10200073u
#define INSN_MRET    0x30200073u
#define INSN_WFI     0x10500073u
#define INSN_FENCE_I 0x0000100fu
#define INSN_SFENCE  0x12000073u
#define INSN_C_NOP   0x0001u

/** The last trap was this one. */
static inline void assert_trapped(const struct fixture *f, uint64_t cause, uint64_t epc,
                                  uint64_t tval)
{
    assert_int_equal(f->cpu.mcause, cause);
    assert_int_equal(f->cpu.mepc, epc);
    assert_int_equal(f->cpu.mtval, tval);
}

/** A test that is run with either fixture. */
#define BOTH(test)                                                                \
    {#test " (probe hits)", test, fixture_setup_hit, fixture_teardown, NULL},     \
    {                                                                             \
#test " (probe misses)", test, fixture_setup_miss, fixture_teardown, NULL \
    }

#endif /* RV64_TEST_CPU_FIXTURE_H */
