/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_GUEST_H
#define GN_TEST_GUEST_H

/* The guest's tables in the machine's RAM: building them, and what they say. */

#include "machine_setup.h"

/* ---- What the guest's tables say, now or since the last coherence point ---------------------- */

/* Where a walk may have ended. */
struct view {
    uint32_t kind; /* GN_PAGING_ENTRY_... of the entry that ended it */
    uint32_t level;
    uint32_t permissions; /* of all levels; A and D of the leaf */
    int tables_accessed;  /* x86: every table entry passed has A */
    uint32_t key;         /* of the leaf: x86, 4 and 5 levels */
    uint64_t entry;       /* where the entry lies */
    uint64_t gpa;
};

struct viewer {
    struct machine *m;
    const struct gn_shadow_root_key *key;
    struct gn_paging_context context; /* how the tables are read */
    struct gn_paging_context
        judge; /* how the access is judged: of another root, for a leaf with G */
    uint64_t gva;
    int (*match)(const struct viewer *v, const struct view *view);
    const void *wanted;
};

static inline int is_x86(uint32_t format)
{
    return format >= GN_PAGING_X86_32 && format <= GN_PAGING_X86_5LEVEL;
}

/* log2 of what a guest entry at a level maps. */
static inline uint32_t guest_shift(const struct machine *m, uint32_t level)
{
    uint32_t shift = GN_PAGE_SHIFT;

    while (level--)
        shift += m->geometry.level_bits[level];
    return shift;
}

static inline uint64_t guest_span(const struct machine *m, uint32_t level)
{
    return (uint64_t)1 << guest_shift(m, level);
}

/* Where the entry lies, in a table at a level, that translates gva. */
static inline uint64_t guest_place(const struct machine *m, uint64_t table, uint32_t level,
                                   uint64_t gva)
{
    uint64_t mask = ((uint64_t)1 << m->geometry.level_bits[level]) - 1;

    return table + (gva >> guest_shift(m, level) & mask) * m->geometry.entry_bytes;
}

/* The entry that comes n after this one. */
static inline uint64_t nth(const struct machine *m, uint64_t entry, uint64_t n)
{
    return entry + n * m->geometry.entry_bytes;
}

static inline uint64_t guest_read(struct machine *m, uint64_t entry)
{
    return ram_entry(m, entry, m->geometry.entry_bytes);
}

static inline void guest_write(struct machine *m, uint64_t entry, uint64_t value)
{
    ram_entry_set(m, entry, m->geometry.entry_bytes, value);
}

static inline int canonical(const struct gn_paging_geometry *g, uint64_t gva)
{
    uint32_t sign = 64 - g->va_bits;

    if (g->va_bits == 32)
        return gva >> 32 == 0;

    return (uint64_t)((int64_t)(gva << sign) >> sign) == gva;
}

/* Controls that may change while a root is in force: an x86 MMU is told of MXR by another root. */
static inline uint32_t judged(const struct machine *m)
{
    return is_x86(m->format) && !is_x86(m->guest) ? JUDGED & ~GN_PAGING_RISCV_MXR : JUDGED;
}

/* How the CPU walks the guest's tables while this root is loaded. */
static inline struct gn_paging_context guest_context(const struct machine *m, uint32_t root)
{
    const struct gn_shadow_root_key *key = &m->root_key[root];

    return (struct gn_paging_context){
        GN_PAGING_CONTEXT_INIT,
        .format = key->format,
        .root = key->table,
        .controls = (key->controls & ~judged(m)) | (m->controls & judged(m)),
        .phys_bits = key->phys_bits,
        .pkru = is_x86(m->format) ? m->pkru : key->pkru,
        .root_high = key->table_high};
}

static inline int has_keys(uint32_t format)
{
    return format == GN_PAGING_X86_4LEVEL || format == GN_PAGING_X86_5LEVEL;
}

