/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * An embedder that has an MMU with three address-space identifiers and wants them shared out: one
 * library, one ops table, memory of its own.
 */

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>

#include <gnomon/asid.h>

static int purge(void *ctx, uint32_t cpu, uint32_t id)
{
    unsigned int *purges = ctx;

    printf("purge ID %u on CPU %u\n", (unsigned int)id, (unsigned int)cpu);
    ++*purges;
    return 0;
}

static const struct gn_asid_ops ops = {
    GN_ASID_OPS_INIT,
    .caps = GN_ASID_CAP_PURGE_ONE,
    .purge = purge,
};

int main(void)
{
    static alignas(64) unsigned char memory[65536];
    unsigned int purges = 0;
    const struct gn_asid_params params = {
        GN_ASID_PARAMS_INIT, .first = 1, .count = 3, .cpus = 1, .ops = &ops, .ctx = &purges,
    };
    struct gn_asid *pool;
    uint64_t guest;
    uint32_t id;

    if (gn_asid_version() != (GN_ASID_VERSION_MAJOR << 16 | GN_ASID_VERSION_MINOR))
        return 1;
    if (gn_asid_init(memory, sizeof memory, &params, &pool))
        return 2;
    for (guest = 0; guest < 4; guest++) {
        if (gn_asid_activate(pool, 0, 1, guest, &id))
            return 3;
        printf("guest ASID %u runs under ID %u\n", (unsigned int)guest, (unsigned int)id);
    }
    gn_asid_fini(pool);

    /* Four address spaces, three identifiers: one was taken away from its owner, and purged. */
    return purges == 1 ? 0 : 4;
}
