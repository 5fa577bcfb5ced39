/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "fake_tree.h"
#include "linux_internal.h"

/*
 * A machine of the test's own, of files. What the kernel does there is done in place of libc's
 * functions: each change is noted in the order in which it comes, and one of them can be refused.
 */
static char steps[2048];   /* what was done: a line each */
static int step;           /* how many */
static int refused = -1;   /* this one is */
static int refused_number; /* with this errno */
static int lies;           /* the kernel takes all, and does not lock */

static const char *of_group(const char *name)
{
    static char path[64];

    snprintf(path, sizeof path, "gnomon-%ld%s%s", (long)getpid(), *name ? "/" : "", name);
    return path;
}

/* @return whether it is refused */
static int note(const char *what, const char *path, const char *text)
{
    const char *at = path + strlen(fake_root) + 1;
    const char *group = of_group("");
    int in_group = !strncmp(at, group, strlen(group));
    size_t length = strlen(steps);

    snprintf(steps + length, sizeof steps - length, "%s %s%s%s%s\n", what, in_group ? "GROUP" : "",
             in_group ? at + strlen(group) : at, *text ? " " : "", text);
    if (step++ != refused)
        return 0;
    errno = refused_number;
    return 1;
}

static void put(const char *name, const char *text)
{
    int fd = openat(AT_FDCWD, fake_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(syscall(SYS_write, fd, text, strlen(text)), strlen(text));
    close(fd);
}

int mkdir(const char *path, mode_t mode)
{
    if (note("mkdir", path, ""))
        return -1;
    if (mkdirat(AT_FDCWD, path, mode))
        return -1;
    put(of_group("schemata"), "");
    put(of_group("mode"), "shareable\n");
    return 0;
}

int rmdir(const char *path)
{
    static const char *const names[] = {"schemata", "mode"};

    if (note("rmdir", path, ""))
        return -1;
    for (int i = 0; i < 2; i++)
        unlink(fake_path(of_group(names[i])));
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

/* At the group's schemata the kernel locks, and a device appears. */
static void lock_now(void)
{
    static char device[64];

    put(of_group("mode"), lies ? "pseudo-locksetup\n" : "pseudo-locked\n");
    snprintf(device, sizeof device, "dev/gnomon-%ld", (long)getpid());
    put(device, "");
    assert_int_equal(truncate(fake_path(device), 1 << 20), 0);
}

/* What the default group has left, domain by domain: the kernel's file, when a line is written. */
static void default_write(const char *line)
{
    static const char *const both[] = {"L3:0=ffff;1=ffff\n", "L3:0=ffff;1=fffc\n"};

    put("schemata", both[strstr(line, "fffc") != NULL]);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    char link[64], path[512], text[256];
    ssize_t got;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    got = readlink(link, path, sizeof path - 1);
    path[got > 0 ? got : 0] = 0;
    if (!*fake_root || strncmp(path, fake_root, strlen(fake_root)))
        return syscall(SYS_write, fd, bytes, length);
    snprintf(text, sizeof text, "%.*s", (int)length - 1, (const char *)bytes);
    if (note("write", path, text)) {
        if (!strcmp(path, fake_path("schemata")))
            default_write("");
        errno = refused_number;
        return -1;
    }
    if (strstr(path, of_group(""))) {
        got = syscall(SYS_write, fd, bytes, length);
        if (strstr(path, "/schemata"))
            lock_now();
        return got;
    }
    default_write(text);
    return (ssize_t)length;
}

static cpu_set_t before;
static int cpu;

static void cache_make(const char *cpus)
{
    static const char *const folders[] = {"cpu%d", "cpu%d/cache", "cpu%d/cache/index0",
                                          "cpu%d/cache/index3"};
    const char *const files[][2] = {{"level", "3\n"},
                                    {"id", "1\n"},
                                    {"coherency_line_size", "64\n"},
                                    {"ways_of_associativity", "16\n"},
                                    {"number_of_sets", "1024\n"},
                                    {"shared_cpu_list", cpus}};
    char name[128];

    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, folders[i], cpu);
        assert_int_equal(mkdirat(AT_FDCWD, fake_path(name), 0700), 0);
    }
    snprintf(name, sizeof name, "cpu%d/cache/index0/level", cpu);
    put(name, "1\n");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(name, sizeof name, "cpu%d/cache/index3/%s", cpu, files[i][0]);
        put(name, files[i][1]);
    }
}

