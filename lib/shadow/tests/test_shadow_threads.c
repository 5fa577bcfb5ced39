/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Virtual CPUs as threads on one shadow: each faults, writes entries of the guest's tables,
 * flushes, changes its address space, while others do the same, and take pages, slots and dirty
 * bits away. What a CPU sees is held against versions of the entries, see threads.h; the shadow is
 * audited whenever all stand still. GN_TEST_SEED sets the seed, which decides what is done but not
 * when; GN_TEST_OPS the operations of a CPU in a configuration; GNOMON_SOAK runs fifty times as
 * many.
 */

#include "seen.h"
#include "threads_setup.h"

#define OPS_DEFAULT 4000u
#define ROUND       250u

static pthread_mutex_t drains = PTHREAD_MUTEX_INITIALIZER;

/* ---- Guest code -------------------------------------------------------------------------------
 */

static uint64_t address(uint32_t i, uint32_t e)
{
    return AREA + ((uint64_t)i << 21) + ((uint64_t)e << 12);
}

/* One try of an access. @return whether the MMU has said what becomes of it */
static int run_access(struct cpu *c, struct seen *s)
{
    struct world *w = c->w;
    uint64_t marker;
    const struct line *l = cpu_translate(c, address(s->i, s->e), &marker);

    if (!l) {
        int device = (marker & MARKER_DEVICE) != 0;

        /* Whether a device may be written, the entry says, which is the library's to read. */
        s->outcome = device ? SEEN_DEVICE : SEEN_MARKER;
        s->gpa = device ? marker >> 8 : 0;
        return marker & MARKER_ABSENT || (device && !s->write);
    }
    if (s->write && !(l->permissions & GN_PAGING_W))
        return 0;
    s->outcome = SEEN_PAGE;
    s->gpa = l->hpa - HOST;
    if (s->write)
        __atomic_store_n(&w->written[(s->gpa - DATA) >> GN_PAGE_SHIFT], get(&w->epoch),
                         __ATOMIC_RELEASE);
    return 1;
}

/* Asks the library. @return its outcome; FILLED, too, if it is to be asked again */
static uint32_t ask(struct cpu *c, uint64_t gva, uint32_t access, struct gn_shadow_answer *ret)
{
    struct gn_shadow_access a = {GN_SHADOW_ACCESS_INIT, .root = c->root.id,   .gva = gn_gva(gva),
                                 .access = access,      .controls = CONTROLS, .vcpu = c->number};
    int rc = gn_shadow_fault(c->w->sh, &a, ret);

    if (rc == -GN_ERR_AGAIN)
        return GN_SHADOW_FILLED;
    MUST(c->w, rc);
    return ret->outcome;
}

static void op_access(struct cpu *c)
{
    struct world *w = c->w;
    struct seen s = {.write = cpu_dice(c, 2),
                     .space = c->space,
                     .i = cpu_dice(c, MIDS),
                     .e = cpu_dice(c, CELLS),
                     .sparse = get(&w->sparse)};
    uint32_t access = s.write ? GN_ACCESS_WRITE : GN_ACCESS_READ;

    s.from = c->bound[s.space][s.i][s.e];
    /* Under TRAP, what has been reported is true at once, of every CPU. */
    if (w->policy == GN_SHADOW_POLICY_TRAP)
        bound_done(w, &s.from, s.space, s.i, s.e);
    for (;;) {
        struct gn_shadow_answer answer = {0};
        uint32_t outcome;
        int done;

        pthread_mutex_lock(&c->run);
        done = run_access(c, &s);
        pthread_mutex_unlock(&c->run);
        if (done)
            break;
        outcome = ask(c, address(s.i, s.e), access, &answer);
        if (outcome == GN_SHADOW_FILLED)
            continue;
        s.gpa = answer.gpa.v;
        s.outcome = outcome == GN_SHADOW_HOLE   ? SEEN_HOLE
                    : outcome == GN_SHADOW_MMIO ? SEEN_DEVICE
                                                : SEEN_DENIED;
        if (s.outcome == SEEN_DENIED && outcome != GN_SHADOW_GUEST_FAULT)
            wrong(w, "outcome %u", outcome);
        break;
    }
    judge(c, &s);
}

