/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The status as data: pure functions on sets of registers. Each register is a machine of two bits
 * of its own, so that all of this is word operations; what holds for one register was tried out
 * whole (tests, "one register").
 */
#include <gnomon/regstate_inline.h>

#define EACH_WORD(i) (uint32_t i = 0; i < GN_REGSTATE_WORDS; i++)

int gn_regstate_block_check(const struct gn_regstate_block *block)
{
    const struct gn_regstate_effect *e;

    if (!block)
        return -GN_ERR_INVAL;
    e = &block->effect;
    for
        EACH_WORD(i)
        {
            const uint64_t writes = e->writes.word[i], saves = e->saves.word[i];
            const uint64_t restores = e->restores.word[i], loses = e->loses.word[i];
            const uint64_t backed = saves | (block->needs.saved.word[i] & ~writes);
            /* Saved without a good home to save from: somebody wrote memory, so the home is lost.
             */
            const uint64_t source = block->needs.valid.word[i] | writes | restores | loses;

            if (loses & ~backed || saves & ~source ||
                restores & ~(block->needs.saved.word[i] | saves | writes))
                return -GN_ERR_INVAL;
        }
    return 0;
}

int gn_regstate_fits(const struct gn_regstate_status *have, const struct gn_regstate_status *need)
{
    return have && need && gn_regstate_fits_inline(have, need);
}

int gn_regstate_plan(const struct gn_regstate_status *have, const struct gn_regstate_status *need,
                     struct gn_regstate_plan *ret_plan)
{
    struct gn_regstate_plan plan;

    if (!have || !need || !ret_plan)
        return -GN_ERR_INVAL;
    for
        EACH_WORD(i)
        {
            const uint64_t valid = have->valid.word[i], saved = have->saved.word[i];

            plan.save.word[i] = need->saved.word[i] & ~saved;
            plan.restore.word[i] = need->valid.word[i] & ~valid;
            if ((plan.save.word[i] | plan.restore.word[i]) & ~(valid | saved))
                return -GN_ERR_NOENT;
        }
    *ret_plan = plan;
    return 0;
}

int gn_regstate_apply(const struct gn_regstate_status *have,
                      const struct gn_regstate_effect *effect,
                      struct gn_regstate_status *ret_status)
{
    if (!have || !effect || !ret_status)
        return -GN_ERR_INVAL;
    *ret_status = *have;
    gn_regstate_apply_inline(ret_status, effect);
    return 0;
}

/* One word of two pieces of code. @return 0, or registers whose needs first makes untrue. */
static uint64_t then_word(const struct gn_regstate_block *a, const struct gn_regstate_block *b,
                          uint32_t i, struct gn_regstate_block *ret)
{
    const struct gn_regstate_effect *e = &a->effect, *f = &b->effect;
    const uint64_t valid = b->needs.valid.word[i], saved = b->needs.saved.word[i];
    const uint64_t filled = e->writes.word[i] | e->restores.word[i];
    const uint64_t refilled = f->writes.word[i] | f->restores.word[i];
    const uint64_t stale = e->writes.word[i] & ~e->saves.word[i];
    const uint64_t writes = e->writes.word[i] | f->writes.word[i];

    ret->needs.valid.word[i] = a->needs.valid.word[i] | (valid & ~filled);
    ret->needs.saved.word[i] = a->needs.saved.word[i] | (saved & ~e->saves.word[i]);
    ret->effect.writes.word[i] = writes;
    ret->effect.saves.word[i] = (e->saves.word[i] & ~f->writes.word[i]) | f->saves.word[i];
    ret->effect.restores.word[i] = (filled | refilled) & ~writes;
    ret->effect.loses.word[i] = (e->loses.word[i] & ~refilled) | f->loses.word[i];
    return (valid & e->loses.word[i]) | (saved & stale);
}

int gn_regstate_block_then(const struct gn_regstate_block *first,
                           const struct gn_regstate_block *second,
                           struct gn_regstate_block *ret_block)
{
    struct gn_regstate_block block;

    if (!first || !second || !ret_block)
        return -GN_ERR_INVAL;
    for
        EACH_WORD(i)
    if (then_word(first, second, i, &block))
        return -GN_ERR_PERM;
    *ret_block = block;
    return 0;
}

