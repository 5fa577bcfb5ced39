/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * x86 32-bit and PAE paging: every combination of leaf bits, bits of one upper entry, controls,
 * privilege and access kind, against the naive machine; and what the two do unlike all others.
 */

#include "twin.h"

#define P   1u
#define RW  2u
#define US  4u
#define A   0x20u
#define D   0x40u
#define PS  0x80u
#define G   0x100u
#define NX  (1ull << 63)
#define ALL (P | RW | US)

#define ADDRESS 0x92745678u

/* CR0.WP, EFER.NXE, CR4.SMEP, SMAP, PSE, RFLAGS.AC. */
static void controls(int probes)
{
    struct naive_x86 *x = &twin.trial.x86;
    uint64_t pae = x->cr4 & 1u << 5;

    for (unsigned bits = 0; bits < 64; bits++) {
        x->cr0 = bits & 1 ? 1ull << 16 : 0;
        x->efer = bits & 2 ? 1ull << 11 : 0;
        x->cr4 = pae | (bits & 4 ? 1ull << 20 : 0) | (bits & 8 ? 1ull << 21 : 0) |
                 (bits & 32 ? 1u << 4 : 0);
        x->rflags = bits & 16 ? 1ull << 18 : 0;
        twin_x86_accesses(probes);
    }
    x->cr4 = pae;
}

static uint64_t pick(unsigned n, const uint64_t *bits, unsigned count)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < count; i++)
        value |= n >> i & 1 ? bits[i] : 0;
    return value;
}

/* The leaf's bits, those that are free, a PAT bit, and some that may be reserved. */
static void x86_32_leaves(uint32_t leaf, int full)
{
    static const uint64_t bit[] = {P, RW, US, A, D, G};
    static const uint64_t odd[] = {0,        1u << 9,  7u << 9,  1u << 12, 1u << 13, 1u << 20,
                                   1u << 21, 1u << 17, 0x1fe000, PS,       3u << 3,  0x3ff000};

    for (unsigned n = 0; n < 64; n++)
        for (unsigned o = 0; o < sizeof odd / sizeof odd[0]; o++) {
            twin.entry[leaf] = 0xc0400000u | pick(n, bit, 6) | odd[o] | (leaf ? PS : 0);
            if ((n & 7) == 7 || (full && (o < 2 || o == 9)) || (full && leaf && n == 1))
                controls(n == 7);
        }
}

static void x86_32_accesses_agree_with_the_manual_for_4k_pages(void **state)
{
    static const uint64_t bit[] = {P, RW, US, A, D, G};

    (void)state;
    twin_init(GN_PAGING_X86_32, 1, ADDRESS);
    for (unsigned u = 0; u < 64; u++) {
        twin.entry[1] = 1u << 12 | pick(u, bit, 6);
        x86_32_leaves(0, u == 7);
    }
    twin_tell(0, 1);
}

static void x86_32_accesses_agree_with_the_manual_for_4m_pages(void **state)
{
    static const int widths[] = {32, 33, 36, 39, 40, 41, 52};

    (void)state;
    twin_init(GN_PAGING_X86_32, 1, ADDRESS);
    twin.entry[0] = 0x12345000 | ALL; /* met where CR4.PSE is 0: then bit 7 is nothing */
    for (unsigned i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        twin.trial.x86.maxphyaddr = widths[i];
        x86_32_leaves(1, widths[i] == 36);
    }
    /* The same, the table being where page 1 is, so that PSE = 0 finds level 0. */
    for (unsigned o = 0; o < 16; o++) {
        twin.entry[1] = 1u << 12 | ALL | PS | o << 3;
        controls(1);
    }
    twin_tell(1, 1);
}

static void pae_leaves(uint32_t leaf, int full)
{
    static const uint64_t bit[] = {P, RW, US, NX, A, D, G};
    static const uint64_t odd[] = {0,          7u << 9,    1ull << 40, 1ull << 52, 1ull << 62,
                                   1ull << 39, 1u << 13,   1u << 20,   1u << 12,   PS,
                                   1ull << 51, 1ull << 59, 3u << 3};

    for (unsigned n = 0; n < 128; n++)
        for (unsigned o = 0; o < sizeof odd / sizeof odd[0]; o++) {
            twin.entry[leaf] = 0x40000000 | pick(n, bit, 7) | odd[o] | (leaf ? PS : 0);
            if (full || n == 7 || (o == 0 && n % 16 == 15))
                controls(full && o == 0);
        }
}

