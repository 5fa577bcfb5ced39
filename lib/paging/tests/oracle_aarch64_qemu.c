/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * gn_paging_walk against an MMU that we did not write: QEMU's, for AArch64 stage 1.
 *
 * As in oracle_riscv_qemu.c, the guest's RAM is a file with random tables, a list of cases and a
 * payload of hand-made instructions. The payload runs at EL2 without an MMU; for each case it sets
 * up EL1's translation and goes down to EL1 or EL0, where one instruction makes the access. What
 * happens is an exception to EL1, whose vectors lie in the upper half under tables that are good,
 * and go back up by HVC; there ESR_EL1 and FAR_EL1 tell it all.
 *
 *      0x40000000  (QEMU puts a device tree here)
 *      0x40200000  DATA    16 pages of words that tell their place, and 16 at 0x40400000
 *      0x40600000  CODE    the payload, EL2's vectors, EL1's vectors, the accesses, good tables
 *      0x40640000  TABLES  16 pages, each for one level: in AArch64 a table's descriptor is a
 *                          page's at the last one, and stores are not to hit tables
 *      0x40800000  CASES   what to do; the results replace the questions
 *      0x60000000  HOLE    no memory: an external abort on the walk
 *
 * Words of DATA are SVC instructions with the word's number, so that a fetch tells where it led.
 * Each round has an output width (TCR_EL1.IPS) of its own. Fetches are made with HD = 0: by the
 * manual (AArch64.S1ApplyOutputPerms) a clean page with DBM counts as writable, so that one open to
 * EL0, or any with WXN, is not for EL1 to execute; QEMU 7.2 lets it, and clears AP[2] for stores
 * alone. Without qemu-system-aarch64 the test is
 * skipped.
 */

#include "qemu.h"

#define RAM     0x40000000ull
#define BLOCK   0x200000ull
#define CODE    0x40600000ull
#define EL2     0x40600800ull /* VBAR_EL2 */
#define EL1     0x40601000ull /* VBAR_EL1, physical */
#define ACCESS  0x40602000ull /* one page: a load at 0, a store at 16 */
#define GOOD    0x40610000ull
#define HIGH    0xffff000000000000ull /* the CODE block in the upper half */
#define TABLES  0x40640000ull
#define PAGES   16
#define WORDS   (PAGES * 512)
#define CASES   0x40800000ull
#define COUNT   16384
#define HOLE    0x60000000ull
#define NO_WORD 0xfffe /* the SVC after a data access */

/* A case, 128 bytes; the payload fills in value and the last three. */
struct trial {
    uint64_t tcr, sctlr, ttbr0, pc, spsr, va;
    uint64_t value; /* to store; then what was loaded */
    uint64_t kind;  /* for us alone */
    uint64_t esr, far, sum;
    uint64_t unused[5];
};

_Static_assert(sizeof(struct trial) == 128, "the payload steps by 128");

enum { READ, WRITE, FETCH };

#define TCR_EPD0  (1ull << 7)
#define TCR_TBI0  (1ull << 37)
#define TCR_HA    (1ull << 39)
#define TCR_HD    (1ull << 40)
#define SCTLR_WXN (1ull << 19)
#define SPSR_PAN  (1ull << 22)
#define SPSR_EL1H 5u

static const struct {
    int bits, ips;
} widths[] = {{48, 5}, {36, 1}, {40, 2}, {42, 3}, {44, 4}};

static int width; /* of the round */

/* --- The payload --------------------------------------------------------------------------- */

/* System registers, in their place of an MSR: op0, op1, CRn, CRm, op2. */
#define SYS(op0, op1, n, m, op2) \
    (((op0)&1u) << 19 | (op1) << 16 | (uint32_t)(n) << 12 | (uint32_t)(m) << 8 | (op2) << 5)

enum {
    SCTLR_EL1 = SYS(3, 0, 1, 0, 0),
    TTBR0_EL1 = SYS(3, 0, 2, 0, 0),
    TTBR1_EL1 = SYS(3, 0, 2, 0, 1),
    TCR_EL1 = SYS(3, 0, 2, 0, 2),
    ESR_EL1 = SYS(3, 0, 5, 2, 0),
    FAR_EL1 = SYS(3, 0, 6, 0, 0),
    MAIR_EL1 = SYS(3, 0, 10, 2, 0),
    VBAR_EL1 = SYS(3, 0, 12, 0, 0),
    HCR_EL2 = SYS(3, 4, 1, 1, 0),
    SPSR_EL2 = SYS(3, 4, 4, 0, 0),
    ELR_EL2 = SYS(3, 4, 4, 0, 1),
    VBAR_EL2 = SYS(3, 4, 12, 0, 0)
};

