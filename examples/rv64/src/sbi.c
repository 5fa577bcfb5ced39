/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SBI 2.0. Everything in a0-a7 is the guest's: hart masks, addresses and lengths are checked and
 * refused with the errors that the specification names (§3, table "Standard SBI Errors").
 */

#include "sbi.h"

#define SUCCESS               0
#define ERR_FAILED            (-1)
#define ERR_NOT_SUPPORTED     (-2)
#define ERR_INVALID_PARAM     (-3)
#define ERR_INVALID_ADDRESS   (-5)
#define ERR_ALREADY_AVAILABLE (-6)

#define EXT_LEGACY_SET_TIMER   0x0
#define EXT_LEGACY_PUTCHAR     0x1
#define EXT_LEGACY_GETCHAR     0x2
#define EXT_LEGACY_CLEAR_IPI   0x3
#define EXT_LEGACY_SEND_IPI    0x4
#define EXT_LEGACY_FENCE_I     0x5
#define EXT_LEGACY_SFENCE      0x6
#define EXT_LEGACY_SFENCE_ASID 0x7
#define EXT_LEGACY_SHUTDOWN    0x8
#define EXT_BASE               0x10
#define EXT_TIME               0x54494d45
#define EXT_IPI                0x735049
#define EXT_RFENCE             0x52464e43
#define EXT_HSM                0x48534d
#define EXT_SRST               0x53525354
#define EXT_DBCN               0x4442434e

#define SPEC_VERSION   0x02000000 /* 2.0 */
#define IMPLEMENTATION 0x474e     /* "GN": not registered */

/* Beyond this many pages one fence of everything is cheaper, and the loop stays bounded. */
#define FENCE_PAGES_MAX 64

/* What one console write moves; the guest is told how much, and calls again (§12.1). */
#define CONSOLE_WRITE_MAX 4096

/* Where results go: a0 and a1. */
struct result {
    int64_t error;
    uint64_t value;
};

typedef struct result (*extension)(struct rv64_sbi *sbi, struct rv64_cpu *cpu, uint64_t function);

static struct result result(int64_t error, uint64_t value)
{
    const struct result r = {.error = error, .value = value};

    return r;
}

static uint64_t argument(const struct rv64_cpu *cpu, unsigned int index)
{
    return cpu->x[10 + index];
}

/* A hart mask (§3.1). @return 1: hart 0 is in it; 0: nobody; -1: it names a hart we have not. */
static int hart_mask(uint64_t mask, uint64_t base)
{
    if (base == UINT64_MAX)
        return 1;
    if (!mask)
        return 0;
    return base || mask != 1 ? -1 : 1;
}

static uint64_t implemented(uint64_t id)
{
    switch (id) {
    case EXT_BASE:
    case EXT_TIME:
    case EXT_IPI:
    case EXT_RFENCE:
    case EXT_HSM:
    case EXT_SRST:
    case EXT_DBCN: return 1;
    default: return id <= EXT_LEGACY_SHUTDOWN;
    }
}

/* §4 */
static struct result call_base(struct rv64_sbi *sbi, struct rv64_cpu *cpu, uint64_t function)
{
    (void)sbi;
    switch (function) {
    case 0: return result(SUCCESS, SPEC_VERSION);
    case 1: return result(SUCCESS, IMPLEMENTATION);
    case 2: return result(SUCCESS, 1);
    case 3: return result(SUCCESS, implemented(argument(cpu, 0)));
    case 4: /* mvendorid, marchid and mimpid */
    case 5:
    case 6: return result(SUCCESS, 0);
    default: return result(ERR_NOT_SUPPORTED, 0);
    }
}

/* §6 */
static struct result call_time(struct rv64_sbi *sbi, struct rv64_cpu *cpu, uint64_t function)
{
    if (function)
        return result(ERR_NOT_SUPPORTED, 0);
    sbi->timer_set(sbi->ctx, argument(cpu, 0));
    return result(SUCCESS, 0);
}

/* §7 */
static struct result call_ipi(struct rv64_sbi *sbi, struct rv64_cpu *cpu, uint64_t function)
{
    int mask = hart_mask(argument(cpu, 0), argument(cpu, 1));

