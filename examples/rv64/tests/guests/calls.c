/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A guest of its own, in S-mode without an operating system, whose calls and jumps are hard to
 * predict. It writes what it finds to the console of the SBI, and powers off.
 *
 *   returns   addresses that are odd, in T0, changed, or jumped to by other means
 *   floats    f registers before, in and behind a call
 *   longjmp   out of many frames, into others
 *   deep      a recursion deeper than any ring of return addresses
 *   stacks    two coroutines that leave each other in the middle of a recursion
 *   rewrite   what is behind a call is written while the call is under way; so is what calls
 *   spaces    a call returns into another address space, or to a page that was mapped anew
 *   targets   an indirect jump has one target, few, many; they are written, and change their space
 */

#include "guest.h"

#define ARENA  0x84000000ul /* code that is written here */
#define ROOT   0x83000000ul
#define WINDOW (0x4000000000ul - 0x40000000ul) /* the last GiB of low addresses */
#define ROUNDS 3000u

static uint64_t random_state = 88172645463325252u;

static uint64_t below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 20) % limit;
}

/* ---- Returns ------------------------------------------------------------------------------ */

uint64_t odd_return(uint64_t), other_link(uint64_t), by_another(uint64_t), behind(uint64_t),
    tail(uint64_t), millicode(uint64_t);

__asm__(".text\n"
        ".balign 4\n"
        /* Bit 0 of the target is ignored. */
        "odd_return: ori ra, ra, 1\n addi a0, a0, 1\n ret\n"
        /* The link is T0, and then RA's is returned to by T0. */
        "other_link: addi a0, a0, 2\n mv t0, ra\n jr t0\n"
        /* A return that does not look like one. */
        "by_another: addi a0, a0, 3\n mv a5, ra\n jr a5\n"
        /* The return is to an instruction after the next. */
        "skipping: addi a0, a0, 4\n addi ra, ra, 4\n ret\n"
        ".option push\n .option norvc\n"
        "behind: mv t3, ra\n jal skipping\n addi a0, a0, 100\n addi a0, a0, 8\n mv ra, t3\n ret\n"
        ".option pop\n"
        "tail: addi a0, a0, 16\n tail by_another\n"
        "millicode: jal t0, 1f\n addi a0, a0, 32\n ret\n"
        "1: addi a0, a0, 64\n jr t0\n");

static void returns(void)
{
    for (uint64_t i = 0; i < 8 * ROUNDS; i++) {
        expect(odd_return(i), i + 1, "a return to an odd address");
        expect(other_link(i), i + 2, "a return by t0");
        expect(by_another(i), i + 3, "a return by a5");
        expect(behind(i), i + 12, "a return behind an instruction");
        expect(tail(i), i + 19, "a return of another function");
        expect(millicode(i), i + 96, "a call by t0");
    }
}

/* ---- f registers -------------------------------------------------------------------------- */

uint64_t around_call(uint64_t n), in_call(void);

#define ADD(f) "fadd.d f" #f ", f" #f ", f" #f "\n"

/*
 * f8 + 2 n f9 of whole numbers, around a call that uses all the others. There are so many that they
 * do not all have homes.
 */
__asm__(".text\n"
        ".balign 4\n"
        "around_call: mv t3, ra\n"
        "    fcvt.d.lu f8, a0\n fcvt.d.lu f9, a0\n fmv.d.x f10, zero\n"
        "1:  fadd.d f8, f8, f9\n"
        "    jal in_call\n"
        "    fadd.d f8, f8, f9\n fadd.d f9, f9, f10\n"
        "    addi a0, a0, -1\n bnez a0, 1b\n"
        "    fcvt.lu.d a0, f8\n mv ra, t3\n ret\n"
        "in_call:\n" ADD(0) ADD(1) ADD(2) ADD(3) ADD(4) ADD(5) ADD(6)
            ADD(7) "j 2f\n"
                   "2:\n" ADD(11) ADD(12) ADD(13) ADD(14) ADD(15) ADD(16) ADD(17) ADD(18)
                       ADD(19) "j 3f\n"
                               "3:\n" ADD(20) ADD(21) ADD(22) ADD(23) ADD(24) ADD(25) ADD(26)
                                   ADD(27) "beqz a0, 4f\n" ADD(28) ADD(29) ADD(30)
                                       ADD(31) "4: ret\n");

