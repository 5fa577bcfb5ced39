/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tree over a region's version words, and the nodes of it that the pool holds.
 *
 * A node in the store is believed only after its hash was found equal to the one in its parent,
 * which is in the pool and verified itself, up to the root. It is copied into the pool first, so
 * nobody changes it between the check and the use. Changes stay in the pool until a node has to
 * make room: then its hash goes into its parent, which is there, since a node stays while it has
 * children. So there is always one to take: the lowest of any line of descent.
 */
#include "cachecrypt_internal.h"

void gn_cachecrypt__meta_make(uint64_t pages, uint32_t tag_bytes, struct gn_cachecrypt__meta *meta)
{
    uint64_t nodes = (pages + NODE_WORDS - 1) >> LEAF_SHIFT;
    uint64_t at = (pages * tag_bytes + 7) & ~(uint64_t)7;

    meta->levels = 0;
    for (;;) {
        meta->level[meta->levels++] = at;
        at += nodes * NODE_BYTES;
        if (nodes == 1)
            break;
        nodes = (nodes + (1u << NODE_SHIFT) - 1) >> NODE_SHIFT;
    }
    meta->total = at;
}

uint64_t gn_cachecrypt_meta_size(uint64_t pages, const struct gn_cachecrypt_cipher *cipher)
{
    const uint32_t tag_bytes = cipher ? cipher->tag_bytes : GN_CACHECRYPT_TAG_MIN;
    struct gn_cachecrypt__meta meta;

    if (!pages || pages > GN_CACHECRYPT_PAGES_MAX || tag_bytes < GN_CACHECRYPT_TAG_MIN ||
        tag_bytes > GN_CACHECRYPT_TAG_MAX)
        return 0;
    gn_cachecrypt__meta_make(pages, tag_bytes, &meta);
    return meta.total;
}

static uint64_t *in_store(const struct gn_cachecrypt__region *reg, uint32_t level, uint64_t index)
{
    return reg->level[level] + index * NODE_WORDS;
}

static uint32_t bucket_of(const struct gn_cachecrypt *cc, uint64_t key)
{
    return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 32) & cc->node_mask;
}

static uint32_t level_of(const struct gn_cachecrypt__node *node)
{
    return (uint32_t)(node->key >> 32) & 0xff;
}

static uint64_t key_of(const struct gn_cachecrypt *cc, const struct gn_cachecrypt__region *reg,
                       uint32_t level, uint64_t index)
{
    return (uint64_t)gn_cachecrypt__number(cc, reg) << 40 | (uint64_t)level << 32 | index;
}

void gn_cachecrypt__node_changed(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg,
                                 struct gn_cachecrypt__node *node)
{
    uint32_t *newest = &reg->changed[level_of(node)];

    if (node->dirty)
        return;
    node->dirty = 1;
    node->newer = NONE;
    node->older = *newest;
    *newest = (uint32_t)(node - cc->nodes);
    if (node->older != NONE)
        cc->nodes[node->older].newer = *newest;
}

/** It is as in the store again, or will be forgotten. */
static void no_longer_changed(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg,
                              struct gn_cachecrypt__node *node)
{
    if (!node->dirty)
        return;
    node->dirty = 0;
    if (node->older != NONE)
        cc->nodes[node->older].newer = node->newer;
    if (node->newer != NONE)
        cc->nodes[node->newer].older = node->older;
    else
        reg->changed[level_of(node)] = node->older;
}

/** The hash of a node goes to its place in the node above, or is the root. */
static void write_back(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg,
                       struct gn_cachecrypt__node *node)
{
    const uint32_t level = level_of(node);
    const uint64_t index = node->key & UINT32_MAX;
    uint64_t hash[2];

    cc->used = &reg->cipher; /* a hash leaves as much on the stack as a cipher does */
    gn_cachecrypt__node_hash(reg->tree_key, level, index, node->word, hash);
    memcpy(in_store(reg, level, index), node->word, NODE_BYTES);
    no_longer_changed(cc, reg, node);
    cc->stats.node_writebacks++;
    if (node->parent == NONE) {
        reg->root[0] = hash[0];
        reg->root[1] = hash[1];
    } else {
        struct gn_cachecrypt__node *parent = &cc->nodes[node->parent];
        const uint64_t slot = index & ((1u << NODE_SHIFT) - 1);

        parent->word[2 * slot] = hash[0];
        parent->word[2 * slot + 1] = hash[1];
        gn_cachecrypt__node_changed(cc, reg, parent);
    }
}

/** Takes a node, which is not changed, off its bucket, and from its parent. */
static void unlink_node(struct gn_cachecrypt *cc, uint32_t n)
{
    struct gn_cachecrypt__node *node = &cc->nodes[n];
    uint32_t *at = &cc->node_buckets[bucket_of(cc, node->key)];

    while (*at != n)
        at = &cc->nodes[*at].next;
    *at = node->next;
    if (node->parent != NONE)
        cc->nodes[node->parent].children--;
    node->used = 0;
}

static uint32_t find(const struct gn_cachecrypt *cc, uint64_t key)
{
    uint32_t n = cc->node_buckets[bucket_of(cc, key)];

    while (n != NONE && cc->nodes[n].key != key)
        n = cc->nodes[n].next;
    return n;
}

