/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * --check: is what executes the guest right? Two machines of the same options run in step. One
 * runs as it always does, for a few instructions, a random number of them; the other then executes
 * as many, one after the other, and both must be in the same state. Between these slices devices
 * do their work in both. Nothing differs from outside: time is counted in instructions, nobody
 * types, and the second machine's output goes nowhere.
 *
 * A trap or an interrupt retires no instruction, so after as many instructions one machine may
 * have taken one and the other not yet. The second one is then led on, as long as it retires
 * nothing more.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csr.h"
#include "machine.h"
#include "terminal.h"

#define HISTORY   48u      /* instructions that are shown before a difference */
#define RAM_EVERY 20000000 /* instructions between two comparisons of all memory */
#define LONGEST   300u     /* instructions of a slice */

struct step {
    uint64_t pc;
    uint32_t raw;
    uint8_t priv;
};

struct check {
    struct rv64_machine *tested, *reference;
    uint64_t random;
    uint64_t ram_due;
    uint64_t slices;
    struct step history[HISTORY];
    uint64_t steps;
};

static uint32_t below(struct check *c, uint32_t limit)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return (uint32_t)((c->random >> 24) % limit);
}

/* Mostly short, so that a difference is found near its cause; some long, for code that is hot. */
static uint64_t slice_length(struct check *c)
{
    uint64_t most = rv64_machine_slice(c->tested);
    uint64_t length = below(c, 50) ? 1 + below(c, LONGEST) : most;

    return length < most ? length : most;
}

/* ---- The same? ----------------------------------------------------------------------------- */

#define FIELD(name)                            \
    {                                          \
#name, offsetof(struct rv64_cpu, name) \
    }

/* What is compared besides the registers: all of 64 bits. */
static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    FIELD(pc),       FIELD(fcsr),       FIELD(mstatus), FIELD(mtvec),
    FIELD(medeleg),  FIELD(mideleg),    FIELD(mie),     FIELD(mip),
    FIELD(mscratch), FIELD(mcounteren), FIELD(mepc),    FIELD(mcause),
    FIELD(mtval),    FIELD(menvcfg),    FIELD(stvec),   FIELD(mcountinhibit),
    FIELD(sscratch), FIELD(scounteren), FIELD(sepc),    FIELD(scause),
    FIELD(stval),    FIELD(satp),       FIELD(senvcfg), FIELD(cycle_offset),
};

static uint64_t field(const struct rv64_cpu *cpu, size_t i)
{
    uint64_t value;

    memcpy(&value, (const uint8_t *)cpu + fields[i].offset, sizeof value);
    return value;
}

static bool waits(const struct rv64_cpu *cpu)
{
    return cpu->wfi && !(cpu->mip & cpu->mie);
}

static bool same_reservation(const struct rv64_cpu *a, const struct rv64_cpu *b)
{
    return a->reservation_valid == b->reservation_valid &&
           (!a->reservation_valid || a->reservation == b->reservation);
}

static bool same(const struct rv64_cpu *a, const struct rv64_cpu *b)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (field(a, i) != field(b, i))
            return false;
    return memcmp(a->x, b->x, 32 * sizeof *a->x) == 0 && memcmp(a->f, b->f, sizeof a->f) == 0 &&
           a->priv == b->priv && waits(a) == waits(b) && same_reservation(a, b) &&
           a->stats.instructions == b->stats.instructions;
}

/* ---- What to say if not -------------------------------------------------------------------- */

static void tell(const char *name, uint64_t got, uint64_t expected)
{
    if (got != expected)
        fprintf(stderr, "rv64: check: %s is %#" PRIx64 ", not %#" PRIx64 "\n", name, got, expected);
}

static void tell_history(const struct check *c)
{
    uint64_t first = c->steps > HISTORY ? c->steps - HISTORY : 0;

    fputs("rv64: check: the last instructions, by privilege, address and code:\n", stderr);
    for (uint64_t i = first; i < c->steps; i++) {
        const struct step *step = &c->history[i % HISTORY];

        fprintf(stderr, "    %u %#" PRIx64 ": %08" PRIx32 "\n", step->priv, step->pc, step->raw);
    }
}

static void tell_cpus(const struct rv64_cpu *a, const struct rv64_cpu *b)
{
    char name[8];

    tell("the count of instructions", a->stats.instructions, b->stats.instructions);
    for (unsigned i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "%c%u", i < 32 ? 'x' : 'f', i % 32);
        tell(name, i < 32 ? a->x[i] : a->f[i - 32], i < 32 ? b->x[i] : b->f[i - 32]);
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        tell(fields[i].name, field(a, i), field(b, i));
    tell("privilege", a->priv, b->priv);
    tell("waiting", waits(a), waits(b));
    tell("reservation", a->reservation_valid ? a->reservation : 1,
         b->reservation_valid ? b->reservation : 1);
}

static int differ(const struct check *c, const struct rv64_cpu *reference, uint64_t length)
{
    rv64_terminal_flush();
    fprintf(stderr,
            "rv64: check: different after %" PRIu64 " instructions, in a slice of %" PRIu64 "\n",
            reference->stats.instructions, length);
    tell_cpus(&c->tested->cpu, reference);
    tell_history(c);
    return -1;
}

