/* SPDX-License-Identifier: BSD-3-Clause */
#include <gnomon/tcache.h>

#include <pthread.h>

#include "gn_test.h"
#include "tcache_internal.h"

/* Layout: sizes and offsets are ABI. */
#define AT(type, member, offset) \
    _Static_assert(offsetof(struct type, member) == (offset), #type "." #member)
#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
SIZE(gn_tcache_ops, 64);
AT(gn_tcache_ops, patch, 8);
AT(gn_tcache_ops, panic, 56);
SIZE(gn_tcache_params, 88);
AT(gn_tcache_params, code, 8);
AT(gn_tcache_params, exec, 16);
AT(gn_tcache_params, regions, 24);
AT(gn_tcache_params, seed, 64);
AT(gn_tcache_params, ctx, 80);
SIZE(gn_tcache_key, 24);
SIZE(gn_tcache_room, 32);
SIZE(gn_tcache_exit, 24);
SIZE(gn_tcache_code, 48);
SIZE(gn_tcache_block, 80);
SIZE(gn_tcache_patch, 56);
AT(gn_tcache_patch, pc, 48);

#define VCPUS 4u

struct box {
    struct gn_tcache *tc;
    void *memory;
    uint8_t *code;
    struct gn_tcache_params params;
    pthread_mutex_t lock;
    uint32_t patched, linked;
    uint64_t target, pc;
    uint32_t id, flags, guarded;
};

static void op_patch(void *ctx, const struct gn_tcache_patch *patch)
{
    struct box *box = ctx;

    box->patched++;
    box->linked = patch->linked;
    box->target = patch->target;
    box->pc = patch->pc;
    box->id = patch->id;
    box->flags = patch->flags;
    box->guarded = patch->guard != NULL;
    __atomic_store_n((uint64_t *)(void *)patch->jump, patch->target, __ATOMIC_RELAXED);
    if (patch->guard)
        __atomic_store_n((uint32_t *)(void *)patch->guard, patch->id, __ATOMIC_RELAXED);
}

static void op_lock(void *ctx)
{
    pthread_mutex_lock(&((struct box *)ctx)->lock);
}

static void op_unlock(void *ctx)
{
    pthread_mutex_unlock(&((struct box *)ctx)->lock);
}

static const struct gn_tcache_ops ops = {GN_TCACHE_OPS_INIT, .patch = op_patch, .lock = op_lock,
                                         .unlock = op_unlock};

static void box_make(struct box *box, uint32_t code_size, uint32_t vcpus, uint32_t regions)
{
    uint32_t i;

    memset(box, 0, sizeof *box);
    pthread_mutex_init(&box->lock, NULL);
    box->code = gn_test_memory(64, code_size);
    box->params = (struct gn_tcache_params){GN_TCACHE_PARAMS_INIT,
                                            .code = box->code,
                                            .code_size = code_size,
                                            .vcpus = vcpus,
                                            .regions = regions,
                                            .block_size = 128,
                                            .views = 4,
                                            .ops = &ops,
                                            .ctx = box};
    box->memory = gn_test_memory(gn_tcache_align(), gn_tcache_size(&box->params));
    assert_int_equal(
        gn_tcache_init(box->memory, gn_tcache_size(&box->params), &box->params, &box->tc), 0);
    for (i = 0; i < vcpus; i++)
        assert_int_equal(gn_tcache_online(box->tc, i), 0);
}

static void box_end(struct box *box)
{
    gn_tcache_fini(box->tc);
    free(box->memory);
    free(box->code);
}

/* A block of 64 bytes of code and 4 of the guest's, with one exit. @return what begin did */
static int make(struct box *box, uint32_t vcpu, uint64_t pc, uint64_t gpa, uint64_t target,
                struct gn_tcache_block *ret_block)
{
    const struct gn_tcache_key key = {{pc}, {gpa}, 0, 0};
    const uint32_t far = (pc ^ target) >> GN_PAGE_SHIFT ? GN_TCACHE_EXIT_GUARDED : 0;
    const struct gn_tcache_exit exit = {
        .target = {target}, .jump = 8, .guard = 16, .stub = 32, .flags = far};
    const struct gn_tcache_code code = {
        GN_TCACHE_CODE_INIT, .code_size = 64, .guest_first = (uint32_t)(pc & GN_PAGE_MASK),
        .guest_size = 4,     .exit_count = 1, .exits = &exit,
        .cookie = pc};
    struct gn_tcache_room room;
    int r = gn_tcache_block_begin(box->tc, vcpu, &key, &room);

    if (r)
        return r;
    memset(room.code, 0, 64);
    assert_int_equal(gn_tcache_block_commit(box->tc, vcpu, &code, ret_block), 0);
    return 0;
}

static void a_block_is_found_by_its_key_until_it_is_written(void **state)
{
    const gn_gva_t pc = {0x1040};
    const struct gn_tcache_view *view;
    struct gn_tcache_block made, block;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, pc, &block), -GN_ERR_PERM);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, pc, &block), GN_TCACHE_UNMAPPED);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, pc, gn_gpa(0x9fff)), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, pc, &block), GN_TCACHE_MISSING);
    assert_int_equal(make(&box, 0, pc.v, 0x9040, 0x1080, &made), 0);
    assert_int_equal(gn_tcache_probe(view, pc), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, pc, &block), GN_TCACHE_FOUND);
    assert_int_equal(block.handle, made.handle);
    assert_int_equal(gn_tcache_probe(view, pc), made.entry);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x9044), 0x1000), 0);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x9000), 0x40), 0);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x9043), 1), 1);
    assert_int_equal(gn_tcache_quiesce(box.tc, 0), 0);
    assert_int_equal(gn_tcache_probe(view, pc), 0);
    assert_int_equal(gn_tcache_block_get(box.tc, made.handle, &block), 0);
    box_end(&box);
}

