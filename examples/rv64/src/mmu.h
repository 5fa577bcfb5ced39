/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_MMU_H
#define RV64_MMU_H

/*
 * How the CPU reaches memory. Every guest access, instruction fetch included, goes through here;
 * behind it stands the composition (compose.c), where the libraries meet.
 *
 * Fast path: rv64_mmu_probe(), inlined. Everything else: rv64_mmu_load/store/fetch, which
 * complete the access whatever it takes (a shadow fault, a traced write, a device, a page
 * crossing) or say which trap the guest gets.
 */

#include <stdbool.h>
#include <stdint.h>

#include <gnomon/base.h>
#include <gnomon/softmmu_inline.h>

struct rv64_cpu;

/** A trap to deliver: what goes to scause/mcause and stval/mtval. */
struct rv64_trap {
    uint64_t cause;
    uint64_t value;
};

/**
 * The CPU's view of its memory. The composition embeds this as the first member of its own state.
 * Fetches and data accesses have a window each, since MPRV lets them differ.
 */
struct rv64_mmu {
    const struct gn_softmmu_window *fetch;
    const struct gn_softmmu_window *data;
    uint64_t space; /**< names the address space of fetches, among all that ever were */
};

/** Everything that selects an address space and a view of it; taken from the CPU's CSRs. */
struct rv64_mmu_context {
    uint64_t satp;
    uint8_t fetch_priv; /**< RV64_PRIV_* instructions are fetched with */
    uint8_t data_priv;  /**< RV64_PRIV_* data is accessed with: mstatus.MPP under MPRV */
    bool sum;
    bool mxr;
};

/** Host address for a data or fetch access that needs no further work, or NULL. */
static inline void *rv64_mmu_probe(const struct rv64_mmu *mmu, uint64_t va, uint32_t size,
                                   uint32_t access)
{
    return gn_softmmu_probe(access == GN_ACCESS_EXEC ? mmu->fetch : mmu->data, gn_gva(va), size,
                            access);
}

/**
 * Loads 1, 2, 4 or 8 bytes, zero-extended, at any alignment, from RAM or a device.
 * @return 0, or -1 with *ret_trap filled. A device register may only be accessed aligned.
 */
int rv64_mmu_load(struct rv64_mmu *mmu, uint64_t va, uint32_t size, uint64_t *ret_value,
                  struct rv64_trap *ret_trap);

/** Stores 1, 2, 4 or 8 bytes, as rv64_mmu_load(). Nothing is written when a trap is returned. */
int rv64_mmu_store(struct rv64_mmu *mmu, uint64_t va, uint32_t size, uint64_t value,
                   struct rv64_trap *ret_trap);

/**
 * Checks that an aligned 4- or 8-byte atomic may read and write va, and loads the old value
 * (zero-extended); faults are store/AMO faults. The CPU completes it with rv64_mmu_store(), which
 * then cannot fault. Devices refuse atomics: store/AMO access fault.
 */
int rv64_mmu_amo_load(struct rv64_mmu *mmu, uint64_t va, uint32_t size, uint64_t *ret_value,
                      struct rv64_trap *ret_trap);

/**
 * Resolves a fetch from va.
 * @param ret_page  host address of the 4 KiB page that holds va: 4096 readable bytes; stays valid
 *                  until the context changes or a fence is executed
 * @param ret_gpa   guest physical address of that page, which names it in a decode cache
 * @return 0, or -1 with *ret_trap filled. Instructions cannot be fetched from devices.
 */
int rv64_mmu_fetch_page(struct rv64_mmu *mmu, uint64_t va, const uint8_t **ret_page,
                        uint64_t *ret_gpa, struct rv64_trap *ret_trap);

/**
 * The CSRs that select the address space or the view changed, or privilege did.
 * @param context  kept until the next call, and only changed for that
 */
void rv64_mmu_context_set(struct rv64_mmu *mmu, const struct rv64_mmu_context *context);

/**
 * Is everything mapped alike around va in the address space in force, of fetches, and in another?
 * @param space  the other's name, as in rv64_mmu.space
 * @return false if that is not known
 */
bool rv64_mmu_is_shared(const struct rv64_mmu *mmu, uint64_t space, uint64_t va);

/**
 * Writes to a page of RAM are to be known, or need not be any more: the engine is told of each by
 * rv64_cpu_engine.written, at the latest by rv64_mmu_watch_sync(). Not to be called from there.
 * @param gpa  of the page
 * @return 0, or -1: they cannot be known
 */
int rv64_mmu_watch(struct rv64_mmu *mmu, uint64_t gpa, bool on);

/** Tells the engine of all writes to watched pages that it was not told of yet. */
void rv64_mmu_watch_sync(struct rv64_mmu *mmu);

/**
 * A link of a chain of loads found another translation than was expected:
 * <gnomon/softmmu_inline.h>.
 * @return how many may stray before this is called again, 1 to 2^30
 */
uint32_t rv64_mmu_stray(struct rv64_mmu *mmu, uint64_t va);

/** SFENCE.VMA: a coherence point. NULL operands stand for x0. */
void rv64_mmu_sfence_vma(struct rv64_mmu *mmu, const uint64_t *va, const uint64_t *asid);

#endif /* RV64_MMU_H */
