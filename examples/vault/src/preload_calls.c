/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/*
 * A system call that is given an address of the window would fail with EFAULT wherever the page is
 * not there: the kernel takes no fault that a signal must settle. So such calls are made to trap:
 * a filter sends SIGSYS when one of the six arguments has the upper half of the window's addresses,
 * and the handler makes the call itself, with the pages held. The filter lets through what comes
 * from one instruction, at an address that is the same in every process, since children inherit
 * the filter through execve().
 *
 * What an argument points to may itself have addresses. Where these are vectors and messages, there
 * are functions of libc's that are replaced (vectors.c); rings of requests, whose calls tell
 * nothing of them, are refused, so that programs do without; other structures (of ioctl) are not
 * looked into.
 */

#define UPPER   ((uint32_t)(PRELOAD_BASE >> 32))
#define STUB    (PRELOAD_BASE - GN_PAGE_SIZE)
#define ARG_MAX 6
#define TRIES   100000

/* Pages that an argument of unknown meaning may need. */
#define HOLD_UNKNOWN 16u
#define HOLD_MAX     64u

/* Arguments move from those of a function to those of a system call. */
static const uint8_t stub_code[] = {
    0x48, 0x89, 0xf8,             /* mov %rdi, %rax */
    0x48, 0x89, 0xf7,             /* mov %rsi, %rdi */
    0x48, 0x89, 0xd6,             /* mov %rdx, %rsi */
    0x48, 0x89, 0xca,             /* mov %rcx, %rdx */
    0x4d, 0x89, 0xc2,             /* mov %r8, %r10 */
    0x4d, 0x89, 0xc8,             /* mov %r9, %r8 */
    0x4c, 0x8b, 0x4c, 0x24, 0x08, /* mov 8(%rsp), %r9 */
    0x0f, 0x05,                   /* syscall */
    0xc3,                         /* ret */
};

/* The kernel sees the address behind the instruction. */
#define STUB_RETURNS (STUB + sizeof stub_code - 1)

