/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Long random runs against a walk of the guest's tables: edits of every form, accesses of every
 * kind, coherence points, changes of slots, revocation, few tables, several roots.
 *
 * GN_TEST_SEED sets the seed, GN_TEST_OPS the operations of a configuration; GNOMON_SOAK runs
 * thirty times as many.
 */

#include "log.h"
#include "random.h"

#define OPS_DEFAULT 25000u
#define OPS_SOAK    1500000u

/* ---- Operations ---------------------------------------------------------------------------- */

static void op_store(struct run *r)
{
    uint32_t root = r->held[below(r, HELD)];
    uint32_t bytes = r->m->geometry.entry_bytes;
    uint8_t values[16 * 8];
    uint64_t at = edit_place(r);
    uint64_t length = bytes;

    for (uint32_t i = 0; i < sizeof values; i += bytes) {
        uint64_t value = entry_any(r, at);

        memcpy(values + i, &value, bytes);
    }
    switch (below(r, 16)) {
    case 0: length = (uint64_t)1 << below(r, 3); break;              /* 1, 2, 4 bytes */
    case 1: at += below(r, 8); break;                                /* across two entries */
    case 2: at = (at & ~GN_PAGE_MASK) + 4092; break;                 /* across two pages */
    case 3: length = 8 * (1 + (uint64_t)below(r, 15)); break;        /* several entries */
    case 4: at = (uint64_t)(DATA_FIRST + below(r, 64)) << 12; break; /* no table */
    default: break;
    }
    if (!hits_linear(r, at, length))
        r->stored += guest_store(r->m, root, linear(r, at), values, length) == COMPLETED;
}

static void op_device(struct run *r)
{
    uint64_t at = edit_place(r);

    if (!hits_linear(r, at, r->m->geometry.entry_bytes))
        device_store(r->m, at, entry_any(r, at));
}

static void op_access(struct run *r)
{
    uint32_t access = below(r, GN_ACCESS_KINDS) | (below(r, 2) ? GN_PAGING_AS_USER : 0);
    uint64_t gva = below(r, 2) ? gva_any(r) : r->worked[below(r, RECENT)] ^ below(r, 4096);
    struct result result;

    if (below(r, 16) == 0)
        access |= GN_PAGING_IMPLICIT;
    result = access_at(r->m, r->held[below(r, HELD)], gva, access);
    if (result.outcome == COMPLETED)
        r->worked[r->completed++ % RECENT] = gva;
    r->filled += result.answers && result.outcome == COMPLETED;
    r->outcomes[result.outcome & 7]++;
}

/* Rights of three keys, and few values, so that roots are found again. */
static uint32_t pkru_any(struct run *r)
{
    return below(r, 2) ? 0 : (uint32_t)next(r) & (below(r, 2) ? 0xcu : 0xc000000du);
}

static void op_switch(struct run *r)
{
    struct machine *m = r->m;
    uint32_t place = below(r, HELD);
    struct gn_shadow_root_key key = root_key(m, r->root_page[below(r, ROOT_PAGES)]);
    uint32_t id = 0;

    if (is_aarch64(r))
        key.table_high = gn_gpa(r->root_page[below(r, ROOT_PAGES)]);
    key.tag = below(r, 3);
    key.pkru = pkru_any(r);
    /* What changes the meaning of entries and is not of an access makes other roots. */
    if (below(r, 3) == 0)
        key.controls ^= (uint32_t)next(r) & SWITCHED;
    if (below(r, 8) == 0) {
        key.format = GN_PAGING_BARE;
        key.table = gn_gpa(0);
    }
    /* A guest without translation reaches all memory at its own address: see linear(). */
    if (key.format == GN_PAGING_BARE && place)
        return;
    assert_int_equal(gn_shadow_root_put(m->sh, r->held[place]), 0);
    assert_int_equal(root_try(m, key, &id), 0);
    r->held[place] = id;
}

static void op_slot(struct run *r)
{
    static const uint32_t kinds[] = {GN_SHADOW_SLOT_RAM, GN_SHADOW_SLOT_ROM, GN_SHADOW_SLOT_MMIO};
    struct machine *m = r->m;

    if (r->dynamic != UINT32_MAX) {
        slot_remove(m, r->dynamic);
        r->dynamic = UINT32_MAX;
    } else {
        r->dynamic = slot_add(m, kinds[below(r, 3)], (uint64_t)32 << 20, (uint64_t)2 << 20,
                              ((uint64_t)24 << 30) + (below(r, 2) ? GN_PAGE_SIZE : 0));
    }
}