static void pae_accesses_agree_with_the_manual_for_4k_pages(void **state)
{
    static const uint64_t bit[] = {P, RW, US, NX, A, D};

    (void)state;
    twin_init(GN_PAGING_X86_PAE, 2, ADDRESS);
    twin.entry[2] = 2u << 12 | P;
    for (unsigned u = 0; u < 64; u++) {
        twin.entry[1] = 1u << 12 | pick(u, bit, 6);
        pae_leaves(0, u == 7 || u == 9);
    }
    twin_tell(0, 1);
}

static void pae_accesses_agree_with_the_manual_for_2m_pages(void **state)
{
    (void)state;
    twin_init(GN_PAGING_X86_PAE, 2, ADDRESS);
    twin.entry[2] = 2u << 12 | P;
    pae_leaves(1, 1);
    twin_tell(1, 2);
}

/* Each bit of a PDPTE alone and with a few others, for several widths. */
static void pae_pdptes_agree_with_the_manual(void **state)
{
    static const int widths[] = {32, 36, 40, 51, 52};

    (void)state;
    twin_init(GN_PAGING_X86_PAE, 2, ADDRESS);
    twin.entry[1] = 1u << 12 | ALL;
    twin.entry[0] = 0x12345000 | ALL;
    for (unsigned i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (int bit = 0; bit < 64; bit++) {
            twin.trial.x86.maxphyaddr = widths[i];
            for (int other = 0; other < 2; other++) {
                twin.entry[2] = (2u << 12 | P | (other ? 7u << 9 : 0)) ^ 1ull << bit;
                controls(bit == 5);
            }
        }
    twin_tell(0, 2);
}

/* CR3 points to 32 bytes; the four PDPTEs are those of the four gigabytes. */
static void pae_roots_are_32_bytes(void **state)
{
    static uint64_t words[4 * 512];
    struct guest guest = {.words = words, .bytes = sizeof words};
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = GN_PAGING_X86_PAE};
    struct gn_paging_walk r;

    (void)state;
    memset(words, 0, sizeof words);
    for (uint64_t i = 0; i < 4; i++)
        words[12 + i] = (i + 1) << 12 | P; /* page 4 is a hole */
    words[512] = 0x00200000 | PS | ALL;
    words[2 * 512] = 0x00400000 | PS | ALL;
    words[3 * 512 + 511] = 0x00600000 | PS | ALL;
    c.root = gn_gpa(96);
    assert_int_equal(gn_paging_walk(&c, &guest_ops, &guest, gn_gva(0x123), 0, &r), 0);
    assert_int_equal(r.gpa.v, 0x200123);
    assert_int_equal(gn_paging_walk(&c, &guest_ops, &guest, gn_gva(0x40000456), 0, &r), 0);
    assert_int_equal(r.gpa.v, 0x400456);
    assert_int_equal(r.step[2].gpa.v, 96 + 8);
    assert_int_equal(gn_paging_walk(&c, &guest_ops, &guest, gn_gva(0xbfe00789), 0, &r), 0);
    assert_int_equal(r.gpa.v, 0x600789);
    assert_int_equal(gn_paging_walk(&c, &guest_ops, &guest, gn_gva(0xc0000000), 0, &r), 0);
    assert_int_equal(r.outcome, GN_PAGING_FAULT_ACCESS);
    assert_int_equal(words[12], 1u << 12 | P); /* a PDPTE has no A */
    c.root = gn_gpa(0x60 + 16);
    assert_int_equal(gn_paging_walk(&c, &guest_ops, &guest, gn_gva(0), 0, &r), -GN_ERR_INVAL);
}

static void addresses_past_4g_are_none(void **state)
{
    static const uint32_t formats[] = {GN_PAGING_X86_32, GN_PAGING_X86_PAE};
    struct gn_paging_walk r;

    (void)state;
    for (int i = 0; i < 2; i++)
        for (int bit = 32; bit < 64; bit++) {
            struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = formats[i]};
            struct guest guest = {.bytes = 0};

            assert_int_equal(gn_paging_walk(&c, &guest_ops, &guest, gn_gva(1ull << bit), 0, &r), 0);
            assert_int_equal(r.outcome, GN_PAGING_FAULT_NONCANONICAL);
            assert_int_equal(r.reason, GN_PAGING_REASON_ADDRESS);
            assert_int_equal(r.code, 0);
            assert_int_equal(guest.loads, 0);
        }
}

