/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices: where they may go, and how data gets from there into a region and back. */
#include "cachecrypt_internal.h"

int gn_cachecrypt__in_window(const struct gn_cachecrypt *cc, uint64_t base, uint64_t bytes)
{
    uint32_t i;

    for (i = 0; i < cc->window_count; i++)
        if (cc->windows[i].bytes &&
            gn_cachecrypt__overlap(cc->windows[i].base, cc->windows[i].bytes, base, bytes))
            return 1;
    return 0;
}

static int add(struct gn_cachecrypt *cc, uint64_t base, uint64_t bytes)
{
    uint32_t i = 0;
    int r;

    if (gn_cachecrypt__in_pool(cc, base, bytes))
        return -GN_ERR_PERM;
    if (gn_cachecrypt__in_store(cc, base, bytes) || gn_cachecrypt__in_window(cc, base, bytes))
        return -GN_ERR_EXIST;
    while (i < cc->window_count && cc->windows[i].bytes)
        i++;
    if (i == cc->window_count)
        return -GN_ERR_NOSPC;
    if (cc->ops.dma_window) {
        r = cc->ops.dma_window(cc->ctx, gn_hva(base), bytes, 1);
        if (r)
            return r;
    }
    cc->windows[i] = (struct gn_cachecrypt__window){base, bytes};
    return 0;
}

int gn_cachecrypt_window_add(struct gn_cachecrypt *cc, gn_hva_t base, uint64_t bytes)
{
    if (!cc || !bytes)
        return -GN_ERR_INVAL;
    if (!gn_cachecrypt__addressable(base.v, bytes))
        return -GN_ERR_RANGE;
    gn_cachecrypt__lock(cc);
    return gn_cachecrypt__leave(cc, add(cc, base.v, bytes));
}

static int withdraw(struct gn_cachecrypt *cc, uint64_t base)
{
    uint32_t i;
    int r;

    for (i = 0; i < cc->window_count; i++) {
        struct gn_cachecrypt__window *window = &cc->windows[i];

        if (!window->bytes || window->base != base)
            continue;
        if (cc->ops.dma_window) {
            r = cc->ops.dma_window(cc->ctx, gn_hva(base), window->bytes, 0);
            if (r)
                return r;
        }
        window->bytes = 0;
        return 0;
    }
    return -GN_ERR_NOENT;
}

int gn_cachecrypt_window_remove(struct gn_cachecrypt *cc, gn_hva_t base)
{
    if (!cc)
        return -GN_ERR_INVAL;
    gn_cachecrypt__lock(cc);
    return gn_cachecrypt__leave(cc, withdraw(cc, base.v));
}

static int check(struct gn_cachecrypt *cc, uint64_t base, uint64_t bytes)
{
    uint32_t i;

    if (gn_cachecrypt__in_pool(cc, base, bytes))
        return -GN_ERR_PERM;
    for (i = 0; i < cc->window_count; i++) {
        const struct gn_cachecrypt__window *window = &cc->windows[i];

        if (window->bytes && base >= window->base && base - window->base < window->bytes &&
            bytes <= window->bytes - (base - window->base))
            return 0;
    }
    return -GN_ERR_NOENT;
}

int gn_cachecrypt_dma_check(struct gn_cachecrypt *cc, gn_hva_t base, uint64_t bytes)
{
    int r = -GN_ERR_RANGE;

    if (!cc || !bytes)
        return -GN_ERR_INVAL;
    gn_cachecrypt__lock(cc);
    if (gn_cachecrypt__addressable(base.v, bytes))
        r = check(cc, base.v, bytes);
    cc->stats.dma_refusals += r != 0;
    return gn_cachecrypt__leave(cc, r);
}

static void bounced(struct gn_cachecrypt *cc, uint64_t *counter, size_t len)
{
    gn_cachecrypt__lock(cc);
    *counter += len;
    (void)gn_cachecrypt__leave(cc, 0);
}

int gn_cachecrypt_dma_in(struct gn_cachecrypt *cc, uint32_t region, uint64_t offset, gn_hva_t from,
                         size_t len)
{
    int r = gn_cachecrypt_dma_check(cc, from, len);

    if (!r)
        r = gn_cachecrypt_write(cc, region, offset, (const void *)(uintptr_t)from.v, len);
    if (!r)
        bounced(cc, &cc->stats.bounced_in, len);
    return r;
}

int gn_cachecrypt_dma_out(struct gn_cachecrypt *cc, uint32_t region, uint64_t offset, gn_hva_t to,
                          size_t len)
{
    int r = gn_cachecrypt_dma_check(cc, to, len);

    if (!r)
        r = gn_cachecrypt_read(cc, region, offset, (void *)(uintptr_t)to.v, len);
    if (!r)
        bounced(cc, &cc->stats.bounced_out, len);
    return r;
}