/* The next address of the page whose jumps are kept where those of pc are. */
static uint64_t same_place(uint64_t pc)
{
    uint64_t other = pc + 64;

    while (gn_tcache_jump_index(other) != gn_tcache_jump_index(pc))
        other += 4;
    return other;
}

static void jumps_of_one_place_have_two_and_lose_both(void **state)
{
    const gn_gva_t first = {0x10040}, second = {same_place(0x10040)};
    const struct gn_tcache_view *view;
    struct gn_tcache_block made[2], block;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, first, gn_gpa(0x9000)), 0);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, second, gn_gpa(0xa000)), 0);
    assert_int_equal(make(&box, 0, first.v, 0x9040, first.v, &made[0]), 0);
    assert_int_equal(
        make(&box, 0, second.v, 0xa000 | (second.v & GN_PAGE_MASK), second.v, &made[1]), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, first, &block), GN_TCACHE_FOUND);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, second, &block), GN_TCACHE_FOUND);
    assert_int_equal(gn_tcache_probe(view, first), made[0].entry);
    assert_int_equal(gn_tcache_probe(view, second), made[1].entry);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x9040), 4), 1);
    assert_int_equal(gn_tcache_quiesce(box.tc, 0), 0);
    assert_int_equal(gn_tcache_probe(view, first), 0);
    assert_int_equal(gn_tcache_probe(view, second), made[1].entry);
    box_end(&box);
}

static void an_empty_view_matches_no_pc(void **state)
{
    const struct gn_tcache_view *view;
    struct box box;
    uint64_t pc;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    for (pc = 0; pc < 0x4000; pc++)
        assert_int_equal(gn_tcache_probe(view, gn_gva(pc)), 0);
    for (pc = 0; pc < GN_TCACHE_VIEW_JUMPS; pc++)
        assert_true((gn_tcache_jump_index(view->jumps[pc].pc) ^ pc) > 1);
    box_end(&box);
}

static void params_out_of_range_are_refused(void **state)
{
    struct gn_tcache_params good, bad;
    struct gn_tcache_ops few = {GN_TCACHE_OPS_INIT};
    struct gn_tcache *tc;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 2, 0);
    good = box.params;
#define REFUSED(member, value)                                                           \
    do {                                                                                 \
        bad = good;                                                                      \
        bad.member = (value);                                                            \
        assert_int_equal(gn_tcache_size(&bad), 0);                                       \
        assert_int_equal(gn_tcache_init(box.memory, 1 << 30, &bad, &tc), -GN_ERR_INVAL); \
    } while (0)
    REFUSED(code, NULL);
    REFUSED(code, good.code + 1);
    REFUSED(code_size, 4095);
    REFUSED(code_size, GN_TCACHE_CODE_MAX + 1);
    REFUSED(regions, 5);
    REFUSED(vcpus, GN_TCACHE_VCPUS_MAX + 1);
    REFUSED(views, GN_TCACHE_VIEWS_MAX + 1);
    REFUSED(blocks, GN_TCACHE_BLOCKS_MAX + 1);
    REFUSED(blocks, 3);
    REFUSED(block_exits, GN_TCACHE_EXITS_MAX + 1);
    REFUSED(block_size, 0x10000);
    REFUSED(align, 48);
    REFUSED(reserved, 1);
    REFUSED(ops, &few);
    assert_int_equal(gn_tcache_init(box.memory, gn_tcache_size(&good) - 1, &good, &tc),
                     -GN_ERR_NOMEM);
    box_end(&box);
}

