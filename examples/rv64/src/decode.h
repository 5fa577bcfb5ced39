/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_DECODE_H
#define RV64_DECODE_H

/*
 * Decoded instructions, and the cache of them.
 *
 * The cache is keyed by guest physical page, so that a page of code mapped in many address spaces
 * is decoded once. A page has an entry for each of its 2048 halfwords; where an instruction begins
 * is found out by executing it. The address of an entry is the program counter: the interpreter
 * keeps no other.
 *
 *      va --(jump table: va, satp, privilege)--> code page --(halfword)--> entry
 *                     | miss
 *                     v
 *      rv64_mmu_fetch_page --(gpa)--> code page, compared with memory if a FENCE.I passed
 */

#include <stdbool.h>
#include <stdint.h>

#include "mmu.h"

/*
 * What an entry can be. A name that begins with C_ is two bytes long, all others are four. _FAR
 * jumps leave the page, or may; the others have the distance in entries precomputed. A row is what
 * belongs together.
 */
/* clang-format off */
#define RV64_OPS(X)                                                                                \
    X(UNDECODED) X(PAGE_END) X(STRADDLE) X(ILLEGAL)                                                \
    X(NOP) X(C_NOP) X(LUI) X(C_LUI) X(AUIPC)                                                       \
    X(J) X(J_FAR) X(JAL) X(JAL_FAR) X(JR) X(JALR) X(C_JALR)                                        \
    X(BEQ) X(BNE) X(BLT) X(BGE) X(BLTU) X(BGEU) X(C_BEQZ) X(C_BNEZ)                                \
    X(BEQ_FAR) X(BNE_FAR) X(BLT_FAR) X(BGE_FAR) X(BLTU_FAR) X(BGEU_FAR)                            \
    X(C_BEQZ_FAR) X(C_BNEZ_FAR)                                                                    \
    X(LB) X(LH) X(LW) X(LD) X(LBU) X(LHU) X(LWU) X(C_LW) X(C_LD)                                   \
    X(SB) X(SH) X(SW) X(SD) X(C_SW) X(C_SD)                                                        \
    X(FLW) X(FLD) X(FSW) X(FSD) X(C_FLD) X(C_FSD)                                                  \
    X(ADDI) X(SLTI) X(SLTIU) X(XORI) X(ORI) X(ANDI) X(SLLI) X(SRLI) X(SRAI)                        \
    X(C_ADDI) X(C_ANDI) X(C_SLLI) X(C_SRLI) X(C_SRAI)                                              \
    X(ADDIW) X(SLLIW) X(SRLIW) X(SRAIW) X(C_ADDIW)                                                 \
    X(ADD) X(SUB) X(SLL) X(SLT) X(SLTU) X(XOR) X(SRL) X(SRA) X(OR) X(AND)                          \
    X(C_ADD) X(C_SUB) X(C_XOR) X(C_OR) X(C_AND) X(C_MV)                                            \
    X(ADDW) X(SUBW) X(SLLW) X(SRLW) X(SRAW) X(C_ADDW) X(C_SUBW)                                    \
    X(MUL) X(MULH) X(MULHSU) X(MULHU) X(DIV) X(DIVU) X(REM) X(REMU)                                \
    X(MULW) X(DIVW) X(DIVUW) X(REMW) X(REMUW)                                                      \
    X(LR_W) X(LR_D) X(SC_W) X(SC_D) X(AMO_W) X(AMO_D)                                              \
    X(CSR) X(FP)                                                                                   \
    X(FENCE_I) X(SFENCE_VMA) X(ECALL) X(EBREAK) X(C_EBREAK) X(SRET) X(MRET) X(WFI)
/* clang-format on */

#define RV64_OP_ENUM(name) RV64_OP_##name,
enum { RV64_OPS(RV64_OP_ENUM) RV64_OP_COUNT };
#undef RV64_OP_ENUM

/** A decoded instruction. rd is 32 instead of 0 where an integer result is to be thrown away. */
struct rv64_insn {
    uint8_t op; /**< RV64_OP_* */
    uint8_t rd;
    uint8_t rs1;
    uint8_t rs2;
    int32_t imm; /**< immediate; near jumps: bytes of entries; CSR and FP: the instruction */
};

/** Bytes of entries that a byte of code takes, as a shift: 8 bytes of entry for 2 of code. */
#define RV64_INSN_SHIFT 2

/** Offset to give rv64_decode() for an instruction whose jumps are all to be far. */
#define RV64_OFFSET_NONE 0x10000u

