/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_MMU_H
#define GN_TEST_MMU_H

/* The machine's MMU, and what it holds, judged by what the guest's tables say. */

#include "guest.h"
#include "shadow_internal.h"

#define COMPLETED 100u /* besides GN_SHADOW_...: the MMU needed nobody */

/* ---- The MMU ----------------------------------------------------------------------------------
 */

static inline struct gn_paging_context shadow_context(const struct machine *m)
{
    return (struct gn_paging_context){GN_PAGING_CONTEXT_INIT, .format = m->format,
                                      .controls = ALL_CONTROLS};
}

static inline struct cached *cache_line(struct cached *c, uint32_t count, uint32_t root,
                                        uint64_t gva, uint32_t level)
{
    uint64_t page = gva >> (GN_PAGE_SHIFT + 9 * level);

    return &c[((page ^ page >> 9 ^ page >> 18 ^ page >> 27) * 0x9e3779b1u + root * 0x85ebca6bu +
               level * 77) %
              count];
}

static inline struct cached *cache_find(struct cached *c, uint32_t count, uint32_t root,
                                        uint64_t gva, uint32_t level)
{
    struct cached *line = cache_line(c, count, root, gva, level);

    return line->valid && line->root == root && line->level == level &&
                   line->gva == (gva & ~(span_of(level) - 1))
               ? line
               : NULL;
}

/* One step through the shadow tables. @return the kind of entry */
static inline uint32_t mmu_step(struct machine *m, uint64_t table, uint32_t level, uint64_t gva,
                                struct gn_paging_entry *e, uint64_t *ret_value)
{
    struct gn_paging_context c = shadow_context(m);
    uint64_t value = frame_at(m, table)[gva >> (GN_PAGE_SHIFT + 9 * level) & 511];

    assert_int_equal(gn_paging_entry_decode(&c, level, value, e), 0);
    assert_int_not_equal(e->kind, GN_PAGING_ENTRY_RESERVED);
    if (e->kind == GN_PAGING_ENTRY_TABLE && is_x86(m->format))
        assert_int_equal(e->permissions & (USER | GN_PAGING_A), USER | GN_PAGING_A);
    if (e->kind == GN_PAGING_ENTRY_LEAF) {
        /* The MMU shall have nothing to set: the library would not see it. */
        assert_true(e->permissions & GN_PAGING_A);
        assert_true(!(e->permissions & GN_PAGING_W) || e->permissions & GN_PAGING_D);
    }
    *ret_value = value;
    return e->kind;
}

/* What another root of the same format left behind, if the MMU heeds G. */
static inline struct cached *cache_global(struct machine *m, uint32_t root, uint64_t gva)
{
    for (uint32_t i = 0; m->global && i < TLB_SIZE; i++) {
        struct cached *c = &m->tlb[i];

        if (c->valid && c->permissions & GN_PAGING_G && c->gva == (gva & ~GN_PAGE_MASK) &&
            m->root_key[c->root].format == m->root_key[root].format)
            return c;
    }
    return NULL;
}

/* Translates as hardware may: the stale first, and everything is kept. NULL: absent, see marker. */
static inline struct cached *mmu_translate(struct machine *m, uint32_t root, uint64_t gva,
                                           uint64_t *ret_marker, uint32_t *ret_level)
{
    struct cached *line = cache_find(m->tlb, TLB_SIZE, root, gva, 0);
    uint32_t level = m->shadow.levels - 1;
    uint64_t table = m->root_hpa[root];
    struct gn_paging_entry e = {0};

    *ret_marker = 0;
    *ret_level = 0;
    line = line ? line : cache_global(m, root, gva);
    if (line || !canonical(&m->shadow, gva))
        return line;
    for (uint32_t l = 1; l < m->shadow.levels; l++) {
        struct cached *way = cache_find(m->way, WAYS_SIZE, root, gva, l);

        if (way) {
            table = way->hpa;
            level = l - 1;
            break;
        }
    }
    while (mmu_step(m, table, level, gva, &e, ret_marker) == GN_PAGING_ENTRY_TABLE) {
        *cache_line(m->way, WAYS_SIZE, root, gva, level) =
            (struct cached){.gva = gva & ~(span_of(level) - 1),
                            .hpa = e.address,
                            .root = root,
                            .level = level,
                            .valid = !m->leaves};
        table = e.address;
        level--;
    }
    *ret_level = level;
    if (e.kind != GN_PAGING_ENTRY_LEAF)
        return NULL;
    *ret_marker = 0;
    line = cache_line(m->tlb, TLB_SIZE, root, gva, 0);
    *line = (struct cached){.gva = gva & ~GN_PAGE_MASK,
                            .root = root,
                            .valid = 1,
                            .hpa = e.address | (gva & (span_of(level) - 1) & ~GN_PAGE_MASK),
                            .permissions = e.permissions,
                            .attributes = e.attributes};
    assert_true(m->global || !(e.permissions & GN_PAGING_G));
    return line;
}

