/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Translated floating point against the interpreter's, which is held against QEMU: every operation,
 * rounding mode and pair of edge values, and triple where there are three operands; with operands
 * that are the same register, and in registers that have homes and that have none.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "csr.h"
#include "fake_mmu.h"
#include "fpu.h"
#include "translate_loop.h"

#define BASE UINT64_C(0x100000)
#define SIZE UINT64_C(0x2000)

#define INSN_ECALL 0x00000073u

#define BOXED(x) (UINT64_C(0xffffffff00000000) | (x))

static const uint64_t doubles[] = {
    0,
    UINT64_C(0x8000000000000000),
    UINT64_C(0x3ff0000000000000), /* 1 */
    UINT64_C(0xbff0000000000000),
    UINT64_C(0x3fe0000000000000), /* a half */
    UINT64_C(0xc004000000000000), /* -2.5 */
    UINT64_C(0x3ff0000000000001),
    UINT64_C(0x3ca0000000000000), /* half an ulp of 1 */
    UINT64_C(0x7ff0000000000000),
    UINT64_C(0xfff0000000000000),
    UINT64_C(0x7ff8000000000000),
    UINT64_C(0xfff8000000000005), /* not canonical */
    UINT64_C(0x7ff0000000000001), /* signals */
    UINT64_C(0x0000000000000001),
    UINT64_C(0x800fffffffffffff),
    UINT64_C(0x0010000000000000),
    UINT64_C(0x7fefffffffffffff),
    UINT64_C(0x41dfffffffe00000), /* about 2^31, 2^32, 2^63, 2^64 */
    UINT64_C(0x41e0000000000000),
    UINT64_C(0xc1e0000000100000),
    UINT64_C(0xc1e0000000200000),
    UINT64_C(0x41efffffffe00000),
    UINT64_C(0x41effffffff00000),
    UINT64_C(0x41f0000000000000),
    UINT64_C(0x43dfffffffffffff),
    UINT64_C(0x43e0000000000000),
    UINT64_C(0xc3e0000000000000),
    UINT64_C(0xc3e0000000000001),
    UINT64_C(0x43f0000000000000),
    UINT64_C(0x47effffff0000000), /* overflows a single */
    UINT64_C(0x380fffffe0000001), /* and underflows */
};

static const uint64_t singles[] = {
    BOXED(0),
    BOXED(0x80000000),
    BOXED(0x3f800000),
    BOXED(0xbf800000),
    BOXED(0x3f000000),
    BOXED(0xc0200000),
    BOXED(0x3f800001),
    BOXED(0x33800000),
    BOXED(0x7f800000),
    BOXED(0xff800000),
    BOXED(0x7fc00000),
    BOXED(0xffc00007),
    BOXED(0x7f800001),
    BOXED(0x00000001),
    BOXED(0x807fffff),
    BOXED(0x00800000),
    BOXED(0x7f7fffff),
    BOXED(0x4effffff),
    BOXED(0x4f000000),
    BOXED(0xcf000000),
    BOXED(0xcf000001),
    BOXED(0x4f7fffff),
    BOXED(0x4f800000),
    BOXED(0x5effffff),
    BOXED(0x5f000000),
    BOXED(0xdf000000),
    BOXED(0x5f800000),
    UINT64_C(0x3f800000),
    UINT64_C(0x7ff8000000000000),
};

