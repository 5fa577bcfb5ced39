/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/* Parents of a table that are asked where it stands. */
#define PARENTS_FEW 64u

/* Ways to an entry that the MMU is told of one by one. */
#define WAYS_MOST 4u

/* What of a leaf's permissions and marks only writes depend on. */
#define OF_WRITES (GN_PAGING_W | GN_PAGING_D | GN_SHADOW_TRACED)

/* ---- Entries ---------------------------------------------------------------------------- */

static uint64_t *entry_at(struct gn_shadow *sh, uint32_t id)
{
    return &sh->tables[id / GN_SHADOW__ENTRIES].entries[id % GN_SHADOW__ENTRIES];
}

/*
 * The MMU may walk the table while it is written: one store an entry, and ordered after whatever
 * was written to a table that it links.
 */
static void entry_write(struct gn_shadow *sh, uint32_t id, uint64_t value)
{
    __atomic_store_n(entry_at(sh, id), value, __ATOMIC_RELEASE);
    if (sh->seams)
        gn_shadow__seam_written(sh, id);
}

uint32_t gn_shadow__kind(struct gn_shadow *sh, uint32_t level, uint64_t entry)
{
    struct gn_paging_entry e;

    /* Bit 0 is the present bit of every format that we write. */
    if (!(entry & 1))
        return GN_PAGING_ENTRY_ABSENT;
    if (level == 0)
        return GN_PAGING_ENTRY_LEAF;
    if (gn_paging_entry_decode(&sh->context, gn_shadow__encoding(sh, level), entry, &e))
        return GN_PAGING_ENTRY_ABSENT;
    return e.kind;
}

void gn_shadow__mark_absent(struct gn_shadow *sh, uint32_t id, uint64_t marker)
{
    gn_shadow__check(sh, !(*entry_at(sh, id) & 1) && !(marker & 1),
                     "shadow: a marker over a present entry");
    entry_write(sh, id, marker);
}

void gn_shadow__link_set(struct gn_shadow *sh, uint32_t id, uint32_t child)
{
    struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];
    struct gn_paging_entry e = {.kind = GN_PAGING_ENTRY_TABLE,
                                .permissions = GN_PAGING_RWXU | GN_PAGING_A,
                                .address = sh->tables[child].hpa.v};
    uint64_t value = 0;
    int rc = gn_paging_entry_encode(sh->params.format, gn_shadow__encoding(sh, t->role.level), &e,
                                    &value);

    gn_shadow__check(sh, rc == 0 && !(*entry_at(sh, id) & 1), "shadow: cannot link a table");
    gn_shadow__chain_add(sh, id, GN_SHADOW__HEAD_TABLE | child);
    t->present++;
    gn_shadow__loose_end(sh, child);
    gn_shadow__policy_linked(sh, id, child);
    entry_write(sh, id, value);
}

/* Who evicts a root must know that what was below it may be used through others that stay. */
static void leaf_write(struct gn_shadow *sh, uint32_t id, uint64_t entry)
{
    struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];
    struct gn_paging_entry e;

    if (sh->params.flags & GN_SHADOW_MMU_GLOBAL &&
        gn_paging_entry_decode(&sh->context, t->role.level, entry, &e) == 0 &&
        e.permissions & GN_PAGING_G)
        gn_shadow__poke(&sh->global, 1u);
    entry_write(sh, id, entry);
}

void gn_shadow__leaf_set(struct gn_shadow *sh, uint32_t id, uint64_t entry, uint32_t frame)
{
    struct gn_shadow__table *t = &sh->tables[id / GN_SHADOW__ENTRIES];

    uint32_t lock = gn_shadow__chain_lock(sh, entry);

    gn_shadow__check(sh, !(*entry_at(sh, id) & 1), "shadow: a leaf over a present entry");
    gn_shadow__chain_add(sh, id, frame);
    gn_shadow__chain_unlock(sh, lock);
    t->present++;
    gn_shadow__count(sh, large_leaves, t->role.level > 0);
    leaf_write(sh, id, entry);
}

/* ---- Forgetting translations ------------------------------------------------------------ */

