/* SPDX-License-Identifier: BSD-3-Clause */
#include <cmocka.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum result { PASSED, FAILED, SKIPPED };

static jmp_buf out;
static int running;

_Noreturn static void leave(enum result r)
{
    if (!running)
        exit(1); /* in a fixture of a group, or in another thread's call */
    longjmp(out, (int)r + 1);
}

void metal_fail(const char *file, int line)
{
    printf("%s:%d: error: Failure!\n", file, line);
    leave(FAILED);
}

void metal_skip(void)
{
    leave(SKIPPED);
}

void metal_true(uint64_t value, const char *what, const char *file, int line)
{
    if (value)
        return;
    printf("%s\n", what);
    metal_fail(file, line);
}

void metal_equal(uint64_t a, uint64_t b, int equal, const char *file, int line)
{
    if ((a == b) == equal)
        return;
    printf("0x%lx %s 0x%lx\n", a, equal ? "!=" : "==", b);
    metal_fail(file, line);
}

void metal_range(uint64_t value, uint64_t low, uint64_t high, const char *file, int line)
{
    if (value >= low && value <= high)
        return;
    printf("%lu is not within %lu-%lu\n", value, low, high);
    metal_fail(file, line);
}

void metal_memory(const void *a, const void *b, size_t bytes, const char *file, int line)
{
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i]) {
            printf("difference at offset %lu: 0x%02x 0x%02x\n", i, x[i], y[i]);
            metal_fail(file, line);
        }
}

void metal_string(const char *a, const char *b, const char *file, int line)
{
    if (!strcmp(a, b))
        return;
    printf("\"%s\" != \"%s\"\n", a, b);
    metal_fail(file, line);
}

void print_message(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

void print_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

/* A setup that fails is a test that fails. Locals change between the two returns of setjmp(). */
static enum result run(const struct CMUnitTest *test, void *group_state)
{
    static void *state;
    static volatile enum result r;
    int how;

    state = test->initial_state ? test->initial_state : group_state;
    if (test->setup_func && test->setup_func(&state))
        return FAILED;
    how = setjmp(out);
    if (!how) {
        running = 1;
        test->test_func(&state);
        r = PASSED;
    } else {
        r = (enum result)(how - 1);
    }
    running = 0;
    if (test->teardown_func && test->teardown_func(&state))
        r = FAILED;
    return r;
}

int metal_run(const char *name, const struct CMUnitTest *tests, size_t count,
              CMFixtureFunction setup, CMFixtureFunction teardown)
{
    static const char *const word[] = {"      OK", "  FAILED", " SKIPPED"};
    int n[3] = {0, 0, 0};
    void *state = NULL;

    printf("[==========] %s: Running %lu test(s).\n", name, count);
    if (setup && setup(&state))
        return 1;
    for (size_t i = 0; i < count; i++) {
        enum result r;

        printf("[ RUN      ] %s\n", tests[i].name);
        r = run(&tests[i], state);
        printf("[ %s ] %s\n", word[r], tests[i].name);
        n[r]++;
    }
    if (teardown && teardown(&state))
        n[FAILED]++;
    printf("[==========] %s: %d passed, %d failed, %d skipped\n", name, n[0], n[1], n[2]);
    return n[FAILED];
}
