/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions come, go, and end early: by erasure, or when a check fails. */
#include "cachecrypt_internal.h"

#define BUDGET_DEFAULT ((uint64_t)64 << 30)
#define BUDGET_PAGES   64u /* the least, in pages */
#define PACE_DEFAULT   2u

static int is_power(uint64_t n)
{
    return n && !(n & (n - 1));
}

static int check_cipher(const struct gn_cachecrypt *cc, const struct gn_cachecrypt_cipher *c)
{
    if (!c->id || c->key_bytes < 16 || c->key_bytes > GN_CACHECRYPT_KEY_MAX ||
        c->nonce_bytes < GN_CACHECRYPT_NONCE_MIN || c->nonce_bytes > GN_CACHECRYPT_NONCE_MAX ||
        c->tag_bytes < GN_CACHECRYPT_TAG_MIN || c->tag_bytes > GN_CACHECRYPT_TAG_MAX ||
        !c->state_bytes || !c->expand || !c->seal || !c->open ||
        c->flags & ~GN_CACHECRYPT_CIPHER_ONE_PASS || c->reserved)
        return -GN_ERR_INVAL;
    return c->state_bytes > cc->state_bytes ? -GN_ERR_NOMEM : 0;
}

static int check(const struct gn_cachecrypt *cc, struct gn_cachecrypt_region_params *p)
{
    if (!p->page_bytes)
        p->page_bytes = cc->frame_bytes;
    if (!p->key_budget)
        p->key_budget = BUDGET_DEFAULT;
    if (!p->page_seals)
        p->page_seals = GN_CACHECRYPT_SEALS_MAX;
    if (!p->sweep_pace)
        p->sweep_pace = PACE_DEFAULT;
    if (!is_power(p->page_bytes) || p->page_bytes < GN_CACHECRYPT_PAGE_MIN ||
        p->page_bytes > cc->frame_bytes || !p->pages || p->pages > GN_CACHECRYPT_PAGES_MAX ||
        p->page_seals > GN_CACHECRYPT_SEALS_MAX || p->reserved || !p->data || !p->meta ||
        (uintptr_t)p->meta % sizeof(uint64_t) ||
        p->key_budget < (uint64_t)BUDGET_PAGES * p->page_bytes)
        return -GN_ERR_INVAL;
    return 0;
}

/** The store is as large as it must be, and nobody else's. */
static int check_store(const struct gn_cachecrypt *cc, const struct gn_cachecrypt_region_params *p,
                       uint64_t meta_bytes)
{
    const uint64_t data = (uintptr_t)p->data, meta = (uintptr_t)p->meta;
    const uint64_t data_bytes = p->pages * p->page_bytes;

    if (!gn_cachecrypt__addressable(data, data_bytes) ||
        !gn_cachecrypt__addressable(meta, meta_bytes))
        return -GN_ERR_RANGE;
    if (p->data_bytes < data_bytes || p->meta_bytes < meta_bytes)
        return -GN_ERR_NOMEM;
    if (gn_cachecrypt__overlap(data, data_bytes, meta, meta_bytes) ||
        gn_cachecrypt__in_pool(cc, data, data_bytes) ||
        gn_cachecrypt__in_pool(cc, meta, meta_bytes))
        return -GN_ERR_INVAL;
    if (gn_cachecrypt__in_store(cc, data, data_bytes) ||
        gn_cachecrypt__in_store(cc, meta, meta_bytes) ||
        gn_cachecrypt__in_window(cc, data, data_bytes) ||
        gn_cachecrypt__in_window(cc, meta, meta_bytes))
        return -GN_ERR_EXIST;
    return 0;
}

int gn_cachecrypt__in_store(const struct gn_cachecrypt *cc, uint64_t base, uint64_t bytes)
{
    uint32_t i;

    for (i = 0; i < cc->region_count; i++) {
        const struct gn_cachecrypt__region *reg = &cc->regions[i];

        if (reg->state != STATE_FREE &&
            (gn_cachecrypt__overlap((uintptr_t)reg->data, reg->data_bytes, base, bytes) ||
             gn_cachecrypt__overlap((uintptr_t)reg->tags, reg->meta_bytes, base, bytes)))
            return 1;
    }
    return 0;
}

static struct gn_cachecrypt__region *find_free(struct gn_cachecrypt *cc)
{
    uint32_t i;

