/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A marker has 58 bits of content:
 *
 *      57        47 46    42 41                      2 1  0
 *      [generation | allow  | guest page number       | MMIO ]
 *      57 56 55       45 44 42
 *      [ 0  | generation | level | page of the entry  | ABSENT ]
 *
 * Encodings differ in where these stand in the entry: from bit 1 up where software owns all of an
 * invalid entry, around the five ones of the L1TF rule on x86-64.
 */
#include <gnomon/nonpresent_inline.h>

/* A freestanding compiler may call it anyway; there is no <string.h> for it. */
void *memset(void *to, int byte, size_t n);

#define KIND_MASK         3u
#define GFN_SHIFT         2
#define GFN_MASK          (((uint64_t)1 << GN_NONPRESENT_GFN_BITS) - 1)
#define LEVEL_SHIFT       42
#define LEVEL_MASK        7u
#define ABSENT_GEN_SHIFT  45
#define ABSENT_ZERO_SHIFT 56
#define ALLOW_SHIFT       42
#define MMIO_GEN_SHIFT    47
#define GEN_MASK          ((1u << GN_NONPRESENT_GENERATION_BITS) - 1)
#define CONTENT_BITS      58

#define X86_BITS_MIN  36
#define X86_BITS_MAX  52
#define X86_ONES      5
#define X86_ONES_MASK ((uint64_t)31)

/* x86 page-fault error code (SDM vol. 3A §4.7); P and RSVD stay clear for an absent entry. */
#define X86_PF_W 0x02u
#define X86_PF_U 0x04u
#define X86_PF_I 0x10u

struct gn_nonpresent {
    struct gn_nonpresent_window window;
    uint32_t guest;
    uint32_t generation[GN_NONPRESENT_MMIO + 1]; /* by kind; atomic */
    struct gn_nonpresent_stats stats;            /* atomic, relaxed; hits here and in the window */
};

/* Arm DDI 0487, ESR_ELx.ISS of an abort: a translation fault of level 0, and WnR. */
#define AARCH64_TRANSLATION 0x04u
#define AARCH64_WNR         0x40u
#define AARCH64_LEVEL_MAX   3u

/* Causes of the Privileged Architecture, table 3.6; and error code bits, by access kind. */
static const uint32_t riscv_cause[GN_ACCESS_KINDS] = {13, 15, 12};
static const uint32_t x86_code[GN_ACCESS_KINDS] = {0, X86_PF_W, 0};

uint32_t gn_nonpresent_version(void)
{
    return GN_NONPRESENT_VERSION_MAJOR << 16 | GN_NONPRESENT_VERSION_MINOR;
}

/* Not locked: a lost count is cheaper than a locked instruction in every guest page fault. */
static void count(uint64_t *counter)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static int coder_make(uint32_t encoding, struct gn_nonpresent_coder *c)
{
    const uint32_t family = encoding & 0xff, bits = encoding >> 8;

    if (family == GN_NONPRESENT_X86_64_ID) {
        if (bits < X86_BITS_MIN || bits > X86_BITS_MAX)
            return -GN_ERR_INVAL;
        c->low_bits = bits - X86_ONES - 1;
        c->high_at = bits;
        c->fixed = X86_ONES_MASK << (bits - X86_ONES);
        c->fixed_mask = c->fixed | 1;
    } else if (encoding == GN_NONPRESENT_RISCV || encoding == GN_NONPRESENT_AARCH64) {
        c->low_bits = CONTENT_BITS;
        c->high_at = CONTENT_BITS + 1;
        c->fixed = 0;
        c->fixed_mask = ~(uint64_t)0 << c->high_at | 1;
    } else {
        return -GN_ERR_NOTSUP;
    }
    c->low_mask = ((uint64_t)1 << c->low_bits) - 1;
    c->high_mask = ((uint64_t)1 << (CONTENT_BITS - c->low_bits)) - 1;
    return 0;
}

static uint64_t coder_put(const struct gn_nonpresent_coder *c, uint64_t content)
{
    return c->fixed | (content & c->low_mask) << 1 |
           (content >> c->low_bits & c->high_mask) << c->high_at;
}

/** The content of an entry, or 0, which is no marker's, if the fixed bits are not as they must be.
 */
static uint64_t coder_get(const struct gn_nonpresent_coder *c, uint64_t entry)
{
    if ((entry & c->fixed_mask) != c->fixed)
        return 0;
    return gn_nonpresent_content(c, entry);
}

