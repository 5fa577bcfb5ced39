/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_COMPOSE_INTERNAL_H
#define RV64_COMPOSE_INTERNAL_H

/*
 * compose.c wires the libraries together, compose_space.c makes the guest's address spaces of them;
 * access.c completes guest accesses over them.
 */

#include <gnomon/shadow.h>
#include <gnomon/softmmu.h>

#include "asid_trace.h"
#include "compose.h"
#include "compose_parts.h"

/* Shadow ASIDs: one for each kind of address space that is always there, then the pool. */
#define RV64_ASID_BARE  0u /**< no translation */
#define RV64_ASID_ALONE 1u /**< without asid: whichever address space runs */
#define RV64_ASID_FIRST 2u
#define RV64_ASID_COUNT 254u

#define RV64_ROOTS 64u

/** The address space that a port runs on. */
struct rv64_port {
    uint32_t root; /**< id of the shadow root */
    bool bare;
    bool user; /**< accesses are made with user privilege */
};

/** The address space that was in force before another. */
struct rv64_before {
    struct gn_shadow_root root;
    uint32_t asid;
    bool held; /**< there is one, and the next one is new */
};

struct rv64_compose {
    struct rv64_mmu mmu; /**< first: what the CPU holds a pointer to */
    struct rv64_bus *bus;
    struct rv64_cpu *cpu;
    uint8_t *memory; /**< the machine's memory: guest RAM, then frames of shadow tables */
    uint64_t memory_size;
    uint64_t *frames; /**< machine addresses of free frames: a stack */
    uint32_t frame_count;
    void *shadow_memory;
    void *slot_memory;
    void *softmmu_memory;

    struct gn_shadow *shadow;
    struct gn_softmmu *softmmu;
    struct rv64_tracelog *tracelog;     /**< NULL: left out */
    uint32_t unsynced;                  /**< writes recorded since the log was drained */
    struct rv64_nonpresent *nonpresent; /**< NULL: left out */
    struct rv64_asid *asid;             /**< NULL: left out */
    struct rv64_asid_trace *asid_trace; /**< NULL: not asked for */
    struct rv64_encrypt *encrypt;       /**< NULL: guest RAM is plain */
    struct rv64_windows *windows;       /**< NULL: none are to be had */

    uint8_t *watched; /**< a bit a page of RAM: the CPU's engine is told of its writes */

    struct gn_shadow_root bare;
    struct gn_shadow_root guest;  /**< the guest's current address space; held while guest_held */
    struct gn_shadow_root before; /**< what the guest's inherited from; cookie 0: it is gone */
    uint64_t guest_satp;
    bool guest_held;
    uint32_t guest_asid;
    uint64_t cookies[RV64_ROOTS];           /**< of each cached root, by id; 0: none */
    struct rv64_port port[2];               /**< by GN_SOFTMMU_PORT_... */
    const struct rv64_mmu_context *context; /**< the CPU's, as it was told last */
    uint64_t fetch_satp;                    /**< of that, what fetches depend on */
    uint8_t fetch_priv;
    bool fetch_stale; /**< the MMU has not been told of the context of fetches */
    struct gn_softmmu_context guest_context[2 * GN_SOFTMMU_VIEWS]; /**< by view; then with MXR */
    struct gn_softmmu_context bare_context;

    uint64_t switch_flushes; /**< full flushes made for want of ASIDs */
    bool audit;
    uint64_t audits;
    uint64_t audit_leaves;
    uint64_t audit_differences;
};

/** The guest's address space is new: what it shares with the one before it is known at once. */
void rv64_compose_inherit(struct rv64_compose *c, const struct rv64_before *before);

/** The contexts of the guest's root, for every view; and for fetches and data without a root. */
void rv64_compose_contexts_make(struct rv64_compose *c);

/** Says what is broken, and does not return; ctx is the composition. */
void rv64_compose_panic(void *ctx, const char *what);

/** Tells the MMU of the context of fetches, if it does not know. */
void rv64_compose_fetch_port(struct rv64_compose *c);

/** The controls that the guest's tables are walked under now. */
uint32_t rv64_compose_controls(const struct rv64_compose *c);

#endif /* RV64_COMPOSE_INTERNAL_H */
