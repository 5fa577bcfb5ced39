/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Two threads, one of which stands still in the middle of its call, with the lock of a table in its
 * hands, until the other one's call is over.
 */

#include "threads_setup.h"

#include <semaphore.h>

#define PATIENCE 60 /* seconds, after which the other one is taken to wait for us */

static sem_t held, done;
static __thread uint32_t stands_still;
static int met;

static void stand_still(struct world *w, uint32_t n)
{
    struct timespec until;

    (void)w;
    if (!n || !stands_still)
        return;
    stands_still = 0;
    sem_post(&held);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE;
    met = sem_timedwait(&done, &until) == 0;
}

static struct gn_shadow_root root_of(struct world *w)
{
    struct gn_shadow_root_key key = {GN_SHADOW_ROOT_KEY_INIT, .format = w->format,
                                     .table = gn_gpa(w->root[0]), .controls = CONTROLS,
                                     .phys_bits = 52};
    struct gn_shadow_root root;

    MUST(w, gn_shadow_root_get(w->sh, &key, &root));
    return root;
}

/* A read of entry e of the leaf table that entry i of the space's mid table leads to. */
static void fill(struct world *w, uint32_t root, uint32_t i, uint32_t e)
{
    struct gn_shadow_access a = {GN_SHADOW_ACCESS_INIT, .root = root, .access = GN_ACCESS_READ,
                                 .controls = CONTROLS,
                                 .gva = gn_gva(AREA + ((uint64_t)i << 21) + ((uint64_t)e << 12))};
    struct gn_shadow_answer answer;

    MUST(w, gn_shadow_fault(w->sh, &a, &answer));
    if (answer.outcome != GN_SHADOW_FILLED)
        wrong(w, "outcome %u", answer.outcome);
}

struct job {
    struct world *w;
    uint32_t root, i;
};

static void *slow_fault(void *arg)
{
    const struct job *job = arg;

    stands_still = 1;
    fill(job->w, job->root, job->i, 1);
    return NULL;
}

/* The first thread faults below entry 0 of the mid table, the second below entry `i`. */
static int together(uint32_t policy, uint32_t i)
{
    struct world *w = world_make(GN_PAGING_SV39, GN_PAGING_SV39, policy, 0, 0, 0);
    struct job job = {w, 0, 0};
    pthread_t thread;

    cpus_init(w);
    job.root = root_of(w).id;
    fill(w, job.root, 0, 0);
    fill(w, job.root, i, 0);
    sem_init(&held, 0, 0);
    sem_init(&done, 0, 0);
    w->on_locked = stand_still;
    assert_int_equal(pthread_create(&thread, NULL, slow_fault, &job), 0);
    while (sem_wait(&held))
        ;
    fill(w, job.root, i, 2);
    sem_post(&done);
    pthread_join(thread, NULL);
    w->on_locked = NULL;
    MUST(w, gn_shadow_root_put(w->sh, job.root));
    world_end(w);
    return met;
}

static void a_fault_in_another_table_does_not_wait(void **state)
{
    (void)state;
    assert_true(together(GN_SHADOW_POLICY_TRAP, 1));
    assert_true(together(GN_SHADOW_POLICY_UNSYNC, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_in_another_table_does_not_wait),
    };

    return cmocka_run_group_tests_name("shadow_together", tests, NULL, NULL);
}