    for (i = 0; i < cc->region_count; i++)
        if (cc->regions[i].state == STATE_FREE)
            return &cc->regions[i];
    return NULL;
}

/** Forgets all but where its keys are. */
static void clear(struct gn_cachecrypt__region *reg)
{
    uint8_t *keys[2] = {reg->keys[0], reg->keys[1]};

    memset(reg, 0, sizeof *reg);
    reg->keys[0] = keys[0];
    reg->keys[1] = keys[1];
}

static void set_up(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg,
                   const struct gn_cachecrypt_region_params *p,
                   const struct gn_cachecrypt_cipher *cipher)
{
    struct gn_cachecrypt__meta meta;
    uint32_t i;

    gn_cachecrypt__meta_make(p->pages, cipher->tag_bytes, &meta);
    clear(reg);
    reg->page_bytes = p->page_bytes;
    reg->page_shift = (uint32_t)__builtin_ctz(p->page_bytes);
    reg->pages = p->pages;
    reg->serial = ++cc->serial;
    reg->data = p->data;
    reg->data_bytes = p->pages * p->page_bytes;
    reg->tags = p->meta;
    reg->meta_bytes = meta.total;
    reg->levels = meta.levels;
    for (i = 0; i < meta.levels; i++)
        reg->level[i] = (uint64_t *)((uint8_t *)p->meta + meta.level[i]);
    for (i = 0; i < LEVELS_MAX; i++)
        reg->changed[i] = NONE;
    reg->cipher = *cipher;
    reg->budget = p->key_budget;
    reg->page_seals = p->page_seals;
    reg->pace = p->sweep_pace;
}

static int add(struct gn_cachecrypt *cc, const struct gn_cachecrypt_region_params *p,
               const struct gn_cachecrypt_cipher *cipher, uint32_t *ret_region)
{
    const uint64_t meta_bytes = gn_cachecrypt_meta_size(p->pages, cipher);
    struct gn_cachecrypt__region *reg;
    int r;

    if (cc->copied)
        return -GN_ERR_PERM;
    r = check_store(cc, p, meta_bytes);
    if (r)
        return r;
    reg = find_free(cc);
    if (!reg)
        return -GN_ERR_NOSPC;
    set_up(cc, reg, p, cipher);
    r = cc->ops.random(cc->ctx, reg->tree_key, sizeof reg->tree_key);
    if (!r)
        r = gn_cachecrypt__epoch_begin(cc, reg);
    if (r) {
        gn_cachecrypt__keys_wipe(cc, reg);
        gn_cachecrypt__scrub(cc); /* while it is known by which cipher */
        clear(reg);
        return r;
    }
    gn_cachecrypt__tree_init(cc, reg);
    reg->state = GN_CACHECRYPT_STATE_LIVE;
    *ret_region = gn_cachecrypt__number(cc, reg);
    return 0;
}

int gn_cachecrypt_region_add(struct gn_cachecrypt *cc,
                             const struct gn_cachecrypt_region_params *params, uint32_t *ret_region)
{
    struct gn_cachecrypt_region_params p;
    struct gn_cachecrypt_cipher cipher;
    int r;

    if (!cc || !ret_region)
        return -GN_ERR_INVAL;
    r = gn_base_params_copy(&p, sizeof p, params, sizeof p);
    if (!r)
        r = gn_base_params_copy(&cipher, sizeof cipher, p.cipher, sizeof cipher);
    if (!r)
        r = check(cc, &p);
    if (!r)
        r = check_cipher(cc, &cipher);
    if (r)
        return r;
    gn_cachecrypt__lock(cc);
    return gn_cachecrypt__leave(cc, add(cc, &p, &cipher, ret_region));
}

/**
 * Takes everything of a region out of the pool, plaintext and keys. What is pinned cannot be found
 * any more, and is wiped when it is unpinned; so is what ops.unmap does not let go, the next time.
 */
static int purge(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg)
{
    const uint64_t number = gn_cachecrypt__number(cc, reg);
    int first = 0, r;
    uint32_t f;

    gn_cachecrypt__keys_wipe(cc, reg);
    gn_cachecrypt__tree_drop(cc, reg);
    reg->root[0] = reg->root[1] = 0;
    reg->sweeping = 0;
    for (f = 0; f < cc->frame_count; f++) {
        if (!cc->table[f].used || cc->table[f].key >> 32 != number)
            continue;
        if (!cc->table[f].orphan)
            gn_cachecrypt__forget(cc, f);
        cc->table[f].orphan = 1;
        r = gn_cachecrypt__unmap(cc, f);
        first = first ? first : r;
        if (!r && !cc->table[f].pins)
            gn_cachecrypt__drop(cc, f);
    }
    return first;
}

