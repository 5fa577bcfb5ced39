/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_ACCESS_H
#define GN_TEST_ACCESS_H

/*
 * Accesses of the guest: the MMU completes them or the library answers, and either is judged by
 * what the guest's tables say. Writes are recorded, and told at coherence points.
 */

#include "mmu.h"

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

#endif /* GN_TEST_ACCESS_H */
