/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/*
 *               +------ coherence point ------+
 *               v                             |
 *    softmmu --traced write--> tracelog --drain--> shadow.sync      DMA --> sync or append_range
 *     |   ^ absent?                                |
 *     |   +---- nonpresent <---absent_encode-------+ invalidate: softmmu, by the ASID of the root
 *     |               ^ pending: tracelog          |
 *     +--absent, denied--> shadow.fault            asid: activate on a switch, release: root gone
 */

static const uint64_t slot_base[SLOTS] = {0, SLOT_TABLES, SLOT_TABLES + 0x10000, DEVICES};
static const uint64_t slot_bytes[SLOTS] = {SLOT_TABLES, 0x10000, 0x8000, 0x4000};

static void *aligned(size_t align, size_t size)
{
    void *memory = aligned_alloc(align, (size + align - 1) & ~(align - 1));

    if (!memory)
        abort();
    return memory;
}

/* ---- What the seed decides ---------------------------------------------------------------- */

static uint32_t power(struct dice *d, uint32_t least, uint32_t most)
{
    return 1u << (least + dice_below(d, most - least + 1));
}

/* Formats that all of paging, shadow and the oracle know. */
static uint32_t format_any(struct dice *d)
{
    for (;;) {
        uint32_t format = 1 + dice_below(d, 15);
        struct oracle o;

        if (gn_paging_format_name(format) && oracle_init(&o, format, 0, 0) && !o.pae)
            return format;
    }
}

void config_make(struct config *c, uint64_t seed)
{
    struct dice d = {seed};
    struct oracle o;

    memset(c, 0, sizeof *c);
    c->format = format_any(&d);
    oracle_init(&o, c->format, 0, 0);
    c->policy = dice_below(&d, 4) ? GN_SHADOW_POLICY_TRACED : GN_SHADOW_POLICY_TRAP;
    c->markers = dice_below(&d, 4) ? GN_NONPRESENT_RULE_IMMEDIATE : 0;
    if (o.family == 'r' && dice_below(&d, 3) == 0)
        c->markers = GN_NONPRESENT_RULE_FENCED;
    c->tables = 16 + dice_below(&d, FRAMES_MAX - 16);
    c->roots = VCPUS + 1 + dice_below(&d, ROOTS_MAX - VCPUS);
    c->flood_limit = power(&d, 0, 6);
    c->ring = power(&d, 1, 4);
    c->filter = power(&d, 0, 4);
    c->pending = power(&d, 0, 6);
    c->log_flags =
        dice_below(&d, 2) * GN_TRACELOG_SERIAL | (dice_below(&d, 4) ? 0 : GN_TRACELOG_NO_FILTER);
    c->log_pages =
        dice_below(&d, 3) ? (uint32_t)(GUEST_BYTES >> GN_PAGE_SHIFT) : dice_below(&d, 40);
    c->tlb = dice_below(&d, 3) ? 64 : 1024;
    c->asids = VCPUS + 1 + dice_below(&d, 4);
    c->asid_policy = 1 + dice_below(&d, 3);
    c->asid_rename = 1 + dice_below(&d, 3);
    c->asid_caps = dice_below(&d, 4) ? GN_ASID_CAP_PURGE_ONE : 0;
    c->split = (int)dice_below(&d, 2);
    c->bump = (int)dice_below(&d, 2);
    c->flushes = (int)dice_below(&d, 2);
    c->rest = dice_below(&d, 4) == 0;
}

void config_print(const struct config *c)
{
    printf(
        "# %s, policy %u, markers %u, %u tables, %u roots, flood %u, ring %u, filter %u, "
        "pending %u, log flags %u pages %u, tlb %u%s, %u asids policy %u rename %u caps %u%s%s%s\n",
        gn_paging_format_name(c->format), c->policy, c->markers, c->tables, c->roots,
        c->flood_limit, c->ring, c->filter, c->pending, c->log_flags, c->log_pages, c->tlb,
        c->split ? " each" : "", c->asids, c->asid_policy, c->asid_rename, c->asid_caps,
        c->bump ? ", bump" : "", c->flushes ? ", asid flushes" : "", c->rest ? ", rest" : "");
}

