/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The consumer's side. One thread at a time is here; producers run all the while.
 *
 * An item is in three states. *Taken*: the filter and the overflow bits have forgotten it, so that
 * a newer write is recorded anew. *In hand*: the consumer works on it, and pending() says so.
 * *Acknowledged*: the shadow shows it.
 */
#include "tracelog_internal.h"

enum phase { PHASE_ALL, PHASE_RINGS, PHASE_PAGES, PHASE_SCAN, PHASE_DONE };

/* Without a library call where the machine has no such instruction. bits is not 0. */
static uint32_t lowest_bit(uint64_t bits)
{
    uint32_t n = 0;
    uint32_t step;

    for (step = 32; step; step /= 2)
        if (!(bits & (((uint64_t)1 << step) - 1))) {
            bits >>= step;
            n += step;
        }
    return n;
}

/* The consumer alone counts; stats_get may look at the same time. */
static void count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/** Is something in hand that must be handed out again? Then puts it back. */
static void hand_put_back(struct gn_tracelog *log)
{
    const uint64_t hand = log->hand;

    if (log->hand_ring || hand)
        count(&log->again);
    log->hand_ring = 0; /* its record was never passed: applied stands before it */
    if (hand == GN_TRACELOG_HAND_ALL)
        gn_tracelog__mark_all(log);
    else if (hand)
        gn_tracelog__mark_page(log, (hand >> GN_PAGE_SHIFT) - log->page_first);
    __atomic_store_n(&log->hand, 0, __ATOMIC_RELEASE);
}

/** The consumer is done with what it has in hand. */
static void hand_acknowledge(struct gn_tracelog *log)
{
    /* Release: who finds nothing pending any more sees the shadow as the consumer left it. */
    if (log->hand_ring) {
        struct gn_tracelog_ring *ring = &log->rings[log->hand_ring - 1];

        __atomic_store_n(&ring->applied, ring->applied + 1, __ATOMIC_RELEASE);
        log->hand_ring = 0;
    }
    if (log->hand)
        __atomic_store_n(&log->hand, 0, __ATOMIC_RELEASE);
}

void gn_tracelog_drain_begin(struct gn_tracelog *log, struct gn_tracelog_drain *drain)
{
    uint32_t i;

    hand_put_back(log);
    log->serial++;
    log->open = 1;
    count(&log->drains);
    for (i = 0; i < log->vcpus; i++) {
        struct gn_tracelog_ring *ring = &log->rings[i];

        ring->limit = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
        /* Before anything is re-read, and RMW: see the essay on the filter. */
        if (__atomic_load_n(&ring->taken, __ATOMIC_RELAXED) != ring->limit)
            __atomic_exchange_n(&ring->taken, ring->limit, __ATOMIC_ACQ_REL);
    }
    memset(drain, 0, sizeof *drain);
    drain->serial = log->serial;
}

static int item_all(struct gn_tracelog *log, struct gn_tracelog_item *item)
{
    count(&log->alls);
    memset(item, 0, sizeof *item);
    item->kind = GN_TRACELOG_ALL;
    return 1;
}

static int next_all(struct gn_tracelog *log, struct gn_tracelog_drain *drain,
                    struct gn_tracelog_item *item)
{
    drain->phase = PHASE_RINGS;
    if (!__atomic_load_n(&log->all, __ATOMIC_ACQUIRE))
        return 0;
    /* In hand before it is cleared: at no moment does it look as if nothing were pending. */
    __atomic_store_n(&log->hand, GN_TRACELOG_HAND_ALL, __ATOMIC_RELEASE);
    __atomic_exchange_n(&log->all, 0, __ATOMIC_ACQ_REL);
    return item_all(log, item);
}

static int next_record(struct gn_tracelog *log, struct gn_tracelog_drain *drain,
                       struct gn_tracelog_item *item)
{
    for (; drain->vcpu < log->vcpus; drain->vcpu++) {
        const struct gn_tracelog_ring *ring = &log->rings[drain->vcpu];
        const struct gn_tracelog_record *record = &ring->records[ring->applied & ring->mask];

        if (ring->applied == ring->limit)
            continue;
        log->hand_ring = drain->vcpu + 1;
        count(&log->entries);
        item->kind = GN_TRACELOG_ENTRY;
        item->vcpu = record->vcpu;
        item->gpa = record->gpa;
        item->bytes = record->bytes;
        return 1;
    }
    drain->phase = PHASE_PAGES;
    return 0;
}

