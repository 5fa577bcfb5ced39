/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random loops of floating point, and random programs of many blocks, translated and interpreted.
 * In translated code f registers stay in host registers from one block to the next, and share them;
 * what memory and registers hold must be right whenever somebody looks: C in the middle of a block,
 * a trap, the end of a slice, which may be at any block's begin.
 */

#include "csr.h"
#include "fpu.h"
#include "two_ways.h"

#define BASE UINT64_C(0x100000)
#define SIZE UINT64_C(0x3000)
#define DATA (BASE + 0x1f80)    /* x10: the end of a page is within reach */
#define VOID UINT64_C(0x900000) /* x11: nothing is there */

#define TRIED 500u
#define WORDS 256u /* of code */

/* Few f registers, so that they meet; or all, so that some have no homes. */
static uint32_t f_of(uint32_t many)
{
    return below(many ? 32 : 6);
}

#define OP_FP(funct5) (0x53u | (uint32_t)(funct5) << 27)
#define RM(rm)        ((uint32_t)(rm) << 12)

static uint32_t access(uint32_t many)
{
    const uint32_t base = below(60) ? 10 : 11;
    const uint32_t funct3 = RM(2 + below(2));
    const uint32_t offset = below(45) * 4;

    if (below(2))
        return 0x07u | funct3 | f_of(many) << 7 | base << 15 | offset << 20;
    return 0x27u | funct3 | f_of(many) << 20 | base << 15 | (offset >> 5) << 25 |
           (offset & 31) << 7;
}

/* FRCSR, FRFLAGS, FSFLAGS and the like; of x5 to x7. */
static uint32_t flags(uint32_t x)
{
    switch (below(6)) {
    case 0: return 0x00302073u | x << 7;
    case 1: return 0x00102073u | x << 7;
    case 2: return 0x00101073u | (5 + below(3)) << 15;
    case 3: return 0x00101073u | (5 + below(3)) << 15 | x << 7;
    case 4: return 0x00105073u | below(32) << 15 | below(2) * x << 7;
    default: return 0x00100013u | x << 7;
    }
}

/* What has to do with x5 to x7, and with C. */
static uint32_t mixed(uint32_t many)
{
    const uint32_t x = 5 + below(3), f = f_of(many), d = below(4) ? 1u << 25 : 0;

    switch (below(8)) {
    case 0: return OP_FP(0x1c) | d | f << 15 | x << 7; /* FMV */
    case 1: return OP_FP(0x1e) | d | x << 15 | f << 7;
    case 2: return OP_FP(0x18) | d | f << 15 | x << 7 | RM(RV64_RTZ) | below(4) << 20; /* FCVT */
    case 3: return OP_FP(0x1a) | d | x << 15 | f << 7 | RM(RV64_DYN) | below(4) << 20;
    case 4: return OP_FP(0x14) | d | f << 15 | f_of(many) << 20 | x << 7 | RM(below(3));
    case 5: return OP_FP(0x1c) | d | f << 15 | x << 7 | RM(1); /* FCLASS, in C */
    case 6: return flags(x);
    default: return OP_FP(0x08) | (d ? d : 1u << 20) | f << 15 | f_of(many) << 7 | RM(RV64_DYN);
    }
}

static uint32_t arithmetic(uint32_t many)
{
    const uint32_t operands = f_of(many) << 15 | f_of(many) << 20 | f_of(many) << 7;
    const uint32_t d = below(4) ? 1u << 25 : 0;
    const uint32_t op = below(8);

    if (op < 4)
        return OP_FP(op) | d | operands | RM(below(9) ? RV64_DYN : below(5));
    if (op < 6)
        return OP_FP(op) | d | operands | RM(below(2));
    return 0x43u | below(4) << 2 | d | operands | f_of(many) << 27 | RM(RV64_DYN);
}

static uint32_t branch(uint32_t funct3, uint32_t rs1, uint32_t rs2, int32_t offset)
{
    const uint32_t imm = (uint32_t)offset;

    return 0x63u | RM(funct3) | rs1 << 15 | rs2 << 20 | (imm >> 12 & 1) << 31 |
           (imm >> 5 & 63) << 25 | (imm >> 1 & 15) << 8 | (imm >> 11 & 1) << 7;
}

