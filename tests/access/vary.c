/* SPDX-License-Identifier: BSD-3-Clause */
#include <gnomon/paging.h>

#include "vary.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Bits of x86 entries: Intel SDM vol. 3A tables 4-4 to 4-6 and 4-14 to 4-20. */
#define X86_P  BIT(0)
#define X86_RW BIT(1)
#define X86_US BIT(2)
#define X86_A  BIT(5)
#define X86_D  BIT(6)
#define X86_PS BIT(7)
#define X86_NX BIT(63)

/* RISC-V: Privileged Architecture §4.3.1. */
#define RISCV_V BIT(0)

/* AArch64: DDI 0487 D8.3. */
#define ARM_VALID BIT(0)
#define ARM_TABLE BIT(1) /* or, at the last level, a page */
#define ARM_USER  BIT(6)
#define ARM_RO    BIT(7)
#define ARM_AF    BIT(10)
#define ARM_DBM   BIT(51)
#define ARM_PXN   BIT(53)
#define ARM_UXN   BIT(54)

#define HIGH    BIT(45) /* above a width of 40 bits */
#define OUTSIDE BIT(32) /* an address where there is no memory; as is bit 31 */

#define COUNT(bits) ((uint32_t)(sizeof(bits) / sizeof(bits)[0]))

static void add(struct list *l, uint64_t value)
{
    if (l->count < LIST_MAX)
        l->value[l->count++] = value;
}

/* All subsets of up to 8 bits, with something added to each. */
static void add_subsets(struct list *l, const uint64_t *bits, uint32_t count, uint64_t with)
{
    for (uint32_t set = 0; set < 1u << count; set++) {
        uint64_t value = with;

        for (uint32_t i = 0; i < count; i++)
            value |= set >> i & 1 ? bits[i] : 0;
        add(l, value);
    }
}

static int is_legacy(const struct oracle *known)
{
    return known->bytes == 4;
}

/* Bit 17 is reserved in a 4 MiB page under a width of 36 bits, and in no table's entry. */
uint64_t vary_table(int level)
{
    return 0x20000 + (uint64_t)level * GN_PAGE_SIZE;
}

uint64_t vary_address(const struct oracle *known, uint64_t address)
{
    return known->family == 'r' ? address >> 2 : address;
}

uint64_t vary_permissive(const struct oracle *known, int level)
{
    uint64_t address = vary_address(known, vary_table(level - 1));

    if (known->family == 'a')
        return address | ARM_VALID | ARM_TABLE;
    if (known->family == 'r')
        return address | RISCV_V;
    return address | X86_P | (known->pae && level == 2 ? 0 : X86_RW | X86_US);
}

uint64_t vary_open_leaf(const struct oracle *known, uint64_t address)
{
    address = vary_address(known, address);
    if (known->family == 'a')
        return address | ARM_VALID | ARM_TABLE | ARM_AF | ARM_USER;
    return address | (known->family == 'r' ? 0xdf : 0x67);
}

/* ---- Leaves ------------------------------------------------------------------------------- */

static void legacy_leaves(int level, struct list *l)
{
    static const uint64_t bits[] = {X86_RW, X86_US, X86_A, X86_D, BIT(8)};
    uint64_t ps = level ? X86_PS : 0;

    add(l, ~(X86_P | UINT64_C(0xfffffffffffff000)) & UINT32_MAX);
    add_subsets(l, bits, COUNT(bits), X86_P | ps);
    add_subsets(l, bits, COUNT(bits), X86_P | (level ? ps | BIT(21) : X86_PS)); /* PAT */
    if (level)
        add_subsets(l, bits, COUNT(bits), X86_P | ps | BIT(17)); /* past the width */
}

static void x86_leaves(int level, struct list *l)
{
    static const uint64_t bits[] = {X86_RW, X86_US, X86_A, X86_D, X86_NX};
    uint64_t ps = level ? X86_PS : 0;

    add(l, ~(X86_P | UINT64_C(0xffffffffff000)));
    add_subsets(l, bits, COUNT(bits), X86_P | ps);
    add_subsets(l, bits, COUNT(bits), X86_P | ps | HIGH);
    if (level)
        add_subsets(l, bits, COUNT(bits), X86_P | ps | BIT(13));
}

static void riscv_leaves(int level, struct list *l)
{
    static const uint64_t bits[] = {2, 4, 8, 0x10, 0x40, 0x80};

    add(l, 0xfe);
    add_subsets(l, bits, COUNT(bits), RISCV_V);
    add_subsets(l, bits, COUNT(bits), RISCV_V | BIT(54 + level * 2));
    if (level) /* misaligned */
        add_subsets(l, bits, COUNT(bits), RISCV_V | BIT(10 + 9 * level - 1));
}

static void arm_leaves(int level, struct list *l)
{
    static const uint64_t bits[] = {ARM_USER, ARM_RO, ARM_AF, ARM_DBM, ARM_PXN, ARM_UXN};
    uint64_t page = level ? 0 : ARM_TABLE;

    add(l, 0xffe);
    add_subsets(l, bits, COUNT(bits), ARM_VALID | page);
    add_subsets(l, bits, COUNT(bits), ARM_VALID | page | HIGH);
    /* The contiguous hint, and what else changes nothing: MAIR index, SH, nG, software's bits. */
    add_subsets(l, bits, COUNT(bits), ARM_VALID | page | BIT(52) | 0xb1c | BIT(55));
    if (!level)
        add_subsets(l, bits, 3, ARM_VALID);
}

