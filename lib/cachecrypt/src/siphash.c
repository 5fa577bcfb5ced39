/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hash of tree nodes: SipHash-2-4 with 128 bits of result (J.-P. Aumasson, D. Bernstein,
 * "SipHash: a fast short-input PRF", 2012; the long result as in their reference code). A keyed
 * function of fixed length, so nobody without the key learns or makes a hash.
 */
#include "cachecrypt_internal.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t turn(uint64_t x, unsigned int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void round_once(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = turn(s->v1, 13) ^ s->v0;
    s->v3 = turn(s->v3, 16) ^ s->v2;
    s->v0 = turn(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = turn(s->v1, 17) ^ s->v2;
    s->v3 = turn(s->v3, 21) ^ s->v0;
    s->v2 = turn(s->v2, 32);
}

static inline void start(struct state *s, const uint64_t key[2])
{
    s->v0 = key[0] ^ 0x736f6d6570736575u;
    s->v1 = key[1] ^ 0x646f72616e646f6du ^ 0xee; /* 128 bits of result */
    s->v2 = key[0] ^ 0x6c7967656e657261u;
    s->v3 = key[1] ^ 0x7465646279746573u;
}

static inline void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    round_once(s);
    round_once(s);
    s->v0 ^= word;
}

static inline uint64_t squeeze(struct state *s)
{
    round_once(s);
    round_once(s);
    round_once(s);
    round_once(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static inline void finish(struct state *s, uint32_t words, uint64_t ret_hash[2])
{
    absorb(s, (uint64_t)words * 8 << 56);
    s->v2 ^= 0xee;
    ret_hash[0] = squeeze(s);
    s->v1 ^= 0xdd;
    ret_hash[1] = squeeze(s);
}

void gn_cachecrypt__siphash(const uint64_t key[2], const uint64_t *word, uint32_t n,
                            uint64_t ret_hash[2])
{
    struct state s;
    uint32_t i;

    start(&s, key);
    for (i = 0; i < n; i++)
        absorb(&s, word[i]);
    finish(&s, n, ret_hash);
}

void gn_cachecrypt__node_hash(const uint64_t key[2], uint32_t level, uint64_t index,
                              const uint64_t word[NODE_WORDS], uint64_t ret_hash[2])
{
    struct state s;
    uint32_t i;

    start(&s, key);
    absorb(&s, level);
    absorb(&s, index);
    for (i = 0; i < NODE_WORDS; i++)
        absorb(&s, word[i]);
    finish(&s, NODE_WORDS + 2, ret_hash);
}
