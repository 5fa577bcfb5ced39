/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Calls that keep to params.step_limit, before guests that make work for them: of each call the
 * guest's entries read and the MMU's entries forgotten are counted, and of all calls that it takes,
 * how many.
 */

#include "log.h"
#include "situations.h"

#define AREA   ((uint64_t)1 << 30) /* where one page is mapped all over */
#define OTHER  ((uint64_t)5 << 30)
#define COPIES 1536u
#define FOUND  (PAGE + 0x40000)

/* Entries read, and translations forgotten, so far. */
static uint32_t work(const struct machine *m)
{
    return m->loads + m->invalidated_ranges + m->invalidated_all;
}

/*
 * A walk and a way of tables beside the steps, each of which is a read and a write at most. A table
 * is free when its last entry has gone.
 */
#define IN_PARTS(m, ret_calls, call)                                                \
    do {                                                                            \
        int rc_;                                                                    \
                                                                                    \
        *(ret_calls) = 0;                                                           \
        do {                                                                        \
            uint32_t was_ = work(m);                                                \
            uint64_t freed_ = stats(m).tables_freed;                                \
                                                                                    \
            rc_ = (call);                                                           \
            if ((m)->steps) {                                                       \
                assert_in_range(work(m) - was_, 0, 2 * (m)->steps + 40);            \
                assert_in_range(stats(m).tables_freed - freed_, 0, (m)->steps + 1); \
            }                                                                       \
            assert_true(++*(ret_calls) < 100000);                                   \
        } while (rc_ == -GN_ERR_AGAIN);                                             \
        assert_int_equal(rc_, 0);                                                   \
    } while (0)

static void everywhere_limited(void (*situation)(struct machine *m), uint32_t tables)
{
    static const uint32_t limits[] = {0, 1, 5, 64, 700};

    for (uint32_t i = 0; i < 5 * 5 * POLICIES; i++) {
        struct gn_shadow_params p = machine_params(formats[i % 5], i / 5 % POLICIES, tables);
        struct machine *m;

        p.step_limit = limits[i / 5 / POLICIES];
        p.roots = 4;
        m = machine_new_params(p);
        situation(m);
        coherence_check(m);
        machine_free(m);
    }
}

