/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_MACHINE_H
#define RV64_MACHINE_H

/*
 * The machine: one hart, its memory, QEMU virt's devices, and the loop that runs them. There is
 * one thread. The hart executes a slice of instructions; between two slices come timers, typed
 * bytes and the work that drivers have queued; and when the hart waits, the thread sleeps.
 */

#include "board.h"
#include "bus.h"
#include "clint.h"
#include "compose.h"
#include "cpu.h"
#include "error.h"
#include "loader.h"
#include "options.h"
#include "plic.h"
#include "sbi.h"
#include "syscon.h"
#include "uart.h"
#include "virtio_blk.h"
#include "virtio_console.h"

/** The machine. */
struct rv64_machine {
    struct rv64_bus bus;
    struct rv64_cpu cpu;
    bool cpu_ready;
    struct rv64_compose *compose;
    struct rv64_clint clint;
    struct rv64_plic plic;
    struct rv64_uart uart;
    struct rv64_syscon syscon;
    struct rv64_sbi sbi;
    uint64_t sbi_timer; /**< ticks at which STI rises; UINT64_MAX: never */
    struct rv64_virtio virtio[RV64_BOARD_VIRTIO_SLOTS];
    struct rv64_virtio_blk disks[RV64_DRIVES_MAX];
    size_t disk_count;
    struct rv64_virtio_console console;
    struct rv64_virtio *console_virtio; /**< its transport, or NULL */
    uint64_t rom[6];                    /**< what OpenSBI's fw_dynamic wants to know */
    struct rv64_layout layout;

    bool firmware; /**< --bios: M-mode is the guest's */
    enum rv64_console console_input;
    uint32_t icount;  /**< instructions a tick; 0: time is the host's */
    uint64_t skipped; /**< with icount: ticks that passed while the hart waited */
    bool deaf, mute;  /**< --check: typing, or output, is not for this machine */
    uint64_t timeout; /**< ticks of the host's clock at which we end; UINT64_MAX: never */
    uint64_t polled;  /**< ticks at which standard input was looked at */

    bool ended;
    int status;         /**< for exit(), once ended */
    const char *notice; /**< to print at the end, or NULL */

    uint64_t slices, waits;    /**< for --stats */
    uint64_t started, stopped; /**< host clock, in ticks */
    uint64_t console_bytes;    /**< sent by the guest, all consoles */
};

/**
 * Builds the machine that the options describe and loads it, up to the first instruction. With
 * --dump-dtb, writes the tree and is ended.
 * @return 0, or -1 and a message; the machine must be destroyed in both cases
 */
int rv64_machine_create(struct rv64_machine *machine, const struct rv64_options *options,
                        struct rv64_error *error);

/** Runs the guest until it ends, or somebody ends it. */
void rv64_machine_run(struct rv64_machine *machine);

/** How many instructions may be executed until something is due. */
uint64_t rv64_machine_slice(const struct rv64_machine *machine);

/** Everything that happens between two slices. @return whether devices have more to do at once. */
bool rv64_machine_between(struct rv64_machine *machine);

/** Waits for an interrupt; with icount, time jumps to where it comes. */
void rv64_machine_wait(struct rv64_machine *machine);

/** Frees everything. */
void rv64_machine_destroy(struct rv64_machine *machine);

/* boot.c: what is in RAM before the first instruction. */

/** Loads the files and starts the hart. @return 0, or -1 and a message. */
int rv64_machine_boot(struct rv64_machine *machine, const struct rv64_options *options,
                      struct rv64_error *error);

/* check.c: --check. */

/**
 * Runs the machine, and in step with it another one of the same options, interpreted instruction
 * by instruction. Compares them every few instructions, until the guest ends.
 * @return the exit status: the machine's, or RV64_EXIT_AUDIT after the first difference
 */
int rv64_machine_check(struct rv64_machine *machine, const struct rv64_options *options);

#endif /* RV64_MACHINE_H */
