/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_INSN_H
#define RV64_INSN_H

/*
 * Instructions that are work in any case: atomics and fences. The interpreter and translated code
 * call them. They find operands in cpu->x, and neither count nor advance cpu->pc.
 */

#include "decode.h"

/** LR, SC and AMO. @return 0, or -1 with cpu->trap filled */
int rv64_insn_atomic(struct rv64_cpu *cpu, const struct rv64_insn *insn);

/** SFENCE.VMA. @return 0, or -1: illegal instruction */
int rv64_insn_sfence_vma(struct rv64_cpu *cpu, const struct rv64_insn *insn);

/** FENCE.I, as far as the interpreter's decoded code is concerned. */
void rv64_insn_fence_i(struct rv64_cpu *cpu);

#endif /* RV64_INSN_H */
