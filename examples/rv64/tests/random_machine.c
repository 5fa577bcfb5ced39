/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Makes a firmware image that runs a random program with what a machine has and a user program has
 * not: page tables, traps, interrupts, CSRs, instructions that write instructions. It is for
 * --check, which says whether two ways of executing it agree.
 *
 *      random_machine SEED FILE
 *
 * Memory, from RAM's base:
 *
 *      0x00000  start, in M-mode; 0x100: M-mode's trap handler; 0x400: S-mode's
 *      0x03000  page tables: root, one of the middle level, one of the last
 *      0x08000  pages of data and of functions, each in two versions
 *      0x0f000  the handlers' constants and variables
 *      0x10000  the program, its pages in random order, mapped at DIFF_BASE
 *
 * The program runs in U-mode or in S-mode. A handler steps over what trapped; after a fetch that
 * trapped it goes on at DIFF_LINK. The timer interrupts at random moments.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff_gen.h"

#define RAM     UINT64_C(0x80000000)
#define TABLES  0x3000u
#define PAGES   0x8000u
#define VALUES  0xf000u
#define PROGRAM 0x10000u
#define SIZE    (PROGRAM + ((DIFF_SIZE + 0xfffu) & ~0xfffu))

/* Where the program sees pages of its own; the rest of these 2 MiB is not mapped. */
#define FUNCTION 0x1f0000u /* two versions; their first instructions differ */
#define DATA     0x1e0000u /* two versions; user pages, always */
#define READONLY 0x1d0000u
#define CLINT    0x1c0000u /* the page of mtime */
#define NOTHING  0x1a0000u
#define END      ((uint32_t)DIFF_BASE + SIZE - PROGRAM)

#define LINK DIFF_LINK

enum { V = 1, R = 2, W = 4, X = 8, U = 16, A = 64, D = 128 };

/* Offsets of the handlers' values. */
enum {
    VALUE_MTVEC = 0,
    VALUE_MSTATUS = 8,
    VALUE_SATP = 16,
    VALUE_ENTRY = 24,
    VALUE_MEDELEG = 32,
    VALUE_STVEC = 40,
    VALUE_MIE = 48,
    VALUE_MTIMECMP = 56,
    VALUE_MTIME = 64,
    VALUE_RANDOM = 72,
    VALUE_SYSCON = 80,
    VALUE_PASS = 88,
    VALUE_SUM = 96,
    VALUE_SELF = 104,
    VALUE_SAVED = 256
};

static uint8_t image[SIZE];
static struct diff_program program;
static uint64_t seed;
static uint32_t at; /* where the next instruction of the firmware goes */

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(2685821657736338717);
}

static bool maybe(void)
{
    return draw() >> 63;
}

static void put(uint32_t offset, uint64_t value, size_t size)
{
    memcpy(image + offset, &value, size);
}

/* ---- Instructions -------------------------------------------------------------------------- */

static uint32_t i_type(uint32_t opcode, uint32_t funct3, uint32_t rd, uint32_t rs1, uint32_t imm)
{
    return imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static uint32_t r_type(uint32_t funct3, uint32_t funct7, uint32_t rd, uint32_t rs1, uint32_t rs2)
{
    return funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x33;
}

static uint32_t s_type(uint32_t opcode, uint32_t funct3, uint32_t rs1, uint32_t rs2, uint32_t imm)
{
    return (imm >> 5 & 127) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm & 31) << 7 | opcode;
}

static uint32_t addi(uint32_t rd, uint32_t rs1, uint32_t imm)
{
    return i_type(0x13, 0, rd, rs1, imm);
}

static uint32_t ld(uint32_t rd, uint32_t rs1, uint32_t imm)
{
    return i_type(0x03, 3, rd, rs1, imm);
}

static uint32_t sd(uint32_t rs2, uint32_t rs1, uint32_t imm)
{
    return s_type(0x23, 3, rs1, rs2, imm);
}

static uint32_t lui(uint32_t rd, uint32_t pages)
{
    return pages << 12 | rd << 7 | 0x37;
}

static uint32_t csr(uint32_t funct3, uint32_t rd, uint32_t number, uint32_t rs1)
{
    return i_type(0x73, funct3, rd, rs1, number);
}

