/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SEALED_H
#define SEALED_H

/*
 * Sealed memory: how vault and rv64 --encrypt-ram compose cachecrypt, libsodium's ciphers and the
 * Linux platform. The store is ordinary memory and holds ciphertext; the pool is the best that the
 * platform has. Without a window the memory is reached by the library's calls; with one, by plain
 * loads and stores, each miss of which is a fault.
 */

#include <stdbool.h>
#include <stdint.h>

#include <gnomon/cachecrypt.h>
#include <gnomon/linux_cache.h>

/*
 * Where the pool is to lie. Nothing else will do if one is named: what cannot be had is an error.
 * All but ANY trade something for it, which sealed_report() tells.
 */
#define SEALED_PLACE_ANY      0u /**< wherever: the most secret memory there is */
#define SEALED_PLACE_HUGE     1u /**< in huge pages: coloured, but not memfd_secret */
#define SEALED_PLACE_PHYSICAL 2u /**< pages chosen by their machine address; CAP_SYS_ADMIN */
#define SEALED_PLACE_LOCKED   3u /**< pseudo-locked in the cache; no window, not memfd_secret */

struct sealed_params {
    uint64_t pages;  /**< of 4 KiB */
    uint32_t frames; /**< plaintext pages at a time */
    uint32_t kinds;  /**< GN_LINUX_MEMORY_... that will do for the pool; 0: the best there is */
    uint32_t place;  /**< SEALED_PLACE_... */
    bool guest;      /**< a virtual machine's physical addresses count as the machine's */
    /**
     * Ways of the last cache that the process takes for itself, by resctrl; 0: none. Others do not
     * fill them, which is no lock: a pool there is bounded or coloured within so many ways.
     */
    uint32_t ways;
    bool window;   /**< a window onto it */
    void *base;    /**< where; NULL: anywhere */
    bool reserved; /**< the caller has addresses mapped there, which become the window's */
    /** No window: several threads use it. Called around each use of the pool. */
    void (*lock)(void *ctx);
    void (*unlock)(void *ctx);
    /**
     * Optional. A fault is refused, for this negative GN_ERR_...: the process ends when this
     * returns. Called in a signal handler.
     */
    void (*refused)(void *ctx, int error);
    void *ctx;
    const char *cache; /**< where the cache is described; NULL: the kernel's folder */
    const struct gn_linux_lock_params
        *locking; /**< its folders; used in create; NULL: the kernel's */
};

struct sealed {
    struct gn_linux_memory pool;
    struct gn_cachecrypt *cc;
    uint32_t region;
    const struct gn_cachecrypt_cipher *cipher;
    struct gn_linux_window *window; /**< NULL: none */
    uint8_t *base;                  /**< of the window */
    uint64_t pages;
    uint8_t *store; /**< ciphertext, then tags, versions and the tree */
    uint64_t store_bytes;
    void *window_memory;
    uint64_t window_bytes;
    struct sealed_params params;
    struct gn_cachecrypt_cache cache;
    struct gn_linux_lock lock;
    struct gn_linux_ways ways;
    int64_t ways_owner;            /**< the process that gives them back; its children do not */
    struct gn_linux_places places; /**< during a report */
    int32_t counter;               /**< during a probe; -1: none */
};

/** @return 0, or -1 with a reason in *ret_error: a string constant */
int sealed_create(const struct sealed_params *params, struct sealed *s, const char **ret_error);

/** "any", "huge", "physical", "locked". @return SEALED_PLACE_..., or -1: none of these */
int sealed_place_parse(const char *name);

/** Wipes keys and plaintext; what was in it is gone. */
void sealed_destroy(struct sealed *s);

/** What is not protected: GN_LINUX_DEGRADED_... of pool, window and process. */
uint32_t sealed_degraded(const struct sealed *s);

/** The name of the cipher in use, and of the pool's memory. */
const char *sealed_cipher_name(const struct sealed *s);
const char *sealed_pool_name(const struct sealed *s);

/** How its window learns of faults: "SIGSEGV", "userfaultfd"; "none": it has no window. */
const char *sealed_faults_name(const struct sealed *s);

/**
 * Calls `line` with a sentence for each protection that is missing; `but` for these bits. Nothing
 * is probed for it.
 */
void sealed_report(struct sealed *s, uint32_t but, void (*line)(void *ctx, const char *text),
                   void *ctx);

/** Where the pool is, as far as that is shown, and what a probe has just measured. */
struct sealed_residency {
    struct gn_cachecrypt_residency_report report;
    struct gn_cachecrypt_probe_result probe;
    int error;      /**< of the probe: 0, or a negative GN_ERR_... and there is none */
    int counter;    /**< of the counter of cache misses: 0, or a negative GN_ERR_...: none */
    int places;     /**< of where the pool lies: 0, or a negative GN_ERR_...: not known */
    uint32_t known; /**< GN_LINUX_PLACES_...: by what it is; 0: not known */
};

/** Probes the pool: reads each line of it once. Not in a fault. @return 0 or a negative GN_ERR_...
 */
int sealed_residency(struct sealed *s, struct sealed_residency *ret);

/** The same for a person: two lines. */
void sealed_residency_tell(struct sealed *s, void (*line)(void *ctx, const char *text), void *ctx);

/** Gives back ways, as sealed_destroy() does: for a process that ends without it. */
void sealed_ways_put(struct sealed *s);

/** The region's counters. */
struct gn_cachecrypt_stats sealed_stats(const struct sealed *s);

/* ---- With a window ------------------------------------------------------------------------- */

/**
 * Has the pages of [at, at + length) mapped and keeps them, so that the kernel may be given their
 * addresses.
 *
 * @param at      in the window
 * @param access  what will be done with them: GN_ACCESS_READ or GN_ACCESS_WRITE
 * @param spans   room for `limit` of them
 * @return how many pages are held, from the first on: fewer than asked for where the limit or the
 *         pool ends
 */
uint32_t sealed_hold(struct sealed *s, const void *at, uint64_t length, uint32_t access,
                     struct gn_cachecrypt_span *spans, uint32_t limit);

/** The reverse. */
void sealed_release(struct sealed *s, const struct gn_cachecrypt_span *spans, uint32_t count);

/* ---- Fork ---------------------------------------------------------------------------------- */

/**
 * Before fork(), in the parent, and then in both. The child gets a copy of the pool as it was, and
 * a key of its own before it seals anything: parent and child never use a nonce under one key.
 * What cannot be had leaves the child without pool and window: touching them ends it.
 */
void sealed_fork_prepare(struct sealed *s, struct gn_linux_memory *ret_copy);
void sealed_fork_parent(struct sealed *s, struct gn_linux_memory *copy);
void sealed_fork_child(struct sealed *s, struct gn_linux_memory *copy);

#endif /* SEALED_H */
