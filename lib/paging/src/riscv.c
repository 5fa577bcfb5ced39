/* SPDX-License-Identifier: BSD-3-Clause */
#include "walk.h"

/*
 * RISC-V Sv39, Sv48 and Sv57 entries (Privileged Architecture 20211203 §4.3.1, §4.4.1):
 *
 *      63  62 61 60    54 53                              10 9 8 7 6 5 4 3 2 1 0
 *      +-+------+--------+----------------------------------+---+-+-+-+-+-+-+-+-+
 *      |N| PBMT | zero   | physical page number             |RSW|D|A|G|U|X|W|R|V|
 *      +-+------+--------+----------------------------------+---+-+-+-+-+-+-+-+-+
 *
 * N is Svnapot's (ch. 5), PBMT Svpbmt's (ch. 6). Without the extension they are reserved, and so
 * they are in entries that point to tables.
 */

#define PTE_V ((uint64_t)1 << 0)
#define PTE_R ((uint64_t)1 << 1)
#define PTE_W ((uint64_t)1 << 2)
#define PTE_X ((uint64_t)1 << 3)
#define PTE_U ((uint64_t)1 << 4)
#define PTE_A ((uint64_t)1 << 6)
#define PTE_D ((uint64_t)1 << 7)
#define PTE_N ((uint64_t)1 << 63)

#define PTE_PPN_SHIFT  10
#define PTE_ZERO       GN_PAGING__BITS(60, 54)
#define PTE_PPN        GN_PAGING__BITS(53, 10)
#define PTE_PBMT_SHIFT 61
#define PTE_PBMT       GN_PAGING__BITS(62, 61)

/* The one size of NAPOT there is: 64 KiB, told by 1000 in the low bits of the page number. */
#define NAPOT_SHIFT 16
#define NAPOT_BITS  GN_PAGING__BITS(13, 10)
#define NAPOT_64K   GN_PAGING__BITS(13, 13)

/* GN_PAGING_R, W, X, U, G, A, D are bits 0 to 6, in the order of the entry's bits 1 to 7. */
_Static_assert(GN_PAGING_R << 1 == 2 && GN_PAGING_D << 1 == 0x80, "permissions follow the entry");
_Static_assert(GN_PAGING_SOFT0 == 0x100 && GN_PAGING_SOFT1 == 0x200, "RSW stands in place");
_Static_assert(GN_PAGING_RISCV_NAPOT == GN_PAGING_RISCV_PBMTE << 1,
               "riscv_reserved() relies on it");
_Static_assert(GN_PAGING_RISCV_PBMT(3) == 3 && GN_PAGING_RISCV_NAPOT64K == 4, "attributes: 63..61");

GN_PAGING__INLINE uint64_t riscv_reserved(const struct gn_paging_context *context)
{
    /* By RISCV_PBMTE and RISCV_NAPOT. */
    static const uint64_t reserved[4] = {PTE_ZERO | PTE_PBMT | PTE_N, PTE_ZERO | PTE_N,
                                         PTE_ZERO | PTE_PBMT, PTE_ZERO};

    return reserved[context->extensions & 3];
}

GN_PAGING__INLINE uint32_t riscv_enter(const struct gn_paging__view *v, uint64_t gva,
                                       uint64_t *ret_table)
{
    *ret_table = v->context->root.v;
    return gn_paging__canonical(gva, v->format->geometry.va_bits) ? GN_PAGING_REASON_NONE
                                                                  : GN_PAGING_REASON_ADDRESS;
}

/* Are N and PBMT of a leaf, where the extensions exist, an encoding that is not reserved? */
GN_PAGING__INLINE int riscv_extensions_fit(uint32_t level, uint64_t value)
{
    if (gn_paging__usual(!(value & (PTE_PBMT | PTE_N))))
        return 1;
    if ((value & PTE_PBMT) == PTE_PBMT)
        return 0;
    return !(value & PTE_N) || (level == 0 && (value & NAPOT_BITS) == NAPOT_64K);
}

