/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_EMIT_H
#define RV64_TRANSLATE_EMIT_H

/*
 * Emission, inside. A block is formed first, a list of decoded instructions, and then emitted from
 * the first to the last, with what is seldom run (slow paths, exits) collected and put behind.
 *
 *     form.c     which instructions make a block          state.c   where guest registers are
 *     integer.c  computation    muldiv.c                  thunks.c  code that blocks share
 *     memory.c   loads, stores      group.c               helpers.c the C that blocks call
 *     atomic.c   jump.c             exits too             system.c  CSRs, traps, fences
 *     call.c     calls, returns     site.c     indirect jumps of few targets
 *     chain.c    loads of loaded addresses     backend_tlb.c   guest memory
 *     fp.c       registers, slow paths                    fp_*.c    floating point
 */

#include <stddef.h>

#include "../decode.h"
#include "backend.h"
#include "fp.h"
#include "translate.h"
#include "x86.h"

/** Instructions a block may have. What it charges at its entry fits a signed byte. */
#define BLOCK_MAX RV64_TR_INSNS

/** Fixed registers; see translate.h. */
#define REG_CPU  X86_RBP
#define REG_LEFT X86_R13
#define REG_DATA X86_R15

/** Where a member of the hart is. */
#define CPU_BIAS        (16 * 8)
#define CPU_AT(offset)  x86_mem(REG_CPU, (int32_t)(offset)-CPU_BIAS)
#define CPU_MEM(member) CPU_AT(offsetof(struct rv64_cpu, member))

/** An instruction of a block. */
struct emit_insn {
    struct rv64_insn d; /**< never a compressed form; distances of jumps in bytes */
    uint32_t raw;
    uint64_t pc;
    uint8_t length;
    bool straddles; /**< its second half is on the next page */
    uint8_t skips;  /**< a branch: to so many instructions further on in the block; 0: leaves it */
    bool joined;    /**< such a branch leads here */
    uint32_t words; /**< what all of them have in struct rv64_emit's, */
    uint32_t known; /**< and in struct emit_fp's */
    uint32_t boxed;
    uint8_t *code; /**< of it, which is where they go; NULL: none of its own */
};

/** A link of a chain that strays: what it does instead, and back. */
struct emit_stray {
    uint8_t *from;
    uint8_t *back;
    struct x86_rm entry; /**< delta of the TLB's entry, */
    uint32_t to;         /**< which is to be there */
    uint32_t base;       /**< guest register and offset of the address */
    int32_t offset;
};

/** What memory accesses that the probe misses do instead: a call, and back. */
struct emit_slow {
    struct emit_stray stray[2]; /**< links of chains among them */
    uint32_t stray_count;
    uint8_t *from[6]; /**< jumps that come here */
    uint32_t from_count;
    uint8_t *back;
    uint32_t insn;  /**< index of the first instruction to be done there */
    uint32_t count; /**< how many: one, or a group whose accesses are then made one by one */
    uint32_t words; /**< struct rv64_emit's, at the first instruction, */
    uint32_t known; /**< and struct emit_fp's */
};

/** An exit, until its code behind the block is made. */
struct emit_exit {
    uint8_t *from; /**< jump to it */
    uint64_t target;
    uint32_t refund; /**< instructions charged and not executed */
    bool returned;   /**< behind a call: what others did is between the block and the exit */
};

/** A branch within the block, until its code behind the block is made. */
struct emit_skip {
    uint8_t *from;
    uint32_t to;     /**< index of an instruction */
    uint32_t refund; /**< instructions skipped */
};

struct rv64_emit {
    struct x86 a;
    uint8_t *start;
    const uint8_t *exec;
    uint8_t *limit;  /**< end of the room */
    uint8_t *behind; /**< where what is seldom run begins */
    const struct rv64_tr_thunks *thunks;
    const struct rv64_tr_source *source;
    struct rv64_tr_block *block;
    struct emit_insn insns[BLOCK_MAX];
    uint32_t count;
    uint32_t most;  /**< instructions that it may have */
    uint32_t at;    /**< instruction being emitted */
    uint32_t words; /**< registers whose value is known to be a word, sign-extended: a bit each */
    bool cold;      /**< behind the block: small rather than fast */
    uint32_t flags_of;    /**< register that the instruction before set by a comparison, or 0 */
    uint32_t flags_cc;    /**< its condition, still in the flags */
    bool ended;           /**< the last instruction emitted leaves the block in any case */
    uint8_t *straddle[2]; /**< jumps if the last instruction is not what it was, if it straddles */
    struct emit_slow slow[2 * BLOCK_MAX]; /**< of groups, and of their accesses */
    uint32_t slow_count;
    struct emit_skip skips[BLOCK_MAX];
    uint32_t skip_count;
    struct emit_exit exits[RV64_TR_EXITS];
    uint32_t exit_count;
    uint8_t *loop;          /**< where the block's own loop comes back to */
    uint32_t eager_written; /**< x registers that exits save */
    struct emit_fp fp;
};

