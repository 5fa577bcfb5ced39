/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_MARKER_H
#define GN_MARKER_H

/*
 * A secret to look for. The program that looks must not have it, nor a register that is saved
 * somewhere: it is made byte by byte, and compared so.
 */

#include <stddef.h>
#include <stdint.h>

#define GN_MARKER_BYTES 16u

static inline uint8_t gn_marker_byte(uint32_t number, size_t at)
{
    return (uint8_t)(0x9d + number * 71 + at * 37 + (at * at >> 2));
}

/** Marker `number`, as often as it goes. */
static inline void gn_marker_fill(uint32_t number, void *to, size_t length)
{
    volatile uint8_t *byte = to;

    for (size_t i = 0; i < length; i++)
        byte[i] = gn_marker_byte(number, i % GN_MARKER_BYTES);
}

/** @return how often the marker stands in these bytes */
static inline uint64_t gn_marker_count(uint32_t number, const void *from, size_t length)
{
    const volatile uint8_t *byte = from;
    uint64_t count = 0;

    for (size_t i = 0; i + GN_MARKER_BYTES <= length; i++) {
        size_t same = 0;

        while (same < GN_MARKER_BYTES && byte[i + same] == gn_marker_byte(number, same))
            same++;
        count += same == GN_MARKER_BYTES;
    }
    return count;
}

#endif /* GN_MARKER_H */
