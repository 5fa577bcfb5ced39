/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which locks a call takes, and what the other CPU may do at the worst moment: it acts inside a
 * lock op of the first one's call, before or after the lock is taken. So every interleaving here is
 * a certain one. The machine's lock ops hold order and ownership against the header.
 */

#include "situations.h"

#define FAR_GVA (GVA + ((uint64_t)2 << 20)) /* through another leaf-level table */
#define NEXT    (GVA + 4096)
#define OTHER   (PAGE + 0x10000)
#define STRIPES 64u

static struct machine *locks_machine(uint32_t format, uint32_t policy,
                                     const struct gn_shadow_ops *ops)
{
    struct gn_shadow_params params = machine_params(format, policy, 64);
    struct machine *m;

    params.ops = ops;
    params.lock_stripes = STRIPES;
    m = machine_new_params(params);
    m->markers = 1;
    slot_add(m, GN_SHADOW_SLOT_MMIO, MMIO, 0x4000, 0);
    return m;
}

static uint32_t counts(struct machine *m, uint32_t *ret_shared, uint32_t *ret_stripes)
{
    uint32_t alone = m->alone;

    *ret_shared = m->shared;
    *ret_stripes = m->stripes;
    m->alone = m->shared = m->stripes = 0;
    return alone;
}

static void took(struct machine *m, uint32_t alone, uint32_t shared, uint32_t stripes)
{
    uint32_t s;
    uint32_t t;
    uint32_t a = counts(m, &s, &t);

    assert_int_equal(a, alone);
    assert_int_equal(s, shared);
    assert_int_equal(t, stripes);
}

static uint32_t fault(struct machine *m, uint32_t root, uint64_t gva, uint32_t access)
{
    struct gn_shadow_answer answer;

    assert_int_equal(shadow_fault(m, root, gva, access, &answer), 0);
    return answer.outcome;
}

static uint64_t leaf_of(struct machine *m, uint64_t page)
{
    return leaf_value(m, 0, page, KERNEL | AD);
}

/* Runs a situation in two formats under one policy, with every lock there is. */
static void locked(uint32_t policy, void (*situation)(struct machine *m))
{
    static const uint32_t both[] = {GN_PAGING_SV39, GN_PAGING_X86_4LEVEL};

    for (uint32_t f = 0; f < 2; f++) {
        struct machine *m = locks_machine(both[f], policy, &machine_locks_ops);

        situation(m);
        m->on_lock = NULL;
        m->on_locked = NULL;
        coherence_check(m);
        machine_free(m);
    }
}

/* ---- Which locks ------------------------------------------------------------------------------
 */

static void kinds_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint32_t root;

    guest_map(m, ROOT, GVA + 2 * 4096, entry & ~GN_PAGE_MASK, 0, KERNEL | AD);
    guest_map(m, ROOT, GVA + 3 * 4096, MMIO, 0, KERNEL | AD);
    guest_map(m, ROOT, NEXT, OTHER, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    m->alone = m->shared = m->stripes = 0;
    /* Tables are made: what sharing found is forgotten. */
    assert_int_equal(fault(m, root, GVA, READ), GN_SHADOW_FILLED);
    took(m, 1, 1, 0);
    assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
    took(m, 0, 1, 2);
    /* Once more, in vain; a guest's fault; a device; each with a marker; a write that traps. */
    assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
    took(m, 0, 1, 1);
    assert_int_equal(fault(m, root, GVA + 9 * 4096, READ), GN_SHADOW_GUEST_FAULT);
    took(m, 0, 1, 1);
    assert_int_equal(fault(m, root, GVA + 3 * 4096, READ), GN_SHADOW_MMIO);
    took(m, 0, 1, 1);
    assert_int_equal(fault(m, root, GVA + 2 * 4096, WRITE), GN_SHADOW_TRAPPED);
    took(m, 0, 1, 0);
    assert_int_equal(root_get(m, ROOT), root);
    assert_int_equal(gn_shadow_root_put(m->sh, root), 0);
    took(m, 0, 2, 0);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(entry)), 1);
    took(m, 0, 1, 0);
    (void)stats(m);
    took(m, 0, 0, 0);
    assert_int_equal(gn_shadow_coherence_page(m->sh, root, gn_gva(GVA)), 0);
    assert_int_equal(gn_shadow_coherence_root(m->sh, root), 0);
    took(m, 0, 2, 1);
}

