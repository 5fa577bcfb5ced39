/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TINY_GUEST_H
#define TINY_GUEST_H

/* The guest of tiny: a toy instruction set over RISC-V Sv39 page tables. */

#include <stdint.h>

#define TINY_RAM     UINT64_C(0x200000) /**< bytes of guest RAM, from guest physical address 0 */
#define TINY_ENTRY   UINT64_C(0x1000)   /**< where the guest begins */
#define TINY_HANDLER UINT64_C(0x2000)   /**< where its page faults go */
#define TINY_PAGES   64                 /**< pages that it touches */
#define TINY_RESULT  7                  /**< register that holds the sum when it is done */

/* Instructions. a and b are registers of 64 bits; an instruction is 16 bytes long. */
enum {
    TINY_HALT,
    TINY_LI,     /**< a = imm */
    TINY_ADD,    /**< a += b + imm */
    TINY_SHIFT,  /**< a = b >> imm; imm of 64 + n: a = b << n */
    TINY_LD,     /**< a = 8 bytes at b + imm */
    TINY_ST,     /**< 8 bytes at b + imm = a */
    TINY_BNE,    /**< if (a != b) goto imm */
    TINY_TABLE,  /**< root of the page tables = a, and a fence */
    TINY_FENCE,  /**< tables were changed: a coherence point */
    TINY_FAULT,  /**< a = the address that faulted */
    TINY_RETURN, /**< goes back to the instruction that faulted */
};

struct tiny_insn {
    uint32_t op;
    uint16_t a;
    uint16_t b;
    uint64_t imm;
};

/** Puts the program into guest RAM. */
void tiny_guest_load(uint8_t *ram);

#endif /* TINY_GUEST_H */
