/* SPDX-License-Identifier: BSD-3-Clause */
#include "paging_internal.h"

/*
 * The table of formats. A format that follows an architecture's rules is a row here and nothing
 * else.
 */

/* x86 combines these over all levels (SDM vol. 3A §4.6); RISC-V looks at the leaf alone. */
#define X86_INHERITED (GN_PAGING_W | GN_PAGING_X | GN_PAGING_U)

/* Levels at which a leaf may stand: 4 KiB, 2 MiB, 1 GiB, and for RISC-V every level there is. */
#define LEAVES(levels) ((1u << (levels)) - 1)

static const struct gn_paging__format formats[] = {
    {GN_PAGING_BARE, "bare", NULL, {0, 64, 8, 9, 0, 64, 0}},
    {GN_PAGING_X86_4LEVEL,
     "x86-4level",
     &gn_paging__x86,
     {4, 48, 8, 9, LEAVES(3), 52, X86_INHERITED}},
    {GN_PAGING_X86_5LEVEL,
     "x86-5level",
     &gn_paging__x86,
     {5, 57, 8, 9, LEAVES(3), 52, X86_INHERITED}},
    {GN_PAGING_SV39, "sv39", &gn_paging__riscv, {3, 39, 8, 9, LEAVES(3), 56, 0}},
    {GN_PAGING_SV48, "sv48", &gn_paging__riscv, {4, 48, 8, 9, LEAVES(4), 56, 0}},
    {GN_PAGING_SV57, "sv57", &gn_paging__riscv, {5, 57, 8, 9, LEAVES(5), 56, 0}},
};

const struct gn_paging__format *gn_paging__format_find(uint32_t id)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].id == id)
            return &formats[i];
    return NULL;
}

uint32_t gn_paging_version(void)
{
    return GN_PAGING_VERSION_MAJOR << 16 | GN_PAGING_VERSION_MINOR;
}

int gn_paging_geometry(uint32_t format, struct gn_paging_geometry *ret_geometry)
{
    const struct gn_paging__format *f = gn_paging__format_find(format);

    if (!ret_geometry)
        return -GN_ERR_INVAL;
    if (!f)
        return -GN_ERR_NOTSUP;
    *ret_geometry = f->geometry;
    return 0;
}

const char *gn_paging_format_name(uint32_t format)
{
    const struct gn_paging__format *f = gn_paging__format_find(format);

    return f ? f->name : NULL;
}

int gn_paging_entry_decode(const struct gn_paging_context *context, uint32_t level, uint64_t value,
                           struct gn_paging_entry *ret_entry)
{
    const struct gn_paging__format *f;
    int rc;

    if (!context || !ret_entry)
        return -GN_ERR_INVAL;
    rc = gn_paging__size_check(context, context->size, sizeof *context);
    if (rc)
        return rc;
    f = gn_paging__format_find(context->format);
    if (!f || !f->rules)
        return -GN_ERR_NOTSUP;
    if (level >= f->geometry.levels)
        return -GN_ERR_INVAL;
    f->rules->decode(f, context, level, value, ret_entry);
    return 0;
}

int gn_paging_entry_encode(uint32_t format, uint32_t level, const struct gn_paging_entry *entry,
                           uint64_t *ret_value)
{
    const struct gn_paging__format *f = gn_paging__format_find(format);
    uint64_t span;

    if (!entry || !ret_value)
        return -GN_ERR_INVAL;
    if (!f || !f->rules)
        return -GN_ERR_NOTSUP;
    if (level >= f->geometry.levels || entry->kind > GN_PAGING_ENTRY_LEAF)
        return -GN_ERR_INVAL;
    if (entry->kind == GN_PAGING_ENTRY_ABSENT) {
        *ret_value = 0;
        return 0;
    }
    if (entry->kind == GN_PAGING_ENTRY_TABLE && level == 0)
        return -GN_ERR_INVAL;
    if (entry->kind == GN_PAGING_ENTRY_LEAF && !(f->geometry.leaf_levels >> level & 1))
        return -GN_ERR_INVAL;
    span = (uint64_t)1 << (entry->kind == GN_PAGING_ENTRY_LEAF ? gn_paging__shift(f, level)
                                                               : GN_PAGE_SHIFT);
    if (entry->address & (span - 1))
        return -GN_ERR_INVAL;
    if (entry->address >> f->geometry.pa_bits)
        return -GN_ERR_RANGE;
    /* RISC-V reserves W without R (Privileged Architecture §4.3.1); a table has neither. */
    if (f->rules == &gn_paging__riscv && entry->kind == GN_PAGING_ENTRY_LEAF &&
        (!(entry->permissions & (GN_PAGING_R | GN_PAGING_X)) ||
         (entry->permissions & (GN_PAGING_R | GN_PAGING_W)) == GN_PAGING_W))
        return -GN_ERR_INVAL;
    *ret_value = f->rules->encode(f, level, entry);
    return 0;
}

int gn_paging_allows(const struct gn_paging_context *context, uint32_t permissions, uint32_t access)
{
    const struct gn_paging__format *f = context ? gn_paging__format_find(context->format) : NULL;

    if (!f)
        return 0;
    return !f->rules || f->rules->allows(context, permissions, access);
}

uint32_t gn_paging_fault_code(const struct gn_paging_context *context, uint32_t access,
                              uint32_t reason)
{
    const struct gn_paging__format *f = context ? gn_paging__format_find(context->format) : NULL;
    const struct gn_paging__rules *rules = f && f->rules ? f->rules : &gn_paging__riscv;

    return rules->fault_code(context, access, reason);
}
