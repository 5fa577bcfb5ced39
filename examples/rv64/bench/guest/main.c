/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

/* How long the timed run of an entry is to take at scale 1. */
#define TARGET_NS 300e6

char bench_path[] = "/init";

static const struct bench_group *const groups[] = {
    &bench_compute, &bench_calls,  &bench_floats,  &bench_memory,
    &bench_system,  &bench_faults, &bench_busybox,
};

static _Noreturn void power_off(void)
{
    fflush(stdout);
    tcdrain(1);
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

void bench_die(const char *what)
{
    printf("bench: %s failed\n", what);
    fflush(stdout);
    if (getpid() != 1)
        _exit(1);
    power_off();
}

void *bench_pages(size_t bytes, size_t align)
{
    char *p = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        bench_die("mmap");
    return p + (align - (uintptr_t)p % align) % align;
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Whoever measures reads the clock, and then sends a line. */
static void wait_for_line(bool sync)
{
    char c = 0;

    fflush(stdout);
    while (sync && c != '\n' && read(0, &c, 1) == 1)
        ;
}

/* Nanoseconds that the rounds took; their checksum, or that of the first one that was wrong. */
static uint64_t rounds(const struct bench *b, uint64_t count, uint64_t *ret_sum)
{
    uint64_t start = now();
    uint64_t expected = b->expected;
    uint64_t sum = 0;

    while (count--) {
        sum = b->round();
        if (!expected)
            expected = sum;
        if (sum != expected)
            break;
    }
    *ret_sum = sum;
    return now() - start;
}

/* As many rounds as take the time; what makes them known warms caches, too. */
static uint64_t calibrate(const struct bench *b, double target, uint64_t *ret_sum)
{
    uint64_t count = 1;

    for (;;) {
        double took = (double)rounds(b, count, ret_sum) + 1;

        if (took >= target / 8 || (b->expected && *ret_sum != b->expected))
            return (double)count * target / took < 1 ? 1
                                                     : (uint64_t)((double)count * target / took);
        count *= took < target / 64 ? 8 : 2;
    }
}

static void run(const struct bench *b, double target, bool sync)
{
    uint64_t sum, first, count, ns;

    if (b->begin)
        b->begin();
    count = calibrate(b, target, &first);
    printf("B %s\n", b->name);
    wait_for_line(sync);
    ns = rounds(b, count, &sum);
    printf("E %s %llu %llu %016llx\n", b->name, (unsigned long long)(count * b->ops),
           (unsigned long long)ns, (unsigned long long)sum);
    wait_for_line(sync);
    if (sum != first || (b->expected && sum != b->expected))
        printf("X %s %016llx %016llx\n", b->name, (unsigned long long)sum,
               (unsigned long long)(b->expected ? b->expected : first));
    if (b->end)
        b->end();
}

/* Is the name in the list "a,b,c"? */
static bool listed(const char *list, const char *name)
{
    size_t length = strlen(name);

    while (list && *list) {
        size_t item = strcspn(list, ",");

        if (item == length && strncmp(list, name, length) == 0)
            return true;
        list += item + (list[item] == ',');
    }
    return false;
}

static void run_all(const char *only, double target, bool sync)
{
    for (size_t g = 0; g < COUNT(groups); g++)
        for (size_t i = 0; i < groups[g]->count; i++)
            if (!only || listed(only, groups[g]->entries[i].name))
                run(&groups[g]->entries[i], target, sync);
}

static void quiet_terminal(void)
{
    struct termios t;

    if (tcgetattr(0, &t))
        return;
    t.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    tcsetattr(0, TCSANOW, &t);
}

static void mount_on(const char *type, const char *where)
{
    mkdir(where, 0755);
    if (mount(type, where, type, 0, ""))
        bench_die(where);
}

/* What /proc/cpuinfo says: "mmu : sv39". */
static const char *paging_mode(void)
{
    static char text[1024];
    FILE *file = fopen("/proc/cpuinfo", "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    char *mode;

    if (file)
        fclose(file);
    text[length] = 0;
    mode = strstr(text, ": sv");
    if (!mode)
        return "unknown";
    mode[strcspn(mode, "\n")] = 0;
    return mode + 2;
}

int main(int argc, char **argv)
{
    const char *scale = getenv("scale"); /* the kernel makes variables of words it does not know */
    size_t count = 0;

    if (argc > 1 && strcmp(argv[1], "exit") == 0)
        return 0;
    mount_on("proc", "/proc");
    mount_on("sysfs", "/sys");
    mount_on("devtmpfs", "/dev");
    mount_on("tmpfs", "/tmp");
    quiet_terminal();
    for (size_t g = 0; g < COUNT(groups); g++)
        count += groups[g]->count;
    printf("bench: %zu entries, %s\n", count, paging_mode());
    run_all(getenv("only"), TARGET_NS * (scale ? strtod(scale, NULL) : 1), getenv("sync") != NULL);
    printf("bench: end\n");
    power_off();
}
