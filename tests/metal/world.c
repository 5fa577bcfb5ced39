/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <gnomon/paging.h>
#include <gnomon/x86_64.h>

#include <string.h>

#include "gn_test.h"

#define FRAMES      64u
#define DATA_LOW    0x900000u
#define DATA_HIGH   0xb00000u
#define DATA_FRAMES 32u

#define P  0x001u
#define W  0x002u
#define U  0x004u
#define A  0x020u
#define D  0x040u
#define PS 0x080u
#define G  0x100u
#define NX ((uint64_t)1 << 63)

static uint64_t below(struct world *w, uint64_t n)
{
    return gn_test_random(&w->rng) % n;
}

static int one_in(struct world *w, uint32_t n)
{
    return below(w, n) == 0;
}

static void *at(uint64_t gpa)
{
    return gn_x86_64_direct(gn_hpa(gpa));
}

uint64_t world_load(const struct world *w, uint64_t gpa)
{
    return w->entry_bytes == 8 ? *(volatile uint64_t *)at(gpa) : *(volatile uint32_t *)at(gpa);
}

void world_store(const struct world *w, uint64_t gpa, uint64_t value)
{
    if (w->entry_bytes == 8)
        *(volatile uint64_t *)at(gpa) = value;
    else
        *(volatile uint32_t *)at(gpa) = (uint32_t)value;
}

int world_is_slot(uint64_t gpa)
{
    return gpa % 8 == 0 && ((gpa >= DATA_LOW && gpa < DATA_LOW + DATA_FRAMES * GN_PAGE_SIZE) ||
                            (gpa >= DATA_HIGH && gpa < DATA_HIGH + DATA_FRAMES * GN_PAGE_SIZE));
}

uint32_t world_tag_of(uint64_t gpa)
{
    return 0xa5000000u ^ (uint32_t)gpa;
}

uint32_t world_tag(uint64_t gpa)
{
    uint32_t tag;

    memcpy(&tag, (uint8_t *)at(gpa) + 1, sizeof tag);
    return tag;
}

void world_tag_set(uint64_t gpa, uint32_t tag)
{
    memcpy((uint8_t *)at(gpa) + 1, &tag, sizeof tag);
}

static void data_fill(uint64_t first)
{
    for (uint64_t gpa = first; gpa < first + DATA_FRAMES * GN_PAGE_SIZE; gpa += 8) {
        static const uint8_t code[8] = {0xb8, 0, 0, 0, 0, 0x0f, 0x0b, 0x90};

        memcpy(at(gpa), code, sizeof code);
        world_tag_set(gpa, world_tag_of(gpa));
    }
}

int world_open(struct world *w, uint32_t format, uint64_t seed)
{
    struct gn_paging_geometry g;
    int rc = gn_paging_geometry(format, &g);

    if (!rc)
        rc = gn_x86_64_frames_claim(gn_hpa(WORLD_BASE), WORLD_BYTES >> GN_PAGE_SHIFT);
    if (rc)
        return rc;
    memset(w, 0, sizeof *w);
    w->rng = seed;
    w->format = format;
    w->levels = g.levels;
    w->entry_bytes = g.entry_bytes;
    w->phys_bits = gn_x86_64_phys_bits();
    memcpy(w->bits, g.level_bits, sizeof w->bits);
    memset(at(WORLD_BASE), 0, WORLD_BYTES);
    data_fill(DATA_LOW);
    data_fill(DATA_HIGH);
    return 0;
}

static uint32_t shift_of(const struct world *w, uint32_t level)
{
    uint32_t shift = 12;

    for (uint32_t i = 0; i < level; i++)
        shift += w->bits[i];
    return shift;
}

static uint64_t data_frame(struct world *w)
{
    return (one_in(w, 2) ? DATA_LOW : DATA_HIGH) + below(w, DATA_FRAMES) * GN_PAGE_SIZE;
}

