/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frames: which page is in which, who makes room, and the way of a page between frame and
 * store.
 *
 * What is in the store changes under our feet. So nothing is looked at twice there: ciphertext and
 * tag are copied into the pool and opened there; a seal is made in the pool, and copied out when it
 * is finished (a cipher that hashes its own output must not read it from the store).
 */
#include "cachecrypt_internal.h"

#define AD_BYTES 32u

static uint32_t bucket_of(const struct gn_cachecrypt *cc, uint64_t key)
{
    return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 32) & cc->bucket_mask;
}

/** The bucket of a page in the table of the inlined path. */
static uint64_t *view_bucket(const struct gn_cachecrypt *cc, uint64_t key)
{
    const struct gn_cachecrypt_view view = {.table = cc->view,
                                            .mask = cc->view_mask,
                                            .fold = cc->view_fold,
                                            .salt = gn_cachecrypt_salt(key >> 32)};

    return gn_cachecrypt_bucket(&view, key & UINT32_MAX);
}

/** A page can be found by the inlined path; another one of its bucket may lose that. */
static void view_insert(const struct gn_cachecrypt *cc, uint32_t frame)
{
    const uint64_t key = cc->table[frame].key;
    const uint64_t entry =
        key << (GN_CACHECRYPT_ENTRY_SHIFT + 1) | (uint64_t)1 << GN_CACHECRYPT_ENTRY_SHIFT | frame;
    uint64_t *bucket = view_bucket(cc, key);

    if (bucket[0] == entry || bucket[1] == entry)
        return;
    if (bucket[0])
        bucket[1] = bucket[0];
    bucket[0] = entry;
}

uint32_t gn_cachecrypt__find(const struct gn_cachecrypt *cc, uint64_t key)
{
    uint32_t f = cc->buckets[bucket_of(cc, key)];

    while (f != NONE && cc->table[f].key != key)
        f = cc->table[f].next;
    return f;
}

static void link_frame(struct gn_cachecrypt *cc, uint32_t f, uint64_t key)
{
    uint32_t *bucket = &cc->buckets[bucket_of(cc, key)];

    cc->table[f] = (struct gn_cachecrypt__frame){.key = key, .next = *bucket, .used = 1};
    *bucket = f;
    *gn_cachecrypt__dirty(cc, f) = 0;
    view_insert(cc, f);
}

void gn_cachecrypt__forget(struct gn_cachecrypt *cc, uint32_t f)
{
    const uint64_t key = cc->table[f].key;
    uint32_t *at = &cc->buckets[bucket_of(cc, key)];
    uint64_t *entry = view_bucket(cc, key);

    while (*at != f)
        at = &cc->table[*at].next;
    *at = cc->table[f].next;
    if (entry[0] && (entry[0] & GN_CACHECRYPT_ENTRY_FRAME) == f) {
        entry[0] = entry[1];
        entry[1] = 0;
    } else if (entry[1] && (entry[1] & GN_CACHECRYPT_ENTRY_FRAME) == f) {
        entry[1] = 0;
    }
}

/** A frame that holds no page, and nothing else either. */
static void release(struct gn_cachecrypt *cc, uint32_t f)
{
    gn_cachecrypt__wipe(gn_cachecrypt__frame_at(cc, f), cc->frame_bytes);
    *gn_cachecrypt__dirty(cc, f) = 0;
    *gn_cachecrypt__referenced(cc, f) = 0;
    cc->table[f] = (struct gn_cachecrypt__frame){.next = cc->free_frame};
    cc->free_frame = f;
}

void gn_cachecrypt__drop(struct gn_cachecrypt *cc, uint32_t f)
{
    if (!cc->table[f].orphan)
        gn_cachecrypt__forget(cc, f);
    release(cc, f);
}

int gn_cachecrypt__unmap(struct gn_cachecrypt *cc, uint32_t f)
{
    struct gn_cachecrypt__frame *frame = &cc->table[f];
    int r;

    if (!frame->mapped)
        return 0;
    r = cc->ops.unmap(cc->ctx, (uint32_t)(frame->key >> 32), frame->key & UINT32_MAX,
                      gn_cachecrypt__frame_at(cc, f));
    if (!r)
        frame->mapped = 0;
    return r;
}

/* What binds a page to its place and time. */
static void bind(const struct gn_cachecrypt__region *reg, uint64_t page, uint64_t word,
                 uint32_t nonce[GN_CACHECRYPT_NONCE_MAX / 4], uint64_t ad[AD_BYTES / 8])
{
    uint32_t i;

    ad[0] = reg->serial;
    ad[1] = page;
    ad[2] = word;
    ad[3] = (uint64_t)reg->page_bytes << 32 | reg->cipher.id;
    /* Unique under a key: a key is of one region and epoch, and the word counts a page's seals. */
    nonce[0] = (uint32_t)word;
    nonce[1] = (uint32_t)(word >> 32);
    nonce[2] = (uint32_t)page; /* within the 12 bytes of the shortest nonce */
    for (i = 3; i < GN_CACHECRYPT_NONCE_MAX / 4; i++)
        nonce[i] = 0;
}