/* ---- Reports ------------------------------------------------------------------------------------
 */

/* Another one's flush may not end before what this one took out of the log is synced. */
static void drain(struct world *w)
{
    pthread_mutex_lock(&drains);
    for (uint32_t i = 0; i < CPUS; i++) {
        struct cpu *c = &w->cpu[i];
        uint64_t log[LOG];
        uint32_t n;

        pthread_mutex_lock(&c->log_mutex);
        n = c->logged;
        memcpy(log, c->log, n * sizeof *log);
        c->logged = 0;
        pthread_mutex_unlock(&c->log_mutex);
        for (uint32_t r = 0; r < n; r++)
            MUST(w, gn_shadow_sync(w->sh, gn_gpa(log[r]), 8));
    }
    pthread_mutex_unlock(&drains);
}

/* The store through the MMU. @return whether it was made */
static int run_store(struct cpu *c, uint64_t gpa, uint64_t value)
{
    struct world *w = c->w;
    uint64_t marker;
    const struct line *l = cpu_translate(c, LINEAR + gpa, &marker);

    if (!l || !(l->permissions & GN_PAGING_W))
        return 0;
    if (l->hpa != HOST + (gpa & ~GN_PAGE_MASK))
        wrong(w, "table page %llx is at %llx", (unsigned long long)gpa, (unsigned long long)l->hpa);
    __atomic_store_n(&w->ram[gpa / 8], value, __ATOMIC_RELEASE);
    if (l->permissions & GN_SHADOW_TRACED) {
        pthread_mutex_lock(&c->log_mutex);
        c->log[c->logged++] = gpa;
        pthread_mutex_unlock(&c->log_mutex);
    }
    return 1;
}

/* The guest stores an entry through its mapping of the table, or a device does. */
static void store(struct cpu *c, uint64_t gpa, uint64_t value)
{
    struct world *w = c->w;
    int by_hand = cpu_dice(c, 8) == 0;
    int done = 0;

    while (!done && !by_hand) {
        struct gn_shadow_answer answer;

        pthread_mutex_lock(&c->log_mutex);
        done = c->logged >= LOG - 1;
        pthread_mutex_unlock(&c->log_mutex);
        if (done)
            drain(w);
        pthread_mutex_lock(&c->run);
        done = run_store(c, gpa, value);
        pthread_mutex_unlock(&c->run);
        if (done)
            break;
        by_hand = ask(c, LINEAR + gpa, GN_ACCESS_WRITE, &answer) == GN_SHADOW_TRAPPED;
    }
    if (!by_hand)
        return;
    __atomic_store_n(&w->ram[gpa / 8], value, __ATOMIC_RELEASE);
    MUST(w, gn_shadow_sync(w->sh, gn_gpa(gpa), 8));
}

static void op_store(struct cpu *c, int mid)
{
    struct world *w = c->w;
    uint32_t table = cpu_dice(c, mid ? SPACES : TABLES);
    uint32_t e = cpu_dice(c, mid ? MIDS : CELLS);
    struct cell *cell = mid ? &w->mid_cell[table][e] : &w->leaf_cell[table][e];
    uint32_t version;

    pthread_mutex_lock(&cell->writers);
    version = cell->begun + 1;
    __atomic_store_n(&cell->begun, version, __ATOMIC_RELEASE);
    if (mid)
        store(c, w->mid[table] + 8 * e, mid_value(w, table, e, version));
    else
        store(c, w->leaf[table] + 8 * e, leaf_value(w, table, e, version));
    __atomic_store_n(&cell->done, version, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&cell->writers);
}

/* ---- Flushes ------------------------------------------------------------------------------------
 */

