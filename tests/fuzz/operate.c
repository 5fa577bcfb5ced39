/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

/* Performing operations, and asking the model about what came of them. */

#define TRIES  16u
#define WORKED 64u

static uint64_t worked[WORKED];
static uint32_t worked_next;

uint64_t worked_at(uint32_t i)
{
    return worked[i % WORKED];
}

/* ---- The guest's own tables at the start -------------------------------------------------- */

/* The map of all memory by superpages, below LINEAR. */
static void linear_make(struct world *w)
{
    uint64_t table = space_root(0) + LINEAR * 8;
    uint64_t below = (1 + ROOT_PAGES) * GN_PAGE_SIZE;

    for (int level = w->levels - 1; level > 1; level--, below += GN_PAGE_SIZE) {
        *memory_word(w, table) = w->x86 ? below | 0x23 : below >> 2 | 1;
        table = below;
    }
    for (uint32_t i = 1; i < ROOT_PAGES; i++)
        *memory_word(w, space_root(i) + LINEAR * 8) = *memory_word(w, space_root(0) + LINEAR * 8);
    for (uint64_t gpa = 0; gpa < GUEST_BYTES; gpa += UINT64_C(1) << 21, table += 8)
        *memory_word(w, table) = w->x86 ? gpa | 0xe3 : gpa >> 2 | 0xcf;
}

void world_guest_make(struct world *w, struct dice *d)
{
    linear_make(w);
    for (uint32_t i = 0; i < 1500; i++) {
        uint64_t place = edit_place(w, d);

        if (!memory_protected(w, place, 8))
            *memory_word(w, place) = entry_any(w, d, place);
    }
    memset(worked, 0, sizeof worked);
    worked_next = 0;
}

/* ---- Accesses ----------------------------------------------------------------------------- */

static void context_load(struct world *w, struct vcpu *v, int user, int implicit)
{
    struct gn_mmu_context c = {GN_MMU_CONTEXT_INIT, .asid = v->asid, .root = v->root.hpa,
                               .user = (uint32_t)(user && !implicit), .controls = v->controls};
    uint32_t index;
    struct gn_softmmu *mmu = mmu_of(w, v->number, &index);

    if (v->user == user && !implicit)
        return;
    if (implicit)
        c.controls &= ~GN_PAGING_X86_AC;
    if (gn_softmmu_mmu_ops()->context_set(mmu, index, &c))
        fail("softmmu: a context was refused");
    v->user = implicit ? -1 : user;
}

/* The MMU could not. @return 1: try again */
static int shadow_fault(struct world *w, struct vcpu *v, uint64_t gva, uint32_t access,
                        struct result *r)
{
    const struct gn_shadow_access a = {GN_SHADOW_ACCESS_INIT,   .root = v->root.id,
                                       .gva = gn_gva(gva),      .access = access,
                                       .controls = v->controls, .vcpu = v->number};
    struct gn_shadow_answer answer;
    int rc = gn_shadow_fault(w->shadow, &a, &answer);

    if (rc == -GN_ERR_AGAIN)
        return 1;
    if (rc)
        fail("shadow: a fault was refused: %s", gn_base_status_name(rc));
    if (answer.outcome == GN_SHADOW_FILLED)
        return 1;
    r->outcome = answer.outcome;
    r->fault = answer.fault;
    r->code = answer.code;
    r->gpa = answer.gpa.v;
    return 0;
}

/* Asks the MMU. @return 1: it has the answer */
static int mmu_access(struct world *w, struct vcpu *v, uint64_t gva, uint32_t kind, uint32_t bytes,
                      struct result *r)
{
    uint32_t index;
    struct gn_softmmu *mmu = mmu_of(w, v->number, &index);
    uint32_t port = kind == GN_ACCESS_EXEC ? GN_SOFTMMU_PORT_FETCH : GN_SOFTMMU_PORT_DATA;
    struct gn_softmmu_answer a = {0};

    a.host = gn_softmmu_probe(gn_softmmu_window(mmu, index, port), gn_gva(gva), bytes, kind);
    if (!a.host && gn_softmmu_access(mmu, index, gn_gva(gva), kind, bytes, &a))
        fail("softmmu: an access was refused");
    r->marker = 1;
    switch (a.mmu.outcome) {
    case GN_MMU_DONE:
        r->outcome = GN_SHADOW_FILLED;
        r->host = a.host;
        r->hpa = gn_hpa((uint64_t)((uint8_t *)a.host - w->memory));
        r->gpa = r->hpa.v - RAM_HPA;
        r->traced = a.traced;
        r->marker = 0;
        return 1;
    case GN_MMU_GUEST_FAULT:
        r->outcome = GN_SHADOW_GUEST_FAULT;
        r->fault = GN_PAGING_FAULT_PAGE;
        r->code = a.mmu.code;
        return 1;
    case GN_MMU_MMIO:
        r->outcome = GN_SHADOW_MMIO;
        r->gpa = a.mmu.gpa.v;
        return 1;
    case GN_MMU_BAD_TABLE: fail("softmmu: a damaged table, entry %#" PRIx64, a.mmu.entry);
    default: r->marker = 0; return 0;
    }
}

