/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * System calls whose buffers are large blocks, and not an argument alone: messages, vectors, what
 * pins pages. Each prints a line. Under `vault run` it must print the same as without; `refused`
 * prints what is refused there, and is no test without.
 */

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define BIG 400000u

static uint8_t *from;
static uint8_t *to;

/* Both out of the pool, so that nothing is there by chance. */
static void fill(void)
{
    for (size_t i = 0; i < BIG; i++)
        from[i] = (uint8_t)(i * 37 + (i >> 9));
    memset(to, 0, BIG);
}

static void messages(void)
{
    struct iovec out[3] = {{from + 10, 5000}, {from + 100000, 0}, {from + 200000, 7000}};
    struct iovec in[2] = {{to + 4000, 300}, {to + 50000, 20000}};
    struct msghdr *m = (struct msghdr *)(void *)(to + 300000); /* in a block itself */
    struct msghdr send = {.msg_iov = out, .msg_iovlen = 3};
    struct cmsghdr *c = (struct cmsghdr *)(void *)(from + 350000);
    int s[2];
    int passed = -1;

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, s))
        return;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &s[0], sizeof(int));
    send.msg_control = c;
    send.msg_controllen = CMSG_SPACE(sizeof(int));
    printf("sendmsg %zd\n", sendmsg(s[0], &send, 0));
    *m = (struct msghdr){.msg_iov = in,
                         .msg_iovlen = 2,
                         .msg_name = to + 310000,
                         .msg_namelen = 128,
                         .msg_control = to + 320000,
                         .msg_controllen = 256};
    printf("recvmsg %zd", recvmsg(s[1], m, 0));
    c = CMSG_FIRSTHDR(m);
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(&passed, CMSG_DATA(c), sizeof passed);
    printf(" name %u flags %x passed %d", m->msg_namelen, m->msg_flags, passed >= 0);
    printf(" %d", memcmp(to + 4000, from + 10, 300));
    printf(" %d", memcmp(to + 50000, from + 310, 4700));
    printf(" %d\n", memcmp(to + 54700, from + 200000, 7000));
    in[1].iov_len = 100;
    send.msg_control = NULL;
    send.msg_controllen = 0;
    printf("cut %zd", sendmsg(s[0], &send, 0));
    printf(" %zd", recvmsg(s[1], m, MSG_TRUNC));
    printf(" %d\n", !!(m->msg_flags & MSG_TRUNC));
    printf("none %zd", recvmsg(s[1], m, MSG_DONTWAIT));
    printf(" %d\n", errno == EAGAIN);
    close(passed);
    close(s[0]);
    close(s[1]);
}

static void many_messages(void)
{
    struct mmsghdr out[3], in[3];
    struct iovec v[3], w[3];
    struct timespec time = {.tv_sec = 1};
    int s[2];

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, s))
        return;
    memset(out, 0, sizeof out);
    memset(in, 0, sizeof in);
    for (int i = 0; i < 3; i++) {
        v[i] = (struct iovec){from + i * 50000, 1000 + (size_t)i};
        w[i] = (struct iovec){to + i * 60000, 2000};
        out[i].msg_hdr.msg_iov = &v[i];
        in[i].msg_hdr.msg_iov = &w[i];
        out[i].msg_hdr.msg_iovlen = in[i].msg_hdr.msg_iovlen = 1;
    }
    printf("sendmmsg %d", sendmmsg(s[0], out, 2, 0));
    printf(" %u %u\n", out[0].msg_len, out[1].msg_len);
    printf("recvmmsg %d", recvmmsg(s[1], in, 3, MSG_WAITFORONE, &time));
    printf(" %u %u", in[0].msg_len, in[1].msg_len);
    printf(" %d %d\n", memcmp(to, from, 1000), memcmp(to + 60000, from + 50000, 1001));
    close(s[0]);
    close(s[1]);
}

/* A pipe may give less than was asked for. */
static size_t read_all(int fd, uint8_t *at, size_t bytes)
{
    size_t done = 0;

    for (ssize_t n = 1; n > 0 && done < bytes; done += (size_t)n)
        n = read(fd, at + done, bytes - done);
    return done;
}

