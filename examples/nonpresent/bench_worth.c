/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bench_worth [--quick] - what a marker saves in a composition of shadow, softmmu and nonpresent.
 *
 * A guest touches pages that its own tables do not map. In the same run, for a RISC-V guest (Sv39,
 * fenced rule) and an x86 one (4 levels, immediate rule), over tables that the caches hold and over
 * 32 MiB of them that they do not:
 *
 *      hit           gn_nonpresent_hit() on the entry that the MMU found
 *      guest_walk    gn_paging_walk() over the guest's tables
 *      shadow_fault  gn_shadow_fault(), which answers GUEST_FAULT: what the hit saves
 *      with_marker   an access of the software MMU that ends in the guest's fault: its walk of the
 *                    shadow, and the hit
 *      without       the same access: its walk, the exit, and gn_shadow_fault()
 *
 * The exit is a return from a function here. Where it is one from a guest, `without` costs so much
 * more.
 */

#include <gnomon/nonpresent_inline.h>
#include <gnomon/shadow.h>
#include <gnomon/softmmu.h>

#include "gn_bench.h"

#define LEAVES_MOST 8192u
#define GUEST_BYTES ((uint64_t)(LEAVES_MOST + 64) << GN_PAGE_SHIFT)
#define FRAMES      (LEAVES_MOST + 64u)
#define GVA         ((uint64_t)1 << 30)
#define LEAF_TABLES ((uint64_t)64 << GN_PAGE_SHIFT) /* and before them the tables above */

static struct world {
    uint32_t format;
    uint32_t levels;
    uint32_t leaves; /* leaf tables of the guest */
    uint32_t controls;
    uint8_t *memory; /* guest RAM, then frames for shadow tables */
    uint32_t frame_count;
    uint32_t *frames;
    struct gn_nonpresent *np;
    struct gn_nonpresent_window *window;
    struct gn_shadow *shadow;
    struct gn_softmmu *mmu;
    uint32_t root;
    uint64_t markers[64];
    int marking; /* shadow entries get markers */
} w;

static uint32_t rounds;
static volatile uint32_t sink;

static void must(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "bench_worth: %s\n", what);
    exit(1);
}

static void *memory_get(size_t align, size_t bytes)
{
    void *memory = aligned_alloc(align, (bytes + align - 1) & ~(align - 1));

    must(memory != NULL, "no memory");
    return memory;
}

/* ---- What the libraries ask for ----------------------------------------------------------- */

static int load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    (void)ctx;
    if (gpa.v > GUEST_BYTES - bytes)
        return -GN_ERR_FAULT;
    *ret_value = __atomic_load_n((uint64_t *)(void *)(w.memory + gpa.v), __ATOMIC_ACQUIRE);
    return 0;
}

