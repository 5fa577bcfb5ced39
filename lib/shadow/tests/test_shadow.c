/* SPDX-License-Identifier: BSD-3-Clause */

/* The contract of the interface: arguments, limits, sizes, counters. */

#include "situations.h"

/* What others were compiled against. */
_Static_assert(sizeof(struct gn_shadow_slot) == 32, "gn_shadow_slot");
_Static_assert(offsetof(struct gn_shadow_slot, gpa) == 8, "gn_shadow_slot.gpa");
_Static_assert(offsetof(struct gn_shadow_slot, hpa) == 24, "gn_shadow_slot.hpa");
_Static_assert(sizeof(struct gn_shadow_absent) == 32, "gn_shadow_absent");
_Static_assert(offsetof(struct gn_shadow_absent, entry) == 16, "gn_shadow_absent.entry");
_Static_assert(sizeof(struct gn_shadow_ops) == 8 + 15 * sizeof(void *), "gn_shadow_ops");
_Static_assert(offsetof(struct gn_shadow_ops, guest) == 8, "gn_shadow_ops.guest");
_Static_assert(offsetof(struct gn_shadow_ops, panic) == 8 + 8 * sizeof(void *),
               "gn_shadow_ops.panic");
_Static_assert(sizeof(struct gn_shadow_params) == 56 + 2 * sizeof(void *), "gn_shadow_params");
_Static_assert(offsetof(struct gn_shadow_params, ops) == 32, "gn_shadow_params.ops");
_Static_assert(sizeof(struct gn_shadow_root_key) == 48, "gn_shadow_root_key");
_Static_assert(offsetof(struct gn_shadow_root_key, tag) == 24, "gn_shadow_root_key.tag");
_Static_assert(sizeof(struct gn_shadow_root) == 24, "gn_shadow_root");
_Static_assert(offsetof(struct gn_shadow_root, cookie) == 16, "gn_shadow_root.cookie");
_Static_assert(sizeof(struct gn_shadow_access) == 32, "gn_shadow_access");
_Static_assert(offsetof(struct gn_shadow_access, gva) == 8, "gn_shadow_access.gva");
_Static_assert(sizeof(struct gn_shadow_answer) == 32, "gn_shadow_answer");
_Static_assert(offsetof(struct gn_shadow_answer, gpa) == 16, "gn_shadow_answer.gpa");
_Static_assert(sizeof(struct gn_shadow_stats) == 8 + 36 * 8, "gn_shadow_stats");
_Static_assert(offsetof(struct gn_shadow_stats, splinters) == 8 + 22 * 8,
               "gn_shadow_stats.splinters");
_Static_assert(offsetof(struct gn_shadow_ops, dirty) == 8 + 9 * sizeof(void *),
               "gn_shadow_ops.dirty");
_Static_assert(offsetof(struct gn_shadow_stats, emulated) == 8 + 30 * 8,
               "gn_shadow_stats.emulated");
_Static_assert(sizeof(struct gn_shadow_difference) == 40, "gn_shadow_difference");

#define TABLES 16u

/* A structure as a later header might have it: longer, and its tail says something or not. */
#define LONGER(type)           \
    struct {                   \
        struct type known;     \
        uint64_t not_yet_made; \
    }

static struct machine *sv39(void)
{
    return machine_new(GN_PAGING_SV39, GN_SHADOW_POLICY_TRAP);
}

static void the_version_is_that_of_the_header(void **state)
{
    (void)state;
    assert_int_equal(gn_shadow_version(), GN_SHADOW_VERSION_MAJOR << 16 | GN_SHADOW_VERSION_MINOR);
    assert_int_equal(gn_shadow_align() & (gn_shadow_align() - 1), 0);
}

static struct gn_shadow *const untouched = (struct gn_shadow *)(uintptr_t)64;

static int init_result(struct gn_shadow_params params)
{
    static _Alignas(64) uint8_t mem[1 << 20];
    struct gn_shadow *sh = untouched;
    int rc = gn_shadow_init(mem, sizeof mem, &params, &sh);

    if (rc == 0)
        gn_shadow_fini(sh);
    else
        assert_ptr_equal(sh, untouched);
    return rc;
}

