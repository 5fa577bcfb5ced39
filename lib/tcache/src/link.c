/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exits, linked to blocks.
 *
 * A plain exit always leads to one guest PC in its block's own page, so that a change of its target
 * is good whenever another vCPU sees it. A guard that changes over is not: a vCPU that has compared
 * the old ID would take the new jump. So it is linked anew only after a quiescent point of all.
 */
#include "tcache_internal.h"

static void patch(struct gn_tcache *tc, const struct gn_tcache__exit *exit, uint64_t target,
                  uint32_t id)
{
    const int guarded = exit->flags & GN_TCACHE_EXIT_GUARDED && exit->id;
    const struct gn_tcache_patch p = {
        .jump = tc->code + exit->jump,
        .jump_exec = tc->exec + exit->jump,
        .target = target,
        .guard = guarded ? tc->code + exit->guard : NULL,
        .id = id,
        .linked = exit->to != NONE,
        .jump_offset = exit->jump,
        .flags = exit->flags,
        .pc = exit->flags & GN_TCACHE_EXIT_OPEN && exit->to != NONE ? tc->blocks[exit->to].pc : 0,
    };

    gn_tcache__open(tc);
    tc->ops.patch(tc->ctx, &p);
}

static void list_add(struct gn_tcache *tc, uint32_t exit, uint32_t block)
{
    struct gn_tcache__exit *e = &tc->exits[exit];
    struct gn_tcache__block *b = &tc->blocks[block];

    e->to = block;
    e->prev = NONE;
    e->next = b->in;
    if (b->in != NONE)
        tc->exits[b->in].prev = exit;
    b->in = exit;
}

static void list_remove(struct gn_tcache *tc, uint32_t exit)
{
    struct gn_tcache__exit *e = &tc->exits[exit];

    if (e->prev != NONE)
        tc->exits[e->prev].next = e->next;
    else if (tc->blocks[e->to].in == exit)
        tc->blocks[e->to].in = e->next;
    else
        gn_tcache__broken(tc, "tcache: a linked exit is not on its target's list");
    if (e->next != NONE)
        tc->exits[e->next].prev = e->prev;
    e->to = NONE;
}

void gn_tcache__unlink(struct gn_tcache *tc, uint32_t exit)
{
    struct gn_tcache__exit *e = &tc->exits[exit];

    list_remove(tc, exit);
    patch(tc, e, tc->exec + e->stub, GN_TCACHE_ID_NONE);
    if (e->flags & GN_TCACHE_EXIT_GUARDED && tc->vcpu_count > 1)
        e->moment = gn_tcache__moment(tc);
    tc->stats.unlinks++;
}

gn_tcache_handle_t gn_tcache_exit_get(const struct gn_tcache *tcache, uint32_t number)
{
    const struct gn_tcache__region *r;
    uint32_t block;

    if (!tcache || number / tcache->region_exits >= tcache->region_count)
        return 0;
    /*
     * Without lock: the caller has just left the block, so that its region is not used again. But
     * another vCPU may be filling it: then its count of exits grows, beyond this one.
     */
    r = &tcache->regions[number / tcache->region_exits];
    if (number % tcache->region_exits >= __atomic_load_n(&r->exits, __ATOMIC_RELAXED))
        return 0;
    block = tcache->exits[number].block;
    if (__atomic_load_n(&tcache->blocks[block].state, __ATOMIC_ACQUIRE) != BLOCK_LIVE)
        return 0;
    return (uint64_t)r->generation << 32 | (number + 1);
}

/* The exit that a handle names if its block is live, or NONE. */
static uint32_t exit_of(const struct gn_tcache *tc, gn_tcache_handle_t handle)
{
    const uint32_t number = (uint32_t)handle - 1;
    const struct gn_tcache__region *r;

    if (number / tc->region_exits >= tc->region_count)
        return NONE;
    r = &tc->regions[number / tc->region_exits];
    if (r->generation != handle >> 32 || number % tc->region_exits >= r->exits)
        return NONE;
    return tc->blocks[tc->exits[number].block].state == BLOCK_LIVE ? number : NONE;
}

static int same_page(uint64_t a, uint64_t b)
{
    return a >> GN_PAGE_SHIFT == b >> GN_PAGE_SHIFT;
}