#define SVC(n)      (0xd4000001u | (uint32_t)(n) << 5)
#define HVC         0xd4000002u
#define SMC         0xd4000003u
#define ERET        0xd69f03e0u
#define ISB         0xd5033fdfu
#define DSB_SY      0xd5033f9fu
#define TLBI_ALLE1  0xd50c879fu
#define LOAD_X2_X0  0xf9400002u
#define STORE_X2_X0 0xf9000002u

struct code {
    uint32_t *at;
    uint32_t count;
};

static void put(struct code *c, uint32_t instruction)
{
    c->at[c->count++] = instruction;
}

static void put_msr(struct code *c, uint32_t reg, uint32_t rt)
{
    put(c, 0xd5100000u | reg | rt);
}

static void put_mrs(struct code *c, uint32_t rt, uint32_t reg)
{
    put(c, 0xd5300000u | reg | rt);
}

/* movz, movk: any number. */
static void put_li(struct code *c, uint32_t rd, uint64_t n)
{
    for (uint32_t hw = 0; hw < 4; hw++)
        put(c, (hw ? 0xf2800000u : 0xd2800000u) | hw << 21 |
                   (uint32_t)(n >> 16 * hw & 0xffff) << 5 | rd);
}

static void put_set(struct code *c, uint32_t reg, uint64_t n)
{
    put_li(c, 0, n);
    put_msr(c, reg, 0);
}

static void put_ldr(struct code *c, uint32_t rt, uint32_t rn, uint32_t offset)
{
    put(c, 0xf9400000u | offset / 8 << 10 | rn << 5 | rt);
}

static void put_str(struct code *c, uint32_t rt, uint32_t rn, uint32_t offset)
{
    put(c, 0xf9000000u | offset / 8 << 10 | rn << 5 | rt);
}

static void put_addi(struct code *c, uint32_t rd, uint32_t rn, uint32_t imm)
{
    put(c, 0x91000000u | imm << 10 | rn << 5 | rd);
}

static void put_cmp(struct code *c, uint32_t rn, uint32_t rm)
{
    put(c, 0xeb00001fu | rm << 16 | rn << 5);
}

static void put_bne(struct code *c, uint32_t to)
{
    put(c, 0x54000001u | ((to - c->count) & 0x7ffff) << 5);
}

static uint32_t branch(uint64_t from, uint64_t to)
{
    return 0x14000000u | ((uint32_t)((int64_t)(to - from) / 4) & 0x3ffffff);
}

#define FIELD(member) ((uint32_t)offsetof(struct trial, member))

/* One case, x20 points to it; down by ERET, back at the returned instruction. */
static uint32_t put_case(struct code *c)
{
    static const struct {
        uint32_t reg, offset;
    } set[] = {{TCR_EL1, FIELD(tcr)},
               {SCTLR_EL1, FIELD(sctlr)},
               {TTBR0_EL1, FIELD(ttbr0)},
               {ELR_EL2, FIELD(pc)},
               {SPSR_EL2, FIELD(spsr)}};
    uint32_t back;

    for (unsigned i = 0; i < sizeof set / sizeof set[0]; i++) {
        put_ldr(c, 0, 20, set[i].offset);
        put_msr(c, set[i].reg, 0);
    }
    put(c, TLBI_ALLE1);
    put(c, DSB_SY);
    put(c, ISB);
    put_ldr(c, 0, 20, FIELD(va));
    put_ldr(c, 2, 20, FIELD(value));
    put(c, ERET);
    back = c->count;
    put_str(c, 2, 20, FIELD(value));
    put_mrs(c, 3, ESR_EL1);
    put_str(c, 3, 20, FIELD(esr));
    put_mrs(c, 3, FAR_EL1);
    put_str(c, 3, 20, FIELD(far));
    return back;
}

