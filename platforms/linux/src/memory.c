/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_internal.h"

/* The number is the same everywhere; Debian 12's headers of some architectures lack it. */
#define MEMFD_SECRET 447

#define KINDS (GN_LINUX_MEMORY_SECRET | GN_LINUX_MEMORY_SHARED | GN_LINUX_MEMORY_PRIVATE)

/* Maps a memfd. @return 0, or -1: nothing is left behind */
static int map_fd(struct gn_linux_memory *m, int fd)
{
    void *base;

    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)m->bytes)) {
        close(fd);
        return -1;
    }
    base = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        close(fd);
        return -1;
    }
    m->base = base;
    m->fd = fd;
    return 0;
}

static uint32_t fork_guard(const struct gn_linux_memory *m, int advice)
{
    if (m->flags & GN_LINUX_MEMORY_INHERIT)
        return GN_LINUX_DEGRADED_FORK;
    return madvise(m->base, m->bytes, advice) ? GN_LINUX_DEGRADED_FORK : 0;
}

/* Locked and left out of dumps by what it is. */
static int get_secret(struct gn_linux_memory *m)
{
    if (map_fd(m, (int)syscall(MEMFD_SECRET, O_CLOEXEC)))
        return -1;
    m->degraded = fork_guard(m, MADV_DONTFORK);
    return 0;
}

static void guard(struct gn_linux_memory *m, int fork_advice)
{
    m->degraded = GN_LINUX_DEGRADED_SECRET | fork_guard(m, fork_advice);
    /* Raw: under the address sanitizer mlock() says yes and does nothing. */
    if (syscall(SYS_mlock, m->base, m->bytes))
        m->degraded |= GN_LINUX_DEGRADED_LOCK;
    if (madvise(m->base, m->bytes, MADV_DONTDUMP))
        m->degraded |= GN_LINUX_DEGRADED_DUMP;
}

static int get_shared(struct gn_linux_memory *m)
{
    if (map_fd(m, memfd_create("gnomon", MFD_CLOEXEC)))
        return -1;
    guard(m, MADV_DONTFORK);
    return 0;
}

static int get_private(struct gn_linux_memory *m)
{
    m->base = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->base == MAP_FAILED)
        return -1;
    m->fd = -1;
    guard(m, MADV_WIPEONFORK);
    return 0;
}

int gn_linux_memory_get(const struct gn_linux_memory_params *params,
                        struct gn_linux_memory *ret_memory)
{
    static const struct {
        uint32_t kind;
        int (*get)(struct gn_linux_memory *m);
    } kinds[] = {{GN_LINUX_MEMORY_SECRET, get_secret},
                 {GN_LINUX_MEMORY_SHARED, get_shared},
                 {GN_LINUX_MEMORY_PRIVATE, get_private}};
    struct gn_linux_memory_params p;
    int rc = gn_base_params_copy(&p, sizeof p, params, sizeof p);

    if (rc)
        return rc;
    if (!p.bytes || p.bytes > UINT64_MAX / 2 || p.kinds & ~KINDS || p.reserved ||
        p.flags & ~GN_LINUX_MEMORY_INHERIT)
        return -GN_ERR_INVAL;
    p.kinds = p.kinds ? p.kinds : GN_LINUX_MEMORY_SECRET | GN_LINUX_MEMORY_PRIVATE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct gn_linux_memory m = {.kind = kinds[i].kind,
                                    .bytes = (p.bytes + GN_PAGE_MASK) & ~GN_PAGE_MASK,
                                    .flags = p.flags};

        if (!(p.kinds & m.kind) || kinds[i].get(&m))
            continue;
        *ret_memory = m;
        return 0;
    }
    return -GN_ERR_NOMEM;
}

void gn_linux_memory_put(struct gn_linux_memory *memory)
{
    if (!memory || !memory->kind)
        return;
    explicit_bzero(memory->base, memory->bytes);
    gn_linux_memory_forget(memory);
}

void gn_linux_memory_forget(struct gn_linux_memory *memory)
{
    if (!memory || !memory->kind)
        return;
    munmap(memory->base, memory->bytes);
    if (memory->fd >= 0)
        close(memory->fd);
    *memory = (struct gn_linux_memory){.fd = -1};
}

int gn_linux_memory_replace(struct gn_linux_memory *memory, struct gn_linux_memory *copy)
{
    if (memory->kind != copy->kind || memory->bytes != copy->bytes || copy->fd < 0)
        return -GN_ERR_INVAL;
    if (mmap(memory->base, memory->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, copy->fd,
             0) == MAP_FAILED)
        return -GN_ERR_NOMEM;
    munmap(copy->base, copy->bytes);
    close(memory->fd);
    memory->fd = copy->fd;
    /* A new mapping has none of the old one's marks. */
    if (memory->kind == GN_LINUX_MEMORY_SHARED)
        guard(memory, MADV_DONTFORK);
    else
        memory->degraded = fork_guard(memory, MADV_DONTFORK);
    *copy = (struct gn_linux_memory){.fd = -1};
    return 0;
}
