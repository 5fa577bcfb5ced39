/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_FP_H
#define RV64_TRANSLATE_FP_H

/*
 * Floating point in a block. The f registers that the block uses most have homes in xmm3 to xmm15;
 * gn_regstate says which homes are valid, and which registers memory has. Between blocks memory has
 * all. In a block a result stays in its home; it is saved where the block is left, and where C is
 * called, which may leave it. A block that loops keeps its registers in their homes from one turn
 * to the next: what it writes is dirty where a turn begins, and valid, which the way in sees to.
 */

#include <stdbool.h>
#include <stdint.h>

#include <gnomon/regstate.h>

struct rv64_emit;
struct rv64_insn;
struct x86_rm;

/** Slow paths of a block: one a kind for each instruction, and a group of accesses has it twice. */
#define FP_SLOW_MAX (2 * 6 * 64)

/** What is seldom done, behind the block. */
struct fp_slow {
    uint8_t *from[4]; /**< jumps that come here */
    uint8_t *back;    /**< where they go on */
    uint8_t from_count;
    uint8_t kind;   /**< FP_SLOW_* */
    uint8_t xmm;    /**< of FP_SLOW_NAN */
    bool d;         /**< of FP_SLOW_NAN; of FP_SLOW_REVIVE: MXCSR, too */
    uint32_t insn;  /**< index */
    uint32_t homes; /**< valid where it goes on: f registers */
    uint32_t dirty; /**< f registers that memory does not have, where it begins */
};

struct emit_fp {
    uint8_t home[32];                 /**< XMM register of an f register; 0: none */
    struct gn_regstate_status status; /**< of f0 to f31 */
    struct gn_regstate_status turn;   /**< what it is where a turn of the block's loop begins */
    uint32_t used;                    /**< f registers with homes, */
    uint32_t written;                 /**< and those of them that the block writes */
    uint32_t boxed;                   /**< registers known to hold a NaN-boxed single */
    uint32_t known;                   /**< bits of cpu->jit.fp known to be set */
    struct fp_slow slow[FP_SLOW_MAX];
    uint32_t slow_count;
    uint32_t slow_first; /**< of this emission of the instruction at hand */
};

/** Once a block, when its instructions are known. */
void rv64_emit_fp_begin(struct rv64_emit *e);

/** A call of C was emitted: behind it, nothing is known any more. */
void rv64_emit_fp_forget(struct rv64_emit *e);

/** Before the first instruction of a block that loops: loads what it keeps in homes. */
void rv64_emit_fp_loop(struct rv64_emit *e);

/** May the next turn of the loop begin as things are now? */
bool rv64_emit_fp_again(const struct rv64_emit *e);

/** How many homes are in use. */
uint32_t rv64_emit_fp_home_count(const struct rv64_emit *e);

/** Homes that are valid; and f registers that memory does not have. A bit each. */
uint32_t rv64_emit_fp_homes(const struct rv64_emit *e);
uint32_t rv64_emit_fp_dirty(const struct rv64_emit *e);

/** Says that so it is where more is emitted. */
void rv64_emit_fp_have(struct rv64_emit *e, uint32_t homes, uint32_t dirty);

/** Stores homes to memory, which leaves the flags alone; and loads them. */
void rv64_emit_fp_save(struct rv64_emit *e, uint32_t homes);
void rv64_emit_fp_reload(struct rv64_emit *e, uint32_t homes);

/** Emits a read or write of fflags. @return whether the instruction is one */
bool rv64_emit_fp_flags(struct rv64_emit *e, uint32_t raw);

/** Loads and stores of f registers, RV64_OP_*. */
bool rv64_emit_fp_is_access(uint32_t op);
bool rv64_emit_fp_is_store(uint32_t op);

/** Is FS known to be on? */
bool rv64_emit_fp_is_on(const struct rv64_emit *e);

/** Is this arithmetic that will be emitted without calling C, and with RAX alone? */
bool rv64_emit_fp_is_neutral(const struct rv64_emit *e, const struct rv64_insn *d);

/** The load or store itself, when FS is on, on the host's memory. */
void rv64_emit_fp_transfer(struct rv64_emit *e, const struct rv64_insn *d, struct x86_rm host);

/** Emits what is behind the block. */
void rv64_emit_fp_slow_paths(struct rv64_emit *e);

#endif /* RV64_TRANSLATE_FP_H */
