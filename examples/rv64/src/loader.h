/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_LOADER_H
#define RV64_LOADER_H

/*
 * Puts kernel, firmware, initial RAM disk and device tree into guest RAM. Every file is treated as
 * hostile: nothing in it is believed before it was compared with the file's length, the RAM, and
 * what was placed before.
 *
 *   ram_base              + 2 MiB                                              ram_base + ram_size
 *   | firmware (--bios)   | kernel (its own wish)   ...      | initrd | device tree |
 *                                                   the tree is below 1 GiB of RAM at most
 */

#include "bus.h"
#include "error.h"

#define RV64_LOADER_REGIONS_MAX 8

/** A range of RAM that something occupies. */
struct rv64_region {
    const char *name;
    uint64_t start, end;
};

/** Where everything went. */
struct rv64_layout {
    struct rv64_region regions[RV64_LOADER_REGIONS_MAX];
    size_t region_count;
    uint64_t bios_entry;   /**< 0: none */
    uint64_t kernel_entry; /**< 0: none */
    uint64_t initrd_start, initrd_end;
    uint64_t dtb;
};

/** A file in memory. */
struct rv64_file {
    uint8_t *data;
    size_t size;
};

/**
 * Reads a file of at most `max` bytes; it may be a pipe.
 * @param what  "kernel", "initrd", ... for the message
 */
int rv64_file_read(const char *what, const char *path, uint64_t max, struct rv64_file *ret,
                   struct rv64_error *error);

/** Frees what rv64_file_read() gave. */
void rv64_file_free(struct rv64_file *file);

/**
 * Reserves [start, start + length) for `name`.
 * @return 0, or -1 and a message: outside RAM, or occupied
 */
int rv64_layout_reserve(struct rv64_layout *layout, const struct rv64_bus *bus, const char *name,
                        uint64_t start, uint64_t length, struct rv64_error *error);

/** Loads a Linux Image or an ELF executable as the kernel. */
int rv64_load_kernel(struct rv64_layout *layout, struct rv64_bus *bus, const uint8_t *data,
                     size_t size, struct rv64_error *error);

/** Loads an ELF executable, or a raw binary at the beginning of RAM, as the firmware. */
int rv64_load_bios(struct rv64_layout *layout, struct rv64_bus *bus, const uint8_t *data,
                   size_t size, struct rv64_error *error);

/** Reserves room for a device tree of `size` bytes near the end of RAM. */
int rv64_place_dtb(struct rv64_layout *layout, const struct rv64_bus *bus, size_t size,
                   struct rv64_error *error);

/** Loads the initial RAM disk below the device tree. */
int rv64_load_initrd(struct rv64_layout *layout, struct rv64_bus *bus, const uint8_t *data,
                     size_t size, struct rv64_error *error);

#endif /* RV64_LOADER_H */
