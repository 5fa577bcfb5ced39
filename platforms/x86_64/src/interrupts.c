/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_64_internal.h"

/* The two 8259s, moved off the exceptions' vectors, and channel 0 of the 8254. */

static gn_x86_64_irq_hook *hook;

static void mask(uint32_t lines)
{
    gn_x86_64__out8(0x21, (uint8_t)~lines);
    gn_x86_64__out8(0xa1, (uint8_t)(~lines >> 8));
}

void gn_x86_64__irq_init(void)
{
    gn_x86_64__out8(0x20, 0x11);
    gn_x86_64__out8(0xa0, 0x11);
    gn_x86_64__out8(0x21, GN_X86_64__IRQ);
    gn_x86_64__out8(0xa1, GN_X86_64__IRQ + 8);
    gn_x86_64__out8(0x21, 4);
    gn_x86_64__out8(0xa1, 2);
    gn_x86_64__out8(0x21, 1);
    gn_x86_64__out8(0xa1, 1);
    mask(0);
}

void *gn_x86_64__irq(uint32_t line, void *saved)
{
    if (line >= 8)
        gn_x86_64__out8(0xa0, 0x20);
    gn_x86_64__out8(0x20, 0x20);
    return hook ? hook(line, saved) : saved;
}

void gn_x86_64_irq_enable(gn_x86_64_irq_hook *new_hook, uint32_t lines)
{
    hook = new_hook;
    mask(lines | (lines >> 8 ? 4 : 0)); /* the second controller is line 2 of the first */
    __asm__ volatile("sti" : : : "memory");
}

void gn_x86_64_irq_disable(void)
{
    __asm__ volatile("cli" : : : "memory");
    mask(0);
}

void gn_x86_64_timer_start(uint32_t hz)
{
    const uint32_t divisor = hz < 19 ? 0 : 1193182 / hz;

    gn_x86_64__out8(0x43, 0x34); /* channel 0, both bytes, rate generator */
    gn_x86_64__out8(0x40, (uint8_t)divisor);
    gn_x86_64__out8(0x40, (uint8_t)(divisor >> 8));
}
