/* SPDX-License-Identifier: BSD-3-Clause */
/* AEGIS-256 of libsodium 1.0.19 and later, which knows it with tags of 32 bytes. */
#include <sodium/crypto_aead_aegis256.h>

#include "sodium_internal.h"

static int expand(void *state, const uint8_t *key)
{
    uint8_t *to = state;
    size_t i;

    for (i = 0; i < crypto_aead_aegis256_KEYBYTES; i++)
        to[i] = key[i];
    return 0;
}

static int seal(const void *state, uint8_t *to, uint8_t *tag, const uint8_t *from, size_t len,
                const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    return crypto_aead_aegis256_encrypt_detached(to, tag, NULL, from, len, ad, ad_len, NULL, nonce,
                                                 state)
               ? -GN_ERR_IO
               : 0;
}

static int open(const void *state, uint8_t *to, const uint8_t *from, const uint8_t *tag, size_t len,
                const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    return crypto_aead_aegis256_decrypt_detached(to, NULL, from, len, tag, ad, ad_len, nonce, state)
               ? -GN_ERR_BADMSG
               : 0;
}

static const struct gn_cachecrypt_cipher aegis256 = {
    GN_CACHECRYPT_CIPHER_INIT,
    .id = GN_CACHECRYPT_CIPHER_AEGIS256,
    .key_bytes = crypto_aead_aegis256_KEYBYTES,
    .nonce_bytes = crypto_aead_aegis256_NPUBBYTES,
    .tag_bytes = crypto_aead_aegis256_ABYTES,
    .state_bytes = crypto_aead_aegis256_KEYBYTES,
    .expand = expand,
    .seal = seal,
    .open = open,
    .scrub = gn_cachecrypt_sodium__scrub,
};

const struct gn_cachecrypt_cipher *const gn_cachecrypt_sodium__aegis256 = &aegis256;
