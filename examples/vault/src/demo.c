/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "vault.h"

/* A record a page: a file of customers, say, each with the same secret in it. */
#define RECORDS    4096u
#define RECORD     4096u
#define SECRET     16u
#define POSITION   1000u /* of the secret in a record */
#define DUMP_CHUNK (1u << 20)

/*
 * The secret as the program may hold it: XORed with random bytes, so that what the search looks for
 * is not itself found. Letters, so that a person can search a dump for it, too.
 */
struct masked {
    uint8_t mask[SECRET];
    uint8_t secret[SECRET];
};

static int mask_make(struct masked *m)
{
    uint8_t random[SECRET];

    if (getrandom(random, sizeof random, 0) != sizeof random ||
        getrandom(m->mask, sizeof m->mask, 0) != sizeof m->mask)
        return -1;
    for (uint32_t i = 0; i < SECRET; i++)
        m->secret[i] = (uint8_t)('a' + random[i] % 26) ^ m->mask[i];
    explicit_bzero(random, sizeof random);
    return 0;
}

/* Volatile, so that the compiler does not unmask all of it at once, in a register or on the stack.
 */
static void unmask(const struct masked *m, volatile uint8_t *to)
{
    for (uint32_t i = 0; i < SECRET; i++)
        to[i] = m->mask[i] ^ m->secret[i];
}

static int is_secret(const struct masked *m, const uint8_t *at)
{
    for (uint32_t i = 0; i < SECRET; i++)
        if ((uint8_t)(at[i] ^ m->mask[i]) != m->secret[i])
            return 0;
    return 1;
}

static uint64_t occurrences(const struct masked *m, const uint8_t *from, uint64_t length)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i + SECRET <= length; i++)
        count += (uint64_t)is_secret(m, from + i);
    return count;
}

/* ---- The dump ------------------------------------------------------------------------------ */

struct dump {
    const struct masked *secret;
    const uint8_t *without; /* the pool, and the buffer of the dump itself */
    uint64_t without_bytes;
    int memory; /* /proc/self/mem */
    int file;   /* -1: none */
    uint8_t *buffer;
    uint64_t bytes;
    uint64_t mappings;
    uint64_t copies;
    uint64_t unreadable;
};

static int range_dump(struct dump *d, uint64_t start, uint64_t end)
{
    uint64_t got = 0;

    for (uint64_t at = start; at < end; at += got) {
        uint64_t want = end - at < DUMP_CHUNK ? end - at : DUMP_CHUNK;
        ssize_t n = pread(d->memory, d->buffer, want, (off_t)at);

        if (n <= 0) {
            d->unreadable += end - at;
            return 0;
        }
        got = (uint64_t)n;
        d->bytes += got;
        d->copies += occurrences(d->secret, d->buffer, got);
        if (d->file >= 0 && write(d->file, d->buffer, got) != n)
            return -1;
    }
    return 0;
}

/* A mapping, but for what of it is to be left out. */
static int mapping_dump(struct dump *d, uint64_t start, uint64_t end)
{
    uint64_t out = (uintptr_t)d->without;
    uint64_t out_end = out + d->without_bytes;

    d->mappings++;
    if (out_end <= start || out >= end)
        return range_dump(d, start, end);
    if (start < out && range_dump(d, start, out))
        return -1;
    return out_end < end ? range_dump(d, out_end, end) : 0;
}

/* Its own buffer is a mapping apart, not shared with others, and left out: it has what was read. */
static int dump_all(struct dump *d, const char *path)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long start;
    unsigned long end;
    char line[512];
    char access[5];
    int rc = maps ? 0 : -1;

    d->buffer = mmap(NULL, DUMP_CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    d->memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    d->file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (d->buffer == MAP_FAILED || d->memory < 0 || (path && d->file < 0))
        rc = -1;
    while (!rc && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %4s", &start, &end, access) != 3 || access[0] != 'r' ||
            start == (uintptr_t)d->buffer || strstr(line, "[vvar"))
            continue;
        rc = mapping_dump(d, start, end);
    }
    if (maps)
        fclose(maps);
    if (d->buffer != MAP_FAILED)
        munmap(d->buffer, DUMP_CHUNK);
    if (d->memory >= 0)
        close(d->memory);
    if (d->file >= 0)
        close(d->file);
    return rc;
}

