/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The dispatcher: what to enter next, what is worth to be translated, and what follows when
 * translated code comes back. Blocks, links and views are tcache's; what is mapped where, and what
 * is withdrawn, comes from the composition.
 *
 * A view is a fetch context: the name that the composition gives the address space, and privilege.
 */

#include "run.h"

#include <string.h>
#include <time.h>

#include "../decode.h"
#include "runtime.h"

/* What is to be executed next. */
enum next { NEXT_BLOCK, NEXT_COLD, NEXT_TRAPPED };

/* Traps and interrupts that are taken cost the slice one, or they could go on forever. */
static void take_toll(struct rv64_cpu *cpu)
{
    cpu->jit.left--;
    cpu->jit.end--;
}

/* Makes what is left to the slice of the count of instructions. */
static void count_left(struct rv64_cpu *cpu)
{
    cpu->jit.left = (int64_t)(cpu->jit.end - cpu->stats.instructions);
}

/* ---- Translation -------------------------------------------------------------------------- */

static bool is_hot(struct rv64_translator *tr, uint64_t pc)
{
    const uint64_t hash = pc * UINT64_C(0x9e3779b97f4a7c15);
    struct rv64_tr_heat *set = tr->heat[hash >> 32 & (RV64_TR_HEAT_SETS - 1)];
    struct rv64_tr_heat *coldest = set;
    const uint32_t tag = (uint32_t)(hash >> 8);

    for (uint32_t i = 0; i < RV64_TR_HEAT_WAYS; i++) {
        if (set[i].tag == tag)
            return ++set[i].visits > tr->heat_limit;
        if (set[i].visits < coldest->visits)
            coldest = &set[i];
    }
    *coldest = (struct rv64_tr_heat){.tag = tag, .visits = 1};
    return tr->heat_limit == 0;
}

static uint32_t exit_flags(uint32_t kind)
{
    switch (kind) {
    case RV64_EXIT_FAR: return GN_TCACHE_EXIT_GUARDED;
    case RV64_EXIT_OPEN: return GN_TCACHE_EXIT_GUARDED | GN_TCACHE_EXIT_OPEN;
    default: return 0;
    }
}

static void exits_take(const struct rv64_tr_block *from, struct gn_tcache_exit *to)
{
    for (uint32_t i = 0; i < from->exit_count; i++) {
        const struct rv64_tr_exit *exit = &from->exits[i];

        to[i] = (struct gn_tcache_exit){
            .target = gn_gva(exit->target),
            .jump = exit->patch,
            .guard = exit->guard,
            .stub = exit->stub,
            .flags = exit_flags(exit->kind),
        };
    }
}

static void tell_perf(struct rv64_translator *tr, const struct gn_tcache_block *block)
{
    static const char modes[] = "us?m";

    if (tr->perf_map)
        fprintf(tr->perf_map, "%llx %x guest_%c_%llx\n", (unsigned long long)block->code,
                block->code_size, modes[block->key.mode & 3], (unsigned long long)block->key.pc.v);
}

static void count_made(struct rv64_translator *tr, const struct rv64_tr_block *made)
{
    tr->stats.translated += made->instructions;
    tr->stats.guest_bytes += made->high - made->low;
    tr->stats.host_bytes += made->size;
}

static uint64_t nanoseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int emit(struct rv64_translator *tr, const struct rv64_tr_source *source,
                const struct gn_tcache_room *room, struct gn_tcache_block *ret_block)
{
    const struct rv64_tr_code where = {
        .write = room->code,
        .exec = (const uint8_t *)(uintptr_t)room->exec,
        .room = room->code_room,
    };
    struct gn_tcache_exit exits[RV64_TR_EXITS];
    struct gn_tcache_code code = {GN_TCACHE_CODE_INIT};
    struct rv64_tr_block made;
    uint64_t begin = nanoseconds();

    if (rv64_tr_emit_block(&tr->thunks, source, &where, &made))
        return -1;
    tr->stats.nanoseconds += nanoseconds() - begin;
    if (tr->dumper && rv64_tr_dumper_wants(tr->dumper, source->listing))
        rv64_tr_dump(tr->dumper, source, &where, &made);
    exits_take(&made, exits);
    code.code_size = made.size;
    code.entry = made.entry;
    code.entry_fast = made.fast;
    code.guest_first = made.low;
    code.guest_size = made.high - made.low;
    code.exit_count = made.exit_count;
    code.exits = exits;
    code.cookie = made.state;
    for (uint32_t i = 0; i < made.exit_count; i++)
        tr->exit_states[room->exit_first + i] = made.exits[i].returned ? 0 : made.state;
    if (gn_tcache_block_commit(tr->tcache, 0, &code, ret_block))
        return -1;
    count_made(tr, &made);
    return 0;
}

