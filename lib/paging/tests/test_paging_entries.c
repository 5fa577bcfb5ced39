/* SPDX-License-Identifier: BSD-3-Clause */

/* Entries: there and back, and the bits of the manuals. */

#include "formats.h"

static void riscv_refuses_to_encode_what_its_entries_cannot_say(void **state)
{
    uint64_t value = 77;

    (void)state;
    for (uint32_t p = 0; p < 8; p++) {
        struct gn_paging_entry leaf = entry_of(GN_PAGING_ENTRY_LEAF, p, 0x1000);
        int ok = p == GN_PAGING_R || p == GN_PAGING_X || p == (GN_PAGING_R | GN_PAGING_X) ||
                 p == (GN_PAGING_R | GN_PAGING_W) || p == (GN_PAGING_R | GN_PAGING_W | GN_PAGING_X);

        assert_int_equal(gn_paging_entry_encode(GN_PAGING_SV48, 0, &leaf, &value),
                         ok ? 0 : -GN_ERR_INVAL);
    }
}

static void an_absent_entry_encodes_as_zero_and_decodes_to_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < TRANSLATING; i++) {
        struct gn_paging_context context = context_of(translating[i]);
        struct gn_paging_entry entry = entry_of(GN_PAGING_ENTRY_ABSENT, GN_PAGING_R, 0x5678);
        uint64_t value = 77;

        assert_int_equal(gn_paging_entry_encode(translating[i], 0, &entry, &value), 0);
        assert_int_equal(value, 0);
        /* All other bits of an absent entry belong to software. */
        assert_int_equal(gn_paging_entry_decode(&context, 1, ~(uint64_t)1, &entry), 0);
        assert_int_equal(entry.kind, GN_PAGING_ENTRY_ABSENT);
        assert_int_equal(entry.permissions, 0);
        assert_int_equal(entry.address, 0);
    }
}

/* Can the format say exactly these permissions of a leaf? */
static int sayable(uint32_t format, uint32_t p)
{
    if (format == GN_PAGING_AARCH64_4K) /* without DBM, D is another word for W */
        return p & GN_PAGING_R && !(p & GN_PAGING_D) == !(p & GN_PAGING_W);
    if (p & GN_PAGING_UX)
        return 0;
    if (format == GN_PAGING_X86_32)
        return (p & (GN_PAGING_R | GN_PAGING_X)) == (GN_PAGING_R | GN_PAGING_X);
    if (is_x86(format))
        return (p & GN_PAGING_R) != 0;
    return (p & GN_PAGING_R) || (p & (GN_PAGING_W | GN_PAGING_X)) == GN_PAGING_X;
}

static void leaves_round_trip_at_every_level_with_every_permission(void **state)
{
    (void)state;
    for (size_t i = 0; i < TRANSLATING; i++) {
        struct gn_paging_context context = context_of(translating[i]);
        struct gn_paging_geometry g;

        assert_int_equal(gn_paging_geometry(translating[i], &g), 0);
        for (uint32_t level = 0; level < g.levels; level++) {
            uint64_t top = ((uint64_t)1 << width_of(translating[i], level, 1)) -
                           ((uint64_t)1 << shift_of(translating[i], level));

            for (uint32_t p = 0; p < 0x400 && g.leaf_levels >> level & 1; p++) {
                struct gn_paging_entry in = entry_of(GN_PAGING_ENTRY_LEAF, p, top), out;
                uint64_t value;

                if (!sayable(translating[i], p))
                    continue;
                assert_int_equal(gn_paging_entry_encode(translating[i], level, &in, &value), 0);
                assert_int_equal(gn_paging_entry_decode(&context, level, value, &out), 0);
                assert_memory_equal(&in, &out, sizeof in);
            }
        }
    }
}

/* The permissions that a table entry keeps; others are as if they were not asked for. */
static uint32_t table_keeps(uint32_t format, uint32_t level)
{
    uint32_t soft = GN_PAGING_SOFT0 | GN_PAGING_SOFT1, wu = GN_PAGING_W | GN_PAGING_U;

    switch (format) {
    case GN_PAGING_X86_32: return soft | wu | GN_PAGING_A;
    case GN_PAGING_X86_PAE: return level == 2 ? soft : soft | wu | GN_PAGING_X | GN_PAGING_A;
    case GN_PAGING_X86_4LEVEL:
    case GN_PAGING_X86_5LEVEL: return soft | wu | GN_PAGING_X | GN_PAGING_A;
    case GN_PAGING_AARCH64_4K: return soft | wu | GN_PAGING_X | GN_PAGING_UX;
    default: return soft | GN_PAGING_G;
    }
}

