/* SPDX-License-Identifier: BSD-3-Clause */

/* What the TLB keeps, for whom, and until when: ASIDs, ports, virtual CPUs, invalidation. */

#include "machine.h"
#include "softmmu_internal.h"

#include <pthread.h>

#define GVA 0x123000ull

static void expect_hit(struct machine *m, uint32_t vcpu, uint64_t gva, uint32_t access,
                       uint64_t hpa)
{
    assert_ptr_equal(machine_probe(m, vcpu, gva, access), m->memory + hpa);
}

static void a_switch_of_asids_flushes_nothing(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 1024);
    uint64_t root[2] = {machine_table(m), machine_table(m)};
    uint64_t walks;

    (void)state;
    for (uint64_t asid = 0; asid < 2; asid++) {
        machine_load(m, (uint32_t)asid, root[asid]);
        for (uint64_t i = 0; i < 16; i++) {
            machine_map(m, root[asid], GVA + (i << 12), (asid * 16 + i) << 12, R | W | U);
            assert_int_equal(machine_outcome(m, GVA + (i << 12), WRITE), GN_MMU_DONE);
        }
    }
    walks = machine_stats(m).walks;
    for (uint64_t round = 0; round < 8; round++) {
        uint64_t asid = round & 1;

        machine_load(m, (uint32_t)asid, root[asid]);
        for (uint64_t i = 0; i < 16; i++)
            expect_hit(m, 0, GVA + (i << 12), WRITE, (asid * 16 + i) << 12);
    }
    assert_int_equal(machine_stats(m).walks, walks);
    assert_int_equal(machine_stats(m).full_flushes, 0);
    assert_int_equal(machine_stats(m).asid_flushes, 0);
    assert_int_equal(machine_stats(m).invalidations, 0);
    machine_free(m);
}

static void two_asids_never_see_one_anothers_entries(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m), other = machine_table(m);

    (void)state;
    machine_map(m, root, GVA, 0x5000, R | W | X | U);
    /* Any two numbers, and those that share a place in the TLB: 16 apart. */
    for (uint32_t bit = 0; bit < GN_SOFTMMU_ASID_BITS; bit++)
        for (uint32_t asid = 0; asid < 4096; asid += 1365) {
            machine_load(m, asid, root);
            assert_int_equal(machine_outcome(m, GVA, READ), GN_MMU_DONE);
            expect_hit(m, 0, GVA, READ, 0x5000);
            machine_load(m, asid ^ 1u << bit, other);
            for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
                assert_null(machine_probe(m, 0, GVA, kind));
                assert_int_equal(machine_outcome(m, GVA, kind), GN_MMU_ABSENT);
            }
            machine_load(m, asid, root);
            expect_hit(m, 0, GVA, READ, 0x5000);
            gn_softmmu_invalidate_all(m->mmu);
        }
    machine_free(m);
}

static void a_traced_entry_of_another_asid_serves_no_write(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m), other = machine_table(m);

    (void)state;
    machine_map(m, root, GVA, 0x5000, R | W | U | TRACED);
    machine_load(m, 1, root);
    assert_int_equal(machine_outcome(m, GVA, WRITE), GN_MMU_DONE);
    machine_load(m, 17, other); /* looks at the same place */
    assert_int_equal(machine_outcome(m, GVA, WRITE), GN_MMU_ABSENT);
    machine_load(m, 1, root);
    assert_int_equal(machine_outcome(m, GVA + 64 * 4096, WRITE), GN_MMU_ABSENT);
    machine_free(m);
}

