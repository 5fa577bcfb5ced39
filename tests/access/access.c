/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The table test of access permissions: every combination of bits in the leaf and in one entry
 * above it, of controls, access kind and privilege, in every format that lib/paging knows. What
 * must agree, in outcome, code, address, and the A and D bits left in every entry passed:
 *
 *      the oracle (the manuals, bit by bit)  <->  gn_paging_walk
 *                                            <->  a software MMU on tables that gn_shadow fills,
 *                                                 at a first access, at a second (which must hit
 *                                                 where the first filled), and at one of another
 *                                                 kind that finds what these two left behind
 *
 * The idea is that of x86/access.c in kvm-unit-tests.
 *
 *      access [--all]      without it a part of the cases is taken, the same in every run
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ways.h"

#define LIST_MAX    256u
#define DIFFERENCES 10u

/* Bits of x86 entries (SDM vol. 3A tables 4-14 to 4-20) and of RISC-V entries (§4.3.1). */
#define X86_P    UINT64_C(1)
#define X86_RW   UINT64_C(2)
#define X86_US   UINT64_C(4)
#define X86_A    UINT64_C(0x20)
#define X86_D    UINT64_C(0x40)
#define X86_PS   UINT64_C(0x80)
#define X86_NX   (UINT64_C(1) << 63)
#define X86_KEY1 (UINT64_C(1) << 59)
#define RISCV_V  UINT64_C(1)
#define HIGH     (UINT64_C(1) << 45) /* x86: above a MAXPHYADDR of 40 */
#define OUTSIDE  (UINT64_C(1) << 32) /* an address where there is no memory */

struct list {
    uint64_t value[LIST_MAX];
    uint32_t count;
};

struct table {
    struct ways w;
    int x86;
    uint64_t gva;
    int leaf_level;
    uint64_t entry[5]; /**< the case's, by level */
    uint64_t at[5];
    struct list controls;
    struct list accesses;
    uint32_t walk_every, shadow_every;
    uint64_t number; /**< of the case */
    uint64_t walks, shadows, differences;
};

static void add(struct list *l, uint64_t value)
{
    if (l->count < LIST_MAX)
        l->value[l->count++] = value;
}

/* All subsets of up to 8 bits, with something added to each. */
static void add_subsets(struct list *l, const uint64_t *bits, uint32_t count, uint64_t with)
{
    for (uint32_t set = 0; set < 1u << count; set++) {
        uint64_t value = with;

        for (uint32_t i = 0; i < count; i++)
            value |= set >> i & 1 ? bits[i] : 0;
        add(l, value);
    }
}

/* ---- What is varied ----------------------------------------------------------------------- */

static void leaves_list(const struct table *t, struct list *l)
{
    static const uint64_t x86[] = {X86_RW, X86_US, X86_A, X86_D, X86_NX};
    static const uint64_t riscv[] = {2, 4, 8, 0x10, 0x40, 0x80};
    uint64_t ps = t->leaf_level ? X86_PS : 0;

    l->count = 0;
    add(l, 0);
    if (t->x86) {
        add(l, ~(X86_P | UINT64_C(0xffffffffff000)));
        add_subsets(l, x86, 5, X86_P | ps);
        add_subsets(l, x86, 5, X86_P | ps | HIGH);
        if (t->leaf_level)
            add_subsets(l, x86, 5, X86_P | ps | 1 << 13);
        return;
    }
    add(l, 0xfe);
    add_subsets(l, riscv, 6, RISCV_V);
    add_subsets(l, riscv, 6, RISCV_V | (UINT64_C(1) << (54 + t->leaf_level * 2)));
    if (t->leaf_level) /* misaligned */
        add_subsets(l, riscv, 6, RISCV_V | UINT64_C(1) << (10 + 9 * t->leaf_level - 1));
}

