/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Without an operating system: sodium_init() would draw in mutexes, files and mmap. What it does
 * for the ciphers here is done by name instead. The runtime functions are weak in the ciphers'
 * objects: that they are called here is what makes the linker take them.
 */
#include "sodium_internal.h"

int _sodium_runtime_get_cpu_features(void);
int _crypto_stream_chacha20_pick_best_implementation(void);
int _crypto_onetimeauth_poly1305_pick_best_implementation(void);

int gn_cachecrypt_sodium__start(void)
{
    /* The first fails for a CPU that it knows nothing of: then the portable code runs. */
    (void)_sodium_runtime_get_cpu_features();
    return _crypto_stream_chacha20_pick_best_implementation() |
           _crypto_onetimeauth_poly1305_pick_best_implementation() |
           gn_cachecrypt_sodium__aegis256_start();
}

/** A word of the CPU's own random numbers; 0: there was none in ten attempts. */
static int draw(uint64_t *ret_word)
{
    uint8_t ok = 0;

    for (uint32_t i = 0; i < 10 && !ok; i++)
        __asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(*ret_word), "=qm"(ok) : : "cc");
    return ok;
}

static int has_rdrand(void)
{
    uint32_t a = 1, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 30 & 1;
}

int gn_cachecrypt_sodium_random(void *ctx, void *to, size_t bytes)
{
    uint8_t *out = to;
    uint64_t word = 0;

    (void)ctx;
    if (!has_rdrand())
        return -GN_ERR_NOTSUP;
    for (size_t i = 0; i < bytes; i++, word >>= 8) {
        if (i % 8 == 0 && !draw(&word))
            return -GN_ERR_IO;
        out[i] = (uint8_t)word;
    }
    return 0;
}
