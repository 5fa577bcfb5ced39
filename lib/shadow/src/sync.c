/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/* Bringing shadow tables up to date with guest memory that was written. */

/* Entries that are explained together: those of four cache lines of a guest's table. */
#define EXPLAINED 32u

/*
 * The guest's entry that a shadow entry stands for, decoded. Memory that is gone reads as an entry
 * that faults, but is not said to be absent: the guest is owed another fault.
 */
static void guest_entry(struct gn_shadow *sh, const struct gn_shadow__table *t, uint32_t index,
                        struct gn_paging_entry *ret_entry)
{
    struct gn_paging_context c =
        gn_shadow__guest_context(t->role.format, gn_gpa(0), t->role.controls, t->role.phys_bits);
    struct gn_shadow__place at;
    uint64_t value = 0;

    *ret_entry = (struct gn_paging_entry){.kind = GN_PAGING_ENTRY_RESERVED};
    if (!gn_shadow__place(sh, &t->role, index, &at) ||
        sh->ops.guest->load(sh->params.ops_ctx, at.gpa, at.bytes, &value) ||
        gn_paging_entry_decode(&c, t->role.level, value, ret_entry))
        ret_entry->kind = GN_PAGING_ENTRY_RESERVED;
    /* Part of a larger page of the guest's: the part that this entry maps. */
    if (ret_entry->kind == GN_PAGING_ENTRY_LEAF)
        ret_entry->address += at.offset;
}

/* The marker for an entry whose guest counterpart is this; 0 if there is nothing to say. */
static uint64_t absent_marker(struct gn_shadow *sh, const struct gn_shadow__table *t,
                              uint32_t index, const struct gn_paging_entry *e)
{
    struct gn_shadow_absent absent = {
        .size = sizeof absent, .kind = GN_SHADOW_ABSENT_GUEST, .level = t->role.level};
    struct gn_shadow__place at;
    uint64_t marker;

    /* Only of a page whose writes are known: nothing else ends a marker in time. */
    if (e->kind != GN_PAGING_ENTRY_ABSENT || !sh->ops.absent_encode ||
        t->frame == GN_SHADOW__NO_FRAME || t->mode == GN_SHADOW_POLICY_UNSYNC ||
        !gn_shadow__place(sh, &t->role, index, &at))
        return 0;
    absent.entry = at.gpa;
    marker = sh->ops.absent_encode(sh->params.ops_ctx, &absent);
    return marker & 1 ? 0 : marker;
}

/*
 * Who faults on one absent entry often faults on its neighbours next: says of those around it, too,
 * that they are absent (Linux, c7addb902054: nonpaging_prefetch_page had the idea). Under the lock
 * of the table, which has been found to be one that may hold markers.
 */
void gn_shadow__explain_around(struct gn_shadow *sh, uint32_t id)
{
    struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];
    uint32_t first = id % GN_SHADOW__ENTRIES & ~(EXPLAINED - 1);
    uint32_t left = sh->steps_most; /* of a call that shares: the count is of those that do not */

    if (t->role.direct)
        return;
    for (uint32_t i = first; i < first + EXPLAINED; i++) {
        struct gn_paging_entry e;

        if (t->entries[i])
            continue;
        /* An entry that says nothing costs a walk when it is used, and nothing now. */
        if (sh->alone ? !gn_shadow__step(sh) : !left--)
            return;
        guest_entry(sh, t, i, &e);
        gn_shadow__mark_absent(sh, id / GN_SHADOW__ENTRIES * GN_SHADOW__ENTRIES + i,
                               absent_marker(sh, t, i, &e));
    }
}

/*
 * The leaf that should stand for a guest leaf at its own level, or 0. In the view that the present
 * entry has if it may, else in the first.
 */
