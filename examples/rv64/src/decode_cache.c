/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The cache of code pages. It is bounded; a clock with a second chance says which page gives way.
 *
 * Stores are not watched. FENCE.I is what makes them visible to fetches (Unprivileged ISA §3), so
 * it begins an epoch, and a page that is entered for the first time in an epoch is compared with
 * what it was decoded from. Between two FENCE.I, decoded code may be older than memory, as in an
 * instruction cache that is not coherent.
 */

#include "decode.h"

#include <stdlib.h>
#include <string.h>

#include "cpu.h"

struct rv64_decode_cache *rv64_decode_cache_new(uint32_t pages)
{
    struct rv64_decode_cache *cache = calloc(1, sizeof *cache);

    if (!cache)
        return NULL;
    cache->pages = calloc(pages, sizeof *cache->pages);
    if (!cache->pages) {
        free(cache);
        return NULL;
    }
    cache->page_count = pages;
    cache->generation = 1; /* no tag of an empty jump has it */
    cache->epoch = 1;
    return cache;
}

void rv64_decode_cache_free(struct rv64_decode_cache *cache)
{
    if (!cache)
        return;
    free(cache->pages);
    free(cache);
}

void rv64_decode_flush_jumps(struct rv64_decode_cache *cache)
{
    if (++cache->generation < RV64_JUMP_GENERATIONS)
        return;
    memset(cache->jumps, 0, sizeof cache->jumps);
    cache->generation = 1;
}

static uint32_t *bucket_of(struct rv64_decode_cache *cache, uint64_t gpa)
{
    uint64_t frame = gpa >> GN_PAGE_SHIFT;

    return &cache->buckets[(frame ^ frame >> 11) % RV64_DECODE_BUCKETS];
}

static struct rv64_code_page *find(struct rv64_decode_cache *cache, uint64_t gpa)
{
    uint32_t i;

    for (i = *bucket_of(cache, gpa); i; i = cache->pages[i - 1].next)
        if (cache->pages[i - 1].gpa == gpa)
            return &cache->pages[i - 1];
    return NULL;
}

static void remove_page(struct rv64_decode_cache *cache, struct rv64_code_page *page)
{
    uint32_t index = (uint32_t)(page - cache->pages) + 1;
    uint32_t *link = bucket_of(cache, page->gpa);
    uint32_t i;

    while (*link != index)
        link = &cache->pages[*link - 1].next;
    *link = page->next;
    page->used = false;
    for (i = 0; i < RV64_JUMPS; i++)
        if (cache->jumps[i].page == page)
            memset(&cache->jumps[i], 0, sizeof cache->jumps[i]);
}

/* A page that holds nothing: unused so far, or taken from its owner. */
static struct rv64_code_page *take_page(struct rv64_cpu *cpu)
{
    struct rv64_decode_cache *cache = cpu->decode;
    struct rv64_code_page *page;

    for (;;) {
        page = &cache->pages[cache->hand];
        cache->hand = (cache->hand + 1) % cache->page_count;
        if (!page->used)
            return page;
        if (!page->referenced)
            break;
        page->referenced = false;
    }
    remove_page(cache, page);
    cpu->stats.decode_evictions++;
    return page;
}

static void fill(struct rv64_code_page *page, const uint8_t *memory)
{
    memset(page->insn, 0, sizeof page->insn);
    page->insn[RV64_PAGE_INSNS].op = RV64_OP_PAGE_END;
    memcpy(page->copy, memory, sizeof page->copy);
}

struct rv64_code_page *rv64_decode_enter(struct rv64_cpu *cpu, uint64_t va)
{
    struct rv64_decode_cache *cache = cpu->decode;
    struct rv64_code_page *page;
    struct rv64_jump *jump;
    const uint8_t *memory;
    uint64_t gpa;

    if (rv64_mmu_fetch_page(cpu->mmu, va, &memory, &gpa, &cpu->trap))
        return NULL;
    page = find(cache, gpa);
    if (!page) {
        page = take_page(cpu);
        page->gpa = gpa;
        page->used = true;
        page->next = *bucket_of(cache, gpa);
        *bucket_of(cache, gpa) = (uint32_t)(page - cache->pages) + 1;
        fill(page, memory);
        cpu->stats.decode_pages++;
    } else if (page->epoch != cache->epoch && memcmp(page->copy, memory, sizeof page->copy)) {
        fill(page, memory);
    }
    page->epoch = cache->epoch;
    page->referenced = true;
    jump = &cache->jumps[(va >> GN_PAGE_SHIFT) % RV64_JUMPS];
    jump->tag = (va & ~GN_PAGE_MASK) | cache->generation;
    jump->key = cache->key;
    jump->page = page;
    return page;
}

static uint32_t halfword(const struct rv64_code_page *page, uint32_t offset)
{
    return page->copy[offset] | (uint32_t)page->copy[offset + 1] << 8;
}

void rv64_decode_entry(struct rv64_cpu *cpu, struct rv64_insn *insn)
{
    const struct rv64_code_page *page = cpu->decode->current;
    uint32_t offset = (uint32_t)(insn - page->insn) * 2;

    cpu->stats.decoded++;
    if ((page->copy[offset] & 3) == 3 && offset + 2 == GN_PAGE_SIZE)
        insn->op = RV64_OP_STRADDLE;
    else
        rv64_decode(rv64_decode_raw(cpu->decode, insn), offset, insn);
}

uint32_t rv64_decode_raw(const struct rv64_decode_cache *cache, const struct rv64_insn *insn)
{
    uint32_t offset;

    if (insn == cache->straddle)
        return cache->straddle_raw;
    offset = (uint32_t)(insn - cache->current->insn) * 2;
    if ((cache->current->copy[offset] & 3) != 3 || offset + 2 == GN_PAGE_SIZE)
        return halfword(cache->current, offset);
    return halfword(cache->current, offset) | halfword(cache->current, offset + 2) << 16;
}

void rv64_decode_code_changed(struct rv64_decode_cache *cache, uint64_t gpa, uint64_t length)
{
    uint64_t last = length - 1 > UINT64_MAX - gpa ? UINT64_MAX : gpa + length - 1;
    uint32_t i;

    if (!length)
        return;
    for (i = 0; i < cache->page_count; i++)
        if (cache->pages[i].gpa <= last && cache->pages[i].gpa + GN_PAGE_MASK >= gpa)
            cache->pages[i].epoch = 0;
    rv64_decode_flush_jumps(cache);
}
