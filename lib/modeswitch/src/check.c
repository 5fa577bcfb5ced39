/* SPDX-License-Identifier: BSD-3-Clause */
#include "modeswitch_internal.h"

/* What is refused before it is written, and what is looked at before it is used. */

#define CR0_PE 0x00000001u
#define CR0_PG 0x80000000u

#define CR4_PAE   0x00000020u
#define CR4_LA57  0x00001000u
#define CR4_PCIDE 0x00020000u

#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u

/* Switched in any case. */
#define MSR_EFER    0xc0000080u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

#define FLAGS (GN_MODESWITCH_FSGSBASE | GN_MODESWITCH_TSS | GN_MODESWITCH_PCID)

/* The last page that 31 bits reach. */
#define ADDRESS_END ((uint64_t)1 << 31)

#define GDT_BYTES 0x80u

static int selectors(const struct gn_modeswitch_params *p)
{
    const uint32_t s[] = {p->code64, p->code32, p->data};
    const uint32_t rights = p->form == GN_MODESWITCH_RING0 ? 0 : 3;

    for (uint32_t i = 0; i < 3; i++)
        if (s[i] < 8 || s[i] > 0xffff || (s[i] & 7) != rights)
            return -GN_ERR_INVAL;
    if (p->code64 == p->code32 || p->code64 == p->data || p->code32 == p->data)
        return -GN_ERR_INVAL;
    if (p->form == GN_MODESWITCH_RING3)
        return 0;
    for (uint32_t i = 0; i < 3; i++)
        if (s[i] >= GDT_BYTES)
            return -GN_ERR_INVAL;
    /* The 32-bit world's own table need not have the 64-bit segment, which nothing uses there. */
    return p->code32 + 7 > p->gdt_limit || p->data + 7 > p->gdt_limit ? -GN_ERR_INVAL : 0;
}

static int registers(const struct gn_modeswitch_params *p)
{
    const uint32_t unaligned = p->cr4 & CR4_PAE ? 31 : 4095;

    if (!(p->cr0 & CR0_PG) || !(p->cr0 & CR0_PE) || p->cr4 & (CR4_LA57 | CR4_PCIDE) ||
        p->efer & (EFER_LME | EFER_LMA))
        return -GN_ERR_INVAL;
    /* Bits 3 and 4 of CR3 are PWT and PCD; the rest below the root is zero. */
    if (p->cr3 & unaligned & ~0x18u || (p->efer & EFER_NXE && !(p->cr4 & CR4_PAE)))
        return -GN_ERR_INVAL;
    if (p->gdt_limit > 0xffff || p->idt_limit > 0xffff)
        return -GN_ERR_INVAL;
    if (p->flags & GN_MODESWITCH_TSS && (p->tr < 8 || p->tr & 7 || p->tr + 7 > p->gdt_limit))
        return -GN_ERR_INVAL;
    return 0;
}

static int msrs(const struct gn_modeswitch_params *p)
{
    if (p->msrs > GN_MODESWITCH_MSRS_MAX)
        return -GN_ERR_2BIG;
    for (uint32_t i = 0; i < p->msrs; i++) {
        if (p->msr[i] == MSR_EFER || p->msr[i] == MSR_FS_BASE || p->msr[i] == MSR_GS_BASE)
            return -GN_ERR_INVAL;
        for (uint32_t j = 0; j < i; j++)
            if (p->msr[i] == p->msr[j])
                return -GN_ERR_INVAL;
    }
    return 0;
}

int gn_modeswitch__params(const struct gn_modeswitch_params *params,
                          struct gn_modeswitch_params *ret_params)
{
    struct gn_modeswitch_params p;
    int rc = gn_base_params_copy(&p, sizeof p, params, sizeof p);

    if (rc)
        return rc;
    if (p.form > GN_MODESWITCH_RING3 || p.flags & ~FLAGS || p.reserved[0] || p.reserved[1])
        return -GN_ERR_INVAL;
    if (p.address & (GN_MODESWITCH_PAGE - 1))
        return -GN_ERR_FAULT;
    if (!p.address || p.address >= ADDRESS_END)
        return -GN_ERR_RANGE;
    rc = selectors(&p);
    if (!rc && p.form == GN_MODESWITCH_RING0)
        rc = registers(&p);
    if (!rc && p.form == GN_MODESWITCH_RING0)
        rc = msrs(&p);
    if (!rc)
        *ret_params = p;
    return rc;
}

/* A byte of a world, and what its mapping must permit. */
struct need {
    uint32_t bits;
    uint64_t address;
    uint32_t flags;
    uint32_t identity;
};

static int look(const struct gn_modeswitch_check_ops *ops, void *ctx, const struct need *need)
{
    uint64_t physical = 0;
    uint32_t flags = 0;
    int rc = ops->translate(ctx, need->bits, need->address, &physical, &flags);

    if (rc)
        return rc;
    if ((flags & need->flags) != need->flags)
        return -GN_ERR_PERM;
    return need->identity && physical != need->address ? -GN_ERR_FAULT : 0;
}

int gn_modeswitch_check(const struct gn_modeswitch_params *params,
                        const struct gn_modeswitch_check_ops *ops, void *ops_ctx)
{
    struct gn_modeswitch_params p;
    struct gn_modeswitch_check_ops o;
    int rc = gn_modeswitch__params(params, &p);
    const uint32_t wx = GN_MODESWITCH_MAP_WRITE | GN_MODESWITCH_MAP_EXEC;

    if (!rc)
        rc = gn_base_params_copy(&o, sizeof o, ops, sizeof o);
    if (rc)
        return rc;
    if (!o.translate)
        return -GN_ERR_INVAL;
    const uint32_t ring0 = p.form == GN_MODESWITCH_RING0;
    const uint32_t last = (p.code32 > p.data ? p.code32 : p.data) + 7;
    const uint32_t writes = p.flags & GN_MODESWITCH_TSS ? GN_MODESWITCH_MAP_WRITE : 0;
    const struct need need[] = {
        {64, p.address, wx, ring0},
        {32, p.address, wx, ring0},
        {32, p.eip, GN_MODESWITCH_MAP_EXEC, 0},
        {32, (p.esp - 1) & 0xffffffff, GN_MODESWITCH_MAP_WRITE, 0},
        {32, p.gdt, writes, 0}, /* and what follows: of RING0 */
        {32, (uint64_t)p.gdt + last, writes, 0},
        {32, p.idt, 0, 0},
    };

    for (uint32_t i = 0; i < (ring0 ? 7u : 4u) && !rc; i++)
        rc = look(&o, ops_ctx, &need[i]);
    return rc;
}
