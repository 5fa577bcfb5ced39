/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "fake_tree.h"
#include "linux_internal.h"

/*
 * No resctrl is needed: files under a folder of the test's own are it. What the kernel does there,
 * and files do not, is done here, in place of libc's functions: a folder that is made is a group
 * with its files, one that is removed takes them along, and a call may be refused.
 */
static int refuse;            /* errno of mkdir */
static const char *full_file; /* of a group: takes nothing */
static int tasks = -1;        /* what is written to a group's tasks */

int mkdir(const char *path, mode_t mode)
{
    static const char *const names[] = {"schemata", "mode"};
    char file[256];

    if (refuse) {
        errno = refuse;
        return -1;
    }
    if (mkdirat(AT_FDCWD, path, mode))
        return -1;
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        if (full_file && !strcmp(names[i], full_file))
            assert_int_equal(symlink("/dev/full", file), 0);
        else
            close(open(file, O_WRONLY | O_CREAT, 0600));
    }
    snprintf(file, sizeof file, "%s/tasks", path);
    assert_int_equal(mkfifo(file, 0600), 0);
    tasks = open(file, O_RDWR | O_NONBLOCK);
    assert_true(tasks >= 0);
    return 0;
}

int rmdir(const char *path)
{
    static const char *const names[] = {"schemata", "mode", "tasks"};
    char file[256];

    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
    }
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

/* A machine of two sockets with sixteen ways each, of which devices fill the upper two, too. */
static int machine_begin(void **state)
{
    if (fake_begin(state))
        return -1;
    refuse = 0;
    full_file = NULL;
    fake_folder("info");
    fake_folder("info/L3");
    fake_file("info/L3/cbm_mask", "ffff\n");
    fake_file("info/L3/shareable_bits", "c000\n");
    fake_file("info/L3/min_cbm_bits", "2\n");
    fake_file("info/L3/num_closids", "16\n");
    fake_file("schemata", "    MB:0=100;1=100\n    L3:0=ffff;1=ffff\n");
    fake_file("mode", "shareable\n");
    return 0;
}

static const char *text_of(const char *name)
{
    static char text[512];

    assert_int_equal(gn_linux__text_read(fake_root, name, text, sizeof text), 0);
    return text;
}

static int get(uint32_t ways, struct gn_linux_ways *ret)
{
    const struct gn_linux_ways_params p = {GN_LINUX_WAYS_PARAMS_INIT, .level = 3, .ways = ways,
                                           .root = fake_root};

    return gn_linux_ways_get(&p, ret);
}

/* A file of the group's. */
static const char *of_group(const char *name)
{
    static char path[64];

    snprintf(path, sizeof path, "gnomon-%ld/%s", (long)getpid(), name);
    return path;
}

static void what_there_is_is_told(void **state)
{
    struct gn_linux_resctrl r = {GN_LINUX_RESCTRL_INIT};

    (void)state;
    assert_int_equal(gn_linux_resctrl_get(fake_root, 3, &r), 0);
    assert_int_equal(r.level, 3);
    assert_int_equal(r.mask, 0xffff);
    assert_int_equal(r.shareable, 0xc000);
    assert_int_equal(r.min_bits, 2);
    assert_int_equal(r.groups, 16);
    assert_int_equal(r.modes, 1);
    assert_int_equal(gn_linux_resctrl_get(fake_root, 2, &r), -GN_ERR_NOTSUP);
    assert_int_equal(gn_linux_resctrl_get(fake_root, 1, &r), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_resctrl_get(fake_root, 3, NULL), -GN_ERR_INVAL);
    r.size = 8;
    assert_int_equal(gn_linux_resctrl_get(fake_root, 3, &r), -GN_ERR_INVAL);
}

static void a_machine_without_resctrl_says_so(void **state)
{
    struct gn_linux_resctrl r = {GN_LINUX_RESCTRL_INIT};
    struct gn_linux_ways w = {.level = 0};
    struct gn_linux_ways_params p = {GN_LINUX_WAYS_PARAMS_INIT, .level = 3, .ways = 2,
                                     .root = "/nonexistent"};
    char path[512];

    (void)state;
    assert_int_equal(gn_linux_resctrl_get("/nonexistent", 3, &r), -GN_ERR_NOTSUP);
    assert_int_equal(gn_linux_resctrl_lockable("/nonexistent"), -GN_ERR_NOTSUP);
    assert_int_equal(gn_linux_ways_get(&p, &w), -GN_ERR_NOTSUP);
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = 0;
    assert_int_equal(gn_linux_resctrl_get(path, 3, &r), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_resctrl_lockable(path), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_ways_get(NULL, &w), -GN_ERR_INVAL);
    p.ways = 32;
    assert_int_equal(gn_linux_ways_get(&p, &w), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_ways_put(&w), 0);
    assert_int_equal(gn_linux_ways_put(NULL), 0);
}

