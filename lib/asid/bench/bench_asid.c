/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an activation costs, and what each policy keeps of the TLB on a synthetic trace of address
 * space switches, beside flushing at every switch. The purge ops here do nothing: their cost is the
 * MMU's, and the trace counts them instead. A hit is a switch to a pair whose entries are kept.
 */
#include <gnomon/asid.h>

#include "gn_bench.h"

#define POOL     64
#define CONTEXTS 192 /* address spaces of the trace, three for each ID */

static struct gn_asid *asid;
static uint32_t rounds;
static uint8_t *trace; /* which address space is switched to */
static volatile uint32_t sink;

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

static const struct gn_asid_ops ops = {
    GN_ASID_OPS_INIT, GN_ASID_CAP_PURGE_ONE, purge, purge_all, NULL, NULL, NULL};

static void make(uint32_t policy)
{
    const struct gn_asid_params params = {GN_ASID_PARAMS_INIT, .first = 1, .count = POOL,
                                          .policy = policy, .ops = &ops};
    const size_t size = gn_asid_size(&params);
    void *mem = aligned_alloc(gn_asid_align(), size);

    if (!mem || gn_asid_init(mem, size, &params, &asid))
        exit(1);
}

static void destroy(void)
{
    gn_asid_fini(asid);
    free(asid);
}

static void run(uint32_t vm, uint64_t guest)
{
    uint32_t id = 0;

    if (gn_asid_activate(asid, 0, vm, guest, &id))
        exit(1);
    sink += id;
}

static void activate_last(uint32_t n)
{
    uint32_t i;

    for (i = 0; i < n; i++)
        run(1, 1);
}

static void activate_hit(uint32_t n)
{
    uint32_t i;

    for (i = 0; i < n; i++)
        run(1, i % (POOL / 2));
}

/* Never the same context twice: every one reassigns an ID and purges it. */
static void activate_miss(uint32_t n)
{
    static uint64_t guest = 1000;
    uint32_t i;

    for (i = 0; i < n; i++)
        run(1, guest++);
}

static void flush_running(uint32_t n)
{
    uint32_t i, id;

    run(1, 1);
    for (i = 0; i < n; i++)
        if (gn_asid_flush(asid, 0, 1, 1, &id) < 0)
            exit(1);
}

/* An address space is forgotten when it is not running, and comes back. */
static void flush_and_return(uint32_t n)
{
    uint32_t i, id;

    for (i = 0; i < n; i++) {
        run(1, i % 4);
        if (gn_asid_flush(asid, 0, 1, (i + 2) % 4, &id) < 0)
            exit(1);
    }
}

/*
 * A few address spaces run most of the time, others come by: index = 192 * u^3, of a fixed
 * generator, with a phase change every 8192 switches.
 */
static void trace_make(uint32_t n)
{
    uint64_t s = 88172645463325252u;
    uint32_t i;

    trace = malloc(n);
    if (!trace)
        exit(1);
    for (i = 0; i < n; i++) {
        double u;

        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        u = (double)(s >> 11) / 9007199254740992.0;
        trace[i] = (uint8_t)(((uint32_t)(CONTEXTS * u * u * u) + i / 8192 * 37) % CONTEXTS);
    }
}

static void per_1000(const char *policy, const char *what, uint64_t count, uint32_t n)
{
    char name[64];

    snprintf(name, sizeof name, "trace_%s_%s", policy, what);
    gn_bench_value(name, "per_1000_switches", 1, (double)count * 1000.0 / n, n);
}

static double replay(const char *name, uint32_t policy, uint32_t n)
{
    struct gn_asid_stats stats = {GN_ASID_STATS_INIT};
    uint32_t i;

    make(policy);
    for (i = 0; i < n; i++)
        run(trace[i] % 3, trace[i]);
    if (gn_asid_stats_get(asid, &stats))
        exit(1);
    destroy();
    per_1000(name, "hits", stats.hits, n);
    per_1000(name, "purges", stats.purges, n);
    per_1000(name, "purge_alls", stats.purge_alls, n);
    return (double)(n - stats.hits);
}

static const struct policy {
    const char *last, *hit, *miss;
    uint32_t policy;
} policies[] = {
    {"activate_last", "activate_hit", "activate_miss", GN_ASID_POLICY_ADAPTIVE},
    {"activate_last_clock", "activate_hit_clock", "activate_miss_clock", GN_ASID_POLICY_CLOCK},
    {"activate_last_lru", "activate_hit_lru", "activate_miss_lru", GN_ASID_POLICY_LRU},
    {"activate_last_generation", "activate_hit_generation", "activate_miss_generation",
     GN_ASID_POLICY_GENERATION},
};

static void costs(const struct policy *p)
{
    make(p->policy);
    gn_bench_time(p->last, activate_last, rounds);
    gn_bench_time(p->hit, activate_hit, rounds);
    gn_bench_time(p->miss, activate_miss, rounds);
    destroy();
}

int main(int argc, char **argv)
{
    const uint32_t quick = gn_bench_quick(argc, argv);
    const uint32_t switches = quick ? 20000 : 1000000;
    uint32_t i, stays = 0;
    double adaptive, clock, lru, generation;

    rounds = quick ? 1000 : 200000;
    gn_bench_header();
    for (i = 0; i < sizeof policies / sizeof policies[0]; i++)
        costs(&policies[i]);
    make(0);
    gn_bench_time("flush_running_purge", flush_running, rounds);
    gn_bench_time("flush_other_and_return", flush_and_return, rounds);
    destroy();
    trace_make(switches);
    for (i = 1; i < switches; i++)
        stays += trace[i] == trace[i - 1];
    /* Who flushes at every switch keeps entries only where the address space stays the same. */
    per_1000("flush_always", "hits", stays, switches);
    per_1000("flush_always", "purge_alls", switches - stays, switches);
    adaptive = replay("adaptive", GN_ASID_POLICY_ADAPTIVE, switches);
    clock = replay("clock", GN_ASID_POLICY_CLOCK, switches);
    lru = replay("lru", GN_ASID_POLICY_LRU, switches);
    generation = replay("generation", GN_ASID_POLICY_GENERATION, switches);
    gn_bench_value("cold_starts_flush_always/adaptive", "ratio", 2, (switches - stays) / adaptive,
                   1);
    gn_bench_value("cold_starts_generation/adaptive", "ratio", 2, generation / adaptive, 1);
    gn_bench_value("cold_starts_lru/adaptive", "ratio", 2, lru / adaptive, 1);
    gn_bench_value("cold_starts_clock/adaptive", "ratio", 2, clock / adaptive, 1);
    free(trace);
    return 0;
}
