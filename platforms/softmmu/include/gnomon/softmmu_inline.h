/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SOFTMMU_INLINE_H
#define GN_SOFTMMU_INLINE_H

/*
 * gnomon/softmmu_inline.h - the TLB probe of the software MMU, to be inlined into an interpreter
 * or emitted by a translator. Outside the ABI: it changes with the library, compile against the
 * version you link.
 *
 * Each context that a virtual CPU runs in - a shadow ASID, seen under a privilege view - has a
 * slab: a TLB of its own, which knows what this context may do and nothing else.
 *
 *      slab   +--------------------------------+
 *             | mask: (entries in use - 1) * 16 |
 *             +--------------------------------+
 *  read       | page, delta | page, delta | ...   the page may be read
 *             +--------------------------------+
 *  write      | page, delta | page, delta | ...   the page may be written, and nobody records it
 *             +--------------------------------+
 *  exec       | page, delta | page, delta | ...   the page may be executed
 *             +--------------------------------+
 *
 * An entry is the address of a virtual page and what to add to reach the host's. That a page stands
 * in an array is the permission, that it stands in the slab is address space and privilege: so the
 * probe compares one word, and a switch of either is a switch of slabs, which flushes nothing. An
 * access that leaves its page looks for the page of its last byte where that of its first would be,
 * and never finds it.
 *
 * A translator emits the same, with the slab in a register:
 *
 *      lea  rax, [base + offset]           the address
 *      mov  rcx, rax
 *      shr  rcx, 8
 *      and  rcx, [slab]                    index * 16
 *      lea  rdx, [rax + size - 1]
 *      and  rdx, -4096
 *      cmp  rdx, [slab + rcx + read]       gn_softmmu_window.offset[]; fixed for the life of an MMU
 *      jne  miss
 *      add  rax, [slab + rcx + read + 8]   host address
 *
 * A load whose address was loaded just before, a link of a chain, waits for all of that: the delta
 * it adds comes out of the entry. It need not. The slab's head has the delta that such loads of
 * this context expect, and a branch, which is predicted, makes sure that the entry's is the same:
 *
 *      ...                                 as above, to the jump to miss
 *      mov  rdx, [slab + 24]               expected: no link waits for that
 *      cmp  rdx, [slab + rcx + read + 8]
 *      jne  astray
 *      add  rax, rdx
 *
 * astray: takes the entry's delta, goes on as if nothing was, and tells gn_softmmu_stray() now and
 * then. That sees to it that the next such load of the page finds what it expects, if the embedder
 * can have the page at another place of the host's memory (struct gn_softmmu_ops.conform).
 *
 * Where writes must be seen - the page is marked traced - the write array has it with bit 0 set, so
 * that no probe finds it: such a write leaves the fast path, is completed, and is recorded.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Privilege views: what accesses are held against. */
#define GN_SOFTMMU_VIEW_USER 0 /**< user mode */
#define GN_SOFTMMU_VIEW_SUPERVISOR \
    1                         /**< supervisor, user pages forbidden (SUM=0; SMAP with AC=0) */
#define GN_SOFTMMU_VIEW_SUM 2 /**< supervisor, data access to user pages allowed */
#define GN_SOFTMMU_VIEWS    3

/** Width of a shadow ASID, in bits. */
#define GN_SOFTMMU_ASID_BITS 12
#define GN_SOFTMMU_ASID_MASK ((1u << GN_SOFTMMU_ASID_BITS) - 1)

/** An entry's page when it holds nothing: no address of a page. */
#define GN_SOFTMMU_NO_PAGE (~(uint64_t)0)

/** In an entry of the write array: the page is traced. */
#define GN_SOFTMMU_TRACED ((uint64_t)1)

/** One cached translation of a 4 KiB page, for one kind of access. */
struct gn_softmmu_entry {
    uint64_t page;  /**< virtual address of the page */
    uint64_t delta; /**< host address of the page - page */
};

