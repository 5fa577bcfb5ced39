/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <gnomon/paging.h>

#include "oracle_any.h"

typedef int load_t(void *ctx, uint64_t gpa, uint64_t *ret_value);

static int bit(uint64_t value, int n)
{
    return (int)(value >> n & 1);
}

static int any_bit(uint64_t value, int first, int last)
{
    for (int i = first; i <= last; i++)
        if (bit(value, i))
            return 1;
    return 0;
}

int oracle_any_init(struct oracle_any *any, uint32_t format, uint32_t controls, uint32_t access)
{
    memset(any, 0, sizeof *any);
    any->bits = 9;
    any->bytes = 8;
    if (oracle_init(&any->o, format, controls, access))
        return 1;
    if (format != GN_PAGING_X86_32 && format != GN_PAGING_AARCH64_4K)
        return 0;
    oracle_init(&any->o, GN_PAGING_X86_4LEVEL, controls, access);
    if (format == GN_PAGING_X86_32) {
        /* No bit is left for XD or a key; §4.7: XD counts for the code with CR4.PAE only. */
        any->o.nxe = any->o.pke = 0;
        any->o.levels = 2;
        any->bits = 10;
        any->bytes = 4;
        any->pse = (controls & GN_PAGING_X86_PSE) != 0;
        return 1;
    }
    any->o.family = 'a';
    any->arm_ha = (controls & GN_PAGING_AARCH64_HA) != 0;
    any->arm_hd = (controls & GN_PAGING_AARCH64_HD) != 0;
    any->arm_pan = (controls & GN_PAGING_AARCH64_PAN) != 0;
    any->arm_epan = (controls & GN_PAGING_AARCH64_EPAN) != 0;
    any->arm_wxn = (controls & GN_PAGING_AARCH64_WXN) != 0;
    any->arm_tbi[0] = (controls & GN_PAGING_AARCH64_TBI0) != 0;
    any->arm_tbi[1] = (controls & GN_PAGING_AARCH64_TBI1) != 0;
    any->arm_epd[0] = (controls & GN_PAGING_AARCH64_EPD0) != 0;
    any->arm_epd[1] = (controls & GN_PAGING_AARCH64_EPD1) != 0;
    return 1;
}

int oracle_any_shift(const struct oracle_any *any, int level)
{
    return 12 + any->bits * level;
}

uint64_t oracle_any_at(const struct oracle_any *any, int level, uint64_t base, uint64_t va)
{
    uint64_t entries = any->o.pae && level == 2 ? 4 : (uint64_t)1 << any->bits;

    return base + (va >> oracle_any_shift(any, level) & (entries - 1)) * (uint64_t)any->bytes;
}

/* ---- 32-bit x86 --------------------------------------------------------------------------- */

static uint64_t entry_load(load_t *load, void *ctx, uint64_t at, uint64_t *ret_value)
{
    if (!load(ctx, at & ~7ull, ret_value))
        return 0;
    *ret_value = *ret_value >> (at & 4) * 8 & 0xffffffff;
    return 1;
}