static void floats(void)
{
    __asm__ volatile("csrs sstatus, %0" ::"r"(1ul << 13));
    for (uint64_t i = 1; i < 100; i++)
        expect(around_call(i), i + 2 * i * i, "f registers around a call");
}

/* Keeps a recursion one. */
static void stay(uint64_t *value)
{
    __asm__ volatile("" : "+r"(*value));
}

/* ---- Leaving frames ----------------------------------------------------------------------- */

struct context {
    uint64_t ra, sp, s[12];
};

/* Saves a context, and goes on in another: returns there. */
uint64_t change(struct context *from, struct context *to, uint64_t value);
/* Returns 0, and what jump_back() is given when that comes back here. */
uint64_t set_back(struct context *c) __attribute__((returns_twice));
_Noreturn void jump_back(struct context *c, uint64_t value);

#define EACH(op, c)                                                                            \
    op " s0, 16(" c ")\n" op " s1, 24(" c ")\n" op " s2, 32(" c ")\n" op " s3, 40(" c ")\n" op \
       " s4, 48(" c ")\n" op " s5, 56(" c ")\n" op " s6, 64(" c ")\n" op " s7, 72(" c ")\n" op \
       " s8, 80(" c ")\n" op " s9, 88(" c ")\n" op " s10, 96(" c ")\n" op " s11, 104(" c ")\n"
#define SAVE(c) "sd ra, 0(" c ")\n sd sp, 8(" c ")\n" EACH("sd", c)
#define LOAD(c) "ld ra, 0(" c ")\n ld sp, 8(" c ")\n" EACH("ld", c)

/* clang-format off */
__asm__(".text\n"
        ".balign 4\n"
        "change:\n" SAVE("a0") LOAD("a1") "mv a0, a2\n ret\n"
        "set_back:\n" SAVE("a0") "li a0, 0\n ret\n"
        "jump_back:\n" LOAD("a0") "mv a0, a1\n ret\n");
/* clang-format on */

static __attribute__((noinline)) uint64_t climb(struct context *c, uint64_t depth, uint64_t back)
{
    uint64_t here;

    if (depth == back)
        jump_back(c, depth + 1);
    if (!depth)
        return 1;
    here = climb(c, depth - 1, back);
    stay(&here);
    return here + depth % 3;
}

static uint64_t sum_to(uint64_t depth)
{
    return 1 + depth / 3 * 3 + (depth % 3 == 2 ? 3 : depth % 3);
}

static __attribute__((noinline)) void climb_and_fall(uint64_t depth, uint64_t back)
{
    struct context c;
    uint64_t came = set_back(&c);

    if (came) {
        expect(came, back + 1, "the value of a longjmp");
        expect(climb(&c, depth, UINT64_MAX), sum_to(depth), "a recursion behind a longjmp");
        return;
    }
    expect(climb(&c, depth, back), sum_to(depth), "a recursion to its end");
    expect(back > depth, 1, "a longjmp that did not come");
}

static void leaps(void)
{
    for (uint64_t i = 0; i < ROUNDS; i++)
        climb_and_fall(below(40), below(50));
}

static void deep(void)
{
    for (uint64_t i = 0; i < 4; i++) {
        expect(climb(0, 300000, UINT64_MAX), sum_to(300000), "a deep recursion");
        expect(climb(0, 70000 - i, UINT64_MAX), sum_to(70000 - i), "a recursion");
    }
}

static struct context first, second;
static uint64_t second_stack[8192] __attribute__((aligned(16)));

/* A recursion of which every level may leave to the other coroutine, and goes on when it is back.
 */
