/* SPDX-License-Identifier: BSD-3-Clause */
#include "modeswitch_internal.h"

#include <string.h>

/* A page: pieces of code one after the other, and behind them what they save and load. */

/* Bit 1 of EFLAGS is always set; IF is clear. */
#define EFLAGS_FIXED 2u

/* Bits of F_PENDING. */
#define PENDING_NMI   1u
#define PENDING_CHECK 2u

struct emitter {
    uint8_t *page;
    uint32_t at;
    uint32_t value[FIX_KINDS];
    uint32_t check64, check32; /* handlers of machine checks */
};

static void put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof value);
}

static void put64(uint8_t *to, uint64_t value)
{
    memcpy(to, &value, sizeof value);
}

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static void emit(struct emitter *e, const struct piece *piece)
{
    memcpy(e->page + e->at, piece->code, piece->bytes);
    for (uint32_t i = 0; i < piece->fixes; i++) {
        const struct fix *f = &piece->fix[i];

        put32(e->page + e->at + f->at, e->value[f->kind] + f->addend);
    }
    e->at += piece->bytes;
}

static void emit_if(struct emitter *e, int wanted, const struct piece *piece)
{
    if (wanted)
        emit(e, piece);
}

/* Each MSR has two values in the page, the 64-bit world's first. */
static void emit_msrs(struct emitter *e, const struct gn_modeswitch_params *p, uint32_t save,
                      uint32_t load)
{
    for (uint32_t i = 0; i < p->msrs; i++) {
        const uint32_t slot = (uint32_t)p->address + F_MSR + i * F_MSR_BYTES;

        e->value[FIX_MSR] = p->msr[i];
        e->value[FIX_SAVE] = slot + save;
        e->value[FIX_LOAD] = slot + load;
        emit(e, &gn_modeswitch__msr);
    }
}

/* Handlers of NMI and machine check. @return where the second one begins */
static uint32_t emit_notes(struct emitter *e, const struct piece *piece)
{
    uint32_t second;

    e->value[FIX_NOTE] = PENDING_NMI;
    emit(e, piece);
    second = e->at;
    e->value[FIX_NOTE] = PENDING_CHECK;
    emit(e, piece);
    return second;
}

/* @return where the 32-bit world begins */
static uint32_t emit_ring0(struct emitter *e, const struct gn_modeswitch_params *p,
                           struct gn_modeswitch_layout *l)
{
    uint32_t first;
    const int tss = (p->flags & GN_MODESWITCH_TSS) != 0;
    const int pcid = (p->flags & GN_MODESWITCH_PCID) != 0;
    const int fsgsbase = (p->flags & GN_MODESWITCH_FSGSBASE) != 0;

    emit(e, &gn_modeswitch__leave64);
    emit_if(e, pcid, &gn_modeswitch__leave64_pcid);
    emit_if(e, tss, &gn_modeswitch__leave64_tss);
    emit_if(e, fsgsbase, &gn_modeswitch__leave64_fsgsbase);
    emit_if(e, !fsgsbase, &gn_modeswitch__leave64_bases);
    emit_msrs(e, p, 0, 8);
    emit(e, &gn_modeswitch__leave64_end);
    l->code64_end = l->code32_begin = e->at;
    emit(e, &gn_modeswitch__arrive32);
    emit_if(e, tss, &gn_modeswitch__arrive32_tss);
    emit(e, &gn_modeswitch__arrive32_end);
    l->back = e->at;
    emit(e, &gn_modeswitch__leave32);
    emit_if(e, tss, &gn_modeswitch__leave32_tss);
    emit(e, &gn_modeswitch__leave32_end);
    first = e->at;
    emit(e, &gn_modeswitch__first32);
    l->code32_end = l->tail64_begin = e->at;
    emit_if(e, pcid, &gn_modeswitch__arrive64_pcid);
    emit(e, &gn_modeswitch__arrive64);
    emit_if(e, tss, &gn_modeswitch__arrive64_tss);
    emit(e, &gn_modeswitch__arrive64_segments);
    emit_if(e, fsgsbase, &gn_modeswitch__arrive64_fsgsbase);
    emit_if(e, !fsgsbase, &gn_modeswitch__arrive64_bases);
    emit_msrs(e, p, 8, 0);
    emit(e, &gn_modeswitch__arrive64_end);
    l->tail64_end = l->nmi64_begin = e->at;
    e->check64 = emit_notes(e, &gn_modeswitch__note64);
    l->nmi64_end = l->nmi32_begin = e->at;
    e->check32 = emit_notes(e, &gn_modeswitch__note32);
    l->nmi32_end = e->at;
    return first;
}

static uint32_t emit_ring3(struct emitter *e, struct gn_modeswitch_layout *l)
{
    uint32_t first;

    emit(e, &gn_modeswitch__leave64_user);
    l->code64_end = l->code32_begin = e->at;
    emit(e, &gn_modeswitch__arrive32_user);
    l->back = e->at;
    emit(e, &gn_modeswitch__leave32_user);
    first = e->at;
    emit(e, &gn_modeswitch__first32_user);
    l->code32_end = l->tail64_begin = e->at;
    emit(e, &gn_modeswitch__arrive64_user);
    l->tail64_end = e->at;
    return first;
}

static void far_pointer(uint8_t *to, uint32_t offset, uint32_t selector)
{
    put32(to, offset);
    put16(to + 4, selector);
}

