/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TEST_FAKE_MMU_H
#define RV64_TEST_FAKE_MMU_H

/*
 * Memory for a CPU under test: a flat array, virtual equal to physical, and a device of one
 * register. The probe either hits wherever the array is, or never does, so that both paths of the
 * interpreter can be tested with the same programs. Pages may be scattered, so that each page's way
 * to the host's memory is another.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cpu.h"

#define FAKE_DEVICE UINT64_C(0x10000000) /* eight bytes that count their accesses */

struct fake_mmu {
    struct rv64_mmu mmu; /* first: it is what the CPU has */
    struct gn_softmmu_window window;
    uint8_t *memory;
    uint64_t base;
    uint64_t size;
    uint64_t scatter;   /* bits in which the place of a page differs from its address */
    uint64_t no_fetch;  /* virtual page whose fetch faults, or 1 */
    uint64_t no_access; /* virtual page whose loads and stores fault, or 1 */
    uint64_t alias;     /* virtual page that maps alias_to for fetches, or 1 */
    uint64_t alias_to;
    struct rv64_mmu_context context;
    uint32_t context_sets;
    uint32_t sfences;
    uint32_t fetches;
    uint32_t strays; /* of links, that it was told of */
    uint64_t device;
    struct rv64_cpu *cpu; /* the device raises this CPU's MSI when 1 is stored in it */
};

/** Makes memory of size bytes at base. @return whether there was room for it */
bool fake_mmu_init(struct fake_mmu *m, uint64_t base, uint64_t size, bool probe_hits);

void fake_mmu_fini(struct fake_mmu *m);

/** Has each two pages change places in memory, which has an even number of them. Contents stay. */
void fake_mmu_scatter(struct fake_mmu *m);

/** Host address of a byte of memory. */
uint8_t *fake_mmu_at(struct fake_mmu *m, uint64_t address);

#endif /* RV64_TEST_FAKE_MMU_H */
