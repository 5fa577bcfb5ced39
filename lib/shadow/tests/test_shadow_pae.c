/* SPDX-License-Identifier: BSD-3-Clause */

/* The four PDPTEs of a PAE guest: a root of 32 bytes, whose A bits are reserved. */

#include "situations.h"

#define MIB4 ((uint64_t)4 << 20)

static void pdpt_situation(struct machine *m)
{
    struct gn_shadow_root_key key = root_key(m, ROOT + 0x60);
    uint32_t root;
    uint32_t other;

    /* Two root tables in one page, of four entries each. */
    for (uint64_t i = 0; i < 4; i++) {
        guest_map(m, ROOT + 0x60, i << 30, PAGE + i * 4096, 0, USER | AD);
        guest_map(m, ROOT + 0x80, i << 30, PAGE + 0x10000 + i * 4096, 0, USER | AD);
    }
    assert_int_equal(root_try(m, key, &root), 0);
    key.table = gn_gpa(ROOT + 0x80);
    assert_int_equal(root_try(m, key, &other), 0);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(access_at(m, root, i << 30, USERS).gpa, PAGE + i * 4096);
        assert_int_equal(access_at(m, other, i << 30, USERS).gpa, PAGE + 0x10000 + i * 4096);
    }
    /* The last of one and the first of the other, at once and in halves. */
    *ram_word(m, ROOT + 0x78) = 0;
    *ram_word(m, ROOT + 0x80) = 0;
    machine_sync(m, ROOT + 0x7c, 8);
    assert_int_equal(outcome(m, root, (uint64_t)3 << 30, USERS), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, other, 0, USERS), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, other, (uint64_t)1 << 30, USERS), COMPLETED);
    assert_int_equal(outcome(m, root, (uint64_t)2 << 30, USERS), COMPLETED);
    /* W, U or A are reserved in a PDPTE. */
    *ram_word(m, ROOT + 0x70) |= 4;
    machine_sync(m, ROOT + 0x70, 8);
    assert_int_equal(access_at(m, root, (uint64_t)2 << 30, USERS).answer.code,
                     GN_PAGING_X86_PF_P | GN_PAGING_X86_PF_U | GN_PAGING_X86_PF_RSVD);
    key.table = gn_gpa(ROOT + 0x70);
    assert_int_equal(root_try(m, key, &other), -GN_ERR_INVAL);
}

static void a_pae_root_is_four_entries_anywhere_in_a_page(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_PAE, pdpt_situation);
}

/* A processor holds the PDPTEs in registers: the embedder keeps a copy, in no slot. */
static void copy_situation(struct machine *m)
{
    uint64_t copy = RAM_BYTES - GN_PAGE_SIZE + 0x20;
    struct gn_shadow_root_key key = root_key(m, copy);
    uint32_t root;

    slot_remove(m, 0);
    slot_add(m, GN_SHADOW_SLOT_RAM, 0, RAM_BYTES - GN_PAGE_SIZE, RAM_HPA);
    m->markers = 1;
    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD);
    guest_map(m, ROOT, FAR, PAGE + 4096, 0, USER | AD);
    memcpy(ram_word(m, copy), ram_word(m, ROOT), 32);
    assert_int_equal(root_try(m, key, &root), 0);
    assert_int_equal(access_at(m, root, GVA, USERS).gpa, PAGE);
    assert_int_equal(access_at(m, root, FAR, USERS).gpa, PAGE + 4096);
    /* What the guest writes to its table is nothing, until it loads CR3. */
    device_store(m, ROOT + 8, 0);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    memcpy(ram_word(m, copy), ram_word(m, ROOT), 32);
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(copy), 32), 0);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(marker_at(m, root, GVA), 0);
    assert_int_equal(access_at(m, root, FAR, USERS).gpa, PAGE + 4096);
    /* Elsewhere a table outside of all slots is of no use. */
    *ram_word(m, copy + 8) = encode(m, 2, GN_PAGING_ENTRY_TABLE, RAM_BYTES - GN_PAGE_SIZE, 0);
    *ram_word(m, RAM_BYTES - GN_PAGE_SIZE) = leaf_value(m, 1, 0, USER | AD);
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(copy), 32), 0);
    assert_int_equal(shadow_fault(m, root, (uint64_t)1 << 30, READ, &(struct gn_shadow_answer){0}),
                     -GN_ERR_FAULT);
    *ram_word(m, copy + 8) = 0;
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(copy), 32), 0);
}

static void a_pae_root_may_be_a_copy_that_the_embedder_keeps(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_PAE, copy_situation);
}

