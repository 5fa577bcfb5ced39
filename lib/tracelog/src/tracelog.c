/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a log and the producers' side. Consumers are in drain.c.
 */
#include <gnomon/tracelog_inline.h>

#include "tracelog_internal.h"

/** The parameters with defaults filled in, and where everything lies in the memory. */
struct layout {
    struct gn_tracelog_params params;
    uint64_t rings;   /* offsets in bytes */
    uint64_t records; /* per vCPU: records, filter, pending */
    uint64_t stride;  /* bytes of those three */
    uint64_t words;
    uint64_t summary;
    uint64_t word_count;
    uint64_t total;
};

uint32_t gn_tracelog_version(void)
{
    return GN_TRACELOG_VERSION_MAJOR << 16 | GN_TRACELOG_VERSION_MINOR;
}

static int is_table_size(uint32_t n, uint32_t least, uint32_t most)
{
    return n >= least && n <= most && (n & (n - 1)) == 0;
}

static uint64_t align_up(uint64_t n)
{
    return (n + LINE - 1) & ~(uint64_t)(LINE - 1);
}

static int params_check(struct gn_tracelog_params *p)
{
    uint64_t first = p->page_base.v >> GN_PAGE_SHIFT;

    p->vcpus = p->vcpus ? p->vcpus : 1;
    p->ring_entries = p->ring_entries ? p->ring_entries : GN_TRACELOG_RING_DEFAULT;
    p->filter_entries = p->filter_entries ? p->filter_entries : GN_TRACELOG_FILTER_DEFAULT;
    p->pending_entries = p->pending_entries ? p->pending_entries : GN_TRACELOG_PENDING_DEFAULT;
    if (p->vcpus > GN_TRACELOG_VCPUS_MAX ||
        !is_table_size(p->ring_entries, 2, GN_TRACELOG_RING_MAX) ||
        !is_table_size(p->filter_entries, 1, GN_TRACELOG_TABLE_MAX) ||
        !is_table_size(p->pending_entries, 1, GN_TRACELOG_TABLE_MAX) ||
        p->page_base.v & GN_PAGE_MASK || p->flags & ~(GN_TRACELOG_SERIAL | GN_TRACELOG_NO_FILTER))
        return -GN_ERR_INVAL;
    if (p->page_count > ((uint64_t)1 << (64 - GN_PAGE_SHIFT)) - first)
        return -GN_ERR_RANGE;
    return 0;
}

static int layout_make(const struct gn_tracelog_params *params, struct layout *l)
{
    const struct gn_tracelog_params *p = &l->params;
    int r = gn_base_params_copy(&l->params, sizeof l->params, params, sizeof l->params);

    if (r == 0)
        r = params_check(&l->params);
    if (r)
        return r;
    l->rings = align_up(sizeof(struct gn_tracelog));
    l->records = align_up(l->rings + (uint64_t)p->vcpus * sizeof(struct gn_tracelog_ring));
    /* Vcpus share no cache line: a producer's stores stay its own. */
    l->stride = align_up((uint64_t)p->ring_entries * sizeof(struct gn_tracelog_record) +
                         ((uint64_t)p->filter_entries + p->pending_entries) * sizeof(uint64_t));
    l->words = l->records + p->vcpus * l->stride;
    l->word_count = (p->page_count + 63) / 64;
    l->summary = align_up(l->words + l->word_count * sizeof(uint64_t));
    l->total = align_up(l->summary + (l->word_count + 63) / 64 * sizeof(uint64_t));
    return l->total > SIZE_MAX ? -GN_ERR_RANGE : 0;
}

size_t gn_tracelog_size(const struct gn_tracelog_params *params)
{
    struct layout l;

    return layout_make(params, &l) ? 0 : (size_t)l.total;
}

size_t gn_tracelog_align(void)
{
    return LINE;
}

static void ring_init(struct gn_tracelog_ring *ring, const struct layout *l, uint8_t *at)
{
    const struct gn_tracelog_params *p = &l->params;
    uint32_t i;

    ring->records = (struct gn_tracelog_record *)at;
    ring->filter = (uint64_t *)(at + p->ring_entries * sizeof(struct gn_tracelog_record));
    ring->pending = ring->filter + p->filter_entries;
    ring->mask = p->ring_entries - 1;
    ring->filter_mask = p->filter_entries - 1;
    ring->filter_void = p->flags & GN_TRACELOG_NO_FILTER ? GN_TRACELOG_NOWHERE : 0;
    ring->pending_mask = p->pending_entries - 1;
    for (i = 0; i < p->filter_entries; i++)
        ring->filter[i] = GN_TRACELOG_NOWHERE;
    for (i = 0; i < p->pending_entries; i++)
        ring->pending[i] = GN_TRACELOG_NOWHERE;
}

int gn_tracelog_init(void *mem, size_t len, const struct gn_tracelog_params *params,
                     struct gn_tracelog **ret_log)
{
    struct gn_tracelog *log = mem;
    uint8_t *base = mem;
    struct layout l;
    uint32_t i;
    int r;

