/* SPDX-License-Identifier: BSD-3-Clause */
/* From files to a hart that is about to execute its first instruction. */

#include "machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devicetree.h"

/* struct fw_dynamic_info of OpenSBI (docs/firmware/fw_dynamic.md), version 2. */
#define FW_DYNAMIC_MAGIC   0x4942534f
#define FW_DYNAMIC_VERSION 2
#define FW_DYNAMIC_MODE_S  1

/* Where firmware looks for what to run next, when no kernel was given. */
#define NEXT_OFFSET 0x200000

typedef int (*load_function)(struct rv64_layout *, struct rv64_bus *, const uint8_t *, size_t,
                             struct rv64_error *);

/* Reads a file and lets `load` place it. */
static int load_file(struct rv64_machine *machine, const char *what, const char *path,
                     load_function load, struct rv64_error *error)
{
    struct rv64_file file;
    int failed;

    if (!path)
        return 0;
    if (rv64_file_read(what, path, machine->bus.ram_size, &file, error))
        return -1;
    failed = load(&machine->layout, &machine->bus, file.data, file.size, error);
    rv64_file_free(&file);
    return failed;
}

static int get_tree(struct rv64_machine *machine, const struct rv64_options *options,
                    struct rv64_file *tree, struct rv64_error *error)
{
    if (!options->dtb)
        return rv64_fdt_build(machine->bus.ram_base, machine->bus.ram_size, tree, error);
    if (rv64_file_read("device tree", options->dtb, RV64_FDT_MAX, tree, error))
        return -1;
    if (!rv64_fdt_check(tree, error))
        return 0;
    rv64_file_free(tree);
    return -1;
}

static int dump(const char *path, const struct rv64_file *tree, struct rv64_error *error)
{
    FILE *file = fopen(path, "wb");
    bool ok;

    if (!file)
        return rv64_error_set(error, "device tree %s: %s", path, strerror(errno));
    ok = fwrite(tree->data, tree->size, 1, file) == 1;
    if (fclose(file) || !ok)
        return rv64_error_set(error, "device tree %s: %s", path, strerror(errno));
    return 0;
}

/* Places tree and RAM disk: each needs to know of the other, so room for the tree comes first. */
static int load_tree(struct rv64_machine *machine, const struct rv64_options *options,
                     struct rv64_file *tree, struct rv64_error *error)
{
    struct rv64_layout *layout = &machine->layout;
    struct rv64_fdt_chosen chosen = {.bootargs = options->append};

    if (rv64_place_dtb(layout, &machine->bus, rv64_fdt_room(tree, &chosen), error) ||
        load_file(machine, "initrd", options->initrd, rv64_load_initrd, error))
        return -1;
    chosen.initrd_start = layout->initrd_start;
    chosen.initrd_end = layout->initrd_end;
    if (rv64_fdt_choose(tree, &chosen, error))
        return -1;
    if (options->dump_dtb) {
        machine->ended = true;
        return dump(options->dump_dtb, tree, error);
    }
    return rv64_bus_dma_write(&machine->bus, layout->dtb, tree->data, tree->size);
}

static void start(struct rv64_machine *machine)
{
    const struct rv64_layout *layout = &machine->layout;

    if (!machine->firmware) {
        rv64_cpu_start_supervisor(&machine->cpu, layout->kernel_entry, layout->dtb);
        return;
    }
    machine->rom[0] = FW_DYNAMIC_MAGIC;
    machine->rom[1] = FW_DYNAMIC_VERSION;
    machine->rom[2] =
        layout->kernel_entry ? layout->kernel_entry : machine->bus.ram_base + NEXT_OFFSET;
    machine->rom[3] = FW_DYNAMIC_MODE_S;
    rv64_cpu_start_machine(&machine->cpu, layout->bios_entry, layout->dtb);
    machine->cpu.x[12] = RV64_BOARD_ROM;
}

int rv64_machine_boot(struct rv64_machine *machine, const struct rv64_options *options,
                      struct rv64_error *error)
{
    struct rv64_file tree;
    int failed;

    if (load_file(machine, "bios", options->bios, rv64_load_bios, error) ||
        load_file(machine, "kernel", options->kernel, rv64_load_kernel, error) ||
        get_tree(machine, options, &tree, error))
        return -1;
    if (options->icount)
        rv64_fdt_fix_seed(&tree);
    failed = load_tree(machine, options, &tree, error);
    rv64_file_free(&tree);
    if (!failed && !machine->ended)
        start(machine);
    return failed;
}