static void nonsense_is_an_error_and_changes_nothing(void **state)
{
    static const char *const bad[][2] = {
        {"info/L3/cbm_mask", ""},
        {"info/L3/cbm_mask", "0\n"},
        {"info/L3/cbm_mask", "f0ff\n"}, /* a hole */
        {"info/L3/cbm_mask", "1ffffffff\n"},
        {"info/L3/cbm_mask", "ffff ways\n"},
        {"info/L3/cbm_mask", "00000000000000000000000000000000000000000000ffff\n"},
        {"info/L3/shareable_bits", "none\n"},
        {"info/L3/min_cbm_bits", "-2\n"},
        {"info/L3/min_cbm_bits", "33\n"},
        {"info/L3/num_closids", "99999999999999999999\n"},
        {"schemata", "L3:0=ffff;1\n"},
        {"schemata", "L3:0=ffff;\n"},
        {"schemata", "L3:=ffff\n"},
        {"schemata", "L3:0=1ffffffff\n"},
        {"schemata", "L3:0=ffff;1=ffff and more\n"},
        {"schemata", "L3:"},
    };
    struct gn_linux_ways w = {.level = 0};
    char good[512];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(good, sizeof good, "%s", text_of(bad[i][0]));
        fake_file(bad[i][0], bad[i][1]);
        assert_int_equal(get(4, &w), -GN_ERR_IO);
        assert_string_equal(text_of(bad[i][0]), bad[i][1]);
        fake_file(bad[i][0], good);
    }
    fake_file("schemata", "MB:0=100\n\n\n  L33:0=ff\nL3CODE:0=ff");
    assert_int_equal(get(4, &w), -GN_ERR_NOTSUP);
    fake_bytes("schemata", "L3:0=ff\0ff\n", 11);
    assert_int_equal(get(4, &w), -GN_ERR_IO);
    assert_int_equal(w.level, 0);
    assert_int_equal(access(fake_path(of_group("")), F_OK), -1);
}

/* One line longer than is read, and one with more domains than are kept. */
static void what_is_too_long_is_an_error(void **state)
{
    struct gn_linux_ways w = {.level = 0};
    static char text[6000];
    size_t length;

    (void)state;
    memset(text, ' ', sizeof text);
    memcpy(text + sizeof text - 9, "L3:0=ff\n", 9);
    fake_file("schemata", text);
    assert_int_equal(get(4, &w), -GN_ERR_IO);
    length = (size_t)sprintf(text, "L3:0=ffff");
    for (int i = 1; i < 65; i++)
        length += (size_t)sprintf(text + length, ";%d=ffff", i);
    fake_file("schemata", text);
    assert_int_equal(get(4, &w), -GN_ERR_IO);
}

static void *wait_at(void *barrier)
{
    pthread_barrier_wait(barrier);
    return NULL;
}

/* Every thread, so that one waits here meanwhile. */
static void ways_are_taken_from_the_default_group_and_given_back(void **state)
{
    struct gn_linux_ways w = {.level = 0};
    struct gn_linux_ways again = {.level = 0};
    pthread_barrier_t barrier;
    pthread_t thread;
    char moved[128] = "";
    char self[32];

    (void)state;
    pthread_barrier_init(&barrier, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, wait_at, &barrier), 0);
    assert_int_equal(get(4, &w), 0);
    assert_int_equal(w.level, 3);
    assert_int_equal(w.mask, 0xf);
    assert_string_equal(text_of(of_group("schemata")), "L3:0=f;1=f\n");
    assert_string_equal(text_of(of_group("mode")), "exclusive\n");
    assert_string_equal(text_of("schemata"), "L3:0=fff0;1=fff0\n");
    assert_true(read(tasks, moved, sizeof moved - 1) > 0);
    snprintf(self, sizeof self, "%ld\n", syscall(SYS_gettid));
    assert_non_null(strstr(moved, self));
    assert_true(strlen(moved) > strlen(self)); /* and the other */
    assert_int_equal(get(4, &again), -GN_ERR_EXIST);
    assert_string_equal(text_of("schemata"), "L3:0=fff0;1=fff0\n");
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    assert_int_equal(gn_linux_ways_put(&w), 0);
    assert_int_equal(w.level, 0);
    assert_string_equal(text_of("schemata"), "L3:0=ffff;1=ffff\n");
    assert_int_equal(access(fake_path(of_group("")), F_OK), -1);
}

