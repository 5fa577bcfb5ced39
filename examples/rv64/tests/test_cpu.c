/* SPDX-License-Identifier: BSD-3-Clause */

/* The interpreter's control: fetch, jumps, accesses, atomics, counting. */

#include "cpu_fixture.h"

static void writes_to_x0_are_lost(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[5] = DATA;
    put32(f, addi(0, 0, 5));
    put32(f, i_insn(0x03, 3, 0, 5, 0));    /* LD x0 */
    put32(f, r_insn(0x2f, 3, 0, 0, 5, 5)); /* AMOADD.D x0 */
    put32(f, jal(0, 4));
    put32(f, csrrs(0, RV64_CSR_MISA, 0));
    put32(f, addi(6, 0, 1));
    run(f);
    assert_int_equal(f->cpu.x[0], 0);
    assert_int_equal(f->cpu.x[6], 1);
}

static void loads_extend_by_their_width(void **state)
{
    static const struct {
        uint32_t funct3;
        uint64_t value;
    } loads[] = {{0, UINT64_C(0xffffffffffffff88)},
                 {1, UINT64_C(0xffffffffffff8788)},
                 {2, UINT64_C(0xffffffff85868788)},
                 {3, UINT64_C(0x8182838485868788)},
                 {4, 0x88},
                 {5, 0x8788},
                 {6, 0x85868788}};
    struct fixture *f = *state;
    uint64_t value = UINT64_C(0x8182838485868788);
    uint32_t i;

    memcpy(fake_mmu_at(&f->m, DATA), &value, sizeof value);
    f->cpu.x[5] = DATA + 2000;
    for (i = 0; i < 7; i++)
        put32(f, i_insn(0x03, loads[i].funct3, 10 + i, 5, (uint32_t)-2000));
    run(f);
    for (i = 0; i < 7; i++)
        assert_int_equal(f->cpu.x[10 + i], loads[i].value);
}

static void an_access_may_cross_a_page(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[5] = DATA + 4093;
    f->cpu.x[6] = UINT64_C(0x1122334455667788);
    put32(f, s_insn(0x23, 3, 5, 6, 0));
    put32(f, i_insn(0x03, 3, 7, 5, 0));
    run(f);
    assert_int_equal(f->cpu.x[7], f->cpu.x[6]);
}

static void a_faulting_load_changes_nothing_and_is_told_exactly(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[5] = UINT64_C(0xdead0000);
    f->cpu.x[6] = 42;
    put32(f, addi(7, 0, 1));
    put32(f, i_insn(0x03, 3, 6, 5, 8));
    run(f);
    assert_trapped(f, RV64_CAUSE_LOAD_ACCESS, BASE + 4, 0xdead0008);
    assert_int_equal(f->cpu.x[6], 42);
    assert_int_equal(f->cpu.x[7], 1);
    assert_int_equal(f->cpu.stats.exceptions, 1);
    /* ADDI and the handler's WFI retired, the load did not. */
    assert_int_equal(f->cpu.stats.instructions, 2);
}

static void a_faulting_store_is_told_exactly(void **state)
{
    struct fixture *f = *state;

    f->m.no_access = BASE + SIZE; /* not in the array, which a probe that hits would find */
    f->cpu.x[5] = BASE + SIZE + 16;
    put32(f, s_insn(0x23, 0, 5, 6, 3));
    run(f);
    assert_trapped(f, RV64_CAUSE_STORE_PAGE_FAULT, BASE, BASE + SIZE + 19);
    assert_int_equal(f->cpu.stats.page_faults, 1);
}

static void an_instruction_may_straddle_two_pages(void **state)
{
    struct fixture *f = *state;

    f->at = BASE + 4094;
    put32(f, addi(6, 6, 5));
    put32(f, addi(7, 7, 1));
    put32(f, branch(1, 7, 8, -8)); /* again, from the start of the straddling one */
    put32(f, INSN_WFI);
    f->cpu.x[8] = 3;
    f->at = BASE;
    put32(f, jal(0, 4094));
    run(f);
    assert_int_equal(f->cpu.x[6], 15);
    assert_int_equal(f->cpu.x[7], 3);
    /* The far jump, three rounds, WFI. */
    assert_int_equal(f->cpu.stats.instructions, 11);
}

