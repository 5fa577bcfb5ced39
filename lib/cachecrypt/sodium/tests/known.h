/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KNOWN_H
#define KNOWN_H

/* Known answers of the ciphers. Freestanding: the build without libc tries the same. */
#include <gnomon/cachecrypt.h>

#define KNOWN_TEXT 128u

/** Bytes as hexadecimal digits. */
struct known {
    uint32_t id;
    const char *key, *nonce, *ad, *text, *sealed, *tag;
};

static const struct known known[] = {
    {
        .id = GN_CACHECRYPT_CIPHER_AES256GCM,
        .key = "0000000000000000000000000000000000000000000000000000000000000000",
        .nonce = "000000000000000000000000",
        .ad = "",
        .text = "00000000000000000000000000000000",
        .sealed = "cea7403d4d606b6e074ec5d3baf39d18",
        .tag = "d0d1c8a799996bf0265b98b5d48ab919",
    },
    {
        .id = GN_CACHECRYPT_CIPHER_AES256GCM,
        .key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        .nonce = "cafebabefacedbaddecaf888",
        .ad = "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        .text = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        .sealed = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        .tag = "76fc6ece0f4e1768cddf8853bb2d551b",
    },
    {
        .id = GN_CACHECRYPT_CIPHER_XCHACHA20,
        .key = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        .nonce = "404142434445464748494a4b4c4d4e4f5051525354555657",
        .ad = "50515253c0c1c2c3c4c5c6c7",
        .text = "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
                "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
                "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
                "637265656e20776f756c642062652069742e",
        .sealed = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
                  "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
                  "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
                  "21f9664c97637da9768812f615c68b13b52e",
        .tag = "c0875924c1c7987947deafd8780acf49",
    },
    {
        .id = GN_CACHECRYPT_CIPHER_AEGIS256,
        .key = "1001000000000000000000000000000000000000000000000000000000000000",
        .nonce = "1000020000000000000000000000000000000000000000000000000000000000",
        .ad = "",
        .text = "00000000000000000000000000000000",
        .sealed = "754fc3d8c973246dcc6d741412a4b236",
        .tag = "1181a1d18091082bf0266f66297d167d2e68b845f61a3b0527d31fc7b7b89f13",
    },
    {
        .id = GN_CACHECRYPT_CIPHER_AEGIS256,
        .key = "1001000000000000000000000000000000000000000000000000000000000000",
        .nonce = "1000020000000000000000000000000000000000000000000000000000000000",
        .ad = "0001020304050607",
        .text = "000102030405060708090a0b0c0d",
        .sealed = "f373079ed84b2709faee37358458",
        .tag = "8c1cc703c81281bee3f6d9966e14948b4a175b2efbdc31e61a98b4465235c2d9",
    },
};

#define KNOWN (sizeof known / sizeof known[0])

static inline uint32_t known_differ(const uint8_t *a, const uint8_t *b, uint32_t n)
{
    uint32_t differ = 0, i;

    for (i = 0; i < n; i++)
        differ |= a[i] ^ b[i];
    return differ;
}

/** The bytes that the digits name; how many. */
static inline uint32_t known_bytes(const char *digits, uint8_t *to)
{
    uint32_t n;

    for (n = 0; digits[n]; n++) {
        const uint8_t digit = (uint8_t)(digits[n] < 'a' ? digits[n] - '0' : digits[n] - 'a' + 10);

        to[n / 2] = (uint8_t)(n % 2 ? to[n / 2] << 4 | digit : digit);
    }
    return n / 2;
}

/** 0: seal gives the answer, and open takes it back, in place too; else which step went wrong. */
static inline uint32_t known_wrong(const struct gn_cachecrypt_cipher *cipher, const struct known *k)
{
    static _Alignas(64) uint8_t state[1024];
    uint8_t key[GN_CACHECRYPT_KEY_MAX], nonce[GN_CACHECRYPT_NONCE_MAX], ad[KNOWN_TEXT];
    uint8_t text[KNOWN_TEXT], tag[GN_CACHECRYPT_TAG_MAX], plain[KNOWN_TEXT], want[KNOWN_TEXT];
    const uint32_t len = known_bytes(k->text, plain), ad_len = known_bytes(k->ad, ad);

    (void)known_bytes(k->key, key);
    (void)known_bytes(k->nonce, nonce);
    if (cipher->state_bytes > sizeof state || cipher->expand(state, key))
        return 1;
    if (cipher->seal(state, text, tag, plain, len, ad, ad_len, nonce))
        return 2;
    (void)known_bytes(k->sealed, want);
    if (known_differ(text, want, len))
        return 3;
    (void)known_bytes(k->tag, want);
    if (known_differ(tag, want, cipher->tag_bytes))
        return 4;
    if (cipher->open(state, text, text, tag, len, ad, ad_len, nonce))
        return 5;
    return known_differ(text, plain, len) ? 6 : 0;
}

#endif /* KNOWN_H */
