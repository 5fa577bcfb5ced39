/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadowed.h"

#include "gn_test.h"

#define TRIES  16u
#define FRAMES 512u

#define PF 14u
#define GP 13u

static struct world *world;
static gn_hpa_t frame[FRAMES];
static uint32_t frames;
static struct gn_shadow *shadow;
static struct gn_x86_64_mmu *mmu;
uint64_t shadowed_writes[2];

static int is_guests(gn_gpa_t gpa)
{
    return gpa.v - WORLD_BASE < WORLD_BYTES;
}

static int guest_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    (void)ctx;
    (void)bytes;
    if (!is_guests(gpa))
        return -GN_ERR_FAULT;
    *ret_value = world_load(world, gpa.v);
    return 0;
}

static int guest_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                         uint64_t desired)
{
    uint64_t found;
    int rc = guest_load(ctx, gpa, bytes, &found);

    if (rc)
        return rc;
    if (found != expected)
        return -GN_ERR_AGAIN;
    world_store(world, gpa.v, desired);
    return 0;
}

/* A stack of frames: the machine's allocator searches, and that takes long in an emulator. */
static int frame_alloc(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame)
{
    (void)ctx;
    if (!frames)
        return -GN_ERR_NOMEM;
    *ret_hpa = frame[--frames];
    *ret_frame = gn_x86_64_direct(*ret_hpa);
    return 0;
}

static void frame_free(void *ctx, gn_hpa_t hpa, void *at)
{
    (void)ctx;
    (void)at;
    frame[frames++] = hpa;
}

void shadowed_open(struct world *of)
{
    static uint8_t memory[8192] __attribute__((aligned(4096)));
    gn_hpa_t first;

    world = of;
    assert_true(gn_x86_64_mmu_size() <= sizeof memory);
    assert_int_equal(gn_x86_64_mmu_init(memory, UINT64_C(1) << 32, &mmu), 0);

    assert_int_equal(gn_x86_64_frames_alloc(FRAMES, GN_PAGE_SIZE, &first), 0);
    while (frames < FRAMES) {
        frame[frames] = gn_hpa(first.v + frames * GN_PAGE_SIZE);
        frames++;
    }
}

static void invalidate_range(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    (void)ctx;
    (void)root;
    gn_x86_64_mmu_ops()->invalidate_range(mmu, GN_MMU_ASID_ANY, gva, length);
}

static void invalidate_all(void *ctx)
{
    (void)ctx;
    gn_x86_64_mmu_ops()->invalidate_all(mmu);
}

const struct gn_paging_ops shadowed_guest = {GN_PAGING_OPS_INIT, .load = guest_load,
                                             .cmpxchg = guest_cmpxchg};

static const struct gn_shadow_ops shadow_ops = {
    GN_SHADOW_OPS_INIT,
    .guest = &shadowed_guest,
    .frame_alloc = frame_alloc,
    .frame_free = frame_free,
    .invalidate_range = invalidate_range,
    .invalidate_all = invalidate_all,
};

void shadowed_make(uint32_t format)
{
    static const uint32_t policies[] = {GN_SHADOW_POLICY_TRAP, GN_SHADOW_POLICY_UNSYNC,
                                        GN_SHADOW_POLICY_ADAPT};
    static void *memory, *slot_memory;
    const uint64_t draw = gn_test_random(&world->rng);
    const struct gn_shadow_params params = {GN_SHADOW_PARAMS_INIT,
                                            .format = format,
                                            .policy = policies[draw % 3],
                                            .tables = 256,
                                            .flags = draw & 0x100 ? GN_SHADOW_MMU_GLOBAL : 0,
                                            .ops = &shadow_ops};
    const struct gn_shadow_slot slot = {GN_SHADOW_SLOT_INIT, .kind = GN_SHADOW_SLOT_RAM,
                                        .gpa = gn_gpa(WORLD_BASE), .length = WORLD_BYTES,
                                        .hpa = gn_hpa(WORLD_BASE)};
    const size_t size = gn_shadow_size(&params), slot_size = gn_shadow_slot_size(WORLD_BYTES);
    uint32_t id;

    if (!memory) {
        memory = gn_test_memory(64, size);
        slot_memory = gn_test_memory(64, slot_size);
    }
    gn_shadow_fini(shadow);
    assert_int_equal(gn_shadow_init(memory, size, &params, &shadow), 0);
    assert_int_equal(gn_shadow_slot_add(shadow, &slot, slot_memory, slot_size, &id), 0);
}

void shadowed_forget(void)
{
    invalidate_all(NULL);
}

