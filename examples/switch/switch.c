/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A 64-bit kernel that hosts a 32-bit guest: thousands of round trips through the switch page, to a
 * guest with tables of two levels and to one with PAE. Each time the guest reads what it maps,
 * faults into its own IDT, and fills every register; the kernel changes a page and checks the sum.
 */

#include "worlds.h"

#include <gnomon/x86_64.h>

#include <stdio.h>

#define ROUNDS 5000u

static int host(int pae)
{
    const struct gn_modeswitch_params p = world_params(pae);
    const char *name = pae ? "PAE" : "two levels";
    struct world w;
    int rc = world_make(&w, &p);

    if (rc) {
        printf("%s: the switch page is refused: %s\n", name, gn_base_status_name(rc));
        return 1;
    }
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        /* A page that only the guest maps; here it is reached through physical memory. */
        *(uint32_t *)world_at(WORLD_PAGES + i % LEGACY_COUNT * 0x1000) = i * 0x9e3779b9u;
        ((void (*)(void))(uintptr_t)w.enter)();
        if (*world_word(LEGACY_ROUNDS) != i || *world_word(LEGACY_SUM) != world_sum() ||
            *world_word(LEGACY_FAULTS) != i || *world_word(LEGACY_CR2) != LEGACY_ABSENT) {
            printf("%s: round %u: the guest saw something else\n", name, i);
            return 1;
        }
    }
    printf("%s: %u round trips, %u pages verified in each, %u faults handled by the guest, "
           "%u registers lost\n",
           name, ROUNDS, LEGACY_COUNT, *world_word(LEGACY_FAULTS), *world_word(LEGACY_WRONG));
    return *world_word(LEGACY_WRONG) != 0;
}

int main(void)
{
    if (world_open()) {
        printf("no memory at 7 MiB\n");
        return 1;
    }
    return host(0) | host(1);
}
