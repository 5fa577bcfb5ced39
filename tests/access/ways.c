/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ways.h"

#define TRIES 8u

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "access: %s\n", what);
    exit(1);
}

static void *aligned(size_t align, size_t size)
{
    void *memory = aligned_alloc(align, (size + align - 1) & ~(align - 1));

    if (!memory)
        die("not enough memory");
    return memory;
}

uint64_t *ways_word(struct ways *w, uint64_t gpa)
{
    return (uint64_t *)(void *)(w->memory + (gpa & ~(uint64_t)7));
}

uint64_t ways_entry(const struct ways *w, uint64_t gpa)
{
    uint64_t value = 0;

    memcpy(&value, w->memory + gpa, (size_t)w->bytes);
    return value;
}

void ways_entry_set(struct ways *w, uint64_t gpa, uint64_t value)
{
    memcpy(w->memory + gpa, &value, (size_t)w->bytes);
}

int ways_load(void *ctx, uint64_t gpa, uint64_t *ret_value)
{
    if (gpa >= RAM_BYTES)
        return 0;
    *ret_value = *ways_word(ctx, gpa);
    return 1;
}

/* ---- What the libraries ask for ----------------------------------------------------------- */

static int guest_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    struct ways *w = ctx;

    if (gpa.v > RAM_BYTES - bytes)
        return -GN_ERR_FAULT;
    *ret_value = 0;
    memcpy(ret_value, w->memory + gpa.v, bytes);
    return 0;
}

static int guest_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                         uint64_t desired)
{
    struct ways *w = ctx;

    if (gpa.v > RAM_BYTES - bytes)
        return -GN_ERR_FAULT;
    if (memcmp(w->memory + gpa.v, &expected, bytes))
        return -GN_ERR_AGAIN;
    memcpy(w->memory + gpa.v, &desired, bytes);
    return 0;
}

static const struct gn_paging_ops guest_ops = {GN_PAGING_OPS_INIT, .load = guest_load,
                                               .cmpxchg = guest_cmpxchg};

static int frame_alloc(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame)
{
    struct ways *w = ctx;

    if (!w->frame_count)
        return -GN_ERR_NOMEM;
    *ret_hpa = w->frames[--w->frame_count];
    *ret_frame = w->memory + ret_hpa->v;
    return 0;
}

static void frame_free(void *ctx, gn_hpa_t hpa, void *frame)
{
    struct ways *w = ctx;

    (void)frame;
    w->frames[w->frame_count++] = hpa;
}

static void invalidate_range(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    struct ways *w = ctx;

    w->ops->invalidate_range(w->mmu, root == GN_SHADOW_ROOT_ANY ? GN_MMU_ASID_ANY : root, gva,
                             length);
}

static void invalidate_writes(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    struct ways *w = ctx;

    w->ops->invalidate_writes(w->mmu, root == GN_SHADOW_ROOT_ANY ? GN_MMU_ASID_ANY : root, gva,
                              length);
}

static void invalidate_all(void *ctx)
{
    struct ways *w = ctx;

    w->ops->invalidate_all(w->mmu);
}

static void root_gone(void *ctx, uint32_t root, uint64_t cookie)
{
    struct ways *w = ctx;

    (void)cookie;
    w->ops->invalidate_asid(w->mmu, root);
}

/* The table test writes tables behind the MMU and reports it; no guest write is to be recorded. */
static void traced_write(void *ctx, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes)
{
    (void)ctx;
    (void)vcpu;
    (void)hpa;
    (void)bytes;
    die("a data page is marked traced");
}

static void panic(void *ctx, const char *what)
{
    (void)ctx;
    die(what);
}

/* ---- Life --------------------------------------------------------------------------------- */

static void mmu_open(struct ways *w)
{
    const struct gn_softmmu_ops ops = {GN_SOFTMMU_OPS_INIT, .traced_write = traced_write};
    const struct gn_softmmu_params params = {GN_SOFTMMU_PARAMS_INIT,
                                             .format = w->host,
                                             .tlb_entries = 256,
                                             .memory = w->memory,
                                             .memory_size = RAM_BYTES + FRAMES * GN_PAGE_SIZE,
                                             .ops = &ops,
                                             .ops_ctx = w};

    w->mmu_memory = aligned(gn_softmmu_align(), gn_softmmu_size(&params));
    if (gn_softmmu_init(w->mmu_memory, gn_softmmu_size(&params), &params, &w->softmmu))
        die("the MMU refused its parameters");
    w->ops = gn_softmmu_mmu_ops();
    w->mmu = w->softmmu;
}