/* How an entry is reached: at which addresses, and from which root, or any. */
struct ways {
    uint32_t count;
    uint32_t links; /* looked at on the way */
    struct {
        uint64_t gva;
        uint32_t root;
    } way[WAYS_MOST];
};

/*
 * Do all parents of a table link it at one index, and begin roots? Then what it has is reached at
 * one address from any of them.
 */
static int parents_agree(struct gn_shadow *sh, uint32_t first)
{
    uint32_t count = 0;

    for (uint32_t id = first; id != GN_SHADOW__NIL; id = sh->links[id].next) {
        const struct gn_shadow__table *p = &sh->tables[id / GN_SHADOW__ENTRIES];

        if (id % GN_SHADOW__ENTRIES != first % GN_SHADOW__ENTRIES || !p->roots ||
            p->parents != GN_SHADOW__NIL || ++count > PARENTS_FEW)
            return 0;
    }
    return 1;
}

/* Adds a way. @return 0: there is no room */
static int way_add(const struct gn_shadow *sh, struct ways *w, uint64_t gva, uint32_t root)
{
    uint32_t sign = 64 - sh->geometry.va_bits;

    if (w->count == WAYS_MOST)
        return 0;
    w->way[w->count].gva = (uint64_t)((int64_t)(gva << sign) >> sign);
    w->way[w->count++].root = root;
    return 1;
}

/* The address bits that an entry stands for in its table. */
static uint64_t gva_part(const struct gn_shadow *sh, uint32_t id)
{
    uint32_t level = sh->tables[id / GN_SHADOW__ENTRIES].role.level;

    return (uint64_t)(id % GN_SHADOW__ENTRIES) << gn_shadow__shift(level);
}

/* Depth is bounded by the levels. @return 0: there are more ways than are worth telling */
static int ways_find(struct gn_shadow *sh, uint32_t id, uint64_t gva, struct ways *w)
{
    uint32_t table = id / GN_SHADOW__ENTRIES;
    const struct gn_shadow__table *t = &sh->tables[table];
    uint32_t up = t->parents;

    gva |= gva_part(sh, id);
    if (up == GN_SHADOW__NIL)
        return !t->roots || way_add(sh, w, gva, gn_shadow__root_of(sh, table));
    if (t->roots)
        return 0;
    if (sh->links[up].next != GN_SHADOW__NIL && parents_agree(sh, up))
        return way_add(sh, w, gva | gva_part(sh, up), GN_SHADOW_ROOT_ANY);
    for (; up != GN_SHADOW__NIL; up = sh->links[up].next)
        if (++w->links > PARENTS_FEW || !ways_find(sh, up, gva, w))
            return 0;
    return 1;
}

/* Could the MMU have used it through other roots than those that lead to it? */
static int reached_by_any(const struct gn_shadow *sh, uint32_t level, uint64_t value)
{
    struct gn_paging_entry e = {0};

    if (!(sh->params.flags & GN_SHADOW_MMU_GLOBAL))
        return 0;
    /* A link: perhaps by what is below. */
    return gn_paging_entry_decode(&sh->context, gn_shadow__encoding(sh, level), value, &e) ||
           e.kind != GN_PAGING_ENTRY_LEAF || e.permissions & GN_PAGING_G;
}

/*
 * Has the MMU forget what it may have cached of an entry, all of it or what serves writes. A kernel
 * that has a page twice has it in one table, where its parents are alike: that is two ways.
 */
static void invalidate(struct gn_shadow *sh, uint32_t id, uint64_t value, int writes)
{
    uint32_t level = sh->tables[id / GN_SHADOW__ENTRIES].role.level;
    uint64_t span = gn_shadow__span(level);
    struct ways w = {0};

    if (!ways_find(sh, id, 0, &w)) {
        gn_shadow__count(sh, invalidated_all, 1);
        sh->ops.invalidate_all(sh->params.ops_ctx);
        return;
    }
    gn_shadow__count(sh, invalidated_writes, writes ? w.count : 0);
    gn_shadow__count(sh, invalidated_ranges, writes ? 0 : w.count);
    for (uint32_t i = 0; i < w.count; i++) {
        uint32_t root = reached_by_any(sh, level, value) ? GN_SHADOW_ROOT_ANY : w.way[i].root;
        gn_gva_t gva = gn_gva(w.way[i].gva);

        /* Above all that the MMU knows: one half of its addresses. */
        if (level >= sh->geometry.levels) {
            span = (uint64_t)1 << (sh->geometry.va_bits - 1);
            gva.v = id % GN_SHADOW__ENTRIES ? 0 - span : 0;
        }
        (writes ? sh->ops.invalidate_writes : sh->ops.invalidate_range)(sh->params.ops_ctx, root,
                                                                        gva, span);
    }
}

