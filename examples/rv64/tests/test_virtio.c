/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio devices driven through their registers by a well-behaved driver, and attacked by one
 * that breaks every rule of virtio 1.2 §2.7: the device may ask to be reset, and nothing else.
 */

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

static void set_irq(void *ctx, uint32_t number, bool level)
{
    struct fixture *f = ctx;

    (void)number;
    f->irq = level;
}

static void dma_wrote(void *ctx, uint64_t gpa, uint64_t length)
{
    (void)ctx;
    (void)gpa;
    wrote_bytes += length;
}

static void transmit(void *ctx, uint8_t byte)
{
    struct fixture *f = ctx;

    if (f->sent_count < sizeof f->sent)
        f->sent[f->sent_count++] = byte;
}

static uint32_t reg_get(struct fixture *f, uint64_t offset)
{
    uint64_t value = 0;

    assert_int_equal(rv64_bus_read(&f->bus, WINDOW + offset, 4, &value), 0);
    return (uint32_t)value;
}

static void reg_set(struct fixture *f, uint64_t offset, uint32_t value)
{
    assert_int_equal(rv64_bus_write(&f->bus, WINDOW + offset, 4, value), 0);
}

static void put16(uint64_t offset, uint16_t value)
{
    memcpy(ram + offset, &value, sizeof value);
}

static uint16_t get16(uint64_t offset)
{
    uint16_t value;

    memcpy(&value, ram + offset, sizeof value);
    return value;
}

static void put_desc(uint64_t table, uint32_t index, uint64_t gpa, uint32_t length, uint16_t flags,
                     uint16_t next)
{
    uint64_t at = table + index * 16;

    memcpy(ram + at, &gpa, 8);
    memcpy(ram + at + 8, &length, 4);
    put16(at + 12, flags);
    put16(at + 14, next);
}

static void set_queue(struct fixture *f, uint32_t queue, uint32_t num)
{
    reg_set(f, 0x30, queue);
    reg_set(f, 0x38, num);
    reg_set(f, 0x80, (uint32_t)RAM_BASE + DESC);
    reg_set(f, 0x90, (uint32_t)RAM_BASE + AVAIL);
    reg_set(f, 0xa0, (uint32_t)RAM_BASE + USED);
    reg_set(f, 0x44, 1);
}

/* What a driver does first (§3.1.1). */
static void negotiate(struct fixture *f)
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

static void start(struct fixture *f, uint32_t queue)
{
    memset(ram, 0, sizeof ram);
    f->avail = 0;
    negotiate(f);
    set_queue(f, queue, NUM);
    reg_set(f, 0x70, 1 | 2 | 8 | 4);
}

/* Makes a chain available and rings. @return whether the device still works */
static bool submit(struct fixture *f, uint32_t queue, uint16_t head)
{
    put16(AVAIL + 4 + 2 * (f->avail % NUM), head);
    f->avail++;
    put16(AVAIL + 2, f->avail);
    reg_set(f, 0x50, queue);
    while (rv64_virtio_run(&f->virtio))
        continue;
    return !(reg_get(f, 0x70) & 64);
}

static void put_header(uint32_t type, uint64_t sector)
{
    memset(ram + HEADER, 0, 16);
    memcpy(ram + HEADER, &type, 4);
    memcpy(ram + HEADER + 8, &sector, 8);
    ram[STATUS] = 0xee;
}

/* The usual three descriptors: header, data, status. */
static void put_request(uint32_t type, uint64_t sector, uint32_t length)
{
    put_header(type, sector);
    put_desc(DESC, 0, RAM_BASE + HEADER, 16, NEXT, 1);
    put_desc(DESC, 1, RAM_BASE + DATA, length, NEXT | (type == 1 ? 0 : WRITE), 2);
    put_desc(DESC, 2, RAM_BASE + STATUS, 1, WRITE, 0);
}

static void plug(struct fixture *f, const struct rv64_virtio_class *class, void *device)
{
    const struct rv64_line irq = {.set = set_irq, .ctx = f};

    f->bus.ram = ram;
    f->bus.ram_base = RAM_BASE;
    f->bus.ram_size = RAM_SIZE;
    f->bus.dma_wrote = dma_wrote;
    rv64_virtio_init(&f->virtio, class, device, &f->bus, &irq);
    assert_int_equal(rv64_virtio_attach(&f->virtio, WINDOW), 0);
}

static struct fixture *new_disk(bool readonly)
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

static struct fixture *new_console(void)
{
    struct fixture *f = test_calloc(1, sizeof *f);

