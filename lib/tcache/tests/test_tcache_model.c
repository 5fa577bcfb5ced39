/* SPDX-License-Identifier: BSD-3-Clause */

/* Random guests against a naive model: whatever is reached is what memory says now. */

#include "world.h"

static void op_lock(void *ctx)
{
    struct world *w = ctx;

    assert_int_equal(w->locked++, 0);
}

static void op_unlock(void *ctx)
{
    struct world *w = ctx;

    assert_int_equal(w->locked--, 1);
}

static void op_open(void *ctx)
{
    struct world *w = ctx;

    assert_int_equal(w->opened++, 0);
}

static void op_close(void *ctx)
{
    struct world *w = ctx;

    assert_int_equal(w->opened--, 1);
}

static void op_watch(void *ctx, gn_gpa_t page, uint32_t on)
{
    struct world *w = ctx;

    assert_true(page.v / GN_PAGE_SIZE < WORLD_PAGES && page.v % GN_PAGE_SIZE == 0);
    assert_int_not_equal(w->watched[page.v / GN_PAGE_SIZE], on);
    w->watched[page.v / GN_PAGE_SIZE] = (uint8_t)on;
}

static void op_patch(void *ctx, const struct gn_tcache_patch *patch)
{
    struct world *w = ctx;

    assert_int_equal(w->locked, 1);
    assert_true(!w->use_open || w->opened);
    assert_ptr_equal(patch->jump, w->code + patch->jump_offset);
    assert_int_equal(patch->jump_exec, (uintptr_t)patch->jump);
    assert_true(patch->linked || patch->target == patch->jump_exec);
    memcpy(patch->jump, &patch->target, 8);
    if (patch->guard)
        memcpy(patch->guard, &patch->id, 4);
    w->patches++;
}

static uint64_t sum_of(const struct world *w, uint64_t gpa, uint32_t bytes)
{
    uint64_t sum = 0;
    uint32_t i;

    for (i = 0; i < bytes; i++)
        sum += (uint64_t)w->versions[gpa + i] << 8 * (i % 7);
    return sum;
}

static uint32_t below(struct world *w, uint32_t limit)
{
    return (uint32_t)((gn_test_random(&w->rng) >> 20) % limit);
}

static uint64_t gpa_of(const struct world *w, uint64_t pc)
{
    return w->map[w->space][(pc - WORLD_VBASE) / GN_PAGE_SIZE] | (pc & GN_PAGE_MASK);
}

/* Few places in a page, so that they come again; some within a granule of one another. */
static uint64_t random_pc(struct world *w)
{
    const uint64_t page = below(w, WORLD_VPAGES) * GN_PAGE_SIZE;

    return WORLD_VBASE + page + below(w, 6) * 0x2a0 + below(w, 3) * 16;
}

static uint64_t random_page(struct world *w)
{
    return below(w, WORLD_PAGES) * GN_PAGE_SIZE;
}

static struct world *world_make(struct gn_tcache_params *params, uint32_t use_open)
{
    struct gn_tcache_ops ops = {GN_TCACHE_OPS_INIT, .patch = op_patch, .watch = op_watch,
                                .lock = op_lock, .unlock = op_unlock};
    struct world *w = calloc(1, sizeof *w);
    uint32_t i, j;

    assert_non_null(w);
    w->rng = gn_test_seed();
    w->use_open = use_open;
    if (use_open) {
        ops.open = op_open;
        ops.close = op_close;
    }
    w->made = calloc(WORLD_MADE, sizeof *w->made);
    w->code_size = params->code_size;
    w->code = gn_test_memory(64, w->code_size);
    params->code = w->code;
    params->ops = &ops;
    params->ctx = w;
    w->memory = gn_test_memory(gn_tcache_align(), gn_tcache_size(params));
    assert_int_equal(gn_tcache_init(w->memory, gn_tcache_size(params), params, &w->tc), 0);
    assert_int_equal(gn_tcache_online(w->tc, 0), 0);
    for (i = 0; i < WORLD_SPACES; i++) {
        w->names[i] = ++w->next_name;
        for (j = 0; j < WORLD_VPAGES; j++)
            w->map[i][j] = below(w, 2) ? j * GN_PAGE_SIZE : random_page(w);
    }
    return w;
}

static void world_end(struct world *w)
{
    uint32_t i;

    gn_tcache_fini(w->tc);
    for (i = 0; i < WORLD_PAGES; i++)
        assert_int_equal(w->watched[i], 0);
    assert_int_equal(w->opened, 0);
    free(w->memory);
    free(w->code);
    free(w->made);
    free(w);
}

static void view_load(struct world *w)
{
    assert_int_equal(gn_tcache_view_load(w->tc, 0, w->names[w->space], w->mode, &w->view), 0);
}

