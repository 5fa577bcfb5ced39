/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "compose_internal.h"

/*
 *                      +---------- coherence point: SFENCE.VMA ----------+
 *                      v                                                 |
 *    CPU --probe--> softmmu --traced write--> tracelog --drain--> shadow.sync
 *                    |  ^ \                                              |
 *            absent? |  |  \--absent, denied--> shadow.fault ---fills--> SPT
 *                    v  |                            |                   |
 *               nonpresent <---absent_encode---------+       invalidate: softmmu,
 *                       |                                    by the ASID of the root
 *                     asid <--- activate: satp written; release: root gone
 */

/* Writes to guest tables after which these are synced before a coherence point comes. */
#define UNSYNCED_MAX 32u

/* Syncs of a table in a row that were of no use: then it is taken to be none any more. */
#define FLOOD_LIMIT 24u

#define RAM_BASE   UINT64_C(0x80000000)
#define TABLES_MIN 256u

/* A guest's random accesses would miss the host's TLB otherwise. */
#define HOST_LARGE_PAGE (UINT64_C(2) << 20)

/* Address spaces and views whose translations the MMU keeps; memory is taken as they are used. */
#define CONTEXTS 128u

uint32_t rv64_compose_controls(const struct rv64_compose *c)
{
    return (c->cpu->svade ? 0 : GN_PAGING_RISCV_ADUE) |
           (c->context->sum ? GN_PAGING_RISCV_SUM : 0) |
           (c->context->mxr ? GN_PAGING_RISCV_MXR : 0);
}

static bool is_watched(const struct rv64_compose *c, uint64_t gpa)
{
    uint64_t page = (gpa - c->bus->ram_base) >> GN_PAGE_SHIFT;

    return c->watched[page / 8] >> page % 8 & 1;
}

/* ---- Guest memory, as the walker sees it -------------------------------------------------- */

static int guest_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    struct rv64_compose *c = ctx;
    const uint64_t *entry = rv64_bus_ram(c->bus, gpa.v, bytes);

    if (!entry)
        return -GN_ERR_FAULT;
    *ret_value = __atomic_load_n(entry, __ATOMIC_RELAXED);
    return 0;
}

static int guest_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                         uint64_t desired)
{
    struct rv64_compose *c = ctx;
    uint64_t *entry = rv64_bus_ram(c->bus, gpa.v, bytes);

    if (!entry)
        return -GN_ERR_FAULT;
    if (!__atomic_compare_exchange_n(entry, &expected, desired, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED))
        return -GN_ERR_AGAIN;
    /* A and D, in what is code, too. */
    if (is_watched(c, gpa.v))
        rv64_tracelog_append(c->tracelog, gpa, bytes);
    return 0;
}

/* ---- What shadow asks for ----------------------------------------------------------------- */

static int on_frame_alloc(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame)
{
    struct rv64_compose *c = ctx;

    if (!c->frame_count)
        return -GN_ERR_NOMEM;
    *ret_hpa = gn_hpa(c->frames[--c->frame_count]);
    *ret_frame = c->memory + ret_hpa->v;
    return 0;
}

static void on_frame_free(void *ctx, gn_hpa_t hpa, void *frame)
{
    struct rv64_compose *c = ctx;

    (void)frame;
    c->frames[c->frame_count++] = hpa.v;
}

/* The ASID under which the MMU may hold translations of a root. @return false: under none */
static bool root_asid(struct rv64_compose *c, uint32_t root, uint32_t *ret_asid)
{
    *ret_asid = RV64_ASID_ALONE;
    if (root == c->bare.id)
        *ret_asid = RV64_ASID_BARE;
    else if (root == GN_SHADOW_ROOT_ANY)
        *ret_asid = GN_MMU_ASID_ANY;
    else if (c->asid)
        return rv64_asid_lookup(c->asid, c->cookies[root], ret_asid);
    else
        return c->guest_held && root == c->guest.id; /* the others were flushed at the switch */
    return true;
}

/* The name of a root's address space, as the CPU's engine has it. */
static uint64_t space_of(const struct rv64_compose *c, uint32_t root)
{
    if (root == GN_SHADOW_ROOT_ANY)
        return UINT64_MAX;
    return root == c->bare.id ? c->bare.cookie : c->cookies[root];
}

/* The CPU keeps fetch translations of its own; it has none before it is made and after it ended. */
static void fetches_forget(struct rv64_compose *c, uint64_t space, uint64_t va, uint64_t length)
{
    if (c->cpu->decode)
        rv64_cpu_fetch_flush(c->cpu);
    if (c->cpu->engine)
        c->cpu->engine->withdrawn(c->cpu, space, va, length);
}

