/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "fuzz.h"

/* Slots that come and go, and the address spaces that vCPUs run in and others hold. */

/* RAM below and above the edge, two slots that come and go, devices. */
static uint64_t slot_base(const struct world *w, uint32_t i)
{
    const uint64_t base[SLOTS] = {0, w->c.edge, SLOT_TABLES, SLOT_TABLES + 0x10000, DEVICES};

    return base[i];
}

uint64_t slot_bytes(const struct world *w, uint32_t i)
{
    const uint64_t bytes[SLOTS] = {w->c.edge, SLOT_TABLES - w->c.edge, 0x10000, 0x8000, 0x4000};

    return bytes[i];
}

int again(struct world *w, int rc, uint32_t *calls, const char *what)
{
    if (!rc)
        return 0;
    if (rc != -GN_ERR_AGAIN || !w->c.steps)
        fail("%s: %s", what, gn_base_status_name(rc));
    if (++*calls > CALLS_MAX)
        fail("%s: it comes to no end", what);
    w->done[DONE_AGAIN]++;
    if (*calls <= MEANWHILE)
        meanwhile(w);
    return 1;
}

static void slot_remove(struct world *w, uint32_t i)
{
    uint32_t calls = 0;

    while (again(w, gn_shadow_slot_remove(w->shadow, w->slot_id[i]), &calls,
                 "shadow: a slot was not removed"))
        ;
    memset(&w->slot[i], 0, sizeof w->slot[i]);
    dirty_gone(w, i);
    memset(w->watched + (slot_base(w, i) >> GN_PAGE_SHIFT), 0, slot_bytes(w, i) >> GN_PAGE_SHIFT);
    model_unmapped(w, slot_base(w, i), slot_bytes(w, i));
}

void world_slot_set(struct world *w, uint32_t i, uint32_t kind)
{
    struct gn_shadow_slot slot = {GN_SHADOW_SLOT_INIT, .kind = kind, .gpa = gn_gpa(slot_base(w, i)),
                                  .length = slot_bytes(w, i),
                                  .hpa = gn_hpa(w->ram_hpa + slot_base(w, i))};
    size_t size = kind == GN_SHADOW_SLOT_MMIO ? 0 : gn_shadow_slot_size(slot.length);
    uint32_t calls = 0;

    if (w->slot[i].length)
        slot_remove(w, i);
    if (kind != NO_SLOT) {
        while (again(w,
                     gn_shadow_slot_add(w->shadow, &slot, size ? w->slot_memory[i] : NULL, size,
                                        &w->slot_id[i]),
                     &calls, "shadow: a slot was refused"))
            ;
        w->slot[i] = slot;
    }
    if (w->np && w->c.bump && gn_nonpresent_bump(w->np, GN_NONPRESENT_MMIO) == 1)
        world_flush(w, GN_SHADOW_ROOT_ANY);
}

/* How many roots are held, by whomever. */
static uint32_t roots_held(const struct world *w)
{
    uint8_t held[ROOTS_MAX] = {0};
    uint32_t count = 0;

    for (uint32_t i = 0; i < VCPUS; i++)
        held[w->vcpu[i].root.id] |= w->vcpu[i].held != 0;
    for (uint32_t i = 0; i < w->hold_count; i++)
        held[w->holds[i]] = 1;
    for (uint32_t i = 0; i < ROOTS_MAX; i++)
        count += held[i];
    return count;
}

/*
 * What is held stays; all else can be reclaimed, if the frames that were given suffice. A root of
 * a guest with more levels than the shadow has one beside its tables for as long as it is cached.
 */
int world_no_room(const struct world *w)
{
    uint32_t levels = (uint32_t)(w->levels + w->arm);
    uint32_t tables = w->frames_all - w->frame_count;

    for (uint32_t i = 0; i < w->c.roots && w->frames_all > w->c.tables; i++)
        tables -= w->cookies[i] && tables;
    if (levels < (uint32_t)w->shadow_levels)
        levels = (uint32_t)w->shadow_levels;
    return tables < roots_held(w) + levels;
}

uint32_t world_format(const struct world *w, uint32_t space)
{
    return space == BARE ? GN_PAGING_BARE : w->c.guest;
}

static void holds_release(struct world *w)
{
    while (w->hold_count)
        if (gn_shadow_root_put(w->shadow, w->holds[--w->hold_count]))
            fail("shadow: a root was not held");
}

struct gn_shadow_root_key world_key(const struct world *w, uint32_t space, uint32_t controls)
{
    return (struct gn_shadow_root_key){GN_SHADOW_ROOT_KEY_INIT,
                                       .format = world_format(w, space),
                                       .table = gn_gpa(space == BARE ? 0 : space_root(space)),
                                       .table_high = gn_gpa(space_root_high(space)),
                                       .controls = controls,
                                       .tag = space};
}

/* @return 1: it is held now */
static int root_get(struct world *w, uint32_t space, uint32_t controls, struct gn_shadow_root *ret)
{
    const struct gn_shadow_root_key key = world_key(w, space, controls);
    uint32_t calls = 0;
    int rc;

    while ((rc = gn_shadow_root_get(w->shadow, &key, ret)) == -GN_ERR_AGAIN)
        (void)again(w, rc, &calls, "shadow: no root is to be had");
    if ((rc == -GN_ERR_NOSPC && roots_held(w) == w->c.roots) ||
        (rc == -GN_ERR_NOMEM && world_no_room(w)))
        return 0;
    if (rc)
        fail("shadow: no root is to be had: %s", gn_base_status_name(rc));
    w->cookies[ret->id] = ret->cookie;
    w->root_space[ret->id] = space;
    return 1;
}

void world_hold(struct world *w, uint32_t space, uint32_t controls)
{
    struct gn_shadow_root root;

    if (w->hold_count == HOLDS)
        holds_release(w);
    if (root_get(w, space, controls, &root))
        w->holds[w->hold_count++] = root.id;
    else
        holds_release(w);
}

void world_load(struct world *w, uint32_t number, const struct gn_shadow_root *root, uint32_t space,
                uint32_t controls)
{
    struct vcpu *v = &w->vcpu[number];
    int rc = gn_asid_activate(w->asid, number, 0, root->cookie, &v->asid);

    if (rc)
        fail("asid: no ID is to be had: %s", gn_base_status_name(rc));
    if (v->held && gn_shadow_root_put(w->shadow, v->root.id))
        fail("shadow: the root in force was not held");
    v->held = 1;
    v->root = *root;
    v->space = space;
    v->controls = controls;
    v->user = -1;
}

int world_switch(struct world *w, uint32_t number, uint32_t space, uint32_t controls)
{
    struct gn_shadow_root root;

    if (!root_get(w, space, controls, &root)) {
        holds_release(w);
        return 0;
    }
    world_load(w, number, &root, space, controls);
    return 1;
}
