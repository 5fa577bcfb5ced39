/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_NAIVE_H
#define GN_TEST_NAIVE_H

/*
 * Two machines as their manuals tell them, one function each (naive_legacy.h and naive_aarch64.h
 * have the others), register bit by register bit. They
 * share nothing with the library: neither its tables nor its names for controls and permissions.
 *
 *  - x86-64: Intel SDM vol. 3A §4.5 (4-level and 5-level paging), §4.6 (access rights, protection
 *    keys), §4.7 (page-fault exceptions), §4.8 (accessed and dirty flags).
 *  - RISC-V: Privileged Architecture 20211203 §4.3.2, steps 1 to 8 of the translation process.
 *
 * Memory is a run of 64-bit words from physical address 0; the rest is a hole.
 */

#include <stdint.h>

struct naive_memory {
    uint64_t *words;
    uint64_t bytes;
};

enum naive_kind { NAIVE_OK, NAIVE_PAGE_FAULT, NAIVE_ACCESS_FAULT, NAIVE_GENERAL_PROTECTION };

struct naive_result {
    enum naive_kind kind;
    unsigned code;    /* x86: error code; RISC-V: cause; AArch64: ISS */
    uint64_t pa;      /* NAIVE_OK only, as are all below */
    unsigned bits;    /* log2 of the page size */
    int r, w, x, u;   /* what the levels together permit */
    int g, a, d;      /* of the leaf, afterwards */
    int ux;           /* AArch64: EL0 may execute, and x is EL1's */
    unsigned entries; /* read on the way */
};

struct naive_x86 {
    uint64_t cr0, cr3, cr4, efer, rflags;
    uint32_t pkru;
    int maxphyaddr;
    int page1gb;  /* CPUID.80000001H:EDX.Page1GB */
    int cpl;      /* 0 or 3 */
    int implicit; /* descriptor-table access */
    char op;      /* 'r', 'w' or 'x' */
    int probe;    /* leave A and D alone */
};

static inline struct naive_result naive_x86(const struct naive_x86 *cpu,
                                            const struct naive_memory *memory, uint64_t linear)
{
    struct naive_result result = {.kind = NAIVE_PAGE_FAULT, .r = 1, .w = 1, .x = 1, .u = 1};
    int wp = cpu->cr0 >> 16 & 1, la57 = cpu->cr4 >> 12 & 1, smep = cpu->cr4 >> 20 & 1;
    int smap = cpu->cr4 >> 21 & 1, pke = cpu->cr4 >> 22 & 1, nxe = cpu->efer >> 11 & 1;
    int ac = cpu->rflags >> 18 & 1, user_mode = cpu->cpl == 3 && !cpu->implicit;
    uint64_t *used[5], *entry, table = cpu->cr3 & 0x000ffffffffff000ull;
    int top = la57 ? 56 : 47, shift = la57 ? 48 : 39, deny = 0, key, i;

    for (i = top; i < 64; i++)
        if ((linear >> i & 1) != (linear >> top & 1)) {
            result.kind = NAIVE_GENERAL_PROTECTION;
            return result;
        }
    /* §4.7: W/R, U/S and I/D describe the access, whatever the cause. */
    if (cpu->op == 'w')
        result.code |= 1u << 1;
    if (user_mode)
        result.code |= 1u << 2;
    if (cpu->op == 'x' && (smep || nxe))
        result.code |= 1u << 4;
    for (;; shift -= 9) {
        uint64_t address = table + (linear >> shift & 511) * 8;
        int page, reserved = 0;

        if (address >= memory->bytes) {
            result.kind = NAIVE_ACCESS_FAULT;
            result.code = 0;
            return result;
        }
        entry = used[result.entries++] = &memory->words[address / 8];
        if (!(*entry & 1))
            return result;
        page = shift == 12 || (*entry >> 7 & 1);
        for (i = cpu->maxphyaddr; i <= 51; i++)
            reserved |= *entry >> i & 1;
        if (!nxe)
            reserved |= *entry >> 63 & 1;
        if (page && (shift == 48 || shift == 39))
            reserved = 1; /* bit 7 must be 0 in a PML5E and a PML4E */
        if (page && shift == 30 && !cpu->page1gb)
            reserved = 1;
        if (page && shift != 12)
            for (i = 13; i < shift; i++)
                reserved |= *entry >> i & 1;
        if (reserved) {
            result.code |= 1u << 3 | 1u;
            return result;
        }
        result.w &= *entry >> 1 & 1;
        result.u &= *entry >> 2 & 1;
        result.x &= !(*entry >> 63 & 1);
        if (page)
            break;
        table = *entry & 0x000ffffffffff000ull;
    }
    /* §4.6.1. With EFER.NXE = 0 no entry that gets here has bit 63 set. */
    if (user_mode) {
        if (!result.u)
            deny = 1;
        else if (cpu->op == 'w' && !result.w)
            deny = 1;
        else if (cpu->op == 'x' && !result.x)
            deny = 1;
    } else if (cpu->op == 'x') {
        if (!result.x)
            deny = 1;
        if (smep && result.u)
            deny = 1;
    } else {
        if (smap && result.u && (cpu->implicit || !ac))
            deny = 1;
        if (cpu->op == 'w' && wp && !result.w)
            deny = 1;
    }
    /* §4.6.2 and §4.7: keys rule data accesses to user-mode addresses, and show in the code. */
    key = *entry >> 59 & 15;
    if (pke && result.u && cpu->op != 'x') {
        int ad = cpu->pkru >> (2 * key) & 1, wd = cpu->pkru >> (2 * key + 1) & 1;

        if (ad || (wd && cpu->op == 'w' && (user_mode || wp))) {
            deny = 1;
            result.code |= 1u << 5;
        }
    }
    if (deny) {
        result.code |= 1u;
        return result;
    }
    for (i = 0; i < (int)result.entries && !cpu->probe; i++)
        *used[i] |= 1u << 5;
    if (cpu->op == 'w' && !cpu->probe)
        *entry |= 1u << 6;
    result.kind = NAIVE_OK;
    result.code = 0;
    result.bits = shift;
    result.g = *entry >> 8 & 1;
    result.a = *entry >> 5 & 1;
    result.d = *entry >> 6 & 1;
    result.pa = linear;
    for (i = shift; i < 64; i++) /* the frame's bits; those below come from the address */
        result.pa =
            (result.pa & ~(1ull << i)) | (i < 52 && (*entry >> i & 1) ? (uint64_t)1 << i : 0);
    return result;
}

