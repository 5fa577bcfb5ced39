/* SPDX-License-Identifier: BSD-3-Clause */

/* What a walk finds in each format, and what it makes of tables that are damaged. */

#include "machine.h"

static const uint32_t formats[] = {GN_PAGING_SV39, GN_PAGING_SV48, GN_PAGING_SV57,
                                   GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL};
#define FORMATS (sizeof formats / sizeof formats[0])

/* An address with another index at each level, in the lower or the upper half. */
static uint64_t high_gva(const struct machine *m)
{
    return ~(uint64_t)0 << (m->geometry.va_bits - 1) | 0x0055aa3377123000ull >> 9;
}

static uint64_t low_gva(const struct machine *m)
{
    return 0x00550e3377123000ull & (((uint64_t)1 << (m->geometry.va_bits - 1)) - 1);
}

static void expect_done(struct machine *m, uint64_t gva, uint32_t access, uint64_t hpa)
{
    struct gn_softmmu_answer r = machine_access(m, 0, gva, access, 8);

    assert_int_equal(r.mmu.outcome, GN_MMU_DONE);
    assert_int_equal(r.hpa.v, hpa);
    assert_ptr_equal(machine_probe(m, 0, gva, access), m->memory + hpa);
}

static void expect_stop(struct machine *m, uint64_t gva, uint32_t outcome, uint64_t entry)
{
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
        struct gn_softmmu_answer r = machine_access(m, 0, gva, kind, 8);

        assert_int_equal(r.mmu.outcome, outcome);
        assert_int_equal(r.mmu.entry, entry);
        assert_null(machine_probe(m, 0, gva, kind));
    }
}

static void a_page_translates_in_every_format(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct machine *m = machine_new(formats[f], 1, 64);
        uint64_t root = machine_table(m), gva[] = {low_gva(m), high_gva(m) & ~GN_PAGE_MASK, 0};

        machine_load(m, 1, root);
        for (size_t i = 0; i < 3; i++) {
            machine_map(m, root, gva[i], (i + 5) << 12, R | W | X);
            expect_done(m, gva[i], READ, (i + 5) << 12);
            expect_done(m, gva[i] + 0xff8, WRITE, (i + 5) << 12 | 0xff8);
            expect_done(m, gva[i] + 0x123, EXEC, (i + 5) << 12 | 0x123);
        }
        machine_free(m);
    }
}

static void a_large_leaf_translates_at_every_level_that_has_one(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct machine *m = machine_new(formats[f], 1, 64);
        uint32_t levels = 0;

        for (uint32_t level = 1; level < m->geometry.levels; level++) {
            uint64_t span = (uint64_t)1 << (12 + 9 * level), root = machine_table(m);
            uint64_t gva = low_gva(m) & ~(span - 1), hpa = level == 1 ? span * 3 : 0;

            if (!(m->geometry.leaf_levels >> level & 1))
                continue;
            levels++;
            machine_map_large(m, root, gva, level, hpa, R | W | X);
            machine_load(m, level, root);
            expect_done(m, gva, READ, hpa);
            expect_done(m, gva + 0x1ff678, WRITE, hpa + 0x1ff678);
            expect_done(m, gva + 0x123456, EXEC, hpa + 0x123456);
            /* One page was cached, not the leaf. */
            assert_null(machine_probe(m, 0, gva + 0x5000, READ));
            expect_stop(m, gva ^ span, GN_MMU_ABSENT, 0);
        }
        assert_int_equal(levels, machine_is_x86(m) ? 2 : m->geometry.levels - 1);
        machine_free(m);
    }
}

static void a_large_leaf_is_memory_as_far_as_there_is_memory(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct machine *m = machine_new(formats[f], 1, 64);
        uint64_t root = machine_table(m);
        uint64_t *leaf = machine_map_large(m, root, 0, 2, 0, R | W | X);

        machine_load(m, 1, root);
        expect_done(m, MEMORY_SIZE - 4096, READ, MEMORY_SIZE - 4096);
        expect_done(m, MEMORY_SIZE - 8, WRITE, MEMORY_SIZE - 8);
        expect_stop(m, MEMORY_SIZE, GN_MMU_BAD_TABLE, *leaf);
        expect_stop(m, ((uint64_t)1 << 30) - 8, GN_MMU_BAD_TABLE, *leaf);
        machine_free(m);
    }
}

