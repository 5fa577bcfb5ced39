/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * gn_paging_walk against an MMU that we did not write: QEMU's, for Sv39, Sv48 and Sv57.
 *
 * The guest's RAM is a file. This program puts there random page tables, a list of cases, and a
 * payload of machine-mode code made by the small encoder below; QEMU runs it, and what it found
 * lies in the same file afterwards. Then the cases are walked again, by the library, on a copy of
 * the tables, and all must agree case by case: cause, the address reached, and a checksum over all
 * tables, which tells every A and D bit.
 *
 *      0x80000000  DATA    16 pages of words that tell their place; word 0 is the way in
 *      0x80020000  CODE    the payload
 *      0x80040000  TABLES  16 pages, each of them root and table of every level
 *      0x80200000  CASES   what to do; the results replace the questions
 *      0x80400000  DATA    16 more pages, and 16 at 0x80600000
 *      0x80a00000  HOLE    closed by PMP; tables there are access faults
 *
 * Loads, stores and AMOs are made from M-mode with mstatus.MPRV, fetches by mret to the page, whose
 * words are illegal instructions: the trap comes back at once and mtval tells the word fetched.
 * QEMU 7.2 sets A and D itself, always; so the library is asked with GN_PAGING_RISCV_ADUE. A second
 * hart sleeps: it is there because QEMU with one hart makes an AMO of a load and a store. Tables
 * where there is no memory at all are left out: the manual (§4.3.2, step 2) has an access fault for
 * them, as for what PMP denies, and QEMU 7.2 raises a page fault.
 *
 * Without qemu-system-riscv64 the test is skipped.
 */

#include "qemu.h"

#define RAM      0x80000000ull
#define BLOCK    0x200000ull
#define CODE     0x80020000ull
#define TABLES   0x80040000ull
#define PAGES    16
#define WORDS    (PAGES * 512)
#define CASES    0x80200000ull
#define COUNT    16384
#define HOLE     0x80a00000ull
#define FINISHER 0x100000

/* A case, 64 bytes; the payload fills in the second half. */
struct trial {
    uint64_t satp;
    uint64_t mstatus; /* MPP, MPRV, SUM and MXR */
    uint64_t va;
    uint64_t kind;  /* READ, WRITE, AMO or FETCH */
    uint64_t value; /* to store; then what was loaded */
    uint64_t cause; /* mcause, or NO_TRAP */
    uint64_t tval;
    uint64_t sum; /* of all tables, afterwards */
};

enum { READ, WRITE, AMO, FETCH };

#define NO_TRAP 99
#define MPRV    (1ull << 17)
#define SUM     (1ull << 18)
#define MXR     (1ull << 19)
#define MPP_S   (1ull << 11)
#define MSTATUS (MPRV | SUM | MXR | 3ull << 11)

/* A round each, with tables of its own; every other one with Svnapot and Svpbmt. */
static const uint32_t formats[] = {GN_PAGING_SV39, GN_PAGING_SV39, GN_PAGING_SV48,
                                   GN_PAGING_SV48, GN_PAGING_SV57, GN_PAGING_SV57};

#define ROUNDS ((int)(sizeof formats / sizeof formats[0]))

static uint32_t format; /* of the round */
static int extended;

static int levels(void)
{
    return (int)format - GN_PAGING_SV39 + 3;
}

/* --- The payload --------------------------------------------------------------------------- */

/* Registers; the numbers are the ABI's. */
enum { X0, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5, A6, A7, S2, S3, S4 };

/* CSRs (Privileged Architecture, table 2.5). */
enum {
    C_SATP = 0x180,
    C_MSTATUS = 0x300,
    C_MTVEC = 0x305,
    C_MENVCFG = 0x30a,
    C_MEPC = 0x341,
    C_MCAUSE = 0x342,
    C_MTVAL = 0x343,
    C_PMPCFG0 = 0x3a0,
    C_PMPADDR0 = 0x3b0,
    C_MHARTID = 0xf14
};

struct code {
    uint32_t *at;
    uint32_t count;
};

static void put(struct code *c, uint32_t instruction)
{
    c->at[c->count++] = instruction;
}

/* The formats of the unprivileged manual, §2.2. */
static void put_i(struct code *c, uint32_t opcode, uint32_t f3, uint32_t rd, uint32_t rs1, int imm)
{
    put(c, (uint32_t)imm << 20 | rs1 << 15 | f3 << 12 | rd << 7 | opcode);
}

