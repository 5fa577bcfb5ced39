/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_MACHINE_H
#define GN_TEST_MACHINE_H

/*
 * A machine for the tests: memory, shadow tables in it, an MMU that walks them, and a log of what
 * the MMU told.
 *
 *      0                        12 MiB           16 MiB
 *      +------------------------+----------------+
 *      | pages to be mapped     | tables         |
 *      +------------------------+----------------+
 */

#include <gnomon/paging.h>
#include <gnomon/softmmu.h>

#include "gn_test.h"

#define READ  GN_ACCESS_READ
#define WRITE GN_ACCESS_WRITE
#define EXEC  GN_ACCESS_EXEC
#define DATA  GN_SOFTMMU_PORT_DATA
#define FETCH GN_SOFTMMU_PORT_FETCH

#define R      GN_PAGING_R
#define W      GN_PAGING_W
#define X      GN_PAGING_X
#define U      GN_PAGING_U
#define TRACED GN_PAGING_SOFT0

#define MEMORY_SIZE ((uint64_t)16 << 20)
#define TABLES      ((uint64_t)12 << 20)

struct traced_write {
    uint32_t vcpu;
    uint32_t bytes;
    uint64_t hpa;
    uint8_t found; /* the first byte there, when the record was made */
};

struct machine {
    uint8_t *memory;
    void *object;
    struct gn_softmmu *mmu;
    struct gn_paging_geometry geometry;
    uint32_t format;
    uint64_t next_table;

    struct traced_write log[64];
    uint32_t logged;

    int absent_knows; /* what the op returns */
    struct gn_mmu_answer absent_says;
    uint32_t absent_asked;
    uint32_t absent_vcpu, absent_access; /* of the last question */
    uint64_t absent_entry;
};

static inline int machine_absent(void *ctx, uint32_t vcpu, uint64_t entry, uint32_t access,
                                 struct gn_mmu_answer *ret_answer)
{
    struct machine *m = ctx;

    m->absent_asked++;
    m->absent_vcpu = vcpu;
    m->absent_access = access;
    m->absent_entry = entry;
    if (m->absent_knows)
        *ret_answer = m->absent_says;
    return m->absent_knows;
}

static inline void machine_traced_write(void *ctx, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes)
{
    struct machine *m = ctx;

    assert_true(m->logged < 64);
    m->log[m->logged++] = (struct traced_write){vcpu, bytes, hpa.v, m->memory[hpa.v]};
}

static inline int machine_is_x86(const struct machine *m)
{
    return m->format == GN_PAGING_X86_4LEVEL || m->format == GN_PAGING_X86_5LEVEL;
}

static const struct gn_softmmu_ops machine_ops = {GN_SOFTMMU_OPS_INIT, .absent = machine_absent,
                                                  .traced_write = machine_traced_write};

static inline struct machine *machine_new(uint32_t format, uint32_t vcpus, uint32_t tlb_entries)
{
    struct machine *m = calloc(1, sizeof *m);
    struct gn_softmmu_params params = {
        GN_SOFTMMU_PARAMS_INIT,     .format = format,    .vcpus = vcpus, .tlb_entries = tlb_entries,
        .memory_size = MEMORY_SIZE, .ops = &machine_ops, .ops_ctx = m};
    size_t size;

    assert_non_null(m);
    m->memory = gn_test_memory(GN_PAGE_SIZE, MEMORY_SIZE);
    memset(m->memory, 0, MEMORY_SIZE);
    params.memory = m->memory;
    size = gn_softmmu_size(&params);
    m->object = gn_test_memory(gn_softmmu_align(), size);
    assert_int_equal(gn_softmmu_init(m->object, size, &params, &m->mmu), 0);
    assert_int_equal(gn_paging_geometry(format, &m->geometry), 0);
    m->format = format;
    m->next_table = TABLES;
    return m;
}

static inline void machine_free(struct machine *m)
{
    gn_softmmu_fini(m->mmu);
    free(m->object);
    free(m->memory);
    free(m);
}

/* An empty table. */
static inline uint64_t machine_table(struct machine *m)
{
    uint64_t hpa = m->next_table;

    assert_true(hpa < MEMORY_SIZE);
    m->next_table += GN_PAGE_SIZE;
    return hpa;
}

