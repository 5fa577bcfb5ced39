/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Views: what a fetch context of a vCPU has mapped where, as far as jumps asked.
 *
 * A view is written by its vCPU alone. That a block was dropped, by whomever, it learns from a log
 * of PCs at the vCPU's quiescent points, and when it is loaded: then it forgets the jumps. Jumps
 * lead only to pages that the view has mapped, so that a page's withdrawal finds all of them.
 */
#include "tcache_internal.h"

/* An empty jump holds a PC that has neither of a pair's places, so that no probe matches it. */
static uint64_t no_pc(uint32_t index)
{
    return index > 1 ? 0 : 4;
}

static void jumps_clear(struct gn_tcache_view *view)
{
    memset(view->jumps, 0, sizeof view->jumps);
    view->jumps[0].pc = no_pc(0);
    view->jumps[1].pc = no_pc(1);
}

/* Forgets jumps to [first, last], which are addresses: those that are in some groups. */
static void jumps_clear_range(struct gn_tcache_view *view, uint64_t first, uint64_t last,
                              uint32_t groups)
{
    uint32_t i;

    for (; groups; groups &= groups - 1) {
        const uint32_t begin = (uint32_t)__builtin_ctz(groups) * JUMPS_GROUP;

        for (i = begin; i < begin + JUMPS_GROUP; i++)
            if (view->jumps[i].pc - first <= last - first)
                view->jumps[i].pc = no_pc(i);
    }
}

void gn_tcache__page_know(struct gn_tcache__vcpu *v, uint32_t view, uint32_t slot, uint64_t gva,
                          uint64_t gpa, uint32_t id)
{
    struct gn_tcache__view *w = &v->views[view];
    struct gn_tcache__mapping *page = &w->pages[slot];

    if (!page->listed)
        w->list[w->listed++] = (uint16_t)slot;
    *page = (struct gn_tcache__mapping){.gva = gva, .gpa = gpa, .listed = 1};
    w->shared.ids[slot] = id;
    v->knowing[slot]++;
}

static void page_forget(struct gn_tcache__vcpu *v, uint32_t view, uint32_t slot)
{
    v->views[view].shared.ids[slot] = 0;
    v->knowing[slot]--;
}

static void pages_clear(struct gn_tcache__vcpu *v, uint32_t view)
{
    struct gn_tcache__view *w = &v->views[view];
    uint32_t i;

    for (i = 0; i < w->listed; i++) {
        w->pages[w->list[i]].listed = 0;
        if (w->shared.ids[w->list[i]])
            page_forget(v, view, w->list[i]);
    }
    w->listed = 0;
}

static void view_clear(struct gn_tcache *tc, struct gn_tcache__vcpu *v, uint32_t view)
{
    struct gn_tcache__head *head = &v->heads[view];

    pages_clear(v, view);
    jumps_clear(&v->views[view].shared);
    head->seen = __atomic_load_n(&tc->drops, __ATOMIC_ACQUIRE);
    head->wrap = __atomic_load_n(&tc->wraps, __ATOMIC_ACQUIRE);
    head->forget = v->forget;
}

void gn_tcache__catch_up(struct gn_tcache *tc, struct gn_tcache__vcpu *v, uint32_t view)
{
    struct gn_tcache__head *head = &v->heads[view];
    struct gn_tcache_view *shared = &v->views[view].shared;

    if (head->wrap != tc->wraps) {
        view_clear(tc, v, view);
        return;
    }
    if (tc->drops - head->seen > LOG_SIZE) {
        jumps_clear(shared);
        head->seen = tc->drops;
        return;
    }
    for (; head->seen != tc->drops; head->seen++) {
        const uint64_t pc = tc->log[head->seen % LOG_SIZE];
        const uint32_t i = gn_tcache_jump_index(pc);

        if (shared->jumps[i].pc == pc)
            shared->jumps[i].pc = no_pc(i);
        if (shared->jumps[i ^ 1].pc == pc)
            shared->jumps[i ^ 1].pc = no_pc(i ^ 1);
    }
}

/* ---- IDs ---------------------------------------------------------------------------------- */

/*
 * All IDs were given. They begin anew: no code holds an old one, since nothing stays linked, and
 * views forget theirs before their vCPU passes its next quiescent point.
 */
