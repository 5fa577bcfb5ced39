/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a miss in a window costs, each way, with no cryptography: pages are touched at random, all
 * frames are taken, the oldest page goes. Beside it a fault of the kernel's own, which fills a page
 * with zeros.
 */
#include <sys/mman.h>

#include <gnomon/linux.h>

#include "gn_bench.h"

#define PAGES  16384u
#define FRAMES 512u

static struct gn_linux_memory memory;
static struct gn_linux_window *window;
static uint8_t *base;
static uint64_t page_of[FRAMES]; /* + 1 */
static uint32_t next;
static uint32_t random_state = 1;
static uint32_t writes;

static int on_fault(void *ctx, uint64_t page, uint32_t access)
{
    uint32_t frame = next++ % FRAMES;

    (void)ctx;
    if (page_of[frame] && gn_linux_window_unmap(window, page_of[frame] - 1))
        return -1;
    page_of[frame] = page + 1;
    return gn_linux_window_map(window, page, (uint8_t *)memory.base + frame * GN_PAGE_SIZE,
                               access == GN_ACCESS_WRITE);
}

/* Between a pass that reads and one that writes: no page is there for reading only. */
static void empty(void)
{
    for (uint32_t i = 0; i < FRAMES; i++)
        if (page_of[i] && gn_linux_window_unmap(window, page_of[i] - 1))
            exit(1);
    memset(page_of, 0, sizeof page_of);
}

static void touch_random(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        volatile uint8_t *at;

        random_state = random_state * 1664525 + 1013904223;
        at = base + (random_state >> 8) % PAGES * GN_PAGE_SIZE;
        if (writes)
            *at = 1;
        else
            (void)*at;
    }
}

static void zero_fill(uint32_t n)
{
    uint8_t *at =
        mmap(NULL, n * GN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        exit(1);
    for (uint32_t i = 0; i < n; i++)
        *(volatile uint8_t *)(at + i * GN_PAGE_SIZE) = 1;
    munmap(at, n * GN_PAGE_SIZE);
}

static void misses(const char *kind_name, uint32_t kind, uint32_t n)
{
    static const struct gn_linux_window_ops ops = {GN_LINUX_WINDOW_OPS_INIT, .fault = on_fault};
    const struct gn_linux_memory_params m = {GN_LINUX_MEMORY_PARAMS_INIT, .kinds = kind,
                                             .bytes = FRAMES * GN_PAGE_SIZE};
    const struct gn_linux_window_params w = {GN_LINUX_WINDOW_PARAMS_INIT, .pages = PAGES,
                                             .memory = &memory, .ops = &ops};
    struct gn_linux_window_state state = {GN_LINUX_WINDOW_STATE_INIT};
    char name[64];
    void *mem;

    if (gn_linux_memory_get(&m, &memory))
        return;
    memset(memory.base, 1, memory.bytes);
    mem = aligned_alloc(gn_linux_window_align(), (gn_linux_window_size(&w) + 63) & ~(size_t)63);
    if (mem && !gn_linux_window_init(mem, gn_linux_window_size(&w), &w, &window)) {
        if (gn_linux_faults_add(window) || gn_linux_window_state(window, &state))
            exit(1);
        base = state.base;
        for (writes = 0; writes < 2; writes++) {
            touch_random(2 * FRAMES); /* all frames are taken */
            snprintf(name, sizeof name, "%s_miss_%s", kind_name, writes ? "write" : "read");
            gn_bench_time(name, touch_random, n);
            empty();
        }
        gn_linux_faults_remove(window);
        gn_linux_window_fini(window);
    }
    free(mem);
    gn_linux_memory_put(&memory);
}

int main(int argc, char **argv)
{
    uint32_t n = gn_bench_quick(argc, argv) ? 20 : 200;

    gn_bench_header();
    gn_bench_time("kernel_zero_fill", zero_fill, n);
    misses("secret_sigsegv", GN_LINUX_MEMORY_SECRET, n);
    misses("shared_sigsegv", GN_LINUX_MEMORY_SHARED, n);
    misses("private_userfaultfd", GN_LINUX_MEMORY_PRIVATE, n);
    return 0;
}