static void splices(void)
{
    struct iovec v[2] = {{from + 3, 9000}, {from + 100003, 9000}};
    struct iovec mine = {to, 10000};
    struct iovec small = {from, 64};
    char text[64] = "what another process sees";
    struct iovec other = {text, sizeof text};
    int p[2];

    if (pipe(p))
        return;
    printf("vmsplice %zd", vmsplice(p[1], v, 2, 0));
    printf(" %zu", read_all(p[0], to, 18000));
    printf(" %d\n", memcmp(to + 9000, from + 100003, 9000));
    printf("written %zd", write(p[1], from + 50000, 30000));
    printf(" %zu", read_all(p[0], to + 20000, 20000));
    printf(" %d", memcmp(to + 20000, from + 50000, 20000));
    printf(" %zd", readv(p[0], &mine, 1));
    printf(" %d\n", memcmp(to, from + 70000, 10000));
    close(p[0]);
    close(p[1]);
    mine.iov_len = sizeof text;
    printf("process %zd", process_vm_readv(getpid(), &mine, 1, &other, 1, 0));
    printf(" %s", (char *)to);
    printf(" %zd", process_vm_writev(getpid(), &small, 1, &other, 1, 0));
    printf(" %d\n", memcmp(text, from, 64));
}

/* Where the file system can; else it is an ordinary read. */
static void unbuffered(void)
{
    char name[] = "vault-test-XXXXXX";
    int fd = mkstemp(name);
    uint8_t *aligned = (uint8_t *)(((uintptr_t)to + 4095) & ~(uintptr_t)4095);
    int how;

    printf("file %zd\n", write(fd, from, 65536));
    fsync(fd);
    how = open(name, O_RDWR | O_DIRECT);
    printf("unbuffered %zd", pread(how >= 0 ? how : fd, aligned, 65536, 0));
    printf(" %d", memcmp(aligned, from, 65536));
    aligned[0] ^= 1;
    printf(" %zd", pwrite(how >= 0 ? how : fd, aligned, 4096, 4096));
    printf(" %zd", pread(fd, to + 100000, 4096, 4096));
    printf(" %d\n", memcmp(to + 100000, aligned, 4096));
    unlink(name);
    close(fd);
    close(how);
}

static void others(void)
{
    int p[2];
    uint32_t *word = (uint32_t *)(void *)(to + 8192);
    struct pollfd *polled = (struct pollfd *)(void *)(to + 16380);
    struct aiocb request = {.aio_nbytes = 1000, .aio_buf = to + 20000};
    const struct aiocb *list[] = {&request};
    ssize_t got;

    memset(to, 0, BIG);
    printf("random %zd", getrandom(to, 100000, 0));
    printf(" %d\n", to[99000] + to[99001] + to[99002] + to[99003] > 0);
    if (pipe(p) || write(p[1], from, 1000) != 1000)
        return;
    printf("ioctl %d", ioctl(p[0], FIONREAD, word));
    printf(" %u\n", *word);
    *polled = (struct pollfd){.fd = p[0], .events = POLLIN};
    printf("poll %d", poll(polled, 1, 0));
    printf(" %d\n", polled->revents);
    printf("futex %ld", syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 1, NULL));
    printf(" %d\n", errno);
    /* As programs do: what has no asynchronous I/O is read. */
    request.aio_fildes = p[0];
    if (aio_read(&request)) {
        got = read(p[0], to + 20000, 1000);
    } else {
        while (aio_error(&request) == EINPROGRESS)
            aio_suspend(list, 1, NULL);
        got = aio_return(&request);
    }
    printf("aio %zd %d\n", got, memcmp(to + 20000, from, 1000));
    close(p[0]);
    close(p[1]);
}

static void refused(void)
{
    struct aiocb request = {.aio_fildes = 0, .aio_nbytes = 1, .aio_buf = to};
    struct aiocb *list[] = {&request};
    uint64_t context = 0;
    uint32_t *word = (uint32_t *)(void *)to;

    printf("io_uring %ld", syscall(SYS_io_uring_setup, 1, NULL));
    printf(" %d\n", errno == ENOSYS);
    printf("io_setup %ld", syscall(SYS_io_setup, 1, &context));
    printf(" %d\n", errno == ENOSYS);
    printf("aio_read %d", aio_read(&request));
    printf(" %d\n", errno == ENOSYS);
    printf("lio_listio %d", lio_listio(LIO_WAIT, list, 1, NULL));
    printf(" %d\n", errno == ENOSYS);
    /* What is between processes pins its page: 0, and on memfd_secret EFAULT. */
    printf("shared futex %ld", syscall(SYS_futex, word, FUTEX_WAKE, 1));
    printf(" %d\n", errno == EFAULT);
}

int main(int argc, char **argv)
{
    (void)argv;
    from = malloc(BIG);
    to = malloc(BIG);
    fill();
    if (argc > 1) {
        refused();
        return 0;
    }
    messages();
    fill();
    many_messages();
    fill();
    splices();
    fill();
    unbuffered();
    others();
    free(from);
    free(to);
    return 0;
}
