/* SPDX-License-Identifier: BSD-3-Clause */
/* libsodium's ciphers, as gnomon-cachecrypt wants them. */
#include <sodium/crypto_aead_aes256gcm.h>
#include <sodium/crypto_aead_xchacha20poly1305.h>

#include "sodium_internal.h"

static int gcm_expand(void *state, const uint8_t *key)
{
    return crypto_aead_aes256gcm_beforenm(state, key) ? -GN_ERR_IO : 0;
}

static int gcm_seal(const void *state, uint8_t *to, uint8_t *tag, const uint8_t *from, size_t len,
                    const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    return crypto_aead_aes256gcm_encrypt_detached_afternm(to, tag, NULL, from, len, ad, ad_len,
                                                          NULL, nonce, state)
               ? -GN_ERR_IO
               : 0;
}

static int gcm_open(const void *state, uint8_t *to, const uint8_t *from, const uint8_t *tag,
                    size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    return crypto_aead_aes256gcm_decrypt_detached_afternm(to, NULL, from, len, tag, ad, ad_len,
                                                          nonce, state)
               ? -GN_ERR_BADMSG
               : 0;
}

static const struct gn_cachecrypt_cipher gcm = {
    GN_CACHECRYPT_CIPHER_INIT,
    .id = GN_CACHECRYPT_CIPHER_AES256GCM,
    .key_bytes = crypto_aead_aes256gcm_KEYBYTES,
    .nonce_bytes = crypto_aead_aes256gcm_NPUBBYTES,
    .tag_bytes = crypto_aead_aes256gcm_ABYTES,
    .state_bytes = sizeof(crypto_aead_aes256gcm_state),
    .expand = gcm_expand,
    .seal = gcm_seal,
    .open = gcm_open,
    .scrub = gn_cachecrypt_sodium__scrub,
};

/* Its subkey depends on the nonce: there is nothing to expand beforehand. */
static int xchacha_expand(void *state, const uint8_t *key)
{
    uint8_t *to = state;
    size_t i;

    for (i = 0; i < crypto_aead_xchacha20poly1305_ietf_KEYBYTES; i++)
        to[i] = key[i];
    return 0;
}

static int xchacha_seal(const void *state, uint8_t *to, uint8_t *tag, const uint8_t *from,
                        size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    return crypto_aead_xchacha20poly1305_ietf_encrypt_detached(to, tag, NULL, from, len, ad, ad_len,
                                                               NULL, nonce, state)
               ? -GN_ERR_IO
               : 0;
}

static int xchacha_open(const void *state, uint8_t *to, const uint8_t *from, const uint8_t *tag,
                        size_t len, const uint8_t *ad, size_t ad_len, const uint8_t *nonce)
{
    return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(to, NULL, from, len, tag, ad, ad_len,
                                                               nonce, state)
               ? -GN_ERR_BADMSG
               : 0;
}

static const struct gn_cachecrypt_cipher xchacha = {
    GN_CACHECRYPT_CIPHER_INIT,
    .id = GN_CACHECRYPT_CIPHER_XCHACHA20,
    .key_bytes = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    .nonce_bytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    .tag_bytes = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    .state_bytes = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    .expand = xchacha_expand,
    .seal = xchacha_seal,
    .open = xchacha_open,
    .scrub = gn_cachecrypt_sodium__scrub,
};

/** A cipher by its number, or NULL: not here. */
static const struct gn_cachecrypt_cipher *find(uint32_t id)
{
    switch (id) {
    case GN_CACHECRYPT_CIPHER_AEGIS256: return gn_cachecrypt_sodium__aegis256;
    case GN_CACHECRYPT_CIPHER_AES256GCM: return crypto_aead_aes256gcm_is_available() ? &gcm : NULL;
    case GN_CACHECRYPT_CIPHER_XCHACHA20: return &xchacha;
    default: return NULL;
    }
}

int gn_cachecrypt_sodium_cipher(uint32_t id, const struct gn_cachecrypt_cipher **ret_cipher)
{
    const struct gn_cachecrypt_cipher *cipher;

    if (!ret_cipher)
        return -GN_ERR_INVAL;
    if (gn_cachecrypt_sodium__start())
        return -GN_ERR_IO;
    cipher = find(id);
    if (!id) {
        cipher = find(GN_CACHECRYPT_CIPHER_AEGIS256);
        cipher = cipher ? cipher : find(GN_CACHECRYPT_CIPHER_AES256GCM);
        cipher = cipher ? cipher : find(GN_CACHECRYPT_CIPHER_XCHACHA20);
    }
    if (!cipher)
        return -GN_ERR_NOTSUP;
    *ret_cipher = cipher;
    return 0;
}
