/* SPDX-License-Identifier: BSD-3-Clause */
#include "vault.h"

#include <pthread.h>
#include <stdlib.h>

#include "blocks.h"
#include "sealed.h"

#define BYTES_DEFAULT (UINT64_C(64) << 20)
#define POOL_DEFAULT  (UINT64_C(256) << 10)

struct vault {
    struct sealed sealed;
    pthread_mutex_t pool;  /**< around the pool: cachecrypt's lock */
    pthread_mutex_t mutex; /**< around blocks and sizes; taken first */
    struct blocks blocks;
    void *blocks_memory;
    uint64_t *bytes; /**< by first page: of the block, as asked for */
};

static void on_lock(void *ctx)
{
    pthread_mutex_lock(&((struct vault *)ctx)->pool);
}

static void on_unlock(void *ctx)
{
    pthread_mutex_unlock(&((struct vault *)ctx)->pool);
}

static int create(struct vault *v, const struct vault_params *p, int place)
{
    uint64_t pages = (p->bytes + GN_PAGE_MASK) >> GN_PAGE_SHIFT;
    const struct sealed_params params = {.pages = pages,
                                         .frames = (uint32_t)(p->pool >> GN_PAGE_SHIFT),
                                         .place = (uint32_t)place,
                                         .guest = p->guest_addresses,
                                         .ways = p->ways,
                                         .lock = on_lock,
                                         .unlock = on_unlock,
                                         .ctx = v};
    const char *error = "no memory";

    v->blocks_memory = calloc(1, blocks_size((uint32_t)pages));
    v->bytes = calloc(pages, sizeof *v->bytes);
    if (!v->blocks_memory || !v->bytes || sealed_create(&params, &v->sealed, &error)) {
        if (p->ret_error)
            *p->ret_error = error;
        return -GN_ERR_NOMEM;
    }
    blocks_init(&v->blocks, (uint32_t)pages, v->blocks_memory);
    return 0;
}

int vault_open(const struct vault_params *params, struct vault **ret_vault)
{
    struct vault_params p = params ? *params : (struct vault_params){.bytes = 0};
    int place = p.place ? sealed_place_parse(p.place) : (int)SEALED_PLACE_ANY;
    struct vault *v;
    int rc;

    p.bytes = p.bytes ? p.bytes : BYTES_DEFAULT;
    p.pool = p.pool ? p.pool : POOL_DEFAULT;
    if (p.bytes > UINT64_C(1) << 43 || p.pool > UINT64_C(1) << 32 || p.pool < GN_PAGE_SIZE ||
        place < 0)
        return -GN_ERR_INVAL;
    v = calloc(1, sizeof *v);
    if (!v)
        return -GN_ERR_NOMEM;
    pthread_mutex_init(&v->pool, NULL);
    pthread_mutex_init(&v->mutex, NULL);
    rc = create(v, &p, place);
    if (rc)
        vault_close(v);
    else
        *ret_vault = v;
    return rc;
}

void vault_close(struct vault *vault)
{
    if (!vault)
        return;
    if (vault->sealed.cc)
        sealed_destroy(&vault->sealed);
    free(vault->blocks_memory);
    free(vault->bytes);
    pthread_mutex_destroy(&vault->pool);
    pthread_mutex_destroy(&vault->mutex);
    free(vault);
}

int vault_alloc(struct vault *vault, uint64_t bytes, vault_block *ret_block)
{
    uint64_t pages = (bytes + GN_PAGE_MASK) >> GN_PAGE_SHIFT;
    uint32_t first;

    if (!bytes)
        return -GN_ERR_INVAL;
    if (bytes > UINT64_MAX - GN_PAGE_MASK || pages > vault->blocks.pages)
        return -GN_ERR_NOMEM;
    pthread_mutex_lock(&vault->mutex);
    first = blocks_alloc(&vault->blocks, (uint32_t)pages);
    if (first != BLOCKS_NONE)
        vault->bytes[first] = bytes;
    pthread_mutex_unlock(&vault->mutex);
    if (first == BLOCKS_NONE)
        return -GN_ERR_NOMEM;
    *ret_block = (uint64_t)first + 1;
    return 0;
}

/* Where a part of a block lies in the region. */
static int place(struct vault *v, vault_block block, uint64_t offset, uint64_t bytes,
                 uint64_t *ret_at)
{
    uint64_t size = 0;

    pthread_mutex_lock(&v->mutex);
    if (block && block <= v->blocks.pages && blocks_length(&v->blocks, (uint32_t)(block - 1)))
        size = v->bytes[block - 1];
    pthread_mutex_unlock(&v->mutex);
    if (!size)
        return -GN_ERR_NOENT;
    if (offset > size || bytes > size - offset)
        return -GN_ERR_RANGE;
    *ret_at = ((block - 1) << GN_PAGE_SHIFT) + offset;
    return 0;
}

int vault_read(struct vault *vault, vault_block block, uint64_t offset, void *to, size_t bytes)
{
    uint64_t at;
    int rc = place(vault, block, offset, bytes, &at);

    return rc ? rc : gn_cachecrypt_read(vault->sealed.cc, vault->sealed.region, at, to, bytes);
}

int vault_write(struct vault *vault, vault_block block, uint64_t offset, const void *from,
                size_t bytes)
{
    uint64_t at;
    int rc = place(vault, block, offset, bytes, &at);

    return rc ? rc : gn_cachecrypt_write(vault->sealed.cc, vault->sealed.region, at, from, bytes);
}

int vault_free(struct vault *vault, vault_block block)
{
    uint64_t at;
    uint64_t bytes;
    int rc = place(vault, block, 0, 0, &at);

    if (rc)
        return rc;
    pthread_mutex_lock(&vault->mutex);
    /* Wiped while nobody can be given the pages. */
    bytes = (uint64_t)blocks_length(&vault->blocks, (uint32_t)(block - 1)) << GN_PAGE_SHIFT;
    rc = bytes ? gn_cachecrypt_discard(vault->sealed.cc, vault->sealed.region, at, bytes)
               : -GN_ERR_NOENT;
    if (!rc)
        blocks_free(&vault->blocks, (uint32_t)(block - 1));
    pthread_mutex_unlock(&vault->mutex);
    return rc;
}

void vault_about(const struct vault *vault, struct vault_about *ret_about)
{
    struct gn_cachecrypt_stats stats = sealed_stats(&vault->sealed);

    *ret_about = (struct vault_about){.cipher = sealed_cipher_name(&vault->sealed),
                                      .pool = sealed_pool_name(&vault->sealed),
                                      .pool_at = vault->sealed.pool.base,
                                      .pool_bytes = vault->sealed.pool.bytes,
                                      .store_at = vault->sealed.store,
                                      .store_bytes = vault->sealed.store_bytes,
                                      .misses = stats.misses,
                                      .seals = stats.seals};
}

void vault_report(struct vault *vault, void (*line)(void *ctx, const char *text), void *ctx)
{
    sealed_report(&vault->sealed, 0, line, ctx);
}

void vault_residency(struct vault *vault, void (*line)(void *ctx, const char *text), void *ctx)
{
    sealed_residency_tell(&vault->sealed, line, ctx);
}
