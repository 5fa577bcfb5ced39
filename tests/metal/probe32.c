/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe32.h"

#include <gnomon/modeswitch.h>
#include <gnomon/paging.h>

#include <string.h>

/*
 * Through the switch page, with the tables under test in CR3. The page is written anew for each
 * access: so the 32-bit world begins anew, with the control registers that the access is made
 * under.
 */

#define CODE     (PROBE32_PAGE + 0x1000u)
#define DATA     (PROBE32_PAGE + 0x2000u)
#define STACK    (PROBE32_PAGE + 0x3000u)
#define USER     (PROBE32_PAGE + 0x4000u)
#define PAGE_PT  (PROBE32_PAGE + 0x5000u) /* of two levels and PAE in turn */
#define WORLD_PD (PROBE32_PAGE + 0x6000u)
#define WORLD_PT (PROBE32_PAGE + 0x7000u)
#define FRAMES   8u

#define P 1u
#define W 2u
#define U 4u

#define CR0     0x80000031u
#define CR0_WP  0x10000u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define NXE     0x800u

extern const uint8_t probe32_begin[], probe32_stubs[], probe32_handlers[], probe32_end[];

static gn_hpa_t root64;

static void *at(uint32_t hpa)
{
    return gn_x86_64_direct(gn_hpa(hpa));
}

static uint32_t *word(uint32_t offset)
{
    return (uint32_t *)(void *)((uint8_t *)at(DATA) + offset);
}

/* A root for long mode that maps the switch page where it lies. */
static int root_make(void)
{
    const uint32_t levels = gn_x86_64_features() & GN_X86_64_HAS_LA57 ? 5 : 4;
    uint64_t *table;

    if (gn_x86_64_frames_alloc(levels, GN_PAGE_SIZE, &root64))
        return -GN_ERR_NOMEM;
    table = gn_x86_64_direct(root64);
    memset(table, 0, levels * GN_PAGE_SIZE);
    for (uint32_t i = 0; i < levels; i++, table += 512) {
        const uint32_t shift = 12 + 9 * (levels - 1 - i);

        table[(uint64_t)PROBE32_PAGE >> shift & 511] =
            (i == levels - 1 ? PROBE32_PAGE : root64.v + (i + 1) * GN_PAGE_SIZE) | P | W;
    }
    gn_x86_64_root_adopt(gn_x86_64_direct(root64));
    return 0;
}

static void descriptors_write(void)
{
    static const uint64_t gdt[] = {0,
                                   0,
                                   0x00cf93000000ffff,
                                   0x00cffb000000ffff,
                                   0x00cff3000000ffff,
                                   0x00cf9b000000ffff,
                                   0xff00890000000067 | (uint64_t)(0xc01000 + PROBE32_TSS) << 16};

    memcpy(word(PROBE32_GDT), gdt, sizeof gdt);
    *word(PROBE32_TSS + 4) = PROBE32_STACK; /* ESP0, SS0 */
    *word(PROBE32_TSS + 8) = PROBE32_DS;
    for (uint32_t i = 0; i < 32; i++) {
        const uint32_t to = PROBE32_CODE + (uint32_t)(probe32_handlers - probe32_begin) + i * 16;

        word(PROBE32_IDT)[i * 2] = (uint32_t)PROBE32_CS << 16 | (to & 0xffff);
        word(PROBE32_IDT)[i * 2 + 1] = (to & 0xffff0000) | 0x8e00;
    }
}

int probe32_open(void)
{
    int rc = gn_x86_64_frames_claim(gn_hpa(PROBE32_PAGE), FRAMES);

    if (!rc)
        rc = root_make();
    if (rc)
        return rc;
    memset(at(PROBE32_PAGE), 0, FRAMES * GN_PAGE_SIZE);
    memcpy(at(CODE), probe32_begin, (size_t)(probe32_end - probe32_begin));
    memcpy(at(USER), probe32_begin, (size_t)(probe32_end - probe32_begin));
    descriptors_write();
    return 0;
}

static void entry_set(uint32_t table, uint32_t index, uint64_t value, int pae)
{
    if (pae)
        ((uint64_t *)at(table))[index] = value;
    else
        ((uint32_t *)at(table))[index] = (uint32_t)value;
}

