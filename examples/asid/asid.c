/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * asid - twelve guest address spaces, two CPUs, and an MMU with four address-space identifiers.
 *
 * Each CPU runs one address space after the other, of two VMs. Without identifiers its TLB must be
 * emptied at every switch. With them, an address space that comes back finds its translations,
 * unless its identifier was given to another in the meantime. The same schedule runs under every
 * policy, on TLBs that forget nothing until they are told: they would show a purge left out.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnomon/asid.h>

#define CPUS     2u
#define IDS      4u /* 1 to 4: 0 is the hypervisor's own */
#define SPACES   12u
#define SWITCHES 20000u

/* Whose translations each CPU's TLB holds under each ID: an address space, counted from 1. */
static struct tlb {
    uint32_t holds[CPUS][IDS + 1];
    uint32_t space[CPUS]; /* what the CPU runs */
    uint32_t id[CPUS];    /* under which ID; 0 while it is in the hypervisor */
} tlb;

static _Alignas(64) uint8_t memory[4096];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "asid: %s\n", what);
    exit(1);
}

/* ---- What the library asks of the MMU ----------------------------------------------------- */

/* INVPCID, SFENCE.VMA with an ASID, TLBI ASIDE1. To another CPU: by interrupt, and wait. */
static int purge(void *ctx, uint32_t cpu, uint32_t id)
{
    (void)ctx;
    tlb.holds[cpu][id] = 0;
    return 0;
}

/* A guest that runs there goes on, and fills the TLB again. */
static int purge_all(void *ctx, uint32_t cpu)
{
    (void)ctx;
    memset(tlb.holds[cpu], 0, sizeof tlb.holds[cpu]);
    if (tlb.id[cpu])
        tlb.holds[cpu][tlb.id[cpu]] = tlb.space[cpu] + 1;
    return 0;
}

/* ---- The guests --------------------------------------------------------------------------- */

/* What runs next on a CPU. Mostly one of the two that talk to each other now; at times the next
 * pair of this CPU; seldom one that was moved here from the other CPU. */
static uint32_t next_space(uint32_t cpu, uint32_t now, uint64_t *random)
{
    const uint32_t own = SPACES / CPUS;
    uint32_t dice;

    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    dice = *random >> 59; /* 0 to 31 */
    if (dice == 0)
        return (now + own) % SPACES;
    if (now / own != cpu)
        return cpu * own;
    if (dice < 6)
        return cpu * own + (now + 2) % own;
    return now ^ 1;
}

/* ---- One run a policy --------------------------------------------------------------------- */

/* @return address spaces that began on a TLB without translations of theirs */
static uint32_t run(const char *name, uint32_t policy)
{
    const struct gn_asid_ops ops = {GN_ASID_OPS_INIT, .caps = GN_ASID_CAP_PURGE_ONE, .purge = purge,
                                    .purge_all = purge_all};
    const struct gn_asid_params params = {GN_ASID_PARAMS_INIT, .first = 1,       .count = IDS,
                                          .cpus = CPUS,        .policy = policy, .ops = &ops};
    struct gn_asid_stats stats = {GN_ASID_STATS_INIT};
    struct gn_asid *asid;
    uint64_t random = 1;
    uint32_t cold = 0;

    memset(&tlb, 0, sizeof tlb);
    if (gn_asid_init(memory, sizeof memory, &params, &asid))
        die("the pool was refused");
    for (uint32_t i = 0; i < SWITCHES; i++) {
        const uint32_t cpu = i % CPUS;
        const uint32_t space = next_space(cpu, tlb.space[cpu], &random);
        uint32_t id;

        tlb.id[cpu] = 0;
        /* The guests know nothing of each other: both VMs use the ASIDs 0 to 5. */
        if (gn_asid_activate(asid, cpu, space % 2, space / 2, &id))
            die("no ID can be had");
        if (tlb.holds[cpu][id] && tlb.holds[cpu][id] != space + 1)
            die("an address space sees the translations of another");
        cold += !tlb.holds[cpu][id];
        tlb.holds[cpu][id] = space + 1;
        tlb.space[cpu] = space;
        tlb.id[cpu] = id;
    }
    if (gn_asid_stats_get(asid, &stats))
        die("the counters cannot be had");
    printf("%-12s %7" PRIu32 " %11" PRIu64 " %15" PRIu64 " %11" PRIu64 "\n", name, cold,
           stats.purges, stats.purge_alls, stats.reassigned);
    gn_asid_fini(asid);
    return cold;
}

int main(void)
{
    uint32_t adaptive, clock, lru, generation;

    printf("%u switches between %u address spaces of 2 VMs on %u CPUs, with %u shadow ASIDs\n\n",
           SWITCHES, SPACES, CPUS, IDS);
    printf("policy       cold TLB  purges of one  purges of all  reassigned\n");
    printf("%-12s %7u %11u %15u %11u\n", "flush always", SWITCHES, 0u, SWITCHES, 0u);
    adaptive = run("adaptive", GN_ASID_POLICY_ADAPTIVE);
    clock = run("clock", GN_ASID_POLICY_CLOCK);
    lru = run("LRU", GN_ASID_POLICY_LRU);
    generation = run("generation", GN_ASID_POLICY_GENERATION);
    if (adaptive > SWITCHES / 2 || clock > SWITCHES / 2 || lru > SWITCHES / 2 ||
        generation >= SWITCHES)
        die("the identifiers were worth nothing");
    return 0;
}
