/* SPDX-License-Identifier: BSD-3-Clause */
#include "walk.h"

/*
 * AArch64 stage 1 of the EL1&0 regime, granule 4 KiB, 48-bit addresses: VMSAv8-64 descriptors (Arm
 * DDI 0487 D8.3). The manual counts levels from the root: its level 3 is our level 0.
 *
 *      63 62 59 58 55 54  53  52   51  50 49 48 47         12 11 10 9 8 7 6 5 4  2  1  0
 *      +--+-----+----+---+---+----+---+--+-----+------------+--+--+---+---+-+----+----+-+
 *      |  |     |soft|UXN|PXN|cont|DBM|GP|     | page       |nG|AF|SH |AP |NS|idx| 0/1|1| leaf
 *      +--+-----+----+---+---+----+---+--+-----+------------+--+--+---+---+-+----+----+-+
 *      |NS|APT, UXNT, PXNT|   ignored          | table      |   ignored           |  1 |1| table
 *      +--+---------------+--------------------+------------+---------------------+----+-+
 *
 * Bit 1 of a leaf is 1 at level 0 (a page) and 0 above (a block). APT, UXNT and PXNT are APTable,
 * UXNTable and PXNTable, bits 62:61, 60 and 59.
 */

#define D_VALID   ((uint64_t)1 << 0)
#define D_TABLE   ((uint64_t)1 << 1) /* or, at the last level, a page */
#define D_USER    ((uint64_t)1 << 6) /* AP[1] */
#define D_RO      ((uint64_t)1 << 7) /* AP[2] */
#define D_AF      ((uint64_t)1 << 10)
#define D_NG      ((uint64_t)1 << 11)
#define D_GP      ((uint64_t)1 << 50)
#define D_DBM     ((uint64_t)1 << 51)
#define D_CONT    ((uint64_t)1 << 52)
#define D_PXN     ((uint64_t)1 << 53)
#define D_UXN     ((uint64_t)1 << 54)
#define D_PXNT    ((uint64_t)1 << 59)
#define D_UXNT    ((uint64_t)1 << 60)
#define D_APT_U   ((uint64_t)1 << 61) /* APTable[0]: no EL0 data access below */
#define D_APT_RO  ((uint64_t)1 << 62) /* APTable[1]: no writing below */
#define D_ADDRESS GN_PAGING__BITS(47, 12)

#define D_INDEX_SHIFT 2
#define D_SH_SHIFT    8
#define D_SOFT_SHIFT  55

#define PA_BITS 48
#define TOP     3

#define HARDWARE_DIRTY (GN_PAGING_AARCH64_HA | GN_PAGING_AARCH64_HD)

_Static_assert(GN_PAGING_AARCH64_INDEX(7) == 7 && GN_PAGING_AARCH64_SH(3) == 3 << 3, "layout");

GN_PAGING__INLINE uint32_t aarch64_phys_bits(const struct gn_paging_context *context)
{
    return context->phys_bits >= 32 && context->phys_bits < PA_BITS ? context->phys_bits : PA_BITS;
}

/* Not reserved but too wide: bits past TCR_EL1.IPS give an address size fault. */
GN_PAGING__INLINE uint64_t aarch64_reserved(const struct gn_paging_context *context)
{
    return gn_paging__bits(PA_BITS - 1, aarch64_phys_bits(context));
}

/*
 * Bit 55 selects the half. The bits above it repeat it, or with TBI may be anything; so do bits
 * 54:48, always (D8.1).
 */