/* Table 4-4: a 4-MByte page has address bits 39:32 in bits 20:13, as many as the width allows. */
static enum oracle_step legacy_step(const struct oracle_any *any, struct oracle_path *path,
                                    int level, uint64_t entry, uint64_t *ret_address)
{
    int m = any->o.maxphyaddr < 40 ? any->o.maxphyaddr : 40;
    int large = level == 1 && any->pse && bit(entry, 7);

    if (!bit(entry, 0))
        return ORACLE_ABSENT;
    if (large && any_bit(entry, m - 19, 21))
        return ORACLE_RESERVED;
    path->w &= bit(entry, 1);
    path->u &= bit(entry, 2);
    *ret_address = large ? (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 : entry & 0xfffff000;
    return level == 0 || large ? ORACLE_LEAF : ORACLE_TABLE;
}

static struct oracle_result legacy_walk(const struct oracle_any *any, uint64_t root, uint64_t va,
                                        load_t *load, void *ctx)
{
    struct oracle_result r = {.kind = ORACLE_PAGE_FAULT, .level = 1};
    struct oracle_path path = {1, 1, 1, 0};
    enum oracle_step step = ORACLE_TABLE;
    uint64_t base = root;
    uint64_t wanted;

    if (va >> 32) {
        r.kind = ORACLE_NONCANONICAL;
        return r;
    }
    for (int level = 1; step == ORACLE_TABLE; level--) {
        r.level = level;
        r.at[level] = oracle_any_at(any, level, base, va);
        if (!entry_load(load, ctx, r.at[level], &r.value[level])) {
            r.kind = ORACLE_ACCESS_FAULT;
            return r;
        }
        step = legacy_step(any, &path, level, r.value[level], &base);
    }
    r.absent = step != ORACLE_LEAF;
    r.code = oracle_code(&any->o, step);
    if (r.absent || !oracle_judge(&any->o, &path, r.value[r.level], &r.code, &wanted))
        return r;
    r.value[r.level] = wanted;
    if (r.level == 0)
        r.value[1] = oracle_passed(&any->o, r.value[1]);
    r.kind = ORACLE_OK;
    r.code = 0;
    r.pa = base | (va & (((uint64_t)1 << oracle_any_shift(any, r.level)) - 1));
    return r;
}

/* ---- AArch64 ------------------------------------------------------------------------------ */

/* What the tables passed take from all below: bits 62:59 of each. */
struct arm_tables {
    int ro, no_user, uxn, pxn;
};

/* Status and level as in ESR_EL1, with WnR; `level` is ours, the manual's counts from the root. */
static struct oracle_result arm_fault(const struct oracle_any *any, struct oracle_result r,
                                      unsigned status, int level)
{
    r.kind = status == 0x14 ? ORACLE_ACCESS_FAULT : ORACLE_PAGE_FAULT;
    r.code = (status + (unsigned)(3 - level)) | (any->o.op == 'w' ? 0x40 : 0);
    return r;
}

/* D8.4: the two exception levels' rights, from a leaf and what lies above it. */
static int arm_rights(const struct oracle_any *any, const struct arm_tables *tables, uint64_t leaf,
                      int dbm)
{
    int user = bit(leaf, 6) && !tables->no_user;
    int write = (!bit(leaf, 7) || dbm) && !tables->ro;
    int uxn = bit(leaf, 54) || tables->uxn;
    int pxn = bit(leaf, 53) || tables->pxn;

    if (any->o.user)
        switch (any->o.op) {
        case 'r': return user;
        case 'w': return user && write;
        default: return !uxn && !(any->arm_wxn && user && write);
        }
    if (any->o.op == 'x') /* what EL0 may write is not for EL1 to execute */
        return !pxn && !(user && write) && !(any->arm_wxn && write);
    if (any->arm_pan && (user || (any->arm_epan && !uxn)))
        return 0;
    return any->o.op == 'r' || write;
}

static struct oracle_result arm_leaf(const struct oracle_any *any, struct oracle_result r,
                                     const struct arm_tables *tables, uint64_t va)
{
    uint64_t leaf = r.value[r.level];
    uint64_t offset = ((uint64_t)1 << oracle_any_shift(any, r.level)) - 1;
    int dbm = any->arm_ha && any->arm_hd && bit(leaf, 51);

    if (!bit(leaf, 10) && !any->arm_ha)
        return arm_fault(any, r, 0x08, r.level);
    if (!arm_rights(any, tables, leaf, dbm))
        return arm_fault(any, r, 0x0c, r.level);
    leaf |= 1ull << 10;
    if (any->o.op == 'w' && dbm)
        leaf &= ~(1ull << 7);
    r.value[r.level] = leaf;
    r.kind = ORACLE_OK;
    r.code = 0;
    r.pa = (leaf & 0x0000fffffffff000ull & ~offset) | (va & offset);
    return r;
}

static struct oracle_result arm_walk(const struct oracle_any *any, uint64_t root, uint64_t va,
                                     load_t *load, void *ctx)
{
    struct oracle_result r = {.level = 3};
    struct arm_tables tables = {0};
    int high = bit(va, 55);
    uint64_t base = root;

    for (int i = 48; i < (any->arm_tbi[high] ? 56 : 64); i++)
        if (bit(va, i) != high)
            return arm_fault(any, r, 0x04, 3);
    if (any->arm_epd[high])
        return arm_fault(any, r, 0x04, 3);
    for (;; r.level--) {
        uint64_t d;

        r.at[r.level] = oracle_any_at(any, r.level, base, va);
        if (!load(ctx, r.at[r.level], &d))
            return arm_fault(any, r, 0x14, r.level);
        r.value[r.level] = d;
        r.absent = 1;
        /* Bit 1: a table, or at the last level a page. There is no block at the root's level. */
        if (!bit(d, 0) || (!bit(d, 1) && (r.level == 0 || r.level == 3)))
            return arm_fault(any, r, 0x04, r.level);
        if (any_bit(d, any->o.maxphyaddr, 47))
            return arm_fault(any, r, 0x00, r.level);
        r.absent = 0;
        if (r.level == 0 || !bit(d, 1))
            return arm_leaf(any, r, &tables, va);
        tables.pxn |= bit(d, 59);
        tables.uxn |= bit(d, 60);
        tables.no_user |= bit(d, 61);
        tables.ro |= bit(d, 62);
        base = d & 0x0000fffffffff000ull;
    }
}

/* ------------------------------------------------------------------------------------------- */

struct oracle_result oracle_any_walk(const struct oracle_any *any, uint64_t root, uint64_t va,
                                     load_t *load, void *ctx)
{
    if (any->o.family == 'a')
        return arm_walk(any, root, va, load, ctx);
    if (any->bytes == 4)
        return legacy_walk(any, root, va, load, ctx);
    return oracle_walk(&any->o, root, va, load, ctx);
}
