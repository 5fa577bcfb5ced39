/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random loads and stores, translated and interpreted. In translated code those by one base
 * register share a probe, and two base registers may take turns; registers and memory must be right
 * wherever the bases lie: at the end of a page, in the same bytes, where nothing is. Loops of loads
 * of loaded addresses expect a translation, which is another one most of the time here.
 */

#include "two_ways.h"

#define BASE UINT64_C(0x100000)
#define SIZE UINT64_C(0x6000)
#define DATA (BASE + GN_PAGE_SIZE) /* of five pages */

#define LENGTH   60u
#define PROGRAMS 2000u

/* a0, a1, and two that have no home in a host register. */
static uint32_t base_register(void)
{
    static const uint8_t bases[] = {10, 11, 29, 30};

    return bases[below(4)];
}

/* Of what is loaded and stored: with and without homes. */
static uint32_t data_register(void)
{
    static const uint8_t data[] = {0, 8, 12, 15, 18, 31};

    return data[below(6)];
}

static uint32_t offset(void)
{
    return below(3) ? below(48) : below(0x1000);
}

static uint32_t load(uint32_t rd)
{
    return 0x03u | rd << 7 | below(7) << 12 | base_register() << 15 | offset() << 20;
}

static uint32_t store(void)
{
    const uint32_t imm = offset();

    return 0x23u | (imm & 31) << 7 | below(4) << 12 | base_register() << 15 |
           data_register() << 20 | imm >> 5 << 25;
}

/* ADDI; of a base, by little, and seldom. */
static uint32_t compute(void)
{
    uint32_t reg = below(6) ? data_register() : base_register();

    return 0x13u | reg << 7 | reg << 15 | below(64) << 20;
}

static uint32_t insn(void)
{
    switch (below(8)) {
    case 0: return compute();
    case 1:
    case 2:
    case 3: return store();
    case 4: return below(8) ? load(data_register()) : load(base_register());
    default: return load(data_register());
    }
}

static uint64_t address(void)
{
    const uint64_t page = DATA + below(4) * GN_PAGE_SIZE;

    switch (below(16)) {
    case 0: return UINT64_C(0x900000); /* nothing is there */
    case 1: return FAKE_DEVICE;
    case 2:
    case 3:
    case 4: return page + 0xf80 + below(0x100);
    default: return page + below(0x1000);
    }
}

/* Bytes, or addresses of words, of which some are not aligned. */
static void fill(struct state *s, bool chains)
{
    for (uint64_t i = 0; i < SIZE; i++)
        s->mmu.memory[i] = (uint8_t)(i * 37 >> 3);
    for (uint64_t i = 0; chains && i < SIZE / 8; i++)
        ((uint64_t *)(void *)s->mmu.memory)[i] =
            DATA + i * 40503 % (SIZE - GN_PAGE_SIZE) / 8 * 8 + (i % 61 == 0) * 4;
}

static void begin(struct state *s, const uint32_t *code, const uint64_t *bases, bool chains)
{
    fill(s, chains);
    memcpy(fake_mmu_at(&s->mmu, BASE), code, (LENGTH + 1) * sizeof *code);
    s->mmu.device = 0;
    restart(s, BASE, SIZE);
    for (uint32_t i = 1; i < 32; i++)
        s->cpu.x[i] = i * UINT64_C(0x0123456789abcdef);
    s->cpu.x[10] = bases[0];
    s->cpu.x[11] = bases[1];
    s->cpu.x[29] = bases[2];
    s->cpu.x[30] = bases[3];
    s->cpu.stvec = BASE + LENGTH * 4; /* ECALL */
}

static void same(uint64_t seed, const uint32_t *code)
{
    if (!alike(SIZE)) {
        print_error("GN_TEST_SEED=%llu\n", (unsigned long long)seed);
        for (uint32_t i = 0; i < LENGTH; i++)
            print_error("    .4byte 0x%08x\n", code[i]);
    }
    assert_alike(SIZE);
    assert_int_equal(got.mmu.device, expected.mmu.device);
    assert_int_equal(got.cpu.stval, expected.cpu.stval);
}

/* LD; of one base by another more often than not, or by itself. */
static uint32_t link_load(void)
{
    const uint32_t rd = below(3) ? base_register() : data_register();
    const uint32_t rs1 = rd && below(2) ? rd : base_register();

    return 0x03u | rd << 7 | 3u << 12 | rs1 << 15 | below(12) * 8 << 20;
}

/* A loop of some turns, which walks chains. */
static void make_loop(uint32_t *code)
{
    const uint32_t body = 1 + below(LENGTH / 3);
    const int32_t back = -4 * (int32_t)(body + 1);

    code[0] = (8 + below(16)) << 20 | 5 << 7 | 0x13; /* li t0 */
    for (uint32_t i = 1; i <= body; i++)
        code[i] = below(4) ? link_load() : below(8) ? compute() : store();
    code[body + 1] = 0xfff28293; /* addi t0, t0, -1 */
    code[body + 2] = 0x00029063 | ((uint32_t)back >> 12 & 1) << 31 |
                     ((uint32_t)back >> 5 & 0x3f) << 25 | ((uint32_t)back >> 1 & 15) << 8 |
                     ((uint32_t)back >> 11 & 1) << 7; /* bnez t0 */
    for (uint32_t i = body + 3; i < LENGTH; i++)
        code[i] = INSN_ECALL;
}

static void one_program(uint64_t seed, bool chains)
{
    uint32_t code[LENGTH + 1] = {[LENGTH] = INSN_ECALL};
    uint64_t bases[4];

    random_begin(seed);
    for (uint32_t i = 0; i < LENGTH; i++)
        code[i] = insn();
    if (chains)
        make_loop(code);
    for (uint32_t i = 0; i < 4; i++)
        bases[i] = i && !below(4) ? bases[below(i)] + below(16) : address();
    begin(&expected, code, bases, chains);
    begin(&got, code, bases, chains);
    assert_true(loop_init(&loop, &got.cpu, true));
    run(&expected, 1000, 1000);
    run(&got, 1000, 1000);
    same(seed, code);
    loop_fini(&loop);
}

static void programs(bool probe_hits, bool chains)
{
    uint32_t count;
    const uint64_t seed = first_seed(PROGRAMS, &count);

    both_make(BASE, SIZE, probe_hits);
    fake_mmu_scatter(&expected.mmu);
    fake_mmu_scatter(&got.mmu);
    for (uint32_t i = 0; i < count; i++)
        one_program(seed + i, chains);
    print_message("links that strayed and were told of: %u\n", got.mmu.strays);
    if (count > 1)
        assert_int_equal(chains && probe_hits, got.mmu.strays > PROGRAMS / 50);
    both_destroy();
}

static void accesses_of_many_bases_end_as_interpreted(void **state)
{
    (void)state;
    programs(true, false);
}

static void accesses_of_many_bases_end_as_interpreted_when_every_probe_misses(void **state)
{
    (void)state;
    programs(false, false);
}

static void walks_of_chains_end_as_interpreted(void **state)
{
    (void)state;
    programs(true, true);
}

static void walks_of_chains_end_as_interpreted_when_every_probe_misses(void **state)
{
    (void)state;
    programs(false, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_of_many_bases_end_as_interpreted),
        cmocka_unit_test(accesses_of_many_bases_end_as_interpreted_when_every_probe_misses),
        cmocka_unit_test(walks_of_chains_end_as_interpreted),
        cmocka_unit_test(walks_of_chains_end_as_interpreted_when_every_probe_misses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
