/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/* The checker: every leaf and marker against a fresh walk, every chain against the tables. */

struct audit {
    struct gn_shadow *sh;
    uint32_t root;
    void (*report)(void *ctx, const struct gn_shadow_difference *difference);
    void *report_ctx;
    uint64_t differences;
    uint64_t leaves;
};

static void differ(struct audit *a, uint32_t kind, uint32_t level, uint64_t gva, uint64_t entry,
                   uint64_t expected)
{
    struct gn_shadow_difference d = {.size = sizeof d,
                                     .kind = kind,
                                     .root = a->root,
                                     .level = level,
                                     .gva = gn_gva(gva),
                                     .entry = entry,
                                     .expected = gn_gpa(expected)};

    a->differences++;
    if (a->report)
        a->report(a->report_ctx, &d);
}

/* What the guest's tables say of an address now, whoever asks. @return 0: nothing is mapped */
static int guest_view(struct audit *a, uint64_t gva, struct gn_paging_walk *ret_walk)
{
    const struct gn_shadow_root_key *key = &a->sh->roots[a->root].key;
    struct gn_paging_context c = gn_shadow__root_context(key, key->controls);

    if (gn_paging_walk(&c, a->sh->ops.guest, a->sh->params.ops_ctx, gn_gva(gva),
                       GN_ACCESS_READ | GN_PAGING_NO_UPDATE, ret_walk))
        return 0;
    return ret_walk->outcome == GN_PAGING_TRANSLATED ||
           ret_walk->reason == GN_PAGING_REASON_PERMISSION;
}

/* Is what a leaf allows within one of the views that the guest's page has? */
static int audit_view(const struct audit *a, const struct gn_paging_walk *w,
                      const struct gn_paging_entry *e, int write)
{
    const struct gn_shadow_root_key *key = &a->sh->roots[a->root].key;
    const struct gn_shadow__rules rules = {key->format, key->controls, key->pkru};
    uint32_t permissions = w->permissions | gn_shadow__key(key->format, w->attributes);
    uint32_t is = e->permissions;

    if (gn_shadow__is_x86(a->sh->params.format) &&
        e->attributes != GN_PAGING_X86_KEY(permissions >> GN_SHADOW__KEY_SHIFT))
        return 0;
    for (uint32_t view = 0; view < GN_SHADOW__VIEWS; view++) {
        uint32_t seen = gn_shadow__view(a->sh, &rules, permissions, view);

        seen &= write ? UINT32_MAX : ~GN_PAGING_W;
        if (seen && !(is & GN_SHADOW__OF_VIEW & ~seen) && !((is ^ seen) & GN_PAGING_U))
            return 1;
    }
    return 0;
}

/* Would a write through a leaf with these permissions stay unknown though it must not? */
static int is_unseen(const struct gn_shadow *sh, uint32_t mode, uint32_t permissions)
{
    int traces =
        sh->params.policy == GN_SHADOW_POLICY_TRACED ||
        (sh->params.policy == GN_SHADOW_POLICY_ADAPT && sh->params.flags & GN_SHADOW_MMU_TRACES);

    /* A mark tells as much as a trap does, and outlives the table that asked for it: watch.c. */
    return mode != GN_SHADOW_POLICY_UNSYNC && !(traces && permissions & GN_SHADOW_TRACED);
}

