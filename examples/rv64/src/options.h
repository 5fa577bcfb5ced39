/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_OPTIONS_H
#define RV64_OPTIONS_H

/* The command line. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "translate/run.h"

#define RV64_DRIVES_MAX 4

#define RV64_MEMORY_DEFAULT (UINT64_C(256) << 20)
#define RV64_MEMORY_MIN     (UINT64_C(16) << 20)
#define RV64_MEMORY_MAX     (UINT64_C(1) << 40)

/* Plaintext at a time, with --encrypt-ram: at the upper end, two mappings a page are the limit. */
#define RV64_ENCRYPT_MIN (UINT64_C(1) << 20)
#define RV64_ENCRYPT_MAX (UINT64_C(96) << 20)

/* Exit statuses; a guest's own failure code is passed on as it is. */
#define RV64_EXIT_OK      0   /**< the guest powered off, or asked for a reboot */
#define RV64_EXIT_FAILURE 1   /**< the machine could not be built, or the guest says it failed */
#define RV64_EXIT_USAGE   2   /**< the command line is wrong */
#define RV64_EXIT_AUDIT   3   /**< --audit or --check found differences */
#define RV64_EXIT_TIMEOUT 124 /**< --timeout, as timeout(1) */
#define RV64_EXIT_QUIT    130 /**< Ctrl-A x; signals end with 128 and their number */

/** Where standard input goes. Output of all consoles goes to standard output. */
enum rv64_console { RV64_CONSOLE_UART, RV64_CONSOLE_SBI, RV64_CONSOLE_VIRTIO };

/** How statistics are printed. */
enum rv64_stats_format { RV64_STATS_NONE, RV64_STATS_TEXT, RV64_STATS_JSON };

/** One --drive. */
struct rv64_drive {
    const char *path;
    bool readonly;
};

/** What the user wants. Strings are those of argv. */
struct rv64_options {
    const char *kernel, *initrd, *append, *bios, *dtb, *dump_dtb, *mmu,
        *asid_trace;         /**< NULL: not given */
    uint64_t memory;         /**< bytes */
    uint64_t encrypt_ram;    /**< bytes of plaintext at a time; 0: RAM is plain */
    const char *encrypt_how; /**< what stands behind the size; NULL: nothing */
    struct rv64_drive drives[RV64_DRIVES_MAX];
    size_t drive_count;
    uint32_t without; /**< RV64_WITHOUT_* of compose.h */
    uint32_t timeout; /**< seconds; 0: none */
    uint32_t icount;  /**< instructions that make a tick of 100 ns; 0: time is the host's */
    uint64_t check;   /**< seed of --check; 0: none */
    bool audit, svade;
    bool translate; /**< --cpu; where it can be, unless it is named */
    bool cpu_named;
    struct rv64_translator_params translator;
    enum rv64_console console;
    enum rv64_stats_format stats;
};

/** The command line says what to do next. */
enum rv64_options_result { RV64_OPTIONS_RUN, RV64_OPTIONS_DONE, RV64_OPTIONS_BAD };

/**
 * Reads the command line.
 * @return RUN; DONE: --help or --version was served; BAD: and a message, which is empty when
 *         getopt_long_only() printed one
 */
enum rv64_options_result rv64_options_parse(struct rv64_options *options, int argc, char **argv,
                                            struct rv64_error *error);

#endif /* RV64_OPTIONS_H */
