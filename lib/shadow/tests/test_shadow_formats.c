/* SPDX-License-Identifier: BSD-3-Clause */

/* Guests in shadows of another width, of another architecture, and under other controls. */

#include "../src/shadow_internal.h"
#include "situations.h"

#define EXEC GN_ACCESS_EXEC

/* Runs a situation for the guests that are x86 or not, in every shadow. */
static void of(int x86, void (*situation)(struct machine *m))
{
    for (uint32_t f = 0; f < GUESTS * FORMATS; f++) {
        for (uint32_t policy = 0; policy < POLICIES; policy++) {
            struct machine *m;

            if (is_x86(guests[f / FORMATS]) != x86 ||
                !pair(guests[f / FORMATS], formats[f % FORMATS]))
                continue;
            m = machine_new(formats[f % FORMATS], policy);
            machine_guest(m, guests[f / FORMATS]);
            situation(m);
            coherence_check(m);
            machine_free(m);
        }
    }
}

static uint32_t root_under(struct machine *m, uint32_t controls)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    uint32_t id;

    key.controls = controls;
    assert_int_equal(root_try(m, key, &id), 0);
    return id;
}

/* ---- Widths ------------------------------------------------------------------------------- */

/* The last page of the lower half, the first of the upper. */
static void halves_situation(struct machine *m)
{
    uint64_t half = (uint64_t)1 << (m->geometry.va_bits - 1);
    uint64_t below = half - GN_PAGE_SIZE;
    uint64_t above = m->geometry.va_bits == 32 ? half : 0 - half;
    uint64_t entry = guest_map(m, ROOT, below, PAGE, 0, USER | AD);
    uint64_t other = guest_map(m, ROOT, above, PAGE + 4096, 0, USER | AD);
    uint32_t root = root_get(m, ROOT);

    assert_int_equal(access_at(m, root, below, USERS).gpa, PAGE);
    assert_int_equal(access_at(m, root, above, USERS).gpa, PAGE + 4096);
    assert_int_not_equal(mapped(m, root, below, NULL), 0);
    assert_int_not_equal(mapped(m, root, above, NULL), 0);
    /* Writes to the root are of both its shadows. */
    device_store(m, entry, 0);
    assert_int_equal(outcome(m, root, below, USERS), GN_SHADOW_GUEST_FAULT);
    device_store(m, other, leaf_value(m, 0, PAGE + 8192, USER | AD));
    assert_int_equal(access_at(m, root, above, USERS).gpa, PAGE + 8192);
}

static void inv1_both_halves_of_the_addresses_come_from_one_root(void **state)
{
    (void)state;
    everywhere(halves_situation);
}

static void hole_situation(struct machine *m)
{
    uint32_t levels = m->geometry.levels;
    uint64_t half = (uint64_t)1 << (m->geometry.va_bits - 1);
    uint64_t holes[] = {
        half, 2 * half - GN_PAGE_SIZE, 0 - half - GN_PAGE_SIZE, 0 - 2 * half, half * 2, half * 4};
    uint32_t root;

    if (levels == m->shadow.levels || m->geometry.va_bits == 32)
        return;
    m->markers = 1;
    guest_map(m, ROOT, half - GN_PAGE_SIZE, PAGE, 0, USER | AD);
    guest_map(m, ROOT, 0 - half, PAGE, 0, USER | AD);
    guest_map(m, ROOT, 0, PAGE, 0, USER | AD);
    guest_map(m, ROOT, 0 - GN_PAGE_SIZE, PAGE, 0, USER | AD);
    root = root_get(m, ROOT);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(outcome(m, root, half - GN_PAGE_SIZE, USERS), COMPLETED);
        assert_int_equal(outcome(m, root, 0 - half, USERS), COMPLETED);
        assert_int_equal(outcome(m, root, holes[i], USERS), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(access_at(m, root, holes[i], USERS).answer.fault,
                         is_x86(m->guest) ? GN_PAGING_FAULT_NONCANONICAL : GN_PAGING_FAULT_PAGE);
        /* Nor does a sync, which could map at once, or a marker say anything there. */
        assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(ROOT), GN_PAGE_SIZE), 0);
        assert_int_equal(mapped(m, root, holes[i], NULL), 0);
        assert_int_equal(marker_at(m, root, holes[i]), 0);
    }
}

