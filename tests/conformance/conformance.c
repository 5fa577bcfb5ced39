/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What every platform promises, whatever it is made of: <gnomon/mmu.h>, asked through the table of
 * operations alone. Runs for each format that the platform takes. What a platform lacks a
 * capability for is skipped.
 */

#include "machine.h"

#include <stdio.h>

#define GVA 0x40123000ull
#define A   0x5000ull /* pages of the machine */
#define B   0x6000ull

static void capability_bits_and_operations_agree(void **state)
{
    const struct machine *m = machine_of(state);
    const struct gn_mmu_ops *ops = m->p.ops;

    assert_int_equal(ops->size, sizeof *ops);
    assert_int_equal(ops->reserved, 0);
    assert_int_equal(ops->caps &
                         ~(uint32_t)(GN_MMU_CAP_WALKS | GN_MMU_CAP_ASID | GN_MMU_CAP_TRACED |
                                     GN_MMU_CAP_TRACK | GN_MMU_CAP_MARKERS | GN_MMU_CAP_WRITES),
                     0);
    assert_int_equal(ops->caps & GN_MMU_CAP_ASID ? ops->asid_bits != 0 : ops->asid_bits == 0, 1);
    assert_int_equal(!ops->map, (ops->caps & GN_MMU_CAP_WALKS) != 0);
    assert_int_equal(!ops->unmap, (ops->caps & GN_MMU_CAP_WALKS) != 0);
    assert_int_equal(!ops->track_set, !(ops->caps & GN_MMU_CAP_TRACK));
    assert_int_equal(!ops->track_drain, !(ops->caps & GN_MMU_CAP_TRACK));
    assert_int_equal(!ops->invalidate_writes, !(ops->caps & GN_MMU_CAP_WRITES));
    assert_non_null(ops->context_set);
    assert_non_null(ops->access);
    assert_non_null(ops->invalidate_range);
    assert_non_null(ops->invalidate_asid);
    assert_non_null(ops->invalidate_all);
}

static void accesses_of_every_size_reach_their_bytes_and_no_others(void **state)
{
    struct machine *m = machine_of(state);
    struct space s = space_new(m, 0);
    uint8_t in[4096], out[4096], page[4096];

    load(&s, 0);
    space_map(&s, GVA, 0, A, R | W | X | U);
    for (int i = 0; i < 4096; i++)
        in[i] = (uint8_t)(i * 7 + 1);
    for (uint32_t bytes = 1; bytes <= 4096; bytes *= 2)
        for (uint32_t step = 0; step < 3; step++) {
            uint32_t offset = step == 0 ? 0 : step == 1 ? (4096 - bytes) / 2 : 4096 - bytes;

            memset(m->p.memory + A, 0xee, 4096);
            memset(page, 0xee, 4096);
            memcpy(page + offset, in, bytes);
            assert_int_equal(do_access(m, 0, GVA + offset, WRITE, in, bytes).outcome, GN_MMU_DONE);
            assert_memory_equal(m->p.memory + A, page, 4096);
            memset(out, 0, sizeof out);
            assert_int_equal(do_access(m, 0, GVA + offset, READ, out, bytes).outcome, GN_MMU_DONE);
            assert_memory_equal(out, in, bytes);
            memset(out, 0, sizeof out);
            assert_int_equal(do_access(m, 0, GVA + offset, EXEC, out, bytes).outcome, GN_MMU_DONE);
            assert_memory_equal(out, in, bytes);
            assert_memory_equal(m->p.memory + A, page, 4096);
        }
}

static void writes_from_outside_are_seen_at_once(void **state)
{
    struct machine *m = machine_of(state);
    struct space s = space_new(m, 0);

    load(&s, 0);
    space_map(&s, GVA, 0, A, R | U);
    for (uint64_t i = 1; i < 8; i++) {
        *word(m, A) = i;
        assert_int_equal(peek(m, 0, GVA), i);
    }
}

