/* SPDX-License-Identifier: BSD-3-Clause */

/* Edges of the invariants that no random run comes by often enough. */

#include "situations.h"

/* RISC-V takes a page from the supervisor by giving it to the user. */
static void sides_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint32_t root = root_get(m, ROOT);
    uint32_t after = is_x86(m->guest) ? COMPLETED : GN_SHADOW_GUEST_FAULT;

    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(outcome(m, root, GVA, READ | USERS), GN_SHADOW_GUEST_FAULT);
    device_store(m, entry, leaf_value(m, 0, PAGE, USER | AD));
    coherence_point(m);
    assert_int_equal(outcome(m, root, GVA, READ), after);
    assert_int_equal(outcome(m, root, GVA, READ | USERS), COMPLETED);
    device_store(m, entry, leaf_value(m, 0, PAGE, KERNEL | AD));
    coherence_point(m);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(outcome(m, root, GVA, READ | USERS), GN_SHADOW_GUEST_FAULT);
}

static void inv2_a_page_that_changes_sides_is_forgotten_by_the_mmu(void **state)
{
    (void)state;
    everywhere(sides_situation);
}

/* Guest tables that can be read but lie in no slot: nobody would tell of a write to them. */
static void untold_situation(struct machine *m)
{
    uint32_t root = root_get(m, ROOT);

    slot_remove(m, 0);
    m->markers = 1;
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(marker_at(m, root, GVA), 0);
    slot_add(m, GN_SHADOW_SLOT_RAM, 0, RAM_BYTES, RAM_HPA);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_not_equal(marker_at(m, root, GVA), 0);
}

static void inv6_a_table_whose_writes_are_unknown_holds_no_marker(void **state)
{
    (void)state;
    everywhere(untold_situation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv2_a_page_that_changes_sides_is_forgotten_by_the_mmu),
        cmocka_unit_test(inv6_a_table_whose_writes_are_unknown_holds_no_marker),
    };

    return cmocka_run_group_tests_name("shadow_edges", tests, NULL, NULL);
}
