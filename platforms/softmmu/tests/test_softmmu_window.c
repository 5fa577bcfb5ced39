/* SPDX-License-Identifier: BSD-3-Clause */

/* Chains of loads: what a context expects, and pages that are made to conform. */

#include "machine.h"
#include "softmmu_internal.h"

#define GVA 0x123000ull
#define HPA 0x40000ull

/* What a window adds: of a place, any number that is no distance in memory. */
#define WINDOW(place) (UINT64_C(0x5000000000000) + ((uint64_t)(place) << 40))

static struct {
    int agrees;
    uint32_t asked;
    uint32_t place;
    uint64_t gva, hpa;
} windows;

static int conform(void *ctx, uint32_t vcpu, uint32_t place, gn_gva_t gva, gn_hpa_t hpa,
                   uint64_t *ret_window)
{
    assert_non_null(ctx);
    assert_int_equal(vcpu, 0);
    windows.asked++;
    windows.place = place;
    windows.gva = gva.v;
    windows.hpa = hpa.v;
    if (windows.agrees)
        *ret_window = WINDOW(place);
    return windows.agrees;
}

/* Sixteen pages of one ASID, of which neighbours are not neighbours in memory; all are read. */
static struct machine *machine_of_pages(uint64_t *ret_root, int agrees)
{
    static const struct gn_softmmu_ops ops = {GN_SOFTMMU_OPS_INIT, .conform = conform};
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);

    m->mmu->ops = ops;
    memset(&windows, 0, sizeof windows);
    windows.agrees = agrees;
    *ret_root = machine_table(m);
    machine_load(m, 1, *ret_root);
    for (uint64_t i = 0; i < 16; i++) {
        machine_map(m, *ret_root, GVA + i * 4096, HPA + (i * 5 % 16) * 4096, R | W | U);
        assert_int_equal(machine_outcome(m, GVA + i * 4096, READ), GN_MMU_DONE);
    }
    return m;
}

static struct gn_softmmu_slab *slab_of(struct machine *m)
{
    return gn_softmmu_window(m->mmu, 0, DATA)->slab;
}

static struct gn_softmmu_entry *entry_of(struct machine *m, uint64_t gva, uint32_t access)
{
    return gn_softmmu_entry_at(gn_softmmu_window(m->mmu, 0, DATA), gva, access);
}

static void stray(struct machine *m, uint64_t gva)
{
    gn_softmmu_stray(m->mmu, 0, gn_gva(gva));
}

/* Loads a context that has the same tables, and begins with what the one before knows. */
static void load_heir(struct machine *m, uint64_t root)
{
    const struct gn_softmmu_context from = {GN_SOFTMMU_CONTEXT_INIT, .asid = 1, .root = {root},
                                            .view = GN_SOFTMMU_VIEW_SUM};
    const uint64_t heir = machine_table(m);
    struct gn_softmmu_context to = from;

    memcpy(m->memory + heir, m->memory + root, 4096);
    to.asid = 2;
    to.root = gn_hpa(heir);
    assert_int_equal(gn_softmmu_context_inherit(m->mmu, 0, &to, &from), 0);
    machine_load(m, 2, heir);
}

