/* SPDX-License-Identifier: BSD-3-Clause */

#include "diff_gen.h"

#include <stdbool.h>
#include <string.h>

/* Registers that random instructions read but never write. */
#define LINK        DIFF_LINK
#define MEMORY      DIFF_MEMORY
#define TABLE       30u
#define RECORD      31u
#define FREE        28u /* x1 to x27 may be written */
#define BLOCK_INSNS 20u

struct diff_gen {
    struct diff_program *program;
    const struct diff_extra *extra;
    uint64_t random;
    uint32_t at; /* offset in the image */
    uint32_t load_routine;
    uint32_t store_routine;
    bool floats;       /* this block has mostly floating-point instructions */
    uint32_t format;   /* of this block's floating-point values: 0 single, 1 double, 2 mixed */
    bool special;      /* this block's floating-point values are mostly a few remarkable ones */
    uint32_t picks[4]; /* which */
};

/* xorshift64*, which is good enough and the same everywhere. */
static uint64_t draw(struct diff_gen *g)
{
    g->random ^= g->random >> 12;
    g->random ^= g->random << 25;
    g->random ^= g->random >> 27;
    return g->random * UINT64_C(2685821657736338717);
}

static uint32_t below(struct diff_gen *g, uint32_t limit)
{
    return (uint32_t)((draw(g) >> 32) % limit);
}

static void half(struct diff_gen *g, uint32_t code)
{
    g->program->image[g->at++] = (uint8_t)code;
    g->program->image[g->at++] = (uint8_t)(code >> 8);
}

static void word(struct diff_gen *g, uint32_t code)
{
    half(g, code);
    half(g, code >> 16);
}

static void i_type(struct diff_gen *g, uint32_t opcode, uint32_t funct3, uint32_t rd, uint32_t rs1,
                   uint32_t imm)
{
    word(g, imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode);
}

static void r_type(struct diff_gen *g, uint32_t opcode, uint32_t funct3, uint32_t funct7,
                   uint32_t rd, uint32_t rs1, uint32_t rs2)
{
    word(g, funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode);
}

static void s_type(struct diff_gen *g, uint32_t opcode, uint32_t funct3, uint32_t rs1, uint32_t rs2,
                   uint32_t imm)
{
    r_type(g, opcode, funct3, imm >> 5 & 127, imm & 31, rs1, rs2);
}

static void jal(struct diff_gen *g, uint32_t rd, uint32_t to)
{
    uint32_t imm = to - g->at;

    word(g, (imm >> 20 & 1) << 31 | (imm >> 1 & 1023) << 21 | (imm >> 11 & 1) << 20 |
                (imm >> 12 & 255) << 12 | rd << 7 | 0x6f);
}

static void load_address(struct diff_gen *g, uint32_t rd, uint32_t address)
{
    word(g, ((address + 0x800) & 0xfffff000) | rd << 7 | 0x37);
    i_type(g, 0x13, 0, rd, rd, address & 0xfff);
}

static uint32_t any(struct diff_gen *g)
{
    return below(g, 32);
}

static uint32_t destination(struct diff_gen *g)
{
    return below(g, FREE);
}

static void integer_op(struct diff_gen *g)
{
    static const uint8_t w[] = {0, 1, 5};
    uint32_t funct3 = below(g, 8);
    bool alternate = below(g, 2) && (funct3 == 0 || funct3 == 5);

    switch (below(g, 6)) {
    case 0:
        if (funct3 == 1 || funct3 == 5)
            i_type(g, 0x13, funct3, destination(g), any(g),
                   below(g, 64) | (alternate && funct3 == 5 ? 0x400u : 0));
        else
            i_type(g, 0x13, funct3, destination(g), any(g), below(g, 4096));
        break;
    case 1: r_type(g, 0x33, funct3, alternate ? 32 : 0, destination(g), any(g), any(g)); break;
    case 2: r_type(g, 0x33, funct3, 1, destination(g), any(g), any(g)); break;
    case 3:
        if (below(g, 2))
            r_type(g, 0x3b, w[below(g, 3)], 0, destination(g), any(g), any(g));
        else
            r_type(g, 0x3b, below(g, 2) * 5, 32, destination(g), any(g), any(g));
        break;
    case 4:
        r_type(g, 0x3b, funct3 > 0 && funct3 < 4 ? 0 : funct3, 1, destination(g), any(g), any(g));
        break;
    default:
        if (below(g, 2))
            i_type(g, 0x1b, 0, destination(g), any(g), below(g, 4096));
        else
            i_type(g, 0x1b, below(g, 2) ? 1 : 5, destination(g), any(g), below(g, 32));
        break;
    }
}