GN_PAGING__INLINE uint32_t riscv_kind(const struct gn_paging__view *v, uint32_t level,
                                      uint64_t value)
{
    if (!(value & PTE_V))
        return GN_PAGING_ENTRY_ABSENT;
    if (value & v->reserved || (value & (PTE_R | PTE_W)) == PTE_W)
        return GN_PAGING_ENTRY_RESERVED;
    if (value & (PTE_R | PTE_X)) {
        /* A superpage whose page number has low bits set is misaligned: a page fault. */
        if (value >> PTE_PPN_SHIFT & gn_paging__low(9 * level))
            return GN_PAGING_ENTRY_RESERVED;
        return riscv_extensions_fit(level, value) ? GN_PAGING_ENTRY_LEAF : GN_PAGING_ENTRY_RESERVED;
    }
    /* D, A, U, N and PBMT of an entry that points to a table are reserved, and must be zero. */
    return level > 0 && !(value & (PTE_D | PTE_A | PTE_U | PTE_N | PTE_PBMT))
               ? GN_PAGING_ENTRY_TABLE
               : GN_PAGING_ENTRY_RESERVED;
}

/* Nothing is inherited. */
GN_PAGING__INLINE uint64_t riscv_combine(uint64_t all, uint64_t any)
{
    (void)any;
    return all;
}

GN_PAGING__INLINE uint64_t riscv_table(uint64_t value)
{
    return (value & PTE_PPN) >> PTE_PPN_SHIFT << GN_PAGE_SHIFT;
}

GN_PAGING__INLINE uint64_t riscv_page(uint32_t level, uint64_t value)
{
    (void)level;
    return riscv_table(value & PTE_N ? value & ~NAPOT_BITS : value);
}

GN_PAGING__INLINE uint32_t riscv_shift(uint32_t level, uint64_t value)
{
    return value & PTE_N ? NAPOT_SHIFT : GN_PAGE_SHIFT + 9 * level;
}

/* A table entry decides nothing for those below it but says G, and its RSW bits. */
GN_PAGING__INLINE uint32_t riscv_table_permissions(uint64_t value)
{
    return (uint32_t)(value >> 1 & 0x7f) | (uint32_t)(value & (GN_PAGING_SOFT0 | GN_PAGING_SOFT1));
}

GN_PAGING__INLINE uint32_t riscv_leaf_permissions(const struct gn_paging_context *context,
                                                  uint64_t value)
{
    (void)context;
    return riscv_table_permissions(value);
}

GN_PAGING__INLINE uint32_t riscv_attributes(uint32_t level, uint64_t value, int leaf)
{
    (void)level;
    return leaf ? (uint32_t)(value >> PTE_PBMT_SHIFT) : 0;
}

