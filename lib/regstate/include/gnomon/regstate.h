/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_REGSTATE_H
#define GN_REGSTATE_H

/*
 * gnomon/regstate.h - guest registers, kept lazily in host registers by translated code.
 *
 * A binary translator would like each guest register to stay in a host register (its *home*) while
 * translated blocks run one after the other. But other code wants the same host registers, and the
 * rest of the virtual machine monitor looks for the guest's registers in memory. To save and
 * restore all of them whenever one world ends and the other begins is correct, and mostly wasted:
 * few are touched. Here two bits a register say what is true right now, and work is done when a
 * block asks:
 *
 *                  saved = 0                       saved = 1
 *      valid = 1   only the home has the contents  home and memory agree
 *      valid = 0   (never: contents are lost)      only memory has the contents
 *
 *      block A ----- edge -----> block B            needs of B, before it runs:
 *      writes r3                 needs r3, r5 valid   r3 valid? yes, A made it so
 *                                needs r7 saved       r5 valid? no: restore r5
 *                                                     r7 saved? no: save r7
 *
 * A block declares its *needs* (a status that it must find, at the least) and its *effect* (what it
 * does to the status). Needs that are there already cost a few word operations to find out, or
 * nothing, if the edge was proven to fit when it was linked. What is missing is saved and restored,
 * and nothing else. As each register is valid or saved, what must be restored is in memory, what
 * must be saved is in its home, and no register is in both lists: the order does not matter.
 *
 * Two ways of use; they mix.
 *
 *  - Status known when code is emitted. gn_regstate_apply() carries a status through blocks,
 *    gn_regstate_join() finds one for a block that several edges reach, gn_regstate_plan() says
 *    what to emit on an edge, gn_regstate_point() what a fault handler saves. These functions are
 *    pure; no object is needed, and nothing is left to do at run time.
 *  - Status known when code runs. An object, one a vCPU, keeps it; gn_regstate_enter() checks and
 *    repairs through ops before a block, gn_regstate_leave() notes the effect behind it. For edges,
 *    gn_regstate_edge() says when the check can be left out.
 *
 * Faults. A block that may fault in its middle describes each such point by the effect of the
 * instructions before it (gn_regstate_block_then() sums them up). gn_regstate_fault(), or the list
 * of gn_regstate_point(), then brings memory up to date: every register as the guest left it there.
 *
 * Rules of use:
 *  - Each register is valid or saved, always. gn_regstate_block_check() finds declarations that
 *    could break this, or that claim contents nobody had.
 *  - What a block does to homes and memory is what it declares. The library sees neither.
 *  - Nobody writes a register's memory behind the status: gn_regstate_replace() says that it was.
 *
 * It is no register allocator: which register lives where, and which ones at all, is decided
 * elsewhere. It knows no host and no guest; registers are numbers.
 *
 * Sources: US 7,260,815 and 8,521,504 (registers in a binary translator); the algebra is that of
 * forward data-flow analysis over a product of two-bit lattices (Kildall 1973).
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this library's interface; the soname carries MAJOR. */
#define GN_REGSTATE_VERSION_MAJOR 0
#define GN_REGSTATE_VERSION_MINOR 1

/** The library in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant. */
GN_API uint32_t gn_regstate_version(void);

#define GN_REGSTATE_REGISTERS_MAX 128 /**< registers are 0 to 127 */
#define GN_REGSTATE_WORDS         2   /**< 64-bit words of a set */

/** A set of registers: register r is bit r % 64 of word r / 64. */
struct gn_regstate_set {
    uint64_t word[GN_REGSTATE_WORDS];
};

/** Where contents are: a status that holds, or one that is needed at the least. */
struct gn_regstate_status {
    struct gn_regstate_set valid; /**< the home has the guest's contents */
    struct gn_regstate_set saved; /**< memory has the guest's contents */
};

/** What code does to the status, from its begin to its end. */
struct gn_regstate_effect {
    struct gn_regstate_set writes;   /**< homes get new contents, memory becomes stale */
    struct gn_regstate_set saves;    /**< memory has the contents at the end, by the code's doing */
    struct gn_regstate_set restores; /**< homes are loaded from memory */
    struct gn_regstate_set loses;    /**< homes do not have the contents at the end */
};

