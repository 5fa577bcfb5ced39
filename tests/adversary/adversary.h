/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_ADVERSARY_H
#define GN_TEST_ADVERSARY_H

/*
 * A platform whose TLB forgets nothing before it must: for tests of whoever should have flushed.
 *
 * A TLB that is small, or emptied at each switch, hides a missing flush and a reused ASID. This one
 * keeps every leaf and every table entry that a walk met, of every ASID, through every switch,
 * until an invalidation covers it; of several versions of one page it keeps all, and tries the
 * oldest first that permits the access:
 *
 *      access --> leaves cached for (ASID, page), oldest first -------- permitted --> done
 *                 | none
 *                 table entries cached for (ASID, level, prefix), lowest level and oldest first,
 *                 | and on from there through memory ---------------- permitted leaf --> done
 *                 | none
 *                 a walk from the root through memory: what that says, goes
 *
 * So it keeps the contract of <gnomon/mmu.h>, to the letter and no further: nothing that an
 * invalidation covered is used after it, refusals are not remembered, and an entry that appears or
 * permits more needs no invalidation. A large leaf is cached in pieces of 4 KiB, of which an
 * invalidation covers those that it names. Hardware may also walk ahead: params.around, and
 * adversary_speculate().
 *
 * Not for speed, and it allocates. It shares nothing with the software MMU but the format tables.
 */

#include <gnomon/mmu.h>
#include <gnomon/paging.h>

struct adversary;

struct adversary_params {
    uint32_t format; /**< GN_PAGING_... with 8-byte entries and tables that are all alike */
    uint32_t vcpus;
    void *memory;         /**< the machine's, from host physical address 0 */
    uint64_t memory_size; /**< a multiple of 4 KiB */
    /** Neighbours, aligned: a walk caches so many present leaves of the table; 0 or a power of two
     *  up to 512. */
    uint32_t around;
    /** Optional; as gn_softmmu_ops has them. */
    void (*traced_write)(void *ctx, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes);
    int (*absent)(void *ctx, uint32_t vcpu, uint64_t entry, uint32_t access,
                  struct gn_mmu_answer *ret_answer);
    void *ctx;
};

/** A cached translation of a page. */
struct adversary_page {
    gn_gva_t gva;
    gn_hpa_t hpa;
    uint32_t asid;
    uint32_t permissions; /**< GN_PAGING_R|W|X|U of all levels; SOFT0: traced */
};

struct adversary_stats {
    uint64_t accesses;
    uint64_t walks; /**< from the root */
    uint64_t hits;
    uint64_t stale; /**< of the answers from caches: a walk would have said something else */
};

/** NULL: no such format, or no memory. */
struct adversary *adversary_new(const struct adversary_params *params);
void adversary_free(struct adversary *a);

/** The platform: WALKS, ASID, TRACED, MARKERS. `mmu` in its ops is a struct adversary. */
const struct gn_mmu_ops *adversary_mmu_ops(void);

/** What a processor may do at any time: it walks for an address, under the context in force. */
void adversary_speculate(struct adversary *a, uint32_t vcpu, gn_gva_t gva);

/** Calls `each` for every page cached on a virtual CPU: for audits. */
void adversary_each(const struct adversary *a, uint32_t vcpu,
                    void (*each)(void *ctx, const struct adversary_page *page), void *ctx);

struct adversary_stats adversary_stats(const struct adversary *a);

#endif /* GN_TEST_ADVERSARY_H */