static void every_parameter_out_of_its_range_is_einval_and_has_no_size(void **state)
{
    static const struct {
        uint32_t policy, tables, roots, slots, reserved;
    } bad[] = {
        {4, 16, 2, 1, 0}, {UINT32_MAX, 16, 2, 1, 0},    {0, 15, 2, 1, 0},
        {0, 1, 2, 1, 0},  {0, (1u << 20) + 1, 2, 1, 0}, {0, UINT32_MAX, 2, 1, 0},
        {0, 16, 1, 1, 0}, {0, 16, 65537, 1, 0},         {0, 16, 2, 257, 0},
        {0, 16, 2, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gn_shadow_params p = machine_params(GN_PAGING_SV39, bad[i].policy, bad[i].tables);

        p.policy = bad[i].policy;
        p.roots = bad[i].roots;
        p.slots = bad[i].slots;
        p.reserved = bad[i].reserved;
        assert_int_equal(gn_shadow_size(&p), 0);
        assert_int_equal(init_result(p), -GN_ERR_INVAL);
    }
    for (uint32_t around = 3; around <= 1024; around += 1021) {
        struct gn_shadow_params p = machine_params(GN_PAGING_SV39, GN_SHADOW_POLICY_TRAP, 16);

        p.fault_around = around;
        assert_int_equal(init_result(p), -GN_ERR_INVAL);
    }
    assert_int_equal(gn_shadow_size(NULL), 0);
}

static void zero_means_the_documented_default(void **state)
{
    struct gn_shadow_params zero = {GN_SHADOW_PARAMS_INIT, .format = GN_PAGING_SV39};
    struct gn_shadow_params p = zero;
    size_t per_table;

    (void)state;
    p.tables = 1024;
    p.roots = 64;
    p.slots = 32;
    p.flood_limit = 64;
    assert_int_equal(gn_shadow_size(&zero), gn_shadow_size(&p));
    p.tables = 2048;
    per_table = (gn_shadow_size(&p) - gn_shadow_size(&zero)) / 1024;
    assert_in_range(per_table, 4096, 4400); /* "about 4.2 KiB" */
    p.tables = 1024;
    p.roots = 128;
    assert_in_range((gn_shadow_size(&p) - gn_shadow_size(&zero)) / 64, 64, 96);
}

static void a_budget_for_ram_takes_a_fiftieth_of_it(void **state)
{
    (void)state;
    for (uint64_t ram = (uint64_t)64 << 20; ram <= (uint64_t)512 << 30; ram <<= 1) {
        struct gn_shadow_params p = {GN_SHADOW_PARAMS_INIT, .format = GN_PAGING_X86_5LEVEL};
        uint64_t bytes;

        p.tables = gn_shadow_tables_for(ram);
        bytes = gn_shadow_size(&p) + (uint64_t)p.tables * GN_PAGE_SIZE;
        assert_in_range(bytes, p.tables == 1u << 20 ? 0 : ram / 53, ram / 50);
    }
    assert_int_equal(gn_shadow_tables_for(0), 16);
    assert_int_equal(gn_shadow_tables_for(UINT64_MAX), 1u << 20);
}

static void the_extremes_of_the_parameters_have_a_size(void **state)
{
    struct gn_shadow_params p = machine_params(GN_PAGING_SV39, 0, 1u << 20);

    (void)state;
    p.roots = 65536;
    p.slots = 256;
    assert_true(gn_shadow_size(&p) > (size_t)4 << 30);
    p.tables = 16;
    p.roots = 2;
    p.slots = 1;
    assert_in_range(gn_shadow_size(&p), 16 * 4096, 16 * 4400 + 8192);
}

static void init_refuses_null_and_unaligned_memory(void **state)
{
    static _Alignas(64) uint8_t mem[1 << 20];
    struct gn_shadow_params p = machine_params(GN_PAGING_SV39, 0, TABLES);
    struct gn_shadow *sh = untouched;

    (void)state;
    assert_int_equal(gn_shadow_init(NULL, sizeof mem, &p, &sh), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_init(mem, sizeof mem, NULL, &sh), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_init(mem, sizeof mem, &p, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_init(mem + 8, sizeof mem - 8, &p, &sh), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_init(mem, gn_shadow_size(&p) - 1, &p, &sh), -GN_ERR_NOMEM);
    assert_ptr_equal(sh, untouched);
    assert_int_equal(gn_shadow_init(mem, gn_shadow_size(&p), &p, &sh), 0);
    gn_shadow_fini(NULL);
}

static void init_refuses_each_required_op_that_is_missing(void **state)
{
    struct gn_paging_ops guest = machine_guest_ops;
    struct gn_shadow_params p = machine_params(GN_PAGING_SV39, 0, TABLES);
    struct gn_shadow_ops ops[8];

    (void)state;
    for (uint32_t i = 0; i < 8; i++)
        ops[i] = machine_ops;
    ops[0].guest = NULL;
    ops[1].frame_alloc = NULL;
    ops[2].frame_free = NULL;
    ops[3].invalidate_range = NULL;
    ops[4].invalidate_all = NULL;
    guest.load = NULL;
    ops[5].guest = &guest;
    ops[6].size = 4;
    for (uint32_t i = 0; i < 7; i++) {
        p.ops = &ops[i];
        assert_int_equal(init_result(p), -GN_ERR_INVAL);
    }
    guest = machine_guest_ops;
    guest.cmpxchg = NULL;
    p.ops = &ops[5];
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
    p.ops = NULL;
    assert_int_equal(init_result(p), -GN_ERR_INVAL);
}

static void init_knows_formats_of_8_byte_entries_only(void **state)
{
    static const uint32_t bad[] = {GN_PAGING_BARE, 1, 2, 8, UINT32_MAX};

    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(init_result(machine_params(bad[i], 0, TABLES)), -GN_ERR_NOTSUP);
}

static void longer_structures_are_2big_unless_their_tail_is_zero(void **state)
{
    static _Alignas(64) uint8_t mem[1 << 20];
    struct machine *m = sv39();
    LONGER(gn_shadow_ops) ops = {machine_ops, 0};
    LONGER(gn_shadow_params) p = {machine_params(GN_PAGING_SV39, 0, TABLES), 0};
    LONGER(gn_shadow_root_key) key = {root_key(m, 0x1000), 0};
    LONGER(gn_shadow_access) access = {{.size = sizeof access}, 0};
    LONGER(gn_shadow_slot)
    slot = {
        {.size = sizeof slot, .kind = GN_SHADOW_SLOT_MMIO, .gpa = gn_gpa(1 << 30), .length = 4096},
        0};
    struct gn_shadow_answer answer;
    struct gn_shadow_root root;
    struct gn_shadow *sh;
    uint32_t id;

    (void)state;
    ops.known.size = sizeof ops;
    p.known.size = sizeof p;
    p.known.ops = &ops.known;
    key.known.size = sizeof key;
    assert_int_equal(gn_shadow_init(mem, sizeof mem, &p.known, &sh), 0);
    assert_true(gn_shadow_size(&p.known) != 0);
    assert_int_equal(gn_shadow_root_get(m->sh, &key.known, &root), 0);
    access.known.root = root.id;
    assert_int_equal(gn_shadow_fault(m->sh, &access.known, &answer), 0);
    assert_int_equal(gn_shadow_slot_add(m->sh, &slot.known, NULL, 0, &id), 0);
    ops.not_yet_made = 1;
    assert_int_equal(gn_shadow_init(mem, sizeof mem, &p.known, &sh), -GN_ERR_2BIG);
    p.not_yet_made = key.not_yet_made = access.not_yet_made = slot.not_yet_made = 1;
    assert_int_equal(gn_shadow_init(mem, sizeof mem, &p.known, &sh), -GN_ERR_2BIG);
    assert_int_equal(gn_shadow_size(&p.known), 0);
    assert_int_equal(gn_shadow_root_get(m->sh, &key.known, &root), -GN_ERR_2BIG);
    assert_int_equal(gn_shadow_fault(m->sh, &access.known, &answer), -GN_ERR_2BIG);
    assert_int_equal(gn_shadow_slot_add(m->sh, &slot.known, NULL, 0, &id), -GN_ERR_2BIG);
    m->root_hpa[root.id] = root.hpa.v;
    machine_free(m);
}

/* ---- Slots --------------------------------------------------------------------------------------
 */

static int slot_result(struct machine *m, uint32_t kind, uint64_t gpa, uint64_t length,
                       uint64_t hpa)
{
    static _Alignas(8) uint8_t mem[1 << 16];
    struct gn_shadow_slot slot = {GN_SHADOW_SLOT_INIT, .kind = kind, .gpa = gn_gpa(gpa),
                                  .length = length, .hpa = gn_hpa(hpa)};
    uint32_t id = 77;
    int rc = gn_shadow_slot_add(m->sh, &slot, mem, sizeof mem, &id);

    if (rc)
        assert_int_equal(id, 77);
    else
        assert_int_equal(gn_shadow_slot_remove(m->sh, id), 0);
    return rc;
}

static void a_slot_is_checked_before_anything_happens(void **state)
{
    const uint64_t at = (uint64_t)1 << 30;
    const uint64_t far = (uint64_t)1 << 50;
    struct machine *m = sv39();

    (void)state;
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_RAM, at, 4096, far), 0);
    assert_int_equal(slot_result(m, 3, at, 4096, far), -GN_ERR_INVAL);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_RAM, at + 8, 4096, far), -GN_ERR_INVAL);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_RAM, at, 4095, far), -GN_ERR_INVAL);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_RAM, at, 0, far), -GN_ERR_INVAL);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_RAM, at, 4096, far + 1), -GN_ERR_INVAL);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_MMIO, (uint64_t)-4096, 8192, 0), -GN_ERR_RANGE);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_RAM, at, 8192, ((uint64_t)1 << 56) - 4096),
                     -GN_ERR_RANGE);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_RAM, at, 4096, ((uint64_t)1 << 56) - 4096), 0);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_RAM, at, (uint64_t)1 << 43, far), -GN_ERR_NOSPC);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_RAM, at, (uint64_t)1 << 32, far), -GN_ERR_NOMEM);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_MMIO, RAM_BYTES - 4096, 8192, 0), -GN_ERR_EXIST);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_RAM, at, 8192, RAM_HPA - 4096), -GN_ERR_EXIST);
    assert_int_equal(slot_result(m, GN_SHADOW_SLOT_MMIO, at, 8192, RAM_HPA), 0);
    machine_free(m);
}

