/* SPDX-License-Identifier: BSD-3-Clause */

/* The bare machine itself: memory, frames, exceptions, probes. */

#include <gnomon/paging.h>
#include <gnomon/x86_64.h>

#include "gn_test.h"

#define HELD 64u

static void the_memory_map_has_what_the_image_runs_in(void **state)
{
    const uint64_t here = gn_x86_64_physical(&the_memory_map_has_what_the_image_runs_in).v;
    uint32_t count, found = 0;
    const struct gn_x86_64_range *map = gn_x86_64_memory_map(&count);

    (void)state;
    for (uint32_t i = 0; i < count; i++)
        found += map[i].kind == 1 && here - map[i].base.v < map[i].length;
    assert_int_equal(found, 1);
}

static void frames_are_of_nobody_else_and_come_back(void **state)
{
    const uint64_t left = gn_x86_64_frames_left();
    gn_hpa_t at[HELD];

    (void)state;
    for (uint32_t i = 0; i < HELD; i++) {
        assert_int_equal(gn_x86_64_frames_alloc(1 + i % 3, GN_PAGE_SIZE << i % 4, &at[i]), 0);
        assert_int_equal(at[i].v & ((GN_PAGE_SIZE << i % 4) - 1), 0);
        memset(gn_x86_64_direct(at[i]), (int)i, (1 + i % 3) * GN_PAGE_SIZE);
    }
    for (uint32_t i = 0; i < HELD; i++) {
        const uint8_t *p = gn_x86_64_direct(at[i]);

        assert_int_equal(p[0], i);
        assert_int_equal(p[(1 + i % 3) * GN_PAGE_SIZE - 1], i);
        gn_x86_64_frames_free(at[i], 1 + i % 3);
    }
    assert_int_equal(gn_x86_64_frames_left(), left);
}

static void frames_in_use_cannot_be_claimed(void **state)
{
    gn_hpa_t at, image = gn_x86_64_physical(&frames_in_use_cannot_be_claimed);
    const uint64_t left = gn_x86_64_frames_left();

    (void)state;
    image.v &= ~GN_PAGE_MASK;
    assert_int_equal(gn_x86_64_frames_claim(image, 1), -GN_ERR_BUSY);
    assert_int_equal(gn_x86_64_frames_alloc(2, GN_PAGE_SIZE, &at), 0);
    assert_int_equal(gn_x86_64_frames_claim(gn_hpa(at.v - GN_PAGE_SIZE), 2), -GN_ERR_BUSY);
    assert_int_equal(gn_x86_64_frames_left(), left - 2);
    gn_x86_64_frames_free(at, 2);
    assert_int_equal(gn_x86_64_frames_claim(at, 2), 0);
    gn_x86_64_frames_free(at, 2);
    assert_int_equal(gn_x86_64_frames_alloc(0, GN_PAGE_SIZE, &at), -GN_ERR_INVAL);
    assert_int_equal(gn_x86_64_frames_alloc(1, 12288, &at), -GN_ERR_INVAL);
    assert_int_equal(gn_x86_64_frames_alloc(UINT64_MAX / 8192, GN_PAGE_SIZE, &at), -GN_ERR_NOMEM);
}

static struct gn_x86_64_frame seen;

static int skip_one(struct gn_x86_64_frame *frame)
{
    seen = *frame;
    frame->rip += 2; /* as long as each of the instructions below */
    return 1;
}

/* The stack that a handler runs on is not the one that was interrupted: that may be no stack. */
static void exceptions_come_to_the_hook_whatever_the_stack_is(void **state)
{
    uint64_t kept;

    (void)state;
    gn_x86_64_exception_hook(skip_one);
    __asm__ volatile("ud2");
    assert_int_equal(seen.vector, 6);
    __asm__ volatile("movq %%rsp, %0\n\t"
                     "xorl %%esp, %%esp\n\t"
                     "movb (%1), %%al\n\t" /* 2 bytes: a page fault, at address 0 */
                     "movq %0, %%rsp"
                     : "=&r"(kept)
                     : "c"((uint64_t)0)
                     : "rax", "memory");
    assert_int_equal(seen.vector, 14);
    assert_int_equal(seen.error, 0);
    assert_int_equal(seen.rsp, 0);
    gn_x86_64_exception_hook(NULL);
}

