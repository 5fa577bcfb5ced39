/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_X86_64_LAYOUT_H
#define GN_X86_64_LAYOUT_H

/* What the assembler, the linker script and C agree on. */

/** The image's virtual addresses are its physical ones and this. */
#define GN_X86_64__OFFSET 0xffffffff80000000

/** The topmost entry of a root table is the platform's; what it maps begins here. */
#define GN_X86_64__TOP 0xffffff8000000000

/** User code of probes. */
#define GN_X86_64__USER 0xffffffffc0000000

/* Entries of the page-directory-pointer table there: the first ones map physical memory. */
#define GN_X86_64__SLOT_IMAGE 510
#define GN_X86_64__SLOT_USER  511

/* Selectors. SYSCALL is not used, so that the order is free. */
#define GN_X86_64__CS      0x08
#define GN_X86_64__DS      0x10
#define GN_X86_64__USER_CS 0x1b
#define GN_X86_64__USER_DS 0x23
#define GN_X86_64__CS32    0x28
#define GN_X86_64__DS32    0x30
#define GN_X86_64__TSS     0x38
#define GN_X86_64__LDT     0x48

/* Vectors of the interrupt controller. */
#define GN_X86_64__IRQ     32
#define GN_X86_64__IRQS    16
#define GN_X86_64__VECTORS 48

/* Offsets in struct gn_x86_64_probe. */
#define GN_X86_64__PROBE_GVA    0
#define GN_X86_64__PROBE_VALUE  8
#define GN_X86_64__PROBE_ENTRY  16
#define GN_X86_64__PROBE_FLAGS  24
#define GN_X86_64__PROBE_CS     32
#define GN_X86_64__PROBE_SS     40
#define GN_X86_64__PROBE_VECTOR 48
#define GN_X86_64__PROBE_ERROR  52
#define GN_X86_64__PROBE_CR2    56
#define GN_X86_64__PROBE_RIP    64

#endif /* GN_X86_64_LAYOUT_H */
