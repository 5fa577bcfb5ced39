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
 * All tables of a page have its mode. UNSYNC is for leaf-level tables alone: what they map wrongly
 * is found by re-reading them, while a stale link would lead to a table that stands for something
 * else. An absent entry of theirs is never stale, since it makes the MMU fault and the fault walks
 * the guest's tables; so they hold no markers, which would be (x86 sees an entry become present
 * without a flush, SDM vol. 3A §4.10.2.3), and only present entries are re-read.
 *
 * To find the unsync tables below a root without looking at all, each table has a bit for each of
 * its entries, set if there may be one behind it. A bit that is set in vain costs a look.
 */

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
        any |= t->below[i];
    return any != 0;
}

/* All ways up from a table say that something is unsync here. As deep as there are levels. */
static void below_mark(struct gn_shadow *sh, uint32_t table)
{
    for (uint32_t id = sh->tables[table].parents; id != GN_SHADOW__NIL; id = sh->links[id].next) {
        struct gn_shadow__table *p = &sh->tables[id / GN_SHADOW__ENTRIES];
        uint64_t *word = &p->below[id % GN_SHADOW__ENTRIES / 64];
        int marked = below_any(p);

        *word |= (uint64_t)1 << id % 64;
        if (!marked)
            below_mark(sh, id / GN_SHADOW__ENTRIES);
    }
}

void gn_shadow__policy_linked(struct gn_shadow *sh, uint32_t child)
{
    const struct gn_shadow__table *t = &sh->tables[child];

    if (t->mode == GN_SHADOW_POLICY_UNSYNC || below_any(t))
        below_mark(sh, child);
}

/* ---- Changes of mode --------------------------------------------------------------------------
 */

static void markers_drop(struct gn_shadow *sh, uint32_t table)
{
    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES; i++) {
        uint64_t entry = sh->tables[table].entries[i];

        if (entry && !(entry & 1))
            gn_shadow__mark_absent(sh, table * GN_SHADOW__ENTRIES + i, 0);
    }
}

/* The page may be written from here on: all that depends on it has been said when this returns. */
static void page_open(struct gn_shadow *sh, gn_gpa_t page, uint8_t mode)
{
    uint32_t table;

    for (uint32_t i = 0; (table = gn_shadow__table_of_page(sh, page, i)) != GN_SHADOW__NIL; i++) {
        struct gn_shadow__table *t = &sh->tables[table];

        t->mode = mode;
        t->idle = 0;
        t->traps = 0;
        if (mode == GN_SHADOW_POLICY_UNSYNC) {
            markers_drop(sh, table);
            below_mark(sh, table);
        }
    }
    sh->stats.pages_unsync += mode == GN_SHADOW_POLICY_UNSYNC;
    sh->stats.pages_traced += mode == GN_SHADOW_POLICY_TRACED;
}

/*
 * Re-reads what a leaf-level table maps. Nothing is freed: its entries lead to no tables.
 * @return how many entries were not what they should be
 */
static uint32_t table_reread(struct gn_shadow *sh, uint32_t table)
{
    uint64_t right = sh->stats.sync_unchanged;
    uint64_t read = sh->stats.sync_entries;

    sh->stats.unsync_rereads++;
    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES; i++)
        if (sh->tables[table].entries[i])
            (void)gn_shadow__sync_entry(sh, table * GN_SHADOW__ENTRIES + i);
    return (uint32_t)(sh->stats.sync_entries - read - (sh->stats.sync_unchanged - right));
}

/* Write-protected first, then re-read: a write in between would be lost the other way round. */
static void page_close(struct gn_shadow *sh, gn_gpa_t page)
{
    uint32_t table;

    gn_shadow__page_protect(sh, page);
    for (uint32_t i = 0; (table = gn_shadow__table_of_page(sh, page, i)) != GN_SHADOW__NIL; i++) {
        sh->tables[table].mode = GN_SHADOW_POLICY_TRAP;
        sh->tables[table].traps = 0;
        (void)table_reread(sh, table);
    }
    /* A walk that read the page before may have read what is not there any more. */
    sh->tracked++;
    sh->stats.pages_resynced++;
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
    if (sh->tables[other].mode == GN_SHADOW_POLICY_UNSYNC && t->role.level)
        page_close(sh, page);
    t->mode = sh->tables[other].mode;
}