static void commits_out_of_range_leave_the_block_begun(void **state)
{
    const struct gn_tcache_key key = {{0x1ff0}, {0x5ff0}, 0, 0};
    const struct gn_tcache_key askew = {{0x1ff0}, {0x5fe0}, 0, 0};
    const struct gn_tcache_exit exit = {.jump = 64};
    const struct gn_tcache_code good = {GN_TCACHE_CODE_INIT, .code_size = 64, .guest_first = 0xff0,
                                        .guest_size = 16};
    struct gn_tcache_code bad;
    struct gn_tcache_block block;
    struct gn_tcache_room room;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_block_commit(box.tc, 0, &good, &block), -GN_ERR_PERM);
    assert_int_equal(gn_tcache_block_begin(box.tc, 0, &askew, &room), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_block_begin(box.tc, 0, &key, &room), 0);
    assert_int_equal(gn_tcache_block_begin(box.tc, 0, &key, &room), -GN_ERR_PERM);
    assert_int_equal(gn_tcache_offline(box.tc, 0), -GN_ERR_BUSY);
#define BAD(member, value)                                                                \
    do {                                                                                  \
        bad = good;                                                                       \
        bad.member = (value);                                                             \
        assert_int_equal(gn_tcache_block_commit(box.tc, 0, &bad, &block), -GN_ERR_INVAL); \
    } while (0)
    BAD(code_size, 0);
    BAD(code_size, 129);
    BAD(entry, 64);
    BAD(entry_fast, 64);
    BAD(guest_size, 0);
    BAD(guest_size, 17);
    BAD(guest_first, 0x1000);
    BAD(exit_count, 1);
    BAD(exit_count, 17);
    bad = good;
    bad.exit_count = 1;
    bad.exits = &exit;
    assert_int_equal(gn_tcache_block_commit(box.tc, 0, &bad, &block), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_block_commit(box.tc, 0, &good, &block), 0);
    box_end(&box);
}

/* ---- Links -------------------------------------------------------------------------------- */

static gn_tcache_handle_t exit_of(struct box *box, const struct gn_tcache_block *block)
{
    return gn_tcache_exit_get(box->tc, block->exit_first);
}

static void links_lead_to_live_blocks(void **state)
{
    struct gn_tcache_block a, b, c;
    gn_tcache_handle_t exit;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x5000, 0x1040, &a), 0);
    assert_int_equal(make(&box, 0, 0x1040, 0x5040, 0x1000, &b), 0);
    assert_int_equal(make(&box, 0, 0x1040, 0x6040, 0x1000, &c), 0);
    exit = exit_of(&box, &a);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, a.handle), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, c.handle), 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 1);
    assert_int_equal(box.target, b.entry_fast);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 1);
    assert_int_equal(box.patched, 1);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5040), 1), 1);
    assert_int_equal(box.patched, 2);
    assert_int_equal(box.linked, 0);
    assert_int_equal(box.target, a.code + 32);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 0);
    assert_int_equal(gn_tcache_exit_get(box.tc, b.exit_first), 0);
    box_end(&box);
}

static void links_stay_within_a_mode(void **state)
{
    const struct gn_tcache_key key = {{0x1040}, {0x5040}, 1, 0};
    const struct gn_tcache_code code = {GN_TCACHE_CODE_INIT, .code_size = 64, .guest_first = 0x40,
                                        .guest_size = 4};
    struct gn_tcache_block a, b;
    struct gn_tcache_room room;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x5000, 0x1040, &a), 0);
    assert_int_equal(gn_tcache_block_begin(box.tc, 0, &key, &room), 0);
    assert_int_equal(gn_tcache_block_commit(box.tc, 0, &code, &b), 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit_of(&box, &a), b.handle), 0);
    box_end(&box);
}

