/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A storm of forks: virtual CPUs in threads of their own on one shadow, each of which forks, runs
 * the child and ends it, again and again, in tables that it writes through traps. What is measured
 * is forks a second of all of them, with locks that let calls go side by side, with one lock around
 * every call, and (one CPU) without locks. Neither the trap itself nor what an MMU does for an
 * invalidation is in these numbers.
 *
 * The storms are short, and all CPUs sleep before one: on a machine with other work, the scheduler
 * lets those run who have slept, for as long as that. What is timed is from the first CPU that
 * begins to the last that ends.
 *
 *     fork    each entry of the parent is write-protected (trap, sync) and copied to the child
 *     run     the child's root is made; it reads all its pages and writes one in four, which the
 *             guest copies: its fault, the entry written (trap, sync), the page filled
 *     exit    each entry of the child is cleared (trap, sync), its table unlinked (trap, sync), the
 *             parent's root got, and the parent writes all its pages: its fault, entry, fill
 */
#define _GNU_SOURCE

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <unistd.h>

#define CPUS      4u
#define OWN       8u /* pages of tables that a CPU has */
#define RAM_PAGES (3 + CPUS * OWN)
#define FRAMES    256u

#include "machine.h"

#define PAGES  256u /* of a process */
#define LINEAR ((uint64_t)2 << 30)
#define GVA    ((uint64_t)1 << 30)
#define DATA   ((uint64_t)16 << 20)
#define ROUNDS 101u
#define FORKS  4u       /* of each CPU in one storm */
#define SLEEP  20000000 /* ns before it */
#define LEAF   (GN_PAGING_R | GN_PAGING_A | GN_PAGING_D)

/* A virtual CPU: its parent's and its child's tables, root first. */
struct cpu {
    pthread_t thread;
    uint64_t parent[3], child[3];
    uint32_t number, forks;
    struct gn_shadow_root root;
    uint64_t operations, taken, alone, waited, slept;
    double begin, end;
};

static struct cpu cpus[CPUS];
static pthread_barrier_t start;
static struct timespec storm_begins;
/* A word in a cache line of its own. Reader CPUS is whoever is no CPU: the main thread. */
static struct {
    _Alignas(64) uint32_t word;
} stripes[129], readers[CPUS + 1], writer, writers, big;
static __thread uint32_t self = CPUS;

/* ---- Locks ------------------------------------------------------------------------------------
 */

/* Of this thread: locks that it took, that it took alone, waited for, and long waited for. */
static __thread struct {
    uint64_t taken, alone, waited, slept;
} counts;

/* Waiting for what takes others a fraction of a microsecond; asleep, if they do not run. */
static void wait_a_little(uint32_t *tries)
{
    counts.waited += *tries == 0;
    if (++*tries % 500 == 0) {
        counts.slept++;
        (void)sched_yield();
    }
    for (volatile uint32_t pause = 0; pause < 20; pause++)
        ;
}

static void lock_spin(uint32_t *word)
{
    uint32_t tries = 0;

    while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(word, __ATOMIC_RELAXED))
            wait_a_little(&tries);
}

static void unlock_spin(uint32_t *word)
{
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

/*
 * Lock 0: a reader says so in a line of its own and looks for a writer, a writer says so and looks
 * for readers. So readers take no cache line from each other.
 */
static void lock_shared(void *ctx, uint32_t n)
{
    uint32_t tries = 0;

    (void)ctx;
    (void)n;
    counts.taken++;
    for (;;) {
        __atomic_store_n(&readers[self].word, 1, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&writer.word, __ATOMIC_SEQ_CST))
            return;
        __atomic_store_n(&readers[self].word, 0, __ATOMIC_RELEASE);
        while (__atomic_load_n(&writer.word, __ATOMIC_RELAXED))
            wait_a_little(&tries);
    }
}

static void unlock_shared(void *ctx, uint32_t n)
{
    (void)ctx;
    (void)n;
    __atomic_store_n(&readers[self].word, 0, __ATOMIC_RELEASE);
}

static void lock_alone(void)
{
    uint32_t tries = 0;

    counts.alone++;
    lock_spin(&writers.word);
    __atomic_store_n(&writer.word, 1, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i <= CPUS; i++)
        while (__atomic_load_n(&readers[i].word, __ATOMIC_SEQ_CST))
            wait_a_little(&tries);
}

