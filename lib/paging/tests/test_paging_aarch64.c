/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * AArch64: every combination of leaf bits, bits of one table entry, controls, exception level and
 * access kind, against the naive machine; and the choice of a root.
 */

#include "twin.h"

#define VALID 1u
#define TABLE 2u
#define AF    (1u << 10)
#define LOW   0x0000123456789abcull
#define HIGH  0xffff923456789abcull

/* HA, HD, PAN, WXN and EPAN; EL1 and EL0; with probe or without. */
static void controls(int probes)
{
    struct naive_aarch64 *a = &twin.trial.arm;

    for (int bits = 0; bits < 64; bits++)
        for (int op = 0; op < 3; op++)
            for (int probe = 0; probe <= probes; probe++) {
                a->ha = bits & 1;
                a->hd = bits >> 1 & 1;
                a->pan = bits >> 2 & 1;
                a->wxn = bits >> 3 & 1;
                a->el = bits >> 4 & 1;
                a->epan = bits >> 5;
                a->op = "rwx"[op];
                a->probe = probe;
                twin_try();
            }
}

/* AP, AF, nG, DBM, PXN, UXN in all combinations. */
#define LEAVES 256

static uint64_t leaf_value(unsigned n)
{
    return (n & 3) << 6 | (n >> 2 & 3) << 10 | (uint64_t)(n >> 4 & 1) << 51 |
           (uint64_t)(n >> 5 & 3) << 53 | (uint64_t)(n >> 7) << 52;
}

/* APTable, UXNTable, PXNTable in all combinations; and bits that are nothing in a table. */
#define UPPERS 20

static uint64_t upper_value(unsigned n)
{
    static const uint64_t odd[] = {1ull << 63, 0xffc, 0xffull << 51, 1ull << 58 | 0xc0};

    return n < 16 ? (uint64_t)n << 59 : odd[n - 16];
}

/* Bits of a leaf that change nothing, are past the address's width, or spoil it. */
static const uint64_t odd[] = {0xffull << 55, 1u << 5,    7u << 2,    3u << 8,    1ull << 50,
                               3ull << 48,    1ull << 40, 1ull << 47, 1ull << 39, 1u << 16,
                               0x3f000,       1u << 12,   TABLE,      VALID};

static void permute(uint32_t leaf, uint32_t upper)
{
    uint64_t type = leaf ? VALID : VALID | TABLE;

    twin_init(GN_PAGING_AARCH64_4K, 3, LOW);
    for (uint32_t level = leaf + 1; level <= 3; level++)
        twin.entry[level] = (uint64_t)level << 12 | VALID | TABLE;
    for (unsigned u = 0; u < UPPERS; u++) {
        twin.entry[upper] = (uint64_t)upper << 12 | VALID | TABLE | upper_value(u);
        for (unsigned n = 0; n < LEAVES; n++) {
            twin.entry[leaf] = 0x4040000000 | leaf_value(n) | type;
            controls(u == 0);
        }
    }
    twin.entry[upper] = (uint64_t)upper << 12 | VALID | TABLE;
    for (unsigned o = 0; o < sizeof odd / sizeof odd[0]; o++)
        for (unsigned n = 0; n < LEAVES; n += 5) {
            twin.entry[leaf] = (0x4040000000 | leaf_value(n) | type) ^ odd[o];
            controls(0);
        }
    /* The table entry itself: not valid, a block, past the width. */
    twin.entry[leaf] = 0x4040000000 | type | AF;
    for (unsigned o = 0; o < sizeof odd / sizeof odd[0]; o++) {
        twin.entry[upper] = ((uint64_t)upper << 12 | VALID | TABLE | AF) ^ odd[o];
        controls(0);
    }
    twin_tell(leaf, upper);
}

static void accesses_agree_with_the_manual_for_4k_pages(void **state)
{
    (void)state;
    permute(0, 1);
    permute(0, 2);
    permute(0, 3);
}

static void accesses_agree_with_the_manual_for_2m_blocks(void **state)
{
    (void)state;
    permute(1, 2);
    permute(1, 3);
}

