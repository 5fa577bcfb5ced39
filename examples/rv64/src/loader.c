/* SPDX-License-Identifier: BSD-3-Clause */

#include "loader.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)

/* The device tree stays below this distance from the beginning of RAM: early maps are small. */
#define DTB_REACH (UINT64_C(1) << 30)

/* Firmware edits the tree where it lies (OpenSBI's fixups add nodes): room behind it. */
#define DTB_GROWTH UINT64_C(0x10000)

/* Linux Documentation/riscv/boot-image-header.rst. */
struct image_header {
    uint32_t code[2];
    uint64_t text_offset;
    uint64_t image_size;
    uint64_t flags;
    uint32_t version;
    uint32_t reserved[3];
    uint64_t magic;  /* "RISCV", deprecated */
    uint32_t magic2; /* "RSC\x05" */
    uint32_t reserved2;
};

#define IMAGE_MAGIC2     0x05435352
#define IMAGE_BIG_ENDIAN 1

/* Where a kernel goes that does not say: 2 MiB into RAM. */
#define KERNEL_OFFSET UINT64_C(0x200000)

static int read_all(int fd, uint64_t max, struct rv64_file *file)
{
    size_t room = 0;

    for (;;) {
        ssize_t got;

        if (file->size == room) {
            uint8_t *grown;

            room = room ? room * 2 : 1 << 20;
            grown = realloc(file->data, room);
            if (!grown)
                return ENOMEM;
            file->data = grown;
        }
        got = read(fd, file->data + file->size, room - file->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (!got)
            return 0;
        file->size += (size_t)got;
        if (file->size > max)
            return EFBIG;
    }
}

int rv64_file_read(const char *what, const char *path, uint64_t max, struct rv64_file *ret,
                   struct rv64_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int why;

    ret->data = NULL;
    ret->size = 0;
    if (fd < 0)
        return rv64_error_set(error, "%s %s: %s", what, path, strerror(errno));
    why = read_all(fd, max, ret);
    close(fd);
    if (!why && ret->size)
        return 0;
    rv64_file_free(ret);
    if (why == EFBIG)
        return rv64_error_set(error, "%s %s: larger than the %" PRIu64 " KiB there is room for",
                              what, path, max >> 10);
    return rv64_error_set(error, "%s %s: %s", what, path, why ? strerror(why) : "file is empty");
}

void rv64_file_free(struct rv64_file *file)
{
    free(file->data);
    file->data = NULL;
    file->size = 0;
}

int rv64_layout_reserve(struct rv64_layout *layout, const struct rv64_bus *bus, const char *name,
                        uint64_t start, uint64_t length, struct rv64_error *error)
{
    struct rv64_region *region;
    size_t i;

    if (!rv64_bus_ram(bus, start, length))
        return rv64_error_set(error,
                              "%s: 0x%" PRIx64 " bytes at 0x%" PRIx64
                              " do not fit into RAM (0x%" PRIx64 " bytes at 0x%" PRIx64 ")",
                              name, length, start, bus->ram_size, bus->ram_base);
    for (i = 0; i < layout->region_count; i++) {
        region = &layout->regions[i];
        if (start < region->end && region->start < start + length)
            return rv64_error_set(
                error, "%s at 0x%" PRIx64 "-0x%" PRIx64 " overlaps %s at 0x%" PRIx64 "-0x%" PRIx64,
                name, start, start + length, region->name, region->start, region->end);
    }
    if (layout->region_count == RV64_LOADER_REGIONS_MAX)
        return rv64_error_set(error, "%s: too many things in RAM", name);
    region = &layout->regions[layout->region_count++];
    region->name = name;
    region->start = start;
    region->end = start + length;
    return 0;
}

/* The program header `index`, or -1 if it is not in the file. */
static int program_header(const uint8_t *data, size_t size, const Elf64_Ehdr *header,
                          uint16_t index, Elf64_Phdr *ret)
{
    uint64_t table = le64toh(header->e_phoff);
    uint64_t offset = (uint64_t)index * sizeof *ret;

    if (table > size || offset > size - table || sizeof *ret > size - table - offset)
        return -1;
    memcpy(ret, data + table + offset, sizeof *ret);
    return 0;
}

/* What an ELF file occupies: its lowest and highest byte in physical memory. */
struct extent {
    uint64_t start, end;
};

static int check_segment(const char *name, const Elf64_Phdr *segment, size_t size,
                         struct extent *extent, struct rv64_error *error)
{
    uint64_t offset = le64toh(segment->p_offset);
    uint64_t in_file = le64toh(segment->p_filesz);
    uint64_t in_memory = le64toh(segment->p_memsz);
    uint64_t start = le64toh(segment->p_paddr);

    if (offset > size || in_file > size - offset)
        return rv64_error_set(error, "%s: ELF segment reaches beyond the file; truncated?", name);
    if (in_file > in_memory || in_memory > UINT64_MAX - start)
        return rv64_error_set(error, "%s: ELF segment has impossible sizes", name);
    if (start < extent->start)
        extent->start = start;
    if (start + in_memory > extent->end)
        extent->end = start + in_memory;
    return 0;
}

static int check_elf_header(const char *name, const Elf64_Ehdr *header, struct rv64_error *error)
{
    if (header->e_ident[EI_CLASS] != ELFCLASS64)
        return rv64_error_set(error, "%s: not a 64-bit ELF file", name);
    if (header->e_ident[EI_DATA] != ELFDATA2LSB)
        return rv64_error_set(error, "%s: ELF file is not little-endian", name);
    if (le16toh(header->e_machine) != EM_RISCV)
        return rv64_error_set(error, "%s: ELF file is for machine %u, not RISC-V (%u)", name,
                              le16toh(header->e_machine), EM_RISCV);
    if (le16toh(header->e_type) != ET_EXEC && le16toh(header->e_type) != ET_DYN)
        return rv64_error_set(error, "%s: ELF file is not an executable", name);
    if (le16toh(header->e_phentsize) != sizeof(Elf64_Phdr) || !header->e_phnum)
        return rv64_error_set(error, "%s: ELF file has no program headers", name);
    return 0;
}

static int measure_elf(const char *name, const uint8_t *data, size_t size, const Elf64_Ehdr *header,
                       struct extent *extent, struct rv64_error *error)
{
    Elf64_Phdr segment;
    uint16_t i;

    extent->start = UINT64_MAX;
    extent->end = 0;
    for (i = 0; i < le16toh(header->e_phnum); i++) {
        if (program_header(data, size, header, i, &segment))
            return rv64_error_set(error,
                                  "%s: ELF program headers reach beyond the file; "
                                  "truncated?",
                                  name);
        if (le32toh(segment.p_type) == PT_LOAD && segment.p_memsz &&
            check_segment(name, &segment, size, extent, error))
            return -1;
    }
    if (!extent->end)
        return rv64_error_set(error, "%s: ELF file has nothing to load", name);
    return 0;
}

/* The entry is virtual; it runs where the segment that holds it was loaded. */
static uint64_t physical_entry(const Elf64_Phdr *segment, uint64_t entry, uint64_t otherwise)
{
    uint64_t va = le64toh(segment->p_vaddr);

    if (entry < va || entry - va >= le64toh(segment->p_memsz))
        return otherwise;
    return entry - va + le64toh(segment->p_paddr);
}

static int load_elf(struct rv64_layout *layout, struct rv64_bus *bus, const char *name,
                    const uint8_t *data, size_t size, uint64_t *ret_entry, struct rv64_error *error)
{
    struct extent extent;
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    uint16_t i;

    if (size < sizeof header)
        return rv64_error_set(error, "%s: truncated in the ELF header", name);
    memcpy(&header, data, sizeof header);
    if (check_elf_header(name, &header, error) ||
        measure_elf(name, data, size, &header, &extent, error) ||
        rv64_layout_reserve(layout, bus, name, extent.start, extent.end - extent.start, error))
        return -1;
    *ret_entry = 0;
    for (i = 0; i < le16toh(header.e_phnum); i++) {
        if (program_header(data, size, &header, i, &segment) ||
            le32toh(segment.p_type) != PT_LOAD || !segment.p_memsz)
            continue;
        /* RAM begins zeroed, which is what the part beyond the file is to be. */
        if (rv64_bus_dma_write(bus, le64toh(segment.p_paddr), data + le64toh(segment.p_offset),
                               le64toh(segment.p_filesz)))
            return rv64_error_set(error, "%s: ELF segment is outside RAM", name);
        *ret_entry = physical_entry(&segment, le64toh(header.e_entry), *ret_entry);
    }
    if (!*ret_entry || *ret_entry & 1)
        return rv64_error_set(error, "%s: ELF entry point 0x%" PRIx64 " is in no segment", name,
                              le64toh(header.e_entry));
    return 0;
}

static bool is_elf(const uint8_t *data, size_t size)
{
    return size >= SELFMAG && !memcmp(data, ELFMAG, SELFMAG);
}

static int load_image(struct rv64_layout *layout, struct rv64_bus *bus, const uint8_t *data,
                      size_t size, struct rv64_error *error)
{
    struct image_header header;
    uint64_t offset, occupied;

    memcpy(&header, data, sizeof header);
    offset = le64toh(header.text_offset);
    occupied = le64toh(header.image_size);
    if (le64toh(header.flags) & IMAGE_BIG_ENDIAN)
        return rv64_error_set(error, "kernel: Image is big-endian");
    /* An Image without a size is of a time when text_offset was not reliable either. */
    if (!occupied)
        offset = KERNEL_OFFSET;
    if (occupied < size)
        occupied = size;
    /* What is missing is .bss; no kernel consists of it by half. */
    if (size < occupied / 2)
        return rv64_error_set(error,
                              "kernel: file has %zu of the %" PRIu64 " bytes that its header "
                              "names; truncated?",
                              size, occupied);
    if (offset % 4 || offset > bus->ram_size)
        return rv64_error_set(error, "kernel: Image offset 0x%" PRIx64 " is not in RAM", offset);
    if (rv64_layout_reserve(layout, bus, "kernel", bus->ram_base + offset, occupied, error))
        return -1;
    layout->kernel_entry = bus->ram_base + offset;
    return rv64_bus_dma_write(bus, layout->kernel_entry, data, size);
}

int rv64_load_kernel(struct rv64_layout *layout, struct rv64_bus *bus, const uint8_t *data,
                     size_t size, struct rv64_error *error)
{
    uint32_t magic;

    if (is_elf(data, size))
        return load_elf(layout, bus, "kernel", data, size, &layout->kernel_entry, error);
    if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b)
        return rv64_error_set(error, "kernel: compressed with gzip; unpack it with gunzip first");
    if (size < sizeof(struct image_header))
        return rv64_error_set(error, "kernel: %zu bytes are too short for a kernel", size);
    memcpy(&magic, data + offsetof(struct image_header, magic2), sizeof magic);
    if (le32toh(magic) != IMAGE_MAGIC2)
        return rv64_error_set(error, "kernel: neither a RISC-V Linux Image nor an ELF file");
    return load_image(layout, bus, data, size, error);
}