void gn_shadow__invalidate(struct gn_shadow *sh, uint32_t id, uint64_t value)
{
    invalidate(sh, id, value, 0);
}

void gn_shadow__leaf_update(struct gn_shadow *sh, uint32_t id, uint64_t entry)
{
    uint32_t level = sh->tables[id / GN_SHADOW__ENTRIES].role.level;
    uint64_t *at = entry_at(sh, id);
    uint64_t before = *at;
    struct gn_paging_entry was;
    struct gn_paging_entry is;
    uint32_t lost;

    if (gn_paging_entry_decode(&sh->context, level, before, &was) ||
        gn_paging_entry_decode(&sh->context, level, entry, &is))
        return;
    leaf_write(sh, id, entry);
    lost = was.permissions & ~is.permissions;
    /* Less allowed, or a mark that the MMU must heed; a mere upgrade it may learn later. */
    if (lost & ~OF_WRITES || (was.permissions ^ is.permissions) & GN_PAGING_U ||
        was.address != is.address || was.attributes != is.attributes)
        gn_shadow__invalidate(sh, id, before);
    else if (lost || is.permissions & ~was.permissions & GN_SHADOW_TRACED)
        invalidate(sh, id, before, sh->ops.invalidate_writes != NULL);
}

/* ---- Finding and making tables ---------------------------------------------------------- */

int gn_shadow__role_equal(const struct gn_shadow__role *a, const struct gn_shadow__role *b)
{
    return a->gpa == b->gpa && a->gpa_high == b->gpa_high && a->level == b->level &&
           a->direct == b->direct && a->permissions == b->permissions && a->format == b->format &&
           a->controls == b->controls && a->phys_bits == b->phys_bits && a->pkru == b->pkru &&
           a->quadrant == b->quadrant && a->half == b->half;
}

uint32_t gn_shadow__table_find(struct gn_shadow *sh, const struct gn_shadow__role *role)
{
    uint32_t i = *gn_shadow__bucket(sh, sh->by_gpa, role->gpa);

    while (i != GN_SHADOW__NIL && !gn_shadow__role_equal(&sh->tables[i].role, role))
        i = sh->tables[i].hash_next;
    return i;
}

uint32_t gn_shadow__link_table(struct gn_shadow *sh, uint64_t entry)
{
    struct gn_paging_entry e = {0};
    uint32_t i;
    /* Any level above 0 decodes a link. */
    int rc = gn_paging_entry_decode(&sh->context, 1, entry, &e);

    gn_shadow__check(sh, rc == 0, "shadow: a link does not decode");
    i = *gn_shadow__bucket(sh, sh->by_hpa, e.address);
    while (i != GN_SHADOW__NIL && sh->tables[i].hpa.v != e.address)
        i = sh->tables[i].hpa_next;
    gn_shadow__check(sh, i != GN_SHADOW__NIL, "shadow: a link leads to no table");
    return i;
}

static void bucket_remove(uint32_t *bucket, struct gn_shadow__table *tables, uint32_t table,
                          int by_hpa)
{
    while (*bucket != table)
        bucket = by_hpa ? &tables[*bucket].hpa_next : &tables[*bucket].hash_next;
    *bucket = by_hpa ? tables[table].hpa_next : tables[table].hash_next;
}

/*
 * A leaf of a page that begins to hold a table, or to be watched: from here on its writes must be
 * known. Writable leaves are write-protected or marked.
 */