static uint64_t content_absent(uint32_t level, uint64_t gfn, uint32_t generation)
{
    return (uint64_t)generation << ABSENT_GEN_SHIFT | (uint64_t)level << LEVEL_SHIFT |
           gfn << GFN_SHIFT | GN_NONPRESENT_GUEST_ABSENT;
}

static uint64_t content_mmio(uint32_t allow, uint64_t gfn, uint32_t generation)
{
    return (uint64_t)generation << MMIO_GEN_SHIFT | (uint64_t)allow << ALLOW_SHIFT |
           gfn << GFN_SHIFT | GN_NONPRESENT_MMIO;
}

/** The kind of a content; what no encoder makes, is unknown. */
static uint32_t content_kind(uint64_t content)
{
    const uint32_t kind = (uint32_t)content & KIND_MASK;

    if (kind == GN_NONPRESENT_GUEST_ABSENT &&
        ((content >> LEVEL_SHIFT & LEVEL_MASK) > GN_NONPRESENT_LEVEL_MAX ||
         content >> ABSENT_ZERO_SHIFT))
        return GN_NONPRESENT_UNKNOWN;
    return kind > GN_NONPRESENT_MMIO ? GN_NONPRESENT_UNKNOWN : kind;
}

static void content_read(uint64_t content, struct gn_nonpresent_marker *m)
{
    *m = (struct gn_nonpresent_marker){.kind = content_kind(content)};
    if (m->kind == GN_NONPRESENT_UNKNOWN)
        return;
    m->gpa = gn_gpa((content >> GFN_SHIFT & GFN_MASK) << GN_PAGE_SHIFT);
    if (m->kind == GN_NONPRESENT_GUEST_ABSENT) {
        m->level = (uint32_t)(content >> LEVEL_SHIFT) & LEVEL_MASK;
        m->generation = (uint32_t)(content >> ABSENT_GEN_SHIFT) & GEN_MASK;
    } else {
        m->allow = (uint32_t)(content >> ALLOW_SHIFT) & GN_NONPRESENT_ALLOW_ALL;
        m->generation = (uint32_t)(content >> MMIO_GEN_SHIFT) & GEN_MASK;
    }
}

/** Copies and completes the parameters. */
static int params_take(const struct gn_nonpresent_params *params, struct gn_nonpresent_params *p,
                       struct gn_nonpresent_ops *ops, struct gn_nonpresent_coder *coder)
{
    int r = gn_base_params_copy(p, sizeof *p, params, sizeof *p);

    *ops = (struct gn_nonpresent_ops){GN_NONPRESENT_OPS_INIT};
    if (r == 0 && p->ops)
        r = gn_base_params_copy(ops, sizeof *ops, p->ops, sizeof *ops);
    if (r)
        return r;
    p->encoding = p->encoding ? p->encoding : GN_NONPRESENT_RISCV;
    p->guest = p->guest ? p->guest : GN_NONPRESENT_GUEST_RISCV;
    if (!p->rule)
        p->rule = p->guest == GN_NONPRESENT_GUEST_RISCV ? GN_NONPRESENT_RULE_FENCED
                                                        : GN_NONPRESENT_RULE_IMMEDIATE;
    r = coder_make(p->encoding, coder);
    if (r)
        return r;
    if (p->guest > GN_NONPRESENT_GUEST_AARCH64 || p->rule > GN_NONPRESENT_RULE_FENCED)
        return -GN_ERR_INVAL;
    /*
     * Neither an x86 guest (SDM vol. 3A §4.10.2.3) nor one of Arm's (DDI 0487 D8, no TLB holds an
     * entry that gives a translation fault) need flush when it makes an entry present.
     */
    if (p->rule == GN_NONPRESENT_RULE_FENCED)
        return p->guest != GN_NONPRESENT_GUEST_RISCV ? -GN_ERR_INVAL : 0;
    return ops->pending ? 0 : -GN_ERR_INVAL;
}

