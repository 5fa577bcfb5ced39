/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>

#include "fuzz.h"

/* The adversary's TLB: which results an access may have. */

struct search {
    struct world *w;
    struct oracle o;
    uint64_t gva;
    const struct result *result;
    int old_faults;    /**< an absence may be remembered until the flush */
    int unused;        /**< a table's entry on the way has no A bit: such a walk ends in a fault */
    uint64_t since[2]; /**< last flush that covers a leaf, a table's entry */
    uint64_t globals[2]; /**< the same for global translations */
};

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/*
 * RISC-V: SFENCE.VMA with rs1 orders leaf entries alone; one with rs2 leaves globals. INVLPG drops
 * all that translates the address, globals too, and what is cached of tables (SDM §4.10.4.1).
 * INVPCID leaves globals unless it is of type 2. AArch64's TLBI VAE1 and VAAE1 do as INVLPG does
 * (Arm DDI 0487 D8.13), ASIDE1 leaves globals.
 */
static void search_since(struct search *s, const struct vcpu *v)
{
    uint64_t leaf = v->flushed_all;
    uint64_t global = v->flushed_all;

    for (uint32_t i = 0; i < ADDRESSES; i++) {
        const struct flushed *f = &v->flushed[i];

        if (f->page != s->gva >> GN_PAGE_SHIFT || !f->time)
            continue;
        if (f->space == SPACES || f->space == v->space)
            leaf = later(leaf, f->time);
        if (f->globals)
            global = later(global, f->time);
    }
    s->since[0] = later(leaf, v->flushed_space[v->space]);
    s->globals[0] = global;
    s->since[1] =
        s->o.family == 'r' ? later(v->flushed_all, v->flushed_space[v->space]) : s->since[0];
    s->globals[1] = s->o.family == 'r' ? v->flushed_all : global;
}

/*
 * AArch64: a page is one exception level's to read; where it is the other's to run, an x86 entry
 * cannot say that he may not read it. And with EPAN, EL1 is denied what EL0 may run: by PAN, which
 * changes without a word.
 */
static int beyond_arm(const struct search *s, const struct oracle_path *path, uint64_t leaf)
{
    int user = oracle_bit(leaf, 6) && path->u;
    int user_runs = !oracle_bit(leaf, 54) && path->ux;

    if (!user && user_runs && s->o.epan)
        return s->o.op != 'x' || s->w->shadow_x86;
    return s->w->shadow_x86 && s->o.op == 'x' && s->o.user != user;
}

/*
 * What no entry of the shadow's can allow alone, so that the embedder is asked to perform it: an
 * x86 entry cannot forbid to read, and none lets supervisors alone, with AC, write past R/W = 0.
 * None at all is for an address that the MMU cannot be asked for.
 */
static int beyond_entries(const struct search *s, const struct oracle_path *path, uint64_t leaf)
{
    if (!path)
        return 0;
    if (s->o.family == 'a')
        return beyond_arm(s, path, leaf);
    if (s->o.family == 'r')
        return s->w->shadow_x86 && s->o.op == 'x' && !(leaf >> 1 & 1) && !s->o.mxr;
    return s->o.op == 'w' && (!s->o.user || s->o.implicit) && !s->o.wp && s->o.smap && path->u &&
           !path->w;
}

/* Can the MMU be asked for it? */
static int in_width(const struct world *w, uint64_t gva)
{
    uint32_t sign = 64 - (12 + 9 * (uint32_t)w->shadow_levels);

    return (uint64_t)((int64_t)(gva << sign) >> sign) == gva;
}

/* `path` is NULL without translation. */
static int leads_to(const struct search *s, const struct oracle_path *path, uint64_t leaf,
                    uint64_t gpa)
{
    const struct gn_shadow_slot *slot = slot_at(s->w, gpa);
    const struct result *r = s->result;

    if (r->outcome == GN_SHADOW_GUEST_FAULT || r->gpa != gpa)
        return 0;
    if (!slot)
        return r->outcome == GN_SHADOW_HOLE;
    if (slot->kind == GN_SHADOW_SLOT_MMIO)
        return r->outcome == GN_SHADOW_MMIO;
    if (slot->kind == GN_SHADOW_SLOT_ROM && s->o.op == 'w')
        return r->outcome == GN_SHADOW_ROM_WRITE;
    if (path && !in_width(s->w, s->gva))
        return r->outcome == GN_SHADOW_EMULATE;
    if (r->outcome == GN_SHADOW_EMULATE)
        return beyond_entries(s, path, leaf);
    return (r->outcome == GN_SHADOW_FILLED && !beyond_entries(s, path, leaf)) ||
           (r->outcome == GN_SHADOW_TRAPPED && s->o.op == 'w' &&
            s->w->c.policy != GN_SHADOW_POLICY_TRACED);
}