void probe32_adopt(uint32_t root, int pae)
{
    const uint32_t bits = pae ? 9 : 10, mask = (1u << bits) - 1;
    const uint32_t top = PROBE32_CODE >> (12 + bits) & mask;

    memset(at(PAGE_PT), 0, 3 * GN_PAGE_SIZE);
    entry_set(PAGE_PT, PROBE32_PAGE >> 12 & mask, PROBE32_PAGE | P | W, pae);
    entry_set(WORLD_PT, 0, CODE | P | W, pae);
    entry_set(WORLD_PT, 1, DATA | P | W, pae);
    entry_set(WORLD_PT, 2, STACK | P | W, pae);
    entry_set(WORLD_PT, 3, USER | P | U, pae);
    if (pae) {
        const uint64_t *pdpt = at(root);

        entry_set(root, 3, WORLD_PD | P, 1);
        entry_set(WORLD_PD, top, WORLD_PT | P | W | U, 1);
        root = (uint32_t)(pdpt[0] & ~GN_PAGE_MASK);
    } else {
        entry_set(root, top, WORLD_PT | P | W | U, 0);
    }
    entry_set(root, PROBE32_PAGE >> (12 + bits) & mask, PAGE_PT | P | W, pae);
}

/* Where the access begins: a stub for it, or the address itself. */
static uint32_t entry_of(uint32_t access, uint32_t gva)
{
    const uint32_t kind = access & GN_PAGING_ACCESS_KIND;
    const uint32_t page = access & GN_PAGING_AS_USER ? PROBE32_USER : PROBE32_CODE;

    if (kind == GN_ACCESS_EXEC)
        return gva;
    return page + (uint32_t)(probe32_stubs - probe32_begin) +
           (kind == GN_ACCESS_WRITE ? PROBE32_STUB_BYTES : 0);
}

int probe32_access(uint32_t root, int pae, uint32_t controls, uint32_t access,
                   struct gn_x86_64_probe *probe)
{
    struct gn_modeswitch_params p = {
        GN_MODESWITCH_PARAMS_INIT,
        .form = GN_MODESWITCH_RING0,
        .flags = GN_MODESWITCH_TSS,
        .address = PROBE32_PAGE,
        .code64 = 0x08,
        .code32 = PROBE32_CS,
        .data = PROBE32_DS,
        .eip = PROBE32_CODE,
        .esp = PROBE32_STACK,
        .cr3 = root,
        .gdt = PROBE32_DATA + PROBE32_GDT,
        .gdt_limit = 0x3f,
        .idt = PROBE32_DATA + PROBE32_IDT,
        .idt_limit = 32 * 8 - 1,
        .tr = PROBE32_TR,
    };
    struct gn_modeswitch_layout l;
    int rc;

    if (gn_x86_64_features() & GN_X86_64_HAS_PCID)
        p.flags |= GN_MODESWITCH_PCID;
    p.cr0 = CR0 | (controls & GN_PAGING_X86_WP ? CR0_WP : 0);
    p.cr4 = (pae ? CR4_PAE : CR4_PSE) | (controls & GN_PAGING_X86_SMEP ? 1u << 20 : 0) |
            (controls & GN_PAGING_X86_SMAP ? 1u << 21 : 0);
    p.efer = pae && controls & GN_PAGING_X86_NXE ? NXE : 0;
    rc = gn_modeswitch_emit(at(PROBE32_PAGE), GN_PAGE_SIZE, &p, &l);
    if (rc)
        return rc;
    *word(PROBE32_BACK) = PROBE32_PAGE + l.back;
    *word(PROBE32_BACK + 4) = PROBE32_CS;
    *word(PROBE32_GVA) = (uint32_t)probe->gva;
    *word(PROBE32_VALUE) = (uint32_t)probe->value;
    *word(PROBE32_ENTRY) = entry_of(access, (uint32_t)probe->gva);
    *word(PROBE32_FLAGS) = 2 | (uint32_t)probe->flags;
    *word(PROBE32_RING3) = (access & GN_PAGING_AS_USER) != 0;
    gn_x86_64_root_load(root64);
    ((void (*)(void))(uintptr_t)(PROBE32_PAGE + l.enter))();
    gn_x86_64_root_own();
    probe->value = *word(PROBE32_VALUE);
    probe->vector = *word(PROBE32_VECTOR);
    probe->error = *word(PROBE32_ERROR);
    probe->rip = *word(PROBE32_EIP);
    probe->cr2 = *word(PROBE32_CR2);
    return 0;
}
