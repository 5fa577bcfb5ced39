/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * tiny - a complete VMM, to be read first and from top to bottom.
 *
 * A guest of some thirty instructions builds page tables, turns translation on, touches pages that
 * are not there, and maps them in its own fault handler. The machine's MMU never sees the guest's
 * tables: it walks shadow tables that the library builds on demand. The guest's writes to its
 * tables are completed and recorded in a log, and no write traps; with --trap they trap instead,
 * and the counters at the end show the difference.
 *
 *      guest.c        the guest: its instructions and its program
 *      tiny.c         machine memory, wiring, the CPU, the run loop
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnomon/shadow.h>
#include <gnomon/softmmu.h>
#include <gnomon/tracelog.h>

#include "guest.h"

#define TABLES   32u
#define MEMORY   (TINY_RAM + TABLES * GN_PAGE_SIZE)
#define ROOTS    4u
#define CONTEXTS 8u /* address spaces, each by a privilege, whose translations the MMU keeps */

/* The machine's memory: guest RAM, then frames for shadow tables. A host physical address is an
 * offset here; guest physical address 0 is its beginning. */
static _Alignas(4096) uint8_t memory[MEMORY];

/* The libraries allocate nothing: what they need is given to them. These are generous bounds. */
static _Alignas(64) uint8_t shadow_memory[TABLES * 4608 + 16384];
static _Alignas(64) uint8_t slot_memory[16384];
static _Alignas(64) uint8_t mmu_memory[CONTEXTS * 16384 + 16384];
static _Alignas(64) uint8_t log_memory[65536];

struct vmm {
    struct gn_shadow *shadow;
    struct gn_tracelog *log;
    struct gn_softmmu *mmu;
    const struct gn_mmu_ops *ops;
    gn_hpa_t frames[TABLES]; /**< free frames: a stack */
    uint32_t frame_count;
    struct gn_shadow_root root; /**< in force */
    int loaded;
    /* The CPU. */
    uint64_t x[16];
    uint64_t pc;
    uint64_t epc;    /**< where the fault was */
    uint64_t fault;  /**< what it accessed */
    uint64_t table;  /**< root of the guest's tables; 0: no translation */
    uint64_t exits;  /**< accesses that the MMU could not complete */
    uint64_t faults; /**< delivered to the guest */
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "tiny: %s\n", what);
    exit(1);
}

/* ---- What the libraries ask of us --------------------------------------------------------- */

static int guest_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    (void)ctx;
    if (gpa.v > TINY_RAM - bytes)
        return -GN_ERR_FAULT;
    memcpy(ret_value, memory + gpa.v, bytes);
    return 0;
}

/* One thread: nobody changes the entry between the load and this. */
static int guest_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                         uint64_t desired)
{
    (void)ctx;
    if (gpa.v > TINY_RAM - bytes)
        return -GN_ERR_FAULT;
    if (memcmp(memory + gpa.v, &expected, bytes))
        return -GN_ERR_AGAIN;
    memcpy(memory + gpa.v, &desired, bytes);
    return 0;
}

static int frame_alloc(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame)
{
    struct vmm *vmm = ctx;

    if (!vmm->frame_count)
        return -GN_ERR_NOMEM;
    *ret_hpa = vmm->frames[--vmm->frame_count];
    *ret_frame = memory + ret_hpa->v;
    return 0;
}

static void frame_free(void *ctx, gn_hpa_t hpa, void *frame)
{
    struct vmm *vmm = ctx;

    (void)frame;
    vmm->frames[vmm->frame_count++] = hpa;
}

/* A root's id serves as its ASID here: there are as many of the one as of the other. */
static void invalidate_range(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    struct vmm *vmm = ctx;

    vmm->ops->invalidate_range(vmm->mmu, root == GN_SHADOW_ROOT_ANY ? GN_MMU_ASID_ANY : root, gva,
                               length);
}

static void invalidate_all(void *ctx)
{
    struct vmm *vmm = ctx;

    vmm->ops->invalidate_all(vmm->mmu);
}

static void root_gone(void *ctx, uint32_t root, uint64_t cookie)
{
    struct vmm *vmm = ctx;

    (void)cookie;
    vmm->ops->invalidate_asid(vmm->mmu, root);
}

/* The MMU completed a write to a page that holds guest tables. */
static void traced_write(void *ctx, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes)
{
    struct vmm *vmm = ctx;

    gn_tracelog_append(vmm->log, vcpu, gn_gpa(hpa.v), bytes);
}

/* ---- Wiring ------------------------------------------------------------------------------- */

