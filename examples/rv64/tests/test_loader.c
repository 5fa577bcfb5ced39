/* SPDX-License-Identifier: BSD-3-Clause */
/* The loader and the device tree, with files as they should be and as they should not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <elf.h>
#include <libfdt.h>

#include "devicetree.h"
#include "loader.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x1000000)

static struct rv64_bus bus = {.ram_base = RAM_BASE, .ram_size = RAM_SIZE};
static struct rv64_layout layout;
static struct rv64_error error;

static int begin(void **state)
{
    (void)state;
    memset(&layout, 0, sizeof layout);
    memset(bus.ram, 0, RAM_SIZE);
    error.text[0] = '\0';
    return 0;
}

/* A Linux Image of 4 KiB that occupies 6 KiB. */
static void make_image(uint8_t image[4096])
{
    const uint64_t offset = 0x200000, size = 6144;

    memset(image, 0x5a, 4096);
    memset(image, 0, 64);
    memcpy(image + 8, &offset, 8);
    memcpy(image + 16, &size, 8);
    memcpy(image + 0x38, "RSC\x05", 4);
}

/* An ELF executable with one segment of 256 bytes in the file and 512 in memory. */
struct elf {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    uint8_t code[256];
};

static struct elf make_elf(void)
{
    struct elf elf;

    memset(&elf, 0, sizeof elf);
    memcpy(elf.header.e_ident, ELFMAG, SELFMAG);
    elf.header.e_ident[EI_CLASS] = ELFCLASS64;
    elf.header.e_ident[EI_DATA] = ELFDATA2LSB;
    elf.header.e_type = ET_EXEC;
    elf.header.e_machine = EM_RISCV;
    elf.header.e_phoff = sizeof elf.header;
    elf.header.e_phentsize = sizeof elf.segment;
    elf.header.e_phnum = 1;
    elf.header.e_entry = UINT64_C(0xffffffff80000010);
    elf.segment.p_type = PT_LOAD;
    elf.segment.p_offset = sizeof elf.header + sizeof elf.segment;
    elf.segment.p_vaddr = UINT64_C(0xffffffff80000000);
    elf.segment.p_paddr = RAM_BASE + 0x200000;
    elf.segment.p_filesz = 256;
    elf.segment.p_memsz = 512;
    memset(elf.code, 0x77, sizeof elf.code);
    return elf;
}

static int load_elf(const struct elf *elf)
{
    begin(NULL);
    return rv64_load_kernel(&layout, &bus, (const uint8_t *)elf, sizeof *elf, &error);
}

static void refused(int result, const char *why)
{
    assert_int_equal(result, -1);
    if (!strstr(error.text, why))
        fail_msg("'%s' does not say '%s'", error.text, why);
}

static void an_image_goes_where_its_header_says(void **state)
{
    uint8_t image[4096];

    (void)state;
    make_image(image);
    assert_int_equal(rv64_load_kernel(&layout, &bus, image, sizeof image, &error), 0);
    assert_int_equal(layout.kernel_entry, RAM_BASE + 0x200000);
    assert_int_equal(layout.regions[0].end, RAM_BASE + 0x200000 + 6144);
    assert_memory_equal(bus.ram + 0x200000, image, sizeof image);
}

