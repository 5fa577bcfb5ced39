/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The RING3 switch on Linux, beside two bare far jumps in the same run: what a processor takes to
 * get to compatibility code and back, with nothing saved at all.
 */

#include <gnomon/modeswitch.h>

#include <sys/mman.h>

#include "gn_bench.h"

#define LOW    ((void *)0x10000000)
#define BYTES  0x10000u
#define CODE   0x1000u
#define BARE   0x2000u
#define POINTS 0x2100u /* a far pointer */
#define STACK  0x8000u

static uint8_t *low;
static void (*enter)(void);
static void (*bare)(void);

static void pointer_write(uint32_t at, uint32_t offset, uint16_t selector)
{
    memcpy(low + at, &offset, sizeof offset);
    memcpy(low + at + 4, &selector, sizeof selector);
}

/* LJMP *[to 32]; LJMP 64-bit code; RET */
static void bare_write(void)
{
    const uint32_t base = (uint32_t)(uintptr_t)low, to32 = base + POINTS, ret = base + BARE + 14;
    uint8_t code[] = {0xff, 0x2c, 0x25, 0, 0, 0, 0, 0xea, 0, 0, 0, 0, 0x33, 0, 0xc3};

    memcpy(code + 3, &to32, sizeof to32);
    memcpy(code + 8, &ret, sizeof ret);
    memcpy(low + BARE, code, sizeof code);
    pointer_write(POINTS, base + BARE + 7, 0x23);
}

static int open_low(void)
{
    struct gn_modeswitch_layout layout;
    struct gn_modeswitch_params p = {GN_MODESWITCH_PARAMS_INIT, .form = GN_MODESWITCH_RING3,
                                     .code64 = 0x33, .code32 = 0x23, .data = 0x2b};
    uint8_t code[] = {0xe8, 0, 0, 0, 0, 0xeb, 0xf9}; /* again: CALL back; JMP again */
    uint32_t relative;

    low = mmap(LOW, BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (low != LOW)
        return 0;
    p.address = (uint64_t)(uintptr_t)low;
    p.eip = (uint32_t)p.address + CODE;
    p.esp = (uint32_t)p.address + STACK;
    if (gn_modeswitch_emit(low, GN_MODESWITCH_PAGE, &p, &layout))
        return 0;
    relative = layout.back - (CODE + 5);
    memcpy(code + 1, &relative, sizeof relative);
    memcpy(low + CODE, code, sizeof code);
    bare_write();
    enter = (void (*)(void))(uintptr_t)(low + layout.enter);
    bare = (void (*)(void))(uintptr_t)(low + BARE);
    return 1;
}

static void switches(uint32_t n)
{
    while (n--)
        enter();
}

/* Nothing is saved, so that the stack is one that 32 bits can name: they are all that is kept. */
static void jumps(uint32_t n)
{
    uint64_t *top = (uint64_t *)(void *)(low + STACK);

    __asm__ volatile("movq %%rsp, (%[top])\n\t"
                     "movq %[top], %%rsp\n\t"
                     "1: call *%[bare]\n\t"
                     "decl %[n]\n\t"
                     "jnz 1b\n\t"
                     "movq (%%rsp), %%rsp"
                     : [n] "+r"(n)
                     : [top] "r"(top), [bare] "r"(bare)
                     : "memory", "cc");
}

int main(int argc, char **argv)
{
    const uint32_t n = gn_bench_quick(argc, argv) ? 100 : 100000;
    struct gn_bench_result a, b;

    if (!open_low()) {
        printf("skipped: no memory at %p\n", LOW);
        return 77;
    }
    gn_bench_header();
    b = gn_bench_time("two bare far jumps", jumps, n);
    a = gn_bench_time("ring-3 switch and back", switches, n);
    gn_bench_ratio("ring-3 switch / bare far jumps", a, b);
    return 0;
}
