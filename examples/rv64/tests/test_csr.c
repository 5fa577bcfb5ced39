/* SPDX-License-Identifier: BSD-3-Clause */

/* Control and status registers, and what privilege forbids. */

#include "cpu_fixture.h"

#define SATP_SV39 (UINT64_C(8) << 60)

static uint64_t csr(struct fixture *f, uint32_t number)
{
    uint64_t value = UINT64_C(0x5a5a5a5a5a5a5a5a);

    assert_int_equal(rv64_csr_read(&f->cpu, number, &value), 0);
    return value;
}

static void write_csr(struct fixture *f, uint32_t number, uint64_t value)
{
    assert_int_equal(rv64_csr_write(&f->cpu, number, value), 0);
}

static void assert_forbidden(struct fixture *f, uint32_t number)
{
    uint64_t value;

    assert_int_equal(rv64_csr_read(&f->cpu, number, &value), -1);
}

static void satp_takes_only_modes_that_exist(void **state)
{
    struct fixture *f = *state;
    uint64_t sv39 = SATP_SV39 | UINT64_C(0xffff) << 44 | 0x80123;
    uint64_t mode;

    write_csr(f, RV64_CSR_SATP, sv39);
    assert_int_equal(csr(f, RV64_CSR_SATP), sv39);
    for (mode = 1; mode < 16; mode++) {
        if (mode == 8)
            continue;
        write_csr(f, RV64_CSR_SATP, mode << 60 | 0x99);
        assert_int_equal(csr(f, RV64_CSR_SATP), sv39);
    }
    write_csr(f, RV64_CSR_SATP, 0);
    assert_int_equal(csr(f, RV64_CSR_SATP), 0);
    assert_int_equal(f->cpu.stats.satp_writes, 2);
}

static void the_mmu_is_told_of_changes_and_of_nothing_else(void **state)
{
    struct fixture *f = *state;
    uint32_t sets;

    rv64_cpu_start_machine(&f->cpu, BASE, 0);
    sets = f->m.context_sets;
    write_csr(f, RV64_CSR_MSTATUS, RV64_MSTATUS_MIE | RV64_MSTATUS_FS);
    assert_int_equal(f->m.context_sets, sets);
    write_csr(f, RV64_CSR_MSTATUS, RV64_MSTATUS_SUM);
    assert_int_equal(f->m.context_sets, sets + 1);
    assert_true(f->m.context.sum);
    write_csr(f, RV64_CSR_MSTATUS, RV64_MSTATUS_MXR);
    assert_true(f->m.context.mxr && !f->m.context.sum);
    write_csr(f, RV64_CSR_MSTATUS, RV64_MSTATUS_MPRV | UINT64_C(1) << RV64_MSTATUS_MPP_SHIFT);
    assert_int_equal(f->m.context.data_priv, RV64_PRIV_S);
    assert_int_equal(f->m.context.fetch_priv, RV64_PRIV_M);
    write_csr(f, RV64_CSR_SATP, SATP_SV39 | 5);
    assert_int_equal(f->m.context.satp, SATP_SV39 | 5);
}

static void mprv_ends_where_machine_mode_does(void **state)
{
    struct fixture *f = *state;

    put32(f, INSN_MRET);
    f->cpu.mepc = HANDLER;
    f->cpu.mstatus |= RV64_MSTATUS_MPRV | UINT64_C(1) << RV64_MSTATUS_MPP_SHIFT;
    run(f);
    assert_int_equal(f->cpu.priv, RV64_PRIV_S);
    assert_int_equal(f->cpu.mstatus & (RV64_MSTATUS_MPRV | RV64_MSTATUS_MPP), 0);
    assert_int_equal(f->m.context.data_priv, RV64_PRIV_S);
}

static void mstatus_keeps_what_exists(void **state)
{
    struct fixture *f = *state;

    write_csr(f, RV64_CSR_MSTATUS, UINT64_MAX);
    assert_int_equal(csr(f, RV64_CSR_MSTATUS), UINT64_C(0x8000000a007e79aa));
    assert_int_equal(csr(f, RV64_CSR_SSTATUS), UINT64_C(0x80000002000c6122));
    write_csr(f, RV64_CSR_MSTATUS, UINT64_C(2) << RV64_MSTATUS_MPP_SHIFT); /* no such mode */
    assert_int_equal(csr(f, RV64_CSR_MSTATUS) & RV64_MSTATUS_MPP, RV64_MSTATUS_MPP);
    write_csr(f, RV64_CSR_SSTATUS, UINT64_MAX);
    assert_int_equal(csr(f, RV64_CSR_MSTATUS) & RV64_MSTATUS_MIE, 0);
}

