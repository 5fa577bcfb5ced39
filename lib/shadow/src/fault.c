/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * Resolving an access: walk the guest's tables, find what backs the page, and build the path of
 * shadow tables down to a leaf of the largest size that both worlds allow.
 */

struct fault {
    struct gn_shadow *sh;
    const struct gn_shadow__root *root;
    const struct gn_shadow_access *access;
    struct gn_paging_walk walk;
    struct gn_shadow__slot *slot; /**< that walk.gpa lies in */
    uint32_t leaf_level;          /**< level of the guest's leaf; BARE: above every table */
    uint32_t entry_permissions[GN_PAGING_LEVELS_MAX]; /**< of the guest's table entries passed */
};

struct gn_shadow__role gn_shadow__direct_role(const struct gn_shadow__role *parent, uint32_t level,
                                              gn_gpa_t gpa, uint32_t permissions)
{
    struct gn_shadow__role role = *parent;

    role.gpa = gpa.v & ~(gn_shadow__span(level) - 1);
    role.permissions = (uint16_t)(permissions & (GN_PAGING_RWXU | GN_PAGING_G | GN_PAGING_D));
    role.level = (uint8_t)(level - 1);
    role.direct = 1;
    return role;
}

struct gn_shadow__role gn_shadow__child_role(const struct gn_shadow__role *parent,
                                             const struct gn_paging_entry *entry,
                                             uint32_t inherited)
{
    struct gn_shadow__role role = *parent;

    role.gpa = entry->address;
    role.permissions = (uint16_t)(parent->permissions & (entry->permissions | ~inherited));
    role.level = (uint8_t)(parent->level - 1);
    return role;
}

uint64_t gn_shadow__leaf(struct gn_shadow *sh, const struct gn_shadow__slot *slot, gn_gpa_t gpa,
                         uint32_t level, uint32_t permissions)
{
    struct gn_paging_entry e = {.kind = GN_PAGING_ENTRY_LEAF};
    uint64_t span = gn_shadow__span(level);
    gn_gpa_t first = gn_gpa(gpa.v & ~(span - 1));
    uint64_t value;

    if (!slot || slot->slot.kind == GN_SHADOW_SLOT_MMIO || level >= GN_SHADOW__LEAF_LEVELS ||
        !(sh->geometry.leaf_levels >> level & 1) || first.v < slot->slot.gpa.v ||
        first.v + (span - 1) > slot->slot.gpa.v + (slot->slot.length - 1))
        return 0;
    e.address = gn_shadow__hpa(slot, first).v;
    if (e.address & (span - 1))
        return 0;
    e.permissions = permissions & (GN_PAGING_RWXU | GN_PAGING_G);
    /* A clean page is mapped read-only, so that the first write comes here and sets D. */
    if (!(permissions & GN_PAGING_D) || slot->slot.kind == GN_SHADOW_SLOT_ROM)
        e.permissions &= ~GN_PAGING_W;
    if (gn_shadow__frame_tables(sh, first, level)) {
        if (level)
            return 0;
        if (sh->params.policy == GN_SHADOW_POLICY_TRAP)
            e.permissions &= ~GN_PAGING_W;
        else if (e.permissions & GN_PAGING_W)
            e.permissions |= GN_SHADOW_TRACED;
    }
    /* The MMU that walks these tables need not, and shall not, set A and D in them. */
    e.permissions |= GN_PAGING_A | (e.permissions & GN_PAGING_W ? GN_PAGING_D : 0);
    return gn_paging_entry_encode(sh->params.format, level, &e, &value) ? 0 : value;
}

/* The table below entry `id`, of this role; whatever else the entry led to is dropped. */
static uint32_t path_child(struct gn_shadow *sh, uint32_t id, const struct gn_shadow__role *role)
{
    uint32_t table = id / GN_SHADOW__ENTRIES;
    uint64_t *entry = &sh->tables[table].entries[id % GN_SHADOW__ENTRIES];
    uint32_t kind = gn_shadow__kind(sh, sh->tables[table].role.level, *entry);
    uint32_t child = gn_shadow__table_get(sh, role);

    if (kind == GN_PAGING_ENTRY_TABLE && gn_shadow__link_table(sh, *entry) == child)
        return child;
    /* Held for a moment: dropping the old way down must not free the table just found. */
    sh->tables[child].roots++;
    gn_shadow__entry_drop(sh, id);
    gn_shadow__link_set(sh, id, child);
    sh->tables[child].roots--;
    return child;
}