static uint32_t csrw(uint32_t number, uint32_t rs1)
{
    return csr(1, 0, number, rs1);
}

static uint32_t csrr(uint32_t rd, uint32_t number)
{
    return csr(2, rd, number, 0);
}

static void emit(uint32_t code)
{
    put(at, code, 4);
    at += 4;
}

/* A branch whose target comes later: to be given to land(). */
static uint32_t branch(uint32_t funct3, uint32_t rs1, uint32_t rs2)
{
    emit(s_type(0x63, funct3, rs1, rs2, 0));
    return at - 4;
}

static void land(uint32_t from)
{
    uint32_t code;

    memcpy(&code, image + from, 4);
    put(from, code | (((at - from) >> 1 & 15) << 1) << 7 | ((at - from) >> 5 & 63) << 25, 4);
}

/* ---- Firmware ------------------------------------------------------------------------------ */

static void write_start(void)
{
    static const struct {
        uint16_t csr, value;
    } loads[] = {{0x305, VALUE_MTVEC}, {0x300, VALUE_MSTATUS}, {0x180, VALUE_SATP},
                 {0x341, VALUE_ENTRY}, {0x302, VALUE_MEDELEG}, {0x105, VALUE_STVEC},
                 {0x304, VALUE_MIE},   {0x306, VALUE_PASS},    {0x106, VALUE_PASS},
                 {0x340, VALUE_SELF},  {0x140, VALUE_SELF}};

    at = 0;
    emit(5 << 7 | 0x17); /* AUIPC x5, 0 */
    emit(lui(6, VALUES >> 12));
    emit(r_type(0, 0, 5, 5, 6));
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        emit(ld(6, 5, loads[i].value));
        emit(csrw(loads[i].csr, 6));
    }
    emit(ld(6, 5, VALUE_MTIMECMP));
    emit(sd(0, 6, 0)); /* the first interrupt is due */
    emit(0x30200073);  /* MRET */
}

struct mode {
    uint32_t scratch, cause, tval, epc, status, ret;
};

/* x31 holds the values' address while the handler runs, and is in xscratch otherwise; so is x5. */
static void write_entry(const struct mode *m, uint32_t saved)
{
    emit(csr(1, 31, m->scratch, 31));
    for (uint32_t r = 5; r < 8; r++)
        emit(sd(r, 31, saved + r * 8));
    emit(csrr(5, m->cause));
}

static void write_leave(const struct mode *m, uint32_t saved)
{
    for (uint32_t r = 5; r < 8; r++)
        emit(ld(r, 31, saved + r * 8));
    emit(csr(1, 31, m->scratch, 31));
    emit(m->ret);
}

/* What happened goes into a sum, so that it stays. */
static void write_note(const struct mode *m)
{
    emit(csrr(6, m->tval));
    emit(ld(7, 31, VALUE_SUM));
    emit(i_type(0x13, 1, 7, 7, 1));
    emit(r_type(0, 0, 7, 7, 6));
    emit(r_type(4, 0, 7, 7, 5));
    emit(sd(7, 31, VALUE_SUM));
}

static void write_timer(void)
{
    emit(ld(5, 31, VALUE_MTIME));
    emit(ld(5, 5, 0));
    emit(ld(6, 31, VALUE_RANDOM));
    emit(i_type(0x13, 1, 7, 6, 13));
    emit(r_type(4, 0, 6, 6, 7));
    emit(i_type(0x13, 5, 7, 6, 7));
    emit(r_type(4, 0, 6, 6, 7));
    emit(i_type(0x13, 1, 7, 6, 17));
    emit(r_type(4, 0, 6, 6, 7));
    emit(sd(6, 31, VALUE_RANDOM));
    emit(i_type(0x13, 7, 6, 6, maybe() ? 127 : 2047));
    emit(addi(6, 6, 5));
    emit(r_type(0, 0, 5, 5, 6));
    emit(ld(6, 31, VALUE_MTIMECMP));
    emit(sd(5, 6, 0));
}

static void write_exit(void)
{
    uint32_t other;

    emit(addi(6, 17, 0u - DIFF_SYS_EXIT));
    other = branch(1, 6, 0);
    emit(ld(6, 31, VALUE_SYSCON));
    emit(ld(7, 31, VALUE_PASS));
    emit(s_type(0x23, 2, 6, 7, 0));
    emit(0x6f); /* J to itself */
    land(other);
}

