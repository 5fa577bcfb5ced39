/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

/* What the seed decides about a world: every policy and option, and limits that are reached. */

static uint32_t power(struct dice *d, uint32_t least, uint32_t most)
{
    return 1u << (least + dice_below(d, most - least + 1));
}

/* Every guest's format in every shadow's; in its own more often than else. */
static void formats_make(struct config *c, struct dice *d, struct oracle *ret_guest)
{
    static const uint32_t formats[] = {
        GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL, GN_PAGING_SV39,   GN_PAGING_SV48,
        GN_PAGING_SV57,       GN_PAGING_AARCH64_4K, GN_PAGING_X86_32, GN_PAGING_X86_PAE,
    };

    c->format = formats[dice_below(d, 5)];
    c->guest = dice_below(d, 3) ? formats[dice_below(d, 8)] : c->format;
    oracle_init(ret_guest, c->guest, 0, 0);
}

static void shadow_make(struct config *c, struct dice *d)
{
    static const uint32_t policies[] = {
        GN_SHADOW_POLICY_TRAP,   GN_SHADOW_POLICY_TRACED, GN_SHADOW_POLICY_TRACED,
        GN_SHADOW_POLICY_UNSYNC, GN_SHADOW_POLICY_UNSYNC, GN_SHADOW_POLICY_ADAPT,
        GN_SHADOW_POLICY_ADAPT,  GN_SHADOW_POLICY_ADAPT,
    };

    c->policy = policies[dice_below(d, 8)];
    if (c->policy == GN_SHADOW_POLICY_ADAPT && dice_below(d, 3) == 0)
        c->flags = GN_SHADOW_MMU_TRACES;
    c->unsync_after = dice_below(d, 4);
    c->sync_after = dice_below(d, 4);
    c->around = dice_below(d, 2) ? power(d, 0, 9) : 0;
    c->steps = dice_below(d, 2) ? power(d, 0, 9) : 0;
    /* Now so few that everything is reclaimed all the time, now enough for what is kept long. */
    c->tables = 16 + dice_below(d, (dice_below(d, 2) ? FRAMES_FEW : TABLES_MAX) - 16);
    c->roots = VCPUS + 1 + dice_below(d, ROOTS_MAX - VCPUS);
    c->flood_limit = power(d, 0, 6);
    c->frames_fail = dice_below(d, 3) ? 0 : 2 + dice_below(d, 6);
    c->dirty_ring = 1 + dice_below(d, 40);
    c->shift = dice_below(d, 4) ? 0 : GN_PAGE_SIZE * dice_below(d, SHIFT_PAGES);
    c->edge = dice_below(d, 2) ? FAR_TABLES
                               : FAR_TABLES + GN_PAGE_SIZE * dice_below(d, 511) + GN_PAGE_SIZE;
}

void config_make(struct config *c, uint64_t seed)
{
    struct dice d = {seed};
    struct oracle guest;

    memset(c, 0, sizeof *c);
    formats_make(c, &d, &guest);
    shadow_make(c, &d);
    c->markers = dice_below(&d, 4) ? GN_NONPRESENT_RULE_IMMEDIATE : 0;
    if (guest.family == 'r' && dice_below(&d, 3) == 0)
        c->markers = GN_NONPRESENT_RULE_FENCED;
    c->ring = power(&d, 1, 4);
    c->filter = power(&d, 0, 4);
    c->pending = power(&d, 0, 6);
    c->log_flags =
        dice_below(&d, 2) * GN_TRACELOG_SERIAL | (dice_below(&d, 4) ? 0 : GN_TRACELOG_NO_FILTER);
    c->log_pages =
        dice_below(&d, 3) ? (uint32_t)(GUEST_BYTES >> GN_PAGE_SHIFT) : dice_below(&d, 40);
    c->tlb = dice_below(&d, 3) ? 64 : 1024;
    c->asids = VCPUS + 1 + dice_below(&d, 4);
    c->asid_policy = 1 + dice_below(&d, 3);
    c->asid_rename = 1 + dice_below(&d, 3);
    c->asid_caps = dice_below(&d, 4) ? GN_ASID_CAP_PURGE_ONE : 0;
    c->calm = (int)dice_below(&d, 2);
    c->split = (int)dice_below(&d, 2);
    c->bump = (int)dice_below(&d, 2);
    c->flushes = (int)dice_below(&d, 2);
    c->rest = dice_below(&d, 4) == 0;
}

void config_print(const struct config *c)
{
    static const char *const policies[] = {"trap", "traced", "unsync", "adapt"};

    printf("# %s in %s, %s%s after %u and %u, around %u, steps %u, markers %u\n",
           gn_paging_format_name(c->guest), gn_paging_format_name(c->format), policies[c->policy],
           c->flags ? " to traced" : "", c->unsync_after, c->sync_after, c->around, c->steps,
           c->markers);
    printf("# %u tables, one in %u frames refused, %u roots, flood %u, dirty ring %u, backing "
           "shifted by %#" PRIx64 ", slots meet at %#" PRIx64 "\n",
           c->tables, c->frames_fail, c->roots, c->flood_limit, c->dirty_ring, c->shift, c->edge);
    printf("# ring %u, filter %u, pending %u, log flags %u pages %u, tlb %u%s, %u asids policy %u "
           "rename %u caps %u%s%s%s%s\n",
           c->ring, c->filter, c->pending, c->log_flags, c->log_pages, c->tlb,
           c->split ? " each" : "", c->asids, c->asid_policy, c->asid_rename, c->asid_caps,
           c->bump ? ", bump" : "", c->flushes ? ", asid flushes" : "", c->rest ? ", rest" : "",
           c->calm ? ", calm" : "");
}
