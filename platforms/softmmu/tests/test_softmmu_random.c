/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random tables, accesses, switches and invalidations, against a naive machine that has no TLB.
 * It remembers, for each page of each ASID, what the tables said at any time since the last
 * invalidation that covered it: an answer must be one of those. What was invalidated has one such
 * state left, that of the tables as they are.
 */

#include "machine.h"

#define ASIDS  5
#define GROUPS 3
#define PAGES  8 /* of a group */
#define POSTS  (GROUPS * PAGES)
#define STATES 12
#define STEPS  12000

/* Numbers that share places in the TLB, and that do not. */
static const uint32_t asids[ASIDS] = {1, 2, 17, 33, 4094};

/* What the tables say of a page: a leaf's rights and where it leads, or nothing. */
struct said {
    uint64_t hpa;
    uint32_t permissions;
    uint32_t outcome; /* DONE: a leaf, ABSENT, BAD_TABLE */
};

struct past {
    struct said said[STATES]; /* the last is the present */
    uint32_t count;
    uint32_t writable; /* from this one on, what writes may find */
};

struct world {
    struct machine *m;
    uint64_t seed;
    uint64_t root[ASIDS];
    struct past past[ASIDS][POSTS];
    uint32_t current[2]; /* ASID of a virtual CPU's ports */
    uint32_t view[2];    /* and view */
    uint32_t mxr[2];
    uint32_t controls;            /* x86, the same on both */
    uint64_t *broken, broken_was; /* a table entry that is to be put back */
    uint64_t hits, stale, denied;
};

static uint32_t below(struct world *w, uint32_t n)
{
    return (uint32_t)((gn_test_random(&w->seed) >> 33) % n);
}

/* Groups lie in two tables of 2 MiB and at the top of the address space. */
static uint64_t post_gva(int post)
{
    static const uint64_t base[GROUPS] = {0x401fc000, 0x3fc0000000, ~0x7fffull};

    return base[post / PAGES] + ((uint64_t)(post % PAGES) << 12);
}

/* A walk by the manuals' letters, entry by entry; shares no code with the MMU. */
static struct said naive_walk(const struct machine *m, uint64_t root, uint64_t gva)
{
    const int x86 = machine_is_x86(m);
    uint32_t all = W | X | U;
    uint64_t table = root;

    for (int level = (int)m->geometry.levels - 1; level >= 0; level--) {
        uint64_t e, address, offset = ((uint64_t)1 << (12 + 9 * level)) - 1;
        uint32_t p;
        int leaf;

        if (table >= MEMORY_SIZE)
            return (struct said){0, 0, GN_MMU_BAD_TABLE};
        e = *(const uint64_t *)(m->memory + table + (gva >> (12 + 9 * level) & 511) * 8);
        if (!(e & 1))
            return (struct said){0, 0, GN_MMU_ABSENT};
        leaf = x86 ? level == 0 || e & 0x80 : (e & 0xe) != 0;
        address = x86 ? e & 0xffffffffff000ull : e >> 10 << 12;
        p = x86 ? R | (e & 2 ? W : 0) | (e >> 63 ? 0 : X) | (e & 4 ? U : 0)
                : (e & 2 ? R : 0) | (e & 4 ? W : 0) | (e & 8 ? X : 0) | (e & 16 ? U : 0);
        if (x86)
            p = all &= p;
        if (leaf) {
            uint64_t hpa = (address & ~offset) | (gva & offset);

            if (hpa >= MEMORY_SIZE)
                return (struct said){0, 0, GN_MMU_BAD_TABLE};
            p |= x86 ? R | (e >> 9 & 1 ? TRACED : 0) : e >> 8 & 1 ? TRACED : 0;
            return (struct said){hpa, p, GN_MMU_DONE};
        }
        table = address;
    }
    return (struct said){0, 0, GN_MMU_BAD_TABLE};
}

/* The tables changed: every page's present is noted. Without room for it, all is invalidated. */
static void note(struct world *w)
{
    int full = 0;

    for (int a = 0; a < ASIDS; a++)
        for (int post = 0; post < POSTS; post++) {
            struct past *past = &w->past[a][post];
            struct said now = naive_walk(w->m, w->root[a], post_gva(post));

            if (past->count && !memcmp(&past->said[past->count - 1], &now, sizeof now))
                continue;
            past->said[past->count++] = now;
            full |= past->count == STATES;
        }
    if (!full)
        return;
    gn_softmmu_invalidate_all(w->m->mmu);
    for (int a = 0; a < ASIDS; a++)
        for (int post = 0; post < POSTS; post++) {
            struct past *past = &w->past[a][post];

            past->said[0] = past->said[past->count - 1];
            past->count = 1;
            past->writable = 0;
        }
}