static void on_invalidate_range(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    struct rv64_compose *c = ctx;
    uint32_t asid;

    /* Names of address spaces outlive their ASIDs. */
    fetches_forget(c, space_of(c, root), gva.v, length);
    if (root_asid(c, root, &asid))
        gn_softmmu_invalidate_range(c->softmmu, asid, gva, length);
}

/* Fetches and reads go on: of a write-protected page, nothing that was found is to be found anew.
 */
static void on_invalidate_writes(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    struct rv64_compose *c = ctx;
    uint32_t asid;

    if (root_asid(c, root, &asid))
        gn_softmmu_invalidate_writes(c->softmmu, asid, gva, length);
}

static void on_invalidate_all(void *ctx)
{
    struct rv64_compose *c = ctx;

    gn_softmmu_invalidate_all(c->softmmu);
    fetches_forget(c, UINT64_MAX, 0, UINT64_MAX);
}

/* It would be purged before the ID is used again; until then it would be in the way. */
static void asid_gone(struct rv64_compose *c, uint64_t cookie)
{
    uint32_t asid;

    if (rv64_asid_lookup(c->asid, cookie, &asid))
        gn_softmmu_invalidate_asid(c->softmmu, asid);
    rv64_asid_release(c->asid, cookie);
}

static void on_root_gone(void *ctx, uint32_t root, uint64_t cookie)
{
    struct rv64_compose *c = ctx;

    c->cookies[root] = 0;
    if (c->before.cookie == cookie)
        c->before.cookie = 0;
    if (c->cpu->engine)
        c->cpu->engine->space_gone(c->cpu, cookie);
    if (c->asid_trace)
        rv64_asid_trace_release(c->asid_trace, cookie);
    if (c->asid)
        asid_gone(c, cookie);
}

static uint64_t on_absent_encode(void *ctx, const struct gn_shadow_absent *absent)
{
    struct rv64_compose *c = ctx;

    return rv64_nonpresent_encode(c->nonpresent, absent);
}

void rv64_compose_panic(void *ctx, const char *what)
{
    (void)ctx;
    fprintf(stderr, "rv64: %s\n", what);
    abort();
}

/* ---- What softmmu and asid ask for -------------------------------------------------------- */

static int on_absent(void *ctx, uint32_t vcpu, uint64_t entry, uint32_t access,
                     struct gn_mmu_answer *ret_answer)
{
    struct rv64_compose *c = ctx;

    (void)vcpu;
    return rv64_nonpresent_explain(c->nonpresent, entry, access, ret_answer);
}

/* Without a log, writes to guest tables trap, and the shadow knows of them at once. */
static int on_pending(void *ctx, gn_gpa_t page)
{
    struct rv64_compose *c = ctx;

    return c->tracelog && rv64_tracelog_pending(c->tracelog, page);
}

static int on_conform(void *ctx, uint32_t vcpu, uint32_t place, gn_gva_t gva, gn_hpa_t hpa,
                      uint64_t *ret_window)
{
    struct rv64_compose *c = ctx;

    (void)vcpu;
    return c->windows && rv64_windows_conform(c->windows, place, gva.v, hpa.v, ret_window);
}

static void on_windows_forget(void *ctx)
{
    struct rv64_compose *c = ctx;

    gn_softmmu_window_forget(c->softmmu, 0, GN_SOFTMMU_PLACE_ANY);
}

static void on_purge(void *ctx, uint32_t id)
{
    struct rv64_compose *c = ctx;

    gn_softmmu_invalidate_asid(c->softmmu, id);
}

/* ---- Coherence ---------------------------------------------------------------------------- */

static void sync_range(void *ctx, gn_gpa_t gpa, uint64_t length)
{
    struct rv64_compose *c = ctx;
    int rc = length == UINT64_MAX ? gn_shadow_flush(c->shadow, GN_SHADOW_ROOT_ANY)
                                  : gn_shadow_sync(c->shadow, gpa, length);

    if (rc)
        rv64_compose_panic(c, "a sync of guest tables failed");
    if (!c->cpu->engine)
        return;
    if (length == UINT64_MAX)
        c->cpu->engine->written(c->cpu, 0, length);
    else if (is_watched(c, gpa.v) || is_watched(c, gpa.v + length - 1))
        c->cpu->engine->written(c->cpu, gpa.v, length);
}