static void inv3_what_is_canonical_for_the_shadow_alone_faults_in_the_guest(void **state)
{
    (void)state;
    everywhere(hole_situation);
}

/* A root that is a table of its own at the next level, and at the level below. */
static void recursion_situation(struct machine *m)
{
    uint32_t top = m->geometry.levels - 1;
    uint32_t bits = m->geometry.level_bits[top];
    uint64_t index = bits == 2 ? 2 : 300;
    uint64_t entry = nth(m, ROOT, index);
    uint64_t inner = (index << guest_shift(m, top)) + (GVA >> m->geometry.level_bits[0]);
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    guest_write(m, entry, encode(m, top, GN_PAGING_ENTRY_TABLE, ROOT, USER));
    root = root_get(m, ROOT);
    if (m->geometry.va_bits > 32)
        inner -= (uint64_t)1 << m->geometry.va_bits;
    /* That entry lies in the upper half; below it the root's lower half is seen again. */
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    (void)outcome(m, root, inner, READ);
    coherence_check(m);
    device_store(m, entry, 0);
    assert_int_equal(outcome(m, root, inner, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv12_a_root_within_itself_has_a_shadow_for_each_place(void **state)
{
    (void)state;
    everywhere(recursion_situation);
}

/* ---- x86 with CR0.WP = 0 -------------------------------------------------------------------- */

#define NO_WP (ALL_CONTROLS & ~GN_PAGING_X86_WP)

static void wp_situation(struct machine *m)
{
    uint32_t without;
    uint32_t with;

    guest_map(m, ROOT, GVA, PAGE, 0, USER & ~GN_PAGING_W);
    without = root_under(m, NO_WP);
    with = root_under(m, ALL_CONTROLS);
    assert_int_equal(outcome(m, without, GVA, READ), COMPLETED);
    assert_int_equal(mapped(m, without, GVA, NULL) & (GN_PAGING_U | GN_PAGING_W), GN_PAGING_U);
    /* The supervisor writes: the page is the supervisor's, until the user comes. */
    assert_int_equal(outcome(m, without, GVA, WRITE), COMPLETED);
    assert_int_equal(mapped(m, without, GVA, NULL) & USER, KERNEL);
    assert_int_equal(outcome(m, without, GVA, WRITE | USERS), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, without, GVA, READ | USERS), COMPLETED);
    assert_int_equal(mapped(m, without, GVA, NULL) & (GN_PAGING_U | GN_PAGING_W), GN_PAGING_U);
    assert_int_equal(outcome(m, without, GVA, WRITE), COMPLETED);
    /* Not so with WP, in whatever order: the entry of one is none of the other. */
    assert_int_equal(outcome(m, with, GVA, WRITE), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, with, GVA, READ), COMPLETED);
    assert_int_equal(outcome(m, without, GVA, WRITE), COMPLETED);
    assert_int_equal(outcome(m, with, GVA, WRITE), GN_SHADOW_GUEST_FAULT);
    /* A page of the supervisor's is written without a flip. */
    device_store(m, guest_entry(m, ROOT, GVA, 0),
                 leaf_value(m, 0, PAGE, GN_PAGING_R | GN_PAGING_X | AD));
    assert_int_equal(outcome(m, without, GVA, READ), COMPLETED);
    assert_int_equal(access_at(m, without, GVA, WRITE).answers, 0);
    assert_int_equal(outcome(m, with, GVA, WRITE), GN_SHADOW_GUEST_FAULT);
}

static void inv7_without_wp_a_read_only_page_flips_between_user_and_supervisor(void **state)
{
    (void)state;
    of(1, wp_situation);
}

static void smep_situation(struct machine *m)
{
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, USER & ~GN_PAGING_W);
    root = root_under(m, NO_WP | GN_PAGING_X86_SMEP);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(mapped(m, root, GVA, NULL) & USER, KERNEL & ~GN_PAGING_X);
    assert_int_equal(outcome(m, root, GVA, EXEC), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, GVA, EXEC | USERS), COMPLETED);
    assert_int_equal(outcome(m, root_under(m, NO_WP), GVA, WRITE), COMPLETED);
    assert_int_equal(outcome(m, root_under(m, NO_WP), GVA, EXEC), COMPLETED);
    assert_int_equal(outcome(m, root, GVA, EXEC), GN_SHADOW_GUEST_FAULT);
}