static void table_register(uint8_t *to, uint32_t limit, uint64_t base)
{
    put16(to, limit);
    put64(to + 2, base);
}

/* SDM vol. 3A figures 6-2 and 6-8. Interrupt gates of ring 0. */
static void gate32(uint8_t *idt, uint32_t vector, uint32_t to, uint32_t selector)
{
    put32(idt + vector * 8, selector << 16 | (to & 0xffff));
    put32(idt + vector * 8 + 4, (to & 0xffff0000) | 0x8e00);
}

static void gate64(uint8_t *idt, uint32_t vector, uint32_t to, uint32_t selector)
{
    put32(idt + vector * 16, selector << 16 | (to & 0xffff));
    put32(idt + vector * 16 + 4, (to & 0xffff0000) | 0x8e00);
    put64(idt + vector * 16 + 8, 0);
}

/*
 * One table for both modes: as 8-byte gates, vectors 2 and 18 lie at 16 and 144; as 16-byte gates
 * at 32 and 288. So the table is right on both sides of the instruction that ends long mode.
 */
static void fill_idt(const struct emitter *e, const struct gn_modeswitch_params *p,
                     const struct gn_modeswitch_layout *l)
{
    uint8_t *page = e->page;
    const uint32_t base = (uint32_t)p->address;

    gate32(page + F_IDT, 2, base + l->nmi32_begin, p->code32);
    gate32(page + F_IDT, 18, base + e->check32, p->code32);
    gate64(page + F_IDT, 2, base + l->nmi64_begin, p->code64);
    gate64(page + F_IDT, 18, base + e->check64, p->code64);
    table_register(page + F_IDTR, 19 * 16 - 1, p->address + F_IDT);
}

static void fill_gdt(uint8_t *page, const struct gn_modeswitch_params *p)
{
    put64(page + F_GDT + p->code64, 0x00af9b000000ffff);
    put64(page + F_GDT + p->code32, 0x00cf9b000000ffff);
    put64(page + F_GDT + p->data, 0x00cf93000000ffff);
    table_register(page + F_GDTR, 16 * 8 - 1, p->address + F_GDT);
}

/*
 * The 32-bit world as if it had called back(): a frame in the page. Of RING0 what arrive32_end pops
 * (4 segments, 8 registers, flags, EIP, CS), of RING3 4 registers and EIP.
 */
static void fill_frame(uint8_t *page, const struct gn_modeswitch_params *p, uint32_t first)
{
    uint8_t *frame = page + F_FIRST;

    put32(page + C_ESP, (uint32_t)p->address + F_FIRST);
    put32(page + F_ESP0, p->esp);
    far_pointer(page + F_EIP0, p->eip, p->code32);
    if (p->form == GN_MODESWITCH_RING3) {
        put32(frame + 4 * 4, (uint32_t)p->address + first);
        return;
    }
    for (uint32_t i = 0; i < 4; i++)
        put32(frame + i * 4, p->data);
    put32(frame + 12 * 4, EFLAGS_FIXED);
    far_pointer(frame + 13 * 4, (uint32_t)p->address + first, p->code32);
}

static void fill_world32(uint8_t *page, const struct gn_modeswitch_params *p)
{
    put16(page + C_SS, p->data);
    put32(page + C_CR0, p->cr0);
    put32(page + C_CR3, p->cr3);
    put32(page + C_CR4, p->cr4);
    put32(page + C_EFER, p->efer);
    table_register(page + C_GDTR, p->gdt_limit, p->gdt);
    table_register(page + C_IDTR, p->idt_limit, p->idt);
    put16(page + C_TR, p->tr);
    for (uint32_t i = 0; i < p->msrs; i++)
        put64(page + F_MSR + i * F_MSR_BYTES + 8, p->msr_value[i]);
}

uint32_t gn_modeswitch_version(void)
{
    return GN_MODESWITCH_VERSION_MAJOR << 16 | GN_MODESWITCH_VERSION_MINOR;
}

int gn_modeswitch_emit(void *page, size_t len, const struct gn_modeswitch_params *params,
                       struct gn_modeswitch_layout *ret_layout)
{
    struct gn_modeswitch_params p;
    struct gn_modeswitch_layout l = {.size = sizeof l};
    struct emitter e = {.page = page};
    uint32_t first;
    int rc = gn_modeswitch__params(params, &p);

    if (rc)
        return rc;
    if (!page || !ret_layout)
        return -GN_ERR_INVAL;
    if ((uintptr_t)page & (GN_MODESWITCH_PAGE - 1))
        return -GN_ERR_FAULT;
    if (len < GN_MODESWITCH_PAGE)
        return -GN_ERR_NOMEM;
    memset(page, 0, GN_MODESWITCH_PAGE);
    e.value[FIX_PAGE] = (uint32_t)p.address;
    e.value[FIX_DATA] = p.data;
    if (p.form == GN_MODESWITCH_RING0) {
        first = emit_ring0(&e, &p, &l);
        fill_idt(&e, &p, &l);
        fill_gdt(page, &p);
    } else {
        first = emit_ring3(&e, &l);
    }
    fill_frame(page, &p, first);
    fill_world32(page, &p);
    far_pointer((uint8_t *)page + F_TO32, (uint32_t)p.address + l.code32_begin, p.code32);
    far_pointer((uint8_t *)page + F_TO64, (uint32_t)p.address + l.tail64_begin, p.code64);
    l.latched = F_LATCHED;
    *ret_layout = l;
    return 0;
}