/* The same without any cache, for questions. @return the leaf's level, or UINT32_MAX */
static inline uint32_t spt_leaf(struct machine *m, uint32_t root, uint64_t gva,
                                struct gn_paging_entry *ret_e, uint64_t *ret_value)
{
    uint64_t table = m->root_hpa[root];
    uint32_t level = m->shadow.levels - 1;

    while (mmu_step(m, table, level, gva, ret_e, ret_value) == GN_PAGING_ENTRY_TABLE) {
        table = ret_e->address;
        level--;
    }
    return ret_e->kind == GN_PAGING_ENTRY_LEAF ? level : UINT32_MAX;
}

/* "What the MMU caches is what the SPT says or less", of every line of the TLB. */
static inline void tlb_is_within_the_spt(struct machine *m)
{
    for (uint32_t i = 0; i < TLB_SIZE; i++) {
        const struct cached *c = &m->tlb[i];
        struct gn_paging_entry e;
        uint64_t value;
        uint32_t level;

        if (!c->valid)
            continue;
        level = spt_leaf(m, c->root, c->gva, &e, &value);
        assert_int_not_equal(level, UINT32_MAX);
        assert_int_equal(e.address | (c->gva & (span_of(level) - 1)), c->hpa);
        assert_int_equal(c->permissions & GN_PAGING_RWXU & ~e.permissions, 0);
        assert_int_equal((c->permissions ^ e.permissions) & GN_PAGING_U, 0);
        assert_int_equal(c->attributes, e.attributes);
        assert_int_equal(c->permissions & GN_PAGING_G & ~e.permissions, 0);
        if (c->permissions & GN_PAGING_W)
            assert_int_equal(e.permissions & GN_SHADOW_TRACED & ~c->permissions, 0);
    }
    for (uint32_t i = 0; i < WAYS_SIZE; i++) {
        const struct cached *w = &m->way[i];
        uint64_t table = w->valid ? m->root_hpa[w->root] : 0;
        struct gn_paging_entry e;
        uint64_t value;

        for (uint32_t level = m->shadow.levels; w->valid && level-- > w->level;) {
            assert_int_equal(mmu_step(m, table, level, w->gva, &e, &value), GN_PAGING_ENTRY_TABLE);
            table = e.address;
        }
        assert_true(!w->valid || table == w->hpa);
    }
}

/* ---- Judging ------------------------------------------------------------------------------------
 */

struct claim {
    uint64_t hpa; /* of the page */
    uint32_t access;
    uint32_t permissions; /* of the TLB entry */
    uint32_t attributes;
};