static void inv7_without_wp_and_with_smep_what_is_written_is_not_executed(void **state)
{
    (void)state;
    of(1, smep_situation);
}

static void smap_situation(struct machine *m)
{
    uint64_t value = 5;
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, USER & ~GN_PAGING_W);
    root = root_under(m, NO_WP | GN_PAGING_X86_SMAP);
    assert_int_equal(outcome(m, root, GVA, WRITE), GN_SHADOW_GUEST_FAULT);
    m->controls |= GN_PAGING_X86_AC;
    /* A supervisor's page would be open without AC, too: there is no entry for this. */
    assert_int_equal(outcome(m, root, GVA, WRITE), GN_SHADOW_EMULATE);
    assert_int_equal(guest_store(m, root, GVA, &value, 8), GN_SHADOW_EMULATE);
    assert_int_equal(guest_read(m, PAGE), 5);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    m->controls &= ~GN_PAGING_X86_AC;
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(stats(m).emulated, 2);
}

static void inv7_without_wp_and_with_smap_such_a_write_is_emulated(void **state)
{
    (void)state;
    of(1, smap_situation);
}

/* ---- Another architecture ------------------------------------------------------------------- */

static void supervisor_runs_user_page(struct machine *m)
{
    uint32_t plain;
    uint32_t smap;
    uint32_t smep;

    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    plain = root_under(m, ALL_CONTROLS);
    smap = root_under(m, ALL_CONTROLS | GN_PAGING_X86_SMAP);
    smep = root_under(m, ALL_CONTROLS | GN_PAGING_X86_SMEP);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(outcome(m, plain, GVA, EXEC), COMPLETED);
        assert_int_equal(outcome(m, plain, GVA, WRITE), COMPLETED);
        assert_int_equal(outcome(m, plain, GVA, WRITE | USERS), COMPLETED);
        /* With SMAP the supervisor may run what it may not read. */
        assert_int_equal(outcome(m, smap, GVA, EXEC), COMPLETED);
        assert_int_equal(outcome(m, smap, GVA, READ), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, smap, GVA, EXEC), COMPLETED);
        assert_int_equal(outcome(m, smap, GVA, READ | USERS), COMPLETED);
        assert_int_equal(outcome(m, smep, GVA, EXEC), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, smep, GVA, READ), COMPLETED);
        m->controls ^= GN_PAGING_X86_AC;
        assert_int_equal(outcome(m, smap, GVA, READ), COMPLETED);
        m->controls ^= GN_PAGING_X86_AC;
    }
}

static void inv7_smep_and_smap_hold_in_a_shadow_that_knows_neither(void **state)
{
    (void)state;
    of(1, supervisor_runs_user_page);
}

static void riscv_rules(struct machine *m)
{
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    guest_map(m, ROOT, GVA + 4096, PAGE, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    for (uint32_t sum = 0; sum < 2; sum++) {
        assert_int_equal(outcome(m, root, GVA, READ), sum ? COMPLETED : GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, root, GVA, WRITE), sum ? COMPLETED : GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, root, GVA, WRITE | USERS), COMPLETED);
        assert_int_equal(outcome(m, root, GVA, EXEC), GN_SHADOW_GUEST_FAULT);
        assert_int_equal(outcome(m, root, GVA, EXEC | USERS), COMPLETED);
        assert_int_equal(outcome(m, root, GVA + 4096, EXEC), COMPLETED);
        assert_int_equal(outcome(m, root, GVA + 4096, EXEC | USERS), GN_SHADOW_GUEST_FAULT);
        m->controls |= GN_PAGING_RISCV_SUM;
    }
}