/* A bit that this entry must not have: of the address above MAXPHYADDR, or below a large page's. */
static uint64_t reserved_bit(struct world *w, uint32_t level, int leaf)
{
    if (w->entry_bytes == 4)
        return leaf && level ? (uint64_t)1 << 21 : 0;
    if (leaf && level && one_in(w, 2) && shift_of(w, level) > 14)
        return (uint64_t)1 << (13 + below(w, shift_of(w, level) - 13 < 8 ? 1 : 8));
    if (w->phys_bits >= 52)
        return 0;
    return (uint64_t)1 << (w->phys_bits + below(w, 52 - w->phys_bits));
}

static uint64_t noise(struct world *w, uint64_t entry, uint32_t level, int leaf)
{
    entry |= one_in(w, 12) ? 0 : W;
    entry |= one_in(w, 10) ? 0 : U;
    entry |= one_in(w, 2) ? A : 0;
    entry |= leaf && one_in(w, 2) ? D : 0;
    entry |= leaf && w->globals && one_in(w, 3) ? G : 0;
    entry &= one_in(w, 50) ? ~(uint64_t)P : UINT64_MAX;
    if (w->entry_bytes == 8) {
        entry |= one_in(w, 24) ? NX : 0;
        entry |= leaf && w->levels >= 4 ? below(w, 4) << 59 : 0; /* keys 0 to 3 */
    }
    return one_in(w, w->entry_bytes == 8 ? 60 : 6) ? entry | reserved_bit(w, level, leaf) : entry;
}

/* May a leaf stand here? */
static int large(const struct world *w, uint32_t level)
{
    return level == 1 || (level == 2 && w->levels >= 4);
}

/*
 * A table in use. Not PAE's root: entries of other levels in there would have bits that a PDPTE
 * must not, which are a #GP at MOV to CR3 and no fault of an access (and QEMU 7.2 looks at none).
 */
static uint64_t somebodys(struct world *w)
{
    if (w->format == GN_PAGING_X86_PAE)
        return 1 + below(w, w->used - 1);
    return below(w, w->used);
}

static uint64_t entry_make(struct world *w, uint32_t level)
{
    const uint64_t mask = ((uint64_t)1 << shift_of(w, level)) - 1;

    if (w->format == GN_PAGING_X86_PAE && level == 2) {
        const uint64_t table = WORLD_BASE + (uint64_t)w->used++ * GN_PAGE_SIZE;

        return w->used > 2 && one_in(w, 16) ? table : table | P;
    }
    if (level == 0)
        return noise(w, data_frame(w) | P, level, 1);
    if ((large(w, level) && one_in(w, 4)) || w->used == WORLD_TABLES) {
        if (large(w, level))
            return noise(w, (data_frame(w) & ~mask) | P | PS, level, 1);
        return 0;
    }
    /* A large page where there is none is a reserved bit. */
    if (one_in(w, 100) && !large(w, level))
        return noise(w, WORLD_BASE | P | PS, level, 0);
    if (one_in(w, 12)) /* somebody's table already, of this level or another */
        return noise(w, (WORLD_BASE + somebodys(w) * GN_PAGE_SIZE) | P, level, 0);
    return noise(w, (WORLD_BASE + (uint64_t)w->used++ * GN_PAGE_SIZE) | P, level, 0);
}

static uint64_t table_of(uint64_t entry)
{
    return entry & (((uint64_t)1 << 36) - 1) & ~GN_PAGE_MASK;
}

/* Where the entry of an address lies, made up to a level; 0 if the way ends above. */
static uint64_t entry_at(struct world *w, uint64_t gva, uint32_t level)
{
    uint64_t table = WORLD_BASE;

    for (uint32_t l = w->levels - 1;; l--) {
        const uint64_t index = gva >> shift_of(w, l) & (((uint64_t)1 << w->bits[l]) - 1);
        const uint64_t gpa = table + index * w->entry_bytes;
        uint64_t entry = world_load(w, gpa);

        if (w->levels >= 4 && l == w->levels - 1 && index == WORLD_PLATFORM)
            return 0;
        if (!entry) {
            entry = entry_make(w, l);
            world_store(w, gpa, entry);
        }
        if (l == level)
            return gpa;
        if (!(entry & P) || (entry & PS && l) ||
            table_of(entry) - WORLD_BASE >= WORLD_TABLES * GN_PAGE_SIZE)
            return 0;
        table = table_of(entry);
    }
}