int gn_cachecrypt__poison(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg)
{
    reg->state = GN_CACHECRYPT_STATE_POISONED;
    cc->stats.auth_failures++;
    /* A page whose mapping stays is wiped by a later attempt; there is nobody to tell here. */
    (void)purge(cc, reg);
    return -GN_ERR_BADMSG;
}

void gn_cachecrypt__disown(struct gn_cachecrypt *cc)
{
    uint32_t i;

    cc->copied = 1;
    for (i = 0; i < cc->region_count; i++)
        gn_cachecrypt__keys_wipe(cc, &cc->regions[i]);
}

/** A region in whatever state, but there. */
static int enter_any(struct gn_cachecrypt *cc, uint32_t region,
                     struct gn_cachecrypt__region **ret_reg)
{
    if (!cc)
        return -GN_ERR_INVAL;
    gn_cachecrypt__lock(cc);
    if (region >= cc->region_count || cc->regions[region].state == STATE_FREE)
        return gn_cachecrypt__leave(cc, -GN_ERR_NOENT);
    *ret_reg = &cc->regions[region];
    return 0;
}

int gn_cachecrypt_region_erase(struct gn_cachecrypt *cc, uint32_t region)
{
    struct gn_cachecrypt__region *reg;
    int r;

    r = enter_any(cc, region, &reg);
    if (r)
        return r;
    if (reg->state == GN_CACHECRYPT_STATE_LIVE)
        reg->state = GN_CACHECRYPT_STATE_ERASED;
    return gn_cachecrypt__leave(cc, purge(cc, reg));
}

static int has_pins(const struct gn_cachecrypt *cc, uint32_t region)
{
    uint32_t f;

    for (f = 0; f < cc->frame_count; f++)
        if (cc->table[f].used && cc->table[f].pins && cc->table[f].key >> 32 == region)
            return 1;
    return 0;
}

int gn_cachecrypt_region_remove(struct gn_cachecrypt *cc, uint32_t region)
{
    struct gn_cachecrypt__region *reg;
    int r;

    r = enter_any(cc, region, &reg);
    if (r)
        return r;
    if (has_pins(cc, region))
        return gn_cachecrypt__leave(cc, -GN_ERR_BUSY);
    if (reg->state == GN_CACHECRYPT_STATE_LIVE)
        reg->state = GN_CACHECRYPT_STATE_ERASED;
    r = purge(cc, reg);
    if (!r)
        clear(reg);
    return gn_cachecrypt__leave(cc, r);
}

static void tell(const struct gn_cachecrypt *cc, const struct gn_cachecrypt__region *reg,
                 struct gn_cachecrypt_region_info *info)
{
    const uint64_t number = gn_cachecrypt__number(cc, reg);
    uint32_t f;

    info->state = reg->state;
    info->cipher = reg->cipher.id;
    info->page_bytes = reg->page_bytes;
    info->pages = reg->pages;
    info->epoch = reg->epoch;
    info->sweeping = reg->sweeping;
    info->sweep_left = reg->sweeping ? reg->pages - reg->cursor : 0;
    info->key_bytes_sealed = reg->sealed;
    info->key_budget = reg->budget;
    info->tree_levels = reg->levels;
    for (f = 0; f < cc->frame_count; f++) {
        if (!cc->table[f].used || cc->table[f].key >> 32 != number)
            continue;
        info->resident++;
        info->dirty += *gn_cachecrypt__dirty(cc, f);
        info->pinned += cc->table[f].pins != 0;
    }
}

int gn_cachecrypt_region_query(struct gn_cachecrypt *cc, uint32_t region,
                               struct gn_cachecrypt_region_info *info)
{
    const uint32_t size = info ? info->size : 0;
    struct gn_cachecrypt__region *reg;
    int r;

    if (!cc || size < sizeof *info)
        return -GN_ERR_INVAL;
    r = enter_any(cc, region, &reg);
    if (r)
        return r;
    memset(info, 0, size);
    info->size = size;
    tell(cc, reg, info);
    return gn_cachecrypt__leave(cc, 0);
}
