/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The switch page at work: from long mode to a 32-bit world with tables, descriptors and handlers
 * of its own, and back, thousands of times; with NMIs at every point; and counted.
 */

#include "legacy.h"

#include <gnomon/modeswitch.h>
#include <gnomon/x86_64.h>

#include "gn_test.h"

#define PAGE    0x700000u /* the switch page; what follows is the 32-bit world's */
#define CODE    0x701000u
#define DATA    0x702000u
#define STACK   0x703000u
#define TABLES  0x704000u
#define PAGES   0x710000u
#define FRAMES  0x20u
#define ROUNDS  2000u
#define BAR     120u
#define WINDOW  55u /* instructions between LIDT of the page's and of a world's, both ways */
#define CR4_PAE 0x20u
#define CR4_PSE 0x10u

#define MSR_SYSENTER_ESP 0x175u

struct world {
    struct gn_modeswitch_params params;
    struct gn_modeswitch_layout layout;
    const void *enter;
};

/* What a switch must not change. */
struct registers {
    uint64_t cr0, cr3, cr4, efer, fs_base, gs_base, sysenter, flags;
    uint16_t ds, es, ss, fs, gs, tr;
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } gdt, idt;
};

extern const uint8_t legacy_begin[], legacy_end[], legacy_fault[], legacy_nmi[];
uint64_t switch_call(const void *enter, uint64_t sled);
uint64_t switch_count(const void *enter);
void switch_empty(void);

static gn_hpa_t root;
static volatile uint32_t nmis;

static void *at(uint64_t hpa)
{
    return gn_x86_64_direct(gn_hpa(hpa));
}

static uint32_t *word(uint32_t offset)
{
    return (uint32_t *)(void *)((uint8_t *)at(DATA) + offset);
}

static uint64_t msr(uint32_t number)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
    return (uint64_t)high << 32 | low;
}

static void msr_set(uint32_t number, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(number));
}

static struct registers registers(void)
{
    struct registers r;

    memset(&r, 0, sizeof r);
    __asm__ volatile("movq %%cr0, %0" : "=r"(r.cr0));
    __asm__ volatile("movq %%cr3, %0" : "=r"(r.cr3));
    __asm__ volatile("movq %%cr4, %0" : "=r"(r.cr4));
    __asm__ volatile("pushfq; popq %0" : "=r"(r.flags));
    __asm__ volatile("sgdt %0" : "=m"(r.gdt));
    __asm__ volatile("sidt %0" : "=m"(r.idt));
    __asm__ volatile("movw %%ds, %0" : "=m"(r.ds));
    __asm__ volatile("movw %%es, %0" : "=m"(r.es));
    __asm__ volatile("movw %%ss, %0" : "=m"(r.ss));
    __asm__ volatile("movw %%fs, %0" : "=m"(r.fs));
    __asm__ volatile("movw %%gs, %0" : "=m"(r.gs));
    __asm__ volatile("str %0" : "=m"(r.tr));
    r.flags &= ~(uint64_t)0x8d5; /* those of arithmetic are nobody's */
    r.efer = msr(0xc0000080);
    r.fs_base = msr(0xc0000100);
    r.gs_base = msr(0xc0000101);
    r.sysenter = msr(MSR_SYSENTER_ESP);
    return r;
}

/* ---- the two worlds ----------------------------------------------------------------------- */

/* Maps a 4 KiB page in long mode, tables from the heap; identity. */
static void map_identity(uint64_t address)
{
    uint64_t *table = gn_x86_64_direct(root);
    const int levels = gn_x86_64_features() & GN_X86_64_HAS_LA57 ? 5 : 4;

    for (int level = levels - 1; level; level--) {
        uint64_t *entry = &table[address >> (12 + 9 * level) & 511];

        if (!*entry) {
            gn_hpa_t frame;

            assert_int_equal(gn_x86_64_frames_alloc(1, GN_PAGE_SIZE, &frame), 0);
            memset(gn_x86_64_direct(frame), 0, GN_PAGE_SIZE);
            *entry = frame.v | 3;
        }
        table = at(*entry & ~GN_PAGE_MASK);
    }
    table[address >> 12 & 511] = address | 3;
}

