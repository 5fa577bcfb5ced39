/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "adversary.h"

#define ASID_BITS 12u
#define BUCKETS   1024u
#define LEVELS    GN_PAGING_LEVELS_MAX

/* A page (level 0), or a table entry of a level. Older ones come first in their chain. */
struct line {
    struct line *next;
    uint64_t gva;     /* of the first byte that it covers */
    uint64_t address; /* of the page, or of the table below */
    uint32_t asid;
    uint32_t level;
    uint32_t permissions; /* of this level and those above */
    uint32_t no_writes;   /* a page: it serves reads and fetches only, whatever it permits */
};

struct vcpu {
    struct gn_mmu_context context;
    struct line *bucket[BUCKETS];
};

struct adversary {
    struct adversary_params p;
    struct gn_paging_geometry shape;
    struct gn_paging_context format; /* for decoding */
    struct adversary_stats stats;
    struct vcpu *vcpus;
};

/* Where a walk stands: the table that comes next, and what is permitted so far. */
struct place {
    uint64_t table;
    uint32_t level;
    uint32_t permissions;
};

/* Where it ends: a page, or the entry that stopped it. */
struct end {
    uint32_t outcome; /* GN_MMU_DONE, _ABSENT or _BAD_TABLE */
    uint64_t hpa;     /* of the page of 4 KiB */
    uint64_t entry;
    uint32_t permissions;
};

static uint64_t span(const struct adversary *a, uint32_t level)
{
    return (uint64_t)1 << (GN_PAGE_SHIFT + a->shape.index_bits * level);
}

struct adversary *adversary_new(const struct adversary_params *params)
{
    struct adversary *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->p = *params;
    a->vcpus = calloc(params->vcpus, sizeof *a->vcpus);
    if (!a->vcpus || gn_paging_geometry(params->format, &a->shape) || !a->shape.index_bits ||
        a->shape.entry_bytes != 8) {
        adversary_free(a);
        return NULL;
    }
    a->format = (struct gn_paging_context){GN_PAGING_CONTEXT_INIT, .format = params->format,
                                           .controls = UINT32_MAX};
    return a;
}

/* ---- What is remembered ------------------------------------------------------------------- */

static struct line **bucket_of(const struct adversary *a, struct vcpu *v, uint32_t asid,
                               uint32_t level, uint64_t gva)
{
    uint64_t h = (gva / span(a, level) + level * UINT64_C(0x51ed27)) * UINT64_C(0x9e3779b97f4a7c15);

    h ^= asid * UINT64_C(0x85ebca6b);
    return &v->bucket[(h ^ h >> 32) % BUCKETS];
}

static int is_for(const struct adversary *a, const struct line *l, uint32_t asid, uint32_t level,
                  uint64_t gva)
{
    return l->asid == asid && l->level == level && l->gva == (gva & ~(span(a, level) - 1));
}

/* The next line for an address, from `l` on. */
static struct line *line_from(const struct adversary *a, struct line *l, uint32_t asid,
                              uint32_t level, uint64_t gva)
{
    while (l && !is_for(a, l, asid, level, gva))
        l = l->next;
    return l;
}

/* At the end of the chain; the same again is the same. Without memory it forgets, as it may. */
static void remember(const struct adversary *a, struct vcpu *v, uint32_t level, uint64_t gva,
                     uint64_t address, uint32_t permissions)
{
    const uint32_t asid = v->context.asid;
    struct line **link = bucket_of(a, v, asid, level, gva), *l;

    for (; *link; link = &(*link)->next)
        if (is_for(a, *link, asid, level, gva) && (*link)->address == address &&
            (*link)->permissions == permissions && !(*link)->no_writes)
            return;
    l = malloc(sizeof *l);
    if (l)
        *l = (struct line){.gva = gva & ~(span(a, level) - 1),
                           .address = address,
                           .asid = asid,
                           .level = level,
                           .permissions = permissions};
    *link = l;
}

/* Drops what an ASID has in [first, last], whatever it only touches included. */
static void forget(struct adversary *a, uint32_t asid, uint64_t first, uint64_t last)
{
    for (uint32_t i = 0; i < a->p.vcpus * BUCKETS; i++) {
        struct line **link = &a->vcpus[i / BUCKETS].bucket[i % BUCKETS];

        while (*link) {
            struct line *l = *link;

            if ((asid != GN_MMU_ASID_ANY && l->asid != asid) || l->gva > last ||
                l->gva + (span(a, l->level) - 1) < first) {
                link = &l->next;
                continue;
            }
            *link = l->next;
            free(l);
        }
    }
}