static void upper(struct diff_gen *g)
{
    word(g, (uint32_t)draw(g) << 12 | destination(g) << 7 | (below(g, 2) ? 0x37 : 0x17));
}

/* At any alignment within the scratch page. */
static void memory_op(struct diff_gen *g)
{
    uint32_t offset = (below(g, 4080) - 2040) & 0xfff;

    switch (below(g, 4)) {
    case 0: i_type(g, 0x03, below(g, 7), destination(g), MEMORY, offset); break;
    case 1: s_type(g, 0x23, below(g, 4), MEMORY, any(g), offset); break;
    case 2: i_type(g, 0x07, 2 + below(g, 2), any(g), MEMORY, offset); break;
    default: s_type(g, 0x27, 2 + below(g, 2), MEMORY, any(g), offset); break;
    }
}

static void atomic_op(struct diff_gen *g)
{
    static const uint8_t funct5[] = {0x00, 0x01, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c};
    uint32_t size = 2 + below(g, 2);
    uint32_t order = below(g, 4);

    i_type(g, 0x13, 0, LINK, MEMORY, below(g, 32) * 8);
    switch (below(g, 4)) {
    case 0: /* succeeds: nothing comes between */
        r_type(g, 0x2f, size, 0x02 << 2 | order, destination(g), LINK, 0);
        r_type(g, 0x2f, size, 0x03 << 2 | order, destination(g), LINK, any(g));
        break;
    case 1: /* fails: no reservation */
        r_type(g, 0x2f, size, 0x03 << 2 | order, destination(g), LINK, any(g));
        break;
    default:
        r_type(g, 0x2f, size, (uint32_t)funct5[below(g, 9)] << 2 | order, destination(g), LINK,
               any(g));
        break;
    }
}

static uint32_t rounding(struct diff_gen *g)
{
    static const uint8_t modes[] = {0, 1, 2, 3, 4, 4, 7, 7};

    return modes[below(g, 8)];
}

static void float_op(struct diff_gen *g)
{
    uint32_t d = g->format < 2 && below(g, 8) ? g->format : below(g, 2);
    uint32_t which = below(g, 16);

    switch (which) {
    case 0:
    case 1:
    case 2:
    case 3: r_type(g, 0x53, rounding(g), which << 2 | d, any(g), any(g), any(g)); break;
    case 4: r_type(g, 0x53, rounding(g), 0x0b << 2 | d, any(g), any(g), 0); break;
    case 5: r_type(g, 0x53, below(g, 3), 0x04 << 2 | d, any(g), any(g), any(g)); break;
    case 6: r_type(g, 0x53, below(g, 2), 0x05 << 2 | d, any(g), any(g), any(g)); break;
    case 7: r_type(g, 0x53, below(g, 3), 0x14 << 2 | d, destination(g), any(g), any(g)); break;
    case 8: r_type(g, 0x53, rounding(g), 0x08 << 2 | d, any(g), any(g), !d); break;
    case 9: r_type(g, 0x53, rounding(g), 0x18 << 2 | d, destination(g), any(g), below(g, 4)); break;
    case 10: r_type(g, 0x53, rounding(g), 0x1a << 2 | d, any(g), any(g), below(g, 4)); break;
    case 11: r_type(g, 0x53, below(g, 2), 0x1c << 2 | d, destination(g), any(g), 0); break;
    case 12: r_type(g, 0x53, 0, 0x1e << 2 | d, any(g), any(g), 0); break;
    default:
        r_type(g, 0x43 | below(g, 4) << 2, rounding(g), any(g) << 2 | d, any(g), any(g), any(g));
        break;
    }
}

static void csr_op(struct diff_gen *g)
{
    switch (below(g, 3)) {
    case 0: i_type(g, 0x73, 2, destination(g), 0, 3); break;             /* FRCSR */
    case 1: i_type(g, 0x73, 5, destination(g), below(g, 5), 2); break;   /* FSRMI */
    default: i_type(g, 0x73, 5, destination(g), below(g, 32), 1); break; /* FSFLAGSI */
    }
}

static uint32_t nonzero(struct diff_gen *g, uint32_t limit)
{
    return 1 + below(g, limit - 1);
}

