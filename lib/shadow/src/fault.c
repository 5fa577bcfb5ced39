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
    uint32_t permissions;         /**< those of the walk, with the leaf's key */
    uint32_t leaf_permissions;    /**< the same, as the MMU is to see them */
    uint32_t entry_permissions[GN_PAGING_LEVELS_MAX]; /**< of the guest's table entries passed */
    uint32_t path[GN_PAGING_LEVELS_MAX];              /**< shadow entries passed, by level */
    uint32_t tracked;                                 /**< sh->tracked when the walk began */
    int beyond;                                       /**< no MMU entry can be for the address */
    int linked;                                       /**< a table on the way was not, before */
};

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
    e.permissions = permissions & GN_SHADOW__OF_VIEW;
    if (gn_shadow__is_x86(sh->params.format))
        e.attributes = GN_PAGING_X86_KEY(permissions >> GN_SHADOW__KEY_SHIFT);
    /* A clean page is mapped read-only, so that the first write comes here and sets D. */
    if (!(permissions & GN_PAGING_D) || slot->slot.kind == GN_SHADOW_SLOT_ROM)
        e.permissions &= ~GN_PAGING_W;
    /* In a logged slot, a writable leaf is one page that is dirty already: see dirty.c. */
    if (slot->dirty && e.permissions & GN_PAGING_W) {
        if (level)
            return 0;
        if (!gn_shadow__dirty_test(slot, first))
            e.permissions &= ~GN_PAGING_W;
    }
    if (gn_shadow__frame_tables(sh, first, level)) {
        uint32_t mode = gn_shadow__page_mode(sh, first);

        if (level)
            return 0;
        if (mode == GN_SHADOW_POLICY_TRAP)
            e.permissions &= ~GN_PAGING_W;
        else if (mode == GN_SHADOW_POLICY_TRACED && e.permissions & GN_PAGING_W)
            e.permissions |= GN_SHADOW_TRACED;
    }
    /* The MMU that walks these tables need not, and shall not, set A and D in them. */
    e.permissions |= GN_PAGING_A | (e.permissions & GN_PAGING_W ? GN_PAGING_D : 0);
    return gn_paging_entry_encode(sh->params.format, level, &e, &value) ? 0 : value;
}

/*
 * The table below entry `id`, of this role; whatever else the entry led to is dropped. A call that
 * shares the shadow can find it only: NIL if it is not linked there. One that is alone, and gets
 * NIL, has no steps left.
 */
static uint32_t path_child(struct fault *f, uint32_t id, const struct gn_shadow__role *role)
{
    struct gn_shadow *sh = f->sh;
    uint32_t table = id / GN_SHADOW__ENTRIES;
    uint64_t entry = gn_shadow__peek(&sh->tables[table].entries[id % GN_SHADOW__ENTRIES]);
    uint32_t child = GN_SHADOW__NIL;

    if (gn_shadow__kind(sh, sh->tables[table].role.level, entry) == GN_PAGING_ENTRY_TABLE)
        child = gn_shadow__link_table(sh, entry);
    if (child != GN_SHADOW__NIL && gn_shadow__role_equal(&sh->tables[child].role, role))
        return child;
    if (!sh->alone || gn_shadow__table_ready(sh, role, &child))
        return GN_SHADOW__NIL;
    /* Held for a moment: dropping the old way down must not free the table just found. */
    sh->tables[child].roots++;
    gn_shadow__entry_drop(sh, id);
    gn_shadow__link_set(sh, id, child);
    sh->tables[child].roots--;
    f->linked = 1;
    return child;
}

/* Role of the table below the entry at a level of the way. */
static struct gn_shadow__role path_role(const struct fault *f, const struct gn_shadow__role *parent,
                                        uint32_t level)
{
    uint64_t gva = f->access->gva.v;
    struct gn_paging_entry e = {.permissions = f->entry_permissions[level]};

    if (parent->direct == GN_SHADOW__GLUE)
        return gn_shadow__root_role(f->sh, &f->root->key, level - 1, gva);
    if (level <= f->leaf_level)
        return gn_shadow__direct_role(parent, level, f->walk.gpa, f->permissions);
    e.address = f->walk.step[level - 1].gpa.v & ~GN_PAGE_MASK;
    return gn_shadow__child_role(f->sh, parent, gn_shadow__index(gva, level), &e);
}

/*
 * Shadow tables down to the one whose entry at `level` stands for the guest's.
 * @return its id, or NIL: a table is missing, and to make it is for a call that is alone
 */
