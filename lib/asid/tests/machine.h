/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_ASID_MACHINE_H
#define GN_TEST_ASID_MACHINE_H

/* A machine of four CPUs with an adversary for a TLB, and an allocator on it. */

#include <gnomon/asid.h>

#include <pthread.h>

#include "gn_test.h"

#define CPUS  4
#define IDS   12
#define FIRST 100
#define VMS   3
#define KEYS  8

/*
 * The adversary: a TLB that keeps an entry under each ID until a purge makes it go, and prefers the
 * oldest that it may still have. An access that finds an entry uses it.
 */
struct tlb_entry {
    int there;
    uint32_t vm;
    uint64_t guest;
    uint64_t made; /* when */
};

struct machine {
    struct tlb_entry tlb[CPUS][IDS];
    pthread_mutex_t tlb_lock[CPUS];
    pthread_mutex_t lock;
    uint64_t clock;
    uint64_t fail_one_in; /* purges that fail; 0: none */
    uint64_t rng;
    uint32_t purges, purge_alls, locked;
};

static inline int fails(struct machine *m)
{
    return m->fail_one_in && gn_test_random(&m->rng) % m->fail_one_in == 0;
}

static inline int op_purge(void *ctx, uint32_t cpu, uint32_t id)
{
    struct machine *m = ctx;

    assert_true(cpu < CPUS && id - FIRST < IDS);
    if (fails(m))
        return -GN_ERR_IO;
    pthread_mutex_lock(&m->tlb_lock[cpu]);
    m->tlb[cpu][id - FIRST].there = 0;
    pthread_mutex_unlock(&m->tlb_lock[cpu]);
    m->purges++;
    return 0;
}

static inline int op_purge_all(void *ctx, uint32_t cpu)
{
    struct machine *m = ctx;

    assert_true(cpu < CPUS);
    if (fails(m))
        return -GN_ERR_BUSY;
    pthread_mutex_lock(&m->tlb_lock[cpu]);
    memset(m->tlb[cpu], 0, sizeof m->tlb[cpu]);
    pthread_mutex_unlock(&m->tlb_lock[cpu]);
    m->purge_alls++;
    return 0;
}

static inline void op_lock(void *ctx)
{
    struct machine *m = ctx;

    pthread_mutex_lock(&m->lock);
    m->locked++;
}

static inline void op_unlock(void *ctx)
{
    struct machine *m = ctx;

    m->locked--;
    pthread_mutex_unlock(&m->lock);
}

static inline void op_panic(void *ctx, const char *what)
{
    (void)ctx;
    fail_msg("%s", what);
}

static const struct gn_asid_ops ops_one = {
    GN_ASID_OPS_INIT, GN_ASID_CAP_PURGE_ONE, op_purge, op_purge_all, op_lock, op_unlock, op_panic};
static const struct gn_asid_ops ops_all = {GN_ASID_OPS_INIT, 0,         NULL,    op_purge_all,
                                           op_lock,          op_unlock, op_panic};

static struct machine machine;

static inline struct gn_asid *make(struct gn_asid_params params)
{
    struct gn_asid *asid = NULL;
    size_t size;
    void *mem;
    int i;

    memset(&machine, 0, sizeof machine);
    machine.rng = 1;
    pthread_mutex_init(&machine.lock, NULL);
    for (i = 0; i < CPUS; i++)
        pthread_mutex_init(&machine.tlb_lock[i], NULL);
    params.ops = params.ops ? params.ops : &ops_one;
    params.ctx = &machine;
    params.first = FIRST;
    params.count = params.count ? params.count : IDS;
    params.cpus = params.cpus ? params.cpus : CPUS;
    size = gn_asid_size(&params);
    mem = gn_test_memory(gn_asid_align(), size);
    assert_int_equal(gn_asid_init(mem, size, &params, &asid), 0);
    return asid;
}

static inline void destroy(struct gn_asid *asid)
{
    assert_int_equal(machine.locked, 0);
    gn_asid_fini(asid);
    free(asid);
}

static inline struct gn_asid_stats stats_of(struct gn_asid *asid)
{
    struct gn_asid_stats stats = {GN_ASID_STATS_INIT};

    assert_int_equal(gn_asid_stats_get(asid, &stats), 0);
    return stats;
}

static inline uint32_t run(struct gn_asid *asid, uint32_t cpu, uint32_t vm, uint64_t guest)
{
    uint32_t id = 0;

    assert_int_equal(gn_asid_activate(asid, cpu, vm, guest, &id), 0);
    assert_true(id - FIRST < IDS);
    return id;
}

static inline struct gn_asid_info info_of(struct gn_asid *asid, uint32_t id)
{
    struct gn_asid_info info;

    assert_int_equal(gn_asid_query(asid, id, &info), 0);
    return info;
}

#endif /* GN_TEST_ASID_MACHINE_H */