static void an_image_that_cannot_be_right_is_refused(void **state)
{
    uint8_t image[4096];
    uint64_t value;

    (void)state;
    make_image(image);
    refused(rv64_load_kernel(&layout, &bus, image, 63, &error), "too short");
    refused(rv64_load_kernel(&layout, &bus, image, 100, &error), "truncated");
    value = RAM_SIZE;
    memcpy(image + 8, &value, 8);
    refused(rv64_load_kernel(&layout, &bus, image, sizeof image, &error), "do not fit");
    value = UINT64_MAX - 3;
    memcpy(image + 8, &value, 8);
    refused(rv64_load_kernel(&layout, &bus, image, sizeof image, &error), "not in RAM");
    make_image(image);
    value = UINT64_MAX;
    memcpy(image + 16, &value, 8);
    refused(rv64_load_kernel(&layout, &bus, image, sizeof image, &error), "truncated");
    make_image(image);
    image[24] = 1;
    refused(rv64_load_kernel(&layout, &bus, image, sizeof image, &error), "big-endian");
    memset(image, 'x', sizeof image);
    refused(rv64_load_kernel(&layout, &bus, image, sizeof image, &error), "neither");
    memcpy(image, "\x1f\x8b\x08", 3);
    refused(rv64_load_kernel(&layout, &bus, image, sizeof image, &error), "gzip");
    refused(rv64_load_kernel(&layout, &bus, image, 0, &error), "too short");
}

static void an_elf_kernel_enters_where_its_segment_was_loaded(void **state)
{
    struct elf elf = make_elf();

    (void)state;
    assert_int_equal(load_elf(&elf), 0);
    assert_int_equal(layout.kernel_entry, RAM_BASE + 0x200010);
    assert_memory_equal(bus.ram + 0x200000, elf.code, sizeof elf.code);
    assert_int_equal(layout.regions[0].end, RAM_BASE + 0x200200);
}

static void an_elf_file_of_another_kind_is_refused(void **state)
{
    struct elf elf = make_elf();

    (void)state;
    elf.header.e_machine = EM_X86_64;
    refused(load_elf(&elf), "not RISC-V");
    elf = make_elf();
    elf.header.e_ident[EI_CLASS] = ELFCLASS32;
    refused(load_elf(&elf), "64-bit");
    elf = make_elf();
    elf.header.e_ident[EI_DATA] = ELFDATA2MSB;
    refused(load_elf(&elf), "little-endian");
    elf = make_elf();
    elf.header.e_type = ET_REL;
    refused(load_elf(&elf), "not an executable");
    elf = make_elf();
    elf.header.e_phnum = 0;
    refused(load_elf(&elf), "no program headers");
    elf = make_elf();
    elf.segment.p_type = PT_NOTE;
    refused(load_elf(&elf), "nothing to load");
}

static void an_elf_file_that_lies_is_refused(void **state)
{
    struct elf elf = make_elf();

    (void)state;
    elf.header.e_phoff = UINT64_MAX;
    refused(load_elf(&elf), "beyond the file");
    elf = make_elf();
    elf.header.e_phnum = 0xffff;
    refused(load_elf(&elf), "beyond the file");
    elf = make_elf();
    elf.segment.p_offset = UINT64_MAX - 10;
    refused(load_elf(&elf), "beyond the file");
    elf = make_elf();
    elf.segment.p_filesz = 257;
    refused(load_elf(&elf), "beyond the file");
    elf = make_elf();
    elf.segment.p_memsz = 255;
    refused(load_elf(&elf), "impossible");
    elf = make_elf();
    elf.segment.p_memsz = UINT64_MAX;
    refused(load_elf(&elf), "impossible");
    elf = make_elf();
    elf.segment.p_paddr = 0;
    refused(load_elf(&elf), "do not fit");
    elf = make_elf();
    elf.segment.p_memsz = RAM_SIZE;
    refused(load_elf(&elf), "do not fit");
    elf = make_elf();
    elf.header.e_entry = 0x1234;
    refused(load_elf(&elf), "entry");
}

static void a_truncated_elf_file_is_refused_at_every_length(void **state)
{
    struct elf elf = make_elf();
    size_t length;

    (void)state;
    for (length = 0; length < sizeof elf; length++) {
        begin(NULL);
        assert_int_equal(rv64_load_kernel(&layout, &bus, (const uint8_t *)&elf, length, &error),
                         -1);
        assert_true(error.text[0]);
    }
}

