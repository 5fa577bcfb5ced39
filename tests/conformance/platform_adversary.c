/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform.h"

#include <gnomon/paging.h>

#include <stdlib.h>
#include <string.h>

#include "adversary.h"

/* The TLB that keeps all it may: what the suite allows it to do, a platform may do. */

#define MEMORY_SIZE ((uint64_t)16 << 20)

static const uint32_t formats[] = {GN_PAGING_SV39,       GN_PAGING_SV48,       GN_PAGING_SV57,
                                   GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL, 0};

static int open_adversary(struct platform_machine *machine, uint32_t format,
                          const struct platform_events *events, void *events_ctx)
{
    struct adversary_params params = {.format = format,
                                      .vcpus = 2,
                                      .memory_size = MEMORY_SIZE,
                                      .around = 8,
                                      .traced_write = events->traced_write,
                                      .absent = events->absent,
                                      .ctx = events_ctx};

    memset(machine, 0, sizeof *machine);
    params.memory = machine->memory = aligned_alloc(GN_PAGE_SIZE, MEMORY_SIZE);
    if (!machine->memory)
        return -1;
    memset(machine->memory, 0, MEMORY_SIZE);
    machine->mmu = adversary_new(&params);
    machine->ops = adversary_mmu_ops();
    machine->memory_size = MEMORY_SIZE;
    machine->vcpus = 2;
    if (machine->mmu)
        return 0;
    free(machine->memory);
    return -1;
}

static void close_adversary(struct platform_machine *machine)
{
    adversary_free(machine->mmu);
    free(machine->memory);
}

static uint64_t adversary_misses(const struct platform_machine *machine)
{
    return adversary_stats(machine->mmu).walks;
}

const struct platform platform_under_test = {
    .name = "adversary",
    .formats = formats,
    .open = open_adversary,
    .close = close_adversary,
    .misses = adversary_misses,
};