/** @param level  of the absent entry, from the leaf; Arm counts from the root, and has four */
static uint32_t fault_code(uint32_t guest, uint32_t access, uint32_t level)
{
    const uint32_t kind = access & GN_NONPRESENT_ACCESS_KIND;
    uint32_t code;

    if (guest == GN_NONPRESENT_GUEST_RISCV)
        return riscv_cause[kind];
    if (guest == GN_NONPRESENT_GUEST_AARCH64)
        return AARCH64_TRANSLATION | (AARCH64_LEVEL_MAX - (level & AARCH64_LEVEL_MAX)) |
               (kind == GN_ACCESS_WRITE ? AARCH64_WNR : 0);
    code = x86_code[kind];
    if (access & GN_NONPRESENT_AS_USER)
        code |= X86_PF_U;
    if (kind == GN_ACCESS_EXEC && access & GN_NONPRESENT_X86_FETCH_BIT)
        code |= X86_PF_I;
    return code;
}

/** What tells a marker of an absence that is to be believed, in the current generation. */
static uint64_t window_value(const struct gn_nonpresent *np)
{
    return coder_put(&np->window.coder,
                     content_absent(0, 0, np->generation[GN_NONPRESENT_GUEST_ABSENT]));
}

/** Entry bits of content bits, all of which an encoding moves as they are. */
static uint64_t entry_bits(const struct gn_nonpresent_coder *c, uint64_t content)
{
    return coder_put(c, content) & ~c->fixed;
}

static void window_make(struct gn_nonpresent *np)
{
    struct gn_nonpresent_window *w = &np->window;
    const uint64_t told = KIND_MASK | ~(uint64_t)0 << ABSENT_GEN_SHIFT;

    w->mask = w->coder.fixed_mask | entry_bits(&w->coder, told);
    w->value = window_value(np);
    w->level_four = entry_bits(&w->coder, (uint64_t)4 << LEVEL_SHIFT);
    w->level_rest = entry_bits(&w->coder, (uint64_t)3 << LEVEL_SHIFT);
    for (uint32_t i = 0; i < sizeof w->code; i++)
        if ((i & 3) < GN_ACCESS_KINDS)
            w->code[i] = (uint8_t)fault_code(np->guest, (i & 3) | (i & 4) << 2 | (i & 8) << 4, 0);
    /* A code that tells the level is not in that table: no entry is a hit. */
    if (np->guest == GN_NONPRESENT_GUEST_AARCH64)
        w->mask = 0;
}

size_t gn_nonpresent_size(const struct gn_nonpresent_params *params)
{
    struct gn_nonpresent_params p;
    struct gn_nonpresent_ops ops;
    struct gn_nonpresent_coder coder;

    return params_take(params, &p, &ops, &coder) ? 0 : sizeof(struct gn_nonpresent);
}

size_t gn_nonpresent_align(void)
{
    return _Alignof(struct gn_nonpresent);
}

int gn_nonpresent_init(void *mem, size_t len, const struct gn_nonpresent_params *params,
                       struct gn_nonpresent **ret_np)
{
    struct gn_nonpresent *np = mem;
    struct gn_nonpresent_params p;
    struct gn_nonpresent_ops ops;
    struct gn_nonpresent_coder coder;
    int r;

    if (!mem || !ret_np || (uintptr_t)mem % gn_nonpresent_align())
        return -GN_ERR_INVAL;
    r = params_take(params, &p, &ops, &coder);
    if (r)
        return r;
    if (len < sizeof *np)
        return -GN_ERR_NOMEM;
    memset(np, 0, sizeof *np);
    np->window.coder = coder;
    np->window.pending = p.rule == GN_NONPRESENT_RULE_IMMEDIATE ? ops.pending : NULL;
    np->window.ctx = p.ctx;
    np->guest = p.guest;
    window_make(np);
    *ret_np = np;
    return 0;
}

struct gn_nonpresent_window *gn_nonpresent_window(struct gn_nonpresent *np)
{
    return np ? &np->window : NULL;
}

void gn_nonpresent_fini(struct gn_nonpresent *np)
{
    if (np)
        memset(np, 0, sizeof *np);
}

/** The page number of an address, if a marker can hold it. */
static int gfn_of(gn_gpa_t gpa, uint64_t *ret_gfn)
{
    if (gpa.v >> GN_PAGE_SHIFT > GFN_MASK)
        return -GN_ERR_RANGE;
    *ret_gfn = gpa.v >> GN_PAGE_SHIFT;
    return 0;
}

static uint32_t level_max(const struct gn_nonpresent *np)
{
    return np->guest == GN_NONPRESENT_GUEST_AARCH64 ? AARCH64_LEVEL_MAX : GN_NONPRESENT_LEVEL_MAX;
}