void gn_shadow__leaf_guard(struct gn_shadow *sh, gn_gpa_t page, uint32_t id)
{
    struct gn_paging_entry e;
    uint64_t value;

    if (gn_paging_entry_decode(&sh->context, 0, *entry_at(sh, id), &e) ||
        !(e.permissions & GN_PAGING_W))
        return;
    if (gn_shadow__page_mode(sh, page) == GN_SHADOW_POLICY_TRAP)
        e.permissions &= ~(GN_PAGING_W | GN_PAGING_D);
    else
        e.permissions |= GN_SHADOW_TRACED;
    if (gn_paging_entry_encode(sh->params.format, 0, &e, &value) == 0)
        gn_shadow__leaf_update(sh, id, value);
}

void gn_shadow__page_track(struct gn_shadow *sh, gn_gpa_t page)
{
    gn_shadow__shut_begin(sh, page);
    (void)gn_shadow__shut_run(sh, page);
}

void gn_shadow__table_track(struct gn_shadow *sh, struct gn_shadow__table *t)
{
    gn_gpa_t page = gn_gpa(t->role.gpa & ~GN_PAGE_MASK);

    t->frame = t->role.direct ? GN_SHADOW__NO_FRAME : gn_shadow__frame(sh, page, 0);
    if (t->frame == GN_SHADOW__NO_FRAME ||
        (gn_shadow__frame_count(sh, page, 1) & GN_SHADOW__TABLES_OF) != 1)
        return;
    gn_shadow__count(sh, table_pages, 1);
    gn_shadow__count(sh, traced_pages, sh->params.policy == GN_SHADOW_POLICY_TRACED);
    /* Even if it is watched: what was written so far was of no concern to us. */
    sh->tracked++;
    if (gn_shadow__frame_tables(sh, page, 0) == 1)
        gn_shadow__page_track(sh, page);
    if (sh->ops.table_page)
        sh->ops.table_page(sh->params.ops_ctx, page, 1);
}

/*
 * A page holds no table any more, nor is it watched: its writes need not be recorded. Leaves that
 * were write-protected stay so; the first write through one faults and fills it anew.
 */
void gn_shadow__page_untrack(struct gn_shadow *sh, gn_gpa_t page, uint32_t frame)
{
    gn_shadow__shut_end(sh, page);
    /* A mark that stays, for want of steps, costs a record of each write, and nothing else. */
    for (uint32_t id = *gn_shadow__frame_head(sh, frame);
         id != GN_SHADOW__NIL && gn_shadow__step(sh); id = sh->links[id].next) {
        struct gn_paging_entry e;
        uint64_t value;

        if (gn_paging_entry_decode(&sh->context, 0, *entry_at(sh, id), &e) ||
            !(e.permissions & GN_SHADOW_TRACED))
            continue;
        e.permissions &= ~GN_SHADOW_TRACED;
        /* This invalidates: an MMU that keeps the mark would go on recording. */
        if (gn_paging_entry_encode(sh->params.format, 0, &e, &value) == 0)
            gn_shadow__leaf_update(sh, id, value);
    }
}

void gn_shadow__table_untrack(struct gn_shadow *sh, struct gn_shadow__table *t)
{
    gn_gpa_t page = gn_gpa(t->role.gpa & ~GN_PAGE_MASK);

    uint32_t frame = t->frame;

    t->frame = GN_SHADOW__NO_FRAME;
    if (frame == GN_SHADOW__NO_FRAME || gn_shadow__frame_count(sh, page, -1) & GN_SHADOW__TABLES_OF)
        return;
    gn_shadow__policy_leave(sh, t);
    if (!gn_shadow__frame_tables(sh, page, 0))
        gn_shadow__page_untrack(sh, page, frame);
    if (sh->ops.table_page)
        sh->ops.table_page(sh->params.ops_ctx, page, 0);
}