static void op_flush_page(struct cpu *c)
{
    uint32_t i = cpu_dice(c, MIDS);
    uint32_t e = cpu_dice(c, CELLS);
    uint32_t root = cpu_dice(c, 4) ? c->root.id : GN_SHADOW_ROOT_ANY;
    struct bound b;

    bound_done(c->w, &b, c->space, i, e);
    drain(c->w);
    MUST(c->w, gn_shadow_coherence_page(c->w->sh, root, gn_gva(address(i, e))));
    c->bound[c->space][i][e] = b;
}

static void op_flush(struct cpu *c)
{
    uint32_t root = cpu_dice(c, 4) ? c->root.id : GN_SHADOW_ROOT_ANY;
    struct bound b[MIDS][CELLS];

    for (uint32_t i = 0; i < MIDS; i++)
        for (uint32_t e = 0; e < CELLS; e++)
            bound_done(c->w, &b[i][e], c->space, i, e);
    drain(c->w);
    MUST(c->w, gn_shadow_coherence_root(c->w->sh, root));
    memcpy(c->bound[c->space], b, sizeof b);
}

/* Another address space, or the same under another tag. Its tables are not flushed. */
static void op_switch(struct cpu *c, int first)
{
    struct world *w = c->w;
    uint32_t space = cpu_dice(c, SPACES);
    struct gn_shadow_root_key key = {GN_SHADOW_ROOT_KEY_INIT,
                                     .format = w->guest,
                                     .table = gn_gpa(w->root[space]),
                                     .table_high = gn_gpa(w->root[space]),
                                     .controls = CONTROLS,
                                     .phys_bits = 52,
                                     .tag = cpu_dice(c, 3)};
    struct gn_shadow_root was = c->root;
    struct gn_shadow_root root;
    int rc;

    do
        rc = gn_shadow_root_get(w->sh, &key, &root);
    while (rc == -GN_ERR_AGAIN);
    if (rc == -GN_ERR_NOSPC && !first)
        return;
    MUST(w, rc);
    pthread_mutex_lock(&c->run);
    c->root = root;
    c->space = space;
    pthread_mutex_unlock(&c->run);
    if (!first)
        MUST(w, gn_shadow_root_put(w->sh, was.id));
}

/* ---- Who takes away -----------------------------------------------------------------------------
 */

static void again(struct world *w, int rc)
{
    if (rc && rc != -GN_ERR_AGAIN)
        wrong(w, "%s", gn_base_status_name(rc));
}

static void op_revoke(struct cpu *c)
{
    uint64_t page = cpu_dice(c, DATA_PAGES - 8);
    int rc;

    do {
        rc = gn_shadow_revoke(c->w->sh, gn_gpa(DATA + page * GN_PAGE_SIZE),
                              (1 + (uint64_t)cpu_dice(c, 8)) * GN_PAGE_SIZE);
        again(c->w, rc);
    } while (rc);
}

static void op_forget(struct cpu *c)
{
    uint32_t root = cpu_dice(c, 2) ? c->root.id : GN_SHADOW_ROOT_ANY;
    int rc;

    do {
        rc = gn_shadow_flush(c->w->sh, root);
        again(c->w, rc);
    } while (rc);
}

/* The sparse slot is RAM, gone, a device, gone, and so on. */
static void op_slot(struct cpu *c)
{
    struct world *w = c->w;
    struct gn_shadow_slot slot = {GN_SHADOW_SLOT_INIT, .kind = GN_SHADOW_SLOT_RAM,
                                  .gpa = gn_gpa(DATA + FIXED * GN_PAGE_SIZE),
                                  .length = (DATA_PAGES - FIXED) * GN_PAGE_SIZE,
                                  .hpa = gn_hpa(HOST + DATA + FIXED * GN_PAGE_SIZE)};
    size_t bytes = gn_shadow_slot_size(slot.length);
    uint32_t next;

    if (pthread_mutex_trylock(&w->managers))
        return;
    next = (__atomic_add_fetch(&w->sparse, 1, __ATOMIC_SEQ_CST) + 1) % 8;
    if (next == DEVICE) {
        slot.kind = GN_SHADOW_SLOT_MMIO;
        slot.hpa = gn_hpa(0);
        MUST(w, gn_shadow_slot_add(w->sh, &slot, NULL, 0, &w->sparse_id));
    } else if (next == RAM) {
        MUST(w, gn_shadow_slot_add(w->sh, &slot, w->sparse_memory, bytes, &w->sparse_id));
    } else {
        int rc;

        do {
            rc = gn_shadow_slot_remove(w->sh, w->sparse_id);
            again(w, rc);
        } while (rc);
        memset(w->sparse_memory, 0x5a, bytes);
    }
    __atomic_add_fetch(&w->sparse, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&w->managers);
}