/* ---- What shadow asks for ----------------------------------------------------------------- */

static int on_frame_alloc(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame)
{
    struct world *w = ctx;

    if (!w->frame_count)
        return -GN_ERR_NOMEM;
    *ret_hpa = w->frames[--w->frame_count];
    *ret_frame = w->memory + ret_hpa->v;
    memset(*ret_frame, 0xa5, GN_PAGE_SIZE); /* its content is unspecified */
    return 0;
}

static void on_frame_free(void *ctx, gn_hpa_t hpa, void *frame)
{
    struct world *w = ctx;

    memset(frame, 0x5a, GN_PAGE_SIZE);
    w->frames[w->frame_count++] = hpa;
}

struct gn_softmmu *mmu_of(const struct world *w, uint32_t vcpu, uint32_t *ret_index)
{
    *ret_index = w->c.split ? 0 : vcpu;
    return w->mmu[vcpu];
}

/* How many MMU objects there are: a call to each reaches all vCPUs. */
static uint32_t mmus(const struct world *w)
{
    return w->c.split ? VCPUS : 1;
}

static void on_invalidate_range(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    struct world *w = ctx;
    uint32_t id = GN_MMU_ASID_ANY;

    /* A root without an ID: what may be cached of it is purged before the ID is used again. */
    if (root != GN_SHADOW_ROOT_ANY && gn_asid_lookup(w->asid, 0, w->cookies[root], &id) != 1)
        return;
    for (uint32_t i = 0; i < mmus(w); i++)
        gn_softmmu_invalidate_range(w->mmu[i], id, gva, length);
}

static void on_invalidate_all(void *ctx)
{
    struct world *w = ctx;

    for (uint32_t i = 0; i < mmus(w); i++)
        gn_softmmu_invalidate_all(w->mmu[i]);
}

static void on_root_gone(void *ctx, uint32_t root, uint64_t cookie)
{
    struct world *w = ctx;

    if (gn_asid_release(w->asid, 0, cookie))
        fail("asid: the pair of a root that is gone was not released");
    w->cookies[root] = 0;
}

static uint32_t allow(uint32_t permissions)
{
    return (permissions & GN_PAGING_R ? GN_NONPRESENT_ALLOW_READ : 0) |
           (permissions & GN_PAGING_W && permissions & GN_PAGING_D ? GN_NONPRESENT_ALLOW_WRITE
                                                                   : 0) |
           (permissions & GN_PAGING_U ? GN_NONPRESENT_ALLOW_USER : GN_NONPRESENT_ALLOW_SUPERVISOR);
}

static uint64_t on_absent_encode(void *ctx, const struct gn_shadow_absent *absent)
{
    struct world *w = ctx;
    uint64_t marker = 0;
    int rc =
        absent->kind == GN_SHADOW_ABSENT_GUEST
            ? gn_nonpresent_encode_absent(w->np, absent->level, absent->entry, &marker)
            : gn_nonpresent_encode_mmio(w->np, absent->gpa, allow(absent->permissions), &marker);

    return rc ? 0 : marker;
}

static void on_panic(void *ctx, const char *what)
{
    (void)ctx;
    fail("panic: %s", what);
}

/* ---- What softmmu, nonpresent and asid ask for -------------------------------------------- */

static int on_absent(void *ctx, uint32_t number, uint64_t entry, uint32_t access,
                     struct gn_mmu_answer *ret_answer)
{
    struct vcpu *v = ctx;
    struct world *w = v->world;
    const struct vcpu *who = w->c.split ? v : &w->vcpu[number];
    uint32_t how =
        (access & GN_PAGING_ACCESS_KIND) | (access & GN_PAGING_AS_USER ? GN_NONPRESENT_AS_USER : 0);
    struct gn_nonpresent_answer a;

