/* SPDX-License-Identifier: BSD-3-Clause */

/* The life of the run time: code memory, which is mapped twice, and what is told of it. */

#define _GNU_SOURCE /* mremap */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime.h"

extern const struct rv64_cpu_engine rv64_translator_engine;

/* The view that emitted code reads is tcache's. */
_Static_assert(sizeof(struct rv64_view) == sizeof(struct gn_tcache_view), "view");
_Static_assert(offsetof(struct rv64_view, jumps) == offsetof(struct gn_tcache_view, jumps),
               "jumps");
_Static_assert(offsetof(struct rv64_view, pages) == offsetof(struct gn_tcache_view, ids), "pages");
_Static_assert(sizeof(struct rv64_view_jump) == sizeof(struct gn_tcache_jump), "jump");
_Static_assert(RV64_VIEW_JUMPS == GN_TCACHE_VIEW_JUMPS && RV64_VIEW_PAGES == GN_TCACHE_VIEW_IDS,
               "tables");

/* Address spaces, each seen by two privileges. */
#define VIEWS 256u

/*
 * Nothing is both writable and executable at one address, once this is done. The memory is shared
 * with nobody but has to be of the shared kind to be mapped twice; and it is of no file that has a
 * name, for perf asks the map file about such memory alone.
 */
static int code_create(struct rv64_translator *tr, uint32_t size)
{
    tr->code_size = RV64_TR_THUNKS_ROOM + (size_t)size;
    tr->exec = MAP_FAILED;
    tr->write =
        mmap(NULL, tr->code_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tr->write != MAP_FAILED) /* an old size of 0: the same pages once more, see mremap(2) */
        tr->exec = mremap(tr->write, 0, tr->code_size, MREMAP_MAYMOVE);
    if (tr->exec == MAP_FAILED)
        return -1;
    return mprotect(tr->exec, tr->code_size, PROT_READ | PROT_EXEC);
}

static int tcache_create(struct rv64_translator *tr, uint32_t size)
{
    static const struct gn_tcache_ops ops = {GN_TCACHE_OPS_INIT, .patch = rv64_tr_patch,
                                             .watch = rv64_tr_watch};
    const struct gn_tcache_params params = {
        GN_TCACHE_PARAMS_INIT,
        .code_size = size,
        .exits = size / RV64_TR_EXIT_BYTES,
        .code = tr->write + RV64_TR_THUNKS_ROOM,
        .exec = (uint64_t)(uintptr_t)(tr->exec + RV64_TR_THUNKS_ROOM),
        .views = VIEWS,
        .pages = RV64_TR_PAGES,
        .block_size = RV64_TR_BLOCK_ROOM,
        .block_exits = RV64_TR_EXITS,
        .ops = &ops,
        .ctx = tr,
    };
    size_t bytes = gn_tcache_size(&params);

    tr->tcache_memory = bytes ? aligned_alloc(gn_tcache_align(), bytes) : NULL;
    return !tr->tcache_memory || gn_tcache_init(tr->tcache_memory, bytes, &params, &tr->tcache) ||
                   gn_tcache_online(tr->tcache, 0)
               ? -1
               : 0;
}

static int copies_create(struct rv64_translator *tr)
{
    tr->exit_states = calloc(RV64_TR_EXIT_NUMBERS, sizeof *tr->exit_states);
    tr->copies = calloc(RV64_TR_COPIES, sizeof *tr->copies);
    tr->copy_bytes = mmap(NULL, RV64_TR_COPIES * GN_PAGE_SIZE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!tr->exit_states || !tr->copies || tr->copy_bytes == MAP_FAILED)
        return -1;
    for (uint32_t i = RV64_TR_COPIES; i > 0; i--) {
        tr->copies[i - 1].next = tr->copy_free;
        tr->copy_free = i;
    }
    return 0;
}

static void perf_map_open(struct rv64_translator *tr)
{
    char name[64];

    snprintf(name, sizeof name, "/tmp/perf-%d.map", (int)getpid());
    tr->perf_map = fopen(name, "w");
}

static void destroy(struct rv64_translator *tr)
{
    rv64_tr_dumper_free(tr->dumper);
    gn_tcache_fini(tr->tcache);
    free(tr->tcache_memory);
    free(tr->copies);
    free(tr->exit_states);
    if (tr->copy_bytes && tr->copy_bytes != MAP_FAILED)
        munmap(tr->copy_bytes, RV64_TR_COPIES * GN_PAGE_SIZE);
    if (tr->write && tr->write != MAP_FAILED)
        munmap(tr->write, tr->code_size);
    if (tr->exec && tr->exec != MAP_FAILED)
        munmap(tr->exec, tr->code_size);
    if (tr->perf_map)
        fclose(tr->perf_map);
    free(tr);
}

