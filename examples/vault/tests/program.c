/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What programs do with large blocks, one thing after the other; each prints a line. Under `vault
 * run` it must print the same as without.
 */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIG 400000u

/* Not constants: the compiler would know better. */
static volatile char *volatile nowhere = (volatile char *)16;
static volatile size_t huge = SIZE_MAX / 2;

static uint64_t sum(const uint8_t *block, size_t bytes)
{
    uint64_t s = 14695981039346656037u;

    for (size_t i = 0; i < bytes; i++)
        s = (s ^ block[i]) * 1099511628211u;
    return s;
}

static uint8_t *filled(size_t bytes, uint8_t with)
{
    uint8_t *block = malloc(bytes);

    for (size_t i = 0; i < bytes; i++)
        block[i] = (uint8_t)(i * 31 + (i >> 8) + with);
    return block;
}

static void allocations(void)
{
    uint8_t *a = filled(BIG, 1);
    uint8_t *b;
    void *aligned = NULL;
    uint64_t zeros = 0;

    free(a);
    b = calloc(100, BIG / 100);
    for (size_t i = 0; i < BIG; i++)
        zeros += b[i];
    printf("calloc %llu\n", (unsigned long long)zeros);
    a = malloc(1000);
    memset(a, 7, 1000);
    for (size_t bytes = 2000; bytes < 3000000; bytes = bytes * 3 / 2) {
        a = realloc(a, bytes);
        memset(a + bytes - 500, (int)bytes, 500);
    }
    printf("grown %llx\n", (unsigned long long)sum(a, 1000));
    a = realloc(a, 100000);
    a = realloc(a, 500);
    printf("shrunk %llx\n", (unsigned long long)sum(a, 500));
    free(a);
    free(b);
    for (size_t align = 16; align <= 4096; align *= 4) {
        int rc = posix_memalign(&aligned, align, BIG);

        printf("aligned %d %d %d\n", rc, (uintptr_t)aligned % align == 0,
               malloc_usable_size(aligned) >= BIG);
        free(aligned);
    }
    printf("refused %d %d\n", malloc(huge) == NULL, calloc(huge, 16) == NULL);
}

static uint32_t *shared;

static void *thread(void *arg)
{
    uint8_t *own = filled(BIG, (uint8_t)(uintptr_t)arg);

    for (uint32_t i = 0; i < 3000; i++)
        __atomic_fetch_add(&shared[i * 37 % 100 * 1000], 1, __ATOMIC_RELAXED);
    own = realloc(own, BIG * 2);
    shared[100000 + (uintptr_t)arg] = (uint32_t)sum(own, BIG);
    free(own);
    return NULL;
}

static void threads(void)
{
    pthread_t t[4];
    uint64_t all = 0;

    shared = calloc(100100, sizeof *shared);
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, thread, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < 100; i++)
        all += shared[i * 1000];
    printf("threads %llu %x %x\n", (unsigned long long)all, shared[100000], shared[100003]);
    free(shared);
}

static int pipe_end[2];

static void *writer(void *arg)
{
    ssize_t n = write(pipe_end[1], arg, BIG);

    close(pipe_end[1]);
    return (void *)n;
}

static void pipes(void)
{
    uint8_t *from = filled(BIG, 3);
    uint8_t *to = calloc(1, BIG);
    size_t got = 0;
    pthread_t t;
    void *wrote;

    if (pipe(pipe_end))
        return;
    pthread_create(&t, NULL, writer, from);
    for (ssize_t n; (n = read(pipe_end[0], to + got, BIG - got)) > 0;)
        got += (size_t)n;
    pthread_join(t, &wrote);
    printf("pipe %ld %zu %d\n", (long)(intptr_t)wrote, got, memcmp(from, to, BIG));
    close(pipe_end[0]);
    memset(to, 0, BIG);
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pipe_end))
        return;
    printf("sent %zd\n", send(pipe_end[0], from + 100, 20000, 0));
    printf("received %zd", recv(pipe_end[1], to + 5000, 30000, 0));
    printf(" %d\n", memcmp(from + 100, to + 5000, 20000));
    close(pipe_end[0]);
    close(pipe_end[1]);
    free(from);
    free(to);
}

