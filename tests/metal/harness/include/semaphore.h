/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_SEMAPHORE_H
#define METAL_SEMAPHORE_H

#include <time.h>

typedef struct {
    int count;
} sem_t;

int sem_init(sem_t *sem, int shared, unsigned count);
int sem_destroy(sem_t *sem);
int sem_post(sem_t *sem);
int sem_wait(sem_t *sem);
int sem_trywait(sem_t *sem);
int sem_timedwait(sem_t *sem, const struct timespec *until);

#endif /* METAL_SEMAPHORE_H */
