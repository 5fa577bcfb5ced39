/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * LLVM's disassemblers, by its C interface. To be linked with that library would cost each start of
 * the program more than the boot of a guest's kernel does; so it is loaded by who asks for it.
 */

#include "disassemble.h"

#include <dlfcn.h>
#include <llvm-c/Disassembler.h>
#include <stdlib.h>

struct rv64_disassembler {
    void *library;
    LLVMDisasmContextRef guest, host;
    rv64_disassembler_name_t name;
    void *name_ctx;
    __typeof__(LLVMDisasmInstruction) *instruction;
    __typeof__(LLVMDisasmDispose) *dispose;
};

static const char *on_symbol(void *ctx, uint64_t value, uint64_t *type, uint64_t pc,
                             const char **ret_name)
{
    struct rv64_disassembler *d = ctx;

    (void)pc;
    *type = LLVMDisassembler_ReferenceType_InOut_None;
    *ret_name = NULL;
    return d->name(d->name_ctx, value);
}

/* What <llvm-c/Target.h> makes one call of is three functions a target. */
static bool start_targets(void *library)
{
    static const char *const names[] = {
        "LLVMInitializeRISCVTargetInfo",   "LLVMInitializeRISCVTargetMC",
        "LLVMInitializeRISCVDisassembler", "LLVMInitializeX86TargetInfo",
        "LLVMInitializeX86TargetMC",       "LLVMInitializeX86Disassembler",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void (*start)(void);

        *(void **)&start = dlsym(library, names[i]);
        if (!start)
            return false;
        start();
    }
    return true;
}

static bool load(struct rv64_disassembler *d)
{
    __typeof__(LLVMCreateDisasmCPUFeatures) *create;
    __typeof__(LLVMSetDisasmOptions) *set;

    d->library = dlopen(RV64_LLVM, RTLD_NOW | RTLD_LOCAL);
    if (!d->library || !start_targets(d->library))
        return false;
    *(void **)&create = dlsym(d->library, "LLVMCreateDisasmCPUFeatures");
    *(void **)&set = dlsym(d->library, "LLVMSetDisasmOptions");
    *(void **)&d->instruction = dlsym(d->library, "LLVMDisasmInstruction");
    *(void **)&d->dispose = dlsym(d->library, "LLVMDisasmDispose");
    if (!create || !set || !d->instruction || !d->dispose)
        return false;
    d->guest = create("riscv64", "", "+m,+a,+f,+d,+c", NULL, 0, NULL, NULL);
    d->host = create("x86_64-linux-gnu", "", "", d, 0, NULL, on_symbol);
    return d->guest && d->host &&
           set(d->host,
               LLVMDisassembler_Option_AsmPrinterVariant | LLVMDisassembler_Option_PrintImmHex);
}

struct rv64_disassembler *rv64_disassembler_new(rv64_disassembler_name_t name, void *ctx,
                                                const char **ret_error)
{
    struct rv64_disassembler *d = calloc(1, sizeof *d);

    *ret_error = RV64_LLVM " cannot be loaded, or has no disassembler for RISC-V and x86";
    if (!d)
        return NULL;
    d->name = name;
    d->name_ctx = ctx;
    if (load(d))
        return d;
    rv64_disassembler_free(d);
    return NULL;
}

void rv64_disassembler_free(struct rv64_disassembler *d)
{
    if (!d)
        return;
    if (d->guest)
        d->dispose(d->guest);
    if (d->host)
        d->dispose(d->host);
    if (d->library)
        dlclose(d->library);
    free(d);
}

/* LLVM puts tabs before and behind the name. */
static void untab(char *text)
{
    size_t first = text[0] == '\t';

    for (size_t i = first;; i++) {
        text[i - first] = text[i] == '\t' ? ' ' : text[i];
        if (!text[i])
            return;
    }
}

uint32_t rv64_disassemble(struct rv64_disassembler *d, bool host, const uint8_t *code,
                          uint32_t size, uint64_t address, char *text, size_t text_size)
{
    /* It writes no code. */
    uint32_t length = (uint32_t)d->instruction(host ? d->host : d->guest, (uint8_t *)code, size,
                                               address, text, text_size);

    if (length)
        untab(text);
    return length;
}
