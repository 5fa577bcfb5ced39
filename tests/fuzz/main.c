/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/*
 *      fuzz [--seed N] [--ops N] [--replay FILE]
 *
 * GNOMON_SOAK in the environment, not empty and not 0: OPS_SOAK operations, if --ops says nothing.
 *
 * Random operations, in episodes of EPISODE each in a world of its own. The first failure is cut
 * down to the fewest operations that still fail, and printed as a text for --replay.
 */

#define OPS_DEFAULT 3000000u
#define OPS_SOAK    20000000u
#define EPISODE     4000u

static struct op ops[1u << 16];

static void trace_print(uint64_t seed, uint32_t count, const char *why)
{
    struct config c;

    config_make(&c, seed);
    printf("# %s\n", why);
    config_print(&c);
    printf("seed %#" PRIx64 "\n", seed);
    for (uint32_t i = 0; i < count; i++)
        op_print(&ops[i]);
}

static int replay(const char *name)
{
    FILE *f = fopen(name, "r");
    char line[256];
    char why[512] = "nothing fails";
    uint64_t seed = 0;
    uint32_t count = 0;

    if (!f) {
        perror(name);
        return 2;
    }
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#' || line[0] == '\n' || sscanf(line, "seed %" SCNx64, &seed) == 1)
            continue;
        if (count == sizeof ops / sizeof ops[0] || !op_parse(line, &ops[count++])) {
            fprintf(stderr, "%s: not an operation: %s", name, line);
            fclose(f);
            return 2;
        }
    }
    fclose(f);
    count = trace_run(seed, ops, count, why, sizeof why);
    printf("%s", why);
    printf(count ? ", at operation %" PRIu32 "\n" : "\n", count);
    return count != 0;
}

static int fuzz(uint64_t seed, uint64_t wanted)
{
    static const char *const names[16] = {"done",
                                          "guest fault",
                                          "device",
                                          "hole",
                                          "ROM write",
                                          "trapped",
                                          "emulated",
                                          "no room",
                                          NULL,
                                          "fault by a marker",
                                          "device by a marker"};
    static const char *const happened[DONE] = {
        [DONE_AGAIN] = "calls in parts",       [DONE_HARVESTED] = "pages harvested",
        [DONE_RING_FULL] = "dirty ring full",  [DONE_UNSYNC] = "pages unsync",
        [DONE_TRACED] = "pages traced",        [DONE_RESYNCED] = "pages resynced",
        [DONE_RECLAIMED] = "tables reclaimed", [DONE_AROUND] = "filled around",
        [DONE_SPLINTERS] = "splinters",        [DONE_LARGE] = "large leaves",
    };
    uint64_t counts[16] = {0};
    uint64_t dones[DONE] = {0};
    char why[512];

    printf("fuzz: --seed %" PRIu64 " --ops %" PRIu64 "\n", seed, wanted);
    fflush(stdout);
    for (uint64_t done = 0, i = 0; done < wanted; done += EPISODE, i++) {
        struct dice d = {seed + i * UINT64_C(0x632be59bd9b4e019)};
        uint64_t episode = dice_next(&d);
        uint32_t count = episode_run(episode, ops, EPISODE, why, sizeof why, counts, dones);

        if (!count)
            continue;
        printf("FAILED in episode %" PRIu64 ", operation %" PRIu32 ": %s\n", i, count, why);
        fflush(stdout);
        count = trace_shrink(episode, ops, count);
        if (!trace_run(episode, ops, count, why, sizeof why))
            snprintf(why, sizeof why, "fails only among other operations");
        printf("%" PRIu32 " operations remain; to be given to --replay:\n", count);
        trace_print(episode, count, why);
        return 1;
    }
    for (uint32_t i = 0; i < 16; i++)
        if (names[i])
            printf("%s%s %" PRIu64, i ? ", " : "", names[i], counts[i]);
    for (uint32_t i = 0; i < DONE; i++)
        printf("%s%s %" PRIu64, i ? ", " : "\n", happened[i], dones[i]);
    printf("\n");
    return 0;
}

int main(int argc, char **argv)
{
    const char *soak = getenv("GNOMON_SOAK");
    uint64_t seed = 20261122;
    uint64_t wanted = soak && *soak && strcmp(soak, "0") != 0 ? OPS_SOAK : OPS_DEFAULT;

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 0);
        } else if (i + 1 < argc && strcmp(argv[i], "--ops") == 0) {
            wanted = strtoull(argv[i + 1], NULL, 0);
        } else if (i + 1 < argc && strcmp(argv[i], "--replay") == 0) {
            return replay(argv[i + 1]);
        } else {
            fprintf(stderr, "usage: fuzz [--seed N] [--ops N] [--replay FILE]\n");
            return 2;
        }
    }
    return fuzz(seed, wanted);
}