static void files(void)
{
    FILE *file = tmpfile();
    uint8_t *from = filled(BIG, 5);
    uint8_t *to = calloc(1, 2 * BIG);
    struct iovec v[3] = {{from + 7, 100000}, {from, 0}, {from + 200000, 50000}};
    struct iovec w[2] = {{to, 10}, {to + 100, 149990}};
    struct stat s;
    char *path = (char *)to;

    printf("fwrite %zu\n", fwrite(from, 1, BIG, file));
    rewind(file);
    printf("fread %zu %d\n", fread(to, 1, 2 * BIG, file), memcmp(from, to, BIG));
    printf("vector %zd", pwritev(fileno(file), v, 3, 33));
    printf(" %zd", preadv(fileno(file), w, 2, 33));
    printf(" %llx\n", (unsigned long long)sum(to, BIG));
    printf("bad %zd %d\n", pread(fileno(file), to + 1000, 5000, -1), errno);
    strcpy(path, "/proc/self");
    printf("path %d", stat(path, &s));
    printf(" %d\n", S_ISDIR(s.st_mode));
    printf("cwd %d\n", getcwd((char *)to + 8190, 4096) == (char *)to + 8190);
    fclose(file);
    free(from);
    free(to);
}

static uint64_t in_child(uint8_t *block, int depth)
{
    int to[2];
    uint64_t got = 0;
    pid_t child;

    if (pipe(to))
        return 0;
    child = fork();
    if (!child) {
        for (size_t i = 0; i < BIG; i += 1000)
            block[i] += (uint8_t)(depth + 1);
        got = sum(block, BIG) + (depth ? in_child(block, depth - 1) : 0);
        free(filled(BIG, 9));
        _exit(write(to[1], &got, sizeof got) != sizeof got);
    }
    for (size_t i = 0; i < BIG; i += 777)
        block[i]++;
    if (read(to[0], &got, sizeof got) != sizeof got)
        got = 0;
    waitpid(child, NULL, 0);
    close(to[0]);
    close(to[1]);
    return got;
}

static void forks(void)
{
    uint8_t *block = filled(BIG, 2);
    uint64_t child = in_child(block, 2);

    printf("child %llx parent %llx\n", (unsigned long long)child,
           (unsigned long long)sum(block, BIG));
    free(block);
}

static uint8_t *guarded;
static uint8_t *touched;
static volatile int handled;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    handled += info->si_addr == guarded;
    touched[BIG / 2]++;
    mprotect(guarded, 4096, PROT_READ | PROT_WRITE);
}

static sigjmp_buf back;

static void on_jump(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static void signals(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    struct sigaction old;
    sigset_t all;
    pid_t child;
    int status;

    touched = filled(BIG, 4);
    guarded = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    action.sa_sigaction = on_fault;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &old);
    printf("default before %d\n", old.sa_handler == SIG_DFL);
    guarded[0] = 1;
    printf("handled %d %llx\n", handled, (unsigned long long)sum(touched, BIG));
    signal(SIGSEGV, on_jump);
    if (!sigsetjmp(back, 1))
        *nowhere = 1;
    printf("jumped\n");
    signal(SIGSEGV, SIG_DFL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    printf("blocked %llx\n", (unsigned long long)sum(touched, BIG));
    sigemptyset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    fflush(stdout);
    child = fork();
    if (!child) {
        *nowhere = 1;
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("crash %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    free(touched);
}

static void executes(void)
{
    fflush(stdout);
    if (system("exec cat /dev/null"))
        printf("system failed\n");
    printf("system\n");
}

int main(void)
{
    allocations();
    threads();
    pipes();
    files();
    fflush(stdout);
    forks();
    signals();
    executes();
    return 0;
}