static void only_what_makes_tables_takes_the_shadow_for_itself(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_TRAP, kinds_situation);
}

static void sync_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint64_t upper = guest_entry(m, ROOT, GVA, 1);
    uint32_t root = root_get(m, ROOT);
    uint64_t mem = 0;

    assert_int_equal(fault(m, root, GVA, WRITE), GN_SHADOW_FILLED);
    m->alone = m->shared = m->stripes = 0;
    *ram_word(m, entry) = leaf_value(m, 0, PAGE, GN_PAGING_R | AD);
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(entry), 8), 0);
    took(m, 0, 1, 1); /* in place */
    *ram_word(m, entry) = 0;
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(entry), 8), 0);
    took(m, 0, 1, 2); /* dropped */
    *ram_word(m, entry) = leaf_of(m, OTHER);
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(entry), 8), 0);
    took(m, 0, 1, 2); /* mapped */
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(PAGE), 8), 0);
    took(m, 0, 1, 0); /* no table */
    *ram_word(m, upper) = 0;
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(upper), 8), 0);
    took(m, 1, 1, 1); /* a link, and all behind it */
    assert_int_equal(gn_shadow_revoke(m->sh, gn_gpa(PAGE), 4096), 0);
    assert_int_equal(gn_shadow_flush(m->sh, root), 0);
    assert_int_equal(audit(m), 0);
    assert_int_equal(gn_shadow_dirty_start(m->sh, 0, &mem, 8), -GN_ERR_NOMEM);
    took(m, 4, 0, 0);
    *ram_word(m, upper) = table_value(m, entry & ~GN_PAGE_MASK);
    machine_sync(m, upper, 8);
}

static void a_sync_that_drops_no_table_shares(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_TRAP, sync_situation);
}

/* The count of steps is of the call that is alone: others would write it at the same time. */
static void steps_situation(struct machine *m)
{
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    assert_int_equal(fault(m, root, GVA, READ), GN_SHADOW_FILLED);
    m->alone = 0;
    m->sh->steps = 7;
    assert_int_equal(fault(m, root, GVA + 9 * 4096, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(m->alone, 0);
    assert_int_equal(m->sh->steps, 7);
    assert_int_not_equal(marker_at(m, root, GVA + 10 * 4096), 0);
}

static void a_call_that_shares_takes_no_step_of_one_that_is_alone(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_TRAP, steps_situation);
}

static void with_one_lock_every_call_takes_that_alone(void **state)
{
    struct machine *m = locks_machine(GN_PAGING_SV39, GN_SHADOW_POLICY_TRAP, &machine_lock_ops);
    uint32_t root;

    (void)state;
    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    took(m, 3, 0, 0);
    assert_int_equal(fault(m, root, GVA, READ), GN_SHADOW_FILLED);
    assert_int_equal(fault(m, root, GVA, READ), GN_SHADOW_FILLED);
    assert_int_equal(gn_shadow_root_put(m->sh, root), 0);
    took(m, 3, 0, 0);
    machine_free(m);
}

static void locks_come_in_pairs_and_stripes_are_a_power_of_two(void **state)
{
    struct gn_shadow_params p = machine_params(GN_PAGING_SV39, GN_SHADOW_POLICY_TRAP, 16);
    struct gn_shadow_ops ops = machine_locks_ops;
    static _Alignas(64) uint8_t mem[1 << 18];
    struct gn_shadow *sh;

    (void)state;
    assert_int_equal(gn_shadow_locks(&p), 129);
    p.lock_stripes = 1;
    assert_int_equal(gn_shadow_locks(&p), 3);
    p.lock_stripes = 4096;
    assert_int_equal(gn_shadow_locks(&p), 8193);
    p.lock_stripes = 8192;
    assert_int_equal(gn_shadow_locks(&p), 0);
    p.lock_stripes = 3;
    assert_int_equal(gn_shadow_locks(&p), 0);
    assert_int_equal(gn_shadow_locks(NULL), 0);
    p.lock_stripes = 0;
    p.ops = &ops;
    assert_int_equal(gn_shadow_init(mem, sizeof mem, &p, &sh), 0);
    ops.unlock = NULL;
    assert_int_equal(gn_shadow_init(mem, sizeof mem, &p, &sh), -GN_ERR_INVAL);
    ops.lock = NULL;
    assert_int_equal(gn_shadow_init(mem, sizeof mem, &p, &sh), -GN_ERR_INVAL);
    ops = machine_locks_ops;
    ops.unlock_shared = NULL;
    assert_int_equal(gn_shadow_init(mem, sizeof mem, &p, &sh), -GN_ERR_INVAL);
    ops.lock_shared = NULL;
    assert_int_equal(gn_shadow_init(mem, sizeof mem, &p, &sh), 0);
}

/* ---- At the worst moment ------------------------------------------------------------------------
 */

/* What the other CPU does, and where. */
static struct {
    uint32_t root;
    uint64_t entry, value;
    uint64_t gva;
    uint32_t at; /* locks that the first CPU holds then, the one at hand not counted */
    uint32_t runs;
    uint32_t blocked_on;
    void (*act)(struct machine *m);
} other;

static void strike(struct machine *m, uint32_t n)
{
    if (m->holder.count != other.at || !n || other.runs++)
        return;
    other.blocked_on = machine_other(m, other.act);
}

/* The lock at hand is held already. */
static void strike_held(struct machine *m, uint32_t n)
{
    if (m->holder.count == other.at + 1 && n && !other.runs++)
        other.blocked_on = machine_other(m, other.act);
}

static void other_writes(struct machine *m)
{
    *ram_word(m, other.entry) = other.value;
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(other.entry), 8), 0);
}

