/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Threads: the timer's interrupt, or somebody who waits, passes on to the next one. A thread that
 * does not run is a pointer into its stack, where the interrupt left its registers.
 */

#define THREADS     64u
#define STACK_BYTES 65536u
#define TICKS_HZ    1000u
#define LOCAL_BYTES 256u /* of thread-local variables, which begin as zero */
#define MSR_FS_BASE 0xc0000100u

/* What vectors.S leaves on a stack: SSE registers, the frame's address twice, the frame. */
struct saved {
    uint8_t fx[512];
    struct gn_x86_64_frame *frame, *again;
    struct gn_x86_64_frame first; /* where a new thread's frame lies */
};

struct thread {
    void *saved; /* while it does not run */
    void *stack;
    void *(*run)(void *);
    void *arg, *result;
    int live, done;
    uint8_t local[LOCAL_BYTES] __attribute__((aligned(64)));
    void *self; /* what FS names: variables lie below */
};

static struct thread thread[THREADS]; /* the first one is who booted */
static uint32_t current, ticking;

/* Thread-local variables are those of this thread from here on. */
void metal_thread_local(uint32_t i)
{
    const uint64_t at = (uint64_t)(uintptr_t)&thread[i].self;

    thread[i].live = 1;
    thread[i].self = &thread[i].self;
    __asm__ volatile("wrmsr"
                     :
                     : "a"((uint32_t)at), "d"((uint32_t)(at >> 32)), "c"(MSR_FS_BASE)
                     : "memory");
}

static void *on_tick(uint32_t line, void *saved)
{
    uint32_t next = current;

    if (line)
        return saved;
    do
        next = (next + 1) % THREADS;
    while (!thread[next].live || thread[next].done);
    thread[current].saved = saved;
    current = next;
    metal_thread_local(next);
    return thread[next].saved;
}

/* The timer's vector, by hand: the controller has nothing in service then, and ignores the end. */
int sched_yield(void)
{
    if (ticking)
        __asm__ volatile("int $32" : : : "memory");
    return 0;
}

static void begin(struct thread *t)
{
    t->result = t->run(t->arg);
    __atomic_store_n(&t->done, 1, __ATOMIC_RELEASE);
    for (;;)
        sched_yield();
}

static void prepare(struct thread *t)
{
    struct saved *s = (struct saved *)((uint8_t *)t->stack + STACK_BYTES - 4096);

    memset(s, 0, sizeof *s);
    __asm__ volatile("fxsave64 %0" : "=m"(s->fx));
    s->frame = &s->first;
    s->first.rdi = (uint64_t)(uintptr_t)t;
    s->first.rip = (uint64_t)(uintptr_t)begin;
    s->first.cs = 0x08;
    s->first.ss = 0x10;
    s->first.rflags = 0x202;
    s->first.rsp = (uint64_t)(uintptr_t)t->stack + STACK_BYTES - 8; /* as after a call */
    t->saved = s;
}

int pthread_create(pthread_t *ret, const pthread_attr_t *none, void *(*run)(void *), void *arg)
{
    uint32_t i = 1;

    (void)none;
    while (i < THREADS && thread[i].live)
        i++;
    if (i == THREADS)
        return GN_ERR_AGAIN;
    thread[i] = (struct thread){.stack = aligned_alloc(4096, STACK_BYTES), .run = run, .arg = arg};
    if (!thread[i].stack)
        return GN_ERR_AGAIN;
    prepare(&thread[i]);
    __atomic_store_n(&thread[i].live, 1, __ATOMIC_RELEASE);
    *ret = i;
    if (!ticking) {
        ticking = 1;
        gn_x86_64_timer_start(TICKS_HZ);
        gn_x86_64_irq_enable(on_tick, 1);
    }
    return 0;
}

int pthread_join(pthread_t t, void **ret)
{
    while (!__atomic_load_n(&thread[t].done, __ATOMIC_ACQUIRE))
        sched_yield();
    if (ret)
        *ret = thread[t].result;
    free(thread[t].stack);
    thread[t].live = 0;
    return 0;
}

int pthread_mutex_init(pthread_mutex_t *mutex, const void *none)
{
    (void)none;
    mutex->taken = 0;
    return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    (void)mutex;
    return 0;
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    return __atomic_exchange_n(&mutex->taken, 1, __ATOMIC_ACQUIRE) ? GN_ERR_BUSY : 0;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    while (pthread_mutex_trylock(mutex))
        sched_yield();
    return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    __atomic_store_n(&mutex->taken, 0, __ATOMIC_RELEASE);
    return 0;
}

int pthread_rwlock_init(pthread_rwlock_t *lock, const void *none)
{
    (void)none;
    lock->readers = 0;
    return 0;
}

int pthread_rwlock_destroy(pthread_rwlock_t *lock)
{
    (void)lock;
    return 0;
}

static int replace(int *at, int expected, int desired)
{
    return __atomic_compare_exchange_n(at, &expected, desired, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    for (;;) {
        const int n = __atomic_load_n(&lock->readers, __ATOMIC_RELAXED);

        if (n >= 0 && replace(&lock->readers, n, n + 1))
            return 0;
        sched_yield();
    }
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    while (!replace(&lock->readers, 0, -1))
        sched_yield();
    return 0;
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    if (!replace(&lock->readers, -1, 0))
        __atomic_fetch_sub(&lock->readers, 1, __ATOMIC_RELEASE);
    return 0;
}

int pthread_barrier_init(pthread_barrier_t *barrier, const void *none, unsigned threads)
{
    (void)none;
    *barrier = (pthread_barrier_t){threads, 0, 0};
    return 0;
}

int pthread_barrier_destroy(pthread_barrier_t *barrier)
{
    (void)barrier;
    return 0;
}

int pthread_barrier_wait(pthread_barrier_t *barrier)
{
    const uint32_t round = __atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE);

    if (__atomic_add_fetch(&barrier->waiting, 1, __ATOMIC_ACQ_REL) == barrier->threads) {
        barrier->waiting = 0;
        __atomic_fetch_add(&barrier->round, 1, __ATOMIC_RELEASE);
        return PTHREAD_BARRIER_SERIAL_THREAD;
    }
    while (__atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE) == round)
        sched_yield();
    return 0;
}

int sem_init(sem_t *sem, int shared, unsigned count)
{
    (void)shared;
    sem->count = (int)count;
    return 0;
}

int sem_destroy(sem_t *sem)
{
    (void)sem;
    return 0;
}

int sem_post(sem_t *sem)
{
    __atomic_fetch_add(&sem->count, 1, __ATOMIC_RELEASE);
    return 0;
}

int sem_trywait(sem_t *sem)
{
    const int n = __atomic_load_n(&sem->count, __ATOMIC_RELAXED);

    return n > 0 && replace(&sem->count, n, n - 1) ? 0 : -1;
}

int sem_wait(sem_t *sem)
{
    while (sem_trywait(sem))
        sched_yield();
    return 0;
}

int sem_timedwait(sem_t *sem, const struct timespec *until)
{
    struct timespec now;

    while (sem_trywait(sem)) {
        clock_gettime(CLOCK_REALTIME, &now);
        if (now.tv_sec > until->tv_sec ||
            (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec))
            return -1;
        sched_yield();
    }
    return 0;
}
