/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The interpreter. A block is what runs between two looks at interrupts: it ends when its
 * instructions are used up, at a trap or its return, at a call into firmware, and when something
 * asks for attention (an interrupt that became deliverable, a new address space).
 *
 * Inside a block the address of the decoded entry is the program counter:
 *
 *      pc = entry / 4 + bias
 *
 * since an entry of 8 bytes stands for 2 bytes of code. cpu->pc and the count of instructions are
 * stored only before something that can look at them (SYNC).
 */

#include <string.h>

#include "csr.h"
#include "decode.h"
#include "fpu.h"
#include "insn.h"

/* interp_exact.c makes another interpreter of this one, which looks at n after each instruction. */
#ifndef RV64_INTERP_EXACT
#define RV64_INTERP_EXACT 0
#endif

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* No instruction is in it: page_va while one that straddles two pages is executed. */
#define NO_PAGE UINT64_C(1)

/* As functions, these two are not mistaken for declarations of pointers by clang-format. */
static inline uint64_t bits_of(uint64_t a, uint64_t mask)
{
    return a & mask;
}

static inline uint64_t product(uint64_t a, uint64_t b)
{
    return a * b;
}

static uint64_t mulhu(uint64_t a, uint64_t b)
{
    return (uint64_t)((unsigned __int128)a * b >> 64);
}

static uint64_t mulh(int64_t a, int64_t b)
{
    return (uint64_t)((__int128)a * b >> 64);
}

static uint64_t mulhsu(int64_t a, uint64_t b)
{
    return (uint64_t)((__int128)a * (__int128)b >> 64);
}

/* Division by zero and overflow have results, and no traps (Unprivileged ISA §7.2). */
static uint64_t divide(int64_t a, int64_t b)
{
    if (b == 0)
        return UINT64_MAX;
    return b == -1 ? 0 - (uint64_t)a : (uint64_t)(a / b);
}

static uint64_t remainder_of(int64_t a, int64_t b)
{
    if (b == 0)
        return (uint64_t)a;
    return b == -1 ? 0 : (uint64_t)(a % b);
}

static struct rv64_code_page *find_page(struct rv64_cpu *cpu, uint64_t va)
{
    struct rv64_code_page *page = rv64_decode_lookup(cpu->decode, va);

    return page ? page : rv64_decode_enter(cpu, va);
}

/*
 * An instruction whose second half is on the next page is decoded anew each time, since that page
 * may be another one in each address space. What follows it is a page's end.
 */
static struct rv64_insn *fetch_straddling(struct rv64_cpu *cpu, const struct rv64_insn *insn,
                                          uint64_t pc)
{
    struct rv64_decode_cache *cache = cpu->decode;
    uint32_t raw = rv64_decode_raw(cache, insn);
    const struct rv64_code_page *second = find_page(cpu, pc + 2);

    if (!second)
        return NULL;
    raw |= (uint32_t)second->copy[0] << 16 | (uint32_t)second->copy[1] << 24;
    cache->straddle_raw = raw;
    rv64_decode(raw, RV64_OFFSET_NONE, &cache->straddle[0]);
    cache->straddle[2].op = RV64_OP_PAGE_END;
    return &cache->straddle[0];
}

/*
 * The bodies' vocabulary. n counts down the instructions left to the block; it is looked at where
 * control leaves a straight line.
 */
#define OP(name)   do_##name:
#define DISPATCH() goto *labels[e->op]
#define PC         (((uintptr_t)e >> RV64_INSN_SHIFT) + bias)
#define RD         x[e->rd]
#define RS1        x[e->rs1]
#define RS2        x[e->rs2]
#define IMM        (uint64_t)(int64_t) e->imm

#define SYNC() (cpu->pc = PC, cpu->stats.instructions = end - (uint64_t)n)