static void op_revoke(struct run *r)
{
    struct machine *m = r->m;
    uint64_t gpa = page_any(r);
    uint64_t length = GN_PAGE_SIZE * (1 + (uint64_t)below(r, 3));

    UNTIL_DONE(gn_shadow_revoke(m->sh, gn_gpa(gpa), length));
    for (uint32_t i = 0; i < TLB_SIZE; i++) {
        const struct gn_shadow_slot *s = slot_of_hpa(m, m->tlb[i].hpa);

        if (m->tlb[i].valid)
            assert_true(m->tlb[i].hpa - s->hpa.v + s->gpa.v - gpa >= length);
    }
}

/* Invariant 14: logs come and go; what a harvest finds is what the naive log has. */
static void op_dirty(struct run *r)
{
    struct machine *m = r->m;
    uint32_t slot = below(r, SLOTS_MAX);
    uint64_t pages = m->slot[slot].length >> GN_PAGE_SHIFT;
    uint64_t first;

    if (!m->slot[slot].size || m->slot[slot].kind != GN_SHADOW_SLOT_RAM)
        return;
    first = below(r, 2) ? 0 : below(r, (uint32_t)pages);
    if (!m->log_mem[slot])
        dirty_start(m, slot);
    else if (below(r, 16) == 0)
        dirty_stop(m, slot);
    else
        r->harvested += (uint32_t)dirty_harvest(
            m, slot, first, below(r, 2) ? pages - first : below(r, (uint32_t)(pages - first)));
}

/* A flush of one address space: what the TLB and the shadow hold of it is as the tables are now. */
static void op_coherence(struct run *r)
{
    struct machine *m = r->m;
    uint32_t root = r->held[below(r, HELD)];
    uint64_t differences = UINT64_MAX;
    uint32_t olds = m->olds;

    if (m->logged)
        return;
    UNTIL_DONE(gn_shadow_coherence_root(m->sh, root));
    m->olds = 0;
    for (uint32_t i = 0; i < TLB_SIZE; i++) {
        const struct cached *c = &m->tlb[i];
        struct claim claim = {
            .hpa = c->hpa, .permissions = c->permissions, .attributes = c->attributes};

        if (c->valid && c->root == root)
            assert_true(view_any(m, c->root, c->gva, match_line, &claim));
    }
    assert_int_equal(gn_shadow_audit(m->sh, root, audit_report, NULL, &differences, NULL), 0);
    assert_int_equal(differences, 0);
    m->olds = olds;
}

/* A flush of one page, of one address space. */
static void op_coherence_page(struct run *r)
{
    struct machine *m = r->m;
    uint32_t root = r->held[below(r, HELD)];
    uint64_t gva = r->worked[below(r, RECENT)] & ~GN_PAGE_MASK;
    uint32_t olds = m->olds;

    if (m->logged)
        return;
    assert_int_equal(gn_shadow_coherence_page(m->sh, root, gn_gva(gva)), 0);
    m->olds = 0;
    for (uint32_t i = 0; i < TLB_SIZE; i++) {
        const struct cached *c = &m->tlb[i];
        struct claim claim = {
            .hpa = c->hpa, .permissions = c->permissions, .attributes = c->attributes};

        if (c->valid && c->root == root && c->gva == gva)
            assert_true(view_any(m, c->root, c->gva, match_line, &claim));
    }
    m->olds = olds;
}

static void op_rare(struct run *r)
{
    if (r->dirty && below(r, 2)) {
        op_dirty(r);
        return;
    }
    switch (below(r, 6)) {
    case 0: op_slot(r); break;
    case 1:
    case 2: op_revoke(r); break;
    case 3:
        UNTIL_DONE(
            gn_shadow_flush(r->m->sh, below(r, 2) ? r->held[below(r, HELD)] : GN_SHADOW_ROOT_ANY));
        break;
    default: op_switch(r); break;
    }
}

static void op_any(struct run *r)
{
    uint32_t what = below(r, 128);

    if (what < 1)
        r->m->pkru = pkru_any(r);
    else if (what < 2)
        r->m->controls ^= (uint32_t)next(r) & JUDGED;
    else if (what < 92)
        op_access(r);
    else if (what < 116)
        op_store(r);
    else if (what < 118)
        op_device(r);
    else if (what < 120)
        op_rare(r);
    else if (what < 122)
        op_coherence(r);
    else if (what < 124)
        op_coherence_page(r);
    else
        coherence_point(r->m);
    if (r->m->olds >= OLDS_MANY || r->m->logged >= LOG_MAX / 2)
        coherence_point(r->m);
}

/* ---- Runs
 * ------------------------------------------------------------------------------------------- */