static void ports_have_views_and_asids_of_their_own(void **state)
{
    /* RISC-V MPRV: fetches by machine mode, untranslated; data as a user of another space. */
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t user = machine_table(m), flat = machine_table(m);

    (void)state;
    machine_map(m, user, GVA, 0x5000, R | W | U);
    machine_map(m, flat, GVA, 0x6000, R | W | X);
    machine_port(m, 0, DATA, 3, user, GN_SOFTMMU_VIEW_USER);
    machine_port(m, 0, FETCH, 4, flat, GN_SOFTMMU_VIEW_SUPERVISOR);
    assert_int_equal(machine_access(m, 0, GVA, READ, 8).hpa.v, 0x5000);
    assert_int_equal(machine_access(m, 0, GVA, EXEC, 8).hpa.v, 0x6000);
    expect_hit(m, 0, GVA, READ, 0x5000);
    expect_hit(m, 0, GVA, WRITE, 0x5000);
    expect_hit(m, 0, GVA, EXEC, 0x6000);
    /* The entries are the context's, whichever port brought them; a fetch brings fetches. */
    machine_port(m, 0, DATA, 4, flat, GN_SOFTMMU_VIEW_SUPERVISOR);
    assert_null(machine_probe(m, 0, GVA, WRITE));
    assert_int_equal(machine_outcome(m, GVA, WRITE), GN_MMU_DONE);
    machine_port(m, 0, DATA, 3, user, GN_SOFTMMU_VIEW_USER);
    machine_port(m, 0, DATA, 4, flat, GN_SOFTMMU_VIEW_SUPERVISOR);
    expect_hit(m, 0, GVA, WRITE, 0x6000);
    machine_port(m, 0, DATA, 4, flat, GN_SOFTMMU_VIEW_USER);
    assert_null(machine_probe(m, 0, GVA, READ));
    assert_int_equal(machine_outcome(m, GVA, READ), GN_MMU_DENIED);
    machine_port(m, 0, FETCH, 3, user, GN_SOFTMMU_VIEW_USER);
    assert_null(machine_probe(m, 0, GVA, EXEC));
    assert_int_equal(machine_outcome(m, GVA, EXEC), GN_MMU_DENIED);
    machine_free(m);
}

static void virtual_cpus_have_tlbs_of_their_own_and_invalidation_reaches_all(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 3, 64);
    uint64_t root = machine_table(m);

    (void)state;
    machine_map(m, root, GVA, 0x5000, R | W | U);
    for (uint32_t how = 0; how < 5; how++) {
        for (uint32_t vcpu = 0; vcpu < 3; vcpu++) {
            machine_port(m, vcpu, DATA, 7, root, GN_SOFTMMU_VIEW_USER);
            assert_null(machine_probe(m, vcpu, GVA, READ));
            assert_int_equal(machine_access(m, vcpu, GVA, READ, 8).mmu.outcome, GN_MMU_DONE);
            expect_hit(m, vcpu, GVA, READ, 0x5000);
        }
        if (how == 0)
            gn_softmmu_invalidate_range(m->mmu, 7, gn_gva(GVA), 1);
        else if (how == 1)
            gn_softmmu_invalidate_range(m->mmu, 7, gn_gva(0), UINT64_MAX);
        else if (how == 2)
            gn_softmmu_invalidate_range(m->mmu, GN_MMU_ASID_ANY, gn_gva(GVA), 1);
        else if (how == 3)
            gn_softmmu_invalidate_asid(m->mmu, 7);
        else
            gn_softmmu_invalidate_all(m->mmu);
    }
    for (uint32_t vcpu = 0; vcpu < 3; vcpu++)
        assert_null(machine_probe(m, vcpu, GVA, READ));
    machine_free(m);
}