static int faults(const struct search *s, uint32_t fault, unsigned code)
{
    return s->result->outcome == GN_SHADOW_GUEST_FAULT && s->result->fault == fault &&
           s->result->code == code;
}

static int search_level(struct search *s, int level, uint64_t base, struct oracle_path path);

/* Can the walk that finds this value, in an entry that may be left alone (ROM), end so? */
static int search_value(struct search *s, int level, uint64_t value, int old, int rom,
                        uint64_t until, struct oracle_path path)
{
    uint64_t base = 0;
    uint64_t wanted;
    unsigned code;
    enum oracle_step step = oracle_step(&s->o, &path, level, value, &base);
    uint64_t since = (path.g ? s->globals : s->since)[step == ORACLE_TABLE || level > 0];

    if (step == ORACLE_LEAF)
        since = (path.g ? s->globals : s->since)[0];
    if (old && until <= since)
        return 0;
    if (step == ORACLE_TABLE) {
        int unused = s->unused;
        int found;

        if (!rom && oracle_passed(&s->o, level, value) != value)
            s->unused = 1;
        found = (!old || unused == s->unused) && search_level(s, level - 1, base, path);
        s->unused = unused;
        return found;
    }
    if (step != ORACLE_LEAF)
        return (!old || s->old_faults) &&
               faults(s, GN_PAGING_FAULT_PAGE, oracle_code(&s->o, step, level));
    if (!oracle_judge(&s->o, &path, level, value, &code, &wanted))
        return (!old || s->old_faults) && faults(s, GN_PAGING_FAULT_PAGE, code);
    /* A and D are there before anything is cached: a value without them is of no use. */
    return !s->unused && (rom || wanted == value) &&
           leads_to(s, &path, value, oracle_address(&s->o, level, base, s->gva));
}

static int search_level(struct search *s, int level, uint64_t base, struct oracle_path path)
{
    uint64_t at = oracle_at(&s->o, level, base, s->gva);
    const struct gn_shadow_slot *slot = slot_at(s->w, at);
    int rom = slot && slot->kind == GN_SHADOW_SLOT_ROM;
    uint64_t value;

    if (!memory_load(s->w, at, &value))
        return faults(s, GN_PAGING_FAULT_ACCESS, oracle_access_code(&s->o, level));
    if (search_value(s, level, oracle_entry(&s->o, at, value), 0, rom, 0, path))
        return 1;
    for (uint32_t i = s->w->history[at / 8]; i; i = s->w->version[i].next)
        if (search_value(s, level, oracle_entry(&s->o, at, s->w->version[i].value), 1, rom,
                         s->w->version[i].to, path))
            return 1;
    return 0;
}

static int search(struct world *w, uint32_t vcpu, uint64_t gva, uint32_t controls, uint32_t access,
                  const struct result *result)
{
    const struct vcpu *v = &w->vcpu[vcpu];
    struct search s = {.w = w, .gva = gva, .result = result};

    oracle_init(&s.o, w->c.guest, controls, access);
    s.old_faults = w->c.markers == GN_NONPRESENT_RULE_FENCED;
    if (v->space == BARE)
        return leads_to(&s, NULL, 0, gva);
    if (!oracle_canonical(&s.o, gva))
        return s.o.family == 'x' ? faults(&s, GN_PAGING_FAULT_NONCANONICAL, 0)
                                 : faults(&s, GN_PAGING_FAULT_PAGE,
                                          oracle_code(&s.o, ORACLE_ABSENT, s.o.levels - 1));
    search_since(&s, v);
    return search_level(&s, s.o.levels - 1,
                        oracle_half(&s.o, gva) ? space_root_high(v->space) : space_root(v->space),
                        ORACLE_PATH);
}

struct oracle_result model_fresh(struct world *w, uint32_t vcpu, uint64_t gva, uint32_t access)
{
    const struct vcpu *v = &w->vcpu[vcpu];
    struct oracle o;

    if (v->space == BARE)
        return (struct oracle_result){.kind = ORACLE_OK, .pa = gva};
    oracle_init(&o, w->c.guest, v->controls, access);
    return oracle_walk(&o, (uint64_t[]){space_root(v->space), space_root_high(v->space)}, gva,
                       memory_load, w);
}

