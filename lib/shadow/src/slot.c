/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * Guest memory. Each page of a RAM or ROM slot, and each 2 MiB and 1 GiB region that the slot
 * touches, is a frame: it has an index, and behind it the head of the chain of leaves that map it
 * at that size. Beside it stands how many tables lie there, which decides whether a leaf of that
 * size is possible at all.
 */

#define SLOT_FRAMES_MAX ((uint64_t)1 << 30)

static uint64_t slot_regions(uint64_t gpa, uint64_t length, uint32_t level)
{
    uint32_t shift = gn_shadow__shift(level);

    return ((gpa + length - 1) >> shift) - (gpa >> shift) + 1;
}

/* Regions of a slot at the least favourable alignment, for sizing it before its place is known. */
static uint64_t slot_regions_max(uint64_t length, uint32_t level)
{
    return level ? (length - 1) / gn_shadow__span(level) + 2 : length >> GN_PAGE_SHIFT;
}

size_t gn_shadow_slot_size(uint64_t length)
{
    uint64_t pages = length >> GN_PAGE_SHIFT;
    uint64_t regions = 0;

    if (!length || length & GN_PAGE_MASK || pages > SLOT_FRAMES_MAX)
        return 0;
    for (uint32_t level = 1; level < GN_SHADOW__LEAF_LEVELS; level++)
        regions += slot_regions_max(length, level);
    /* Heads of all, counts of the regions, then the 16-bit counts of the pages. */
    return (size_t)((pages + 2 * regions) * sizeof(uint32_t) + pages * sizeof(uint16_t));
}

struct gn_shadow__slot *gn_shadow__slot_find(struct gn_shadow *sh, gn_gpa_t gpa)
{
    struct gn_shadow__slot *s = &sh->slots[sh->slot_hint];

    if (s->slot.size && gpa.v - s->slot.gpa.v < s->slot.length)
        return s;
    for (uint32_t i = 0; i < sh->params.slots; i++) {
        s = &sh->slots[i];
        if (s->slot.size && gpa.v - s->slot.gpa.v < s->slot.length) {
            /* A hint that two CPUs change in turn is worse than none. */
            if (sh->alone)
                sh->slot_hint = i;
            return s;
        }
    }
    return NULL;
}

/* Position of gpa among the frames of its level. */
static uint32_t slot_position(const struct gn_shadow__slot *s, gn_gpa_t gpa, uint32_t level)
{
    uint32_t shift = gn_shadow__shift(level);

    return (uint32_t)((gpa.v >> shift) - (s->slot.gpa.v >> shift));
}

uint32_t gn_shadow__frame(struct gn_shadow *sh, gn_gpa_t gpa, uint32_t level)
{
    const struct gn_shadow__slot *s = gn_shadow__slot_find(sh, gpa);
    uint32_t index;

    if (!s || s->slot.kind == GN_SHADOW_SLOT_MMIO)
        return GN_SHADOW__NO_FRAME;
    index = s->frame_base + slot_position(s, gpa, level);
    for (uint32_t l = 0; l < level; l++)
        index += s->frames[l];
    return index;
}

uint32_t *gn_shadow__frame_head(struct gn_shadow *sh, uint32_t frame)
{
    for (uint32_t i = 0; i < sh->params.slots; i++) {
        struct gn_shadow__slot *s = &sh->slots[i];
        uint32_t count = s->frames[0] + s->frames[1] + s->frames[2];

        if (s->slot.size && frame - s->frame_base < count)
            return &s->heads[frame - s->frame_base];
    }
    gn_shadow__check(sh, 0, "shadow: a chain names a frame of no slot");
    return NULL;
}

uint32_t gn_shadow__frame_tables(struct gn_shadow *sh, gn_gpa_t gpa, uint32_t level)
{
    const struct gn_shadow__slot *s = gn_shadow__slot_find(sh, gpa);
    uint32_t position;

    if (!s || s->slot.kind == GN_SHADOW_SLOT_MMIO)
        return 0;
    position = slot_position(s, gpa, level);
    if (level == 0)
        return s->traced[position];
    return s->tables[(level == 2 ? s->frames[1] : 0) + position];
}

/* The tables that stand for a page, one by one. */
static uint32_t tables_counted(const struct gn_shadow *sh, gn_gpa_t page)
{
    uint32_t table = *gn_shadow__bucket(sh, sh->by_gpa, page.v);
    uint32_t count = 0;

    for (; table != GN_SHADOW__NIL; table = sh->tables[table].hash_next)
        count += sh->tables[table].frame != GN_SHADOW__NO_FRAME &&
                 (sh->tables[table].role.gpa & ~GN_PAGE_MASK) == page.v;
    return count;
}