struct naive_riscv {
    int levels;        /* 3: Sv39, 4: Sv48, 5: Sv57 */
    uint64_t satp_ppn; /* satp.PPN */
    int sum, mxr;      /* sstatus.SUM, sstatus.MXR */
    int hardware_ad;   /* the second scheme of step 7, else Svade */
    int pbmte;         /* menvcfg.PBMTE, Svpbmt (ch. 6) */
    int svnapot;       /* Svnapot is there (ch. 5) */
    char mode;         /* 'u' or 's' */
    char op;           /* 'r', 'w' or 'x' */
    int probe;         /* leave A and D alone, and do not look at them */
};

static inline struct naive_result naive_riscv(const struct naive_riscv *cpu,
                                              const struct naive_memory *memory, uint64_t va)
{
    struct naive_result result = {.kind = NAIVE_PAGE_FAULT};
    unsigned page_fault = cpu->op == 'x' ? 12 : cpu->op == 'r' ? 13 : 15;
    unsigned access_fault = cpu->op == 'x' ? 1 : cpu->op == 'r' ? 5 : 7;
    int top = 12 + 9 * cpu->levels - 1, level = cpu->levels - 1, allowed, bit;
    uint64_t a = cpu->satp_ppn << 12, pte, ppn;
    uint64_t *where;

    result.code = page_fault;
    for (bit = top; bit < 64; bit++)
        if ((va >> bit & 1) != (va >> top & 1))
            return result;
    for (;;) {
        uint64_t address = a + (va >> (12 + 9 * level) & 0x1ff) * 8; /* step 2 */

        if (address >= memory->bytes) {
            result.kind = NAIVE_ACCESS_FAULT;
            result.code = access_fault;
            return result;
        }
        where = &memory->words[address / 8];
        pte = *where;
        result.entries++;
        if (!(pte & 1) || (!(pte & 2) && (pte & 4))) /* step 3 */
            return result;
        if (pte >> 54 & 0x7f) /* reserved */
            return result;
        if ((pte >> 61 & 3) && !cpu->pbmte)
            return result;
        if ((pte >> 63) && !cpu->svnapot)
            return result;
        if ((pte & 2) || (pte & 8)) /* step 4: a leaf */
            break;
        if (pte & 0xd0 || pte >> 61) /* U, A, D, N and PBMT of a pointer are reserved */
            return result;
        if (--level < 0)
            return result;
        a = (pte >> 10 & 0xfffffffffffull) << 12;
    }
    if ((pte >> 61 & 3) == 3) /* of the memory types, one is reserved */
        return result;
    /* Of the encodings with N, all are reserved but 64 KiB: i = 0, ppn[0] is xxxxx1000. */
    if (pte >> 63 && (level != 0 || (pte >> 10 & 15) != 8))
        return result;
    result.r = pte >> 1 & 1;
    result.w = pte >> 2 & 1;
    result.x = pte >> 3 & 1;
    result.u = pte >> 4 & 1;
    /* step 5 */
    allowed = cpu->op == 'x' ? result.x : cpu->op == 'w' ? result.w : result.r;
    if (cpu->op == 'r' && cpu->mxr && result.x)
        allowed = 1;
    if (cpu->mode == 'u' && !result.u)
        allowed = 0;
    if (cpu->mode == 's' && result.u && (!cpu->sum || cpu->op == 'x'))
        allowed = 0;
    if (!allowed)
        return result;
    ppn = pte >> 10 & 0xfffffffffffull;
    for (bit = 0; bit < 9 * level; bit++) /* step 6: misaligned superpage */
        if (ppn >> bit & 1)
            return result;
    if (!cpu->probe && (!(pte & 0x40) || (cpu->op == 'w' && !(pte & 0x80)))) { /* step 7 */
        if (!cpu->hardware_ad)
            return result;
        pte |= 0x40;
        if (cpu->op == 'w')
            pte |= 0x80;
        *where = pte;
    }
    result.kind = NAIVE_OK; /* step 8 */
    result.code = 0;
    result.bits = 12 + 9 * level;
    if (pte >> 63) { /* the low four bits of the page number are those of the address */
        ppn &= ~15ull;
        result.bits = 16;
    }
    result.g = pte >> 5 & 1;
    result.a = pte >> 6 & 1;
    result.d = pte >> 7 & 1;
    result.pa = ppn << 12;
    for (bit = 0; bit < (int)result.bits; bit++)
        result.pa |= va & (uint64_t)1 << bit;
    return result;
}

#endif /* GN_TEST_NAIVE_H */
