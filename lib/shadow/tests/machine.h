/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_MACHINE_H
#define GN_TEST_MACHINE_H

/*
 * A small machine around a shadow: guest RAM, frames for shadow tables, an MMU that walks the
 * shadow tables, and the worst TLB that the rules allow. It caches every translation and every way
 * to a table that it ever saw, per root, and forgets nothing unless an invalidate op says so. What
 * an access does is checked against a walk of the guest's tables: those that are in memory now, or
 * that were there at some time since the last coherence point.
 */

#include <gnomon/shadow.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RAM_BYTES  ((uint64_t)4 << 20) /* what really has memory behind it: GPA 0 and up */
#define RAM_HPA    ((uint64_t)1 << 32)
#define FRAME_HPA  ((uint64_t)1 << 40)
#define FRAMES_MAX 1200u
#define SLOTS_MAX  8u
#define ROOTS_MAX  16u
#define TLB_SIZE   1024u
#define WAYS_SIZE  256u
#define LOG_MAX    64u
#define OLD_MAX    128u
#define SWAPS_MAX  16u
#define MARKER_D   16u
/* A call that may stop in the middle goes on, and comes to its end. */
#define UNTIL_DONE(call)                        \
    do {                                        \
        int rc_;                                \
        uint32_t calls_ = 0;                    \
                                                \
        while ((rc_ = (call)) == -GN_ERR_AGAIN) \
            assert_true(calls_++ < 1000000);    \
        assert_int_equal(rc_, 0);               \
    } while (0)

/* Beside the library's own policies: one that adapts, with an MMU that traces. */
#define POLICY_ADAPT_TRACED 4u
#define POLICIES            5u
#define DIRTY_PAGES         (1u << 14)

#define ALL_CONTROLS                                                               \
    (GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_1G | GN_PAGING_X86_PSE | \
     GN_PAGING_RISCV_ADUE)
#define KERNEL (GN_PAGING_R | GN_PAGING_W | GN_PAGING_X)
#define USER   (KERNEL | GN_PAGING_U)
/* Of an access. */
#define JUDGED \
    (GN_PAGING_X86_AC | GN_PAGING_RISCV_SUM | GN_PAGING_RISCV_MXR | GN_PAGING_AARCH64_PAN)
#define AD (GN_PAGING_A | GN_PAGING_D)

/* What the TLB holds: a page of 4 KiB, or (level > 0) which table translates a region. */
struct cached {
    uint64_t gva;
    uint64_t hpa;
    uint32_t root;
    uint32_t level;
    uint32_t permissions;
    uint32_t attributes;
    uint32_t valid;
};

/* Locks that one call holds, in the order in which it took them. */
struct holder {
    uint32_t lock[3];
    uint32_t count;
    int shared; /* the first by lock_shared */
};

struct machine {
    uint32_t format; /* of the shadow */
    uint32_t guest;  /* format of the guest's tables */
    uint32_t policy;
    uint32_t controls; /* of the key and of each access */
    uint32_t steps;    /* of a call, at most; 0: any number */
    uint32_t pkru;     /* the same */
    int global;        /* the MMU heeds G: params.flags says so */
    int leaves;        /* it caches no tables: likewise */
    struct gn_paging_geometry shadow;
    struct gn_paging_geometry geometry; /* of the guest's tables */
    struct gn_shadow *sh;
    void *mem;
    uint64_t *ram;
    uint8_t *frames;
    uint8_t frame_used[FRAMES_MAX];
    uint32_t frames_out;
    uint32_t frames_peak;
    uint32_t frames_limit;
    uint32_t alloc_calls;
    uint32_t alloc_fails_at; /* 0: never; else from this call on */
    uint32_t loads;
    uint32_t load_fails_at; /* 0: never; else this call fails with load_error */
    int load_error;
    struct gn_shadow_slot slot[SLOTS_MAX]; /* by the id that the library gave; size 0: none */
    void *slot_mem[SLOTS_MAX];
    uint64_t root_hpa[ROOTS_MAX];
    struct gn_shadow_root_key root_key[ROOTS_MAX];
    struct cached tlb[TLB_SIZE];
    struct cached way[WAYS_SIZE];
    uint32_t invalidated_ranges; /* those of writes included */
    uint32_t invalidated_writes;
    uint32_t invalidated_all;
    uint32_t roots_gone;
    uint64_t last_cookie_gone;
    uint8_t table_page[RAM_BYTES >> GN_PAGE_SHIFT]; /* as the table_page op says */
    uint8_t watched[RAM_BYTES >> GN_PAGE_SHIFT];    /* as a test asked */
    uint32_t table_pages_outside;                   /* the same, above RAM_BYTES */
    int markers;                                    /* absent_encode says something */
    uint32_t markers_seen;
    struct {
        uint64_t gpa;
        uint64_t length;
    } log[LOG_MAX]; /* writes through traced mappings and by devices since the last drain */
    uint32_t logged;
    struct {
        uint64_t gpa;
        uint64_t value;
    } old[OLD_MAX]; /* words overwritten since the last coherence point */
    uint32_t olds;
    uint64_t swaps[2 * SWAPS_MAX]; /* A and D updates: address, value */
    uint32_t swap_count;
    uint64_t next_table; /* bump allocator of guest tables */
    void (*on_table_page)(struct machine *m, uint64_t page);
    void (*on_invalidate)(struct machine *m); /* another CPU, just before it forgets */
    uint32_t panics;
    uint32_t locks;        /* that the library may use: 0 without lock ops */
    struct holder holder;  /* what the call that runs holds */
    struct holder waiting; /* what the call holds in whose lock op the other CPU runs */
    uint32_t others;       /* it does */
    uint32_t blocked_on;
    jmp_buf blocked;
    uint32_t alone;                                   /* calls of lock for number 0 */
    uint32_t shared;                                  /* calls of lock_shared */
    uint32_t stripes;                                 /* calls of lock for other numbers */
    void (*on_lock)(struct machine *m, uint32_t n);   /* before it is taken */
    void (*on_locked)(struct machine *m, uint32_t n); /* and after */
    uint64_t *log_mem[SLOTS_MAX];                     /* of slots with a dirty log */
    uint8_t dirty[DIRTY_PAGES];     /* the naive log: every page of RAM that was written */
    uint8_t announced[DIRTY_PAGES]; /* by the dirty op, since it was harvested */
    int ring_full;
};

