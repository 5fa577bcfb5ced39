/* SPDX-License-Identifier: BSD-3-Clause */
#include "pages.h"

static uint8_t page[GN_MODESWITCH_PAGE] __attribute__((aligned(4096)));

static int emit(const struct gn_modeswitch_params *p)
{
    struct gn_modeswitch_layout layout;

    return gn_modeswitch_emit(page, sizeof page, p, &layout);
}

static void the_version_is_that_of_the_header(void **state)
{
    (void)state;
    assert_int_equal(gn_modeswitch_version(),
                     GN_MODESWITCH_VERSION_MAJOR << 16 | GN_MODESWITCH_VERSION_MINOR);
}

static void sections_follow_each_other_and_leave_room_for_what_they_save(void **state)
{
    struct gn_modeswitch_params p = ring0_params();
    struct gn_modeswitch_layout l;

    (void)state;
    p.flags = GN_MODESWITCH_TSS | GN_MODESWITCH_PCID;
    p.tr = 0x38;
    p.msrs = GN_MODESWITCH_MSRS_MAX;
    for (uint32_t i = 0; i < p.msrs; i++)
        p.msr[i] = 0x174 + i;
    assert_int_equal(gn_modeswitch_emit(page, sizeof page, &p, &l), 0);
    assert_int_equal(l.size, sizeof l);
    assert_int_equal(l.enter, l.code64_begin);
    assert_int_equal(l.code64_begin, 0);
    assert_int_equal(l.code64_end, l.code32_begin);
    assert_true(l.back > l.code32_begin && l.back < l.code32_end);
    assert_int_equal(l.code32_end, l.tail64_begin);
    assert_int_equal(l.tail64_end, l.nmi64_begin);
    assert_int_equal(l.nmi64_end, l.nmi32_begin);
    assert_true(l.nmi32_end < 0x800); /* where data begin */
    assert_true(l.latched >= 0x800 && l.latched < GN_MODESWITCH_PAGE);
}

static void nothing_outside_the_page_is_written(void **state)
{
    static uint8_t around[3 * GN_MODESWITCH_PAGE] __attribute__((aligned(4096)));
    const struct gn_modeswitch_params p = ring0_params();
    struct gn_modeswitch_layout l;

    (void)state;
    memset(around, 0xa5, sizeof around);
    assert_int_equal(gn_modeswitch_emit(around + 4096, 4096, &p, &l), 0);
    for (uint32_t i = 0; i < 4096; i++) {
        assert_int_equal(around[i], 0xa5);
        assert_int_equal(around[8192 + i], 0xa5);
    }
}

static void a_misplaced_page_is_refused_by_name(void **state)
{
    struct gn_modeswitch_params p = ring0_params();
    struct gn_modeswitch_layout l = {.size = 77};

    (void)state;
    p.address = ADDRESS + 8;
    assert_int_equal(emit(&p), -GN_ERR_FAULT);
    p.address = ADDRESS + 0x800;
    assert_int_equal(emit(&p), -GN_ERR_FAULT);
    p.address = 0;
    assert_int_equal(emit(&p), -GN_ERR_RANGE);
    p.address = (uint64_t)1 << 31;
    assert_int_equal(emit(&p), -GN_ERR_RANGE);
    p.address = (uint64_t)1 << 32;
    assert_int_equal(emit(&p), -GN_ERR_RANGE);
    p.address = ((uint64_t)1 << 31) - GN_MODESWITCH_PAGE;
    assert_int_equal(emit(&p), 0);
    p = ring3_params();
    p.address = UINT64_C(0x7fff00000000);
    assert_int_equal(emit(&p), -GN_ERR_RANGE);
    p = ring0_params();
    assert_int_equal(gn_modeswitch_emit(page + 16, sizeof page, &p, &l), -GN_ERR_FAULT);
    assert_int_equal(gn_modeswitch_emit(page, sizeof page - 1, &p, &l), -GN_ERR_NOMEM);
    assert_int_equal(gn_modeswitch_emit(NULL, sizeof page, &p, &l), -GN_ERR_INVAL);
    assert_int_equal(gn_modeswitch_emit(page, sizeof page, &p, NULL), -GN_ERR_INVAL);
    assert_int_equal(l.size, 77);
}

/* Sets one member, and expects a status. */
#define REFUSED(params, member, wrong, status)     \
    do {                                           \
        struct gn_modeswitch_params p_ = (params); \
        p_.member = (wrong);                       \
        assert_int_equal(emit(&p_), (status));     \
    } while (0)

