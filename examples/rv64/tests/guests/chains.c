/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A guest of its own, in S-mode without an operating system, that walks chains of pointers while
 * the pages change under them.
 *
 *   walk      a chain through pages that are anywhere in memory, long enough for them to be mapped
 *             by the host as the guest maps them
 *   alias     links are written by another address of their page
 *   remap     a page is another one from a fence on
 *   rights    a page may not be read any more, from a fence on
 *   code      a page that is walked has code, too, which changes
 *   roots     two address spaces have other pages at the same addresses, and take turns
 *   many      more pages are walked than are worth it
 */

#include "guest.h"

#define ROOT  0x83000000ul
#define OTHER 0x83100000ul
#define DATA  0x84000000ul                  /* memory of the pages */
#define CHAIN 0x4000000000ul - 0x40000000ul /* their addresses: the last GiB of low ones */
#define MANY  6000ul

static uint64_t volatile traps, trap_value;

/* A page fault of a load: the load that trapped, of four bytes or two, gives 0. */
__asm__(".balign 4\n"
        "on_trap:\n"
        "    csrr t0, stval\n"
        "    la t1, trap_value\n"
        "    sd t0, 0(t1)\n"
        "    la t1, traps\n"
        "    ld t0, 0(t1)\n"
        "    addi t0, t0, 1\n"
        "    sd t0, 0(t1)\n"
        "    csrr t0, sepc\n"
        "    lhu t1, 0(t0)\n"
        "    andi t1, t1, 3\n"
        "    addi t1, t1, -3\n"
        "    snez t1, t1\n"
        "    slli t1, t1, 1\n"
        "    sub t0, t0, t1\n"
        "    addi t0, t0, 4\n"
        "    csrw sepc, t0\n"
        "    li a5, 0\n"
        "    sret\n");

/* Walks until 0 is found, or so many links. @return the last address, or 0 */
static uint64_t walk(uint64_t from, uint64_t links)
{
    register uint64_t at __asm__("a5") = from;

    __asm__ volatile("1: ld a5, 0(a5)\n"
                     "   addi %1, %1, -1\n"
                     "   beqz a5, 2f\n"
                     "   bnez %1, 1b\n"
                     "2:\n"
                     : "+r"(at), "+r"(links)
                     :
                     : "t0", "t1", "memory");
    return at;
}

/* The same, each link with a load beside it; the sum of those. */
static uint64_t sum(uint64_t from, uint64_t links)
{
    register uint64_t at __asm__("a5") = from;
    uint64_t total = 0, value;

    __asm__ volatile("1: ld %2, 8(a5)\n"
                     "   ld a5, 0(a5)\n"
                     "   add %1, %1, %2\n"
                     "   addi %3, %3, -1\n"
                     "   bnez %3, 1b\n"
                     : "+r"(at), "+r"(total), "=&r"(value), "+r"(links)
                     :
                     : "t0", "t1", "memory");
    return total;
}

static uint64_t *low_of(uint64_t root)
{
    return (uint64_t *)(root + 2 * PAGE);
}

/* Memory of page i: not beside that of its neighbours. */
static uint64_t place(uint64_t i)
{
    return DATA + (i * 2731 & 8191) * PAGE;
}

static uint64_t virtual(uint64_t i)
{
    return CHAIN + i * PAGE + i % 64 * 64;
}

/* The word of page i, by its memory's address, which is mapped, too. */
static volatile uint64_t *word(uint64_t i)
{
    return (volatile uint64_t *)(place(i) + i % 64 * 64);
}

/* A ring through so many pages, in an order of its own; page i has i beside its link. */
static void ring(uint64_t pages, uint64_t step)
{
    for (uint64_t i = 0; i < pages; i++) {
        word(i)[0] = virtual((i + step) % pages);
        word(i)[1] = i;
    }
}

static void tables(uint64_t at)
{
    uint64_t *root = (uint64_t *)at, *middle = (uint64_t *)(at + PAGE);

    for (uint64_t i = 0; i < 512; i++) {
        root[i] = i < 4 ? leaf(i << 30) : 0;
        middle[i] = i < 16 ? (uint64_t)(low_of(at) + i * 512) >> 2 | 1 : 0;
    }
    root[255] = (uint64_t)middle >> 2 | 1;
    for (uint64_t i = 0; i < 16 * 512; i++)
        low_of(at)[i] = i < MANY ? leaf(place(i)) : 0;
}

