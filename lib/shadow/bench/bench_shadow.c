/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library's own work costs, beside the guest's walk alone and beside the eager answer to a
 * flush. Neither the trap itself nor what an MMU does for an invalidation is in these numbers: both
 * come on top, and more often where the library is asked more often.
 */
#define RAM_PAGES 4u
#define FRAMES    512u

#include "machine.h"

#define PAGES 512u /* mapped by the one table at the bottom */
#define WORK  64u  /* pages that a process touches between two flushes */
#define GVA   ((uint64_t)0x40200000)
#define ROOT  ((uint64_t)0x1000)
#define TABLE ((uint64_t)0x3000) /* the bottom table */
#define DATA  ((uint64_t)0x400000)

static uint32_t root;
static uint32_t rounds;
static uint64_t protected_leaf[PAGES];
static uint64_t writable_leaf[PAGES];

/* ---- The machine ------------------------------------------------------------------------- */

static void setup_tables(void)
{
    const uint32_t kernel = GN_PAGING_R | GN_PAGING_W | GN_PAGING_A | GN_PAGING_D;

    ram[(ROOT + 8 * (GVA >> 30)) / 8] = encode(2, GN_PAGING_ENTRY_TABLE, ROOT + 4096, 0);
    ram[(ROOT + 4096 + 8) / 8] = encode(1, GN_PAGING_ENTRY_TABLE, TABLE, 0);
    for (uint32_t i = 0; i < PAGES; i++) {
        writable_leaf[i] = encode(0, GN_PAGING_ENTRY_LEAF, DATA + i * 4096, kernel);
        protected_leaf[i] = encode(0, GN_PAGING_ENTRY_LEAF, DATA + i * 4096, kernel & ~GN_PAGING_W);
        ram[TABLE / 8 + i] = writable_leaf[i];
    }
    /* The table maps itself last: that is how the guest writes it. */
    ram[TABLE / 8 + PAGES - 1] = encode(0, GN_PAGING_ENTRY_LEAF, TABLE, kernel);
}

static void setup_around(uint32_t policy, uint32_t around)
{
    static const struct gn_shadow_ops ops = {OPS};
    struct gn_shadow_params params = {GN_SHADOW_PARAMS_INIT, .format = GN_PAGING_SV39,
                                      .policy = policy,      .tables = 64,
                                      .roots = 16,           .ops = &ops,
                                      .fault_around = around};
    struct gn_shadow_root_key key = key_of(ROOT, 0);
    struct gn_shadow_root r;

    gn_shadow_fini(shadow);
    setup_tables();
    shadow_make(params);
    must(gn_shadow_root_get(shadow, &key, &r));
    root = r.id;
}

static void setup(uint32_t policy)
{
    setup_around(policy, 0);
}

static uint32_t fault(uint32_t page, uint32_t access)
{
    struct gn_shadow_access a = {GN_SHADOW_ACCESS_INIT, .root = root,
                                 .gva = gn_gva(GVA + (uint64_t)page * 4096), .access = access,
                                 .controls = GN_PAGING_RISCV_ADUE};
    struct gn_shadow_answer answer;

    must(gn_shadow_fault(shadow, &a, &answer));
    return answer.outcome;
}

static void fill(uint32_t pages)
{
    for (uint32_t i = 0; i < pages; i++)
        fault(i, GN_ACCESS_READ);
}

static void write_entry(uint32_t i, int writable)
{
    ram[TABLE / 8 + i] = writable ? writable_leaf[i] : protected_leaf[i];
}

static void sync(uint32_t i)
{
    must(gn_shadow_sync(shadow, gn_gpa(TABLE + (uint64_t)i * 8), 8));
}

/* ---- What is measured ---------------------------------------------------------------------- */

static double guest_walk(uint32_t *ret_n)
{
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = GN_PAGING_SV39,
                                  .root = gn_gpa(ROOT), .controls = GN_PAGING_RISCV_ADUE};
    struct gn_paging_walk w;
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++)
        for (uint32_t i = 0; i < PAGES; i++)
            must(gn_paging_walk(&c, &guest, NULL, gn_gva(GVA + (uint64_t)i * 4096), GN_ACCESS_READ,
                                &w));
    *ret_n = rounds * PAGES;
    return gn_bench_now() - begin;
}

