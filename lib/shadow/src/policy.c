/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * How the writes to a page that holds shadowed tables become known: its mode.
 *
 *               written (UNSYNC), or trapped often between uses (ADAPT)
 *     TRAP  ------------------------------------------------------------>  UNSYNC, or TRACED
 *           <------------------------------------------------------------
 *               re-read in vain (ADAPT), or an upper-level table joins
 *
 * TRACED does not go back. What an unsync table costs, it costs at every flush; what a traced one
 * costs, it costs when it is written, and then less than a trap (gn_shadow_stats.syncs, beside
 * trapped_writes). When the last table leaves the page, its mode ends, whichever.
 *
 * All tables of a page have its mode. UNSYNC is for leaf-level tables alone: what they map wrongly
 * is found by re-reading them, while a stale link would lead to a table that stands for something
 * else. An absent entry of theirs is never stale, since it makes the MMU fault and the fault walks
 * the guest's tables; so they hold no markers, which would be (x86 sees an entry become present
 * without a flush, SDM vol. 3A §4.10.2.3), and only present entries are re-read.
 *
 * Whoever comes to lead to an unsync table, by a new link or a new root, may have been flushed
 * since it was read last, when nothing said that it concerned him: so it is re-read then.
 *
 * To find the unsync tables below a root without looking at all, each table has a bit for each of
 * its entries, set if there may be one behind it. A bit that is set in vain costs a look.
 */

/* Tables that a coherence point may look at without shutting the others out. */
#define TOUR_SHARED 256u

uint32_t gn_shadow__page_mode(struct gn_shadow *sh, gn_gpa_t gpa)
{
    uint32_t table;

    if (sh->params.policy <= GN_SHADOW_POLICY_TRACED)
        return sh->params.policy;
    table = gn_shadow__table_of_page(sh, gn_gpa(gpa.v & ~GN_PAGE_MASK), 0);
    return table == GN_SHADOW__NIL ? GN_SHADOW_POLICY_TRAP : sh->tables[table].mode;
}

/* Are all tables of a page leaf-level ones? */
static int page_is_leaf_level(struct gn_shadow *sh, gn_gpa_t page)
{
    uint32_t table;

    for (uint32_t i = 0; (table = gn_shadow__table_of_page(sh, page, i)) != GN_SHADOW__NIL; i++)
        if (sh->tables[table].role.level)
            return 0;
    return 1;
}

/* ---- Which tables have unsync ones below ---------------------------------------------------- */

static int below_any(const struct gn_shadow__table *t)
{
    uint64_t any = 0;

    for (uint32_t i = 0; i < GN_SHADOW__BELOW_WORDS; i++)
        any |= gn_shadow__peek(&t->below[i]);
    return any != 0;
}

static void bit_mark(struct gn_shadow *sh, uint32_t id, uint32_t *steps);

/* All ways up from a table say that something is unsync here. As deep as there are levels. */
static void below_mark(struct gn_shadow *sh, uint32_t table, uint32_t *steps)
{
    for (uint32_t id = sh->tables[table].parents; id != GN_SHADOW__NIL && *steps;
         id = sh->links[id].next)
        bit_mark(sh, id, steps);
}

/* The same of one link, and the ways up from there. */
static void bit_mark(struct gn_shadow *sh, uint32_t id, uint32_t *steps)
{
    struct gn_shadow__table *p = &sh->tables[id / GN_SHADOW__ENTRIES];
    uint64_t *word = &p->below[id % GN_SHADOW__ENTRIES / 64];
    int marked = below_any(p);

    *steps -= *steps != UINT32_MAX;
    /* From the top, so that where the steps end no way is marked whose beginning is not. */
    if (!marked)
        below_mark(sh, id / GN_SHADOW__ENTRIES, steps);
    if (*steps)
        *word |= (uint64_t)1 << id % 64;
}