    f->blk.fd = -1;
    f->console.transmit = transmit;
    f->console.transmit_ctx = f;
    plug(f, &rv64_virtio_console_class, &f->console);
    return f;
}

static void drop(struct fixture *f)
{
    rv64_virtio_blk_close(&f->blk);
    if (f->path[0])
        unlink(f->path);
    test_free(f);
}

static void a_disk_shows_its_registers_and_capacity(void **state)
{
    struct fixture *f = new_disk(false);

    (void)state;
    assert_int_equal(reg_get(f, 0x00), 0x74726976);
    assert_int_equal(reg_get(f, 0x04), 2);
    assert_int_equal(reg_get(f, 0x08), 2);
    assert_int_equal(reg_get(f, 0x34), RV64_VIRTQUEUE_MAX);
    assert_int_equal(reg_get(f, 0x100), SECTORS);
    assert_int_equal(reg_get(f, 0x114), 512);
    assert_int_equal(reg_get(f, 0xffc), 0);
    assert_int_equal(reg_get(f, 0xb0), UINT32_MAX);
    reg_set(f, 0x14, 1);
    assert_int_equal(reg_get(f, 0x10) & 1, 1);
    reg_set(f, 0x14, 7);
    assert_int_equal(reg_get(f, 0x10), 0);
    reg_set(f, 0x30, 1);
    assert_int_equal(reg_get(f, 0x34), 0);
    drop(f);
}

static void an_empty_slot_has_device_id_zero(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    uint64_t offset;

    (void)state;
    f->blk.fd = -1;
    plug(f, NULL, NULL);
    assert_int_equal(reg_get(f, 0x00), 0x74726976);
    assert_int_equal(reg_get(f, 0x08), 0);
    for (offset = 0; offset < RV64_VIRTIO_WINDOW; offset += 4) {
        reg_set(f, offset, UINT32_MAX);
        reg_get(f, offset);
    }
    drop(f);
}

static void features_that_were_not_offered_are_refused(void **state)
{
    struct fixture *f = new_disk(false);

    (void)state;
    reg_set(f, 0x70, 0);
    reg_set(f, 0x70, 1 | 2);
    reg_set(f, 0x24, 1);
    reg_set(f, 0x20, 1 | 2); /* ACCESS_PLATFORM */
    reg_set(f, 0x70, 1 | 2 | 8);
    assert_false(reg_get(f, 0x70) & 8);
    reg_set(f, 0x20, 0); /* without VERSION_1 */
    reg_set(f, 0x70, 1 | 2 | 8);
    assert_false(reg_get(f, 0x70) & 8);
    reg_set(f, 0x20, 1);
    reg_set(f, 0x70, 1 | 2 | 8);
    assert_true(reg_get(f, 0x70) & 8);
    drop(f);
}

static void a_disk_reads_what_is_in_the_file(void **state)
{
    struct fixture *f = new_disk(false);

    (void)state;
    put_request(0, 3, 1024);
    wrote_bytes = 0;
    assert_true(submit(f, 0, 0));
    assert_int_equal(ram[STATUS], 0);
    assert_int_equal(ram[DATA], 3);
    assert_int_equal(ram[DATA + 1023], 4);
    assert_int_equal(get16(USED + 2), 1);
    assert_int_equal(get16(USED + 8), 1025);
    assert_true(wrote_bytes >= 1025); /* the composition was told */
    assert_true(f->irq);
    assert_int_equal(reg_get(f, 0x60), 1);
    reg_set(f, 0x64, 1);
    assert_false(f->irq);
    drop(f);
}

static void a_disk_writes_to_the_file_and_reads_it_back(void **state)
{
    struct fixture *f = new_disk(false);

    (void)state;
    put_request(1, 5, 512);
    memset(ram + DATA, 0xa5, 512);
    assert_true(submit(f, 0, 0));
    assert_int_equal(ram[STATUS], 0);
    put_request(4, 0, 0);
    assert_true(submit(f, 0, 0));
    assert_int_equal(ram[STATUS], 0);
    put_request(0, 5, 1024);
    memset(ram + DATA, 0, 1024);
    assert_true(submit(f, 0, 0));
    assert_int_equal(ram[DATA + 511], 0xa5);
    assert_int_equal(ram[DATA + 512], 6);
    drop(f);
}

