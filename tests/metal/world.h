/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_WORLD_H
#define METAL_WORLD_H

/*
 * Random guest tables in memory that is the guest's and the machine's at once: a guest physical
 * address is the host physical one, so that the guest's own tables can be given to the processor.
 *
 *     8 MiB                                     9 MiB              11 MiB            16 MiB
 *     | tables: WORLD_TABLES frames | window's | . | data, 32 frames | data, 32 frames |
 *
 * The guest itself reaches its tables through a window that no random address leads to.
 * Data frames consist of slots of 8 bytes: MOV EAX, tag; UD2; NOP. So a read of the 4 bytes behind
 * the first says which slot it is, and so does an execution, whatever the mode.
 */

#include <stdint.h>

#define WORLD_BASE   0x800000u
#define WORLD_BYTES  0x800000u
#define WORLD_TABLES 24u
#define WORLD_PLACES 24u

/** The entry of a long-mode root that belongs to the platform. */
#define WORLD_PLATFORM 511u

struct world {
    uint64_t rng;
    uint32_t format;
    uint32_t levels;
    uint32_t entry_bytes;
    uint32_t bits[5];             /**< of an index, by level */
    uint32_t phys_bits;           /**< MAXPHYADDR */
    uint32_t used;                /**< tables in use; the root is the first */
    uint32_t globals;             /**< leaves have G at times */
    uint64_t place[WORLD_PLACES]; /**< addresses for which entries were made */
};

/** The memory, as the image sees it. @return 0, or a negative status */
int world_open(struct world *w, uint32_t format, uint64_t seed);
/** Other tables. */
void world_make(struct world *w);
/** Draws a change of an entry on the way to a place. @return its address, or 0: none */
uint64_t world_change(struct world *w, uint64_t *ret_value);
/** Where the guest maps a byte of its tables, writable by the supervisor. */
uint64_t world_window(const struct world *w, uint64_t gpa);
/** A place, or its neighbour, with the offset of a slot. */
uint64_t world_address(struct world *w);
/** The same in a large page, at an offset where data may be. */
uint64_t world_aim(struct world *w, uint64_t gva, uint32_t shift);

uint64_t world_load(const struct world *w, uint64_t gpa);
void world_store(const struct world *w, uint64_t gpa, uint64_t value);
/** Is this a slot of data? */
int world_is_slot(uint64_t gpa);
/** The tag of a slot. */
uint32_t world_tag(uint64_t gpa);
void world_tag_set(uint64_t gpa, uint32_t tag);
/** A slot's own tag. */
uint32_t world_tag_of(uint64_t gpa);

#endif /* METAL_WORLD_H */