/* Shadow tables down to the one whose entry at `level` stands for the guest's. @return its id */
static uint32_t path_build(struct fault *f, uint32_t level)
{
    struct gn_shadow *sh = f->sh;
    uint32_t table = f->root->table;
    uint32_t at = sh->tables[table].role.level;

    for (;; at--) {
        struct gn_shadow__table *t = &sh->tables[table];
        uint32_t id = table * GN_SHADOW__ENTRIES + gn_shadow__index(f->access->gva.v, at);
        struct gn_shadow__role role;

        t->referenced = 1;
        t->flood = 0;
        if (at == level)
            return id;
        if (at > f->leaf_level) {
            struct gn_paging_entry e = {.address = f->walk.step[at - 1].gpa.v & ~GN_PAGE_MASK,
                                        .permissions = f->entry_permissions[at]};

            role = gn_shadow__child_role(&t->role, &e, sh->geometry.inherited);
        } else {
            role = gn_shadow__direct_role(&t->role, at, f->walk.gpa, f->walk.permissions);
        }
        table = path_child(sh, id, &role);
    }
}

/* Every table on the way must lie where its writes can be known. */
static int path_tracked(struct fault *f, uint32_t lowest)
{
    for (uint32_t level = f->walk.top; level != UINT32_MAX && level >= lowest; level--)
        if (gn_shadow__frame(f->sh, f->walk.step[level].gpa, 0) == GN_SHADOW__NO_FRAME)
            return 0;
    return 1;
}

/* What the table entries that the walk passed hand down (x86): decoded once, for the roles. */
static void path_permissions(struct fault *f)
{
    struct gn_paging_context c = gn_shadow__guest_context(
        f->root->key.format, f->root->key.table, f->root->key.controls, f->root->key.phys_bits);

    for (uint32_t level = f->walk.top; level > f->walk.level; level--) {
        struct gn_paging_entry e;

        if (gn_paging_entry_decode(&c, level, f->walk.step[level].value, &e) == 0)
            f->entry_permissions[level] = e.permissions;
    }
}

static void mark(struct fault *f, uint32_t id, const struct gn_shadow_absent *absent)
{
    struct gn_shadow *sh = f->sh;
    uint32_t table = id / GN_SHADOW__ENTRIES;
    uint64_t marker = sh->ops.absent_encode(sh->params.ops_ctx, absent);

    if (marker & 1)
        return;
    gn_shadow__entry_drop(sh, id);
    if (sh->tables[table].live)
        gn_shadow__mark_absent(sh, id, marker);
}

/* The guest's own fault; an absent entry may be remembered. */
static int fault_guest(struct fault *f, struct gn_shadow_answer *answer)
{
    struct gn_shadow *sh = f->sh;

    sh->stats.guest_faults++;
    answer->outcome = GN_SHADOW_GUEST_FAULT;
    answer->fault = f->walk.outcome;
    answer->code = f->walk.code;
    answer->level = f->walk.level;
    if (f->walk.reason != GN_PAGING_REASON_ABSENT || !sh->ops.absent_encode ||
        !path_tracked(f, f->walk.level) || gn_shadow__reserve(sh, sh->geometry.levels))
        return 0;
    f->leaf_level = f->walk.level;
    path_permissions(f);
    mark(f, path_build(f, f->walk.level),
         &(struct gn_shadow_absent){.size = sizeof(struct gn_shadow_absent),
                                    .kind = GN_SHADOW_ABSENT_GUEST,
                                    .level = f->walk.level,
                                    .entry = f->walk.step[f->walk.level].gpa});
    return 0;
}

/* An access to a device, remembered in the entry of the page. */
static int fault_mmio(struct fault *f, struct gn_shadow_answer *answer)
{
    struct gn_shadow *sh = f->sh;
    int rc;

    sh->stats.mmio++;
    answer->outcome = f->slot ? GN_SHADOW_MMIO : GN_SHADOW_HOLE;
    if (!f->slot || !sh->ops.absent_encode)
        return 0;
    rc = gn_shadow__reserve(sh, sh->geometry.levels);
    if (rc)
        return rc;
    mark(f, path_build(f, 0),
         &(struct gn_shadow_absent){.size = sizeof(struct gn_shadow_absent),
                                    .kind = GN_SHADOW_ABSENT_MMIO,
                                    .permissions = answer->permissions,
                                    .gpa = gn_gpa(f->walk.gpa.v & ~GN_PAGE_MASK)});
    return 0;
}

/* Largest level at which the page can be mapped in one piece, no larger than the guest's. */
static uint32_t fill_level(struct fault *f)
{
    uint32_t level =
        f->leaf_level < GN_SHADOW__LEAF_LEVELS ? f->leaf_level : GN_SHADOW__LEAF_LEVELS - 1;

    while (level && !gn_shadow__leaf(f->sh, f->slot, f->walk.gpa, level, f->walk.permissions))
        level--;
    return level;
}