/** An unused node; if need be, one without children makes room, by second chance. */
static uint32_t take(struct gn_cachecrypt *cc)
{
    uint32_t n = cc->free_node, i;

    if (n != NONE) {
        cc->free_node = cc->nodes[n].next;
        return n;
    }
    for (i = 0; i < 3 * cc->node_count; i++) {
        struct gn_cachecrypt__node *node;

        n = cc->node_hand;
        cc->node_hand = n + 1 < cc->node_count ? n + 1 : 0;
        node = &cc->nodes[n];
        if (node->children)
            continue;
        if (node->referenced) {
            node->referenced = 0;
            continue;
        }
        if (node->dirty)
            write_back(cc, &cc->regions[node->key >> 40], node);
        unlink_node(cc, n);
        return n;
    }
    gn_cachecrypt__broken(cc, "cachecrypt: every cached node of the tree has children");
    return NONE;
}

/** Copies a node from the store and holds it against what the pool says its hash is. */
static int verify(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint32_t level,
                  uint64_t index, const uint64_t want[2])
{
    uint64_t *copy = (uint64_t *)cc->path;
    uint64_t hash[2];

    memcpy(copy, in_store(reg, level, index), NODE_BYTES);
    cc->used = &reg->cipher;
    gn_cachecrypt__node_hash(reg->tree_key, level, index, copy, hash);
    cc->stats.node_fetches++;
    /* Or-ed, not compared one after the other: the time tells nothing. */
    return ((hash[0] ^ want[0]) | (hash[1] ^ want[1])) ? -GN_ERR_BADMSG : 0;
}

/** Brings a node in below its parent, which is cached; NONE: the top. */
static int fetch(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint32_t level,
                 uint64_t index, uint32_t parent, uint32_t *ret_n)
{
    const uint64_t slot = index & ((1u << NODE_SHIFT) - 1);
    struct gn_cachecrypt__node *node;
    uint32_t n, *bucket;
    int r;

    r = verify(cc, reg, level, index,
               parent == NONE ? reg->root : &cc->nodes[parent].word[2 * slot]);
    if (r)
        return r;
    if (parent != NONE)
        cc->nodes[parent].children++; /* before take(): it stays */
    n = take(cc);
    node = &cc->nodes[n];
    memcpy(node->word, cc->path, NODE_BYTES);
    node->key = key_of(cc, reg, level, index);
    node->parent = parent;
    node->children = 0;
    node->used = 1;
    node->dirty = 0;
    node->referenced = 0;
    bucket = &cc->node_buckets[bucket_of(cc, node->key)];
    node->next = *bucket;
    *bucket = n;
    *ret_n = n;
    return 0;
}

int gn_cachecrypt__leaf(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t page,
                        struct gn_cachecrypt__node **ret_leaf)
{
    const uint64_t leaf = page >> LEAF_SHIFT;
    uint32_t level = 0;
    uint32_t n = find(cc, key_of(cc, reg, 0, leaf));
    int r;

    if (n != NONE)
        cc->stats.node_hits++;
    while (n == NONE && ++level < reg->levels)
        n = find(cc, key_of(cc, reg, level, leaf >> NODE_SHIFT * level));
    while (level > 0) {
        level--;
        r = fetch(cc, reg, level, leaf >> NODE_SHIFT * level, n, &n);
        if (r)
            return gn_cachecrypt__poison(cc, reg);
    }
    cc->nodes[n].referenced = 1;
    *ret_leaf = &cc->nodes[n];
    return 0;
}

void gn_cachecrypt__tree_flush(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg)
{
    uint32_t level;

    /* Lower levels first: they change the ones above. */
    for (level = 0; level < reg->levels; level++)
        while (reg->changed[level] != NONE)
            write_back(cc, reg, &cc->nodes[reg->changed[level]]);
}

void gn_cachecrypt__tree_drop(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg)
{
    const uint64_t number = gn_cachecrypt__number(cc, reg);
    uint32_t n;

    for (n = 0; n < cc->node_count; n++) {
        struct gn_cachecrypt__node *node = &cc->nodes[n];

        if (!node->used || node->key >> 40 != number)
            continue;
        no_longer_changed(cc, reg, node);
        unlink_node(cc, n);
        node->next = cc->free_node;
        cc->free_node = n;
    }
}

void gn_cachecrypt__tree_init(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg)
{
    uint64_t *building = (uint64_t *)cc->path; /* a node of each level */
    const uint64_t leaves = (reg->pages + NODE_WORDS - 1) >> LEAF_SHIFT;
    uint64_t leaf, index, hash[2];
    uint32_t level;

    memset(building, 0, LEVELS_MAX * NODE_BYTES);
    for (leaf = 0; leaf < leaves; leaf++) {
        index = leaf;
        for (level = 0; level < reg->levels; level++) {
            uint64_t *node = building + level * NODE_WORDS;
            const uint64_t slot = index & ((1u << NODE_SHIFT) - 1);

            gn_cachecrypt__node_hash(reg->tree_key, level, index, node, hash);
            memcpy(in_store(reg, level, index), node, NODE_BYTES);
            memset(node, 0, NODE_BYTES);
            if (level + 1 == reg->levels)
                break;
            node[NODE_WORDS + 2 * slot] = hash[0];
            node[NODE_WORDS + 2 * slot + 1] = hash[1];
            /* The one above is complete with its last child, or with the last of all. */
            if (slot + 1 < 1u << NODE_SHIFT && leaf + 1 < leaves)
                break;
            index >>= NODE_SHIFT;
        }
    }
    reg->root[0] = hash[0];
    reg->root[1] = hash[1];
}
