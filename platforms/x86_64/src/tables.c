/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_64_internal.h"

#include <string.h>

/*
 * The platform's own tables. All under one entry of the root, all global: they are the same in
 * every address space. None has the no-execute bit, which is reserved while EFER.NXE is clear, as
 * a guest may want it.
 */

#define MIB2 ((uint64_t)2 << 20)
#define GIB  ((uint64_t)1 << 30)

/* Without 1 GiB pages, tables for so many GiB of physical memory. */
#define DIRECT_GIBS 8

#define KERNEL (PTE_P | PTE_W | PTE_A | PTE_D | PTE_G)

static uint64_t image_pd[512] __attribute__((aligned(4096)));
static uint64_t image_pt[512] __attribute__((aligned(4096)));
static uint64_t user_pd[512] __attribute__((aligned(4096)));
static uint64_t user_pt[512] __attribute__((aligned(4096)));
static uint64_t direct_pd[DIRECT_GIBS][512] __attribute__((aligned(4096)));

static uint64_t of_image(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer - GN_X86_64__OFFSET;
}

void *gn_x86_64_direct(gn_hpa_t hpa)
{
    return (void *)(uintptr_t)(GN_X86_64__TOP + hpa.v);
}

gn_hpa_t gn_x86_64_physical(const void *pointer)
{
    const uint64_t v = (uint64_t)(uintptr_t)pointer;

    return gn_hpa(v >= GN_X86_64__OFFSET ? v - GN_X86_64__OFFSET : v - GN_X86_64__TOP);
}

/* Text and constants read-only, page by page; what does not fit into the first 2 MiB is data. */
static void map_image(void)
{
    const uint64_t first = of_image(gn_x86_64__image), writable = of_image(gn_x86_64__writable);
    const uint64_t end = of_image(gn_x86_64__end);
    const uint64_t base = first & ~(MIB2 - 1);

    if (writable > base + MIB2)
        gn_x86_64__panic("the image's text is larger than 2 MiB");
    for (uint32_t i = 0; i < 512; i++) {
        const uint64_t page = base + ((uint64_t)i << 12);

        if (page >= first && page < end && page != of_image(gn_x86_64__guard))
            image_pt[i] = page | (page < writable ? KERNEL & ~(uint64_t)PTE_W : KERNEL);
    }
    image_pd[base / MIB2] = of_image(image_pt) | PTE_P | PTE_W | PTE_A;
    for (uint64_t page = base + MIB2; page < end; page += MIB2)
        image_pd[page / MIB2] = page | KERNEL | PTE_PS;
    gn_x86_64__top[GN_X86_64__SLOT_IMAGE] = of_image(image_pd) | PTE_P | PTE_W | PTE_A;
}

/* One page of code that ring 3 may run. */
static void map_user(void)
{
    user_pt[0] = of_image(gn_x86_64__user_page) | PTE_P | PTE_U | PTE_A | PTE_D | PTE_G;
    user_pd[0] = of_image(user_pt) | PTE_P | PTE_U | PTE_A;
    gn_x86_64__top[GN_X86_64__SLOT_USER] = of_image(user_pd) | PTE_P | PTE_U | PTE_A;
}

static void map_direct(void)
{
    uint64_t end = (uint64_t)4 << 30;
    uint32_t count;
    const struct gn_x86_64_range *map = gn_x86_64_memory_map(&count);

    for (uint32_t i = 0; i < count; i++)
        if (map[i].kind == 1 && map[i].base.v + map[i].length > end)
            end = map[i].base.v + map[i].length;
    for (uint64_t gib = 0; gib * GIB < end && gib < GN_X86_64__SLOT_IMAGE; gib++) {
        if (gn_x86_64_features() & GN_X86_64_HAS_1G) {
            gn_x86_64__top[gib] = gib * GIB | KERNEL | PTE_PS;
        } else if (gib < DIRECT_GIBS) {
            for (uint32_t i = 0; i < 512; i++)
                direct_pd[gib][i] = (gib * GIB + i * MIB2) | KERNEL | PTE_PS;
            gn_x86_64__top[gib] = of_image(direct_pd[gib]) | PTE_P | PTE_W | PTE_A;
        }
    }
}

gn_hpa_t gn_x86_64__own_root(void)
{
    return gn_hpa(
        of_image(gn_x86_64_features() & GN_X86_64_HAS_LA57 ? gn_x86_64__pml5 : gn_x86_64__pml4));
}

void gn_x86_64_root_adopt(void *root)
{
    const uint64_t *own = gn_x86_64_direct(gn_x86_64__own_root());

    memcpy((uint64_t *)root + 511, own + 511, sizeof *own);
}

void gn_x86_64_root_load(gn_hpa_t root)
{
    gn_x86_64__cr3_set(root.v);
}

void gn_x86_64_root_own(void)
{
    gn_x86_64_root_load(gn_x86_64__own_root());
}

/* The identity map of boot.S goes: address 0 faults from here on. */
void gn_x86_64__tables_init(void)
{
    map_direct();
    map_image();
    map_user();
    gn_x86_64__pml4[0] = 0;
    gn_x86_64__pml5[0] = 0;
    gn_x86_64_root_own();
    /* Toggling PGE forgets what was global, if the firmware left any. */
    gn_x86_64__cr4_set(gn_x86_64__cr4() & ~(uint64_t)CR4_PGE);
    gn_x86_64__cr4_set(gn_x86_64__cr4() | CR4_PGE);
}