static __attribute__((noinline)) uint64_t wander(struct context *from, struct context *to,
                                                 uint64_t depth)
{
    uint64_t here;

    if (below(3) == 0)
        (void)change(from, to, 1);
    here = depth ? wander(from, to, depth - 1) : 1;
    stay(&here);
    if (below(3) == 0)
        (void)change(from, to, 1);
    return here + depth % 3;
}

static void second_main(void)
{
    for (;;) {
        uint64_t depth = below(30);

        expect(wander(&second, &first, depth), sum_to(depth), "the second coroutine");
    }
}

static void stacks(void)
{
    second.ra = (uint64_t)second_main;
    second.sp = (uint64_t)(second_stack + 8192);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t depth = below(30);

        expect(wander(&first, &second, depth), sum_to(depth), "the first coroutine");
    }
}

/* ---- What is behind a call changes -------------------------------------------------------- */

#define ADDI(rd, rs, value) (((uint32_t)(value)&0x7ff) << 20 | (rs) << 15 | (rd) << 7 | 0x13)
#define A0                  10u
#define CALL                12u /* bytes to the call of a1 in a caller, */
#define BEHIND              16u /* to what is behind it, */
#define CALLER              32u /* and of it all */

/* A caller of a1: addi sp, -16; sd ra; addi a0, 1; jalr a1; addi a0, value; ld ra; addi sp, 16; ret
 */
static uint64_t put_caller(uint64_t place, uint32_t value)
{
    uint32_t *code = (uint32_t *)place;

    code[0] = 0xff010113;
    code[1] = 0x00113023;
    code[2] = ADDI(A0, A0, 1);
    code[3] = 0x000580e7;
    code[4] = ADDI(A0, A0, value);
    code[5] = 0x00013083;
    code[6] = 0x01010113;
    code[7] = 0x00008067;
    return place;
}

typedef uint64_t (*caller)(uint64_t, function);

static uint64_t patched, patch_to;

static __attribute__((noinline)) uint64_t nothing(uint64_t x)
{
    return x;
}

static __attribute__((noinline)) uint64_t patch_behind(uint64_t x)
{
    *(uint32_t *)patched = ADDI(A0, A0, patch_to);
    fence_i();
    return x;
}

/* The whole page becomes another. */
static __attribute__((noinline)) uint64_t patch_all(uint64_t x)
{
    (void)put_caller(patched - BEHIND, (uint32_t)patch_to);
    for (uint64_t i = 0; i < 8; i++)
        put_function((uint32_t *)(ARENA + 2048) + 2 * i, (uint32_t)i);
    fence_i();
    return x;
}

static void rewrite(void)
{
    /* The second caller has what is behind its call in the next page. */
    const uint64_t places[] = {ARENA + 64, ARENA + 3 * PAGE - BEHIND, ARENA + 8 * PAGE - CALL};

    for (uint64_t i = 0; i < 3; i++)
        (void)put_caller(places[i], 7);
    fence_i();
    for (uint64_t i = 0; i < ROUNDS; i++) {
        const uint64_t place = places[i % 3];
        const function how = i % 5 == 4 ? patch_all : i % 5 == 2 ? patch_behind : nothing;
        const caller call = (caller)place;
        uint64_t was = i < 3 ? 7 : (*(uint32_t *)(place + BEHIND) >> 20);

        patched = place + BEHIND;
        patch_to = below(2048);
        expect(call(i, nothing), i + 1 + was, "a call before what is behind it is written");
        expect(call(i, how), i + 1 + (how == nothing ? was : patch_to), "what was written");
        expect(call(i, nothing), i + 1 + (how == nothing ? was : patch_to),
               "what was written, again");
    }
}

/* ---- Address spaces ----------------------------------------------------------------------- */

#define PAGES 8u

/* Everything where it is, in pages of 1 GiB; WINDOW by a table of its own. */
static uint64_t *space_make(uint64_t number)
{
    uint64_t *root = (uint64_t *)(ROOT + number * 4 * PAGE);
    uint64_t *middle = root + 512, *low = root + 1024;

    for (uint64_t i = 0; i < 512; i++) {
        root[i] = i < 4 ? leaf(i << 30) : 0;
        middle[i] = 0;
        low[i] = 0;
    }
    root[255] = (uint64_t)middle >> 2 | 1;
    middle[0] = (uint64_t)low >> 2 | 1;
    return low;
}

