/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct preload preload;

static struct gn_linux_memory fork_copy;
static bool tell_failures;
static int tell_stats = -1; /* a descriptor: programs close their own before the end */

/* Not stdio: the program's may be in any state. */
static void __attribute__((format(printf, 2, 3))) say(int fd, const char *format, ...)
{
    char text[512];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length > 0)
        (void)!write(fd, text, (size_t)length < sizeof text ? (size_t)length : sizeof text);
}

static uint64_t option(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);

    return value ? strtoull(value, NULL, 0) : otherwise;
}

static void on_line(void *ctx, const char *text)
{
    (void)ctx;
    say(STDERR_FILENO, "vault: not protected here: %s\n", text);
}

static void on_prepare(void)
{
    sealed_fork_prepare(&preload.sealed, &fork_copy);
}

static void on_parent(void)
{
    sealed_fork_parent(&preload.sealed, &fork_copy);
}

static void on_child(void)
{
    preload.failed = 0; /* the parent tells of its own */
    sealed_fork_child(&preload.sealed, &fork_copy);
}

static int tables_create(uint32_t pages)
{
    uint64_t lists = blocks_size(pages);
    uint8_t *memory = mmap(NULL, lists + pages * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return -1;
    blocks_init(&preload.blocks, pages, memory);
    preload.owner = (uint32_t *)(void *)(memory + lists);
    return 0;
}

static int place(void)
{
    const char *value = getenv("VAULT_PLACE");

    return value ? sealed_place_parse(value) : (int)SEALED_PLACE_ANY;
}

static const char *start(void)
{
    uint64_t bytes = option("VAULT_SIZE", UINT64_C(1) << 30);
    struct sealed_params params = {.pages = bytes >> GN_PAGE_SHIFT,
                                   .frames =
                                       (uint32_t)(option("VAULT_POOL", 2 << 20) >> GN_PAGE_SHIFT),
                                   .kinds = (uint32_t)option("VAULT_MEMORY", 0),
                                   .place = (uint32_t)place(),
                                   .guest = getenv("VAULT_GUEST"),
                                   .ways = (uint32_t)option("VAULT_WAYS", 0),
                                   .window = true,
                                   .base = (void *)(uintptr_t)PRELOAD_BASE};
    const char *error;

    preload.threshold = option("VAULT_THRESHOLD", 64 << 10);
    if (bytes > PRELOAD_BYTES_MAX || !params.pages || params.frames < PRELOAD_FRAMES_MIN ||
        !preload.threshold)
        return "sizes out of range";
    if (preload_signals_install())
        return "signals cannot be had";
    if (sealed_create(&params, &preload.sealed, &error))
        return error;
    if (tables_create((uint32_t)params.pages))
        return "no memory for tables";
    if (preload_calls_install())
        return "system calls cannot be filtered here (seccomp)";
    return pthread_atfork(on_prepare, on_parent, on_child) ? "no memory" : NULL;
}

/* A program that was to be protected and is not does not run. */
static void __attribute__((constructor)) preload_begin(void)
{
    const char *error;

    if (!getenv("VAULT_RUN"))
        return;
    error = start();
    if (error) {
        say(STDERR_FILENO, "vault: %s\n", error);
        _exit(125);
    }
    preload.ready = true;
    if (getenv("VAULT_STATS"))
        tell_stats = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 200);
    tell_failures = getenv("VAULT_REPORT") != NULL;
    if (tell_failures)
        sealed_report(&preload.sealed, GN_LINUX_DEGRADED_SYSCALLS, on_line, NULL);
    unsetenv("VAULT_REPORT");
    unsetenv("VAULT_WAYS"); /* children are in the group already */
}

static void on_residency(void *ctx, const char *text)
{
    (void)ctx;
    say(tell_stats, "vault: %s\n", text);
}

/* Shells and other wrappers come before the program, and seal nothing: that is not worth a line. */
static bool worth_telling(void)
{
    return preload.blocks_made || preload.overflowed ||
           option("VAULT_RUN", 0) == (uint64_t)getpid();
}

/* Not of what is in structures that nobody looks into: that fails unseen. */
static void tell_failed(void)
{
    if (preload.failed && tell_failures)
        say(STDERR_FILENO,
            "vault: system calls that failed with EFAULT on sealed memory: %" PRIu64
            ", first number %d\n",
            preload.failed, preload.failed_first);
}

static void tell_counters(void)
{
    struct gn_cachecrypt_stats s;

    sealed_residency_tell(&preload.sealed, on_residency, NULL);
    s = sealed_stats(&preload.sealed);
    say(tell_stats,
        "vault: blocks %" PRIu64 ", bytes %" PRIu64 ", in plain memory %" PRIu64 ", stuck %" PRIu64
        ", faults %" PRIu64 ", misses %" PRIu64 ", opens %" PRIu64 ", seals %" PRIu64
        ", system calls %" PRIu64 ", failed %" PRIu64 ", pool %" PRIu32
        " pages in %s, faults by %s, %s; %s (%ld)\n",
        preload.blocks_made, preload.bytes_made, preload.overflowed, preload.stuck, s.faults,
        s.misses, s.opens, s.seals, preload.calls, preload.failed, preload.sealed.params.frames,
        sealed_pool_name(&preload.sealed), sealed_faults_name(&preload.sealed),
        sealed_cipher_name(&preload.sealed), program_invocation_short_name, (long)getpid());
}

static void __attribute__((destructor)) preload_end(void)
{
    if (!preload.ready)
        return;
    tell_failed();
    if (tell_stats >= 0 && worth_telling())
        tell_counters();
    sealed_ways_put(&preload.sealed);
}