static void a_page_that_is_not_mapped_is_absent(void **state)
{
    struct machine *m = machine_of(state);
    struct space s = space_new(m, 0);

    load(&s, 0);
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++)
        assert_int_equal(outcome(m, GVA, kind), GN_MMU_ABSENT);
    space_map(&s, GVA, 0, A, R | W | X | U);
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
        assert_int_equal(outcome(m, GVA, kind), GN_MMU_DONE);
        assert_int_equal(outcome(m, GVA - 4096, kind), GN_MMU_ABSENT);
        assert_int_equal(outcome(m, GVA + 4096, kind), GN_MMU_ABSENT);
    }
}

static void two_pages_of_one_frame_are_the_same_memory(void **state)
{
    struct machine *m = machine_of(state);
    struct space s = space_new(m, 0);
    uint64_t data = 0x1122334455667788ull;

    load(&s, 0);
    space_map(&s, GVA, 0, A, R | W | U);
    space_map(&s, GVA + 0x200000, 0, A, R | U);
    assert_int_equal(do_access(m, 0, GVA + 8, WRITE, &data, 8).outcome, GN_MMU_DONE);
    assert_int_equal(peek(m, 0, GVA + 0x200008), data);
    assert_int_equal(outcome(m, GVA + 0x200008, WRITE), GN_MMU_DENIED);
}

/* The rights of one page, in one control state, of users and of the supervisor. */
static void expect_rights(struct space *s, uint32_t permissions, uint32_t controls)
{
    const struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = s->m->format,
                                        .controls = controls};

    for (uint32_t user = 0; user < 2; user++) {
        load_as(s, 0, user, controls);
        for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
            int allowed = gn_paging_allows(&c, permissions, kind | (user ? GN_PAGING_AS_USER : 0));

            assert_int_equal(outcome(s->m, GVA, kind), allowed ? GN_MMU_DONE : GN_MMU_DENIED);
        }
    }
}

static void rights_are_held_against_privilege_and_controls(void **state)
{
    static const uint32_t riscv[] = {0, GN_PAGING_RISCV_SUM, GN_PAGING_RISCV_MXR,
                                     GN_PAGING_RISCV_SUM | GN_PAGING_RISCV_MXR};
    static const uint32_t x86[] = {GN_PAGING_X86_WP | GN_PAGING_X86_NXE, GN_PAGING_X86_NXE,
                                   GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_SMEP |
                                       GN_PAGING_X86_SMAP,
                                   GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_SMEP |
                                       GN_PAGING_X86_SMAP | GN_PAGING_X86_AC};
    struct machine *m = machine_of(state);
    struct space s = space_new(m, 0);

    load(&s, 0);
    for (uint32_t p = 0; p < 16; p++) {
        if (machine_is_x86(m) ? !(p & R) : !(p & (R | X)) || (p & (R | W)) == W)
            continue;
        space_map(&s, GVA, 0, A, p);
        m->p.ops->invalidate_range(m->p.mmu, s.asid, gn_gva(GVA), 4096);
        for (int i = 0; i < 4; i++)
            expect_rights(&s, p, machine_is_x86(m) ? x86[i] : riscv[i]);
        /* And again, with whatever was cached. */
        for (int i = 3; i >= 0; i--)
            expect_rights(&s, p, machine_is_x86(m) ? x86[i] : riscv[i]);
    }
}

static void a_refusal_is_not_remembered(void **state)
{
    struct machine *m = machine_of(state);
    struct space s = space_new(m, 0);

    load(&s, 0);
    /* An entry that appears, or permits more, needs no invalidation. */
    assert_int_equal(outcome(m, GVA, READ), GN_MMU_ABSENT);
    space_map(&s, GVA, 0, A, R | U);
    assert_int_equal(outcome(m, GVA, READ), GN_MMU_DONE);
    assert_int_equal(outcome(m, GVA, WRITE), GN_MMU_DENIED);
    space_map(&s, GVA, 0, A, R | W | U);
    assert_int_equal(outcome(m, GVA, WRITE), GN_MMU_DONE);
    assert_int_equal(outcome(m, GVA, EXEC), GN_MMU_DENIED);
    space_map(&s, GVA, 0, A, R | W | X | U);
    assert_int_equal(outcome(m, GVA, EXEC), GN_MMU_DONE);
}

