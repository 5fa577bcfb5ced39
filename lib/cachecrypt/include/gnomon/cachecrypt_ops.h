/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_CACHECRYPT_OPS_H
#define GN_CACHECRYPT_OPS_H

/*
 * gnomon/cachecrypt_ops.h - what gnomon-cachecrypt asks of others, two tables: a cipher, and an
 * embedder. Whoever brings a cipher needs no other header; <gnomon/cachecrypt.h> includes this one,
 * and <gnomon/cachecrypt_sodium.h> has the ciphers of libsodium.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits. */
#define GN_CACHECRYPT_KEY_MAX         64u    /**< longest key, in bytes */
#define GN_CACHECRYPT_NONCE_MIN       12u    /**< shortest nonce, in bytes */
#define GN_CACHECRYPT_NONCE_MAX       32u    /**< longest nonce, in bytes */
#define GN_CACHECRYPT_TAG_MIN         16u    /**< shortest tag, in bytes */
#define GN_CACHECRYPT_TAG_MAX         32u    /**< longest tag, in bytes */
#define GN_CACHECRYPT_STATE_BYTES_MAX 65536u /**< longest expanded key, in bytes */

/* Ciphers that have a name; an embedder's own begin at GN_CACHECRYPT_CIPHER_OWN. */
#define GN_CACHECRYPT_CIPHER_AEGIS256  1u /**< AEGIS-256, 32-byte nonce, 32-byte tag */
#define GN_CACHECRYPT_CIPHER_AES256GCM 2u /**< AES-256-GCM, 12-byte nonce, 16-byte tag */
#define GN_CACHECRYPT_CIPHER_XCHACHA20 3u /**< XChaCha20-Poly1305, 24-byte nonce, 16-byte tag */
#define GN_CACHECRYPT_CIPHER_OWN       0x1000u

/* gn_cachecrypt_cipher.flags. */

/**
 * seal only writes its `to`, and open reads each byte of its `from` once. Then these two may be in
 * the store, where anybody changes them meanwhile; otherwise they are in the pool, and the library
 * copies. A cipher that makes its tag from the ciphertext must not say this: it reads that twice.
 */
#define GN_CACHECRYPT_CIPHER_ONE_PASS 1u

/**
 * An authenticated cipher. All pointers given to its functions point into the pool, but as
 * GN_CACHECRYPT_CIPHER_ONE_PASS says; `to` and `from` are the same or do not overlap. The state is
 * aligned to 64 bytes. Called with the object's lock held; must not re-enter the object.
 */
struct gn_cachecrypt_cipher {
    uint32_t size;        /**< GN_CACHECRYPT_CIPHER_INIT sets it */
    uint32_t id;          /**< GN_CACHECRYPT_CIPHER_*; authenticated with each page; not 0 */
    uint32_t key_bytes;   /**< 16 to GN_CACHECRYPT_KEY_MAX */
    uint32_t nonce_bytes; /**< GN_CACHECRYPT_NONCE_MIN to _MAX */
    uint32_t tag_bytes;   /**< GN_CACHECRYPT_TAG_MIN to _MAX */
    uint32_t state_bytes; /**< of an expanded key, 1 to params.state_bytes */
    /**
     * Required. Expands a key.
     * @return 0, else a negative GN_ERR_*: whoever began the epoch gets it
     */
    int (*expand)(void *state, const uint8_t *key);
    /**
     * Required. Encrypts len bytes and makes the tag over them and ad.
     * @return 0, else a negative GN_ERR_*: the page stays in the pool, that nonce is not used again
     */
    int (*seal)(const void *state, uint8_t *to, uint8_t *tag, const uint8_t *from, size_t len,
                const uint8_t *ad, size_t ad_len, const uint8_t *nonce);
    /**
     * Required. Checks the tag in constant time, then decrypts len bytes.
     * @return 0, else any other value: not authentic; the region is poisoned
     */
    int (*open)(const void *state, uint8_t *to, const uint8_t *from, const uint8_t *tag, size_t len,
                const uint8_t *ad, size_t ad_len, const uint8_t *nonce);
    /**
     * Optional. Clears what seal, open and expand left in registers and on the stack; and what the
     * hash of the tree left there. Called once at the end of each call of the library that used
     * them.
     */
    void (*scrub)(void);
    uint32_t flags;    /**< GN_CACHECRYPT_CIPHER_ONE_PASS or 0 */
    uint32_t reserved; /**< zero */
};