static void run_begin(struct run *r, uint32_t guest, uint32_t shadow, uint32_t policy,
                      uint32_t tables)
{
    static const struct gn_shadow_ops *const ops[] = {&machine_ops, &machine_lock_ops,
                                                      &machine_locks_ops};
    struct gn_shadow_params params = machine_params(shadow, policy, tables);
    uint64_t entry;

    params.roots = 6;
    params.flood_limit = 1 + below(r, 20);
    params.unsync_after = 1 + below(r, 4);
    params.step_limit = below(r, 2) ? 0 : 1 + below(r, 1u << below(r, 8));
    params.fault_around = below(r, 2) ? 0 : 1u << below(r, 10);
    params.sync_after = 1 + below(r, 4);
    params.flags |= below(r, 3) ? 0 : GN_SHADOW_MMU_GLOBAL;
    params.flags |= params.flood_limit % 3 ? 0 : GN_SHADOW_MMU_LEAVES;
    params.lock_stripes = 1u << below(r, 13);
    params.ops = ops[below(r, 3)];
    r->m = machine_new_params(params);
    machine_guest(r->m, guest);
    r->m->markers = (int)below(r, 2);
    r->dirty = below(r, 2) == 0;
    r->m->controls |= below(r, 2) ? GN_PAGING_X86_SMEP | GN_PAGING_X86_SMAP : 0;
    r->m->controls |= below(r, 2) ? GN_PAGING_RISCV_SUM : 0;
    r->m->controls |= below(r, 2) ? GN_PAGING_X86_PKE : 0;
    r->m->controls ^= below(r, 4) ? 0 : GN_PAGING_RISCV_ADUE;
    r->m->controls ^= below(r, 4) ? 0 : GN_PAGING_X86_NXE;
    r->dynamic = UINT32_MAX;
    slot_add(r->m, GN_SHADOW_SLOT_RAM, (uint64_t)4 << 20, ((uint64_t)2 << 20) + 0x3000,
             ((uint64_t)8 << 30) + 0x5000);
    slot_add(r->m, GN_SHADOW_SLOT_MMIO, (uint64_t)8 << 20, 0x10000, 0);
    slot_add(r->m, GN_SHADOW_SLOT_ROM, (uint64_t)10 << 20, (uint64_t)2 << 20, (uint64_t)12 << 30);
    slot_add(r->m, GN_SHADOW_SLOT_RAM, (uint64_t)16 << 20, (uint64_t)8 << 20, (uint64_t)16 << 30);
    for (uint32_t i = 0; i < ROOT_PAGES; i++)
        r->root_page[i] = (uint64_t)(16 + i) << GN_PAGE_SHIFT;
    for (uint64_t gpa = 0; gpa < RAM_BYTES; gpa += guest_span(r->m, 1))
        guest_map(r->m, r->root_page[0], linear(r, gpa), gpa, 1,
                  KERNEL | (r->m->controls & GN_PAGING_RISCV_ADUE && !is_aarch64(r) ? 0 : AD));
    entry = guest_read(r->m, nth(r->m, r->root_page[0], kept(r)));
    for (uint32_t i = 1; i < ROOT_PAGES; i++)
        guest_write(r->m, nth(r->m, r->root_page[i], kept(r)), entry);
    /* The guest has tables when it turns translation on: entries at the indices that are used. */
    for (uint32_t i = 0; i < 2000; i++) {
        uint64_t at = edit_place(r);

        if (!hits_linear(r, at, r->m->geometry.entry_bytes))
            guest_write(r->m, at, entry_any(r, at));
    }
    for (uint32_t i = 0; i < HELD; i++)
        r->held[i] = root_get(r->m, r->root_page[i % ROOT_PAGES]);
}

static void run_operations(struct run *r, uint32_t ops, uint32_t tables)
{
    for (uint32_t i = 0; i < ops; i++) {
        op_any(r);
        if (i % 512 == 0) {
            tlb_is_within_the_spt(r->m);
            coherence_check(r->m);
        }
        assert_true(r->m->frames_out <= tables + (seamed(r) ? r->m->sh->params.roots : 0));
    }
    coherence_check(r->m);
}

static uint32_t ops_wanted(void)
{
    const char *text = getenv("GN_TEST_OPS");

    if (text)
        return (uint32_t)strtoul(text, NULL, 0);
    return getenv("GNOMON_SOAK") ? OPS_SOAK : OPS_DEFAULT;
}

