/* SPDX-License-Identifier: BSD-3-Clause */

/* What more than permissions a leaf may say: protection keys, and that it is global. */

#include "situations.h"

#define EXEC   GN_ACCESS_EXEC
#define PKE    GN_PAGING_X86_PKE
#define DENIED (GN_PAGING_X86_PF_P | GN_PAGING_X86_PF_PK)
#define KEY    5u
#define AD_KEY (1u << 2 * KEY)
#define WD_KEY (2u << 2 * KEY)

static const uint32_t keyed[] = {GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL};

/* Runs a situation for guests with keys in every shadow, under every policy. */
static void with_keys(void (*situation)(struct machine *m))
{
    for (uint32_t f = 0; f < 2 * FORMATS; f++) {
        for (uint32_t policy = 0; policy < POLICIES; policy++) {
            struct machine *m;

            if (!pair(keyed[f / FORMATS], formats[f % FORMATS]))
                continue;
            m = machine_new(formats[f % FORMATS], policy);
            machine_guest(m, keyed[f / FORMATS]);
            m->controls |= PKE;
            situation(m);
            coherence_check(m);
            machine_free(m);
        }
    }
}

static uint64_t keyed_leaf(struct machine *m, uint32_t level, uint64_t gpa, uint32_t permissions,
                           uint32_t key)
{
    struct gn_paging_entry e = {.kind = GN_PAGING_ENTRY_LEAF,
                                .permissions = permissions | AD,
                                .address = gpa,
                                .attributes = GN_PAGING_X86_KEY(key)};
    uint64_t value = 0;

    assert_int_equal(gn_paging_entry_encode(m->guest, level, &e, &value), 0);
    return value;
}

/* The CPU executes WRPKRU: a RISC-V shadow is another root then. @return the root to be used */
static uint32_t wrpkru(struct machine *m, uint32_t pkru)
{
    m->pkru = pkru;
    return root_get(m, ROOT);
}

static uint32_t code(struct machine *m, uint32_t root, uint64_t gva, uint32_t access)
{
    struct result r = access_at(m, root, gva, access);

    assert_int_equal(r.outcome, GN_SHADOW_GUEST_FAULT);
    return r.answer.code;
}

static void rights_situation(struct machine *m)
{
    uint32_t root;

    guest_write(m, guest_entry(m, ROOT, GVA, 0), keyed_leaf(m, 0, PAGE, USER, KEY));
    guest_write(m, guest_entry(m, ROOT, GVA + 4096, 0), keyed_leaf(m, 0, PAGE, KERNEL, KEY));
    for (uint32_t round = 0; round < 2; round++) {
        root = wrpkru(m, 0);
        assert_int_equal(outcome(m, root, GVA, WRITE | USERS), COMPLETED);
        root = wrpkru(m, WD_KEY);
        assert_int_equal(outcome(m, root, GVA, READ | USERS), COMPLETED);
        assert_int_equal(code(m, root, GVA, WRITE | USERS),
                         DENIED | GN_PAGING_X86_PF_W | GN_PAGING_X86_PF_U);
        assert_int_equal(code(m, root, GVA, WRITE), DENIED | GN_PAGING_X86_PF_W);
        root = wrpkru(m, AD_KEY);
        assert_int_equal(code(m, root, GVA, READ | USERS), DENIED | GN_PAGING_X86_PF_U);
        assert_int_equal(code(m, root, GVA, READ), DENIED);
        /* Keys are for data, and for user pages. */
        assert_int_equal(outcome(m, root, GVA, EXEC | USERS), COMPLETED);
        assert_int_equal(outcome(m, root, GVA, EXEC), COMPLETED);
        assert_int_equal(code(m, root, GVA, READ), DENIED);
        assert_int_equal(outcome(m, root, GVA + 4096, WRITE), COMPLETED);
        /* Rights of other keys. */
        root = wrpkru(m, ~(3u << 2 * KEY));
        assert_int_equal(outcome(m, root, GVA, WRITE | USERS), COMPLETED);
    }
}

static void inv3_a_key_denies_data_of_user_pages_with_its_bit_in_the_code(void **state)
{
    (void)state;
    with_keys(rights_situation);
}

