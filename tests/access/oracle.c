/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <gnomon/paging.h>

#include "oracle.h"

int oracle_init(struct oracle *o, uint32_t format, uint32_t controls, uint32_t access)
{
    static const char ops[] = {'r', 'w', 'x'};

    memset(o, 0, sizeof *o);
    switch (format) {
    case GN_PAGING_X86_32: o->family = 'x', o->levels = 2; break;
    case GN_PAGING_AARCH64_4K: o->family = 'a', o->levels = 4; break;
    case GN_PAGING_X86_PAE: o->family = 'x', o->levels = 3, o->pae = 1; break;
    case GN_PAGING_X86_4LEVEL: o->family = 'x', o->levels = 4; break;
    case GN_PAGING_X86_5LEVEL: o->family = 'x', o->levels = 5; break;
    case GN_PAGING_SV39: o->family = 'r', o->levels = 3; break;
    case GN_PAGING_SV48: o->family = 'r', o->levels = 4; break;
    case GN_PAGING_SV57: o->family = 'r', o->levels = 5; break;
    default: return 0;
    }
    o->wp = (controls & GN_PAGING_X86_WP) != 0;
    o->nxe = (controls & GN_PAGING_X86_NXE) != 0;
    o->smep = (controls & GN_PAGING_X86_SMEP) != 0;
    o->smap = (controls & GN_PAGING_X86_SMAP) != 0;
    o->ac = (controls & GN_PAGING_X86_AC) != 0;
    o->pke = (controls & GN_PAGING_X86_PKE) != 0;
    o->page1g = (controls & GN_PAGING_X86_1G) != 0;
    o->sum = (controls & GN_PAGING_RISCV_SUM) != 0;
    o->mxr = (controls & GN_PAGING_RISCV_MXR) != 0;
    o->adue = (controls & GN_PAGING_RISCV_ADUE) != 0;
    o->ha = (controls & GN_PAGING_AARCH64_HA) != 0;
    o->hd = (controls & GN_PAGING_AARCH64_HD) != 0;
    o->pan = (controls & GN_PAGING_AARCH64_PAN) != 0;
    o->epan = (controls & GN_PAGING_AARCH64_EPAN) != 0;
    o->wxn = (controls & GN_PAGING_AARCH64_WXN) != 0;
    o->tbi[0] = (controls & GN_PAGING_AARCH64_TBI0) != 0;
    o->tbi[1] = (controls & GN_PAGING_AARCH64_TBI1) != 0;
    o->epd[0] = (controls & GN_PAGING_AARCH64_EPD0) != 0;
    o->epd[1] = (controls & GN_PAGING_AARCH64_EPD1) != 0;
    o->bytes = 8;
    o->bits = 9;
    if (format == GN_PAGING_X86_32) {
        /* No bit is left for XD or a key; §4.7: XD counts for the code with CR4.PAE only. */
        o->nxe = o->pke = 0;
        o->pse = (controls & GN_PAGING_X86_PSE) != 0;
        o->bytes = 4;
        o->bits = 10;
    }
    o->maxphyaddr = 52;
    o->op = ops[(access & GN_PAGING_ACCESS_KIND) % GN_ACCESS_KINDS];
    o->user = (access & GN_PAGING_AS_USER) != 0;
    o->implicit = (access & GN_PAGING_IMPLICIT) != 0;
    return 1;
}

int oracle_canonical(const struct oracle *o, uint64_t va)
{
    int top = oracle_shift(o, o->levels) - 1;

    if (o->pae || o->bytes == 4)
        return va >> 32 == 0;
    if (o->family == 'a') {
        /* Bit 55 selects the half; those above repeat it, or are a tag. */
        int half = oracle_half(o, va);

        for (int i = 48; i < (o->tbi[half] ? 56 : 64); i++)
            if (oracle_bit(va, i) != half)
                return 0;
        return !o->epd[half];
    }
    for (int i = top; i < 64; i++)
        if (oracle_bit(va, i) != oracle_bit(va, top))
            return 0;
    return 1;
}

int oracle_half(const struct oracle *o, uint64_t va)
{
    return o->family == 'a' && oracle_bit(va, 55);
}

int oracle_shift(const struct oracle *o, int level)
{
    return 12 + o->bits * level;
}

uint64_t oracle_at(const struct oracle *o, int level, uint64_t base, uint64_t va)
{
    uint64_t entries = o->pae && level == 2 ? 4 : (uint64_t)1 << o->bits;

    return base + (va >> oracle_shift(o, level) & (entries - 1)) * (uint64_t)o->bytes;
}

uint64_t oracle_entry(const struct oracle *o, uint64_t at, uint64_t word)
{
    return o->bytes == 4 ? word >> (at & 4) * 8 & 0xffffffff : word;
}

