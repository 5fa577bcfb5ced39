/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PRELOAD_H
#define PRELOAD_H

/*
 * libvault-preload.so: the heap of an unmodified program, of which large blocks are sealed.
 *
 *   malloc(large) --> heap.c: pages of the window          program's loads and stores
 *                                |                                  | miss: SIGSEGV, SIGBUS
 *                                v                                  v
 *                            sealed.c <----------------------- gn_linux_faults
 *                                ^
 *   read(fd, block, n) --> seccomp --> SIGSYS --> calls.c: holds the pages, makes the call
 *   fork() ----------------------> preload.c: a copy of the pool, a key of its own
 *   sendmsg(fd, m), readv(...) --> vectors.c: what their structures point to, call by call or
 * copied sigaction(), sigprocmask() --> signals.c: nobody takes or blocks the signals that this
 * needs
 *
 * It is global by nature: a process has one malloc().
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blocks.h"
#include "sealed.h"

/* Where the window is: in each process the same, and alone in its 4 GiB, so that a filter of system
 * calls knows it by the upper half of an address. Nothing else chooses such addresses. */
#define PRELOAD_BASE      UINT64_C(0x2a0000000000)
#define PRELOAD_BYTES_MAX (UINT64_C(4) << 30)

/* A system call may hold two pages for each of its six arguments; the others are for faults. */
#define PRELOAD_FRAMES_MIN 16u

struct preload {
    bool ready; /* until then, everything is libc's */
    struct sealed sealed;
    struct blocks blocks;
    uint32_t *owner; /* by page: first page of the block that it is in */
    uint64_t threshold;
    uint64_t blocks_made;
    uint64_t bytes_made;
    uint64_t overflowed; /* blocks that had to be made in plain memory */
    uint64_t stuck;      /* blocks that could not be freed */
    uint64_t calls;      /* system calls carried */
    uint64_t failed;     /* of these: with EFAULT */
    int failed_first;    /* number of the first such */
    uint32_t hold_max;   /* pages that one system call may hold */
};

extern struct preload preload;

/** Is it an address of the window? */
static inline bool preload_inside(const void *at)
{
    return (uintptr_t)at - PRELOAD_BASE < preload.sealed.pages << GN_PAGE_SHIFT;
}

/** The end of the block that an address of the window is in; the address itself if in none. */
const void *preload_block_end(const void *at);

/** Has system calls given addresses of the window come to us. @return 0, or -1: not to be had */
int preload_calls_install(void);

/** Sets the actions behind those of the window, and takes note of what was there. */
int preload_signals_install(void);

/** The function of this name behind ours. */
void *preload_real(const char *name);

/** glibc's function of this name, whoever else has one. */
void *preload_libc(const char *name);

/** The real sigaction(). */
int preload_sigaction(int number, const struct sigaction *action, struct sigaction *old);

#endif /* PRELOAD_H */
