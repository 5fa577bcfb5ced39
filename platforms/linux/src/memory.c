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

#define FLAGS (GN_LINUX_MEMORY_INHERIT | GN_LINUX_MEMORY_HUGE)

/* Since Linux 6.1; asked for whatever transparent_hugepage/enabled and shmem_enabled say. */
#define COLLAPSE 25

/* Where huge pages can be: reserved, aligned as they are. */
static void *aligned_reserve(uint64_t bytes)
{
    uint64_t all = bytes + GN_LINUX_HUGE_BYTES;
    uint8_t *at = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t before = -(uintptr_t)at & (GN_LINUX_HUGE_BYTES - 1);

    if (at == MAP_FAILED)
        return MAP_FAILED;
    if (before)
        munmap(at, before);
    munmap(at + before + bytes, GN_LINUX_HUGE_BYTES - before);
    return at + before;
}

/* Maps fd, or with -1 nothing but zeros. @return MAP_FAILED: nothing is left behind */
static void *map(const struct gn_linux_memory *m, int fd)
{
    int how = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *at = m->flags & GN_LINUX_MEMORY_HUGE ? aligned_reserve(m->bytes) : NULL;
    void *base;

    if (at == MAP_FAILED)
        return at;
    base = mmap(at, m->bytes, PROT_READ | PROT_WRITE, how | (at ? MAP_FIXED : 0), fd, 0);
    if (base == MAP_FAILED && at)
        munmap(at, m->bytes);
    return base;
}

/* Maps a memfd. @return 0, or -1: nothing is left behind */
static int map_fd(struct gn_linux_memory *m, int fd)
{
    if (fd < 0)
        return -1;
    m->base = ftruncate(fd, (off_t)m->bytes) ? MAP_FAILED : map(m, fd);
    if (m->base == MAP_FAILED) {
        close(fd);
        return -1;
    }
    m->fd = fd;
    return 0;
}

/* Touched once, so that there is something to make huge. @return whether it is */
static bool make_huge(struct gn_linux_memory *m)
{
    (void)madvise(m->base, m->bytes, MADV_HUGEPAGE);
    memset(m->base, 0, m->bytes);
    (void)madvise(m->base, m->bytes, COLLAPSE);
    return gn_linux__huge(m);
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
    if (m->flags & GN_LINUX_MEMORY_HUGE || map_fd(m, (int)syscall(MEMFD_SECRET, O_CLOEXEC)))
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
    m->base = map(m, -1);
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
    uint64_t unit;
    int rc = gn_base_params_copy(&p, sizeof p, params, sizeof p);

    if (rc)
        return rc;
    if (!p.bytes || p.bytes > UINT64_MAX / 2 || p.kinds & ~KINDS || p.reserved || p.flags & ~FLAGS)
        return -GN_ERR_INVAL;
    p.kinds = p.kinds ? p.kinds : GN_LINUX_MEMORY_SECRET | GN_LINUX_MEMORY_PRIVATE;
    unit = p.flags & GN_LINUX_MEMORY_HUGE ? GN_LINUX_HUGE_BYTES : GN_PAGE_SIZE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct gn_linux_memory m = {
            .kind = kinds[i].kind, .bytes = (p.bytes + unit - 1) & ~(unit - 1), .flags = p.flags};

        if (!(p.kinds & m.kind) || kinds[i].get(&m))
            continue;
        if (p.flags & GN_LINUX_MEMORY_HUGE && !make_huge(&m)) {
            gn_linux_memory_forget(&m);
            continue;
        }
        *ret_memory = m;
        return 0;
    }
    return -GN_ERR_NOMEM;
}

/* By mmap(): a child of a process with threads may not use the heap. */
static void order_drop(struct gn_linux_memory *m)
{
    if (m->order)
        munmap((void *)(uintptr_t)m->order, m->bytes / GN_PAGE_SIZE * sizeof *m->order);
    m->order = NULL;
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
    order_drop(memory);
    if (memory->fd >= 0)
        close(memory->fd);
    *memory = (struct gn_linux_memory){.fd = -1};
}

/* A new mapping has none of the old one's marks. */
static void mark(struct gn_linux_memory *m)
{
    if (m->kind == GN_LINUX_MEMORY_SHARED)
        guard(m, MADV_DONTFORK);
    else
        m->degraded = fork_guard(m, MADV_DONTFORK);
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
    order_drop(memory);
    memory->flags &= ~GN_LINUX_MEMORY_HUGE;
    mark(memory);
    *copy = (struct gn_linux_memory){.fd = -1};
    return 0;
}

static bool can_arrange(const struct gn_linux_memory *m, const uint32_t *pages, uint32_t count)
{
    if (m->fd < 0 || m->order || m->flags & GN_LINUX_MEMORY_HUGE || !count ||
        pages[count - 1] >= m->bytes >> GN_PAGE_SHIFT)
        return false;
    for (uint32_t i = 1; i < count; i++)
        if (pages[i] <= pages[i - 1])
            return false;
    return true;
}

/* Each where it is to be; by the end of it the original is back. @return 0 or -1 */
static int remap(const struct gn_linux_memory *m, const uint32_t *pages, uint32_t count)
{
    uint8_t *base = m->base;

    for (uint32_t i = 0; i < count; i++)
        if (pages[i] != i && mmap(base + i * GN_PAGE_SIZE, GN_PAGE_SIZE, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_FIXED, m->fd,
                                  (off_t)((uint64_t)pages[i] << GN_PAGE_SHIFT)) == MAP_FAILED)
            return -1;
    return 0;
}

/* What is in none of the gaps is kept. An error does no harm: memory that nobody uses. */
static void give_others_back(const struct gn_linux_memory *m, const uint32_t *pages, uint32_t count,
                             uint64_t all)
{
    uint64_t next = 0;

    for (uint32_t i = 0; i <= count; i++) {
        uint64_t page = i < count ? pages[i] : all;

        if (page > next)
            (void)fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            (off_t)(next << GN_PAGE_SHIFT),
                            (off_t)((page - next) << GN_PAGE_SHIFT));
        next = page + 1;
    }
}

int gn_linux_memory_arrange(struct gn_linux_memory *memory, const uint32_t *pages, uint32_t count)
{
    uint64_t all = memory->bytes >> GN_PAGE_SHIFT;
    uint64_t bytes = (uint64_t)count << GN_PAGE_SHIFT;
    uint32_t *order;

    if (!can_arrange(memory, pages, count))
        return -GN_ERR_INVAL;
    order = mmap(NULL, count * sizeof *order, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
    if (order == MAP_FAILED)
        return -GN_ERR_NOMEM;
    memcpy(order, pages, count * sizeof *order);
    explicit_bzero(memory->base, memory->bytes);
    if (remap(memory, pages, count)) {
        munmap(order, count * sizeof *order);
        (void)mmap(memory->base, memory->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                   memory->fd, 0);
        mark(memory);
        return -GN_ERR_NOMEM;
    }
    if (bytes < memory->bytes)
        munmap((uint8_t *)memory->base + bytes, memory->bytes - bytes);
    give_others_back(memory, pages, count, all);
    memory->bytes = bytes;
    memory->order = order;
    mark(memory);
    return 0;
}
