/* SPDX-License-Identifier: BSD-3-Clause */
/* Split virtqueues: virtio 1.2 §2.7. */

#include "virtio_queue.h"

#include <endian.h>
#include <string.h>

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

#define AVAIL_NO_INTERRUPT 1

/* Offsets in both rings: flags, idx, ring[]. */
#define RING_IDX     2
#define RING_ENTRIES 4

/* struct virtq_desc (§2.7.5), as it lies in memory: little-endian. */
struct descriptor {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

/* A descriptor table: the queue's own, or an indirect one. */
struct table {
    uint64_t gpa;
    uint32_t count;
    bool indirect;
};

static int read_u16(const struct rv64_bus *bus, uint64_t gpa, uint16_t *ret)
{
    uint16_t raw;

    if (rv64_bus_dma_read(bus, gpa, &raw, sizeof raw))
        return -1;
    *ret = le16toh(raw);
    return 0;
}

static int read_descriptor(const struct rv64_bus *bus, const struct table *table, uint32_t index,
                           struct descriptor *ret)
{
    struct descriptor raw;

    if (index >= table->count ||
        rv64_bus_dma_read(bus, table->gpa + index * sizeof raw, &raw, sizeof raw))
        return -1;
    ret->addr = le64toh(raw.addr);
    ret->len = le32toh(raw.len);
    ret->flags = le16toh(raw.flags);
    ret->next = le16toh(raw.next);
    return 0;
}

bool rv64_virtqueue_valid(const struct rv64_virtqueue *queue, const struct rv64_bus *bus)
{
    uint64_t num = queue->num;

    if (!num || num > RV64_VIRTQUEUE_MAX || num & (num - 1))
        return false;
    if (queue->desc % 16 || queue->driver % 2 || queue->device % 4)
        return false;
    return rv64_bus_ram(bus, queue->desc, 16 * num) &&
           rv64_bus_ram(bus, queue->driver, RING_ENTRIES + 2 * num) &&
           rv64_bus_ram(bus, queue->device, RING_ENTRIES + 8 * num);
}

/* §2.7.5.3.1: no indirect table within one, none with NEXT, none longer than the queue. */
static int enter_indirect(const struct rv64_virtqueue *queue, const struct descriptor *desc,
                          struct table *table)
{
    if (!queue->indirect || table->indirect || desc->flags & DESC_NEXT)
        return -1;
    if (!desc->len || desc->len % 16 || desc->len / 16 > queue->num)
        return -1;
    table->gpa = desc->addr;
    table->count = desc->len / 16;
    table->indirect = true;
    return 0;
}

/* §2.7.4.2: what the device reads comes before what it writes. */
static int append(struct rv64_virtio_chain *chain, const struct rv64_bus *bus,
                  const struct descriptor *desc)
{
    bool write = desc->flags & DESC_WRITE;

    if (!rv64_bus_ram(bus, desc->addr, desc->len))
        return -1;
    if (!write && chain->count > chain->readable)
        return -1;
    chain->segments[chain->count].gpa = desc->addr;
    chain->segments[chain->count].length = desc->len;
    chain->count++;
    if (write) {
        chain->writable_length += desc->len;
    } else {
        chain->readable++;
        chain->readable_length += desc->len;
    }
    return 0;
}

/*
 * Follows a chain. It may not be longer than the queue (§2.7.5.2), which also ends every loop;
 * the descriptor that leads to an indirect table can come only once.
 */
static int collect(const struct rv64_virtqueue *queue, const struct rv64_bus *bus,
                   struct rv64_virtio_chain *chain)
{
    struct table table = {.gpa = queue->desc, .count = queue->num};
    struct descriptor desc;
    uint32_t index = chain->head;

