/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * paging [ADDRESS] - one address, walked through the tables of every format.
 *
 * For each format that the library knows, tables that map the address are built in an array; the
 * walker is asked what the machine would do with an access, and gives a translation or the very
 * fault. Then: who may do what with which page, on x86 and on RISC-V.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnomon/paging.h>

#define FORMATS 16u                /* their numbers are below */
#define TABLES  UINT64_C(0x10000)  /* guest physical address of the table of level 0 */
#define PAGE    UINT64_C(0x123000) /* and of what the tables map */

/* Guest memory from TABLES on: a table a level. */
static uint8_t memory[GN_PAGING_LEVELS_MAX * GN_PAGE_SIZE];

static void check(int holds, const char *otherwise)
{
    if (holds)
        return;
    fprintf(stderr, "paging: %s\n", otherwise);
    exit(1);
}

/* ---- What the library asks of us: guest memory -------------------------------------------- */

static int load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    (void)ctx;
    if (gpa.v - TABLES > sizeof memory - bytes)
        return -GN_ERR_FAULT;
    *ret_value = 0;
    memcpy(ret_value, memory + (gpa.v - TABLES), bytes);
    return 0;
}

/* The walker sets the A and D bits. One thread: the entry is as it was loaded. */
static int cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected, uint64_t desired)
{
    (void)ctx, (void)expected;
    memcpy(memory + (gpa.v - TABLES), &desired, bytes);
    return 0;
}

/* ---- The guest: one page mapped, by a table a level --------------------------------------- */

static struct gn_paging_geometry shape_of(uint32_t format)
{
    struct gn_paging_geometry shape = {0};

    check(!gn_paging_geometry(format, &shape), "a format has no shape");
    return shape;
}

static void map(uint32_t format, uint64_t gva, uint64_t gpa, uint32_t permissions)
{
    const struct gn_paging_geometry shape = shape_of(format);
    uint32_t shift = GN_PAGE_SHIFT;

    for (uint32_t level = 0; level < shape.levels; shift += shape.level_bits[level++]) {
        const struct gn_paging_entry table = {.kind = GN_PAGING_ENTRY_TABLE,
                                              .permissions = shape.inherited,
                                              .address = TABLES + (level - 1) * GN_PAGE_SIZE};
        const struct gn_paging_entry leaf = {
            .kind = GN_PAGING_ENTRY_LEAF, .permissions = permissions, .address = gpa};
        const uint64_t index = gva >> shift & ((UINT64_C(1) << shape.level_bits[level]) - 1);
        uint64_t value;

        check(!gn_paging_entry_encode(format, level, level ? &table : &leaf, &value),
              "an entry cannot be said in a format");
        memcpy(memory + level * GN_PAGE_SIZE + index * shape.entry_bytes, &value,
               shape.entry_bytes);
    }
}

/* What would the machine do with this access? */
static struct gn_paging_walk walk(uint32_t format, uint64_t gva, uint32_t access)
{
    static const struct gn_paging_ops ops = {GN_PAGING_OPS_INIT, .load = load, .cmpxchg = cmpxchg};
    const gn_gpa_t root = gn_gpa(TABLES + (shape_of(format).levels - 1) * GN_PAGE_SIZE);
    const struct gn_paging_context context = {
        GN_PAGING_CONTEXT_INIT,
        .format = format,
        .root = root,
        .root_high = shape_of(format).roots > 1 ? root : gn_gpa(0),
        .controls = GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_SMEP | GN_PAGING_X86_SMAP |
                    GN_PAGING_RISCV_ADUE | GN_PAGING_AARCH64_HA,
    };
    struct gn_paging_walk result;

    check(!gn_paging_walk(&context, &ops, NULL, gn_gva(gva), access, &result), "a walk failed");
    return result;
}

/* ---- One address in every format ---------------------------------------------------------- */

