/* SPDX-License-Identifier: BSD-3-Clause */
#include "paging_internal.h"

/*
 * x86-64 4-level and 5-level entries (Intel SDM vol. 3A §4.5, tables 4-14 to 4-20):
 *
 *      63 62  59 58  52 51              12 11  9  8  7  6 5  4   3   2  1  0
 *      +--+-----+------+------------------+-----+--+--+--+-+---+---+---+--+-+
 *      |NX| key | free | physical address | free|G |PS|D |A|PCD|PWT|U/S|RW|P|
 *      +--+-----+------+------------------+-----+--+--+--+-+---+---+---+--+-+
 *
 * Bit 7 of a level-0 entry is PAT; at levels 1 and 2 it is PS, and bit 12 of a large leaf is PAT.
 */

#define PTE_P  ((uint64_t)1 << 0)
#define PTE_RW ((uint64_t)1 << 1)
#define PTE_US ((uint64_t)1 << 2)
#define PTE_A  ((uint64_t)1 << 5)
#define PTE_D  ((uint64_t)1 << 6)
#define PTE_PS ((uint64_t)1 << 7)
#define PTE_G  ((uint64_t)1 << 8)
#define PTE_NX ((uint64_t)1 << 63)

#define PTE_SOFT0     ((uint64_t)1 << 9)
#define PTE_SOFT1     ((uint64_t)1 << 10)
#define PTE_KEY_SHIFT 59
#define PTE_LARGE_PAT ((uint64_t)1 << 12)
#define PTE_ADDRESS   gn_paging__bits(51, 12)

static uint32_t x86_phys_bits(const struct gn_paging_context *context)
{
    return context->phys_bits >= 32 && context->phys_bits < 52 ? context->phys_bits : 52;
}

/* Reserved bits: address bits past MAXPHYADDR, NX without EFER.NXE, PS where no page can be. */
static int x86_reserved(const struct gn_paging__format *format,
                        const struct gn_paging_context *context, uint32_t level, uint64_t value)
{
    uint32_t phys_bits = x86_phys_bits(context);

    if (phys_bits < 52 && value & gn_paging__bits(51, phys_bits))
        return 1;
    if (value & PTE_NX && !(context->controls & GN_PAGING_X86_NXE))
        return 1;
    if (level == 0 || !(value & PTE_PS))
        return 0;
    if (level > 2 || (level == 2 && !(context->controls & GN_PAGING_X86_1G)))
        return 1;
    return (value & gn_paging__bits(gn_paging__shift(format, level) - 1, 13)) != 0;
}

static void x86_decode(const struct gn_paging__format *format,
                       const struct gn_paging_context *context, uint32_t level, uint64_t value,
                       struct gn_paging_entry *ret_entry)
{
    struct gn_paging_entry e = {.kind = GN_PAGING_ENTRY_ABSENT};

    if (value & PTE_P) {
        int leaf = level == 0 || value & PTE_PS;

        e.kind = x86_reserved(format, context, level, value) ? GN_PAGING_ENTRY_RESERVED
                 : leaf                                      ? GN_PAGING_ENTRY_LEAF
                                                             : GN_PAGING_ENTRY_TABLE;
        e.address = value & PTE_ADDRESS;
        if (leaf && level > 0)
            e.address &= ~PTE_LARGE_PAT;
        e.permissions =
            GN_PAGING_R | (value & PTE_RW ? GN_PAGING_W : 0) | (value & PTE_NX ? 0 : GN_PAGING_X) |
            (value & PTE_US ? GN_PAGING_U : 0) | (value & PTE_A ? GN_PAGING_A : 0) |
            (leaf && value & PTE_D ? GN_PAGING_D : 0) | (leaf && value & PTE_G ? GN_PAGING_G : 0) |
            (value & PTE_SOFT0 ? GN_PAGING_SOFT0 : 0) | (value & PTE_SOFT1 ? GN_PAGING_SOFT1 : 0);
    }
    *ret_entry = e;
}

