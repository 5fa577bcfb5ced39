/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compose_internal.h"

/* Completing a guest access that the TLB probe missed. */

/* Fills and retries that an access may need: one a level of both tables would do. */
#define TRIES 16

/* Without windows, a context learns what to expect, and that is all: links stray for so long. */
#define STRAYS_UNHEARD 4096u

/* Where an access that stays within a page leads. */
struct target {
    void *host;   /**< RAM: the first byte; NULL: see below */
    gn_gpa_t gpa; /**< device, or a trapped write */
    gn_hpa_t hpa; /**< traced */
    bool traced;  /**< record the write when it is done */
    bool trapped; /**< a write to a guest table, to be performed and then synced */
};

static int trap(struct rv64_trap *ret_trap, uint64_t cause, uint64_t va)
{
    ret_trap->cause = cause;
    ret_trap->value = va;
    return -1;
}

static int access_fault(struct rv64_trap *ret_trap, uint32_t access, uint64_t va)
{
    static const uint8_t cause[GN_ACCESS_KINDS] = {RV64_CAUSE_LOAD_ACCESS, RV64_CAUSE_STORE_ACCESS,
                                                   RV64_CAUSE_FETCH_ACCESS};

    return trap(ret_trap, cause[access], va);
}

static void die(const char *what)
{
    fprintf(stderr, "rv64: %s\n", what);
    abort();
}

/* The MMU could not: asks the shadow. @return 1: try again; 0: target is filled; -1: trap */
static int shadow_fault(struct rv64_compose *c, uint64_t va, uint32_t access, struct target *t,
                        struct rv64_trap *ret_trap)
{
    const struct rv64_port *port =
        &c->port[access == GN_ACCESS_EXEC ? GN_SOFTMMU_PORT_FETCH : GN_SOFTMMU_PORT_DATA];
    const struct gn_shadow_access a = {GN_SHADOW_ACCESS_INIT, .root = port->root, .gva = gn_gva(va),
                                       .access = access | (port->user ? GN_PAGING_AS_USER : 0),
                                       .controls = rv64_compose_controls(c)};
    struct gn_shadow_answer answer;
    int rc = gn_shadow_fault(c->shadow, &a, &answer);

    if (rc == -GN_ERR_AGAIN)
        return 1;
    if (rc)
        die("the shadow is out of tables");
    switch (answer.outcome) {
    case GN_SHADOW_FILLED: return 1;
    case GN_SHADOW_GUEST_FAULT: return trap(ret_trap, answer.code, va);
    case GN_SHADOW_MMIO: t->gpa = answer.gpa; return 0;
    case GN_SHADOW_TRAPPED:
        t->gpa = answer.gpa;
        t->trapped = true;
        return 0;
    default: return access_fault(ret_trap, access, va);
    }
}

/* Resolves an access within one page. @return 0, or -1 with the trap */
static int resolve(struct rv64_compose *c, uint64_t va, uint32_t size, uint32_t access,
                   struct target *t, struct rv64_trap *ret_trap)
{
    struct gn_softmmu_answer answer;

    if (access == GN_ACCESS_EXEC)
        rv64_compose_fetch_port(c);
    *t = (struct target){.host = rv64_mmu_probe(&c->mmu, va, size, access)};
    if (t->host)
        return 0;
    if (access == GN_ACCESS_WRITE) {
        t->host = gn_softmmu_probe_traced(c->mmu.data, gn_gva(va), size);
        t->hpa = gn_hpa((uint64_t)((uint8_t *)t->host - c->memory));
        t->traced = true;
        if (t->host)
            return 0;
        t->traced = false;
    }
    for (int i = 0; i < TRIES; i++) {
        int rc;

        if (gn_softmmu_access(c->softmmu, 0, gn_gva(va), access, size, &answer))
            die("the MMU refused an access");
        switch (answer.mmu.outcome) {
        case GN_MMU_DONE:
            t->host = answer.host;
            t->hpa = answer.hpa;
            t->traced = answer.traced;
            return 0;
        case GN_MMU_GUEST_FAULT: return trap(ret_trap, answer.mmu.code, va);
        case GN_MMU_MMIO: t->gpa = answer.mmu.gpa; return 0;
        case GN_MMU_BAD_TABLE: die("a shadow table is damaged"); break;
        default: break;
        }
        rc = shadow_fault(c, va, access, t, ret_trap);
        if (rc <= 0)
            return rc;
    }
    die("an access makes no progress");
    return -1;
}

