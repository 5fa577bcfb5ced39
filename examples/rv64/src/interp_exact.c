/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The interpreter again, as rv64_cpu_step(): it looks at its count after each instruction. It is
 * the reference that --check compares with.
 */

#define RV64_INTERP_EXACT 1

#include "interp.c"