static void slots_have_null_and_unaligned_memory_refused_and_an_end(void **state)
{
    struct machine *m = sv39();
    struct gn_shadow_slot slot = {GN_SHADOW_SLOT_INIT, .kind = GN_SHADOW_SLOT_RAM,
                                  .gpa = gn_gpa(1 << 30), .length = 4096};
    uint64_t mem[8];
    uint32_t id;

    (void)state;
    assert_int_equal(gn_shadow_slot_add(NULL, &slot, mem, sizeof mem, &id), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_slot_add(m->sh, NULL, mem, sizeof mem, &id), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_slot_add(m->sh, &slot, mem, sizeof mem, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_slot_add(m->sh, &slot, NULL, sizeof mem, &id), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_slot_add(m->sh, &slot, (uint8_t *)mem + 4, 60, &id), -GN_ERR_INVAL);
    for (uint32_t i = 1; i < SLOTS_MAX; i++)
        slot_add(m, GN_SHADOW_SLOT_MMIO, (uint64_t)i << 30, 4096, 0);
    slot.gpa = gn_gpa((uint64_t)1 << 40);
    assert_int_equal(gn_shadow_slot_add(m->sh, &slot, mem, sizeof mem, &id), -GN_ERR_NOSPC);
    assert_int_equal(gn_shadow_slot_remove(m->sh, SLOTS_MAX), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_slot_remove(NULL, 0), -GN_ERR_NOENT);
    slot_remove(m, 3);
    assert_int_equal(gn_shadow_slot_remove(m->sh, 3), -GN_ERR_NOENT);
    machine_free(m);
}

static void the_size_of_a_slot_is_about_6_bytes_a_page(void **state)
{
    (void)state;
    assert_int_equal(gn_shadow_slot_size(0), 0);
    assert_int_equal(gn_shadow_slot_size(4095), 0);
    assert_int_equal(gn_shadow_slot_size(UINT64_MAX), 0);
    assert_int_equal(gn_shadow_slot_size((uint64_t)1 << 43), 0);
    assert_in_range(gn_shadow_slot_size(4096), 6, 64);
    assert_in_range(gn_shadow_slot_size((uint64_t)1 << 30), 6u << 18, (6u << 18) + 8192);
}

/* ---- Roots, accesses, coherence
 * --------------------------------------------------------------------- */

static void a_root_is_checked(void **state)
{
    struct machine *m = sv39();
    struct gn_shadow_root_key key = root_key(m, 0x1000);
    struct gn_shadow_root root;

    (void)state;
    assert_int_equal(gn_shadow_root_get(NULL, &key, &root), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_root_get(m->sh, NULL, &root), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_root_get(m->sh, &key, NULL), -GN_ERR_INVAL);
    key.table.v++;
    assert_int_equal(gn_shadow_root_get(m->sh, &key, &root), -GN_ERR_INVAL);
    key = root_key(m, 0x1000);
    key.size = 4;
    assert_int_equal(gn_shadow_root_get(m->sh, &key, &root), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_root_put(NULL, 0), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_root_put(m->sh, 0), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_root_put(m->sh, ROOTS_MAX), -GN_ERR_NOENT);
    assert_int_equal(root_get(m, 0x1000), 0);
    assert_int_equal(gn_shadow_root_put(m->sh, 0), 0);
    assert_int_equal(gn_shadow_root_put(m->sh, 0), -GN_ERR_NOENT);
    machine_free(m);
}

static void combinations_beyond_this_version_are_enotsup(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        struct machine *m = machine_new(formats[i], GN_SHADOW_POLICY_TRAP);
        struct gn_shadow_root_key key = root_key(m, 0x1000);
        uint32_t id;

        for (uint32_t j = 0; j < 5; j++) {
            key.format = formats[j];
            assert_int_equal(root_try(m, key, &id), 0);
        }
        key.format = 15;
        assert_int_equal(root_try(m, key, &id), -GN_ERR_NOTSUP);
        key.format = formats[i];
        /* As others were compiled that know no PKRU. */
        key.size = 32;
        assert_int_equal(root_try(m, key, &id), 0);
        machine_free(m);
    }
}

