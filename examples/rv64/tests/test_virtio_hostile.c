/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio devices attacked by a driver that breaks every rule of virtio 1.2 §2.7: the device may
 * ask to be reset, and nothing else.
 */

#include "virtio_driver.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_chain_needs_a_reset_after_which_the_disk_works),
        cmocka_unit_test(a_broken_available_ring_needs_a_reset),
        cmocka_unit_test(a_queue_outside_ram_or_of_a_bad_size_needs_a_reset),
        cmocka_unit_test(a_ready_queue_does_not_change),
        cmocka_unit_test(a_disk_that_overwrites_its_own_ring_ends),
        cmocka_unit_test(random_drivers_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
