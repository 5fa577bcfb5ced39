/* SPDX-License-Identifier: BSD-3-Clause */
#include "sealed_pool.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <gnomon/cachecrypt_sodium.h>

/*
 *   load, store --> window --fault--> cachecrypt.fault --> unmap a victim, seal it to the store
 *                      ^                    |              open the page from the store
 *                      +------- map --------+
 */

/* ---- What cachecrypt asks for -------------------------------------------------------------- */

/* Not libsodium's: this one is called in signal handlers. */
static int on_random(void *ctx, void *to, size_t bytes)
{
    uint8_t *at = to;

    (void)ctx;
    while (bytes) {
        ssize_t got = getrandom(at, bytes, 0);

        if (got < 0)
            return -GN_ERR_IO;
        at += got;
        bytes -= (size_t)got;
    }
    return 0;
}

static void on_lock(void *ctx)
{
    struct sealed *s = ctx;

    s->params.lock(s->params.ctx);
}

static void on_unlock(void *ctx)
{
    struct sealed *s = ctx;

    s->params.unlock(s->params.ctx);
}

static int on_map(void *ctx, uint32_t region, uint64_t page, void *frame, uint32_t access)
{
    struct sealed *s = ctx;

    (void)region;
    return gn_linux_window_map(s->window, page, frame, access == GN_ACCESS_WRITE);
}

static int on_unmap(void *ctx, uint32_t region, uint64_t page, void *frame)
{
    struct sealed *s = ctx;

    (void)region;
    (void)frame;
    return gn_linux_window_unmap(s->window, page);
}

/* Without a window a child has no pool either, but would not know until it touches it. */
static uint64_t on_generation(void *ctx)
{
    (void)ctx;
    return (uint64_t)getpid();
}