static void a_straddling_jump_links_and_lands_right(void **state)
{
    struct fixture *f = *state;

    f->at = BASE + 4094;
    put32(f, jal(1, -4094 + 8));
    f->at = BASE;
    put32(f, jal(0, 4094));
    put32(f, INSN_EBREAK);
    put32(f, addi(6, 0, 9));
    run(f);
    assert_int_equal(f->cpu.x[1], BASE + 4098);
    assert_int_equal(f->cpu.x[6], 9);
}

static void a_fetch_fault_on_a_second_half_names_the_second_page(void **state)
{
    struct fixture *f = *state;

    f->m.no_fetch = BASE + 4096;
    f->at = BASE + 4094;
    put32(f, addi(6, 6, 5));
    f->at = BASE;
    put32(f, jal(0, 4094));
    run(f);
    assert_trapped(f, RV64_CAUSE_FETCH_PAGE_FAULT, BASE + 4094, BASE + 4096);
}

static void a_fetch_fault_at_a_jump_target_is_the_targets(void **state)
{
    struct fixture *f = *state;

    f->m.no_fetch = BASE + 0x3000;
    put32(f, jal(1, 0x3004));
    run(f);
    assert_trapped(f, RV64_CAUSE_FETCH_PAGE_FAULT, BASE + 0x3004, BASE + 0x3004);
    assert_int_equal(f->cpu.x[1], BASE + 4);
}

static void the_second_half_is_the_address_spaces_own(void **state)
{
    struct fixture *f = *state;

    f->at = BASE + 0x1ffe;
    put32(f, addi(6, 0, 1)); /* its immediate is in the second page */
    put32(f, INSN_WFI);
    f->at = BASE + 0x5000;
    put16(f, addi(6, 0, 2) >> 16);
    put32(f, INSN_WFI);
    f->at = BASE;
    put32(f, jal(0, 0x1ffe));
    run(f);
    assert_int_equal(f->cpu.x[6], 1);
    f->m.alias = BASE + 0x2000;
    f->m.alias_to = BASE + 0x5000;
    rv64_cpu_fetch_flush(&f->cpu);
    f->at = BASE;
    put32(f, jal(0, 0x1ffe));
    run(f);
    assert_int_equal(f->cpu.x[6], 2);
}

static void code_written_is_seen_after_fence_i(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[5] = BASE + 0x3000;
    f->cpu.x[8] = addi(6, 0, 2);
    f->at = BASE + 0x3000;
    put32(f, addi(6, 0, 1));
    put32(f, i_insn(0x67, 0, 0, 1, 0)); /* RET */
    f->at = BASE;
    put32(f, jal(1, 0x3000));
    put32(f, addi(7, 6, 0));
    put32(f, s_insn(0x23, 2, 5, 8, 0)); /* SW */
    put32(f, INSN_FENCE_I);
    put32(f, jal(1, 0x3000 - 16));
    run(f);
    assert_int_equal(f->cpu.x[7], 1);
    assert_int_equal(f->cpu.x[6], 2);
    assert_int_equal(f->cpu.stats.fence_is, 1);
}

static void code_written_in_the_page_being_executed_is_seen_after_fence_i(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[5] = BASE + 16;
    f->cpu.x[8] = addi(6, 0, 2);
    put32(f, addi(9, 9, 1));
    put32(f, addi(7, 6, 0));
    put32(f, s_insn(0x23, 2, 5, 8, 0));
    put32(f, INSN_FENCE_I);
    put32(f, addi(6, 0, 1));
    run(f);
    assert_int_equal(f->cpu.x[6], 2);
}

