/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio devices driven through their registers by a well-behaved driver. */

#include "virtio_driver.h"

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
        cmocka_unit_test(a_console_prints_what_is_sent),
        cmocka_unit_test(a_console_fills_the_buffers_that_it_is_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
