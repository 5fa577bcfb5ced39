/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_SCHED_H
#define METAL_SCHED_H

int sched_yield(void);

#endif /* METAL_SCHED_H */