/* Two caches of 1 MiB in 16 ways; this CPU is at the second. */
static int machine_begin(void **state)
{
    if (fake_begin(state) || sched_getaffinity(0, sizeof before, &before))
        return -1;
    for (cpu = 0; !CPU_ISSET(cpu, &before);)
        cpu++;
    refused = -1;
    lies = 0;
    step = 0;
    *steps = 0;
    assert_int_equal(mkdirat(AT_FDCWD, fake_path("dev"), 0700), 0);
    assert_int_equal(mkdirat(AT_FDCWD, fake_path("info"), 0700), 0);
    assert_int_equal(mkdirat(AT_FDCWD, fake_path("info/L3"), 0700), 0);
    put("info/L3/cbm_mask", "ffff\n");
    put("info/L3/shareable_bits", "c000\n");
    put("info/L3/min_cbm_bits", "1\n");
    put("info/L3/num_closids", "16\n");
    put("schemata", "L3:0=ffff;1=ffff\n");
    put("mode", "shareable\n");
    cache_make("0-1023\n");
    return 0;
}

static int machine_end(void **state)
{
    sched_setaffinity(0, sizeof before, &before);
    return fake_end(state);
}

static int get(uint64_t bytes, struct gn_linux_lock *lock, struct gn_linux_memory *memory)
{
    static char devices[128], root[128];
    struct gn_linux_lock_params p = {GN_LINUX_LOCK_PARAMS_INIT, .level = 3,   .bytes = bytes,
                                     .devices = devices,        .root = root, .cpus = root};

    snprintf(devices, sizeof devices, "%s/dev", fake_root);
    snprintf(root, sizeof root, "%s", fake_root);
    return gn_linux_lock_get(&p, lock, memory);
}

static const char *text_of(const char *name)
{
    static char text[512];

    assert_int_equal(gn_linux__text_read(fake_root, name, text, sizeof text), 0);
    return text;
}