static void what_only_writes_need_is_forgotten_alone(void **state)
{
    static const uint64_t length[] = {4096, 1024 << 12};

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
        uint64_t root = machine_table(m);

        machine_port(m, 0, DATA, 7, root, GN_SOFTMMU_VIEW_USER);
        machine_port(m, 0, FETCH, 7, root, GN_SOFTMMU_VIEW_USER);
        machine_map(m, root, GVA, 0x5000, R | W | X | U);
        for (uint32_t access = 0; access < GN_ACCESS_KINDS; access++)
            assert_int_equal(machine_outcome(m, GVA, access), GN_MMU_DONE);
        machine_map(m, root, GVA, 0x5000, R | X | U);
        gn_softmmu_invalidate_writes(m->mmu, 6, gn_gva(GVA), length[i]);
        gn_softmmu_invalidate_writes(m->mmu, 7, gn_gva(GVA), 0);
        expect_hit(m, 0, GVA, WRITE, 0x5000);
        gn_softmmu_invalidate_writes(m->mmu, 7, gn_gva(GVA), length[i]);
        expect_hit(m, 0, GVA, READ, 0x5000);
        expect_hit(m, 0, GVA, EXEC, 0x5000);
        assert_null(machine_probe(m, 0, GVA, WRITE));
        assert_int_equal(machine_outcome(m, GVA, WRITE), GN_MMU_DENIED);
        /* A page that is traced now, and was not. */
        machine_map(m, root, GVA, 0x5000, R | W | X | U);
        assert_int_equal(machine_outcome(m, GVA, WRITE), GN_MMU_DONE);
        machine_map(m, root, GVA, 0x5000, R | W | X | U | GN_PAGING_SOFT0);
        gn_softmmu_invalidate_writes(m->mmu, GN_MMU_ASID_ANY, gn_gva(GVA), length[i]);
        expect_hit(m, 0, GVA, READ, 0x5000);
        assert_null(machine_probe(m, 0, GVA, WRITE));
        assert_int_equal(machine_access(m, 0, GVA, WRITE, 8).traced, 1);
        machine_free(m);
    }
}

static void a_context_that_nobody_loads_is_given_up_when_all_are_invalidated(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m);

    (void)state;
    machine_map(m, root, GVA, 0x5000, R | W | U);
    machine_port(m, 0, FETCH, 1, root, GN_SOFTMMU_VIEW_USER);
    for (uint32_t asid = 1; asid <= 3; asid++) {
        machine_port(m, 0, DATA, asid, root, GN_SOFTMMU_VIEW_USER);
        assert_int_equal(machine_outcome(m, GVA, READ), GN_MMU_DONE);
    }
    /* ASID 1 is in force for fetches, 3 is loaded again and again, 2 is not. */
    for (uint32_t i = 0; i < 3 * 4096; i++)
        machine_port(m, 0, DATA, 3, root, GN_SOFTMMU_VIEW_USER);
    gn_softmmu_invalidate_range(m->mmu, 3, gn_gva(GVA + 0x1000), 4096);
    gn_softmmu_invalidate_asid(m->mmu, 3000);
    machine_port(m, 0, DATA, 2, root, GN_SOFTMMU_VIEW_USER);
    expect_hit(m, 0, GVA, READ, 0x5000);
    for (uint32_t i = 0; i < 3 * 4096; i++)
        machine_port(m, 0, DATA, 3, root, GN_SOFTMMU_VIEW_USER);
    gn_softmmu_invalidate_writes(m->mmu, GN_MMU_ASID_ANY, gn_gva(GVA + 0x1000), 4096);
    expect_hit(m, 0, GVA, READ, 0x5000);
    machine_port(m, 0, DATA, 1, root, GN_SOFTMMU_VIEW_USER);
    expect_hit(m, 0, GVA, READ, 0x5000);
    machine_port(m, 0, DATA, 2, root, GN_SOFTMMU_VIEW_USER);
    assert_null(machine_probe(m, 0, GVA, READ));
    machine_free(m);
}

/* Addresses that ranges begin, end and pass at, in several places of the address space. */
static const uint64_t base[] = {0, 0x40000000, 0x3ffff00000, 0xffffffc000000000,
                                0xffffffffffff0000};
#define BASES 5
#define PAGES 16
#define ASIDS 4

static const uint32_t asids[ASIDS] = {0, 1, 17, 4095};

struct shelf {
    struct machine *m;
    uint64_t root;
    uint8_t there[ASIDS][BASES][PAGES];
};

