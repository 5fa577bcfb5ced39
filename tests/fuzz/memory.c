/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "fuzz.h"

/* Guest memory, and what every word of it has been since the last time all vCPUs flushed. */

uint64_t *memory_word(struct world *w, uint64_t gpa)
{
    return (uint64_t *)(void *)(w->memory + w->ram_hpa + (gpa & ~(uint64_t)7));
}

const struct gn_shadow_slot *slot_at(const struct world *w, uint64_t gpa)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        if (gpa - w->slot[i].gpa.v < w->slot[i].length)
            return &w->slot[i];
    return NULL;
}

int memory_load(void *ctx, uint64_t gpa, uint64_t *ret_value)
{
    const struct gn_shadow_slot *s = slot_at(ctx, gpa);

    if (!s || s->kind == GN_SHADOW_SLOT_MMIO)
        return 0;
    *ret_value = __atomic_load_n(memory_word(ctx, gpa), __ATOMIC_ACQUIRE);
    return 1;
}

/* The old value of a word goes into its history. */
static void version_add(struct world *w, uint64_t gpa)
{
    uint32_t *head = &w->history[gpa / 8];
    struct version *v;

    if (w->versions >= VERSIONS)
        fail("fuzz: too many versions");
    v = &w->version[w->versions];
    *v = (struct version){
        .value = *memory_word(w, gpa), .to = ++w->now, .next = *head, .word = (uint32_t)(gpa / 8)};
    *head = w->versions++;
}

void memory_store(struct world *w, uint64_t gpa, const void *bytes, uint32_t length)
{
    for (uint64_t at = gpa & ~(uint64_t)7; at < gpa + length; at += 8)
        version_add(w, at);
    memcpy(w->memory + w->ram_hpa + gpa, bytes, length);
}

/* The map of all memory stays, or the guest could write nothing any more. */
int memory_protected(const struct world *w, uint64_t gpa, uint32_t length)
{
    uint64_t first = (1 + ROOT_PAGES) * GN_PAGE_SIZE;
    uint64_t at = oracle_at(&w->guest, w->levels - 1, 0, linear(w, 0)) & ~(uint64_t)7;
    uint64_t kept = w->bytes == 4 ? 16 : 8;

    for (uint32_t i = 0; i <= ORDERLY; i++)
        if (gpa < space_root(i) + at + kept && space_root(i) + at < gpa + length)
            return 1;
    if (gpa >= POOL_FIRST * GN_PAGE_SIZE || gpa + length <= first)
        return 0;
    /* One of these tables has room beside the map. */
    return !w->wide || gpa < wide_table(w) || gpa + length > wide_table(w) + 32;
}

/* No vCPU may use anything old any more. */
void memory_forget(struct world *w)
{
    for (uint32_t i = 1; i < w->versions; i++)
        w->history[w->version[i].word] = 0;
    w->versions = 1;
}

static int ops_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    const struct world *w = ctx;

    if (bytes != (uint32_t)w->bytes || gpa.v & (bytes - 1))
        fail("paging: a load of %u bytes at %#llx", bytes, (unsigned long long)gpa.v);
    if (!memory_load(ctx, gpa.v, ret_value))
        return -GN_ERR_FAULT;
    *ret_value = oracle_entry(&w->guest, gpa.v, *ret_value);
    return 0;
}

/* Others write it meanwhile, and nobody remembers what it was. */
static int swap_entry(struct world *w, uint64_t gpa, uint64_t expected, uint64_t desired)
{
    void *at = w->memory + w->ram_hpa + gpa;
    uint32_t half = (uint32_t)expected;
    int done = w->bytes == 8 ? __atomic_compare_exchange_n((uint64_t *)at, &expected, desired, 0,
                                                           __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
                             : __atomic_compare_exchange_n((uint32_t *)at, &half, (uint32_t)desired,
                                                           0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);

    return done ? 0 : -GN_ERR_AGAIN;
}

static int ops_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected, uint64_t desired)
{
    struct world *w = ctx;
    const struct gn_shadow_slot *s = slot_at(w, gpa.v);

    if (bytes != (uint32_t)w->bytes || gpa.v & (bytes - 1))
        fail("paging: an update of %u bytes at %#llx", bytes, (unsigned long long)gpa.v);
    if (!s || s->kind == GN_SHADOW_SLOT_MMIO)
        return -GN_ERR_FAULT;
    if (w->running)
        return s->kind == GN_SHADOW_SLOT_ROM ? 0 : swap_entry(w, gpa.v, expected, desired);
    if (!w->in_access)
        fail("shadow: A or D set without an access, at %#llx", (unsigned long long)gpa.v);
    if (s->kind == GN_SHADOW_SLOT_ROM)
        return 0;
    if (oracle_entry(&w->guest, gpa.v, *memory_word(w, gpa.v)) != expected)
        return -GN_ERR_AGAIN;
    if (w->swaps < SWAPS) {
        w->swap[w->swaps].gpa = gpa.v;
        w->swap[w->swaps++].value = desired;
    }
    memory_store(w, gpa.v, &desired, bytes);
    dirty_mark(w, gpa.v, bytes, DIRTY_MUST);
    return 0;
}

const struct gn_paging_ops memory_ops = {GN_PAGING_OPS_INIT, .load = ops_load,
                                         .cmpxchg = ops_cmpxchg};