GN_PAGING__INLINE uint32_t aarch64_enter(const struct gn_paging__view *v, uint64_t gva,
                                         uint64_t *ret_table)
{
    uint32_t controls = v->context->controls;
    int high = gva >> 55 & 1;
    uint64_t table = high ? gn_paging__root_high(v->context) : v->context->root.v;

    *ret_table = table;
    if (controls & (high ? GN_PAGING_AARCH64_TBI1 : GN_PAGING_AARCH64_TBI0))
        gva = high ? gva | GN_PAGING__BITS(63, 56) : gva & ~GN_PAGING__BITS(63, 56);
    if (!gn_paging__canonical(gva, 49) ||
        controls & (high ? GN_PAGING_AARCH64_EPD1 : GN_PAGING_AARCH64_EPD0))
        return GN_PAGING_REASON_ADDRESS;
    return table >> aarch64_phys_bits(v->context) ? GN_PAGING_REASON_RESERVED
                                                  : GN_PAGING_REASON_NONE;
}

/* An encoding that has no meaning at its level is a translation fault, like an invalid one. */
GN_PAGING__INLINE uint32_t aarch64_kind(const struct gn_paging__view *v, uint32_t level,
                                        uint64_t value)
{
    uint32_t kind = value & D_TABLE && level > 0 ? GN_PAGING_ENTRY_TABLE : GN_PAGING_ENTRY_LEAF;

    if (!(value & D_VALID) || (level == 0 && !(value & D_TABLE)) ||
        (level == TOP && !(value & D_TABLE)))
        return GN_PAGING_ENTRY_ABSENT;
    return value & v->reserved ? GN_PAGING_ENTRY_RESERVED : kind;
}

/* All bits of a table entry take something away. */
GN_PAGING__INLINE uint64_t aarch64_combine(uint64_t all, uint64_t any)
{
    (void)all;
    return any;
}

GN_PAGING__INLINE uint64_t aarch64_table(uint64_t value)
{
    return value & D_ADDRESS;
}

/* Bits below a block's address are RES0 (one is nT), and no fault. */
GN_PAGING__INLINE uint64_t aarch64_page(uint32_t level, uint64_t value)
{
    return value & D_ADDRESS & ~gn_paging__low(GN_PAGE_SHIFT + 9 * level);
}

GN_PAGING__INLINE uint32_t aarch64_soft(uint64_t value)
{
    return (uint32_t)(value >> D_SOFT_SHIFT & 3) * GN_PAGING_SOFT0;
}

GN_PAGING__INLINE uint32_t aarch64_table_permissions(uint64_t value)
{
    return GN_PAGING_R | (value & D_APT_RO ? 0 : GN_PAGING_W) |
           (value & D_APT_U ? 0 : GN_PAGING_U) | (value & D_PXNT ? 0 : GN_PAGING_X) |
           (value & D_UXNT ? 0 : GN_PAGING_UX) | aarch64_soft(value);
}

/* With HD (which is nothing without HA) a page with DBM is writable, and AP[2] says that it is
 * clean (D8.4, hardware management of dirty state). */
GN_PAGING__INLINE uint32_t aarch64_leaf_permissions(const struct gn_paging_context *context,
                                                    uint64_t value)
{
    int hd = (context->controls & HARDWARE_DIRTY) == HARDWARE_DIRTY;
    int clean = hd && value & D_DBM;

    return GN_PAGING_R | (value & D_RO ? clean ? GN_PAGING_W : 0 : GN_PAGING_W | GN_PAGING_D) |
           (value & D_USER ? GN_PAGING_U : 0) | (value & D_PXN ? 0 : GN_PAGING_X) |
           (value & D_UXN ? 0 : GN_PAGING_UX) | (value & D_NG ? 0 : GN_PAGING_G) |
           (value & D_AF ? GN_PAGING_A : 0) | aarch64_soft(value);
}

GN_PAGING__INLINE uint32_t aarch64_attributes(uint32_t level, uint64_t value, int leaf)
{
    (void)level;
    if (!leaf)
        return 0;
    return GN_PAGING_AARCH64_INDEX(value >> D_INDEX_SHIFT & 7) |
           GN_PAGING_AARCH64_SH(value >> D_SH_SHIFT & 3) |
           (value & D_CONT ? GN_PAGING_AARCH64_CONTIGUOUS : 0) |
           (value & D_DBM ? GN_PAGING_AARCH64_DBM : 0) | (value & D_GP ? GN_PAGING_AARCH64_GP : 0);
}

