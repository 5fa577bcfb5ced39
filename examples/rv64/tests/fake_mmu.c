/* SPDX-License-Identifier: BSD-3-Clause */

#include "fake_mmu.h"

#include <stdlib.h>
#include <string.h>

static struct fake_mmu *fake_of(struct rv64_mmu *mmu)
{
    return (struct fake_mmu *)mmu;
}

static bool in_memory(const struct fake_mmu *m, uint64_t va, uint64_t size)
{
    return va >= m->base && va - m->base <= m->size - size;
}

/* One entry a page, so that every access within the array that stays in its page is a hit. */
static void fill_tlb(struct fake_mmu *m)
{
    uint64_t va;

    for (va = m->base; va < m->base + m->size; va += GN_PAGE_SIZE) {
        struct gn_softmmu_entry *e = gn_softmmu_entry_at(&m->window, va, GN_ACCESS_READ);

        e->page = va;
        e->delta = (uintptr_t)fake_mmu_at(m, va) - va;
    }
}

bool fake_mmu_init(struct fake_mmu *m, uint64_t base, uint64_t size, bool probe_hits)
{
    const uint64_t bytes = 4096 * sizeof(struct gn_softmmu_entry);
    uint32_t i;

    memset(m, 0, sizeof *m);
    m->base = base;
    m->size = size;
    m->no_fetch = m->no_access = m->alias = 1;
    m->memory = aligned_alloc(GN_PAGE_SIZE, size);
    m->window.slab = malloc(sizeof *m->window.slab + bytes);
    for (i = 0; i < GN_ACCESS_KINDS; i++)
        m->window.offset[i] = sizeof *m->window.slab; /* one array: every page allows everything */
    m->mmu.fetch = &m->window;
    m->mmu.data = &m->window;
    if (!m->memory || !m->window.slab)
        return false;
    memset(m->memory, 0, size);
    memset(m->window.slab, 0xff, sizeof *m->window.slab + bytes);
    m->window.slab->mask = bytes - sizeof(struct gn_softmmu_entry);
    if (probe_hits)
        fill_tlb(m);
    return true;
}

void fake_mmu_scatter(struct fake_mmu *m)
{
    m->scatter = GN_PAGE_SIZE;
    if (gn_softmmu_probe(&m->window, (gn_gva_t){m->base}, 1, GN_ACCESS_READ))
        fill_tlb(m);
}

void fake_mmu_fini(struct fake_mmu *m)
{
    free(m->memory);
    free(m->window.slab);
}

uint8_t *fake_mmu_at(struct fake_mmu *m, uint64_t address)
{
    return m->memory + ((address - m->base) ^ m->scatter);
}

/* Byte by byte, since the next page may be elsewhere. */
static uint64_t read_bytes(struct fake_mmu *m, uint64_t va, uint32_t size)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < size; i++)
        value |= (uint64_t)*fake_mmu_at(m, va + i) << 8 * i;
    return value;
}

static void write_bytes(struct fake_mmu *m, uint64_t va, uint32_t size, uint64_t value)
{
    for (uint32_t i = 0; i < size; i++)
        *fake_mmu_at(m, va + i) = (uint8_t)(value >> 8 * i);
}

static int fault(struct rv64_trap *trap, uint64_t cause, uint64_t va)
{
    trap->cause = cause;
    trap->value = va;
    return -1;
}

static bool forbidden(const struct fake_mmu *m, uint64_t va)
{
    return (va & ~GN_PAGE_MASK) == m->no_access;
}

int rv64_mmu_load(struct rv64_mmu *mmu, uint64_t va, uint32_t size, uint64_t *ret_value,
                  struct rv64_trap *ret_trap)
{
    struct fake_mmu *m = fake_of(mmu);

    if (va == FAKE_DEVICE) {
        *ret_value = ++m->device;
        return 0;
    }
    if (forbidden(m, va))
        return fault(ret_trap, RV64_CAUSE_LOAD_PAGE_FAULT, va);
    if (!in_memory(m, va, size))
        return fault(ret_trap, RV64_CAUSE_LOAD_ACCESS, va);
    *ret_value = read_bytes(m, va, size);
    return 0;
}

int rv64_mmu_store(struct rv64_mmu *mmu, uint64_t va, uint32_t size, uint64_t value,
                   struct rv64_trap *ret_trap)
{
    struct fake_mmu *m = fake_of(mmu);

    if (va == FAKE_DEVICE) {
        m->device = value & UINT64_MAX >> (64 - 8 * size);
        if (m->cpu)
            rv64_cpu_irq_set(m->cpu, RV64_IRQ_MSI, value == 1);
        return 0;
    }
    if (forbidden(m, va))
        return fault(ret_trap, RV64_CAUSE_STORE_PAGE_FAULT, va);
    if (!in_memory(m, va, size))
        return fault(ret_trap, RV64_CAUSE_STORE_ACCESS, va);
    write_bytes(m, va, size, value);
    return 0;
}

int rv64_mmu_amo_load(struct rv64_mmu *mmu, uint64_t va, uint32_t size, uint64_t *ret_value,
                      struct rv64_trap *ret_trap)
{
    struct fake_mmu *m = fake_of(mmu);

    if (forbidden(m, va))
        return fault(ret_trap, RV64_CAUSE_STORE_PAGE_FAULT, va);
    if (!in_memory(m, va, size))
        return fault(ret_trap, RV64_CAUSE_STORE_ACCESS, va);
    *ret_value = read_bytes(m, va, size);
    return 0;
}

/* The next link expects what this one has: those to the same half of the pages find it. */
uint32_t rv64_mmu_stray(struct rv64_mmu *mmu, uint64_t va)
{
    struct fake_mmu *m = fake_of(mmu);

    m->window.slab->expected = gn_softmmu_entry_at(&m->window, va, GN_ACCESS_READ)->delta;
    return 1 + (uint32_t)++m->strays % 3;
}

int rv64_mmu_fetch_page(struct rv64_mmu *mmu, uint64_t va, const uint8_t **ret_page,
                        uint64_t *ret_gpa, struct rv64_trap *ret_trap)
{
    struct fake_mmu *m = fake_of(mmu);
    uint64_t page = va & ~GN_PAGE_MASK;

    m->fetches++;
    if (page == m->no_fetch)
        return fault(ret_trap, RV64_CAUSE_FETCH_PAGE_FAULT, va);
    if (page == m->alias)
        page = m->alias_to;
    if (!in_memory(m, page, GN_PAGE_SIZE))
        return fault(ret_trap, RV64_CAUSE_FETCH_ACCESS, va);
    *ret_page = fake_mmu_at(m, page);
    *ret_gpa = page;
    return 0;
}

bool rv64_mmu_is_shared(const struct rv64_mmu *mmu, uint64_t space, uint64_t va)
{
    (void)mmu, (void)space, (void)va;
    return false;
}

void rv64_mmu_context_set(struct rv64_mmu *mmu, const struct rv64_mmu_context *context)
{
    struct fake_mmu *m = fake_of(mmu);

    m->context = *context;
    m->context_sets++;
}

int rv64_mmu_watch(struct rv64_mmu *mmu, uint64_t gpa, bool on)
{
    (void)mmu;
    (void)gpa;
    (void)on;
    return -1;
}

void rv64_mmu_watch_sync(struct rv64_mmu *mmu)
{
    (void)mmu;
}

void rv64_mmu_sfence_vma(struct rv64_mmu *mmu, const uint64_t *va, const uint64_t *asid)
{
    (void)va;
    (void)asid;
    fake_of(mmu)->sfences++;
}