/* Some instructions, again and again until x20 is 0; now and then there is a branch out. */
static void program_make(uint32_t *code)
{
    const uint32_t dense = below(3) == 0; /* with accesses, so that they are in groups */
    const uint32_t many = below(3) == 0, length = 2 + below(20), out = below(length * 2);
    uint32_t at = 0;

    for (; at < length; at++)
        switch (below(dense ? 3 : 5)) {
        case 0: code[at] = access(many); break;
        case 1: code[at] = dense ? access(many) : mixed(many); break;
        default: code[at] = arithmetic(many); break;
        }
    if (out < length) /* when x20 is 3 */
        code[out] = branch(0, 20, 21, (int32_t)(length + 2 - out) * 4);
    code[at++] = 0xfff00013u | 20 << 15 | 20 << 7; /* ADDI x20, x20, -1 */
    code[at] = branch(1, 20, 0, -(int32_t)at * 4);
    code[at + 1] = INSN_ECALL;
}

static uint64_t value(void)
{
    static const uint64_t some[] = {0,
                                    UINT64_C(0x3ff0000000000000),
                                    UINT64_C(0xffffffff3f800000),
                                    UINT64_C(0xffffffff40490fdb),
                                    UINT64_C(0x7ff0000000000001),
                                    UINT64_C(0xfff8000000000001),
                                    UINT64_C(0x7ff0000000000000),
                                    UINT64_C(0x0000000000000001)};

    (void)below(2);
    return below(3) ? (below(2) ? UINT64_C(0xffffffff00000000) | random_state >> 32
                                : UINT64_C(0x3fe0000000000000) + (random_state >> 10))
                    : some[below(8)];
}

static void begin(struct state *s, const uint32_t *code, const uint64_t *values, uint64_t fcsr)
{
    memset(s->mmu.memory, 0, SIZE);
    memcpy(s->mmu.memory, code, WORDS * sizeof *code);
    memcpy(s->mmu.memory + (DATA - BASE), values, 32 * sizeof *values);
    restart(s, BASE, SIZE);
    memcpy(s->cpu.f, values, sizeof s->cpu.f);
    s->cpu.mstatus |= UINT64_C(1) << 13;
    s->cpu.fcsr = fcsr;
    s->cpu.x[10] = DATA;
    s->cpu.x[11] = VOID;
    s->cpu.x[20] = 1 + values[0] % 9;
    s->cpu.x[21] = 3;
    s->cpu.stvec = BASE + 63 * 4;
}

static void same(uint64_t seed)
{
    if (memcmp(got.cpu.f, expected.cpu.f, sizeof got.cpu.f) || got.cpu.fcsr != expected.cpu.fcsr ||
        !alike(SIZE))
        print_error("seed %llu\n", (unsigned long long)seed);
    for (uint32_t f = 0; f < 32; f++)
        if (got.cpu.f[f] != expected.cpu.f[f])
            print_error("f%u: %llx, not %llx\n", f, (unsigned long long)got.cpu.f[f],
                        (unsigned long long)expected.cpu.f[f]);
    assert_memory_equal(got.cpu.f, expected.cpu.f, sizeof got.cpu.f);
    assert_alike(SIZE);
    assert_int_equal(got.cpu.fcsr, expected.cpu.fcsr);
    assert_int_equal(got.cpu.mstatus, expected.cpu.mstatus);
}

static void one_loop(uint64_t seed, uint64_t slice)
{
    uint32_t code[WORDS] = {[63] = INSN_ECALL};
    uint64_t values[32], fcsr;

    random_begin(seed);
    program_make(code);
    for (uint32_t i = 0; i < 32; i++)
        values[i] = value();
    fcsr = below(6) ? 0 : below(5) << 5;
    begin(&expected, code, values, fcsr);
    begin(&got, code, values, fcsr);
    assert_true(loop_init(&loop, &got.cpu, true));
    run(&expected, 100000, 100000);
    run(&got, slice, 100000);
    same(seed);
    loop_fini(&loop);
}

/* Those that share a home with some other, and the whole lot. */
static uint32_t f_change(uint32_t insn, const uint8_t few[8])
{
    const uint32_t rd = insn >> 7 & 31, rs1 = insn >> 15 & 31, rs2 = insn >> 20 & 31;

    if ((insn & 0x7f) != 0x53 || insn >> 28 == 12 || insn >> 28 == 13 || insn >> 30 == 1)
        return insn;
    insn &= ~(31u << 7 | 31u << 15 | 31u << 20);
    return insn | (uint32_t)few[rd % 8] << 7 | (uint32_t)few[rs1 % 8] << 15 |
           (uint32_t)few[rs2 % 8] << 20;
}