static void what_is_dropped_leads_nowhere(void **state)
{
    struct gn_tcache_block a, b;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x5000, 0x1040, &a), 0);
    assert_int_equal(make(&box, 0, 0x1040, 0x5040, 0x1000, &b), 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit_of(&box, &a), b.handle), 1);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5000), 1), 1);
    assert_int_equal(box.target, a.code + 32);
    assert_int_equal(box.tc->blocks[b.index].in, NONE);
    box_end(&box);
}

/* A block as make()'s, whose exits are two open ones. */
static void make_open(struct box *box, uint64_t pc, uint64_t gpa, struct gn_tcache_block *ret_block)
{
    const struct gn_tcache_key key = {{pc}, {gpa}, 0, 0};
    const uint32_t flags = GN_TCACHE_EXIT_GUARDED | GN_TCACHE_EXIT_OPEN;
    const struct gn_tcache_exit exits[] = {
        {.jump = 8, .guard = 16, .stub = 32, .flags = flags},
        {.jump = 40, .guard = 48, .stub = 32, .flags = flags},
    };
    const struct gn_tcache_code code = {
        GN_TCACHE_CODE_INIT, .code_size = 64, .guest_first = (uint32_t)(pc & GN_PAGE_MASK),
        .guest_size = 4,     .exit_count = 2, .exits = exits};
    struct gn_tcache_room room;

    assert_int_equal(gn_tcache_block_begin(box->tc, 0, &key, &room), 0);
    assert_int_equal(gn_tcache_block_commit(box->tc, 0, &code, ret_block), 0);
}

static void open_exits_keep_the_targets_they_have(void **state)
{
    struct gn_tcache_block a, b, c;
    gn_tcache_handle_t exits[2];
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    make_open(&box, 0x1000, 0x5000, &a);
    assert_int_equal(make(&box, 0, 0x1040, 0x5040, 0x1000, &b), 0);
    assert_int_equal(make(&box, 0, 0x1080, 0x5080, 0x1000, &c), 0);
    exits[0] = exit_of(&box, &a);
    exits[1] = gn_tcache_exit_get(box.tc, a.exit_first + 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exits[0], b.handle), 1);
    assert_int_equal(box.pc, 0x1040);
    assert_int_equal(box.target, b.entry_fast);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exits[0], b.handle), 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exits[0], c.handle), 0);
    assert_int_equal(box.patched, 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exits[1], c.handle), 1);
    assert_int_equal(box.pc, 0x1080);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5040), 1), 1);
    assert_int_equal(box.linked, 0);
    assert_int_equal(box.pc, 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exits[0], a.handle), 1);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5000), 1), 1);
    assert_int_equal(box.tc->blocks[c.index].in, NONE);
    box_end(&box);
}

static void open_exits_are_guarded_to_other_pages_alone(void **state)
{
    struct gn_tcache_block a, near, far, other;
    gn_tcache_handle_t exit;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    make_open(&box, 0x1000, 0x5000, &a);
    assert_int_equal(make(&box, 0, 0x1040, 0x5040, 0x1000, &near), 0);
    assert_int_equal(make(&box, 0, 0x2040, 0x6040, 0x1000, &far), 0);
    assert_int_equal(make(&box, 0, 0x2040, 0x7040, 0x1000, &other), 0);
    exit = exit_of(&box, &a);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, near.handle), 1);
    assert_int_equal(box.guarded, 0);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5040), 1), 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, far.handle), 1);
    assert_int_equal(box.guarded, 1);
    assert_int_equal(box.id, gn_tcache__id(box.tc, 0x2000, 0x6000));
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, other.handle), 1); /* of the same PC */
    assert_int_equal(box.id, gn_tcache__id(box.tc, 0x2000, 0x7000));
    assert_int_equal(box.tc->blocks[far.index].in, NONE);
    box_end(&box);
}

static void exits_that_are_closed_are_linked_no_more(void **state)
{
    struct gn_tcache_stats stats = {GN_TCACHE_STATS_INIT};
    struct gn_tcache_block a, b;
    gn_tcache_handle_t exit;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    make_open(&box, 0x1000, 0x5000, &a);
    assert_int_equal(make(&box, 0, 0x1040, 0x5040, 0x1000, &b), 0);
    exit = exit_of(&box, &a);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 1);
    assert_int_equal(gn_tcache_exit_close(NULL, exit), -GN_ERR_INVAL);
    assert_int_equal(gn_tcache_exit_close(box.tc, exit_of(&box, &b)), 0);
    assert_int_equal(gn_tcache_exit_close(box.tc, exit), 1);
    assert_int_equal(box.flags & GN_TCACHE_EXIT_CLOSED, GN_TCACHE_EXIT_CLOSED);
    assert_int_equal(box.linked, 0);
    assert_int_equal(box.target, a.code + 32);
    assert_int_equal(box.tc->blocks[b.index].in, NONE);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 0);
    assert_int_equal(gn_tcache_exit_close(box.tc, exit), 0);
    assert_int_equal(gn_tcache_stats_get(box.tc, &stats), 0);
    assert_int_equal(stats.links_open, 1);
    assert_int_equal(stats.closes, 1);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x5000), 1), 1);
    assert_int_equal(gn_tcache_exit_close(box.tc, exit), 0);
    box_end(&box);
}