/* Compressed computation; registers and immediates of the common formats are random bits. */
static void compressed_op(struct diff_gen *g)
{
    uint32_t imm = below(g, 2) << 12 | nonzero(g, 32) << 2;
    uint32_t rd = nonzero(g, FREE) << 7;
    uint32_t rs2 = nonzero(g, 32) << 2;

    switch (below(g, 10)) {
    case 0: half(g, 0x0000 | nonzero(g, 256) << 5 | below(g, 8) << 2); break; /* C.ADDI4SPN */
    case 1: half(g, 0x0001 | imm | rd); break;                                /* C.ADDI */
    case 2: half(g, 0x2001 | imm | rd); break;                                /* C.ADDIW */
    case 3: half(g, 0x4001 | imm | rd); break;                                /* C.LI */
    case 4: half(g, 0x6001 | imm | rd); break; /* C.LUI, C.ADDI16SP */
    case 5: half(g, 0x8001 | below(g, 3) << 10 | imm | below(g, 8) << 7); break; /* shifts, ANDI */
    case 6: half(g, 0x8c01 | below(g, 8) << 7 | below(g, 32) << 2); break; /* SUB, XOR, OR, AND */
    case 7: half(g, 0x9c01 | below(g, 8) << 7 | below(g, 16) << 2); break; /* SUBW, ADDW */
    case 8: half(g, 0x0002 | imm | rd); break;                             /* C.SLLI */
    default: half(g, 0x8002 | below(g, 2) << 12 | rd | rs2); break;        /* C.MV, C.ADD */
    }
}

/* Compressed loads and stores: the base is made to point into the scratch page. */
static void compressed_memory(struct diff_gen *g)
{
    static const uint8_t funct3[] = {1, 2, 3, 5, 6, 7};
    uint32_t kind = (uint32_t)funct3[below(g, 6)] << 13;

    if (below(g, 2)) {
        i_type(g, 0x13, 0, 8 + 1, MEMORY, 0);
        half(g, kind | below(g, 8) << 10 | 1 << 7 | below(g, 32) << 2);
        return;
    }
    i_type(g, 0x13, 0, 2, MEMORY, 0);
    if (kind < 5u << 13)
        half(g, 2 | kind | below(g, 2) << 12 | nonzero(g, FREE) << 7 | below(g, 32) << 2);
    else
        half(g, 2 | kind | below(g, 64) << 7 | below(g, 32) << 2);
}

static void straight_op(struct diff_gen *g)
{
    if (g->extra->operation && below(g, 7) == 0) {
        g->extra->operation(g);
        return;
    }
    switch (g->floats && below(g, 4) ? 12 : below(g, 13)) {
    case 0: upper(g); break;
    case 1: memory_op(g); break;
    case 2: atomic_op(g); break;
    case 3: csr_op(g); break;
    case 4: compressed_memory(g); break;
    case 5:
    case 6: compressed_op(g); break;
    case 7:
    case 8: integer_op(g); break;
    default: float_op(g); break;
    }
}

/* A jump or a branch over the next instruction, whose length is known when it has been made. */
static void jump_op(struct diff_gen *g)
{
    static const uint8_t funct3[] = {0, 1, 4, 5, 6, 7};
    uint32_t start = g->at;
    uint32_t kind = below(g, 5);
    uint32_t length = kind < 3 ? 4 : 2;
    uint32_t over;
    uint32_t end;

    if (kind == 2) {
        word(g, LINK << 7 | 0x17); /* AUIPC */
        start = g->at;
    }
    g->at += length;
    compressed_op(g);
    integer_op(g);
    end = g->at;
    over = end - start;
    g->at = start;
    switch (kind) {
    case 0: s_type(g, 0x63, funct3[below(g, 6)], any(g), any(g), (over >> 1 & 15) << 1); break;
    case 1: jal(g, destination(g), end); break;
    case 2: i_type(g, 0x67, 0, destination(g), LINK, over + 4); break;
    case 3: /* C.BEQZ, C.BNEZ */
        half(g, 0xc001 | below(g, 2) << 13 | below(g, 8) << 7 | (over >> 3 & 3) << 10 |
                    (over >> 1 & 3) << 3);
        break;
    default: half(g, 0xa001 | (over >> 1 & 7) << 3 | (over >> 4 & 1) << 11); break; /* C.J */
    }
    g->at = end;
}

/* In a special block, one of a few, so that they meet in one instruction. */
static uint32_t special_index(struct diff_gen *g, uint32_t count)
{
    return g->special ? g->picks[below(g, 4)] % count : below(g, count);
}