static void vmm_init(struct vmm *vmm, int trap)
{
    static const struct gn_paging_ops guest = {GN_PAGING_OPS_INIT, .load = guest_load,
                                               .cmpxchg = guest_cmpxchg};
    const struct gn_shadow_ops shadow_ops = {GN_SHADOW_OPS_INIT,
                                             .guest = &guest,
                                             .frame_alloc = frame_alloc,
                                             .frame_free = frame_free,
                                             .invalidate_range = invalidate_range,
                                             .invalidate_all = invalidate_all,
                                             .root_gone = root_gone};
    const struct gn_shadow_params shadow = {GN_SHADOW_PARAMS_INIT,
                                            .format = GN_PAGING_SV39,
                                            .policy = trap ? GN_SHADOW_POLICY_TRAP
                                                           : GN_SHADOW_POLICY_TRACED,
                                            .tables = TABLES,
                                            .roots = ROOTS,
                                            .slots = 1,
                                            .ops = &shadow_ops,
                                            .ops_ctx = vmm};
    const struct gn_shadow_slot ram = {GN_SHADOW_SLOT_INIT, .kind = GN_SHADOW_SLOT_RAM,
                                       .length = TINY_RAM};
    const struct gn_softmmu_ops mmu_ops = {GN_SOFTMMU_OPS_INIT, .traced_write = traced_write};
    const struct gn_softmmu_params mmu = {
        GN_SOFTMMU_PARAMS_INIT, .format = GN_PAGING_SV39, .tlb_entries = 256, .contexts = CONTEXTS,
        .memory = memory,       .memory_size = MEMORY,    .ops = &mmu_ops,    .ops_ctx = vmm};
    const struct gn_tracelog_params log = {GN_TRACELOG_PARAMS_INIT, .flags = GN_TRACELOG_SERIAL,
                                           .page_count = TINY_RAM >> GN_PAGE_SHIFT};
    uint32_t slot;

    memset(vmm, 0, sizeof *vmm);
    for (uint32_t i = TABLES; i-- > 0;)
        vmm->frames[vmm->frame_count++] = gn_hpa(TINY_RAM + i * GN_PAGE_SIZE);
    vmm->ops = gn_softmmu_mmu_ops();
    if (gn_softmmu_init(mmu_memory, sizeof mmu_memory, &mmu, &vmm->mmu) ||
        gn_tracelog_init(log_memory, sizeof log_memory, &log, &vmm->log) ||
        gn_shadow_init(shadow_memory, sizeof shadow_memory, &shadow, &vmm->shadow) ||
        gn_shadow_slot_add(vmm->shadow, &ram, slot_memory, sizeof slot_memory, &slot))
        die("a library refused its parameters or its memory");
    tiny_guest_load(memory);
}

/* The guest's table register was written: another address space. Nothing is flushed. */
static void address_space_load(struct vmm *vmm)
{
    const struct gn_shadow_root_key key = {
        GN_SHADOW_ROOT_KEY_INIT, .format = vmm->table ? GN_PAGING_SV39 : GN_PAGING_BARE,
        .table = gn_gpa(vmm->table), .controls = GN_PAGING_RISCV_ADUE};
    struct gn_mmu_context context = {GN_MMU_CONTEXT_INIT};
    struct gn_shadow_root root;

    if (gn_shadow_root_get(vmm->shadow, &key, &root))
        die("no shadow root can be had");
    if (vmm->loaded && gn_shadow_root_put(vmm->shadow, vmm->root.id))
        die("the root in force was not held");
    vmm->root = root;
    vmm->loaded = 1;
    context.asid = root.id;
    context.root = root.hpa;
    context.user = !vmm->table; /* untranslated pages are user pages */
    if (vmm->ops->context_set(vmm->mmu, 0, &context))
        die("the MMU refused a root");
}

/* A coherence point: the guest says that it is done changing its tables. */
static void fence(struct vmm *vmm)
{
    struct gn_tracelog_drain drain;
    struct gn_tracelog_item item;

    gn_tracelog_drain_begin(vmm->log, &drain);
    while (gn_tracelog_drain_next(vmm->log, &drain, &item) == 1) {
        int rc = item.kind == GN_TRACELOG_ALL ? gn_shadow_flush(vmm->shadow, GN_SHADOW_ROOT_ANY)
                                              : gn_shadow_sync(vmm->shadow, item.gpa, item.bytes);

        if (rc)
            die("the shadow cannot be brought up to date");
    }
}

/* ---- The CPU ------------------------------------------------------------------------------ */

