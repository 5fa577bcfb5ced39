/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_MODESWITCH_FIELDS_H
#define GN_MODESWITCH_FIELDS_H

/* Where what lies in a switch page, for C and for the assembler. Code is from 0 to F_DATA. */

#define F_DATA 0x800

/* The page's own. */
#define F_GDTR    0x800 /* 10 bytes */
#define F_IDTR    0x810 /* 10 bytes */
#define F_TO32    0x820 /* far pointer, 6 bytes */
#define F_TO64    0x828
#define F_PENDING 0x830 /* bit 0: an NMI, bit 1: a machine check */
#define F_LATCHED 0x834 /* how many */

/* The 64-bit world. */
#define L_RSP  0x840
#define L_CR0  0x848
#define L_CR3  0x850
#define L_CR4  0x858
#define L_EFER 0x860
#define L_FS   0x868 /* bases */
#define L_GS   0x870
#define L_GDTR 0x878 /* 10 bytes */
#define L_IDTR 0x888 /* 10 bytes */
#define L_TR   0x898
#define L_DS   0x89a /* selectors */
#define L_ES   0x89c
#define L_FSS  0x89e
#define L_GSS  0x8a0
#define L_SS   0x8a2
#define L_PCID 0x8a4 /* CR3 with its PCID; the root is below 4 GiB */

/* The 32-bit world. */
#define C_ESP  0x8b0 /* far pointer, 6 bytes */
#define C_SS   0x8b4
#define C_CR0  0x8b8
#define C_CR3  0x8bc
#define C_CR4  0x8c0
#define C_EFER 0x8c4
#define C_GDTR 0x8c8 /* 6 bytes */
#define C_IDTR 0x8d0
#define C_TR   0x8d8
#define F_ESP0 0x8e0 /* where it begins */
#define F_EIP0 0x8e8 /* far pointer, 6 bytes */

/* MSRs: the 64-bit world's value, the 32-bit world's. */
#define F_MSR       0x900
#define F_MSR_BYTES 16

#define F_GDT 0x9c0 /* 16 entries */
#define F_IDT 0xa80 /* 19 gates of 16 bytes */

#define F_FIRST 0xbc0 /* the 32-bit world's first frame */

#define F_STACK 0x1000 /* downwards */

#endif /* GN_MODESWITCH_FIELDS_H */
