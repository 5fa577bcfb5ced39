/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_MACHINE_SETUP_H
#define GN_TEST_MACHINE_SETUP_H

/* A machine begins and ends; its slots and roots come and go. */

#include "machine.h"

static inline uint32_t slot_add(struct machine *m, uint32_t kind, uint64_t gpa, uint64_t length,
                                uint64_t hpa)
{
    struct gn_shadow_slot slot = {GN_SHADOW_SLOT_INIT, .kind = kind, .gpa = gn_gpa(gpa),
                                  .length = length, .hpa = gn_hpa(hpa)};
    size_t bytes = kind == GN_SHADOW_SLOT_MMIO ? 0 : gn_shadow_slot_size(length);
    void *mem = bytes ? malloc(bytes) : NULL;
    uint32_t id = UINT32_MAX;

    UNTIL_DONE(gn_shadow_slot_add(m->sh, &slot, mem, bytes, &id));
    assert_true(id < SLOTS_MAX && !m->slot[id].size);
    m->slot[id] = slot;
    m->slot_mem[id] = mem;
    return id;
}

static inline void slot_remove(struct machine *m, uint32_t id)
{
    UNTIL_DONE(gn_shadow_slot_remove(m->sh, id));
    if (m->slot_mem[id])
        memset(m->slot_mem[id], 0x5a, gn_shadow_slot_size(m->slot[id].length));
    free(m->slot_mem[id]);
    m->slot_mem[id] = NULL;
    free(m->log_mem[id]);
    m->log_mem[id] = NULL;
    m->slot[id].size = 0;
}

static inline struct gn_shadow_params machine_params(uint32_t format, uint32_t policy,
                                                     uint32_t tables)
{
    uint32_t traced = policy == POLICY_ADAPT_TRACED;

    return (struct gn_shadow_params){
        GN_SHADOW_PARAMS_INIT,
        .format = format,
        .policy = traced ? GN_SHADOW_POLICY_ADAPT : policy,
        .flags = traced ? GN_SHADOW_MMU_TRACES : 0,
        .tables = tables,
        .roots = ROOTS_MAX,
        .slots = SLOTS_MAX,
        .ops = &machine_ops,
    };
}

/* From now on the guest's tables are of this format. */
static inline void machine_guest(struct machine *m, uint32_t guest)
{
    m->guest = guest;
    if (guest == GN_PAGING_AARCH64_4K)
        m->controls |= GN_PAGING_AARCH64_HA | GN_PAGING_AARCH64_HD;
    assert_int_equal(gn_paging_geometry(guest, &m->geometry), 0);
}

/* A machine with RAM at GPA 0, all of it backed. */
static inline struct machine *machine_new_params(struct gn_shadow_params params)
{
    struct machine *m = calloc(1, sizeof *m);
    size_t size = gn_shadow_size(&params);

    m->format = params.format;
    m->policy = params.policy;
    m->steps = params.step_limit;
    m->global = (params.flags & GN_SHADOW_MMU_GLOBAL) != 0;
    m->leaves = (params.flags & GN_SHADOW_MMU_LEAVES) != 0;
    m->controls = ALL_CONTROLS;
    m->frames_limit = FRAMES_MAX;
    m->ram = calloc(1, RAM_BYTES);
    m->frames = aligned_alloc(GN_PAGE_SIZE, FRAMES_MAX * GN_PAGE_SIZE);
    m->mem = aligned_alloc(gn_shadow_align(), (size + 63) & ~(size_t)63);
    memset(m->mem, 0xcc, size);
    params.ops_ctx = m;
    m->locks = params.ops->lock ? gn_shadow_locks(&params) : 0;
    machine_guest(m, params.format);
    m->shadow = m->geometry;
    assert_int_equal(gn_shadow_init(m->mem, size, &params, &m->sh), 0);
    slot_add(m, GN_SHADOW_SLOT_RAM, 0, RAM_BYTES, RAM_HPA);
    m->next_table = 0x1000;
    return m;
}

static inline struct machine *machine_new(uint32_t format, uint32_t policy)
{
    return machine_new_params(machine_params(format, policy, 256));
}

static inline void machine_free(struct machine *m)
{
    uint32_t cached = 0;

    for (uint32_t i = 0; i < ROOTS_MAX; i++)
        cached += m->root_hpa[i] != 0;
    m->roots_gone = 0;
    gn_shadow_fini(m->sh);
    assert_int_equal(m->holder.count, 0);
    assert_int_equal(m->roots_gone, cached);
    assert_int_equal(m->frames_out, 0);
    assert_int_equal(m->panics, 0);
    for (uint32_t i = 0; i < sizeof m->table_page; i++)
        assert_int_equal(m->table_page[i], 0);
    assert_int_equal(m->table_pages_outside, 0);
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        free(m->slot_mem[i]);
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        free(m->log_mem[i]);
    free(m->mem);
    free(m->frames);
    free(m->ram);
    free(m);
}

static inline struct gn_shadow_root_key root_key(const struct machine *m, uint64_t table)
{
    return (struct gn_shadow_root_key){GN_SHADOW_ROOT_KEY_INIT, .format = m->guest,
                                       .table = gn_gpa(table),  .controls = m->controls,
                                       .pkru = m->pkru,         .table_high = gn_gpa(table)};
}

static inline int root_try(struct machine *m, struct gn_shadow_root_key key, uint32_t *ret_id)
{
    struct gn_shadow_root root;
    uint32_t calls = 0;
    int rc;

    while ((rc = gn_shadow_root_get(m->sh, &key, &root)) == -GN_ERR_AGAIN)
        assert_true(calls++ < 1000000);
    *ret_id = UINT32_MAX;
    if (rc)
        return rc;
    assert_true(root.id < ROOTS_MAX && root.cookie != 0 && root.reserved == 0);
    (void)frame_at(m, root.hpa.v);
    m->root_hpa[root.id] = root.hpa.v;
    m->root_key[root.id] = key;
    *ret_id = root.id;
    return 0;
}

static inline uint32_t root_get(struct machine *m, uint64_t table)
{
    uint32_t id = UINT32_MAX;

    assert_int_equal(root_try(m, root_key(m, table), &id), 0);
    return id;
}

#endif /* GN_TEST_MACHINE_SETUP_H */