static void unchanged_code_is_not_decoded_again(void **state)
{
    struct fixture *f = *state;
    uint64_t decoded;

    put32(f, addi(6, 6, 1));
    put32(f, INSN_FENCE_I);
    put32(f, INSN_SFENCE);
    run(f);
    decoded = f->cpu.stats.decoded;
    f->at -= 4;
    run(f);
    assert_int_equal(f->cpu.stats.decoded, decoded);
    assert_int_equal(f->cpu.x[6], 2);
    assert_int_equal(f->m.sfences, 2);
}

static void code_changed_from_outside_is_decoded_again(void **state)
{
    struct fixture *f = *state;

    put32(f, addi(6, 0, 1));
    run(f);
    f->at = BASE;
    put32(f, addi(6, 0, 2));
    rv64_cpu_code_changed(&f->cpu, BASE + 2, 1);
    run(f);
    assert_int_equal(f->cpu.x[6], 2);
}

static void a_small_cache_evicts_and_goes_on(void **state)
{
    struct fixture *f = *state;
    uint32_t i;

    rv64_decode_cache_free(f->cpu.decode);
    f->cpu.decode = rv64_decode_cache_new(2);
    for (i = 0; i < 8; i++) {
        f->at = BASE + i * 0x1000;
        put32(f, addi(6, 6, 1));
        put32(f, jal(0, i == 7 ? 0x800 : 0x1000 - 4));
    }
    f->at = BASE + 0x7000 + 4 + 0x800;
    put32(f, addi(7, 7, 1));
    put32(f, branch(4, 7, 8, 8)); /* two rounds */
    put32(f, INSN_WFI);
    put32(f, i_insn(0x67, 0, 0, 9, 0));
    f->cpu.x[8] = 2;
    f->cpu.x[9] = BASE;
    f->cpu.pc = BASE;
    rv64_cpu_run(&f->cpu, 10000);
    assert_true(f->cpu.wfi);
    assert_int_equal(f->cpu.x[6], 16);
    if (!f->engine)
        assert_true(f->cpu.stats.decode_evictions > 10);
}

static void a_budget_is_kept_to(void **state)
{
    struct fixture *f = *state;

    put32(f, addi(6, 6, 1));
    put32(f, jal(0, -4));
    f->cpu.pc = BASE;
    assert_int_equal(rv64_cpu_run(&f->cpu, 1000), RV64_RUN_BUDGET);
    assert_int_equal(f->cpu.stats.instructions, 1000);
    assert_int_equal(f->cpu.x[6], 500);
    assert_int_equal(rv64_cpu_run(&f->cpu, 0), RV64_RUN_BUDGET);
    assert_int_equal(f->cpu.stats.instructions, 1000);
}

static void a_store_conditional_needs_its_reservation(void **state)
{
    struct fixture *f = *state;
    uint32_t word = 0;

    f->cpu.x[5] = DATA;
    f->cpu.x[6] = DATA + 8;
    f->cpu.x[7] = 5;
    put32(f, r_insn(0x2f, 2, 0x03 << 2, 10, 5, 7)); /* SC.W with none */
    put32(f, r_insn(0x2f, 2, 0x02 << 2, 11, 5, 0)); /* LR.W */
    put32(f, r_insn(0x2f, 2, 0x03 << 2, 12, 6, 7)); /* SC.W elsewhere */
    put32(f, r_insn(0x2f, 2, 0x03 << 2, 13, 5, 7)); /* the reservation is gone */
    put32(f, r_insn(0x2f, 2, 0x02 << 2, 14, 5, 0));
    put32(f, r_insn(0x2f, 2, 0x03 << 2, 15, 5, 7));
    run(f);
    memcpy(&word, fake_mmu_at(&f->m, DATA), 4);
    assert_int_equal(f->cpu.x[10], 1);
    assert_int_equal(f->cpu.x[12], 1);
    assert_int_equal(f->cpu.x[13], 1);
    assert_int_equal(f->cpu.x[15], 0);
    assert_int_equal(word, 5);
}