/* Two levels: a directory, a table for each 4 MiB. */
static void map32(uint32_t address, uint32_t frame, uint32_t *next)
{
    uint32_t *directory = at(TABLES), *table;
    uint32_t *entry = &directory[address >> 22];

    if (!*entry) {
        *entry = *next | 3;
        *next += GN_PAGE_SIZE;
    }
    table = at(*entry & ~0xfffu);
    table[address >> 12 & 1023] = frame | 3;
}

/* PAE: four pointers in front, in the first frame. */
static void map_pae(uint32_t address, uint32_t frame, uint32_t *next)
{
    uint64_t *table = at(TABLES);

    for (uint32_t level = 2; level; level--) {
        uint64_t *entry = &table[address >> (level == 2 ? 30 : 21) & (level == 2 ? 3 : 511)];

        if (!*entry) {
            *entry = *next | (level == 2 ? 1 : 3);
            *next += GN_PAGE_SIZE;
        }
        table = at(*entry & ~GN_PAGE_MASK);
    }
    table[address >> 12 & 511] = frame | 3;
}

static void map_world(int pae)
{
    void (*const map)(uint32_t, uint32_t, uint32_t *) = pae ? map_pae : map32;
    uint32_t next = TABLES + GN_PAGE_SIZE;

    map(PAGE, PAGE, &next);
    map(LEGACY_CODE, CODE, &next);
    map(LEGACY_DATA, DATA, &next);
    map(LEGACY_STACK - 0x1000, STACK, &next);
    for (uint32_t i = 0; i < LEGACY_COUNT; i++)
        map(LEGACY_PAGES + i * 0x1000, PAGES + (i * 7 % LEGACY_COUNT) * 0x1000, &next);
    assert_true(next <= PAGES);
}

static void gate(uint32_t vector, const uint8_t *to)
{
    const uint32_t offset = LEGACY_CODE + (uint32_t)(to - legacy_begin);

    word(LEGACY_IDT)[vector * 2] = (uint32_t)LEGACY_CS << 16 | (offset & 0xffff);
    word(LEGACY_IDT)[vector * 2 + 1] = (offset & 0xffff0000) | 0x8e00;
}

static struct gn_modeswitch_params params_of(int pae)
{
    struct gn_modeswitch_params p = {
        GN_MODESWITCH_PARAMS_INIT,
        .form = GN_MODESWITCH_RING0,
        .flags = GN_MODESWITCH_FSGSBASE,
        .address = PAGE,
        .code64 = 0x08,
        .code32 = LEGACY_CS,
        .data = LEGACY_DS,
        .eip = LEGACY_CODE,
        .esp = LEGACY_STACK,
        .cr3 = TABLES,
        .cr0 = 0x80010031,
        .cr4 = pae ? CR4_PAE : CR4_PSE,
        .gdt = LEGACY_DATA + LEGACY_GDT,
        .gdt_limit = 0x3f,
        .idt = LEGACY_DATA + LEGACY_IDT,
        .idt_limit = 32 * 8 - 1,
    };

    return p;
}

static void world_make(struct world *w, const struct gn_modeswitch_params *p)
{
    memset(at(PAGE), 0, FRAMES * GN_PAGE_SIZE);
    map_world(p->cr4 & CR4_PAE);
    memcpy(at(CODE), legacy_begin, (size_t)(legacy_end - legacy_begin));
    ((uint64_t *)at(DATA))[LEGACY_CS / 8] = 0x00cf9b000000ffff;
    ((uint64_t *)at(DATA))[LEGACY_DS / 8] = 0x00cf93000000ffff;
    gate(14, legacy_fault);
    gate(2, legacy_nmi);
    for (uint32_t i = 0; i < LEGACY_COUNT; i++)
        *(uint32_t *)at(PAGES + i * 0x1000) = 0x1000000u + i * i;
    w->params = *p;
    assert_int_equal(gn_modeswitch_emit(at(PAGE), GN_PAGE_SIZE, p, &w->layout), 0);
    w->enter = (const void *)(uintptr_t)(PAGE + w->layout.enter);
    *word(LEGACY_BACK) = PAGE + w->layout.back;
    *word(LEGACY_BACK + 4) = LEGACY_CS;
}

