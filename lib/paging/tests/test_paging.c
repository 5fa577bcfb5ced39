/* SPDX-License-Identifier: BSD-3-Clause */

/* The contract of the interface: arguments, geometry, entries, the rules asked alone. */

#include "guest_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint32_t translating[] = {GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL, GN_PAGING_SV39,
                                       GN_PAGING_SV48, GN_PAGING_SV57};

#define TRANSLATING (sizeof translating / sizeof translating[0])

static int is_x86(uint32_t format)
{
    return format == GN_PAGING_X86_4LEVEL || format == GN_PAGING_X86_5LEVEL;
}

static struct gn_paging_context context_of(uint32_t format)
{
    struct gn_paging_context context = {GN_PAGING_CONTEXT_INIT, .format = format};

    context.controls = GN_PAGING_X86_NXE | GN_PAGING_X86_1G | GN_PAGING_X86_WP;
    return context;
}

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
    assert_null(gn_paging_format_name(1));
    assert_null(gn_paging_format_name(2));
    assert_null(gn_paging_format_name(8));
    assert_null(gn_paging_format_name(UINT32_MAX));
}

static void the_geometry_is_the_manuals(void **state)
{
    static const struct {
        uint32_t format;
        struct gn_paging_geometry geometry;
    } expected[] = {
        {GN_PAGING_BARE, {0, 64, 8, 9, 0, 64, 0}},
        /* Tables hand down W, X and U (values 2, 4, 8) in x86, and nothing in RISC-V. */
        {GN_PAGING_X86_4LEVEL, {4, 48, 8, 9, 7, 52, 14}},
        {GN_PAGING_X86_5LEVEL, {5, 57, 8, 9, 7, 52, 14}},
        {GN_PAGING_SV39, {3, 39, 8, 9, 7, 56, 0}},
        {GN_PAGING_SV48, {4, 48, 8, 9, 15, 56, 0}},
        {GN_PAGING_SV57, {5, 57, 8, 9, 31, 56, 0}},
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
    assert_int_equal(gn_paging_geometry(1, &g), -GN_ERR_NOTSUP);
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
    context.size--;
    assert_int_equal(gn_paging_entry_decode(&context, 0, 1, &entry), -GN_ERR_INVAL);
    context = context_of(GN_PAGING_BARE);
    assert_int_equal(gn_paging_entry_decode(&context, 0, 1, &entry), -GN_ERR_NOTSUP);
    context.format = 99;
    assert_int_equal(gn_paging_entry_decode(&context, 0, 1, &entry), -GN_ERR_NOTSUP);
    assert_int_equal(entry.kind, 77);
}

static void encoding_checks_its_arguments(void **state)
{
    struct gn_paging_entry leaf = {GN_PAGING_ENTRY_LEAF, GN_PAGING_R, 0x1000};
    struct gn_paging_entry table = {GN_PAGING_ENTRY_TABLE, 0, 0x1000};
    struct gn_paging_entry bad = {GN_PAGING_ENTRY_RESERVED, 0, 0x1000};
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

static void riscv_refuses_to_encode_what_its_entries_cannot_say(void **state)
{
    uint64_t value = 77;

    (void)state;
    for (uint32_t p = 0; p < 8; p++) {
        struct gn_paging_entry leaf = {GN_PAGING_ENTRY_LEAF, p, 0x1000};
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
        struct gn_paging_entry entry = {GN_PAGING_ENTRY_ABSENT, GN_PAGING_R, 0x5678};
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
            if (!(g.leaf_levels >> level & 1))
                continue;
            for (uint32_t p = 0; p < 0x400; p++) {
                uint64_t top = ((uint64_t)1 << g.pa_bits) - ((uint64_t)1 << (12 + 9 * level));
                struct gn_paging_entry in = {GN_PAGING_ENTRY_LEAF, p & ~0x80u, top}, out;
                uint64_t value;

                if (p & 0x80 || !sayable(translating[i], p))
                    continue;
                assert_int_equal(gn_paging_entry_encode(translating[i], level, &in, &value), 0);
                assert_int_equal(gn_paging_entry_decode(&context, level, value, &out), 0);
                assert_int_equal(out.kind, GN_PAGING_ENTRY_LEAF);
                assert_int_equal(out.permissions, p);
                assert_int_equal(out.address, top);
            }
        }
    }
}

static void tables_round_trip_at_every_level_above_the_last(void **state)
{
    (void)state;
    for (size_t i = 0; i < TRANSLATING; i++) {
        struct gn_paging_context context = context_of(translating[i]);
        uint32_t keeps =
            is_x86(translating[i]) ? GN_PAGING_W | GN_PAGING_X | GN_PAGING_U | GN_PAGING_A : 0;
        struct gn_paging_geometry g;

        assert_int_equal(gn_paging_geometry(translating[i], &g), 0);
        keeps |= GN_PAGING_SOFT0 | GN_PAGING_SOFT1;
        for (uint32_t level = 1; level < g.levels; level++)
            for (uint32_t p = 0; p < 0x400; p++) {
                uint64_t top = ((uint64_t)1 << g.pa_bits) - GN_PAGE_SIZE;
                struct gn_paging_entry in = {GN_PAGING_ENTRY_TABLE, p, top}, out;
                uint64_t value;

                assert_int_equal(gn_paging_entry_encode(translating[i], level, &in, &value), 0);
                assert_int_equal(gn_paging_entry_decode(&context, level, value, &out), 0);
                assert_int_equal(out.kind, GN_PAGING_ENTRY_TABLE);
                assert_int_equal(out.permissions & keeps, p & keeps);
                assert_int_equal(out.address, top);
            }
    }
}

static void entries_have_the_bits_of_the_manuals(void **state)
{
    struct gn_paging_entry all = {GN_PAGING_ENTRY_LEAF, 0x37f, 0x12345000};
    struct gn_paging_entry ro = {GN_PAGING_ENTRY_LEAF, GN_PAGING_R, 0x40000000};
    struct gn_paging_entry table = {GN_PAGING_ENTRY_TABLE, GN_PAGING_W | GN_PAGING_X, 0x7000};
    uint64_t value;

    (void)state;
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_4LEVEL, 0, &all, &value), 0);
    assert_int_equal(value, 0x12345000 | 0x767); /* P RW US A D G, 9, 10 */
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_4LEVEL, 2, &ro, &value), 0);
    assert_int_equal(value, 1ull << 63 | 0x40000000 | 0x81); /* NX, PS, P */
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_5LEVEL, 4, &table, &value), 0);
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
    c.size--;
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
    c = good;
    c.root = gn_gpa(0x800);
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
    c = good;
    c.format = 1;
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_NOTSUP);
    c = good;
    for (uint32_t kind = GN_ACCESS_KINDS; kind < 16; kind++)
        assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), kind, &r), -GN_ERR_INVAL);
    ops.load = NULL;
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
    ops = guest_ops;
    ops.size--;
    assert_int_equal(gn_paging_walk(&c, &ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
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
        cmocka_unit_test(riscv_refuses_to_encode_what_its_entries_cannot_say),
        cmocka_unit_test(an_absent_entry_encodes_as_zero_and_decodes_to_nothing),
        cmocka_unit_test(leaves_round_trip_at_every_level_with_every_permission),
        cmocka_unit_test(tables_round_trip_at_every_level_above_the_last),
        cmocka_unit_test(entries_have_the_bits_of_the_manuals),
        cmocka_unit_test(riscv_reserves_encodings),
        cmocka_unit_test(x86_reserves_address_bits_past_maxphyaddr),
        cmocka_unit_test(x86_ignores_bits_52_to_62),
        cmocka_unit_test(x86_reserves_low_address_bits_of_large_pages_but_not_pat),
        cmocka_unit_test(x86_reserves_ps_and_nx_where_the_processor_lacks_them),
        cmocka_unit_test(no_format_makes_a_table_of_a_last_level_entry),
        cmocka_unit_test(a_walk_checks_its_arguments),
        cmocka_unit_test(longer_structures_are_taken_if_their_tail_is_zero),
        cmocka_unit_test(bare_translates_everything_to_itself),
        cmocka_unit_test(the_rules_of_an_unknown_format_allow_nothing),
        cmocka_unit_test(riscv_causes_follow_the_access_alone),
        cmocka_unit_test(x86_error_codes_are_composed_bit_by_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
