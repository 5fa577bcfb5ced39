/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * nonpresent - a guest that pages on demand, and whether its page faults cost a walk.
 *
 * The guest touches 64 pages and has memory for 16: it unmaps one to map another. An absent entry
 * of the shadow does not say whether the guest's own entry is absent, so the hypervisor walks the
 * guest's tables to find out. A marker in the absent entry remembers what was seen there. Then the
 * trap: a guest maps a page, and does not flush.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnomon/nonpresent.h>

#define PAGES    64u
#define FRAMES   16u
#define ACCESSES 10000u
#define TABLE    UINT64_C(0x12000) /* guest physical address of the guest's table */
#define PRESENT  1u

#define RISCV     GN_NONPRESENT_GUEST_RISCV
#define X86       GN_NONPRESENT_GUEST_X86
#define IMMEDIATE GN_NONPRESENT_RULE_IMMEDIATE
#define FENCED    GN_NONPRESENT_RULE_FENCED

static struct machine {
    struct gn_nonpresent *np; /* NULL: no markers */
    uint64_t guest[PAGES];    /* the guest's table; its writes are traced */
    uint64_t shadow[PAGES];   /* ours: all that the MMU sees */
    int pending;              /* the guest wrote, and the shadow does not show it yet */
    uint32_t faults, walks;   /* page faults of the guest, walks of its tables */
} m;

static _Alignas(64) uint8_t memory[1024];

static void check(int holds, const char *otherwise)
{
    if (holds)
        return;
    fprintf(stderr, "nonpresent: %s\n", otherwise);
    exit(1);
}

/* ---- The hypervisor ----------------------------------------------------------------------- */

/* The immediate rule asks: may a write to this page of guest tables be unknown to the shadow? */
static int pending(void *ctx, gn_gpa_t table)
{
    (void)ctx;
    return table.v == TABLE && m.pending;
}

/* What the shadow holds until an access needs more. */
static uint64_t absent_entry(uint32_t page)
{
    uint64_t entry = 0;

    if (m.np && !(m.guest[page] & PRESENT))
        check(!gn_nonpresent_encode_absent(m.np, 0, gn_gpa(TABLE + page * 8), &entry),
              "a marker was refused");
    return entry;
}

/* A coherence point. (A trace log would name the entries that were written.) */
static void flush(void)
{
    for (uint32_t page = 0; page < PAGES; page++)
        if (!(m.shadow[page] & PRESENT) || m.shadow[page] != m.guest[page])
            m.shadow[page] = absent_entry(page);
    m.pending = 0;
}

/* An access of the guest. @return 1: done; 0: it gets a page fault */
static int touch(uint32_t page)
{
    const uint32_t access = GN_ACCESS_READ | GN_NONPRESENT_AS_USER;
    struct gn_nonpresent_answer answer = {0};

    if (m.shadow[page] & PRESENT)
        return 1;
    if (m.np)
        check(!gn_nonpresent_lookup(m.np, m.shadow[page], access, &answer), "a lookup was refused");
    if (answer.kind != GN_NONPRESENT_GUEST_ABSENT) {
        m.walks++;
        flush(); /* while we are here: then nothing is pending, and markers are believed again */
        if (m.guest[page] & PRESENT) {
            m.shadow[page] = m.guest[page];
            return 1;
        }
    }
    m.faults++; /* delivered with answer.code, or what the walk said */
    return 0;
}

/* ---- The guest ---------------------------------------------------------------------------- */

static void guest_write(uint32_t page, uint64_t entry)
{
    m.guest[page] = entry;
    m.pending = 1; /* a traced write: recorded, not trapped */
}

static void guest_run(int fenced)
{
    uint32_t resident[FRAMES] = {0}, page = 0;
    uint64_t random = 1;

    for (uint32_t i = 0; i < ACCESSES; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        page = (page + (random >> 60 ? random >> 50 & 1 : random >> 50)) % PAGES;
        while (!touch(page)) {
            check(!(m.guest[page] & PRESENT), "a page fault that no machine would have delivered");
            guest_write(resident[page % FRAMES], 0);
            flush(); /* every architecture wants one when a page is taken away */
            guest_write(page, (uint64_t)(page + 1) << 12 | PRESENT);
            if (fenced)
                flush(); /* RISC-V wants one also when a page is given */
            resident[page % FRAMES] = page;
        }
    }
}

/* ---- What it is worth --------------------------------------------------------------------- */

static int start(uint32_t guest, uint32_t rule)
{
    const struct gn_nonpresent_ops ops = {GN_NONPRESENT_OPS_INIT, .pending = pending};
    const struct gn_nonpresent_params params = {GN_NONPRESENT_PARAMS_INIT, .guest = guest,
                                                .rule = rule, .ops = &ops};

    memset(&m, 0, sizeof m);
    if (guest && gn_nonpresent_init(memory, sizeof memory, &params, &m.np))
        return -1;
    flush();
    return 0;
}

static void row(const char *name, uint32_t guest, uint32_t rule)
{
    struct gn_nonpresent_stats stats = {GN_NONPRESENT_STATS_INIT};

    check(!start(guest, rule), "the parameters were refused");
    guest_run(rule == FENCED);
    check(!m.np || !gn_nonpresent_stats_get(m.np, &stats), "the counters cannot be had");
    printf("%-19s %13" PRIu32 " %12" PRIu32 " %12" PRIu64 "\n", name, m.faults, m.walks,
           stats.disbelieved);
    /* A walk after each fault fills the shadow; markers save the one before it. */
    check(m.faults && m.walks == (m.np ? m.faults : 2 * m.faults), "not a walk a fault");
}

/* The guest finds a page absent, maps it, and touches it without a flush. @return as touch() */
static int present_without_flush(uint32_t guest, uint32_t rule)
{
    check(!start(guest, rule) && !touch(0), "a page was there that is not");
    guest_write(0, PRESENT);
    return touch(0);
}

int main(void)
{
    printf("%u accesses to %u pages, with memory for %u\n\n", ACCESSES, PAGES, FRAMES);
    printf("                     guest faults  guest walks  disbelieved\n");
    row("no markers", 0, 0);
    row("RISC-V, fenced rule", RISCV, FENCED);
    row("x86, immediate rule", X86, IMMEDIATE);

    printf("\na page is mapped without a flush, and touched:\n");
    check(present_without_flush(X86, IMMEDIATE), "x86 would not have faulted");
    printf("x86, immediate rule: it is there; no marker is believed while a write is pending\n");
    check(!present_without_flush(RISCV, FENCED), "the fenced rule walked");
    flush();
    check(touch(0), "a fence changed nothing");
    printf("RISC-V, fenced rule: a page fault, as may be until SFENCE.VMA; then it is there\n");
    check(start(X86, FENCED), "an x86 guest was given the fenced rule");
    printf("x86, fenced rule: refused by init: it would fault where no x86 machine does\n");
    return 0;
}
