/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdio.h>
#include <stdlib.h>

#include "machine.h"
#include "options.h"
#include "stats.h"
#include "terminal.h"

/* Tells the user how it ended. @return the exit status */
static int report(const struct rv64_machine *machine, const struct rv64_options *options)
{
    uint64_t differences;

    if (machine->notice)
        fprintf(stderr, "rv64: %s\n", machine->notice);
    rv64_stats_print(machine, options->stats);
    if (!options->audit)
        return machine->status;
    differences = rv64_compose_audit_differences(machine->compose);
    fprintf(stderr, "rv64: audit: %llu differences\n", (unsigned long long)differences);
    return differences ? RV64_EXIT_AUDIT : machine->status;
}

/* Builds the machine, runs it and takes it apart. @return the exit status */
static int run(struct rv64_machine *machine, const struct rv64_options *options)
{
    struct rv64_error error;
    int status = RV64_EXIT_FAILURE;

    rv64_terminal_prepare();
    if (rv64_machine_create(machine, options, &error)) {
        rv64_error_print(&error);
    } else if (machine->ended) {
        status = machine->status; /* --dump-dtb */
    } else {
        rv64_terminal_open();
        status = options->check ? rv64_machine_check(machine, options) : RV64_EXIT_OK;
        if (!options->check)
            rv64_machine_run(machine);
        rv64_terminal_close();
        status = status == RV64_EXIT_AUDIT ? status : report(machine, options);
    }
    rv64_machine_destroy(machine);
    return status;
}

int main(int argc, char **argv)
{
    static char name[] = "rv64";
    struct rv64_machine *machine;
    struct rv64_options options;
    struct rv64_error error;
    int status;

    /* getopt_long_only() prints messages of its own, and begins them with this. */
    if (argc)
        argv[0] = name;
    switch (rv64_options_parse(&options, argc, argv, &error)) {
    case RV64_OPTIONS_DONE: return RV64_EXIT_OK;
    case RV64_OPTIONS_BAD:
        if (error.text[0])
            rv64_error_print(&error);
        return RV64_EXIT_USAGE;
    case RV64_OPTIONS_RUN: break;
    }
    machine = calloc(1, sizeof *machine);
    if (!machine) {
        fputs("rv64: no memory for the machine\n", stderr);
        return RV64_EXIT_FAILURE;
    }
    status = run(machine, &options);
    free(machine);
    return status;
}
