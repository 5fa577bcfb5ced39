/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_CACHECRYPT_SODIUM_INTERNAL_H
#define GN_CACHECRYPT_SODIUM_INTERNAL_H

#include <gnomon/cachecrypt_sodium.h>

/*
 * What differs with the build, a file each way: AEGIS-256 (aegis.c, aegis_none.c), the way
 * libsodium comes up (init_hosted.c, init_bare.c), what is cleared (scrub_x86_64.c, scrub_any.c).
 */

/** AEGIS-256, or NULL: this libsodium has none. */
extern const struct gn_cachecrypt_cipher *const gn_cachecrypt_sodium__aegis256;

/** What AEGIS-256 needs before its first use where sodium_init() does not run. */
int gn_cachecrypt_sodium__aegis256_start(void);

/** Brings libsodium up; 0 if it is. */
int gn_cachecrypt_sodium__start(void);

/** Clears vector registers, and the stack below the caller. */
void gn_cachecrypt_sodium__scrub(void);

#endif /* GN_CACHECRYPT_SODIUM_INTERNAL_H */