static void a_guard_that_changes_over_waits_for_other_vcpus(void **state)
{
    struct gn_tcache_block a, b, c;
    gn_tcache_handle_t exit;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 2, 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x5000, 0x2000, &a), 0);
    assert_int_equal(make(&box, 0, 0x2000, 0x6000, 0x1000, &b), 0);
    assert_int_equal(make(&box, 0, 0x2000, 0x7000, 0x1000, &c), 0);
    exit = exit_of(&box, &a);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 1);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, c.handle), 0);
    assert_int_equal(box.id, GN_TCACHE_ID_NONE);
    assert_int_equal(gn_tcache_quiesce(box.tc, 0), 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, c.handle), 0);
    assert_int_equal(gn_tcache_quiesce(box.tc, 1), 0);
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, c.handle), 1);
    assert_int_equal(box.target, c.entry_fast);
    box_end(&box);
}

static void ids_that_run_out_begin_anew(void **state)
{
    const struct gn_tcache_view *view;
    struct gn_tcache_block a, b;
    gn_tcache_handle_t exit;
    struct box box;

    (void)state;
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x5000, 0x2000, &a), 0);
    assert_int_equal(make(&box, 0, 0x2000, 0x6000, 0x1000, &b), 0);
    exit = exit_of(&box, &a);
    box.tc->id_next = GN_TCACHE_ID_NONE - 1;
    assert_int_equal(gn_tcache_exit_link(box.tc, 0, exit, b.handle), 1);
    assert_int_equal(box.id, GN_TCACHE_ID_NONE - 1);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, gn_gva(0x2000), gn_gpa(0x6000)), 0);
    assert_int_equal(view->ids[gn_tcache_page_index(0x2000)], GN_TCACHE_ID_NONE - 1);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, gn_gva(0x3000), gn_gpa(0x6000)), 0);
    assert_int_equal(view->ids[gn_tcache_page_index(0x3000)], 1);
    assert_int_equal(view->ids[gn_tcache_page_index(0x2000)], 0);
    assert_int_equal(box.id, GN_TCACHE_ID_NONE);
    assert_int_equal(box.linked, 0);
    box_end(&box);
}

/* ---- Views -------------------------------------------------------------------------------- */

static void a_view_that_missed_many_drops_forgets_all_jumps(void **state)
{
    const struct gn_tcache_view *view, *other;
    struct gn_tcache_block block;
    struct box box;
    uint64_t i;

    (void)state;
    box_make(&box, 0x40000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, gn_gva(0x1000), gn_gpa(0x1000)), 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x1000, 0, &block), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, gn_gva(0x1000), &block), GN_TCACHE_FOUND);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 8, 0, &other), 0);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x1000), 1), 1);
    for (i = 0; i < LOG_SIZE; i++) {
        assert_int_equal(make(&box, 0, 0x2000, 0x2000, 0, &block), 0);
        assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x2000), 1), 1);
    }
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_probe(view, gn_gva(0x1000)), 0);
    box_end(&box);
}

static void jumps_go_with_the_page_that_gives_way(void **state)
{
    const gn_gva_t first = {UINT64_C(1) << 12}, second = {UINT64_C(0x800) << 12};
    const struct gn_tcache_view *view;
    struct gn_tcache_block block;
    struct box box;

    (void)state;
    assert_int_equal(gn_tcache_page_index(first.v), gn_tcache_page_index(second.v));
    box_make(&box, 0x10000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, first, gn_gpa(0x5000)), 0);
    assert_int_equal(make(&box, 0, first.v, 0x5000, 0, &block), 0);
    assert_int_equal(gn_tcache_lookup(box.tc, 0, first, &block), GN_TCACHE_FOUND);
    assert_int_equal(gn_tcache_view_map(box.tc, 0, second, gn_gpa(0x6000)), 0);
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, 7, first, 1), 0);
    assert_int_equal(gn_tcache_probe(view, first), 0);
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, 8, second, 1), 0);
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, 7, second, 1), 1);
    assert_int_equal(gn_tcache_invalidate(box.tc, 0, 7, second, 1), 0);
    box_end(&box);
}

