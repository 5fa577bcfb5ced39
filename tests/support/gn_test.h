/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_H
#define GN_TEST_H

/* What the cmocka programs of several libraries need: a seed, random numbers, memory, layouts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Sizes and offsets of public structures are ABI: what others were compiled against. */
#define GN_TEST_AT(type, member, offset) \
    _Static_assert(offsetof(struct type, member) == (offset), #type "." #member)
#define GN_TEST_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)

/**
 * The seed of a random run, printed, so that GN_TEST_SEED repeats it; without that, the time.
 * @return a state for gn_test_random(): neighbouring seeds give states that are far apart
 */
static inline uint64_t gn_test_seed(void)
{
    const char *given = getenv("GN_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

    print_message("GN_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

/** The next random number of a state that is not 0: Marsaglia's xorshift. */
static inline uint64_t gn_test_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/** Memory for an object, filled with what no object may rely on; for free(). */
static inline void *gn_test_memory(size_t align, size_t size)
{
    void *memory = aligned_alloc(align, (size + align - 1) & ~(align - 1));

    assert_int_not_equal(size, 0);
    assert_non_null(memory);
    memset(memory, 0xa5, size);
    return memory;
}

#endif /* GN_TEST_H */
