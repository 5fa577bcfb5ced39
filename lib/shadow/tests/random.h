/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_RANDOM_H
#define GN_TEST_RANDOM_H

/*
 * What the guest of a random run does next: addresses, entries, places in its tables. Most of it
 * makes sense, as most of what a guest does.
 */

#include "situations.h"

#define ROOT_PAGES 4u
#define POOL_FIRST 32u  /* page numbers: tables that the guest edits */
#define POOL_PAGES 12u  /* divisible by the levels below any root */
#define POOL_FAR   576u /* from there to more of them, where a large page may be free of tables */
#define DATA_FIRST 64u
#define LINEAR     3u /* index in every root table of the map of all memory */
#define HELD       4u
#define RECENT     64u
#define OLDS_MANY  16u
#define SWITCHED                                                                             \
    (GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_SMEP | GN_PAGING_X86_SMAP |        \
     GN_PAGING_X86_PKE | GN_PAGING_RISCV_MXR | GN_PAGING_AARCH64_HA | GN_PAGING_AARCH64_HD | \
     GN_PAGING_AARCH64_WXN | GN_PAGING_AARCH64_EPAN | GN_PAGING_AARCH64_EPD1)

struct run {
    struct machine *m;
    uint64_t random;
    uint64_t root_page[ROOT_PAGES];
    uint32_t held[HELD];     /* root ids */
    uint32_t dynamic;        /* id of a slot that comes and goes, or UINT32_MAX */
    uint64_t worked[RECENT]; /* addresses at which an access succeeded */
    uint32_t completed;
    uint32_t stored;
    uint32_t filled;
    uint32_t outcomes[8];
    int dirty; /* slots are logged */
    uint32_t harvested;
};

static inline uint64_t next(struct run *r)
{
    r->random ^= r->random >> 12;
    r->random ^= r->random << 25;
    r->random ^= r->random >> 27;
    return r->random * 0x2545f4914f6cdd1dull >> 11;
}

static inline uint32_t below(struct run *r, uint32_t n)
{
    return (uint32_t)(next(r) % n);
}

/* ---- What the guest writes --------------------------------------------------------------------
 */

/* An index in a table at a level of the guest's; the last one of a shorter table is LINEAR. */
static inline uint32_t index_any(struct run *r, uint32_t level)
{
    static const uint32_t few[] = {0, 1, 2, UINT32_MAX};
    uint32_t bits = level < r->m->geometry.levels ? r->m->geometry.level_bits[level] : 9;
    uint32_t entries = 1u << bits;

    return (below(r, 64) ? few[below(r, 4)] : below(r, entries)) & (entries - 1);
}

static inline uint64_t gva_any(struct run *r)
{
    struct machine *m = r->m;
    uint64_t gva = 0;
    uint32_t sign = 64 - m->geometry.va_bits;

    if (below(r, 200) == 0)
        return next(r) << 11 ^ next(r);
    for (uint32_t level = 0; level < m->geometry.levels; level++)
        gva |= (uint64_t)index_any(r, level) << guest_shift(m, level);
    gva |= below(r, 4096);
    if (m->geometry.roots == 2 && below(r, 2))
        gva |= (uint64_t)1 << (m->geometry.va_bits - 1);
    /* An address of the shadow's width, and perhaps not of the guest's. */
    if (below(r, 12) == 0) {
        for (uint32_t level = m->geometry.levels; level < m->shadow.levels; level++)
            gva |= (uint64_t)index_any(r, level) << (GN_PAGE_SHIFT + 9 * level);
        sign = 64 - m->shadow.va_bits;
    } else if (m->geometry.va_bits == 32) {
        return gva;
    } else if (m->geometry.levels > m->shadow.levels && below(r, 4)) {
        sign = 64 - m->shadow.va_bits;
    }
    return (uint64_t)((int64_t)(gva << sign) >> sign);
}

static inline uint64_t pool_page(struct run *r)
{
    uint32_t number = POOL_FIRST + below(r, POOL_PAGES) + (below(r, 6) ? 0 : POOL_FAR);

    return (uint64_t)number << GN_PAGE_SHIFT;
}

/* Pages of tables, data, other RAM, a device, ROM, a slot that comes and goes, a hole. */
static inline uint64_t page_any(struct run *r)
{
    switch (below(r, 10)) {
    case 0:
    case 1:
    case 2: return pool_page(r);
    case 3: return r->root_page[below(r, ROOT_PAGES)];
    case 4: return ((uint64_t)4 << 20) + GN_PAGE_SIZE * below(r, 515);
    case 5: return ((uint64_t)8 << 20) + GN_PAGE_SIZE * below(r, 18);
    case 6: return ((uint64_t)10 << 20) + GN_PAGE_SIZE * below(r, 512);
    case 7: return ((uint64_t)32 << 20) + GN_PAGE_SIZE * below(r, 512);
    case 8: return (uint64_t)below(r, 1 << 14) << GN_PAGE_SHIFT;
    default: return (uint64_t)(DATA_FIRST + below(r, 64)) << GN_PAGE_SHIFT;
    }
}

static inline int is_aarch64(const struct run *r)
{
    return r->m->guest == GN_PAGING_AARCH64_4K;
}

