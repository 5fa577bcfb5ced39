/* SPDX-License-Identifier: BSD-3-Clause */

/* Hosts without an emission, and builds without tcache. */

#include "run.h"

bool rv64_translator_built(void)
{
    return false;
}

bool rv64_translator_dumps(void)
{
    return false;
}

int rv64_translator_attach(struct rv64_cpu *cpu, const struct rv64_translator_params *params,
                           const char **ret_error)
{
    (void)cpu;
    (void)params;
    *ret_error = "this build has no translator: it is for x86-64 hosts, and needs tcache";
    return -1;
}

void rv64_translator_detach(struct rv64_cpu *cpu)
{
    (void)cpu;
}

void rv64_translator_stats(const struct rv64_cpu *cpu,
                           void (*each)(void *ctx, const char *group, const char *name,
                                        uint64_t value),
                           void *ctx)
{
    (void)cpu;
    (void)each;
    (void)ctx;
}
