/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

/*
 * The program may have handlers for SIGSEGV, SIGBUS and SIGSYS; they get what is not ours. It may
 * not block these: the kernel ends a process whose fault it cannot deliver.
 */

static const int ours[] = {SIGSEGV, SIGBUS, SIGSYS};

/* What the program asked for, by place in `ours`. */
static struct sigaction wanted[3];

static int which(int number)
{
    for (int i = 0; i < 3; i++)
        if (ours[i] == number)
            return i;
    return -1;
}

void *preload_real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

void *preload_libc(const char *name)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

    return libc ? dlsym(libc, name) : preload_real(name);
}

int preload_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    static int (*next)(int, const struct sigaction *, struct sigaction *);

    if (!next)
        *(void **)&next = preload_real("sigaction");
    return next(number, action, old);
}

/* A fault that is in no window, or was refused. The program's handler may touch the window. */
static void on_other(int number, siginfo_t *info, void *context)
{
    const struct sigaction *w = &wanted[which(number)];
    struct sigaction action = {.sa_handler = SIG_DFL};

    sigprocmask(SIG_BLOCK, &w->sa_mask, NULL);
    if (w->sa_flags & SA_SIGINFO)
        w->sa_sigaction(number, info, context);
    else if (w->sa_handler != SIG_DFL && w->sa_handler != SIG_IGN)
        w->sa_handler(number);
    else if (info->si_code > 0 || w->sa_handler == SIG_DFL)
        preload_sigaction(number, &action, NULL);
    /* A fault is repeated, and ends the process; what was sent is sent again. */
    if (info->si_code <= 0 && w->sa_handler == SIG_DFL && !(w->sa_flags & SA_SIGINFO))
        raise(number);
}

int preload_signals_install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    action.sa_sigaction = on_other;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < 2; i++)
        if (preload_sigaction(ours[i], &action, &wanted[i]))
            return -1;
    return 0;
}

int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    int i = preload.ready ? which(number) : -1;
    struct sigaction before;

    if (i < 0)
        return preload_sigaction(number, action, old);
    before = wanted[i];
    if (action)
        wanted[i] = *action;
    if (old)
        *old = before;
    return 0;
}

sighandler_t signal(int number, sighandler_t handler)
{
    struct sigaction action = {.sa_flags = SA_RESTART};
    struct sigaction old;

    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, &old) ? SIG_ERR : old.sa_handler;
}

static const sigset_t *without_ours(int how, const sigset_t *set, sigset_t *copy)
{
    if (!set || how == SIG_UNBLOCK)
        return set;
    *copy = *set;
    for (int i = 0; i < 3; i++)
        sigdelset(copy, ours[i]);
    return copy;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    static int (*next)(int, const sigset_t *, sigset_t *);
    sigset_t copy;

    if (!next)
        *(void **)&next = preload_real("sigprocmask");
    return next(how, without_ours(how, set, &copy), old);
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    static int (*next)(int, const sigset_t *, sigset_t *);
    sigset_t copy;

    if (!next)
        *(void **)&next = preload_real("pthread_sigmask");
    return next(how, without_ours(how, set, &copy), old);
}