static int on_fault(void *ctx, uint64_t page, uint32_t access)
{
    struct sealed *s = ctx;
    struct gn_cachecrypt_mapping mapping;
    int rc = gn_cachecrypt_fault(s->cc, s->region, page << GN_PAGE_SHIFT, access, &mapping);

    if (rc && s->params.refused)
        s->params.refused(s->params.ctx, rc);
    return rc;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void *map_anonymous(uint64_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

/* @return NULL, or why not */
static const char *pool_create(struct sealed *s)
{
    const struct gn_cachecrypt_ops ops = {
        GN_CACHECRYPT_OPS_INIT,
        .random = on_random,
        .lock = s->params.lock ? on_lock : NULL,
        .unlock = s->params.lock ? on_unlock : NULL,
        .map = s->params.window ? on_map : NULL,
        .unmap = s->params.window ? on_unmap : NULL,
        .generation = s->params.window ? NULL : on_generation,
        SEALED_POOL_OPS,
    };
    const struct gn_cachecrypt_params params = {GN_CACHECRYPT_PARAMS_INIT,
                                                .frames = s->params.frames, .ops = &ops, .ctx = s,
                                                .cache = s->cache};
    size_t bytes = gn_cachecrypt_size(&params);
    const char *error = bytes ? sealed_pool_get(s, bytes) : "no such pool";

    if (error)
        return error;
    return gn_cachecrypt_init(s->pool.base, s->pool.bytes, &params, &s->cc) ? "no such pool" : NULL;
}

static int region_create(struct sealed *s)
{
    uint64_t data = s->pages << GN_PAGE_SHIFT;
    uint64_t meta = gn_cachecrypt_meta_size(s->pages, s->cipher);

    s->store_bytes = data + meta;
    s->store = map_anonymous(s->store_bytes);
    if (!s->store)
        return -1;
    const struct gn_cachecrypt_region_params params = {GN_CACHECRYPT_REGION_PARAMS_INIT,
                                                       .pages = s->pages,
                                                       .cipher = s->cipher,
                                                       .data = s->store,
                                                       .data_bytes = data,
                                                       .meta = s->store + data,
                                                       .meta_bytes = meta};

    return gn_cachecrypt_region_add(s->cc, &params, &s->region) ? -1 : 0;
}

static int window_create(struct sealed *s)
{
    const struct gn_linux_window_ops ops = {GN_LINUX_WINDOW_OPS_INIT, .fault = on_fault};
    const struct gn_linux_window_params params = {
        GN_LINUX_WINDOW_PARAMS_INIT, .pages = s->pages, .base = s->params.base,
        .memory = &s->pool,          .ops = &ops,       .ops_ctx = s};
    struct gn_linux_window_state state = {GN_LINUX_WINDOW_STATE_INIT};

    s->window_bytes = gn_linux_window_size(&params);
    s->window_memory = map_anonymous(s->window_bytes);
    /* Not before: what is mapped for the pool and the store might come to lie there. */
    if (s->window_memory && s->params.reserved)
        munmap(s->params.base, s->pages << GN_PAGE_SHIFT);
    if (!s->window_memory ||
        gn_linux_window_init(s->window_memory, s->window_bytes, &params, &s->window) ||
        gn_linux_window_state(s->window, &state))
        return -1;
    s->base = state.base;
    return gn_linux_faults_add(s->window) ? -1 : 0;
}

int sealed_create(const struct sealed_params *params, struct sealed *s, const char **ret_error)
{
    memset(s, 0, sizeof *s);
    s->pool.fd = -1;
    s->counter = -1;
    s->cache = sealed_cache(params->cache);
    s->params = *params;
    s->pages = params->pages;
    *ret_error = "libsodium has no cipher for this machine";
    if (gn_cachecrypt_sodium_cipher(0, &s->cipher))
        return -1;
    *ret_error = sealed_ways_get(s);
    if (!*ret_error)
        *ret_error = pool_create(s);
    if (!*ret_error) {
        *ret_error = "no memory for the ciphertext";
        if (!region_create(s)) {
            *ret_error = "no window: the addresses are in use, or faults cannot be taken here";
            if (!params->window || !window_create(s))
                return 0;
        }
    }
    sealed_destroy(s);
    return -1;
}

void sealed_destroy(struct sealed *s)
{
    gn_linux_faults_remove(s->window);
    gn_linux_window_fini(s->window);
    gn_cachecrypt_fini(s->cc);
    sealed_pool_put(s);
    sealed_ways_put(s);
    if (s->store)
        munmap(s->store, s->store_bytes);
    if (s->window_memory)
        munmap(s->window_memory, s->window_bytes);
    memset(s, 0, sizeof *s);
}

/* ---- What it is ---------------------------------------------------------------------------- */

uint32_t sealed_degraded(const struct sealed *s)
{
    struct gn_linux_window_state state = {GN_LINUX_WINDOW_STATE_INIT};

    if (s->window && gn_linux_window_state(s->window, &state))
        state.degraded = 0;
    return s->pool.degraded | state.degraded | gn_linux_process_degraded();
}

void sealed_report(struct sealed *s, uint32_t but, void (*line)(void *ctx, const char *text),
                   void *ctx)
{
    static const char *const residency[] = {
        "nothing keeps the pool in the cache: take it to be in DRAM",
        "the pool is a share of the cache by size; nothing keeps it there",
        "the pool is spread over the cache so that it does not displace itself; others can", NULL};
    struct gn_cachecrypt_residency_report report = {GN_CACHECRYPT_RESIDENCY_REPORT_INIT};
    uint32_t degraded = sealed_degraded(s) & ~but;

    for (uint32_t i = 0; i < GN_LINUX_DEGRADED_COUNT; i++) {
        const char *text;

        gn_linux_degraded_name(1u << i, &text);
        if (degraded & 1u << i)
            line(ctx, text);
    }
    if (!sealed_pool_report(s, &report) && report.kind < 4 && residency[report.kind])
        line(ctx, residency[report.kind]);
}

const char *sealed_faults_name(const struct sealed *s)
{
    struct gn_linux_window_state state = {GN_LINUX_WINDOW_STATE_INIT};

    if (!s->window || gn_linux_window_state(s->window, &state))
        return "none";
    return state.way == GN_LINUX_FAULTS_USERFAULTFD ? "userfaultfd" : "SIGSEGV";
}

const char *sealed_cipher_name(const struct sealed *s)
{
    switch (s->cipher->id) {
    case GN_CACHECRYPT_CIPHER_AEGIS256: return "AEGIS-256";
    case GN_CACHECRYPT_CIPHER_AES256GCM: return "AES-256-GCM";
    case GN_CACHECRYPT_CIPHER_XCHACHA20: return "XChaCha20-Poly1305";
    default: return "unknown";
    }
}

struct gn_cachecrypt_stats sealed_stats(const struct sealed *s)
{
    struct gn_cachecrypt_stats stats = {GN_CACHECRYPT_STATS_INIT};

    if (gn_cachecrypt_stats_get(s->cc, &stats))
        memset(&stats, 0, sizeof stats);
    return stats;
}

/* ---- Holding pages ------------------------------------------------------------------------- */

uint32_t sealed_hold(struct sealed *s, const void *at, uint64_t length, uint32_t access,
                     struct gn_cachecrypt_span *spans, uint32_t limit)
{
    uint64_t first = (uint64_t)((const uint8_t *)at - s->base) >> GN_PAGE_SHIFT;
    uint64_t last = (uint64_t)((const uint8_t *)at - s->base + length - 1) >> GN_PAGE_SHIFT;
    uint32_t held = 0;

    gn_linux_window_enter(s->window);
    for (uint64_t page = first; page <= last && held < limit; page++) {
        uint64_t offset = page << GN_PAGE_SHIFT;
        struct gn_cachecrypt_mapping mapping;

        if (gn_cachecrypt_fault(s->cc, s->region, offset, access, &mapping) ||
            gn_cachecrypt_pin(s->cc, s->region, offset, GN_PAGE_SIZE, access, &spans[held]))
            break;
        held++;
    }
    gn_linux_window_leave(s->window);
    return held;
}

void sealed_release(struct sealed *s, const struct gn_cachecrypt_span *spans, uint32_t count)
{
    gn_linux_window_enter(s->window);
    for (uint32_t i = 0; i < count; i++)
        (void)!gn_cachecrypt_unpin(s->cc, &spans[i]);
    gn_linux_window_leave(s->window);
}

/* ---- Fork ---------------------------------------------------------------------------------- */

void sealed_fork_prepare(struct sealed *s, struct gn_linux_memory *ret_copy)
{
    const struct gn_linux_memory_params params = {GN_LINUX_MEMORY_PARAMS_INIT,
                                                  .kinds = s->pool.kind, .bytes = s->pool.bytes,
                                                  .flags = GN_LINUX_MEMORY_INHERIT};

    *ret_copy = (struct gn_linux_memory){.fd = -1};
    gn_linux_window_enter(s->window);
    /* Two keys are at work in a sweep; the child can have a third only once the first is gone. */
    if (s->pool.kind == GN_LINUX_MEMORY_PRIVATE ||
        gn_cachecrypt_rekey_step(s->cc, s->region, 0, NULL) ||
        gn_linux_memory_get(&params, ret_copy))
        return;
    memcpy(ret_copy->base, s->pool.base, s->pool.bytes);
}

void sealed_fork_parent(struct sealed *s, struct gn_linux_memory *copy)
{
    gn_linux_memory_forget(copy);
    gn_linux_window_leave(s->window);
}

void sealed_fork_child(struct sealed *s, struct gn_linux_memory *copy)
{
    if (copy->kind && !gn_linux_memory_replace(&s->pool, copy)) {
        /* The parent goes on under the old key: nothing is sealed here before there is another. */
        if (gn_cachecrypt_rekey(s->cc, s->region) || gn_linux_window_remap(s->window)) {
            gn_cachecrypt_fini(s->cc);
            s->cc = NULL; /* every fault is refused */
        }
    }
    gn_linux_memory_put(copy);
    gn_linux_window_leave(s->window);
}
