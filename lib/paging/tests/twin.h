/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_TWIN_H
#define GN_TEST_TWIN_H

/*
 * Twin memories, in which only the entries on the path of one address are used: the library walks
 * in the one, a naive machine in the other. The table of level n lies in page n + 1.
 *
 * GN_TEST_EVERY=n makes one trial of n, where all of them take minutes: n is best a prime.
 */

#include "agree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define TWIN_PAGES 6

struct twin {
    uint64_t ours[TWIN_PAGES * 512], theirs[TWIN_PAGES * 512];
    struct guest guest;
    struct naive_memory memory;
    uint64_t entry[GN_PAGING_LEVELS_MAX]; /* what a trial starts with, a level */
    uint8_t *slot[2][GN_PAGING_LEVELS_MAX];
    uint32_t bytes; /* of an entry */
    uint32_t top;   /* level of the root */
    struct trial trial;
    uint64_t trials;
};

static struct twin twin;
static uint64_t twin_every = 1, twin_turn;

static inline void twin_init(uint32_t format, uint32_t top, uint64_t address)
{
    struct gn_paging_geometry g;

    if (getenv("GN_TEST_EVERY"))
        twin_every = strtoull(getenv("GN_TEST_EVERY"), NULL, 0);
    assert_true(twin_every > 0);
    assert_int_equal(gn_paging_geometry(format, &g), 0);
    assert_int_equal(g.levels, top + 1);
    memset(&twin, 0, sizeof twin);
    twin.bytes = format == GN_PAGING_X86_32 ? 4 : 8;
    twin.guest =
        (struct guest){.words = twin.ours, .bytes = sizeof twin.ours, .entry_bytes = twin.bytes};
    twin.memory = (struct naive_memory){twin.theirs, sizeof twin.theirs};
    twin.top = top;
    for (uint32_t level = 0; level <= top; level++) {
        uint32_t bits = format == GN_PAGING_X86_32 ? 10 : 9;
        uint64_t index = address >> (12 + bits * level) & ((1u << bits) - 1);
        uint64_t at = ((level + 1) << 12) + index * twin.bytes;

        twin.slot[0][level] = (uint8_t *)twin.ours + at;
        twin.slot[1][level] = (uint8_t *)twin.theirs + at;
    }
    twin.trial.format = format;
    twin.trial.address = address;
    twin.trial.x86.cr3 = (uint64_t)(top + 1) << 12;
    twin.trial.x86.cr4 = format == GN_PAGING_X86_PAE ? 1u << 5 : 0;
    twin.trial.x86.maxphyaddr = 40;
    twin.trial.riscv.satp_ppn = top + 1;
    twin.trial.riscv.levels = (int)top + 1;
    twin.trial.arm.ttbr0 = twin.trial.arm.ttbr1 = (uint64_t)(top + 1) << 12;
    twin.trial.arm.oasize = 40;
}

static inline void twin_fail(const char *what, const struct gn_paging_walk *r,
                             const struct naive_result *n)
{
    for (uint32_t level = twin.top + 1; level-- > 0;)
        printf("  level %u: started as %016llx, ours %016llx, theirs %016llx\n", level,
               (unsigned long long)twin.entry[level],
               (unsigned long long)guest_read(twin.slot[0][level], twin.bytes),
               (unsigned long long)guest_read(twin.slot[1][level], twin.bytes));
    trial_print(&twin.trial, what, r, n);
    fail();
}

static inline void twin_try(void)
{
    struct gn_paging_walk r = {0};
    struct naive_result n = {.kind = NAIVE_OK};
    const char *what;

    if (++twin_turn % twin_every != 0)
        return;
    for (uint32_t level = 0; level <= twin.top; level++)
        for (int i = 0; i < 2; i++)
            memcpy(twin.slot[i][level], &twin.entry[level], twin.bytes);
    what = trial_run(&twin.trial, &twin.guest, &twin.memory, &r, &n);
    for (uint32_t level = 0; level <= twin.top; level++)
        if (memcmp(twin.slot[0][level], twin.slot[1][level], twin.bytes) != 0)
            what = "an entry left behind";
    if (what)
        twin_fail(what, &r, &n);
    twin.trials++;
}

static inline void twin_tell(uint32_t leaf, uint32_t upper)
{
    print_message("%s, leaf level %u, upper level %u: %llu accesses so far\n",
                  gn_paging_format_name(twin.trial.format), leaf, upper,
                  (unsigned long long)twin.trials);
}

/* All accesses of an x86 under the controls that are set. */
static inline void twin_x86_accesses(int probes)
{
    for (int op = 0; op < 3; op++)
        for (int who = 0; who < 4; who++)
            for (int probe = 0; probe <= probes; probe++) {
                twin.trial.x86.op = "rwx"[op];
                twin.trial.x86.cpl = who & 1 ? 3 : 0;
                twin.trial.x86.implicit = who >> 1;
                twin.trial.x86.probe = probe;
                if (who != 3 || op == 0) /* implicit at CPL 3 is but one more implicit */
                    twin_try();
            }
}

#endif /* GN_TEST_TWIN_H */