/* Bits of good files flipped at random: refused or loaded, but nothing outside RAM is touched. */
static void corrupt_files_do_no_harm(void **state)
{
    const char *given = getenv("RV64_SEED");
    unsigned int seed = given ? (unsigned int)strtoul(given, NULL, 0) : (unsigned int)time(NULL);
    int round, i;

    (void)state;
    print_message("seed %u (RV64_SEED)\n", seed);
    srandom(seed);
    for (round = 0; round < 20000; round++) {
        size_t length = random() % 4 ? sizeof(struct elf) : (size_t)random() % sizeof(struct elf);
        struct elf elf = make_elf();
        uint8_t image[4096];
        /* Exactly as long as it says, so that a sanitizer sees one byte too many. */
        uint8_t *bytes = test_malloc(length + 1);

        make_image(image);
        memcpy(bytes, round & 1 ? (const void *)&elf : image, length);
        for (i = random() % 8; i && length; i--)
            bytes[(size_t)random() % (length < 128 ? length : 128)] ^= 1 << random() % 8;
        memset(&layout, 0, sizeof layout);
        (void)!rv64_load_kernel(&layout, &bus, bytes, length, &error);
        memset(&layout, 0, sizeof layout);
        (void)!rv64_load_bios(&layout, &bus, bytes, length, &error);
        test_free(bytes);
    }
}

static void raw_firmware_begins_ram_and_may_not_meet_the_kernel(void **state)
{
    uint8_t *bios = test_calloc(1, 0x200001);
    uint8_t image[4096];

    (void)state;
    make_image(image);
    bios[0] = 0x13;
    assert_int_equal(rv64_load_bios(&layout, &bus, bios, 0x200000, &error), 0);
    assert_int_equal(layout.bios_entry, RAM_BASE);
    assert_int_equal(rv64_load_kernel(&layout, &bus, image, sizeof image, &error), 0);
    begin(NULL);
    assert_int_equal(rv64_load_bios(&layout, &bus, bios, 0x200001, &error), 0);
    refused(rv64_load_kernel(&layout, &bus, image, sizeof image, &error), "overlaps bios");
    test_free(bios);
}

static void a_ram_disk_lies_between_kernel_and_tree(void **state)
{
    uint8_t *disk = test_calloc(1, RAM_SIZE + 1);
    uint8_t image[4096];

    (void)state;
    make_image(image);
    assert_int_equal(rv64_load_kernel(&layout, &bus, image, sizeof image, &error), 0);
    assert_int_equal(rv64_place_dtb(&layout, &bus, 10000, &error), 0);
    assert_int_equal(rv64_load_initrd(&layout, &bus, disk, 5000, &error), 0);
    assert_true(layout.initrd_end <= layout.dtb);
    assert_int_equal(layout.initrd_end - layout.initrd_start, 5000);
    assert_true(layout.dtb + 10000 <= RAM_BASE + RAM_SIZE);
    refused(rv64_load_initrd(&layout, &bus, disk, 5000, &error), "overlaps initrd");
    refused(rv64_load_initrd(&layout, &bus, disk, RAM_SIZE - 0x200000, &error), "overlaps");
    refused(rv64_load_initrd(&layout, &bus, disk, RAM_SIZE + 1, &error), "do not fit");
    refused(rv64_place_dtb(&layout, &bus, RAM_SIZE + 1, &error), "larger");
    test_free(disk);
}

static void files_that_cannot_be_read_say_why(void **state)
{
    struct rv64_file file;

    (void)state;
    refused(rv64_file_read("kernel", "/nonexistent", 10, &file, &error), "No such file");
    refused(rv64_file_read("kernel", "/", 10, &file, &error), "directory");
    refused(rv64_file_read("kernel", "/dev/null", 10, &file, &error), "empty");
    refused(rv64_file_read("kernel", "/dev/zero", 1 << 20, &file, &error), "larger");
    assert_null(file.data);
}

static const char *text_of(const void *tree, const char *path, const char *name)
{
    int node = fdt_path_offset(tree, path);

    return node < 0 ? NULL : fdt_getprop(tree, node, name, NULL);
}

