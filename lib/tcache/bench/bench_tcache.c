/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a translator pays for its cache, emission left out. Two ratios: lookups by a view's jump
 * cache against the hash of all blocks each time; and a page of code and data whose data is
 * written, with writes told by bytes, against dropping the page's blocks at each write.
 */
#include <gnomon/tcache.h>

#include "gn_bench.h"

#define CODE_SIZE (8u << 20)
#define TARGETS   512u
#define BASE      UINT64_C(0x80000000)

static _Alignas(64) uint8_t code[CODE_SIZE];
static struct gn_tcache *tc;
static const struct gn_tcache_view *view;
static uint64_t sink;
static struct gn_tcache_block pair[3];

static void die(const char *what)
{
    fprintf(stderr, "bench_tcache: %s\n", what);
    exit(1);
}

static void op_patch(void *ctx, const struct gn_tcache_patch *patch)
{
    (void)ctx;
    memcpy(patch->jump, &patch->target, sizeof patch->target);
    if (patch->guard)
        memcpy(patch->guard, &patch->id, sizeof patch->id);
}

static const struct gn_tcache_ops ops = {GN_TCACHE_OPS_INIT, .patch = op_patch};

/* A block of 16 guest bytes and 128 of code, one exit. */
static void make(uint64_t pc, uint64_t target, struct gn_tcache_block *ret_block)
{
    const struct gn_tcache_key key = {{pc}, {pc}, 0, 0};
    const struct gn_tcache_exit exit = {
        .target = {target},
        .jump = 8,
        .guard = 16,
        .stub = 24,
        .flags = (pc ^ target) >> GN_PAGE_SHIFT ? GN_TCACHE_EXIT_GUARDED : 0};
    const struct gn_tcache_code made = {
        GN_TCACHE_CODE_INIT, .code_size = 128, .guest_first = (uint32_t)(pc & GN_PAGE_MASK),
        .guest_size = 16,    .exit_count = 1,  .exits = &exit};
    struct gn_tcache_room room;

    if (gn_tcache_block_begin(tc, 0, &key, &room) ||
        gn_tcache_block_commit(tc, 0, &made, ret_block))
        die("a block cannot be made");
}

static uint64_t target(uint32_t i)
{
    return BASE + (uint64_t)(i * 277 % TARGETS) * 192;
}

static void fill(void)
{
    struct gn_tcache_block block;

    for (uint32_t i = 0; i < TARGETS; i++)
        make(target(i), target(i), &block);
    for (uint32_t i = 0; i < TARGETS; i++) {
        if (gn_tcache_view_map(tc, 0, gn_gva(target(i)), gn_gpa(target(i))) ||
            gn_tcache_lookup(tc, 0, gn_gva(target(i)), &block) != GN_TCACHE_FOUND)
            die("a block is not found");
    }
}

static void probe(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        sink += gn_tcache_probe(view, gn_gva(target(i)));
}

/* The next address depends on what was found, as where a program goes does. */
static void probe_dependent(uint32_t n)
{
    uint64_t last = 0;

    for (uint32_t i = 0; i < n; i++)
        last = gn_tcache_probe(view, gn_gva(target(i) + (last & 1)));
    sink += last;
}

static void lookup(uint32_t n)
{
    struct gn_tcache_block block;

    for (uint32_t i = 0; i < n; i++)
        if (gn_tcache_lookup(tc, 0, gn_gva(target(i)), &block) == GN_TCACHE_FOUND)
            sink += block.entry;
}

static void make_and_drop(uint32_t n)
{
    struct gn_tcache_block block;

    for (uint32_t i = 0; i < n; i++) {
        make(0x5000, 0x5000, &block);
        if (gn_tcache_written(tc, gn_gpa(0x5000), 4) != 1)
            die("a write drops nothing");
    }
}