/** A block of translated code, or a part of one. */
struct gn_regstate_block {
    struct gn_regstate_status needs;  /**< before it may run */
    struct gn_regstate_effect effect; /**< once it has run */
};

/** What to do, in any order, so that needs are met. The two sets have no register in common. */
struct gn_regstate_plan {
    struct gn_regstate_set save;    /**< store home to memory */
    struct gn_regstate_set restore; /**< load memory to home */
};

/** What is known of a status before the code runs: least is in it, nothing beyond most is. */
struct gn_regstate_bounds {
    struct gn_regstate_status least;
    struct gn_regstate_status most;
};

/* What an edge wants: values of gn_regstate_edge(). */
#define GN_REGSTATE_EDGE_FITS  0 /**< needs are always met: jump, no check */
#define GN_REGSTATE_EDGE_FIX   1 /**< always the same is missing: do that, no check */
#define GN_REGSTATE_EDGE_CHECK 2 /**< it depends: check at run time */

/** A vCPU's status at run time; lives in memory that the embedder gives. */
struct gn_regstate;

/** What the library asks of its embedder. Both are required and cannot fail. */
struct gn_regstate_ops {
    uint32_t size;     /**< GN_REGSTATE_OPS_INIT sets it */
    uint32_t reserved; /**< zero */
    /** Stores the homes of these registers, one at least, to memory. Must not call the object. */
    void (*save)(void *ctx, const struct gn_regstate_set *set);
    /** Loads the homes of these registers, one at least, from memory. Must not call the object. */
    void (*restore)(void *ctx, const struct gn_regstate_set *set);
};

/** First initializer of a gn_regstate_ops. */
#define GN_REGSTATE_OPS_INIT .size = sizeof(struct gn_regstate_ops)

/** What an object is for. */
struct gn_regstate_params {
    uint32_t size;                     /**< GN_REGSTATE_PARAMS_INIT sets it */
    uint32_t registers;                /**< how many, 1 to GN_REGSTATE_REGISTERS_MAX; 0: 64 */
    const struct gn_regstate_ops *ops; /**< copied */
    void *ctx;                         /**< passed to ops */
};

/** First initializer of a gn_regstate_params. */
#define GN_REGSTATE_PARAMS_INIT .size = sizeof(struct gn_regstate_params)

/** Event counters since init. */
struct gn_regstate_stats {
    uint32_t size;     /**< GN_REGSTATE_STATS_INIT sets it */
    uint32_t reserved; /**< zero */
    uint64_t fitted;   /**< blocks whose needs were met when they were checked */
    uint64_t fixed;    /**< blocks whose needs were not */
    uint64_t saves;    /**< registers stored by the save op, for whatever reason */
    uint64_t restores; /**< registers loaded by the restore op */
    uint64_t faults;   /**< gn_regstate_fault calls */
};

/** First initializer of a gn_regstate_stats. */
#define GN_REGSTATE_STATS_INIT .size = sizeof(struct gn_regstate_stats)

/* Sets and bounds are values; these make them. */

/** The set of one register; r below GN_REGSTATE_REGISTERS_MAX, else the empty set. */
static inline struct gn_regstate_set gn_regstate_one(uint32_t r)
{
    struct gn_regstate_set set = {{0, 0}};

    if (r < GN_REGSTATE_REGISTERS_MAX)
        set.word[r / 64] = (uint64_t)1 << r % 64;
    return set;
}

/** The set of registers 0 to n - 1; of all, for n above GN_REGSTATE_REGISTERS_MAX. */
static inline struct gn_regstate_set gn_regstate_first(uint32_t n)
{
    struct gn_regstate_set set;
    uint32_t i;

    for (i = 0; i < GN_REGSTATE_WORDS; i++)
        set.word[i] = n >= 64 * (i + 1) ? ~(uint64_t)0
                      : n > 64 * i      ? ((uint64_t)1 << (n - 64 * i)) - 1
                                        : 0;
    return set;
}

/* Pure functions: the status as data. Context: any; O(1). Thread-safety: reentrant. */

/**
 * Is a declaration one that keeps each register valid or saved, and claims nothing out of thin air?
 *
 * @param block  the declaration
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: block is NULL. Or for some register: it loses a home that memory does not
 *    back (neither needed saved and unwritten, nor saved by the block); it saves a home that it
 *    neither needs valid nor writes, restores or loses; it restores what memory need not have
 */
