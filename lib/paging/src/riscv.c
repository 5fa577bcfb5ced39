/* SPDX-License-Identifier: BSD-3-Clause */
#include "paging_internal.h"

/*
 * RISC-V Sv39, Sv48 and Sv57 entries (Privileged Architecture 20211203 §4.3.1, §4.4.1):
 *
 *      63  62 61 60    54 53                              10 9 8 7 6 5 4 3 2 1 0
 *      +-+------+--------+----------------------------------+---+-+-+-+-+-+-+-+-+
 *      |N| PBMT | zero   | physical page number             |RSW|D|A|G|U|X|W|R|V|
 *      +-+------+--------+----------------------------------+---+-+-+-+-+-+-+-+-+
 *
 * Svnapot and Svpbmt are not offered, so N and PBMT are reserved, and an entry with one of them
 * set faults.
 */

#define PTE_V ((uint64_t)1 << 0)
#define PTE_R ((uint64_t)1 << 1)
#define PTE_W ((uint64_t)1 << 2)
#define PTE_X ((uint64_t)1 << 3)
#define PTE_U ((uint64_t)1 << 4)
#define PTE_G ((uint64_t)1 << 5)
#define PTE_A ((uint64_t)1 << 6)
#define PTE_D ((uint64_t)1 << 7)

#define PTE_SOFT_SHIFT 8
#define PTE_PPN_SHIFT  10

/* GN_PAGING_R, W, X, U, G, A, D are bits 0 to 6, in the order of the entry's bits 1 to 7. */
_Static_assert(GN_PAGING_R << 1 == 2 && GN_PAGING_D << 1 == 0x80, "permissions follow the entry");
_Static_assert(GN_PAGING_SOFT0 == 0x100 && GN_PAGING_SOFT1 == 0x200, "RSW stands in place");

static void riscv_decode(const struct gn_paging__format *format,
                         const struct gn_paging_context *context, uint32_t level, uint64_t value,
                         struct gn_paging_entry *ret_entry)
{
    struct gn_paging_entry e = {.kind = GN_PAGING_ENTRY_RESERVED};

    (void)context;
    if (!(value & PTE_V)) {
        e.kind = GN_PAGING_ENTRY_ABSENT;
        *ret_entry = e;
        return;
    }
    e.permissions =
        (uint32_t)((value & 0xff) >> 1) | (uint32_t)(value & (GN_PAGING_SOFT0 | GN_PAGING_SOFT1));
    e.address = (value & gn_paging__bits(53, 10)) >> PTE_PPN_SHIFT << GN_PAGE_SHIFT;
    if (value & gn_paging__bits(63, 54) || (value & (PTE_R | PTE_W)) == PTE_W) {
        e.kind = GN_PAGING_ENTRY_RESERVED;
    } else if (value & (PTE_R | PTE_X)) {
        uint64_t span = (uint64_t)1 << gn_paging__shift(format, level);

        /* A superpage whose page number has low bits set is misaligned: a page fault. */
        e.kind = e.address & (span - 1) ? GN_PAGING_ENTRY_RESERVED : GN_PAGING_ENTRY_LEAF;
    } else if (level > 0 && !(value & (PTE_D | PTE_A | PTE_U))) {
        /* D, A and U of an entry that points to a table are reserved, and must be zero. */
        e.kind = GN_PAGING_ENTRY_TABLE;
    }
    *ret_entry = e;
}

static uint64_t riscv_encode(const struct gn_paging__format *format, uint32_t level,
                             const struct gn_paging_entry *entry)
{
    uint64_t value = entry->address >> GN_PAGE_SHIFT << PTE_PPN_SHIFT | PTE_V;

    (void)format;
    (void)level;
    value |= entry->permissions & (GN_PAGING_SOFT0 | GN_PAGING_SOFT1);
    if (entry->kind == GN_PAGING_ENTRY_LEAF)
        value |= (uint64_t)(entry->permissions & 0x7f) << 1;
    else
        value |= (uint64_t)(entry->permissions & GN_PAGING_G) << 1;
    return value;
}

/* §4.3.1 and the description of sstatus: SUM, MXR; supervisor never executes user pages. */
static int riscv_allows(const struct gn_paging_context *context, uint32_t permissions,
                        uint32_t access)
{
    uint32_t kind = access & GN_PAGING_ACCESS_KIND;

    if (access & GN_PAGING_AS_USER) {
        if (!(permissions & GN_PAGING_U))
            return 0;
    } else if (permissions & GN_PAGING_U) {
        if (kind == GN_ACCESS_EXEC || !(context->controls & GN_PAGING_RISCV_SUM))
            return 0;
    }
    switch (kind) {
    case GN_ACCESS_READ:
        return (permissions & GN_PAGING_R) ||
               ((permissions & GN_PAGING_X) && (context->controls & GN_PAGING_RISCV_MXR));
    case GN_ACCESS_WRITE: return (permissions & GN_PAGING_W) != 0;
    default: return (permissions & GN_PAGING_X) != 0;
    }
}

static uint32_t riscv_key_fault(const struct gn_paging_context *context, uint64_t leaf,
                                uint32_t permissions, uint32_t access)
{
    (void)context;
    (void)leaf;
    (void)permissions;
    (void)access;
    return 0;
}

/* Causes 12, 13 and 15; the reason does not show. */
static uint32_t riscv_fault_code(const struct gn_paging_context *context, uint32_t access,
                                 uint32_t reason)
{
    static const uint8_t cause[GN_ACCESS_KINDS] = {13, 15, 12};

    (void)context;
    (void)reason;
    return cause[(access & GN_PAGING_ACCESS_KIND) % GN_ACCESS_KINDS];
}

/* Causes 1, 5 and 7. */
static uint32_t riscv_access_code(uint32_t access)
{
    static const uint8_t cause[GN_ACCESS_KINDS] = {5, 7, 1};

    return cause[(access & GN_PAGING_ACCESS_KIND) % GN_ACCESS_KINDS];
}

const struct gn_paging__rules gn_paging__riscv = {
    .decode = riscv_decode,
    .encode = riscv_encode,
    .allows = riscv_allows,
    .key_fault = riscv_key_fault,
    .fault_code = riscv_fault_code,
    .access_code = riscv_access_code,
    .a_bit = PTE_A,
    .d_bit = PTE_D,
    .table_has_a = 0,
    .ad_faults = 1,
    .noncanonical_kind = GN_PAGING_FAULT_PAGE,
};
