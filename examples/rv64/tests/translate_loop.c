/* SPDX-License-Identifier: BSD-3-Clause */

#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include "translate_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void forget_jumps(struct loop *loop)
{
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t j = 0; j < RV64_VIEW_JUMPS; j++)
            loop->views[i].jumps[j].pc = RV64_VIEW_NO_PC;
}

static int run(struct rv64_cpu *cpu, uint64_t budget);
static void context(struct rv64_cpu *cpu);
static void fence_i(struct rv64_cpu *cpu);

static const struct rv64_cpu_engine engine = {.run = run, .context = context, .fence_i = fence_i};

bool loop_init(struct loop *loop, struct rv64_cpu *cpu, bool link)
{
    struct rv64_tr_code code = {.room = LOOP_ROOM};

    memset(loop, 0, sizeof *loop);
    loop->cpu = cpu;
    loop->link = link;
    cpu->engine = &engine;
    cpu->translator = (struct rv64_translator *)(void *)loop;
    loop->memory = mmap(NULL, LOOP_ROOM, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (loop->memory == MAP_FAILED)
        return false;
    forget_jumps(loop);
    code.write = loop->memory;
    code.exec = loop->memory;
    cpu->jit.data = cpu->mmu->data;
    loop->used = rv64_tr_emit_thunks(&loop->thunks, cpu->jit.data, &code);
    return loop->used <= RV64_TR_THUNKS_ROOM;
}

void loop_fini(struct loop *loop)
{
    if (!loop->cpu)
        return;
    loop->cpu->engine = NULL;
    munmap(loop->memory, LOOP_ROOM);
}

static struct loop_block *slot_of(struct loop *loop, uint64_t pc, uint64_t gpa, uint32_t priv)
{
    uint32_t i = (uint32_t)(pc >> 1) * 4 + priv;

    for (;; i++) {
        struct loop_block *b = &loop->blocks[i % LOOP_BLOCKS];

        if (!b->entry || (b->pc == pc && b->gpa == gpa && b->priv == priv))
            return b;
    }
}

static uint32_t page_id(uint64_t va)
{
    return (uint32_t)(va >> GN_PAGE_SHIFT) + 1;
}

/* The page behind, for an instruction that straddles both. */
static void find_next(struct loop *loop, struct rv64_tr_source *source)
{
    uint64_t next = (source->pc | GN_PAGE_MASK) + 1;
    struct rv64_trap trap;
    uint64_t gpa;

    if (!loop->link || rv64_mmu_fetch_page(loop->cpu->mmu, next, &source->next_page, &gpa, &trap))
        return;
    source->next_id = page_id(next);
    loop->cpu->jit.view->pages[rv64_view_page_index(next)] = source->next_id;
}

/* @return NULL with cpu->trap filled */
static struct loop_block *find(struct loop *loop, uint64_t pc)
{
    struct rv64_cpu *cpu = loop->cpu;
    struct loop_block *b;
    struct rv64_tr_source source = {.pc = pc, .mode = cpu->priv};
    struct rv64_tr_code code = {.write = loop->memory + loop->used,
                                .exec = loop->memory + loop->used,
                                .room = LOOP_ROOM - loop->used};

    if (rv64_mmu_fetch_page(cpu->mmu, pc, &source.page, &source.gpa, &cpu->trap))
        return NULL;
    source.gpa |= pc & GN_PAGE_MASK;
    b = slot_of(loop, pc, source.gpa, cpu->priv);
    if (b->entry)
        return b;
    find_next(loop, &source);
    source.token = (uint32_t)(b - loop->blocks) * RV64_TR_EXITS;
    if (rv64_tr_emit_block(&loop->thunks, &source, &code, &b->block)) {
        fprintf(stderr, "no block is made at %#llx\n", (unsigned long long)pc);
        abort();
    }
    if (b->block.size > RV64_TR_BLOCK_ROOM)
        abort();
    b->pc = pc;
    b->gpa = source.gpa;
    b->priv = cpu->priv;
    b->code = code.write;
    b->entry = code.exec + b->block.entry;
    loop->used += b->block.size;
    loop->translated++;
    loop->guest_bytes += b->block.high - b->block.low;
    return b;
}

static void put(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static void link_exit(struct loop *loop, const struct loop_block *to)
{
    uint32_t token = loop->cpu->jit.token;
    struct loop_block *from = &loop->blocks[token / RV64_TR_EXITS];
    const struct rv64_tr_exit *exit = &from->block.exits[token % RV64_TR_EXITS];
    uint32_t id = page_id(exit->target);
    uint32_t entry;
    bool fits;

    if (exit->target != to->pc)
        abort();
    if (exit->kind == RV64_EXIT_FAR) {
        loop->cpu->jit.view->pages[rv64_view_page_index(exit->target)] = id;
        put(from->code + exit->guard, id);
    }
    fits = !loop->thunks.eager &&
           rv64_tr_fits(exit->returned ? 0 : from->block.state, to->block.state);
    entry = fits ? to->block.fast : to->block.entry;
    put(from->code + exit->patch, (uint32_t)(to->code + entry - (from->code + exit->patch + 4)));
}

/* An indirect jump has a slot for its target from now on, or none for any. */
static void link_site(struct loop *loop, const struct loop_block *to)
{
    uint32_t token = loop->cpu->jit.token;
    struct loop_block *from = &loop->blocks[token / RV64_TR_EXITS];
    const struct rv64_tr_exit *exit = &from->block.exits[token % RV64_TR_EXITS + from->sites];
    struct rv64_tr_slot slot = {.pc = to->pc, .id = page_id(to->pc)};

    if (from->sites == RV64_TR_SLOTS) {
        exit -= RV64_TR_SLOTS;
        slot.target = (uintptr_t)(from->code + exit->stub);
    } else {
        slot.target = (uintptr_t)(to->code + to->block.entry);
        loop->cpu->jit.view->pages[rv64_view_page_index(to->pc)] = slot.id;
    }
    slot.jump = from->code + exit->patch;
    slot.jump_exec = slot.jump;
    if ((to->pc ^ from->pc) >> GN_PAGE_SHIFT)
        slot.guard = from->code + exit->guard;
    if (from->sites++ == RV64_TR_SLOTS)
        rv64_tr_slot_close(&slot);
    else
        rv64_tr_slot_link(&slot);
}

/* One block, or many if they are linked. @return RV64_LEFT_*, as the block left or might have */
static uint32_t enter(struct loop *loop, uint32_t left)
{
    struct rv64_cpu *cpu = loop->cpu;
    struct loop_block *b = find(loop, cpu->pc);

    if (!b)
        return RV64_LEFT_TRAP;
    if (loop->link && left == RV64_LEFT_EDGE)
        link_exit(loop, b);
    if (loop->link && left == RV64_LEFT_SITE)
        link_site(loop, b);
    if (loop->link && left == RV64_LEFT_LOOKUP)
        cpu->jit.view->jumps[rv64_view_jump_index(cpu->pc)] =
            (struct rv64_view_jump){.pc = cpu->pc, .entry = b->entry};
    loop->entered++;
    left = loop->thunks.enter(cpu, b->entry);
    rv64_tr_sync(cpu);
    return left;
}

/* What blocks leave to the interpreter: one instruction, or the rest of a slice. */
static void step(struct loop *loop)
{
    struct rv64_cpu *cpu = loop->cpu;
    uint64_t before = cpu->stats.instructions;

    rv64_cpu_step(cpu);
    loop->interpreted += cpu->stats.instructions - before;
    cpu->jit.left -= (int64_t)(cpu->stats.instructions - before);
}

static int run(struct rv64_cpu *cpu, uint64_t budget)
{
    struct loop *loop = (struct loop *)(void *)cpu->translator;
    uint32_t left = RV64_LEFT_ATTENTION;

    cpu->jit.left = (int64_t)budget;
    cpu->jit.end = cpu->stats.instructions + budget;
    for (;;) {
        rv64_cpu_context_update(cpu);
        cpu->jit.view = &loop->views[cpu->priv];
        if (cpu->stop)
            return RV64_RUN_STOP;
        cpu->attention = false;
        rv64_cpu_interrupt(cpu);
        cpu->wfi = cpu->wfi && !(cpu->mip & cpu->mie);
        if (cpu->wfi)
            return RV64_RUN_WFI;
        if (cpu->jit.left <= 0)
            return RV64_RUN_BUDGET;
        left = enter(loop, left);
        if (left == RV64_LEFT_TRAP) {
            rv64_cpu_trap(cpu, &cpu->trap);
            cpu->jit.left--;
            cpu->jit.end--;
        } else if (left == RV64_LEFT_INTERPRET || (left == RV64_LEFT_BUDGET && cpu->jit.left > 0)) {
            step(loop);
        }
    }
}

static void context(struct rv64_cpu *cpu)
{
    cpu->jit.stale = true;
    cpu->jit.view = &((struct loop *)(void *)cpu->translator)->views[cpu->priv];
}

static void fence_i(struct rv64_cpu *cpu)
{
    struct loop *loop = (struct loop *)(void *)cpu->translator;

    forget_jumps(loop);
    memset(loop->blocks, 0, sizeof loop->blocks);
}
