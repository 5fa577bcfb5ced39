/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_FP_H
#define RV64_TRANSLATE_FP_H

/*
 * f registers, lazily. Each may have one home in xmm3 to xmm15, which it shares with one or two
 * others; cpu->jit has two bits for each, is its home valid, is it saved, that hold between any two
 * instructions of the host. gn_regstate has the algebra.
 *
 * A block declares what it does: the f registers that it uses most and that share no home are to be
 * valid; those that share homes with them are to be saved, and lose them; those of the first that
 * it writes are not saved from its entry on. The others it uses where memory has them.
 *
 *     entry:  are these valid, and those not saved?  no: what is missing is done
 *     fast:   ... nothing is loaded, saved or asked, and nothing is noted: it is so already ...
 *
 * Exits of blocks that leave all of this as it is needed are linked to the fast entry. Blocks that
 * use no f registers neither ask nor change anything. Before C runs, and where translated code is
 * left, THUNK_F_SAVE saves what is not saved; the homes are lost then. When C comes back to a block
 * it has its homes fixed again.
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
    uint8_t kind;  /**< FP_SLOW_* */
    uint8_t xmm;   /**< of FP_SLOW_NAN */
    bool d;        /**< of FP_SLOW_NAN; of FP_SLOW_REVIVE: MXCSR, too */
    uint32_t insn; /**< index */
};

struct emit_fp {
    uint8_t home[32]; /**< XMM register of an f register; 0: none */
    uint64_t state;   /**< what has a home, and above it what of that is written */
    uint8_t *fix;     /**< code that has the homes fixed; NULL: there are none */
    uint8_t *missing; /**< jump of the entry, if they do not fit */
    uint32_t boxed;   /**< registers known to hold a NaN-boxed single */
    uint32_t known;   /**< bits of cpu->jit.fp known to be set */
    struct fp_slow slow[FP_SLOW_MAX];
    uint32_t slow_count;
    uint32_t slow_first; /**< of this emission of the instruction at hand */
};

/** Once a block, when its instructions are known. */
void rv64_emit_fp_begin(struct rv64_emit *e);

/** Emits the entries of the block; and, behind it, what the checked one finds missing. */
void rv64_emit_fp_enter(struct rv64_emit *e);
void rv64_emit_fp_missing(struct rv64_emit *e);

/** A call of C was emitted: behind it, homes are fixed, and nothing else is known any more. */
void rv64_emit_fp_called(struct rv64_emit *e);

/** As rv64_emit_fp(): a comparison around which flags are read, and written back. */
uint32_t rv64_emit_fp_quiet(struct rv64_emit *e);

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
