/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VAULT_H
#define VAULT_H

/*
 * vault.h - memory for what must not lie in DRAM as it is.
 *
 * A vault has blocks. What is written to a block is ciphertext, but for a small pool of pages that
 * were used last; the pool lies in memory that neither swap, nor a core dump, nor ptrace sees.
 *
 *     vault_write() --> pool: plaintext of a few pages --evict--> store: ciphertext of all others
 *     vault_read()  <--                                <--miss---
 *
 * Every access is a call, and none is a fault; any thread may make it. A block is named by a
 * number, not by an address: there is no address at which its plaintext could be found.
 *
 * Functions return 0 or a negative GN_ERR_* of gnomon/base.h. Once the ciphertext, its tags or its
 * versions have been tampered with, everything returns -GN_ERR_BADMSG for ever.
 */

#include <stddef.h>
#include <stdint.h>

struct vault;

struct vault_params {
    uint64_t bytes; /**< of all blocks together; 0: 64 MiB. Counted in pages of 4 KiB */
    uint64_t pool;  /**< plaintext at a time, in bytes; 0: 256 KiB; at least 4 KiB */
    /**
     * Where the plaintext is to lie: "huge", "physical" or "locked", see README.md; NULL: anywhere.
     * If it cannot, there is no vault.
     */
    const char *place;
    uint32_t ways;       /**< of the last cache, for this process alone (resctrl, root); 0: none */
    int guest_addresses; /**< 1: a virtual machine's addresses count as the machine's */
    const char **ret_error; /**< NULL, or where a reason goes if there is one: a string constant */
};

/** A block. 0 is none. */
typedef uint64_t vault_block;

/** Makes a vault. NULL: the defaults. -GN_ERR_INVAL: no such sizes or place; -GN_ERR_NOMEM. */
int vault_open(const struct vault_params *params, struct vault **ret_vault);

/** Ends it: its keys are wiped first, and with them everything. NULL: nothing happens. */
void vault_close(struct vault *vault);

/** Makes a block of zeros. -GN_ERR_NOMEM: the vault is full; -GN_ERR_INVAL: no bytes. */
int vault_alloc(struct vault *vault, uint64_t bytes, vault_block *ret_block);

/** Copies out of a block. -GN_ERR_RANGE: not within the block; -GN_ERR_NOENT: no such block. */
int vault_read(struct vault *vault, vault_block block, uint64_t offset, void *to, size_t bytes);

/** Copies into a block; fails as vault_read() does. */
int vault_write(struct vault *vault, vault_block block, uint64_t offset, const void *from,
                size_t bytes);

/** Ends a block: its plaintext is wiped, and its old ciphertext never opens again. */
int vault_free(struct vault *vault, vault_block block);

/** What a vault is made of, for a person. */
struct vault_about {
    const char *cipher;
    const char *pool;    /**< the kind of memory */
    const void *pool_at; /**< where plaintext and keys lie */
    uint64_t pool_bytes;
    const void *store_at; /**< where ciphertext, tags and versions lie */
    uint64_t store_bytes;
    uint64_t misses;
    uint64_t seals;
};

void vault_about(const struct vault *vault, struct vault_about *ret_about);

/** Calls `line` with a sentence for each protection that this machine does not give. */
void vault_report(struct vault *vault, void (*line)(void *ctx, const char *text), void *ctx);

/**
 * Where the pool is: probes it (reads each line once), and calls `line` with what is known of its
 * place and with what the probe measured.
 */
void vault_residency(struct vault *vault, void (*line)(void *ctx, const char *text), void *ctx);

#endif /* VAULT_H */
