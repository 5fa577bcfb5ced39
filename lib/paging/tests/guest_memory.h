/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_GUEST_MEMORY_H
#define GN_TEST_GUEST_MEMORY_H

/* A small guest memory for the tests of paging: what lies outside it is a hole. */

#include <gnomon/paging.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An odd swap of this kind says that it replaced the entry, and did not: read-only memory. */
#define GUEST_IGNORES 1

struct guest {
    uint64_t base;  /* guest physical address of words[0] */
    uint64_t bytes; /* length of the memory */
    uint64_t *words;
    uint32_t entry_bytes; /* the only length that is right; 0 means 8 */
    uint32_t loads;       /* ops called */
    uint32_t swaps;
    void (*race)(struct guest *guest, uint64_t gpa); /* called before a swap compares */
    uint32_t races;                                  /* calls of race that are left */
    uint64_t odd_gpa;                                /* at this address ... */
    int odd_load;                                    /* ... a load returns this, */
    int odd_swap;                                    /* ... and a swap this */
};

static inline uint64_t *guest_word(struct guest *guest, uint64_t gpa)
{
    if (gpa < guest->base || gpa - guest->base >= guest->bytes || gpa & 7)
        return NULL;
    return &guest->words[(gpa - guest->base) / 8];
}

/* An entry of 4 or 8 bytes, or NULL where there is no memory. */
static inline uint8_t *guest_entry(struct guest *guest, uint64_t gpa, uint32_t bytes)
{
    if (gpa < guest->base || gpa - guest->base >= guest->bytes || gpa & (bytes - 1))
        return NULL;
    return (uint8_t *)guest->words + (gpa - guest->base);
}

static inline uint64_t guest_read(const uint8_t *entry, uint32_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, entry, bytes); /* the tests run on little-endian machines */
    return value;
}

static inline int guest_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    struct guest *guest = ctx;
    uint8_t *entry = guest_entry(guest, gpa.v, bytes);

    guest->loads++;
    if (guest->odd_load && guest->odd_gpa == gpa.v)
        return guest->odd_load;
    if (!entry || bytes != (guest->entry_bytes ? guest->entry_bytes : 8))
        return -GN_ERR_FAULT;
    *ret_value = guest_read(entry, bytes);
    return 0;
}

static inline int guest_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                                uint64_t desired)
{
    struct guest *guest = ctx;
    uint8_t *entry = guest_entry(guest, gpa.v, bytes);

    guest->swaps++;
    if (guest->odd_swap && guest->odd_gpa == gpa.v)
        return guest->odd_swap == GUEST_IGNORES ? 0 : guest->odd_swap;
    if (!entry || bytes != (guest->entry_bytes ? guest->entry_bytes : 8))
        return -GN_ERR_FAULT;
    if (guest->races) {
        guest->races--;
        guest->race(guest, gpa.v);
    }
    if (guest_read(entry, bytes) != expected)
        return -GN_ERR_AGAIN;
    memcpy(entry, &desired, bytes);
    return 0;
}

static const struct gn_paging_ops guest_ops = {GN_PAGING_OPS_INIT, .load = guest_load,
                                               .cmpxchg = guest_cmpxchg};

/* xorshift64*: the same numbers on every machine for a seed. */
static inline uint64_t guest_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

/* The seed of a test: GN_TEST_SEED if set, else a fixed one. It is printed, and never zero. */
static inline uint64_t guest_seed(void)
{
    const char *text = getenv("GN_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 20261122;

    if (!seed)
        seed = 1;
    printf("GN_TEST_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

#endif /* GN_TEST_GUEST_MEMORY_H */