static uint64_t shelf_gva(int b, int i)
{
    return base[b] + ((uint64_t)i << 12);
}

static int shelf_probe(struct shelf *s, int a, int b, int i)
{
    machine_port(s->m, 0, DATA, asids[a], s->root, GN_SOFTMMU_VIEW_USER);
    return machine_probe(s->m, 0, shelf_gva(b, i), READ) != NULL;
}

/* Fills the TLB, and notes what it kept. */
static void shelf_fill(struct shelf *s)
{
    for (int n = 0; n < ASIDS; n++)
        for (int b = 0; b < BASES; b++)
            for (int i = 0; i < PAGES; i++) {
                /* Two of the ASIDs share their places: each is the last for half of the pages. */
                int a = i & 1 ? ASIDS - 1 - n : n;

                machine_port(s->m, 0, DATA, asids[a], s->root, GN_SOFTMMU_VIEW_USER);
                assert_int_equal(machine_outcome(s->m, shelf_gva(b, i), READ), GN_MMU_DONE);
            }
    for (int a = 0; a < ASIDS; a++)
        for (int b = 0; b < BASES; b++)
            for (int i = 0; i < PAGES; i++)
                s->there[a][b][i] = (uint8_t)shelf_probe(s, a, b, i);
}

static void shelf_make(struct shelf *s, uint32_t tlb_entries)
{
    memset(s, 0, sizeof *s);
    s->m = machine_new(GN_PAGING_SV39, 1, tlb_entries);
    s->root = machine_table(s->m);
    for (int b = 0; b < BASES; b++)
        for (int i = 0; i < PAGES; i++)
            machine_map(s->m, s->root, shelf_gva(b, i), (uint64_t)(b * PAGES + i) << 12, R | U);
}

/* What was there is there, but for what is of the ASID and touched by [from, to]. */
static uint32_t shelf_expect(struct shelf *s, uint32_t asid, uint64_t from, uint64_t to)
{
    uint32_t gone = 0;

    for (int a = 0; a < ASIDS; a++)
        for (int b = 0; b < BASES; b++)
            for (int i = 0; i < PAGES; i++) {
                uint64_t first = shelf_gva(b, i), last = first + GN_PAGE_MASK;
                int goes =
                    (asid == GN_MMU_ASID_ANY || asid == asids[a]) && first <= to && last >= from;

                assert_int_equal(shelf_probe(s, a, b, i), s->there[a][b][i] && !goes);
                gone += s->there[a][b][i] && goes;
            }
    return gone;
}

static void ranges_forget_what_they_touch_and_nothing_else(void **state)
{
    static const uint64_t length[] = {1,      4095,       4096,     4097,           8192,
                                      0x5000, 0x10000,    0x100000, 0x40000000,     0x3f00000000,
                                      1,      1ull << 63, ~4095ull, UINT64_MAX - 1, UINT64_MAX};
    static const uint64_t into[] = {0, 1, 0xfff, 0x1000, 0x3801, 0xf000};
    uint32_t gone = 0;

    (void)state;
    for (uint32_t entries = 64; entries <= 4096; entries *= 8) {
        struct shelf s;

        shelf_make(&s, entries);
        for (int b = 0; b < BASES; b++)
            for (size_t j = 0; j < sizeof into / sizeof into[0]; j++)
                for (size_t k = 0; k < sizeof length / sizeof length[0]; k++) {
                    uint32_t asid = (j + k) % 5 == 4 ? GN_MMU_ASID_ANY : asids[(j + k) % 5];
                    uint64_t from = base[b] + into[j], to = from + length[k] - 1;

                    shelf_fill(&s);
                    gn_softmmu_invalidate_range(s.m->mmu, asid, gn_gva(from), length[k]);
                    gone += shelf_expect(&s, asid, from, to < from ? UINT64_MAX : to);
                }
        machine_free(s.m);
    }
    assert_true(gone > 1000);
}

