/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_VIRTIO_QUEUE_H
#define RV64_VIRTIO_QUEUE_H

/*
 * The device's side of a split virtqueue (virtio 1.2 §2.7). Rings and descriptors are guest data:
 * a chain is copied out and checked whole before anybody sees a part of it, so what a device gets
 * is a list of ranges that are RAM, and not longer than the queue.
 */

#include "bus.h"

#define RV64_VIRTQUEUE_MAX 256

/** A split virtqueue. Addresses are guest physical. */
struct rv64_virtqueue {
    uint64_t desc, driver, device; /**< descriptor table, available ring, used ring */
    uint32_t num;                  /**< entries: a power of two up to RV64_VIRTQUEUE_MAX */
    bool ready;
    bool indirect; /**< VIRTIO_F_INDIRECT_DESC was negotiated */
    uint16_t last_avail, used;
};

/** A range of guest RAM that a descriptor names. */
struct rv64_virtio_segment {
    uint64_t gpa;
    uint32_t length;
};

/** A checked descriptor chain: first what the device reads, then what it writes. */
struct rv64_virtio_chain {
    struct rv64_virtio_segment segments[RV64_VIRTQUEUE_MAX];
    uint32_t count;
    uint32_t readable;        /**< the first segments[] are the device's to read */
    uint64_t readable_length; /**< bytes */
    uint64_t writable_length; /**< bytes */
    uint16_t head;
};

/** Whether the three areas of the queue are aligned (§2.7) and lie in RAM. */
bool rv64_virtqueue_valid(const struct rv64_virtqueue *queue, const struct rv64_bus *bus);

/**
 * Takes the next available chain.
 * @return 1: taken; 0: there is none; -1: the driver broke a rule, the device needs a reset
 */
int rv64_virtqueue_pop(struct rv64_virtqueue *queue, const struct rv64_bus *bus,
                       struct rv64_virtio_chain *chain);

/**
 * Returns a chain to the driver, `written` bytes of whose writable part were written.
 * @return 0, or -1: the ring is not RAM
 */
int rv64_virtqueue_push(struct rv64_virtqueue *queue, struct rv64_bus *bus,
                        const struct rv64_virtio_chain *chain, uint32_t written);

/** Whether the driver wants an interrupt for used buffers (§2.7.7). */
bool rv64_virtqueue_wants_interrupt(const struct rv64_virtqueue *queue, const struct rv64_bus *bus);

/** Copies from the readable part. @return 0, or -1: it has not that many bytes. */
int rv64_virtio_chain_read(const struct rv64_virtio_chain *chain, const struct rv64_bus *bus,
                           uint64_t offset, void *to, uint64_t length);

/** Copies to the writable part. @return 0, or -1: it has not that many bytes. */
int rv64_virtio_chain_write(const struct rv64_virtio_chain *chain, struct rv64_bus *bus,
                            uint64_t offset, const void *from, uint64_t length);

/**
 * The part of segment `index` that lies in [offset, offset + length) of the readable (or the
 * writable) part; `*at` is where the segment begins in that part and is advanced beyond it.
 * @return whether there is any; gpa and bytes through *ret
 */
bool rv64_virtio_chain_cut(const struct rv64_virtio_chain *chain, uint32_t index, uint64_t *at,
                           uint64_t offset, uint64_t length, struct rv64_virtio_segment *ret);

#endif /* RV64_VIRTIO_QUEUE_H */