static void space(uint64_t root, uint64_t asid)
{
    __asm__ volatile("csrw satp, %0" ::"r"(8ul << 60 | asid << 44 | root >> 12) : "memory");
}

/* Back where it began, after whole turns. */
static void turns(uint64_t pages, uint64_t links, const char *what)
{
    expect(walk(virtual(0), links / pages * pages), virtual(0), what);
}

static void walks(void)
{
    for (uint64_t pages = 4; pages <= 256; pages *= 8) {
        ring(pages, 3);
        turns(pages, 800000, "a chain");
        expect(sum(virtual(0), 64 * pages), 64 * (pages * (pages - 1) / 2), "a sum of a chain");
    }
}

static void alias(void)
{
    ring(16, 3);
    for (uint64_t i = 0; i < 200; i++) {
        turns(16, 4000, "a chain, before a link is written");
        word(i % 16)[0] = virtual(i % 16);
        expect(walk(virtual(0), 100), virtual(i % 16),
               "a link that was written by another address");
        *(volatile uint64_t *)virtual(i % 16) = virtual((i + 3) % 16);
    }
}

/* Page 5 and page 16 take turns at the address of page 5: one links on, the other to itself. */
static void remap(void)
{
    ring(16, 3);
    *(volatile uint64_t *)(place(16) + 5 * 64) = virtual(5);
    for (uint64_t i = 0; i < 200; i++) {
        turns(16, 48000, "a chain, before a page is mapped anew");
        low_of(ROOT)[5] = leaf(place(16));
        sfence(virtual(5));
        expect(walk(virtual(0), 8000), virtual(5), "a page that was mapped anew");
        low_of(ROOT)[5] = leaf(place(5));
        sfence(virtual(5));
    }
}

static void rights(void)
{
    ring(16, 3);
    for (uint64_t i = 0; i < 200; i++) {
        uint64_t *entry = &low_of(ROOT)[i % 16], before = traps;

        turns(16, 4000, "a chain, before a page may not be read");
        *entry &= i % 3 ? ~2ul : ~1ul; /* R; V */
        sfence(virtual(i % 16));
        expect(walk(virtual(0), 100), 0, "a page that may not be read");
        expect(traps, before + 1, "one trap");
        expect(trap_value, virtual(i % 16), "the address that trapped");
        *entry |= 3;
        sfence(virtual(i % 16));
    }
}

static void code(void)
{
    uint32_t *function = (uint32_t *)(CHAIN + 7 * PAGE + 2048);

    ring(16, 3);
    for (uint32_t i = 0; i < 200; i++) {
        turns(16, 4000, "a chain beside code");
        put_function(i % 2 ? function : (uint32_t *)(place(7) + 2048), i);
        fence_i();
        expect(at((uint64_t)function)(i), 2 * i, "code in a page of a chain");
    }
}

static void roots(void)
{
    tables(OTHER);
    for (uint64_t i = 0; i < 16; i++) {
        low_of(OTHER)[i] = leaf(place(i + 16));
        *(volatile uint64_t *)(place(i + 16) + i * 64) = virtual((i + 5) % 16);
    }
    ring(16, 3);
    for (uint64_t i = 0; i < 200; i++) {
        turns(16, 4000, "a chain of one address space");
        expect(walk(virtual(0), 3), virtual(9), "links of one address space");
        space(OTHER, 2);
        turns(16, 4000, "a chain of another address space");
        expect(walk(virtual(0), 3), virtual(15), "links of another address space");
        space(ROOT, 1);
    }
}

static void many(void)
{
    ring(MANY, 7);
    turns(MANY, 4000000, "a long chain");
    ring(16, 3);
    turns(16, 800000, "a short chain, after a long one");
}

__attribute__((used)) static void guest_main(void)
{
    __asm__ volatile("la t0, on_trap; csrw stvec, t0" ::: "t0");
    tables(ROOT);
    space(ROOT, 1);
    __asm__ volatile("sfence.vma" ::: "memory");
    walks();
    print("walk: right\n");
    alias();
    print("alias: right\n");
    remap();
    print("remap: right\n");
    rights();
    print("rights: right\n");
    code();
    print("code: right\n");
    roots();
    print("roots: right\n");
    many();
    print("many: right\n");
    end();
}
