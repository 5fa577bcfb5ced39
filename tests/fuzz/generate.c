/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzz.h"

/* The guest: what it writes and where it goes. Orderly for the most part, as guests are. */

uint64_t dice_next(struct dice *d)
{
    uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t dice_below(struct dice *d, uint32_t n)
{
    return (uint32_t)(dice_next(d) >> 16) % n;
}

uint64_t space_root(uint32_t space)
{
    static const uint64_t elsewhere[] = {SLOT_TABLES + 4 * GN_PAGE_SIZE, DEVICES, NOWHERE};

    if (space >= ORDERLY)
        return elsewhere[(space - ORDERLY) % 3];
    return (1 + space % ROOT_PAGES) * GN_PAGE_SIZE;
}

uint64_t space_root_high(uint32_t space)
{
    return space_root((space * 2 + 1) % BARE);
}

static uint32_t index_any(const struct world *w, struct dice *d)
{
    static const uint32_t few[] = {0, 1, 2, UINT32_MAX};
    uint32_t entries = 1u << w->guest.bits;

    return (dice_below(d, 64) ? few[dice_below(d, 4)] : dice_below(d, entries)) & (entries - 1);
}

uint32_t index_at(const struct world *w, int level, uint64_t gva)
{
    return (uint32_t)(oracle_at(&w->guest, level, 0, gva) / (uint32_t)w->bytes);
}

static uint64_t sign_extend(uint64_t gva, uint32_t bits)
{
    return (uint64_t)((int64_t)(gva << (64 - bits)) >> (64 - bits));
}

static uint32_t guest_bits(const struct world *w)
{
    if (w->bytes == 4 || w->guest.pae)
        return 32;
    return 12 + 9 * (uint32_t)w->levels + (uint32_t)w->arm;
}

uint64_t gva_any(const struct world *w, struct dice *d)
{
    uint64_t gva = dice_below(d, 4096);

    if (dice_below(d, 100) == 0)
        return dice_next(d);
    for (int level = 0; level < w->levels; level++)
        gva |= (uint64_t)index_any(w, d) << oracle_shift(&w->guest, level);
    gva |= w->arm ? (uint64_t)dice_below(d, 2) << 48 : 0;
    /* What the MMU can be asked for, mostly. */
    if ((w->wide || w->arm) && dice_below(d, 4))
        return sign_extend(gva, 12 + 9 * (uint32_t)w->shadow_levels);
    if (guest_bits(w) == 32 && dice_below(d, 16))
        return gva & UINT32_MAX;
    if (dice_below(d, 16))
        return sign_extend(gva, guest_bits(w));
    /* An address of the shadow's width, which may not be the guest's. */
    for (int level = w->levels; level < w->shadow_levels; level++)
        gva |= (uint64_t)index_any(w, d) << (12 + 9 * level);
    return sign_extend(gva, 12 + 9 * (uint32_t)w->shadow_levels);
}

uint64_t linear(const struct world *w, uint64_t gpa)
{
    if (w->wide)
        return ((uint64_t)1 << (12 + 9 * w->shadow_levels - 2)) + gpa;
    return ((uint64_t)LINEAR << oracle_shift(&w->guest, w->levels - 1)) + gpa;
}

uint64_t linear_of(const struct world *w, uint32_t vcpu, uint64_t gpa)
{
    return w->vcpu[vcpu].space == BARE ? gpa : linear(w, gpa);
}

uint64_t wide_table(const struct world *w)
{
    return (1 + ROOT_PAGES + (uint32_t)(w->levels - w->shadow_levels - 1)) * GN_PAGE_SIZE;
}

/* A few tables lie in the slots that come and go, or where large pages are mapped. */
static uint64_t pool_page(const struct world *w, struct dice *d, uint32_t level)
{
    uint32_t step = (uint32_t)w->levels - 1;
    uint32_t i = dice_below(d, w->c.calm ? 2 * step : POOL_PAGES);

    i = i - i % step + level;
    if (w->c.calm)
        return (POOL_FIRST + i) * GN_PAGE_SIZE;
    switch (dice_below(d, 32)) {
    case 0: return SLOT_TABLES + i * GN_PAGE_SIZE;
    case 1: return FAR_TABLES + i * GN_PAGE_SIZE;
    default: return (POOL_FIRST + i) * GN_PAGE_SIZE;
    }
}

uint64_t page_any(struct dice *d)
{
    switch (dice_below(d, 14)) {
    case 0:
    case 1:
    case 2: return (POOL_FIRST + dice_below(d, POOL_PAGES)) * GN_PAGE_SIZE;
    case 3: return space_root(dice_below(d, ROOT_PAGES));
    case 4:
    case 5: return SLOT_TABLES + dice_below(d, 26) * GN_PAGE_SIZE;
    case 6: return DEVICES + dice_below(d, 5) * GN_PAGE_SIZE;
    case 7: return dice_below(d, 1600) * GN_PAGE_SIZE;
    case 8:
    case 9: return FAR_TABLES + dice_below(d, 128) * GN_PAGE_SIZE;
    default: return (DATA_FIRST + dice_below(d, DATA_PAGES)) * GN_PAGE_SIZE;
    }
}

/* Bits of an entry but its address: SDM tables 4-14 to 4-20, RISC-V §4.3.1. */
static uint64_t bits_x86(struct dice *d, int leaf, uint32_t level)
{
    uint64_t bits = 1 | (leaf && level ? 0x80 : 0);

    bits |= dice_below(d, 4) ? 2 : 0;
    bits |= dice_below(d, 4) ? 4 : 0;
    bits |= dice_below(d, 3) ? 0x20 : 0;
    bits |= leaf && dice_below(d, 3) ? 0x40 : 0;
    bits |= leaf && dice_below(d, 8) == 0 ? 0x100 : 0;
    bits |= dice_below(d, 6) ? 0 : UINT64_C(1) << 63;
    return bits;
}

/* Entries of 4 bytes have no XD, and PDPTEs nothing but P. */
static uint64_t bits_x86_short(const struct world *w, struct dice *d, int leaf, uint32_t level)
{
    if (w->guest.pae && level == 2)
        return dice_below(d, 16) ? 1 : 3;
    return bits_x86(d, leaf, level) & (w->bytes == 4 ? UINT32_MAX : UINT64_MAX);
}

/* Arm DDI 0487 D8.3. */
static uint64_t bits_arm(struct dice *d, int leaf, uint32_t level)
{
    uint64_t bits = 1 | (leaf && level ? 0 : 2);

    if (!leaf) /* APTable, PXNTable, UXNTable */
        return bits | (dice_below(d, 4) ? 0 : (uint64_t)dice_below(d, 16) << 59);
    bits |= dice_below(d, 2) ? 1 << 6 : 0;
    bits |= dice_below(d, 3) ? 0 : 1 << 7;
    bits |= dice_below(d, 6) ? 1 << 10 : 0;
    bits |= dice_below(d, 8) ? 1 << 11 : 0;
    bits |= (uint64_t)dice_below(d, 2) << 51;
    bits |= dice_below(d, 3) ? 0 : (uint64_t)dice_below(d, 4) << 53;
    bits |= (uint64_t)dice_below(d, 32) << 2 & 0x1c; /* which memory it is, is no matter */
    return bits;
}

static uint64_t bits_riscv(struct dice *d, int leaf)
{
    static const uint64_t rwx[] = {6, 0xe, 0xe, 0xe, 2, 8, 0xa, 6};
    uint64_t bits = 1 | (dice_below(d, 16) ? 0 : 0x20);

    if (!leaf)
        return bits;
    bits |= rwx[dice_below(d, 8)];
    bits |= dice_below(d, 2) ? 0x10 : 0;
    bits |= dice_below(d, 5) ? 0x40 : 0;
    bits |= dice_below(d, 3) ? 0x80 : 0;
    return bits;
}

/* Level of the table that a page usually is. */
static uint32_t level_of(const struct world *w, uint64_t page)
{
    uint32_t step = (uint32_t)w->levels - 1;
    uint64_t number = page >> GN_PAGE_SHIFT;

    if (w->wide && page >> GN_PAGE_SHIFT == wide_table(w) >> GN_PAGE_SHIFT)
        return (uint32_t)w->shadow_levels - 1;
    if (page >= FAR_TABLES)
        return (uint32_t)(number % (FAR_TABLES >> GN_PAGE_SHIFT)) % step;
    return number < POOL_FIRST ? step : (uint32_t)(number - POOL_FIRST) % step;
}

uint64_t entry_any(const struct world *w, struct dice *d, uint64_t place)
{
    uint32_t level = level_of(w, place);
    uint32_t kind = dice_below(d, w->c.calm ? 128 : 32);
    int leaf;
    uint64_t address;

    if (kind < 4)
        return kind ? dice_next(d) << 1 : 0;
    if (kind == 4)
        return dice_next(d) | 1;
    leaf = level == 0 || dice_below(d, w->c.calm ? 64 : 8) == 0;
    address = leaf ? page_any(d) : pool_page(w, d, level - 1);
    if (!leaf && dice_below(d, 32) == 0)
        address = page_any(d);
    if (leaf && dice_below(d, 32)) /* superpages are aligned, mostly */
        address = address >> oracle_shift(&w->guest, (int)level)
                                 << oracle_shift(&w->guest, (int)level);
    if (w->x86)
        return address | bits_x86_short(w, d, leaf, level);
    if (w->arm)
        return address | bits_arm(d, leaf, level);
    return address >> 2 | bits_riscv(d, leaf);
}

uint64_t edit_place(const struct world *w, struct dice *d)
{
    uint32_t bytes = (uint32_t)w->bytes;
    uint32_t index = dice_below(d, 8) ? index_any(w, d) : dice_below(d, GN_PAGE_SIZE / bytes);

    if (dice_below(d, 6))
        return pool_page(w, d, dice_below(d, (uint32_t)w->levels - 1)) + bytes * index;
    if (w->wide && dice_below(d, 2))
        return wide_table(w) + bytes * (index & 3);
    if (w->guest.pae)
        index &= 3;
    return space_root(dice_below(d, ROOT_PAGES)) + bytes * index;
}

/* An entry on the way of an address that was used: what is cached of it is worth looking at. */
static uint64_t place_used(const struct world *w, struct dice *d)
{
    struct world *world = (struct world *)(uintptr_t)w;
    struct oracle_result r =
        model_fresh(world, dice_below(d, VCPUS), worked_at(dice_below(d, 64)), GN_ACCESS_READ);
    int level = r.level;

    /* No entry was passed at an address that is none. */
    if (!r.at[level])
        return edit_place(w, d);
    while (level < w->levels - 1 && dice_below(d, 4) == 0)
        level++;
    return r.at[level] < GUEST_BYTES - 16 ? r.at[level] : edit_place(w, d);
}

/* ---- Operations --------------------------------------------------------------------------- */

static void generate_access(const struct world *w, struct dice *d, struct op *op)
{
    op->kind = OP_ACCESS;
    op->a = dice_below(d, GN_ACCESS_KINDS) | (dice_below(d, 2) ? GN_PAGING_AS_USER : 0);
    op->x = dice_below(d, w->c.calm ? 6 : 3) ? worked_at(dice_below(d, 64)) ^ dice_below(d, 4096)
                                             : gva_any(w, d);
    if (dice_below(d, 12) == 0)
        op->x = linear_of(w, op->vcpu, page_any(d));
    if (w->x86 && (op->a & GN_PAGING_ACCESS_KIND) != GN_ACCESS_EXEC && dice_below(d, 16) == 0)
        op->a |= GN_PAGING_IMPLICIT;
}

/* Every form of write: whole entries, parts and halves of them, across entries and pages. */
static void place_value(const struct world *w, struct dice *d, struct op *op, uint64_t place)
{
    op->a = (uint32_t)w->bytes;
    op->y = entry_any(w, d, place);
    op->z = entry_any(w, d, place);
    if (w->bytes == 4) {
        op->y |= entry_any(w, d, place) << 32;
        op->z |= entry_any(w, d, place) << 32;
    }
    switch (dice_below(d, 16)) {
    case 0: op->a = 1 + dice_below(d, 16), place += dice_below(d, 16); break;
    case 1: place += dice_below(d, 8); break;
    case 2: place = (place & ~GN_PAGE_MASK) + 4088 + dice_below(d, 8); break;
    case 3: op->a = 16; break;
    case 4: place = (place & ~GN_PAGE_MASK) + 4088, op->a = 16; break;
    case 5:
    case 6: op->a = 4, place += 4 * (uint64_t)dice_below(d, 2); break;
    default: break;
    }
    if (op->a == 4 && place & 4)
        op->y >>= 32;
    op->x = place;
}

/* One address space comes to share a part of another's, at the same addresses: a fork, nearly. */
static int generate_share(const struct world *w, struct dice *d, struct op *op)
{
    struct world *world = (struct world *)(uintptr_t)w;
    uint64_t gva = worked_at(dice_below(d, 64));
    uint32_t to = dice_below(d, VCPUS);
    struct oracle_result a = model_fresh(world, (to + 1) % VCPUS, gva, GN_ACCESS_READ);
    struct oracle_result b = model_fresh(world, to, gva, GN_ACCESS_READ);
    int level = 1 + (int)dice_below(d, (uint32_t)w->levels - 1);

    if (a.kind != ORACLE_OK || a.level > level || b.level > level || !b.at[level] ||
        b.at[level] >= GUEST_BYTES - 16)
        return 0;
    op->kind = OP_STORE;
    op->a = (uint32_t)w->bytes;
    op->x = linear_of(w, op->vcpu, b.at[level]);
    op->y = dice_below(d, 3) ? a.value[level] : 0;
    return 1;
}

static void generate_store(const struct world *w, struct dice *d, struct op *op)
{
    uint64_t place = dice_below(d, 3) ? edit_place(w, d) : place_used(w, d);

    if (dice_below(d, 4) == 0 && generate_share(w, d, op))
        return;
    op->kind = OP_STORE;
    if (dice_below(d, 10) == 0)
        place = page_any(d) % GUEST_BYTES + 8 * (uint64_t)dice_below(d, 512);
    place_value(w, d, op, place);
    if (dice_below(d, 12) == 0) {
        op->b = dice_below(d, 2);
        op->x = worked_at(dice_below(d, 64)) ^ (op->x & GN_PAGE_MASK);
    } else {
        op->x = linear_of(w, op->vcpu, op->x);
    }
}

/* What a guest may do to be rid of us: tables within themselves, and everything in one page. */
static void generate_hostile(const struct world *w, struct dice *d, struct op *op)
{
    uint32_t step = (uint32_t)w->levels - 1;
    uint64_t table = pool_page(w, d, dice_below(d, step));
    uint64_t bits = w->x86 ? 0x27 : w->arm ? 3 : 1;
    uint32_t bytes = (uint32_t)w->bytes;
    uint64_t target = page_any(d);

    op->kind = OP_FILL;
    op->b = dice_below(d, 3);
    op->x = table + bytes * index_any(w, d);
    op->a = dice_below(d, 4) ? dice_below(d, 8) : dice_below(d, RUN_MAX);
    switch (dice_below(d, 6)) {
    case 0: /* a table that is its own child, or its parent's parent */
        target = dice_below(d, 2) ? table : space_root(dice_below(d, ROOT_PAGES));
        op->a = 0;
        break;
    case 1: /* a root that maps itself */
        target = space_root(dice_below(d, ROOT_PAGES));
        op->x = target + bytes * (4 + dice_below(d, GN_PAGE_SIZE / bytes - 4));
        op->a = 0;
        break;
    case 2: /* tables that are pages of others */
        target = pool_page(w, d, dice_below(d, step));
        break;
    case 3: /* data comes into what was a table */
        op->y = dice_next(d);
        op->z = dice_next(d);
        return;
    default: /* one page, or many, mapped all over a table */
        bits = dice_below(d, 2) ? 0x67 : 0x7;
        if (!w->x86)
            bits = w->arm ? bits_arm(d, 1, 0) : dice_below(d, 2) ? 0xdf : 0x5f;
        op->z = dice_below(d, 2) ? 0 : w->guest.family == 'r' ? GN_PAGE_SIZE >> 2 : GN_PAGE_SIZE;
        break;
    }
    op->y = (w->guest.family == 'r' ? target >> 2 : target) | bits;
}

/* A bit of the controls that the guest changes. */
uint32_t control_any(const struct world *w, struct dice *d)
{
    static const uint32_t x86[] = {GN_PAGING_X86_WP,   GN_PAGING_X86_NXE, GN_PAGING_X86_SMEP,
                                   GN_PAGING_X86_SMAP, GN_PAGING_X86_AC,  GN_PAGING_X86_AC,
                                   GN_PAGING_X86_1G};
    static const uint32_t riscv[] = {GN_PAGING_RISCV_SUM, GN_PAGING_RISCV_MXR, GN_PAGING_RISCV_SUM,
                                     GN_PAGING_RISCV_MXR, GN_PAGING_RISCV_ADUE};
    static const uint32_t arm[] = {GN_PAGING_AARCH64_PAN,  GN_PAGING_AARCH64_PAN,
                                   GN_PAGING_AARCH64_HD,   GN_PAGING_AARCH64_HA,
                                   GN_PAGING_AARCH64_WXN,  GN_PAGING_AARCH64_EPAN,
                                   GN_PAGING_AARCH64_EPD1, GN_PAGING_AARCH64_TBI0};

    if (w->bytes == 4 && dice_below(d, 4) == 0)
        return GN_PAGING_X86_PSE;
    if (w->arm)
        return arm[dice_below(d, 8)];
    return w->x86 ? x86[dice_below(d, 7)] : riscv[dice_below(d, 5)];
}

static void generate_rare(const struct world *w, struct dice *d, struct op *op)
{
    static const uint32_t kinds[] = {GN_SHADOW_SLOT_RAM, GN_SHADOW_SLOT_RAM, GN_SHADOW_SLOT_ROM,
                                     GN_SHADOW_SLOT_MMIO, NO_SLOT};

    switch (dice_below(d, 26)) {
    case 24:
    case 25:
        op->kind = OP_WATCH;
        op->a = dice_below(d, 3) != 0;
        op->x = page_any(d);
        break;
    case 0:
        op->kind = OP_SLOT;
        op->a = DYNAMIC + 1 + dice_below(d, 2);
        op->b = kinds[dice_below(d, 5)];
        if (dice_below(d, 6) == 0)
            op->a = DYNAMIC;
        break;
    case 1:
    case 2:
        op->kind = OP_REVOKE;
        op->x = page_any(d);
        op->a = 1 + dice_below(d, 3);
        break;
    case 3: op->kind = OP_FORGET; break;
    case 4:
    case 5:
    case 6:
    case 7:
        op->kind = OP_CONTROL;
        op->a = control_any(w, d);
        break;
    case 8:
    case 9:
        op->kind = OP_DMA;
        place_value(w, d, op, edit_place(w, d));
        op->b = dice_below(d, 2);
        break;
    case 10:
        op->kind = OP_LOG;
        op->a = dice_below(d, 4);
        break;
    case 11:
    case 12:
    case 13:
        op->kind = OP_HARVEST;
        op->a = dice_below(d, 4);
        op->x = dice_below(d, 2) ? 0 : dice_next(d) >> 20;
        op->y = dice_next(d) >> 20;
        break;
    case 14:
        op->kind = OP_HOLD;
        op->a = dice_below(d, SPACES);
        op->b = control_any(w, d);
        break;
    case 15: generate_hostile(w, d, op); break;
    default:
        op->kind = OP_SWITCH;
        op->a = dice_below(d, dice_below(d, 4) ? ORDERLY : SPACES);
        op->b = dice_below(d, 4) == 0;
        op->y = dice_below(d, 2 * VCPUS);
        break;
    }
}

static void generate_flush(const struct world *w, struct dice *d, struct op *op)
{
    if (w->c.calm && dice_below(d, 8)) {
        op->kind = OP_FLUSH_SPACE;
        op->a = w->vcpu[op->vcpu].space;
        return;
    }
    switch (dice_below(d, 8)) {
    case 0: op->kind = dice_below(d, 3) ? OP_FLUSH_ALL : OP_BARRIER; break;
    case 1:
    case 2:
    case 3:
        op->kind = OP_FLUSH_SPACE;
        op->a = dice_below(d, 3) ? w->vcpu[op->vcpu].space : dice_below(d, SPACES);
        break;
    case 4:
        op->kind = w->x86 ? OP_INVPCID : OP_FLUSH_SPACE;
        op->a = w->x86 ? dice_below(d, 4) : dice_below(d, SPACES);
        op->b = dice_below(d, 3) ? w->vcpu[op->vcpu].space : dice_below(d, SPACES);
        op->x = dice_below(d, 2) ? worked_at(dice_below(d, 64)) : gva_any(w, d);
        break;
    default:
        op->kind = OP_FLUSH_ADDRESS;
        op->a = dice_below(d, 3) && !w->x86 ? SPACES : w->vcpu[op->vcpu].space;
        op->x = dice_below(d, 2) ? worked_at(dice_below(d, 64)) : gva_any(w, d);
        break;
    }
}

void generate(const struct world *w, struct dice *d, struct op *op)
{
    uint32_t what = dice_below(d, w->c.calm && dice_below(d, 8) ? 121 : 128);

    *op = (struct op){.vcpu = dice_below(d, VCPUS)};
    if (what < 82)
        generate_access(w, d, op);
    else if (what < 113)
        generate_store(w, d, op);
    else if (what < 121)
        generate_flush(w, d, op);
    else
        generate_rare(w, d, op);
}
