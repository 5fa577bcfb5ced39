/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "guest.h"

/* The guest's memory map, in guest physical addresses. */
#define ROOT   0x10000 /* level 2: entry 0 maps the first GiB to itself, entry 1 leads to MIDDLE */
#define MIDDLE 0x11000 /* level 1: entry 0 leads to LEAVES */
#define LEAVES 0x12000 /* level 0: filled by the fault handler */
#define POOL   0x20000 /* the pages it hands out */
#define WINDOW 0x40000000 /* virtual: the second GiB, where nothing is mapped at first */

/* Sv39 entries: page number in bits 53..10; V, R, W, X, A and D below. */
#define TABLE(gpa) (((gpa) >> 12 << 10) | 0x01)
#define KERNEL     0xcf /* V R W X A D */
#define DATA       0xc7 /* V R W A D */

/* Registers. */
enum { ZERO, I, N, VA, T, PTE, SLOT, SUM, NEXT };

#define AT(n) (TINY_ENTRY + (n) * sizeof(struct tiny_insn))

static const struct tiny_insn program[] = {
    /* Tables: one large page for itself, an empty table for the window. */
    {TINY_LI, T, 0, KERNEL},
    {TINY_ST, T, ZERO, ROOT},
    {TINY_LI, T, 0, TABLE(MIDDLE)},
    {TINY_ST, T, ZERO, ROOT + 8},
    {TINY_LI, T, 0, TABLE(LEAVES)},
    {TINY_ST, T, ZERO, MIDDLE},
    {TINY_LI, NEXT, 0, POOL},
    {TINY_LI, T, 0, ROOT},
    {TINY_TABLE, T, 0, 0},
    /* Writes i to page i of the window. Every page faults once. */
    {TINY_LI, I, 0, 0},
    {TINY_LI, N, 0, TINY_PAGES},
    {TINY_LI, VA, 0, WINDOW},
    {TINY_ST, I, VA, 0}, /* 12 */
    {TINY_ADD, VA, ZERO, 4096},
    {TINY_ADD, I, ZERO, 1},
    {TINY_BNE, I, N, AT(12)},
    /* Reads them back and adds them up. */
    {TINY_LI, I, 0, 0},
    {TINY_LI, SUM, 0, 0},
    {TINY_LI, VA, 0, WINDOW},
    {TINY_LD, T, VA, 0}, /* 19 */
    {TINY_ADD, SUM, T, 0},
    {TINY_ADD, VA, ZERO, 4096},
    {TINY_ADD, I, ZERO, 1},
    {TINY_BNE, I, N, AT(19)},
    {TINY_HALT, 0, 0, 0},
};

/* A page fault: the next page of the pool is mapped where the access went. */
static const struct tiny_insn handler[] = {
    {TINY_FAULT, SLOT, 0, 0},
    {TINY_SHIFT, SLOT, SLOT, 12},
    {TINY_SHIFT, SLOT, SLOT, 64 + 55}, /* the low 9 bits of the page number ... */
    {TINY_SHIFT, SLOT, SLOT, 52},      /* ... times 8: the entry in LEAVES */
    {TINY_SHIFT, PTE, NEXT, 2},        /* page number << 10 */
    {TINY_ADD, PTE, ZERO, DATA},
    {TINY_ST, PTE, SLOT, LEAVES}, /* a write to a page table: recorded, not trapped */
    {TINY_ADD, NEXT, ZERO, 4096},
    {TINY_FENCE, 0, 0, 0},
    {TINY_RETURN, 0, 0, 0},
};

void tiny_guest_load(uint8_t *ram)
{
    memset(ram, 0, TINY_RAM);
    memcpy(ram + TINY_ENTRY, program, sizeof program);
    memcpy(ram + TINY_HANDLER, handler, sizeof handler);
}