static void lock(void *ctx, uint32_t n)
{
    (void)ctx;
    counts.taken++;
    if (n)
        lock_spin(&stripes[n].word);
    else
        lock_alone();
}

static void unlock(void *ctx, uint32_t n)
{
    (void)ctx;
    if (n) {
        unlock_spin(&stripes[n].word);
        return;
    }
    __atomic_store_n(&writer.word, 0, __ATOMIC_RELEASE);
    unlock_spin(&writers.word);
}

static void lock_big(void *ctx, uint32_t n)
{
    (void)ctx;
    (void)n;
    counts.taken++;
    counts.alone++;
    lock_spin(&big.word);
}

static void unlock_big(void *ctx, uint32_t n)
{
    (void)ctx;
    (void)n;
    unlock_spin(&big.word);
}

static const struct gn_shadow_ops no_lock = {OPS};
static const struct gn_shadow_ops one_lock = {OPS, .lock = lock_big, .unlock = unlock_big};
static const struct gn_shadow_ops locks = {OPS, .lock = lock, .unlock = unlock,
                                           .lock_shared = lock_shared,
                                           .unlock_shared = unlock_shared};

/* ---- The guest --------------------------------------------------------------------------------
 */

static void store(uint64_t gpa, uint64_t value)
{
    __atomic_store_n(&ram[gpa / 8], value, __ATOMIC_RELEASE);
}

static uint32_t fault(struct cpu *c, uint64_t gva, uint32_t access)
{
    struct gn_shadow_access a = {GN_SHADOW_ACCESS_INIT, .root = c->root.id,
                                 .gva = gn_gva(gva),    .access = access,
                                 .vcpu = c->number,     .controls = GN_PAGING_RISCV_ADUE};
    struct gn_shadow_answer answer;
    int rc;

    do
        rc = gn_shadow_fault(shadow, &a, &answer);
    while (rc == -GN_ERR_AGAIN);
    must(rc);
    c->operations++;
    return answer.outcome;
}

/* The guest stores an entry through its linear map, which traps if the page holds a table. */
static void trap(struct cpu *c, uint64_t gpa, uint64_t value)
{
    uint32_t outcome = fault(c, LINEAR + gpa, GN_ACCESS_WRITE);

    store(gpa, value);
    if (outcome != GN_SHADOW_TRAPPED)
        return;
    must(gn_shadow_sync(shadow, gn_gpa(gpa), 8));
    c->operations++;
}

static uint64_t page_leaf(const struct cpu *c, uint32_t page, int copy, int writable)
{
    uint64_t gpa = DATA + ((uint64_t)(2 * c->number + (uint32_t)copy) * PAGES + page) * 4096;

    return encode(0, GN_PAGING_ENTRY_LEAF, gpa, LEAF | (writable ? GN_PAGING_W : 0));
}

static void load_root(struct cpu *c, uint64_t table)
{
    struct gn_shadow_root_key key = key_of(table, 0);
    struct gn_shadow_root was = c->root;

    must(gn_shadow_root_get(shadow, &key, &c->root));
    if (was.cookie)
        must(gn_shadow_root_put(shadow, was.id));
    c->operations += 2;
}

/* A write to a page that is read-only: the guest's fault, its copy, the page that is filled. */
static void write_page(struct cpu *c, uint64_t table, uint32_t page, int copy)
{
    if (fault(c, GVA + (uint64_t)page * 4096, GN_ACCESS_WRITE) != GN_SHADOW_GUEST_FAULT)
        return;
    trap(c, table + 8 * page, page_leaf(c, page, copy, 1));
    (void)fault(c, GVA + (uint64_t)page * 4096, GN_ACCESS_WRITE);
}

