/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The RING3 form on Linux: 64-bit code and compatibility code take turns in one process, and
 * signals come on either side.
 */

#define _GNU_SOURCE /* REG_CSGSFS */

#include "pages.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#define LOW    ((void *)0x10000000)
#define BYTES  0x10000u
#define ROUNDS 20000u
#define CODE   0x1000u /* offsets in the mapping; the page is at 0 */
#define DATA   0x2000u
#define STACK  0x8000u

static uint8_t *low;
static struct gn_modeswitch_layout layout;
static volatile uint32_t signals, signals32;

/*
 * again: INC dword [DATA]; MOV ECX, [DATA + 4]; spin: JECXZ done; DEC ECX; JMP spin
 * done: MOV all registers; CALL back; JMP again
 */
static void program_write(void)
{
    uint8_t *c = low + CODE;
    const uint32_t data = (uint32_t)(uintptr_t)(low + DATA);
    const uint32_t back = (uint32_t)(uintptr_t)low + layout.back;
    const uint32_t call_at = (uint32_t)(uintptr_t)(c + 47);
    const uint8_t code[] = {
        0xff, 0x05, 0,    0,    0,    0, /*  0 inc [data] */
        0x8b, 0x0d, 0,    0,    0,    0, /*  6 mov ecx, [data + 4] */
        0xe3, 0x03, 0x49, 0xeb, 0xfb,    /* 12 jecxz +3; dec ecx; jmp -5 */
        0xb8, 1,    1,    1,    1,       /* 17 mov eax, ... */
        0xbb, 2,    2,    2,    2,       /* 22 ebx */
        0xba, 3,    3,    3,    3,       /* 27 edx */
        0xbe, 4,    4,    4,    4,       /* 32 esi */
        0xbf, 5,    5,    5,    5,       /* 37 edi */
        0xbd, 6,    6,    6,    6,       /* 42 ebp */
        0xe8, 0,    0,    0,    0,       /* 47 call back */
        0x81, 0xfb, 2,    2,    2,    2, /* 52 cmp ebx, ... */
        0x75, 0x0a,                      /* 58 jne wrong */
        0x81, 0xfd, 6,    6,    6,    6, /* 60 cmp ebp, ... */
        0x75, 0x02,                      /* 66 jne wrong */
        0xeb, 0xba,                      /* 68 jmp again */
        0xff, 0x05, 0,    0,    0,    0, /* 70 wrong: inc [data + 8] */
        0xeb, 0xb2,                      /* 76 jmp again */
    };
    const uint32_t spin = data + 4, wrong = data + 8, relative = back - (call_at + 5);

    memcpy(c, code, sizeof code);
    memcpy(c + 2, &data, 4);
    memcpy(c + 8, &spin, 4);
    memcpy(c + 48, &relative, 4);
    memcpy(c + 72, &wrong, 4);
}

static volatile uint32_t *word(uint32_t i)
{
    return (volatile uint32_t *)(void *)(low + DATA) + i;
}

static int setup(void **state)
{
    struct gn_modeswitch_params p = ring3_params();

    (void)state;
    low = mmap(LOW, BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (low != LOW)
        return -1;
    p.address = (uint64_t)(uintptr_t)low;
    p.eip = (uint32_t)(uintptr_t)(low + CODE);
    p.esp = (uint32_t)(uintptr_t)(low + STACK);
    if (gn_modeswitch_emit(low, GN_MODESWITCH_PAGE, &p, &layout))
        return -1;
    program_write();
    return 0;
}

static void enter(void)
{
    void (*const f)(void) = (void (*)(void))(uintptr_t)(low + layout.enter);

    f();
}

static void compatibility_code_runs_and_comes_back(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        enter();
        assert_int_equal(*word(0), i);
    }
    assert_int_equal(*word(2), 0);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    const ucontext_t *u = context;

    (void)number;
    (void)info;
    signals++;
    signals32 += (u->uc_mcontext.gregs[REG_CSGSFS] & 0xffff) == 0x23;
}

static void signals_arrive_on_either_side(void **state)
{
    static uint8_t stack[65536];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    const struct itimerval fast = {{0, 200}, {0, 200}}, none = {{0, 0}, {0, 0}};
    const uint32_t begin = *word(0);
    uint32_t rounds = 0;

    (void)state;
    assert_int_equal(sigaltstack(&alternate, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    *word(1) = 2000; /* most of the time is spent there */
    assert_int_equal(setitimer(ITIMER_REAL, &fast, NULL), 0);
    while (rounds < 2000000 && (signals32 < 50 || signals - signals32 < 5)) {
        *word(1) = rounds & 1 ? 2000 : 0;
        enter();
        assert_int_equal(*word(0), begin + ++rounds);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &none, NULL), 0);
    print_message("%u signals, %u of them in 32-bit code, in %u rounds\n", signals, signals32,
                  rounds);
    assert_int_equal(*word(2), 0);
    assert_true(signals32 > 0 && signals > signals32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compatibility_code_runs_and_comes_back),
        cmocka_unit_test(signals_arrive_on_either_side),
    };

    return cmocka_run_group_tests_name("modeswitch_user", tests, setup, NULL);
}
