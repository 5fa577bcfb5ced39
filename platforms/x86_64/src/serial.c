/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_64_internal.h"

/* COM1, a 16550, polled; and the way out. */
#define COM1 0x3f8

void gn_x86_64__serial_init(void)
{
    gn_x86_64__out8(COM1 + 1, 0);    /* no interrupts */
    gn_x86_64__out8(COM1 + 3, 0x80); /* divisor: 115,200 baud */
    gn_x86_64__out8(COM1, 1);
    gn_x86_64__out8(COM1 + 1, 0);
    gn_x86_64__out8(COM1 + 3, 3); /* 8N1 */
    gn_x86_64__out8(COM1 + 2, 7); /* FIFOs, emptied */
    gn_x86_64__out8(COM1 + 4, 3);
}

void gn_x86_64_serial_write(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        /* A PC without a serial port reads ones: ready. */
        while (!(gn_x86_64__in8(COM1 + 5) & 0x20))
            __asm__ volatile("pause");
        gn_x86_64__out8(COM1, (uint8_t)text[i]);
    }
}

static void say(const char *text)
{
    size_t bytes = 0;

    while (text[bytes])
        bytes++;
    gn_x86_64_serial_write(text, bytes);
}

void gn_x86_64__print(const char *name, uint64_t value)
{
    char digit[20];
    uint32_t at = sizeof digit;

    digit[--at] = '\n';
    do {
        digit[--at] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    say(name);
    gn_x86_64_serial_write(digit + at, sizeof digit - at);
}

void gn_x86_64__panic(const char *what)
{
    say("machine: ");
    say(what);
    say("\n");
    gn_x86_64_exit(99);
}

void gn_x86_64_exit(uint32_t status)
{
    static const char shutdown[] = "Shutdown"; /* Bochs ends by this word at this port */

    gn_x86_64__out32(0xf4, 16 + (status > 110 ? 110 : status));
    /* No such device: no QEMU, then. */
    gn_x86_64__print("machine: exit ", status);
    while (!(gn_x86_64__in8(COM1 + 5) & 0x40)) /* all is sent */
        __asm__ volatile("pause");
    for (uint32_t i = 0; shutdown[i]; i++)
        gn_x86_64__out8(0x8900, (uint8_t)shutdown[i]);
    for (;;)
        __asm__ volatile("cli; hlt");
}
