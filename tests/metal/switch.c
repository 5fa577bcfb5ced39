/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The switch page at work: from long mode to a 32-bit world with tables, descriptors and handlers
 * of its own, and back, thousands of times; with NMIs at every point; and counted.
 */

#include "worlds.h"

#include <gnomon/x86_64.h>

#include "gn_test.h"

#define PAGE   WORLD_PAGE
#define ROUNDS 2000u
#define BAR    120u
#define WINDOW 55u /* instructions between LIDT of the page's and of a world's, both ways */

#define MSR_SYSENTER_ESP 0x175u

/* What a switch must not change. */
struct registers {
    uint64_t cr0, cr3, cr4, efer, fs_base, gs_base, sysenter, flags;
    uint16_t ds, es, ss, fs, gs, tr;
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } gdt, idt;
};

uint64_t switch_call(const void *enter, uint64_t sled);
uint64_t switch_count(const void *enter);
void switch_empty(void);

static volatile uint32_t nmis;

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

static int setup(void **state)
{
    (void)state;
    return world_open();
}

/* ---- tests -------------------------------------------------------------------------------- */

static void round_trips(int pae, uint32_t without)
{
    struct gn_modeswitch_params p = world_params(pae);
    struct world w;
    struct registers before, after;

    p.flags &= ~without;
    p.msrs = 1;
    p.msr[0] = MSR_SYSENTER_ESP;
    p.msr_value[0] = 0x3232;
    assert_int_equal(world_make(&w, &p), 0);
    msr_set(MSR_SYSENTER_ESP, 0x646464646464);
    msr_set(0xc0000101, 0x123456789abc);
    before = registers();
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        *(uint32_t *)world_at(WORLD_PAGES) = i; /* the other world sees what this one writes */
        assert_int_equal(switch_call(w.enter, 0), 0);
        assert_int_equal(*world_word(LEGACY_ROUNDS), i);
        assert_int_equal(*world_word(LEGACY_SUM), world_sum());
        assert_int_equal(*world_word(LEGACY_FAULTS), i);
    }
    after = registers();
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(*world_word(LEGACY_CR2), LEGACY_ABSENT);
    assert_int_equal(*world_word(LEGACY_ERROR), 0);
    assert_int_equal(*world_word(LEGACY_WRONG), 0);
    assert_int_equal(*(uint32_t *)(void *)((uint8_t *)world_at(PAGE) + w.layout.latched), 0);
}

static void a_pae_world_runs_and_all_is_kept(void **state)
{
    (void)state;
    round_trips(1, 0);
}

static void a_world_of_two_levels_runs_and_all_is_kept(void **state)
{
    (void)state;
    round_trips(0, 0);
}

static void bases_are_kept_by_msrs_where_there_is_no_rdfsbase(void **state)
{
    (void)state;
    round_trips(1, GN_MODESWITCH_FSGSBASE);
}

static void a_pcid_is_kept(void **state)
{
    uint64_t cr3;

    (void)state;
    if (!(gn_x86_64_features() & GN_X86_64_HAS_PCID)) {
        print_message("skipped: the processor has no PCIDs\n");
        skip();
    }
    __asm__ volatile("movq %%cr3, %0" : "=r"(cr3));
    /* Outside long mode some of these bits are PWT and PCD. */
    gn_x86_64_root_load(gn_hpa(cr3 | 0xfdb));
    round_trips(1, 0);
    round_trips(0, GN_MODESWITCH_FSGSBASE);
    gn_x86_64_root_load(gn_hpa(cr3));
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
        const struct gn_modeswitch_params p = world_params(pae);

        assert_int_equal(world_make(&w, &p), 0);
        switch_call(w.enter, 0);
        *world_word(LEGACY_FAST) = 1;
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
    volatile uint32_t *apic = world_at(0xfee00000), *io = world_at(0xfec00000);

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
    const uint64_t rsp = *(const uint64_t *)(const void *)((const uint8_t *)world_at(PAGE) + 0x840);

    return (uint64_t *)(uintptr_t)((rsp & ~(uint64_t)15) - 40);
}

/* Where an NMI that was noted interrupted the switch: its frame lies below the stack's end still.
 */
static uint64_t interrupted(void)
{
    const uint64_t *frame64 = (const uint64_t *)(void *)((uint8_t *)world_at(PAGE) + 0x1000 - 40);
    const uint32_t *frame32 = (const uint32_t *)(void *)((uint8_t *)world_at(PAGE) + 0x1000 - 12);

    if (*stack64() - PAGE < GN_PAGE_SIZE)
        return *stack64() - PAGE;
    if (frame64[0] - PAGE < GN_PAGE_SIZE && frame64[4] == LEGACY_DS)
        return frame64[0] - PAGE;
    return frame32[0] - PAGE < GN_PAGE_SIZE ? frame32[0] - PAGE : 0;
}

static void frames_forget(void)
{
    memset((uint8_t *)world_at(PAGE) + 0xf00, 0, 0x100);
    *stack64() = 0;
}

static void an_nmi_at_any_instruction_is_survived_and_delivered(void **state)
{
    static uint8_t hit[4096];
    struct world w;
    const struct gn_modeswitch_params p = world_params(1);
    uint32_t places = 0, noted = 0, sent = 0;
    volatile uint32_t *latched;

    (void)state;
    assert_int_equal(world_make(&w, &p), 0);
    latched = (uint32_t *)(void *)((uint8_t *)world_at(PAGE) + w.layout.latched);
    switch_call(w.enter, 0);
    *world_word(LEGACY_FAST) = 1;
    switch_call(w.enter, 0);
    gn_x86_64_exception_hook(on_exception);
    nmi_route(1);
    nmis = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        const uint32_t before = *latched, heard = nmis + *world_word(LEGACY_NMIS);

        frames_forget();
        nmi_after(1);
        assert_int_equal(switch_call(w.enter, i), 0);
        for (uint32_t wait = 0; nmis + *world_word(LEGACY_NMIS) == heard && wait < 1000000; wait++)
            __asm__ volatile("pause");
        assert_int_equal(nmis + *world_word(LEGACY_NMIS), heard + 1);
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
        noted, places, *world_word(LEGACY_NMIS));
    assert_int_equal(*world_word(LEGACY_WRONG), 0);
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
        cmocka_unit_test(a_pcid_is_kept),
        cmocka_unit_test(a_round_trip_stays_below_the_bar),
        cmocka_unit_test(an_nmi_at_any_instruction_is_survived_and_delivered),
    };

    return cmocka_run_group_tests_name("switch", tests, setup, NULL);
}
