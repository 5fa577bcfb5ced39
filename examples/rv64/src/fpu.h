/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_FPU_H
#define RV64_FPU_H

/*
 * The F and D extensions: RISC-V Unprivileged ISA 20191213, chapters 11 and 12. Loads and stores
 * are the interpreter's; everything under the opcodes OP-FP, FMADD, FMSUB, FNMSUB and FNMADD is
 * here. The host's IEEE 754 arithmetic does the work; what RISC-V wants differently is put right
 * afterwards.
 *
 * Files that use it are compiled with -frounding-math -ffp-contract=off and without fast-math.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cpu.h"

/* Rounding modes: values of the rm field and of frm. */
#define RV64_RNE 0u
#define RV64_RTZ 1u
#define RV64_RDN 2u
#define RV64_RUP 3u
#define RV64_RMM 4u
#define RV64_DYN 7u

/* Accrued exceptions: bits of fcsr. */
#define RV64_FFLAG_NX 1u
#define RV64_FFLAG_UF 2u
#define RV64_FFLAG_OF 4u
#define RV64_FFLAG_DZ 8u
#define RV64_FFLAG_NV 16u

/** The kinds of arithmetic that round. */
#define RV64_FP_ADD  0u
#define RV64_FP_SUB  1u
#define RV64_FP_MUL  2u
#define RV64_FP_DIV  3u
#define RV64_FP_SQRT 4u
#define RV64_FP_FMA  5u /**< a * b + c */

/**
 * Executes a floating-point instruction, given whole, that is no load or store.
 * @return 0, or -1: illegal instruction (mstatus.FS is Off, no such instruction or rounding mode)
 */
int rv64_fpu_execute(struct rv64_cpu *cpu, uint32_t raw);

/**
 * Arithmetic that rounds to nearest, ties to max magnitude, which hosts do not have. Operands are
 * doubles, or floats widened; no operand is a signalling NaN.
 * @param flags  RV64_FFLAG_* are added
 */
double rv64_fpu_rmm(uint32_t op, double a, double b, double c, bool single, uint32_t *flags);

/** Rounds an integer, given as magnitude and sign, as rv64_fpu_rmm() does. */
double rv64_fpu_rmm_integer(uint64_t magnitude, bool negative, bool single, uint32_t *flags);

#endif /* RV64_FPU_H */