static int setup(void **state)
{
    uint64_t cr4;

    (void)state;
    if (gn_x86_64_frames_claim(gn_hpa(PAGE), FRAMES) ||
        gn_x86_64_frames_alloc(1, GN_PAGE_SIZE, &root))
        return -1;
    memset(gn_x86_64_direct(root), 0, GN_PAGE_SIZE);
    gn_x86_64_root_adopt(gn_x86_64_direct(root));
    map_identity(PAGE);
    gn_x86_64_root_load(root);
    __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | 0x10000)); /* FSGSBASE */
    return 0;
}

static uint32_t expected_sum(void)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < LEGACY_COUNT; i++)
        sum += 0x1000000u + i * i;
    return sum;
}

/* ---- tests -------------------------------------------------------------------------------- */

static void round_trips(int pae, uint32_t flags)
{
    struct gn_modeswitch_params p = params_of(pae);
    struct world w;
    struct registers before, after;

    p.flags = flags;
    p.msrs = 1;
    p.msr[0] = MSR_SYSENTER_ESP;
    p.msr_value[0] = 0x3232;
    world_make(&w, &p);
    msr_set(MSR_SYSENTER_ESP, 0x646464646464);
    msr_set(0xc0000101, 0x123456789abc);
    before = registers();
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        *(uint32_t *)at(PAGES) = i; /* the other world sees what this one writes */
        assert_int_equal(switch_call(w.enter, 0), 0);
        assert_int_equal(*word(LEGACY_ROUNDS), i);
        assert_int_equal(*word(LEGACY_SUM), expected_sum() - 0x1000000u + i);
        assert_int_equal(*word(LEGACY_FAULTS), i);
    }
    after = registers();
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(*word(LEGACY_CR2), LEGACY_ABSENT);
    assert_int_equal(*word(LEGACY_ERROR), 0);
    assert_int_equal(*word(LEGACY_WRONG), 0);
    assert_int_equal(*(uint32_t *)(void *)((uint8_t *)at(PAGE) + w.layout.latched), 0);
}

static void a_pae_world_runs_and_all_is_kept(void **state)
{
    (void)state;
    round_trips(1, GN_MODESWITCH_FSGSBASE);
}

static void a_world_of_two_levels_runs_and_all_is_kept(void **state)
{
    (void)state;
    round_trips(0, GN_MODESWITCH_FSGSBASE);
}

static void bases_are_kept_by_msrs_where_there_is_no_rdfsbase(void **state)
{
    (void)state;
    round_trips(1, 0);
}

