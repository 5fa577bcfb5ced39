/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_CONFORMANCE_PLATFORM_H
#define GN_CONFORMANCE_PLATFORM_H

/*
 * What the conformance suite must be told of a platform. One file a platform,
 * platform_<name>.c, defines platform_under_test; tests/conformance/meson.build names it.
 */

#include <gnomon/mmu.h>

/** What the suite wants to be told by a platform that can. */
struct platform_events {
    /** GN_MMU_CAP_TRACED: a write of this many bytes at hpa, through a marked leaf, is completed.
     */
    void (*traced_write)(void *ctx, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes);
    /**
     * GN_MMU_CAP_MARKERS: why is this entry absent? Fills outcome with GN_MMU_GUEST_FAULT and code,
     * or GN_MMU_MMIO and gpa of the page, and returns 1; or returns 0.
     */
    int (*absent)(void *ctx, uint32_t vcpu, uint64_t entry, uint32_t access,
                  struct gn_mmu_answer *ret_answer);
};

/** A platform's object, and the machine around it. */
struct platform_machine {
    const struct gn_mmu_ops *ops;
    void *mmu;            /**< first argument of the ops */
    uint8_t *memory;      /**< the machine's memory, from host physical address 0, as we see it */
    uint64_t memory_size; /**< at least 8 MiB */
    uint32_t vcpus;       /**< 1 or more; 2 if the platform has several */
    void *own;            /**< the adapter's */
};

/** A platform. */
struct platform {
    const char *name;
    const uint32_t *formats; /**< GN_PAGING_... of the shadow tables it takes; ends with 0 */
    /** Makes an object with zeroed memory. @return 0, or -1: the suite is skipped */
    int (*open)(struct platform_machine *machine, uint32_t format,
                const struct platform_events *events, void *events_ctx);
    void (*close)(struct platform_machine *machine);
    /** Optional: misses so far. It shows that a switch flushed nothing, which nothing else does. */
    uint64_t (*misses)(const struct platform_machine *machine);
};

extern const struct platform platform_under_test;

#endif /* GN_CONFORMANCE_PLATFORM_H */