static void a_read_only_disk_refuses_to_write(void **state)
{
    struct fixture *f = new_disk(true);

    (void)state;
    reg_set(f, 0x14, 0);
    assert_true(reg_get(f, 0x10) & 1 << 5);
    put_request(1, 5, 512);
    assert_true(submit(f, 0, 0));
    assert_int_equal(ram[STATUS], 1);
    put_request(0, 5, 512);
    assert_true(submit(f, 0, 0));
    assert_int_equal(ram[DATA], 5);
    drop(f);
}

static void a_disk_tells_its_id_and_refuses_unknown_requests(void **state)
{
    struct fixture *f = new_disk(false);

    (void)state;
    put_request(8, 0, 20);
    assert_true(submit(f, 0, 0));
    assert_int_equal(ram[STATUS], 0);
    assert_memory_equal(ram + DATA, f->path + strlen(f->path) - 20, 20);
    put_request(77, 0, 20);
    assert_true(submit(f, 0, 0));
    assert_int_equal(ram[STATUS], 2);
    drop(f);
}

static void sectors_beyond_the_end_and_odd_lengths_are_io_errors(void **state)
{
    static const struct {
        uint64_t sector;
        uint32_t length;
    } bad[] = {{SECTORS, 512},
               {SECTORS - 1, 1024},
               {UINT64_MAX, 512},
               {UINT64_MAX / 512, 512},
               {UINT64_C(1) << 55, 512},
               {0, 511},
               {0, 513},
               {0, (SECTORS + 1) * 512}};
    struct fixture *f = new_disk(false);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_request(i & 1, bad[i].sector, bad[i].length);
        assert_true(submit(f, 0, 0));
        assert_int_equal(ram[STATUS], 1);
    }
    drop(f);
}

/* §2.7.4: where descriptors begin and end says nothing about the request. */
static void a_request_may_be_cut_anywhere(void **state)
{
    struct fixture *f = new_disk(false);

    (void)state;
    put_header(0, 2);
    put_desc(DESC, 7, RAM_BASE + HEADER, 7, NEXT, 3);
    put_desc(DESC, 3, RAM_BASE + HEADER + 7, 9, NEXT, 5);
    put_desc(DESC, 5, RAM_BASE + DATA, 100, NEXT | WRITE, 0);
    put_desc(DESC, 0, RAM_BASE + DATA + 100, 413, WRITE, 0);
    ram[DATA + 512] = 0xee;
    assert_true(submit(f, 0, 7));
    assert_int_equal(ram[DATA + 511], 2);
    assert_int_equal(ram[DATA + 512], 0); /* the status is the last byte */
    drop(f);
}

static void an_indirect_table_is_followed(void **state)
{
    struct fixture *f = new_disk(false);

    (void)state;
    put_header(0, 9);
    put_desc(INDIRECT, 0, RAM_BASE + HEADER, 16, NEXT, 1);
    put_desc(INDIRECT, 1, RAM_BASE + DATA, 512, NEXT | WRITE, 2);
    put_desc(INDIRECT, 2, RAM_BASE + STATUS, 1, WRITE, 0);
    put_desc(DESC, 4, RAM_BASE + INDIRECT, 48, INDIRECT_FLAG, 0);
    assert_true(submit(f, 0, 4));
    assert_int_equal(ram[DATA], 9);
    drop(f);
}

/* One attack: what is written over a good request. The device must ask for a reset. */
struct attack {
    const char *what;
    uint32_t index; /* of the descriptor that is replaced, in DESC */
    uint64_t gpa;
    uint32_t length;
    uint16_t flags, next;
};

static const struct attack attacks[] = {
    {"chain that leads to itself", 1, RAM_BASE + DATA, 512, NEXT | WRITE, 1},
    {"chain that leads back", 2, RAM_BASE + STATUS, 1, NEXT | WRITE, 1},
    {"next beyond the table", 1, RAM_BASE + DATA, 512, NEXT | WRITE, NUM},
    {"next far beyond the table", 1, RAM_BASE + DATA, 512, NEXT | WRITE, 0xffff},
    {"data below RAM", 1, 0x1000, 512, NEXT | WRITE, 2},
    {"data on a device", 1, WINDOW, 512, NEXT | WRITE, 2},
    {"data beyond RAM", 1, RAM_BASE + RAM_SIZE - 511, 512, NEXT | WRITE, 2},
    {"data that wraps", 1, UINT64_MAX - 255, 512, NEXT | WRITE, 2},
    {"huge length", 1, RAM_BASE + DATA, UINT32_MAX, NEXT | WRITE, 2},
    {"header too short", 0, RAM_BASE + HEADER, 15, NEXT, 1},
    {"no status byte", 2, RAM_BASE + STATUS, 0, 0, 0},
    {"read after write", 2, RAM_BASE + STATUS, 1, 0, 0},
    {"indirect table with next", 0, RAM_BASE + INDIRECT, 48, INDIRECT_FLAG | NEXT, 1},
    {"indirect table of no length", 0, RAM_BASE + INDIRECT, 0, INDIRECT_FLAG, 0},
    {"indirect table of odd length", 0, RAM_BASE + INDIRECT, 47, INDIRECT_FLAG, 0},
    {"indirect table that is too long", 0, RAM_BASE + INDIRECT, 16 * (NUM + 1), INDIRECT_FLAG, 0},
    {"huge indirect table", 0, RAM_BASE + INDIRECT, 0xfffffff0, INDIRECT_FLAG, 0},
    {"indirect table outside RAM", 0, 0x10, 48, INDIRECT_FLAG, 0},
    {"indirect table at the end of the world", 0, UINT64_MAX - 15, 48, INDIRECT_FLAG, 0},
    {"indirect table that is the table", 0, RAM_BASE + DESC, 48, INDIRECT_FLAG, 0},
};