/* PAN concerns what EL0 may read; with EPAN, also what it may only execute (SCTLR_EL1.EPAN). */
GN_PAGING__INLINE int aarch64_pan(const struct gn_paging_context *context, uint32_t permissions)
{
    uint32_t user = GN_PAGING_U | (context->controls & GN_PAGING_AARCH64_EPAN ? GN_PAGING_UX : 0);

    return context->controls & GN_PAGING_AARCH64_PAN && permissions & user;
}

/*
 * D8.4: AP and the execute-never bits; what EL0 may write EL1 never executes; WXN; PAN, of EL1's
 * data accesses alone.
 */
GN_PAGING__INLINE int aarch64_may(const struct gn_paging_context *context, uint32_t permissions,
                                  uint32_t access)
{
    uint32_t kind = access & GN_PAGING_ACCESS_KIND;
    int user_page = (permissions & GN_PAGING_U) != 0;
    int write = (permissions & GN_PAGING_W) != 0;
    int wxn = (context->controls & GN_PAGING_AARCH64_WXN) != 0;

    if (access & GN_PAGING_AS_USER) {
        if (kind == GN_ACCESS_EXEC)
            return permissions & GN_PAGING_UX && !(wxn && user_page && write);
        if (!user_page)
            return 0;
    } else {
        if (kind == GN_ACCESS_EXEC)
            return permissions & GN_PAGING_X && !(write && (user_page || wxn));
        if (aarch64_pan(context, permissions))
            return 0;
    }
    return kind == GN_ACCESS_WRITE ? write : (permissions & GN_PAGING_R) != 0;
}

/* The access flag comes before permission (the order of AArch64.S1Translate). */
GN_PAGING__INLINE uint32_t aarch64_judge(const struct gn_paging_context *context, uint64_t leaf,
                                         uint32_t permissions, uint32_t access)
{
    if (!(leaf & D_AF) && !(access & GN_PAGING_NO_UPDATE) &&
        !(context->controls & GN_PAGING_AARCH64_HA))
        return GN_PAGING_REASON_AD;
    return aarch64_may(context, permissions, access) ? GN_PAGING_REASON_NONE
                                                     : GN_PAGING_REASON_PERMISSION;
}

/* A write that is allowed to a page with AP[2] set is allowed by DBM, and makes it dirty. */
GN_PAGING__INLINE uint64_t aarch64_touch(uint32_t level, uint64_t value, int leaf, int write)
{
    (void)level;
    return leaf ? (value | D_AF) & ~(write ? D_RO : 0) : value;
}

static uint32_t aarch64_fault_code(const struct gn_paging_context *context, uint32_t access,
                                   uint32_t reason, uint32_t level)
{
    uint32_t code = TOP - (level <= TOP ? level : 0);

    (void)context;
    switch (reason) {
    case GN_PAGING_REASON_RESERVED: code |= GN_PAGING_AARCH64_ADDRESS_SIZE; break;
    case GN_PAGING_REASON_PERMISSION: code |= GN_PAGING_AARCH64_PERMISSION; break;
    case GN_PAGING_REASON_AD: code |= GN_PAGING_AARCH64_ACCESS_FLAG; break;
    case GN_PAGING_REASON_MEMORY: code |= GN_PAGING_AARCH64_EXTERNAL; break;
    default: code |= GN_PAGING_AARCH64_TRANSLATION; break;
    }
    return code | (gn_paging__is_write(access) ? GN_PAGING_AARCH64_WNR : 0);
}

