/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_VIRTIO_BLK_H
#define RV64_VIRTIO_BLK_H

/* A block device (virtio 1.2 §5.2) whose sectors are those of a file. */

#include "error.h"
#include "virtio_mmio.h"

/** A disk. */
struct rv64_virtio_blk {
    struct rv64_virtio_class class; /**< the features differ: a disk may be read-only */
    int fd;
    uint64_t sectors; /**< of 512 bytes */
    bool readonly;
    char id[20]; /**< what GET_ID says: the end of the file's name */
    struct rv64_virtio_chain chain;
    uint64_t reads, writes, flushes, errors; /**< requests, for --stats */
    uint64_t bytes_read, bytes_written;
};

/**
 * Opens the file. A file that may not be written becomes a read-only disk.
 * @return 0, or -1 and a message: no such file, not a regular file or block device, empty
 */
int rv64_virtio_blk_open(struct rv64_virtio_blk *blk, const char *path, bool readonly,
                         struct rv64_error *error);

/** Closes the file, after what was written is handed to the host's kernel. */
void rv64_virtio_blk_close(struct rv64_virtio_blk *blk);

#endif /* RV64_VIRTIO_BLK_H */
