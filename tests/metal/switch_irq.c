/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Maskable interrupts and machine checks across a switch: which world has them, and where.
 */

#include "worlds.h"

#include <gnomon/x86_64.h>

#include "gn_test.h"

#define PAGE  WORLD_PAGE
#define SWEEP 1000u
/* Instructions at which an interrupt is held, at least: the way there, and there and back. */
#define HELD_THERE 50u
#define HELD_BOTH  100u

#define CHECKS     60u
#define CHECK_WAIT 100000u /* switches until it has come, at the most */
#define MCG_STATUS 0x17a
#define CR4_MCE    0x40u
#define MONITOR    0x2f8 /* the second serial line: QEMU's monitor */

uint64_t switch_call(const void *enter, uint64_t sled);

static volatile uint32_t irqs, checks;
static volatile uint64_t irq_rip;

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* What is saved is an FXSAVE area, and a pointer to the frame behind it. */
static void *on_irq(uint32_t line, void *saved)
{
    struct gn_x86_64_frame *frame;

    (void)line;
    memcpy(&frame, (uint8_t *)saved + 512, sizeof frame);
    irq_rip = frame->rip;
    irqs++;
    return saved;
}

static void interrupts(int on)
{
    if (on)
        __asm__ volatile("sti; nop" : : : "memory");
    else
        __asm__ volatile("cli" : : : "memory");
}

/* One interrupt on line 0, so many ticks of 838 ns from now; 0: 65536. */
static void timer_after(uint32_t ticks)
{
    out8(0x43, 0x30); /* channel 0, both bytes, mode 0 */
    out8(0x40, (uint8_t)ticks);
    out8(0x40, (uint8_t)(ticks >> 8));
}

static void timer_once(void)
{
    timer_after(1);
}

/* The firmware's timer may tick still: it gives way to one that has come. Interrupts are off then.
 */
static void timer_begin(void)
{
    uint32_t before;

    timer_after(0);
    gn_x86_64_irq_enable(on_irq, 1);
    interrupts(1);
    interrupts(0);
    before = irqs;
    timer_once();
    interrupts(1);
    for (uint32_t i = 0; i < 1000000 && irqs == before; i++)
        __asm__ volatile("pause");
    interrupts(0);
    assert_int_equal(irqs, before + 1);
    irqs = 0;
}

/* Does the controller hold one that the processor did not take? */
static int is_pending(void)
{
    out8(0x20, 0x0a);
    return in8(0x20) & 1;
}

static void pend(void)
{
    timer_once();
    for (uint32_t i = 0; i < 1000000 && !is_pending(); i++)
        __asm__ volatile("pause");
    assert_true(is_pending());
}

static uint32_t find(uint32_t from, uint8_t first, uint8_t second)
{
    const uint8_t *page = world_at(PAGE);

    while (from < GN_PAGE_SIZE - 1 && (page[from] != first || page[from + 1] != second))
        from++;
    return from;
}

/* Offsets in the page, of each way: behind CLI, and behind POPF. */
struct held {
    uint32_t there_from, there_to, back_from, back_to;
};

static struct held held_find(const struct gn_modeswitch_layout *l)
{
    const struct held h = {
        .there_from = find(l->code64_begin, 0x9c, 0xfa) + 2, /* PUSHF; CLI */
        .there_to = find(l->code32_begin, 0x9d, 0xcb) + 1,   /* POPF; RETF */
        .back_from = find(l->code32_begin, 0x9c, 0xfa) + 2,
        .back_to = find(l->tail64_begin, 0x9d, 0x41) + 1, /* POPF; POP R15 */
    };

    assert_true(h.there_from < h.there_to && h.there_to < l->code32_end);
    assert_true(h.there_to < h.back_from && h.back_from < h.back_to && h.back_to < l->tail64_end);
    return h;
}

/* A world that does nothing but switch, with interrupts on or off. */
static void world_begin(struct world *w, const struct gn_modeswitch_params *p, uint32_t on)
{
    assert_int_equal(world_make(w, p), 0);
    assert_int_equal(switch_call(w->enter, 0), 0);
    *world_word(LEGACY_STI) = on;
    *world_word(LEGACY_FAST) = 1;
    assert_int_equal(switch_call(w->enter, 0), 0);
    irqs = checks = 0;
}

static int setup(void **state)
{
    (void)state;
    return world_open();
}

/* ---- tests -------------------------------------------------------------------------------- */

