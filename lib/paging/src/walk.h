/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_PAGING_WALK_H
#define GN_PAGING_WALK_H

/*
 * The walker, once for all kinds of entries. First the tables are read down to a leaf and the
 * access is judged; only an access that will succeed sets A and D, from the root down, each by
 * compare-and-swap against the value that was judged. An entry that changed in between sends the
 * walk back to the root.
 *
 * A kind of entries hands in its rules as a constant, and everything here is inlined into the
 * kind's own walk: what reads like calls through a table is straight code of a few instructions a
 * level. (Called through the pointers, a walk costs three times as much; see the README.)
 */

#include "paging_internal.h"

#define GN_PAGING__RESTARTS 16

/** Permissions that a result tells. */
#define GN_PAGING__RESULT (GN_PAGING_RWXU | GN_PAGING_UX | GN_PAGING_G | GN_PAGING_A | GN_PAGING_D)

#define GN_PAGING__INLINE static inline __attribute__((always_inline))

/** What the rules see of the walk that they serve. */
struct gn_paging__view {
    const struct gn_paging__format *format;
    const struct gn_paging_context *context;
    uint64_t reserved; /**< the rules' own mask, worked out once a walk */
};

/** The rules of one kind of entries. */
struct gn_paging__rules {
    uint32_t index_bits;  /**< from one level to the next */
    uint32_t entry_bytes; /**< 4 or 8 */
    uint32_t root_mask;   /**< bits of a root's address that are zero */
    uint32_t inherited;   /**< permissions of table entries that restrict what lies below */
    uint64_t table_a;     /**< A in a table entry; 0 if there is none */
    /** A mask over entries that depends on the context alone, for the view. */
    uint64_t (*reserved)(const struct gn_paging_context *context);
    /** Judges an address and finds its root table. A reason. */
    uint32_t (*enter)(const struct gn_paging__view *v, uint64_t gva, uint64_t *ret_table);
    /** GN_PAGING_ENTRY_... of an entry. TABLE never at level 0: there the walk ends. */
    uint32_t (*kind)(const struct gn_paging__view *v, uint32_t level, uint64_t value);
    /** A table entry as one that has access rights, and A. */
    uint64_t (*plain)(uint32_t level, uint64_t value);
    /** Table entries on the way as one that permits what they all do, of their conjunction and
     * their disjunction. */
    uint64_t (*combine)(uint64_t all, uint64_t any);
    /** Where a table, or a leaf's page, lies. */
    uint64_t (*table)(uint64_t value);
    uint64_t (*page)(uint32_t level, uint64_t value);
    /** log2 of a leaf's page size. */
    uint32_t (*shift)(uint32_t level, uint64_t value);
    /** Permissions of a plain table entry, and of a leaf. */
    uint32_t (*table_permissions)(uint64_t value);
    uint32_t (*leaf_permissions)(const struct gn_paging_context *context, uint64_t value);
    /** Attributes; of a leaf, or of a table entry. */
    uint32_t (*attributes)(uint32_t level, uint64_t value, int leaf);
    /** Judges an access that came to a leaf. A reason. */
    uint32_t (*judge)(const struct gn_paging_context *context, uint64_t leaf, uint32_t permissions,
                      uint32_t access);
    /** The entry as an access leaves it behind: A, D. */
    uint64_t (*touch)(uint32_t level, uint64_t value, int leaf, int write);
    /** Outcome and code of a fault whose reason, level and permissions are filled in. */
    void (*fault)(const struct gn_paging_context *context, uint32_t access, uint64_t leaf,
                  struct gn_paging_walk *r);
};

/** The entries passed, by level. Two arrays: halves of a step are written at different times. */
struct gn_paging__trail {
    uint64_t gpa[GN_PAGING_LEVELS_MAX];
    uint64_t value[GN_PAGING_LEVELS_MAX];
};