static void log_drain(struct rv64_compose *c)
{
    c->unsynced = 0;
    rv64_tracelog_drain(c->tracelog, sync_range, c);
}

/*
 * A guest that clears or copies a whole page, of which a table was made once, is not to record 512
 * writes: a sync before it is due finds that it is no table any more, and tracing ends.
 */
static void on_traced_write(void *ctx, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes)
{
    struct rv64_compose *c = ctx;

    (void)vcpu;
    /* Guest RAM lies at the start of the machine's memory. */
    rv64_tracelog_append(c->tracelog, gn_gpa(hpa.v + c->bus->ram_base), bytes);
    if (++c->unsynced >= UNSYNCED_MAX)
        log_drain(c);
}

static void on_dma_wrote(void *ctx, uint64_t gpa, uint64_t length)
{
    struct rv64_compose *c = ctx;

    if (gn_shadow_sync(c->shadow, gn_gpa(gpa), length))
        rv64_compose_panic(c, "a sync of guest tables failed");
    if (c->cpu->engine)
        c->cpu->engine->written(c->cpu, gpa, length);
}

int rv64_mmu_watch(struct rv64_mmu *mmu, uint64_t gpa, bool on)
{
    struct rv64_compose *c = (struct rv64_compose *)mmu;
    uint64_t page = (gpa - c->bus->ram_base) >> GN_PAGE_SHIFT;

    /* Without a log each such write would trap. */
    if (!c->tracelog || gn_shadow_watch(c->shadow, gn_gpa(gpa), on))
        return -1;
    c->watched[page / 8] = (uint8_t)((c->watched[page / 8] & ~(1 << page % 8)) | on << page % 8);
    return 0;
}

void rv64_mmu_watch_sync(struct rv64_mmu *mmu)
{
    struct rv64_compose *c = (struct rv64_compose *)mmu;

    if (c->tracelog)
        log_drain(c);
}

static void on_difference(void *ctx, const struct gn_shadow_difference *d)
{
    static const char *const kinds[] = {"", "mapping", "permission", "absent", "rmap", "trace"};
    struct rv64_compose *c = ctx;

    if (c->audit_differences++ < 10)
        fprintf(stderr,
                "rv64: audit: %s, root %" PRIu32 " level %" PRIu32 " gva %#" PRIx64
                " entry %#" PRIx64 " expected gpa %#" PRIx64 "\n",
                kinds[d->kind], d->root, d->level, d->gva.v, d->entry, d->expected.v);
}

static void audit(struct rv64_compose *c)
{
    uint64_t differences;
    uint64_t leaves = 0;
    /* Mostly the address space in force; now and then all of them, and the reverse map. */
    uint32_t root = c->audits++ % 64 && c->guest_held ? c->guest.id : GN_SHADOW_ROOT_ANY;

    if (gn_shadow_audit(c->shadow, root, on_difference, c, &differences, &leaves))
        rv64_compose_panic(c, "an audit failed");
    c->audit_leaves += leaves;
}

void rv64_mmu_sfence_vma(struct rv64_mmu *mmu, const uint64_t *va, const uint64_t *asid)
{
    struct rv64_compose *c = (struct rv64_compose *)mmu;

    /*
     * The log says exactly which entries were written, so the fence costs what changed, whatever
     * it names; without the log, writes trapped and the shadow is up to date already.
     */
    (void)va;
    (void)asid;
    if (c->tracelog)
        log_drain(c);
    if (c->audit)
        audit(c);
}

/* ---- Life --------------------------------------------------------------------------------- */

static void *aligned(size_t align, size_t size)
{
    return size ? aligned_alloc(align, (size + align - 1) & ~(align - 1)) : NULL;
}

static uint32_t table_budget(uint64_t ram_size)
{
    uint32_t tables = gn_shadow_tables_for(ram_size);

    return tables < TABLES_MIN ? TABLES_MIN : tables;
}