static void a_large_leaf_maps_all_of_its_pages(void **state)
{
    struct machine *m = machine_of(state);
    struct space s = space_new(m, 0);

    load(&s, 0);
    space_map(&s, GVA & ~0x1fffffull, 1, 0x200000, R | W | U);
    for (uint64_t offset = 0; offset < 0x200000; offset += 0x1f000) {
        *word(m, 0x200000 + offset) = offset + 1;
        assert_int_equal(peek(m, 0, (GVA & ~0x1fffffull) + offset), offset + 1);
    }
    assert_int_equal(outcome(m, (GVA & ~0x1fffffull) + 0x200000, READ), GN_MMU_ABSENT);
    assert_int_equal(outcome(m, (GVA & ~0x1fffffull) - 8, READ), GN_MMU_ABSENT);
    space_unmap(&s, GVA & ~0x1fffffull, 1);
    m->p.ops->invalidate_range(m->p.mmu, s.asid, gn_gva(GVA & ~0x1fffffull), 0x200000);
    for (uint64_t offset = 0; offset < 0x200000; offset += 0x1f000)
        assert_int_equal(outcome(m, (GVA & ~0x1fffffull) + offset, READ), GN_MMU_ABSENT);
}

enum how { RANGE, BYTE, WIDE, EVERYWHERE, RANGE_ANY, ASID, ALL, HOWS };

static void invalidate(struct machine *m, enum how how, uint32_t asid)
{
    const struct gn_mmu_ops *ops = m->p.ops;

    switch (how) {
    case RANGE: ops->invalidate_range(m->p.mmu, asid, gn_gva(GVA), 4096); break;
    case BYTE: ops->invalidate_range(m->p.mmu, asid, gn_gva(GVA + 4095), 1); break;
    case WIDE: ops->invalidate_range(m->p.mmu, asid, gn_gva(0x40000000), 1ull << 30); break;
    case EVERYWHERE: ops->invalidate_range(m->p.mmu, asid, gn_gva(0), UINT64_MAX); break;
    case RANGE_ANY: ops->invalidate_range(m->p.mmu, GN_MMU_ASID_ANY, gn_gva(GVA), 4096); break;
    case ASID: ops->invalidate_asid(m->p.mmu, asid); break;
    default: ops->invalidate_all(m->p.mmu); break;
    }
}

static void a_change_is_seen_after_each_kind_of_invalidation(void **state)
{
    struct machine *m = machine_of(state);
    struct space s = space_new(m, 0);

    *word(m, A) = 0xa;
    *word(m, B) = 0xb;
    load(&s, 0);
    for (enum how how = RANGE; how < HOWS; how++) {
        space_map(&s, GVA, 0, A, R | W | X | U);
        invalidate(m, how, s.asid);
        assert_int_equal(peek(m, 0, GVA), 0xa);
        space_map(&s, GVA, 0, B, R | W | X | U); /* another page */
        invalidate(m, how, s.asid);
        assert_int_equal(peek(m, 0, GVA), 0xb);
        space_map(&s, GVA, 0, B, R | U); /* fewer rights */
        invalidate(m, how, s.asid);
        assert_int_equal(peek(m, 0, GVA), 0xb);
        assert_int_equal(outcome(m, GVA, WRITE), GN_MMU_DENIED);
        assert_int_equal(outcome(m, GVA, EXEC), GN_MMU_DENIED);
        space_unmap(&s, GVA, 0); /* none */
        invalidate(m, how, s.asid);
        assert_int_equal(outcome(m, GVA, READ), GN_MMU_ABSENT);
    }
}

