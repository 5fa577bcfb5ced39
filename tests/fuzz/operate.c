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
    const struct oracle *o = &w->guest;
    uint64_t table = space_root(0);
    uint64_t below = (1 + ROOT_PAGES) * GN_PAGE_SIZE;
    uint64_t gva = linear(w, 0);

    for (int level = w->levels - 1; level > 1; level--, below += GN_PAGE_SIZE) {
        uint64_t bits = w->arm ? 3 : !w->x86 || (o->pae && level == 2) ? 1 : 0x23;

        *memory_word(w, oracle_at(o, level, table, gva)) =
            (w->guest.family == 'r' ? below >> 2 : below) | bits;
        table = below;
    }
    for (uint64_t gpa = 0; gpa < GUEST_BYTES; gpa += UINT64_C(1) << oracle_shift(o, 1)) {
        /* AArch64: EL1's, by nobody run. */
        uint64_t leaf = w->arm   ? gpa | UINT64_C(0x60000000000401)
                        : w->x86 ? gpa | 0xe3
                                 : gpa >> 2 | 0xcf;
        uint64_t at = oracle_at(o, 1, table, gva + gpa);

        memcpy((uint8_t *)memory_word(w, at) + (at & 4), &leaf, (size_t)w->bytes);
    }
    /* The roots have it in common: one entry, or two of 32-bit x86. */
    gva = oracle_at(o, w->levels - 1, 0, gva) & ~(uint64_t)7;
    for (uint32_t i = 1; i <= ORDERLY; i++)
        for (uint32_t next = 0; next < (w->bytes == 4 ? 2 : 1); next++)
            *memory_word(w, space_root(i) + gva + 8 * next) =
                *memory_word(w, space_root(0) + gva + 8 * next);
}

void world_guest_make(struct world *w, struct dice *d)
{
    linear_make(w);
    for (uint32_t i = 0; i < 1500; i++) {
        uint64_t place = edit_place(w, d);

        uint64_t entry = entry_any(w, d, place);

        if (!memory_protected(w, place, 8))
            memcpy((uint8_t *)memory_word(w, place) + (place & 7), &entry, (size_t)w->bytes);
    }
    memset(worked, 0, sizeof worked);
    worked_next = 0;
}

/* ---- Accesses ----------------------------------------------------------------------------- */