/* Somebody wrote [gpa, gpa + length). */
static inline void model_dirty(struct machine *m, uint64_t gpa, uint64_t length)
{
    for (uint64_t at = gpa & ~GN_PAGE_MASK; length && at < gpa + length; at += GN_PAGE_SIZE)
        if (at >> GN_PAGE_SHIFT < DIRTY_PAGES)
            m->dirty[at >> GN_PAGE_SHIFT] = 1;
}

static inline int machine_dirty(void *ctx, uint32_t slot, gn_gpa_t page)
{
    struct machine *m = ctx;

    assert_true(slot < SLOTS_MAX && m->log_mem[slot]);
    assert_true(page.v - m->slot[slot].gpa.v < m->slot[slot].length);
    assert_false(m->announced[page.v >> GN_PAGE_SHIFT]);
    m->announced[page.v >> GN_PAGE_SHIFT] = 1;
    return m->ring_full ? -GN_ERR_NOSPC : 0;
}

/* ---- Locks: every rule of "Threads" in the header that one thread can tell ------------------- */

/* Would the other CPU wait for the one that does? Then it is done for; it may begin anew later. */
static inline void machine_meet(struct machine *m, uint32_t n, int shared)
{
    const struct holder *w = &m->waiting;
    int meets = n == 0 && w->count && !(shared && w->shared);

    for (uint32_t i = 1; i < w->count; i++)
        meets = meets || (n && w->lock[i] == n);
    if (!meets)
        return;
    m->blocked_on = n;
    longjmp(m->blocked, 1);
}

static inline void machine_take(struct machine *m, uint32_t n, int shared)
{
    struct holder *h = &m->holder;

    if (m->on_lock && !m->others)
        m->on_lock(m, n);
    assert_true(n < m->locks && h->count < 3);
    /* In the order of their numbers, each once; others than 0 only by who shares. */
    if (n == 0)
        assert_int_equal(h->count, 0);
    else
        assert_true(h->count && h->lock[h->count - 1] < n && h->shared && !shared);
    machine_meet(m, n, shared);
    h->shared = n ? h->shared : shared;
    h->lock[h->count++] = n;
    m->alone += !n && !shared;
    m->shared += !n && shared;
    m->stripes += n != 0;
    if (m->on_locked && !m->others)
        m->on_locked(m, n);
}

static inline void machine_give(struct machine *m, uint32_t n, int shared)
{
    struct holder *h = &m->holder;

    assert_true(h->count && h->lock[h->count - 1] == n);
    assert_true(n || h->shared == shared);
    h->count--;
}

#define NOT_BLOCKED UINT32_MAX

/*
 * In an op, while a call of this CPU stands still: another CPU acts.
 * @return the lock that it would wait for, or NOT_BLOCKED: it came to its end
 */