/** Thunks, by number. Those up to EMIT_HELPERS call a C function of helpers.c. */
enum {
    THUNK_LOAD,
    THUNK_STORE,
    THUNK_STRAY,
    THUNK_ATOMIC,
    THUNK_CSR,
    THUNK_FP,
    THUNK_FP_LOAD,
    THUNK_FP_STORE,
    THUNK_FP_ON,
    THUNK_FP_LIVE,
    THUNK_ECALL,
    THUNK_RETURN,
    THUNK_EXCEPTION,
    THUNK_FENCE,
    THUNK_FENCE_I,
    THUNK_WFI,
    EMIT_HELPERS,
    THUNK_GO = EMIT_HELPERS, /**< goes on at the guest PC in RAX */
    THUNK_PROBE_READ,        /**< RAX: address, RDX: of the last byte; RCX as by an inline probe */
    THUNK_PROBE_WRITE,       /**< the same; not equal: missed */
    THUNK_READ_FLAGS,  /**< RAX: the flags of floating point, MXCSR being the guest's; writes RDX */
    THUNK_WRITE_FLAGS, /**< RCX: those to be; writes RAX, RCX, RDX */
    THUNK_SSTATUS,     /**< returns sstatus in RAX; writes RCX, RDX */
    THUNK_F_SAVE,      /**< has memory all f registers, and homes none */
    THUNK_LEAVE_EDGE,  /**< EAX: token, RCX: guest PC */
    THUNK_RETURN_MISSED,   /**< RAX: guest PC, and an odd one is its even neighbour */
    THUNK_LEAVE_SITE,      /**< ECX: token, RAX: guest PC */
    THUNK_LEAVE_LOOKUP,    /**< RAX: guest PC */
    THUNK_LEAVE_BUDGET,    /**< RCX: guest PC */
    THUNK_LEAVE_INTERPRET, /**< RCX: guest PC */
    THUNK_COUNT
};

/** What a helper is told of its instruction, beside an argument in RAX and the PC in RCX. */
#define INFO(op, rd, rs1, rs2, length, refund)                                              \
    ((uint32_t)(op) | (uint32_t)(rd) << 8 | (uint32_t)(rs1) << 14 | (uint32_t)(rs2) << 19 | \
     (uint32_t)((length) == 4) << 24 | (uint32_t)(refund) << 25)
#define INFO_OP(info)     ((info)&0xff)
#define INFO_RD(info)     ((info) >> 8 & 0x3f)
#define INFO_RS1(info)    ((info) >> 14 & 31)
#define INFO_RS2(info)    ((info) >> 19 & 31)
#define INFO_LENGTH(info) (2 + ((info) >> 23 & 2))
#define INFO_REFUND(info) ((info) >> 25)

/** Helpers give 0: go on behind the instruction, RV64_LEFT_* or this: go on at cpu->pc. */
#define HELPER_GO 0xffu

typedef uint32_t (*emit_helper_t)(struct rv64_cpu *cpu, uint64_t argument, uint32_t info,
                                  uint64_t pc);

extern const emit_helper_t rv64_emit_helpers[EMIT_HELPERS];

/** Code that one instruction, slow path or exit takes, at most, with much to spare. */
#define EMIT_MARGIN 768

/** Here begins the code of the instruction e->at. */
static inline void emit_here(struct rv64_emit *e)
{
    if (!e->insns[e->at].code)
        e->insns[e->at].code = e->a.at;
}

/** Is there no room for one more? Then nothing more is emitted, and the block is none. */
static inline bool emit_full(const struct rv64_emit *e)
{
    return e->limit - e->a.at < EMIT_MARGIN;
}

/* form.c */

/** Lists the instructions of the block. */
void rv64_emit_form(struct rv64_emit *e);

/* state.c: where guest registers are at the edges of blocks, and when C looks. */

/** The host register that is home to a guest register, or X86_NONE. */
extern const uint8_t rv64_emit_home[33];

/** The XMM register that an f register may have for a home; others may, too. */
extern const uint8_t rv64_emit_f_home[32];

/** Stores all homes, and the count of instructions left. f_save: THUNK_F_SAVE, as written. */
void rv64_emit_state_save(struct x86 *a, const uint8_t *f_save);