static void a_right_to_write_is_taken_back_by_an_invalidation_of_writes(void **state)
{
    struct machine *m = machine_of(state);
    const struct gn_mmu_ops *ops = m->p.ops;
    struct space s = space_new(m, 0);

    machine_needs(m, GN_MMU_CAP_WRITES, "no invalidation of writes alone");
    load(&s, 0);
    for (uint32_t i = 0; i < 4; i++) {
        space_map(&s, GVA, 0, A, R | W | X | U);
        assert_int_equal(outcome(m, GVA, WRITE), GN_MMU_DONE);
        *word(m, A) = 0xa + i;
        assert_int_equal(outcome(m, GVA, EXEC), GN_MMU_DONE);
        space_map(&s, GVA, 0, A, R | X | U);
        switch (i) {
        case 0: ops->invalidate_writes(m->p.mmu, s.asid, gn_gva(GVA), 4096); break;
        case 1: ops->invalidate_writes(m->p.mmu, s.asid, gn_gva(GVA + 4095), 1); break;
        case 2: ops->invalidate_writes(m->p.mmu, s.asid, gn_gva(0), UINT64_MAX); break;
        default: ops->invalidate_writes(m->p.mmu, GN_MMU_ASID_ANY, gn_gva(GVA), 4096); break;
        }
        assert_int_equal(outcome(m, GVA, WRITE), GN_MMU_DENIED);
        assert_int_equal(outcome(m, GVA, EXEC), GN_MMU_DONE);
        assert_int_equal(peek(m, 0, GVA), 0xa + i);
    }
}

static void invalidation_reaches_every_virtual_cpu(void **state)
{
    struct machine *m = machine_of(state);
    struct space s;

    if (m->p.vcpus < 2) {
        print_message("skipped: one virtual CPU\n");
        skip();
    }
    s = space_new(m, 0);
    *word(m, A) = 0xa;
    *word(m, B) = 0xb;
    load(&s, 0);
    load(&s, 1);
    for (enum how how = RANGE; how < HOWS; how++) {
        space_map(&s, GVA, 0, A, R | U);
        invalidate(m, how, s.asid);
        assert_int_equal(peek(m, 0, GVA), 0xa);
        assert_int_equal(peek(m, 1, GVA), 0xa);
        space_map(&s, GVA, 0, B, R | U);
        invalidate(m, how, s.asid);
        assert_int_equal(peek(m, 1, GVA), 0xb);
        assert_int_equal(peek(m, 0, GVA), 0xb);
    }
}

static void virtual_cpus_run_in_spaces_of_their_own(void **state)
{
    struct machine *m = machine_of(state);
    struct space s, t;

    machine_needs(m, GN_MMU_CAP_ASID, "no ASIDs");
    if (m->p.vcpus < 2) {
        print_message("skipped: one virtual CPU\n");
        skip();
    }
    s = space_new(m, 0);
    t = space_new(m, 1);
    *word(m, A) = 0xa;
    *word(m, B) = 0xb;
    load(&s, 0);
    load(&t, 1);
    space_map(&s, GVA, 0, A, R | U);
    space_map(&t, GVA, 0, B, R | U);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(peek(m, 0, GVA), 0xa);
        assert_int_equal(peek(m, 1, GVA), 0xb);
    }
    load(&t, 0);
    assert_int_equal(peek(m, 0, GVA), 0xb);
    assert_int_equal(peek(m, 1, GVA), 0xb);
}

static void asids_never_see_one_anothers_pages(void **state)
{
    struct machine *m = machine_of(state);
    struct space s[20];

    machine_needs(m, GN_MMU_CAP_ASID, "no ASIDs");
    for (uint32_t i = 0; i < 20; i++) {
        if ((m->asid + i) >> m->p.ops->asid_bits)
            return;
        s[i] = space_new(m, i);
        *word(m, (i + 1) << 12) = i;
        load(&s[i], 0);
        assert_int_equal(outcome(m, GVA, READ), GN_MMU_ABSENT);
        space_map(&s[i], GVA, 0, (i + 1) << 12, R | U);
        space_map(&s[i], GVA + ((i + 1) << 12), 0, (i + 1) << 12, R | U);
        for (uint32_t j = 0; j <= i; j++) {
            load(&s[j], 0);
            assert_int_equal(peek(m, 0, GVA), j);
            assert_int_equal(outcome(m, GVA + ((j + 2) << 12), READ), GN_MMU_ABSENT);
        }
    }
}