static void an_absent_entry_stops_at_its_level_and_is_named(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct machine *m = machine_new(formats[f], 1, 64);
        uint64_t root = machine_table(m), gva = low_gva(m);

        machine_map(m, root, gva, 0x5000, R | W | X);
        machine_load(m, 1, root);
        for (uint32_t level = 0; level < m->geometry.levels; level++) {
            uint64_t *entry = machine_entry(m, root, gva, level), saved = *entry;

            *entry = 0;
            expect_stop(m, gva, GN_MMU_ABSENT, 0);
            *entry = 0xfedcba9876543210ull + level * 2; /* bit 0 clear: all else is ignored */
            expect_stop(m, gva, GN_MMU_ABSENT, *entry);
            *entry = saved;
        }
        expect_done(m, gva, READ, 0x5000);
        machine_free(m);
    }
}

static void an_entry_that_leads_outside_memory_is_a_bad_table(void **state)
{
    static const uint64_t outside[] = {MEMORY_SIZE, MEMORY_SIZE + 4096, (uint64_t)1 << 40,
                                       ((uint64_t)1 << 52) - 4096};

    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct machine *m = machine_new(formats[f], 1, 64);
        uint64_t root = machine_table(m), gva = low_gva(m);

        machine_map(m, root, gva, 0x5000, R | W | X);
        machine_load(m, 1, root);
        for (uint32_t level = 0; level < m->geometry.levels; level++)
            for (size_t i = 0; i < 4; i++) {
                uint64_t *entry = machine_entry(m, root, gva, level), saved = *entry;

                *entry =
                    machine_encode(m, level, level ? GN_PAGING_ENTRY_TABLE : GN_PAGING_ENTRY_LEAF,
                                   R | W | X, outside[i]);
                expect_stop(m, gva, GN_MMU_BAD_TABLE, *entry);
                *entry = saved;
            }
        expect_done(m, gva, READ, 0x5000);
        for (size_t i = 0; i < 4; i++) {
            machine_load(m, 2, outside[i]);
            expect_stop(m, gva, GN_MMU_BAD_TABLE, outside[i]);
        }
        machine_free(m);
    }
}

static void the_last_page_of_memory_may_be_a_table_or_a_page(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct machine *m = machine_new(formats[f], 1, 64);
        uint64_t root = MEMORY_SIZE - 4096;

        machine_map(m, root, 0x1000, 0x5000, R | W | X);
        machine_map(m, root, 0x2000, root, R);
        machine_load(m, 1, root);
        expect_done(m, 0x1000, READ, 0x5000);
        expect_done(m, 0x2ff8, READ, root + 0xff8);
        machine_free(m);
    }
}

static void a_reserved_entry_is_a_bad_table(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct machine *m = machine_new(formats[f], 1, 64);
        uint64_t root = machine_table(m), gva = low_gva(m);
        uint32_t top = m->geometry.levels - 1;
        uint64_t *leaf = machine_map(m, root, gva, 0x5000, R | W | X), saved = *leaf;
        uint64_t *middle = machine_entry(m, root, gva, 1), table = *middle;

        machine_load(m, 1, root);
        if (machine_is_x86(m)) {
            uint64_t *upper = machine_entry(m, root, gva, top);

            *middle = table | 0x80 | (uint64_t)1 << 13; /* a misaligned 2 MiB page */
            expect_stop(m, gva, GN_MMU_BAD_TABLE, *middle);
            *middle = table;
            *upper |= 0x80; /* PS where no page can be */
            expect_stop(m, gva, GN_MMU_BAD_TABLE, *upper);
        } else {
            for (int bit = 54; bit < 64; bit++) {
                *leaf = saved | (uint64_t)1 << bit;
                expect_stop(m, gva, GN_MMU_BAD_TABLE, *leaf);
            }
            *leaf = saved & ~(uint64_t)2; /* W without R */
            expect_stop(m, gva, GN_MMU_BAD_TABLE, *leaf);
            *leaf = saved & ~(uint64_t)14; /* a table at level 0 */
            expect_stop(m, gva, GN_MMU_BAD_TABLE, *leaf);
            *leaf = saved;
            *middle = table | 0x2 | (uint64_t)1 << 10; /* a misaligned superpage */
            expect_stop(m, gva, GN_MMU_BAD_TABLE, *middle);
        }
        machine_free(m);
    }
}