    if (!w->np)
        return 0;
    if (who->controls & (GN_PAGING_X86_NXE | GN_PAGING_X86_SMEP))
        how |= GN_NONPRESENT_X86_FETCH_BIT;
    if (gn_nonpresent_lookup(w->np, entry, how, &a))
        fail("nonpresent: a lookup was refused");
    if (a.kind == GN_NONPRESENT_UNKNOWN)
        return 0;
    ret_answer->outcome = a.kind == GN_NONPRESENT_MMIO ? GN_MMU_MMIO : GN_MMU_GUEST_FAULT;
    ret_answer->code = a.code;
    ret_answer->gpa = a.gpa;
    return 1;
}

static void on_traced_write(void *ctx, uint32_t number, gn_hpa_t hpa, uint32_t bytes)
{
    struct vcpu *v = ctx;
    struct world *w = v->world;

    gn_tracelog_append(w->log, w->c.split ? v->number : number, gn_gpa(hpa.v - RAM_HPA), bytes);
}

static int on_pending(void *ctx, gn_gpa_t page)
{
    struct world *w = ctx;

    return gn_tracelog_pending(w->log, page);
}

static int on_purge(void *ctx, uint32_t cpu, uint32_t id)
{
    struct world *w = ctx;

    gn_softmmu_invalidate_asid(w->mmu[cpu], id);
    return 0;
}

static int on_purge_all(void *ctx, uint32_t cpu)
{
    struct world *w = ctx;

    gn_softmmu_invalidate_all(w->mmu[cpu]);
    return 0;
}

/* ---- Coherence ---------------------------------------------------------------------------- */

void world_sync(struct world *w, uint64_t gpa, uint64_t length)
{
    if (gn_shadow_sync(w->shadow, gn_gpa(gpa), length))
        fail("shadow: a sync was refused");
}

void world_drain(struct world *w)
{
    struct gn_tracelog_drain drain;
    struct gn_tracelog_item item;
    int (*next)(struct gn_tracelog *, struct gn_tracelog_drain *, struct gn_tracelog_item *) =
        gn_tracelog_drain_next;

    gn_tracelog_drain_begin(w->log, &drain);
    for (int rc; (rc = next(w->log, &drain, &item)) != 0;) {
        if (rc < 0)
            fail("tracelog: a drain was refused");
        if (item.kind != GN_TRACELOG_ALL)
            world_sync(w, item.gpa.v, item.bytes);
        else if (gn_shadow_flush(w->shadow, GN_SHADOW_ROOT_ANY))
            fail("shadow: a flush was refused");
        if (w->c.rest && item.kind == GN_TRACELOG_PAGE)
            next = gn_tracelog_drain_rest;
        else
            next = gn_tracelog_drain_next;
    }
    if (!gn_tracelog_empty(w->log))
        fail("tracelog: not empty after a drain");
}

/* ---- Slots and address spaces ------------------------------------------------------------- */

void world_slot_set(struct world *w, uint32_t i, uint32_t kind)
{
    struct gn_shadow_slot slot = {GN_SHADOW_SLOT_INIT, .kind = kind, .gpa = gn_gpa(slot_base[i]),
                                  .length = slot_bytes[i], .hpa = gn_hpa(RAM_HPA + slot_base[i])};
    size_t size = kind == GN_SHADOW_SLOT_MMIO ? 0 : gn_shadow_slot_size(slot.length);

    if (w->slot[i].length) {
        if (gn_shadow_slot_remove(w->shadow, w->slot_id[i]))
            fail("shadow: a slot was not removed");
        memset(&w->slot[i], 0, sizeof w->slot[i]);
        model_unmapped(w, slot_base[i], slot_bytes[i]);
    }
    if (kind != NO_SLOT) {
        if (gn_shadow_slot_add(w->shadow, &slot, size ? w->slot_memory[i] : NULL, size,
                               &w->slot_id[i]))
            fail("shadow: a slot was refused");
        w->slot[i] = slot;
    }
    if (w->np && w->c.bump && gn_nonpresent_bump(w->np, GN_NONPRESENT_MMIO) == 1 &&
        gn_shadow_flush(w->shadow, GN_SHADOW_ROOT_ANY))
        fail("shadow: a flush was refused");
}

