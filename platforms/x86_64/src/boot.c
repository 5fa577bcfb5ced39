/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_64_internal.h"

#include <string.h>

/*
 * What the boot protocol tells: memory map and command line, copied, since the memory that they lie
 * in is given away later. The boot tables map the first GiB, where both protocols put them.
 */

#define RANGES 64
#define LINE   1024

static struct gn_x86_64_range map[RANGES];
static uint32_t ranges;
static char line[LINE];

/* PVH: Xen's public arch-x86/hvm/start_info.h. */
#define PVH_MAGIC 0x336ec578u
struct pvh {
    uint32_t magic, version, flags, modules;
    uint64_t module_list, command_line, rsdp;
    uint64_t memory_map; /* from version 1 on */
    uint32_t memory_map_entries, reserved;
};

struct pvh_range {
    uint64_t base, length;
    uint32_t kind, reserved;
};

#define MULTIBOOT2_MAGIC 0x36d76289u
struct multiboot2_tag {
    uint32_t type, size;
};

static void *low(uint64_t physical)
{
    return gn_x86_64_direct(gn_hpa(physical));
}

static void range_add(uint64_t base, uint64_t length, uint32_t kind)
{
    if (ranges < RANGES)
        map[ranges++] = (struct gn_x86_64_range){gn_hpa(base), length, kind, 0};
}

static void line_set(const char *from)
{
    for (uint32_t i = 0; i < LINE - 1 && from[i]; i++)
        line[i] = from[i];
}

static void read_pvh(uint32_t information)
{
    const struct pvh *p = low(information);

    if (p->magic != PVH_MAGIC)
        gn_x86_64__panic("no start information");
    if (p->command_line)
        line_set(low(p->command_line));
    if (p->version < 1)
        gn_x86_64__panic("no memory map in the start information");
    for (uint32_t i = 0; i < p->memory_map_entries; i++) {
        const struct pvh_range *r = (const struct pvh_range *)low(p->memory_map) + i;

        range_add(r->base, r->length, r->kind);
    }
}

static void read_multiboot2(uint32_t information)
{
    const uint8_t *at = low(information);
    const uint8_t *end = at + *(const uint32_t *)at;

    for (at += 8; at < end;) {
        const struct multiboot2_tag *tag = (const struct multiboot2_tag *)at;

        if (tag->type == 0)
            break;
        if (tag->type == 1)
            line_set((const char *)(tag + 1));
        if (tag->type == 6)
            for (uint32_t i = 16, each = *(const uint32_t *)(at + 8); i + each <= tag->size;
                 i += each) {
                const struct pvh_range *r = (const struct pvh_range *)(at + i);

                range_add(r->base, r->length, r->kind); /* the same layout as PVH's */
            }
        at += (tag->size + 7) & ~7u;
    }
}

void gn_x86_64__boot_read(uint32_t protocol, uint32_t information)
{
    if (protocol == MULTIBOOT2_MAGIC)
        read_multiboot2(information);
    else
        read_pvh(information);
    if (!ranges)
        gn_x86_64__panic("no memory map");
}

const struct gn_x86_64_range *gn_x86_64_memory_map(uint32_t *ret_count)
{
    *ret_count = ranges;
    return map;
}

const char *gn_x86_64_command_line(void)
{
    return line;
}