/* ---- Memory that runs out ----------------------------------------------------------------- */

static void memory_waits_for_every_vcpu(void **state)
{
    struct gn_tcache_block block;
    struct box box;
    uint32_t made = 0;

    (void)state;
    box_make(&box, 0x4000, 2, 8);
    while (make(&box, 0, 0x1000 + 16 * made, 0x1000 + 16 * made, 0, &block) == 0)
        assert_in_range(++made, 1, 0x4000 / 64);
    assert_int_equal(make(&box, 0, 0x1000, 0x9000, 0, &block), -GN_ERR_AGAIN);
    assert_int_equal(gn_tcache_quiesce(box.tc, 1), 0);
    assert_int_equal(make(&box, 0, 0x1000, 0x9000, 0, &block), 0);
    /* Nobody waits for one that is away. */
    assert_int_equal(gn_tcache_offline(box.tc, 1), 0);
    for (made = 0; made < 2000; made++)
        assert_int_equal(make(&box, 0, 16 * made, 16 * made, 0, &block), 0);
    box_end(&box);
}

static void pages_run_out_before_blocks(void **state)
{
    struct gn_tcache_stats stats = {GN_TCACHE_STATS_INIT};
    struct gn_tcache_block block;
    struct box box;
    uint64_t i;

    (void)state;
    box_make(&box, 0x10000, 1, 4);
    for (i = 0; i < 5000; i++)
        assert_int_equal(make(&box, 0, i << GN_PAGE_SHIFT, i << GN_PAGE_SHIFT, 0, &block), 0);
    assert_int_equal(gn_tcache_stats_get(box.tc, &stats), 0);
    assert_true(stats.pages <= box.tc->page_count && stats.regions_evicted > 10);
    box_end(&box);
}

/* A guest that jumps through more places than anything holds. */
static void millions_of_targets_stay_bounded(void **state)
{
    struct gn_tcache_stats stats = {GN_TCACHE_STATS_INIT};
    const struct gn_tcache_view *view;
    struct gn_tcache_block block;
    struct box box;
    uint64_t i, pc;

    (void)state;
    box_make(&box, 0x40000, 1, 0);
    assert_int_equal(gn_tcache_view_load(box.tc, 0, 7, 0, &view), 0);
    for (i = 0; i < 2000000; i++) {
        pc = i << 4;
        if (gn_tcache_lookup(box.tc, 0, gn_gva(pc), &block) == GN_TCACHE_UNMAPPED)
            assert_int_equal(gn_tcache_view_map(box.tc, 0, gn_gva(pc), gn_gpa(pc)), 0);
        if (make(&box, 0, pc, pc, pc, &block))
            fail();
    }
    assert_int_equal(gn_tcache_stats_get(box.tc, &stats), 0);
    assert_int_equal(stats.blocks_made, 2000000);
    assert_int_equal(stats.blocks_made - stats.blocks_evicted, stats.blocks);
    assert_true(stats.blocks <= 0x40000 / 64 && stats.code_used <= 0x40000);
    box_end(&box);
}

/* The page's list is as long as the cache is large, and its end costs no more than its length. */
static void a_code_page_at_many_addresses_stays_bounded(void **state)
{
    struct gn_tcache_stats stats = {GN_TCACHE_STATS_INIT};
    struct gn_tcache_block block;
    struct box box;
    uint64_t i;

    (void)state;
    box_make(&box, 0x200000, 1, 0);
    for (i = 0; i < 200000; i++)
        assert_int_equal(make(&box, 0, i << GN_PAGE_SHIFT | 0x40, 0x7040, 0, &block), 0);
    assert_int_equal(gn_tcache_stats_get(box.tc, &stats), 0);
    assert_int_equal(stats.pages, 1);
    assert_true(stats.blocks > 1000);
    assert_int_equal(gn_tcache_written(box.tc, gn_gpa(0x7041), 1), 1);
    assert_int_equal(gn_tcache_stats_get(box.tc, &stats), 0);
    assert_int_equal(stats.blocks, 0);
    assert_int_equal(stats.pages, 0);
    box_end(&box);
}

/* ---- Threads ------------------------------------------------------------------------------ */

