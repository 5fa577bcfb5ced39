/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_THREADS_SETUP_H
#define GN_TEST_THREADS_SETUP_H

/* The machine of threads.h comes and goes: the guest's tables, slots, the shadow. */

#include "gn_test.h"
#include "threads.h"

/* The guest's tables, as the essay of threads.h draws them, and a linear map of all of them. */
static inline void tables_make(struct world *w)
{
    const uint32_t link = FULL | GN_PAGING_U | GN_PAGING_A;
    uint64_t next = GN_PAGE_SIZE;
    uint64_t linear[2];

    for (uint32_t i = 0; i < 2; i++, next += GN_PAGE_SIZE)
        linear[i] = next;
    for (uint32_t j = 0; j < TABLES; j++, next += GN_PAGE_SIZE)
        w->leaf[j] = next;
    for (uint32_t s = 0; s < SPACES; s++) {
        uint64_t top = w->root[s] = next;

        next += GN_PAGE_SIZE;
        for (uint32_t level = w->guest_levels - 1; level > 2; level--, next += GN_PAGE_SIZE) {
            w->ram[top / 8] = entry_of(w, level, GN_PAGING_ENTRY_TABLE, next, link);
            top = next;
        }
        w->mid[s] = next;
        next += GN_PAGE_SIZE;
        w->ram[top / 8 + (AREA >> 30)] = entry_of(w, 2, GN_PAGING_ENTRY_TABLE, w->mid[s], link);
        w->ram[top / 8 + (LINEAR >> 30)] = entry_of(w, 2, GN_PAGING_ENTRY_TABLE, linear[0], link);
        for (uint32_t i = 0; i < MIDS; i++)
            w->ram[w->mid[s] / 8 + i] = mid_value(w, s, i, 0);
    }
    w->ram[linear[0] / 8] = entry_of(w, 1, GN_PAGING_ENTRY_TABLE, linear[1], link);
    for (uint64_t gpa = 0; gpa < RAM_BYTES; gpa += GN_PAGE_SIZE)
        w->ram[(linear[1] >> 3) + (gpa >> GN_PAGE_SHIFT)] =
            entry_of(w, 0, GN_PAGING_ENTRY_LEAF, gpa, GN_PAGING_R | GN_PAGING_W | AD);
    for (uint32_t j = 0; j < TABLES; j++)
        for (uint32_t e = 0; e < CELLS; e++)
            w->ram[w->leaf[j] / 8 + e] = leaf_value(w, j, e, 0);
}

static inline void slot_make(struct world *w, uint64_t gpa, uint64_t length, void **ret_memory)
{
    struct gn_shadow_slot slot = {GN_SHADOW_SLOT_INIT, .kind = GN_SHADOW_SLOT_RAM,
                                  .gpa = gn_gpa(gpa), .length = length, .hpa = gn_hpa(HOST + gpa)};
    size_t bytes = gn_shadow_slot_size(length);
    uint32_t id;

    *ret_memory = gn_test_memory(64, bytes);
    MUST(w, gn_shadow_slot_add(w->sh, &slot, *ret_memory, bytes, &id));
}

static inline void shadow_make(struct world *w, uint32_t variant)
{
    struct gn_shadow_params params = {GN_SHADOW_PARAMS_INIT,
                                      .format = w->format,
                                      .policy = w->policy,
                                      .flags = w->traced ? GN_SHADOW_MMU_TRACES : 0,
                                      .tables = variant % 2 ? 16 : 64,
                                      .roots = ROOTS,
                                      .slots = 3,
                                      .flood_limit = 3,
                                      .unsync_after = 1,
                                      .sync_after = 1,
                                      .fault_around = variant % 2 ? 8 : 0,
                                      .step_limit = variant % 2 ? 7 : 0,
                                      .lock_stripes = variant % 2 ? 1 : 64,
                                      .ops = &world_ops,
                                      .ops_ctx = w};
    size_t bytes = gn_shadow_size(&params);

    w->locks = gn_shadow_locks(&params);
    w->stripes = calloc(w->locks, sizeof *w->stripes);
    for (uint32_t i = 0; i < w->locks; i++)
        pthread_mutex_init(&w->stripes[i], NULL);
    w->memory = gn_test_memory(gn_shadow_align(), bytes);
    MUST(w, gn_shadow_init(w->memory, bytes, &params, &w->sh));
    slot_make(w, 0, RAM_BYTES, &w->tables_memory);
    slot_make(w, DATA, FIXED * GN_PAGE_SIZE, &w->fixed_memory);
    w->sparse_memory = gn_test_memory(64, gn_shadow_slot_size((DATA_PAGES - FIXED) * GN_PAGE_SIZE));
    bytes = gn_shadow_dirty_size(FIXED * GN_PAGE_SIZE);
    w->dirty_memory = gn_test_memory(64, bytes);
    MUST(w, gn_shadow_dirty_start(w->sh, 1, w->dirty_memory, bytes));
}