void gn_shadow__policy_linked(struct gn_shadow *sh, uint32_t id, uint32_t child)
{
    const struct gn_shadow__table *t = &sh->tables[child];
    uint32_t steps = UINT32_MAX;

    if (t->mode == GN_SHADOW_POLICY_UNSYNC || below_any(t))
        bit_mark(sh, id, &steps);
}

/* ---- Changes of mode --------------------------------------------------------------------------
 */

/* @return are there none any more? */
static int markers_drop(struct gn_shadow *sh, uint32_t table)
{
    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES; i++) {
        uint64_t entry = sh->tables[table].entries[i];

        if (!entry || entry & 1)
            continue;
        if (!gn_shadow__step(sh))
            return 0;
        gn_shadow__mark_absent(sh, table * GN_SHADOW__ENTRIES + i, 0);
    }
    return 1;
}

/* What must be so before a page may be unsync. @return is it? If not, the next write goes on. */
static int page_prepare(struct gn_shadow *sh, gn_gpa_t page)
{
    uint32_t table;

    for (uint32_t i = 0; (table = gn_shadow__table_of_page(sh, page, i)) != GN_SHADOW__NIL; i++) {
        if (!markers_drop(sh, table))
            return 0;
        below_mark(sh, table, &sh->steps);
        if (!sh->steps)
            return 0;
    }
    return 1;
}

/* The page may be written from here on: all that depends on it has been said when this returns. */
static void page_open(struct gn_shadow *sh, gn_gpa_t page, uint8_t mode)
{
    uint32_t table;

    if (mode == GN_SHADOW_POLICY_UNSYNC && !page_prepare(sh, page))
        return;
    for (uint32_t i = 0; (table = gn_shadow__table_of_page(sh, page, i)) != GN_SHADOW__NIL; i++) {
        struct gn_shadow__table *t = &sh->tables[table];

        t->mode = mode;
        t->idle = 0;
        t->traps = 0;
    }
    gn_shadow__count(sh, pages_unsync, mode == GN_SHADOW_POLICY_UNSYNC);
    gn_shadow__count(sh, pages_traced, mode == GN_SHADOW_POLICY_TRACED);
    gn_shadow__count(sh, unsync_pages, mode == GN_SHADOW_POLICY_UNSYNC);
    gn_shadow__count(sh, traced_pages, mode == GN_SHADOW_POLICY_TRACED);
}

/*
 * Re-reads what a leaf-level table maps, under its lock: see locks.c. Nothing is freed: its entries
 * lead to no tables.
 * @return how many entries were not what they should be
 */
static uint32_t table_reread(struct gn_shadow *sh, uint32_t table)
{
    uint32_t changed = 0;

    gn_shadow__count(sh, unsync_rereads, 1);
    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES; i++) {
        uint32_t id = table * GN_SHADOW__ENTRIES + i;

        if (sh->tables[table].entries[i])
            changed += (gn_shadow__sync_entry(sh, id) & GN_SHADOW__SYNC_CHANGED) != 0;
    }
    return changed;
}

/* Steps that a page takes to be trapped again, counted up to `most` + 1. */
static uint32_t close_cost(struct gn_shadow *sh, gn_gpa_t page, uint32_t most)
{
    uint32_t cost = 0;
    uint32_t id = *gn_shadow__frame_head(sh, gn_shadow__frame(sh, page, 0));
    uint32_t table;

    for (; id != GN_SHADOW__NIL && cost <= most; id = sh->links[id].next)
        cost++;
    for (uint32_t i = 0; cost <= most; i++) {
        table = gn_shadow__table_of_page(sh, page, i);
        if (table == GN_SHADOW__NIL)
            break;
        cost += sh->tables[table].present + 1;
    }
    return cost;
}

