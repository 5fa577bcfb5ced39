/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_TRANSLATE_BACKEND_H
#define RV64_TRANSLATE_BACKEND_H

/*
 * The memory back end: what emitted code executes to get from a guest's address to the host's. All
 * that emission knows of it is here, and a build has one: backend_tlb.c probes the TLB of the
 * software MMU. One that lets the host's own MMU translate would find every page, and leave what is
 * not there to a fault.
 */

#include "translate.h"
#include "x86.h"

/** Loads REG_DATA, by which accesses go, for the context that the hart is in. */
void rv64_backend_load(struct x86 *a);

/**
 * Finds the page of an access whose address is in RAX.
 *
 * @param place   register for the page's place, which rv64_backend_delta() asks for
 * @param last    another, RAX or not; RAX is kept unless it is this one
 * @param size    bytes accessed; 0: `last` has the address of the last one
 * @param access  GN_ACCESS_READ or _WRITE; who may write may read
 *
 * Behind it: equal if the access may be made there, and all of it lies in the page.
 */
void rv64_backend_find(struct x86 *a, const struct rv64_tr_thunks *thunks, uint32_t place,
                       uint32_t last, uint32_t size, uint32_t access);

/** Where stands what is to be added to a guest's address in the page that was found. */
struct x86_rm rv64_backend_delta(const struct rv64_tr_thunks *thunks, uint32_t place,
                                 uint32_t access);

/** Where stands what is to be added as most pages of the context have it; waits for no page. */
struct x86_rm rv64_backend_expected(void);

#endif /* RV64_TRANSLATE_BACKEND_H */
