/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_CACHECRYPT_SODIUM_INTERNAL_H
#define GN_CACHECRYPT_SODIUM_INTERNAL_H

#include <gnomon/cachecrypt_sodium.h>

/*
 * What differs with the build, a file each way: AEGIS-256 (aegis.c, aegis_none.c), the way
 * libsodium comes up (init_hosted.c, init_bare.c), which registers are cleared (registers_x86_64.c,
 * registers_any.c).
 */

/** AEGIS-256, or NULL: this libsodium has none. */
extern const struct gn_cachecrypt_cipher *const gn_cachecrypt_sodium__aegis256;

/** What AEGIS-256 needs before its first use where sodium_init() does not run. */
int gn_cachecrypt_sodium__aegis256_start(void);

/** Brings libsodium up; 0 if it is. */
int gn_cachecrypt_sodium__start(void);

/**
 * Clears vector registers, and so much of the stack below the caller: more than the library and a
 * cipher need together, which a test measures.
 */
void gn_cachecrypt_sodium__scrub(size_t stack_bytes);

/** Clears vector registers. */
void gn_cachecrypt_sodium__clear_registers(void);

/* Code that is not optimised takes several times as much stack. */
#ifdef __OPTIMIZE__
#define GN_CACHECRYPT_SODIUM__DEPTH(bytes) (bytes)
#else
#define GN_CACHECRYPT_SODIUM__DEPTH(bytes) (8 * (bytes))
#endif

/*
 * A cipher's functions. libsodium's differ in their names only; what they take as key is what
 * expand leaves.
 */
#define GN_CACHECRYPT_SODIUM__AEAD(NAME, ENCRYPT, DECRYPT, STACK_BYTES)                            \
    static int NAME##_seal(const void *state, uint8_t *to, uint8_t *tag, const uint8_t *from,      \
                           size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)     \
    {                                                                                              \
        return ENCRYPT(to, tag, NULL, from, len, ad, ad_len, NULL, nonce, state) ? -GN_ERR_IO : 0; \
    }                                                                                              \
    static int NAME##_open(const void *state, uint8_t *to, const uint8_t *from,                    \
                           const uint8_t *tag, size_t len, const uint8_t *ad, size_t ad_len,       \
                           const uint8_t *nonce)                                                   \
    {                                                                                              \
        return DECRYPT(to, NULL, from, len, tag, ad, ad_len, nonce, state) ? -GN_ERR_BADMSG : 0;   \
    }                                                                                              \
    static void NAME##_scrub(void)                                                                 \
    {                                                                                              \
        gn_cachecrypt_sodium__scrub(GN_CACHECRYPT_SODIUM__DEPTH(STACK_BYTES));                     \
    }

/** expand of a cipher that works with the key as it is, of 32 bytes. */
int gn_cachecrypt_sodium__expand_none(void *state, const uint8_t *key);

#endif /* GN_CACHECRYPT_SODIUM_INTERNAL_H */
