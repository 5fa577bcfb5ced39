/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_WAYS_H
#define GN_TEST_WAYS_H

/*
 * The ways to an answer: gn_paging_walk over the guest's tables; and an MMU over shadow
 * tables, which gn_shadow_fault fills until the access is done or the fault is the guest's. It is
 * the software MMU, or the adversary, whose TLB forgets nothing that the shadow does not
 * invalidate.
 */

#include <gnomon/paging.h>
#include <gnomon/shadow.h>
#include <gnomon/softmmu.h>

#include "adversary.h"
#include "oracle.h"

#define RAM_BYTES ((uint64_t)4 << 20)
#define FRAMES    64u
#define DATA_PAGE UINT64_C(0x205000)

struct ways {
    uint32_t format;     /**< of the guest's tables */
    uint32_t host;       /**< of the shadow tables; 0: no shadow is to be had */
    const char *refused; /**< then why not */
    int levels;
    int bytes;       /**< of an entry of the guest's tables */
    uint8_t *memory; /**< guest RAM, then frames for shadow tables */
    gn_hpa_t frames[FRAMES];
    uint32_t frame_count;
    struct gn_shadow *shadow;
    const struct gn_mmu_ops *ops;
    struct gn_softmmu *softmmu; /**< one of the two, */
    struct adversary *adversary;
    void *mmu; /**< and that one */
    void *shadow_memory, *slot_memory, *mmu_memory;
    uint64_t root; /**< of the guest's tables */
    uint32_t phys_bits;
    uint32_t pkru;
    uint32_t controls; /**< of the guest: those of ways_root() */
    struct gn_shadow_root loaded;
    int held;
};

/** One access and what came of it. */
struct outcome {
    enum oracle_kind kind;
    unsigned code;
    uint64_t pa;
    unsigned exits; /**< accesses that the MMU could not complete */
    int emulated;   /**< no shadow entry could say it: GN_SHADOW_EMULATE */
};

/**
 * Builds the world of a guest, and of its shadow in the host's format. Where lib/shadow has nothing
 * to offer for the two (-GN_ERR_NOTSUP), only the walk is left, and w->refused says why.
 */
void ways_open(struct ways *w, const struct oracle *known, uint32_t format, uint32_t host,
               uint64_t root, uint32_t policy, int adversary);
void ways_close(struct ways *w);

/** A word of guest RAM. */
uint64_t *ways_word(struct ways *w, uint64_t gpa);

/** An entry of the guest's tables, of the format's size. */
uint64_t ways_entry(const struct ways *w, uint64_t gpa);
void ways_entry_set(struct ways *w, uint64_t gpa, uint64_t value);

/** Loads 8 bytes from guest RAM, for the oracle. */
int ways_load(void *ctx, uint64_t gpa, uint64_t *ret_value);

/** Makes the address space under these controls the current one. @return 0: the shadow may not */
int ways_root(struct ways *w, uint32_t controls);

struct outcome ways_walk(struct ways *w, uint64_t gva, uint32_t controls, uint32_t access);
struct outcome ways_shadow(struct ways *w, uint64_t gva, uint32_t controls, uint32_t access);

#endif /* GN_TEST_WAYS_H */
