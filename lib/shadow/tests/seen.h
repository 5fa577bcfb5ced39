/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_SEEN_H
#define GN_TEST_SEEN_H

/*
 * What a CPU may see of tables that others write meanwhile: any version of an entry since its own
 * last flush.
 */

#include "threads.h"

#define WINDOW 64u /* versions that are looked through; more are as good as all */

#define SEEN_PAGE   0u
#define SEEN_DENIED 1u
#define SEEN_HOLE   2u
#define SEEN_MARKER 3u
#define SEEN_DEVICE 4u

/* States of the sparse slot, of its count modulo 8; what is odd is on the way to the next. */
#define GONE       0u
#define RAM        2u
#define GONE_AGAIN 4u
#define DEVICE     6u

/* What an access came to, and the versions that it may be judged by. */
struct seen {
    uint32_t outcome, write, space, i, e, sparse;
    uint64_t gpa;
    struct bound from, to;
};

static inline void bound_done(struct world *w, struct bound *b, uint32_t space, uint32_t i,
                              uint32_t e)
{
    b->mid = get(&w->mid_cell[space][i].done);
    for (uint32_t j = 0; j < TABLES; j++)
        b->leaf[j] = get(&w->leaf_cell[j][e].done);
}

static inline void bound_begun(struct world *w, struct bound *b, uint32_t space, uint32_t i,
                               uint32_t e)
{
    b->mid = get(&w->mid_cell[space][i].begun);
    for (uint32_t j = 0; j < TABLES; j++)
        b->leaf[j] = get(&w->leaf_cell[j][e].begun);
}

/* Is what was seen what these versions say? */
static inline int seen_fits(const struct seen *s, uint32_t table, uint32_t version)
{
    int denied = cell_absent(version) || (s->write && cell_read_only(version));

    if (s->outcome == SEEN_MARKER)
        return cell_absent(version);
    if (s->outcome == SEEN_DENIED)
        return denied;
    return !denied && cell_page(table, s->e, version) == s->gpa;
}

static inline int seen_may_be(const struct seen *s)
{
    if (s->to.mid - s->from.mid >= WINDOW)
        return 1;
    for (uint32_t m = s->from.mid; m <= s->to.mid; m++) {
        uint32_t j = mid_target(s->space, s->i, m);

        if (j == TABLES) {
            if (s->outcome == SEEN_DENIED || s->outcome == SEEN_MARKER)
                return 1;
            continue;
        }
        if (s->to.leaf[j] - s->from.leaf[j] >= WINDOW)
            return 1;
        for (uint32_t v = s->from.leaf[j]; v <= s->to.leaf[j]; v++)
            if (seen_fits(s, j, v))
                return 1;
    }
    return 0;
}

static inline void judge(struct cpu *c, struct seen *s)
{
    struct world *w = c->w;
    uint32_t sparse = get(&w->sparse);
    int in_sparse = s->gpa >= DATA + FIXED * GN_PAGE_SIZE;

    bound_begun(w, &s->to, s->space, s->i, s->e);
    if (!seen_may_be(s))
        wrong(w, "cpu %u space %u (%u,%u) write %u: outcome %u, page %llx, versions of mid %u..%u",
              c->number, s->space, s->i, s->e, s->write, s->outcome, (unsigned long long)s->gpa,
              s->from.mid, s->to.mid);
    if ((s->outcome == SEEN_HOLE || s->outcome == SEEN_DEVICE) && !in_sparse)
        wrong(w, "outcome %u at %llx", s->outcome, (unsigned long long)s->gpa);
    if (in_sparse && s->sparse == sparse && sparse % 2 == 0 &&
        ((s->outcome == SEEN_PAGE && sparse % 8 != RAM) ||
         (s->outcome == SEEN_DEVICE && sparse % 8 != DEVICE) ||
         (s->outcome == SEEN_HOLE && sparse % 8 != GONE && sparse % 8 != GONE_AGAIN)))
        wrong(w, "outcome %u at %llx while its slot is in state %u", s->outcome,
              (unsigned long long)s->gpa, sparse % 8);
    c->outcomes[s->outcome]++;
}

#endif /* GN_TEST_SEEN_H */