static void selectors_that_a_world_cannot_have_are_inval(void **state)
{
    (void)state;
    REFUSED(ring0_params(), code64, 0, -GN_ERR_INVAL);
    REFUSED(ring0_params(), code32, 3, -GN_ERR_INVAL);
    REFUSED(ring0_params(), code32, 0x1b, -GN_ERR_INVAL); /* ring 3 */
    REFUSED(ring0_params(), code32, 0x1c, -GN_ERR_INVAL); /* an LDT's */
    REFUSED(ring0_params(), code32, 0x08, -GN_ERR_INVAL); /* the 64-bit one */
    REFUSED(ring0_params(), data, 0x18, -GN_ERR_INVAL);
    REFUSED(ring0_params(), data, 0x80, -GN_ERR_INVAL);
    REFUSED(ring0_params(), data, 0x40, -GN_ERR_INVAL); /* beyond the other world's limit */
    REFUSED(ring0_params(), code64, 0x78, 0);           /* but that one it need not have */
    REFUSED(ring3_params(), data, 0x28, -GN_ERR_INVAL); /* ring 0 */
    REFUSED(ring3_params(), data, 0x23, -GN_ERR_INVAL);
}

static void registers_that_would_fault_in_mid_switch_are_inval(void **state)
{
    (void)state;
    REFUSED(ring0_params(), cr0, 0x11, -GN_ERR_INVAL);
    REFUSED(ring0_params(), cr0, 0x80000010, -GN_ERR_INVAL);
    REFUSED(ring0_params(), cr4, 0x1020, -GN_ERR_INVAL);
    REFUSED(ring0_params(), cr4, 0x20020, -GN_ERR_INVAL);
    REFUSED(ring0_params(), efer, 0x100, -GN_ERR_INVAL);
    REFUSED(ring0_params(), efer, 0x400, -GN_ERR_INVAL);
    REFUSED(ring0_params(), efer, 0x800, 0);
    REFUSED(ring0_params(), cr3, 0x71020, 0);             /* PAE: 32 bytes */
    REFUSED(ring0_params(), cr3, 0x71004, -GN_ERR_INVAL); /* a bit that is none */
    REFUSED(ring0_params(), cr3, 0x71018, 0);             /* PWT, PCD */
    REFUSED(ring0_params(), gdt_limit, 0x10000, -GN_ERR_INVAL);
    REFUSED(ring0_params(), idt_limit, 0x10000, -GN_ERR_INVAL);
}

static void without_pae_a_root_is_a_page_and_there_is_no_nxe(void **state)
{
    struct gn_modeswitch_params p = ring0_params();

    (void)state;
    p.cr4 = 0x10;
    assert_int_equal(emit(&p), 0);
    REFUSED(p, cr3, 0x71020, -GN_ERR_INVAL);
    REFUSED(p, efer, 0x800, -GN_ERR_INVAL);
}

static void a_tss_needs_a_selector(void **state)
{
    struct gn_modeswitch_params p = ring0_params();

    (void)state;
    p.flags = GN_MODESWITCH_TSS;
    assert_int_equal(emit(&p), -GN_ERR_INVAL);
    REFUSED(p, tr, 0x38, 0);
    REFUSED(p, tr, 0x40, -GN_ERR_INVAL);
    REFUSED(p, tr, 0x3b, -GN_ERR_INVAL);
}

static void msrs_are_few_and_different(void **state)
{
    struct gn_modeswitch_params p = ring0_params();

    (void)state;
    REFUSED(p, msrs, GN_MODESWITCH_MSRS_MAX + 1, -GN_ERR_2BIG);
    p.msrs = 2;
    p.msr[0] = 0x174;
    p.msr[1] = 0x174;
    assert_int_equal(emit(&p), -GN_ERR_INVAL);
    REFUSED(p, msr[1], 0x175, 0);
    REFUSED(p, msr[1], 0xc0000080, -GN_ERR_INVAL);
    REFUSED(p, msr[1], 0xc0000100, -GN_ERR_INVAL);
    REFUSED(p, msr[1], 0xc0000101, -GN_ERR_INVAL);
}

static void unknown_forms_and_flags_are_inval(void **state)
{
    struct {
        struct gn_modeswitch_params p;
        uint64_t tail;
    } longer = {ring0_params(), 0};

    (void)state;
    REFUSED(ring0_params(), form, 2, -GN_ERR_INVAL);
    REFUSED(ring0_params(), flags, 8, -GN_ERR_INVAL);
    REFUSED(ring0_params(), reserved[1], 1, -GN_ERR_INVAL);
    REFUSED(ring0_params(), size, 8, -GN_ERR_INVAL);
    assert_int_equal(emit(NULL), -GN_ERR_INVAL);
    longer.p.size = sizeof longer;
    assert_int_equal(emit(&longer.p), 0);
    longer.tail = 1;
    assert_int_equal(emit(&longer.p), -GN_ERR_2BIG);
}