static void ids_wrap(struct gn_tcache *tc)
{
    uint32_t i, j;

    for (i = 0; i < tc->region_count; i++) {
        const uint32_t first = i * tc->region_exits;

        for (j = first; j < first + tc->regions[i].exits; j++)
            if (tc->exits[j].to != NONE)
                gn_tcache__unlink(tc, j);
    }
    memset(tc->pairs, 0, ID_PAIRS * sizeof *tc->pairs);
    tc->id_next = 1;
    __atomic_store_n(&tc->wraps, tc->wraps + 1, __ATOMIC_RELEASE);
    tc->id_moment = gn_tcache__moment(tc);
}

uint32_t gn_tcache__id(struct gn_tcache *tc, uint64_t gva, uint64_t gpa)
{
    const uint64_t hash = gn_tcache__mix(gn_tcache__mix(gva ^ tc->seed) + gpa);
    struct gn_tcache__pair *pair = &tc->pairs[hash % ID_PAIRS];
    struct gn_tcache__pair *other = &tc->pairs[(hash % ID_PAIRS) ^ 1];

    if (pair->id && pair->gva == gva && pair->gpa == gpa)
        return pair->id;
    if (other->id && other->gva == gva && other->gpa == gpa)
        return other->id;
    /* Of the two, the one that was given its ID first gives way. */
    pair = other->id < pair->id ? other : pair;
    if (tc->id_next == GN_TCACHE_ID_NONE)
        ids_wrap(tc);
    *pair = (struct gn_tcache__pair){.gva = gva, .gpa = gpa, .id = tc->id_next++};
    return pair->id;
}

/* ---- Finding and making ------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct gn_tcache *tc, const struct gn_tcache__vcpu *v,
                           uint64_t space)
{
    return &v->buckets[gn_tcache__mix(space) & tc->view_mask];
}

static void unchain(struct gn_tcache *tc, struct gn_tcache__vcpu *v, uint32_t view)
{
    uint32_t *link = bucket_of(tc, v, v->heads[view].space);

    while (*link != view)
        link = &v->heads[*link].chain;
    *link = v->heads[view].chain;
}

/* A view that is free, or not loaded for longest. There are two at least, or none is loaded. */
static uint32_t victim(const struct gn_tcache *tc, const struct gn_tcache__vcpu *v)
{
    uint32_t best = NONE;
    uint32_t i;

    for (i = 0; i < tc->view_count; i++) {
        if (v->heads[i].state == VIEW_FREE)
            return i;
        if (best == NONE || v->heads[i].stamp < v->heads[best].stamp)
            best = i;
    }
    return best;
}

static uint32_t view_make(struct gn_tcache *tc, struct gn_tcache__vcpu *v, uint64_t space,
                          uint32_t mode)
{
    const uint32_t view = victim(tc, v);
    uint32_t *bucket = bucket_of(tc, v, space);

    if (v->heads[view].state == VIEW_USED)
        unchain(tc, v, view);
    if (!v->heads[view].born)
        memset(&v->views[view], 0, sizeof v->views[view]);
    v->heads[view] = (struct gn_tcache__head){
        .space = space, .mode = mode, .state = VIEW_USED, .fresh = 1, .born = 1};
    v->heads[view].chain = *bucket;
    *bucket = view;
    view_clear(tc, v, view);
    gn_tcache__count(&v->views_made);
    return view;
}

uint32_t gn_tcache__view_find(const struct gn_tcache *tc, const struct gn_tcache__vcpu *v,
                              uint64_t space, uint32_t mode)
{
    uint32_t i = *bucket_of(tc, v, space);

    while (i != NONE && (v->heads[i].space != space || v->heads[i].mode != mode))
        i = v->heads[i].chain;
    return i;
}

int gn_tcache_view_load(struct gn_tcache *tcache, uint32_t vcpu, uint64_t space, uint32_t mode,
                        const struct gn_tcache_view **ret_view)
{
    struct gn_tcache__vcpu *v = gn_tcache__online(tcache, vcpu);
    uint32_t view;

    if (!v || !ret_view || space == GN_TCACHE_SPACE_ANY)
        return -GN_ERR_INVAL;
    view = gn_tcache__view_find(tcache, v, space, mode);
    if (view == NONE)
        view = view_make(tcache, v, space, mode);
    if (v->heads[view].forget != v->forget)
        view_clear(tcache, v, view);
    if (!gn_tcache__is_current(tcache, &v->heads[view])) {
        gn_tcache__lock(tcache);
        gn_tcache__catch_up(tcache, v, view);
        gn_tcache__unlock(tcache);
    }
    v->heads[view].stamp = ++v->clock;
    v->view = view;
    *ret_view = &v->views[view].shared;
    return 0;
}

