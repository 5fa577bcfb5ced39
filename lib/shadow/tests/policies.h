/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_POLICIES_H
#define GN_TEST_POLICIES_H

/* A table that the guest writes by a mapping of it, under one policy. */

#include "situations.h"

#define UNSYNC GN_SHADOW_POLICY_UNSYNC
#define ADAPT  GN_SHADOW_POLICY_ADAPT
#define SELF   (GVA + 16 * 4096) /* where the leaf-level table of GVA is mapped */
#define UPPER  (GVA + 17 * 4096) /* where the table above it is */

/* Runs a situation in every format under one policy. */
static inline void under(uint32_t policy, void (*situation)(struct machine *m))
{
    for (uint32_t f = 0; f < 5; f++) {
        struct machine *m = machine_new(formats[f], policy);

        situation(m);
        coherence_check(m);
        machine_free(m);
    }
}

/* Two pages, and the tables that map them. @return the root's id */
static inline uint32_t begin(struct machine *m, uint64_t *ret_entry)
{
    uint64_t entry = guest_map(m, ROOT, GVA, PAGE, 0, KERNEL | AD);
    uint32_t root;

    guest_map(m, ROOT, GVA + 4096, PAGE + 4096, 0, KERNEL | AD);
    guest_map(m, ROOT, SELF, entry & ~GN_PAGE_MASK, 0, KERNEL | AD);
    guest_map(m, ROOT, UPPER, guest_entry(m, ROOT, GVA, 1) & ~GN_PAGE_MASK, 0, KERNEL | AD);
    root = root_get(m, ROOT);
    assert_int_equal(outcome(m, root, GVA, READ), COMPLETED);
    assert_int_equal(outcome(m, root, GVA + 4096, READ), COMPLETED);
    *ret_entry = entry;
    return root;
}

/* The guest writes the entry of GVA + page * 4096 by its own mapping of the table. */
static inline uint32_t write_entry(struct machine *m, uint32_t root, uint64_t entry, uint64_t page,
                                   uint64_t value)
{
    return guest_store(m, root, SELF + (nth(m, entry, page) & GN_PAGE_MASK), &value,
                       m->geometry.entry_bytes);
}

static inline uint64_t leaf(struct machine *m, uint64_t page)
{
    return leaf_value(m, 0, PAGE + page * 4096, KERNEL | AD);
}

#endif /* GN_TEST_POLICIES_H */
