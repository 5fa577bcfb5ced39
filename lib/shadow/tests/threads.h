/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_THREADS_H
#define GN_TEST_THREADS_H

/*
 * A machine whose virtual CPUs are threads: guest memory that holds tables, a TLB for each, locks
 * of pthreads. A CPU runs guest code (translates, and reads or writes) under its `run` mutex; an
 * invalidate op takes that of each CPU in turn, as an interrupt would come between instructions.
 * No CPU calls the library while it runs guest code.
 *
 *      space s -> root [-> ..] -> mid [i] -> leaf table j -> [e] -> one of PAGES data pages
 *
 * Each entry of mid and leaf tables is a cell: versions follow each other, and the version says
 * what the entry is. `begun` counts those that somebody may have stored, `done` those that were
 * stored and reported as the policy asks. So a CPU whose last flush began when a cell had d done
 * may see version d or any later one, up to those begun now, and none before: no clock is needed.
 */

#include <gnomon/shadow.h>

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPUS   4u
#define SPACES 3u
#define MIDS   3u  /* entries of a mid table that are used */
#define TABLES 6u  /* leaf tables */
#define CELLS  12u /* entries of a leaf table that are used */
#define PAGES  16u /* data pages of a cell */

#define SPARSE     (TABLES - 1) /* the leaf table whose pages lie in a slot that comes and goes */
#define DATA       ((uint64_t)0x100000)
#define DATA_PAGES (TABLES * CELLS * PAGES)
#define FIXED      ((uint64_t)SPARSE * CELLS * PAGES) /* pages in the slot that stays */
#define RAM_BYTES  ((uint64_t)64 << 12)
#define HOST       ((uint64_t)1 << 32)
#define FRAME_HPA  ((uint64_t)1 << 40)
#define FRAMES     40u
#define LINES      64u
#define LOG        512u
#define ROOTS      5u
#define LINEAR     ((uint64_t)2 << 30)
#define AREA       ((uint64_t)1 << 30)
#define FULL       (GN_PAGING_R | GN_PAGING_W | GN_PAGING_X)
#define AD         (GN_PAGING_A | GN_PAGING_D)
#define CONTROLS                                                                          \
    (GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_RISCV_ADUE | GN_PAGING_AARCH64_HA | \
     GN_PAGING_AARCH64_HD)

/* What a marker says, in bits that are clear in its address. */
#define MARKER_ABSENT 4u
#define MARKER_DEVICE 2u

/* A translation, or (level 1) a way to a table, of a root. */
struct line {
    uint64_t gva, hpa;
    uint32_t root, level, permissions, valid;
};

struct cell {
    pthread_mutex_t writers; /* the guest's own lock for its tables */
    uint32_t begun, done;
};

/* What an address may not be older than. */
struct bound {
    uint32_t mid;
    uint32_t leaf[TABLES];
};

struct world;

struct cpu {
    pthread_mutex_t run;
    struct line tlb[LINES], way[LINES];
    struct world *w;
    uint64_t random;
    uint32_t number, space;
    struct gn_shadow_root root;
    struct bound bound[SPACES][MIDS][CELLS];
    pthread_mutex_t log_mutex;
    uint64_t log[LOG];
    uint32_t logged;
    uint64_t outcomes[5];
};

struct world {
    uint64_t seed; /* GN_TEST_SEED was printed */
    uint32_t format, guest, policy, traced, markers, levels, guest_levels;
    struct gn_paging_context shadow; /* for decoding what the shadow holds */
    struct gn_shadow *sh;
    void *memory;
    uint64_t *ram;
    uint64_t *frames;
    uint8_t frame_used[FRAMES];
    uint64_t root[SPACES], mid[SPACES], leaf[TABLES];
    struct cell mid_cell[SPACES][MIDS], leaf_cell[TABLES][CELLS];
    struct cpu cpu[CPUS];
    pthread_rwlock_t structure;
    pthread_mutex_t *stripes;
    uint32_t locks;
    pthread_mutex_t managers; /* slots, harvests */
    void *fixed_memory, *sparse_memory, *tables_memory;
    uint64_t *dirty_memory;
    uint32_t sparse, sparse_id; /* state of the slot that comes and goes; counts changes */
    uint32_t epoch;             /* odd: a harvest runs */
    uint32_t written[DATA_PAGES], reported[DATA_PAGES];
    uint32_t rounds, operations;
    pthread_barrier_t barrier;
    uint64_t pauses;
    void (*on_locked)(struct world *w, uint32_t n); /* in the thread that took lock n */
};

