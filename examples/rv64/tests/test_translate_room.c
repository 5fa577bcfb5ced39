/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The room of a block. Code is made of pages full of what takes the most of it, right below a page
 * that nobody may write: with the room that is promised to be enough there is always a block, and
 * with less there is one, maybe of fewer instructions, or none, but never a byte behind the room.
 */

#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "fake_mmu.h"
#include "translate/translate.h"

#define PC UINT64_C(0x10000)

/* What is made of an instruction with registers and an immediate at random. */
struct kind {
    uint32_t code;
    uint32_t random; /* bits of it that are */
};

#define RD    (31u << 7)
#define RS1   (31u << 15)
#define RS2   (31u << 20)
#define RS3   (31u << 27)
#define SHORT (0x1fu << 20) /* of an immediate: accesses close to one another */
#define FMT   (1u << 25)

static const struct kind kinds[] = {
    {0x7043, RD | RS1 | RS2 | RS3 | FMT | 0xc},   /* FMADD and its like */
    {0x7053, RD | RS1 | RS2 | FMT | 3u << 27},    /* FADD to FDIV */
    {0x58007053, RD | RS1 | FMT},                 /* FSQRT */
    {0x28000053, RD | RS1 | RS2 | FMT | 1 << 12}, /* FMIN, FMAX */
    {0xa0000053, RD | RS1 | RS2 | FMT | 3 << 12}, /* comparisons */
    {0xc0007053, RD | RS1 | 3u << 20 | FMT},      /* to integers */
    {0xd0007053, RD | RS1 | 3u << 20 | FMT},      /* from them */
    {0x40007053, RD | RS1 | 1u << 20},            /* FCVT.S.D */
    {0x20000053, RD | RS1 | RS2 | FMT | 3 << 12}, /* FSGNJ */
    {0x2007, RD | RS1 | SHORT | 1 << 12},         /* FLW, FLD */
    {0x2027, RD | RS1 | RS2 | 1 << 12},           /* FSW, FSD */
    {0x0003, RD | RS1 | SHORT | 3 << 12},         /* loads */
    {0x0023, RD | RS1 | RS2 | 3 << 12},           /* stores */
    {0x3003, RD | 3u << 15 | SHORT},              /* LD by one of four bases */
    {0x3023, RD | 3u << 15 | RS2},
    {0x0200202f, RD | RS1 | RS2 | 1 << 12 | 0xfu << 28}, /* AMO */
    {0x1000202f, RD | RS1 | 1 << 12},                    /* LR */
    {0x02000033, RD | RS1 | RS2 | 7 << 12},              /* MUL to REMU */
    {0x0200403b, RD | RS1 | RS2 | 3 << 12},              /* words */
    {0x00102073, RD | RS1 | 3u << 20},                   /* CSRRS of fflags and frm */
    {0x14001073, RD | RS1 | 0x43u << 20},                /* CSRRW of sscratch and others */
    {0x0063, RS1 | RS2 | 1 << 12 | 0xf << 8},            /* branches further on */
    {0x0013, RD | RS1 | RS2 | 7 << 12},                  /* computation */
    {0x0033, RD | RS1 | RS2 | 7 << 12 | 1u << 30},
    {0x00000017, RD | RS1 | RS2}, /* AUIPC */
    {0x0000006f, 7 << 8 | RD},    /* JAL */
};

#define KINDS (sizeof kinds / sizeof kinds[0])

struct fixture {
    struct fake_mmu mmu;
    struct rv64_tr_thunks thunks;
    uint8_t *memory;
    uint8_t *end; /* of what may be written */
    uint8_t page[2 * GN_PAGE_SIZE];
    uint64_t random;
};

static struct fixture fixture;

static uint32_t below(struct fixture *f, uint32_t limit)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (uint32_t)((f->random >> 24) % limit);
}

static int setup(void **state)
{
    const size_t size = 8 * GN_PAGE_SIZE + RV64_TR_THUNKS_ROOM;
    struct rv64_tr_code code = {.room = RV64_TR_THUNKS_ROOM};
    struct fixture *f = &fixture;

    *state = f;
    if (!fake_mmu_init(&f->mmu, PC, 2 * GN_PAGE_SIZE, true))
        return -1;
    f->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f->memory == MAP_FAILED)
        return -1;
    f->end = f->memory + size - GN_PAGE_SIZE;
    if (mprotect(f->end, GN_PAGE_SIZE, PROT_NONE))
        return -1;
    code.write = f->memory;
    code.exec = f->memory;
    rv64_tr_emit_thunks(&f->thunks, f->mmu.mmu.data, &code);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    munmap(f->memory, 8 * GN_PAGE_SIZE + RV64_TR_THUNKS_ROOM);
    fake_mmu_fini(&f->mmu);
    return 0;
}

/* @return as rv64_tr_emit_block() */
static int emit(struct fixture *f, uint32_t room, struct rv64_tr_block *ret_block)
{
    const struct rv64_tr_source source = {.pc = PC,
                                          .gpa = PC,
                                          .page = f->page,
                                          .next_page = f->page + GN_PAGE_SIZE,
                                          .next_id = 1,
                                          .mode = 1};
    const struct rv64_tr_code code = {.write = f->end - room, .exec = f->end - room, .room = room};

    return rv64_tr_emit_block(&f->thunks, &source, &code, ret_block);
}

/* Fills the page with instructions of a few kinds. */
static void fill(struct fixture *f)
{
    uint32_t first = below(f, KINDS), count = 1 + below(f, below(f, 2) ? 3 : KINDS);
    uint32_t mask = below(f, 2) ? UINT32_MAX : ~(3u << 10 | 3u << 18 | 3u << 23);

    for (uint32_t i = 0; i < GN_PAGE_SIZE / 4; i++) {
        const struct kind *kind = &kinds[(first + below(f, count)) % KINDS];
        uint32_t random = below(f, UINT32_MAX) & kind->random & mask;

        memcpy(f->page + 4 * (size_t)i, &(uint32_t){kind->code | random}, 4);
    }
}

static void begin(struct fixture *f)
{
    const char *given = getenv("GN_TEST_SEED");

    f->random = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)f->random);
    f->random = f->random * 2 + 1;
}

static void the_promised_room_is_enough_for_every_block(void **state)
{
    struct fixture *f = *state;
    struct rv64_tr_block block;
    uint32_t largest = 0;

    begin(f);
    for (uint32_t i = 0; i < 20000; i++) {
        fill(f);
        assert_int_equal(emit(f, RV64_TR_BLOCK_ROOM, &block), 0);
        assert_in_range(block.size, 1, RV64_TR_BLOCK_ROOM);
        largest = block.size > largest ? block.size : largest;
    }
    print_message("the largest has %u bytes, of %u\n", largest, RV64_TR_BLOCK_ROOM);
}

/* A byte behind the room would be the end of this program. */
static void emission_ends_where_its_room_does(void **state)
{
    struct fixture *f = *state;
    uint32_t made = 0, fewer = 0;

    begin(f);
    for (uint32_t i = 0; i < 4000; i++) {
        struct rv64_tr_block whole, block;

        fill(f);
        assert_int_equal(emit(f, RV64_TR_BLOCK_ROOM, &whole), 0);
        for (uint32_t j = 0; j < 16; j++) {
            const uint32_t room = below(f, whole.size + 1024);

            if (emit(f, room, &block))
                continue;
            made++;
            fewer += block.instructions < whole.instructions;
            assert_in_range(block.size, 1, room);
        }
    }
    assert_in_range(fewer, 1, made - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_promised_room_is_enough_for_every_block),
        cmocka_unit_test(emission_ends_where_its_room_does),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