static int next_pages_begin(struct gn_tracelog *log, struct gn_tracelog_drain *drain)
{
    log->marks_now = __atomic_load_n(&log->marks, __ATOMIC_ACQUIRE);
    drain->phase = log->marks_now == log->marks_seen ? PHASE_DONE : PHASE_SCAN;
    return 0;
}

/** Finds the next word with bits; 0 when there is none. */
static int scan_word(struct gn_tracelog *log, struct gn_tracelog_drain *drain)
{
    while (!drain->bits && drain->word < log->word_count) {
        const uint64_t left =
            __atomic_load_n(&log->summary[drain->word / 64], __ATOMIC_ACQUIRE) >> drain->word % 64;

        if (!left) {
            drain->word = (drain->word / 64 + 1) * 64;
            continue;
        }
        drain->word += lowest_bit(left);
        drain->bits = __atomic_load_n(&log->words[drain->word], __ATOMIC_ACQUIRE);
        if (!drain->bits)
            drain->word++;
    }
    return drain->bits != 0;
}

/** All bits that the word had when it was looked at are handed out. */
static void scan_word_done(struct gn_tracelog *log, struct gn_tracelog_drain *drain)
{
    uint64_t *const summary = &log->summary[drain->word / 64];
    const uint64_t bit = (uint64_t)1 << drain->word % 64;

    __atomic_fetch_and(summary, ~bit, __ATOMIC_ACQ_REL);
    /* A producer may have set a new bit of the word, and its summary before our AND. */
    if (__atomic_load_n(&log->words[drain->word], __ATOMIC_ACQUIRE))
        __atomic_fetch_or(summary, bit, __ATOMIC_ACQ_REL);
    drain->word++;
}

static int next_page(struct gn_tracelog *log, struct gn_tracelog_drain *drain,
                     struct gn_tracelog_item *item)
{
    uint64_t bit, gpa;

    if (!scan_word(log, drain)) {
        /* Marks that came after marks_now keep the log non-empty, though the bits may be gone. */
        __atomic_store_n(&log->marks_seen, log->marks_now, __ATOMIC_RELEASE);
        drain->phase = PHASE_DONE;
        return 0;
    }
    bit = drain->bits & (~drain->bits + 1);
    gpa = (log->page_first + drain->word * 64 + lowest_bit(bit)) << GN_PAGE_SHIFT;
    __atomic_store_n(&log->hand, gpa | GN_TRACELOG_HAND_PAGE, __ATOMIC_RELEASE);
    /* Before the page is re-read: a bit set from here on is for the next drain. */
    __atomic_fetch_and(&log->words[drain->word], ~bit, __ATOMIC_ACQ_REL);
    drain->bits &= ~bit;
    if (!drain->bits)
        scan_word_done(log, drain);
    count(&log->pages);
    item->kind = GN_TRACELOG_PAGE;
    item->vcpu = 0;
    item->gpa = gn_gpa(gpa);
    item->bytes = GN_PAGE_SIZE;
    return 1;
}

static int drain_check(const struct gn_tracelog *log, const struct gn_tracelog_drain *drain,
                       const struct gn_tracelog_item *item)
{
    if (!log || !drain || !item)
        return -GN_ERR_INVAL;
    return drain->serial == log->serial && log->open ? 0 : -GN_ERR_PERM;
}

int gn_tracelog_drain_next(struct gn_tracelog *log, struct gn_tracelog_drain *drain,
                           struct gn_tracelog_item *ret_item)
{
    int r = drain_check(log, drain, ret_item);

    if (r)
        return r;
    hand_acknowledge(log);
    while (!r && drain->phase != PHASE_DONE) {
        switch (drain->phase) {
        case PHASE_ALL: r = next_all(log, drain, ret_item); break;
        case PHASE_RINGS: r = next_record(log, drain, ret_item); break;
        case PHASE_PAGES: r = next_pages_begin(log, drain); break;
        default: r = next_page(log, drain, ret_item); break;
        }
    }
    return r;
}

