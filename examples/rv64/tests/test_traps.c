/* SPDX-License-Identifier: BSD-3-Clause */

/* Traps and interrupts: which come, in what order, where to, and what they tell. */

#include "cpu_fixture.h"

static void a_hart_that_cannot_even_trap_uses_up_its_budget(void **state)
{
    struct fixture *f = *state;

    f->cpu.mtvec = 0x1000;
    f->cpu.pc = 0x1000;
    assert_int_equal(rv64_cpu_run(&f->cpu, 100), RV64_RUN_BUDGET);
    assert_int_equal(f->cpu.stats.instructions, 0);
    assert_int_equal(f->cpu.stats.exceptions, 100);
}

static void the_device_stops_the_block_that_raised_an_interrupt(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[5] = FAKE_DEVICE;
    f->cpu.x[6] = 1;
    f->cpu.mie = 1u << RV64_IRQ_MSI;
    f->cpu.mstatus |= RV64_MSTATUS_MIE;
    put32(f, s_insn(0x23, 3, 5, 6, 0));
    put32(f, addi(7, 0, 1));
    f->at = HANDLER;
    put32(f, s_insn(0x23, 3, 5, 0, 0));
    put32(f, INSN_WFI);
    f->at = BASE + 8;
    run(f);
    assert_int_equal(f->cpu.mcause, RV64_INTERRUPT | RV64_IRQ_MSI);
    assert_int_equal(f->cpu.mepc, BASE + 4);
    assert_int_equal(f->cpu.x[7], 0);
    assert_int_equal(f->cpu.stats.interrupts, 1);
}

static void interrupts_have_their_order_and_vectors(void **state)
{
    static const uint8_t order[] = {RV64_IRQ_MEI, RV64_IRQ_MSI, RV64_IRQ_MTI,
                                    RV64_IRQ_SEI, RV64_IRQ_SSI, RV64_IRQ_STI};
    struct fixture *f = *state;
    uint32_t i;

    f->cpu.mtvec = HANDLER | 1;
    f->cpu.mie = RV64_IRQS;
    for (i = 0; i < 6; i++)
        rv64_cpu_irq_set(&f->cpu, order[i], true);
    for (i = 0; i < 6; i++) {
        f->cpu.mstatus |= RV64_MSTATUS_MIE;
        f->cpu.pc = BASE;
        assert_true(rv64_cpu_interrupt(&f->cpu));
        assert_int_equal(f->cpu.mcause, RV64_INTERRUPT | order[i]);
        assert_int_equal(f->cpu.pc, HANDLER + 4 * order[i]);
        rv64_cpu_irq_set(&f->cpu, order[i], false);
    }
    f->cpu.mstatus |= RV64_MSTATUS_MIE;
    assert_false(rv64_cpu_interrupt(&f->cpu));
}

static void delegated_interrupts_wait_for_supervisor_mode(void **state)
{
    struct fixture *f = *state;

    f->cpu.mideleg = RV64_IRQS_S;
    f->cpu.mie = RV64_IRQS;
    f->cpu.mstatus |= RV64_MSTATUS_MIE;
    rv64_cpu_irq_set(&f->cpu, RV64_IRQ_STI, true);
    assert_false(rv64_cpu_interrupt(&f->cpu)); /* M-mode is above */
    f->cpu.priv = RV64_PRIV_S;
    assert_false(rv64_cpu_interrupt(&f->cpu)); /* SIE is clear */
    f->cpu.mstatus |= RV64_MSTATUS_SIE;
    f->cpu.pc = BASE + 2;
    assert_true(rv64_cpu_interrupt(&f->cpu));
    assert_int_equal(f->cpu.scause, RV64_INTERRUPT | RV64_IRQ_STI);
    assert_int_equal(f->cpu.sepc, BASE + 2);
    assert_int_equal(f->cpu.priv, RV64_PRIV_S);
    assert_int_equal(f->cpu.mstatus & (RV64_MSTATUS_SIE | RV64_MSTATUS_SPIE | RV64_MSTATUS_SPP),
                     RV64_MSTATUS_SPIE | RV64_MSTATUS_SPP);
}

static void wfi_waits_only_while_nothing_is_pending(void **state)
{
    struct fixture *f = *state;

    put32(f, INSN_WFI);
    put32(f, addi(6, 0, 1));
    f->cpu.mie = 1u << RV64_IRQ_MTI;
    f->cpu.pc = BASE;
    assert_int_equal(rv64_cpu_run(&f->cpu, 100), RV64_RUN_WFI);
    assert_int_equal(f->cpu.pc, BASE + 4);
    assert_int_equal(rv64_cpu_run(&f->cpu, 100), RV64_RUN_WFI);
    put32(f, jal(0, 0));
    rv64_cpu_irq_set(&f->cpu, RV64_IRQ_MTI, true); /* MIE is clear: goes on without a trap */
    assert_int_equal(rv64_cpu_run(&f->cpu, 100), RV64_RUN_BUDGET);
    assert_int_equal(f->cpu.x[6], 1);
    assert_int_equal(f->cpu.stats.interrupts, 0);
}