/* ---- Execution ---------------------------------------------------------------------------- */

static uint64_t word_at(uint64_t address)
{
    uint64_t word;

    memcpy(&word, (const void *)(uintptr_t)address, sizeof word);
    return word;
}

/* Whatever is entered for a PC was made for it, from what is there now. */
static struct world_block *check_entered(struct world *w, uint64_t pc, uint64_t entry)
{
    struct world_block *b;
    uint64_t serial;

    assert_true(entry - (uintptr_t)w->code < w->code_size);
    serial = word_at(entry);
    assert_true(serial && serial <= w->serial);
    b = &w->made[serial];
    assert_int_equal(b->pc, pc);
    assert_int_equal(b->mode, w->mode);
    assert_int_equal(b->gpa, gpa_of(w, pc));
    assert_int_equal(b->sum, sum_of(w, b->gpa, b->bytes));
    assert_true(w->watched[b->gpa / GN_PAGE_SIZE]);
    w->entered++;
    return b;
}

/* Writes the block's code, and what is told of it. */
static void emit(struct world *w, struct world_block *b, const struct gn_tcache_room *room,
                 struct gn_tcache_exit *exits, struct gn_tcache_code *code)
{
    uint64_t words[1 + 2 * WORLD_EXITS] = {w->serial};
    uint32_t i;

    for (i = 0; i < b->exit_count; i++) {
        const uint32_t at = 8 + 16 * i;

        words[1 + 2 * i] = room->exec + at;
        words[2 + 2 * i] = GN_TCACHE_ID_NONE;
        exits[i] =
            (struct gn_tcache_exit){.target = {b->exits[i].target},
                                    .jump = at,
                                    .stub = at,
                                    .guard = at + 8,
                                    .flags = b->exits[i].guarded ? GN_TCACHE_EXIT_GUARDED : 0};
    }
    *code = (struct gn_tcache_code){GN_TCACHE_CODE_INIT,
                                    .code_size = 8 + 16 * b->exit_count,
                                    .guest_first = (uint32_t)(b->gpa & GN_PAGE_MASK),
                                    .guest_size = b->bytes,
                                    .exit_count = b->exit_count,
                                    .exits = exits,
                                    .cookie = w->serial};
    memcpy(room->code, words, code->code_size);
}

static uint32_t is_far(const struct world_block *b, uint64_t target)
{
    return (target ^ b->pc) >> GN_PAGE_SHIFT != 0;
}

static void translate(struct world *w, uint64_t pc, struct gn_tcache_block *ret_block)
{
    const struct gn_tcache_key key = {{pc}, {gpa_of(w, pc)}, w->mode, 0};
    const uint64_t left = GN_PAGE_SIZE - (pc & GN_PAGE_MASK);
    struct gn_tcache_exit exits[WORLD_EXITS];
    struct world_block *b;
    struct gn_tcache_room room;
    struct gn_tcache_code code;
    uint32_t i;

    assert_int_equal(gn_tcache_block_begin(w->tc, 0, &key, &room), 0);
    assert_true(w->watched[key.gpa.v / GN_PAGE_SIZE]);
    assert_true(room.code - w->code + room.code_room <= (ptrdiff_t)w->code_size);
    if (below(w, 20) == 0) {
        assert_int_equal(gn_tcache_block_abandon(w->tc, 0), 0);
        assert_int_equal(gn_tcache_block_begin(w->tc, 0, &key, &room), 0);
    }
    assert_true(++w->serial < WORLD_MADE);
    b = &w->made[w->serial];
    *b = (struct world_block){.pc = pc, .gpa = key.gpa.v, .mode = w->mode};
    b->bytes = 1 + below(w, left < 100 ? (uint32_t)left : 100);
    b->sum = sum_of(w, b->gpa, b->bytes);
    b->exit_count = below(w, WORLD_EXITS + 1);
    b->exit_first = room.exit_first;
    for (i = 0; i < b->exit_count; i++) {
        b->exits[i].target = below(w, 2) ? random_pc(w) : (pc & ~GN_PAGE_MASK) + 0x2a0;
        b->exits[i].guarded = is_far(b, b->exits[i].target) || below(w, 4) == 0;
    }
    emit(w, b, &room, exits, &code);
    if (below(w, 20) == 0) { /* written while it is made */
        assert_int_equal(gn_tcache_written(w->tc, key.gpa, 1) >= 0, 1);
        assert_int_equal(gn_tcache_block_commit(w->tc, 0, &code, ret_block), -GN_ERR_AGAIN);
        w->serial--;
        translate(w, pc, ret_block);
        return;
    }
    assert_int_equal(gn_tcache_block_commit(w->tc, 0, &code, ret_block), 0);
    assert_int_equal(ret_block->cookie, w->serial);
    b->handle = ret_block->handle;
}

