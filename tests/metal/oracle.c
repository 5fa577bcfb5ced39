/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The processor as the judge of shadow: each random access is made twice, once with the guest's
 * own tables in CR3 and once with their shadow, which faults into being. Compared: performed or
 * not, the error code, CR2, the byte reached, and the A and D bits left in the guest's tables.
 * Between accesses the guest changes entries: somebody writes them and tells the shadow, or the
 * guest does, through a mapping of its own and the shadow's policy, which is another in each world.
 *
 * The guest's format is the one in force, five levels or four (GNOMON_X86_64_CPU=max,la57=off), or
 * with GN_TEST_FORMAT=2level or pae one of 32-bit mode, which is entered through the switch page;
 * the shadow's is the one in force. GN_TEST_SEED sets the seed, GN_TEST_CASES the number of
 * accesses.
 *
 * What the processor may do and the library does not, or QEMU 7.2 does and no processor, is listed
 * by name in `exceptions`, and counted.
 */

#include "probe32.h"
#include "shadowed.h"

#include "gn_test.h"

#define CASES_DEFAULT 100000u
#define WORLD_CASES   256u

#define PF    14u
#define GP    13u
#define UD    6u
#define ENTRY 5u /* an execution's #UD is so far behind its start */

enum exception {
    QEMU_RESERVED_WITHOUT_P, /* 7.2: error code 8 where the SDM (§4.7) has 9 */
    QEMU_ACCESSED_PDPTE,     /* 7.2: PAE, sets bit 5 of a PDPTE, which is reserved (§4.4.1) */
    AC_IMPLICIT_RING0,       /* RFLAGS.AC lifts SMAP for descriptors, too (§4.6.1: not) */
    AC_IMPLICIT_RING3,       /* the same; QEMU errs in ring 0 alone */
    ACCESSED_ON_A_FAULT,     /* a processor may set A on its way to a fault */
    EXCEPTIONS
};

static const char *const exception_name[EXCEPTIONS] = {
    "QEMU 7.2: no P in the code of a reserved bit",
    "QEMU 7.2: A set in a PDPTE",
    "QEMU 7.2, Bochs 2.7: AC permits an implicit access under SMAP",
    "Bochs 2.7: the same in ring 3",
    "A set on the way to a fault",
};

/* What came of it. */
struct result {
    uint32_t vector; /* 0: performed */
    uint32_t code;
    uint64_t cr2;
    uint32_t tag; /* read or executed; of a write, what stands there now */
    uint64_t entry[GN_PAGING_LEVELS_MAX];
};

static struct world world;
static uint64_t exceptions[EXCEPTIONS], kinds[2], faults_by_code[64], implicit;

/* ---- the two ways ------------------------------------------------------------------------- */

static int is_pae(void)
{
    return world.format == GN_PAGING_X86_PAE;
}

static int probe_in_32_bits(const struct attempt *a, struct gn_x86_64_probe *p)
{
    int rc = probe32_access(WORLD_BASE, is_pae(), a->controls, a->access, p);

    for (uint64_t gpa = WORLD_BASE; is_pae() && gpa < WORLD_BASE + 4 * 8; gpa += 8) {
        const uint64_t entry = world_load(&world, gpa);

        exceptions[QEMU_ACCESSED_PDPTE] += entry >> 5 & 1;
        world_store(&world, gpa, entry & ~(uint64_t)0x20);
    }
    return rc;
}

static int probe_in_64_bits(const struct attempt *a, struct gn_x86_64_probe *p)
{
    int rc;

    gn_x86_64_controls_set(a->controls, a->pkru);
    gn_x86_64_root_load(gn_hpa(WORLD_BASE));
    rc = gn_x86_64_probe_access(a->access, a->access & GN_PAGING_IMPLICIT ? 8 : 4, p);
    gn_x86_64_root_own();
    gn_x86_64_controls_set(GN_PAGING_X86_WP | GN_PAGING_X86_NXE, 0);
    return rc;
}

/* With the guest's tables in CR3. */
static struct result by_guest_tables(const struct attempt *a)
{
    const uint32_t kind = a->access & GN_PAGING_ACCESS_KIND;
    struct gn_x86_64_probe p = {
        .gva = a->gva + a->offset,
        .value = a->tag,
        .flags = a->controls & GN_PAGING_X86_AC ? GN_X86_64_FLAG_AC : 0,
    };
    struct result r = {0};

