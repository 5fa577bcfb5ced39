/* SPDX-License-Identifier: BSD-3-Clause */
#include <ucontext.h>

#include "linux_internal.h"

/* The page-fault error code (Intel SDM vol. 3A, 4.7). */
#define WRITE (1 << 1)
#define FETCH (1 << 4)

uint32_t gn_linux__access(const void *ucontext)
{
    const ucontext_t *u = ucontext;

    if (u->uc_mcontext.gregs[REG_ERR] & FETCH)
        return GN_ACCESS_EXEC;
    return u->uc_mcontext.gregs[REG_ERR] & WRITE ? GN_ACCESS_WRITE : GN_ACCESS_READ;
}