static void a_table_that_names_itself_ends_the_walk(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct machine *m = machine_new(formats[f], 1, 64);
        uint64_t root = machine_table(m);
        uint64_t self = machine_encode(m, 1, GN_PAGING_ENTRY_TABLE, R | W | X, root);

        for (int i = 0; i < 512; i++)
            ((uint64_t *)(m->memory + root))[i] = self;
        machine_load(m, 1, root);
        if (machine_is_x86(m)) /* at level 0 it maps the table itself */
            expect_done(m, low_gva(m), READ, root);
        else
            expect_stop(m, low_gva(m), GN_MMU_BAD_TABLE, self);
        machine_free(m);
    }
}

static void an_address_that_is_not_of_the_formats_width_is_absent(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct machine *m = machine_new(formats[f], 1, 64);
        uint64_t root = machine_table(m);
        uint32_t top = m->geometry.va_bits - 1;

        machine_map(m, root, 0, 0x5000, R | W | X);
        machine_map(m, root, ~(uint64_t)0 << top, 0x6000, R | W | X);
        machine_load(m, 1, root);
        expect_done(m, 0, READ, 0x5000);
        expect_done(m, ~(uint64_t)0 << top, READ, 0x6000);
        for (uint32_t bit = top; bit < 64; bit++) {
            expect_stop(m, (uint64_t)1 << bit, GN_MMU_ABSENT, 0);
            expect_stop(m, (~(uint64_t)0 << top) ^ (uint64_t)1 << bit, GN_MMU_ABSENT, 0);
        }
        machine_free(m);
    }
}

/* Bits of an x86 table entry that take W, X or U away, as they are flipped. */
static uint64_t x86_without(uint32_t permission)
{
    return permission == W ? 0x2 : permission == U ? 0x4 : (uint64_t)1 << 63;
}

static void expect_user_rights(struct machine *m, uint64_t gva, uint32_t p)
{
    gn_softmmu_invalidate_all(m->mmu);
    assert_int_equal(machine_outcome(m, gva, READ) == GN_MMU_DONE, (p & U) != 0);
    assert_int_equal(machine_outcome(m, gva, WRITE) == GN_MMU_DONE, (p & (U | W)) == (U | W));
    assert_int_equal(machine_outcome(m, gva, EXEC) == GN_MMU_DONE, (p & (U | X)) == (U | X));
}

static void x86_tables_restrict_what_lies_below(void **state)
{
    static const uint32_t bit[] = {W, X, U};

    (void)state;
    for (uint32_t format = GN_PAGING_X86_4LEVEL; format <= GN_PAGING_X86_5LEVEL; format++) {
        struct machine *m = machine_new(format, 1, 64);
        uint64_t root = machine_table(m), gva = low_gva(m);

        machine_map(m, root, gva, 0x5000, R | W | X | U);
        machine_port(m, 0, DATA, 1, root, GN_SOFTMMU_VIEW_USER);
        machine_port(m, 0, FETCH, 1, root, GN_SOFTMMU_VIEW_USER);
        for (uint32_t level = 0; level < m->geometry.levels; level++)
            for (uint32_t without = 0; without < 8; without++) {
                uint64_t *entry = machine_entry(m, root, gva, level), saved = *entry;
                uint32_t p = W | X | U;

                for (int i = 0; i < 3; i++)
                    if (without >> i & 1) {
                        p &= ~bit[i];
                        *entry ^= x86_without(bit[i]);
                    }
                expect_user_rights(m, gva, p);
                *entry = saved;
            }
        machine_free(m);
    }
}

