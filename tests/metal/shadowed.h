/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_SHADOWED_H
#define METAL_SHADOWED_H

/*
 * A world's guest under its shadow: the library, its surroundings, and accesses that are made until
 * the processor performs them with the shadow in CR3, or the library has another answer.
 */

#include "world.h"

#include <gnomon/paging.h>
#include <gnomon/shadow.h>
#include <gnomon/x86_64.h>

/** One access. */
struct attempt {
    uint64_t gva;
    uint32_t offset;   /* of the first byte accessed, in the slot */
    uint32_t access;   /* GN_ACCESS_... | GN_PAGING_AS_USER | GN_PAGING_IMPLICIT */
    uint32_t controls; /* GN_PAGING_X86_... */
    uint32_t pkru;
    uint32_t tag; /* what is written */
};

/** Was it an implicit access that was performed? What the descriptor says is no segment's. */
int attempt_is_read(const struct attempt *a, const struct gn_x86_64_probe *p);

/** The guest's memory. */
extern const struct gn_paging_ops shadowed_guest;
/** Entries that the guest wrote, and those of them that were trapped. */
extern uint64_t shadowed_writes[2];

/** Once. */
void shadowed_open(struct world *of);
/** Another shadow, of a policy and with global leaves or not as the world draws. */
void shadowed_make(uint32_t format);
/** The processor forgets every translation, global ones, too. */
void shadowed_forget(void);
/** The load of the root is a coherence point. @return 1: performed; 0: an answer */
int shadowed_access(const struct attempt *a, void *data, uint32_t bytes,
                    struct gn_shadow_answer *ret_answer);
/** The guest writes an entry, as any data: trapped, or to be seen at the next load of CR3. */
void shadowed_write(uint64_t gpa, uint64_t value);
/** Somebody else writes one, and tells of it. */
void shadowed_sync(uint64_t gpa, uint64_t value);

#endif /* METAL_SHADOWED_H */