static uint64_t wanted_leaf(struct gn_shadow *sh, const struct gn_shadow__table *t, uint64_t value,
                            const struct gn_paging_entry *e)
{
    const struct gn_shadow__rules rules = {t->role.format, t->role.controls, t->role.pkru};
    uint32_t permissions = gn_shadow__permissions(sh, &t->role, e);
    gn_gpa_t gpa = gn_gpa(e->address);
    struct gn_shadow__slot *slot;
    uint64_t first = 0;

    /* A clear A bit must be set by a walk before anything is mapped. */
    if (e->kind != GN_PAGING_ENTRY_LEAF || !(permissions & GN_PAGING_A))
        return 0;
    slot = gn_shadow__slot_find(sh, gpa);
    for (uint32_t view = 0; view < GN_SHADOW__VIEWS; view++) {
        uint32_t seen = gn_shadow__view(sh, &rules, permissions, view);
        uint64_t leaf;

        if (!seen)
            continue;
        leaf = gn_shadow__leaf(sh, slot, gpa, t->role.level,
                               seen | (permissions & ~GN_SHADOW__OF_VIEW));
        if (leaf && leaf == value)
            return leaf;
        first = first ? first : leaf;
    }
    return first;
}

/* Does the link lead where the guest's entry says? */
static int link_right(struct gn_shadow *sh, const struct gn_shadow__table *t, uint32_t index,
                      uint64_t link, const struct gn_paging_entry *e)
{
    const struct gn_shadow__role *is = &sh->tables[gn_shadow__link_table(sh, link)].role;
    struct gn_shadow__role wanted;

    if (e->kind == GN_PAGING_ENTRY_TABLE) {
        if (!gn_shadow__may_link(t->role.format, t->role.level, e->permissions))
            return 0;
        wanted = gn_shadow__child_role(sh, &t->role, index, e);
    } else if (e->kind == GN_PAGING_ENTRY_LEAF && e->permissions & GN_PAGING_A) {
        uint32_t permissions = gn_shadow__permissions(sh, &t->role, e);

        wanted = gn_shadow__direct_role(&t->role, t->role.level, gn_gpa(e->address), permissions);
    } else {
        return 0;
    }
    /* Whole: a root that adopts is offered tables of another, which may go by other controls. */
    return gn_shadow__role_equal(is, &wanted);
}

int gn_shadow__link_try(struct gn_shadow *sh, uint32_t id, uint64_t link)
{
    struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];
    struct gn_paging_entry e;

    guest_entry(sh, t, id % GN_SHADOW__ENTRIES, &e);
    if (t->entries[id % GN_SHADOW__ENTRIES] ||
        !link_right(sh, t, id % GN_SHADOW__ENTRIES, link, &e))
        return 0;
    gn_shadow__link_set(sh, id, gn_shadow__link_table(sh, link));
    return 1;
}

/*
 * An absent entry: whatever the marker said is over, be it of an absent entry or of a device; a
 * leaf that is ready to use is mapped.
 */
static uint32_t sync_absent(struct gn_shadow *sh, uint32_t id, const struct gn_paging_entry *e)
{
    struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];
    uint64_t leaf = t->role.level == 0 ? wanted_leaf(sh, t, 0, e) : 0;
    uint64_t marker;

    if (leaf) {
        gn_shadow__mark_absent(sh, id, 0);
        gn_shadow__leaf_set(sh, id, leaf, gn_shadow__frame(sh, gn_gpa(e->address), 0));
        gn_shadow__count(sh, sync_prefills, 1);
        return GN_SHADOW__SYNC_USEFUL | GN_SHADOW__SYNC_CHANGED;
    }
    marker = absent_marker(sh, t, id % GN_SHADOW__ENTRIES, e);
    if (t->entries[id % GN_SHADOW__ENTRIES] == marker) {
        gn_shadow__count(sh, sync_unchanged, 1);
        return 0;
    }
    /* Of no use in itself: data that comes and goes in what was a table looks like that, too. */
    gn_shadow__mark_absent(sh, id, marker);
    return GN_SHADOW__SYNC_CHANGED;
}

/* Drops an entry that is not what the guest's says, which may be that it is absent. */
static void sync_drop(struct gn_shadow *sh, uint32_t id, const struct gn_paging_entry *e)
{
    struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];

    gn_shadow__count(sh, sync_zaps, 1);
    gn_shadow__entry_drop(sh, id);
    if (t->live && !t->entries[id % GN_SHADOW__ENTRIES])
        gn_shadow__mark_absent(sh, id, absent_marker(sh, t, id % GN_SHADOW__ENTRIES, e));
}