static void audit_leaf(struct audit *a, uint32_t level, uint64_t gva, uint64_t entry)
{
    struct gn_shadow *sh = a->sh;
    struct gn_paging_entry e = {0};
    struct gn_paging_walk w;
    const struct gn_shadow__slot *slot;
    const struct gn_shadow__slot *entry_slot;
    uint32_t mode;
    int write;

    a->leaves++;
    if (gn_paging_entry_decode(&sh->context, level, entry, &e))
        return;
    if (!guest_view(a, gva, &w) || w.shift < gn_shadow__shift(level)) {
        differ(a, GN_SHADOW_AUDIT_MAPPING, level, gva, entry, 0);
        return;
    }
    slot = gn_shadow__slot_find(sh, w.gpa);
    if (!slot || slot->slot.kind == GN_SHADOW_SLOT_MMIO ||
        gn_shadow__hpa(slot, w.gpa).v != e.address) {
        differ(a, GN_SHADOW_AUDIT_MAPPING, level, gva, entry, w.gpa.v);
        return;
    }
    entry_slot = gn_shadow__slot_find(sh, w.step[w.level].gpa);
    /* In read-only memory an access leaves A and D as they are, and succeeds. */
    if (entry_slot && entry_slot->slot.kind == GN_SHADOW_SLOT_ROM)
        w.permissions |= GN_PAGING_A | GN_PAGING_D;
    write = w.permissions & GN_PAGING_D && slot->slot.kind != GN_SHADOW_SLOT_ROM;
    if (!(w.permissions & GN_PAGING_A) || !audit_view(a, &w, &e, write))
        differ(a, GN_SHADOW_AUDIT_PERMISSION, level, gva, entry, w.gpa.v);
    if (e.permissions & GN_PAGING_W && slot->dirty && !slot->left &&
        (level || !gn_shadow__dirty_test(slot, w.gpa)))
        differ(a, GN_SHADOW_AUDIT_DIRTY, level, gva, entry, w.gpa.v);
    mode = gn_shadow__page_mode(sh, w.gpa);
    if (e.permissions & GN_PAGING_W && gn_shadow__frame_tables(sh, w.gpa, level) &&
        !gn_shadow__shutting(sh, w.gpa, level) && (level || is_unseen(sh, mode, e.permissions)))
        differ(a, GN_SHADOW_AUDIT_TRACE, level, gva, entry, w.gpa.v);
}

/* A marker may stand for an absent entry or for a device, never for memory. */
static void audit_marker(struct audit *a, uint32_t level, uint64_t gva, uint64_t entry)
{
    struct gn_paging_walk w;
    const struct gn_shadow__slot *slot;

    if (!guest_view(a, gva, &w))
        return;
    slot = gn_shadow__slot_find(a->sh, w.gpa);
    if (slot && slot->slot.kind != GN_SHADOW_SLOT_MMIO)
        differ(a, GN_SHADOW_AUDIT_ABSENT, level, gva, entry, w.gpa.v);
}

/* Recursion goes down one level at a time: at most five deep. */
static void audit_table(struct audit *a, uint32_t table, uint64_t base)
{
    struct gn_shadow *sh = a->sh;
    const struct gn_shadow__table *t = &sh->tables[table];
    uint32_t level = t->role.level;
    uint32_t guest = gn_shadow__guest(sh, t->role.format)->va_bits;
    /* The wider of both; without translation the guest has no width of its own. */
    uint32_t sign = 64 - (t->role.format != GN_PAGING_BARE && guest > sh->geometry.va_bits
                              ? guest
                              : sh->geometry.va_bits);

    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES; i++) {
        uint64_t gva = base | (uint64_t)i << gn_shadow__shift(level);
        uint64_t entry = t->entries[i];

        if (!entry)
            continue;
        gva = (uint64_t)((int64_t)(gva << sign) >> sign);
        switch (gn_shadow__kind(sh, level, entry)) {
        case GN_PAGING_ENTRY_TABLE: audit_table(a, gn_shadow__link_table(sh, entry), gva); break;
        case GN_PAGING_ENTRY_LEAF: audit_leaf(a, level, gva, entry); break;
        default: audit_marker(a, level, gva, entry); break;
        }
    }
}

/* What the MMU walks in place of the tables above its levels. */
static void audit_seam(struct audit *a, const struct gn_shadow__root *r)
{
    for (uint32_t i = 0; r->seam && i < GN_SHADOW__ENTRIES; i++)
        if (!gn_shadow__seam_right(a->sh, r, i))
            differ(a, GN_SHADOW_AUDIT_MAPPING, a->sh->geometry.levels - 1, 0, r->seam[i], 0);
}

/*
 * Follows a chain: every member is a present entry of a live table, is of the kind, level and
 * address that the head stands for, and names its predecessor. @return how many belong there
 */