static void put_r(struct code *c, uint32_t f7, uint32_t f3, uint32_t rd, uint32_t rs1, uint32_t rs2)
{
    put(c, f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | 0x33);
}

static void put_sd(struct code *c, uint32_t rs2, int imm, uint32_t rs1)
{
    uint32_t u = (uint32_t)imm & 0xfff;

    put(c, u >> 5 << 25 | rs2 << 20 | rs1 << 15 | 3u << 12 | (u & 31) << 7 | 0x23);
}

static void put_ld(struct code *c, uint32_t rd, int imm, uint32_t rs1)
{
    put_i(c, 0x03, 3, rd, rs1, imm);
}

static void put_addi(struct code *c, uint32_t rd, uint32_t rs1, int imm)
{
    put_i(c, 0x13, 0, rd, rs1, imm);
}

static void put_slli(struct code *c, uint32_t rd, uint32_t rs1, int by)
{
    put_i(c, 0x13, 1, rd, rs1, by);
}

/* f3: 1 csrrw, 2 csrrs, 3 csrrc */
static void put_csr(struct code *c, uint32_t f3, uint32_t rd, uint32_t csr, uint32_t rs1)
{
    put_i(c, 0x73, f3, rd, rs1, (int)csr);
}

/* f3: 0 beq, 1 bne; to an instruction's number. */
static void put_branch(struct code *c, uint32_t f3, uint32_t rs1, uint32_t rs2, uint32_t to)
{
    uint32_t u = (to - c->count) * 4;

    put(c, (u >> 12 & 1) << 31 | (u >> 5 & 63) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 |
               (u >> 1 & 15) << 8 | (u >> 11 & 1) << 7 | 0x63);
}

static uint32_t jump(int64_t by)
{
    uint32_t u = (uint32_t)by;

    return (u >> 20 & 1) << 31 | (u >> 1 & 1023) << 21 | (u >> 11 & 1) << 20 |
           (u >> 12 & 255) << 12 | 0x6f;
}

/* Any 32-bit number, zero-extended, in LI_LENGTH instructions. */
#define LI_LENGTH 5

static void put_li(struct code *c, uint32_t rd, uint32_t n)
{
    put_addi(c, rd, X0, (int)(n >> 21));
    put_slli(c, rd, rd, 11);
    put_addi(c, rd, rd, (int)(n >> 10 & 0x7ff));
    put_slli(c, rd, rd, 10);
    put_addi(c, rd, rd, (int)(n & 0x3ff));
}

/* What a word of DATA holds: an illegal instruction (custom-3) that tells the word's number. */
static uint64_t pattern(uint64_t pa)
{
    return (pa - RAM) >> 3 << 12 | 0x7b;
}

/*
 * One case, S0 points to it. The trap handler stands amidst it; returned is its instruction's
 * number.
 */
static uint32_t put_case(struct code *c, uint32_t loop)
{
    uint32_t to_write, to_amo, to_fetch, done[3], here;

    put_ld(c, T0, 0, S0);
    put_csr(c, 1, X0, C_SATP, T0);
    put(c, 0x12000073); /* sfence.vma: tables changed since the last case */
    put_ld(c, A0, 16, S0);
    put_ld(c, A1, 24, S0);
    put_ld(c, A2, 32, S0);
    put_ld(c, T0, 8, S0);
    put_addi(c, A3, X0, NO_TRAP);
    put_addi(c, A4, X0, 0);
    put_addi(c, T1, X0, FETCH);
    to_fetch = c->count++;
    put_addi(c, T1, X0, WRITE);
    to_write = c->count++;
    put_addi(c, T1, X0, AMO);
    to_amo = c->count++;
    put_csr(c, 2, X0, C_MSTATUS, T0); /* from here to the trap or to done: as MPP */
    put_ld(c, A2, 0, A0);
    done[0] = c->count++;
    here = c->count;
    c->count = to_write;
    put_branch(c, 0, A1, T1, here);
    c->count = here;
    put_csr(c, 2, X0, C_MSTATUS, T0);
    put_sd(c, A2, 0, A0);
    done[1] = c->count++;
    here = c->count;
    c->count = to_amo;
    put_branch(c, 0, A1, T1, here);
    c->count = here;
    put_csr(c, 2, X0, C_MSTATUS, T0);
    put(c, 0x08u << 27 | X0 << 20 | A0 << 15 | 3u << 12 | A2 << 7 | 0x2f); /* amoor.d A2,x0,(A0) */
    done[2] = c->count++;
    here = c->count;
    c->count = to_fetch;
    put_branch(c, 0, A1, T1, here);
    c->count = here;
    put_csr(c, 2, X0, C_MSTATUS, T0);
    put_csr(c, 1, X0, C_MEPC, A0);
    put(c, 0x30200073); /* mret; the trap comes */
    here = c->count;    /* the trap handler */
    put_csr(c, 2, A3, C_MCAUSE, X0);
    put_csr(c, 2, A4, C_MTVAL, X0);
    for (int i = 0; i < 3; i++) {
        uint32_t end = c->count;

        c->count = done[i];
        put_branch(c, 0, X0, X0, end);
        c->count = end;
    }
    put_csr(c, 3, X0, C_MSTATUS, S3); /* back to machine mode's own view */
    put_sd(c, A2, 32, S0);
    put_sd(c, A3, 40, S0);
    put_sd(c, A4, 48, S0);
    /* sum = (sum ^ word) * MULTIPLIER over all tables */
    put_li(c, T0, (uint32_t)TABLES);
    put_li(c, T1, (uint32_t)(TABLES + WORDS * 8));
    put_li(c, T2, MULTIPLIER);
    put_addi(c, A5, X0, 0);
    put_ld(c, A6, 0, T0);
    put_r(c, 0, 4, A5, A5, A6); /* xor */
    put_r(c, 1, 0, A5, A5, T2); /* mul */
    put_addi(c, T0, T0, 8);
    put_branch(c, 1, T0, T1, c->count - 4);
    put_sd(c, A5, 56, S0);
    put_addi(c, S0, S0, sizeof(struct trial));
    put_branch(c, 1, S0, S1, loop);
    return here;
}