    /* What is global would outlive the loads of CR3 on either way. */
    if (world.globals)
        shadowed_forget();
    assert_int_equal(world.levels < 4 ? probe_in_32_bits(a, &p) : probe_in_64_bits(a, &p), 0);
    if (world.globals)
        shadowed_forget();
    if (attempt_is_read(a, &p))
        return r;
    if (p.vector == UD) {
        if (kind == GN_ACCESS_EXEC)
            assert_int_equal(p.rip, a->gva + ENTRY);
        r.tag = (uint32_t)p.value;
        return r;
    }
    r.vector = p.vector;
    r.code = p.error;
    r.cr2 = p.vector == PF ? p.cr2 : 0;
    return r;
}

/* What the guest is told, in a processor's words. */
static struct result delivered(const struct attempt *a, const struct gn_shadow_answer *answer)
{
    struct result r = {.vector = answer->fault == GN_PAGING_FAULT_PAGE ? PF : GP,
                       .code = answer->code};

    r.cr2 = r.vector == PF ? a->gva + a->offset : 0;
    return r;
}

/* As the processor would, where no shadow entry can say what is allowed. */
static struct result by_hand(const struct attempt *a, gn_gpa_t gpa)
{
    struct result r = {0};
    const uint64_t slot = gpa.v - a->offset;

    assert_true(world_is_slot(slot));
    if ((a->access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE)
        world_tag_set(slot, a->tag);
    r.tag = world_tag(slot);
    return r;
}

static struct result by_shadow(const struct attempt *a)
{
    const int exec = (a->access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_EXEC;
    uint8_t data[8] = {0};
    struct gn_shadow_answer answer;
    struct result r = {0};

    if (!exec)
        memcpy(data, &a->tag, sizeof a->tag);
    if (shadowed_access(a, data, exec ? 8 : 4, &answer))
        memcpy(&r.tag, data + (exec ? 1 : 0), sizeof r.tag);
    else if (answer.outcome == GN_SHADOW_GUEST_FAULT)
        r = delivered(a, &answer);
    else if (answer.outcome == GN_SHADOW_EMULATE)
        r = by_hand(a, answer.gpa);
    else
        fail_msg("outcome %u", answer.outcome);
    if (a->access & GN_PAGING_IMPLICIT)
        r.tag = 0;
    return r;
}

/* ---- the comparison ----------------------------------------------------------------------- */

static void describe(const char *who, const struct result *r)
{
    print_error("  %s: vector %u code %x cr2 %llx tag %x entries", who, r->vector, r->code,
                (unsigned long long)r->cr2, r->tag);
    for (uint32_t l = world.levels; l--;)
        print_error(" %llx", (unsigned long long)r->entry[l]);
    print_error("\n");
}

/* Differences that have a name; the processor's result becomes what it should have been. */
static void except(const struct attempt *a, struct result *cpu, const struct result *lib,
                   uint32_t top)
{
    const uint32_t smap_ac = GN_PAGING_X86_SMAP | GN_PAGING_X86_AC;

    if (a->access & GN_PAGING_IMPLICIT && (a->controls & smap_ac) == smap_ac && !cpu->vector &&
        lib->vector == PF && lib->code == GN_PAGING_X86_PF_P) {
        exceptions[a->access & GN_PAGING_AS_USER ? AC_IMPLICIT_RING3 : AC_IMPLICIT_RING0]++;
        *cpu = *lib;
    }
    if (cpu->vector == PF && cpu->code & GN_PAGING_X86_PF_RSVD &&
        !(cpu->code & GN_PAGING_X86_PF_P)) {
        exceptions[QEMU_RESERVED_WITHOUT_P]++;
        cpu->code |= GN_PAGING_X86_PF_P;
    }
    for (uint32_t l = 0; l <= top && cpu->vector; l++)
        if (cpu->entry[l] == (lib->entry[l] | 0x20) && cpu->entry[l] != lib->entry[l]) {
            exceptions[ACCESSED_ON_A_FAULT]++;
            cpu->entry[l] = lib->entry[l];
        }
}

static void compare(const struct attempt *a, struct result *cpu, const struct result *lib,
                    uint32_t level, uint32_t top, uint64_t number)
{
    int same;

    except(a, cpu, lib, top);
    same = cpu->vector == lib->vector && cpu->code == lib->code && cpu->cr2 == lib->cr2 &&
           cpu->tag == lib->tag;
    for (uint32_t l = level; l <= top; l++)
        same = same && cpu->entry[l] == lib->entry[l];
    kinds[cpu->vector != 0]++;
    if (cpu->vector == PF)
        faults_by_code[cpu->code & 63]++;
    if (same)
        return;
    print_error("case %llu: gva %llx access %x controls %x pkru %x\n", (unsigned long long)number,
                (unsigned long long)a->gva, a->access, a->controls, a->pkru);
    describe("processor", cpu);
    describe("shadow   ", lib);
    fail();
}

static struct attempt attempt_make(void)
{
    const uint64_t r = gn_test_random(&world.rng);
    struct attempt a = {.gva = world_address(&world), .tag = (uint32_t)(r >> 32) | 1};
    const uint32_t has = gn_x86_64_features();

