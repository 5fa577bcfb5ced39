/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SWITCH_GUEST_H
#define GN_SWITCH_GUEST_H

/* The 32-bit guest: its addresses, for C and for the assembler. */

#define LEGACY_CODE   0xc0000000
#define LEGACY_DATA   0xc0001000
#define LEGACY_STACK  0xc0003000 /* its end */
#define LEGACY_PAGES  0xd0000000 /* pages that only this world maps */
#define LEGACY_ABSENT 0xdead0000
#define LEGACY_COUNT  16

/* Offsets in the data page: tables, and what the two worlds tell one another. */
#define LEGACY_GDT     0x000
#define LEGACY_IDT     0x100
#define LEGACY_BACK    0x400 /* far pointer to the page's back */
#define LEGACY_ROUNDS  0x410
#define LEGACY_SUM     0x414 /* of the pages' first words: sum = sum * 31 + word, in their order */
#define LEGACY_FAULTS  0x418 /* of its own, taken in its own IDT */
#define LEGACY_CR2     0x41c
#define LEGACY_ERROR   0x420
#define LEGACY_WRONG   0x424 /* registers that a switch did not keep */
#define LEGACY_NMIS    0x428
#define LEGACY_FAST    0x42c /* not 0: nothing but switches */
#define LEGACY_STI     0x430 /* not 0: and these with interrupts on */
#define LEGACY_IRQS    0x434
#define LEGACY_IRQ_EIP 0x438 /* where the last one came */
#define LEGACY_CHECKS  0x43c

#define LEGACY_IRQ 32 /* the timer's vector */

#define LEGACY_CS 0x28
#define LEGACY_DS 0x10

#endif /* GN_SWITCH_GUEST_H */