/* Write-protected first, then re-read: a write in between would be lost the other way round. */
static int page_close_whole(struct gn_shadow *sh, gn_gpa_t page)
{
    uint32_t table;

    if (sh->steps != UINT32_MAX && !gn_shadow__steps(sh, close_cost(sh, page, sh->steps)))
        return 0;
    gn_shadow__page_protect(sh, page);
    for (uint32_t i = 0; (table = gn_shadow__table_of_page(sh, page, i)) != GN_SHADOW__NIL; i++) {
        sh->tables[table].mode = GN_SHADOW_POLICY_TRAP;
        sh->tables[table].traps = 0;
        (void)table_reread(sh, table);
    }
    /* A walk that read the page before may have read what is not there any more. */
    sh->tracked++;
    gn_shadow__count(sh, pages_resynced, 1);
    gn_shadow__count(sh, unsync_pages, -1);
    return 1;
}

void gn_shadow__policy_leave(struct gn_shadow *sh, const struct gn_shadow__table *t)
{
    int unsync = t->mode == GN_SHADOW_POLICY_UNSYNC;
    int traced = t->mode == GN_SHADOW_POLICY_TRACED || sh->params.policy == GN_SHADOW_POLICY_TRACED;

    /* Numbers of now go down by going up past 2^64: the sum of all lanes is right. */
    gn_shadow__count(sh, table_pages, -1);
    gn_shadow__count(sh, unsync_pages, -unsync);
    gn_shadow__count(sh, traced_pages, -traced);
    gn_shadow__count(sh, unsync_gone, unsync);
}

int gn_shadow__page_close(struct gn_shadow *sh, gn_gpa_t page)
{
    uint32_t table;

    if (gn_shadow__page_mode(sh, page) != GN_SHADOW_POLICY_UNSYNC || page_close_whole(sh, page))
        return 0;
    while ((table = gn_shadow__table_of_page(sh, page, 0)) != GN_SHADOW__NIL) {
        gn_shadow__table_drop(sh, table);
        if (sh->tables[table].live)
            return -GN_ERR_AGAIN;
    }
    return 0;
}

int gn_shadow__policy_room(struct gn_shadow *sh, const struct gn_shadow__role *role)
{
    if (role->direct || !role->level)
        return 0;
    return gn_shadow__page_close(sh, gn_gpa(role->gpa & ~GN_PAGE_MASK));
}

void gn_shadow__policy_join(struct gn_shadow *sh, uint32_t table)
{
    struct gn_shadow__table *t = &sh->tables[table];
    gn_gpa_t page = gn_gpa(t->role.gpa & ~GN_PAGE_MASK);
    uint32_t other;
    uint32_t i = 0;

    if (sh->params.policy <= GN_SHADOW_POLICY_TRACED || t->role.direct)
        return;
    do
        other = gn_shadow__table_of_page(sh, page, i++);
    while (other == table);
    if (other == GN_SHADOW__NIL)
        return;
    gn_shadow__check(sh, sh->tables[other].mode != GN_SHADOW_POLICY_UNSYNC || !t->role.level,
                     "shadow: an upper-level table of an unsync page");
    t->mode = sh->tables[other].mode;
}

/* Counts a write that traps. @return the most that a table of the page has had */
static uint32_t page_trapped(struct gn_shadow *sh, gn_gpa_t page)
{
    uint32_t most = 0;
    uint32_t table;

    for (uint32_t i = 0; (table = gn_shadow__table_of_page(sh, page, i)) != GN_SHADOW__NIL; i++) {
        uint32_t traps = gn_shadow__peek(&sh->tables[table].traps);

        traps += traps != UINT32_MAX;
        gn_shadow__poke(&sh->tables[table].traps, traps);
        most = traps > most ? traps : most;
    }
    return most;
}

