/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_ASID_TRACE_H
#define RV64_ASID_TRACE_H

/*
 * A record of the address spaces that the guest activates, for asking of an allocator of address
 * space identifiers what it would have done: lib/asid/bench replays it.
 *
 *      # comment, to the end of the line
 *      gnomon-asid-trace 1
 *      +2b19+c-b...
 *
 * Spaces stand in the order of their last activation, the latest first. `+`: a space that was not
 * there is activated. A letter: the one at that place is, `a` being the first; a capital before it
 * adds 26 for each letter, `A` being 0. `-` before a letter: that one is gone. A number behind: so
 * many times. White space between them means nothing. Two processes with a pipe between them are
 * one letter and a number; so are three.
 */

#include <stdint.h>

struct rv64_asid_trace;

/** @return NULL: the file cannot be made, or no memory */
struct rv64_asid_trace *rv64_asid_trace_create(const char *path);

/** Ends the file; says so on standard error if it is not complete. */
void rv64_asid_trace_destroy(struct rv64_asid_trace *trace);

/** An address space, by a number of its own, begins to run. */
void rv64_asid_trace_activate(struct rv64_asid_trace *trace, uint64_t space);

/** An address space is gone; its number does not come again. */
void rv64_asid_trace_release(struct rv64_asid_trace *trace, uint64_t space);

#endif /* RV64_ASID_TRACE_H */