static void other_flushes(struct machine *m)
{
    *ram_word(m, other.entry) = other.value;
    assert_int_equal(gn_shadow_coherence_root(m->sh, other.root), 0);
}

static void other_flushes_page(struct machine *m)
{
    *ram_word(m, other.entry) = other.value;
    assert_int_equal(gn_shadow_coherence_page(m->sh, other.root, gn_gva(other.gva)), 0);
}

static void other_faults(struct machine *m)
{
    assert_int_equal(fault(m, other.root, other.gva, READ), GN_SHADOW_FILLED);
}

static void other_revokes(struct machine *m)
{
    assert_int_equal(gn_shadow_revoke(m->sh, gn_gpa(PAGE), 4096), 0);
}

/* A root with a table at the bottom, some pages in it, none of them mapped yet but the first. */
static uint32_t begin(struct machine *m)
{
    uint32_t root;

    memset(&other, 0, sizeof other);
    other.entry = guest_map(m, ROOT, NEXT, PAGE, 0, KERNEL | AD);
    guest_map(m, ROOT, GVA, OTHER, 0, KERNEL | AD);
    guest_map(m, ROOT, FAR_GVA + 100 * 4096, OTHER, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    other.root = root;
    other.gva = NEXT;
    assert_int_equal(fault(m, root, GVA, READ), GN_SHADOW_FILLED);
    return root;
}

/* Between the walk and the table's lock: the walk saw what is not so any more. */
static void changed_situation(struct machine *m)
{
    uint32_t root = begin(m);

    other.value = leaf_of(m, PAGE + 4096);
    other.act = other_writes;
    other.at = 1;
    m->on_lock = strike;
    assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
    assert_int_equal(other.runs, 1);
    assert_int_equal(other.blocked_on, NOT_BLOCKED);
    assert_int_equal(audit(m), 0);
    assert_int_equal(access_at(m, root, NEXT, READ).gpa, PAGE + 4096);
}

static void a_fault_does_not_fill_what_its_walk_saw_and_is_no_more(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_TRAP, changed_situation);
    locked(GN_SHADOW_POLICY_TRACED, changed_situation);
    locked(GN_SHADOW_POLICY_ADAPT, changed_situation);
}

/* The same of an entry that was absent, and of a device's page. */
static void marker_situation(struct machine *m)
{
    uint32_t root = begin(m);

    other.entry = guest_entry(m, ROOT, GVA + 5 * 4096, 0);
    other.value = leaf_of(m, PAGE);
    other.act = other_writes;
    other.at = 1;
    m->on_lock = strike;
    assert_int_equal(fault(m, root, GVA + 5 * 4096, READ), GN_SHADOW_FILLED);
    assert_int_equal(other.runs, 1);
    assert_int_equal(audit(m), 0);
    assert_int_equal(outcome(m, root, GVA + 5 * 4096, READ), COMPLETED);

    other.entry = guest_map(m, ROOT, GVA + 6 * 4096, MMIO, 0, KERNEL | AD);
    other.runs = 0;
    assert_int_equal(fault(m, root, GVA + 6 * 4096, READ), GN_SHADOW_FILLED);
    assert_int_equal(other.runs, 1);
    assert_int_equal(audit(m), 0);
    assert_int_equal(outcome(m, root, GVA + 6 * 4096, READ), COMPLETED);
}