/*
 * vCPUs that translate, link, run and write, all at once. A page has a version. A block's code
 * says which it was made from, and a vCPU that was told of a write at its last quiescent point must
 * not enter an older one.
 */
#define T_PAGES 4u
#define T_SPOTS 8u

struct shared {
    struct box box;
    uint64_t version[T_PAGES]; /* atomic */
    uint64_t told[T_PAGES];    /* atomic: versions that gn_tcache_written returned for */
    uint32_t rounds;
};

struct thread {
    struct shared *shared;
    uint32_t vcpu;
    uint64_t rng, entered;
    uint64_t seen[T_PAGES];
};

static uint64_t spot(struct thread *t)
{
    const uint64_t r = gn_test_random(&t->rng);

    return (r >> 8) % T_PAGES * GN_PAGE_SIZE + (r >> 32) % T_SPOTS * 64;
}

static void quiesce(struct thread *t)
{
    uint32_t i;

    for (i = 0; i < T_PAGES; i++)
        t->seen[i] = __atomic_load_n(&t->shared->told[i], __ATOMIC_ACQUIRE);
    assert_int_equal(gn_tcache_quiesce(t->shared->box.tc, t->vcpu), 0);
}

/* Code: version, pc, then a guarded exit. */
static int translate(struct thread *t, uint64_t pc, struct gn_tcache_block *ret_block)
{
    struct gn_tcache *tc = t->shared->box.tc;
    const struct gn_tcache_key key = {{pc}, {pc}, 0, 0};
    const struct gn_tcache_exit exit = {
        .target = {spot(t)}, .jump = 16, .guard = 24, .stub = 16, .flags = GN_TCACHE_EXIT_GUARDED};
    const struct gn_tcache_code code = {
        GN_TCACHE_CODE_INIT, .code_size = 40, .guest_first = (uint32_t)(pc & GN_PAGE_MASK),
        .guest_size = 64,    .exit_count = 1, .exits = &exit};
    struct gn_tcache_room room;
    uint64_t *words;

    if (gn_tcache_block_begin(tc, t->vcpu, &key, &room))
        return -1;
    words = (uint64_t *)(void *)room.code;
    words[0] = __atomic_load_n(&t->shared->version[pc >> GN_PAGE_SHIFT], __ATOMIC_ACQUIRE);
    words[1] = pc;
    words[2] = room.exec + 16;
    words[3] = GN_TCACHE_ID_NONE;
    words[4] = (uint64_t)room.exit_first << 32;
    return gn_tcache_block_commit(tc, t->vcpu, &code, ret_block) ? -1 : 0;
}

static uint64_t find(struct thread *t, const struct gn_tcache_view *view, uint64_t pc,
                     gn_tcache_handle_t exit)
{
    struct gn_tcache *tc = t->shared->box.tc;
    uint64_t entry = exit ? 0 : gn_tcache_probe(view, gn_gva(pc));
    struct gn_tcache_block block;
    int r;

    if (entry)
        return entry;
    r = gn_tcache_lookup(tc, t->vcpu, gn_gva(pc), &block);
    if (r == GN_TCACHE_UNMAPPED) {
        assert_int_equal(gn_tcache_view_map(tc, t->vcpu, gn_gva(pc), gn_gpa(pc)), 0);
        r = gn_tcache_lookup(tc, t->vcpu, gn_gva(pc), &block);
    }
    if (r != GN_TCACHE_FOUND && translate(t, pc, &block))
        return 0;
    if (exit) {
        r = gn_tcache_exit_link(tc, t->vcpu, exit, block.handle);
        assert_true(r == 0 || r == 1 || r == -GN_ERR_INVAL);
    }
    return block.entry;
}

/* Runs along links. @return the exit it left through */
static uint32_t execute(struct thread *t, const struct gn_tcache_view *view, uint64_t entry,
                        uint64_t pc)
{
    uint32_t steps = 8;

    for (;;) {
        uint64_t *words = (uint64_t *)(uintptr_t)entry;
        uint64_t jump;

        if (pc != UINT64_MAX)
            assert_int_equal(words[1], pc);
        assert_true(words[0] >= t->seen[words[1] >> GN_PAGE_SHIFT]);
        t->entered++;
        pc = UINT64_MAX; /* a link's target is not known here */
        jump = __atomic_load_n(&words[2], __ATOMIC_RELAXED);
        if (!steps-- || jump == entry + 16)
            return (uint32_t)(words[4] >> 32);
        (void)view;
        entry = jump;
    }
}

