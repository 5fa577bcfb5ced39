/* SPDX-License-Identifier: BSD-3-Clause */
/* With it preadv() is another name of preadv64(), and both are to be replaced. */
#undef _FILE_OFFSET_BITS

#include "preload.h"

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/*
 * The filter cannot see what a structure points to: these functions of libc's are replaced. A
 * vector is a stream's bytes in pieces, each of which moves by a call of its own, which traps. A
 * message is one piece: it goes through plain memory for the time of the call.
 */

/* ---- Vectors of buffers -------------------------------------------------------------------- */

static bool vector_inside(const struct iovec *v, int count)
{
    for (int i = 0; i < count; i++)
        if (preload.ready && v[i].iov_len && preload_inside(v[i].iov_base))
            return true;
    return false;
}

static ssize_t vector(long number, int fd, const struct iovec *v, int count, off_t offset)
{
    ssize_t done = 0;

    for (int i = 0; i < count; i++) {
        ssize_t rc = syscall(number, fd, v[i].iov_base, v[i].iov_len, offset + done);

        if (rc < 0)
            return done ? done : -1;
        done += rc;
        if ((size_t)rc < v[i].iov_len)
            break;
    }
    return done;
}

ssize_t readv(int fd, const struct iovec *v, int count)
{
    return vector_inside(v, count) ? vector(SYS_read, fd, v, count, 0)
                                   : syscall(SYS_readv, fd, v, count);
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
    return vector_inside(v, count) ? vector(SYS_write, fd, v, count, 0)
                                   : syscall(SYS_writev, fd, v, count);
}

ssize_t preadv(int fd, const struct iovec *v, int count, off_t offset)
{
    return vector_inside(v, count) ? vector(SYS_pread64, fd, v, count, offset)
                                   : syscall(SYS_preadv, fd, v, count, offset, 0);
}

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t offset)
{
    return vector_inside(v, count) ? vector(SYS_pwrite64, fd, v, count, offset)
                                   : syscall(SYS_pwritev, fd, v, count, offset, 0);
}