static void forget(struct world *w, uint32_t asid, uint64_t first, uint64_t last, int writes)
{
    for (int a = 0; a < ASIDS; a++)
        for (int post = 0; post < POSTS; post++) {
            struct past *past = &w->past[a][post];
            uint64_t gva = post_gva(post);

            if ((asid != asids[a] && asid != GN_MMU_ASID_ANY) || gva > last ||
                (gva | GN_PAGE_MASK) < first)
                continue;
            if (writes) {
                past->writable = past->count - 1;
                continue;
            }
            past->said[0] = past->said[past->count - 1];
            past->count = 1;
            past->writable = 0;
        }
}

static void invalidate(struct world *w)
{
    uint32_t asid = below(w, 8) ? asids[below(w, ASIDS)] : GN_MMU_ASID_ANY;
    uint32_t pages = below(w, 2) ? 1 + below(w, 3) : below(w, 200);
    uint64_t first = post_gva((int)below(w, POSTS)) + below(w, 4096), length, last;
    int writes;

    switch (below(w, 12)) {
    case 0:
        gn_softmmu_invalidate_all(w->m->mmu);
        forget(w, GN_MMU_ASID_ANY, 0, UINT64_MAX, 0);
        return;
    case 1:
        gn_softmmu_invalidate_asid(w->m->mmu, asid);
        forget(w, asid, 0, UINT64_MAX, 0);
        return;
    default:
        writes = (int)below(w, 3) == 0;
        length = ((uint64_t)pages << 12) + 1 + below(w, 4096);
        last = first + length - 1;
        if (writes)
            gn_softmmu_invalidate_writes(w->m->mmu, asid, gn_gva(first), length);
        else
            gn_softmmu_invalidate_range(w->m->mmu, asid, gn_gva(first), length);
        forget(w, asid, first, last < first ? UINT64_MAX : last, writes);
    }
}

static uint32_t random_permissions(struct world *w)
{
    uint32_t p = (below(w, 2) ? R | W | X | U : below(w, 16)) | (below(w, 3) ? 0 : TRACED);

    if (machine_is_x86(w->m))
        return p | R;
    if (!(p & (R | X)) || (p & (R | W)) == W)
        p |= R;
    return p;
}

/* A table entry gives way to a large leaf or to nothing, or loses rights: until the next change. */
static void break_table(struct world *w, uint64_t *entry)
{
    w->broken = entry;
    w->broken_was = *entry;
    if (!below(w, 4))
        *entry = 0;
    else if (machine_is_x86(w->m) && below(w, 2))
        *entry ^= below(w, 2) ? 2 : 4;
    else
        *entry = machine_encode(w->m, 1, GN_PAGING_ENTRY_LEAF, random_permissions(w),
                                (uint64_t)below(w, 4) << 21);
}

static void change(struct world *w)
{
    uint64_t root = w->root[below(w, ASIDS)], gva = post_gva((int)below(w, POSTS));
    uint64_t hpa = (uint64_t)below(w, 2048) << 12;

    if (w->broken) {
        *w->broken = w->broken_was;
        w->broken = NULL;
    } else if (!below(w, 8)) {
        break_table(w, machine_entry(w->m, root, gva, 1));
    } else if (!below(w, 6)) {
        *machine_entry(w->m, root, gva, 0) =
            below(w, 2) ? 0 : gn_test_random(&w->seed) & ~(uint64_t)1;
    } else {
        machine_map(w->m, root, gva, below(w, 20) ? hpa : hpa + MEMORY_SIZE, random_permissions(w));
    }
}

static void switch_context(struct world *w, uint32_t vcpu)
{
    uint32_t a = below(w, ASIDS);
    struct gn_softmmu_context c = {GN_SOFTMMU_CONTEXT_INIT, .asid = asids[a],
                                   .root = gn_hpa(w->root[a]), .view = below(w, GN_SOFTMMU_VIEWS),
                                   .mxr = below(w, 2)};

    c.controls = w->controls;
    w->current[vcpu] = a;
    w->view[vcpu] = c.view;
    w->mxr[vcpu] = c.mxr;
    for (uint32_t port = 0; port < 2; port++)
        assert_int_equal(gn_softmmu_context_set(w->m->mmu, vcpu, port, &c), 0);
}

static int permits(const struct world *w, uint32_t vcpu, uint32_t permissions, uint32_t kind)
{
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = w->m->format};

    c.controls = w->controls | (w->mxr[vcpu] ? GN_PAGING_RISCV_MXR : 0);
    if (w->view[vcpu] == GN_SOFTMMU_VIEW_SUM)
        c.controls |= GN_PAGING_RISCV_SUM | GN_PAGING_X86_AC;
    return gn_paging_allows(&c, permissions,
                            kind | (w->view[vcpu] == GN_SOFTMMU_VIEW_USER ? GN_PAGING_AS_USER : 0));
}

