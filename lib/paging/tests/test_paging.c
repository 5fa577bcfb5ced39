/* SPDX-License-Identifier: BSD-3-Clause */

/* The contract of the interface: arguments, geometry, the rules asked alone. */

#include "formats.h"

static void the_version_is_that_of_the_header(void **state)
{
    (void)state;
    assert_int_equal(gn_paging_version(), GN_PAGING_VERSION_MAJOR << 16 | GN_PAGING_VERSION_MINOR);
}

static void every_format_has_a_name_and_others_have_none(void **state)
{
    (void)state;
    assert_string_equal(gn_paging_format_name(GN_PAGING_BARE), "bare");
    assert_string_equal(gn_paging_format_name(GN_PAGING_X86_4LEVEL), "x86-4level");
    assert_string_equal(gn_paging_format_name(GN_PAGING_X86_5LEVEL), "x86-5level");
    assert_string_equal(gn_paging_format_name(GN_PAGING_SV39), "sv39");
    assert_string_equal(gn_paging_format_name(GN_PAGING_SV48), "sv48");
    assert_string_equal(gn_paging_format_name(GN_PAGING_SV57), "sv57");
    assert_string_equal(gn_paging_format_name(GN_PAGING_X86_32), "x86-32");
    assert_string_equal(gn_paging_format_name(GN_PAGING_X86_PAE), "x86-pae");
    assert_string_equal(gn_paging_format_name(GN_PAGING_AARCH64_4K), "aarch64-4k");
    assert_null(gn_paging_format_name(9));
    assert_null(gn_paging_format_name(UINT32_MAX));
}

static void the_geometry_is_the_manuals(void **state)
{
    static const struct {
        uint32_t format;
        struct gn_paging_geometry geometry;
    } expected[] = {
        {GN_PAGING_BARE, {0, 64, 8, 9, 0, 64, 0, 0, {0}, {0}}},
        /* Tables hand down W, X and U (values 2, 4, 8) in x86, and nothing in RISC-V. */
        {GN_PAGING_X86_32, {2, 32, 4, 10, 3, 40, 10, 1, {10, 10}, {0}}},
        {GN_PAGING_X86_PAE, {3, 32, 8, 0, 3, 52, 14, 1, {9, 9, 2}, {0}}},
        {GN_PAGING_X86_4LEVEL, {4, 48, 8, 9, 7, 52, 14, 1, {9, 9, 9, 9}, {0}}},
        {GN_PAGING_X86_5LEVEL, {5, 57, 8, 9, 7, 52, 14, 1, {9, 9, 9, 9, 9}, {0}}},
        {GN_PAGING_SV39, {3, 39, 8, 9, 7, 56, 0, 1, {9, 9, 9}, {0}}},
        {GN_PAGING_SV48, {4, 48, 8, 9, 15, 56, 0, 1, {9, 9, 9, 9}, {0}}},
        {GN_PAGING_SV57, {5, 57, 8, 9, 31, 56, 0, 1, {9, 9, 9, 9, 9}, {0}}},
        {GN_PAGING_AARCH64_4K, {4, 49, 8, 0, 7, 48, 0x8e, 2, {9, 9, 9, 9}, {0}}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct gn_paging_geometry g;

        assert_int_equal(gn_paging_geometry(expected[i].format, &g), 0);
        assert_memory_equal(&g, &expected[i].geometry, sizeof g);
        assert_true(g.levels <= GN_PAGING_LEVELS_MAX);
    }
}

static void the_geometry_of_an_unknown_format_is_enotsup(void **state)
{
    struct gn_paging_geometry g = {.levels = 77};

    (void)state;
    assert_int_equal(gn_paging_geometry(9, &g), -GN_ERR_NOTSUP);
    assert_int_equal(gn_paging_geometry(99, &g), -GN_ERR_NOTSUP);
    assert_int_equal(g.levels, 77);
    assert_int_equal(gn_paging_geometry(GN_PAGING_SV39, NULL), -GN_ERR_INVAL);
}

static void decoding_checks_its_arguments(void **state)
{
    struct gn_paging_context context = context_of(GN_PAGING_SV39);
    struct gn_paging_entry entry = {.kind = 77};

    (void)state;
    assert_int_equal(gn_paging_entry_decode(NULL, 0, 1, &entry), -GN_ERR_INVAL);
    assert_int_equal(gn_paging_entry_decode(&context, 0, 1, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_paging_entry_decode(&context, 3, 1, &entry), -GN_ERR_INVAL);
    assert_int_equal(gn_paging_entry_decode(&context, UINT32_MAX, 1, &entry), -GN_ERR_INVAL);
    context.size = offsetof(struct gn_paging_context, root_high) - 1;
    assert_int_equal(gn_paging_entry_decode(&context, 0, 1, &entry), -GN_ERR_INVAL);
    context = context_of(GN_PAGING_BARE);
    assert_int_equal(gn_paging_entry_decode(&context, 0, 1, &entry), -GN_ERR_NOTSUP);
    context.format = 99;
    assert_int_equal(gn_paging_entry_decode(&context, 0, 1, &entry), -GN_ERR_NOTSUP);
    assert_int_equal(entry.kind, 77);
}

static void encoding_checks_its_arguments(void **state)
{
    struct gn_paging_entry leaf = entry_of(GN_PAGING_ENTRY_LEAF, GN_PAGING_R, 0x1000);
    struct gn_paging_entry table = entry_of(GN_PAGING_ENTRY_TABLE, 0, 0x1000);
    struct gn_paging_entry bad = entry_of(GN_PAGING_ENTRY_RESERVED, 0, 0x1000);
    uint64_t value = 77;

    (void)state;
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_SV39, 0, NULL, &value), -GN_ERR_INVAL);
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_SV39, 0, &leaf, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_BARE, 0, &leaf, &value), -GN_ERR_NOTSUP);
    assert_int_equal(gn_paging_entry_encode(99, 0, &leaf, &value), -GN_ERR_NOTSUP);
    for (size_t i = 0; i < TRANSLATING; i++) {
        uint32_t format = translating[i];
        struct gn_paging_geometry g;

        assert_int_equal(gn_paging_geometry(format, &g), 0);
        assert_int_equal(gn_paging_entry_encode(format, g.levels, &leaf, &value), -GN_ERR_INVAL);
        assert_int_equal(gn_paging_entry_encode(format, 0, &table, &value), -GN_ERR_INVAL);
        assert_int_equal(gn_paging_entry_encode(format, 0, &bad, &value), -GN_ERR_INVAL);
        bad.kind = 4;
        assert_int_equal(gn_paging_entry_encode(format, 0, &bad, &value), -GN_ERR_INVAL);
        /* 0x1000 is no superpage's address, and 0x800 no table's. */
        assert_int_equal(gn_paging_entry_encode(format, 1, &leaf, &value), -GN_ERR_INVAL);
        table.address = 0x800;
        assert_int_equal(gn_paging_entry_encode(format, 1, &table, &value), -GN_ERR_INVAL);
        table.address = (uint64_t)1 << g.pa_bits;
        assert_int_equal(gn_paging_entry_encode(format, 1, &table, &value), -GN_ERR_RANGE);
        table.address = 0x1000;
        leaf.address = (uint64_t)1 << 63;
        assert_int_equal(gn_paging_entry_encode(format, 0, &leaf, &value), -GN_ERR_RANGE);
        leaf.address = 0;
        for (uint32_t level = 0; level < g.levels; level++)
            if (!(g.leaf_levels >> level & 1))
                assert_int_equal(gn_paging_entry_encode(format, level, &leaf, &value),
                                 -GN_ERR_INVAL);
        leaf.address = 0x1000;
    }
    assert_int_equal(value, 77);
}