static void change_situation(struct machine *m)
{
    uint64_t entry = guest_entry(m, ROOT, GVA, 0);
    uint32_t root;

    guest_write(m, entry, keyed_leaf(m, 0, PAGE, USER, KEY));
    root = wrpkru(m, AD_KEY << 2);
    assert_int_equal(outcome(m, root, GVA, READ | USERS), COMPLETED);
    /* Another key, and nothing else: the MMU must not go on with the old one. */
    device_store(m, entry, keyed_leaf(m, 0, PAGE, USER, KEY + 1));
    tlb_is_within_the_spt(m);
    assert_int_equal(code(m, root, GVA, READ | USERS), DENIED | GN_PAGING_X86_PF_U);
    device_store(m, entry, keyed_leaf(m, 0, PAGE, USER, KEY));
    assert_int_equal(outcome(m, root, GVA, READ | USERS), COMPLETED);
}

static void inv2_a_page_that_changes_its_key_is_forgotten_by_the_mmu(void **state)
{
    (void)state;
    with_keys(change_situation);
}

static void large_situation(struct machine *m)
{
    uint32_t root;

    /* A table lies in the page: its pieces have the key, too. */
    guest_write(m, guest_entry(m, ROOT, FAR, 1), keyed_leaf(m, 1, 0, USER, KEY));
    root = wrpkru(m, 0);
    assert_int_equal(outcome(m, root, FAR + PAGE, READ | USERS), COMPLETED);
    root = wrpkru(m, AD_KEY);
    assert_int_equal(code(m, root, FAR + PAGE, READ | USERS), DENIED | GN_PAGING_X86_PF_U);
    device_store(m, guest_entry(m, ROOT, FAR, 1), keyed_leaf(m, 1, 0, USER, KEY + 1));
    assert_int_equal(outcome(m, root, FAR + PAGE, READ | USERS), COMPLETED);
}

static void inv8_pieces_of_a_large_page_have_its_key(void **state)
{
    (void)state;
    with_keys(large_situation);
}

static void toggle_situation(struct machine *m)
{
    uint32_t off;
    uint32_t on;

    guest_write(m, guest_entry(m, ROOT, GVA, 0), keyed_leaf(m, 0, PAGE, USER, KEY));
    m->pkru = AD_KEY;
    for (uint32_t round = 0; round < 2; round++) {
        m->controls |= PKE;
        on = root_get(m, ROOT);
        assert_int_equal(code(m, on, GVA, READ | USERS), DENIED | GN_PAGING_X86_PF_U);
        m->controls &= ~PKE;
        off = root_get(m, ROOT);
        assert_int_not_equal(on, off);
        assert_int_equal(outcome(m, off, GVA, READ | USERS), COMPLETED);
    }
    /* Without PKE, PKRU is nothing; with it, it parts the roots where the MMU has no keys. */
    assert_int_equal(wrpkru(m, 0), off);
    m->controls |= PKE;
    assert_int_equal(wrpkru(m, 0) == on, is_x86(m->format));
}

static void inv7_pke_parts_roots_and_so_does_pkru_where_the_mmu_has_no_keys(void **state)
{
    (void)state;
    with_keys(toggle_situation);
}

static void no_wp_situation(struct machine *m)
{
    uint32_t by_hand = is_x86(m->format) ? GN_SHADOW_EMULATE : COMPLETED;
    uint32_t root;

    m->controls &= ~GN_PAGING_X86_WP;
    guest_write(m, guest_entry(m, ROOT, GVA, 0), keyed_leaf(m, 0, PAGE, USER, KEY));
    guest_write(m, guest_entry(m, ROOT, GVA + 4096, 0),
                keyed_leaf(m, 0, PAGE, USER & ~GN_PAGING_W, KEY));
    root = wrpkru(m, WD_KEY);
    /* The supervisor may write in spite of the key; as its own page it would have none. */
    assert_int_equal(outcome(m, root, GVA, WRITE), by_hand);
    assert_int_equal(outcome(m, root, GVA + 4096, WRITE), by_hand);
    assert_int_equal(code(m, root, GVA, WRITE | USERS),
                     DENIED | GN_PAGING_X86_PF_W | GN_PAGING_X86_PF_U);
    root = wrpkru(m, AD_KEY);
    assert_int_equal(code(m, root, GVA, WRITE), DENIED | GN_PAGING_X86_PF_W);
    assert_int_equal(code(m, root, GVA + 4096, WRITE), DENIED | GN_PAGING_X86_PF_W);
    root = wrpkru(m, 0);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(outcome(m, root, GVA + 4096, WRITE), by_hand);
}

static void inv7_without_wp_a_write_in_spite_of_a_key_opens_the_page_to_none(void **state)
{
    (void)state;
    with_keys(no_wp_situation);
}

