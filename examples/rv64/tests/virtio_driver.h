/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TEST_VIRTIO_DRIVER_H
#define RV64_TEST_VIRTIO_DRIVER_H

/* A driver of a virtio device (1.2, §2.7 and §3), and RAM that both may use. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "virtio_blk.h"
#include "virtio_console.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE 0x20000
#define WINDOW   UINT64_C(0x10001000)

/* Where the driver keeps its things, from the beginning of RAM. */
#define DESC     0x1000
#define AVAIL    0x2000
#define USED     0x3000
#define INDIRECT 0x4000
#define HEADER   0x5000
#define STATUS   0x5800
#define DATA     0x6000
#define NUM      8

#define NEXT          1
#define WRITE         2
#define INDIRECT_FLAG 4

#define SECTORS 16

static uint8_t ram[RAM_SIZE];
static uint64_t wrote_bytes;

/* A disk, a console, and the transport that one of them is behind. */
struct fixture {
    struct rv64_bus bus;
    struct rv64_virtio virtio;
    struct rv64_virtio_blk blk;
    struct rv64_virtio_console console;
    bool irq;
    uint8_t sent[64];
    size_t sent_count;
    char path[32];
    uint16_t avail;
};

static inline void set_irq(void *ctx, uint32_t number, bool level)
{
    struct fixture *f = ctx;

    (void)number;
    f->irq = level;
}

static inline void dma_wrote(void *ctx, uint64_t gpa, uint64_t length)
{
    (void)ctx;
    (void)gpa;
    wrote_bytes += length;
}

static inline void transmit(void *ctx, uint8_t byte)
{
    struct fixture *f = ctx;

    if (f->sent_count < sizeof f->sent)
        f->sent[f->sent_count++] = byte;
}

static inline uint32_t reg_get(struct fixture *f, uint64_t offset)
{
    uint64_t value = 0;

    assert_int_equal(rv64_bus_read(&f->bus, WINDOW + offset, 4, &value), 0);
    return (uint32_t)value;
}

static inline void reg_set(struct fixture *f, uint64_t offset, uint32_t value)
{
    assert_int_equal(rv64_bus_write(&f->bus, WINDOW + offset, 4, value), 0);
}

static inline void put16(uint64_t offset, uint16_t value)
{
    memcpy(ram + offset, &value, sizeof value);
}

static inline uint16_t get16(uint64_t offset)
{
    uint16_t value;

    memcpy(&value, ram + offset, sizeof value);
    return value;
}

static inline void put_desc(uint64_t table, uint32_t index, uint64_t gpa, uint32_t length,
                            uint16_t flags, uint16_t next)
{
    uint64_t at = table + index * 16;

    memcpy(ram + at, &gpa, 8);
    memcpy(ram + at + 8, &length, 4);
    put16(at + 12, flags);
    put16(at + 14, next);
}

static inline void set_queue(struct fixture *f, uint32_t queue, uint32_t num)
{
    reg_set(f, 0x30, queue);
    reg_set(f, 0x38, num);
    reg_set(f, 0x80, (uint32_t)RAM_BASE + DESC);
    reg_set(f, 0x90, (uint32_t)RAM_BASE + AVAIL);
    reg_set(f, 0xa0, (uint32_t)RAM_BASE + USED);
    reg_set(f, 0x44, 1);
}

/* What a driver does first (§3.1.1). */
static inline void negotiate(struct fixture *f)
{
    reg_set(f, 0x70, 0);
    reg_set(f, 0x70, 1 | 2);
    reg_set(f, 0x24, 0);
    reg_set(f, 0x20, UINT32_C(1) << 28);
    reg_set(f, 0x24, 1);
    reg_set(f, 0x20, 1);
    reg_set(f, 0x70, 1 | 2 | 8);
    assert_true(reg_get(f, 0x70) & 8);
}

static inline void start(struct fixture *f, uint32_t queue)
{
    memset(ram, 0, sizeof ram);
    f->avail = 0;
    negotiate(f);
    set_queue(f, queue, NUM);
    reg_set(f, 0x70, 1 | 2 | 8 | 4);
}

/* Makes a chain available and rings. @return whether the device still works */
static inline bool submit(struct fixture *f, uint32_t queue, uint16_t head)
{
    put16(AVAIL + 4 + 2 * (f->avail % NUM), head);
    f->avail++;
    put16(AVAIL + 2, f->avail);
    reg_set(f, 0x50, queue);
    while (rv64_virtio_run(&f->virtio))
        continue;
    return !(reg_get(f, 0x70) & 64);
}

static inline void put_header(uint32_t type, uint64_t sector)
{
    memset(ram + HEADER, 0, 16);
    memcpy(ram + HEADER, &type, 4);
    memcpy(ram + HEADER + 8, &sector, 8);
    ram[STATUS] = 0xee;
}

/* The usual three descriptors: header, data, status. */
static inline void put_request(uint32_t type, uint64_t sector, uint32_t length)
{
    put_header(type, sector);
    put_desc(DESC, 0, RAM_BASE + HEADER, 16, NEXT, 1);
    put_desc(DESC, 1, RAM_BASE + DATA, length, NEXT | (type == 1 ? 0 : WRITE), 2);
    put_desc(DESC, 2, RAM_BASE + STATUS, 1, WRITE, 0);
}

static inline void plug(struct fixture *f, const struct rv64_virtio_class *class, void *device)
{
    const struct rv64_line irq = {.set = set_irq, .ctx = f};

    f->bus.ram = ram;
    f->bus.ram_base = RAM_BASE;
    f->bus.ram_size = RAM_SIZE;
    f->bus.dma_wrote = dma_wrote;
    rv64_virtio_init(&f->virtio, class, device, &f->bus, &irq);
    assert_int_equal(rv64_virtio_attach(&f->virtio, WINDOW), 0);
}

static inline struct fixture *new_disk(bool readonly)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    struct rv64_error error;
    uint8_t sector[512];
    int fd, i;

    strcpy(f->path, "/tmp/test_virtio_XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    for (i = 0; i < SECTORS; i++) {
        memset(sector, i, sizeof sector);
        assert_int_equal(write(fd, sector, sizeof sector), sizeof sector);
    }
    close(fd);
    assert_int_equal(rv64_virtio_blk_open(&f->blk, f->path, readonly, &error), 0);
    plug(f, &f->blk.class, &f->blk);
    start(f, 0);
    return f;
}

static inline struct fixture *new_console(void)
{
    struct fixture *f = test_calloc(1, sizeof *f);

    f->blk.fd = -1;
    f->console.transmit = transmit;
    f->console.transmit_ctx = f;
    plug(f, &rv64_virtio_console_class, &f->console);
    return f;
}

static inline void drop(struct fixture *f)
{
    rv64_virtio_blk_close(&f->blk);
    if (f->path[0])
        unlink(f->path);
    test_free(f);
}

#endif /* RV64_TEST_VIRTIO_DRIVER_H */