static void build_main(struct code *c, uint32_t *ret_back)
{
    uint32_t loop;

    put_set(c, VBAR_EL2, EL2);
    put_set(c, HCR_EL2, 1ull << 31); /* RW: EL1 is AArch64 */
    put_set(c, VBAR_EL1, HIGH + (EL1 - CODE));
    put_set(c, TTBR1_EL1, GOOD);
    put_set(c, MAIR_EL1, UINT64_MAX); /* all of it is normal memory */
    put_li(c, 20, CASES);
    put_li(c, 21, CASES + COUNT * sizeof(struct trial));
    loop = c->count;
    *ret_back = put_case(c);
    /* sum = (sum ^ word) * MULTIPLIER over all tables */
    put_li(c, 4, TABLES);
    put_li(c, 5, TABLES + WORDS * 8);
    put_li(c, 6, MULTIPLIER);
    put_li(c, 7, 0);
    put_ldr(c, 8, 4, 0);
    put(c, 0xca000000u | 8 << 16 | 7 << 5 | 7); /* eor x7, x7, x8 */
    put(c, 0x9b007c00u | 6 << 16 | 7 << 5 | 7); /* mul x7, x7, x6 */
    put_addi(c, 4, 4, 8);
    put_cmp(c, 4, 5);
    put_bne(c, c->count - 5);
    put_str(c, 7, 20, FIELD(sum));
    put_addi(c, 20, 20, sizeof(struct trial));
    put_cmp(c, 20, 21);
    put_bne(c, loop);
    put_li(c, 0, 0x84000008); /* PSCI: SYSTEM_OFF */
    put(c, SMC);
    put(c, branch(0, 0));
}

static uint32_t *code_at(uint8_t *ram, uint64_t pa)
{
    return (uint32_t *)(void *)(ram + (pa - RAM));
}

/* Synchronous exceptions alone: of the same EL at 0x200, of a lower one at 0x400. */
static void build_payload(uint8_t *ram)
{
    struct code c = {code_at(ram, CODE), 0};
    uint64_t *good = (uint64_t *)(void *)(ram + (GOOD - RAM));
    uint32_t back;

    build_main(&c, &back);
    *code_at(ram, EL2 + 0x200) = branch(0, 0);
    *code_at(ram, EL2 + 0x400) = branch(EL2 + 0x400, CODE + 4 * back);
    *code_at(ram, EL1 + 0x200) = HVC;
    *code_at(ram, EL1 + 0x400) = HVC;
    code_at(ram, ACCESS)[0] = LOAD_X2_X0;
    code_at(ram, ACCESS)[1] = SVC(NO_WORD);
    code_at(ram, ACCESS)[4] = STORE_X2_X0;
    code_at(ram, ACCESS)[5] = SVC(NO_WORD);
    good[0] = (GOOD + 0x1000) | 3;
    good[512] = (GOOD + 0x2000) | 3;
    good[1024] = CODE | 0x7c1; /* a block; AF, SH, read-only for both, to be executed by both */
}

/* --- Tables and cases ---------------------------------------------------------------------- */

static int is_data(uint64_t pa)
{
    uint64_t block = (pa - RAM) / BLOCK;

    return pa >= RAM && (block == 1 || block == 2) && (pa - RAM) % BLOCK < 0x10000;
}

static uint64_t number(uint64_t pa)
{
    return (pa - RAM - BLOCK) / BLOCK << 13 | (pa % BLOCK) >> 3;
}

static uint64_t pattern(uint64_t pa)
{
    return 0x5a5a5a5a00000000ull | SVC(number(pa));
}

/* Pages of TABLES for each of the manual's levels. */
static const uint8_t first[] = {0, 2, 6, 10, 16};

static uint64_t random_table(int level)
{
    uint64_t page = first[level] + random_below(first[level + 1] - first[level]);

    return (random_below(48) ? TABLES : HOLE) + (page << 12);
}

/* A block or page that leads to DATA, by the address of the access if it is a large one. */
static uint64_t random_leaf(int level, uint64_t bits)
{
    uint64_t block = RAM + BLOCK * (1 + random_below(2));
    uint64_t entry = level == 3   ? block + (random_below(16) << 12)
                     : level == 2 ? block
                     : level == 1 ? RAM
                                  : 0;

    entry |= (level == 3 ? 3 : 1) | (bits & 0x03f8000000000fc0ull & ~(1ull << 52));
    entry |= bits & 0x3c; /* memory type, NS */
    if (random_below(3))
        entry |= 1u << 10;
    if (random_below(2))
        entry &= ~(3ull << 53);
    if (level == 1 || level == 2) /* RES0, and no part of the address */
        entry |= one_in(8) ? random_below(16) << 12 : 0;
    return entry;
}

static uint64_t random_entry(int level)
{
    uint64_t bits = guest_random(&seed), entry;

    /* QEMU 7.2 takes a block at the manual's level 0 for one, which it is with LPA2 alone. */
    if (level < 3 && (level == 0 || random_below(16) < 11)) {
        entry = random_table(level + 1) | 3 | (bits & 0x07f8000000000ffcull);
        if (one_in(3))
            entry |= bits & 15ull << 59;
    } else {
        entry = random_leaf(level, bits);
    }
    if (one_in(24))
        entry ^= level == 3 ? 1 + random_below(3) : 1;
    if (width < 48 && one_in(32))
        entry |= 1ull << (width + (int)random_below((uint64_t)(48 - width)));
    return entry;
}