static void keys_are_no_business_of_formats_without_them(void **state)
{
    struct machine *m = machine_new(GN_PAGING_X86_4LEVEL, GN_SHADOW_POLICY_TRAP);
    uint32_t always = GN_PAGING_X86_WP | GN_PAGING_X86_NXE;

    (void)state;
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_X86_4LEVEL, PKE, 0), always | PKE);
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_X86_PAE, PKE, 0), always);
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_X86_32, PKE, 0), always);
    assert_int_equal(gn_shadow_mmu_controls(m->sh, GN_PAGING_BARE, PKE, 0), always);
    machine_free(m);
}

/* ---- Global pages -------------------------------------------------------------------------------
 */

/* Runs a situation in every pair of formats, with an MMU that heeds G or does not. */
static void with_global(int heeds, void (*situation)(struct machine *m))
{
    for (uint32_t f = 0; f < GUESTS * FORMATS; f++) {
        struct gn_shadow_params p = machine_params(formats[f % FORMATS], 0, 256);
        struct machine *m;

        if (!pair(guests[f / FORMATS], formats[f % FORMATS]))
            continue;
        p.flags = heeds ? GN_SHADOW_MMU_GLOBAL : 0;
        p.roots = 2;
        m = machine_new_params(p);
        machine_guest(m, guests[f / FORMATS]);
        situation(m);
        coherence_check(m);
        machine_free(m);
    }
}

#define GLOBAL (KERNEL | AD | GN_PAGING_G)

static void stripped_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, GLOBAL);
    uint32_t root;

    guest_map(m, ROOT, FAR, 0, 1, GLOBAL);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, WRITE), COMPLETED);
    assert_int_equal(outcome(m, root, FAR + PAGE, READ), COMPLETED);
    assert_int_equal(mapped(m, root, GVA, NULL) & GN_PAGING_G, 0);
    assert_int_equal(mapped(m, root, FAR + PAGE, NULL) & GN_PAGING_G, 0);
    device_store(m, entry, leaf_value(m, 0, PAGE + 4096, GLOBAL));
    assert_int_equal(mapped(m, root, GVA, NULL) & GN_PAGING_G, 0);
}

static void no_leaf_is_global_for_an_mmu_that_was_not_said_to_heed_it(void **state)
{
    (void)state;
    with_global(0, stripped_situation);
}

static void survives_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, GLOBAL);
    uint32_t top = m->geometry.levels - 1;
    uint32_t first;
    uint32_t second;

    guest_map(m, ROOT, GVA + 4096, PAGE, 0, KERNEL | AD);
    guest_write(m, guest_entry(m, ROOT2, GVA, top), guest_read(m, guest_entry(m, ROOT, GVA, top)));
    first = root_get(m, ROOT);
    second = root_get(m, ROOT2);
    assert_int_equal(outcome(m, first, GVA, WRITE), COMPLETED);
    assert_int_equal(outcome(m, first, GVA + 4096, WRITE), COMPLETED);
    assert_true(mapped(m, first, GVA, NULL) & GN_PAGING_G);
    assert_int_equal(mapped(m, first, GVA + 4096, NULL) & GN_PAGING_G, 0);
    /* Loading another root leaves it in the MMU, which needs nobody. */
    assert_int_equal(access_at(m, second, GVA, READ).answers, 0);
    assert_int_equal(access_at(m, second, GVA + 4096, READ).answers, 1);
    /* What is taken away is taken from every root, be it used through it or not. */
    device_store(m, entry, leaf_value(m, 0, PAGE + 8192, GLOBAL));
    assert_int_equal(access_at(m, second, GVA, READ).gpa, PAGE + 8192);
    device_store(m, guest_entry(m, ROOT, GVA, 1), 0);
    device_store(m, guest_entry(m, ROOT2, GVA, top), 0);
    assert_int_equal(outcome(m, second, GVA, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, first, GVA, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv15_what_is_global_survives_a_change_of_roots_and_no_invalidation(void **state)
{
    (void)state;
    with_global(1, survives_situation);
}

static void evicted_situation(struct machine *m)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, GLOBAL);
    uint32_t root = root_get(m, ROOT);
    uint32_t other = root_get(m, ROOT2);

    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(gn_shadow_root_put(m->sh, root), 0);
    /* The root goes, with the tables that kept its leaf true. */
    root = root_get(m, ROOT3);
    assert_int_equal(m->roots_gone, 1);
    device_store(m, entry, leaf_value(m, 0, PAGE + 4096, GLOBAL));
    assert_int_equal(outcome(m, other, GVA, READ), GN_SHADOW_GUEST_FAULT);
    assert_int_equal(outcome(m, root, GVA, READ), GN_SHADOW_GUEST_FAULT);
}

static void inv15_a_root_that_goes_leaves_nothing_global_behind(void **state)
{
    (void)state;
    with_global(1, evicted_situation);
}

