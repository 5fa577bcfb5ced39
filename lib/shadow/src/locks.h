/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SHADOW_LOCKS_H
#define GN_SHADOW_LOCKS_H

/* locks.c: the rules, and the reasons, stand there. Without lock ops, a test is all that is left.
 */

void gn_shadow__lock_shared(struct gn_shadow *sh);
void gn_shadow__lock_alone(struct gn_shadow *sh);
void gn_shadow__unlock(struct gn_shadow *sh);
void gn_shadow__lock_table(struct gn_shadow *sh, uint32_t table);
void gn_shadow__unlock_table(struct gn_shadow *sh, uint32_t table);
uint32_t gn_shadow__lock_chain(struct gn_shadow *sh, uint64_t leaf);
void gn_shadow__unlock_chain(struct gn_shadow *sh, uint32_t n);

/** A call begins that shares the shadow, if it is given locks for that; else as enter(). */
static inline void gn_shadow__enter_shared(struct gn_shadow *sh)
{
    if (sh->ops.lock)
        gn_shadow__lock_shared(sh);
    if (sh->alone)
        sh->steps = sh->steps_most;
}

/** A call begins that has the shadow for itself. */
static inline void gn_shadow__enter(struct gn_shadow *sh)
{
    if (sh->ops.lock)
        gn_shadow__lock_alone(sh);
    sh->steps = sh->steps_most;
}

/** The call ends, or is about to enter otherwise. */
static inline void gn_shadow__leave(struct gn_shadow *sh)
{
    if (sh->ops.lock)
        gn_shadow__unlock(sh);
}

/** The lock of a table's entries, their links and `present`; nothing for a call that is alone. */
static inline void gn_shadow__table_lock(struct gn_shadow *sh, uint32_t table)
{
    if (!sh->alone)
        gn_shadow__lock_table(sh, table);
}

static inline void gn_shadow__table_unlock(struct gn_shadow *sh, uint32_t table)
{
    if (!sh->alone)
        gn_shadow__unlock_table(sh, table);
}

/** The lock of the chain of the frame that a leaf maps. @return its number; 0: none is needed */
static inline uint32_t gn_shadow__chain_lock(struct gn_shadow *sh, uint64_t leaf)
{
    return sh->alone ? 0 : gn_shadow__lock_chain(sh, leaf);
}

static inline void gn_shadow__chain_unlock(struct gn_shadow *sh, uint32_t n)
{
    if (n)
        gn_shadow__unlock_chain(sh, n);
}

/** Where this thread counts. */
static inline struct gn_shadow_stats *gn_shadow__lane(struct gn_shadow *sh)
{
    /* The library knows no threads, but no two of them have one stack. */
    uint64_t stack = (uintptr_t)__builtin_frame_address(0) >> 14;

    if (sh->alone)
        return &sh->lanes[0].stats;
    return &sh->lanes[stack * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (GN_SHADOW__LANES - 1)].stats;
}

static inline void gn_shadow__count_add(const struct gn_shadow *sh, uint64_t *counter, uint64_t n)
{
    if (sh->alone)
        __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
    else if (n)
        __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/** Adds to one of the members of gn_shadow_stats. */
#define gn_shadow__count(sh, counter, n) \
    gn_shadow__count_add(sh, &gn_shadow__lane(sh)->counter, (uint64_t)(n))

/** Reads and writes what several calls may touch at once and none depends on: hints, ages. */
#define gn_shadow__peek(at) __atomic_load_n(at, __ATOMIC_RELAXED)

/** Sets such a thing, but not in vain: that would take the cache line from the others. */
#define gn_shadow__poke(at, value)                            \
    do {                                                      \
        if (__atomic_load_n(at, __ATOMIC_RELAXED) != (value)) \
            __atomic_store_n(at, (value), __ATOMIC_RELAXED);  \
    } while (0)

#endif /* GN_SHADOW_LOCKS_H */