static void adversary_open(struct ways *w)
{
    const struct adversary_params params = {.format = w->host,
                                            .vcpus = 1,
                                            .memory = w->memory,
                                            .memory_size = RAM_BYTES + FRAMES * GN_PAGE_SIZE,
                                            .around = 8,
                                            .traced_write = traced_write,
                                            .ctx = w};

    w->adversary = adversary_new(&params);
    if (!w->adversary)
        die("the adversary is not to be had");
    w->ops = adversary_mmu_ops();
    w->mmu = w->adversary;
}

/* @return what gn_shadow_init() says */
static int shadow_init(struct ways *w, uint32_t policy)
{
    const struct gn_shadow_ops ops = {GN_SHADOW_OPS_INIT,
                                      .guest = &guest_ops,
                                      .frame_alloc = frame_alloc,
                                      .frame_free = frame_free,
                                      .invalidate_range = invalidate_range,
                                      .invalidate_writes = invalidate_writes,
                                      .invalidate_all = invalidate_all,
                                      .root_gone = root_gone,
                                      .panic = panic};
    const struct gn_shadow_params params = {
        GN_SHADOW_PARAMS_INIT, .format = w->host, .policy = policy,
        .tables = FRAMES,      .roots = 16,       .slots = 1,
        .flood_limit = ~0u,    .ops = &ops,       .ops_ctx = w};
    size_t size = gn_shadow_size(&params);

    if (!size)
        die("the shadow refused its parameters");
    w->shadow_memory = aligned(gn_shadow_align(), size);
    return gn_shadow_init(w->shadow_memory, size, &params, &w->shadow);
}

static void slot_open(struct ways *w)
{
    const struct gn_shadow_slot ram = {GN_SHADOW_SLOT_INIT, .kind = GN_SHADOW_SLOT_RAM,
                                       .length = RAM_BYTES};
    uint32_t slot;

    w->slot_memory = aligned(64, gn_shadow_slot_size(RAM_BYTES));
    if (gn_shadow_slot_add(w->shadow, &ram, w->slot_memory, gn_shadow_slot_size(RAM_BYTES), &slot))
        die("the shadow refused a slot");
}

static void shadow_close(struct ways *w)
{
    gn_shadow_fini(w->shadow);
    gn_softmmu_fini(w->softmmu);
    adversary_free(w->adversary);
    free(w->shadow_memory);
    free(w->slot_memory);
    free(w->mmu_memory);
    w->shadow = NULL;
    w->mmu = w->softmmu = NULL;
    w->adversary = NULL;
    w->shadow_memory = w->slot_memory = w->mmu_memory = NULL;
    w->held = 0;
}

/* The usual controls of a guest: which a shadow must accept if it accepts the format at all. */
#define USUAL                                                                         \
    (GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_1G | GN_PAGING_RISCV_ADUE | \
     GN_PAGING_AARCH64_HA)

static void host_open(struct ways *w, uint32_t host, uint32_t policy, int adversary)
{
    int rc;

    w->host = host;
    rc = shadow_init(w, policy);
    if (rc == -GN_ERR_NOTSUP) {
        w->refused = "it keeps no tables in the host's format";
        free(w->shadow_memory);
        w->shadow_memory = NULL;
        w->host = 0;
        return;
    }
    if (rc)
        die("the shadow is not to be had");
    if (adversary)
        adversary_open(w);
    else
        mmu_open(w);
    slot_open(w);
    if (!ways_root(w, USUAL)) {
        shadow_close(w);
        w->refused = "it takes no such guest into such tables";
        w->host = 0;
    }
}

void ways_open(struct ways *w, const struct oracle *known, uint32_t format, uint32_t host,
               uint64_t root, uint32_t policy, int adversary)
{
    memset(w, 0, sizeof *w);
    w->format = format;
    w->levels = known->levels;
    w->bytes = known->bytes;
    w->root = root;
    w->phys_bits = known->bytes == 4 ? 36 : known->family == 'r' ? 52 : 40;
    w->memory = aligned(4096, RAM_BYTES + FRAMES * GN_PAGE_SIZE);
    memset(w->memory, 0, RAM_BYTES);
    for (uint32_t i = FRAMES; i-- > 0;)
        w->frames[w->frame_count++] = gn_hpa(RAM_BYTES + i * GN_PAGE_SIZE);
    host_open(w, host, policy, adversary);
}

void ways_close(struct ways *w)
{
    if (w->host)
        shadow_close(w);
    free(w->memory);
}

/* ---- Asking ------------------------------------------------------------------------------- */