static void a_broken_chain_needs_a_reset_after_which_the_disk_works(void **state)
{
    struct fixture *f = new_disk(false);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        const struct attack *a = &attacks[i];

        start(f, 0);
        put_request(0, 1, 512);
        put_desc(DESC, a->index, a->gpa, a->length, a->flags, a->next);
        if (submit(f, 0, 0))
            fail_msg("%s was accepted", a->what);
        assert_int_equal(reg_get(f, 0x60) & 2, 2); /* configuration change (§2.1.2) */
        assert_true(f->irq);
        assert_int_equal(get16(USED + 2), 0);
        put_request(0, 1, 512);
        assert_false(submit(f, 0, 0)); /* nothing more until the reset */
        reg_set(f, 0x70, 1 | 2 | 8 | 4);
        assert_int_equal(reg_get(f, 0x70) & 64, 64);
    }
    start(f, 0);
    put_request(0, 1, 512);
    assert_true(submit(f, 0, 0));
    drop(f);
}

static void a_broken_available_ring_needs_a_reset(void **state)
{
    struct fixture *f = new_disk(false);

    (void)state;
    put_request(0, 1, 512);
    assert_false(submit(f, 0, NUM)); /* head beyond the table */
    start(f, 0);
    put_request(0, 1, 512);
    f->avail = NUM; /* more chains than entries */
    assert_false(submit(f, 0, 0));
    start(f, 0);
    f->avail = 0x7fff;
    assert_false(submit(f, 0, 0));
    drop(f);
}

static void a_queue_outside_ram_or_of_a_bad_size_needs_a_reset(void **state)
{
    static const uint32_t sizes[] = {0, 3, 7, 512, 0x8000, UINT32_MAX};
    static const uint32_t registers[] = {0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4};
    struct fixture *f = new_disk(false);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        negotiate(f);
        set_queue(f, 0, sizes[i]);
        assert_int_equal(reg_get(f, 0x44), 0);
        assert_int_equal(reg_get(f, 0x70) & 64, 64);
    }
    for (i = 0; i < sizeof registers / sizeof registers[0]; i++) {
        negotiate(f);
        set_queue(f, 0, NUM);
        reg_set(f, 0x44, 0);
        reg_set(f, registers[i], 0xfffffff1);
        reg_set(f, 0x44, 1);
        assert_int_equal(reg_get(f, 0x44), 0);
        assert_int_equal(reg_get(f, 0x70) & 64, 64);
    }
    drop(f);
}

static void a_ready_queue_does_not_change(void **state)
{
    struct fixture *f = new_disk(false);

    (void)state;
    reg_set(f, 0x38, 0xffff);
    reg_set(f, 0x80, 0);
    reg_set(f, 0xa4, 0xffff);
    put_request(0, 1, 512);
    assert_true(submit(f, 0, 0));
    assert_int_equal(ram[DATA], 1);
    drop(f);
}

static void a_disk_that_overwrites_its_own_ring_ends(void **state)
{
    struct fixture *f = new_disk(false);
    int i;

    (void)state;
    put_header(0, 0);
    put_desc(DESC, 0, RAM_BASE + HEADER, 16, NEXT, 1);
    put_desc(DESC, 1, RAM_BASE + AVAIL, 512, NEXT | WRITE, 2);
    put_desc(DESC, 2, RAM_BASE + STATUS, 1, WRITE, 0);
    for (i = 0; i < 3; i++)
        submit(f, 0, 0);
    drop(f);
}

