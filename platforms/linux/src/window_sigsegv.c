/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/mman.h>

#include "linux_internal.h"

/* A page of the window is a second mapping of its frame; what is not there is PROT_NONE. */

/* A child gets none of it: a mapping that it shares would be the parent's plaintext. */
static int keep_from_child(const struct gn_linux_window *w, void *at, uint64_t length)
{
    if (w->flags & GN_LINUX_MEMORY_INHERIT)
        return 0;
    return madvise(at, length, MADV_DONTFORK) ? -GN_ERR_NOMEM : 0;
}

static int sigsegv_reserve(struct gn_linux_window *w)
{
    return keep_from_child(w, w->base, w->pages << GN_PAGE_SHIFT);
}

static int hide(struct gn_linux_window *w, void *at)
{
    /* One call takes the frame away and leaves the hole: no thread sees anything between. */
    if (mmap(at, GN_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
             -1, 0) == MAP_FAILED)
        return -GN_ERR_NOMEM;
    return keep_from_child(w, at, GN_PAGE_SIZE);
}

static int sigsegv_map(struct gn_linux_window *w, void *to, uint32_t frame, uint32_t writable)
{
    int prot = PROT_READ | (writable ? PROT_WRITE : 0);
    uint64_t page = w->memory->order ? w->memory->order[frame] : frame;

    if (mmap(to, GN_PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED, w->memory->fd,
             (off_t)(page << GN_PAGE_SHIFT)) == MAP_FAILED)
        return -GN_ERR_NOMEM;
    if (w->memory->kind == GN_LINUX_MEMORY_SHARED)
        (void)madvise(to, GN_PAGE_SIZE, MADV_DONTDUMP);
    if (keep_from_child(w, to, GN_PAGE_SIZE)) {
        (void)hide(w, to);
        return -GN_ERR_NOMEM;
    }
    return 0;
}

static int sigsegv_protect(struct gn_linux_window *w, void *to, uint32_t writable)
{
    (void)w;
    return mprotect(to, GN_PAGE_SIZE, PROT_READ | (writable ? PROT_WRITE : 0)) ? -GN_ERR_NOMEM : 0;
}

static int sigsegv_unmap(struct gn_linux_window *w, void *from, uint32_t frame, uint32_t writable)
{
    (void)frame;
    (void)writable;
    return hide(w, from);
}

const struct gn_linux__way gn_linux__sigsegv = {
    .way = GN_LINUX_FAULTS_SIGSEGV,
    .degraded = GN_LINUX_DEGRADED_SYSCALLS,
    .reserve = sigsegv_reserve,
    .map = sigsegv_map,
    .protect = sigsegv_protect,
    .unmap = sigsegv_unmap,
};
