/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_CACHECRYPT_SODIUM_H
#define GN_CACHECRYPT_SODIUM_H

/*
 * gnomon/cachecrypt_sodium.h - the ciphers of libsodium for gnomon-cachecrypt. A library of its
 * own, gnomon-cachecrypt-sodium: gnomon-cachecrypt needs none.
 *
 *   AEGIS-256            where libsodium has it (1.0.19 and later)
 *   AES-256-GCM          where the CPU has AES and carry-less multiplication
 *   XChaCha20-Poly1305   everywhere
 *
 * In this order gn_cachecrypt_sodium_cipher(0, ...) takes the first that works here.
 */

#include <gnomon/cachecrypt.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A cipher of libsodium.
 *
 * @param id          GN_CACHECRYPT_CIPHER_AEGIS256, _AES256GCM or _XCHACHA20; 0: the best one here
 * @param ret_cipher  a constant, for gn_cachecrypt_region_params
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: ret_cipher is NULL
 *  - -GN_ERR_NOTSUP: not in this libsodium, or not on this CPU
 *  - -GN_ERR_IO: libsodium did not come up
 *
 * Context: any; initialises libsodium. Thread-safety: reentrant.
 */
GN_API GN_NODISCARD int gn_cachecrypt_sodium_cipher(uint32_t id,
                                                    const struct gn_cachecrypt_cipher **ret_cipher);

/**
 * Random bytes, as gn_cachecrypt_ops.random wants them; ctx is not used.
 *
 * @return 0
 *
 * Context: hosted; may block until the system has entropy. Thread-safety: reentrant.
 */
GN_API int gn_cachecrypt_sodium_random(void *ctx, void *to, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif /* GN_CACHECRYPT_SODIUM_H */