static inline uint64_t machine_encode(const struct machine *m, uint32_t level, uint32_t kind,
                                      uint32_t permissions, uint64_t address)
{
    const struct gn_paging_entry e = {.kind = kind, .permissions = permissions, .address = address};
    uint64_t value = 0;

    assert_int_equal(gn_paging_entry_encode(m->format, level, &e, &value), 0);
    return value;
}

/* The entry of a level on the way to gva; tables that are missing are made, and permit all. */
static inline uint64_t *machine_entry(struct machine *m, uint64_t root, uint64_t gva,
                                      uint32_t level)
{
    const struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = m->format,
                                        .controls = UINT32_MAX};
    uint64_t table = root;

    for (uint32_t at = m->geometry.levels - 1;; at--) {
        uint64_t *entry = (uint64_t *)(m->memory + table) + (gva >> (12 + 9 * at) & 511);
        struct gn_paging_entry e;

        if (at == level)
            return entry;
        if (!*entry)
            *entry = machine_encode(m, at, GN_PAGING_ENTRY_TABLE, R | W | X | U, machine_table(m));
        assert_int_equal(gn_paging_entry_decode(&c, at, *entry, &e), 0);
        assert_int_equal(e.kind, GN_PAGING_ENTRY_TABLE);
        table = e.address;
    }
}

static inline uint64_t *machine_map_large(struct machine *m, uint64_t root, uint64_t gva,
                                          uint32_t level, uint64_t hpa, uint32_t permissions)
{
    uint64_t *entry = machine_entry(m, root, gva, level);

    *entry = machine_encode(m, level, GN_PAGING_ENTRY_LEAF, permissions, hpa);
    return entry;
}

static inline uint64_t *machine_map(struct machine *m, uint64_t root, uint64_t gva, uint64_t hpa,
                                    uint32_t permissions)
{
    return machine_map_large(m, root, gva, 0, hpa, permissions);
}

static inline void machine_port(struct machine *m, uint32_t vcpu, uint32_t port, uint32_t asid,
                                uint64_t root, uint32_t view)
{
    const struct gn_softmmu_context c = {GN_SOFTMMU_CONTEXT_INIT, .asid = asid,
                                         .root = gn_hpa(root), .view = view,
                                         .controls = GN_PAGING_X86_WP | GN_PAGING_X86_NXE};

    assert_int_equal(gn_softmmu_context_set(m->mmu, vcpu, port, &c), 0);
}

/* Both ports of virtual CPU 0, as a supervisor that may touch user pages. */
static inline void machine_load(struct machine *m, uint32_t asid, uint64_t root)
{
    machine_port(m, 0, DATA, asid, root, GN_SOFTMMU_VIEW_SUM);
    machine_port(m, 0, FETCH, asid, root, GN_SOFTMMU_VIEW_SUM);
}

static inline struct gn_softmmu_answer machine_access(struct machine *m, uint32_t vcpu,
                                                      uint64_t gva, uint32_t access, uint32_t bytes)
{
    struct gn_softmmu_answer r;

    memset(&r, 0x5a, sizeof r);
    assert_int_equal(gn_softmmu_access(m->mmu, vcpu, gn_gva(gva), access, bytes, &r), 0);
    if (r.mmu.outcome == GN_MMU_DONE) {
        assert_ptr_equal(r.host, m->memory + r.hpa.v);
        assert_int_equal(r.hpa.v & GN_PAGE_MASK, gva & GN_PAGE_MASK);
    } else {
        assert_null(r.host);
        assert_int_equal(r.traced, 0);
    }
    return r;
}

/* An access of 8 bytes on virtual CPU 0. */
static inline uint32_t machine_outcome(struct machine *m, uint64_t gva, uint32_t access)
{
    return machine_access(m, 0, gva, access, 8).mmu.outcome;
}

static inline void *machine_probe(struct machine *m, uint32_t vcpu, uint64_t gva, uint32_t access)
{
    const uint32_t port = access == EXEC ? FETCH : DATA;

    return gn_softmmu_probe(gn_softmmu_window(m->mmu, vcpu, port), gn_gva(gva), 8, access);
}

static inline struct gn_softmmu_stats machine_stats(const struct machine *m)
{
    struct gn_softmmu_stats stats = {GN_SOFTMMU_STATS_INIT};

    assert_int_equal(gn_softmmu_stats_get(m->mmu, &stats), 0);
    return stats;
}

#endif /* GN_TEST_MACHINE_H */
