/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_FP_EMIT_H
#define RV64_TRANSLATE_FP_EMIT_H

/*
 * Inside floating-point emission: fp.c has registers and slow paths, fp_arith.c what rounds,
 * fp_move.c conversions, comparisons, moves.
 */

#include "emit.h"
#include "fp_mode.h"
#include "fp_x86.h"

/** Temporaries: xmm0 and xmm1 of an instruction, xmm2 for an operand without a home. */
enum { FP_T0, FP_T1, FP_T2, FP_HOME_FIRST };

enum {
    FP_SLOW_REVIVE,    /**< has cpu->jit.fp as needed, and comes back to the instruction */
    FP_SLOW_EXECUTE,   /**< has C execute the instruction, and comes back behind it */
    FP_SLOW_NAN,       /**< loads the canonical NaN */
    FP_SLOW_INTERPRET, /**< leaves the block: the instruction is for the interpreter */
    FP_SLOW_ACCESS,    /**< has C load or store, and comes back behind it */
    FP_SLOW_QUIET,     /**< a quiet comparison of a NaN: comes back behind it */
};

#define FP_NAN_D UINT64_C(0x7ff8000000000000)
#define FP_NAN_S UINT64_C(0xffffffff7fc00000)

/** An instruction, taken apart. */
struct fp_insn {
    uint32_t raw;
    uint32_t rd;
    uint32_t rs1;
    uint32_t rs2;
    uint32_t rs3;
    uint32_t rm;
    bool d;
};

/** Takes one apart. */
struct fp_insn rv64_fp_take_apart(const struct emit_insn *insn);

/** FP_SLOW_QUIET, for the comparison whose first instruction this is. */
void rv64_fp_slow_quiet(struct rv64_emit *e, uint32_t index);

/** The slow path of this kind of the instruction being emitted; a jump is added to it. */
void rv64_fp_slow(struct rv64_emit *e, uint32_t kind, uint8_t *from);

/** Where FP_SLOW_NAN comes back to is here; xmm gets the NaN. */
void rv64_fp_slow_nan(struct rv64_emit *e, uint8_t *from, uint32_t xmm, bool d);

/** The instruction is emitted: its FP_SLOW_EXECUTE, if any, comes back here. */
void rv64_fp_slow_here(struct rv64_emit *e);

/** Has bits of cpu->jit.fp set, or leaves. */
void rv64_fp_need(struct rv64_emit *e, uint32_t bits);

/**
 * Has MXCSR round as the instruction says. @return false: only C can do that
 */
bool rv64_fp_need_rounding(struct rv64_emit *e, uint32_t rm);

/** The XMM register that has f: its home, or the temporary it is loaded to. */
uint32_t rv64_fp_in(struct rv64_emit *e, uint32_t f, uint32_t temporary);

/** f as an operand: its home, or memory. */
struct x86_rm rv64_fp_operand(struct rv64_emit *e, uint32_t f);

/** Sees that f is NaN-boxed if it is a single. */
void rv64_fp_unbox(struct rv64_emit *e, uint32_t f, bool d);

/** Where to compute a result for rd that may not be one of the operands: home, or temporary. */
uint32_t rv64_fp_target(struct rv64_emit *e, uint32_t rd, uint32_t temporary);

/** rd is in this XMM register now; it goes to its home, or to memory if it has none. */
void rv64_fp_result(struct rv64_emit *e, uint32_t rd, uint32_t xmm, bool d);

/** xmm = constant. RAX is written. */
void rv64_fp_constant(struct rv64_emit *e, uint32_t xmm, uint64_t value);

/** to = from, unless they are the same. */
void rv64_fp_move(struct rv64_emit *e, uint32_t to, uint32_t from);

/** Bodies of thunks: see THUNK_READ_FLAGS. */
void rv64_fp_thunk_read_flags(struct x86 *a);
void rv64_fp_thunk_write_flags(struct x86 *a);

/** Has C execute the instruction, in line. */
void rv64_fp_execute(struct rv64_emit *e);

/** These emit an instruction; false: it is none of theirs, or C is to do it. */
bool rv64_fp_arith(struct rv64_emit *e, const struct fp_insn *i);
bool rv64_fp_convert(struct rv64_emit *e, const struct fp_insn *i);
bool rv64_fp_compare(struct rv64_emit *e, const struct fp_insn *i);

#endif /* RV64_TRANSLATE_FP_EMIT_H */