/* SDM vol. 3A §4.6.2, on its own: does the key of a page forbid an access? */
static inline int key_denies(const struct gn_paging_context *c, uint32_t key, uint32_t permissions,
                             uint32_t access)
{
    int user = (access & (GN_PAGING_AS_USER | GN_PAGING_IMPLICIT)) == GN_PAGING_AS_USER;
    uint32_t kind = access & GN_PAGING_ACCESS_KIND;
    int no_access = c->pkru >> 2 * key & 1;
    int no_write = c->pkru >> (2 * key + 1) & 1;

    if (!(c->controls & GN_PAGING_X86_PKE) || !(permissions & GN_PAGING_U) ||
        kind == GN_ACCESS_EXEC)
        return 0;
    return no_access ||
           (no_write && kind == GN_ACCESS_WRITE && (user || c->controls & GN_PAGING_X86_WP));
}

/* What the guest's tables and controls say of an access. */
static inline int guest_allows(const struct gn_paging_context *c, const struct view *view,
                               uint32_t access)
{
    return gn_paging_allows(c, view->permissions & (GN_PAGING_RWXU | GN_PAGING_UX), access) &&
           !(has_keys(c->format) && key_denies(c, view->key, view->permissions, access));
}

static inline int view_from(const struct viewer *v, uint64_t table, uint32_t level,
                            uint32_t inherited, int accessed);

static inline int view_value(const struct viewer *v, struct view view, uint64_t value,
                             uint32_t inherited)
{
    uint32_t hands_down = v->m->geometry.inherited;
    struct gn_paging_entry e;

    assert_int_equal(gn_paging_entry_decode(&v->context, view.level, value, &e), 0);
    if (e.kind == GN_PAGING_ENTRY_TABLE) {
        int accessed =
            view.tables_accessed && (!is_x86(v->context.format) || e.permissions & GN_PAGING_A ||
                                     (v->context.format == GN_PAGING_X86_PAE && view.level == 2));

        return view_from(v, e.address, view.level - 1, inherited & (e.permissions | ~hands_down),
                         accessed);
    }
    view.kind = e.kind;
    view.permissions = e.permissions & (inherited | ~hands_down);
    view.key = has_keys(v->context.format) ? e.attributes >> GN_PAGING_X86_KEY_SHIFT & 15 : 0;
    view.gpa = e.address | (v->gva & (guest_span(v->m, view.level) - 1));
    return v->match(v, &view);
}

static inline int view_from(const struct viewer *v, uint64_t table, uint32_t level,
                            uint32_t inherited, int accessed)
{
    struct machine *m = v->m;
    uint64_t entry = guest_place(m, table, level, v->gva);
    uint32_t bytes = m->geometry.entry_bytes;
    struct view view = {.level = level, .entry = entry, .tables_accessed = accessed};

    if (entry >= RAM_BYTES)
        return 0;
    if (view_value(v, view, ram_entry(m, entry, bytes), inherited))
        return 1;
    for (uint32_t i = 0; i < m->olds; i++)
        if (m->old[i].gpa == (entry & ~(uint64_t)7) &&
            view_value(v, view, entry_in_word(m->old[i].value, entry, bytes), inherited))
            return 1;
    return 0;
}

/*
 * Is there a state of the tables since the last coherence point in which a walk matches? Through
 * one root, under the controls of another.
 */
static inline int view_through(struct machine *m, uint32_t root, uint32_t judge, uint64_t gva,
                               int (*match)(const struct viewer *, const struct view *),
                               const void *wanted)
{
    const struct gn_shadow_root_key *key = &m->root_key[root];
    struct viewer v = {.m = m,
                       .key = key,
                       .context = guest_context(m, root),
                       .judge = guest_context(m, judge),
                       .gva = gva,
                       .match = match,
                       .wanted = wanted};

    if (key->format != GN_PAGING_BARE && !canonical(&m->geometry, gva))
        return 0;
    if (key->format == GN_PAGING_AARCH64_4K &&
        key->controls & (gva >> 63 ? GN_PAGING_AARCH64_EPD1 : GN_PAGING_AARCH64_EPD0))
        return 0;
    if (key->format == GN_PAGING_BARE) {
        struct view view = {.kind = GN_PAGING_ENTRY_LEAF,
                            .gpa = gva,
                            .tables_accessed = 1,
                            .permissions = GN_PAGING_RWXU | AD};

        return match(&v, &view);
    }
    return view_from(
        &v, key->format == GN_PAGING_AARCH64_4K && gva >> 63 ? key->table_high.v : key->table.v,
        m->geometry.levels - 1, GN_PAGING_RWXU | GN_PAGING_UX, 1);
}

