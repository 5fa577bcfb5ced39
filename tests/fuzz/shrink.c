/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* Runs of operations: a failure ends one by a jump, and a trace that fails is cut down. */

static jmp_buf failed;
static char why[512];
static struct world world;
static uint32_t at_failure; /* the operation that is being performed */
static uint32_t trace_length;

_Noreturn void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    longjmp(failed, 1);
}

static void run_operations(uint64_t seed, struct op *ops, uint32_t count, struct dice *d,
                           uint64_t *counts, uint64_t *done)
{
    at_failure = 0;
    world_open(&world, seed, 0);
    for (; at_failure < count; at_failure++) {
        if (d)
            generate(&world, d, &ops[at_failure]);
        operate(&world, &ops[at_failure]);
    }
    operate(&world, &(struct op){.kind = OP_BARRIER});
    for (uint32_t i = 0; i < 16 && counts; i++)
        counts[i] += world.counts[i];
    world_close(&world);
    for (uint32_t i = 0; i < DONE && done; i++)
        done[i] += world.done[i];
}

/* Performs operations; with dice, makes them first. @return how many, the failing one included */
static uint32_t run(uint64_t seed, struct op *ops, uint32_t count, struct dice *d, uint64_t *counts,
                    uint64_t *done)
{
    if (setjmp(failed)) {
        world_free(&world);
        return at_failure < trace_length ? at_failure + 1 : trace_length ? trace_length : 1;
    }
    trace_length = count;
    run_operations(seed, ops, count, d, counts, done);
    world_free(&world);
    return 0;
}

uint32_t trace_run(uint64_t seed, const struct op *ops, uint32_t count, char *ret_why, size_t size)
{
    uint32_t n = run(seed, (struct op *)(uintptr_t)ops, count, NULL, NULL, NULL);

    if (n && ret_why)
        snprintf(ret_why, size, "%s", why);
    return n;
}

uint32_t episode_run(uint64_t seed, struct op *ops, uint32_t count, char *ret_why, size_t size,
                     uint64_t *counts, uint64_t *done)
{
    struct dice d = {seed ^ UINT64_C(0x0b5e55ed)};
    uint32_t n = run(seed, ops, count, &d, counts, done);

    if (n)
        snprintf(ret_why, size, "%s", why);
    return n;
}

/* Drops chunks, ever smaller ones, as long as what remains fails, in whatever way. */
uint32_t trace_shrink(uint64_t seed, struct op *ops, uint32_t count)
{
    struct op *less = malloc((count + 1) * sizeof *less);

    for (uint32_t chunk = count / 2; less && chunk;) {
        uint32_t dropped = 0;

        for (uint32_t at = 0; at < count;) {
            uint32_t size = chunk < count - at ? chunk : count - at;
            uint32_t n;

            memcpy(less, ops, at * sizeof *ops);
            memcpy(less + at, ops + at + size, (count - at - size) * sizeof *ops);
            n = trace_run(seed, less, count - size, NULL, 0);
            if (n && n < count) {
                memcpy(ops, less, n * sizeof *ops);
                dropped = 1;
                count = n;
            } else {
                at += size;
            }
        }
        chunk = chunk == 1 && dropped ? 1 : chunk / 2;
    }
    free(less);
    return count;
}