uint32_t gn_shadow__table_get(struct gn_shadow *sh, const struct gn_shadow__role *role)
{
    uint32_t table = gn_shadow__table_find(sh, role);
    struct gn_shadow__table *t;
    uint32_t *bucket;

    if (table != GN_SHADOW__NIL)
        return table;
    table = sh->free_list;
    gn_shadow__check(sh, table != GN_SHADOW__NIL && sh->tables[table].entries,
                     "shadow: a table was not reserved");
    t = &sh->tables[table];
    sh->free_list = t->hash_next;
    sh->spare--;
    t->role = *role;
    t->parents = GN_SHADOW__NIL;
    t->roots = 0;
    t->present = 0;
    t->flood = 0;
    t->traps = 0;
    t->idle = 0;
    t->mode = GN_SHADOW_POLICY_TRAP;
    t->state = 0;
    memset(t->below, 0, sizeof t->below);
    t->live = 1;
    t->referenced = 1;
    memset(t->entries, 0, GN_PAGE_SIZE);
    memset(&sh->links[table * GN_SHADOW__ENTRIES], 0xff,
           GN_SHADOW__ENTRIES * sizeof(struct gn_shadow__link));
    bucket = gn_shadow__bucket(sh, sh->by_gpa, role->gpa);
    t->hash_next = *bucket;
    *bucket = table;
    bucket = gn_shadow__bucket(sh, sh->by_hpa, t->hpa.v);
    t->hpa_next = *bucket;
    *bucket = table;
    gn_shadow__count(sh, tables_created, 1);
    gn_shadow__poke(&sh->live, sh->live + 1);
    sh->touchy += (uint32_t)gn_shadow__is_touchy(role);
    sh->wide += (uint32_t)gn_shadow__is_wide(role);
    if (sh->live > sh->live_peak)
        gn_shadow__poke(&sh->live_peak, sh->live);
    gn_shadow__loose_begin(sh, table);
    gn_shadow__table_track(sh, t);
    gn_shadow__policy_join(sh, table);
    return table;
}

/* ---- Taking tables apart ---------------------------------------------------------------- */

/* An entry has been made absent and the MMU knows: unchains it, and frees what it alone led to. */
static void entry_detach(struct gn_shadow *sh, uint32_t id, uint64_t value, uint32_t kind)
{
    uint32_t lock;

    if (kind == GN_PAGING_ENTRY_ABSENT)
        return;
    sh->tables[id / GN_SHADOW__ENTRIES].present--;
    lock = gn_shadow__chain_lock(sh, value);
    gn_shadow__chain_remove(sh, id);
    gn_shadow__chain_unlock(sh, lock);
    if (kind == GN_PAGING_ENTRY_TABLE)
        gn_shadow__table_release(sh, gn_shadow__link_table(sh, value));
}

/* Could the MMU have cached anything by way of an entry of this kind? */
static int may_be_cached(struct gn_shadow *sh, uint64_t value, uint32_t kind)
{
    if (kind == GN_PAGING_ENTRY_ABSENT)
        return 0;
    return kind == GN_PAGING_ENTRY_LEAF || !(sh->params.flags & GN_SHADOW_MMU_LEAVES) ||
           sh->tables[gn_shadow__link_table(sh, value)].present;
}

void gn_shadow__entry_drop(struct gn_shadow *sh, uint32_t id)
{
    uint64_t value = *entry_at(sh, id);
    uint32_t kind = gn_shadow__kind(sh, sh->tables[id / GN_SHADOW__ENTRIES].role.level, value);

    /*
     * The entry goes first, then what the MMU cached of it, and only then the table behind it. Of
     * an empty table the MMU may have cached the way to it (SDM vol. 3A §4.10.3).
     */
    entry_write(sh, id, 0);
    if (may_be_cached(sh, value, kind))
        gn_shadow__invalidate(sh, id, value);
    entry_detach(sh, id, value, kind);
}

void gn_shadow__entry_clear(struct gn_shadow *sh, uint32_t id)
{
    uint64_t value = *entry_at(sh, id);
    uint32_t kind = gn_shadow__kind(sh, sh->tables[id / GN_SHADOW__ENTRIES].role.level, value);

    entry_write(sh, id, 0);
    entry_detach(sh, id, value, kind);
}

