/* SPDX-License-Identifier: BSD-3-Clause */

/* System calls, switches between threads and between address spaces, files. */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define PAGE  4096u
#define PAGES 256u
#define RING  16u

static uint64_t system_call(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < 200; i++)
        sum += (uint64_t)syscall(SYS_getppid);
    return sum + 1;
}

static uint64_t read_clock(void)
{
    struct timespec before, now;
    uint64_t backwards = 0;

    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 200; i++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        backwards += now.tv_sec < before.tv_sec ||
                     (now.tv_sec == before.tv_sec && now.tv_nsec < before.tv_nsec);
        before = now;
    }
    return backwards + 1;
}

/* ---- Ping-pong over two pipes -------------------------------------------------------------- */

static int there[2], back[2];
static pthread_t partner_thread;
static pid_t partner;
static volatile char *working_set; /* NULL: nothing to touch */

static uint64_t touch(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; working_set && i < PAGES; i++)
        sum += (unsigned char)working_set[i * PAGE];
    return sum;
}

/* Answers each byte, until there are no more. */
static void answer(void)
{
    char c;

    while (read(there[0], &c, 1) == 1 && c) {
        c = (char)(c + (touch() & 1));
        if (write(back[1], &c, 1) != 1)
            break;
    }
}

static void *answering_thread(void *unused)
{
    answer();
    return unused;
}

static void open_pipes(void)
{
    if (pipe(there) || pipe(back))
        bench_die("pipe");
}

static void close_pipes(void)
{
    for (int i = 0; i < 2; i++) {
        close(there[i]);
        close(back[i]);
    }
}

static void thread_begin(void)
{
    open_pipes();
    if (pthread_create(&partner_thread, NULL, answering_thread, NULL))
        bench_die("pthread_create");
}

static void say_goodbye(void)
{
    if (write(there[1], "", 1) != 1)
        bench_die("write");
}

static void thread_end(void)
{
    say_goodbye();
    pthread_join(partner_thread, NULL);
    close_pipes();
}

static void process_begin(void)
{
    open_pipes();
    partner = fork();
    if (partner < 0)
        bench_die("fork");
    if (partner == 0) {
        answer();
        _exit(0);
    }
}

static void process_end(void)
{
    say_goodbye();
    waitpid(partner, NULL, 0);
    close_pipes();
}

/* Each of the two has pages of its own. */
static void working_set_begin(void)
{
    working_set = bench_pages(PAGES * PAGE, PAGE);
    for (unsigned i = 0; i < PAGES; i++)
        working_set[i * PAGE] = 2;
    process_begin();
}

static void working_set_end(void)
{
    process_end();
    working_set = NULL;
}

static uint64_t ping_pong(void)
{
    uint64_t sum = 0;
    char c;

    for (int i = 0; i < 20; i++) {
        c = (char)(i + 1);
        if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
            bench_die("pipe");
        sum = bench_fold(sum, (uint64_t)c + touch());
    }
    return sum;
}

/* ---- A byte around a ring of processes ----------------------------------------------------- */

static int ring[RING + 1][2];
static pid_t members[RING];

static void ring_begin(void)
{
    for (unsigned i = 0; i <= RING; i++)
        if (pipe(ring[i]))
            bench_die("pipe");
    for (unsigned i = 0; i < RING; i++) {
        char c;

        members[i] = fork();
        if (members[i])
            continue;
        while (read(ring[i][0], &c, 1) == 1 && c++)
            if (write(ring[i + 1][1], &c, 1) != 1)
                break;
        _exit(0);
    }
}

static uint64_t ring_turn(void)
{
    char c = 1;

    if (write(ring[0][1], &c, 1) != 1 || read(ring[RING][0], &c, 1) != 1)
        bench_die("pipe");
    return (uint64_t)c;
}

static void ring_end(void)
{
    for (unsigned i = 0; i < RING; i++) {
        kill(members[i], SIGKILL);
        waitpid(members[i], NULL, 0);
    }
    for (unsigned i = 0; i <= RING; i++) {
        close(ring[i][0]);
        close(ring[i][1]);
    }
}