/*
 * A guest decides how many roles a page has, so the count may come to its end: that stands for as
 * many and more, until one ceases and they are counted again.
 */
uint32_t gn_shadow__frame_count(struct gn_shadow *sh, gn_gpa_t gpa, int delta)
{
    struct gn_shadow__slot *s = gn_shadow__slot_find(sh, gpa);
    uint16_t *count = &s->traced[slot_position(s, gpa, 0)];
    int was = *count != 0;
    uint32_t now = (uint32_t)(*count + delta);

    if ((*count & GN_SHADOW__TABLES_OF) == GN_SHADOW__TABLES_OF && (delta == 1 || delta == -1)) {
        now = tables_counted(sh, gn_gpa(gpa.v & ~GN_PAGE_MASK));
        now = now < GN_SHADOW__TABLES_OF && delta < 0 ? now : GN_SHADOW__TABLES_OF;
        now |= *count & GN_SHADOW__WATCHED;
    }
    *count = (uint16_t)now;
    if (was != (*count != 0)) {
        uint32_t step = delta > 0 ? 1 : UINT32_MAX;

        s->tables[slot_position(s, gpa, 1)] += step;
        s->tables[s->frames[1] + slot_position(s, gpa, 2)] += step;
    }
    return *count;
}

static int slot_check(const struct gn_shadow *sh, const struct gn_shadow_slot *slot)
{
    uint64_t widest = ((uint64_t)1 << sh->geometry.pa_bits) - 1;

    if ((slot->gpa.v | slot->length | slot->hpa.v) & GN_PAGE_MASK || !slot->length ||
        slot->kind > GN_SHADOW_SLOT_MMIO)
        return -GN_ERR_INVAL;
    if (slot->gpa.v + (slot->length - 1) < slot->gpa.v)
        return -GN_ERR_RANGE;
    if (slot->kind != GN_SHADOW_SLOT_MMIO &&
        (slot->length - 1 > widest || slot->hpa.v > widest - (slot->length - 1)))
        return -GN_ERR_RANGE;
    for (uint32_t i = 0; i < sh->params.slots; i++) {
        const struct gn_shadow_slot *other = &sh->slots[i].slot;

        if (!other->size)
            continue;
        if (slot->gpa.v <= other->gpa.v + (other->length - 1) &&
            other->gpa.v <= slot->gpa.v + (slot->length - 1))
            return -GN_ERR_EXIST;
        /* One page with two guest addresses: writes by the other one would stay unknown. */
        if (slot->kind != GN_SHADOW_SLOT_MMIO && other->kind != GN_SHADOW_SLOT_MMIO &&
            slot->hpa.v <= other->hpa.v + (other->length - 1) &&
            other->hpa.v <= slot->hpa.v + (slot->length - 1))
            return -GN_ERR_EXIST;
    }
    return 0;
}

/* First fit: the lowest run of `total` frame indices that no slot has. */
static uint64_t slot_frame_base(const struct gn_shadow *sh, uint64_t total)
{
    uint64_t base = 0;

    for (uint32_t i = 0; i < sh->params.slots; i++) {
        const struct gn_shadow__slot *s = &sh->slots[i];
        uint64_t count = (uint64_t)s->frames[0] + s->frames[1] + s->frames[2];

        if (count && base < s->frame_base + count && s->frame_base < base + total) {
            base = s->frame_base + count;
            i = UINT32_MAX; /* look at all again: bases only grow, so this ends */
        }
    }
    return base;
}

static int slot_frames(struct gn_shadow *sh, struct gn_shadow__slot *s, void *mem, size_t len)
{
    uint64_t total = 0;
    uint64_t base;
    uint32_t regions;

    if (s->slot.kind == GN_SHADOW_SLOT_MMIO)
        return 0;
    if (len < gn_shadow_slot_size(s->slot.length) || !gn_shadow_slot_size(s->slot.length))
        return gn_shadow_slot_size(s->slot.length) ? -GN_ERR_NOMEM : -GN_ERR_NOSPC;
    for (uint32_t level = 0; level < GN_SHADOW__LEAF_LEVELS; level++) {
        uint64_t count = slot_regions(s->slot.gpa.v, s->slot.length, level);

        s->frames[level] = (uint32_t)count;
        total += count;
    }
    base = slot_frame_base(sh, total);
    if (base + total > SLOT_FRAMES_MAX)
        return -GN_ERR_NOSPC;
    regions = s->frames[1] + s->frames[2];
    s->frame_base = (uint32_t)base;
    s->heads = mem;
    s->tables = s->heads + total;
    s->traced = (uint16_t *)(s->tables + regions);
    return 0;
}