/* The dispatcher's round. @return what is to be entered */
static uint64_t dispatch(struct world *w, uint64_t pc, gn_tcache_handle_t exit)
{
    uint64_t entry = exit ? 0 : gn_tcache_probe(w->view, gn_gva(pc));
    struct gn_tcache_block block;
    int r;

    if (entry)
        return entry;
    r = gn_tcache_lookup(w->tc, 0, gn_gva(pc), &block);
    if (r == GN_TCACHE_UNMAPPED) {
        assert_int_equal(gn_tcache_view_map(w->tc, 0, gn_gva(pc), gn_gpa(gpa_of(w, pc))), 0);
        r = gn_tcache_lookup(w->tc, 0, gn_gva(pc), &block);
    }
    if (r == GN_TCACHE_MISSING)
        translate(w, pc, &block);
    else
        assert_int_equal(r, GN_TCACHE_FOUND);
    if (exit) {
        r = gn_tcache_exit_link(w->tc, 0, exit, block.handle);
        assert_true(r == 0 || r == 1);
        w->linked += (uint64_t)r;
    }
    return block.entry;
}

/* What code does at an exit. @return where it goes, or 0: it leaves */
static uint64_t take_exit(const struct world *w, uint64_t entry, const struct world_block *b,
                          uint32_t exit)
{
    const uint64_t at = entry + 8 + 16 * exit;
    const uint64_t target = word_at(at);

    if (b->exits[exit].guarded &&
        w->view->ids[gn_tcache_page_index(b->exits[exit].target)] != (uint32_t)word_at(at + 8))
        return 0;
    return target == at ? 0 : target;
}

static void run(struct world *w, uint64_t pc, uint32_t steps)
{
    gn_tcache_handle_t exit = 0;
    uint64_t entry = 0;

    while (steps--) {
        struct world_block *b;
        uint32_t i;

        if (!entry) {
            assert_int_equal(gn_tcache_quiesce(w->tc, 0), 0);
            entry = dispatch(w, pc, exit);
        }
        b = check_entered(w, pc, entry);
        exit = 0;
        if (!b->exit_count) {
            entry = 0;
            pc = random_pc(w);
            continue;
        }
        i = below(w, b->exit_count);
        pc = b->exits[i].target;
        entry = take_exit(w, entry, b, i);
        if (!entry) {
            exit = gn_tcache_exit_get(w->tc, b->exit_first + i);
            assert_true(exit);
        }
    }
}

/* ---- What happens to it ------------------------------------------------------------------- */

/* Exactly the blocks that were made from written bytes go. */
static void write_memory(struct world *w)
{
    const uint64_t gpa = random_page(w) + below(w, 6) * 0x2a0 + below(w, 200);
    const uint32_t length = 1 + (below(w, 8) ? below(w, 64) : below(w, 3000));
    const uint64_t end = gpa + length < sizeof w->versions ? gpa + length : sizeof w->versions;
    struct gn_tcache_block block;
    uint8_t *live = calloc(w->serial + 1, 1);
    int dropped = 0;
    uint64_t i;

    for (i = 1; i <= w->serial; i++)
        live[i] = gn_tcache_block_get(w->tc, w->made[i].handle, &block) == 1;
    for (i = gpa; i < end; i++)
        w->versions[i]++;
    for (i = 1; i <= w->serial; i++) {
        const struct world_block *b = &w->made[i];

        if (!live[i] || b->gpa >= end || b->gpa + b->bytes <= gpa)
            continue;
        live[i] = 0;
        dropped = 1;
    }
    assert_int_equal(gn_tcache_written(w->tc, gn_gpa(gpa), length), dropped);
    for (i = 1; i <= w->serial; i++)
        assert_int_equal(gn_tcache_block_get(w->tc, w->made[i].handle, &block), live[i]);
    free(live);
    assert_int_equal(gn_tcache_quiesce(w->tc, 0), 0); /* the guest's fence */
}

/* It says whether the loaded view knew some. */
static void invalidate(struct world *w, uint64_t space, uint64_t first, uint64_t length)
{
    uint32_t before = 0, i;
    int told;

    for (i = 0; i < GN_TCACHE_VIEW_IDS; i++)
        before += w->view->ids[i] != 0;
    told = gn_tcache_invalidate(w->tc, 0, space, gn_gva(first), length);
    for (i = 0; i < GN_TCACHE_VIEW_IDS; i++)
        before -= w->view->ids[i] != 0;
    assert_int_equal(told, before != 0);
}

