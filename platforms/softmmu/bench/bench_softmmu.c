/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the software MMU costs.
 *
 *  - chase: a chain of dependent loads, through the probe and as plain loads, over 16 KiB, 1 MiB,
 *    and 4 MiB with one load a page
 *  - access: a miss (walk and fill) against a hit; a traced write against a plain one
 *  - context_set, and invalidation
 *  - working sets: misses for TLBs of several sizes; one run each, the count does not vary
 *
 * Samples of what is compared alternate, so that a change of the clock hits all; ratios are of
 * medians.
 */

#include <gnomon/paging.h>
#include <gnomon/softmmu.h>

#include "gn_bench.h"

#define MEMORY_SIZE ((uint64_t)32 << 20)
#define TABLES      ((uint64_t)24 << 20)
#define SAMPLES     31
#define GVA         0x40000000ull
#define RIGHTS      (GN_PAGING_R | GN_PAGING_W | GN_PAGING_X | GN_PAGING_U)

static uint8_t *memory;
static uint64_t next_table;
static struct gn_softmmu *mmu;
static void *object;
static const struct gn_softmmu_window *window;
static uint64_t recorded;
static int samples = SAMPLES;
static volatile uint64_t sink;

static void die(const char *what)
{
    fprintf(stderr, "bench_softmmu: %s\n", what);
    exit(1);
}

static void traced_write(void *ctx, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes)
{
    (void)ctx;
    (void)vcpu;
    (void)bytes;
    recorded += hpa.v;
}

static const struct gn_softmmu_ops ops = {GN_SOFTMMU_OPS_INIT, .traced_write = traced_write};

static void make(uint32_t tlb_entries)
{
    struct gn_softmmu_params p = {GN_SOFTMMU_PARAMS_INIT,     .format = GN_PAGING_SV39,
                                  .tlb_entries = tlb_entries, .memory = memory,
                                  .memory_size = MEMORY_SIZE, .ops = &ops};
    size_t size = gn_softmmu_size(&p);

    free(object);
    object = aligned_alloc(gn_softmmu_align(), (size + 63) & ~(size_t)63);
    if (!object || gn_softmmu_init(object, size, &p, &mmu))
        die("no MMU");
    window = gn_softmmu_window(mmu, 0, GN_SOFTMMU_PORT_DATA);
}

static uint64_t table_new(void)
{
    uint64_t hpa = next_table;

    next_table += GN_PAGE_SIZE;
    if (next_table > MEMORY_SIZE)
        die("no room for tables");
    memset(memory + hpa, 0, GN_PAGE_SIZE);
    return hpa;
}

/* An Sv39 page by hand: the bench wants the MMU alone. */
static void map(uint64_t root, uint64_t gva, uint64_t hpa, uint32_t permissions)
{
    uint64_t table = root;

    for (uint32_t level = 2;; level--) {
        uint64_t *entry = (uint64_t *)(memory + table) + (gva >> (12 + 9 * level) & 511);

        if (level == 0) {
            const struct gn_paging_entry e = {
                .kind = GN_PAGING_ENTRY_LEAF, .permissions = permissions, .address = hpa};

            if (gn_paging_entry_encode(GN_PAGING_SV39, 0, &e, entry))
                die("not an entry");
            return;
        }
        if (!*entry)
            *entry = table_new() >> 2 | 1;
        table = *entry >> 10 << 12;
    }
}

static void load_asid(uint32_t asid, uint64_t root)
{
    const struct gn_softmmu_context c = {GN_SOFTMMU_CONTEXT_INIT, .asid = asid,
                                         .root = gn_hpa(root), .view = GN_SOFTMMU_VIEW_USER};

    if (gn_softmmu_context_set(mmu, 0, GN_SOFTMMU_PORT_DATA, &c))
        die("a context was refused");
}

static void *slow(uint64_t gva, uint32_t access)
{
    struct gn_softmmu_answer r;

    if (gn_softmmu_access(mmu, 0, gn_gva(gva), access, 8, &r) || r.mmu.outcome != GN_MMU_DONE)
        die("an access failed");
    return r.host;
}

static inline void *translate(uint64_t gva, uint32_t access)
{
    void *host = gn_softmmu_probe(window, gn_gva(gva), 8, access);

    return host ? host : slow(gva, access);
}

/* One thing that is measured: it does its work `count` times. */
struct row {
    const char *name;
    void (*run)(uint64_t arg, uint32_t count);
    uint64_t arg;
    uint32_t count;
    double median;
};

/* Measures rows against one another: their samples alternate. */
static void measure(struct row *row, int rows)
{
    static double ns[8][SAMPLES];

    for (int i = 0; i < rows; i++) {
        row[i].count = samples < SAMPLES ? row[i].count / 50 + 1 : row[i].count;
        row[i].run(row[i].arg, row[i].count);
    }
    for (int s = 0; s < samples; s++)
        for (int i = 0; i < rows; i++) {
            double start = gn_bench_now();

            row[i].run(row[i].arg, row[i].count);
            ns[i][s] = (gn_bench_now() - start) / row[i].count;
        }
    for (int i = 0; i < rows; i++) {
        struct gn_bench_result r = gn_bench_summary(ns[i], (uint32_t)samples);

        row[i].median = r.median;
        gn_bench_print(row[i].name, "ns", 2, r, (uint64_t)samples);
    }
}

