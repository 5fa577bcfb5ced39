/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TEST_GUEST_H
#define RV64_TEST_GUEST_H

/* What guests need that run alone, in S-mode: the console and the end, fences, code and tables. */

#include <stdint.h>

#define PAGE 4096ul

typedef uint64_t (*function)(uint64_t);

static inline void sbi(uint64_t extension, uint64_t id, uint64_t argument)
{
    register uint64_t a0 __asm__("a0") = argument;
    register uint64_t a1 __asm__("a1") = 0;
    register uint64_t a6 __asm__("a6") = id;
    register uint64_t a7 __asm__("a7") = extension;

    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a6), "r"(a7) : "memory");
}

static inline void print(const char *text)
{
    while (*text)
        sbi(1, 0, (uint8_t)*text++);
}

static inline void fence_i(void)
{
    __asm__ volatile("fence.i" ::: "memory");
}

static inline void sfence(uint64_t va)
{
    __asm__ volatile("sfence.vma %0, zero" ::"r"(va) : "memory");
}

static inline void end(void)
{
    sbi(0x53525354, 0, 0); /* SRST: shutdown */
    for (;;)
        continue;
}

static inline void expect(uint64_t got, uint64_t wanted, const char *what)
{
    if (got == wanted)
        return;
    print("wrong: ");
    print(what);
    print("\n");
    end();
}

/* addi a0, a0, value; ret */
static inline void put_function(uint32_t *at, uint32_t value)
{
    at[0] = (value & 0x7ff) << 20 | 10 << 15 | 10 << 7 | 0x13;
    at[1] = 0x00008067;
}

static inline function at(uint64_t address)
{
    return (function)address;
}

static inline uint64_t leaf(uint64_t pa)
{
    return pa >> 2 | 0xcf; /* D A X W R V */
}

/* The file has guest_main(). */
__asm__(".section .text.start,\"ax\"\n"
        ".globl _start\n"
        "_start:\n"
        ".option push\n"
        ".option norelax\n"
        "    la gp, __global_pointer$\n"
        ".option pop\n"
        "    li sp, 0x82000000\n"
        "    call guest_main\n");

#endif /* RV64_TEST_GUEST_H */