static void the_highest_asid_is_one_and_no_higher(void **state)
{
    struct machine *m = machine_of(state);
    struct space s;
    struct gn_mmu_context c = {GN_MMU_CONTEXT_INIT, .user = 1};

    machine_needs(m, GN_MMU_CAP_ASID, "no ASIDs");
    s = space_new(m, 0);
    s.asid = (uint32_t)(((uint64_t)1 << m->p.ops->asid_bits) - 1);
    load(&s, 0);
    space_map(&s, GVA, 0, A, R | U);
    *word(m, A) = 1;
    assert_int_equal(peek(m, 0, GVA), 1);
    c.root = gn_hpa(s.root);
    if (m->p.ops->asid_bits < 32) {
        c.asid = s.asid + 1;
        assert_true(m->p.ops->context_set(m->p.mmu, 0, &c) < 0);
        assert_int_equal(peek(m, 0, GVA), 1);
    }
}

static void a_switch_of_asids_flushes_nothing(void **state)
{
    struct machine *m = machine_of(state);
    struct space s, t;
    uint64_t misses;

    machine_needs(m, GN_MMU_CAP_ASID, "no ASIDs");
    if (!platform_under_test.misses) {
        print_message("skipped: the platform counts no misses\n");
        skip();
    }
    s = space_new(m, 0);
    t = space_new(m, 1);
    load(&s, 0);
    space_map(&s, GVA, 0, A, R | U);
    outcome(m, GVA, READ);
    load(&t, 0);
    space_map(&t, GVA, 0, B, R | U);
    outcome(m, GVA, READ);
    misses = platform_under_test.misses(&m->p);
    for (int i = 0; i < 10; i++) {
        load(i & 1 ? &t : &s, 0);
        load_as(i & 1 ? &t : &s, 0, 0, machine_controls(m));
        load(i & 1 ? &t : &s, 0);
        assert_int_equal(outcome(m, GVA, READ), GN_MMU_DONE);
    }
    assert_int_equal(platform_under_test.misses(&m->p), misses);
}

static void invalidation_of_one_asid_is_not_that_of_another(void **state)
{
    struct machine *m = machine_of(state);
    struct space s, t;

    machine_needs(m, GN_MMU_CAP_ASID, "no ASIDs");
    s = space_new(m, 0);
    t = space_new(m, 1);
    *word(m, A) = 0xa;
    *word(m, B) = 0xb;
    load(&t, 0);
    space_map(&t, GVA, 0, B, R | W | U);
    for (enum how how = RANGE; how < HOWS; how++) {
        load(&s, 0);
        space_map(&s, GVA, 0, A, R | U);
        assert_int_equal(peek(m, 0, GVA), 0xa);
        load(&t, 0);
        assert_int_equal(peek(m, 0, GVA), 0xb);
        space_unmap(&s, GVA, 0);
        invalidate(m, how, s.asid);
        assert_int_equal(peek(m, 0, GVA), 0xb);
        load(&s, 0);
        assert_int_equal(outcome(m, GVA, READ), GN_MMU_ABSENT);
    }
}

static void invalidation_of_any_asid_is_that_of_every_one(void **state)
{
    struct machine *m = machine_of(state);
    struct space s[20];
    uint32_t n;

    machine_needs(m, GN_MMU_CAP_ASID, "no ASIDs");
    for (n = 0; n < 20 && !((m->asid + n) >> m->p.ops->asid_bits); n++) {
        s[n] = space_new(m, n);
        load(&s[n], 0);
        space_map(&s[n], GVA, 0, A, R | U);
        assert_int_equal(outcome(m, GVA, READ), GN_MMU_DONE);
    }
    for (uint32_t i = 0; i < n; i++)
        space_unmap(&s[i], GVA, 0);
    invalidate(m, RANGE_ANY, 0);
    for (uint32_t i = 0; i < n; i++) {
        load(&s[i], 0);
        assert_int_equal(outcome(m, GVA, READ), GN_MMU_ABSENT);
    }
}