static void fork_run_exit(struct cpu *c)
{
    for (uint32_t i = 0; i < PAGES; i++) {
        trap(c, c->parent[2] + 8 * i, page_leaf(c, i, 0, 0));
        store(c->child[2] + 8 * i, page_leaf(c, i, 0, 0));
    }
    store(c->child[1], encode(1, GN_PAGING_ENTRY_TABLE, c->child[2], 0));
    must(gn_shadow_sync(shadow, gn_gpa(c->child[1]), 8));
    load_root(c, c->child[0]);
    for (uint32_t i = 0; i < PAGES; i++)
        if (i % 4)
            (void)fault(c, GVA + (uint64_t)i * 4096, GN_ACCESS_READ);
        else
            write_page(c, c->child[2], i, 1);
    for (uint32_t i = 0; i < PAGES; i++)
        trap(c, c->child[2] + 8 * i, 0);
    trap(c, c->child[1], 0);
    load_root(c, c->parent[0]);
    for (uint32_t i = 0; i < PAGES; i++)
        write_page(c, c->parent[2], i, 0);
}

static void *cpu_main(void *arg)
{
    struct cpu *c = arg;
    cpu_set_t one;

    self = c->number;
    /* Where pinning is refused, the scheduler decides. */
    CPU_ZERO(&one);
    CPU_SET(c->number % (uint32_t)sysconf(_SC_NPROCESSORS_ONLN), &one);
    (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    load_root(c, c->parent[0]);
    fork_run_exit(c);
    c->operations = 0;
    memset(&counts, 0, sizeof counts);
    pthread_barrier_wait(&start);
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &storm_begins, NULL);
    c->begin = gn_bench_now();
    for (uint32_t i = 0; i < c->forks; i++)
        fork_run_exit(c);
    c->end = gn_bench_now();
    c->taken = counts.taken;
    c->alone = counts.alone;
    c->waited = counts.waited;
    c->slept = counts.slept;
    return NULL;
}

/* ---- Setting up ---------------------------------------------------------------------------------
 */

/* Page 0 and 1: the linear map's tables. Then OWN pages for each CPU. */
static void guest_setup(void)
{
    uint64_t linear_mid = 4096;
    uint64_t linear = 8192;

    memset(ram, 0, sizeof ram);
    store(linear_mid, encode(1, GN_PAGING_ENTRY_TABLE, linear, 0));
    for (uint64_t i = 0; i < RAM_PAGES; i++)
        store(linear + 8 * i, encode(0, GN_PAGING_ENTRY_LEAF, i * 4096, LEAF | GN_PAGING_W));
    for (uint32_t n = 0; n < CPUS; n++) {
        struct cpu *c = &cpus[n];

        memset(c, 0, sizeof *c);
        c->number = n;
        for (uint32_t i = 0; i < 3; i++) {
            c->parent[i] = (3 + (uint64_t)n * OWN + i) * 4096;
            c->child[i] = c->parent[i] + 3 * 4096;
        }
        for (uint32_t p = 0; p < 2; p++) {
            const uint64_t *t = p ? c->child : c->parent;

            store(t[0] + 8 * (GVA >> 30), encode(2, GN_PAGING_ENTRY_TABLE, t[1], 0));
            store(t[0] + 8 * (LINEAR >> 30), encode(2, GN_PAGING_ENTRY_TABLE, linear_mid, 0));
        }
        store(c->parent[1], encode(1, GN_PAGING_ENTRY_TABLE, c->parent[2], 0));
        for (uint32_t i = 0; i < PAGES; i++)
            store(c->parent[2] + 8 * i, page_leaf(c, i, 0, 1));
    }
}

static double cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* What a storm came to: forks a second of all CPUs, microseconds of CPU time and calls a fork. */
struct storm {
    double rate, cpu, calls, taken, alone, waited, slept;
};

static struct storm storm(const struct gn_shadow_ops *ops, uint32_t n, uint32_t forks)
{
    struct storm s = {0};
    double begin = 0;
    double end = 0;
    double cpu;

