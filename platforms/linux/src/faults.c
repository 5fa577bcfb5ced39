/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "linux_internal.h"

/* The one variable: see the header. */
struct gn_linux__fault_table gn_linux__faults;

static int taken(const void *address, uint32_t access)
{
    for (int i = 0; i < GN_LINUX_FAULTS_MAX; i++) {
        struct gn_linux_window *w =
            atomic_load_explicit(&gn_linux__faults.windows[i], memory_order_acquire);

        if (w && gn_linux_window_fault(w, address, access))
            return 1;
    }
    return 0;
}

/* The signals that a handler would find blocked, had it been called by the kernel. */
static void signals_as_for(const struct sigaction *action, int number, const ucontext_t *context)
{
    sigset_t set = context->uc_sigmask;

    sigorset(&set, &set, &action->sa_mask);
    if (!(action->sa_flags & SA_NODEFER))
        sigaddset(&set, number);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, sizeof(uint64_t));
}

/* Whoever had the signal before gets it; sigreturn restores what was blocked. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    const struct sigaction *before = &gn_linux__faults.before[number == SIGBUS];

    signals_as_for(before, number, context);
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(number, info, context);
        return;
    }
    if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
        return;
    }
    /* The access is repeated, and ends the process. Ignored, it would be repeated for ever. */
    signal(number, SIG_DFL);
    /* Sent by somebody, and not by an access that will be repeated. */
    if (info->si_code <= 0)
        raise(number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno;

    if (info->si_code <= 0 || !taken(info->si_addr, gn_linux__access(context)))
        pass_on(number, info, context);
    errno = saved;
}

static int install(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS};
    struct sigaction action;
    struct sigaction now;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    /* A handler that ran while the window is entered might touch it. */
    sigfillset(&action.sa_mask);
    for (int i = 0; i < 2; i++) {
        if (sigaction(numbers[i], NULL, &now))
            return -GN_ERR_IO;
        if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fault)
            continue;
        gn_linux__faults.before[i] = now;
        if (sigaction(numbers[i], &action, NULL))
            return -GN_ERR_IO;
    }
    return 0;
}

int gn_linux_faults_add(struct gn_linux_window *window)
{
    for (int i = 0; i < GN_LINUX_FAULTS_MAX; i++) {
        struct gn_linux_window *none = NULL;

        if (!atomic_compare_exchange_strong(&gn_linux__faults.windows[i], &none, window))
            continue;
        if (!install())
            return 0;
        atomic_store(&gn_linux__faults.windows[i], NULL);
        return -GN_ERR_IO;
    }
    return -GN_ERR_NOSPC;
}

void gn_linux_faults_remove(struct gn_linux_window *window)
{
    for (int i = 0; i < GN_LINUX_FAULTS_MAX; i++) {
        struct gn_linux_window *it = window;

        if (window)
            atomic_compare_exchange_strong(&gn_linux__faults.windows[i], &it, NULL);
    }
}