/* The run ends here: cmocka cannot fail a test in another thread. */
__attribute__((noreturn, format(printf, 2, 3))) static inline void wrong(const struct world *w,
                                                                         const char *format, ...)
{
    va_list args;

    fflush(stdout);
    va_start(args, format);
    fprintf(stderr, "format %s policy %u: ", gn_paging_format_name(w->guest), w->policy);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    abort();
}

#define MUST(w, call)                                            \
    do {                                                         \
        int rc_ = (call);                                        \
                                                                 \
        while (rc_ == -GN_ERR_AGAIN)                             \
            rc_ = (call);                                        \
        if (rc_)                                                 \
            wrong(w, "%s: %s", #call, gn_base_status_name(rc_)); \
    } while (0)

static inline uint32_t get(const uint32_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline uint32_t cpu_dice(struct cpu *c, uint32_t n)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return (uint32_t)(c->random >> 20) % n;
}

/* ---- Guest memory ---------------------------------------------------------------------------- */

/* Now and then somebody else gets the processor, at the places that matter. */
static inline void pause_sometimes(struct world *w)
{
    if (__atomic_add_fetch(&w->pauses, 1, __ATOMIC_RELAXED) % 97 == 0)
        (void)sched_yield();
}

static inline int world_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    struct world *w = ctx;

    (void)bytes;
    if (gpa.v >= RAM_BYTES)
        return -GN_ERR_FAULT;
    *ret_value = __atomic_load_n(&w->ram[gpa.v / 8], __ATOMIC_ACQUIRE);
    pause_sometimes(w);
    return 0;
}

static inline int world_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                                uint64_t desired)
{
    struct world *w = ctx;

    (void)bytes;
    if (gpa.v >= RAM_BYTES)
        return -GN_ERR_FAULT;
    return __atomic_compare_exchange_n(&w->ram[gpa.v / 8], &expected, desired, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE)
               ? 0
               : -GN_ERR_AGAIN;
}

static const struct gn_paging_ops world_guest = {GN_PAGING_OPS_INIT, .load = world_load,
                                                 .cmpxchg = world_cmpxchg};

/* ---- Ops: frames, one at a time -------------------------------------------------------------- */

static inline int world_frame_alloc(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame)
{
    struct world *w = ctx;

    for (uint32_t i = 0; i < FRAMES; i++) {
        if (w->frame_used[i])
            continue;
        w->frame_used[i] = 1;
        *ret_hpa = gn_hpa(FRAME_HPA + (uint64_t)i * GN_PAGE_SIZE);
        *ret_frame = w->frames + (size_t)i * 512;
        return 0;
    }
    return -GN_ERR_NOMEM;
}

static inline void world_frame_free(void *ctx, gn_hpa_t hpa, void *frame)
{
    struct world *w = ctx;
    uint64_t *entries = frame;

    w->frame_used[(hpa.v - FRAME_HPA) >> GN_PAGE_SHIFT] = 0;
    /* Whoever walks here yet reads what is no entry. */
    for (uint32_t i = 0; i < 512; i++)
        __atomic_store_n(&entries[i], (uint64_t)0xdead << 40 | 1, __ATOMIC_RELAXED);
}

/* ---- Ops: the TLBs -----------------------------------------------------------------------------
 */

static inline void lines_forget(struct line *lines, uint32_t root, uint64_t gva, uint64_t length)
{
    for (uint32_t i = 0; i < LINES; i++) {
        struct line *l = &lines[i];
        uint64_t last = l->gva + (((uint64_t)1 << (GN_PAGE_SHIFT + 9 * l->level)) - 1);

        if (l->valid && (root == GN_SHADOW_ROOT_ANY || root == l->root) &&
            l->gva <= gva + (length - 1) && gva <= last)
            l->valid = 0;
    }
}