GN_API GN_NODISCARD int gn_regstate_block_check(const struct gn_regstate_block *block);

/**
 * Does a status offer what is needed? <gnomon/regstate_inline.h> has it inline.
 *
 * @return 1 or 0; 0 if an argument is NULL
 */
GN_API int gn_regstate_fits(const struct gn_regstate_status *have,
                            const struct gn_regstate_status *need);

/**
 * The least that turns one status into another that offers what is needed.
 *
 * @param have      a status that holds
 * @param need      what is to hold, at the least
 * @param ret_plan  exactly what is missing; empty if have fits
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: an argument is NULL
 *  - -GN_ERR_NOENT: have has neither home nor memory of a register that is missing
 */
GN_API GN_NODISCARD int gn_regstate_plan(const struct gn_regstate_status *have,
                                         const struct gn_regstate_status *need,
                                         struct gn_regstate_plan *ret_plan);

/**
 * The status behind a piece of code, of the one before it. Monotone: more before gives more, or
 * the same, behind; so it also carries a bound to a bound.
 *
 * @param have        the status before
 * @param effect      what the code does
 * @param ret_status  the status behind; may be have
 * @return 0, or -GN_ERR_INVAL: an argument is NULL
 */
GN_API GN_NODISCARD int gn_regstate_apply(const struct gn_regstate_status *have,
                                          const struct gn_regstate_effect *effect,
                                          struct gn_regstate_status *ret_status);

/**
 * The declaration of two pieces of code that run one after the other with nothing in between.
 *
 * @param first      what runs first
 * @param second     what runs then
 * @param ret_block  needs of both, as far as first does not meet those of second; effects of both.
 *                   May be either argument
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: an argument is NULL
 *  - -GN_ERR_PERM: second needs what first makes untrue on every path: a save or a restore must
 *    stand between them
 */
GN_API GN_NODISCARD int gn_regstate_block_then(const struct gn_regstate_block *first,
                                               const struct gn_regstate_block *second,
                                               struct gn_regstate_block *ret_block);

/**
 * A status for code that two edges reach: what both have. A register that one of them has in its
 * home only and the other in memory only is to be saved; the first edge's plan then has it.
 *
 * @param a, b        a status for each edge, legal: every register valid or saved
 * @param ret_status  the greatest legal status that is no more than both, but for these saves;
 *                    may be an argument
 * @return 0, or -GN_ERR_INVAL: an argument is NULL
 */
GN_API GN_NODISCARD int gn_regstate_join(const struct gn_regstate_status *a,
                                         const struct gn_regstate_status *b,
                                         struct gn_regstate_status *ret_status);

/**
 * What must an edge do, of whose source this much is known?
 *
 * @param have      bounds of the status where the edge begins
 * @param need      what the target needs
 * @param ret_plan  filled with FITS (empty) and FIX; for CHECK, what may be missing at the most
 * @return GN_REGSTATE_EDGE_*, or -GN_ERR_INVAL: an argument is NULL
 */
GN_API GN_NODISCARD int gn_regstate_edge(const struct gn_regstate_bounds *have,
                                         const struct gn_regstate_status *need,
                                         struct gn_regstate_plan *ret_plan);

/**
 * What is known behind a block, of what is known before it: its needs were met there, by the edge
 * or by a check, and then it ran.
 *
 * @param have        bounds before the edge
 * @param block       the block
 * @param ret_bounds  bounds behind it; may be have
 * @return 0, or -GN_ERR_INVAL: an argument is NULL
 */
GN_API GN_NODISCARD int gn_regstate_bounds_apply(const struct gn_regstate_bounds *have,
                                                 const struct gn_regstate_block *block,
                                                 struct gn_regstate_bounds *ret_bounds);

/**
 * What is known where two edges meet.
 *
 * @param a, b        bounds on each edge
 * @param ret_bounds  bounds of both; may be an argument
 * @return 0, or -GN_ERR_INVAL: an argument is NULL
 */
GN_API GN_NODISCARD int gn_regstate_bounds_join(const struct gn_regstate_bounds *a,
                                                const struct gn_regstate_bounds *b,
                                                struct gn_regstate_bounds *ret_bounds);

