/* SPDX-License-Identifier: BSD-3-Clause */
#include "walk.h"

/*
 * x86 entries: 4-level and 5-level (Intel SDM vol. 3A §4.5, tables 4-14 to 4-20), PAE (§4.4,
 * tables 4-8 to 4-11) and 32-bit (§4.3, tables 4-4 to 4-6).
 *
 *      63 62  59 58  52 51              12 11  9  8  7  6 5  4   3   2  1  0
 *      +--+-----+------+------------------+-----+--+--+--+-+---+---+---+--+-+
 *      |NX| key | free | physical address | free|G |PS|D |A|PCD|PWT|U/S|RW|P|   4 and 5 levels
 *      +--+-----+------+------------------+-----+--+--+--+-+---+---+---+--+-+
 *      |NX|   zero     | physical address | free|G |PS|D |A|PCD|PWT|U/S|RW|P|   PAE
 *      +--+------------+------------------+-----+--+--+--+-+---+---+---+--+-+
 *      |      zero     | physical address | free|   zero   |PCD|PWT|zero  |P|   PAE, level 2
 *      +---------------+------------------+-----+--+--+--+-+---+---+---+--+-+
 *                  31 12: physical address| free|G |PS|D |A|PCD|PWT|U/S|RW|P|   32-bit
 *
 * Bit 7 of a level-0 entry is PAT; above it is PS, and bit 12 of a large leaf is PAT. A 4 MiB leaf
 * has bits 39:32 of its address in bits 20:13 (PSE-36).
 */

#define PTE_P  ((uint64_t)1 << 0)
#define PTE_RW ((uint64_t)1 << 1)
#define PTE_US ((uint64_t)1 << 2)
#define PTE_A  ((uint64_t)1 << 5)
#define PTE_D  ((uint64_t)1 << 6)
#define PTE_PS ((uint64_t)1 << 7)
#define PTE_NX ((uint64_t)1 << 63)

#define PTE_G_SHIFT     8
#define PTE_SOFT_SHIFT  9
#define PTE_CACHE_SHIFT 3 /* PWT, PCD */
#define PTE_KEY_SHIFT   59
#define PTE_PAT_SMALL   7
#define PTE_PAT_LARGE   12
#define PTE_ADDRESS     GN_PAGING__BITS(51, 12)
#define PDPTE_RESERVED  (GN_PAGING__BITS(8, 5) | GN_PAGING__BITS(2, 1) | PTE_NX)

#define PTE32_4M_LOW        GN_PAGING__BITS(31, 22)
#define PTE32_4M_HIGH       GN_PAGING__BITS(20, 13)
#define PTE32_4M_HIGH_SHIFT 19 /* from bit 13 to bit 32 */

/* R, W, A and D are where P, R/W, A and D are. */
_Static_assert(GN_PAGING_R == 1 && GN_PAGING_W == 2, "P and R/W stand in place");
_Static_assert(GN_PAGING_A == 0x20 && GN_PAGING_D == 0x40, "A and D stand in place");
_Static_assert(GN_PAGING_U == 4 << 1 && GN_PAGING_G == 0x100 >> 4, "U/S and G are shifted");
_Static_assert(GN_PAGING_SOFT0 == 0x200 >> 1 && GN_PAGING_SOFT1 == 0x400 >> 1, "9, 10 are shifted");
_Static_assert(GN_PAGING_X86_PWT == 1 && GN_PAGING_X86_PCD == 2, "as in the entry, from bit 3");

GN_PAGING__INLINE uint32_t x86_phys_bits(const struct gn_paging_context *context)
{
    return context->phys_bits >= 32 && context->phys_bits < 52 ? context->phys_bits : 52;
}

/* --- What the formats share ----------------------------------------------------------------- */

/* Bits from 32 up are no part of a linear address outside 64-bit mode. */
GN_PAGING__INLINE uint32_t x86_enter_32(const struct gn_paging__view *v, uint64_t gva,
                                        uint64_t *ret_table)
{
    *ret_table = v->context->root.v;
    return gva >> 32 ? GN_PAGING_REASON_ADDRESS : GN_PAGING_REASON_NONE;
}