static inline void world_forget(struct world *w, uint32_t root, uint64_t gva, uint64_t length)
{
    for (uint32_t i = 0; i < CPUS; i++) {
        pthread_mutex_lock(&w->cpu[i].run);
        lines_forget(w->cpu[i].tlb, root, gva, length);
        lines_forget(w->cpu[i].way, root, gva, length);
        pthread_mutex_unlock(&w->cpu[i].run);
    }
}

static inline void world_invalidate_range(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    world_forget(ctx, root, gva.v, length);
}

static inline void world_invalidate_all(void *ctx)
{
    world_forget(ctx, GN_SHADOW_ROOT_ANY, 0, UINT64_MAX);
}

static inline void world_root_gone(void *ctx, uint32_t root, uint64_t cookie)
{
    (void)cookie;
    world_forget(ctx, root, 0, UINT64_MAX);
}

static inline uint64_t world_absent(void *ctx, const struct gn_shadow_absent *absent)
{
    const struct world *w = ctx;
    int device = absent->kind == GN_SHADOW_ABSENT_MMIO;

    if (!w->markers)
        return 0;
    return device ? absent->gpa.v << 8 | MARKER_DEVICE : absent->entry.v << 8 | MARKER_ABSENT;
}

static inline void world_panic(void *ctx, const char *what)
{
    wrong(ctx, "panic: %s", what);
}

/* ---- Ops: locks --------------------------------------------------------------------------------
 */

static inline void world_lock(void *ctx, uint32_t n)
{
    struct world *w = ctx;

    pause_sometimes(w);
    if (n >= w->locks ||
        (n ? pthread_mutex_lock(&w->stripes[n]) : pthread_rwlock_wrlock(&w->structure)))
        wrong(w, "cannot take lock %u", n);
    pause_sometimes(w);
    if (w->on_locked)
        w->on_locked(w, n);
}

static inline void world_unlock(void *ctx, uint32_t n)
{
    struct world *w = ctx;

    if (n ? pthread_mutex_unlock(&w->stripes[n]) : pthread_rwlock_unlock(&w->structure))
        wrong(w, "cannot give lock %u back", n);
}

static inline void world_lock_shared(void *ctx, uint32_t n)
{
    struct world *w = ctx;

    if (n || pthread_rwlock_rdlock(&w->structure))
        wrong(w, "cannot share lock %u", n);
    pause_sometimes(w);
}

static inline void world_unlock_shared(void *ctx, uint32_t n)
{
    world_unlock(ctx, n);
}

static const struct gn_shadow_ops world_ops = {
    GN_SHADOW_OPS_INIT,
    .guest = &world_guest,
    .frame_alloc = world_frame_alloc,
    .frame_free = world_frame_free,
    .invalidate_range = world_invalidate_range,
    .invalidate_all = world_invalidate_all,
    .root_gone = world_root_gone,
    .absent_encode = world_absent,
    .panic = world_panic,
    .lock = world_lock,
    .unlock = world_unlock,
    .lock_shared = world_lock_shared,
    .unlock_shared = world_unlock_shared,
};

/* ---- The MMU of a CPU, which holds its run mutex -----------------------------------------------
 */

static inline struct line *line_at(struct line *lines, uint64_t gva, uint32_t root, uint32_t level)
{
    uint64_t page = gva >> (GN_PAGE_SHIFT + 9 * level);

    return &lines[((page * 0x9e3779b1u >> 3) + root * 7 + level) % LINES];
}

static inline struct line *line_find(struct line *lines, uint64_t gva, uint32_t root,
                                     uint32_t level)
{
    struct line *l = line_at(lines, gva, root, level);

    return l->valid && l->root == root && l->level == level &&
                   l->gva == (gva & ~(((uint64_t)1 << (GN_PAGE_SHIFT + 9 * level)) - 1))
               ? l
               : NULL;
}

