/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Every view, kind of access, combination of R, W, X and U, and control state: the MMU agrees with
 * gn_paging_allows(), on a walk, on what a walk left in the TLB, and on the path of traced writes.
 */

#include "machine.h"

#define GVA  0x123000ull
#define PAGE 0x5000ull

/* One state of the machine. */
struct rights {
    uint32_t view;
    uint32_t controls; /* of the format: x86 bits, and RISC-V MXR */
};

static uint32_t privilege(uint32_t view)
{
    return view == GN_SOFTMMU_VIEW_USER ? GN_PAGING_AS_USER : 0;
}

/* What the paging library says of it. */
static int allowed(const struct machine *m, const struct rights *s, uint32_t permissions,
                   uint32_t kind)
{
    const uint32_t sum = GN_PAGING_RISCV_SUM | GN_PAGING_X86_AC;
    const struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = m->format,
                                        .controls = s->controls |
                                                    (s->view == GN_SOFTMMU_VIEW_SUM ? sum : 0)};

    return gn_paging_allows(&c, permissions, kind | privilege(s->view));
}

static void load(struct machine *m, uint64_t root, const struct rights *s)
{
    const struct gn_softmmu_context c = {GN_SOFTMMU_CONTEXT_INIT,
                                         .asid = 9,
                                         .root = gn_hpa(root),
                                         .view = s->view,
                                         .mxr = (s->controls & GN_PAGING_RISCV_MXR) != 0,
                                         .controls = s->controls};

    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, DATA, &c), 0);
    assert_int_equal(gn_softmmu_context_set(m->mmu, 0, FETCH, &c), 0);
}

/*
 * The probe hits only what is allowed, and never a traced write. It does hit what the context did,
 * and after a read the write that is allowed as well, and the other way about: `cached` has bits.
 */
static void expect_probe(struct machine *m, const struct rights *s, uint32_t permissions,
                         uint32_t cached)
{
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
        int may = allowed(m, s, permissions, kind) && !(kind == WRITE && permissions & TRACED);
        int hit = may && cached >> kind & 1;

        assert_ptr_equal(machine_probe(m, 0, GVA, kind), hit ? m->memory + PAGE : NULL);
    }
}

/* What one access brings into an empty TLB. */
static uint32_t brings(uint32_t kind)
{
    return kind == EXEC ? 1u << EXEC : 1u << READ | 1u << WRITE;
}

static uint32_t expect_access(struct machine *m, const struct rights *s, uint32_t permissions,
                              uint32_t kind)
{
    struct gn_softmmu_answer r = machine_access(m, 0, GVA, kind, 8);
    int ok = allowed(m, s, permissions, kind);

    assert_int_equal(r.mmu.outcome, ok ? GN_MMU_DONE : GN_MMU_DENIED);
    if (ok) {
        assert_int_equal(r.hpa.v, PAGE);
        assert_int_equal(r.traced, kind == WRITE && (permissions & TRACED) != 0);
    } else {
        assert_int_not_equal(r.mmu.entry, 0);
    }
    return r.mmu.outcome;
}

static int encodable(const struct machine *m, uint32_t permissions)
{
    if (machine_is_x86(m))
        return (permissions & R) != 0;
    return permissions & (R | X) && (permissions & (R | W)) != W;
}

/* Each kind of access comes first once, and leaves the TLB to the others. */
static void check_state(struct machine *m, uint64_t root, const struct rights *s,
                        uint32_t permissions)
{
    load(m, root, s);
    for (uint32_t first = 0; first < GN_ACCESS_KINDS; first++) {
        gn_softmmu_invalidate_all(m->mmu);
        for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++)
            assert_null(machine_probe(m, 0, GVA, kind));
        if (expect_access(m, s, permissions, first) == GN_MMU_DONE)
            expect_probe(m, s, permissions, brings(first));
        for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++)
            expect_access(m, s, permissions, kind);
    }
}

/* What one view left in the TLB is no other's, and stays its own, under the same controls. */
static void check_switch(struct machine *m, uint64_t root, uint32_t controls, uint32_t permissions)
{
    for (uint32_t filler = 0; filler < GN_SOFTMMU_VIEWS; filler++)
        for (uint32_t first = 0; first < GN_ACCESS_KINDS; first++) {
            struct rights f = {filler, controls};

            load(m, root, &f);
            gn_softmmu_invalidate_all(m->mmu);
            if (machine_outcome(m, GVA, first) != GN_MMU_DONE)
                continue;
            for (uint32_t view = 0; view < GN_SOFTMMU_VIEWS; view++) {
                struct rights s = {view, controls};
                uint32_t wrote;

                load(m, root, &s);
                expect_probe(m, &s, permissions, view == filler ? brings(first) : 0);
                /* The path of traced writes must hold them to their privilege. */
                wrote = expect_access(m, &s, permissions, WRITE) == GN_MMU_DONE;
                expect_probe(m, &s, permissions,
                             (view == filler ? brings(first) : 0) | (wrote ? brings(WRITE) : 0));
            }
            load(m, root, &f);
            expect_probe(m, &f, permissions,
                         brings(first) | (allowed(m, &f, permissions, WRITE) ? brings(WRITE) : 0));
        }
}

