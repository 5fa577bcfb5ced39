/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_SITUATIONS_H
#define GN_TEST_SITUATIONS_H

/*
 * Situations: what a test sets up in a machine of every format, under every policy. Numbers in the
 * names of tests are those of the project's list of invariants: 1 subset, 2 freshness, 4 A and D,
 * 5 write protection, 6 absent markers, 7 roles, 8 large pages, 9 reverse map, 10 slots,
 * 11 lifetime, 12 budget, 13 forms of a write.
 */

#include "access.h"

#define ROOT  ((uint64_t)0x40000)
#define ROOT2 ((uint64_t)0x41000)
#define ROOT3 ((uint64_t)0x42000)
#define GVA   ((uint64_t)0x40201000)
#define FAR   ((uint64_t)3 << 30) /* in another table of every level, and below 4 GiB */
#define PAGE  ((uint64_t)0x100000)
#define MMIO  ((uint64_t)8 << 20)

#define READ  GN_ACCESS_READ
#define WRITE GN_ACCESS_WRITE
#define USERS GN_PAGING_AS_USER

static const uint32_t formats[] = {GN_PAGING_SV39, GN_PAGING_SV48, GN_PAGING_SV57,
                                   GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL};

#define FORMATS 5u

/* Of guests: those, and the ones whose tables are no shadow's. */
static const uint32_t guests[] = {GN_PAGING_SV39,       GN_PAGING_SV48,       GN_PAGING_SV57,
                                  GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL, GN_PAGING_X86_PAE,
                                  GN_PAGING_X86_32};
#define GUESTS 7u

/* May a guest's tables of this format have shadows of that? */
static inline int pair(uint32_t guest, uint32_t shadow)
{
    struct gn_paging_geometry g;
    struct gn_paging_geometry s;

    assert_int_equal(gn_paging_geometry(guest, &g), 0);
    assert_int_equal(gn_paging_geometry(shadow, &s), 0);
    return g.va_bits <= s.va_bits;
}

/* Runs a situation in every pair of formats under every policy, and looks at what is left. */
static inline void everywhere(void (*situation)(struct machine *m))
{
    for (uint32_t f = 0; f < GUESTS * FORMATS; f++) {
        for (uint32_t policy = 0;
             policy < POLICIES && pair(guests[f / FORMATS], formats[f % FORMATS]); policy++) {
            struct machine *m = machine_new(formats[f % FORMATS], policy);

            machine_guest(m, guests[f / FORMATS]);
            situation(m);
            coherence_check(m);
            machine_free(m);
        }
    }
}

/* Runs a situation of one guest in every shadow under every policy. */
static inline void in_every_shadow(uint32_t guest, void (*situation)(struct machine *m))
{
    for (uint32_t f = 0; f < FORMATS; f++) {
        for (uint32_t policy = 0; policy < POLICIES; policy++) {
            struct machine *m = machine_new(formats[f], policy);

            machine_guest(m, guest);
            situation(m);
            coherence_check(m);
            machine_free(m);
        }
    }
}

/* What the shadow says now of an address. @return the leaf's permissions, 0 without a leaf */
static inline uint32_t mapped(struct machine *m, uint32_t root, uint64_t gva, uint32_t *ret_level)
{
    struct gn_paging_entry e;
    uint64_t value;
    uint32_t level = spt_leaf(m, root, gva, &e, &value);

    if (ret_level)
        *ret_level = level;
    return level == UINT32_MAX ? 0 : e.permissions;
}

static inline uint64_t marker_at(struct machine *m, uint32_t root, uint64_t gva)
{
    struct gn_paging_entry e;
    uint64_t value;

    return spt_leaf(m, root, gva, &e, &value) == UINT32_MAX ? value : 0;
}

/* What becomes of the first write to a page of tables, of leaf-level ones or not. */
static inline uint32_t first_write(const struct machine *m, int leaf_level)
{
    return m->policy == GN_SHADOW_POLICY_TRACED ||
                   (m->policy == GN_SHADOW_POLICY_UNSYNC && leaf_level)
               ? COMPLETED
               : GN_SHADOW_TRAPPED;
}

static inline uint32_t outcome(struct machine *m, uint32_t root, uint64_t gva, uint32_t access)
{
    return access_at(m, root, gva, access).outcome;
}

/*
 * GVA leads to PAGE, and FAR to the leaf-level table on that way, which the shadow knows.
 * @return the root; where the entry is that leads to the table, and the table's page
 */
static inline uint32_t table_at_far(struct machine *m, uint64_t *ret_above, uint64_t *ret_page)
{
    uint32_t root;

    guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    *ret_above = guest_entry(m, ROOT, GVA, 1);
    *ret_page = guest_entry(m, ROOT, GVA, 0) & ~GN_PAGE_MASK;
    guest_map(m, ROOT, FAR, *ret_page, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    return root;
}

static inline struct gn_shadow_stats stats(struct machine *m)
{
    struct gn_shadow_stats s = {GN_SHADOW_STATS_INIT};

    assert_int_equal(gn_shadow_stats_get(m->sh, &s), 0);
    return s;
}

#endif /* GN_TEST_SITUATIONS_H */
