/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_internal.h"

#define LINES 64u
#define LINE  64u

/* Lines that were flushed are read: a counter that counts sees most of them. */
static bool counts(int fd)
{
    static const uint8_t bait[LINES * LINE];
    uint64_t before = gn_linux_cache_counter_read(fd);

    for (uint32_t i = 0; i < LINES; i++) {
        const volatile uint8_t *at = bait + (size_t)(i * 37 % LINES) * LINE;

        if (gn_linux_cache_flush((const void *)(uintptr_t)at))
            return false;
        (void)*at;
    }
    return gn_linux_cache_counter_read(fd) - before >= LINES / 2;
}

int gn_linux_cache_counter_get(int32_t *ret_counter)
{
    struct perf_event_attr what = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof what,
                                   .config = PERF_COUNT_HW_CACHE_MISSES,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    int fd = (int)syscall(SYS_perf_event_open, &what, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

    if (fd < 0)
        return errno == EACCES || errno == EPERM ? -GN_ERR_PERM : -GN_ERR_NOTSUP;
    if (!counts(fd)) {
        close(fd);
        return -GN_ERR_NOTSUP;
    }
    *ret_counter = fd;
    return 0;
}

uint64_t gn_linux_cache_counter_read(int32_t counter)
{
    uint64_t count;

    return read(counter, &count, sizeof count) == sizeof count ? count : 0;
}

void gn_linux_cache_counter_put(int32_t counter)
{
    if (counter >= 0)
        close(counter);
}
