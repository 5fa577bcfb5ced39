/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TRACELOG_INTERNAL_H
#define GN_TRACELOG_INTERNAL_H

#include <gnomon/tracelog_inline.h>

/* The four functions a freestanding compiler may call anyway; there is no <string.h> for them. */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int byte, size_t n);

/** Bytes that do not share a cache line with others. */
#define LINE 64

/** Sets the overflow bit of a page, given relative to the range. */
void gn_tracelog__mark_page(struct gn_tracelog *log, uint64_t bit);

/** Sets the everything flag. */
void gn_tracelog__mark_all(struct gn_tracelog *log);

#endif /* GN_TRACELOG_INTERNAL_H */