static int cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected, uint64_t desired)
{
    (void)ctx;
    if (gpa.v > GUEST_BYTES - bytes)
        return -GN_ERR_FAULT;
    return __atomic_compare_exchange_n((uint64_t *)(void *)(w.memory + gpa.v), &expected, desired,
                                       0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
               ? 0
               : -GN_ERR_AGAIN;
}

static int frame_alloc(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame)
{
    (void)ctx;
    if (!w.frame_count)
        return -GN_ERR_NOMEM;
    *ret_hpa = gn_hpa(GUEST_BYTES + ((uint64_t)w.frames[--w.frame_count] << GN_PAGE_SHIFT));
    *ret_frame = w.memory + ret_hpa->v;
    return 0;
}

static void frame_free(void *ctx, gn_hpa_t hpa, void *frame)
{
    (void)ctx, (void)frame;
    w.frames[w.frame_count++] = (uint32_t)((hpa.v - GUEST_BYTES) >> GN_PAGE_SHIFT);
}

static void invalidate_range(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    (void)ctx;
    gn_softmmu_invalidate_range(w.mmu, root == GN_SHADOW_ROOT_ANY ? GN_MMU_ASID_ANY : root, gva,
                                length);
}

static void invalidate_all(void *ctx)
{
    (void)ctx;
    gn_softmmu_invalidate_all(w.mmu);
}

static uint64_t absent_encode(void *ctx, const struct gn_shadow_absent *absent)
{
    uint64_t marker = 0;

    (void)ctx;
    if (!w.marking || absent->kind != GN_SHADOW_ABSENT_GUEST ||
        gn_nonpresent_encode_absent(w.np, absent->level, absent->entry, &marker))
        return 0;
    return marker;
}

static int pending(void *ctx, gn_gpa_t table)
{
    (void)ctx, (void)table;
    return 0;
}

static int explain(void *ctx, uint32_t vcpu, uint64_t entry, uint32_t access,
                   struct gn_mmu_answer *ret_answer)
{
    (void)ctx, (void)vcpu;
    /* The bit of user privilege has the same place in both libraries. */
    if (!gn_nonpresent_hit(w.window, entry, access, &ret_answer->code))
        return 0;
    ret_answer->outcome = GN_MMU_GUEST_FAULT;
    return 1;
}

static const struct gn_paging_ops guest_ops = {GN_PAGING_OPS_INIT, .load = load,
                                               .cmpxchg = cmpxchg};

/* ---- The guest ---------------------------------------------------------------------------- */

static void entry_put(uint64_t table, uint64_t index, uint32_t level, uint64_t address)
{
    const struct gn_paging_entry e = {.kind = GN_PAGING_ENTRY_TABLE,
                                      .address = address,
                                      .permissions = GN_PAGING_RWXU | GN_PAGING_A};
    struct gn_paging_entry bare = e;
    uint64_t value;

    if (w.format == GN_PAGING_SV39)
        bare.permissions = 0;
    must(!gn_paging_entry_encode(w.format, level, &bare, &value), "no such entry");
    memcpy(w.memory + table + index * 8, &value, 8);
}

/* Tables down to the leaves, each of which maps nothing. Page n lies at GVA + n * 4096. */
static void guest_make(void)
{
    uint64_t next = 0x1000, above = 0;

    memset(w.memory, 0, GUEST_BYTES);
    for (uint32_t level = w.levels - 1; level > 2; level--, next += GN_PAGE_SIZE)
        entry_put(next - GN_PAGE_SIZE, 0, level, next);
    above = next - GN_PAGE_SIZE; /* level 2 */
    for (uint32_t i = 0; i < w.leaves; i++) {
        const uint64_t middle = next + ((uint64_t)(i / 512) << GN_PAGE_SHIFT);

        if (i % 512 == 0)
            entry_put(above, (GVA >> 30) + i / 512, 2, middle);
        entry_put(middle, i % 512, 1, LEAF_TABLES + ((uint64_t)i << GN_PAGE_SHIFT));
    }
}

static uint32_t page_of(uint32_t i)
{
    const uint32_t pages = w.leaves > 1 ? w.leaves * 512 : 64;

    return (uint32_t)((i * UINT64_C(2654435761) >> 7) % pages);
}

static gn_gva_t address_of(uint32_t i)
{
    return gn_gva(GVA + ((uint64_t)page_of(i) << GN_PAGE_SHIFT));
}

/* ---- What is measured --------------------------------------------------------------------- */

static void hit(uint32_t n)
{
    uint32_t code = 0;

    for (uint32_t i = 0; i < n; i++) {
        must(gn_nonpresent_hit(w.window, w.markers[page_of(i) % 64],
                               GN_ACCESS_READ | GN_NONPRESENT_AS_USER, &code),
             "a marker is not believed");
        sink += code;
    }
}

static void guest_walk(uint32_t n)
{
    const struct gn_paging_context context = {GN_PAGING_CONTEXT_INIT, .format = w.format,
                                              .controls = w.controls};
    struct gn_paging_walk walk;

    for (uint32_t i = 0; i < n; i++) {
        must(!gn_paging_walk(&context, &guest_ops, NULL, address_of(i),
                             GN_ACCESS_READ | GN_PAGING_AS_USER, &walk) &&
                 walk.reason == GN_PAGING_REASON_ABSENT,
             "a walk found something");
        sink += walk.code;
    }
}

static uint32_t fault(gn_gva_t gva)
{
    const struct gn_shadow_access access = {GN_SHADOW_ACCESS_INIT, .root = w.root, .gva = gva,
                                            .access = GN_ACCESS_READ | GN_PAGING_AS_USER,
                                            .controls = w.controls};
    struct gn_shadow_answer answer;

    must(!gn_shadow_fault(w.shadow, &access, &answer) && answer.outcome == GN_SHADOW_GUEST_FAULT,
         "a fault is not the guest's");
    return answer.code;
}

static void shadow_fault(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        sink += fault(address_of(i));
}

static void touch(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const gn_gva_t gva = address_of(i);
        struct gn_softmmu_answer answer;

        must(!gn_softmmu_access(w.mmu, 0, gva, GN_ACCESS_READ, 8, &answer), "no access");
        must((answer.mmu.outcome == GN_MMU_GUEST_FAULT) == w.marking, "not the answer expected");
        sink += w.marking ? answer.mmu.code : fault(gva);
    }
}