int ways_root(struct ways *w, uint32_t controls)
{
    const struct gn_shadow_root_key key = {
        GN_SHADOW_ROOT_KEY_INIT,
        .format = w->format,
        .table = gn_gpa(w->root),
        .controls = controls,
        .phys_bits = w->phys_bits,
        .pkru = w->pkru,
        .table_high = gn_gpa(w->format == GN_PAGING_AARCH64_4K ? w->root : 0)};
    struct gn_shadow_root root;

    if (!w->host)
        return 0;
    switch (gn_shadow_root_get(w->shadow, &key, &root)) {
    case 0: break;
    case -GN_ERR_NOTSUP: return 0;
    default: die("no root is to be had");
    }
    if (w->held && gn_shadow_root_put(w->shadow, w->loaded.id))
        die("the root in force was not held");
    w->loaded = root;
    w->controls = controls;
    w->held = 1;
    return 1;
}

struct outcome ways_walk(struct ways *w, uint64_t gva, uint32_t controls, uint32_t access)
{
    static const enum oracle_kind kinds[] = {ORACLE_OK, ORACLE_PAGE_FAULT, ORACLE_ACCESS_FAULT,
                                             ORACLE_NONCANONICAL};
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT,  .format = w->format,
                                  .root = gn_gpa(w->root), .controls = controls,
                                  .pkru = w->pkru,         .phys_bits = w->phys_bits};
    struct gn_paging_walk walk;

    if (w->format == GN_PAGING_AARCH64_4K)
        c.root_high = c.root;
    if (gn_paging_walk(&c, &guest_ops, w, gn_gva(gva), access, &walk))
        die("a walk was refused");
    return (struct outcome){
        .kind = kinds[walk.outcome], .code = walk.code, .pa = walk.outcome ? 0 : walk.gpa.v};
}

static void context_set(struct ways *w, uint32_t controls, uint32_t access)
{
    struct gn_mmu_context c = {GN_MMU_CONTEXT_INIT, .asid = w->loaded.id, .root = w->loaded.hpa,
                               .controls =
                                   gn_shadow_mmu_controls(w->shadow, w->format, controls, access)};

    c.user = (access & (GN_PAGING_AS_USER | GN_PAGING_IMPLICIT)) == GN_PAGING_AS_USER;
    /* An implicit access is held against SMAP whatever AC is: the view without AC. */
    if (access & GN_PAGING_IMPLICIT)
        c.controls &= ~GN_PAGING_X86_AC;
    if (w->ops->context_set(w->mmu, 0, &c))
        die("the MMU refused a context");
}

struct outcome ways_shadow(struct ways *w, uint64_t gva, uint32_t controls, uint32_t access)
{
    static const enum oracle_kind kinds[] = {ORACLE_OK, ORACLE_PAGE_FAULT, ORACLE_ACCESS_FAULT,
                                             ORACLE_NONCANONICAL};
    const struct gn_shadow_access a = {GN_SHADOW_ACCESS_INIT, .root = w->loaded.id,
                                       .gva = gn_gva(gva),    .access = access,
                                       .controls = controls,  .pkru = w->pkru};
    uint32_t kind = access & GN_PAGING_ACCESS_KIND;
    struct outcome o = {0};

    context_set(w, controls, access);
    for (; o.exits < TRIES; o.exits++) {
        uint64_t data = UINT64_C(0x5e5e5e5e) << 32 | DATA_PAGE;
        struct gn_mmu_answer mmu;
        struct gn_shadow_answer answer;

        if (w->ops->access(w->mmu, 0, gn_gva(gva), kind, &data, 8, &mmu))
            die("the MMU refused an access");
        if (mmu.outcome == GN_MMU_DONE) {
            /* The data page says where it is, and so does what a write left there. */
            o.pa = (kind == GN_ACCESS_WRITE ? *ways_word(w, DATA_PAGE) : data) & UINT32_MAX;
            o.pa |= gva & GN_PAGE_MASK;
            *ways_word(w, DATA_PAGE) = DATA_PAGE;
            return o;
        }
        if (mmu.outcome != GN_MMU_ABSENT && mmu.outcome != GN_MMU_DENIED)
            die("the MMU found a damaged table");
        if (gn_shadow_fault(w->shadow, &a, &answer))
            die("the shadow refused an access");
        if (answer.outcome == GN_SHADOW_FILLED)
            continue;
        o.exits++;
        if (answer.outcome == GN_SHADOW_EMULATE) {
            o.emulated = 1;
            o.pa = answer.gpa.v;
            return o;
        }
        if (answer.outcome != GN_SHADOW_GUEST_FAULT)
            die("the shadow takes RAM for something else");
        o.kind = kinds[answer.fault];
        o.code = answer.code;
        return o;
    }
    die("an access makes no progress");
}