static void tell(const struct dump *d, const char *what)
{
    printf("  dumped %.1f MiB of this process, %" PRIu64 " mappings, %s: %" PRIu64
           " copies of the secret\n",
           (double)d->bytes / (1 << 20), d->mappings, what, d->copies);
    if (d->unreadable)
        printf("  the kernel gave %.1f MiB to nobody\n", (double)d->unreadable / (1 << 20));
}

/* ---- With, and without --------------------------------------------------------------------- */

static void record_make(const struct masked *m, uint32_t number, uint8_t *record)
{
    memset(record, 0, RECORD);
    snprintf((char *)record, 64, "customer %u", number);
    unmask(m, record + POSITION);
}

static int plant(struct vault *v, vault_block block, const struct masked *m)
{
    uint8_t record[RECORD];
    int rc = 0;

    for (uint32_t i = 0; i < RECORDS && !rc; i++) {
        record_make(m, i, record);
        rc = vault_write(v, block, (uint64_t)i * RECORD, record, RECORD);
    }
    explicit_bzero(record, sizeof record);
    return rc;
}

static uint32_t read_back(struct vault *v, vault_block block, const struct masked *m)
{
    uint8_t record[RECORD];
    uint32_t right = 0;

    for (uint32_t i = 0; i < RECORDS; i++)
        if (!vault_read(v, block, (uint64_t)i * RECORD, record, RECORD))
            right += (uint32_t)is_secret(m, record + POSITION);
    explicit_bzero(record, sizeof record);
    return right;
}

static void on_line(void *ctx, const char *text)
{
    (void)ctx;
    printf("  not protected here: %s\n", text);
}

static void on_residency(void *ctx, const char *text)
{
    (void)ctx;
    printf("  %s\n", text);
}

/* @return copies found, or -1 */
static int64_t with_gnomon(const struct masked *m, const struct vault_params *params,
                           const char *path)
{
    struct dump d = {.secret = m};
    struct vault_about about;
    struct vault *v;
    vault_block block;
    int rc;

    const char *error = "the vault cannot be made";
    struct vault_params p = *params;

    p.ret_error = &error;
    if (vault_open(&p, &v)) {
        fprintf(stderr, "vault: %s\n", error);
        return -1;
    }
    vault_about(v, &about);
    printf("with Gnomon: %u records of %u bytes in a vault, each with the secret\n", RECORDS,
           RECORD);
    printf("  %s; pool of %" PRIu64 " KiB in %s\n", about.cipher, about.pool_bytes >> 10,
           about.pool);
    vault_report(v, on_line, NULL);
    rc = vault_alloc(v, (uint64_t)RECORDS * RECORD, &block);
    d.without = about.pool_at;
    d.without_bytes = about.pool_bytes;
    if (!rc && !plant(v, block, m) && !dump_all(&d, path)) {
        tell(&d, "all but the pool");
        rc = read_back(v, block, m) == RECORDS ? 0 : -1;
        printf("  read back: %s\n", rc ? "WRONG" : "all records are right");
        vault_residency(v, on_residency, NULL);
    } else {
        rc = -1;
    }
    vault_close(v);
    return rc ? -1 : (int64_t)d.copies;
}

static int64_t without_gnomon(const struct masked *m, const char *path)
{
    struct dump d = {.secret = m};
    uint8_t *records = malloc((size_t)RECORDS * RECORD);
    int rc;

    if (!records)
        return -1;
    printf("without Gnomon: the same records in plain memory\n");
    for (uint32_t i = 0; i < RECORDS; i++)
        record_make(m, i, records + (size_t)i * RECORD);
    rc = dump_all(&d, path);
    if (!rc)
        tell(&d, "all of it");
    explicit_bzero(records, (size_t)RECORDS * RECORD);
    free(records);
    return rc ? -1 : (int64_t)d.copies;
}

int vault_demo(const struct vault_params *params, char *const dump[2])
{
    struct masked m;
    uint8_t secret[SECRET + 1] = {0};
    int64_t with;
    int64_t without;

    if (mask_make(&m))
        return 1;
    with = with_gnomon(&m, params, dump ? dump[0] : NULL);
    if (with < 0) {
        fprintf(stderr, "vault: no demonstration: the vault or the dump failed\n");
        return 1;
    }
    without = without_gnomon(&m, dump ? dump[1] : NULL);
    /* Now it may be seen: whoever has dumps can search them. */
    unmask(&m, secret);
    printf("the secret was %s\n", (const char *)secret);
    return with == 0 && without >= (int64_t)RECORDS ? 0 : 1;
}