static void traced_writes_are_completed_and_reported(void **state)
{
    struct machine *m = machine_of(state);
    struct space s;

    machine_needs(m, GN_MMU_CAP_TRACED, "traced writes are not recorded one by one");
    s = space_new(m, 0);
    load(&s, 0);
    space_map(&s, GVA, 0, A, R | W | X | U | TRACED);
    space_map(&s, GVA + 4096, 0, B, R | W | U);
    for (uint32_t i = 0; i < 8; i++) {
        uint8_t data[8] = {(uint8_t)(i + 1), 0};
        uint32_t bytes = 1u << (i & 3);
        const struct event *e = &m->event[i];

        assert_int_equal(outcome(m, GVA, i & 4 ? EXEC : READ), GN_MMU_DONE);
        assert_int_equal(outcome(m, GVA + 4096, WRITE), GN_MMU_DONE);
        assert_int_equal(m->events, i);
        assert_int_equal(do_access(m, 0, GVA + i * 8, WRITE, data, bytes).outcome, GN_MMU_DONE);
        assert_int_equal(m->events, i + 1);
        assert_int_equal(e->hpa, A + i * 8);
        assert_int_equal(e->bytes, bytes);
        assert_int_equal(e->vcpu, 0);
        assert_int_equal(e->found, i + 1);
        assert_memory_equal(m->p.memory + A + i * 8, data, bytes);
    }
}

static void a_traced_page_keeps_its_rights(void **state)
{
    struct machine *m = machine_of(state);
    struct space s;

    machine_needs(m, GN_MMU_CAP_TRACED, "traced writes are not recorded one by one");
    s = space_new(m, 0);
    load(&s, 0);
    space_map(&s, GVA, 0, A, R | U | TRACED);
    assert_int_equal(outcome(m, GVA, READ), GN_MMU_DONE);
    assert_int_equal(outcome(m, GVA, WRITE), GN_MMU_DENIED);
    space_map(&s, GVA, 0, A, R | W | TRACED);
    invalidate(m, RANGE, s.asid);
    load_as(&s, 0, 0, machine_controls(m));
    assert_int_equal(outcome(m, GVA, WRITE), GN_MMU_DONE);
    load(&s, 0);
    assert_int_equal(outcome(m, GVA, WRITE), GN_MMU_DENIED);
    assert_int_equal(m->events, 1);
}

static void on_page(void *ctx, gn_hpa_t page)
{
    struct machine *m = ctx;

    assert_true(m->events < EVENTS);
    m->event[m->events++] = (struct event){.hpa = page.v};
}

static uint32_t drain(struct machine *m)
{
    m->events = 0;
    assert_int_equal(m->p.ops->track_drain(m->p.mmu, on_page, m), 0);
    return m->events;
}

static void tracked_pages_are_named_once_written(void **state)
{
    struct machine *m = machine_of(state);
    struct space s;

    machine_needs(m, GN_MMU_CAP_TRACK, "writes are not recorded page by page");
    s = space_new(m, 0);
    load(&s, 0);
    space_map(&s, GVA, 0, A, R | W | U);
    space_map(&s, GVA + 4096, 0, B, R | W | U);
    assert_int_equal(m->p.ops->track_set(m->p.mmu, gn_hpa(A), 1), 0);
    assert_int_equal(outcome(m, GVA, READ), GN_MMU_DONE);
    assert_int_equal(outcome(m, GVA + 4096, WRITE), GN_MMU_DONE);
    assert_int_equal(drain(m), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(outcome(m, GVA, WRITE), GN_MMU_DONE);
        assert_int_equal(outcome(m, GVA + 8, WRITE), GN_MMU_DONE);
        assert_int_equal(drain(m), 1);
        assert_int_equal(m->event[0].hpa, A);
        assert_int_equal(drain(m), 0);
    }
    assert_int_equal(m->p.ops->track_set(m->p.mmu, gn_hpa(A), 0), 0);
    assert_int_equal(outcome(m, GVA, WRITE), GN_MMU_DONE);
    assert_int_equal(drain(m), 0);
}