/* ---- What is mapped ----------------------------------------------------------------------- */

/* Is the slot's page the one of an address? */
static int knows(const struct gn_tcache__view *view, uint32_t slot, uint64_t page)
{
    return view->shared.ids[slot] && view->pages[slot].gva == page;
}

int gn_tcache_view_map(struct gn_tcache *tcache, uint32_t vcpu, gn_gva_t pc, gn_gpa_t gpa)
{
    struct gn_tcache__vcpu *v = gn_tcache__online(tcache, vcpu);
    const uint64_t page = pc.v & ~GN_PAGE_MASK;
    const uint64_t to = gpa.v & ~GN_PAGE_MASK;
    const uint32_t slot = gn_tcache_page_index(pc.v);
    struct gn_tcache__mapping *old;
    struct gn_tcache__view *view;
    uint32_t id;

    if (!v)
        return -GN_ERR_INVAL;
    if (v->view == NONE)
        return -GN_ERR_PERM;
    view = &v->views[v->view];
    old = &view->pages[slot];
    /* Jumps to a page that nothing would withdraw any more go with it. */
    if (view->shared.ids[slot] && old->jumps && (old->gva != page || old->gpa != to))
        jumps_clear_range(&view->shared, old->gva, old->gva + GN_PAGE_MASK, old->jumps);
    gn_tcache__lock(tcache);
    id = gn_tcache__id(tcache, page, to);
    gn_tcache__catch_up(tcache, v, v->view); /* IDs may have begun anew */
    gn_tcache__unlock(tcache);
    if (view->shared.ids[slot] && (old->gva != page || old->gpa != to))
        page_forget(v, v->view, slot);
    if (!view->shared.ids[slot])
        gn_tcache__page_know(v, v->view, slot, page, to, id);
    view->shared.ids[slot] = id; /* the page's may be another one now */
    gn_tcache__count(&v->maps);
    return 0;
}

/* What a view knows less after pages were forgotten. */
struct forgotten {
    uint32_t pages;
    uint32_t jumps; /* groups in which there may be some to them */
};

static void forget(struct gn_tcache__vcpu *v, uint32_t view, uint32_t slot, struct forgotten *f)
{
    page_forget(v, view, slot);
    f->pages++;
    f->jumps |= v->views[view].pages[slot].jumps;
}

/* Pages of [first, last], which are page addresses. */
static void pages_forget(struct gn_tcache__vcpu *v, uint32_t view, uint64_t first, uint64_t last,
                         struct forgotten *f)
{
    const struct gn_tcache__view *w = &v->views[view];
    uint64_t at;
    uint32_t i;

    if ((last - first) >> GN_PAGE_SHIFT >= w->listed) {
        for (i = 0; i < w->listed; i++)
            if (w->shared.ids[w->list[i]] && w->pages[w->list[i]].gva - first <= last - first)
                forget(v, view, w->list[i], f);
        return;
    }
    for (at = first; at - first <= last - first; at += GN_PAGE_SIZE) {
        i = gn_tcache_page_index(at);
        if (knows(w, i, at))
            forget(v, view, i, f);
        if (at == last)
            break; /* the last page there is: the next address would be 0 */
    }
}

/* @return whether the view is the loaded one, and knows less now */
static int view_invalidate(struct gn_tcache__vcpu *v, uint32_t view, uint64_t first, uint64_t last)
{
    struct forgotten f = {0, 0};

    pages_forget(v, view, first, last, &f);
    if (f.jumps)
        jumps_clear_range(&v->views[view].shared, first, last + GN_PAGE_MASK, f.jumps);
    if (f.pages)
        __atomic_store_n(&v->invalidations, v->invalidations + f.pages, __ATOMIC_RELAXED);
    return f.pages && view == v->view;
}