static uint32_t path_build(struct fault *f, uint32_t level)
{
    struct gn_shadow *sh = f->sh;
    uint32_t table = f->root->table;
    uint32_t at = sh->tables[table].role.level;

    for (;; at--) {
        struct gn_shadow__table *t = &sh->tables[table];
        uint32_t id = table * GN_SHADOW__ENTRIES + gn_shadow__index(f->access->gva.v, at);
        struct gn_shadow__role role;

        gn_shadow__poke(&t->referenced, 1);
        gn_shadow__poke(&t->flood, 0u);
        gn_shadow__poke(&t->traps, 0u);
        f->path[at] = id;
        if (at == level)
            return id;
        role = path_role(f, &t->role, at);
        table = path_child(f, id, &role);
        if (table == GN_SHADOW__NIL)
            return GN_SHADOW__NIL;
    }
}

/* Every table on the way, from a level down, must lie where its writes can be known. */
static int path_tracked(struct fault *f, uint32_t highest, uint32_t lowest)
{
    for (uint32_t level = highest; level != UINT32_MAX && level >= lowest; level--)
        if (gn_shadow__frame(f->sh, f->walk.step[level].gpa, 0) == GN_SHADOW__NO_FRAME)
            return 0;
    return 1;
}

/* The embedder's own copy of the PDPTEs, as a processor has one: it tells of its changes. */
static int root_is_copy(struct fault *f)
{
    return f->root->key.format == GN_PAGING_X86_PAE &&
           !gn_shadow__slot_find(f->sh, f->root->key.table);
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

/* x86: has the walk, or one before it, set A in all table entries on the way? */
static int path_accessed(const struct fault *f)
{
    for (uint32_t level = f->walk.top; level > f->walk.level; level--)
        if (!gn_shadow__may_link(f->root->key.format, level, f->entry_permissions[level]))
            return 0;
    return 1;
}

/* The last step of the walk over a level's entry: a table that maps itself is passed repeatedly. */
static const struct gn_paging_step *path_step(const struct fault *f, uint32_t level)
{
    uint32_t lowest = f->walk.level;

    while (f->walk.step[lowest].gpa.v != f->walk.step[level].gpa.v)
        lowest++;
    return &f->walk.step[lowest];
}

/*
 * A page that has only now become a table page was open to other vCPUs' writes when the walk read
 * it, and nobody reports those. Reads again; drops what was built on an entry that has changed.
 * From the bottom, so that a table freed on the way has been seen to. In a ROM slot nobody writes,
 * and the walk's A and D bits are not what is there.
 */
static int path_settle(struct fault *f)
{
    struct gn_shadow *sh = f->sh;
    uint32_t bytes = gn_shadow__guest(sh, f->root->key.format)->entry_bytes;
    int rc = 0;

    if (sh->tracked == f->tracked || f->root->key.format == GN_PAGING_BARE)
        return 0;
    for (uint32_t level = f->walk.level; level <= f->walk.top; level++) {
        const struct gn_paging_step *step = path_step(f, level);
        const struct gn_shadow__slot *slot = gn_shadow__slot_find(sh, step->gpa);
        uint64_t value = 0;

        if ((slot && slot->slot.kind == GN_SHADOW_SLOT_ROM) || f->path[level] == GN_SHADOW__NIL)
            continue;
        if (sh->ops.guest->load(sh->params.ops_ctx, step->gpa, bytes, &value) == 0 &&
            value == step->value)
            continue;
        gn_shadow__entry_drop(sh, f->path[level]);
        rc = -GN_ERR_AGAIN;
    }
    return rc;
}

/* The way cannot be built now: by a call that is alone, then, or by the next. @return a status */
static int path_later(struct fault *f)
{
    if (!f->sh->alone)
        return GN_SHADOW__LATER;
    (void)path_settle(f);
    return -GN_ERR_AGAIN;
}

/*
 * May a call that shares the shadow write what the walk says into entry `id`, whose table it has
 * locked? A link is not for it to drop. The guest's entry, if it is one that this one stands for,
 * must be what the walk saw: see locks.c. In a ROM slot that cannot be told, as the walk's A and D
 * are not there.
 */
static int path_current(const struct fault *f, uint32_t id)
{
    struct gn_shadow *sh = f->sh;
    const struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];
    const struct gn_paging_step *step = &f->walk.step[f->walk.level];
    const struct gn_shadow__slot *slot;
    uint64_t value = 0;

    if (sh->alone)
        return 1;
    if (gn_shadow__kind(sh, t->role.level, t->entries[id % GN_SHADOW__ENTRIES]) ==
        GN_PAGING_ENTRY_TABLE)
        return 0;
    if (t->role.direct != GN_SHADOW__GUEST)
        return 1;
    slot = gn_shadow__slot_find(sh, step->gpa);
    return slot && slot->slot.kind == GN_SHADOW_SLOT_RAM &&
           sh->ops.guest->load(sh->params.ops_ctx, step->gpa,
                               gn_shadow__guest(sh, f->root->key.format)->entry_bytes,
                               &value) == 0 &&
           value == step->value;
}

