/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inheritance: a new view begins with what another one knows. An operating system maps its own code
 * alike in every address space, and a process that begins would look all of it up again, jump by
 * jump; asking whether a page is still the same is cheaper than to find what lies on it.
 */
#include "tcache_internal.h"

/* What is inherited is what the embedder says of each page, at this time. */
static uint32_t pages_inherit(struct gn_tcache__vcpu *v, uint32_t to, uint32_t from,
                              int (*same)(void *ctx, gn_gva_t page, gn_gpa_t gpa), void *ctx)
{
    const struct gn_tcache__view *w = &v->views[from];
    uint32_t pages = 0;

    for (uint32_t i = 0; i < w->listed; i++) {
        const uint32_t slot = w->list[i];
        const uint32_t id = w->shared.ids[slot];
        const struct gn_tcache__mapping page = w->pages[slot];

        /* Asking may withdraw pages, of either view. */
        if (!id || v->views[to].shared.ids[slot] ||
            !same(ctx, gn_gva(page.gva), gn_gpa(page.gpa)) || w->shared.ids[slot] != id)
            continue;
        gn_tcache__page_know(v, to, slot, page.gva, page.gpa, id);
        v->views[to].pages[slot].jumps = page.jumps;
        pages++;
    }
    return pages;
}

/* Only to pages that are known now: so a page's withdrawal finds all jumps to it. */
static void jumps_inherit(struct gn_tcache__view *to, const struct gn_tcache__view *from)
{
    for (uint32_t i = 0; i < GN_TCACHE_VIEW_JUMPS; i++) {
        const struct gn_tcache_jump *jump = &from->shared.jumps[i];
        const uint32_t slot = gn_tcache_page_index(jump->pc);

        if ((gn_tcache_jump_index(jump->pc) ^ i) <= 1 && to->shared.ids[slot] &&
            to->shared.ids[slot] == from->shared.ids[slot] &&
            to->pages[slot].gva == (jump->pc & ~GN_PAGE_MASK))
            to->shared.jumps[i] = *jump;
    }
}

int gn_tcache_view_inherit(struct gn_tcache *tcache, uint32_t vcpu, uint64_t space,
                           int (*same)(void *ctx, gn_gva_t page, gn_gpa_t gpa), void *ctx,
                           uint32_t *ret_pages)
{
    struct gn_tcache__vcpu *v = gn_tcache__online(tcache, vcpu);
    struct gn_tcache__head *head;
    uint32_t pages = 0;
    uint32_t from;

    if (!v || !same)
        return -GN_ERR_INVAL;
    if (v->view == NONE)
        return -GN_ERR_PERM;
    head = &v->heads[v->view];
    from = gn_tcache__view_find(tcache, v, space, head->mode);
    /* One that has to forget first has nothing to give. */
    if (head->fresh && from != NONE && from != v->view && v->heads[from].forget == v->forget) {
        gn_tcache__lock(tcache);
        gn_tcache__catch_up(tcache, v, from);
        gn_tcache__catch_up(tcache, v, v->view);
        gn_tcache__unlock(tcache);
        pages = pages_inherit(v, v->view, from, same, ctx);
        jumps_inherit(&v->views[v->view], &v->views[from]);
        /* The other's, too, were true as of its catching up, and drops since are still to come. */
        head->seen = head->seen < v->heads[from].seen ? head->seen : v->heads[from].seen;
    }
    head->fresh = 0;
    if (ret_pages)
        *ret_pages = pages;
    return 0;
}