/* Two roots that differ in a control: a leaf that depends on it is none of the other's. */
static void controls_situation(struct machine *m)
{
    struct gn_shadow_root_key key = root_key(m, ROOT);
    uint32_t one;
    uint32_t two;

    if (!is_x86(m->guest))
        return;
    guest_map(m, ROOT, GVA, PAGE, 0, (USER & ~GN_PAGING_W) | AD | GN_PAGING_G);
    guest_map(m, ROOT, GVA + 4096, PAGE, 0, (KERNEL & ~GN_PAGING_W) | AD | GN_PAGING_G);
    guest_map(m, ROOT, GVA + 8192, PAGE, 0, GLOBAL);
    assert_int_equal(root_try(m, key, &one), 0);
    key.controls &= ~GN_PAGING_X86_WP;
    assert_int_equal(root_try(m, key, &two), 0);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(outcome(m, two, GVA + i * 4096, WRITE), COMPLETED);
        assert_int_equal(mapped(m, two, GVA + i * 4096, NULL) & GN_PAGING_G,
                         i == 2 ? GN_PAGING_G : 0);
        assert_int_equal(outcome(m, one, GVA + i * 4096, WRITE),
                         i == 2 ? COMPLETED : GN_SHADOW_GUEST_FAULT);
    }
    tlb_is_within_the_guest(m);
}

static void inv7_what_depends_on_controls_or_keys_is_not_global(void **state)
{
    struct gn_shadow_params p = machine_params(GN_PAGING_SV48, 0, 256);
    struct machine *m;
    uint32_t root;

    (void)state;
    with_global(1, controls_situation);
    /* Where PKRU is a part of the root, a user page is each root's own. */
    p.flags = GN_SHADOW_MMU_GLOBAL;
    m = machine_new_params(p);
    machine_guest(m, GN_PAGING_X86_4LEVEL);
    guest_map(m, ROOT, GVA, PAGE, 0, USER | AD | GN_PAGING_G);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, READ | USERS), COMPLETED);
    m->controls |= PKE;
    root = wrpkru(m, 1);
    assert_int_equal(outcome(m, root, GVA, READ | USERS), GN_SHADOW_GUEST_FAULT);
    machine_free(m);
}

/* A marker would answer by the page's permissions, and not by PKRU. */
static void device_situation(struct machine *m)
{
    uint32_t root;

    slot_add(m, GN_SHADOW_SLOT_MMIO, MMIO, 0x4000, 0);
    m->markers = 1;
    guest_write(m, guest_entry(m, ROOT, GVA, 0), keyed_leaf(m, 0, MMIO, USER, KEY));
    guest_write(m, guest_entry(m, ROOT, GVA + 4096, 0), keyed_leaf(m, 0, MMIO, KERNEL, KEY));
    root = wrpkru(m, WD_KEY);
    assert_int_equal(outcome(m, root, GVA, READ | USERS), GN_SHADOW_MMIO);
    assert_int_equal(marker_at(m, root, GVA), 0);
    assert_int_equal(code(m, root, GVA, WRITE | USERS),
                     DENIED | GN_PAGING_X86_PF_W | GN_PAGING_X86_PF_U);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), GN_SHADOW_MMIO);
    assert_int_not_equal(marker_at(m, root, GVA + 4096), 0);
}

static void inv6_no_marker_stands_for_a_device_that_a_key_may_close(void **state)
{
    (void)state;
    with_keys(device_situation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inv3_a_key_denies_data_of_user_pages_with_its_bit_in_the_code),
        cmocka_unit_test(inv2_a_page_that_changes_its_key_is_forgotten_by_the_mmu),
        cmocka_unit_test(inv8_pieces_of_a_large_page_have_its_key),
        cmocka_unit_test(inv7_pke_parts_roots_and_so_does_pkru_where_the_mmu_has_no_keys),
        cmocka_unit_test(inv7_without_wp_a_write_in_spite_of_a_key_opens_the_page_to_none),
        cmocka_unit_test(inv6_no_marker_stands_for_a_device_that_a_key_may_close),
        cmocka_unit_test(keys_are_no_business_of_formats_without_them),
        cmocka_unit_test(no_leaf_is_global_for_an_mmu_that_was_not_said_to_heed_it),
        cmocka_unit_test(inv15_what_is_global_survives_a_change_of_roots_and_no_invalidation),
        cmocka_unit_test(inv15_a_root_that_goes_leaves_nothing_global_behind),
        cmocka_unit_test(inv7_what_depends_on_controls_or_keys_is_not_global),
    };

    return cmocka_run_group_tests_name("shadow_keys", tests, NULL, NULL);
}