int gn_nonpresent_encode_absent(struct gn_nonpresent *np, uint32_t level, gn_gpa_t entry,
                                uint64_t *ret_value)
{
    uint64_t gfn;
    int r;

    if (!np || !ret_value || level > level_max(np))
        return -GN_ERR_INVAL;
    r = gfn_of(entry, &gfn);
    count(r ? &np->stats.refused : &np->stats.encoded_absent);
    if (r)
        return r;
    *ret_value =
        coder_put(&np->window.coder,
                  content_absent(level, gfn,
                                 __atomic_load_n(&np->generation[GN_NONPRESENT_GUEST_ABSENT],
                                                 __ATOMIC_ACQUIRE)));
    return 0;
}

int gn_nonpresent_encode_mmio(struct gn_nonpresent *np, gn_gpa_t page, uint32_t allow,
                              uint64_t *ret_value)
{
    uint64_t gfn;
    int r;

    if (!np || !ret_value || allow & ~GN_NONPRESENT_ALLOW_ALL)
        return -GN_ERR_INVAL;
    r = gfn_of(page, &gfn);
    count(r ? &np->stats.refused : &np->stats.encoded_mmio);
    if (r)
        return r;
    *ret_value = coder_put(
        &np->window.coder,
        content_mmio(allow, gfn,
                     __atomic_load_n(&np->generation[GN_NONPRESENT_MMIO], __ATOMIC_ACQUIRE)));
    return 0;
}

int gn_nonpresent_decode(uint32_t encoding, uint64_t entry, struct gn_nonpresent_marker *ret_marker)
{
    struct gn_nonpresent_coder coder;
    int r;

    if (!ret_marker)
        return -GN_ERR_INVAL;
    r = coder_make(encoding, &coder);
    if (r)
        return r;
    content_read(coder_get(&coder, entry), ret_marker);
    return 0;
}

int gn_nonpresent_encode(uint32_t encoding, const struct gn_nonpresent_marker *marker,
                         uint64_t *ret_value)
{
    struct gn_nonpresent_coder coder;
    uint64_t gfn, content;
    int r;

    if (!marker || !ret_value)
        return -GN_ERR_INVAL;
    r = coder_make(encoding, &coder);
    if (r)
        return r;
    if (marker->kind > GN_NONPRESENT_MMIO || marker->generation > GEN_MASK ||
        marker->level > GN_NONPRESENT_LEVEL_MAX || marker->allow & ~GN_NONPRESENT_ALLOW_ALL)
        return -GN_ERR_INVAL;
    if (marker->kind == GN_NONPRESENT_UNKNOWN) {
        *ret_value = 0;
        return 0;
    }
    r = gfn_of(marker->gpa, &gfn);
    if (r)
        return r;
    content = marker->kind == GN_NONPRESENT_MMIO
                  ? content_mmio(marker->allow, gfn, marker->generation)
                  : content_absent(marker->level, gfn, marker->generation);
    *ret_value = coder_put(&coder, content);
    return 0;
}

/** Has the marker a generation that is over? */
static int is_stale(const struct gn_nonpresent *np, uint32_t kind, uint64_t generation)
{
    return (generation & GEN_MASK) != __atomic_load_n(&np->generation[kind], __ATOMIC_ACQUIRE);
}

/** Returns the kind that holds for this access; counts why another does not. */
static uint32_t judge_absent(struct gn_nonpresent *np, uint64_t content, gn_gpa_t table)
{
    uint64_t *counter = &np->stats.hits;

    if (is_stale(np, GN_NONPRESENT_GUEST_ABSENT, content >> ABSENT_GEN_SHIFT))
        counter = &np->stats.absent_stale;
    else if (np->window.pending && np->window.pending(np->window.ctx, table))
        counter = &np->stats.disbelieved;
    count(counter);
    return counter == &np->stats.hits ? GN_NONPRESENT_GUEST_ABSENT : GN_NONPRESENT_UNKNOWN;
}

/* Pending writes are not asked for: this stands for a present translation, which a TLB may keep. */
static uint32_t judge_mmio(struct gn_nonpresent *np, uint64_t content, uint32_t access)
{
    const uint32_t need = (1u << (access & GN_NONPRESENT_ACCESS_KIND)) |
                          (access & GN_NONPRESENT_AS_USER ? GN_NONPRESENT_ALLOW_USER
                                                          : GN_NONPRESENT_ALLOW_SUPERVISOR);
    uint64_t *counter = &np->stats.mmio_hits;

    if (is_stale(np, GN_NONPRESENT_MMIO, content >> MMIO_GEN_SHIFT))
        counter = &np->stats.mmio_stale;
    else if (need & ~(uint32_t)(content >> ALLOW_SHIFT))
        counter = &np->stats.mmio_disallowed;
    count(counter);
    return counter == &np->stats.mmio_hits ? GN_NONPRESENT_MMIO : GN_NONPRESENT_UNKNOWN;
}