static void random_trial(struct trial *t, uint64_t ips)
{
    uint64_t bits = guest_random(&seed), va;

    va = random_below(512) << 39 | random_below(512) << 30 | (1 + random_below(2)) << 21 |
         random_below(16) << 12 | random_below(512) << 3;
    if (one_in(24))
        va ^= 1ull << (48 + random_below(16));
    *t = (struct trial){.va = va, .kind = random_below(3)};
    /* T0SZ = T1SZ = 16, TG1 = 4 KiB; cacheable and shareable walks, as hardware A and D want. */
    t->tcr = 16 | 16ull << 16 | 2ull << 30 | ips << 32 | 0x35ull << 8 | 0x35ull << 24;
    t->tcr |= (one_in(32) ? TCR_EPD0 : 0) | (bits & 1 ? TCR_TBI0 : 0) |
              (random_below(4) ? TCR_HA : 0) | (bits & 2 && t->kind != FETCH ? TCR_HD : 0);
    t->sctlr = 0x30d00801u | (bits & 4 && one_in(2) ? SCTLR_WXN : 0); /* RES1 bits, SPAN, M */
    t->ttbr0 = TABLES + (random_below(2) << 12);
    t->spsr = 0x3c0 | (bits & 8 ? SPSR_EL1H : 0) | (bits & 16 ? SPSR_PAN : 0);
    t->pc = t->kind == FETCH ? va : HIGH + (ACCESS - CODE) + (t->kind == WRITE ? 16 : 0);
}

/* --- The library's answers ----------------------------------------------------------------- */

static void expect(const struct trial *t, struct guest *guest, struct trial *ret,
                   struct gn_paging_walk *r)
{
    static const uint32_t access[] = {GN_ACCESS_READ, GN_ACCESS_WRITE, GN_ACCESS_EXEC};
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = GN_PAGING_AARCH64_4K,
                                  .root = gn_gpa(t->ttbr0), .root_high = gn_gpa(GOOD),
                                  .phys_bits = (uint32_t)width};
    int el1 = t->spsr & SPSR_EL1H, fetch = t->kind == FETCH;

    c.controls = (t->tcr & TCR_HA ? GN_PAGING_AARCH64_HA : 0) |
                 (t->tcr & TCR_HD ? GN_PAGING_AARCH64_HD : 0) |
                 (t->tcr & TCR_EPD0 ? GN_PAGING_AARCH64_EPD0 : 0) |
                 (t->tcr & TCR_TBI0 ? GN_PAGING_AARCH64_TBI0 : 0) |
                 (t->sctlr & SCTLR_WXN ? GN_PAGING_AARCH64_WXN : 0) |
                 (t->spsr & SPSR_PAN ? GN_PAGING_AARCH64_PAN : 0);
    *ret = *t;
    ret->esr = 0; /* which no machine tells */
    if (gn_paging_walk(&c, &guest_ops, guest, gn_gva(t->va),
                       access[t->kind] | (el1 ? 0 : GN_PAGING_AS_USER), r))
        return;
    ret->sum = checksum(guest->words, WORDS);
    if (r->outcome != GN_PAGING_TRANSLATED) {
        ret->esr = (fetch ? 0x20ull + el1 / 5 : 0x24ull + el1 / 5) << 26 | r->code;
        /* A branch drops the tag of an address in a half with TBI. */
        ret->far = fetch && t->tcr & TCR_TBI0 && !(t->va >> 55 & 1) ? t->va & ~0ull >> 8 : t->va;
        return;
    }
    ret->esr = 0x15ull << 26 | (fetch ? number(r->gpa.v) : NO_WORD);
    ret->value = fetch ? t->value : pattern(r->gpa.v);
}

static int same(const struct trial *want, const struct trial *got)
{
    uint64_t iss = want->esr >> 26 == 0x15 ? 0xffff : 0x7f;

    return want->esr == (got->esr & (0x3full << 26 | iss)) && want->value == got->value &&
           want->sum == got->sum && (want->esr >> 26 == 0x15 || want->far == got->far);
}

static void print_trial(const char *who, const struct trial *t)
{
    printf("  %-8s esr %llx far %llx value %llx tables %016llx\n", who, (unsigned long long)t->esr,
           (unsigned long long)t->far, (unsigned long long)t->value, (unsigned long long)t->sum);
}