/*
 * Writes are stamped with the epoch. Those of the even one before this harvest are in it; those of
 * an odd one, while the harvest before ran, were in that or are in this.
 */
static void harvest_judge(struct world *w, uint32_t epoch, const uint64_t *bitmap)
{
    for (uint32_t page = 0; page < FIXED; page++) {
        uint32_t written = get(&w->written[page]);

        if (bitmap[page / 64] >> page % 64 & 1)
            w->reported[page] = epoch;
        if ((written == epoch - 1 && w->reported[page] != epoch) ||
            (written && written == epoch - 2 && w->reported[page] < epoch - 2))
            wrong(w, "page %u written in epoch %u was last harvested in %u", page, written,
                  w->reported[page]);
    }
}

static void op_harvest(struct cpu *c)
{
    struct world *w = c->w;
    uint64_t bitmap[(FIXED + 63) / 64] = {0};
    uint32_t epoch;
    int rc;

    if (pthread_mutex_trylock(&w->managers))
        return;
    epoch = __atomic_add_fetch(&w->epoch, 1, __ATOMIC_SEQ_CST);
    do {
        rc = gn_shadow_dirty_harvest(w->sh, 1, 0, FIXED, bitmap, NULL);
        again(w, rc);
    } while (rc);
    harvest_judge(w, epoch, bitmap);
    __atomic_add_fetch(&w->epoch, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&w->managers);
}

/* ---- Runs
 * ----------------------------------------------------------------------------------------- */

static void op_any(struct cpu *c)
{
    uint32_t what = cpu_dice(c, 1000);

    if (what < 600)
        op_access(c);
    else if (what < 800)
        op_store(c, 0);
    else if (what < 850)
        op_store(c, 1);
    else if (what < 900)
        op_flush_page(c);
    else if (what < 940)
        op_flush(c);
    else if (what < 970)
        op_switch(c, 0);
    else if (what < 985)
        op_revoke(c);
    else if (what < 991)
        op_harvest(c);
    else if (what < 996)
        op_slot(c);
    else
        op_forget(c);
}

static void report(void *ctx, const struct gn_shadow_difference *d)
{
    (void)ctx;
    fprintf(stderr, "audit: kind %u root %u level %u gva %llx entry %llx expected %llx\n", d->kind,
            d->root, d->level, (unsigned long long)d->gva.v, (unsigned long long)d->entry,
            (unsigned long long)d->expected.v);
}

/* What the TLB of a CPU holds of its root is in the shadow. */
static void tlb_check(struct cpu *c)
{
    for (uint32_t i = 0; i < LINES; i++) {
        struct line is = c->tlb[i];
        const struct line *now;
        uint64_t marker;

        if (!is.valid || is.root != c->root.id)
            continue;
        memset(c->way, 0, sizeof c->way);
        c->tlb[i].valid = 0;
        now = cpu_translate(c, is.gva, &marker);
        if (!now || now->hpa != is.hpa || is.permissions & ~now->permissions)
            wrong(c->w, "cpu %u has more of %llx than the shadow", c->number,
                  (unsigned long long)is.gva);
    }
}

