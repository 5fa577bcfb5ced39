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

void *aligned(size_t align, size_t size)
{
    void *memory = aligned_alloc(align, (size + align - 1) & ~(align - 1));

    if (!memory)
        abort();
    return memory;
}

/* ---- What shadow asks for ----------------------------------------------------------------- */

static int on_frame_alloc(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame)
{
    struct world *w = ctx;

    if (!w->frame_count || (w->c.frames_fail && dice_below(&w->chance, w->c.frames_fail) == 0))
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

/* A root without an ID: what may be cached of it is purged before the ID is used again. */
static int root_id(struct world *w, uint32_t root, uint32_t *ret_id)
{
    *ret_id = GN_MMU_ASID_ANY;
    return root == GN_SHADOW_ROOT_ANY ||
           gn_asid_lookup(w->asid, 0, __atomic_load_n(&w->cookies[root], __ATOMIC_RELAXED),
                          ret_id) == 1;
}

static void invalidate(struct world *w, uint32_t root, gn_gva_t gva, uint64_t length,
                       void (*how)(struct gn_softmmu *mmu, uint32_t id, gn_gva_t gva,
                                   uint64_t length))
{
    uint32_t id;

    if (!root_id(w, root, &id))
        return;
    for (uint32_t i = 0; i < mmus(w); i++) {
        mmu_enter(w, i);
        how(w->mmu[i], id, gva, length);
        mmu_leave(w, i);
    }
}

static void on_invalidate_range(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    invalidate(ctx, root, gva, length, gn_softmmu_invalidate_range);
}

static void on_invalidate_writes(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    invalidate(ctx, root, gva, length, gn_softmmu_invalidate_writes);
}

static void on_invalidate_all(void *ctx)
{
    struct world *w = ctx;

    for (uint32_t i = 0; i < mmus(w); i++) {
        mmu_enter(w, i);
        gn_softmmu_invalidate_all(w->mmu[i]);
        mmu_leave(w, i);
    }
}

static void on_root_gone(void *ctx, uint32_t root, uint64_t cookie)
{
    struct world *w = ctx;

    if (gn_asid_release(w->asid, 0, cookie))
        fail("asid: the pair of a root that is gone was not released");
    __atomic_store_n(&w->cookies[root], 0, __ATOMIC_RELAXED);
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
    if (w->x86 && who->controls & ((w->bytes == 8 ? GN_PAGING_X86_NXE : 0) | GN_PAGING_X86_SMEP))
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

    gn_tracelog_append(w->log, w->c.split ? v->number : number, gn_gpa(hpa.v - w->ram_hpa), bytes);
}

static int on_pending(void *ctx, gn_gpa_t page)
{
    struct world *w = ctx;

    return gn_tracelog_pending(w->log, page);
}

static int on_purge(void *ctx, uint32_t cpu, uint32_t id)
{
    struct world *w = ctx;

    mmu_enter(w, cpu);
    gn_softmmu_invalidate_asid(w->mmu[cpu], id);
    mmu_leave(w, cpu);
    return 0;
}

static int on_purge_all(void *ctx, uint32_t cpu)
{
    struct world *w = ctx;

    mmu_enter(w, cpu);
    gn_softmmu_invalidate_all(w->mmu[cpu]);
    mmu_leave(w, cpu);
    return 0;
}

/* ---- Life --------------------------------------------------------------------------------- */

static void shadow_open(struct world *w)
{
    struct gn_shadow_ops ops = {GN_SHADOW_OPS_INIT,
                                .guest = &memory_ops,
                                .frame_alloc = on_frame_alloc,
                                .frame_free = on_frame_free,
                                .invalidate_range = on_invalidate_range,
                                .invalidate_writes = on_invalidate_writes,
                                .invalidate_all = on_invalidate_all,
                                .root_gone = on_root_gone,
                                .absent_encode = w->np ? on_absent_encode : NULL,
                                .dirty = on_dirty,
                                .panic = on_panic};
    const struct gn_shadow_params p = {GN_SHADOW_PARAMS_INIT,
                                       .format = w->c.format,
                                       .policy = w->c.policy,
                                       .flags = w->c.flags,
                                       .tables = w->c.tables,
                                       .roots = w->c.roots,
                                       .slots = SLOTS,
                                       .flood_limit = w->c.flood_limit,
                                       .unsync_after = w->c.unsync_after,
                                       .sync_after = w->c.sync_after,
                                       .fault_around = w->c.around,
                                       .step_limit = w->c.steps,
                                       .ops = &ops,
                                       .ops_ctx = w};

    if (w->locks)
        locks_shadow_ops(&ops, dice_below(&w->chance, 4) != 0);
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
    const struct gn_nonpresent_params p = {GN_NONPRESENT_PARAMS_INIT,
                                           .encoding = w->shadow_x86 ? GN_NONPRESENT_X86_64(46)
                                                                     : GN_NONPRESENT_RISCV,
                                           .guest = w->x86   ? GN_NONPRESENT_GUEST_X86
                                                    : w->arm ? GN_NONPRESENT_GUEST_AARCH64
                                                             : GN_NONPRESENT_GUEST_RISCV,
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
    struct gn_asid_ops ops = {GN_ASID_OPS_INIT, .caps = w->c.asid_caps, .purge = on_purge,
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

    if (w->locks)
        locks_asid_ops(&ops);
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
                                            .memory_size = MEMORY_BYTES,
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

static void formats_open(struct world *w)
{
    struct oracle o;

    oracle_init(&o, w->c.format, 0, 0);
    w->shadow_levels = o.levels;
    w->shadow_x86 = o.family == 'x';
    oracle_init(&w->guest, w->c.guest, 0, 0);
    w->levels = w->guest.levels;
    w->bytes = w->guest.bytes;
    w->x86 = w->guest.family == 'x';
    w->arm = w->guest.family == 'a';
    w->wide = w->levels > w->shadow_levels;
    w->frames_all = w->c.tables + (w->levels + w->arm > w->shadow_levels ? w->c.roots : 0);
}

/* What the guest has in force when it begins. */
static uint32_t controls_first(const struct world *w)
{
    if (w->arm)
        return GN_PAGING_AARCH64_HA | GN_PAGING_AARCH64_HD;
    return w->x86 ? GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_1G | GN_PAGING_X86_PSE
                  : GN_PAGING_RISCV_ADUE;
}

void world_open(struct world *w, uint64_t seed, int threads)
{
    struct dice d = {seed ^ 0x5eed};

    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->chance.state = seed ^ 0xc4a4ce;
    config_make(&w->c, seed);
    if (threads) {
        w->locks = locks_new();
        w->c.split = 1;
        w->c.log_flags &= ~GN_TRACELOG_SERIAL;
    }
    formats_open(w);
    w->ram_hpa = RAM_HPA + w->c.shift;
    w->memory = aligned(4096, MEMORY_BYTES);
    memset(w->memory, 0, MEMORY_BYTES);
    w->history = aligned(64, GUEST_WORDS * sizeof *w->history);
    memset(w->history, 0, GUEST_WORDS * sizeof *w->history);
    w->versions = 1;
    w->quiet = 1;
    for (uint32_t i = w->frames_all; i-- > 0;)
        w->frames[w->frame_count++] = gn_hpa(i * GN_PAGE_SIZE);
    for (uint32_t i = 0; i < VCPUS; i++)
        w->vcpu[i] = (struct vcpu){.world = w, .number = i, .user = -1};
    mmus_open(w);
    log_open(w);
    np_open(w);
    asid_open(w);
    shadow_open(w);
    for (uint32_t i = 0; i < SLOTS; i++) {
        w->slot_memory[i] = aligned(64, gn_shadow_slot_size(slot_bytes(w, i)));
        world_slot_set(w, i, i == SLOTS - 1 ? GN_SHADOW_SLOT_MMIO : GN_SHADOW_SLOT_RAM);
    }
    world_guest_make(w, &d);
    /* Frames may be refused, but not always. */
    for (uint32_t i = 0; i < VCPUS; i++)
        while (!world_switch(w, i, i, controls_first(w)))
            ;
    w->quiet = 0;
}

static void counts_take(struct world *w)
{
    struct gn_shadow_stats s = {GN_SHADOW_STATS_INIT};

    if (gn_shadow_stats_get(w->shadow, &s))
        fail("shadow: no counters");
    w->done[DONE_UNSYNC] = s.pages_unsync;
    w->done[DONE_TRACED] = s.pages_traced;
    w->done[DONE_RESYNCED] = s.pages_resynced;
    w->done[DONE_RECLAIMED] = s.tables_reclaimed;
    w->done[DONE_AROUND] = s.around_fills;
    w->done[DONE_SPLINTERS] = s.splinters;
    w->done[DONE_LARGE] = s.large_leaves;
}

void world_close(struct world *w)
{
    counts_take(w);
    for (uint32_t i = 0; i < VCPUS && w->asid; i++)
        if (gn_asid_deactivate(w->asid, i))
            fail("asid: a deactivation was refused");
    gn_shadow_fini(w->shadow);
    if (w->frame_count != w->frames_all)
        fail("shadow: a frame was not given back");
    gn_asid_fini(w->asid);
    gn_nonpresent_fini(w->np);
    gn_tracelog_fini(w->log);
    for (uint32_t i = 0; i < mmus(w); i++)
        gn_softmmu_fini(w->mmu[i]);
}

/* The libraries own nothing: whatever state they were left in, their memory is all there is. */
void world_free(struct world *w)
{
    if (w->locks)
        locks_free(w->locks);
    free(w->memory);
    free(w->history);
    free(w->shadow_memory);
    free(w->log_memory);
    free(w->np_memory);
    free(w->asid_memory);
    for (uint32_t i = 0; i < VCPUS; i++)
        free(w->mmu_memory[i]);
    for (uint32_t i = 0; i < SLOTS; i++)
        free(w->slot_memory[i]), free(w->log_bits[i]);
    memset(w, 0, sizeof *w);
}