static void print_asked(int i, const struct trial *t, const struct gn_paging_walk *r)
{
    printf("case %d: kind %llu va %llx tcr %llx sctlr %llx spsr %llx ttbr0 %llx\n", i,
           (unsigned long long)t->kind, (unsigned long long)t->va, (unsigned long long)t->tcr,
           (unsigned long long)t->sctlr, (unsigned long long)t->spsr, (unsigned long long)t->ttbr0);
    for (uint32_t level = r->top + 1; level-- > r->level;)
        printf("  level %u: %llx\n", level, (unsigned long long)r->step[level].value);
}

/* Compares all cases; how many differ. */
static int compare(const struct trial *asked, const struct trial *got, const uint64_t *before)
{
    static uint64_t words[WORDS];
    struct guest guest = {.base = TABLES, .words = words, .bytes = sizeof words};
    int wrong = 0, kinds[6] = {0}, sizes[3] = {0}, through[3] = {0};

    memcpy(words, before, sizeof words);
    for (int i = 0; i < COUNT && wrong < 6; i++) {
        struct gn_paging_walk r = {0};
        struct trial want;

        expect(&asked[i], &guest, &want, &r);
        if (r.outcome == GN_PAGING_TRANSLATED) {
            sizes[r.level]++;
            through[asked[i].kind]++;
        } else {
            kinds[r.code >> 2 & 15 & (r.reason == GN_PAGING_REASON_MEMORY ? 5 : 3)]++;
        }
        if (same(&want, &got[i]))
            continue;
        wrong++;
        print_asked(i, &asked[i], &r);
        print_trial("library", &want);
        print_trial("machine", &got[i]);
    }
    printf("%d bits, %d cases: %d loads, %d stores, %d fetches went through (%d, %d, %d by "
           "level); faults: %d address size, %d translation, %d access flag, %d permission, %d "
           "external\n",
           width, COUNT, through[READ], through[WRITE], through[FETCH], sizes[0], sizes[1],
           sizes[2], kinds[0], kinds[1], kinds[2], kinds[3], kinds[5]);
    return wrong;
}

/* --- The machine --------------------------------------------------------------------------- */

static void prepare(uint8_t *ram, uint64_t *tables)
{
    for (uint64_t pa = RAM; pa < RAM + 4 * BLOCK; pa += 8)
        if (is_data(pa))
            *(uint64_t *)(void *)(ram + (pa - RAM)) = pattern(pa);
    for (int level = 0; level < 4; level++)
        for (int i = first[level] * 512; i < first[level + 1] * 512; i++)
            tables[i] = random_entry(level);
    build_payload(ram);
}

static int run(uint8_t *ram, const char *path, int round)
{
    static const char *const more[] = {"-cpu", "max", "-device", "loader,addr=0x40600000,cpu-num=0",
                                       NULL};
    static struct trial asked[COUNT];
    static uint64_t before[WORDS];
    uint64_t *tables = (uint64_t *)(void *)(ram + (TABLES - RAM));
    struct guest guest = {.base = TABLES, .words = before, .bytes = sizeof before};
    int status;

    width = widths[round].bits;
    prepare(ram, tables);
    memcpy(before, tables, sizeof before);
    for (int i = 0; i < COUNT; i++) {
        struct gn_paging_walk r;
        struct trial want;

        random_trial(&asked[i], (uint64_t)widths[round].ips);
        /* A store writes what is there already if it goes where the library thinks. */
        expect(&asked[i], &guest, &want, &r);
        if (asked[i].kind == WRITE && want.esr >> 26 == 0x15)
            asked[i].value = want.value;
    }
    memcpy(before, tables, sizeof before);
    memcpy(ram + (CASES - RAM), asked, sizeof asked);
    status =
        qemu_run("qemu-system-aarch64", "virt,virtualization=on,memory-backend=ram", path, more);
    if (status)
        return status;
    status = compare(asked, (const struct trial *)(void *)(ram + (CASES - RAM)), before);
    for (uint64_t pa = RAM; pa < RAM + 4 * BLOCK; pa += 8)
        if (is_data(pa) && *(uint64_t *)(void *)(ram + (pa - RAM)) != pattern(pa)) {
            printf("a store went astray to %llx\n", (unsigned long long)pa);
            return 1;
        }
    return status != 0;
}

int main(void)
{
    return qemu_rounds((int)(sizeof widths / sizeof widths[0]), run);
}
