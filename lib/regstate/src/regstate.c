/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The status at run time. Every register that there is, is valid or saved whenever no call runs.
 */
#include <gnomon/regstate_inline.h>

/* A freestanding compiler may call it anyway; there is no <string.h> for it. */
void *memset(void *to, int byte, size_t n);

uint32_t gn_regstate_version(void)
{
    return GN_REGSTATE_VERSION_MAJOR << 16 | GN_REGSTATE_VERSION_MINOR;
}

static int params_read(const struct gn_regstate_params *params, struct gn_regstate_params *ret,
                       struct gn_regstate_ops *ret_ops)
{
    int r = gn_base_params_copy(ret, sizeof *ret, params, sizeof *ret);

    if (r)
        return r;
    if (!ret->ops || ret->registers > GN_REGSTATE_REGISTERS_MAX)
        return -GN_ERR_INVAL;
    r = gn_base_params_copy(ret_ops, sizeof *ret_ops, ret->ops, sizeof *ret_ops);
    if (r)
        return r;
    if (!ret_ops->save || !ret_ops->restore)
        return -GN_ERR_INVAL;
    ret->registers = ret->registers ? ret->registers : 64;
    return 0;
}

size_t gn_regstate_size(const struct gn_regstate_params *params)
{
    struct gn_regstate_params p;
    struct gn_regstate_ops ops;

    return params_read(params, &p, &ops) ? 0 : sizeof(struct gn_regstate);
}

size_t gn_regstate_align(void)
{
    return _Alignof(struct gn_regstate);
}

int gn_regstate_init(void *mem, size_t len, const struct gn_regstate_params *params,
                     struct gn_regstate **ret_regstate)
{
    struct gn_regstate *rs = mem;
    struct gn_regstate_params p;
    struct gn_regstate_ops ops;
    int r;

    if (!mem || !ret_regstate || (uintptr_t)mem % _Alignof(struct gn_regstate))
        return -GN_ERR_INVAL;
    r = params_read(params, &p, &ops);
    if (r)
        return r;
    if (len < sizeof *rs)
        return -GN_ERR_NOMEM;
    memset(rs, 0, sizeof *rs);
    rs->all = gn_regstate_first(p.registers);
    rs->status.saved = rs->all;
    rs->save = ops.save;
    rs->restore = ops.restore;
    rs->ctx = p.ctx;
    rs->stats.size = sizeof rs->stats;
    *ret_regstate = rs;
    return 0;
}

void gn_regstate_fini(struct gn_regstate *rs)
{
    (void)rs;
}

static uint64_t count(const struct gn_regstate_set *set)
{
    uint64_t n = 0;
    uint32_t i;

    /* Bit by bit: a library without libgcc's popcount, and plans are small. */
    for (i = 0; i < GN_REGSTATE_WORDS; i++)
        for (uint64_t w = set->word[i]; w; w &= w - 1)
            n++;
    return n;
}

/* Saves these homes, which are valid. */
static void save(struct gn_regstate *rs, const struct gn_regstate_set *set)
{
    const uint64_t n = count(set);
    uint32_t i;

    if (!n)
        return;
    rs->save(rs->ctx, set);
    rs->stats.saves += n;
    for (i = 0; i < GN_REGSTATE_WORDS; i++)
        rs->status.saved.word[i] |= set->word[i];
}

static void restore(struct gn_regstate *rs, const struct gn_regstate_set *set)
{
    const uint64_t n = count(set);
    uint32_t i;

    if (!n)
        return;
    rs->restore(rs->ctx, set);
    rs->stats.restores += n;
    for (i = 0; i < GN_REGSTATE_WORDS; i++)
        rs->status.valid.word[i] |= set->word[i];
}

void gn_regstate_enter(struct gn_regstate *rs, const struct gn_regstate_status *need)
{
    struct gn_regstate_plan plan;
    uint64_t missing = 0;
    uint32_t i;

    for (i = 0; i < GN_REGSTATE_WORDS; i++) {
        plan.save.word[i] = need->saved.word[i] & rs->all.word[i] & ~rs->status.saved.word[i];
        plan.restore.word[i] = need->valid.word[i] & rs->all.word[i] & ~rs->status.valid.word[i];
        missing |= plan.save.word[i] | plan.restore.word[i];
    }
    if (!missing) {
        rs->stats.fitted++;
        return;
    }
    rs->stats.fixed++;
    save(rs, &plan.save);
    restore(rs, &plan.restore);
}

void gn_regstate_leave(struct gn_regstate *rs, const struct gn_regstate_effect *effect)
{
    gn_regstate_apply_inline(&rs->status, effect);
}

void gn_regstate_release(struct gn_regstate *rs, const struct gn_regstate_set *set)
{
    struct gn_regstate_set unsaved;
    uint32_t i;

    for (i = 0; i < GN_REGSTATE_WORDS; i++)
        unsaved.word[i] = set->word[i] & rs->all.word[i] & ~rs->status.saved.word[i];
    save(rs, &unsaved);
    for (i = 0; i < GN_REGSTATE_WORDS; i++)
        rs->status.valid.word[i] &= ~set->word[i];
}

void gn_regstate_fault(struct gn_regstate *rs, const struct gn_regstate_effect *so_far)
{
    struct gn_regstate_set unsaved;
    uint32_t i;

    rs->stats.faults++;
    if (so_far)
        gn_regstate_apply_inline(&rs->status, so_far);
    for (i = 0; i < GN_REGSTATE_WORDS; i++)
        unsaved.word[i] = rs->all.word[i] & ~rs->status.saved.word[i];
    save(rs, &unsaved);
}

void gn_regstate_replace(struct gn_regstate *rs, const struct gn_regstate_set *set)
{
    uint32_t i;

    for (i = 0; i < GN_REGSTATE_WORDS; i++) {
        rs->status.valid.word[i] &= ~set->word[i];
        rs->status.saved.word[i] |= set->word[i] & rs->all.word[i];
    }
}

int gn_regstate_query(const struct gn_regstate *rs, struct gn_regstate_status *ret_status)
{
    if (!rs || !ret_status)
        return -GN_ERR_INVAL;
    *ret_status = rs->status;
    return 0;
}

int gn_regstate_stats_get(const struct gn_regstate *rs, struct gn_regstate_stats *stats)
{
    const uint8_t *from;
    uint8_t *to = (uint8_t *)stats;
    uint32_t i;

    if (!rs || !stats || stats->size < sizeof *stats)
        return -GN_ERR_INVAL;
    from = (const uint8_t *)&rs->stats;
    for (i = sizeof stats->size; i < stats->size; i++)
        to[i] = i < sizeof rs->stats ? from[i] : 0;
    return 0;
}