/** First initializer of a gn_cachecrypt_cipher. */
#define GN_CACHECRYPT_CIPHER_INIT .size = sizeof(struct gn_cachecrypt_cipher)

/**
 * What the library asks of its embedder. Ops are called with the object's lock held, and must not
 * re-enter the object.
 */
struct gn_cachecrypt_ops {
    uint32_t size;     /**< GN_CACHECRYPT_OPS_INIT sets it */
    uint32_t reserved; /**< zero */
    /**
     * Required. Bytes that nobody can guess, for keys; `to` is in the pool.
     * @return 0, else a negative GN_ERR_*, which the caller of the library gets
     */
    int (*random)(void *ctx, void *to, size_t bytes);
    /** Optional (NULL: the embedder serialises all calls). Takes the embedder's lock. */
    void (*lock)(void *ctx);
    /** Required with lock. Releases it. */
    void (*unlock)(void *ctx);
    /**
     * Optional; called by gn_cachecrypt_fault alone. Maps a frame (or a copy of it) at a page of
     * the region, for reading, with GN_ACCESS_WRITE for writing too. NULL: whoever called fault
     * does it with what fault returns.
     * @return 0, else a negative GN_ERR_*, which the caller of fault gets; the page is not mapped
     */
    int (*map)(void *ctx, uint32_t region, uint64_t page, void *frame, uint32_t access);
    /**
     * Required by gn_cachecrypt_fault. A page that was mapped is to be sealed, or to leave the
     * pool: when this returns no access reaches it, no write is under way, and `frame` holds what
     * was written last.
     * @return 0, else a negative GN_ERR_*: the page stays, and the call that wanted it away fails
     */
    int (*unmap)(void *ctx, uint32_t region, uint64_t page, void *frame);
    /**
     * Optional (NULL: no). Was a mapped page accessed since it was last asked, or mapped? Gives
     * it its second chance.
     */
    int (*accessed)(void *ctx, uint32_t region, uint64_t page);
    /**
     * Optional. A number that is another in a copy of the pool (a forked child, a restored
     * snapshot) than it was in gn_cachecrypt_init. Asked before each seal; a difference makes the
     * object refuse everything with -GN_ERR_PERM and wipe its keys.
     */
    uint64_t (*generation)(void *ctx);
    /**
     * Optional. The machine address of an address of the pool, for gn_cachecrypt_residency.
     * @return 0, or a negative GN_ERR_*: not known
     */
    int (*hpa)(void *ctx, gn_hva_t at, gn_hpa_t *ret_hpa);
    /** Optional (NULL: no). Does the machine hold these bytes of pool locked in a cache, now? */
    int (*cache_locked)(void *ctx, gn_hva_t base, uint64_t bytes);
    /**
     * Optional. Tells an IOMMU that no device may reach this range (the pool, at init).
     * @return 0, else a negative GN_ERR_*: init fails with it
     */
    int (*dma_deny)(void *ctx, gn_hva_t base, uint64_t bytes);
    /**
     * Optional. Tells an IOMMU that devices may (allow is 1) or may no longer (0) reach a window.
     * @return 0, else a negative GN_ERR_*: window_add or _remove fails with it
     */
    int (*dma_window)(void *ctx, gn_hva_t base, uint64_t bytes, uint32_t allow);
    /** Optional; needed by gn_cachecrypt_probe. A fine clock: cycles, or nanoseconds. */
    uint64_t (*clock)(void *ctx);
    /**
     * Optional; needed by gn_cachecrypt_probe. Flushes the line at this address from all caches;
     * never called for an address of the pool.
     */
    void (*cache_flush)(void *ctx, gn_hva_t at);
    /** Optional. Last-level cache misses of this thread so far, by a performance counter. */
    uint64_t (*cache_misses)(void *ctx);
    /** Optional. An invariant of the library is broken; must not return. `what` is a constant. */
    void (*panic)(void *ctx, const char *what);
};

/** First initializer of a gn_cachecrypt_ops. */
#define GN_CACHECRYPT_OPS_INIT .size = sizeof(struct gn_cachecrypt_ops)

#ifdef __cplusplus
}
#endif

#endif /* GN_CACHECRYPT_OPS_H */