int gn_shadow__sync_fill(struct gn_shadow *sh, uint32_t id)
{
    struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];
    struct gn_paging_entry e;
    uint64_t leaf;

    guest_entry(sh, t, id % GN_SHADOW__ENTRIES, &e);
    leaf = wanted_leaf(sh, t, 0, &e);
    if (!leaf)
        return 0;
    gn_shadow__mark_absent(sh, id, 0);
    gn_shadow__leaf_set(sh, id, leaf, gn_shadow__frame(sh, gn_gpa(e.address), 0));
    return 1;
}

uint32_t gn_shadow__sync_entry(struct gn_shadow *sh, uint32_t id)
{
    uint32_t table = id / GN_SHADOW__ENTRIES;
    struct gn_shadow__table *t = &sh->tables[table];
    uint64_t value = t->entries[id % GN_SHADOW__ENTRIES];
    uint32_t kind = gn_shadow__kind(sh, t->role.level, value);
    struct gn_paging_entry e;
    struct gn_paging_entry is;
    struct gn_paging_entry is_to_be;
    uint64_t leaf;

    gn_shadow__count(sh, sync_entries, 1);
    guest_entry(sh, t, id % GN_SHADOW__ENTRIES, &e);
    if (kind == GN_PAGING_ENTRY_ABSENT)
        return sync_absent(sh, id, &e);
    if (kind == GN_PAGING_ENTRY_TABLE) {
        if (link_right(sh, t, id % GN_SHADOW__ENTRIES, value, &e)) {
            gn_shadow__count(sh, sync_unchanged, 1);
            return GN_SHADOW__SYNC_USEFUL;
        }
        if (!sh->alone)
            return GN_SHADOW__SYNC_LATER;
        sync_drop(sh, id, &e);
        return GN_SHADOW__SYNC_USEFUL | GN_SHADOW__SYNC_CHANGED;
    }
    leaf = wanted_leaf(sh, t, value, &e);
    if (leaf == value) {
        gn_shadow__count(sh, sync_unchanged, 1);
        return GN_SHADOW__SYNC_USEFUL;
    }
    /* The same page with other permissions is changed in place; another page is a new leaf. */
    if (leaf && gn_paging_entry_decode(&sh->context, t->role.level, value, &is) == 0 &&
        gn_paging_entry_decode(&sh->context, t->role.level, leaf, &is_to_be) == 0 &&
        is.address == is_to_be.address) {
        gn_shadow__leaf_update(sh, id, leaf);
        return GN_SHADOW__SYNC_USEFUL | GN_SHADOW__SYNC_CHANGED;
    }
    sync_drop(sh, id, &e);
    return GN_SHADOW__SYNC_USEFUL | GN_SHADOW__SYNC_CHANGED;
}

/* Bytes of a page that were written. */
struct written {
    gn_gpa_t page;
    uint32_t first;
    uint32_t last;
    int part; /**< more of the same write is to come */
};

/* Written and written, and never used: the guest has made something else of the page. */
static int table_flooded(struct gn_shadow *sh, uint32_t table, uint32_t entries)
{
    struct gn_shadow__table *t = &sh->tables[table];
    uint32_t flood = gn_shadow__peek(&t->flood) + entries;
    uint32_t freed = sh->freed;

    if (flood <= sh->params.flood_limit) {
        gn_shadow__poke(&t->flood, flood);
        return 0;
    }
    if (!sh->alone)
        return GN_SHADOW__LATER;
    t->flood = 0;
    gn_shadow__table_drop(sh, table);
    gn_shadow__count(sh, tables_flooded, sh->freed != freed);
    return 0;
}

/*
 * Syncs the entries that stand for what was written. The table may be gone when this returns.
 * @return 0 or GN_SHADOW__LATER
 */
