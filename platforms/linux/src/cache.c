/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "linux_internal.h"

#define ROOT "/sys/devices/system/cpu/cpu0/cache"

/* What is beyond these is no cache: see the header. */
#define INDICES   16
#define LEVEL_MAX 8u
#define LINE_MAX  4096u
#define WAYS_MAX  1024u
#define WAY_MAX   (UINT64_C(64) << 20)

static int is_power(uint64_t n)
{
    return n && !(n & (n - 1));
}

/* Not "size": that is rounded on some machines; the product is what the other numbers say. */
static int cache_read(const char *folder, struct gn_linux_cache *c)
{
    uint64_t level, line, ways, sets;
    char type[16];

    if (gn_linux__text_read(folder, "type", type, sizeof type) || !strncmp(type, "Instruction", 11))
        return -1;
    if (gn_linux__number_read(folder, "level", 10, LEVEL_MAX, &level) ||
        gn_linux__number_read(folder, "coherency_line_size", 10, LINE_MAX, &line) ||
        gn_linux__number_read(folder, "ways_of_associativity", 10, WAYS_MAX, &ways) ||
        gn_linux__number_read(folder, "number_of_sets", 10, WAY_MAX, &sets))
        return -1;
    if (!level || !is_power(line) || !ways || !sets || sets > WAY_MAX / line)
        return -1;
    c->level = (uint32_t)level;
    c->line_bytes = (uint32_t)line;
    c->ways = (uint32_t)ways;
    c->bytes = line * ways * sets;
    return 0;
}

int gn_linux_cache_get(const char *root, struct gn_linux_cache *ret_cache)
{
    struct gn_linux_cache best = {.level = 0};

    if (!ret_cache || ret_cache->size < sizeof best)
        return -GN_ERR_INVAL;
    for (int i = 0; i < INDICES; i++) {
        struct gn_linux_cache c = {.level = 0};
        char folder[GN_LINUX__PATH];
        char name[16];

        snprintf(name, sizeof name, "index%d", i);
        if (gn_linux__path(folder, sizeof folder, root ? root : ROOT, name))
            return -GN_ERR_INVAL;
        if (!cache_read(folder, &c) && c.level > best.level)
            best = c;
    }
    if (!best.level)
        return -GN_ERR_NOTSUP;
    best.size = ret_cache->size;
    memset(ret_cache, 0, best.size);
    *ret_cache = best;
    return 0;
}
