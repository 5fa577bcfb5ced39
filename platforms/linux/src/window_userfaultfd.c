/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_internal.h"

/*
 * A page of the window is anonymous memory, registered for missing and write-protect faults, which
 * come as SIGBUS to the thread that made them. UFFDIO_COPY places a whole page or none, so that no
 * thread sees half of one.
 */

/* The kernel's headers of Debian 12 have it; older ones do not. */
#define USER_MODE_ONLY 1

/* Of Linux 5.18: the advice that locked pages take. Debian 12's headers of libc lack it. */
#define DONTNEED_LOCKED 24

static int uffd_open(void)
{
    /* Faults of system calls are not asked for, so no privilege is needed. */
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);

    return fd >= 0 ? fd : (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
}

static int registered(const struct gn_linux_window *w)
{
    struct uffdio_api api = {.api = UFFD_API,
                             .features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP};
    struct uffdio_register r = {
        .range = {.start = (uintptr_t)w->base, .len = w->pages << GN_PAGE_SHIFT},
        .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP};

    return !ioctl(w->uffd, UFFDIO_API, &api) && !ioctl(w->uffd, UFFDIO_REGISTER, &r);
}

/* Locks what will be placed, if locked pages can be taken away again. @return whether */
static int locked(void *base, uint64_t length)
{
    if (mlock2(base, length, MLOCK_ONFAULT))
        return 0;
    if (!madvise(base, GN_PAGE_SIZE, DONTNEED_LOCKED))
        return 1;
    (void)munlock(base, length);
    return 0;
}

static int uffd_reserve(struct gn_linux_window *w)
{
    uint64_t length = w->pages << GN_PAGE_SHIFT;

    w->uffd = uffd_open();
    if (w->uffd < 0)
        return -GN_ERR_NOTSUP;
    if (!registered(w) || mprotect(w->base, length, PROT_READ | PROT_WRITE)) {
        close(w->uffd);
        w->uffd = -1;
        return -GN_ERR_NOTSUP;
    }
    /* What is placed here is plaintext: as the memory is kept, so is this. A child has no window:
     * unregistered, it would read zeros and believe them. */
    (void)madvise(w->base, length, MADV_NOHUGEPAGE);
    if (!locked(w->base, length))
        w->degraded |= GN_LINUX_DEGRADED_LOCK;
    if (madvise(w->base, length, MADV_DONTDUMP))
        w->degraded |= GN_LINUX_DEGRADED_DUMP;
    w->degraded &= ~GN_LINUX_DEGRADED_FORK;
    if (madvise(w->base, length, MADV_DONTFORK))
        w->degraded |= GN_LINUX_DEGRADED_FORK;
    return 0;
}

static void *frame_at(const struct gn_linux_window *w, uint32_t frame)
{
    return (uint8_t *)w->memory->base + ((uint64_t)frame << GN_PAGE_SHIFT);
}

static int uffd_map(struct gn_linux_window *w, void *to, uint32_t frame, uint32_t writable)
{
    struct uffdio_copy copy = {.dst = (uintptr_t)to,
                               .src = (uintptr_t)frame_at(w, frame),
                               .len = GN_PAGE_SIZE,
                               .mode = writable ? 0 : UFFDIO_COPY_MODE_WP};

    if (ioctl(w->uffd, UFFDIO_COPY, &copy))
        return -GN_ERR_NOMEM;
    explicit_bzero(frame_at(w, frame), GN_PAGE_SIZE);
    return 0;
}

static int uffd_protect(struct gn_linux_window *w, void *to, uint32_t writable)
{
    struct uffdio_writeprotect wp = {.range = {.start = (uintptr_t)to, .len = GN_PAGE_SIZE},
                                     .mode = writable ? 0 : UFFDIO_WRITEPROTECT_MODE_WP};

    return ioctl(w->uffd, UFFDIO_WRITEPROTECT, &wp) ? -GN_ERR_NOMEM : 0;
}

static int uffd_unmap(struct gn_linux_window *w, void *from, uint32_t frame, uint32_t writable)
{
    /* Writers are stopped before the page is read: what is copied is what was written last. */
    if (writable && uffd_protect(w, from, 0))
        return -GN_ERR_NOMEM;
    memcpy(frame_at(w, frame), from, GN_PAGE_SIZE);
    if (madvise(from, GN_PAGE_SIZE, DONTNEED_LOCKED) && madvise(from, GN_PAGE_SIZE, MADV_DONTNEED))
        return -GN_ERR_NOMEM;
    return 0;
}

const struct gn_linux__way gn_linux__userfaultfd = {
    .way = GN_LINUX_FAULTS_USERFAULTFD,
    .degraded = GN_LINUX_DEGRADED_SYSCALLS | GN_LINUX_DEGRADED_COPIES,
    .reserve = uffd_reserve,
    .map = uffd_map,
    .protect = uffd_protect,
    .unmap = uffd_unmap,
};