/* One access within a page, checked. */
static struct result access_do(struct world *w, struct vcpu *v, uint64_t gva, uint32_t access,
                               uint32_t bytes)
{
    struct oracle_result fresh = model_fresh(w, v->number, gva, access);
    struct result r = {0};
    uint32_t tries = 0;

    context_load(w, v, (access & GN_PAGING_AS_USER) != 0, (access & GN_PAGING_IMPLICIT) != 0);
    w->in_access = 1;
    w->swaps = 0;
    while (!mmu_access(w, v, gva, access & GN_PAGING_ACCESS_KIND, bytes, &r) &&
           shadow_fault(w, v, gva, access, &r))
        if (++tries > TRIES)
            fail("an access makes no progress: gva %#" PRIx64, gva);
    w->in_access = 0;
    model_check(w, v->number, gva, access, &fresh, &r);
    w->counts[r.outcome + (r.marker ? 8 : 0)]++;
    if (r.outcome == GN_SHADOW_FILLED)
        worked[worked_next++ % WORKED] = gva;
    return r;
}

static void store_within(struct world *w, struct vcpu *v, uint64_t gva, uint32_t access,
                         const uint8_t *bytes, uint32_t length)
{
    struct result r = access_do(w, v, gva, access, length);

    if ((r.outcome != GN_SHADOW_FILLED && r.outcome != GN_SHADOW_TRAPPED) ||
        memory_protected(w, r.gpa, length))
        return;
    memory_store(w, r.gpa, bytes, length);
    if (r.outcome == GN_SHADOW_TRAPPED) {
        world_sync(w, r.gpa, length);
    } else if (r.traced) {
        uint32_t index;
        struct gn_softmmu *mmu = mmu_of(w, v->number, &index);

        gn_softmmu_written(mmu, index, r.hpa, length);
    }
}

static void op_store(struct world *w, const struct op *op)
{
    uint8_t bytes[16];
    uint32_t length = op->a < 16 ? op->a : 16;
    uint32_t access = GN_ACCESS_WRITE | (op->b ? GN_PAGING_AS_USER : 0);
    uint64_t left = GN_PAGE_SIZE - (op->x & GN_PAGE_MASK);
    uint32_t first = left < length ? (uint32_t)left : length;

    memcpy(bytes, &op->y, 8);
    memcpy(bytes + 8, &op->z, 8);
    store_within(w, &w->vcpu[op->vcpu], op->x, access, bytes, first);
    if (first < length)
        store_within(w, &w->vcpu[op->vcpu], op->x + first, access, bytes + first, length - first);
}

/* ---- Coherence points --------------------------------------------------------------------- */

static void on_difference(void *ctx, const struct gn_shadow_difference *d)
{
    (void)ctx;
    fail("audit: kind %" PRIu32 " root %" PRIu32 " level %" PRIu32 " gva %#" PRIx64
         " entry %#" PRIx64 " expected %#" PRIx64,
         d->kind, d->root, d->level, d->gva.v, d->entry, d->expected.v);
}

static void audit(struct world *w)
{
    uint64_t differences;

    if (gn_shadow_audit(w->shadow, GN_SHADOW_ROOT_ANY, on_difference, w, &differences, NULL))
        fail("shadow: an audit was refused");
}

static void barrier(struct world *w)
{
    world_drain(w);
    for (uint32_t i = 0; i < VCPUS; i++)
        model_flush(w, i, SPACES, NULL);
    memory_forget(w);
    audit(w);
    for (uint32_t i = 0; i < VCPUS; i++)
        model_sweep(w, i);
}

static void op_flush_space(struct world *w, const struct op *op)
{
    struct vcpu *v = &w->vcpu[op->vcpu];
    uint32_t id = v->asid;
    int rc = 0;

    world_drain(w);
    if (w->c.flushes && op->a == v->space)
        rc = gn_asid_flush(w->asid, op->vcpu, 0, v->root.cookie, &id);
    if (rc < 0)
        fail("asid: a flush was refused");
    if (rc == 1) {
        v->asid = id;
        v->user = -1;
    }
    model_flush(w, op->vcpu, op->a % SPACES, NULL);
    model_sweep(w, op->vcpu);
}