static void a_range_of_no_length_forgets_nothing(void **state)
{
    struct shelf s;

    (void)state;
    shelf_make(&s, 1024);
    shelf_fill(&s);
    gn_softmmu_invalidate_range(s.m->mmu, GN_MMU_ASID_ANY, gn_gva(0x40000000), 0);
    gn_softmmu_invalidate_range(s.m->mmu, 1, gn_gva(0x40000123), 0);
    gn_softmmu_invalidate_range(s.m->mmu, 0, gn_gva(0), 0);
    assert_int_equal(shelf_expect(&s, 4094, 0, 0), 0);
    machine_free(s.m);
}

static void an_asid_is_forgotten_whole_and_alone(void **state)
{
    struct shelf s;

    (void)state;
    shelf_make(&s, 1024);
    for (int a = 0; a < ASIDS; a++) {
        shelf_fill(&s);
        gn_softmmu_invalidate_asid(s.m->mmu, asids[a]);
        assert_true(shelf_expect(&s, asids[a], 0, UINT64_MAX) > 0);
    }
    shelf_fill(&s);
    gn_softmmu_invalidate_asid(s.m->mmu, GN_MMU_ASID_ANY);
    assert_true(shelf_expect(&s, GN_MMU_ASID_ANY, 0, UINT64_MAX) > 0);
    machine_free(s.m);
}

static void an_asid_that_cannot_be_has_nothing_to_forget(void **state)
{
    struct shelf s;

    (void)state;
    shelf_make(&s, 1024);
    shelf_fill(&s);
    gn_softmmu_invalidate_asid(s.m->mmu, 4096);
    gn_softmmu_invalidate_range(s.m->mmu, 4097, gn_gva(0x40000000), 4096);
    gn_softmmu_invalidate_range(s.m->mmu, 4096, gn_gva(0), UINT64_MAX);
    assert_int_equal(shelf_expect(&s, 4096, 0, UINT64_MAX), 0);
    machine_free(s.m);
}

static void all_is_forgotten(void **state)
{
    struct shelf s;

    (void)state;
    shelf_make(&s, 1024);
    shelf_fill(&s);
    gn_softmmu_invalidate_all(s.m->mmu);
    assert_true(shelf_expect(&s, GN_MMU_ASID_ANY, 0, UINT64_MAX) > 0);
    machine_free(s.m);
}

static void the_context_loaded_longest_ago_gives_way_and_none_in_force_does(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m);
    uint64_t walks;

    (void)state;
    machine_map(m, root, GVA, 0x5000, R | W | X | U);
    machine_port(m, 0, FETCH, 0, root, GN_SOFTMMU_VIEW_USER);
    assert_int_equal(machine_outcome(m, GVA, EXEC), GN_MMU_DONE);
    for (uint32_t asid = 1; asid <= 64; asid++) {
        machine_port(m, 0, DATA, asid, root, GN_SOFTMMU_VIEW_USER);
        assert_int_equal(machine_outcome(m, GVA, READ), GN_MMU_DONE);
    }
    assert_int_equal(machine_stats(m).contexts_evicted, 1 + 1); /* nobody's, and that of ASID 1 */
    walks = machine_stats(m).walks;
    expect_hit(m, 0, GVA, EXEC, 0x5000); /* loaded before all others, and in force */
    machine_port(m, 0, DATA, 2, root, GN_SOFTMMU_VIEW_USER);
    expect_hit(m, 0, GVA, READ, 0x5000);
    machine_port(m, 0, DATA, 1, root, GN_SOFTMMU_VIEW_USER);
    assert_null(machine_probe(m, 0, GVA, READ));
    assert_int_equal(machine_stats(m).walks, walks);
    machine_free(m);
}