/* The MMU is not told: nothing leads it here. @return is the table empty? */
static int table_empty(struct gn_shadow *sh, uint32_t table)
{
    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES && sh->tables[table].present; i++) {
        if (!(sh->tables[table].entries[i] & 1))
            continue;
        if (!gn_shadow__step(sh))
            return 0;
        gn_shadow__entry_clear(sh, table * GN_SHADOW__ENTRIES + i);
    }
    return 1;
}

void gn_shadow__table_release(struct gn_shadow *sh, uint32_t table)
{
    struct gn_shadow__table *t = &sh->tables[table];

    if (t->parents != GN_SHADOW__NIL || t->roots)
        return;
    gn_shadow__loose_begin(sh, table);
    gn_shadow__poke(&t->referenced, 0);
    /* Depth is bounded: each step down is a level lower. */
    if (!table_empty(sh, table))
        return;
    gn_shadow__loose_end(sh, table);
    gn_shadow__table_untrack(sh, t);
    bucket_remove(gn_shadow__bucket(sh, sh->by_gpa, t->role.gpa), sh->tables, table, 0);
    bucket_remove(gn_shadow__bucket(sh, sh->by_hpa, t->hpa.v), sh->tables, table, 1);
    t->live = 0;
    t->hash_next = sh->free_list;
    sh->free_list = table;
    sh->spare++;
    sh->freed++;
    gn_shadow__poke(&sh->live, sh->live - 1);
    sh->touchy -= (uint32_t)gn_shadow__is_touchy(&t->role);
    sh->wide -= (uint32_t)gn_shadow__is_wide(&t->role);
    gn_shadow__count(sh, tables_freed, 1);
}

void gn_shadow__table_drop(struct gn_shadow *sh, uint32_t table)
{
    struct gn_shadow__table *t = &sh->tables[table];

    if (t->roots && gn_shadow__roots_evict_at(sh, table))
        return;
    /* The eviction frees it already if nothing else leads here; so does dropping the last link. */
    while (t->live && t->parents != GN_SHADOW__NIL) {
        if (!gn_shadow__step(sh))
            return;
        gn_shadow__entry_drop(sh, t->parents);
    }
    if (t->live)
        gn_shadow__table_release(sh, table);
}

/* ---- Memory ----------------------------------------------------------------------------- */

void gn_shadow__spare_trim(struct gn_shadow *sh, uint32_t keep)
{
    /* Tables with a frame stand first on the free list. */
    uint32_t table = sh->free_list;
    uint32_t kept = 0;

    for (; table != GN_SHADOW__NIL; table = sh->tables[table].hash_next) {
        struct gn_shadow__table *t = &sh->tables[table];

        if (!t->entries)
            break;
        if (kept++ < keep)
            continue;
        sh->ops.frame_free(sh->params.ops_ctx, t->hpa, t->entries);
        t->entries = NULL;
        sh->spare--;
    }
}

/* Gives the first table of the free list that has no frame a frame, and puts it in front. */
static int spare_add(struct gn_shadow *sh)
{
    uint32_t *at = &sh->free_list;
    uint32_t table;
    gn_hpa_t hpa;
    void *frame;

    while (*at != GN_SHADOW__NIL && sh->tables[*at].entries)
        at = &sh->tables[*at].hash_next;
    table = *at;
    if (table == GN_SHADOW__NIL || sh->ops.frame_alloc(sh->params.ops_ctx, &hpa, &frame))
        return -GN_ERR_NOMEM;
    gn_shadow__check(sh, !((hpa.v | (uintptr_t)frame) & GN_PAGE_MASK),
                     "shadow: an unaligned frame was given");
    *at = sh->tables[table].hash_next;
    sh->tables[table].hash_next = sh->free_list;
    sh->free_list = table;
    sh->tables[table].hpa = hpa;
    sh->tables[table].entries = frame;
    sh->spare++;
    return 0;
}

int gn_shadow__reserve(struct gn_shadow *sh, uint32_t count)
{
    while (sh->spare < count) {
        int rc = spare_add(sh) ? gn_shadow__reclaim(sh) : 0;

        if (rc)
            return rc;
    }
    if (sh->spare > count + GN_SHADOW__SPARE)
        gn_shadow__spare_trim(sh, count + GN_SHADOW__SPARE);
    return 0;
}