/* The stale first. @return NULL: nothing is mapped; then *ret_marker is what the entry holds */
static inline const struct line *cpu_translate(struct cpu *c, uint64_t gva, uint64_t *ret_marker)
{
    struct world *w = c->w;
    struct line *l = line_find(c->tlb, gva, c->root.id, 0);
    uint32_t level = w->levels - 1;
    uint64_t table = c->root.hpa.v;
    struct line *way = line_find(c->way, gva, c->root.id, 1);
    struct gn_paging_entry e;

    *ret_marker = 0;
    if (l)
        return l;
    if (way) {
        table = way->hpa;
        level = 0;
    }
    for (;; level--) {
        const uint64_t *at =
            &w->frames[(table - FRAME_HPA) / 8 + (gva >> (GN_PAGE_SHIFT + 9 * level) & 511)];
        uint64_t value = __atomic_load_n(at, __ATOMIC_ACQUIRE);

        if (!(value & 1)) {
            *ret_marker = value;
            return NULL;
        }
        if (gn_paging_entry_decode(&w->shadow, level, value, &e) ||
            e.kind == GN_PAGING_ENTRY_RESERVED || (level == 0) != (e.kind == GN_PAGING_ENTRY_LEAF))
            wrong(w, "the MMU walks into entry %llx", (unsigned long long)value);
        if (!level)
            break;
        table = e.address;
        if (level == 1)
            *line_at(c->way, gva, c->root.id, 1) = (struct line){
                .gva = gva >> 21 << 21, .hpa = table, .root = c->root.id, .level = 1, .valid = 1};
    }
    l = line_at(c->tlb, gva, c->root.id, 0);
    *l = (struct line){.gva = gva & ~GN_PAGE_MASK,
                       .hpa = e.address,
                       .root = c->root.id,
                       .permissions = e.permissions,
                       .valid = 1};
    return l;
}

/* ---- What versions mean ------------------------------------------------------------------------
 */

static inline uint32_t mid_target(uint32_t space, uint32_t i, uint32_t version)
{
    return version % 8 == 7 ? TABLES : (space * 5 + i * 3 + version * 7) % TABLES;
}

static inline int cell_absent(uint32_t version)
{
    return version % 8 == 7;
}

static inline int cell_read_only(uint32_t version)
{
    return version % 8 == 3;
}

/* Every fourth page is that of a cell in another table, too. */
static inline uint64_t cell_page(uint32_t table, uint32_t e, uint32_t version)
{
    table &= version % 4 == 0 ? ~1u : ~0u;
    return DATA + (((uint64_t)table * CELLS + e) * PAGES + version % PAGES) * GN_PAGE_SIZE;
}

static inline uint64_t entry_of(const struct world *w, uint32_t level, uint32_t kind,
                                uint64_t address, uint32_t permissions)
{
    struct gn_paging_entry e = {.kind = kind, .permissions = permissions, .address = address};
    uint64_t value = 0;

    /* AArch64: a page that is not dirty is writable nevertheless. */
    if (w->guest == GN_PAGING_AARCH64_4K && kind == GN_PAGING_ENTRY_LEAF &&
        permissions & GN_PAGING_W)
        e.attributes = GN_PAGING_AARCH64_DBM;
    MUST(w, gn_paging_entry_encode(w->guest, level, &e, &value));
    return value;
}

static inline uint64_t mid_value(const struct world *w, uint32_t space, uint32_t i,
                                 uint32_t version)
{
    uint32_t j = mid_target(space, i, version);

    return j == TABLES ? 0 : entry_of(w, 1, GN_PAGING_ENTRY_TABLE, w->leaf[j], FULL | GN_PAGING_U);
}

static inline uint64_t leaf_value(const struct world *w, uint32_t table, uint32_t e,
                                  uint32_t version)
{
    uint32_t permissions = GN_PAGING_R | GN_PAGING_X | (cell_read_only(version) ? 0 : GN_PAGING_W);

    if (cell_absent(version))
        return 0;
    /* Some are clean, or were never used: the walk sets A and D. */
    permissions |= version % 4 == 1 ? 0 : version % 4 == 2 ? GN_PAGING_A : AD;
    return entry_of(w, 0, GN_PAGING_ENTRY_LEAF, cell_page(table, e, version), permissions);
}

#endif /* GN_TEST_THREADS_H */