static void a_context_grows_with_its_pages_and_keeps_them(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 4096);
    uint64_t root = machine_table(m);
    uint64_t walks;

    (void)state;
    for (uint64_t i = 0; i < 2048; i++)
        machine_map(m, root, GVA + (i << 12), (i & 63) << 12, R | W | U);
    machine_load(m, 1, root);
    for (int round = 0; round < 3; round++)
        for (uint64_t i = 0; i < 2048; i++)
            assert_int_equal(machine_outcome(m, GVA + (i << 12), READ), GN_MMU_DONE);
    walks = machine_stats(m).walks;
    for (uint64_t i = 0; i < 2048; i++)
        expect_hit(m, 0, GVA + (i << 12), WRITE, (i & 63) << 12);
    assert_int_equal(machine_stats(m).walks, walks);
    /* Invalidation finds them where they went. */
    gn_softmmu_invalidate_range(m->mmu, 1, gn_gva(GVA), 1024 << 12);
    for (uint64_t i = 0; i < 2048; i++)
        assert_int_equal(machine_probe(m, 0, GVA + (i << 12), READ) != NULL, i >= 1024);
    machine_free(m);
}

static void count_cached(void *ctx, const struct gn_softmmu_cached *c)
{
    uint32_t *count = ctx;

    assert_int_equal(c->asid, 7);
    assert_int_equal(c->view, GN_SOFTMMU_VIEW_SUM);
    assert_int_equal(c->gva.v, GVA);
    assert_int_equal(c->hpa.v, 0x5000);
    assert_int_equal(c->traced, c->access == WRITE);
    count[c->access]++;
}

static void all_that_is_cached_is_listed_and_nothing_else(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m);
    uint32_t count[GN_ACCESS_KINDS] = {0};

    (void)state;
    machine_map(m, root, GVA, 0x5000, R | W | X | TRACED);
    gn_softmmu_each(m->mmu, 0, count_cached, count);
    machine_load(m, 7, root);
    gn_softmmu_each(m->mmu, 0, count_cached, count);
    gn_softmmu_each(m->mmu, 1, count_cached, count);
    assert_int_equal(count[READ] + count[WRITE] + count[EXEC], 0);
    assert_int_equal(machine_outcome(m, GVA, WRITE), GN_MMU_DONE);
    assert_int_equal(machine_outcome(m, GVA, EXEC), GN_MMU_DONE);
    machine_load(m, 8, root); /* those not in force, too */
    gn_softmmu_each(m->mmu, 0, count_cached, count);
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++)
        assert_int_equal(count[kind], 1);
    gn_softmmu_invalidate_asid(m->mmu, 7);
    gn_softmmu_each(m->mmu, 0, count_cached, count);
    assert_int_equal(count[READ] + count[WRITE] + count[EXEC], 3);
    machine_free(m);
}

static void page_zero_of_asid_zero_is_like_any_other(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m);

    (void)state;
    machine_map(m, root, 0, 0x5000, R | W | X | U);
    machine_load(m, 0, root);
    /* An empty entry is of no page, not of this one. */
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++)
        assert_null(machine_probe(m, 0, 0, kind));
    assert_int_equal(machine_outcome(m, 0, WRITE), GN_MMU_DONE);
    expect_hit(m, 0, 0, WRITE, 0x5000);
    gn_softmmu_invalidate_range(m->mmu, 0, gn_gva(0), 1);
    assert_null(machine_probe(m, 0, 0, WRITE));
    machine_free(m);
}

static void the_neighbours_of_a_page_stay_in_a_tlb_of_any_size(void **state)
{
    (void)state;
    for (uint32_t entries = 64; entries <= 16384; entries *= 2) {
        struct machine *m = machine_new(GN_PAGING_SV39, 1, entries);
        uint64_t root = machine_table(m);

        machine_load(m, 1, root);
        for (uint64_t i = 0; i < 64; i++) {
            machine_map(m, root, GVA + (i << 12), i << 12, R);
            assert_int_equal(machine_outcome(m, GVA + (i << 12), READ), GN_MMU_DONE);
        }
        /* 64 neighbours have 64 places. */
        for (uint64_t i = 0; i < 64; i++)
            expect_hit(m, 0, GVA + (i << 12), READ, i << 12);
        machine_free(m);
    }
}