static uint64_t audit_chain(struct audit *a, uint32_t head, uint32_t first,
                            const struct gn_paging_entry *expected, uint32_t level)
{
    struct gn_shadow *sh = a->sh;
    uint32_t prev = GN_SHADOW__HEAD | head;
    uint64_t members = 0;

    for (uint32_t id = first; id != GN_SHADOW__NIL; id = sh->links[id].next) {
        const struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];
        uint64_t entry = t->live ? t->entries[id % GN_SHADOW__ENTRIES] : 0;
        struct gn_paging_entry e = {0};

        if (gn_shadow__kind(sh, t->role.level, entry) != expected->kind ||
            sh->links[id].prev != prev ||
            (expected->kind == GN_PAGING_ENTRY_LEAF && t->role.level != level) ||
            gn_paging_entry_decode(&sh->context, gn_shadow__encoding(sh, t->role.level), entry,
                                   &e) ||
            e.address != expected->address) {
            /* What follows cannot be trusted: a ring would never end. */
            differ(a, GN_SHADOW_AUDIT_RMAP, t->role.level, 0, entry, expected->address);
            break;
        }
        prev = id;
        members++;
    }
    return members;
}

/* The chains of all frames of a slot. */
static uint64_t audit_slot(struct audit *a, const struct gn_shadow__slot *s)
{
    uint64_t members = 0;
    uint32_t position = 0;

    for (uint32_t level = 0; level < GN_SHADOW__LEAF_LEVELS; level++) {
        uint64_t first = s->slot.gpa.v >> gn_shadow__shift(level);

        for (uint32_t i = 0; i < s->frames[level]; i++, position++) {
            uint64_t gpa = (first + i) << gn_shadow__shift(level);
            struct gn_paging_entry expected = {
                .kind = GN_PAGING_ENTRY_LEAF,
                .address = gn_shadow__hpa(s, gn_gpa(gpa)).v,
            };

            if (s->heads[position] != GN_SHADOW__NIL)
                members +=
                    audit_chain(a, s->frame_base + position, s->heads[position], &expected, level);
        }
    }
    return members;
}

/* Every present entry is in its chain, and the chains hold nothing else. */
static void audit_chains(struct audit *a)
{
    struct gn_shadow *sh = a->sh;
    uint64_t present = 0;
    uint64_t members = 0;

    for (uint32_t table = 0; table < sh->params.tables; table++) {
        const struct gn_shadow__table *t = &sh->tables[table];
        struct gn_paging_entry expected = {.kind = GN_PAGING_ENTRY_TABLE, .address = t->hpa.v};
        uint32_t here = 0;

        if (!t->live)
            continue;
        for (uint32_t i = 0; i < GN_SHADOW__ENTRIES; i++)
            here += gn_shadow__kind(sh, t->role.level, t->entries[i]) != GN_PAGING_ENTRY_ABSENT;
        if (here != t->present)
            differ(a, GN_SHADOW_AUDIT_RMAP, t->role.level, 0, 0, 0);
        present += here;
        members += audit_chain(a, GN_SHADOW__HEAD_TABLE | table, t->parents, &expected, 0);
    }
    for (uint32_t i = 0; i < sh->params.slots; i++)
        if (sh->slots[i].slot.size && sh->slots[i].slot.kind != GN_SHADOW_SLOT_MMIO)
            members += audit_slot(a, &sh->slots[i]);
    if (present != members)
        differ(a, GN_SHADOW_AUDIT_RMAP, 0, 0, 0, 0);
}

static int audit(struct audit *a, uint32_t root)
{
    struct gn_shadow *sh = a->sh;

    if (!gn_shadow__root_given(sh, root))
        return -GN_ERR_NOENT;
    for (uint32_t i = 0; i < sh->params.roots; i++) {
        if (!sh->roots[i].key.size || (root != GN_SHADOW_ROOT_ANY && i != root))
            continue;
        a->root = i;
        audit_table(a, sh->roots[i].table, 0);
        audit_seam(a, &sh->roots[i]);
    }
    if (root == GN_SHADOW_ROOT_ANY) {
        a->root = GN_SHADOW_ROOT_ANY;
        audit_chains(a);
    }
    return 0;
}

int gn_shadow_audit(struct gn_shadow *sh, uint32_t root,
                    void (*report)(void *ctx, const struct gn_shadow_difference *difference),
                    void *report_ctx, uint64_t *ret_differences, uint64_t *ret_leaves)
{
    struct audit a = {.sh = sh, .report = report, .report_ctx = report_ctx};
    int rc;

    if (!sh || !ret_differences)
        return -GN_ERR_INVAL;
    gn_shadow__enter(sh);
    rc = audit(&a, root);
    gn_shadow__leave(sh);
    if (rc)
        return rc;
    *ret_differences = a.differences;
    if (ret_leaves)
        *ret_leaves = a.leaves;
    return 0;
}