static void uppers_list(const struct table *t, struct list *l)
{
    static const uint64_t x86[] = {X86_RW, X86_US, X86_A, X86_NX};
    static const uint64_t riscv[] = {0x10, 0x20, 0x40, 0x80}; /* U, G, A, D */

    l->count = 0;
    add(l, 0);
    if (t->x86) {
        add(l, X86_RW | X86_US | X86_A | X86_NX);
        add_subsets(l, x86, 4, X86_P);
        add_subsets(l, x86, 4, X86_P | HIGH);
        add_subsets(l, x86, 4, X86_P | X86_PS);
        add_subsets(l, x86, 4, X86_P | OUTSIDE);
        return;
    }
    add(l, 0xfe);
    add_subsets(l, riscv, 4, RISCV_V);
    for (uint64_t rwx = 2; rwx < 16; rwx += 2) /* a superpage whose address is a table's */
        add(l, RISCV_V | rwx | 0xd0);
    add(l, RISCV_V | UINT64_C(1) << 54);
    add(l, RISCV_V | UINT64_C(1) << 63);
    add(l, RISCV_V | OUTSIDE >> 2);
}

static void controls_list(struct table *t)
{
    static const uint64_t x86[] = {GN_PAGING_X86_WP,   GN_PAGING_X86_NXE, GN_PAGING_X86_SMEP,
                                   GN_PAGING_X86_SMAP, GN_PAGING_X86_AC,  GN_PAGING_X86_1G};
    static const uint64_t riscv[] = {GN_PAGING_RISCV_SUM, GN_PAGING_RISCV_MXR,
                                     GN_PAGING_RISCV_ADUE};

    t->controls.count = 0;
    if (t->x86)
        add_subsets(&t->controls, x86, 6, 0);
    else
        add_subsets(&t->controls, riscv, 3, 0);
    t->accesses.count = 0;
    for (uint32_t kind = 0; kind < GN_ACCESS_KINDS; kind++) {
        add(&t->accesses, kind);
        add(&t->accesses, kind | GN_PAGING_AS_USER);
        if (t->x86 && kind != GN_ACCESS_EXEC)
            add(&t->accesses, kind | GN_PAGING_AS_USER | GN_PAGING_IMPLICIT);
    }
}

/* ---- One case ----------------------------------------------------------------------------- */

static void entries_reset(struct table *t)
{
    for (int level = t->leaf_level; level < t->w.levels; level++)
        *ways_word(&t->w, t->at[level]) = t->entry[level];
}

static void differ(struct table *t, const char *way, uint32_t controls, uint32_t access,
                   const struct oracle_result *r, const struct outcome *o)
{
    static const char *const kinds[] = {"allowed", "page fault", "access fault", "noncanonical"};

    if (t->differences++ >= DIFFERENCES)
        return;
    printf("%s, %s: controls %#" PRIx32 " access %#" PRIx32 " pkru %#" PRIx32 " gva %#" PRIx64
           "\n  expected %s, code %#x, address %#" PRIx64 "; got %s, code %#x, address %#" PRIx64
           ", %u exits\n",
           gn_paging_format_name(t->w.format), way, controls, access, t->w.pkru, t->gva,
           kinds[r->kind], r->code, r->pa, kinds[o->kind], o->code, o->pa, o->exits);
    for (int level = t->w.levels; level-- > t->leaf_level;)
        printf("  level %d: %#018" PRIx64 ", is %#018" PRIx64 ", expected %#018" PRIx64 "\n", level,
               t->entry[level], *ways_word(&t->w, t->at[level]), r->value[level]);
}

/* Does the way agree, and does it leave the entries as the oracle says? */
static int agrees(struct table *t, const struct oracle_result *r, const struct outcome *o,
                  const uint64_t *before)
{
    if (o->kind != r->kind || o->code != r->code || (r->kind == ORACLE_OK && o->pa != r->pa))
        return 0;
    for (int level = t->leaf_level; level < t->w.levels; level++) {
        uint64_t is = *ways_word(&t->w, t->at[level]);

        if (is != (r->kind == ORACLE_OK && level >= r->level ? r->value[level] : before[level]))
            return 0;
    }
    return 1;
}

/* What the oracle says of the entries as they are now, which are copied. */
static struct oracle_result expect(struct table *t, uint32_t controls, uint32_t access,
                                   uint64_t *ret_before)
{
    struct oracle o;

    for (int level = t->leaf_level; level < t->w.levels; level++)
        ret_before[level] = *ways_word(&t->w, t->at[level]);
    oracle_init(&o, t->w.format, controls, access);
    o.pkru = t->w.pkru;
    o.maxphyaddr = (int)t->w.phys_bits;
    return oracle_walk(&o, t->w.root, t->gva, ways_load, &t->w);
}