#define ROUNDS 50000

struct runner {
    struct machine *m;
    uint32_t vcpu;
    uint32_t wrong;
    pthread_barrier_t *start;
};

static void *run(void *arg)
{
    struct runner *r = arg;

    pthread_barrier_wait(r->start);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct gn_softmmu_answer a;

        if (gn_softmmu_access(r->m->mmu, r->vcpu, gn_gva(GVA + ((i & 7) << 12)), READ, 8, &a) ||
            a.mmu.outcome != GN_MMU_DONE || a.hpa.v != (r->vcpu * 8 + (i & 7)) << 12)
            r->wrong++;
    }
    return NULL;
}

static void virtual_cpus_on_threads_of_their_own_disturb_neither_pages_nor_counters(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 2, 64);
    pthread_barrier_t start;
    struct runner r[2] = {{m, 0, 0, &start}, {m, 1, 0, &start}};
    pthread_t thread[2];

    (void)state;
    for (uint32_t vcpu = 0; vcpu < 2; vcpu++) {
        uint64_t root = machine_table(m);

        for (uint64_t i = 0; i < 8; i++)
            machine_map(m, root, GVA + (i << 12), (vcpu * 8 + i) << 12, R | U);
        machine_port(m, vcpu, DATA, vcpu, root, GN_SOFTMMU_VIEW_USER);
    }
    assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run, &r[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    pthread_barrier_destroy(&start);
    assert_int_equal(r[0].wrong + r[1].wrong, 0);
    /* A race may go well; counters of one's own cannot race. */
    for (uint32_t vcpu = 0; vcpu < 2; vcpu++) {
        assert_int_equal(m->mmu->vcpus[vcpu].stats.walks, ROUNDS);
        assert_int_equal(m->mmu->vcpus[vcpu].stats.fills, ROUNDS);
    }
    assert_int_equal(machine_stats(m).walks, 2 * ROUNDS);
    assert_int_equal(machine_stats(m).fills, 2 * ROUNDS);
    machine_free(m);
}

static struct gn_softmmu_context context_of(uint32_t asid, uint64_t root, uint32_t view)
{
    return (struct gn_softmmu_context){GN_SOFTMMU_CONTEXT_INIT, .asid = asid, .root = gn_hpa(root),
                                       .view = view};
}

static void a_new_context_inherits_what_two_roots_share_and_nothing_else(void **state)
{
    const uint64_t shared = 0x40000000ull, own = 0x80003000ull, traced = shared + 0x9000;
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 4096);
    uint64_t old = machine_table(m), new = machine_table(m);
    struct gn_softmmu_context from = context_of(1, old, GN_SOFTMMU_VIEW_SUM);
    struct gn_softmmu_context to = context_of(2, new, GN_SOFTMMU_VIEW_SUM);

    (void)state;
    machine_map(m, old, shared, 0x5000, R | W);
    machine_map(m, old, traced, 0x6000, R | W | TRACED);
    *machine_entry(m, new, shared, 2) = *machine_entry(m, old, shared, 2);
    machine_map(m, old, own, 0x7000, R | W);
    machine_map(m, new, own, 0x8000, R | W);
    machine_load(m, 1, old);
    assert_int_equal(machine_outcome(m, shared, WRITE), GN_MMU_DONE);
    assert_int_equal(machine_outcome(m, traced, WRITE), GN_MMU_DONE);
    assert_int_equal(machine_outcome(m, own, WRITE), GN_MMU_DONE);
    assert_int_equal(gn_softmmu_context_inherit(m->mmu, 0, &to, &from), 0);
    machine_load(m, 2, new);
    assert_ptr_equal(machine_probe(m, 0, shared, READ), m->memory + 0x5000);
    assert_ptr_equal(machine_probe(m, 0, shared, WRITE), m->memory + 0x5000);
    assert_null(machine_probe(m, 0, traced, WRITE));
    assert_int_equal(machine_access(m, 0, traced, WRITE, 8).traced, 1);
    assert_null(machine_probe(m, 0, own, READ));
    assert_int_equal(machine_access(m, 0, own, READ, 8).hpa.v, 0x8000);
    machine_free(m);
}