static void a_fault_does_not_mark_absent_what_its_walk_saw_and_is_no_more(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_TRAP, marker_situation);
    locked(GN_SHADOW_POLICY_TRACED, marker_situation);
}

/* After the fault has read again: then the other one waits, and finds what was filled. */
static void late_situation(struct machine *m)
{
    uint32_t root = begin(m);

    other.value = leaf_of(m, PAGE + 4096);
    other.act = other_writes;
    other.at = 2;
    m->on_lock = strike;
    assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
    assert_int_equal(other.runs, 1);
    assert_in_range(other.blocked_on, 1, STRIPES);
    other_writes(m);
    assert_int_equal(audit(m), 0);
    assert_int_equal(access_at(m, root, NEXT, READ).gpa, PAGE + 4096);
}

static void a_sync_waits_for_the_fault_that_fills_its_table(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_TRAP, late_situation);
    locked(GN_SHADOW_POLICY_TRACED, late_situation);
}

/* A change above: the other needs the shadow for itself, and the fault fills the old table. */
static void above_situation(struct machine *m)
{
    uint32_t root = begin(m);

    other.entry = guest_entry(m, ROOT, NEXT, 1);
    other.value = 0;
    other.act = other_writes;
    other.at = 1;
    m->on_lock = strike;
    assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
    assert_int_equal(other.runs, 1);
    assert_int_equal(other.blocked_on, 0);
    other_writes(m);
    assert_int_equal(audit(m), 0);
    assert_int_equal(outcome(m, root, NEXT, READ), GN_SHADOW_GUEST_FAULT);
}

static void a_link_is_dropped_by_nobody_who_shares(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_TRAP, above_situation);
}

/* Its leaf-level table is unsync, and mapped nowhere but through another table. */
static uint32_t begin_unsync(struct machine *m)
{
    uint32_t root = begin(m);
    uint64_t nothing = 0;

    guest_map(m, ROOT, FAR_GVA, other.entry & ~GN_PAGE_MASK, 0, KERNEL | AD);
    assert_int_equal(guest_store(m, root, FAR_GVA + 511 * 8, &nothing, 8), COMPLETED);
    assert_int_equal(stats(m).pages_unsync, 1);
    assert_int_equal(gn_shadow_revoke(m->sh, gn_gpa(OTHER), 4096), 0);
    m->olds = 0;
    other.value = leaf_of(m, PAGE + 4096);
    return root;
}

static void unsync_changed_situation(struct machine *m)
{
    uint32_t root = begin_unsync(m);

    for (int page = 0; page < 2; page++) {
        other.act = page ? other_flushes_page : other_flushes;
        other.at = 1;
        other.runs = 0;
        m->on_lock = strike;
        assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
        assert_int_equal(other.runs, 1);
        assert_int_equal(other.blocked_on, NOT_BLOCKED);
        m->on_lock = NULL;
        assert_int_equal(access_at(m, root, NEXT, READ).gpa, PAGE + 4096);
        assert_int_equal(gn_shadow_revoke(m->sh, gn_gpa(PAGE + 4096), 4096), 0);
        *ram_word(m, other.entry) = leaf_of(m, PAGE);
    }
}

static void unsync_late_situation(struct machine *m)
{
    uint32_t root = begin_unsync(m);

    for (int page = 0; page < 2; page++) {
        other.act = page ? other_flushes_page : other_flushes;
        other.at = 2;
        other.runs = 0;
        m->on_lock = strike;
        assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
        assert_int_equal(other.runs, 1);
        assert_in_range(other.blocked_on, 1, STRIPES);
        m->on_lock = NULL;
        other.act(m);
        assert_int_equal(access_at(m, root, NEXT, READ).gpa, PAGE + 4096);
        assert_int_equal(gn_shadow_revoke(m->sh, gn_gpa(PAGE + 4096), 4096), 0);
        *ram_word(m, other.entry) = leaf_of(m, PAGE);
    }
}

static void a_flush_of_an_unsync_table_and_a_fault_in_it_see_each_other(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_UNSYNC, unsync_changed_situation);
    locked(GN_SHADOW_POLICY_UNSYNC, unsync_late_situation);
}

/* ---- Side by side, and not --------------------------------------------------------------------
 */

