/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_FP_H
#define RV64_TRANSLATE_FP_H

/*
 * Floating point in a block. The f registers that the block uses most have homes in xmm3 to xmm15,
 * for the block alone; gn_regstate says which homes are valid. A result goes to its home and to
 * memory, so that between instructions memory is good, whoever looks; only C called from the middle
 * of a block costs the homes, and what calls it in a slow path loads them again behind the call.
 */

#include <stdbool.h>
#include <stdint.h>

#include <gnomon/regstate.h>

struct rv64_emit;

/** Slow paths an instruction may have. */
#define FP_SLOW_MAX (3 * 64 + 8)

/** What is seldom done, behind the block. */
struct fp_slow {
    uint8_t *from[3]; /**< jumps that come here */
    uint8_t *back;    /**< where they go on */
    uint8_t from_count;
    uint8_t kind;   /**< FP_SLOW_* */
    uint8_t xmm;    /**< of FP_SLOW_NAN */
    bool d;         /**< of FP_SLOW_NAN; of FP_SLOW_REVIVE: MXCSR, too */
    uint32_t insn;  /**< index */
    uint32_t homes; /**< valid where it goes on: f registers */
};

struct emit_fp {
    uint8_t home[32];                 /**< XMM register of an f register; 0: none */
    struct gn_regstate_status status; /**< of f0 to f31 */
    uint32_t boxed;                   /**< registers known to hold a NaN-boxed single */
    uint32_t known;                   /**< bits of cpu->jit.fp known to be set */
    struct fp_slow slow[FP_SLOW_MAX];
    uint32_t slow_count;
};

/** Once a block, when its instructions are known. */
void rv64_emit_fp_begin(struct rv64_emit *e);

/** A call of C was emitted: behind it, nothing is known any more. */
void rv64_emit_fp_forget(struct rv64_emit *e);

/** For slow paths that call C and come back: which homes are valid now; */
uint32_t rv64_emit_fp_homes(const struct rv64_emit *e);

/** that they are valid where more of the slow path is emitted; */
void rv64_emit_fp_have(struct rv64_emit *e, uint32_t homes);

/** and their loads, for behind the call. */
void rv64_emit_fp_reload(struct rv64_emit *e, uint32_t homes);

/** Emits what is behind the block. */
void rv64_emit_fp_slow_paths(struct rv64_emit *e);

#endif /* RV64_TRANSLATE_FP_H */
