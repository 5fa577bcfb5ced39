/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_X86_64_INTERNAL_H
#define GN_X86_64_INTERNAL_H

#include "layout.h"

#include <gnomon/x86_64.h>

/* Page-table bits. */
#define PTE_P  0x001u
#define PTE_W  0x002u
#define PTE_U  0x004u
#define PTE_A  0x020u
#define PTE_D  0x040u
#define PTE_PS 0x080u
#define PTE_G  0x100u

#define PTE_ADDRESS 0x000ffffffffff000ull

/* The linker script's, and the tables that boot.S began. */
extern char gn_x86_64__image[], gn_x86_64__user_page[], gn_x86_64__writable[], gn_x86_64__end[],
    gn_x86_64__guard[];
extern uint64_t gn_x86_64__pml5[512], gn_x86_64__pml4[512], gn_x86_64__top[512];
extern const uint64_t gn_x86_64__vector[GN_X86_64__VECTORS];
extern const char gn_x86_64__stubs[];

void gn_x86_64__start(uint32_t protocol, uint32_t information);
void gn_x86_64__processor_init(void);
void gn_x86_64__descriptors_init(void);
void gn_x86_64__boot_read(uint32_t protocol, uint32_t information);
void gn_x86_64__tables_init(void);
void gn_x86_64__frames_init(void);
void gn_x86_64__serial_init(void);
void gn_x86_64__irq_init(void);
void *gn_x86_64__irq(uint32_t line, void *saved);
void *gn_x86_64__trap(struct gn_x86_64_frame *frame, void *saved);
void gn_x86_64__probe_run(struct gn_x86_64_probe *probe);
/** An LDT of one descriptor. */
void gn_x86_64__ldt_load(uint64_t base);

/** Writes a number in hexadecimal, after a name. */
void gn_x86_64__print(const char *name, uint64_t value);
_Noreturn void gn_x86_64__panic(const char *what);

/** The root that maps nothing but the platform. */
gn_hpa_t gn_x86_64__own_root(void);

static inline void gn_x86_64__out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void gn_x86_64__out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t gn_x86_64__in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint64_t gn_x86_64__cr0(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr0, %0" : "=r"(value));
    return value;
}

static inline void gn_x86_64__cr0_set(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr0" : : "r"(value) : "memory");
}

static inline uint64_t gn_x86_64__cr3(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr3, %0" : "=r"(value));
    return value;
}

/* The compiler must not move accesses across it: they may be translated otherwise then. */
static inline void gn_x86_64__cr3_set(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}

static inline uint64_t gn_x86_64__cr4(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr4, %0" : "=r"(value));
    return value;
}

static inline void gn_x86_64__cr4_set(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr4" : : "r"(value) : "memory");
}

static inline uint64_t gn_x86_64__msr(uint32_t number)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
    return (uint64_t)high << 32 | low;
}

static inline void gn_x86_64__msr_set(uint32_t number, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(number)
                     : "memory");
}

#define MSR_EFER  0xc0000080u
#define EFER_NXE  0x800u
#define CR0_WP    0x10000u
#define CR4_PGE   0x80u
#define CR4_PCIDE 0x20000u
#define CR4_SMEP  0x100000u
#define CR4_SMAP  0x200000u
#define CR4_PKE   0x400000u

#endif /* GN_X86_64_INTERNAL_H */
