/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_H
#define RV64_TRANSLATE_H

/*
 * The translator's two halves meet here. One turns guest instructions into host code (emission);
 * the other decides what is translated, keeps it, links it, and runs it (run time).
 *
 *     run time                                emitted code
 *     enter(cpu, entry)  ------------------>  block -> block -> block ...
 *        ^                                       | calls C for what is not worth emitting
 *        +--- RV64_LEFT_*, cpu->pc is next  -----+
 *
 * Emitted code keeps these host registers:
 *
 *     rbp  the hart, at x[16]: all of x[0] to x[31] are within a signed byte
 *     r15  slab of data accesses              rbx rsi rdi r8-r12 r14  homes of guest registers
 *     r13  instructions left to the slice     rax rcx rdx, xmm0-2  temporaries
 *     xmm3-15  homes of f registers
 *
 * Between blocks homes of x registers are valid and their places in cpu->x stale; those of f
 * registers are as cpu->jit says, see fp.h. C called from blocks, and whoever called enter(), finds
 * all of cpu->x and cpu->f valid. A block takes its instructions off r13 at its
 * entry, and leaves with RV64_LEFT_BUDGET, nothing executed, when that makes it negative; what
 * leaves in mid-block puts back what it did not execute. So cpu->jit.left is exact whenever C runs:
 * rv64_tr_sync() makes the retired count of it.
 *
 * What a block was made from lies in one page. The run time keys it by guest physical address,
 * guest PC and mode, and drops it when the bytes changed.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../cpu.h"
#include "run.h"

/** Mode key: what changes the meaning of code besides its bytes. A view is for one mode. */
#define RV64_MODE_PRIV 3u /**< mask of RV64_PRIV_*; FS, SUM, MXR are looked at by the code */

#define RV64_TR_INSNS 64u /**< instructions of a block, at most */

/** Which host code was made of which instruction. */
struct rv64_tr_listing {
    uint32_t count;
    struct {
        uint64_t pc;
        uint32_t raw;
        uint32_t length;
        uint32_t begin; /**< of its code, as an offset from the block's first byte */
        uint32_t end;
    } lines[RV64_TR_INSNS];
};

/** What to translate. */
struct rv64_tr_source {
    uint64_t pc;              /**< guest virtual address of the first instruction */
    uint64_t gpa;             /**< its guest physical address */
    const uint8_t *page;      /**< the 4096 bytes of the page that holds it */
    const uint8_t *next_page; /**< those of the next virtual page, where they stay; see next_id */
    uint32_t next_id;         /**< its ID in the view, or 0: not known, which is no harm */
    uint32_t mode;            /**< RV64_MODE_* */
    uint32_t token;           /**< exit i has token + i; room for RV64_TR_EXITS */
    struct rv64_tr_listing *listing; /**< to be filled; NULL: none is wanted */
};

/** Where the code goes. Thunks and all blocks lie within 2 GiB. */
struct rv64_tr_code {
    uint8_t *write;      /**< the writable mapping of it */
    const uint8_t *exec; /**< the executable one, which may be the same */
    uint32_t room;       /**< bytes */
};

#define RV64_TR_EXITS 20u

/** Targets that an indirect jump compares with before it asks the view. */
#define RV64_TR_SLOTS 4u

/** A block needs no more room than this. */
#define RV64_TR_BLOCK_ROOM 24576u

/** Kinds of direct exits. */
#define RV64_EXIT_NEAR 0u /**< into the same page: linked as it is */
#define RV64_EXIT_FAR  1u /**< elsewhere: linked behind a guard that asks the view */
#define RV64_EXIT_OPEN 2u /**< of an indirect jump: rv64_tr_slot_link() and _unlink() */

/**
 * A direct jump that leaves a block. Unlinked, it leaves with RV64_LEFT_EDGE. To link it, write
 * the target's page ID at `guard` if it is far (that of rv64_view.pages, indexed by target), and
 * then at `patch` the distance from the end of that word to the target's entry. To unlink it,
 * write the distance to `stub` at `patch` (and RV64_PAGE_ID_NONE at `guard`). Offsets count from
 * the block's first byte; words are of 32 bits, at any alignment.
 */
struct rv64_tr_exit {
    uint64_t target; /**< guest PC */
    uint32_t kind;   /**< RV64_EXIT_* */
    bool returned;   /**< behind a call that returned: nothing is known of f registers */
    uint32_t patch;
    uint32_t guard;
    uint32_t stub;
};