/* An illegal instruction while floats are off is a reason to switch them on. */
static uint32_t write_floats(const struct mode *m)
{
    uint32_t not_illegal, on, done;

    emit(addi(6, 5, 0u - 2));
    not_illegal = branch(1, 6, 0);
    emit(csrr(6, m->status));
    emit(lui(7, 6));
    emit(r_type(7, 0, 6, 6, 7));
    on = branch(1, 6, 0);
    emit(csr(2, 0, m->status, 7));
    done = branch(0, 0, 0);
    land(not_illegal);
    land(on);
    return done;
}

static void write_handler(const struct mode *m, uint32_t where, uint32_t saved, bool machine)
{
    uint32_t interrupt, fetch[2], done[3];

    at = where;
    write_entry(m, saved);
    interrupt = branch(4, 5, 0);
    write_note(m);
    emit(addi(6, 5, 0u - 12));
    fetch[0] = branch(0, 6, 0);
    emit(addi(6, 5, 0u - 1));
    fetch[1] = branch(0, 6, 0);
    done[0] = write_floats(m);
    if (machine) {
        uint32_t no_call;

        emit(i_type(0x13, 7, 6, 5, 0u - 4));
        emit(addi(6, 6, 0u - 8));
        no_call = branch(1, 6, 0);
        write_exit();
        land(no_call);
    }
    emit(csrr(6, m->epc));
    emit(addi(6, 6, 4));
    emit(csrw(m->epc, 6));
    done[1] = branch(0, 0, 0);
    land(fetch[0]);
    land(fetch[1]);
    emit(csrw(m->epc, LINK));
    done[2] = branch(0, 0, 0);
    land(interrupt);
    if (machine)
        write_timer();
    for (int i = 0; i < 3; i++)
        land(done[i]);
    write_leave(m, saved);
}

static void write_values(bool user, bool delegate)
{
    const struct {
        uint32_t offset;
        uint64_t value;
    } values[] = {
        {VALUE_MTVEC, RAM + 0x100},
        /* FS is Initial; MPP is U or S; MPIE */
        {VALUE_MSTATUS, 0x2000 | (user ? 0 : 0x800) | 0x80},
        {VALUE_SATP, UINT64_C(8) << 60 | (draw() & 0xffff) << 44 | (RAM + TABLES) >> 12},
        {VALUE_ENTRY, DIFF_ENTRY},
        {VALUE_MEDELEG, delegate ? 0xb0fe : 0},
        {VALUE_STVEC, RAM + 0x400},
        {VALUE_MIE, 0x80},
        {VALUE_MTIMECMP, 0x2004000},
        {VALUE_MTIME, 0x200bff8},
        {VALUE_RANDOM, draw() | 1},
        {VALUE_SYSCON, 0x100000},
        {VALUE_PASS, 0x5555}, /* as counter enables: cycle and instret, not time */
        {VALUE_SELF, RAM + VALUES},
    };

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        put(VALUES + values[i].offset, values[i].value, 8);
}

/* ---- Page tables --------------------------------------------------------------------------- */

static uint64_t entry(uint64_t pa, uint32_t flags)
{
    return pa >> 12 << 10 | flags | V;
}

static uint32_t leaf_slot(uint32_t va)
{
    return TABLES + 0x2000 + (va >> 12) * 8;
}

static void map(uint32_t va, uint64_t pa, uint32_t flags)
{
    put(leaf_slot(va), entry(pa, flags | (maybe() ? A : 0) | (maybe() ? D : 0)), 8);
}

static void map_program(uint32_t flags)
{
    uint32_t pages = (SIZE - PROGRAM) >> 12;
    uint32_t order[(SIZE - PROGRAM) >> 12];

    for (uint32_t i = 0; i < pages; i++)
        order[i] = i;
    for (uint32_t i = pages - 1; i > 0; i--) {
        uint32_t j = (uint32_t)((draw() >> 32) % (i + 1)), t = order[i];

        order[i] = order[j];
        order[j] = t;
    }
    for (uint32_t i = 0; i < pages; i++) {
        uint32_t length = DIFF_SIZE - (i << 12) < 4096 ? DIFF_SIZE - (i << 12) : 4096;

        memcpy(image + PROGRAM + (order[i] << 12), program.image + (i << 12), length);
        map((uint32_t)DIFF_BASE + (i << 12), RAM + PROGRAM + (order[i] << 12), flags);
    }
}

