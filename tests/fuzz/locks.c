/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE

#include <pthread.h>
#include <stdlib.h>

#include "fuzz.h"

/*
 * The locks of a world whose vCPUs are threads, in the order in which they are taken: who drains,
 * the shadow's, the allocator's of ASIDs, one MMU's.
 */

#define STRIPES 129u /* of the shadow, by default */

struct locks {
    pthread_mutex_t drains;
    pthread_rwlock_t structure; /* the shadow's lock 0 */
    pthread_mutex_t stripes[STRIPES];
    pthread_mutex_t asid;
    pthread_mutex_t mmu[VCPUS];
};

struct locks *locks_new(void)
{
    struct locks *l = aligned(64, sizeof *l);
    pthread_rwlockattr_t kind;

    /* Readers come all the time. */
    pthread_rwlockattr_init(&kind);
    pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&l->structure, &kind);
    pthread_rwlockattr_destroy(&kind);
    pthread_mutex_init(&l->drains, NULL);
    pthread_mutex_init(&l->asid, NULL);
    for (uint32_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&l->stripes[i], NULL);
    for (uint32_t i = 0; i < VCPUS; i++)
        pthread_mutex_init(&l->mmu[i], NULL);
    return l;
}

void locks_free(struct locks *l)
{
    pthread_rwlock_destroy(&l->structure);
    free(l);
}

static void on_lock(void *ctx, uint32_t n)
{
    struct locks *l = ((struct world *)ctx)->locks;

    if (n)
        pthread_mutex_lock(&l->stripes[n]);
    else
        pthread_rwlock_wrlock(&l->structure);
}

static void on_unlock(void *ctx, uint32_t n)
{
    struct locks *l = ((struct world *)ctx)->locks;

    if (n)
        pthread_mutex_unlock(&l->stripes[n]);
    else
        pthread_rwlock_unlock(&l->structure);
}

static void on_lock_shared(void *ctx, uint32_t n)
{
    (void)n;
    pthread_rwlock_rdlock(&((struct world *)ctx)->locks->structure);
}

void locks_shadow_ops(struct gn_shadow_ops *ops, int shared)
{
    ops->lock = on_lock;
    ops->unlock = on_unlock;
    ops->lock_shared = shared ? on_lock_shared : NULL;
    ops->unlock_shared = shared ? on_unlock : NULL;
}

static void on_asid_lock(void *ctx)
{
    pthread_mutex_lock(&((struct world *)ctx)->locks->asid);
}

static void on_asid_unlock(void *ctx)
{
    pthread_mutex_unlock(&((struct world *)ctx)->locks->asid);
}

void locks_asid_ops(struct gn_asid_ops *ops)
{
    ops->lock = on_asid_lock;
    ops->unlock = on_asid_unlock;
}

void locks_drain(struct world *w, int begins)
{
    if (begins)
        pthread_mutex_lock(&w->locks->drains);
    else
        pthread_mutex_unlock(&w->locks->drains);
}

void mmu_enter(struct world *w, uint32_t vcpu)
{
    if (w->locks)
        pthread_mutex_lock(&w->locks->mmu[vcpu]);
}

void mmu_leave(struct world *w, uint32_t vcpu)
{
    if (w->locks)
        pthread_mutex_unlock(&w->locks->mmu[vcpu]);
}