    a.access = (uint32_t)(r % 3) | (r & 0x100 ? GN_PAGING_AS_USER : 0);
    a.controls = (has & GN_X86_64_HAS_1G ? GN_PAGING_X86_1G : 0) | GN_PAGING_X86_PSE;
    a.controls |= r >> 10 & 3 ? GN_PAGING_X86_WP : 0;
    a.controls |= r >> 12 & 7 && has & GN_X86_64_HAS_NX ? GN_PAGING_X86_NXE : 0;
    a.controls |= r & 0x8000 && has & GN_X86_64_HAS_SMEP ? GN_PAGING_X86_SMEP : 0;
    a.controls |= r & 0x10000 && has & GN_X86_64_HAS_SMAP ? GN_PAGING_X86_SMAP : 0;
    a.controls |= r & 0x20000 ? GN_PAGING_X86_AC : 0;
    a.controls |=
        r & 0x40000 && has & GN_X86_64_HAS_PKU && world.levels >= 4 ? GN_PAGING_X86_PKE : 0;
    a.pkru = (uint32_t)(r >> 20) & 0xff; /* keys 0 to 3 */
    if (world.levels >= 4 && r % 3 == GN_ACCESS_READ && (r >> 28 & 3) == 0)
        a.access |= GN_PAGING_IMPLICIT;
    a.offset = r % 3 == GN_ACCESS_EXEC || a.access & GN_PAGING_IMPLICIT ? 0 : 1;
    return a;
}

/* Where the guest's tables lead, without a trace: what is looked at afterwards, and no harm done.
 */
static struct gn_paging_walk look(const struct attempt *a)
{
    const struct gn_paging_context c = {
        GN_PAGING_CONTEXT_INIT,  .format = world.format, .root = gn_gpa(WORLD_BASE),
        .controls = a->controls, .pkru = a->pkru,        .phys_bits = world.phys_bits};
    struct gn_paging_walk w;

    assert_int_equal(gn_paging_walk(&c, &shadowed_guest, NULL, gn_gva(a->gva),
                                    a->access | GN_PAGING_NO_UPDATE, &w),
                     0);
    return w;
}

static struct attempt aimed(struct gn_paging_walk *ret_walk)
{
    struct attempt a = attempt_make();