void vary_leaves(const struct oracle *known, int level, struct list *ret)
{
    ret->count = 0;
    add(ret, 0);
    if (is_legacy(known))
        legacy_leaves(level, ret);
    else if (known->family == 'x')
        x86_leaves(level, ret);
    else if (known->family == 'r')
        riscv_leaves(level, ret);
    else
        arm_leaves(level, ret);
}

/* ---- Entries above ------------------------------------------------------------------------ */

static void legacy_uppers(struct list *l)
{
    static const uint64_t bits[] = {X86_RW, X86_US, X86_A, X86_D};

    add(l, X86_RW | X86_US | X86_A);
    add_subsets(l, bits, COUNT(bits), X86_P);
    add_subsets(l, bits, COUNT(bits), X86_P | X86_PS);
    add_subsets(l, bits, COUNT(bits), X86_P | BIT(31));
}

static void x86_uppers(struct list *l)
{
    static const uint64_t bits[] = {X86_RW, X86_US, X86_A, X86_NX};

    add(l, X86_RW | X86_US | X86_A | X86_NX);
    add_subsets(l, bits, COUNT(bits), X86_P);
    add_subsets(l, bits, COUNT(bits), X86_P | HIGH);
    add_subsets(l, bits, COUNT(bits), X86_P | X86_PS);
    add_subsets(l, bits, COUNT(bits), X86_P | OUTSIDE);
}

static void riscv_uppers(struct list *l)
{
    static const uint64_t bits[] = {0x10, 0x20, 0x40, 0x80}; /* U, G, A, D */

    add(l, 0xfe);
    add_subsets(l, bits, COUNT(bits), RISCV_V);
    for (uint64_t rwx = 2; rwx < 16; rwx += 2) /* a superpage whose address is a table's */
        add(l, RISCV_V | rwx | 0xd0);
    add(l, RISCV_V | BIT(54));
    add(l, RISCV_V | BIT(63));
    add(l, RISCV_V | OUTSIDE >> 2);
}

static void arm_uppers(int level, struct list *l)
{
    static const uint64_t bits[] = {BIT(59), BIT(60), BIT(61), BIT(62)}; /* PXNT, UXNT, APT */

    add(l, 0xffe);
    add_subsets(l, bits, COUNT(bits), ARM_VALID | ARM_TABLE);
    add_subsets(l, bits, COUNT(bits), ARM_VALID | ARM_TABLE | HIGH);
    add_subsets(l, bits, COUNT(bits), ARM_VALID | ARM_TABLE | OUTSIDE);
    /* What a leaf's bits say is nothing in a table. */
    add_subsets(l, bits, COUNT(bits),
                ARM_VALID | ARM_TABLE | ARM_RO | ARM_DBM | ARM_PXN | ARM_UXN | BIT(58));
    /* A block, or at the root's level nothing; it leads to where the data page is, too. */
    add_subsets(l, bits, COUNT(bits), ARM_VALID | ARM_AF | ARM_USER | (level == 1 ? BIT(21) : 0));
}

void vary_uppers(const struct oracle *known, int level, struct list *ret)
{
    ret->count = 0;
    add(ret, 0);
    if (is_legacy(known))
        legacy_uppers(ret);
    else if (known->family == 'x')
        x86_uppers(ret);
    else if (known->family == 'r')
        riscv_uppers(ret);
    else
        arm_uppers(level, ret);
}

/* ---- Controls and accesses ---------------------------------------------------------------- */

void vary_controls(const struct oracle *known, struct list *ret)
{
    static const uint64_t legacy[] = {GN_PAGING_X86_WP,   GN_PAGING_X86_NXE, GN_PAGING_X86_SMEP,
                                      GN_PAGING_X86_SMAP, GN_PAGING_X86_AC,  GN_PAGING_X86_PSE};
    static const uint64_t x86[] = {GN_PAGING_X86_WP,   GN_PAGING_X86_NXE, GN_PAGING_X86_SMEP,
                                   GN_PAGING_X86_SMAP, GN_PAGING_X86_AC,  GN_PAGING_X86_1G};
    static const uint64_t riscv[] = {GN_PAGING_RISCV_SUM, GN_PAGING_RISCV_MXR,
                                     GN_PAGING_RISCV_ADUE};
    static const uint64_t arm[] = {GN_PAGING_AARCH64_PAN, GN_PAGING_AARCH64_EPAN,
                                   GN_PAGING_AARCH64_WXN, GN_PAGING_AARCH64_HD,
                                   GN_PAGING_AARCH64_HA};

    ret->count = 0;
    if (is_legacy(known))
        add_subsets(ret, legacy, COUNT(legacy), 0);
    else if (known->family == 'x')
        add_subsets(ret, x86, COUNT(x86), 0);
    else if (known->family == 'r')
        add_subsets(ret, riscv, COUNT(riscv), 0);
    else
        add_subsets(ret, arm, COUNT(arm), 0);
}

void vary_accesses(const struct oracle *known, struct list *ret)
{
    ret->count = 0;
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
        add(ret, kind);
        add(ret, kind | GN_PAGING_AS_USER);
        if (known->family == 'x' && kind != GN_ACCESS_EXEC)
            add(ret, kind | GN_PAGING_AS_USER | GN_PAGING_IMPLICIT);
    }
}