static void a_page_that_conforms_is_read_and_written_through_the_window(void **state)
{
    uint64_t root;
    struct machine *m = machine_of_pages(&root, 1);

    (void)state;
    stray(m, GVA + 0x1008);
    assert_int_equal(windows.asked, 1);
    assert_int_equal(windows.gva, GVA + 0x1000);
    assert_int_equal(windows.hpa, HPA + 0x5000);
    assert_int_equal(slab_of(m)->expected, WINDOW(windows.place));
    assert_int_equal(entry_of(m, GVA + 0x1000, READ)->delta, WINDOW(windows.place));
    assert_int_equal(entry_of(m, GVA + 0x1000, READ)->page, GVA + 0x1000);
    assert_int_equal(entry_of(m, GVA + 0x1000, WRITE)->delta, WINDOW(windows.place));
    assert_ptr_equal(machine_probe(m, 0, GVA + 0x2000, WRITE), m->memory + HPA + 0xa000);
    assert_ptr_equal(machine_probe(m, 0, GVA + 0x2000, READ), m->memory + HPA + 0xa000);
    stray(m, GVA + 0x1010);    /* it does not any more */
    stray(m, GVA + 16 * 4096); /* not in the TLB */
    gn_softmmu_stray(m->mmu, 1, gn_gva(GVA));
    gn_softmmu_stray(NULL, 0, gn_gva(GVA));
    assert_int_equal(windows.asked, 1);
    assert_int_equal(machine_stats(m).strays, 1);
    assert_int_equal(machine_stats(m).conformed, 1);
    machine_free(m);
}

static void a_page_that_conforms_is_forgotten_like_any_other(void **state)
{
    uint64_t root;
    struct machine *m = machine_of_pages(&root, 1);

    (void)state;
    stray(m, GVA);
    machine_map(m, root, GVA, HPA + 0x8000, R | W | U);
    gn_softmmu_invalidate_range(m->mmu, 1, gn_gva(GVA), 4096);
    assert_null(machine_probe(m, 0, GVA, READ));
    assert_int_equal(machine_access(m, 0, GVA, READ, 8).hpa.v, HPA + 0x8000);
    assert_ptr_equal(machine_probe(m, 0, GVA, READ), m->memory + HPA + 0x8000);
    stray(m, GVA);
    assert_int_equal(windows.asked, 2);
    assert_int_equal(windows.hpa, HPA + 0x8000);
    gn_softmmu_invalidate_asid(m->mmu, 1);
    assert_int_equal(slab_of(m)->window, 0);
    assert_null(machine_probe(m, 0, GVA, READ));
    machine_free(m);
}

static void a_window_is_forgotten_with_the_pages_in_it_and_no_others(void **state)
{
    uint64_t root;
    struct machine *m = machine_of_pages(&root, 1);

    (void)state;
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(machine_outcome(m, GVA, READ), GN_MMU_DONE);
        stray(m, GVA);
        gn_softmmu_window_forget(m->mmu, 0, windows.place + 1);
        assert_int_equal(slab_of(m)->window, WINDOW(windows.place));
        gn_softmmu_window_forget(m->mmu, 0, round ? GN_SOFTMMU_PLACE_ANY : windows.place);
        assert_int_equal(slab_of(m)->window, 0);
        assert_null(machine_probe(m, 0, GVA, READ));
        assert_null(machine_probe(m, 0, GVA, WRITE));
        assert_non_null(machine_probe(m, 0, GVA + 4096, READ));
    }
    gn_softmmu_window_forget(m->mmu, 1, 0);
    gn_softmmu_window_forget(NULL, 0, 0);
    machine_free(m);
}

static void writes_that_are_recorded_stay_out_of_windows(void **state)
{
    uint64_t root;
    struct machine *m = machine_of_pages(&root, 1);

    (void)state;
    machine_map(m, root, GVA, HPA, R | W | U | TRACED);
    gn_softmmu_invalidate_range(m->mmu, 1, gn_gva(GVA), 4096);
    assert_int_equal(machine_outcome(m, GVA, READ), GN_MMU_DONE);
    stray(m, GVA);
    assert_int_equal(entry_of(m, GVA, READ)->delta, WINDOW(windows.place));
    assert_int_equal(machine_access(m, 0, GVA, WRITE, 8).hpa.v, HPA);
    assert_true(machine_access(m, 0, GVA, WRITE, 8).traced);
    machine_free(m);
}

/* The guest changes its table and makes no fence yet; a read finds the new page, a write the old.
 */