static void misaligned_atomics_trap(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[5] = DATA + 4;
    put32(f, r_insn(0x2f, 3, 0, 10, 5, 7));
    run(f);
    assert_trapped(f, RV64_CAUSE_STORE_MISALIGNED, BASE, DATA + 4);
    f->at = BASE;
    put32(f, r_insn(0x2f, 3, 0x02 << 2, 10, 5, 0));
    rv64_cpu_code_changed(&f->cpu, BASE, 4);
    run(f);
    assert_trapped(f, RV64_CAUSE_LOAD_MISALIGNED, BASE, DATA + 4);
}

/* C.J and the branches reach further than the random programs jump. */
static void compressed_jumps_reach_their_whole_range(void **state)
{
    uint32_t bit;

    (void)state;
    for (bit = 1; bit <= 11; bit++) {
        static const uint8_t places[] = {0, 3, 4, 5, 11, 2, 7, 6, 9, 10, 8, 12};
        uint32_t offset = bit == 11 ? 0u - 2048 : 1u << bit;
        uint32_t expected = jal(0, (int32_t)offset);

        assert_int_equal(rv64_decode_expand((uint16_t)(0xa001 | 1u << places[bit])), expected);
    }
    for (bit = 1; bit <= 8; bit++) {
        static const uint8_t places[] = {0, 3, 4, 10, 11, 2, 5, 6, 12};
        uint32_t offset = bit == 8 ? 0u - 256 : 1u << bit;

        assert_int_equal(rv64_decode_expand((uint16_t)(0xe001 | 2u << 7 | 1u << places[bit])),
                         branch(1, 10, 0, (int32_t)offset));
    }
}

static void far_branches_leave_the_page(void **state)
{
    struct fixture *f = *state;

    f->at = BASE + 0x1000;
    put32(f, branch(0, 0, 0, -0x1000 + 8));
    f->at = BASE;
    put32(f, branch(1, 0, 5, 0x800));
    put32(f, INSN_EBREAK);
    put32(f, addi(6, 6, 1));
    f->cpu.x[5] = 1;
    f->at = BASE + 0x800;
    put32(f, branch(4, 0, 5, 0x800));
    f->at = BASE + 12;
    run(f);
    assert_int_equal(f->cpu.x[6], 1);
    assert_int_equal(f->cpu.stats.instructions, 5);
}

/* BNEZ x6, over ADDW x5, x5, x0; SEXT.W x7, x5. */
static void an_instruction_that_is_skipped_changes_nothing(void **state)
{
    struct fixture *f = *state;

    f->cpu.x[5] = UINT64_C(0x123456789);
    f->cpu.x[6] = 1;
    put32(f, branch(1, 6, 0, 8));
    put32(f, r_insn(0x3b, 0, 0, 5, 5, 0));
    put32(f, i_insn(0x1b, 0, 7, 5, 0));
    run(f);
    assert_int_equal(f->cpu.x[5], UINT64_C(0x123456789));
    assert_int_equal(f->cpu.x[7], 0x23456789);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(writes_to_x0_are_lost),
        BOTH(loads_extend_by_their_width),
        BOTH(an_access_may_cross_a_page),
        BOTH(a_faulting_load_changes_nothing_and_is_told_exactly),
        BOTH(a_faulting_store_is_told_exactly),
        BOTH(an_instruction_may_straddle_two_pages),
        BOTH(a_straddling_jump_links_and_lands_right),
        BOTH(a_fetch_fault_on_a_second_half_names_the_second_page),
        BOTH(a_fetch_fault_at_a_jump_target_is_the_targets),
        BOTH(the_second_half_is_the_address_spaces_own),
        BOTH(code_written_is_seen_after_fence_i),
        BOTH(code_written_in_the_page_being_executed_is_seen_after_fence_i),
        BOTH(unchanged_code_is_not_decoded_again),
        BOTH(code_changed_from_outside_is_decoded_again),
        BOTH(a_small_cache_evicts_and_goes_on),
        BOTH(a_budget_is_kept_to),
        BOTH(a_store_conditional_needs_its_reservation),
        BOTH(misaligned_atomics_trap),
        BOTH(compressed_jumps_reach_their_whole_range),
        BOTH(far_branches_leave_the_page),
        BOTH(an_instruction_that_is_skipped_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
