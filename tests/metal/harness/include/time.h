/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_TIME_H
#define METAL_TIME_H

#include <stdint.h>

typedef int64_t time_t;

struct timespec {
    time_t tv_sec;
    long tv_nsec;
};

#define CLOCK_REALTIME  0
#define CLOCK_MONOTONIC 1

/** Seconds since midnight: enough for a seed. */
time_t time(time_t *ret);
/** Every clock is the time since boot. */
int clock_gettime(int clock, struct timespec *ret);

#endif /* METAL_TIME_H */