static struct gn_regstate_status intersect(const struct gn_regstate_status *a,
                                           const struct gn_regstate_status *b)
{
    struct gn_regstate_status s;

    for
        EACH_WORD(i)
        {
            s.valid.word[i] = a->valid.word[i] & b->valid.word[i];
            s.saved.word[i] = a->saved.word[i] & b->saved.word[i];
        }
    return s;
}

static struct gn_regstate_status unite(const struct gn_regstate_status *a,
                                       const struct gn_regstate_status *b)
{
    struct gn_regstate_status s;

    for
        EACH_WORD(i)
        {
            s.valid.word[i] = a->valid.word[i] | b->valid.word[i];
            s.saved.word[i] = a->saved.word[i] | b->saved.word[i];
        }
    return s;
}

int gn_regstate_join(const struct gn_regstate_status *a, const struct gn_regstate_status *b,
                     struct gn_regstate_status *ret_status)
{
    struct gn_regstate_status s;

    if (!a || !b || !ret_status)
        return -GN_ERR_INVAL;
    s = intersect(a, b);
    /* One has it in its home alone, the other in memory alone: a store costs less than a load. */
    for
        EACH_WORD(i)
    s.saved.word[i] |= (a->valid.word[i] | a->saved.word[i]) &
                       (b->valid.word[i] | b->saved.word[i]) & ~s.valid.word[i];
    *ret_status = s;
    return 0;
}

int gn_regstate_edge(const struct gn_regstate_bounds *have, const struct gn_regstate_status *need,
                     struct gn_regstate_plan *ret_plan)
{
    uint64_t at_most = 0, unsure = 0;

    if (!have || !need || !ret_plan)
        return -GN_ERR_INVAL;
    for
        EACH_WORD(i)
        {
            const uint64_t valid = need->valid.word[i], saved = need->saved.word[i];

            ret_plan->save.word[i] = saved & ~have->least.saved.word[i];
            ret_plan->restore.word[i] = valid & ~have->least.valid.word[i];
            at_most |= ret_plan->save.word[i] | ret_plan->restore.word[i];
            unsure |= ret_plan->save.word[i] & have->most.saved.word[i];
            unsure |= ret_plan->restore.word[i] & have->most.valid.word[i];
        }
    if (!at_most)
        return GN_REGSTATE_EDGE_FITS;
    return unsure ? GN_REGSTATE_EDGE_CHECK : GN_REGSTATE_EDGE_FIX;
}

int gn_regstate_bounds_apply(const struct gn_regstate_bounds *have,
                             const struct gn_regstate_block *block,
                             struct gn_regstate_bounds *ret_bounds)
{
    struct gn_regstate_bounds b;

    if (!have || !block || !ret_bounds)
        return -GN_ERR_INVAL;
    b.least = unite(&have->least, &block->needs);
    b.most = unite(&have->most, &block->needs);
    gn_regstate_apply_inline(&b.least, &block->effect);
    gn_regstate_apply_inline(&b.most, &block->effect);
    *ret_bounds = b;
    return 0;
}

int gn_regstate_bounds_join(const struct gn_regstate_bounds *a, const struct gn_regstate_bounds *b,
                            struct gn_regstate_bounds *ret_bounds)
{
    struct gn_regstate_bounds joined;

    if (!a || !b || !ret_bounds)
        return -GN_ERR_INVAL;
    joined.least = intersect(&a->least, &b->least);
    joined.most = unite(&a->most, &b->most);
    *ret_bounds = joined;
    return 0;
}

int gn_regstate_point(const struct gn_regstate_status *entry,
                      const struct gn_regstate_effect *so_far, const struct gn_regstate_set *all,
                      struct gn_regstate_set *ret_save)
{
    struct gn_regstate_status at;
    struct gn_regstate_set save;

    if (!entry || !all || !ret_save)
        return -GN_ERR_INVAL;
    at = *entry;
    if (so_far)
        gn_regstate_apply_inline(&at, so_far);
    for
        EACH_WORD(i)
        {
            save.word[i] = all->word[i] & ~at.saved.word[i];
            if (save.word[i] & ~at.valid.word[i])
                return -GN_ERR_NOENT;
        }
    *ret_save = save;
    return 0;
}