/* ---- Both in step -------------------------------------------------------------------------- */

/* What stands at the reference's pc, or 0; a look, which changes nothing the guest can see. */
static uint32_t code_at(struct rv64_cpu *cpu)
{
    const void *low = rv64_mmu_probe(cpu->mmu, cpu->pc, 2, GN_ACCESS_EXEC);
    const void *high = rv64_mmu_probe(cpu->mmu, cpu->pc + 2, 2, GN_ACCESS_EXEC);
    uint16_t half[2] = {0, 0};

    if (low)
        memcpy(&half[0], low, 2);
    if (high && (half[0] & 3) == 3)
        memcpy(&half[1], high, 2);
    return (uint32_t)half[1] << 16 | half[0];
}

/* One instruction, trap or interrupt. @return RV64_RUN_* */
static int step(struct check *c)
{
    struct rv64_cpu *cpu = &c->reference->cpu;
    struct step *s = &c->history[c->steps++ % HISTORY];

    s->pc = cpu->pc;
    s->priv = cpu->priv;
    s->raw = code_at(cpu);
    return rv64_cpu_step(cpu);
}

/*
 * Executes as many instructions in the reference as the tested machine has, and then what retires
 * none, while the two differ: a state that has retired more is none that it will be in.
 */
static int follow(struct check *c, uint64_t length)
{
    const struct rv64_cpu *tested = &c->tested->cpu;
    struct rv64_cpu *reference = &c->reference->cpu;
    struct rv64_cpu before = *reference;

    while (reference->stats.instructions < tested->stats.instructions)
        if (step(c) != RV64_RUN_BUDGET)
            break;
    while (!same(tested, reference)) {
        if (reference->stats.instructions == tested->stats.instructions)
            before = *reference;
        else
            return differ(c, &before, length);
        if (step(c) != RV64_RUN_BUDGET)
            return differ(c, &before, length);
    }
    return 0;
}

static int compare_ram(struct check *c)
{
    const struct rv64_bus *a = &c->tested->bus, *b = &c->reference->bus;
    uint64_t i;

    c->ram_due = c->reference->cpu.stats.instructions + RAM_EVERY;
    if (memcmp(a->ram, b->ram, a->ram_size) == 0)
        return 0;
    for (i = 0; a->ram[i] == b->ram[i]; i++)
        ;
    i &= ~UINT64_C(7);
    fprintf(stderr,
            "rv64: check: memory at %#" PRIx64 " is %016" PRIx64 ", not %016" PRIx64
            ", after %" PRIu64 " instructions\n",
            a->ram_base + i, *(const uint64_t *)(const void *)(a->ram + i),
            *(const uint64_t *)(const void *)(b->ram + i), c->reference->cpu.stats.instructions);
    return -1;
}

/* A slice in both. @return 0, or -1: they differ */
static int slice(struct check *c)
{
    uint64_t length = slice_length(c);
    bool more;
    int why;

    c->tested->cpu.stop = c->reference->cpu.stop = false;
    why = rv64_cpu_run(&c->tested->cpu, length);
    c->slices++;
    if (follow(c, length))
        return -1;
    more = rv64_machine_between(c->tested);
    rv64_machine_between(c->reference);
    if (c->tested->cpu.mip != c->reference->cpu.mip ||
        c->tested->console_bytes != c->reference->console_bytes)
        return differ(c, &c->reference->cpu, length);
    if (why == RV64_RUN_WFI && !more && !c->tested->ended && waits(&c->tested->cpu)) {
        rv64_machine_wait(c->tested);
        rv64_machine_wait(c->reference);
    }
    return c->reference->cpu.stats.instructions < c->ram_due ? 0 : compare_ram(c);
}

/* The second machine waits for no input that could come to the first. @return 0, or -1 */
static int run(struct check *c)
{
    int failed = 0;

    c->tested->deaf = c->reference->deaf = true;
    c->reference->mute = true;
    c->ram_due = RAM_EVERY;
    rv64_machine_between(c->tested);
    rv64_machine_between(c->reference);
    while (!failed && !c->tested->ended)
        failed = slice(c);
    if (!failed)
        failed = compare_ram(c);
    rv64_terminal_flush();
    return failed;
}

int rv64_machine_check(struct rv64_machine *machine, const struct rv64_options *options)
{
    struct check c = {.tested = machine, .random = options->check};
    struct rv64_options plain = *options;
    struct rv64_error error;
    int failed;

    plain.asid_trace = NULL;
    c.reference = calloc(1, sizeof *c.reference);
    if (!c.reference || rv64_machine_create(c.reference, &plain, &error)) {
        fputs("rv64: check: the second machine cannot be built\n", stderr);
        free(c.reference);
        return RV64_EXIT_FAILURE;
    }
    failed = run(&c);
    machine->stopped = rv64_clint_host_clock(NULL);
    fprintf(stderr,
            "rv64: check: seed %" PRIu64 ", %" PRIu64 " instructions in %" PRIu64 " slices: %s\n",
            options->check, machine->cpu.stats.instructions, c.slices,
            failed ? "different" : "the same");
    rv64_machine_destroy(c.reference);
    free(c.reference);
    return failed ? RV64_EXIT_AUDIT : RV64_EXIT_OK;
}
