/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forgetting: flushes, releases, and IDs that leave the pool.
 */
#include "asid_internal.h"

static int cpu_is_valid(const struct gn_asid *asid, uint32_t cpu, const uint32_t *ret_id)
{
    return cpu == GN_ASID_NO_CPU || (cpu < asid->cpu_count && ret_id);
}

/** Is another ID cheaper than a purge for a pair that runs on this CPU alone? */
static int wants_rename(const struct gn_asid *asid, uint32_t id, uint32_t cpu)
{
    if (asid->lists[GN_ASID_STATE_CLEAN].head == NONE || asid->rename == GN_ASID_RENAME_NEVER)
        return 0;
    /* A purge of one ID on this very CPU is one instruction: nothing is cheaper. */
    return asid->rename == GN_ASID_RENAME_ALWAYS || !(asid->ops.caps & GN_ASID_CAP_PURGE_ONE) ||
           gn_asid__held_elsewhere(asid, id, cpu);
}

/** The pair that runs on this CPU alone goes on under a clean ID. */
static uint32_t rename_running(struct gn_asid *asid, uint32_t id, uint32_t cpu)
{
    const uint32_t to = asid->lists[GN_ASID_STATE_CLEAN].head;
    const uint32_t vm = asid->ids[id].vm;
    const uint64_t guest = asid->ids[id].guest;

    asid->ids[id].running = 0;
    gn_asid__drop(asid, id);
    gn_asid__assign(asid, to, vm, guest);
    asid->ids[to].running = 1;
    asid->cpus[cpu].id = to;
    gn_asid__hold(asid, to, cpu);
    return to;
}

static int flush_id(struct gn_asid *asid, uint32_t cpu, uint32_t id, uint32_t *ret_id)
{
    const uint32_t running = asid->ids[id].running;
    const int here = cpu != GN_ASID_NO_CPU && asid->cpus[cpu].id == id;

    asid->stats.flushes++;
    if (!gn_asid__holders(asid, id))
        return 0;
    if (!running) {
        asid->stats.renames++;
        gn_asid__drop(asid, id);
        return 0;
    }
    /* On another CPU the old ID would stay loaded, with the old translations in use. */
    if (here && running == 1 && wants_rename(asid, id, cpu)) {
        asid->stats.renames++;
        *ret_id = asid->first + rename_running(asid, id, cpu);
        return 1;
    }
    return gn_asid__purge(asid, id);
}

int gn_asid_flush(struct gn_asid *asid, uint32_t cpu, uint32_t vm, uint64_t guest, uint32_t *ret_id)
{
    uint32_t id;
    int r = 0;

    if (!asid || !cpu_is_valid(asid, cpu, ret_id))
        return -GN_ERR_INVAL;
    gn_asid__lock(asid);
    id = gn_asid__find(asid, vm, guest);
    if (id != NONE)
        r = flush_id(asid, cpu, id, ret_id);
    gn_asid__unlock(asid);
    return r;
}

int gn_asid_vm_flush(struct gn_asid *asid, uint32_t cpu, uint32_t vm, uint32_t *ret_id)
{
    uint32_t id, next, own = NONE;
    int r = 0;

    if (!asid || !cpu_is_valid(asid, cpu, ret_id))
        return -GN_ERR_INVAL;
    gn_asid__lock(asid);
    for (id = gn_asid__vm_first(asid, vm); id != NONE && r == 0; id = next) {
        next = asid->ids[id].vm_next;
        if (asid->ids[id].vm != vm)
            continue;
        /* The caller's own pair last: after it is renamed nothing may fail any more. */
        if (cpu != GN_ASID_NO_CPU && asid->cpus[cpu].id == id)
            own = id;
        else
            r = flush_id(asid, cpu, id, ret_id);
    }
    if (r == 0 && own != NONE)
        r = flush_id(asid, cpu, own, ret_id);
    gn_asid__unlock(asid);
    return r;
}