static void accesses_agree_with_the_manual_for_1g_blocks(void **state)
{
    (void)state;
    permute(2, 3);
}

/* What one table takes away another does not give back. */
static void tables_take_away_together(void **state)
{
    (void)state;
    twin_init(GN_PAGING_AARCH64_4K, 3, LOW);
    twin.entry[0] = 0x4040000000 | VALID | TABLE | AF | 1u << 6;
    for (unsigned n = 0; n < 16 * 16; n++) {
        twin.entry[3] = 3u << 12 | VALID | TABLE | (uint64_t)(n & 15) << 59;
        twin.entry[2] = 2u << 12 | VALID | TABLE;
        twin.entry[1] = 1u << 12 | VALID | TABLE | (uint64_t)(n >> 4) << 59;
        controls(0);
    }
}

static void every_output_width_has_its_address_size_fault(void **state)
{
    static const int widths[] = {32, 36, 40, 42, 44, 48};

    (void)state;
    twin_init(GN_PAGING_AARCH64_4K, 3, LOW);
    for (unsigned i = 0; i < 6; i++)
        for (uint32_t at = 0; at <= 4; at++)
            for (int bit = 30; bit < 50; bit++) {
                for (uint32_t level = 0; level <= 3; level++)
                    twin.entry[level] = (uint64_t)level << 12 | VALID | TABLE | AF;
                twin.trial.arm.ttbr0 = 4u << 12;
                twin.trial.arm.oasize = widths[i];
                if (at < 4)
                    twin.entry[at] |= 1ull << bit;
                else
                    twin.trial.arm.ttbr0 |= 1ull << bit;
                controls(0);
            }
}

/* Both halves, with and without EPD and TBI, and all kinds of high bits. */
static void addresses_choose_their_root(void **state)
{
    struct naive_aarch64 *a = &twin.trial.arm;

    (void)state;
    for (int half = 0; half < 2; half++) {
        twin_init(GN_PAGING_AARCH64_4K, 3, half ? HIGH : LOW);
        for (uint32_t level = 0; level <= 3; level++)
            twin.entry[level] = (uint64_t)level << 12 | VALID | TABLE | AF;
        for (unsigned bits = 0; bits < 64; bits++)
            for (int flip = 47; flip <= 64; flip++) {
                a->epd0 = bits & 1;
                a->epd1 = bits >> 1 & 1;
                a->tbi0 = bits >> 2 & 1;
                a->tbi1 = bits >> 3 & 1;
                /* The other root is a hole. */
                a->ttbr0 = bits & 16 ? 0x70000000 : 4u << 12;
                a->ttbr1 = bits & 32 ? 0x70000000 : 4u << 12;
                twin.trial.address = (half ? HIGH : LOW) ^ (flip < 64 ? 1ull << flip : 0);
                if (flip != 47) /* that bit chooses an entry */
                    controls(0);
            }
    }
}

static void codes_tell_status_level_and_direction(void **state)
{
    static const struct {
        uint32_t reason, status;
    } rows[] = {{GN_PAGING_REASON_ABSENT, GN_PAGING_AARCH64_TRANSLATION},
                {GN_PAGING_REASON_ADDRESS, GN_PAGING_AARCH64_TRANSLATION},
                {GN_PAGING_REASON_RESERVED, GN_PAGING_AARCH64_ADDRESS_SIZE},
                {GN_PAGING_REASON_PERMISSION, GN_PAGING_AARCH64_PERMISSION},
                {GN_PAGING_REASON_AD, GN_PAGING_AARCH64_ACCESS_FLAG},
                {GN_PAGING_REASON_MEMORY, GN_PAGING_AARCH64_EXTERNAL}};
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = GN_PAGING_AARCH64_4K};

    (void)state;
    for (unsigned i = 0; i < 6; i++)
        for (uint32_t level = 0; level < 4; level++) {
            uint32_t reason = rows[i].reason | GN_PAGING_REASON_LEVEL(level);
            uint32_t code = rows[i].status | (3 - level);

            assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_READ, reason), code);
            assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_WRITE, reason), 0x40 | code);
            assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_EXEC, reason), code);
        }
}