void shadowed_sync(uint64_t gpa, uint64_t value)
{
    world_store(world, gpa, value);
    assert_int_equal(gn_shadow_sync(shadow, gn_gpa(gpa), world->entry_bytes), 0);
}

int attempt_is_read(const struct attempt *a, const struct gn_x86_64_probe *p)
{
    return a->access & GN_PAGING_IMPLICIT && p->vector == GP && p->error == 4;
}

static struct gn_shadow_answer ask(const struct attempt *a, uint32_t root)
{
    const struct gn_shadow_access access = {GN_SHADOW_ACCESS_INIT,
                                            .root = root,
                                            .gva = gn_gva(a->gva + a->offset),
                                            .access = a->access,
                                            .controls = a->controls,
                                            .pkru = a->pkru};
    struct gn_shadow_answer answer;

    assert_int_equal(gn_shadow_fault(shadow, &access, &answer), 0);
    return answer;
}

/* An implicit access, which is no access of <gnomon/mmu.h>. */
static int try_implicit(const struct attempt *a, const struct gn_mmu_context *c)
{
    struct gn_x86_64_probe p = {.gva = a->gva,
                                .flags = a->controls & GN_PAGING_X86_AC ? GN_X86_64_FLAG_AC : 0};

    invalidate_range(NULL, 0, gn_gva(a->gva), GN_PAGE_SIZE);
    gn_x86_64_controls_set(c->controls, a->pkru);
    assert_int_equal(gn_x86_64_probe_access(a->access, 8, &p), 0);
    gn_x86_64_controls_set(GN_PAGING_X86_WP | GN_PAGING_X86_NXE, 0);
    assert_true(attempt_is_read(a, &p) || p.vector == PF);
    return attempt_is_read(a, &p);
}

static int try_once(const struct attempt *a, const struct gn_mmu_context *c, void *data,
                    uint32_t bytes)
{
    const struct gn_mmu_ops *ops = gn_x86_64_mmu_ops();
    struct gn_mmu_answer said;

    assert_int_equal(ops->context_set(mmu, 0, c), 0);
    if (a->access & GN_PAGING_IMPLICIT)
        return try_implicit(a, c);
    assert_int_equal(ops->access(mmu, 0, gn_gva(a->gva + a->offset),
                                 a->access & GN_PAGING_ACCESS_KIND, data, bytes, &said),
                     0);
    return said.outcome == GN_MMU_DONE;
}

int shadowed_access(const struct attempt *a, void *data, uint32_t bytes,
                    struct gn_shadow_answer *ret_answer)
{
    const struct gn_shadow_root_key key = {GN_SHADOW_ROOT_KEY_INIT, .format = world->format,
                                           .table = gn_gpa(WORLD_BASE), .controls = a->controls,
                                           .phys_bits = world->phys_bits};
    struct gn_mmu_context c = {
        GN_MMU_CONTEXT_INIT, .user = (a->access & GN_PAGING_AS_USER) != 0,
        .controls = gn_shadow_mmu_controls(shadow, world->format, a->controls, a->access)};
    struct gn_shadow_root root;
    int done = 0;

    ret_answer->outcome = GN_SHADOW_FILLED;
    assert_int_equal(gn_shadow_root_get(shadow, &key, &root), 0);
    assert_int_equal(gn_shadow_coherence_root(shadow, root.id), 0);
    c.root = root.hpa;
    gn_x86_64_mmu_pkru_set(mmu, a->pkru);
    for (uint32_t tries = 0; !done && ret_answer->outcome == GN_SHADOW_FILLED; tries++) {
        assert_true(tries < TRIES);
        done = try_once(a, &c, data, bytes);
        if (!done)
            *ret_answer = ask(a, root.id);
    }
    gn_x86_64_root_own();
    assert_int_equal(gn_shadow_root_put(shadow, root.id), 0);
    return done;
}

void shadowed_write(uint64_t gpa, uint64_t value)
{
    const struct attempt a = {.gva = world_window(world, gpa),
                              .access = GN_ACCESS_WRITE,
                              .controls = GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_PSE |
                                          GN_PAGING_X86_1G};
    struct gn_shadow_answer answer;

    if (!shadowed_access(&a, &value, world->entry_bytes, &answer)) {
        assert_int_equal(answer.outcome, GN_SHADOW_TRAPPED);
        assert_int_equal(answer.gpa.v, gpa);
        shadowed_sync(gpa, value);
        shadowed_writes[1]++;
    }
    assert_int_equal(world_load(world, gpa), value);
    shadowed_writes[0]++;
}