    *ret_walk = look(&a);
    if (ret_walk->outcome == GN_PAGING_TRANSLATED && ret_walk->shift > GN_PAGE_SHIFT) {
        a.gva = world_aim(&world, a.gva, ret_walk->shift);
        *ret_walk = look(&a);
    }
    return a;
}

static void entries_read(const struct gn_paging_walk *w, uint64_t *entry)
{
    for (uint32_t l = w->level; l <= w->top; l++)
        entry[l] = world_load(&world, w->step[l].gpa.v);
}

/* @return 1: a case; 0: it would reach what is no slot of data */
static int one_case(uint64_t number)
{
    struct gn_paging_walk w;
    const struct attempt a = aimed(&w);
    const uint64_t slot = w.gpa.v;
    const int write = (a.access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE;
    struct result cpu, lib;
    uint64_t before[GN_PAGING_LEVELS_MAX];

    if ((w.outcome == GN_PAGING_TRANSLATED && !world_is_slot(slot)) ||
        w.outcome ==
            GN_PAGING_FAULT_ACCESS) /* into the platform's tables, by a root below itself */
        return 0;
    entries_read(&w, before);
    cpu = by_guest_tables(&a);
    entries_read(&w, cpu.entry);
    if (write && w.outcome == GN_PAGING_TRANSLATED) {
        cpu.tag = world_tag(slot);
        world_tag_set(slot, world_tag_of(slot));
    }
    for (uint32_t l = w.level; l <= w.top; l++)
        world_store(&world, w.step[l].gpa.v, before[l]);
    lib = by_shadow(&a);
    entries_read(&w, lib.entry);
    if (write && w.outcome == GN_PAGING_TRANSLATED) {
        lib.tag = world_tag(slot);
        world_tag_set(slot, world_tag_of(slot));
        if (!cpu.vector)
            assert_int_equal(cpu.tag, a.tag);
    } else if (a.access & GN_PAGING_IMPLICIT) {
        implicit++;
    } else if (!cpu.vector) {
        assert_int_equal(cpu.tag, world_tag_of(slot));
    }
    compare(&a, &cpu, &lib, w.level, w.top, number);
    return 1;
}

static uint64_t cases(void)
{
    const char *given = getenv("GN_TEST_CASES");

    return given ? strtoull(given, NULL, 0) : CASES_DEFAULT;
}

/* Other tables, or an entry changed: by somebody who tells of it, or by the guest. */
static void move_on(uint64_t number, uint32_t format)
{
    uint64_t gpa, value;

    if (number % WORLD_CASES == 0) {
        world_make(&world);
        if (world.levels < 4)
            probe32_adopt(WORLD_BASE, is_pae());
        shadowed_make(format);
        return;
    }
    if (gn_test_random(&world.rng) % 4 != 0)
        return;
    gpa = world_change(&world, &value);
    if (!gpa)
        return;
    if (gn_test_random(&world.rng) % 2) {
        shadowed_write(gpa, value);
        return;
    }
    shadowed_sync(gpa, value);
}

static uint32_t format_of(uint32_t in_force)
{
    const char *name = getenv("GN_TEST_FORMAT");

    if (name && !strcmp(name, "2level"))
        return GN_PAGING_X86_32;
    return name && !strcmp(name, "pae") ? GN_PAGING_X86_PAE : in_force;
}

static void the_processor_sees_the_same_through_the_shadow(void **state)
{
    const uint64_t n = cases();
    const int la57 = (gn_x86_64_features() & GN_X86_64_HAS_LA57) != 0;
    const uint32_t in_force = la57 ? GN_PAGING_X86_5LEVEL : GN_PAGING_X86_4LEVEL;
    const uint32_t format = format_of(in_force);

    (void)state;
    assert_int_equal(world_open(&world, format, gn_test_seed()), 0);
    assert_int_equal(probe32_open(), 0);
    shadowed_open(&world);
    for (uint64_t i = 0, done = 0; done < n; i++) {
        move_on(i, in_force);
        done += (uint64_t)one_case(i);
    }
    print_message("%s: %llu accesses performed, %llu faults\n", gn_paging_format_name(format),
                  (unsigned long long)kinds[0], (unsigned long long)kinds[1]);
    print_message("%llu of descriptors; the guest wrote %llu entries, %llu of them trapped\n",
                  (unsigned long long)implicit, (unsigned long long)shadowed_writes[0],
                  (unsigned long long)shadowed_writes[1]);
    for (uint32_t code = 0; code < 64; code++)
        if (faults_by_code[code])
            print_message("  #PF code %02x: %llu\n", code,
                          (unsigned long long)faults_by_code[code]);
    for (uint32_t i = 0; i < EXCEPTIONS; i++)
        print_message("  exception \"%s\": %llu\n", exception_name[i],
                      (unsigned long long)exceptions[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_processor_sees_the_same_through_the_shadow),
    };

    return cmocka_run_group_tests_name("oracle", tests, NULL, NULL);
}