/* ---- Composition -------------------------------------------------------------------------- */

static void nonpresent_open(void)
{
    static uint64_t memory[64];
    static const struct gn_nonpresent_ops ops = {GN_NONPRESENT_OPS_INIT, .pending = pending};
    const struct gn_nonpresent_params params = {
        GN_NONPRESENT_PARAMS_INIT,
        .encoding = w.format == GN_PAGING_SV39 ? GN_NONPRESENT_RISCV : GN_NONPRESENT_X86_64(46),
        .guest = w.format == GN_PAGING_SV39 ? GN_NONPRESENT_GUEST_RISCV : GN_NONPRESENT_GUEST_X86,
        .ops = &ops};

    must(!gn_nonpresent_init(memory, sizeof memory, &params, &w.np), "nonpresent refused");
    w.window = gn_nonpresent_window(w.np);
    for (uint32_t i = 0; i < 64; i++)
        must(!gn_nonpresent_encode_absent(w.np, 0, gn_gpa(LEAF_TABLES + i * 8), &w.markers[i]),
             "a marker was refused");
}

static void mmu_open(void)
{
    static void *memory;
    const struct gn_softmmu_ops ops = {GN_SOFTMMU_OPS_INIT, .absent = explain};
    const struct gn_softmmu_params params = {GN_SOFTMMU_PARAMS_INIT,
                                             .format = w.format,
                                             .memory = w.memory,
                                             .memory_size =
                                                 GUEST_BYTES + ((uint64_t)FRAMES << GN_PAGE_SHIFT),
                                             .tlb_entries = 64,
                                             .contexts = 4,
                                             .ops = &ops};

    free(memory);
    memory = memory_get(gn_softmmu_align(), gn_softmmu_size(&params));
    must(!gn_softmmu_init(memory, gn_softmmu_size(&params), &params, &w.mmu), "softmmu refused");
}

