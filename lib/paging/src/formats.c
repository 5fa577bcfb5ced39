/* SPDX-License-Identifier: BSD-3-Clause */
#include "paging_internal.h"

/*
 * The table of formats, found by their numbers. A format that has the entries of another is a row
 * here and nothing else.
 */

/* x86 and AArch64 combine these over all levels (SDM vol. 3A §4.6, DDI 0487 D8.4); RISC-V looks at
 * the leaf alone. */
#define X86_INHERITED     (GN_PAGING_W | GN_PAGING_X | GN_PAGING_U)
#define AARCH64_INHERITED (X86_INHERITED | GN_PAGING_UX)

/* Levels at which a leaf may stand, from level 0 up. */
#define LEAVES(levels) ((1u << (levels)) - 1)

/* Tables of 512 entries of 8 bytes at every level, one root. */
#define USUAL(levels_, leaves, pa_bits_, inherited_)                                             \
    {                                                                                            \
        .levels = levels_, .va_bits = 12 + 9 * (levels_), .entry_bytes = 8, .index_bits = 9,     \
        .leaf_levels = LEAVES(leaves), .pa_bits = pa_bits_, .inherited = inherited_, .roots = 1, \
        .level_bits = {                                                                          \
            9,                                                                                   \
            (levels_) > 1 ? 9 : 0,                                                               \
            (levels_) > 2 ? 9 : 0,                                                               \
            (levels_) > 3 ? 9 : 0,                                                               \
            (levels_) > 4 ? 9 : 0                                                                \
        }                                                                                        \
    }

const struct gn_paging__format gn_paging__formats[GN_PAGING__FORMATS] = {
    [GN_PAGING_BARE] = {"bare",
                        &gn_paging__bare,
                        9,

                        {.va_bits = 64, .entry_bytes = 8, .index_bits = 9, .pa_bits = 64}},
    [GN_PAGING_X86_32] = {"x86-32",
                          &gn_paging__x86_32,
                          10,

                          {.levels = 2,
                           .va_bits = 32,
                           .entry_bytes = 4,
                           .index_bits = 10,
                           .leaf_levels = LEAVES(2),
                           .pa_bits = 40,
                           .inherited = GN_PAGING_W | GN_PAGING_U,
                           .roots = 1,
                           .level_bits = {10, 10}}},
    /* CR3 points to 32 bytes (SDM vol. 3A table 4-7), whose four entries have no access rights. */
    [GN_PAGING_X86_PAE] = {"x86-pae",
                           &gn_paging__x86_pae,
                           9,

                           {.levels = 3,
                            .va_bits = 32,
                            .entry_bytes = 8,
                            .index_bits = 0,
                            .leaf_levels = LEAVES(2),
                            .pa_bits = 52,
                            .inherited = X86_INHERITED,
                            .roots = 1,
                            .level_bits = {9, 9, 2}}},
    [GN_PAGING_X86_4LEVEL] = {"x86-4level", &gn_paging__x86_64, 9, USUAL(4, 3, 52, X86_INHERITED)},
    [GN_PAGING_X86_5LEVEL] = {"x86-5level", &gn_paging__x86_64, 9, USUAL(5, 3, 52, X86_INHERITED)},
    [GN_PAGING_SV39] = {"sv39", &gn_paging__riscv, 9, USUAL(3, 3, 56, 0)},
    [GN_PAGING_SV48] = {"sv48", &gn_paging__riscv, 9, USUAL(4, 4, 56, 0)},
    [GN_PAGING_SV57] = {"sv57", &gn_paging__riscv, 9, USUAL(5, 5, 56, 0)},
    /* Two ranges of 48 bits, one a root: so an address has 49. */
    [GN_PAGING_AARCH64_4K] = {"aarch64-4k",
                              &gn_paging__aarch64,
                              9,

                              {.levels = 4,
                               .va_bits = 49,
                               .entry_bytes = 8,
                               .index_bits = 0,
                               .leaf_levels = LEAVES(3),
                               .pa_bits = 48,
                               .inherited = AARCH64_INHERITED,
                               .roots = 2,
                               .level_bits = {9, 9, 9, 9}}},
};

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

    if (!context || !ret_entry)
        return -GN_ERR_INVAL;
    if (context->size != sizeof *context) {
        int rc =
            gn_paging__size_check(context, context->size, GN_PAGING__CONTEXT_MIN, sizeof *context);

        if (rc)
            return rc;
    }
    f = gn_paging__format_find(context->format);
    if (!f || !f->arch->decode)
        return -GN_ERR_NOTSUP;
    if (level >= f->geometry.levels || context->extensions & ~GN_PAGING__EXTENSIONS)
        return -GN_ERR_INVAL;
    f->arch->decode(context, level, value, ret_entry);
    return 0;
}

int gn_paging_entry_encode(uint32_t format, uint32_t level, const struct gn_paging_entry *entry,
                           uint64_t *ret_value)
{
    const struct gn_paging__format *f = gn_paging__format_find(format);
    int leaf;

    if (!entry || !ret_value)
        return -GN_ERR_INVAL;
    if (!f || !f->arch->encode)
        return -GN_ERR_NOTSUP;
    if (level >= f->geometry.levels || entry->kind > GN_PAGING_ENTRY_LEAF)
        return -GN_ERR_INVAL;
    if (entry->kind == GN_PAGING_ENTRY_ABSENT) {
        *ret_value = 0;
        return 0;
    }
    leaf = entry->kind == GN_PAGING_ENTRY_LEAF;
    if (leaf ? !(f->geometry.leaf_levels >> level & 1) : level == 0)
        return -GN_ERR_INVAL;
    if (entry->attributes & ~(leaf ? f->arch->leaf_attributes : f->arch->table_attributes) ||
        entry->reserved[0] | entry->reserved[1] | entry->reserved[2])
        return -GN_ERR_INVAL;
    if (entry->address & gn_paging__low(leaf ? gn_paging__shift(f, level) : GN_PAGE_SHIFT))
        return -GN_ERR_INVAL;
    if (entry->address >> f->geometry.pa_bits)
        return -GN_ERR_RANGE;
    return f->arch->encode(level, entry, ret_value);
}

int gn_paging_allows(const struct gn_paging_context *context, uint32_t permissions, uint32_t access)
{
    const struct gn_paging__format *f = context ? gn_paging__format_find(context->format) : NULL;

    return f ? f->arch->allows(context, permissions, access) : 0;
}

uint32_t gn_paging_fault_code(const struct gn_paging_context *context, uint32_t access,
                              uint32_t reason)
{
    const struct gn_paging__format *f = context ? gn_paging__format_find(context->format) : NULL;
    const struct gn_paging__arch *arch = f ? f->arch : &gn_paging__bare;

    return arch->fault_code(context, access, reason & 0xff, reason >> GN_PAGING_REASON_LEVEL_SHIFT);
}
