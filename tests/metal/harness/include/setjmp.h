/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_SETJMP_H
#define METAL_SETJMP_H

#include <stdint.h>

/* RBX, RBP, R12 to R15, RSP, RIP. */
typedef uint64_t jmp_buf[8];

int setjmp(jmp_buf at) __attribute__((returns_twice));
_Noreturn void longjmp(jmp_buf at, int value);

#endif /* METAL_SETJMP_H */