static void shadow_open(void)
{
    static void *memory, *slot_memory;
    static const struct gn_shadow_ops ops = {GN_SHADOW_OPS_INIT,
                                             .guest = &guest_ops,
                                             .frame_alloc = frame_alloc,
                                             .frame_free = frame_free,
                                             .invalidate_range = invalidate_range,
                                             .invalidate_all = invalidate_all,
                                             .absent_encode = absent_encode};
    const struct gn_shadow_params params = {GN_SHADOW_PARAMS_INIT,
                                            .format = w.format,
                                            .policy = GN_SHADOW_POLICY_TRAP,
                                            .tables = FRAMES,
                                            .roots = 2,
                                            .slots = 1,
                                            .ops = &ops};
    const struct gn_shadow_slot ram = {GN_SHADOW_SLOT_INIT, .length = GUEST_BYTES};
    const struct gn_shadow_root_key key = {GN_SHADOW_ROOT_KEY_INIT, .format = w.format,
                                           .controls = w.controls};
    struct gn_mmu_context context = {GN_MMU_CONTEXT_INIT, .user = 1, .controls = w.controls};
    struct gn_shadow_root root;
    uint32_t slot;

    free(memory);
    free(slot_memory);
    memory = memory_get(gn_shadow_align(), gn_shadow_size(&params));
    slot_memory = memory_get(64, gn_shadow_slot_size(GUEST_BYTES));
    for (w.frame_count = 0; w.frame_count < FRAMES; w.frame_count++)
        w.frames[w.frame_count] = FRAMES - 1 - w.frame_count;
    must(!gn_shadow_init(memory, gn_shadow_size(&params), &params, &w.shadow) &&
             !gn_shadow_slot_add(w.shadow, &ram, slot_memory, gn_shadow_slot_size(GUEST_BYTES),
                                 &slot) &&
             !gn_shadow_root_get(w.shadow, &key, &root),
         "the shadow refused");
    w.root = context.asid = root.id;
    context.root = root.hpa;
    must(!gn_softmmu_mmu_ops()->context_set(w.mmu, 0, &context), "no context");
}

/* Every page is touched once, so that what can be remembered is. */
static void open_with(uint32_t format, uint32_t leaves, int marking)
{
    struct gn_paging_geometry shape;

    must(!gn_paging_geometry(format, &shape), "no such format");
    w.format = format;
    w.levels = shape.levels;
    w.leaves = leaves;
    w.marking = marking;
    w.controls =
        format == GN_PAGING_SV39 ? GN_PAGING_RISCV_ADUE : GN_PAGING_X86_WP | GN_PAGING_X86_NXE;
    guest_make();
    nonpresent_open();
    mmu_open();
    shadow_open();
    for (uint32_t i = 0; i < (leaves > 1 ? leaves * 512 : 64); i++)
        (void)fault(gn_gva(GVA + ((uint64_t)i << GN_PAGE_SHIFT)));
}

static struct gn_bench_result measure(const char *prefix, const char *what,
                                      void (*body)(uint32_t n))
{
    char name[64];

    snprintf(name, sizeof name, "%s_%s", prefix, what);
    return gn_bench_time(name, body, rounds);
}

static void ratio(const char *prefix, const char *what, struct gn_bench_result a,
                  struct gn_bench_result b)
{
    char name[64];

    snprintf(name, sizeof name, "%s_%s", prefix, what);
    gn_bench_ratio(name, a, b);
}

static void compare(const char *prefix, uint32_t format, uint32_t leaves)
{
    struct gn_bench_result one, walk, full, with, without;

    open_with(format, leaves, 0);
    walk = measure(prefix, "guest_walk", guest_walk);
    full = measure(prefix, "shadow_fault", shadow_fault);
    without = measure(prefix, "without", touch);
    gn_shadow_fini(w.shadow);
    open_with(format, leaves, 1);
    one = measure(prefix, "hit", hit);
    with = measure(prefix, "with_marker", touch);
    gn_shadow_fini(w.shadow);
    ratio(prefix, "guest_walk/hit", walk, one);
    ratio(prefix, "shadow_fault/hit", full, one);
    ratio(prefix, "without/with_marker", without, with);
}

int main(int argc, char **argv)
{
    const int quick = gn_bench_quick(argc, argv);
    const uint32_t cold = quick ? 16 : LEAVES_MOST;

    rounds = quick ? 500 : 50000;
    w.memory = memory_get(4096, GUEST_BYTES + ((uint64_t)FRAMES << GN_PAGE_SHIFT));
    w.frames = memory_get(64, FRAMES * sizeof *w.frames);
    gn_bench_header();
    compare("sv39_fenced", GN_PAGING_SV39, 1);
    compare("sv39_fenced_cold", GN_PAGING_SV39, cold);
    compare("x86_immediate", GN_PAGING_X86_4LEVEL, 1);
    compare("x86_immediate_cold", GN_PAGING_X86_4LEVEL, cold);
    return 0;
}