/* And those that it always has. */
static uint32_t table_has(uint32_t format, uint32_t level)
{
    if (format == GN_PAGING_X86_32)
        return GN_PAGING_R | GN_PAGING_X;
    if (format == GN_PAGING_X86_PAE && level == 2)
        return GN_PAGING_RWXU;
    return is_x86(format) || format == GN_PAGING_AARCH64_4K ? GN_PAGING_R : 0;
}

static void tables_round_trip_at_every_level_above_the_last(void **state)
{
    (void)state;
    for (size_t i = 0; i < TRANSLATING; i++) {
        struct gn_paging_context context = context_of(translating[i]);
        struct gn_paging_geometry g;

        assert_int_equal(gn_paging_geometry(translating[i], &g), 0);
        for (uint32_t level = 1; level < g.levels; level++)
            for (uint32_t p = 0; p < 0x400; p++) {
                uint64_t top = ((uint64_t)1 << width_of(translating[i], level, 0)) - GN_PAGE_SIZE;
                struct gn_paging_entry in = entry_of(GN_PAGING_ENTRY_TABLE, p, top), out;
                uint64_t value;

                assert_int_equal(gn_paging_entry_encode(translating[i], level, &in, &value), 0);
                assert_int_equal(gn_paging_entry_decode(&context, level, value, &out), 0);
                in.permissions =
                    (p & table_keeps(translating[i], level)) | table_has(translating[i], level);
                assert_memory_equal(&in, &out, sizeof in);
            }
    }
}

/* Attributes that a leaf, or a table entry, of a format can have. */
static uint32_t attributes_of(uint32_t format, int leaf)
{
    if (is_x86(format) && !leaf)
        return 0x03;
    if (format == GN_PAGING_X86_4LEVEL || format == GN_PAGING_X86_5LEVEL)
        return 0xf7;
    return !leaf ? 0 : is_x86(format) ? 0x07 : format == GN_PAGING_AARCH64_4K ? 0xff : 0x07;
}

static int attributes_fit(uint32_t format, uint32_t level, int leaf, uint32_t a)
{
    if (a & ~attributes_of(format, leaf))
        return 0;
    /* PBMT 3 is reserved, and NAPOT is a thing of level 0. */
    return format < GN_PAGING_SV39 || format > GN_PAGING_SV57 ||
           ((a & 3) != 3 && (!(a & 4) || level == 0));
}

static void attributes_round_trip_and_unknown_ones_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < TRANSLATING; i++) {
        struct gn_paging_context c = context_of(translating[i]);
        struct gn_paging_geometry g;

        c.extensions = GN_PAGING_RISCV_PBMTE | GN_PAGING_RISCV_NAPOT;
        assert_int_equal(gn_paging_geometry(translating[i], &g), 0);
        for (uint32_t n = 0; n < 2 * 0x200 * g.levels; n++) {
            uint32_t level = n / 0x400, leaf = n >> 9 & 1, a = n & 0x1ff;
            struct gn_paging_entry in = entry_of(
                leaf ? GN_PAGING_ENTRY_LEAF : GN_PAGING_ENTRY_TABLE, GN_PAGING_RWXU, 0x40000000);
            struct gn_paging_entry out;
            uint64_t value = 77;

            if (leaf ? !(g.leaf_levels >> level & 1) : level == 0)
                continue;
            if (level > 2)
                in.address = 0;
            in.attributes = a;
            if (!attributes_fit(translating[i], level, (int)leaf, a)) {
                assert_int_equal(gn_paging_entry_encode(translating[i], level, &in, &value),
                                 -GN_ERR_INVAL);
                assert_int_equal(value, 77);
                continue;
            }
            assert_int_equal(gn_paging_entry_encode(translating[i], level, &in, &value), 0);
            assert_int_equal(gn_paging_entry_decode(&c, level, value, &out), 0);
            assert_int_equal(out.attributes, a);
            assert_int_equal(out.address, in.address);
        }
    }
}

static void reserved_members_are_zero_or_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct gn_paging_entry e = entry_of(GN_PAGING_ENTRY_LEAF, GN_PAGING_R, 0x1000);
        uint64_t value = 77;

        e.reserved[i] = 1;
        assert_int_equal(gn_paging_entry_encode(GN_PAGING_SV39, 0, &e, &value), -GN_ERR_INVAL);
        assert_int_equal(value, 77);
    }
}

