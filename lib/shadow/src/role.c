/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * What a shadow table stands for, and which guest entry each of its entries stands for.
 *
 * Levels have the same number in both worlds: level 0 maps 4 KiB. They need not have the same span:
 * a table of the 32-bit x86 format has 1,024 entries, so each of its shadows stands for one part of
 * it, its quadrant, and a 4 MiB entry is two of the shadow's. Where the guest has fewer levels,
 * glue tables lead from the shadow's root to the shadow of the guest's. Addresses are extended from
 * the guest's sign bit, so that root has two places, one half of it at either end of the address
 * space; all between is canonical for the shadow and not for the guest, and must stay absent:
 *
 *     glue root  [0] -> glue, lower -> [0]   -> S(root), lower half: entries 0 .. 255
 *                [511] -> glue, upper -> [511] -> S(root), upper half: entries 256 .. 511
 */

#define HALF_LOWER 1u
#define HALF_UPPER 2u

/* 32-bit formats have no sign: the upper half of a 64-bit address is not theirs at all. */
static int signed_addresses(const struct gn_paging_geometry *g)
{
    return g->va_bits > 32;
}

/* log2 of what a guest entry at a level maps; of what a table below it does. */
static uint32_t guest_shift(const struct gn_paging_geometry *g, uint32_t level)
{
    uint32_t shift = GN_PAGE_SHIFT;

    for (uint32_t l = 0; l < level; l++)
        shift += g->level_bits[l];
    return shift;
}

/* Entries of a guest table at a level: those of the topmost may be few. */
static uint64_t guest_entries(const struct gn_paging_geometry *g, uint32_t level)
{
    return (uint64_t)1 << g->level_bits[level];
}

/* log2 of how many shadow tables stand for one guest table. */
static uint32_t quadrant_bits(const struct gn_paging_geometry *g, uint32_t level)
{
    uint32_t guest = guest_shift(g, level + 1);
    uint32_t shadow = gn_shadow__shift(level + 1);

    return guest > shadow ? guest - shadow : 0;
}

uint32_t gn_shadow__root_level(const struct gn_shadow *sh, uint32_t format)
{
    const struct gn_paging_geometry *g = gn_shadow__guest(sh, format);
    /* Two roots have a glue table above them, to begin with. */
    uint32_t levels = g->levels + (g->roots == 2);

    return (levels > sh->geometry.levels ? levels : sh->geometry.levels) - 1;
}

uint64_t gn_shadow__root_bytes(const struct gn_paging_geometry *g)
{
    return g->levels ? guest_entries(g, g->levels - 1) * g->entry_bytes : GN_PAGE_SIZE;
}

struct gn_shadow__role gn_shadow__root_role(const struct gn_shadow *sh,
                                            const struct gn_shadow_root_key *key, uint32_t level,
                                            uint64_t gva)
{
    const struct gn_paging_geometry *g = gn_shadow__guest(sh, key->format);
    int bare = key->format == GN_PAGING_BARE;
    struct gn_shadow__role role = {
        .gpa = bare ? 0 : key->table.v,
        .format = key->format,
        .controls = key->controls,
        .pkru = key->pkru,
        .permissions = GN_PAGING_RWXU | GN_PAGING_UX,
        .phys_bits = (uint8_t)key->phys_bits,
        .level = (uint8_t)level,
        .direct = bare ? GN_SHADOW__DIRECT : GN_SHADOW__GUEST,
    };

    if (bare)
        return role;
    if (g->roots == 2) {
        int upper = level < g->levels && gva >> 63;

        role.direct = level < g->levels ? GN_SHADOW__GUEST : GN_SHADOW__GLUE;
        role.gpa = upper ? key->table_high.v : key->table.v;
        role.gpa_high = level < g->levels ? 0 : key->table_high.v;
        return role;
    }
    if (level >= g->levels)
        role.direct = GN_SHADOW__GLUE;
    else
        role.quadrant = (uint8_t)gn_shadow__quadrant(g, level, gva);
    /* Only the shadow's root itself is above where the halves part. */
    if (level + 1 < sh->geometry.levels && signed_addresses(g))
        role.half = gva >> 63 ? HALF_UPPER : HALF_LOWER;
    return role;
}