static inline uint32_t permissions_any(struct run *r)
{
    static const uint32_t kinds[] = {
        KERNEL,      USER,
        USER,        KERNEL,
        GN_PAGING_R, GN_PAGING_R | GN_PAGING_U,
        GN_PAGING_X, KERNEL & ~GN_PAGING_X,
    };

    return kinds[below(r, 8)] | (below(r, 8) ? GN_PAGING_A : 0) | (below(r, 3) ? GN_PAGING_D : 0) |
           (below(r, 4) ? 0 : GN_PAGING_G) | (is_aarch64(r) && below(r, 2) ? GN_PAGING_UX : 0);
}

/* A page that serves as a table of this level, mostly: guests are orderly, mostly. */
static inline uint64_t table_page(struct run *r, uint32_t level)
{
    uint32_t step = r->m->geometry.levels - 1;
    uint64_t page = pool_page(r) >> GN_PAGE_SHIFT;

    return (page - (page - POOL_FIRST) % step + level) << GN_PAGE_SHIFT;
}

/* Level of the table that a page usually is. */
static inline uint32_t level_of(struct run *r, uint64_t page)
{
    uint32_t top = r->m->geometry.levels - 1;
    uint64_t number = page >> GN_PAGE_SHIFT;

    return number < POOL_FIRST ? top : (uint32_t)((number - POOL_FIRST) % top);
}

static inline uint64_t table_any(struct run *r, uint32_t level)
{
    uint32_t bits = below(r, 4) ? OPEN : permissions_any(r);
    uint64_t gpa = below(r, 8) && level ? table_page(r, level - 1) : pool_page(r);

    return encode(r->m, level ? level : 1, GN_PAGING_ENTRY_TABLE, below(r, 32) ? gpa : page_any(r),
                  (bits & ~AD) | (below(r, 2) ? GN_PAGING_A : 0));
}

/* An entry for a place in a table: mostly one that makes sense there. */
static inline uint64_t entry_any(struct run *r, uint64_t place)
{
    struct machine *m = r->m;
    uint32_t level = level_of(r, place & ~GN_PAGE_MASK);
    uint32_t kind = below(r, 32);
    struct gn_paging_entry e = {.kind = GN_PAGING_ENTRY_LEAF, .permissions = permissions_any(r)};
    static const uint32_t keys[] = {0, 0, 1, 15};
    uint64_t value = 0;

    if (kind < 3)
        return kind ? next(r) << 1 : 0;
    if (kind < 4)
        return next(r) | 1;
    if (kind < 6)
        level = below(r, m->geometry.levels);
    if (kind < 28 && level)
        return table_any(r, level);
    /* A superpage here and there with low bits set: reserved, or another size's address. */
    e.address = page_any(r) & ~(guest_span(m, level) - 1);
    if (has_keys(m->guest))
        e.attributes = GN_PAGING_X86_KEY(keys[below(r, 4)]);
    if (is_aarch64(r) && below(r, 2))
        e.attributes = GN_PAGING_AARCH64_DBM;
    if (gn_paging_entry_encode(m->guest, level, &e, &value))
        return table_any(r, level);
    return below(r, 64) ? value : value | (uint64_t)below(r, 4096) << 12;
}

/* ---- Operations
 * ----------------------------------------------------------------------------------- */

static inline int wide(const struct run *r)
{
    return r->m->geometry.levels > r->m->shadow.levels;
}

/* Roots have a frame each beside their tables. */
static inline int seamed(const struct run *r)
{
    const struct gn_paging_geometry *g = &r->m->geometry;

    return g->levels + (g->roots == 2) > r->m->shadow.levels;
}

/* The entry of every root table that is never edited: the way to the map of all memory. */
static inline uint32_t kept(const struct run *r)
{
    return wide(r) ? 0 : LINEAR;
}

static inline uint64_t linear(const struct run *r, uint64_t gpa)
{
    if (wide(r))
        return ((uint64_t)1 << (r->m->shadow.va_bits - 2)) + gpa;
    return ((uint64_t)LINEAR << guest_shift(r->m, r->m->geometry.levels - 1)) + gpa;
}

/* Where an edit goes: the map of all memory stays, or the guest could write nothing at all. */
static inline uint64_t edit_place(struct run *r)
{
    struct machine *m = r->m;
    uint32_t index = below(r, 8) ? index_any(r, 0) : below(r, 512);

    if (below(r, 5))
        return nth(m, pool_page(r), index);
    /* Wide: the table of the lower half, at the MMU's topmost level; the map is in its middle. */
    if (wide(r) && below(r, 2))
        return nth(m, guest_entry(m, r->root_page[0], 0, m->shadow.levels - 1),
                   index_any(r, 0) & 3);
    index = index_any(r, m->geometry.levels - 1);
    return nth(m, r->root_page[below(r, ROOT_PAGES)], index == kept(r) ? 1 : index);
}

static inline int hits_linear(const struct run *r, uint64_t gpa, uint64_t length)
{
    for (uint32_t i = 0; i < ROOT_PAGES; i++) {
        uint64_t entry = nth(r->m, r->root_page[i], kept(r));

        if (gpa < nth(r->m, entry, 1) && entry < gpa + length)
            return 1;
    }
    return 0;
}

#endif /* GN_TEST_RANDOM_H */