/* Could a TLB that holds any of the past states, or none, have answered so? */
static int believable(const struct world *w, uint32_t vcpu, const struct past *past, uint64_t gva,
                      uint32_t kind, const struct gn_softmmu_answer *r, int cached)
{
    const struct said *now = &past->said[past->count - 1];

    if (r->mmu.outcome == GN_MMU_DONE) {
        for (uint32_t i = past->count; i-- > (kind == WRITE ? past->writable : 0);) {
            const struct said *s = &past->said[i];

            if (s->outcome == GN_MMU_DONE && s->hpa + (gva & GN_PAGE_MASK) == r->hpa.v &&
                permits(w, vcpu, s->permissions, kind) &&
                r->traced == (kind == WRITE && s->permissions & TRACED))
                return 1;
        }
        return 0;
    }
    /* Refusals are not cached: they tell of the tables as they are. */
    if (cached || now->outcome == GN_MMU_DONE)
        return !cached && r->mmu.outcome == GN_MMU_DENIED &&
               !permits(w, vcpu, now->permissions, kind);
    return r->mmu.outcome == now->outcome;
}

static void access_one(struct world *w)
{
    uint32_t vcpu = below(w, 2), kind = below(w, GN_ACCESS_KINDS);
    int post = (int)below(w, POSTS);
    uint64_t gva = post_gva(post) + below(w, 4089);
    const struct past *past = &w->past[w->current[vcpu]][post];
    uint8_t *host = machine_probe(w->m, vcpu, gva, kind);
    struct gn_softmmu_answer r;

    memset(&r, 0, sizeof r);
    if (host) {
        r.hpa = gn_hpa((uint64_t)(host - w->m->memory));
        w->hits++;
        w->stale += past->count > 1;
        if (believable(w, vcpu, past, gva, kind, &r, 1))
            return;
    } else {
        r = machine_access(w->m, vcpu, gva, kind, 8);
        w->denied += r.mmu.outcome == GN_MMU_DENIED;
        if (believable(w, vcpu, past, gva, kind, &r, 0))
            return;
    }
    print_error(
        "gva %llx vcpu %u asid %u access %u view %u: outcome %u hpa %llx traced %u; of %u\n",
        (unsigned long long)gva, vcpu, asids[w->current[vcpu]], kind, w->view[vcpu], r.mmu.outcome,
        (unsigned long long)r.hpa.v, r.traced, past->count);
    fail();
}

static void run(uint32_t format, uint32_t tlb_entries, uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->m = machine_new(format, 2, tlb_entries);
    w->seed = seed;
    if (machine_is_x86(w->m))
        w->controls = GN_PAGING_X86_NXE | (below(w, 2) ? GN_PAGING_X86_WP : 0) |
                      (below(w, 2) ? GN_PAGING_X86_SMEP | GN_PAGING_X86_SMAP : 0);
    for (int a = 0; a < ASIDS; a++)
        w->root[a] = machine_table(w->m);
    for (int i = 0; i < 400; i++)
        change(w);
    note(w);
    forget(w, GN_MMU_ASID_ANY, 0, UINT64_MAX, 0);
    switch_context(w, 0);
    switch_context(w, 1);
    for (int step = 0; step < STEPS; step++)
        switch (below(w, 64)) {
        case 0:
        case 1:
            change(w);
            note(w);
            break;
        case 2:
        case 3:
        case 4: invalidate(w); break;
        case 5: switch_context(w, below(w, 2)); break;
        default: access_one(w);
        }
    assert_true(w->hits > STEPS / 20);
    assert_true(w->stale > 0);
    assert_true(w->denied > 0);
    machine_free(w->m);
    free(w);
}

static void answers_are_what_the_tables_say_or_said_since_the_last_invalidation(void **state)
{
    static const uint32_t formats[] = {GN_PAGING_SV39, GN_PAGING_SV57, GN_PAGING_X86_4LEVEL,
                                       GN_PAGING_X86_5LEVEL};
    uint64_t seed = gn_test_seed();

    (void)state;
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++)
        for (uint32_t entries = 64; entries <= 4096; entries *= 8)
            run(formats[f], entries, seed + f * 2 + (uint64_t)entries * 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_what_the_tables_say_or_said_since_the_last_invalidation),
    };

    return cmocka_run_group_tests_name("softmmu: random", tests, NULL, NULL);
}