/* Does an instruction of four bytes begin two bytes before the page's end? */
static bool straddles(const uint8_t *page)
{
    return (page[GN_PAGE_SIZE - 2] & 3) == 3;
}

/* The view learns where a page is, whose blocks are those of its bytes then. */
static int learn(struct rv64_translator *tr, uint64_t va, uint64_t gpa, const uint8_t *page)
{
    if (!rv64_tr_is_current(tr, gpa))
        rv64_tr_compare(tr, gpa, page);
    return gn_tcache_view_map(tr->tcache, 0, gn_gva(va), gn_gpa(gpa));
}

/*
 * Has the view know the page behind that of va, for an instruction that straddles both; if nothing
 * was fetched from there yet, it does not: the guest's A bit is to say what was executed.
 * @return the page's ID, or 0: it is not known
 */
static uint32_t map_next(struct rv64_translator *tr, uint64_t va, const uint8_t **ret_page)
{
    struct rv64_cpu *cpu = tr->cpu;
    uint64_t next = (va | GN_PAGE_MASK) + 1;
    struct rv64_trap trap;
    uint64_t gpa;

    if (!rv64_mmu_probe(cpu->mmu, next, 1, GN_ACCESS_EXEC) ||
        rv64_mmu_fetch_page(cpu->mmu, next, ret_page, &gpa, &trap) ||
        learn(tr, next, gpa, *ret_page))
        return 0;
    return cpu->jit.view->pages[rv64_view_page_index(next)];
}

/* Where a page is noted whose last instruction was not read to its end. */
static uint64_t *unread_of(struct rv64_translator *tr, uint64_t gpa)
{
    return &tr->unread[(gpa >> GN_PAGE_SHIFT) % RV64_TR_UNREAD];
}

/* Makes the block at cpu->pc, whose page is known to the view. @return 0, or -1: interpret */
static int translate(struct rv64_translator *tr, struct gn_tcache_block *ret_block)
{
    struct rv64_cpu *cpu = tr->cpu;
    struct rv64_tr_source source = {.pc = cpu->pc, .mode = cpu->priv};
    struct gn_tcache_key key = {.pc = gn_gva(cpu->pc), .mode = cpu->priv};
    struct rv64_tr_listing listing;
    struct gn_tcache_room room;

    /* It is mapped, so this says where, and does not fault. */
    if (rv64_mmu_fetch_page(cpu->mmu, cpu->pc, &source.page, &source.gpa, &cpu->trap))
        return -1;
    source.gpa |= cpu->pc & GN_PAGE_MASK;
    if (straddles(source.page)) {
        source.next_id = map_next(tr, cpu->pc, &source.next_page);
        if (!source.next_id)
            *unread_of(tr, source.gpa) = source.gpa >> GN_PAGE_SHIFT;
    }
    rv64_tr_linger_end(tr);
    key.gpa = gn_gpa(source.gpa);
    if (gn_tcache_block_begin(tr->tcache, 0, &key, &room))
        return -1;
    /* Older blocks of the page must not be compared with what this one is made from. */
    rv64_tr_compare(tr, source.gpa, source.page);
    source.token = room.exit_first;
    source.listing = tr->dumper ? &listing : NULL;
    if (emit(tr, &source, &room, ret_block)) {
        (void)!gn_tcache_block_abandon(tr->tcache, 0);
        return -1;
    }
    tell_perf(tr, ret_block);
    return 0;
}

/* ---- Dispatch ----------------------------------------------------------------------------- */

static enum next trap(struct rv64_cpu *cpu)
{
    rv64_cpu_trap(cpu, &cpu->trap);
    take_toll(cpu);
    return NEXT_TRAPPED;
}

/* The view does not know the page. @return NEXT_BLOCK: it does now */
static enum next map(struct rv64_translator *tr)
{
    struct rv64_cpu *cpu = tr->cpu;
    const uint8_t *page;
    uint64_t gpa;

    if (rv64_mmu_fetch_page(cpu->mmu, cpu->pc, &page, &gpa, &cpu->trap))
        return trap(cpu);
    (void)learn(tr, cpu->pc, gpa, page);
    return NEXT_BLOCK;
}