#define CSR_SSTATUS_CLEAR_FS 0x100b3073u /* CSRRC x0, sstatus, x22 */

/* many: 0: those, 1: three registers, so that blocks often fit each other, 2: all. */
static uint32_t any(uint32_t many)
{
    static const uint8_t few[2][8] = {{15, 27, 14, 26, 10, 5, 30, 13},
                                      {15, 14, 13, 15, 14, 13, 15, 14}};

    switch (below(12) | (many == 1 && below(2) ? 7 : 0)) {
    case 0:
    case 1: return access(many == 2);
    case 2:
    case 3: return mixed(many == 2);
    case 4: return below(6) ? 0x00128293u : CSR_SSTATUS_CLEAR_FS; /* ADDI x5, x5, 1 */
    case 5: return 0x00530333u;                                   /* ADD x6, x6, x5 */
    case 6: return branch(below(2), 5 + below(3), 0, 8 + 4 * (int32_t)below(2));
    case 7: /* FLT.D x7 of two of them, which writes none */
        return OP_FP(0x14) | 1u << 25 | (13 + below(3)) << 15 | (13 + below(3)) << 20 | 7u << 7 |
               RM(1);
    default: return many == 2 ? arithmetic(1) : f_change(arithmetic(0), few[many]);
    }
}

/* FRFLAGS x6; FLT or FLE; FSFLAGS x6: or something like it. */
static void quiet(uint32_t *code)
{
    code[0] = 0x00102373u;
    code[1] = OP_FP(0x14) | below(2) << 25 | (13 + below(3)) << 15 | (13 + below(3)) << 20 |
              (5 + below(3)) << 7 | RM(below(3));
    code[2] = below(9) ? 0x00131073u : 0x00139073u;
}

/* A piece of code begins with this many instructions that count down to the end. */
#define COUNTS 2u

/* How a piece ends: falls through, a branch to some piece, a jump, an indirect one. */
static uint32_t piece_end(uint32_t *code, uint32_t at, const uint32_t *pieces, uint32_t count)
{
    const uint32_t to = pieces[below(count)];
    const int32_t distance = ((int32_t)to - (int32_t)at) * 4;

    switch (below(5)) {
    case 0: return at;
    case 1: code[at] = branch(below(2), 5 + below(3), 0, distance); return at + 1;
    case 2:
        code[at] = 0x6fu | ((uint32_t)distance >> 20 & 1) << 31 |
                   ((uint32_t)distance >> 1 & 1023) << 21 | ((uint32_t)distance >> 11 & 1) << 20 |
                   ((uint32_t)distance >> 12 & 255) << 12;
        return at + 1;
    case 3:
        code[at] = 0x67u | 24 << 15 | to * 4 << 20; /* JALR x0, x24 */
        return at + 1;
    default: code[at] = branch(4 + below(2), 6, 5, distance); return at + 1;
    }
}

/* More of singles, which must be boxed. */
static void make_single(uint32_t *code, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if ((code[i] & 0x7f) == 0x53 && code[i] >> 27 < 6 && below(3))
            code[i] &= ~(1u << 25);
}

/* Pieces that end anywhere, until x20 is 0; traps skip an instruction, and have FS on. */
static void chain_make(uint32_t *code)
{
    static const uint32_t handler[] = {0x100b2073u, 0x14102bf3u, 0x004b8b93u, 0x141b9073u,
                                       0x10200073u};
    const uint32_t end = 240, many = below(3), count = 2 + below(9);
    uint32_t pieces[12], lengths[12], at = 0;

    for (uint32_t i = 0; i < count; i++) {
        lengths[i] = below(below(2) ? 4 : 14);
        pieces[i] = at;
        at += COUNTS + lengths[i] + 3; /* a branch over two may be the last but one */
    }
    for (uint32_t i = 0; i < count; i++) {
        at = pieces[i];
        code[at++] = 0xfff00013u | 20 << 15 | 20 << 7; /* ADDI x20, x20, -1 */
        code[at] = branch(0, 20, 0, (int32_t)(end - at) * 4);
        at++;
        for (uint32_t n = 0; n < lengths[i]; n++)
            code[at++] = any(many);
        if (lengths[i] > 4 && below(2))
            quiet(code + at - 3);
        for (uint32_t next = piece_end(code, at, pieces, count); next < at + 3; next++)
            code[next] = 0x00000013u;
    }
    code[at + 3] = branch(0, 0, 0, -(int32_t)(at + 3) * 4);
    if (below(2))
        make_single(code, at);
    code[end] = INSN_ECALL;
    memcpy(code + 63 + 180, handler, sizeof handler);
}