static void markers_say_why_an_entry_is_absent(void **state)
{
    struct machine *m = machine_of(state);
    struct space s;

    machine_needs(m, GN_MMU_CAP_MARKERS, "absent entries are not asked");
    s = space_new(m, 0);
    load(&s, 0);
    space_put(&s, GVA, 0, 12ull << 12 | 6);          /* the guest's fault */
    space_put(&s, GVA + 4096, 0, 0x10001000ull | 2); /* a device */
    space_put(&s, GVA + 8192, 0, 0x10001000ull);     /* no marker */
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
        uint64_t data = 0x55;
        struct gn_mmu_answer r = do_access(m, 0, GVA, kind, &data, 8);

        assert_int_equal(r.outcome, GN_MMU_GUEST_FAULT);
        assert_int_equal(r.code, 12 + kind);
        r = do_access(m, 0, GVA + 4096 + 0x124, kind, &data, 4);
        assert_int_equal(r.outcome, GN_MMU_MMIO);
        assert_int_equal(r.gpa.v, 0x10001124);
        assert_int_equal(outcome(m, GVA + 8192, kind), GN_MMU_ABSENT);
        assert_int_equal(data, 0x55);
    }
    /* A marker that gives way to a page is not remembered. */
    space_map(&s, GVA, 0, A, R | U);
    assert_int_equal(outcome(m, GVA, READ), GN_MMU_DONE);
}

static void an_entry_that_leads_outside_memory_is_a_bad_table(void **state)
{
    struct machine *m = machine_of(state);
    struct space s;

    machine_needs(m, GN_MMU_CAP_WALKS, "the platform does not walk tables");
    s = space_new(m, 0);
    load(&s, 0);
    space_map(&s, GVA, 0, m->p.memory_size, R | W | X | U);
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++)
        assert_int_equal(outcome(m, GVA, kind), GN_MMU_BAD_TABLE);
    s.root = (uint64_t)1 << 45;
    load(&s, 0);
    assert_int_equal(outcome(m, GVA, READ), GN_MMU_BAD_TABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(capability_bits_and_operations_agree),
        TEST(accesses_of_every_size_reach_their_bytes_and_no_others),
        TEST(writes_from_outside_are_seen_at_once),
        TEST(a_page_that_is_not_mapped_is_absent),
        TEST(two_pages_of_one_frame_are_the_same_memory),
        TEST(rights_are_held_against_privilege_and_controls),
        TEST(a_refusal_is_not_remembered),
        TEST(a_large_leaf_maps_all_of_its_pages),
        TEST(a_change_is_seen_after_each_kind_of_invalidation),
        TEST(a_right_to_write_is_taken_back_by_an_invalidation_of_writes),
        TEST(invalidation_reaches_every_virtual_cpu),
        TEST(virtual_cpus_run_in_spaces_of_their_own),
        TEST(asids_never_see_one_anothers_pages),
        TEST(the_highest_asid_is_one_and_no_higher),
        TEST(a_switch_of_asids_flushes_nothing),
        TEST(invalidation_of_one_asid_is_not_that_of_another),
        TEST(invalidation_of_any_asid_is_that_of_every_one),
        TEST(traced_writes_are_completed_and_reported),
        TEST(a_traced_page_keeps_its_rights),
        TEST(tracked_pages_are_named_once_written),
        TEST(markers_say_why_an_entry_is_absent),
        TEST(an_entry_that_leads_outside_memory_is_a_bad_table),
    };
    int failed = 0;

    for (const uint32_t *format = platform_under_test.formats; *format; format++) {
        char name[64];

        machine_format = *format;
        snprintf(name, sizeof name, "%s: %s", platform_under_test.name,
                 gn_paging_format_name(*format));
        failed += cmocka_run_group_tests_name(name, tests, NULL, NULL);
    }
    return failed != 0;
}
