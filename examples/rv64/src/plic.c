/* SPDX-License-Identifier: BSD-3-Clause */
/* PLIC 1.0.0. The memory map is that of the specification, section 3 "Memory Map". */

#include "plic.h"

#include <string.h>

#define WINDOW         0x600000
#define PENDING        0x1000
#define ENABLE         0x2000
#define ENABLE_STRIDE  0x80
#define CONTEXT        0x200000
#define CONTEXT_STRIDE 0x1000
#define CONTEXT_CLAIM  4

/* Seven priorities, as QEMU's virt board has. */
#define PRIORITY_MASK 7

static bool bit_get(const uint32_t *words, uint32_t source)
{
    return words[source / 32] >> source % 32 & 1;
}

static void bit_set(uint32_t *words, uint32_t source, bool value)
{
    uint32_t bit = UINT32_C(1) << source % 32;

    words[source / 32] = value ? words[source / 32] | bit : words[source / 32] & ~bit;
}

/* The pending, enabled source of highest priority; the lowest number wins a tie (section 7). */
static uint32_t best(const struct rv64_plic *plic, uint32_t context)
{
    uint32_t found = 0;
    uint32_t word;

    for (word = 0; word < RV64_PLIC_WORDS; word++) {
        uint32_t candidates = plic->pending[word] & plic->enable[context][word];

        while (candidates) {
            uint32_t source = word * 32 + (uint32_t)__builtin_ctz(candidates);

            candidates &= candidates - 1;
            if (plic->priority[source] > (found ? plic->priority[found] : 0))
                found = source;
        }
    }
    return found;
}

static void update(struct rv64_plic *plic)
{
    uint32_t context;

    for (context = 0; context < RV64_PLIC_CONTEXTS; context++) {
        uint32_t source = best(plic, context);
        bool level = source && plic->priority[source] > plic->threshold[context];

        rv64_line_set(&plic->outputs[context], level);
    }
}

/* The gateway of a level-triggered source: one request at a time (section 5). */
static void gateway(struct rv64_plic *plic, uint32_t source)
{
    if (bit_get(plic->level, source) && !bit_get(plic->claimed, source))
        bit_set(plic->pending, source, true);
}

void rv64_plic_set(struct rv64_plic *plic, uint32_t source, bool level)
{
    if (!source || source > RV64_PLIC_SOURCES || bit_get(plic->level, source) == level)
        return;
    /* A request that was forwarded stays although the wire falls: section 5 says so. */
    bit_set(plic->level, source, level);
    gateway(plic, source);
    update(plic);
}

/* A claim is not affected by the threshold (section 9). */
static uint32_t claim(struct rv64_plic *plic, uint32_t context)
{
    uint32_t source = best(plic, context);

    if (source) {
        bit_set(plic->pending, source, false);
        bit_set(plic->claimed, source, true);
        plic->claims++;
        update(plic);
    }
    return source;
}

/* A completion for a source that the context has not enabled is ignored (section 10). */
static void complete(struct rv64_plic *plic, uint32_t context, uint64_t source)
{
    if (!source || source > RV64_PLIC_SOURCES || !bit_get(plic->enable[context], (uint32_t)source))
        return;
    bit_set(plic->claimed, (uint32_t)source, false);
    gateway(plic, (uint32_t)source);
    update(plic);
}

static uint32_t read_context(struct rv64_plic *plic, uint64_t offset)
{
    uint64_t context = offset / CONTEXT_STRIDE;

    if (context >= RV64_PLIC_CONTEXTS)
        return 0;
    switch (offset % CONTEXT_STRIDE) {
    case 0: return plic->threshold[context];
    case CONTEXT_CLAIM: return claim(plic, (uint32_t)context);
    default: return 0;
    }
}

static void write_context(struct rv64_plic *plic, uint64_t offset, uint64_t value)
{
    uint64_t context = offset / CONTEXT_STRIDE;

    if (context >= RV64_PLIC_CONTEXTS)
        return;
    switch (offset % CONTEXT_STRIDE) {
    case 0:
        plic->threshold[context] = value & PRIORITY_MASK;
        update(plic);
        break;
    case CONTEXT_CLAIM: complete(plic, (uint32_t)context, (uint32_t)value); break;
    default: break;
    }
}

/* The enable word at an offset from ENABLE, or NULL. */
static uint32_t *enable_word(struct rv64_plic *plic, uint64_t offset)
{
    uint64_t context = offset / ENABLE_STRIDE;
    uint64_t word = offset % ENABLE_STRIDE / 4;

    if (context >= RV64_PLIC_CONTEXTS || word >= RV64_PLIC_WORDS)
        return NULL;
    return &plic->enable[context][word];
}

/* The sources that exist in a word of 32. */
static uint32_t existing(uint64_t word)
{
    uint32_t mask = UINT32_MAX;

    if (word == RV64_PLIC_SOURCES / 32)
        mask = (UINT32_C(2) << RV64_PLIC_SOURCES % 32) - 1;
    return word ? mask : mask & ~UINT32_C(1);
}

static int plic_read(void *state, uint64_t offset, uint32_t size, uint64_t *ret_value)
{
    struct rv64_plic *plic = state;
    const uint32_t *word;

    if (size != 4)
        return -1;
    *ret_value = 0;
    if (offset >= CONTEXT) {
        *ret_value = read_context(plic, offset - CONTEXT);
    } else if (offset >= ENABLE) {
        word = enable_word(plic, offset - ENABLE);
        *ret_value = word ? *word : 0;
    } else if (offset >= PENDING) {
        offset = (offset - PENDING) / 4;
        *ret_value = offset < RV64_PLIC_WORDS ? plic->pending[offset] : 0;
    } else if (offset / 4 <= RV64_PLIC_SOURCES) {
        *ret_value = plic->priority[offset / 4];
    }
    return 0;
}

static int plic_write(void *state, uint64_t offset, uint32_t size, uint64_t value)
{
    struct rv64_plic *plic = state;
    uint32_t *word;

    if (size != 4)
        return -1;
    if (offset >= CONTEXT) {
        write_context(plic, offset - CONTEXT, value);
    } else if (offset >= ENABLE) {
        word = enable_word(plic, offset - ENABLE);
        if (word)
            *word = (uint32_t)value & existing((offset - ENABLE) % ENABLE_STRIDE / 4);
        update(plic);
    } else if (offset < PENDING && offset && offset / 4 <= RV64_PLIC_SOURCES) {
        plic->priority[offset / 4] = value & PRIORITY_MASK;
        update(plic);
    }
    return 0;
}

void rv64_plic_init(struct rv64_plic *plic, const struct rv64_line outputs[RV64_PLIC_CONTEXTS])
{
    memset(plic, 0, sizeof *plic);
    memcpy(plic->outputs, outputs, sizeof plic->outputs);
}

int rv64_plic_attach(struct rv64_plic *plic, struct rv64_bus *bus, uint64_t base)
{
    const struct rv64_device device = {.name = "plic",
                                       .base = base,
                                       .length = WINDOW,
                                       .state = plic,
                                       .read = plic_read,
                                       .write = plic_write};

    return rv64_bus_add(bus, &device);
}

static void set_source(void *ctx, uint32_t number, bool level)
{
    rv64_plic_set(ctx, number, level);
}

struct rv64_line rv64_plic_line(struct rv64_plic *plic, uint32_t source)
{
    const struct rv64_line line = {.set = set_source, .ctx = plic, .number = source};

    return line;
}