static uint64_t *tables[2];

static void space_enter(uint64_t number)
{
    const uint64_t root = ROOT + number * 4 * PAGE;

    __asm__ volatile("csrw satp, %0" ::"r"(8ul << 60 | (number + 1) << 44 | root >> 12) : "memory");
}

static uint64_t space, change_to;

static __attribute__((noinline)) uint64_t change_space(uint64_t x)
{
    space = change_to;
    space_enter(space);
    return x;
}

static uint64_t mapped[2];

/* The caller's page becomes the other's, in this space. */
static __attribute__((noinline)) uint64_t map_anew(uint64_t x)
{
    mapped[space] ^= 1;
    tables[space][0] = leaf(ARENA + mapped[space] * PAGE);
    sfence(WINDOW);
    return x;
}

/* Two pages of the same callers that add 5 and 6 behind their calls, and of functions that do. */
static void spaces_make(void)
{
    for (uint64_t p = 0; p < 2; p++) {
        (void)put_caller(ARENA + p * PAGE + 64, (uint32_t)(5 + p));
        put_function((uint32_t *)(ARENA + p * PAGE + 128), (uint32_t)(5 + p));
        fence_i();
        tables[p] = space_make(p);
        tables[p][0] = leaf(ARENA + p * PAGE);
        mapped[p] = p;
    }
    space_enter(1);
    space_enter(0);
    __asm__ volatile("sfence.vma" ::: "memory");
}

static void spaces(void)
{
    const caller call = (caller)(WINDOW + 64);

    spaces_make();
    for (uint64_t i = 0; i < 4 * ROUNDS; i++) {
        const function how = below(4) == 0 ? map_anew : below(3) ? change_space : nothing;
        uint64_t wanted;

        change_to = below(2);
        wanted = how == nothing    ? 5 + mapped[space]
                 : how == map_anew ? 5 + (mapped[space] ^ 1)
                                   : 5 + mapped[change_to];
        expect(call(i, how), i + 1 + wanted, "a call that returns elsewhere");
    }
}

/* ---- Targets ------------------------------------------------------------------------------ */

static __attribute__((noinline)) uint64_t call_one(function f, uint64_t x)
{
    return f(x) + 1;
}

static void few_and_many(void)
{
    const uint64_t base = ARENA + 16 * PAGE;
    uint64_t values[64];

    for (uint64_t i = 0; i < 64; i++) {
        values[i] = i;
        put_function((uint32_t *)(base + i * 520), (uint32_t)i);
    }
    fence_i();
    for (uint64_t i = 0; i < 40 * ROUNDS; i++) {
        const uint64_t few = i < 8 * ROUNDS ? 1 + i / (2 * ROUNDS) : 64;
        const uint64_t one = below(few), which = WINDOW + 128;

        if (i % 512 == 511) {
            values[one] = below(2048);
            put_function((uint32_t *)(base + one * 520), (uint32_t)values[one]);
            fence_i();
        }
        expect(call_one(at(base + one * 520), i), i + values[one] + 1, "one of some targets");
        if (i % 16 != 3)
            continue;
        (void)change_space(change_to = below(2));
        if (below(8) == 0)
            (void)map_anew(0);
        expect(call_one(at(which), i), i + 6 + mapped[space], "a target in two address spaces");
    }
}

/* ---- All of it ---------------------------------------------------------------------------- */

__attribute__((used)) static void guest_main(void)
{
    returns();
    print("returns: right\n");
    floats();
    print("floats: right\n");
    leaps();
    print("longjmp: right\n");
    deep();
    print("deep: right\n");
    stacks();
    print("stacks: right\n");
    rewrite();
    print("rewrite: right\n");
    spaces();
    print("spaces: right\n");
    few_and_many();
    print("targets: right\n");
    end();
}