int gn_shadow__policy_write(struct gn_shadow *sh, gn_gpa_t gpa)
{
    gn_gpa_t page = gn_gpa(gpa.v & ~GN_PAGE_MASK);
    int traced = (sh->params.flags & GN_SHADOW_MMU_TRACES) != 0;

    if (sh->params.policy <= GN_SHADOW_POLICY_TRACED || !gn_shadow__frame_tables(sh, page, 0) ||
        gn_shadow__page_mode(sh, page) != GN_SHADOW_POLICY_TRAP || gn_shadow__shutting(sh, page, 0))
        return 0;
    if (page_trapped(sh, page) <= sh->params.unsync_after &&
        sh->params.policy == GN_SHADOW_POLICY_ADAPT)
        return 0;
    /* What is watched is never unsync: somebody else wants to know. */
    if (!traced && (!page_is_leaf_level(sh, page) ||
                    gn_shadow__frame_tables(sh, page, 0) & GN_SHADOW__WATCHED))
        return 0;
    if (!sh->alone)
        return GN_SHADOW__LATER;
    page_open(sh, page, traced ? GN_SHADOW_POLICY_TRACED : GN_SHADOW_POLICY_UNSYNC);
    return 0;
}

/* ---- Coherence points ---------------------------------------------------------------------------
 */

/* A way through the tables below roots, each visited once. */
struct tour {
    uint64_t stamp;
    uint32_t left;  /**< tables that a call which shares the shadow may still visit */
    uint32_t steps; /**< entries that it may still re-read */
};

/*
 * What becomes of an unsync table after a flush that re-read it. It may be gone when this returns.
 * @return 0 or GN_SHADOW__LATER
 */
static int unsync_age(struct gn_shadow *sh, uint32_t table, uint32_t changed)
{
    struct gn_shadow__table *t = &sh->tables[table];
    uint32_t idle = changed ? 0 : t->idle + 1;
    uint32_t flood = t->present ? 0 : gn_shadow__peek(&t->flood) + 1;
    int drop = flood > sh->params.flood_limit;
    int close = sh->params.policy == GN_SHADOW_POLICY_ADAPT && idle > sh->params.sync_after;

    if ((drop || close) && !sh->alone)
        return GN_SHADOW__LATER;
    t->idle = idle;
    gn_shadow__poke(&t->flood, flood);
    if (drop) {
        gn_shadow__table_drop(sh, table);
        gn_shadow__count(sh, tables_flooded, 1);
    } else if (close) {
        /* If it takes too many steps, the page stays unsync: that is no less true. */
        (void)page_close_whole(sh, gn_gpa(t->role.gpa & ~GN_PAGE_MASK));
    }
    return 0;
}

/* An unsync table at a flush. @return as unsync_age */
static int unsync_flush(struct gn_shadow *sh, struct tour *tour, uint32_t table)
{
    uint32_t present;
    int rc = GN_SHADOW__LATER;

    gn_shadow__table_lock(sh, table);
    present = sh->tables[table].present;
    if (sh->alone || present <= tour->steps) {
        tour->steps -= present < tour->steps ? present : tour->steps;
        rc = unsync_age(sh, table, table_reread(sh, table));
    }
    gn_shadow__table_unlock(sh, table);
    return rc;
}

/*
 * Depth is bounded by the levels; each table is visited once. Of calls that share the shadow, one
 * may take another's stamp away and make it look again: what it does not need to do, it does twice,
 * up to its limit.
 * @return 0 or GN_SHADOW__LATER
 */
static int table_coherence(struct gn_shadow *sh, struct tour *tour, uint32_t table)
{
    struct gn_shadow__table *t = &sh->tables[table];

    if (gn_shadow__peek(&t->visited) == tour->stamp)
        return 0;
    if (!sh->alone && !tour->left--)
        return GN_SHADOW__LATER;
    gn_shadow__poke(&t->visited, tour->stamp);
    if (t->role.level == 0) {
        if (t->mode != GN_SHADOW_POLICY_UNSYNC)
            return 0;
        return unsync_flush(sh, tour, table);
    }
    for (uint32_t w = 0; w < GN_SHADOW__BELOW_WORDS; w++) {
        for (uint64_t rest = gn_shadow__peek(&t->below[w]); rest; rest &= rest - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(rest);
            uint64_t entry = gn_shadow__peek(&t->entries[i]);
            uint32_t child = GN_SHADOW__NIL;

            if (gn_shadow__kind(sh, t->role.level, entry) == GN_PAGING_ENTRY_TABLE) {
                child = gn_shadow__link_table(sh, entry);
                if (table_coherence(sh, tour, child))
                    return GN_SHADOW__LATER;
            }
            if (child == GN_SHADOW__NIL || (!below_any(&sh->tables[child]) &&
                                            sh->tables[child].mode != GN_SHADOW_POLICY_UNSYNC))
                __atomic_fetch_and(&t->below[w], ~((uint64_t)1 << i % 64), __ATOMIC_RELAXED);
        }
    }
    return 0;
}

