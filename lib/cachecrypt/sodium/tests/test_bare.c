/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The adapter without a C library: linked with -nostdlib, seven shims and what it takes of
 * libsodium.a. The same known answers, then a pool. Linux runs it, of which it uses four calls.
 */
#include <gnomon/cachecrypt_sodium.h>

#include "known.h"

#define FRAMES 4u
#define PAGES  32u

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int main(void);
void _start(void);

void *memcpy(void *to, const void *from, size_t n)
{
    void *const start = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    return start;
}

void *memset(void *to, int byte, size_t n)
{
    void *const start = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
    return start;
}

static long call(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

static void say(const char *text)
{
    size_t n = 0;

    while (text[n])
        n++;
    (void)call(1, 1, (long)text, (long)n);
}

static _Alignas(4096) uint8_t pool[1 << 18], data[PAGES * 4096], meta[1 << 14];

/** A little of everything by one cipher; 0: as it should be. */
static int use(const struct gn_cachecrypt_cipher *cipher)
{
    static const struct gn_cachecrypt_ops ops = {GN_CACHECRYPT_OPS_INIT,
                                                 .random = gn_cachecrypt_sodium_random};
    const struct gn_cachecrypt_params params = {GN_CACHECRYPT_PARAMS_INIT, .frames = FRAMES,
                                                .ops = &ops};
    const struct gn_cachecrypt_region_params land = {
        GN_CACHECRYPT_REGION_PARAMS_INIT, .pages = PAGES, .cipher = cipher,          .data = data,
        .data_bytes = sizeof data,        .meta = meta,   .meta_bytes = sizeof meta,
    };
    struct gn_cachecrypt *cc;
    uint32_t region, page, got;
    int r = gn_cachecrypt_init(pool, sizeof pool, &params, &cc);

    if (!r)
        r = gn_cachecrypt_region_add(cc, &land, &region);
    for (page = 0; !r && page < PAGES; page++)
        r = gn_cachecrypt_write(cc, region, page * 4096 + 8, &page, sizeof page);
    for (page = 0; !r && page < PAGES; page++) {
        r = gn_cachecrypt_read(cc, region, page * 4096 + 8, &got, sizeof got);
        if (!r && got != page)
            r = -GN_ERR_IO;
    }
    if (!r)
        r = gn_cachecrypt_evict(cc, region, 0, sizeof data);
    data[4096 + 5] ^= 1;
    if (!r)
        r = gn_cachecrypt_read(cc, region, 4096, &got, sizeof got) == -GN_ERR_BADMSG ? 0 : -1;
    return r;
}

int main(void)
{
    static const char *const names[] = {"best", "AEGIS-256", "AES-256-GCM", "XChaCha20-Poly1305"};
    const struct gn_cachecrypt_cipher *cipher;
    uint32_t i, wrong = 0;

    for (i = 0; i < KNOWN; i++)
        if (!gn_cachecrypt_sodium_cipher(known[i].id, &cipher) && known_wrong(cipher, &known[i]))
            wrong++;
    for (i = 0; i < 4; i++) {
        int r = gn_cachecrypt_sodium_cipher(i, &cipher);

        say(names[i]);
        if (r == -GN_ERR_NOTSUP) {
            say(": not here\n");
            continue;
        }
        if (!r)
            r = use(cipher);
        say(r == -GN_ERR_NOTSUP ? ": no random numbers\n" : r ? ": wrong\n" : ": right\n");
        wrong += r && r != -GN_ERR_NOTSUP;
    }
    return wrong ? 1 : 0;
}

/* The stack protector of libsodium's objects reads %fs:0x28. */
static uint64_t thread_area[16] = {0, 0, 0, 0, 0, 0x5bd1e995a5a5a500u};

__attribute__((used)) static void begin(void)
{
    (void)call(158, 0x1002 /* ARCH_SET_FS */, (long)thread_area, 0);
    (void)call(60, main(), 0, 0);
    __builtin_trap();
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %rsp\n\tcall begin\n");
