/* SPDX-License-Identifier: BSD-3-Clause */
#include "paging_internal.h"

/*
 * The walker. First the tables are read down to a leaf and the access is judged; only an access
 * that will succeed sets A and D, from the root down, each by compare-and-swap against the value
 * that was judged. An entry that changed in between sends the walk back to the root.
 */

#define WALK_RESTARTS 16

struct walk {
    const struct gn_paging__format *format;
    const struct gn_paging_context *context;
    const struct gn_paging_ops *ops;
    void *ops_ctx;
    uint64_t gva;
    uint32_t access;
};

static void walk_fault(const struct walk *w, struct gn_paging_walk *r, uint32_t reason)
{
    const struct gn_paging__rules *rules = w->format->rules;

    r->reason = reason;
    if (reason == GN_PAGING_REASON_MEMORY) {
        r->outcome = GN_PAGING_FAULT_ACCESS;
        r->code = rules->access_code(w->access);
    } else if (reason == GN_PAGING_REASON_ADDRESS) {
        r->outcome = rules->noncanonical_kind;
        r->code = r->outcome == GN_PAGING_FAULT_PAGE
                      ? rules->fault_code(w->context, w->access, reason)
                      : 0;
    } else {
        r->outcome = GN_PAGING_FAULT_PAGE;
        r->code = rules->fault_code(w->context, w->access, reason);
    }
}

/* An address is canonical if the bits above the format's width repeat its top bit. */
static int walk_canonical(const struct gn_paging__format *format, uint64_t gva)
{
    uint64_t above = gva >> (format->geometry.va_bits - 1);

    return above == 0 || above == ~(uint64_t)0 >> (format->geometry.va_bits - 1);
}

static gn_gpa_t walk_entry_gpa(const struct walk *w, uint64_t table, uint32_t level)
{
    uint64_t index_mask = ((uint64_t)1 << w->format->geometry.index_bits) - 1;
    uint64_t index = w->gva >> gn_paging__shift(w->format, level) & index_mask;

    return gn_gpa(table + index * w->format->geometry.entry_bytes);
}