static void write_tables(bool user)
{
    uint32_t own = user ? U : 0;

    put(TABLES, entry(RAM + TABLES + 0x1000, 0), 8);
    put(TABLES + 16, entry(RAM, R | W | X | A | D), 8); /* 1 GiB, as it is */
    put(TABLES + 0x1000, entry(RAM + TABLES + 0x2000, 0), 8);
    map_program(R | W | X | own);
    map(FUNCTION, RAM + PAGES, R | X | own);
    map(DATA, RAM + PAGES + 0x2000, R | W | U);
    map(READONLY, RAM + PAGES + 0x4000, R | own);
    map(CLINT, 0x200b000, R | own);
    for (uint32_t i = 0; i < 2; i++) {
        at = PAGES + i * 0x1000;
        emit(addi(10, 10, i + 1));
        emit(i_type(0x67, 0, 0, LINK, 0)); /* JR */
    }
    for (uint32_t i = 0; i < 3 * 512; i++)
        put(PAGES + 0x2000 + i * 8, draw(), 8);
}

/* ---- Operations in the program ------------------------------------------------------------- */

static void op_illegal(struct diff_gen *g)
{
    switch (diff_below(g, 4)) {
    case 0: diff_word(g, diff_below(g, 1 << 25) << 7 | 0x7b); break;
    case 1: diff_word(g, 0x00100073); break; /* EBREAK */
    case 2: diff_word(g, 0x00000073); break; /* ECALL */
    default:
        diff_half(g, 0x9002); /* C.EBREAK, and C.NOP for the handler to step over */
        diff_half(g, 0x0001);
        break;
    }
}

/* Accesses that may fault, cross pages, reach a device, or need permission. */
static void op_access(struct diff_gen *g)
{
    static const uint32_t where[] = {
        NOTHING,  READONLY,    READONLY + 4092, CLINT + 0xff8, END - 4,
        DATA + 8, DATA + 4090, DATA - 3,        CLINT + 0xffc, (uint32_t)DIFF_BASE - 1};
    static const uint32_t codes[] = {
        0x03 | 3 << 12, 0x03 | 2 << 12,      0x03 | 1 << 12, 0x03,
        0x23 | 3 << 12, 0x23 | 2 << 12,      0x23 | 1 << 12, 0x23,
        0x07 | 3 << 12, 0x27 | 3 << 12,      0x03 | 6 << 12, 0x2f | 3 << 12,
        0x2f | 2 << 12, 0x1000202f | 1 << 12};
    uint32_t code = codes[diff_below(g, sizeof codes / sizeof *codes)];
    uint32_t r = diff_destination(g);

    diff_load_address(g, LINK, where[diff_below(g, sizeof where / sizeof *where)]);
    if (diff_below(g, 8) == 0)
        diff_word(g, i_type(0x13, 1, LINK, LINK, 30)); /* not canonical */
    if ((code & 0x7f) == 0x23 || (code & 0x7f) == 0x27)
        diff_word(g, code | LINK << 15 | r << 20);
    else
        diff_word(g, code | LINK << 15 | r << 7 |
                         ((code & 0x7f) == 0x2f && code >> 28 == 0 ? r << 20 : 0));
}

static void op_far_call(struct diff_gen *g)
{
    diff_load_address(g, LINK, diff_below(g, 3) ? FUNCTION : NOTHING + diff_below(g, 2048) * 2);
    diff_word(g, i_type(0x67, 0, LINK, LINK, 0));
}

/* Changes the immediate of the instruction after the fence. */
static void op_rewrite(struct diff_gen *g)
{
    uint32_t r = diff_destination(g), t = diff_destination(g);

    if (!r || !t || r == t)
        return;
    diff_word(g, LINK << 7 | 0x17);             /* AUIPC */
    diff_word(g, i_type(0x03, 2, r, LINK, 24)); /* LW */
    diff_word(g, lui(t, diff_below(g, 4096) << 8));
    diff_word(g, r_type(4, 0, r, r, t));        /* XOR */
    diff_word(g, s_type(0x23, 2, LINK, r, 24)); /* SW */
    diff_word(g, 0x0000100f);                   /* FENCE.I */
    diff_word(g, addi(t, r, diff_below(g, 4096)));
}

