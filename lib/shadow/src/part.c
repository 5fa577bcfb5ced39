/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * What one call does not come to the end of, if params.step_limit is small. Each kind of work has a
 * place where it stands still and does no harm, and something that only ever decreases, so that
 * whoever repeats the call gets to the end.
 *
 *  - A table that nothing leads to any more is emptied, and so is what it alone led to. It may
 *    stand half empty: it is LOOSE. It is kept as true as any other (its page is tracked, its
 *    leaves are in their chains), so it may be found and linked again, or emptied further by a
 *    reclaim. No MMU knows it.
 *  - A victim of reclaim loses the links that lead to it, and is loose then. It is remembered and
 *    not reprieved. Nobody can link it again before there is room: what would do so reserves tables
 *    first, and takes part in this.
 *  - A page that becomes a table's, or watched: every leaf that maps it is to be write-protected,
 *    or marked, before anything is derived from it. It is counted as a table's at once, its first
 *    table made, loose and empty. From then on new leaves of the page are made as they must be, so
 *    that those to be seen to are the ones that were in its chain then: a cursor goes through them,
 *    and chain_remove moves it on. Nothing leads to the tables of the page before that has come to
 *    its end, and no sync fills them. 16 pages may be in this state; the next one ends the oldest
 *    attempt.
 *  - Absent entries are explained as far as steps go. The others say nothing, which is always true.
 *  - What a flush should re-read, and has not the steps for, is unlinked: an absent entry is never
 *    stale. See policy.c.
 */

/* ---- Tables that nothing leads to ----------------------------------------------------------- */

void gn_shadow__loose_begin(struct gn_shadow *sh, uint32_t table)
{
    struct gn_shadow__table *t = &sh->tables[table];

    sh->loose += !(t->state & GN_SHADOW__LOOSE);
    t->state |= GN_SHADOW__LOOSE;
}

void gn_shadow__loose_end(struct gn_shadow *sh, uint32_t table)
{
    struct gn_shadow__table *t = &sh->tables[table];

    sh->loose -= (t->state & GN_SHADOW__LOOSE) != 0;
    t->state &= (uint8_t)~GN_SHADOW__LOOSE;
}

int gn_shadow__loose_free(struct gn_shadow *sh)
{
    for (uint32_t i = 0; i < sh->params.tables && sh->loose; i++) {
        if (!sh->tables[i].live || !(sh->tables[i].state & GN_SHADOW__LOOSE))
            continue;
        gn_shadow__table_release(sh, i);
        if (sh->tables[i].live)
            return -GN_ERR_AGAIN;
    }
    /* What has become loose only now may stand before what led to it. */
    return sh->loose ? -GN_ERR_AGAIN : 0;
}

/* ---- Reclaim -------------------------------------------------------------------------------- */

/*
 * Second chance: the next table that was not used for a round of the hand or, after one round, any.
 * Those that are held come again and again: hence the end after three.
 */
static int victim_find(struct gn_shadow *sh)
{
    while (sh->scanned < 3 * sh->params.tables) {
        uint32_t table = sh->clock_hand;
        struct gn_shadow__table *t = &sh->tables[table];

        if (t->live && !gn_shadow__step(sh))
            return -GN_ERR_AGAIN;
        sh->scanned++;
        sh->clock_hand = table + 1 < sh->params.tables ? table + 1 : 0;
        if (!t->live)
            continue;
        if (t->referenced && sh->scanned <= sh->params.tables) {
            gn_shadow__poke(&t->referenced, 0);
            continue;
        }
        sh->victim = table;
        return 0;
    }
    sh->scanned = 0;
    return -GN_ERR_NOMEM;
}

int gn_shadow__reclaim(struct gn_shadow *sh)
{
    uint32_t freed = sh->freed;

    while (sh->freed == freed) {
        if (sh->victim == GN_SHADOW__NIL || !sh->tables[sh->victim].live) {
            int rc = victim_find(sh);

            if (rc)
                return rc;
        }
        gn_shadow__table_drop(sh, sh->victim);
        if (sh->freed == freed && !sh->steps)
            return -GN_ERR_AGAIN;
        sh->victim = GN_SHADOW__NIL;
    }
    sh->scanned = 0;
    gn_shadow__count(sh, tables_reclaimed, sh->freed - freed);
    return 0;
}

/* ---- Pages whose writes are to be known ----------------------------------------------------- */

