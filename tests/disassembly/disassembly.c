/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a switch page says, read by somebody else's disassembler: each section decodes to its last
 * byte in the mode it is for, an instruction that names an address names one in the page, and the
 * instructions are those that a switch is made of, in their order.
 */

#include "pages.h"

#include <capstone/capstone.h>

static uint8_t page[GN_MODESWITCH_PAGE] __attribute__((aligned(4096)));

/* Instructions of a section that must come in this order; others may stand between. */
static const char *const leave64[] = {
    "pushfq", "cli",  "sgdt",        "sidt", "lidt", "mov rax, cr0", "mov rax, cr3", "mov rax, cr4",
    "rdmsr",  "lgdt", "mov ss, eax", "ljmp", NULL};
static const char *const code32[] = {"mov cr0, eax", "wrmsr",
                                     "mov cr4, eax", "mov cr3, eax",
                                     "mov cr0, eax", "lgdt",
                                     "lidt",         "lss",
                                     "popal",        "popfd",
                                     "retf",         "pushfd",
                                     "cli",          "pushal",
                                     "sgdt",         "sidt",
                                     "lidt",         "rdmsr",
                                     "lgdt",         "mov cr0, eax",
                                     "mov cr4, eax", "mov cr3, eax",
                                     "wrmsr",        "mov cr0, eax",
                                     "ljmp",         NULL};
static const char *const tail64[] = {"lgdt", "lidt", "mov ss", "mov rsp", "popfq", "ret", NULL};
/* With PCIDs: PCIDE before PG goes, and back before the world's own handlers are. */
static const char *const leave64_pcid[] = {
    "mov rax, cr3", "mov rax, cr4", "btr eax, 0x11", "mov cr4, rax", "and dword", "ljmp", NULL};
static const char *const tail64_pcid[] = {
    "mov rax, cr4", "bts eax, 0x11", "mov cr4, rax", "mov cr3, rax", "lgdt", "lidt", NULL};
static const char *const handler64[] = {"or", "inc", "iretq", "or", "inc", "iretq", NULL};
static const char *const handler32[] = {"or", "inc", "iretd", "or", "inc", "iretd", NULL};

static void address_expect(const cs_insn *i)
{
    const cs_x86 *x = &i->detail->x86;

    for (uint8_t n = 0; n < x->op_count; n++) {
        const x86_op_mem *m = &x->operands[n].mem;

        if (x->operands[n].type == X86_OP_MEM && m->base == X86_REG_INVALID)
            assert_in_range(m->disp, ADDRESS, ADDRESS + GN_MODESWITCH_PAGE - 2);
        if (x->operands[n].type == X86_OP_MEM && m->base == X86_REG_RIP)
            fail();
    }
}

/* @return the number of instructions */
static size_t section(cs_mode mode, uint32_t begin, uint32_t end, const char *const *wanted)
{
    csh handle;
    cs_insn *insn;
    size_t count;
    uint32_t bytes = 0;

    assert_int_equal(cs_open(CS_ARCH_X86, mode, &handle), CS_ERR_OK);
    cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
    count = cs_disasm(handle, page + begin, end - begin, ADDRESS + begin, 0, &insn);
    for (size_t i = 0; i < count; i++) {
        char text[256];

        snprintf(text, sizeof text, "%s %s", insn[i].mnemonic, insn[i].op_str);
        address_expect(&insn[i]);
        bytes += insn[i].size;
        if (*wanted && !strncmp(text, *wanted, strlen(*wanted)))
            wanted++;
    }
    if (*wanted)
        fail_msg("no %s", *wanted);
    assert_int_equal(bytes, end - begin);
    cs_free(insn, count);
    cs_close(&handle);
    return count;
}

static void a_ring_0_page_is_what_a_switch_is_made_of(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags < 8; flags++)
        for (uint32_t msrs = 0; msrs <= GN_MODESWITCH_MSRS_MAX; msrs += 4) {
            struct gn_modeswitch_params p = ring0_params();
            struct gn_modeswitch_layout l;
            size_t n;

            p.flags = flags;
            p.tr = 0x38;
            p.msrs = msrs;
            for (uint32_t i = 0; i < msrs; i++)
                p.msr[i] = 0x174 + i;
            assert_int_equal(gn_modeswitch_emit(page, sizeof page, &p, &l), 0);
            n = section(CS_MODE_64, l.code64_begin, l.code64_end, leave64);
            n += section(CS_MODE_32, l.code32_begin, l.code32_end, code32);
            n += section(CS_MODE_64, l.tail64_begin, l.tail64_end, tail64);
            section(CS_MODE_64, l.nmi64_begin, l.nmi64_end, handler64);
            section(CS_MODE_32, l.nmi32_begin, l.nmi32_end, handler32);
            if (flags & GN_MODESWITCH_PCID) {
                section(CS_MODE_64, l.code64_begin, l.code64_end, leave64_pcid);
                section(CS_MODE_64, l.tail64_begin, l.tail64_end, tail64_pcid);
            }
            print_message("flags %u, %u MSRs: %u instructions, those after NMIs included\n", flags,
                          msrs, (unsigned)n);
        }
}

static void a_ring_3_page_jumps_and_switches_stacks(void **state)
{
    static const char *const leave[] = {"mov qword", "mov esp", "ljmp", NULL};
    static const char *const middle[] = {"pop ebp", "jmp", "push ebx", "ljmp", NULL};
    static const char *const back[] = {"mov rsp", "pop r15", "jmp", NULL};
    const struct gn_modeswitch_params p = ring3_params();
    struct gn_modeswitch_layout l;

    (void)state;
    assert_int_equal(gn_modeswitch_emit(page, sizeof page, &p, &l), 0);
    section(CS_MODE_64, l.code64_begin, l.code64_end, leave);
    section(CS_MODE_32, l.code32_begin, l.code32_end, middle);
    section(CS_MODE_64, l.tail64_begin, l.tail64_end, back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_0_page_is_what_a_switch_is_made_of),
        cmocka_unit_test(a_ring_3_page_jumps_and_switches_stacks),
    };

    return cmocka_run_group_tests_name("disassembly", tests, NULL, NULL);
}