static void op_csr(struct diff_gen *g)
{
    static const uint16_t read[] = {0xc00, 0xc02, 0x100, 0x142, 0x143, 0x141, 0x003, 0x104, 0x144};
    static const uint16_t written[] = {0x142, 0x143, 0x141, 0x100};
    uint32_t r = diff_destination(g);

    switch (diff_below(g, 4)) {
    case 0: diff_word(g, csr(1 + diff_below(g, 3), r, written[diff_below(g, 3)], r)); break;
    case 1: /* SUM, MXR, FS */
        diff_word(g, lui(LINK, diff_below(g, 3) ? diff_below(g, 2) ? 0x40 : 0x80 : 6));
        diff_word(g, csr(2 + diff_below(g, 2), r, written[3], LINK));
        break;
    default: diff_word(g, csrr(r, read[diff_below(g, sizeof read / sizeof *read)])); break;
    }
}

static void op_fence(struct diff_gen *g)
{
    switch (diff_below(g, 5)) {
    case 0: diff_word(g, 0x0ff0000f); break; /* FENCE */
    case 1: diff_word(g, 0x0000100f); break; /* FENCE.I */
    case 2: diff_word(g, 0x12000073); break; /* SFENCE.VMA */
    case 3: diff_word(g, 0x12000073 | LINK << 15); break;
    default:
        if (diff_below(g, 4) == 0)
            diff_word(g, 0x10500073); /* WFI */
        break;
    }
}

/* Exchanges the two versions of a page, and looks. */
static void op_remap(struct diff_gen *g)
{
    uint32_t va = diff_below(g, 2) ? FUNCTION : DATA;
    uint32_t slot = leaf_slot(va), r = diff_destination(g);

    if (!r)
        return;
    diff_word(g, addi(LINK, 0, 1));
    diff_word(g, i_type(0x13, 1, LINK, LINK, 31));
    diff_word(g, lui(r, (slot + 0x800) >> 12));
    diff_word(g, r_type(0, 0, LINK, LINK, r));
    diff_word(g, ld(r, LINK, slot & 0xfff));
    diff_word(g, i_type(0x13, 4, r, r, 1 << 10)); /* XORI: pages 8 and 9, 10 and 11 */
    diff_word(g, sd(r, LINK, slot & 0xfff));
    diff_load_address(g, LINK, va);
    diff_word(g, 0x12000073 | (diff_below(g, 2) ? LINK << 15 : 0));
    if (va == FUNCTION)
        diff_word(g, i_type(0x67, 0, LINK, LINK, 0));
    else
        diff_word(g, ld(r, LINK, diff_below(g, 512) * 8 & 0x7ff));
}

static void operation(struct diff_gen *g)
{
    static void (*const ops[])(struct diff_gen *) = {op_illegal, op_access, op_access, op_far_call,
                                                     op_rewrite, op_csr,    op_fence,  op_remap};

    ops[diff_below(g, sizeof ops / sizeof *ops)](g);
}

int main(int argc, char **argv)
{
    static const struct mode machine = {0x340, 0x342, 0x343, 0x341, 0x300, 0x30200073};
    static const struct mode supervisor = {0x140, 0x142, 0x143, 0x141, 0x100, 0x10200073};
    const struct diff_extra extra = {.passes = 24, .operation = operation};
    FILE *file = argc == 3 ? fopen(argv[2], "wb") : NULL;
    bool user;

    if (!file) {
        fputs("usage: random_machine SEED FILE\n", stderr);
        return EXIT_FAILURE;
    }
    seed = strtoull(argv[1], NULL, 0) * 2 + 1;
    diff_generate_with(&program, strtoull(argv[1], NULL, 0), &extra);
    user = maybe();
    write_start();
    write_handler(&machine, 0x100, VALUE_SAVED, true);
    write_handler(&supervisor, 0x400, VALUE_SAVED + 64, false);
    write_values(user, maybe());
    write_tables(user);
    if (fwrite(image, sizeof image, 1, file) != 1 || fclose(file))
        return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
