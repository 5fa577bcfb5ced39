/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks: how they are made, found, and dropped.
 *
 * A bucket's chain is walked without lock. A block enters at its head once it is complete; it
 * leaves by one store, and keeps its own link, on which a walk that stands there goes on. Its
 * record is not used again before each vCPU was quiescent.
 */
#include "tcache_internal.h"

static uint32_t *bucket_of(const struct gn_tcache *tc, uint64_t pc, uint64_t gpa, uint32_t mode)
{
    const uint64_t hash = gn_tcache__mix(pc ^ tc->seed) + gpa * 2 + (uint64_t)mode * 0x9e3779b1u;

    return &tc->buckets[gn_tcache__mix(hash) & tc->bucket_mask];
}

uint32_t gn_tcache__find(const struct gn_tcache *tc, uint64_t pc, uint64_t gpa, uint32_t mode)
{
    uint32_t i = __atomic_load_n(bucket_of(tc, pc, gpa, mode), __ATOMIC_ACQUIRE);

    while (i != NONE) {
        const struct gn_tcache__block *b = &tc->blocks[i];

        if (b->pc == pc && b->gpa == gpa && b->mode == mode &&
            __atomic_load_n(&b->state, __ATOMIC_ACQUIRE) == BLOCK_LIVE)
            return i;
        i = __atomic_load_n(&b->chain, __ATOMIC_ACQUIRE);
    }
    return NONE;
}

static uint64_t handle_of(const struct gn_tcache *tc, uint32_t index, uint32_t block)
{
    return (uint64_t)gn_tcache__region_of(tc, block)->generation << 32 | (index + 1);
}

void gn_tcache__tell(const struct gn_tcache *tc, uint32_t block, struct gn_tcache_block *ret_block)
{
    const struct gn_tcache__block *b = &tc->blocks[block];
    const uint64_t code = tc->exec + b->code;

    *ret_block = (struct gn_tcache_block){
        .handle = handle_of(tc, block, block),
        .key = {{b->pc}, {b->gpa}, b->mode, 0},
        .entry = code + b->entry,
        .entry_fast = code + b->entry_fast,
        .code = code,
        .cookie = b->cookie,
        .code_size = b->code_size,
        .guest_size = b->guest >> 16,
        .index = block,
        .exit_first = b->exit_first,
    };
}

uint32_t gn_tcache__block_of(const struct gn_tcache *tc, gn_tcache_handle_t handle)
{
    const uint32_t index = (uint32_t)handle - 1;
    const struct gn_tcache__region *r;

    if (index / tc->region_blocks >= tc->region_count)
        return NONE;
    r = gn_tcache__region_of(tc, index);
    if (r->generation != handle >> 32 || index % tc->region_blocks >= r->blocks)
        return NONE;
    return tc->blocks[index].state == BLOCK_LIVE ? index : NONE;
}

int gn_tcache_block_find(struct gn_tcache *tcache, const struct gn_tcache_key *key,
                         struct gn_tcache_block *ret_block)
{
    uint32_t block;

    if (!tcache || !key || !ret_block)
        return -GN_ERR_INVAL;
    block = gn_tcache__find(tcache, key->pc.v, key->gpa.v, key->mode);
    if (block == NONE)
        return GN_TCACHE_MISSING;
    gn_tcache__tell(tcache, block, ret_block);
    return GN_TCACHE_FOUND;
}

int gn_tcache_block_get(struct gn_tcache *tcache, gn_tcache_handle_t block,
                        struct gn_tcache_block *ret_block)
{
    uint32_t index;

    if (!tcache || !ret_block)
        return -GN_ERR_INVAL;
    gn_tcache__lock(tcache);
    index = gn_tcache__block_of(tcache, block);
    if (index != NONE)
        gn_tcache__tell(tcache, index, ret_block);
    gn_tcache__unlock(tcache);
    return index != NONE;
}

