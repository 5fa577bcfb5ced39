/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_PAGING_INTERNAL_H
#define GN_PAGING_INTERNAL_H

/* What a page-table format is made of; formats.c holds the table of them. */

#include <gnomon/paging.h>

#include <string.h>

struct gn_paging__format;

/**
 * What the formats of one kind of entry share. A kind is made in its own file: the functions below
 * that look at tables are the loops of walk.h with the kind's rules put in for good.
 */
struct gn_paging__arch {
    /** gn_paging_walk() with all arguments checked. */
    int (*walk)(const struct gn_paging_context *context, const struct gn_paging_ops *ops,
                void *ops_ctx, gn_gva_t gva, uint32_t access, struct gn_paging_walk *ret_walk);
    /** Judges one entry at a level. NULL: no tables. */
    void (*decode)(const struct gn_paging_context *context, uint32_t level, uint64_t value,
                   struct gn_paging_entry *ret_entry);
    /** The entry of a request that is checked as far as formats.c can. 0 or a status. */
    int (*encode)(uint32_t level, const struct gn_paging_entry *entry, uint64_t *ret_value);
    /** The privilege rules: nonzero if the access is allowed by these combined permissions. */
    int (*allows)(const struct gn_paging_context *context, uint32_t permissions, uint32_t access);
    /** Code of a page fault, met at a level. */
    uint32_t (*fault_code)(const struct gn_paging_context *context, uint32_t access,
                           uint32_t reason, uint32_t level);
    uint32_t leaf_attributes;  /**< bits of gn_paging_entry.attributes that a leaf has */
    uint32_t table_attributes; /**< and an entry that points to a table */
};

/** One format: a row of the table. */
struct gn_paging__format {
    const char *name;
    const struct gn_paging__arch *arch; /**< NULL: the row is empty */
    uint32_t index_bits;                /**< from one level to the next, at all but the root */
    struct gn_paging_geometry geometry;
};

/** Rows, empty ones included; the row of a format is that of its number. */
#define GN_PAGING__FORMATS (GN_PAGING_AARCH64_4K + 1)

extern const struct gn_paging__format gn_paging__formats[GN_PAGING__FORMATS];

extern const struct gn_paging__arch gn_paging__bare;
extern const struct gn_paging__arch gn_paging__x86_32;
extern const struct gn_paging__arch gn_paging__x86_pae;
extern const struct gn_paging__arch gn_paging__x86_64;
extern const struct gn_paging__arch gn_paging__riscv;
extern const struct gn_paging__arch gn_paging__aarch64;

/** The format of an id, or NULL. */
static inline const struct gn_paging__format *gn_paging__format_find(uint32_t id)
{
    return id < GN_PAGING__FORMATS && gn_paging__formats[id].arch ? &gn_paging__formats[id] : NULL;
}

/** log2 of what an entry at this level maps, in bytes. */
static inline uint32_t gn_paging__shift(const struct gn_paging__format *format, uint32_t level)
{
    return GN_PAGE_SHIFT + level * format->index_bits;
}

/** Bits high..low of an entry, in place; none if high is low - 1. */
#define GN_PAGING__BITS(high, low) ((~(uint64_t)0 >> (63 - (high))) & (~(uint64_t)0 << (low)))

static inline uint64_t gn_paging__bits(uint32_t high, uint32_t low)
{
    return GN_PAGING__BITS(high, low);
}

/** So many bits at a word's low end. */
static inline uint64_t gn_paging__low(uint32_t bits)
{
    return ((uint64_t)1 << bits) - 1;
}

/** What gn_paging_context.extensions may hold. */
#define GN_PAGING__EXTENSIONS (GN_PAGING_RISCV_PBMTE | GN_PAGING_RISCV_NAPOT)

/** Of a context as the first release had it: what came later reads as zero in a shorter one. */
#define GN_PAGING__CONTEXT_MIN offsetof(struct gn_paging_context, root_high)

/** The root of addresses in the upper half. */
static inline uint64_t gn_paging__root_high(const struct gn_paging_context *context)
{
    return context->size >= sizeof *context ? context->root_high.v : 0;
}

/**
 * May this structure of the caller be read? 0; -GN_ERR_INVAL: it is shorter than the first
 * release's; -GN_ERR_2BIG: it is longer than known, and says something there.
 */
static inline int gn_paging__size_check(const void *from, uint32_t size, size_t min, size_t known)
{
    if (size < min)
        return -GN_ERR_INVAL;
    for (size_t i = known; i < size; i++)
        if (((const uint8_t *)from)[i])
            return -GN_ERR_2BIG;
    return 0;
}

#endif /* GN_PAGING_INTERNAL_H */
