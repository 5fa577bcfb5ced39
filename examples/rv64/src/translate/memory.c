/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Loads and stores. An access has the memory back end find its page and completes in place; what is
 * not found is done in C, from behind the block, and comes back behind the access.
 */

#include "emit.h"

void rv64_emit_call(struct rv64_emit *e, uint32_t thunk, uint32_t index)
{
    const struct emit_insn *insn = &e->insns[index];
    const struct rv64_insn *d = &insn->d;

    x86_mov_imm(&e->a, X86_RCX, insn->pc);
    x86_mov_imm(&e->a, X86_RDX,
                INFO(d->op, d->rd, d->rs1, d->rs2, insn->length, emit_refund(e, index)));
    emit_call_thunk(e, thunk);
    rv64_emit_fp_called(e);
}

void rv64_emit_address(struct rv64_emit *e, uint32_t base, int32_t offset)
{
    if (offset && emit_has_home(base)) {
        x86_op(&e->a, X86_LEA | X86_W, X86_RAX, x86_mem(rv64_emit_home[base], offset));
        return;
    }
    emit_get(e, X86_RAX, base);
    if (offset)
        x86_arith_imm(&e->a, X86_I_ADD, X86_W, x86_reg(X86_RAX), offset);
}

void rv64_emit_find(struct rv64_emit *e, struct emit_slow *slow, uint32_t size, uint32_t access)
{
    rv64_backend_find(&e->a, e->thunks, X86_RCX, X86_RDX, size, access);
    slow->from[slow->from_count++] = x86_jcc_later(&e->a, X86_NE);
}

void rv64_emit_probe(struct rv64_emit *e, struct emit_slow *slow, uint32_t size, uint32_t access)
{
    if (e->cold) {
        x86_op(&e->a, X86_LEA | X86_W, X86_RDX, x86_mem(X86_RAX, (int32_t)size - 1));
        emit_call_thunk(e, access == GN_ACCESS_READ ? THUNK_PROBE_READ : THUNK_PROBE_WRITE);
        slow->from[slow->from_count++] = x86_jcc_later(&e->a, X86_NE);
        return;
    }
    rv64_emit_find(e, slow, size, access);
    x86_op(&e->a, X86_MOV | X86_W, X86_RCX, rv64_backend_delta(e->thunks, X86_RCX, access));
}

struct emit_slow *rv64_emit_slow(struct rv64_emit *e)
{
    struct emit_slow *slow = &e->slow[e->slow_count++];

    slow->from_count = 0;
    slow->stray_count = 0;
    slow->words = e->words;
    slow->insn = e->at;
    slow->count = 1;
    slow->known = e->fp.known;
    return slow;
}

/* The load itself, with its extension, from the host's memory. */
static void emit_load(struct rv64_emit *e, const struct rv64_insn *d, struct x86_rm from)
{
    static const struct {
        uint8_t op;
        int32_t x86;
    } ops[] = {
        {RV64_OP_LB, X86_MOVSX_8 | X86_W},
        {RV64_OP_LH, X86_MOVSX_16 | X86_W},
        {RV64_OP_LW, X86_MOVSXD | X86_W},
        {RV64_OP_LD, X86_MOV | X86_W},
        {RV64_OP_LBU, X86_MOVZX_8},
        {RV64_OP_LHU, X86_MOVZX_16},
        {RV64_OP_LWU, X86_MOV},
    };
    uint32_t to = emit_target(d->rd, X86_RAX);

    x86_op(&e->a, ops[d->op - RV64_OP_LB].x86, to, from);
    emit_put(e, d->rd, to);
}

/* RAX is part of the address, or free. */
static void emit_store(struct rv64_emit *e, const struct rv64_insn *d, struct x86_rm to)
{
    static const int32_t ops[] = {X86_MOV_STORE_8, X86_MOV_STORE | X86_16, X86_MOV_STORE,
                                  X86_MOV_STORE | X86_W};
    uint32_t from = emit_in_reg(e, d->rs2, to.index == X86_RAX ? X86_RDX : X86_RAX);

    x86_op(&e->a, ops[d->op - RV64_OP_SB], from, to);
}

void rv64_emit_transfer(struct rv64_emit *e, const struct rv64_insn *d, struct x86_rm host)
{
    if (rv64_emit_fp_is_access(d->op))
        rv64_emit_fp_transfer(e, d, host);
    else if (emit_is_load(d->op))
        emit_load(e, d, host);
    else
        emit_store(e, d, host);
}

uint32_t rv64_emit_access(struct rv64_emit *e)
{
    const struct rv64_insn *d = &e->insns[e->at].d;
    struct emit_slow *slow;

    if (!emit_is_load(d->op) && !emit_is_store(d->op))
        return 0;
    slow = rv64_emit_slow(e);
    rv64_emit_address(e, d->rs1, d->imm);
    if (!e->cold && rv64_emit_is_link(e, e->at)) {
        rv64_emit_find(e, slow, rv64_emit_size(d->op), GN_ACCESS_READ);
        rv64_emit_link(
            e, slow,
            (struct emit_stray){.entry = rv64_backend_delta(e->thunks, X86_RCX, GN_ACCESS_READ),
                                .to = X86_RDX,
                                .base = d->rs1,
                                .offset = d->imm});
        rv64_emit_transfer(e, d, x86_mem_index(X86_RDX, X86_RAX, 0, 0));
        emit_slow_back(e, slow);
        return 1;
    }
    rv64_emit_probe(e, slow, rv64_emit_size(d->op),
                    emit_is_load(d->op) ? GN_ACCESS_READ : GN_ACCESS_WRITE);
    rv64_emit_transfer(e, d, x86_mem_index(X86_RCX, X86_RAX, 0, 0));
    emit_slow_back(e, slow);
    return 1;
}

/* The address is in RAX still. */
static void slow_call(struct rv64_emit *e, uint32_t index)
{
    const struct rv64_insn *d = &e->insns[index].d;

    if (emit_is_load(d->op) || emit_is_store(d->op)) {
        rv64_emit_call(e, emit_is_load(d->op) ? THUNK_LOAD : THUNK_STORE, index);
    } else if (d->op == RV64_OP_CSR) {
        x86_mov_imm(&e->a, X86_RAX, e->insns[index].raw);
        rv64_emit_call(e, THUNK_CSR, index);
    } else {
        x86_mov_imm(&e->a, X86_RAX, (uint64_t)(int64_t)d->imm);
        rv64_emit_call(e, THUNK_ATOMIC, index);
    }
}

void rv64_emit_slow_paths(struct rv64_emit *e)
{
    for (uint32_t i = 0; i < e->slow_count && !emit_full(e); i++) {
        const struct emit_slow *slow = &e->slow[i]; /* more may be added behind */

        rv64_emit_strays(e, slow);
        for (uint32_t j = 0; j < slow->from_count; j++)
            x86_patch(slow->from[j], e->a.at);
        if (slow->count == 1)
            slow_call(e, slow->insn);
        else
            rv64_emit_group_apart(e, slow);
        x86_patch(x86_jmp_later(&e->a), slow->back);
    }
}