/* Member by member: a copy of a structure just built waits for its stores. */
static int answer(struct gn_nonpresent_answer *a, uint32_t kind, uint32_t code, uint32_t level,
                  uint32_t allow, gn_gpa_t page)
{
    a->kind = kind;
    a->code = code;
    a->level = level;
    a->allow = allow;
    a->gpa = page;
    return 0;
}

/** Of an entry that is no hit: a device, or why it is none. */
static int lookup_other(struct gn_nonpresent *np, uint64_t content, uint32_t access,
                        struct gn_nonpresent_answer *ret_answer)
{
    const uint32_t level = (uint32_t)(content >> LEVEL_SHIFT) & LEVEL_MASK;
    const uint32_t allow = (uint32_t)(content >> ALLOW_SHIFT) & GN_NONPRESENT_ALLOW_ALL;
    const gn_gpa_t page = gn_nonpresent_table(content);

    switch (content_kind(content)) {
    case GN_NONPRESENT_GUEST_ABSENT: /* nothing is pending any more, or it was bumped just now */
        if (judge_absent(np, content, page))
            return answer(ret_answer, GN_NONPRESENT_GUEST_ABSENT,
                          fault_code(np->guest, access, level), level, 0, page);
        break;
    case GN_NONPRESENT_MMIO:
        if (judge_mmio(np, content, access))
            return answer(ret_answer, GN_NONPRESENT_MMIO, 0, 0, allow, page);
        break;
    default: count(&np->stats.unknown);
    }
    return answer(ret_answer, GN_NONPRESENT_UNKNOWN, 0, 0, 0, gn_gpa(0));
}

int gn_nonpresent_lookup(struct gn_nonpresent *np, uint64_t entry, uint32_t access,
                         struct gn_nonpresent_answer *ret_answer)
{
    uint64_t content;
    uint32_t code;

    if (!np || !ret_answer || (access & GN_NONPRESENT_ACCESS_KIND) >= GN_ACCESS_KINDS)
        return -GN_ERR_INVAL;
    if (!gn_nonpresent_hit(&np->window, entry, access, &code))
        return lookup_other(np, coder_get(&np->window.coder, entry), access, ret_answer);
    content = gn_nonpresent_content(&np->window.coder, entry);
    return answer(ret_answer, GN_NONPRESENT_GUEST_ABSENT, code,
                  (uint32_t)(content >> LEVEL_SHIFT) & LEVEL_MASK, 0, gn_nonpresent_table(content));
}

int gn_nonpresent_bump(struct gn_nonpresent *np, uint32_t kind)
{
    uint32_t next;

    if (!np || (kind != GN_NONPRESENT_GUEST_ABSENT && kind != GN_NONPRESENT_MMIO))
        return -GN_ERR_INVAL;
    next = (np->generation[kind] + 1) & GEN_MASK;
    /* Release: who sees the new generation sees the slots, or the tracing, that it stands for. */
    __atomic_store_n(&np->generation[kind], next, __ATOMIC_RELEASE);
    __atomic_store_n(&np->window.value, window_value(np), __ATOMIC_RELEASE);
    count(kind == GN_NONPRESENT_MMIO ? &np->stats.mmio_generation : &np->stats.absent_generation);
    return next == 0;
}

int gn_nonpresent_stats_get(const struct gn_nonpresent *np, struct gn_nonpresent_stats *stats)
{
    const uint32_t size = stats ? stats->size : 0;
    uint64_t *to = stats ? &stats->encoded_absent : NULL;
    const uint64_t *from;
    size_t i;

    if (!np || size < sizeof *stats)
        return -GN_ERR_INVAL;
    memset(stats, 0, size);
    from = &np->stats.encoded_absent;
    for (i = 0; i < (sizeof *stats - offsetof(struct gn_nonpresent_stats, encoded_absent)) / 8; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    stats->hits += __atomic_load_n(&np->window.hits, __ATOMIC_RELAXED);
    stats->size = size;
    return 0;
}