static int sync_table(struct gn_shadow *sh, uint32_t table, const struct written *w)
{
    uint32_t found = 0;
    uint32_t first;
    uint32_t last;

    if (!gn_shadow__places(sh, &sh->tables[table].role, w->first, w->last, &first, &last))
        return 0;
    gn_shadow__table_lock(sh, table);
    for (uint32_t i = first; i <= last && sh->tables[table].live; i++)
        found |= gn_shadow__sync_entry(sh, table * GN_SHADOW__ENTRIES + i);
    gn_shadow__table_unlock(sh, table);
    if (found & GN_SHADOW__SYNC_LATER)
        return GN_SHADOW__LATER;
    if (found & GN_SHADOW__SYNC_USEFUL)
        gn_shadow__poke(&sh->tables[table].flood, 0u);
    else if (!w->part && sh->tables[table].live)
        return table_flooded(sh, table, last - first + 1);
    return 0;
}

uint32_t gn_shadow__table_of_page(struct gn_shadow *sh, gn_gpa_t page, uint32_t skip)
{
    uint32_t table = *gn_shadow__bucket(sh, sh->by_gpa, page.v);

    for (; table != GN_SHADOW__NIL; table = sh->tables[table].hash_next) {
        const struct gn_shadow__role *role = &sh->tables[table].role;

        if ((role->gpa & ~GN_PAGE_MASK) == page.v && role->direct == GN_SHADOW__GUEST &&
            skip-- == 0)
            break;
    }
    return table;
}

/*
 * Syncs what was written of a page for every table that stands for it. A sync may free tables,
 * this page's too: then it starts again, and re-reading an entry twice does no harm. It ends since
 * nothing here makes tables.
 */
static int sync_page(struct gn_shadow *sh, const struct written *w)
{
    uint32_t done = 0;
    uint32_t table;

    gn_shadow__dirty_mark(sh, w->page);
    /* Outside all slots lies, perhaps, the embedder's copy of a root. */
    if (!gn_shadow__frame_tables(sh, w->page, 0) && gn_shadow__slot_find(sh, w->page))
        return 0;
    /* Nothing leads to the tables of a page that is only becoming one; they stay empty. */
    if (gn_shadow__shutting(sh, w->page, 0))
        return 0;
    while ((table = gn_shadow__table_of_page(sh, w->page, done)) != GN_SHADOW__NIL) {
        uint32_t freed = sh->freed;

        if (sync_table(sh, table, w))
            return GN_SHADOW__LATER;
        done = sh->freed == freed ? done + 1 : 0;
    }
    return 0;
}

/*
 * A page by a call of its own: others get their turn between two. Steps go to what is freed, of
 * which some may stay for a reclaim. @return as sync_page
 */
static int sync_call(struct gn_shadow *sh, const struct written *w, uint64_t *steps)
{
    int rc;

    if (sh->alone && sh->steps > *steps)
        sh->steps = (uint32_t)*steps;
    rc = sync_page(sh, w);
    if (sh->alone)
        *steps = sh->steps;
    return rc;
}

/* A range that does not wrap. */
static void sync_range(struct gn_shadow *sh, gn_gpa_t gpa, uint64_t length, int part,
                       uint64_t *steps)
{
    uint64_t at = gpa.v;
    int first = 1;

    while (length) {
        uint64_t here = GN_PAGE_SIZE - (at & GN_PAGE_MASK);
        struct written w = {.page = gn_gpa(at & ~GN_PAGE_MASK),
                            .first = (uint32_t)(at & GN_PAGE_MASK),
                            .part = part};
        int rc;

        here = here < length ? here : length;
        w.last = w.first + (uint32_t)here - 1;
        gn_shadow__enter_shared(sh);
        gn_shadow__count(sh, syncs, first);
        rc = sync_call(sh, &w, steps);
        gn_shadow__leave(sh);
        if (rc == GN_SHADOW__LATER) {
            gn_shadow__enter(sh);
            (void)sync_call(sh, &w, steps);
            gn_shadow__leave(sh);
        }
        at += here;
        length -= here;
        first = 0;
    }
}