static void nothing_is_left(void)
{
    assert_string_equal(text_of("schemata"), "L3:0=ffff;1=ffff\n");
    assert_int_equal(access(fake_path(of_group("")), F_OK), -1);
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void a_region_is_set_up_step_by_step_and_taken_down(void **state)
{
    struct gn_linux_lock k = {.level = 0};
    struct gn_linux_memory m = {.kind = 0};

    (void)state;
    assert_int_equal(get(100000, &k, &m), 0);
    assert_string_equal(steps, "write schemata L3:1=fffc\n"
                               "mkdir GROUP\n"
                               "write GROUP/mode pseudo-locksetup\n"
                               "write GROUP/schemata L3:1=3\n");
    assert_int_equal(k.mask, 3);
    assert_int_equal(k.domain, 1);
    assert_int_equal(k.bytes, 2 * 65536);
    assert_int_equal(m.kind, GN_LINUX_MEMORY_LOCKED);
    assert_int_equal(m.bytes, k.bytes);
    assert_true(m.degraded & GN_LINUX_DEGRADED_SECRET);
    memset(m.base, 1, m.bytes);
    assert_int_equal(gn_linux_lock_holds(&k), 1);
    put(of_group("mode"), "shareable\n");
    assert_int_equal(gn_linux_lock_holds(&k), 0);
    *steps = 0;
    assert_int_equal(gn_linux_lock_put(&k, &m), 0);
    assert_string_equal(steps, "rmdir GROUP\n"
                               "write schemata L3:1=ffff\n");
    assert_int_equal(m.kind, 0);
    assert_int_equal(gn_linux_lock_holds(&k), 0);
    assert_int_equal(gn_linux_lock_put(&k, &m), 0);
    assert_int_equal(gn_linux_lock_put(NULL, NULL), 0);
    nothing_is_left();
}

static void each_step_that_is_refused_undoes_those_before(void **state)
{
    static const struct {
        int number;
        int error;
    } errors[] = {{EINVAL, -GN_ERR_BUSY},
                  {EACCES, -GN_ERR_PERM},
                  {ENOSPC, -GN_ERR_NOSPC},
                  {ENOMEM, -GN_ERR_IO}};
    struct gn_linux_lock k = {.level = 0};
    struct gn_linux_memory m = {.kind = 0};
    cpu_set_t now;

    (void)state;
    for (refused = 0; refused < 4; refused++) {
        for (int i = 0; i < 4; i++) {
            step = 0;
            *steps = 0;
            refused_number = errors[i].number;
            assert_int_equal(get(100000, &k, &m), errors[i].error);
            nothing_is_left();
            assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
            assert_true(CPU_EQUAL(&now, &before));
        }
    }
    assert_int_equal(k.level, 0);
    assert_int_equal(m.kind, 0);
}

static void a_kernel_that_does_not_lock_is_not_believed(void **state)
{
    struct gn_linux_lock k = {.level = 0};
    struct gn_linux_memory m = {.kind = 0};

    (void)state;
    lies = 1;
    assert_int_equal(get(65536, &k, &m), -GN_ERR_IO);
    assert_string_equal(text_of("schemata"), "L3:0=ffff;1=ffff\n");
    nothing_is_left();
}

static void a_device_that_is_not_there_undoes_everything(void **state)
{
    struct gn_linux_lock k = {.level = 0};
    struct gn_linux_memory m = {.kind = 0};
    struct gn_linux_lock_params p = {GN_LINUX_LOCK_PARAMS_INIT, .level = 3,
                                     .bytes = 100000,           .devices = "/nonexistent",
                                     .root = fake_root,         .cpus = fake_root};

    (void)state;
    assert_int_equal(gn_linux_lock_get(&p, &k, &m), -GN_ERR_NOTSUP);
    nothing_is_left();
}

static void a_group_that_is_there_is_left_alone(void **state)
{
    struct gn_linux_lock k = {.level = 0}, again = {.level = 0};
    struct gn_linux_memory m = {.kind = 0}, more = {.kind = 0};

    (void)state;
    assert_int_equal(get(100000, &k, &m), 0);
    assert_int_equal(get(100000, &again, &more), -GN_ERR_EXIST);
    assert_int_equal(gn_linux_lock_holds(&k), 1);
    assert_int_equal(gn_linux_lock_put(&k, &m), 0);
    nothing_is_left();
}

static void what_cannot_be_is_refused_before_anything_is_changed(void **state)
{
    static const char *const lists[] = {"", "x\n", "0-\n", "0-99999\n", "0,\n"};
    struct gn_linux_lock k = {.level = 0};
    struct gn_linux_memory m = {.kind = 0};
    struct gn_linux_lock_params p = {GN_LINUX_LOCK_PARAMS_INIT, .level = 3, .bytes = 1,
                                     .root = "/nonexistent", .cpus = fake_root};
    char name[64];

    (void)state;
    assert_int_equal(gn_linux_lock_get(&p, &k, &m), -GN_ERR_NOTSUP);
    p.root = fake_root;
    p.level = 2; /* no such cache */
    assert_int_equal(gn_linux_lock_get(&p, &k, &m), -GN_ERR_NOTSUP);
    p.level = 1;
    assert_int_equal(gn_linux_lock_get(&p, &k, &m), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_lock_get(NULL, &k, &m), -GN_ERR_INVAL);
    assert_int_equal(get(0, &k, &m), -GN_ERR_INVAL);
    assert_int_equal(get(UINT64_C(1) << 40, &k, &m), -GN_ERR_INVAL);
    assert_int_equal(get(1 << 20, &k, &m), -GN_ERR_NOSPC);   /* all ways */
    assert_int_equal(get(100 << 20, &k, &m), -GN_ERR_NOSPC); /* more than there are */
    snprintf(name, sizeof name, "cpu%d/cache/index3/shared_cpu_list", cpu);
    for (int i = 0; i < 5; i++) {
        put(name, lists[i]);
        assert_int_equal(get(65536, &k, &m), -GN_ERR_IO);
    }
    put(name, "1023\n"); /* not this CPU */
    assert_int_equal(get(65536, &k, &m), -GN_ERR_IO);
    assert_string_equal(steps, "");
    nothing_is_left();
}

static int on_fault(void *ctx, uint64_t page, uint32_t access)
{
    (void)ctx;
    (void)page;
    (void)access;
    return -1;
}

static void no_window_lies_over_it(void **state)
{
    static const struct gn_linux_window_ops ops = {GN_LINUX_WINDOW_OPS_INIT, .fault = on_fault};
    struct gn_linux_memory m = {.kind = 0};
    struct gn_linux_lock k = {.level = 0};
    const struct gn_linux_window_params params = {GN_LINUX_WINDOW_PARAMS_INIT, .pages = 4,
                                                  .memory = &m, .ops = &ops};
    static _Alignas(64) uint8_t room[4096];
    struct gn_linux_window *w;

    (void)state;
    assert_int_equal(get(1, &k, &m), 0);
    assert_int_equal(gn_linux_window_init(room, sizeof room, &params, &w), -GN_ERR_NOTSUP);
    assert_int_equal(gn_linux_lock_put(&k, &m), 0);
}

int main(void)
{
#define ON_A_MACHINE(test) cmocka_unit_test_setup_teardown(test, machine_begin, machine_end)
    const struct CMUnitTest tests[] = {
        ON_A_MACHINE(a_region_is_set_up_step_by_step_and_taken_down),
        ON_A_MACHINE(each_step_that_is_refused_undoes_those_before),
        ON_A_MACHINE(a_kernel_that_does_not_lock_is_not_believed),
        ON_A_MACHINE(a_device_that_is_not_there_undoes_everything),
        ON_A_MACHINE(a_group_that_is_there_is_left_alone),
        ON_A_MACHINE(what_cannot_be_is_refused_before_anything_is_changed),
        ON_A_MACHINE(no_window_lies_over_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