    (void)sbi;
    if (function)
        return result(ERR_NOT_SUPPORTED, 0);
    if (mask < 0)
        return result(ERR_INVALID_PARAM, 0);
    if (mask)
        rv64_cpu_irq_set(cpu, RV64_IRQ_SSI, true);
    return result(SUCCESS, 0);
}

static void fence_i(struct rv64_sbi *sbi, struct rv64_cpu *cpu)
{
    rv64_cpu_code_changed(cpu, sbi->bus->ram_base, sbi->bus->ram_size);
}

/* SFENCE.VMA of a range; size 0 with start 0, or the largest size, is everything (§8). */
static void sfence(struct rv64_cpu *cpu, uint64_t start, uint64_t size, const uint64_t *asid)
{
    uint64_t va = start & ~UINT64_C(4095);
    uint64_t last = start + size - 1;
    uint64_t pages;

    if ((!start && !size) || size == UINT64_MAX) {
        rv64_mmu_sfence_vma(cpu->mmu, NULL, asid);
        return;
    }
    if (!size)
        return;
    pages = (last - va) / 4096 + 1;
    if (pages > FENCE_PAGES_MAX) {
        rv64_mmu_sfence_vma(cpu->mmu, NULL, asid);
        return;
    }
    for (; pages; pages--, va += 4096)
        rv64_mmu_sfence_vma(cpu->mmu, &va, asid);
}

/* §8 */
static struct result call_rfence(struct rv64_sbi *sbi, struct rv64_cpu *cpu, uint64_t function)
{
    int mask = hart_mask(argument(cpu, 0), argument(cpu, 1));
    uint64_t start = argument(cpu, 2);
    uint64_t size = argument(cpu, 3);
    uint64_t asid = argument(cpu, 4);

    if (function > 2) /* the others are of the hypervisor extension */
        return result(ERR_NOT_SUPPORTED, 0);
    if (mask < 0 || (function == 2 && asid > UINT16_MAX))
        return result(ERR_INVALID_PARAM, 0);
    if (function && size && size != UINT64_MAX && size - 1 > UINT64_MAX - start)
        return result(ERR_INVALID_ADDRESS, 0);
    if (!mask)
        return result(SUCCESS, 0);
    if (!function)
        fence_i(sbi, cpu);
    else
        sfence(cpu, start, size, function == 2 ? &asid : NULL);
    return result(SUCCESS, 0);
}

/* §9.4: suspension. A retentive one may end at once: the hart finds out that nothing came. */
static struct result hart_suspend(uint64_t type)
{
    if (!type)
        return result(SUCCESS, 0);
    if (type == 0x80000000)
        return result(ERR_NOT_SUPPORTED, 0);
    return result(ERR_INVALID_PARAM, 0);
}

/* §9: hart 0 is all there is, so it can neither be started nor stopped. */
static struct result call_hsm(struct rv64_sbi *sbi, struct rv64_cpu *cpu, uint64_t function)
{
    (void)sbi;
    switch (function) {
    case 0: return result(argument(cpu, 0) ? ERR_INVALID_PARAM : ERR_ALREADY_AVAILABLE, 0);
    case 1: return result(ERR_FAILED, 0);
    case 2: return result(argument(cpu, 0) ? ERR_INVALID_PARAM : SUCCESS, 0); /* 0: STARTED */
    case 3: return hart_suspend(argument(cpu, 0) & UINT32_MAX);
    default: return result(ERR_NOT_SUPPORTED, 0);
    }
}

/* §10 */
static struct result call_srst(struct rv64_sbi *sbi, struct rv64_cpu *cpu, uint64_t function)
{
    uint32_t type = (uint32_t)argument(cpu, 0);
    uint32_t reason = (uint32_t)argument(cpu, 1);

    if (function)
        return result(ERR_NOT_SUPPORTED, 0);
    /* Reasons from 2 to 0xdfffffff are reserved; types from 3 are reserved or a vendor's. */
    if (type > 2 || (reason > 1 && reason < 0xe0000000))
        return result(ERR_INVALID_PARAM, 0);
    sbi->reset(sbi->ctx, type ? RV64_SBI_REBOOT : RV64_SBI_SHUTDOWN, reason == 1);
    return result(SUCCESS, 0);
}