/* One page, mapped by many entries, all written. @return the root's id */
static uint32_t copies_make(struct machine *m)
{
    uint32_t root;

    for (uint64_t i = 0; i < COPIES; i++)
        guest_map(m, ROOT, AREA + i * 4096, PAGE, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    for (uint64_t i = 0; i < COPIES; i++)
        assert_int_equal(outcome(m, root, AREA + i * 4096, WRITE), COMPLETED);
    return root;
}

static void drain(struct machine *m)
{
    for (uint32_t i = 0; i < m->logged; i++)
        machine_sync(m, m->log[i].gpa, m->log[i].length);
    m->logged = 0;
}

/* ---- A page that becomes a table ------------------------------------------------------------ */

static uint64_t other_entry(struct machine *m)
{
    uint64_t entry = PAGE + (OTHER >> 12 & 511) * 8;

    *ram_word(m, guest_entry(m, ROOT, OTHER, 1)) = table_value(m, PAGE);
    *ram_word(m, entry) = leaf_value(m, 0, FOUND, KERNEL | AD);
    return entry;
}

static void becomes_situation(struct machine *m)
{
    uint32_t root = copies_make(m);
    struct gn_shadow_answer answer;
    uint32_t calls;

    other_entry(m);
    IN_PARTS(m, &calls, shadow_fault(m, root, OTHER, READ, &answer));
    assert_int_equal(answer.outcome, GN_SHADOW_FILLED);
    assert_in_range(calls, m->steps ? 1 + COPIES / (m->steps + 1) : 1,
                    m->steps ? 20 + 2 * COPIES / m->steps : 1);
    assert_int_equal(access_at(m, root, OTHER, READ).gpa, FOUND);
    /* From here on every write is known, by whichever of the mappings. */
    for (uint64_t i = 0; i < COPIES; i++) {
        uint32_t permissions = mapped(m, root, AREA + i * 4096, NULL);

        assert_true(!(permissions & GN_PAGING_W) || permissions & GN_SHADOW_TRACED);
    }
}

static void inv12_a_page_mapped_by_many_becomes_a_table_in_parts(void **state)
{
    (void)state;
    everywhere_limited(becomes_situation, 256);
}

/* Between the parts: a mapping that is about to be seen to goes, others come, the table is written.
 */
static void meddled_situation(struct machine *m)
{
    uint32_t root = copies_make(m);
    struct gn_shadow_answer answer;
    uint64_t entry = other_entry(m);
    uint32_t calls = 0;

    if (!m->steps)
        return;
    while (shadow_fault(m, root, OTHER, READ, &answer) == -GN_ERR_AGAIN) {
        uint64_t i = COPIES - 1 - calls * 7 % COPIES;
        uint64_t value = leaf_value(m, 0, FOUND + (calls % 8) * 4096, KERNEL | AD);

        assert_true(calls++ < 100000);
        device_store(m, guest_entry(m, ROOT, AREA + i * 4096, 0), 0);
        device_store(m, guest_entry(m, ROOT, AREA + i * 4096, 0),
                     leaf_value(m, 0, PAGE, KERNEL | AD));
        guest_store(m, root, AREA + i * 4096 + (entry & GN_PAGE_MASK), &value, 8);
        drain(m);
        m->olds = 0;
        /* What nobody reported may not be used. */
        assert_int_equal(mapped(m, root, OTHER, NULL), 0);
    }
    assert_int_equal(answer.outcome, GN_SHADOW_FILLED);
    assert_int_equal(leaf_value(m, 0, access_at(m, root, OTHER, READ).gpa, KERNEL | AD),
                     *ram_word(m, entry));
    for (uint64_t i = 0; i < COPIES; i++) {
        uint32_t permissions = mapped(m, root, AREA + i * 4096, NULL);

        assert_true(!(permissions & GN_PAGING_W) || permissions & GN_SHADOW_TRACED);
    }
}

static void inv5_what_changes_while_a_page_becomes_a_table_is_not_missed(void **state)
{
    (void)state;
    everywhere_limited(meddled_situation, 256);
}

static void watched_situation(struct machine *m)
{
    uint32_t root = copies_make(m);
    uint32_t calls;

    IN_PARTS(m, &calls, gn_shadow_watch(m->sh, gn_gpa(PAGE), 1));
    m->watched[PAGE >> GN_PAGE_SHIFT] = 1;
    assert_in_range(calls, 1, m->steps ? 2 + COPIES / m->steps : 1);
    for (uint64_t i = 0; i < COPIES; i++) {
        uint32_t permissions = mapped(m, root, AREA + i * 4096, NULL);

        assert_true(!(permissions & GN_PAGING_W) || permissions & GN_SHADOW_TRACED);
    }
    IN_PARTS(m, &calls, gn_shadow_watch(m->sh, gn_gpa(PAGE), 0));
    m->watched[PAGE >> GN_PAGE_SHIFT] = 0;
    assert_int_equal(calls, 1);
}

static void inv12_a_page_mapped_by_many_is_watched_in_parts(void **state)
{
    (void)state;
    everywhere_limited(watched_situation, 256);
}

/* ---- Making room ---------------------------------------------------------------------------- */

/* A leaf-level table to which 512 entries lead, and 512 pages in it, where tables are few. */
static void reclaim_situation(struct machine *m)
{
    struct gn_shadow_answer answer;
    uint64_t leaf = guest_entry(m, ROOT, AREA, 0) & ~GN_PAGE_MASK;
    uint64_t above = guest_entry(m, ROOT, AREA, 1) & ~GN_PAGE_MASK;
    uint32_t root = root_get(m, ROOT);
    uint32_t calls;

    for (uint64_t i = 0; i < 512; i++) {
        *ram_word(m, leaf + i * 8) = leaf_value(m, 0, PAGE + i % 64 * 4096, KERNEL | AD);
        *ram_word(m, above + i * 8) = table_value(m, leaf);
        assert_int_equal(outcome(m, root, AREA + (i << 21) + (i << 12), READ), COMPLETED);
    }
    for (uint64_t i = 0; i < 40; i++) {
        guest_map(m, ROOT, OTHER + (i << 21), PAGE, 0, KERNEL | AD);
        IN_PARTS(m, &calls, shadow_fault(m, root, OTHER + (i << 21), READ, &answer));
        assert_int_equal(answer.outcome, GN_SHADOW_FILLED);
        assert_int_equal(outcome(m, root, OTHER + (i << 21), READ), COMPLETED);
    }
    assert_true(stats(m).tables_reclaimed > 20);
    assert_int_equal(outcome(m, root, AREA + 4096, READ), COMPLETED);
}

static void inv12_a_table_of_many_parents_is_reclaimed_in_parts(void **state)
{
    (void)state;
    everywhere_limited(reclaim_situation, 16);
}

/* A root that is evicted leaves a large tree behind; what was shared with it stays right. */
static void evict_situation(struct machine *m)
{
    uint32_t root = copies_make(m);
    struct gn_shadow_root_key key = root_key(m, ROOT2);
    uint32_t calls;

    assert_int_equal(gn_shadow_root_put(m->sh, root), 0);
    for (uint64_t i = 0; i < 5; i++) {
        struct gn_shadow_root other;

        key.tag = i;
        IN_PARTS(m, &calls, gn_shadow_root_get(m->sh, &key, &other));
        m->root_hpa[other.id] = other.hpa.v;
        m->root_key[other.id] = key;
        assert_int_equal(gn_shadow_root_put(m->sh, other.id), 0);
    }
    assert_true(m->roots_gone >= 2);
    assert_int_equal(audit(m), 0);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, AREA, WRITE), COMPLETED);
    assert_int_equal(gn_shadow_root_put(m->sh, root), 0);
}

static void inv12_a_root_over_many_tables_is_evicted_in_parts(void **state)
{
    (void)state;
    everywhere_limited(evict_situation, 64);
}

/* ---- Slots, logs, flushes ------------------------------------------------------------------- */

