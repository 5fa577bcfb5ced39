/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_VIRTIO_CONSOLE_H
#define RV64_VIRTIO_CONSOLE_H

/* A console with one port (virtio 1.2 §5.3, without VIRTIO_CONSOLE_F_MULTIPORT). */

#include "virtio_mmio.h"

extern const struct rv64_virtio_class rv64_virtio_console_class;

/** The console. */
struct rv64_virtio_console {
    void (*transmit)(void *ctx, uint8_t byte);
    void *transmit_ctx;
    struct rv64_virtio_chain chain;
    uint64_t received, transmitted; /**< bytes, for --stats */
};

/**
 * Gives bytes to the guest.
 * @return how many were taken: 0 when the driver has no buffer waiting
 */
size_t rv64_virtio_console_receive(struct rv64_virtio *virtio, const uint8_t *bytes, size_t length);

#endif /* RV64_VIRTIO_CONSOLE_H */