/* ---- the check ----------------------------------------------------------------------------- */

/* All is mapped, but what a test takes away. */
struct maps {
    uint32_t asked;
    uint32_t spoil; /* the one that is spoiled, from 1 */
    int absent;
    uint32_t forbid;
    uint64_t moved;
};

static int translate(void *ctx, uint32_t bits, uint64_t address, uint64_t *ret_physical,
                     uint32_t *ret_flags)
{
    struct maps *m = ctx;
    const int here = ++m->asked == m->spoil;

    assert_true(bits == 32 || bits == 64);
    if (here && m->absent)
        return -GN_ERR_NOENT;
    *ret_physical = address + (here ? m->moved : 0);
    *ret_flags = (GN_MODESWITCH_MAP_WRITE | GN_MODESWITCH_MAP_EXEC) & ~(here ? m->forbid : 0);
    return 0;
}

static int check(const struct gn_modeswitch_params *p, struct maps *m)
{
    const struct gn_modeswitch_check_ops ops = {GN_MODESWITCH_CHECK_OPS_INIT,
                                                .translate = translate};

    m->asked = 0;
    return gn_modeswitch_check(p, &ops, m);
}

static void a_check_finds_whatever_is_not_mapped(void **state)
{
    const struct gn_modeswitch_params ring0 = ring0_params(), ring3 = ring3_params();
    struct maps m = {0};

    (void)state;
    assert_int_equal(check(&ring0, &m), 0);
    assert_int_equal(m.asked, 7);
    for (m.spoil = 1, m.absent = 1; m.spoil <= 7; m.spoil++)
        assert_int_equal(check(&ring0, &m), -GN_ERR_NOENT);
    m.spoil = 0;
    assert_int_equal(check(&ring3, &m), 0);
    assert_int_equal(m.asked, 4);
}

static void a_check_demands_identity_and_permissions(void **state)
{
    const struct gn_modeswitch_params ring0 = ring0_params(), ring3 = ring3_params();
    struct maps m = {.moved = 4096};

    (void)state;
    for (m.spoil = 1; m.spoil <= 7; m.spoil++)
        assert_int_equal(check(&ring0, &m), m.spoil <= 2 ? -GN_ERR_FAULT : 0);
    m.spoil = 1;
    assert_int_equal(check(&ring3, &m), 0);
    m = (struct maps){.spoil = 1, .forbid = GN_MODESWITCH_MAP_WRITE};
    assert_int_equal(check(&ring0, &m), -GN_ERR_PERM);
    m = (struct maps){.spoil = 2, .forbid = GN_MODESWITCH_MAP_EXEC};
    assert_int_equal(check(&ring0, &m), -GN_ERR_PERM);
    m = (struct maps){.spoil = 3, .forbid = GN_MODESWITCH_MAP_EXEC};
    assert_int_equal(check(&ring0, &m), -GN_ERR_PERM);
    m = (struct maps){.spoil = 4, .forbid = GN_MODESWITCH_MAP_WRITE};
    assert_int_equal(check(&ring0, &m), -GN_ERR_PERM);
}

static void a_check_refuses_what_emit_does(void **state)
{
    struct gn_modeswitch_params p = ring0_params();
    const struct gn_modeswitch_check_ops none = {GN_MODESWITCH_CHECK_OPS_INIT};
    struct maps m = {0};

    (void)state;
    assert_int_equal(gn_modeswitch_check(&p, NULL, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_modeswitch_check(&p, &none, NULL), -GN_ERR_INVAL);
    p.address = 0;
    assert_int_equal(check(&p, &m), -GN_ERR_RANGE);
    assert_int_equal(m.asked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_is_that_of_the_header),
        cmocka_unit_test(sections_follow_each_other_and_leave_room_for_what_they_save),
        cmocka_unit_test(nothing_outside_the_page_is_written),
        cmocka_unit_test(a_misplaced_page_is_refused_by_name),
        cmocka_unit_test(selectors_that_a_world_cannot_have_are_inval),
        cmocka_unit_test(registers_that_would_fault_in_mid_switch_are_inval),
        cmocka_unit_test(without_pae_a_root_is_a_page_and_there_is_no_nxe),
        cmocka_unit_test(a_tss_needs_a_selector),
        cmocka_unit_test(msrs_are_few_and_different),
        cmocka_unit_test(unknown_forms_and_flags_are_inval),
        cmocka_unit_test(a_check_finds_whatever_is_not_mapped),
        cmocka_unit_test(a_check_demands_identity_and_permissions),
        cmocka_unit_test(a_check_refuses_what_emit_does),
    };

    return cmocka_run_group_tests_name("modeswitch", tests, NULL, NULL);
}
