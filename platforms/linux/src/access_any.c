/* SPDX-License-Identifier: BSD-3-Clause */
#include "linux_internal.h"

/* The signal says nothing portable. */
uint32_t gn_linux__access(const void *ucontext)
{
    (void)ucontext;
    return GN_ACCESS_KINDS;
}
