/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nodes and properties are those that QEMU's virt board gives its guests, so that what boots
 * there finds here what it looks for.
 */

#include "devicetree.h"

#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "board.h"
#include "clint.h"
#include "cpu.h"
#include "plic.h"

#define PHANDLE_CPU    1
#define PHANDLE_INTC   2
#define PHANDLE_PLIC   3
#define PHANDLE_SYSCON 4

#define BUILD_ROOM 16384

/* Properties, names and alignment that /chosen may grow by, besides the command line. */
#define CHOSEN_ROOM 1024

/* A tree that is being written; the first error sticks. */
struct writer {
    uint8_t *tree;
    int error;
};

static void check(struct writer *w, int error)
{
    if (!w->error)
        w->error = error;
}

static void begin(struct writer *w, const char *name)
{
    check(w, fdt_begin_node(w->tree, name));
}

static void begin_at(struct writer *w, const char *name, uint64_t address)
{
    char text[64];

    snprintf(text, sizeof text, "%s@%llx", name, (unsigned long long)address);
    begin(w, text);
}

static void end(struct writer *w)
{
    check(w, fdt_end_node(w->tree));
}

static void empty(struct writer *w, const char *name)
{
    check(w, fdt_property(w->tree, name, NULL, 0));
}

static void string(struct writer *w, const char *name, const char *value)
{
    check(w, fdt_property_string(w->tree, name, value));
}

static void cell(struct writer *w, const char *name, uint32_t value)
{
    check(w, fdt_property_u32(w->tree, name, value));
}

static void cells(struct writer *w, const char *name, const uint32_t *values, size_t count)
{
    fdt32_t raw[8];
    size_t i;

    for (i = 0; i < count; i++)
        raw[i] = cpu_to_fdt32(values[i]);
    check(w, fdt_property(w->tree, name, raw, (int)(count * sizeof raw[0])));
}