/* What jump caches do not know. */
static enum next find(struct rv64_translator *tr, struct gn_tcache_block *ret_block)
{
    const gn_gva_t pc = gn_gva(tr->cpu->pc);
    int found = gn_tcache_lookup(tr->tcache, 0, pc, ret_block);

    if (found == GN_TCACHE_UNMAPPED) {
        if (map(tr) == NEXT_TRAPPED)
            return NEXT_TRAPPED;
        found = gn_tcache_lookup(tr->tcache, 0, pc, ret_block);
    }
    if (found == GN_TCACHE_FOUND)
        return NEXT_BLOCK;
    return is_hot(tr, pc.v) && !translate(tr, ret_block) ? NEXT_BLOCK : NEXT_COLD;
}

/* Cold code, as far as its next jump. */
static void interpret(struct rv64_translator *tr)
{
    struct rv64_cpu *cpu = tr->cpu;
    uint64_t before = cpu->stats.instructions;

    (void)rv64_cpu_interpret(cpu, 1);
    tr->stats.cold++;
    tr->stats.interpreted += cpu->stats.instructions - before;
    if (cpu->stats.instructions == before)
        take_toll(cpu);
    count_left(cpu);
}

/* One instruction, or what comes instead of it. */
static void step(struct rv64_translator *tr)
{
    struct rv64_cpu *cpu = tr->cpu;
    uint64_t before = cpu->stats.instructions;

    (void)rv64_cpu_step(cpu);
    tr->stats.interpreted += cpu->stats.instructions - before;
    if (cpu->stats.instructions == before)
        take_toll(cpu);
    count_left(cpu);
}

/*
 * An instruction that nobody emits, or one that straddles two pages of which the second was not
 * the one that its block knows. If it knew none, there may be a better block now.
 */
static void interpret_one(struct rv64_translator *tr)
{
    struct rv64_cpu *cpu = tr->cpu;
    uint64_t pc = cpu->pc;
    struct rv64_trap trap;
    const uint8_t *page;
    uint64_t gpa;

    if ((pc & GN_PAGE_MASK) == GN_PAGE_SIZE - 2 &&
        !rv64_mmu_fetch_page(cpu->mmu, pc, &page, &gpa, &trap) &&
        *unread_of(tr, gpa) == gpa >> GN_PAGE_SHIFT) {
        *unread_of(tr, gpa) = 0;
        (void)!gn_tcache_written(tr->tcache, gn_gpa(gpa + (pc & GN_PAGE_MASK)), 2);
        step(tr);
        return;
    }
    step(tr);
    if ((pc & GN_PAGE_MASK) == GN_PAGE_SIZE - 2 && cpu->pc == pc + 4)
        (void)map_next(tr, pc, &page);
}

/* The exits by which the last block led here, if that is known. */
static void left_through(struct rv64_translator *tr, uint32_t left, struct rv64_tr_way *way)
{
    const uint32_t exits = left == RV64_LEFT_SITE ? RV64_TR_SLOTS : left == RV64_LEFT_EDGE;

    way->count = 0;
    tr->stats.edges += left == RV64_LEFT_EDGE;
    tr->stats.sites += left == RV64_LEFT_SITE;
    if (tr->unchained)
        return;
    for (uint32_t i = 0; i < exits; i++)
        way->exits[way->count++] = gn_tcache_exit_get(tr->tcache, tr->cpu->jit.token + i);
}

/* Enters what is next. @return RV64_LEFT_*, or ATTENTION if something else was done */
static uint32_t enter_next(struct rv64_translator *tr, uint32_t left)
{
    struct rv64_cpu *cpu = tr->cpu;
    struct gn_tcache_block block;
    uint64_t entry = 0;
    struct rv64_tr_way way;

    left_through(tr, left, &way);
    if (!way.count)
        entry = gn_tcache_probe((const void *)cpu->jit.view, gn_gva(cpu->pc));
    if (!entry) {
        enum next next = find(tr, &block);

        if (next == NEXT_COLD)
            interpret(tr);
        if (next != NEXT_BLOCK)
            return RV64_LEFT_ATTENTION;
        entry = block.entry;
        rv64_tr_link(tr, &way, &block);
    }
    tr->stats.dispatches++;
    left = tr->thunks.enter(cpu, (const uint8_t *)(uintptr_t)entry);
    rv64_tr_sync(cpu);
    return left;
}

/*
 * The next block has more instructions than are left. They are left undone, since a slice has about
 * so many; but one that began with so few has to come to its end.
 */