static void check_format(uint32_t format, uint32_t control_bits, const uint32_t *control)
{
    struct machine *m = machine_new(format, 1, 64);
    uint64_t root = machine_table(m);

    for (uint32_t permissions = 0; permissions < 16; permissions++)
        for (uint32_t traced = 0; traced <= TRACED; traced += TRACED) {
            uint32_t p = permissions | traced;

            if (!encodable(m, permissions))
                continue;
            machine_map(m, root, GVA, PAGE, p);
            for (uint32_t set = 0; set < 1u << control_bits; set++) {
                struct rights s = {0, 0};

                for (uint32_t i = 0; i < control_bits; i++)
                    s.controls |= set >> i & 1 ? control[i] : 0;
                for (s.view = 0; s.view < GN_SOFTMMU_VIEWS; s.view++)
                    check_state(m, root, &s, p);
                check_switch(m, root, s.controls, p);
            }
        }
    machine_free(m);
}

static void riscv_rights_are_those_of_the_paging_library(void **state)
{
    static const uint32_t control[] = {GN_PAGING_RISCV_MXR};

    (void)state;
    check_format(GN_PAGING_SV39, 1, control);
    check_format(GN_PAGING_SV57, 1, control);
}

static void x86_rights_are_those_of_the_paging_library(void **state)
{
    static const uint32_t control[] = {GN_PAGING_X86_WP, GN_PAGING_X86_NXE, GN_PAGING_X86_SMEP,
                                       GN_PAGING_X86_SMAP};

    (void)state;
    check_format(GN_PAGING_X86_4LEVEL, 4, control);
    check_format(GN_PAGING_X86_5LEVEL, 4, control);
}

static void mxr_is_a_view_and_flushes_nothing(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m);
    struct rights with = {GN_SOFTMMU_VIEW_SUPERVISOR, GN_PAGING_RISCV_MXR};
    struct rights without = {GN_SOFTMMU_VIEW_SUPERVISOR, 0};

    (void)state;
    machine_map(m, root, GVA, PAGE, X);
    load(m, root, &without);
    assert_int_equal(machine_outcome(m, GVA, EXEC), GN_MMU_DONE);
    assert_null(machine_probe(m, 0, GVA, READ));
    load(m, root, &with);
    assert_int_equal(machine_outcome(m, GVA, READ), GN_MMU_DONE);
    assert_non_null(machine_probe(m, 0, GVA, READ));
    load(m, root, &without);
    assert_null(machine_probe(m, 0, GVA, READ));
    load(m, root, &with);
    assert_non_null(machine_probe(m, 0, GVA, READ));
    assert_int_equal(machine_stats(m).full_flushes, 0);
    machine_free(m);
}

static void a_change_of_x86_controls_takes_effect_at_once(void **state)
{
    struct machine *m = machine_new(GN_PAGING_X86_4LEVEL, 1, 64);
    uint64_t root = machine_table(m), flushes;
    struct rights lax = {GN_SOFTMMU_VIEW_SUPERVISOR, 0};
    struct rights strict = {GN_SOFTMMU_VIEW_SUPERVISOR, GN_PAGING_X86_WP};

    (void)state;
    machine_map(m, root, GVA, PAGE, R | X);
    load(m, root, &lax);
    assert_int_equal(machine_outcome(m, GVA, WRITE), GN_MMU_DONE);
    assert_non_null(machine_probe(m, 0, GVA, WRITE));
    flushes = machine_stats(m).full_flushes;
    load(m, root, &strict);
    assert_null(machine_probe(m, 0, GVA, WRITE));
    assert_int_equal(machine_outcome(m, GVA, WRITE), GN_MMU_DENIED);
    assert_int_equal(machine_stats(m).full_flushes, flushes + 1);
    load(m, root, &strict);
    assert_int_equal(machine_stats(m).full_flushes, flushes + 1);
    machine_free(m);
}

static void control_bits_that_mean_nothing_here_flush_nothing(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m);
    struct rights s = {GN_SOFTMMU_VIEW_SUPERVISOR, 0};

    (void)state;
    machine_map(m, root, GVA, PAGE, R | X);
    load(m, root, &s);
    assert_int_equal(machine_outcome(m, GVA, READ), GN_MMU_DONE);
    s.controls = GN_PAGING_X86_WP | GN_PAGING_X86_SMAP | GN_PAGING_RISCV_SUM;
    load(m, root, &s);
    assert_non_null(machine_probe(m, 0, GVA, READ));
    assert_int_equal(machine_stats(m).full_flushes, 0);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(riscv_rights_are_those_of_the_paging_library),
        cmocka_unit_test(x86_rights_are_those_of_the_paging_library),
        cmocka_unit_test(mxr_is_a_view_and_flushes_nothing),
        cmocka_unit_test(a_change_of_x86_controls_takes_effect_at_once),
        cmocka_unit_test(control_bits_that_mean_nothing_here_flush_nothing),
    };

    return cmocka_run_group_tests_name("softmmu: rights", tests, NULL, NULL);
}
