/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-blk: virtio 1.2 §5.2. */

#include "virtio_blk.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#define SECTOR 512

#define F_SEG_MAX  (UINT64_C(1) << 2)
#define F_RO       (UINT64_C(1) << 5)
#define F_BLK_SIZE (UINT64_C(1) << 6)
#define F_FLUSH    (UINT64_C(1) << 9)

#define T_IN     0
#define T_OUT    1
#define T_FLUSH  4
#define T_GET_ID 8

#define S_OK     0
#define S_IOERR  1
#define S_UNSUPP 2

/* Bytes to move before the hart gets its turn again. */
#define RUN_BYTES (4u << 20)

/* The configuration space up to blk_size (§5.2.4). */
struct config {
    uint64_t capacity;
    uint32_t size_max;
    uint32_t seg_max;
    uint32_t geometry;
    uint32_t blk_size;
};

/* The header of every request (§5.2.6). */
struct request {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};

static void config_read(void *device, uint64_t offset, void *to, uint32_t size)
{
    const struct rv64_virtio_blk *blk = device;
    struct config config = {0};

    /* The header and the status byte take two descriptors of a chain. */
    config.capacity = htole64(blk->sectors);
    config.seg_max = htole32(RV64_VIRTQUEUE_MAX - 2);
    config.blk_size = htole32(SECTOR);
    if (offset < sizeof config && size <= sizeof config - offset)
        memcpy(to, (const uint8_t *)&config + offset, size);
}

/* Moves one range between the file and memory; a short transfer is an error. */
static int transfer(const struct rv64_virtio_blk *blk, uint8_t *memory, uint64_t length,
                    uint64_t position, bool write)
{
    while (length) {
        ssize_t moved = write ? pwrite(blk->fd, memory, length, (off_t)position)
                              : pread(blk->fd, memory, length, (off_t)position);

        if (moved < 0 && errno == EINTR)
            continue;
        if (moved <= 0)
            return -1;
        memory += moved;
        position += (uint64_t)moved;
        length -= (uint64_t)moved;
    }
    return 0;
}

/* The same for RAM that no system call may be given: piece by piece, of which nothing stays. */
static int transfer_bounced(const struct rv64_virtio_blk *blk, const struct rv64_bounce *bounce,
                            const struct rv64_virtio_segment *part, uint64_t position, bool write)
{
    bool failed = false;
    uint64_t length;

    for (uint64_t at = 0; at < part->length && !failed; at += length) {
        length = part->length - at < bounce->size ? part->length - at : bounce->size;
        failed = (write && bounce->out(bounce->ctx, part->gpa + at, length)) ||
                 transfer(blk, bounce->memory, length, position + at, write) ||
                 (!write && bounce->in(bounce->ctx, part->gpa + at, length));
        explicit_bzero(bounce->memory, length);
    }
    return failed ? -1 : 0;
}

static int transfer_part(const struct rv64_virtio_blk *blk, const struct rv64_bus *bus,
                         const struct rv64_virtio_segment *part, uint64_t position, bool write)
{
    if (bus->bounce)
        return transfer_bounced(blk, bus->bounce, part, position, write);
    return transfer(blk, rv64_bus_ram(bus, part->gpa, part->length), part->length, position, write);
}

static bool range_ok(const struct rv64_virtio_blk *blk, uint64_t sector, uint64_t length)
{
    return length % SECTOR == 0 && sector <= blk->sectors &&
           length / SECTOR <= blk->sectors - sector;
}

/*
 * Moves `length` bytes of the chain's data: all after the header, all before the status byte.
 * Nobody needs a request larger than RAM; it would only keep the hart waiting.
 */
static uint8_t move(struct rv64_virtio *virtio, uint64_t sector, uint64_t length, bool write)
{
    struct rv64_virtio_blk *blk = virtio->device;
    uint64_t offset = write ? sizeof(struct request) : 0;
    uint64_t position = sector * SECTOR;
    struct rv64_virtio_segment part;
    uint64_t at = 0;
    uint32_t i = write ? 0 : blk->chain.readable;
    uint32_t end = write ? blk->chain.readable : blk->chain.count;

    if (!range_ok(blk, sector, length) || length > virtio->bus->ram_size)
        return S_IOERR;
    for (; i < end; i++) {
        int failed;

        if (!rv64_virtio_chain_cut(&blk->chain, i, &at, offset, length, &part))
            continue;
        failed = transfer_part(blk, virtio->bus, &part, position, write);
        if (!write) /* even a failed read may have written something */
            rv64_bus_wrote(virtio->bus, part.gpa, part.length);
        if (failed)
            return S_IOERR;
        position += part.length;
    }
    return S_OK;
}

static uint8_t request_in(struct rv64_virtio *virtio, uint64_t sector, uint64_t *written)
{
    struct rv64_virtio_blk *blk = virtio->device;
    uint64_t length = blk->chain.writable_length - 1;
    uint8_t status = move(virtio, sector, length, false);

    blk->reads++;
    if (status == S_OK) {
        blk->bytes_read += length;
        *written = length;
    }
    return status;
}