/* ---- The rest ----------------------------------------------------------------------------- */

static void op_switch(struct world *w, const struct op *op)
{
    struct vcpu *v = &w->vcpu[op->vcpu];

    if (op->b) { /* x86: without the no-flush bit */
        world_drain(w);
        model_flush(w, op->vcpu, op->a % SPACES, NULL);
    }
    world_switch(w, op->vcpu, op->a % SPACES, v->controls);
}

static void op_dma(struct world *w, const struct op *op)
{
    uint64_t bytes[2] = {op->y, op->z};
    uint32_t length = op->a < 16 ? op->a : 16;
    uint64_t gpa = op->x % (GUEST_BYTES - 16);
    const struct gn_shadow_slot *first = slot_at(w, gpa);
    const struct gn_shadow_slot *last = slot_at(w, gpa + length - 1);

    if (!first || !last || first->kind == GN_SHADOW_SLOT_MMIO ||
        last->kind == GN_SHADOW_SLOT_MMIO || memory_protected(w, gpa, length))
        return;
    memory_store(w, gpa, bytes, length);
    if (op->b)
        gn_tracelog_append_range(w->log, gn_gpa(gpa), length);
    else
        world_sync(w, gpa, length);
}

static void op_revoke(struct world *w, const struct op *op)
{
    uint64_t gpa = op->x & ~GN_PAGE_MASK;
    uint64_t length = (1 + op->a % 8) * GN_PAGE_SIZE;

    if (gn_shadow_revoke(w->shadow, gn_gpa(gpa), length))
        fail("shadow: a revocation was refused");
    model_unmapped(w, gpa, length);
}

static void op_forget(struct world *w, const struct op *op)
{
    if (gn_shadow_flush(w->shadow, w->vcpu[op->vcpu].root.id))
        fail("shadow: a flush was refused");
}

void operate(struct world *w, const struct op *op)
{
    struct vcpu *v = &w->vcpu[op->vcpu];

    /* Histories are bounded: now and then everybody flushes. */
    if (w->versions > VERSIONS - 64)
        barrier(w);
    switch (op->kind) {
    case OP_ACCESS: access_do(w, v, op->x, op->a, 1); break;
    case OP_STORE: op_store(w, op); break;
    case OP_FLUSH_ADDRESS:
        world_drain(w);
        model_flush(w, op->vcpu, op->a, &op->x);
        break;
    case OP_FLUSH_SPACE: op_flush_space(w, op); break;
    case OP_FLUSH_ALL:
        world_drain(w);
        model_flush(w, op->vcpu, SPACES, NULL);
        model_sweep(w, op->vcpu);
        break;
    case OP_BARRIER: barrier(w); break;
    case OP_SWITCH: op_switch(w, op); break;
    case OP_DMA: op_dma(w, op); break;
    case OP_SLOT: world_slot_set(w, op->a % SLOTS, op->b); break;
    case OP_REVOKE: op_revoke(w, op); break;
    case OP_CONTROL: world_switch(w, op->vcpu, v->space, v->controls ^ op->a); break;
    default: op_forget(w, op); break;
    }
}

/* ---- Text --------------------------------------------------------------------------------- */

static const char *const names[OP_KINDS] = {
    [OP_ACCESS] = "access",
    [OP_STORE] = "store",
    [OP_FLUSH_ADDRESS] = "flush-address",
    [OP_FLUSH_SPACE] = "flush-space",
    [OP_FLUSH_ALL] = "flush-all",
    [OP_BARRIER] = "barrier",
    [OP_SWITCH] = "switch",
    [OP_DMA] = "dma",
    [OP_SLOT] = "slot",
    [OP_REVOKE] = "revoke",
    [OP_CONTROL] = "control",
    [OP_FORGET] = "forget",
};

void op_print(const struct op *op)
{
    printf("%s %" PRIu32 " %#" PRIx32 " %#" PRIx32 " %#" PRIx64 " %#" PRIx64 " %#" PRIx64 "\n",
           names[op->kind], op->vcpu, op->a, op->b, op->x, op->y, op->z);
}

int op_parse(const char *line, struct op *op)
{
    char name[16];

    if (sscanf(line, "%15s %" SCNu32 " %" SCNx32 " %" SCNx32 " %" SCNx64 " %" SCNx64 " %" SCNx64,
               name, &op->vcpu, &op->a, &op->b, &op->x, &op->y, &op->z) != 7 ||
        op->vcpu >= VCPUS)
        return 0;
    for (op->kind = 0; op->kind < OP_KINDS; op->kind++)
        if (strcmp(name, names[op->kind]) == 0)
            return 1;
    return 0;
}
