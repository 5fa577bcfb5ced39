/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A guest of its own, in S-mode without an operating system, that is hard on a cache of translated
 * code. It writes what it finds to the console of the SBI, and powers off.
 *
 *   rewrite    a function is rewritten before each call, and FENCE.I executed; then data are
 *              written beside code, in the same page; then both
 *   targets    ten million calls, each to another place
 *   addresses  a page of code is mapped at thousands of addresses, which are called, remapped to
 *              another page, and called again
 *   links      a jump leads into a page that is another one again and again
 *   memory     more code than any cache holds is executed, several times
 */

#include "guest.h"

#define ARENA  0x84000000ul /* code that is written here */
#define ROOT   0x83000000ul
#define WINDOW 0x4000000000ul - 0x40000000ul /* the last GiB of low addresses */

/* ---- Code --------------------------------------------------------------------------------- */

static void rewrite(void)
{
    volatile uint32_t *data = (uint32_t *)(ARENA + 2048);
    uint32_t *code = (uint32_t *)ARENA;

    for (uint32_t i = 0; i < 20000; i++) {
        put_function(code + i % 8 * 2, i);
        fence_i();
        expect(at(ARENA + i % 8 * 8)(1), 1 + (i & 0x7ff), "a function that was rewritten");
    }
    for (uint32_t i = 0; i < 20000; i++) {
        data[i % 256] = i;
        if (i % 64 == 0)
            fence_i();
        expect(at(ARENA)(i), i + (19992 & 0x7ff), "a function beside data");
    }
    for (uint32_t i = 0; i < 20000; i++) {
        data[i % 256] = i;
        if (i % 100 == 0) {
            put_function(code, i);
            fence_i();
        }
        expect(at(ARENA)(i), i + (i / 100 * 100 & 0x7ff), "a function rewritten among data");
    }
}

/* Ten million places of two instructions, each called once; then some of them again. */
static void targets(void)
{
    const uint64_t places = 10000384, again = 100000;
    uint64_t sum = 0, wanted = 0;

    for (uint64_t i = 0; i < places; i++)
        put_function((uint32_t *)(ARENA + i * 8), (uint32_t)(i * 7));
    fence_i();
    for (uint64_t i = 0; i < places + 3 * again; i++) {
        const uint64_t place = (i < places ? i : i % again) ^ 0x155;

        sum += at(ARENA + place * 8)(i);
        wanted += i + (place * 7 & 0x7ff);
    }
    expect(sum, wanted, "the sum of all targets");
}

/* ---- Paging ------------------------------------------------------------------------------- */

static uint64_t *const root = (uint64_t *)ROOT;

/* Everything where it is, in pages of 1 GiB; below, the last GiB by tables of 4 KiB pages. */
static void paging_on(void)
{
    uint64_t *middle = (uint64_t *)(ROOT + PAGE);
    uint64_t *low = (uint64_t *)(ROOT + 2 * PAGE);

    for (uint64_t i = 0; i < 512; i++) {
        root[i] = i < 4 ? leaf(i << 30) : 0;
        middle[i] = i < 16 ? (uint64_t)(low + i * 512) >> 2 | 1 : 0;
    }
    root[255] = (uint64_t)middle >> 2 | 1;
    for (uint64_t i = 0; i < 16 * 512; i++)
        low[i] = 0;
    __asm__ volatile("csrw satp, %0; sfence.vma" ::"r"(8ul << 60 | ROOT >> 12) : "memory");
}

static void addresses(void)
{
    uint64_t *low = (uint64_t *)(ROOT + 2 * PAGE);
    const uint64_t pages = 4096;

    put_function((uint32_t *)(ARENA + 0x40), 5);
    put_function((uint32_t *)(ARENA + PAGE + 0x40), 6);
    fence_i();
    paging_on();
    for (uint64_t i = 0; i < pages; i++)
        low[i] = leaf(ARENA);
    __asm__ volatile("sfence.vma" ::: "memory");
    for (uint64_t i = 0; i < 2 * pages; i++)
        expect(at(WINDOW + i % pages * PAGE + 0x40)(i), i + 5, "a page at many addresses");
    for (uint64_t i = 0; i < pages; i += 3) {
        low[i] = leaf(ARENA + PAGE);
        sfence(WINDOW + i * PAGE);
        expect(at(WINDOW + i * PAGE + 0x40)(i), i + 6, "a page that was mapped anew");
    }
    for (uint64_t i = 0; i < pages; i++)
        expect(at(WINDOW + i * PAGE + 0x40)(i), i + (i % 3 ? 5 : 6), "some mapped anew");
    put_function((uint32_t *)(ARENA + 0x40), 9);
    fence_i();
    for (uint64_t i = 0; i < pages; i++)
        expect(at(WINDOW + i * PAGE + 0x40)(i), i + (i % 3 ? 9 : 6), "all of them written");
}

/* A jump into the next page, which is mapped anew behind its back. */
static void links(void)
{
    uint64_t *low = (uint64_t *)(ROOT + 2 * PAGE);

    *(uint32_t *)(ARENA + 0x80) = 0x0000106f; /* j +4096 */
    put_function((uint32_t *)(ARENA + PAGE + 0x80), 7);
    put_function((uint32_t *)(ARENA + 2 * PAGE + 0x80), 8);
    fence_i();
    low[0] = leaf(ARENA);
    for (uint64_t i = 0; i < 1000; i++) {
        low[1] = leaf(ARENA + (1 + i / 10 % 2) * PAGE);
        if (i % 10 == 0)
            sfence(WINDOW + PAGE);
        expect(at(WINDOW + 0x80)(i), i + 7 + i / 10 % 2, "a page that is jumped to");
    }
}

/* Functions of a hundred additions, one after the other: far more than fits, when translated. */
static void memory(void)
{
    const uint64_t functions = 12000, insns = 100;

    for (uint64_t i = 0; i < functions; i++) {
        uint32_t *code = (uint32_t *)(ARENA + i * (insns + 2) * 4);

        for (uint64_t j = 0; j < insns; j++)
            put_function(code + j, (uint32_t)((i ^ j) & 31));
        code[insns] = 0x00008067;
    }
    fence_i();
    for (uint64_t round = 0; round < 6; round++) {
        uint64_t sum = 0, wanted = 0;

        for (uint64_t i = 0; i < functions; i++) {
            for (uint64_t j = 0; j < insns; j++)
                wanted += (i ^ j) & 31;
            sum = at(ARENA + i * (insns + 2) * 4)(sum);
        }
        expect(sum, wanted, "more code than fits");
    }
}

__attribute__((used)) static void guest_main(void)
{
    rewrite();
    print("rewrite: right\n");
    targets();
    print("targets: right\n");
    addresses();
    print("addresses: right\n");
    links();
    print("links: right\n");
    memory();
    print("memory: right\n");
    end();
}
