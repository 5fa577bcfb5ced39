/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_internal.h"

/* In owner: somebody sleeps. Thread ids end at 2^30 (FUTEX_TID_MASK). */
#define WAITED (1u << 31)

/* ---- Who is in ----------------------------------------------------------------------------- */

static uint32_t thread_id(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

static void lock(struct gn_linux_window *w, uint32_t self)
{
    uint32_t now = 0;

    if (atomic_compare_exchange_strong_explicit(&w->owner, &now, self, memory_order_acquire,
                                                memory_order_relaxed))
        return;
    for (;;) {
        /* Taken with WAITED set: others may sleep that this thread knows nothing of. */
        if (!now && atomic_compare_exchange_strong_explicit(
                        &w->owner, &now, self | WAITED, memory_order_acquire, memory_order_relaxed))
            return;
        if (!now)
            continue;
        if (!(now & WAITED) && !atomic_compare_exchange_strong(&w->owner, &now, now | WAITED))
            continue;
        (void)syscall(SYS_futex, &w->owner, FUTEX_WAIT_PRIVATE, now | WAITED, NULL, NULL, 0);
        now = atomic_load_explicit(&w->owner, memory_order_relaxed);
    }
}

static void unlock(struct gn_linux_window *w)
{
    uint32_t was = atomic_exchange_explicit(&w->owner, 0, memory_order_release);

    if (was & WAITED)
        (void)syscall(SYS_futex, &w->owner, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Raw: a program under an interposer may have another idea of what sigprocmask() is. */
static void signals_set(const uint64_t *set, uint64_t *ret_before)
{
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, ret_before, sizeof *set);
}

void gn_linux_window_enter(struct gn_linux_window *window)
{
    /* A fault of this thread in what the window protects is a bug, and must be seen. */
    static const uint64_t all =
        ~(UINT64_C(1) << (SIGSEGV - 1) | UINT64_C(1) << (SIGBUS - 1) | UINT64_C(1) << (SIGSYS - 1));
    uint64_t before = 0;

    signals_set(&all, &before);
    lock(window, thread_id());
    window->signals = before;
}

void gn_linux_window_leave(struct gn_linux_window *window)
{
    uint64_t before = window->signals;

    unlock(window);
    signals_set(&before, NULL);
}

/* ---- Life ---------------------------------------------------------------------------------- */

static int params_normalize(const struct gn_linux_window_params *params,
                            struct gn_linux_window_params *ret)
{
    struct gn_linux_window_params p;
    int rc = gn_base_params_copy(&p, sizeof p, params, sizeof p);

    if (rc)
        return rc;
    if (!p.pages || p.pages > UINT32_MAX || p.flags & ~GN_LINUX_MEMORY_INHERIT)
        return -GN_ERR_INVAL;
    if ((uintptr_t)p.base & GN_PAGE_MASK || !p.memory || !p.memory->kind || !p.ops)
        return -GN_ERR_INVAL;
    if (p.memory->bytes >> GN_PAGE_SHIFT > PAGE_FRAMES_MAX)
        return -GN_ERR_INVAL;
    *ret = p;
    return 0;
}

size_t gn_linux_window_align(void)
{
    return 64;
}

size_t gn_linux_window_size(const struct gn_linux_window_params *params)
{
    struct gn_linux_window_params p;

    if (params_normalize(params, &p))
        return 0;
    return sizeof(struct gn_linux_window) + p.pages * sizeof(uint32_t);
}

/* By fork(); a child of vfork() shares everything, and finds 1. */
static int here_create(struct gn_linux_window *w)
{
    void *page =
        mmap(NULL, GN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return -GN_ERR_NOMEM;
    w->here = page;
    *w->here = 1;
    return madvise(page, GN_PAGE_SIZE, MADV_WIPEONFORK) ? -GN_ERR_NOTSUP : 0;
}

static void here_destroy(struct gn_linux_window *w)
{
    if (w->here)
        munmap((void *)(uintptr_t)w->here, GN_PAGE_SIZE);
    w->here = NULL;
}

static int reserve(struct gn_linux_window *w, void *wanted)
{
    int fixed = wanted ? MAP_FIXED_NOREPLACE : 0;
    void *base = mmap(wanted, w->pages << GN_PAGE_SHIFT, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
    int rc;

    if (base == MAP_FAILED)
        return errno == EEXIST ? -GN_ERR_EXIST : -GN_ERR_NOMEM;
    w->base = base;
    rc = wanted && base != wanted ? -GN_ERR_EXIST : here_create(w);
    if (!rc)
        rc = w->way->reserve(w);
    if (rc) {
        munmap(base, w->pages << GN_PAGE_SHIFT);
        here_destroy(w);
    }
    return rc;
}

int gn_linux_window_init(void *mem, size_t length, const struct gn_linux_window_params *params,
                         struct gn_linux_window **ret_window)
{
    struct gn_linux_window *w = mem;
    struct gn_linux_window_params p;
    struct gn_linux_window_ops ops;
    int rc = params_normalize(params, &p);

    if (!rc)
        rc = gn_base_params_copy(&ops, sizeof ops, p.ops, sizeof ops);
    if (rc)
        return rc;
    if (!mem || (uintptr_t)mem & 63 || length < gn_linux_window_size(params) || !ops.fault)
        return -GN_ERR_INVAL;
    if (p.memory->kind == GN_LINUX_MEMORY_LOCKED)
        return -GN_ERR_NOTSUP;
    memset(w, 0, sizeof *w);
    /* Not written where it is zero already: a large window's table is memory only where used. */
    for (uint64_t i = 0; i < p.pages; i++)
        if (w->state[i])
            w->state[i] = 0;
    w->way =
        p.memory->kind == GN_LINUX_MEMORY_PRIVATE ? &gn_linux__userfaultfd : &gn_linux__sigsegv;
    w->memory = p.memory;
    w->ops = ops;
    w->ops_ctx = p.ops_ctx;
    w->pages = p.pages;
    w->flags = p.flags;
    w->uffd = -1;
    w->degraded = w->way->degraded;
    if (p.flags & GN_LINUX_MEMORY_INHERIT)
        w->degraded |= GN_LINUX_DEGRADED_FORK;
    rc = reserve(w, p.base);
    if (rc)
        return rc;
    *ret_window = w;
    return 0;
}

void gn_linux_window_fini(struct gn_linux_window *window)
{
    if (!window)
        return;
    munmap(window->base, window->pages << GN_PAGE_SHIFT);
    here_destroy(window);
    if (window->uffd >= 0)
        close(window->uffd);
    window->base = NULL;
    window->pages = 0;
}

/* ---- Pages --------------------------------------------------------------------------------- */

static void *page_at(const struct gn_linux_window *w, uint64_t page)
{
    return w->base + (page << GN_PAGE_SHIFT);
}

int gn_linux_window_map(struct gn_linux_window *window, uint64_t page, void *frame,
                        uint32_t writable)
{
    uint64_t offset = (uint64_t)((uint8_t *)frame - (uint8_t *)window->memory->base);
    uint32_t number = (uint32_t)(offset >> GN_PAGE_SHIFT);
    uint32_t want = PAGE_STATE(number) | (writable ? PAGE_WRITABLE : 0);
    uint32_t *state;
    int rc = 0;

    if (page >= window->pages || offset >= window->memory->bytes || offset & GN_PAGE_MASK)
        return -GN_ERR_RANGE;
    state = &window->state[page];
    if (*state && (*state ^ want) & ~PAGE_WRITABLE)
        return -GN_ERR_BUSY;
    if (!*state)
        rc = window->way->map(window, page_at(window, page), number, writable);
    else if (*state != want)
        rc = window->way->protect(window, page_at(window, page), writable);
    if (rc)
        return rc;
    window->maps += !*state;
    *state = want;
    return 0;
}

int gn_linux_window_unmap(struct gn_linux_window *window, uint64_t page)
{
    uint32_t state;
    int rc;

    if (page >= window->pages)
        return -GN_ERR_RANGE;
    state = window->state[page];
    if (!state)
        return 0;
    rc =
        window->way->unmap(window, page_at(window, page), PAGE_FRAME(state), state & PAGE_WRITABLE);
    if (rc)
        return rc;
    window->state[page] = 0;
    window->unmaps++;
    return 0;
}

int gn_linux_window_mapped(const struct gn_linux_window *window, uint64_t page)
{
    uint32_t state = page < window->pages ? window->state[page] : 0;

    return state ? 1 + !!(state & PAGE_WRITABLE) : 0;
}

int gn_linux_window_remap(struct gn_linux_window *window)
{
    int failed = 0;

    if (window->way != &gn_linux__sigsegv)
        return -GN_ERR_NOTSUP;
    if (mmap(window->base, window->pages << GN_PAGE_SHIFT, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED ||
        window->way->reserve(window))
        return -GN_ERR_NOMEM;
    for (uint64_t i = 0; i < window->pages; i++) {
        uint32_t state = window->state[i];

        if (!state ||
            !window->way->map(window, page_at(window, i), PAGE_FRAME(state), state & PAGE_WRITABLE))
            continue;
        window->state[i] = 0;
        failed = 1;
    }
    *window->here = 1;
    return failed ? -GN_ERR_NOMEM : 0;
}

/* ---- Faults -------------------------------------------------------------------------------- */

/* Has another thread settled it since? */
static int settled(const struct gn_linux_window *w, uint64_t page, uint32_t access)
{
    return gn_linux_window_mapped(w, page) > (access == GN_ACCESS_WRITE);
}

int gn_linux_window_fault(struct gn_linux_window *window, const void *address, uint32_t access)
{
    uint64_t page = ((uintptr_t)address - (uintptr_t)window->base) >> GN_PAGE_SHIFT;
    uint32_t self = thread_id();
    int rc = 0;

    if ((uintptr_t)address < (uintptr_t)window->base || page >= window->pages)
        return 0;
    if (access == GN_ACCESS_EXEC)
        return 0; /* windows hold data: it would fault for ever */
    if (!*window->here && !(window->flags & GN_LINUX_MEMORY_INHERIT))
        return 0; /* a child's, where what the table says is mapped is not */
    /* The thread that is in touched what it must not: waiting for itself would help nobody. */
    if ((atomic_load_explicit(&window->owner, memory_order_relaxed) & ~WAITED) == self)
        return 0;
    lock(window, self);
    if (access == GN_ACCESS_KINDS)
        access = gn_linux_window_mapped(window, page) ? GN_ACCESS_WRITE : GN_ACCESS_READ;
    if (settled(window, page, access)) {
        window->again++;
    } else {
        window->faults++;
        rc = window->ops.fault(window->ops_ctx, page, access);
    }
    unlock(window);
    return !rc;
}

int gn_linux_window_state(struct gn_linux_window *window, struct gn_linux_window_state *ret_state)
{
    struct gn_linux_window_state s = {.way = window->way->way,
                                      .degraded = window->degraded,
                                      .base = window->base,
                                      .faults = window->faults,
                                      .again = window->again,
                                      .maps = window->maps,
                                      .unmaps = window->unmaps};

    if (!ret_state || ret_state->size < offsetof(struct gn_linux_window_state, faults))
        return -GN_ERR_INVAL;
    s.size = ret_state->size < sizeof s ? ret_state->size : (uint32_t)sizeof s;
    memcpy(ret_state, &s, s.size);
    return 0;
}
