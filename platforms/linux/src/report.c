/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/prctl.h>

#include "linux_internal.h"

static const struct {
    const char *name;
    const char *text;
} missing[GN_LINUX_DEGRADED_COUNT] = {
    {"secret", "no memfd_secret: the kernel, ptrace and /proc/PID/mem can read the plaintext"},
    {"lock", "the plaintext is not locked: it may be swapped out"},
    {"dump", "a core dump has the plaintext"},
    {"fork", "a child process inherits the plaintext"},
    {"dumpable", "processes of the same user may attach and see registers"},
    {"copies", "resident pages lie outside of the secret memory"},
    {"syscalls", "a system call given an address that is not resident fails with EFAULT"},
};

uint32_t gn_linux_version(void)
{
    return GN_LINUX_VERSION_MAJOR << 16 | GN_LINUX_VERSION_MINOR;
}

const char *gn_linux_degraded_name(uint32_t bit, const char **ret_text)
{
    for (uint32_t i = 0; i < GN_LINUX_DEGRADED_COUNT; i++) {
        if (bit != 1u << i)
            continue;
        if (ret_text)
            *ret_text = missing[i].text;
        return missing[i].name;
    }
    if (ret_text)
        *ret_text = "unknown";
    return "unknown";
}

uint32_t gn_linux_process_degraded(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) ? GN_LINUX_DEGRADED_DUMPABLE : 0;
}

uint32_t gn_linux_process_protect(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return gn_linux_process_degraded();
}