static uint64_t random_state = 1;

static uint32_t below(uint32_t n)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((random_state >> 33) * n >> 31);
}

/*
 * Chains: each word holds the offset of the next one, in a random cycle through all of them. One
 * chain serves both runs; what differs is how an offset becomes an address.
 */
static void chain_make(uint64_t bytes, uint64_t stride)
{
    static uint32_t order[16384];
    uint32_t n = (uint32_t)(bytes / stride);

    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t j = below(i + 1), o = order[i];

        order[i] = order[j];
        order[j] = o;
    }
    /* Within a page the line varies, lest all words fall into one set of the cache. */
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = order[i] * stride, to = order[(i + 1) % n] * stride;
        uint64_t line = stride < 4096 ? 0 : order[i] % 64 * 64;
        uint64_t to_line = stride < 4096 ? 0 : order[(i + 1) % n] % 64 * 64;

        *(uint64_t *)(memory + at + line) = to + to_line;
    }
}

static void chase_raw(uint64_t base, uint32_t count)
{
    const uint8_t *at = memory;
    uint64_t offset = *(const uint64_t *)at;

    (void)base;
    while (count--)
        offset = *(const uint64_t *)(at + offset);
    sink += offset;
}

static void chase_probe(uint64_t base, uint32_t count)
{
    uint64_t offset = *(const uint64_t *)memory;

    while (count--)
        offset = *(const uint64_t *)translate(base + offset, GN_ACCESS_READ);
    sink += offset;
}

static void bench_chase(const char *name, uint64_t bytes, uint64_t stride, char *ratio, size_t len)
{
    char raw[64], probe[64];
    struct row row[] = {{raw, chase_raw, GVA, 400000, 0}, {probe, chase_probe, GVA, 400000, 0}};

    snprintf(raw, sizeof raw, "chase_%s_raw", name);
    snprintf(probe, sizeof probe, "chase_%s_probe", name);
    memset(memory, 0, (size_t)bytes);
    chain_make(bytes, stride);
    measure(row, 2);
    snprintf(ratio, len, "# chase %s: probe/raw %.2f\n", name, row[1].median / row[0].median);
}

static void access_hit(uint64_t gva, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sink = *(uint64_t *)translate(gva + ((i & 63) << 12), GN_ACCESS_READ);
}

/* As after a probe that failed: gn_softmmu_access() walks and fills, whatever the TLB holds. */
static void access_miss(uint64_t gva, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = gva + ((i & 63) << 12);
        sink += gn_softmmu_probe(window, gn_gva(at), 8, GN_ACCESS_READ) != NULL;
        sink = *(uint64_t *)slow(at, GN_ACCESS_READ);
    }
}

static void write_plain(uint64_t gva, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        *(volatile uint64_t *)translate(gva + (i & 511) * 8, GN_ACCESS_WRITE) = i;
}

static void write_traced(uint64_t gva, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = gva + (i & 511) * 8;
        struct gn_softmmu_answer r;

        if (gn_softmmu_probe(window, gn_gva(at), 8, GN_ACCESS_WRITE))
            die("a traced write was not reported");
        if (gn_softmmu_access(mmu, 0, gn_gva(at), GN_ACCESS_WRITE, 8, &r) || !r.traced)
            die("a write is not traced");
        *(volatile uint64_t *)r.host = i;
        gn_softmmu_written(mmu, 0, r.hpa, 8);
    }
}

static void context_set(uint64_t root, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        load_asid(1 + (i & 1), root);
    load_asid(1, root);
}

static void invalidate_page(uint64_t asid, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        gn_softmmu_invalidate_range(mmu, (uint32_t)asid, gn_gva(GVA + ((uint64_t)i << 12)), 4096);
}

static void invalidate_asid(uint64_t asid, uint32_t count)
{
    while (count--)
        gn_softmmu_invalidate_asid(mmu, (uint32_t)asid);
}

static void invalidate_all(uint64_t unused, uint32_t count)
{
    (void)unused;
    while (count--)
        gn_softmmu_invalidate_all(mmu);
}