static void a_pending_interrupt_arrives_in_the_32_bit_world_that_takes_interrupts(void **state)
{
    struct world w;

    (void)state;
    for (int pae = 0; pae < 2; pae++) {
        const struct gn_modeswitch_params p = world_params(pae);

        world_begin(&w, &p, 1);
        timer_begin();
        for (uint32_t i = 1; i <= 100; i++) {
            pend();
            assert_int_equal(switch_call(w.enter, 0), 0);
            assert_int_equal(*world_word(LEGACY_IRQS), i);
            assert_int_equal(*world_word(LEGACY_IRQ_EIP), PAGE + held_find(&w.layout).there_to);
            assert_false(is_pending());
        }
        gn_x86_64_irq_disable();
        assert_int_equal(irqs, 0);
        assert_int_equal(*world_word(LEGACY_WRONG), 0);
    }
}

static void an_interrupt_that_neither_world_takes_stays_pending_until_one_does(void **state)
{
    struct world w;

    (void)state;
    for (int pae = 0; pae < 2; pae++) {
        const struct gn_modeswitch_params p = world_params(pae);

        world_begin(&w, &p, 0);
        timer_begin();
        for (uint32_t i = 1; i <= 100; i++) {
            pend();
            for (uint32_t n = 0; n < 3; n++)
                assert_int_equal(switch_call(w.enter, 0), 0);
            assert_int_equal(irqs, i - 1);
            assert_true(is_pending());
            interrupts(1);
            interrupts(0);
            assert_int_equal(irqs, i);
        }
        gn_x86_64_irq_disable();
        assert_int_equal(*world_word(LEGACY_IRQS), 0);
        assert_int_equal(*world_word(LEGACY_WRONG), 0);
    }
}

/* One interrupt at each step. @return how many were held until a POPF */
static uint32_t sweep(const struct world *w)
{
    const struct held h = held_find(&w->layout);
    uint32_t held = 0;

    for (uint32_t i = 0; i < SWEEP; i++) {
        const uint32_t heard = irqs + *world_word(LEGACY_IRQS), there = *world_word(LEGACY_IRQS);
        uint64_t at;

        timer_once();
        assert_int_equal(switch_call(w->enter, i), 0);
        for (uint32_t wait = 0; irqs + *world_word(LEGACY_IRQS) == heard && wait < 1000000; wait++)
            __asm__ volatile("pause");
        assert_int_equal(irqs + *world_word(LEGACY_IRQS), heard + 1);
        at = (*world_word(LEGACY_IRQS) != there ? *world_word(LEGACY_IRQ_EIP) : irq_rip) - PAGE;
        /* CLI itself may be interrupted before it has begun. */
        assert_false(at >= h.there_from && at < h.there_to);
        assert_false(at >= h.back_from && at < h.back_to);
        held += at == h.there_to || at == h.back_to;
    }
    return held;
}

static void an_interrupt_at_any_instruction_is_held_until_a_world_takes_it(void **state)
{
    struct world w;

    (void)state;
    for (uint32_t on = 0; on < 2; on++) {
        const struct gn_modeswitch_params p = world_params(1);
        uint32_t held;

        world_begin(&w, &p, on);
        timer_begin();
        interrupts(1);
        held = sweep(&w);
        gn_x86_64_irq_disable();
        print_message("32-bit world with interrupts %s: %u, %u of them held for a POPF; %u handled "
                      "in the 32-bit world\n",
                      on ? "on" : "off", SWEEP, held, *world_word(LEGACY_IRQS));
        assert_int_equal(*world_word(LEGACY_WRONG), 0);
        assert_true(on || !*world_word(LEGACY_IRQS));
        if (!getenv("GN_TEST_ICOUNT"))
            continue;
        /* Each step of the sweep is one instruction: none of the switch's is left out. */
        assert_true(held >= HELD_BOTH);
        assert_true(!on || *world_word(LEGACY_IRQS) >= HELD_THERE);
    }
}

static void mcip_clear(void)
{
    __asm__ volatile("wrmsr" : : "a"(0), "d"(0), "c"(MCG_STATUS));
}

static int on_exception(struct gn_x86_64_frame *frame)
{
    if (frame->vector != 18)
        return 0;
    checks++;
    mcip_clear();
    return 1;
}

/* Says something to the monitor; what it answers is of no interest. */
static void monitor(const char *command)
{
    for (; *command; command++) {
        while (!(in8(MONITOR + 5) & 0x20))
            __asm__ volatile("pause");
        out8(MONITOR, (uint8_t)*command);
        while (in8(MONITOR + 5) & 1)
            (void)in8(MONITOR);
    }
}

/* Processor 0, bank 1: VAL, UC, EN; MCIP, RIPV. */
static void check_make(void)
{
    monitor("mce 0 1 0xb000000000000000 5 0 0\n");
}

