/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the policies make of recorded guests: bench_asid_trace [--quick] FILE... replays each trace
 * (rv64 --asid-trace; the format stands in examples/rv64/src/asid_trace.h) in pools of several
 * sizes, and holds cold starts and purges against Belady's optimum, which knows the future.
 *
 * A cold start is an activation of an address space that has no ID. Every ID but a fresh one must
 * be purged before it is given away, so no policy purges less often than the optimum starts cold
 * once its pool is in use.
 */
#include <gnomon/asid.h>

#include <ctype.h>

#include "gn_bench.h"

#define NEVER UINT32_MAX
#define LIVE  676u /* address spaces at once that a trace can name */
#define GOAL  1.25

struct event {
    uint32_t space;
    uint32_t gone; /* released, not activated */
    uint32_t next; /* event that activates it next, or NEVER */
};

struct trace {
    struct event *events;
    uint32_t count, room;
    uint32_t activations, spaces;
    uint32_t live[LIVE]; /* in the order of their last activation */
    uint32_t live_count;
};

static uint32_t cases, cases_met;

static void die(const char *name, const char *why)
{
    fprintf(stderr, "bench_asid_trace: %s: %s\n", name, why);
    exit(1);
}

/* ---- reading ----------------------------------------------------------------------------- */

static void event_add(struct trace *t, const char *name, uint32_t space, uint32_t gone)
{
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 1024;
        t->events = realloc(t->events, t->room * sizeof *t->events);
        if (!t->events)
            die(name, "no memory");
    }
    t->events[t->count++] = (struct event){space, gone, NEVER};
    t->activations += !gone;
}

/* One token, once. `at` is NEVER for a space that was not there. */
static void token_apply(struct trace *t, const char *name, uint32_t at, uint32_t gone)
{
    uint32_t space = at == NEVER ? t->spaces++ : 0;

    if (at == NEVER) {
        if (t->live_count == LIVE)
            die(name, "too many address spaces at once");
        at = t->live_count++;
    } else if (at >= t->live_count) {
        die(name, "names an address space that is not there");
    } else {
        space = t->live[at];
    }
    event_add(t, name, space, gone);
    if (gone) {
        t->live_count--;
        memmove(&t->live[at], &t->live[at + 1], (t->live_count - at) * sizeof t->live[0]);
        return;
    }
    memmove(&t->live[1], &t->live[0], at * sizeof t->live[0]);
    t->live[0] = space;
}

static int next_char(FILE *file)
{
    int c = fgetc(file);

    while (isspace(c) || c == '#') {
        if (c == '#')
            while (c != '\n' && c != EOF)
                c = fgetc(file);
        c = fgetc(file);
    }
    return c;
}

static uint32_t times_read(FILE *file)
{
    uint32_t times = 0;
    int c = next_char(file);

    for (; isdigit(c) && times < 1000000; c = fgetc(file))
        times = 10 * times + (uint32_t)(c - '0');
    if (c != EOF)
        ungetc(c, file);
    return times ? times : 1;
}

static void trace_read(struct trace *t, const char *name)
{
    FILE *file = fopen(name, "r");
    char header[32] = "";
    int c;

    if (!file || !fgets(header, sizeof header, file) || strcmp(header, "gnomon-asid-trace 1\n"))
        die(name, "is no trace of version 1");
    while ((c = next_char(file)) != EOF) {
        const uint32_t gone = c == '-';
        uint32_t at = NEVER, times;

        if (gone)
            c = next_char(file);
        if (gone || c != '+') {
            at = c >= 'A' && c <= 'Z' ? 26 * (uint32_t)(c - 'A') : 0;
            if (c >= 'A' && c <= 'Z')
                c = next_char(file);
            if (c < 'a' || c > 'z')
                die(name, "has an unknown character");
            at += (uint32_t)(c - 'a');
        }
        for (times = times_read(file); times; times--)
            token_apply(t, name, at, gone);
    }
    fclose(file);
}

/* ---- the optimum ------------------------------------------------------------------------- */

static void futures_find(struct trace *t)
{
    uint32_t *next = malloc(t->spaces * sizeof *next);
    uint32_t i;

    if (!next)
        exit(1);
    memset(next, 0xff, t->spaces * sizeof *next);
    for (i = t->count; i-- > 0;) {
        if (t->events[i].gone)
            continue;
        t->events[i].next = next[t->events[i].space];
        next[t->events[i].space] = i;
    }
    free(next);
}

/* Belady: who is needed again last, or never, goes. @return cold starts */
static uint32_t optimum(const struct trace *t, uint32_t pool)
{
    struct event held[64]; /* the last activation of each space that has an ID */
    uint32_t used = 0, cold = 0, i, at, last;

    for (i = 0; i < t->count; i++) {
        if (t->events[i].gone)
            continue;
        for (at = 0, last = 0; at < used && held[at].space != t->events[i].space; at++)
            last = held[at].next > held[last].next ? at : last;
        if (at == used) {
            cold++;
            if (used < pool)
                used++;
            else
                at = last;
        }
        held[at] = t->events[i];
    }
    return cold;
}

/* ---- the policies ------------------------------------------------------------------------ */

