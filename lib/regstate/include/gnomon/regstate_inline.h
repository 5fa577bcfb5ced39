/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_REGSTATE_INLINE_H
#define GN_REGSTATE_INLINE_H

/*
 * gnomon/regstate_inline.h - the checks before and behind a block, inline.
 *
 * Outside the ABI: compiles the layout of the object into its user, so use it only with the archive
 * or the shared object of the same build. A translator emits the same word operations: the status
 * stands at the object's begin, valid first. Code that has 64 registers or fewer may leave out the
 * second word of each set.
 */

#include <gnomon/regstate.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The object's layout. */
struct gn_regstate {
    struct gn_regstate_status status;
    struct gn_regstate_set all; /* the registers that there are */
    void (*save)(void *ctx, const struct gn_regstate_set *set);
    void (*restore)(void *ctx, const struct gn_regstate_set *set);
    void *ctx;
    struct gn_regstate_stats stats;
};

/** What a status lacks of what is needed, by word: 0 if it fits there. */
static inline uint64_t gn_regstate_missing(const struct gn_regstate_status *have,
                                           const struct gn_regstate_status *need, uint32_t i)
{
    return (need->valid.word[i] & ~have->valid.word[i]) |
           (need->saved.word[i] & ~have->saved.word[i]);
}

/** gn_regstate_fits, inline. Neither argument is NULL. */
static inline int gn_regstate_fits_inline(const struct gn_regstate_status *have,
                                          const struct gn_regstate_status *need)
{
    return !(gn_regstate_missing(have, need, 0) | gn_regstate_missing(have, need, 1));
}

/** gn_regstate_apply, inline and in place. */
static inline void gn_regstate_apply_inline(struct gn_regstate_status *status,
                                            const struct gn_regstate_effect *effect)
{
    uint32_t i;

    for (i = 0; i < GN_REGSTATE_WORDS; i++) {
        status->valid.word[i] =
            (status->valid.word[i] | effect->writes.word[i] | effect->restores.word[i]) &
            ~effect->loses.word[i];
        status->saved.word[i] =
            (status->saved.word[i] & ~effect->writes.word[i]) | effect->saves.word[i];
    }
}

/** gn_regstate_enter, inline. */
static inline void gn_regstate_enter_inline(struct gn_regstate *rs,
                                            const struct gn_regstate_status *need)
{
    if (gn_regstate_fits_inline(&rs->status, need))
        rs->stats.fitted++;
    else
        gn_regstate_enter(rs, need);
}

/** gn_regstate_leave, inline. */
static inline void gn_regstate_leave_inline(struct gn_regstate *rs,
                                            const struct gn_regstate_effect *effect)
{
    gn_regstate_apply_inline(&rs->status, effect);
}

#ifdef __cplusplus
}
#endif

#endif /* GN_REGSTATE_INLINE_H */