/** The expanded key under which a word was sealed, or NULL: under none that there is. */
static const uint8_t *key_of(const struct gn_cachecrypt__region *reg, uint64_t word)
{
    const uint32_t epoch = gn_cachecrypt__word_epoch(word);

    if (epoch == reg->epoch)
        return reg->keys[0];
    return reg->sweeping && epoch + 1 == reg->epoch ? reg->keys[1] : NULL;
}

/** Where a page is in the store. */
static uint8_t *store_at(const struct gn_cachecrypt__region *reg, uint64_t page)
{
    return reg->data + (page << reg->page_shift);
}

/** Opens a page into a frame. */
static int open_page(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t page,
                     uint64_t word, uint8_t *frame)
{
    const uint32_t tag_bytes = reg->cipher.tag_bytes;
    const uint8_t *key = key_of(reg, word);
    const uint8_t *from = store_at(reg, page);
    uint32_t nonce[GN_CACHECRYPT_NONCE_MAX / 4];
    uint64_t ad[AD_BYTES / 8];

    if (!key)
        return gn_cachecrypt__poison(cc, reg);
    bind(reg, page, word, nonce, ad);
    memcpy(cc->tag, reg->tags + page * tag_bytes, tag_bytes);
    if (!(reg->cipher.flags & GN_CACHECRYPT_CIPHER_ONE_PASS)) {
        memcpy(frame, from, reg->page_bytes);
        from = frame;
    }
    cc->used = &reg->cipher;
    cc->stats.opens++;
    /* What a cipher that failed has left in the frame goes when fill()'s caller releases it. */
    if (reg->cipher.open(key, frame, from, cc->tag, reg->page_bytes, (const uint8_t *)ad, AD_BYTES,
                         (const uint8_t *)nonce))
        return gn_cachecrypt__poison(cc, reg);
    return 0;
}

int gn_cachecrypt__seal(struct gn_cachecrypt *cc, uint32_t f)
{
    const uint64_t key = cc->table[f].key, page = key & UINT32_MAX;
    struct gn_cachecrypt__region *reg = gn_cachecrypt__region_of(cc, key);
    uint32_t nonce[GN_CACHECRYPT_NONCE_MAX / 4];
    uint8_t *const store = store_at(reg, page);
    uint8_t *const to = reg->cipher.flags & GN_CACHECRYPT_CIPHER_ONE_PASS ? store : cc->scratch;
    uint64_t ad[AD_BYTES / 8], *word, next;
    struct gn_cachecrypt__node *leaf;
    int r;

    if (cc->table[f].write_pins)
        return -GN_ERR_BUSY;
    if (cc->ops.generation && cc->ops.generation(cc->ctx) != cc->generation) {
        gn_cachecrypt__disown(cc);
        return -GN_ERR_PERM;
    }
    r = gn_cachecrypt__unmap(cc, f);
    if (!r)
        r = gn_cachecrypt__leaf(cc, reg, page, &leaf);
    if (r)
        return r;
    word = gn_cachecrypt__word(leaf, page);
    r = gn_cachecrypt__next_word(cc, reg, *word, &next);
    if (r)
        return r;
    /* Before the seal: should that fail, the word is used up, and the page is here alone. */
    *gn_cachecrypt__dirty(cc, f) = 1;
    *word = next;
    gn_cachecrypt__node_changed(cc, reg, leaf);
    reg->sealed += reg->page_bytes;
    reg->swept += reg->in_sweep ? reg->page_bytes : 0;
    bind(reg, page, next, nonce, ad);
    cc->used = &reg->cipher;
    r = reg->cipher.seal(reg->keys[0], to, cc->tag, gn_cachecrypt__frame_at(cc, f), reg->page_bytes,
                         (const uint8_t *)ad, AD_BYTES, (const uint8_t *)nonce);
    if (r)
        return r;
    if (to != store)
        memcpy(store, to, reg->page_bytes);
    memcpy(reg->tags + page * reg->cipher.tag_bytes, cc->tag, reg->cipher.tag_bytes);
    *gn_cachecrypt__dirty(cc, f) = 0;
    cc->stats.seals++;
    return 0;
}

/** Takes a page out of its frame, which is not wiped: it is filled next. */
static int vacate(struct gn_cachecrypt *cc, uint32_t f)
{
    int r;

    if (cc->table[f].pins)
        return -GN_ERR_BUSY;
    /* First: what was written through a mapping is not in the frame before. */
    r = gn_cachecrypt__unmap(cc, f);
    if (r)
        return r;
    if (cc->table[f].orphan) {
        cc->table[f].used = 0;
        return 0;
    }
    if (*gn_cachecrypt__dirty(cc, f)) {
        r = gn_cachecrypt__seal(cc, f);
        if (r)
            return r;
        cc->stats.evictions_dirty++;
    } else {
        cc->stats.evictions_clean++;
    }
    gn_cachecrypt__forget(cc, f);
    cc->table[f].used = 0;
    return 0;
}

