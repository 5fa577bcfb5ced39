/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_BENCH_H
#define GN_BENCH_H

/* What benchmarks have in common: a clock, medians, and lines of name,unit,min,median,max,n. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/** Samples of a measurement, unless it says otherwise. */
#define GN_BENCH_RUNS 31u

/** What is printed of a number of samples. */
struct gn_bench_result {
    double min, median, max;
};

/** Is this a smoke run, which only shows that the program still works? */
static inline int gn_bench_quick(int argc, char **argv)
{
    return argc > 1 && !strcmp(argv[1], "--quick");
}

/** Prints the line that names the columns. */
static inline void gn_bench_header(void)
{
    printf("name,unit,min,median,max,n\n");
}

/** A monotonic clock, in nanoseconds. */
static inline double gn_bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline int gn_bench_by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/** Sorts the samples, of which there is one at least. */
static inline struct gn_bench_result gn_bench_summary(double *samples, uint32_t n)
{
    qsort(samples, n, sizeof *samples, gn_bench_by_value);
    return (struct gn_bench_result){samples[0], samples[n / 2], samples[n - 1]};
}

/** Prints a line; n says of how many. */
static inline void gn_bench_print(const char *name, const char *unit, int decimals,
                                  struct gn_bench_result r, uint64_t n)
{
    printf("%s,%s,%.*f,%.*f,%.*f,%llu\n", name, unit, decimals, r.min, decimals, r.median, decimals,
           r.max, (unsigned long long)n);
}

/** Prints a line of one value: what was counted, not sampled. */
static inline void gn_bench_value(const char *name, const char *unit, int decimals, double value,
                                  uint64_t n)
{
    gn_bench_print(name, unit, decimals, (struct gn_bench_result){value, value, value}, n);
}

/** Times n operations of a body, GN_BENCH_RUNS times, and prints nanoseconds of one operation. */
static inline struct gn_bench_result gn_bench_time(const char *name, void (*body)(uint32_t n),
                                                   uint32_t n)
{
    double sample[GN_BENCH_RUNS];
    struct gn_bench_result r;

    for (uint32_t i = 0; i < GN_BENCH_RUNS; i++) {
        const double begin = gn_bench_now();

        body(n);
        sample[i] = (gn_bench_now() - begin) / n;
    }
    r = gn_bench_summary(sample, GN_BENCH_RUNS);
    gn_bench_print(name, "ns", 2, r, (uint64_t)GN_BENCH_RUNS * n);
    return r;
}

/** The same of a body that times itself: it says how many operations, and returns how long. */
static inline struct gn_bench_result gn_bench_timed(const char *name,
                                                    double (*body)(uint32_t *ret_n))
{
    double sample[GN_BENCH_RUNS];
    struct gn_bench_result r;
    uint32_t n = 1;

    for (uint32_t i = 0; i < GN_BENCH_RUNS; i++) {
        const double ns = body(&n);

        sample[i] = ns / n;
    }
    r = gn_bench_summary(sample, GN_BENCH_RUNS);
    gn_bench_print(name, "ns", 2, r, (uint64_t)GN_BENCH_RUNS * n);
    return r;
}

/** Prints a / b: of the medians, and at the least and most favourable samples. */
static inline void gn_bench_ratio(const char *name, struct gn_bench_result a,
                                  struct gn_bench_result b)
{
    gn_bench_print(name, "ratio", 3,
                   (struct gn_bench_result){a.min / b.max, a.median / b.median, a.max / b.min}, 1);
}

#endif /* GN_BENCH_H */