static inline int view_any(struct machine *m, uint32_t root, uint64_t gva,
                           int (*match)(const struct viewer *, const struct view *),
                           const void *wanted)
{
    return view_through(m, root, root, gva, match, wanted);
}

static inline const struct gn_shadow_slot *slot_of(const struct machine *m, uint64_t gpa)
{
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        if (m->slot[i].size && gpa - m->slot[i].gpa.v < m->slot[i].length)
            return &m->slot[i];
    return NULL;
}

static inline const struct gn_shadow_slot *slot_of_hpa(const struct machine *m, uint64_t hpa)
{
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        if (m->slot[i].size && m->slot[i].kind != GN_SHADOW_SLOT_MMIO &&
            hpa - m->slot[i].hpa.v < m->slot[i].length)
            return &m->slot[i];
    return NULL;
}

/* A table that takes nothing away. */
#define OPEN (USER | GN_PAGING_UX)

/* ---- Building guest tables
 * ------------------------------------------------------------------------ */

static inline uint64_t encode(const struct machine *m, uint32_t level, uint32_t kind,
                              uint64_t address, uint32_t permissions)
{
    struct gn_paging_entry e = {.kind = kind, .permissions = permissions, .address = address};
    uint64_t value = 0;

    assert_int_equal(gn_paging_entry_encode(m->guest, level, &e, &value), 0);
    return value;
}

static inline uint64_t leaf_value(const struct machine *m, uint32_t level, uint64_t gpa,
                                  uint32_t permissions)
{
    return encode(m, level, GN_PAGING_ENTRY_LEAF, gpa, permissions);
}

static inline uint64_t table_value(const struct machine *m, uint64_t gpa)
{
    return encode(m, 1, GN_PAGING_ENTRY_TABLE, gpa, OPEN);
}

static inline uint64_t table_new(struct machine *m)
{
    uint64_t gpa = m->next_table;

    m->next_table += GN_PAGE_SIZE;
    assert_true(gpa < RAM_BYTES / 2);
    return gpa;
}

/* Address of the guest entry at a level that translates gva; makes tables above it. */
static inline uint64_t guest_entry(struct machine *m, uint64_t root, uint64_t gva, uint32_t level)
{
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = m->guest,
                                  .controls = ALL_CONTROLS};
    uint64_t table = root;

    for (uint32_t at = m->geometry.levels - 1;; at--) {
        uint64_t entry = guest_place(m, table, at, gva);
        struct gn_paging_entry e;

        if (at == level)
            return entry;
        assert_int_equal(gn_paging_entry_decode(&c, at, guest_read(m, entry), &e), 0);
        if (e.kind != GN_PAGING_ENTRY_TABLE) {
            e.address = table_new(m);
            guest_write(m, entry, encode(m, at, GN_PAGING_ENTRY_TABLE, e.address, OPEN));
        }
        table = e.address;
    }
}

/* Maps a page while nobody looks. @return the address of its entry */
static inline uint64_t guest_map(struct machine *m, uint64_t root, uint64_t gva, uint64_t gpa,
                                 uint32_t level, uint32_t permissions)
{
    uint64_t entry = guest_entry(m, root, gva, level);

    guest_write(m, entry, leaf_value(m, level, gpa, permissions));
    return entry;
}

#endif /* GN_TEST_GUEST_H */
