/* SPDX-License-Identifier: BSD-3-Clause */

/* Ops that fail, at any call, and ops that are not there. */

#include "situations.h"

#define TABLES 16u

/* Some of everything; each call may fail as `allowed` says, and nothing else. @return how many */
static uint32_t script(struct machine *m, int allowed)
{
    static const uint64_t offsets[] = {0, 0x200000, 0x1000, 0x40000000, 0x3000, 0x40201000};
    struct gn_shadow_answer answer;
    uint32_t failed = 0;
    uint32_t root = 0;
    int rc = root_try(m, root_key(m, 0x10000), &root);

    if (rc) {
        assert_int_equal(rc, allowed);
        return 1;
    }
    for (uint32_t i = 0; i < 18; i++) {
        rc = shadow_fault(m, root, GVA + offsets[i % 6], i / 6, &answer);
        if (rc) {
            assert_true(rc == allowed || rc == -GN_ERR_AGAIN);
            failed++;
        }
        assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(0x11000), 64), 0);
    }
    assert_int_equal(gn_shadow_root_put(m->sh, root), 0);
    return failed;
}

static struct machine *scripted(uint32_t format, int markers)
{
    struct gn_shadow_params p = machine_params(format, GN_SHADOW_POLICY_TRAP, TABLES);
    struct gn_shadow_ops ops = machine_ops;
    struct machine *m;

    /* With markers, each new table is read whole. */
    if (!markers)
        ops.absent_encode = NULL;
    p.ops = &ops;
    m = machine_new_params(p);
    m->markers = markers;
    m->next_table = 0x11000;
    guest_map(m, 0x10000, GVA, 0x80000, 0, KERNEL | AD);
    guest_map(m, 0x10000, GVA + 0x200000, 0, 1, KERNEL | AD);
    guest_map(m, 0x10000, GVA + 0x40000000, 0x81000, 0, KERNEL);
    guest_map(m, 0x10000, GVA + 0x3000, 0x11000, 0, KERNEL);
    return m;
}

static void a_frame_allocator_that_fails_at_any_call_does_no_harm(void **state)
{
    uint32_t with_failure = 0;

    (void)state;
    for (uint32_t at = 1; at < 40; at++) {
        struct machine *m = scripted(at & 1 ? GN_PAGING_SV57 : GN_PAGING_X86_4LEVEL, at & 2);

        m->alloc_fails_at = at;
        with_failure += script(m, -GN_ERR_NOMEM) != 0;
        assert_int_equal(audit(m), 0);
        m->alloc_fails_at = 0;
        assert_int_equal(script(m, 0), 0);
        coherence_check(m);
        machine_free(m);
    }
    assert_in_range(with_failure, 4, 39);
}

static void guest_memory_that_fails_at_any_load_does_no_harm(void **state)
{
    static const int errors[] = {-GN_ERR_FAULT, -GN_ERR_IO};
    uint32_t failed = 0;

    (void)state;
    for (uint32_t i = 0; i < 480; i++) {
        struct machine *m = scripted(i & 1 ? GN_PAGING_SV48 : GN_PAGING_X86_5LEVEL, i % 12 == 0);

        m->load_error = errors[i / 2 & 1];
        m->load_fails_at = i / 4 + 1;
        failed += script(m, -GN_ERR_IO);
        m->load_fails_at = 0;
        /* A sync that could not read took the entry for absent, which is less and no lie. */
        assert_int_equal(audit(m), 0);
        assert_int_equal(script(m, 0), 0);
        coherence_check(m);
        machine_free(m);
    }
    assert_in_range(failed, 40, 480);
}

static void optional_ops_may_be_missing(void **state)
{
    struct gn_shadow_ops ops = machine_ops;
    struct gn_shadow_params p = machine_params(GN_PAGING_SV39, GN_SHADOW_POLICY_TRAP, TABLES);
    struct machine *m;
    uint32_t root;

    (void)state;
    ops.root_gone = NULL;
    ops.absent_encode = NULL;
    ops.table_page = NULL;
    ops.panic = NULL;
    p.ops = &ops;
    p.roots = 2;
    m = machine_new_params(p);
    guest_map(m, 0x10000, GVA, 0x80000, 0, KERNEL | AD);
    for (uint64_t i = 0; i < 6; i++) {
        /* Without root_gone, a root that goes takes every translation with it. */
        uint32_t all = m->invalidated_all;

        root = root_get(m, 0x10000 + 0x1000 * i);
        assert_int_equal(m->invalidated_all - all, i >= 2);
        access_at(m, root, GVA, GN_ACCESS_READ);
        access_at(m, root, GVA + 4096, GN_ACCESS_READ);
        assert_int_equal(gn_shadow_root_put(m->sh, root), 0);
    }
    memset(m->root_hpa, 0, sizeof m->root_hpa);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_allocator_that_fails_at_any_call_does_no_harm),
        cmocka_unit_test(guest_memory_that_fails_at_any_load_does_no_harm),
        cmocka_unit_test(optional_ops_may_be_missing),
    };

    return cmocka_run_group_tests_name("shadow_failures", tests, NULL, NULL);
}