/* Which blocks an open exit is linked to says the embedder, but it keeps the one that it has. */
static int may_lead(const struct gn_tcache *tc, const struct gn_tcache__exit *e, uint32_t block)
{
    return !(e->flags & GN_TCACHE_EXIT_OPEN) ||
           (!(e->flags & GN_TCACHE_EXIT_CLOSED) &&
            (e->to == NONE || tc->blocks[e->to].pc == tc->blocks[block].pc));
}

/*
 * What a guard is to compare with: the ID that the view in force has for the page. A page may have
 * been given another one since, as its pair gave way; views, and those that inherit, keep the old.
 */
static uint32_t id_in_force(struct gn_tcache *tc, const struct gn_tcache__vcpu *v, uint64_t gva,
                            uint64_t gpa)
{
    const struct gn_tcache__view *w = &v->views[v->view == NONE ? 0 : v->view];
    const uint32_t slot = gn_tcache_page_index(gva);

    if (v->view != NONE && v->heads[v->view].wrap == tc->wraps && w->shared.ids[slot] &&
        w->pages[slot].gva == gva && w->pages[slot].gpa == gpa)
        return w->shared.ids[slot];
    return gn_tcache__id(tc, gva, gpa);
}

static int link(struct gn_tcache *tc, const struct gn_tcache__vcpu *v, uint32_t exit,
                uint32_t block)
{
    struct gn_tcache__exit *e = &tc->exits[exit];
    const struct gn_tcache__block *from = &tc->blocks[e->block];
    const struct gn_tcache__block *to = &tc->blocks[block];
    const int guarded = e->flags & GN_TCACHE_EXIT_GUARDED;
    const int open = e->flags & GN_TCACHE_EXIT_OPEN;
    const int near = same_page(from->pc, to->pc) && same_page(from->gpa, to->gpa);
    uint32_t id = 0;

    if (from->mode != to->mode || (!guarded && !near) || !may_lead(tc, e, block))
        return 0;
    if (guarded && !(open && near))
        id = id_in_force(tc, v, to->pc & ~GN_PAGE_MASK, to->gpa & ~GN_PAGE_MASK);
    if (e->to == block && e->id == id)
        return 1;
    if (e->to != NONE)
        gn_tcache__unlink(tc, exit);
    if (guarded && tc->vcpu_count > 1 &&
        !(gn_tcache__passed(tc, e->moment) && gn_tcache__passed(tc, tc->id_moment)))
        return 0;
    list_add(tc, exit, block);
    e->id = id;
    patch(tc, e, tc->exec + to->code + to->entry_fast, id);
    tc->stats.links++;
    tc->stats.links_guarded += id != 0;
    tc->stats.links_open += open != 0;
    return 1;
}

int gn_tcache_exit_link(struct gn_tcache *tcache, uint32_t vcpu, gn_tcache_handle_t exit,
                        gn_tcache_handle_t block)
{
    const struct gn_tcache__vcpu *v = gn_tcache__online(tcache, vcpu);
    uint32_t from, to;
    int r = 0;

    if (!v)
        return -GN_ERR_INVAL;
    gn_tcache__lock(tcache);
    from = exit_of(tcache, exit);
    to = gn_tcache__block_of(tcache, block);
    if (from != NONE && to != NONE)
        r = tcache->exits[from].target == tcache->blocks[to].pc ||
                    tcache->exits[from].flags & GN_TCACHE_EXIT_OPEN
                ? link(tcache, v, from, to)
                : -GN_ERR_INVAL;
    gn_tcache__unlock(tcache);
    return r;
}

int gn_tcache_exit_close(struct gn_tcache *tcache, gn_tcache_handle_t exit)
{
    struct gn_tcache__exit *e;
    uint32_t number;
    int r = 0;

    if (!tcache)
        return -GN_ERR_INVAL;
    gn_tcache__lock(tcache);
    number = exit_of(tcache, exit);
    e = number != NONE ? &tcache->exits[number] : NULL;
    if (e && (e->flags & (GN_TCACHE_EXIT_OPEN | GN_TCACHE_EXIT_CLOSED)) == GN_TCACHE_EXIT_OPEN) {
        if (e->to != NONE)
            gn_tcache__unlink(tcache, number);
        e->flags |= GN_TCACHE_EXIT_CLOSED;
        patch(tcache, e, tcache->exec + e->stub, GN_TCACHE_ID_NONE);
        tcache->stats.closes++;
        r = 1;
    }
    gn_tcache__unlock(tcache);
    return r;
}