int rv64_translator_attach(struct rv64_cpu *cpu, const struct rv64_translator_params *params,
                           const char **ret_error)
{
    struct rv64_translator *tr = calloc(1, sizeof *tr);
    uint32_t size = params->code_size ? params->code_size : RV64_TR_CODE_DEFAULT;
    struct rv64_tr_code code;

    *ret_error = "the host gives no memory for translated code";
    if (!tr)
        return -1;
    tr->cpu = cpu;
    tr->epoch = 1;
    tr->heat_limit = params->visits;
    tr->unchained = params->unchained;
    if (code_create(tr, size) || copies_create(tr) || tcache_create(tr, size)) {
        destroy(tr);
        return -1;
    }
    if (params->dump) {
        tr->dumper = rv64_tr_dumper_new(&tr->thunks, params->dump_all, params->dump_pc, ret_error);
        if (!tr->dumper) {
            destroy(tr);
            return -1;
        }
    }
    if (params->perf_map)
        perf_map_open(tr);
    code.write = tr->write;
    code.exec = tr->exec;
    code.room = RV64_TR_THUNKS_ROOM;
    cpu->jit.data = cpu->mmu->data;
    rv64_tr_emit_thunks(&tr->thunks, cpu->jit.data, &code);
    tr->thunks.eager = params->eager;
    tr->thunks.without = params->without | (params->unchained ? RV64_TR_WITHOUT_LINKED : 0);
    tr->thunks.counts = params->counts;
    cpu->translator = tr;
    cpu->engine = &rv64_translator_engine;
    cpu->context_known = false;
    return 0;
}

void rv64_translator_detach(struct rv64_cpu *cpu)
{
    if (!cpu->translator)
        return;
    destroy(cpu->translator);
    cpu->translator = NULL;
    cpu->engine = NULL;
}

void rv64_translator_stats(const struct rv64_cpu *cpu,
                           void (*each)(void *ctx, const char *group, const char *name,
                                        uint64_t value),
                           void *ctx)
{
    struct gn_tcache_stats t = {GN_TCACHE_STATS_INIT};
    const struct rv64_tr_stats *s;

    if (!cpu->translator || gn_tcache_stats_get(cpu->translator->tcache, &t))
        return;
    s = &cpu->translator->stats;
    each(ctx, "translate", "dispatches", s->dispatches);
    each(ctx, "translate", "unlinked_exits", s->edges);
    each(ctx, "translate", "unknown_jumps", s->lookups);
    each(ctx, "translate", "unknown_targets", s->sites);
    each(ctx, "translate", "returns", cpu->jit.returns);
    each(ctx, "translate", "returns_missed", cpu->jit.returns_missed);
    each(ctx, "translate", "hashed_jumps", cpu->jit.hashed);
    each(ctx, "translate", "cold_runs", s->cold);
    each(ctx, "translate", "interpreted", s->interpreted);
    each(ctx, "translate", "translated", s->translated);
    each(ctx, "translate", "guest_bytes", s->guest_bytes);
    each(ctx, "translate", "host_bytes", s->host_bytes);
    each(ctx, "translate", "nanoseconds", s->nanoseconds);
    each(ctx, "translate", "edges_checked", s->edges_checked);
    each(ctx, "translate", "f_fixes", cpu->jit.f_fixes);
    each(ctx, "translate", "f_saves", cpu->jit.f_saves);
    each(ctx, "translate", "pages_compared", s->pages_compared);
    each(ctx, "translate", "pages_changed", s->pages_changed);
    each(ctx, "translate", "watches", s->watches);
    each(ctx, "translate", "watches_ended", s->watches_ended);
    each(ctx, "translate", "watched_writes", s->watched_writes);
    each(ctx, "tcache", "lookups", t.lookups);
    each(ctx, "tcache", "found", t.found);
    each(ctx, "tcache", "unmapped", t.unmapped);
    each(ctx, "tcache", "maps", t.maps);
    each(ctx, "tcache", "blocks", t.blocks);
    each(ctx, "tcache", "blocks_made", t.blocks_made);
    each(ctx, "tcache", "blocks_written", t.blocks_written);
    each(ctx, "tcache", "blocks_evicted", t.blocks_evicted);
    each(ctx, "tcache", "regions_evicted", t.regions_evicted);
    each(ctx, "tcache", "links", t.links);
    each(ctx, "tcache", "links_guarded", t.links_guarded);
    each(ctx, "tcache", "links_open", t.links_open);
    each(ctx, "tcache", "closes", t.closes);
    each(ctx, "tcache", "unlinks", t.unlinks);
    each(ctx, "tcache", "writes", t.writes);
    each(ctx, "tcache", "writes_filtered", t.writes_filtered);
    each(ctx, "tcache", "invalidations", t.invalidations);
    each(ctx, "tcache", "views_made", t.views_made);
    each(ctx, "tcache", "pages", t.pages);
    each(ctx, "tcache", "code_used", t.code_used);
}