/* Under the lock of the entry's table. @return 0 or GN_SHADOW__LATER */
static int mark_locked(struct fault *f, uint32_t id, const struct gn_shadow_absent *absent)
{
    struct gn_shadow *sh = f->sh;
    uint32_t table = id / GN_SHADOW__ENTRIES;
    uint64_t marker = sh->ops.absent_encode(sh->params.ops_ctx, absent);

    /* A marker ends when its entry is written, which nobody learns of an unsync table. */
    if (marker & 1 || sh->tables[table].mode == GN_SHADOW_POLICY_UNSYNC)
        return 0;
    if (!path_current(f, id))
        return GN_SHADOW__LATER;
    gn_shadow__entry_drop(sh, id);
    if (!sh->tables[table].live)
        return 0;
    gn_shadow__mark_absent(sh, id, marker);
    if (absent->kind == GN_SHADOW_ABSENT_GUEST)
        gn_shadow__explain_around(sh, id);
    return 0;
}

/* Remembers in the entry at a level of the way why it is absent. @return 0 or a status, or LATER */
static int mark(struct fault *f, uint32_t level, const struct gn_shadow_absent *absent)
{
    uint32_t id = path_build(f, level);
    int rc;

    /* What has been found out may be answered, if not remembered. */
    if (id == GN_SHADOW__NIL)
        return f->sh->alone ? path_settle(f) : GN_SHADOW__LATER;
    gn_shadow__table_lock(f->sh, id / GN_SHADOW__ENTRIES);
    rc = mark_locked(f, id, absent);
    gn_shadow__table_unlock(f->sh, id / GN_SHADOW__ENTRIES);
    return rc ? rc : path_settle(f);
}

/* Tables for a whole way, if the call may make any. */
static int reserve(const struct fault *f)
{
    uint32_t levels = f->sh->tables[f->root->table].role.level + 1;

    return f->sh->alone ? gn_shadow__reserve(f->sh, levels) : 0;
}

/* The guest's own fault; an absent entry may be remembered. */
static int fault_guest(struct fault *f, struct gn_shadow_answer *answer)
{
    struct gn_shadow *sh = f->sh;

    answer->outcome = GN_SHADOW_GUEST_FAULT;
    answer->fault = f->walk.outcome;
    answer->code = f->walk.code;
    answer->level = f->walk.level;
    if (f->walk.reason != GN_PAGING_REASON_ABSENT || !sh->ops.absent_encode || f->beyond ||
        !path_tracked(f, f->walk.top, f->walk.level))
        return 0;
    path_permissions(f);
    if (!path_accessed(f) || reserve(f))
        return 0;
    f->leaf_level = f->walk.level;
    return mark(f, f->walk.level,
                &(struct gn_shadow_absent){.size = sizeof(struct gn_shadow_absent),
                                           .kind = GN_SHADOW_ABSENT_GUEST,
                                           .level = f->walk.level,
                                           .entry = f->walk.step[f->walk.level].gpa});
}

/*
 * Does what the guest changes without a word decide about accesses that a marker would answer by
 * permissions alone? PKRU does of user pages, and PAN of those that EPAN has it close to EL1.
 */
static int is_judged_unsaid(const struct fault *f, uint32_t permissions)
{
    const struct gn_shadow_root_key *key = &f->root->key;
    uint32_t closed = permissions & (GN_PAGING_U | GN_PAGING_UX);

    if (key->format == GN_PAGING_AARCH64_4K)
        return key->controls & GN_PAGING_AARCH64_EPAN && closed == GN_PAGING_UX;
    return gn_shadow__has_keys(key->format) && key->controls & GN_PAGING_X86_PKE &&
           permissions & GN_PAGING_U;
}