/* An exit, and two blocks that it may be linked to: the same PC on two pages. */
static void pair_make(void)
{
    const struct gn_tcache_key key = {{0x2000}, {0x3000}, 0, 0};
    const struct gn_tcache_code made = {GN_TCACHE_CODE_INIT, .code_size = 128, .guest_size = 16};
    struct gn_tcache_room room;

    make(0x1000, 0x2000, &pair[0]);
    make(0x2000, 0x2000, &pair[1]);
    if (gn_tcache_block_begin(tc, 0, &key, &room) || gn_tcache_block_commit(tc, 0, &made, &pair[2]))
        die("a block cannot be made");
}

/* A guard changes over between two targets: an unlink and a link each. */
static void relink(uint32_t n)
{
    const gn_tcache_handle_t exit = gn_tcache_exit_get(tc, pair[0].exit_first);

    for (uint32_t i = 0; i < n; i++)
        if (gn_tcache_exit_link(tc, 0, exit, pair[1 + (i & 1)].handle) != 1)
            die("an exit is not linked");
}

static void switch_views(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (gn_tcache_view_load(tc, 0, i & 1, 0, &view))
            die("a view is not loaded");
    if (gn_tcache_view_load(tc, 0, 0, 0, &view))
        die("a view is not loaded");
}

static void invalidate_and_map(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (gn_tcache_invalidate(tc, 0, 0, gn_gva(BASE), 4096) < 0 ||
            gn_tcache_view_map(tc, 0, gn_gva(BASE), gn_gpa(BASE)))
            die("a page is not mapped anew");
}

/* Eight blocks in the first half of a page, data in the other: each write, then all eight. */
static void run_page(void)
{
    struct gn_tcache_block block;

    for (uint64_t i = 0; i < 8; i++) {
        const uint64_t pc = 0x9000 + i * 128;
        const struct gn_tcache_key key = {{pc}, {pc}, 0, 0};

        if (gn_tcache_block_find(tc, &key, &block) != GN_TCACHE_FOUND)
            make(pc, pc, &block);
        sink += block.entry;
    }
}

static void write_data_by_bytes(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (gn_tcache_written(tc, gn_gpa(0x9800 + i % 128 * 8), 8))
            die("a write of data drops code");
        run_page();
    }
}

static void write_data_by_pages(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (gn_tcache_written(tc, gn_gpa(0x9000), 4096) != 1)
            die("a write of the page drops nothing");
        run_page();
    }
}

static void write_elsewhere(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        sink += (uint64_t)gn_tcache_written(tc, gn_gpa(0x100000 + i * 8), 8);
}

int main(int argc, char **argv)
{
    const struct gn_tcache_params params = {GN_TCACHE_PARAMS_INIT, .code = code,
                                            .code_size = CODE_SIZE, .ops = &ops};
    const uint32_t n = gn_bench_quick(argc, argv) ? 10 : 20000;
    void *memory = aligned_alloc(gn_tcache_align(), gn_tcache_size(&params));
    struct gn_bench_result a, b;

    if (!memory || gn_tcache_init(memory, gn_tcache_size(&params), &params, &tc) ||
        gn_tcache_online(tc, 0) || gn_tcache_view_load(tc, 0, 0, 0, &view))
        die("no cache");
    fill();
    gn_bench_header();
    a = gn_bench_time("lookup_hash", lookup, n);
    b = gn_bench_time("probe", probe, n);
    gn_bench_time("probe_dependent", probe_dependent, n);
    gn_bench_ratio("lookup_hash/probe", a, b);
    gn_bench_time("make_and_drop", make_and_drop, n);
    pair_make();
    gn_bench_time("relink", relink, n);
    gn_bench_time("view_switch", switch_views, n);
    gn_bench_time("invalidate_and_map", invalidate_and_map, n);
    gn_bench_time("written_no_code", write_elsewhere, n);
    run_page();
    a = gn_bench_time("written_by_pages", write_data_by_pages, n);
    b = gn_bench_time("written_by_bytes", write_data_by_bytes, n);
    gn_bench_ratio("by_pages/by_bytes", a, b);
    gn_tcache_fini(tc);
    free(memory);
    return sink == 1;
}