static void other_views_and_contexts_that_are_unknown_give_nothing(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 4096);
    uint64_t root = machine_table(m);
    struct gn_softmmu_context from = context_of(1, root, GN_SOFTMMU_VIEW_SUM);
    struct gn_softmmu_context to = context_of(2, root, GN_SOFTMMU_VIEW_USER);

    (void)state;
    machine_map(m, root, 0x1000, 0x5000, R | W);
    machine_load(m, 1, root);
    assert_int_equal(machine_outcome(m, 0x1000, READ), GN_MMU_DONE);
    assert_int_equal(gn_softmmu_context_inherit(m->mmu, 0, &to, &from), 0);
    machine_port(m, 0, DATA, 2, root, GN_SOFTMMU_VIEW_USER);
    assert_null(machine_probe(m, 0, 0x1000, READ));
    to.view = GN_SOFTMMU_VIEW_SUM;
    from.asid = 3;
    assert_int_equal(gn_softmmu_context_inherit(m->mmu, 0, &to, &from), 0);
    machine_port(m, 0, DATA, 2, root, GN_SOFTMMU_VIEW_SUM);
    assert_null(machine_probe(m, 0, 0x1000, READ));
    from.root.v = 1;
    assert_int_equal(gn_softmmu_context_inherit(m->mmu, 0, &to, &from), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_context_inherit(m->mmu, 1, &to, &to), -GN_ERR_INVAL);
    assert_int_equal(gn_softmmu_context_inherit(m->mmu, 0, &to, NULL), -GN_ERR_INVAL);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_switch_of_asids_flushes_nothing),
        cmocka_unit_test(a_new_context_inherits_what_two_roots_share_and_nothing_else),
        cmocka_unit_test(other_views_and_contexts_that_are_unknown_give_nothing),
        cmocka_unit_test(two_asids_never_see_one_anothers_entries),
        cmocka_unit_test(a_traced_entry_of_another_asid_serves_no_write),
        cmocka_unit_test(ports_have_views_and_asids_of_their_own),
        cmocka_unit_test(what_only_writes_need_is_forgotten_alone),
        cmocka_unit_test(a_context_that_nobody_loads_is_given_up_when_all_are_invalidated),
        cmocka_unit_test(virtual_cpus_have_tlbs_of_their_own_and_invalidation_reaches_all),
        cmocka_unit_test(ranges_forget_what_they_touch_and_nothing_else),
        cmocka_unit_test(a_range_of_no_length_forgets_nothing),
        cmocka_unit_test(an_asid_is_forgotten_whole_and_alone),
        cmocka_unit_test(an_asid_that_cannot_be_has_nothing_to_forget),
        cmocka_unit_test(all_is_forgotten),
        cmocka_unit_test(the_context_loaded_longest_ago_gives_way_and_none_in_force_does),
        cmocka_unit_test(a_context_grows_with_its_pages_and_keeps_them),
        cmocka_unit_test(all_that_is_cached_is_listed_and_nothing_else),
        cmocka_unit_test(page_zero_of_asid_zero_is_like_any_other),
        cmocka_unit_test(the_neighbours_of_a_page_stay_in_a_tlb_of_any_size),
        cmocka_unit_test(virtual_cpus_on_threads_of_their_own_disturb_neither_pages_nor_counters),
    };

    return cmocka_run_group_tests_name("softmmu: TLB", tests, NULL, NULL);
}