static inline uint32_t machine_other(struct machine *m, void (*act)(struct machine *m))
{
    assert_false(m->others);
    m->waiting = m->holder;
    m->holder = (struct holder){0};
    m->others = 1;
    m->blocked_on = NOT_BLOCKED;
    if (!setjmp(m->blocked)) {
        act(m);
        assert_int_equal(m->holder.count, 0);
    }
    m->holder = m->waiting;
    m->waiting = (struct holder){0};
    m->others = 0;
    return m->blocked_on;
}

static inline void machine_lock(void *ctx, uint32_t n)
{
    machine_take(ctx, n, 0);
}

static inline void machine_unlock(void *ctx, uint32_t n)
{
    machine_give(ctx, n, 0);
}

static inline void machine_lock_shared(void *ctx, uint32_t n)
{
    assert_int_equal(n, 0);
    machine_take(ctx, n, 1);
}

static inline void machine_unlock_shared(void *ctx, uint32_t n)
{
    assert_int_equal(n, 0);
    machine_give(ctx, n, 1);
}

/* An op that only a call which is alone may call. */
static inline void machine_is_alone(const struct machine *m)
{
    assert_true(!m->locks || (m->holder.count == 1 && !m->holder.shared));
}

/* ---- Guest memory ------------------------------------------------------------------------- */

static inline uint64_t *ram_word(struct machine *m, uint64_t gpa)
{
    return gpa < RAM_BYTES ? &m->ram[gpa / 8] : NULL;
}

/* An entry of 4 or 8 bytes, in a word that may hold two of them. */
static inline uint64_t entry_in_word(uint64_t word, uint64_t gpa, uint32_t bytes)
{
    return bytes == 8 ? word : word >> (gpa & 4) * 8 & UINT32_MAX;
}

static inline uint64_t ram_entry(struct machine *m, uint64_t gpa, uint32_t bytes)
{
    return entry_in_word(*ram_word(m, gpa), gpa, bytes);
}

static inline void ram_entry_set(struct machine *m, uint64_t gpa, uint32_t bytes, uint64_t value)
{
    memcpy((uint8_t *)m->ram + gpa, &value, bytes);
}

static inline int machine_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    struct machine *m = ctx;

    assert_true(bytes == 4 || bytes == 8);
    assert_int_equal(gpa.v & (bytes - 1), 0);
    m->loads++;
    if (m->load_fails_at && m->loads == m->load_fails_at)
        return m->load_error;
    if (gpa.v >= RAM_BYTES)
        return -GN_ERR_FAULT;
    *ret_value = ram_entry(m, gpa.v, bytes);
    return 0;
}

static inline int machine_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                                  uint64_t desired)
{
    struct machine *m = ctx;

    assert_int_equal(bytes, m->geometry.entry_bytes);
    if (gpa.v >= RAM_BYTES)
        return -GN_ERR_FAULT;
    if (ram_entry(m, gpa.v, bytes) != expected)
        return -GN_ERR_AGAIN;
    ram_entry_set(m, gpa.v, bytes, desired);
    model_dirty(m, gpa.v, bytes);
    if (m->swap_count < SWAPS_MAX) {
        m->swaps[2 * m->swap_count] = gpa.v;
        m->swaps[2 * m->swap_count + 1] = desired;
    }
    m->swap_count++;
    return 0;
}

static const struct gn_paging_ops machine_guest_ops = {GN_PAGING_OPS_INIT, .load = machine_load,
                                                       .cmpxchg = machine_cmpxchg};

/* The same for the oracle: nothing is stored, what would be is remembered. */
struct scratch {
    struct machine *m;
    uint64_t swaps[2 * SWAPS_MAX];
    uint32_t swap_count;
};

static inline uint64_t scratch_entry(const struct scratch *s, uint64_t gpa, uint32_t bytes)
{
    for (uint32_t i = s->swap_count; i-- > 0;)
        if (s->swaps[2 * i] == gpa)
            return s->swaps[2 * i + 1];
    return ram_entry(s->m, gpa, bytes);
}

static inline int scratch_load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    if (gpa.v >= RAM_BYTES)
        return -GN_ERR_FAULT;
    *ret_value = scratch_entry(ctx, gpa.v, bytes);
    return 0;
}

static inline int scratch_cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                                  uint64_t desired)
{
    struct scratch *s = ctx;

    if (scratch_entry(s, gpa.v, bytes) != expected)
        return -GN_ERR_AGAIN;
    assert_true(s->swap_count < SWAPS_MAX);
    s->swaps[2 * s->swap_count] = gpa.v;
    s->swaps[2 * s->swap_count++ + 1] = desired;
    return 0;
}