static void build_payload(uint8_t *ram)
{
    struct code c = {(uint32_t *)(ram + (CODE - RAM)), 0};
    uint32_t way_in = jump((int64_t)(CODE - RAM)), mtvec, handler, end;

    memcpy(ram, &way_in, sizeof way_in);
    put_csr(&c, 2, T0, C_MHARTID, X0);
    put_branch(&c, 0, T0, X0, c.count + 3);
    put(&c, 0x10500073); /* wfi: what other harts do */
    put_branch(&c, 0, X0, X0, c.count - 1);
    put_li(&c, T0, (uint32_t)RAM); /* word 0 becomes data, too */
    put_addi(&c, T1, X0, (int)pattern(RAM));
    put_sd(&c, T1, 0, T0);
    put_li(&c, T0, (uint32_t)(HOLE >> 2 | 0x1fff)); /* PMP, §3.7.1: nothing in 64 KiB */
    put_csr(&c, 1, X0, C_PMPADDR0, T0);
    put_addi(&c, T0, X0, -1); /* and all elsewhere, for all modes */
    put_csr(&c, 1, X0, C_PMPADDR0 + 1, T0);
    put_li(&c, T0, 0x1f18);
    put_csr(&c, 1, X0, C_PMPCFG0, T0);
    if (extended) { /* PBMTE */
        put_addi(&c, T0, X0, 1);
        put_slli(&c, T0, T0, 62);
        put_csr(&c, 2, X0, C_MENVCFG, T0);
    }
    put_li(&c, S0, (uint32_t)CASES);
    put_li(&c, S1, (uint32_t)(CASES + COUNT * sizeof(struct trial)));
    put_li(&c, S3, (uint32_t)MSTATUS);
    mtvec = c.count;
    c.count += LI_LENGTH;
    put_csr(&c, 1, X0, C_MTVEC, T0);
    handler = put_case(&c, c.count);
    end = c.count;
    c.count = mtvec;
    put_li(&c, T0, (uint32_t)CODE + 4 * handler);
    c.count = end;
    put_li(&c, T0, FINISHER);
    put_li(&c, T1, 0x5555);                         /* pass */
    put(&c, T1 << 20 | T0 << 15 | 2u << 12 | 0x23); /* sw */
    put_branch(&c, 0, X0, X0, c.count);
}

/* --- Tables and cases ---------------------------------------------------------------------- */

static int is_data(uint64_t pa)
{
    uint64_t block = (pa - RAM) / BLOCK;

    return pa >= RAM && (block == 0 || block == 2 || block == 3) && (pa - RAM) % BLOCK < 0x10000;
}

/*
 * Addresses are such that a leaf of any size, if aligned, leads to DATA: stores never hit tables
 * or code. So leaves point to pages of DATA, to whole blocks of it, or to RAM's gigabyte.
 */
static uint64_t random_leaf_page(void)
{
    uint64_t block = random_below(3);

    block = RAM + (block ? block + 1 : 0) * BLOCK;
    switch (random_below(4)) {
    case 0: return RAM;
    case 1: return block;
    default: return block + (random_below(16) << 12);
    }
}