static void run_pair(uint32_t guest, uint32_t shadow, uint32_t configurations)
{
    static const uint32_t tables[] = {16, 24, 64};
    const char *text = getenv("GN_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 20261122;

    for (uint32_t i = 0; i < configurations; i++) {
        struct run r = {.random = (seed ? seed : 1) * 0x9e3779b97f4a7c15ull + guest * 16 + i +
                                  (guest ^ shadow) * 256};
        uint32_t policy = i % POLICIES;
        uint32_t n = tables[i < POLICIES ? 2 : below(&r, 2)];

        print_message("GN_TEST_SEED=%llu %s in %s policy %u tables %u\n", (unsigned long long)seed,
                      gn_paging_format_name(guest), gn_paging_format_name(shadow), policy, n);
        run_begin(&r, guest, shadow, policy, n);
        run_operations(&r, ops_wanted(), n);
        print_message("  stored %u completed %u filled %u guest faults %u emulated %u markers %u "
                      "tables %u harvested %u\n",
                      r.stored, r.completed, r.filled, r.outcomes[GN_SHADOW_GUEST_FAULT],
                      r.outcomes[GN_SHADOW_EMULATE], r.m->markers_seen, r.m->frames_peak,
                      r.harvested);
        for (uint32_t h = 0; h < HELD; h++)
            assert_int_equal(gn_shadow_root_put(r.m->sh, r.held[h]), 0);
        machine_free(r.m);
    }
}

static void run_format(uint32_t format)
{
    run_pair(format, format, 2 * POLICIES);
}

/* A format's tables in every shadow that is not of the same. */
static void run_elsewhere(uint32_t guest)
{
    for (uint32_t f = 0; f < 5; f++)
        if (formats[f] != guest && pair(guest, formats[f]))
            run_pair(guest, formats[f], POLICIES);
}

/* In shadows that have not the width of its addresses. */
static void run_narrower(uint32_t guest)
{
    for (uint32_t f = 0; f < 5; f++)
        if (!pair(guest, formats[f]))
            run_pair(guest, formats[f], POLICIES);
}

/* Invariants 1, 2, 3, 4, 5, 6, 8, 9, 10, 12 and 13, wherever the dice lead. */
static void sv39_agrees_with_the_guests_tables_at_every_access(void **state)
{
    (void)state;
    run_format(GN_PAGING_SV39);
}

static void sv48_agrees_with_the_guests_tables_at_every_access(void **state)
{
    (void)state;
    run_format(GN_PAGING_SV48);
}

static void sv57_agrees_with_the_guests_tables_at_every_access(void **state)
{
    (void)state;
    run_format(GN_PAGING_SV57);
}

static void x86_of_4_levels_agrees_with_the_guests_tables_at_every_access(void **state)
{
    (void)state;
    run_format(GN_PAGING_X86_4LEVEL);
}

static void x86_of_5_levels_agrees_with_the_guests_tables_at_every_access(void **state)
{
    (void)state;
    run_format(GN_PAGING_X86_5LEVEL);
}

static void riscv_guests_agree_with_their_tables_in_every_other_shadow(void **state)
{
    (void)state;
    run_elsewhere(GN_PAGING_SV39);
    run_elsewhere(GN_PAGING_SV48);
    run_elsewhere(GN_PAGING_SV57);
}

static void x86_guests_agree_with_their_tables_in_every_other_shadow(void **state)
{
    (void)state;
    run_elsewhere(GN_PAGING_X86_4LEVEL);
    run_elsewhere(GN_PAGING_X86_5LEVEL);
}

static void guests_that_are_wider_agree_with_their_tables_where_the_mmu_can_reach(void **state)
{
    (void)state;
    run_narrower(GN_PAGING_SV48);
    run_narrower(GN_PAGING_SV57);
    run_narrower(GN_PAGING_X86_4LEVEL);
    run_narrower(GN_PAGING_X86_5LEVEL);
}

static void guests_of_32_bits_agree_with_their_tables_in_every_shadow(void **state)
{
    (void)state;
    run_elsewhere(GN_PAGING_X86_32);
    run_elsewhere(GN_PAGING_X86_PAE);
}

static void guests_of_two_roots_agree_with_their_tables_in_every_shadow(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < FORMATS; f++)
        run_pair(GN_PAGING_AARCH64_4K, formats[f], 2 * POLICIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sv39_agrees_with_the_guests_tables_at_every_access),
        cmocka_unit_test(sv48_agrees_with_the_guests_tables_at_every_access),
        cmocka_unit_test(sv57_agrees_with_the_guests_tables_at_every_access),
        cmocka_unit_test(x86_of_4_levels_agrees_with_the_guests_tables_at_every_access),
        cmocka_unit_test(x86_of_5_levels_agrees_with_the_guests_tables_at_every_access),
        cmocka_unit_test(riscv_guests_agree_with_their_tables_in_every_other_shadow),
        cmocka_unit_test(x86_guests_agree_with_their_tables_in_every_other_shadow),
        cmocka_unit_test(guests_that_are_wider_agree_with_their_tables_where_the_mmu_can_reach),
        cmocka_unit_test(guests_of_32_bits_agree_with_their_tables_in_every_shadow),
        cmocka_unit_test(guests_of_two_roots_agree_with_their_tables_in_every_shadow),
    };

    return cmocka_run_group_tests_name("shadow_random", tests, NULL, NULL);
}