static void an_access_is_checked(void **state)
{
    struct machine *m = sv39();
    struct gn_shadow_access a = {GN_SHADOW_ACCESS_INIT};
    struct gn_shadow_answer answer;

    (void)state;
    assert_int_equal(gn_shadow_fault(m->sh, &a, &answer), -GN_ERR_NOENT);
    a.root = root_get(m, 0x1000);
    assert_int_equal(gn_shadow_fault(NULL, &a, &answer), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_fault(m->sh, NULL, &answer), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_fault(m->sh, &a, NULL), -GN_ERR_INVAL);
    a.access = GN_ACCESS_KINDS;
    assert_int_equal(gn_shadow_fault(m->sh, &a, &answer), -GN_ERR_INVAL);
    a.access = GN_ACCESS_READ;
    a.size--;
    assert_int_equal(gn_shadow_fault(m->sh, &a, &answer), -GN_ERR_INVAL);
    a.size++;
    a.root = ROOTS_MAX;
    assert_int_equal(gn_shadow_fault(m->sh, &a, &answer), -GN_ERR_NOENT);
    a.root = GN_SHADOW_ROOT_ANY;
    assert_int_equal(gn_shadow_fault(m->sh, &a, &answer), -GN_ERR_NOENT);
    a.root = 0;
    assert_int_equal(gn_shadow_root_put(m->sh, 0), 0);
    assert_int_equal(gn_shadow_fault(m->sh, &a, &answer), -GN_ERR_NOENT);
    machine_free(m);
}

