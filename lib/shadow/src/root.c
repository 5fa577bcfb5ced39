/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/* Control bits that change what an entry means, and so distinguish roles. The rest belong to an
 * access: SUM, MXR and AC are judged by the MMU against the same entry. */
#define ROLE_X86_32 (GN_PAGING_X86_WP | GN_PAGING_X86_SMEP | GN_PAGING_X86_SMAP | GN_PAGING_X86_PSE)
#define ROLE_X86_PAE \
    (GN_PAGING_X86_WP | GN_PAGING_X86_SMEP | GN_PAGING_X86_SMAP | GN_PAGING_X86_NXE)
#define ROLE_X86_64 (ROLE_X86_PAE | GN_PAGING_X86_1G | GN_PAGING_X86_PKE)
#define ROLE_RISCV  GN_PAGING_RISCV_ADUE
#define ROLE_AARCH64                                                       \
    (GN_PAGING_AARCH64_HA | GN_PAGING_AARCH64_HD | GN_PAGING_AARCH64_WXN | \
     GN_PAGING_AARCH64_EPAN | GN_PAGING_AARCH64_EPD0 | GN_PAGING_AARCH64_EPD1)

/* An x86 MMU knows nothing like MXR: what is readable then depends on it. */
#define ROLE_RISCV_IN_X86 (GN_PAGING_RISCV_ADUE | GN_PAGING_RISCV_MXR)

/* Of the first version of the structure, without pkru. */
#define KEY_SIZE_FIRST offsetof(struct gn_shadow_root_key, pkru)

/* A format of guests whose rules are known here, and tables that may be its roots. */
static int key_check(const struct gn_shadow_root_key *key)
{
    struct gn_paging_geometry g;

    if (gn_paging_geometry(key->format, &g) || key->format >= GN_SHADOW__FORMATS)
        return -GN_ERR_NOTSUP;
    if ((key->table.v | (g.roots == 2 ? key->table_high.v : 0)) & (gn_shadow__root_bytes(&g) - 1))
        return -GN_ERR_INVAL;
    if (key->format == GN_PAGING_BARE)
        return 0;
    if (key->format > GN_PAGING_AARCH64_4K)
        return -GN_ERR_NOTSUP;
    return 0;
}

/* The controls that a key, and the roles below it, keep. */
static uint32_t role_controls(const struct gn_shadow *sh, uint32_t format)
{
    switch (format) {
    case GN_PAGING_BARE: return 0;
    case GN_PAGING_AARCH64_4K: return ROLE_AARCH64;
    case GN_PAGING_X86_32: return ROLE_X86_32;
    case GN_PAGING_X86_PAE: return ROLE_X86_PAE;
    case GN_PAGING_X86_4LEVEL:
    case GN_PAGING_X86_5LEVEL: return ROLE_X86_64;
    default: return gn_shadow__is_x86(sh->params.format) ? ROLE_RISCV_IN_X86 : ROLE_RISCV;
    }
}

/* What does not matter is not kept: keys that mean the same are the same. */
static void key_normalize(const struct gn_shadow *sh, struct gn_shadow_root_key *key)
{
    key->size = sizeof *key;
    key->controls &= role_controls(sh, key->format);
    /* An x86 MMU judges by its own PKRU. */
    if (!(key->controls & GN_PAGING_X86_PKE) || gn_shadow__is_x86(sh->params.format))
        key->pkru = 0;
    if (key->format == GN_PAGING_AARCH64_4K)
        key->phys_bits = key->phys_bits < 32 || key->phys_bits > 48 ? 48 : key->phys_bits;
    else if (!gn_shadow__is_x86(key->format))
        key->phys_bits = 0;
    else if (key->phys_bits < 32 || key->phys_bits > 52)
        key->phys_bits = 52;
    if (key->format != GN_PAGING_AARCH64_4K)
        key->table_high = gn_gpa(0);
}

static int key_equal(const struct gn_shadow_root_key *a, const struct gn_shadow_root_key *b)
{
    return a->table.v == b->table.v && a->table_high.v == b->table_high.v && a->tag == b->tag &&
           a->format == b->format && a->controls == b->controls && a->phys_bits == b->phys_bits &&
           a->pkru == b->pkru;
}

uint32_t gn_shadow__root_of(const struct gn_shadow *sh, uint32_t table)
{
    const struct gn_shadow__table *t = &sh->tables[table];

    if (t->roots != 1)
        return GN_SHADOW_ROOT_ANY;
    if (sh->roots[t->root].key.size && sh->roots[t->root].table == table)
        return t->root;
    for (uint32_t i = 0; i < sh->params.roots; i++)
        if (sh->roots[i].key.size && sh->roots[i].table == table)
            return i;
    return GN_SHADOW_ROOT_ANY;
}

