/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BUS_H
#define BUS_H

/*
 * A set-associative cache, least recently used first, written back; behind it a bus on which every
 * line that leaves the cache is looked at, and DRAM. Memory that it knows is given in ranges whose
 * pages have machine addresses of their own. Ways may be kept for one range: a locked cache.
 */
#include <stddef.h>
#include <stdint.h>

#define BUS_LINE   64u
#define BUS_PAGE   4096u
#define BUS_RANGES 4u
#define BUS_WAYS   16u
#define BUS_SETS   4096u

/** Memory that is cached. */
struct bus_range {
    uint8_t *at;
    size_t bytes;         /* of whole pages */
    const uint64_t *hpa;  /* machine address of each page */
    uint8_t *dram;        /* what is in DRAM of it */
    uint32_t first, ways; /* the ways it may fill */
    uint64_t accesses;    /* of lines */
    uint64_t fetched;     /* lines read from DRAM */
    uint64_t evicted;     /* lines that made room */
    uint64_t written;     /* of these, and by a flush: changed ones, which DRAM sees */
};

struct bus_slot {
    uint64_t line; /* machine address / BUS_LINE, + 1; 0: empty */
    uint8_t *at;   /* its bytes */
    uint32_t range, dirty;
    uint64_t used; /* when */
};

struct bus {
    uint32_t sets, ways, range_count;
    struct bus_range range[BUS_RANGES];
    struct bus_slot slot[BUS_SETS][BUS_WAYS];
    uint64_t clock;
    /** Is there anything secret in these 64 bytes? Called for each line that DRAM sees. */
    int (*secret)(const uint8_t *line);
    uint64_t secrets; /* lines for which there was */
    int on;
};

extern struct bus bus;

/** An empty cache. */
void bus_reset(uint32_t sets, uint32_t ways, int (*secret)(const uint8_t *line));

/** Adds a range; its DRAM holds what is there now. */
uint32_t bus_add(uint8_t *at, size_t bytes, const uint64_t *hpa, uint32_t first, uint32_t ways);

/** An access by the processor. */
void bus_access(const volatile void *at, size_t bytes, int write);

/** A device writes: memory changes, the cache drops the line. */
void bus_device_write(uint8_t *at, uint8_t byte);

/** Everything changed goes to DRAM. */
void bus_flush(void);

void bus_free(void);

#endif /* BUS_H */