static void ranges_are_checked(void **state)
{
    struct machine *m = sv39();
    gn_gpa_t end = gn_gpa(UINT64_MAX - 4095);

    (void)state;
    assert_int_equal(gn_shadow_sync(NULL, gn_gpa(0), 8), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(UINT64_MAX), 2), -GN_ERR_RANGE);
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(UINT64_MAX), 1), 0);
    assert_int_equal(gn_shadow_sync(m->sh, gn_gpa(UINT64_MAX), 0), 0);
    assert_int_equal(gn_shadow_revoke(NULL, gn_gpa(0), 4096), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_revoke(m->sh, gn_gpa(1), 4096), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_revoke(m->sh, gn_gpa(0), 1), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_revoke(m->sh, end, 8192), -GN_ERR_RANGE);
    assert_int_equal(gn_shadow_revoke(m->sh, end, 4096), 0);
    assert_int_equal(gn_shadow_revoke(m->sh, gn_gpa(0), 0), 0);
    assert_int_equal(gn_shadow_is_table(m->sh, gn_gpa(UINT64_MAX)), 0);
    assert_int_equal(gn_shadow_is_table(NULL, gn_gpa(0)), 0);
    assert_int_equal(gn_shadow_flush(NULL, GN_SHADOW_ROOT_ANY), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_flush(m->sh, 0), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_flush(m->sh, ROOTS_MAX), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_flush(m->sh, GN_SHADOW_ROOT_ANY), 0);
    machine_free(m);
}