/* EFER.NXE says nothing without PAE: neither of rights nor in an error code (§4.7). */
static void nxe_is_nothing_without_pae(void **state)
{
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = GN_PAGING_X86_32,
                                  .controls = GN_PAGING_X86_NXE};

    (void)state;
    assert_true(gn_paging_allows(&c, GN_PAGING_R, GN_ACCESS_EXEC));
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_EXEC, GN_PAGING_REASON_ABSENT), 0);
    c.controls |= GN_PAGING_X86_SMEP;
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_EXEC, GN_PAGING_REASON_ABSENT), 0x10);
    c.format = GN_PAGING_X86_PAE;
    c.controls = GN_PAGING_X86_NXE;
    assert_false(gn_paging_allows(&c, GN_PAGING_R, GN_ACCESS_EXEC));
    assert_int_equal(gn_paging_fault_code(&c, GN_ACCESS_EXEC, GN_PAGING_REASON_ABSENT), 0x10);
}

/* Keys are a thing of 4-level and 5-level paging (§4.6.2), where bits 62:59 are not reserved. */
static void keys_are_nothing_without_long_mode(void **state)
{
    (void)state;
    twin_init(GN_PAGING_X86_PAE, 2, ADDRESS);
    twin.entry[2] = 2u << 12 | P;
    twin.entry[1] = 1u << 12 | ALL;
    twin.entry[0] = 0x12345000 | ALL;
    twin.trial.x86.pkru = UINT32_MAX;
    twin.trial.x86.cr4 |= 1u << 22;
    twin_x86_accesses(1);
    twin_init(GN_PAGING_X86_32, 1, ADDRESS);
    twin.entry[1] = 1u << 12 | ALL;
    twin.entry[0] = 0x12345000 | ALL;
    twin.trial.x86.pkru = UINT32_MAX;
    twin.trial.x86.cr4 |= 1u << 22;
    twin_x86_accesses(1);
}

static void a_4m_page_has_an_address_of_40_bits(void **state)
{
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = GN_PAGING_X86_32,
                                  .controls = GN_PAGING_X86_PSE};
    struct gn_paging_entry in = {.kind = GN_PAGING_ENTRY_LEAF,
                                 .permissions = GN_PAGING_R | GN_PAGING_X,
                                 .address = 0xa5c0400000,
                                 .attributes = GN_PAGING_X86_PAT};
    struct gn_paging_entry out;
    uint64_t value = 77;

    (void)state;
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_32, 1, &in, &value), 0);
    assert_int_equal(value, 0xc0400000 | 0xa5 << 13 | 1 << 12 | PS | P);
    assert_int_equal(gn_paging_entry_decode(&c, 1, value, &out), 0);
    assert_memory_equal(&in, &out, sizeof in);
    in.address = 0x10000000000;
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_32, 1, &in, &value), -GN_ERR_RANGE);
    in.address = 0x100000000;
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_32, 0, &in, &value), -GN_ERR_RANGE);
    in.kind = GN_PAGING_ENTRY_TABLE;
    in.attributes = 0;
    assert_int_equal(gn_paging_entry_encode(GN_PAGING_X86_32, 1, &in, &value), -GN_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x86_32_accesses_agree_with_the_manual_for_4k_pages),
        cmocka_unit_test(x86_32_accesses_agree_with_the_manual_for_4m_pages),
        cmocka_unit_test(pae_accesses_agree_with_the_manual_for_4k_pages),
        cmocka_unit_test(pae_accesses_agree_with_the_manual_for_2m_pages),
        cmocka_unit_test(pae_pdptes_agree_with_the_manual),
        cmocka_unit_test(pae_roots_are_32_bytes),
        cmocka_unit_test(addresses_past_4g_are_none),
        cmocka_unit_test(nxe_is_nothing_without_pae),
        cmocka_unit_test(keys_are_nothing_without_long_mode),
        cmocka_unit_test(a_4m_page_has_an_address_of_40_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
