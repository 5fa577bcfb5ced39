/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>

#include "fuzz.h"

/* Coherence points: what a VMM does when the guest flushes, and what the model learns of it. */

void world_sync(struct world *w, uint64_t gpa, uint64_t length)
{
    gn_gpa_t at = gn_gpa(gpa);
    uint64_t left = length;

    dirty_mark(w, gpa, length, DIRTY_MUST);
    if (!w->c.steps) {
        if (gn_shadow_sync(w->shadow, at, length))
            fail("shadow: a sync was refused");
        return;
    }
    /* The writer waits: nobody may run before its store is known. */
    for (uint64_t calls = 0; left;) {
        int rc = gn_shadow_sync_part(w->shadow, &at, &left);

        if ((rc && rc != -GN_ERR_AGAIN) || at.v + left != gpa + length || (!rc && left) ||
            ++calls > CALLS_MAX)
            fail("shadow: a sync in parts went wrong: %s", gn_base_status_name(rc));
        w->done[DONE_AGAIN] += rc != 0;
    }
}

void world_flush(struct world *w, uint32_t root)
{
    uint32_t calls = 0;

    while (again(w, gn_shadow_flush(w->shadow, root), &calls, "shadow: a flush was refused"))
        ;
}

static void drain(struct world *w)
{
    struct gn_tracelog_drain drain;
    struct gn_tracelog_item item;
    int (*next)(struct gn_tracelog *, struct gn_tracelog_drain *, struct gn_tracelog_item *) =
        gn_tracelog_drain_next;
    int quiet = w->quiet;

    /* Nobody runs before all that was written is known: markers are believed again from then on. */
    w->quiet = 1;
    gn_tracelog_drain_begin(w->log, &drain);
    for (int rc; (rc = next(w->log, &drain, &item)) != 0;) {
        if (rc < 0)
            fail("tracelog: a drain was refused");
        if (item.kind != GN_TRACELOG_ALL)
            world_sync(w, item.gpa.v, item.bytes);
        else
            world_flush(w, GN_SHADOW_ROOT_ANY);
        if (w->c.rest && item.kind == GN_TRACELOG_PAGE)
            next = gn_tracelog_drain_rest;
        else
            next = gn_tracelog_drain_next;
    }
    if (!gn_tracelog_empty(w->log))
        fail("tracelog: not empty after a drain");
    w->quiet = quiet;
}

static void coherence_of(struct world *w, uint32_t root, const uint64_t *gva)
{
    uint32_t calls = 0;

    while (again(w,
                 gva ? gn_shadow_coherence_page(w->shadow, root, gn_gva(*gva))
                     : gn_shadow_coherence_root(w->shadow, root),
                 &calls, "shadow: a coherence point was refused"))
        ;
}

void coherence(struct world *w, uint32_t space, const uint64_t *gva)
{
    drain(w);
    if (space >= SPACES) {
        coherence_of(w, GN_SHADOW_ROOT_ANY, gva);
        return;
    }
    /* One address space may have roots under several controls. */
    for (uint32_t i = 0; i < w->c.roots; i++)
        if (w->cookies[i] && w->root_space[i] == space)
            coherence_of(w, i, gva);
}

static void on_difference(void *ctx, const struct gn_shadow_difference *d)
{
    (void)ctx;
    fail("audit: kind %" PRIu32 " root %" PRIu32 " level %" PRIu32 " gva %#" PRIx64
         " entry %#" PRIx64 " expected %#" PRIx64,
         d->kind, d->root, d->level, d->gva.v, d->entry, d->expected.v);
}

void barrier(struct world *w)
{
    uint64_t differences;

    w->quiet = 1;
    coherence(w, SPACES, NULL);
    w->quiet = 0;
    for (uint32_t i = 0; i < VCPUS; i++)
        model_flush(w, i, SPACES, NULL, 1, ++w->now);
    memory_forget(w);
    if (gn_shadow_audit(w->shadow, GN_SHADOW_ROOT_ANY, on_difference, w, &differences, NULL))
        fail("shadow: an audit was refused");
    for (uint32_t i = 0; i < VCPUS; i++)
        model_sweep(w, i);
}

static void flush_space(struct world *w, uint32_t vcpu, uint32_t space)
{
    struct vcpu *v = &w->vcpu[vcpu];
    uint32_t id = v->asid;
    int rc = 0;

    coherence(w, space, NULL);
    if (w->c.flushes && space == v->space)
        rc = gn_asid_flush(w->asid, vcpu, 0, v->root.cookie, &id);
    if (rc < 0)
        fail("asid: a flush was refused");
    if (rc == 1) {
        v->asid = id;
        v->user = -1;
    }
}

/* INVPCID, SDM vol. 2A: 0 an address, 1 a context, 2 all and globals, 3 all but globals. */
static void invpcid(struct world *w, const struct op *op)
{
    uint32_t type = op->a % 4;
    uint32_t space = type < 2 ? op->b % SPACES : SPACES;

    if (type == 1)
        flush_space(w, op->vcpu, space);
    else
        coherence(w, space, type == 0 ? &op->x : NULL);
}

void op_flush(struct world *w, const struct op *op)
{
    uint32_t space = op->a;
    const uint64_t *gva = NULL;
    int globals = 0;
    /* What others write while it is done in parts comes after it. */
    uint64_t time = ++w->now;

    switch (op->kind) {
    case OP_FLUSH_ADDRESS: /* INVLPG concerns the globals of all; a fence with an ASID none */
        space = space < SPACES ? space : SPACES;
        gva = &op->x;
        globals = w->x86 || w->arm || space == SPACES;
        coherence(w, globals ? SPACES : space, gva);
        break;
    case OP_FLUSH_SPACE: flush_space(w, op->vcpu, space %= SPACES); break;
    case OP_INVPCID:
        invpcid(w, op);
        space = op->a % 4 < 2 ? op->b % SPACES : SPACES;
        gva = op->a % 4 ? NULL : &op->x;
        globals = op->a % 4 == 2;
        break;
    default:
        space = SPACES;
        globals = 1;
        coherence(w, SPACES, NULL);
        break;
    }
    model_flush(w, op->vcpu, space, gva, globals, time);
    if (!gva)
        model_sweep(w, op->vcpu);
}