/* The same, for the table of one role. */
static int touch_role(const struct gn_shadow *sh, const struct gn_shadow__role *role, gn_gpa_t gpa,
                      uint32_t bytes, const uint64_t value[2])
{
    const struct gn_paging_context c =
        gn_shadow__guest_context(role->format, gn_gpa(0), role->controls, role->phys_bits);
    uint32_t at = (uint32_t)(gpa.v & GN_PAGE_MASK);
    struct gn_paging_entry e[2];
    uint32_t first;
    uint32_t last;

    if (!gn_shadow__places(sh, role, at, at + bytes - 1, &first, &last))
        return GN_SHADOW__TOUCH_NOTHING;
    /* A and D of x86 are in the first four bytes of an entry, whatever it has. */
    if (gn_shadow__guest(sh, role->format)->entry_bytes != bytes)
        return gpa.v & 4 ? GN_SHADOW__TOUCH_MORE : GN_SHADOW__TOUCH_NOTHING;
    for (uint32_t i = 0; i < 2; i++)
        if (gn_paging_entry_decode(&c, role->level, value[i], &e[i]))
            return GN_SHADOW__TOUCH_MORE;
    if (e[0].kind != e[1].kind)
        return GN_SHADOW__TOUCH_SPOILS;
    return (e[0].permissions ^ e[1].permissions) & ~(GN_PAGING_A | GN_PAGING_D) ||
                   e[0].address != e[1].address
               ? GN_SHADOW__TOUCH_MORE
               : GN_SHADOW__TOUCH_NOTHING;
}

int gn_shadow__touch(struct gn_shadow *sh, gn_gpa_t gpa, uint32_t bytes, uint64_t before,
                     uint64_t after)
{
    const uint64_t value[2] = {before, after};
    gn_gpa_t page = gn_gpa(gpa.v & ~GN_PAGE_MASK);
    int most = GN_SHADOW__TOUCH_NOTHING;
    uint32_t table;

    for (uint32_t i = 0; (table = gn_shadow__table_of_page(sh, page, i)) != GN_SHADOW__NIL; i++) {
        int here = touch_role(sh, &sh->tables[table].role, gpa, bytes, value);

        most = here > most ? here : most;
    }
    return most;
}

void gn_shadow__sync_alone(struct gn_shadow *sh, gn_gpa_t gpa, uint32_t bytes)
{
    uint32_t first = (uint32_t)(gpa.v & GN_PAGE_MASK);

    (void)sync_page(sh, &(struct written){.page = gn_gpa(gpa.v & ~GN_PAGE_MASK),
                                          .first = first,
                                          .last = first + bytes - 1});
}

int gn_shadow_sync(struct gn_shadow *sh, gn_gpa_t gpa, uint64_t length)
{
    uint64_t steps = sh && sh->params.step_limit ? sh->params.step_limit : UINT32_MAX;

    if (!sh)
        return -GN_ERR_INVAL;
    if (length && gpa.v + (length - 1) < gpa.v)
        return -GN_ERR_RANGE;
    sync_range(sh, gpa, length, 0, &steps);
    return 0;
}

/* As gn_shadow_sync(), and moves on in the range by what one call may do. */
int gn_shadow_sync_part(struct gn_shadow *sh, gn_gpa_t *gpa, uint64_t *length)
{
    uint64_t left = sh ? sh->params.step_limit : 0;
    uint64_t steps = left;

    if (!sh || !gpa || !length)
        return -GN_ERR_INVAL;
    if (!left) {
        int rc = gn_shadow_sync(sh, *gpa, *length);

        if (!rc) {
            gpa->v += *length;
            *length = 0;
        }
        return rc;
    }
    if (*length && gpa->v + (*length - 1) < gpa->v)
        return -GN_ERR_RANGE;
    while (*length && left) {
        uint64_t here = GN_PAGE_SIZE - (gpa->v & GN_PAGE_MASK);
        uint64_t whole = here < *length ? here : *length;
        int tables = gn_shadow_is_table(sh, gn_gpa(gpa->v & ~GN_PAGE_MASK));
        uint64_t words;

        /* A page without tables is one step, else each of its entries is. */
        if (tables && here > left * 8 - (gpa->v & 7))
            here = left * 8 - (gpa->v & 7);
        here = here < *length ? here : *length;
        words = ((gpa->v + here - 1) >> 3) - (gpa->v >> 3) + 1;
        left -= tables ? words : 1;
        sync_range(sh, *gpa, here, here < whole, &steps);
        gpa->v += here;
        *length -= here;
    }
    return *length ? -GN_ERR_AGAIN : 0;
}