/* Machine checks that come at any time. @return how many came in mid-switch */
static uint32_t checks_make(const struct world *w)
{
    const volatile uint32_t *latched =
        (uint32_t *)(void *)((uint8_t *)world_at(PAGE) + w->layout.latched);

    for (uint32_t i = 0; i < CHECKS; i++) {
        const uint32_t before = *latched;

        check_make();
        for (uint32_t n = 0; checks + *world_word(LEGACY_CHECKS) == i && n < CHECK_WAIT; n++)
            assert_int_equal(switch_call(w->enter, 0), 0);
        assert_int_equal(checks + *world_word(LEGACY_CHECKS), i + 1);
        assert_true(*latched - before <= 1);
    }
    return *latched;
}

static void a_machine_check_is_noted_in_mid_switch_and_delivered_on_arrival(void **state)
{
    uint64_t cr4;

    (void)state;
    if (!getenv("GN_TEST_MONITOR")) {
        print_message("skipped: no monitor on the second serial line\n");
        skip();
    }
    __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | CR4_MCE));
    gn_x86_64_exception_hook(on_exception);
    mcip_clear();
    for (int pae = 0; pae < 2; pae++) {
        struct gn_modeswitch_params p = world_params(pae);
        struct world w;
        uint32_t noted;

        p.cr4 |= CR4_MCE;
        world_begin(&w, &p, 0);
        noted = checks_make(&w);
        print_message("%s: %u machine checks, %u of them in mid-switch; %u handled in the 32-bit "
                      "world, %u in the 64-bit one\n",
                      pae ? "PAE" : "two levels", CHECKS, noted, *world_word(LEGACY_CHECKS),
                      checks);
        assert_int_not_equal(noted, 0);
        assert_int_equal(*world_word(LEGACY_WRONG), 0);
    }
    gn_x86_64_exception_hook(NULL);
    __asm__ volatile("movq %0, %%cr4" : : "r"(cr4));
}

/* ---- what ends the machine: the runner looks how it ended ----------------------------------- */

static int mcip_stays(struct gn_x86_64_frame *frame)
{
    checks += frame->vector == 18;
    return frame->vector == 18;
}

/* A handler that leaves MCIP set, and one machine check more. */
static void second_check(const struct world *w)
{
    gn_x86_64_exception_hook(mcip_stays);
    while (!checks) { /* the 32-bit world's handler clears it */
        const uint32_t before = *world_word(LEGACY_CHECKS);

        check_make();
        for (uint32_t n = 0; checks + *world_word(LEGACY_CHECKS) == before && n < CHECK_WAIT; n++)
            assert_int_equal(switch_call(w->enter, 0), 0);
        assert_int_not_equal(checks + *world_word(LEGACY_CHECKS), before);
    }
    print_message("the second machine check shuts down\n");
    check_make();
}

/* GN_TEST_SHUTDOWN says why the machine ends: second, or no-mce. Nothing behind it is reached. */
static void a_machine_check_that_cannot_be_taken_shuts_down(void **state)
{
    const int second = !strcmp(getenv("GN_TEST_SHUTDOWN"), "second");
    struct gn_modeswitch_params p = world_params(1);
    struct world w;
    uint64_t cr4;

    (void)state;
    __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("movq %0, %%cr4" : : "r"(second ? cr4 | CR4_MCE : cr4 & ~(uint64_t)CR4_MCE));
    p.cr4 |= second ? CR4_MCE : 0;
    mcip_clear();
    world_begin(&w, &p, 0);
    if (second) {
        second_check(&w);
    } else {
        print_message("a machine check without CR4.MCE shuts down\n");
        check_make();
    }
    for (uint32_t n = 0; n < 10000; n++)
        assert_int_equal(switch_call(w.enter, 0), 0);
    fail_msg("the machine goes on");
}

static int shutdown_main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_check_that_cannot_be_taken_shuts_down),
    };

    return cmocka_run_group_tests_name("switch_shutdown", tests, setup, NULL);
}

int main(void)
{
    if (getenv("GN_TEST_SHUTDOWN"))
        return shutdown_main();

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pending_interrupt_arrives_in_the_32_bit_world_that_takes_interrupts),
        cmocka_unit_test(an_interrupt_that_neither_world_takes_stays_pending_until_one_does),
        cmocka_unit_test(an_interrupt_at_any_instruction_is_held_until_a_world_takes_it),
        cmocka_unit_test(a_machine_check_is_noted_in_mid_switch_and_delivered_on_arrival),
    };

    return cmocka_run_group_tests_name("switch_irq", tests, setup, NULL);
}