static void inv7_sum_holds_in_a_shadow_that_has_smap(void **state)
{
    (void)state;
    of(0, riscv_rules);
}

static void execute_only(struct machine *m)
{
    uint32_t cross = is_x86(m->format);
    uint32_t root;
    uint32_t mxr;

    guest_map(m, ROOT, GVA, PAGE, 0, GN_PAGING_X | GN_PAGING_A);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, GVA, EXEC), cross ? GN_SHADOW_EMULATE : COMPLETED);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
    m->controls |= GN_PAGING_RISCV_MXR;
    mxr = root_get(m, ROOT);
    assert_int_equal(mxr == root, !cross);
    assert_int_equal(outcome(m, mxr, GVA, READ), COMPLETED);
    assert_int_equal(outcome(m, mxr, GVA, EXEC), COMPLETED);
    m->controls &= ~GN_PAGING_RISCV_MXR;
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv7_execute_only_is_never_readable_but_with_mxr(void **state)
{
    (void)state;
    of(0, execute_only);
}

static void the_mmu_runs_under_controls_that_say_what_the_guests_say(void **state)
{
    const uint32_t x86 = GN_PAGING_X86_WP | GN_PAGING_X86_NXE;
    const uint32_t smap = GN_PAGING_X86_SMAP;
    const uint32_t ac = GN_PAGING_X86_AC;
    struct machine *m = machine_new(GN_PAGING_X86_4LEVEL, 0);

    (void)state;
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_X86_4LEVEL, smap, 0), x86 | smap);
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_BARE, ac, 0), x86 | ac);
    assert_int_equal(gn_shadow_mmu_controls(NULL, GN_PAGING_SV39, 7, 0), 7);
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_SV39, GN_PAGING_RISCV_SUM, 0),
                     x86 | GN_PAGING_X86_SMEP | smap | ac);
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_SV39, GN_PAGING_RISCV_MXR, 0),
                     x86 | GN_PAGING_X86_SMEP | smap);
    machine_free(m);
    m = machine_new(GN_PAGING_SV48, 0);
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_SV39, GN_PAGING_RISCV_MXR, 0),
                     GN_PAGING_RISCV_MXR);
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_X86_4LEVEL, 0, 0),
                     GN_PAGING_RISCV_SUM);
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_X86_4LEVEL, smap, 0), 0);
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_X86_4LEVEL, smap | ac, 0),
                     GN_PAGING_RISCV_SUM);
    assert_int_equal(
        gn_shadow_mmu_controls(m->sh, GN_PAGING_X86_4LEVEL, smap | ac, GN_PAGING_IMPLICIT), 0);
    machine_free(m);
}

/* ---- Tables of another span ----------------------------------------------------------------- */