    if (!mem || !ret_log || (uintptr_t)mem % LINE)
        return -GN_ERR_INVAL;
    r = layout_make(params, &l);
    if (r)
        return r;
    if (len < l.total)
        return -GN_ERR_NOMEM;
    memset(mem, 0, (size_t)l.total);
    log->rings = (struct gn_tracelog_ring *)(base + l.rings);
    log->words = (uint64_t *)(base + l.words);
    log->summary = (uint64_t *)(base + l.summary);
    log->page_first = l.params.page_base.v >> GN_PAGE_SHIFT;
    log->page_count = l.params.page_count;
    log->word_count = l.word_count;
    log->vcpus = l.params.vcpus;
    log->flags = l.params.flags;
    for (i = 0; i < log->vcpus; i++)
        ring_init(&log->rings[i], &l, base + l.records + i * l.stride);
    *ret_log = log;
    return 0;
}

void gn_tracelog_fini(struct gn_tracelog *log)
{
    /* A use after the end shall not find rings. */
    if (log)
        memset(log, 0, sizeof *log);
}

/* Unconditional: a test that finds it set might precede the write it is meant to cover. */
void gn_tracelog__mark_all(struct gn_tracelog *log)
{
    __atomic_fetch_or(&log->all, 1, __ATOMIC_ACQ_REL);
}

void gn_tracelog__mark_page(struct gn_tracelog *log, uint64_t bit)
{
    const uint64_t word = bit / 64;

    /*
     * From the bit outwards: who sees the mark or the summary sees the bit. All three are ORs or
     * adds without a test before, so that each comes either before the consumer's AND of the same
     * variable, which then orders our write to guest memory before its reading, or after it, and
     * remains for the next drain.
     */
    __atomic_fetch_or(&log->words[word], (uint64_t)1 << (bit % 64), __ATOMIC_ACQ_REL);
    __atomic_fetch_or(&log->summary[word / 64], (uint64_t)1 << (word % 64), __ATOMIC_ACQ_REL);
    __atomic_fetch_add(&log->marks, 1, __ATOMIC_ACQ_REL);
}

/** A write that no bit can stand for. */
static void everything(struct gn_tracelog *log)
{
    gn_tracelog__mark_all(log);
    __atomic_fetch_add(&log->all_set, 1, __ATOMIC_RELAXED);
}

/** Marks the pages first..last; what is outside the range, as everything. Returns those inside. */
static uint64_t mark_pages(struct gn_tracelog *log, uint64_t first, uint64_t last)
{
    const uint64_t low = log->page_first;
    const uint64_t high = low + log->page_count;
    const uint64_t from = first > low ? first : low;
    const uint64_t to = last < high ? last + 1 : high;
    uint64_t i;

    if (from != first || to != last + 1)
        everything(log);
    for (i = from; i < to; i++)
        gn_tracelog__mark_page(log, i - low);
    return from < to ? to - from : 0;
}

void gn_tracelog_append_range(struct gn_tracelog *log, gn_gpa_t gpa, uint64_t bytes)
{
    uint64_t last = gpa.v + bytes - 1;
    uint64_t inside;

    if (!bytes)
        return;
    if (last < gpa.v)
        last = UINT64_MAX;
    inside = mark_pages(log, gpa.v >> GN_PAGE_SHIFT, last >> GN_PAGE_SHIFT);
    __atomic_fetch_add(&log->pages_appended, inside, __ATOMIC_RELAXED);
}

void gn_tracelog_append_page(struct gn_tracelog *log, gn_gpa_t gpa)
{
    gn_tracelog_append_range(log, gpa, 1);
}

void gn_tracelog_append_slow(struct gn_tracelog *log, uint32_t vcpu, gn_gpa_t gpa, uint32_t bytes)
{
    const uint64_t first = gpa.v >> GN_PAGE_SHIFT;
    const uint64_t end = gpa.v + bytes - 1;
    struct gn_tracelog_ring *ring;
    uint64_t head;

    /* A caller that does not know its vCPU still loses no write: pages need none. */
    if (vcpu >= log->vcpus || bytes > GN_PAGE_SIZE || !bytes || end < gpa.v) {
        gn_tracelog_append_range(log, gpa, bytes);
        return;
    }
    ring = &log->rings[vcpu];
    head = ring->head;
    if (gn_tracelog_is_duplicate(log, ring, head, gpa, bytes)) {
        __atomic_store_n(&ring->filtered, ring->filtered + 1, __ATOMIC_RELAXED);
        return;
    }
    /* Acquire: the consumer's reading of the record that we overwrite is over. */
    ring->applied_seen = __atomic_load_n(&ring->applied, __ATOMIC_ACQUIRE);
    if (head - ring->applied_seen > ring->mask) {
        __atomic_store_n(&ring->overflowed, ring->overflowed + 1, __ATOMIC_RELAXED);
        mark_pages(log, first, end >> GN_PAGE_SHIFT);
        return;
    }
    gn_tracelog_pending_mark(ring, first, head);
    gn_tracelog_pending_mark(ring, end >> GN_PAGE_SHIFT, head);
    gn_tracelog_put(ring, head, vcpu, gpa, bytes);
}

void gn_tracelog_append(struct gn_tracelog *log, uint32_t vcpu, gn_gpa_t gpa, uint32_t bytes)
{
    gn_tracelog_append_inline(log, vcpu, gpa, bytes);
}

int gn_tracelog_pending(const struct gn_tracelog *log, gn_gpa_t page)
{
    return gn_tracelog_pending_inline(log, page);
}

int gn_tracelog_empty(const struct gn_tracelog *log)
{
    return gn_tracelog_empty_inline(log);
}