static uint64_t x86_encode(const struct gn_paging__format *format, uint32_t level,
                           const struct gn_paging_entry *entry)
{
    uint32_t p = entry->permissions;
    uint64_t value = entry->address | PTE_P;

    (void)format;
    value |= p & GN_PAGING_W ? PTE_RW : 0;
    value |= p & GN_PAGING_U ? PTE_US : 0;
    value |= p & GN_PAGING_X ? 0 : PTE_NX;
    value |= p & GN_PAGING_A ? PTE_A : 0;
    value |= p & GN_PAGING_SOFT0 ? PTE_SOFT0 : 0;
    value |= p & GN_PAGING_SOFT1 ? PTE_SOFT1 : 0;
    if (entry->kind == GN_PAGING_ENTRY_LEAF) {
        value |= p & GN_PAGING_D ? PTE_D : 0;
        value |= p & GN_PAGING_G ? PTE_G : 0;
        value |= level > 0 ? PTE_PS : 0;
    }
    return value;
}

/* SDM vol. 3A §4.6: an implicit access is a supervisor's, whatever the CPL. */
static int x86_user(uint32_t access)
{
    return (access & (GN_PAGING_AS_USER | GN_PAGING_IMPLICIT)) == GN_PAGING_AS_USER;
}

/* SDM vol. 3A §4.6.1: access rights. */
static int x86_allows(const struct gn_paging_context *context, uint32_t permissions,
                      uint32_t access)
{
    uint32_t kind = access & GN_PAGING_ACCESS_KIND;
    uint32_t controls = context->controls;
    int user = x86_user(access);
    int user_page = (permissions & GN_PAGING_U) != 0;

    if (user && !user_page)
        return 0;
    if (kind == GN_ACCESS_EXEC) {
        if (controls & GN_PAGING_X86_NXE && !(permissions & GN_PAGING_X))
            return 0;
        return user || !user_page || !(controls & GN_PAGING_X86_SMEP);
    }
    if (!user && user_page && controls & GN_PAGING_X86_SMAP &&
        (access & GN_PAGING_IMPLICIT || !(controls & GN_PAGING_X86_AC)))
        return 0;
    if (kind == GN_ACCESS_WRITE && !(permissions & GN_PAGING_W))
        return !user && !(controls & GN_PAGING_X86_WP);
    return 1;
}

/* SDM vol. 3A §4.6.2: protection keys govern data accesses to user pages. */
static uint32_t x86_key_fault(const struct gn_paging_context *context, uint64_t leaf,
                              uint32_t permissions, uint32_t access)
{
    uint32_t key = (uint32_t)(leaf >> PTE_KEY_SHIFT & 15);
    uint32_t rights = context->pkru >> (2 * key) & 3;
    uint32_t kind = access & GN_PAGING_ACCESS_KIND;
    int disabled;

    if (!(context->controls & GN_PAGING_X86_PKE) || !(permissions & GN_PAGING_U) ||
        kind == GN_ACCESS_EXEC)
        return 0;
    disabled = rights & 1;
    if (kind == GN_ACCESS_WRITE && rights & 2)
        disabled |= x86_user(access) || context->controls & GN_PAGING_X86_WP;
    return disabled ? GN_PAGING_X86_PF_PK : 0;
}

/* SDM vol. 3A §4.7: page-fault exceptions. */
static uint32_t x86_fault_code(const struct gn_paging_context *context, uint32_t access,
                               uint32_t reason)
{
    uint32_t kind = access & GN_PAGING_ACCESS_KIND;
    uint32_t code = 0;

    if (reason != GN_PAGING_REASON_ABSENT)
        code |= GN_PAGING_X86_PF_P;
    if (reason == GN_PAGING_REASON_RESERVED)
        code |= GN_PAGING_X86_PF_RSVD;
    if (kind == GN_ACCESS_WRITE)
        code |= GN_PAGING_X86_PF_W;
    if (x86_user(access))
        code |= GN_PAGING_X86_PF_U;
    if (kind == GN_ACCESS_EXEC && context->controls & (GN_PAGING_X86_NXE | GN_PAGING_X86_SMEP))
        code |= GN_PAGING_X86_PF_I;
    return code;
}

static uint32_t x86_access_code(uint32_t access)
{
    (void)access;
    return 0;
}

const struct gn_paging__rules gn_paging__x86 = {
    .decode = x86_decode,
    .encode = x86_encode,
    .allows = x86_allows,
    .key_fault = x86_key_fault,
    .fault_code = x86_fault_code,
    .access_code = x86_access_code,
    .a_bit = PTE_A,
    .d_bit = PTE_D,
    .table_has_a = 1,
    .ad_faults = 0,
    .noncanonical_kind = GN_PAGING_FAULT_NONCANONICAL,
};
