/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform.h"

#include <gnomon/paging.h>
#include <gnomon/x86_64.h>

#include <string.h>

/* The processor itself: memory is the machine's, the first 16 MiB, where nobody else lives. */

#define MEMORY_SIZE ((uint64_t)16 << 20)

static const uint32_t formats[] = {GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL, 0};

static int x86_64_open(struct platform_machine *machine, uint32_t format,
                       const struct platform_events *events, void *events_ctx)
{
    static uint8_t object[8192] __attribute__((aligned(4096)));
    const uint32_t in_force =
        gn_x86_64_features() & GN_X86_64_HAS_LA57 ? GN_PAGING_X86_5LEVEL : GN_PAGING_X86_4LEVEL;
    struct gn_x86_64_mmu *mmu;

    (void)events;
    (void)events_ctx;
    memset(machine, 0, sizeof *machine);
    if (format != in_force || gn_x86_64_mmu_size() > sizeof object ||
        gn_x86_64_frames_claim(gn_hpa(0), MEMORY_SIZE >> GN_PAGE_SHIFT))
        return -1;
    if (gn_x86_64_mmu_init(object, MEMORY_SIZE, &mmu))
        return -1;
    machine->ops = gn_x86_64_mmu_ops();
    machine->mmu = mmu;
    machine->memory = gn_x86_64_direct(gn_hpa(0));
    machine->memory_size = MEMORY_SIZE;
    machine->vcpus = 1;
    /* Frame 0, and what lies between 640 KiB and 1 MiB, is left alone. */
    memset(machine->memory + 0x1000, 0, 0x9e000);
    memset(machine->memory + 0x100000, 0, MEMORY_SIZE - 0x100000);
    return 0;
}

static void x86_64_close(struct platform_machine *machine)
{
    gn_x86_64_mmu_fini(machine->mmu);
    gn_x86_64_frames_free(gn_hpa(0), MEMORY_SIZE >> GN_PAGE_SHIFT);
}

const struct platform platform_under_test = {
    .name = "x86_64",
    .formats = formats,
    .open = x86_64_open,
    .close = x86_64_close,
};
