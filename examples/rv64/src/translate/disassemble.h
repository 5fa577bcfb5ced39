/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_DISASSEMBLE_H
#define RV64_TRANSLATE_DISASSEMBLE_H

/* Guest and host code as text, by LLVM's library. It is loaded when it is first needed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rv64_disassembler;

/** What is at an address? @return a name, or NULL; it is read before the next call */
typedef const char *(*rv64_disassembler_name_t)(void *ctx, uint64_t address);

/**
 * Loads the library.
 * @param name  asked for the targets of host jumps and calls
 * @return NULL, and a reason in *ret_error: a string constant
 */
struct rv64_disassembler *rv64_disassembler_new(rv64_disassembler_name_t name, void *ctx,
                                                const char **ret_error);

/** Frees it; NULL is accepted. */
void rv64_disassembler_free(struct rv64_disassembler *d);

/**
 * One instruction, of the guest or of the host.
 * @return its bytes, and *text; 0: it is none
 */
uint32_t rv64_disassemble(struct rv64_disassembler *d, bool host, const uint8_t *code,
                          uint32_t size, uint64_t address, char *text, size_t text_size);

#endif /* RV64_TRANSLATE_DISASSEMBLE_H */