static uint64_t integer_value(struct diff_gen *g)
{
    static const uint64_t special[] = {0,
                                       1,
                                       UINT64_MAX,
                                       INT64_MAX,
                                       UINT64_C(1) << 63,
                                       INT32_MAX,
                                       UINT64_C(0x80000000),
                                       UINT64_C(0xffffffff80000000),
                                       UINT64_C(0xffffffff),
                                       UINT64_C(0x20000000000001),
                                       UINT64_C(0x1000001)};

    switch (below(g, 4)) {
    case 0: return special[below(g, sizeof special / sizeof *special)];
    case 1: return draw(g) >> below(g, 64);
    case 2: return 0 - (draw(g) >> below(g, 64));
    default: return draw(g);
    }
}

static uint64_t double_value(struct diff_gen *g)
{
    static const uint64_t special[] = {
        UINT64_C(0x0000000000000000), UINT64_C(0x3ff0000000000000), UINT64_C(0x7ff0000000000000),
        UINT64_C(0x7ff8000000000000), UINT64_C(0x7ff0000000000001), UINT64_C(0x0000000000000001),
        UINT64_C(0x000fffffffffffff), UINT64_C(0x0010000000000000), UINT64_C(0x3fefffffffffffff),
        UINT64_C(0x3ff0000000000001), UINT64_C(0x3fe0000000000000), UINT64_C(0x3ff8000000000000),
        UINT64_C(0x4004000000000000), UINT64_C(0x3ca0000000000000), UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x41dfffffffe00000), UINT64_C(0x41e0000000000000), UINT64_C(0x43e0000000000000),
        UINT64_C(0x43f0000000000000), UINT64_C(0x47efffffe0000000), UINT64_C(0x47effffff0000000),
        UINT64_C(0x3810000000000000), UINT64_C(0x380fffffe0000000), UINT64_C(0x3690000000000000)};
    uint64_t sign = draw(g) & UINT64_C(1) << 63;
    uint64_t fraction = draw(g) & UINT64_C(0xfffffffffffff);

    switch (g->special && below(g, 4) ? 0 : below(g, 5)) {
    case 0: return sign | special[special_index(g, sizeof special / sizeof *special)];
    case 1: return sign | (uint64_t)(1019 + below(g, 66)) << 52 | fraction;
    case 2: /* few bits: exact results and ties */
        return sign | (uint64_t)(1000 + below(g, 60)) << 52 |
               (fraction & UINT64_C(0xff00000000001));
    case 3: return sign | (uint64_t)below(g, 4) << 52 | fraction;
    default: return draw(g);
    }
}

static uint64_t single_value(struct diff_gen *g)
{
    static const uint32_t special[] = {0x00000000, 0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001,
                                       0x00000001, 0x007fffff, 0x00800000, 0x3f7fffff, 0x3f800001,
                                       0x3f000000, 0x3fc00000, 0x40200000, 0x33800000, 0x7f7fffff,
                                       0x4effffff, 0x4f000000, 0x4f800000, 0x5f000000, 0x5f800000};
    uint64_t box = UINT64_C(0xffffffff00000000);
    uint32_t sign = (uint32_t)draw(g) & 0x80000000;
    uint32_t fraction = (uint32_t)draw(g) & 0x7fffff;

    switch (g->special && below(g, 4) ? 0 : below(g, 6)) {
    case 0: return box | sign | special[special_index(g, sizeof special / sizeof *special)];
    case 1: return box | sign | (120 + below(g, 70)) << 23 | fraction;
    case 2: return box | sign | (110 + below(g, 40)) << 23 | (fraction & 0x780001);
    case 3: return box | sign | below(g, 4) << 23 | fraction;
    case 4: return draw(g); /* hardly ever boxed */
    default: return box | draw(g);
    }
}

static void fill_table(struct diff_gen *g, uint32_t block)
{
    uint64_t values[DIFF_WORDS];
    uint32_t i;

    values[0] = (below(g, 4) ? 0 : below(g, 32)) | below(g, 5) << 5;
    for (i = 1; i < 32; i++)
        values[i] = integer_value(g);
    for (i = 32; i < DIFF_WORDS; i++)
        values[i] = (g->format < 2 ? g->format : below(g, 2)) ? double_value(g) : single_value(g);
    memcpy(g->program->image + DIFF_TABLES + block * sizeof values, values, sizeof values);
}