/**
 * Decodes an instruction: the low half of raw if its two low bits are not both set.
 * @param offset  of the instruction in its page, in bytes; or RV64_OFFSET_NONE
 */
void rv64_decode(uint32_t raw, uint32_t offset, struct rv64_insn *ret_insn);

/** The 32-bit instruction that a compressed one stands for, or 0: illegal. */
uint32_t rv64_decode_expand(uint16_t raw);

#define RV64_PAGE_INSNS 2048

/** A page of code. The entries come first: the address of a page is that of its first entry. */
struct rv64_code_page {
    struct rv64_insn insn[RV64_PAGE_INSNS + 1]; /**< the last one crosses into the next page */
    uint8_t copy[GN_PAGE_SIZE];                 /**< what was decoded, or will be */
    uint64_t gpa;
    uint64_t epoch;  /**< rv64_decode_cache.epoch when the copy was last known to be good */
    uint32_t next;   /**< in its bucket: index + 1, 0 ends */
    bool used;       /**< holds a page */
    bool referenced; /**< second chance */
};

/** Says that a virtual page is a code page, in an address space and at a privilege. */
struct rv64_jump {
    uint64_t tag; /**< virtual page | generation */
    uint64_t key;
    struct rv64_code_page *page;
};

#define RV64_JUMPS            512u
#define RV64_JUMP_GENERATIONS GN_PAGE_SIZE
#define RV64_DECODE_BUCKETS   2048u

/** Code pages that make up about 24 MiB. */
#define RV64_DECODE_PAGES_DEFAULT 1220u

struct rv64_decode_cache {
    uint64_t key;        /**< address space and privilege in force, see rv64_decode_key() */
    uint64_t generation; /**< of the jump table: 1 to RV64_JUMP_GENERATIONS - 1 */
    uint64_t epoch;      /**< counts FENCE.I */
    uint64_t count_end;  /**< instructions retired when the running block's countdown is 0 */
    struct rv64_code_page *current; /**< being executed */
    uint32_t straddle_raw;
    struct rv64_insn straddle[3]; /**< an instruction that straddles two pages, and what follows */
    struct rv64_jump jumps[RV64_JUMPS];
    uint32_t buckets[RV64_DECODE_BUCKETS]; /**< by gpa: index + 1 of a code page, 0 is empty */
    struct rv64_code_page *pages;
    uint32_t page_count;
    uint32_t hand; /**< of the clock */
};

struct rv64_cpu;

/** Makes a cache of that many code pages, which take memory when they are used. NULL: none left. */
struct rv64_decode_cache *rv64_decode_cache_new(uint32_t pages);

/** Frees a cache; NULL is accepted. */
void rv64_decode_cache_free(struct rv64_decode_cache *cache);

/** Forgets which virtual page is which code page. */
void rv64_decode_flush_jumps(struct rv64_decode_cache *cache);

/** Names address space and privilege: satp's mode is 0 or 8, which leaves bits 60 and 61 free. */
static inline uint64_t rv64_decode_key(uint64_t satp, uint8_t priv)
{
    return satp | (uint64_t)priv << 60;
}

/** The code page of a virtual address if the jump table knows it, else NULL. */
static inline struct rv64_code_page *rv64_decode_lookup(struct rv64_decode_cache *cache,
                                                        uint64_t va)
{
    struct rv64_jump *jump = &cache->jumps[(va >> GN_PAGE_SHIFT) % RV64_JUMPS];

    if (jump->tag == ((va & ~GN_PAGE_MASK) | cache->generation) && jump->key == cache->key)
        return jump->page;
    return NULL;
}

/**
 * The code page of a virtual address, whatever it takes. May evict any other page.
 * @return NULL with cpu->trap filled if the fetch faults
 */
struct rv64_code_page *rv64_decode_enter(struct rv64_cpu *cpu, uint64_t va);

/** Decodes the entry in place, which is one of cache->current. */
void rv64_decode_entry(struct rv64_cpu *cpu, struct rv64_insn *insn);

/** The bits of the instruction that an entry of cache->current, or cache->straddle, came from. */
uint32_t rv64_decode_raw(const struct rv64_decode_cache *cache, const struct rv64_insn *insn);

/** Has code pages in [gpa, gpa + length) compared with memory before they are executed again. */
void rv64_decode_code_changed(struct rv64_decode_cache *cache, uint64_t gpa, uint64_t length);

#endif /* RV64_DECODE_H */
