/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TCACHE_BOX_H
#define TCACHE_BOX_H

/*
 * A cache whose embedder remembers what was patched last. "Code" is words that nobody runs: a
 * patched jump is its target.
 */

#include <gnomon/tcache.h>

#include <pthread.h>

#include "gn_test.h"

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

static inline void op_patch(void *ctx, const struct gn_tcache_patch *patch)
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

static inline void op_lock(void *ctx)
{
    pthread_mutex_lock(&((struct box *)ctx)->lock);
}

static inline void op_unlock(void *ctx)
{
    pthread_mutex_unlock(&((struct box *)ctx)->lock);
}

static const struct gn_tcache_ops ops = {GN_TCACHE_OPS_INIT, .patch = op_patch, .lock = op_lock,
                                         .unlock = op_unlock};

static inline void box_make(struct box *box, uint32_t code_size, uint32_t vcpus, uint32_t regions)
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

static inline void box_end(struct box *box)
{
    gn_tcache_fini(box->tc);
    free(box->memory);
    free(box->code);
}

/* A block of 64 bytes of code and 4 of the guest's, with one exit. @return what begin did */
static inline int make(struct box *box, uint32_t vcpu, uint64_t pc, uint64_t gpa, uint64_t target,
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

#endif /* TCACHE_BOX_H */