static void case_walk(struct table *t, uint32_t controls, uint32_t access)
{
    uint64_t before[5];
    struct oracle_result r;
    struct outcome o;

    entries_reset(t);
    r = expect(t, controls, access, before);
    o = ways_walk(&t->w, t->gva, controls, access);
    t->walks++;
    if (!agrees(t, &r, &o, before))
        differ(t, "walk", controls, access, &r, &o);
}

/* The tables are written behind the MMU: what the guest's flush would do. */
static void shadow_reset(struct table *t)
{
    entries_reset(t);
    for (int level = t->leaf_level; level < t->w.levels; level++)
        if (gn_shadow_sync(t->w.shadow, gn_gpa(t->at[level]), 8))
            differ(t, "sync", 0, 0, &(struct oracle_result){0}, &(struct outcome){0});
    if (t->number % 97 == 0 && gn_shadow_flush(t->w.shadow, GN_SHADOW_ROOT_ANY))
        differ(t, "flush", 0, 0, &(struct oracle_result){0}, &(struct outcome){0});
}

static void case_shadow(struct table *t, uint32_t controls, uint32_t access)
{
    static const char *const ways[] = {"shadow", "shadow again", "shadow, another access"};

    t->shadows++;
    shadow_reset(t);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t a =
            i < 2 ? access : (uint32_t)t->accesses.value[t->number / 7 % t->accesses.count];
        uint64_t before[5];
        struct oracle_result r = expect(t, controls, a, before);
        struct outcome o = ways_shadow(&t->w, t->gva, controls, a);

        if (!agrees(t, &r, &o, before) || (i == 1 && o.kind == ORACLE_OK && o.exits))
            differ(t, ways[i], controls, a, &r, &o);
    }
}

static uint64_t mix(uint64_t n)
{
    n = (n ^ n >> 31) * UINT64_C(0x7fb5d329728ea185);
    return n ^ n >> 29;
}

/* ---- All of them -------------------------------------------------------------------------- */

static void accesses_run(struct table *t, uint32_t controls, int shadowed)
{
    for (uint32_t i = 0; i < t->accesses.count; i++) {
        uint32_t access = (uint32_t)t->accesses.value[i];
        uint64_t dice = mix(++t->number);

        if (dice % t->walk_every == 0)
            case_walk(t, controls, access);
        if (shadowed && dice % t->shadow_every == 0)
            case_shadow(t, controls, access);
    }
}

static uint64_t address_bits(const struct table *t, uint64_t address)
{
    return t->x86 ? address : address >> 2;
}

static uint64_t table_address(int level)
{
    return 0x10000 + (uint64_t)level * GN_PAGE_SIZE;
}

/* Every entry but the one at `where` is all that is permissive. */
static void entries_permissive(struct table *t)
{
    for (int level = 1; level < t->w.levels; level++)
        t->entry[level] = address_bits(t, table_address(level - 1)) |
                          (t->x86 ? X86_P | X86_RW | X86_US : RISCV_V);
    if (t->w.format == GN_PAGING_X86_PAE)
        t->entry[2] &= ~(X86_RW | X86_US);
}

static uint64_t leaf_address(int level)
{
    return level == 0 ? DATA_PAGE : level == 1 ? DATA_PAGE >> 21 << 21 : 0;
}

static void leaf_level_run(struct table *t, uint32_t controls, int shadowed)
{
    struct list leaves;
    struct list uppers;
    int top = t->w.levels - 1;

    leaves_list(t, &leaves);
    uppers_list(t, &uppers);
    for (int where = t->leaf_level + 1; where <= top || where == t->leaf_level + 1; where++) {
        for (uint32_t u = 0; u < (where > top ? 1 : uppers.count); u++) {
            entries_permissive(t);
            if (where <= top)
                t->entry[where] = uppers.value[u] ^ address_bits(t, table_address(where - 1));
            for (uint32_t l = 0; l < leaves.count; l++) {
                t->entry[t->leaf_level] =
                    leaves.value[l] ^ address_bits(t, leaf_address(t->leaf_level));
                accesses_run(t, controls, shadowed);
            }
        }
    }
}

static void controls_run(struct table *t, uint32_t controls)
{
    struct gn_paging_geometry g;
    int shadowed = ways_root(&t->w, controls);

    if (gn_paging_geometry(t->w.format, &g))
        return;
    for (t->leaf_level = 0; t->leaf_level < t->w.levels; t->leaf_level++)
        if (g.leaf_levels >> t->leaf_level & 1)
            leaf_level_run(t, controls, shadowed);
}