/* The walk sets A in a word that is a PDPTE elsewhere, where it is a reserved bit. */
static void spoilt_situation(struct machine *m)
{
    uint64_t table = guest_entry(m, ROOT, GVA, 0) & ~GN_PAGE_MASK;
    struct gn_shadow_root_key key = root_key(m, table);
    struct gn_shadow_answer answer;
    uint32_t other;
    uint32_t root;

    guest_map(m, ROOT2, FAR, PAGE, 0, USER | AD);
    /* Entry 3 of the table of GVA's neighbours leads, as a PDPTE, where ROOT2's leads. */
    *ram_word(m, table + 24) = guest_read(m, nth(m, ROOT2, 3));
    root = root_get(m, ROOT);
    assert_int_equal(root_try(m, key, &other), 0);
    assert_int_equal(outcome(m, other, FAR, READ), COMPLETED);
    assert_int_equal(shadow_fault(m, root, GVA + 2 * 4096, READ, &answer), -GN_ERR_AGAIN);
    assert_int_equal(mapped(m, other, FAR, NULL), 0);
    assert_int_equal(outcome(m, root, GVA + 2 * 4096, READ), COMPLETED);
    assert_int_equal(outcome(m, other, FAR, READ), GN_SHADOW_GUEST_FAULT);
    coherence_check(m);
}

static void an_a_bit_that_spoils_a_pdpte_is_no_secret_of_the_walk(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_PAE, spoilt_situation);
}

/* The same, of a PDPTE that the walk itself has passed. */
static void own_situation(struct machine *m)
{
    uint64_t gva = (uint64_t)1 << 21;
    struct gn_shadow_answer answer;
    uint32_t root;

    *ram_word(m, ROOT) = 0x60001;
    *ram_word(m, 0x60008) = ROOT | 0x23;
    root = root_get(m, ROOT);
    assert_int_equal(shadow_fault(m, root, gva, READ, &answer), -GN_ERR_AGAIN);
    assert_int_equal(*ram_word(m, ROOT), 0x60021);
    assert_int_equal(access_at(m, root, gva, READ).answer.code,
                     GN_PAGING_X86_PF_P | GN_PAGING_X86_PF_RSVD);
    coherence_check(m);
}

static void an_a_bit_that_spoils_the_walks_own_pdpte_promises_nothing(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_PAE, own_situation);
}

/* A table of 4-byte entries is one of 8-byte entries elsewhere: A is then a bit of an address. */
static void shared_word_situation(struct machine *m)
{
    uint64_t table = guest_entry(m, ROOT, GVA, 0) & ~GN_PAGE_MASK;
    uint64_t gva = ((uint64_t)1 << 30) + ((uint64_t)1 << 20);
    uint64_t gpa = ((uint64_t)1 << 32) + PAGE;
    uint32_t root = root_get(m, ROOT);
    uint32_t other;

    slot_add(m, GN_SHADOW_SLOT_RAM, (uint64_t)1 << 32, MIB4, (uint64_t)8 << 30);
    /* Entries 512 and 513, of which the latter maps GVA to page 0; or entry 256. */
    *ram_word(m, table + 0x800) = gpa | 0x63;
    machine_guest(m, GN_PAGING_X86_PAE);
    *ram_word(m, ROOT2 + 8) = 0x60001;
    *ram_word(m, 0x60000) = table | 0x23;
    other = root_get(m, ROOT2);
    assert_int_equal(access_at(m, other, gva, READ).gpa, gpa);
    machine_guest(m, GN_PAGING_X86_32);
    assert_int_equal(access_at(m, root, GVA + 7, READ).gpa, 7);
    assert_int_equal(audit(m), 0);
    assert_int_equal(mapped(m, other, gva, NULL), 0);
    machine_guest(m, GN_PAGING_X86_PAE);
    assert_int_equal(outcome(m, other, gva, READ), GN_SHADOW_HOLE);
    UNTIL_DONE(gn_shadow_flush(m->sh, GN_SHADOW_ROOT_ANY));
}

static void inv1_an_a_bit_that_is_an_address_elsewhere_is_no_secret_of_the_walk(void **state)
{
    (void)state;
    in_every_shadow(GN_PAGING_X86_32, shared_word_situation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pae_root_is_four_entries_anywhere_in_a_page),
        cmocka_unit_test(a_pae_root_may_be_a_copy_that_the_embedder_keeps),
        cmocka_unit_test(an_a_bit_that_spoils_a_pdpte_is_no_secret_of_the_walk),
        cmocka_unit_test(an_a_bit_that_spoils_the_walks_own_pdpte_promises_nothing),
        cmocka_unit_test(inv1_an_a_bit_that_is_an_address_elsewhere_is_no_secret_of_the_walk),
    };

    return cmocka_run_group_tests_name("shadow_pae", tests, NULL, NULL);
}
