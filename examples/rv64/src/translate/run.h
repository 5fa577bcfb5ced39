/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_RUN_H
#define RV64_TRANSLATE_RUN_H

/*
 * The translator's run time, as the machine sees it: it attaches to a hart, which is then run by
 * translated code. On hosts without an emission, translate_none.c says so.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../cpu.h"

/** Bytes of host code, unless it is said. */
#define RV64_TR_CODE_DEFAULT (UINT32_C(32) << 20)
#define RV64_TR_CODE_MIN     (UINT32_C(1) << 20)
#define RV64_TR_CODE_MAX     (UINT32_C(1) << 30)

/** Visits of a place before it is translated, unless it is said. */
#define RV64_TR_VISITS_DEFAULT 8u
#define RV64_TR_VISITS_MAX     1000000u

/** What blocks are made without. */
#define RV64_TR_WITHOUT_RETURNS 1u /**< frames of calls, which say where a return leads */
#define RV64_TR_WITHOUT_SITES   2u /**< inline caches of indirect jumps */
#define RV64_TR_WITHOUT_LINKED  3u /**< whatever needs links */
#define RV64_TR_WITHOUT_WINDOWS 4u /**< chains of loads that expect a translation */

struct rv64_translator;

struct rv64_translator_params {
    uint32_t code_size; /**< bytes of host code, RV64_TR_CODE_MIN to _MAX; 0: the default */
    bool perf_map;      /**< write what perf reads: /tmp/perf-PID.map */
    bool unchained;     /**< blocks are not linked */
    bool eager;         /**< blocks save and restore registers at their bounds */
    bool counts;        /**< count what is predicted, too: a little slower */
    uint32_t without;   /**< RV64_TR_WITHOUT_*: what blocks are made without */
    uint32_t visits;    /**< before a place is translated; 0: at once */
    bool dump;          /**< print blocks as they are made: */
    bool dump_all;      /**< every one; else those with an instruction at: */
    uint64_t dump_pc;   /**< a guest address */
};

/** Is there an emission for this host? */
bool rv64_translator_built(void);

/** Can blocks be printed? */
bool rv64_translator_dumps(void);

/**
 * Has a hart run by translated code from now on; it has its MMU already.
 * @return 0, or -1 with a reason in *ret_error: a string constant
 */
int rv64_translator_attach(struct rv64_cpu *cpu, const struct rv64_translator_params *params,
                           const char **ret_error);

/** Detaches the translator of a hart, and frees it; without one, does nothing. */
void rv64_translator_detach(struct rv64_cpu *cpu);

/** Calls `each` with every counter; without a translator, with none. */
void rv64_translator_stats(const struct rv64_cpu *cpu,
                           void (*each)(void *ctx, const char *group, const char *name,
                                        uint64_t value),
                           void *ctx);

#endif /* RV64_TRANSLATE_RUN_H */
