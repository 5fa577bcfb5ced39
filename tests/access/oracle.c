/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <gnomon/paging.h>

#include "oracle.h"

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

int oracle_init(struct oracle *o, uint32_t format, uint32_t controls, uint32_t access)
{
    static const char ops[] = {'r', 'w', 'x'};

    memset(o, 0, sizeof *o);
    switch (format) {
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
    o->maxphyaddr = 52;
    o->op = ops[(access & GN_PAGING_ACCESS_KIND) % GN_ACCESS_KINDS];
    o->user = (access & GN_PAGING_AS_USER) != 0;
    o->implicit = (access & GN_PAGING_IMPLICIT) != 0;
    return 1;
}

int oracle_canonical(const struct oracle *o, uint64_t va)
{
    int top = 12 + 9 * o->levels - 1;

    if (o->pae)
        return va >> 32 == 0;
    for (int i = top; i < 64; i++)
        if (bit(va, i) != bit(va, top))
            return 0;
    return 1;
}

/* Table 4-8: a PDPTE of PAE paging has P, an address, and reserved bits; it restricts nothing. */
static enum oracle_step pdpte_step(const struct oracle *o, uint64_t entry, uint64_t *ret_address)
{
    if (!bit(entry, 0))
        return ORACLE_ABSENT;
    if (any_bit(entry, 1, 2) || any_bit(entry, 5, 8) || any_bit(entry, o->maxphyaddr, 63))
        return ORACLE_RESERVED;
    *ret_address = entry & 0x000ffffffffff000ull;
    return ORACLE_TABLE;
}

static enum oracle_step x86_step(const struct oracle *o, struct oracle_path *path, int level,
                                 uint64_t entry, uint64_t *ret_address)
{
    int page = level == 0 || bit(entry, 7);

    if (o->pae && level == 2)
        return pdpte_step(o, entry, ret_address);
    if (!bit(entry, 0))
        return ORACLE_ABSENT;
    /* Tables 4-9 to 4-11: PAE paging has no free bits below XD. */
    if (any_bit(entry, o->maxphyaddr, o->pae ? 62 : 51) || (bit(entry, 63) && !o->nxe))
        return ORACLE_RESERVED;
    /* Tables 4-14 to 4-16: PS is reserved in a PML5E and a PML4E, and without 1-GByte pages. */
    if (level > 0 && page &&
        (level > 2 || (level == 2 && !o->page1g) || any_bit(entry, 13, 12 + 9 * level - 1)))
        return ORACLE_RESERVED;
    path->w &= bit(entry, 1);
    path->u &= bit(entry, 2);
    path->x &= !bit(entry, 63);
    path->g |= page && bit(entry, 8);
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
    if (!bit(entry, 0))
        return ORACLE_ABSENT;
    /* Step 3, and bits 63 to 54: without Svnapot and Svpbmt all of them are reserved. */
    if ((bit(entry, 2) && !bit(entry, 1)) || any_bit(entry, 54, 63))
        return ORACLE_RESERVED;
    path->g |= bit(entry, 5);
    *ret_address = ppn << 12;
    if (bit(entry, 1) || bit(entry, 3)) {
        if (level > 0 && any_bit(ppn, 0, 9 * level - 1))
            return ORACLE_RESERVED; /* step 6: a misaligned superpage; the same cause as step 5 */
        return ORACLE_LEAF;
    }
    /* Step 4; U, A and D of a pointer are reserved (§4.3.1). */
    if (level == 0 || bit(entry, 4) || bit(entry, 6) || bit(entry, 7))
        return ORACLE_RESERVED;
    return ORACLE_TABLE;
}

enum oracle_step oracle_step(const struct oracle *o, struct oracle_path *path, int level,
                             uint64_t entry, uint64_t *ret_address)
{
    return o->family == 'x' ? x86_step(o, path, level, entry, ret_address)
                            : riscv_step(o, path, level, entry, ret_address);
}

unsigned oracle_code(const struct oracle *o, enum oracle_step why)
{
    unsigned code = 0;

    if (o->family == 'r')
        return o->op == 'x' ? 12 : o->op == 'r' ? 13 : 15;
    code |= why == ORACLE_ABSENT ? 0 : 1;
    code |= o->op == 'w' ? 2 : 0;
    code |= o->user && !o->implicit ? 4 : 0;
    code |= why == ORACLE_RESERVED ? 8 : 0;
    code |= o->op == 'x' && (o->nxe || o->smep) ? 16 : 0;
    return code;
}

unsigned oracle_access_code(const struct oracle *o)
{
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
    int ad = bit(o->pkru, 2 * key);
    int wd = bit(o->pkru, 2 * key + 1);

    if (!o->pke || !path->u || o->op == 'x')
        return 0;
    return ad || (wd && o->op == 'w' && ((o->user && !o->implicit) || o->wp));
}

static int riscv_rights(const struct oracle *o, uint64_t leaf)
{
    int u = bit(leaf, 4);

    if (o->user ? !u : u && (!o->sum || o->op == 'x'))
        return 0;
    if (o->op == 'r')
        return bit(leaf, 1) || (o->mxr && bit(leaf, 3));
    return bit(leaf, o->op == 'w' ? 2 : 3);
}

int oracle_judge(const struct oracle *o, const struct oracle_path *path, uint64_t leaf,
                 unsigned *ret_code, uint64_t *ret_wanted)
{
    int a = o->family == 'x' ? 5 : 6;
    uint64_t wanted = leaf | (uint64_t)1 << a;

    if (o->op == 'w')
        wanted |= (uint64_t)1 << (a + 1);
    *ret_wanted = wanted;
    *ret_code = oracle_code(o, ORACLE_LEAF);
    if (o->family == 'x') {
        int key = x86_key_denies(o, path, leaf);

        *ret_code |= key ? 32 : 0;
        return !key && x86_rights(o, path);
    }
    /* Step 7, first scheme (Svade), if the second is not offered. */
    return riscv_rights(o, leaf) && (o->adue || wanted == leaf);
}

uint64_t oracle_passed(const struct oracle *o, uint64_t entry)
{
    return o->family == 'x' ? entry | 1 << 5 : entry;
}

uint64_t oracle_address(int level, uint64_t base, uint64_t va)
{
    return base | (va & (((uint64_t)1 << (12 + 9 * level)) - 1));
}

struct oracle_result oracle_walk(const struct oracle *o, uint64_t root, uint64_t va,
                                 int (*load)(void *ctx, uint64_t gpa, uint64_t *ret_value),
                                 void *ctx)
{
    struct oracle_result r = {.kind = ORACLE_PAGE_FAULT, .level = o->levels - 1};
    struct oracle_path path = {1, 1, 1, 0};
    uint64_t base = root;
    enum oracle_step step = ORACLE_TABLE;

    if (!oracle_canonical(o, va)) {
        r.kind = o->family == 'x' ? ORACLE_NONCANONICAL : ORACLE_PAGE_FAULT;
        r.code = o->family == 'x' ? 0 : oracle_code(o, ORACLE_ABSENT);
        return r;
    }
    for (int level = o->levels - 1; step == ORACLE_TABLE; level--) {
        r.level = level;
        r.at[level] = base + (va >> (12 + 9 * level) & (o->pae && level == 2 ? 3 : 511)) * 8;
        if (!load(ctx, r.at[level], &r.value[level])) {
            r.kind = ORACLE_ACCESS_FAULT;
            r.code = oracle_access_code(o);
            return r;
        }
        step = oracle_step(o, &path, level, r.value[level], &base);
    }
    if (step != ORACLE_LEAF) {
        r.absent = 1;
        r.code = oracle_code(o, step);
        return r;
    }
    {
        uint64_t wanted;

        if (!oracle_judge(o, &path, r.value[r.level], &r.code, &wanted))
            return r;
        r.value[r.level] = wanted;
    }
    for (int level = o->levels - 1; level > r.level; level--)
        if (!o->pae || level < 2) /* no PDPTE of PAE has an A bit */
            r.value[level] = oracle_passed(o, r.value[level]);
    r.kind = ORACLE_OK;
    r.code = 0;
    r.pa = oracle_address(r.level, base, va);
    return r;
}