/* A and D are set for an access that succeeds, where it passes, and nothing else is. */
static void check_swaps(const struct world *w, uint64_t gva, const struct oracle_result *fresh)
{
    for (uint32_t i = 0; i < w->swaps; i++) {
        uint64_t both = 0;
        int found = 0;

        for (int level = fresh->level; level < w->levels; level++) {
            if (fresh->at[level] != w->swap[i].gpa)
                continue;
            /* A table that maps itself is passed more than once. */
            both |= fresh->value[level];
            found |= w->swap[i].value == fresh->value[level];
        }
        if (fresh->kind != ORACLE_OK || (!found && w->swap[i].value != both))
            fail("A or D wrongly set: entry %#" PRIx64 " is %#" PRIx64 " after an access at "
                 "%#" PRIx64,
                 w->swap[i].gpa, w->swap[i].value, gva);
    }
}

void model_check(struct world *w, uint32_t vcpu, uint64_t gva, uint32_t access,
                 const struct oracle_result *fresh, const struct result *r)
{
    check_swaps(w, gva, fresh);
    if (search(w, vcpu, gva, w->vcpu[vcpu].controls, access, r))
        return;
    fail("vcpu %" PRIu32 " space %" PRIu32 " gva %#" PRIx64 " access %#" PRIx32
         " controls %#" PRIx32 ": outcome %" PRIu32 " fault %" PRIu32 " code %#" PRIx32
         " gpa %#" PRIx64 "%s may not be; "
         "the tables say kind %d code %#x gpa %#" PRIx64 " level %d entry %#" PRIx64,
         vcpu, w->vcpu[vcpu].space, gva, access, w->vcpu[vcpu].controls, r->outcome, r->fault,
         r->code, r->gpa, r->marker ? " (a marker's)" : "", fresh->kind, fresh->code, fresh->pa,
         fresh->level, fresh->value[fresh->level]);
}

void model_flush(struct world *w, uint32_t vcpu, uint32_t space, const uint64_t *gva, int globals,
                 uint64_t time)
{
    struct vcpu *v = &w->vcpu[vcpu];

    if (gva) {
        v->flushed[v->flushed_next++ % ADDRESSES] = (struct flushed){
            .page = *gva >> GN_PAGE_SHIFT, .time = time, .space = space, .globals = globals != 0};
    } else if (globals) {
        v->flushed_all = time;
    } else {
        for (uint32_t i = 0; i < SPACES; i++)
            if (space == SPACES || space == i)
                v->flushed_space[i] = time;
    }
}

/* ---- Looking into the TLB ----------------------------------------------------------------- */

struct sweep {
    struct world *w;
    uint32_t vcpu;
    uint64_t gpa; /* model_unmapped(): the range that must be gone */
    uint64_t length;
};

static uint64_t cached_gpa(const struct world *w, const struct gn_softmmu_cached *c)
{
    return c->hpa.v - w->ram_hpa;
}

/* Of an ID that somebody has: what is under a dirty one is purged before its reuse. */
static int cached_live(const struct world *w, const struct gn_softmmu_cached *c)
{
    struct gn_asid_info info;

    return gn_asid_query(w->asid, c->asid, &info) == 0 && info.state == GN_ASID_STATE_USED;
}

/*
 * A cached entry that lets writes pass unseen must not be of a page that holds tables. Which pages
 * are unsync is the shadow's own business: what it costs to be wrong there shows in results.
 */
static void sweep_trace(struct world *w, const struct gn_softmmu_cached *c)
{
    if (c->access == GN_ACCESS_WRITE && !c->traced && w->watched[cached_gpa(w, c) >> GN_PAGE_SHIFT])
        fail("a watched page is writable unseen: gva %#" PRIx64 " gpa %#" PRIx64, c->gva.v,
             cached_gpa(w, c));
    if (w->c.policy == GN_SHADOW_POLICY_UNSYNC ||
        (w->c.policy == GN_SHADOW_POLICY_ADAPT && !w->c.flags))
        return;
    if (c->access == GN_ACCESS_WRITE && !c->traced &&
        gn_shadow_is_table(w->shadow, gn_gpa(cached_gpa(w, c))))
        fail("a table page is writable unseen: gva %#" PRIx64 " gpa %#" PRIx64, c->gva.v,
             cached_gpa(w, c));
}

