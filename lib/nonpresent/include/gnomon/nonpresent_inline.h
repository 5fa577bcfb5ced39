/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_NONPRESENT_INLINE_H
#define GN_NONPRESENT_INLINE_H

/*
 * gnomon/nonpresent_inline.h - the hit of gn_nonpresent_lookup(), to be inlined where the MMU finds
 * an absent entry. Outside the ABI: it changes with the library, compile against the version you
 * link.
 *
 * A marker of an absence that may be believed differs from every other entry in bits that are known
 * beforehand: those of the encoding, the kind and the current generation. So one compare under a
 * mask tells a hit, and the code of the fault is in a table by the kind of access.
 */

#include <gnomon/nonpresent.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where an encoding keeps the content. */
struct gn_nonpresent_coder {
    uint64_t low_mask;   /**< content bits that stand from entry bit 1 up */
    uint64_t high_mask;  /**< content bits above these, moved down */
    uint64_t fixed_mask; /**< entry bits that are the same in every marker */
    uint64_t fixed;      /**< and their value */
    uint32_t low_bits;
    uint32_t high_at; /**< entry bit where the high part begins */
};

/** What a hit needs. The library's own: read it through gn_nonpresent_hit(). */
struct gn_nonpresent_window {
    uint64_t mask;       /**< bits of an entry that tell a marker to be believed ... */
    uint64_t value;      /**< ... and their value; atomic: a bump changes it */
    uint64_t level_four; /**< entry bit that says level 4 or above ... */
    uint64_t level_rest; /**< ... which of these says above: such an entry is no marker */
    int (*pending)(void *ctx, gn_gpa_t table); /**< NULL: the fenced rule */
    void *ctx;
    uint64_t hits; /**< atomic, relaxed */
    uint8_t code[16];
    struct gn_nonpresent_coder coder;
};

/** The window of an object, valid as long as it. Context: any; O(1). Thread-safety: reentrant. */
GN_API struct gn_nonpresent_window *gn_nonpresent_window(struct gn_nonpresent *np);

/** The content of an entry whose fixed bits are as they must be. */
static inline uint64_t gn_nonpresent_content(const struct gn_nonpresent_coder *c, uint64_t entry)
{
    return (entry >> 1 & c->low_mask) | (entry >> c->high_at & c->high_mask) << c->low_bits;
}

/** The page that holds the guest's entry, of a content. */
static inline gn_gpa_t gn_nonpresent_table(uint64_t content)
{
    const uint64_t gfn = content >> 2 & (((uint64_t)1 << GN_NONPRESENT_GFN_BITS) - 1);

    return gn_gpa(gfn << GN_PAGE_SHIFT);
}

/**
 * Does this shadow entry say that the guest is owed a page fault for this access?
 *
 * @param window    of the object
 * @param entry     the shadow entry, read once
 * @param access    GN_ACCESS_* | GN_NONPRESENT_AS_USER | GN_NONPRESENT_X86_FETCH_BIT, with a kind
 *                  below GN_ACCESS_KINDS
 * @param ret_code  RISC-V cause or x86 error code; written when 1 is returned
 * @return 1: gn_nonpresent_lookup() would have answered GUEST_ABSENT, and it counts as such a hit;
 *         0: ask gn_nonpresent_lookup(), which also knows MMIO, and counts why there was no hit;
 *         always so for an AArch64 guest, whose codes depend on the level
 *
 * Context and thread-safety: as gn_nonpresent_lookup().
 */
static inline int gn_nonpresent_hit(struct gn_nonpresent_window *window, uint64_t entry,
                                    uint32_t access, uint32_t *ret_code)
{
    if ((entry & window->mask) != __atomic_load_n(&window->value, __ATOMIC_ACQUIRE))
        return 0;
    if (entry & window->level_four && entry & window->level_rest)
        return 0;
    if (window->pending && window->pending(window->ctx, gn_nonpresent_table(gn_nonpresent_content(
                                                            &window->coder, entry))))
        return 0;
    __atomic_store_n(&window->hits, __atomic_load_n(&window->hits, __ATOMIC_RELAXED) + 1,
                     __ATOMIC_RELAXED);
    /* GN_NONPRESENT_AS_USER is bit 4, GN_NONPRESENT_X86_FETCH_BIT bit 7. */
    *ret_code = window->code[(access & 3) | (access >> 2 & 4) | (access >> 4 & 8)];
    return 1;
}

#ifdef __cplusplus
}
#endif

#endif /* GN_NONPRESENT_INLINE_H */