uint32_t gn_shadow__quadrant(const struct gn_paging_geometry *g, uint32_t level, uint64_t gva)
{
    return (uint32_t)(gva >> gn_shadow__shift(level + 1)) & ((1u << quadrant_bits(g, level)) - 1);
}

struct gn_shadow__role gn_shadow__direct_role(const struct gn_shadow__role *parent, uint32_t level,
                                              gn_gpa_t gpa, uint32_t permissions)
{
    struct gn_shadow__role role = *parent;

    role.gpa = gpa.v & ~(gn_shadow__span(level) - 1);
    role.permissions = (uint16_t)(permissions & (GN_PAGING_RWXU | GN_PAGING_UX | GN_PAGING_G |
                                                 GN_PAGING_D | GN_SHADOW__KEY));
    role.level = (uint8_t)(level - 1);
    role.direct = GN_SHADOW__DIRECT;
    role.quadrant = 0;
    role.half = 0;
    return role;
}

struct gn_shadow__role gn_shadow__child_role(const struct gn_shadow *sh,
                                             const struct gn_shadow__role *parent, uint32_t index,
                                             const struct gn_paging_entry *entry)
{
    const struct gn_paging_geometry *g = gn_shadow__guest(sh, parent->format);
    struct gn_shadow__role role = *parent;

    role.gpa = entry->address;
    role.permissions = (uint16_t)(parent->permissions & (entry->permissions | ~g->inherited));
    role.level = (uint8_t)(parent->level - 1);
    role.quadrant = (uint8_t)gn_shadow__quadrant(
        g, role.level, (uint64_t)index << gn_shadow__shift(parent->level));
    role.half = 0;
    return role;
}

uint32_t gn_shadow__permissions(const struct gn_shadow *sh, const struct gn_shadow__role *role,
                                const struct gn_paging_entry *entry)
{
    uint32_t inherited = gn_shadow__guest(sh, role->format)->inherited;

    return (entry->permissions & (role->permissions | ~inherited)) |
           gn_shadow__key(role->format, entry->attributes);
}

int gn_shadow__place(const struct gn_shadow *sh, const struct gn_shadow__role *role, uint32_t index,
                     struct gn_shadow__place *ret_place)
{
    const struct gn_paging_geometry *g = gn_shadow__guest(sh, role->format);
    uint32_t shift = guest_shift(g, role->level);
    uint64_t at = ((uint64_t)role->quadrant * GN_SHADOW__ENTRIES + index)
                  << gn_shadow__shift(role->level);

    /* Canonical for the shadow, but not for the guest: nothing may ever be there. */
    if (role->half && index / (GN_SHADOW__ENTRIES / 2) != role->half - 1u)
        return 0;
    if (at >> shift >= guest_entries(g, role->level))
        return 0;
    ret_place->gpa = gn_gpa(role->gpa + (at >> shift) * g->entry_bytes);
    ret_place->bytes = g->entry_bytes;
    ret_place->offset = at & (((uint64_t)1 << shift) - 1);
    return 1;
}

int gn_shadow__places(const struct gn_shadow *sh, const struct gn_shadow__role *role,
                      uint32_t first, uint32_t last, uint32_t *ret_first, uint32_t *ret_last)
{
    const struct gn_paging_geometry *g = gn_shadow__guest(sh, role->format);
    uint32_t parts = guest_shift(g, role->level) - gn_shadow__shift(role->level);
    uint32_t table = (uint32_t)(role->gpa & GN_PAGE_MASK);
    uint32_t begin = role->quadrant * GN_SHADOW__ENTRIES;
    uint32_t low;
    uint32_t high;

    if (last < table)
        return 0;
    low = (first < table ? 0 : first - table) / g->entry_bytes << parts;
    high = (((last - table) / g->entry_bytes + 1) << parts) - 1;
    if (high < begin || low >= begin + GN_SHADOW__ENTRIES)
        return 0;
    *ret_first = low < begin ? 0 : low - begin;
    *ret_last = high - begin < GN_SHADOW__ENTRIES ? high - begin : GN_SHADOW__ENTRIES - 1;
    return 1;
}