GN_PAGING__INLINE uint32_t x86_enter(const struct gn_paging__view *v, uint64_t gva,
                                     uint64_t *ret_table)
{
    *ret_table = v->context->root.v;
    return gn_paging__canonical(gva, v->format->geometry.va_bits) ? GN_PAGING_REASON_NONE
                                                                  : GN_PAGING_REASON_ADDRESS;
}

/* R/W and U/S permit if they do at every level, NX forbids at any (SDM vol. 3A §4.6.1). */
GN_PAGING__INLINE uint64_t x86_combine(uint64_t all, uint64_t any)
{
    return (all & ~PTE_NX) | (any & PTE_NX);
}

GN_PAGING__INLINE uint64_t x86_table(uint64_t value)
{
    return value & PTE_ADDRESS;
}

GN_PAGING__INLINE uint64_t x86_page(uint32_t level, uint64_t value)
{
    return value & PTE_ADDRESS & ~gn_paging__low(GN_PAGE_SHIFT + 9 * level);
}

GN_PAGING__INLINE uint32_t x86_table_permissions(uint64_t value)
{
    return (uint32_t)(value & (GN_PAGING_R | GN_PAGING_W | GN_PAGING_A)) |
           (uint32_t)(value << 1 & GN_PAGING_U) | (uint32_t)(~value >> 61 & GN_PAGING_X) |
           (uint32_t)(value >> 1 & (GN_PAGING_SOFT0 | GN_PAGING_SOFT1));
}

GN_PAGING__INLINE uint32_t x86_leaf_permissions(const struct gn_paging_context *context,
                                                uint64_t value)
{
    (void)context;
    return x86_table_permissions(value) | (uint32_t)(value & GN_PAGING_D) |
           (uint32_t)(value >> 4 & GN_PAGING_G);
}

GN_PAGING__INLINE uint32_t x86_attributes(uint32_t level, uint64_t value, int leaf)
{
    uint32_t attributes = (uint32_t)(value >> PTE_CACHE_SHIFT & 3);

    if (leaf && value >> (level ? PTE_PAT_LARGE : PTE_PAT_SMALL) & 1)
        attributes |= GN_PAGING_X86_PAT;
    return attributes;
}

/* Bits 62:59 are a key in 4-level and 5-level leaves alone. */
GN_PAGING__INLINE uint32_t x86_attributes_key(uint32_t level, uint64_t value, int leaf)
{
    return x86_attributes(level, value, leaf) |
           (leaf ? GN_PAGING_X86_KEY(value >> PTE_KEY_SHIFT & 15) : 0);
}

GN_PAGING__INLINE uint64_t x86_touch(uint32_t level, uint64_t value, int leaf, int write)
{
    (void)level;
    return value | PTE_A | (leaf && write ? PTE_D : 0);
}

/* SDM vol. 3A §4.6: an implicit access is a supervisor's, whatever the CPL. */
GN_PAGING__INLINE int x86_user(uint32_t access)
{
    return (access & (GN_PAGING_AS_USER | GN_PAGING_IMPLICIT)) == GN_PAGING_AS_USER;
}