int rv64_load_bios(struct rv64_layout *layout, struct rv64_bus *bus, const uint8_t *data,
                   size_t size, struct rv64_error *error)
{
    if (is_elf(data, size))
        return load_elf(layout, bus, "bios", data, size, &layout->bios_entry, error);
    if (rv64_layout_reserve(layout, bus, "bios", bus->ram_base, size, error))
        return -1;
    layout->bios_entry = bus->ram_base;
    return rv64_bus_dma_write(bus, bus->ram_base, data, size);
}

int rv64_place_dtb(struct rv64_layout *layout, const struct rv64_bus *bus, size_t size,
                   struct rv64_error *error)
{
    uint64_t reach = bus->ram_size < DTB_REACH ? bus->ram_size : DTB_REACH;

    if (size > reach - DTB_GROWTH)
        return rv64_error_set(error, "device tree: larger than RAM");
    layout->dtb = (bus->ram_base + reach - DTB_GROWTH - size) & ~(PAGE - 1);
    return rv64_layout_reserve(layout, bus, "device tree", layout->dtb, size + DTB_GROWTH, error);
}

int rv64_load_initrd(struct rv64_layout *layout, struct rv64_bus *bus, const uint8_t *data,
                     size_t size, struct rv64_error *error)
{
    uint64_t start;

    if (size > layout->dtb - bus->ram_base)
        return rv64_error_set(error, "initrd: %zu KiB do not fit into %" PRIu64 " KiB of RAM",
                              size >> 10, bus->ram_size >> 10);
    start = (layout->dtb - size) & ~(PAGE - 1);
    if (rv64_layout_reserve(layout, bus, "initrd", start, size, error))
        return -1;
    layout->initrd_start = start;
    layout->initrd_end = start + size;
    return rv64_bus_dma_write(bus, start, data, size);
}