/* Re-reads an unsync table, or drops what it maps if that is too much. @return 0 or AGAIN */
static int unsync_reach(struct gn_shadow *sh, uint32_t table)
{
    if (gn_shadow__steps(sh, sh->tables[table].present)) {
        (void)table_reread(sh, table);
        return 0;
    }
    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES; i++) {
        if (!sh->tables[table].entries[i])
            continue;
        if (!gn_shadow__step(sh))
            return -GN_ERR_AGAIN;
        gn_shadow__entry_drop(sh, table * GN_SHADOW__ENTRIES + i);
    }
    return 0;
}

/*
 * Re-reads all that is unsync below a table; where steps are limited, unlinks it, so that there is
 * less of it when the call is repeated. Depth is bounded by the levels; each table is visited once.
 */
static int table_reach(struct gn_shadow *sh, uint32_t table)
{
    struct gn_shadow__table *t = &sh->tables[table];

    if (t->visited == sh->clock)
        return 0;
    t->visited = sh->clock;
    if (t->mode == GN_SHADOW_POLICY_UNSYNC)
        return unsync_reach(sh, table);
    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES; i++) {
        uint32_t id = table * GN_SHADOW__ENTRIES + i;
        uint32_t child;

        if (!(t->below[i / 64] >> i % 64 & 1))
            continue;
        if (gn_shadow__kind(sh, t->role.level, t->entries[i]) == GN_PAGING_ENTRY_TABLE) {
            child = gn_shadow__link_table(sh, t->entries[i]);
            if (sh->steps == UINT32_MAX || sh->tables[child].role.level) {
                if (table_reach(sh, child))
                    return -GN_ERR_AGAIN;
            } else if (sh->tables[child].mode == GN_SHADOW_POLICY_UNSYNC) {
                if (!gn_shadow__step(sh))
                    return -GN_ERR_AGAIN;
                gn_shadow__entry_drop(sh, id);
            }
        }
        if (sh->steps != UINT32_MAX)
            t->below[i / 64] &= ~((uint64_t)1 << i % 64);
    }
    return 0;
}

int gn_shadow__policy_reach(struct gn_shadow *sh, uint32_t table)
{
    sh->clock++;
    return table_reach(sh, table);
}

/* Steps that re-reading all that is unsync below a table takes, counted up to `most` + 1. */
static uint32_t coherence_cost(struct gn_shadow *sh, uint64_t stamp, uint32_t table, uint32_t most)
{
    struct gn_shadow__table *t = &sh->tables[table];
    uint32_t cost = 1;

    if (t->visited == stamp)
        return 0;
    t->visited = stamp;
    if (t->role.level == 0)
        return t->mode == GN_SHADOW_POLICY_UNSYNC ? t->present + 1 : 0;
    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES && cost <= most; i++)
        if (t->below[i / 64] >> i % 64 & 1 &&
            gn_shadow__kind(sh, t->role.level, t->entries[i]) == GN_PAGING_ENTRY_TABLE)
            cost +=
                coherence_cost(sh, stamp, gn_shadow__link_table(sh, t->entries[i]), most - cost);
    return cost;
}

/* May a call that is alone re-read all? If not, it unlinks, as far as steps go. @return see enter
 */