/* SDM vol. 3A §4.6.1: access rights. 32-bit entries have no NX, so that EFER.NXE is nothing. */
GN_PAGING__INLINE int x86_may(const struct gn_paging_context *context, uint32_t permissions,
                              uint32_t access, int has_nx)
{
    uint32_t kind = access & GN_PAGING_ACCESS_KIND;
    uint32_t controls = context->controls;
    int user = x86_user(access);
    int user_page = (permissions & GN_PAGING_U) != 0;

    if (user && !user_page)
        return 0;
    if (kind == GN_ACCESS_EXEC) {
        if (has_nx && controls & GN_PAGING_X86_NXE && !(permissions & GN_PAGING_X))
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

/* SDM vol. 3A §4.7: page-fault exceptions. */
GN_PAGING__INLINE uint32_t x86_code(const struct gn_paging_context *context, uint32_t access,
                                    uint32_t reason, int has_nx)
{
    uint32_t kind = access & GN_PAGING_ACCESS_KIND;
    uint32_t tells_fetch = GN_PAGING_X86_SMEP | (has_nx ? GN_PAGING_X86_NXE : 0);
    uint32_t code = 0;

    if (reason != GN_PAGING_REASON_ABSENT)
        code |= GN_PAGING_X86_PF_P;
    if (reason == GN_PAGING_REASON_RESERVED)
        code |= GN_PAGING_X86_PF_RSVD;
    if (kind == GN_ACCESS_WRITE)
        code |= GN_PAGING_X86_PF_W;
    if (x86_user(access))
        code |= GN_PAGING_X86_PF_U;
    if (kind == GN_ACCESS_EXEC && context->controls & tells_fetch)
        code |= GN_PAGING_X86_PF_I;
    return code;
}

GN_PAGING__INLINE void x86_fault_by(const struct gn_paging_context *context, uint32_t access,
                                    struct gn_paging_walk *r, int has_nx)
{
    r->code = 0;
    if (r->reason == GN_PAGING_REASON_ADDRESS) {
        r->outcome = GN_PAGING_FAULT_NONCANONICAL;
    } else if (r->reason == GN_PAGING_REASON_MEMORY) {
        r->outcome = GN_PAGING_FAULT_ACCESS;
    } else {
        r->outcome = GN_PAGING_FAULT_PAGE;
        r->code = x86_code(context, access, r->reason, has_nx);
    }
}

/* Entry bits that mean the same in all formats. */
static uint64_t x86_encode_common(uint32_t level, const struct gn_paging_entry *entry)
{
    uint32_t p = entry->permissions;
    uint64_t value = PTE_P;

    value |= p & (GN_PAGING_W | GN_PAGING_A);
    value |= p & GN_PAGING_U ? PTE_US : 0;
    value |= (uint64_t)(p & (GN_PAGING_SOFT0 | GN_PAGING_SOFT1)) << 1;
    value |= (uint64_t)(entry->attributes & 3) << PTE_CACHE_SHIFT;
    if (entry->kind == GN_PAGING_ENTRY_LEAF) {
        value |= p & GN_PAGING_D;
        value |= (uint64_t)(p & GN_PAGING_G) << 4;
        value |= level > 0 ? PTE_PS : 0;
        if (entry->attributes & GN_PAGING_X86_PAT)
            value |= (uint64_t)1 << (level ? PTE_PAT_LARGE : PTE_PAT_SMALL);
    }
    return value;
}

/* --- 4-level and 5-level -------------------------------------------------------------------- */

/* Reserved bits: address bits past MAXPHYADDR, NX without EFER.NXE. */
GN_PAGING__INLINE uint64_t x86_64_reserved(const struct gn_paging_context *context)
{
    return gn_paging__bits(51, x86_phys_bits(context)) |
           (context->controls & GN_PAGING_X86_NXE ? 0 : PTE_NX);
}

GN_PAGING__INLINE uint32_t x86_64_kind(const struct gn_paging__view *v, uint32_t level,
                                       uint64_t value)
{
    if (!(value & PTE_P))
        return GN_PAGING_ENTRY_ABSENT;
    if (value & v->reserved)
        return GN_PAGING_ENTRY_RESERVED;
    if (level == 0)
        return GN_PAGING_ENTRY_LEAF;
    if (!(value & PTE_PS))
        return GN_PAGING_ENTRY_TABLE;
    /* PS where no page can be. */
    if (level > 2 || (level == 2 && !(v->context->controls & GN_PAGING_X86_1G)))
        return GN_PAGING_ENTRY_RESERVED;
    return value & gn_paging__bits(GN_PAGE_SHIFT + 9 * level - 1, 13) ? GN_PAGING_ENTRY_RESERVED
                                                                      : GN_PAGING_ENTRY_LEAF;
}

/* SDM vol. 3A §4.6.2: protection keys govern data accesses to user pages. */
GN_PAGING__INLINE uint32_t x86_key_fault(const struct gn_paging_context *context, uint64_t leaf,
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

GN_PAGING__INLINE uint32_t x86_64_judge(const struct gn_paging_context *context, uint64_t leaf,
                                        uint32_t permissions, uint32_t access)
{
    return x86_key_fault(context, leaf, permissions, access) ||
                   !x86_may(context, permissions, access, 1)
               ? GN_PAGING_REASON_PERMISSION
               : GN_PAGING_REASON_NONE;
}

GN_PAGING__INLINE void x86_64_fault(const struct gn_paging_context *context, uint32_t access,
                                    uint64_t leaf, struct gn_paging_walk *r)
{
    x86_fault_by(context, access, r, 1);
    /* A key that denies shows in the code even when the privilege rules deny as well (SDM §4.7). */
    if (r->reason == GN_PAGING_REASON_PERMISSION)
        r->code |= x86_key_fault(context, leaf, r->permissions, access);
}

static const struct gn_paging__rules x86_64_rules = {
    .index_bits = 9,
    .entry_bytes = 8,
    .root_mask = GN_PAGE_MASK,
    .table_a = PTE_A,
    .inherited = GN_PAGING_W | GN_PAGING_X | GN_PAGING_U,
    .reserved = x86_64_reserved,
    .enter = x86_enter,
    .kind = x86_64_kind,
    .plain = gn_paging__plain,
    .combine = x86_combine,
    .table = x86_table,
    .page = x86_page,
    .shift = gn_paging__shift_9,
    .table_permissions = x86_table_permissions,
    .leaf_permissions = x86_leaf_permissions,
    .attributes = x86_attributes_key,
    .judge = x86_64_judge,
    .touch = x86_touch,
    .fault = x86_64_fault,
};

GN_PAGING__WALK(x86_64)
GN_PAGING__DECODE(x86_64)

static int x86_64_encode(uint32_t level, const struct gn_paging_entry *entry, uint64_t *ret_value)
{
    uint64_t key = entry->attributes >> GN_PAGING_X86_KEY_SHIFT & 15;

    *ret_value = x86_encode_common(level, entry) | entry->address | key << PTE_KEY_SHIFT |
                 (entry->permissions & GN_PAGING_X ? 0 : PTE_NX);
    return 0;
}

static int x86_allows(const struct gn_paging_context *context, uint32_t permissions,
                      uint32_t access)
{
    return x86_may(context, permissions, access, 1);
}

static uint32_t x86_fault_code(const struct gn_paging_context *context, uint32_t access,
                               uint32_t reason, uint32_t level)
{
    (void)level;
    return x86_code(context, access, reason, 1);
}

const struct gn_paging__arch gn_paging__x86_64 = {
    .walk = x86_64_walk,
    .decode = x86_64_decode,
    .encode = x86_64_encode,
    .allows = x86_allows,
    .fault_code = x86_fault_code,
    .leaf_attributes =
        GN_PAGING_X86_PWT | GN_PAGING_X86_PCD | GN_PAGING_X86_PAT | GN_PAGING_X86_KEY_MASK,
    .table_attributes = GN_PAGING_X86_PWT | GN_PAGING_X86_PCD,
};

/* --- PAE ------------------------------------------------------------------------------------ */

/* Bits 62:M are reserved, the ignored ones of the longer formats among them. */
GN_PAGING__INLINE uint64_t pae_reserved(const struct gn_paging_context *context)
{
    return gn_paging__bits(62, x86_phys_bits(context)) |
           (context->controls & GN_PAGING_X86_NXE ? 0 : PTE_NX);
}

GN_PAGING__INLINE uint32_t pae_kind(const struct gn_paging__view *v, uint32_t level, uint64_t value)
{
    if (!(value & PTE_P))
        return GN_PAGING_ENTRY_ABSENT;
    if (value & v->reserved)
        return GN_PAGING_ENTRY_RESERVED;
    if (level == 0)
        return GN_PAGING_ENTRY_LEAF;
    if (level == 2)
        return value & PDPTE_RESERVED ? GN_PAGING_ENTRY_RESERVED : GN_PAGING_ENTRY_TABLE;
    if (!(value & PTE_PS))
        return GN_PAGING_ENTRY_TABLE;
    return value & GN_PAGING__BITS(20, 13) ? GN_PAGING_ENTRY_RESERVED : GN_PAGING_ENTRY_LEAF;
}

/* A PDPTE has no access rights, nor A. */
GN_PAGING__INLINE uint64_t pae_plain(uint32_t level, uint64_t value)
{
    return level == 2 ? value | PTE_RW | PTE_US | PTE_A : value;
}

GN_PAGING__INLINE uint32_t pae_judge(const struct gn_paging_context *context, uint64_t leaf,
                                     uint32_t permissions, uint32_t access)
{
    (void)leaf;
    return x86_may(context, permissions, access, 1) ? GN_PAGING_REASON_NONE
                                                    : GN_PAGING_REASON_PERMISSION;
}

GN_PAGING__INLINE uint64_t pae_touch(uint32_t level, uint64_t value, int leaf, int write)
{
    return level == 2 ? value : x86_touch(level, value, leaf, write);
}

GN_PAGING__INLINE void pae_fault(const struct gn_paging_context *context, uint32_t access,
                                 uint64_t leaf, struct gn_paging_walk *r)
{
    (void)leaf;
    x86_fault_by(context, access, r, 1);
}

static const struct gn_paging__rules pae_rules = {
    .index_bits = 9,
    .entry_bytes = 8,
    .root_mask = 31,
    .table_a = PTE_A,
    .inherited = GN_PAGING_W | GN_PAGING_X | GN_PAGING_U,
    .reserved = pae_reserved,
    .enter = x86_enter_32,
    .kind = pae_kind,
    .plain = pae_plain,
    .combine = x86_combine,
    .table = x86_table,
    .page = x86_page,
    .shift = gn_paging__shift_9,
    .table_permissions = x86_table_permissions,
    .leaf_permissions = x86_leaf_permissions,
    .attributes = x86_attributes,
    .judge = pae_judge,
    .touch = pae_touch,
    .fault = pae_fault,
};

GN_PAGING__WALK(pae)

static void pae_decode(const struct gn_paging_context *context, uint32_t level, uint64_t value,
                       struct gn_paging_entry *ret_entry)
{
    gn_paging__decode_by(&pae_rules, context, level, value, ret_entry);
    if (level == 2) /* pae_plain() says so, for the sake of the walk */
        ret_entry->permissions &= ~GN_PAGING_A;
}

static int pae_encode(uint32_t level, const struct gn_paging_entry *entry, uint64_t *ret_value)
{
    uint64_t value = x86_encode_common(level, entry);

    if (level == 2)
        value &= ~(PTE_A | PTE_RW | PTE_US);
    else if (!(entry->permissions & GN_PAGING_X))
        value |= PTE_NX;
    *ret_value = value | entry->address;
    return 0;
}

const struct gn_paging__arch gn_paging__x86_pae = {
    .walk = pae_walk,
    .decode = pae_decode,
    .encode = pae_encode,
    .allows = x86_allows,
    .fault_code = x86_fault_code,
    .leaf_attributes = GN_PAGING_X86_PWT | GN_PAGING_X86_PCD | GN_PAGING_X86_PAT,
    .table_attributes = GN_PAGING_X86_PWT | GN_PAGING_X86_PCD,
};

/* --- 32-bit --------------------------------------------------------------------------------- */

/* Of a 4 MiB leaf: address bits past the smaller of 40 and MAXPHYADDR, and bit 21 (table 4-4). */
GN_PAGING__INLINE uint64_t x86_32_reserved(const struct gn_paging_context *context)
{
    uint32_t phys_bits = x86_phys_bits(context);

    return gn_paging__bits(21, (phys_bits < 40 ? phys_bits : 40) - 19);
}

GN_PAGING__INLINE uint32_t x86_32_kind(const struct gn_paging__view *v, uint32_t level,
                                       uint64_t value)
{
    if (!(value & PTE_P))
        return GN_PAGING_ENTRY_ABSENT;
    if (level == 0)
        return GN_PAGING_ENTRY_LEAF;
    if (!(value & PTE_PS) || !(v->context->controls & GN_PAGING_X86_PSE))
        return GN_PAGING_ENTRY_TABLE;
    return value & v->reserved ? GN_PAGING_ENTRY_RESERVED : GN_PAGING_ENTRY_LEAF;
}

GN_PAGING__INLINE uint64_t x86_32_table(uint64_t value)
{
    return value & GN_PAGING__BITS(31, 12);
}

GN_PAGING__INLINE uint64_t x86_32_page(uint32_t level, uint64_t value)
{
    return level ? (value & PTE32_4M_LOW) | (value & PTE32_4M_HIGH) << PTE32_4M_HIGH_SHIFT
                 : x86_32_table(value);
}

GN_PAGING__INLINE uint32_t x86_32_shift(uint32_t level, uint64_t value)
{
    (void)value;
    return GN_PAGE_SHIFT + 10 * level;
}

GN_PAGING__INLINE uint32_t x86_32_judge(const struct gn_paging_context *context, uint64_t leaf,
                                        uint32_t permissions, uint32_t access)
{
    (void)leaf;
    return x86_may(context, permissions, access, 0) ? GN_PAGING_REASON_NONE
                                                    : GN_PAGING_REASON_PERMISSION;
}

GN_PAGING__INLINE void x86_32_fault(const struct gn_paging_context *context, uint32_t access,
                                    uint64_t leaf, struct gn_paging_walk *r)
{
    (void)leaf;
    x86_fault_by(context, access, r, 0);
}

static const struct gn_paging__rules x86_32_rules = {
    .index_bits = 10,
    .entry_bytes = 4,
    .root_mask = GN_PAGE_MASK,
    .table_a = PTE_A,
    .inherited = GN_PAGING_W | GN_PAGING_U,
    .reserved = x86_32_reserved,
    .enter = x86_enter_32,
    .kind = x86_32_kind,
    .plain = gn_paging__plain,
    .combine = x86_combine,
    .table = x86_32_table,
    .page = x86_32_page,
    .shift = x86_32_shift,
    .table_permissions = x86_table_permissions,
    .leaf_permissions = x86_leaf_permissions,
    .attributes = x86_attributes,
    .judge = x86_32_judge,
    .touch = x86_touch,
    .fault = x86_32_fault,
};

GN_PAGING__WALK(x86_32)
GN_PAGING__DECODE(x86_32)

/* There is no NX to say that a page is not for fetching. */
static int x86_32_encode(uint32_t level, const struct gn_paging_entry *entry, uint64_t *ret_value)
{
    uint64_t high = entry->address >> 32;

    if (high && (level == 0 || entry->kind == GN_PAGING_ENTRY_TABLE))
        return -GN_ERR_RANGE;
    *ret_value = x86_encode_common(level, entry) | (entry->address & gn_paging__low(32)) |
                 high << (32 - PTE32_4M_HIGH_SHIFT);
    return 0;
}

static int x86_32_allows(const struct gn_paging_context *context, uint32_t permissions,
                         uint32_t access)
{
    return x86_may(context, permissions, access, 0);
}

static uint32_t x86_32_fault_code(const struct gn_paging_context *context, uint32_t access,
                                  uint32_t reason, uint32_t level)
{
    (void)level;
    return x86_code(context, access, reason, 0);
}

const struct gn_paging__arch gn_paging__x86_32 = {
    .walk = x86_32_walk,
    .decode = x86_32_decode,
    .encode = x86_32_encode,
    .allows = x86_32_allows,
    .fault_code = x86_32_fault_code,
    .leaf_attributes = GN_PAGING_X86_PWT | GN_PAGING_X86_PCD | GN_PAGING_X86_PAT,
    .table_attributes = GN_PAGING_X86_PWT | GN_PAGING_X86_PCD,
};