static void entries_have_the_bits_of_the_manuals(void **state)
{
    struct gn_paging_entry all = entry_of(GN_PAGING_ENTRY_LEAF, 0x37f, 0x12345000);
    struct gn_paging_entry ro = entry_of(GN_PAGING_ENTRY_LEAF, GN_PAGING_R, 0x40000000);
    struct gn_paging_entry table =
        entry_of(GN_PAGING_ENTRY_TABLE, GN_PAGING_W | GN_PAGING_X, 0x7000);
    uint64_t value;

    (void)state;
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_4LEVEL, 0, &all, &value), 0);
    assert_int_equal(value, 0x12345000 | 0x767); /* P RW US A D G, 9, 10 */
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_4LEVEL, 2, &ro, &value), 0);
    assert_int_equal(value, 1ull << 63 | 0x40000000 | 0x81); /* NX, PS, P */
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_5LEVEL, 4, &table, &value), 0);
    assert_int_equal(value, 0x7003);
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_PAE, 2, &table, &value), 0);
    assert_int_equal(value, 0x7001); /* a PDPTE has no rights */
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_32, 1, &table, &value), 0);
    assert_int_equal(value, 0x7003);
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_SV39, 0, &all, &value), 0);
    assert_int_equal(value, 0x12345ull << 10 | 0x3ff);
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_SV39, 2, &ro, &value), 0);
    assert_int_equal(value, 0x40000ull << 10 | 3);
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_SV57, 4, &table, &value), 0);
    assert_int_equal(value, 7ull << 10 | 1);
}

static uint32_t kind_of(const struct gn_paging_context *context, uint32_t level, uint64_t value)
{
    struct gn_paging_entry entry;

    assert_int_equal(gn_paging_entry_decode(context, level, value, &entry), 0);
    return entry.kind;
}

static void riscv_reserves_encodings(void **state)
{
    struct gn_paging_context c = context_of(GN_PAGING_SV57);

    (void)state;
    for (uint32_t level = 0; level < 5; level++) {
        uint32_t aligned = GN_PAGING_ENTRY_LEAF, table = GN_PAGING_ENTRY_TABLE;

        if (level == 0)
            table = GN_PAGING_ENTRY_RESERVED;
        assert_int_equal(kind_of(&c, level, 0x01), table);
        assert_int_equal(kind_of(&c, level, 0x21), table); /* G */
        assert_int_equal(kind_of(&c, level, 0x301), table);
        assert_int_equal(kind_of(&c, level, 0x11), GN_PAGING_ENTRY_RESERVED); /* U */
        assert_int_equal(kind_of(&c, level, 0x41), GN_PAGING_ENTRY_RESERVED); /* A */
        assert_int_equal(kind_of(&c, level, 0x81), GN_PAGING_ENTRY_RESERVED); /* D */
        assert_int_equal(kind_of(&c, level, 0x05), GN_PAGING_ENTRY_RESERVED); /* W */
        assert_int_equal(kind_of(&c, level, 0x0d), GN_PAGING_ENTRY_RESERVED); /* W, X */
        assert_int_equal(kind_of(&c, level, 0xff), aligned);
        assert_int_equal(kind_of(&c, level, 0x09), aligned);
        for (int bit = 54; bit < 64; bit++) {
            assert_int_equal(kind_of(&c, level, 1ull << bit | 0x0f), GN_PAGING_ENTRY_RESERVED);
            assert_int_equal(kind_of(&c, level, 1ull << bit | 0x01), GN_PAGING_ENTRY_RESERVED);
        }
        for (uint32_t bit = 10; bit < 54; bit++) /* low page number bits of a superpage */
            assert_int_equal(kind_of(&c, level, 1ull << bit | 0x0f),
                             bit < 10 + 9 * level ? GN_PAGING_ENTRY_RESERVED : aligned);
    }
}

static void x86_reserves_address_bits_past_maxphyaddr(void **state)
{
    static const uint32_t widths[][2] = {{0, 52},  {32, 32}, {36, 36}, {51, 51},
                                         {52, 52}, {31, 52}, {53, 52}, {UINT32_MAX, 52}};
    struct gn_paging_context c = context_of(GN_PAGING_X86_5LEVEL);

    (void)state;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (uint32_t level = 0; level < 5; level++)
            for (uint32_t bit = 30; bit < 52; bit++) {
                uint32_t normal = level == 0 ? GN_PAGING_ENTRY_LEAF : GN_PAGING_ENTRY_TABLE;

                c.phys_bits = widths[i][0];
                assert_int_equal(kind_of(&c, level, 1ull << bit | 1),
                                 bit >= widths[i][1] ? GN_PAGING_ENTRY_RESERVED : normal);
            }
}