static void show(uint32_t format, uint64_t gva)
{
    const struct gn_paging_geometry shape = shape_of(format);
    const uint64_t high = gva >> (shape.va_bits - 1);
    const int fits = !high || high == UINT64_MAX >> (shape.va_bits - 1);
    struct gn_paging_walk here, beside;

    memset(memory, 0, sizeof memory);
    map(format, gva, PAGE, GN_PAGING_R | GN_PAGING_W | GN_PAGING_U);
    here = walk(format, gva, GN_ACCESS_WRITE | GN_PAGING_AS_USER);
    beside = walk(format, gva ^ GN_PAGE_SIZE, GN_ACCESS_WRITE | GN_PAGING_AS_USER);
    printf("%-11s", gn_paging_format_name(format));
    if (!fits) {
        printf("not an address of %u bits: %s, code %u\n", shape.va_bits,
               here.outcome == GN_PAGING_FAULT_PAGE ? "page fault" : "#GP or #SS", here.code);
        check(here.reason == GN_PAGING_REASON_ADDRESS, "a wide address was translated");
        return;
    }
    for (uint32_t level = here.top + 1; level-- > here.level;)
        printf("%" PRIx64 " ", here.step[level].value);
    printf("-> 0x%" PRIx64 "; beside it: fault %u at level %u\n", here.gpa.v, beside.code,
           beside.level);
    check(here.outcome == GN_PAGING_TRANSLATED && here.gpa.v == (PAGE | (gva & GN_PAGE_MASK)),
          "the address leads elsewhere");
    check(here.permissions & GN_PAGING_D, "a written page is not dirty");
    check(beside.outcome == GN_PAGING_FAULT_PAGE && beside.reason == GN_PAGING_REASON_ABSENT,
          "a page that is not mapped was found");
}

/* ---- Who may do what ---------------------------------------------------------------------- */

#define KINDS 4u
static const char *const kinds[KINDS] = {"kernel code", "kernel data", "user code", "user data"};
static const uint32_t rights[KINDS] = {GN_PAGING_R | GN_PAGING_X, GN_PAGING_R | GN_PAGING_W,
                                       GN_PAGING_R | GN_PAGING_X | GN_PAGING_U,
                                       GN_PAGING_R | GN_PAGING_W | GN_PAGING_U};

/* The codes by the manuals: supervisor's read, write, fetch; user's. 0: no fault. */
static const uint8_t x86[KINDS][6] = {
    {0, 3, 0, 5, 7, 21}, {0, 0, 17, 5, 7, 21}, {1, 3, 17, 0, 7, 0}, {1, 3, 17, 0, 0, 21}};
static const uint8_t riscv[KINDS][6] = {
    {0, 15, 0, 13, 15, 12}, {0, 0, 12, 13, 15, 12}, {13, 15, 12, 0, 15, 0}, {13, 15, 12, 0, 0, 12}};

static void matrix(uint32_t format, const char *controls, const uint8_t expected[KINDS][6])
{
    printf("\n%s, %s:\n              supervisor R   W   X     user R   W   X\n",
           gn_paging_format_name(format), controls);
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        map(format, 0x1000, PAGE, rights[kind]);
        printf("%-12s           ", kinds[kind]);
        for (uint32_t i = 0; i < 6; i++) {
            const uint32_t access = i % 3 | (i < 3 ? 0 : GN_PAGING_AS_USER);
            const struct gn_paging_walk w = walk(format, 0x1000, access);

            if (w.outcome == GN_PAGING_TRANSLATED)
                printf("  .");
            else
                printf(" %2u", w.code);
            printf("%s", i == 2 ? "        " : i == 5 ? "\n" : " ");
            check(w.code == expected[kind][i], "a fault has another code in the manual");
        }
    }
}

int main(int argc, char **argv)
{
    char *end = "";
    const uint64_t gva = argc > 1 ? strtoull(argv[1], &end, 0) : UINT64_C(0x7f1234567890);

    if (argc > 2 || *end || end == argv[1]) {
        fprintf(stderr, "usage: paging [ADDRESS]\n");
        return 2;
    }
    printf("a user writes to 0x%" PRIx64 ", the entries from the root on:\n", gva);
    for (uint32_t format = GN_PAGING_BARE + 1; format < FORMATS; format++)
        if (gn_paging_format_name(format))
            show(format, gva);
    memset(memory, 0, sizeof memory);
    matrix(GN_PAGING_X86_4LEVEL, "WP NXE SMEP SMAP, error codes", x86);
    matrix(GN_PAGING_SV39, "SUM clear, causes", riscv);
    return 0;
}