/* Judges a leaf: privilege, protection key, then (Svade) A and D. */
static void walk_judge_leaf(const struct walk *w, struct gn_paging_walk *r, uint64_t leaf,
                            uint32_t permissions)
{
    const struct gn_paging__rules *rules = w->format->rules;
    uint64_t needs = rules->a_bit;
    uint32_t key;

    r->permissions = permissions & (GN_PAGING_RWXU | GN_PAGING_G | GN_PAGING_A | GN_PAGING_D);
    /* A key that denies shows in the code even when the privilege rules deny as well (SDM §4.7). */
    key = rules->key_fault(w->context, leaf, permissions, w->access);
    if (key || !rules->allows(w->context, permissions, w->access)) {
        walk_fault(w, r, GN_PAGING_REASON_PERMISSION);
        r->code |= key;
        return;
    }
    if ((w->access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE)
        needs |= rules->d_bit;
    /* Privileged Architecture §4.3.1: one of two schemes, the Svade one faults. */
    if (rules->ad_faults && (leaf & needs) != needs && !(w->access & GN_PAGING_NO_UPDATE) &&
        !(w->context->controls & GN_PAGING_RISCV_ADUE)) {
        walk_fault(w, r, GN_PAGING_REASON_AD);
        return;
    }
    r->outcome = GN_PAGING_TRANSLATED;
}

/* Reads down to a leaf or a fault. Returns 0, or what an op failed with. */
static int walk_read(const struct walk *w, struct gn_paging_walk *r)
{
    const struct gn_paging_geometry *g = &w->format->geometry;
    const struct gn_paging__rules *rules = w->format->rules;
    uint32_t inherited = g->inherited;
    uint64_t table = w->context->root.v;
    struct gn_paging_entry e;

    for (uint32_t level = g->levels; level-- > 0; table = e.address) {
        struct gn_paging_step *step = &r->step[level];
        int rc;

        r->level = level;
        r->shift = gn_paging__shift(w->format, level);
        step->gpa = walk_entry_gpa(w, table, level);
        step->value = 0;
        rc = w->ops->load(w->ops_ctx, step->gpa, g->entry_bytes, &step->value);
        r->entries++;
        if (rc == -GN_ERR_FAULT) {
            walk_fault(w, r, GN_PAGING_REASON_MEMORY);
            return 0;
        }
        if (rc)
            return rc;
        rules->decode(w->format, w->context, level, step->value, &e);
        if (e.kind == GN_PAGING_ENTRY_LEAF) {
            uint64_t offset = w->gva & (((uint64_t)1 << r->shift) - 1);

            r->gpa = gn_gpa(e.address | offset);
            walk_judge_leaf(w, r, step->value, e.permissions & (inherited | ~g->inherited));
            return 0;
        }
        if (e.kind != GN_PAGING_ENTRY_TABLE) {
            walk_fault(w, r,
                       e.kind == GN_PAGING_ENTRY_ABSENT ? GN_PAGING_REASON_ABSENT
                                                        : GN_PAGING_REASON_RESERVED);
            return 0;
        }
        inherited &= e.permissions;
    }
    /* Not reached: no format decodes a table at level 0. */
    walk_fault(w, r, GN_PAGING_REASON_RESERVED);
    return 0;
}

/*
 * Sets A on the way and D at the leaf. Returns 0; 1 if an entry changed under the walk; or what an
 * op failed with.
 */
static int walk_update(const struct walk *w, struct gn_paging_walk *r)
{
    const struct gn_paging__rules *rules = w->format->rules;
    uint32_t lowest = r->level;

    for (uint32_t level = w->format->geometry.levels; level-- > lowest;) {
        struct gn_paging_step *step = &r->step[level];
        uint64_t wanted = step->value;
        int rc;

        if (level == lowest || rules->table_has_a)
            wanted |= rules->a_bit;
        if (level == lowest && (w->access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE)
            wanted |= rules->d_bit;
        if (wanted == step->value)
            continue;
        rc = w->ops->cmpxchg(w->ops_ctx, step->gpa, w->format->geometry.entry_bytes, step->value,
                             wanted);
        if (rc == -GN_ERR_AGAIN)
            return 1;
        if (rc == -GN_ERR_FAULT) {
            r->level = level;
            walk_fault(w, r, GN_PAGING_REASON_MEMORY);
            return 0;
        }
        if (rc)
            return rc;
        step->value = wanted;
    }
    if (r->step[lowest].value & rules->a_bit)
        r->permissions |= GN_PAGING_A;
    if (r->step[lowest].value & rules->d_bit)
        r->permissions |= GN_PAGING_D;
    return 0;
}

static int walk_check(const struct gn_paging_context *context, const struct gn_paging_ops *ops,
                      uint32_t access, const struct gn_paging_walk *ret_walk)
{
    int rc;

    if (!context || !ops || !ret_walk)
        return -GN_ERR_INVAL;
    rc = gn_paging__size_check(context, context->size, sizeof *context);
    if (!rc)
        rc = gn_paging__size_check(ops, ops->size, sizeof *ops);
    if (rc)
        return rc;
    if ((access & GN_PAGING_ACCESS_KIND) >= GN_ACCESS_KINDS || context->root.v & GN_PAGE_MASK)
        return -GN_ERR_INVAL;
    if (!ops->load || (!ops->cmpxchg && !(access & GN_PAGING_NO_UPDATE)))
        return -GN_ERR_INVAL;
    return 0;
}

static void walk_bare(gn_gva_t gva, struct gn_paging_walk *r)
{
    r->outcome = GN_PAGING_TRANSLATED;
    r->permissions =
        GN_PAGING_RWXU | GN_PAGING_A | GN_PAGING_D; /* nothing is checked, nothing denied */
    r->shift = 63;
    r->gpa = gn_gpa(gva.v);
}

int gn_paging_walk(const struct gn_paging_context *context, const struct gn_paging_ops *ops,
                   void *ops_ctx, gn_gva_t gva, uint32_t access, struct gn_paging_walk *ret_walk)
{
    struct walk w = {
        .context = context, .ops = ops, .ops_ctx = ops_ctx, .gva = gva.v, .access = access};
    struct gn_paging_walk r = {0};
    uint32_t entries = 0;
    int rc = walk_check(context, ops, access, ret_walk);

    if (rc)
        return rc;
    w.format = gn_paging__format_find(context->format);
    if (!w.format)
        return -GN_ERR_NOTSUP;
    if (!w.format->rules) {
        walk_bare(gva, &r);
        *ret_walk = r;
        return 0;
    }
    r.top = w.format->geometry.levels - 1;
    if (!walk_canonical(w.format, gva.v)) {
        r.level = r.top;
        walk_fault(&w, &r, GN_PAGING_REASON_ADDRESS);
        *ret_walk = r;
        return 0;
    }
    for (int restart = 0; restart <= WALK_RESTARTS; restart++) {
        r = (struct gn_paging_walk){.top = r.top, .entries = entries};
        rc = walk_read(&w, &r);
        if (!rc && r.outcome == GN_PAGING_TRANSLATED && !(access & GN_PAGING_NO_UPDATE))
            rc = walk_update(&w, &r);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            *ret_walk = r;
            return 0;
        }
        entries = r.entries;
    }
    return -GN_ERR_AGAIN;
}