/* §12.1 and §12.2: the buffer is physical, its address in two halves. */
static struct result console_buffer(struct rv64_sbi *sbi, struct rv64_cpu *cpu, bool write)
{
    uint64_t length = argument(cpu, 0);
    uint64_t gpa = argument(cpu, 1);
    uint8_t *bytes;
    uint64_t i;
    int c;

    bytes = argument(cpu, 2) ? NULL : rv64_bus_ram(sbi->bus, gpa, length);
    if (!bytes)
        return result(ERR_INVALID_PARAM, 0);
    if (length > CONSOLE_WRITE_MAX)
        length = CONSOLE_WRITE_MAX;
    for (i = 0; i < length; i++) {
        if (write) {
            sbi->console_put(sbi->ctx, bytes[i]);
            continue;
        }
        c = sbi->console_get(sbi->ctx);
        if (c < 0)
            break;
        bytes[i] = (uint8_t)c;
    }
    if (!write)
        rv64_bus_wrote(sbi->bus, gpa, i);
    return result(SUCCESS, i);
}

/* §12 */
static struct result call_dbcn(struct rv64_sbi *sbi, struct rv64_cpu *cpu, uint64_t function)
{
    switch (function) {
    case 0: return console_buffer(sbi, cpu, true);
    case 1: return console_buffer(sbi, cpu, false);
    case 2: sbi->console_put(sbi->ctx, (uint8_t)argument(cpu, 0)); return result(SUCCESS, 0);
    default: return result(ERR_NOT_SUPPORTED, 0);
    }
}

/*
 * §5: the result is in a0 alone. Hart masks are given by virtual address; a mask can select only
 * hart 0, whom a fence or an interrupt too many does no harm, so it is not even read.
 */
static int64_t call_legacy(struct rv64_sbi *sbi, struct rv64_cpu *cpu, uint64_t id)
{
    uint64_t asid = argument(cpu, 3) & UINT16_MAX;

    switch (id) {
    case EXT_LEGACY_SET_TIMER: sbi->timer_set(sbi->ctx, argument(cpu, 0)); return 0;
    case EXT_LEGACY_PUTCHAR: sbi->console_put(sbi->ctx, (uint8_t)argument(cpu, 0)); return 0;
    case EXT_LEGACY_GETCHAR: return sbi->console_get(sbi->ctx);
    case EXT_LEGACY_CLEAR_IPI: rv64_cpu_irq_set(cpu, RV64_IRQ_SSI, false); return 0;
    case EXT_LEGACY_SEND_IPI: rv64_cpu_irq_set(cpu, RV64_IRQ_SSI, true); return 0;
    case EXT_LEGACY_FENCE_I: fence_i(sbi, cpu); return 0;
    case EXT_LEGACY_SFENCE: sfence(cpu, argument(cpu, 1), argument(cpu, 2), NULL); return 0;
    case EXT_LEGACY_SFENCE_ASID: sfence(cpu, argument(cpu, 1), argument(cpu, 2), &asid); return 0;
    default: sbi->reset(sbi->ctx, RV64_SBI_SHUTDOWN, false); return 0;
    }
}

static extension find(uint64_t id)
{
    switch (id) {
    case EXT_BASE: return call_base;
    case EXT_TIME: return call_time;
    case EXT_IPI: return call_ipi;
    case EXT_RFENCE: return call_rfence;
    case EXT_HSM: return call_hsm;
    case EXT_SRST: return call_srst;
    case EXT_DBCN: return call_dbcn;
    default: return NULL;
    }
}

void rv64_sbi_call(struct rv64_sbi *sbi, struct rv64_cpu *cpu)
{
    uint64_t id = argument(cpu, 7);
    struct result r = {.error = ERR_NOT_SUPPORTED};
    extension call = find(id);

    sbi->calls++;
    if (id <= EXT_LEGACY_SHUTDOWN) {
        cpu->x[10] = (uint64_t)call_legacy(sbi, cpu, id);
        return;
    }
    /* The function number is a 32-bit value in a6 (§3). */
    if (call)
        r = call(sbi, cpu, (uint32_t)argument(cpu, 6));
    cpu->x[10] = (uint64_t)r.error;
    cpu->x[11] = r.value;
}
