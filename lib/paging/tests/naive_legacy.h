/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_NAIVE_LEGACY_H
#define GN_TEST_NAIVE_LEGACY_H

/*
 * x86 outside long mode as Intel SDM vol. 3A tells it: §4.3 (32-bit paging, CR4.PAE = 0) and §4.4
 * (PAE paging; the PDPTEs are read from memory at each access, and judged then). Rights, error
 * codes, A and D as in §4.6 to §4.8.
 */

#include "naive.h"

#include <string.h>

static inline int naive_bit(uint64_t word, int bit)
{
    return word >> bit & 1;
}

static inline int naive_any(uint64_t word, int high, int low)
{
    int any = 0;

    for (int bit = low; bit <= high; bit++)
        any |= naive_bit(word, bit);
    return any;
}

/* Reads an entry; 0 if there is no memory. */
static inline int naive_fetch(const struct naive_memory *memory, uint64_t address, int bytes,
                              uint64_t *ret_entry)
{
    if (address >= memory->bytes)
        return 0;
    *ret_entry = 0;
    memcpy(ret_entry, (const uint8_t *)memory->words + address, (size_t)bytes);
    return 1;
}

/* §4.6.1, for an address whose entries together say u, w and x. */
static inline int naive_legacy_denies(const struct naive_x86 *cpu, const struct naive_result *p,
                                      int user_mode)
{
    int wp = naive_bit(cpu->cr0, 16), smep = naive_bit(cpu->cr4, 20);
    int smap = naive_bit(cpu->cr4, 21), ac = naive_bit(cpu->rflags, 18);

    if (user_mode)
        return !p->u || (cpu->op == 'w' && !p->w) || (cpu->op == 'x' && !p->x);
    if (cpu->op == 'x')
        return !p->x || (smep && p->u);
    if (smap && p->u && (cpu->implicit || !ac))
        return 1;
    return cpu->op == 'w' && wp && !p->w;
}

static inline struct naive_result
naive_x86_legacy(const struct naive_x86 *cpu, const struct naive_memory *memory, uint64_t linear)
{
    struct naive_result result = {.kind = NAIVE_PAGE_FAULT, .r = 1, .w = 1, .x = 1, .u = 1};
    int pse = naive_bit(cpu->cr4, 4), pae = naive_bit(cpu->cr4, 5), smep = naive_bit(cpu->cr4, 20);
    int nxe = pae && naive_bit(cpu->efer, 11), user_mode = cpu->cpl == 3 && !cpu->implicit;
    int bytes = pae ? 8 : 4, m = cpu->maxphyaddr, m36 = m < 40 ? m : 40, page = 0, reserved;
    uint64_t where[3], entry = 0, table = cpu->cr3;
    int shift = pae ? 30 : 22, first = 0;

    if (linear >> 32) {
        result.kind = NAIVE_GENERAL_PROTECTION;
        return result;
    }
    result.code =
        (cpu->op == 'w' ? 2 : 0) | (user_mode ? 4 : 0) | (cpu->op == 'x' && (smep || nxe) ? 16 : 0);
    table &= pae ? 0xffffffe0u : 0xfffff000u;
    while (!page) {
        uint64_t index = linear >> shift & (shift == 30 ? 3 : pae ? 511 : 1023);

        where[result.entries] = table + index * (uint64_t)bytes;
        if (!naive_fetch(memory, where[result.entries++], bytes, &entry)) {
            result.kind = NAIVE_ACCESS_FAULT;
            result.code = 0;
            return result;
        }
        if (!naive_bit(entry, 0))
            return result;
        table = entry & (pae ? 0x000ffffffffff000ull : 0xfffff000u);
        if (shift == 30) { /* table 4-8: no rights, no A; what is not said is reserved */
            reserved = naive_any(entry, 2, 1) | naive_any(entry, 8, 5) | naive_any(entry, 63, m);
            first = 1;
        } else {
            page = shift == 12 || (naive_bit(entry, 7) && (pae || pse));
            reserved = pae && (naive_any(entry, 62, m) || (!nxe && naive_bit(entry, 63)));
            if (page && shift == 21)
                reserved |= naive_any(entry, 20, 13);
            if (page && shift == 22) /* table 4-4 */
                reserved |= naive_any(entry, 21, m36 - 19);
            result.w &= naive_bit(entry, 1);
            result.u &= naive_bit(entry, 2);
            result.x &= !(pae && naive_bit(entry, 63));
        }
        if (reserved) {
            result.code |= 9;
            return result;
        }
        if (!page)
            shift -= pae ? 9 : 10;
    }
    if (naive_legacy_denies(cpu, &result, user_mode)) {
        result.code |= 1;
        return result;
    }
    for (int i = first; i < (int)result.entries && !cpu->probe; i++) {
        uint8_t *at = (uint8_t *)memory->words + where[i];

        *at |= 0x20;
        if (i == (int)result.entries - 1) {
            *at |= cpu->op == 'w' ? 0x40 : 0;
            entry |= *at & 0x60;
        }
    }
    result.kind = NAIVE_OK;
    result.code = 0;
    result.bits = (unsigned)shift;
    result.g = naive_bit(entry, 8);
    result.a = naive_bit(entry, 5);
    result.d = naive_bit(entry, 6);
    if (shift == 22)
        result.pa = (entry & 0xffc00000u) | (entry >> 13 & 0xff) << 32 | (linear & 0x3fffff);
    else
        result.pa = (table & ~0ull << shift) | (linear & ~(~0ull << shift));
    return result;
}

#endif /* GN_TEST_NAIVE_LEGACY_H */
