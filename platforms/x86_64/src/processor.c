/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_64_internal.h"

#include <gnomon/x86_64.h>

static uint32_t features, phys_bits = 36;
static uint64_t tsc_hz;

static void cpuid(uint32_t leaf, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

static void find(void)
{
    uint32_t r[4], basic, extended;

    cpuid(0, r);
    basic = r[0];
    cpuid(1, r);
    features |= r[2] >> 17 & 1 ? GN_X86_64_HAS_PCID : 0;
    if (basic >= 7) {
        cpuid(7, r);
        features |= r[1] >> 7 & 1 ? GN_X86_64_HAS_SMEP : 0;
        features |= r[1] >> 20 & 1 ? GN_X86_64_HAS_SMAP : 0;
        features |= r[1] >> 10 & 1 ? GN_X86_64_HAS_INVPCID : 0;
        features |= r[2] >> 3 & 1 ? GN_X86_64_HAS_PKU : 0;
        features |= r[2] >> 16 & 1 ? GN_X86_64_HAS_LA57 : 0;
    }
    cpuid(0x80000000, r);
    extended = r[0];
    cpuid(0x80000001, r);
    features |= r[2] >> 2 & 1 ? GN_X86_64_HAS_SVM : 0;
    features |= r[3] >> 20 & 1 ? GN_X86_64_HAS_NX : 0;
    features |= r[3] >> 26 & 1 ? GN_X86_64_HAS_1G : 0;
    if (extended >= 0x80000008) {
        cpuid(0x80000008, r);
        phys_bits = r[0] & 0xff;
    }
}

/* PGE and PCIDE here, since CR3 names PCID 0 now; the rest by controls. */
void gn_x86_64__processor_init(void)
{
    find();
    gn_x86_64__cr4_set(gn_x86_64__cr4() | CR4_PGE |
                       (features & GN_X86_64_HAS_PCID ? CR4_PCIDE : 0));
    gn_x86_64_controls_set(0x3, 0); /* GN_PAGING_X86_WP | GN_PAGING_X86_NXE */
}

uint32_t gn_x86_64_features(void)
{
    return features;
}

uint32_t gn_x86_64_phys_bits(void)
{
    return phys_bits;
}

/* Writes that change nothing are left out: those to CR0 and CR4 may empty the TLB. */
void gn_x86_64_controls_set(uint32_t controls, uint32_t pkru)
{
    /* The bits of <gnomon/paging.h>: WP, NXE, SMEP, SMAP, AC, PKE. */
    const uint64_t cr0 = gn_x86_64__cr0(), cr4 = gn_x86_64__cr4();
    const uint64_t efer = gn_x86_64__msr(MSR_EFER);
    uint64_t want4 = cr4 & ~(uint64_t)(CR4_SMEP | CR4_SMAP | CR4_PKE);
    uint64_t want0 = (cr0 & ~(uint64_t)CR0_WP) | (controls & 0x1 ? CR0_WP : 0);
    uint64_t wante = efer & ~(uint64_t)EFER_NXE;

    wante |= controls & 0x2 && features & GN_X86_64_HAS_NX ? EFER_NXE : 0;
    want4 |= controls & 0x4 && features & GN_X86_64_HAS_SMEP ? CR4_SMEP : 0;
    want4 |= controls & 0x8 && features & GN_X86_64_HAS_SMAP ? CR4_SMAP : 0;
    want4 |= controls & 0x20 && features & GN_X86_64_HAS_PKU ? CR4_PKE : 0;
    if (want0 != cr0)
        gn_x86_64__cr0_set(want0);
    if (want4 != cr4)
        gn_x86_64__cr4_set(want4);
    if (wante != efer)
        gn_x86_64__msr_set(MSR_EFER, wante);
    if (want4 & CR4_PKE)
        __asm__ volatile("wrpkru" : : "a"(pkru), "c"(0), "d"(0));
}

uint64_t gn_x86_64_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* Channel 2 of the timer counts 10 ms down, gated by port 0x61, whose bit 5 shows the end. */
uint64_t gn_x86_64_tsc_hz(void)
{
    const uint32_t ticks = 11932; /* of 1,193,182 Hz */
    uint64_t begin;

    if (tsc_hz)
        return tsc_hz;
    gn_x86_64__out8(0x61, (gn_x86_64__in8(0x61) & 0xfc) | 1);
    gn_x86_64__out8(0x43, 0xb0); /* channel 2, both bytes, mode 0 */
    gn_x86_64__out8(0x42, ticks & 0xff);
    gn_x86_64__out8(0x42, ticks >> 8);
    begin = gn_x86_64_tsc();
    while (!(gn_x86_64__in8(0x61) & 0x20))
        __asm__ volatile("pause");
    tsc_hz = (gn_x86_64_tsc() - begin) * 100;
    return tsc_hz;
}