static void bench_operations(uint64_t root, char *ratio, size_t len)
{
    struct row access[] = {{"access_hit", access_hit, GVA, 200000, 0},
                           {"access_miss", access_miss, GVA, 50000, 0}};
    struct row write[] = {{"write_plain", write_plain, GVA + (1023 << 12), 200000, 0},
                          {"write_traced", write_traced, GVA + (1024 << 12), 50000, 0}};
    struct row other[] = {{"context_set", context_set, root, 50000, 0},
                          {"invalidate_page", invalidate_page, 1, 50000, 0},
                          {"invalidate_page_any_asid", invalidate_page, GN_MMU_ASID_ANY, 5000, 0},
                          {"invalidate_asid", invalidate_asid, 2, 200, 0},
                          {"invalidate_all", invalidate_all, 0, 200, 0}};

    measure(access, 2);
    measure(write, 2);
    measure(other, 5);
    snprintf(ratio, len,
             "# access: miss/hit %.1f\n# write: traced/plain %.1f, traced/miss %.2f\n"
             "# invalidate page: any ASID/one %.1f\n",
             access[1].median / access[0].median, write[1].median / write[0].median,
             write[1].median / access[1].median, other[2].median / other[1].median);
}

/* Working sets. Pages of all spaces lie in the same few frames: what is counted is the TLB. */

#define SPACES 6
static uint64_t space[SPACES];

static void touch(uint64_t page)
{
    sink += *(uint64_t *)translate(page << 12, GN_ACCESS_READ);
}

/* A copy of 4 MiB between arrays 8 MiB apart, in steps of a line. */
static void work_copy(uint32_t rounds)
{
    for (uint32_t r = 0; r < rounds; r++)
        for (uint32_t line = 0; line < 65536; line++) {
            touch(0x40000 + line / 64);
            touch(0x40000 + 2048 + line / 64);
        }
}

/* Uniformly random words of 16 MiB. */
static void work_random(uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds * 100000; i++)
        touch(0x40000 + below(4096));
}

/*
 * A small operating system: processes that share a kernel by address, not by entry, run for a few
 * thousand accesses each. Of ten accesses five go to 64 hot pages, three to 512 warm ones, one to
 * the heap, one to the kernel; a system call now and then touches its own pages.
 */
static void work_switch(uint32_t rounds)
{
    for (uint32_t r = 0; r < rounds * 40; r++) {
        uint32_t s = below(SPACES);

        load_asid(1 + s, space[s]);
        for (uint32_t i = 0; i < 4000; i++)
            switch (below(10)) {
            case 0: touch(0x40000 + 1024 + below(2048)); break;
            case 1: touch(0x48000 + below(256)); break;
            case 2:
            case 3:
            case 4: touch(0x40000 + 64 + below(512)); break;
            default: touch(0x40000 + below(64));
            }
    }
    load_asid(1, space[0]);
}

static void bench_working_set(const char *name, void (*work)(uint32_t), uint32_t accesses)
{
    static const uint32_t entries[] = {1024, 4096, 8192, 16384, 65536};
    uint32_t rounds = samples < SAMPLES ? 1 : 8;

    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        struct gn_softmmu_stats s = {GN_SOFTMMU_STATS_INIT};
        double per_1000, start, ns;
        uint64_t before;

        make(entries[i]);
        load_asid(1, space[0]);
        random_state = 1;
        work(1);
        if (gn_softmmu_stats_get(mmu, &s))
            die("no counters");
        before = s.walks;
        start = gn_bench_now();
        work(rounds);
        ns = (gn_bench_now() - start) / rounds / accesses;
        if (gn_softmmu_stats_get(mmu, &s))
            die("no counters");
        per_1000 = (double)(s.walks - before) * 1000 / rounds / accesses;
        printf("%s_%u_misses,per_1000,%.2f,%.2f,%.2f,1\n", name, entries[i], per_1000, per_1000,
               per_1000);
        printf("%s_%u_time,ns,%.2f,%.2f,%.2f,1\n", name, entries[i], ns, ns, ns);
    }
}

int main(int argc, char **argv)
{
    char ratio[4][256];

    samples = gn_bench_quick(argc, argv) ? 3 : SAMPLES;
    memory = aligned_alloc(GN_PAGE_SIZE, MEMORY_SIZE);
    if (!memory)
        die("no memory");
    memset(memory, 0, MEMORY_SIZE);
    next_table = TABLES;
    for (int s = 0; s < SPACES; s++) {
        space[s] = table_new();
        for (uint64_t i = 0; i < 4096; i++)
            map(space[s], GVA + (i << 12), i << 12, RIGHTS | (i == 1024 ? GN_PAGING_SOFT0 : 0));
        for (uint64_t i = 0; i < 256; i++)
            map(space[s], GVA + ((0x8000 + i) << 12), i << 12, RIGHTS);
    }
    make(0);
    load_asid(1, space[0]);
    gn_bench_header();
    bench_chase("16k", 16 << 10, 64, ratio[0], sizeof ratio[0]);
    bench_chase("1m", 1 << 20, 64, ratio[1], sizeof ratio[1]);
    bench_chase("4m_page", 4 << 20, 4096, ratio[2], sizeof ratio[2]);
    bench_operations(space[0], ratio[3], sizeof ratio[3]);
    bench_working_set("copy", work_copy, 131072);
    bench_working_set("random", work_random, 100000);
    bench_working_set("switch", work_switch, 160000);
    for (int i = 0; i < 4; i++)
        fputs(ratio[i], stdout);
    free(object);
    free(memory);
    return 0;
}