/* Under -icount shift=0 the counter counts instructions; else this says nothing and is skipped. */
static void a_round_trip_stays_below_the_bar(void **state)
{
    struct world w;
    uint64_t least = UINT64_MAX, most = 0;
    const uint64_t empty = switch_count((const void *)(uintptr_t)switch_empty);

    (void)state;
    if (!getenv("GN_TEST_ICOUNT")) {
        print_message("skipped: instructions are not counted\n");
        skip();
    }
    for (int pae = 0; pae < 2; pae++) {
        const struct gn_modeswitch_params p = params_of(pae);

        world_make(&w, &p);
        switch_call(w.enter, 0);
        *word(LEGACY_FAST) = 1;
        switch_call(w.enter, 0);
        least = UINT64_MAX;
        for (uint32_t i = 0; i < 100; i++) {
            const uint64_t n = switch_count(w.enter) - empty + 2; /* CALL and RET are ours */

            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        print_message("%s: %llu to %llu instructions a round trip, bar %u, bare minimum 81\n",
                      pae ? "PAE" : "two levels", (unsigned long long)least,
                      (unsigned long long)most, BAR);
    }
    assert_true(most <= BAR);
}

static int on_exception(struct gn_x86_64_frame *frame)
{
    if (frame->vector != 2)
        return 0;
    nmis++;
    return 1;
}

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

/* The timer's line, input 2 of the I/O APIC, becomes an NMI. */
static void nmi_route(int on)
{
    volatile uint32_t *apic = at(0xfee00000), *io = at(0xfec00000);

    apic[0xf0 / 4] = 0x1ff;
    io[0] = 0x10 + 2 * 2;
    io[4] = on ? 0x400 : 0x10000;
}

/* One NMI, so many ticks of 838 ns from now. */
static void nmi_after(uint32_t ticks)
{
    out8(0x43, 0x30); /* channel 0, both bytes, mode 0 */
    out8(0x40, (uint8_t)ticks);
    out8(0x40, (uint8_t)(ticks >> 8));
}

/* The 64-bit world's stack pointer, where the page keeps it: where it was when CLI came. */
static uint64_t *stack64(void)
{
    const uint64_t rsp = *(const uint64_t *)(const void *)((const uint8_t *)at(PAGE) + 0x840);

    return (uint64_t *)(uintptr_t)((rsp & ~(uint64_t)15) - 40);
}

/* Where an NMI that was noted interrupted the switch: its frame lies below the stack's end still.
 */
static uint64_t interrupted(void)
{
    const uint64_t *frame64 = (const uint64_t *)(void *)((uint8_t *)at(PAGE) + 0x1000 - 40);
    const uint32_t *frame32 = (const uint32_t *)(void *)((uint8_t *)at(PAGE) + 0x1000 - 12);

    if (*stack64() - PAGE < GN_PAGE_SIZE)
        return *stack64() - PAGE;
    if (frame64[0] - PAGE < GN_PAGE_SIZE && frame64[4] == LEGACY_DS)
        return frame64[0] - PAGE;
    return frame32[0] - PAGE < GN_PAGE_SIZE ? frame32[0] - PAGE : 0;
}

static void frames_forget(void)
{
    memset((uint8_t *)at(PAGE) + 0xf00, 0, 0x100);
    *stack64() = 0;
}

static void an_nmi_at_any_instruction_is_survived_and_delivered(void **state)
{
    static uint8_t hit[4096];
    struct world w;
    const struct gn_modeswitch_params p = params_of(1);
    uint32_t places = 0, noted = 0, sent = 0;
    volatile uint32_t *latched;

    (void)state;
    world_make(&w, &p);
    latched = (uint32_t *)(void *)((uint8_t *)at(PAGE) + w.layout.latched);
    switch_call(w.enter, 0);
    *word(LEGACY_FAST) = 1;
    switch_call(w.enter, 0);
    gn_x86_64_exception_hook(on_exception);
    nmi_route(1);
    nmis = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        const uint32_t before = *latched, heard = nmis + *word(LEGACY_NMIS);

        frames_forget();
        nmi_after(1);
        assert_int_equal(switch_call(w.enter, i), 0);
        for (uint32_t wait = 0; nmis + *word(LEGACY_NMIS) == heard && wait < 1000000; wait++)
            __asm__ volatile("pause");
        assert_int_equal(nmis + *word(LEGACY_NMIS), heard + 1);
        sent++;
        if (*latched == before)
            continue;
        noted++;
        assert_int_not_equal(interrupted(), 0);
        places += !hit[interrupted()];
        hit[interrupted()] = 1;
    }
    nmi_route(0);
    gn_x86_64_exception_hook(NULL);
    print_message(
        "%u NMIs, %u of them in mid-switch, at %u places; %u handled in the 32-bit world\n", sent,
        noted, places, *word(LEGACY_NMIS));
    assert_int_equal(*word(LEGACY_WRONG), 0);
    /* Counted, each step of the sweep is one instruction: none of the page's own IDT is left out.
     */
    if (getenv("GN_TEST_ICOUNT"))
        assert_true(places >= WINDOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pae_world_runs_and_all_is_kept),
        cmocka_unit_test(a_world_of_two_levels_runs_and_all_is_kept),
        cmocka_unit_test(bases_are_kept_by_msrs_where_there_is_no_rdfsbase),
        cmocka_unit_test(a_round_trip_stays_below_the_bar),
        cmocka_unit_test(an_nmi_at_any_instruction_is_survived_and_delivered),
    };

    return cmocka_run_group_tests_name("switch", tests, setup, NULL);
}