/* Two levels of 1,024 entries of 4 bytes: eight shadow tables stand for each pair. */
static void inv8_a_guest_table_of_another_span_has_a_shadow_for_each_quadrant(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 0);
    struct gn_shadow_root_key key = {GN_SHADOW_ROOT_KEY_INIT, .format = 1, .table = gn_gpa(ROOT)};
    struct gn_paging_entry e = {
        .kind = GN_PAGING_ENTRY_TABLE, .address = PAGE, .permissions = GN_PAGING_RWXU};
    struct gn_shadow__role root;
    struct gn_shadow__role role;
    struct gn_shadow__place at;
    uint32_t first;
    uint32_t last;

    (void)state;
    assert_int_equal(gn_shadow__root_role(m->sh, &key, 2, 0).direct, GN_SHADOW__GLUE);
    for (uint64_t gva = 0; gva < (uint64_t)4 << 30; gva += 0x1fff000) {
        root = gn_shadow__root_role(m->sh, &key, 1, gva);
        assert_int_equal(root.direct, GN_SHADOW__GUEST);
        assert_int_equal(root.half, 0);
        assert_int_equal(root.quadrant, gva >> 30);
        assert_true(gn_shadow__place(m->sh, &root, gn_shadow__index(gva, 1), &at));
        assert_int_equal(at.gpa.v, ROOT + 4 * (gva >> 22));
        assert_int_equal(at.bytes, 4);
        assert_int_equal(at.offset, gva & 0x200000);
        role = gn_shadow__child_role(m->sh, &root, gn_shadow__index(gva, 1), &e);
        assert_int_equal(role.quadrant, gva >> 21 & 1);
        assert_true(gn_shadow__place(m->sh, &role, gn_shadow__index(gva, 0), &at));
        assert_int_equal(at.gpa.v, PAGE + 4 * (gva >> 12 & 1023));
        assert_int_equal(at.offset, 0);
        /* A write to the root's entry is of both entries that stand for it, here alone. */
        assert_true(gn_shadow__places(m->sh, &root, 4 * (uint32_t)(gva >> 22) + 3,
                                      4 * (uint32_t)(gva >> 22) + 3, &first, &last));
        assert_int_equal(first, gn_shadow__index(gva, 1) & ~1u);
        assert_int_equal(last, first + 1);
        assert_true(gn_shadow__places(m->sh, &root, 0, 4095, &first, &last));
        assert_int_equal(first, 0);
        assert_int_equal(last, 511);
        root.quadrant ^= 1;
        assert_false(gn_shadow__places(m->sh, &root, 4 * (uint32_t)(gva >> 22),
                                       4 * (uint32_t)(gva >> 22), &first, &last));
    }
    machine_free(m);
}

/* Four entries of eight bytes, aligned to 32: the topmost table of x86 PAE. */
static void a_short_root_table_is_a_part_of_its_page(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 0);
    struct gn_shadow__role role = {.gpa = ROOT + 0x60, .format = 2, .level = 2};
    struct gn_shadow__place at;
    uint32_t first;
    uint32_t last;

    (void)state;
    assert_int_equal(gn_shadow__root_bytes(&m->sh->guests[2]), 32);
    assert_int_equal(gn_shadow__root_bytes(&m->sh->guests[GN_PAGING_SV39]), 4096);
    assert_true(gn_shadow__place(m->sh, &role, 3, &at));
    assert_int_equal(at.gpa.v, ROOT + 0x78);
    assert_false(gn_shadow__place(m->sh, &role, 4, &at));
    assert_false(gn_shadow__places(m->sh, &role, 0, 0x5f, &first, &last));
    assert_true(gn_shadow__places(m->sh, &role, 0x50, 0x6f, &first, &last));
    assert_int_equal(first, 0);
    assert_int_equal(last, 1);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv1_both_halves_of_the_addresses_come_from_one_root),
        cmocka_unit_test(inv3_what_is_canonical_for_the_shadow_alone_faults_in_the_guest),
        cmocka_unit_test(inv12_a_root_within_itself_has_a_shadow_for_each_place),
        cmocka_unit_test(inv7_without_wp_a_read_only_page_flips_between_user_and_supervisor),
        cmocka_unit_test(inv7_without_wp_and_with_smep_what_is_written_is_not_executed),
        cmocka_unit_test(inv7_without_wp_and_with_smap_such_a_write_is_emulated),
        cmocka_unit_test(inv7_smep_and_smap_hold_in_a_shadow_that_knows_neither),
        cmocka_unit_test(inv7_sum_holds_in_a_shadow_that_has_smap),
        cmocka_unit_test(inv7_execute_only_is_never_readable_but_with_mxr),
        cmocka_unit_test(the_mmu_runs_under_controls_that_say_what_the_guests_say),
        cmocka_unit_test(inv8_a_guest_table_of_another_span_has_a_shadow_for_each_quadrant),
        cmocka_unit_test(a_short_root_table_is_a_part_of_its_page),
    };

    return cmocka_run_group_tests_name("shadow_formats", tests, NULL, NULL);
}