/** Of that, the f registers. */
void rv64_emit_f_save(struct x86 *a, const uint8_t *f_save);

/** Emits the body of THUNK_F_SAVE. */
void rv64_emit_f_thunk(struct x86 *a);

/** Loads all homes, the count, and what depends on the context. */
void rv64_emit_state_load(struct x86 *a);

/** Operand of a guest register: its home or its place. x0 as a source, 32 as a destination. */
static inline struct x86_rm emit_rm(uint32_t reg)
{
    uint32_t home = rv64_emit_home[reg];

    return home != X86_NONE ? x86_reg(home) : CPU_AT(reg * 8);
}

static inline bool emit_has_home(uint32_t reg)
{
    return rv64_emit_home[reg] != X86_NONE;
}

/** The register to compute a result in: its home, or a temporary that emit_put() stores. */
static inline uint32_t emit_target(uint32_t rd, uint32_t temporary)
{
    return emit_has_home(rd) ? rv64_emit_home[rd] : temporary;
}

/** Copies a guest register to a host register. */
static inline void emit_get(struct rv64_emit *e, uint32_t to, uint32_t reg)
{
    if (!emit_has_home(reg) || rv64_emit_home[reg] != to)
        x86_op(&e->a, X86_MOV | X86_W, to, emit_rm(reg));
}

/** Copies a host register to a guest register. */
static inline void emit_put(struct rv64_emit *e, uint32_t rd, uint32_t from)
{
    if (!emit_has_home(rd) || rv64_emit_home[rd] != from)
        x86_op(&e->a, X86_MOV_STORE | X86_W, from, emit_rm(rd));
}

/** The host register that has a guest register's value: its home, or a temporary it is read to. */
static inline uint32_t emit_in_reg(struct rv64_emit *e, uint32_t reg, uint32_t temporary)
{
    if (emit_has_home(reg))
        return rv64_emit_home[reg];
    x86_op(&e->a, X86_MOV | X86_W, temporary, emit_rm(reg));
    return temporary;
}

/** Without regstate: a block's entry loads what it uses, an exit saves what it writes. */
void rv64_emit_eager_entry(struct rv64_emit *e);
void rv64_emit_eager_exit(struct rv64_emit *e);

/** Sets a guest register to a constant. Leaves the flags alone. */
void rv64_emit_constant(struct rv64_emit *e, uint32_t rd, uint64_t value);

/** Instructions charged that are not executed if instruction `index` is not. */
static inline uint32_t emit_refund(const struct rv64_emit *e, uint32_t index)
{
    return e->count - index;
}

static inline void emit_jmp_thunk(struct rv64_emit *e, uint32_t thunk)
{
    x86_patch(x86_jmp_later(&e->a), e->thunks->at[thunk] - (e->exec - e->start));
}

static inline void emit_jcc_thunk(struct rv64_emit *e, uint32_t cc, uint32_t thunk)
{
    x86_patch(x86_jcc_later(&e->a, cc), e->thunks->at[thunk] - (e->exec - e->start));
}

static inline void emit_call_thunk(struct rv64_emit *e, uint32_t thunk)
{
    x86_u8(&e->a, 0xe8); /* CALL */
    e->a.at += 4;
    x86_patch(e->a.at - 4, e->thunks->at[thunk] - (e->exec - e->start));
}

/** Calls a helper for an instruction of the block; RAX is its argument. */
void rv64_emit_call(struct rv64_emit *e, uint32_t thunk, uint32_t index);

/**
 * The instruction after e->at, if it may be emitted together with it, else NULL. One that straddles
 * two pages has something to ask first; and to one that is joined other ways lead.
 */
static inline const struct emit_insn *emit_next(const struct rv64_emit *e)
{
    const struct emit_insn *next = &e->insns[e->at + 1];

    return e->at + 1 < e->count && !next->straddles && !next->joined ? next : NULL;
}

/** Takes note of what an instruction, which has been emitted, does to e->words. */
void rv64_emit_note(struct rv64_emit *e, const struct rv64_insn *d);

/*
 * Emission of the instruction e->at, and of those after it that go well with it: these return how
 * many that were, 0 if the instruction is none of theirs.
 */
uint32_t rv64_emit_integer(struct rv64_emit *e);
uint32_t rv64_emit_muldiv(struct rv64_emit *e);
uint32_t rv64_emit_group(struct rv64_emit *e);
uint32_t rv64_emit_access(struct rv64_emit *e);
uint32_t rv64_emit_atomic(struct rv64_emit *e);
uint32_t rv64_emit_jump(struct rv64_emit *e);
uint32_t rv64_emit_system(struct rv64_emit *e);
uint32_t rv64_emit_fp(struct rv64_emit *e);

