/* SPDX-License-Identifier: BSD-3-Clause */

/* Watched pages: their writes become known, whoever maps them and whatever else they hold. */

#include "situations.h"

#define OTHER (GVA + 8 * 4096) /* another mapping of the same page */

/* What becomes of a write to a watched page that holds no table. */
static uint32_t watched_write(const struct machine *m)
{
    return m->policy == GN_SHADOW_POLICY_TRACED ? COMPLETED : GN_SHADOW_TRAPPED;
}

static void watch(struct machine *m, uint64_t page, uint32_t on)
{
    assert_int_equal(gn_shadow_watch(m->sh, gn_gpa(page), on), 0);
    m->watched[page >> GN_PAGE_SHIFT] = (uint8_t)on;
}

static int is_marked(struct machine *m, uint32_t root, uint64_t gva)
{
    return (mapped(m, root, gva, NULL) & GN_SHADOW_TRACED) != 0;
}

static uint32_t two_mappings(struct machine *m)
{
    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    guest_map(m, ROOT, OTHER, PAGE, 0, KERNEL | AD);
    return root_get(m, ROOT);
}

static void known_situation(struct machine *m)
{
    uint32_t root = two_mappings(m);

    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_false(is_marked(m, root, GVA));
    watch(m, PAGE, 1);
    /* What was mapped before, and what comes after. */
    assert_int_equal(outcome(m, root, GVA, WRITE), watched_write(m));
    assert_int_equal(outcome(m, root, OTHER, WRITE), watched_write(m));
    assert_int_equal(outcome(m, root, OTHER, READ), COMPLETED);
    if (m->policy == GN_SHADOW_POLICY_TRACED) {
        assert_true(is_marked(m, root, GVA));
        assert_true(is_marked(m, root, OTHER));
    }
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(PAGE)), 0);
    /* Each time: trapping it often changes nothing. */
    for (int i = 0; i < 10; i++)
        assert_int_equal(outcome(m, root, GVA, WRITE), watched_write(m));
    watch(m, PAGE, 0);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(mapped(m, root, GVA, NULL) & (GN_PAGING_W | GN_SHADOW_TRACED), GN_PAGING_W);
}

static void writes_to_a_watched_page_are_known_until_the_watch_ends(void **state)
{
    (void)state;
    everywhere(known_situation);
}

static void twice_situation(struct machine *m)
{
    uint32_t root = two_mappings(m);

    watch(m, PAGE, 0);
    for (int i = 0; i < 3; i++)
        watch(m, PAGE, 1);
    assert_int_equal(outcome(m, root, GVA, WRITE), watched_write(m));
    watch(m, PAGE, 0);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_false(is_marked(m, root, GVA));
}

static void a_watch_is_a_bit_and_no_count(void **state)
{
    (void)state;
    everywhere(twice_situation);
}

static void table_situation(struct machine *m)
{
    uint64_t above;
    uint64_t page;
    uint32_t root = table_at_far(m, &above, &page);

    /* Under UNSYNC this write would not be seen from here on. */
    assert_int_equal(outcome(m, root, FAR, WRITE), first_write(m, 1));
    watch(m, page, 1);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(page)), 1);
    assert_int_equal(outcome(m, root, FAR, WRITE), watched_write(m));
    /* The table goes, the watch stays; and the other way about. */
    device_store(m, above, 0);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(page)), 0);
    assert_int_equal(m->table_page[page >> GN_PAGE_SHIFT], 0);
    assert_int_equal(outcome(m, root, FAR, WRITE), watched_write(m));
    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    coherence_point(m);
    page = guest_entry(m, ROOT, GVA, 0) & ~GN_PAGE_MASK;
    watch(m, page, 1);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(m->table_page[page >> GN_PAGE_SHIFT], 1);
    watch(m, page, 0);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(page)), 1);
    coherence_check(m);
}

static void a_page_may_hold_tables_and_be_watched(void **state)
{
    (void)state;
    everywhere(table_situation);
}

/* ---- What the audit asks of such a page -------------------------------------------------------
 */

static void note_kind(void *ctx, const struct gn_shadow_difference *d)
{
    *(uint32_t *)ctx |= 1u << d->kind;
}