ssize_t preadv64(int fd, const struct iovec *v, int count, off_t offset)
{
    return preadv(fd, v, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *v, int count, off_t offset)
{
    return pwritev(fd, v, count, offset);
}

/* Offset -1: the file's position. What flags there are for reading are hints. */
ssize_t preadv2(int fd, const struct iovec *v, int count, off_t offset, int flags)
{
    if (!vector_inside(v, count))
        return syscall(SYS_preadv2, fd, v, count, offset, 0, flags);
    return offset == -1 ? vector(SYS_read, fd, v, count, 0)
                        : vector(SYS_pread64, fd, v, count, offset);
}

ssize_t pwritev2(int fd, const struct iovec *v, int count, off_t offset, int flags)
{
    if (!vector_inside(v, count))
        return syscall(SYS_pwritev2, fd, v, count, offset, 0, flags);
    if (flags) {
        errno = EOPNOTSUPP; /* RWF_APPEND, RWF_DSYNC and the like would be lost */
        return -1;
    }
    return offset == -1 ? vector(SYS_write, fd, v, count, 0)
                        : vector(SYS_pwrite64, fd, v, count, offset);
}

ssize_t preadv64v2(int fd, const struct iovec *v, int count, off_t offset, int flags)
{
    return preadv2(fd, v, count, offset, flags);
}

ssize_t pwritev64v2(int fd, const struct iovec *v, int count, off_t offset, int flags)
{
    return pwritev2(fd, v, count, offset, flags);
}

/* To a pipe it is what writev() is; pages of the pool could not be lent to it. */
ssize_t vmsplice(int fd, const struct iovec *v, size_t count, unsigned flags)
{
    if (!vector_inside(v, (int)count))
        return syscall(SYS_vmsplice, fd, v, count, flags);
    if (flags & SPLICE_F_NONBLOCK) {
        errno = EINVAL; /* writev() might wait */
        return -1;
    }
    return vector(SYS_write, fd, v, (int)count, 0);
}

/* ---- Plain memory for the time of a call --------------------------------------------------- */

static uint8_t *plain_get(size_t bytes)
{
    void *at = mmap(NULL, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

static void plain_put(uint8_t *at, size_t bytes)
{
    int saved = errno;

    explicit_bzero(at, bytes);
    munmap(at, bytes + 1);
    errno = saved;
}

static size_t vector_bytes(const struct iovec *v, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(bytes, v[i].iov_len, &bytes))
            return SIZE_MAX / 2; /* which cannot be mapped */
    return bytes;
}

static void gather(uint8_t *to, const struct iovec *v, size_t count)
{
    for (size_t i = 0; i < count; to += v[i++].iov_len)
        memcpy(to, v[i].iov_base, v[i].iov_len);
}

static void scatter(const uint8_t *from, size_t bytes, const struct iovec *v, size_t count)
{
    for (size_t i = 0; i < count && bytes; i++) {
        size_t part = v[i].iov_len < bytes ? v[i].iov_len : bytes;

        memcpy(v[i].iov_base, from, part);
        from += part;
        bytes -= part;
    }
}

/* ---- Messages ------------------------------------------------------------------------------ */

static bool message_inside(const struct msghdr *m)
{
    return preload.ready &&
           (preload_inside(m) || preload_inside(m->msg_iov) || preload_inside(m->msg_name) ||
            preload_inside(m->msg_control) || vector_inside(m->msg_iov, (int)m->msg_iovlen));
}

/* A message all of whose parts are in one piece of plain memory: data, name, control. */
struct copy {
    struct msghdr m;
    struct iovec v;
    uint8_t *plain;
    size_t bytes;
};

static int copy_make(struct copy *c, const struct msghdr *m)
{
    size_t data = vector_bytes(m->msg_iov, m->msg_iovlen);
    size_t name = m->msg_name ? (m->msg_namelen + 15u) & ~(size_t)15 : 0;
    size_t control = m->msg_control ? m->msg_controllen : 0;

    c->bytes = ((data + 15) & ~(size_t)15) + name + control;
    c->plain = plain_get(c->bytes);
    if (!c->plain) {
        errno = ENOBUFS;
        return -1;
    }
    c->v = (struct iovec){.iov_base = c->plain, .iov_len = data};
    c->m = *m;
    c->m.msg_iov = &c->v;
    c->m.msg_iovlen = 1;
    c->m.msg_name = name ? c->plain + c->bytes - name - control : NULL;
    c->m.msg_control = control ? c->plain + c->bytes - control : NULL;
    return 0;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    struct copy c;
    ssize_t rc;

    if (!message_inside(m))
        return syscall(SYS_sendmsg, fd, m, flags);
    if (copy_make(&c, m))
        return -1;
    gather(c.plain, m->msg_iov, m->msg_iovlen);
    if (c.m.msg_name)
        memcpy(c.m.msg_name, m->msg_name, m->msg_namelen);
    if (c.m.msg_control)
        memcpy(c.m.msg_control, m->msg_control, m->msg_controllen);
    rc = syscall(SYS_sendmsg, fd, &c.m, flags);
    plain_put(c.plain, c.bytes);
    return rc;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    struct copy c;
    ssize_t rc;

    if (!message_inside(m))
        return syscall(SYS_recvmsg, fd, m, flags);
    if (copy_make(&c, m))
        return -1;
    rc = syscall(SYS_recvmsg, fd, &c.m, flags);
    if (rc >= 0) {
        scatter(c.plain, (size_t)rc < c.v.iov_len ? (size_t)rc : c.v.iov_len, m->msg_iov,
                m->msg_iovlen);
        if (c.m.msg_name)
            memcpy(m->msg_name, c.m.msg_name,
                   c.m.msg_namelen < m->msg_namelen ? c.m.msg_namelen : m->msg_namelen);
        if (c.m.msg_control)
            memcpy(m->msg_control, c.m.msg_control, c.m.msg_controllen);
        m->msg_namelen = c.m.msg_namelen;
        m->msg_controllen = c.m.msg_controllen;
        m->msg_flags = c.m.msg_flags;
    }
    plain_put(c.plain, c.bytes);
    return rc;
}

static bool messages_inside(const struct mmsghdr *m, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if ((preload.ready && preload_inside(m)) || message_inside(&m[i].msg_hdr))
            return true;
    return false;
}

int sendmmsg(int fd, struct mmsghdr *m, unsigned count, int flags)
{
    unsigned done = 0;

    if (!messages_inside(m, count))
        return (int)syscall(SYS_sendmmsg, fd, m, count, flags);
    for (; done < count; done++) {
        ssize_t rc = sendmsg(fd, &m[done].msg_hdr, flags);

        if (rc < 0)
            return done ? (int)done : -1;
        m[done].msg_len = (unsigned)rc;
    }
    return (int)done;
}

/* As the kernel has it, the time is looked at after each message, and a wait for one goes on. */
static bool is_over(const struct timespec *begin, const struct timespec *timeout)
{
    struct timespec now;
    int64_t left;

    clock_gettime(CLOCK_MONOTONIC, &now);
    left = (begin->tv_sec + timeout->tv_sec - now.tv_sec) * INT64_C(1000000000) + begin->tv_nsec +
           timeout->tv_nsec - now.tv_nsec;
    return left <= 0;
}

int recvmmsg(int fd, struct mmsghdr *m, unsigned count, int flags, struct timespec *timeout)
{
    struct timespec begin;
    unsigned done = 0;

    if (!messages_inside(m, count))
        return (int)syscall(SYS_recvmmsg, fd, m, count, flags, timeout);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (; done < count && !(done && timeout && is_over(&begin, timeout)); done++) {
        ssize_t rc = recvmsg(fd, &m[done].msg_hdr, flags & ~MSG_WAITFORONE);

        if (rc < 0)
            return done ? (int)done : -1;
        m[done].msg_len = (unsigned)rc;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
    }
    return (int)done;
}

/* ---- Memory of other processes ------------------------------------------------------------- */

ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long locals,
                         const struct iovec *remote, unsigned long remotes, unsigned long flags)
{
    struct iovec v = {.iov_len = vector_bytes(local, locals)};
    ssize_t rc;

    if (!vector_inside(local, (int)locals))
        return syscall(SYS_process_vm_readv, pid, local, locals, remote, remotes, flags);
    v.iov_base = plain_get(v.iov_len);
    if (!v.iov_base) {
        errno = ENOMEM;
        return -1;
    }
    rc = syscall(SYS_process_vm_readv, pid, &v, 1, remote, remotes, flags);
    if (rc > 0)
        scatter(v.iov_base, (size_t)rc, local, locals);
    plain_put(v.iov_base, v.iov_len);
    return rc;
}

ssize_t process_vm_writev(pid_t pid, const struct iovec *local, unsigned long locals,
                          const struct iovec *remote, unsigned long remotes, unsigned long flags)
{
    struct iovec v = {.iov_len = vector_bytes(local, locals)};
    ssize_t rc;

    if (!vector_inside(local, (int)locals))
        return syscall(SYS_process_vm_writev, pid, local, locals, remote, remotes, flags);
    v.iov_base = plain_get(v.iov_len);
    if (!v.iov_base) {
        errno = ENOMEM;
        return -1;
    }
    gather(v.iov_base, local, locals);
    rc = syscall(SYS_process_vm_writev, pid, &v, 1, remote, remotes, flags);
    plain_put(v.iov_base, v.iov_len);
    return rc;
}

/* ---- POSIX asynchronous I/O ---------------------------------------------------------------- */

/*
 * glibc's threads for it block all signals, and so would end at a page that is not there. A program
 * that is told that there is none does without.
 */
static int aio(const char *name, struct aiocb *request)
{
    int (*next)(struct aiocb *);

    if (preload.ready && preload_inside((const void *)(uintptr_t)request->aio_buf)) {
        errno = ENOSYS;
        return -1;
    }
    *(void **)&next = preload_real(name);
    return next(request);
}

int aio_read(struct aiocb *request)
{
    return aio("aio_read", request);
}

int aio_write(struct aiocb *request)
{
    return aio("aio_write", request);
}

/* On 64-bit machines the same structure, by another name. */
int aio_read64(struct aiocb64 *request)
{
    return aio("aio_read", (struct aiocb *)request);
}

int aio_write64(struct aiocb64 *request)
{
    return aio("aio_write", (struct aiocb *)request);
}

int lio_listio(int mode, struct aiocb *const list[], int count, struct sigevent *event)
{
    int (*next)(int, struct aiocb *const *, int, struct sigevent *);

    for (int i = 0; i < count; i++)
        if (preload.ready && list[i] && preload_inside((const void *)(uintptr_t)list[i]->aio_buf)) {
            errno = ENOSYS;
            return -1;
        }
    *(void **)&next = preload_real("lio_listio");
    return next(mode, list, count, event);
}

int lio_listio64(int mode, struct aiocb64 *const list[], int count, struct sigevent *event)
{
    return lio_listio(mode, (struct aiocb *const *)list, count, event);
}