static void end_slice(struct rv64_translator *tr)
{
    struct rv64_cpu *cpu = tr->cpu;

    if (cpu->jit.left > 0 && cpu->stats.instructions == tr->slice_begin) {
        step(tr);
        return;
    }
    cpu->jit.left = 0;
    cpu->jit.end = cpu->stats.instructions;
}

/* Runs until something must be looked at. */
static void run_blocks(struct rv64_translator *tr)
{
    struct rv64_cpu *cpu = tr->cpu;
    uint32_t left = RV64_LEFT_ATTENTION;

    do {
        (void)!gn_tcache_quiesce(tr->tcache, 0);
        left = enter_next(tr, left);
        switch (left) {
        case RV64_LEFT_LOOKUP: tr->stats.lookups++; break;
        case RV64_LEFT_BUDGET: end_slice(tr); return;
        case RV64_LEFT_INTERPRET: interpret_one(tr); return;
        case RV64_LEFT_TRAP: trap(cpu); return;
        default: break;
        }
    } while (left != RV64_LEFT_ATTENTION && cpu->jit.left > 0);
}

/* Takes of the budget what translated code may have at once. */
static void refill(struct rv64_cpu *cpu, uint64_t *budget)
{
    const uint64_t some = *budget < RV64_TR_SLICE ? *budget : RV64_TR_SLICE;

    cpu->jit.left += (int64_t)some;
    cpu->jit.end += some;
    *budget -= some;
}

static int run(struct rv64_cpu *cpu, uint64_t budget)
{
    cpu->jit.left = 0;
    cpu->jit.end = cpu->stats.instructions;
    cpu->translator->slice_begin = cpu->stats.instructions;
    for (;;) {
        int why;

        if (cpu->jit.left <= 0)
            refill(cpu, &budget);
        why = rv64_cpu_turn(cpu);
        if (why != RV64_RUN_BUDGET || cpu->jit.left <= 0)
            return why;
        run_blocks(cpu->translator);
    }
}

/* ---- What the hart and the composition tell ----------------------------------------------- */

/* Is the kernel's page the same in the address space that was just entered? */
static int is_same_page(void *ctx, gn_gva_t page, gn_gpa_t gpa)
{
    struct rv64_cpu *cpu = ctx;
    struct rv64_trap none;
    const uint8_t *memory;
    uint64_t to;

    /* What the other space was known to have there is in its tables, and so in these. */
    if (rv64_mmu_is_shared(cpu->mmu, cpu->translator->kernel_space, page.v))
        return 1;
    return !rv64_mmu_fetch_page(cpu->mmu, page.v, &memory, &to, &none) && to == gpa.v;
}

static void context(struct rv64_cpu *cpu)
{
    struct rv64_translator *tr = cpu->translator;
    const struct gn_tcache_view *view;

    if (gn_tcache_view_load(tr->tcache, 0, cpu->mmu->space, cpu->priv, &view))
        return;
    cpu->jit.stale |= cpu->jit.view != (const void *)view;
    cpu->jit.view = (struct rv64_view *)(uintptr_t)view;
    if (cpu->priv != RV64_PRIV_S)
        return;
    (void)!gn_tcache_view_inherit(tr->tcache, 0, tr->kernel_space, is_same_page, cpu, NULL);
    tr->kernel_space = cpu->mmu->space;
}

/* Code that blocks were made from may be another now; where that is not known, views ask. */
static void fence_i(struct rv64_cpu *cpu)
{
    rv64_mmu_watch_sync(cpu->mmu);
    rv64_tr_linger_end(cpu->translator);
    if (!cpu->translator->compared)
        return;
    cpu->translator->epoch++;
    (void)!gn_tcache_invalidate(cpu->translator->tcache, 0, GN_TCACHE_SPACE_ANY, gn_gva(0),
                                UINT64_MAX);
}

static void withdrawn(struct rv64_cpu *cpu, uint64_t space, uint64_t va, uint64_t length)
{
    if (gn_tcache_invalidate(cpu->translator->tcache, 0, space, gn_gva(va), length))
        cpu->jit.stale = true;
}

static void space_gone(struct rv64_cpu *cpu, uint64_t space)
{
    (void)!gn_tcache_space_drop(cpu->translator->tcache, 0, space);
    cpu->jit.stale = true;
}

static void written(struct rv64_cpu *cpu, uint64_t gpa, uint64_t length)
{
    rv64_tr_written(cpu->translator, gpa, length);
}

const struct rv64_cpu_engine rv64_translator_engine = {
    .run = run,
    .context = context,
    .fence_i = fence_i,
    .withdrawn = withdrawn,
    .space_gone = space_gone,
    .written = written,
};