/* Brings the interpreted hart to where the other one is, which may have taken a trap more. */
static void follow(void)
{
    while (expected.cpu.stats.instructions < got.cpu.stats.instructions)
        (void)rv64_cpu_step(&expected.cpu);
    for (uint32_t traps = 0; traps < 3 && expected.cpu.pc != got.cpu.pc; traps++)
        (void)rv64_cpu_step(&expected.cpu);
}

static void one_chain(uint64_t seed, bool link, bool eager)
{
    uint32_t code[WORDS] = {0};
    uint64_t values[32], fcsr;

    random_begin(seed);
    chain_make(code);
    for (uint32_t i = 0; i < 32; i++)
        values[i] = value();
    fcsr = below(2) * (below(5) << 5);
    begin(&expected, code, values, fcsr);
    begin(&got, code, values, fcsr);
    for (uint32_t i = 0; i < 2; i++) {
        struct rv64_cpu *cpu = i ? &got.cpu : &expected.cpu;

        cpu->stvec = BASE + 243 * 4;
        cpu->x[20] = 200;
        cpu->x[22] = RV64_MSTATUS_FS;
        cpu->x[24] = BASE;
    }
    assert_true(loop_init(&loop, &got.cpu, link));
    loop.thunks.eager = eager;
    while (rv64_cpu_run(&got.cpu, 1 + below(150)) != RV64_RUN_STOP) {
        assert_true(got.cpu.stats.instructions < 100000);
        follow();
        same(seed);
    }
    run(&expected, 100000, 100000);
    same(seed);
    loop_fini(&loop);
}

static void loops(bool probe_hits, uint64_t slice)
{
    uint32_t count;
    const uint64_t seed = first_seed(TRIED, &count);

    both_make(BASE, SIZE, probe_hits);
    for (uint32_t i = 0; i < count; i++)
        one_loop(seed + i, slice);
    both_destroy();
}

static void chains(bool probe_hits, bool link, bool eager)
{
    uint32_t count;
    const uint64_t seed = first_seed(TRIED, &count);

    both_make(BASE, SIZE, probe_hits);
    for (uint32_t i = 0; i < TRIED; i++)
        one_chain(seed + i, link, eager);
    both_destroy();
}

static void at_each_slice_blocks_are_as_interpreted(void **state)
{
    (void)state;
    chains(true, true, false);
}

static void at_each_slice_blocks_are_as_interpreted_when_every_probe_misses(void **state)
{
    (void)state;
    chains(false, true, false);
}

static void at_each_slice_blocks_are_as_interpreted_unlinked(void **state)
{
    (void)state;
    chains(true, false, false);
}

static void at_each_slice_blocks_are_as_interpreted_without_regstate(void **state)
{
    (void)state;
    chains(true, true, true);
}

static void loops_end_as_interpreted(void **state)
{
    (void)state;
    loops(true, 100000);
}

static void loops_end_as_interpreted_when_every_probe_misses(void **state)
{
    (void)state;
    loops(false, 100000);
}

static void loops_end_as_interpreted_in_short_slices(void **state)
{
    (void)state;
    loops(true, 29);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_end_as_interpreted),
        cmocka_unit_test(loops_end_as_interpreted_when_every_probe_misses),
        cmocka_unit_test(loops_end_as_interpreted_in_short_slices),
        cmocka_unit_test(at_each_slice_blocks_are_as_interpreted),
        cmocka_unit_test(at_each_slice_blocks_are_as_interpreted_when_every_probe_misses),
        cmocka_unit_test(at_each_slice_blocks_are_as_interpreted_unlinked),
        cmocka_unit_test(at_each_slice_blocks_are_as_interpreted_without_regstate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