static long direct(long number, const uint64_t a[ARG_MAX])
{
    typedef long (*stub)(long, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

    return ((stub)(uintptr_t)STUB)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- Which calls move bytes, and where ----------------------------------------------------- */

struct buffer_call {
    long number;
    uint8_t buffer; /* index of the argument */
    uint8_t length;
    uint8_t offset; /* index of a position in the file; 0: none */
    uint8_t access; /* what the kernel does to the buffer */
    bool pieces;    /* a part may be moved, and then the next */
};

static const struct buffer_call buffer_calls[] = {
    {SYS_read, 1, 2, 0, GN_ACCESS_WRITE, true},
    {SYS_write, 1, 2, 0, GN_ACCESS_READ, true},
    {SYS_pread64, 1, 2, 3, GN_ACCESS_WRITE, true},
    {SYS_pwrite64, 1, 2, 3, GN_ACCESS_READ, true},
    {SYS_recvfrom, 1, 2, 0, GN_ACCESS_WRITE, false},
    {SYS_sendto, 1, 2, 0, GN_ACCESS_READ, false},
    {SYS_getrandom, 0, 1, 0, GN_ACCESS_WRITE, true},
    {SYS_getdents64, 1, 2, 0, GN_ACCESS_WRITE, false},
    {SYS_readlink, 1, 2, 0, GN_ACCESS_WRITE, false},
    {SYS_getcwd, 0, 1, 0, GN_ACCESS_WRITE, false},
};

static const struct buffer_call *buffer_call_find(long number)
{
    for (size_t i = 0; i < sizeof buffer_calls / sizeof *buffer_calls; i++)
        if (buffer_calls[i].number == number)
            return &buffer_calls[i];
    return NULL;
}

/* ---- Holding ------------------------------------------------------------------------------- */

struct held {
    struct gn_cachecrypt_span spans[HOLD_MAX + ARG_MAX * HOLD_UNKNOWN];
    uint32_t count;
};

/*
 * Waits while other calls hold all of the pool. @return bytes from `at` on that are held: all,
 * unless the limit comes first
 */
static uint64_t hold(struct held *h, const void *at, uint64_t length, uint32_t access,
                     uint32_t limit)
{
    uint64_t before = (uintptr_t)at & GN_PAGE_MASK;
    uint32_t got = 0;

    for (int i = 0; i < TRIES && !got; i++) {
        got = sealed_hold(&preload.sealed, at, length, access, h->spans + h->count, limit);
        if (!got)
            sched_yield();
    }
    h->count += got;
    if (!got)
        return 0;
    return ((uint64_t)got << GN_PAGE_SHIFT) - before < length
               ? ((uint64_t)got << GN_PAGE_SHIFT) - before
               : length;
}

static void let_go(struct held *h)
{
    sealed_release(&preload.sealed, h->spans, h->count);
    h->count = 0;
}

/* The arguments of a call that are addresses: bits. */
static uint32_t args_of(long number);

/*
 * Holds what the other arguments point to, each no more than a share of the pool: all of them
 * together must leave some of it. @return 0 or -EFAULT
 */
static int hold_others(struct held *h, long number, const uint64_t a[ARG_MAX], int but)
{
    uint32_t limit = preload.hold_max < HOLD_UNKNOWN ? preload.hold_max : HOLD_UNKNOWN;
    uint32_t args = args_of(number);

    for (int i = 0; i < ARG_MAX; i++) {
        const void *at = (const void *)(uintptr_t)a[i];
        uint64_t length;

        if (i == but || !(args & 1u << i) || !preload_inside(at))
            continue;
        length = (uint64_t)((const uint8_t *)preload_block_end(at) - (const uint8_t *)at);
        if (length > (HOLD_UNKNOWN - 1) * GN_PAGE_SIZE)
            length = (HOLD_UNKNOWN - 1) * GN_PAGE_SIZE;
        if (!length || !hold(h, at, length, GN_ACCESS_WRITE, limit))
            return -EFAULT;
    }
    return 0;
}

/* ---- Making the call ----------------------------------------------------------------------- */

static bool regular(uint64_t fd)
{
    struct stat s;

    return !fstat((int)fd, &s) && S_ISREG(s.st_mode);
}

/*
 * Through plain memory for the time of the call: the kernel, and whoever is at the other end, see
 * it as it is, anyway.
 */
static long bounce(const struct buffer_call *c, uint64_t a[ARG_MAX])
{
    void *at = (void *)(uintptr_t)a[c->buffer];
    uint64_t length = a[c->length];
    struct held h = {.count = 0};
    void *plain;
    long rc;

    plain = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (plain == MAP_FAILED)
        return -ENOMEM;
    memcpy(plain, at, c->access == GN_ACCESS_READ ? length : 0);
    a[c->buffer] = (uintptr_t)plain;
    rc = hold_others(&h, c->number, a, c->buffer);
    rc = rc ? rc : direct(c->number, a);
    let_go(&h);
    a[c->buffer] = (uintptr_t)at;
    if (c->access == GN_ACCESS_WRITE && rc > 0)
        memcpy(at, plain, (uint64_t)rc < length ? (uint64_t)rc : length);
    explicit_bzero(plain, length);
    munmap(plain, length);
    return rc;
}

/* One piece. @return what the call returned; *ret_asked: how many bytes it was asked for */
static long piece(const struct buffer_call *c, uint64_t a[ARG_MAX], uint64_t *ret_asked)
{
    uint64_t saved = a[c->length];
    struct held h = {.count = 0};
    long rc;

    *ret_asked =
        hold(&h, (const void *)(uintptr_t)a[c->buffer], saved, c->access, preload.hold_max);
    rc = *ret_asked ? hold_others(&h, c->number, a, c->buffer) : -EFAULT;
    a[c->length] = *ret_asked;
    if (!rc)
        rc = direct(c->number, a);
    let_go(&h);
    /* The page is there, and was refused: O_DIRECT pins pages, which memfd_secret's cannot be. */
    if (rc == -EFAULT && *ret_asked)
        rc = bounce(c, a);
    a[c->length] = saved;
    return rc;
}

/*
 * A file's bytes come whole, as programs expect; of a pipe or a socket the first piece may be all
 * there is, and a second read would wait.
 */
static long carry_buffer(const struct buffer_call *c, uint64_t a[ARG_MAX])
{
    uint64_t done = 0;
    uint64_t asked;
    long rc;

    do {
        rc = piece(c, a, &asked);
        if (rc < 0)
            return done ? (long)done : rc;
        done += (uint64_t)rc;
        a[c->buffer] += (uint64_t)rc;
        a[c->length] -= (uint64_t)rc;
        if (c->offset)
            a[c->offset] += (uint64_t)rc;
    } while ((uint64_t)rc == asked && a[c->length] &&
             (c->access == GN_ACCESS_READ || c->number == SYS_getrandom || regular(a[0])));
    return (long)done;
}

/* A message goes in one piece; where the pool cannot hold it, through plain memory. */
static long carry_whole(const struct buffer_call *c, uint64_t a[ARG_MAX])
{
    void *at = (void *)(uintptr_t)a[c->buffer];
    uint64_t length = a[c->length];
    struct held h = {.count = 0};
    long rc = -EFAULT;

    if (hold(&h, at, length, c->access, preload.hold_max) == length) {
        rc = hold_others(&h, c->number, a, c->buffer);
        rc = rc ? rc : direct(c->number, a);
    }
    let_go(&h);
    return rc == -EFAULT ? bounce(c, a) : rc;
}

static long carry(long number, uint64_t a[ARG_MAX])
{
    const struct buffer_call *c = buffer_call_find(number);
    struct held h = {.count = 0};
    long rc;

    __atomic_fetch_add(&preload.calls, 1, __ATOMIC_RELAXED);
    if (c && preload_inside((const void *)(uintptr_t)a[c->buffer]) && a[c->length])
        return c->pieces ? carry_buffer(c, a) : carry_whole(c, a);
    /* Of a buffer that is empty nothing is touched. */
    rc = c && !a[c->length] ? 0 : hold_others(&h, number, a, -1);
    if (!rc)
        rc = direct(number, a);
    let_go(&h);
    return rc;
}

/* ---- The trap ------------------------------------------------------------------------------ */

static bool trapped; /* the filter is there already: inherited */

static void on_sigsys(int number, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    int saved = errno;
    uint64_t a[ARG_MAX] = {(uint64_t)r[REG_RDI], (uint64_t)r[REG_RSI], (uint64_t)r[REG_RDX],
                           (uint64_t)r[REG_R10], (uint64_t)r[REG_R8],  (uint64_t)r[REG_R9]};

    long rc;

    (void)number;
    trapped = true;
    rc = preload.ready ? carry(info->si_syscall, a) : direct(info->si_syscall, a);
    r[REG_RAX] = rc;
    if (rc == -EFAULT && preload.ready && !__atomic_fetch_add(&preload.failed, 1, __ATOMIC_RELAXED))
        preload.failed_first = info->si_syscall;
    errno = saved;
}

/*
 * Which arguments are addresses. Registers that a call does not use have what was there before,
 * often an address; and a trap while the signal is blocked (libc does that around clone and spawn)
 * ends the process. So calls are asked about their own arguments only; those that are not named
 * here, about all six.
 */
#define A(n) (1u << (n))

static const struct {
    uint16_t number;
    uint16_t args;
} calls[] = {
    {SYS_read, A(1)},
    {SYS_write, A(1)},
    {SYS_pread64, A(1)},
    {SYS_pwrite64, A(1)},
    {SYS_futex, A(0) | A(4)},
    {SYS_lseek, 0},
    {SYS_close, 0},
    {SYS_gettid, 0},
    {SYS_getpid, 0},
    {SYS_getppid, 0},
    {SYS_sched_yield, 0},
    {SYS_rt_sigreturn, 0},
    {SYS_rt_sigprocmask, A(1) | A(2)},
    {SYS_rt_sigaction, A(1) | A(2)},
    {SYS_sigaltstack, A(0) | A(1)},
    /* What manages mappings names addresses, and does not touch what is there. */
    {SYS_mmap, 0},
    {SYS_mprotect, 0},
    {SYS_munmap, 0},
    {SYS_madvise, 0},
    {SYS_mremap, 0},
    {SYS_mlock, 0},
    {SYS_mlock2, 0},
    {SYS_brk, 0},
    {SYS_getrandom, A(0)},
    {SYS_ioctl, A(2)},
    {SYS_fcntl, A(2)},
    {SYS_openat, A(1)},
    {SYS_fstat, A(1)},
    {SYS_newfstatat, A(1) | A(2)},
    {SYS_getdents64, A(1)},
    {SYS_dup, 0},
    {SYS_dup2, 0},
    {SYS_dup3, 0},
    {SYS_close_range, 0},
    {SYS_fsync, 0},
    {SYS_fdatasync, 0},
    {SYS_ftruncate, 0},
    {SYS_clone, A(1)},
    {SYS_clone3, A(0)},
    {SYS_vfork, 0},
    {SYS_fork, 0},
    {SYS_execve, A(0) | A(1) | A(2)},
    {SYS_exit, 0},
    {SYS_exit_group, 0},
    {SYS_wait4, A(1) | A(3)},
    {SYS_kill, 0},
    {SYS_tgkill, 0},
    {SYS_setsid, 0},
    {SYS_setpgid, 0},
    {SYS_set_robust_list, A(0)},
    {SYS_set_tid_address, A(0)},
    {SYS_rseq, A(0)},
    {SYS_pipe2, A(0)},
    {SYS_poll, A(0)},
    {SYS_clock_nanosleep, A(2) | A(3)},
    {SYS_memfd_create, A(0)},
};

static uint32_t args_of(long number)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == number)
            return calls[i].args;
    return A(ARG_MAX) - 1;
}