/**
 * What must be saved at a point in a block so that memory has every register.
 *
 * @param entry      the status at the block's entry, or a legal lower bound of it: then registers
 *                   may be listed whose memory is good already, which is harmless
 * @param so_far     effect of the block up to the point; NULL: none
 * @param all        the registers that there are
 * @param ret_save   what to save
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: entry, all or ret_save is NULL
 *  - -GN_ERR_NOENT: there is a register that is neither valid nor saved there
 */
GN_API GN_NODISCARD int gn_regstate_point(const struct gn_regstate_status *entry,
                                          const struct gn_regstate_effect *so_far,
                                          const struct gn_regstate_set *all,
                                          struct gn_regstate_set *ret_save);

/* The object: the status at run time. Context: that of the ops; O(1) and what the ops cost.
 * Thread-safety: one thread at a time an object, that of its vCPU. */

/**
 * How much memory an object needs.
 *
 * @param params  as for gn_regstate_init
 * @return bytes, or 0 when gn_regstate_init would refuse the parameters
 *
 * Context: any; O(1). Thread-safety: reentrant. Ownership: params is only read.
 */
GN_API size_t gn_regstate_size(const struct gn_regstate_params *params);

/** The alignment of that memory, in bytes. Context: any. Thread-safety: reentrant. */
GN_API size_t gn_regstate_align(void);

/**
 * Builds an object in the embedder's memory: every register is saved, none is valid.
 *
 * @param mem           aligned to gn_regstate_align(); its content does not matter
 * @param len           its length in bytes, at least gn_regstate_size(params)
 * @param params        what it is for
 * @param ret_regstate  the object
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument; mem unaligned; too many registers; no ops, or one is missing
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_2BIG: params or ops has a non-zero tail that this version does not know
 *
 * Context: any; O(1). Thread-safety: none needed before it returns. Ownership: mem belongs to the
 * object until gn_regstate_fini; params and ops are only read.
 */
GN_API GN_NODISCARD int gn_regstate_init(void *mem, size_t len,
                                         const struct gn_regstate_params *params,
                                         struct gn_regstate **ret_regstate);

/**
 * Ends an object; its memory is the embedder's again. Saves nothing: gn_regstate_fault() did.
 *
 * @param rs  an object, or NULL
 */
GN_API void gn_regstate_fini(struct gn_regstate *rs);

/**
 * Before a block: checks its needs, saves and restores what is missing.
 * <gnomon/regstate_inline.h> has it inline.
 *
 * @param rs    the object
 * @param need  the block's needs; registers that the object does not have are ignored
 */
GN_API void gn_regstate_enter(struct gn_regstate *rs, const struct gn_regstate_status *need);

/**
 * Behind a block, or a part of it: notes what it did.
 * <gnomon/regstate_inline.h> has it inline.
 *
 * @param rs      the object
 * @param effect  what ran; of a block that gn_regstate_block_check() passes
 */
GN_API void gn_regstate_leave(struct gn_regstate *rs, const struct gn_regstate_effect *effect);

/**
 * In the middle of a block: brings memory up to date, all of it. Homes stay valid.
 *
 * @param rs      the object, as it was at the block's entry
 * @param so_far  effect of the block up to here; NULL: none
 */
GN_API void gn_regstate_fault(struct gn_regstate *rs, const struct gn_regstate_effect *so_far);

/**
 * Somebody else needs these host registers: saves what is not saved; then they are not valid.
 *
 * @param rs   the object
 * @param set  which registers
 */
GN_API void gn_regstate_release(struct gn_regstate *rs, const struct gn_regstate_set *set);

/**
 * Somebody else has written these registers in memory: that is what they contain now, whatever the
 * homes have.
 *
 * @param rs   the object
 * @param set  which registers
 */
GN_API void gn_regstate_replace(struct gn_regstate *rs, const struct gn_regstate_set *set);

/**
 * Tells the status.
 *
 * @param rs          the object
 * @param ret_status  filled on success
 * @return 0, or -GN_ERR_INVAL: an argument is NULL
 */
GN_API GN_NODISCARD int gn_regstate_query(const struct gn_regstate *rs,
                                          struct gn_regstate_status *ret_status);

/**
 * Tells the counters.
 *
 * @param rs     the object
 * @param stats  with its size set; filled as far as both sides know, unknown members become zero
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or a size below that of the first version
 */
GN_API GN_NODISCARD int gn_regstate_stats_get(const struct gn_regstate *rs,
                                              struct gn_regstate_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* GN_REGSTATE_H */