static void apart_situation(struct machine *m)
{
    uint32_t root = begin(m);

    guest_map(m, ROOT, FAR_GVA, PAGE + 0x20000, 0, KERNEL | AD);
    guest_map(m, ROOT, FAR_GVA + 4096, PAGE + 0x21000, 0, KERNEL | AD);
    assert_int_equal(fault(m, root, FAR_GVA, READ), GN_SHADOW_FILLED);
    other.gva = FAR_GVA + 4096;
    other.act = other_faults;
    other.at = 1;
    m->on_locked = strike_held;
    m->alone = 0;
    assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
    assert_int_equal(other.runs, 1);
    assert_int_equal(other.blocked_on, NOT_BLOCKED);
    assert_int_equal(m->alone, 0);
    m->on_locked = NULL;
    assert_int_equal(access_at(m, root, NEXT, READ).answers, 0);
    assert_int_equal(access_at(m, root, FAR_GVA + 4096, READ).answers, 0);
}

static void faults_in_two_tables_hold_their_locks_at_the_same_time(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_TRAP, apart_situation);
}

/* Two tables, one page: the chain is what they meet at. */
static void chain_situation(struct machine *m)
{
    uint32_t root = begin(m);

    guest_map(m, ROOT, FAR_GVA, OTHER, 0, KERNEL | AD);
    guest_map(m, ROOT, FAR_GVA + 4096, PAGE, 0, GN_PAGING_R | AD);
    assert_int_equal(fault(m, root, FAR_GVA, READ), GN_SHADOW_FILLED);
    other.gva = FAR_GVA + 4096;
    other.act = other_faults;
    other.at = 2;
    m->on_locked = strike_held;
    assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
    assert_int_equal(other.runs, 1);
    assert_in_range(other.blocked_on, STRIPES + 1, 2 * STRIPES);
    other_faults(m);
    assert_int_equal(audit(m), 0);
    /* So it is when a leaf goes. */
    assert_int_equal(gn_shadow_revoke(m->sh, gn_gpa(PAGE), 4096), 0);
    m->on_locked = NULL;
    assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
    m->on_locked = strike_held;
    other.runs = 0;
    *ram_word(m, other.entry) = 0;
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(other.entry), 8), 0);
    assert_int_equal(other.runs, 1);
    assert_in_range(other.blocked_on, STRIPES + 1, 2 * STRIPES);
    other_faults(m);
}

static void leaves_of_one_page_are_chained_one_at_a_time(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_TRAP, chain_situation);
}

static void revoke_situation(struct machine *m)
{
    uint32_t root = begin(m);

    other.act = other_revokes;
    other.at = 1;
    m->on_locked = strike_held;
    assert_int_equal(fault(m, root, NEXT, READ), GN_SHADOW_FILLED);
    assert_int_equal(other.runs, 1);
    assert_int_equal(other.blocked_on, 0);
    other_revokes(m);
    assert_int_equal(mapped(m, root, NEXT, NULL), 0);
}

static void who_takes_pages_away_waits_for_faults_and_faults_for_him(void **state)
{
    (void)state;
    locked(GN_SHADOW_POLICY_TRAP, revoke_situation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_makes_tables_takes_the_shadow_for_itself),
        cmocka_unit_test(a_sync_that_drops_no_table_shares),
        cmocka_unit_test(a_call_that_shares_takes_no_step_of_one_that_is_alone),
        cmocka_unit_test(with_one_lock_every_call_takes_that_alone),
        cmocka_unit_test(locks_come_in_pairs_and_stripes_are_a_power_of_two),
        cmocka_unit_test(a_fault_does_not_fill_what_its_walk_saw_and_is_no_more),
        cmocka_unit_test(a_fault_does_not_mark_absent_what_its_walk_saw_and_is_no_more),
        cmocka_unit_test(a_sync_waits_for_the_fault_that_fills_its_table),
        cmocka_unit_test(a_link_is_dropped_by_nobody_who_shares),
        cmocka_unit_test(a_flush_of_an_unsync_table_and_a_fault_in_it_see_each_other),
        cmocka_unit_test(faults_in_two_tables_hold_their_locks_at_the_same_time),
        cmocka_unit_test(leaves_of_one_page_are_chained_one_at_a_time),
        cmocka_unit_test(who_takes_pages_away_waits_for_faults_and_faults_for_him),
    };

    return cmocka_run_group_tests_name("shadow_locks", tests, NULL, NULL);
}
