/* SPDX-License-Identifier: BSD-3-Clause */

/* Builds without LLVM. */

#include "disassemble.h"

struct rv64_disassembler *rv64_disassembler_new(rv64_disassembler_name_t name, void *ctx,
                                                const char **ret_error)
{
    (void)name;
    (void)ctx;
    *ret_error = "this build has no disassembler";
    return NULL;
}

void rv64_disassembler_free(struct rv64_disassembler *d)
{
    (void)d;
}

uint32_t rv64_disassemble(struct rv64_disassembler *d, bool host, const uint8_t *code,
                          uint32_t size, uint64_t address, char *text, size_t text_size)
{
    (void)d;
    (void)host;
    (void)code;
    (void)size;
    (void)address;
    (void)text;
    (void)text_size;
    return 0;
}
