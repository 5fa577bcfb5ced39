/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_JIT_H
#define RV64_TRANSLATE_JIT_H

/*
 * What translated code and the C around it share, and reach through the hart: part of struct
 * rv64_cpu, so that emitted code addresses it from one base register.
 */

#include <stdbool.h>
#include <stdint.h>

#include <gnomon/softmmu_inline.h>

/*
 * The view is that of <gnomon/tcache_inline.h>; run.c holds them against each other.
 */

/** Entries of a view's two tables. Powers of two; emitted code has them as constants. */
#define RV64_VIEW_PAGES 2048u
#define RV64_VIEW_JUMPS 2048u

/** A known target of indirect jumps. */
struct rv64_view_jump {
    uint64_t pc;          /**< guest virtual address; odd, RV64_VIEW_NO_PC: empty */
    const uint8_t *entry; /**< of its block, in the executable mapping */
};

#define RV64_VIEW_NO_PC UINT64_C(1)

/**
 * What one fetch context (shadow ASID, privilege, and whatever else is part of the mode key) has
 * mapped where, as far as jumps asked. Emitted code reads it, C writes it.
 */
struct rv64_view {
    struct rv64_view_jump jumps[RV64_VIEW_JUMPS]; /**< by rv64_view_jump_index() */
    uint32_t pages[RV64_VIEW_PAGES];              /**< page IDs, by rv64_view_page_index() */
};

/** A page ID that no page has, for guards that are not linked; 0 in a view says: not known. */
#define RV64_PAGE_ID_NONE UINT32_MAX

static inline uint32_t rv64_view_page_index(uint64_t va)
{
    uint64_t vpn = va >> 12;

    return (uint32_t)(vpn ^ vpn >> 11) & (RV64_VIEW_PAGES - 1);
}

static inline uint32_t rv64_view_jump_index(uint64_t pc)
{
    return (uint32_t)((pc ^ pc >> 7) >> 1) & (RV64_VIEW_JUMPS - 1);
}

/** State of the translator in the hart. */
struct rv64_jit {
    const struct gn_softmmu_window *data; /**< of data accesses: code keeps its slab in R15 */
    struct rv64_view *view;  /**< of the context in force; never NULL in translated code */
    int64_t left;            /**< instructions left to the slice, while not in a register */
    uint64_t end;            /**< instructions retired when left is 0 */
    uint64_t frames;         /**< stack pointer without frames of calls (call.c) */
    bool stale;              /**< the view is another since, or knows less: frames do not hold */
    uint64_t stack;          /**< stack pointer of the block that called C */
    uint64_t returns;        /**< that found a frame, if somebody counts; right or wrong */
    uint64_t returns_missed; /**< those that found a wrong one, or none */
    uint64_t hashed;         /**< indirect jumps that asked the view, if somebody counts */
    int32_t strays; /**< links that may stray (chain.c) until the MMU is told of one, less one */
    uint32_t token; /**< RV64_LEFT_EDGE, _SITE: of the exit that was taken */
    uint32_t fp;    /**< whose MXCSR is, and whether FS is Dirty: see fp_mode.h */
    /** f registers: those whose homes are valid, and of those the ones that memory does not have.
     */
    uint32_t f_valid;
    uint32_t f_unsaved;
    uint64_t f_fixes; /**< times that homes of f registers were fixed; */
    uint64_t f_saves; /**< and saved for others */
};

#endif /* RV64_TRANSLATE_JIT_H */