/* All stand still. */
static void quiescent(struct world *w)
{
    uint64_t differences = UINT64_MAX;

    drain(w);
    MUST(w, gn_shadow_coherence_root(w->sh, GN_SHADOW_ROOT_ANY));
    MUST(w, gn_shadow_audit(w->sh, GN_SHADOW_ROOT_ANY, report, NULL, &differences, NULL));
    if (differences)
        wrong(w, "the audit finds %llu differences", (unsigned long long)differences);
    for (uint32_t i = 0; i < CPUS; i++)
        tlb_check(&w->cpu[i]);
}

static void *cpu_main(void *arg)
{
    struct cpu *c = arg;
    struct world *w = c->w;

    op_switch(c, 1);
    for (uint32_t i = 0; i < w->operations; i++) {
        op_any(c);
        if (i % ROUND != ROUND - 1)
            continue;
        pthread_barrier_wait(&w->barrier);
        if (c->number == 0)
            quiescent(w);
        pthread_barrier_wait(&w->barrier);
    }
    MUST(w, gn_shadow_root_put(w->sh, c->root.id));
    return NULL;
}

static uint32_t operations(void)
{
    const char *text = getenv("GN_TEST_OPS");

    if (text)
        return (uint32_t)strtoul(text, NULL, 0);
    return getenv("GNOMON_SOAK") ? 50 * OPS_DEFAULT : OPS_DEFAULT;
}

static void world_run(struct world *w)
{
    pthread_t threads[CPUS];

    pthread_barrier_init(&w->barrier, NULL, CPUS);
    cpus_init(w);
    for (uint32_t i = 0; i < CPUS; i++)
        if (pthread_create(&threads[i], NULL, cpu_main, &w->cpu[i]))
            wrong(w, "no thread");
    for (uint32_t i = 0; i < CPUS; i++)
        pthread_join(threads[i], NULL);
}

static void run(uint32_t guest, uint32_t format, uint32_t policy, uint32_t traced, uint32_t variant,
                uint64_t seed)
{
    struct world *w = world_make(guest, format, policy, traced, variant, operations());

    w->seed = seed;
    world_run(w);
    world_end(w);
}

static void policy_run(uint32_t policy, uint32_t traced)
{
    static const uint32_t pairs[][2] = {
        {GN_PAGING_SV39, GN_PAGING_SV39},
        {GN_PAGING_X86_4LEVEL, GN_PAGING_X86_4LEVEL},
        {GN_PAGING_AARCH64_4K, GN_PAGING_SV48},
        {GN_PAGING_SV57, GN_PAGING_X86_4LEVEL},
    };
    uint64_t seed = gn_test_seed();

    for (uint32_t variant = 0; variant < 2; variant++) {
        for (uint32_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
            run(pairs[i][0], pairs[i][1], policy, traced, variant, seed + variant);
    }
}

static void no_cpu_sees_what_is_older_than_its_flush_under_trap(void **state)
{
    (void)state;
    policy_run(GN_SHADOW_POLICY_TRAP, 0);
}

static void no_cpu_sees_what_is_older_than_its_flush_under_traced(void **state)
{
    (void)state;
    policy_run(GN_SHADOW_POLICY_TRACED, 0);
}

static void no_cpu_sees_what_is_older_than_its_flush_under_unsync(void **state)
{
    (void)state;
    policy_run(GN_SHADOW_POLICY_UNSYNC, 0);
}

static void no_cpu_sees_what_is_older_than_its_flush_under_adapt(void **state)
{
    (void)state;
    policy_run(GN_SHADOW_POLICY_ADAPT, 0);
    policy_run(GN_SHADOW_POLICY_ADAPT, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_cpu_sees_what_is_older_than_its_flush_under_trap),
        cmocka_unit_test(no_cpu_sees_what_is_older_than_its_flush_under_traced),
        cmocka_unit_test(no_cpu_sees_what_is_older_than_its_flush_under_unsync),
        cmocka_unit_test(no_cpu_sees_what_is_older_than_its_flush_under_adapt),
    };

    return cmocka_run_group_tests_name("shadow_threads", tests, NULL, NULL);
}
