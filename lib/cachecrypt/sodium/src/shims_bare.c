/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that the ciphers of libsodium ask of a C library, and of the rest of libsodium, in a build
 * without one; memcpy and memset come from the embedder, as for every library here.
 *
 * Debian's objects are compiled with the stack protector: %fs:0x28 must be readable. They use the
 * red zone: interrupts need a stack of their own. SSE must be on, and a fault handler that leads
 * here saves the vector registers.
 */
#include <stddef.h>

void sodium_memzero(void *at, size_t n);
void sodium_misuse(void);
void randombytes_buf(void *to, size_t n);
void __stack_chk_fail(void);
void __assert_fail(const char *what, const char *file, unsigned int line, const char *function);

void *memset(void *to, int byte, size_t n);

void sodium_memzero(void *at, size_t n)
{
    memset(at, 0, n);
    __asm__ volatile("" : : "r"(at) : "memory");
}

void sodium_misuse(void)
{
    __builtin_trap();
}

/* Only key generation asks for it, which nobody calls: keys come by gn_cachecrypt_ops.random. */
void randombytes_buf(void *to, size_t n)
{
    (void)to;
    (void)n;
    __builtin_trap();
}

void __stack_chk_fail(void)
{
    __builtin_trap();
}

void __assert_fail(const char *what, const char *file, unsigned int line, const char *function)
{
    (void)what;
    (void)file;
    (void)line;
    (void)function;
    __builtin_trap();
}
