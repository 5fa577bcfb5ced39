/* SPDX-License-Identifier: BSD-3-Clause */
#include <cpuid.h>
#include <emmintrin.h>
#include <x86intrin.h>

#include "linux_internal.h"

/* The fences: no load before is under way, none after has begun (Intel SDM vol. 2B, RDTSC). */
uint64_t gn_linux_cache_clock(void)
{
    uint64_t now;

    _mm_lfence();
    now = __rdtsc();
    _mm_lfence();
    return now;
}

int gn_linux_cache_flush(const void *at)
{
    _mm_mfence();
    _mm_clflush(at);
    _mm_mfence();
    return 0;
}

/* CPUID.1:ECX[31], which hypervisors set and no CPU does (AMD APM vol. 3, CPUID Fn0000_0001). */
bool gn_linux__virtual(void)
{
    uint32_t a, b, c, d;

    return !__get_cpuid(1, &a, &b, &c, &d) || c >> 31;
}
