/* SPDX-License-Identifier: BSD-3-Clause */
#include "worlds.h"

#include <gnomon/paging.h>
#include <gnomon/x86_64.h>

#include <string.h>

#define PAGE    WORLD_PAGE
#define CODE    0x701000u
#define DATA    0x702000u
#define STACK   0x703000u
#define TABLES  0x704000u
#define PAGES   WORLD_PAGES
#define FRAMES  0x20u
#define CR4_PAE 0x20u
#define CR4_PSE 0x10u

extern const uint8_t legacy_begin[], legacy_end[], legacy_fault[], legacy_nmi[], legacy_check[],
    legacy_irq[];

static gn_hpa_t root;

void *world_at(uint64_t hpa)
{
    return gn_x86_64_direct(gn_hpa(hpa));
}

uint32_t *world_word(uint32_t offset)
{
    return (uint32_t *)(void *)((uint8_t *)world_at(DATA) + offset);
}

/* Maps a 4 KiB page in long mode, tables from the heap; identity. */
static int map_identity(uint64_t address)
{
    uint64_t *table = gn_x86_64_direct(root);
    const int levels = gn_x86_64_features() & GN_X86_64_HAS_LA57 ? 5 : 4;

    for (int level = levels - 1; level; level--) {
        uint64_t *entry = &table[address >> (12 + 9 * level) & 511];

        if (!*entry) {
            gn_hpa_t frame;

            if (gn_x86_64_frames_alloc(1, GN_PAGE_SIZE, &frame))
                return -GN_ERR_NOMEM;
            memset(gn_x86_64_direct(frame), 0, GN_PAGE_SIZE);
            *entry = frame.v | 3;
        }
        table = world_at(*entry & ~GN_PAGE_MASK);
    }
    table[address >> 12 & 511] = address | 3;
    return 0;
}

/* Two levels: a directory, a table for each 4 MiB. */
static void map32(uint32_t address, uint32_t frame, uint32_t *next)
{
    uint32_t *directory = world_at(TABLES), *table;
    uint32_t *entry = &directory[address >> 22];

    if (!*entry) {
        *entry = *next | 3;
        *next += GN_PAGE_SIZE;
    }
    table = world_at(*entry & ~0xfffu);
    table[address >> 12 & 1023] = frame | 3;
}

/* PAE: four pointers in front, in the first frame. */
static void map_pae(uint32_t address, uint32_t frame, uint32_t *next)
{
    uint64_t *table = world_at(TABLES);

    for (uint32_t level = 2; level; level--) {
        uint64_t *entry = &table[address >> (level == 2 ? 30 : 21) & (level == 2 ? 3 : 511)];

        if (!*entry) {
            *entry = *next | (level == 2 ? 1 : 3);
            *next += GN_PAGE_SIZE;
        }
        table = world_at(*entry & ~GN_PAGE_MASK);
    }
    table[address >> 12 & 511] = frame | 3;
}

static void map_world(int pae)
{
    void (*const map)(uint32_t, uint32_t, uint32_t *) = pae ? map_pae : map32;
    uint32_t next = TABLES + GN_PAGE_SIZE;

    map(PAGE, PAGE, &next);
    map(LEGACY_CODE, CODE, &next);
    map(LEGACY_DATA, DATA, &next);
    map(LEGACY_STACK - 0x1000, STACK, &next);
    for (uint32_t i = 0; i < LEGACY_COUNT; i++)
        map(LEGACY_PAGES + i * 0x1000, PAGES + (i * 7 % LEGACY_COUNT) * 0x1000, &next);
}

static void gate(uint32_t vector, const uint8_t *to)
{
    const uint32_t offset = LEGACY_CODE + (uint32_t)(to - legacy_begin);

    world_word(LEGACY_IDT)[vector * 2] = (uint32_t)LEGACY_CS << 16 | (offset & 0xffff);
    world_word(LEGACY_IDT)[vector * 2 + 1] = (offset & 0xffff0000) | 0x8e00;
}

struct gn_modeswitch_params world_params(int pae)
{
    struct gn_modeswitch_params p = {
        GN_MODESWITCH_PARAMS_INIT,
        .form = GN_MODESWITCH_RING0,
        .flags = GN_MODESWITCH_FSGSBASE,
        .address = PAGE,
        .code64 = 0x08,
        .code32 = LEGACY_CS,
        .data = LEGACY_DS,
        .eip = LEGACY_CODE,
        .esp = LEGACY_STACK,
        .cr3 = TABLES,
        .cr0 = 0x80010031,
        .cr4 = pae ? CR4_PAE : CR4_PSE,
        .gdt = LEGACY_DATA + LEGACY_GDT,
        .gdt_limit = 0x3f,
        .idt = LEGACY_DATA + LEGACY_IDT,
        .idt_limit = (LEGACY_IRQ + 1) * 8 - 1,
    };

