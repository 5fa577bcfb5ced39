/* SPDX-License-Identifier: BSD-3-Clause */
#include "bus.h"

#include <stdlib.h>
#include <string.h>

struct bus bus;

void bus_reset(uint32_t sets, uint32_t ways, int (*secret)(const uint8_t *line))
{
    memset(&bus, 0, sizeof bus);
    bus.sets = sets;
    bus.ways = ways;
    bus.secret = secret;
}

uint32_t bus_add(uint8_t *at, size_t bytes, const uint64_t *hpa, uint32_t first, uint32_t ways)
{
    struct bus_range *range = &bus.range[bus.range_count];

    *range = (struct bus_range){
        .at = at, .bytes = bytes, .hpa = hpa, .first = first, .ways = ways, .dram = malloc(bytes)};
    memcpy(range->dram, at, bytes);
    return bus.range_count++;
}

void bus_free(void)
{
    for (uint32_t i = 0; i < bus.range_count; i++)
        free(bus.range[i].dram);
    memset(&bus, 0, sizeof bus);
}

/** A line goes over the bus to DRAM. */
static void write_back(struct bus_slot *slot)
{
    struct bus_range *range = &bus.range[slot->range];

    memcpy(range->dram + (slot->at - range->at), slot->at, BUS_LINE);
    range->written++;
    bus.secrets += bus.secret(slot->at) != 0;
    slot->dirty = 0;
}

static void touch_line(uint32_t r, size_t offset, int write)
{
    struct bus_range *range = &bus.range[r];
    const uint64_t line = (range->hpa[offset / BUS_PAGE] + offset % BUS_PAGE) / BUS_LINE;
    struct bus_slot *set = bus.slot[line % bus.sets], *slot = NULL;

    range->accesses++;
    for (uint32_t way = 0; way < bus.ways && !slot; way++)
        if (set[way].line == line + 1)
            slot = &set[way];
    if (!slot) {
        slot = &set[range->first];
        for (uint32_t way = range->first; way < range->first + range->ways; way++)
            if (set[way].used < slot->used)
                slot = &set[way];
        if (slot->line) {
            bus.range[slot->range].evicted++;
            if (slot->dirty)
                write_back(slot);
        }
        *slot = (struct bus_slot){.line = line + 1, .at = range->at + offset, .range = r};
        range->fetched++;
    }
    slot->used = ++bus.clock;
    slot->dirty |= write != 0;
}

void bus_access(const volatile void *at, size_t bytes, int write)
{
    const uintptr_t first = (uintptr_t)at & ~(uintptr_t)(BUS_LINE - 1);

    if (!bus.on || !bytes)
        return;
    for (uintptr_t line = first; line < (uintptr_t)at + bytes; line += BUS_LINE)
        for (uint32_t r = 0; r < bus.range_count; r++)
            if (line - (uintptr_t)bus.range[r].at < bus.range[r].bytes)
                touch_line(r, line - (uintptr_t)bus.range[r].at, write);
}

void bus_device_write(uint8_t *at, uint8_t byte)
{
    const uintptr_t line = (uintptr_t)at & ~(uintptr_t)(BUS_LINE - 1);

    for (uint32_t set = 0; set < bus.sets; set++)
        for (uint32_t way = 0; way < bus.ways; way++)
            if ((uintptr_t)bus.slot[set][way].at == line) {
                if (bus.slot[set][way].dirty)
                    write_back(&bus.slot[set][way]);
                bus.slot[set][way] = (struct bus_slot){0};
            }
    *at = byte;
    for (uint32_t r = 0; r < bus.range_count; r++)
        if ((uintptr_t)at - (uintptr_t)bus.range[r].at < bus.range[r].bytes)
            bus.range[r].dram[at - bus.range[r].at] = byte;
}

void bus_flush(void)
{
    for (uint32_t set = 0; set < bus.sets; set++)
        for (uint32_t way = 0; way < bus.ways; way++)
            if (bus.slot[set][way].line && bus.slot[set][way].dirty)
                write_back(&bus.slot[set][way]);
}