int world_switch(struct world *w, uint32_t number, uint32_t space, uint32_t controls)
{
    struct vcpu *v = &w->vcpu[number];
    const struct gn_shadow_root_key key = {GN_SHADOW_ROOT_KEY_INIT, .format = w->c.format,
                                           .table = gn_gpa(space_root(space)), .controls = controls,
                                           .tag = space};
    struct gn_shadow_root root;
    int rc;

    /* The MMUs here run under the guest's own controls; a guest without CR0.WP needs others. */
    if (w->c.format >= GN_PAGING_X86_32 && w->c.format <= GN_PAGING_X86_5LEVEL &&
        !(controls & GN_PAGING_X86_WP))
        return 0;
    rc = gn_shadow_root_get(w->shadow, &key, &root);
    if (rc == -GN_ERR_NOTSUP)
        return 0;
    if (rc)
        fail("shadow: no root is to be had: %s", gn_base_status_name(rc));
    w->cookies[root.id] = root.cookie;
    rc = gn_asid_activate(w->asid, number, 0, root.cookie, &v->asid);
    if (rc)
        fail("asid: no ID is to be had: %s", gn_base_status_name(rc));
    if (v->user >= -1 && v->root.cookie && gn_shadow_root_put(w->shadow, v->root.id))
        fail("shadow: the root in force was not held");
    v->root = root;
    v->space = space;
    v->controls = controls;
    v->user = -1;
    return 1;
}

/* ---- Life --------------------------------------------------------------------------------- */

static void shadow_open(struct world *w)
{
    const struct gn_shadow_ops ops = {GN_SHADOW_OPS_INIT,
                                      .guest = &memory_ops,
                                      .frame_alloc = on_frame_alloc,
                                      .frame_free = on_frame_free,
                                      .invalidate_range = on_invalidate_range,
                                      .invalidate_all = on_invalidate_all,
                                      .root_gone = on_root_gone,
                                      .absent_encode = w->np ? on_absent_encode : NULL,
                                      .panic = on_panic};
    const struct gn_shadow_params p = {
        GN_SHADOW_PARAMS_INIT,           .format = w->c.format, .policy = w->c.policy,
        .tables = w->c.tables,           .roots = w->c.roots,   .slots = SLOTS,
        .flood_limit = w->c.flood_limit, .ops = &ops,           .ops_ctx = w};

    w->shadow_memory = aligned(gn_shadow_align(), gn_shadow_size(&p));
    if (gn_shadow_init(w->shadow_memory, gn_shadow_size(&p), &p, &w->shadow))
        fail("shadow: refused");
}

static void log_open(struct world *w)
{
    const struct gn_tracelog_params p = {
        GN_TRACELOG_PARAMS_INIT,         .vcpus = VCPUS,
        .ring_entries = w->c.ring,       .filter_entries = w->c.filter,
        .pending_entries = w->c.pending, .flags = w->c.log_flags,
        .page_count = w->c.log_pages};

    w->log_memory = aligned(gn_tracelog_align(), gn_tracelog_size(&p));
    if (gn_tracelog_init(w->log_memory, gn_tracelog_size(&p), &p, &w->log))
        fail("tracelog: refused");
}

static void np_open(struct world *w)
{
    const struct gn_nonpresent_ops ops = {GN_NONPRESENT_OPS_INIT, .pending = on_pending};
    const struct gn_nonpresent_params p = {
        GN_NONPRESENT_PARAMS_INIT,
        .encoding = w->x86 ? GN_NONPRESENT_X86_64(46) : GN_NONPRESENT_RISCV,
        .guest = w->x86 ? GN_NONPRESENT_GUEST_X86 : GN_NONPRESENT_GUEST_RISCV,
        .rule = w->c.markers,
        .ops = &ops,
        .ctx = w};

    if (!w->c.markers)
        return;
    w->np_memory = aligned(gn_nonpresent_align(), gn_nonpresent_size(&p));
    if (gn_nonpresent_init(w->np_memory, gn_nonpresent_size(&p), &p, &w->np))
        fail("nonpresent: refused");
}

