/* SPDX-License-Identifier: BSD-3-Clause */

#include "cpu_fixture.h"

#include <stdlib.h>

static void sbi_call(void *machine, struct rv64_cpu *cpu)
{
    struct fixture *f = machine;

    f->sbi_calls++;
    f->sbi_pc = cpu->pc;
    cpu->x[10] = 77;
    cpu->stop = f->sbi_stops;
}

static uint64_t time_now(void *machine)
{
    return ((struct fixture *)machine)->now;
}

static const struct rv64_cpu_ops ops_with_sbi = {.sbi_call = sbi_call, .time = time_now};

static int setup(void **state, bool hit)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (!f || !fake_mmu_init(&f->m, BASE, SIZE, hit))
        return -1;
    if (rv64_cpu_init(&f->cpu, &f->m.mmu, &ops_with_sbi, f))
        return -1;
    f->m.cpu = &f->cpu;
    f->at = HANDLER;
    put32(f, INSN_WFI);
    f->at = BASE;
    f->cpu.mtvec = HANDLER;
    f->cpu.stvec = HANDLER;
    fixture_engine(f);
    *state = f;
    return 0;
}

int fixture_setup_hit(void **state)
{
    return setup(state, true);
}

int fixture_setup_miss(void **state)
{
    return setup(state, false);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    fixture_engine_end(f);
    rv64_cpu_fini(&f->cpu);
    fake_mmu_fini(&f->m);
    free(f);
    return 0;
}

void put16(struct fixture *f, uint32_t code)
{
    uint16_t half = (uint16_t)code;

    memcpy(fake_mmu_at(&f->m, f->at), &half, sizeof half);
    f->at += sizeof half;
}

void put32(struct fixture *f, uint32_t code)
{
    put16(f, code);
    put16(f, code >> 16);
}

void run_in(struct fixture *f, uint8_t priv)
{
    put32(f, INSN_WFI);
    f->cpu.pc = BASE;
    f->cpu.priv = priv;
    f->cpu.wfi = false;
    rv64_cpu_run(&f->cpu, 10000);
}

void run(struct fixture *f)
{
    run_in(f, RV64_PRIV_M);
    assert_true(f->cpu.wfi);
}
