/* SPDX-License-Identifier: BSD-3-Clause */

/* Calls and jumps: direct, indirect, over much code, and into code just written. */

#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define NOINLINE __attribute__((noinline, noclone))

/* ---- A threaded interpreter ---------------------------------------------------------------- */

enum { OP_PUSH, OP_ADD, OP_MUL, OP_XOR, OP_DUP, OP_SWAP, OP_DEC, OP_LOOP, OP_END };

static const uint8_t bytecode[] = {
    OP_PUSH, 1,       OP_PUSH, 200, /* accumulator, counter */
    OP_SWAP, OP_PUSH, 31,      OP_MUL, OP_DUP,  OP_PUSH, 7,
    OP_XOR,  OP_ADD,  OP_SWAP, OP_DEC, OP_LOOP, 12,      OP_END,
};

#define TURN 10 /* instructions of a turn of the loop */

static NOINLINE uint64_t interpret(const uint8_t *pc)
{
    static const void *const labels[] = {&&push, &&add, &&mul,  &&xor_, &&dup,
                                         &&swap, &&dec, &&loop, &&end};
    uint64_t stack[16], *sp = stack, top;

#define NEXT() goto *labels[*pc++]
    NEXT();
push:
    *sp++ = *pc++;
    NEXT();
add:
    sp--;
    sp[-1] += sp[0];
    NEXT();
mul:
    sp--;
    sp[-1] *= sp[0];
    NEXT();
xor_:
    sp--;
    sp[-1] ^= sp[0];
    NEXT();
dup:
    sp[0] = sp[-1];
    sp++;
    NEXT();
swap:
    top = sp[-1];
    sp[-1] = sp[-2];
    sp[-2] = top;
    NEXT();
dec:
    sp[-1]--;
    NEXT();
loop:
    pc = sp[-1] ? pc - *pc : pc + 1;
    NEXT();
end:
    return sp[-2];
#undef NEXT
}

static uint64_t interp(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < 10; i++)
        sum = bench_fold(sum, interpret(bytecode));
    return sum;
}

/* ---- Calls --------------------------------------------------------------------------------- */

static NOINLINE uint64_t fibonacci(uint64_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint64_t fib(void)
{
    return fibonacci(20);
}

static NOINLINE uint64_t target_0(uint64_t x)
{
    return x + 1;
}

static NOINLINE uint64_t target_1(uint64_t x)
{
    return x ^ x >> 3;
}

static NOINLINE uint64_t target_2(uint64_t x)
{
    return x * 3;
}

static NOINLINE uint64_t target_3(uint64_t x)
{
    return x - (x << 7);
}

static uint64_t (*volatile targets[4])(uint64_t) = {target_0, target_1, target_2, target_3};

static uint64_t icall(void)
{
    uint64_t x = 1;

    for (uint64_t i = 0; i < 10000; i++)
        x = targets[(i ^ i >> 3) & 3](x);
    return x;
}

/* ---- 448 functions, called in scrambled order ---------------------------------------------- */

#define BODY(n)                                   \
    static NOINLINE uint64_t big_##n(uint64_t x)  \
    {                                             \
        uint64_t y = x * (0x1##n##u | 1u);        \
                                                  \
        if (x & (1u << (0x1##n##u & 7)))          \
            y ^= y >> 11 ^ 0x1##n##7u;            \
        else                                      \
            y += y << 3 ^ 0x2##n##3u;             \
        if (y & 1u << (0x1##n##u % 11))           \
            y = (y << 17 | y >> 47) + 0x3##n##1u; \
        y ^= (x + 0x1##n##u) * 5 ^ y >> 9;        \
        return y + (y >> 29) * 3 - (x & 0xff);    \
    }
#define FOUR(M, n)       M(n##0) M(n##1) M(n##2) M(n##3)
#define SIXTEEN(M, n)    FOUR(M, n##0) FOUR(M, n##1) FOUR(M, n##2) FOUR(M, n##3)
#define SIXTY_FOUR(M, n) SIXTEEN(M, n##0) SIXTEEN(M, n##1) SIXTEEN(M, n##2) SIXTEEN(M, n##3)
#define FEWER(M)         SIXTY_FOUR(M, 0) SIXTY_FOUR(M, 1) SIXTY_FOUR(M, 2)
#define MORE(M)          SIXTY_FOUR(M, 3) SIXTY_FOUR(M, 4) SIXTY_FOUR(M, 5) SIXTY_FOUR(M, 6)
#define NAME(n)          big_##n,

FEWER(BODY)
MORE(BODY)

static uint64_t (*const big[])(uint64_t) = {FEWER(NAME) MORE(NAME)};

static uint64_t bigcode(void)
{
    uint64_t x = 1;

    for (size_t i = 0; i < 4 * COUNT(big); i++)
        x = big[i * 275 % COUNT(big)](x);
    return x;
}

/* ---- Self-modifying code ------------------------------------------------------------------- */

#define JIT_INSNS 14

static uint32_t *jit;

static void jit_begin(void)
{
    jit = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (jit == MAP_FAILED)
        bench_die("mmap");
}

static void jit_end(void)
{
    munmap(jit, 4096);
}

/* Writes ADDI a0, a0, ... and XORI a0, a0, ... in turn, then calls them. */
static uint64_t jit_turn(uint32_t turn, uint64_t x)
{
    uint64_t (*function)(uint64_t);

    for (uint32_t i = 0; i < JIT_INSNS; i++)
        jit[i] = (turn * 37 + i) << 20 | 10 << 15 | (i & 1 ? 4 : 0) << 12 | 10 << 7 | 0x13;
    jit[JIT_INSNS] = 0x8067; /* RET */
    __builtin___clear_cache((char *)jit, (char *)(jit + JIT_INSNS + 1));
    memcpy(&function, &jit, sizeof function);
    return function(x);
}

static uint64_t smc_jit(void)
{
    uint64_t x = 1;

    for (uint32_t i = 0; i < 200; i++)
        x = bench_fold(x, jit_turn(i, x));
    return x;
}

static const struct bench entries[] = {
    {"interp", interp, 10 * (3 + 200 * TURN), UINT64_C(0xd724d5d361f3f662), NULL, NULL},
    {"fib", fib, 21891, UINT64_C(0x1a6d), NULL, NULL},
    {"icall", icall, 10000, UINT64_C(0x269953edd2fdb66a), NULL, NULL},
    {"bigcode", bigcode, 4 * COUNT(big), UINT64_C(0x27bef0c365271e55), NULL, NULL},
    {"smc_jit", smc_jit, 200, UINT64_C(0x77cb85f709b985a), jit_begin, jit_end},
};

const struct bench_group bench_calls = {entries, COUNT(entries)};