static const uint64_t integers[] = {
    0,
    1,
    UINT64_MAX,
    INT32_MAX,
    UINT64_C(0x80000000),
    UINT64_C(0xffffffff),
    UINT64_C(0x1000001),
    UINT64_C(0x20000000000001),
    UINT64_C(0x7fffffffffffffff),
    UINT64_C(0x8000000000000000),
    UINT64_C(0x8000000000000401),
    UINT64_C(0xfffffffffffffbff),
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Values of one operand. */
struct values {
    const uint64_t *of;
    uint32_t count;
};

static const struct values of_format[2] = {{singles, COUNT(singles)}, {doubles, COUNT(doubles)}};
static const struct values of_integers = {integers, COUNT(integers)};
static const struct values of_none = {integers, 1};

/* Where the operands are: the registers of a, b, c and of the result. */
static const uint8_t registers[][4] = {{1, 2, 3, 4}, {1, 2, 3, 1}, {1, 2, 3, 2}, {1, 2, 3, 3},
                                       {5, 5, 6, 5}, {5, 6, 5, 5}, {7, 7, 7, 8}};

static struct loop loop;
static struct fake_mmu mmu;
static struct rv64_cpu cpu;

static void sbi_call(void *machine, struct rv64_cpu *called)
{
    (void)machine;
    called->stop = true;
}

static const struct rv64_cpu_ops ops = {.sbi_call = sbi_call};

static int setup(void **state)
{
    (void)state;
    if (!fake_mmu_init(&mmu, BASE, SIZE, true) || rv64_cpu_init(&cpu, &mmu.mmu, &ops, NULL))
        return -1;
    rv64_cpu_start_supervisor(&cpu, BASE, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rv64_cpu_fini(&cpu);
    fake_mmu_fini(&mmu);
    return 0;
}

/* Sixteen registers are used often, so that those of the instruction have no homes. */
static uint32_t crowd(uint32_t at)
{
    for (uint32_t f = 16; f < 32; f++)
        for (uint32_t n = 0; n < 3; n++, at += 4)
            memcpy(mmu.memory + at, &(uint32_t){0x22000053u | f << 20 | f << 15 | f << 7}, 4);
    return at; /* FSGNJ.D f, f, f */
}

static void program(uint32_t insn, bool crowded)
{
    uint32_t at = crowded ? crowd(0) : 0;

    loop_fini(&loop);
    assert_true(loop_init(&loop, &cpu, true));
    memcpy(mmu.memory + at, &insn, 4);
    memcpy(mmu.memory + at + 4, &(uint32_t){INSN_ECALL}, 4);
    rv64_cpu_code_changed(&cpu, BASE, SIZE);
}

static void values_set(const uint8_t at[4], const uint64_t v[3], bool integer)
{
    for (uint32_t i = 3; i-- > 0;)
        if (integer)
            cpu.x[at[i]] = v[i];
        else
            cpu.f[at[i]] = v[i];
}

/* The instruction on these values: translated, and by C alone. */
static void one(uint32_t insn, uint64_t fcsr, const uint8_t at[4], const uint64_t v[3],
                bool integer)
{
    struct rv64_cpu expected;

    for (uint32_t i = 0; i < 32; i++)
        cpu.f[i] = BOXED(0x40490fdb) + i;
    values_set(at, v, integer);
    cpu.fcsr = fcsr;
    cpu.pc = BASE;
    cpu.stop = false;
    cpu.mstatus = (cpu.mstatus & ~RV64_MSTATUS_FS) | UINT64_C(1) << 13;
    expected = cpu;
    assert_int_equal(rv64_fpu_execute(&expected, insn), 0);
    assert_int_equal(rv64_cpu_run(&cpu, 1000), RV64_RUN_STOP);
    if (memcmp(cpu.f, expected.f, sizeof cpu.f) || memcmp(cpu.x, expected.x, 32 * 8) ||
        cpu.fcsr != expected.fcsr || cpu.mstatus != expected.mstatus)
        fail_msg("%08x of %llx %llx %llx, fcsr %llx: f%u %llx, not %llx; x %llx, not %llx; "
                 "fcsr %llx, not %llx",
                 insn, (unsigned long long)v[0], (unsigned long long)v[1], (unsigned long long)v[2],
                 (unsigned long long)fcsr, at[3], (unsigned long long)cpu.f[at[3]],
                 (unsigned long long)expected.f[at[3]], (unsigned long long)cpu.x[at[3]],
                 (unsigned long long)expected.x[at[3]], (unsigned long long)cpu.fcsr,
                 (unsigned long long)expected.fcsr);
}

/* All values of up to three operands. */
static void all_values(uint32_t insn, uint64_t fcsr, const uint8_t at[4], const struct values *of,
                       bool integer)
{
    for (uint32_t a = 0; a < of[0].count; a++)
        for (uint32_t b = 0; b < of[1].count; b++)
            for (uint32_t c = 0; c < of[2].count; c++) {
                const uint64_t v[3] = {of[0].of[a], of[1].of[b], of[2].of[c]};

                one(insn, fcsr, at, v, integer);
            }
}

static uint32_t place(uint32_t insn, const uint8_t at[4], uint32_t operands)
{
    insn |= (uint32_t)at[3] << 7 | (uint32_t)at[0] << 15;
    insn |= operands > 1 ? (uint32_t)at[1] << 20 : 0;
    return insn | (operands > 2 ? (uint32_t)at[2] << 27 : 0);
}

/* An instruction without its registers; rounds: in each mode, static and dynamic. */
static void operation(uint32_t insn, uint32_t operands, const struct values *of, bool integer,
                      bool rounds)
{
    const struct values values[3] = {*of, operands > 1 ? *of : of_none,
                                     operands > 2 ? *of : of_none};

    for (uint32_t r = 0; r < COUNT(registers) * 2; r++) {
        const uint8_t *at = registers[r / 2];
        const uint32_t placed = place(insn, at, operands);

        if (r > 1 && operands == 1 && at[3] != at[0])
            continue;
        program(placed | (rounds ? RV64_DYN << 12 : 0), r & 1);
        for (uint64_t frm = 0; frm <= (rounds && !(r & 1) ? RV64_RMM : 0); frm++)
            all_values(placed | (rounds ? RV64_DYN << 12 : 0), frm << 5, at, values, integer);
        for (uint32_t rm = 0; rounds && rm <= RV64_RMM && r < 2 && operands < 3; rm++) {
            program(placed | rm << 12, r & 1);
            all_values(placed | rm << 12, rm == RV64_RDN ? RV64_RDN << 5 : 0, at, values, integer);
        }
    }
}

#define OP_FP(funct5, d) (0x53u | (uint32_t)(funct5) << 27 | (uint32_t)(d) << 25)

static void arithmetic_is_as_interpreted(void **state)
{
    (void)state;
    for (uint32_t d = 0; d < 2; d++) {
        for (uint32_t op = 0; op < 4; op++)
            operation(OP_FP(op, d), 2, &of_format[d], false, true);
        operation(OP_FP(0x0b, d), 1, &of_format[d], false, true);
    }
}

static void fused_arithmetic_is_as_interpreted(void **state)
{
    static const uint64_t few_doubles[] = {0,
                                           UINT64_C(0x8000000000000000),
                                           UINT64_C(0x3ff0000000000001),
                                           UINT64_C(0xbff0000000000001),
                                           UINT64_C(0x7ff0000000000000),
                                           UINT64_C(0x7ff8000000000000),
                                           UINT64_C(0x7ff0000000000001),
                                           UINT64_C(0x0000000000000001),
                                           UINT64_C(0x7fefffffffffffff),
                                           UINT64_C(0xbff0000000000002)};
    static const uint64_t few_singles[] = {
        BOXED(0),          BOXED(0x80000000), BOXED(0x3f800001),   BOXED(0xbf800001),
        BOXED(0x7f800000), BOXED(0x7fc00000), BOXED(0x7f800001),   BOXED(0x00000001),
        BOXED(0x7f7fffff), BOXED(0xbf800002), UINT64_C(0x3f800000)};
    static const struct values few[2] = {{few_singles, COUNT(few_singles)},
                                         {few_doubles, COUNT(few_doubles)}};

    (void)state;
    for (uint32_t d = 0; d < 2; d++)
        for (uint32_t kind = 0; kind < 4; kind++)
            operation(0x43u | kind << 2 | d << 25, 3, &few[d], false, true);
}

static void what_does_not_round_is_as_interpreted(void **state)
{
    (void)state;
    for (uint32_t d = 0; d < 2; d++)
        for (uint32_t funct3 = 0; funct3 < 3; funct3++) {
            operation(OP_FP(0x04, d) | funct3 << 12, 2, &of_format[d], false, false);
            operation(OP_FP(0x14, d) | funct3 << 12, 2, &of_format[d], false, false);
            if (funct3 < 2) {
                operation(OP_FP(0x05, d) | funct3 << 12, 2, &of_format[d], false, false);
                operation(OP_FP(0x1c, d) | funct3 << 12, 1, &of_format[d], false, false);
            }
        }
}

static void conversions_are_as_interpreted(void **state)
{
    (void)state;
    for (uint32_t d = 0; d < 2; d++) {
        operation(OP_FP(0x08, d) | !d << 20, 1, &of_format[!d], false, true);
        operation(OP_FP(0x1e, d), 1, &of_integers, true, false);
        for (uint32_t kind = 0; kind < 4; kind++) {
            operation(OP_FP(0x18, d) | kind << 20, 1, &of_format[d], false, true);
            operation(OP_FP(0x1a, d) | kind << 20, 1, &of_integers, true, true);
        }
    }
}

/* The result of f1 and f2 in x7, the flags in x6, and the flags as they were. */
static void one_quiet(uint32_t compare, uint64_t a, uint64_t b, uint64_t fcsr)
{
    struct rv64_cpu expected;

    cpu.f[1] = a;
    cpu.f[2] = b;
    cpu.fcsr = fcsr;
    cpu.pc = BASE;
    cpu.stop = false;
    cpu.mstatus = (cpu.mstatus & ~RV64_MSTATUS_FS) | UINT64_C(1) << 13;
    expected = cpu;
    assert_int_equal(rv64_fpu_execute(&expected, compare), 0);
    assert_int_equal(rv64_cpu_run(&cpu, 1000), RV64_RUN_STOP);
    assert_int_equal(cpu.x[7], expected.x[7]);
    assert_int_equal(cpu.x[6], fcsr & 31);
    assert_int_equal(cpu.fcsr, fcsr);
    assert_int_equal(cpu.mstatus & RV64_MSTATUS_FS, RV64_MSTATUS_FS);
}

static void comparisons_between_two_looks_at_the_flags_leave_them(void **state)
{
    (void)state;
    for (uint32_t which = 0; which < 4; which++) {
        const struct values *of = &of_format[which & 1];
        const uint32_t compare =
            OP_FP(0x14, which & 1) | (which >> 1) << 12 | 2u << 20 | 1u << 15 | 7u << 7;
        const uint32_t insns[] = {0x00102373u, compare, 0x00131073u, INSN_ECALL};

        program(insns[0], false);
        memcpy(mmu.memory, insns, sizeof insns);
        for (uint32_t a = 0; a < of->count; a++)
            for (uint32_t b = 0; b < of->count; b++)
                for (uint64_t fcsr = 0; fcsr < 0x60; fcsr += 0x11)
                    one_quiet(compare, of->of[a], of->of[b], fcsr);
    }
}

static void floats_are_illegal_when_they_are_off(void **state)
{
    static const uint32_t insns[] = {OP_FP(0, 1),    0x00003007u | 10 << 15, 0x00003027u | 10 << 15,
                                     OP_FP(0x1c, 1), OP_FP(0x14, 0),         0x43u};

    (void)state;
    for (uint32_t i = 0; i < COUNT(insns); i++) {
        program(insns[i], false);
        cpu.pc = BASE;
        cpu.x[10] = BASE + 64;
        cpu.stop = false;
        cpu.priv = RV64_PRIV_S;
        cpu.mstatus &= ~RV64_MSTATUS_FS;
        cpu.stvec = BASE + 4; /* the ECALL */
        assert_int_equal(rv64_cpu_run(&cpu, 1000), RV64_RUN_STOP);
        assert_int_equal(cpu.scause, RV64_CAUSE_ILLEGAL);
        assert_int_equal(cpu.sepc, BASE);
        assert_int_equal(cpu.stval, insns[i]);
        assert_int_equal(cpu.mstatus & RV64_MSTATUS_FS, 0);
    }
}

static void rounding_modes_that_are_none_are_illegal(void **state)
{
    (void)state;
    for (uint32_t frm = 5; frm < 8; frm++)
        for (uint32_t rm = 5; rm < 8; rm++) {
            const uint32_t insn = OP_FP(0, 1) | rm << 12;

            program(insn, false);
            cpu.pc = BASE;
            cpu.stop = false;
            cpu.priv = RV64_PRIV_S;
            cpu.mstatus |= RV64_MSTATUS_FS;
            cpu.fcsr = (uint64_t)frm << 5;
            cpu.scause = 0;
            cpu.stvec = BASE + 4;
            assert_int_equal(rv64_cpu_run(&cpu, 1000), RV64_RUN_STOP);
            assert_int_equal(cpu.scause, RV64_CAUSE_ILLEGAL);
            assert_int_equal(cpu.stval, insn);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_is_as_interpreted),
        cmocka_unit_test(fused_arithmetic_is_as_interpreted),
        cmocka_unit_test(what_does_not_round_is_as_interpreted),
        cmocka_unit_test(conversions_are_as_interpreted),
        cmocka_unit_test(comparisons_between_two_looks_at_the_flags_leave_them),
        cmocka_unit_test(floats_are_illegal_when_they_are_off),
        cmocka_unit_test(rounding_modes_that_are_none_are_illegal),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