static int fault_fill(struct fault *f, struct gn_shadow_answer *answer)
{
    struct gn_shadow *sh = f->sh;
    uint32_t level;
    uint32_t id;
    uint64_t leaf;
    uint64_t *entry;
    int rc = gn_shadow__reserve(sh, sh->geometry.levels);

    if (rc)
        return rc;
    /*
     * The guest's own tables first: making their shadows may turn pages under the leaf into table
     * pages, which decides how large the leaf may be.
     */
    if (f->leaf_level < sh->geometry.levels)
        path_build(f, f->leaf_level);
    level = fill_level(f);
    id = path_build(f, level);
    leaf = gn_shadow__leaf(sh, f->slot, f->walk.gpa, level, f->walk.permissions);
    gn_shadow__check(sh, leaf != 0, "shadow: a page of a slot cannot be mapped");
    entry = &sh->tables[id / GN_SHADOW__ENTRIES].entries[id % GN_SHADOW__ENTRIES];
    if (*entry != leaf) {
        gn_shadow__entry_drop(sh, id);
        gn_shadow__leaf_set(sh, id, leaf, gn_shadow__frame(sh, f->walk.gpa, level));
    }
    sh->stats.fills++;
    sh->stats.splinters += level < f->leaf_level && f->root->key.format != GN_PAGING_BARE;
    answer->outcome = GN_SHADOW_FILLED;
    answer->level = level;
    return 0;
}

static int fault_resolve(struct fault *f, struct gn_shadow_answer *answer)
{
    struct gn_shadow *sh = f->sh;
    int bare = f->root->key.format == GN_PAGING_BARE;
    int write = (f->access->access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE;

    if (f->walk.outcome != GN_PAGING_TRANSLATED)
        return fault_guest(f, answer);
    f->leaf_level = bare ? sh->geometry.levels : f->walk.level;
    f->slot = gn_shadow__slot_find(sh, f->walk.gpa);
    answer->gpa = f->walk.gpa;
    answer->permissions = f->walk.permissions & (GN_PAGING_RWXU | GN_PAGING_D);
    /* Without translation, addresses that the shadow format cannot say are a hole. */
    if (bare && f->walk.gpa.v >> (sh->geometry.va_bits - 1))
        f->slot = NULL;
    if (!bare) {
        if (!path_tracked(f, f->walk.level))
            return -GN_ERR_FAULT;
        path_permissions(f);
    }
    if (!f->slot || f->slot->slot.kind == GN_SHADOW_SLOT_MMIO)
        return fault_mmio(f, answer);
    if (write && f->slot->slot.kind == GN_SHADOW_SLOT_ROM) {
        answer->outcome = GN_SHADOW_ROM_WRITE;
        return 0;
    }
    if (write && sh->params.policy == GN_SHADOW_POLICY_TRAP &&
        gn_shadow__frame_tables(sh, f->walk.gpa, 0)) {
        sh->stats.trapped_writes++;
        answer->outcome = GN_SHADOW_TRAPPED;
        return 0;
    }
    return fault_fill(f, answer);
}

int gn_shadow_fault(struct gn_shadow *sh, const struct gn_shadow_access *access,
                    struct gn_shadow_answer *ret_answer)
{
    struct gn_shadow_access a;
    struct gn_shadow_answer answer = {0};
    struct gn_paging_context context;
    struct fault f = {.sh = sh, .access = &a};
    int rc;

    if (!sh || !ret_answer)
        return -GN_ERR_INVAL;
    rc = gn_base_params_copy(&a, sizeof a, access, sizeof a);
    if (rc)
        return rc;
    if (a.root >= sh->params.roots || !sh->roots[a.root].held)
        return -GN_ERR_NOENT;
    f.root = &sh->roots[a.root];
    context = gn_shadow__guest_context(f.root->key.format, f.root->key.table, a.controls,
                                       f.root->key.phys_bits);
    sh->stats.faults++;
    rc = gn_paging_walk(&context, sh->ops.guest, sh->params.ops_ctx, a.gva,
                        a.access & ~GN_PAGING_NO_UPDATE, &f.walk);
    if (rc)
        return rc;
    sh->stats.walks += f.root->key.format != GN_PAGING_BARE;
    sh->stats.walk_entries += f.walk.entries;
    rc = fault_resolve(&f, &answer);
    if (rc)
        return rc;
    *ret_answer = answer;
    return 0;
}