int gn_tcache_invalidate(struct gn_tcache *tcache, uint32_t vcpu, uint64_t space, gn_gva_t pc,
                         uint64_t length)
{
    const uint64_t last = length > UINT64_MAX - pc.v ? UINT64_MAX : pc.v + length - 1;
    const uint64_t first_page = length == UINT64_MAX ? 0 : pc.v & ~GN_PAGE_MASK;
    struct gn_tcache__vcpu *v;
    int loaded = 0;
    uint32_t i;

    if (!tcache || vcpu >= tcache->vcpu_count)
        return -GN_ERR_INVAL;
    if (!length)
        return 0;
    v = &tcache->vcpus[vcpu];
    /* Most of what is withdrawn is data: no view knows it. */
    if (first_page == (last & ~GN_PAGE_MASK) && !v->knowing[gn_tcache_page_index(first_page)])
        return 0;
    if (space == GN_TCACHE_SPACE_ANY && length == UINT64_MAX) {
        v->forget++; /* the others find out when they are loaded */
        if (v->view != NONE)
            view_clear(tcache, v, v->view);
        gn_tcache__count(&v->invalidations);
        return v->view != NONE;
    }
    if (space == GN_TCACHE_SPACE_ANY) {
        for (i = 0; i < tcache->view_count; i++)
            if (v->heads[i].state == VIEW_USED)
                loaded |= view_invalidate(v, i, first_page, last & ~GN_PAGE_MASK);
        return loaded;
    }
    for (i = *bucket_of(tcache, v, space); i != NONE; i = v->heads[i].chain)
        if (v->heads[i].space == space)
            loaded |= view_invalidate(v, i, first_page, last & ~GN_PAGE_MASK);
    return loaded;
}

int gn_tcache_space_drop(struct gn_tcache *tcache, uint32_t vcpu, uint64_t space)
{
    struct gn_tcache__vcpu *v;
    uint32_t i;

    if (!tcache || vcpu >= tcache->vcpu_count)
        return -GN_ERR_INVAL;
    v = &tcache->vcpus[vcpu];
    for (i = 0; i < tcache->view_count; i++) {
        if (v->heads[i].state != VIEW_USED ||
            (space != GN_TCACHE_SPACE_ANY && v->heads[i].space != space))
            continue;
        if (i == v->view) {
            view_clear(tcache, v, i);
            continue;
        }
        unchain(tcache, v, i);
        pages_clear(v, i);
        v->heads[i].state = VIEW_FREE;
    }
    return 0;
}

/* ---- Lookup ------------------------------------------------------------------------------- */

int gn_tcache_lookup(struct gn_tcache *tcache, uint32_t vcpu, gn_gva_t pc,
                     struct gn_tcache_block *ret_block)
{
    struct gn_tcache__vcpu *v = gn_tcache__online(tcache, vcpu);
    const uint32_t slot = gn_tcache_page_index(pc.v);
    struct gn_tcache__view *view;
    struct gn_tcache_jump *jump;
    uint32_t block;

    if (!v || !ret_block)
        return -GN_ERR_INVAL;
    if (v->view == NONE)
        return -GN_ERR_PERM;
    gn_tcache__count(&v->lookups);
    view = &v->views[v->view];
    if (!knows(view, slot, pc.v & ~GN_PAGE_MASK)) {
        gn_tcache__count(&v->unmapped);
        return GN_TCACHE_UNMAPPED;
    }
    block = gn_tcache__find(tcache, pc.v, view->pages[slot].gpa | (pc.v & GN_PAGE_MASK),
                            v->heads[v->view].mode);
    if (block == NONE)
        return GN_TCACHE_MISSING;
    gn_tcache__count(&v->found);
    gn_tcache__tell(tcache, block, ret_block);
    jump = &view->shared.jumps[gn_tcache_jump_index(pc.v)];
    /* What was there had its own place or was pushed out before: it may have the pair's other. */
    if (jump->pc != pc.v)
        view->shared.jumps[gn_tcache_jump_index(pc.v) ^ 1] = *jump;
    jump->pc = pc.v;
    jump->entry = ret_block->entry;
    view->pages[slot].jumps |= (uint32_t)1 << gn_tcache_jump_index(pc.v) / JUMPS_GROUP;
    return GN_TCACHE_FOUND;
}