void context_load(struct world *w, struct vcpu *v, int user, int implicit)
{
    struct gn_mmu_context c = {GN_MMU_CONTEXT_INIT, .asid = v->asid, .root = v->root.hpa,
                               .user = (uint32_t)(user && !implicit)};
    uint32_t index;
    struct gn_softmmu *mmu = mmu_of(w, v->number, &index);

    if (v->user == user && !implicit)
        return;
    c.controls = gn_shadow_mmu_controls(w->shadow, world_format(w, v->space), v->controls,
                                        implicit ? GN_PAGING_IMPLICIT : 0);
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

    if (rc == -GN_ERR_AGAIN) {
        w->done[DONE_AGAIN]++;
        return 1;
    }
    if (rc == -GN_ERR_NOMEM && world_no_room(w)) {
        r->outcome = NO_ROOM;
        return 0;
    }
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

int mmu_access(struct world *w, struct vcpu *v, uint64_t gva, uint32_t kind, uint32_t bytes,
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
        r->gpa = r->hpa.v - w->ram_hpa;
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

/* The MMU and the shadow between them. A shadow that works in parts may take many calls. */
static void access_try(struct world *w, struct vcpu *v, uint64_t gva, uint32_t access,
                       uint32_t bytes, struct result *r)
{
    uint32_t most = w->c.steps ? CALLS_MAX : TRIES;
    uint32_t tries = 0;

    w->in_access = 1;
    w->swaps = 0;
    while (!mmu_access(w, v, gva, access & GN_PAGING_ACCESS_KIND, bytes, r) &&
           shadow_fault(w, v, gva, access, r))
        if (++tries > most)
            fail("an access makes no progress: gva %#" PRIx64, gva);
    w->in_access = 0;
}

/* One access within a page, checked. */
static struct result access_do(struct world *w, struct vcpu *v, uint64_t gva, uint32_t access,
                               uint32_t bytes)
{
    struct oracle_result fresh = model_fresh(w, v->number, gva, access);
    int write = (access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE;
    struct result r = {0};

    context_load(w, v, (access & GN_PAGING_AS_USER) != 0, (access & GN_PAGING_IMPLICIT) != 0);
    access_try(w, v, gva, access, bytes, &r);
    w->counts[r.outcome + (r.marker ? 8 : 0)]++;
    if (r.outcome == NO_ROOM) {
        /* It may have come as far as to say that the page is being written. */
        if (write && fresh.kind == ORACLE_OK)
            dirty_mark(w, fresh.pa, 1, DIRTY_MAY);
        return r;
    }
    model_check(w, v->number, gva, access, &fresh, &r);
    if (r.outcome == GN_SHADOW_FILLED) {
        worked[worked_next++ % WORKED] = gva;
        if (write)
            dirty_mark(w, r.gpa, 1, DIRTY_MUST);
    }
    return r;
}

void meanwhile(struct world *w)
{
    uint32_t kind = dice_below(&w->chance, 2) ? GN_ACCESS_WRITE : GN_ACCESS_READ;
    uint32_t user = dice_below(&w->chance, 2) ? GN_PAGING_AS_USER : 0;

    if (!w->quiet) {
        struct vcpu *v = &w->vcpu[dice_below(&w->chance, VCPUS)];
        struct result r =
            access_do(w, v, worked_at(dice_below(&w->chance, WORKED)), kind | user, 1);

        if (kind == GN_ACCESS_WRITE &&
            (r.outcome == GN_SHADOW_TRAPPED || r.outcome == GN_SHADOW_EMULATE))
            dirty_mark(w, r.gpa, 1, DIRTY_MAY);
    }
}

/* @return did the MMU, or the embedder in its place, store */
static int store_within(struct world *w, struct vcpu *v, uint64_t gva, uint32_t access,
                        const uint8_t *bytes, uint32_t length)
{
    struct result r = access_do(w, v, gva, access, length);
    int by_hand = r.outcome == GN_SHADOW_TRAPPED || r.outcome == GN_SHADOW_EMULATE;

    if (r.outcome != GN_SHADOW_FILLED && !by_hand)
        return 0;
    if (!memory_protected(w, r.gpa, length))
        memory_store(w, r.gpa, bytes, length);
    if (by_hand) {
        world_sync(w, r.gpa, length);
    } else if (!r.traced && w->watched[r.gpa >> GN_PAGE_SHIFT]) {
        fail("a watched page is written unseen: %#" PRIx64, r.gpa);
    } else if (r.traced) {
        uint32_t index;
        struct gn_softmmu *mmu = mmu_of(w, v->number, &index);

        gn_softmmu_written(mmu, index, r.hpa, length);
    }
    return 1;
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

/* A byte or several that the guest only reads, or writes as they are. */
static void op_access(struct world *w, const struct op *op)
{
    struct result r = access_do(w, &w->vcpu[op->vcpu], op->x, op->a, 1);

    if ((op->a & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE &&
        (r.outcome == GN_SHADOW_TRAPPED || r.outcome == GN_SHADOW_EMULATE))
        world_sync(w, r.gpa, 1);
}

/* ---- Devices, and runs of stores ---------------------------------------------------------- */

/* Memory that a device may write: RAM and ROM, all of it. */
static int device_may(const struct world *w, uint64_t gpa, uint32_t length)
{
    for (uint64_t at = gpa; at < gpa + length; at = (at | GN_PAGE_MASK) + 1) {
        const struct gn_shadow_slot *s = slot_at(w, at);

        if (!s || s->kind == GN_SHADOW_SLOT_MMIO)
            return 0;
    }
    return !memory_protected(w, gpa, length);
}

/* Told at once, or through the log. */
static void device_store(struct world *w, uint64_t gpa, const void *bytes, uint32_t length,
                         int logged)
{
    if (!device_may(w, gpa, length))
        return;
    memory_store(w, gpa, bytes, length);
    if (logged)
        gn_tracelog_append_range(w->log, gn_gpa(gpa), length);
    else
        world_sync(w, gpa, length);
}

static void op_dma(struct world *w, const struct op *op)
{
    uint64_t bytes[2] = {op->y, op->z};

    device_store(w, op->x % (GUEST_BYTES - 16), bytes, op->a < 16 ? op->a : 16, op->b != 0);
}

/* A run of entries, as REP STOS writes them or a disk: y, y + z, ... */
static void op_fill(struct world *w, const struct op *op)
{
    uint8_t run[RUN_MAX * 8];
    uint32_t bytes = (uint32_t)w->bytes;
    uint32_t count = 1 + op->a % RUN_MAX;
    uint64_t gpa = op->x % (GUEST_BYTES - RUN_MAX * 8);

    for (uint32_t i = 0; i < count; i++) {
        uint64_t value = op->y + i * op->z;

        memcpy(run + i * bytes, &value, bytes);
    }
    if (op->b) {
        device_store(w, gpa, run, count * bytes, op->b == 2);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t gva = linear_of(w, op->vcpu, gpa + i * bytes);

        if (!store_within(w, &w->vcpu[op->vcpu], gva, GN_ACCESS_WRITE, run + i * bytes, bytes))
            break;
    }
}

/* ---- The rest ----------------------------------------------------------------------------- */

/* Another address space, which may adopt what it shares with some vCPU's. */
static void op_switch(struct world *w, const struct op *op)
{
    struct vcpu *v = &w->vcpu[op->vcpu];
    uint32_t space = op->a % SPACES;
    uint64_t time = ++w->now;

    if (!world_switch(w, op->vcpu, space, v->controls))
        return;
    if (op->y < VCPUS && gn_shadow_root_adopt(w->shadow, v->root.id, w->vcpu[op->y].root.id, NULL))
        fail("shadow: a root in force is not held");
    if (!op->b) /* x86: with the no-flush bit */
        return;
    coherence(w, space, NULL);
    model_flush(w, op->vcpu, space, NULL, 0, time);
}

static void op_revoke(struct world *w, const struct op *op)
{
    uint64_t gpa = op->x & ~GN_PAGE_MASK;
    uint64_t length = (1 + op->a % 8) * GN_PAGE_SIZE;
    uint32_t calls = 0;

    while (again(w, gn_shadow_revoke(w->shadow, gn_gpa(gpa), length), &calls,
                 "shadow: a revocation was refused"))
        ;
    model_unmapped(w, gpa, length);
}

static void op_watch(struct world *w, const struct op *op)
{
    uint64_t page = op->x & ~GN_PAGE_MASK;
    const struct gn_shadow_slot *s = slot_at(w, page);
    uint32_t calls = 0;

    if (!s || s->kind == GN_SHADOW_SLOT_MMIO)
        return;
    while (again(w, gn_shadow_watch(w->shadow, gn_gpa(page), op->a % 2), &calls,
                 "shadow: a watch was refused"))
        ;
    w->watched[page >> GN_PAGE_SHIFT] = op->a % 2;
}

void operate(struct world *w, const struct op *op)
{
    struct vcpu *v = &w->vcpu[op->vcpu];

    /* Histories are bounded: now and then everybody flushes. */
    if (w->versions > VERSIONS - VERSIONS_OP)
        barrier(w);
    switch (op->kind) {
    case OP_ACCESS: op_access(w, op); break;
    case OP_STORE: op_store(w, op); break;
    case OP_FLUSH_ADDRESS:
    case OP_FLUSH_SPACE:
    case OP_FLUSH_ALL:
    case OP_INVPCID: op_flush(w, op); break;
    case OP_BARRIER: barrier(w); break;
    case OP_SWITCH: op_switch(w, op); break;
    case OP_DMA: op_dma(w, op); break;
    case OP_SLOT: world_slot_set(w, op->a % SLOTS, op->b); break;
    case OP_REVOKE: op_revoke(w, op); break;
    case OP_CONTROL: world_switch(w, op->vcpu, v->space, v->controls ^ op->a); break;
    case OP_FILL: op_fill(w, op); break;
    case OP_LOG: dirty_toggle(w, op->a % SLOTS); break;
    case OP_HARVEST: dirty_harvest(w, op->a % SLOTS, op->x, op->y); break;
    case OP_WATCH: op_watch(w, op); break;
    case OP_HOLD: world_hold(w, op->a % SPACES, v->controls ^ op->b); break;
    default: world_flush(w, v->root.id); break;
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
    [OP_FILL] = "fill",
    [OP_INVPCID] = "invpcid",
    [OP_LOG] = "log",
    [OP_HARVEST] = "harvest",
    [OP_HOLD] = "hold",
    [OP_WATCH] = "watch",
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