static uint8_t request_out(struct rv64_virtio *virtio, uint64_t sector)
{
    struct rv64_virtio_blk *blk = virtio->device;
    uint64_t length = blk->chain.readable_length - sizeof(struct request);
    uint8_t status = blk->readonly ? S_IOERR : move(virtio, sector, length, true);

    blk->writes++;
    if (status == S_OK)
        blk->bytes_written += length;
    return status;
}

static uint8_t request_flush(struct rv64_virtio_blk *blk)
{
    blk->flushes++;
    return blk->readonly || !fdatasync(blk->fd) ? S_OK : S_IOERR;
}

static uint8_t request_get_id(struct rv64_virtio *virtio, uint64_t *written)
{
    struct rv64_virtio_blk *blk = virtio->device;
    uint64_t length = blk->chain.writable_length - 1;

    if (length > sizeof blk->id)
        length = sizeof blk->id;
    if (rv64_virtio_chain_write(&blk->chain, virtio->bus, 0, blk->id, length))
        return S_IOERR;
    *written = length;
    return S_OK;
}

/* Serves the chain. @return 0, or -1: it has no room for a header or a status byte. */
static int serve(struct rv64_virtio *virtio)
{
    struct rv64_virtio_blk *blk = virtio->device;
    struct request request;
    uint64_t written = 0;
    uint8_t status;

    if (!blk->chain.writable_length ||
        rv64_virtio_chain_read(&blk->chain, virtio->bus, 0, &request, sizeof request))
        return -1;
    switch (le32toh(request.type)) {
    case T_IN: status = request_in(virtio, le64toh(request.sector), &written); break;
    case T_OUT: status = request_out(virtio, le64toh(request.sector)); break;
    case T_FLUSH: status = request_flush(blk); break;
    case T_GET_ID: status = request_get_id(virtio, &written); break;
    default: status = S_UNSUPP; break;
    }
    if (status != S_OK)
        blk->errors++;
    /* The status is the last byte the device may write, wherever descriptors end (§2.7.4). */
    if (rv64_virtio_chain_write(&blk->chain, virtio->bus, blk->chain.writable_length - 1, &status,
                                1))
        return -1;
    if (written == blk->chain.writable_length - 1)
        written++;
    return rv64_virtio_complete(virtio, 0, &blk->chain, (uint32_t)written);
}

static int blk_run(struct rv64_virtio *virtio, uint32_t queue)
{
    struct rv64_virtio_blk *blk = virtio->device;
    uint64_t moved = 0;
    uint32_t i;

    for (i = 0; i < RV64_VIRTQUEUE_MAX && moved < RUN_BYTES; i++) {
        int got = rv64_virtqueue_pop(&virtio->queues[queue], virtio->bus, &blk->chain);

        if (got <= 0)
            return got;
        if (serve(virtio))
            return -1;
        moved += blk->chain.readable_length + blk->chain.writable_length;
    }
    return 1;
}

/* The size of a file or block device in bytes, or -1 with errno. */
static int size_of(int fd, const char *path, uint64_t *ret_size, struct rv64_error *error)
{
    struct stat status;

    if (fstat(fd, &status))
        return rv64_error_set(error, "drive %s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return rv64_error_set(error, "drive %s: is a directory", path);
    if (S_ISREG(status.st_mode))
        *ret_size = (uint64_t)status.st_size;
    else if (!S_ISBLK(status.st_mode) || ioctl(fd, BLKGETSIZE64, ret_size))
        return rv64_error_set(error, "drive %s: not a file or a block device", path);
    if (*ret_size < SECTOR)
        return rv64_error_set(error, "drive %s: smaller than one sector of 512 bytes", path);
    return 0;
}

static int open_file(struct rv64_virtio_blk *blk, const char *path)
{
    /* O_NONBLOCK: opening a FIFO by mistake is to fail below, not to wait. */
    int flags = O_CLOEXEC | O_NONBLOCK;

    if (!blk->readonly) {
        blk->fd = open(path, flags | O_RDWR);
        if (blk->fd >= 0 || (errno != EACCES && errno != EROFS && errno != EPERM))
            return blk->fd;
        blk->readonly = true;
    }
    blk->fd = open(path, flags | O_RDONLY);
    return blk->fd;
}

int rv64_virtio_blk_open(struct rv64_virtio_blk *blk, const char *path, bool readonly,
                         struct rv64_error *error)
{
    size_t length = strlen(path);
    uint64_t size;

    memset(blk, 0, sizeof *blk);
    blk->readonly = readonly;
    if (open_file(blk, path) < 0)
        return rv64_error_set(error, "drive %s: %s", path, strerror(errno));
    if (size_of(blk->fd, path, &size, error)) {
        rv64_virtio_blk_close(blk);
        return -1;
    }
    blk->sectors = size / SECTOR;
    if (length > sizeof blk->id)
        path += length - sizeof blk->id;
    memcpy(blk->id, path, strnlen(path, sizeof blk->id));
    blk->class.device_id = RV64_VIRTIO_ID_BLOCK;
    blk->class.queue_count = 1;
    blk->class.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | (blk->readonly ? F_RO : 0);
    blk->class.config_read = config_read;
    blk->class.run = blk_run;
    return 0;
}

void rv64_virtio_blk_close(struct rv64_virtio_blk *blk)
{
    if (blk->fd >= 0)
        close(blk->fd);
    blk->fd = -1;
}
