/* SPDX-License-Identifier: BSD-3-Clause */

/* Page faults and changes of mappings. */

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PAGE 4096u

static char *map(size_t pages)
{
    char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        bench_die("mmap");
    return p;
}

/* Writes a word into each page; gives the sum of what stood there and stands there now. */
static uint64_t write_pages(char *memory, size_t pages)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < pages; i++) {
        volatile uint64_t *word = (volatile uint64_t *)(void *)(memory + i * PAGE);

        sum = bench_fold(sum, *word);
        *word = i + 1;
        sum += *word;
    }
    return sum;
}

static uint64_t mmap_storm(void)
{
    char *p = map(64);
    uint64_t sum = write_pages(p, 64);

    munmap(p, 64 * PAGE);
    return sum;
}

#define STORM 2048u

static char *storm;

static void storm_begin(void)
{
    storm = map(STORM);
}

static void storm_end(void)
{
    munmap(storm, STORM * PAGE);
}

static uint64_t fault_storm(void)
{
    uint64_t sum = write_pages(storm, STORM);

    if (madvise(storm, STORM * PAGE, MADV_DONTNEED))
        bench_die("madvise");
    return sum;
}

static char *toggled;

static void toggled_begin(void)
{
    toggled = map(16);
    write_pages(toggled, 16);
}

static void toggled_end(void)
{
    munmap(toggled, 16 * PAGE);
}

/* Read-only, read; writable again, and written. */
static uint64_t toggle(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < 16; i++)
        *(volatile uint64_t *)(void *)(toggled + i * PAGE) = i;
    if (mprotect(toggled, 16 * PAGE, PROT_READ))
        bench_die("mprotect");
    for (size_t i = 0; i < 16; i++)
        sum += *(volatile uint64_t *)(void *)(toggled + i * PAGE);
    if (mprotect(toggled, 16 * PAGE, PROT_READ | PROT_WRITE))
        bench_die("mprotect");
    return bench_fold(sum, write_pages(toggled, 16));
}

#define COW 1024u

static char *cow;

static void cow_begin(void)
{
    cow = map(COW);
    write_pages(cow, COW);
}

static void cow_end(void)
{
    munmap(cow, COW * PAGE);
}

/* The child copies each page by writing to it; the parent's stay as they were. */
static uint64_t cow_storm(void)
{
    int status = -1;
    pid_t child = fork();
    uint64_t sum = 0;

    if (child == 0) {
        for (size_t i = 0; i < COW; i++)
            *(volatile uint64_t *)(void *)(cow + i * PAGE + 8) = i;
        _exit(*(volatile unsigned char *)(cow + 77 * PAGE + 8) == 77 ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        bench_die("child");
    for (size_t i = 0; i < COW; i += 64)
        sum += *(volatile uint64_t *)(void *)(cow + i * PAGE + 8);
    return sum + (uint64_t)status + 1;
}

static sigjmp_buf before;
static volatile char *forbidden;

static void on_fault(int number)
{
    (void)number;
    siglongjmp(before, 1);
}

static void segv_begin(void)
{
    forbidden = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (forbidden == MAP_FAILED)
        bench_die("mmap");
    signal(SIGSEGV, on_fault);
}

static void segv_end(void)
{
    signal(SIGSEGV, SIG_DFL);
    munmap((void *)(uintptr_t)forbidden, PAGE);
}

static uint64_t segv_storm(void)
{
    volatile uint64_t caught = 0;

    for (volatile int i = 0; i < 50; i++) {
        if (sigsetjmp(before, 1))
            caught += 3;
        else
            *forbidden = 1;
    }
    return caught;
}

static const struct bench entries[] = {
    {"mmap_storm", mmap_storm, 64, UINT64_C(0xaa29612b06c506b1), NULL, NULL},
    {"fault_storm", fault_storm, STORM, UINT64_C(0x164441c0c12e7534), storm_begin, storm_end},
    {"mprotect", toggle, 1, UINT64_C(0x7def87a9475e1713), toggled_begin, toggled_end},
    {"cow_storm", cow_storm, COW, 1, cow_begin, cow_end},
    {"segv_storm", segv_storm, 50, 150, segv_begin, segv_end},
};

const struct bench_group bench_faults = {entries, COUNT(entries)};