/* Of pages alone: what a stale table leads to is read anew. */
static void forget_writes(struct adversary *a, uint32_t asid, uint64_t first, uint64_t last)
{
    for (uint32_t i = 0; i < a->p.vcpus * BUCKETS; i++)
        for (struct line *l = a->vcpus[i / BUCKETS].bucket[i % BUCKETS]; l; l = l->next)
            if (!l->level && (asid == GN_MMU_ASID_ANY || l->asid == asid) && l->gva <= last &&
                l->gva + GN_PAGE_MASK >= first)
                l->no_writes = 1;
}

void adversary_free(struct adversary *a)
{
    if (a && a->vcpus)
        forget(a, GN_MMU_ASID_ANY, 0, UINT64_MAX);
    if (a)
        free(a->vcpus);
    free(a);
}

/* ---- Walks -------------------------------------------------------------------------------- */

static uint64_t *entry_at(const struct adversary *a, uint64_t table, uint32_t level, uint64_t gva)
{
    const uint64_t index = gva / span(a, level) & (((uint64_t)1 << a->shape.index_bits) - 1);

    if (table > a->p.memory_size - GN_PAGE_SIZE)
        return NULL;
    return (uint64_t *)(void *)((uint8_t *)a->p.memory + table) + index;
}

static uint32_t combined(const struct adversary *a, uint32_t above, uint32_t entry)
{
    return entry & (above | ~a->shape.inherited);
}

/* A leaf, cut to the page of an address. @return 0: outside of memory */
static int page_of(const struct adversary *a, uint64_t address, uint32_t level, uint64_t gva,
                   uint64_t *ret_hpa)
{
    *ret_hpa = address | (gva & (span(a, level) - 1) & ~GN_PAGE_MASK);
    return *ret_hpa <= a->p.memory_size - GN_PAGE_SIZE;
}

/* A processor that has a table's line in hand may look at its neighbours. */
static void look_around(const struct adversary *a, struct vcpu *v, const struct place *at,
                        uint64_t gva)
{
    const uint64_t begin = gva & ~((uint64_t)a->p.around * GN_PAGE_SIZE - 1);

    for (uint32_t i = 0; at->level == 0 && i < a->p.around; i++) {
        const uint64_t page = begin + (uint64_t)i * GN_PAGE_SIZE;
        const uint64_t *entry = entry_at(a, at->table, 0, page);
        struct gn_paging_entry e;

        if (!gn_paging_entry_decode(&a->format, 0, *entry, &e) && e.kind == GN_PAGING_ENTRY_LEAF &&
            e.address <= a->p.memory_size - GN_PAGE_SIZE)
            remember(a, v, 0, page, e.address, combined(a, at->permissions, e.permissions));
    }
}

/* From a place on through memory; all that is met is remembered. */
static struct end walk_from(const struct adversary *a, struct vcpu *v, struct place at,
                            uint64_t gva)
{
    for (;; at.level--) {
        const uint64_t *entry = entry_at(a, at.table, at.level, gva);
        struct end end = {.outcome = GN_MMU_BAD_TABLE, .entry = at.table};
        struct gn_paging_entry e;

        if (!entry)
            return end;
        end.entry = *entry;
        if (gn_paging_entry_decode(&a->format, at.level, end.entry, &e) ||
            e.kind == GN_PAGING_ENTRY_ABSENT) {
            end.outcome = GN_MMU_ABSENT;
            return end;
        }
        end.permissions = combined(a, at.permissions, e.permissions);
        if (e.kind == GN_PAGING_ENTRY_LEAF) {
            if (!page_of(a, e.address, at.level, gva, &end.hpa))
                return end;
            remember(a, v, 0, gva, end.hpa, end.permissions);
            look_around(a, v, &at, gva);
            end.outcome = GN_MMU_DONE;
            return end;
        }
        if (e.kind != GN_PAGING_ENTRY_TABLE || !at.level)
            return end;
        remember(a, v, at.level, gva, e.address, end.permissions);
        at.table = e.address;
        at.permissions = end.permissions;
    }
}

static int canonical(const struct adversary *a, uint64_t gva)
{
    const uint64_t above = gva >> (a->shape.va_bits - 1);

    return above == 0 || above == UINT64_MAX >> (a->shape.va_bits - 1);
}