/* One guest access. @return 1: done; 0: the guest got a fault instead */
static int access_memory(struct vmm *vmm, uint64_t gva, uint32_t kind, void *data, uint32_t bytes)
{
    const struct gn_shadow_access access = {
        GN_SHADOW_ACCESS_INIT, .root = vmm->root.id, .gva = gn_gva(gva),
        .access = kind | (vmm->table ? 0 : GN_PAGING_AS_USER), .controls = GN_PAGING_RISCV_ADUE};

    for (;;) {
        struct gn_mmu_answer mmu;
        struct gn_shadow_answer shadow;

        if (vmm->ops->access(vmm->mmu, 0, gn_gva(gva), kind, data, bytes, &mmu))
            die("an access leaves its page");
        if (mmu.outcome == GN_MMU_DONE)
            return 1;
        vmm->exits++;
        if (gn_shadow_fault(vmm->shadow, &access, &shadow))
            die("the shadow cannot be filled");
        switch (shadow.outcome) {
        case GN_SHADOW_FILLED: break;
        case GN_SHADOW_TRAPPED: /* a write to a guest table: do it, then tell the shadow */
            memcpy(memory + shadow.gpa.v, data, bytes);
            if (gn_shadow_sync(vmm->shadow, shadow.gpa, bytes))
                die("the shadow cannot be brought up to date");
            return 1;
        case GN_SHADOW_GUEST_FAULT:
            vmm->faults++;
            vmm->fault = gva;
            vmm->epc = vmm->pc;
            vmm->pc = TINY_HANDLER;
            return 0;
        default: die("the guest left its memory");
        }
    }
}

/* One instruction. @return 0 when the guest is done */
static int step(struct vmm *vmm)
{
    struct tiny_insn i;
    uint64_t *x = vmm->x;
    uint64_t next = vmm->pc + sizeof i;

    if (!access_memory(vmm, vmm->pc, GN_ACCESS_EXEC, &i, sizeof i))
        return 1;
    if (i.a > 15 || i.b > 15)
        die("the guest's program is damaged");
    switch (i.op) {
    case TINY_LI: x[i.a] = i.imm; break;
    case TINY_ADD: x[i.a] += x[i.b] + i.imm; break;
    case TINY_SHIFT: x[i.a] = i.imm > 63 ? x[i.b] << (i.imm - 64) : x[i.b] >> i.imm; break;
    case TINY_LD:
        if (!access_memory(vmm, x[i.b] + i.imm, GN_ACCESS_READ, &x[i.a], 8))
            return 1;
        break;
    case TINY_ST:
        if (!access_memory(vmm, x[i.b] + i.imm, GN_ACCESS_WRITE, &x[i.a], 8))
            return 1;
        break;
    case TINY_BNE: next = x[i.a] != x[i.b] ? i.imm : next; break;
    case TINY_TABLE:
        vmm->table = x[i.a];
        fence(vmm);
        address_space_load(vmm);
        break;
    case TINY_FENCE: fence(vmm); break;
    case TINY_FAULT: x[i.a] = vmm->fault; break;
    case TINY_RETURN: next = vmm->epc; break;
    default: return 0;
    }
    vmm->pc = next;
    return 1;
}

static void report(struct vmm *vmm, const char *policy)
{
    struct gn_shadow_stats shadow = {GN_SHADOW_STATS_INIT};
    struct gn_softmmu_stats mmu = {GN_SOFTMMU_STATS_INIT};
    uint64_t differences;

    if (gn_shadow_stats_get(vmm->shadow, &shadow) || gn_softmmu_stats_get(vmm->mmu, &mmu) ||
        gn_shadow_audit(vmm->shadow, GN_SHADOW_ROOT_ANY, NULL, NULL, &differences, NULL))
        die("the counters cannot be had");
    printf("guest: sum of %d pages mapped on demand: %" PRIu64 " (expected %d)\n", TINY_PAGES,
           vmm->x[TINY_RESULT], TINY_PAGES * (TINY_PAGES - 1) / 2);
    printf("policy %s: %" PRIu64 " exits, of which %" PRIu64 " guest faults and %" PRIu64
           " trapped table writes; %" PRIu64 " table writes recorded\n",
           policy, vmm->exits, vmm->faults, shadow.trapped_writes, mmu.traced_writes);
    printf("shadow: %" PRIu64 " tables at most, %" PRIu64 " pages of the guest's 1 GiB page "
           "splintered, %" PRIu64 " differences from the guest's tables\n",
           shadow.tables_peak, shadow.splinters, differences);
    if (vmm->x[TINY_RESULT] != TINY_PAGES * (TINY_PAGES - 1) / 2 || differences)
        die("the guest got it wrong");
}

int main(int argc, char **argv)
{
    int trap = argc == 2 && !strcmp(argv[1], "--trap");
    static struct vmm vmm;

    if (argc > 2 || (argc == 2 && !trap)) {
        fprintf(stderr, "usage: tiny [--trap]\n");
        return 2;
    }
    vmm_init(&vmm, trap);
    address_space_load(&vmm);
    for (vmm.pc = TINY_ENTRY; step(&vmm);)
        continue;
    report(&vmm, trap ? "trap" : "traced");
    gn_shadow_fini(vmm.shadow);
    if (vmm.frame_count != TABLES)
        die("a frame was not given back");
    gn_tracelog_fini(vmm.log);
    gn_softmmu_fini(vmm.mmu);
    return 0;
}