/* Whatever the registers, rings and descriptors are: no crash, no hang, no write outside RAM. */
static void random_drivers_do_no_harm(void **state)
{
    struct fixture *f = new_disk(false);
    const char *given = getenv("RV64_SEED");
    unsigned int seed = given ? (unsigned int)strtoul(given, NULL, 0) : (unsigned int)time(NULL);
    int round, i;

    (void)state;
    print_message("seed %u (RV64_SEED)\n", seed);
    srandom(seed);
    for (round = 0; round < 20000; round++) {
        start(f, 0);
        put_request((uint32_t)random() % 9, (uint64_t)random() % 20, (uint32_t)random() % 2048);
        for (i = random() % 4; i; i--)
            put_desc(random() % 2 ? DESC : INDIRECT, (uint32_t)random() % NUM,
                     random() % 4 ? RAM_BASE + (uint64_t)random() % RAM_SIZE
                                  : (uint64_t)random() << (random() % 40),
                     (uint32_t)random() % (random() % 2 ? 64 : RAM_SIZE), random() % 8,
                     (uint16_t)(random() % (NUM + 1)));
        submit(f, 0, (uint16_t)(random() % (NUM + 1)));
        for (i = random() % 8; i; i--)
            reg_set(f, (uint64_t)(random() % 0x44) * 4, (uint32_t)random() % 16);
        submit(f, 0, 0);
    }
    drop(f);
}

static void a_console_prints_what_is_sent(void **state)
{
    struct fixture *f = new_console();

    (void)state;
    start(f, 1);
    memcpy(ram + DATA, "hello", 5);
    put_desc(DESC, 0, RAM_BASE + DATA, 2, NEXT, 1);
    put_desc(DESC, 1, RAM_BASE + DATA + 2, 3, 0, 0);
    assert_true(submit(f, 1, 0));
    assert_int_equal(f->sent_count, 5);
    assert_memory_equal(f->sent, "hello", 5);
    drop(f);
}

static void a_console_fills_the_buffers_that_it_is_given(void **state)
{
    struct fixture *f = new_console();
    const uint8_t typed[] = "typed";

    (void)state;
    start(f, 0);
    assert_int_equal(rv64_virtio_console_receive(&f->virtio, typed, 5), 0);
    put_desc(DESC, 0, RAM_BASE + DATA, 3, WRITE, 0);
    assert_true(submit(f, 0, 0));
    assert_int_equal(get16(USED + 2), 0);
    assert_int_equal(rv64_virtio_console_receive(&f->virtio, typed, 5), 3);
    assert_memory_equal(ram + DATA, "typ", 3);
    assert_int_equal(get16(USED + 8), 3);
    assert_int_equal(rv64_virtio_console_receive(&f->virtio, typed + 3, 2), 0);
    put_desc(DESC, 0, RAM_BASE + DATA, 3, 0, 0); /* nothing can be written here */
    assert_true(submit(f, 0, 0));
    assert_int_equal(rv64_virtio_console_receive(&f->virtio, typed + 3, 2), 0);
    assert_int_equal(reg_get(f, 0x70) & 64, 64);
    drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_shows_its_registers_and_capacity),
        cmocka_unit_test(an_empty_slot_has_device_id_zero),
        cmocka_unit_test(features_that_were_not_offered_are_refused),
        cmocka_unit_test(a_disk_reads_what_is_in_the_file),
        cmocka_unit_test(a_disk_writes_to_the_file_and_reads_it_back),
        cmocka_unit_test(a_read_only_disk_refuses_to_write),
        cmocka_unit_test(a_disk_tells_its_id_and_refuses_unknown_requests),
        cmocka_unit_test(sectors_beyond_the_end_and_odd_lengths_are_io_errors),
        cmocka_unit_test(a_request_may_be_cut_anywhere),
        cmocka_unit_test(an_indirect_table_is_followed),
        cmocka_unit_test(a_broken_chain_needs_a_reset_after_which_the_disk_works),
        cmocka_unit_test(a_broken_available_ring_needs_a_reset),
        cmocka_unit_test(a_queue_outside_ram_or_of_a_bad_size_needs_a_reset),
        cmocka_unit_test(a_ready_queue_does_not_change),
        cmocka_unit_test(a_disk_that_overwrites_its_own_ring_ends),
        cmocka_unit_test(random_drivers_do_no_harm),
        cmocka_unit_test(a_console_prints_what_is_sent),
        cmocka_unit_test(a_console_fills_the_buffers_that_it_is_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