static void slot_clear(struct gn_shadow__slot *s)
{
    uint32_t regions = s->frames[1] + s->frames[2];

    if (s->slot.kind == GN_SHADOW_SLOT_MMIO)
        return;
    memset(s->heads, 0xff, ((size_t)s->frames[0] + regions) * sizeof *s->heads);
    memset(s->tables, 0, regions * sizeof *s->tables);
    memset(s->traced, 0, s->frames[0] * sizeof *s->traced);
}

/* Root tables of held roots stay through a change of slots: do they lie in guest memory now? */
static void slots_changed(struct gn_shadow *sh)
{
    for (uint32_t i = 0; i < sh->params.tables; i++) {
        struct gn_shadow__table *t = &sh->tables[i];

        if (t->live && !t->role.direct && t->frame == GN_SHADOW__NO_FRAME)
            gn_shadow__table_track(sh, t);
    }
}

static int slot_add(struct gn_shadow *sh, struct gn_shadow__slot *s, void *mem, size_t len,
                    uint32_t *ret_slot)
{
    uint32_t free_slot = GN_SHADOW__NIL;
    int rc = slot_check(sh, &s->slot);

    if (rc)
        return rc;
    if (s->slot.kind != GN_SHADOW_SLOT_MMIO && (!mem || (uintptr_t)mem & 7))
        return -GN_ERR_INVAL;
    for (uint32_t i = sh->params.slots; i-- > 0;)
        free_slot = sh->slots[i].slot.size ? free_slot : i;
    if (free_slot == GN_SHADOW__NIL)
        return -GN_ERR_NOSPC;
    rc = slot_frames(sh, s, mem, len);
    /* What was answered for the range while it was a hole may be cached: start afresh. */
    if (!rc)
        rc = gn_shadow__flush(sh, GN_SHADOW_ROOT_ANY);
    if (rc)
        return rc;
    slot_clear(s);
    sh->slots[free_slot] = *s;
    slots_changed(sh);
    *ret_slot = free_slot;
    return 0;
}

int gn_shadow_slot_add(struct gn_shadow *sh, const struct gn_shadow_slot *slot, void *mem,
                       size_t len, uint32_t *ret_slot)
{
    struct gn_shadow__slot s = {0};
    int rc;

    if (!sh || !slot || !ret_slot)
        return -GN_ERR_INVAL;
    rc = gn_base_params_copy(&s.slot, sizeof s.slot, slot, sizeof s.slot);
    if (rc)
        return rc;
    s.slot.size = sizeof s.slot;
    gn_shadow__enter(sh);
    rc = slot_add(sh, &s, mem, len, ret_slot);
    gn_shadow__leave(sh);
    return rc;
}

static int slot_remove(struct gn_shadow *sh, uint32_t slot)
{
    struct gn_shadow__slot *s;
    int rc;

    if (slot >= sh->params.slots || !sh->slots[slot].slot.size)
        return -GN_ERR_NOENT;
    s = &sh->slots[slot];
    rc = gn_shadow__flush(sh, GN_SHADOW_ROOT_ANY);
    if (rc)
        return rc;
    /* Only held roots' tables are left; one that lies here lies in a hole from now on. */
    for (uint32_t i = 0; i < sh->params.tables; i++) {
        struct gn_shadow__table *t = &sh->tables[i];

        if (t->live && !t->role.direct && t->role.gpa - s->slot.gpa.v < s->slot.length)
            gn_shadow__table_untrack(sh, t);
    }
    for (uint32_t i = 0; i < GN_SHADOW__SHUTS; i++)
        if (sh->shut[i].page.v - s->slot.gpa.v < s->slot.length)
            gn_shadow__shut_end(sh, sh->shut[i].page);
    sh->logged -= s->dirty != NULL;
    memset(s, 0, sizeof *s);
    return 0;
}

int gn_shadow_slot_remove(struct gn_shadow *sh, uint32_t slot)
{
    int rc;

    if (!sh)
        return -GN_ERR_NOENT;
    gn_shadow__enter(sh);
    rc = slot_remove(sh, slot);
    gn_shadow__leave(sh);
    return rc;
}
