/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_QEMU_H
#define GN_TEST_QEMU_H

/* A machine of QEMU's whose RAM is a file of ours: what the two oracles share. */

#include "guest_memory.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SKIP      77
#define RAM_BYTES 0x4000000ull
#define SECONDS   60 /* a round takes one or two */

static uint64_t seed;

static inline uint64_t random_below(uint64_t n)
{
    return (guest_random(&seed) >> 16) % n;
}

static inline int one_in(uint64_t n)
{
    return random_below(n) == 0;
}

#define MULTIPLIER 0x9e3779b1 /* of the checksum; odd */

/* What the payload makes of the tables, too. */
static inline uint64_t checksum(const uint64_t *words, int count)
{
    uint64_t sum = 0;

    for (int i = 0; i < count; i++)
        sum = (sum ^ words[i]) * MULTIPLIER;
    return sum;
}

/* Waits for the machine to switch itself off; 0, SKIP, or 1 if it does not end well. */
static inline int qemu_wait(pid_t child)
{
    int status = 0;

    for (int waited = 0; waited < SECONDS * 20; waited++) {
        if (waitpid(child, &status, WNOHANG) == child)
            return !WIFEXITED(status)            ? 1
                   : WEXITSTATUS(status) == SKIP ? SKIP
                                                 : WEXITSTATUS(status) != 0;
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    printf("the machine did not end within %d seconds\n", SECONDS);
    return 1;
}

/* Runs QEMU on the RAM in a file. more: further arguments, ended by NULL. */
static inline int qemu_run(const char *program, const char *machine, const char *path,
                           const char *const *more)
{
    char object[512];
    const char *argv[40] = {program,   "-M",       machine,    "-m",   "64M",
                            "-object", object,     "-display", "none", "-serial",
                            "none",    "-monitor", "none",     "-net", "none"};
    int n = 15, status;
    pid_t child;

    snprintf(object, sizeof object, "memory-backend-file,id=ram,size=%llu,mem-path=%s,share=on",
             (unsigned long long)RAM_BYTES, path);
    while (*more && n < 39)
        argv[n++] = *more++;
    child = fork();
    if (child == 0) {
        execvp(program, (char *const *)(uintptr_t)argv);
        _exit(SKIP);
    }
    if (child < 0)
        return 1;
    status = qemu_wait(child);
    if (status == SKIP)
        printf("skipped: %s is not there\n", program);
    return status;
}

/* Gives run a RAM for each of some rounds, until one says other than 0. */
static inline int qemu_rounds(int rounds, int (*run)(uint8_t *ram, const char *path, int round))
{
    const char *dir = getenv("TMPDIR");
    char path[200];
    uint8_t *ram;
    int fd, status;

    seed = guest_seed();
    snprintf(path, sizeof path, "%s/gnomon-mmu-XXXXXX", dir && strlen(dir) < 150 ? dir : "/tmp");
    fd = mkstemp(path);
    if (fd < 0 || ftruncate(fd, (off_t)RAM_BYTES)) {
        perror("a file for the machine's memory");
        return 1;
    }
    ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    status = ram == MAP_FAILED;
    for (int i = 0; i < rounds && !status; i++)
        status = run(ram, path, i);
    unlink(path);
    close(fd);
    return status;
}

#endif /* GN_TEST_QEMU_H */
