/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_PROBE32_H
#define METAL_PROBE32_H

/* The world that makes one access in 32-bit mode: what C and the assembler agree on. */

#define PROBE32_CODE  0xffc00000
#define PROBE32_DATA  0xffc01000
#define PROBE32_STACK 0xffc03000 /* its end */
#define PROBE32_USER  0xffc03000 /* user code */

/* Offsets in the data page. */
#define PROBE32_GDT    0x000
#define PROBE32_TSS    0x080
#define PROBE32_IDT    0x100
#define PROBE32_BACK   0x400 /* far pointer */
#define PROBE32_GVA    0x410
#define PROBE32_VALUE  0x414
#define PROBE32_ENTRY  0x418 /* where the access begins */
#define PROBE32_FLAGS  0x41c
#define PROBE32_RING3  0x420
#define PROBE32_VECTOR 0x424
#define PROBE32_ERROR  0x428
#define PROBE32_EIP    0x42c
#define PROBE32_CR2    0x430

/* Selectors of its GDT. */
#define PROBE32_DS      0x10
#define PROBE32_USER_CS 0x1b
#define PROBE32_USER_DS 0x23
#define PROBE32_CS      0x28
#define PROBE32_TR      0x30

/* Stubs: read, write. */
#define PROBE32_STUB_BYTES 4

#ifndef __ASSEMBLER__
#include <gnomon/x86_64.h>

/** Where the switch page and this world's pages lie, in physical memory. */
#define PROBE32_PAGE 0x1000000u

/** Takes the memory. @return 0, or a negative status */
int probe32_open(void);
/** Maps this world in tables of two levels, or of PAE: the root, and what PDPTE 0 names. */
void probe32_adopt(uint32_t root, int pae);
/** As gn_x86_64_probe_access(), with 32-bit tables in CR3, 4 bytes. @return 0 */
int probe32_access(uint32_t root, int pae, uint32_t controls, uint32_t access,
                   struct gn_x86_64_probe *probe);
#endif

#endif /* METAL_PROBE32_H */