/* Table 4-4: a 4-MByte page has address bits 39:32 in bits 20:13, as many as the width allows. */
static enum oracle_step legacy_step(const struct oracle *o, struct oracle_path *path, int level,
                                    uint64_t entry, uint64_t *ret_address)
{
    int m = o->maxphyaddr < 40 ? o->maxphyaddr : 40;
    int large = level == 1 && o->pse && oracle_bit(entry, 7);

    if (!oracle_bit(entry, 0))
        return ORACLE_ABSENT;
    if (large && oracle_any_bit(entry, m - 19, 21))
        return ORACLE_RESERVED;
    path->w &= oracle_bit(entry, 1);
    path->u &= oracle_bit(entry, 2);
    path->g |= (level == 0 || large) && oracle_bit(entry, 8);
    *ret_address = large ? (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 : entry & 0xfffff000;
    return level == 0 || large ? ORACLE_LEAF : ORACLE_TABLE;
}

/* Table 4-8: a PDPTE of PAE paging has P, an address, and reserved bits; it restricts nothing. */
static enum oracle_step pdpte_step(const struct oracle *o, uint64_t entry, uint64_t *ret_address)
{
    if (!oracle_bit(entry, 0))
        return ORACLE_ABSENT;
    if (oracle_any_bit(entry, 1, 2) || oracle_any_bit(entry, 5, 8) ||
        oracle_any_bit(entry, o->maxphyaddr, 63))
        return ORACLE_RESERVED;
    *ret_address = entry & 0x000ffffffffff000ull;
    return ORACLE_TABLE;
}

static enum oracle_step x86_step(const struct oracle *o, struct oracle_path *path, int level,
                                 uint64_t entry, uint64_t *ret_address)
{
    int page = level == 0 || oracle_bit(entry, 7);

    if (o->pae && level == 2)
        return pdpte_step(o, entry, ret_address);
    if (!oracle_bit(entry, 0))
        return ORACLE_ABSENT;
    /* Tables 4-9 to 4-11: PAE paging has no free bits below XD. */
    if (oracle_any_bit(entry, o->maxphyaddr, o->pae ? 62 : 51) ||
        (oracle_bit(entry, 63) && !o->nxe))
        return ORACLE_RESERVED;
    /* Tables 4-14 to 4-16: PS is reserved in a PML5E and a PML4E, and without 1-GByte pages. */
    if (level > 0 && page &&
        (level > 2 || (level == 2 && !o->page1g) || oracle_any_bit(entry, 13, 12 + 9 * level - 1)))
        return ORACLE_RESERVED;
    path->w &= oracle_bit(entry, 1);
    path->u &= oracle_bit(entry, 2);
    path->x &= !oracle_bit(entry, 63);
    path->g |= page && oracle_bit(entry, 8);
    *ret_address = entry & 0x000ffffffffff000ull;
    if (page)
        *ret_address = *ret_address >> (12 + 9 * level) << (12 + 9 * level);
    return page ? ORACLE_LEAF : ORACLE_TABLE;
}

static enum oracle_step riscv_step(const struct oracle *o, struct oracle_path *path, int level,
                                   uint64_t entry, uint64_t *ret_address)
{
    uint64_t ppn = entry >> 10 & 0xfffffffffffull;

    (void)o;
    if (!oracle_bit(entry, 0))
        return ORACLE_ABSENT;
    /* Step 3, and bits 63 to 54: without Svnapot and Svpbmt all of them are reserved. */
    if ((oracle_bit(entry, 2) && !oracle_bit(entry, 1)) || oracle_any_bit(entry, 54, 63))
        return ORACLE_RESERVED;
    path->g |= oracle_bit(entry, 5);
    *ret_address = ppn << 12;
    if (oracle_bit(entry, 1) || oracle_bit(entry, 3)) {
        if (level > 0 && oracle_any_bit(ppn, 0, 9 * level - 1))
            return ORACLE_RESERVED; /* step 6: a misaligned superpage; the same cause as step 5 */
        return ORACLE_LEAF;
    }
    /* Step 4; U, A and D of a pointer are reserved (§4.3.1). */
    if (level == 0 || oracle_bit(entry, 4) || oracle_bit(entry, 6) || oracle_bit(entry, 7))
        return ORACLE_RESERVED;
    return ORACLE_TABLE;
}

enum oracle_step oracle_step(const struct oracle *o, struct oracle_path *path, int level,
                             uint64_t entry, uint64_t *ret_address)
{
    if (o->family == 'a')
        return oracle_arm_step(o, path, level, entry, ret_address);
    if (o->family == 'r')
        return riscv_step(o, path, level, entry, ret_address);
    return o->bytes == 4 ? legacy_step(o, path, level, entry, ret_address)
                         : x86_step(o, path, level, entry, ret_address);
}

unsigned oracle_code(const struct oracle *o, enum oracle_step why, int level)
{
    unsigned code = 0;

    if (o->family == 'a') /* a translation fault, or one of the address size */
        return oracle_arm_code(o, why == ORACLE_RESERVED ? 0x00 : 0x04, level);
    if (o->family == 'r')
        return o->op == 'x' ? 12 : o->op == 'r' ? 13 : 15;
    code |= why == ORACLE_ABSENT ? 0 : 1;
    code |= o->op == 'w' ? 2 : 0;
    code |= o->user && !o->implicit ? 4 : 0;
    code |= why == ORACLE_RESERVED ? 8 : 0;
    code |= o->op == 'x' && (o->nxe || o->smep) ? 16 : 0;
    return code;
}

unsigned oracle_access_code(const struct oracle *o, int level)
{
    if (o->family == 'a')
        return oracle_arm_code(o, 0x14, level);
    return o->family == 'x' ? 0 : o->op == 'x' ? 1 : o->op == 'r' ? 5 : 7;
}

/* SDM vol. 3A §4.6.1, clause by clause. */
static int x86_rights(const struct oracle *o, const struct oracle_path *path)
{
    if (o->user && !o->implicit)
        return path->u && (o->op == 'r' || (o->op == 'w' ? path->w : path->x));
    if (o->op == 'x')
        return path->x && !(o->smep && path->u);
    if (path->u && o->smap && (o->implicit || !o->ac))
        return 0;
    return o->op == 'r' || path->w || !o->wp;
}

/* §4.6.2: keys govern data accesses to user-mode addresses. */
static int x86_key_denies(const struct oracle *o, const struct oracle_path *path, uint64_t leaf)
{
    int key = (int)(leaf >> 59 & 15);
    int ad = oracle_bit(o->pkru, 2 * key);
    int wd = oracle_bit(o->pkru, 2 * key + 1);

    if (!o->pke || !path->u || o->op == 'x')
        return 0;
    return ad || (wd && o->op == 'w' && ((o->user && !o->implicit) || o->wp));
}

static int riscv_rights(const struct oracle *o, uint64_t leaf)
{
    int u = oracle_bit(leaf, 4);

    if (o->user ? !u : u && (!o->sum || o->op == 'x'))
        return 0;
    if (o->op == 'r')
        return oracle_bit(leaf, 1) || (o->mxr && oracle_bit(leaf, 3));
    return oracle_bit(leaf, o->op == 'w' ? 2 : 3);
}

int oracle_judge(const struct oracle *o, const struct oracle_path *path, int level, uint64_t leaf,
                 unsigned *ret_code, uint64_t *ret_wanted)
{
    int a = o->family == 'x' ? 5 : 6;
    uint64_t wanted = leaf | (uint64_t)1 << a;

    if (o->family == 'a')
        return oracle_arm_judge(o, path, level, leaf, ret_code, ret_wanted);
    if (o->op == 'w')
        wanted |= (uint64_t)1 << (a + 1);
    *ret_wanted = wanted;
    *ret_code = oracle_code(o, ORACLE_LEAF, level);
    if (o->family == 'x') {
        int key = x86_key_denies(o, path, leaf);

        *ret_code |= key ? 32 : 0;
        return !key && x86_rights(o, path);
    }
    /* Step 7, first scheme (Svade), if the second is not offered. */
    return riscv_rights(o, leaf) && (o->adue || wanted == leaf);
}

uint64_t oracle_passed(const struct oracle *o, int level, uint64_t entry)
{
    /* No PDPTE of PAE has an A bit. */
    return o->family == 'x' && !(o->pae && level == 2) ? entry | 1 << 5 : entry;
}

uint64_t oracle_address(const struct oracle *o, int level, uint64_t base, uint64_t va)
{
    return base | (va & (((uint64_t)1 << oracle_shift(o, level)) - 1));
}

static struct oracle_result walk_nowhere(const struct oracle *o)
{
    struct oracle_result r = {.kind = ORACLE_PAGE_FAULT, .level = o->levels - 1};

    if (o->family == 'x')
        r.kind = ORACLE_NONCANONICAL;
    else
        r.code = oracle_code(o, ORACLE_ABSENT, r.level);
    return r;
}

struct oracle_result oracle_walk(const struct oracle *o, const uint64_t root[2], uint64_t va,
                                 int (*load)(void *ctx, uint64_t gpa, uint64_t *ret_value),
                                 void *ctx)
{
    struct oracle_result r = {.kind = ORACLE_PAGE_FAULT};
    struct oracle_path path = ORACLE_PATH;
    uint64_t base = root[oracle_half(o, va)];
    enum oracle_step step = ORACLE_TABLE;
    uint64_t wanted;

    if (!oracle_canonical(o, va))
        return walk_nowhere(o);
    for (int level = o->levels - 1; step == ORACLE_TABLE; level--) {
        uint64_t word;

        r.level = level;
        r.at[level] = oracle_at(o, level, base, va);
        if (!load(ctx, r.at[level] & ~(uint64_t)7, &word)) {
            r.kind = ORACLE_ACCESS_FAULT;
            r.code = oracle_access_code(o, level);
            return r;
        }
        r.value[level] = oracle_entry(o, r.at[level], word);
        step = oracle_step(o, &path, level, r.value[level], &base);
    }
    r.absent = step != ORACLE_LEAF;
    r.code = oracle_code(o, step, r.level);
    if (r.absent || !oracle_judge(o, &path, r.level, r.value[r.level], &r.code, &wanted))
        return r;
    r.value[r.level] = wanted;
    for (int level = o->levels - 1; level > r.level; level--)
        r.value[level] = oracle_passed(o, level, r.value[level]);
    r.kind = ORACLE_OK;
    r.code = 0;
    r.pa = oracle_address(o, r.level, base, va);
    return r;
}
