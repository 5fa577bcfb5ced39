/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_FORMATS_H
#define GN_TEST_FORMATS_H

/* The formats that have tables, and what the tests of the interface say of them. */

#include "guest_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint32_t translating[] = {
    GN_PAGING_X86_32, GN_PAGING_X86_PAE, GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL,
    GN_PAGING_SV39,   GN_PAGING_SV48,    GN_PAGING_SV57,       GN_PAGING_AARCH64_4K};

#define TRANSLATING (sizeof translating / sizeof translating[0])

static inline int is_x86(uint32_t format)
{
    return format >= GN_PAGING_X86_32 && format <= GN_PAGING_X86_5LEVEL;
}

static inline struct gn_paging_context context_of(uint32_t format)
{
    struct gn_paging_context context = {GN_PAGING_CONTEXT_INIT, .format = format};

    context.controls = GN_PAGING_X86_NXE | GN_PAGING_X86_1G | GN_PAGING_X86_WP | GN_PAGING_X86_PSE;
    return context;
}

static inline struct gn_paging_entry entry_of(uint32_t kind, uint32_t permissions, uint64_t address)
{
    return (struct gn_paging_entry){.kind = kind, .permissions = permissions, .address = address};
}

/* log2 of what an entry maps, and the widest address that it can hold. */
static inline uint32_t shift_of(uint32_t format, uint32_t level)
{
    return 12 + (format == GN_PAGING_X86_32 ? 10 : 9) * level;
}

static inline uint32_t width_of(uint32_t format, uint32_t level, int leaf)
{
    struct gn_paging_geometry g;

    assert_int_equal(gn_paging_geometry(format, &g), 0);
    return format == GN_PAGING_X86_32 && !(leaf && level) ? 32 : g.pa_bits;
}

#endif /* GN_TEST_FORMATS_H */
