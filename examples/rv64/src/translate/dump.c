/* SPDX-License-Identifier: BSD-3-Clause */

/* --dump: what a block was made from, and what was made of it. */

#include "dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disassemble.h"
#include "emit.h"

struct rv64_tr_dumper {
    struct rv64_disassembler *disassembler;
    const struct rv64_tr_thunks *thunks;
    bool all;
    uint64_t pc;
    const struct rv64_tr_block *made; /* being printed, as the next three are */
    const uint8_t *code;
    uint64_t exec;
    char name[48]; /* for the disassembler */
};

static const char *const thunk_names[THUNK_COUNT] = {
    [THUNK_LOAD] = "load",
    [THUNK_STORE] = "store",
    [THUNK_ATOMIC] = "atomic",
    [THUNK_CSR] = "csr",
    [THUNK_FP] = "fp",
    [THUNK_FP_LOAD] = "fp_load",
    [THUNK_FP_STORE] = "fp_store",
    [THUNK_FP_ON] = "fp_on",
    [THUNK_FP_LIVE] = "fp_live",
    [THUNK_ECALL] = "ecall",
    [THUNK_RETURN] = "return",
    [THUNK_EXCEPTION] = "exception",
    [THUNK_FENCE] = "fence",
    [THUNK_FENCE_I] = "fence_i",
    [THUNK_WFI] = "wfi",
    [THUNK_GO] = "go",
    [THUNK_PROBE_READ] = "probe_read",
    [THUNK_PROBE_WRITE] = "probe_write",
    [THUNK_READ_FLAGS] = "read_flags",
    [THUNK_WRITE_FLAGS] = "write_flags",
    [THUNK_SSTATUS] = "sstatus",
    [THUNK_F_SAVE] = "f_save",
    [THUNK_LEAVE_EDGE] = "leave_edge",
    [THUNK_RETURN_MISSED] = "return_missed",
    [THUNK_LEAVE_SITE] = "leave_site",
    [THUNK_LEAVE_LOOKUP] = "leave_lookup",
    [THUNK_LEAVE_BUDGET] = "leave_budget",
    [THUNK_LEAVE_INTERPRET] = "leave_interpret",
};

/* Targets of jumps and calls: in the block, or a thunk. */
static const char *name_of(void *ctx, uint64_t address)
{
    struct rv64_tr_dumper *dumper = ctx;

    if (address - dumper->exec < dumper->made->size) {
        snprintf(dumper->name, sizeof dumper->name, ".%04" PRIx64, address - dumper->exec);
        return dumper->name;
    }
    for (uint32_t i = 0; i < THUNK_COUNT; i++)
        if ((uint64_t)(uintptr_t)dumper->thunks->at[i] == address && thunk_names[i])
            return thunk_names[i];
    return NULL;
}

struct rv64_tr_dumper *rv64_tr_dumper_new(const struct rv64_tr_thunks *thunks, bool all,
                                          uint64_t pc, const char **ret_error)
{
    struct rv64_tr_dumper *dumper = calloc(1, sizeof *dumper);

    *ret_error = "no memory";
    if (!dumper)
        return NULL;
    dumper->thunks = thunks;
    dumper->all = all;
    dumper->pc = pc;
    dumper->disassembler = rv64_disassembler_new(name_of, dumper, ret_error);
    if (dumper->disassembler)
        return dumper;
    free(dumper);
    return NULL;
}

void rv64_tr_dumper_free(struct rv64_tr_dumper *dumper)
{
    if (!dumper)
        return;
    rv64_disassembler_free(dumper->disassembler);
    free(dumper);
}

bool rv64_tr_dumper_wants(const struct rv64_tr_dumper *dumper,
                          const struct rv64_tr_listing *listing)
{
    for (uint32_t i = 0; i < listing->count && !dumper->all; i++)
        if (listing->lines[i].pc == dumper->pc)
            return true;
    return dumper->all;
}