/* An access to a device, remembered in the entry of the page. */
static int fault_mmio(struct fault *f, struct gn_shadow_answer *answer)
{
    struct gn_shadow *sh = f->sh;

    answer->outcome = f->slot ? GN_SHADOW_MMIO : GN_SHADOW_HOLE;
    /* The answer is known; to remember it is worth a table, but not a failure. */
    if (!f->slot || !sh->ops.absent_encode || f->beyond ||
        is_judged_unsaid(f, answer->permissions) || reserve(f))
        return 0;
    return mark(f, 0,
                &(struct gn_shadow_absent){.size = sizeof(struct gn_shadow_absent),
                                           .kind = GN_SHADOW_ABSENT_MMIO,
                                           .permissions = answer->permissions,
                                           .gpa = gn_gpa(f->walk.gpa.v & ~GN_PAGE_MASK)});
}

/* Largest level at which the page can be mapped in one piece, no larger than the guest's. */
static uint32_t fill_level(struct fault *f)
{
    uint32_t level =
        f->leaf_level < GN_SHADOW__LEAF_LEVELS ? f->leaf_level : GN_SHADOW__LEAF_LEVELS - 1;

    while (level && !gn_shadow__leaf(f->sh, f->slot, f->walk.gpa, level, f->leaf_permissions))
        level--;
    return level;
}

