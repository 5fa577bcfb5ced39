/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-console: virtio 1.2 §5.3. */

#include "virtio_console.h"

#define QUEUE_RECEIVE  0
#define QUEUE_TRANSMIT 1

/* No driver prints more than this with one buffer; the hart would wait for it. */
#define BUFFER_MAX (1u << 20)

/* Prints the chain. @return 0, or -1: it is longer than a console's buffer can be. */
static int transmit(struct rv64_virtio *virtio)
{
    struct rv64_virtio_console *console = virtio->device;
    const struct rv64_virtio_chain *chain = &console->chain;
    uint32_t i, j;

    if (chain->readable_length > BUFFER_MAX)
        return -1;
    for (i = 0; i < chain->readable; i++) {
        const struct rv64_virtio_segment *segment = &chain->segments[i];
        const uint8_t *bytes = rv64_bus_ram(virtio->bus, segment->gpa, segment->length);

        for (j = 0; j < segment->length; j++)
            console->transmit(console->transmit_ctx, bytes[j]);
    }
    console->transmitted += chain->readable_length;
    return rv64_virtio_complete(virtio, QUEUE_TRANSMIT, chain, 0);
}

static int console_run(struct rv64_virtio *virtio, uint32_t queue)
{
    struct rv64_virtio_console *console = virtio->device;
    uint64_t moved = 0;
    uint32_t i;

    /* Receive buffers are taken when there is something to put into them. */
    if (queue == QUEUE_RECEIVE)
        return 0;
    for (i = 0; i < RV64_VIRTQUEUE_MAX && moved < BUFFER_MAX; i++) {
        int got = rv64_virtqueue_pop(&virtio->queues[queue], virtio->bus, &console->chain);

        if (got <= 0)
            return got;
        if (transmit(virtio))
            return -1;
        moved += console->chain.readable_length;
    }
    return 1;
}

size_t rv64_virtio_console_receive(struct rv64_virtio *virtio, const uint8_t *bytes, size_t length)
{
    struct rv64_virtio_console *console = virtio->device;
    struct rv64_virtqueue *queue = &virtio->queues[QUEUE_RECEIVE];
    int got;

    if (!length || !rv64_virtio_live(virtio, QUEUE_RECEIVE))
        return 0;
    got = rv64_virtqueue_pop(queue, virtio->bus, &console->chain);
    if (!got)
        return 0;
    if (got > 0 && length > console->chain.writable_length)
        length = console->chain.writable_length;
    /* A receive buffer without a writable byte could be handed back for ever. */
    if (got < 0 || !length ||
        rv64_virtio_chain_write(&console->chain, virtio->bus, 0, bytes, length) ||
        rv64_virtio_complete(virtio, QUEUE_RECEIVE, &console->chain, (uint32_t)length)) {
        rv64_virtio_break(virtio);
        return 0;
    }
    console->received += length;
    return length;
}

const struct rv64_virtio_class rv64_virtio_console_class = {
    .device_id = RV64_VIRTIO_ID_CONSOLE,
    .queue_count = 2,
    .run = console_run,
};