/** A context's TLB. The arrays follow; gn_softmmu_window tells where. */
struct gn_softmmu_slab {
    uint64_t mask;      /**< (entries in use, a power of two, - 1) * 16 */
    uint64_t stamp;     /**< when it was last loaded */
    uint64_t evicted;   /**< entries that gave way to another page since it grew */
    uint64_t expected;  /**< delta that a link of a chain is taken to have; any value will do */
    uint64_t window;    /**< delta of the pages that were made to conform; 0: none was */
    uint64_t strayed;   /**< delta that was found when one strayed the last time, */
    uint64_t agreed;    /**< and how often in a row it was that */
    uint64_t unused[1]; /**< the head fills a cache line */
};

/** What one virtual CPU's probe needs. Kept by the library, read by the probe. A cache line. */
struct gn_softmmu_window {
    struct gn_softmmu_slab *slab;     /**< of the context in force */
    uint64_t offset[GN_ACCESS_KINDS]; /**< of its arrays, in bytes from the slab, by GN_ACCESS_* */
    uint64_t reserved[4];             /**< zero; fills the line */
};

/** The entry that may hold the page of an address, for a kind of access. */
static inline struct gn_softmmu_entry *gn_softmmu_entry_at(const struct gn_softmmu_window *w,
                                                           uint64_t va, uint32_t access)
{
    uint64_t at = (va >> (GN_PAGE_SHIFT - 4)) & w->slab->mask;

    return (struct gn_softmmu_entry *)(void *)((uint8_t *)w->slab + w->offset[access] + at);
}

/**
 * Translates an access if the TLB has it and nothing is to be recorded for it.
 *
 * @param w       the vCPU's window
 * @param va      virtual address, in bytes, of the access
 * @param size    bytes accessed, 1 to 4096; an access that leaves its page is a miss
 * @param access  GN_ACCESS_READ, GN_ACCESS_WRITE or GN_ACCESS_EXEC, in the context in force
 * @return host address of the first byte; NULL on a miss, which gn_softmmu_access() resolves
 *
 * Context: any; O(1), no memory written. Thread-safety: only the thread that runs this vCPU.
 * Ownership: the pointer holds until the next call that may invalidate (gn_softmmu_access,
 * gn_softmmu_invalidate_..., gn_softmmu_context_set).
 */
static inline void *gn_softmmu_probe(const struct gn_softmmu_window *w, gn_gva_t va, uint32_t size,
                                     uint32_t access)
{
    const struct gn_softmmu_entry *e = gn_softmmu_entry_at(w, va.v, access);

    if (e->page != ((va.v + (size - 1)) & ~GN_PAGE_MASK))
        return NULL;
    return (void *)(uintptr_t)(va.v + e->delta);
}

/**
 * Translates a write to a traced page if the TLB has it: whoever does the write tells
 * gn_softmmu_written() of it. What gn_softmmu_probe() finds is not found here.
 *
 * @param w     the vCPU's window
 * @param va    virtual address, in bytes, of the write
 * @param size  bytes written, 1 to 4096; a write that leaves its page is a miss
 * @return host address of the first byte; NULL on a miss, which gn_softmmu_access() resolves
 *
 * Context, Thread-safety and Ownership: as gn_softmmu_probe().
 */
static inline void *gn_softmmu_probe_traced(const struct gn_softmmu_window *w, gn_gva_t va,
                                            uint32_t size)
{
    const struct gn_softmmu_entry *e = gn_softmmu_entry_at(w, va.v, GN_ACCESS_WRITE);

    if (e->page != (((va.v + (size - 1)) & ~GN_PAGE_MASK) | GN_SOFTMMU_TRACED))
        return NULL;
    return (void *)(uintptr_t)(va.v + e->delta);
}

#ifdef __cplusplus
}
#endif

#endif /* GN_SOFTMMU_INLINE_H */