/* ---- Processes, threads, signals ----------------------------------------------------------- */

static uint64_t child_status(pid_t child)
{
    int status = -1;

    if (child < 0 || waitpid(child, &status, 0) != child)
        bench_die("child");
    return (uint64_t)status + 1;
}

static uint64_t fork_exit(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    return child_status(child);
}

static uint64_t fork_exec(void)
{
    static char how[] = "exit";
    char *argv[] = {bench_path, how, NULL};
    pid_t child = fork();

    if (child == 0) {
        execv(bench_path, argv);
        _exit(126);
    }
    return child_status(child);
}

static void *ending_thread(void *value)
{
    return value;
}

static uint64_t threads(void)
{
    uint64_t sum = 0;

    for (uintptr_t i = 0; i < 10; i++) {
        pthread_t thread;
        void *value;

        if (pthread_create(&thread, NULL, ending_thread, (void *)i) || pthread_join(thread, &value))
            bench_die("thread");
        sum = bench_fold(sum, (uintptr_t)value);
    }
    return sum;
}

static volatile uint64_t signals;

static void on_signal(int number)
{
    signals += (uint64_t)number;
}

static void signal_begin(void)
{
    signal(SIGUSR1, on_signal);
}

static uint64_t signal_self(void)
{
    signals = 0;
    for (int i = 0; i < 50; i++)
        raise(SIGUSR1);
    return signals;
}

/* ---- Files --------------------------------------------------------------------------------- */

#define FILE_BYTES 32768u

static int file;

static void file_begin(void)
{
    file = open("/tmp/file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0)
        bench_die("open");
}

static uint64_t file_rw(void)
{
    static uint64_t out[FILE_BYTES / 8], in[FILE_BYTES / 8];

    for (size_t i = 0; i < COUNT(out); i += 64)
        out[i] = i * 3;
    if (pwrite(file, out, sizeof out, 0) != sizeof out ||
        pread(file, in, sizeof in, 0) != sizeof in)
        bench_die("file");
    return bench_fold(in[64], in[COUNT(in) - 64]);
}

static void file_end(void)
{
    close(file);
    unlink("/tmp/file");
}

static uint64_t open_close(void)
{
    uint64_t sum = 1;

    for (int i = 0; i < 20; i++) {
        int fd = open("/proc/self/stat", O_RDONLY);
        char text[64];

        if (fd < 0 || read(fd, text, 8) != 8)
            bench_die("open");
        sum = bench_fold(sum, (uint64_t)text[0]);
        close(fd);
    }
    return sum;
}

static const struct bench entries[] = {
    {"syscall", system_call, 200, 1, NULL, NULL},
    {"clock", read_clock, 200, 1, NULL, NULL},
    {"pipe_thread", ping_pong, 20, UINT64_C(0xf0edccbdd9647793), thread_begin, thread_end},
    {"pipe_proc", ping_pong, 20, UINT64_C(0xf0edccbdd9647793), process_begin, process_end},
    {"pipe_ws256", ping_pong, 20, UINT64_C(0x8a37d8f5b0f22e78), working_set_begin, working_set_end},
    {"pipe_ring16", ring_turn, RING, RING + 1, ring_begin, ring_end},
    {"fork_exit", fork_exit, 1, 1, NULL, NULL},
    {"fork_exec", fork_exec, 1, 1, NULL, NULL},
    {"threads", threads, 10, UINT64_C(0x83decd6037bf6447), NULL, NULL},
    {"signal", signal_self, 50, 50 * SIGUSR1, signal_begin, NULL},
    {"file_rw", file_rw, 1, UINT64_C(0x790548b8d3478840), file_begin, file_end},
    {"open_close", open_close, 20, UINT64_C(0x1027a092ff1da9a4), NULL, NULL},
};

const struct bench_group bench_system = {entries, COUNT(entries)};
