/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_LINE_H
#define RV64_LINE_H

/*
 * A level-triggered interrupt wire from a device to an interrupt controller, or from a controller
 * to the hart. Setting the level that it already has is harmless.
 */

#include <stdbool.h>
#include <stdint.h>

/** One end of a wire: whom to tell, and which input of theirs it is. */
struct rv64_line {
    void (*set)(void *ctx, uint32_t number, bool level); /**< may be NULL: not connected */
    void *ctx;
    uint32_t number;
};

/** Raises or lowers a wire. */
static inline void rv64_line_set(const struct rv64_line *line, bool level)
{
    if (line->set)
        line->set(line->ctx, line->number, level);
}

#endif /* RV64_LINE_H */