static void a_walk_checks_its_arguments(void **state)
{
    uint64_t word = 0;
    struct guest guest = {.words = &word, .bytes = 8};
    struct gn_paging_context good = context_of(GN_PAGING_SV39), c = good;
    struct gn_paging_ops ops = guest_ops;
    struct gn_paging_walk r, before;

    (void)state;
    memset(&r, 0x5a, sizeof r);
    before = r;
    assert_int_equal(gn_paging_walk(NULL, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
    assert_int_equal(gn_paging_walk(&c, NULL, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, NULL), -GN_ERR_INVAL);
    c.size = offsetof(struct gn_paging_context, root_high) - 1;
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
    c = good;
    c.root = gn_gpa(0x800);
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
    c = good;
    for (uint32_t bit = 2; bit < 32; bit++) {
        c.extensions = 1u << bit;
        assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
        assert_int_equal(gn_paging_entry_decode(&c, 0, 1, &(struct gn_paging_entry){.kind = 0}),
                         -GN_ERR_INVAL);
    }
    c = good;
    c.format = 9;
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_NOTSUP);
    c = good;
    for (uint32_t kind = GN_ACCESS_KINDS; kind < 16; kind++)
        assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), kind, &r), -GN_ERR_INVAL);
    ops.load = NULL;
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
    ops = guest_ops;
    ops.size--;
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
    for (uint32_t bit = 7; bit < 32; bit++)
        assert_int_equal(gn_paging_walk(&c, &guest_ops, &guest, gn_gva(0), 1u << bit, &r),
                         -GN_ERR_INVAL);
    ops = guest_ops;
    ops.cmpxchg = NULL;
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
    assert_memory_equal(&r, &before, sizeof r);
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), GN_PAGING_NO_UPDATE, &r), 0);
}