int gn_asid_release(struct gn_asid *asid, uint32_t vm, uint64_t guest)
{
    uint32_t id;
    int r = 0;

    if (!asid)
        return -GN_ERR_INVAL;
    gn_asid__lock(asid);
    id = gn_asid__find(asid, vm, guest);
    if (id != NONE && asid->ids[id].running) {
        r = -GN_ERR_BUSY;
    } else if (id != NONE) {
        gn_asid__drop(asid, id);
        asid->stats.releases++;
    }
    if (r == 0 && gn_asid__duels(asid))
        gn_asid__duel_forget(asid, vm, guest);
    gn_asid__unlock(asid);
    return r;
}

int gn_asid_vm_release(struct gn_asid *asid, uint32_t vm)
{
    uint32_t id, next;
    int r = 0;

    if (!asid)
        return -GN_ERR_INVAL;
    gn_asid__lock(asid);
    for (id = gn_asid__vm_first(asid, vm); id != NONE; id = asid->ids[id].vm_next)
        if (asid->ids[id].vm == vm && asid->ids[id].running)
            r = -GN_ERR_BUSY;
    for (id = gn_asid__vm_first(asid, vm); id != NONE && r == 0; id = next) {
        next = asid->ids[id].vm_next;
        if (asid->ids[id].vm != vm)
            continue;
        gn_asid__drop(asid, id);
        asid->stats.releases++;
    }
    if (r == 0 && gn_asid__duels(asid))
        gn_asid__duel_forget_vm(asid, vm);
    gn_asid__unlock(asid);
    return r;
}

/** Takes an ID that runs nowhere from its pair, and from every TLB. */
static int make_clean(struct gn_asid *asid, uint32_t id)
{
    if (asid->ids[id].state == GN_ASID_STATE_USED)
        gn_asid__drop(asid, id);
    if (asid->ids[id].state == GN_ASID_STATE_CLEAN)
        return 0;
    return asid->ops.caps & GN_ASID_CAP_PURGE_ONE ? gn_asid__purge(asid, id)
                                                  : gn_asid__rollover(asid);
}

int gn_asid_reserve(struct gn_asid *asid, uint32_t id)
{
    int r = 0;

    if (!asid)
        return -GN_ERR_INVAL;
    if (id - asid->first >= asid->count)
        return -GN_ERR_NOENT;
    id -= asid->first;
    gn_asid__lock(asid);
    if (asid->ids[id].state == GN_ASID_STATE_RESERVED)
        r = -GN_ERR_EXIST;
    else if (asid->ids[id].state == GN_ASID_STATE_USED && asid->ids[id].running)
        r = -GN_ERR_BUSY;
    else if (asid->usable - 1 <= asid->cpu_count)
        r = -GN_ERR_NOSPC;
    else
        r = make_clean(asid, id);
    if (r == 0) {
        gn_asid__move(asid, id, GN_ASID_STATE_RESERVED);
        asid->usable--;
    }
    gn_asid__unlock(asid);
    return r;
}

int gn_asid_unreserve(struct gn_asid *asid, uint32_t id)
{
    int r = -GN_ERR_NOENT;

    if (!asid)
        return -GN_ERR_INVAL;
    if (id - asid->first >= asid->count)
        return -GN_ERR_NOENT;
    id -= asid->first;
    gn_asid__lock(asid);
    if (asid->ids[id].state == GN_ASID_STATE_RESERVED) {
        gn_asid__move(asid, id, GN_ASID_STATE_CLEAN);
        asid->usable++;
        r = 0;
    }
    gn_asid__unlock(asid);
    return r;
}

int gn_asid_cpu_reset(struct gn_asid *asid, uint32_t cpu)
{
    uint32_t id;
    int r = 0;

    if (!asid || cpu >= asid->cpu_count)
        return -GN_ERR_INVAL;
    gn_asid__lock(asid);
    if (asid->cpus[cpu].id != NONE)
        r = -GN_ERR_BUSY;
    for (id = 0; id < asid->count && r == 0; id++) {
        gn_asid__let_go(asid, id, cpu);
        if (asid->ids[id].state == GN_ASID_STATE_DIRTY && !gn_asid__holders(asid, id))
            gn_asid__move(asid, id, GN_ASID_STATE_CLEAN);
    }
    if (r == 0)
        asid->cpus[cpu].used = 0;
    gn_asid__unlock(asid);
    return r;
}