static const struct gn_paging_ops scratch_ops = {GN_PAGING_OPS_INIT, .load = scratch_load,
                                                 .cmpxchg = scratch_cmpxchg};

/* A store to memory as such: nobody is told, but the oracle remembers what was there. */
static inline void ram_store(struct machine *m, uint64_t gpa, const void *bytes, uint64_t length)
{
    for (uint64_t at = gpa & ~(uint64_t)7; at < gpa + length; at += 8) {
        assert_true(m->olds < OLD_MAX);
        m->old[m->olds].gpa = at;
        m->old[m->olds++].value = *ram_word(m, at);
    }
    memcpy((uint8_t *)m->ram + gpa, bytes, length);
}

static inline void ram_store8(struct machine *m, uint64_t gpa, uint64_t value)
{
    ram_store(m, gpa, &value, 8);
}

/* ---- Frames ------------------------------------------------------------------------------- */

static inline uint64_t *frame_at(struct machine *m, uint64_t hpa)
{
    uint64_t i = (hpa - FRAME_HPA) >> GN_PAGE_SHIFT;

    assert_true(hpa >= FRAME_HPA && i < FRAMES_MAX && m->frame_used[i]);
    return (uint64_t *)(m->frames + i * GN_PAGE_SIZE);
}

static inline int machine_frame_alloc(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame)
{
    struct machine *m = ctx;

    machine_is_alone(m);
    m->alloc_calls++;
    if ((m->alloc_fails_at && m->alloc_calls >= m->alloc_fails_at) ||
        m->frames_out >= m->frames_limit)
        return -GN_ERR_NOMEM;
    for (uint32_t i = 0; i < FRAMES_MAX; i++) {
        if (m->frame_used[i])
            continue;
        m->frame_used[i] = 1;
        m->frames_out++;
        m->frames_peak = m->frames_out > m->frames_peak ? m->frames_out : m->frames_peak;
        *ret_hpa = gn_hpa(FRAME_HPA + i * GN_PAGE_SIZE);
        *ret_frame = m->frames + i * GN_PAGE_SIZE;
        memset(*ret_frame, 0xa5, GN_PAGE_SIZE); /* contents are unspecified */
        return 0;
    }
    return -GN_ERR_NOMEM;
}

/* "No MMU entry leads to it any more": neither a way in the TLB nor a loaded root. */
static inline void machine_frame_free(void *ctx, gn_hpa_t hpa, void *frame)
{
    struct machine *m = ctx;
    uint32_t i = (uint32_t)((hpa.v - FRAME_HPA) >> GN_PAGE_SHIFT);

    machine_is_alone(m);
    assert_ptr_equal(frame, frame_at(m, hpa.v));
    for (uint32_t w = 0; w < WAYS_SIZE; w++)
        assert_false(m->way[w].valid && m->way[w].hpa == hpa.v);
    for (uint32_t r = 0; r < ROOTS_MAX; r++)
        assert_true(m->root_hpa[r] != hpa.v);
    memset(frame, 0x5a, GN_PAGE_SIZE);
    m->frame_used[i] = 0;
    m->frames_out--;
}

/* ---- The TLB ------------------------------------------------------------------------------ */

static inline uint64_t span_of(uint32_t level)
{
    return (uint64_t)1 << (GN_PAGE_SHIFT + 9 * level);
}

static inline void forget(struct cached *c, uint32_t count, uint32_t root, uint64_t gva,
                          uint64_t length)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t first = c[i].gva;
        uint64_t last = first + (span_of(c[i].level) - 1);

        if (c[i].valid && (root == GN_SHADOW_ROOT_ANY || root == c[i].root) &&
            first <= gva + (length - 1) && gva <= last)
            c[i].valid = 0;
    }
}

static inline void machine_invalidate_range(void *ctx, uint32_t root, gn_gva_t gva, uint64_t length)
{
    struct machine *m = ctx;

    assert_true(root == GN_SHADOW_ROOT_ANY || root < ROOTS_MAX);
    assert_true(length && !((gva.v | length) & GN_PAGE_MASK));
    assert_true(!m->locks || m->holder.count);
    if (m->on_invalidate)
        m->on_invalidate(m);
    m->invalidated_ranges++;
    forget(m->tlb, TLB_SIZE, root, gva.v, length);
    forget(m->way, WAYS_SIZE, root, gva.v, length);
}

