/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gn_marker.h"
#include "gn_test.h"
#include "linux_internal.h"
#include "smaps.h"

/*
 * A pager as simple as can be: a store of pages, F frames, the oldest goes. Every test runs over
 * each kind of memory, and so over each way of faults.
 */
#define PAGES  64
#define FRAMES 4

struct pager {
    struct gn_linux_memory memory;
    struct gn_linux_window *window;
    void *window_memory;
    uint8_t *base;
    uint8_t store[PAGES][GN_PAGE_SIZE];
    uint64_t page[FRAMES]; /* + 1 */
    int next;
    int refuse; /* page + 1 whose faults are refused */
    int signal; /* sent to the thread in each miss, while the frame has the page */
    uint64_t writes;
    uint64_t reads;
};

static uint8_t *frame_at(struct pager *p, int frame)
{
    return (uint8_t *)p->memory.base + frame * GN_PAGE_SIZE;
}

static int evict(struct pager *p, int frame)
{
    if (!p->page[frame])
        return 0;
    if (gn_linux_window_unmap(p->window, p->page[frame] - 1))
        return -1;
    memcpy(p->store[p->page[frame] - 1], frame_at(p, frame), GN_PAGE_SIZE);
    p->page[frame] = 0;
    return 0;
}

static int on_fault(void *ctx, uint64_t page, uint32_t access)
{
    struct pager *p = ctx;
    uint32_t write = access == GN_ACCESS_WRITE;
    int frame;

    p->writes += write;
    p->reads += !write;
    if (p->refuse && page == (uint64_t)p->refuse - 1)
        return -1;
    for (frame = 0; frame < FRAMES; frame++)
        if (p->page[frame] == page + 1)
            return gn_linux_window_map(p->window, page, frame_at(p, frame), write);
    frame = p->next++ % FRAMES;
    if (evict(p, frame))
        return -1;
    memcpy(frame_at(p, frame), p->store[page], GN_PAGE_SIZE);
    p->page[frame] = page + 1;
    if (p->signal)
        raise(p->signal);
    return gn_linux_window_map(p->window, page, frame_at(p, frame), write);
}

static struct pager *pager_create(uint32_t kind, uint32_t flags)
{
    static const struct gn_linux_window_ops ops = {GN_LINUX_WINDOW_OPS_INIT, .fault = on_fault};
    const struct gn_linux_memory_params m = {GN_LINUX_MEMORY_PARAMS_INIT, .kinds = kind,
                                             .bytes = FRAMES * GN_PAGE_SIZE, .flags = flags};
    struct pager *p = calloc(1, sizeof *p);
    const struct gn_linux_window_params w = {
        GN_LINUX_WINDOW_PARAMS_INIT, .flags = flags, .pages = PAGES,
        .memory = &p->memory,        .ops = &ops,    .ops_ctx = p};
    int rc;

    assert_non_null(p);
    if (gn_linux_memory_get(&m, &p->memory)) {
        assert_int_equal(kind, GN_LINUX_MEMORY_SECRET);
        print_message("skipped: no memfd_secret here\n");
        free(p);
        skip();
    }
    p->window_memory = gn_test_memory(64, gn_linux_window_size(&w));
    rc = gn_linux_window_init(p->window_memory, gn_linux_window_size(&w), &w, &p->window);
    if (rc == -GN_ERR_NOTSUP) {
        assert_int_equal(kind, GN_LINUX_MEMORY_PRIVATE);
        print_message("skipped: no userfaultfd here\n");
        gn_linux_memory_put(&p->memory);
        free(p->window_memory);
        free(p);
        skip();
    }
    assert_int_equal(rc, 0);
    assert_int_equal(gn_linux_faults_add(p->window), 0);
    p->base = p->window->base;
    return p;
}

static void pager_destroy(struct pager *p)
{
    gn_linux_faults_remove(p->window);
    gn_linux_window_fini(p->window);
    gn_linux_memory_put(&p->memory);
    free(p->window_memory);
    free(p);
}