static void an_x86_write_through_a_read_only_table_to_a_traced_page_is_denied(void **state)
{
    struct machine *m = machine_new(GN_PAGING_X86_4LEVEL, 1, 64);
    uint64_t root = machine_table(m);

    (void)state;
    machine_map(m, root, 0x1000, 0x5000, R | W | TRACED);
    *machine_entry(m, root, 0x1000, 2) &= ~(uint64_t)2;
    machine_load(m, 1, root);
    assert_int_equal(machine_outcome(m, 0x1000, READ), GN_MMU_DONE);
    assert_int_equal(machine_outcome(m, 0x1000, WRITE), GN_MMU_DENIED);
    machine_free(m);
}

static void an_x86_large_leaf_with_its_pat_bit_maps_where_it_did(void **state)
{
    struct machine *m = machine_new(GN_PAGING_X86_4LEVEL, 1, 64);
    uint64_t root = machine_table(m), *leaf;

    (void)state;
    leaf = machine_map_large(m, root, 0x200000, 1, 0x400000, R | W);
    *leaf |= 0x1000;
    machine_load(m, 1, root);
    expect_done(m, 0x201238, READ, 0x401238);
    machine_free(m);
}

static void accessed_and_dirty_bits_are_neither_asked_nor_set(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct machine *m = machine_new(formats[f], 1, 64);
        uint64_t root = machine_table(m);
        uint64_t *leaf = machine_map(m, root, 0x1000, 0x5000, R | W), saved = *leaf;

        machine_load(m, 1, root);
        expect_done(m, 0x1000, WRITE, 0x5000);
        assert_int_equal(*leaf, saved);
        machine_free(m);
    }
}

static void an_access_that_leaves_its_page_misses(void **state)
{
    struct machine *m = machine_new(GN_PAGING_SV39, 1, 64);
    uint64_t root = machine_table(m);
    const struct gn_softmmu_window *w = gn_softmmu_window(m->mmu, 0, DATA);

    (void)state;
    machine_map(m, root, 0x1000, 0x5000, R | W);
    machine_map(m, root, 0x2000, 0x6000, R | W);
    machine_load(m, 1, root);
    expect_done(m, 0x1000, READ, 0x5000);
    expect_done(m, 0x2000, READ, 0x6000);
    for (uint32_t size = 1; size <= 4096; size++) {
        assert_non_null(gn_softmmu_probe(w, gn_gva(0x2000 - size), size, READ));
        assert_null(gn_softmmu_probe(w, gn_gva(0x2000 - size), size + 1, READ));
        assert_null(gn_softmmu_probe(w, gn_gva(0x1fff), size + 1, WRITE));
    }
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_translates_in_every_format),
        cmocka_unit_test(a_large_leaf_translates_at_every_level_that_has_one),
        cmocka_unit_test(a_large_leaf_is_memory_as_far_as_there_is_memory),
        cmocka_unit_test(an_absent_entry_stops_at_its_level_and_is_named),
        cmocka_unit_test(an_entry_that_leads_outside_memory_is_a_bad_table),
        cmocka_unit_test(the_last_page_of_memory_may_be_a_table_or_a_page),
        cmocka_unit_test(a_reserved_entry_is_a_bad_table),
        cmocka_unit_test(a_table_that_names_itself_ends_the_walk),
        cmocka_unit_test(an_address_that_is_not_of_the_formats_width_is_absent),
        cmocka_unit_test(x86_tables_restrict_what_lies_below),
        cmocka_unit_test(an_x86_write_through_a_read_only_table_to_a_traced_page_is_denied),
        cmocka_unit_test(an_x86_large_leaf_with_its_pat_bit_maps_where_it_did),
        cmocka_unit_test(accessed_and_dirty_bits_are_neither_asked_nor_set),
        cmocka_unit_test(an_access_that_leaves_its_page_misses),
    };

    return cmocka_run_group_tests_name("softmmu: walks", tests, NULL, NULL);
}