/* Protection keys (SDM vol. 3A §4.6.2); the walk alone, unless a shadow takes them some day. */
static void keys_run(struct table *t)
{
    if (!t->x86 || t->w.format == GN_PAGING_X86_PAE) /* keys belong to 4-level paging and up */
        return;
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t controls = GN_PAGING_X86_PKE | (i & 1 ? GN_PAGING_X86_WP : 0) |
                            (i & 2 ? GN_PAGING_X86_SMAP : 0) | (i & 4 ? GN_PAGING_X86_NXE : 0);

        t->w.pkru = (i >> 3 & 3) << 2 | (i & 32 ? 0xfffffff3 : 0);
        entries_permissive(t);
        t->leaf_level = 0;
        for (uint64_t bits = 0; bits < 4; bits++) {
            t->entry[0] = DATA_PAGE | X86_P | X86_KEY1 | bits << 1;
            for (uint32_t a = 0; a < t->accesses.count; a++)
                case_walk(t, controls, (uint32_t)t->accesses.value[a]);
        }
    }
    t->w.pkru = 0;
}

/* Addresses that are not of the format's width: each bit above the top one, wrong by itself. */
static void widths_run(struct table *t, uint32_t controls)
{
    uint64_t gva = t->gva;
    int shadowed = ways_root(&t->w, controls);

    if (t->w.format == GN_PAGING_X86_PAE) /* its addresses have no bits above */
        return;
    t->leaf_level = 0;
    entries_permissive(t);
    t->entry[0] = address_bits(t, DATA_PAGE) | (t->x86 ? 0x67 : 0xdf);
    for (int i = 12 + 9 * t->w.levels - 1; i < 64; i++) {
        t->gva = gva ^ UINT64_C(1) << i;
        for (uint32_t a = 0; a < t->accesses.count; a++) {
            case_walk(t, controls, (uint32_t)t->accesses.value[a]);
            if (shadowed)
                case_shadow(t, controls, (uint32_t)t->accesses.value[a]);
        }
    }
    t->gva = gva;
}

static int format_run(uint32_t format, uint32_t policy, int all)
{
    static struct table t;
    struct oracle known;

    memset(&t, 0, sizeof t);
    if (!oracle_init(&known, format, 0, 0)) {
        printf("%-12s left out: the oracle does not know it\n", gn_paging_format_name(format));
        return 0;
    }
    t.x86 = known.family == 'x';
    t.walk_every = all ? 1 : 8;
    t.shadow_every = all ? 1 : 16;
    ways_open(&t.w, format, policy);
    t.w.phys_bits = t.x86 ? 40 : 52;
    *ways_word(&t.w, DATA_PAGE) = DATA_PAGE;
    t.gva = DATA_PAGE | UINT64_C(3) << (12 + 9 * (t.w.levels - 1));
    for (int level = 0; level < t.w.levels; level++)
        t.at[level] = table_address(level) + (t.gva >> (12 + 9 * level) & 511) * 8;
    controls_list(&t);
    for (uint32_t i = 0; i < t.controls.count; i++)
        controls_run(&t, (uint32_t)t.controls.value[i]);
    keys_run(&t);
    widths_run(&t, (uint32_t)t.controls.value[t.controls.count - 1]);
    printf("%-12s %s: %" PRIu64 " walks, %" PRIu64 " by the shadow (%s), %" PRIu64 " differences\n",
           gn_paging_format_name(format), policy == GN_SHADOW_POLICY_TRAP ? "trap" : "traced",
           t.walks, t.shadows, t.w.host ? gn_paging_format_name(t.w.host) : "none", t.differences);
    ways_close(&t.w);
    return t.differences != 0;
}

int main(int argc, char **argv)
{
    int all = argc == 2 && strcmp(argv[1], "--all") == 0;
    int failed = 0;

    if (argc > 2 || (argc == 2 && !all)) {
        fprintf(stderr, "usage: access [--all]\n");
        return 2;
    }
    for (uint32_t format = 1; format < 64; format++) {
        if (!gn_paging_format_name(format))
            continue;
        failed |= format_run(format, GN_SHADOW_POLICY_TRACED, all);
        if (all)
            failed |= format_run(format, GN_SHADOW_POLICY_TRAP, all);
    }
    return failed;
}