/* §4.3.1 and the description of sstatus: SUM, MXR; supervisor never executes user pages. */
GN_PAGING__INLINE int riscv_may(const struct gn_paging_context *context, uint32_t permissions,
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

/* Permission first, then A and D: of the two schemes of §4.3.1, that of Svade faults. */
GN_PAGING__INLINE uint32_t riscv_judge(const struct gn_paging_context *context, uint64_t leaf,
                                       uint32_t permissions, uint32_t access)
{
    uint64_t needs = gn_paging__is_write(access) ? PTE_A | PTE_D : PTE_A;

    if (!riscv_may(context, permissions, access))
        return GN_PAGING_REASON_PERMISSION;
    if ((leaf & needs) != needs && !(access & GN_PAGING_NO_UPDATE) &&
        !(context->controls & GN_PAGING_RISCV_ADUE))
        return GN_PAGING_REASON_AD;
    return GN_PAGING_REASON_NONE;
}

/* Only leaves have A and D. */
GN_PAGING__INLINE uint64_t riscv_touch(uint32_t level, uint64_t value, int leaf, int write)
{
    (void)level;
    return leaf ? value | PTE_A | (write ? PTE_D : 0) : value;
}

/* Causes 12, 13 and 15; the reason does not show. */
static uint32_t riscv_fault_code(const struct gn_paging_context *context, uint32_t access,
                                 uint32_t reason, uint32_t level)
{
    static const uint8_t cause[GN_ACCESS_KINDS] = {13, 15, 12};

    (void)context;
    (void)reason;
    (void)level;
    return cause[(access & GN_PAGING_ACCESS_KIND) % GN_ACCESS_KINDS];
}

GN_PAGING__INLINE void riscv_fault(const struct gn_paging_context *context, uint32_t access,
                                   uint64_t leaf, struct gn_paging_walk *r)
{
    static const uint8_t no_memory[GN_ACCESS_KINDS] = {5, 7, 1};

    (void)leaf;
    r->outcome = GN_PAGING_FAULT_PAGE;
    r->code = riscv_fault_code(context, access, r->reason, r->level);
    if (r->reason == GN_PAGING_REASON_MEMORY) {
        r->outcome = GN_PAGING_FAULT_ACCESS;
        r->code = no_memory[access & GN_PAGING_ACCESS_KIND];
    }
}

static const struct gn_paging__rules riscv_rules = {
    .index_bits = 9,
    .entry_bytes = 8,
    .root_mask = GN_PAGE_MASK,
    .reserved = riscv_reserved,
    .enter = riscv_enter,
    .kind = riscv_kind,
    .plain = gn_paging__plain,
    .combine = riscv_combine,
    .table = riscv_table,
    .page = riscv_page,
    .shift = riscv_shift,
    .table_permissions = riscv_table_permissions,
    .leaf_permissions = riscv_leaf_permissions,
    .attributes = riscv_attributes,
    .judge = riscv_judge,
    .touch = riscv_touch,
    .fault = riscv_fault,
};

GN_PAGING__WALK(riscv)
GN_PAGING__DECODE(riscv)

static int riscv_encode(uint32_t level, const struct gn_paging_entry *entry, uint64_t *ret_value)
{
    uint32_t p = entry->permissions;
    uint64_t value = entry->address >> GN_PAGE_SHIFT << PTE_PPN_SHIFT | PTE_V;

    value |= p & (GN_PAGING_SOFT0 | GN_PAGING_SOFT1);
    if (entry->kind == GN_PAGING_ENTRY_TABLE) {
        *ret_value = value | (uint64_t)(p & GN_PAGING_G) << 1;
        return 0;
    }
    /* W without R is reserved (§4.3.1), and with neither R nor X it were a table. */
    if (!(p & (GN_PAGING_R | GN_PAGING_X)) || (p & (GN_PAGING_R | GN_PAGING_W)) == GN_PAGING_W)
        return -GN_ERR_INVAL;
    if (entry->attributes & GN_PAGING_RISCV_NAPOT64K) {
        if (entry->address & gn_paging__low(NAPOT_SHIFT))
            return -GN_ERR_INVAL;
        value |= NAPOT_64K;
    }
    value |= (uint64_t)(p & 0x7f) << 1 | (uint64_t)entry->attributes << PTE_PBMT_SHIFT;
    if (!riscv_extensions_fit(level, value))
        return -GN_ERR_INVAL;
    *ret_value = value;
    return 0;
}

static int riscv_allows(const struct gn_paging_context *context, uint32_t permissions,
                        uint32_t access)
{
    return riscv_may(context, permissions, access);
}

const struct gn_paging__arch gn_paging__riscv = {
    .walk = riscv_walk,
    .decode = riscv_decode,
    .encode = riscv_encode,
    .allows = riscv_allows,
    .fault_code = riscv_fault_code,
    .leaf_attributes = GN_PAGING_RISCV_PBMT_MASK | GN_PAGING_RISCV_NAPOT64K,
};