static int coherence_part(struct gn_shadow *sh, uint32_t root, int *ret_whole)
{
    uint32_t cost = 0;
    int rc = 0;

    *ret_whole = sh->steps == UINT32_MAX;
    if (*ret_whole)
        return 0;
    sh->clock++;
    for (uint32_t i = 0; i < sh->params.roots && cost <= sh->steps; i++)
        if (sh->roots[i].key.size && (root == GN_SHADOW_ROOT_ANY || i == root))
            cost += coherence_cost(sh, sh->clock, sh->roots[i].table, sh->steps - cost);
    *ret_whole = gn_shadow__steps(sh, cost);
    if (*ret_whole)
        return 0;
    sh->clock++;
    for (uint32_t i = 0; i < sh->params.roots && !rc; i++)
        if (sh->roots[i].key.size && (root == GN_SHADOW_ROOT_ANY || i == root))
            rc = table_reach(sh, sh->roots[i].table);
    return rc;
}

/* @return 0, -GN_ERR_NOENT or _AGAIN, or GN_SHADOW__LATER */
static int coherence_enter(struct gn_shadow *sh, uint32_t root)
{
    struct tour tour = {.left = TOUR_SHARED, .steps = UINT32_MAX};
    int whole = 1;
    int rc = 0;

    if (!gn_shadow__root_given(sh, root))
        return -GN_ERR_NOENT;
    if (sh->params.step_limit)
        tour.steps = sh->params.step_limit;
    if (sh->alone)
        rc = coherence_part(sh, root, &whole);
    if (rc || !whole)
        return rc;
    tour.stamp = sh->alone ? ++sh->clock : __atomic_add_fetch(&sh->clock, 1, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < sh->params.roots && !rc; i++)
        if (sh->roots[i].key.size && (root == GN_SHADOW_ROOT_ANY || i == root))
            rc = table_coherence(sh, &tour, sh->roots[i].table);
    return rc;
}

int gn_shadow_coherence_root(struct gn_shadow *sh, uint32_t root)
{
    int rc;

    if (!sh)
        return -GN_ERR_NOENT;
    gn_shadow__enter_shared(sh);
    rc = coherence_enter(sh, root);
    gn_shadow__leave(sh);
    if (rc == GN_SHADOW__LATER) {
        gn_shadow__enter(sh);
        rc = coherence_enter(sh, root);
        gn_shadow__leave(sh);
    }
    return rc;
}

/* The entry of an unsync table that translates gva, if there is one on the way down. */
static void entry_coherence(struct gn_shadow *sh, uint32_t table, gn_gva_t gva)
{
    for (;;) {
        struct gn_shadow__table *t = &sh->tables[table];
        uint32_t i = gn_shadow__index(gva.v, t->role.level);
        uint64_t entry;

        if (t->role.level == 0) {
            gn_shadow__table_lock(sh, table);
            if (t->mode == GN_SHADOW_POLICY_UNSYNC)
                (void)gn_shadow__sync_entry(sh, table * GN_SHADOW__ENTRIES + i);
            gn_shadow__table_unlock(sh, table);
            return;
        }
        entry = gn_shadow__peek(&t->entries[i]);
        if (gn_shadow__kind(sh, t->role.level, entry) != GN_PAGING_ENTRY_TABLE)
            return;
        table = gn_shadow__link_table(sh, entry);
    }
}

int gn_shadow_coherence_page(struct gn_shadow *sh, uint32_t root, gn_gva_t gva)
{
    int given;

    if (!sh)
        return -GN_ERR_NOENT;
    gn_shadow__enter_shared(sh);
    given = gn_shadow__root_given(sh, root);
    for (uint32_t i = 0; i < sh->params.roots && given; i++)
        if (sh->roots[i].key.size && (root == GN_SHADOW_ROOT_ANY || i == root))
            entry_coherence(sh, sh->roots[i].table, gva);
    gn_shadow__leave(sh);
    return given ? 0 : -GN_ERR_NOENT;
}