static void what_was_in_a_window_is_written_no_more_once_another_page_is_there(void **state)
{
    uint64_t root;
    struct machine *m = machine_of_pages(&root, 1);

    (void)state;
    stray(m, GVA);
    machine_map(m, root, GVA, HPA + 0x8000, R | U);
    entry_of(m, GVA, READ)->page = GN_SOFTMMU_NO_PAGE; /* crowded out */
    assert_int_equal(machine_access(m, 0, GVA, READ, 8).hpa.v, HPA + 0x8000);
    stray(m, GVA);
    assert_int_equal(windows.hpa, HPA + 0x8000);
    assert_null(machine_probe(m, 0, GVA, WRITE));
    assert_int_equal(machine_outcome(m, GVA, WRITE), GN_MMU_DENIED);
    machine_free(m);
}

static void a_window_is_of_one_context(void **state)
{
    uint64_t root;
    struct machine *m = machine_of_pages(&root, 1);
    uint32_t place;

    (void)state;
    stray(m, GVA);
    place = windows.place;
    /* One that begins with the same tables begins with none of its pages. */
    load_heir(m, root);
    assert_null(machine_probe(m, 0, GVA, READ));
    assert_non_null(machine_probe(m, 0, GVA + 4096, READ));
    assert_int_equal(machine_outcome(m, GVA, READ), GN_MMU_DONE);
    stray(m, GVA);
    assert_int_not_equal(windows.place, place);
    assert_int_equal(slab_of(m)->expected, WINDOW(windows.place));
    machine_free(m);
}

static void without_a_window_a_context_expects_what_is_found_again_and_again(void **state)
{
    uint64_t root;
    struct machine *m = machine_of_pages(&root, 0);

    (void)state;
    for (uint64_t i = 0; i < 64; i++) {
        stray(m, GVA + i % 16 * 4096);
        assert_int_equal(slab_of(m)->expected, 0);
    }
    for (uint64_t i = 0; i < 4; i++)
        stray(m, GVA + 3 * 4096);
    assert_int_equal(slab_of(m)->expected, entry_of(m, GVA + 3 * 4096, READ)->delta);
    /* A context that begins with what this one knows is one of the same kind. */
    load_heir(m, root);
    assert_int_equal(slab_of(m)->expected, entry_of(m, GVA + 3 * 4096, READ)->delta);
    stray(m, GVA + 4096);
    assert_int_equal(slab_of(m)->expected, 0);
    machine_free(m);
}

static void check_cached(void *ctx, const struct gn_softmmu_cached *c)
{
    uint32_t *conforming = ctx;

    if (c->hpa.v == UINT64_MAX) {
        assert_int_equal(c->gva.v, GVA + 4096);
        assert_int_not_equal(c->access, EXEC);
        ++*conforming;
    } else {
        assert_int_equal(c->hpa.v, HPA + ((c->gva.v - GVA) / 4096 * 5 % 16) * 4096);
    }
}

static void what_is_cached_says_that_it_is_in_a_window(void **state)
{
    uint64_t root;
    struct machine *m = machine_of_pages(&root, 1);
    uint32_t conforming = 0;

    (void)state;
    stray(m, GVA + 4096);
    gn_softmmu_each(m->mmu, 0, check_cached, &conforming);
    assert_int_equal(conforming, 2);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_that_conforms_is_read_and_written_through_the_window),
        cmocka_unit_test(a_page_that_conforms_is_forgotten_like_any_other),
        cmocka_unit_test(a_window_is_forgotten_with_the_pages_in_it_and_no_others),
        cmocka_unit_test(writes_that_are_recorded_stay_out_of_windows),
        cmocka_unit_test(what_was_in_a_window_is_written_no_more_once_another_page_is_there),
        cmocka_unit_test(a_window_is_of_one_context),
        cmocka_unit_test(without_a_window_a_context_expects_what_is_found_again_and_again),
        cmocka_unit_test(what_is_cached_says_that_it_is_in_a_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