/* Address and length in two cells each. */
static void reg(struct writer *w, uint64_t base, uint64_t length)
{
    const uint32_t values[] = {(uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(length >> 32),
                               (uint32_t)length};

    cells(w, "reg", values, 4);
}

static void cell_sizes(struct writer *w, uint32_t address, uint32_t size)
{
    cell(w, "#address-cells", address);
    cell(w, "#size-cells", size);
}

static void interrupt(struct writer *w, uint32_t number)
{
    cell(w, "interrupts", number);
    cell(w, "interrupt-parent", PHANDLE_PLIC);
}

static void write_cpus(struct writer *w)
{
    begin(w, "cpus");
    cell_sizes(w, 1, 0);
    cell(w, "timebase-frequency", RV64_TIMEBASE_HZ);
    begin(w, "cpu@0");
    cell(w, "phandle", PHANDLE_CPU);
    string(w, "device_type", "cpu");
    cell(w, "reg", 0);
    string(w, "status", "okay");
    string(w, "compatible", "riscv");
    string(w, "riscv,isa", "rv64imafdc");
    string(w, "mmu-type", "riscv,sv39");
    begin(w, "interrupt-controller");
    cell(w, "#interrupt-cells", 1);
    empty(w, "interrupt-controller");
    string(w, "compatible", "riscv,cpu-intc");
    cell(w, "phandle", PHANDLE_INTC);
    end(w);
    end(w);
    end(w);
}

static void write_finisher(struct writer *w)
{
    static const char compatible[] = "sifive,test1\0sifive,test0\0syscon";

    begin_at(w, "test", RV64_BOARD_SYSCON);
    cell(w, "phandle", PHANDLE_SYSCON);
    reg(w, RV64_BOARD_SYSCON, 0x1000);
    check(w, fdt_property(w->tree, "compatible", compatible, sizeof compatible));
    end(w);
}

static void write_clint(struct writer *w)
{
    static const char compatible[] = "sifive,clint0\0riscv,clint0";
    static const uint32_t interrupts[] = {PHANDLE_INTC, RV64_IRQ_MSI, PHANDLE_INTC, RV64_IRQ_MTI};

    begin_at(w, "clint", RV64_BOARD_CLINT);
    check(w, fdt_property(w->tree, "compatible", compatible, sizeof compatible));
    reg(w, RV64_BOARD_CLINT, 0x10000);
    cells(w, "interrupts-extended", interrupts, 4);
    end(w);
}

static void write_plic(struct writer *w)
{
    static const char compatible[] = "sifive,plic-1.0.0\0riscv,plic0";
    static const uint32_t interrupts[] = {PHANDLE_INTC, RV64_IRQ_MEI, PHANDLE_INTC, RV64_IRQ_SEI};

    begin_at(w, "plic", RV64_BOARD_PLIC);
    cell(w, "phandle", PHANDLE_PLIC);
    check(w, fdt_property(w->tree, "compatible", compatible, sizeof compatible));
    reg(w, RV64_BOARD_PLIC, 0x600000);
    cells(w, "interrupts-extended", interrupts, 4);
    empty(w, "interrupt-controller");
    cell(w, "#address-cells", 0);
    cell(w, "#interrupt-cells", 1);
    cell(w, "riscv,ndev", RV64_PLIC_SOURCES);
    end(w);
}

static void write_uart(struct writer *w)
{
    begin_at(w, "serial", RV64_BOARD_UART);
    string(w, "compatible", "ns16550a");
    reg(w, RV64_BOARD_UART, 0x100);
    cell(w, "clock-frequency", RV64_BOARD_UART_CLOCK);
    interrupt(w, RV64_BOARD_UART_IRQ);
    end(w);
}

static void write_virtio(struct writer *w, uint32_t slot)
{
    uint64_t base = RV64_BOARD_VIRTIO + slot * RV64_BOARD_VIRTIO_STRIDE;

    begin_at(w, "virtio_mmio", base);
    string(w, "compatible", "virtio,mmio");
    reg(w, base, RV64_BOARD_VIRTIO_STRIDE);
    interrupt(w, RV64_BOARD_VIRTIO_IRQ + slot);
    end(w);
}

static void write_soc(struct writer *w)
{
    uint32_t slot;

    begin(w, "soc");
    cell_sizes(w, 2, 2);
    string(w, "compatible", "simple-bus");
    empty(w, "ranges");
    write_finisher(w);
    write_clint(w);
    write_plic(w);
    write_uart(w);
    for (slot = 0; slot < RV64_BOARD_VIRTIO_SLOTS; slot++)
        write_virtio(w, slot);
    end(w);
}

/* Power-off and reboot: a value to write to the finisher. */
static void write_syscon(struct writer *w, const char *name, const char *compatible, uint32_t value)
{
    begin(w, name);
    string(w, "compatible", compatible);
    cell(w, "regmap", PHANDLE_SYSCON);
    cell(w, "offset", 0);
    cell(w, "value", value);
    end(w);
}

static void write_chosen(struct writer *w)
{
    uint8_t seed[32];
    char path[64];

    begin(w, "chosen");
    snprintf(path, sizeof path, "/soc/serial@%llx", (unsigned long long)RV64_BOARD_UART);
    string(w, "stdout-path", path);
    if (getrandom(seed, sizeof seed, GRND_NONBLOCK) == sizeof seed)
        check(w, fdt_property(w->tree, "rng-seed", seed, sizeof seed));
    end(w);
}

void rv64_fdt_fix_seed(struct rv64_file *tree)
{
    int node = fdt_path_offset(tree->data, "/chosen");
    int length = 0;
    void *seed = node < 0 ? NULL : fdt_getprop_w(tree->data, node, "rng-seed", &length);

    if (seed)
        memset(seed, 0x5a, (size_t)length);
}

int rv64_fdt_build(uint64_t ram_base, uint64_t ram_size, struct rv64_file *ret,
                   struct rv64_error *error)
{
    struct writer w = {.tree = calloc(1, BUILD_ROOM)};

    if (!w.tree)
        return rv64_error_set(error, "device tree: no memory");
    check(&w, fdt_create(w.tree, BUILD_ROOM));
    check(&w, fdt_finish_reservemap(w.tree));
    begin(&w, "");
    cell_sizes(&w, 2, 2);
    string(&w, "compatible", "riscv-virtio");
    string(&w, "model", "riscv-virtio,gnomon");
    write_chosen(&w);
    begin_at(&w, "memory", ram_base);
    string(&w, "device_type", "memory");
    reg(&w, ram_base, ram_size);
    end(&w);
    write_cpus(&w);
    write_soc(&w);
    write_syscon(&w, "poweroff", "syscon-poweroff", 0x5555);
    write_syscon(&w, "reboot", "syscon-reboot", 0x7777);
    end(&w);
    check(&w, fdt_finish(w.tree));
    if (w.error) {
        free(w.tree);
        return rv64_error_set(error, "device tree: %s", fdt_strerror(w.error));
    }
    ret->data = w.tree;
    ret->size = fdt_totalsize(w.tree);
    return 0;
}

int rv64_fdt_check(const struct rv64_file *file, struct rv64_error *error)
{
    int why = file->size < sizeof(struct fdt_header) ? -FDT_ERR_TRUNCATED : 0;

    if (!why)
        why = fdt_check_header(file->data);
    if (!why && fdt_totalsize(file->data) > file->size)
        why = -FDT_ERR_TRUNCATED;
    /* Also the structure: libfdt's editing functions trust what was checked. */
    if (!why)
        why = fdt_check_full(file->data, file->size);
    return why ? rv64_error_set(error, "device tree: %s", fdt_strerror(why)) : 0;
}

size_t rv64_fdt_room(const struct rv64_file *tree, const struct rv64_fdt_chosen *chosen)
{
    return fdt_totalsize(tree->data) + CHOSEN_ROOM +
           (chosen->bootargs ? strlen(chosen->bootargs) : 0);
}

static int set_chosen(void *tree, const struct rv64_fdt_chosen *chosen)
{
    int node = fdt_path_offset(tree, "/chosen");
    int why = 0;

    if (node == -FDT_ERR_NOTFOUND)
        node = fdt_add_subnode(tree, 0, "chosen");
    if (node < 0)
        return node;
    if (chosen->bootargs)
        why = fdt_setprop_string(tree, node, "bootargs", chosen->bootargs);
    if (!why && chosen->initrd_end)
        why = fdt_setprop_u64(tree, node, "linux,initrd-start", chosen->initrd_start);
    if (!why && chosen->initrd_end)
        why = fdt_setprop_u64(tree, node, "linux,initrd-end", chosen->initrd_end);
    return why;
}

int rv64_fdt_choose(struct rv64_file *tree, const struct rv64_fdt_chosen *chosen,
                    struct rv64_error *error)
{
    size_t room = rv64_fdt_room(tree, chosen);
    uint8_t *larger = calloc(1, room);
    int why;

    if (!larger)
        return rv64_error_set(error, "device tree: no memory");
    why = fdt_open_into(tree->data, larger, (int)room);
    if (!why)
        why = set_chosen(larger, chosen);
    if (why) {
        free(larger);
        return rv64_error_set(error, "device tree: %s", fdt_strerror(why));
    }
    free(tree->data);
    tree->data = larger;
    tree->size = room;
    return 0;
}
