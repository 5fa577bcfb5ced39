/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_PAGING_INTERNAL_H
#define GN_PAGING_INTERNAL_H

/* What a page-table format is made of; formats.c holds the table of them. */

#include <gnomon/paging.h>

struct gn_paging__format;

/**
 * The rules of one architecture, shared by its formats. Where formats of one architecture differ,
 * they differ by gn_paging__format alone.
 */
struct gn_paging__rules {
    /** Judges one entry at a level: what it is, what it permits, where it points. */
    void (*decode)(const struct gn_paging__format *format, const struct gn_paging_context *context,
                   uint32_t level, uint64_t value, struct gn_paging_entry *ret_entry);
    /** The entry of a checked request. */
    uint64_t (*encode)(const struct gn_paging__format *format, uint32_t level,
                       const struct gn_paging_entry *entry);
    /** The privilege rules: nonzero if the access is allowed by these combined permissions. */
    int (*allows)(const struct gn_paging_context *context, uint32_t permissions, uint32_t access);
    /** Rules outside the permissions (x86 protection keys): the code bits of a fault, or 0. */
    uint32_t (*key_fault)(const struct gn_paging_context *context, uint64_t leaf,
                          uint32_t permissions, uint32_t access);
    /** Code of a page fault. */
    uint32_t (*fault_code)(const struct gn_paging_context *context, uint32_t access,
                           uint32_t reason);
    /** Code of an access fault, 0 where the architecture has none. */
    uint32_t (*access_code)(uint32_t access);
    uint64_t a_bit;             /**< accessed, in a raw entry */
    uint64_t d_bit;             /**< dirty, in a raw leaf */
    uint32_t table_has_a;       /**< entries that point to tables have an A bit, too */
    uint32_t ad_faults;         /**< a clear A or D faults unless the MMU is told to set it */
    uint32_t noncanonical_kind; /**< outcome for an address that is too wide */
};

/** One format. */
struct gn_paging__format {
    uint32_t id;
    const char *name;
    const struct gn_paging__rules *rules; /**< NULL: no translation */
    struct gn_paging_geometry geometry;
};

/** The format of an id, or NULL. */
const struct gn_paging__format *gn_paging__format_find(uint32_t id);

extern const struct gn_paging__rules gn_paging__riscv;
extern const struct gn_paging__rules gn_paging__x86;

/** log2 of what an entry at this level maps, in bytes. */
static inline uint32_t gn_paging__shift(const struct gn_paging__format *format, uint32_t level)
{
    return GN_PAGE_SHIFT + level * format->geometry.index_bits;
}

/** Bits high..low of an entry, in place. */
static inline uint64_t gn_paging__bits(uint32_t high, uint32_t low)
{
    return (~(uint64_t)0 >> (63 - high)) & (~(uint64_t)0 << low);
}

/**
 * May this structure of the caller be read? 0; -GN_ERR_INVAL: it is shorter than the first
 * release's, which is all there is so far; -GN_ERR_2BIG: it is longer, and says something there.
 */
static inline int gn_paging__size_check(const void *from, uint32_t size, size_t known)
{
    if (size < known)
        return -GN_ERR_INVAL;
    for (size_t i = known; i < size; i++)
        if (((const uint8_t *)from)[i])
            return -GN_ERR_2BIG;
    return 0;
}

#endif /* GN_PAGING_INTERNAL_H */