static void remap(struct world *w)
{
    const uint32_t space = below(w, WORLD_SPACES);
    const uint32_t first = below(w, WORLD_VPAGES);
    const uint32_t count = 1 + below(w, 3);
    uint32_t i;

    for (i = first; i < first + count && i < WORLD_VPAGES; i++)
        w->map[space][i] = random_page(w);
    invalidate(w, w->names[space], WORLD_VBASE + first * GN_PAGE_SIZE + 5,
               (uint64_t)count * GN_PAGE_SIZE - 5);
}

static void replace_space(struct world *w)
{
    const uint32_t space = below(w, WORLD_SPACES);
    uint32_t i;

    assert_int_equal(gn_tcache_space_drop(w->tc, 0, w->names[space]), 0);
    w->names[space] = ++w->next_name;
    for (i = 0; i < WORLD_VPAGES; i++)
        w->map[space][i] = random_page(w);
    view_load(w);
}

static void everything_remapped(struct world *w)
{
    uint32_t i, j;

    for (i = 0; i < WORLD_SPACES; i++)
        for (j = 0; j < WORLD_VPAGES; j++)
            w->map[i][j] = random_page(w);
    if (below(w, 2))
        invalidate(w, GN_TCACHE_SPACE_ANY, 0, UINT64_MAX - 1);
    else
        assert_int_equal(gn_tcache_invalidate(w->tc, 0, GN_TCACHE_SPACE_ANY, gn_gva(0), UINT64_MAX),
                         1);
}

/* Nothing stays watched for nothing, and counters agree with the model. */
static void check_whole(struct world *w)
{
    struct gn_tcache_stats stats = {GN_TCACHE_STATS_INIT};
    uint8_t pages[WORLD_PAGES] = {0};
    struct gn_tcache_block block;
    uint64_t live = 0, i;

    for (i = 1; i <= w->serial; i++) {
        if (gn_tcache_block_get(w->tc, w->made[i].handle, &block) != 1)
            continue;
        assert_int_equal(block.cookie, i);
        assert_int_equal(gn_tcache_block_at(w->tc, block.code + block.code_size - 1, &block), 1);
        assert_int_equal(block.cookie, i);
        pages[w->made[i].gpa / GN_PAGE_SIZE] = 1;
        live++;
    }
    assert_memory_equal(pages, w->watched, sizeof pages);
    assert_int_equal(gn_tcache_stats_get(w->tc, &stats), 0);
    assert_int_equal(stats.blocks, live);
    assert_int_equal(
        stats.blocks_made,
        live + stats.blocks_written + stats.blocks_evicted +
            (stats.flushes ? stats.blocks_made - live - stats.blocks_written - stats.blocks_evicted
                           : 0));
    assert_true(stats.code_used <= w->code_size);
}

static void random_guest(struct gn_tcache_params *params, uint32_t use_open, uint32_t rounds)
{
    struct world *w = world_make(params, use_open);
    uint32_t i;

    view_load(w);
    for (i = 0; i < rounds && w->serial < WORLD_MADE - 200; i++) {
        const uint32_t what = below(w, 100);

        if (what < 25) {
            w->space = below(w, WORLD_SPACES);
            w->mode = below(w, WORLD_MODES);
            view_load(w);
        } else if (what < 45) {
            write_memory(w);
        } else if (what < 60) {
            remap(w);
        } else if (what < 63) {
            replace_space(w);
        } else if (what < 65) {
            everything_remapped(w);
        } else if (what < 66) {
            assert_int_equal(gn_tcache_flush(w->tc), 0);
        }
        run(w, random_pc(w), 1 + below(w, 60));
        if (i % 64 == 0)
            check_whole(w);
    }
    check_whole(w);
    assert_true(w->linked > 100 && w->entered > 1000);
    world_end(w);
}

static void random_guests_enter_only_what_memory_says(void **state)
{
    struct gn_tcache_params params = {GN_TCACHE_PARAMS_INIT, .code_size = 1 << 20, .views = 64,
                                      .seed = 7};

    (void)state;
    random_guest(&params, 0, 2000);
}

static void random_guests_are_right_in_little_memory(void **state)
{
    struct gn_tcache_params params = {
        GN_TCACHE_PARAMS_INIT, .code_size = 8192, .regions = 4, .blocks = 48,
        .exits = 100,          .views = 3,        .pages = 4,   .block_size = 256,
        .block_exits = 4};

    (void)state;
    random_guest(&params, 1, 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_guests_enter_only_what_memory_says),
        cmocka_unit_test(random_guests_are_right_in_little_memory),
    };

    return cmocka_run_group_tests_name("tcache against a model", tests, NULL, NULL);
}
