/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_PATH_H
#define GN_TEST_PATH_H

/*
 * One path through page tables: the table of level n lies in page n + 1, and each table entry on
 * the way to an address permits all. Tests spoil one entry and see what a walk says.
 */

#include "guest_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Bits of entries, by the manuals. */
#define X86_P   (1ull << 0)
#define X86_RW  (1ull << 1)
#define X86_US  (1ull << 2)
#define X86_A   (1ull << 5)
#define X86_D   (1ull << 6)
#define X86_PS  (1ull << 7)
#define X86_NX  (1ull << 63)
#define RV_V    (1ull << 0)
#define RV_R    (1ull << 1)
#define RV_W    (1ull << 2)
#define RV_X    (1ull << 3)
#define RV_U    (1ull << 4)
#define RV_A    (1ull << 6)
#define RV_D    (1ull << 7)
#define RV_RWX  (RV_R | RV_W | RV_X)
#define X86_KEY 59

/* Accesses, shortly. */
#define READ  GN_ACCESS_READ
#define WRITE GN_ACCESS_WRITE
#define EXEC  GN_ACCESS_EXEC
#define USER  GN_PAGING_AS_USER

struct path {
    struct gn_paging_context context;
    struct guest guest;
    uint64_t words[8 * 512];
    uint64_t gva;
    uint32_t levels;
    struct gn_paging_walk r; /* what the last walk said */
};

static inline int path_is_x86(const struct path *p)
{
    return p->context.format == GN_PAGING_X86_4LEVEL || p->context.format == GN_PAGING_X86_5LEVEL;
}

static inline uint64_t *path_entry(struct path *p, uint32_t level)
{
    return &p->words[(level + 1) * 512 + (p->gva >> (12 + 9 * level) & 511)];
}

static inline void path_init(struct path *p, uint32_t format, uint64_t gva, uint32_t leaf_level,
                             uint64_t leaf)
{
    struct gn_paging_geometry g;

    assert_int_equal(gn_paging_geometry(format, &g), 0);
    memset(p, 0, sizeof *p);
    p->guest = (struct guest){.words = p->words, .bytes = sizeof p->words};
    p->context = (struct gn_paging_context){GN_PAGING_CONTEXT_INIT, .format = format};
    p->context.root = gn_gpa((uint64_t)g.levels << 12);
    p->gva = gva;
    p->levels = g.levels;
    for (uint32_t level = g.levels - 1; level > leaf_level; level--) {
        uint64_t table = (uint64_t)level << 12;

        *path_entry(p, level) =
            path_is_x86(p) ? table | X86_P | X86_RW | X86_US : table >> 2 | RV_V;
    }
    *path_entry(p, leaf_level) = leaf;
}

static inline int path_walk(struct path *p, uint32_t access)
{
    p->guest.loads = p->guest.swaps = 0;
    return gn_paging_walk(&p->context, &guest_ops, &p->guest, gn_gva(p->gva), access, &p->r);
}

/* The walk must translate. */
#define assert_translates(p, access, address)                   \
    do {                                                        \
        assert_int_equal(path_walk(p, access), 0);              \
        assert_int_equal((p)->r.outcome, GN_PAGING_TRANSLATED); \
        assert_int_equal((p)->r.reason, GN_PAGING_REASON_NONE); \
        assert_int_equal((p)->r.code, 0);                       \
        assert_int_equal((p)->r.gpa.v, address);                \
    } while (0)

/* The walk must fault so, and leave the tables as they are. */
#define assert_faults(p, access, kind, expected_code, why, at)   \
    do {                                                         \
        static uint64_t before[8 * 512];                         \
                                                                 \
        memcpy(before, (p)->words, sizeof before);               \
        assert_int_equal(path_walk(p, access), 0);               \
        assert_int_equal((p)->r.outcome, kind);                  \
        assert_int_equal((p)->r.code, expected_code);            \
        assert_int_equal((p)->r.reason, GN_PAGING_REASON_##why); \
        assert_int_equal((p)->r.level, at);                      \
        assert_memory_equal((p)->words, before, sizeof before);  \
    } while (0)

#define assert_page_faults(p, access, expected_code, why, at) \
    assert_faults(p, access, GN_PAGING_FAULT_PAGE, expected_code, why, at)

#endif /* GN_TEST_PATH_H */
