/* SPDX-License-Identifier: BSD-3-Clause */
#include <time.h>

#include "linux_internal.h"

uint64_t gn_linux_cache_clock(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int gn_linux_cache_flush(const void *at)
{
    (void)at;
    return -GN_ERR_NOTSUP;
}

bool gn_linux__virtual(void)
{
    return true;
}
