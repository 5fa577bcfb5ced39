/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_64_internal.h"

/* Segments, the TSS with its interrupt stacks, gates; and what becomes of an exception. */

#define STACKS      7
#define STACK_BYTES 8192

/* SDM vol. 3A figure 8-11. */
struct __attribute__((packed)) tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[STACKS];
    uint64_t reserved2;
    uint16_t reserved3, io_map;
};

struct gate {
    uint16_t low, selector, flags, middle;
    uint32_t high, reserved;
};

struct __attribute__((packed)) pointer {
    uint16_t limit;
    uint64_t base;
};

static uint8_t stack[STACKS][STACK_BYTES] __attribute__((aligned(4096)));
static struct tss tss;
static struct gate idt[GN_X86_64__VECTORS] __attribute__((aligned(16)));
static uint64_t gdt[GN_X86_64__LDT / 8 + 2];
static gn_x86_64_hook *hook;

/*
 * Which of the TSS's stacks an exception takes, from 1. Those that can interrupt the handler of
 * another (NMI, #MC, #DB, a double fault) have their own; so has #PF, which is the common one.
 */
static uint16_t stack_of(uint32_t vector)
{
    switch (vector) {
    case 8: return 1;
    case 2: return 2;
    case 18: return 3;
    case 1: return 4;
    case 14: return 5;
    case 10:
    case 11:
    case 12:
    case 13: return 6;
    default: return 7;
    }
}

/* Interrupts stay on the stack that they interrupt: a scheduler leaves it there. */
static void gate_set(uint32_t vector)
{
    const uint64_t to = gn_x86_64__vector[vector];
    const uint16_t user = vector == 3 || vector == 4; /* INT3 and INTO may be called from ring 3 */
    const uint16_t ist = vector < GN_X86_64__IRQ ? stack_of(vector) : 0;

    idt[vector] = (struct gate){
        .low = (uint16_t)to,
        .selector = GN_X86_64__CS,
        .flags = (uint16_t)(0x8e00 | (user ? 0x6000 : 0) | ist),
        .middle = (uint16_t)(to >> 16),
        .high = (uint32_t)(to >> 32),
    };
}

/* A descriptor of 16 bytes: SDM vol. 3A figure 8-4. */
static void system_set(uint32_t selector, uint64_t type, uint64_t base, uint32_t limit)
{
    gdt[selector / 8] = type << 40 | limit | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    gdt[selector / 8 + 1] = base >> 32;
}

/* The processor looks at no descriptor before one is asked for. */
void gn_x86_64__ldt_load(uint64_t base)
{
    system_set(GN_X86_64__LDT, 0x82, base, 7);
    __asm__ volatile("lldt %w0" : : "r"(GN_X86_64__LDT) : "memory");
}

void gn_x86_64__descriptors_init(void)
{
    const struct pointer gdtr = {sizeof gdt - 1, (uint64_t)(uintptr_t)gdt};
    const struct pointer idtr = {sizeof idt - 1, (uint64_t)(uintptr_t)idt};

    for (uint32_t i = 0; i < STACKS; i++)
        tss.ist[i] = (uint64_t)(uintptr_t)stack[i] + STACK_BYTES;
    tss.rsp[0] = tss.ist[6];
    tss.io_map = sizeof tss;
    gdt[GN_X86_64__CS / 8] = 0x00af9b000000ffff;
    gdt[GN_X86_64__DS / 8] = 0x00cf93000000ffff;
    gdt[GN_X86_64__USER_CS / 8] = 0x00affb000000ffff;
    gdt[GN_X86_64__USER_DS / 8] = 0x00cff3000000ffff;
    gdt[GN_X86_64__CS32 / 8] = 0x00cf9b000000ffff;
    gdt[GN_X86_64__DS32 / 8] = 0x00cf93000000ffff;
    system_set(GN_X86_64__TSS, 0x89, (uint64_t)(uintptr_t)&tss, sizeof tss - 1);
    for (uint32_t i = 0; i < GN_X86_64__VECTORS; i++)
        gate_set(i);
    __asm__ volatile("lgdt %0" : : "m"(gdtr) : "memory");
    __asm__ volatile("lidt %0" : : "m"(idtr) : "memory");
    __asm__ volatile("ltr %w0" : : "r"(GN_X86_64__TSS) : "memory");
}

void gn_x86_64_exception_hook(gn_x86_64_hook *new_hook)
{
    hook = new_hook;
}

static void describe(const struct gn_x86_64_frame *f)
{
    uint64_t cr2;

    __asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
    gn_x86_64__print("exception ", f->vector);
    gn_x86_64__print("  error   ", f->error);
    gn_x86_64__print("  cr2     ", cr2);
    gn_x86_64__print("  cr3     ", gn_x86_64__cr3());
    gn_x86_64__print("  rip     ", f->rip);
    gn_x86_64__print("  cs      ", f->cs);
    gn_x86_64__print("  rflags  ", f->rflags);
    gn_x86_64__print("  rsp     ", f->rsp);
    gn_x86_64__print("  rax     ", f->rax);
    gn_x86_64__print("  rbx     ", f->rbx);
    gn_x86_64__print("  rcx     ", f->rcx);
    gn_x86_64__print("  rdx     ", f->rdx);
    gn_x86_64__print("  rsi     ", f->rsi);
    gn_x86_64__print("  rdi     ", f->rdi);
}

void *gn_x86_64__trap(struct gn_x86_64_frame *frame, void *saved)
{
    if (frame->vector >= GN_X86_64__IRQ)
        return gn_x86_64__irq((uint32_t)frame->vector - GN_X86_64__IRQ, saved);
    if (hook && hook(frame))
        return saved;
    describe(frame);
    gn_x86_64__panic("an exception that nobody asked for");
}