static double fault_fill(uint32_t *ret_n)
{
    double ns = 0;

    for (uint32_t k = 0; k < rounds; k++) {
        double begin;

        must(gn_shadow_revoke(shadow, gn_gpa(DATA), (uint64_t)PAGES * 4096));
        begin = gn_bench_now();
        fill(PAGES - 1);
        ns += gn_bench_now() - begin;
    }
    *ret_n = rounds * (PAGES - 1);
    return ns;
}

/* The same pages again after a revocation, as above, by as many faults as are still needed. */
static double fault_around(uint32_t *ret_n)
{
    struct gn_shadow_stats s = {GN_SHADOW_STATS_INIT};
    double ns = 0;

    setup_around(GN_SHADOW_POLICY_TRAP, 8);
    for (uint32_t k = 0; k < rounds; k++) {
        double begin;

        must(gn_shadow_revoke(shadow, gn_gpa(DATA), (uint64_t)PAGES * 4096));
        begin = gn_bench_now();
        for (uint32_t i = 0; i < PAGES - 1; i += 8)
            fault(i, GN_ACCESS_READ);
        ns += gn_bench_now() - begin;
    }
    must(gn_shadow_stats_get(shadow, &s));
    /* Seven of eight pages come without a fault; so does the table itself, once. */
    if (s.around_fills != (uint64_t)rounds * (PAGES - 1 - PAGES / 8) + 1)
        must(-GN_ERR_PERM);
    *ret_n = rounds * (PAGES - 1);
    return ns;
}

static double write_trapped(uint32_t *ret_n)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++) {
        for (uint32_t i = 0; i < WORK; i++) {
            if (fault(PAGES - 1, GN_ACCESS_WRITE) != GN_SHADOW_TRAPPED)
                must(-GN_ERR_PERM);
            write_entry(i, k & 1);
            sync(i);
        }
    }
    *ret_n = rounds * WORK;
    return gn_bench_now() - begin;
}

static double write_traced(uint32_t *ret_n)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++) {
        for (uint32_t i = 0; i < WORK; i++)
            write_entry(i, k & 1);
        for (uint32_t i = 0; i < WORK; i++)
            sync(i);
    }
    *ret_n = rounds * WORK;
    return gn_bench_now() - begin;
}

/* How an embedder writes under a policy that leaves pages alone: traps are those it still has. */
static void write_left_alone(uint32_t count, int writable)
{
    if (fault(PAGES - 1, GN_ACCESS_WRITE) == GN_SHADOW_TRAPPED) {
        write_entry(0, writable);
        sync(0);
    }
    for (uint32_t i = 0; i < count; i++)
        write_entry(i, writable);
    must(gn_shadow_coherence_root(shadow, root));
}

static double write_unsync(uint32_t *ret_n)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++)
        write_left_alone(WORK, k & 1);
    *ret_n = rounds * WORK;
    return gn_bench_now() - begin;
}

/* One entry, and a flush of that address. */
static double write_unsync_page(uint32_t *ret_n)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++) {
        for (uint32_t i = 0; i < WORK; i++) {
            write_entry(i, k & 1);
            must(gn_shadow_coherence_page(shadow, root, gn_gva(GVA + (uint64_t)i * 4096)));
        }
    }
    *ret_n = rounds * WORK;
    return gn_bench_now() - begin;
}

/* One entry written between two flushes, and the pages in use filled again. */
static double write_eager(uint32_t *ret_n)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++) {
        write_entry(k % WORK, k & 1);
        must(gn_shadow_flush(shadow, root));
        fill(WORK);
    }
    *ret_n = rounds;
    return gn_bench_now() - begin;
}

static double sync_unchanged(uint32_t *ret_n)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++)
        for (uint32_t i = 0; i < PAGES - 1; i++)
            sync(i);
    *ret_n = rounds * (PAGES - 1);
    return gn_bench_now() - begin;
}

static double root_any(uint32_t *ret_n, uint64_t keys)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds * 64; k++) {
        struct gn_shadow_root_key key = key_of(ROOT, 1 + k % keys);
        struct gn_shadow_root r;

        must(gn_shadow_root_get(shadow, &key, &r));
        must(gn_shadow_root_put(shadow, r.id));
    }
    *ret_n = rounds * 64;
    return gn_bench_now() - begin;
}

