/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * tracelog - a guest writes a thousand page-table entries, and no write traps.
 *
 * A hypervisor keeps a copy of the guest's page tables (its shadow is made of it). What the guest
 * writes there is completed and recorded; at a coherence point the log says where to look again.
 * Most intervals between two coherence points are short, as those of page faults; one is a fork,
 * which writes more than the ring holds, and then whole pages are named instead of entries.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnomon/tracelog.h>

#define BASE    UINT64_C(0x80000000) /* guest physical address of the tables */
#define PAGES   4u
#define ENTRIES 512u
#define RING    128u
#define WRITES  1000u

static uint64_t guest[PAGES][ENTRIES]; /* the guest's page tables */
static uint64_t copy[PAGES][ENTRIES];  /* what the hypervisor believes of them */

static _Alignas(64) uint8_t memory[16384];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "tracelog: %s\n", what);
    exit(1);
}

/* Of how many entries the hypervisor has a wrong opinion. */
static uint32_t differences(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < PAGES * ENTRIES; i++)
        count += copy[i / ENTRIES][i % ENTRIES] != guest[i / ENTRIES][i % ENTRIES];
    return count;
}

/* ---- The MMU completes a write to a traced page: memory first, then the record ------------ */

static void traced_write(struct gn_tracelog *log, uint32_t page, uint32_t entry, uint64_t value)
{
    guest[page][entry] = value;
    gn_tracelog_append(log, 0, gn_gpa(BASE + page * GN_PAGE_SIZE + entry * 8), 8);
}

/* ---- The guest ---------------------------------------------------------------------------- */

/* Runs of neighbouring entries; some are written several times, as when a kernel clears an entry
 * before it sets it. */
static uint32_t interval(struct gn_tracelog *log, uint32_t writes, uint64_t *random)
{
    uint32_t page = 0, entry = 0;

    for (uint32_t i = 0; i < writes; i++) {
        *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        if (i % 16 == 0) { /* elsewhere */
            page = *random >> 62;
            entry = *random >> 55 & 0x7f;
        } else if (*random >> 62) { /* the next one; else the same again */
            entry++;
        }
        traced_write(log, page, entry, *random | 1);
    }
    return writes;
}

/* ---- A coherence point -------------------------------------------------------------------- */

static void coherence_point(struct gn_tracelog *log)
{
    struct gn_tracelog_item item;
    struct gn_tracelog_drain drain;
    int more;

    gn_tracelog_drain_begin(log, &drain);
    while ((more = gn_tracelog_drain_next(log, &drain, &item)) == 1) {
        if (item.kind == GN_TRACELOG_ALL)
            die("every page has an overflow bit, and the log speaks of others");
        /* The record says where; what is there now is in guest memory. */
        memcpy((uint8_t *)copy + (item.gpa.v - BASE), (uint8_t *)guest + (item.gpa.v - BASE),
               item.bytes);
    }
    if (more)
        die("the drain was refused");
}

int main(void)
{
    const struct gn_tracelog_params params = {GN_TRACELOG_PARAMS_INIT, .ring_entries = RING,
                                              .flags = GN_TRACELOG_SERIAL,
                                              .page_base = gn_gpa(BASE), .page_count = PAGES};
    struct gn_tracelog_stats before = {GN_TRACELOG_STATS_INIT}, after = before;
    uint32_t written = 0, points = 0, lost = 0;
    struct gn_tracelog *log;
    uint64_t random = 1;

    if (gn_tracelog_init(memory, sizeof memory, &params, &log))
        die("the log was refused");
    printf("interval  writes  duplicates  ring full  stale  entries drained  pages  still stale\n");
    while (written < WRITES) {
        const uint32_t writes = interval(log, points == 4 ? 400 : 100, &random);
        const uint32_t stale = differences();

        written += writes;
        coherence_point(log);
        lost += differences();
        if (gn_tracelog_stats_get(log, &after))
            die("the counters cannot be had");
        printf("%8" PRIu32 " %7" PRIu32 " %11" PRIu64 " %10" PRIu64 " %6" PRIu32 " %15" PRIu64
               " %6" PRIu64 " %12" PRIu32 "\n",
               points++, writes, after.filtered - before.filtered,
               after.overflowed - before.overflowed, stale, after.entries - before.entries,
               after.pages - before.pages, differences());
        before = after;
    }
    printf("\n%" PRIu32 " writes: %" PRIu32 " traps if each had trapped, %" PRIu32
           " coherence points now; %" PRIu32 " updates lost\n",
           written, written, points, lost);
    if (lost || !gn_tracelog_empty(log) || !after.overflowed || !after.pages || !after.filtered)
        die("not what was promised");
    gn_tracelog_fini(log);
    return 0;
}