static void x86_ignores_bits_52_to_62(void **state)
{
    struct gn_paging_context c = context_of(GN_PAGING_X86_4LEVEL);

    (void)state;
    c.phys_bits = 36;
    for (int bit = 52; bit < 63; bit++) {
        assert_int_equal(kind_of(&c, 0, 1ull << bit | 1), GN_PAGING_ENTRY_LEAF);
        assert_int_equal(kind_of(&c, 1, 1ull << bit | 0x81), GN_PAGING_ENTRY_LEAF);
        assert_int_equal(kind_of(&c, 3, 1ull << bit | 1), GN_PAGING_ENTRY_TABLE);
    }
}

static void x86_reserves_low_address_bits_of_large_pages_but_not_pat(void **state)
{
    struct gn_paging_context c = context_of(GN_PAGING_X86_4LEVEL);
    struct gn_paging_entry entry;

    (void)state;
    for (uint32_t level = 1; level < 3; level++)
        for (uint32_t bit = 13; bit < 40; bit++)
            assert_int_equal(kind_of(&c, level, 1ull << bit | 0x81), bit < 12 + 9 * level
                                                                         ? GN_PAGING_ENTRY_RESERVED
                                                                         : GN_PAGING_ENTRY_LEAF);
    assert_int_equal(gn_paging_entry_decode(&c, 1, 0x40201000 | 0x81, &entry), 0);
    assert_int_equal(entry.kind, GN_PAGING_ENTRY_LEAF);
    assert_int_equal(entry.address, 0x40200000); /* bit 12 is PAT, no address */
    assert_int_equal(gn_paging_entry_decode(&c, 0, 0x40201000 | 0x81, &entry), 0);
    assert_int_equal(entry.address, 0x40201000); /* and bit 7 of a 4 KiB leaf is PAT */
}

static void x86_reserves_ps_and_nx_where_the_processor_lacks_them(void **state)
{
    struct gn_paging_context c = context_of(GN_PAGING_X86_5LEVEL);

    (void)state;
    assert_int_equal(kind_of(&c, 4, 0x81), GN_PAGING_ENTRY_RESERVED);
    assert_int_equal(kind_of(&c, 3, 0x81), GN_PAGING_ENTRY_RESERVED);
    assert_int_equal(kind_of(&c, 2, 0x81), GN_PAGING_ENTRY_LEAF);
    assert_int_equal(kind_of(&c, 1, 0x81), GN_PAGING_ENTRY_LEAF);
    assert_int_equal(kind_of(&c, 0, 1ull << 63 | 1), GN_PAGING_ENTRY_LEAF);
    c.controls &= ~GN_PAGING_X86_1G;
    assert_int_equal(kind_of(&c, 2, 0x81), GN_PAGING_ENTRY_RESERVED);
    assert_int_equal(kind_of(&c, 1, 0x81), GN_PAGING_ENTRY_LEAF);
    c.controls &= ~GN_PAGING_X86_NXE;
    for (uint32_t level = 0; level < 5; level++)
        assert_int_equal(kind_of(&c, level, 1ull << 63 | 1), GN_PAGING_ENTRY_RESERVED);
}

static void no_format_makes_a_table_of_a_last_level_entry(void **state)
{
    uint64_t seed = guest_seed();

    (void)state;
    for (int n = 0; n < 200000; n++) {
        struct gn_paging_context c = context_of(translating[n % TRANSLATING]);

        assert_int_not_equal(kind_of(&c, 0, guest_random(&seed)), GN_PAGING_ENTRY_TABLE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(riscv_refuses_to_encode_what_its_entries_cannot_say),
        cmocka_unit_test(an_absent_entry_encodes_as_zero_and_decodes_to_nothing),
        cmocka_unit_test(leaves_round_trip_at_every_level_with_every_permission),
        cmocka_unit_test(tables_round_trip_at_every_level_above_the_last),
        cmocka_unit_test(attributes_round_trip_and_unknown_ones_are_refused),
        cmocka_unit_test(reserved_members_are_zero_or_refused),
        cmocka_unit_test(entries_have_the_bits_of_the_manuals),
        cmocka_unit_test(riscv_reserves_encodings),
        cmocka_unit_test(x86_reserves_address_bits_past_maxphyaddr),
        cmocka_unit_test(x86_ignores_bits_52_to_62),
        cmocka_unit_test(x86_reserves_low_address_bits_of_large_pages_but_not_pat),
        cmocka_unit_test(x86_reserves_ps_and_nx_where_the_processor_lacks_them),
        cmocka_unit_test(no_format_makes_a_table_of_a_last_level_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