/* A comment with the guest PC that a branch or jump leads to. */
static void print_target(uint64_t pc, uint32_t raw, uint32_t length)
{
    uint32_t wide = length == 2 ? rv64_decode_expand((uint16_t)raw) : raw;
    struct rv64_insn d;

    rv64_decode(wide, RV64_OFFSET_NONE, &d);
    if (wide && (d.op == RV64_OP_J_FAR || d.op == RV64_OP_JAL_FAR ||
                 (d.op >= RV64_OP_BEQ_FAR && d.op <= RV64_OP_BGEU_FAR)))
        fprintf(stderr, "  # %" PRIx64, pc + (uint64_t)(int64_t)d.imm);
}

static void print_guest(struct rv64_tr_dumper *dumper, uint64_t pc, uint32_t raw, uint32_t length)
{
    const uint8_t bytes[] = {(uint8_t)raw, (uint8_t)(raw >> 8), (uint8_t)(raw >> 16),
                             (uint8_t)(raw >> 24)};
    char text[128];

    if (!rv64_disassemble(dumper->disassembler, false, bytes, length, pc, text, sizeof text))
        strcpy(text, "unknown");
    fprintf(stderr, "%" PRIx64 "  %0*" PRIx32 "%*s  %s", pc, (int)length * 2, raw,
            8 - (int)length * 2, "", text);
    print_target(pc, raw, length);
    fputc('\n', stderr);
}

static void print_host(struct rv64_tr_dumper *dumper, uint32_t from, uint32_t to)
{
    char text[128];

    while (from < to) {
        uint32_t length = rv64_disassemble(dumper->disassembler, true, dumper->code + from,
                                           to - from, dumper->exec + from, text, sizeof text);

        if (!length) {
            fprintf(stderr, "    .%04" PRIx32 "  unknown\n", from);
            return;
        }
        fprintf(stderr, "    .%04" PRIx32 "  %s\n", from, text);
        from += length;
    }
}

/* Slow paths and ways out; each exit is named where it leaves if it is not linked. */
static void print_behind(struct rv64_tr_dumper *dumper, uint32_t from)
{
    const struct rv64_tr_block *made = dumper->made;

    fputs("behind the block:\n", stderr);
    for (uint32_t i = 0; i < made->exit_count; i++) {
        const struct rv64_tr_exit *exit = &made->exits[i];

        if (exit->stub < from)
            continue; /* a loop's */
        print_host(dumper, from, exit->stub);
        fprintf(stderr, "  exit to %" PRIx64 "%s:\n", exit->target,
                exit->kind == RV64_EXIT_FAR ? ", in another page" : "");
        from = exit->stub;
    }
    print_host(dumper, from, made->size);
}

void rv64_tr_dump(struct rv64_tr_dumper *dumper, const struct rv64_tr_source *source,
                  const struct rv64_tr_code *code, const struct rv64_tr_block *made)
{
    static const char modes[] = "us?m";
    const struct rv64_tr_listing *listing = source->listing;
    uint32_t done = 0;

    dumper->made = made;
    dumper->code = code->write;
    dumper->exec = (uint64_t)(uintptr_t)code->exec;
    fprintf(stderr,
            "block %" PRIx64 " %c, at physical %" PRIx64 ": %" PRIu32 " instructions, %" PRIu32
            " bytes of host code at %" PRIx64 "\n",
            source->pc, modes[source->mode & 3], source->gpa, made->instructions, made->size,
            dumper->exec);
    if (listing->count)
        print_host(dumper, 0, listing->lines[0].begin);
    for (uint32_t i = 0; i < listing->count; i++) {
        print_guest(dumper, listing->lines[i].pc, listing->lines[i].raw, listing->lines[i].length);
        print_host(dumper, listing->lines[i].begin, listing->lines[i].end);
        done = listing->lines[i].end;
    }
    print_behind(dumper, done);
    fputc('\n', stderr);
}