static void text_and_constants_cannot_be_written(void **state)
{
    static const char constant[16] = "constant";

    (void)state;
    gn_x86_64_exception_hook(skip_one);
    seen.vector = 0;
    __asm__ volatile("movb %%al, (%%rcx)" : : "c"(constant), "a"(0) : "memory");
    gn_x86_64_exception_hook(NULL);
    assert_int_equal(seen.vector, 14);
    assert_int_equal(seen.error, GN_PAGING_X86_PF_P | GN_PAGING_X86_PF_W);
    assert_int_equal(constant[0], 'c');
}

static void a_probe_tells_what_stopped_it(void **state)
{
    struct gn_x86_64_probe p = {.gva = 0x123000};

    (void)state;
    for (uint32_t user = 0; user < 2; user++)
        for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
            const uint32_t access = kind | (user ? GN_PAGING_AS_USER : 0);

            assert_int_equal(gn_x86_64_probe_access(access, 8, &p), 0);
            assert_int_equal(p.vector, 14);
            assert_int_equal(p.cr2, 0x123000);
            assert_int_equal(p.error, (user ? GN_PAGING_X86_PF_U : 0) |
                                          (kind == GN_ACCESS_WRITE ? GN_PAGING_X86_PF_W : 0) |
                                          (kind == GN_ACCESS_EXEC ? GN_PAGING_X86_PF_I : 0));
        }
    p.gva = UINT64_C(1) << 62; /* not canonical */
    assert_int_equal(gn_x86_64_probe_access(GN_ACCESS_READ, 8, &p), 0);
    assert_int_equal(p.vector, 13);
    p.gva = UINT64_C(0xffffff8000000000);
    assert_int_equal(gn_x86_64_probe_access(GN_ACCESS_READ, 8, &p), -GN_ERR_RANGE);
    assert_int_equal(gn_x86_64_probe_access(GN_ACCESS_READ, 3, &p), -GN_ERR_INVAL);
    assert_int_equal(gn_x86_64_probe_access(GN_ACCESS_READ, 8, NULL), -GN_ERR_INVAL);
}

static void the_clock_goes_forward(void **state)
{
    const uint64_t hz = gn_x86_64_tsc_hz(), begin = gn_x86_64_tsc();

    (void)state;
    assert_true(hz > 1000000);
    assert_true(gn_x86_64_tsc() > begin);
}

/* One page, mapped by tables of its own; the frame behind it can be changed. */
struct space {
    struct gn_x86_64_mmu *mmu;
    gn_hpa_t root, frame[2];
    uint64_t *entry;
};

#define SPACE_GVA 0x40000000u

static void space_open(struct space *s)
{
    static uint8_t memory[8192] __attribute__((aligned(4096)));
    const uint32_t levels = gn_x86_64_features() & GN_X86_64_HAS_LA57 ? 5 : 4;
    uint64_t *table;

    assert_true(gn_x86_64_mmu_size() <= sizeof memory);
    assert_int_equal(gn_x86_64_mmu_init(memory, UINT64_C(1) << 32, &s->mmu), 0);
    assert_int_equal(gn_x86_64_frames_alloc(levels + 2, GN_PAGE_SIZE, &s->root), 0);
    table = gn_x86_64_direct(s->root);
    memset(table, 0, (levels + 2) * GN_PAGE_SIZE);
    for (uint32_t i = 0; i < levels; i++, table += 512) {
        s->entry = &table[(uint64_t)SPACE_GVA >> (12 + 9 * (levels - 1 - i)) & 511];
        *s->entry = (s->root.v + (i + 1) * GN_PAGE_SIZE) | 0x23; /* A, W, P */
    }
    for (uint32_t i = 0; i < 2; i++) {
        s->frame[i] = gn_hpa(s->root.v + (levels + i) * GN_PAGE_SIZE);
        *(uint64_t *)gn_x86_64_direct(s->frame[i]) = i;
    }
}