static struct end walk(struct adversary *a, struct vcpu *v, uint64_t gva)
{
    const struct place root = {v->context.root.v, a->shape.levels - 1, UINT32_MAX};

    if (!canonical(a, gva))
        return (struct end){.outcome = GN_MMU_ABSENT};
    a->stats.walks++;
    return walk_from(a, v, root, gva);
}

/* ---- Accesses ----------------------------------------------------------------------------- */

static int permits(const struct adversary *a, const struct vcpu *v, uint32_t permissions,
                   uint32_t access)
{
    struct gn_paging_context c = a->format;

    c.controls = v->context.controls;
    return gn_paging_allows(&c, permissions, access | (v->context.user ? GN_PAGING_AS_USER : 0));
}

/* The oldest that permits: pages first, then what stale tables lead to. @return 0: none */
static int recall(const struct adversary *a, struct vcpu *v, uint64_t gva, uint32_t access,
                  struct end *ret_end)
{
    const uint32_t asid = v->context.asid;
    struct line *l = line_from(a, *bucket_of(a, v, asid, 0, gva), asid, 0, gva);

    for (; l; l = line_from(a, l->next, asid, 0, gva)) {
        if (!permits(a, v, l->permissions, access) || (l->no_writes && access == GN_ACCESS_WRITE))
            continue;
        *ret_end = (struct end){GN_MMU_DONE, l->address, 0, l->permissions};
        return 1;
    }
    for (uint32_t level = 1; level < a->shape.levels; level++) {
        l = line_from(a, *bucket_of(a, v, asid, level, gva), asid, level, gva);
        for (; l; l = line_from(a, l->next, asid, level, gva)) {
            *ret_end = walk_from(a, v, (struct place){l->address, level - 1, l->permissions}, gva);
            if (ret_end->outcome == GN_MMU_DONE && permits(a, v, ret_end->permissions, access))
                return 1;
        }
    }
    return 0;
}

/* Would a walk have said something else? It is made without being remembered. */
static int is_stale(struct adversary *a, const struct vcpu *v, uint64_t gva, uint32_t access,
                    const struct end *end)
{
    struct vcpu nobody = {.context = v->context};
    struct adversary none = *a;
    struct end now;

    none.vcpus = &nobody;
    none.p.vcpus = 1;
    none.p.around = 0;
    now = walk(&none, &nobody, gva);
    forget(&none, GN_MMU_ASID_ANY, 0, UINT64_MAX);
    return now.outcome != GN_MMU_DONE || now.hpa != end->hpa ||
           !permits(a, v, now.permissions, access) ||
           (now.permissions ^ end->permissions) & GN_PAGING_SOFT0;
}

static void explain(const struct adversary *a, uint32_t vcpu, uint64_t gva, uint32_t access,
                    struct gn_mmu_answer *r)
{
    struct gn_mmu_answer why = {.entry = r->entry};

    if (a->vcpus[vcpu].context.user)
        access |= GN_PAGING_AS_USER;
    if (!r->entry || !a->p.absent || !a->p.absent(a->p.ctx, vcpu, r->entry, access, &why))
        return;
    why.gpa.v |= why.outcome == GN_MMU_MMIO ? gva & GN_PAGE_MASK : 0;
    if (why.outcome == GN_MMU_MMIO || why.outcome == GN_MMU_GUEST_FAULT)
        *r = why;
}

static void perform(struct adversary *a, uint32_t vcpu, uint64_t gva, uint32_t access, void *data,
                    uint32_t bytes, const struct end *end)
{
    const uint64_t hpa = end->hpa | (gva & GN_PAGE_MASK);
    uint8_t *host = (uint8_t *)a->p.memory + hpa;

    if (access != GN_ACCESS_WRITE) {
        memcpy(data, host, bytes);
        return;
    }
    memcpy(host, data, bytes);
    if (end->permissions & GN_PAGING_SOFT0 && end->permissions & GN_PAGING_W && a->p.traced_write)
        a->p.traced_write(a->p.ctx, vcpu, gn_hpa(hpa), bytes);
}