void gn_shadow__root_evict(struct gn_shadow *sh, uint32_t root)
{
    struct gn_shadow__root *r = &sh->roots[root];
    uint32_t table = r->table;

    gn_shadow__check(sh, r->key.size && !r->held, "shadow: evicting a root in use");
    r->key.size = 0;
    sh->tables[table].roots--;
    /* The MMU forgets the root before its tables can be used for anything else. */
    if (sh->ops.root_gone)
        sh->ops.root_gone(sh->params.ops_ctx, root, r->cookie);
    /* What was global below it may be used through the others; nobody keeps it true any more. */
    if (!sh->ops.root_gone || sh->global) {
        gn_shadow__count(sh, invalidated_all, 1);
        sh->ops.invalidate_all(sh->params.ops_ctx);
    }
    gn_shadow__seam_free(sh, r);
    gn_shadow__table_release(sh, table);
}

int gn_shadow__roots_evict_at(struct gn_shadow *sh, uint32_t table)
{
    for (uint32_t i = 0; i < sh->params.roots; i++)
        if (sh->roots[i].key.size && sh->roots[i].table == table && sh->roots[i].held)
            return -GN_ERR_BUSY;
    for (uint32_t i = 0; i < sh->params.roots; i++)
        if (sh->roots[i].key.size && sh->roots[i].table == table)
            gn_shadow__root_evict(sh, i);
    return 0;
}

/* A free place for a root, or that of the root got longest ago and held by nobody. */
static uint32_t root_place(struct gn_shadow *sh)
{
    uint32_t oldest = GN_SHADOW__NIL;

    for (uint32_t i = 0; i < sh->params.roots; i++) {
        const struct gn_shadow__root *r = &sh->roots[i];

        if (!r->key.size)
            return i;
        if (!r->held && (oldest == GN_SHADOW__NIL || r->stamp < sh->roots[oldest].stamp))
            oldest = i;
    }
    return oldest;
}

/* A root that has its seam, if it is to have one: finds it a place and a table. */
static int root_settle(struct gn_shadow *sh, struct gn_shadow__root *made, uint32_t *ret)
{
    uint32_t level = gn_shadow__root_level(sh, made->key.format);
    struct gn_shadow__role role = gn_shadow__root_role(sh, &made->key, level, 0);
    uint32_t place;
    uint32_t table;
    int rc = gn_shadow__reserve(sh, 1);

    if (rc)
        return rc;
    place = root_place(sh);
    if (place == GN_SHADOW__NIL)
        return -GN_ERR_NOSPC;
    if (sh->roots[place].key.size)
        gn_shadow__root_evict(sh, place);
    /* The table first: making it may invalidate, which asks the roots where they begin. */
    rc = gn_shadow__table_ready(sh, &role, &table);
    if (rc)
        return rc;
    made->table = table;
    if (made->seam)
        gn_shadow__seam_copy(sh, made);
    made->cookie = ++sh->cookie;
    gn_shadow__loose_end(sh, table);
    sh->tables[table].roots++;
    sh->tables[table].root = place;
    sh->roots[place] = *made;
    *ret = place;
    return 0;
}

static int root_make(struct gn_shadow *sh, const struct gn_shadow_root_key *key, uint32_t *ret)
{
    struct gn_shadow__root made = {.key = *key};
    int rc = 0;

    /* First, since it may take other tables' frames, of which the root's own must not be one. */
    if (gn_shadow__root_level(sh, key->format) >= sh->geometry.levels)
        rc = gn_shadow__seam_make(sh, &made);
    if (!rc)
        rc = root_settle(sh, &made, ret);
    if (rc)
        gn_shadow__seam_free(sh, &made);
    return rc;
}

/* A holder more. The root was used last: which of those who share it at this moment, who cares. */
static void root_hold(struct gn_shadow *sh, struct gn_shadow__root *r)
{
    if (sh->alone) {
        r->held++;
        r->stamp = ++sh->clock;
        return;
    }
    __atomic_fetch_add(&r->held, 1, __ATOMIC_RELAXED);
    gn_shadow__poke(&r->stamp, __atomic_add_fetch(&sh->clock, 1, __ATOMIC_RELAXED));
}