static struct gn_shadow__shut *shut_of(struct gn_shadow *sh, gn_gpa_t page)
{
    for (uint32_t i = 0; i < GN_SHADOW__SHUTS && sh->shuts; i++)
        if (sh->shut[i].used && sh->shut[i].page.v == page.v)
            return &sh->shut[i];
    return NULL;
}

int gn_shadow__shutting(const struct gn_shadow *sh, gn_gpa_t gpa, uint32_t level)
{
    for (uint32_t i = 0; i < GN_SHADOW__SHUTS && sh->shuts; i++)
        if (sh->shut[i].used && (sh->shut[i].page.v ^ gpa.v) < gn_shadow__span(level))
            return 1;
    return 0;
}

void gn_shadow__shut_end(struct gn_shadow *sh, gn_gpa_t page)
{
    struct gn_shadow__shut *s = shut_of(sh, page);

    if (!s)
        return;
    s->used = 0;
    sh->shuts--;
}

void gn_shadow__shut_skip(struct gn_shadow *sh, uint32_t id)
{
    /* Of the leaves of one page, one is removed at a time: the lock of their chain is held. */
    for (uint32_t i = 0; i < GN_SHADOW__SHUTS && sh->shuts; i++)
        if (sh->shut[i].used && gn_shadow__peek(&sh->shut[i].cursor) == id)
            gn_shadow__poke(&sh->shut[i].cursor, sh->links[id].next);
}

/* Ends an attempt that nobody has come back to yet: its tables are empty and go, its watch, too. */
static struct gn_shadow__shut *shut_take(struct gn_shadow *sh)
{
    struct gn_shadow__shut *s = &sh->shut[sh->shut_next++ % GN_SHADOW__SHUTS];
    gn_gpa_t page = s->page;
    uint32_t table;

    if (gn_shadow__frame_tables(sh, page, 0) & GN_SHADOW__WATCHED)
        (void)gn_shadow__frame_count(sh, page, -(int)GN_SHADOW__WATCHED);
    while ((table = gn_shadow__table_of_page(sh, page, 0)) != GN_SHADOW__NIL)
        gn_shadow__table_release(sh, table);
    gn_shadow__shut_end(sh, page);
    return s;
}

void gn_shadow__shut_begin(struct gn_shadow *sh, gn_gpa_t page)
{
    struct gn_shadow__shut *s = NULL;

    for (uint32_t i = 0; i < GN_SHADOW__SHUTS && !s; i++)
        s = sh->shut[i].used ? NULL : &sh->shut[i];
    if (!s)
        s = shut_take(sh);
    sh->shuts++;
    *s = (struct gn_shadow__shut){
        .page = page,
        .used = 1,
        .cursor = *gn_shadow__frame_head(sh, gn_shadow__frame(sh, page, 0)),
    };
}

int gn_shadow__shut_run(struct gn_shadow *sh, gn_gpa_t page)
{
    struct gn_shadow__shut *s = shut_of(sh, page);

    if (!s)
        return 0;
    /* Larger leaves can be neither protected nor marked, and go; no new ones come. */
    for (uint32_t level = GN_SHADOW__LEAF_LEVELS; level-- > 1;) {
        uint32_t *head = gn_shadow__frame_head(sh, gn_shadow__frame(sh, page, level));

        while (*head != GN_SHADOW__NIL) {
            if (!gn_shadow__step(sh))
                return -GN_ERR_AGAIN;
            gn_shadow__entry_drop(sh, *head);
        }
    }
    while (s->cursor != GN_SHADOW__NIL) {
        uint32_t id = s->cursor;

        if (!gn_shadow__step(sh))
            return -GN_ERR_AGAIN;
        s->cursor = sh->links[id].next;
        gn_shadow__leaf_guard(sh, page, id);
    }
    gn_shadow__shut_end(sh, page);
    /* Who has walked the guest's tables before this may have read what nobody will report. */
    sh->tracked++;
    return 0;
}

int gn_shadow__table_ready(struct gn_shadow *sh, const struct gn_shadow__role *role,
                           uint32_t *ret_table)
{
    uint32_t table = gn_shadow__table_find(sh, role);
    int rc = 0;

    if (table == GN_SHADOW__NIL) {
        rc = gn_shadow__policy_room(sh, role);
        if (rc)
            return rc;
        table = gn_shadow__table_get(sh, role);
    }
    if (!role->direct)
        rc = gn_shadow__shut_run(sh, gn_gpa(role->gpa & ~GN_PAGE_MASK));
    if (rc)
        return rc;
    *ret_table = table;
    return gn_shadow__policy_reach(sh, table);
}
