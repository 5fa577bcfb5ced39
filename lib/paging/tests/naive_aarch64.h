/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_NAIVE_AARCH64_H
#define GN_TEST_NAIVE_AARCH64_H

/*
 * AArch64 stage 1 as Arm DDI 0487 D8 tells it, the order of things being that of the pseudocode
 * (AArch64.S1Walk, S1DirectBasePermissions, S1CheckPermissions): granule 4 KiB, T0SZ = T1SZ = 16.
 * Where the manual leaves a choice (AF of an access that has no permission), it is not set.
 */

#include "naive_legacy.h"

struct naive_aarch64 {
    uint64_t ttbr0, ttbr1; /* BADDR */
    int ha, hd, epd0, epd1, tbi0, tbi1;
    int oasize; /* TCR_EL1.IPS, in bits */
    int wxn, pan, epan;
    int el;  /* 0 or 1 */
    char op; /* 'r', 'w' or 'x' */
    int probe;
};

/* A fault of a kind at a level of the manual's. */
static inline struct naive_result naive_abort(const struct naive_aarch64 *cpu, unsigned status,
                                              int level, unsigned entries)
{
    struct naive_result result = {.kind = NAIVE_PAGE_FAULT, .entries = entries};

    result.code = status + (unsigned)level;
    if (status == 0x14)
        result.kind = NAIVE_ACCESS_FAULT;
    if (cpu->op == 'w')
        result.code |= 1u << 6;
    return result;
}

/* D8.4: what the two exception levels may do, of AP, APTable, and the execute-never bits. */
static inline int naive_aarch64_allows(const struct naive_aarch64 *cpu, int ap, int apt, int pxn,
                                       int uxn, struct naive_result *p)
{
    int pr = 1, pw = 0, ur = 0, uw = 0, px, ux;

    switch (ap) {
    case 0: pw = 1; break;
    case 1: pw = ur = uw = 1; break;
    case 2: break;
    case 3: ur = 1; break;
    }
    switch (apt) {
    case 0: break;
    case 1: ur = uw = 0; break;
    case 2: pw = uw = 0; break;
    case 3: pw = ur = uw = 0; break;
    }
    p->r = 1;
    p->w = pw;
    p->u = ur;
    p->x = !pxn;
    p->ux = !uxn;
    px = !pxn && !uw;
    ux = !uxn;
    if (cpu->wxn) {
        px = px && !pw;
        ux = ux && !uw;
    }
    if (cpu->pan && (ur || (cpu->epan && !uxn)))
        pr = pw = 0; /* of data accesses; px has been made of what was before */
    if (cpu->el == 0)
        return cpu->op == 'r' ? ur : cpu->op == 'w' ? uw : ux;
    return cpu->op == 'r' ? pr : cpu->op == 'w' ? pw : px;
}

static inline struct naive_result naive_aarch64(const struct naive_aarch64 *cpu,
                                                const struct naive_memory *memory, uint64_t va)
{
    struct naive_result result = {.kind = NAIVE_OK};
    int high = naive_bit(va, 55), apt = 0, pxnt = 0, uxnt = 0, level, shift, ap, dbm;
    uint64_t d = 0, table = high ? cpu->ttbr1 : cpu->ttbr0, address;

    for (int bit = 48; bit < ((high ? cpu->tbi1 : cpu->tbi0) ? 56 : 64); bit++)
        if (naive_bit(va, bit) != high)
            return naive_abort(cpu, 4, 0, 0);
    if (high ? cpu->epd1 : cpu->epd0)
        return naive_abort(cpu, 4, 0, 0);
    if (naive_any(table, 63, cpu->oasize))
        return naive_abort(cpu, 0, 0, 0);
    for (level = 0;; level++) {
        shift = 12 + 9 * (3 - level);
        address = table + (va >> shift & 511) * 8;
        result.entries++;
        if (!naive_fetch(memory, address, 8, &d))
            return naive_abort(cpu, 0x14, level, result.entries);
        if (!naive_bit(d, 0))
            return naive_abort(cpu, 4, level, result.entries);
        if (!naive_bit(d, 1) && (level == 0 || level == 3))
            return naive_abort(cpu, 4, level, result.entries);
        if (cpu->oasize < 48 && naive_any(d, 47, cpu->oasize))
            return naive_abort(cpu, 0, level, result.entries);
        if (level == 3 || !naive_bit(d, 1))
            break;
        apt |= d >> 61 & 3;
        uxnt |= naive_bit(d, 60);
        pxnt |= naive_bit(d, 59);
        table = d & 0x0000fffffffff000ull;
    }
    if (!naive_bit(d, 10) && !cpu->ha && !cpu->probe)
        return naive_abort(cpu, 8, level, result.entries);
    ap = d >> 6 & 3;
    dbm = cpu->ha && cpu->hd && naive_bit(d, 51);
    if (!naive_aarch64_allows(cpu, dbm ? ap & 1 : ap, apt, naive_bit(d, 53) || pxnt,
                              naive_bit(d, 54) || uxnt, &result))
        return naive_abort(cpu, 0xc, level, result.entries);
    if (!cpu->probe) {
        d |= 1u << 10;
        if (cpu->op == 'w' && dbm)
            d &= ~(1ull << 7);
        memory->words[address / 8] = d;
    }
    result.bits = (unsigned)shift;
    result.g = !naive_bit(d, 11);
    result.a = naive_bit(d, 10);
    result.d = !naive_bit(d, 7);
    for (int bit = 0; bit < 48; bit++)
        result.pa |= (uint64_t)naive_bit(bit < shift ? va : d, bit) << bit;
    return result;
}

#endif /* GN_TEST_NAIVE_AARCH64_H */
