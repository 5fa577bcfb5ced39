/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BLOCKS_H
#define BLOCKS_H

/*
 * Blocks of pages in a range of them: best fit over a sorted list of free extents. It touches none
 * of the pages; what it knows stands in memory that it is given.
 */

#include <stdint.h>

struct blocks {
    uint32_t pages;
    uint32_t used;    /**< pages in blocks */
    uint32_t count;   /**< blocks */
    uint32_t *length; /**< by first page: of the block there, in pages; 0: none begins there */
    uint32_t *start;  /**< of free extents, ascending */
    uint32_t *extent; /**< their lengths */
    uint32_t extents;
    uint32_t reserved;
};

#define BLOCKS_NONE UINT32_MAX

/** Bytes of memory for so many pages. */
uint64_t blocks_size(uint32_t pages);

/** All free. `memory` is zeroed. */
void blocks_init(struct blocks *b, uint32_t pages, void *memory);

/** @return the first page of a new block, or BLOCKS_NONE: no room */
uint32_t blocks_alloc(struct blocks *b, uint32_t pages);

/** Lets a block become longer or shorter where it is. @return 0, or -1: no room behind it */
int blocks_resize(struct blocks *b, uint32_t first, uint32_t pages);

/** @return its length in pages; 0: no block begins there */
uint32_t blocks_length(const struct blocks *b, uint32_t first);

/** Frees a block. @return its length in pages; 0: no block begins there */
uint32_t blocks_free(struct blocks *b, uint32_t first);

#endif /* BLOCKS_H */