/*
 * Empties a table and all that it leads to. What other roots share goes as well: it was derived
 * through this root, too, and would be found again. Depth is bounded by the levels. A table goes
 * as soon as it is empty, so that a flush in parts does not come by it again.
 */
static int table_flush(struct gn_shadow *sh, uint32_t table)
{
    struct gn_shadow__table *t = &sh->tables[table];

    if (t->visited == sh->clock)
        return 0;
    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES; i++) {
        uint64_t entry = t->entries[i];

        if (!entry)
            continue;
        if (gn_shadow__kind(sh, t->role.level, entry) == GN_PAGING_ENTRY_TABLE &&
            table_flush(sh, gn_shadow__link_table(sh, entry)))
            return -GN_ERR_AGAIN;
        if (!gn_shadow__step(sh))
            return -GN_ERR_AGAIN;
        gn_shadow__entry_clear(sh, table * GN_SHADOW__ENTRIES + i);
    }
    t->visited = sh->clock;
    return 0;
}

int gn_shadow__flush(struct gn_shadow *sh, uint32_t root)
{
    int rc = 0;

    sh->clock++;
    for (uint32_t i = 0; i < sh->params.roots && !rc; i++) {
        struct gn_shadow__root *r = &sh->roots[i];

        if (!r->key.size || (root != GN_SHADOW_ROOT_ANY && i != root))
            continue;
        rc = table_flush(sh, r->table);
        if (!rc && !r->held)
            gn_shadow__root_evict(sh, i);
    }
    if (!rc && root == GN_SHADOW_ROOT_ANY)
        rc = gn_shadow__loose_free(sh);
    /* Tables that were freed keep their frames until here: the MMU may still walk them. */
    gn_shadow__count(sh, invalidated_all, 1);
    sh->ops.invalidate_all(sh->params.ops_ctx);
    return rc;
}

int gn_shadow_flush(struct gn_shadow *sh, uint32_t root)
{
    int rc = -GN_ERR_NOENT;

    if (!sh)
        return rc;
    gn_shadow__enter(sh);
    if (gn_shadow__root_given(sh, root))
        rc = gn_shadow__flush(sh, root);
    gn_shadow__leave(sh);
    return rc;
}

static int revoke(struct gn_shadow *sh, gn_gpa_t gpa, uint64_t length)
{
    for (uint64_t at = gpa.v; at - gpa.v < length; at += GN_PAGE_SIZE) {
        for (uint32_t level = 0; level < GN_SHADOW__LEAF_LEVELS; level++) {
            uint32_t frame = gn_shadow__frame(sh, gn_gpa(at), level);
            uint32_t *head;

            if (frame == GN_SHADOW__NO_FRAME)
                break;
            head = gn_shadow__frame_head(sh, frame);
            while (*head != GN_SHADOW__NIL) {
                if (!gn_shadow__step(sh))
                    return -GN_ERR_AGAIN;
                gn_shadow__entry_drop(sh, *head);
            }
        }
    }
    return 0;
}

int gn_shadow_revoke(struct gn_shadow *sh, gn_gpa_t gpa, uint64_t length)
{
    int rc;

    if (!sh || (gpa.v | length) & GN_PAGE_MASK)
        return -GN_ERR_INVAL;
    if (length && gpa.v + (length - 1) < gpa.v)
        return -GN_ERR_RANGE;
    gn_shadow__enter(sh);
    rc = revoke(sh, gpa, length);
    gn_shadow__leave(sh);
    return rc;
}