/* Few indices at each level, so that the addresses share tables. */
static uint64_t random_place(struct world *w)
{
    uint64_t gva = 0;

    for (uint32_t l = 0; l < w->levels; l++) {
        const uint64_t last = ((uint64_t)1 << w->bits[l]) - 1;
        const uint64_t index[] = {0, 1, last / 2, last / 2 + 1, last - 1};

        gva |= index[below(w, 5)] << shift_of(w, l);
    }
    if (w->levels >= 4) {
        const uint32_t unused = 64 - shift_of(w, w->levels - 1) - w->bits[w->levels - 1];

        gva = (uint64_t)((int64_t)(gva << unused) >> unused);
    }
    return gva;
}

/* Index 2, which no random place has: of the root, or where that has few, below its first entry. */
static uint32_t window_level(const struct world *w)
{
    return w->format == GN_PAGING_X86_PAE ? 1 : w->levels - 1;
}

uint64_t world_window(const struct world *w, uint64_t gpa)
{
    return ((uint64_t)2 << shift_of(w, window_level(w))) + (gpa - WORLD_BASE);
}

static void window_make(struct world *w)
{
    uint64_t next = WORLD_BASE + WORLD_TABLES * GN_PAGE_SIZE;
    uint64_t entry = entry_at(w, world_window(w, WORLD_BASE), window_level(w));

    memset(at(next), 0, window_level(w) * GN_PAGE_SIZE);
    for (uint32_t l = window_level(w); l; l--, next += GN_PAGE_SIZE) {
        world_store(w, entry, next | A | W | P);
        entry = next;
    }
    for (uint64_t i = 0; i < WORLD_TABLES; i++)
        world_store(w, entry + i * w->entry_bytes, (WORLD_BASE + i * GN_PAGE_SIZE) | D | A | W | P);
}

void world_make(struct world *w)
{
    memset(at(WORLD_BASE), 0, WORLD_TABLES * GN_PAGE_SIZE);
    w->used = 1;
    w->globals = one_in(w, 2);
    if (w->format == GN_PAGING_X86_PAE) /* the switch page is in there: PDPTE 0 comes and stays */
        entry_at(w, 0, 2);
    for (uint32_t i = 0; i < WORLD_PLACES; i++) {
        w->place[i] = random_place(w);
        entry_at(w, w->place[i], 0);
    }
    window_make(w);
    if (w->levels >= 4)
        gn_x86_64_root_adopt(at(WORLD_BASE));
}

uint64_t world_change(struct world *w, uint64_t *ret_value)
{
    const uint64_t bit[] = {P, W, U, A, D, A | D, NX, (uint64_t)1 << 59};
    const uint64_t gva = w->place[below(w, WORLD_PLACES)];
    const uint64_t gpa = entry_at(w, gva, (uint32_t)below(w, w->levels));
    uint64_t flip = bit[below(w, 8)];

    if (!gpa || !world_load(w, gpa)) /* of nothing, P makes a way to frame 0 */
        return 0;
    if (w->entry_bytes == 4)
        flip &= 0xff;
    if (w->format == GN_PAGING_X86_PAE && gpa < WORLD_BASE + 32)
        flip &= gpa == WORLD_BASE ? 0 : P;
    *ret_value = world_load(w, gpa) ^ flip;
    return gpa;
}

uint64_t world_address(struct world *w)
{
    const uint64_t gva = w->place[below(w, WORLD_PLACES)];

    return (one_in(w, 16) ? gva ^ GN_PAGE_SIZE : gva) | below(w, 512) * 8;
}

uint64_t world_aim(struct world *w, uint64_t gva, uint32_t shift)
{
    const uint64_t mask = ((uint64_t)1 << shift) - 1;

    return (gva & ~mask) | (data_frame(w) & mask) | (gva & GN_PAGE_MASK & mask);
}
