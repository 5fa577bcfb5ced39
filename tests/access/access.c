/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The table test of access permissions: every combination of bits in the leaf and in one entry
 * above it, of controls, access kind and privilege, in every format that lib/paging knows. What
 * must agree, in outcome, code, address, and the A and D bits left in every entry passed:
 *
 *      the oracle (the manuals, bit by bit)  <->  gn_paging_walk
 *                                            <->  a software MMU, and an adversary whose TLB keeps
 *                                                 all it may, on tables that gn_shadow fills, in
 *                                                 every format that it takes the guest's into,
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

#include "vary.h"
#include "ways.h"

#define DIFFERENCES 10u

struct table {
    struct ways w;
    struct oracle known;
    uint64_t gva;
    int leaf_level;
    uint64_t entry[5]; /**< the case's, by level */
    uint64_t at[5];
    struct list controls;
    struct list accesses;
    uint32_t leaf_every;               /**< one leaf in so many, and of its cases */
    uint32_t walk_every, shadow_every; /**< one in so many; 0: none */
    uint64_t leaf_number, number;      /**< of the leaf, of the case */
    uint64_t walks, shadows, emulated, differences;
};

/* ---- One case ----------------------------------------------------------------------------- */

static void entries_reset(struct table *t)
{
    for (int level = t->leaf_level; level < t->w.levels; level++)
        ways_entry_set(&t->w, t->at[level], t->entry[level]);
}

static void differ(struct table *t, const char *way, uint32_t controls, uint32_t access,
                   const struct oracle_result *r, const struct outcome *o)
{
    static const char *const kinds[] = {"allowed", "page fault", "access fault", "noncanonical"};

    if (t->differences++ >= DIFFERENCES)
        return;
    printf("%s in %s, %s: controls %#" PRIx32 " access %#" PRIx32 " pkru %#" PRIx32 " gva %#" PRIx64
           "\n  expected %s, code %#x, address %#" PRIx64 "; got %s, code %#x, address %#" PRIx64
           ", %u exits\n",
           gn_paging_format_name(t->w.format),
           t->w.host ? gn_paging_format_name(t->w.host) : "none", way, controls, access, t->w.pkru,
           t->gva, kinds[r->kind], r->code, r->pa, kinds[o->kind], o->code, o->pa, o->exits);
    for (int level = t->w.levels; level-- > t->leaf_level;)
        printf("  level %d: %#018" PRIx64 ", is %#018" PRIx64 ", expected %#018" PRIx64 "\n", level,
               t->entry[level], ways_entry(&t->w, t->at[level]), r->value[level]);
}

/* Does the way agree, and does it leave the entries as the oracle says? */
static int agrees(struct table *t, const struct oracle_result *r, const struct outcome *o,
                  const uint64_t *before)
{
    if (o->kind != r->kind || o->code != r->code || (r->kind == ORACLE_OK && o->pa != r->pa))
        return 0;
    for (int level = t->leaf_level; level < t->w.levels; level++) {
        uint64_t is = ways_entry(&t->w, t->at[level]);

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
        ret_before[level] = ways_entry(&t->w, t->at[level]);
    oracle_init(&o, t->w.format, controls, access);
    o.pkru = t->w.pkru;
    o.maxphyaddr = (int)t->w.phys_bits;
    return oracle_walk(&o, (uint64_t[]){t->w.root, t->w.root}, t->gva, ways_load, &t->w);
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
        if (gn_shadow_sync(t->w.shadow, gn_gpa(t->at[level]), (uint32_t)t->w.bytes))
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

        t->emulated += (uint64_t)o.emulated;
        if (!agrees(t, &r, &o, before) || (i == 1 && o.kind == ORACLE_OK && o.exits && !o.emulated))
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

        if (t->walk_every && dice % t->walk_every == 0)
            case_walk(t, controls, access);
        if (shadowed && dice % t->shadow_every == 0)
            case_shadow(t, controls, access);
    }
}