/** Takes every overflow bit there is. Returns whether there was one. */
static int take_all_pages(struct gn_tracelog *log)
{
    int found = 0;
    uint64_t i, word;

    for (i = 0; i < (log->word_count + 63) / 64; i++) {
        uint64_t left = __atomic_load_n(&log->summary[i], __ATOMIC_ACQUIRE)
                            ? __atomic_exchange_n(&log->summary[i], 0, __ATOMIC_ACQ_REL)
                            : 0;

        for (; left; left &= left - 1) {
            word = i * 64 + lowest_bit(left);
            if (__atomic_exchange_n(&log->words[word], 0, __ATOMIC_ACQ_REL))
                found = 1;
        }
    }
    return found;
}

int gn_tracelog_drain_rest(struct gn_tracelog *log, struct gn_tracelog_drain *drain,
                           struct gn_tracelog_item *ret_item)
{
    int r = drain_check(log, drain, ret_item);
    uint64_t marks;
    uint32_t i;

    if (r)
        return r;
    if (drain->phase == PHASE_DONE) {
        hand_acknowledge(log);
        return 0;
    }
    if (log->hand_ring)
        hand_acknowledge(log);
    /* Everything is in hand before any part of it stops being pending by itself. */
    __atomic_store_n(&log->hand, GN_TRACELOG_HAND_ALL, __ATOMIC_RELEASE);
    r = (int)__atomic_exchange_n(&log->all, 0, __ATOMIC_ACQ_REL);
    marks = __atomic_load_n(&log->marks, __ATOMIC_ACQUIRE);
    if (marks != log->marks_seen)
        r |= take_all_pages(log);
    __atomic_store_n(&log->marks_seen, marks, __ATOMIC_RELEASE);
    for (i = 0; i < log->vcpus; i++) {
        struct gn_tracelog_ring *ring = &log->rings[i];

        r |= ring->applied != ring->limit;
        __atomic_store_n(&ring->applied, ring->limit, __ATOMIC_RELEASE);
    }
    drain->phase = PHASE_DONE;
    if (r)
        return item_all(log, ret_item);
    hand_acknowledge(log);
    return 0;
}

void gn_tracelog_drain_end(struct gn_tracelog *log, struct gn_tracelog_drain *drain)
{
    if (!log || !drain || drain->serial != log->serial || !log->open)
        return;
    hand_acknowledge(log);
    log->open = 0;
}

int gn_tracelog_stats_get(const struct gn_tracelog *log, struct gn_tracelog_stats *stats)
{
    struct gn_tracelog_stats now = {GN_TRACELOG_STATS_INIT};
    const uint32_t size = stats ? stats->size : 0;
    uint32_t i;

    if (!log || size < sizeof now)
        return -GN_ERR_INVAL;
    for (i = 0; i < log->vcpus; i++) {
        const struct gn_tracelog_ring *ring = &log->rings[i];

        now.appended += __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
        now.filtered += __atomic_load_n(&ring->filtered, __ATOMIC_RELAXED);
        now.overflowed += __atomic_load_n(&ring->overflowed, __ATOMIC_RELAXED);
    }
    now.pages_appended = __atomic_load_n(&log->pages_appended, __ATOMIC_RELAXED);
    now.all_set = __atomic_load_n(&log->all_set, __ATOMIC_RELAXED);
    now.drains = __atomic_load_n(&log->drains, __ATOMIC_RELAXED);
    now.entries = __atomic_load_n(&log->entries, __ATOMIC_RELAXED);
    now.pages = __atomic_load_n(&log->pages, __ATOMIC_RELAXED);
    now.alls = __atomic_load_n(&log->alls, __ATOMIC_RELAXED);
    now.again = __atomic_load_n(&log->again, __ATOMIC_RELAXED);
    memset(stats, 0, size);
    memcpy(stats, &now, sizeof now);
    stats->size = size;
    return 0;
}
