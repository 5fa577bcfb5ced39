/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "fake_tree.h"
#include "gn_marker.h"
#include "linux_internal.h"

/* Cores of children that end, in a folder of the test's own: what of their memory is in them? */

#define BYTES (4 * GN_PAGE_SIZE)
#define PLAIN 1u /* marker of memory that nobody protects: a core must have it */
#define POOL  2u

static void end_with_a_core(uint32_t kind, int protect)
{
    const struct gn_linux_memory_params p = {GN_LINUX_MEMORY_PARAMS_INIT, .kinds = kind,
                                             .bytes = BYTES};
    struct gn_linux_memory m;
    struct rlimit limit;
    void *plain = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (getrlimit(RLIMIT_CORE, &limit) || !limit.rlim_max || plain == MAP_FAILED)
        _exit(77);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_CORE, &limit) || chdir(fake_root) || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
        _exit(77);
    if (gn_linux_memory_get(&p, &m) || m.degraded & GN_LINUX_DEGRADED_DUMP)
        _exit(77);
    gn_marker_fill(PLAIN, plain, BYTES);
    gn_marker_fill(POOL, m.base, BYTES);
    if (protect && gn_linux_process_protect())
        _exit(1);
    signal(SIGABRT, SIG_DFL);
    abort();
}

/* @return whether a core was written; where there is no such memory the test is skipped */
static int child_ends(uint32_t kind, int protect)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (!child)
        end_with_a_core(kind, protect);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: no such memory, or no cores, here\n");
        skip();
    }
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return WCOREDUMP(status);
}

/* The core's markers, and the core is gone. @return 0: it is not here (a pattern, a pipe) */
static int core_count(uint64_t *ret_plain, uint64_t *ret_pool)
{
    DIR *folder = opendir(fake_root);
    struct dirent *file;
    struct stat s;
    void *bytes;
    int found = 0;

    assert_non_null(folder);
    while ((file = readdir(folder))) {
        const char *path = fake_path(file->d_name);
        int fd = strncmp(file->d_name, "core", 4) ? -1 : open(path, O_RDONLY);

        if (fd < 0 || fstat(fd, &s) || !s.st_size)
            continue;
        bytes = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        assert_true(bytes != MAP_FAILED);
        *ret_plain = gn_marker_count(PLAIN, bytes, (size_t)s.st_size);
        *ret_pool = gn_marker_count(POOL, bytes, (size_t)s.st_size);
        munmap(bytes, (size_t)s.st_size);
        close(fd);
        unlink(fake_path(file->d_name));
        found = 1;
    }
    closedir(folder);
    return found;
}

static void a_core_has_none(uint32_t kind)
{
    uint64_t plain = 0;
    uint64_t pool = 0;

    if (!child_ends(kind, 0) || !core_count(&plain, &pool)) {
        print_message("skipped: cores do not come to the working folder here\n");
        skip();
    }
    assert_true(plain >= BYTES / GN_MARKER_BYTES);
    assert_int_equal(pool, 0);
}

static void a_core_has_nothing_of_secret_memory(void **state)
{
    (void)state;
    a_core_has_none(GN_LINUX_MEMORY_SECRET);
}

static void a_core_has_nothing_of_shared_memory(void **state)
{
    (void)state;
    a_core_has_none(GN_LINUX_MEMORY_SHARED);
}

static void a_core_has_nothing_of_private_memory(void **state)
{
    (void)state;
    a_core_has_none(GN_LINUX_MEMORY_PRIVATE);
}

static void a_protected_process_leaves_no_core(void **state)
{
    uint64_t plain;
    uint64_t pool;

    (void)state;
    if (!child_ends(GN_LINUX_MEMORY_PRIVATE, 0)) {
        print_message("skipped: nothing leaves a core here\n");
        skip();
    }
    (void)core_count(&plain, &pool);
    assert_false(child_ends(GN_LINUX_MEMORY_PRIVATE, 1));
    assert_int_equal(core_count(&plain, &pool), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_core_has_nothing_of_secret_memory, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(a_core_has_nothing_of_shared_memory, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(a_core_has_nothing_of_private_memory, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(a_protected_process_leaves_no_core, fake_begin, fake_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
