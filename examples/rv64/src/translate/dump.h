/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_DUMP_H
#define RV64_TRANSLATE_DUMP_H

/* --dump: blocks are printed on standard error when they are made. */

#include <stdbool.h>
#include <stdint.h>

#include "translate.h"

struct rv64_tr_dumper;

/**
 * @param all  every block; else those with an instruction at the guest address pc
 * @return NULL, and a reason in *ret_error: a string constant
 */
struct rv64_tr_dumper *rv64_tr_dumper_new(const struct rv64_tr_thunks *thunks, bool all,
                                          uint64_t pc, const char **ret_error);

/** Frees it; NULL is accepted. */
void rv64_tr_dumper_free(struct rv64_tr_dumper *dumper);

/** Is the block of this listing one to be printed? */
bool rv64_tr_dumper_wants(const struct rv64_tr_dumper *dumper,
                          const struct rv64_tr_listing *listing);

/** Prints a block that was just made, of a source with a listing. */
void rv64_tr_dump(struct rv64_tr_dumper *dumper, const struct rv64_tr_source *source,
                  const struct rv64_tr_code *code, const struct rv64_tr_block *made);

#endif /* RV64_TRANSLATE_DUMP_H */
