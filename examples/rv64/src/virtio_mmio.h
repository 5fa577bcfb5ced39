/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_VIRTIO_MMIO_H
#define RV64_VIRTIO_MMIO_H

/*
 * The modern (version 2) MMIO transport of virtio 1.2 §4.2. A doorbell only notes that a queue
 * has work; the work is done in rv64_virtio_run(), which the machine calls between two slices of
 * the hart, in bounded pieces: whatever a driver queues, signals and timers are looked at.
 */

#include "bus.h"
#include "line.h"
#include "virtio_queue.h"

#define RV64_VIRTIO_QUEUES_MAX 2
#define RV64_VIRTIO_WINDOW     0x1000

#define RV64_VIRTIO_ID_BLOCK   2
#define RV64_VIRTIO_ID_CONSOLE 3

/* Device status bits (§2.1). */
#define RV64_VIRTIO_STATUS_FEATURES_OK 8
#define RV64_VIRTIO_STATUS_DRIVER_OK   4
#define RV64_VIRTIO_STATUS_NEEDS_RESET 64
#define RV64_VIRTIO_STATUS_FAILED      128

struct rv64_virtio;

/** What makes a transport a block device, a console, ... */
struct rv64_virtio_class {
    uint32_t device_id;
    uint32_t queue_count;
    uint64_t features; /**< of this device type; the transport adds its own */
    /** Copies from the configuration space, beyond which it is zero. May be NULL: it is empty. */
    void (*config_read)(void *device, uint64_t offset, void *to, uint32_t size);
    /** Serves a queue for a while. @return 1: there is more; 0: done; -1: a rule was broken. */
    int (*run)(struct rv64_virtio *virtio, uint32_t queue);
};

/** A virtio device behind the MMIO transport. */
struct rv64_virtio {
    const struct rv64_virtio_class *class; /**< NULL: nothing is plugged in here */
    void *device;                          /**< the class's state */
    struct rv64_bus *bus;
    struct rv64_line irq;
    void (*kick)(void *ctx); /**< a queue was notified: call rv64_virtio_run() soon */
    void *kick_ctx;
    uint32_t status, interrupt_status;
    uint32_t device_features_sel, driver_features_sel, queue_sel;
    uint64_t driver_features;
    struct rv64_virtqueue queues[RV64_VIRTIO_QUEUES_MAX];
    uint32_t notified;              /**< bit set of queues with work */
    uint64_t notifications, broken; /**< for --stats */
};

/** Resets the transport. The class may be NULL: the slot is empty. */
void rv64_virtio_init(struct rv64_virtio *virtio, const struct rv64_virtio_class *class,
                      void *device, struct rv64_bus *bus, const struct rv64_line *irq);

/** Puts the transport on the bus. @return 0, or -1 as rv64_bus_add(). */
int rv64_virtio_attach(struct rv64_virtio *virtio, uint64_t base);

/** Serves notified queues for a while. @return whether there is more to do. */
bool rv64_virtio_run(struct rv64_virtio *virtio);

/** Whether the driver has started the device and a queue of it can be used. */
bool rv64_virtio_live(const struct rv64_virtio *virtio, uint32_t queue);

/** Returns a chain to the driver. @return 0, or -1 as rv64_virtqueue_push(). */
int rv64_virtio_complete(struct rv64_virtio *virtio, uint32_t queue,
                         const struct rv64_virtio_chain *chain, uint32_t written);

/** The driver broke a rule: the device stops until it is reset (§2.1.2). */
void rv64_virtio_break(struct rv64_virtio *virtio);

#endif /* RV64_VIRTIO_MMIO_H */