/* Would this entry serve that access of the guest's? */
static int cached_serves(const struct world *w, const struct gn_softmmu_cached *e, uint32_t space,
                         uint32_t controls, uint32_t access)
{
    uint32_t c = gn_shadow_mmu_controls(w->shadow, world_format(w, space), controls, access);
    uint32_t view = GN_SOFTMMU_VIEW_SUPERVISOR;
    int implicit = (access & GN_PAGING_IMPLICIT) != 0;

    if (implicit)
        c &= ~GN_PAGING_X86_AC;
    if (access & GN_PAGING_AS_USER && !implicit)
        view = GN_SOFTMMU_VIEW_USER;
    else if (c & (w->shadow_x86 ? GN_PAGING_X86_AC : GN_PAGING_RISCV_SUM))
        view = GN_SOFTMMU_VIEW_SUM;
    return e->access == (access & GN_PAGING_ACCESS_KIND) && e->view == view &&
           e->mxr == ((c & GN_PAGING_RISCV_MXR) != 0);
}

/* Whatever the guest may change without a word to anybody. */
static void sweep_rights(struct world *w, uint32_t vcpu, const struct gn_softmmu_cached *c)
{
    static const uint32_t x86[] = {0, GN_PAGING_X86_AC};
    static const uint32_t riscv[] = {0, GN_PAGING_RISCV_SUM, GN_PAGING_RISCV_MXR,
                                     GN_PAGING_RISCV_SUM | GN_PAGING_RISCV_MXR};
    static const uint32_t arm[] = {0, GN_PAGING_AARCH64_PAN};
    static const uint32_t how[] = {0, GN_PAGING_AS_USER, GN_PAGING_IMPLICIT,
                                   GN_PAGING_IMPLICIT | GN_PAGING_AS_USER};
    const struct result done = {.outcome = GN_SHADOW_FILLED, .gpa = cached_gpa(w, c)};

    for (uint32_t i = 0; i < 4 * 4; i++) {
        uint32_t changed = w->x86 ? x86[i / 4 % 2] : w->arm ? arm[i / 4 % 2] : riscv[i / 4];
        uint32_t controls = w->vcpu[vcpu].controls ^ changed;
        uint32_t access = c->access | how[i % 4];

        if (access & GN_PAGING_IMPLICIT && (!w->x86 || c->access == GN_ACCESS_EXEC))
            continue;
        /* An x86 MMU knows no MXR: it is a part of the root's key there. */
        if (w->shadow_x86 && (controls ^ w->vcpu[vcpu].controls) & GN_PAGING_RISCV_MXR)
            continue;
        if (cached_serves(w, c, w->vcpu[vcpu].space, controls, access) &&
            !search(w, vcpu, c->gva.v, controls, access, &done))
            fail("the TLB of vcpu %" PRIu32 " leads from %#" PRIx64 " to %#" PRIx64
                 " in space %" PRIu32 " for access %#" PRIx32 " controls %#" PRIx32
                 ", which may not be",
                 vcpu, c->gva.v, done.gpa, w->vcpu[vcpu].space, access, controls);
    }
}

static void sweep_one(void *ctx, const struct gn_softmmu_cached *c)
{
    const struct sweep *s = ctx;

    if (!cached_live(s->w, c))
        return;
    sweep_trace(s->w, c);
    if (c->asid == s->w->vcpu[s->vcpu].asid)
        sweep_rights(s->w, s->vcpu, c);
}

void model_sweep(struct world *w, uint32_t vcpu)
{
    struct sweep s = {.w = w, .vcpu = vcpu};
    uint32_t index;
    const struct gn_softmmu *mmu = mmu_of(w, vcpu, &index);

    gn_softmmu_each(mmu, index, sweep_one, &s);
}

static void unmapped_one(void *ctx, const struct gn_softmmu_cached *c)
{
    const struct sweep *s = ctx;

    if (cached_live(s->w, c) && cached_gpa(s->w, c) - s->gpa < s->length)
        fail("a page is mapped that was taken away: %#" PRIx64, cached_gpa(s->w, c));
}

/* The host took these pages away. */
void model_unmapped(struct world *w, uint64_t gpa, uint64_t length)
{
    struct sweep s = {.w = w, .gpa = gpa, .length = length};

    for (uint32_t v = 0; v < VCPUS; v++) {
        uint32_t index;
        const struct gn_softmmu *mmu = mmu_of(w, v, &index);

        gn_softmmu_each(mmu, index, unmapped_one, &s);
    }
}
