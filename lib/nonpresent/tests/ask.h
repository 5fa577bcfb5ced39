/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NONPRESENT_ASK_H
#define NONPRESENT_ASK_H

/* What it has counted, and what it says of an entry. */

#include <gnomon/nonpresent.h>

#include "gn_test.h"

static inline struct gn_nonpresent_stats stats_of(const struct gn_nonpresent *np)
{
    struct gn_nonpresent_stats stats = {GN_NONPRESENT_STATS_INIT};

    assert_int_equal(gn_nonpresent_stats_get(np, &stats), 0);
    return stats;
}

static inline struct gn_nonpresent_answer look(struct gn_nonpresent *np, uint64_t entry,
                                               uint32_t access)
{
    struct gn_nonpresent_answer answer;

    assert_int_equal(gn_nonpresent_lookup(np, entry, access, &answer), 0);
    return answer;
}

#endif /* NONPRESENT_ASK_H */