static void device_situation(struct machine *m)
{
    struct gn_shadow_slot slot = {GN_SHADOW_SLOT_INIT, .kind = GN_SHADOW_SLOT_MMIO,
                                  .gpa = gn_gpa((uint64_t)1 << 30), .length = (uint64_t)1 << 30};
    uint32_t root = copies_make(m);
    uint32_t calls;
    uint32_t id;

    IN_PARTS(m, &calls, gn_shadow_slot_add(m->sh, &slot, NULL, 0, &id));
    assert_in_range(calls, m->steps ? 1 + COPIES / (m->steps + 1) : 1,
                    m->steps ? 20 + 2 * COPIES / m->steps : 1);
    m->slot[id] = slot;
    assert_int_equal(mapped(m, root, AREA, NULL), 0);
    assert_int_equal(outcome(m, root, AREA, READ), COMPLETED);
    IN_PARTS(m, &calls, gn_shadow_slot_remove(m->sh, id));
    m->slot[id].size = 0;
}

static void inv12_a_slot_of_a_gigabyte_is_added_in_parts(void **state)
{
    (void)state;
    everywhere_limited(device_situation, 256);
}

static void log_situation(struct machine *m)
{
    uint32_t root = copies_make(m);
    size_t bytes = gn_shadow_dirty_size(RAM_BYTES);
    uint64_t *bitmap = calloc(1, bytes);
    uint64_t pages = RAM_BYTES >> GN_PAGE_SHIFT;
    uint32_t calls;

    m->log_mem[0] = malloc(bytes);
    IN_PARTS(m, &calls, gn_shadow_dirty_start(m->sh, 0, m->log_mem[0], bytes));
    assert_in_range(calls, 1, m->steps ? 4 + 2 * (COPIES + 2 * pages) / m->steps : 1);
    assert_int_equal(gn_shadow_dirty_start(m->sh, 0, m->log_mem[0], bytes), -GN_ERR_EXIST);
    for (uint64_t i = 0; i < COPIES; i++)
        assert_int_equal(mapped(m, root, AREA + i * 4096, NULL) & GN_PAGING_W, 0);
    assert_int_equal(outcome(m, root, AREA + 5 * 4096, WRITE), COMPLETED);
    IN_PARTS(m, &calls, gn_shadow_dirty_harvest(m->sh, 0, 0, pages, bitmap, NULL));
    assert_true(bitmap[(PAGE >> GN_PAGE_SHIFT) / 64] >> (PAGE >> GN_PAGE_SHIFT) % 64 & 1);
    free(bitmap);
}

static void inv12_a_log_begins_in_parts(void **state)
{
    (void)state;
    everywhere_limited(log_situation, 256);
}

/* Unsync tables with more in them than a call may re-read. */
static void flush_situation(struct machine *m)
{
    uint32_t root = copies_make(m);
    uint32_t calls;

    for (uint64_t i = 0; i < COPIES; i += 512)
        guest_map(m, ROOT, OTHER + (i << 3),
                  guest_entry(m, ROOT, AREA + (i << 12), 0) & ~GN_PAGE_MASK, 0, KERNEL | AD);
    for (uint64_t n = 0; n < 6; n++) {
        for (uint64_t i = 0; i < COPIES; i += 512) {
            uint64_t entry = guest_entry(m, ROOT, AREA + ((i + n) << 12), 0);
            uint64_t value = leaf_value(m, 0, FOUND + n * 4096, KERNEL | AD);

            guest_store(m, root, OTHER + (i << 3) + (entry & GN_PAGE_MASK), &value, 8);
        }
    }
    drain(m);
    IN_PARTS(m, &calls, gn_shadow_coherence_root(m->sh, root));
    assert_in_range(calls, 1, m->steps ? 20 + COPIES / m->steps : 1);
    m->olds = 0;
    tlb_is_within_the_guest(m);
    for (uint64_t n = 0; n < 6; n++)
        assert_int_equal(access_at(m, root, AREA + (n << 12), READ).gpa, FOUND + n * 4096);
    if (m->policy == GN_SHADOW_POLICY_UNSYNC && (!m->steps || m->steps > 600))
        assert_true(stats(m).pages_unsync > 0);
}

static void inv12_a_flush_of_unsync_tables_comes_in_parts(void **state)
{
    (void)state;
    everywhere_limited(flush_situation, 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv12_a_page_mapped_by_many_becomes_a_table_in_parts),
        cmocka_unit_test(inv5_what_changes_while_a_page_becomes_a_table_is_not_missed),
        cmocka_unit_test(inv12_a_page_mapped_by_many_is_watched_in_parts),
        cmocka_unit_test(inv12_a_table_of_many_parents_is_reclaimed_in_parts),
        cmocka_unit_test(inv12_a_root_over_many_tables_is_evicted_in_parts),
        cmocka_unit_test(inv12_a_slot_of_a_gigabyte_is_added_in_parts),
        cmocka_unit_test(inv12_a_log_begins_in_parts),
        cmocka_unit_test(inv12_a_flush_of_unsync_tables_comes_in_parts),
    };

    return cmocka_run_group_tests_name("shadow_parts", tests, NULL, NULL);
}