static void only_ways_that_all_caches_have_and_devices_do_not_are_taken(void **state)
{
    struct gn_linux_ways w = {.level = 0};

    (void)state;
    assert_int_equal(get(1, &w), -GN_ERR_RANGE);
    assert_int_equal(get(15, &w), -GN_ERR_NOSPC); /* reach into those of devices */
    fake_file("schemata", "L3:0=fff0;1=ff00\n");
    assert_int_equal(get(4, &w), -GN_ERR_NOSPC); /* the first would have a hole */
    fake_file("schemata", "L3:0=fff0;1=fff0\n");
    assert_int_equal(get(4, &w), 0);
    assert_int_equal(w.mask, 0xf0);
    assert_int_equal(gn_linux_ways_put(&w), 0);
    fake_file("info/L3/shareable_bits", "0\n");
    assert_int_equal(get(11, &w), -GN_ERR_NOSPC); /* one is left, and two must be */
    assert_int_equal(get(10, &w), 0);
    assert_string_equal(text_of("schemata"), "L3:0=c000;1=c000\n");
    assert_int_equal(gn_linux_ways_put(&w), 0);
    fake_file("mode", "");
    assert_int_equal(unlink(fake_path("mode")), 0);
    assert_int_equal(get(4, &w), -GN_ERR_NOTSUP);
}

static void what_the_kernel_refuses_is_undone(void **state)
{
    static const struct {
        int number;
        int error;
    } cases[] = {{ENOSPC, -GN_ERR_NOSPC}, {EPERM, -GN_ERR_PERM}, {EROFS, -GN_ERR_PERM},
                 {EINVAL, -GN_ERR_BUSY},  {EIO, -GN_ERR_IO},     {ENOENT, -GN_ERR_NOTSUP}};
    static const char *const files[] = {"schemata", "mode"};
    struct gn_linux_ways w = {.level = 0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refuse = cases[i].number;
        assert_int_equal(get(4, &w), cases[i].error);
    }
    refuse = 0;
    for (int i = 0; i < 2; i++) {
        full_file = files[i];
        assert_int_equal(get(4, &w), -GN_ERR_NOSPC);
        assert_int_equal(access(fake_path(of_group("")), F_OK), -1);
        assert_string_equal(text_of("schemata"), "L3:0=ffff;1=ffff\n");
    }
    assert_int_equal(w.level, 0);
}

static void pseudo_locking_is_tried_and_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(gn_linux_resctrl_lockable(fake_root), 0);
    assert_int_equal(access(fake_path(of_group("")), F_OK), -1);
    full_file = "mode";
    assert_int_equal(gn_linux_resctrl_lockable(fake_root), -GN_ERR_NOSPC);
    assert_int_equal(access(fake_path(of_group("")), F_OK), -1);
    refuse = EPERM;
    assert_int_equal(gn_linux_resctrl_lockable(fake_root), -GN_ERR_PERM);
}

int main(void)
{
#define ON_A_MACHINE(test) cmocka_unit_test_setup_teardown(test, machine_begin, fake_end)
    const struct CMUnitTest tests[] = {
        ON_A_MACHINE(what_there_is_is_told),
        cmocka_unit_test(a_machine_without_resctrl_says_so),
        ON_A_MACHINE(nonsense_is_an_error_and_changes_nothing),
        ON_A_MACHINE(what_is_too_long_is_an_error),
        ON_A_MACHINE(ways_are_taken_from_the_default_group_and_given_back),
        ON_A_MACHINE(only_ways_that_all_caches_have_and_devices_do_not_are_taken),
        ON_A_MACHINE(what_the_kernel_refuses_is_undone),
        ON_A_MACHINE(pseudo_locking_is_tried_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