/* A holder less. @return whether there was one */
static int root_drop(struct gn_shadow *sh, struct gn_shadow__root *r)
{
    uint32_t held = gn_shadow__peek(&r->held);

    if (sh->alone) {
        r->held -= held != 0;
        return held != 0;
    }
    while (held && !__atomic_compare_exchange_n(&r->held, &held, held - 1, 1, __ATOMIC_RELAXED,
                                                __ATOMIC_RELAXED))
        ;
    return held != 0;
}

/* @return 0 or a status, or GN_SHADOW__LATER if the root must be made by a call that is alone */
static int root_enter(struct gn_shadow *sh, const struct gn_shadow_root_key *key,
                      struct gn_shadow_root *ret_root)
{
    uint32_t i;
    int rc;

    for (i = 0; i < sh->params.roots; i++)
        if (sh->roots[i].key.size && key_equal(&sh->roots[i].key, key))
            break;
    if (i < sh->params.roots) {
        gn_shadow__count(sh, root_hits, 1);
    } else if (!sh->alone) {
        return GN_SHADOW__LATER;
    } else {
        rc = root_make(sh, key, &i);
        if (rc)
            return rc;
        gn_shadow__count(sh, root_misses, 1);
    }
    root_hold(sh, &sh->roots[i]);
    *ret_root = (struct gn_shadow_root){
        .id = i,
        .hpa = sh->roots[i].seam ? sh->roots[i].seam_hpa : sh->tables[sh->roots[i].table].hpa,
        .cookie = sh->roots[i].cookie};
    return 0;
}

int gn_shadow_root_get(struct gn_shadow *sh, const struct gn_shadow_root_key *key,
                       struct gn_shadow_root *ret_root)
{
    struct gn_shadow_root_key k;
    int rc;

    if (!sh || !ret_root)
        return -GN_ERR_INVAL;
    rc = gn_base_params_copy(&k, sizeof k, key, KEY_SIZE_FIRST);
    if (!rc)
        rc = key_check(&k);
    if (rc)
        return rc;
    key_normalize(sh, &k);
    gn_shadow__enter_shared(sh);
    rc = root_enter(sh, &k, ret_root);
    gn_shadow__leave(sh);
    if (rc == GN_SHADOW__LATER) {
        gn_shadow__enter(sh);
        rc = root_enter(sh, &k, ret_root);
        gn_shadow__leave(sh);
    }
    return rc;
}

int gn_shadow_root_put(struct gn_shadow *sh, uint32_t root)
{
    int held;

    if (!sh || root >= sh->params.roots)
        return -GN_ERR_NOENT;
    gn_shadow__enter_shared(sh);
    held = sh->roots[root].key.size && root_drop(sh, &sh->roots[root]);
    gn_shadow__leave(sh);
    return held ? 0 : -GN_ERR_NOENT;
}

/* A held root's table if it is a shadow of the guest's. @return GN_SHADOW__NIL: there is none */
static uint32_t guests_root(const struct gn_shadow *sh, uint32_t root)
{
    if (root >= sh->params.roots || !sh->roots[root].key.size)
        return GN_SHADOW__NIL;
    return sh->tables[sh->roots[root].table].role.direct == GN_SHADOW__GUEST ? sh->roots[root].table
                                                                             : GN_SHADOW__NIL;
}

static uint32_t adopt(struct gn_shadow *sh, uint32_t to, uint32_t from)
{
    uint32_t links = 0;

    for (uint32_t i = 0; i < GN_SHADOW__ENTRIES; i++) {
        uint64_t link = sh->tables[from].entries[i];

        if (gn_shadow__kind(sh, sh->tables[from].role.level, link) == GN_PAGING_ENTRY_TABLE &&
            gn_shadow__step(sh))
            links += (uint32_t)gn_shadow__link_try(sh, to * GN_SHADOW__ENTRIES + i, link);
    }
    return links;
}

int gn_shadow_root_adopt(struct gn_shadow *sh, uint32_t root, uint32_t from, uint32_t *ret_links)
{
    uint32_t a, b;
    uint32_t links = 0;

    if (!sh)
        return -GN_ERR_INVAL;
    gn_shadow__enter(sh);
    if (root >= sh->params.roots || !sh->roots[root].held) {
        gn_shadow__leave(sh);
        return -GN_ERR_NOENT;
    }
    a = guests_root(sh, root);
    b = guests_root(sh, from);
    if (a != GN_SHADOW__NIL && b != GN_SHADOW__NIL && a != b &&
        sh->tables[a].role.level == sh->tables[b].role.level)
        links = adopt(sh, a, b);
    gn_shadow__leave(sh);
    if (ret_links)
        *ret_links = links;
    return 0;
}