struct program {
    struct sock_filter code[512];
    uint16_t length;
};

static void load(struct program *p, size_t offset)
{
    p->code[p->length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

/* Skips so many instructions unless what was loaded is `value`. */
static void unless(struct program *p, uint32_t value, uint8_t skip)
{
    p->code[p->length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip);
}

static void answer(struct program *p, uint32_t what)
{
    p->code[p->length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what);
}

#define PER_ARG 3 /* instructions of args_look() for each */

static void args_look(struct program *p, uint32_t args)
{
    for (int i = 0; i < ARG_MAX; i++) {
        if (!(args & A(i)))
            continue;
        load(p, offsetof(struct seccomp_data, args[i]) + 4);
        unless(p, UPPER, 1);
        answer(p, SECCOMP_RET_TRAP);
    }
    answer(p, SECCOMP_RET_ALLOW);
}

/*
 * Requests in rings and lists, which the kernel reads when it likes: of no use here, and to be told
 * at once. Not by a trap: a child that is a static program has no handler, but the filter.
 */
static const uint32_t refused[] = {SYS_io_uring_setup, SYS_io_setup};

static void program_make(struct program *p)
{
    const size_t ip = offsetof(struct seccomp_data, instruction_pointer);

    load(p, offsetof(struct seccomp_data, arch));
    p->code[p->length++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    answer(p, SECCOMP_RET_ALLOW);
    load(p, ip);
    unless(p, (uint32_t)STUB_RETURNS, 3);
    load(p, ip + 4);
    unless(p, (uint32_t)(STUB_RETURNS >> 32), 1);
    answer(p, SECCOMP_RET_ALLOW);
    load(p, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        unless(p, refused[i], 1);
        answer(p, SECCOMP_RET_ERRNO | ENOSYS);
    }
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        unless(p, calls[i].number, (uint8_t)(PER_ARG * __builtin_popcount(calls[i].args) + 1));
        args_look(p, calls[i].args);
    }
    args_look(p, A(ARG_MAX) - 1);
}

static int filter_install(void)
{
    static struct program p;
    struct sock_fprog filter = {.filter = p.code};

    program_make(&p);
    filter.len = p.length;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) ? -1 : 0;
}

int preload_calls_install(void)
{
    void *page = mmap((void *)(uintptr_t)STUB, GN_PAGE_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};

    if (page != (void *)(uintptr_t)STUB)
        return -1;
    memcpy(page, stub_code, sizeof stub_code);
    if (mprotect(page, GN_PAGE_SIZE, PROT_READ | PROT_EXEC))
        return -1;
    action.sa_sigaction = on_sigsys;
    sigemptyset(&action.sa_mask);
    if (preload_sigaction(SIGSYS, &action, NULL))
        return -1;
    preload.hold_max = preload.sealed.params.frames / 8;
    preload.hold_max = preload.hold_max > HOLD_MAX ? HOLD_MAX
                       : preload.hold_max          ? preload.hold_max
                                                   : 1;
    /* A call that does nothing, with an argument that traps: is there a filter from before? */
    (void)syscall(SYS_personality, 0xffffffff, PRELOAD_BASE);
    return trapped ? 0 : filter_install();
}