/* Makes a leaf writable and takes its mark, in every table that has it */
static void damage(struct machine *m, uint32_t root, uint64_t gva)
{
    struct gn_paging_entry e;
    uint64_t is;
    uint64_t open;

    assert_int_equal(spt_leaf(m, root, gva, &e, &is), 0);
    e.permissions = (e.permissions | GN_PAGING_W | GN_PAGING_D) & ~GN_SHADOW_TRACED;
    assert_int_equal(gn_paging_entry_encode(m->format, 0, &e, &open), 0);
    for (uint32_t i = 0; i < m->sh->params.tables * GN_SHADOW__ENTRIES; i++) {
        struct gn_shadow__table *t = &m->sh->tables[i / GN_SHADOW__ENTRIES];

        if (t->live && t->entries[i % GN_SHADOW__ENTRIES] == is)
            t->entries[i % GN_SHADOW__ENTRIES] = open;
    }
}

/* The last table of a page goes, and the mark on what maps it stays: that is as good as a trap. */
static void gone_situation(struct machine *m)
{
    uint64_t above;
    uint64_t page;
    uint64_t differences;
    uint32_t kinds = 0;
    uint32_t root = table_at_far(m, &above, &page);

    /* Until ADAPT has it traced. */
    for (uint32_t i = 0; i < 8; i++)
        (void)access_at(m, root, FAR, WRITE);
    watch(m, page, 1);
    (void)access_at(m, root, FAR, WRITE);
    device_store(m, above, 0);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(page)), 0);
    if (m->policy == GN_SHADOW_POLICY_TRACED || m->policy == POLICY_ADAPT_TRACED)
        assert_true(is_marked(m, root, FAR));
    assert_int_equal(audit(m), 0);
    assert_int_equal(outcome(m, root, FAR, READ), COMPLETED);
    damage(m, root, FAR);
    assert_int_equal(gn_shadow_audit(m->sh, root, note_kind, &kinds, &differences, NULL), 0);
    assert_int_equal(differences, 1);
    assert_int_equal(kinds, 1u << GN_SHADOW_AUDIT_TRACE);
    UNTIL_DONE(gn_shadow_flush(m->sh, GN_SHADOW_ROOT_ANY));
    watch(m, page, 0);
}

static void inv5_the_audit_asks_for_a_mark_or_a_trap_while_a_page_is_watched(void **state)
{
    (void)state;
    everywhere(gone_situation);
}

static void large_situation(struct machine *m)
{
    uint64_t gva = FAR;
    uint32_t level = 0;
    uint32_t root;

    if (guest_span(m, 1) != span_of(1))
        return;
    guest_map(m, ROOT, gva, 0x200000, 1, KERNEL | AD);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, gva, WRITE), COMPLETED);
    (void)mapped(m, root, gva, &level);
    assert_int_equal(level, 1);
    watch(m, 0x203000, 1);
    assert_int_equal(outcome(m, root, gva + 0x3000, WRITE), watched_write(m));
    assert_int_equal(outcome(m, root, gva + 0x4000, WRITE), COMPLETED);
    assert_false(is_marked(m, root, gva + 0x4000));
    watch(m, 0x203000, 0);
    assert_int_equal(outcome(m, root, gva + 0x3000, WRITE), COMPLETED);
}

static void a_watched_page_inside_a_large_one_is_mapped_by_itself(void **state)
{
    (void)state;
    everywhere(large_situation);
}

static void what_cannot_be_watched_is_refused(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, GN_SHADOW_POLICY_TRAP);

    (void)state;
    slot_add(m, GN_SHADOW_SLOT_MMIO, MMIO, 0x4000, 0);
    assert_int_equal(gn_shadow_watch(NULL, gn_gpa(PAGE), 1), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_watch(m->sh, gn_gpa(PAGE + 8), 1), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_watch(m->sh, gn_gpa(PAGE), 2), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_watch(m->sh, gn_gpa(MMIO), 1), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_watch(m->sh, gn_gpa((uint64_t)1 << 45), 1), -GN_ERR_NOENT);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_to_a_watched_page_are_known_until_the_watch_ends),
        cmocka_unit_test(a_watch_is_a_bit_and_no_count),
        cmocka_unit_test(a_page_may_hold_tables_and_be_watched),
        cmocka_unit_test(inv5_the_audit_asks_for_a_mark_or_a_trap_while_a_page_is_watched),
        cmocka_unit_test(a_watched_page_inside_a_large_one_is_mapped_by_itself),
        cmocka_unit_test(what_cannot_be_watched_is_refused),
    };

    return cmocka_run_group_tests_name("shadow: watched pages", tests, NULL, NULL);
}
