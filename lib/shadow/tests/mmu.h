/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_MMU_H
#define GN_TEST_MMU_H

/* The machine's MMU, and accesses that are judged by what the guest's tables say. */

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

/* ---- Accesses
 * ------------------------------------------------------------------------------------- */

struct result {
    uint32_t outcome; /* COMPLETED or GN_SHADOW_... */
    uint32_t traced;  /* COMPLETED: the mapping has the mark */
    uint64_t gpa;
    struct gn_shadow_answer answer; /* the last, if there was one */
    uint32_t answers;
};

static inline int beyond_aarch64(const struct machine *m, const struct gn_paging_context *c,
                                 uint32_t permissions, uint32_t access)
{
    int exec = (access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_EXEC;
    int as_user = (access & GN_PAGING_AS_USER) != 0;
    int user_data = (permissions & GN_PAGING_U) != 0;

    /* Data that EL1 has as PAN says and EL0 has not: no MMU's entry says so. */
    if (c->controls & GN_PAGING_AARCH64_EPAN && permissions & GN_PAGING_UX && !user_data &&
        !as_user)
        return !exec || is_x86(m->format);
    /* Who has not the data of a page may run it: no x86 entry says so. */
    return exec && is_x86(m->format) && user_data != as_user;
}

/* The accesses that no entry of the shadow can allow alone: see the header's essay. */
static inline int beyond_entries(const struct machine *m, uint32_t root,
                                 const struct gn_paging_walk *w, uint32_t access)
{
    const struct gn_paging_context c = guest_context(m, root);
    uint32_t key = w->attributes >> GN_PAGING_X86_KEY_SHIFT & 15;
    int pke = has_keys(c.format) && c.controls & GN_PAGING_X86_PKE;
    int closed = !(w->permissions & GN_PAGING_W) || (pke && c.pkru >> (2 * key + 1) & 1);

    if (c.format == GN_PAGING_BARE)
        return 0;
    if (c.format == GN_PAGING_AARCH64_4K)
        return beyond_aarch64(m, &c, w->permissions, access);
    if (is_x86(m->guest))
        return w->permissions & GN_PAGING_U && closed &&
               (access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE &&
               !(c.controls & GN_PAGING_X86_WP) &&
               (c.controls & GN_PAGING_X86_SMAP || (pke && is_x86(m->format)));
    return is_x86(m->format) && !(w->permissions & GN_PAGING_R) &&
           !(c.controls & GN_PAGING_RISCV_MXR);
}

static inline int shadow_fault(struct machine *m, uint32_t root, uint64_t gva, uint32_t access,
                               struct gn_shadow_answer *ret_answer)
{
    struct gn_shadow_access a = {GN_SHADOW_ACCESS_INIT,
                                 .root = root,
                                 .gva = gn_gva(gva),
                                 .access = access,
                                 .controls = guest_context(m, root).controls,
                                 .pkru = guest_context(m, root).pkru};

    return gn_shadow_fault(m->sh, &a, ret_answer);
}

static inline int is_watched(const struct machine *m, gn_gpa_t gpa)
{
    return gpa.v < RAM_BYTES && m->watched[gpa.v >> GN_PAGE_SHIFT];
}

/* Must writes to this page become known? */
static inline int is_known(struct machine *m, gn_gpa_t gpa)
{
    return gn_shadow_is_table(m->sh, gpa) || is_watched(m, gpa) ||
           gn_shadow__shutting(m->sh, gpa, 0);
}

static inline void judge_answer(struct machine *m, uint32_t root, uint64_t gva,
                                const struct gn_paging_walk *w, uint32_t access,
                                const struct gn_shadow_answer *a)
{
    const struct gn_shadow_slot *slot = slot_of(m, w->gpa.v);
    int write = (access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE;
    uint32_t expected = GN_SHADOW_FILLED;

    assert_int_equal(a->reserved, 0);
    if (w->outcome != GN_PAGING_TRANSLATED) {
        assert_int_equal(a->outcome, GN_SHADOW_GUEST_FAULT);
        assert_int_equal(a->fault, w->outcome);
        assert_int_equal(a->code, w->code);
        assert_int_equal(a->level, w->level);
        return;
    }
    if (!slot)
        expected = GN_SHADOW_HOLE;
    else if (slot->kind == GN_SHADOW_SLOT_MMIO)
        expected = GN_SHADOW_MMIO;
    else if (write && slot->kind == GN_SHADOW_SLOT_ROM)
        expected = GN_SHADOW_ROM_WRITE;
    else if (m->root_key[root].format != GN_PAGING_BARE && !canonical(&m->shadow, gva))
        expected = GN_SHADOW_EMULATE;
    else if (write && m->policy == GN_SHADOW_POLICY_TRAP && is_known(m, w->gpa))
        expected = GN_SHADOW_TRAPPED;
    else if (write && a->outcome == GN_SHADOW_TRAPPED && is_known(m, w->gpa))
        expected = m->policy == GN_SHADOW_POLICY_TRACED ? expected : GN_SHADOW_TRAPPED;
    else if (beyond_entries(m, root, w, access))
        expected = GN_SHADOW_EMULATE;
    assert_int_equal(a->outcome, expected);
    assert_int_equal(a->gpa.v, w->gpa.v);
    assert_int_equal(a->permissions,
                     w->permissions & (GN_PAGING_RWXU | GN_PAGING_UX | GN_PAGING_D));
}

/* Asks the library, and checks its answer and the A and D that it set against the walk of now. */
static inline void mmu_fault(struct machine *m, uint32_t root, uint64_t gva, uint32_t access,
                             struct gn_shadow_answer *ret_answer)
{
    struct gn_paging_context c = guest_context(m, root);
    struct scratch s = {.m = m};
    struct gn_paging_walk w;
    uint32_t calls = 0;
    int spoils;
    int rc;

    assert_int_equal(gn_paging_walk(&c, &scratch_ops, &s, gn_gva(gva), access, &w), 0);
    m->swap_count = 0;
    /* A walk that makes a PDPTE, perhaps its own, one with a reserved bit. */
    spoils = s.swap_count && (m->sh->touchy || m->guest == GN_PAGING_X86_PAE);
    do
        rc = shadow_fault(m, root, gva, access, ret_answer);
    while (rc == -GN_ERR_AGAIN && m->steps && !spoils && calls++ < 1000000);
    assert_int_equal(m->swap_count, s.swap_count);
    assert_memory_equal(m->swaps, s.swaps, 2 * s.swap_count * sizeof s.swaps[0]);
    if (rc == -GN_ERR_AGAIN && spoils) {
        mmu_fault(m, root, gva, access, ret_answer);
        return;
    }
    assert_int_equal(rc, 0);
    judge_answer(m, root, gva, &w, access, ret_answer);
}

/* Nobody learns of a write to this page before the next coherence point. */
static inline int is_unsync(struct machine *m, uint64_t gpa)
{
    return gn_shadow_is_table(m->sh, gn_gpa(gpa)) &&
           gn_shadow__page_mode(m->sh, gn_gpa(gpa)) == GN_SHADOW_POLICY_UNSYNC;
}

/* The MMU completed a write: has it been told to record those to tables? */
static inline void judge_write(struct machine *m, uint64_t gpa, uint32_t traced)
{
    if (!is_known(m, gn_gpa(gpa)) || gn_shadow__shutting(m->sh, gn_gpa(gpa), 0))
        return;
    if (!is_watched(m, gn_gpa(gpa)) &&
        gn_shadow__page_mode(m->sh, gn_gpa(gpa)) == GN_SHADOW_POLICY_UNSYNC)
        return;
    assert_int_equal(gn_shadow__page_mode(m->sh, gn_gpa(gpa)), GN_SHADOW_POLICY_TRACED);
    assert_true(traced);
}

static inline struct result access_at(struct machine *m, uint32_t root, uint64_t gva,
                                      uint32_t access)
{
    struct result r = {0};

    for (;;) {
        uint64_t marker;
        uint32_t level;
        const struct cached *line = mmu_translate(m, root, gva, &marker, &level);

        const struct gn_paging_context c = guest_context(m, root);

        if (line && mmu_allows(m, &c, line->permissions, line->attributes, access)) {
            struct claim claim = {.hpa = line->hpa, .access = access};
            const struct gn_shadow_slot *slot = slot_of_hpa(m, line->hpa);

            assert_true(view_through(m, line->root, root, gva, match_completed, &claim));
            r.outcome = COMPLETED;
            r.traced = line->permissions & GN_SHADOW_TRACED;
            r.gpa = line->hpa - slot->hpa.v + slot->gpa.v + (gva & GN_PAGE_MASK);
            if ((access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE) {
                judge_write(m, r.gpa, r.traced);
                model_dirty(m, r.gpa, 1);
            }
            return r;
        }
        if (marker)
            judge_marker(m, root, gva, marker);
        /*
         * After FILLED, the MMU succeeds: a second fault of one access is a broken promise. Unless
         * it used what another root has made global there: that goes with the second.
         */
        assert_true(r.answers <= (uint32_t)m->global);
        mmu_fault(m, root, gva, access, &r.answer);
        r.answers++;
        r.outcome = r.answer.outcome;
        r.gpa = r.answer.gpa.v;
        if (r.outcome != GN_SHADOW_FILLED)
            return r;
        /* It counts as written, even if the MMU then uses what another root has made global. */
        if ((access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE)
            model_dirty(m, r.gpa, 1);
    }
}

/* ---- Writes and coherence
 * ------------------------------------------------------------------------- */

static inline void log_write(struct machine *m, uint64_t gpa, uint64_t length)
{
    assert_true(m->logged < LOG_MAX);
    m->log[m->logged].gpa = gpa;
    m->log[m->logged++].length = length;
}

static inline void audit_report(void *ctx, const struct gn_shadow_difference *d)
{
    (void)ctx;
    print_error("audit: kind %u root %u level %u gva %llx entry %llx expected %llx\n", d->kind,
                d->root, d->level, (unsigned long long)d->gva.v, (unsigned long long)d->entry,
                (unsigned long long)d->expected.v);
}

static inline uint64_t audit(struct machine *m)
{
    uint64_t differences = UINT64_MAX;

    assert_int_equal(
        gn_shadow_audit(m->sh, GN_SHADOW_ROOT_ANY, audit_report, NULL, &differences, NULL), 0);
    return differences;
}

/* The library hears of a write. */
static inline void machine_sync(struct machine *m, uint64_t gpa, uint64_t length)
{
    gn_gpa_t at = gn_gpa(gpa);

    model_dirty(m, gpa, length);
    UNTIL_DONE(gn_shadow_sync_part(m->sh, &at, &length));
    assert_int_equal(length, 0);
}

/* The log is drained; from here on nothing stale may be seen. */
static inline void coherence_point(struct machine *m)
{
    for (uint32_t i = 0; i < m->logged; i++)
        machine_sync(m, m->log[i].gpa, m->log[i].length);
    m->logged = 0;
    UNTIL_DONE(gn_shadow_coherence_root(m->sh, GN_SHADOW_ROOT_ANY));
    m->olds = 0;
}

static inline void coherence_check(struct machine *m)
{
    coherence_point(m);
    assert_int_equal(audit(m), 0);
    tlb_is_within_the_spt(m);
    tlb_is_within_the_guest(m);
}

/*
 * The guest stores bytes at an address, as the machine would: each page on its own, trapped,
 * recorded or unknown. @return the outcome of the last page
 */
static inline uint32_t guest_store(struct machine *m, uint32_t root, uint64_t gva,
                                   const void *bytes, uint64_t length)
{
    const uint8_t *from = bytes;
    uint32_t outcome = COMPLETED;
    uint32_t by_hand;
    uint32_t olds;

    while (length) {
        uint64_t here = GN_PAGE_SIZE - (gva & GN_PAGE_MASK);
        struct result r = access_at(m, root, gva, GN_ACCESS_WRITE);

        here = here < length ? here : length;
        outcome = r.outcome;
        olds = m->olds;
        by_hand = outcome == GN_SHADOW_TRAPPED || outcome == GN_SHADOW_EMULATE;
        if ((outcome == COMPLETED || by_hand) && r.gpa < RAM_BYTES)
            ram_store(m, r.gpa, from, here);
        if (by_hand)
            machine_sync(m, r.gpa, here);
        /* Only a recorded write leaves the shadow behind, until the log is drained. */
        if (outcome == COMPLETED && r.traced)
            log_write(m, r.gpa, here);
        else if (outcome != COMPLETED || !is_unsync(m, r.gpa))
            m->olds = olds;
        gva += here;
        from += here;
        length -= here;
    }
    return outcome;
}

/* A device or the boot code writes an entry: told at once. */
static inline void device_store(struct machine *m, uint64_t gpa, uint64_t value)
{
    ram_store(m, gpa, &value, m->geometry.entry_bytes);
    m->olds--;
    machine_sync(m, gpa, m->geometry.entry_bytes);
}

#endif /* GN_TEST_MMU_H */