static void pages_come_and_go_as_they_are_touched(uint32_t kind)
{
    struct pager *p = pager_create(kind, 0);
    uint64_t random = gn_test_seed();
    uint8_t model[PAGES] = {0};
    struct gn_linux_window_state s = {GN_LINUX_WINDOW_STATE_INIT};

    for (int i = 0; i < 3000; i++) {
        uint32_t at = gn_test_random(&random) % PAGES;
        volatile uint8_t *byte = p->base + at * GN_PAGE_SIZE + 5 * at;

        assert_int_equal(*byte, model[at]);
        if (gn_test_random(&random) & 1)
            *byte = ++model[at];
    }
    assert_int_equal(gn_linux_window_state(p->window, &s), 0);
    assert_true(s.maps - s.unmaps == FRAMES);
    assert_true(s.degraded & GN_LINUX_DEGRADED_SYSCALLS);
    assert_int_equal(s.way, kind == GN_LINUX_MEMORY_PRIVATE ? GN_LINUX_FAULTS_USERFAULTFD
                                                            : GN_LINUX_FAULTS_SIGSEGV);
    assert_int_equal(!!(s.degraded & GN_LINUX_DEGRADED_COPIES), kind == GN_LINUX_MEMORY_PRIVATE);
    pager_destroy(p);
}

static void a_page_that_was_read_faults_when_written(uint32_t kind)
{
    struct pager *p = pager_create(kind, 0);
    volatile uint8_t *byte = p->base + 3 * GN_PAGE_SIZE;

    assert_int_equal(*byte, 0);
    assert_int_equal(gn_linux_window_mapped(p->window, 3), 1);
    assert_int_equal(p->writes, 0);
    *byte = 7;
    assert_int_equal(gn_linux_window_mapped(p->window, 3), 2);
    assert_int_equal(p->writes, 1);
    *byte = 8;
    assert_int_equal(p->writes, 1);
    gn_linux_window_enter(p->window);
    assert_int_equal(gn_linux_window_map(p->window, 3, frame_at(p, 1), 1), -GN_ERR_BUSY);
    assert_int_equal(gn_linux_window_map(p->window, PAGES, frame_at(p, 1), 1), -GN_ERR_RANGE);
    assert_int_equal(gn_linux_window_map(p->window, 3, p->store, 1), -GN_ERR_RANGE);
    assert_int_equal(gn_linux_window_map(p->window, 3, frame_at(p, 0), 0), 0);
    gn_linux_window_leave(p->window);
    *byte = 9;
    assert_int_equal(p->writes, 2);
    gn_linux_window_enter(p->window);
    assert_int_equal(gn_linux_window_unmap(p->window, 3), 0);
    assert_int_equal(gn_linux_window_unmap(p->window, 3), 0);
    assert_int_equal(frame_at(p, 0)[0], 9);
    gn_linux_window_leave(p->window);
    p->page[0] = 0;
    pager_destroy(p);
}

#define TURNS 2000

