/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SHADOW_BENCH_MACHINE_H
#define GN_SHADOW_BENCH_MACHINE_H

/*
 * What a shadow asks for, with as little work as can be: guest memory that holds tables and nothing
 * else, frames from a stack, an MMU that has nothing to forget. Guest and shadow are of Sv39. Who
 * includes it says before how large it is: RAM_PAGES, FRAMES.
 */

#include <gnomon/shadow.h>

#include "gn_bench.h"

static uint64_t ram[RAM_PAGES * 512]; /* guest tables; what they map needs no memory here */
static _Alignas(4096) uint8_t frames[FRAMES][4096];
static uint32_t frame_stack[FRAMES];
static uint32_t frames_free;
static struct gn_shadow *shadow;

static inline void must(int rc)
{
    if (rc) {
        fprintf(stderr, "bench: %s\n", gn_base_status_name(rc));
        exit(1);
    }
}

static inline int load(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value)
{
    (void)ctx;
    (void)bytes;
    if (gpa.v >= sizeof ram)
        return -GN_ERR_FAULT;
    *ret_value = __atomic_load_n(&ram[gpa.v / 8], __ATOMIC_ACQUIRE);
    return 0;
}

static inline int cmpxchg(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected,
                          uint64_t desired)
{
    (void)ctx;
    (void)bytes;
    if (gpa.v >= sizeof ram)
        return -GN_ERR_FAULT;
    return __atomic_compare_exchange_n(&ram[gpa.v / 8], &expected, desired, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE)
               ? 0
               : -GN_ERR_AGAIN;
}

static const struct gn_paging_ops guest = {GN_PAGING_OPS_INIT, .load = load, .cmpxchg = cmpxchg};

static inline int frame_alloc(void *ctx, gn_hpa_t *ret_hpa, void **ret_frame)
{
    (void)ctx;
    if (!frames_free)
        return -GN_ERR_NOMEM;
    *ret_frame = frames[frame_stack[--frames_free]];
    *ret_hpa = gn_hpa(((uint64_t)1 << 40) + (uint64_t)frame_stack[frames_free] * 4096);
    return 0;
}

static inline void frame_free(void *ctx, gn_hpa_t hpa, void *frame)
{
    (void)ctx;
    (void)frame;
    frame_stack[frames_free++] = (uint32_t)(hpa.v >> 12 & (FRAMES - 1));
}

static inline void invalidate_range(void *ctx, uint32_t which, gn_gva_t gva, uint64_t length)
{
    (void)ctx;
    (void)which;
    (void)gva;
    (void)length;
}

static inline void invalidate_all(void *ctx)
{
    (void)ctx;
}

static inline void root_gone(void *ctx, uint32_t which, uint64_t cookie)
{
    (void)ctx;
    (void)which;
    (void)cookie;
}

/* First initializers of a gn_shadow_ops; locks may follow. */
#define OPS                                                                                     \
    GN_SHADOW_OPS_INIT, .guest = &guest, .frame_alloc = frame_alloc, .frame_free = frame_free,  \
                        .invalidate_range = invalidate_range, .invalidate_all = invalidate_all, \
                        .root_gone = root_gone

static inline uint64_t encode(uint32_t level, uint32_t kind, uint64_t address, uint32_t permissions)
{
    struct gn_paging_entry e = {.kind = kind, .permissions = permissions, .address = address};
    uint64_t value = 0;

    must(gn_paging_entry_encode(GN_PAGING_SV39, level, &e, &value));
    return value;
}

static inline struct gn_shadow_root_key key_of(uint64_t table, uint64_t tag)
{
    return (struct gn_shadow_root_key){GN_SHADOW_ROOT_KEY_INIT, .format = GN_PAGING_SV39,
                                       .table = gn_gpa(table), .controls = GN_PAGING_RISCV_ADUE,
                                       .tag = tag};
}

/* A shadow with 64 MiB of RAM. */
static inline void shadow_make(struct gn_shadow_params params)
{
    static _Alignas(64) uint8_t mem[2 << 20];
    static _Alignas(8) uint8_t slot_mem[1 << 17];
    struct gn_shadow_slot slot = {GN_SHADOW_SLOT_INIT, .kind = GN_SHADOW_SLOT_RAM,
                                  .length = (uint64_t)64 << 20, .hpa = gn_hpa((uint64_t)1 << 32)};
    uint32_t id;

    for (frames_free = 0; frames_free < FRAMES; frames_free++)
        frame_stack[frames_free] = frames_free;
    must(gn_shadow_init(mem, sizeof mem, &params, &shadow));
    must(gn_shadow_slot_add(shadow, &slot, slot_mem, sizeof slot_mem, &id));
}

#endif /* GN_SHADOW_BENCH_MACHINE_H */