static void an_audit_is_checked(void **state)
{
    struct machine *m = sv39();
    uint64_t n = 77;
    uint64_t leaves = 77;

    (void)state;
    assert_int_equal(gn_shadow_audit(NULL, 0, NULL, NULL, &n, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_audit(m->sh, 0, NULL, NULL, NULL, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_audit(m->sh, 0, NULL, NULL, &n, NULL), -GN_ERR_NOENT);
    assert_int_equal(gn_shadow_audit(m->sh, ROOTS_MAX, NULL, NULL, &n, NULL), -GN_ERR_NOENT);
    assert_int_equal(n, 77);
    assert_int_equal(gn_shadow_audit(m->sh, GN_SHADOW_ROOT_ANY, NULL, NULL, &n, &leaves), 0);
    assert_int_equal(n + leaves, 0);
    machine_free(m);
}

static void an_audit_reports_a_write_that_nobody_told_of(void **state)
{
    struct machine *m = sv39();
    uint64_t entry = guest_map(m, 0x1000 * 16, GVA, 0x80000, 0, KERNEL | AD);
    uint32_t root = root_get(m, 0x1000 * 16);
    uint64_t n = 0;
    uint64_t leaves = 0;

    (void)state;
    assert_int_equal(access_at(m, root, GVA, GN_ACCESS_READ).outcome, COMPLETED);
    guest_write(m, entry, leaf_value(m, 0, 0x81000, KERNEL | AD));
    assert_int_equal(gn_shadow_audit(m->sh, root, NULL, NULL, &n, &leaves), 0);
    assert_int_equal(n, 1);
    assert_int_equal(leaves, 1);
    machine_free(m);
}

static void stats_are_written_as_far_as_the_caller_knows_them(void **state)
{
    struct machine *m = sv39();
    struct gn_shadow_stats s;

    (void)state;
    s.size = 3;
    assert_int_equal(gn_shadow_stats_get(m->sh, &s), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_stats_get(m->sh, NULL), -GN_ERR_INVAL);
    assert_int_equal(gn_shadow_stats_get(NULL, &s), -GN_ERR_INVAL);
    memset(&s, 0xa5, sizeof s);
    s.size = 8;
    assert_int_equal(gn_shadow_stats_get(m->sh, &s), 0);
    assert_int_equal(s.size, 8);
    assert_int_equal(s.tables, 0);
    assert_int_equal(s.faults, 0xa5a5a5a5a5a5a5a5);
    s.size = sizeof s + 100;
    assert_int_equal(gn_shadow_stats_get(m->sh, &s), 0);
    assert_int_equal(s.size, sizeof s);
    assert_int_equal(s.faults, 0);
    machine_free(m);
}

static void stats_count_what_happened(void **state)
{
    struct machine *m = sv39();
    struct gn_shadow_stats s = {GN_SHADOW_STATS_INIT};
    uint64_t entry = guest_map(m, 0x10000, GVA, 0x80000, 0, KERNEL | AD);
    uint32_t root = root_get(m, 0x10000);

    (void)state;
    assert_int_equal(root_get(m, 0x10000), root);
    access_at(m, root, GVA, GN_ACCESS_READ);
    access_at(m, root, GVA + 4096, GN_ACCESS_READ);
    guest_map(m, 0x10000, GVA + 8192, (uint64_t)1 << 40, 0, KERNEL | AD);
    access_at(m, root, GVA + 8192, GN_ACCESS_READ);
    device_store(m, entry, guest_read(m, entry));
    device_store(m, entry, 0);
    device_store(m, entry, leaf_value(m, 0, 0x80000, KERNEL | AD));
    assert_int_equal(gn_shadow_stats_get(m->sh, &s), 0);
    assert_int_equal(s.tables, 3);
    assert_int_equal(s.tables_created, 3);
    assert_int_equal(s.tables_peak, 3);
    assert_int_equal(s.faults, 3);
    assert_int_equal(s.fills, 1);
    assert_int_equal(s.guest_faults, 1);
    assert_int_equal(s.mmio, 1);
    assert_int_equal(s.walks, 3);
    assert_int_equal(s.walk_entries, 9);
    assert_int_equal(s.syncs, 3);
    assert_int_equal(s.sync_entries, 3);
    assert_int_equal(s.sync_unchanged, 1);
    assert_int_equal(s.sync_zaps, 1);
    assert_int_equal(s.sync_prefills, 1);
    assert_int_equal(s.root_hits, 1);
    assert_int_equal(s.root_misses, 1);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_is_that_of_the_header),
        cmocka_unit_test(every_parameter_out_of_its_range_is_einval_and_has_no_size),
        cmocka_unit_test(zero_means_the_documented_default),
        cmocka_unit_test(a_budget_for_ram_takes_a_fiftieth_of_it),
        cmocka_unit_test(the_extremes_of_the_parameters_have_a_size),
        cmocka_unit_test(init_refuses_null_and_unaligned_memory),
        cmocka_unit_test(init_refuses_each_required_op_that_is_missing),
        cmocka_unit_test(init_knows_formats_of_8_byte_entries_only),
        cmocka_unit_test(longer_structures_are_2big_unless_their_tail_is_zero),
        cmocka_unit_test(a_slot_is_checked_before_anything_happens),
        cmocka_unit_test(slots_have_null_and_unaligned_memory_refused_and_an_end),
        cmocka_unit_test(the_size_of_a_slot_is_about_6_bytes_a_page),
        cmocka_unit_test(a_root_is_checked),
        cmocka_unit_test(combinations_beyond_this_version_are_enotsup),
        cmocka_unit_test(an_access_is_checked),
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(an_audit_is_checked),
        cmocka_unit_test(an_audit_reports_a_write_that_nobody_told_of),
        cmocka_unit_test(stats_are_written_as_far_as_the_caller_knows_them),
        cmocka_unit_test(stats_count_what_happened),
    };

    return cmocka_run_group_tests_name("shadow", tests, NULL, NULL);
}
