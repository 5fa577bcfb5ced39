/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_PTHREAD_H
#define METAL_PTHREAD_H

/* Threads of one processor, switched by the timer, a thousand times a second. */

#include <stdint.h>

typedef uint32_t pthread_t;
typedef struct {
    int taken;
} pthread_mutex_t;
typedef struct {
    int readers; /* -1: a writer */
} pthread_rwlock_t;
typedef struct {
    uint32_t threads, waiting, round;
} pthread_barrier_t;
typedef struct metal_attributes pthread_attr_t;

#define PTHREAD_MUTEX_INITIALIZER \
    {                             \
        0                         \
    }
#define PTHREAD_BARRIER_SERIAL_THREAD (-1)

int pthread_create(pthread_t *ret, const pthread_attr_t *none, void *(*run)(void *), void *arg);
int pthread_join(pthread_t thread, void **ret);
int pthread_mutex_init(pthread_mutex_t *mutex, const void *none);
int pthread_mutex_destroy(pthread_mutex_t *mutex);
int pthread_mutex_lock(pthread_mutex_t *mutex);
int pthread_mutex_trylock(pthread_mutex_t *mutex);
int pthread_mutex_unlock(pthread_mutex_t *mutex);
int pthread_rwlock_init(pthread_rwlock_t *lock, const void *none);
int pthread_rwlock_destroy(pthread_rwlock_t *lock);
int pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int pthread_rwlock_unlock(pthread_rwlock_t *lock);
int pthread_barrier_init(pthread_barrier_t *barrier, const void *none, unsigned threads);
int pthread_barrier_wait(pthread_barrier_t *barrier);
int pthread_barrier_destroy(pthread_barrier_t *barrier);

#endif /* METAL_PTHREAD_H */