int gn_cachecrypt__evict(struct gn_cachecrypt *cc, uint32_t f)
{
    const int r = vacate(cc, f);

    if (!r)
        release(cc, f);
    return r;
}

/** Was the page used since it was last asked? It will not have been, the next time. */
static int second_chance(struct gn_cachecrypt *cc, uint32_t f)
{
    const struct gn_cachecrypt__frame *frame = &cc->table[f];
    uint8_t *referenced = gn_cachecrypt__referenced(cc, f);
    int used = *referenced;

    *referenced = 0;
    if (frame->mapped && cc->ops.accessed)
        used |= cc->ops.accessed(cc->ctx, (uint32_t)(frame->key >> 32), frame->key & UINT32_MAX);
    return used;
}

static uint32_t pop_free(struct gn_cachecrypt *cc)
{
    const uint32_t f = cc->free_frame;

    if (f != NONE)
        cc->free_frame = cc->table[f].next;
    return f;
}

/**
 * Finds a frame to fill: a free one, or that of a page which was not used of late. A page that does
 * not go stays, and the next is tried; if none goes, the first reason is told.
 */
static int take(struct gn_cachecrypt *cc, uint32_t *ret_frame)
{
    const uint64_t rounds = 3 * (uint64_t)cc->frame_count;
    uint32_t f = pop_free(cc);
    int first = -GN_ERR_BUSY;
    uint64_t i;

    for (i = 0; f == NONE && i < rounds; i++) {
        const uint32_t candidate = cc->hand;
        int r;

        cc->hand = candidate + 1 < cc->frame_count ? candidate + 1 : 0;
        if (!cc->table[candidate].used || cc->table[candidate].pins)
            continue;
        /* In the third round nobody has another chance, whatever ops.accessed says. */
        if (i < rounds - cc->frame_count && second_chance(cc, candidate))
            continue;
        r = vacate(cc, candidate);
        if (!r) {
            f = candidate;
            break;
        }
        if (first == -GN_ERR_BUSY)
            first = r;
        if (cc->copied)
            break;
        f = pop_free(cc); /* a region that was poisoned just now leaves its frames */
    }
    if (f == NONE)
        return first;
    *ret_frame = f;
    return 0;
}

/** Fills a frame with a page; on failure the frame is free. */
static int fill(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t page,
                uint32_t how, uint32_t f)
{
    uint8_t *frame = gn_cachecrypt__frame_at(cc, f);
    struct gn_cachecrypt__node *leaf;
    uint64_t word;
    int r;

    r = gn_cachecrypt__leaf(cc, reg, page, &leaf);
    if (r)
        return r;
    word = *gn_cachecrypt__word(leaf, page);
    if (reg->page_bytes < cc->frame_bytes)
        memset(frame + reg->page_bytes, 0, cc->frame_bytes - reg->page_bytes);
    if (word & WORD_DATA && how != GET_OVERWRITE)
        return open_page(cc, reg, page, word, frame);
    memset(frame, 0, reg->page_bytes);
    if (!(word & WORD_DATA))
        cc->stats.zero_fills++;
    return 0;
}

static int miss(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t page,
                uint32_t how, uint32_t *ret_frame)
{
    const uint32_t number = gn_cachecrypt__number(cc, reg);
    uint32_t f;
    int r;

    if (reg->sweeping && !reg->in_sweep) {
        r = gn_cachecrypt__sweep(cc, reg, reg->pace);
        if (r == -GN_ERR_BADMSG || r == -GN_ERR_PERM)
            return r;
        /* It may have brought in this very page. */
        f = gn_cachecrypt__find(cc, (uint64_t)number << 32 | page);
        if (f != NONE) {
            *ret_frame = f;
            return 0;
        }
    }
    r = take(cc, &f);
    if (r)
        return r;
    /* The victim may have been of this region, and its tree false. */
    r = gn_cachecrypt__usable(cc, number);
    if (!r)
        r = fill(cc, reg, page, how, f);
    if (r) {
        release(cc, f);
        return r;
    }
    link_frame(cc, f, (uint64_t)number << 32 | page);
    *ret_frame = f;
    return 0;
}

int gn_cachecrypt__get(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t page,
                       uint32_t how, uint32_t *ret_frame)
{
    uint32_t f = gn_cachecrypt__find(cc, (uint64_t)gn_cachecrypt__number(cc, reg) << 32 | page);
    int r;

    if (f == NONE) {
        cc->stats.misses++;
        r = miss(cc, reg, page, how, &f);
        if (r)
            return r;
    } else {
        cc->stats.hits++;
        view_insert(cc, f);
    }
    *gn_cachecrypt__referenced(cc, f) = 1;
    *ret_frame = f;
    return 0;
}