static int adversary_access(void *mmu, uint32_t vcpu, gn_gva_t gva, uint32_t access, void *data,
                            uint32_t bytes, struct gn_mmu_answer *ret_answer)
{
    struct adversary *a = mmu;
    struct gn_mmu_answer r = {0};
    struct end end;
    struct vcpu *v;

    if (!a || !data || !ret_answer || vcpu >= a->p.vcpus || access >= GN_ACCESS_KINDS || !bytes ||
        (gva.v & GN_PAGE_MASK) + bytes > GN_PAGE_SIZE)
        return -GN_ERR_INVAL;
    v = &a->vcpus[vcpu];
    if (!v->context.size)
        return -GN_ERR_PERM;
    a->stats.accesses++;
    if (recall(a, v, gva.v, access, &end)) {
        a->stats.hits++;
        a->stats.stale += (uint64_t)is_stale(a, v, gva.v, access, &end);
    } else {
        end = walk(a, v, gva.v);
    }
    r.outcome = end.outcome;
    r.entry = end.outcome == GN_MMU_DONE ? 0 : end.entry;
    if (end.outcome == GN_MMU_DONE && !permits(a, v, end.permissions, access)) {
        r.outcome = GN_MMU_DENIED;
        r.entry = end.entry;
    }
    if (r.outcome == GN_MMU_DONE)
        perform(a, vcpu, gva.v, access, data, bytes, &end);
    else if (r.outcome == GN_MMU_ABSENT)
        explain(a, vcpu, gva.v, access, &r);
    *ret_answer = r;
    return 0;
}

void adversary_speculate(struct adversary *a, uint32_t vcpu, gn_gva_t gva)
{
    if (a->vcpus[vcpu].context.size)
        (void)walk(a, &a->vcpus[vcpu], gva.v);
}

/* ---- The platform ------------------------------------------------------------------------- */

static int adversary_context_set(void *mmu, uint32_t vcpu, const struct gn_mmu_context *context)
{
    struct adversary *a = mmu;
    struct gn_mmu_context c;
    int rc = gn_base_params_copy(&c, sizeof c, context, sizeof c);

    if (rc)
        return rc;
    if (!a || vcpu >= a->p.vcpus || c.asid >> ASID_BITS || c.root.v & GN_PAGE_MASK)
        return -GN_ERR_INVAL;
    c.size = sizeof c;
    a->vcpus[vcpu].context = c;
    return 0;
}

static void adversary_invalidate_range(void *mmu, uint32_t asid, gn_gva_t gva, uint64_t length)
{
    const uint64_t last = gva.v + (length - 1);

    if (length)
        forget(mmu, asid, gva.v, last < gva.v ? UINT64_MAX : last);
}

static void adversary_invalidate_writes(void *mmu, uint32_t asid, gn_gva_t gva, uint64_t length)
{
    const uint64_t last = gva.v + (length - 1);

    if (length)
        forget_writes(mmu, asid, gva.v, last < gva.v ? UINT64_MAX : last);
}

static void adversary_invalidate_asid(void *mmu, uint32_t asid)
{
    forget(mmu, asid, 0, UINT64_MAX);
}

static void adversary_invalidate_all(void *mmu)
{
    forget(mmu, GN_MMU_ASID_ANY, 0, UINT64_MAX);
}

const struct gn_mmu_ops *adversary_mmu_ops(void)
{
    static const struct gn_mmu_ops ops = {
        .size = sizeof ops,
        .caps = GN_MMU_CAP_WALKS | GN_MMU_CAP_ASID | GN_MMU_CAP_TRACED | GN_MMU_CAP_MARKERS |
                GN_MMU_CAP_WRITES,
        .asid_bits = ASID_BITS,
        .context_set = adversary_context_set,
        .invalidate_range = adversary_invalidate_range,
        .invalidate_asid = adversary_invalidate_asid,
        .invalidate_all = adversary_invalidate_all,
        .access = adversary_access,
        .invalidate_writes = adversary_invalidate_writes,
    };

    return &ops;
}

void adversary_each(const struct adversary *a, uint32_t vcpu,
                    void (*each)(void *ctx, const struct adversary_page *page), void *ctx)
{
    for (uint32_t i = 0; i < BUCKETS; i++)
        for (const struct line *l = a->vcpus[vcpu].bucket[i]; l; l = l->next) {
            const struct adversary_page page = {gn_gva(l->gva), gn_hpa(l->address), l->asid,
                                                l->permissions & ~(l->no_writes ? GN_PAGING_W : 0)};

            if (l->level == 0)
                each(ctx, &page);
        }
}

struct adversary_stats adversary_stats(const struct adversary *a)
{
    return a->stats;
}