/* Every entry but the one at `where` is all that is permissive. */
static void entries_permissive(struct table *t)
{
    for (int level = 1; level < t->w.levels; level++)
        t->entry[level] = vary_permissive(&t->known, level);
}

static uint64_t leaf_address(const struct table *t)
{
    int shift = oracle_shift(&t->known, t->leaf_level);

    return vary_address(&t->known, DATA_PAGE >> shift << shift);
}

static void leaf_level_run(struct table *t, uint32_t controls, int shadowed)
{
    struct list leaves;
    struct list uppers;
    int top = t->w.levels - 1;

    vary_leaves(&t->known, t->leaf_level, &leaves);
    for (int where = t->leaf_level + 1; where <= top || where == t->leaf_level + 1; where++) {
        vary_uppers(&t->known, where, &uppers);
        for (uint32_t u = 0; u < (where > top ? 1 : uppers.count); u++) {
            entries_permissive(t);
            if (where <= top)
                t->entry[where] = uppers.value[u] ^ vary_address(&t->known, vary_table(where - 1));
            for (uint32_t l = 0; l < leaves.count; l++) {
                if (mix(++t->leaf_number) % t->leaf_every)
                    continue;
                t->entry[t->leaf_level] = leaves.value[l] ^ leaf_address(t);
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

/*
 * Protection keys (SDM vol. 3A §4.6.2): the walk, and shadows whose MMU has none. The software MMU
 * has no PKRU, which in an x86 shadow it would have to judge by: see test_shadow_keys.c.
 */
static void keys_run(struct table *t)
{
    if (t->known.family != 'x' || t->w.levels < 4) /* keys belong to 4-level paging and up */
        return;
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t controls = GN_PAGING_X86_PKE | (i & 1 ? GN_PAGING_X86_WP : 0) |
                            (i & 2 ? GN_PAGING_X86_SMAP : 0) | (i & 4 ? GN_PAGING_X86_NXE : 0);

        int shadowed;

        t->w.pkru = (i >> 3 & 3) << 2 | (i & 32 ? 0xfffffff3 : 0);
        shadowed = t->w.host >= GN_PAGING_SV39 && ways_root(&t->w, controls);
        entries_permissive(t);
        t->leaf_level = 0;
        for (uint64_t bits = 0; bits < 4; bits++) {
            t->entry[0] = DATA_PAGE | 1 | UINT64_C(1) << 59 | bits << 1; /* P, key 1 */
            for (uint32_t a = 0; a < t->accesses.count; a++) {
                case_walk(t, controls, (uint32_t)t->accesses.value[a]);
                if (shadowed)
                    case_shadow(t, controls, (uint32_t)t->accesses.value[a]);
            }
        }
    }
    t->w.pkru = 0;
}

/* Addresses that are not of the format's width: each bit above the top one, wrong by itself. */
static void widths_run(struct table *t, uint32_t controls)
{
    uint64_t gva = t->gva;
    int shadowed = ways_root(&t->w, controls);
    int top = oracle_shift(&t->known, t->w.levels) - 1;

    t->leaf_level = 0;
    entries_permissive(t);
    t->entry[0] = vary_open_leaf(&t->known, DATA_PAGE);
    for (int i = top > 32 ? top : 32; i < 64; i++) {
        t->gva = gva ^ UINT64_C(1) << i;
        for (uint32_t a = 0; a < t->accesses.count; a++) {
            case_walk(t, controls, (uint32_t)t->accesses.value[a]);
            if (shadowed)
                case_shadow(t, controls, (uint32_t)t->accesses.value[a]);
        }
    }
    t->gva = gva;
}

/* AArch64: the upper half, the top byte that may be ignored, halves that are not walked. */
static void halves_run(struct table *t)
{
    uint64_t gva = t->gva;

    if (t->known.family != 'a')
        return;
    for (uint32_t i = 0; i < 32; i++) {
        t->gva = i & 16 ? gva | UINT64_C(0xffff) << 48 : gva;
        widths_run(t, GN_PAGING_AARCH64_HA | (i & 1 ? GN_PAGING_AARCH64_TBI0 : 0) |
                          (i & 2 ? GN_PAGING_AARCH64_TBI1 : 0) |
                          (i & 4 ? GN_PAGING_AARCH64_EPD0 : 0) |
                          (i & 8 ? GN_PAGING_AARCH64_EPD1 : 0));
    }
    t->gva = gva;
}

/* One guest in one host; the walks, which do not depend on the host, in its own format's. */
static int pair_run(uint32_t format, uint32_t host, uint32_t policy, int adversary, int all)
{
    static struct table t;
    int own = host == format && !adversary;
    uint64_t stale;

    memset(&t, 0, sizeof t);
    if (!oracle_init(&t.known, format, 0, 0)) {
        printf("%-12s the oracle does not know it\n", gn_paging_format_name(format));
        return 1;
    }
    t.walk_every = !own ? 0 : all ? 1 : 8;
    t.leaf_every = (own || all ? 1 : 16) * (adversary ? 16 : 1);
    t.shadow_every = all ? 1 : own ? 32 : 16;
    ways_open(&t.w, &t.known, format, host, vary_table(t.known.levels - 1), policy, adversary);
    *ways_word(&t.w, DATA_PAGE) = DATA_PAGE;
    t.gva = DATA_PAGE | UINT64_C(3) << oracle_shift(&t.known, t.w.levels - 1);
    for (int level = 0; level < t.w.levels; level++)
        t.at[level] = oracle_at(&t.known, level, vary_table(level), t.gva);
    vary_controls(&t.known, &t.controls);
    vary_accesses(&t.known, &t.accesses);
    for (uint32_t i = 0; (own || t.w.host) && i < t.controls.count; i++)
        controls_run(&t, (uint32_t)t.controls.value[i]);
    if (own) {
        keys_run(&t);
        halves_run(&t);
    }
    if (own || t.w.host)
        widths_run(&t, (uint32_t)t.controls.value[t.controls.count - 1]);
    /* What the MMU caches is what the shadow tables say, or less: at every moment. */
    stale = t.w.adversary ? adversary_stats(t.w.adversary).stale : 0;
    printf("%-12s in %-12s", gn_paging_format_name(format), gn_paging_format_name(host));
    if (own)
        printf(" %" PRIu64 " walks,", t.walks);
    if (t.w.host)
        printf(" %" PRIu64 " by the shadow (%s%s), %" PRIu64 " emulated, %" PRIu64
               " from a stale TLB,",
               t.shadows, policy == GN_SHADOW_POLICY_TRAP ? "trap" : "traced",
               adversary ? ", adversary" : "", t.emulated, stale);
    else
        printf(" skipped: lib/shadow says NOTSUP, %s;", t.w.refused);
    printf(" %" PRIu64 " differences\n", t.differences);
    ways_close(&t.w);
    return t.differences || stale;
}

int main(int argc, char **argv)
{
    int all = argc == 2 && strcmp(argv[1], "--all") == 0;
    int failed = 0;

    if (argc > 2 || (argc == 2 && !all)) {
        fprintf(stderr, "usage: access [--all]\n");
        return 2;
    }
    for (uint32_t format = 1; format < 64; format++)
        for (uint32_t host = 1; gn_paging_format_name(format) && host < 64; host++) {
            if (!gn_paging_format_name(host))
                continue;
            failed |= pair_run(format, host, GN_SHADOW_POLICY_TRACED, 0, all);
            failed |= pair_run(format, host, GN_SHADOW_POLICY_TRACED, 1, all);
            if (all)
                failed |= pair_run(format, host, GN_SHADOW_POLICY_TRAP, 0, all);
        }
    return failed;
}