static void write_page(struct thread *t)
{
    struct shared *s = t->shared;
    const uint64_t page = gn_test_random(&t->rng) % T_PAGES;
    const uint64_t version = __atomic_add_fetch(&s->version[page], 1, __ATOMIC_ACQ_REL);
    uint64_t told = __atomic_load_n(&s->told[page], __ATOMIC_RELAXED);

    assert_true(gn_tcache_written(s->box.tc, gn_gpa(page << GN_PAGE_SHIFT), GN_PAGE_SIZE) >= 0);
    while (told < version && !__atomic_compare_exchange_n(&s->told[page], &told, version, 0,
                                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        continue;
}

static void *vcpu_run(void *arg)
{
    struct thread *t = arg;
    const struct gn_tcache_view *view;
    gn_tcache_handle_t exit = 0;
    uint32_t i;

    for (i = 0; i < t->shared->rounds; i++) {
        const uint64_t pc = spot(t);
        uint64_t entry;

        quiesce(t);
        assert_int_equal(gn_tcache_view_load(t->shared->box.tc, t->vcpu, i / 64 % 3, 0, &view), 0);
        entry = find(t, view, pc, exit);
        exit = 0;
        if (entry)
            exit = gn_tcache_exit_get(t->shared->box.tc, execute(t, view, entry, pc));
        if (gn_test_random(&t->rng) % 16 == 0)
            write_page(t);
        if (gn_test_random(&t->rng) % 64 == 0) {
            exit = 0;
            assert_int_equal(gn_tcache_offline(t->shared->box.tc, t->vcpu), 0);
            assert_int_equal(gn_tcache_online(t->shared->box.tc, t->vcpu), 0);
        }
    }
    assert_int_equal(gn_tcache_offline(t->shared->box.tc, t->vcpu), 0);
    return NULL;
}

static void vcpus_share_a_cache(void **state)
{
    const char *rounds = getenv("GN_TEST_ROUNDS");
    struct shared *s = calloc(1, sizeof *s);
    struct thread t[VCPUS];
    pthread_t threads[VCPUS];
    const uint64_t seed = gn_test_seed();
    uint64_t entered = 0;
    uint32_t i;

    (void)state;
    assert_non_null(s);
    s->rounds = rounds ? (uint32_t)strtoul(rounds, NULL, 0) : 20000;
    box_make(&s->box, 0x4000, VCPUS, 16);
    for (i = 0; i < VCPUS; i++) {
        t[i] = (struct thread){.shared = s, .vcpu = i, .rng = seed * (i + 1) | 1};
        assert_int_equal(pthread_create(&threads[i], NULL, vcpu_run, &t[i]), 0);
    }
    for (i = 0; i < VCPUS; i++) {
        pthread_join(threads[i], NULL);
        entered += t[i].entered;
    }
    assert_true(entered > 0);
    box_end(&s->box);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_found_by_its_key_until_it_is_written),
        cmocka_unit_test(an_empty_view_matches_no_pc),
        cmocka_unit_test(jumps_of_one_place_have_two_and_lose_both),
        cmocka_unit_test(params_out_of_range_are_refused),
        cmocka_unit_test(commits_out_of_range_leave_the_block_begun),
        cmocka_unit_test(links_lead_to_live_blocks),
        cmocka_unit_test(links_stay_within_a_mode),
        cmocka_unit_test(what_is_dropped_leads_nowhere),
        cmocka_unit_test(open_exits_keep_the_targets_they_have),
        cmocka_unit_test(open_exits_are_guarded_to_other_pages_alone),
        cmocka_unit_test(exits_that_are_closed_are_linked_no_more),
        cmocka_unit_test(a_guard_that_changes_over_waits_for_other_vcpus),
        cmocka_unit_test(ids_that_run_out_begin_anew),
        cmocka_unit_test(a_view_that_missed_many_drops_forgets_all_jumps),
        cmocka_unit_test(jumps_go_with_the_page_that_gives_way),
        cmocka_unit_test(memory_waits_for_every_vcpu),
        cmocka_unit_test(pages_run_out_before_blocks),
        cmocka_unit_test(millions_of_targets_stay_bounded),
        cmocka_unit_test(a_code_page_at_many_addresses_stays_bounded),
        cmocka_unit_test(vcpus_share_a_cache),
    };

    return cmocka_run_group_tests_name("tcache", tests, NULL, NULL);
}