static void space_point(struct space *s, uint32_t frame)
{
    *(volatile uint64_t *)s->entry = s->frame[frame].v | 0x23;
}

/* @return the number of the frame that the processor reads */
static uint64_t space_seen(struct space *s, uint32_t asid)
{
    const struct gn_mmu_ops *ops = gn_x86_64_mmu_ops();
    /* The controls in force: a change of theirs empties TLBs. */
    const struct gn_mmu_context c = {GN_MMU_CONTEXT_INIT, .asid = asid, .root = s->root,
                                     .controls = GN_PAGING_X86_WP | GN_PAGING_X86_NXE};
    struct gn_mmu_answer answer;
    uint64_t value = 77;

    assert_int_equal(ops->context_set(s->mmu, 0, &c), 0);
    assert_int_equal(
        ops->access(s->mmu, 0, gn_gva(SPACE_GVA), GN_ACCESS_READ, &value, sizeof value, &answer),
        0);
    assert_int_equal(answer.outcome, GN_MMU_DONE);
    return value;
}

/* Each kind of invalidation, of the ASID in force and of another one. What a processor may keep
 * without one is told, and no pass or fail. */
static void what_is_invalidated_is_read_anew(void **state)
{
    const struct gn_mmu_ops *ops = gn_x86_64_mmu_ops();
    const uint32_t asids = ops->caps & GN_MMU_CAP_ASID ? 2 : 1;
    struct space s;

    (void)state;
    space_open(&s);
    for (uint32_t i = 0; i < 4 * asids; i++) {
        const uint32_t asid = i % asids;

        space_point(&s, 0);
        ops->invalidate_all(s.mmu);
        assert_int_equal(space_seen(&s, asid), 0);
        (void)space_seen(&s, 0);
        space_point(&s, 1);
        if (i / asids == 0)
            ops->invalidate_range(s.mmu, asid, gn_gva(SPACE_GVA), GN_PAGE_SIZE);
        else if (i / asids == 1)
            ops->invalidate_range(s.mmu, GN_MMU_ASID_ANY, gn_gva(SPACE_GVA), GN_PAGE_SIZE);
        else if (i / asids == 2)
            ops->invalidate_asid(s.mmu, asid);
        else
            ops->invalidate_all(s.mmu);
        assert_int_equal(space_seen(&s, asid), 1);
    }
    ops->invalidate_all(s.mmu);
    (void)space_seen(&s, 0);
    space_point(&s, 0);
    print_message("without an invalidation an old translation %s",
                  space_seen(&s, 0) ? "stays" : "goes");
    if (asids > 1) {
        space_point(&s, 1);
        ops->invalidate_all(s.mmu);
        (void)space_seen(&s, 0);
        space_point(&s, 0);
        (void)space_seen(&s, 1);
        print_message(", and %s over a switch of ASIDs and back",
                      space_seen(&s, 0) ? "stays" : "goes");
    }
    print_message("\n");
    gn_x86_64_mmu_fini(s.mmu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_memory_map_has_what_the_image_runs_in),
        cmocka_unit_test(frames_are_of_nobody_else_and_come_back),
        cmocka_unit_test(frames_in_use_cannot_be_claimed),
        cmocka_unit_test(exceptions_come_to_the_hook_whatever_the_stack_is),
        cmocka_unit_test(text_and_constants_cannot_be_written),
        cmocka_unit_test(a_probe_tells_what_stopped_it),
        cmocka_unit_test(the_clock_goes_forward),
        cmocka_unit_test(what_is_invalidated_is_read_anew),
    };

    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