GN_PAGING__INLINE void aarch64_fault(const struct gn_paging_context *context, uint32_t access,
                                     uint64_t leaf, struct gn_paging_walk *r)
{
    (void)leaf;
    r->outcome =
        r->reason == GN_PAGING_REASON_MEMORY ? GN_PAGING_FAULT_ACCESS : GN_PAGING_FAULT_PAGE;
    r->code = aarch64_fault_code(context, access, r->reason, r->level);
}

static const struct gn_paging__rules aarch64_rules = {
    .index_bits = 9,
    .entry_bytes = 8,
    .root_mask = GN_PAGE_MASK,
    .inherited = GN_PAGING_W | GN_PAGING_X | GN_PAGING_U | GN_PAGING_UX,
    .reserved = aarch64_reserved,
    .enter = aarch64_enter,
    .kind = aarch64_kind,
    .plain = gn_paging__plain,
    .combine = aarch64_combine,
    .table = aarch64_table,
    .page = aarch64_page,
    .shift = gn_paging__shift_9,
    .table_permissions = aarch64_table_permissions,
    .leaf_permissions = aarch64_leaf_permissions,
    .attributes = aarch64_attributes,
    .judge = aarch64_judge,
    .touch = aarch64_touch,
    .fault = aarch64_fault,
};

GN_PAGING__WALK(aarch64)
GN_PAGING__DECODE(aarch64)

static int aarch64_encode(uint32_t level, const struct gn_paging_entry *entry, uint64_t *ret_value)
{
    uint32_t p = entry->permissions, a = entry->attributes;
    int clean = a & GN_PAGING_AARCH64_DBM && !(p & GN_PAGING_D);
    uint64_t value = entry->address | D_VALID;

    value |= (uint64_t)(p / GN_PAGING_SOFT0 & 3) << D_SOFT_SHIFT;
    if (entry->kind == GN_PAGING_ENTRY_TABLE) {
        *ret_value = value | D_TABLE | (p & GN_PAGING_W ? 0 : D_APT_RO) |
                     (p & GN_PAGING_U ? 0 : D_APT_U) | (p & GN_PAGING_X ? 0 : D_PXNT) |
                     (p & GN_PAGING_UX ? 0 : D_UXNT);
        return 0;
    }
    value |= level ? 0 : D_TABLE;
    value |= p & GN_PAGING_W && !clean ? 0 : D_RO;
    value |= p & GN_PAGING_U ? D_USER : 0;
    value |= p & GN_PAGING_X ? 0 : D_PXN;
    value |= p & GN_PAGING_UX ? 0 : D_UXN;
    value |= p & GN_PAGING_G ? 0 : D_NG;
    value |= p & GN_PAGING_A ? D_AF : 0;
    value |= (uint64_t)(a & GN_PAGING_AARCH64_INDEX_MASK) << D_INDEX_SHIFT;
    value |= (uint64_t)(a >> GN_PAGING_AARCH64_SH_SHIFT & 3) << D_SH_SHIFT;
    value |= a & GN_PAGING_AARCH64_CONTIGUOUS ? D_CONT : 0;
    value |= a & GN_PAGING_AARCH64_DBM ? D_DBM : 0;
    value |= a & GN_PAGING_AARCH64_GP ? D_GP : 0;
    *ret_value = value;
    return 0;
}

static int aarch64_allows(const struct gn_paging_context *context, uint32_t permissions,
                          uint32_t access)
{
    return aarch64_may(context, permissions, access);
}

const struct gn_paging__arch gn_paging__aarch64 = {
    .walk = aarch64_walk,
    .decode = aarch64_decode,
    .encode = aarch64_encode,
    .allows = aarch64_allows,
    .fault_code = aarch64_fault_code,
    .leaf_attributes = GN_PAGING_AARCH64_INDEX_MASK | GN_PAGING_AARCH64_SH_MASK |
                       GN_PAGING_AARCH64_CONTIGUOUS | GN_PAGING_AARCH64_DBM | GN_PAGING_AARCH64_GP,
};