/** A slow path for the instruction e->at, to which jumps are to be added, and a place to go back.
 */
struct emit_slow *rv64_emit_slow(struct rv64_emit *e);

/**
 * From the address in RAX, finds what is to be added to it for the host's, in RCX; RDX is written.
 * @param access  GN_ACCESS_READ or _WRITE; who may write may read
 */
void rv64_emit_probe(struct rv64_emit *e, struct emit_slow *slow, uint32_t size, uint32_t access);

/** The first part of it: the place of the entry is in RCX, and RDX is written. */
void rv64_emit_find(struct rv64_emit *e, struct emit_slow *slow, uint32_t size, uint32_t access);

/* chain.c */

/** Is an instruction a link of a chain, a load from an address that was loaded? */
bool rv64_emit_is_link(const struct rv64_emit *e, uint32_t index);

/**
 * The end of a link's probe: what its context expects comes to be in a register, and is held
 * against the entry.
 * @param stray  all of it but from and back: what to do if they differ
 */
void rv64_emit_link(struct rv64_emit *e, struct emit_slow *slow, struct emit_stray stray);

/** What links have behind the block: it ends where the slow path begins, or jumps there. */
void rv64_emit_strays(struct rv64_emit *e, const struct emit_slow *slow);

static inline bool emit_is_load(uint32_t op)
{
    return op >= RV64_OP_LB && op <= RV64_OP_LWU;
}

static inline bool emit_is_store(uint32_t op)
{
    return op >= RV64_OP_SB && op <= RV64_OP_SD;
}

/** Here is where the slow path goes back to. */
static inline void emit_slow_back(struct rv64_emit *e, struct emit_slow *slow)
{
    slow->back = e->a.at;
}

/** Bytes of a load or store. */
static inline uint32_t rv64_emit_size(uint32_t op)
{
    switch (op) {
    case RV64_OP_LB:
    case RV64_OP_LBU:
    case RV64_OP_SB: return 1;
    case RV64_OP_LH:
    case RV64_OP_LHU:
    case RV64_OP_SH: return 2;
    case RV64_OP_LW:
    case RV64_OP_LWU:
    case RV64_OP_SW:
    case RV64_OP_FLW:
    case RV64_OP_FSW: return 4;
    default: return 8;
    }
}

/** RAX = the address of an access. */
void rv64_emit_address(struct rv64_emit *e, uint32_t base, int32_t offset);

/** The load or store itself, with its extension, on the host's memory. May write RAX and RDX. */
void rv64_emit_transfer(struct rv64_emit *e, const struct rv64_insn *d, struct x86_rm host);

/** Emits the instructions of a group, each access with its own probe. */
void rv64_emit_group_apart(struct rv64_emit *e, const struct emit_slow *slow);

/** Emits the slow paths of memory accesses. */
void rv64_emit_slow_paths(struct rv64_emit *e);

/** An exit to a guest PC, after `done` instructions of the block. */
void rv64_emit_exit(struct rv64_emit *e, uint64_t target, uint32_t done);

/** Emits what branches within the block have behind it. */
void rv64_emit_skips(struct rv64_emit *e);

/** Emits what exits have behind the block. */
void rv64_emit_exits(struct rv64_emit *e);

/** A comparison of two guest registers: sets the flags. RAX may be written. */
void rv64_emit_compare(struct rv64_emit *e, uint32_t rs1, uint32_t rs2);

/** Exits at the end of the block: by a jump or call at `from`; and behind a call that returned. */
void rv64_emit_exit_from(struct rv64_emit *e, uint8_t *from, uint64_t target);
void rv64_emit_exit_returned(struct rv64_emit *e, uint8_t *from, uint64_t target);

/** Goes on at the guest PC in RAX: asks the view, or leaves. */
void rv64_emit_hash(struct rv64_emit *e);

/** The same by an inline cache. It ends the block. */
void rv64_emit_site(struct rv64_emit *e);

/** Does it call, by writing its return address to rd? */
bool rv64_emit_is_call(const struct rv64_emit *e, uint32_t rd);
bool rv64_emit_is_return(const struct rv64_emit *e, const struct rv64_insn *d);

/** Calls that end the block; the target of an indirect one is in RAX. */
void rv64_emit_call_direct(struct rv64_emit *e, uint64_t target, uint64_t behind);
void rv64_emit_call_indirect(struct rv64_emit *e, uint64_t behind);

/** Returns to the guest PC in RAX, whose bit 0 is not looked at yet. */
void rv64_emit_return(struct rv64_emit *e);

#endif /* RV64_TRANSLATE_EMIT_H */
