/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys. Each epoch of a region has a key of its own, drawn at random, which exists in the pool
 * alone. It seals so many bytes; then the next epoch begins, and a sweep brings the pages over: at
 * most two keys are alive. Counts of seals begin anew under a new key, and never wrap.
 */
#include "cachecrypt_internal.h"

void gn_cachecrypt__keys_wipe(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg)
{
    gn_cachecrypt__wipe(reg->keys[0], cc->state_bytes);
    gn_cachecrypt__wipe(reg->keys[1], cc->state_bytes);
    gn_cachecrypt__wipe(reg->tree_key, sizeof reg->tree_key);
}

int gn_cachecrypt__epoch_begin(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg)
{
    uint8_t *next = reg->keys[1];
    int r;

    if (reg->sweeping)
        return -GN_ERR_AGAIN;
    if (reg->epoch >= GN_CACHECRYPT_EPOCHS_MAX)
        return -GN_ERR_RANGE;
    r = cc->ops.random(cc->ctx, cc->key, reg->cipher.key_bytes);
    if (!r) {
        cc->used = &reg->cipher;
        r = reg->cipher.expand(next, cc->key);
    }
    gn_cachecrypt__wipe(cc->key, sizeof cc->key);
    if (r) {
        gn_cachecrypt__wipe(next, cc->state_bytes);
        return r;
    }
    reg->keys[1] = reg->keys[0];
    reg->keys[0] = next;
    reg->sweeping = reg->epoch != 0; /* before the first there was none */
    reg->epoch++;
    reg->cursor = 0;
    reg->sealed = 0;
    reg->swept = 0;
    cc->stats.epochs++;
    return 0;
}

int gn_cachecrypt__next_word(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg,
                             uint64_t word, uint64_t *ret_word)
{
    uint64_t seals;
    int r;

    /* What a sweep seals does not count, by the size of the region at most: else it might not end.
     */
    if (reg->sealed - reg->swept + reg->page_bytes > reg->budget && !reg->in_sweep) {
        r = reg->sweeping ? -GN_ERR_OVERFLOW : gn_cachecrypt__epoch_begin(cc, reg);
        if (r)
            return r;
    }
    seals = gn_cachecrypt__word_epoch(word) == reg->epoch ? (word & WORD_SEALS) + 1 : 1;
    if (seals > reg->page_seals) {
        r = reg->sweeping ? -GN_ERR_OVERFLOW : gn_cachecrypt__epoch_begin(cc, reg);
        if (r)
            return r;
        seals = 1;
    }
    *ret_word = WORD_DATA | (uint64_t)reg->epoch << WORD_EPOCH_SHIFT | seals;
    return 0;
}

/** Brings one page to the present epoch. */
static int sweep_page(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t page)
{
    struct gn_cachecrypt__node *leaf;
    uint64_t word;
    uint32_t f;
    int r;

    r = gn_cachecrypt__leaf(cc, reg, page, &leaf);
    if (r)
        return r;
    word = *gn_cachecrypt__word(leaf, page);
    if (!(word & WORD_DATA) || gn_cachecrypt__word_epoch(word) == reg->epoch)
        return 0;
    f = gn_cachecrypt__find(cc, (uint64_t)gn_cachecrypt__number(cc, reg) << 32 | page);
    if (f == NONE) {
        r = gn_cachecrypt__get(cc, reg, page, GET_READ, &f);
        if (r)
            return r;
        *gn_cachecrypt__referenced(cc, f) = 0; /* nobody asked for it: the first to go */
    }
    r = gn_cachecrypt__seal(cc, f);
    if (!r)
        cc->stats.sweep_seals++;
    return r;
}

int gn_cachecrypt__sweep(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg,
                         uint64_t pages)
{
    int r = 0;

    reg->in_sweep = 1;
    for (; !r && pages && reg->sweeping; pages--) {
        r = sweep_page(cc, reg, reg->cursor);
        if (r)
            break;
        if (++reg->cursor < reg->pages)
            continue;
        reg->sweeping = 0;
        gn_cachecrypt__wipe(reg->keys[1], cc->state_bytes);
    }
    reg->in_sweep = 0;
    return r;
}

int gn_cachecrypt_rekey(struct gn_cachecrypt *cc, uint32_t region)
{
    struct gn_cachecrypt__region *reg;
    const int r = gn_cachecrypt__enter(cc, region, &reg);

    return r ? r : gn_cachecrypt__leave(cc, gn_cachecrypt__epoch_begin(cc, reg));
}

int gn_cachecrypt_rekey_step(struct gn_cachecrypt *cc, uint32_t region, uint64_t pages,
                             uint64_t *ret_left)
{
    struct gn_cachecrypt__region *reg;
    int r;

    r = gn_cachecrypt__enter(cc, region, &reg);
    if (r)
        return r;
    r = gn_cachecrypt__sweep(cc, reg, pages ? pages : reg->pages);
    if (!r && ret_left)
        *ret_left = reg->sweeping ? reg->pages - reg->cursor : 0;
    return gn_cachecrypt__leave(cc, r);
}