static void ecall_asks_the_machine_in_supervisor_mode_only(void **state)
{
    static const uint8_t others[] = {RV64_PRIV_U, RV64_PRIV_M};
    struct fixture *f = *state;
    uint32_t i;

    put32(f, INSN_ECALL);
    put32(f, addi(6, 10, 1));
    run_in(f, RV64_PRIV_S);
    assert_int_equal(f->sbi_calls, 1);
    assert_int_equal(f->sbi_pc, BASE);
    assert_int_equal(f->cpu.x[6], 78);
    for (i = 0; i < 2; i++) {
        run_in(f, others[i]);
        assert_trapped(f, (uint64_t)RV64_CAUSE_ECALL_U + others[i], BASE, 0);
    }
    assert_int_equal(f->sbi_calls, 1);
}

static void the_machine_can_stop_the_hart(void **state)
{
    struct fixture *f = *state;

    f->sbi_stops = true;
    put32(f, INSN_ECALL);
    put32(f, addi(6, 0, 1));
    f->cpu.priv = RV64_PRIV_S;
    f->cpu.pc = BASE;
    assert_int_equal(rv64_cpu_run(&f->cpu, 1000), RV64_RUN_STOP);
    assert_int_equal(f->cpu.pc, BASE + 4);
    assert_int_equal(f->cpu.x[6], 0);
}

static void illegal_instructions_show_their_bits(void **state)
{
    static const uint32_t codes[] = {0x0000,
                                     0xffffffff,
                                     0x00007003,
                                     0x00002063,
                                     0x02007033 | 4u << 25,
                                     0x00000073 | 1u << 7,
                                     0x9c41,
                                     0x2001,
                                     0x8002,
                                     0x6101 & ~0x7cu,
                                     0x0000505b};
    struct fixture *f = *state;
    uint32_t i;

    for (i = 0; i < sizeof codes / sizeof *codes; i++) {
        f->at = BASE;
        put32(f, codes[i]);
        rv64_cpu_code_changed(&f->cpu, BASE, 4);
        run(f);
        assert_trapped(f, RV64_CAUSE_ILLEGAL, BASE,
                       (codes[i] & 3) == 3 ? codes[i] : codes[i] & 0xffff);
    }
}

static void ebreak_traps_in_both_lengths(void **state)
{
    struct fixture *f = *state;

    put32(f, INSN_EBREAK);
    run(f);
    assert_trapped(f, RV64_CAUSE_BREAKPOINT, BASE, BASE);
    f->at = BASE;
    put16(f, INSN_C_NOP);
    put16(f, 0x9002);
    rv64_cpu_code_changed(&f->cpu, BASE, 4);
    run(f);
    assert_trapped(f, RV64_CAUSE_BREAKPOINT, BASE + 2, BASE + 2);
}

static void delegated_exceptions_go_to_supervisor_mode(void **state)
{
    struct fixture *f = *state;

    f->cpu.medeleg = 1u << RV64_CAUSE_ILLEGAL;
    put16(f, INSN_C_NOP);
    put16(f, 0);
    run_in(f, RV64_PRIV_U);
    assert_int_equal(f->cpu.scause, RV64_CAUSE_ILLEGAL);
    assert_int_equal(f->cpu.sepc, BASE + 2);
    assert_int_equal(f->cpu.stval, 0);
    assert_int_equal(f->cpu.priv, RV64_PRIV_S);
    assert_int_equal(f->cpu.mstatus & RV64_MSTATUS_SPP, 0);
    /* From M-mode it is not delegated. */
    run(f);
    assert_trapped(f, RV64_CAUSE_ILLEGAL, BASE + 2, 0);
    assert_int_equal(f->cpu.mstatus & RV64_MSTATUS_MPP, RV64_MSTATUS_MPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_hart_that_cannot_even_trap_uses_up_its_budget),
        BOTH(the_device_stops_the_block_that_raised_an_interrupt),
        BOTH(interrupts_have_their_order_and_vectors),
        BOTH(delegated_interrupts_wait_for_supervisor_mode),
        BOTH(wfi_waits_only_while_nothing_is_pending),
        BOTH(ecall_asks_the_machine_in_supervisor_mode_only),
        BOTH(the_machine_can_stop_the_hart),
        BOTH(illegal_instructions_show_their_bits),
        BOTH(ebreak_traps_in_both_lengths),
        BOTH(delegated_exceptions_go_to_supervisor_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