/* Must the embedder perform this access, since its page holds a table? */
static int fault_traps(const struct fault *f)
{
    return (f->access->access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE &&
           gn_shadow__frame_tables(f->sh, f->walk.gpa, 0) &&
           gn_shadow__page_mode(f->sh, f->walk.gpa) == GN_SHADOW_POLICY_TRAP;
}

/* Writes the leaf into an entry, under the lock of its table. @return 0 or GN_SHADOW__LATER */
static int fill_locked(struct fault *f, uint32_t id, uint32_t level)
{
    struct gn_shadow *sh = f->sh;
    uint64_t leaf;

    if (!path_current(f, id))
        return GN_SHADOW__LATER;
    /* The write that is about to succeed; one that traps is reported by the sync that follows. */
    if ((f->access->access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE && !fault_traps(f))
        gn_shadow__dirty_mark(sh, f->walk.gpa);
    leaf = gn_shadow__leaf(sh, f->slot, f->walk.gpa, level, f->leaf_permissions);
    gn_shadow__check(sh, leaf != 0, "shadow: a page of a slot cannot be mapped");
    if (sh->tables[id / GN_SHADOW__ENTRIES].entries[id % GN_SHADOW__ENTRIES] != leaf) {
        gn_shadow__entry_drop(sh, id);
        gn_shadow__leaf_set(sh, id, leaf, gn_shadow__frame(sh, f->walk.gpa, level));
    } else if (!f->linked) {
        /* The MMU faulted nevertheless: it holds what was there before an upgrade, or what is
         * global and of another root's. If a table had to be linked, that was why. */
        gn_shadow__invalidate(sh, id, 0);
    }
    if (sh->params.fault_around && f->leaf_level == 0)
        gn_shadow__around(sh, id);
    return 0;
}

static int fault_fill(struct fault *f, struct gn_shadow_answer *answer)
{
    struct gn_shadow *sh = f->sh;
    uint32_t level;
    uint32_t id;
    int rc = reserve(f);

    if (rc)
        return rc;
    /*
     * The guest's own tables first: making their shadows may turn pages under the leaf into table
     * pages, which decides how large the leaf may be.
     */
    if (f->leaf_level < GN_PAGING_LEVELS_MAX && path_build(f, f->leaf_level) == GN_SHADOW__NIL)
        return path_later(f);
    level = fill_level(f);
    id = level == f->leaf_level ? f->path[level] : path_build(f, level);
    if (id == GN_SHADOW__NIL)
        return path_later(f);
    gn_shadow__table_lock(sh, id / GN_SHADOW__ENTRIES);
    rc = fill_locked(f, id, level);
    gn_shadow__table_unlock(sh, id / GN_SHADOW__ENTRIES);
    if (rc)
        return rc;
    gn_shadow__count(sh, splinters, level < f->leaf_level && f->root->key.format != GN_PAGING_BARE);
    /* The way to the page may lead through the page itself, which is a table only from now on. */
    answer->outcome = fault_traps(f) ? GN_SHADOW_TRAPPED : GN_SHADOW_FILLED;
    answer->level = level;
    return path_settle(f);
}

static int fault_resolve(struct fault *f, struct gn_shadow_answer *answer)
{
    struct gn_shadow *sh = f->sh;
    int bare = f->root->key.format == GN_PAGING_BARE;
    int write = (f->access->access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE;

    f->beyond = !bare && !gn_shadow__in_width(sh, f->access->gva);
    if (f->walk.outcome != GN_PAGING_TRANSLATED)
        return fault_guest(f, answer);
    f->leaf_level = bare ? GN_PAGING_LEVELS_MAX : f->walk.level;
    f->permissions = f->walk.permissions | gn_shadow__key(f->root->key.format, f->walk.attributes);
    f->slot = gn_shadow__slot_find(sh, f->walk.gpa);
    answer->gpa = f->walk.gpa;
    answer->permissions = f->walk.permissions & (GN_PAGING_RWXU | GN_PAGING_UX | GN_PAGING_D);
    /* Without translation, addresses that the shadow format cannot say are a hole. */
    if (bare && f->walk.gpa.v >> (sh->geometry.va_bits - 1))
        f->slot = NULL;
    if (!bare) {
        if (!path_tracked(f, f->walk.top - (uint32_t)root_is_copy(f), f->walk.level))
            return -GN_ERR_FAULT;
        path_permissions(f);
    }
    if (!f->slot || f->slot->slot.kind == GN_SHADOW_SLOT_MMIO)
        return fault_mmio(f, answer);
    if (write && f->slot->slot.kind == GN_SHADOW_SLOT_ROM) {
        answer->outcome = GN_SHADOW_ROM_WRITE;
        return 0;
    }
    if (f->beyond) {
        answer->outcome = GN_SHADOW_EMULATE;
        return 0;
    }
    if (write && gn_shadow__policy_write(sh, f->walk.gpa))
        return GN_SHADOW__LATER;
    if (fault_traps(f)) {
        answer->outcome = GN_SHADOW_TRAPPED;
        return 0;
    }
    f->leaf_permissions = gn_shadow__view_for(sh, &f->root->key, f->permissions, f->access);
    if (!f->leaf_permissions) {
        answer->outcome = GN_SHADOW_EMULATE;
        return 0;
    }
    return fault_fill(f, answer);
}

static void count_outcome(struct gn_shadow *sh, uint32_t outcome)
{
    gn_shadow__count(sh, fills, outcome == GN_SHADOW_FILLED);
    gn_shadow__count(sh, guest_faults, outcome == GN_SHADOW_GUEST_FAULT);
    gn_shadow__count(sh, mmio, outcome == GN_SHADOW_MMIO || outcome == GN_SHADOW_HOLE);
    gn_shadow__count(sh, trapped_writes, outcome == GN_SHADOW_TRAPPED);
    gn_shadow__count(sh, emulated, outcome == GN_SHADOW_EMULATE);
}

/* As far as the call may go: GN_SHADOW__LATER, and nothing was promised, if it must be alone. */
static int fault_enter(struct gn_shadow *sh, const struct gn_shadow_access *a,
                       struct gn_shadow_answer *ret_answer)
{
    struct gn_paging_context context;
    struct fault f = {.sh = sh, .access = a};
    int rc;

    if (a->root >= sh->params.roots || !gn_shadow__peek(&sh->roots[a->root].held))
        return -GN_ERR_NOENT;
    f.root = &sh->roots[a->root];
    for (uint32_t i = 0; i < GN_PAGING_LEVELS_MAX; i++)
        f.path[i] = GN_SHADOW__NIL;
    context = gn_shadow__root_context(&f.root->key, a->controls);
    context.pkru = a->pkru;
    f.tracked = sh->tracked;
    rc = gn_shadow__walk(sh, &context, a->gva, a->access & ~GN_PAGING_NO_UPDATE, &f.walk);
    if (!rc) {
        gn_shadow__count(sh, walks, f.root->key.format != GN_PAGING_BARE);
        gn_shadow__count(sh, walk_entries, f.walk.entries);
        rc = fault_resolve(&f, ret_answer);
    }
    gn_shadow__count(sh, faults, rc != GN_SHADOW__LATER);
    if (!rc)
        count_outcome(sh, ret_answer->outcome);
    return rc;
}

int gn_shadow_fault(struct gn_shadow *sh, const struct gn_shadow_access *access,
                    struct gn_shadow_answer *ret_answer)
{
    struct gn_shadow_access a;
    struct gn_shadow_answer answer = {0};
    int rc;

    if (!sh || !ret_answer)
        return -GN_ERR_INVAL;
    rc = gn_base_params_copy(&a, sizeof a, access, sizeof a);
    if (rc)
        return rc;
    gn_shadow__enter_shared(sh);
    rc = fault_enter(sh, &a, &answer);
    gn_shadow__leave(sh);
    if (rc == GN_SHADOW__LATER) {
        gn_shadow__enter(sh);
        answer = (struct gn_shadow_answer){0};
        rc = fault_enter(sh, &a, &answer);
        gn_shadow__leave(sh);
    }
    if (!rc)
        *ret_answer = answer;
    return rc;
}