/** Where a walk is. */
struct gn_paging__place {
    uint32_t top;
    uint32_t level;
    uint32_t reason;
    uint32_t permissions;
    uint32_t unset; /**< an A or a D is to be set */
};

/** What is usually so; the compiler lays out the code for it. */
GN_PAGING__INLINE int gn_paging__usual(int so)
{
    return (int)__builtin_expect(so, 1);
}

GN_PAGING__INLINE int gn_paging__is_write(uint32_t access)
{
    return (access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE;
}

/** Reads down to a leaf or to what stops the walk. Returns 0, or what an op failed with. */
GN_PAGING__INLINE int gn_paging__read(const struct gn_paging__rules *rules,
                                      const struct gn_paging__view *v,
                                      const struct gn_paging_ops *ops, void *ops_ctx,
                                      uint64_t table, uint64_t gva, uint32_t access,
                                      struct gn_paging__place *at, struct gn_paging__trail *trail)
{
    uint32_t level = at->top, shift = GN_PAGE_SHIFT + level * rules->index_bits, kind;
    uint64_t value = 0, all = ~(uint64_t)0, any = 0;

    at->permissions = at->unset = 0;
    for (;; level--, shift -= rules->index_bits) {
        uint64_t index = gva >> shift & gn_paging__low(rules->index_bits);
        gn_gpa_t gpa = gn_gpa(table + index * rules->entry_bytes);
        int rc = ops->load(ops_ctx, gpa, rules->entry_bytes, &value);

        trail->gpa[level] = gpa.v;
        if (!gn_paging__usual(!rc)) {
            trail->value[level] = 0;
            at->level = level;
            at->reason = GN_PAGING_REASON_MEMORY;
            return rc == -GN_ERR_FAULT ? 0 : rc;
        }
        trail->value[level] = value;
        kind = rules->kind(v, level, value);
        if (kind != GN_PAGING_ENTRY_TABLE)
            break;
        all &= rules->plain(level, value);
        any |= value;
        table = rules->table(value);
    }
    at->level = level;
    if (kind != GN_PAGING_ENTRY_LEAF) {
        at->reason =
            kind == GN_PAGING_ENTRY_ABSENT ? GN_PAGING_REASON_ABSENT : GN_PAGING_REASON_RESERVED;
        return 0;
    }
    at->permissions = rules->leaf_permissions(v->context, value) & GN_PAGING__RESULT;
    if (rules->inherited)
        at->permissions &= rules->table_permissions(rules->combine(all, any)) | ~rules->inherited;
    at->reason = rules->judge(v->context, value, at->permissions, access);
    at->unset = (~all & rules->table_a) ||
                rules->touch(level, value, 1, gn_paging__is_write(access)) != value;
    return 0;
}

/**
 * Sets A on the way and D at the leaf. Returns 0; 1 if an entry changed under the walk; or what an
 * op failed with.
 */
GN_PAGING__INLINE int gn_paging__update(const struct gn_paging__rules *rules,
                                        const struct gn_paging__view *v,
                                        const struct gn_paging_ops *ops, void *ops_ctx,
                                        uint32_t access, struct gn_paging__place *at,
                                        struct gn_paging__trail *trail)
{
    uint32_t lowest = at->level;

    for (uint32_t level = at->top + 1; level-- > lowest;) {
        uint64_t value = trail->value[level];
        uint64_t wanted = rules->touch(level, value, level == lowest, gn_paging__is_write(access));
        int rc;

        if (wanted == value)
            continue;
        rc = ops->cmpxchg(ops_ctx, gn_gpa(trail->gpa[level]), rules->entry_bytes, value, wanted);
        if (rc == -GN_ERR_AGAIN)
            return 1;
        if (rc == -GN_ERR_FAULT) {
            at->level = level;
            at->reason = GN_PAGING_REASON_MEMORY;
            at->permissions = 0;
            return 0;
        }
        if (rc)
            return rc;
        trail->value[level] = wanted;
    }
    at->permissions |=
        rules->leaf_permissions(v->context, trail->value[lowest]) & (GN_PAGING_A | GN_PAGING_D);
    return 0;
}

/** Copies the steps that were passed; others are left as they are. */
GN_PAGING__INLINE void gn_paging__report_steps(const struct gn_paging__place *at,
                                               const struct gn_paging__trail *trail,
                                               struct gn_paging_walk *r)
{
    const uint64_t *gpa = &trail->gpa[at->level];
    const uint64_t *value = &trail->value[at->level];
    struct gn_paging_step *step = &r->step[at->level];

    switch (at->top - at->level) {
    case 4: step[4] = (struct gn_paging_step){gn_gpa(gpa[4]), value[4]}; /* fall through */
    case 3: step[3] = (struct gn_paging_step){gn_gpa(gpa[3]), value[3]}; /* fall through */
    case 2: step[2] = (struct gn_paging_step){gn_gpa(gpa[2]), value[2]}; /* fall through */
    case 1: step[1] = (struct gn_paging_step){gn_gpa(gpa[1]), value[1]}; /* fall through */
    default: step[0] = (struct gn_paging_step){gn_gpa(gpa[0]), value[0]};
    }
}

/** Writes the result. */
GN_PAGING__INLINE void gn_paging__report(const struct gn_paging__rules *rules,
                                         const struct gn_paging__view *v, uint64_t gva,
                                         uint32_t access, const struct gn_paging__place *at,
                                         const struct gn_paging__trail *trail,
                                         struct gn_paging_walk *r)
{
    uint64_t leaf = trail->value[at->level];

    r->reason = at->reason;
    r->level = at->level;
    r->top = at->top;
    r->permissions = at->permissions;
    r->reserved[0] = r->reserved[1] = r->reserved[2] = 0;
    gn_paging__report_steps(at, trail, r);
    if (at->reason == GN_PAGING_REASON_NONE || at->reason == GN_PAGING_REASON_PERMISSION ||
        at->reason == GN_PAGING_REASON_AD) {
        uint32_t shift = rules->shift(at->level, leaf);

        r->shift = shift;
        r->gpa.v = rules->page(at->level, leaf) | (gva & gn_paging__low(shift));
        r->attributes = rules->attributes(at->level, leaf, 1);
    } else {
        r->shift = GN_PAGE_SHIFT + at->level * rules->index_bits;
        r->gpa.v = 0;
        r->attributes = 0;
    }
    r->outcome = GN_PAGING_TRANSLATED;
    r->code = 0;
    if (at->reason != GN_PAGING_REASON_NONE)
        rules->fault(v->context, access, leaf, r);
}

/** The walk of a kind: gn_paging_walk() with all arguments checked. */
GN_PAGING__INLINE int gn_paging__walk_by(const struct gn_paging__rules *rules,
                                         const struct gn_paging_context *context,
                                         const struct gn_paging_ops *ops, void *ops_ctx,
                                         gn_gva_t gva, uint32_t access,
                                         struct gn_paging_walk *ret_walk)
{
    const struct gn_paging__format *format = &gn_paging__formats[context->format];
    const struct gn_paging__view v = {format, context, rules->reserved(context)};
    struct gn_paging__place at = {.top = format->geometry.levels - 1};
    struct gn_paging__trail trail;
    uint32_t entries = 0;
    uint64_t root;

    if ((context->root.v | gn_paging__root_high(context)) & rules->root_mask)
        return -GN_ERR_INVAL;
    at.level = at.top;
    at.reason = rules->enter(&v, gva.v, &root);
    if (at.reason != GN_PAGING_REASON_NONE) {
        trail.gpa[at.top] = trail.value[at.top] = 0;
        gn_paging__report(rules, &v, gva.v, access, &at, &trail, ret_walk);
        ret_walk->entries = 0;
        return 0;
    }
    for (int restart = 0; restart <= GN_PAGING__RESTARTS; restart++) {
        int rc = gn_paging__read(rules, &v, ops, ops_ctx, root, gva.v, access, &at, &trail);

        entries += at.top - at.level + 1;
        /* The usual end, apart from the others so that it is straight code. */
        if (gn_paging__usual(!rc && at.reason == GN_PAGING_REASON_NONE &&
                             (!at.unset || access & GN_PAGING_NO_UPDATE))) {
            at.reason = GN_PAGING_REASON_NONE;
            gn_paging__report(rules, &v, gva.v, access, &at, &trail, ret_walk);
            ret_walk->entries = entries;
            return 0;
        }
        if (!rc && at.reason == GN_PAGING_REASON_NONE)
            rc = gn_paging__update(rules, &v, ops, ops_ctx, access, &at, &trail);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            gn_paging__report(rules, &v, gva.v, access, &at, &trail, ret_walk);
            ret_walk->entries = entries;
            return 0;
        }
    }
    return -GN_ERR_AGAIN;
}

