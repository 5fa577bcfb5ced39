/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_CONFORMANCE_MACHINE_H
#define GN_CONFORMANCE_MACHINE_H

/* The platform under test with shadow tables in its memory, and what it told us. */

#include "platform.h"

#include <gnomon/paging.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define READ  GN_ACCESS_READ
#define WRITE GN_ACCESS_WRITE
#define EXEC  GN_ACCESS_EXEC

#define R      GN_PAGING_R
#define W      GN_PAGING_W
#define X      GN_PAGING_X
#define U      GN_PAGING_U
#define TRACED GN_PAGING_SOFT0

#define EVENTS 64

/* A completed write that was recorded, or a page that a drain named. */
struct event {
    uint64_t hpa;
    uint32_t vcpu;
    uint32_t bytes;
    uint8_t found; /* the first byte there, at that moment */
};

struct machine {
    struct platform_machine p;
    struct gn_paging_geometry geometry;
    uint32_t format;
    uint32_t caps;
    uint32_t asid;       /* one that may be used, and the next one */
    uint64_t next_table; /* from the end of memory, downwards */
    struct event event[EVENTS];
    uint32_t events;
};

/* An address space. */
struct space {
    struct machine *m;
    uint64_t root;
    uint32_t asid;
};

/* Of tests: makes a machine in the format under test; skips if the platform cannot. */
int machine_setup(void **state);
int machine_teardown(void **state);
struct machine *machine_of(void **state);
extern uint32_t machine_format;

int machine_is_x86(const struct machine *m);
/* Skips the test, saying why, unless the platform has all of these capabilities. */
void machine_needs(const struct machine *m, uint32_t caps, const char *why);

/* Controls that all tests run under but those of controls. */
uint32_t machine_controls(const struct machine *m);

/* An empty space; asid counts from 0. */
struct space space_new(struct machine *m, uint32_t asid);
/* Puts an entry into the tables as it is, and tells the platform if it wants to be told. */
void space_put(struct space *s, uint64_t gva, uint32_t level, uint64_t entry);
void space_map(struct space *s, uint64_t gva, uint32_t level, uint64_t hpa, uint32_t permissions);
void space_unmap(struct space *s, uint64_t gva, uint32_t level);

void load_as(const struct space *s, uint32_t vcpu, uint32_t user, uint32_t controls);
/* As a user. */
void load(const struct space *s, uint32_t vcpu);

struct gn_mmu_answer do_access(struct machine *m, uint32_t vcpu, uint64_t gva, uint32_t kind,
                               void *data, uint32_t bytes);
/* Eight bytes on virtual CPU 0. Checks that nothing is transferred unless done. */
uint32_t outcome(struct machine *m, uint64_t gva, uint32_t kind);
/* What a read of eight bytes finds; it must be done. */
uint64_t peek(struct machine *m, uint32_t vcpu, uint64_t gva);
/* A word of memory, seen from outside. */
uint64_t *word(struct machine *m, uint64_t hpa);

#endif /* GN_CONFORMANCE_MACHINE_H */