static void longer_structures_are_taken_if_their_tail_is_zero(void **state)
{
    struct {
        struct gn_paging_context known;
        uint64_t tail;
    } context = {context_of(GN_PAGING_BARE), 0};
    struct {
        struct gn_paging_ops known;
        uint64_t tail;
    } ops = {guest_ops, 0};
    struct gn_paging_walk r;

    (void)state;
    context.known.size = sizeof context;
    ops.known.size = sizeof ops;
    assert_int_equal(gn_paging_walk(&context.known, &ops.known, NULL, gn_gva(1), 0, &r), 0);
    context.tail = 1;
    assert_int_equal(gn_paging_walk(&context.known, &ops.known, NULL, gn_gva(1), 0, &r),
                     -GN_ERR_2BIG);
    context.tail = 0;
    ops.tail = (uint64_t)1 << 63;
    assert_int_equal(gn_paging_walk(&context.known, &ops.known, NULL, gn_gva(1), 0, &r),
                     -GN_ERR_2BIG);
    context.tail = 1;
    context.known.format = GN_PAGING_SV39;
    assert_int_equal(
        gn_paging_entry_decode(&context.known, 0, 1, &(struct gn_paging_entry){.kind = 0}),
        -GN_ERR_2BIG);
}

static void bare_translates_everything_to_itself(void **state)
{
    struct gn_paging_context c = context_of(GN_PAGING_BARE);
    struct guest guest = {.bytes = 0};
    struct gn_paging_walk r;

    (void)state;
    for (uint32_t access = 0; access < 0x80; access++) {
        if ((access & GN_PAGING_ACCESS_KIND) >= GN_ACCESS_KINDS)
            continue;
        assert_int_equal(
            gn_paging_walk(&c, &guest_ops, &guest, gn_gva(0xfedcba9876543210), access, &r), 0);
        assert_int_equal(r.outcome, GN_PAGING_TRANSLATED);
        assert_int_equal(r.gpa.v, 0xfedcba9876543210);
        assert_int_equal(r.shift, 63);
        assert_int_equal(r.permissions & GN_PAGING_RWXU, GN_PAGING_RWXU);
        assert_int_equal(r.entries, 0);
        assert_true(gn_paging_allows(&c, 0, access));
    }
    assert_int_equal(guest.loads, 0);
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_WRITE, GN_PAGING_REASON_ABSENT), 15);
}

static void the_rules_of_an_unknown_format_allow_nothing(void **state)
{
    struct gn_paging_context c = context_of(99);

    (void)state;
    assert_false(gn_paging_allows(&c, GN_PAGING_RWXU, GN_ACCESS_READ));
    assert_false(gn_paging_allows(NULL, GN_PAGING_RWXU, GN_ACCESS_READ));
}

static void riscv_causes_follow_the_access_alone(void **state)
{
    struct gn_paging_context c = context_of(GN_PAGING_SV48);

    (void)state;
    for (uint32_t reason = GN_PAGING_REASON_ABSENT; reason <= GN_PAGING_REASON_AD; reason++)
        for (uint32_t user = 0; user <= GN_PAGING_AS_USER; user += GN_PAGING_AS_USER) {
            assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_EXEC | user, reason), 12);
            assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_READ | user, reason), 13);
            assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_WRITE | user, reason), 15);
        }
}

static void x86_error_codes_are_composed_bit_by_bit(void **state)
{
    struct gn_paging_context c = context_of(GN_PAGING_X86_4LEVEL);
    const uint32_t user = GN_PAGING_AS_USER;

    (void)state;
    c.controls = 0;
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_READ, GN_PAGING_REASON_ABSENT), 0);
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_WRITE, GN_PAGING_REASON_ABSENT), 2);
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_WRITE | user, GN_PAGING_REASON_PERMISSION),
                     7);
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_READ, GN_PAGING_REASON_RESERVED), 9);
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_EXEC | user, GN_PAGING_REASON_ABSENT), 4);
    c.controls = GN_PAGING_X86_NXE;
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_EXEC | user, GN_PAGING_REASON_ABSENT),
                     0x14);
    c.controls = GN_PAGING_X86_SMEP;
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_EXEC, GN_PAGING_REASON_PERMISSION), 0x11);
    /* An implicit access is the supervisor's, whatever the privilege of the program. */
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_READ | user | GN_PAGING_IMPLICIT,
                                          GN_PAGING_REASON_ABSENT),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_is_that_of_the_header),
        cmocka_unit_test(every_format_has_a_name_and_others_have_none),
        cmocka_unit_test(the_geometry_is_the_manuals),
        cmocka_unit_test(the_geometry_of_an_unknown_format_is_enotsup),
        cmocka_unit_test(decoding_checks_its_arguments),
        cmocka_unit_test(encoding_checks_its_arguments),
        cmocka_unit_test(a_walk_checks_its_arguments),
        cmocka_unit_test(longer_structures_are_taken_if_their_tail_is_zero),
        cmocka_unit_test(bare_translates_everything_to_itself),
        cmocka_unit_test(the_rules_of_an_unknown_format_allow_nothing),
        cmocka_unit_test(riscv_causes_follow_the_access_alone),
        cmocka_unit_test(x86_error_codes_are_composed_bit_by_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