/* An access completed: is there a walk that allows it, leads there and has left its A and D? */
static inline int match_completed(const struct viewer *v, const struct view *view)
{
    const struct claim *c = v->wanted;
    const struct gn_shadow_slot *slot = slot_of(v->m, view->gpa);
    int write = (c->access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE;

    if (view->kind != GN_PAGING_ENTRY_LEAF || !view->tables_accessed || !slot ||
        slot->kind == GN_SHADOW_SLOT_MMIO || !(view->permissions & GN_PAGING_A))
        return 0;
    if (write && (!(view->permissions & GN_PAGING_D) || slot->kind == GN_SHADOW_SLOT_ROM))
        return 0;
    if (v->key->format != GN_PAGING_BARE && !guest_allows(&v->judge, view, c->access))
        return 0;
    return slot->hpa.v + (view->gpa & ~GN_PAGE_MASK) - slot->gpa.v == c->hpa;
}

/*
 * How the MMU judges an access of the guest, whose state is given: its own controls, as whose
 * access it is made, and, on x86, the key of the entry by the guest's PKRU.
 */
static inline int mmu_allows(const struct machine *m, const struct gn_paging_context *guest,
                             uint32_t permissions, uint32_t attributes, uint32_t access)
{
    struct gn_paging_context c = shadow_context(m);
    uint32_t format = guest->format;

    c.controls = gn_shadow_mmu_controls(m->sh, format, guest->controls, access);
    c.pkru = guest->pkru;
    if (!is_x86(format) && format != GN_PAGING_BARE)
        access &= ~GN_PAGING_IMPLICIT;
    else if (access & GN_PAGING_IMPLICIT)
        access &= ~GN_PAGING_AS_USER;
    return gn_paging_allows(&c, permissions & GN_PAGING_RWXU, access) &&
           !(is_x86(m->format) &&
             key_denies(&c, attributes >> GN_PAGING_X86_KEY_SHIFT & 15, permissions, access));
}

/* Under these controls: is what the MMU allows by a line allowed, whatever PKRU becomes? */
static inline int line_allowed_under(const struct viewer *v, const struct view *view,
                                     const struct claim *line, uint32_t controls, uint32_t access)
{
    struct gn_paging_context c = v->context;
    uint32_t any_pkru = is_x86(v->m->format) && has_keys(c.format);

    c.controls = controls;
    for (uint32_t rights = 0; rights < (any_pkru ? 4u : 1u); rights++) {
        c.pkru = any_pkru ? rights << 2 * view->key : v->context.pkru;
        if (mmu_allows(v->m, &c, line->permissions, line->attributes, access) &&
            c.format != GN_PAGING_BARE && !guest_allows(&c, view, access))
            return 0;
    }
    return 1;
}

/*
 * Whatever the controls become that belong to an access: is what the MMU allows then allowed? A
 * line with G is used under those of other roots, too.
 */
static inline int line_allowed(const struct viewer *v, const struct view *view,
                               const struct claim *line, uint32_t access)
{
    static const uint32_t bits[] = {GN_PAGING_X86_AC,      GN_PAGING_RISCV_SUM, GN_PAGING_RISCV_MXR,
                                    GN_PAGING_AARCH64_PAN, GN_PAGING_X86_WP,    GN_PAGING_X86_SMEP,
                                    GN_PAGING_X86_SMAP,    GN_PAGING_X86_PKE};
    int global = v->m->global && line->permissions & GN_PAGING_G;
    uint32_t may_change = judged(v->m);

    if (global)
        may_change |= GN_PAGING_RISCV_MXR | GN_PAGING_X86_WP | GN_PAGING_X86_SMEP |
                      GN_PAGING_X86_SMAP | GN_PAGING_X86_PKE;
    for (uint32_t i = 0; i < (global ? 256u : 16u); i++) {
        uint32_t now = 0;

        for (uint32_t b = 0; b < 8; b++)
            now |= i >> b & 1 ? bits[b] : 0;
        if (!line_allowed_under(v, view, line,
                                (v->key->controls & ~may_change) | (now & may_change), access))
            return 0;
    }
    return 1;
}

/* A TLB entry: is there a walk that allows all that it allows? */
static inline int match_line(const struct viewer *v, const struct view *view)
{
    const struct claim *c = v->wanted;
    const struct gn_shadow_slot *slot = slot_of(v->m, view->gpa);

    if (view->kind != GN_PAGING_ENTRY_LEAF || !view->tables_accessed || !slot ||
        slot->kind == GN_SHADOW_SLOT_MMIO || !(view->permissions & GN_PAGING_A))
        return 0;
    if (c->permissions & GN_PAGING_W &&
        (!(view->permissions & GN_PAGING_D) || slot->kind == GN_SHADOW_SLOT_ROM))
        return 0;
    for (uint32_t access = 0; access < GN_ACCESS_KINDS; access++)
        if (!line_allowed(v, view, c, access) ||
            !line_allowed(v, view, c, access | GN_PAGING_AS_USER) ||
            !line_allowed(v, view, c, access | GN_PAGING_IMPLICIT))
            return 0;
    return slot->hpa.v + (view->gpa & ~GN_PAGE_MASK) - slot->gpa.v == c->hpa;
}

static inline int match_absent(const struct viewer *v, const struct view *view)
{
    uint64_t marker = *(const uint64_t *)v->wanted;

    return view->kind == GN_PAGING_ENTRY_ABSENT && view->entry == marker >> 8 &&
           view->level == (marker >> 3 & 31);
}

/* Another way to the same entry may have set D since: then the marker says less than is so. */
static inline int match_mmio(const struct viewer *v, const struct view *view)
{
    uint64_t marker = *(const uint64_t *)v->wanted;
    const struct gn_shadow_slot *slot = slot_of(v->m, view->gpa);
    uint32_t differs = marker_permissions(view->permissions) ^ (marker >> 3 & 31);

    return view->kind == GN_PAGING_ENTRY_LEAF && slot && slot->kind == GN_SHADOW_SLOT_MMIO &&
           view->tables_accessed && view->permissions & GN_PAGING_A &&
           (view->gpa & ~GN_PAGE_MASK) == marker >> 8 &&
           (!differs || (differs == MARKER_D && view->permissions & GN_PAGING_D));
}

static inline void judge_marker(struct machine *m, uint32_t root, uint64_t gva, uint64_t marker)
{
    assert_true(marker & 4 && !(marker & 1));
    m->markers_seen++;
    assert_true(view_any(m, root, gva, marker & 2 ? match_mmio : match_absent, &marker));
}

/* Everything the TLB holds agrees with the tables: at a coherence point, with those of now. */
static inline void tlb_is_within_the_guest(struct machine *m)
{
    for (uint32_t i = 0; i < TLB_SIZE; i++) {
        const struct cached *c = &m->tlb[i];
        struct claim claim = {
            .hpa = c->hpa, .permissions = c->permissions, .attributes = c->attributes};

        if (c->valid)
            assert_true(view_any(m, c->root, c->gva, match_line, &claim));
    }
}

#endif /* GN_TEST_MMU_H */