/* Memory of the host's, in large pages if it has any to give. @return NULL: not to be had */
static uint8_t *memory_map(uint64_t size)
{
    uint8_t *memory = mmap(NULL, size + HOST_LARGE_PAGE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t before;

    if (memory == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)memory & (HOST_LARGE_PAGE - 1);
    if (before)
        munmap(memory, before);
    if (before < HOST_LARGE_PAGE)
        munmap(memory + before + size, HOST_LARGE_PAGE - before);
    (void)!madvise(memory + before, size, MADV_HUGEPAGE);
    return memory + before;
}

/*
 * Guest RAM becomes a window onto ciphertext. The frames of shadow tables behind it stay plain:
 * what is in them are addresses.
 */
static int ram_encrypt(struct rv64_compose *c, const struct rv64_compose_params *p,
                       const char **ret_error)
{
    if (!p->encrypt_ram)
        return 0;
    if (!rv64_encrypt_built()) {
        *ret_error = "--encrypt-ram is not in this build, which lacks cachecrypt, its platform "
                     "linux, or libsodium";
        return -1;
    }
    c->encrypt = rv64_encrypt_create(c->memory, RAM_BASE, p->ram_size, p->encrypt_ram,
                                     p->encrypt_how, ret_error);
    if (!c->encrypt)
        return -1;
    c->bus->bounce = rv64_encrypt_bounce(c->encrypt);
    return 0;
}

static int memory_create(struct rv64_compose *c, uint64_t ram_size, uint32_t tables)
{
    c->memory_size = ram_size + (uint64_t)tables * GN_PAGE_SIZE;
    c->memory = memory_map(c->memory_size);
    if (!c->memory)
        return -1;
    c->frames = calloc(tables, sizeof *c->frames);
    c->watched = calloc(1, (ram_size >> GN_PAGE_SHIFT) / 8 + 1);
    if (!c->frames || !c->watched)
        return -1;
    for (uint32_t i = tables; i-- > 0;)
        c->frames[c->frame_count++] = ram_size + (uint64_t)i * GN_PAGE_SIZE;
    c->bus->ram = c->memory;
    c->bus->ram_base = RAM_BASE;
    c->bus->ram_size = ram_size;
    c->bus->dma_wrote = on_dma_wrote;
    c->bus->dma_ctx = c;
    return 0;
}

static int slots_create(struct rv64_compose *c)
{
    const struct gn_shadow_slot ram = {GN_SHADOW_SLOT_INIT, .kind = GN_SHADOW_SLOT_RAM,
                                       .gpa = gn_gpa(RAM_BASE), .length = c->bus->ram_size,
                                       .hpa = gn_hpa(0)};
    const struct gn_shadow_slot devices = {GN_SHADOW_SLOT_INIT, .kind = GN_SHADOW_SLOT_MMIO,
                                           .gpa = gn_gpa(0), .length = RAM_BASE};
    size_t size = gn_shadow_slot_size(ram.length);
    uint32_t slot;

    c->slot_memory = aligned(64, size);
    if (!c->slot_memory)
        return -1;
    return gn_shadow_slot_add(c->shadow, &ram, c->slot_memory, size, &slot) ||
                   gn_shadow_slot_add(c->shadow, &devices, NULL, 0, &slot)
               ? -1
               : 0;
}

static int shadow_create(struct rv64_compose *c, uint32_t tables)
{
    static const struct gn_paging_ops guest = {GN_PAGING_OPS_INIT, .load = guest_load,
                                               .cmpxchg = guest_cmpxchg};
    const struct gn_shadow_ops ops = {
        GN_SHADOW_OPS_INIT,
        .guest = &guest,
        .frame_alloc = on_frame_alloc,
        .frame_free = on_frame_free,
        .invalidate_range = on_invalidate_range,
        .invalidate_writes = on_invalidate_writes,
        .invalidate_all = on_invalidate_all,
        .root_gone = on_root_gone,
        .absent_encode = c->nonpresent ? on_absent_encode : NULL,
        .panic = rv64_compose_panic,
    };
    const struct gn_shadow_params params = {
        GN_SHADOW_PARAMS_INIT,
        .format = GN_PAGING_SV39,
        .policy = c->tracelog ? GN_SHADOW_POLICY_TRACED : GN_SHADOW_POLICY_TRAP,
        .tables = tables,
        .roots = RV64_ROOTS,
        .flood_limit = FLOOD_LIMIT,
        .flags = GN_SHADOW_MMU_LEAVES,
        .ops = &ops,
        .ops_ctx = c,
    };
    const struct gn_shadow_root_key bare = {GN_SHADOW_ROOT_KEY_INIT, .format = GN_PAGING_BARE};

    c->shadow_memory = aligned(gn_shadow_align(), gn_shadow_size(&params));
    if (!c->shadow_memory ||
        gn_shadow_init(c->shadow_memory, gn_shadow_size(&params), &params, &c->shadow))
        return -1;
    if (slots_create(c) || gn_shadow_root_get(c->shadow, &bare, &c->bare))
        return -1;
    return 0;
}

static int softmmu_create(struct rv64_compose *c)
{
    const struct gn_softmmu_ops ops = {
        GN_SOFTMMU_OPS_INIT, .absent = c->nonpresent ? on_absent : NULL,
        .traced_write = c->tracelog ? on_traced_write : NULL, .conform = on_conform};
    const struct gn_softmmu_params params = {GN_SOFTMMU_PARAMS_INIT,
                                             .format = GN_PAGING_SV39,
                                             .memory = c->memory,
                                             .memory_size = c->memory_size,
                                             .ops = &ops,
                                             .ops_ctx = c,
                                             .contexts = CONTEXTS};

    c->softmmu_memory = aligned(gn_softmmu_align(), gn_softmmu_size(&params));
    if (!c->softmmu_memory ||
        gn_softmmu_init(c->softmmu_memory, gn_softmmu_size(&params), &params, &c->softmmu))
        return -1;
    c->mmu.data = gn_softmmu_window(c->softmmu, 0, GN_SOFTMMU_PORT_DATA);
    c->fetch_stale = true;
    c->mmu.fetch = gn_softmmu_window(c->softmmu, 0, GN_SOFTMMU_PORT_FETCH);
    return 0;
}

static int parts_create(struct rv64_compose *c, uint32_t without)
{
    if (!(without & RV64_WITHOUT_TRACELOG) && rv64_tracelog_built()) {
        c->tracelog = rv64_tracelog_create(RAM_BASE, c->bus->ram_size);
        if (!c->tracelog)
            return -1;
    }
    if (!(without & RV64_WITHOUT_NONPRESENT) && rv64_nonpresent_built()) {
        c->nonpresent = rv64_nonpresent_create(on_pending, c);
        if (!c->nonpresent)
            return -1;
    }
    if (!(without & RV64_WITHOUT_ASID) && rv64_asid_built()) {
        c->asid = rv64_asid_create(RV64_ASID_FIRST, RV64_ASID_COUNT, on_purge, c);
        if (!c->asid)
            return -1;
    }
    return 0;
}

int rv64_compose_create(const struct rv64_compose_params *params, struct rv64_compose **ret_compose,
                        const char **ret_error)
{
    uint32_t tables = table_budget(params->ram_size);
    struct rv64_compose *c = calloc(1, sizeof *c);

    *ret_error = "not enough memory for the guest";
    if (!c)
        return -1;
    c->bus = params->bus;
    c->cpu = params->cpu;
    c->context = &c->cpu->context;
    c->audit = params->audit;
    if (params->asid_trace) {
        c->asid_trace = rv64_asid_trace_create(params->asid_trace);
        *ret_error = "the file of --asid-trace cannot be made";
        if (!c->asid_trace) {
            free(c);
            return -1;
        }
        *ret_error = "not enough memory for the guest";
    }
    if (memory_create(c, params->ram_size, tables) || ram_encrypt(c, params, ret_error) ||
        parts_create(c, params->without) || softmmu_create(c) || shadow_create(c, tables)) {
        rv64_compose_destroy(c);
        return -1;
    }
    rv64_compose_contexts_make(c);
    /* What is encrypted is a window already, of pages that come and go. */
    if (!(params->without & RV64_WITHOUT_WINDOWS) && !c->encrypt)
        c->windows = rv64_windows_create(c->memory, params->ram_size, on_windows_forget, c);
    *ret_compose = c;
    return 0;
}

struct rv64_mmu *rv64_compose_mmu(struct rv64_compose *c)
{
    return &c->mmu;
}

void rv64_compose_destroy(struct rv64_compose *c)
{
    if (!c)
        return;
    /* First: what goes with the machine's end is no part of what the guest did. */
    rv64_asid_trace_destroy(c->asid_trace);
    c->asid_trace = NULL;
    if (c->softmmu)
        gn_shadow_fini(c->shadow);
    gn_softmmu_fini(c->softmmu);
    rv64_tracelog_destroy(c->tracelog);
    rv64_nonpresent_destroy(c->nonpresent);
    rv64_asid_destroy(c->asid);
    free(c->shadow_memory);
    free(c->slot_memory);
    free(c->softmmu_memory);
    free(c->frames);
    free(c->watched);
    rv64_encrypt_destroy(c->encrypt);
    rv64_windows_destroy(c->windows);
    if (c->memory)
        munmap(c->memory, c->memory_size);
    free(c);
}

uint64_t rv64_compose_audit_differences(const struct rv64_compose *c)
{
    return c->audit_differences;
}