static void asid_open(struct world *w)
{
    const struct gn_asid_ops ops = {GN_ASID_OPS_INIT, .caps = w->c.asid_caps, .purge = on_purge,
                                    .purge_all = on_purge_all};
    const struct gn_asid_params p = {GN_ASID_PARAMS_INIT,
                                     .first = 1,
                                     .count = w->c.asids,
                                     .cpus = VCPUS,
                                     .policy = w->c.asid_policy,
                                     .rename = w->c.asid_rename,
                                     .seed = w->seed,
                                     .ops = &ops,
                                     .ctx = w};

    w->asid_memory = aligned(gn_asid_align(), gn_asid_size(&p));
    if (gn_asid_init(w->asid_memory, gn_asid_size(&p), &p, &w->asid))
        fail("asid: refused");
}

static void mmus_open(struct world *w)
{
    const struct gn_softmmu_ops ops = {GN_SOFTMMU_OPS_INIT, .absent = on_absent,
                                       .traced_write = on_traced_write};

    for (uint32_t i = 0; i < VCPUS; i++) {
        const struct gn_softmmu_params p = {GN_SOFTMMU_PARAMS_INIT,
                                            .format = w->c.format,
                                            .vcpus = w->c.split ? 1 : VCPUS,
                                            .tlb_entries = w->c.tlb,
                                            .memory = w->memory,
                                            .memory_size = RAM_HPA + GUEST_BYTES,
                                            .ops = &ops,
                                            .ops_ctx = &w->vcpu[i]};

        if (i >= mmus(w)) {
            w->mmu[i] = w->mmu[0];
            continue;
        }
        w->mmu_memory[i] = aligned(gn_softmmu_align(), gn_softmmu_size(&p));
        if (gn_softmmu_init(w->mmu_memory[i], gn_softmmu_size(&p), &p, &w->mmu[i]))
            fail("softmmu: refused");
    }
}

void world_open(struct world *w, uint64_t seed)
{
    struct dice d = {seed ^ 0x5eed};
    struct oracle o;

    memset(w, 0, sizeof *w);
    w->seed = seed;
    config_make(&w->c, seed);
    oracle_init(&o, w->c.format, 0, 0);
    w->levels = o.levels;
    w->x86 = o.family == 'x';
    w->memory = aligned(4096, RAM_HPA + GUEST_BYTES);
    memset(w->memory, 0, RAM_HPA + GUEST_BYTES);
    w->history = aligned(64, GUEST_WORDS * sizeof *w->history);
    memset(w->history, 0, GUEST_WORDS * sizeof *w->history);
    w->versions = 1;
    for (uint32_t i = w->c.tables; i-- > 0;)
        w->frames[w->frame_count++] = gn_hpa(i * GN_PAGE_SIZE);
    for (uint32_t i = 0; i < VCPUS; i++)
        w->vcpu[i] = (struct vcpu){.world = w, .number = i, .user = -1};
    mmus_open(w);
    log_open(w);
    np_open(w);
    asid_open(w);
    shadow_open(w);
    for (uint32_t i = 0; i < SLOTS; i++) {
        w->slot_memory[i] = aligned(64, gn_shadow_slot_size(slot_bytes[i]));
        world_slot_set(w, i, i == SLOTS - 1 ? GN_SHADOW_SLOT_MMIO : GN_SHADOW_SLOT_RAM);
    }
    world_guest_make(w, &d);
    for (uint32_t i = 0; i < VCPUS; i++)
        world_switch(w, i, i,
                     w->x86 ? GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_1G
                            : GN_PAGING_RISCV_ADUE);
}

void world_close(struct world *w)
{
    for (uint32_t i = 0; i < VCPUS && w->asid; i++)
        if (gn_asid_deactivate(w->asid, i))
            fail("asid: a deactivation was refused");
    gn_shadow_fini(w->shadow);
    if (w->frame_count != w->c.tables)
        fail("shadow: a frame was not given back");
    gn_asid_fini(w->asid);
    gn_nonpresent_fini(w->np);
    gn_tracelog_fini(w->log);
    for (uint32_t i = 0; i < mmus(w); i++)
        gn_softmmu_fini(w->mmu[i]);
}