static void routines(struct diff_gen *g)
{
    uint32_t i;

    g->load_routine = g->at;
    i_type(g, 0x03, 3, 1, TABLE, 0);
    i_type(g, 0x73, 1, 0, 1, 3); /* FSCSR */
    for (i = 1; i < FREE; i++)
        i_type(g, 0x03, 3, i, TABLE, i * 8);
    for (i = 0; i < 32; i++)
        i_type(g, 0x07, 3, i, TABLE, 256 + i * 8);
    i_type(g, 0x13, 0, TABLE, TABLE, DIFF_WORDS * 8);
    i_type(g, 0x67, 0, 0, LINK, 0);

    g->store_routine = g->at;
    for (i = 1; i < 32; i++)
        s_type(g, 0x23, 3, RECORD, i, i * 8);
    for (i = 0; i < 32; i++)
        s_type(g, 0x27, 3, RECORD, i, 256 + i * 8);
    i_type(g, 0x73, 2, 1, 0, 3); /* FRCSR */
    s_type(g, 0x23, 3, RECORD, 1, 0);
    i_type(g, 0x13, 0, RECORD, RECORD, DIFF_WORDS * 8);
    i_type(g, 0x67, 0, 0, LINK, 0);
}

static void block(struct diff_gen *g, uint32_t number)
{
    uint32_t window = below(g, 24); /* neighbours in the lists have to do with each other */
    uint32_t i;

    g->floats = below(g, 2);
    g->format = below(g, 3);
    g->special = below(g, 3) == 0;
    for (i = 0; i < 4; i++)
        g->picks[i] = window + below(g, 6);
    fill_table(g, number);
    jal(g, LINK, g->load_routine);
    g->program->block_start[number] = g->at;
    for (i = 0; i < BLOCK_INSNS; i++) {
        if (below(g, 8))
            straight_op(g);
        else
            jump_op(g);
    }
    g->program->block_start[number + 1] = g->at;
    jal(g, LINK, g->store_routine);
}

static void next_pass(struct diff_gen *g)
{
    load_address(g, LINK, (uint32_t)DIFF_BASE + DIFF_COUNTER);
    i_type(g, 0x03, 3, 1, LINK, 0);
    i_type(g, 0x13, 0, 1, 1, 1);
    s_type(g, 0x23, 3, LINK, 1, 0);
    i_type(g, 0x13, 0, 1, 1, 0u - g->extra->passes);
    s_type(g, 0x63, 0, 1, 0, 8); /* BEQ over the jump */
    jal(g, 0, 0x1000);
}

static void epilogue(struct diff_gen *g)
{
    if (g->extra->passes > 1)
        next_pass(g);
    i_type(g, 0x13, 0, 10, 0, 1);
    load_address(g, 11, (uint32_t)DIFF_BASE + DIFF_RECORDS);
    load_address(g, 12, DIFF_OUTPUT);
    i_type(g, 0x13, 0, 17, 0, DIFF_SYS_WRITE);
    word(g, 0x73);
    i_type(g, 0x13, 0, 10, 0, 0);
    i_type(g, 0x13, 0, 17, 0, DIFF_SYS_EXIT);
    word(g, 0x73);
}

uint32_t diff_below(struct diff_gen *g, uint32_t limit)
{
    return below(g, limit);
}

uint32_t diff_destination(struct diff_gen *g)
{
    return destination(g);
}

void diff_word(struct diff_gen *g, uint32_t code)
{
    word(g, code);
}

void diff_half(struct diff_gen *g, uint32_t code)
{
    half(g, code);
}

void diff_load_address(struct diff_gen *g, uint32_t rd, uint32_t address)
{
    load_address(g, rd, address);
}

void diff_generate(struct diff_program *program, uint64_t seed)
{
    static const struct diff_extra none = {.passes = 1};

    diff_generate_with(program, seed, &none);
}

void diff_generate_with(struct diff_program *program, uint64_t seed, const struct diff_extra *extra)
{
    struct diff_gen g = {.program = program, .extra = extra, .random = seed * 2 + 1, .at = 0x1000};
    uint32_t i;

    memset(program, 0, sizeof *program);
    for (i = 0; i < 8; i++)
        draw(&g);
    g.at = 0x1000 + 64;
    routines(&g);
    i = g.at;
    g.at = 0x1000;
    load_address(&g, TABLE, (uint32_t)DIFF_BASE + DIFF_TABLES);
    load_address(&g, RECORD, (uint32_t)DIFF_BASE + DIFF_RECORDS);
    load_address(&g, MEMORY, (uint32_t)DIFF_BASE + DIFF_SCRATCH + 0x800);
    jal(&g, 0, i);
    g.at = i;
    for (i = 0; i < DIFF_BLOCKS; i++)
        block(&g, i);
    epilogue(&g);
}