    guest_setup();
    shadow_make((struct gn_shadow_params){GN_SHADOW_PARAMS_INIT, .format = GN_PAGING_SV39,
                                          .policy = GN_SHADOW_POLICY_TRAP, .tables = FRAMES,
                                          .roots = 32, .ops = ops});
    pthread_barrier_init(&start, NULL, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        cpus[i].forks = forks;
        must(pthread_create(&cpus[i].thread, NULL, cpu_main, &cpus[i]) ? -GN_ERR_NOMEM : 0);
    }
    clock_gettime(CLOCK_MONOTONIC, &storm_begins);
    storm_begins.tv_sec += (storm_begins.tv_nsec + SLEEP) / 1000000000;
    storm_begins.tv_nsec = (storm_begins.tv_nsec + SLEEP) % 1000000000;
    pthread_barrier_wait(&start);
    cpu = cpu_now();
    for (uint32_t i = 0; i < n; i++) {
        const struct cpu *c = &cpus[i];

        pthread_join(c->thread, NULL);
        begin = i && begin < c->begin ? begin : c->begin;
        end = end > c->end ? end : c->end;
        s.calls += (double)c->operations / forks / n;
        s.taken += (double)c->taken / forks / n;
        s.alone += (double)c->alone / forks / n;
        s.waited += (double)c->waited / forks / n;
        s.slept += (double)c->slept / forks / n;
    }
    s.rate = forks * n / ((end - begin) / 1e9);
    s.cpu = (cpu_now() - cpu) / forks / n / 1e3;
    pthread_barrier_destroy(&start);
    gn_shadow_fini(shadow);
    return s;
}

/* ---- What is measured ---------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    const struct gn_shadow_ops *ops;
    uint32_t cpus;
} cases[] = {
    {"no locks, 1 vCPU", &no_lock, 1},   {"locks, 1 vCPU", &locks, 1},
    {"locks, 2 vCPUs", &locks, 2},       {"locks, 4 vCPUs", &locks, 4},
    {"one lock, 1 vCPU", &one_lock, 1},  {"one lock, 2 vCPUs", &one_lock, 2},
    {"one lock, 4 vCPUs", &one_lock, 4},
};

#define CASES (sizeof cases / sizeof cases[0])

static struct storm storms[CASES][ROUNDS];

/* One member of a case's samples, as a line. */
static struct gn_bench_result line(uint32_t i, const char *what, const char *unit, size_t member,
                                   uint32_t rounds)
{
    double sample[ROUNDS];
    struct gn_bench_result r;
    char name[64];

    for (uint32_t round = 0; round < rounds; round++)
        memcpy(&sample[round], (const uint8_t *)&storms[i][round] + member, sizeof *sample);
    r = gn_bench_summary(sample, rounds);
    snprintf(name, sizeof name, "%s: %s", cases[i].name, what);
    gn_bench_print(name, unit, 1, r, rounds);
    return r;
}

/* Of the storms that other work left alone: it takes from a number of CPUs more than from one. */
static void best(const char *name, struct gn_bench_result a, struct gn_bench_result b)
{
    gn_bench_value(name, "ratio", 2, a.max / b.max, 1);
}

int main(int argc, char **argv)
{
    uint32_t rounds = gn_bench_quick(argc, argv) ? 1 : ROUNDS;
    struct gn_bench_result r[CASES];

    gn_bench_header();
    /* In turn: whatever else the machine does meets all alike. */
    for (uint32_t round = 0; round < rounds; round++)
        for (uint32_t i = 0; i < CASES; i++)
            storms[i][round] = storm(cases[i].ops, cases[i].cpus, FORKS);
    for (uint32_t i = 0; i < CASES; i++) {
        r[i] = line(i, "forks", "1/s", offsetof(struct storm, rate), rounds);
        (void)line(i, "CPU time of a fork", "us", offsetof(struct storm, cpu), rounds);
        (void)line(i, "locks waited for in a fork", "locks", offsetof(struct storm, waited),
                   rounds);
        (void)line(i, "... for long", "locks", offsetof(struct storm, slept), rounds);
    }
    (void)line(3, "calls a fork", "calls", offsetof(struct storm, calls), rounds);
    (void)line(3, "locks taken in a fork", "locks", offsetof(struct storm, taken), rounds);
    (void)line(3, "lock 0 taken alone in a fork", "locks", offsetof(struct storm, alone), rounds);
    best("2 vCPUs / 1, best storms", r[2], r[1]);
    best("4 vCPUs / 1, best storms", r[3], r[1]);
    best("2 vCPUs / 1, one lock, best storms", r[5], r[4]);
    best("4 vCPUs / 1, one lock, best storms", r[6], r[4]);
    best("4 vCPUs, locks / one lock, best storms", r[3], r[6]);
    best("1 vCPU, locks / no locks, best storms", r[1], r[0]);
    return 0;
}