static int purge(void *ctx, uint32_t cpu, uint32_t id)
{
    (void)ctx, (void)cpu, (void)id;
    return 0;
}

static int purge_all(void *ctx, uint32_t cpu)
{
    (void)ctx, (void)cpu;
    return 0;
}

static struct gn_asid_stats replay(const struct trace *t, uint32_t policy, uint32_t pool)
{
    static const struct gn_asid_ops ops = {GN_ASID_OPS_INIT, .caps = GN_ASID_CAP_PURGE_ONE,
                                           .purge = purge, .purge_all = purge_all};
    const struct gn_asid_params params = {GN_ASID_PARAMS_INIT, .first = 1, .count = pool,
                                          .policy = policy, .ops = &ops};
    struct gn_asid_stats stats = {GN_ASID_STATS_INIT};
    void *mem = aligned_alloc(gn_asid_align(), gn_asid_size(&params));
    struct gn_asid *asid;
    uint32_t i, id;

    if (!mem || gn_asid_init(mem, gn_asid_size(&params), &params, &asid))
        exit(1);
    for (i = 0; i < t->count; i++) {
        const struct event *e = &t->events[i];

        if (!e->gone && gn_asid_activate(asid, 0, 0, e->space, &id))
            exit(1);
        /* Who owns the address space stops running it before it goes. */
        if (e->gone && gn_asid_release(asid, 0, e->space) == -GN_ERR_BUSY &&
            (gn_asid_deactivate(asid, 0) || gn_asid_release(asid, 0, e->space)))
            exit(1);
    }
    if (gn_asid_stats_get(asid, &stats))
        exit(1);
    gn_asid_fini(asid);
    free(mem);
    return stats;
}

static void row(const char *trace, uint32_t pool, const char *what, const char *unit, double v,
                uint32_t n)
{
    char name[96];

    snprintf(name, sizeof name, "%s_%u_%s", trace, pool, what);
    gn_bench_value(name, unit, 2, v, n);
}

static double over(double a, double b)
{
    return a == b ? 1 : a / (b > 0 ? b : 1);
}

static void policies_compare(const struct trace *t, const char *name, uint32_t pool)
{
    static const struct {
        const char *cold, *purges, *cold_ratio, *purges_ratio;
        uint32_t policy;
    } policies[] = {
        {"adaptive_cold_starts", "adaptive_purges", "cold_starts_adaptive/optimum",
         "purges_adaptive/optimum", GN_ASID_POLICY_ADAPTIVE},
        {"clock_cold_starts", "clock_purges", "cold_starts_clock/optimum", "purges_clock/optimum",
         GN_ASID_POLICY_CLOCK},
        {"lru_cold_starts", "lru_purges", "cold_starts_lru/optimum", "purges_lru/optimum",
         GN_ASID_POLICY_LRU},
        {"generation_cold_starts", "generation_purge_alls", "cold_starts_generation/optimum", NULL,
         GN_ASID_POLICY_GENERATION},
    };
    const uint32_t n = t->activations, cold = optimum(t, pool);
    const uint32_t purges = cold > pool ? cold - pool : 0;
    size_t i;

    row(name, pool, "optimum_cold_starts", "count", cold, n);
    row(name, pool, "optimum_purges", "count", purges, n);
    for (i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        const struct gn_asid_stats s = replay(t, policies[i].policy, pool);
        const double ratio = over((double)s.purges, purges);

        row(name, pool, policies[i].cold, "count", (double)(n - s.hits), n);
        row(name, pool, policies[i].purges, "count", (double)(s.purges + s.purge_alls), n);
        row(name, pool, policies[i].cold_ratio, "ratio", over((double)(n - s.hits), cold), 1);
        if (policies[i].purges_ratio)
            row(name, pool, policies[i].purges_ratio, "ratio", ratio, 1);
        if (policies[i].policy == GN_ASID_POLICY_ADAPTIVE) {
            cases++;
            cases_met += ratio <= GOAL;
        }
    }
}

/* Who flushes at every switch keeps entries only where the address space stays the same. */
static uint32_t switches(const struct trace *t)
{
    uint32_t n = 0, last = NEVER, i;

    for (i = 0; i < t->count; i++) {
        if (t->events[i].gone)
            continue;
        n += t->events[i].space != last;
        last = t->events[i].space;
    }
    return n;
}

static void trace_compare(const char *path)
{
    struct trace *t = calloc(1, sizeof *t);
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    char name[32];
    uint32_t pool;

    if (!t)
        exit(1);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(base, "."), base);
    trace_read(t, path);
    futures_find(t);
    for (pool = 4; pool <= 64; pool *= 2) {
        policies_compare(t, name, pool);
        row(name, pool, "cold_starts_flush_always/optimum", "ratio",
            over(switches(t), optimum(t, pool)), 1);
    }
    free(t->events);
    free(t);
}

int main(int argc, char **argv)
{
    int i = gn_bench_quick(argc, argv) ? 2 : 1;

    gn_bench_header();
    for (; i < argc; i++)
        trace_compare(argv[i]);
    printf("purges_adaptive_within_%.2f_of_optimum,cases,%u,%u,%u,%u\n", GOAL, cases_met, cases_met,
           cases_met, cases);
    return 0;
}
