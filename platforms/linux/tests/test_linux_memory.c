/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gn_test.h"
#include "linux_internal.h"
#include "smaps.h"

#define BYTES (8 * GN_PAGE_SIZE)

static struct gn_linux_memory get(uint32_t kind, uint32_t flags)
{
    const struct gn_linux_memory_params params = {GN_LINUX_MEMORY_PARAMS_INIT, .kinds = kind,
                                                  .bytes = BYTES, .flags = flags};
    struct gn_linux_memory m = {.kind = 0};
    int rc = gn_linux_memory_get(&params, &m);

    if (rc && kind == GN_LINUX_MEMORY_SECRET) {
        print_message("skipped: no memfd_secret here\n");
        skip();
    }
    assert_int_equal(rc, 0);
    assert_int_equal(m.kind, kind);
    assert_int_equal(m.bytes, BYTES);
    for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(((uint8_t *)m.base)[i], 0);
    return m;
}

/* What the kernel lets this process read of its own memory by address, as it would a debugger. */
static ssize_t read_by_kernel(const void *from, void *to)
{
    struct iovec local = {.iov_base = to, .iov_len = 16};
    struct iovec remote = {.iov_base = (void *)(uintptr_t)from, .iov_len = 16};

    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
}

static void secret_memory_is_not_readable_through_the_kernel(void **state)
{
    struct gn_linux_memory m = get(GN_LINUX_MEMORY_SECRET, 0);
    char copy[16];

    (void)state;
    assert_int_equal(m.degraded, 0);
    memset(m.base, 0x5a, BYTES);
    assert_int_equal(read_by_kernel(m.base, copy), -1);
    assert_true(smaps_flag(m.base, " lo"));
    assert_true(smaps_flag(m.base, " dd"));
    assert_true(smaps_flag(m.base, " dc"));
    gn_linux_memory_put(&m);
    assert_int_equal(m.kind, 0);
}

static void other_kinds_say_that_the_kernel_reads_them(void **state)
{
    static const uint32_t kinds[] = {GN_LINUX_MEMORY_SHARED, GN_LINUX_MEMORY_PRIVATE};
    char copy[16];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct gn_linux_memory m = get(kinds[i], 0);

        assert_true(m.degraded & GN_LINUX_DEGRADED_SECRET);
        memset(m.base, 0x5a, BYTES);
        assert_int_equal(read_by_kernel(m.base, copy), 16);
        assert_int_equal(!!(m.degraded & GN_LINUX_DEGRADED_LOCK), !smaps_flag(m.base, " lo"));
        assert_int_equal(!!(m.degraded & GN_LINUX_DEGRADED_DUMP), !smaps_flag(m.base, " dd"));
        assert_int_equal(m.degraded & GN_LINUX_DEGRADED_FORK, 0);
        gn_linux_memory_put(&m);
    }
}

