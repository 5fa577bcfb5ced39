/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Inline caches of indirect jumps. A jump has slots, each of which compares its target with the PC
 * of a block that it was linked to, by an open exit of tcache:
 *
 *     slot:   mov rcx, PC ; cmp rax, rcx ; je block          | or, if that is in another page:
 *             the next slots                                 | je guard
 *     learn:  leaves, to have a slot linked; when none is left, all are closed
 *     guard:  mov rcx, [rbp+view] ; cmp [rcx+page of PC], ID ; jne hash ; jmp block
 *     hash:   asks the view's jump cache
 *
 * A comparison is predicted by the way that led there; an indirect jump of few targets is not, or
 * worse. A jump of many targets closes its slots: the first one becomes a jump to the hash.
 */

#include "emit.h"

/* Where the words of a slot are, from its begin. */
#define SLOT_PC    2 /* 64 bits */
#define SLOT_JUMP  15
#define SLOT_CLOSE 1 /* of the jump that it becomes */

/* Where those of its guard are, from the ID. */
#define GUARD_BEGIN (-13)
#define GUARD_PAGE  (-4)
#define GUARD_JUMP  11

/* What no target is, since they are even. */
#define NO_PC UINT64_C(1)

static uint8_t *slot(struct rv64_emit *e)
{
    uint8_t *at = e->a.at;

    x86_u8(&e->a, 0x48); /* MOV RCX, imm64 */
    x86_u8(&e->a, 0xb8 | X86_RCX);
    x86_u64(&e->a, NO_PC);
    x86_rr(&e->a, X86_CMP | X86_W, X86_RAX, X86_RCX);
    x86_patch(x86_jcc_later(&e->a, X86_E), at);
    return at;
}

/* @return where its ID is */
static uint8_t *guard(struct rv64_emit *e, const uint8_t *hash)
{
    uint8_t *id;

    x86_op(&e->a, X86_MOV | X86_W, X86_RCX, CPU_MEM(jit.view));
    x86_op(&e->a, 0x81, X86_I_CMP, x86_mem(X86_RCX, INT32_MAX)); /* any of 32 bits */
    id = e->a.at;
    x86_u32(&e->a, RV64_PAGE_ID_NONE);
    x86_patch(x86_jcc_later(&e->a, X86_NE), hash);
    x86_patch(x86_jmp_later(&e->a), hash);
    return id;
}

/* Exit i of the block is slot i: nothing else has an exit before its end. */
static void add_exit(struct rv64_emit *e, const uint8_t *at, const uint8_t *id, const uint8_t *hash)
{
    e->block->exits[e->block->exit_count++] =
        (struct rv64_tr_exit){.kind = RV64_EXIT_OPEN,
                              .patch = (uint32_t)(at + SLOT_JUMP - e->start),
                              .guard = (uint32_t)(id - e->start),
                              .stub = (uint32_t)(hash - e->start)};
}

void rv64_emit_site(struct rv64_emit *e)
{
    const uint8_t *slots[RV64_TR_SLOTS];
    const uint8_t *hash;

    if (e->thunks->without & RV64_TR_WITHOUT_SITES) {
        rv64_emit_hash(e);
        return;
    }
    for (uint32_t i = 0; i < RV64_TR_SLOTS; i++)
        slots[i] = slot(e);
    x86_mov_imm(&e->a, X86_RCX, e->source->token + e->block->exit_count);
    emit_jmp_thunk(e, THUNK_LEAVE_SITE);
    hash = e->a.at;
    rv64_emit_hash(e);
    for (uint32_t i = 0; i < RV64_TR_SLOTS; i++)
        add_exit(e, slots[i], guard(e, hash), hash);
}

static void put_distance(uint8_t *place, const uint8_t *place_exec, uint64_t target)
{
    uint32_t distance = (uint32_t)(target - (uint64_t)(uintptr_t)(place_exec + 4));

    memcpy(place, &distance, sizeof distance);
}

void rv64_tr_slot_link(const struct rv64_tr_slot *s)
{
    const ptrdiff_t exec = s->jump_exec - s->jump;
    uint32_t page = (uint32_t)offsetof(struct rv64_view, pages) + 4 * rv64_view_page_index(s->pc);
    uint64_t target = s->target;

    if (s->guard) {
        memcpy(s->guard, &s->id, sizeof s->id);
        memcpy(s->guard + GUARD_PAGE, &page, sizeof page);
        put_distance(s->guard + GUARD_JUMP, s->guard + GUARD_JUMP + exec, target);
        target = (uintptr_t)(s->guard + GUARD_BEGIN + exec);
    }
    put_distance(s->jump, s->jump_exec, target);
    memcpy(s->jump - SLOT_JUMP + SLOT_PC, &s->pc, sizeof s->pc);
}

void rv64_tr_slot_unlink(const struct rv64_tr_slot *s)
{
    const uint64_t none = NO_PC;

    memcpy(s->jump - SLOT_JUMP + SLOT_PC, &none, sizeof none);
}

void rv64_tr_slot_close(const struct rv64_tr_slot *s)
{
    struct x86 a = {.at = s->jump - SLOT_JUMP};
    uint8_t *place = x86_jmp_later(&a);

    put_distance(place, s->jump_exec - SLOT_JUMP + SLOT_CLOSE, s->target);
}