#define WORD(value)     (uint64_t)(int32_t)(uint32_t)(value)
#define SIGNED(value)   (uint64_t)(int64_t)(value)
#define UNSIGNED(value) (uint64_t)(value)
#define BOXED(value)    (UINT64_C(0xffffffff00000000) | (value))

#define USED_UP() (RV64_INTERP_EXACT && UNLIKELY(n <= 0))

#define NEXT(bytes)       \
    do {                  \
        e += (bytes) / 2; \
        n--;              \
        if (USED_UP())    \
            goto leave;   \
        DISPATCH();       \
    } while (0)

/* After what may have asked for attention. */
#define NEXT_SLOW(bytes)  \
    do {                  \
        e += (bytes) / 2; \
        goto next_slow;   \
    } while (0)

#define JUMP_NEAR()                                   \
    do {                                              \
        e = (struct rv64_insn *)((char *)e + e->imm); \
        if (UNLIKELY(--n <= 0))                       \
            goto leave;                               \
        DISPATCH();                                   \
    } while (0)

#define JUMP_FAR()     \
    do {               \
        n--;           \
        goto jump_far; \
    } while (0)

#define JUMP()     \
    do {           \
        n--;       \
        goto jump; \
    } while (0)

#define LOAD(bytes, type, to, extend)                                             \
    do {                                                                          \
        uint64_t va = RS1 + IMM;                                                  \
        const void *host = rv64_mmu_probe(mmu, va, sizeof(type), GN_ACCESS_READ); \
        uint64_t wide;                                                            \
        type value;                                                               \
                                                                                  \
        if (LIKELY(host != NULL)) {                                               \
            memcpy(&value, host, sizeof value);                                   \
            to = extend(value);                                                   \
            NEXT(bytes);                                                          \
        }                                                                         \
        SYNC();                                                                   \
        if (rv64_mmu_load(mmu, va, sizeof(type), &wide, &cpu->trap))              \
            goto trap;                                                            \
        value = (type)wide;                                                       \
        to = extend(value);                                                       \
        NEXT_SLOW(bytes);                                                         \
    } while (0)

#define STORE(bytes, type, from)                                             \
    do {                                                                     \
        uint64_t va = RS1 + IMM;                                             \
        void *host = rv64_mmu_probe(mmu, va, sizeof(type), GN_ACCESS_WRITE); \
        type value = (type)(from);                                           \
                                                                             \
        if (LIKELY(host != NULL)) {                                          \
            memcpy(host, &value, sizeof value);                              \
            NEXT(bytes);                                                     \
        }                                                                    \
        SYNC();                                                              \
        if (rv64_mmu_store(mmu, va, sizeof(type), value, &cpu->trap))        \
            goto trap;                                                       \
        NEXT_SLOW(bytes);                                                    \
    } while (0)

/* Whole instructions. */

#define ALU_OP(name, bytes, value) \
    OP(name)                       \
    do {                           \
        RD = (uint64_t)(value);    \
        NEXT(bytes);               \
    } while (0)

#define BRANCH_OP(name, bytes, condition) \
    OP(name)                              \
    do {                                  \
        if (condition)                    \
            JUMP_NEAR();                  \
        NEXT(bytes);                      \
    } while (0)

#define BRANCH_FAR_OP(name, bytes, condition) \
    OP(name)                                  \
    do {                                      \
        if (condition) {                      \
            target = PC + IMM;                \
            JUMP_FAR();                       \
        }                                     \
        NEXT(bytes);                          \
    } while (0)

#define LOAD_OP(name, bytes, type, to, extend) OP(name) LOAD(bytes, type, to, extend)
#define STORE_OP(name, bytes, type, from)      OP(name) STORE(bytes, type, from)

#define SLOW_OP(name, call) \
    OP(name)                \
    do {                    \
        SYNC();             \
        if (UNLIKELY(call)) \
            goto trap;      \
        NEXT_SLOW(4);       \
    } while (0)