/* What a child finds at an address: -1: no mapping; else the byte. */
static int byte_in_child(const volatile uint8_t *address)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (!child) {
        signal(SIGSEGV, SIG_DFL);
        _exit(*address);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_child_has_no_plaintext_unless_asked_for(void **state)
{
    static const struct {
        uint32_t kind;
        uint32_t flags;
        int byte;
    } cases[] = {{GN_LINUX_MEMORY_SHARED, 0, -1},
                 {GN_LINUX_MEMORY_SHARED, GN_LINUX_MEMORY_INHERIT, 0x5a},
                 {GN_LINUX_MEMORY_PRIVATE, 0, 0},
                 {GN_LINUX_MEMORY_SECRET, 0, -1}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gn_linux_memory m = get(cases[i].kind, cases[i].flags);

        memset(m.base, 0x5a, BYTES);
        assert_int_equal(byte_in_child(m.base), cases[i].byte);
        assert_int_equal(!!(m.degraded & GN_LINUX_DEGRADED_FORK), cases[i].byte == 0x5a);
        gn_linux_memory_put(&m);
    }
}

/* In a child, since a limit once lowered stays so; without CAP_IPC_LOCK, which is above limits. */
static void a_limit_that_forbids_locking_is_reported(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (!child) {
        const struct rlimit none = {0, 0};
        struct gn_linux_memory m = {.kind = 0};
        const struct gn_linux_memory_params params = {
            GN_LINUX_MEMORY_PARAMS_INIT, .kinds = GN_LINUX_MEMORY_PRIVATE, .bytes = BYTES};

        if (setrlimit(RLIMIT_MEMLOCK, &none) || (!geteuid() && setresuid(65534, 65534, 65534)))
            _exit(77);
        if (gn_linux_memory_get(&params, &m))
            _exit(1);
        _exit(m.degraded & GN_LINUX_DEGRADED_LOCK ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: the limit cannot be lowered here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_copy_takes_the_place_of_the_original(void **state)
{
    struct gn_linux_memory m = get(GN_LINUX_MEMORY_SHARED, GN_LINUX_MEMORY_INHERIT);
    struct gn_linux_memory copy = get(GN_LINUX_MEMORY_SHARED, GN_LINUX_MEMORY_INHERIT);
    struct gn_linux_memory other = get(GN_LINUX_MEMORY_PRIVATE, 0);
    uint8_t *base = m.base;

    (void)state;
    memset(m.base, 1, BYTES);
    memset(copy.base, 2, BYTES);
    assert_int_equal(gn_linux_memory_replace(&m, &other), -GN_ERR_INVAL);
    assert_int_equal(gn_linux_memory_replace(&m, &copy), 0);
    assert_ptr_equal(m.base, base);
    assert_int_equal(base[0], 2);
    assert_int_equal(base[BYTES - 1], 2);
    assert_int_equal(copy.kind, 0);
    gn_linux_memory_put(&copy);
    gn_linux_memory_put(&other);
    gn_linux_memory_put(&m);
}

static void bad_parameters_are_refused(void **state)
{
    struct gn_linux_memory m;
    struct gn_linux_memory_params p = {GN_LINUX_MEMORY_PARAMS_INIT, .bytes = BYTES};

    (void)state;
    p.bytes = 0;
    assert_int_equal(gn_linux_memory_get(&p, &m), -GN_ERR_INVAL);
    p.bytes = BYTES;
    p.kinds = 8;
    assert_int_equal(gn_linux_memory_get(&p, &m), -GN_ERR_INVAL);
    p.kinds = 0;
    p.flags = 4;
    assert_int_equal(gn_linux_memory_get(&p, &m), -GN_ERR_INVAL);
    p.flags = 0;
    p.bytes = UINT64_C(1) << 60;
    assert_int_equal(gn_linux_memory_get(&p, &m), -GN_ERR_NOMEM);
    assert_int_equal(gn_linux_memory_get(NULL, &m), -GN_ERR_INVAL);
    gn_linux_memory_put(NULL);
}

static void every_missing_protection_has_a_name(void **state)
{
    const char *text;

    (void)state;
    for (uint32_t i = 0; i < GN_LINUX_DEGRADED_COUNT; i++) {
        assert_string_not_equal(gn_linux_degraded_name(1u << i, &text), "unknown");
        assert_string_not_equal(text, "unknown");
    }
    assert_string_equal(gn_linux_degraded_name(1u << GN_LINUX_DEGRADED_COUNT, &text), "unknown");
    assert_string_equal(gn_linux_degraded_name(3, NULL), "unknown");
    assert_int_equal(gn_linux_version(), GN_LINUX_VERSION_MAJOR << 16 | GN_LINUX_VERSION_MINOR);
}

static void a_protected_process_is_not_dumpable(void **state)
{
    (void)state;
    assert_int_equal(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    assert_int_equal(gn_linux_process_degraded(), GN_LINUX_DEGRADED_DUMPABLE);
    assert_int_equal(gn_linux_process_protect(), 0);
    assert_int_equal(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_parameters_are_refused),
        cmocka_unit_test(every_missing_protection_has_a_name),
        cmocka_unit_test(other_kinds_say_that_the_kernel_reads_them),
        cmocka_unit_test(a_limit_that_forbids_locking_is_reported),
        cmocka_unit_test(a_copy_takes_the_place_of_the_original),
        cmocka_unit_test(a_protected_process_is_not_dumpable),
        cmocka_unit_test(secret_memory_is_not_readable_through_the_kernel),
        cmocka_unit_test(a_child_has_no_plaintext_unless_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
