/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest physical address space. Addresses and lengths come from the guest: every comparison
 * here is written so that no sum can wrap.
 */

#include "bus.h"

#include <string.h>

static bool overlaps(uint64_t base, uint64_t length, uint64_t other, uint64_t other_length)
{
    return base < other ? length > other - base : other_length > base - other;
}

int rv64_bus_add(struct rv64_bus *bus, const struct rv64_device *device)
{
    size_t i;

    if (bus->device_count == RV64_BUS_DEVICES_MAX)
        return -1;
    if (!device->length || device->length - 1 > UINT64_MAX - device->base)
        return -1;
    if (overlaps(device->base, device->length, bus->ram_base, bus->ram_size))
        return -1;
    for (i = 0; i < bus->device_count; i++) {
        const struct rv64_device *other = &bus->devices[i];

        if (overlaps(device->base, device->length, other->base, other->length))
            return -1;
    }
    bus->devices[bus->device_count++] = *device;
    return 0;
}

const struct rv64_device *rv64_bus_find(const struct rv64_bus *bus, uint64_t gpa, uint32_t size)
{
    size_t i;

    for (i = 0; i < bus->device_count; i++) {
        const struct rv64_device *device = &bus->devices[i];
        uint64_t offset = gpa - device->base;

        if (gpa >= device->base && offset < device->length && size <= device->length - offset)
            return device;
    }
    return NULL;
}

/* A register access is 1, 2, 4 or 8 bytes, naturally aligned. */
static bool access_ok(uint64_t gpa, uint32_t size)
{
    return size && size <= 8 && !(size & (size - 1)) && !(gpa & (size - 1));
}

int rv64_bus_read(struct rv64_bus *bus, uint64_t gpa, uint32_t size, uint64_t *ret_value)
{
    const struct rv64_device *device;

    if (!access_ok(gpa, size))
        return -1;
    device = rv64_bus_find(bus, gpa, size);
    return device ? device->read(device->state, gpa - device->base, size, ret_value) : -1;
}

int rv64_bus_write(struct rv64_bus *bus, uint64_t gpa, uint32_t size, uint64_t value)
{
    const struct rv64_device *device;

    if (!access_ok(gpa, size))
        return -1;
    device = rv64_bus_find(bus, gpa, size);
    return device ? device->write(device->state, gpa - device->base, size, value) : -1;
}

void *rv64_bus_ram(const struct rv64_bus *bus, uint64_t gpa, uint64_t length)
{
    uint64_t offset = gpa - bus->ram_base;

    if (gpa < bus->ram_base || offset > bus->ram_size || length > bus->ram_size - offset)
        return NULL;
    return bus->ram + offset;
}

int rv64_bus_dma_read(const struct rv64_bus *bus, uint64_t gpa, void *to, uint64_t length)
{
    const void *from = rv64_bus_ram(bus, gpa, length);

    if (!from)
        return -1;
    memcpy(to, from, length);
    return 0;
}

int rv64_bus_dma_write(struct rv64_bus *bus, uint64_t gpa, const void *from, uint64_t length)
{
    void *to = rv64_bus_ram(bus, gpa, length);

    if (!to)
        return -1;
    memcpy(to, from, length);
    rv64_bus_wrote(bus, gpa, length);
    return 0;
}

void rv64_bus_wrote(struct rv64_bus *bus, uint64_t gpa, uint64_t length)
{
    if (bus->dma_wrote && length)
        bus->dma_wrote(bus->dma_ctx, gpa, length);
}