void gn_shadow__policy_write(struct gn_shadow *sh, gn_gpa_t gpa)
{
    gn_gpa_t page = gn_gpa(gpa.v & ~GN_PAGE_MASK);
    uint32_t most = 0;
    uint32_t table;

    if (sh->params.policy <= GN_SHADOW_POLICY_TRACED || !gn_shadow__frame_tables(sh, page, 0) ||
        gn_shadow__page_mode(sh, page) != GN_SHADOW_POLICY_TRAP)
        return;
    for (uint32_t i = 0; (table = gn_shadow__table_of_page(sh, page, i)) != GN_SHADOW__NIL; i++)
        if (++sh->tables[table].traps > most)
            most = sh->tables[table].traps;
    if (sh->params.policy == GN_SHADOW_POLICY_ADAPT && most <= sh->params.unsync_after)
        return;
    if (sh->params.flags & GN_SHADOW_MMU_TRACES)
        page_open(sh, page, GN_SHADOW_POLICY_TRACED);
    else if (page_is_leaf_level(sh, page))
        page_open(sh, page, GN_SHADOW_POLICY_UNSYNC);
}

/* ---- Coherence points ---------------------------------------------------------------------------
 */

/* An unsync table at a flush. It may be gone when this returns. */
static void unsync_flush(struct gn_shadow *sh, uint32_t table)
{
    struct gn_shadow__table *t = &sh->tables[table];
    uint32_t changed = table_reread(sh, table);

    t->idle = changed ? 0 : t->idle + 1;
    if (t->present) {
        t->flood = 0;
    } else if (++t->flood > sh->params.flood_limit) {
        gn_shadow__table_drop(sh, table);
        sh->stats.tables_flooded++;
        return;
    }
    if (sh->params.policy == GN_SHADOW_POLICY_ADAPT && t->idle > sh->params.sync_after)
        page_close(sh, gn_gpa(t->role.gpa & ~GN_PAGE_MASK));
}

/* Depth is bounded by the levels; each table is visited once. */
static void table_coherence(struct gn_shadow *sh, uint32_t table)
{
    struct gn_shadow__table *t = &sh->tables[table];

    if (t->visited == sh->clock)
        return;
    t->visited = sh->clock;
    if (t->role.level == 0) {
        if (t->mode == GN_SHADOW_POLICY_UNSYNC)
            unsync_flush(sh, table);
        return;
    }
    for (uint32_t w = 0; w < GN_SHADOW__BELOW_WORDS; w++) {
        for (uint64_t rest = t->below[w]; rest; rest &= rest - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(rest);
            uint32_t child = GN_SHADOW__NIL;

            if (gn_shadow__kind(sh, t->role.level, t->entries[i]) == GN_PAGING_ENTRY_TABLE) {
                child = gn_shadow__link_table(sh, t->entries[i]);
                table_coherence(sh, child);
            }
            if (child == GN_SHADOW__NIL || (!below_any(&sh->tables[child]) &&
                                            sh->tables[child].mode != GN_SHADOW_POLICY_UNSYNC))
                t->below[w] &= ~((uint64_t)1 << i % 64);
        }
    }
}

static int root_given(const struct gn_shadow *sh, uint32_t root)
{
    return sh &&
           (root == GN_SHADOW_ROOT_ANY || (root < sh->params.roots && sh->roots[root].key.size));
}

int gn_shadow_coherence_root(struct gn_shadow *sh, uint32_t root)
{
    if (!root_given(sh, root))
        return -GN_ERR_NOENT;
    sh->clock++;
    for (uint32_t i = 0; i < sh->params.roots; i++)
        if (sh->roots[i].key.size && (root == GN_SHADOW_ROOT_ANY || i == root))
            table_coherence(sh, sh->roots[i].table);
    return 0;
}

/* The entry of an unsync table that translates gva, if there is one on the way down. */
static void entry_coherence(struct gn_shadow *sh, uint32_t table, gn_gva_t gva)
{
    for (;;) {
        struct gn_shadow__table *t = &sh->tables[table];
        uint32_t i = gn_shadow__index(gva.v, t->role.level);

        if (t->role.level == 0) {
            if (t->mode == GN_SHADOW_POLICY_UNSYNC)
                (void)gn_shadow__sync_entry(sh, table * GN_SHADOW__ENTRIES + i);
            return;
        }
        if (gn_shadow__kind(sh, t->role.level, t->entries[i]) != GN_PAGING_ENTRY_TABLE)
            return;
        table = gn_shadow__link_table(sh, t->entries[i]);
    }
}

int gn_shadow_coherence_page(struct gn_shadow *sh, uint32_t root, gn_gva_t gva)
{
    if (!root_given(sh, root))
        return -GN_ERR_NOENT;
    for (uint32_t i = 0; i < sh->params.roots; i++)
        if (sh->roots[i].key.size && (root == GN_SHADOW_ROOT_ANY || i == root))
            entry_coherence(sh, sh->roots[i].table, gva);
    return 0;
}
