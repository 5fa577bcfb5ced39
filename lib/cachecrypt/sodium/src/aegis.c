/* SPDX-License-Identifier: BSD-3-Clause */
/* AEGIS-256 of libsodium 1.0.19 and later, which knows it with tags of 32 bytes. */
#include <sodium/crypto_aead_aegis256.h>

#include "sodium_internal.h"

GN_CACHECRYPT_SODIUM__AEAD(aegis256, crypto_aead_aegis256_encrypt_detached,
                           crypto_aead_aegis256_decrypt_detached, 1536)

static const struct gn_cachecrypt_cipher cipher = {
    GN_CACHECRYPT_CIPHER_INIT,
    .id = GN_CACHECRYPT_CIPHER_AEGIS256,
    .key_bytes = crypto_aead_aegis256_KEYBYTES,
    .nonce_bytes = crypto_aead_aegis256_NPUBBYTES,
    .tag_bytes = crypto_aead_aegis256_ABYTES,
    .state_bytes = crypto_aead_aegis256_KEYBYTES,
    .expand = gn_cachecrypt_sodium__expand_none,
    .seal = aegis256_seal,
    .open = aegis256_open,
    .scrub = aegis256_scrub,
    .flags = GN_CACHECRYPT_CIPHER_ONE_PASS,
};

const struct gn_cachecrypt_cipher *const gn_cachecrypt_sodium__aegis256 = &cipher;