static inline void cells_init(struct cell *cells, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        pthread_mutex_init(&cells[i].writers, NULL);
}

/* A CPU of each number, with dice of its own. */
static inline void cpus_init(struct world *w)
{
    uint64_t random = w->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;

    for (uint32_t i = 0; i < CPUS; i++) {
        struct cpu *c = &w->cpu[i];

        c->w = w;
        c->number = i;
        c->random = random ^ (i + 1) * UINT64_C(0xd1342543de82ef95);
        pthread_mutex_init(&c->run, NULL);
        pthread_mutex_init(&c->log_mutex, NULL);
    }
}

static inline struct world *world_make(uint32_t guest, uint32_t format, uint32_t policy,
                                       uint32_t traced, uint32_t variant, uint32_t operations)
{
    struct world *w = calloc(1, sizeof *w);
    struct gn_paging_geometry g;

    assert_non_null(w);
    assert_int_equal(gn_paging_geometry(format, &g), 0);
    w->epoch = 2;
    w->format = format;
    w->guest = guest;
    w->policy = policy;
    w->traced = traced;
    w->levels = g.levels;
    assert_int_equal(gn_paging_geometry(guest, &g), 0);
    w->guest_levels = g.levels;
    /* x86 and AArch64 see an entry become present without a flush: no marker where writes are only
     * recorded.
     */
    w->markers = policy == GN_SHADOW_POLICY_TRAP || guest == GN_PAGING_SV39;
    w->operations = operations;
    w->shadow =
        (struct gn_paging_context){GN_PAGING_CONTEXT_INIT, .format = format, .controls = CONTROLS};
    w->ram = calloc(1, RAM_BYTES);
    w->frames = gn_test_memory(GN_PAGE_SIZE, FRAMES * GN_PAGE_SIZE);
    pthread_rwlock_init(&w->structure, NULL);
    pthread_mutex_init(&w->managers, NULL);
    for (uint32_t s = 0; s < SPACES; s++)
        cells_init(w->mid_cell[s], MIDS);
    for (uint32_t j = 0; j < TABLES; j++)
        cells_init(w->leaf_cell[j], CELLS);
    tables_make(w);
    shadow_make(w, variant);
    return w;
}

static inline void world_end(struct world *w)
{
    struct gn_shadow_stats s = {GN_SHADOW_STATS_INIT};
    uint64_t seen[5] = {0};

    MUST(w, gn_shadow_stats_get(w->sh, &s));
    for (uint32_t i = 0; i < CPUS; i++)
        for (uint32_t k = 0; k < 5; k++)
            seen[k] += w->cpu[i].outcomes[k];
    print_message("  pages %llu denied %llu holes %llu markers %llu devices %llu; fills %llu "
                  "trapped %llu tables "
                  "%llu reclaimed %llu unsync %llu dirty %llu\n",
                  (unsigned long long)seen[0], (unsigned long long)seen[1],
                  (unsigned long long)seen[2], (unsigned long long)seen[3],
                  (unsigned long long)seen[4], (unsigned long long)s.fills,
                  (unsigned long long)s.trapped_writes, (unsigned long long)s.tables_created,
                  (unsigned long long)s.tables_reclaimed, (unsigned long long)s.pages_unsync,
                  (unsigned long long)s.dirty_pages);
    gn_shadow_fini(w->sh);
    for (uint32_t i = 0; i < FRAMES; i++)
        assert_int_equal(w->frame_used[i], 0);
    free(w->memory);
    free(w->stripes);
    free(w->tables_memory);
    free(w->fixed_memory);
    free(w->sparse_memory);
    free(w->dirty_memory);
    free(w->frames);
    free(w->ram);
    free(w);
}

#endif /* GN_TEST_THREADS_SETUP_H */