static int load_within(struct rv64_compose *c, uint64_t va, uint32_t size, uint32_t access,
                       uint64_t *ret_value, struct rv64_trap *ret_trap)
{
    struct target t;

    if (resolve(c, va, size, access, &t, ret_trap))
        return -1;
    if (!t.host && t.trapped)
        t.host = rv64_bus_ram(c->bus, t.gpa.v, size);
    if (t.host) {
        *ret_value = 0;
        memcpy(ret_value, t.host, size);
        return 0;
    }
    /* Atomics are for memory: PMAs of the virt board's devices have none. */
    if (access == GN_ACCESS_WRITE || rv64_bus_read(c->bus, t.gpa.v, size, ret_value))
        return access_fault(ret_trap, access, va);
    return 0;
}

static int store_within(struct rv64_compose *c, uint64_t va, uint32_t size, uint64_t value,
                        struct rv64_trap *ret_trap)
{
    struct target t;

    if (resolve(c, va, size, GN_ACCESS_WRITE, &t, ret_trap))
        return -1;
    if (t.host) {
        memcpy(t.host, &value, size);
        if (t.traced)
            gn_softmmu_written(c->softmmu, 0, t.hpa, size);
        return 0;
    }
    if (t.trapped) {
        void *host = rv64_bus_ram(c->bus, t.gpa.v, size);

        if (!host)
            return access_fault(ret_trap, GN_ACCESS_WRITE, va);
        memcpy(host, &value, size);
        if (gn_shadow_sync(c->shadow, t.gpa, size))
            die("a sync of guest tables failed");
        return 0;
    }
    if (rv64_bus_write(c->bus, t.gpa.v, size, value))
        return access_fault(ret_trap, GN_ACCESS_WRITE, va);
    return 0;
}

/* Bytes of an access that lie in the page of its first. */
static uint32_t within(uint64_t va, uint32_t size)
{
    uint64_t left = GN_PAGE_SIZE - (va & GN_PAGE_MASK);

    return left < size ? (uint32_t)left : size;
}

int rv64_mmu_load(struct rv64_mmu *mmu, uint64_t va, uint32_t size, uint64_t *ret_value,
                  struct rv64_trap *ret_trap)
{
    struct rv64_compose *c = (struct rv64_compose *)mmu;
    uint32_t first = within(va, size);
    uint64_t low;
    uint64_t high;

    if (first == size)
        return load_within(c, va, size, GN_ACCESS_READ, ret_value, ret_trap);
    /* A page crossing never is a single device access: each part is judged as it stands. */
    if (load_within(c, va, first, GN_ACCESS_READ, &low, ret_trap) ||
        load_within(c, va + first, size - first, GN_ACCESS_READ, &high, ret_trap))
        return -1;
    *ret_value = low | high << (8 * first);
    return 0;
}

int rv64_mmu_store(struct rv64_mmu *mmu, uint64_t va, uint32_t size, uint64_t value,
                   struct rv64_trap *ret_trap)
{
    struct rv64_compose *c = (struct rv64_compose *)mmu;
    uint32_t first = within(va, size);
    struct target t;

    if (first == size)
        return store_within(c, va, size, value, ret_trap);
    /* Both pages are resolved before a byte is written, so that a fault in one leaves the other. */
    if (resolve(c, va, first, GN_ACCESS_WRITE, &t, ret_trap) ||
        resolve(c, va + first, size - first, GN_ACCESS_WRITE, &t, ret_trap))
        return -1;
    if (store_within(c, va, first, value, ret_trap))
        return -1;
    return store_within(c, va + first, size - first, value >> (8 * first), ret_trap);
}

int rv64_mmu_amo_load(struct rv64_mmu *mmu, uint64_t va, uint32_t size, uint64_t *ret_value,
                      struct rv64_trap *ret_trap)
{
    return load_within((struct rv64_compose *)mmu, va, size, GN_ACCESS_WRITE, ret_value, ret_trap);
}

uint32_t rv64_mmu_stray(struct rv64_mmu *mmu, uint64_t va)
{
    struct rv64_compose *c = (struct rv64_compose *)mmu;

    gn_softmmu_stray(c->softmmu, 0, gn_gva(va));
    return c->windows ? rv64_windows_pause(c->windows) : STRAYS_UNHEARD;
}

int rv64_mmu_fetch_page(struct rv64_mmu *mmu, uint64_t va, const uint8_t **ret_page,
                        uint64_t *ret_gpa, struct rv64_trap *ret_trap)
{
    struct rv64_compose *c = (struct rv64_compose *)mmu;
    struct target t;

    if (resolve(c, va, 1, GN_ACCESS_EXEC, &t, ret_trap))
        return -1;
    if (!t.host)
        return access_fault(ret_trap, GN_ACCESS_EXEC, va);
    *ret_page = (const uint8_t *)t.host - (va & GN_PAGE_MASK);
    /* Guest RAM lies at the start of the machine's memory. */
    *ret_gpa = c->bus->ram_base + (uint64_t)(*ret_page - c->memory);
    return 0;
}
