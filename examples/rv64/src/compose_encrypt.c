/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compose_parts.h"
#include "sealed.h"

/*
 *   CPU, walker, loader --load, store--> window of guest RAM --fault--> sealed.c
 *   virtio-blk --read, write--> bounce (a plaintext window) --dma_in, dma_out--> sealed.c
 *
 * An address of the window is the same whether its page is there or not, so nobody who keeps host
 * addresses of RAM (the MMU's TLB, translated code) need hear of an eviction.
 */

#define BOUNCE_BYTES (64u << 10)

struct rv64_encrypt {
    struct sealed sealed;
    struct rv64_bounce bounce;
    uint64_t ram_base;
};

bool rv64_encrypt_built(void)
{
    return true;
}

/* In a signal handler. SIGABRT's action restores the terminal. */
static void on_refused(void *ctx, int error)
{
    static const char damaged[] = "rv64: guest RAM was changed from outside: it fails its check\n";
    static const char failed[] = "rv64: a page of guest RAM cannot be had\n";
    const char *text = error == -GN_ERR_BADMSG ? damaged : failed;

    (void)ctx;
    (void)!write(STDERR_FILENO, text, strlen(text));
    abort();
}

/* Entered, so that no fault comes between: this is no place to touch the window from. */
static int bounce_move(struct rv64_encrypt *e, uint64_t gpa, uint64_t length, bool in)
{
    gn_hva_t at = gn_hva((uintptr_t)e->bounce.memory);
    uint64_t offset = gpa - e->ram_base;
    struct sealed *s = &e->sealed;
    int rc;

    gn_linux_window_enter(s->window);
    rc = in ? gn_cachecrypt_dma_in(s->cc, s->region, offset, at, length)
            : gn_cachecrypt_dma_out(s->cc, s->region, offset, at, length);
    gn_linux_window_leave(s->window);
    return rc ? -1 : 0;
}

static int bounce_in(void *ctx, uint64_t gpa, uint64_t length)
{
    return bounce_move(ctx, gpa, length, true);
}

static int bounce_out(void *ctx, uint64_t gpa, uint64_t length)
{
    return bounce_move(ctx, gpa, length, false);
}

static int bounce_create(struct rv64_encrypt *e)
{
    e->bounce = (struct rv64_bounce){.memory = malloc(BOUNCE_BYTES),
                                     .size = BOUNCE_BYTES,
                                     .ctx = e,
                                     .in = bounce_in,
                                     .out = bounce_out};
    if (!e->bounce.memory)
        return -1;
    return gn_cachecrypt_window_add(e->sealed.cc, gn_hva((uintptr_t)e->bounce.memory), BOUNCE_BYTES)
               ? -1
               : 0;
}

static void on_line(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "rv64: not protected here: %s\n", text);
}

static void report(struct rv64_encrypt *e)
{
    fprintf(stderr, "rv64: guest RAM is ciphertext (%s) but for %u pages in %s\n",
            sealed_cipher_name(&e->sealed), e->sealed.params.frames, sealed_pool_name(&e->sealed));
    sealed_report(&e->sealed, GN_LINUX_DEGRADED_SYSCALLS, on_line, NULL);
}

/* "huge", "physical", "guest-addresses", with commas. @return 0 or -1 */
static int how_parse(const char *how, struct sealed_params *p)
{
    char word[32];
    size_t length;

    for (; how && *how; how += length + (how[length] == ',')) {
        length = strcspn(how, ",");
        snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : 0), how);
        if (!strcmp(word, "huge"))
            p->place = SEALED_PLACE_HUGE;
        else if (!strcmp(word, "physical"))
            p->place = SEALED_PLACE_PHYSICAL;
        else if (!strcmp(word, "guest-addresses"))
            p->guest = true;
        else
            return -1;
    }
    return 0;
}

struct rv64_encrypt *rv64_encrypt_create(void *at, uint64_t ram_base, uint64_t ram_size,
                                         uint64_t pool, const char *how, const char **ret_error)
{
    /* The library's own copies (dma_in) need the pool to be where the window maps it. */
    struct sealed_params params = {.pages = ram_size >> GN_PAGE_SHIFT,
                                   .frames = (uint32_t)(pool >> GN_PAGE_SHIFT),
                                   .kinds = GN_LINUX_MEMORY_SECRET | GN_LINUX_MEMORY_SHARED,
                                   .window = true,
                                   .base = at,
                                   .reserved = true,
                                   .refused = on_refused};
    struct rv64_encrypt *e;

    if (how_parse(how, &params)) {
        *ret_error = "--encrypt-ram SIZE,HOW: known are huge, physical, guest-addresses";
        return NULL;
    }
    e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->ram_base = ram_base;
    if (sealed_create(&params, &e->sealed, ret_error)) {
        free(e);
        return NULL;
    }
    if (bounce_create(e)) {
        rv64_encrypt_destroy(e);
        return NULL;
    }
    report(e);
    return e;
}

void rv64_encrypt_destroy(struct rv64_encrypt *e)
{
    if (!e)
        return;
    sealed_destroy(&e->sealed);
    free(e->bounce.memory);
    free(e);
}

const struct rv64_bounce *rv64_encrypt_bounce(const struct rv64_encrypt *e)
{
    return &e->bounce;
}

void rv64_encrypt_stats(struct rv64_encrypt *e, rv64_counter each, void *ctx)
{
    struct gn_cachecrypt_stats s = sealed_stats(&e->sealed);
    struct sealed_residency r;

    each(ctx, "cachecrypt", "faults", s.faults);
    each(ctx, "cachecrypt", "hits", s.hits);
    each(ctx, "cachecrypt", "misses", s.misses);
    each(ctx, "cachecrypt", "opens", s.opens);
    each(ctx, "cachecrypt", "zero_fills", s.zero_fills);
    each(ctx, "cachecrypt", "seals", s.seals);
    each(ctx, "cachecrypt", "evictions_clean", s.evictions_clean);
    each(ctx, "cachecrypt", "evictions_dirty", s.evictions_dirty);
    each(ctx, "cachecrypt", "node_hits", s.node_hits);
    each(ctx, "cachecrypt", "node_fetches", s.node_fetches);
    each(ctx, "cachecrypt", "epochs", s.epochs);
    each(ctx, "cachecrypt", "bounced_in", s.bounced_in);
    each(ctx, "cachecrypt", "bounced_out", s.bounced_out);
    if (sealed_residency(&e->sealed, &r))
        return;
    /* GN_CACHECRYPT_RESIDENCY_...: 0 none, 1 bounded, 2 coloured. */
    each(ctx, "cachecrypt", "residency", r.report.kind);
    each(ctx, "cachecrypt", "cache_share_permille", r.report.share_permille);
    each(ctx, "cachecrypt", "fullest_set", r.report.set_max);
    each(ctx, "cachecrypt", "probed_lines", r.probe.lines);
    each(ctx, "cachecrypt", "probed_slow", r.probe.slow);
    each(ctx, "cachecrypt", "probe_near_ticks", r.probe.near_ticks);
    each(ctx, "cachecrypt", "probe_far_ticks", r.probe.far_ticks);
    if (!r.counter)
        each(ctx, "cachecrypt", "probe_counted_misses", r.probe.misses);
}