#define NEED_FPU_CLEAN()                                   \
    do {                                                   \
        if (UNLIKELY(!(cpu->mstatus & RV64_MSTATUS_FS))) { \
            SYNC();                                        \
            goto illegal;                                  \
        }                                                  \
    } while (0)

/* A load makes the registers dirty. Saying so although it faults is allowed (§3.1.6.6). */
#define NEED_FPU()                       \
    do {                                 \
        NEED_FPU_CLEAN();                \
        cpu->mstatus |= RV64_MSTATUS_FS; \
    } while (0)

#define LABEL(name) [RV64_OP_##name] = &&do_##name,

/* Runs a block of at most about `count` instructions, from cpu->pc. */
static void execute(struct rv64_cpu *cpu, int64_t count)
{
    static const void *const labels[] = {RV64_OPS(LABEL)};
    struct rv64_mmu *const mmu = cpu->mmu;
    uint64_t *const x = cpu->x;
    uint64_t *const f = cpu->f;
    const uint64_t end = cpu->stats.instructions + (uint64_t)count;
    int64_t n = count;
    uint64_t target = cpu->pc;
    uint64_t bias = 0;
    uint64_t page_va = NO_PAGE;
    struct rv64_insn *e = NULL;
    struct rv64_code_page *page;

jump_far:
    if (UNLIKELY(n <= 0))
        goto leave_to_target;
    page = rv64_decode_lookup(cpu->decode, target);
    if (UNLIKELY(!page)) {
        cpu->pc = target;
        cpu->stats.instructions = end - (uint64_t)n;
        page = rv64_decode_enter(cpu, target);
        if (!page)
            goto trap;
    }
    cpu->decode->current = page;
    page_va = target & ~GN_PAGE_MASK;
    bias = page_va - ((uintptr_t)page >> RV64_INSN_SHIFT);
    e = &page->insn[(target & GN_PAGE_MASK) / 2];
    DISPATCH();

jump:
    if ((target & ~GN_PAGE_MASK) != page_va)
        goto jump_far;
    if (UNLIKELY(n <= 0))
        goto leave_to_target;
    e = (struct rv64_insn *)((uintptr_t)(target - bias) << RV64_INSN_SHIFT);
    DISPATCH();

next_slow:
    n--;
    if (UNLIKELY(cpu->attention | cpu->stop) || USED_UP())
        goto leave;
    DISPATCH();

#include "interp_ops.h"

illegal:
    cpu->trap.cause = RV64_CAUSE_ILLEGAL;
    cpu->trap.value = rv64_decode_raw(cpu->decode, e);
trap:
    rv64_cpu_trap(cpu, &cpu->trap);
    goto out;

leave_to_target:
    cpu->pc = target;
    goto out;
leave:
    cpu->pc = PC;
out:
    cpu->stats.instructions = end - (uint64_t)n;
}

#if RV64_INTERP_EXACT

int rv64_cpu_step(struct rv64_cpu *cpu)
{
    rv64_cpu_context_update(cpu);
    if (cpu->stop)
        return RV64_RUN_STOP;
    cpu->attention = false;
    if (rv64_cpu_interrupt(cpu))
        return RV64_RUN_BUDGET;
    cpu->wfi = cpu->wfi && !(cpu->mip & cpu->mie);
    if (cpu->wfi)
        return RV64_RUN_WFI;
    execute(cpu, 1);
    return RV64_RUN_BUDGET;
}

#else

int rv64_cpu_interpret(struct rv64_cpu *cpu, uint64_t budget)
{
    int64_t left = budget > INT64_MAX ? INT64_MAX : (int64_t)budget;

    for (;;) {
        uint64_t before = cpu->stats.instructions;
        int why = rv64_cpu_turn(cpu);

        if (why != RV64_RUN_BUDGET || left <= 0)
            return why;
        execute(cpu, left);
        before = cpu->stats.instructions - before;
        left -=
            before ? (int64_t)before : 1; /* a trap that cannot even be entered takes its toll */
    }
}

#endif /* RV64_INTERP_EXACT */