static void registers_keep_legal_values_only(void **state)
{
    static const struct {
        uint32_t number;
        uint64_t all_ones; /* what is read after writing that */
    } registers[] = {
        {RV64_CSR_MEDELEG, 0xb3ff},      {RV64_CSR_MIDELEG, 0x222},
        {RV64_CSR_MIE, 0xaaa},           {RV64_CSR_SIE, 0x222},
        {RV64_CSR_MTVEC, ~UINT64_C(2)},  {RV64_CSR_STVEC, ~UINT64_C(2)},
        {RV64_CSR_MEPC, ~UINT64_C(1)},   {RV64_CSR_SEPC, ~UINT64_C(1)},
        {RV64_CSR_MCOUNTEREN, 7},        {RV64_CSR_SCOUNTEREN, 7},
        {RV64_CSR_MCOUNTINHIBIT, 5},     {RV64_CSR_MISA, UINT64_C(0x800000000014112d)},
        {RV64_CSR_PMPCFG0, 0},           {RV64_CSR_PMPADDR0, 0},
        {RV64_CSR_PMPADDR63, 0},         {RV64_CSR_TSELECT, 0},
        {RV64_CSR_MHPMCOUNTER3, 0},      {RV64_CSR_MHPMEVENT31, 0},
        {RV64_CSR_SENVCFG, 1},           {RV64_CSR_MENVCFG, UINT64_C(1) << 61 | 1},
        {RV64_CSR_MSCRATCH, UINT64_MAX}, {RV64_CSR_SSCRATCH, UINT64_MAX},
        {RV64_CSR_MTVAL, UINT64_MAX},    {RV64_CSR_STVAL, UINT64_MAX},
        {RV64_CSR_FCSR, 0xff},           {RV64_CSR_FRM, 7},
        {RV64_CSR_FFLAGS, 31},
    };
    struct fixture *f = *state;
    uint32_t i;

    f->cpu.mstatus |= RV64_MSTATUS_FS;
    for (i = 0; i < sizeof registers / sizeof *registers; i++) {
        write_csr(f, registers[i].number, UINT64_MAX);
        assert_int_equal(csr(f, registers[i].number), registers[i].all_ones);
    }
}