/* Lines stay, and are of no use to a write. */
static inline void machine_invalidate_writes(void *ctx, uint32_t root, gn_gva_t gva,
                                             uint64_t length)
{
    struct machine *m = ctx;

    assert_true(root == GN_SHADOW_ROOT_ANY || root < ROOTS_MAX);
    assert_true(length && !((gva.v | length) & GN_PAGE_MASK));
    assert_true(!m->locks || m->holder.count);
    if (m->on_invalidate)
        m->on_invalidate(m);
    m->invalidated_ranges++;
    m->invalidated_writes++;
    for (uint32_t i = 0; i < TLB_SIZE; i++)
        if ((root == GN_SHADOW_ROOT_ANY || root == m->tlb[i].root) &&
            m->tlb[i].gva - gva.v <= length - 1)
            m->tlb[i].permissions &= ~(GN_PAGING_W | GN_PAGING_D);
}

static inline void machine_invalidate_all(void *ctx)
{
    struct machine *m = ctx;

    assert_true(!m->locks || m->holder.count);
    m->invalidated_all++;
    memset(m->tlb, 0, sizeof m->tlb);
    memset(m->way, 0, sizeof m->way);
}

static inline void machine_root_gone(void *ctx, uint32_t root, uint64_t cookie)
{
    struct machine *m = ctx;

    machine_is_alone(m);
    assert_true(root < ROOTS_MAX && m->root_hpa[root] != 0);
    m->roots_gone++;
    m->last_cookie_gone = cookie;
    m->root_hpa[root] = 0;
    /* By its tag, which what is global does not have. */
    for (uint32_t i = 0; i < TLB_SIZE; i++)
        if (m->tlb[i].root == root && !(m->global && m->tlb[i].permissions & GN_PAGING_G))
            m->tlb[i].valid = 0;
    forget(m->way, WAYS_SIZE, root, 0, UINT64_MAX);
}

/* A marker: address, then 5 bits (level, or permissions), 1, kind, 0. */
static inline uint32_t marker_permissions(uint32_t permissions)
{
    return (permissions & GN_PAGING_RWXU) | (permissions & GN_PAGING_D ? MARKER_D : 0);
}

static inline uint64_t machine_absent_encode(void *ctx, const struct gn_shadow_absent *absent)
{
    struct machine *m = ctx;
    int mmio = absent->kind == GN_SHADOW_ABSENT_MMIO;

    assert_int_equal(absent->size, sizeof *absent);
    assert_true(mmio || absent->kind == GN_SHADOW_ABSENT_GUEST);
    if (!m->markers)
        return 0;
    return (mmio ? absent->gpa.v : absent->entry.v) << 8 |
           (uint64_t)(mmio ? marker_permissions(absent->permissions) : absent->level) << 3 | 4 |
           (mmio ? 2 : 0);
}

static inline void machine_table_page(void *ctx, gn_gpa_t page, uint32_t traced)
{
    struct machine *m = ctx;

    machine_is_alone(m);
    assert_int_equal(page.v & GN_PAGE_MASK, 0);
    if (page.v < RAM_BYTES) {
        assert_int_equal(m->table_page[page.v >> GN_PAGE_SHIFT], !traced);
        m->table_page[page.v >> GN_PAGE_SHIFT] = (uint8_t)traced;
    } else {
        m->table_pages_outside += traced ? 1 : UINT32_MAX;
    }
    if (traced && m->on_table_page)
        m->on_table_page(m, page.v);
}

static inline void machine_panic(void *ctx, const char *what)
{
    struct machine *m = ctx;

    m->panics++;
    fail_msg("panic: %s", what);
}

/* ---- What the library is given ------------------------------------------------------------- */

#define MACHINE_OPS                                                                               \
    GN_SHADOW_OPS_INIT, .guest = &machine_guest_ops, .frame_alloc = machine_frame_alloc,          \
                        .frame_free = machine_frame_free,                                         \
                        .invalidate_range = machine_invalidate_range,                             \
                        .invalidate_all = machine_invalidate_all, .root_gone = machine_root_gone, \
                        .absent_encode = machine_absent_encode, .table_page = machine_table_page, \
                        .panic = machine_panic, .dirty = machine_dirty

/* With locks that let faults go side by side, with one lock, and with none; one MMU that forgets
 * writes with all else. */
static const struct gn_shadow_ops machine_ops = {MACHINE_OPS,
                                                 .invalidate_writes = machine_invalidate_writes};
static const struct gn_shadow_ops machine_lock_ops = {MACHINE_OPS, .lock = machine_lock,
                                                      .unlock = machine_unlock};
static const struct gn_shadow_ops machine_locks_ops = {
    MACHINE_OPS,
    .lock = machine_lock,
    .unlock = machine_unlock,
    .lock_shared = machine_lock_shared,
    .unlock_shared = machine_unlock_shared,
    .invalidate_writes = machine_invalidate_writes,
};

#endif /* GN_TEST_MACHINE_H */
