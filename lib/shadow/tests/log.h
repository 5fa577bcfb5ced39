/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_LOG_H
#define GN_TEST_LOG_H

/* Dirty logs, each beside the naive one. */

#include "machine_setup.h"

static inline void dirty_start(struct machine *m, uint32_t slot)
{
    uint64_t first = m->slot[slot].gpa.v >> GN_PAGE_SHIFT;
    uint64_t pages = m->slot[slot].length >> GN_PAGE_SHIFT;
    size_t bytes = gn_shadow_dirty_size(m->slot[slot].length);

    m->log_mem[slot] = malloc(bytes);
    memset(m->log_mem[slot], 0xcc, bytes);
    memset(m->dirty + first, 0, pages);
    memset(m->announced + first, 0, pages);
    UNTIL_DONE(gn_shadow_dirty_start(m->sh, slot, m->log_mem[slot], bytes));
}

static inline void dirty_stop(struct machine *m, uint32_t slot)
{
    assert_int_equal(gn_shadow_dirty_stop(m->sh, slot), 0);
    free(m->log_mem[slot]);
    m->log_mem[slot] = NULL;
}

/* Harvests, and compares with the naive log, page by page. @return pages that were dirty */
static inline uint64_t dirty_harvest(struct machine *m, uint32_t slot, uint64_t first,
                                     uint64_t pages)
{
    uint64_t *bitmap = calloc(pages / 64 + 1, 8);
    uint64_t base = (m->slot[slot].gpa.v >> GN_PAGE_SHIFT) + first;
    uint64_t found = UINT64_MAX;
    uint64_t seen = 0;

    UNTIL_DONE(gn_shadow_dirty_harvest(m->sh, slot, first, pages, bitmap, &found));
    for (uint64_t i = 0; i < pages; i++) {
        int is = (int)(bitmap[i / 64] >> i % 64 & 1);

        if (is != m->dirty[base + i])
            fail_msg("page %llx of slot %u: dirty %d, harvested %d", (unsigned long long)(base + i),
                     slot, m->dirty[base + i], is);
        assert_int_equal(m->announced[base + i], is);
        m->dirty[base + i] = m->announced[base + i] = 0;
        seen += (uint64_t)is;
    }
    assert_int_equal(found, seen);
    free(bitmap);
    return seen;
}

#endif /* GN_TEST_LOG_H */
