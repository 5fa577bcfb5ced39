/* SPDX-License-Identifier: BSD-3-Clause */

#include "stats.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/resource.h>

/* Takes one counter. Counters of a group come one after the other. */
typedef void (*counter)(void *ctx, const char *group, const char *name, uint64_t value);

/* What a run cost the host. */
struct cost {
    double wall, cpu, mips;
    uint64_t peak_kib;
};

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static struct cost measure(const struct rv64_machine *machine)
{
    struct cost cost = {0};
    struct rusage usage;

    cost.wall = (double)(machine->stopped - machine->started) / RV64_TIMEBASE_HZ;
    if (!getrusage(RUSAGE_SELF, &usage)) {
        cost.cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
        cost.peak_kib = (uint64_t)usage.ru_maxrss;
    }
    /* Of CPU time: the time that a guest spends waiting says nothing about us. */
    if (cost.cpu > 0)
        cost.mips = (double)machine->cpu.stats.instructions / cost.cpu / 1e6;
    return cost;
}

static void count_cpu(const struct rv64_cpu_stats *stats, counter each, void *ctx)
{
    each(ctx, "cpu", "instructions", stats->instructions);
    each(ctx, "cpu", "exceptions", stats->exceptions);
    each(ctx, "cpu", "page_faults", stats->page_faults);
    each(ctx, "cpu", "interrupts", stats->interrupts);
    each(ctx, "cpu", "satp_writes", stats->satp_writes);
    each(ctx, "cpu", "sfences", stats->sfences);
    each(ctx, "cpu", "fence_is", stats->fence_is);
    each(ctx, "cpu", "decoded", stats->decoded);
    each(ctx, "cpu", "decode_pages", stats->decode_pages);
    each(ctx, "cpu", "decode_evictions", stats->decode_evictions);
}

static void count_disks(const struct rv64_machine *machine, counter each, void *ctx)
{
    char group[16];
    size_t i;

    for (i = 0; i < machine->disk_count; i++) {
        const struct rv64_virtio_blk *disk = &machine->disks[i];

        snprintf(group, sizeof group, "disk%zu", i);
        each(ctx, group, "reads", disk->reads);
        each(ctx, group, "writes", disk->writes);
        each(ctx, group, "flushes", disk->flushes);
        each(ctx, group, "errors", disk->errors);
        each(ctx, group, "bytes_read", disk->bytes_read);
        each(ctx, group, "bytes_written", disk->bytes_written);
        each(ctx, group, "notifications", machine->virtio[i].notifications);
        each(ctx, group, "needs_reset", machine->virtio[i].broken);
    }
}

static void count_all(const struct rv64_machine *machine, counter each, void *ctx)
{
    count_cpu(&machine->cpu.stats, each, ctx);
    rv64_compose_stats(machine->compose, each, ctx);
    rv64_translator_stats(&machine->cpu, each, ctx);
    each(ctx, "machine", "slices", machine->slices);
    each(ctx, "machine", "waits", machine->waits);
    each(ctx, "machine", "sbi_calls", machine->sbi.calls);
    each(ctx, "machine", "plic_claims", machine->plic.claims);
    each(ctx, "machine", "console_bytes", machine->console_bytes);
    each(ctx, "machine", "uart_received", machine->uart.received);
    each(ctx, "machine", "uart_transmitted", machine->uart.transmitted);
    count_disks(machine, each, ctx);
}

static void print_text(void *ctx, const char *group, const char *name, uint64_t value)
{
    (void)ctx;
    fprintf(stderr, "%-10s %-28s %15" PRIu64 "\n", group, name, value);
}

static void print_text_cost(const struct cost *cost)
{
    fprintf(stderr, "%-10s %-28s %15.3f\n", "cost", "wall_seconds", cost->wall);
    fprintf(stderr, "%-10s %-28s %15.3f\n", "cost", "cpu_seconds", cost->cpu);
    fprintf(stderr, "%-10s %-28s %15.1f\n", "cost", "mips", cost->mips);
    print_text(NULL, "cost", "peak_rss_kib", cost->peak_kib);
}

static void add_json(void *ctx, const char *group, const char *name, uint64_t value)
{
    json_t *object = json_object_get(ctx, group);

    if (!object) {
        object = json_object();
        json_object_set_new(ctx, group, object);
    }
    /* JSON integers are signed here; no counter comes near 2^63. */
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void print_json(const struct rv64_machine *machine, const struct cost *cost)
{
    json_t *root = json_object();
    json_t *costs;

    count_all(machine, add_json, root);
    add_json(root, "cost", "peak_rss_kib", cost->peak_kib);
    costs = json_object_get(root, "cost");
    json_object_set_new(costs, "wall_seconds", json_real(cost->wall));
    json_object_set_new(costs, "cpu_seconds", json_real(cost->cpu));
    json_object_set_new(costs, "mips", json_real(cost->mips));
    json_dumpf(root, stderr, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    fputc('\n', stderr);
    json_decref(root);
}

void rv64_stats_print(const struct rv64_machine *machine, enum rv64_stats_format format)
{
    struct cost cost = measure(machine);

    if (format == RV64_STATS_JSON) {
        print_json(machine, &cost);
    } else if (format == RV64_STATS_TEXT) {
        count_all(machine, print_text, NULL);
        print_text_cost(&cost);
    }
}