    if (gn_x86_64_features() & GN_X86_64_HAS_PCID)
        p.flags |= GN_MODESWITCH_PCID;
    return p;
}

/* Where an address leads, by the tables of either world. */
static int load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    (void)ctx;
    *ret_value = bytes == 8 ? *(uint64_t *)world_at(gpa.v) : *(uint32_t *)world_at(gpa.v);
    return 0;
}

static int translate(void *ctx, uint32_t bits, uint64_t address, uint64_t *ret_physical,
                     uint32_t *ret_flags)
{
    static const struct gn_paging_ops ops = {GN_PAGING_OPS_INIT, .load = load};
    const struct world *w = ctx;
    const int la57 = (gn_x86_64_features() & GN_X86_64_HAS_LA57) != 0;
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT,
                                  .controls = GN_PAGING_X86_WP | GN_PAGING_X86_PSE};
    struct gn_paging_walk walk;

    c.root = bits == 64 ? gn_gpa(root.v) : gn_gpa(w->params.cr3);
    c.format = bits == 64                ? la57 ? GN_PAGING_X86_5LEVEL : GN_PAGING_X86_4LEVEL
               : w->params.cr4 & CR4_PAE ? GN_PAGING_X86_PAE
                                         : GN_PAGING_X86_32;
    if (gn_paging_walk(&c, &ops, NULL, gn_gva(address), GN_ACCESS_READ | GN_PAGING_NO_UPDATE,
                       &walk) ||
        walk.outcome != GN_PAGING_TRANSLATED)
        return -GN_ERR_NOENT;
    *ret_physical = walk.gpa.v;
    *ret_flags = (walk.permissions & GN_PAGING_W ? GN_MODESWITCH_MAP_WRITE : 0) |
                 (walk.permissions & GN_PAGING_X ? GN_MODESWITCH_MAP_EXEC : 0);
    return 0;
}

static const struct gn_modeswitch_check_ops check_ops = {GN_MODESWITCH_CHECK_OPS_INIT,
                                                         .translate = translate};

int world_make(struct world *w, const struct gn_modeswitch_params *p)
{
    int rc;

    memset(world_at(PAGE), 0, FRAMES * GN_PAGE_SIZE);
    map_world(p->cr4 & CR4_PAE);
    memcpy(world_at(CODE), legacy_begin, (size_t)(legacy_end - legacy_begin));
    ((uint64_t *)world_at(DATA))[LEGACY_CS / 8] = 0x00cf9b000000ffff;
    ((uint64_t *)world_at(DATA))[LEGACY_DS / 8] = 0x00cf93000000ffff;
    gate(14, legacy_fault);
    gate(2, legacy_nmi);
    gate(18, legacy_check);
    gate(LEGACY_IRQ, legacy_irq);
    for (uint32_t i = 0; i < LEGACY_COUNT; i++)
        *(uint32_t *)world_at(PAGES + i * 0x1000) = 0x1000000u + i * i;
    w->params = *p;
    rc = gn_modeswitch_emit(world_at(PAGE), GN_PAGE_SIZE, p, &w->layout);
    if (rc)
        return rc;
    w->enter = (const void *)(uintptr_t)(PAGE + w->layout.enter);
    *world_word(LEGACY_BACK) = PAGE + w->layout.back;
    *world_word(LEGACY_BACK + 4) = LEGACY_CS;
    return gn_modeswitch_check(p, &check_ops, w);
}

uint32_t world_sum(void)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < LEGACY_COUNT; i++)
        sum = sum * 31 + *(uint32_t *)world_at(PAGES + (i * 7 % LEGACY_COUNT) * 0x1000);
    return sum;
}

int world_open(void)
{
    uint64_t cr4;

    if (gn_x86_64_frames_claim(gn_hpa(PAGE), FRAMES) ||
        gn_x86_64_frames_alloc(1, GN_PAGE_SIZE, &root))
        return -GN_ERR_NOMEM;
    memset(gn_x86_64_direct(root), 0, GN_PAGE_SIZE);
    gn_x86_64_root_adopt(gn_x86_64_direct(root));
    if (map_identity(PAGE))
        return -GN_ERR_NOMEM;
    gn_x86_64_root_load(root);
    __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | 0x10000)); /* FSGSBASE */
    return 0;
}