static double root_hit(uint32_t *ret_n)
{
    return root_any(ret_n, 8);
}

static double root_miss(uint32_t *ret_n)
{
    return root_any(ret_n, 32);
}

/* fork: every page write-protected, one flush; then every page is read. */
static double fork_synced(uint32_t *ret_n)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++) {
        for (uint32_t i = 0; i < PAGES - 1; i++)
            write_entry(i, k & 1);
        must(gn_shadow_sync(shadow, gn_gpa(TABLE), (PAGES - 1) * 8));
    }
    *ret_n = rounds;
    return gn_bench_now() - begin;
}

static double fork_trapped(uint32_t *ret_n)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++) {
        for (uint32_t i = 0; i < PAGES - 1; i++) {
            fault(PAGES - 1, GN_ACCESS_WRITE);
            write_entry(i, k & 1);
            sync(i);
        }
    }
    *ret_n = rounds;
    return gn_bench_now() - begin;
}

static double fork_unsync(uint32_t *ret_n)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++)
        write_left_alone(PAGES - 1, k & 1);
    *ret_n = rounds;
    return gn_bench_now() - begin;
}

static double fork_eager(uint32_t *ret_n)
{
    const double begin = gn_bench_now();

    for (uint32_t k = 0; k < rounds; k++) {
        for (uint32_t i = 0; i < PAGES - 1; i++)
            write_entry(i, k & 1);
        must(gn_shadow_flush(shadow, root));
        fill(PAGES - 1);
    }
    *ret_n = rounds;
    return gn_bench_now() - begin;
}

/* ---- Output ---------------------------------------------------------------------------------- */

static struct gn_bench_result measure(const char *name, uint32_t policy,
                                      double (*body)(uint32_t *ret_n))
{
    setup(policy);
    fill(PAGES);
    return gn_bench_timed(name, body);
}

int main(int argc, char **argv)
{
    const uint32_t trap = GN_SHADOW_POLICY_TRAP, traced = GN_SHADOW_POLICY_TRACED;
    const uint32_t unsync = GN_SHADOW_POLICY_UNSYNC, adapt = GN_SHADOW_POLICY_ADAPT;
    struct gn_bench_result walk, filled, around, trapped, recorded, alone, adapted, page, eager;
    struct gn_bench_result storm, storm_trapped, storm_unsync, storm_eager;

    rounds = gn_bench_quick(argc, argv) ? 2 : 100;
    gn_bench_header();
    walk = measure("guest_walk", trap, guest_walk);
    filled = measure("fault_fill", trap, fault_fill);
    around = measure("fault_around_8", trap, fault_around);
    trapped = measure("entry_write_trapped", trap, write_trapped);
    recorded = measure("entry_write_traced", traced, write_traced);
    alone = measure("entry_write_unsync", unsync, write_unsync);
    adapted = measure("entry_write_adapt", adapt, write_unsync);
    page = measure("entry_write_unsync_flush_each", unsync, write_unsync_page);
    eager = measure("entry_write_eager_flush", traced, write_eager);
    measure("sync_unchanged", traced, sync_unchanged);
    measure("root_get_hit", trap, root_hit);
    measure("root_get_miss", trap, root_miss);
    storm = measure("fork_storm_synced", traced, fork_synced);
    storm_trapped = measure("fork_storm_trapped", trap, fork_trapped);
    storm_unsync = measure("fork_storm_unsync", unsync, fork_unsync);
    storm_eager = measure("fork_storm_eager_flush", traced, fork_eager);
    gn_bench_ratio("fault_fill/guest_walk", filled, walk);
    gn_bench_ratio("fault_fill/fault_around_8", filled, around);
    gn_bench_ratio("trapped/traced", trapped, recorded);
    gn_bench_ratio("trapped/unsync", trapped, alone);
    gn_bench_ratio("trapped/adapt", trapped, adapted);
    gn_bench_ratio("trapped/unsync_flush_each", trapped, page);
    gn_bench_ratio("eager_flush/traced", eager, recorded);
    gn_bench_ratio("fork_storm_eager/synced", storm_eager, storm);
    gn_bench_ratio("fork_storm_trapped/unsync", storm_trapped, storm_unsync);
    gn_shadow_fini(shadow);
    return 0;
}