static void some_registers_are_not_there(void **state)
{
    static const uint32_t numbers[] = {0x3a1, 0x3ef + 1, 0x7a4, 0x7b0, 0x800, 0x34a,
                                       0x600, 0x14d,     0xb01, 0xf16, 0x200};
    struct fixture *f = *state;
    uint32_t i;

    for (i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_forbidden(f, numbers[i]);
    assert_int_equal(rv64_csr_write(&f->cpu, RV64_CSR_MVENDORID, 0), -1);
    assert_int_equal(rv64_csr_write(&f->cpu, RV64_CSR_CYCLE, 0), -1);
}

static void a_read_only_register_may_be_read_with_csrrs_x0(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[6] = 5;
    put32(f, csrrs(6, RV64_CSR_MVENDORID, 0));
    put32(f, csrrs(7, RV64_CSR_MVENDORID, 6));
    run(f);
    assert_int_equal(f->cpu.x[6], 0);
    /* x6 is zero, but is not x0: that is a write (Unprivileged ISA, section 9.1). */
    assert_int_equal(f->cpu.mcause, RV64_CAUSE_ILLEGAL);
    assert_int_equal(f->cpu.mepc, BASE + 4);
}

static void counters_need_leave_from_above(void **state)
{
    struct fixture *f = *state;

    f->now = 1234;
    assert_int_equal(csr(f, RV64_CSR_TIME), 1234);
    f->cpu.priv = RV64_PRIV_S;
    assert_forbidden(f, RV64_CSR_TIME);
    f->cpu.mcounteren = 2;
    assert_int_equal(csr(f, RV64_CSR_TIME), 1234);
    assert_forbidden(f, RV64_CSR_CYCLE);
    f->cpu.priv = RV64_PRIV_U;
    assert_forbidden(f, RV64_CSR_TIME);
    f->cpu.scounteren = 2;
    assert_int_equal(csr(f, RV64_CSR_TIME), 1234);
    assert_forbidden(f, RV64_CSR_INSTRET);
}

static void instret_counts_each_instruction(void **state)
{
    struct fixture *f = *state;

    put32(f, csrrs(5, RV64_CSR_MINSTRET, 0));
    put32(f, addi(9, 0, 100));
    put16(f, INSN_C_NOP);
    put32(f, csrrs(6, RV64_CSR_MINSTRET, 0));
    put32(f, csrrw(0, RV64_CSR_MINSTRET, 9));
    put32(f, csrrs(7, RV64_CSR_MINSTRET, 0));
    run(f);
    assert_int_equal(f->cpu.x[6] - f->cpu.x[5], 3);
    assert_int_equal(f->cpu.x[7], 100);
}

static void an_inhibited_counter_stands_still(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[8] = 4;
    put32(f, csrrw(0, RV64_CSR_MCOUNTINHIBIT, 8));
    put32(f, csrrs(5, RV64_CSR_MINSTRET, 0));
    put32(f, csrrs(9, RV64_CSR_MCYCLE, 0));
    put32(f, addi(0, 0, 0));
    put32(f, csrrs(6, RV64_CSR_MINSTRET, 0));
    put32(f, csrrs(10, RV64_CSR_MCYCLE, 0));
    put32(f, csrrw(0, RV64_CSR_MCOUNTINHIBIT, 0));
    put32(f, addi(0, 0, 0));
    put32(f, csrrs(7, RV64_CSR_MINSTRET, 0));
    run(f);
    assert_int_equal(f->cpu.x[6], f->cpu.x[5]);
    assert_int_equal(f->cpu.x[7], f->cpu.x[5] + 1);
    assert_int_equal(f->cpu.x[10], f->cpu.x[9] + 3);
}

static void supervisor_sees_delegated_interrupts_only(void **state)
{
    struct fixture *f = *state;

    rv64_cpu_irq_set(&f->cpu, RV64_IRQ_STI, true);
    rv64_cpu_irq_set(&f->cpu, RV64_IRQ_MTI, true);
    assert_int_equal(csr(f, RV64_CSR_SIP), 0);
    write_csr(f, RV64_CSR_SIP, 2);
    assert_int_equal(csr(f, RV64_CSR_MIP), 0xa0);
    write_csr(f, RV64_CSR_MIDELEG, 0x222);
    write_csr(f, RV64_CSR_SIP, 0x202);
    assert_int_equal(csr(f, RV64_CSR_SIP), 0x22);
    assert_int_equal(csr(f, RV64_CSR_MIP), 0xa2);
}

static void the_plic_line_is_not_written_back(void **state)
{
    struct fixture *f = *state;
    uint64_t seip = UINT64_C(1) << RV64_IRQ_SEI;

    rv64_cpu_irq_set(&f->cpu, RV64_IRQ_SEI, true);
    f->cpu.x[5] = 0x20;
    put32(f, csrrs(6, RV64_CSR_MIP, 5));
    run(f);
    assert_int_equal(f->cpu.x[6], seip);
    assert_int_equal(f->cpu.mip, seip | 0x20);
    rv64_cpu_irq_set(&f->cpu, RV64_IRQ_SEI, false);
    assert_int_equal(f->cpu.mip, 0x20);
    write_csr(f, RV64_CSR_MIP, seip);
    assert_int_equal(csr(f, RV64_CSR_MIP), seip);
}

/* CSRRSI, CSRRS and CSRRW of sstatus.SIE. */
static void a_supervisor_enables_interrupts_in_each_way(void **state)
{
    const uint32_t ways[] = {i_insn(0x73, 6, 0, RV64_MSTATUS_SIE, RV64_CSR_SSTATUS),
                             csrrs(0, RV64_CSR_SSTATUS, 5), csrrw(0, RV64_CSR_SSTATUS, 5)};
    struct fixture *f = *state;

    f->cpu.x[5] = RV64_MSTATUS_SIE;
    f->cpu.mie = f->cpu.mideleg = 1u << RV64_IRQ_STI;
    f->cpu.stvec = HANDLER;
    for (uint32_t i = 0; i < 3; i++) {
        put32(f, ways[i]);
        put32(f, addi(6, 0, 1));
        put32(f, INSN_WFI);
    }
    for (uint64_t pc = BASE; pc < f->at; pc += 12) {
        f->cpu.priv = RV64_PRIV_S;
        f->cpu.context_known = false;
        f->cpu.mstatus &= ~(uint64_t)RV64_MSTATUS_SIE;
        f->cpu.pc = pc;
        rv64_cpu_irq_set(&f->cpu, RV64_IRQ_STI, true);
        rv64_cpu_run(&f->cpu, 100);
        assert_int_equal(f->cpu.sepc, pc + 4);
        assert_int_equal(f->cpu.x[6], 0);
    }
}

static void enabling_an_interrupt_takes_it_at_once(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[5] = RV64_MSTATUS_MIE;
    f->cpu.mie = 1u << RV64_IRQ_MTI;
    rv64_cpu_irq_set(&f->cpu, RV64_IRQ_MTI, true);
    put32(f, csrrs(0, RV64_CSR_MSTATUS, 5));
    put32(f, addi(6, 0, 1));
    put32(f, INSN_WFI);
    f->cpu.pc = BASE;
    rv64_cpu_irq_set(&f->cpu, RV64_IRQ_MTI, true);
    rv64_cpu_run(&f->cpu, 2);
    assert_int_equal(f->cpu.mepc, BASE + 4);
    assert_int_equal(f->cpu.x[6], 0);
}

static void menvcfg_says_who_sets_a_and_d(void **state)
{
    struct fixture *f = *state;
    uint64_t adue = UINT64_C(1) << 61;

    assert_int_equal(csr(f, RV64_CSR_MENVCFG), adue);
    write_csr(f, RV64_CSR_MENVCFG, 0);
    assert_true(f->cpu.svade);
    write_csr(f, RV64_CSR_MENVCFG, adue);
    assert_false(f->cpu.svade);
}

static void fs_off_forbids_floating_point(void **state)
{
    static const uint32_t codes[] = {0x00007053, 0x00053007, 0x00052007, 0x00053027,
                                     0x003022f3, 0x2100,     0xa100};
    struct fixture *f = *state;
    uint32_t i;

    f->cpu.x[10] = DATA;
    for (i = 0; i < sizeof codes / sizeof *codes; i++) {
        f->at = BASE;
        put16(f, codes[i]);
        if ((codes[i] & 3) == 3)
            put16(f, codes[i] >> 16);
        rv64_cpu_code_changed(&f->cpu, BASE, 4);
        f->cpu.mcause = 0;
        run(f);
        assert_int_equal(f->cpu.mcause, RV64_CAUSE_ILLEGAL);
        assert_int_equal(f->cpu.mtval, codes[i]);
        f->cpu.mcause = 0;
        f->cpu.x[8] = f->cpu.x[9] = f->cpu.x[10] = DATA;
        f->cpu.mstatus |= UINT64_C(1) << 13; /* Initial */
        run(f);
        assert_int_equal(f->cpu.mcause, 0);
        f->cpu.mstatus &= ~RV64_MSTATUS_FS;
    }
}

static void floating_point_writes_make_fs_dirty(void **state)
{
    struct fixture *f = *state;

    f->cpu.mstatus |= UINT64_C(1) << 13;
    f->cpu.x[10] = DATA;
    put32(f, 0x00053027); /* FSD: reads only */
    run(f);
    assert_int_equal(f->cpu.mstatus & RV64_MSTATUS_FS, 1 << 13);
    f->at = BASE;
    put32(f, 0x00053007); /* FLD */
    rv64_cpu_code_changed(&f->cpu, BASE, 4);
    run(f);
    assert_int_equal(f->cpu.mstatus & RV64_MSTATUS_FS, RV64_MSTATUS_FS);
    assert_true(csr(f, RV64_CSR_SSTATUS) & RV64_MSTATUS_SD);
}

struct forbidden {
    uint32_t code;
    uint8_t priv;
    uint64_t mstatus; /* bits that forbid it; 0: the mode does */
};

static const struct forbidden forbidden[] = {
    {INSN_MRET, RV64_PRIV_S, 0},
    {INSN_SRET, RV64_PRIV_U, 0},
    {INSN_SRET, RV64_PRIV_S, RV64_MSTATUS_TSR},
    {INSN_WFI, RV64_PRIV_U, 0},
    {INSN_WFI, RV64_PRIV_S, RV64_MSTATUS_TW},
    {INSN_SFENCE, RV64_PRIV_U, 0},
    {INSN_SFENCE, RV64_PRIV_S, RV64_MSTATUS_TVM},
    {0x180022f3, RV64_PRIV_U, 0}, /* CSRR satp */
    {0x180022f3, RV64_PRIV_S, RV64_MSTATUS_TVM},
    {0x300022f3, RV64_PRIV_S, 0}, /* CSRR mstatus */
    {0x100022f3, RV64_PRIV_U, 0}, /* CSRR sstatus */
};

static void privilege_and_mstatus_forbid(void **state)
{
    struct fixture *f = *state;
    uint32_t i;

    for (i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        f->at = BASE;
        put32(f, forbidden[i].code);
        rv64_cpu_code_changed(&f->cpu, BASE, 4);
        f->cpu.mstatus = forbidden[i].mstatus;
        f->cpu.sepc = HANDLER;
        f->cpu.mcause = 0;
        run_in(f, forbidden[i].priv);
        assert_int_equal(f->cpu.mcause, RV64_CAUSE_ILLEGAL);
        assert_int_equal(f->cpu.mtval, forbidden[i].code);
        if (!forbidden[i].mstatus)
            continue;
        f->cpu.mstatus = 0;
        f->cpu.mcause = 0;
        run_in(f, forbidden[i].priv);
        assert_int_not_equal(f->cpu.mtval == forbidden[i].code &&
                                 f->cpu.mcause == RV64_CAUSE_ILLEGAL && f->cpu.mepc == BASE,
                             1);
    }
}

static void sret_restores_what_the_trap_saved(void **state)
{
    struct fixture *f = *state;

    f->cpu.priv = RV64_PRIV_S;
    f->cpu.sepc = BASE + 0x100;
    f->cpu.mstatus = RV64_MSTATUS_SPIE;
    assert_int_equal(rv64_cpu_sret(&f->cpu), 0);
    assert_int_equal(f->cpu.priv, RV64_PRIV_U);
    assert_int_equal(f->cpu.pc, BASE + 0x100);
    assert_int_equal(f->cpu.mstatus, RV64_MSTATUS_SIE | RV64_MSTATUS_SPIE);
}

static void a_supervisor_starts_with_firmwares_work_done(void **state)
{
    struct fixture *f = *state;

    rv64_cpu_start_supervisor(&f->cpu, BASE + 0x200000, 0x87000000);
    assert_int_equal(f->cpu.pc, BASE + 0x200000);
    assert_int_equal(f->cpu.x[10], 0);
    assert_int_equal(f->cpu.x[11], 0x87000000);
    assert_int_equal(f->cpu.priv, RV64_PRIV_S);
    assert_int_equal(f->cpu.satp, 0);
    assert_int_equal(f->cpu.mideleg, 0x222);
    assert_int_equal(f->cpu.medeleg, 0xb1ff);
    assert_int_equal(csr(f, RV64_CSR_TIME), 0);
}

#define HIT(test)                                              \
    {                                                          \
#test, test, fixture_setup_hit, fixture_teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        HIT(satp_takes_only_modes_that_exist),
        HIT(the_mmu_is_told_of_changes_and_of_nothing_else),
        HIT(mprv_ends_where_machine_mode_does),
        HIT(mstatus_keeps_what_exists),
        HIT(registers_keep_legal_values_only),
        HIT(some_registers_are_not_there),
        HIT(a_read_only_register_may_be_read_with_csrrs_x0),
        HIT(counters_need_leave_from_above),
        HIT(instret_counts_each_instruction),
        HIT(an_inhibited_counter_stands_still),
        HIT(supervisor_sees_delegated_interrupts_only),
        HIT(the_plic_line_is_not_written_back),
        HIT(enabling_an_interrupt_takes_it_at_once),
        HIT(a_supervisor_enables_interrupts_in_each_way),
        HIT(menvcfg_says_who_sets_a_and_d),
        HIT(fs_off_forbids_floating_point),
        HIT(floating_point_writes_make_fs_dirty),
        HIT(privilege_and_mstatus_forbid),
        HIT(sret_restores_what_the_trap_saved),
        HIT(a_supervisor_starts_with_firmwares_work_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
