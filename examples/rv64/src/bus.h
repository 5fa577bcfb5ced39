/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_BUS_H
#define RV64_BUS_H

/*
 * The guest physical address space: one range of RAM, and device registers. Devices see guest
 * memory only through rv64_bus_dma(), which checks every address: ring descriptors are hostile.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RV64_BUS_DEVICES_MAX 24

/** A device's register window. Offsets are in bytes from base; size is 1, 2, 4 or 8, aligned. */
struct rv64_device {
    const char *name;
    uint64_t base;
    uint64_t length;
    void *state;
    /** Reads a register. @return 0, or -1: access fault. */
    int (*read)(void *state, uint64_t offset, uint32_t size, uint64_t *ret_value);
    /** Writes a register. @return 0, or -1: access fault. */
    int (*write)(void *state, uint64_t offset, uint32_t size, uint64_t value);
};

/** Memory for system calls, where RAM itself cannot be given to them. */
struct rv64_bounce {
    uint8_t *memory;
    uint64_t size;
    void *ctx;
    /** Copies from memory into RAM, all of which is there. @return 0, or -1: RAM is damaged */
    int (*in)(void *ctx, uint64_t gpa, uint64_t length);
    /** Copies from RAM into memory. @return 0, or -1 */
    int (*out)(void *ctx, uint64_t gpa, uint64_t length);
};

/** The guest physical address space. */
struct rv64_bus {
    uint64_t ram_base; /**< guest physical address of RAM: 0x80000000 */
    uint64_t ram_size; /**< bytes, a multiple of 4096 */
    uint8_t *ram;      /**< host address of RAM */
    struct rv64_device devices[RV64_BUS_DEVICES_MAX];
    size_t device_count;
    /**
     * Told of every write to guest RAM that did not come through the MMU (device DMA, SBI): the
     * composition must learn of writes to guest page tables. May be NULL.
     */
    void (*dma_wrote)(void *ctx, uint64_t gpa, uint64_t length);
    void *dma_ctx;
    /** NULL: system calls may be given RAM. */
    const struct rv64_bounce *bounce;
};

/** Adds a device. @return 0, or -1: no room, empty, or it overlaps RAM or another device. */
int rv64_bus_add(struct rv64_bus *bus, const struct rv64_device *device);

/** The device whose window holds all of [gpa, gpa + size), or NULL. */
const struct rv64_device *rv64_bus_find(const struct rv64_bus *bus, uint64_t gpa, uint32_t size);

/** Device read at a guest physical address. @return 0, or -1: access fault. */
int rv64_bus_read(struct rv64_bus *bus, uint64_t gpa, uint32_t size, uint64_t *ret_value);

/** Device write at a guest physical address. @return 0, or -1: access fault. */
int rv64_bus_write(struct rv64_bus *bus, uint64_t gpa, uint32_t size, uint64_t value);

/** Host address of [gpa, gpa + length) if all of it is RAM, else NULL. Length may be 0. */
void *rv64_bus_ram(const struct rv64_bus *bus, uint64_t gpa, uint64_t length);

/** Copies from guest RAM. @return 0, or -1 if part of the range is not RAM (nothing copied). */
int rv64_bus_dma_read(const struct rv64_bus *bus, uint64_t gpa, void *to, uint64_t length);

/** Copies into guest RAM and tells dma_wrote. @return 0, or -1 (nothing copied). */
int rv64_bus_dma_write(struct rv64_bus *bus, uint64_t gpa, const void *from, uint64_t length);

/**
 * Tells dma_wrote of a write made through rv64_bus_ram(), such as a read(2) straight into RAM.
 */
void rv64_bus_wrote(struct rv64_bus *bus, uint64_t gpa, uint64_t length);

#endif /* RV64_BUS_H */
