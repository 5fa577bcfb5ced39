/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TCACHE_INLINE_H
#define GN_TCACHE_INLINE_H

/*
 * gnomon/tcache_inline.h - what translated code reads of a view, to be inlined or emitted.
 *
 * Outside the ABI: who includes this must link the library of the same version. A view says what
 * one fetch context of one vCPU has mapped where, as far as jumps asked:
 *
 *      indirect jump to pc                       direct jump to another page
 *      slot = jumps[jump_index(pc)]              ids[page_index(target)] == id of the guard?
 *      slot.pc == pc?  go to slot.entry          go to the target, which was linked
 *      else: leave, and look pc up               else: leave, and look the target up
 *
 * An empty jump holds a pc that has another index, so that a probe needs no test for it. A page's
 * ID names a pair (guest virtual page, guest physical page), and never another one later; 0 in a
 * view says that nothing is known, and GN_TCACHE_ID_NONE is in no view.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Entries of a view's tables: powers of two. */
#define GN_TCACHE_VIEW_JUMPS 2048u
#define GN_TCACHE_VIEW_IDS   2048u

/** The ID of no page, for guards that are not linked. */
#define GN_TCACHE_ID_NONE UINT32_MAX

/** A known target of indirect jumps. */
struct gn_tcache_jump {
    uint64_t pc;    /**< guest PC */
    uint64_t entry; /**< host address that its block is entered at */
};

/** What translated code reads. Written by the vCPU that owns it alone, from within the library. */
struct gn_tcache_view {
    struct gn_tcache_jump jumps[GN_TCACHE_VIEW_JUMPS]; /**< by gn_tcache_jump_index() */
    uint32_t ids[GN_TCACHE_VIEW_IDS];                  /**< by gn_tcache_page_index() */
};

/**
 * Where a view keeps a jump, or else at this index ^ 1: jumps that want one place have two. `2 *
 * index` is what the shift, the xor and a mask of 0xffe give.
 */
static inline uint32_t gn_tcache_jump_index(uint64_t pc)
{
    return (uint32_t)((pc ^ pc >> 7) >> 1) & (GN_TCACHE_VIEW_JUMPS - 1);
}

/** Where a view keeps the ID of the page that holds a guest address. */
static inline uint32_t gn_tcache_page_index(uint64_t pc)
{
    uint64_t page = pc >> GN_PAGE_SHIFT;

    return (uint32_t)(page ^ page >> 11) & (GN_TCACHE_VIEW_IDS - 1);
}

/**
 * The host address of the block of a PC, if the view knows it, else 0.
 *
 * Context: any; O(1), writes nothing. Thread-safety: only the thread that runs the view's vCPU,
 * which is online. The address may be entered until the vCPU's next quiescent point.
 */
static inline uint64_t gn_tcache_probe(const struct gn_tcache_view *view, gn_gva_t pc)
{
    const uint32_t index = gn_tcache_jump_index(pc.v);

    if (view->jumps[index].pc == pc.v)
        return view->jumps[index].entry;
    return view->jumps[index ^ 1].pc == pc.v ? view->jumps[index ^ 1].entry : 0;
}

#ifdef __cplusplus
}
#endif

#endif /* GN_TCACHE_INLINE_H */
