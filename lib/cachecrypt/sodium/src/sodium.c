/* SPDX-License-Identifier: BSD-3-Clause */
/* libsodium's ciphers, as gnomon-cachecrypt wants them. */
#include <sodium/crypto_aead_aes256gcm.h>
#include <sodium/crypto_aead_xchacha20poly1305.h>

#include "sodium_internal.h"

static int gcm_expand(void *state, const uint8_t *key)
{
    return crypto_aead_aes256gcm_beforenm(state, key) ? -GN_ERR_IO : 0;
}

GN_CACHECRYPT_SODIUM__AEAD(gcm, crypto_aead_aes256gcm_encrypt_detached_afternm,
                           crypto_aead_aes256gcm_decrypt_detached_afternm, 2048)

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
    .scrub = gcm_scrub,
};

int gn_cachecrypt_sodium__expand_none(void *state, const uint8_t *key)
{
    uint8_t *to = state;
    size_t i;

    for (i = 0; i < 32; i++)
        to[i] = key[i];
    return 0;
}

/* Its subkey depends on the nonce: there is nothing to expand beforehand. */
GN_CACHECRYPT_SODIUM__AEAD(xchacha, crypto_aead_xchacha20poly1305_ietf_encrypt_detached,
                           crypto_aead_xchacha20poly1305_ietf_decrypt_detached, 4096)

static const struct gn_cachecrypt_cipher xchacha = {
    GN_CACHECRYPT_CIPHER_INIT,
    .id = GN_CACHECRYPT_CIPHER_XCHACHA20,
    .key_bytes = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    .nonce_bytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    .tag_bytes = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    .state_bytes = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    .expand = gn_cachecrypt_sodium__expand_none,
    .seal = xchacha_seal,
    .open = xchacha_open,
    .scrub = xchacha_scrub,
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