/** The decoder of a kind. */
GN_PAGING__INLINE void gn_paging__decode_by(const struct gn_paging__rules *rules,
                                            const struct gn_paging_context *context, uint32_t level,
                                            uint64_t value, struct gn_paging_entry *e)
{
    const struct gn_paging__view view = {&gn_paging__formats[context->format], context,
                                         rules->reserved(context)};

    e->kind = rules->kind(&view, level, value);
    e->reserved[0] = e->reserved[1] = e->reserved[2] = 0;
    if (e->kind == GN_PAGING_ENTRY_LEAF) {
        e->permissions = rules->leaf_permissions(context, value);
        e->address = rules->page(level, value);
        e->attributes = rules->attributes(level, value, 1);
    } else if (e->kind == GN_PAGING_ENTRY_TABLE) {
        e->permissions = rules->table_permissions(rules->plain(level, value));
        e->address = rules->table(value);
        e->attributes = rules->attributes(level, value, 0);
    } else {
        e->permissions = e->attributes = 0;
        e->address = 0;
    }
}

/** Defines walk() and decode() of a kind by the rules of the same name, for its gn_paging__arch. */
#define GN_PAGING__WALK(kind)                                                                   \
    static int kind##_walk(const struct gn_paging_context *context,                             \
                           const struct gn_paging_ops *ops, void *ops_ctx, gn_gva_t gva,        \
                           uint32_t access, struct gn_paging_walk *ret_walk)                    \
    {                                                                                           \
        return gn_paging__walk_by(&kind##_rules, context, ops, ops_ctx, gva, access, ret_walk); \
    }

#define GN_PAGING__DECODE(kind)                                                        \
    static void kind##_decode(const struct gn_paging_context *context, uint32_t level, \
                              uint64_t value, struct gn_paging_entry *ret_entry)       \
    {                                                                                  \
        gn_paging__decode_by(&kind##_rules, context, level, value, ret_entry);         \
    }

/* --- Rules that several kinds have ---------------------------------------------------------- */

/** Every table entry has access rights, or the same lack of them. */
GN_PAGING__INLINE uint64_t gn_paging__plain(uint32_t level, uint64_t value)
{
    (void)level;
    return value;
}

/** Nine bits of the address a level, and no page of a size of its own. */
GN_PAGING__INLINE uint32_t gn_paging__shift_9(uint32_t level, uint64_t value)
{
    (void)value;
    return GN_PAGE_SHIFT + 9 * level;
}

/** Do the bits of an address above a format's width repeat its top bit? */
GN_PAGING__INLINE int gn_paging__canonical(uint64_t gva, uint32_t va_bits)
{
    uint64_t above = gva >> (va_bits - 1);

    return above == 0 || above == ~(uint64_t)0 >> (va_bits - 1);
}

#endif /* GN_PAGING_WALK_H */
