/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

static uint32_t *chain_head(struct gn_shadow *sh, uint32_t head)
{
    uint32_t index = head & GN_SHADOW__HEAD_INDEX;

    return head & GN_SHADOW__HEAD_TABLE ? &sh->tables[index].parents
                                        : gn_shadow__frame_head(sh, index);
}

void gn_shadow__chain_add(struct gn_shadow *sh, uint32_t id, uint32_t head)
{
    uint32_t *first = chain_head(sh, head);

    sh->links[id].next = *first;
    sh->links[id].prev = head | GN_SHADOW__HEAD;
    if (*first != GN_SHADOW__NIL)
        sh->links[*first].prev = id;
    *first = id;
}

void gn_shadow__chain_remove(struct gn_shadow *sh, uint32_t id)
{
    struct gn_shadow__link *link = &sh->links[id];

    gn_shadow__check(sh, link->prev != GN_SHADOW__NIL, "shadow: entry is in no chain");
    gn_shadow__shut_skip(sh, id);
    if (link->prev & GN_SHADOW__HEAD)
        *chain_head(sh, link->prev) = link->next;
    else
        sh->links[link->prev].next = link->next;
    if (link->next != GN_SHADOW__NIL)
        sh->links[link->next].prev = link->prev;
    link->next = GN_SHADOW__NIL;
    link->prev = GN_SHADOW__NIL;
}
