/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TEST_TRANSLATE_LOOP_H
#define RV64_TEST_TRANSLATE_LOOP_H

/*
 * The least that runs translated code: blocks are translated when they are first reached, kept
 * until FENCE.I or the end, and linked or not. If they are, no mapping may change. For tests of
 * emission.
 */

#include "cpu.h"
#include "translate/translate.h"

#define LOOP_BLOCKS 8192u
#define LOOP_ROOM   (8u << 20)

struct loop_block {
    uint64_t pc;
    uint64_t gpa;
    uint32_t priv;
    const uint8_t *entry; /* NULL: none */
    uint8_t *code;
    uint32_t sites; /* slots of its indirect jump that are linked; and one more: closed */
    struct rv64_tr_block block;
};

struct loop {
    struct rv64_cpu *cpu;
    struct rv64_tr_thunks thunks;
    uint8_t *memory;
    uint32_t used;
    bool link;
    struct rv64_view views[4]; /* by privilege */
    struct loop_block blocks[LOOP_BLOCKS];
    uint64_t translated;
    uint64_t guest_bytes;
    uint64_t entered;
    uint64_t interpreted;
};

/** Prepares to be the engine of a hart. @return false: no executable memory to be had */
bool loop_init(struct loop *loop, struct rv64_cpu *cpu, bool link);

/** Ends it; one that is all zero is none. */
void loop_fini(struct loop *loop);

#endif /* RV64_TEST_TRANSLATE_LOOP_H */
