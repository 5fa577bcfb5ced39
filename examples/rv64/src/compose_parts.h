/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_COMPOSE_PARTS_H
#define RV64_COMPOSE_PARTS_H

/*
 * The parts of the composition that can be left out. Each has two files: compose_X.c with the
 * library, compose_no_X.c without it; the build takes one of them. A part that a run does without
 * (--without) is not created, and its functions are not called.
 */

#include <stdbool.h>
#include <stdint.h>

#include <gnomon/mmu.h>
#include <gnomon/shadow.h>

#include "bus.h"

typedef void (*rv64_counter)(void *ctx, const char *group, const char *name, uint64_t value);

/* ---- tracelog: writes to guest tables are recorded; without it they trap ----------------- */

struct rv64_tracelog;

/** Is the library in this build? */
bool rv64_tracelog_built(void);

/** A log for one vCPU and guest memory [base, base + size). @return NULL: no memory */
struct rv64_tracelog *rv64_tracelog_create(uint64_t base, uint64_t size);
void rv64_tracelog_destroy(struct rv64_tracelog *log);

/** A write has completed. */
void rv64_tracelog_append(struct rv64_tracelog *log, gn_gpa_t gpa, uint32_t bytes);

/** Hands every pending write to `sync`; a length of UINT64_MAX: anything may have been written. */
void rv64_tracelog_drain(struct rv64_tracelog *log,
                         void (*sync)(void *ctx, gn_gpa_t gpa, uint64_t length), void *ctx);

/** May a write to this page be pending? */
bool rv64_tracelog_pending(const struct rv64_tracelog *log, gn_gpa_t page);
void rv64_tracelog_stats(const struct rv64_tracelog *log, rv64_counter each, void *ctx);

/* ---- nonpresent: absent entries say why; without it every guest fault walks --------------- */

struct rv64_nonpresent;

bool rv64_nonpresent_built(void);

/** Markers are believed while no write to the guest table's page is pending. */
struct rv64_nonpresent *rv64_nonpresent_create(int (*pending)(void *ctx, gn_gpa_t page), void *ctx);
void rv64_nonpresent_destroy(struct rv64_nonpresent *np);

/** The marker for an entry that stays absent, or 0. */
uint64_t rv64_nonpresent_encode(struct rv64_nonpresent *np, const struct gn_shadow_absent *absent);

/** What a marker says about an access. @return whether it says anything */
bool rv64_nonpresent_explain(struct rv64_nonpresent *np, uint64_t entry, uint32_t access,
                             struct gn_mmu_answer *ret_answer);
void rv64_nonpresent_stats(const struct rv64_nonpresent *np, rv64_counter each, void *ctx);

/* ---- asid: address spaces keep their translations; without it every switch flushes -------- */

struct rv64_asid;

bool rv64_asid_built(void);

/** A pool of IDs `first` to `first + count - 1`, whose translations `purge` drops. */
struct rv64_asid *rv64_asid_create(uint32_t first, uint32_t count,
                                   void (*purge)(void *ctx, uint32_t id), void *ctx);
void rv64_asid_destroy(struct rv64_asid *asid);

/** The ID for an address space, which begins to run. */
uint32_t rv64_asid_activate(struct rv64_asid *asid, uint64_t space);

/** The ID that an address space has, if any. */
bool rv64_asid_lookup(struct rv64_asid *asid, uint64_t space, uint32_t *ret_id);

/** An address space is gone. */
void rv64_asid_release(struct rv64_asid *asid, uint64_t space);
void rv64_asid_stats(const struct rv64_asid *asid, rv64_counter each, void *ctx);

/* ---- windows: pages that chains of loads walk are mapped where those expect them --------- */

struct rv64_windows;

/**
 * Windows onto guest RAM, of which nothing is mapped yet.
 * @param ram     its memory, on a boundary of 2 MiB; pieces of it become shared memory
 * @param forget  the windows begin again: nobody relies on any of them any more
 * @return NULL: the host does not give what it takes, and nothing is lost
 */
struct rv64_windows *rv64_windows_create(uint8_t *ram, uint64_t ram_size, void (*forget)(void *ctx),
                                         void *ctx);
void rv64_windows_destroy(struct rv64_windows *w);

/**
 * A load strayed. What struct gn_softmmu_ops.conform is to do, for a place below `places`.
 * @param place  whose window
 * @param gva    page, in it
 * @param at     the page's offset in RAM
 */
bool rv64_windows_conform(struct rv64_windows *w, uint32_t place, uint64_t gva, uint64_t at,
                          uint64_t *ret_window);

/** How many loads may stray before the next is told of. */
uint32_t rv64_windows_pause(struct rv64_windows *w);
void rv64_windows_stats(const struct rv64_windows *w, rv64_counter each, void *ctx);

/* ---- cachecrypt: guest RAM is ciphertext but for a pool; created only when asked for ------ */

struct rv64_encrypt;

/** Are library, platform and ciphers in this build? */
bool rv64_encrypt_built(void);

/**
 * Guest RAM at `at`, in the place of what is mapped there; `pool` bytes of it are plaintext at a
 * time. `how` says where they are to lie, in words of --encrypt-ram; NULL: anywhere.
 * @return NULL, with a reason in *ret_error if there is one better than what it was
 */
struct rv64_encrypt *rv64_encrypt_create(void *at, uint64_t ram_base, uint64_t ram_size,
                                         uint64_t pool, const char *how, const char **ret_error);
void rv64_encrypt_destroy(struct rv64_encrypt *e);

/** What system calls are given in the place of RAM. */
const struct rv64_bounce *rv64_encrypt_bounce(const struct rv64_encrypt *e);
void rv64_encrypt_stats(struct rv64_encrypt *e, rv64_counter each, void *ctx);

#endif /* RV64_COMPOSE_PARTS_H */
