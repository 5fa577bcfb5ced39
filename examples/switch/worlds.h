/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SWITCH_WORLDS_H
#define GN_SWITCH_WORLDS_H

/*
 * The two worlds: long mode with a root that maps the switch page beside the platform, and a 32-bit
 * guest with tables of two levels or PAE, GDT, IDT and stack of its own.
 *
 *     physical   7 MiB: switch page | code | data | stack | tables ...     7 MiB + 64 KiB: 16 pages
 *     virtual    the same in both   | LEGACY_CODE, _DATA, _STACK           LEGACY_PAGES, in
 * disorder
 */

#include "guest.h"

#include <gnomon/modeswitch.h>

#define WORLD_PAGE  0x700000u
#define WORLD_PAGES 0x710000u

struct world {
    struct gn_modeswitch_params params;
    struct gn_modeswitch_layout layout;
    const void *enter; /**< void (*)(void) */
};

/** The memory, and long mode's root, which is loaded. Once. @return 0, or a negative status */
int world_open(void);
/** A guest with tables of two levels, or PAE. */
struct gn_modeswitch_params world_params(int pae);
/** Puts it into its memory, writes the switch page and checks it. @return 0, or a status */
int world_make(struct world *w, const struct gn_modeswitch_params *p);
/** What the guest's pages give when they are read where it maps them: see LEGACY_SUM. */
uint32_t world_sum(void);
/** Physical memory. */
void *world_at(uint64_t hpa);
/** A word of the guest's data page. */
uint32_t *world_word(uint32_t offset);

#endif /* GN_SWITCH_WORLDS_H */