    for (;;) {
        if (read_descriptor(bus, &table, index, &desc))
            return -1;
        if (desc.flags & DESC_INDIRECT) {
            if (enter_indirect(queue, &desc, &table))
                return -1;
            index = 0;
            continue;
        }
        if (chain->count == queue->num || append(chain, bus, &desc))
            return -1;
        if (!(desc.flags & DESC_NEXT))
            return 0;
        index = desc.next;
    }
}

int rv64_virtqueue_pop(struct rv64_virtqueue *queue, const struct rv64_bus *bus,
                       struct rv64_virtio_chain *chain)
{
    uint16_t available, waiting;
    uint64_t slot;

    if (!rv64_virtqueue_valid(queue, bus) || read_u16(bus, queue->driver + RING_IDX, &available))
        return -1;
    waiting = (uint16_t)(available - queue->last_avail);
    if (!waiting)
        return 0;
    if (waiting > queue->num)
        return -1;
    slot = queue->driver + RING_ENTRIES + 2 * (queue->last_avail % queue->num);
    chain->count = chain->readable = 0;
    chain->readable_length = chain->writable_length = 0;
    if (read_u16(bus, slot, &chain->head) || collect(queue, bus, chain))
        return -1;
    queue->last_avail++;
    return 1;
}

int rv64_virtqueue_push(struct rv64_virtqueue *queue, struct rv64_bus *bus,
                        const struct rv64_virtio_chain *chain, uint32_t written)
{
    const uint32_t entry[2] = {htole32(chain->head), htole32(written)};
    uint64_t slot = queue->device + RING_ENTRIES + 8 * (queue->used % queue->num);
    uint16_t index;

    if (rv64_bus_dma_write(bus, slot, entry, sizeof entry))
        return -1;
    /* One thread runs the device and the hart: the order of these two stores is not observable. */
    queue->used++;
    index = htole16(queue->used);
    return rv64_bus_dma_write(bus, queue->device + RING_IDX, &index, sizeof index);
}

bool rv64_virtqueue_wants_interrupt(const struct rv64_virtqueue *queue, const struct rv64_bus *bus)
{
    uint16_t flags;

    return !read_u16(bus, queue->driver, &flags) && !(flags & AVAIL_NO_INTERRUPT);
}

bool rv64_virtio_chain_cut(const struct rv64_virtio_chain *chain, uint32_t index, uint64_t *at,
                           uint64_t offset, uint64_t length, struct rv64_virtio_segment *ret)
{
    const struct rv64_virtio_segment *segment = &chain->segments[index];
    uint64_t begin = *at > offset ? *at : offset;
    uint64_t end = *at + segment->length;

    if (end > offset + length)
        end = offset + length;
    ret->gpa = segment->gpa + (begin - *at);
    ret->length = end > begin ? (uint32_t)(end - begin) : 0;
    *at += segment->length;
    return ret->length != 0;
}

int rv64_virtio_chain_read(const struct rv64_virtio_chain *chain, const struct rv64_bus *bus,
                           uint64_t offset, void *to, uint64_t length)
{
    struct rv64_virtio_segment part;
    uint8_t *out = to;
    uint64_t at = 0;
    uint32_t i;

    if (offset > chain->readable_length || length > chain->readable_length - offset)
        return -1;
    for (i = 0; i < chain->readable; i++) {
        if (!rv64_virtio_chain_cut(chain, i, &at, offset, length, &part))
            continue;
        if (rv64_bus_dma_read(bus, part.gpa, out, part.length))
            return -1;
        out += part.length;
    }
    return 0;
}

int rv64_virtio_chain_write(const struct rv64_virtio_chain *chain, struct rv64_bus *bus,
                            uint64_t offset, const void *from, uint64_t length)
{
    struct rv64_virtio_segment part;
    const uint8_t *in = from;
    uint64_t at = 0;
    uint32_t i;

    if (offset > chain->writable_length || length > chain->writable_length - offset)
        return -1;
    for (i = chain->readable; i < chain->count; i++) {
        if (!rv64_virtio_chain_cut(chain, i, &at, offset, length, &part))
            continue;
        if (rv64_bus_dma_write(bus, part.gpa, in, part.length))
            return -1;
        in += part.length;
    }
    return 0;
}