/* A context of the first release has no root_high: it reads as zero. */
static void a_first_context_has_one_root(void **state)
{
    static uint64_t words[512];
    struct guest guest = {.words = words, .bytes = sizeof words};
    struct gn_paging_context c = {.size = offsetof(struct gn_paging_context, root_high),
                                  .format = GN_PAGING_AARCH64_4K,
                                  .root = {0x70000000},
                                  .root_high = {0x70000800}};
    struct gn_paging_walk r;

    (void)state;
    assert_int_equal(gn_paging_walk(&c, &guest_ops, &guest, gn_gva(HIGH), 0, &r), 0);
    assert_int_equal(r.code, GN_PAGING_AARCH64_TRANSLATION);
    assert_int_equal(r.step[3].gpa.v, (HIGH >> 39 & 511) * 8);
    c.size = sizeof c;
    assert_int_equal(gn_paging_walk(&c, &guest_ops, &guest, gn_gva(HIGH), 0, &r), -GN_ERR_INVAL);
}

/* The bits of DDI 0487 D8.3, one by one. */
static void entries_have_the_bits_of_the_manual(void **state)
{
    static const struct {
        uint32_t permissions, attributes;
        uint64_t bits;
    } rows[] = {
        {GN_PAGING_R, 0, 1ull << 54 | 1ull << 53 | 0x880},
        {GN_PAGING_R | GN_PAGING_W, 0, 1ull << 54 | 1ull << 53 | 0x800},
        {GN_PAGING_R | GN_PAGING_U, 0, 1ull << 54 | 1ull << 53 | 0x8c0},
        {GN_PAGING_R | GN_PAGING_X, 0, 1ull << 54 | 0x880},
        {GN_PAGING_R | GN_PAGING_UX, 0, 1ull << 53 | 0x880},
        {GN_PAGING_R | GN_PAGING_G | GN_PAGING_A, 0, 1ull << 54 | 1ull << 53 | 0x480},
        {GN_PAGING_R | GN_PAGING_SOFT0, 0, 7ull << 53 | 0x880},
        {GN_PAGING_R | GN_PAGING_SOFT1, 0, 11ull << 53 | 0x880},
        {GN_PAGING_R, GN_PAGING_AARCH64_INDEX(5), 3ull << 53 | 0x894},
        {GN_PAGING_R, GN_PAGING_AARCH64_SH(3), 3ull << 53 | 0xb80},
        {GN_PAGING_R, GN_PAGING_AARCH64_CONTIGUOUS, 7ull << 52 | 0x880},
        {GN_PAGING_R, GN_PAGING_AARCH64_GP, 25ull << 50 | 0x880},
        {GN_PAGING_R | GN_PAGING_W, GN_PAGING_AARCH64_DBM, 13ull << 51 | 0x880},
        {GN_PAGING_R | GN_PAGING_W | GN_PAGING_D, GN_PAGING_AARCH64_DBM, 13ull << 51 | 0x800},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (uint32_t level = 0; level < 3; level++) {
            struct gn_paging_entry e = {.kind = GN_PAGING_ENTRY_LEAF,
                                        .permissions = rows[i].permissions,
                                        .address = 0x800040000000,
                                        .attributes = rows[i].attributes};
            uint64_t value;

            assert_int_equal(gn_paging_entry_encode(GN_PAGING_AARCH64_4K, level, &e, &value), 0);
            assert_int_equal(value, 0x800040000000 | rows[i].bits | (level ? 1 : 3));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_agree_with_the_manual_for_4k_pages),
        cmocka_unit_test(accesses_agree_with_the_manual_for_2m_blocks),
        cmocka_unit_test(accesses_agree_with_the_manual_for_1g_blocks),
        cmocka_unit_test(tables_take_away_together),
        cmocka_unit_test(every_output_width_has_its_address_size_fault),
        cmocka_unit_test(addresses_choose_their_root),
        cmocka_unit_test(codes_tell_status_level_and_direction),
        cmocka_unit_test(a_first_context_has_one_root),
        cmocka_unit_test(entries_have_the_bits_of_the_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