static void the_tree_describes_the_machine(void **state)
{
    const struct rv64_fdt_chosen chosen = {
        .bootargs = "console=ttyS0", .initrd_start = 0x81000000, .initrd_end = 0x81001388};
    struct rv64_file tree;
    const void *data;

    (void)state;
    assert_int_equal(rv64_fdt_build(RAM_BASE, RAM_SIZE, &tree, &error), 0);
    assert_int_equal(rv64_fdt_check(&tree, &error), 0);
    assert_int_equal(rv64_fdt_choose(&tree, &chosen, &error), 0);
    assert_int_equal(rv64_fdt_check(&tree, &error), 0);
    data = tree.data;
    assert_string_equal(text_of(data, "/chosen", "bootargs"), "console=ttyS0");
    assert_string_equal(text_of(data, "/chosen", "stdout-path"), "/soc/serial@10000000");
    assert_string_equal(text_of(data, "/cpus/cpu@0", "mmu-type"), "riscv,sv39");
    assert_string_equal(text_of(data, "/soc/serial@10000000", "compatible"), "ns16550a");
    assert_non_null(text_of(data, "/soc/virtio_mmio@10008000", "reg"));
    assert_non_null(text_of(data, "/soc/plic@c000000", "interrupts-extended"));
    assert_non_null(text_of(data, "/memory@80000000", "reg"));
    assert_non_null(text_of(data, "/poweroff", "value"));
    assert_int_equal(
        fdt64_ld(fdt_getprop(data, fdt_path_offset(data, "/chosen"), "linux,initrd-end", NULL)),
        0x81001388);
    rv64_file_free(&tree);
}

static void a_damaged_tree_is_refused_or_harmless(void **state)
{
    const struct rv64_fdt_chosen chosen = {.bootargs = "a", .initrd_start = 1, .initrd_end = 2};
    struct rv64_file good, bad;
    size_t size;
    int round;

    (void)state;
    assert_int_equal(rv64_fdt_build(RAM_BASE, RAM_SIZE, &good, &error), 0);
    for (size = 0; size < good.size; size++) {
        bad.data = malloc(size + 1);
        memcpy(bad.data, good.data, size);
        bad.size = size;
        refused(rv64_fdt_check(&bad, &error), "device tree");
        free(bad.data);
    }
    for (round = 0; round < 5000; round++) {
        bad.size = good.size;
        bad.data = malloc(bad.size);
        memcpy(bad.data, good.data, bad.size);
        bad.data[(size_t)random() % bad.size] ^= 1 << random() % 8;
        if (!rv64_fdt_check(&bad, &error))
            (void)!rv64_fdt_choose(&bad, &chosen, &error);
        free(bad.data);
    }
    rv64_file_free(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_image_goes_where_its_header_says, begin),
        cmocka_unit_test_setup(an_image_that_cannot_be_right_is_refused, begin),
        cmocka_unit_test_setup(an_elf_kernel_enters_where_its_segment_was_loaded, begin),
        cmocka_unit_test_setup(an_elf_file_of_another_kind_is_refused, begin),
        cmocka_unit_test_setup(an_elf_file_that_lies_is_refused, begin),
        cmocka_unit_test_setup(a_truncated_elf_file_is_refused_at_every_length, begin),
        cmocka_unit_test_setup(corrupt_files_do_no_harm, begin),
        cmocka_unit_test_setup(raw_firmware_begins_ram_and_may_not_meet_the_kernel, begin),
        cmocka_unit_test_setup(a_ram_disk_lies_between_kernel_and_tree, begin),
        cmocka_unit_test_setup(files_that_cannot_be_read_say_why, begin),
        cmocka_unit_test_setup(the_tree_describes_the_machine, begin),
        cmocka_unit_test_setup(a_damaged_tree_is_refused_or_harmless, begin),
    };
    int failed;

    bus.ram = calloc(1, RAM_SIZE);
    if (!bus.ram)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(bus.ram);
    return failed;
}