/* Records of a region are in the order of their code. @return the last that begins by `at`. */
static uint32_t last_by(const struct gn_tcache *tc, uint32_t region, uint32_t at)
{
    uint32_t low = region * tc->region_blocks;
    uint32_t high = low + tc->regions[region].blocks;
    uint32_t found = NONE;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (tc->blocks[middle].code <= at) {
            found = middle;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return found;
}

int gn_tcache_block_at(struct gn_tcache *tcache, uint64_t exec, struct gn_tcache_block *ret_block)
{
    uint32_t found = NONE;
    uint64_t at;

    if (!tcache || !ret_block)
        return -GN_ERR_INVAL;
    at = exec - tcache->exec;
    gn_tcache__lock(tcache);
    if (at / tcache->region_size < tcache->region_count)
        found = last_by(tcache, (uint32_t)at / tcache->region_size, (uint32_t)at);
    if (found != NONE && (tcache->blocks[found].state != BLOCK_LIVE ||
                          at - tcache->blocks[found].code >= tcache->blocks[found].code_size))
        found = NONE;
    if (found != NONE)
        gn_tcache__tell(tcache, found, ret_block);
    gn_tcache__unlock(tcache);
    return found != NONE;
}

/* ---- Making ------------------------------------------------------------------------------- */

static void room_tell(const struct gn_tcache *tc, const struct gn_tcache__vcpu *v,
                      struct gn_tcache_room *ret_room)
{
    const struct gn_tcache__region *r = &tc->regions[v->region];

    *ret_room = (struct gn_tcache_room){
        .code = tc->code + v->room,
        .exec = tc->exec + v->room,
        .code_room = tc->block_size,
        .exit_room = tc->block_exits,
        .exit_first = v->region * tc->region_exits + r->exits,
    };
}

static int begin(struct gn_tcache *tc, struct gn_tcache__vcpu *v, const struct gn_tcache_key *key,
                 struct gn_tcache_room *ret_room)
{
    if (gn_tcache__room(tc, v))
        return -GN_ERR_AGAIN;
    v->page = gn_tcache__page_pin(tc, key->gpa.v);
    v->key = *key;
    v->room = v->region * tc->region_size + tc->regions[v->region].code;
    v->dirty = 0;
    v->begun = 1;
    tc->begun++;
    gn_tcache__open(tc);
    room_tell(tc, v, ret_room);
    return 0;
}

int gn_tcache_block_begin(struct gn_tcache *tcache, uint32_t vcpu, const struct gn_tcache_key *key,
                          struct gn_tcache_room *ret_room)
{
    struct gn_tcache__vcpu *v = gn_tcache__online(tcache, vcpu);
    int r;

    if (!v || !key || !ret_room || (key->pc.v ^ key->gpa.v) & GN_PAGE_MASK)
        return -GN_ERR_INVAL;
    if (v->begun)
        return -GN_ERR_PERM;
    gn_tcache__lock(tcache);
    r = begin(tcache, v, key, ret_room);
    gn_tcache__unlock(tcache);
    return r;
}

/* Under the lock. */
static void end(struct gn_tcache *tc, struct gn_tcache__vcpu *v)
{
    gn_tcache__page_unpin(tc, v->page);
    v->begun = 0;
    tc->begun--;
}

int gn_tcache_block_abandon(struct gn_tcache *tcache, uint32_t vcpu)
{
    struct gn_tcache__vcpu *v;

    if (!tcache || vcpu >= tcache->vcpu_count)
        return -GN_ERR_INVAL;
    v = &tcache->vcpus[vcpu];
    gn_tcache__lock(tcache);
    if (v->begun) {
        end(tcache, v);
        tcache->stats.blocks_lost++;
    }
    gn_tcache__unlock(tcache);
    return 0;
}

static int exit_check(const struct gn_tcache_code *code, const struct gn_tcache_exit *exit)
{
    const int guarded = exit->flags & GN_TCACHE_EXIT_GUARDED;

    return exit->flags & ~(GN_TCACHE_EXIT_GUARDED | GN_TCACHE_EXIT_OPEN) ||
           exit->jump >= code->code_size || exit->stub >= code->code_size ||
           (guarded && exit->guard >= code->code_size);
}

static int code_check(const struct gn_tcache *tc, const struct gn_tcache_code *code)
{
    uint32_t i;

    if (!code->code_size || code->code_size > tc->block_size || code->entry >= code->code_size ||
        code->entry_fast >= code->code_size || code->guest_first >= GN_PAGE_SIZE ||
        !code->guest_size || code->guest_size > GN_PAGE_SIZE - code->guest_first)
        return -GN_ERR_INVAL;
    if (code->exit_count > tc->block_exits || (code->exit_count && !code->exits) || code->reserved)
        return -GN_ERR_INVAL;
    for (i = 0; i < code->exit_count; i++)
        if (exit_check(code, &code->exits[i]))
            return -GN_ERR_INVAL;
    return 0;
}

static void exits_fill(struct gn_tcache *tc, const struct gn_tcache__vcpu *v, uint32_t block,
                       const struct gn_tcache_code *code)
{
    struct gn_tcache__block *b = &tc->blocks[block];
    uint32_t i;

    for (i = 0; i < code->exit_count; i++) {
        const struct gn_tcache_exit *from = &code->exits[i];

        tc->exits[b->exit_first + i] = (struct gn_tcache__exit){
            .target = from->target.v,
            .block = block,
            .to = NONE,
            .jump = v->room + from->jump,
            .guard = v->room + from->guard,
            .stub = v->room + from->stub,
            .flags = from->flags,
        };
    }
}

/* Takes a record and the room; the block is complete, but not found yet. */
static uint32_t block_fill(struct gn_tcache *tc, struct gn_tcache__vcpu *v,
                           const struct gn_tcache_code *code)
{
    struct gn_tcache__region *r = &tc->regions[v->region];
    const uint32_t block = v->region * tc->region_blocks + r->blocks;

    tc->blocks[block] = (struct gn_tcache__block){
        .pc = v->key.pc.v,
        .gpa = v->key.gpa.v,
        .mode = v->key.mode,
        .cookie = code->cookie,
        .state = BLOCK_LIVE,
        .code = v->room,
        .code_size = code->code_size,
        .entry = code->entry,
        .entry_fast = code->entry_fast,
        .guest = code->guest_first | code->guest_size << 16,
        .exit_first = v->region * tc->region_exits + r->exits,
        .exit_count = code->exit_count,
        .in = NONE,
    };
    exits_fill(tc, v, block, code);
    r->blocks++;
    __atomic_store_n(&r->exits, r->exits + code->exit_count, __ATOMIC_RELAXED);
    r->code += (code->code_size + tc->align - 1) & ~(tc->align - 1);
    if (r->code > tc->region_size)
        r->code = tc->region_size;
    return block;
}

static void publish(struct gn_tcache *tc, uint32_t block)
{
    struct gn_tcache__block *b = &tc->blocks[block];
    uint32_t *bucket = bucket_of(tc, b->pc, b->gpa, b->mode);

    b->chain = *bucket;
    __atomic_store_n(bucket, block, __ATOMIC_RELEASE);
    tc->stats.blocks_made++;
    tc->stats.blocks++;
}

static int commit(struct gn_tcache *tc, struct gn_tcache__vcpu *v,
                  const struct gn_tcache_code *code, struct gn_tcache_block *ret_block)
{
    uint32_t block;

    if (v->dirty) {
        end(tc, v);
        tc->stats.blocks_lost++;
        return -GN_ERR_AGAIN;
    }
    block = gn_tcache__find(tc, v->key.pc.v, v->key.gpa.v, v->key.mode);
    if (block != NONE) {
        tc->stats.blocks_lost++;
    } else {
        block = block_fill(tc, v, code);
        gn_tcache__page_add(tc, v->page, block);
        publish(tc, block);
    }
    end(tc, v);
    gn_tcache__tell(tc, block, ret_block);
    return 0;
}

int gn_tcache_block_commit(struct gn_tcache *tcache, uint32_t vcpu,
                           const struct gn_tcache_code *code, struct gn_tcache_block *ret_block)
{
    struct gn_tcache__vcpu *v = gn_tcache__online(tcache, vcpu);
    struct gn_tcache_code copy;
    int r;

    if (!v || !code || !ret_block)
        return -GN_ERR_INVAL;
    if (!v->begun)
        return -GN_ERR_PERM;
    r = gn_base_params_copy(&copy, sizeof copy, code, sizeof copy);
    if (r == 0)
        r = code_check(tcache, &copy);
    if (r)
        return r;
    gn_tcache__lock(tcache);
    r = commit(tcache, v, &copy, ret_block);
    gn_tcache__unlock(tcache);
    return r;
}

/* ---- Dropping ----------------------------------------------------------------------------- */

static void unchain(struct gn_tcache *tc, uint32_t block)
{
    const struct gn_tcache__block *b = &tc->blocks[block];
    uint32_t *link = bucket_of(tc, b->pc, b->gpa, b->mode);

    while (*link != block) {
        if (*link == NONE)
            gn_tcache__broken(tc, "tcache: a live block is in no chain");
        link = &tc->blocks[*link].chain;
    }
    __atomic_store_n(link, b->chain, __ATOMIC_RELEASE);
}

void gn_tcache__drop(struct gn_tcache *tc, uint32_t block)
{
    struct gn_tcache__block *b = &tc->blocks[block];
    uint32_t i;

    __atomic_store_n(&b->state, BLOCK_DEAD, __ATOMIC_RELEASE);
    unchain(tc, block);
    gn_tcache__page_remove(tc, block);
    while (b->in != NONE)
        gn_tcache__unlink(tc, b->in);
    /* Whoever is inside leaves at its end, and not into what may be stale, too. */
    for (i = b->exit_first; i < b->exit_first + b->exit_count; i++)
        if (tc->exits[i].to != NONE)
            gn_tcache__unlink(tc, i);
    /* Views that know its PC forget it before their vCPU enters code again. */
    tc->log[tc->drops % LOG_SIZE] = b->pc;
    __atomic_store_n(&tc->drops, tc->drops + 1, __ATOMIC_RELEASE);
    tc->stats.blocks--;
}
