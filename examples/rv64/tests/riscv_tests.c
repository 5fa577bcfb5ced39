/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Runs one program of riscv-tests, which says how it ended in a word of memory with the name
 * "tohost": 1 for success, else twice the number of the test that failed, plus one.
 *
 *      riscv_tests ELF [OPTION...]        options are the machine's
 */

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "options.h"

#define SLICE     10000u
#define MOST      UINT64_C(100000000) /* instructions: it hangs */
#define FILE_MOST (4u << 20)
#define ARGUMENTS 32

static uint8_t file[FILE_MOST];

/* A table of the file, if all of it is there. */
static const void *part(size_t size, uint64_t offset, uint64_t length)
{
    return offset <= size && length <= size - offset ? file + offset : NULL;
}

/* The address of the symbol, or 0. */
static uint64_t find_symbol(size_t size, const char *wanted)
{
    const Elf64_Ehdr *header = part(size, 0, sizeof *header);
    const Elf64_Shdr *sections =
        header ? part(size, header->e_shoff, header->e_shnum * sizeof *sections) : NULL;

    for (uint32_t i = 0; sections && i < header->e_shnum; i++) {
        const Elf64_Sym *symbols = part(size, sections[i].sh_offset, sections[i].sh_size);
        const Elf64_Shdr *names = &sections[sections[i].sh_link % header->e_shnum];

        if (sections[i].sh_type != SHT_SYMTAB || !symbols)
            continue;
        for (uint64_t n = 0; n < sections[i].sh_size / sizeof *symbols; n++) {
            const char *name =
                part(size, names->sh_offset + symbols[n].st_name, strlen(wanted) + 1);

            if (name && !memcmp(name, wanted, strlen(wanted) + 1))
                return symbols[n].st_value;
        }
    }
    return 0;
}

static uint64_t tohost_of(const char *path)
{
    FILE *in = fopen(path, "rb");
    size_t size = in ? fread(file, 1, sizeof file, in) : 0;

    if (in)
        fclose(in);
    return find_symbol(size, "tohost");
}

/* @return what the program said, or 0 */
static uint64_t run(struct rv64_machine *machine, uint64_t tohost)
{
    const uint64_t *word = rv64_bus_ram(&machine->bus, tohost, sizeof *word);

    while (word && !*(const volatile uint64_t *)word && !machine->ended &&
           machine->cpu.stats.instructions < MOST) {
        machine->cpu.stop = false;
        rv64_cpu_run(&machine->cpu, SLICE);
        rv64_machine_between(machine);
    }
    return word ? *word : 0;
}

int main(int argc, char **argv)
{
    static char name[] = "riscv_tests", bios[] = "--bios";
    static struct rv64_machine machine;
    char *arguments[ARGUMENTS] = {name, bios};
    uint64_t tohost = argc > 1 ? tohost_of(argv[1]) : 0;
    struct rv64_options options;
    struct rv64_error error;
    uint64_t said = 0;

    for (int i = 1; i < argc && i < ARGUMENTS - 2; i++)
        arguments[i + 1] = argv[i];
    if (!tohost || rv64_options_parse(&options, argc + 1, arguments, &error) != RV64_OPTIONS_RUN) {
        fprintf(stderr, "usage: riscv_tests ELF [OPTION...]; ELF has a symbol tohost\n");
        return 2;
    }
    if (rv64_machine_create(&machine, &options, &error))
        rv64_error_print(&error);
    else
        said = run(&machine, tohost);
    if (said != 1)
        printf("test %llu failed, after %llu instructions, at pc %#llx\n",
               (unsigned long long)(said >> 1), (unsigned long long)machine.cpu.stats.instructions,
               (unsigned long long)machine.cpu.pc);
    rv64_machine_destroy(&machine);
    return said != 1;
}