/** A slot of an indirect jump, one of RV64_TR_SLOTS exits in a row. */
struct rv64_tr_slot {
    uint8_t *jump;            /**< its exit's patch, in the writable mapping */
    const uint8_t *jump_exec; /**< the same in the executable one */
    uint64_t pc;              /**< guest PC to compare with */
    uint64_t target;          /**< host address: of the block; to be closed, of the exit's stub */
    uint8_t *guard;           /**< the exit's, if the target's page is another, or NULL */
    uint32_t id;              /**< to be compared there */
};

/** Has it lead to a block, entered as by a lookup. */
void rv64_tr_slot_link(const struct rv64_tr_slot *s);

/** Has it lead nowhere. */
void rv64_tr_slot_unlink(const struct rv64_tr_slot *s);

/** It leads nowhere, and will not be linked again: the jump asks the jump cache at once. */
void rv64_tr_slot_close(const struct rv64_tr_slot *s);

/** What was made. Offsets of code count from its first byte. */
struct rv64_tr_block {
    uint32_t size;         /**< bytes of code */
    uint32_t entry;        /**< for jumps from where the registers' state is not known */
    uint32_t fast;         /**< for exits of blocks that rv64_tr_fits() */
    uint32_t low;          /**< the guest's bytes it was made from, as offsets in the page: from */
    uint32_t high;         /**< .. to, exclusive */
    uint32_t instructions; /**< of the guest, on the longest path */
    uint64_t state;        /**< of its f registers: for rv64_tr_fits() */
    uint32_t exit_count;
    struct rv64_tr_exit exits[RV64_TR_EXITS];
};

/** Why enter() came back. cpu->pc is what to execute next, unless it says otherwise. */
#define RV64_LEFT_EDGE   0u /**< an exit that is not linked, or whose guard failed: jit.token */
#define RV64_LEFT_LOOKUP 1u /**< an indirect jump that the view does not know, or a new view */
#define RV64_LEFT_BUDGET 2u /**< jit.left is less than the next block has instructions */
#define RV64_LEFT_INTERPRET                                                                     \
    3u                         /**< an instruction to be interpreted; it is not counted yet. It \
                                    straddles two pages, the second not being next_id, or others */
#define RV64_LEFT_TRAP      4u /**< cpu->trap is to be taken at cpu->pc, and is not counted */
#define RV64_LEFT_ATTENTION 5u /**< cpu->attention, cpu->stop or cpu->wfi was set */
#define RV64_LEFT_SITE      7u /**< an indirect jump that has no slot for its target: jit.token */
#define RV64_LEFT_FENCE_I   6u /**< FENCE.I was executed: what blocks were made from is stale */

/** Most that cpu->jit.left may be: each instruction may take 8 bytes of the stack (call.c). */
#define RV64_TR_SLICE 65536

/** Runs translated code from an entry. @return RV64_LEFT_* */
typedef uint32_t (*rv64_tr_enter_t)(struct rv64_cpu *cpu, const uint8_t *entry);

/** Code that all blocks share. */
#define RV64_TR_THUNKS 42u

/** `without` and `counts` are set after rv64_tr_emit_thunks(). */
struct rv64_tr_thunks {
    uint32_t without; /**< RV64_TR_WITHOUT_* */
    bool counts;      /**< what is predicted well is counted, too */
    rv64_tr_enter_t enter;
    const uint8_t *at[RV64_TR_THUNKS];    /**< known to emission only */
    int32_t data_offset[GN_ACCESS_KINDS]; /**< of the slab's arrays */
    bool eager; /**< for comparison: blocks load registers at their entry, and save at exits */
};

/** Room that the thunks need. */
#define RV64_TR_THUNKS_ROOM 8192u

/**
 * Emits the thunks.
 * @param data  the window of data accesses, which is what cpu->jit.data is to be
 * @return their size in bytes
 */
uint32_t rv64_tr_emit_thunks(struct rv64_tr_thunks *thunks, const struct gn_softmmu_window *data,
                             const struct rv64_tr_code *code);

/**
 * Translates a block.
 * @return 0, or -1: there may be less room than is needed; nothing is to be kept
 */
int rv64_tr_emit_block(const struct rv64_tr_thunks *thunks, const struct rv64_tr_source *source,
                       const struct rv64_tr_code *code, struct rv64_tr_block *ret_block);

/**
 * Does an exit of a block with one state find all that a block with another one needs, always?
 * Then it may be linked to the other's fast entry.
 */
bool rv64_tr_fits(uint64_t from, uint64_t to);

/** Makes the count of retired instructions of what is left. */
static inline void rv64_tr_sync(struct rv64_cpu *cpu)
{
    cpu->stats.instructions = cpu->jit.end - (uint64_t)cpu->jit.left;
}

#endif /* RV64_TRANSLATE_H */