/* With Svnapot and Svpbmt. What QEMU 7.2 does not look at then is left out: bits 60:54, and both
 * bits of PBMT at once; and it sets A and D before it sees that N's encoding is reserved. */
static uint64_t random_extended(uint64_t entry, uint64_t bits)
{
    if (one_in(6)) /* 64 KiB: all of a block's DATA. Or nearly */
        entry = (entry & ~(15ull << 10)) | 1ull << 63 | (one_in(8) ? bits >> 32 & 15 : 8) << 10;
    if (entry >> 63 && (entry >> 10 & 15) != 8)
        entry |= 0xc0;
    if (one_in(6))
        entry |= 1ull << (61 + random_below(2));
    if (entry >> 61 & 1)
        entry &= ~(1ull << 62);
    return entry & ~(0x7full << 54);
}

static uint64_t random_entry(void)
{
    uint64_t bits = guest_random(&seed), entry;

    if (random_below(16) < 9) {
        entry = (random_below(32) ? TABLES : HOLE) + (random_below(PAGES) << 12);
        entry = entry >> 2 | 1 | (bits & 0x320);
    } else {
        entry = random_leaf_page() >> 2 | 1 | (bits & 0x3fe);
        if (random_below(3))
            entry |= 0x0e; /* else most have no permission to speak of */
    }
    if (random_below(16) == 0)
        entry ^= 1ull << random_below(10); /* V, or what a pointer must not have */
    if (random_below(40) == 0)
        entry |= 1ull << (54 + random_below(10));
    if (extended)
        entry = random_extended(entry, bits);
    /* No leaf may lead to tables, and no pointer to DATA: stores would go anywhere. */
    if (is_data((entry >> 10 & 0xfffffffffff) << 12))
        return entry & 0x0a ? entry : entry | 2;
    return entry & ~0x0aull;
}

static void random_trial(struct trial *t)
{
    uint64_t vpn1 = random_below(3), va;
    int top = 11 + 9 * levels();

    vpn1 = vpn1 ? vpn1 + 1 : 0;
    va = guest_random(&seed) << 30 | vpn1 << 21 | random_below(16) << 12 | random_below(512) << 3;
    va = (uint64_t)((int64_t)(va << (63 - top)) >> (63 - top));
    if (random_below(24) == 0)
        va ^= 1ull << (top + (int)random_below((uint64_t)(64 - top)));
    *t = (struct trial){.satp = (uint64_t)(format - GN_PAGING_SV39 + 8) << 60 | (TABLES >> 12) |
                                random_below(PAGES),
                        .va = va,
                        .kind = random_below(4),
                        .mstatus = guest_random(&seed) & (SUM | MXR | MPP_S)};
    if (t->kind != FETCH)
        t->mstatus |= MPRV;
}

/* --- The library's answers ----------------------------------------------------------------- */

/* What the machine should tell; from the walk alone. */
static void expect(const struct trial *t, struct guest *guest, struct trial *ret,
                   struct gn_paging_walk *r)
{
    static const uint32_t access[] = {GN_ACCESS_READ, GN_ACCESS_WRITE, GN_ACCESS_WRITE,
                                      GN_ACCESS_EXEC};
    struct gn_paging_context context = {GN_PAGING_CONTEXT_INIT, .format = format,
                                        .controls = GN_PAGING_RISCV_ADUE};

    context.root = gn_gpa((t->satp & 0xfffffffffff) << 12);
    context.controls |=
        (t->mstatus & SUM ? GN_PAGING_RISCV_SUM : 0) | (t->mstatus & MXR ? GN_PAGING_RISCV_MXR : 0);
    context.extensions = extended ? GN_PAGING_RISCV_PBMTE | GN_PAGING_RISCV_NAPOT : 0;
    *ret = *t;
    ret->cause = 98; /* which no machine tells */
    if (gn_paging_walk(&context, &guest_ops, guest, gn_gva(t->va),
                       access[t->kind] | (t->mstatus & MPP_S ? 0 : GN_PAGING_AS_USER), r))
        return;
    ret->sum = checksum(guest->words, WORDS);
    if (r->outcome != GN_PAGING_TRANSLATED) {
        ret->cause = r->code;
        ret->tval = t->va;
        return;
    }
    /* Where it led is seen in what was read, or in what the illegal instruction was. */
    ret->cause = t->kind == FETCH ? 2 : NO_TRAP;
    ret->tval = t->kind == FETCH ? pattern(r->gpa.v) : 0;
    if (t->kind != FETCH)
        ret->value = pattern(r->gpa.v);
}

