/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform.h"

#include <gnomon/paging.h>
#include <gnomon/softmmu.h>

#include <stdlib.h>
#include <string.h>

/* The software MMU, the reference: memory is an array. */

#define MEMORY_SIZE ((uint64_t)16 << 20)

static const uint32_t formats[] = {GN_PAGING_SV39,       GN_PAGING_SV48,       GN_PAGING_SV57,
                                   GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL, 0};

static int softmmu_open(struct platform_machine *machine, uint32_t format,
                        const struct platform_events *events, void *events_ctx)
{
    const struct gn_softmmu_ops ops = {GN_SOFTMMU_OPS_INIT, .absent = events->absent,
                                       .traced_write = events->traced_write};
    struct gn_softmmu_params params = {
        GN_SOFTMMU_PARAMS_INIT,     .format = format, .vcpus = 2,
        .memory_size = MEMORY_SIZE, .ops = &ops,      .ops_ctx = events_ctx,
        .tlb_entries = 1024};
    struct gn_softmmu *mmu = NULL;
    size_t size;

    memset(machine, 0, sizeof *machine);
    machine->memory = aligned_alloc(GN_PAGE_SIZE, MEMORY_SIZE);
    if (!machine->memory)
        return -1;
    memset(machine->memory, 0, MEMORY_SIZE);
    params.memory = machine->memory;
    size = gn_softmmu_size(&params);
    machine->own = aligned_alloc(gn_softmmu_align(), (size + 63) & ~(size_t)63);
    if (!machine->own || gn_softmmu_init(machine->own, size, &params, &mmu)) {
        free(machine->own);
        free(machine->memory);
        return -1;
    }
    machine->ops = gn_softmmu_mmu_ops();
    machine->mmu = mmu;
    machine->memory_size = MEMORY_SIZE;
    machine->vcpus = 2;
    return 0;
}

static void softmmu_close(struct platform_machine *machine)
{
    gn_softmmu_fini(machine->mmu);
    free(machine->own);
    free(machine->memory);
}

static uint64_t softmmu_misses(const struct platform_machine *machine)
{
    struct gn_softmmu_stats stats = {GN_SOFTMMU_STATS_INIT};

    return gn_softmmu_stats_get(machine->mmu, &stats) ? 0 : stats.walks;
}

const struct platform platform_under_test = {
    .name = "softmmu",
    .formats = formats,
    .open = softmmu_open,
    .close = softmmu_close,
    .misses = softmmu_misses,
};