static void *count(void *arg)
{
    struct pager *p = arg;
    uint64_t random = gn_test_seed() ^ (uintptr_t)&random;

    for (int i = 0; i < TURNS; i++) {
        uint64_t at = gn_test_random(&random) % 16;

        __atomic_fetch_add((uint32_t *)(p->base + at * GN_PAGE_SIZE), 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void threads_lose_no_write(uint32_t kind)
{
    struct pager *p = pager_create(kind, 0);
    pthread_t threads[3];
    uint64_t sum = 0;

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, p), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 16; i++)
        sum += *(uint32_t *)(p->base + i * GN_PAGE_SIZE);
    assert_int_equal(sum, 3 * TURNS);
    pager_destroy(p);
}

/* @return the signal that ends a child which does this, or 0 */
static int signal_in_child(struct pager *p, void (*what)(struct pager *p))
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (!child) {
        alarm(5); /* one that repeats the access for ever ends otherwise */
        what(p);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch(struct pager *p)
{
    *(volatile uint8_t *)(p->base + 9 * GN_PAGE_SIZE) = 1;
}

static void touch_first(struct pager *p)
{
    *(volatile uint8_t *)p->base = 1;
}

/* Whether the page was there in the parent or not. */
static void a_child_that_touches_the_window_ends(uint32_t kind)
{
    struct pager *p;

    signal(SIGSEGV, SIG_DFL); /* what faults that are not taken are passed on to */
    p = pager_create(kind, 0);
    *(volatile uint8_t *)p->base = 1;
    assert_int_equal(signal_in_child(p, touch), SIGSEGV);
    assert_int_equal(signal_in_child(p, touch_first), SIGSEGV);
    pager_destroy(p);
}

static void touch_inside(struct pager *p)
{
    gn_linux_window_enter(p->window);
    touch(p);
}

/* The child has the window, so that it is the refusal that ends it. */
static void a_fault_that_is_refused_ends_the_process(uint32_t kind)
{
    struct pager *p;

    if (kind == GN_LINUX_MEMORY_PRIVATE)
        return; /* a child never has that one */
    signal(SIGSEGV, SIG_DFL);
    p = pager_create(kind, GN_LINUX_MEMORY_INHERIT);
    assert_int_equal(signal_in_child(p, touch), 0);
    p->refuse = 9 + 1;
    assert_int_equal(signal_in_child(p, touch), SIGSEGV);
    p->refuse = 0;
    assert_int_equal(signal_in_child(p, touch_inside), SIGSEGV);
    pager_destroy(p);
}

static void a_system_call_gets_efault_as_reported(uint32_t kind)
{
    struct pager *p = pager_create(kind, 0);
    int zero = open("/dev/zero", O_RDONLY);

    assert_true(zero >= 0);
    assert_int_equal(read(zero, p->base + GN_PAGE_SIZE, 16), -1);
    assert_int_equal(errno, EFAULT);
    *(volatile uint8_t *)(p->base + GN_PAGE_SIZE) = 1;
    assert_int_equal(read(zero, p->base + GN_PAGE_SIZE, 16), 16);
    assert_int_equal(p->base[GN_PAGE_SIZE], 0);
    close(zero);
    pager_destroy(p);
}

static volatile sig_atomic_t others;
static void *others_page;

static void on_others(int number)
{
    (void)number;
    others++;
    mprotect(others_page, GN_PAGE_SIZE, PROT_READ | PROT_WRITE);
}

static void faults_elsewhere_go_to_whom_they_went_before(uint32_t kind)
{
    struct pager *p;
    void (*before)(int);

    others_page = mmap(NULL, GN_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(others_page != MAP_FAILED);
    others = 0;
    before = signal(SIGSEGV, on_others);
    p = pager_create(kind, 0);
    *(volatile uint8_t *)others_page = 1;
    assert_int_equal(others, 1);
    *(volatile uint8_t *)p->base = 1;
    assert_int_equal(others, 1);
    signal(SIGSEGV, before);
    munmap(others_page, GN_PAGE_SIZE);
    pager_destroy(p);
}

static void a_copy_of_the_memory_is_mapped_again(uint32_t kind)
{
    struct pager *p;
    struct gn_linux_memory copy = {.kind = 0};
    const struct gn_linux_memory_params m = {GN_LINUX_MEMORY_PARAMS_INIT, .kinds = kind,
                                             .bytes = FRAMES * GN_PAGE_SIZE};

    if (kind == GN_LINUX_MEMORY_PRIVATE)
        return;
    p = pager_create(kind, 0);
    p->base[0] = 1;
    p->base[GN_PAGE_SIZE] = 2;
    assert_int_equal(gn_linux_memory_get(&m, &copy), 0);
    memcpy(copy.base, p->memory.base, copy.bytes);
    ((uint8_t *)copy.base)[0] = 3;
    gn_linux_window_enter(p->window);
    assert_int_equal(gn_linux_memory_replace(&p->memory, &copy), 0);
    assert_int_equal(gn_linux_window_remap(p->window), 0);
    gn_linux_window_leave(p->window);
    assert_int_equal(p->base[0], 3);
    assert_int_equal(p->base[GN_PAGE_SIZE], 2);
    pager_destroy(p);
}

/* As a program does that forks and goes on: the child has neither memory nor window at first. */
static void a_child_can_have_a_window_of_its_own(uint32_t kind)
{
    struct pager *p;
    struct gn_linux_memory copy = {.kind = 0};
    const struct gn_linux_memory_params m = {GN_LINUX_MEMORY_PARAMS_INIT, .kinds = kind,
                                             .bytes = FRAMES * GN_PAGE_SIZE,
                                             .flags = GN_LINUX_MEMORY_INHERIT};
    pid_t child;
    int status;

    if (kind == GN_LINUX_MEMORY_PRIVATE)
        return;
    p = pager_create(kind, 0);
    for (int i = 0; i < PAGES; i++)
        p->base[i * GN_PAGE_SIZE] = (uint8_t)i;
    gn_linux_window_enter(p->window);
    assert_int_equal(gn_linux_memory_get(&m, &copy), 0);
    memcpy(copy.base, p->memory.base, copy.bytes);
    child = fork();
    if (!child) {
        int failed = gn_linux_memory_replace(&p->memory, &copy) || gn_linux_window_remap(p->window);

        gn_linux_window_leave(p->window);
        for (int i = 0; i < PAGES && !failed; i++)
            failed = p->base[i * GN_PAGE_SIZE]++ != i;
        _exit(failed);
    }
    gn_linux_memory_forget(&copy);
    gn_linux_window_leave(p->window);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
    for (int i = 0; i < PAGES; i++)
        assert_int_equal(p->base[i * GN_PAGE_SIZE], i);
    pager_destroy(p);
}

static void bad_parameters_are_refused(uint32_t kind)
{
    struct pager *p = pager_create(kind, 0);
    static const struct gn_linux_window_ops ops = {GN_LINUX_WINDOW_OPS_INIT, .fault = on_fault};
    static const struct gn_linux_window_ops no_ops = {GN_LINUX_WINDOW_OPS_INIT};
    struct gn_linux_window_params w = {GN_LINUX_WINDOW_PARAMS_INIT, .pages = 1,
                                       .memory = &p->memory, .ops = &ops};
    struct gn_linux_window *other;
    struct gn_linux_window_state s = {.size = 4};
    void *memory = gn_test_memory(64, gn_linux_window_size(&w));

    assert_int_equal(gn_linux_window_init(memory, 16, &w, &other), -GN_ERR_INVAL);
    w.base = p->base;
    assert_int_equal(gn_linux_window_init(memory, gn_linux_window_size(&w), &w, &other),
                     -GN_ERR_EXIST);
    w.base = p->base + 1;
    assert_int_equal(gn_linux_window_size(&w), 0);
    w.base = NULL;
    w.pages = 0;
    assert_int_equal(gn_linux_window_size(&w), 0);
    w.pages = 1;
    w.ops = &no_ops;
    assert_int_equal(gn_linux_window_init(memory, gn_linux_window_size(&w), &w, &other),
                     -GN_ERR_INVAL);
    assert_int_equal(gn_linux_window_state(p->window, &s), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_window_fault(p->window, p->store, GN_ACCESS_READ), 0);
    assert_int_equal(gn_linux_window_fault(p->window, p->base, GN_ACCESS_EXEC), 0);
    assert_int_equal(gn_linux_window_align(), 64);
    gn_linux_window_fini(NULL);
    gn_linux_faults_remove(NULL);
    free(memory);
    pager_destroy(p);
}

/* ---- What else could have it --------------------------------------------------------------- */

static void a_resident_page_is_locked_and_in_no_dump(uint32_t kind)
{
    struct pager *p = pager_create(kind, 0);
    struct gn_linux_window_state s = {GN_LINUX_WINDOW_STATE_INIT};
    uint32_t degraded;

    p->base[3 * GN_PAGE_SIZE] = 1; /* mapped for writing at once */
    assert_int_equal(gn_linux_window_state(p->window, &s), 0);
    degraded = s.degraded | p->memory.degraded;
    assert_int_equal(!!(degraded & GN_LINUX_DEGRADED_DUMP),
                     !smaps_flag(p->base + 3 * GN_PAGE_SIZE, " dd"));
    /* A second mapping is of pages that the first has locked. */
    assert_int_equal(
        !!(degraded & GN_LINUX_DEGRADED_LOCK),
        !smaps_flag(kind == GN_LINUX_MEMORY_PRIVATE ? p->base + 3 * GN_PAGE_SIZE : p->memory.base,
                    " lo"));
    pager_destroy(p);
}

/* What instrumented code leaves on its stack says nothing of this code's. */
#if defined(__SANITIZE_ADDRESS__)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#define INSTRUMENTED __has_feature(address_sanitizer)
#else
#define INSTRUMENTED 0
#endif

static struct {
    struct pager *pager;
    uint32_t count;
    uint32_t inside;  /* came while the window was entered */
    uint32_t missing; /* came while the page that was touched was not there */
    volatile uint64_t page;
} arrived;

static void on_signal(int number)
{
    (void)number;
    arrived.count++;
    arrived.inside += atomic_load(&arrived.pager->window->owner) != 0;
    arrived.missing += !gn_linux_window_mapped(arrived.pager->window, arrived.page);
}

/* The stack that both handlers run on, in place of the one that was: NULL puts that back. */
static void signal_stack(void *stack, size_t bytes)
{
    static stack_t before;
    const stack_t ours = {.ss_sp = stack, .ss_size = bytes};

    assert_int_equal(sigaltstack(stack ? &ours : &before, stack ? &before : NULL), 0);
}

/*
 * Its frame would have the registers of a copy that is under way, on a stack that is nobody's pool.
 * So it waits; and then nothing of the page is on the stack.
 */
static void a_signal_in_a_miss_waits_until_the_page_is_there(uint32_t kind)
{
    enum { STACK = 256 << 10 };
    struct pager *p = pager_create(kind, 0);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    struct sigaction before;
    uint8_t *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(stack != MAP_FAILED);
    for (int page = 0; page < PAGES; page++)
        gn_marker_fill(0, p->store[page], GN_PAGE_SIZE);
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    signal_stack(stack, STACK);
    memset(&arrived, 0, sizeof arrived);
    arrived.pager = p;
    p->signal = SIGUSR1;
    for (arrived.page = 0; arrived.page < PAGES; arrived.page++)
        assert_int_equal(*(volatile uint8_t *)(p->base + arrived.page * GN_PAGE_SIZE),
                         gn_marker_byte(0, 0));
    p->signal = 0;
    signal_stack(NULL, 0);
    sigaction(SIGUSR1, &before, NULL);
    assert_int_equal(arrived.count, PAGES);
    assert_int_equal(arrived.inside, 0);
    assert_int_equal(arrived.missing, 0);
    assert_true(gn_marker_count(0, p->base + (PAGES - 1) * GN_PAGE_SIZE, GN_PAGE_SIZE) > 0);
    if (!INSTRUMENTED)
        assert_int_equal(gn_marker_count(0, stack, STACK), 0);
    munmap(stack, STACK);
    pager_destroy(p);
}

/* Each as three tests. */
#define OVER_EACH_KIND(name)                  \
    static void name##__secret(void **state)  \
    {                                         \
        (void)state;                          \
        name(GN_LINUX_MEMORY_SECRET);         \
    }                                         \
    static void name##__shared(void **state)  \
    {                                         \
        (void)state;                          \
        name(GN_LINUX_MEMORY_SHARED);         \
    }                                         \
    static void name##__private(void **state) \
    {                                         \
        (void)state;                          \
        name(GN_LINUX_MEMORY_PRIVATE);        \
    }
#define EACH(name)                                                      \
    cmocka_unit_test(name##__secret), cmocka_unit_test(name##__shared), \
        cmocka_unit_test(name##__private)

OVER_EACH_KIND(pages_come_and_go_as_they_are_touched)
OVER_EACH_KIND(a_page_that_was_read_faults_when_written)
OVER_EACH_KIND(threads_lose_no_write)
OVER_EACH_KIND(a_child_that_touches_the_window_ends)
OVER_EACH_KIND(a_fault_that_is_refused_ends_the_process)
OVER_EACH_KIND(a_system_call_gets_efault_as_reported)
OVER_EACH_KIND(faults_elsewhere_go_to_whom_they_went_before)
OVER_EACH_KIND(a_copy_of_the_memory_is_mapped_again)
OVER_EACH_KIND(a_child_can_have_a_window_of_its_own)
OVER_EACH_KIND(bad_parameters_are_refused)
OVER_EACH_KIND(a_resident_page_is_locked_and_in_no_dump)
OVER_EACH_KIND(a_signal_in_a_miss_waits_until_the_page_is_there)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(bad_parameters_are_refused),
        EACH(pages_come_and_go_as_they_are_touched),
        EACH(a_page_that_was_read_faults_when_written),
        EACH(threads_lose_no_write),
        EACH(a_child_that_touches_the_window_ends),
        EACH(a_fault_that_is_refused_ends_the_process),
        EACH(a_system_call_gets_efault_as_reported),
        EACH(faults_elsewhere_go_to_whom_they_went_before),
        EACH(a_copy_of_the_memory_is_mapped_again),
        EACH(a_child_can_have_a_window_of_its_own),
        EACH(a_resident_page_is_locked_and_in_no_dump),
        EACH(a_signal_in_a_miss_waits_until_the_page_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