static int same(const struct trial *a, const struct trial *b)
{
    return a->cause == b->cause && a->tval == b->tval && a->value == b->value && a->sum == b->sum;
}

static void print_trial(const char *who, const struct trial *t)
{
    printf("  %-8s cause %llu tval %llx value %llx tables %016llx\n", who,
           (unsigned long long)t->cause, (unsigned long long)t->tval, (unsigned long long)t->value,
           (unsigned long long)t->sum);
}

/* Compares all cases; how many differ. */
static int compare(const struct trial *asked, const struct trial *got, const uint64_t *before)
{
    static uint64_t words[WORDS];
    struct guest guest = {.base = TABLES, .words = words, .bytes = sizeof words};
    int wrong = 0, causes[100] = {0}, sizes[5] = {0};

    memcpy(words, before, sizeof words);
    for (int i = 0; i < COUNT && wrong < 10; i++) {
        struct gn_paging_walk r = {0};
        struct trial want;

        expect(&asked[i], &guest, &want, &r);
        if (r.outcome == GN_PAGING_TRANSLATED)
            sizes[r.level]++;
        causes[want.cause]++;
        if (same(&want, &got[i]))
            continue;
        wrong++;
        printf("case %d: kind %llu va %llx satp %llx mstatus %llx\n", i,
               (unsigned long long)asked[i].kind, (unsigned long long)asked[i].va,
               (unsigned long long)asked[i].satp, (unsigned long long)asked[i].mstatus);
        print_trial("library", &want);
        print_trial("machine", &got[i]);
        for (uint32_t level = r.top + 1; level-- > r.level;)
            printf("  level %u: %llx\n", level, (unsigned long long)r.step[level].value);
    }
    printf("%s%s, %d cases: %d data accesses and %d fetches went through (%d, %d, %d by level); "
           "%d, %d, %d page faults, %d, %d, %d access faults\n",
           gn_paging_format_name(format), extended ? " with Svnapot and Svpbmt" : "", COUNT,
           causes[NO_TRAP], causes[2], sizes[0], sizes[1], sizes[2], causes[12], causes[13],
           causes[15], causes[1], causes[5], causes[7]);
    return wrong;
}

/* --- The machine --------------------------------------------------------------------------- */

static int run(uint8_t *ram, const char *path, int round)
{
    static const char *const plain[] = {"-smp", "2", "-bios", "none", NULL};
    static const char *const more[] = {
        "-smp", "2", "-bios", "none", "-cpu", "rv64,svnapot=true,svpbmt=true", NULL};
    static struct trial asked[COUNT];
    static uint64_t before[WORDS];
    uint64_t *tables = (uint64_t *)(ram + (TABLES - RAM));
    struct guest guest = {.base = TABLES, .words = before, .bytes = sizeof before};
    struct trial want;
    struct gn_paging_walk r;
    int status;

    format = formats[round];
    extended = round & 1;
    for (uint64_t pa = RAM; pa < RAM + 4 * BLOCK; pa += 8)
        if (is_data(pa))
            *(uint64_t *)(ram + (pa - RAM)) = pattern(pa);
    for (int i = 0; i < WORDS; i++)
        tables[i] = random_entry();
    build_payload(ram);
    memcpy(before, tables, sizeof before);
    for (int i = 0; i < COUNT; i++) {
        random_trial(&asked[i]);
        /* A store writes what is there already if it goes where the library thinks: a store that
         * goes astray is found by a later load, or in the end. */
        expect(&asked[i], &guest, &want, &r);
        if (asked[i].kind == WRITE && want.cause == NO_TRAP)
            asked[i].value = want.value;
    }
    memcpy(before, tables, sizeof before);
    memcpy(ram + (CASES - RAM), asked, sizeof asked);
    status =
        qemu_run("qemu-system-riscv64", "virt,memory-backend=ram", path, extended ? more : plain);
    if (status)
        return status;
    status = compare(asked, (struct trial *)(ram + (CASES - RAM)), before);
    for (uint64_t pa = RAM; pa < RAM + 4 * BLOCK; pa += 8)
        if (is_data(pa) && *(uint64_t *)(ram + (pa - RAM)) != pattern(pa)) {
            printf("a store went astray to %llx\n", (unsigned long long)pa);
            status = 1;
            break;
        }
    return status != 0;
}

int main(void)
{
    return qemu_rounds(ROUNDS, run);
}
